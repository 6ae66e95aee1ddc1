"""A storm of 1,000 failures against the served function: events a second, what limits them, memory.

    python bench/storm/run.py [--against COMMIT] [--quick]

Half of the failures are judged by their own error, half need Cloud Logging, which allows 60 reads a
minute; 429s of the twin's are counted. Every event is delivered once, then again as Pub/Sub would
what was answered with 5xx. Once with SQLite, once with Firestore where the emulator is installed,
each with a smaller storm more that is profiled (`profiled/sitecustomize.py`). Exit 1 where a job was
made twice, a cap was passed, or memory grew by more than `MOST_GROWTH_MIB` over the second half.
An earlier commit meets the first storm beside it. `--quick`: 100 failures.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import earlier, emulators, results  # noqa: E402  # the checkout is found above
from tests.reliability.conftest import event  # noqa: E402
from tests.reliability.test_storm import (  # noqa: E402
    _OUT_OF_MEMORY,
    _UNCLEAR,
    POLICIES,
    failed_jobs,
    roots,
)
from tests.stories.conftest import TestCloud  # noqa: E402
from tests.stories.test_loop import failure_line  # noqa: E402

QUICK = "--quick" in sys.argv
AGAINST = sys.argv[sys.argv.index("--against") + 1] if "--against" in sys.argv else earlier.BASELINE
FAILURES = 100 if QUICK else 1000
PROFILED = 100 if QUICK else 300
AT_ONCE = 24
MOST_GROWTH_MIB = 40
_TOLD = 12  # rows of a profile


@dataclass(frozen=True)
class Storm:
    """What one storm came to."""

    ledger: str
    seconds: float
    statuses: Counter[int]
    again: Counter[int]
    made: Counter[str]
    allowed: int
    refused_reads: int
    reads: int
    messages: int
    function_cpu: float
    rest_cpu: float
    peaks: tuple[float, float]
    reconcile_peak: float

    @property
    def handled_a_second(self) -> float:
        """Events answered 200: a 503 is delivered again, and costs no reading."""
        return self.statuses[200] / self.seconds

    @property
    def cpu_of_a_handled_event(self) -> float:
        """The function's processor time for each event answered 200, seconds; what was put off is in it."""
        return self.function_cpu / max(1, self.statuses[200])

    @property
    def is_bounded(self) -> bool:
        """Whether every cap held and nothing was made twice."""
        return (
            max(self.made.values()) == 1
            and sum(self.made.values()) == self.allowed
            and not self.refused_reads
            and self.peaks[1] - self.peaks[0] <= MOST_GROWTH_MIB
            and set(self.statuses) | set(self.again) <= {200, 503}
        )


def main() -> int:
    """Runs them, writes the section; 0 where every bound held."""
    with emulators.firestore() as firestore:
        ledgers: dict[str, dict[str, str]] = {"SQLite": {}}
        if firestore:
            ledgers["Firestore"] = {"FIRESTORE_EMULATOR_HOST": firestore}
        storms, profiles = [], {}
        with earlier.checkout(AGAINST) as root:
            before = storm("SQLite, earlier", {}, FAILURES, root=root, again=True)[0]
        for name, settings in ledgers.items():
            storms.append(storm(name, settings, FAILURES, again=True)[0])
            profiles[name] = storm(name, settings, PROFILED, profiled=True)[1]
    kept = all(one.is_bounded for one in storms)
    now = storms[0]
    ratio = (
        f"Of the earlier commit, with SQLite: {now.handled_a_second / before.handled_a_second:.1f} "
        f"times as many events handled a second, {before.seconds / now.seconds:.1f} times as many "
        "answered, on the clock, which the twin and other programs of the machine lengthen. In a second "
        "of the function's own processor time "
        f"{before.cpu_of_a_handled_event / now.cpu_of_a_handled_event:.1f} times as many handled."
    )
    parts = [
        _table([before, *storms]),
        ratio,
        *(_profile(name, told) for name, told in profiles.items()),
    ]
    if not firestore:
        parts.append("The Firestore emulator is not installed here: only SQLite was measured.")
    parts.append("Every bound kept." if kept else "**A bound is broken.**")
    results.write("storm", f"A storm of {FAILURES:,} failures", "\n\n".join(parts), quick=QUICK)
    return 0 if kept else 1


def storm(
    name: str,
    settings: Mapping[str, str],
    failures: int,
    *,
    root: Path = ROOT,
    again: bool = False,
    profiled: bool = False,
) -> tuple[Storm, dict[str, Any]]:
    """One storm, on a cloud and a server of its own; its profile where asked."""
    with TestCloud(lag=timedelta(0)) as cloud, tempfile.TemporaryDirectory() as folder:
        cloud.logs.reads_per_minute = 60
        allowed = failures // 4
        file, profile = Path(folder) / "policies.yaml", Path(folder) / "profile.json"
        file.write_text(POLICIES.format(usd=1_000_000, rate=allowed))
        ledger = f"firestore://(default)/storm-{failures}-{int(profiled)}"
        environment = cloud.env(
            REMEDIATOR_POLICIES=str(file),
            REMEDIATOR_LEDGER=ledger if settings else f"sqlite:///{folder}/ledger.sqlite3",
            **settings,
        )
        if profiled:
            environment |= {
                "STORM_PROFILE": str(profile),
                "PYTHONPATH": str(Path(__file__).parent / "profiled"),
            }
        served = cloud.serve(root, "remediate", environment)
        reconciling = cloud.serve(root, "reconcile", environment) if again else None
        clear = failed_jobs(cloud, failures // 2, _OUT_OF_MEMORY, 0)
        unclear = failed_jobs(cloud, failures // 2, _UNCLEAR, len(clear))
        jobs = [job for pair in zip(clear, unclear, strict=True) for job in pair]

        statuses: Counter[int] = Counter()
        peaks = []
        begun, rest, function = (
            time.monotonic(),
            time.process_time(),
            results.cpu_seconds(served.pid),
        )
        for half in (jobs[: failures // 2], jobs[failures // 2 :]):
            statuses += deliver(served, cloud, half)
            peaks.append(results.peak_mib(served.pid))
        seconds = time.monotonic() - begun
        spent = (results.cpu_seconds(served.pid) - function, time.process_time() - rest)
        reads = cloud.calls("LoggingServiceV2.ListLogEntries")
        more: Counter[int] = Counter()
        if reconciling is not None:
            more = deliver(served, cloud, jobs)
            for _ in range(3):
                reconciling.post()
        if profiled:
            time.sleep(1.5)  # it is told every second
        told = json.loads(profile.read_text()) if profiled else {}
        refused = cloud.calls("LoggingServiceV2.ListLogEntries", outcome="RESOURCE_EXHAUSTED")
        done = Storm(
            ledger=name,
            seconds=seconds,
            statuses=statuses,
            again=more,
            made=roots(cloud),
            allowed=min(allowed, len(clear)),
            refused_reads=len(refused),
            reads=len(reads),
            messages=len(cloud.slack.messages),
            function_cpu=spent[0],
            rest_cpu=spent[1],
            peaks=(peaks[0], peaks[1]),
            reconcile_peak=results.peak_mib(reconciling.pid) if reconciling else 0.0,
        )
        served.stop()
        return done, told


def deliver(served: Any, cloud: Any, jobs: list[dict[str, Any]]) -> Counter[int]:
    """Every event once, many at a time; how often each status was answered."""

    def post(job: dict[str, Any]) -> int:
        body, headers = event(cloud, failure_line(cloud, job))
        return int(served.post(body, headers=headers)[0])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return Counter(pool.map(post, jobs))


def _table(storms: list[Storm]) -> str:
    rows = [
        ("events a second", [f"{FAILURES / one.seconds:.0f}" for one in storms]),
        ("handled (200) a second", [f"{one.handled_a_second:.1f}" for one in storms]),
        ("answered", [_counted(one.statuses) for one in storms]),
        ("delivered again, answered", [_counted(one.again) for one in storms]),
        ("jobs made, of those allowed", [f"{sum(one.made.values())} of {one.allowed}" for one in storms]),
        ("most jobs made of one failure", [str(max(one.made.values())) for one in storms]),
        ("Logging reads a minute", [f"{one.reads * 60 / max(one.seconds, 60):.0f}" for one in storms]),
        ("Logging reads refused by the service", [str(one.refused_reads) for one in storms]),
        ("messages to Slack", [str(one.messages) for one in storms]),
        ("CPU of the function, a handled event", [f"{1000 * one.cpu_of_a_handled_event:.0f} ms" for one in storms]),
        ("CPU of the function, an event", [f"{1000 * one.function_cpu / FAILURES:.0f} ms" for one in storms]),
        ("CPU of the twin and the deliverer, an event", [f"{1000 * one.rest_cpu / FAILURES:.0f} ms" for one in storms]),
        ("peak memory after half, after all", [f"{one.peaks[0]:.0f}, {one.peaks[1]:.0f} MiB" for one in storms]),
        ("peak memory of `reconcile`", [f"{one.reconcile_peak:.0f} MiB" for one in storms]),
    ]  # fmt: skip
    head = ["", *(f"ledger in {one.ledger}" for one in storms)]
    return results.table(head, [(words, *cells) for words, cells in rows])


def _counted(statuses: Counter[int]) -> str:
    return ", ".join(f"{count} of {status}" for status, count in sorted(statuses.items()))


def _profile(name: str, told: Mapping[str, Any]) -> str:
    """Where the function's own threads spent their CPU time, by the innermost function of ours."""
    all_of = sum(spent for _, spent in told["ours"]) or 1.0
    native = max(0.0, 1 - all_of / max(told["cpu"], all_of))
    rows = [(f"`{where}`", f"{spent / all_of:.0%}") for where, spent in told["ours"][:_TOLD]]
    head = (f"ledger in {name}: innermost function of ours", "of the Python threads' CPU time")
    return (
        results.table(head, rows)
        + f"\n\n{native:.0%} of the process's CPU time is spent in threads of no Python (gRPC's) or in "
        "such as live too briefly to be seen."
    )


if __name__ == "__main__":
    sys.exit(main())
