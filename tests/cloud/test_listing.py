"""What a list asks of each job, and that what was parsed once is not parsed again."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
from google.cloud import aiplatform_v1 as vertex_v1
from google.cloud import monitoring_v3
from google.protobuf.message import DecodeError

from remediator.case import Series
from remediator.cloud.listing import ParsedJobs, field_mask, page_type
from remediator.cloud.metrics import series_of
from remediator.cloud.proto_json import from_json, to_json
from remediator.cloud.vertex import Vertex
from remediator.deadline import call_with_retries
from remediator.domain import JobKind, TransientError
from remediator.job import Job, JobView
from tests import jobs
from twin.cloud import Cloud

TYPES: dict[JobKind, Any] = {
    JobKind.BATCH_PREDICTION: vertex_v1.BatchPredictionJob,
    JobKind.CUSTOM: vertex_v1.CustomJob,
    JobKind.HYPERPARAMETER_TUNING: vertex_v1.HyperparameterTuningJob,
    JobKind.TRAINING_PIPELINE: vertex_v1.TrainingPipeline,
    JobKind.PIPELINE: vertex_v1.PipelineJob,
}


def sent(body: dict[str, Any]) -> Any:
    """The job as Vertex sends it."""
    kind = Job.parse(body).kind
    return TYPES[kind].pb(from_json(body, TYPES[kind]()))


def masked(body: dict[str, Any], view: JobView) -> dict[str, Any]:
    """What the view's field mask leaves of the job."""
    kind = Job.parse(body).kind
    mask = field_mask(kind, view, TYPES[kind].pb())
    fields = {f.json_name for f in TYPES[kind].pb().DESCRIPTOR.fields if f.name in mask}
    return {key: value for key, value in to_json(sent(body)).items() if key in fields}


@pytest.mark.parametrize("body", jobs.EVERY_KIND, ids=lambda body: str(body["displayName"]))
def test_a_view_keeps_all_that_is_asked_of_it(body: dict[str, Any]) -> None:
    whole = Job.parse(to_json(sent(body)))
    request = Job.parse(masked(body, JobView.REQUEST))
    for asked in ("workload_digest", "programs", "state", "labels", "create_time", "pools"):
        assert getattr(request, asked) == getattr(whole, asked)
    assert not request.has_error
    assert Job.parse(masked(body, JobView.CHILDREN)).children == whole.children
    ending = Job.parse(masked(body, JobView.ENDING))
    assert (ending.state, ending.end_time, ending.error_message) == (
        whole.state,
        whole.end_time,
        whole.error_message,
    )


@pytest.mark.parametrize("kind", JobKind)
@pytest.mark.parametrize("view", JobView)
def test_a_mask_names_fields_of_the_message(kind: JobKind, view: JobView) -> None:
    known = {field.name for field in TYPES[kind].pb().DESCRIPTOR.fields}
    assert set(field_mask(kind, view, TYPES[kind].pb())) <= known


def test_the_mask_is_sent_with_the_list(cloud: Cloud, vertex: Vertex) -> None:
    cloud.add_job({**jobs.TUNING, "name": cloud.name("hyperparameterTuningJobs", "99")})
    kind = JobKind.HYPERPARAMETER_TUNING
    (found,) = vertex.list(kind, cloud.project, "us-central1", view=JobView.CHILDREN)
    (call,) = cloud.calls("JobService.ListHyperparameterTuningJobs")
    assert call.request["readMask"] == "name,displayName,state,labels,createTime,trials"
    assert len(found.children) == 3
    assert found.pools == ()  # it was not sent


def test_a_listed_job_is_parsed_once_and_again_when_it_changes(
    cloud: Cloud, vertex: Vertex
) -> None:
    name = cloud.name("customJobs", "77")
    cloud.add_job({**jobs.CUSTOM, "name": name, "state": "JOB_STATE_RUNNING"})

    def listed() -> Job:
        (found,) = vertex.list(JobKind.CUSTOM, cloud.project, "us-central1")
        return found

    first = listed()
    assert listed() is first
    cloud.jobs.change(name, state="JOB_STATE_FAILED")
    changed = listed()
    assert changed is not first
    assert (first.state, changed.state) == ("RUNNING", "FAILED")


def numbered(number: int, size: int = 0) -> bytes:
    note = {"labels": {"note": "x" * size}} if size else {}
    body = {**jobs.CUSTOM, "name": f"projects/p/locations/l/customJobs/{number}", **note}
    return bytes(sent(body).SerializeToString(deterministic=True))


def parsed_by(store: ParsedJobs, *listed: bytes) -> list[Job]:
    return list(store.of_page(listed, CUSTOM))


def test_what_is_kept_is_bounded_and_the_last_stay() -> None:
    parsed = ParsedJobs(most_bytes=2 * len(numbered(100)))
    (first,) = parsed_by(parsed, numbered(100))
    parsed_by(parsed, numbered(101))
    assert parsed_by(parsed, numbered(100)) == [first]
    parsed_by(parsed, numbered(102))  # pushes out 101, which was asked for least lately
    assert parsed_by(parsed, numbered(100))[0] is first
    (second,) = parsed_by(parsed, numbered(101))
    assert parsed_by(parsed, numbered(101))[0] is second


def test_a_very_long_job_pushes_out_no_other() -> None:
    parsed = ParsedJobs()
    short, long = parsed_by(parsed, numbered(1), numbered(2, size=100_000))
    again = parsed_by(parsed, numbered(2, size=100_000), numbered(1))
    assert again[0] is not long
    assert again[1] is short


def test_a_job_whose_labels_come_in_another_order_is_parsed_once() -> None:
    plain = CUSTOM.FromString(numbered(3))
    labels = {"a": "1", "b": "2"}
    orders = [
        plain.SerializeToString(deterministic=True)
        + b"".join(CUSTOM(labels={key: labels[key]}).SerializeToString() for key in order)
        for order in ("ab", "ba")
    ]
    parsed = ParsedJobs()
    first, second = parsed_by(parsed, *orders)
    assert orders[0] != orders[1]
    assert second is first
    assert first.labels.items() >= labels.items()


def test_what_is_no_message_is_asked_for_again() -> None:
    with pytest.raises(TransientError, match="a listed job cannot be read"):
        parsed_by(ParsedJobs(), b"\xff")


# --- pages ------------------------------------------------------------------------------------------

PAGE: Any = vertex_v1.ListCustomJobsResponse.pb()
CUSTOM: Any = vertex_v1.CustomJob.pb()


@pytest.mark.parametrize("size", [0, 1, 100, 20_000, 3_000_000])
@pytest.mark.parametrize("token", ["", "next", "é" * 200])
def test_a_page_is_cut_into_its_jobs(size: int, token: str) -> None:
    every = [CUSTOM(display_name="x" * size), CUSTOM(), CUSTOM(display_name="last")]
    page = PAGE(custom_jobs=every, next_page_token=token).SerializeToString()
    found = page_type(PAGE, "custom_jobs").FromString(page)
    assert list(found.jobs) == [one.SerializeToString() for one in every]
    assert found.next_page_token == token


def test_a_page_with_a_field_of_another_version_loses_no_job() -> None:
    job = CUSTOM(display_name="kept")
    page = PAGE(custom_jobs=[job], next_page_token="t").SerializeToString()
    for other in (b"\x18\x05", b"\x1a\x02ab", b"\x8a\x7d\x01x"):
        found = page_type(PAGE, "custom_jobs").FromString(other + page)
        assert (list(found.jobs), found.next_page_token) == ([job.SerializeToString()], "t")


def test_a_page_that_is_cut_short_is_refused() -> None:
    job = CUSTOM(display_name="x" * 300)
    page = PAGE(custom_jobs=[job], next_page_token="é").SerializeToString()
    whole = len(PAGE(custom_jobs=[job]).SerializeToString())
    cut = page_type(PAGE, "custom_jobs")
    for end in range(1, len(page)):
        if end != whole:  # what ends between two fields is a page without the second
            with pytest.raises(DecodeError):
                cut.FromString(page[:end])
    found = cut.FromString(page[:whole])
    assert (list(found.jobs), found.next_page_token) == ([job.SerializeToString()], "")


@pytest.mark.parametrize("kind", JobKind)
def test_pages_of_every_kind_are_cut(kind: JobKind) -> None:
    name = TYPES[kind].__name__
    answer = getattr(vertex_v1, f"List{name}sResponse").pb()
    job = TYPES[kind].pb()(display_name="x")
    page = answer(**{_plural(name): [job]}, next_page_token="t")
    found = page_type(answer, _plural(name)).FromString(page.SerializeToString())
    assert (list(found.jobs), found.next_page_token) == ([job.SerializeToString()], "t")


def _plural(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower() + "s"


# --- points -----------------------------------------------------------------------------------------


def _point(seconds: Any, **value: Any) -> dict[str, Any]:
    return {"interval": {"endTime": seconds} if seconds else {}, "value": value}


POINTS = [
    _point("2026-11-23T19:00:00Z", doubleValue=0.5),
    _point("2026-11-23T19:01:00.123456789Z", doubleValue=0.0),
    _point("2026-11-23T19:02:00.5Z", int64Value="7"),
    _point("2026-11-23T19:03:00Z", int64Value="0"),
    _point("2026-11-23T19:04:00Z", doubleValue="NaN"),
    _point("2026-11-23T19:05:00Z", doubleValue="Infinity"),
    _point("2026-11-23T19:06:00Z", distributionValue={"mean": 3.25, "count": "4"}),
    _point("2026-11-23T19:07:00Z", distributionValue={"count": "4"}),
    _point("2026-11-23T19:08:00Z", boolValue=True),
    _point("2026-11-23T19:09:00Z", stringValue="9"),
    _point("2026-11-23T19:10:00Z"),
    _point("", doubleValue=1.0),
    _point("1970-01-01T00:00:00Z", doubleValue=1.0),
    _point("0001-01-01T00:00:00Z", doubleValue=1.0),
    _point("9999-12-31T23:59:59Z", doubleValue=1.0),
    _point("1899-12-31T23:59:59Z", doubleValue=1.0),
    _point("1900-01-01T00:00:00Z", doubleValue=-2.5),
]


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_a_point_is_read_as_its_json_would_be(point: dict[str, Any]) -> None:
    message = monitoring_v3.TimeSeries.pb(
        from_json(
            {
                "metric": {"type": "m", "labels": {"a": "b"}},
                "resource": {"type": "cloudml_job", "labels": {"job_id": "77"}},
                "points": [point, POINTS[0]],
            },
            monitoring_v3.TimeSeries(),
        )
    )
    assert repr(series_of(message)) == repr(Series.parse(to_json(message)))  # NaN is not itself


# --- tries ------------------------------------------------------------------------------------------

BOUNDS: dict[str, Any] = {
    "seconds": 5.0,
    "wait_initial": 0.001,
    "wait_max": 0.002,
    "wait_jitter": 0.0,
}


def test_what_may_pass_is_tried_again_and_nothing_else() -> None:
    left = [ConnectionError("first"), ConnectionError("second")]

    def call() -> str:
        if left:
            raise left.pop(0)
        return "answered"

    assert call_with_retries(call, on=ConnectionError, **BOUNDS) == "answered"
    left += [ConnectionError("passes"), ValueError("stays")]
    with pytest.raises(ValueError, match="stays"):
        call_with_retries(call, on=lambda err: isinstance(err, ConnectionError), **BOUNDS)
    left += [KeyError("at once")]
    with pytest.raises(KeyError):
        call_with_retries(call, on=ConnectionError, **BOUNDS)


def test_time_that_is_used_up_ends_the_tries_with_their_error() -> None:
    def call() -> None:
        raise ConnectionError("still")

    with pytest.raises(ConnectionError, match="still"):
        call_with_retries(call, on=ConnectionError, **{**BOUNDS, "seconds": 0.0})


def test_an_answered_call_does_not_load_what_counts_tries() -> None:
    program = (
        "import sys; from remediator import deadline; "
        "deadline.call_with_retries(lambda: 1, on=OSError, seconds=1, wait_initial=1, wait_max=1, wait_jitter=0); "
        "sys.exit('stamina' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


class Sent(bytes):
    """Bytes of a job that count how often they are looked at."""

    looked_at = 0

    def __hash__(self) -> int:
        Sent.looked_at += 1
        return super().__hash__()


def test_a_job_more_takes_no_longer_for_those_that_are_kept() -> None:
    parsed = ParsedJobs()
    labels = b"".join(CUSTOM(labels={key: "1"}).SerializeToString() for key in "ba")  # kept as sent
    parsed_by(parsed, *(Sent(numbered(number) + labels) for number in range(200)))
    before = Sent.looked_at
    parsed_by(parsed, numbered(200))
    assert Sent.looked_at - before < 5
