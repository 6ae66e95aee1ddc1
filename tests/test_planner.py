"""From a diagnosed case to a plan: which policy, which step, the exact request, what it costs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import (
    NEVER_RETRIED,
    Action,
    Attempt,
    Cause,
    Change,
    Guard,
    History,
    InvalidInput,
    JobKind,
    Mode,
    Needs,
    Plan,
    label_value,
)
from remediator.job import KINDS, Job
from remediator.job.differences import difference_is_legal, differences
from remediator.planning import plan, sizing
from remediator.planning.request import display_name, with_claim
from remediator.planning.vertex_refusals import after_refusal
from remediator.policy import load
from tests.effort import calls_made
from tests.jobs import (
    BATCH,
    CUSTOM,
    EVERY_KIND,
    PIPELINE,
    TRAINING,
    TUNING,
    attempt,
    case,
    diagnosis,
    job,
    policies,
)

BOOK = Catalog.built_in()
T4, L4 = "NVIDIA_TESLA_T4", "NVIDIA_L4"
CALM = settings(deadline=None)  # two cores are shared: time is judged in one test of its own
EVERYWHERE = {"genomes": {"location": "US"}, "results": {"location": "US"}}
SAFE = "rerun_safe: [batch_prediction, custom, hyperparameter_tuning, training_pipeline, pipeline]"


def ladder(*steps: str, mode: str = "enforce", limits: str = "{}", safe: str = SAFE) -> str:
    """A policy file with one policy of these steps."""
    listed = "".join(f"      - {step}\n" for step in steps)
    do = f"    do:\n{listed}" if steps else ""
    return (
        f"mode: {mode}\n{safe}\nlimits: {limits}\npolicies:\n"
        f"  - name: ladder\n    alert: [ml]\n{do}"
    )


def planned(
    document: Job,
    text: str,
    cause: Cause = Cause.CPU_SATURATION,
    *,
    history: History | None = None,
    needs: Needs | None = None,
    says: str = "",
    waited: bool = False,
    passed_over: frozenset[int] = frozenset(),
    **more: Any,
) -> Plan:
    more.setdefault("buckets", EVERYWHERE)
    return plan(
        case(document, **more),
        diagnosis(document, cause, needs=needs, says=says),
        policies(text),
        history or History(),
        BOOK,
        waited=waited,
        passed_over=passed_over,
    )


def resubmitted(body: dict[str, Any], step: str, cause: Cause = Cause.CPU_SATURATION, **more: Any) -> Plan:  # fmt: skip
    return planned(job(body), ladder(f"resubmit: {step}"), cause, **more)


def told(made: Plan) -> list[tuple[str, Any, Any]]:
    return [(change.field, change.before, change.after) for change in made.changes]


# --- the exact request ----------------------------------------------------------------------------


def test_a_custom_job_is_asked_for_again_with_exactly_the_change() -> None:
    made = resubmitted(CUSTOM, "{machine_type: bigger}")
    expected = {
        key: CUSTOM[key]
        for key in ("displayName", "labels", "jobSpec")
    }  # fmt: skip
    expected["displayName"] = "align (attempt 1)"
    expected["labels"] = {
        "env": "prod",
        "remediator-root": "77",
        "remediator-attempt": "1",
        "remediator-policy": "ladder",
    }
    (pool,) = CUSTOM["jobSpec"]["workerPoolSpecs"]
    container = pool["containerSpec"]
    expected["jobSpec"] = CUSTOM["jobSpec"] | {
        "workerPoolSpecs": [
            pool
            | {
                "machineSpec": {"machineType": "n1-standard-16"},
                "containerSpec": container
                | {
                    "env": [
                        {"name": "SHARDS", "value": "16"},
                        {"name": "REMEDIATOR_ATTEMPT", "value": "1"},
                        {"name": "REMEDIATOR_MACHINE_TYPE", "value": "n1-standard-16"},
                        {"name": "REMEDIATOR_MEMORY_GIB", "value": "60"},
                    ]
                },
            }
        ]
    }
    assert made.to_json() == {
        "job": CUSTOM["name"],
        "verdict": "cpu_saturation",
        "policy": "ladder",
        "step": 1,
        "mode": "enforce",
        "action": "resubmit",
        "changes": [
            {
                "field": "jobSpec.workerPoolSpecs[0].machineSpec.machineType",
                "from": "n1-standard-8",
                "to": "n1-standard-16",
            }
        ],
        "request": expected,
        "not_before": None,
        "estimated_usd": 0.90,
        "worst_case_usd": 0.90,
        "refused_by": [],
        "alerts": ["ml"],
        "because": "CPU saturation (90% sure): machine type n1-standard-8 becomes n1-standard-16; "
        "about $0.90 (as long as the failed run, 1 h, at $0.9008 an hour), at most $0.90.",
    }


def test_a_batch_prediction_is_asked_for_again_with_exactly_the_change() -> None:
    made = resubmitted(
        BATCH, f"{{accelerator: {{type: {T4}, count: 1}}}}", Cause.ACCELERATOR_MISSING
    )
    assert made.request == {
        "displayName": "score (attempt 1)",
        "model": "projects/123456789012/locations/us-central1/models/variants@4",
        "inputConfig": BATCH["inputConfig"],
        "outputConfig": BATCH["outputConfig"],
        "dedicatedResources": {
            "machineSpec": {
                "machineType": "n1-standard-8",
                "acceleratorType": T4,
                "acceleratorCount": 1,
            },
            "startingReplicaCount": 2,
            "maxReplicaCount": 2,
        },
        "serviceAccount": "scorer@genomics.iam.gserviceaccount.com",
        "labels": {
            "remediator-root": "88",
            "remediator-attempt": "1",
            "remediator-policy": "ladder",
        },
    }
    spec = "dedicatedResources.machineSpec"
    assert told(made) == [
        (f"{spec}.acceleratorType", None, T4),
        (f"{spec}.acceleratorCount", None, 1),
    ]


def test_the_claim_is_added_when_the_step_is_claimed() -> None:
    made = resubmitted(CUSTOM, "{}")
    assert made.request is not None
    claimed = with_claim(made.request, "c1a1m")
    assert claimed["labels"] == made.request["labels"] | {"remediator-claim": "c1a1m"}
    assert "remediator-claim" not in made.request["labels"]


@pytest.mark.parametrize(
    ("name", "number", "becomes"),
    [
        ("align", 1, "align (attempt 1)"),
        ("align (attempt 1)", 2, "align (attempt 2)"),
        ("align (attempt 1) (attempt 2)", 3, "align (attempt 3)"),
        ("align (attempt x)", 1, "align (attempt x) (attempt 1)"),
        ("(attempt 4)", 5, "77 (attempt 5)"),
        ("x" * 128, 3, "x" * 116 + " (attempt 3)"),
        ("", 1, "77 (attempt 1)"),
    ],
)
def test_the_attempt_stands_in_the_name_once(name: str, number: int, becomes: str) -> None:
    found = display_name(job(CUSTOM, displayName=name), number)
    assert found == becomes
    assert len(found) <= 128


def test_the_root_is_the_first_job_of_the_chain() -> None:
    second = job(CUSTOM, name=CUSTOM["name"][:-2] + "78", labels={"remediator-root": "77"})
    history = History(attempts=(attempt("ladder", number=1),), root="us-central1/customJobs/77")
    made = planned(second, ladder("{resubmit: {}, times: 3}"), history=history)
    assert made.request is not None
    assert made.request["labels"]["remediator-root"] == "77"
    assert made.request["labels"]["remediator-attempt"] == "2"


def test_labels_alone_put_no_job_in_a_chain() -> None:
    cloned = job(CUSTOM, name=CUSTOM["name"][:-2] + "78", labels={"remediator-root": "77"})
    made = planned(cloned, ladder("resubmit: {}"))
    assert made.request is not None
    assert made.request["labels"]["remediator-root"] == "78"


# --- the table of what resubmit understands -----------------------------------------------------------

BATCH_SPEC = "dedicatedResources.machineSpec"
CUSTOM_SPEC = "jobSpec.workerPoolSpecs[0].machineSpec"
SIZE, START, MOST = (
    "manualBatchTuningParameters.batchSize",
    "dedicatedResources.startingReplicaCount",
    "dedicatedResources.maxReplicaCount",
)
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
    assert [k for k in Resubmit.model_fields if f"{k}:" not in written and k not in follow] == []


# --- what is refused, with the reason -----------------------------------------------------------------

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
    (CUSTOM, {}, "{location: data}", Guard.INCOMPATIBLE,
     "the input is in us, where the job runs already"),
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
    assert f"step 1 is passed over, {why}; it would change nothing" in alone.because
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


def test_next_goes_on_from_where_the_chain_has_been() -> None:
    moved = attempt("ladder", number=1)
    moved = Attempt(
        **{**_fields(moved), "changes": (Change("location", "us-central1", "us-east1"),)}
    )
    made = planned(
        job(CUSTOM),
        ladder("{resubmit: {location: next}, times: 9}", limits='{locations: ["us-*"]}'),
        Cause.CAPACITY_STOCKOUT,
        history=History(attempts=(moved,)),
    )
    assert made.location == "us-east4"


def _fields(value: Any) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


# --- pools, tuning, pipelines -------------------------------------------------------------------------


def two_pools() -> Job:
    (pool,) = CUSTOM["jobSpec"]["workerPoolSpecs"]
    workers = pool | {"replicaCount": "4"}
    servers = pool | {"machineSpec": {"machineType": "n1-highmem-4"}}
    return job(CUSTOM).changed("jobSpec.workerPoolSpecs", [pool, workers, servers])


def test_pools_on_the_same_machine_are_raised_together() -> None:
    made = planned(two_pools(), ladder("resubmit: {machine_type: bigger}"))
    assert [change.field for change in made.changes] == [
        "jobSpec.workerPoolSpecs[0].machineSpec.machineType",
        "jobSpec.workerPoolSpecs[1].machineSpec.machineType",
    ]
    assert "machine type n1-standard-8 becomes n1-standard-16;" in made.because


@pytest.mark.parametrize("by", ["error", "evidence"])
def test_the_pool_that_evidence_names_is_raised_alone(by: str) -> None:
    said = "The replica workerpool2-0 ran out of memory and exited with a non-zero status of 137."
    document = two_pools()
    if by == "error":
        document = document.changed("error", {"code": 3, "message": said})
    made = planned(
        document,
        ladder("resubmit: {machine_type: more_memory}"),
        Cause.MEMORY_PRESSURE,
        says=said if by == "evidence" else "",
    )
    assert told(made) == [
        ("jobSpec.workerPoolSpecs[2].machineSpec.machineType", "n1-highmem-4", "n1-highmem-8")
    ]


def test_more_replicas_are_more_workers() -> None:
    made = planned(two_pools(), ladder("resubmit: {replicas: double}"))
    assert told(made) == [("jobSpec.workerPoolSpecs[1].replicaCount", "4", "8")]


def test_a_tuning_job_is_asked_for_its_remaining_trials() -> None:
    made = resubmitted(TUNING, "{machine_type: bigger}")
    assert made.request is not None
    assert made.request["maxTrialCount"] == 8  # two of ten have succeeded
    again = planned(job(TUNING, maxTrialCount=3), ladder("resubmit: {}"))
    assert again.request is not None
    assert again.request["maxTrialCount"] == 2  # not under what runs side by side


def test_finished_tasks_of_a_pipeline_are_answered_from_the_cache() -> None:
    path = "pipelineSpec.root.dag.tasks.load.cachingOptions"
    held = job(PIPELINE).changed(path, None)
    made = planned(held, ladder("resubmit: {}"))
    assert told(made) == [(f"{path}.enableCache", None, True)]
    assert made.request is not None
    assert difference_is_legal(held, made.request)


@pytest.mark.parametrize("off", [{}, {"enableCache": False}], ids=["kfp", "in-words"])
def test_caching_that_its_author_switched_off_stays_off(off: dict[str, Any]) -> None:
    held = job(PIPELINE).changed("pipelineSpec.root.dag.tasks.load.cachingOptions", off)
    made = planned(held, ladder("resubmit: {}"))
    assert told(made) == []
    assert "caching is switched off for load, which runs again" in made.because
    cached = planned(job(PIPELINE), ladder("resubmit: {}"))
    assert (made.estimated_usd or 0) > (cached.estimated_usd or 0)


_RESOURCES = "pipelineSpec.deploymentSpec.executors.exec-train.container.resources"


@pytest.mark.parametrize(
    ("resources", "raised"),
    [
        ({"resourceMemoryLimit": "15G"}, {"resourceMemoryLimit": "30G"}),
        ({"resourceMemoryLimit": "15000000K"}, {"resourceMemoryLimit": "30000000K"}),
        ({"resourceMemoryLimit": "7.5Gi"}, {"resourceMemoryLimit": "15Gi"}),
        ({"cpuLimit": 4, "memoryLimit": 15.0}, {"memoryLimit": 30.0}),
        ({"resourceCpuLimit": "500m"}, {"resourceMemoryLimit": "32G"}),  # Vertex gives 16 by itself
    ],
)
def test_a_components_limit_is_doubled_as_it_is_written(
    resources: dict[str, Any], raised: dict[str, Any]
) -> None:
    held = job(PIPELINE).changed(_RESOURCES, resources)
    made = planned(held, ladder("resubmit: {machine_type: more_memory}"), Cause.MEMORY_PRESSURE)
    assert {c.field.rpartition(".")[2]: c.after for c in made.changes} == raised


@pytest.mark.parametrize(
    ("resources", "why"),
    [
        (
            {"resourceMemoryLimit": "{{$.inputs.parameters['memory']}}"},
            (
                "the memory limit of task train is None at pipelineSpec.root.dag.tasks.train.inputs."
                "parameters.memory.runtimeValue.constant: nobody can tell what twice that is"
            ),
        ),
        (
            {"cpuLimit": "four"},
            f"the cpu limit of task train is 'four' at {_RESOURCES}.cpuLimit: nobody can tell what",
        ),
        (
            {"cpuLimit": 96, "memoryLimit": 600},
            "no machine is known that holds the failed component's limits once they are raised",
        ),
    ],
)
def test_a_components_limit_is_never_raised_by_guessing(
    resources: dict[str, Any], why: str
) -> None:
    held = job(PIPELINE).changed(_RESOURCES, resources)
    made = planned(held, ladder("resubmit: {machine_type: bigger}"))
    assert (made.action, made.refused_by) == (Action.ALERT, (Guard.INCOMPATIBLE,))
    assert why in made.because


def test_a_pipeline_is_priced_by_the_tasks_that_run_again() -> None:
    # `train` alone: 8 vCPU and 30 GB fit an n1-standard-8 for the half hour that it ran
    made = resubmitted(PIPELINE, "{machine_type: bigger}")
    assert made.estimated_usd == pytest.approx(0.437 / 2, abs=0.01)


# --- ladders ------------------------------------------------------------------------------------------

THREE = ladder(
    "{resubmit: {batch_size: halve}, times: 2}",
    "resubmit: {machine_type: bigger}",
    limits="{attempts: 9}",
)


@pytest.mark.parametrize(
    ("attempts", "step", "action"),
    [
        ([], 1, Action.RESUBMIT),
        ([("ladder", 1)], 1, Action.RESUBMIT),
        ([("ladder", 1), ("ladder", 1)], 2, Action.RESUBMIT),
        ([("ladder", 1), ("ladder", 1), ("ladder", 2)], 0, Action.ALERT),
        ([("other", 1), ("other", 1), ("other", 1)], 1, Action.RESUBMIT),
        ([("other", 1), ("ladder", 1)], 1, Action.RESUBMIT),
        # step 1 was passed over once, and step 2 taken: it is not gone back to
        ([("ladder", 1), ("ladder", 2)], 0, Action.ALERT),
    ],
)
def test_the_policys_own_resubmissions_decide_the_step(
    attempts: list[tuple[str, int]], step: int, action: Action
) -> None:
    made_before = tuple(attempt(name, n, number=i) for i, (name, n) in enumerate(attempts, 1))
    made = planned(job(BATCH), THREE, history=History(attempts=made_before))
    assert (made.step, made.action) == (step, action)


def test_past_the_last_step_there_is_an_alert() -> None:
    history = History(attempts=tuple(attempt("ladder", s, number=s) for s in (1, 1, 2)))
    made = planned(job(BATCH), THREE, history=history)
    assert (made.alerts, made.refused_by) == (("ml",), ())
    assert "every step of the policy is taken" in made.because


@pytest.mark.parametrize(("held", "becomes"), [(64, 32), (3, 1), (2, 1)])
def test_a_batch_is_halved_down_to_one(held: int, becomes: int) -> None:
    made = planned(job(BATCH, manualBatchTuningParameters={"batchSize": held}), THREE)
    assert told(made) == [(SIZE, held, becomes)]


def test_a_batch_of_one_takes_the_next_step() -> None:
    made = planned(job(BATCH, manualBatchTuningParameters={"batchSize": 1}), THREE)
    assert (made.step, told(made)[0][2]) == (2, "n1-standard-16")
    assert "step 1 is passed over, the batch size is 1 already" in made.because


def test_a_step_refused_for_want_of_quota_is_passed_over() -> None:
    made = planned(job(BATCH), THREE, passed_over=frozenset({1}))
    assert made.step == 2
    done = planned(job(BATCH), THREE, passed_over=frozenset({1, 2}))
    assert done.action is Action.ALERT


def test_a_raised_size_is_kept_by_every_later_attempt() -> None:
    """The latest attempt is what is cloned, so a retry after a preemption keeps its size."""
    first = resubmitted(CUSTOM, "{machine_type: bigger}")
    assert first.request is not None
    second = Job.parse({**CUSTOM, **first.request, "name": CUSTOM["name"] + "1"})
    history = History(attempts=(attempt("ladder", number=1),), root="77")
    made = planned(second, ladder("{resubmit: {wait: backoff}, times: 4}"), Cause.PREEMPTION,
                   history=history)  # fmt: skip
    assert made.changes == ()
    assert made.request is not None
    kept = Job(second.name, made.request)
    assert [pool.hardware.machine for pool in kept.pools] == ["n1-standard-16"]
    env = kept.read("jobSpec.workerPoolSpecs[0].containerSpec.env")
    assert [v["value"] for v in env if v["name"] == "REMEDIATOR_ATTEMPT"] == ["2"]


@pytest.mark.parametrize(
    ("retries", "minutes"), [(0, 10), (1, 20), (2, 40), (3, 80), (4, 160), (9, 360), (40, 360)]
)
def test_backoff_doubles_for_each_unchanged_retry_up_to_six_hours(
    retries: int, minutes: int
) -> None:
    before = tuple(attempt("other", changed=False, number=n) for n in range(1, retries + 1))
    made = planned(
        job(CUSTOM),
        ladder("{resubmit: {wait: backoff}, times: 99}", limits="{retries: 99}"),
        Cause.TRANSIENT_BACKEND,
        history=History(attempts=before),
    )
    now = datetime(2026, 11, 23, 19, 7, tzinfo=UTC)
    assert (made.action, made.not_before) == (Action.WAIT, now + timedelta(minutes=minutes))


def test_a_wait_that_is_over_is_a_resubmission() -> None:
    text = ladder("resubmit: {wait: 10m}")
    waiting = planned(job(CUSTOM), text)
    over = planned(job(CUSTOM), text, waited=True)
    assert (waiting.action, over.action) == (Action.WAIT, Action.RESUBMIT)
    assert (over.not_before, over.digest) == (None, waiting.digest)


# --- modes --------------------------------------------------------------------------------------------

BATCH_ONLY = "rerun_safe: [batch_prediction]"


@pytest.mark.parametrize(
    ("mode", "safe", "label", "ceiling", "expected"),
    [
        ("enforce", SAFE, {}, None, (Mode.ENFORCE, Action.RESUBMIT)),
        ("approve", SAFE, {}, None, (Mode.APPROVE, Action.APPROVE)),
        ("observe", SAFE, {}, None, (Mode.OBSERVE, Action.RESUBMIT)),
        ("enforce", BATCH_ONLY, {}, None, (Mode.APPROVE, Action.APPROVE)),
        ("enforce", BATCH_ONLY, {"remediator": "on"}, None, (Mode.ENFORCE, Action.RESUBMIT)),
        ("observe", BATCH_ONLY, {}, None, (Mode.OBSERVE, Action.APPROVE)),
        ("enforce", SAFE, {}, Mode.OBSERVE, (Mode.OBSERVE, Action.RESUBMIT)),
        ("enforce", SAFE, {}, Mode.APPROVE, (Mode.APPROVE, Action.APPROVE)),
        ("observe", SAFE, {}, Mode.ENFORCE, (Mode.OBSERVE, Action.RESUBMIT)),
    ],
)
def test_how_far_a_plan_may_go(
    mode: str,
    safe: str,
    label: dict[str, str],
    ceiling: Mode | None,
    expected: tuple[Mode, Action],
) -> None:
    made = planned(
        job(CUSTOM, labels=label),
        ladder("resubmit: {}", mode=mode, safe=safe),
        history=History(max_mode=ceiling),
    )
    assert (made.mode, made.action) == expected


# --- matching -----------------------------------------------------------------------------------------

MATCHING = [
    ("{cause: cpu_saturation}", ""),
    ("{cause: [gpu_memory, quota]}", "the verdict cpu_saturation is not among gpu_memory, quota"),
    ("{cause: cpu_saturation, min_confidence: 0.95}", "confidence 0.90 is under 0.95"),
    ("{job: custom}", ""),
    ("{job: [pipeline, batch_prediction]}",
     "the job is a custom, not pipeline, batch_prediction"),
    ('{labels: {env: "pr*"}}', ""),
    ("{labels: {env: PROD}}", "the job's labels differ"),
    ("{labels: {team: x}}", "the job's labels differ"),
    ('{location: ["europe-*", "us-*"]}', ""),
    ('{location: "us-east*"}', "the job's location us-central1 does not fit us-east*"),
    ('{model: "*"}', ""),
    ('{model: "projects/*/models/x"}', "the job's model (none) does not fit projects/*/models/x"),
    ('{service_account: "*@genomics.iam.gserviceaccount.com"}', ""),
    ('{if: "job.machine.vcpus < 64 && job.run_seconds > 600.0"}', ""),
    ('{if: "job.machine.vcpus > 8"}', "`job.machine.vcpus > 8` does not hold"),
    ('{if: "job.batch_size > 1"}',
     "`job.batch_size > 1` does not hold: job.batch_size not known"),
    ('{if: "attempt.number == 0 && now.hour == 19 && now.weekday == 1"}', ""),
    ("{if: \"diagnosis.cause == 'cpu_saturation' && job.labels.env == 'prod'\"}", ""),
]  # fmt: skip


@pytest.mark.parametrize(("when", "why_not"), MATCHING, ids=[when for when, _ in MATCHING])
def test_a_policy_matches_or_says_why_not(when: str, why_not: str) -> None:
    text = f"""
mode: enforce
policies:
  - {{name: first, when: {when}, alert: [ml]}}
  - {{name: rest, alert: [ml]}}
"""
    made = planned(job(CUSTOM), text)
    assert made.policy == ("rest" if why_not else "first")
    line = f"first: does not match: {why_not}" if why_not else "first: matches"
    assert made.explanation[0] == line


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ("{}", True),
        ("{job: custom}", True),
        ("{cause: cpu_saturation}", False),
        ("{cause: unknown}", True),
        ("{cause: unknown, min_confidence: 0.2}", False),
        ("{min_confidence: 0.2}", False),
    ],
)
def test_an_unknown_verdict_fits_no_policy_that_needs_a_cause(when: str, matches: bool) -> None:
    text = f"mode: enforce\npolicies: [{{name: p, when: {when}, alert: [ml]}}]"
    made = planned(job(CUSTOM), text, Cause.UNKNOWN)
    assert bool(made.policy) is matches


def test_where_no_policy_matches_nobody_is_told() -> None:
    made = planned(job(BATCH), "policies: [{name: p, when: {job: custom}, alert: [ml]}]")
    assert (made.action, made.policy, made.alerts) == (Action.ALERT, "", ())
    assert "no policy matches" in made.because


def test_everything_is_explained_up_to_the_policy_that_decides() -> None:
    text = """
mode: enforce
rerun_safe: [custom]
limits: {attempts: 0}
policies:
  - {name: gpu, when: {cause: gpu_memory}, alert: [ml]}
  - {name: cpu, when: {cause: cpu_saturation}, do: [{resubmit: {machine_type: bigger}}]}
  - {name: rest, alert: [ml]}
"""
    assert planned(job(CUSTOM), text).explanation[:4] == (
        "gpu: does not match: the verdict cpu_saturation is not among gpu_memory",
        "cpu: matches",
        "step 1 is next: machine type n1-standard-8 becomes n1-standard-16",
        (
            "attempts refuses: 0 of 0 changed resubmissions are used up "
            "(limits.attempts, policies.yaml:6)"
        ),
    )


def test_matching_a_policy_more_costs_a_few_calls_more() -> None:
    document = job(CUSTOM)
    verdict = diagnosis(document, Cause.CPU_SATURATION)

    def calls_for(others: int) -> int:
        listed = "\n".join(
            f"  - {{name: p{n}, when: {{cause: cpu_saturation, labels: {{env: dev-{n}}}, "
            f'if: "job.run_seconds > {n}.0"}}, alert: [ml]}}'
            for n in range(others)
        )
        file = policies(f"policies:\n{listed}\n  - {{name: last, alert: [ml]}}")
        facts = case(document), verdict, file, History(), BOOK
        assert plan(*facts).policy == "last"  # conditions are compiled once
        return calls_made(lambda: plan(*facts))

    calls_for(10)  # what is loaded once is loaded
    few, many = calls_for(100), calls_for(500)
    assert (many - few) / 400 < 40


# --- jobs that are not run again --------------------------------------------------------------------


@pytest.mark.parametrize("state", ["JOB_STATE_RUNNING", "JOB_STATE_SUCCEEDED", "JOB_STATE_PAUSED"])
def test_a_job_that_has_not_failed_is_left_alone(state: str) -> None:
    made = planned(job(CUSTOM, state=state), ladder("resubmit: {}"))
    assert (made.action, made.alerts, made.request) == (Action.ALERT, (), None)


def test_a_success_with_failed_instances_is_told_and_not_run_again() -> None:
    done = job(BATCH, state="JOB_STATE_SUCCEEDED", completionStats={"failedCount": "3"})
    made = planned(done, ladder("resubmit: {}"), Cause.BAD_INPUT)
    assert (made.action, made.alerts, made.refused_by) == (Action.ALERT, ("ml",), ())
    assert "the job succeeded, but 3 instances failed" in made.because


@pytest.mark.parametrize("cause", [*sorted(NEVER_RETRIED), Cause.SLOW_CODE, Cause.NETWORK_LATENCY])
def test_what_no_resubmission_mends_says_what_a_retry_would_have_cost(cause: Cause) -> None:
    made = planned(job(CUSTOM), ladder(), cause)
    assert made.action is Action.ALERT
    assert "a retry would have cost about $0.46 for nothing" in made.because


def test_a_job_that_no_job_can_be_is_unusable() -> None:
    with pytest.raises(InvalidInput, match=r"`jobSpec` must be an object"):
        planned(job(CUSTOM).changed("jobSpec", "x"), ladder("resubmit: {}"))


# --- money --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "needs", "earlier", "estimated", "basis"),
    [
        ({}, Needs(), [], 0.90, "as long as the failed run, 1 h"),
        # half was done in an hour on half the vCPUs
        ({}, Needs(work_done=0.5), [], 0.90, "50% was done in 1 h, now 2 times as fast"),
        ({}, Needs(work_done=0.9), [], 0.50, "90% was done in 1 h, now 2 times as fast"),
        ({}, Needs(), ["2026-11-20T18:30:00Z"], 0.45,
         "as long as a similar job's last success, 30 min"),
        # never more than its own time-out
        ({"jobSpec__scheduling__timeout": "1800s"}, Needs(work_done=0.1), [], 0.45,
         "10% was done in 1 h, now 2 times as fast"),
    ],
)  # fmt: skip
def test_the_estimate_says_what_it_rests_on(
    held: dict[str, Any], needs: Needs, earlier: list[str], estimated: float, basis: str
) -> None:
    succeeded = [
        {
            **CUSTOM,
            "state": "JOB_STATE_SUCCEEDED",
            "startTime": "2026-11-20T18:00:00Z",
            "endTime": t,
        }
        for t in earlier
    ]
    made = planned(
        job(CUSTOM, **held),
        ladder("resubmit: {machine_type: bigger}"),
        needs=needs,
        earlierJobs=succeeded,
    )
    assert made.estimated_usd == pytest.approx(estimated, abs=0.01)
    assert basis in made.because


@pytest.mark.parametrize(
    ("held", "limits", "hours", "ours"),
    [
        ({}, "{}", 1, False),  # its own time-out
        ({}, "{max_run: 3x}", 1, False),  # which is never shortened, nor replaced
        ({"jobSpec__scheduling": None}, "{}", 168, False),  # Vertex's default: 7 days
        ({"jobSpec__scheduling": None}, "{max_run: 3x}", 72, True),
        ({"jobSpec__scheduling": None}, "{max_run: 100x}", 168, True),
        (
            {"jobSpec__scheduling": None, "startTime": "2026-11-21T19:00:00Z"},
            "{max_run: 2x}",
            96,
            True,
        ),
    ],
)
def test_the_worst_case_is_the_longest_it_may_run(
    held: dict[str, Any], limits: str, hours: float, ours: bool
) -> None:
    made = planned(job(CUSTOM, **held), ladder("resubmit: {}", limits=limits))
    assert made.worst_case_usd == pytest.approx(hours * 0.4638, rel=0.02)
    assert made.max_run_seconds == (hours * 3600 if ours else None)


def test_a_tuning_job_costs_at_most_what_its_remaining_trials_may() -> None:
    made = resubmitted(TUNING, "{}")
    # eight of ten trials are left, two side by side: four rounds of two hours
    assert made.worst_case_usd == pytest.approx(4 * 2 * 2 * (0.54421 + 0.0268), abs=0.01)


def test_a_run_of_unknown_length_is_no_run_of_no_minutes() -> None:
    made = planned(job(CUSTOM, startTime=None, createTime=None), ladder("resubmit: {}"))
    assert "how long it ran is not known, so a minute at the least" in made.because


@pytest.mark.parametrize("count", ["-1", "0"])
def test_instances_that_nobody_counted_are_no_basis(count: str) -> None:
    made = resubmitted(
        {**BATCH, "completionStats": {"incompleteCount": count}},
        "{batch_size: halve}",
        Cause.REQUEST_TOO_LARGE,
        needs=Needs(request_seconds=600),
    )
    assert "as long as the failed run, 1 h" in made.because


def test_batch_replicas_are_paid_for_with_their_start() -> None:
    made = resubmitted(BATCH, "{batch_size: halve}", Cause.REQUEST_TOO_LARGE)
    assert made.estimated_usd == pytest.approx(2 * 0.437 * (1 + 5 / 60), abs=0.01)


def test_twice_the_replicas_share_the_time() -> None:
    made = resubmitted(BATCH, "{replicas: double}")
    assert made.estimated_usd == pytest.approx(4 * 0.437 * (0.5 + 5 / 60), abs=0.01)


def test_spot_is_cheaper_where_its_price_is_known() -> None:
    made = resubmitted(CUSTOM, "{spot: true}")
    assert made.estimated_usd == pytest.approx(0.18465 + 0.0268, abs=0.01)


# --- sized --------------------------------------------------------------------------------------------

SIZED = "{machine_type: sized}"


@pytest.mark.parametrize(
    ("body", "held", "cause", "needs", "limits", "changes"),
    [
        # a smaller batch is free, whatever the machine
        (BATCH, {}, Cause.REQUEST_TOO_LARGE, Needs(), "{}", [(SIZE, None, 16)]),
        (BATCH, {}, Cause.REQUEST_TOO_LARGE, Needs(request_seconds=400), "{}", [(SIZE, None, 32)]),
        (BATCH, {}, Cause.MEMORY_PRESSURE, Needs(), "{}", [(SIZE, None, 32)]),
        (BATCH, {}, Cause.GPU_MEMORY, Needs(), "{}", [(SIZE, None, 32)]),
        # the peak is known: 35 GiB with headroom is 43.75, and memory is cheapest on e2
        (CUSTOM, {}, Cause.MEMORY_PRESSURE, Needs(peak_memory_gib=35), "{}",
         [(f"{CUSTOM_SPEC}.machineType", "n1-standard-8", "e2-highmem-8")]),
        (CUSTOM, {}, Cause.MEMORY_PRESSURE, Needs(peak_memory_gib=35),
         '{machine_types: ["n1-*"]}',
         [(f"{CUSTOM_SPEC}.machineType", "n1-standard-8", "n1-highmem-8")]),
        # it died at its limit: half as much again, and no fewer vCPUs
        (CUSTOM, {}, Cause.MEMORY_PRESSURE,
         Needs(peak_memory_gib=30, memory_is_lower_bound=True), '{machine_types: ["n1-*"]}',
         [(f"{CUSTOM_SPEC}.machineType", "n1-standard-8", "n1-highmem-8")]),
        # 30% in an hour: 4.2 times the speed fills 80% of the time-out
        (CUSTOM, {}, Cause.CPU_SATURATION, Needs(work_done=0.3), '{machine_types: ["n1-*"]}',
         [(f"{CUSTOM_SPEC}.machineType", "n1-standard-8", "n1-highcpu-64")]),
        (CUSTOM, {}, Cause.CPU_SATURATION, Needs(work_done=0.9), '{machine_types: ["n1-*"]}',
         [(f"{CUSTOM_SPEC}.machineType", "n1-standard-8", "n1-standard-16")]),
        (BATCH, {}, Cause.ACCELERATOR_MISSING, Needs(), "{}",
         [(f"{BATCH_SPEC}.acceleratorType", None, T4),
          (f"{BATCH_SPEC}.acceleratorCount", None, 1)]),
        (BATCH, {}, Cause.SLOW_STARTUP, Needs(), "{}",
         [(f"{BATCH_SPEC}.machineType", "n1-standard-8", "n1-standard-16")]),
    ],
)  # fmt: skip
def test_sized_is_the_cheapest_change_that_will_do(
    body: dict[str, Any],
    held: dict[str, Any],
    cause: Cause,
    needs: Needs,
    limits: str,
    changes: list[tuple[str, Any, Any]],
) -> None:
    text = ladder(f"resubmit: {SIZED}", limits=limits)
    made = planned(job(body, **held), text, cause, needs=needs)
    assert made.refused_by == ()
    assert told(made) == changes


@pytest.mark.parametrize(
    ("treated_for", "changes"),
    [
        # the model fills the memory, not the batch: the cheapest machine with half as much again
        (Cause.MEMORY_PRESSURE, [(f"{BATCH_SPEC}.machineType", "n1-standard-8", "n1-highmem-8")]),
        (Cause.REQUEST_TOO_LARGE, [(SIZE, 32, 16)]),
    ],
)
def test_sized_takes_more_memory_once_a_smaller_batch_did_not_help(
    treated_for: Cause, changes: list[tuple[str, Any, Any]]
) -> None:
    halved = replace(
        attempt("ladder", number=1), verdict=treated_for.value, changes=(Change(SIZE, None, 32),)
    )
    body = job(BATCH, manualBatchTuningParameters={"batchSize": 32})
    text = ladder(f"{{resubmit: {SIZED}, times: 2}}", limits='{machine_types: ["n1-*"]}')
    made = planned(body, text, Cause.MEMORY_PRESSURE, history=History(attempts=(halved,)))
    assert told(made) == changes


def test_sized_leaves_headroom_over_the_peak() -> None:
    # 45 GiB would fit the 52 of n1-highmem-8, but a quarter more does not
    text = ladder(f"resubmit: {SIZED}", limits='{machine_types: ["n1-*"]}')
    made = planned(job(CUSTOM), text, Cause.MEMORY_PRESSURE, needs=Needs(peak_memory_gib=45))
    assert told(made)[0][2] == "n1-standard-16"
    assert "it peaked at 45 GiB, times 1.25" in made.because


def test_sized_starts_where_a_similar_job_succeeded() -> None:
    worked = History(sizes_that_worked=({"machineType": "n1-standard-32"},))
    made = planned(job(CUSTOM), ladder(f"resubmit: {SIZED}"), history=worked)
    assert told(made) == [(f"{CUSTOM_SPEC}.machineType", "n1-standard-8", "n1-standard-32")]
    assert "a similar job succeeded with n1-standard-32" in made.because


WORKED = [
    # more of what was short, and less of nothing
    (CUSTOM, Cause.CPU_SATURATION, {"machineType": "n1-standard-32"}, True),
    (CUSTOM, Cause.CPU_SATURATION, {"machineType": "n1-highmem-8"}, False),
    (CUSTOM, Cause.MEMORY_PRESSURE, {"machineType": "n1-highmem-8"}, True),
    (CUSTOM, Cause.MEMORY_PRESSURE, {"machineType": "n1-highmem-4"}, False),
    (CUSTOM, Cause.MEMORY_PRESSURE, {"machineType": "n1-standard-8"}, False),
    (CUSTOM, Cause.ACCELERATOR_MISSING, {"machineType": "n1-standard-32"}, False),
    (CUSTOM, Cause.ACCELERATOR_MISSING,
     {"machineType": "n1-standard-8", "acceleratorType": T4, "acceleratorCount": 1}, True),
    (CUSTOM, Cause.TRANSIENT_BACKEND, {"machineType": "n1-standard-32"}, False),
    (CUSTOM, Cause.SLOW_STARTUP, {"machineType": "no-such-machine"}, False),
    (CUSTOM, Cause.CPU_SATURATION, {}, False),
    (BATCH, Cause.MEMORY_PRESSURE, {"batchSize": 16}, True),
    (BATCH, Cause.MEMORY_PRESSURE, {"batchSize": 64}, False),
    (BATCH, Cause.SLOW_STARTUP, {"batchSize": 16}, False),
    (BATCH, Cause.ACCELERATOR_MISSING, {"batchSize": 16}, False),
]  # fmt: skip


@pytest.mark.parametrize(("body", "cause", "size", "helps"), WORKED)
def test_a_size_that_worked_is_a_remedy_where_it_has_more_of_what_was_short(
    body: dict[str, Any], cause: Cause, size: dict[str, Any], helps: bool
) -> None:
    assert sizing.is_remedy(size, job(body), cause, Catalog.built_in()) is helps


def test_a_size_that_worked_for_another_want_is_passed_over() -> None:
    worked = ({"machineType": "n1-highmem-8"}, {"machineType": "n1-standard-32"})
    made = planned(
        job(CUSTOM), ladder(f"resubmit: {SIZED}"), history=History(sizes_that_worked=worked)
    )
    assert told(made) == [(f"{CUSTOM_SPEC}.machineType", "n1-standard-8", "n1-standard-32")]


def test_a_field_that_is_changed_twice_is_one_change() -> None:
    made = resubmitted(BATCH, "{machine_type: sized, accelerator: {type: NVIDIA_L4, count: 1}}")
    assert told(made) == [
        (f"{BATCH_SPEC}.machineType", "n1-standard-8", "g2-standard-16"),
        (f"{BATCH_SPEC}.acceleratorType", None, L4),
        (f"{BATCH_SPEC}.acceleratorCount", None, 1),
    ]


def test_sized_says_where_the_evidence_names_no_size() -> None:
    made = resubmitted(CUSTOM, SIZED, Cause.PREEMPTION)
    assert made.refused_by == (Guard.INCOMPATIBLE,)
    assert "preemption says nothing about the size that is needed" in made.because


def test_sized_keeps_within_the_limits_or_says_which_one_refuses() -> None:
    text = ladder(f"resubmit: {SIZED}", limits="{machine_types: [n1-standard-8]}")
    made = planned(job(CUSTOM), text)
    assert made.refused_by == (Guard.MACHINE_TYPES,)
    assert (
        'e2-standard-16 is not among n1-standard-8: add "e2-standard-16" to `limits.machine_types`'
    ) in made.because


# --- a refusal that names what would be taken ---------------------------------------------------------

SAID = (
    '400 The accelerator count "1" is not allowed. The allowed numbers of accelerator '
    '"NVIDIA_TESLA_T4" to use with machine type "n1-standard-8" are: [2, 4].'
)


def test_vertexs_own_numbers_are_used() -> None:
    made = resubmitted(BATCH, f"{{accelerator: {{type: {T4}, count: 1}}}}")
    mended = after_refusal(made, SAID, BOOK)
    assert mended is not None
    assert told(mended)[1] == (f"{BATCH_SPEC}.acceleratorCount", None, 2)
    assert mended.request is not None
    assert mended.request["dedicatedResources"]["machineSpec"]["acceleratorCount"] == 2
    assert (mended.estimated_usd or 0) > (made.estimated_usd or 0)
    assert difference_is_legal(job(BATCH), mended.request)
    assert mended.digest != made.digest


@pytest.mark.parametrize(
    "said",
    [
        "400 Permission denied",
        SAID.replace("n1-standard-8", "n1-standard-16"),
        SAID.replace("[2, 4]", "[1]"),
        SAID.replace("[2, 4]", "[]"),
    ],
)
def test_another_refusal_mends_nothing(said: str) -> None:
    made = resubmitted(BATCH, f"{{accelerator: {{type: {T4}, count: 1}}}}")
    assert after_refusal(made, said, BOOK) is None


# --- what may differ --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "path", "value"),
    [
        (CUSTOM, "jobSpec.workerPoolSpecs[0].containerSpec.imageUri", "evil"),
        (CUSTOM, "jobSpec.workerPoolSpecs[0].containerSpec.args", ["--other"]),
        (CUSTOM, "jobSpec.workerPoolSpecs[0].containerSpec.command", None),
        (
            CUSTOM,
            "jobSpec.workerPoolSpecs[0].containerSpec.env",
            [{"name": "SHARDS", "value": "1"}],
        ),
        (CUSTOM, "jobSpec.serviceAccount", "other@x.iam.gserviceaccount.com"),
        (CUSTOM, "jobSpec.network", "projects/1/global/networks/n"),
        (CUSTOM, "jobSpec.workerPoolSpecs[0].diskSpec.bootDiskType", "pd-standard"),
        (BATCH, "model", "projects/1/locations/us-central1/models/other@4"),
        (BATCH, "outputConfig.gcsDestination.outputUriPrefix", "gs://elsewhere"),
        (BATCH, "inputConfig.gcsSource.uris", ["gs://other"]),
        (TUNING, "studySpec.metrics", []),
        (TRAINING, "trainingTaskInputs.workerPoolSpecs[0].container_spec.image_uri", "evil"),
        (PIPELINE, "pipelineSpec.deploymentSpec.executors.exec-train.container.image", "evil"),
    ],
)
def test_no_other_field_may_differ(body: dict[str, Any], path: str, value: Any) -> None:
    made = resubmitted(body, "{}")
    assert made.request is not None
    original = job(body)
    assert difference_is_legal(original, made.request)
    tampered = Job(original.name, made.request).changed(path, value)
    assert not difference_is_legal(original, tampered.request())


# --- properties -------------------------------------------------------------------------------------

machines = st.sampled_from(sorted(BOOK.machines))
steps = st.fixed_dictionaries(
    {},
    optional={
        "machine_type": st.sampled_from(
            ["bigger", "more_memory", "sized", "n2-standard-8", "g2-standard-24", "a2-highgpu-1g"]
        ),
        "accelerator": st.sampled_from(
            ["bigger", "more_memory", "none", "{type: NVIDIA_TESLA_T4, count: 1}",
             "{type: NVIDIA_TESLA_V100, count: 3}", "{type: NVIDIA_L4, count: 2}"]
        ),
        "batch_size": st.sampled_from(["halve", 7]),
        "replicas": st.sampled_from(["double", 5]),
        "timeout": st.sampled_from(["double", "5h"]),
        "spot": st.sampled_from(["true", "false"]),
        "location": st.sampled_from(["next", "data", "us-east4"]),
        "explanations": st.just("false"),
        "output": st.sampled_from(["same", "attempt"]),
        "wait": st.sampled_from(["backoff", "3m"]),
    },
)  # fmt: skip


@st.composite
def failed_jobs(draw: st.DrawFn) -> Job:
    """Jobs of any kind on any hardware that Vertex takes for them."""
    body = draw(st.sampled_from(EVERY_KIND))
    document = job(body)
    service = KINDS[document.kind].service
    for pool in document.pools:
        kind = BOOK.machines[draw(machines)]
        if service not in kind.services or kind.name == "cloud-tpu":
            continue
        document = document.changed(pool.machine_path, kind.name)
        counts = [("", 0)]
        if kind.accelerator:
            counts = [(kind.accelerator, kind.accelerator_count)]
        else:
            counts += [
                (name, count)
                for name in BOOK.accelerators
                for count in BOOK.allowed_counts(kind.name, name, service)[:3]
            ]
        accelerator, count = draw(st.sampled_from(counts))
        document = document.changed(pool.accelerator_path, accelerator or None)
        document = document.changed(pool.count_path, count or None)
    region = draw(st.sampled_from(["us-central1", "europe-west4", "asia-east1", "us-east1"]))
    name = str(document.name).replace("us-central1", region)
    document = Job.parse({**document.to_json(), "name": name})
    return document.changed("labels", draw(st.sampled_from([{}, {"env": "prod"}])))


def written(step: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in step.items()) + "}"


@CALM
@given(
    failed_jobs(),
    steps,
    st.sampled_from([c for c in Cause if c not in NEVER_RETRIED]),
    st.builds(
        Needs,
        peak_memory_gib=st.none() | st.floats(1, 2000),
        memory_is_lower_bound=st.booleans(),
        work_done=st.none() | st.floats(0.01, 1),
        request_seconds=st.none() | st.floats(1, 2000),
    ),
    st.sampled_from(["{}", "{usd_per_job: 5}", '{machine_types: ["n1-*"], max_run: 2x}']),
)
def test_no_plan_loses_a_field_or_asks_for_what_vertex_refuses_or_costs_more_than_allowed(
    document: Job, step: dict[str, Any], cause: Cause, needs: Needs, limits: str
) -> None:
    text = ladder(f"resubmit: {written(step)}", limits=limits)
    made = planned(document, text, cause, needs=needs)
    assert made.because.endswith(".")
    if made.action is Action.ALERT:
        assert made.refused_by or "is passed over" in made.because
        assert made.request is None
        return
    assert made.request is not None
    assert difference_is_legal(document, made.request)
    created = Job(document.name, made.request)
    for change in made.changes:
        assert change.before != change.after
        if change.field != "location":
            assert created.read(change.field) == change.after
    service = KINDS[document.kind].service
    for before, after in zip(document.pools, created.pools, strict=True):
        if before.hardware != after.hardware:
            assert BOOK.why_not(after.hardware, service) == ""
            assert BOOK.offered(after.hardware, made.location, service) is not False
        if "machine_types" in limits:
            assert after.hardware.machine.startswith("n1-")
    if "usd_per_job" in limits:
        assert made.estimated_usd is not None
        assert made.estimated_usd <= 5.005
    if made.estimated_usd == 0:
        assert "it cannot cost more than the failed run" in made.because
    elif made.estimated_usd is not None:
        assert 0 < made.estimated_usd <= (made.worst_case_usd or 0)
    assert made.request["displayName"].endswith(" (attempt 1)")
    assert "remediator-claim" not in made.request["labels"]


@CALM
@given(failed_jobs(), steps, st.sampled_from(sorted(NEVER_RETRIED)))
def test_what_is_never_retried_never_is(document: Job, step: dict[str, Any], cause: Cause) -> None:
    made = planned(document, ladder(f"resubmit: {written(step)}"), cause)
    assert made.action is Action.ALERT
    assert Guard.CAUSE in made.refused_by or "it would change nothing" in made.because


@CALM
@given(failed_jobs(), steps)
def test_the_same_case_makes_the_same_plan(document: Job, step: dict[str, Any]) -> None:
    text = ladder(f"resubmit: {written(step)}")
    assert planned(document, text) == planned(document, text)


def test_the_shipped_file_decides_for_every_kind_and_cause() -> None:
    """No case of the matrix ends in a traceback or without anybody being told."""
    from pathlib import Path

    shipped = load((Path(__file__).parents[1] / "policies.yaml").read_text()).require()
    for body in EVERY_KIND:
        for cause in Cause:
            document = job(body)
            facts = Case(job=document, now=datetime(2026, 11, 23, 19, 7, tzinfo=UTC))
            made = plan(facts, diagnosis(document, cause), shipped, History(), BOOK)
            assert made.policy, (document.kind, cause)
            assert made.mode is Mode.OBSERVE
            assert made.alerts or made.refused_by, (document.kind, cause)


def test_every_kind_is_named_by_its_label_value() -> None:
    assert {label_value(kind.value) for kind in JobKind} == {kind.value for kind in JobKind}
