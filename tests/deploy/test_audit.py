"""`make audit` gives no all-clear that it does not have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.terraform import ROOT

GOOD = {"name": "flask", "version": "3.1.2", "vulns": []}
BAD = {
    "name": "grpcio",
    "version": "1.0.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["1.0.1", "1.1"], "description": "x"}],
}
UNMENDED = {**BAD, "vulns": [{"id": "PYSEC-2026-2", "fix_versions": []}]}
SKIPPED = {"name": "cel", "skip_reason": "Dependency not found on PyPI and could not be audited"}


@pytest.mark.parametrize(
    ("dependencies", "code", "said"),
    [
        pytest.param([GOOD, GOOD], 0, "2 locked versions, no known vulnerability\n", id="clear"),
        pytest.param(
            [GOOD, BAD], 1, "grpcio 1.0.0: PYSEC-2026-1, fixed in 1.0.1 or 1.1\n", id="found"
        ),
        pytest.param(
            [UNMENDED], 1, "grpcio 1.0.0: PYSEC-2026-2, fixed in no version yet\n", id="unmended"
        ),
        pytest.param(
            [GOOD, SKIPPED], 2, "NOT AUDITED: 1 of 2 could not be looked up: cel\n", id="in-part"
        ),
        pytest.param(None, 2, "could not be asked: ConnectionError: no network\n", id="no-network"),
    ],
)
def test_an_audit_says_what_it_knows(
    dependencies: list[Any] | None, code: int, said: str, tmp_path: Path
) -> None:
    fake = tmp_path / "pip-audit"
    answer = "" if dependencies is None else json.dumps({"dependencies": dependencies})
    fake.write_text(
        f"#!/bin/sh\necho 'ConnectionError: no network' >&2\ncat <<'END'\n{answer}\nEND\n"
    )
    fake.chmod(0o700)
    done = subprocess.run(
        [sys.executable, ROOT / "deploy" / "audit.py", fake],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (code, "")
    assert done.stdout.endswith(said)
