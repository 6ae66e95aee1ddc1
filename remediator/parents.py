"""Whose part a job is: a pipeline run's, a training pipeline's or a tuning job's.

Owns the asking, and what an answer that never comes means. A run's child says so by a label; the
others say nothing, so the jobs that may have started them are listed and asked whom they name.
Called by `remediate`, before anything is read for a failure, and by `app` for a case file.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from remediator import patience
from remediator.case import Gap
from remediator.domain import Forbidden, Gone, JobKind, Refused, RemediatorError, Source, Unserved
from remediator.hands import Jobs
from remediator.job import PARENTS, Job, JobView

_BEFORE_ITS_CHILD = timedelta(days=14)  # a tuning job's last trial begins long after the job


@dataclass(frozen=True, slots=True)
class Belonging:
    """What a job is a part of, in words with its name; empty: nothing.

    `gaps`: what could not be asked. `unknown`: what the first of them asked after might be its
    parent, so the job may be run again by nobody but a person.
    """

    parent: str = ""
    gaps: tuple[Gap, ...] = ()
    unknown: bool = False


def belonging(job: Job, jobs: Jobs, project: str, *, timeout_seconds: float) -> Belonging:
    """Whose part the job is. Raises Transient and Forbidden, whose answer may come later."""
    told = job.parent
    if told:
        return Belonging(told)
    since = job.create_time - _BEFORE_ITS_CHILD if job.create_time else None

    def look(kind: JobKind) -> str | RemediatorError:
        try:
            found = jobs.list(
                kind,
                project,
                job.name.location,
                created_after=since,
                view=JobView.CHILDREN,
                timeout_seconds=timeout_seconds,
            )
            its = (other for other in found if other.has_child(job.name))
            return next((f"{_words(kind)} {one.name}" for one in its), "")
        except RemediatorError as err:
            return err

    asked = PARENTS.get(job.kind, ())
    looking = [patience.begun(partial(look, kind)) for kind in asked]
    answers = dict(zip(asked, [answer() for answer in looking], strict=True))
    for answer in answers.values():
        if isinstance(answer, str) and answer:
            return Belonging(answer)
    failed = {kind: err for kind, err in answers.items() if isinstance(err, RemediatorError)}
    for err in failed.values():
        if not isinstance(err, Refused) or isinstance(err, Forbidden):
            raise err
    # Where there is no such kind of job, none of them is its parent.
    unknown = {kind for kind, err in failed.items() if not isinstance(err, (Gone, Unserved))}
    told_first = sorted(failed, key=lambda kind: kind not in unknown)
    return Belonging(
        gaps=tuple(_unasked(kind, failed[kind]) for kind in told_first), unknown=bool(unknown)
    )


def unanswered(err: RemediatorError) -> Belonging:
    """What is made of an answer that was waited for in vain."""
    return Belonging(
        gaps=(Gap(Source.HISTORY, f"whether it is part of another job: {err}"),), unknown=True
    )


def _unasked(kind: JobKind, err: RemediatorError) -> Gap:
    return Gap(Source.HISTORY, f"whether it is part of a {_words(kind)}: {err}")


def _words(kind: JobKind) -> str:
    return kind.value.replace("_", " ")
