"""Sizes on which jobs succeeded: how one is kept, and what of one is a remedy for a failure.

Owns the form in which a size is kept, and the comparison with what a failed job had: more of one thing
that the cause asks for, and less of nothing. Which sizes are known is handed in. Pure; called by
`sizing` and by the workflow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from remediator.catalog import growth
from remediator.catalog.catalog import Catalog, Hardware, Service
from remediator.domain import Cause
from remediator.job import Job

ACCELERATOR_CAUSES = frozenset({Cause.GPU_MEMORY, Cause.ACCELERATOR_MISSING})
"""Causes that a change of the accelerator fixes; for any other it stays unless the step names one."""


def size_of(job: Job) -> dict[str, Any]:
    """A job's size in the form in which sizes that worked are kept and handed back."""
    found = job.pools
    size: dict[str, Any] = {}
    if found:
        held = found[0].hardware
        size = {"machineType": held.machine, "replicas": found[0].replicas}
        if held.count:
            size |= {"acceleratorType": held.accelerator, "acceleratorCount": held.count}
    batch = job.batch_size
    return size | ({"batchSize": batch} if batch else {})


def is_remedy(
    worked: Mapping[str, Any],
    job: Job,
    cause: Cause,
    catalog: Catalog,
) -> bool:
    """Whether a size on which a similar job succeeded has more of what the cause asks than this."""
    found = job.pools
    if not found or catalog.machine(found[0].hardware.machine) is None:
        return False
    held, service = found[0].hardware, job.service
    hardware, batch = remedy_in(worked, held, job.batch_size, cause, catalog, service)
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


def remedy_in(
    worked: Mapping[str, Any],
    held: Hardware,
    batch: int | None,
    cause: Cause,
    catalog: Catalog,
    service: Service,
) -> tuple[Hardware | None, int | None]:
    """The hardware and the batch of a size that worked, each where it is a remedy for the cause."""
    wanted, size = _hardware_of(worked), int(worked.get("batchSize") or 0)
    smaller = cause in _FIXED_BY_BATCH and 0 < size < (batch or 0)
    bigger = _is_step_up(wanted, held, cause, catalog) and not catalog.why_not(wanted, service)
    return wanted if bigger else None, size if smaller else None


def _is_step_up(wanted: Hardware, held: Hardware, cause: Cause, catalog: Catalog) -> bool:
    """More of one thing that the cause asks for, and less of nothing."""
    before, after = catalog.machine(held.machine), catalog.machine(wanted.machine)
    if before is None or after is None:
        return False
    same_devices = growth.devices_of(catalog, wanted) == growth.devices_of(catalog, held)
    if not same_devices and cause not in ACCELERATOR_CAUSES:
        return False
    no_less = (
        after.vcpus >= before.vcpus
        and after.memory_gib >= before.memory_gib
        and wanted.count >= held.count
    )
    return no_less and any(
        measure(catalog, wanted) > measure(catalog, held) for measure in _ASKS.get(cause, ())
    )


def _vcpus(catalog: Catalog, hardware: Hardware) -> float:
    return catalog.machines[hardware.machine].vcpus


def _memory_gib(catalog: Catalog, hardware: Hardware) -> float:
    return catalog.machines[hardware.machine].memory_gib


def _devices(_: Catalog, hardware: Hardware) -> float:
    return hardware.count


def _device_gib(catalog: Catalog, hardware: Hardware) -> float:
    device = catalog.accelerators.get(hardware.accelerator)
    return (device.memory_gib or 0.0) if device else 0.0


_ASKS: Mapping[Cause, tuple[Callable[[Catalog, Hardware], float], ...]] = {
    Cause.CPU_SATURATION: (_vcpus, _devices),
    Cause.MEMORY_PRESSURE: (_memory_gib,),
    Cause.GPU_MEMORY: (_device_gib,),
    Cause.ACCELERATOR_MISSING: (_devices,),
    Cause.REQUEST_TOO_LARGE: (_vcpus, _devices),
    Cause.SLOW_STARTUP: (_vcpus,),
}
"""Of what a failure by this cause had too little."""

_FIXED_BY_BATCH = frozenset(
    {Cause.CPU_SATURATION, Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY, Cause.REQUEST_TOO_LARGE}
)
