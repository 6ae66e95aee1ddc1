"""One incident from beginning to end: from a hint to a resubmission, or to the reason for none.

Owns the order of things: the job's truth, evidence, diagnosis, plan, and what the plan says.
Decides nothing itself (diagnosis and policy do) and knows no concrete service: it sees its services
through `Services`. Called by `app` for an event, and by `reconcile` when time has passed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from remediator import log
from remediator.alerts import AlertKind
from remediator.case import Case
from remediator.deadline import run_in_thread
from remediator.diagnosis import settled, warm_up
from remediator.domain import (
    SILENT_GUARDS,
    Action,
    Cause,
    Guard,
    JobKind,
    JobName,
    JobState,
    Mode,
    NotFound,
    PermanentError,
    PermissionDenied,
    TransientError,
)
from remediator.evidence.log_budget import LOG_READS
from remediator.intake import Hint
from remediator.job import Job, summary
from remediator.ledger import (
    CancelReason,
    Chain,
    Conclusion,
    Incident,
    Stage,
    UnreadableDocument,
)
from remediator.log import LogEvent
from remediator.planning import costs
from remediator.report.curves import kept_curves
from remediator.workflow import running_attempts
from remediator.workflow.adoption import adopt_forsaken, resolve_claim
from remediator.workflow.approval import ask_for_approval
from remediator.workflow.conclusions import (
    alert_missing_permission,
    close_chain,
    close_incident,
    conclude_with_alert,
    settle_attempt,
    wait_until_due,
)
from remediator.workflow.decide import (
    diagnose_case,
    find_external_rerun,
    is_own_unrecorded_attempt,
    left_to_a_person,
    plan_incident,
    prefetch,
    recoveries,
    similar_outcomes,
)
from remediator.workflow.incident_key import key_of
from remediator.workflow.ownership import Parent, find_parent, unknown_parent
from remediator.workflow.permanent_errors import alert_permanent_error, alert_unreadable_document
from remediator.workflow.refused_create import handle_refused_create
from remediator.workflow.resubmit import (
    TryNextStep,
    find_job_by_claim,
    record_attempt,
    resubmit,
    withdraw_expired_claim,
)
from remediator.workflow.services import (
    RETRY_WINDOW,
    IncidentContext,
    Services,
    new_incident,
)

FOLLOWED_EVERY = timedelta(minutes=5)


def handle(hint: Hint, services: Services) -> str:
    """Handle one event's hint; answers what was done, in a few words for the log.

    Raises TransientError where the event should come again.
    """
    if not _is_ours(hint.project, services):
        return f"ignored: {hint.project} is another project"
    if hint.refusal is not None:
        return handle_refused_create(hint, hint.refusal, services)
    try:
        ahead = run_in_thread(lambda: _prefetch(hint, services))
        job = _read_job(hint, services)
        ahead()
        if job is None:
            return "ignored: there is no such job (any more)"
        return consider(job, services, known_since=hint.published or services.now())
    except PermissionDenied as err:  # of our own account: told, and tried again until it is granted
        alert_missing_permission(err, services)
        raise TransientError(str(err)) from err


def _is_ours(project: str, services: Services) -> bool:
    return project in services.project()


def _is_served(name: JobName, services: Services) -> bool:
    """Whether its region may be asked: it is served, or the ledger knows the job.

    Whoever writes logs can name any region, and each one asked costs a connection that is kept. A job
    of ours in another region (a fallback of the policy file) is in the ledger since it was made.
    """
    if name.location in services.locations():
        return True
    return (
        services.ledger.root_of(name.key) is not None
        or services.ledger.incident(name.key) is not None
    )


def _prefetch(hint: Hint, services: Services) -> None:
    """Have at hand what will be asked of the ledger and of the job's texts, while the job is read."""
    places = services.locations()
    name = hint.job
    if name is None and len(places) == 1:
        name = JobName(services.project()[0], places[0], JobKind.CUSTOM, hint.custom_job_id)
    keys = (name.key,) if name else ()
    services.ledger.prefetch(incidents=keys, created=keys, chains=keys, counters=(LOG_READS,))
    warm_up()


def _read_job(hint: Hint, services: Services) -> Job | None:
    if hint.job is None:
        return services.jobs.find(
            JobKind.CUSTOM,
            hint.custom_job_id,
            services.locations(),
            services.project()[0],
            timeout_seconds=services.call_seconds,
        )
    if not _is_ours(hint.job.project, services):
        log.say(
            "ERROR",
            LogEvent.FOREIGN_JOB_NAMED,
            f"the entry names a job of another project: {hint.job}",
        )
        return None
    if not _is_served(hint.job, services):
        log.say(
            "WARNING",
            LogEvent.REGION_NOT_SERVED,
            f"the entry names a job in a region that is not served: {hint.job}",
        )
        return None
    try:
        return services.jobs.get(hint.job, timeout_seconds=services.call_seconds)
    except NotFound:
        return None


# --- from the job's truth to a conclusion --------------------------------------------------------


def consider(
    job: Job, services: Services, *, known_since: datetime, late_sink: bool = False
) -> str:
    """Bring one job's incident as far as it can be brought now; safe to call any number of times."""
    try:
        return _consider(job, services, known_since=known_since, late_sink=late_sink)
    except PermissionDenied:  # it may be granted
        raise
    except UnreadableDocument as err:
        return alert_unreadable_document(job, err, services)
    except PermanentError as err:
        return alert_permanent_error(job, err, services)


def _consider(job: Job, services: Services, *, known_since: datetime, late_sink: bool) -> str:
    now = services.now()
    key = key_of(job, services.ledger)
    if is_own_unrecorded_attempt(job, services) and not adopt_forsaken(job, services, now):
        # Before it is asked for: what is unrecorded becomes recorded.
        msg = "an attempt of ours that is not written down yet"
        raise TransientError(msg)
    root = services.ledger.root_of(key)
    incident = services.ledger.incident(key)
    if incident is not None and incident.stage is Stage.DONE:
        return f"already handled: {incident.conclusion or incident.reason}"
    if not job.state.is_terminal:
        return _follow(job, key, incident, services, now)
    if not job.is_failure:
        return _conclude_unfailed(job, incident, root or key, services, now)
    prefetch = None
    if incident is None:
        new = _new(job, key, known_since, now, root or key, services)
        if new.conclusion is Conclusion.NONE and not _switched_off(job):
            prefetch = _Prefetch.reading(job, services, now)
        incident = services.ledger.open(new)
        if (
            incident.stage is Stage.DONE
        ):  # too old, or another execution was through with it just now
            return _done_when_opened(incident)
    return _handle_failure(job, incident, services, now, prefetch=prefetch, late_sink=late_sink)


def _handle_failure(
    job: Job,
    incident: Incident,
    services: Services,
    now: datetime,
    *,
    prefetch: _Prefetch | None,
    late_sink: bool,
) -> str:
    """A failure with its incident: an attempt of ours is settled, then it is decided."""
    if incident.stage is Stage.FOLLOWED:
        incident = _ended_now(incident, job, services, now)
    if late_sink and not incident.silent_sink:
        incident = replace(incident, silent_sink=True)
    chain = services.ledger.chain(incident.root) or Chain(key=incident.root, root=str(job.name))
    if incident.attempt:
        running_attempts.alert_if_over_budget(job, incident, services, now)
        chain = settle_attempt(job, chain, services, final=False)
    return _decide(job, incident, chain, services, now, prefetch=prefetch)


def _ended_now(incident: Incident, job: Job, services: Services, now: datetime) -> Incident:
    """A job that was followed, for days perhaps: as a failure it is known from now on."""
    ended = replace(
        incident,
        stage=Stage.UNSETTLED,
        first_known=now,
        due=now + services.settings.lease,
        ended=job.end_time,
    )
    if not services.ledger.move(ended):
        msg = "another execution moved this incident on"
        raise TransientError(msg)
    return replace(ended, version=ended.version + 1)


def _done_when_opened(incident: Incident) -> str:
    if incident.conclusion is Conclusion.TOO_OLD:
        return "recorded: it had failed long before it became known"
    return f"already handled: {incident.conclusion or incident.reason}"


@dataclass(frozen=True, slots=True)
class _Prefetch:
    """What is read side by side for a failure; each gives its result, or raises, when called."""

    parent: Callable[[], Parent]
    case: Callable[[], Case]
    prefetch: Callable[[], None]
    faster: Callable[[], str] | None

    @classmethod
    def reading(cls, job: Job, services: Services, now: datetime) -> _Prefetch:
        """Begins them all. What a settled cause will need is known at once, so no more is asked."""
        by_itself = settled(job) is not None
        start = run_in_thread
        return cls(
            parent=start(lambda: _find_parent(job, services)),
            case=start(lambda: services.gather(job, now=now, attempts=(), settled=by_itself)),
            prefetch=start(lambda: prefetch(job, services, now)),
            faster=None if by_itself else start(lambda: find_external_rerun(job, services)),
        )


def _follow(
    job: Job, key: str, incident: Incident | None, services: Services, now: datetime
) -> str:
    """No state but a terminal one is an end, however long that takes."""
    stored = incident or services.ledger.open(
        replace(
            new_incident(job, now, key, key=key),
            stage=Stage.FOLLOWED,
            due=now,
        )
    )
    if incident is not None and incident.is_watch_cancel:
        from remediator.workflow.watch_actions import follow_cancel  # noqa: PLC0415  # cold start

        return follow_cancel(job, incident, services, now)
    if incident is not None:
        stored = running_attempts.check_attempt(job, stored, services, now)
        # The longer it has run, the rarer it is looked at: a tenth of its age, five minutes at most.
        pause = min((now - stored.first_known) / 10, FOLLOWED_EVERY)
        services.ledger.move(replace(stored, stage=Stage.FOLLOWED, due=now + pause))
    return f"followed: the job is {job.state}"


def _conclude_unfailed(
    job: Job, incident: Incident | None, root: str, services: Services, now: datetime
) -> str:
    if job.state is JobState.CANCELLED:
        stored = incident or services.ledger.open(
            new_incident(job, now, root, key=key_of(job, services.ledger))
        )
        if stored.attempt:
            running_attempts.alert_if_over_budget(job, stored, services, now)
        if stored.is_watch_cancel and stored.stage is not Stage.APPROVAL:
            from remediator.workflow.watch_actions import (  # noqa: PLC0415  # cold start
                conclude_cancelled,
            )

            return conclude_cancelled(job, stored, services, now)
        if stored.attempt:
            never_ran = stored.cancel_reason is CancelReason.NO_MACHINE
            if never_ran and running_attempts.step_over(job, stored, services, now):
                return "stepped over: the attempt never got a machine"
            return close_chain(job, stored, services, now, AlertKind.GIVEN_UP, Conclusion.GIVEN_UP)
        close_incident(stored, services, Conclusion.IGNORED, Guard.CANCELLED_BY_PERSON.value)
        return "ignored: a person cancelled it"
    if incident is None:
        return f"ignored: the job is {job.state}"
    if incident.attempt:
        running_attempts.alert_if_over_budget(job, incident, services, now)
        return close_chain(job, incident, services, now, AlertKind.RECOVERED, Conclusion.RECOVERED)
    close_incident(incident, services, Conclusion.IGNORED, f"the job is {job.state}")
    return f"ignored: the job is {job.state}"


def _new(
    job: Job, key: str, known_since: datetime, now: datetime, root: str, services: Services
) -> Incident:
    incident = new_incident(job, known_since, root, key=key)
    if job.end_time and known_since - job.end_time > services.settings.lookback:
        return replace(incident, stage=Stage.DONE, conclusion=Conclusion.TOO_OLD)
    return replace(incident, due=now + services.settings.lease)


def _decide(
    job: Job,
    incident: Incident,
    chain: Chain,
    services: Services,
    now: datetime,
    *,
    prefetch: _Prefetch | None = None,
) -> str:
    """Evidence, diagnosis, plan; then what the plan says."""
    if _switched_off(job):
        return _ignore_incident(incident, chain, services, now, Guard.LABEL_OFF)
    ask = prefetch.parent if prefetch else lambda: _find_parent(job, services)
    try:
        parent = _parent_or_unknown(incident, ask, now)
    except PermissionDenied as err:  # asked again in each round; no event need come for it
        alert_missing_permission(err, services)
        services.ledger.move(replace(incident, due=now))
        return f"waiting for a permission: {err}"
    if parent.parent:
        log.say(
            "INFO",
            LogEvent.CHILD_JOB_LEFT_TO_PARENT,
            f"it belongs to {parent.parent}, which is the incident",
            job=str(job.name),
        )
        return _ignore_incident(incident, chain, services, now, Guard.HAS_PARENT)
    if prefetch is None:
        prefetch = _Prefetch.reading(job, services, now)
    case = replace(prefetch.case(), attempts=chain.attempts)
    prefetch.prefetch()
    similar = similar_outcomes(job, services.ledger, services.policies())
    case = replace(case, recoveries=recoveries(job, similar, services.catalog))
    found = diagnose_case(case, services.policies())
    if not found.settled_by_error and job.end_time:
        settles = job.end_time + services.settings.settle
        if now < settles:
            services.ledger.move(replace(incident, stage=Stage.UNSETTLED, due=settles))
            return f"waiting for evidence until {settles:%H:%M:%S} UTC"
    passing = [gap for gap in case.gaps if gap.may_pass]
    if passing and found.verdict is Cause.UNKNOWN and now - incident.first_known < RETRY_WINDOW:
        msg = "; ".join(f"{gap.source}: {gap.why}" for gap in passing)
        raise TransientError(msg)
    made = plan_incident(
        case, found, incident, chain, services, similar=similar, faster=prefetch.faster
    )
    if parent.unknown:
        made = left_to_a_person(made, parent.gaps[0].why)
    case = replace(case, gaps=(*case.gaps, *parent.gaps))
    judged = replace(
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
        evidence=services.outbox.kept_evidence(found),
        owner=summary.owner_of(job),
        team=summary.team_of(job),
        account=job.service_account or "",
        image=next(iter(job.images(case.model)), "").rpartition("/")[2],
        model_title=str((case.model or {}).get("displayName") or ""),
        accelerators=summary.accelerators_of(job),
        run_usd=costs.spent_usd(job, services.catalog),
        curves=kept_curves(case),
        channels=made.alerts,
    )
    done = _carry_out(IncidentContext(job, case, found, made, judged, chain), services, now)
    if isinstance(done, TryNextStep):
        return _decide(job, done.incident, done.chain, services, now)
    return done


def _switched_off(job: Job) -> bool:
    return job.labels.get("remediator") == "off"


def _find_parent(job: Job, services: Services) -> Parent:
    return find_parent(
        job, services.jobs, services.project()[0], timeout_seconds=services.call_seconds
    )


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
    made = resolve_claim(incident, chain, services, now)
    if made:
        return made
    close_incident(incident, services, Conclusion.IGNORED, guard.value)
    return f"ignored: {guard.value}"


# --- carrying a plan out -------------------------------------------------------------------------


def _carry_out(context: IncidentContext, services: Services, now: datetime) -> str | TryNextStep:
    wanted, incident = context.plan, context.incident
    held = context.chain.claim
    if held is not None and held.incident == incident.key:
        made = find_job_by_claim(held, context.job.name, services)
        if made is not None:
            return record_attempt(context, held, made, services, now)
        if wanted.action is not Action.RESUBMIT or wanted.mode is Mode.OBSERVE:
            withdraw_expired_claim(context.chain.key, held, services, now)
    if wanted.mode is Mode.OBSERVE and wanted.action is not Action.ALERT:
        return conclude_with_alert(context, services, now, AlertKind.OBSERVED, Conclusion.OBSERVED)
    if wanted.action is Action.ALERT:
        if wanted.refused_by and set(wanted.refused_by) <= SILENT_GUARDS:
            reason = ", ".join(guard.value for guard in wanted.refused_by)
            close_incident(incident, services, Conclusion.IGNORED, reason)
            return f"ignored: {reason}"
        if context.chain.attempts:
            return conclude_with_alert(
                context, services, now, AlertKind.GIVEN_UP, Conclusion.GIVEN_UP
            )
        return conclude_with_alert(context, services, now, AlertKind.ALERT, Conclusion.ALERTED)
    if wanted.action is Action.WAIT:
        return wait_until_due(context, services, now)
    if wanted.action is Action.APPROVE:
        return ask_for_approval(context, services, now)
    return resubmit(context, services)
