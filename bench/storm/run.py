"""A storm of 1,000 failures against the served function: events a second, and its peak memory.

Half of the failures are judged by their own error, half need Cloud Logging, which allows 60 reads a
minute; 429s of the twin's are counted. Every event is delivered once, then again as Pub/Sub would
what was answered with 5xx. Exit 1 where a job was made twice, a cap was passed, or memory grew by
more than `MOST_GROWTH_MIB` over the second half. `--quick`: 100 failures.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.reliability.conftest import event  # noqa: E402  # the checkout is found above
from tests.reliability.test_storm import (  # noqa: E402
    _OUT_OF_MEMORY,
    _UNCLEAR,
    POLICIES,
    failed_jobs,
    roots,
)
from tests.stories.conftest import TestCloud  # noqa: E402
from tests.stories.test_loop import failure_line  # noqa: E402

FAILURES = 100 if "--quick" in sys.argv else 1000
MOST_AN_HOUR = FAILURES // 4
AT_ONCE = 24
MOST_GROWTH_MIB = 40


def main() -> int:
    """Runs it; 0 where every bound held."""
    with TestCloud(lag=timedelta(0)) as cloud, tempfile.TemporaryDirectory() as folder:
        cloud.logs.reads_per_minute = 60
        file = Path(folder) / "policies.yaml"
        file.write_text(POLICIES.format(usd=1_000_000, rate=MOST_AN_HOUR))
        environment = cloud.env(
            REMEDIATOR_POLICIES=str(file),
            REMEDIATOR_LEDGER=f"sqlite:///{folder}/ledger.sqlite3",
        )
        served = cloud.serve(ROOT, "remediate", environment)
        reconciling = cloud.serve(ROOT, "reconcile", environment)
        clear = failed_jobs(cloud, FAILURES // 2, _OUT_OF_MEMORY, 0)
        unclear = failed_jobs(cloud, FAILURES // 2, _UNCLEAR, len(clear))
        jobs = [job for pair in zip(clear, unclear, strict=True) for job in pair]
        print(f"idle: {peak_mib(served.pid):.0f} MiB")

        statuses: Counter[int] = Counter()
        marks = []
        started = time.monotonic()
        for half in (jobs[: FAILURES // 2], jobs[FAILURES // 2 :]):
            statuses += deliver(served, cloud, half)
            marks.append(peak_mib(served.pid))
        seconds = time.monotonic() - started
        again = deliver(served, cloud, jobs)
        rounds = [reconciling.post()[0] for _ in range(3)]

        made = roots(cloud)
        throttled = len(
            cloud.calls("LoggingServiceV2.ListLogEntries", outcome="RESOURCE_EXHAUSTED")
        )
        print(
            f"{FAILURES} events in {seconds:.1f} s: {FAILURES / seconds:.0f} a second; {statuses}"
        )
        print(f"delivered again: {again}; rounds of reconcile: {rounds}")
        print(
            f"jobs made: {sum(made.values())} of at most {MOST_AN_HOUR}, {max(made.values())} each"
        )
        print(f"Logging reads refused: {throttled}; messages to Slack: {len(cloud.slack.messages)}")
        print(f"peak memory: {marks[0]:.0f} MiB after half, {marks[1]:.0f} MiB after all")
        print(f"of reconcile: {peak_mib(reconciling.pid):.0f} MiB")
        kept = (
            max(made.values()) == 1
            and sum(made.values()) == min(MOST_AN_HOUR, len(clear))
            and not throttled
            and marks[1] - marks[0] <= MOST_GROWTH_MIB
            and set(statuses) | set(again) <= {200, 503}
        )
        print("every bound kept" if kept else "A BOUND IS BROKEN")
        return 0 if kept else 1


def deliver(served: Any, cloud: Any, jobs: list[dict[str, Any]]) -> Counter[int]:
    """Every event once, many at a time; how often each status was answered."""

    def post(job: dict[str, Any]) -> int:
        body, headers = event(cloud, failure_line(cloud, job))
        return int(served.post(body, headers=headers)[0])

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return Counter(pool.map(post, jobs))


def peak_mib(pid: int) -> float:
    """The most memory that any process of the server ever held."""
    return max(_high_water(one) for one in _family(pid)) / 1024


def _family(pid: int) -> Iterator[int]:
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from _family(int(child))


def _high_water(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
