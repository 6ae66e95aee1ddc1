"""Device memory that ran out of a model that is spread over all devices: more of them hold it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from remediator.catalog.catalog import Catalog
from remediator.domain import Action, Attempt, Cause, Change, Guard, History, Plan
from remediator.job import Job
from remediator.planning import plan
from tests.jobs import CUSTOM, attempt, case, diagnosis, job, policies

LISTS = "limits: {accelerators: [NVIDIA_TESLA_T4, NVIDIA_L4]}\n"
FILE = (
    "mode: enforce\nrerun_safe: [custom]\n{lists}policies:\n  - name: device\n    when: {{cause: gpu_memory}}\n"
    "    alert: [ml]\n    do:\n      - resubmit: {{machine_type: sized}}\n        times: 2\n"
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


def planned(document: Job, lists: str = LISTS, attempts: tuple[Attempt, ...] = ()) -> Plan:
    file = policies(FILE.format(lists=lists))
    known = case(document, buckets={})
    return plan(
        known,
        diagnosis(document, Cause.GPU_MEMORY),
        file,
        History(attempts=attempts),
        Catalog.built_in(),
    )


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


@pytest.mark.parametrize(
    ("tried", "changed"),
    [
        ("", {"g2-standard-48", 4}),  # $4.60 an hour, where two A100s cost $8.48
        ("acceleratorType", {"g2-standard-48", 4}),  # a larger device was too small
        ("acceleratorCount", {"a2-highgpu-2g", "NVIDIA_TESLA_A100"}),  # more of them were
    ],
)
def test_of_more_devices_and_larger_ones_the_cheaper_comes_first(
    tried: str, changed: set[object]
) -> None:
    path = f"jobSpec.workerPoolSpecs[0].machineSpec.{tried}"
    before = replace(
        attempt("device", number=1),
        verdict=Cause.GPU_MEMORY.value,
        changes=(Change(path, "before", "after"),),
    )
    done = planned(on_two("--fsdp"), lists="", attempts=(before,) if tried else ())
    assert {change.after for change in done.changes} == changed


def test_where_each_device_holds_a_whole_copy_a_larger_one_comes_first() -> None:
    done = planned(on_two(), lists="")
    assert {change.after for change in done.changes} == {"a2-highgpu-2g", "NVIDIA_TESLA_A100"}


@pytest.mark.parametrize(
    ("args", "env", "step"),
    [
        (
            ["--per_device_train_batch_size=16"],
            {},
            'args: {"--per_device_train_batch_size": halve}',
        ),
        (["--epochs", "3", "--batch-size", "64"], {}, 'args: {"--batch-size": halve}'),
        (["sh", "-c", "python t.py --lr 1 --batch_size=8"], {}, 'args: {"--batch_size": halve}'),
        ([], {"EPOCHS": "3", "TRAIN_BATCH_SIZE": "32"}, "env: {TRAIN_BATCH_SIZE: halve}"),
        (["--batch-size=1"], {"BATCH_SIZE": "1"}, ""),
        (["--batch-size=auto", "--batches=7"], {"BATCH_SIZE": "auto"}, ""),
        ([], {}, ""),
    ],
)
def test_where_no_device_may_be_had_the_step_that_halves_the_batch_is_told(
    args: list[str], env: dict[str, str], step: str
) -> None:
    document = on_two(*args)
    pool = "jobSpec.workerPoolSpecs[0].containerSpec.env"
    named = [{"name": name, "value": value} for name, value in env.items()]
    done = planned(document.changed(pool, named) if env else document)
    assert done.action is Action.ALERT
    said = f"a step may halve its batch: `{step}`"
    assert (said in done.because) if step else ("halve its batch" not in done.because)
