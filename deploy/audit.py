# ruff: noqa: INP001  # a script beside the deployment, not a package
"""What is locked for deployment, held against the public lists of vulnerabilities.

`make audit` calls it with the path of pip-audit. Exit 0: everything was looked up and nothing is known
against it; 1: something is; 2: it could not be looked up, wholly or in part, which is no all-clear.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

LOCK = Path(__file__).resolve().parent / "requirements.lock"
_CLEAR, _FOUND, _UNKNOWN = 0, 1, 2
_SHOWN = 5


def main(pip_audit: str) -> int:
    """Looks up every version of the lock; says what came of it."""
    ran = subprocess.run(  # noqa: S603  # the caller's own pip-audit
        [
            *(pip_audit, "--requirement", str(LOCK), "--require-hashes", "--disable-pip"),
            *("--format", "json", "--progress-spinner", "off", "--timeout", "20"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        looked_up = json.loads(ran.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        last = (ran.stderr.strip().splitlines() or ["it said nothing"])[-1]
        _say(f"NOT AUDITED: the list of vulnerabilities could not be asked: {last[:300]}")
        return _UNKNOWN
    found = [
        f"{one['name']} {one['version']}: {bad['id']}, fixed in {_versions(bad)}"
        for one in looked_up
        for bad in one.get("vulns") or ()
    ]
    skipped = [one["name"] for one in looked_up if "skip_reason" in one]
    for line in found:
        _say(line)
    if skipped:
        names = ", ".join(skipped[:_SHOWN]) + (" and more" if len(skipped) > _SHOWN else "")
        _say(f"NOT AUDITED: {len(skipped)} of {len(looked_up)} could not be looked up: {names}")
    if found:
        return _FOUND
    if skipped or not looked_up:
        return _UNKNOWN
    _say(f"{len(looked_up)} locked versions, no known vulnerability")
    return _CLEAR


def _versions(vulnerability: dict[str, list[str]]) -> str:
    return " or ".join(vulnerability.get("fix_versions") or ["no version yet"])


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
