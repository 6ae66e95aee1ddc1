"""From a case to a plan: what the ledger and the project know is laid before the policies.

Owns the asking: history, a wait that is over, a yes that was given, and what else must be known before a
resubmission (`similar_jobs`, `limits`, `ownership`). Decides nothing: `planning.plan` does. Called by
`failure`, `refused_create` and `watch_actions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from msgspec.structs import replace

from remediator import log
from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.domain import (
    Action,
    Cause,
    Diagnosis,
    History,
    PermanentError,
    PermissionDenied,
    Plan,
    TransientError,
    VainAttempt,
)
from remediator.job import Job
from remediator.job.likeness import breaker_track
from remediator.ledger import (
    ApprovalChoice,
    Chain,
    Conclusion,
    Incident,
    Ledger,
    PastOutcome,
)
from remediator.ledger.approvals import covers
from remediator.planning import budgets, plan
from remediator.policy import Policies
from remediator.workflow.incident_context import RETRY_WINDOW
from remediator.workflow.limits import breaker_pause, budget_limit
from remediator.workflow.ownership import find_external_rerun
from remediator.workflow.services import Configuration, VertexProject
from remediator.workflow.similar_jobs import (
    OutcomesByKey,
    similar_job_keys,
    successes,
    track_in_vain,
    tried_in_vain,
)


def diagnose_case(case: Case, policies: Policies) -> Diagnosis:
    """The diagnosis; without a verdict where reading the evidence raises, which is a fault of ours.

    The same evidence would raise again at every delivery, and nobody would hear of the failed job.
    """
    try:
        return diagnose(case, probe_threshold_seconds=policies.probes.threshold.total_seconds())
    except Exception as err:  # noqa: BLE001  # the fault is logged, and people are told of their job
        log.fault("the diagnosis failed", err, job=str(case.job.name))
        wish = f"a version of vertex-remediator that can read this job's evidence: today's fails with {type(err).__name__}, its own log says where"
        return Diagnosis(
            job=str(case.job.name),
            kind=case.job.kind,
            verdict=Cause.UNKNOWN,
            causes=(),
            missing=(wish,),
        )


def prefetch(job: Job, config: Configuration, ledger: Ledger, now: datetime) -> None:
    """Have at hand what `plan_incident` will ask of the ledger; that it fails is found out there."""
    policies = config.policies()
    names = [one.name for one in policies.policies if one.do][:_MOST_PREFETCHED]
    ledger.prefetch(
        switches=("stop",),
        counters=[one.key for one in budgets.budgets(policies.limits, job, now)],
        tracks=[
            *similar_job_keys(job, policies),
            *filter(None, (track_in_vain(job, (), policies),)),
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
    skipped = chain.skipped_steps(made.policy)
    if skipped:
        made = asked(history, skipped)
    if made.action is not Action.ALERT:
        paused = breaker_pause(made.policy, case.job, config, ledger, case.now)
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


def _breaker_words(policy: str, job: Job) -> str:
    model, account = job.model_name, job.service_account or "the default account"
    of = f" of {model}" if model else ""
    return f"of the policy {policy}'s resubmissions{of} for {account}"


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


def _sum_words(usd: float | None) -> str:
    return "an unknown price" if usd is None else f"${usd:,.2f}"
