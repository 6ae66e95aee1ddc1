"""Every key of `resubmit`: what it changes in each kind of job, and what is refused with its reason."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from remediator.domain import (
    Action,
    Cause,
    Change,
    Guard,
    History,
)
from remediator.job import Job
from remediator.job.differences import difference_is_legal, differences
from tests.jobs import (
    BATCH,
    CUSTOM,
    PIPELINE,
    TRAINING,
    TUNING,
    attempt,
    job,
)
from tests.planning.planner_cases import (
    BATCH_SPEC,
    CUSTOM_SPEC,
    L4,
    MOST,
    SIZE,
    START,
    T4,
    ladder,
    planned,
    resubmitted,
    told,
)

# --- the table of what resubmit understands --------------------------------------------------------


TIMEOUT, STRATEGY = "jobSpec.scheduling.timeout", "jobSpec.scheduling.strategy"


OUTPUT = "jobSpec.baseOutputDirectory.outputUriPrefix"


ROWS: list[tuple[dict[str, Any], str, list[tuple[str, Any, Any]]]] = [
    (BATCH, "{}", []),
    (CUSTOM, "{}", []),
    (BATCH, "{machine_type: n1-highmem-16}",
     [(f"{BATCH_SPEC}.machineType", "n1-standard-8", "n1-highmem-16")]),
    (CUSTOM, "{machine_type: n1-highmem-16}",
     [(f"{CUSTOM_SPEC}.machineType", "n1-standard-8", "n1-highmem-16")]),
    (BATCH, "{machine_type: bigger}",
     [(f"{BATCH_SPEC}.machineType", "n1-standard-8", "n1-standard-16")]),
    (CUSTOM, "{machine_type: more_memory}",
     [(f"{CUSTOM_SPEC}.machineType", "n1-standard-8", "n1-standard-16")]),
    (BATCH, "{machine_type: g2-standard-24}",  # built-in devices come with their count
     [(f"{BATCH_SPEC}.machineType", "n1-standard-8", "g2-standard-24"),
      (f"{BATCH_SPEC}.acceleratorType", None, L4), (f"{BATCH_SPEC}.acceleratorCount", None, 2)]),
    (CUSTOM, f"{{accelerator: {{type: {T4}, count: 2}}}}",
     [(f"{CUSTOM_SPEC}.acceleratorType", None, T4), (f"{CUSTOM_SPEC}.acceleratorCount", None, 2)]),
    (CUSTOM, "{accelerator: bigger}",
     [(f"{CUSTOM_SPEC}.acceleratorType", None, T4), (f"{CUSTOM_SPEC}.acceleratorCount", None, 1)]),
    (BATCH, f"{{machine_type: bigger, accelerator: {{type: {T4}, count: 1}}}}",
     [(f"{BATCH_SPEC}.machineType", "n1-standard-8", "n1-standard-16"),
      (f"{BATCH_SPEC}.acceleratorType", None, T4), (f"{BATCH_SPEC}.acceleratorCount", None, 1)]),
    (BATCH, "{batch_size: 8}", [(SIZE, None, 8)]),
    (BATCH, "{batch_size: halve}", [(SIZE, None, 32)]),
    (BATCH, "{replicas: 8}", [(START, 2, 8), (MOST, 2, 8)]),
    (BATCH, "{replicas: double}", [(START, 2, 4), (MOST, 2, 4)]),
    (CUSTOM, "{replicas: double}", [("jobSpec.workerPoolSpecs[0].replicaCount", "1", "2")]),
    (CUSTOM, "{timeout: 2h}", [(TIMEOUT, "3600s", "7200s")]),
    (CUSTOM, "{timeout: double}", [(TIMEOUT, "3600s", "7200s")]),
    (CUSTOM, "{spot: true}", [(STRATEGY, None, "SPOT")]),
    (CUSTOM, "{strategy: SPOT, max_usd: 5}", [(STRATEGY, None, "SPOT")]),
    (CUSTOM, "{machine_type: g2-standard-8, strategy: FLEX_START, max_wait: 4h}",
     [(STRATEGY, None, "FLEX_START"), ("jobSpec.scheduling.maxWaitDuration", None, "14400s"),
      (f"{CUSTOM_SPEC}.machineType", "n1-standard-8", "g2-standard-8"),
      (f"{CUSTOM_SPEC}.acceleratorType", None, L4), (f"{CUSTOM_SPEC}.acceleratorCount", None, 1)]),
    (CUSTOM, "{disk: double}",
     [("jobSpec.workerPoolSpecs[0].diskSpec.bootDiskSizeGb", 100, 200)]),
    (TUNING, "{disk: 1TB}",
     [("trialJobSpec.workerPoolSpecs[0].diskSpec.bootDiskSizeGb", 100, 1000)]),
    (TRAINING, "{disk: 300GB}",
     [("trainingTaskInputs.workerPoolSpecs[0].diskSpec.bootDiskSizeGb", None, 300)]),
    (CUSTOM, "{location: us-east4}", [("location", "us-central1", "us-east4")]),
    (CUSTOM, "{output: attempt}", [(OUTPUT, "gs://results/run", "gs://results/run/attempt-1")]),
    (CUSTOM, "{output: same}", []),
    (CUSTOM, "{wait: 10m}", []),
    (BATCH, "{batch_size: halve, machine_type: bigger}",
     [(SIZE, None, 32), (f"{BATCH_SPEC}.machineType", "n1-standard-8", "n1-standard-16")]),
    (TUNING, "{machine_type: bigger, timeout: double}",
     [("trialJobSpec.scheduling.timeout", "7200s", "14400s"),
      ("trialJobSpec.workerPoolSpecs[0].machineSpec.machineType", "n1-highmem-8",
       "n1-highmem-16")]),
    (TRAINING, "{machine_type: bigger}",
     [("trainingTaskInputs.workerPoolSpecs[0].machine_spec.machine_type", "n1-standard-4",
       "n1-standard-8")]),
    (TRAINING, "{output: attempt}",
     [("trainingTaskInputs.baseOutputDirectory.output_uri_prefix", "gs://results/model",
       "gs://results/model/attempt-1")]),
    (PIPELINE, "{machine_type: bigger}",
     [("pipelineSpec.deploymentSpec.executors.exec-train.container.resources.cpuLimit", 4, 8),
      ("pipelineSpec.deploymentSpec.executors.exec-train.container.resources.memoryLimit", 15, 30),
      ]),
    (PIPELINE, "{machine_type: more_memory}",
     [("pipelineSpec.deploymentSpec.executors.exec-train.container.resources.memoryLimit", 15, 30),
      ]),
    (PIPELINE, "{output: attempt}",
     [("runtimeConfig.gcsOutputDirectory", "gs://results/pipelines",
       "gs://results/pipelines/attempt-1")]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "step", "changes"),
    [pytest.param(*row, id=f"{Job.parse(row[0]).kind.value} {row[1]}") for row in ROWS],
)
def test_a_row_of_the_table_changes_its_fields_and_no_other(
    body: dict[str, Any], step: str, changes: list[tuple[str, Any, Any]]
) -> None:
    made = resubmitted(body, step)
    assert made.refused_by == ()
    assert made.request is not None
    assert told(made) == changes
    original = job(body)
    assert difference_is_legal(original, made.request, made.changes)
    for path, _, after in changes:
        if path != "location":
            assert Job(original.name, made.request).read(path) == after
    ours = {"displayName", *(f"labels.{key}" for key in made.request["labels"])}
    unasked = [
        path
        for path in differences(original, made.request)
        if path not in {*ours, *(path for path, _, _ in changes), "model", "maxTrialCount"}
        and "{REMEDIATOR_" not in path
        and not path.startswith("labels.")
    ]
    assert unasked == []


ALREADY: list[tuple[dict[str, Any], dict[str, Any], str, list[tuple[str, Any, Any]]]] = [
    (BATCH, {"manualBatchTuningParameters": {"batchSize": 9}}, "{batch_size: halve}",
     [(SIZE, 9, 4)]),
    (BATCH, {"dedicatedResources__startingReplicaCount": None,
             "dedicatedResources__maxReplicaCount": None}, "{replicas: 4}", [(START, None, 4)]),
    (BATCH, {"dedicatedResources__startingReplicaCount": 8,
             "dedicatedResources__maxReplicaCount": None}, "{replicas: double}",
     [(START, 8, 16), (MOST, None, 16)]),
    (BATCH, {"generateExplanation": True}, "{explanations: false}",
     [("generateExplanation", True, False)]),
    (BATCH, {"dedicatedResources__machineSpec": {
        "machineType": "n1-standard-8", "acceleratorType": T4, "acceleratorCount": 1}},
     "{machine_type: bigger}",
     [(f"{BATCH_SPEC}.machineType", "n1-standard-8", "n1-standard-16")]),
    # two of them are what that size takes, and the step names the accelerator
    (BATCH, {"dedicatedResources__machineSpec": {
        "machineType": "n1-standard-16", "acceleratorType": T4, "acceleratorCount": 1}},
     f"{{machine_type: n1-standard-32, accelerator: {{type: {T4}, count: 1}}}}",
     [(f"{BATCH_SPEC}.machineType", "n1-standard-16", "n1-standard-32"),
      (f"{BATCH_SPEC}.acceleratorCount", 1, 2)]),
    (BATCH, {"dedicatedResources__machineSpec__machineType": "n1-standard-32"},
     "{machine_type: bigger}",
     [(f"{BATCH_SPEC}.machineType", "n1-standard-32", "n2d-standard-48")]),
    (BATCH, {"dedicatedResources__machineSpec": {
        "machineType": "n1-standard-8", "acceleratorType": T4, "acceleratorCount": 1}},
     "{accelerator: more_memory}",
     [(f"{BATCH_SPEC}.machineType", "n1-standard-8", "g2-standard-8"),
      (f"{BATCH_SPEC}.acceleratorType", T4, L4)]),
    (BATCH, {"dedicatedResources__machineSpec": {
        "machineType": "n1-standard-8", "acceleratorType": T4, "acceleratorCount": 1}},
     "{accelerator: bigger}", [(f"{BATCH_SPEC}.acceleratorCount", 1, 2)]),
    (BATCH, {"dedicatedResources__machineSpec": {
        "machineType": "n1-standard-8", "acceleratorType": T4, "acceleratorCount": 1}},
     "{accelerator: none}",
     [(f"{BATCH_SPEC}.acceleratorType", T4, None), (f"{BATCH_SPEC}.acceleratorCount", 1, None)]),
    (CUSTOM, {"jobSpec__scheduling": None}, "{timeout: double}", [(TIMEOUT, None, "1209600s")]),
    (CUSTOM, {"jobSpec__scheduling__strategy": "SPOT"}, "{spot: false}",
     [(STRATEGY, "SPOT", "STANDARD")]),
    (CUSTOM, {"jobSpec__baseOutputDirectory__outputUriPrefix": "gs://results/run/attempt-1"},
     "{output: attempt}", [(OUTPUT, "gs://results/run/attempt-1", "gs://results/run/attempt-1")]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "held", "step", "changes"), ALREADY, ids=[f"{row[2]} {row[1]}"[:70] for row in ALREADY]
)
def test_a_row_starts_from_what_the_job_has(
    body: dict[str, Any], held: dict[str, Any], step: str, changes: list[tuple[str, Any, Any]]
) -> None:
    made = planned(job(body, **held), ladder(f"resubmit: {step}"))
    assert made.refused_by == ()
    assert told(made) == [change for change in changes if change[1] != change[2]]


def test_every_key_of_the_language_has_a_row() -> None:
    from remediator.policy.steps import Resubmit

    written = " ".join([*(step for _, step, _ in ROWS), *(step for _, _, step, _ in ALREADY)])
    follow = {"rows", "fallback", "env", "args"}  # tested in test_planner_words
    assert [
        k for k in Resubmit.__struct_fields__ if f"{k}:" not in written and k not in follow
    ] == []


# --- what is refused, with the reason --------------------------------------------------------------


IMPOSSIBLE: list[tuple[dict[str, Any], dict[str, Any], str, Guard, str]] = [
    (BATCH, {}, "{timeout: double}", Guard.INCOMPATIBLE,
     "a batch prediction has no time-out to change"),
    (BATCH, {}, "{spot: true}", Guard.INCOMPATIBLE,
     "the API's version 1 has no spot for batch prediction"),
    (CUSTOM, {}, "{strategy: FLEX_START}", Guard.INCOMPATIBLE,
     "FLEX_START is for L4, A100, H100, H200 or B200 GPUs: the job runs on n1-standard-8"),
    (CUSTOM, {}, "{batch_size: halve}", Guard.INCOMPATIBLE,
     "only batch predictions have a batch size"),
    (CUSTOM, {}, "{explanations: false}", Guard.INCOMPATIBLE,
     "a custom job has no explanations to change"),
    (BATCH, {"dedicatedResources": None}, "{batch_size: 8}", Guard.INCOMPATIBLE,
     "a batch size goes only with dedicated machines, and the job has none"),
    (BATCH, {"dedicatedResources": None}, "{machine_type: bigger}", Guard.INCOMPATIBLE,
     "the job names no machine of its own, so there is none to change"),
    (BATCH, {"dedicatedResources__machineSpec__machineType": "c2d-standard-112"},
     "{machine_type: c2d-standard-113}", Guard.INCOMPATIBLE,
     "there is no machine type c2d-standard-113 (did you mean c2d-standard-112?)"),
    (BATCH, {"dedicatedResources__machineSpec": {
        "machineType": "n1-standard-16", "acceleratorType": T4, "acceleratorCount": 1}},
     "{machine_type: n1-standard-32}", Guard.INCOMPATIBLE,
     ("n1-standard-32 would turn 1 NVIDIA_TESLA_T4 into 2 NVIDIA_TESLA_T4: a step that may change "
      "the accelerator names it, such as `accelerator: {type: NVIDIA_TESLA_T4, count: 2}`")),
    (CUSTOM, {"jobSpec__workerPoolSpecs": [{"machineSpec": {
        "machineType": "a2-highgpu-2g", "acceleratorType": "NVIDIA_TESLA_A100",
        "acceleratorCount": 2}, "replicaCount": "1"}]},
     "{machine_type: g2-standard-96}", Guard.INCOMPATIBLE,
     ("g2-standard-96 would turn 2 NVIDIA_TESLA_A100 into 8 NVIDIA_L4: a step that may change the "
      "accelerator names it, such as `accelerator: {type: NVIDIA_L4, count: 8}`")),
    (CUSTOM, {}, "{machine_type: n1-standard-9}", Guard.INCOMPATIBLE,
     "there is no machine type n1-standard-9 (did you mean n1-standard-96?)"),
    (BATCH, {"dedicatedResources__machineSpec__acceleratorType": T4,
             "dedicatedResources__machineSpec__acceleratorCount": 1},
     "{machine_type: n2-standard-8}", Guard.INCOMPATIBLE,
     ("NVIDIA_TESLA_T4 does not go with n2-standard-8: n1-standard-8 + 1 NVIDIA_TESLA_T4 instead; "
     "n2-standard-8's 32 GiB of memory become 30: "
     "the job runs on n1-standard-8 + 1 NVIDIA_TESLA_T4 already")),
    (BATCH, {}, "{location: us-east1}", Guard.INCOMPATIBLE,
     "the model is in us-central1: it would have to be copied to us-east1 first"),
    (CUSTOM, {"encryptionSpec": {"kmsKeyName":
        "projects/p/locations/us-central1/keyRings/r/cryptoKeys/k"}},
     "{location: us-east1}", Guard.INCOMPATIBLE,
     "the encryption key is in us-central1 and cannot be used in us-east1"),
    (CUSTOM, {"jobSpec__network": "projects/1/global/networks/vpc"}, "{location: next}",
     Guard.PINNED, "the job uses a peered network, which stays in us-central1"),
    (CUSTOM, {"jobSpec__tensorboard": "projects/1/locations/us-central1/tensorboards/5"},
     "{location: us-east1}", Guard.INCOMPATIBLE,
     "the TensorBoard is in us-central1 and cannot be used in us-east1"),
    (TRAINING, {"inputDataConfig": {"datasetId": "123"}}, "{location: us-east1}",
     Guard.INCOMPATIBLE, "the managed dataset is in us-central1 and cannot be used in us-east1"),
    (CUSTOM, {}, "{location: europe-west4}", Guard.INCOMPATIBLE,
     "the data in bucket genomes is in us, not in europe-west4"),
    (CUSTOM, {"jobSpec__baseOutputDirectory": None}, "{output: attempt}", Guard.INCOMPATIBLE,
     "the job names no base output directory"),
    (TRAINING, {"trainingTaskDefinition": "gs://x/automl_image_1.0.0.yaml"}, "{}",
     Guard.INCOMPATIBLE, "an AutoML training is advised on, never run again by itself"),
    (PIPELINE, {}, "{machine_type: n1-standard-16}", Guard.INCOMPATIBLE,
     ("the failed component states CPU and memory limits, which `bigger` and `more_memory` can "
     "raise; it names no machine")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "held", "step", "guard", "why"), IMPOSSIBLE, ids=[row[4][:50] for row in IMPOSSIBLE]
)
def test_a_step_that_cannot_be_taken_is_an_alert_with_the_reason(
    body: dict[str, Any], held: dict[str, Any], step: str, guard: Guard, why: str
) -> None:
    made = planned(job(body, **held), ladder(f"resubmit: {step}"))
    assert (made.action, made.refused_by, made.request) == (Action.ALERT, (guard,), None)
    assert f"{guard.value}: {why}" in made.because


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("{machine_type: n1-standard-8}", "the job runs on n1-standard-8 already"),
        ("{accelerator: none}", "the job runs on n1-standard-8 already"),
        ("{explanations: false}", "the job asks for no explanations as it is"),
        (
            "{output: attempt}",
            "Vertex writes each batch prediction into a folder of its own anyway",
        ),
        ("{batch_size: 64, wait: 10m}", "the batch size is 64 already"),
    ],
)
def test_a_step_that_changes_nothing_is_passed_over(step: str, why: str) -> None:
    alone = resubmitted(BATCH, step)
    assert (alone.action, alone.refused_by, alone.step) == (Action.ALERT, (), 0)
    assert f"step 1 is passed over: {why}; it would change nothing" in alone.because
    two = planned(job(BATCH), ladder(f"resubmit: {step}", "resubmit: {batch_size: halve}"))
    assert (two.step, told(two)) == (2, [(SIZE, None, 32)])


@pytest.mark.parametrize(
    "step",
    [
        f"{{accelerator: {{type: {T4}, count: 1}}}}",
        "{accelerator: bigger}",
        "{machine_type: g2-standard-8}",
    ],
)
def test_no_accelerator_for_a_model_whose_image_is_for_cpus(step: str) -> None:
    image = "us-docker.pkg.dev/vertex-ai/prediction/tf2-cpu.2-12:latest"
    made = resubmitted(
        BATCH,
        step,
        Cause.ACCELERATOR_MISSING,
        model={"containerSpec": {"imageUri": image}},
    )
    assert made.refused_by == (Guard.INCOMPATIBLE,)
    assert f"the image {image} is built for CPUs" in made.because


@pytest.mark.parametrize(
    ("step", "buckets", "region"),
    [
        ("{location: data}", {"genomes": "US-EAST1", "results": "US-EAST1"}, "us-east1"),
        ("{location: next}", {"genomes": "US", "results": "US"}, "us-east1"),
        ("{location: next}", {"genomes": "NAM4", "results": "NAM4"}, "us-east1"),
        ("{location: us-east5}", {"genomes": "US", "results": "US"}, "us-east5"),
    ],
)
def test_a_custom_job_moves_where_its_data_allows(
    step: str, buckets: dict[str, str], region: str
) -> None:
    places = {name: {"location": place} for name, place in buckets.items()}
    made = resubmitted(CUSTOM, step, buckets=places)
    assert (made.location, told(made)) == (region, [("location", "us-central1", region)])


@pytest.mark.parametrize(
    ("been", "region"),
    [("us-east1", "us-east4"), ({"a": 1}, "us-east1"), (["us-east1"], "us-east1")],
    ids=["region", "object", "list"],
)
def test_next_goes_on_from_where_the_chain_has_been(been: object, region: str) -> None:
    """Whatever a case file says that an attempt changed."""
    change = Change("location", "us-central1", been)
    moved = replace(attempt("ladder", number=1), changes=(change,))
    made = planned(
        job(CUSTOM),
        ladder("{resubmit: {location: next}, times: 9}", limits='{locations: ["us-*"]}'),
        Cause.CAPACITY_STOCKOUT,
        history=History(attempts=(moved,)),
    )
    assert made.location == region
