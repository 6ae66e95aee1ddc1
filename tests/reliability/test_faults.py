"""Each service failing in each way, one row at a time: what becomes of the event, and of the alert.

`docs/reliability.md` shows the same table; `test_documents` holds the two equal.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from remediator.deadline import deadline
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs
from twin import faults

FOREVER = float("inf")

# What may go wrong at a gRPC service, by the name it has in the table: the fault and how often.
WAYS = {
    "UNAVAILABLE once": (faults.status("UNAVAILABLE"), 1),
    "DEADLINE_EXCEEDED once": (faults.status("DEADLINE_EXCEEDED"), 1),
    "RESOURCE_EXHAUSTED once": (faults.status("RESOURCE_EXHAUSTED"), 1),
    "RESOURCE_EXHAUSTED once, RetryInfo": (faults.status("RESOURCE_EXHAUSTED", retry_after=0.3), 1),
    "RESOURCE_EXHAUSTED, RetryInfo of an hour": (
        faults.status("RESOURCE_EXHAUSTED", retry_after=3600),
        FOREVER,
    ),
    "INTERNAL once": (faults.status("INTERNAL"), 1),
    "PERMISSION_DENIED": (
        faults.status(
            "PERMISSION_DENIED", "Permission 'some.read.permission' denied on resource 'x'"
        ),
        FOREVER,
    ),
    "hang once": (faults.hang(), 1),
    "answer lost once": (faults.lost_answer(), 1),
}
HTTP = {
    "UNAVAILABLE once": (faults.status("503"), 1),
    "DEADLINE_EXCEEDED once": (faults.status("504"), 1),
    "RESOURCE_EXHAUSTED once": (faults.status("429"), 1),
    "RESOURCE_EXHAUSTED once, RetryInfo": (faults.status("429", retry_after=1), 1),
    "RESOURCE_EXHAUSTED, RetryInfo of an hour": (faults.status("429", retry_after=3600), FOREVER),
    "INTERNAL once": (faults.status("500"), 1),
    "PERMISSION_DENIED": (
        faults.status("403", "Permission 'some.read.permission' denied"),
        FOREVER,
    ),
    "hang once": (faults.hang(), 1),
    "answer lost once": (faults.Fault(drop=True, after=True), 1),
}

MAIL = {
    "UNAVAILABLE once": (faults.status("421"), 1),
    "DEADLINE_EXCEEDED once": (faults.status("451"), 1),
    "RESOURCE_EXHAUSTED once": (faults.status("452"), 1),
    "RESOURCE_EXHAUSTED once, RetryInfo": (faults.status("450", "4.7.1 try again later"), 1),
    "RESOURCE_EXHAUSTED, RetryInfo of an hour": (faults.status("452"), FOREVER),
    "INTERNAL once": (faults.status("454"), 1),
    "PERMISSION_DENIED": (faults.status("550", "5.7.1 not allowed"), FOREVER),
    "answer lost once": (faults.Fault(drop=True, after=True), 1),
}
BY_HTTP = {"Slack": HTTP, "Storage read": HTTP, "SMTP": MAIL}


@dataclass(frozen=True)
class Row:
    """`says`: what becomes of the event; `jobs` after the first delivery, and after all of them."""

    service: str
    way: str
    says: str
    statuses: tuple[int, ...]
    jobs: tuple[int, int] = (1, 1)
    told: str = ""  # words that an alert holds

    @property
    def id(self) -> str:
        return f"{self.service}: {self.way}"

    def alerts(self, channel: str) -> int:
        """How often a channel hears of the resubmission in the end."""
        if channel != self.service:
            return 1
        return {MISCONFIGURED: 0, TWICE: 2}.get(self.says, 1)


METHODS = {
    "Vertex get": "JobService.GetCustomJob",
    "Vertex list": "JobService.ListCustomJobs",
    "Vertex create": "JobService.CreateCustomJob",
    "Logging read": "LoggingServiceV2.ListLogEntries",
    "Monitoring read": "MetricService.ListTimeSeries",
    "Storage read": "storage.*",
    "Slack": "slack.webhook",
    "SMTP": "smtp",
}
RETRIED = "tried again at once"
LATER = "503: delivered again"
NAMED = "an alert names the permission; 503 until it is granted"
REFUSED = "an alert names the permission; nothing is made"
WITHOUT = "decided without it; the alert names the gap"
OUTBOX = "the job is made; the alert is enqueued and sent later"
TWICE = "the job is made; the alert may come twice"
MISCONFIGURED = "the job is made; the alert is tried for three days"
ADOPTED = "found by its claim, not repeated"
HOUR = "RESOURCE_EXHAUSTED, RetryInfo of an hour"
DENIED = "PERMISSION_DENIED"

_PASSING = tuple(way for way in WAYS if way not in (HOUR, DENIED, "hang once"))


def _needed(service: str, *, hang: str) -> list[Row]:
    """A read that the story cannot do without."""
    return [
        *(Row(service, way, RETRIED, (200, 200)) for way in _PASSING),
        Row(
            service,
            "hang once",
            hang,
            *(((200, 200),) if hang == RETRIED else ((503, 200), (0, 1))),
        ),
        Row(service, HOUR, LATER, (503, 200), (0, 1)),
        Row(service, DENIED, NAMED, (503, 503), (0, 0), "some.read.permission"),
    ]


def _evidence(service: str) -> list[Row]:
    """A source of evidence: here only Monitoring's cannot be done without."""
    rows = [
        *(Row(service, way, RETRIED, (200, 200)) for way in _PASSING),
        Row(service, "hang once", LATER, (503, 200), (0, 1)),
    ]
    if service == "Monitoring read":
        rows.append(Row(service, HOUR, LATER, (503, 200), (0, 1)))
        rows.append(Row(service, DENIED, REFUSED, (200, 200), (0, 0), "some.read.permission"))
    else:
        rows.append(Row(service, HOUR, WITHOUT, (200, 200)))
        rows.append(Row(service, DENIED, WITHOUT, (200, 200), (1, 1), "some.read.permission"))
    return rows


def _channel(service: str) -> list[Row]:
    """A channel: never a reason to repeat or to withhold a resubmission. Its hang: see below."""
    return [
        *(Row(service, way, OUTBOX, (200, 200)) for way in (*_PASSING[:-1], HOUR)),
        Row(service, DENIED, MISCONFIGURED, (200, 200)),
        Row(service, "answer lost once", TWICE, (200, 200)),
    ]


ROWS = [
    *_needed("Vertex get", hang=RETRIED),
    *_needed("Vertex list", hang=LATER),
    Row("Vertex create", "UNAVAILABLE once", LATER, (503, 200), (0, 1)),
    Row("Vertex create", "DEADLINE_EXCEEDED once", LATER, (503, 200), (0, 1)),
    Row("Vertex create", "RESOURCE_EXHAUSTED once", RETRIED, (200, 200)),
    Row("Vertex create", "RESOURCE_EXHAUSTED once, RetryInfo", RETRIED, (200, 200)),
    Row("Vertex create", HOUR, LATER, (503, 200), (0, 1)),
    Row("Vertex create", "INTERNAL once", LATER, (503, 200), (0, 1)),
    Row("Vertex create", DENIED, REFUSED, (200, 200), (0, 0), "some.read.permission"),
    Row("Vertex create", "hang once", LATER, (503, 200), (0, 1)),
    Row("Vertex create", "answer lost once", ADOPTED, (200, 200)),
    *_evidence("Logging read"),
    *_evidence("Monitoring read"),
    *_evidence("Storage read"),
    *_channel("Slack"),
    *_channel("SMTP"),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_each_service_failing_in_each_way(
    row: Row, cloud: Any, open_house: Callable[..., Any], later: Callable[..., None]
) -> None:
    house = open_house(REMEDIATOR_CONSISTENCY_WAIT="0s")
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    fault, times = BY_HTTP.get(row.service, WAYS)[row.way]
    cloud.fail(METHODS[row.service], fault, times=times)
    entry = failure_line(cloud, job)

    # A hang takes half of the time that there is; so less of it is given.
    with deadline(7.0 if row.statuses[0] == 503 else 60.0):
        first = house.hear(entry)
    after_first = len(made_jobs(cloud, job))
    assert times == FOREVER or not cloud.desk.faults._planned, "the fault was never met"
    if row.way != DENIED:
        cloud.desk.faults.clear()
    with contextlib.suppress(sqlite3.OperationalError):  # where nothing was written yet
        later(minutes=1)
    second = house.hear(entry)
    later(hours=2)
    house.reconcile()

    assert (first, second) == row.statuses
    assert (after_first, len(made_jobs(cloud, job))) == row.jobs
    resubmitted = [one for one in cloud.slack.messages if "Resubmitted" in one.text]
    if row.jobs[1]:
        assert len(resubmitted) == row.alerts("Slack")
        assert len(cloud.mail.messages) == row.alerts("SMTP")
    else:
        assert resubmitted == []
    if row.told:
        assert row.told in cloud.slack.messages[0].text


# --- a ledger that cannot be used -------------------------------------------------------------------


class _Firestore(grpc.GenericRpcHandler):
    """A Firestore that answers every call with one status."""

    def __init__(self, code: grpc.StatusCode) -> None:
        self._code = code

    def service(self, call: Any) -> Any:
        def refuse(_request: bytes, context: Any) -> None:
            context.abort(self._code, "Missing or insufficient permissions.")

        def refuse_stream(_request: bytes, context: Any) -> Iterator[bytes]:
            yield context.abort(self._code, "Missing or insufficient permissions.")

        if call.method.endswith(("BatchGetDocuments", "RunQuery")):
            return grpc.unary_stream_rpc_method_handler(refuse_stream)
        return grpc.unary_unary_rpc_method_handler(refuse)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        pytest.param(grpc.StatusCode.PERMISSION_DENIED, "roles/datastore.user", id="forbidden"),
        pytest.param(grpc.StatusCode.NOT_FOUND, "NOT_FOUND", id="no-such-database"),
    ],
)
def test_without_a_ledger_no_event_is_taken_and_nothing_is_made(
    code: grpc.StatusCode,
    said: str,
    cloud: Any,
    open_house: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What cannot be remembered is not acknowledged either: the event comes again."""
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, handlers=(_Firestore(code),))
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", f"127.0.0.1:{port}")
        house = open_house(REMEDIATOR_LEDGER="firestore://(default)/remediator")
        job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
        assert house.hear(failure_line(cloud, job)) == 503
        assert house.clients["reconcile"].post("/").status_code == 503
        server.stop(None)
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if line[:1] == "{"]
    assert any(said in line["message"] for line in lines)
    assert cloud.creates() == []
    assert cloud.slack.messages == []
