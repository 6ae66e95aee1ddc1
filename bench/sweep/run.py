"""Processor time of a sweep for each failed job, with 1,000 and with 10,000 that no log announces.

    python bench/sweep/run.py [--against COMMIT] [--quick]

`reconcile` is served in a process of its own and called until every failure is announced; what is
counted is that process alone, without the twin, whose lists grow too. An earlier commit runs beside
it. Exit 1 where a job of 10,000 takes more than `MOST` of what one of 1,000 takes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import earlier, results  # noqa: E402  # the checkout is found above
from bench.coldstart.run import POLICIES  # noqa: E402
from tests.reliability.test_sweep import failed_batches  # noqa: E402
from twin.cloud import Cloud  # noqa: E402

SIZES = (1_000, 10_000)
MOST = 1.1  # flat, and what two runs of one thing differ by


def milliseconds(root: Path, size: int) -> tuple[float, int]:
    """Processor time of one job, and the rounds until all were announced."""
    with Cloud(frozen=True) as cloud, tempfile.TemporaryDirectory() as name:
        failed_batches(cloud, size, hours_ago=4)
        file = Path(name) / "policies.yaml"
        file.write_text(POLICIES)
        served = cloud.serve(
            root,
            "reconcile",
            cloud.env(
                REMEDIATOR_POLICIES=str(file),
                REMEDIATOR_LEDGER=f"sqlite:///{name}/ledger.sqlite3",
            ),
        )
        status, _ = served.post()  # loads every module, and announces the first
        before = results.cpu_seconds(served.pid)
        announced = rounds = 0
        while True:
            status, text = served.post()
            if status != 200:
                raise SystemExit(f"a round failed: {status} {text}")
            now = int(json.loads(text)["announced"])
            if not now:
                break
            announced, rounds = announced + now, rounds + 1
        if not announced:
            raise SystemExit("a sweep announced everything in its first round: nothing is measured")
        return 1000 * (results.cpu_seconds(served.pid) - before) / announced, rounds


def main() -> int:
    """Runs both sizes of both, writes the section; 0 where ours is flat."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", default=earlier.BASELINE, help="a commit, or a folder")
    parser.add_argument("--quick", action="store_true", help="1,000 and 2,000")
    chosen = parser.parse_args()
    sizes = (1_000, 2_000) if chosen.quick else SIZES
    with earlier.checkout(chosen.against) as before:
        found = {
            name: [milliseconds(root, size) for size in sizes]
            for name, root in (("earlier", before), ("now", ROOT))
        }
    grown = {name: rows[-1][0] / rows[0][0] for name, rows in found.items()}
    held = grown["now"] <= MOST
    table = [
        (
            name,
            *(f"{each:.2f} ms in {rounds} rounds" for each, rounds in rows),
            f"{grown[name]:.2f}",
        )
        for name, rows in found.items()
    ]
    text = (
        "Processor time of `reconcile`'s own process, for each failed job that it announces; one run "
        "of each.\n\n"
        + results.table(("", *(f"{size:,} failed jobs" for size in sizes), "of the smaller"), table)
        + f"\n\nAt most {MOST}: {results.verdict(held=held)}."
    )
    results.write("sweep", "A sweep, for each failed job", text, quick=chosen.quick)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
