"""Whose part a job is: a pipeline run's, a training pipeline's or a tuning job's.

Owns the asking. A run's child says so by a label; the others say nothing, so the jobs that may have
started them are listed and asked whom they name. Decides nothing. Called by `remediate`, before
anything is read for a failure, and by `app` for a case file.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from remediator import patience
from remediator.domain import JobDocument, JobKind
from remediator.hands import Jobs
from remediator.policy import kinds

_BEFORE_ITS_CHILD = timedelta(days=14)  # a tuning job's last trial begins long after the job


def parent_of(job: JobDocument, jobs: Jobs, project: str, *, timeout_seconds: float) -> str:
    """What the job is a part of, in words with its name; empty: nothing. Raises what listing raises."""
    told = kinds.parent_of(job)
    if told or job.create_time is None:
        return told
    since = job.create_time - _BEFORE_ITS_CHILD

    def look(kind: JobKind) -> str:
        found = jobs.list(
            kind, project, job.name.location, created_after=since, timeout_seconds=timeout_seconds
        )
        its = (other for other in found if kinds.has_child(other, job.name))
        return next((f"{kind.value.replace('_', ' ')} {one.name}" for one in its), "")

    asked = [patience.begun(partial(look, kind)) for kind in kinds.PARENTS.get(job.kind, ())]
    return next(filter(None, (answer() for answer in asked)), "")
