"""`capture`, `diagnose` and `plan` for a job of every kind, by its resource name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.stories.jobs_of_kinds import (
    CPU,
    MEMORY,
    batch,
    component,
    custom,
    pipeline,
    pool,
    training,
    tuning,
)
from tests.stories.test_kinds import EVERY_KIND
from tests.stories.test_loop import TOO_MUCH
from twin.physics import Needs

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(run: Run, open_house: Callable[..., Any]) -> Run:
    open_house(EVERY_KIND)
    return run


def failed(cloud: Any, kind: str) -> Mapping[str, Any]:
    collection, body, needs = {
        "batch_prediction": ("batchPredictionJobs", batch(cloud), TOO_MUCH),
        "custom": ("customJobs", custom(pool()), MEMORY),
        "hyperparameter_tuning": ("hyperparameterTuningJobs", tuning(pool()), MEMORY),
        "training_pipeline": ("trainingPipelines", training(pool()), CPU),
        "pipeline": ("pipelineJobs", pipeline("load", "train"), Needs()),
    }[kind]
    if kind == "pipeline":
        cloud.jobs.needs("customJobs", component("nightly", "train"), MEMORY)
    job: Mapping[str, Any] = cloud.past_job(collection, body, needs, route=False)
    return job


@pytest.mark.parametrize(
    ("kind", "verdict", "field", "change"),
    [
        (
            "batch_prediction",
            "request_too_large",
            "manualBatchTuningParameters.batchSize",
            (None, 32),
        ),
        (
            "custom",
            "memory_pressure",
            "jobSpec.workerPoolSpecs[0].machineSpec.machineType",
            ("n1-standard-8", "n1-standard-16"),
        ),
        (
            "hyperparameter_tuning",
            "memory_pressure",
            "trialJobSpec.workerPoolSpecs[0].machineSpec.machineType",
            ("n1-standard-8", "n1-standard-16"),
        ),
        (
            "training_pipeline",
            "cpu_saturation",
            "trainingTaskInputs.workerPoolSpecs[0].machineSpec.machineType",
            ("n1-standard-8", "n1-standard-16"),
        ),
        (
            "pipeline",
            "memory_pressure",
            "pipelineSpec.deploymentSpec.executors.exec-train.container.resources.memoryLimit",
            (15.0, 30.0),
        ),
    ],
)
def test_a_job_of_any_kind_is_captured_diagnosed_and_planned(
    cloud: Any,
    run: Run,
    tmp_path: Path,
    kind: str,
    verdict: str,
    field: str,
    change: tuple[Any, Any],
) -> None:
    job, case = failed(cloud, kind), str(tmp_path / "case.json")
    by_id = str(job["name"]).replace(cloud.number, cloud.project)
    code, out, _ = run("capture", by_id, "-o", case)
    assert (code, "note:" in out) == (0, False)
    code, out, _ = run("diagnose", case, "--json")
    told = json.loads(out)
    assert (code, told["kind"], told["verdict"]) == (0, kind, verdict)
    policies = str(tmp_path / "policies.yaml")
    code, out, _ = run("plan", case, "--policies", policies, "--json")
    plan = json.loads(out)
    assert (code, plan["action"], plan["refused_by"]) == (0, "resubmit", [])
    assert plan["changes"] == [{"field": field, "from": change[0], "to": change[1]}]


@pytest.mark.parametrize("kind", ["training_pipeline", "hyperparameter_tuning", "pipeline"])
def test_of_a_child_the_parent_is_named_and_the_plan_leaves_it_alone(
    cloud: Any, run: Run, tmp_path: Path, kind: str
) -> None:
    job, case = failed(cloud, kind), str(tmp_path / "case.json")
    child = next(
        one["name"] for one in cloud.jobs.all("customJobs") if one["state"] == "JOB_STATE_FAILED"
    )
    code, out, _ = run("capture", child, "-o", case)
    assert code == 0
    assert "capture the parent" in out
    assert str(job["name"]).rpartition("/")[2] in out
    policies = str(tmp_path / "policies.yaml")
    _, out, _ = run("plan", case, "--policies", policies, "--json")
    plan = json.loads(out)
    assert (plan["action"], plan["refused_by"]) == ("alert", ["has_parent"])
    assert str(job["name"]).rpartition("/")[2] in plan["because"]


@pytest.mark.parametrize(
    "name",
    [
        "projects/genomics-lab/locations/us-central1/studies/1/trials/2",
        "projects/genomics-lab/locations/us-central1/endpoints/7",
        "nightly-training",
    ],
)
def test_what_is_no_jobs_name_is_told_with_the_names_that_are(run: Run, name: str) -> None:
    code, out, err = run("capture", name, "-o", "-")
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert f"not the name of a Vertex AI job: {name!r}" in line
    assert "batchPredictionJobs, customJobs, hyperparameterTuningJobs" in line
