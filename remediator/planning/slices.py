"""Slices of devices: a TPU's topology, a GPU's partition, and nodes that make one replica.

Owns what becomes of them where a machine or an accelerator changes: they move with it, or the step
leads nowhere. A bigger slice of the same card is often the whole remedy. Pure; called by `steps`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from remediator.catalog.catalog import Catalog, Hardware, NoHardware
from remediator.job import Pool

Edits = Mapping[str, str | None]
"""New values by their path in the job's document; None: the field goes."""

_OWN_TOPOLOGY: Mapping[str, str] = {
    "ct5lp-hightpu-1t": "1x1",
    "ct5lp-hightpu-4t": "2x2",
    "ct5lp-hightpu-8t": "2x4",
    "ct6e-standard-1t": "1x1",
    "ct6e-standard-4t": "2x2",
    "ct6e-standard-8t": "2x4",
    "ct5p-hightpu-1t": "1x1x1",
    "ct5p-hightpu-2t": "1x2x1",
    "ct5p-hightpu-4t": "2x2x1",
    "tpu7x-standard-1t": "1x1x1",
    "tpu7x-standard-4t": "2x2x1",
}
"""The slice that one machine is by itself (Google's pages on TPU machines)."""

_PARTITIONS: Mapping[str, tuple[str, ...]] = {
    "NVIDIA_TESLA_A100": ("1g.5gb", "2g.10gb", "3g.20gb", "7g.40gb"),
    "NVIDIA_A100_80GB": ("1g.10gb", "2g.20gb", "3g.40gb", "7g.80gb"),
    "NVIDIA_H100_80GB": ("1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "7g.80gb"),
    "NVIDIA_H100_MEGA_80GB": ("1g.10gb", "1g.20gb", "2g.20gb", "3g.40gb", "7g.80gb"),
    "NVIDIA_H200_141GB": ("1g.18gb", "1g.35gb", "2g.35gb", "3g.71gb", "7g.141gb"),
    "NVIDIA_B200": ("1g.23gb", "1g.45gb", "2g.45gb", "3g.90gb", "7g.180gb"),
}
"""Sizes into which a card can be cut, smallest first (NVIDIA's MIG profiles)."""


def bigger_partition(pool: Pool) -> str:
    """The next slice of the same card that has more memory; empty: there is none, or no slice."""
    sizes = _PARTITIONS.get(pool.hardware.accelerator, ())
    held = _gigabytes(pool.partition)
    return next((one for one in sizes if held and _gigabytes(one) > held), "")


def _gigabytes(partition: str) -> int:
    match = re.fullmatch(r"[1-7]g\.([0-9]{1,4})gb(?:\+me)?", partition)
    return int(match[1]) if match else 0


def moved(pool: Pool, wanted: Hardware, catalog: Catalog) -> Edits | NoHardware:
    """What of the pool's slices must change with its hardware, or why they cannot follow it."""
    if wanted == pool.hardware:
        return {}
    edits: dict[str, str | None] = {}
    for change in (_topology(pool, wanted, catalog), _partition(pool, wanted)):
        if isinstance(change, NoHardware):
            return change
        edits |= change
    if pool.nodes > 1:
        return NoHardware(
            f"a replica is {pool.nodes} nodes of {pool.hardware.machine}: how many nodes it would "
            f"be of {wanted.machine} is not known"
        )
    return edits


def _topology(pool: Pool, wanted: Hardware, catalog: Catalog) -> Edits | NoHardware:
    if wanted.machine == pool.hardware.machine:
        return {}
    kind = catalog.machine(wanted.machine)
    is_tpu = kind is not None and kind.device.startswith("TPU")
    own = _OWN_TOPOLOGY.get(wanted.machine, "")
    if not pool.topology:
        return {pool.topology_path: own} if is_tpu and own and pool.topology_path else {}
    if not is_tpu:
        return {pool.topology_path: None}
    if own and pool.topology == _OWN_TOPOLOGY.get(pool.hardware.machine):
        return {pool.topology_path: own}
    return NoHardware(
        f"the job runs on a TPU slice of {pool.topology}, made of {pool.hardware.machine}: which "
        f"slice of {wanted.machine} it would need is not known"
    )


def _partition(pool: Pool, wanted: Hardware) -> Edits | NoHardware:
    if not pool.partition or wanted.accelerator == pool.hardware.accelerator:
        return {}
    if not wanted.accelerator or pool.partition.startswith("7g."):  # none, or the whole card
        return {pool.partition_path: None}
    if pool.partition in _PARTITIONS.get(wanted.accelerator, ()):
        return {}
    return NoHardware(
        f"the job runs on slices of {pool.partition}, into which {wanted.accelerator} cannot be cut"
    )
