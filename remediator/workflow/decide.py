"""From a case to a plan: what the ledger and the project know is laid before the policies.

Owns the asking: history, budgets, somebody else's rerun, a wait that is over or a yes that was given.
Decides nothing: `policy.plan` does. Called by `incident` and `resubmit`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from msgspec.structs import replace

from remediator.case import Case, Recovery
from remediator.catalog.catalog import Catalog
from remediator.diagnosis import diagnose
from remediator.domain import (
    PASSING,
    Action,
    Attempt,
    Cause,
    Diagnosis,
    Evidence,
    Guard,
    History,
    JobState,
    PermanentError,
    PermissionDenied,
    Plan,
    Source,
    TransientError,
    VainAttempt,
)
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job, JobView, summary
from remediator.job.likeness import EVERY_ACCOUNT, alike, breaker_track, vain_track
from remediator.ledger import (
    Approval,
    ApprovalChoice,
    BreakerPause,
    Chain,
    Conclusion,
    Incident,
    Ledger,
    Limit,
    PastOutcome,
    pause_of,
)
from remediator.planning import budgets, plan, sizing, vain
from remediator.policy import Policies
from remediator.policy.model import Limits
from remediator.workflow.incident_context import RETRY_WINDOW, IncidentContext
from remediator.workflow.services import Configuration, VertexProject

OutcomesByKey = Mapping[str, Sequence[PastOutcome]]


def similar_outcomes(job: Job, ledger: Ledger, policies: Policies) -> OutcomesByKey:
    """How resubmissions of similar jobs ended, by the key that makes them similar."""
    return ledger.outcome_history(_similar_job_keys(job, policies))


def _vain_track(job: Job, attempts: Sequence[Attempt], policies: Policies) -> str:
    account = EVERY_ACCOUNT if policies.learn_across_accounts else None
    return vain_track(vain.origin(job, attempts), account=account)


def tried_in_vain(
    case: Case, verdict: Cause, ledger: Ledger, policies: Policies, vertex: VertexProject
) -> tuple[VainAttempt, ...]:
    """What other runs of the same work tried in vain for this failure, since the same work last succeeded.

    Whether one did is asked of Vertex only where something was tried in vain; raises as the list does.
    """
    if verdict in PASSING:
        return ()
    job, since = case.job, case.now - vain.REPEATED_AFTER
    track = _vain_track(job, case.attempts, policies)
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
    same = (one for one in succeeded if _vain_track(one, (), policies) == track)
    last = max((at for one in same if (at := one.end_time or one.create_time)), default=None)
    return tuple(one for one in found if last is None or one.at >= last)


_LONGEST_RUN = timedelta(days=7)  # documented: a custom job's time-out where it sets none
_MOST_SUCCESSES = 500  # chosen: of a project's jobs since, the newest first


def _similar_job_keys(job: Job, policies: Policies) -> tuple[str, ...]:
    account = EVERY_ACCOUNT if policies.learn_across_accounts else None
    key = alike(job, account=account)
    return (key,) if key else ()


def diagnose_case(case: Case, policies: Policies) -> Diagnosis:
    return diagnose(case, probe_threshold_seconds=policies.probes.threshold.total_seconds())


def diagnosis_of_a_log(answer: Diagnosis) -> Diagnosis:
    """The diagnosis of a log without a job: what its stand-in's error says, the log's end said."""
    return replace(
        answer,
        causes=tuple(
            replace(
                cause,
                evidence=_of_the_log(cause.evidence),
                against=tuple(item for item in cause.against if not _is_of_stand_in(item)),
            )
            for cause in answer.causes
        ),
    )


def _of_the_log(evidence: Sequence[Evidence]) -> tuple[Evidence, ...]:
    lines = tuple(item for item in evidence if not _is_of_stand_in(item))
    status = next((m[1] for item in evidence if (m := _STATUS.search(item.says))), "")
    if lines or not status:
        return lines or tuple(evidence)
    return (Evidence(Source.LOG, "logEntries", f"the log ends with exit status {status}"),)


def _is_of_stand_in(item: Evidence) -> bool:
    return item.source is Source.JOB


_STATUS = late_pattern(r"non-zero status of (\d+)")


def prefetch(job: Job, config: Configuration, ledger: Ledger, now: datetime) -> None:
    """Have at hand what `plan_incident` will ask of the ledger; that it fails is found out there."""
    policies = config.policies()
    names = [one.name for one in policies.policies if one.do][:_MOST_PREFETCHED]
    ledger.prefetch(
        switches=("stop",),
        counters=[one.key for one in budgets.budgets(policies.limits, job, now)],
        tracks=[
            *_similar_job_keys(job, policies),
            *filter(None, (_vain_track(job, (), policies),)),
            *(breaker_track(name, job) for name in names),
        ],
    )


_MOST_PREFETCHED = 50  # policies whose past is read before it is known which one decides


def plan_incident(
    case: Case,
    found: Diagnosis,
    incident: Incident,
    chain: Chain,
    config: Configuration,
    vertex: VertexProject,
    ledger: Ledger,
    *,
    similar: OutcomesByKey,
    external_rerun: Callable[[], str] | None = None,
) -> Plan:
    """The plan; where it would resubmit, somebody else's rerun is looked for and asked again.

    `similar` are the tracks of similar jobs. `external_rerun` gives what `find_external_rerun`
    found, where that was asked beside the evidence.
    """
    policies = config.policies()
    history = history_of(case.job, incident, chain, config, ledger, case.now, successes(similar))
    waited = incident.not_before is not None and incident.not_before <= case.now

    def asked(history: History, skipped: frozenset[tuple[int, int]]) -> Plan:
        return plan(
            case,
            found,
            policies,
            history,
            config.catalog,
            waited=waited,
            passed_over=frozenset(step for step, way in skipped if not way),
            ways_passed_over=frozenset(one for one in skipped if one[1]),
        )

    made = asked(history, frozenset())
    before = _tried_before(made, case, incident, policies, vertex, ledger)
    if isinstance(before, Plan):
        return before
    if before:
        history = replace(history, vain=before)
        made = asked(history, frozenset())
    skipped = _skipped(chain, made.policy)
    if skipped:
        made = asked(history, skipped)
    if made.action is not Action.ALERT:
        paused = _pause(made.policy, case.job, config, ledger, case.now)
        if paused is not None and case.now < paused.until:
            whose = _breaker_words(made.policy, case.job)
            history = replace(
                history, breaker_open=f"{whose}, {paused}", breaker_until=paused.until
            )
            made = asked(history, skipped)
    if made.action is not Action.ALERT:
        rerun = _answer_or_plan(
            external_rerun or (lambda: find_external_rerun(case.job, vertex, ledger)),
            "whether somebody ran it again",
            made,
            incident,
            case.now,
        )
        if isinstance(rerun, Plan):
            return rerun
        if rerun:
            made = asked(replace(history, rerun_by=rerun), skipped)
    return _with_approval(made, incident)


def _tried_before(
    made: Plan,
    case: Case,
    incident: Incident,
    policies: Policies,
    vertex: VertexProject,
    ledger: Ledger,
) -> tuple[VainAttempt, ...] | Plan:
    """What was tried in vain, where the plan would change something; else a plan that asks a person."""
    if made.action is Action.ALERT or not made.changes:
        return ()
    return _answer_or_plan(
        lambda: tried_in_vain(case, made.verdict, ledger, policies, vertex),
        "whether such a job succeeded since the same was tried in vain",
        made,
        incident,
        case.now,
    )


T = TypeVar("T")


def _answer_or_plan(
    ask: Callable[[], T], question: str, made: Plan, incident: Incident, now: datetime
) -> T | Plan:
    """What a side question is answered; the plan as it is left to a person, where it got no answer.

    Raises what may be answered later, for as long as events come again.
    """
    try:
        return ask()
    except (TransientError, PermissionDenied) as err:  # it may pass, or be granted
        if now - incident.first_known < RETRY_WINDOW:
            raise
        return left_to_a_person(made, f"{question}: {err}")
    except PermanentError as err:
        return left_to_a_person(made, f"{question}: {err}")


def left_to_a_person(made: Plan, not_known: str) -> Plan:
    """The plan where somebody else may be about to run the job again: told, and left to a person."""
    if made.action is Action.ALERT:
        return made
    why = f"nothing was resubmitted, since it is not known {not_known}"
    return replace(
        made, action=Action.ALERT, because=f"{made.because}; {why}", notes=(why, *made.notes)
    )


def _pause(
    policy: str, job: Job, config: Configuration, ledger: Ledger, now: datetime
) -> BreakerPause | None:
    """The pause that the policy's breaker asks for such jobs, over or not; None: it asks for none."""
    breaker = limits_of(policy, config).breaker
    if breaker is None:
        return None
    key = breaker_track(policy, job)
    return pause_of(
        ledger.outcome_history((key,))[key],
        now,
        failed_share=breaker.failed_share,
        of_last=breaker.of_last,
        pause=breaker.pause,
    )


def _breaker_words(policy: str, job: Job) -> str:
    model, account = job.model_name, job.service_account or "the default account"
    of = f" of {model}" if model else ""
    return f"of the policy {policy}'s resubmissions{of} for {account}"


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
        if sizing.is_remedy(end.size, job, cause, catalog):
            found.append(Recovery(cause, end.at, sizing.words_of(end.size)))
    return tuple(found)


_CAUSES = frozenset(cause.value for cause in Cause)


def _skipped(chain: Chain, policy: str) -> frozenset[tuple[int, int]]:
    """The policy's steps that Vertex refused for want of quota or machines: (step, way), way 0 for a
    step without a fallback."""
    found = (one.rpartition(":") for one in chain.skipped)
    parts = (step.partition("/") for name, _, step in found if name == policy)
    return frozenset((int(step), int(way or 0)) for step, _, way in parts)


def skip_key(policy: str, step: int, entry: int) -> str:
    """How a step, or one way of its fallback, is written down among what is skipped."""
    return f"{policy}:{step}/{entry}" if entry else f"{policy}:{step}"


def history_of(
    job: Job,
    incident: Incident,
    chain: Chain,
    config: Configuration,
    ledger: Ledger,
    now: datetime,
    similar: Sequence[PastOutcome],
) -> History:
    settings = config.settings
    # A claim that stands for this very step has set its money aside: it does not count against itself.
    standing = chain.claim if chain.claim and chain.claim.incident == incident.key else None
    own = {one.key: one for one in standing.reservations} if standing else {}
    held = (standing.estimated_usd or 0.0) if standing else 0.0
    used = {
        budget: ledger.used(budget_limit(budget, 0.0), now, apart_from=own.get(budget.key))
        for budget in budgets.budgets(config.policies().limits, job, now)
    }
    history = History(
        attempts=chain.attempts,
        root=chain.root,
        usd_this_job=max(0.0, chain.spent_usd + chain.reserved_usd - held),
        stopped=settings.stop or ledger.stopped(),
        too_old=incident.conclusion is Conclusion.TOO_OLD,
        parent=job.parent,
        service_accounts=settings.service_accounts,
        max_mode=settings.max_mode,
        max_usd_per_day=settings.max_usd_per_day,
        max_usd_per_job=settings.max_usd_per_job,
        sizes_that_worked=tuple(one.size for one in similar if one.size),
        longest_similar_seconds=max((one.seconds or 0.0 for one in similar), default=None) or None,
        resume_bucket=settings.resume_bucket,
        resume_dataset=settings.resume_dataset,
    )
    return budgets.with_use(history, used)


def budget_limit(budget: budgets.Budget, usd: float) -> Limit:
    return Limit(
        key=budget.key,
        guard=budget.guard.value,
        limit=math.inf if budget.limit is None else budget.limit,
        amount=usd if budget.unit == "usd" else 1.0,
        window_seconds=budget.window_seconds,
    )


def claim_limits(
    context: IncidentContext, config: Configuration, ledger: Ledger, now: datetime
) -> tuple[Limit, ...]:
    """The budgets that the claim must fit into, the policy's own where they are tighter."""
    limits = limits_of(context.plan.policy, config)
    usd = context.plan.estimated_usd or 0.0
    money = tuple(budget_limit(budget, usd) for budget in budgets.budgets(limits, context.job, now))
    paused = _pause(context.plan.policy, context.job, config, ledger, now)
    if paused is None or limits.breaker is None:
        return money
    # The pause is over: one resubmission tries, and the others wait for how it ends.
    key = f"trial:{breaker_track(context.plan.policy, context.job)}"
    window = limits.breaker.pause.total_seconds()
    return (*money, Limit(key, Guard.BREAKER.value, 1.0, 1.0, window))


def limits_of(policy: str, config: Configuration) -> Limits:
    """The limits that hold for a policy's resubmissions; the general ones where it is gone."""
    policies = config.policies()
    own = next((one for one in policies.policies if one.name == policy), None)
    return policies.limits_for(own) if own else policies.limits


def job_budget(policy: str, config: Configuration) -> float | None:
    """What all resubmissions of one root job may cost, US dollars; None: no limit."""
    bounds = (limits_of(policy, config).usd_per_job, config.settings.max_usd_per_job)
    return min((bound for bound in bounds if bound is not None), default=None)


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


def _with_approval(made: Plan, incident: Incident) -> Plan:
    """A yes that was given to this very plan turns it into a resubmission."""
    approval = incident.approval
    if (
        made.action is not Action.APPROVE
        or approval is None
        or approval.answer is not ApprovalChoice.APPROVED
    ):
        return made
    if covers(approval, made):
        return replace(made, action=Action.RESUBMIT)
    if approval.digest != made.digest:
        return made
    why = (
        f"{approval.by} approved it at {_sum_words(approval.estimated_usd)}, "
        f"{_sum_words(approval.worst_case_usd)} at most; it costs more now, so it is asked again"
    )
    return replace(made, because=f"{made.because} {why}.", notes=(why, *made.notes))


def covers(approval: Approval, made: Plan) -> bool:
    """Whether the plan is the one that was shown: neither dearer nor longer by more than a tenth."""
    return approval.digest == made.digest and all(
        _is_within(now, shown)
        for now, shown in (
            (made.estimated_usd, approval.estimated_usd),
            (made.worst_case_usd, approval.worst_case_usd),
            (made.longest_seconds, approval.longest_seconds),
        )
    )


def _is_within(now: float | None, shown: float | None) -> bool:
    if now is None or shown is None:  # what became known, or unknown, since is something else
        return now is shown
    return now <= shown * _RISE + _CENT


_RISE = 1.1
_CENT = 0.005  # what was shown was rounded


def _sum_words(usd: float | None) -> str:
    return "an unknown price" if usd is None else f"${usd:,.2f}"
