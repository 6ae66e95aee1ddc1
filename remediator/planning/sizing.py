"""`sized`: the cheapest change that the evidence says will do.

Owns the arithmetic from what was observed (peak memory, what a message wanted, CPU fullness and work
done, the time of one request, sizes on which similar jobs succeeded) to a size, with its stated
headroom. A smaller batch is free, a bigger machine is not. Must not weigh money limits. Called by
`steps` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from remediator.case import Case
from remediator.catalog import growth
from remediator.catalog.catalog import Catalog, Hardware, Moved, NoHardware, Service
from remediator.catalog.growth import Ground
from remediator.catalog.machines import MachineType
from remediator.domain import Cause, Diagnosis, History, JobState
from remediator.domain.numbers import gib_words
from remediator.job import DEFAULT_BATCH_SIZE, Pool
from remediator.planning import device_memory, similar_sizes
from remediator.policy.model import Limits
from remediator.policy.selection import matches_any

REQUEST_LIMIT_SECONDS = 600.0  # one request of a batch prediction, Vertex's own
HEADROOM = 1.25  # over an observed peak
HEADROOM_OVER_BOUND = 1.5  # over a peak at which the job died: what it wanted is not known
HEADROOM_OVER_BOUND_AGAIN = 2.0  # the same, once a smaller step did not do; chosen as `more_memory`
HEADROOM_OVER_WANTED = 1.1  # over one piece that a message says was wanted: there were others
BATCH_SHARE = (
    0.7  # of the memory that one piece of a batch may be: the rest is what it is made from
)
_NEARLY = 0.99  # of the limit of a request, from which it was cut off by it; chosen
_UNKNOWN_EXCESS = 4.0  # times too large, where nobody says by how much: a few steps reach 1; chosen
DEADLINE_SHARE = 0.8  # of a time-out that the work should fill at most


class Choice(Struct, frozen=True):
    """A new size; None: that part stays."""

    hardware: Hardware | None = None
    batch_size: int | None = None
    notes: tuple[str, ...] = ()


class _Sizing(Struct, frozen=True):
    case: Case
    diagnosis: Diagnosis
    history: History
    catalog: Catalog
    limits: Limits
    held: Hardware
    service: Service
    region: str
    goes_on: Callable[[Hardware], bool]

    @property
    def batch(self) -> int | None:
        return self.case.job.batch_size

    @property
    def smaller_batch_failed(self) -> bool:
        """The attempt before had a smaller batch for this very cause, and ended by it all the same."""
        last = self.history.attempts[-1] if self.history.attempts else None
        return (
            last is not None
            and last.verdict == self.diagnosis.verdict
            and any(change.field.endswith(".batchSize") for change in last.changes)
        )

    @property
    def was_moved(self) -> bool:
        """An attempt of this chain was given other hardware for this very cause, and the job ended by it all the
        same."""
        return any(
            one.verdict == self.diagnosis.verdict
            and any(change.field.endswith(_HARDWARE_FIELDS) for change in one.changes)
            for one in self.history.attempts
        )

    @property
    def more_devices_failed(self) -> bool:
        """An attempt of this chain was given more devices for this very cause, and ended by it all the same."""
        return any(
            one.verdict == self.diagnosis.verdict
            and any(change.field.endswith(".acceleratorCount") for change in one.changes)
            for one in self.history.attempts
        )

    @property
    def was_given_its_device(self) -> bool:
        """The job had no accelerator: an attempt of this chain has put it there."""
        changes = (change for one in self.history.attempts for change in one.changes)
        return any(
            change.field.endswith(".acceleratorType") and change.before in _NO_ACCELERATOR
            for change in changes
        )

    def allowed(self, hardware: Hardware) -> bool:
        return (
            is_permitted(hardware, self.limits)
            and self.catalog.offered(hardware, self.region, self.service) is not False
        )

    @property
    def ground(self) -> Ground:
        permitted = lambda hardware: is_permitted(hardware, self.limits)  # noqa: E731  # one expression
        return Ground(self.catalog, self.held, self.service, self.region, permitted)


def is_permitted(hardware: Hardware, limits: Limits) -> bool:
    """Whether the lists of the policy file let the hardware be chosen."""
    machines, devices = limits.machine_types, limits.accelerators
    return (machines is None or matches_any(machines, hardware.machine)) and (
        devices is None or not hardware.accelerator or matches_any(devices, hardware.accelerator)
    )


def wanted_gib(diagnosis: Diagnosis) -> float | None:
    """What a message says was wanted of host memory in one piece, GiB; None where none says so."""
    wanted = diagnosis.needs.wanted
    return wanted.bytes / _GIB if wanted is not None and not wanted.device else None


_GIB = 1024.0**3
_HARDWARE_FIELDS = (".machineType", ".acceleratorType", ".acceleratorCount")
_NO_ACCELERATOR = (None, "", "ACCELERATOR_TYPE_UNSPECIFIED")


def own_limit_words(diagnosis: Diagnosis) -> str:
    """Why no machine fixes it: the program's own limit; empty where there is none such."""
    limit = diagnosis.needs.own_limit
    if limit is None or not limit.fixed:
        return ""
    size = f" of {limit.bytes / _GIB:.3g} GiB" if limit.bytes else ""
    return (
        f"{limit.name}{size} is the program's own limit, which no machine changes "
        f"({limit.evidence.says})"
    )


def choose(
    case: Case,
    diagnosis: Diagnosis,
    history: History,
    catalog: Catalog,
    limits: Limits,
    pools: tuple[Pool, ...],
    service: Service,
    region: str,
    goes_on: Callable[[Hardware], bool] = lambda _: True,
) -> Choice | NoHardware:
    """The cheapest change that will do, or why the evidence does not name one.

    `region` is where the job is to run; `goes_on`: whether the policy's next steps can still be taken
    from a machine.
    """
    held = pools[0].hardware
    sizing = _Sizing(case, diagnosis, history, catalog, limits, held, service, region, goes_on)
    if catalog.machine(held.machine) is None:
        return _of_unknown_machine(sizing)
    way = _BY_CAUSE.get(diagnosis.verdict)
    if way is None:
        return NoHardware(f"{diagnosis.verdict.value} says nothing about the size that is needed")
    choice = _known_to_work(sizing) or way(sizing)
    return choice if isinstance(choice, NoHardware) else _within_lists(choice, sizing)


def _of_unknown_machine(sizing: _Sizing) -> Choice | NoHardware:
    """A smaller batch needs nothing to be known of the machine."""
    batch, verdict = (sizing.batch or 0) > 1, sizing.diagnosis.verdict
    if batch and verdict is Cause.REQUEST_TOO_LARGE:
        return _request(sizing)
    in_vain = sizing.smaller_batch_failed or own_limit_words(sizing.diagnosis)
    if batch and verdict in {Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY} and not in_vain:
        return _smaller_batch(sizing, 2)
    machine = sizing.held.machine
    return NoHardware(f"{machine} is not in the catalogue, so nothing can be sized from it")


def _within_lists(choice: Choice, sizing: _Sizing) -> Choice:
    """The choice on a machine that the lists allow, with the job's own devices, where its own is on none
    of them; as it is where there is no such machine, so that the guard says which list is short."""
    if choice.hardware is not None or is_permitted(sizing.held, sizing.limits):
        return choice
    ground = sizing.ground
    kind = ground.kind
    moved = growth.cheapest_with(
        ground, vcpus=kind.vcpus, memory_gib=kind.memory_gib, goes_on=sizing.goes_on
    )
    if moved is None or not sizing.allowed(moved.hardware):
        return choice
    said = (
        f"{kind.name} is on no list of the policies, and {moved.hardware} has no less of anything"
    )
    return Choice(moved.hardware, choice.batch_size, (*choice.notes, said, *moved.notes))


# --- what worked before ---------------------------------------------------------------------------


def _known_to_work(sizing: _Sizing) -> Choice | None:
    """A size on which a similar job succeeded, where it has more of what the verdict asks for."""
    earlier = [
        similar_sizes.size_of(job) for job in sizing.case.earlier if job.state is JobState.SUCCEEDED
    ]
    for size in (*sizing.history.sizes_that_worked, *earlier):
        hardware, batch = similar_sizes.remedy_in(
            size,
            sizing.held,
            sizing.batch,
            sizing.diagnosis.verdict,
            sizing.catalog,
            sizing.service,
        )
        bigger = hardware if hardware and sizing.allowed(hardware) else None
        if bigger or batch:
            named = " and ".join(
                [str(bigger)] * bool(bigger) + [f"a batch of {batch}"] * bool(batch)
            )
            return Choice(bigger, batch, (f"a similar job succeeded with {named}",))
    return None


# --- by cause -------------------------------------------------------------------------------------


def _memory(sizing: _Sizing) -> Choice | NoHardware:
    limited, wanted = own_limit_words(sizing.diagnosis), wanted_gib(sizing.diagnosis)
    batch = (sizing.batch or 0) > 1
    if limited and not (batch and not _is_shared_memory(sizing)):
        return NoHardware(limited, too_much=True)
    kind = sizing.catalog.machines[sizing.held.machine]
    # A batch that was halved for nothing is not what fills the memory: the model is.
    if batch and not sizing.smaller_batch_failed:
        return _batch_that_fits(sizing, kind.memory_gib, wanted)
    needs = sizing.diagnosis.needs
    seen = _fatal_peak_gib(sizing, kind)
    bound = needs.memory_is_lower_bound or seen is None
    peak = seen or kind.memory_gib
    over_bound = HEADROOM_OVER_BOUND_AGAIN if sizing.was_moved else HEADROOM_OVER_BOUND
    factor = over_bound if bound else HEADROOM
    needed = max(peak * factor, kind.memory_gib * 1.01)
    # A lower bound that equals the machine's size was not measured: it is that size.
    measured = seen is not None and peak != kind.memory_gib
    said = f"it peaked at {gib_words(peak)}, times {factor:g}"
    if bound:
        said = f"it died at {gib_words(peak)}, times {factor:g}"
    if not measured:
        said = f"the {gib_words(kind.memory_gib)} of {kind.name} were too little, times {factor:g}"
    if wanted is not None:
        one_piece = wanted * HEADROOM_OVER_WANTED
        if one_piece > growth.most_memory_gib(sizing.ground):
            return NoHardware(too_much_words(sizing.diagnosis, sizing.ground), too_much=True)
        if one_piece > needed or not measured:
            # What was wanted is known, and what the rest needs is at most what there was.
            rest = min(needed, kind.memory_gib + one_piece)
            least = kind.memory_gib * growth.CLEARLY_MORE
            if max(one_piece, rest) >= least:
                needed = max(one_piece, rest)
                said = f"{gib_words(wanted)} were wanted in one piece beside what was held"
            else:  # a small piece is only the last of many
                needed = least
                said = (
                    f"the {gib_words(kind.memory_gib)} of {kind.name} were too little, times "
                    f"{growth.CLEARLY_MORE:g}"
                )
    return _machine(sizing, 0 if not bound else kind.vcpus, needed, said)


def _fatal_peak_gib(sizing: _Sizing, kind: MachineType) -> float | None:
    """The most memory that was seen in use where it can have ended the job; None: nobody saw that."""
    needs = sizing.diagnosis.needs
    seen = needs.peak_memory_gib
    if seen is None:
        return None
    beside = any(pool.hardware != sizing.held for pool in sizing.case.job.pools)
    if not needs.memory_is_lower_bound:
        return seen
    if beside and seen > kind.memory_gib:
        return None  # this machine never held so much: it was another pool's
    # What the machine that failed would have had room for did not end it: that stood between two samples.
    return seen if seen * HEADROOM_OVER_BOUND >= kind.memory_gib else None


def _is_shared_memory(sizing: _Sizing) -> bool:
    limit = sizing.diagnosis.needs.own_limit
    return limit is not None and limit.is_shared_memory


def too_much_words(diagnosis: Diagnosis, ground: Ground) -> str:
    """That no machine has what a message wanted, with the message."""
    wanted = diagnosis.needs.wanted
    said = wanted.evidence.says if wanted else ""
    return (
        f"no machine has it: {gib_words(wanted_gib(diagnosis) or 0)} were wanted, and the most that "
        f"{ground.service.value} offers{ground.devices} is "
        f"{gib_words(growth.most_memory_gib(ground))} ({said})"
    )


def _batch_that_fits(
    sizing: _Sizing, memory_gib: float, wanted: float | None
) -> Choice | NoHardware:
    """Half the batch; where a message says how much a whole one wants, as many as fit."""
    if wanted is None or not memory_gib:
        return _smaller_batch(sizing, 2)
    batch = sizing.batch or DEFAULT_BATCH_SIZE
    fits = int(batch * BATCH_SHARE * memory_gib / wanted)
    if fits < 1:
        return NoHardware(too_much_words(sizing.diagnosis, sizing.ground), too_much=True)
    return _smaller_batch(sizing, max(2.0, batch / fits))


def _cpu(sizing: _Sizing) -> Choice | NoHardware:
    took = sizing.diagnosis.needs.request_seconds
    if (sizing.batch or 0) > 1 and took is not None and took >= REQUEST_LIMIT_SECONDS * _NEARLY:
        return _request(
            sizing
        )  # what does not end in its time is one request, and half of it is free
    kind = sizing.catalog.machines[sizing.held.machine]
    done, deadline = sizing.diagnosis.needs.work_done, sizing.case.job.timeout_seconds
    part = sizing.case.job.part_timeout  # trials run one after the other
    ran = part.seconds if part is not None else sizing.case.job.run_seconds
    if done and ran and deadline:
        factor = ran / min(done, 1.0) / (deadline * DEADLINE_SHARE)
        said = (
            f"{done:.0%} was done in {ran / 3600:.3g} h, to fill {DEADLINE_SHARE:.0%} of the time"
        )
    else:
        factor, said = 2.0, "how much was left is not known, so twice the vCPUs"
    cpus = kind.vcpus * max(factor, 1.01)
    return _machine(sizing, cpus, kind.memory_gib, said)


def _machine(sizing: _Sizing, vcpus: float, memory_gib: float, said: str) -> Choice | NoHardware:
    ground = sizing.ground
    moved = growth.cheapest_with(
        ground,
        vcpus=max(vcpus, ground.kind.vcpus / 2),
        memory_gib=memory_gib,
        goes_on=sizing.goes_on,
    )
    if moved is None:
        return NoHardware(
            f"no machine has {vcpus:.4g} vCPUs and {gib_words(memory_gib)}{ground.devices} ({said})"
            f"{growth.other_devices_words(ground, vcpus, memory_gib)}",
            none_larger=True,
        )
    return Choice(moved.hardware, None, (f"sized: {said}", *moved.notes))


def _request(sizing: _Sizing) -> Choice | NoHardware:
    if (sizing.batch or 0) <= 1:
        return _more_speed(sizing)
    took = sizing.diagnosis.needs.request_seconds
    if took is not None and REQUEST_LIMIT_SECONDS / 2 <= took < REQUEST_LIMIT_SECONDS * _NEARLY:
        return _smaller_batch(sizing, took / (REQUEST_LIMIT_SECONDS / 2))
    # A request that hit the limit would have taken longer, and one that was refused long before it holds
    # too many bytes: by how much nobody says, so a quarter.
    return _smaller_batch(sizing, _UNKNOWN_EXCESS)


def _smaller_batch(sizing: _Sizing, factor: float) -> Choice:
    held = sizing.batch or DEFAULT_BATCH_SIZE
    size = max(1, min(held // 2, int(held / factor)))
    return Choice(
        None, size, (f"sized: a batch of {size} where {held} was too much costs nothing",)
    )


def _more_speed(sizing: _Sizing) -> Choice | NoHardware:
    return _larger(sizing, "sized: the batch is 1 already")


def _larger(sizing: _Sizing, said: str) -> Choice | NoHardware:
    if growth.has_built_in_gpus(sizing.catalog, sizing.held):
        return NoHardware(growth.built_in_words(sizing.held))
    return _taken(growth.bigger(sizing.ground), said)


def _gpu_memory(sizing: _Sizing) -> Choice | NoHardware:
    moved = sizing.catalog.accelerator_more_memory(
        sizing.held, sizing.service, sizing.region, sizing.allowed
    )
    # Nobody knew that the model fits on a device that was added: after one smaller batch in vain it is
    # the device that is too small, where a larger one is to be had.
    too_small = (
        sizing.smaller_batch_failed
        and sizing.was_given_its_device
        and isinstance(moved, Moved)
        and sizing.allowed(moved.hardware)
    )
    if (sizing.batch or 0) > 1 and not too_small:
        # How much of the device the batch takes is not known, and a batch too small costs little: a
        # second failure costs a run.
        return _smaller_batch(sizing, 8 if sizing.smaller_batch_failed else 2)
    if too_much := device_memory.no_device_words(sizing.diagnosis, sizing.catalog):
        return NoHardware(too_much, too_much=True)
    spread = device_memory.more_devices(
        sizing.case.job, sizing.held, sizing.catalog, sizing.service, sizing.region
    )
    if spread is not None and sizing.allowed(spread.hardware):
        if not (isinstance(moved, Moved) and sizing.allowed(moved.hardware)):
            return _taken(spread, "sized: no device with more memory may be had, so more of them")
        no_dearer = sizing.ground.price(spread.hardware) <= sizing.ground.price(moved.hardware)
        if no_dearer and not sizing.more_devices_failed:
            return _taken(spread, "sized: more of them cost no more than larger ones")
    return _taken(moved, "sized: the cheapest with more memory on each device")


def _accelerator(sizing: _Sizing) -> Choice | NoHardware:
    image = sizing.case.job.cpu_only_image(sizing.case.model)
    if image:
        return NoHardware(f"the image {image} is built for CPUs: an accelerator would stand idle")
    moved = sizing.catalog.accelerator_bigger(sizing.held, sizing.service, sizing.region)
    return _taken(moved, "sized: the cheapest accelerator that goes with the machine")


def _startup(sizing: _Sizing) -> Choice | NoHardware:
    return _larger(sizing, "sized: the next size up")


def _taken(moved: Moved | NoHardware, said: str) -> Choice | NoHardware:
    """The move as a choice. What a list of the file forbids is refused by that list's guard."""
    if isinstance(moved, NoHardware):
        return moved
    return Choice(moved.hardware, None, (said, *moved.notes))


_BY_CAUSE: Mapping[Cause, Callable[[_Sizing], Choice | NoHardware]] = {
    Cause.CPU_SATURATION: _cpu,
    Cause.MEMORY_PRESSURE: _memory,
    Cause.GPU_MEMORY: _gpu_memory,
    Cause.ACCELERATOR_MISSING: _accelerator,
    Cause.REQUEST_TOO_LARGE: _request,
    Cause.SLOW_STARTUP: _startup,
}
