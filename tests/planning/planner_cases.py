"""Policies, jobs and plans that the tests of the planner share."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from remediator.catalog.catalog import Catalog
from remediator.domain import (
    Cause,
    History,
    Needs,
    Plan,
)
from remediator.job import Job
from remediator.planning import plan
from tests.jobs import (
    case,
    diagnosis,
    job,
    policies,
)

BOOK = Catalog.built_in()
T4, L4 = "NVIDIA_TESLA_T4", "NVIDIA_L4"


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


BATCH_SPEC = "dedicatedResources.machineSpec"


CUSTOM_SPEC = "jobSpec.workerPoolSpecs[0].machineSpec"


SIZE, START, MOST = (
    "manualBatchTuningParameters.batchSize",
    "dedicatedResources.startingReplicaCount",
    "dedicatedResources.maxReplicaCount",
)


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


def written(step: dict[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {value}" for key, value in step.items()) + "}"
