"""A remedy is never worse than the job was: accelerators stay, absurd requests are not chased."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.case import Case
from remediator.catalog.catalog import Catalog, Hardware
from remediator.catalog.growth import devices_of
from remediator.catalog.machines import Service
from remediator.diagnosis import diagnose
from remediator.domain import (
    NEVER_RETRIED,
    Action,
    Cause,
    Evidence,
    Guard,
    History,
    Lack,
    Needs,
    OwnLimit,
    Plan,
    Progress,
    Source,
    Wanted,
)
from remediator.job import Job
from remediator.planning import plan
from remediator.policy import load
from tests.jobs import BATCH, CUSTOM, PIPELINE, TRAINING, case, diagnosis, job, policies

BOOK = Catalog.built_in()
GIB = 1024.0**3
SERVED = {"custom": (CUSTOM, Service.TRAINING), "batch": (BATCH, Service.PREDICTION)}
MAY_CHANGE = {Cause.GPU_MEMORY, Cause.ACCELERATOR_MISSING}
STEPS = (
    "{machine_type: bigger}",
    "{machine_type: more_memory}",
    "{machine_type: sized}",
    "{machine_type: n1-standard-32}",
    "{machine_type: g2-standard-48}",
    "{}",
)


def ladder(*steps: str, limits: str = "{}") -> str:
    listed = "".join(f"      - {{resubmit: {step}}}\n" for step in steps)
    return (
        "mode: enforce\nrerun_safe: [batch_prediction, custom]\n"
        f"limits: {limits}\npolicies:\n  - name: ladder\n    alert: [ml]\n    do:\n{listed}"
    )


def on(body: dict[str, Any], held: Hardware) -> Job:
    """The job on other hardware."""
    document = job(body)
    (pool,) = document.pools
    document = document.changed(pool.machine_path, held.machine)
    if held.count:
        document = document.changed(pool.accelerator_path, held.accelerator)
        document = document.changed(pool.count_path, held.count)
    return document


def made(
    document: Job,
    text: str,
    cause: Cause,
    *,
    needs: Needs | None = None,
) -> Plan:
    return plan(
        case(document), diagnosis(document, cause, needs=needs), policies(text), History(), BOOK
    )


def every_hardware() -> Iterator[tuple[str, Hardware]]:
    """Every machine, accelerator and count that either service takes, by the kind of job."""
    for kind, (_, service) in SERVED.items():
        for machine in BOOK.machines.values():
            if service not in machine.services or not machine.vcpus:
                continue
            if machine.device:
                yield kind, Hardware(machine.name, machine.accelerator, machine.accelerator_count)
                continue
            yield kind, Hardware(machine.name)
            for device in BOOK.accelerators:
                for count in BOOK.allowed_counts(machine.name, device, service):
                    yield kind, Hardware(machine.name, device, count)


HARDWARE = tuple(every_hardware())


@settings(deadline=None, max_examples=400)
@given(
    st.sampled_from(HARDWARE),
    st.sampled_from([c for c in Cause if c not in NEVER_RETRIED]),
    st.sampled_from(STEPS),
)
def test_the_accelerator_stays_where_nobody_names_another(
    held: tuple[str, Hardware], cause: Cause, step: str
) -> None:
    kind, hardware = held
    document = on(SERVED[kind][0], hardware)
    done = made(document, ladder(step), cause)
    if done.request is None:
        assert done.action is Action.ALERT
        return
    (after,) = Job(document.name, done.request).pools
    before, now = devices_of(BOOK, hardware), devices_of(BOOK, after.hardware)
    if cause not in MAY_CHANGE and before[1]:
        assert now == before
    assert now[1] >= before[1]
    if "standard" not in step:  # what is named is taken as it is named
        old, new = BOOK.machines[hardware.machine], BOOK.machines[after.hardware.machine]
        more = {Cause.MEMORY_PRESSURE: new.memory_gib > old.memory_gib}
        changed = after.hardware != hardware
        assert not changed or more.get(cause, True)


@pytest.mark.parametrize(
    ("held", "step", "leads_to"),
    [
        # the accelerator goes along, with the most memory that can be had beside it
        (Hardware("n1-standard-8", "NVIDIA_TESLA_V100", 1), "more_memory", "n1-highmem-8"),
        (Hardware("n1-standard-8", "NVIDIA_TESLA_T4", 1), "more_memory", "n1-standard-16"),
        (Hardware("g2-standard-12", "NVIDIA_L4", 1), "more_memory", "g2-standard-32"),
        # and where no machine has more with it, nothing is done
        (Hardware("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1), "more_memory", ""),
        (Hardware("a2-highgpu-2g", "NVIDIA_TESLA_A100", 2), "sized", ""),
        (Hardware("a2-ultragpu-1g", "NVIDIA_A100_80GB", 1), "sized", ""),
        (Hardware("ct5lp-hightpu-4t"), "more_memory", ""),
        # without one, the family goes on in the next that has room
        (Hardware("e2-highmem-16"), "more_memory", "n4-highmem-32"),
        (Hardware("e2-standard-32"), "sized", "n1-highmem-32"),
    ],
    ids=str,
)
def test_host_memory_is_found_beside_the_same_accelerator(
    held: Hardware, step: str, leads_to: str
) -> None:
    document = on(CUSTOM, held)
    done = made(document, ladder(f"{{machine_type: {step}}}"), Cause.MEMORY_PRESSURE)
    if not leads_to:
        assert (done.action, done.refused_by) == (Action.ALERT, (Guard.INCOMPATIBLE,))
        device, count = devices_of(BOOK, held)
        assert f"with {count} {device}" in done.because
        return
    assert done.request is not None
    (after,) = Job(document.name, done.request).pools
    assert after.hardware.machine == leads_to


# --- failures of the public, each with what was right for it -----------------------------------------

CASES = Path(__file__).parent / "data" / "remedies"


def shown(name: str) -> Plan:
    """What the cases' own policies would do about one of them."""
    found = Case.parse(json.loads((CASES / f"{name}.json").read_text()))
    file = load((CASES / "policies.yaml").read_text()).require()
    return plan(found, diagnose(found), file, History(), BOOK)


def test_a_topology_moves_with_the_machine_or_the_plan_is_refused() -> None:
    done = shown("tpu-topology")
    assert (done.action, done.refused_by) == (Action.ALERT, (Guard.INCOMPATIBLE,))
    assert "with 4 TPU_V5_LITEPOD" in done.because
    assert "ct5lp-hightpu-8t with 8 TPU_V5_LITEPOD has 384 GiB" in done.because
    assert "a step may name `{machine_type: ct5lp-hightpu-8t}`" in done.because
    slices = Case.parse(json.loads((CASES / "tpu-topology.json").read_text())).job
    taken = made(slices, ladder("{machine_type: ct5lp-hightpu-8t}"), Cause.MEMORY_PRESSURE)
    assert [change.after for change in taken.changes] == ["ct5lp-hightpu-8t", "2x4"]
    fewer = made(slices, ladder("{machine_type: ct5lp-hightpu-1t}"), Cause.MEMORY_PRESSURE)
    assert fewer.refused_by == (Guard.INCOMPATIBLE,)


@pytest.mark.parametrize(
    ("held", "named"),
    [
        (Hardware("g2-standard-96", "NVIDIA_L4", 8), "{machine_type: a2-highgpu-8g, accelerator: {type: NVIDIA_TESLA_A100, count: 8}}"),
        (Hardware("n1-highmem-16", "NVIDIA_TESLA_V100", 2), "{machine_type: g2-standard-48, accelerator: {type: NVIDIA_L4, count: 4}}"),
        (Hardware("m3-ultramem-128"), ""),
    ],
)  # fmt: skip
def test_what_only_a_machine_with_other_devices_has_is_named_with_the_step_that_takes_it(
    held: Hardware, named: str
) -> None:
    document = on(CUSTOM, held)
    done = made(document, ladder("{machine_type: sized}"), Cause.MEMORY_PRESSURE)
    if not named:
        assert "a step may name" not in done.because
        return
    assert done.refused_by == (Guard.INCOMPATIBLE,)
    assert f"an hour: a step may name `{named}`" in done.because
    step = named.replace("`", "")
    taken = made(document, ladder(step), Cause.MEMORY_PRESSURE)
    assert (taken.action, taken.refused_by) == (Action.RESUBMIT, ())


def test_shared_memory_buys_no_machine_and_swaps_no_accelerator() -> None:
    done = shown("shared-memory")
    assert (done.action, done.refused_by) == (Action.ALERT, (Guard.NO_MACHINE,))
    assert "shared memory (/dev/shm) is the program's own limit" in done.because
    assert "died at" not in done.because


def test_what_refuses_several_ways_is_told_once() -> None:
    held = on(CUSTOM, Hardware("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1))
    ways = "{fallback: [{location: us-east1}, {location: us-west1}]}"
    text = ladder(ways, "{wait: backoff}", limits="{machine_types: ['n1-*']}")
    places = {name: {"location": "US"} for name in ("genomes", "results")}
    found = case(held, buckets=places)
    asked = diagnosis(held, Cause.CAPACITY_STOCKOUT)
    done = plan(found, asked, policies(text), History(), BOOK)
    assert done.refused_by == (Guard.MACHINE_TYPES,)
    assert done.because.count("to allow it") == 1
    assert (
        "way 1 (location us-east1) and way 2 (location us-west1): `machine_types` refuses it too"
    ) in done.because


def test_the_list_that_refuses_is_named_with_what_to_add() -> None:
    text = (CASES / "policies.yaml").read_text()
    lists = "limits: {accelerators: [NVIDIA_L4], machine_types: [g2-*], "
    found = Case.parse(json.loads((CASES / "device-memory.json").read_text()))
    file = load(text.replace("limits: {", lists)).require()
    done = plan(found, diagnose(found), file, History(), BOOK)
    assert done.refused_by == (Guard.MACHINE_TYPES, Guard.ACCELERATORS)
    assert 'add "a2-ultragpu-8g" to `limits.machine_types`' in done.because
    assert 'add "NVIDIA_A100_80GB" to `limits.accelerators`' in done.because


# --- what a message said that it wanted ------------------------------------------------------------


def wants(gib: float, *, device: bool = False) -> Needs:
    said = Evidence(Source.LOG, "line", f"Unable to allocate {gib:g} GiB")
    return Needs(wanted=Wanted(gib * GIB, device, said))


@pytest.mark.parametrize("step", ["sized", "more_memory"])
@pytest.mark.parametrize("gib", [7454.72, 4000.0])
def test_what_no_machine_has_is_not_run_for(step: str, gib: float) -> None:
    text = ladder(f"{{machine_type: {step}}}")
    done = made(job(CUSTOM), text, Cause.MEMORY_PRESSURE, needs=wants(gib))
    assert (done.action, done.refused_by, done.request) == (
        Action.ALERT,
        (Guard.NO_MACHINE,),
        None,
    )
    assert "no machine has it" in done.because
    assert f"Unable to allocate {gib:g} GiB" in done.because


@pytest.mark.parametrize(
    ("step", "gib", "machine"),
    [
        ("sized", 20.0, "n1-highmem-8"),
        ("sized", 180.0, "n1-highmem-32"),
        ("more_memory", 20.0, "n1-standard-16"),
        ("more_memory", 300.0, "n1-highmem-64"),
        ("more_memory", 600.0, "m1-ultramem-40"),
    ],
)
def test_a_machine_is_bought_that_has_what_was_wanted(step: str, gib: float, machine: str) -> None:
    text = ladder(f"{{machine_type: {step}}}", limits='{machine_types: ["n1-*", "m1-*"]}')
    done = made(job(CUSTOM), text, Cause.MEMORY_PRESSURE, needs=wants(gib))
    assert [change.after for change in done.changes] == [machine]
    assert BOOK.machines[machine].memory_gib > gib


def test_a_small_piece_is_the_last_of_many_and_buys_clearly_more() -> None:
    text = ladder("{machine_type: sized}")
    done = made(job(CUSTOM), text, Cause.MEMORY_PRESSURE, needs=wants(0.001))
    (change,) = done.changes
    assert BOOK.machines[str(change.after)].memory_gib >= 1.25 * 30
    assert "the 30 GiB of n1-standard-8 were too little, times 1.25" in done.because


@pytest.mark.parametrize("step", ["{accelerator: more_memory}", "{machine_type: sized}"])
def test_what_no_device_holds_is_refused_for_that_alone(step: str) -> None:
    """No list need be widened for a machine that would not hold it either."""
    held = on(CUSTOM, Hardware("g2-standard-8", "NVIDIA_L4", 1))
    limits = "{accelerators: [NVIDIA_L4], machine_types: ['g2-*']}"
    done = made(
        held, ladder(step, limits=limits), Cause.GPU_MEMORY, needs=wants(900.0, device=True)
    )
    assert (done.action, done.refused_by) == (Action.ALERT, (Guard.NO_MACHINE,))
    assert "no device has it: 900 GiB were wanted in one piece" in done.because


@pytest.mark.parametrize(
    ("gib", "device"),
    [(16.0, "NVIDIA_L4"), (32.0, "NVIDIA_TESLA_A100"), (60.0, "NVIDIA_A100_80GB")],
)
def test_a_device_is_taken_that_holds_what_was_wanted_at_once(gib: float, device: str) -> None:
    held = on(CUSTOM, Hardware("n1-standard-8", "NVIDIA_TESLA_T4", 1))
    needs = wants(gib, device=True)
    plan = made(held, ladder("{accelerator: more_memory}"), Cause.GPU_MEMORY, needs=needs)
    assert plan.action is Action.RESUBMIT
    assert device in {change.after for change in plan.changes}


@pytest.mark.parametrize(
    ("cause", "device"),
    [
        pytest.param(Cause.GPU_MEMORY, False, id="the-host-wanted-it"),
        pytest.param(Cause.MEMORY_PRESSURE, True, id="the-job-died-of-something-else"),
    ],
)
def test_the_next_device_is_taken_where_its_memory_was_not_what_failed(
    cause: Cause, device: bool
) -> None:
    held = on(CUSTOM, Hardware("n1-standard-8", "NVIDIA_TESLA_T4", 1))
    needs = wants(60.0, device=device)
    done = made(held, ladder("{accelerator: more_memory}"), cause, needs=needs)
    assert [one.after for one in done.changes] == ["g2-standard-8", "NVIDIA_L4"]


def test_a_device_that_holds_it_is_one_that_the_policy_allows() -> None:
    held = on(CUSTOM, Hardware("n1-standard-8", "NVIDIA_TESLA_T4", 1))
    limits = "{accelerators: [NVIDIA_TESLA_T4, NVIDIA_L4, NVIDIA_A100_80GB]}"
    text = ladder("{accelerator: more_memory}", limits=limits)
    done = made(held, text, Cause.GPU_MEMORY, needs=wants(32.0, device=True))
    assert done.refused_by == ()
    assert "NVIDIA_A100_80GB" in {change.after for change in done.changes}


def test_a_batch_is_cut_until_one_piece_fits() -> None:
    text = ladder("{machine_type: sized}")
    done = made(job(BATCH), text, Cause.MEMORY_PRESSURE, needs=wants(120.0))
    assert [(c.before, c.after) for c in done.changes] == [(None, 11)]
    absurd = made(job(BATCH), text, Cause.MEMORY_PRESSURE, needs=wants(7454.72))
    assert absurd.refused_by == (Guard.NO_MACHINE,)


def test_a_size_that_was_not_measured_is_called_the_machines() -> None:
    text = ladder("{machine_type: sized}")
    done = made(
        job(CUSTOM),
        text,
        Cause.MEMORY_PRESSURE,
        needs=Needs(peak_memory_gib=30.0, memory_is_lower_bound=True),
    )
    assert "the 30 GiB of n1-standard-8 were too little, times 1.5" in done.because
    assert "died at" not in done.because
    measured = Needs(peak_memory_gib=28.0, memory_is_lower_bound=True)
    told = made(job(CUSTOM), text, Cause.MEMORY_PRESSURE, needs=measured)
    assert "it died at 28 GiB, times 1.5" in told.because


@pytest.mark.parametrize(
    ("pools", "error", "told", "machines"),
    [
        (
            ("n1-highmem-32", "n1-standard-4"),
            "workerpool1-0 ran out of memory",
            "",
            (208, (22, 32)),
        ),
        (
            ("n1-highmem-32", "n1-standard-4"),
            "workerpool0-0 exited with a non-zero status of 1.",
            "Memory cgroup out of memory: Killed process 31 (python)",
            (208, (22, 32)),
        ),
        (
            ("n1-standard-4", "n1-highmem-16"),
            "workerpool1-0 ran out of memory",
            "",
            (15, (156, 208)),
        ),
        (
            ("n1-highmem-16", "n1-standard-4"),
            "workerpool0-0, workerpool1-0 ran out of memory",
            "",
            ((156, 208), (22, 32)),
        ),
    ],
)
def test_each_pool_is_sized_by_its_own_machine(
    pools: tuple[str, ...], error: str, told: str, machines: tuple[Any, ...]
) -> None:
    document = job(
        CUSTOM,
        jobSpec__workerPoolSpecs=[
            {
                "machineSpec": {"machineType": machine},
                "replicaCount": "1",
                "containerSpec": {"imageUri": f"gcr.io/p/{machine}"},
            }
            for machine in pools
        ],
        error={"code": 3, "message": f"The replica {error}"},
    )
    entry = {"resource": {"labels": {"task_name": "workerpool1-0"}}, "textPayload": told}
    body = case(document, logEntries=[entry] if told else [])
    answer = diagnose(body)
    assert answer.verdict is Cause.MEMORY_PRESSURE
    done = plan(body, answer, policies(ladder("{machine_type: sized}")), History(), BOOK)
    assert done.request
    after = [
        BOOK.machines[p.hardware.machine].memory_gib for p in Job(document.name, done.request).pools
    ]
    for gib, wanted in zip(after, machines, strict=True):
        low, high = wanted if isinstance(wanted, tuple) else (wanted, wanted)
        assert low <= gib <= high


def test_a_peak_of_another_pools_machine_sizes_nothing() -> None:
    seen = Needs(peak_memory_gib=200.0, memory_is_lower_bound=True)  # a machine of 30 GiB failed
    first = CUSTOM["jobSpec"]["workerPoolSpecs"][0]
    beside = {**first, "machineSpec": {"machineType": "n1-highmem-32"}}
    failed = {"code": 3, "message": "The replica workerpool0-0 ran out of memory"}
    document = job(CUSTOM, jobSpec__workerPoolSpecs=[first, beside], error=failed)
    done = made(document, ladder("{machine_type: sized}"), Cause.MEMORY_PRESSURE, needs=seen)
    assert "the 30 GiB of n1-standard-8 were too little, times 1.5" in done.because


# --- a program's own limit is no machine's --------------------------------------------------------


def limited(name: str, *, fixed: bool = True) -> Needs:
    said = Evidence(Source.LOG, "line", f"{name} reached")
    return Needs(own_limit=OwnLimit(name, 4 * GIB, fixed, said))


@pytest.mark.parametrize("step", ["sized", "more_memory", "bigger", "n1-highmem-16"])
def test_a_programs_own_limit_buys_no_machine(step: str) -> None:
    text = ladder(f"{{machine_type: {step}}}")
    done = made(job(CUSTOM), text, Cause.MEMORY_PRESSURE, needs=limited("the Java heap (-Xmx)"))
    assert (done.action, done.refused_by) == (Action.ALERT, (Guard.NO_MACHINE,))
    assert "the Java heap (-Xmx) of 4 GiB is the program's own limit" in done.because


def test_a_limit_that_follows_the_machine_is_raised_with_it() -> None:
    needs = limited("a quarter of the memory", fixed=False)
    done = made(
        job(CUSTOM), ladder("{machine_type: more_memory}"), Cause.MEMORY_PRESSURE, needs=needs
    )
    assert done.action is Action.RESUBMIT


def test_a_smaller_batch_is_tried_within_a_limit_but_for_shared_memory() -> None:
    text = ladder("{machine_type: sized}")
    heap = made(job(BATCH), text, Cause.MEMORY_PRESSURE, needs=limited("the Java heap"))
    assert [change.after for change in heap.changes] == [32]
    shared = made(
        job(BATCH), text, Cause.MEMORY_PRESSURE, needs=limited("shared memory (/dev/shm)")
    )
    assert shared.refused_by == (Guard.NO_MACHINE,)


# --- sized stays where the next steps can be taken -------------------------------------------------


def sized_machine(held: str, *later: str, limits: str = "{}") -> str:
    document = on(CUSTOM, Hardware(held))
    text = ladder("{machine_type: sized}", *later, limits=limits)
    done = made(document, text, Cause.CPU_SATURATION)
    return str(done.changes[0].after)


def test_sized_leaves_the_family_for_a_fifth_less() -> None:
    assert sized_machine("n1-standard-8") == "e2-standard-16"
    assert sized_machine("n2-standard-8", limits='{machine_types: ["n1-*", "n2-*"]}') == (
        "n2-standard-16"  # n1 costs all but the same
    )


@pytest.mark.parametrize(
    "later",
    ["{accelerator: {type: NVIDIA_TESLA_T4, count: 1}}", "{accelerator: bigger}"],
)
def test_sized_stays_on_n1_where_a_later_step_attaches_a_device(later: str) -> None:
    assert sized_machine("n1-standard-8", later) == "n1-standard-16"


def test_sized_stays_where_the_lists_let_the_next_step_go_on() -> None:
    lists = '{machine_types: ["n1-*", "e2-standard-16"]}'
    assert sized_machine("n1-standard-8", limits=lists) == "e2-standard-16"
    assert sized_machine("n1-standard-8", "{machine_type: bigger}", limits=lists) == (
        "n1-standard-16"
    )


# --- `timeout: sized` and `more_memory: {factor, at_most}` -----------------------------------------


def progressed(done: float, hours: float) -> Needs:
    said = Evidence(Source.LOG, "line", f"step {done * 1000:g}/1000")
    return Needs(progress=Progress(done, hours * 3600, said))


def timed(needs: Needs, limits: str = "{}", cause: Cause = Cause.UNKNOWN) -> Plan:
    return made(job(CUSTOM), ladder("{timeout: sized}", limits=limits), cause, needs=needs)


@pytest.mark.parametrize("cause", [Cause.UNKNOWN, Cause.CPU_SATURATION, Cause.PREEMPTION])
def test_progress_gives_the_time_that_is_needed_and_a_fifth_more(cause: Cause) -> None:
    done = timed(progressed(0.5, 2.0), cause=cause)
    (change,) = done.changes
    assert (change.before, change.after) == ("3600s", "8640s")  # 2.4 h where there was one
    assert "50% was done, so all of it takes 2 h (step 500/1000)" in done.because
    assert done.estimated_usd == pytest.approx(2 * 0.4638, abs=0.01)


@pytest.mark.parametrize(
    ("needs", "limits", "why"),
    [
        (Needs(), "{}", "the log tells no steady progress"),
        (progressed(0.9, 0.5), "{}", "the time-out of 1 h is long enough"),
        (progressed(0.01, 100.0), "{max_run: 3x}", "more than the 72 h that max_run"),
        (progressed(0.001, 1000.0), "{}", "more than the 168 h that max_run"),
    ],
)
def test_a_time_that_is_not_known_or_too_long_is_not_given(
    needs: Needs, limits: str, why: str
) -> None:
    done = timed(needs, limits)
    assert (done.action, done.changes) == (Action.ALERT, ())
    assert why in done.because


def test_the_headroom_ends_where_max_run_does() -> None:
    done = timed(progressed(0.1, 70.0), "{max_run: 3x}")
    assert [change.after for change in done.changes] == ["259200s"]  # 72 h, not 84


def test_more_time_is_held_against_the_money() -> None:
    done = timed(progressed(0.1, 70.0), "{usd_per_job: 10}")
    assert done.refused_by == (Guard.USD_PER_JOB,)


@pytest.mark.parametrize(
    ("held", "asked", "machine"),
    [
        ("n1-standard-8", "{factor: 3}", "n1-highmem-16"),
        ("n1-standard-8", "{factor: 1.5}", "n1-highmem-8"),
        ("n1-highmem-16", "{factor: 2, at_most: 256GiB}", "n1-highmem-32"),
        ("n1-highmem-32", "{factor: 1.1, at_most: 256GiB}", "n1-standard-64"),  # 240 GiB
        ("n1-highmem-64", "{factor: 2, at_most: 256GiB}", ""),
    ],
)
def test_more_memory_by_its_own_measure(held: str, asked: str, machine: str) -> None:
    document = on(CUSTOM, Hardware(held))
    text = ladder(f"{{machine_type: {{more_memory: {asked}}}}}", limits='{machine_types: ["n1-*"]}')
    done = made(document, text, Cause.MEMORY_PRESSURE)
    assert [change.after for change in done.changes] == [machine] * bool(machine)
    if not machine:
        assert (done.refused_by, done.step) == ((), 0)
        assert "n1-highmem-64 has 416 GiB, and at most 256 are asked for" in done.because


# --- the shipped policies -------------------------------------------------------------------------

SHIPPED = load((Path(__file__).parents[1] / "policies.yaml").read_text()).require()
INTERNAL = {"code": 13, "message": "Internal error occurred for the current attempt"}


def shipped_plan(body: dict[str, Any], *lines: tuple[str, str], **more: Any) -> Plan:
    """What the shipped policies would do about a failure with these (time, text) worker lines."""
    entries = [
        {
            "logName": "projects/p/logs/workerpool0-0",
            "resource": {"type": "ml_job", "labels": {"task_name": "workerpool0-0"}},
            "timestamp": at,
            "textPayload": said,
        }
        for at, said in lines
    ]
    found = Case.parse({"job": body, "logEntries": entries, **more})
    return plan(found, diagnose(found), SHIPPED, History(attempts=found.attempts), BOOK)


def ended(body: dict[str, Any], error: dict[str, Any], minutes: int) -> dict[str, Any]:
    end = {"endTime": f"2026-11-23T18:{minutes:02d}:00Z"} if minutes < 60 else {}
    return {**body, "error": error, **end}


def test_an_internal_error_at_once_is_tried_one_cheap_time() -> None:
    done = shipped_plan(ended(CUSTOM, INTERNAL, 5))
    assert (done.policy, done.changes, done.step) == ("internal-error", (), 1)
    assert done.not_before is not None
    before = {"name": CUSTOM["name"], "policy": "internal-error", "step": 1, "changes": [],
              "verdict": "transient_backend", "state": "JOB_STATE_FAILED"}  # fmt: skip
    again = shipped_plan(ended(CUSTOM, INTERNAL, 5), attempts=[before])
    assert again.request is None


@pytest.mark.parametrize(
    ("body", "minutes", "lines"),
    [
        (CUSTOM, 15, ()),
        (CUSTOM, 5, (("2026-11-23T18:03:00Z", "loading the model"),)),
        (BATCH, 5, ()),
        (TRAINING, 5, ()),
        (PIPELINE, 5, ()),
    ],
    ids=["ran for a while", "said something", "batch", "training pipeline", "pipeline"],
)
def test_any_other_internal_error_is_not(
    body: dict[str, Any], minutes: int, lines: tuple[tuple[str, str], ...]
) -> None:
    assert shipped_plan(ended(body, INTERNAL, minutes), *lines).policy != "internal-error"


def test_a_dear_job_is_not_tried_for_an_ambiguous_error() -> None:
    many = {**CUSTOM["jobSpec"]["workerPoolSpecs"][0], "replicaCount": "400"}
    body = ended(CUSTOM, INTERNAL, 9)
    body["jobSpec"] = {**CUSTOM["jobSpec"], "workerPoolSpecs": [many]}
    done = shipped_plan(body)
    assert done.request is None
    assert "more than its max_usd of $5.00" in done.because


def test_a_job_cut_while_it_worked_is_given_the_time_it_needs() -> None:
    lines = [
        (f"2026-11-23T18:{minute:02d}:00Z", f"step {minute * 10}/1000 loss 0.{minute}")
        for minute in range(2, 60, 4)
    ]
    cut = {"code": 4, "message": "The job was stopped: it exceeded its timeout of 3600s."}
    done = shipped_plan(ended(CUSTOM, cut, 60), *lines)
    (change,) = done.changes
    assert change.field == "jobSpec.scheduling.timeout"
    assert float(str(change.after).rstrip("s")) == pytest.approx(1.2 * 6000, rel=0.03)


def test_the_nearest_region_is_next() -> None:
    body = {**CUSTOM, "name": CUSTOM["name"].replace("us-central1", "europe-west4")}
    found = Case.parse(
        {"job": body, "buckets": {"genomes": {"location": "EU"}, "results": {"location": "EU"}}}
    )
    file = policies(ladder("{location: next}"))
    done = plan(found, diagnosis(found.job, Cause.CAPACITY_STOCKOUT), file, History(), BOOK)
    assert done.location.startswith("europe-")


@pytest.mark.parametrize(
    ("limits", "moves"),
    [("{}", False), ('{locations: ["*"]}', False), ('{locations: ["asia-*", "us-*"]}', True)],
)
def test_next_leaves_a_part_of_the_world_only_where_the_file_names_another(
    limits: str, moves: bool
) -> None:
    """Nothing is known of what a program opens by itself."""
    body = {**CUSTOM, "name": CUSTOM["name"].replace("us-central1", "me-central2")}
    (held,) = CUSTOM["jobSpec"]["workerPoolSpecs"]
    silent = {**held, "containerSpec": {"imageUri": "us-docker.pkg.dev/p/r/t:1"}}
    body["jobSpec"] = {"workerPoolSpecs": [silent]}
    found = Case.parse({"job": body})
    file = policies(ladder("{location: next}", limits=limits))
    done = plan(found, diagnosis(found.job, Cause.CAPACITY_STOCKOUT), file, History(), BOOK)
    assert bool(done.location) is moves or done.location.startswith("me-")


@pytest.mark.parametrize(
    ("document", "step", "lack"),
    [
        (on(CUSTOM, Hardware("n1-highmem-96", "NVIDIA_TESLA_T4", 4)), "{machine_type: bigger}", Lack.LARGER_MACHINE),
        (on(CUSTOM, Hardware("n1-highmem-96", "NVIDIA_TESLA_T4", 4)), "{machine_type: more_memory}", Lack.LARGER_MACHINE),
        (job({**CUSTOM, "jobSpec": {"workerPoolSpecs": []}}), "{machine_type: bigger}", None),
        (job(CUSTOM), "{machine_type: x9-standard-8}", None),
    ],
)  # fmt: skip
def test_a_refusal_says_what_is_lacking_as_a_fact(
    document: Job, step: str, lack: Lack | None
) -> None:
    done = made(document, ladder(step), Cause.MEMORY_PRESSURE)
    assert done.refused_by[:1] == (Guard.INCOMPATIBLE,)
    assert done.refusals[0].lack is lack


def test_less_than_asked_that_is_allowed_comes_before_more_that_is_not() -> None:
    document = on(CUSTOM, Hardware("n1-highmem-64"))
    lists = '{machine_types: ["n1-*", "n2-*"]}'
    done = made(
        document, ladder("{machine_type: more_memory}", limits=lists), Cause.MEMORY_PRESSURE
    )
    assert [change.after for change in done.changes] == ["n2-highmem-80"]  # 640 GiB, not 832
    assert "640 GiB is the most that may be had, not 832" in done.because


def test_an_accelerator_that_is_missing_is_not_one_that_is_taken_away() -> None:
    step = "{accelerator: {type: NVIDIA_TESLA_T4, count: 1}}"
    has = on(CUSTOM, Hardware("g2-standard-24", "NVIDIA_L4", 2))
    done = made(has, ladder(step), Cause.ACCELERATOR_MISSING)
    assert (done.action, done.step) == (Action.ALERT, 0)
    assert "the job has 2 NVIDIA_L4 already, and 1 NVIDIA_TESLA_T4 would be less" in done.because
    # for any other cause the policy has named it, and it is done
    named = made(has, ladder(step), Cause.CPU_SATURATION)
    assert named.action is Action.RESUBMIT


def test_a_disk_that_was_full_is_not_made_smaller() -> None:
    body = {**CUSTOM, "jobSpec": json.loads(json.dumps(CUSTOM["jobSpec"]))}
    body["jobSpec"]["workerPoolSpecs"][0]["diskSpec"] = {"bootDiskSizeGb": 100}
    smaller = made(job(body), ladder("{disk: 50GB}"), Cause.DISK_FULL)
    assert (smaller.action, smaller.changes) == (Action.ALERT, ())
    larger = made(job(body), ladder("{disk: 50GB}", "{disk: double}"), Cause.DISK_FULL)
    assert [change.after for change in larger.changes] == [200]
