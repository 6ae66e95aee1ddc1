"""`sized`: the cheapest change that the evidence says will do.

Owns the arithmetic from what was observed (peak memory, CPU fullness and work done, the time of one
request, sizes on which similar jobs succeeded) to a size, with its stated headroom. A smaller batch
is free, a bigger machine is not. Must not weigh money limits. Called by `changes` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from remediator.case import Case
from remediator.catalog.catalog import Catalogue, Hardware, Moved, NoWay, Service
from remediator.domain import Cause, Diagnosis, History, JobDocument, JobState
from remediator.job import fields
from remediator.job.fields import Pool
from remediator.policy.model import Limits, matches_any

REQUEST_LIMIT_SECONDS = 600.0  # one request of a batch prediction, Vertex's own
HEADROOM = 1.25  # over an observed peak
HEADROOM_OVER_BOUND = 1.5  # over a peak at which the job died: what it wanted is not known
DEADLINE_SHARE = 0.8  # of a time-out that the work should fill at most


@dataclass(frozen=True, slots=True)
class Choice:
    """A new size; None: that part stays."""

    hardware: Hardware | None = None
    batch_size: int | None = None
    notes: tuple[str, ...] = ()


def size_of(job: JobDocument) -> dict[str, Any]:
    """A job's size in the form in which sizes that worked are kept and handed back."""
    found = fields.pools(job)
    size: dict[str, Any] = {}
    if found:
        held = found[0].hardware
        size = {"machineType": held.machine, "replicas": found[0].replicas}
        if held.count:
            size |= {"acceleratorType": held.accelerator, "acceleratorCount": held.count}
    batch = fields.batch_size(job)
    return size | ({"batchSize": batch} if batch else {})


@dataclass(frozen=True, slots=True)
class _Sizing:
    case: Case
    diagnosis: Diagnosis
    history: History
    book: Catalogue
    limits: Limits
    held: Hardware
    service: Service

    @property
    def region(self) -> str:
        return self.case.job.name.location

    @property
    def batch(self) -> int | None:
        return fields.batch_size(self.case.job)

    @property
    def smaller_batch_failed(self) -> bool:
        """The attempt before had a smaller batch for this very cause, and ended by it all the same."""
        last = self.history.attempts[-1] if self.history.attempts else None
        return (
            last is not None
            and last.verdict == self.diagnosis.verdict
            and any(change.field.endswith(".batchSize") for change in last.changes)
        )

    def allowed(self, hardware: Hardware) -> bool:
        machines, devices = self.limits.machine_types, self.limits.accelerators
        return (
            (machines is None or matches_any(machines, hardware.machine))
            and (
                devices is None
                or not hardware.accelerator
                or matches_any(devices, hardware.accelerator)
            )
            and self.book.offered(hardware, self.region, self.service) is not False
        )


def choose(
    case: Case,
    diagnosis: Diagnosis,
    history: History,
    catalogue: Catalogue,
    limits: Limits,
    pools: tuple[Pool, ...],
    service: Service,
) -> Choice | NoWay:
    """The cheapest change that will do, or why the evidence does not name one."""
    held = pools[0].hardware
    if catalogue.machine(held.machine) is None:
        return NoWay(f"{held.machine} is not in the catalogue, so nothing can be sized from it")
    sizing = _Sizing(case, diagnosis, history, catalogue, limits, held, service)
    way = _BY_CAUSE.get(diagnosis.verdict)
    if way is None:
        return NoWay(f"{diagnosis.verdict.value} says nothing about the size that is needed")
    return _known_to_work(sizing) or way(sizing)


# --- what worked before ---------------------------------------------------------------------------


def is_remedy(
    worked: Mapping[str, Any],
    job: JobDocument,
    cause: Cause,
    catalogue: Catalogue,
) -> bool:
    """Whether a size on which a similar job succeeded has more of what the cause asks than this."""
    found = fields.pools(job)
    if not found or catalogue.machine(found[0].hardware.machine) is None:
        return False
    held, service = found[0].hardware, fields.rules(job).service
    hardware, batch = _more(worked, held, fields.batch_size(job), cause, catalogue, service)
    return hardware is not None or batch is not None


def words_of(size: Mapping[str, Any]) -> str:
    """ "g2-standard-8 + 1 NVIDIA_L4, a batch of 16"."""
    batch = size.get("batchSize")
    named = [str(_hardware_of(size))] * bool(size.get("machineType"))
    return ", ".join(named + [f"a batch of {batch}"] * bool(batch))


def _hardware_of(size: Mapping[str, Any]) -> Hardware:
    return Hardware(
        str(size.get("machineType") or ""),
        str(size.get("acceleratorType") or ""),
        int(size.get("acceleratorCount") or 0),
    )


def _known_to_work(sizing: _Sizing) -> Choice | None:
    """A size on which a similar job succeeded, where it has more of what the verdict asks for."""
    earlier = [size_of(job) for job in sizing.case.earlier if job.state is JobState.SUCCEEDED]
    for size in (*sizing.history.sizes_that_worked, *earlier):
        hardware, batch = _more(
            size, sizing.held, sizing.batch, sizing.diagnosis.verdict, sizing.book, sizing.service
        )
        bigger = hardware if hardware and sizing.allowed(hardware) else None
        if bigger or batch:
            named = " and ".join(
                [str(bigger)] * bool(bigger) + [f"a batch of {batch}"] * bool(batch)
            )
            return Choice(bigger, batch, (f"a similar job succeeded with {named}",))
    return None


def _more(
    worked: Mapping[str, Any],
    held: Hardware,
    batch: int | None,
    cause: Cause,
    book: Catalogue,
    service: Service,
) -> tuple[Hardware | None, int | None]:
    """The hardware and the batch of a size that worked, each where it is a remedy for the cause."""
    wanted, size = _hardware_of(worked), int(worked.get("batchSize") or 0)
    smaller = cause in _MENDED_BY_BATCH and 0 < size < (batch or 0)
    bigger = _is_step_up(wanted, held, cause, book) and not book.why_not(wanted, service)
    return wanted if bigger else None, size if smaller else None


def _is_step_up(wanted: Hardware, held: Hardware, cause: Cause, book: Catalogue) -> bool:
    """More of one thing that the cause asks for, and less of nothing."""
    before, after = book.machine(held.machine), book.machine(wanted.machine)
    if before is None or after is None:
        return False
    no_less = (
        after.vcpus >= before.vcpus
        and after.memory_gib >= before.memory_gib
        and wanted.count >= held.count
    )
    return no_less and any(
        measure(book, wanted) > measure(book, held) for measure in _ASKS.get(cause, ())
    )


def _vcpus(book: Catalogue, hardware: Hardware) -> float:
    return book.machines[hardware.machine].vcpus


def _memory_gib(book: Catalogue, hardware: Hardware) -> float:
    return book.machines[hardware.machine].memory_gib


def _devices(_: Catalogue, hardware: Hardware) -> float:
    return hardware.count


def _device_gib(book: Catalogue, hardware: Hardware) -> float:
    device = book.accelerators.get(hardware.accelerator)
    return (device.memory_gib or 0.0) if device else 0.0


_ASKS: Mapping[Cause, tuple[Callable[[Catalogue, Hardware], float], ...]] = {
    Cause.CPU_SATURATION: (_vcpus, _devices),
    Cause.MEMORY_PRESSURE: (_memory_gib,),
    Cause.GPU_MEMORY: (_device_gib,),
    Cause.ACCELERATOR_MISSING: (_devices,),
    Cause.REQUEST_TOO_LARGE: (_vcpus, _devices),
    Cause.SLOW_STARTUP: (_vcpus,),
}
"""Of what a failure by this cause had too little."""

_MENDED_BY_BATCH = frozenset(
    {Cause.CPU_SATURATION, Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY, Cause.REQUEST_TOO_LARGE}
)


# --- by cause -------------------------------------------------------------------------------------


def _memory(sizing: _Sizing) -> Choice | NoWay:
    # A batch that was halved for nothing is not what fills the memory: the model is.
    if (sizing.batch or 0) > 1 and not sizing.smaller_batch_failed:
        return _smaller_batch(sizing, 2)
    kind = sizing.book.machines[sizing.held.machine]
    needs = sizing.diagnosis.needs
    bound = needs.memory_is_lower_bound or needs.peak_memory_gib is None
    peak = needs.peak_memory_gib or kind.memory_gib
    factor = HEADROOM_OVER_BOUND if bound else HEADROOM
    needed = max(peak * factor, kind.memory_gib * 1.01)
    said = f"it died at {peak:.3g} GiB" if bound else f"it peaked at {peak:.3g} GiB"
    return _machine(sizing, 0 if not bound else kind.vcpus, needed, f"{said}, times {factor:g}")


def _cpu(sizing: _Sizing) -> Choice | NoWay:
    kind = sizing.book.machines[sizing.held.machine]
    done, ran = sizing.diagnosis.needs.work_done, sizing.case.job.run_seconds
    deadline = fields.timeout_seconds(sizing.case.job)
    if done and ran and deadline:
        factor = ran / min(done, 1.0) / (deadline * DEADLINE_SHARE)
        said = (
            f"{done:.0%} was done in {ran / 3600:.3g} h, to fill {DEADLINE_SHARE:.0%} of the time"
        )
    else:
        factor, said = 2.0, "how much was left is not known, so twice the vCPUs"
    cpus = kind.vcpus * max(factor, 1.01)
    return _machine(sizing, cpus, kind.memory_gib, said)


def _machine(sizing: _Sizing, vcpus: float, memory_gib: float, said: str) -> Choice | NoWay:
    kind = sizing.book.machines[sizing.held.machine]
    moved = sizing.book.cheapest_with(
        sizing.held,
        vcpus=max(vcpus, kind.vcpus / 2),
        memory_gib=memory_gib,
        service=sizing.service,
        region=sizing.region,
        allowed=sizing.allowed,
    )
    if moved is None:
        return NoWay(f"no allowed machine has {vcpus:.3g} vCPUs and {memory_gib:.3g} GiB ({said})")
    chosen = sizing.book.machines[moved.hardware.machine]
    other = chosen.generation != kind.generation
    doubt = (f"{chosen.generation} is another generation than {kind.generation}",) if other else ()
    return Choice(moved.hardware, None, (f"sized: {said}", *moved.notes, *doubt))


def _request(sizing: _Sizing) -> Choice | NoWay:
    if (sizing.batch or 0) <= 1:
        return _more_speed(sizing)
    took = sizing.diagnosis.needs.request_seconds
    known = took is not None and took < REQUEST_LIMIT_SECONDS * 0.99
    # A request that hit the limit would have taken longer: twice as long is assumed.
    seconds = took if known and took else 2 * REQUEST_LIMIT_SECONDS
    return _smaller_batch(sizing, seconds / (REQUEST_LIMIT_SECONDS / 2))


def _smaller_batch(sizing: _Sizing, factor: float) -> Choice:
    held = sizing.batch or fields.DEFAULT_BATCH_SIZE
    size = max(1, min(held // 2, int(held / factor)))
    return Choice(
        None, size, (f"sized: a batch of {size} where {held} was too much costs nothing",)
    )


def _more_speed(sizing: _Sizing) -> Choice | NoWay:
    moved = sizing.book.bigger(sizing.held, sizing.service)
    return _taken(sizing, moved, "sized: the batch is 1 already")


def _gpu_memory(sizing: _Sizing) -> Choice | NoWay:
    if (sizing.batch or 0) > 1:
        return _smaller_batch(sizing, 2)
    moved = sizing.book.accelerator_more_memory(sizing.held, sizing.service, sizing.region)
    return _taken(sizing, moved, "sized: the cheapest with more memory on each device")


def _accelerator(sizing: _Sizing) -> Choice | NoWay:
    image = fields.cpu_only_image(sizing.case.job, sizing.case.model)
    if image:
        return NoWay(f"the image {image} is built for CPUs: an accelerator would stand idle")
    moved = sizing.book.accelerator_bigger(sizing.held, sizing.service, sizing.region)
    return _taken(sizing, moved, "sized: the cheapest accelerator that goes with the machine")


def _startup(sizing: _Sizing) -> Choice | NoWay:
    return _taken(
        sizing, sizing.book.bigger(sizing.held, sizing.service), "sized: the next size up"
    )


def _taken(sizing: _Sizing, moved: Moved | NoWay, said: str) -> Choice | NoWay:
    if isinstance(moved, NoWay):
        return moved
    if not sizing.allowed(moved.hardware):
        return NoWay(f"{moved.hardware} is not allowed, or not offered in {sizing.region}")
    return Choice(moved.hardware, None, (said, *moved.notes))


_BY_CAUSE: Mapping[Cause, Callable[[_Sizing], Choice | NoWay]] = {
    Cause.CPU_SATURATION: _cpu,
    Cause.MEMORY_PRESSURE: _memory,
    Cause.GPU_MEMORY: _gpu_memory,
    Cause.ACCELERATOR_MISSING: _accelerator,
    Cause.REQUEST_TOO_LARGE: _request,
    Cause.SLOW_STARTUP: _startup,
}
