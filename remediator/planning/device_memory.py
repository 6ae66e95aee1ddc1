"""Memory of devices that ran out: what no device holds, and when more of the same hold it together.

Pure; called by `sizing` and the steps that name accelerators.
"""

from __future__ import annotations

from remediator.catalog.catalog import Catalog, Hardware, Moved, Service
from remediator.domain import Cause, Diagnosis
from remediator.domain.numbers import gib_words
from remediator.job import Job

_GIB = 1024.0**3


def no_device_words(diagnosis: Diagnosis, catalog: Catalog) -> str:
    """That no device holds what a message wanted in one piece, with the message; empty: one does, or
    nothing is known."""
    wanted = diagnosis.needs.wanted
    if wanted is None or not wanted.device or diagnosis.verdict is not Cause.GPU_MEMORY:
        return ""
    most = max((one.memory_gib or 0.0 for one in catalog.accelerators.values()), default=0.0)
    if wanted.bytes / _GIB <= most:
        return ""
    return (
        f"no device has it: {gib_words(wanted.bytes / _GIB)} were wanted in one piece, and the most on one "
        f"device is {gib_words(most)} ({wanted.evidence.says})"
    )


def more_devices(
    job: Job, held: Hardware, catalog: Catalog, service: Service, region: str
) -> Moved | None:
    """More of the job's own devices, where its settings spread the model's state over all of them; None:
    they do not say so, or there is no more.

    Where every device holds a whole copy, a second one holds no more than the first.
    """
    spread = job.sharding_setting
    if not spread or not held.count:
        return None
    moved = catalog.accelerator_bigger(held, service, region)
    if not isinstance(moved, Moved) or moved.hardware.accelerator != held.accelerator:
        return None
    more = moved.hardware.count > held.count
    offered = catalog.offered(moved.hardware, region, service) is not False
    note = f"the model's state is spread over all devices ({spread})"
    return Moved(moved.hardware, (note, *moved.notes)) if more and offered else None
