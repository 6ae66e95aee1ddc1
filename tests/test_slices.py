"""TPU topologies, partitions of GPUs and replicas of several nodes: they move, or the plan is refused."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.catalog.catalog import Catalog
from remediator.domain import Action, Cause, Guard, History, Plan
from remediator.job import Job
from remediator.job.differences import difference_is_legal
from remediator.planning import plan
from tests.jobs import BATCH, CUSTOM, case, diagnosis, job, policies

A100 = {"machineType": "a2-highgpu-1g", "acceleratorType": "NVIDIA_TESLA_A100"}
H100 = {"machineType": "a3-highgpu-1g", "acceleratorType": "NVIDIA_H100_80GB"}

EIGHT = "{machine_type: ct5lp-hightpu-8t, accelerator: {type: TPU_V5_LITEPOD, count: 8}}"


def planned(document: Job, step: str, cause: Cause) -> Plan:
    text = (
        "mode: enforce\nrerun_safe: [batch_prediction, custom]\n"
        f"policies: [{{name: one, do: [{{resubmit: {step}}}]}}]"
    )
    return plan(
        case(document), diagnosis(document, cause), policies(text), History(), Catalog.built_in()
    )


def on(spec: dict[str, Any], *, batch: bool = False) -> Job:
    if batch:
        return job(BATCH, dedicatedResources__machineSpec=spec)
    return job(CUSTOM).changed("jobSpec.workerPoolSpecs[0].machineSpec", spec)


def told(made: Plan) -> dict[str, tuple[Any, Any]]:
    return {c.field.rpartition(".")[2]: (c.before, c.after) for c in made.changes}


def test_a_topology_moves_with_its_machine() -> None:
    document = on({"machineType": "ct5lp-hightpu-4t", "tpuTopology": "2x2"})
    made = planned(document, EIGHT, Cause.CPU_SATURATION)
    assert (made.action, made.refused_by) == (Action.RESUBMIT, ())
    assert told(made)["machineType"] == ("ct5lp-hightpu-4t", "ct5lp-hightpu-8t")
    assert told(made)["tpuTopology"] == ("2x2", "2x4")
    assert difference_is_legal(document, made.request or {})


def test_a_topology_goes_where_there_is_no_tpu_and_comes_where_there_is_one() -> None:
    away = on({"machineType": "ct5lp-hightpu-4t", "tpuTopology": "2x2"})
    made = planned(away, "{machine_type: n2-standard-16}", Cause.CPU_SATURATION)
    # A step that names no accelerator takes none away.
    assert made.refused_by == (Guard.INCOMPATIBLE,)
    made = planned(away, "{machine_type: n2-standard-16, accelerator: none}", Cause.CPU_SATURATION)
    assert told(made)["tpuTopology"] == ("2x2", None)
    made = planned(on({"machineType": "n1-standard-8"}), "{machine_type: ct5lp-hightpu-4t}",
                   Cause.CPU_SATURATION)  # fmt: skip
    assert told(made)["tpuTopology"] == (None, "2x2")


@pytest.mark.parametrize("step", ["{machine_type: bigger}", "{machine_type: more_memory}"])
def test_a_slice_whose_next_size_nobody_names_is_refused(step: str) -> None:
    document = on({"machineType": "ct5lp-hightpu-4t", "tpuTopology": "4x4"})
    made = planned(document, step, Cause.MEMORY_PRESSURE)
    assert made.action is Action.ALERT
    assert made.request is None
    named = planned(document, EIGHT, Cause.CPU_SATURATION)
    assert named.refused_by == (Guard.INCOMPATIBLE,)
    assert "a TPU slice of 4x4, made of ct5lp-hightpu-4t" in named.because


def test_a_slice_of_several_hosts_is_priced_by_all_of_them() -> None:
    one = planned(on({"machineType": "ct5lp-hightpu-4t", "tpuTopology": "2x2"}), "{}", Cause.QUOTA)
    four = planned(on({"machineType": "ct5lp-hightpu-4t", "tpuTopology": "4x4"}), "{}", Cause.QUOTA)
    assert one.estimated_usd == pytest.approx(1.15 * 4 * 1.2 + 0.0268, abs=0.01)
    assert four.estimated_usd == pytest.approx(4 * (1.15 * 4 * 1.2 + 0.0268), abs=0.02)


@pytest.mark.parametrize(
    ("spec", "held", "step", "after"),
    [
        (A100, "1g.5gb", "{accelerator: more_memory}", "2g.10gb"),
        (A100, "3g.20gb", "{accelerator: bigger}", "7g.40gb"),
        (H100, "1g.10gb", "{accelerator: more_memory}", "1g.20gb"),
        (H100, "2g.20gb", "{machine_type: sized}", "3g.40gb"),
    ],
)
def test_a_bigger_slice_of_the_same_card_is_the_whole_remedy(
    spec: dict[str, str], held: str, step: str, after: str
) -> None:
    document = on({**spec, "acceleratorCount": 1, "gpuPartitionSize": held}, batch=True).changed(
        "manualBatchTuningParameters", {"batchSize": 1}
    )
    made = planned(document, step, Cause.GPU_MEMORY)
    assert told(made) == {"gpuPartitionSize": (held, after)}
    assert difference_is_legal(document, made.request or {})


@pytest.mark.parametrize("cause", [Cause.CAPACITY_STOCKOUT, Cause.QUOTA])
def test_where_no_card_is_to_be_had_another_slice_of_it_is_none(cause: Cause) -> None:
    held = {**A100, "acceleratorCount": 1, "gpuPartitionSize": "1g.5gb"}
    made = planned(on(held), "{accelerator: more_memory}", cause)
    assert "gpuPartitionSize" not in told(made)
    assert made.refused_by == (Guard.INCOMPATIBLE,)


def test_the_whole_card_leads_to_the_next_card() -> None:
    held = {**A100, "acceleratorCount": 1, "gpuPartitionSize": "7g.40gb"}
    made = planned(on(held), "{accelerator: more_memory}", Cause.GPU_MEMORY)
    assert told(made)["acceleratorType"] == ("NVIDIA_TESLA_A100", "NVIDIA_L4") or (
        told(made)["acceleratorType"][1] == "NVIDIA_A100_80GB"
    )
    assert told(made)["gpuPartitionSize"] == ("7g.40gb", None)


def test_a_slice_that_another_card_does_not_have_is_refused() -> None:
    held = {**A100, "acceleratorCount": 1, "gpuPartitionSize": "1g.5gb"}
    step = "{accelerator: {type: NVIDIA_A100_80GB, count: 1}}"
    made = planned(on(held), step, Cause.GPU_MEMORY)
    assert made.refused_by == (Guard.INCOMPATIBLE,)
    assert "slices of 1g.5gb, into which NVIDIA_A100_80GB cannot be cut" in made.because


def test_replicas_of_several_nodes_keep_their_machines() -> None:
    held = {"machineType": "n1-standard-8", "multihostGpuNodeCount": 2}
    made = planned(on(held, batch=True), "{machine_type: bigger}", Cause.CPU_SATURATION)
    assert made.refused_by == (Guard.INCOMPATIBLE,)
    assert "a replica is 2 nodes of n1-standard-8" in made.because


@pytest.mark.parametrize("machine", ["c4-standard-8", "z9-mega-3", "h4d-standard-192"])
@pytest.mark.parametrize(
    ("step", "cause"),
    [
        ("{}", Cause.TRANSIENT_BACKEND),
        ("{timeout: double}", Cause.CPU_SATURATION),
        ("{disk: double}", Cause.DISK_FULL),
        ("{location: us-east4}", Cause.CAPACITY_STOCKOUT),
    ],
)
def test_what_a_job_ran_on_is_never_called_impossible(
    machine: str, step: str, cause: Cause
) -> None:
    document = on({"machineType": machine}).changed(
        "jobSpec.workerPoolSpecs[0].containerSpec.args", []
    ).changed("jobSpec.baseOutputDirectory", None)  # fmt: skip
    made = planned(document, step, cause)
    assert (made.action, made.refused_by) == (Action.RESUBMIT, ())
    grown = planned(document, "{machine_type: bigger}", Cause.CPU_SATURATION)
    assert "there is no machine type" not in grown.because
    assert "Vertex AI takes no" not in grown.because
