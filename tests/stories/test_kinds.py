"""Every kind of job: a failure, its cause, the legal change, one resubmission, how it ended."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core.exceptions import InvalidArgument
from google.cloud import aiplatform_v1
from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport

from tests.stories.conftest import POLICIES
from tests.stories.jobs_of_kinds import (
    BASE,
    CPU,
    MEMORY,
    batch,
    component,
    custom,
    differences,
    made,
    pipeline,
    pool,
    service_line,
    training,
    tuning,
)
from tests.stories.test_loop import TOO_MUCH
from tests.waiting import wait_until
from twin.clock import rfc3339
from twin.physics import Needs

AGO = timedelta(hours=4)
EVERY_KIND = POLICIES.replace(
    "rerun_safe: [batch_prediction, custom]",
    "rerun_safe: [batch_prediction, custom, hyperparameter_tuning, training_pipeline, pipeline]",
)


def with_policy(name: str, when: str, do: str, *, limits: bool = True) -> str:
    """The file with one policy before all others."""
    text = EVERY_KIND if limits else re.sub(r", usd_per_job: \d+, usd_per_day: \d+", "", EVERY_KIND)
    first = f"policies:\n  - name: {name}\n    when: {when}\n    do: {do}\n    alert: [oncall]\n"
    return text.replace("policies:\n", first, 1)


@pytest.fixture
def house(open_house: Callable[..., Any]) -> Any:
    return open_house(EVERY_KIND)


def announced(house: Any, cloud: Any) -> None:
    """The sweep finds what no log tells, and the sink brings each entry twice."""
    house.reconcile()
    for entry in cloud.logs.find('logName:"vertex-remediator-job-failures"'):
        assert [house.hear(entry), house.hear(entry)] == [200, 200]
    assert house.reconcile()["faults"] == []


def ended(house: Any, cloud: Any, hours: float = 3) -> list[str]:
    """Time for the new job to end; the first words of every message by then."""
    cloud.clock.advance(hours * 3600)
    # A running job is looked at again when it is a tenth older, so soon as the machine is quick.
    wait_until(lambda: house.reconcile()["handled"])
    house.reconcile()
    return [message.text.splitlines()[0].partition(":")[0] for message in cloud.slack.messages]


def told(cloud: Any, which: int = 0) -> str:
    return str(cloud.slack.messages[which].text)


# --- custom jobs ---------------------------------------------------------------------------------


def test_of_a_custom_jobs_worker_pools_only_the_one_that_died_is_changed(
    house: Any, cloud: Any
) -> None:
    body = custom(pool("n1-standard-4", "chief"), pool("n1-standard-8", "worker"))
    needs = replace(MEMORY, pool=1)
    job = cloud.past_job("customJobs", body, needs, route=False, ended_ago=AGO)
    entry = service_line(cloud, job)

    assert [house.hear(entry), house.hear(entry)] == [200, 200]

    (again,) = made(cloud, job)
    assert differences(job, again) == {
        "jobSpec.workerPoolSpecs[1].machineSpec.machineType": ("n1-standard-8", "n1-standard-16")
    }
    assert "workerpool1-0" in told(cloud)
    assert ended(house, cloud) == ["Resubmitted", "Recovered"]
    assert len(cloud.creates()) == 1


def test_an_exit_code_is_told_with_the_replica_that_gave_it_and_never_retried(
    house: Any, cloud: Any
) -> None:
    body = custom(pool(image="chief"), pool(image="worker"))
    needs = Needs(raises="ModuleNotFoundError: No module named 'pysam'", exit_code=3, pool=1)
    job = cloud.past_job("customJobs", body, needs, route=False)
    assert house.hear(service_line(cloud, job)) == 200
    assert made(cloud, job) == []
    assert "align failed (error in the code: ModuleNotFoundError: No module named" in told(cloud)
    assert "workerpool1-0 exited with a non-zero status of 3" in told(cloud)
    assert "No module named 'pysam'" in told(cloud)


def test_a_custom_jobs_time_out_is_doubled_and_nothing_else(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    house = open_house(
        with_policy("longer", "{cause: cpu_saturation}", "[{resubmit: {timeout: double}}]")
    )
    job = cloud.past_job("customJobs", custom(pool()), CPU, route=False, ended_ago=AGO)
    assert house.hear(service_line(cloud, job)) == 200
    (again,) = made(cloud, job)
    assert differences(job, again) == {"jobSpec.scheduling.timeout": ("7200s", "14400s")}
    assert ended(house, cloud, 4.5) == ["Resubmitted", "Recovered"]


def test_a_spot_job_that_was_taken_back_runs_again_and_then_on_standard_machines(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    do = "[{resubmit: {}}, {resubmit: {spot: false}}]"
    house = open_house(with_policy("taken-back", "{cause: [preemption, capacity_stockout]}", do))
    body = custom(pool(), scheduling={"timeout": "7200s", "strategy": "SPOT"})
    needs = Needs(preemptions=9)
    job = cloud.past_job("customJobs", body, needs, route=False, ended_ago=AGO)
    assert house.hear(service_line(cloud, job)) == 200
    assert ended(house, cloud, 1) == ["Resubmitted unchanged", "Attempt 2 started"]
    first, second = made(cloud, job)
    assert differences(job, first) == {}
    assert differences(job, second) == {"jobSpec.scheduling.strategy": ("SPOT", "STANDARD")}
    assert ended(house, cloud, 1)[-1] == "Recovered"


def test_a_job_that_asked_to_be_started_when_there_is_room_still_does_so(
    house: Any, cloud: Any
) -> None:
    waits = {"timeout": "7200s", "strategy": "FLEX_START", "maxWaitDuration": "1800s"}
    job = cloud.past_job("customJobs", custom(pool(), scheduling=waits), MEMORY, route=False)
    assert house.hear(service_line(cloud, job)) == 200
    (again,) = made(cloud, job)
    assert again["jobSpec"]["scheduling"] == waits
    assert set(differences(job, again)) == {"jobSpec.workerPoolSpecs[0].machineSpec.machineType"}


@pytest.mark.parametrize(
    ("saved", "output", "folder", "words"),
    [
        pytest.param(
            ("checkpoints/step-400.pt", "checkpoints/step-500.pt"),
            "same",
            BASE,
            rf"{BASE} holds 2 objects, the newest checkpoints/step-500.pt \(.+ UTC\); "
            "the new attempt finds them.",
            id="the-rerun-finds-its-checkpoints",
        ),
        pytest.param(
            ("model.bin",),
            "attempt",
            f"{BASE}/attempt-1",
            rf"{BASE} holds 1 object, the newest model.bin \(.+ UTC\); they stay, the new attempt "
            "writes to a folder of its own.",
            id="the-rerun-would-overwrite",
        ),
        pytest.param(
            (),
            "same",
            BASE,
            f"{BASE} holds nothing yet: the work begins anew.",
            id="nothing-was-saved",
        ),
    ],
)
def test_the_alert_says_what_the_base_output_directory_holds(
    open_house: Callable[..., Any],
    cloud: Any,
    saved: tuple[str, ...],
    output: str,
    folder: str,
    words: str,
) -> None:
    step = f"[{{resubmit: {{machine_type: more_memory, output: {output}}}}}]"
    house = open_house(with_policy("memory", "{cause: memory_pressure}", step))
    cloud.storage.bucket("lab-out")
    for number, name in enumerate(saved):
        cloud.storage.put_uri(f"{BASE}/{name}", "x" * (number + 1))
    job = cloud.past_job("customJobs", custom(pool()), MEMORY, route=False)
    assert house.hear(service_line(cloud, job)) == 200
    (again,) = made(cloud, job)
    assert again["jobSpec"]["baseOutputDirectory"]["outputUriPrefix"] == folder
    assert re.search(words, told(cloud)), told(cloud)


# --- tuning jobs ---------------------------------------------------------------------------------


def test_a_tuning_job_is_resubmitted_with_its_trials_spec_changed_and_the_trials_left(
    house: Any, cloud: Any
) -> None:
    needs = replace(MEMORY, by_try=(Needs(), Needs()))
    job = cloud.past_job(
        "hyperparameterTuningJobs", tuning(pool()), needs, route=False, ended_ago=AGO
    )
    states = [trial["state"] for trial in job["trials"]]
    good = states.count("SUCCEEDED")
    assert (states.count("INFEASIBLE"), 0 < good < 6) == (2, True)

    announced(house, cloud)

    (again,) = made(cloud, job)
    assert differences(job, again) == {
        "trialJobSpec.workerPoolSpecs[0].machineSpec.machineType": (
            "n1-standard-8",
            "n1-standard-16",
        ),
        "maxTrialCount": (6, 6 - good),
    }
    assert "Tuning job tune" in told(cloud)
    assert ended(house, cloud) == ["Resubmitted", "Recovered"]
    assert [call.method.rpartition("/")[2] for call in cloud.creates()] == [
        "JobService.CreateHyperparameterTuningJob"
    ]


def test_failed_trials_of_a_tuning_job_that_goes_on_are_nobodys_to_mend(
    house: Any, cloud: Any
) -> None:
    body = tuning(pool(), trials=3)
    job = cloud.past_job(
        "hyperparameterTuningJobs", body, Needs(by_try=(Needs(), MEMORY)), route=False
    )
    assert job["state"] == "JOB_STATE_SUCCEEDED"
    failed = [trial for trial in job["trials"] if trial["state"] == "INFEASIBLE"]
    assert len(failed) == 1
    assert house.hear(service_line(cloud, failed[0]["customJob"])) == 200
    announced(house, cloud)
    assert (cloud.creates(), cloud.slack.messages) == ([], [])


# --- training pipelines --------------------------------------------------------------------------


def test_a_training_pipeline_is_resubmitted_and_its_custom_job_never_though_it_is_heard_first(
    house: Any, cloud: Any
) -> None:
    job = cloud.past_job("trainingPipelines", training(pool()), CPU, route=False, ended_ago=AGO)
    child = job["trainingTaskMetadata"]["backingCustomJob"]
    assert house.hear(service_line(cloud, child)) == 200
    assert (cloud.creates(), cloud.slack.messages) == ([], [])

    announced(house, cloud)

    (again,) = made(cloud, job)
    assert differences(job, again) == {
        "trainingTaskInputs.workerPoolSpecs[0].machineSpec.machineType": (
            "n1-standard-8",
            "n1-standard-16",
        )
    }
    assert again["modelToUpload"] == {"displayName": "variants"}
    assert ended(house, cloud) == ["Resubmitted", "Recovered"]
    assert len(cloud.calls("*.Create*", outcome="OK")) == 1


def test_an_automl_training_is_advised_on_only(house: Any, cloud: Any) -> None:
    job = cloud.add_job(
        {
            "name": cloud.name("trainingPipelines", "4711"),
            "displayName": "tables",
            "state": "PIPELINE_STATE_FAILED",
            "trainingTaskDefinition": CUSTOM_AUTOML,
            "trainingTaskInputs": {"targetColumn": "label"},
            "createTime": rfc3339(cloud.clock.now() - timedelta(hours=2)),
            "endTime": rfc3339(cloud.clock.now() - timedelta(hours=1)),
            "error": {"code": 13, "message": "Internal error occurred. Please retry."},
        }
    )
    house.reconcile()
    (entry,) = cloud.logs.find('logName:"vertex-remediator-job-failures"')
    assert house.hear(entry) == 200
    assert made(cloud, job) == []
    assert "An AutoML training is advised on, never run again by itself." in told(cloud)


CUSTOM_AUTOML = (
    "gs://google-cloud-aiplatform/schema/trainingjob/definition/automl_tables_1.0.0.yaml"
)


# --- pipeline runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("cached", [True, False], ids=["caching-on", "caching-off"])
def test_a_pipeline_run_goes_on_at_the_task_that_failed(
    house: Any, cloud: Any, cached: bool
) -> None:
    cloud.jobs.needs("customJobs", component("nightly", "train"), replace(MEMORY, memory_gib=25))
    body = pipeline("load", "train", cached=cached)
    job = cloud.past_job("pipelineJobs", body, Needs(), route=False, ended_ago=AGO)
    child = next(t for t in job["jobDetail"]["taskDetails"] if t["state"] == "FAILED")
    main = child["executorDetail"]["containerDetail"]["mainJob"]
    assert house.hear(service_line(cloud, main)) == 200
    assert (cloud.creates(), cloud.slack.messages) == ([], [])

    announced(house, cloud)

    (again,) = made(cloud, job)
    limit = "pipelineSpec.deploymentSpec.executors.exec-train.container.resources.memoryLimit"
    assert differences(job, again) == {limit: (15.0, 30.0)}  # an explicit off stays off
    assert again["runtimeConfig"]["parameterValues"] == {"cohort": "7"}
    assert "task train's error" in told(cloud)
    assert ended(house, cloud)[-1] == "Recovered"
    (done,) = made(cloud, job)
    states = {t["taskName"]: t["state"] for t in done["jobDetail"]["taskDetails"]}
    assert states == {"load": "SKIPPED" if cached else "SUCCEEDED", "train": "SUCCEEDED"}
    assert len(cloud.calls("*.Create*", outcome="OK")) == 1


def test_a_pipeline_runs_own_entry_is_heard_without_the_sweep(house: Any, cloud: Any) -> None:
    cloud.jobs.needs("customJobs", component("nightly", "train"), MEMORY)
    job = cloud.past_job("pipelineJobs", pipeline("load", "train"), Needs(), route=False)
    (entry,) = cloud.logs.find('jsonPayload.state="PIPELINE_STATE_FAILED"')
    assert [house.hear(entry), house.hear(entry)] == [200, 200]
    assert len(made(cloud, job)) == 1


@pytest.mark.parametrize(
    ("resources", "needs", "when", "step", "changed"),
    [
        pytest.param(
            {"cpuLimit": 4, "memoryLimit": 15},
            Needs(gpu="required"),
            "accelerator_missing",
            "{accelerator: {type: NVIDIA_TESLA_T4, count: 1}}",
            {"type": (None, "NVIDIA_TESLA_T4"), "count": (None, "1")},
            id="a-GPU-where-there-was-none",
        ),
        pytest.param(
            {
                "cpuLimit": 8,
                "memoryLimit": 30,
                "accelerator": {"type": "NVIDIA_TESLA_T4", "count": "1"},
            },
            Needs(gpu="required", gpu_memory_gib=20),
            "gpu_memory",
            "{accelerator: more_memory}",
            {"type": ("NVIDIA_TESLA_T4", "NVIDIA_L4")},
            id="a-GPU-with-more-memory",
        ),
    ],
)
def test_the_failing_components_accelerator_is_changed_in_the_pipelines_spec(
    open_house: Callable[..., Any],
    cloud: Any,
    resources: Mapping[str, Any],
    needs: Needs,
    when: str,
    step: str,
    changed: Mapping[str, Any],
) -> None:
    house = open_house(with_policy("gpu", f"{{cause: {when}}}", f"[{{resubmit: {step}}}]"))
    cloud.jobs.needs("customJobs", component("nightly", "train"), needs)
    body = pipeline("load", "train", resources=resources)
    job = cloud.past_job("pipelineJobs", body, Needs(), route=False, ended_ago=AGO)
    announced(house, cloud)
    (again,) = made(cloud, job)
    where = "pipelineSpec.deploymentSpec.executors.exec-train.container.resources.accelerator"
    assert differences(job, again) == {f"{where}.{key}": pair for key, pair in changed.items()}
    assert ended(house, cloud) == ["Resubmitted", "Recovered"]


def test_the_job_that_a_launcher_began_is_diagnosed_and_its_machine_changed(
    house: Any, cloud: Any
) -> None:
    """Google's component: the launcher says only that its job failed; the job's own error says why."""
    body = launching()
    trained = {"jobSpec": {"workerPoolSpecs": [{"containerSpec": {"imageUri": "img/x:1"}}]}}
    cloud.jobs.needs("customJobs", trained, MEMORY)
    job = cloud.past_job("pipelineJobs", body, Needs(), route=False, ended_ago=AGO)
    (failed,) = (t for t in job["jobDetail"]["taskDetails"] if t["state"] == "FAILED")
    assert failed["error"]["message"].startswith("Job failed with")
    assert "customJobs/" in failed["execution"]["metadata"]["output:gcp_resources"]

    announced(house, cloud)

    (again,) = made(cloud, job)
    spec = "runtimeConfig.parameterValues.specs[0].machine_spec.machine_type"
    assert differences(job, again) == {spec: ("n1-standard-8", "n1-standard-16")}
    assert "ran out of memory" in told(cloud)
    assert ended(house, cloud)[-1] == "Recovered"
    (done,) = made(cloud, job)
    states = {t["taskName"]: t["state"] for t in done["jobDetail"]["taskDetails"]}
    assert states == {"prep": "SKIPPED", "custom-training-job": "SUCCEEDED"}
    assert len(cloud.calls("*.Create*", outcome="OK")) == 1


def launching() -> dict[str, Any]:
    """The recorded run of CustomTrainingJobOp, its worker pools a run parameter, as it was begun."""
    held = recorded("custom-specs-parameter-0")
    run = {key: held[key] for key in ("displayName", "pipelineSpec", "runtimeConfig")}
    text = json.dumps(run).replace('"size"', '"specs"')
    body = dict(json.loads(text))
    task = body["pipelineSpec"]["root"]["dag"]["tasks"]["custom-training-job"]
    task["dependentTasks"] = ["prep"]
    return body


def recorded(name: str) -> dict[str, Any]:
    path = Path(__file__).parents[1] / "data" / "pipelines" / "compiled.jsonl"
    lines = (json.loads(line) for line in path.read_text().splitlines())
    return next(one["job"] for one in lines if one["name"] == name)


# --- batch predictions ---------------------------------------------------------------------------


def test_a_batch_prediction_from_bigquery_to_bigquery_keeps_its_tables(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    do = "[{resubmit: {replicas: double, batch_size: halve}}]"
    house = open_house(with_policy("smaller", "{cause: request_too_large}", do))
    body = batch(
        cloud,
        inputConfig={
            "instancesFormat": "bigquery",
            "bigquerySource": {"inputUri": "bq://genomics-lab.reads.batch_7"},
        },
        outputConfig={
            "predictionsFormat": "bigquery",
            "bigqueryDestination": {"outputUri": "bq://genomics-lab.scores"},
        },
    )
    job = cloud.past_job("batchPredictionJobs", body, TOO_MUCH, ended_ago=AGO)
    announced(house, cloud)
    (again,) = made(cloud, job)
    assert differences(job, again) == {
        "dedicatedResources.startingReplicaCount": (1, 2),
        "manualBatchTuningParameters.batchSize": (None, 32),
    }
    assert again["model"].endswith("@1")
    assert ended(house, cloud, 12) == ["Resubmitted", "Recovered"]
    (done,) = made(cloud, job)
    assert done["outputInfo"]["bigqueryOutputDataset"] == "bq://genomics-lab.scores"
    outcomes = cloud.logs.find('logName:"vertex-remediator-outcomes"')
    assert outcomes[-1]["jsonPayload"]["output"] == "bq://genomics-lab.scores"


def test_error_rows_of_another_job_below_the_same_prefix_are_not_read_as_this_ones(
    house: Any, cloud: Any
) -> None:
    """A job that never got as far as an output folder asked for the prefix that others use too."""
    raised = Needs(raises="ValueError: bad row in other-job")
    cloud.past_job("batchPredictionJobs", batch(cloud, "other"), raised, ended_ago=AGO)
    late = {**batch(cloud, "late"), "labels": {"remediator": "on"}}
    lost = Needs(fails_with=(14, "Service unavailable."))
    job = cloud.past_job("batchPredictionJobs", late, lost, ended_ago=1800.0)
    assert "outputInfo" not in job
    announced(house, cloud)
    (again,) = made(cloud, job)
    assert again["labels"]["remediator-policy"] == "passing"


GEMINI = "publishers/google/models/gemini-2.5-flash"
USED_UP = (
    8,
    (
        "429 Quota exceeded for aiplatform.googleapis.com/generate_content_requests_per_minute_per_"
        "project_per_base_model with base model: gemini-2.5-flash. Please submit a quota increase "
        "request."
    ),
)


def gemini(cloud: Any) -> dict[str, Any]:
    body = batch(cloud, model=GEMINI)
    del body["dedicatedResources"]
    return body


def test_a_batch_prediction_by_gemini_waits_for_its_quota_and_runs_again_as_it_was(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    wait = "[{resubmit: {wait: 10m}}]"
    house = open_house(with_policy("used-up", "{cause: quota}", wait, limits=False))
    needs = Needs(by_try=(Needs(fails_with=USED_UP),))
    job = cloud.past_job("batchPredictionJobs", gemini(cloud), needs, ended_ago=AGO)
    announced(house, cloud)
    assert cloud.creates() == []
    later(minutes=11)
    house.reconcile()
    (again,) = made(cloud, job)
    assert differences(job, again) == {}
    assert again["model"] == GEMINI
    titles = ended(house, cloud)
    assert titles[0].startswith("Waiting until")
    assert titles[1:] == ["Resubmitted unchanged", "Recovered"]


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (
            "{machine_type: bigger}",
            "The job names no machine of its own, so there is none to change.",
        ),
        (
            "{batch_size: halve}",
            "A batch size goes only with dedicated machines, and the job has none.",
        ),
        ("{replicas: double}", "The job has no machines of its own, so no replicas to change."),
    ],
)
def test_a_batch_prediction_by_gemini_has_no_machine_to_size(
    open_house: Callable[..., Any], cloud: Any, step: str, why: str
) -> None:
    house = open_house(with_policy("size", "{}", f"[{{resubmit: {step}}}]", limits=False))
    job = cloud.past_job("batchPredictionJobs", gemini(cloud), Needs(fails_with=USED_UP))
    announced(house, cloud)
    assert made(cloud, job) == []
    assert why in told(cloud)
    assert "generate_content_requests_per_minute_per_project_per_base_model" in told(cloud)


def test_what_gemini_costs_is_not_known_so_a_limit_in_dollars_refuses(
    house: Any, cloud: Any
) -> None:
    job = cloud.past_job("batchPredictionJobs", gemini(cloud), Needs(fails_with=USED_UP))
    announced(house, cloud)
    assert made(cloud, job) == []
    assert "Refused by unknown_price" in told(cloud)
    assert "The job has no machines of its own, so what it would cost is not known" in told(cloud)


# --- creations that Vertex refused ---------------------------------------------------------------


def refused(cloud: Any, method: str, code: int, message: str, **more: Any) -> dict[str, Any]:
    return {
        "logName": f"projects/{cloud.project}/logs/cloudaudit.googleapis.com%2Factivity",
        "resource": {"type": "audited_resource", "labels": {"project_id": cloud.project}},
        "severity": "ERROR",
        "timestamp": cloud.now_text(),
        "insertId": f"audit-{method}-{code}",
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "serviceName": "aiplatform.googleapis.com",
            "methodName": f"google.cloud.aiplatform.v1.{method}",
            "authenticationInfo": {
                "principalEmail": "airflow@genomics-lab.iam.gserviceaccount.com"
            },
            "status": {"code": code, "message": message},
            "request": {
                "parent": f"projects/{cloud.project}/locations/us-central1",
                "customJob": {"displayName": "align"},
            },
            **more,
        },
    }


@pytest.mark.parametrize(
    ("method", "code", "message", "cause", "mend"),
    [
        pytest.param(
            "JobService.CreateCustomJob",
            8,
            "The following quota metrics exceed quota limits: "
            "aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus",
            "quota",
            "custom_model_training_nvidia_l4_gpus",
            id="quota",
        ),
        pytest.param(
            "PipelineService.CreatePipelineJob",
            7,
            "Permission 'aiplatform.pipelineJobs.create' denied on resource "
            "'//aiplatform.googleapis.com/projects/genomics-lab/locations/us-central1'",
            "permission",
            "aiplatform.pipelineJobs.create",
            id="permission",
        ),
        pytest.param(
            "JobService.CreateCustomJob",
            3,
            'The accelerator count "8" is not allowed. The allowed numbers of accelerator '
            '"NVIDIA_L4" to use with machine type "g2-standard-8" are: [1].',
            "invalid configuration",
            "are: [1]",
            id="machine",
        ),
    ],
)
def test_a_creation_that_vertex_refused_is_told_with_the_mend(
    house: Any, cloud: Any, method: str, code: int, message: str, cause: str, mend: str
) -> None:
    entry = refused(cloud, method, code, message)
    assert [house.hear(entry), house.hear(entry)] == [200, 200]
    assert (cloud.creates(), cloud.jobs.all()) == ([], [])
    assert len(cloud.slack.messages) == 1
    text = told(cloud)
    assert f"Not created: align was refused ({cause}" in text
    assert mend in text
    assert "asked for by airflow@genomics-lab.iam.gserviceaccount.com" in text
    to_do = text.partition("Next step")[2]
    assert len(to_do.split()) > 6, text


@pytest.mark.parametrize(
    ("code", "message", "passes"),
    [
        (14, "The service is currently unavailable.", True),
        (13, "Internal error encountered.", True),
        (8, "The following quota metrics exceed quota limits: custom_model_training_cpus", False),
        (7, "Permission 'aiplatform.customJobs.create' denied on resource", False),
    ],
)
def test_a_refusal_that_may_pass_is_told_as_not_sent_again(
    house: Any, cloud: Any, code: int, message: str, passes: bool
) -> None:
    assert house.hear(refused(cloud, "JobService.CreateCustomJob", code, message)) == 200
    assert cloud.creates() == []
    assert ("was not sent again" in told(cloud).replace("\n", " ")) is passes


def test_a_refusal_of_our_own_call_is_no_failure_of_anybodys(house: Any, cloud: Any) -> None:
    ours = {"requestMetadata": {"callerSuppliedUserAgent": "vertex-remediator/1 grpc"}}
    entry = refused(cloud, "JobService.CreateCustomJob", 8, "quota exceeded", **ours)
    assert house.hear(entry) == 200
    assert cloud.slack.messages == []


def test_the_audit_entry_of_a_real_refusal_in_the_twin_is_told(house: Any, cloud: Any) -> None:
    channel = grpc.insecure_channel(cloud.vertex.endpoint)
    transport = JobServiceGrpcTransport(channel=channel)
    client = aiplatform_v1.JobServiceClient(transport=transport)
    body = custom(pool("n1-standard-7"))
    job = aiplatform_v1.CustomJob.from_json(json.dumps(body))
    with pytest.raises(InvalidArgument) as said:
        client.create_custom_job(
            parent=f"projects/{cloud.project}/locations/us-central1", custom_job=job
        )
    channel.close()
    (entry,) = cloud.logs.find('logName:"cloudaudit.googleapis.com%2Factivity"')
    assert house.hear(entry) == 200
    assert str(said.value.message) in told(cloud).replace("\n", " ")
