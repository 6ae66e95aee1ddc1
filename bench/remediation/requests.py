"""Parts of a request that the fleets write alike: scheduling, and a copy with more time or a larger boot disk."""

from __future__ import annotations

import copy

from bench.remediation.fleets import Body


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
