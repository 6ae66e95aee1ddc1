"""A failure from its incident to what the policies do about it: evidence, diagnosis, plan, deed.

Owns the order of these, what is read side by side, and the loop that takes the next step where Vertex has
no room for one. Decides nothing itself (diagnosis and policy do). Called by `incident`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from remediator import log
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.deadline import run_in_thread
from remediator.diagnosis import settled
from remediator.domain import (
    SILENT_GUARDS,
    Action,
    Cause,
    Diagnosis,
    Guard,
    InvalidInput,
    JobState,
    Mode,
    PermanentError,
    PermissionDenied,
    Plan,
    TransientError,
)
from remediator.job import Job, summary
from remediator.job.validation import require_shape
from remediator.ledger import (
    Chain,
    Conclusion,
    Incident,
    Ledger,
    Stage,
)
from remediator.log import LogEvent
from remediator.planning import costs
from remediator.report.curves import kept_curves
from remediator.settings import Settings
from remediator.workflow import running_attempts
from remediator.workflow.adoption import resolve_claim
from remediator.workflow.approval import ask_for_approval
from remediator.workflow.claims import find_job_by_claim, record_attempt, withdraw_expired_claim
from remediator.workflow.conclusions import (
    OBSERVED,
    Ending,
    alert_missing_permission,
    close_incident,
    conclude_with_alert,
    ending_without_change,
    settle_attempt,
    wait_until_due,
)
from remediator.workflow.decide import diagnose_case, left_to_a_person, plan_incident, prefetch
from remediator.workflow.incident_context import (
    RETRY_WINDOW,
    IncidentContext,
    kept_evidence,
)
from remediator.workflow.ownership import (
    Parent,
    find_external_rerun,
    find_parent,
    unknown_parent,
)
from remediator.workflow.resubmit import TryNextStep, resubmit
from remediator.workflow.services import Services
from remediator.workflow.similar_jobs import recoveries, similar_outcomes


def handle_failure(
    job: Job,
    incident: Incident,
    services: Services,
    now: datetime,
    *,
    prefetch: Prefetch | None,
    late_sink: bool,
) -> str:
    """A failure with its incident: an attempt of ours is settled, then it is decided.

    `late_sink`: the sweep found it, and the sink never delivered its entry.
    """
    if incident.stage is Stage.FOLLOWED:
        incident = _ended_now(incident, job, services.config.settings, services.records.ledger, now)
    if late_sink and not incident.silent_sink:
        incident = replace(incident, silent_sink=True)
    ledger = services.records.ledger
    chain = ledger.chain(incident.root) or Chain(key=incident.root, root=str(job.name))
    if incident.attempt:
        running_attempts.alert_if_over_budget(job, incident, services.config, services.records, now)
        chain = settle_attempt(job, chain, ledger, services.config.catalog, final=False)
    return _decide(job, incident, chain, services, now, prefetch=prefetch)


def _ended_now(
    incident: Incident, job: Job, settings: Settings, ledger: Ledger, now: datetime
) -> Incident:
    """A job that was followed, for days perhaps: as a failure it is known from now on."""
    ended = replace(
        incident,
        stage=Stage.UNSETTLED,
        first_known=now,
        due=now + settings.lease,
        ended=job.end_time,
    )
    if not ledger.move(ended):
        msg = "another execution moved this incident on"
        raise TransientError(msg)
    return replace(ended, version=ended.version + 1)


class Prefetch(Struct, frozen=True):
    """What is read side by side for a failure; each gives its result, or raises, when called.

    `ledger_reads` are at hand in the ledger from then on. `external_rerun` is None where nobody need be
    asked.
    """

    parent: Callable[[], Parent]
    case: Callable[[], Case]
    ledger_reads: Callable[[], None]
    external_rerun: Callable[[], str] | None

    @classmethod
    def begin(cls, job: Job, services: Services, now: datetime) -> Prefetch:
        """Begins them all. What a settled cause will need is known at once, so no more is asked."""
        by_itself = settled(job) is not None
        start = run_in_thread
        return cls(
            parent=start(lambda: find_parent(job, services.vertex)),
            case=start(
                lambda: services.evidence.gather(job, now=now, attempts=(), settled=by_itself)
            ),
            ledger_reads=start(
                lambda: prefetch(job, services.config, services.records.ledger, now)
            ),
            external_rerun=None
            if by_itself
            else start(lambda: find_external_rerun(job, services.vertex, services.records.ledger)),
        )


def _decide(
    job: Job,
    incident: Incident,
    chain: Chain,
    services: Services,
    now: datetime,
    *,
    prefetch: Prefetch | None,
) -> str:
    """Decide and do what is decided, step after step, until one is taken or none is left."""
    while True:
        context = _planned(job, incident, chain, services, now, prefetch)
        if isinstance(context, str):
            return context
        done = _carry_out(context, services, now)
        if isinstance(done, str):
            return done
        incident, chain, prefetch = done.incident, done.chain, None  # all is asked anew


def _planned(
    job: Job,
    incident: Incident,
    chain: Chain,
    services: Services,
    now: datetime,
    prefetch: Prefetch | None,
) -> IncidentContext | str:
    """Evidence, diagnosis, plan; or, in words, why there is none now."""
    config, ledger = services.config, services.records.ledger
    if is_switched_off(job):
        return _ignore_incident(incident, chain, services, now, Guard.LABEL_OFF)
    ask = prefetch.parent if prefetch else lambda: find_parent(job, services.vertex)
    try:
        parent = _parent_or_unknown(incident, ask, now)
    except PermissionDenied as err:  # asked again in each round; no event need come for it
        alert_missing_permission(err, config, services.records.outbox, services.clock)
        ledger.move(replace(incident, due=now))
        return f"waiting for a permission: {err}"
    if parent.parent:
        log.say(
            "INFO",
            LogEvent.CHILD_JOB_LEFT_TO_PARENT,
            f"it is part of {parent.parent}, which is handled in its place",
            job=str(job.name),
        )
        return _ignore_incident(incident, chain, services, now, Guard.HAS_PARENT)
    _require_shape(job)
    if prefetch is None:
        prefetch = Prefetch.begin(job, services, now)
    case = replace(prefetch.case(), attempts=chain.attempts)
    prefetch.ledger_reads()
    similar = similar_outcomes(job, ledger, config.policies())
    case = replace(case, recoveries=recoveries(job, similar, config.catalog))
    found = diagnose_case(case, config.policies())
    if not found.settled_by_error and job.end_time:
        settles = job.end_time + config.settings.settle
        if now < settles:
            ledger.move(replace(incident, stage=Stage.UNSETTLED, due=settles))
            return f"waiting for evidence until {settles:%H:%M:%S} UTC"
    passing = [gap for gap in case.gaps if gap.may_pass]
    if passing and found.verdict is Cause.UNKNOWN and now - incident.first_known < RETRY_WINDOW:
        msg = "; ".join(f"{gap.source}: {gap.why}" for gap in passing)
        raise TransientError(msg)
    if not case.is_failure and job.state is JobState.SUCCEEDED:  # its rows alone could have said so
        reason = case.rows_unread or _no_failed_row(case)
        close_incident(incident, ledger, Conclusion.IGNORED, reason)
        return f"ignored: the job is {job.state}, {reason}"
    made = plan_incident(
        case,
        found,
        incident,
        chain,
        config,
        services.vertex,
        ledger,
        similar=similar,
        external_rerun=prefetch.external_rerun,
    )
    if parent.unknown:
        made = left_to_a_person(made, parent.gaps[0].why)
    case = replace(case, gaps=(*case.gaps, *parent.gaps))
    judged = _with_judgement(incident, case, found, made, config.catalog)
    return IncidentContext(job, case, found, made, judged, chain)


def _require_shape(job: Job) -> None:
    """Vertex keeps some parts of a job as they were sent (a Struct): what cannot be read will never be."""
    try:
        require_shape(job)
    except InvalidInput as err:
        raise PermanentError(str(err)) from err


def _no_failed_row(case: Case) -> str:
    """Why a job that succeeded has not failed, as far as its rows can say."""
    if case.rows is not None and not case.rows.sound:
        return f"what became of its rows is not known: {case.rows.because}"
    return "no row of it failed"


def _with_judgement(
    incident: Incident, case: Case, found: Diagnosis, made: Plan, catalog: Catalog
) -> Incident:
    """The incident with what the ledger keeps of its diagnosis and its plan."""
    job = case.job
    return replace(
        incident,
        model=job.model_name or "",
        machine=summary.machine_words(job),
        ended=job.end_time,
        run_seconds=job.run_seconds,
        verdict=found.verdict.value,
        confidence=round(found.confidence, 4),
        policy=made.policy,
        step=made.step,
        action=made.action.value,
        refused_by=tuple(guard.value for guard in made.refused_by),
        changes=made.changes,
        estimated_usd=made.estimated_usd,
        evidence=kept_evidence(found.causes[0].evidence if found.causes else ()),
        owner=summary.owner_of(job),
        team=summary.team_of(job),
        account=job.service_account or "",
        image=next(iter(job.images(case.model)), "").rpartition("/")[2],
        model_title=str((case.model or {}).get("displayName") or ""),
        accelerators=summary.accelerators_of(job),
        run_usd=costs.spent_usd(job, catalog),
        curves=kept_curves(case),
        channels=made.alerts,
    )


def is_switched_off(job: Job) -> bool:
    """Whether the job's own label says that nobody is to do or tell anything."""
    return job.labels.get("remediator") == "off"


def _parent_or_unknown(incident: Incident, ask: Callable[[], Parent], now: datetime) -> Parent:
    """Whose part the job is; raises what may be answered later, for as long as events come again."""
    if incident.attempt:  # what we made is nobody's part
        return Parent()
    try:
        return ask()
    except (TransientError, PermissionDenied) as err:
        if now - incident.first_known < RETRY_WINDOW:
            raise
        return unknown_parent(err)


def _ignore_incident(
    incident: Incident, chain: Chain, services: Services, now: datetime, guard: Guard
) -> str:
    """A failure that nobody is to be told about; a claim that stands for it is resolved first."""
    made = resolve_claim(incident, chain, services.config, services.vertex, services.records, now)
    if made:
        return made
    close_incident(incident, services.records.ledger, Conclusion.IGNORED, guard.value)
    return f"ignored: {guard.value}"


# --- carrying a plan out -------------------------------------------------------------------------


def _carry_out(context: IncidentContext, services: Services, now: datetime) -> str | TryNextStep:
    wanted, incident = context.plan, context.incident
    config, records = services.config, services.records
    held = context.chain.claim
    if held is not None and held.incident == incident.key:
        made = find_job_by_claim(held, context.job.name, services.vertex)
        if made is not None:
            return record_attempt(context, held, made, records, now)
        if wanted.action is not Action.RESUBMIT or wanted.mode is Mode.OBSERVE:
            withdraw_expired_claim(context.chain.key, held, config.settings, records.ledger, now)
    if (
        wanted.action is Action.ALERT
        and wanted.refused_by
        and set(wanted.refused_by) <= SILENT_GUARDS
    ):
        reason = ", ".join(guard.value for guard in wanted.refused_by)
        close_incident(incident, records.ledger, Conclusion.IGNORED, reason)
        return f"ignored: {reason}"
    if wanted.action is Action.ALERT or wanted.mode is Mode.OBSERVE:
        return conclude_with_alert(context, config, records, now, _ending(context))
    if wanted.action is Action.WAIT:
        return wait_until_due(context, records, now)
    if wanted.action is Action.APPROVE:
        return ask_for_approval(context, config, records, now)
    return resubmit(context, services)


def _ending(context: IncidentContext) -> Ending:
    observes = context.plan.mode is Mode.OBSERVE and context.plan.action is not Action.ALERT
    return OBSERVED if observes else ending_without_change(context.chain)
