"""Which record in the ledger is a job's: by its name, and by its creation where names come back.

Owns the key under which a job's incident and chain are kept. Vertex numbers most jobs; a pipeline
run's id is its author's choice, and may be used again once the run is deleted. Then the name alone
would say of a new run that it was handled long ago. Called by the workflow.
"""

from __future__ import annotations

from collections.abc import Sequence

from remediator.domain import JobKind, rfc3339
from remediator.job import Job
from remediator.ledger import Incident, Ledger


def key_of(job: Job, ledger: Ledger) -> str:
    """The job's own key; with its creation's time, where an earlier job bore the same name."""
    if not _may_return(job):
        return job.name.key
    first = ledger.incident(job.name.key)
    return job.name.key if first is None or _is_same(first, job) else _later_key(job)


def unknown_keys(jobs: Sequence[Job], ledger: Ledger) -> dict[str, Job]:
    """Those of which the ledger has no incident, by the key that each would have."""
    known = ledger.known([job.name.key for job in jobs])
    fresh = {job.name.key: job for job in jobs if job.name.key not in known}
    again = [job for job in jobs if job.name.key in known and _may_return(job)]
    later = {key: job for job in again if (key := key_of(job, ledger)) != job.name.key}
    if later:
        known = ledger.known(tuple(later))
        fresh |= {key: job for key, job in later.items() if key not in known}
    return fresh


def _may_return(job: Job) -> bool:
    return job.kind is JobKind.PIPELINE and job.create_time is not None


def _is_same(first: Incident, job: Job) -> bool:
    """Records of earlier versions know no creation, but when their job had ended."""
    if job.create_time is None:
        return True
    if first.created is not None:
        return first.created == job.create_time
    return first.ended is None or job.create_time <= first.ended


def _later_key(job: Job) -> str:
    return f"{job.name.key}@{rfc3339(job.create_time)}" if job.create_time else job.name.key
