"""Processor time of a warm event, beside an earlier commit: no job, and 300, made since the failure.

    python bench/warm/run.py [--against COMMIT] [--pairs 10] [--events 20] [--quick]

Both checkouts are served by functions-framework in processes of their own over one twin, and handle
batches of events in turns. An event is an unsettled failure that is diagnosed by its log and metrics
and resubmitted. What is counted is the processor time of the served function's processes, by the
kernel; ratios are of neighbouring batches. Exit 1 where an aim is missed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import earlier, emulators, results  # noqa: E402  # the checkout is found above
from bench.coldstart.run import POLICIES, event, starved_job  # noqa: E402
from twin.clock import rfc3339  # noqa: E402
from twin.cloud import Cloud  # noqa: E402
from twin.kinds import KINDS  # noqa: E402

SINCE = (0, 300)
MOST = {0: 0.60, 300: 0.40}  # of the earlier commit's
MOST_BETWEEN = 1.2  # of an event with 300 made since, of one with none
_OUR_LABEL = "remediator-root"


class Rig:
    """Checkouts served over one twin, each with a ledger of its own."""

    def __init__(
        self, cloud: Cloud, folder: Path, roots: Mapping[str, Path], firestore: str
    ) -> None:
        self._cloud = cloud
        self._number = 0
        file = folder / "policies.yaml"
        file.write_text(POLICIES)
        self._served = {}
        for name, root in roots.items():
            ledger = (
                f"firestore://(default)/warm-{name}"
                if firestore
                else f"sqlite:///{folder}/{name}.sqlite3"
            )
            more = {"FIRESTORE_EMULATOR_HOST": firestore} if firestore else {}
            environment = cloud.env(REMEDIATOR_POLICIES=str(file), REMEDIATOR_LEDGER=ledger, **more)
            self._served[name] = cloud.serve(root, "remediate", environment)

    def milliseconds(self, name: str, events: int) -> float:
        """Processor time of one event, by the mean of so many; what it made is gone afterwards."""
        ready = [self._event() for _ in range(events)]
        served = self._served[name]
        before = results.cpu_seconds(served.pid)
        for body, headers in ready:
            status, text = served.post(body, headers=headers)
            if status != 200:
                raise SystemExit(
                    f"not handled by {name}: {status} {text}\n{served.output()[-3000:]}"
                )
        spent = results.cpu_seconds(served.pid) - before
        made = [
            job
            for job in self._cloud.jobs.all("customJobs")
            if _OUR_LABEL in (job.get("labels") or {})
        ]
        if len(made) != events:
            raise SystemExit(f"{name} made {len(made)} jobs of {events} failures")
        for job in made:
            self._cloud.jobs.change(job["name"], state="JOB_STATE_CANCELLED")
            self._cloud.jobs.delete(KINDS["customJobs"], job["name"])
        return 1000 * spent / events

    def _event(self) -> tuple[dict[str, Any], dict[str, str]]:
        self._number += 1
        job = starved_job(self._cloud, self._number)
        return event(self._cloud, job)


def make_since(cloud: Cloud, count: int) -> None:
    """Jobs of other workloads that were made after every failure of the bench and run or succeeded."""
    made = rfc3339(cloud.clock.now() - timedelta(minutes=10))
    for number in range(count):
        state = "JOB_STATE_RUNNING" if number % 2 else "JOB_STATE_SUCCEEDED"
        pool = {
            "machineSpec": {"machineType": "n1-standard-8"},
            "replicaCount": "1",
            "containerSpec": {
                "imageUri": "us-docker.pkg.dev/lab/other:3",
                "args": ["--epochs=20", f"--shard={number}", "--data=gs://lab-data/train"],
                "env": [{"name": f"SETTING_{k}", "value": f"value-{k}"} for k in range(8)],
            },
        }
        cloud.add_job(
            {
                "name": cloud.name("customJobs", str(7_000_000 + number)),
                "displayName": f"other-{number}",
                "jobSpec": {"workerPoolSpecs": [pool], "scheduling": {"timeout": "7200s"}},
                "state": state,
                "createTime": made,
                "startTime": made,
                "updateTime": made,
            }
        )


def main() -> int:
    """Runs the batches, writes the section; 0 where every aim holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--against", default=earlier.BASELINE, help="a commit, or a folder")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--events", type=int, default=20)
    parser.add_argument("--ledger", choices=("sqlite", "firestore"), default="sqlite")
    parser.add_argument("--quick", action="store_true", help="three pairs of ten events")
    chosen = parser.parse_args()
    pairs, events = (3, 10) if chosen.quick else (chosen.pairs, chosen.events)
    spent: dict[tuple[str, int], list[float]] = {}
    with earlier.checkout(chosen.against) as before:
        roots = {"earlier": before, "now": ROOT}
        for since in SINCE:
            with (
                Cloud(frozen=True, lag=timedelta(0)) as cloud,
                tempfile.TemporaryDirectory() as name,
                emulators.firestore() as firestore,
            ):
                make_since(cloud, since)
                rig = Rig(
                    cloud, Path(name), roots, firestore if chosen.ledger == "firestore" else ""
                )
                for way in roots:  # opens every channel, and fills what is kept
                    rig.milliseconds(way, events)
                for turn in range(pairs):
                    for way in list(roots) if turn % 2 else list(reversed(roots)):
                        spent.setdefault((way, since), []).append(rig.milliseconds(way, events))
    return report(spent, chosen.against, chosen.ledger, events, quick=chosen.quick)


def report(
    spent: Mapping[tuple[str, int], list[float]],
    against: str,
    ledger: str,
    events: int,
    *,
    quick: bool,
) -> int:
    """Writes the section; 1 where an aim is missed."""
    rows, kept = [], True
    for since in SINCE:
        old, new = spent["earlier", since], spent["now", since]
        of_old = [mine / theirs for mine, theirs in zip(new, old, strict=True)]
        held = statistics.median(of_old) <= MOST[since]
        kept = kept and held
        rows.append(
            (
                since,
                results.spread(old, 1, " ms"),
                results.spread(new, 1, " ms"),
                results.spread(of_old),
                MOST[since],
                results.verdict(held=held),
            )
        )
    between = _between(spent["now", 300], spent["now", 0])
    kept = kept and between <= MOST_BETWEEN
    named = against if not Path(against).is_dir() else "an earlier checkout"
    head = ("made since", named, "now", "of it, pair by pair", "at most", "")
    text = (
        f"Processor time of the function, an event; {len(spent['now', 0])} pairs of batches of {events} "
        f"events, in turns; ledger in {ledger}.\n\n"
        + results.table(head, rows)
        + f"\n\nWith 300 made since, of none: {between:.2f} (at most {MOST_BETWEEN}: "
        f"{results.verdict(held=between <= MOST_BETWEEN)}); of the earlier: "
        f"{_between(spent['earlier', 300], spent['earlier', 0]):.2f}."
    )
    name, title = {
        "sqlite": ("warm", "Processor time of a warm event"),
        "firestore": ("warm-firestore", "Processor time of a warm event, ledger in Firestore"),
    }[ledger]
    results.write(name, title, text, quick=quick)
    return 0 if kept else 1


def _between(many: Iterable[float], none: Iterable[float]) -> float:
    return statistics.median(many) / statistics.median(none)


if __name__ == "__main__":
    sys.exit(main())
