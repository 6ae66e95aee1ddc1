"""What grows with what is kept, read or written in a policy file, and what stays flat.

`python bench/growth/run.py [--quick]`: ledgers of 10 to 100,000 incidents (SQLite), logs of 10 to
100,000 lines, 1 to 1,000 policies, sweeps over 10 to 10,000 failed jobs on the twin. Each row's ratio
is against the smallest size of its own table, in the same run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import results
from bench.diagnosis.run import log_of
from bench.first.run import case_of_lines, different_lines
from remediator import planning, policy
from remediator.app import ROUND_SECONDS, App
from remediator.case import Case
from remediator.catalog import catalog
from remediator.diagnosis import diagnose
from remediator.domain import Change, History
from remediator.ledger import Claim, Conclusion, Incident, Ledger, Stage
from remediator.ledger.sqlite import SqliteStore
from remediator.workflow import reconcile
from tests.reliability.test_sweep import LISTED, failed_batches
from twin.cloud import Cloud

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 23, 20, tzinfo=UTC)
CATALOGUE = catalog.Catalog.built_in()
TIMES = 7


def milliseconds(work: Callable[[], object], times: int = TIMES) -> float:
    """The median of several runs."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        work()
        found.append(1000 * (time.perf_counter() - begun))
    return statistics.median(found)


# --- the ledger ------------------------------------------------------------------------------------


def incident(number: int, **more: object) -> Incident:
    key = f"us-central1/customJobs/{number}"
    base = Incident(
        key=key,
        job=f"projects/1/locations/{key.replace('/customJobs', '/customJobs')}",
        stage=Stage.DONE,
        conclusion=Conclusion.ALERTED,
        first_known=NOW - timedelta(minutes=number % 500_000),
        root=key,
    )
    return replace(base, **more)  # type: ignore[arg-type]


def ledger_row(size: int, folder: Path) -> list[float]:
    """One open, claim and withdrawal; what is due; known among a page of a sweep."""
    ledger = Ledger(SqliteStore(folder / f"{size}.sqlite3"))
    for begin in range(0, size, 500):
        ledger.open_many(incident(n) for n in range(begin, min(begin + 500, size)))
    serial = iter(range(10**9, 2 * 10**9))

    def one_claim() -> None:
        number = next(serial)
        opened = ledger.open(incident(number, stage=Stage.UNSETTLED, conclusion=Conclusion.NONE))
        claim = Claim(
            token=f"{number:032x}",
            incident=opened.key,
            policy="p",
            step=1,
            number=1,
            verdict="cpu_saturation",
            changes=(Change("f", 1, 2),),
            acquired_at=NOW,
            lease_until=NOW + timedelta(minutes=10),
            estimated_usd=1.0,
        )
        ledger.claim(opened, opened.job, claim, now=NOW)
        ledger.withdraw(opened.key, claim.token)

    page = [f"us-central1/customJobs/{n}" for n in range(100)]
    found = [
        milliseconds(one_claim, 15),
        milliseconds(lambda: ledger.due(NOW, 200)),
        milliseconds(lambda: ledger.known(page)),
    ]
    ledger.close()
    return found


# --- policies --------------------------------------------------------------------------------------


def policies_of(count: int) -> policy.Policies:
    """`count` policies of which the last alone matches."""
    listed = "".join(
        f"  - name: p{n}\n    when: {{cause: cpu_saturation, labels: {{team: t{n}}}, "
        f'if: "job.machine.vcpus < {n % 90 + 2}"}}\n    do: [{{resubmit: {{machine_type: bigger}}}}]\n'
        for n in range(count - 1)
    )
    text = f"version: 1\npolicies:\n{listed}  - name: last\n    when: {{}}\n    do: []\n"
    loaded = policy.load(text, "policies.yaml", catalog=CATALOGUE)
    assert loaded.policies is not None, loaded.render()
    return loaded.policies


# --- sweeps ----------------------------------------------------------------------------------------


def sweep_row(size: int, folder: Path) -> tuple[int, float, float, int]:
    """Rounds until that many silent failures are announced, their seconds; then what a round costs
    that finds nothing new, in milliseconds, and the pages of batch predictions that it lists."""
    with Cloud(frozen=True) as cloud:
        failed_batches(cloud, size, hours_ago=4)
        os.environ.update(cloud.env(REMEDIATOR_LEDGER=f"sqlite:///{folder}/sweep-{size}.sqlite3"))
        app = App.from_environment(os.environ, here=ROOT)

        def one_round() -> reconcile.Round:
            # Batch predictions alone: the events that would come of their announcements are not sent.
            return reconcile.run(app.services, app.write_log, budget_seconds=ROUND_SECONDS)

        announced = rounds = 0
        begun = time.perf_counter()
        while announced < size:
            done = one_round()
            if not done.announced:
                raise SystemExit(f"a sweep stands still at {announced} of {size}: {done}")
            announced, rounds = announced + done.announced, rounds + 1
        seconds = time.perf_counter() - begun
        one_round()  # the last look behind the last page
        before = len(cloud.calls(LISTED))
        calm = milliseconds(one_round, 3)
        pages = (len(cloud.calls(LISTED)) - before) // 3
        app.ledger.close()
        app.vertex.close()
    return rounds, seconds, calm, pages


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="up to a tenth or less of each size")
    quick = parser.parse_args().quick
    parts = []

    sizes = (10, 1_000) if quick else (10, 1_000, 100_000)
    with tempfile.TemporaryDirectory() as folder:
        rows = [(size, ledger_row(size, Path(folder))) for size in sizes]
    first = rows[0][1]
    parts.append(
        results.table(
            ["incidents in the ledger", "open, claim, withdraw", "what is due", "known of 100"],
            [
                (f"{n:,}", *(f"{v:.2f} ms ({v / f:.2f})" for v, f in zip(row, first, strict=True)))
                for n, row in rows
            ],
        )
    )

    sizes = (10, 1_000) if quick else (10, 1_000, 10_000, 100_000)
    logs = [(n, Case.parse(case_of_lines(different_lines(n)))) for n in sizes]
    # Each case is diagnosed once before the others know its lines, then again.
    times = [
        (
            n,
            milliseconds(lambda case=case: diagnose(case), 1),
            milliseconds(lambda case=case: diagnose(case), 3),
        )
        for n, case in logs
    ]
    parts.append(
        results.table(
            [
                "different lines of log",
                "first diagnosis",
                "a later one",
                "of the smallest",
                "microseconds a line",
            ],
            [
                (
                    f"{n:,}",
                    f"{first_time:.1f} ms",
                    f"{t:.1f} ms",
                    f"{t / times[0][2]:.1f}",
                    f"{1000 * t / n:.1f}",
                )
                for n, first_time, t in times
            ],
        )
    )

    case = Case.parse(log_of(10))
    found = diagnose(case)
    counts = (1, 10, 100) if quick else (1, 10, 100, 1_000)
    made = [(n, policies_of(n)) for n in counts]
    times = [
        (n, milliseconds(lambda p=p: planning.plan(case, found, p, History(), CATALOGUE)))
        for n, p in made
    ]
    parts.append(
        results.table(
            ["policies", "one plan, the last one matches", "of the smallest"],
            [(f"{n:,}", f"{t:.2f} ms", f"{t / times[0][1]:.1f}") for n, t in times],
        )
    )
    sizes = (10, 100) if quick else (10, 100, 1_000, 10_000)
    with tempfile.TemporaryDirectory() as folder:
        swept = [(size, *sweep_row(size, Path(folder))) for size in sizes]
    parts.append(
        results.table(
            [
                *("failed jobs that no log tells", "rounds until all are announced"),
                *("in all", "a job", "a later round", "of the smallest", "pages it lists"),
            ],
            [
                (
                    f"{size:,}",
                    f"{rounds}",
                    f"{seconds:.1f} s",
                    f"{1000 * seconds / size:.1f} ms",
                    f"{calm:.0f} ms",
                    f"{calm / swept[0][3]:.1f}",
                    f"{pages}",
                )
                for size, rounds, seconds, calm, pages in swept
            ],
        )
    )
    parts.append(
        "The ledger is flat: every question goes by key or by an index of what is due (of the hundred "
        "that are asked for, the smallest ledger holds ten). A diagnosis grows with its lines, more "
        "slowly than they do; of a job's log a bounded number of lines and bytes is read. A plan asks "
        "every policy before the one that matches, a few microseconds each. A sweep announces 500 "
        "a round and goes on where it stopped; a round that finds nothing new lists ten pages of a "
        "kind at most, however many have failed (the twin holds a list against its filter as a whole "
        "for each page: its own time is what still grows here)."
    )
    results.write("growth", "Growth", "\n\n".join(parts), quick=quick)


if __name__ == "__main__":
    main()
