"""Where things live in each kind of job, what a clone keeps, and what makes two jobs the same work."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.catalog.catalog import Catalog, Hardware
from remediator.domain import Cause, Guard, History, InvalidInput, JobKind, JobName
from remediator.job import Job, fields, pipeline
from remediator.job.differences import difference_is_legal
from remediator.job.validation import require_shape
from remediator.planning import plan
from tests.jobs import (
    BATCH,
    CUSTOM,
    EVERY_KIND,
    PIPELINE,
    TRAINING,
    TUNING,
    TUNING_TASK,
    case,
    diagnosis,
    job,
    policies,
)

BOOK = Catalog.built_in()
CALM = settings(deadline=None)  # two cores are shared: time is judged in one test of its own
by_kind = pytest.mark.parametrize(
    "body", [pytest.param(body, id=Job.parse(body).kind.value) for body in EVERY_KIND]
)


def test_every_kind_has_its_row() -> None:
    assert set(fields.KINDS) == set(JobKind)


# --- cloning --------------------------------------------------------------------------------------

GONE = {
    JobKind.BATCH_PREDICTION: {
        "modelVersionId",
        "outputInfo",
        "partialFailures",
        "resourcesConsumed",
        "completionStats",
    },
    JobKind.CUSTOM: {"webAccessUris"},
    JobKind.HYPERPARAMETER_TUNING: {"trials"},
    JobKind.TRAINING_PIPELINE: {"trainingTaskMetadata"},
    JobKind.PIPELINE: {"jobDetail"},
}
GONE_EVERYWHERE = {"name", "state", "error", "createTime", "startTime", "endTime", "updateTime"}


@by_kind
def test_a_clone_loses_what_is_output_only_and_keeps_the_rest(body: dict[str, Any]) -> None:
    original = job(body)
    clone = original.clone()
    assert set(body) - set(clone.request()) == GONE_EVERYWHERE | GONE[original.kind]
    for key in set(clone.request()) - {"labels", "model"}:
        assert clone.request()[key] == body[key]


def test_a_clone_keeps_labels_but_googles_own_and_ours() -> None:
    original = job(CUSTOM, labels={"a": "1", "aiplatform.googleapis.com/x": "2",
                                   "remediator-root": "3", "remediator": "on"})  # fmt: skip
    assert original.clone().labels == {"a": "1", "remediator": "on"}


@pytest.mark.parametrize(
    ("model", "version", "pinned"),
    [
        ("projects/p/locations/l/models/m", "4", "projects/p/locations/l/models/m@4"),
        ("projects/p/locations/l/models/m@default", "4", "projects/p/locations/l/models/m@4"),
        ("projects/p/locations/l/models/m", None, "projects/p/locations/l/models/m"),
        ("publishers/google/models/gemini-3", "1", "publishers/google/models/gemini-3"),
    ],
)
def test_the_model_is_pinned_to_the_version_that_ran(
    model: str, version: str | None, pinned: str
) -> None:
    original = job(BATCH, model=model, modelVersionId=version)
    assert original.clone().request()["model"] == pinned


# --- pools and facts ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "machines"),
    [
        (BATCH, [("dedicatedResources.machineSpec.machineType", "n1-standard-8", 2)]),
        (CUSTOM, [("jobSpec.workerPoolSpecs[0].machineSpec.machineType", "n1-standard-8", 1)]),
        (TUNING, [("trialJobSpec.workerPoolSpecs[0].machineSpec.machineType", "n1-highmem-8", 1)]),
        (
            TRAINING,
            [
                (
                    "trainingTaskInputs.workerPoolSpecs[0].machine_spec.machine_type",
                    "n1-standard-4",
                    1,
                )
            ],
        ),
        (PIPELINE, []),
    ],
    ids=["batch", "custom", "tuning", "training", "pipeline"],
)
def test_machines_are_found_where_each_kind_keeps_them(
    body: dict[str, Any], machines: list[tuple[str, str, int]]
) -> None:
    found = [(p.machine_path, p.hardware.machine, p.replicas) for p in job(body).pools]
    assert found == machines


def test_a_pipelines_custom_jobs_are_pools_of_its_executors() -> None:
    spec = {"jobSpec": {"workerPoolSpecs": [{"machineSpec": {"machineType": "n1-standard-4"}}]}}
    path = "pipelineSpec.deploymentSpec.executors.exec-train"
    run = job(PIPELINE).changed(path, {"customJob": {"customJob": spec}})
    (pool,) = run.pools
    assert (pool.task, pool.machine_path) == (
        "pipelineSpec.root.dag.tasks.train",
        f"{path}.customJob.customJob.jobSpec.workerPoolSpecs[0].machineSpec.machineType",
    )


def test_facts_are_what_conditions_may_ask_about() -> None:
    accelerated = job(
        BATCH,
        dedicatedResources__machineSpec__acceleratorType="NVIDIA_TESLA_T4",
        dedicatedResources__machineSpec__acceleratorCount=1,
        manualBatchTuningParameters={"batchSize": 16},
        labels={"env": "prod"},
    )
    assert accelerated.facts(BOOK).variables() == {
        "kind": "batch_prediction",
        "display_name": "score",
        "location": "us-central1",
        "labels": {"env": "prod"},
        "service_account": "scorer@genomics.iam.gserviceaccount.com",
        "run_seconds": 3600.0,
        "machine": {
            "type": "n1-standard-8",
            "vcpus": 8,
            "memory_gib": 30,
            "family": "n1-standard",
        },
        "accelerator": {"type": "NVIDIA_TESLA_T4", "count": 1},
        "replicas": 2,
        "batch_size": 16,
        "model": "projects/123456789012/locations/us-central1/models/variants",
        "spot": False,
        "strategy": "STANDARD",
    }


def test_a_fact_that_a_job_does_not_have_is_left_out() -> None:
    told = job(BATCH, dedicatedResources=None, serviceAccount=None).facts(BOOK).variables()
    assert told["machine"] == {}
    assert told["accelerator"] == {}
    assert {"service_account", "replicas", "batch_size"} & set(told) == set()


def test_the_default_batch_size_is_64() -> None:
    assert job(BATCH).facts(BOOK).batch_size == 64
    assert job(CUSTOM).facts(BOOK).batch_size is None


@pytest.mark.parametrize(
    ("body", "path", "spot"),
    [
        (CUSTOM, "jobSpec.scheduling.strategy", True),
        (TUNING, "trialJobSpec.scheduling.strategy", True),
        (TRAINING, "trainingTaskInputs.scheduling.strategy", True),
    ],
    ids=["custom", "tuning", "training"],
)
def test_spot_is_a_strategy(body: dict[str, Any], path: str, spot: bool) -> None:
    assert job(body).is_spot is False
    assert job(body).changed(path, "SPOT").is_spot is spot


# --- what counts as a failure ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "failure", "person"),
    [
        ({}, True, False),
        ({"state": "JOB_STATE_EXPIRED"}, True, False),
        ({"state": "JOB_STATE_PARTIALLY_SUCCEEDED"}, True, False),
        ({"state": "JOB_STATE_SUCCEEDED"}, False, False),
        ({"state": "JOB_STATE_RUNNING"}, False, False),
        # its time-out is 3600 s, and it ran that long
        ({"state": "JOB_STATE_CANCELLED"}, True, False),
        ({"state": "JOB_STATE_CANCELLED", "endTime": "2026-11-23T18:30:00Z"}, False, True),
        (
            {
                "state": "JOB_STATE_CANCELLED",
                "endTime": "2026-11-23T18:30:00Z",
                "error": {"code": 1, "message": "The job exceeded the maximum run time."},
            },
            True,
            False,
        ),
        ({"state": "JOB_STATE_CANCELLED", "jobSpec__scheduling": None}, False, True),
    ],
    ids=[
        "failed",
        "expired",
        "partial",
        "succeeded",
        "running",
        "cancelled-at-time-out",
        "cancelled-early",
        "cancelled-error-says-so",
        "cancelled-no-time-out",
    ],
)
def test_a_cancelled_job_failed_only_by_its_own_time_out(
    changes: dict[str, Any], failure: bool, person: bool
) -> None:
    found = job(CUSTOM, **changes)
    assert (found.is_failure, found.cancelled_by_person) == (failure, person)


@pytest.mark.parametrize(
    ("stats", "partial", "count"),
    [
        ({"successfulCount": "10", "failedCount": "3"}, [], 3),
        ({"successfulCount": "10", "failedCount": "-1"}, [{"code": 3}, {"code": 3}], 2),
        ({"successfulCount": "10"}, [], 0),
        (None, None, 0),
    ],
)
def test_a_success_with_failed_instances_is_a_failure(
    stats: dict[str, str] | None, partial: list[Any] | None, count: int
) -> None:
    done = job(BATCH, state="JOB_STATE_SUCCEEDED", completionStats=stats, partialFailures=partial)
    assert (done.failed_instances, done.is_failure) == (count, count > 0)


# --- relations ------------------------------------------------------------------------------------


def test_a_child_of_a_pipeline_run_has_a_parent_and_the_run_has_none() -> None:
    child = job(CUSTOM, labels={"vertex-ai-pipelines-run-billing-id": "4242"})
    assert child.parent == "pipeline run 4242"
    assert job(PIPELINE).parent == ""
    assert job(CUSTOM).parent == ""


@pytest.mark.parametrize(
    ("body", "ids"),
    [
        (CUSTOM, ("77",)),
        (BATCH, ("88",)),
        (TUNING, ("99", "501", "502", "503")),
        (TRAINING, ("111", "601")),
        (PIPELINE, ("701",)),  # a run's own id is no number
    ],
    ids=["custom", "batch", "tuning", "training", "pipeline"],
)
def test_logs_are_kept_under_the_ids_of_the_job_and_its_children(
    body: dict[str, Any], ids: tuple[str, ...]
) -> None:
    assert job(body).log_ids == ids


@pytest.mark.parametrize(
    ("body", "buckets", "inputs"),
    [
        (CUSTOM, ("genomes", "results"), ("genomes", "results")),
        (BATCH, ("genomes", "results"), ("genomes",)),
        (TUNING, ("genomes", "results"), ("genomes", "results")),
    ],
    ids=["custom", "batch", "tuning"],
)
def test_buckets_are_those_that_the_request_names(
    body: dict[str, Any], buckets: tuple[str, ...], inputs: tuple[str, ...]
) -> None:
    assert job(body).buckets == buckets
    assert job(body).input_buckets == inputs


def test_googles_schema_of_a_training_pipeline_is_no_data_of_the_job() -> None:
    assert job(TRAINING).buckets == ("results",)


def test_bigquery_tables_are_found() -> None:
    tables = job(
        BATCH,
        inputConfig={"bigquerySource": {"inputUri": "bq://p.genomes.reads"}},
        outputConfig={"bigqueryDestination": {"outputUri": "bq://p.genomes"}},
    )
    assert tables.tables == ("p.genomes.reads", "p.genomes")


@pytest.mark.parametrize(
    ("said", "pools"),
    [
        ("The replica workerpool1-3 ran out of memory", {"workerpool1"}),
        ("replicas workerpool0-0, workerpool2-1 exited", {"workerpool0", "workerpool2"}),
        ("it failed", set()),
    ],
)
def test_the_error_names_the_pools_that_failed(said: str, pools: set[str]) -> None:
    assert job(CUSTOM, error={"code": 3, "message": said}).failed_pools() == pools


def test_evidence_of_a_workers_death_goes_before_the_chief_that_lost_it() -> None:
    lost = job(CUSTOM, error={"code": 3, "message": "The replica workerpool0-0 exited"})
    assert lost.failed_pools("the log of workerpool1-1: out of memory") == {"workerpool1"}
    assert lost.failed_pools("a series of the whole job") == {"workerpool0"}


@pytest.mark.parametrize(
    ("image", "cpu_only"),
    [
        ("us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-12:latest", True),
        ("us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-3", True),
        ("us-docker.pkg.dev/vertex-ai/prediction/tf2-gpu.2-12:latest", False),
        ("gcr.io/p/serve:cpu", True),
        ("gcr.io/p/scpuffy", False),
        ("gcr.io/p/cpu-and-gpu", False),
        ("gcr.io/p/model", False),
    ],
)
def test_an_image_for_cpus_is_known_by_its_name(image: str, cpu_only: bool) -> None:
    model = {"containerSpec": {"imageUri": image}}
    assert bool(job(BATCH).cpu_only_image(model)) is cpu_only


# --- a pipeline's accelerators --------------------------------------------------------------------

RESOURCES = "pipelineSpec.deploymentSpec.executors.exec-train.container.resources"


@pytest.mark.parametrize(
    ("resources", "asked", "changed"),
    [
        (
            {"cpuLimit": 4, "memoryLimit": 15},
            "{type: NVIDIA_TESLA_T4, count: 1}",
            {"type": "NVIDIA_TESLA_T4", "count": "1"},
        ),
        (
            {"resourceCpuLimit": "4", "resourceMemoryLimit": "15G"},
            "{type: NVIDIA_TESLA_T4, count: 2}",
            {"resourceType": "NVIDIA_TESLA_T4", "resourceCount": "2"},
        ),
        (
            {"cpuLimit": 4, "accelerator": {"type": "NVIDIA_TESLA_T4", "count": "1"}},
            "bigger",
            {"type": "NVIDIA_TESLA_T4", "count": "2"},
        ),
        (
            {"cpuLimit": 4, "accelerator": {"resourceType": "NVIDIA_TESLA_T4"}},
            "none",
            {},
        ),
    ],
    ids=["none-before", "in-words", "bigger", "none-after"],
)
def test_a_failed_components_accelerator_is_changed_where_it_stands(
    resources: dict[str, Any], asked: str, changed: dict[str, Any]
) -> None:
    run = job(PIPELINE).changed(RESOURCES, resources)
    text = (
        "mode: enforce\nrerun_safe: [pipeline]\n"
        f"policies: [{{name: p, do: [{{resubmit: {{accelerator: {asked}}}}}]}}]"
    )
    found = diagnosis(run, Cause.ACCELERATOR_MISSING)
    made = plan(case(run), found, policies(text), History(), BOOK)
    assert made.refused_by == ()
    assert Job(run.name, made.request or {}).read(f"{RESOURCES}.accelerator") == changed
    assert difference_is_legal(run, made.request or {})
    load = "pipelineSpec.deploymentSpec.executors.exec-load"
    assert Job(run.name, made.request or {}).read(load) == run.read(load)
    assert (made.estimated_usd or 0) > 0


@pytest.mark.parametrize(
    ("cause", "resources", "after"),
    [
        (Cause.CPU_SATURATION, {"cpuLimit": 4, "memoryLimit": 15}, {"cpuLimit": 8, "memoryLimit": 30}),
        (Cause.MEMORY_PRESSURE, {"cpuLimit": 4, "memoryLimit": 15}, {"cpuLimit": 4, "memoryLimit": 30}),
        (Cause.ACCELERATOR_MISSING, {"cpuLimit": 4, "memoryLimit": 15},
         {"cpuLimit": 4, "memoryLimit": 15, "accelerator": {"type": "NVIDIA_TESLA_T4", "count": "1"}}),
        (Cause.SLOW_STARTUP, {"cpuLimit": 4, "memoryLimit": 15}, None),
    ],
    ids=["cpus", "memory", "accelerator", "nothing-to-size"],
)  # fmt: skip
def test_sized_raises_of_a_component_what_the_cause_asks(
    cause: Cause, resources: dict[str, Any], after: dict[str, Any] | None
) -> None:
    run = job(PIPELINE).changed(RESOURCES, resources)
    text = (
        "mode: enforce\nrerun_safe: [pipeline]\n"
        "policies: [{name: p, do: [{resubmit: {machine_type: sized}}]}]"
    )
    made = plan(case(run), diagnosis(run, cause), policies(text), History(), BOOK)
    if after is None:
        assert made.refused_by == (Guard.INCOMPATIBLE,)
        return
    assert made.refused_by == ()
    assert Job(run.name, made.request or {}).read(RESOURCES) == after


def test_a_limit_on_accelerators_holds_for_components() -> None:
    text = (
        "mode: enforce\nrerun_safe: [pipeline]\nlimits: {accelerators: [NVIDIA_L4]}\n"
        "policies: [{name: p, do: [{resubmit: {accelerator: {type: NVIDIA_TESLA_T4, count: 1}}}]}]"
    )
    run = job(PIPELINE)
    made = plan(
        case(run), diagnosis(run, Cause.ACCELERATOR_MISSING), policies(text), History(), BOOK
    )
    assert made.refused_by == (Guard.ACCELERATORS,)


# --- whose part a job is --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parent", "child", "is_its"),
    [
        (TRAINING, "projects/genomics/locations/us-central1/customJobs/601", True),
        (TRAINING, "projects/genomics/locations/us-east1/customJobs/601", False),
        (TRAINING, "projects/genomics/locations/us-central1/customJobs/1601", False),
        (TUNING, "projects/123456789012/locations/us-central1/customJobs/502", True),
        (CUSTOM, "projects/123456789012/locations/us-central1/customJobs/77", False),
    ],
)
def test_a_parent_knows_its_child_by_either_form_of_the_project(
    parent: dict[str, Any], child: str, is_its: bool
) -> None:
    assert job(parent).has_child(JobName.parse(child)) is is_its


def test_a_trials_time_out_does_not_end_the_tuning_job() -> None:
    """A person who cancels after many hours has cancelled, however short each trial may run."""
    long = job(TUNING, state="JOB_STATE_CANCELLED", endTime="2026-11-24T19:00:00Z", error=None)
    assert (long.ran_into_timeout, long.cancelled_by_person) == (False, True)


# --- the same work --------------------------------------------------------------------------------

SAME_WORK = {
    "another name and id": {"name": BATCH["name"][:-2] + "99", "displayName": "score again"},
    "labels": {"labels": {"who": "airflow"}},
    "machine": {"dedicatedResources__machineSpec": {"machineType": "n1-highmem-16"}},
    "accelerator": {
        "dedicatedResources__machineSpec": {
            "machineType": "n1-standard-8",
            "acceleratorType": "NVIDIA_TESLA_T4",
            "acceleratorCount": 1,
        }
    },
    "replicas": {
        "dedicatedResources__startingReplicaCount": 8,
        "dedicatedResources__maxReplicaCount": 8,
    },
    "batch size": {"manualBatchTuningParameters": {"batchSize": 8}},
    "the project's id for its number": {
        "model": "projects/genomics/locations/us-central1/models/variants"
    },
    "state and output": {"state": "JOB_STATE_SUCCEEDED", "outputInfo": None, "error": None},
}
OTHER_WORK = {
    "input": {"inputConfig": {"gcsSource": {"uris": ["gs://genomes/other.jsonl"]}}},
    "output": {"outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://results/other"}}},
    "model": {"model": "projects/123456789012/locations/us-central1/models/other"},
    "version": {"modelVersionId": "5"},
    "account": {"serviceAccount": "other@genomics.iam.gserviceaccount.com"},
}


@pytest.mark.parametrize("changes", SAME_WORK.values(), ids=SAME_WORK)
def test_the_same_work_has_the_same_digest(changes: dict[str, Any]) -> None:
    assert job(BATCH, **changes).workload_digest == job(BATCH).workload_digest


@pytest.mark.parametrize("changes", OTHER_WORK.values(), ids=OTHER_WORK)
def test_other_work_has_another_digest(changes: dict[str, Any]) -> None:
    assert job(BATCH, **changes).workload_digest != job(BATCH).workload_digest


def test_scheduling_and_our_own_variables_are_not_the_work() -> None:
    env = "jobSpec.workerPoolSpecs[0].containerSpec.env"
    ours = [{"name": "SHARDS", "value": "16"}, {"name": "REMEDIATOR_ATTEMPT", "value": "2"}]
    theirs = [{"name": "SHARDS", "value": "32"}]
    same = job(CUSTOM, jobSpec__scheduling={"timeout": "7200s"}).changed(env, ours)
    assert same.workload_digest == job(CUSTOM).workload_digest
    other = job(CUSTOM).changed(env, theirs)
    assert other.workload_digest != job(CUSTOM).workload_digest


# --- odd bodies -----------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


@by_kind
def test_a_job_without_its_parts_is_read_as_having_none(body: dict[str, Any]) -> None:
    bare = Job.parse({"name": body["name"], "state": body["state"]})
    assert bare.pools == ()
    assert bare.facts(BOOK).machine_type is None
    assert bare.children == ()
    assert bare.clone().request() == {}
    assert len(bare.workload_digest) == 16


@pytest.mark.parametrize(
    ("body", "path", "value", "said"),
    [
        (CUSTOM, "labels", ["a"], "the job's `labels` must be an object"),
        (CUSTOM, "jobSpec", "x", "the job's `jobSpec` must be an object"),
        (
            CUSTOM,
            "jobSpec.workerPoolSpecs",
            {"a": 1},
            "the job's `jobSpec.workerPoolSpecs` must be a list of objects",
        ),
        (
            CUSTOM,
            "jobSpec.workerPoolSpecs",
            [{"machineSpec": 8}],
            "the job's `jobSpec.workerPoolSpecs[0].machineSpec` must be an object",
        ),
        (TUNING, "trials", [1], "the job's `trials` must be a list of objects"),
        (
            TUNING_TASK,
            "trainingTaskInputs.trialJobSpec.workerPoolSpecs",
            "-5s",
            "the job's `trainingTaskInputs.trialJobSpec.workerPoolSpecs` must be a list of objects",
        ),
        (
            PIPELINE,
            "pipelineSpec.root.dag.tasks",
            {"train": {"componentRef": "x"}},
            "the job's `pipelineSpec.root.dag.tasks.train.componentRef` must be an object",
        ),
    ],
    ids=["labels", "spec", "pools", "machine", "trials", "tuning-task", "component"],
)
def test_a_shape_that_no_job_can_have_is_named(
    body: dict[str, Any], path: str, value: Any, said: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        require_shape(job(body).changed(path, value))
    assert str(refused.value) == said


def leaves(value: Any, path: str = "") -> list[str]:
    """Every path into a job, inner ones too."""
    if isinstance(value, dict):
        inner = [leaves(item, f"{path}.{key}" if path else key) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [leaves(item, f"{path}[{index}]") for index, item in enumerate(value)]
    else:
        return [path]
    return [path] * bool(path) + [one for many in inner for one in many]


@CALM
@given(st.data(), st.sampled_from((*EVERY_KIND, TUNING_TASK)), values)
def test_any_value_anywhere_is_named_or_read(
    data: st.DataObject, body: dict[str, Any], value: Any
) -> None:
    """What the API could never send may still stand in a case file: never a traceback."""
    places = [path for path in leaves(body) if path != "name"]
    odd = job(body).changed(data.draw(st.sampled_from(places)), value)
    named = False
    try:
        require_shape(odd)
    except InvalidInput:
        named = True
    if not named:
        odd.facts(BOOK).variables()
        assert odd.workload_digest
        assert isinstance(odd.is_failure, bool)
        for many in (odd.log_ids, odd.buckets, odd.environments, odd.faults):
            assert isinstance(many, tuple)
        odd.images()


def test_hardware_reads_as_people_say_it() -> None:
    assert str(Hardware("n1-standard-8", "NVIDIA_TESLA_T4", 2)) == (
        "n1-standard-8 + 2 NVIDIA_TESLA_T4"
    )


@pytest.mark.parametrize("odd", [None, 1, [None], {}, "comp-of-nobody"], ids=str)
def test_a_task_of_no_known_component_has_no_executor(odd: object) -> None:
    path = "pipelineSpec.root.dag.tasks.train.componentRef.name"
    assert pipeline.failed_executors(job(PIPELINE)) == ("exec-train",)
    assert pipeline.failed_executors(job(PIPELINE).changed(path, odd)) == ()


def test_a_task_that_is_null_has_no_executor_and_no_cache() -> None:
    body = copy.deepcopy(PIPELINE)
    body["pipelineSpec"]["root"]["dag"]["tasks"] |= {"train": None, "load": None}
    held = job(body)
    require_shape(held)
    assert pipeline.failed_executors(held) == ()
    assert pipeline.uncached(held) == ()


@pytest.mark.parametrize(
    ("value", "number"),
    [(3, 3), (3.0, 3), ("3", 3), ("-1", -1), (1.5, None), ("x", None), (True, None), (None, None),
     (10**30, None), (1e308, None), ("9" * 30, None)],
)  # fmt: skip
def test_a_whole_number_is_one_that_google_could_send(value: object, number: int | None) -> None:
    assert fields.whole_number(value) == number
