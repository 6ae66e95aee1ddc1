"""What earlier runs of the same work and of similar jobs say about a failure: what helped, what was in vain.

Owns the asking, of the ledger and of Vertex; what it means for a plan is `planning`'s (`sizing`, `vain`).
Called by `failure`, and by `decide` for the plan.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from datetime import timedelta

from remediator.case import Case, Recovery
from remediator.catalog.catalog import Catalog
from remediator.domain import PASSING, Attempt, Cause, JobState, VainAttempt
from remediator.job import Job, JobView
from remediator.job.likeness import EVERY_ACCOUNT, alike, vain_track
from remediator.ledger import Ledger, PastOutcome
from remediator.planning import draft, similar_sizes, vain
from remediator.policy import Policies
from remediator.workflow.services import VertexProject

OutcomesByKey = Mapping[str, Sequence[PastOutcome]]


def similar_outcomes(job: Job, ledger: Ledger, policies: Policies) -> OutcomesByKey:
    """How resubmissions of similar jobs ended, by the key that makes them similar."""
    return ledger.outcome_history(similar_job_keys(job, policies))


def successes(tracks: OutcomesByKey) -> tuple[PastOutcome, ...]:
    """Successes of similar jobs that we resubmitted, the newest first, each once."""
    held = (one for track in tracks.values() for one in track)
    once = {(one.at, one.seconds): one for one in held if one.succeeded}
    return tuple(sorted(once.values(), key=lambda one: one.at, reverse=True))


def recoveries(job: Job, tracks: OutcomesByKey, catalog: Catalog) -> tuple[Recovery, ...]:
    """Successes of similar jobs on sizes that would be a remedy for this job too."""
    found = []
    for end in successes(tracks):
        cause = Cause(end.verdict) if end.verdict in _CAUSES else Cause.UNKNOWN
        if similar_sizes.is_remedy(end.size, job, cause, catalog):
            found.append(Recovery(cause, end.at, similar_sizes.words_of(end.size)))
    return tuple(found)


_CAUSES = frozenset(cause.value for cause in Cause)


def tried_in_vain(
    case: Case, verdict: Cause, ledger: Ledger, policies: Policies, vertex: VertexProject
) -> tuple[VainAttempt, ...]:
    """What other runs of the same work tried in vain for this failure, since the same work last succeeded.

    Whether one did is asked of Vertex only where something was tried in vain; raises as the list does.
    """
    if verdict in PASSING:
        return ()
    job, since = case.job, case.now - vain.REPEATED_AFTER
    track = track_in_vain(job, case.attempts, policies)
    found = [
        one for one in ledger.vain_attempts(track) if one.at > since and one.verdict == verdict
    ]
    if not found:
        return ()
    listed = vertex.list(
        job.kind,
        job.name.location,
        states=(JobState.SUCCEEDED,),
        created_after=min(one.at for one in found) - _LONGEST_RUN,
        view=JobView.WHOLE,  # with its end
    )
    succeeded = (*case.earlier, *itertools.islice(listed, _MOST_SUCCESSES))
    # Jobs that are alike do other shares of the work: of this one they say nothing.
    same = (one for one in succeeded if track_in_vain(one, (), policies) == track)
    last = max((at for one in same if (at := one.end_time or one.create_time)), default=None)
    return tuple(one for one in found if last is None or one.at >= last)


_LONGEST_RUN = timedelta(days=7)  # documented: a custom job's time-out where it sets none
_MOST_SUCCESSES = 500  # chosen: of a project's jobs since, the newest first


def similar_job_keys(job: Job, policies: Policies) -> tuple[str, ...]:
    """The keys under which the ledger holds how similar jobs ended; none where nothing is like this one."""
    key = alike(job, account=_account(policies))
    return (key,) if key else ()


def track_in_vain(job: Job, attempts: Sequence[Attempt], policies: Policies) -> str:
    """The key under which the ledger holds what was tried in vain for this work; empty: none."""
    return vain_track(draft.origin(job, attempts), account=_account(policies))


def _account(policies: Policies) -> str | None:
    return EVERY_ACCOUNT if policies.learn_across_accounts else None
