"""Vertex AI in the twin, asked by Google's own generated clients."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1
from google.protobuf import json_format
from google.rpc import error_details_pb2

from tests.waiting import HANG_SECONDS, wait_until
from twin import faults
from twin.cloud import Cloud
from twin.physics import Needs, Section, Serving

Make = Callable[..., dict[str, Any]]
SHORT = Needs(sections=(Section("work", cpu_seconds=600),))


def custom(body: dict[str, Any]) -> aiplatform_v1.CustomJob:
    return aiplatform_v1.CustomJob.from_json(json.dumps(body))


def batch(body: dict[str, Any]) -> aiplatform_v1.BatchPredictionJob:
    return aiplatform_v1.BatchPredictionJob.from_json(json.dumps(body))


# --- creation and life -------------------------------------------------------------------------


def test_a_created_job_comes_back_as_vertex_gives_it(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    made = clients.jobs.create_custom_job(parent=parent, custom_job=custom(custom_job()))
    assert made.name.startswith(f"projects/{cloud.number}/locations/us-central1/customJobs/")
    assert made.name.rpartition("/")[2].isdigit()
    assert made.state.name == "JOB_STATE_PENDING"
    assert made.job_spec.worker_pool_specs[0].disk_spec.boot_disk_size_gb == 100
    assert made.create_time
    by_id = made.name.replace(cloud.number, cloud.project)
    assert clients.jobs.get_custom_job(name=by_id) == made


def test_a_job_runs_and_ends_as_time_passes(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    name = clients.jobs.create_custom_job(parent=parent, custom_job=custom(custom_job())).name
    cloud.clock.advance(100)
    assert clients.jobs.get_custom_job(name=name).state.name == "JOB_STATE_RUNNING"
    cloud.clock.advance(3600)
    ended = clients.jobs.get_custom_job(name=name)
    assert ended.state.name == "JOB_STATE_SUCCEEDED"
    assert ended.create_time < ended.start_time < ended.end_time


def test_needs_follow_the_workload_and_not_the_name(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    work = Needs(sections=(Section("align", cpu_seconds=8 * 3600 * 1.3),))
    failed = cloud.past_job("customJobs", custom_job(), work)
    assert failed["state"] == "JOB_STATE_FAILED"
    renamed = custom_job("n1-standard-16", displayName="anything", labels={"a": "b"})
    name = clients.jobs.create_custom_job(parent=parent, custom_job=custom(renamed)).name
    same = custom_job(displayName="else")
    again = clients.jobs.create_custom_job(parent=parent, custom_job=custom(same)).name
    cloud.clock.advance(2 * 3600)
    assert clients.jobs.get_custom_job(name=name).state.name == "JOB_STATE_SUCCEEDED"
    ended = clients.jobs.get_custom_job(name=again)
    assert ended.state.name == "JOB_STATE_FAILED"
    assert ended.error.code == 4


def test_a_past_batch_prediction_has_everything_but_a_log_of_its_state(
    cloud: Cloud, clients: Any, batch_job: Make
) -> None:
    heavy = Needs(serving=Serving(instances=1000, cpu_seconds=70))
    name = cloud.past_job("batchPredictionJobs", batch_job(), heavy)["name"]
    job = clients.jobs.get_batch_prediction_job(name=name)
    assert job.state.name == "JOB_STATE_FAILED"
    assert "Non-OK result 504" in job.error.message
    assert (job.completion_stats.failed_count, job.completion_stats.incomplete_count) == (64, 936)
    assert job.partial_failures[0].message == job.error.message
    assert job.resources_consumed.replica_hours > 0.1
    assert job.model_version_id == "1"
    assert job.output_info.gcs_output_directory.startswith(
        "gs://out-data/scored/prediction-variants-"
    )
    (file,) = cloud.storage.names("out-data")
    assert file.endswith("/prediction.errors_stats-00000-of-00001")
    assert not cloud.logs.find('"Job failed" OR "JOB_STATE_FAILED"')


def test_missing_input_is_what_storage_says(cloud: Cloud, batch_job: Make) -> None:
    lost = cloud.past_job("batchPredictionJobs", batch_job(source="gs://in-data/x.jsonl"), Needs())
    assert "gs://in-data/x.jsonl" in lost["error"]["message"]
    there = cloud.past_job("batchPredictionJobs", batch_job(source="gs://in-data/*"), Needs())
    assert there["state"] == "JOB_STATE_SUCCEEDED"


def test_the_error_may_come_later_than_the_end(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    cloud.jobs.error_lag = 60
    cloud.jobs.needs("customJobs", custom_job(), Needs(raises="ValueError: x"))
    name = clients.jobs.create_custom_job(parent=parent, custom_job=custom(custom_job())).name
    while clients.jobs.get_custom_job(name=name).state.name != "JOB_STATE_FAILED":
        cloud.clock.advance(20)
    assert not clients.jobs.get_custom_job(name=name).error.message
    cloud.clock.advance(61)
    assert "non-zero status of 1" in clients.jobs.get_custom_job(name=name).error.message


def test_a_new_job_may_be_missing_from_lists_but_not_from_get(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    cloud.jobs.list_lag = 60
    name = clients.jobs.create_custom_job(parent=parent, custom_job=custom(custom_job())).name
    assert list(clients.jobs.list_custom_jobs(parent=parent)) == []
    assert clients.jobs.get_custom_job(name=name).name == name
    cloud.jobs.list_lag = 0
    assert [job.name for job in clients.jobs.list_custom_jobs(parent=parent)] == [name]


def test_a_cancelled_job_leaves_no_second_end(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    name = clients.jobs.create_custom_job(parent=parent, custom_job=custom(custom_job())).name
    cloud.clock.advance(90)
    clients.jobs.cancel_custom_job(name=name)
    assert clients.jobs.get_custom_job(name=name).state.name == "JOB_STATE_CANCELLING"
    cloud.clock.advance(7200)
    assert clients.jobs.get_custom_job(name=name).state.name == "JOB_STATE_CANCELLED"
    assert not cloud.logs.find('"completed successfully"')


def test_only_a_job_that_is_over_can_be_deleted(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    name = clients.jobs.create_custom_job(parent=parent, custom_job=custom(custom_job())).name
    with pytest.raises(exceptions.FailedPrecondition):
        clients.jobs.delete_custom_job(name=name)
    cloud.clock.advance(7200)
    clients.jobs.delete_custom_job(name=name)
    with pytest.raises(exceptions.NotFound, match="does not exist"):
        clients.jobs.get_custom_job(name=name)


# --- lists -------------------------------------------------------------------------------------


def test_lists_are_filtered_and_paged_newest_first(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    for number in range(25):
        cloud.add_job(
            {
                **custom_job(labels={"n": str(number % 2)}),
                "name": cloud.name("customJobs", str(100 + number)),
                "state": "JOB_STATE_FAILED" if number % 5 else "JOB_STATE_SUCCEEDED",
                "createTime": f"2026-11-23T10:{number:02d}:00Z",
            }
        )
    query = 'state="JOB_STATE_FAILED" AND labels.n="1" AND create_time>"2026-11-23T10:10:00Z"'
    request = {"parent": parent, "filter": query, "page_size": 2}
    pager = clients.jobs.list_custom_jobs(request=request)
    assert [job.name.rpartition("/")[2] for job in pager] == [
        "123",
        "121",
        "119",
        "117",
        "113",
        "111",
    ]
    assert len(cloud.calls("JobService.ListCustomJobs")) == 3


def test_an_unknown_list_field_is_refused(clients: Any, parent: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="filter"):
        clients.jobs.list_custom_jobs(request={"parent": parent, "filter": 'end_time>"2026"'})


def test_each_location_has_its_own_jobs(cloud: Cloud, clients: Any, custom_job: Make) -> None:
    cloud.past_job("customJobs", custom_job(), SHORT, location="europe-west4")
    assert (
        list(
            clients.jobs.list_custom_jobs(parent=f"projects/{cloud.project}/locations/us-central1")
        )
        == []
    )
    there = f"projects/{cloud.number}/locations/europe-west4"
    assert len(list(clients.jobs.list_custom_jobs(parent=there))) == 1


# --- refusals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machine", "spec", "words"),
    [
        (
            "g2-standard-8",
            {"acceleratorType": "NVIDIA_L4", "acceleratorCount": 8},
            (
                'The accelerator count "8" is not allowed. The allowed numbers of accelerator '
                '"NVIDIA_L4" to use with machine type "g2-standard-8" are: [1].'
            ),
        ),
        (
            "n1-standard-32",
            {"acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1},
            'machine type "n1-standard-32" are: [2, 4].',
        ),
        (
            "n2-standard-8",
            {"acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1},
            "is not supported for machine type",
        ),
        ("n1-standard-64000", {}, 'Machine type "n1-standard-64000" is not supported.'),
        ("n2d-standard-8", {}, "is not supported."),
        ("n1-standard-8", {"acceleratorCount": 1}, "Accelerator type must be specified"),
    ],
)
def test_what_cannot_run_is_refused_in_googles_words(
    cloud: Cloud,
    clients: Any,
    parent: str,
    custom_job: Make,
    machine: str,
    spec: dict[str, Any],
    words: str,
) -> None:
    with pytest.raises(exceptions.InvalidArgument) as refused:
        clients.jobs.create_custom_job(
            parent=parent, custom_job=custom(custom_job(machine, spec=spec))
        )
    assert words in refused.value.message
    (audit,) = cloud.logs.find("protoPayload.status.code>0")
    assert audit["protoPayload"]["methodName"].endswith("JobService.CreateCustomJob")
    assert audit["protoPayload"]["authenticationInfo"]["principalEmail"] == cloud.account
    assert cloud.jobs.all() == []


def test_a_model_that_does_not_exist_is_not_found(
    cloud: Cloud, clients: Any, parent: str, batch_job: Make
) -> None:
    body = batch_job()
    cloud.models.remove(body["model"])
    with pytest.raises(exceptions.NotFound, match="does not exist"):
        clients.jobs.create_batch_prediction_job(parent=parent, batch_prediction_job=batch(body))


def test_another_project_is_refused(clients: Any) -> None:
    with pytest.raises(exceptions.PermissionDenied):
        clients.jobs.get_custom_job(name="projects/other/locations/us-central1/customJobs/1")


def test_permissions_are_asked_for_once_they_are_set(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    cloud.allow_only("aiplatform.customJobs.list")
    assert list(clients.jobs.list_custom_jobs(parent=parent)) == []
    with pytest.raises(exceptions.PermissionDenied) as denied:
        clients.jobs.create_custom_job(parent=parent, custom_job=custom(custom_job()))
    assert denied.value.message == (
        "Permission 'aiplatform.customJobs.create' denied on resource "
        f"'//aiplatform.googleapis.com/{parent}' (or it may not exist)."
    )
    assert cloud.logs.find("protoPayload.status.code=7")


def test_acting_as_an_account_needs_its_own_right(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    cloud.allow_only("aiplatform.customJobs.create", "iam.serviceAccounts.actAs")
    cloud.desk.iam.acts_as = {"a@p.iam.gserviceaccount.com"}
    for account, allowed in (("a@p.iam.gserviceaccount.com", True), ("b@p.x", False)):
        job = custom(custom_job(job_spec={"serviceAccount": account}))
        if allowed:
            clients.jobs.create_custom_job(parent=parent, custom_job=job)
        else:
            with pytest.raises(exceptions.PermissionDenied, match="act as service account: b@p"):
                clients.jobs.create_custom_job(parent=parent, custom_job=job)


# --- faults ------------------------------------------------------------------------------------


def test_a_fault_does_nothing_and_says_when_to_come_back(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    cloud.fail(
        "JobService.CreateCustomJob", faults.status("RESOURCE_EXHAUSTED", "quota", retry_after=7)
    )
    with pytest.raises(exceptions.ResourceExhausted) as refused:
        clients.jobs.create_custom_job(parent=parent, custom_job=custom(custom_job()))
    (detail,) = refused.value.details
    assert isinstance(detail, error_details_pb2.RetryInfo)
    assert detail.retry_delay.seconds == 7
    assert cloud.jobs.all() == []
    clients.jobs.create_custom_job(parent=parent, custom_job=custom(custom_job()))
    assert [call.outcome for call in cloud.calls("*.CreateCustomJob")] == [
        "RESOURCE_EXHAUSTED",
        "OK",
    ]


def test_an_answer_can_be_lost_after_the_work_is_done(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    cloud.fail("JobService.CreateCustomJob", faults.lost_answer())
    with pytest.raises(exceptions.DeadlineExceeded):
        clients.jobs.create_custom_job(
            parent=parent, custom_job=custom(custom_job()), timeout=HANG_SECONDS, retry=None
        )
    assert len(cloud.jobs.all("customJobs")) == 1


def test_an_answer_can_be_lost_in_silence(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    """The caller's patience begins once the work is done: however late the call gets there."""
    cloud.fail("JobService.CreateCustomJob", faults.lost_in_silence())
    request = aiplatform_v1.CreateCustomJobRequest(parent=parent, custom_job=custom(custom_job()))
    sent = clients.jobs.transport.create_custom_job.future(request, timeout=HANG_SECONDS)
    wait_until(lambda: cloud.jobs.all("customJobs"))
    with pytest.raises(grpc.FutureTimeoutError):
        sent.result(timeout=0.5)
    sent.cancel()
    assert len(cloud.jobs.all("customJobs")) == 1


def test_a_hang_ends_with_the_callers_patience(cloud: Cloud, clients: Any, parent: str) -> None:
    cloud.fail("JobService.List*", faults.hang())
    with pytest.raises(exceptions.DeadlineExceeded):
        clients.jobs.list_custom_jobs(parent=parent, timeout=0.2)
    assert list(clients.jobs.list_custom_jobs(parent=parent)) == []


def test_a_thousand_jobs_are_listed_in_ten_pages(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    for number in range(1000):
        name = cloud.name("customJobs", str(number))
        cloud.add_job({**custom_job(), "name": name, "state": "JOB_STATE_FAILED"})
    request = {"parent": parent, "filter": 'state="JOB_STATE_FAILED"', "page_size": 100}
    assert len(list(clients.jobs.list_custom_jobs(request=request))) == 1000
    assert len(cloud.calls("JobService.ListCustomJobs")) == 10


def test_creations_side_by_side_are_each_counted(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    def create() -> None:
        clients.jobs.create_custom_job(parent=parent, custom_job=custom(custom_job()))

    threads = [threading.Thread(target=create) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({job["name"] for job in cloud.jobs.all()}) == 20
    assert len(cloud.calls("*.CreateCustomJob", outcome="OK")) == 20


# --- models ------------------------------------------------------------------------------------


def test_a_model_has_versions_and_the_newest_is_meant(cloud: Cloud, clients: Any) -> None:
    name = cloud.add_model("9", displayName="m", containerSpec={"imageUri": "img:1"})
    cloud.add_model("9", displayName="m", containerSpec={"imageUri": "img:2"})
    images = {
        asked: clients.models.get_model(name=f"{name}{asked}").container_spec.image_uri
        for asked in ("", "@1", "@2", "@default")
    }
    assert images == {"": "img:2", "@1": "img:1", "@2": "img:2", "@default": "img:2"}
    assert [m.version_id for m in clients.models.list_model_versions(name=name)] == ["2", "1"]
    with pytest.raises(exceptions.NotFound):
        clients.models.get_model(name=f"{name}@3")


# --- parents -----------------------------------------------------------------------------------


def test_a_tuning_job_fails_with_its_trial(
    cloud: Cloud, clients: Any, parent: str, custom_job: Make
) -> None:
    inner = custom_job()["jobSpec"]
    body = {
        "displayName": "tune",
        "studySpec": {"metrics": [{"metricId": "loss", "goal": "MINIMIZE"}]},
        "maxTrialCount": 3,
        "parallelTrialCount": 1,
        "trialJobSpec": inner,
    }
    cloud.jobs.needs("hyperparameterTuningJobs", body, Needs())
    cloud.jobs.needs("customJobs", custom_job(), Needs(raises="ValueError: x"))
    job = aiplatform_v1.HyperparameterTuningJob.from_json(json.dumps(body))
    made = clients.jobs.create_hyperparameter_tuning_job(
        parent=parent, hyperparameter_tuning_job=job
    )
    cloud.clock.advance(7200)
    ended = clients.jobs.get_hyperparameter_tuning_job(name=made.name)
    assert ended.state.name == "JOB_STATE_FAILED"
    assert ended.trials[0].state.name == "INFEASIBLE"
    assert cloud.logs.find('textPayload="Job failed."')


def test_a_training_pipeline_names_its_custom_job(
    cloud: Cloud, clients: Any, custom_job: Make
) -> None:
    body = {
        "displayName": "train",
        "trainingTaskDefinition": "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml",
        "trainingTaskInputs": custom_job()["jobSpec"],
    }
    failed = cloud.past_job("trainingPipelines", body, Needs(raises="ValueError: x"))
    seen = clients.pipelines.get_training_pipeline(name=failed["name"])
    assert seen.state.name == "PIPELINE_STATE_FAILED"
    metadata = json_format.MessageToDict(type(seen).pb(seen))["trainingTaskMetadata"]
    child = clients.jobs.get_custom_job(name=metadata["backingCustomJob"])
    assert child.state.name == "JOB_STATE_FAILED"
    assert child.error.message in seen.error.message


def pipeline(*tasks: str, cached: bool = False) -> dict[str, Any]:
    container = {"resources": {"cpuLimit": 4, "memoryLimit": 15}}
    dag = {
        task: {"cachingOptions": {"enableCache": cached}, "dependentTasks": list(tasks[:place])}
        for place, task in enumerate(tasks)
    }
    return {
        "displayName": "weekly",
        "runtimeConfig": {"gcsOutputDirectory": "gs://root"},
        "pipelineSpec": {
            "pipelineInfo": {"name": "weekly"},
            "deploymentSpec": {
                "executors": {f"exec-{t}": {"container": {**container, "image": t}} for t in tasks}
            },
            "root": {"dag": {"tasks": dag}},
        },
    }


def program(image: str) -> dict[str, Any]:
    pool = {"containerSpec": {"imageUri": image}}
    return {"displayName": image, "jobSpec": {"workerPoolSpecs": [pool]}}


def test_a_pipeline_run_wraps_the_cause_and_logs_its_state(
    cloud: Cloud, clients: Any, parent: str
) -> None:
    cloud.jobs.needs("customJobs", program("train"), Needs(raises="ValueError: x"))
    body = pipeline("prepare", "train", "deploy")
    job = aiplatform_v1.PipelineJob.from_json(json.dumps(body))
    name = clients.pipelines.create_pipeline_job(parent=parent, pipeline_job=job).name
    cloud.clock.advance(7200)
    ended = clients.pipelines.get_pipeline_job(name=name)
    assert ended.state.name == "PIPELINE_STATE_FAILED"
    assert ended.error.code == 9
    assert "The failed tasks are: [train]" in ended.error.message
    tasks = {t.task_name: t for t in ended.job_detail.task_details}
    assert {n: t.state.name for n, t in tasks.items()} == {
        "prepare": "SUCCEEDED",
        "train": "FAILED",
    }
    child = clients.jobs.get_custom_job(
        name=tasks["train"].executor_detail.container_detail.main_job
    )
    assert child.labels["vertex-ai-pipelines-run-billing-id"] == name.rpartition("/")[2]
    (event,) = cloud.logs.find(
        'logName:"pipeline_job_events" AND jsonPayload.state="PIPELINE_STATE_FAILED"'
    )
    assert event["jsonPayload"]["pipelineName"] == name


def test_a_pipeline_that_runs_again_skips_what_is_cached(cloud: Cloud, clients: Any) -> None:
    cloud.jobs.needs("customJobs", program("train"), Needs(backend_errors=1))
    first = cloud.past_job("pipelineJobs", pipeline("prepare", "train", cached=True), Needs())
    assert first["state"] == "PIPELINE_STATE_FAILED"
    again = cloud.submit("pipelineJobs", pipeline("prepare", "train", cached=True), Needs())
    cloud.clock.advance(timedelta(hours=2))
    ended = clients.pipelines.get_pipeline_job(name=again["name"])
    states = {t.task_name: t.state.name for t in ended.job_detail.task_details}
    assert states == {"prepare": "SKIPPED", "train": "SUCCEEDED"}
    assert ended.state.name == "PIPELINE_STATE_SUCCEEDED"
