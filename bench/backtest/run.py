"""`backtest` over past failures that need their logs, beside an earlier commit.

    python bench/backtest/run.py [--against COMMIT] [--failures 45] [--quick]

The failures are the twin's, each of its own workload and none settled by its own error. The twin's
Cloud Logging refuses more than 60 reads a minute, as Google's does. Both checkouts run the command
once, each against a twin of its own. Exit 1 where it takes longer than the aim, or the verdicts differ.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import earlier, results  # noqa: E402  # the checkout is found above
from bench.coldstart.run import POLICIES, starved_job  # noqa: E402
from twin.cloud import Cloud  # noqa: E402

MOST_SECONDS = 10.0


@dataclass(frozen=True)
class Run:
    """What one run of the command came to; `verdicts` by the job's display name."""

    seconds: float
    cpu: float
    reads: int
    verdicts: dict[str, str]


def backtest(root: Path, failures: int) -> Run:
    """The command of one checkout, over a project with so many past failures."""
    with Cloud(lag=timedelta(0)) as cloud, tempfile.TemporaryDirectory() as name:
        cloud.logs.reads_per_minute = 60
        names = {starved_job(cloud, n)["name"]: f"align-{n}" for n in range(failures)}
        file = Path(name) / "policies.yaml"
        file.write_text(POLICIES)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": name,
            "PYTHONPATH": str(root),
            **cloud.env(REMEDIATOR_LEDGER=f"sqlite:///{name}/ledger.sqlite3"),
        }
        command = [sys.executable, "-m", "remediator", "backtest", "--days", "7"]
        started = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--policies", str(file), "--json"],
            cwd=name,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        told = process.stdout.read() if process.stdout else b""
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - started
        if process.returncode:
            raise SystemExit(f"backtest of {root} failed: {process.returncode}")
        found = json.loads(told)["failures"]
        return Run(
            seconds,
            used.ru_utime + used.ru_stime,
            len(cloud.calls("LoggingServiceV2.ListLogEntries")),
            {names[one["job"]]: str(one["verdict"]) for one in found},
        )


def main() -> int:
    """Runs both, writes the section; 0 where the aim holds and no verdict differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", default=earlier.BASELINE, help="a commit, or a folder")
    parser.add_argument("--failures", type=int, default=45)
    parser.add_argument("--quick", action="store_true", help="ten failures")
    chosen = parser.parse_args()
    failures = 10 if chosen.quick else chosen.failures
    with earlier.checkout(chosen.against) as before:
        old, new = backtest(before, failures), backtest(ROOT, failures)
    same = old.verdicts == new.verdicts
    held = new.seconds <= MOST_SECONDS
    rows = [
        (name, f"{one.seconds:.1f} s", f"{one.cpu:.1f} s", one.reads)
        for name, one in (("earlier", old), ("now", new))
    ]
    text = (
        f"`backtest` of {failures} failures that need their logs; one run of each.\n\n"
        + results.table(("", "wall", "processor time", "reads of logs"), rows)
        + f"\n\nAt most {MOST_SECONDS:.0f} s: {results.verdict(held=held)}; "
        f"verdicts {'are the same' if same else '**differ**'}."
    )
    results.write("backtest", "A backtest of past failures", text, quick=chosen.quick)
    return 0 if held and same else 1


if __name__ == "__main__":
    sys.exit(main())
