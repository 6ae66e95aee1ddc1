"""What follows from a running job's trouble: an alert, a question, a cancel, a cancel and a resubmission.

Owns the order in which each is written down and done: first the ledger, then Vertex, so that a crash between
leaves no cancel that looks like a person's. What is cancelled is taken up again as its incident, which says
who cancelled it and why. Called by `watch_jobs` for a new spell, and by `incident` for what was begun.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from remediator import log
from remediator.alerts import AlertFacts, AlertKind
from remediator.alerts.facts import QuestionEnd
from remediator.alerts.running import Trouble, acts, stood_still_usd
from remediator.case import Case
from remediator.diagnosis.texts.last_lines import fields_words
from remediator.domain import (
    Action,
    Cause,
    Diagnosis,
    Guard,
    GuardRefusal,
    Mode,
    PermanentError,
    Plan,
    TransientError,
)
from remediator.job import Job
from remediator.ledger import (
    ApprovalChoice,
    Chain,
    Incident,
    Ledger,
    OutboxMessage,
    Stage,
    WatchedJob,
)
from remediator.ledger.approvals import covers, offer
from remediator.log import LogEvent
from remediator.planning import alert_routing
from remediator.planning.planner import plan_running
from remediator.policy import Policy
from remediator.policy.watch_entries import WatchEntry
from remediator.redaction import redact
from remediator.report.curves import kept_curves
from remediator.watch import WATCHED, WatchPlan, plan_watch
from remediator.workflow.approval import APPROVAL_LASTS, store_question
from remediator.workflow.conclusions import (
    GIVEN_UP,
    close_chain,
    conclude_with_alert,
    settle_attempt,
)
from remediator.workflow.decide import history_of
from remediator.workflow.incident_context import (
    IncidentContext,
    job_facts,
    kept_evidence,
    new_incident,
)
from remediator.workflow.incident_key import key_of
from remediator.workflow.ownership import find_external_rerun, find_parent
from remediator.workflow.resubmit import TryNextStep, resubmit
from remediator.workflow.services import Clock, Configuration, Records, Services, VertexProject

_ASKED_AGAIN = timedelta(minutes=5)
_CANCEL_TAKES = timedelta(minutes=1)
_MOST_LINES = 10
_NO_MACHINE_AGAIN = timedelta(minutes=10)
_TRIES_FOR = timedelta(hours=24)  # how long a cancelled job's place is tried to be filled


def plan_of(
    case: Case, config: Configuration, vertex: VertexProject, ledger: Ledger
) -> WatchPlan | None:
    """What the entries say about the case now, by everything that the guards are asked."""
    policies = config.policies()
    incident, chain = _incident_and_chain(case.job, ledger, case.now)
    history = history_of(case.job, incident, chain, config, ledger, case.now, ())
    case = replace(case, attempts=chain.attempts)
    made = plan_watch(case, policies, history, config.catalog)
    if made is None or made.entry is None:
        return made
    parent = find_parent(case.job, vertex)
    if parent.parent:
        return plan_watch(case, policies, replace(history, parent=parent.parent), config.catalog)
    return made


def _incident_and_chain(job: Job, ledger: Ledger, now: datetime) -> tuple[Incident, Chain]:
    key = key_of(job, ledger)
    root = ledger.root_of(key) or key
    incident = ledger.incident(key) or new_incident(job, now, root, key=key)
    chain = ledger.chain(root) or Chain(key=root, root=str(job.name))
    return incident, chain


# --- a spell begins -------------------------------------------------------------------------------


def act(
    job: Job,
    case: Case,
    made: WatchPlan,
    watched: WatchedJob,
    vertex: VertexProject,
    records: Records,
    now: datetime,
) -> bool:
    """Tell the spell once and do what its entry says; whether this execution told it."""
    entry, plan = made.entry, made.plan
    if entry is None:
        return False
    trouble = _trouble(case, made, entry, now, spell=watched.spells)
    marked = replace(
        watched,
        alerted=made.reason,
        last_lines=trouble.last_lines,
        curves=kept_curves(case),
        entry=entry.name if acts(trouble) else watched.entry,
        reason=made.reason if acts(trouble) else watched.reason,
    )
    if acts(trouble):
        return _cancel(job, case, made, trouble, marked, vertex, records, now)
    if plan.action is Action.APPROVE and plan.mode is Mode.APPROVE:
        return _ask(job, case, made, trouble, marked, records, now)
    facts = _facts(job, trouble, *_incident_and_chain(job, records.ledger, now))

    def store(messages: tuple[OutboxMessage, ...]) -> bool:
        if records.ledger.watched.move(marked, outbox_messages=messages) is None:
            return False
        log.say(
            "NOTICE",
            LogEvent.RUNNING_JOB_ALERTED,
            f"a running job: {plan.because}",
            job=str(job.name),
            policy=entry.name,
        )
        return True

    return records.outbox.publish(facts, plan.alerts, now, store=store)


def _trouble(
    case: Case, made: WatchPlan, entry: WatchEntry, now: datetime, *, spell: int = 0
) -> Trouble:
    plan, seen = made.plan, made.watch
    price = seen.usd_per_hour if seen else None
    lines = [line for line in case.log_lines if line.task != "service"][-_MOST_LINES:]
    held_back = plan.action is Action.ALERT and entry.cancels
    return Trouble(
        reason=made.reason,
        since=made.since,
        now=now,
        confidence=seen.confidence if seen else 0.0,
        usd_per_hour=price,
        usd=stood_still_usd(price, made.since, now),
        evidence=seen.evidence if seen else (),
        entry=entry.name,
        action=plan.action,
        mode=plan.mode,
        resubmits=entry.resubmission is not None,
        refused_by=plan.refused_by if held_back else (),
        why_not="; ".join(plan.reasons) if held_back else "",
        last_lines=tuple(redact(line.text, 300) + fields_words(line) for line in lines),
        spell=spell,
    )


def running_facts(case: Case, made: WatchPlan, entry: WatchEntry) -> AlertFacts:
    """The facts of the alert that a running job's case would give."""
    job, root = case.job, case.job.name.key
    incident = new_incident(job, case.now, root)
    chain = Chain(key=root, root=str(job.name), attempts=case.attempts)
    return _facts(job, _trouble(case, made, entry, case.now), incident, chain)


def _facts(
    job: Job,
    trouble: Trouble,
    incident: Incident,
    chain: Chain,
    *,
    plan: Plan | None = None,
) -> AlertFacts:
    """`plan`: where it is asked about, with the incident's question."""
    approval = incident.approval if plan is not None else None
    return replace(
        job_facts(AlertKind.RUNNING, job, incident, chain),
        plan=plan,
        approval_id=approval.id if approval else "",
        approve_until=approval.expires if approval else None,
        trouble=trouble,
    )


def _open_incident(
    job: Job, case: Case, made: WatchPlan, ledger: Ledger, now: datetime, *, due: datetime
) -> Incident:
    """The job's incident as the entry leaves it: what is done, why, what was seen, when it is due."""
    held, _ = _incident_and_chain(job, ledger, now)
    stored = ledger.open(replace(held, stage=Stage.FOLLOWED, due=now))
    entry, seen = made.entry, made.watch
    does = Action.CANCEL_RESUBMIT if entry and entry.resubmission else Action.CANCEL
    evidence = seen.evidence if seen else ()
    return replace(
        stored,
        stage=Stage.FOLLOWED,
        due=due,
        policy=made.plan.policy,
        step=made.plan.step,
        action=does.value,
        verdict=made.reason,
        confidence=round(seen.confidence, 4) if seen else 0.0,
        reason=redact(made.plan.because, 500),
        estimated_usd=made.plan.estimated_usd,
        refused_by=(),
        changes=(),
        curves=kept_curves(case),
        evidence=kept_evidence(evidence, _MOST_LINES),
    )


def _ask(
    job: Job,
    case: Case,
    made: WatchPlan,
    trouble: Trouble,
    watched: WatchedJob,
    records: Records,
    now: datetime,
) -> bool:
    offered = offer(made.plan, token=records.new_token(), expires=now + APPROVAL_LASTS)
    pending = replace(
        _open_incident(job, case, made, records.ledger, now, due=now + _ASKED_AGAIN),
        stage=Stage.APPROVAL,
        approval=offered,
    )
    _, chain = _incident_and_chain(job, records.ledger, now)
    facts = _facts(job, trouble, pending, chain, plan=made.plan)

    def store(messages: tuple[OutboxMessage, ...]) -> bool:
        if not store_question(pending, offered, messages, records.ledger):
            return False
        records.ledger.watched.move(watched)
        return True

    return records.outbox.publish(facts, made.plan.alerts, now, store=store)


def _cancel(
    job: Job,
    case: Case,
    made: WatchPlan,
    trouble: Trouble,
    watched: WatchedJob,
    vertex: VertexProject,
    records: Records,
    now: datetime,
) -> bool:
    """Write down who ends the job and why, then ask Vertex to."""
    ending = _open_incident(job, case, made, records.ledger, now, due=now + _CANCEL_TAKES)
    _, chain = _incident_and_chain(job, records.ledger, now)
    facts = _facts(job, trouble, ending, chain)

    def store(messages: tuple[OutboxMessage, ...]) -> bool:
        if not records.ledger.move(ending, outbox_messages=messages):
            return False
        records.ledger.watched.move(watched)
        _send_cancel(job, ending, vertex)
        return True

    return records.outbox.publish(facts, made.plan.alerts, now, store=store)


def _send_cancel(job: Job, incident: Incident, vertex: VertexProject) -> None:
    log.say(
        "NOTICE",
        LogEvent.RUNNING_JOB_CANCELLED,
        f"cancelling a running job: {incident.verdict}",
        job=str(job.name),
        policy=incident.policy,
    )
    vertex.cancel(job.name)


# --- what was begun -------------------------------------------------------------------------------


def follow_cancel(job: Job, incident: Incident, services: Services, now: datetime) -> str:
    """A job that an entry ends, or asks to end, and that has not ended yet."""
    if incident.stage is Stage.APPROVAL:
        return _follow_question(job, incident, services, now)
    stopped = services.config.settings.stop or services.records.ledger.stopped()
    if job.state in WATCHED and not stopped:  # the order may have been lost
        _send_cancel(job, incident, services.vertex)
    services.records.ledger.move(replace(incident, due=now + _CANCEL_TAKES))
    return f"followed: the job is {job.state}, being cancelled"


def _follow_question(job: Job, incident: Incident, services: Services, now: datetime) -> str:
    approval = incident.approval
    if approval is None or (not approval.answer and now >= approval.expires):
        return _withdraw(incident, services.records.ledger, now, QuestionEnd.EXPIRED)
    if not approval.answer:
        services.records.ledger.move(
            replace(incident, due=min(approval.expires, now + _ASKED_AGAIN))
        )
        return f"awaiting approval {approval.id}"
    if approval.answer is not ApprovalChoice.APPROVED:
        return _withdraw(
            incident, services.records.ledger, now, f"{approval.answer} by {approval.by}"
        )
    case = services.evidence.look(job, now=now, with_log=True)
    made = plan_of(case, services.config, services.vertex, services.records.ledger)
    still = made is not None and made.entry is not None and made.plan.policy == incident.policy
    if made is None or not still or made.plan.action is Action.ALERT:
        return _withdraw(
            incident, services.records.ledger, now, "it is in trouble no more, or a guard refuses"
        )
    if not covers(approval, made.plan):
        return _withdraw(incident, services.records.ledger, now, "the plan is another now")
    ending = _open_incident(job, case, made, services.records.ledger, now, due=now + _CANCEL_TAKES)
    if not services.records.ledger.move(ending):
        msg = "another execution moved this incident on"
        raise TransientError(msg)
    _send_cancel(job, ending, services.vertex)
    return f"cancelling, approved by {approval.by}"


def _withdraw(incident: Incident, ledger: Ledger, now: datetime, why: str) -> str:
    """The question is over, and the job runs on; its spell was told."""
    ledger.move(
        replace(
            incident,
            stage=Stage.FOLLOWED,
            action="",
            policy="",
            approval=None,
            reason="",
            verdict="",
            due=now + _ASKED_AGAIN,
        )
    )
    return f"left running: {why}"


def withdraw_question(job: Job, ledger: Ledger, clock: Clock) -> None:
    """The job works again: nobody need answer whether it is to be cancelled."""
    incident = ledger.incident(key_of(job, ledger))
    if incident is None or incident.stage is not Stage.APPROVAL or not incident.is_watch_cancel:
        return
    if incident.approval is None or not incident.approval.answer:
        _withdraw(incident, ledger, clock(), "it works again")


# --- the job has ended ----------------------------------------------------------------------------


def conclude_cancelled(job: Job, incident: Incident, services: Services, now: datetime) -> str:
    """A job that an entry of `watch` cancelled has ended: that is told, and its place filled if asked."""
    if incident.action == Action.CANCEL.value:
        if incident.attempt:
            return close_chain(
                job,
                incident,
                services.config,
                services.records,
                now,
                GIVEN_UP,
            )
        return _close_root(job, incident, services.config, services.records, now)
    return _fill_place(job, incident, services, now)


def _close_root(
    job: Job, incident: Incident, config: Configuration, records: Records, now: datetime
) -> str:
    plan = _closing_plan(job, incident, config, incident.reason)
    chain = Chain(key=incident.root, root=str(job.name))
    context = _context(job, incident, chain, plan, now)
    return conclude_with_alert(context, config, records, now, GIVEN_UP)


def _closing_plan(job: Job, incident: Incident, config: Configuration, why: str) -> Plan:
    return Plan(
        job=str(job.name),
        verdict=Cause.UNKNOWN,
        policy=incident.policy,
        step=0,
        mode=Mode.ENFORCE,
        action=Action.ALERT,
        alerts=alert_routing.channels_of(config.policies(), incident.policy, job),
        because=why,
        notes=(),
    )


def _context(
    job: Job, incident: Incident, chain: Chain, plan: Plan, now: datetime
) -> IncidentContext:
    unknown = Diagnosis(str(job.name), job.kind, Cause.UNKNOWN, ())
    case = Case(job=job, now=now, attempts=chain.attempts)
    return IncidentContext(job, case, unknown, plan, incident, chain, watch_reason=incident.verdict)


def _fill_place(job: Job, incident: Incident, services: Services, now: datetime) -> str:
    """Submit the cancelled job again, once, if every guard still lets it."""
    chain = services.records.ledger.chain(incident.root) or Chain(
        key=incident.root, root=str(job.name)
    )
    if incident.attempt:
        chain = settle_attempt(
            job, chain, services.records.ledger, services.config.catalog, final=False
        )
    plan = _replacement(
        job, incident, chain, services.config, services.vertex, services.records.ledger, now
    )
    context = _context(job, replace(incident, ended=job.end_time), chain, plan, now)
    if plan.action is not Action.RESUBMIT:
        return conclude_with_alert(context, services.config, services.records, now, GIVEN_UP)
    done = resubmit(context, services)
    if not isinstance(done, TryNextStep):
        return done
    if job.end_time is not None and now - job.end_time > _TRIES_FOR:
        late = _closing_plan(
            job, incident, services.config, "Vertex had no machine for it in a day"
        )
        held = replace(context, plan=late, incident=done.incident, chain=done.chain)
        return conclude_with_alert(held, services.config, services.records, now, GIVEN_UP)
    services.records.ledger.move(replace(done.incident, due=now + _NO_MACHINE_AGAIN))
    return "Vertex has no machine for it now: it is tried again in ten minutes"


def _replacement(
    job: Job,
    incident: Incident,
    chain: Chain,
    config: Configuration,
    vertex: VertexProject,
    ledger: Ledger,
    now: datetime,
) -> Plan:
    policies = config.policies()
    entry = next((one for one in policies.watch if one.name == incident.policy), None)
    if entry is None or entry.resubmission is None:
        why = f"the policy file's entry {incident.policy} submits nothing again any more"
        return _closing_plan(job, incident, config, why)
    history = history_of(job, incident, chain, config, ledger, now, ())
    unknown = Diagnosis(str(job.name), job.kind, Cause.UNKNOWN, ())
    case = Case(job=job, now=now, attempts=chain.attempts)
    stand_in = Policy(name=entry.name, alert=entry.alert, mode=entry.mode)
    made = plan_running(case, unknown, policies, stand_in, history, config.catalog, resubmits=True)
    approval = incident.approval
    is_approved = approval is not None and approval.answer is ApprovalChoice.APPROVED
    if made.action is Action.APPROVE and not is_approved:
        return replace(made, action=Action.ALERT, notes=("nobody said yes to it",))
    if made.action is Action.ALERT:
        return made
    try:
        rerun = find_external_rerun(job, vertex, ledger)
    except PermanentError as err:
        return replace(made, action=Action.ALERT, notes=(f"whether it runs again: {err}",))
    if rerun:
        return replace(
            made,
            action=Action.ALERT,
            refused_by=(Guard.ALREADY_RERUN,),
            refusals=(
                GuardRefusal(Guard.ALREADY_RERUN, f"{rerun} runs the same work again already"),
            ),
            notes=(),
        )
    return replace(made, action=Action.RESUBMIT)
