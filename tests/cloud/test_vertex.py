"""The Vertex client against the twin."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from remediator.cloud.vertex import Vertex, job_filter
from remediator.domain import (
    InvalidInput,
    JobKind,
    JobName,
    JobState,
    NotFound,
    NotServed,
    OutcomeUnknown,
    PermanentError,
    PermissionDenied,
    TransientError,
)
from tests.cloud.conftest import PATIENCE_SECONDS, custom_job
from tests.waiting import wait_until
from twin import faults
from twin.cloud import Cloud

COLLECTIONS = {
    JobKind.BATCH_PREDICTION: "batchPredictionJobs",
    JobKind.CUSTOM: "customJobs",
    JobKind.HYPERPARAMETER_TUNING: "hyperparameterTuningJobs",
    JobKind.TRAINING_PIPELINE: "trainingPipelines",
    JobKind.PIPELINE: "pipelineJobs",
}
STORED: dict[JobKind, dict[str, Any]] = {
    JobKind.BATCH_PREDICTION: {
        "displayName": "score",
        "state": "JOB_STATE_FAILED",
        "model": "projects/1/locations/us-central1/models/7@2",
        "modelVersionId": "2",
        "modelParameters": {"threshold": 0.5, "top": 5, "names": ["a", None, True, {"deep": "x"}]},
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://in/a.jsonl"]}},
        "manualBatchTuningParameters": {"batchSize": 64},
        "completionStats": {"successfulCount": "90071992547409931", "incompleteCount": "-1"},
        "resourcesConsumed": {"replicaHours": 2.5},
        "partialFailures": [{"code": 3, "message": "bad row"}],
        "error": {
            "code": 4,
            "message": "('Post request fails.', 16)",
            "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}],
        },
        "createTime": "2026-11-23T18:00:00.123456Z",
        "labels": {"env": "prod"},
    },
    JobKind.CUSTOM: {
        key: value for key, value in custom_job("").items() if key not in ("name", "createTime")
    },
    JobKind.HYPERPARAMETER_TUNING: {
        "displayName": "tune",
        "state": "JOB_STATE_FAILED",
        "maxTrialCount": 4,
        "parallelTrialCount": 2,
        "studySpec": {
            "metrics": [{"metricId": "loss", "goal": "MINIMIZE"}],
            "parameters": [
                {
                    "parameterId": "rate",
                    "doubleValueSpec": {"minValue": 0.1, "maxValue": 1},
                    "scaleType": "UNIT_LOG_SCALE",
                }
            ],
        },
        "trialJobSpec": {"workerPoolSpecs": [{"machineSpec": {"machineType": "n1-highmem-2"}}]},
        "trials": [
            {"id": "1", "state": "INFEASIBLE", "customJob": "projects/1/locations/l/customJobs/9"}
        ],
    },
    JobKind.TRAINING_PIPELINE: {
        "displayName": "train",
        "state": "PIPELINE_STATE_FAILED",
        "trainingTaskDefinition": "gs://google-cloud-aiplatform/schema/custom_task_1.0.0.yaml",
        "trainingTaskInputs": {
            "workerPoolSpecs": [
                {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": 1}
            ]
        },
        "trainingTaskMetadata": {"backingCustomJob": "projects/1/locations/l/customJobs/9"},
    },
    JobKind.PIPELINE: {
        "displayName": "nightly",
        "state": "PIPELINE_STATE_FAILED",
        "pipelineSpec": {
            "pipelineInfo": {"name": "p"},
            "root": {"dag": {"tasks": {"a": {"n": 1}}}},
        },
        "runtimeConfig": {
            "gcsOutputDirectory": "gs://out/root",
            "parameterValues": {"rows": 10, "rate": 0.25},
            "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",
        },
        "jobDetail": {
            "taskDetails": [
                {
                    "taskId": "-123",
                    "taskName": "train",
                    "state": "FAILED",
                    "error": {"code": 9, "message": "The DAG failed"},
                    "executorDetail": {
                        "containerDetail": {"mainJob": "projects/1/locations/l/customJobs/9"}
                    },
                }
            ]
        },
    },
}

NAME = JobName("genomics-lab", "us-central1", JobKind.CUSTOM, "5001")


def name_of(cloud: Cloud, kind: JobKind, ident: str = "5001") -> JobName:
    return JobName.parse(cloud.name(COLLECTIONS[kind], ident))


@pytest.mark.parametrize("kind", list(JobKind))
def test_a_job_is_read_as_rest_writes_it(cloud: Cloud, vertex: Vertex, kind: JobKind) -> None:
    name = name_of(cloud, kind)
    stored = {"name": str(name), "createTime": "2026-11-23T18:00:00Z", **STORED[kind]}
    cloud.add_job(stored)
    job = vertex.get(name)
    assert job.name == name
    expected = {**stored}
    assert {key: job.to_json().get(key) for key in expected} == expected
    assert job.state is JobState.FAILED


def test_whole_numbers_inside_free_values_are_written_without_a_point(
    cloud: Cloud, vertex: Vertex
) -> None:
    name = name_of(cloud, JobKind.BATCH_PREDICTION)
    cloud.add_job({"name": str(name), **STORED[JobKind.BATCH_PREDICTION]})
    top = vertex.get(name).read("modelParameters.top")
    assert (top, type(top)) == (5, int)


@pytest.mark.parametrize("kind", list(JobKind))
def test_what_was_read_can_be_created_again(cloud: Cloud, vertex: Vertex, kind: JobKind) -> None:
    """Through JSON and back nothing of the request changes on its way to Vertex."""
    cloud.add_model("7", displayName="m", containerSpec={"imageUri": "gcr.io/p/m:1"})
    outputs = ("state", "error", "trials", "jobDetail", "trainingTaskMetadata", "completionStats",
               "resourcesConsumed", "partialFailures", "createTime", "startTime", "endTime",
               "modelVersionId")  # fmt: skip
    request = {key: value for key, value in STORED[kind].items() if key not in outputs}
    if kind is JobKind.BATCH_PREDICTION:
        request["model"] = cloud.name("models", "7")
        request["outputConfig"] = {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": "gs://out/x"},
        }
    # That the twin may refuse the odd one for its own reasons does not matter: what arrived does.
    try:
        vertex.create(kind, f"projects/{cloud.project}/locations/{cloud.region}", request)
    except PermanentError as err:
        raise AssertionError(str(err)) from err
    (call,) = cloud.calls("*.Create*", outcome="OK")
    (sent,) = (value for key, value in call.request.items() if key != "parent")
    assert {key: sent.get(key) for key in request} == request


def test_a_field_that_the_api_does_not_know_is_refused_by_name(
    cloud: Cloud, vertex: Vertex
) -> None:
    with pytest.raises(PermanentError, match='no field named "spot"'):
        vertex.create(
            JobKind.BATCH_PREDICTION,
            f"projects/{cloud.project}/locations/{cloud.region}",
            {"displayName": "x", "dedicatedResources": {"spot": True}},
        )
    assert cloud.calls("*.Create*") == []


def test_a_job_is_found_in_whichever_location_has_it(cloud: Cloud, vertex: Vertex) -> None:
    there = cloud.name("customJobs", "77", "europe-west4")
    cloud.add_job(custom_job(there))
    places = ("us-central1", "us-east1", "europe-west4")
    found = vertex.find(JobKind.CUSTOM, "77", places, cloud.project)
    assert found is not None
    assert str(found.name) == there
    assert vertex.find(JobKind.CUSTOM, "78", places, cloud.project) is None


def test_of_several_jobs_with_one_id_the_one_that_ended_badly_last_is_found(
    cloud: Cloud, vertex: Vertex
) -> None:
    """Each region numbers its jobs for itself."""
    for place, state, ended in (
        ("us-central1", "JOB_STATE_RUNNING", None),
        ("us-east1", "JOB_STATE_FAILED", "2026-11-23T18:00:00Z"),
        ("us-east4", "JOB_STATE_FAILED", "2026-11-23T19:00:00Z"),
        ("us-west1", "JOB_STATE_SUCCEEDED", "2026-11-23T20:00:00Z"),
    ):
        body = custom_job(cloud.name("customJobs", "77", place))
        cloud.add_job({**body, "state": state, **({"endTime": ended} if ended else {})})
    places = ("us-central1", "us-east1", "us-east4", "us-west1")
    found = vertex.find(JobKind.CUSTOM, "77", places, cloud.project)
    assert found is not None
    assert found.name.location == "us-east4"


def test_a_running_job_of_that_id_is_no_answer_while_another_place_could_not_be_asked(
    cloud: Cloud, vertex: Vertex
) -> None:
    body = custom_job(cloud.name("customJobs", "77", "us-central1"))
    cloud.add_job({**body, "state": "JOB_STATE_RUNNING"})
    cloud.fail(
        "JobService.GetCustomJob", faults.status("RESOURCE_EXHAUSTED", retry_after=3600), times=1
    )
    with pytest.raises(TransientError):
        vertex.find(JobKind.CUSTOM, "77", ("us-central1", "us-east1"), cloud.project)


def test_a_location_that_cannot_be_asked_is_not_taken_for_no(cloud: Cloud, vertex: Vertex) -> None:
    cloud.fail("JobService.GetCustomJob", faults.status("PERMISSION_DENIED", "no"))
    with pytest.raises(PermissionDenied):
        vertex.find(JobKind.CUSTOM, "78", ("us-central1", "us-east1"), cloud.project)


@pytest.mark.parametrize("bad", ["1/../2", "", "a b", '1" OR "', "7\n8", "x" * 200])
def test_an_id_that_is_none_is_never_sent(cloud: Cloud, vertex: Vertex, bad: str) -> None:
    with pytest.raises(InvalidInput):
        vertex.find(JobKind.CUSTOM, bad, ("us-central1",), cloud.project)
    assert cloud.calls() == []


def test_a_model_version_is_read(cloud: Cloud, vertex: Vertex) -> None:
    name = cloud.add_model("9", displayName="m", containerSpec={"imageUri": "gcr.io/p/tf:1"})
    model = vertex.model(f"{name}@1")
    assert model["containerSpec"] == {"imageUri": "gcr.io/p/tf:1"}
    assert model["versionId"] == "1"
    with pytest.raises(NotFound):
        vertex.model(f"{name}9@1")
    with pytest.raises(PermanentError, match="not the name of a model"):
        vertex.model("publishers/google/models/gemini-2.5-pro")


def test_a_list_goes_through_every_page(cloud: Cloud, vertex: Vertex) -> None:
    for number in range(230):
        cloud.add_job(custom_job(cloud.name("customJobs", str(1000 + number))))
    found = list(vertex.list(JobKind.CUSTOM, cloud.project, cloud.region))
    assert len({str(job.name) for job in found}) == 230
    assert len(cloud.calls("JobService.ListCustomJobs")) == 3


def test_a_page_that_fails_is_asked_again_and_none_is_lost(cloud: Cloud, vertex: Vertex) -> None:
    for number in range(120):
        cloud.add_job(custom_job(cloud.name("customJobs", str(1000 + number))))
    pages = vertex.list(JobKind.CUSTOM, cloud.project, cloud.region)
    first = next(pages)
    cloud.fail("JobService.ListCustomJobs", faults.status("UNAVAILABLE"))
    assert len({str(job.name) for job in (first, *pages)}) == 120


@pytest.mark.parametrize("obeyed", [True, False], ids=["filter-obeyed", "filter-not-obeyed"])
def test_a_list_is_narrowed_by_state_time_name_and_label(
    cloud: Cloud, vertex: Vertex, obeyed: bool
) -> None:
    cloud.jobs.lists_everything = not obeyed

    def add(ident: str, **more: Any) -> None:
        cloud.add_job(custom_job(cloud.name("customJobs", ident), **more))

    add("1")
    add("2", state="JOB_STATE_SUCCEEDED")
    add("3", createTime="2026-11-20T00:00:00Z")
    add("4", displayName="other")
    add("5", labels={"team": "other"})
    found = vertex.list(
        JobKind.CUSTOM,
        cloud.project,
        cloud.region,
        states=(JobState.FAILED, JobState.EXPIRED),
        created_after=datetime(2026, 11, 23, tzinfo=UTC),
        display_name="align",
        labels={"team": "genomics"},
    )
    assert [job.name.id for job in found] == ["1"]
    keyed = vertex.list(JobKind.CUSTOM, cloud.project, cloud.region, labels={"team": "*"})
    assert len(list(keyed)) == 5


HOSTILE = ['a" OR state="JOB_STATE_SUCCEEDED', "back\\slash", 'q"', "tab)", "*", "日本"]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_finds_its_own_job_and_no_other(
    cloud: Cloud, vertex: Vertex, value: str
) -> None:
    cloud.add_job(custom_job(cloud.name("customJobs", "1"), displayName=value))
    cloud.add_job(custom_job(cloud.name("customJobs", "2"), displayName="bystander"))
    cloud.add_job(
        custom_job(cloud.name("customJobs", "3"), displayName="x", state="JOB_STATE_SUCCEEDED")
    )
    found = vertex.list(JobKind.CUSTOM, cloud.project, cloud.region, display_name=value)
    assert [job.name.id for job in found] == ["1"]


def test_a_filter_reads_as_vertex_writes_it() -> None:
    assert (
        job_filter(
            JobKind.PIPELINE,
            states=(JobState.FAILED, JobState.CANCELLED),
            created_after=datetime(2026, 11, 23, tzinfo=UTC),
            display_name='say "hi"',
            labels={"remediator-root": "12"},
        )
        == '(state="PIPELINE_STATE_FAILED" OR state="PIPELINE_STATE_CANCELLED")'
        ' AND create_time>="2026-11-23T00:00:00Z" AND display_name="say \\"hi\\""'
        ' AND labels.remediator-root="12"'
    )


@pytest.mark.parametrize(
    ("labels", "display_name"),
    [({"a b": "c"}, None), ({'a" OR "': "c"}, None), ({"a": "b\nc"}, None), ({}, "two\nlines")],
)
def test_a_filter_refuses_what_cannot_be_quoted(
    labels: dict[str, str], display_name: str | None
) -> None:
    with pytest.raises(InvalidInput):
        job_filter(JobKind.CUSTOM, labels=labels, display_name=display_name)


def test_a_cancelled_job_is_on_its_way_to_its_end(cloud: Cloud, vertex: Vertex) -> None:
    name = name_of(cloud, JobKind.CUSTOM)
    cloud.add_job(custom_job(str(name), state="JOB_STATE_RUNNING", endTime=None, error=None))
    vertex.cancel(name)
    assert vertex.get(name).state in (JobState.CANCELLING, JobState.CANCELLED)


# --- faults ------------------------------------------------------------------------------------

PASSING = [
    "UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "INTERNAL",
    "UNKNOWN",
    "ABORTED",
    "RESOURCE_EXHAUSTED",
]


@pytest.mark.parametrize("status", PASSING)
def test_a_read_is_tried_again_where_that_may_help(
    cloud: Cloud, vertex: Vertex, status: str
) -> None:
    name = name_of(cloud, JobKind.CUSTOM)
    cloud.add_job(custom_job(str(name)))
    cloud.fail("JobService.GetCustomJob", faults.status(status), times=2)
    assert vertex.get(name).state is JobState.FAILED
    assert len(cloud.calls("JobService.GetCustomJob")) == 3


@pytest.mark.parametrize("status", PASSING)
def test_a_read_that_never_succeeds_is_transient_within_its_time(
    cloud: Cloud, vertex: Vertex, status: str
) -> None:
    cloud.fail("JobService.GetCustomJob", faults.status(status, "words"), times=float("inf"))
    # On a busy machine the last try ends by its deadline, before its answer is there.
    with pytest.raises(TransientError, match=r"words|Deadline Exceeded") as caught:
        vertex.get(name_of(cloud, JobKind.CUSTOM), timeout_seconds=0.6)
    assert not isinstance(caught.value, OutcomeUnknown)


def test_the_wait_that_the_service_asks_for_is_kept(cloud: Cloud, vertex: Vertex) -> None:
    name = name_of(cloud, JobKind.CUSTOM)
    cloud.add_job(custom_job(str(name)))
    cloud.fail("JobService.GetCustomJob", faults.status("RESOURCE_EXHAUSTED", retry_after=0.7))
    vertex.get(name)
    first, second = cloud.calls("JobService.GetCustomJob")
    assert second.at - first.at >= 0.7


def test_a_wait_longer_than_the_time_left_is_handed_on_at_once(
    cloud: Cloud, vertex: Vertex
) -> None:
    cloud.fail("JobService.GetCustomJob", faults.status("RESOURCE_EXHAUSTED", retry_after=600))
    with pytest.raises(TransientError) as caught:
        vertex.get(name_of(cloud, JobKind.CUSTOM))
    assert caught.value.retry_after_seconds == 600
    assert len(cloud.calls("JobService.GetCustomJob")) == 1  # it was not waited for and tried again


def test_a_read_that_hangs_is_given_up_and_tried_again(cloud: Cloud, vertex: Vertex) -> None:
    name = name_of(cloud, JobKind.CUSTOM)
    cloud.add_job(custom_job(str(name)))
    cloud.fail("JobService.GetCustomJob", faults.hang())
    assert vertex.get(name, timeout_seconds=6.0).state is JobState.FAILED


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("NOT_FOUND", NotFound),
        ("PERMISSION_DENIED", PermissionDenied),
        ("UNAUTHENTICATED", PermissionDenied),
        ("INVALID_ARGUMENT", PermanentError),
        ("FAILED_PRECONDITION", PermanentError),
        ("OUT_OF_RANGE", PermanentError),
        ("ALREADY_EXISTS", PermanentError),
        ("UNIMPLEMENTED", NotServed),
    ],
)
@pytest.mark.parametrize("creating", [False, True], ids=["read", "create"])
def test_a_definite_answer_is_final(
    cloud: Cloud, vertex: Vertex, status: str, kind: type[PermanentError], *, creating: bool
) -> None:
    cloud.fail("JobService.*", faults.status(status, "the service's words"), times=float("inf"))
    ask = partial(create, cloud, vertex) if creating else partial(vertex.get, NAME)
    with pytest.raises(PermanentError, match="the service's words") as caught:
        ask()
    assert type(caught.value) is kind
    assert len(cloud.calls()) == 1


def test_a_missing_permission_is_named(cloud: Cloud, vertex: Vertex) -> None:
    cloud.allow_only("aiplatform.customJobs.get")
    with pytest.raises(PermissionDenied, match=r"aiplatform\.customJobs\.create.*projects/"):
        create(cloud, vertex)


def create(cloud: Cloud, vertex: Vertex, *, timeout_seconds: float = PATIENCE_SECONDS) -> JobName:
    body = custom_job("")
    request = {key: body[key] for key in ("displayName", "labels", "jobSpec")}
    parent = f"projects/{cloud.project}/locations/{cloud.region}"
    return vertex.create(JobKind.CUSTOM, parent, request, timeout_seconds=timeout_seconds).name


@pytest.mark.parametrize(
    "fault",
    [
        *(faults.status(s) for s in PASSING if s != "RESOURCE_EXHAUSTED"),
        faults.status("CANCELLED"),
        faults.status("DATA_LOSS"),
        faults.lost_answer(),
        faults.lost_answer("INTERNAL"),
        faults.hang(),
        faults.lost_in_silence(),
    ],
    ids=lambda fault: f"{fault.status or 'hang'}{'-after' if fault.after else ''}",
)
def test_an_unanswered_create_is_never_sent_twice(
    cloud: Cloud, vertex: Vertex, fault: faults.Fault
) -> None:
    name = name_of(cloud, JobKind.CUSTOM)
    cloud.add_job(custom_job(str(name)))
    vertex.get(name)  # connected: the time below is the call's own
    cloud.fail("JobService.CreateCustomJob", fault)
    with pytest.raises(OutcomeUnknown):
        create(cloud, vertex, timeout_seconds=1.0 if fault.hang else PATIENCE_SECONDS)
    # The twin writes a hung call down when it sees that we hung up.
    wait_until(lambda: cloud.calls("JobService.CreateCustomJob"))
    assert len(cloud.calls("JobService.CreateCustomJob")) == 1


def test_nobody_there_is_unanswered_for_a_create(cloud: Cloud) -> None:
    cloud.vertex.stop()
    lonely = Vertex(cloud.vertex.endpoint)
    try:
        with pytest.raises(OutcomeUnknown):
            create(cloud, lonely, timeout_seconds=1.0)
    finally:
        lonely.close()


QUOTA = "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_training_nvidia_t4_gpus"


@pytest.mark.parametrize(
    ("fault", "kind", "tries"),
    [
        (faults.status("RESOURCE_EXHAUSTED", QUOTA), PermanentError, 1),
        (faults.status("RESOURCE_EXHAUSTED", "Resources are insufficient in region: us-east1."), PermanentError, 1),
        (faults.status("RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Job requests' and limit 'Job requests per minute per region'"), None, 2),
        (faults.status("RESOURCE_EXHAUSTED", QUOTA, retry_after=0.1), None, 2),
        (faults.status("RESOURCE_EXHAUSTED", ""), None, 2),
    ],
    ids=["quota", "stockout", "per-minute", "retry-info", "bare"],
)  # fmt: skip
def test_a_throttled_create_is_tried_again_and_a_used_up_quota_refuses(
    cloud: Cloud, vertex: Vertex, fault: faults.Fault, kind: type[PermanentError] | None, tries: int
) -> None:
    cloud.fail("JobService.CreateCustomJob", fault)
    if kind is None:
        create(cloud, vertex)
    else:
        with pytest.raises(kind):
            create(cloud, vertex)
    assert len(cloud.calls("JobService.CreateCustomJob")) == tries
    assert len(cloud.calls("JobService.CreateCustomJob", outcome="OK")) == tries - 1
