"""Which replica of a job says what: those that failed by the service's word, and the machine of each.

Owns the reading of their names. What one replica says of its machine is that replica's. Pure; called by `diagnose`.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from remediator.case import Case, LogLine
from remediator.catalog.catalog import Catalog
from remediator.diagnosis.matching import signatures_in
from remediator.diagnosis.signature import TextPlace
from remediator.diagnosis.texts.case_text import SERVICE_TASK, TEXT_HEAD
from remediator.domain.late_pattern import late_pattern

_NAME = r"workerpool\d{1,3}-\d{1,5}"
_NAMED = late_pattern(rf"\b{_NAME}\b")
# `The replica workerpool1-0 exited with a non-zero status of 137`: the service's own line.
_EXITED = late_pattern(
    rf"\breplicas? ({_NAME}(?:,? (?:and )?{_NAME})*) (?:exited|ran out|were|was)\b"
)
# Rows by which a replica says that it ended because another did: that one is not named.
_OF_A_PEER = frozenset({"peer-failed", "nccl", "worker-gone"})


class ReplicaMachine(Struct, frozen=True):
    """The machine type of a pool's replicas, its vCPUs and its memory in GiB; None: not known."""

    pool: str
    machine: str
    vcpus: int | None
    memory_gib: float | None


def machines_of(case: Case, catalog: Catalog) -> tuple[ReplicaMachine, ...]:
    """The machine of each pool of the job."""
    return tuple(
        ReplicaMachine(pool.name, pool.hardware.machine, *catalog.size(pool.hardware.machine))
        for pool in case.job.pools
    )


def machine_of(replica: str, machines: Iterable[ReplicaMachine]) -> ReplicaMachine | None:
    """That of one replica (`workerpool1-0`); None where the job has no such pool."""
    pool = replica.rpartition("-")[0]
    return next((one for one in machines if one.pool == pool), None)


def failed_replicas(case: Case) -> frozenset[str]:
    """Names of the replicas whose end was the job's; empty where nobody names one, or where it ended since another did."""
    named = set(_NAMED.findall(case.job.error_message))
    for line in case.log_lines:
        if line.task == SERVICE_TASK:
            named.update(name for one in _EXITED.findall(line.text) for name in _NAMED.findall(one))
    if not named or case.job.replicas <= 1 or _tells_of_a_peer(case.log_lines[-_LAST:]):
        return frozenset()
    return frozenset(named)


_LAST = 100  # lines, in which a replica says why it ended; chosen


def _tells_of_a_peer(lines: Iterable[LogLine]) -> bool:
    return any(
        row.id in _OF_A_PEER
        for line in lines
        if line.task != SERVICE_TASK
        for row in signatures_in(line.text[:TEXT_HEAD], TextPlace.LOG)
    )
