"""Whose a job is: part of a pipeline run, a training pipeline or a tuning job, or run again by somebody else.

Owns the asking, and what an answer that never comes means. A run's child says so by a label; the
others say nothing, so the jobs that may have started them are listed and asked whom they name.
Called by `failure` and `watch_actions`, before anything is read for a failure and before anything is
created, and by the command line for a case file.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from msgspec import Struct

from remediator.case import Gap
from remediator.deadline import run_in_thread
from remediator.domain import (
    JobKind,
    JobState,
    NotFound,
    NotServed,
    PermanentError,
    PermissionDenied,
    RemediatorError,
    Source,
)
from remediator.job import PARENTS, Job, JobView, summary
from remediator.ledger import Ledger
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


def find_external_rerun(job: Job, vertex: VertexProject, ledger: Ledger) -> str:
    """A job outside our chains that runs the same workload, made after this failure, and lives."""
    if job.end_time is None:
        return ""
    programs, digest = job.programs, job.workload_digest
    later = vertex.list(
        job.kind, job.name.location, created_after=job.end_time, view=JobView.REQUEST
    )
    alike = [
        other
        for other in later
        if (other.state is JobState.SUCCEEDED or not other.state.is_terminal)
        and other.programs == programs  # cheap, where a storm has made hundreds of others
        and other.name.key != job.name.key
        and (other.create_time or job.end_time) >= job.end_time
        and other.workload_digest == digest
    ]
    # Asked in this order, for what is unrecorded becomes recorded; all of each at once.
    ledger.prefetch(
        claims=[one.labels["remediator-claim"] for one in alike if "remediator-claim" in one.labels]
    )
    strangers = [one for one in alike if not is_own_unrecorded_attempt(one, ledger)]
    ledger.prefetch(created=[one.name.key for one in strangers])
    theirs = (one for one in strangers if ledger.root_of(one.name.key) is None)
    return next((str(one.name) for one in theirs), "")


def is_own_unrecorded_attempt(job: Job, ledger: Ledger) -> bool:
    """Made under a claim of ours that still stands: its creator has yet to write it down."""
    token = job.labels.get("remediator-claim", "")
    root = ledger.claimed_root(token)
    chain = ledger.chain(root) if root else None
    if chain is None or chain.claim is None or chain.claim.token != token:
        return False
    return summary.holds(job, chain.claim.changes_made)
