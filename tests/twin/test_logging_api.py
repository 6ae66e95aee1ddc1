"""Cloud Logging in the twin, by Google's generated client, and the sink behind it."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud.logging_v2.types import LogEntry
from google.protobuf import json_format

from twin.cloud import Cloud
from twin.grammar import parse

FILTER = 'resource.type="ml_job" AND severity>=ERROR'


def line(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "logName": "projects/genomics-lab/logs/work",
        "resource": {"type": "ml_job", "labels": {"job_id": str(number)}},
        "timestamp": f"2026-11-23T10:{number:02d}:00Z",
        "severity": "ERROR",
        "textPayload": f"line {number}",
        **fields,
    }


def test_entries_are_listed_in_order_and_in_pages(cloud: Cloud, clients: Any) -> None:
    for number in (3, 1, 2, 5, 4):
        cloud.log(line(number))
    request = {
        "resource_names": [f"projects/{cloud.project}"],
        "filter": 'resource.type="ml_job" AND timestamp<"2026-11-23T10:05:00Z"',
        "order_by": "timestamp desc",
        "page_size": 2,
    }
    found = list(clients.logs.list_log_entries(request=request))
    assert [entry.text_payload for entry in found] == ["line 4", "line 3", "line 2", "line 1"]
    assert found[0].insert_id
    assert len(cloud.calls("LoggingServiceV2.ListLogEntries")) == 2


def test_audit_payloads_survive_the_wire(cloud: Cloud, clients: Any) -> None:
    payload = {
        "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
        "serviceName": "aiplatform.googleapis.com",
        "status": {"code": 8, "message": "quota"},
    }
    cloud.log({"protoPayload": payload})
    (entry,) = clients.logs.list_log_entries(
        request={"resource_names": [f"projects/{cloud.project}"], "filter": "protoPayload:*"}
    )
    assert json_format.MessageToDict(LogEntry.pb(entry))["protoPayload"] == payload


def test_the_same_entry_written_twice_is_one(cloud: Cloud, clients: Any) -> None:
    heard: list[Any] = []
    cloud.logs.listeners.append(heard.append)
    entry = {
        "log_name": f"projects/{cloud.project}/logs/vertex/remediator",
        "resource": {"type": "global"},
        "insert_id": "fixed",
        "timestamp": {"seconds": 1_763_900_000},
        "json_payload": {"job": "j"},
    }
    for _ in range(2):
        clients.logs.write_log_entries(entries=[entry])
    clients.logs.write_log_entries(entries=[{**entry, "insert_id": "other"}])
    assert len(heard) == 2
    assert heard[0]["logName"] == f"projects/{cloud.project}/logs/vertex%2Fremediator"
    assert heard[0]["jsonPayload"] == {"job": "j"}


def test_defaults_of_a_write_hold_for_its_entries(cloud: Cloud, clients: Any) -> None:
    clients.logs.write_log_entries(
        request={
            "log_name": f"projects/{cloud.project}/logs/x",
            "resource": {"type": "global"},
            "labels": {"a": "1", "b": "1"},
            "entries": [{"text_payload": "t", "labels": {"b": "2"}}],
        }
    )
    (entry,) = cloud.logs.find("textPayload=t")
    assert entry["labels"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"resource_names": ["projects/other"]}, exceptions.PermissionDenied),
        ({"resource_names": []}, exceptions.InvalidArgument),
        ({"filter": "severity>="}, exceptions.InvalidArgument),
        ({"filter": "a" * 20_001}, exceptions.InvalidArgument),
        ({"order_by": "severity"}, exceptions.InvalidArgument),
    ],
    ids=["another-project", "no-project", "bad-filter", "long-filter", "bad-order"],
)
def test_bad_reads_are_refused(
    cloud: Cloud, clients: Any, request_: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        clients.logs.list_log_entries(
            request={"resource_names": [f"projects/{cloud.project}"], **request_}
        )


def test_reads_have_a_quota_a_minute(cloud: Cloud, clients: Any) -> None:
    cloud.logs.reads_per_minute = 2
    request = {"resource_names": [f"projects/{cloud.project}"]}
    for _ in range(2):
        clients.logs.list_log_entries(request=request)
    with pytest.raises(exceptions.ResourceExhausted, match="Read requests per minute"):
        clients.logs.list_log_entries(request=request, retry=None)
    cloud.clock.advance(61)
    clients.logs.list_log_entries(request=request)


# --- the sink ----------------------------------------------------------------------------------


class Function:
    """A receiver on loopback: keeps requests, answers with what is planned, then with 200."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.answers: list[int] = []
        outer = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the standard library's name
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                headers = {key.lower(): value for key, value in self.headers.items()}
                outer.requests.append((self.path, headers, body))
                self.send_response(outer.answers.pop(0) if outer.answers else 200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def function() -> Iterator[Function]:
    made = Function()
    yield made
    made.close()


def inner(body: dict[str, Any]) -> dict[str, Any]:
    return dict(json.loads(base64.b64decode(body["message"]["data"])))


def test_matched_entries_arrive_as_eventarc_posts_them(cloud: Cloud, function: Function) -> None:
    sink = cloud.add_sink(function.url, FILTER)
    cloud.log(line(1))
    cloud.log(line(2, severity="INFO"))
    cloud.log(line(3), route=False)
    assert sink.wait_idle()
    ((path, headers, body),) = function.requests
    assert path == "/"
    assert headers["ce-type"] == "google.cloud.pubsub.topic.v1.messagePublished"
    assert headers["ce-source"] == f"//pubsub.googleapis.com/{sink.topic}"
    assert headers["ce-specversion"] == "1.0"
    assert headers["ce-id"] == body["message"]["messageId"]
    assert inner(body)["textPayload"] == "line 1"
    assert body["subscription"] == sink.subscription


def test_the_legacy_push_body_names_the_topic_in_its_path(cloud: Cloud, function: Function) -> None:
    sink = cloud.add_sink(function.url, FILTER, shape="push")
    cloud.log(line(1))
    assert sink.wait_idle()
    ((path, headers, body),) = function.requests
    assert path == f"/{sink.topic}"
    assert not any(key.startswith("ce-") for key in headers)
    assert inner(body)["textPayload"] == "line 1"


def test_what_fails_is_delivered_again_and_then_is_a_dead_letter(
    cloud: Cloud, function: Function
) -> None:
    sink = cloud.add_sink(function.url, FILTER, max_attempts=3, backoff=0.01)
    function.answers = [503, 500]
    cloud.log(line(1))
    assert sink.wait_idle()
    assert [message.answers for message in sink.delivered] == [[503, 500, 200]]
    assert "deliveryAttempt" not in function.requests[0][2]
    assert function.requests[2][2]["deliveryAttempt"] == 3
    function.answers = [500] * 3
    cloud.log(line(2))
    assert sink.wait_idle()
    assert [message.entry["textPayload"] for message in sink.dead_letters] == ["line 2"]


def test_a_paused_sink_loses_what_it_would_have_told(cloud: Cloud, function: Function) -> None:
    sink = cloud.add_sink(function.url, FILTER)
    sink.paused = True
    cloud.log(line(1))
    sink.paused = False
    cloud.log(line(2))
    assert sink.wait_idle()
    assert [inner(body)["textPayload"] for _, _, body in function.requests] == ["line 2"]
    assert [entry["textPayload"] for entry in sink.lost] == ["line 1"]


def test_at_least_once_may_be_twice(cloud: Cloud, function: Function) -> None:
    sink = cloud.add_sink(function.url, FILTER, copies=2)
    cloud.log(line(1))
    assert sink.wait_idle()
    sink.redeliver(sink.delivered[0])
    assert sink.wait_idle()
    ids = [body["message"]["messageId"] for _, _, body in function.requests]
    assert len(ids) == 3
    assert len(set(ids)) == 1


def test_a_job_that_fails_is_told_by_its_service_lines(
    cloud: Cloud, function: Function, custom_job: Callable[..., dict[str, Any]]
) -> None:
    from twin.physics import Needs

    sink = cloud.add_sink(function.url, 'resource.labels.task_name="service" AND severity>=ERROR')
    job = cloud.submit("customJobs", custom_job(), Needs(raises="ValueError: x"))
    cloud.clock.advance(3600)
    assert sink.wait_idle()
    told = [inner(body) for _, _, body in function.requests]
    assert {entry["resource"]["labels"]["job_id"] for entry in told} == {
        job["name"].rpartition("/")[2]
    }
    assert "Job failed." in {entry["textPayload"] for entry in told}


def test_a_read_looks_at_its_own_jobs_alone_among_very_many_entries(
    cloud: Cloud, clients: Any
) -> None:
    for number in range(20_000):
        cloud.log(line(number % 60, insertId=str(number), resource=_of(number // 20)))
    request = {
        "resource_names": [f"projects/{cloud.project}"],
        "filter": (
            'resource.type=("ml_job" OR "cloudml_job") AND resource.labels.job_id=("17" OR "18") '
            'AND timestamp>="2026-11-23T00:00:00Z"'
        ),
        "page_size": 1000,
    }
    assert len(list(clients.logs.list_log_entries(request=request))) == 40
    assert len(cloud.logs._entries.candidates(parse(request["filter"]))) == 40


def _of(job: int) -> dict[str, Any]:
    return {"type": "ml_job", "labels": {"job_id": str(job)}}
