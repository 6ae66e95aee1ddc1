"""What a list asks of each job, and that what was parsed once is not parsed again."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from google.cloud import aiplatform_v1 as vertex_v1
from google.cloud import monitoring_v3

from remediator.case import Series
from remediator.cloud.listing import ParsedJobs, field_mask
from remediator.cloud.metrics import series_of
from remediator.cloud.proto_json import from_json, to_json
from remediator.cloud.vertex import Vertex
from remediator.deadline import call_with_retries
from remediator.domain import JobKind
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


def numbered(number: int, size: int = 0) -> Any:
    note = {"labels": {"note": "x" * size}} if size else {}
    return sent({**jobs.CUSTOM, "name": f"projects/p/locations/l/customJobs/{number}", **note})


def test_what_is_kept_is_bounded_and_the_last_stay() -> None:
    one = len(numbered(100).SerializeToString())
    parsed = ParsedJobs(most_bytes=2 * one)
    (first,) = parsed.of_page([numbered(100)])
    list(parsed.of_page([numbered(101)]))
    assert next(parsed.of_page([numbered(100)])) is first
    list(parsed.of_page([numbered(102)]))  # pushes out 101, which was asked for least lately
    assert next(parsed.of_page([numbered(100)])) is first
    (second,) = parsed.of_page([numbered(101)])
    assert next(parsed.of_page([numbered(101)])) is second


def test_a_very_long_job_pushes_out_no_other() -> None:
    parsed = ParsedJobs()
    (short,) = parsed.of_page([numbered(1)])
    (long,) = parsed.of_page([numbered(2, size=100_000)])
    assert next(parsed.of_page([numbered(2, size=100_000)])) is not long
    assert next(parsed.of_page([numbered(1)])) is short


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
