"""Parts of a request that the fleets write alike, and copies of one with other hardware, time, disk or batch size."""

from __future__ import annotations

import copy

from bench.remediation.fleets import Body
from remediator.catalog.catalog import Hardware


def machine_spec(hardware: Hardware) -> Body:
    """`machineSpec` of a pool or of a batch's servers."""
    spec: Body = {"machineType": hardware.machine}
    if hardware.count:
        spec |= {"acceleratorType": hardware.accelerator, "acceleratorCount": hardware.count}
    return spec


def with_hardware(body: Body, hardware: Hardware) -> Body:
    """A copy on other hardware, in every pool; a TPU keeps its topology where its machine stays."""
    copied = copy.deepcopy(body)
    spec = machine_spec(hardware)
    if "dedicatedResources" in copied:
        copied["dedicatedResources"]["machineSpec"] = spec
        return copied
    for pool in copied["jobSpec"]["workerPoolSpecs"]:
        held = pool["machineSpec"]
        keeps = held["machineType"] == hardware.machine and "tpuTopology" in held
        pool["machineSpec"] = {**spec, **({"tpuTopology": held["tpuTopology"]} if keeps else {})}
    return copied


def with_batch_size(body: Body, size: int) -> Body:
    return {**copy.deepcopy(body), "manualBatchTuningParameters": {"batchSize": size}}


def scheduling_of(hours: float | None, strategy: str) -> Body:
    """`scheduling` of a custom job; empty where neither is asked for."""
    scheduling: Body = {}
    if hours:
        scheduling["timeout"] = f"{int(hours * 3600)}s"
    if strategy:
        scheduling["strategy"] = strategy
    return scheduling


def with_timeout(body: Body, seconds: int) -> Body:
    """A copy that Vertex stops after so many seconds."""
    copied = copy.deepcopy(body)
    copied["jobSpec"].setdefault("scheduling", {})["timeout"] = f"{seconds}s"
    return copied


def with_boot_disk(body: Body, gb: int) -> Body:
    """A copy with a boot disk of so many GB in every pool."""
    copied = copy.deepcopy(body)
    for pool in copied["jobSpec"]["workerPoolSpecs"]:
        pool.setdefault("diskSpec", {"bootDiskType": "pd-ssd"})["bootDiskSizeGb"] = gb
    return copied
