"""Where a size changes: in pools, tuning jobs and pipelines, by evidence, and by Vertex's own numbers."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from remediator.catalog.catalog import Catalog
from remediator.domain import (
    Action,
    Cause,
    Change,
    Guard,
    History,
    Needs,
)
from remediator.job import Job
from remediator.job.differences import difference_is_legal
from remediator.planning import similar_sizes
from remediator.planning.vertex_refusals import after_refusal
from tests.jobs import (
    BATCH,
    CUSTOM,
    PIPELINE,
    TUNING,
    attempt,
    job,
)
from tests.planning.planner_cases import (
    BATCH_SPEC,
    BOOK,
    CUSTOM_SPEC,
    L4,
    SIZE,
    T4,
    ladder,
    planned,
    resubmitted,
    told,
)

# --- pools, tuning, pipelines ----------------------------------------------------------------------


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


# --- sized -----------------------------------------------------------------------------------------


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


def test_a_trials_own_time_sizes_the_machine_of_a_tuning_job() -> None:
    """Trials ran one after the other for ten hours, each to its time-out of two: 90% of one was done in two."""
    trial = {
        "state": "INFEASIBLE",
        "startTime": "2026-11-23T18:00:00Z",
        "endTime": "2026-11-23T20:00:10Z",
    }
    held = {
        "trials": [trial],
        "startTime": "2026-11-23T10:10:00Z",
        "endTime": "2026-11-23T20:10:00Z",
    }
    text = ladder(f"resubmit: {SIZED}", limits='{machine_types: ["n1-*"]}')
    made = planned(job(TUNING, **held), text, Cause.CPU_SATURATION, needs=Needs(work_done=0.9))
    assert [to for *_, to in told(made)] == ["n1-highmem-16"]


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


def with_t4(*, added: bool) -> tuple[Job, History]:
    """A batch prediction out of device memory with half its batch, on a T4; by whom it was put there."""
    t4 = (Change(f"{BATCH_SPEC}.acceleratorType", None, T4),)
    halved = replace(
        attempt("ladder", number=2), verdict="gpu_memory", changes=(Change(SIZE, None, 32),)
    )
    before = replace(attempt("gpu-wanted", number=1), verdict="accelerator_missing", changes=t4)
    body = job(BATCH, manualBatchTuningParameters={"batchSize": 32})
    spec = {"machineType": "n1-standard-8", "acceleratorType": T4, "acceleratorCount": 1}
    body = body.changed(BATCH_SPEC, spec)
    return body, History(attempts=(before, halved) if added else (halved,))


@pytest.mark.parametrize(
    ("added", "limits", "after"),
    [
        (True, "{}", "NVIDIA_L4"),  # nobody knew that the model fits on a T4
        (False, "{}", 4),  # whoever sent it knew: it is the batch
        (True, "{accelerators: [NVIDIA_TESLA_T4]}", 4),  # nothing larger may be had
    ],
)
def test_a_device_that_was_added_is_doubted_before_the_batch_is_cut_again(
    added: bool, limits: str, after: object
) -> None:
    body, history = with_t4(added=added)
    text = ladder(f"{{resubmit: {SIZED}, times: 2}}", limits=limits)
    made = planned(body, text, Cause.GPU_MEMORY, history=history)
    assert after in [change[2] for change in told(made)]


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
    assert similar_sizes.is_remedy(size, job(body), cause, Catalog.built_in()) is helps


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


# --- a refusal that names what would be taken ------------------------------------------------------


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
