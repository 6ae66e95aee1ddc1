"""The story of one incident on a page: from a hint to a resubmission, or to the reason for none.

Owns the order of things: the job's truth, evidence, diagnosis, plan, claim, creation, record, alerts.
Decides nothing itself (diagnosis and policy do) and knows no concrete service: it sees its hands
through `Hands`. Called by `app` for an event, and by `reconcile` when time has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from remediator import diagnosis as diagnoses
from remediator import log, policy
from remediator.alerts import AlertFacts, AlertKind
from remediator.case import Case
from remediator.domain import (
    SILENT_GUARDS,
    Action,
    Attempt,
    Cause,
    Change,
    Diagnosis,
    Forbidden,
    Gone,
    Guard,
    History,
    JobDocument,
    JobKind,
    JobName,
    JobState,
    Json,
    Mode,
    Plan,
    Refused,
    Transient,
    Unanswered,
)
from remediator.intake import Hint, Refusal
from remediator.ledger import (
    STALE,
    Approval,
    Chain,
    Claim,
    Conclusion,
    Incident,
    Ledger,
    Stage,
)
from remediator.notices import Notices
from remediator.settings import Settings

FOLLOW_AT_MOST = timedelta(hours=24)  # a job that is not terminal by then is no longer ours to wait for
APPROVAL_LASTS = timedelta(hours=12)
RETRY_WINDOW = timedelta(hours=24)  # Cloud Functions delivers a failed event again for that long
LOOK_AGAIN = timedelta(minutes=1)


class Jobs(Protocol):
    """What the stories ask of Vertex AI; errors are the domain's."""

    def get(self, name: JobName, *, timeout_seconds: float | None = None) -> JobDocument: ...

    def find(
        self,
        kind: JobKind,
        job_id: str,
        locations: Sequence[str],
        project: str,
        *,
        timeout_seconds: float | None = None,
    ) -> JobDocument | None: ...

    def list(
        self,
        kind: JobKind,
        project: str,
        location: str,
        *,
        states: Sequence[JobState] = (),
        created_after: datetime | None = None,
        labels: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> Iterator[JobDocument]: ...

    def create(
        self, kind: JobKind, parent: str, request: Json, *, timeout_seconds: float | None = None
    ) -> JobDocument: ...


class Gather(Protocol):
    """Reads the evidence of a job, side by side, within a budget."""

    def __call__(
        self, job: JobDocument, *, now: datetime, attempts: tuple[Attempt, ...], settled: bool
    ) -> Case: ...


@dataclass(frozen=True, slots=True)
class Hands:
    """Everything the stories touch the world with; made by `app`, opened when first used."""

    settings: Settings
    project: Callable[[], tuple[str, str]]
    locations: Callable[[], tuple[str, ...]]
    own_account: Callable[[], str]
    policies: Callable[[], policy.Policies]
    catalogue: policy.Catalogue
    jobs: Jobs
    gather: Gather
    ledger: Ledger
    notices: Notices
    now: Callable[[], datetime]
    token: Callable[[], str]
    call_seconds: float = 20.0


def handle(hint: Hint, hands: Hands) -> str:
    """Handle one event's hint; answers what was done, in a few words for the log.

    Raises Transient where the event should come again.
    """
    if not _is_ours(hint.project, hands):
        return f"ignored: {hint.project} is another project"
    if hint.refusal is not None:
        return _tell_refused_creation(hint, hint.refusal, hands)
    job = _read(hint, hands)
    if job is None:
        return "ignored: there is no such job (any more)"
    return consider(job, hands, known_since=hint.published or hands.now())


def _is_ours(project: str, hands: Hands) -> bool:
    return project in hands.project()


def _read(hint: Hint, hands: Hands) -> JobDocument | None:
    if hint.job is None:
        return hands.jobs.find(
            JobKind.CUSTOM,
            hint.custom_job_id,
            hands.locations(),
            hands.project()[0],
            timeout_seconds=hands.call_seconds,
        )
    if not _is_ours(hint.job.project, hands):
        log.say("ERROR", f"the entry names a job of another project: {hint.job}")
        return None
    try:
        return hands.jobs.get(hint.job, timeout_seconds=hands.call_seconds)
    except Gone:
        return None


# --- from the job's truth to a conclusion --------------------------------------------------------


def consider(
    job: JobDocument, hands: Hands, *, known_since: datetime, late_sink: bool = False
) -> str:
    """Bring one job's incident as far as it can be brought now; safe to call any number of times."""
    now = hands.now()
    key = job.name.key
    root = hands.ledger.root_of(key)
    incident = hands.ledger.incident(key)
    if incident is not None and incident.stage is Stage.DONE:
        return f"already handled: {incident.conclusion or incident.reason}"
    if not job.state.is_terminal:
        return _follow(job, incident, hands, now)
    if not policy.is_failure(job):
        return _conclude_unfailed(job, incident, root, hands, now)
    if incident is None:
        incident = hands.ledger.open(_new(job, known_since, now, root or key, hands))
        if incident.conclusion is Conclusion.TOO_OLD:
            return "recorded: it had failed long before it became known"
    if late_sink and not incident.silent_sink:
        incident = replace(incident, silent_sink=True)
    chain = hands.ledger.chain(incident.root) or Chain(key=incident.root, root=str(job.name))
    if incident.attempt:
        chain = _settle(job, chain, hands, now, final=False)
    return _decide(job, incident, chain, hands, now)


def _follow(job: JobDocument, incident: Incident | None, hands: Hands, now: datetime) -> str:
    stored = incident or hands.ledger.open(
        replace(
            _incident(job, now, job.name.key),
            stage=Stage.FOLLOWED,
            due=now + LOOK_AGAIN,
            until=now + FOLLOW_AT_MOST,
        )
    )
    if stored.until is not None and now > stored.until and not stored.attempt:
        _finish(stored, hands, Conclusion.IGNORED, "not terminal after 24 hours")
        return "given up following: not terminal after 24 hours"
    if incident is not None:
        hands.ledger.move(replace(stored, stage=Stage.FOLLOWED, due=now + LOOK_AGAIN))
    return f"followed: the job is {job.state}"


def _conclude_unfailed(
    job: JobDocument, incident: Incident | None, root: str | None, hands: Hands, now: datetime
) -> str:
    if job.state is JobState.CANCELLED:
        stored = incident or hands.ledger.open(_incident(job, now, root or job.name.key))
        if stored.attempt:
            return _close_chain(job, stored, hands, now, AlertKind.GIVEN_UP, Conclusion.GIVEN_UP)
        _finish(stored, hands, Conclusion.IGNORED, Guard.CANCELLED_BY_PERSON.value)
        return "left alone: a person cancelled it"
    if incident is None:
        return f"ignored: the job is {job.state}"
    if incident.attempt:
        return _close_chain(job, incident, hands, now, AlertKind.RECOVERED, Conclusion.RECOVERED)
    _finish(incident, hands, Conclusion.IGNORED, f"the job is {job.state}")
    return f"ignored: the job is {job.state}"


def _new(
    job: JobDocument, known_since: datetime, now: datetime, root: str, hands: Hands
) -> Incident:
    incident = _incident(job, known_since, root)
    if job.end_time and known_since - job.end_time > hands.settings.lookback:
        return replace(incident, stage=Stage.DONE, conclusion=Conclusion.TOO_OLD)
    return replace(incident, due=now + hands.settings.lease)


def _incident(job: JobDocument, first_known: datetime, root: str) -> Incident:
    return Incident(
        key=job.name.key,
        job=str(job.name),
        stage=Stage.UNSETTLED,
        first_known=first_known,
        root=root,
        ended=job.end_time,
        display_name=job.display_name,
        model=policy.model_of(job),
        run_seconds=job.run_seconds,
        machine=policy.machine_of(job),
    )


def _decide(
    job: JobDocument, incident: Incident, chain: Chain, hands: Hands, now: datetime
) -> str:
    """Evidence, diagnosis, plan; then what the plan says."""
    quiet = _silent_reason(job, hands)
    if quiet:
        _finish(incident, hands, Conclusion.IGNORED, quiet)
        return f"left alone: {quiet}"
    quick = diagnoses.diagnose(Case(job=job, now=now, attempts=chain.attempts))
    case = hands.gather(job, now=now, attempts=chain.attempts, settled=quick.settled_by_error)
    found = diagnoses.diagnose(case)
    if not found.settled_by_error and job.end_time:
        settles = job.end_time + hands.settings.settle
        if now < settles:
            hands.ledger.move(replace(incident, stage=Stage.UNSETTLED, due=settles))
            return f"waiting for evidence until {settles:%H:%M:%S} UTC"
    passing = [gap for gap in case.gaps if gap.may_pass]
    if passing and found.verdict is Cause.UNKNOWN and now - incident.first_known < RETRY_WINDOW:
        msg = "; ".join(f"{gap.source}: {gap.why}" for gap in passing)
        raise Transient(msg)
    plan, rerun = _plan(case, found, incident, chain, hands)
    settled = replace(
        incident,
        verdict=found.verdict.value,
        confidence=round(found.confidence, 4),
        policy=plan.policy,
        step=plan.step,
        action=plan.action.value,
        refused_by=tuple(guard.value for guard in plan.refused_by),
        changes=plan.changes,
        estimated_usd=plan.estimated_usd,
        evidence=hands.notices.kept_evidence(found),
    )
    tale = _Tale(job, case, found, plan, settled, chain, rerun)
    return _carry_out(tale, hands, now)


def _silent_reason(job: JobDocument, hands: Hands) -> str:
    """Why a failure is nobody's to be told about, before anything is read for it."""
    del hands
    if job.labels.get("remediator") == "off":
        return Guard.LABEL_OFF.value
    if policy.parent_of(job):
        return Guard.HAS_PARENT.value
    return ""


@dataclass(frozen=True, slots=True)
class _Tale:
    """What is known once a plan exists; `rerun` is somebody else's rerun of the same workload."""

    job: JobDocument
    case: Case
    diagnosis: Diagnosis
    plan: Plan
    incident: Incident
    chain: Chain
    rerun: str

    def facts(self, kind: AlertKind, *, created: str = "", now: datetime) -> AlertFacts:
        lost = self.chain.first_failed or self.job.end_time
        return AlertFacts(
            kind=kind,
            job=self.job.name,
            display_name=self.job.display_name,
            root=self.incident.root,
            attempt=self.incident.attempt,
            state=self.job.state,
            error=self.job.error_message,
            machine=policy.machine_of(self.job),
            started=self.job.start_time,
            ended=self.job.end_time,
            diagnosis=self.diagnosis,
            plan=self.plan,
            created=created,
            attempts=self.chain.attempts,
            gaps=self.case.gaps,
            spent_usd=self.chain.spent_usd or None,
            estimated_usd=self.plan.estimated_usd,
            time_lost_seconds=(now - lost).total_seconds() if lost else None,
            approval_id=self.incident.approval.id if self.incident.approval else "",
            extra=("The log sink did not deliver this failure; the sweep found it.",)
            if self.incident.silent_sink
            else (),
        )


def _plan(
    case: Case, found: Diagnosis, incident: Incident, chain: Chain, hands: Hands
) -> tuple[Plan, str]:
    """The plan; where it would resubmit, somebody else's rerun is looked for and asked again."""
    history = _history(case.job, incident, chain, hands, case.now)
    plan = policy.plan(case, found, hands.policies(), history, hands.catalogue)
    rerun = ""
    if plan.action is not Action.ALERT:
        rerun = _somebody_faster(case.job, hands)
        if rerun:
            history = replace(history, rerun_by=rerun)
            plan = policy.plan(case, found, hands.policies(), history, hands.catalogue)
    return _as_answered(plan, incident, case.now), rerun


def _history(
    job: JobDocument, incident: Incident, chain: Chain, hands: Hands, now: datetime
) -> History:
    settings, ledger = hands.settings, hands.ledger
    budgets = policy.budgets(hands.policies(), job, now)
    return History(
        attempts=chain.attempts,
        root=chain.root,
        usd_this_job=chain.spent_usd + chain.reserved_usd,
        usd_today=ledger.used(budgets.day, now),
        resubmissions_last_hour=round(ledger.used(budgets.hour, now)),
        spent_by={group: ledger.used(limit, now) for group, limit in budgets.spent_by.items()},
        resubmitted_by={
            group: round(ledger.used(limit, now)) for group, limit in budgets.made_by.items()
        },
        stopped=settings.stop or ledger.stopped(),
        too_old=incident.conclusion is Conclusion.TOO_OLD,
        parent=policy.parent_of(job),
        service_accounts=settings.service_accounts,
        max_mode=settings.max_mode,
        max_usd_per_day=settings.max_usd_per_day,
        max_usd_per_job=settings.max_usd_per_job,
        skipped=chain.skipped,
    )


def _somebody_faster(job: JobDocument, hands: Hands) -> str:
    """A job outside our chains that runs the same workload, made after this failure, and lives."""
    if job.end_time is None:
        return ""
    digest = policy.workload_digest(job)
    later = hands.jobs.list(
        job.kind,
        hands.project()[0],
        job.name.location,
        created_after=job.end_time,
        timeout_seconds=hands.call_seconds,
    )
    for other in later:
        alive = other.state is JobState.SUCCEEDED or not other.state.is_terminal
        if (
            alive
            and other.name.key != job.name.key
            and (other.create_time or job.end_time) >= job.end_time
            and policy.workload_digest(other) == digest
            and hands.ledger.root_of(other.name.key) is None
        ):
            return str(other.name)
    return ""


def _as_answered(plan: Plan, incident: Incident, now: datetime) -> Plan:
    """A wait that is over, or a yes that was given, turns the same plan into a resubmission."""
    same = (plan.policy, plan.step) == (incident.policy, incident.step)
    waited = incident.not_before is not None and incident.not_before <= now
    approval = incident.approval
    if plan.action is Action.APPROVE and approval and approval.digest == plan.digest:
        if approval.answer == "approved":
            return replace(plan, action=Action.RESUBMIT)
    if plan.action is Action.WAIT and same and waited:
        return replace(plan, action=Action.RESUBMIT)
    return plan


# --- carrying a plan out -------------------------------------------------------------------------


def _carry_out(tale: _Tale, hands: Hands, now: datetime) -> str:
    plan, incident = tale.plan, tale.incident
    held = tale.chain.claim
    if held is not None and held.incident == incident.key:
        made = _made_under(held, tale.job, hands)
        if made is not None:
            return _record(tale, held, made, hands, now)
        if plan.action is not Action.RESUBMIT or plan.mode is Mode.OBSERVE:
            _wait_until_forgotten(held, hands, now)
            hands.ledger.withdraw(tale.chain.key, held.token)
    if plan.mode is Mode.OBSERVE and plan.action is not Action.ALERT:
        return _tell(tale, hands, now, AlertKind.OBSERVED, Conclusion.OBSERVED)
    if plan.action is Action.ALERT:
        if plan.refused_by and set(plan.refused_by) <= SILENT_GUARDS:
            reason = ", ".join(guard.value for guard in plan.refused_by)
            _finish(incident, hands, Conclusion.IGNORED, reason)
            return f"left alone: {reason}"
        if tale.chain.attempts:
            return _tell(tale, hands, now, AlertKind.GIVEN_UP, Conclusion.GIVEN_UP)
        return _tell(tale, hands, now, AlertKind.ALERT, Conclusion.ALERTED)
    if plan.action is Action.WAIT:
        return _wait(tale, hands, now)
    if plan.action is Action.APPROVE:
        return _ask(tale, hands, now)
    return _resubmit(tale, hands, now)


def _tell(
    tale: _Tale, hands: Hands, now: datetime, kind: AlertKind, conclusion: Conclusion
) -> str:
    """Conclude without a change: the alert is owed with the conclusion, in one transaction."""
    done = replace(tale.incident, stage=Stage.DONE, conclusion=conclusion)
    debts = hands.notices.owed(
        tale.facts(kind, now=now), tale.plan.alerts, now) + hands.notices.outcome(
        tale.chain, tale.job, now, verdict=tale.incident.verdict, action=tale.plan.action, final=True
    )
    if not hands.ledger.move(done, debts=debts):
        return "already handled by another hand"
    hands.notices.deliver(debts)
    return f"{conclusion}: {tale.diagnosis.verdict}"


def _wait(tale: _Tale, hands: Hands, now: datetime) -> str:
    waiting = replace(
        tale.incident,
        stage=Stage.WAITING,
        due=tale.plan.not_before,
        not_before=tale.plan.not_before,
    )
    debts = hands.notices.owed(
        tale.facts(AlertKind.WAITING, now=now), tale.plan.alerts, now)
    if hands.ledger.move(waiting, debts=debts):
        hands.notices.deliver(debts)
    return f"waiting until {tale.plan.not_before}"


def _ask(tale: _Tale, hands: Hands, now: datetime) -> str:
    approval = tale.incident.approval
    if approval is not None and approval.digest == tale.plan.digest:
        if approval.answer == "declined" or (not approval.answer and now >= approval.expires):
            why = approval.answer or "nobody answered"
            declined = replace(tale.plan, because=f"{tale.plan.because} ({why} {approval.by})")
            return _tell(
                replace(tale, plan=declined), hands, now, AlertKind.GIVEN_UP, Conclusion.GIVEN_UP
            )
        hands.ledger.move(replace(tale.incident, stage=Stage.APPROVAL, due=approval.expires))
        return f"awaiting approval {approval.id}"
    offered = Approval(id=hands.token(), digest=tale.plan.digest, expires=now + APPROVAL_LASTS)
    pending = replace(
        tale.incident, stage=Stage.APPROVAL, approval=offered, due=offered.expires
    )
    asked = replace(tale, incident=pending)
    debts = hands.notices.owed(
        asked.facts(AlertKind.APPROVAL, now=now), tale.plan.alerts, now)
    if hands.ledger.move(pending, debts=debts):
        hands.ledger.write_note(f"approval:{offered.id}", {"incident": pending.key})
        hands.notices.deliver(debts)
    return f"awaiting approval {offered.id}"


# --- creating, once -------------------------------------------------------------------------------


def _resubmit(tale: _Tale, hands: Hands, now: datetime) -> str:
    wanted = _claim_for(tale, hands, now)
    answer = hands.ledger.claim(
        tale.incident,
        tale.chain.root,
        wanted,
        now=now,
        limits=policy.limits_of(hands.policies(), tale.plan, tale.job, now),
        first_failed=tale.chain.first_failed or tale.job.end_time,
    )
    if answer.claim is None:
        if STALE in answer.refused_by:
            msg = "another hand moved this incident on"
            raise Transient(msg)
        return _refused_at_claim(tale, answer.refused_by, hands, now)
    claim = answer.claim if answer.mine else _take_over(tale, answer.claim, wanted, hands, now)
    if isinstance(claim, JobDocument):
        return _record(tale, answer.claim, claim, hands, now)
    return _create(tale, claim, hands, now)


def _claim_for(tale: _Tale, hands: Hands, now: datetime) -> Claim:
    return Claim(
        token=hands.token(),
        incident=tale.incident.key,
        policy=tale.plan.policy,
        step=tale.plan.step,
        number=len(tale.chain.attempts) + 1,
        verdict=tale.diagnosis.verdict.value,
        changes=tale.plan.changes,
        taken=now,
        lease_until=now + hands.settings.lease,
        estimated_usd=tale.plan.estimated_usd,
        location=tale.plan.location or tale.job.name.location,
    )


def _refused_at_claim(
    tale: _Tale, guards: tuple[str, ...], hands: Hands, now: datetime
) -> str:
    refused = tuple(Guard(name) for name in guards)
    plan = replace(
        tale.plan,
        action=Action.ALERT,
        refused_by=refused,
        because=f"{tale.plan.because}; refused when claimed: {', '.join(guards)}",
    )
    incident = replace(tale.incident, refused_by=guards, action=Action.ALERT.value)
    kind, conclusion = (
        (AlertKind.GIVEN_UP, Conclusion.GIVEN_UP)
        if tale.chain.attempts
        else (AlertKind.ALERT, Conclusion.ALERTED)
    )
    return _tell(replace(tale, plan=plan, incident=incident), hands, now, kind, conclusion)


def _take_over(
    tale: _Tale, held: Claim, wanted: Claim, hands: Hands, now: datetime
) -> Claim | JobDocument:
    """Somebody else's claim stands: its job if it exists, else the claim itself once that is safe."""
    made = _made_under(held, tale.job, hands)
    if made is not None:
        return made
    _wait_until_forgotten(held, hands, now)
    taken = hands.ledger.retake(
        tale.chain.key, held, lease_until=now + hands.settings.lease, now=now, renewed=wanted
    )
    if taken is None:
        msg = "another hand took the claim over"
        raise Transient(msg)
    return taken


def _wait_until_forgotten(held: Claim, hands: Hands, now: datetime) -> None:
    """Raise Transient while a job made under this claim may still be on its way into the list.

    An answered error gave the lease back. An unanswered create is watched for from then; a killed
    process may have sent one at any time of its lease, so both waits hold.
    """
    if now < held.lease_until:
        msg = "another execution holds the claim"
        raise Transient(msg)
    sent = held.unanswered or held.taken
    watched = sent + hands.settings.consistency_wait
    was_killed = held.unanswered is None and held.lease_until != held.taken
    if (held.unanswered is not None or was_killed) and now < watched:
        msg = f"a create went unanswered; the job list is watched until {watched:%H:%M:%S} UTC"
        raise Transient(msg)


def _made_under(claim: Claim, job: JobDocument, hands: Hands) -> JobDocument | None:
    """The job that was created under this claim: the earliest that bears it and does what it says."""
    found = [
        other
        for other in hands.jobs.list(
            job.kind,
            hands.project()[0],
            claim.location or job.name.location,
            labels={"remediator-claim": claim.token},
            timeout_seconds=hands.call_seconds,
        )
        if _holds(claim.changes, other)
    ]
    return min(found, key=lambda one: str(one.body.get("createTime")), default=None)


def _holds(changes: tuple[Change, ...], job: JobDocument) -> bool:
    return all(policy.same_value(job.read(change.field), change.after) for change in changes)


def _create(tale: _Tale, claim: Claim, hands: Hands, now: datetime) -> str:
    request = policy.with_claim(tale.plan.request or {}, claim.token)
    key = tale.chain.key
    location = claim.location or tale.job.name.location
    if hands.now() >= claim.lease_until:
        msg = "the lease ran out before the job was created"
        raise Transient(msg)
    try:
        made = hands.jobs.create(
            tale.job.kind,
            f"projects/{hands.project()[0]}/locations/{location}",
            request,
            timeout_seconds=hands.call_seconds,
        )
    except Unanswered:
        found = _made_under(claim, tale.job, hands)
        if found is None:
            _give_back(key, claim, hands, unanswered=True)
            raise
        made = found
    except Transient:  # answered, and the answer was "not now"
        _give_back(key, claim, hands, unanswered=False)
        raise
    except Refused as err:
        return _refused_by_vertex(tale, claim, err, hands, now)
    except BaseException:  # nobody knows what was sent: keep the claim, watch for its job
        _give_back(key, claim, hands, unanswered=True)
        raise
    return _record(tale, claim, made, hands, now)


def _give_back(key: str, claim: Claim, hands: Hands, *, unanswered: bool) -> None:
    now = hands.now()
    wait = hands.settings.consistency_wait if unanswered else LOOK_AGAIN
    hands.ledger.give_back(key, claim.token, now=now, unanswered=unanswered, due=now + wait)


def _refused_by_vertex(
    tale: _Tale, claim: Claim, err: Refused, hands: Hands, now: datetime
) -> str:
    """Vertex said no for certain. Want of quota or machines skips the step; else a person is told."""
    words = " ".join(str(err).split())
    scarce = policy.is_scarcity(words)
    skip = f"{claim.policy}:{claim.step}" if scarce else ""
    hands.ledger.withdraw(tale.chain.key, claim.token, skip=skip)
    stored = hands.ledger.incident(tale.incident.key) or tale.incident
    chain = hands.ledger.chain(tale.chain.key) or tale.chain
    log.say("WARNING", f"Vertex refused the resubmission: {words}", job=str(tale.job.name))
    if scarce and len(chain.skipped) <= _SKIPS_AT_MOST:
        return _decide(tale.job, stored, chain, hands, now)
    reason = "a permission is missing: " if isinstance(err, Forbidden) else ""
    plan = replace(
        tale.plan, action=Action.ALERT, because=f"Vertex refused the job: {reason}{words}"
    )
    told = replace(
        tale,
        plan=plan,
        chain=chain,
        incident=replace(tale.incident, version=stored.version, reason=words[:500]),
    )
    kind, conclusion = (
        (AlertKind.GIVEN_UP, Conclusion.GIVEN_UP)
        if chain.attempts
        else (AlertKind.ALERT, Conclusion.ALERTED)
    )
    return _tell(told, hands, now, kind, conclusion)


_SKIPS_AT_MOST = 10  # a ladder is shorter; this ends a loop that should not exist


def _record(
    tale: _Tale, claim: Claim, made: JobDocument, hands: Hands, now: datetime
) -> str:
    """The job exists: write it down with everything that is owed for it, in one transaction."""
    attempt = Attempt(
        name=str(made.name),
        state=made.state,
        create_time=made.create_time or now,
        policy=claim.policy,
        step=claim.step,
        verdict=claim.verdict,
        changes=claim.changes,
        claim=claim.token,
        number=claim.number,
        estimated_usd=claim.estimated_usd,
    )
    done = replace(tale.incident, stage=Stage.DONE, conclusion=Conclusion.RESUBMITTED)
    following = replace(
        _incident(made, now, tale.chain.key),
        stage=Stage.FOLLOWED,
        due=now + LOOK_AGAIN,
        attempt=claim.number,
        policy="",
    )
    plan = replace(
        tale.plan,
        action=Action.RESUBMIT,
        policy=claim.policy,
        step=claim.step,
        changes=claim.changes,
    )
    acted = replace(tale, plan=plan, incident=done)
    kind = AlertKind.NEXT_ATTEMPT if tale.chain.attempts else AlertKind.ACTED
    chain = replace(tale.chain, attempts=(*tale.chain.attempts, attempt))
    debts = hands.notices.owed(
        acted.facts(kind, created=str(made.name), now=now),
        tale.plan.alerts,
        now) + hands.notices.outcome(
        chain, made, now, verdict=claim.verdict, action=Action.RESUBMIT, final=False,
        previous=str(tale.job.name),
    )
    if hands.ledger.record(
        tale.chain.key, claim.token, attempt, incident=done, following=following, debts=debts
    ):
        log.say("NOTICE", f"resubmitted as {made.name}", job=str(tale.job.name),
                root=tale.chain.root, attempt=claim.number, policy=claim.policy)
        hands.notices.deliver(debts)
    return f"resubmitted as {made.name}"


# --- ends ----------------------------------------------------------------------------------------


def _finish(incident: Incident, hands: Hands, conclusion: Conclusion, reason: str) -> None:
    hands.ledger.move(replace(incident, stage=Stage.DONE, conclusion=conclusion, reason=reason))


def _settle(
    job: JobDocument, chain: Chain, hands: Hands, now: datetime, *, final: bool
) -> Chain:
    return hands.ledger.settle(
        chain.key,
        job.name.key,
        state=job.state,
        ended=job.end_time,
        usd=policy.cost_of(job, hands.catalogue),
        final=final,
        now=now,
    )


def _close_chain(
    job: JobDocument,
    incident: Incident,
    hands: Hands,
    now: datetime,
    kind: AlertKind,
    conclusion: Conclusion,
) -> str:
    """An attempt of ours ended well, or a person ended it: the chain is over."""
    chain = hands.ledger.chain(incident.root) or Chain(key=incident.root, root=incident.job)
    chain = _settle(job, chain, hands, now, final=True)
    last = chain.attempts[-1] if chain.attempts else None
    lost = chain.first_failed
    facts = AlertFacts(
        kind=kind,
        job=job.name,
        display_name=job.display_name,
        root=incident.root,
        attempt=incident.attempt,
        state=job.state,
        machine=policy.machine_of(job),
        started=job.start_time,
        ended=job.end_time,
        attempts=chain.attempts,
        spent_usd=chain.spent_usd,
        estimated_usd=sum(a.estimated_usd or 0.0 for a in chain.attempts) or None,
        time_lost_seconds=((job.end_time or now) - lost).total_seconds() if lost else None,
    )
    channels = policy.channels_of(hands.policies(), last.policy if last else "")
    debts = hands.notices.owed(facts, channels, now) + (
        hands.notices.outcome(
            chain,
            job,
            now,
            verdict=last.verdict if last else "",
            action=Action.ALERT,
            final=True,
        )
    )
    done = replace(incident, stage=Stage.DONE, conclusion=conclusion, ended=job.end_time)
    if hands.ledger.move(done, debts=debts):
        hands.notices.deliver(debts)
    return f"{conclusion}: attempt {incident.attempt} is {job.state}"


def _tell_refused_creation(hint: Hint, refusal: Refusal, hands: Hands) -> str:
    """A Create that Vertex refused: no job exists, so the alert is all there is."""
    if refusal.principal and refusal.principal == hands.own_account():
        return "ignored: the refused call was our own"
    now = hands.now()
    known = hint.published or now
    if hint.entry_time and known - hint.entry_time > hands.settings.lookback:
        return "ignored: the refusal is older than the look-back"
    found = diagnoses.diagnose_refusal(refusal.code, refusal.message)
    channels = policy.channels_for_refusal(hands.policies(), found)
    facts = AlertFacts(
        kind=AlertKind.ALERT,
        display_name=refusal.display_name or refusal.method,
        root=f"refusal/{refusal.insert_id}",
        error=refusal.message,
        diagnosis=found,
        extra=(f"{refusal.method} was refused; asked for by {refusal.principal}.",),
    )
    debts = hands.notices.owed(facts, channels, now)
    hands.ledger.owe(debts)
    hands.notices.deliver(debts)
    return f"alerted: {refusal.method} was refused"


def outcome_state(chain: Chain, job: JobDocument) -> Mapping[str, object]:
    """The part of `follow`'s answer that a chain and its current job tell."""
    return {
        "root": chain.root,
        "current": str(job.name),
        "attempt": len(chain.attempts),
        "state": f"JOB_STATE_{job.state}",
        "output": policy.output_of(job),
    }
