"""Whose part a job is: a pipeline run's, a training pipeline's or a tuning job's.

Owns the asking, and what an answer that never comes means. A run's child says so by a label; the
others say nothing, so the jobs that may have started them are listed and asked whom they name.
Called by `incident`, before anything is read for a failure, and by `app` for a case file.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from msgspec import Struct

from remediator.case import Gap
from remediator.deadline import run_in_thread
from remediator.domain import (
    JobKind,
    NotFound,
    NotServed,
    PermanentError,
    PermissionDenied,
    RemediatorError,
    Source,
)
from remediator.job import PARENTS, Job, JobView
from remediator.workflow.services import VertexProject

_BEFORE_ITS_CHILD = timedelta(days=14)  # a tuning job's last trial begins long after the job


class Parent(Struct, frozen=True):
    """What a job is a part of, in words with its name; empty: nothing.

    `gaps`: what could not be asked. `unknown`: what the first of them asked after might be its
    parent, so the job may be run again by nobody but a person.
    """

    parent: str = ""
    gaps: tuple[Gap, ...] = ()
    unknown: bool = False


def find_parent(job: Job, vertex: VertexProject) -> Parent:
    """Whose part the job is. Raises TransientError and PermissionDenied, whose answer may come later."""
    own_parent = job.parent
    if own_parent:
        return Parent(own_parent)
    since = job.create_time - _BEFORE_ITS_CHILD if job.create_time else None

    def look(kind: JobKind) -> str | RemediatorError:
        try:
            found = vertex.list(kind, job.name.location, created_after=since, view=JobView.CHILDREN)
            its = (other for other in found if other.has_child(job.name))
            return next((f"{_kind_words(kind)} {one.name}" for one in its), "")
        except RemediatorError as err:
            return err

    asked = PARENTS.get(job.kind, ())
    beside = [run_in_thread(partial(look, kind)) for kind in asked[1:]]
    looking = [partial(look, kind) for kind in asked[:1]] + beside  # the first one in this thread
    answers = dict(zip(asked, [answer() for answer in looking], strict=True))
    for answer in answers.values():
        if isinstance(answer, str) and answer:
            return Parent(answer)
    failed = {kind: err for kind, err in answers.items() if isinstance(err, RemediatorError)}
    for err in failed.values():
        if not isinstance(err, PermanentError) or isinstance(err, PermissionDenied):
            raise err
    # Where there is no such kind of job, none of them is its parent.
    unknown = {kind for kind, err in failed.items() if not isinstance(err, (NotFound, NotServed))}
    by_certainty = sorted(failed, key=lambda kind: kind not in unknown)
    return Parent(
        gaps=tuple(_unasked(kind, failed[kind]) for kind in by_certainty), unknown=bool(unknown)
    )


def unknown_parent(err: RemediatorError) -> Parent:
    """What is made of an answer that was waited for in vain."""
    return Parent(
        gaps=(Gap(Source.HISTORY, f"whether it is part of another job: {err}"),), unknown=True
    )


def _unasked(kind: JobKind, err: RemediatorError) -> Gap:
    return Gap(Source.HISTORY, f"whether it is part of a {_kind_words(kind)}: {err}")


def _kind_words(kind: JobKind) -> str:
    return kind.value.replace("_", " ")
