"""Several jobs' logs in one read: each gets what it would have got alone, in fewer reads."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from remediator.cloud.logs import Logs, job_log_filter
from remediator.cloud.shared_reads import SharedReads, Tail
from remediator.domain import (
    JobKind,
    JobName,
    Json,
    PermanentError,
    TransientError,
)
from tests.cloud.conftest import NOW
from tests.waiting import wait_until
from twin.clock import rfc3339
from twin.cloud import Cloud

START, END = NOW - timedelta(hours=2), NOW


def line(number: int, job: str) -> dict[str, Any]:
    return {
        "resource": {
            "type": "ml_job",
            "labels": {"job_id": job, "task_name": "workerpool0-0", "project_id": "genomics-lab"},
        },
        "timestamp": rfc3339(START + timedelta(seconds=number)),
        "insertId": f"{job}-{number:05d}",
        "textPayload": f"line {number} of {job}",
    }


def tail(job: str, *, limit: int = 1000, start_after: float = 0.0) -> Tail:
    start = START + timedelta(seconds=start_after)
    name = JobName("genomics-lab", "us-central1", JobKind.CUSTOM, job)
    query = job_log_filter(name, (), start, END)
    return Tail("genomics-lab", query, frozenset({job}), start, END, limit, 1_000_000)


class Service:
    """Answers reads from `entries`; the first waits until `gate` is opened."""

    def __init__(self, entries: list[Json]) -> None:
        self.entries = entries
        self.queries: list[str] = []
        self.gate = threading.Event()
        self.asked = threading.Event()
        self.error: Exception | None = None

    def read(
        self, project: str, query: str, limit: int, most_bytes: int, seconds: float
    ) -> tuple[Json, ...]:
        del project, most_bytes, seconds
        self.queries.append(query)
        if len(self.queries) == 1:
            self.asked.set()
            assert self.gate.wait(20)
        if self.error is not None and len(self.queries) > 1:
            raise self.error
        named = [
            entry for entry in self.entries if f'"{entry["resource"]["labels"]["job_id"]}"' in query
        ]
        newest_first = sorted(named, key=lambda entry: str(entry["timestamp"]), reverse=True)
        return tuple(newest_first[:limit])


def asked_together(service: Service, shared: SharedReads, tails: list[Tail]) -> list[Any]:
    """The first is being read while all others come; what each is answered, or its error."""

    def ask(wanted: Tail) -> Any:
        try:
            return [entry["textPayload"] for entry in shared.tail(wanted, 20.0)]
        except (TransientError, PermanentError) as err:
            return err

    with ThreadPoolExecutor(len(tails)) as pool:
        first = pool.submit(ask, tails[0])
        assert service.asked.wait(20)
        others = [pool.submit(ask, wanted) for wanted in tails[1:]]
        while len(shared._waiting) < len(others):
            threading.Event().wait(0.001)
        service.gate.set()
        return [done.result(20) for done in (first, *others)]


def test_those_who_come_meanwhile_are_read_for_at_once() -> None:
    jobs = [str(700 + number) for number in range(9)]
    service = Service([line(number, job) for job in jobs for number in range(3)])
    found = asked_together(service, SharedReads(service.read), [tail(job) for job in jobs])
    assert found == [[f"line {n} of {job}" for n in (2, 1, 0)] for job in jobs]
    assert len(service.queries) == 2


def test_a_log_that_may_be_cut_is_read_alone_and_a_later_one_is_not() -> None:
    long = [line(number, "801") for number in range(1500)]
    short = [line(number, "802") for number in (2000, 10)]  # its old line is beyond the page
    late = [line(number, "803") for number in (2001, 2002)]
    service = Service([*long, *short, *late])
    shared = SharedReads(service.read)
    tails = [tail("800"), tail("801"), tail("802"), tail("803", start_after=1900.0)]
    found = asked_together(service, shared, tails)
    assert [len(lines) for lines in found] == [0, 1000, 2, 2]
    assert found[1][-1] == "line 500 of 801"
    assert len(service.queries) == 4  # the first, all others, then 801 and 802 alone


def test_a_limit_of_ones_own_is_kept() -> None:
    service = Service([line(number, "901") for number in range(9)])
    found = asked_together(
        service, SharedReads(service.read), [tail("900"), tail("901", limit=4), tail("902")]
    )
    assert [len(lines) for lines in found] == [0, 4, 0]


@pytest.mark.parametrize(
    ("error", "reads"),
    [
        pytest.param(TransientError("busy"), 2, id="for-all"),  # not asked again one by one
        pytest.param(PermanentError("that query"), 4, id="each-alone"),
    ],
)
def test_an_error_reaches_all_who_asked(error: Exception, reads: int) -> None:
    service = Service([])
    service.error = error
    found = asked_together(service, SharedReads(service.read), [tail("1"), tail("2"), tail("3")])
    assert found[0] == []
    assert [str(one) for one in found[1:]] == [str(error)] * 2
    assert len(service.queries) == reads


def test_a_query_stays_within_what_logging_takes() -> None:
    jobs = [f"{number}" * 30 for number in range(100, 160)]
    service = Service([])
    asked_together(service, SharedReads(service.read), [tail(job) for job in jobs])
    assert max(len(query) for query in service.queries) <= 20_000
    assert len(service.queries) < 6


def test_after_some_reads_of_a_minute_the_others_are_spaced() -> None:
    service = Service([])
    service.gate.set()
    moment, slept = 1000.0, []

    def wait(_: threading.Event, seconds: float) -> None:
        nonlocal moment
        slept.append(round(seconds, 3))
        moment += seconds

    shared = SharedReads(service.read, clock=lambda: moment, wait=wait)
    for number in range(26):
        shared.tail(tail(str(number)), 20.0)
    ramp = [round(0.1 * step, 1) for step in range(1, 20)]
    assert slept == [*ramp, *[2.0] * 4]  # the first three wait for nobody
    moment += 61.0
    shared.tail(tail("99"), 20.0)
    assert len(slept) == 23


def test_the_last_reads_of_a_minute_are_spread_over_the_rest_of_it() -> None:
    service = Service([])
    service.gate.set()
    moment, times = 1000.0, []

    def wait(crowd: threading.Event, seconds: float) -> None:
        nonlocal moment
        assert not crowd.is_set()
        moment += seconds

    shared = SharedReads(service.read, clock=lambda: moment, wait=wait)
    for number in range(120):
        shared.tail(tail(str(number)), 60.0)
        times.append(moment)
    assert all(times[n + 50] - times[n] >= 59.9 for n in range(len(times) - 50))


@pytest.mark.parametrize(
    ("askers", "crowd"),
    [
        pytest.param(100, 16, id="many"),
        pytest.param(4, 4, id="all-there-are"),
        pytest.param(1, 1, id="alone"),
    ],
)
def test_a_crowd_is_not_put_off_for_more_to_come(askers: int, crowd: int) -> None:
    service = Service([])
    service.gate.set()
    came = []

    def wait(crowd: threading.Event, _: float) -> None:
        came.append(crowd.wait(20))

    now = 1000.0
    shared = SharedReads(service.read, askers=lambda: askers, clock=lambda: now, wait=wait)
    for number in range(3):
        shared.tail(tail(str(number)), 20.0)
    late = [tail(str(number)) for number in range(100, 100 + crowd)]
    with ThreadPoolExecutor(crowd) as pool:
        list(pool.map(lambda wanted: shared.tail(wanted, 20.0), late))
    assert came == [True] or not came  # all may be there before the first of them looks
    assert len(service.queries) == 4


@pytest.mark.parametrize(
    ("reads", "seconds"),
    [
        pytest.param(50, 3.0, id="a-minute-nearly-used-up"),
        pytest.param(12, 0.7, id="less-time-than-the-space"),
        pytest.param(12, 2.5, id="a-part-of-the-space"),
    ],
)
def test_the_time_that_a_read_needs_is_not_waited_away(reads: int, seconds: float) -> None:
    given: list[float] = []

    def read(*asked: Any) -> tuple[Json, ...]:
        given.append(asked[-1])
        return ()

    shared = SharedReads(read, askers=lambda: 4)
    shared._times.extend([time.monotonic()] * reads)
    assert shared.tail(tail("1"), seconds) == ()
    assert given[0] >= min(seconds, 2.0) - 0.2


def ask_beside(shared: SharedReads, held: threading.Event, ends: list[float]) -> list[Any]:
    """What those are answered whom one read serves, each with so many seconds; the first is the reader."""

    def ask(number: int, seconds: float) -> Any:
        try:
            return shared.tail(tail(str(number)), seconds)
        except TransientError as err:
            return err

    with ThreadPoolExecutor(len(ends)) as pool:
        asked = [pool.submit(ask, 0, ends[0])]
        assert held.wait(20)
        for number, seconds in enumerate(ends[1:], 1):
            asked.append(pool.submit(ask, number, seconds))
            wait_until(lambda number=number: len(shared._waiting) == number + 1)
        shared._crowd.set()
        return [one.result(30) for one in asked]


@pytest.mark.parametrize(
    ("error", "reads", "failed"),
    [
        pytest.param(TransientError("slow"), 2, 2, id="in-vain"),
        pytest.param(TransientError("busy", retry_after_seconds=5.0), 2, 2, id="after-a-wait"),
        pytest.param(TransientError("spent", retry_after_seconds=60.0), 1, 4, id="too-long-a-wait"),
    ],
)
def test_who_has_more_time_than_the_reader_asks_again(
    error: TransientError, reads: int, failed: int
) -> None:
    given: list[float] = []
    held = threading.Event()

    def read(*asked: Any) -> tuple[Json, ...]:
        given.append(asked[-1])
        if len(given) == 1:
            raise error
        return ()

    def wait(crowd: threading.Event, _: float) -> None:
        if not held.is_set():  # the second read need not wait
            held.set()
            crowd.wait(20)

    now = 1000.0
    shared = SharedReads(read, clock=lambda: now, wait=wait)
    shared._times.extend([now] * 12)
    found = ask_beside(shared, held, [4.0, 4.0, 15.0, 15.0])
    assert [one for one in found if one != ()] == [error] * failed
    assert found[:2] == [error, error]
    assert len(given) == reads
    assert given[0] <= 4.0
    assert all(seconds > 10.0 for seconds in given[1:])


def test_through_the_service_each_job_gets_its_own_lines(cloud: Cloud, logs: Logs) -> None:
    jobs = [str(70 + number) for number in range(12)]
    for job in jobs:
        for number in range(3):
            cloud.log(line(number, job), route=False)
    wanted = [tail(job) for job in jobs]

    def ask(one: Tail) -> list[str]:
        found = logs.tail(
            one.project,
            one.query,
            job_ids=one.job_ids,
            between=(one.start, one.end),
            limit=one.limit,
            most_bytes=one.most_bytes,
            timeout_seconds=10.0,
        )
        return [str(entry["textPayload"]) for entry in found]

    with ThreadPoolExecutor(len(wanted)) as pool:
        found = list(pool.map(ask, wanted))
    assert found == [[f"line {n} of {job}" for n in (2, 1, 0)] for job in jobs]
    assert len(cloud.calls("LoggingServiceV2.ListLogEntries")) <= len(jobs)
