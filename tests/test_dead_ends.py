"""Failures that had a remedy and got none, by what a fleet of a second author's jobs showed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.catalog.catalog import Catalog, Hardware
from remediator.catalog.machines import Service
from remediator.domain import (
    Action,
    Attempt,
    Cause,
    Change,
    Evidence,
    Guard,
    History,
    JobState,
    Needs,
    Source,
    Wanted,
)
from remediator.job import Job
from remediator.planning import plan
from tests.case_parts import custom, lines, of, series
from tests.jobs import BATCH, CUSTOM, attempt, case, diagnosis, job, policies
from tests.test_pipelines import named, planned

BOOK = Catalog.built_in()
SPEC = "jobSpec.workerPoolSpecs[0].machineSpec"
EXIT_137 = (
    "The replica workerpool0-0 exited with a non-zero status of 137. Termination reason: Error."
)


def ladder(*steps: str) -> str:
    listed = "".join(f"      - {{resubmit: {step}, times: 2}}\n" for step in steps)
    return (
        "mode: enforce\nrerun_safe: [batch_prediction, custom]\n"
        f"policies:\n  - name: ladder\n    alert: [ml]\n    do:\n{listed}"
    )


# --- what a failure was taken for -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("container", "levels", "verdict"),
    [
        ({"args": ["--data=gs://reads/train"]}, [0.3, 0.6, 0.9, 0.98, 0.98], Cause.MEMORY_PRESSURE),
        ({"args": ["--data=gs://reads/train"]}, [0.3] * 5, Cause.PREEMPTION),
        # Arguments are for the image's ENTRYPOINT, which may be a shell: a kernel's kill is told so too.
        ({"args": ["--data=gs://reads/train"]}, [0.3, 0.6, 0.85], Cause.MEMORY_PRESSURE),
        ({"args": ["--data=gs://reads/train"]}, [], Cause.MEMORY_PRESSURE),
        ({"command": ["python", "train.py"]}, [], Cause.PREEMPTION),
    ],
)
def test_a_process_killed_while_the_memory_had_no_room_died_of_memory(
    container: dict[str, Any], levels: list[float], verdict: Cause
) -> None:
    read = [series("memory/utilization", levels)] if levels else []
    body = custom(330, EXIT_137) | {"timeSeries": read}
    pool = body["job"]["jobSpec"]["workerPoolSpecs"][0]
    pool["containerSpec"] = container
    assert of(body).verdict is verdict


def test_a_server_that_ends_under_a_request_is_short_of_memory_until_more_is_known() -> None:
    gone = (
        "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result 503 "
        "(upstream connect error or disconnect/reset before headers. reset reason: connection "
        "termination) from server, retry=3, elapsed=24.76s."
    )
    body = {**BATCH, "error": {"code": 13, "message": gone}}
    bare = of({"job": body})
    assert (bare.verdict, bare.confidence < 0.6) == (Cause.MEMORY_PRESSURE, True)
    raised = lines(
        (3, "panic: runtime error: index out of range [5] with length 3"), (3, "goroutine 1:")
    )
    assert of({"job": body, "logEntries": raised}).verdict is not Cause.MEMORY_PRESSURE


@pytest.mark.parametrize(("busy", "verdict"), [(0.85, Cause.UNKNOWN), (0.1, Cause.SLOW_CODE)])
def test_work_that_waits_for_its_accelerator_is_no_slow_section(
    busy: float, verdict: Cause
) -> None:
    spec = {"machineType": "n1-standard-8", "acceleratorType": "NVIDIA_TESLA_T4",
            "acceleratorCount": 1}  # fmt: skip
    body = custom(
        3610,
        jobSpec={
            "workerPoolSpecs": [{"machineSpec": spec, "replicaCount": "1"}],
            "scheduling": {"timeout": "3600s"},
        },
    ) | {
        "timeSeries": [
            series("cpu/utilization", [0.31] * 60),
            series("accelerator/utilization", [busy] * 60),
        ],
        "logEntries": lines(
            (2, "start"), *((80 * n, f"step {n} of 60 done") for n in range(1, 42))
        ),
    }
    found = of(body)
    assert found.verdict is verdict
    assert found.needs.progress is not None


@pytest.mark.parametrize(("peak", "fixed"), [(0.06, True), (0.27, False)])
def test_a_heap_far_below_a_quarter_of_the_memory_was_set_by_somebody(
    peak: float, fixed: bool
) -> None:
    text = 'Exception in thread "main" java.lang.OutOfMemoryError: Java heap space'
    body = custom(1800, "The replica workerpool0-0 exited with a non-zero status of 1.") | {
        "logEntries": lines((1700, text)),
        "timeSeries": [series("memory/utilization", [peak] * 30)],
    }
    limit = of(body).needs.own_limit
    assert limit is not None
    assert limit.fixed is fixed


@pytest.mark.parametrize(
    "beside",
    [
        "py4j.protocol.Py4JJavaError: An error occurred while calling o37.collectToPython.",
        "\tat org.apache.spark.scheduler.Task.run(Task.scala:141)",
    ],
)
def test_sparks_heap_is_its_own_though_the_line_that_says_whose_it_is_stands_apart(
    beside: str,
) -> None:
    """Spark's machines have a heap of 1 GiB unless told, whatever the machine's memory is."""
    body = custom(1800, "The replica workerpool0-0 exited with a non-zero status of 1.")
    told = ((1700, beside), (1700.1, ": java.lang.OutOfMemoryError: Java heap space"))
    with_spark, alone = (
        of(body | {"logEntries": lines(*some)}).needs.own_limit for some in (told, told[1:])
    )
    assert with_spark is not None
    assert alone is not None
    assert (with_spark.name.split()[0], with_spark.fixed) == ("Spark's", True)
    assert (alone.name.split()[-1], alone.fixed) == ("memory)", False)


# --- where the remedy was there and was not seen ------------------------------------------------------


@pytest.mark.parametrize(("peak_gib", "machine"), [(5.0, "e2-highmem-8"), (29.5, "e2-highmem-8")])
def test_a_machine_for_memory_has_clearly_more_though_little_was_seen_in_use(
    peak_gib: float, machine: str
) -> None:
    """What stands between two samples is not seen: an e2-standard-8 for an n1-standard-8 is no remedy."""
    document = job(CUSTOM)
    needs = Needs(peak_memory_gib=peak_gib, memory_is_lower_bound=True)
    found = replace(diagnosis(document, Cause.MEMORY_PRESSURE), needs=needs)
    made = plan(case(document), found, policies(ladder("{machine_type: sized}")), History(), BOOK)
    (change,) = made.changes
    assert (change.before, change.after) == ("n1-standard-8", machine)


HOME = {name: {"location": "ASIA"} for name in ("genomes", "results")}
LARGER_ELSEWHERE = (
    "{fallback: [{accelerator: more_memory}, {location: next, accelerator: more_memory}]}"
)


def on(machine: str, device: str, count: int = 1, region: str = "us-central1") -> Job:
    spec = {"machineType": machine, "acceleratorType": device, "acceleratorCount": count}
    document = job(CUSTOM).changed("jobSpec.workerPoolSpecs[0].machineSpec", spec)
    return replace(document, name=replace(document.name, location=region))


def treated(document: Job, cause: Cause, file: str, *made: Attempt, **more: Any) -> Any:
    known = case(document, **more)
    found = diagnosis(document, cause)
    return plan(known, found, policies(file), History(attempts=made), BOOK)


def test_a_step_that_finds_no_hardware_leaves_the_turn_to_a_later_fallback() -> None:
    """No larger GPU in Taiwan; one in the next region that the data follow to."""
    taiwan = on("n1-highmem-8", "NVIDIA_TESLA_T4", region="asia-east1")
    steps = ("{machine_type: sized}", LARGER_ELSEWHERE)
    made = treated(taiwan, Cause.GPU_MEMORY, ladder(*steps), buckets=HOME)
    assert (made.action, made.step, made.entry) == (Action.RESUBMIT, 2, 2)
    assert "NVIDIA_L4" in [change.after for change in made.changes]
    assert "step 1 is passed over: no accelerator that may be had in asia-east1" in made.because
    for stays in (ladder(steps[0]), ladder(steps[0], "{accelerator: more_memory}")):
        alone = treated(taiwan, Cause.GPU_MEMORY, stays, buckets=HOME)
        assert (alone.action, alone.step) == (Action.ALERT, 1)
        assert alone.refused_by == (Guard.INCOMPATIBLE,)


def test_what_no_machine_holds_ends_the_ladder_before_a_fallback() -> None:
    document = on("n1-standard-8", "NVIDIA_TESLA_T4")
    said = Evidence(Source.LOG, "workerpool0-0", "Unable to allocate 70.0 TiB")
    needs = Needs(wanted=Wanted(70.0 * 1024**4, False, said))
    found = replace(diagnosis(document, Cause.MEMORY_PRESSURE), needs=needs)
    file = ladder("{machine_type: sized}", LARGER_ELSEWHERE)
    made = plan(case(document), found, policies(file), History(), BOOK)
    assert (made.action, made.refused_by) == (Action.ALERT, (Guard.NO_MACHINE,))


BOTH = "{machine_type: more_memory, accelerator: more_memory}"


@pytest.mark.parametrize(
    ("machine", "device", "count", "becomes"),
    [
        ("n1-highmem-8", "NVIDIA_TESLA_V100", 1, ("g2-standard-32", "NVIDIA_L4")),
        ("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1, ("a2-ultragpu-1g", "NVIDIA_A100_80GB")),
        ("g2-standard-48", "NVIDIA_L4", 4, ("a2-ultragpu-4g", "NVIDIA_A100_80GB")),
        # twice 104 GiB nothing with one larger device has: the most there is, 170
        ("n1-highmem-16", "NVIDIA_TESLA_T4", 1, ("a2-ultragpu-1g", "NVIDIA_A100_80GB")),
    ],
)
def test_more_memory_of_both_kinds_keeps_the_number_of_devices(
    machine: str, device: str, count: int, becomes: tuple[str, str]
) -> None:
    made = treated(on(machine, device, count), Cause.MEMORY_PRESSURE, ladder(BOTH))
    after = {change.field.rpartition(".")[2]: change.after for change in made.changes}
    assert after == {"machineType": becomes[0], "acceleratorType": becomes[1]}


def test_more_memory_of_both_kinds_takes_nothing_away_from_any_machine() -> None:
    tried = 0
    for kind in BOOK.machines.values():
        if Service.TRAINING not in kind.services or not kind.memory_gib:
            continue
        held = [(kind.accelerator, kind.accelerator_count)] if kind.accelerator else []
        if not kind.device:
            held += [
                (device, count)
                for device in BOOK.accelerators
                for count in BOOK.allowed_counts(kind.name, device, Service.TRAINING)
            ]
        for device, count in held:
            made = treated(on(kind.name, device, count), Cause.MEMORY_PRESSURE, ladder(BOTH))
            if made.action is not Action.RESUBMIT:
                continue
            tried += 1
            (pool,) = Job.parse({**CUSTOM, **(made.request or {})}).pools
            has, had = (BOOK.accelerators[one] for one in (pool.hardware.accelerator, device))
            assert pool.hardware.count == count
            assert (has.memory_gib or 0) > (had.memory_gib or 0)
            assert BOOK.machines[pool.hardware.machine].memory_gib > kind.memory_gib
    assert tried > 40


def test_a_way_that_leads_to_the_same_hardware_elsewhere_is_none_where_it_was_too_small() -> None:
    """A100s were too small as well: the second way would ask for them again in another region."""
    changes = (
        Change(f"{SPEC}.machineType", "g2-standard-8", "a2-highgpu-1g"),
        Change(f"{SPEC}.acceleratorType", "NVIDIA_L4", "NVIDIA_TESLA_A100"),
    )
    before = replace(attempt("ladder", number=1), entry=1, verdict="gpu_memory", changes=changes)
    everywhere = {name: {"location": "US"} for name in HOME}
    failed = on("a2-highgpu-1g", "NVIDIA_TESLA_A100")
    file = ladder(LARGER_ELSEWHERE)
    made = treated(failed, Cause.GPU_MEMORY, file, before, buckets=everywhere)
    assert made.action is Action.ALERT
    assert "what was too small in us-central1 is so in us-east1" in made.because
    moved = treated(failed, Cause.CAPACITY_STOCKOUT, file, before, buckets=everywhere)
    assert [change.after for change in moved.changes] == ["us-east1"]  # there it may be had


def two_pools(*, same_program: bool) -> Job:
    body = copy.deepcopy(CUSTOM)
    (first,) = body["jobSpec"]["workerPoolSpecs"]
    second = copy.deepcopy(first) | {"replicaCount": "3"}
    if not same_program:
        second["containerSpec"]["args"] = ["--role=ps"]
    body["jobSpec"]["workerPoolSpecs"] = [first, second]
    body["error"] = {
        "code": 3,
        "message": "The replica workerpool1-2 ran out of memory and exited with a non-zero status "
        "of 137.",
    }
    return job(body)


@pytest.mark.parametrize(("same_program", "pools"), [(True, {0, 1}), (False, {1})])
@pytest.mark.parametrize("step", ["{machine_type: more_memory}", "{disk: double}"])
def test_pools_that_run_the_same_program_lack_the_same(
    same_program: bool, pools: set[int], step: str
) -> None:
    document = two_pools(same_program=same_program)
    made = plan(
        case(document),
        diagnosis(document, Cause.MEMORY_PRESSURE),
        policies(ladder(step)),
        History(),
        BOOK,
    )
    assert made.action is Action.RESUBMIT
    changed = {int(c.field.partition("workerPoolSpecs[")[2][0]) for c in made.changes}
    assert changed == pools


def with_one(device: str) -> Job:
    pool = CUSTOM["jobSpec"]["workerPoolSpecs"][0]
    spec = {"machineType": "n1-standard-8", "acceleratorType": device, "acceleratorCount": 1}
    return job(CUSTOM, jobSpec__workerPoolSpecs=[pool | {"machineSpec": spec}])


@pytest.mark.parametrize(
    ("steps", "answer"),
    [
        (("{wait: 10m}",), (Action.ALERT, 1, ["accelerators"])),
        (("{wait: 10m}", "{spot: false}"), (Action.ALERT, 1, ["accelerators"])),
        (
            ("{wait: 10m}", "{fallback: [{accelerator: more_memory}]}"),
            (Action.RESUBMIT, 2, []),
        ),
        # A step that asks for a change is done as it is written, or refused.
        (
            ("{timeout: double}", "{fallback: [{accelerator: more_memory}]}"),
            (Action.ALERT, 1, ["accelerators"]),
        ),
    ],
)
def test_the_same_again_on_what_a_list_forbids_gives_way_to_a_step_that_leaves_it(
    steps: tuple[str, ...], answer: tuple[Action, int, list[str]]
) -> None:
    text = ladder(*steps).replace("policies:", "limits: {accelerators: [NVIDIA_L4]}\npolicies:")
    document = with_one("NVIDIA_TESLA_V100")
    found = diagnosis(document, Cause.CAPACITY_STOCKOUT)
    made = plan(case(document), found, policies(text), History(), BOOK)
    assert (made.action, made.step, [guard.value for guard in made.refused_by]) == answer
    if made.action is Action.RESUBMIT:
        assert "NVIDIA_L4" in {change.after for change in made.changes}
        assert "NVIDIA_TESLA_V100 is not among NVIDIA_L4" in made.because


@pytest.mark.parametrize(
    ("seconds", "verdict"), [(100, Cause.UNKNOWN), (3000, Cause.CPU_SATURATION)]
)
def test_a_calls_deadline_is_not_the_jobs_where_the_cpus_were_hardly_seen(
    seconds: int, verdict: Cause
) -> None:
    said = "Error: 4 DEADLINE_EXCEEDED: Deadline exceeded after 30.000s,LB pick: 0.269s"
    body = custom(seconds, "The replica workerpool0-0 exited with a non-zero status of 1.") | {
        "logEntries": lines((seconds - 1, said)),
        "timeSeries": [series("cpu/utilization", [0.99] * (seconds // 60))],
    }
    assert of(body).verdict is verdict


def test_more_device_memory_is_looked_for_where_it_has_a_price() -> None:
    held = Hardware("g2-standard-8", "NVIDIA_L4", 1)
    forty = Hardware("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1)
    assert BOOK.price(forty, "asia-southeast1") is None
    assert BOOK.offered(forty, "asia-southeast1", Service.TRAINING)
    moved = BOOK.accelerator_more_memory(held, Service.TRAINING, "asia-southeast1")
    assert str(getattr(moved, "hardware", moved)) == "a2-ultragpu-1g + 1 NVIDIA_A100_80GB"


def test_an_accelerator_step_prefers_what_the_lists_allow() -> None:
    document = with_one("NVIDIA_TESLA_T4")
    text = ladder("{accelerator: more_memory}").replace(
        "policies:", "limits: {accelerators: [NVIDIA_TESLA_T4, NVIDIA_TESLA_A100]}\npolicies:"
    )
    made = plan(
        case(document),
        diagnosis(document, Cause.GPU_MEMORY),
        policies(text),
        History(),
        BOOK,
    )
    assert made.refused_by == ()
    assert "NVIDIA_TESLA_A100" in {c.after for c in made.changes}


def test_a_batch_that_fills_the_device_shrinks_faster_once_that_did_not_help() -> None:
    made: list[Attempt] = []
    document, sizes = job(BATCH), []
    for number in (1, 2):
        history = History(attempts=tuple(made))
        found = plan(
            case(document),
            diagnosis(document, Cause.GPU_MEMORY),
            policies(ladder("{machine_type: sized}")),
            history,
            BOOK,
        )
        (change,) = found.changes
        sizes.append(change.after)
        document = document.changed(change.field, change.after)
        made.append(
            Attempt(f"jobs/{number}", JobState.FAILED, case(document).now, "ladder", 1,
                    "gpu_memory", found.changes, number=number)
        )  # fmt: skip
    assert sizes == [32, 4]


# --- a quota whose limit nobody says ------------------------------------------------------------------

REFUSED = (
    "The following quota metrics exceed quota limits: "
    "aiplatform.googleapis.com/custom_model_training_{}"
)
WAITS = ladder("{wait: 10m}")


def refused(machine: str, metric: str, *waits: tuple[Change, ...]) -> Any:
    error = {"code": 8, "message": REFUSED.format(metric)}
    document = job(CUSTOM, error=error).changed(
        "jobSpec.workerPoolSpecs[0].machineSpec.machineType", machine
    )
    attempts = tuple(
        Attempt(f"jobs/{n}", JobState.FAILED, case(document).now, "ladder", 1, "quota", changes,
                number=n)
        for n, changes in enumerate(waits, 1)
    )  # fmt: skip
    return plan(
        case(document),
        diagnosis(document, Cause.QUOTA),
        policies(WAITS),
        History(attempts=attempts),
        BOOK,
        waited=True,
    )


def test_a_family_that_still_refuses_after_a_wait_is_left() -> None:
    first = refused("c2-standard-8", "c2_cpus")
    assert (first.action, first.changes) == (Action.RESUBMIT, ())
    second = refused("c2-standard-8", "c2_cpus", ())
    (change,) = second.changes
    assert change.before == "c2-standard-8"
    assert not str(change.after).startswith("c2-")
    assert "ask for at least 8" in second.because


def test_the_quota_that_most_families_share_is_waited_for() -> None:
    assert refused("n1-standard-8", "cpus", ()).changes == ()


def test_another_place_tried_is_no_wait() -> None:
    moved = (Change("location", "us-central1", "us-east1"),)
    assert refused("c2-standard-8", "c2_cpus", moved).changes == ()


# --- a pipeline's task --------------------------------------------------------------------------------


def test_a_task_that_is_sized_and_gets_an_accelerator_keeps_its_size() -> None:
    made = planned(
        named("custom-constant-0"),
        "machine_type: sized, accelerator: {type: NVIDIA_TESLA_T4, count: 1}",
    )
    after = {change.field.rpartition(".")[2]: change.after for change in made.changes}
    assert after == {
        "machine_type": "n1-highmem-8",  # a T4 attaches to N1 alone; it had an n1-standard-8
        "accelerator_type": "NVIDIA_TESLA_T4",
        "accelerator_count": 1,
    }


# --- a quota that Monitoring knows ------------------------------------------------------------------


def reading(kind: str, metric: str, region: str, value: float) -> dict[str, Any]:
    return {
        "metric": {
            "type": f"serviceruntime.googleapis.com/quota/{kind}",
            "labels": {"quota_metric": f"aiplatform.googleapis.com/custom_model_training_{metric}"},
        },
        "resource": {"type": "consumer_quota", "labels": {"location": region}},
        "points": [
            {"interval": {"endTime": "2026-11-23T18:30:00Z"}, "value": {"doubleValue": value}}
        ],
    }


def refused_as_read(*read: dict[str, Any], steps: str = WAITS, machine: str = "c2-standard-8",
                    metric: str = "c2_cpus", scheduling: Mapping[str, str] = MappingProxyType({}),
                    replicas: int = 1, made: tuple[Attempt, ...] = ()) -> Any:  # fmt: skip
    error = {"code": 8, "message": REFUSED.format(metric)}
    (pool,) = CUSTOM["jobSpec"]["workerPoolSpecs"]
    document = job(
        CUSTOM,
        error=error,
        jobSpec__workerPoolSpecs=[pool | {"replicaCount": str(replicas)}],
        jobSpec__scheduling={**CUSTOM["jobSpec"].get("scheduling", {}), **scheduling},
    ).changed("jobSpec.workerPoolSpecs[0].machineSpec.machineType", machine)
    everywhere = {"genomes": {"location": "US"}, "results": {"location": "US"}}
    known = case(document, timeSeries=list(read), buckets=everywhere)
    return plan(
        known,
        diagnosis(document, Cause.QUOTA),
        policies(steps),
        History(attempts=made),
        BOOK,
        waited=True,
    )


def test_a_limit_of_0_is_not_waited_for_though_the_message_does_not_say_it() -> None:
    made = refused_as_read(reading("limit", "c2_cpus", "us-central1", 0))
    (change,) = made.changes
    assert not str(change.after).startswith("c2-")
    assert "the limit of custom_model_training_c2_cpus in us-central1 is 0" in made.because


def test_a_limit_with_room_for_the_job_is_waited_for() -> None:
    made = refused_as_read(
        reading("limit", "c2_cpus", "us-central1", 64),
        reading("allocation/usage", "c2_cpus", "us-central1", 60),
    )
    assert (made.action, made.changes) == (Action.RESUBMIT, ())


WAITS_AND_ANOTHER = ladder(
    "{wait: 10m}", "{fallback: [{machine_type: n2-standard-8}]}", "{wait: 1h}"
)
WAITED = tuple(replace(attempt("ladder", number=n, changed=False), verdict="quota") for n in (1, 2))


@pytest.mark.parametrize(
    ("limit", "made", "steps", "step"),
    [
        (64, WAITED, WAITS_AND_ANOTHER, 3),  # it holds the job: waiting goes on, which costs nothing
        (4, WAITED, WAITS_AND_ANOTHER, 2),  # it never will
        (None, WAITED, WAITS_AND_ANOTHER, 2),  # nobody knows
        (64, (), WAITS_AND_ANOTHER.replace("{wait: 10m}", "{fallback: [{machine_type: n2-standard-4}]}"), 1),
        (64, WAITED, ladder("{wait: 10m}", "{fallback: [{machine_type: n2-standard-8}]}"), 2),
    ],
    ids=["holds", "too-small", "not-known", "fallback-first", "no-wait-after"],
)  # fmt: skip
def test_between_two_waits_a_quota_that_holds_the_job_is_waited_for(
    limit: float | None, made: tuple[Attempt, ...], steps: str, step: int
) -> None:
    read = [] if limit is None else [reading("limit", "cpus", "us-central1", limit)]
    found = refused_as_read(*read, steps=steps, machine="n1-standard-8", metric="cpus", made=made)
    assert (found.action, found.step) == (Action.RESUBMIT, step)
    if step == 3:
        assert (
            "us-central1 is 64 and the job needs 8: there is room once others are done"
            in found.because
        )


def test_another_region_is_passed_over_where_it_has_no_quota_either() -> None:
    ways = ladder("{fallback: [{location: us-east1}, {location: us-west1}]}")
    made = refused_as_read(
        reading("limit", "cpus", "us-east1", 0),
        reading("limit", "cpus", "us-west1", 16),
        steps=ways,
        machine="n1-standard-8",
        metric="cpus",
    )
    assert [change.after for change in made.changes] == ["us-west1"]
    assert "the limit of custom_model_training_cpus in us-east1 is 0" in made.because


def test_next_leads_to_a_region_whose_quota_holds_the_job() -> None:
    regions = {
        "us-east1": 0,
        "us-east4": 0,
        "us-east5": 0,
        "us-south1": 0,
        "us-west1": 0,
        "us-west2": 16,
    }
    made = refused_as_read(
        *(reading("limit", "cpus", region, limit) for region, limit in regions.items()),
        steps=ladder("{location: next}"),
        machine="n1-standard-8",
        metric="cpus",
    )
    assert [change.after for change in made.changes] == ["us-west2"]


US_REGIONS = ("us-central1", "us-east1", "us-east4", "us-east5", "us-south1", "us-west1", "us-west2",
              "us-west3", "us-west4")  # fmt: skip


def everywhere(metric: str, limit: float) -> list[dict[str, Any]]:
    return [reading("limit", metric, region, limit) for region in US_REGIONS]


@pytest.mark.parametrize("location", ["next", "us-east1"])
@pytest.mark.parametrize(
    ("metric", "limit", "scheduling", "replicas", "asked"),
    [
        ("cpus", 0, {}, 1, "spot: true"),
        ("cpus", 0, {}, 1, "strategy: SPOT"),
        ("preemptible_cpus", 0, {"strategy": "SPOT"}, 1, "spot: false"),
        ("preemptible_cpus", 0, {"strategy": "SPOT"}, 1, "strategy: STANDARD"),
        ("cpus", 8, {}, 2, "replicas: 1"),
        ("cpus", 8, {}, 1, "machine_type: n1-highmem-8"),
        ("cpus", 0, {}, 1, "machine_type: n2-highmem-8"),
        ("cpus", 8, {}, 2, "replicas: 1, machine_type: n1-highmem-8"),
    ],
)
def test_a_region_is_judged_by_the_whole_step(
    metric: str, limit: float, scheduling: dict[str, str], replicas: int, asked: str, location: str
) -> None:
    made = refused_as_read(
        *everywhere(metric, limit),
        steps=ladder(f"{{location: {location}, {asked}}}"),
        machine="n1-standard-8",
        metric=metric,
        scheduling=scheduling,
        replicas=replicas,
    )
    assert made.action is Action.RESUBMIT
    assert made.changes[0].after == "us-east1"


def test_more_replicas_than_a_region_holds_lead_to_the_next() -> None:
    limits = dict.fromkeys(US_REGIONS, 8) | {"us-west2": 16}
    made = refused_as_read(
        *(reading("limit", "cpus", region, limit) for region, limit in limits.items()),
        steps=ladder("{location: next, replicas: double}"),
        machine="n1-standard-8",
        metric="cpus",
    )
    assert [change.after for change in made.changes] == ["us-west2", "2"]


def test_a_step_that_no_regions_quota_holds_gives_way_to_the_one_after_it() -> None:
    made = refused_as_read(
        *everywhere("cpus", 0),
        steps=ladder("{location: next}", "{spot: true}"),
        machine="n1-standard-8",
        metric="cpus",
    )
    assert (made.action, made.step) == (Action.RESUBMIT, 2)
    assert "the limit of custom_model_training_cpus in us-east1 is 0" in made.because


def test_a_row_with_nothing_to_give_says_so_itself_where_the_region_is_open() -> None:
    made = refused_as_read(
        *everywhere("cpus", 0),
        steps=ladder("{location: next, env: {BATCH_SIZE: halve}}", "{spot: true}"),
        machine="n1-standard-8",
        metric="cpus",
    )
    assert (made.action, made.step) == (Action.RESUBMIT, 2)
    assert "the job sets no BATCH_SIZE to a whole number" in made.because


def test_a_limit_elsewhere_says_nothing_of_here() -> None:
    made = refused_as_read(reading("limit", "c2_cpus", "us-east1", 0))
    assert made.changes == ()


def test_a_quota_that_nobody_uses_and_that_refused_is_not_waited_for() -> None:
    nobody = reading("allocation/usage", "c2_cpus", "us-central1", 0)
    made = refused_as_read(nobody)
    (change,) = made.changes
    assert not str(change.after).startswith("c2-")
    assert (
        "none of custom_model_training_c2_cpus in us-central1 is seen in use, and it refused the 8 vCPUs"
    ) in made.because


def test_a_quota_that_nobody_uses_may_hold_less_than_was_refused() -> None:
    """Spot machines count elsewhere, and half the vCPUs may be what the limit is."""
    nobody = reading("allocation/usage", "c2_cpus", "us-central1", 0)
    smaller = refused_as_read(nobody, steps=ladder("{machine_type: c2-standard-4}"), replicas=2)
    assert [(one.before, one.after) for one in smaller.changes] == [
        ("c2-standard-8", "c2-standard-4")
    ]


@pytest.mark.parametrize(
    ("used", "made", "step"),
    [(8, WAITED, 3), (64, WAITED, 3), (4, WAITED, 2), (0, WAITED, 2), (0, (), 2), (8, (), 1)],
)
def test_what_others_use_of_a_quota_says_that_it_holds_as_much(
    used: float, made: tuple[Attempt, ...], step: int
) -> None:
    read = reading("allocation/usage", "cpus", "us-central1", used)
    found = refused_as_read(
        read, steps=WAITS_AND_ANOTHER, machine="n1-standard-8", metric="cpus", made=made
    )
    assert (found.action, found.step) == (Action.RESUBMIT, step)


def test_a_family_that_others_run_on_is_not_taken_for_one_without_a_quota() -> None:
    """Neither after a wait nor where the job asks for the least that there is."""
    used = reading("allocation/usage", "c2_cpus", "us-central1", 60)
    waited = refused_as_read(used, made=WAITED[:1])
    assert (waited.action, waited.changes) == (Action.RESUBMIT, ())
    least = refused_as_read(used, machine="c2-standard-4")
    assert (least.action, least.changes) == (Action.RESUBMIT, ())
