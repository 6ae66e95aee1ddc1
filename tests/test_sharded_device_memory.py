"""Device memory that ran out of a model that is spread over all devices: more of them hold it."""

from __future__ import annotations

import pytest

from remediator.catalog.catalog import Catalog
from remediator.domain import Action, Cause, Guard, History, Plan
from remediator.job import Job
from remediator.planning import plan
from tests.jobs import CUSTOM, case, diagnosis, job, policies

LISTS = "limits: {accelerators: [NVIDIA_TESLA_T4, NVIDIA_L4]}\n"
FILE = (
    "mode: enforce\nrerun_safe: [custom]\n{lists}policies:\n  - name: device\n    when: {{cause: gpu_memory}}\n"
    "    alert: [ml]\n    do:\n      - resubmit: {{machine_type: sized}}\n"
)


def on_two(*args: str) -> Job:
    """A job on two L4s."""
    (held,) = CUSTOM["jobSpec"]["workerPoolSpecs"]
    spec = {
        "machineType": "g2-standard-24",
        "acceleratorType": "NVIDIA_L4",
        "acceleratorCount": 2,
    }
    container = {**held["containerSpec"], "args": list(args)}
    return job(
        CUSTOM,
        jobSpec__workerPoolSpecs=[{**held, "machineSpec": spec, "containerSpec": container}],
    )


def planned(document: Job, lists: str = LISTS) -> Plan:
    file = policies(FILE.format(lists=lists))
    known = case(document, buckets={})
    return plan(known, diagnosis(document, Cause.GPU_MEMORY), file, History(), Catalog.built_in())


@pytest.mark.parametrize(
    "args",
    [("--fsdp",), ("--fsdp=full_shard auto_wrap",), ("--strategy", "zero3"), ("--zero=stage3",)],
)
def test_more_of_the_jobs_own_devices_where_no_larger_one_may_be_had(args: tuple[str, ...]) -> None:
    done = planned(on_two(*args))
    assert done.action is Action.RESUBMIT
    assert {change.after for change in done.changes} == {"g2-standard-48", 4}
    assert "spread over all devices" in done.because


@pytest.mark.parametrize(
    "args",
    [(), ("--fsdp=no_shard",), ("--zero_stage", "2"), ("--fsdp", "--nproc_per_node=2")],
    ids=["a whole copy on each", "not sharded", "whole weights", "a number of processes"],
)
def test_where_each_device_holds_a_whole_copy_more_of_them_hold_no_more(
    args: tuple[str, ...],
) -> None:
    done = planned(on_two(*args))
    assert (done.action, done.request) == (Action.ALERT, None)
    assert Guard.ACCELERATORS in done.refused_by


def test_a_larger_device_comes_first() -> None:
    done = planned(on_two("--fsdp"), lists="")
    assert "NVIDIA_TESLA_A100" in {change.after for change in done.changes}
