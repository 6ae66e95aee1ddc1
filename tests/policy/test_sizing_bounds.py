"""`sized` at its bounds: the stated headrooms, times and shares, on machines of n1 alone.

n1-highmem-8 has 8 vCPUs and 52 GiB, n1-standard-16 16 and 60, n1-highmem-16 16 and 104; the failed jobs
ran on n1-standard-8 with 8 and 30.
"""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from remediator.catalog.catalog import Catalog, Hardware, NoHardware
from remediator.domain import Cause, Change, Evidence, History, Needs, OwnLimit, Source, Wanted
from remediator.planning import similar_sizes, sizing
from remediator.policy.model import Limits
from tests.jobs import BATCH, CUSTOM, PIPELINE, attempt, case, diagnosis, job

BOOK = Catalog.built_in()
N1 = Limits(machine_types=("n1-*",))
SAID = Evidence(Source.LOG, "line", "Unable to allocate it")
GIB = 1024.0**3
BATCH_SIZE = "manualBatchTuningParameters__batchSize"


def _choice(
    cause: Cause,
    needs: Needs | None = None,
    *,
    body: dict[str, Any] = CUSTOM,
    history: History | None = None,
    limits: Limits = N1,
    earlier: tuple[dict[str, Any], ...] = (),
    **changes: Any,
) -> sizing.Choice | NoHardware:
    document = job(body, **changes)
    found = case(document, earlierJobs=list(earlier)) if earlier else case(document)
    pools = found.job.pools
    verdict = diagnosis(document, cause, needs=needs)
    place, service = found.job.name.location, found.job.service
    return sizing.choose(found, verdict, history or History(), BOOK, limits, pools, service, place)


def _machine(*asked: Any, **more: Any) -> str:
    choice = _choice(*asked, **more)
    assert isinstance(choice, sizing.Choice), choice
    assert choice.batch_size is None
    assert choice.hardware is not None
    return str(choice.hardware)


def _batch(*asked: Any, **more: Any) -> int:
    choice = _choice(*asked, **{"body": BATCH, **more})
    assert isinstance(choice, sizing.Choice), choice
    assert choice.hardware is None
    assert choice.batch_size is not None
    return choice.batch_size


# --- memory ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("peak", "bound", "machine"),
    [
        (24.0, False, "n1-highmem-8"),
        (41.6, False, "n1-highmem-8"),  # times 1.25: 52
        (41.61, False, "n1-standard-16"),
        (48.0, False, "n1-standard-16"),  # 60
        (48.01, False, "n1-highmem-16"),
        (34.6, True, "n1-highmem-8"),  # times 1.5: 51.9
        (34.7, True, "n1-standard-16"),
        (40.0, True, "n1-standard-16"),
        (40.01, True, "n1-highmem-16"),
        (None, False, "n1-highmem-8"),  # the machine's own 30, times 1.5
        (1.0, False, "n1-highmem-8"),  # never less than it had
    ],
)
def test_headroom_over_the_peak(peak: float | None, bound: bool, machine: str) -> None:
    needs = Needs(peak_memory_gib=peak, memory_is_lower_bound=bound)
    assert _machine(Cause.MEMORY_PRESSURE, needs) == machine


def _wants(gib: float, *, device: bool = False) -> Wanted:
    return Wanted(gib * GIB, device, SAID)


@pytest.mark.parametrize(
    ("wanted", "machine"),
    [
        (10.0, "n1-highmem-8"),  # 45 is what the machine's size says, and 30 + 11 would do
        (47.2, "n1-highmem-8"),  # times 1.1: 51.92
        (47.3, "n1-standard-16"),
        (94.5, "n1-highmem-16"),  # 103.95
        (94.6, "n1-standard-32"),  # 120
    ],
)
def test_headroom_over_one_piece_that_was_wanted(wanted: float, machine: str) -> None:
    assert _machine(Cause.MEMORY_PRESSURE, Needs(wanted=_wants(wanted))) == machine


def test_a_piece_that_no_machine_has_is_not_chased() -> None:
    choice = _choice(Cause.MEMORY_PRESSURE, Needs(wanted=_wants(100_000.0)))
    assert isinstance(choice, NoHardware)
    assert choice.too_much
    assert "100,000 GiB were wanted" in choice.why
    device = _machine(Cause.MEMORY_PRESSURE, Needs(wanted=_wants(100_000.0, device=True)))
    assert device == "n1-highmem-8"  # what the device wanted says nothing of the host


@pytest.mark.parametrize(("batch", "smaller"), [(2, 1), (3, 1), (5, 2), (64, 32), (None, 32)])
@pytest.mark.parametrize("cause", [Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY])
def test_a_batch_is_halved_first(cause: Cause, batch: int | None, smaller: int) -> None:
    assert _batch(cause, **{BATCH_SIZE: batch}) == smaller


def test_a_batch_of_one_cannot_be_halved() -> None:
    assert _machine(Cause.MEMORY_PRESSURE, body=BATCH, **{BATCH_SIZE: 1}) == "n1-highmem-8"


@pytest.mark.parametrize(
    ("wanted", "batch"),
    [
        (10.0, 32),  # all 64 would fit into 0.7 of 30, so half
        (42.0, 32),  # 64 x 21 / 42
        (42.5, 31),
        (84.0, 16),
        (1344.0, 1),  # 64 x 21 / 1344
    ],
)
def test_as_many_of_a_batch_as_fit(wanted: float, batch: int) -> None:
    assert _batch(Cause.MEMORY_PRESSURE, Needs(wanted=_wants(wanted))) == batch


def test_where_not_even_one_of_a_batch_fits_nothing_does() -> None:
    choice = _choice(Cause.MEMORY_PRESSURE, Needs(wanted=_wants(1345.0)), body=BATCH)
    assert isinstance(choice, NoHardware)
    assert choice.too_much


def _halved(verdict: str) -> History:
    made = attempt("p", number=1)
    change = Change("manualBatchTuningParameters.batchSize", 64, 32)
    return History(attempts=(replace(made, verdict=verdict, changes=(change,)),))


def test_a_batch_that_was_halved_for_nothing_is_not_halved_again() -> None:
    again = _halved("memory_pressure")
    assert _machine(Cause.MEMORY_PRESSURE, body=BATCH, history=again) == "n1-highmem-8"
    assert _batch(Cause.MEMORY_PRESSURE, history=_halved("quota")) == 32
    other = History(attempts=(attempt("p", number=1),))
    assert _batch(Cause.MEMORY_PRESSURE, history=other) == 32


@pytest.mark.parametrize(
    ("name", "fixed", "body", "way"),
    [
        ("the Java heap", True, CUSTOM, "none"),
        ("the Java heap", False, CUSTOM, "machine"),
        ("the Java heap", True, BATCH, "batch"),
        ("/dev/shm shared memory", True, BATCH, "none"),
        ("/dev/shm shared memory", False, BATCH, "batch"),
    ],
)
def test_a_limit_of_the_programs_own(
    name: str, fixed: bool, body: dict[str, Any], way: str
) -> None:
    needs = Needs(own_limit=OwnLimit(name, 2 * GIB, fixed, SAID))
    choice = _choice(Cause.MEMORY_PRESSURE, needs, body=body)
    if way == "none":
        assert isinstance(choice, NoHardware)
        assert choice.too_much
        assert f"{name} of 2 GiB is the program's own limit" in choice.why
        return
    assert isinstance(choice, sizing.Choice)
    assert (choice.batch_size is not None) is (way == "batch")


@pytest.mark.parametrize(
    ("verdict", "field", "machine"),
    [
        ("memory_pressure", "jobSpec.workerPoolSpecs[0].machineSpec.machineType", "n1-standard-16"),
        ("memory_pressure", "jobSpec.scheduling.timeout", "n1-highmem-8"),
        ("quota", "jobSpec.workerPoolSpecs[0].machineSpec.machineType", "n1-highmem-8"),
    ],
)
def test_a_machine_that_was_too_little_for_the_second_time_is_doubled(
    verdict: str, field: str, machine: str
) -> None:
    changes = (Change(field, "before", "after"),)
    made = replace(attempt("p", number=1), verdict=verdict, changes=changes)
    assert _machine(Cause.MEMORY_PRESSURE, history=History(attempts=(made,))) == machine


# --- time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("done", "machine"),
    [
        (None, "n1-standard-16"),  # twice
        (0.625, "n1-standard-16"),  # an hour of 0.8: 8 x 1.25 / 0.625
        (0.62, "n1-standard-32"),
        (0.3125, "n1-standard-32"),
        (0.31, "n1-highcpu-64"),  # 57.6 GiB, and cheaper than n1-standard-64
        (1.0, "n1-standard-16"),  # 10 vCPUs
        (5.0, "n1-standard-16"),
    ],
)
def test_vcpus_for_the_work_that_was_left(done: float | None, machine: str) -> None:
    assert _machine(Cause.CPU_SATURATION, Needs(work_done=done)) == machine


def test_without_the_time_that_it_ran_the_work_done_says_nothing() -> None:
    bare = {"startTime": None, "createTime": None}
    assert _machine(Cause.CPU_SATURATION, Needs(work_done=0.1), **bare) == "n1-standard-16"


@pytest.mark.parametrize(
    ("seconds", "batch"),
    [
        (None, 16),  # twice the limit is assumed, and half of it aimed at
        (1.2, 16),  # refused long before its time, for its bytes: nobody says by how much
        (299.9, 16),
        (300.0, 32),
        (593.9, 32),
        (594.0, 16),  # as good as the limit
        (1000.0, 16),
    ],
)
def test_a_batch_for_the_time_of_one_request(seconds: float | None, batch: int) -> None:
    assert _batch(Cause.REQUEST_TOO_LARGE, Needs(request_seconds=seconds)) == batch


def test_one_instance_that_takes_too_long_gets_a_bigger_machine() -> None:
    machine = _machine(Cause.REQUEST_TOO_LARGE, body=BATCH, **{BATCH_SIZE: 1})
    assert machine == "n1-standard-16"
    assert _machine(Cause.SLOW_STARTUP) == "n1-standard-16"


@pytest.mark.parametrize(
    ("seconds", "batch"), [(600.03, 16), (594.0, 16), (593.9, None), (None, None)]
)
def test_a_request_that_full_cpus_do_not_end_in_time_is_made_smaller(
    seconds: float | None, batch: int | None
) -> None:
    needs = Needs(request_seconds=seconds)
    if batch is not None:
        assert _batch(Cause.CPU_SATURATION, needs) == batch
    else:
        assert _machine(Cause.CPU_SATURATION, needs, body=BATCH) == "n1-standard-16"
    alone = _machine(Cause.CPU_SATURATION, needs, body=BATCH, **{BATCH_SIZE: 1})
    assert alone == "n1-standard-16"


_FUTURE = {"dedicatedResources__machineSpec__machineType": "n9-future-8"}


@pytest.mark.parametrize(
    ("cause", "batch"),
    [(Cause.REQUEST_TOO_LARGE, 16), (Cause.MEMORY_PRESSURE, 32), (Cause.GPU_MEMORY, 32)],
)
def test_a_smaller_batch_needs_no_machine_that_is_known(cause: Cause, batch: int) -> None:
    assert _batch(cause, limits=Limits(), **_FUTURE) == batch
    for why in (
        _choice(cause, body=BATCH, limits=Limits(), **_FUTURE, **{BATCH_SIZE: 1}),
        _choice(Cause.CPU_SATURATION, body=BATCH, limits=Limits(), **_FUTURE),
    ):
        assert isinstance(why, NoHardware)
        assert "n9-future-8 is not in the catalogue" in why.why


@pytest.mark.parametrize("cause", [Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY])
def test_a_batch_that_was_halved_for_nothing_is_not_halved_again_on_a_machine_that_nobody_knows(
    cause: Cause,
) -> None:
    why = _choice(cause, body=BATCH, history=_halved(cause.value), limits=Limits(), **_FUTURE)
    assert isinstance(why, NoHardware)


# --- lists -------------------------------------------------------------------------------------------

_C3 = {"dedicatedResources__machineSpec__machineType": "c3-highcpu-8"}


@pytest.mark.parametrize(
    ("cause", "batch"),
    [(Cause.MEMORY_PRESSURE, 32), (Cause.REQUEST_TOO_LARGE, 16)],
)
def test_a_smaller_batch_goes_to_a_machine_that_the_lists_allow(cause: Cause, batch: int) -> None:
    choice = _choice(cause, body=BATCH, limits=Limits(machine_types=("n1-*", "e2-*")), **_C3)
    assert isinstance(choice, sizing.Choice)
    assert (choice.batch_size, str(choice.hardware)) == (batch, "e2-standard-8")  # 8 vCPUs, 32 GiB
    assert "c3-highcpu-8 is on no list of the policies" in " ".join(choice.notes)


@pytest.mark.parametrize("lists", [("c3-*",), ("e2-standard-2",), None])
def test_a_smaller_batch_stays_where_the_lists_allow_or_name_nothing_as_large(
    lists: tuple[str, ...] | None,
) -> None:
    limits = Limits(machine_types=lists)
    assert _batch(Cause.MEMORY_PRESSURE, limits=limits, **_C3) == 32


# --- devices -----------------------------------------------------------------------------------------


def test_devices() -> None:
    assert _machine(Cause.ACCELERATOR_MISSING) == "n1-standard-8 + 1 NVIDIA_TESLA_T4"
    built_in = {"jobSpec__workerPoolSpecs[0]__machineSpec__machineType": "a2-highgpu-1g"}
    choice = _choice(Cause.SLOW_STARTUP, **built_in)
    assert isinstance(choice, NoHardware)
    bare = _choice(Cause.GPU_MEMORY)
    assert isinstance(bare, NoHardware)


def test_what_says_nothing_about_a_size_gives_none() -> None:
    for cause in (Cause.QUOTA, Cause.USER_CODE_ERROR, Cause.NETWORK_LATENCY, Cause.UNKNOWN):
        assert isinstance(_choice(cause), NoHardware)
    unknown = {"jobSpec__workerPoolSpecs[0]__machineSpec__machineType": "n9-future-8"}
    assert isinstance(_choice(Cause.MEMORY_PRESSURE, **unknown), NoHardware)


# --- what worked before ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "worked", "taken"),
    [
        (Cause.MEMORY_PRESSURE, {"machineType": "n1-highmem-16"}, "n1-highmem-16"),
        (Cause.MEMORY_PRESSURE, {"machineType": "n1-standard-8"}, None),
        (Cause.MEMORY_PRESSURE, {"machineType": "n1-highmem-4"}, None),  # fewer vCPUs, less memory
        (Cause.MEMORY_PRESSURE, {"machineType": "n1-highcpu-32"}, None),  # 28.8 GiB
        (Cause.MEMORY_PRESSURE, {"machineType": "e2-highmem-16"}, None),  # not among n1-*
        (Cause.MEMORY_PRESSURE, {"machineType": "n9-future-8"}, None),
        (Cause.MEMORY_PRESSURE, {}, None),
        (Cause.CPU_SATURATION, {"machineType": "n1-standard-32"}, "n1-standard-32"),
        (Cause.CPU_SATURATION, {"machineType": "n1-highmem-8"}, None),  # no more vCPUs
        (Cause.SLOW_STARTUP, {"machineType": "n1-standard-64"}, "n1-standard-64"),
        (
            Cause.ACCELERATOR_MISSING,
            {
                "machineType": "n1-standard-8",
                "acceleratorType": "NVIDIA_TESLA_V100",
                "acceleratorCount": 2,
            },
            "n1-standard-8 + 2 NVIDIA_TESLA_V100",
        ),
        (
            Cause.MEMORY_PRESSURE,  # devices stay as they are for host memory
            {
                "machineType": "n1-highmem-16",
                "acceleratorType": "NVIDIA_TESLA_V100",
                "acceleratorCount": 2,
            },
            None,
        ),
    ],
)
def test_a_size_that_worked_is_taken_where_it_has_more_of_what_was_short(
    cause: Cause, worked: dict[str, Any], taken: str | None
) -> None:
    history = History(sizes_that_worked=(worked,))
    choice = _choice(cause, history=history)
    assert isinstance(choice, sizing.Choice)
    known = any("a similar job succeeded" in note for note in choice.notes)
    assert known is (taken is not None)
    if taken:
        assert str(choice.hardware) == taken
    document = job(CUSTOM)
    wanted = similar_sizes.is_remedy(worked, case(document).job, cause, BOOK)
    assert wanted or taken is None


@pytest.mark.parametrize(
    ("cause", "size", "batch"),
    [
        (Cause.MEMORY_PRESSURE, 8, 8),
        (Cause.GPU_MEMORY, 63, 63),
        (Cause.REQUEST_TOO_LARGE, 1, 1),
        (Cause.MEMORY_PRESSURE, 64, None),
        (Cause.MEMORY_PRESSURE, 0, None),
        (Cause.SLOW_STARTUP, 8, None),
    ],
)
def test_a_batch_that_worked_is_taken_where_it_is_smaller(
    cause: Cause, size: int, batch: int | None
) -> None:
    history = History(sizes_that_worked=({"machineType": "n1-standard-8", "batchSize": size},))
    choice = _choice(cause, body=BATCH, history=history)
    assert isinstance(choice, sizing.Choice)
    known = any("a similar job succeeded" in note for note in choice.notes)
    assert known is (batch is not None)
    if batch:
        assert (choice.batch_size, choice.hardware) == (batch, None)


def test_the_first_size_that_is_a_remedy_is_taken() -> None:
    sizes = (
        {"machineType": "n1-standard-8"},
        {"machineType": "n1-highmem-32"},
        {"machineType": "n1-highmem-16"},
    )
    history = History(sizes_that_worked=sizes)
    assert _machine(Cause.MEMORY_PRESSURE, history=history) == "n1-highmem-32"


def test_a_size_in_the_form_in_which_it_is_kept() -> None:
    machine = "jobSpec__workerPoolSpecs[0]__machineSpec"
    with_devices = job(
        CUSTOM,
        **{f"{machine}__acceleratorType": "NVIDIA_TESLA_T4", f"{machine}__acceleratorCount": 2},
    )
    assert similar_sizes.size_of(case(with_devices).job) == {
        "machineType": "n1-standard-8",
        "replicas": 1,
        "acceleratorType": "NVIDIA_TESLA_T4",
        "acceleratorCount": 2,
    }
    batch = job(BATCH, **{BATCH_SIZE: 16})
    assert similar_sizes.size_of(case(batch).job) == {
        "machineType": "n1-standard-8",
        "replicas": 2,
        "batchSize": 16,
    }
    assert similar_sizes.size_of(case(job(PIPELINE)).job) == {}
    words = similar_sizes.words_of({"machineType": "g2-standard-8", "batchSize": 16})
    assert words == "g2-standard-8, a batch of 16"


@pytest.mark.parametrize(
    ("limits", "hardware", "permitted"),
    [
        (Limits(), Hardware("n1-standard-8"), True),
        (Limits(machine_types=("n2-*",)), Hardware("n1-standard-8"), False),
        (Limits(accelerators=()), Hardware("n1-standard-8"), True),
        (Limits(accelerators=()), Hardware("n1-standard-8", "NVIDIA_TESLA_T4", 1), False),
        (
            Limits(accelerators=("NVIDIA_*",), machine_types=("n1-*",)),
            Hardware("n1-standard-8", "NVIDIA_TESLA_T4", 1),
            True,
        ),
    ],
)
def test_what_the_lists_of_the_file_permit(
    limits: Limits, hardware: Hardware, permitted: bool
) -> None:
    assert sizing.is_permitted(hardware, limits) is permitted


@pytest.mark.parametrize(
    ("peak", "bound", "machine"),
    [(24.5, False, "e2-highmem-4"), (21.0, True, "e2-standard-8")],
)
def test_fewer_vcpus_are_taken_only_where_the_peak_was_measured(
    peak: float, bound: bool, machine: str
) -> None:
    """Of a run that died nobody knows what its vCPUs would have done."""
    needs = Needs(peak_memory_gib=peak, memory_is_lower_bound=bound)
    assert _machine(Cause.MEMORY_PRESSURE, needs, limits=Limits(machine_types=("e2-*",))) == machine
