"""The story of one incident on a page: from a hint to a resubmission, or to the reason for none.

Owns the order of things: the job's truth, evidence, diagnosis, plan, and what the plan says.
Decides nothing itself (diagnosis and policy do) and knows no concrete service: it sees its hands
through `Hands`. Called by `app` for an event, and by `reconcile` when time has passed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from remediator import log, patience, running
from remediator.adoption import adopt_forsaken, resolve_claim
from remediator.alerts import AlertFacts, AlertKind, Message, compose, entry_links
from remediator.case import Case
from remediator.diagnosis import make_ready, settled
from remediator.domain import (
    NEVER_RETRIED,
    SILENT_GUARDS,
    Action,
    Cause,
    Diagnosis,
    Forbidden,
    Gone,
    Guard,
    History,
    JobKind,
    JobName,
    JobState,
    Mode,
    Refused,
    Transient,
    Unusable,
)
from remediator.endings import (
    close_chain,
    finish,
    settle,
    tell,
    tell_forbidden,
    tell_unreadable,
    wait,
)
from remediator.hands import (
    APPROVED,
    DECLINED,
    LOG_READS,
    RETRY_WINDOW,
    Hands,
    Tale,
    new_incident,
)
from remediator.identity import key_of
from remediator.intake import Hint, Refusal
from remediator.job import Job, summary
from remediator.ledger import Approval, Chain, Conclusion, Incident, Stage, Unreadable
from remediator.ledger.pending import approval_id
from remediator.parents import Belonging, belonging, unanswered
from remediator.planning import (
    covers,
    diagnosed,
    for_a_person,
    is_unrecorded,
    of_a_log_alone,
    planned,
    read_ahead,
    recoveries,
    similar_tracks,
    somebody_faster,
)
from remediator.policy import Catalogue, Policies, costs, plan, routes
from remediator.report.curves import kept_curves
from remediator.resubmit import (
    Again,
    made_under,
    record_made,
    resubmit,
    withdraw_forgotten,
)

FOLLOWED_EVERY = timedelta(minutes=5)
APPROVAL_LASTS = timedelta(hours=12)
CLAIM_ASKED_AGAIN = timedelta(hours=1)


def handle(hint: Hint, hands: Hands) -> str:
    """Handle one event's hint; answers what was done, in a few words for the log.

    Raises Transient where the event should come again.
    """
    if not _is_ours(hint.project, hands):
        return f"ignored: {hint.project} is another project"
    if hint.refusal is not None:
        return _tell_refused_creation(hint, hint.refusal, hands)
    try:
        ahead = patience.begun(lambda: _read_ahead(hint, hands))
        job = _read(hint, hands)
        ahead()
        if job is None:
            return "ignored: there is no such job (any more)"
        return consider(job, hands, known_since=hint.published or hands.now())
    except Forbidden as err:  # of our own account: told, and tried again until it is granted
        tell_forbidden(err, hands)
        raise Transient(str(err)) from err


def _is_ours(project: str, hands: Hands) -> bool:
    return project in hands.project()


def _is_served(name: JobName, hands: Hands) -> bool:
    """Whether its region may be asked: it is served, or the ledger knows the job.

    Whoever writes logs can name any region, and each one asked costs a connection that is kept. A job
    of ours in another region (a fallback of the policy file) is in the ledger since it was made.
    """
    if name.location in hands.locations():
        return True
    return hands.ledger.root_of(name.key) is not None or hands.ledger.incident(name.key) is not None


def _read_ahead(hint: Hint, hands: Hands) -> None:
    """Have at hand what will be asked of the ledger and of the job's texts, while the job is read."""
    places = hands.locations()
    name = hint.job
    if name is None and len(places) == 1:
        name = JobName(hands.project()[0], places[0], JobKind.CUSTOM, hint.custom_job_id)
    keys = (name.key,) if name else ()
    hands.ledger.ahead(incidents=keys, created=keys, chains=keys, counters=(LOG_READS,))
    make_ready()


def _read(hint: Hint, hands: Hands) -> Job | None:
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
    if not _is_served(hint.job, hands):
        log.say("WARNING", f"the entry names a job in a region that is not served: {hint.job}")
        return None
    try:
        return hands.jobs.get(hint.job, timeout_seconds=hands.call_seconds)
    except Gone:
        return None


# --- from the job's truth to a conclusion --------------------------------------------------------


def consider(job: Job, hands: Hands, *, known_since: datetime, late_sink: bool = False) -> str:
    """Bring one job's incident as far as it can be brought now; safe to call any number of times."""
    try:
        return _consider(job, hands, known_since=known_since, late_sink=late_sink)
    except Forbidden:  # it may be granted
        raise
    except Unreadable as err:
        return _tell_unreadable(job, err, hands)
    except Refused as err:
        return _tell_no_way_on(job, err, hands)


def _consider(job: Job, hands: Hands, *, known_since: datetime, late_sink: bool) -> str:
    now = hands.now()
    key = key_of(job, hands.ledger)
    if is_unrecorded(job, hands) and not adopt_forsaken(job, hands, now):
        # Before it is asked for: what is unrecorded becomes recorded.
        msg = "an attempt of ours that is not written down yet"
        raise Transient(msg)
    root = hands.ledger.root_of(key)
    incident = _reopened(hands.ledger.incident(key))
    if incident is not None and incident.stage is Stage.DONE:
        return f"already handled: {incident.conclusion or incident.reason}"
    if not job.state.is_terminal:
        return _follow(job, key, incident, hands, now)
    if not job.is_failure:
        return _conclude_unfailed(job, incident, root or key, hands, now)
    begun = None
    if incident is None:
        new = _new(job, key, known_since, now, root or key, hands)
        if new.conclusion is Conclusion.NONE and not _switched_off(job):
            begun = _Begun.reading(job, hands, now)
        incident = hands.ledger.open(new)
        if incident.stage is Stage.DONE:  # too old, or another hand was through with it just now
            return _done_when_opened(incident)
    return _fail(job, incident, hands, now, begun=begun, late_sink=late_sink)


def _fail(
    job: Job,
    incident: Incident,
    hands: Hands,
    now: datetime,
    *,
    begun: _Begun | None,
    late_sink: bool,
) -> str:
    """A failure with its incident: an attempt of ours is settled, then it is decided."""
    if incident.stage is Stage.FOLLOWED:
        incident = _ended_now(incident, job, hands, now)
    if late_sink and not incident.silent_sink:
        incident = replace(incident, silent_sink=True)
    chain = hands.ledger.chain(incident.root) or Chain(key=incident.root, root=str(job.name))
    if incident.attempt:
        running.tell_if_over(job, incident, hands, now)
        chain = settle(job, chain, hands, final=False)
    return _decide(job, incident, chain, hands, now, begun=begun)


def _ended_now(incident: Incident, job: Job, hands: Hands, now: datetime) -> Incident:
    """A job that was followed, for days perhaps: as a failure it is known from now on."""
    ended = replace(
        incident,
        stage=Stage.UNSETTLED,
        first_known=now,
        due=now + hands.settings.lease,
        ended=job.end_time,
    )
    if not hands.ledger.move(ended):
        msg = "another hand moved this incident on"
        raise Transient(msg)
    return replace(ended, version=ended.version + 1)


def _reopened(incident: Incident | None) -> Incident | None:
    """What an earlier version concluded of a job that still ran, after a day, was no end."""
    if incident is None or incident.reason != _NO_END:
        return incident
    return replace(incident, stage=Stage.FOLLOWED, conclusion=Conclusion.NONE, reason="")


_NO_END = "not terminal after 24 hours"


def _tell_unreadable(job: Job, err: Unreadable, hands: Hands) -> str:
    """Of the document people hear once, and of the failure that needs it too, if it has an incident."""
    debts = tell_unreadable(err, hands)
    hands.ledger.owe(debts)
    hands.notices.deliver(debts)
    try:
        return _tell_no_way_on(job, err, hands)
    except Refused:  # its own incident cannot be read, or it is followed or concluded
        _ask_again_later(job, hands)
        return f"told, no way on: {err}"


def _ask_again_later(job: Job, hands: Hands) -> None:
    try:
        incident = hands.ledger.incident(key_of(job, hands.ledger))
    except Unreadable:
        return
    if incident is not None and incident.stage is not Stage.DONE:
        hands.ledger.move(replace(incident, due=hands.now() + CLAIM_ASKED_AGAIN))


def _tell_no_way_on(job: Job, err: Refused, hands: Hands) -> str:
    """A service said no to what cannot be done without: people are told, since it will say so again.

    Where a claim stands, its job may exist: that is asked again, hour by hour.
    """
    incident = hands.ledger.incident(key_of(job, hands.ledger))
    if incident is None or incident.stage in {Stage.DONE, Stage.FOLLOWED}:
        raise err
    now = hands.now()
    claimed = incident.stage is Stage.ACTING
    facts = AlertFacts(
        kind=AlertKind.ALERT,
        job=job.name,
        display_name=job.display_name,
        root=incident.root,
        attempt=incident.attempt,
        state=job.state,
        error=job.error_message,
        extra=(_CLAIMED if claimed else _LEFT, str(err)),
    )
    channels = routes.all_channels(hands.policies())
    if claimed:
        debts = hands.notices.owed(facts, channels, now)
    else:
        debts = hands.notices.owed_with_outcome(
            channels,
            _chain_of(incident, job, hands),
            job,
            now,
            verdict=incident.verdict,
            action=Action.ALERT,
            final=True,
            facts=facts,
        )
    left = replace(incident, stage=Stage.DONE, conclusion=Conclusion.ALERTED, reason=str(err)[:500])
    asked_again = replace(incident, due=now + CLAIM_ASKED_AGAIN)
    if hands.ledger.move(asked_again if claimed else left, debts=debts):
        hands.notices.deliver(debts)
    return f"told, no way on: {err}"


def _chain_of(incident: Incident, job: Job, hands: Hands) -> Chain:
    unknown = Chain(key=incident.root, root=str(job.name))
    try:
        return hands.ledger.chain(incident.root) or unknown
    except Unreadable:
        return unknown


_LEFT = "It could not be handled, and nothing was resubmitted:"
_CLAIMED = "A resubmission was begun, and it cannot be found out whether its job exists:"


def _done_when_opened(incident: Incident) -> str:
    if incident.conclusion is Conclusion.TOO_OLD:
        return "recorded: it had failed long before it became known"
    return f"already handled: {incident.conclusion or incident.reason}"


@dataclass(frozen=True, slots=True)
class _Begun:
    """What is read side by side for a failure; each gives its result, or raises, when called."""

    belonging: Callable[[], Belonging]
    case: Callable[[], Case]
    ahead: Callable[[], None]
    faster: Callable[[], str] | None

    @classmethod
    def reading(cls, job: Job, hands: Hands, now: datetime) -> _Begun:
        """Begins them all. What a settled cause will need is known at once, so no more is asked."""
        by_itself = settled(job) is not None
        begun = patience.begun
        return cls(
            belonging=begun(lambda: _belonging(job, hands)),
            case=begun(lambda: hands.gather(job, now=now, attempts=(), settled=by_itself)),
            ahead=begun(lambda: read_ahead(job, hands, now)),
            faster=None if by_itself else begun(lambda: somebody_faster(job, hands)),
        )


def _follow(job: Job, key: str, incident: Incident | None, hands: Hands, now: datetime) -> str:
    """No state but a terminal one is an end, however long that takes."""
    stored = incident or hands.ledger.open(
        replace(
            new_incident(job, now, key, key=key),
            stage=Stage.FOLLOWED,
            due=now,
        )
    )
    if incident is not None:
        stored = running.watch(job, stored, hands, now)
        # The longer it has run, the rarer it is looked at: a tenth of its age, five minutes at most.
        pause = min((now - stored.first_known) / 10, FOLLOWED_EVERY)
        hands.ledger.move(replace(stored, stage=Stage.FOLLOWED, due=now + pause))
    return f"followed: the job is {job.state}"


def _conclude_unfailed(
    job: Job, incident: Incident | None, root: str, hands: Hands, now: datetime
) -> str:
    if job.state is JobState.CANCELLED:
        stored = incident or hands.ledger.open(
            new_incident(job, now, root, key=key_of(job, hands.ledger))
        )
        if stored.attempt:
            running.tell_if_over(job, stored, hands, now)
            if stored.reason == running.NO_MACHINE and running.step_over(job, stored, hands, now):
                return "stepped over: the attempt never got a machine"
            return close_chain(job, stored, hands, now, AlertKind.GIVEN_UP, Conclusion.GIVEN_UP)
        finish(stored, hands, Conclusion.IGNORED, Guard.CANCELLED_BY_PERSON.value)
        return "left alone: a person cancelled it"
    if incident is None:
        return f"ignored: the job is {job.state}"
    if incident.attempt:
        running.tell_if_over(job, incident, hands, now)
        return close_chain(job, incident, hands, now, AlertKind.RECOVERED, Conclusion.RECOVERED)
    finish(incident, hands, Conclusion.IGNORED, f"the job is {job.state}")
    return f"ignored: the job is {job.state}"


def _new(
    job: Job, key: str, known_since: datetime, now: datetime, root: str, hands: Hands
) -> Incident:
    incident = new_incident(job, known_since, root, key=key)
    if job.end_time and known_since - job.end_time > hands.settings.lookback:
        return replace(incident, stage=Stage.DONE, conclusion=Conclusion.TOO_OLD)
    return replace(incident, due=now + hands.settings.lease)


def _decide(
    job: Job,
    incident: Incident,
    chain: Chain,
    hands: Hands,
    now: datetime,
    *,
    begun: _Begun | None = None,
) -> str:
    """Evidence, diagnosis, plan; then what the plan says."""
    if _switched_off(job):
        return _leave(incident, chain, hands, now, Guard.LABEL_OFF)
    ask = begun.belonging if begun else lambda: _belonging(job, hands)
    try:
        belongs = _whose(incident, ask, now)
    except Forbidden as err:  # asked again in each round; no event need come for it
        tell_forbidden(err, hands)
        hands.ledger.move(replace(incident, due=now))
        return f"waiting for a permission: {err}"
    if belongs.parent:
        log.say("INFO", f"it belongs to {belongs.parent}, which is the incident", job=str(job.name))
        return _leave(incident, chain, hands, now, Guard.HAS_PARENT)
    if begun is None:
        begun = _Begun.reading(job, hands, now)
    case = replace(begun.case(), attempts=chain.attempts)
    begun.ahead()
    similar = similar_tracks(job, hands.ledger, hands.policies())
    case = replace(case, recoveries=recoveries(job, similar, hands.catalogue))
    found = diagnosed(case, hands.policies())
    if not found.settled_by_error and job.end_time:
        settles = job.end_time + hands.settings.settle
        if now < settles:
            hands.ledger.move(replace(incident, stage=Stage.UNSETTLED, due=settles))
            return f"waiting for evidence until {settles:%H:%M:%S} UTC"
    passing = [gap for gap in case.gaps if gap.may_pass]
    if passing and found.verdict is Cause.UNKNOWN and now - incident.first_known < RETRY_WINDOW:
        msg = "; ".join(f"{gap.source}: {gap.why}" for gap in passing)
        raise Transient(msg)
    made = planned(case, found, incident, chain, hands, similar=similar, faster=begun.faster)
    if belongs.unknown:
        made = for_a_person(made, belongs.gaps[0].why)
    case = replace(case, gaps=(*case.gaps, *belongs.gaps))
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
        evidence=hands.notices.kept_evidence(found),
        owner=summary.owner_of(job),
        team=summary.team_of(job),
        account=job.service_account or "",
        image=next(iter(job.images(case.model)), "").rpartition("/")[2],
        model_title=str((case.model or {}).get("displayName") or ""),
        accelerators=summary.accelerators_of(job),
        run_usd=costs.spent_usd(job, hands.catalogue),
        curves=kept_curves(case),
        channels=made.alerts,
    )
    done = _carry_out(Tale(job, case, found, made, judged, chain), hands, now)
    if isinstance(done, Again):
        return _decide(job, done.incident, done.chain, hands, now)
    return done


def _switched_off(job: Job) -> bool:
    return job.labels.get("remediator") == "off"


def _belonging(job: Job, hands: Hands) -> Belonging:
    return belonging(job, hands.jobs, hands.project()[0], timeout_seconds=hands.call_seconds)


def _whose(incident: Incident, ask: Callable[[], Belonging], now: datetime) -> Belonging:
    """Whose part the job is; raises what may be answered later, for as long as events come again."""
    if incident.attempt:  # what we made is nobody's part
        return Belonging()
    try:
        return ask()
    except (Transient, Forbidden) as err:
        if now - incident.first_known < RETRY_WINDOW:
            raise
        return unanswered(err)


def _leave(incident: Incident, chain: Chain, hands: Hands, now: datetime, guard: Guard) -> str:
    """A failure that nobody is to be told about; a claim that stands for it is resolved first."""
    made = resolve_claim(incident, chain, hands, now)
    if made:
        return made
    finish(incident, hands, Conclusion.IGNORED, guard.value)
    return f"left alone: {guard.value}"


# --- carrying a plan out -------------------------------------------------------------------------


def _carry_out(tale: Tale, hands: Hands, now: datetime) -> str | Again:
    wanted, incident = tale.plan, tale.incident
    held = tale.chain.claim
    if held is not None and held.incident == incident.key:
        made = made_under(held, tale.job.name, hands)
        if made is not None:
            return record_made(tale, held, made, hands, now)
        if wanted.action is not Action.RESUBMIT or wanted.mode is Mode.OBSERVE:
            withdraw_forgotten(tale.chain.key, held, hands, now)
    if wanted.mode is Mode.OBSERVE and wanted.action is not Action.ALERT:
        return tell(tale, hands, now, AlertKind.OBSERVED, Conclusion.OBSERVED)
    if wanted.action is Action.ALERT:
        if wanted.refused_by and set(wanted.refused_by) <= SILENT_GUARDS:
            reason = ", ".join(guard.value for guard in wanted.refused_by)
            finish(incident, hands, Conclusion.IGNORED, reason)
            return f"left alone: {reason}"
        if tale.chain.attempts:
            return tell(tale, hands, now, AlertKind.GIVEN_UP, Conclusion.GIVEN_UP)
        return tell(tale, hands, now, AlertKind.ALERT, Conclusion.ALERTED)
    if wanted.action is Action.WAIT:
        return wait(tale, hands, now)
    if wanted.action is Action.APPROVE:
        return _ask(tale, hands, now)
    return resubmit(tale, hands)


def _ask(tale: Tale, hands: Hands, now: datetime) -> str:
    approval = tale.incident.approval
    if approval is not None and approval.digest == tale.plan.digest:
        if approval.answer == DECLINED or (not approval.answer and now >= approval.expires):
            said = f"{approval.answer} by {approval.by}" if approval.answer else "nobody answered"
            declined = replace(
                tale.plan, because=f"{tale.plan.because} ({said})", notes=(said, *tale.plan.notes)
            )
            return tell(
                replace(tale, plan=declined), hands, now, AlertKind.GIVEN_UP, Conclusion.GIVEN_UP
            )
        if not approval.answer and covers(approval, tale.plan):
            hands.ledger.move(replace(tale.incident, stage=Stage.APPROVAL, due=approval.expires))
            return f"awaiting approval {approval.id}"
    offered = Approval(
        id=approval_id(hands.token()),
        digest=tale.plan.digest,
        expires=now + APPROVAL_LASTS,
        estimated_usd=tale.plan.estimated_usd,
        worst_case_usd=tale.plan.worst_case_usd,
        longest_seconds=tale.plan.longest_seconds,
        reason="; ".join(tale.plan.approval_reasons),
    )
    pending = replace(tale.incident, stage=Stage.APPROVAL, approval=offered, due=offered.expires)
    asked = replace(tale, incident=pending)
    facts = asked.facts(AlertKind.APPROVAL, now=now)
    debts = hands.notices.owed_with_outcome(
        tale.plan.alerts,
        tale.chain,
        tale.job,
        now,
        verdict=tale.incident.verdict,
        action=Action.APPROVE,
        final=False,
        facts=facts,
        waits_for=offered.id,
    )
    if hands.ledger.move(pending, debts=debts):
        hands.ledger.write_note(f"approval:{offered.id}", {"incident": pending.key})
        hands.notices.deliver(debts)
    return f"awaiting approval {offered.id}"


def _tell_refused_creation(hint: Hint, refusal: Refusal, hands: Hands) -> str:
    """A Create that Vertex refused: no job exists, so the alert is all there is."""
    if refusal.principal and refusal.principal == hands.own_account():
        return "ignored: the refused call was our own"
    now = hands.now()
    if hint.entry_time and (hint.published or now) - hint.entry_time > hands.settings.lookback:
        return "ignored: the refusal is older than the look-back"
    kind = _CREATED_KIND.get(refusal.method, JobKind.CUSTOM)
    name = JobName(hands.project()[0], _place(refusal.parent), kind, refusal.insert_id or "none")
    body = {
        "name": str(name),
        "displayName": refusal.display_name,
        "state": "JOB_STATE_FAILED",
        "error": {"code": refusal.code, "message": refusal.message},
    }
    found = diagnosed(Case(job=Job(name, body), now=now), hands.policies())
    at = hint.entry_time or now
    facts = AlertFacts(
        kind=AlertKind.REFUSED_CREATION,
        display_name=refusal.display_name or refusal.method,
        root=f"refusal/{refusal.insert_id}",
        error=refusal.message,
        diagnosis=found,
        places=entry_links("Refusal", name.project, refusal.insert_id, at, at),
        extra=(
            f"{refusal.method}, asked for by {refusal.principal or 'somebody'}, was refused:",
            *((_NOT_SENT_AGAIN,) if _may_pass(refusal, found) else ()),
        ),
    )
    channels = routes.channels_for_refusal(hands.policies(), found, kind)
    debts = hands.notices.owed(facts, channels, now)
    hands.ledger.owe(debts)
    hands.notices.deliver(debts)
    return f"alerted: {refusal.method} was refused"


def _may_pass(refusal: Refusal, found: Diagnosis) -> bool:
    """Whether the same request, sent later, may be taken."""
    return refusal.code in _PASSING_CODES and found.verdict not in {*NEVER_RETRIED, Cause.QUOTA}


_PASSING_CODES = frozenset({4, 8, 10, 13, 14})
"""google.rpc: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE."""
_NOT_SENT_AGAIN = (
    "It may pass by itself. The request was not sent again: a log entry is no proof of what was "
    "asked for, or of who may ask. Whoever asked can send it again."
)
_CREATED_KIND: Mapping[str, JobKind] = {
    "CreateBatchPredictionJob": JobKind.BATCH_PREDICTION,
    "CreateCustomJob": JobKind.CUSTOM,
    "CreateHyperparameterTuningJob": JobKind.HYPERPARAMETER_TUNING,
    "CreateTrainingPipeline": JobKind.TRAINING_PIPELINE,
    "CreatePipelineJob": JobKind.PIPELINE,
}


def _place(parent: str) -> str:
    location = parent.partition("/locations/")[2].partition("/")[0]
    return location if re.fullmatch(r"[a-z0-9-]{1,63}", location) else "unknown"


# --- what people ask ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of an answer; `contradicts`: another answer was given before, and that one counts."""

    text: str
    contradicts: bool = False


def answer_approval(hands: Hands, approval_id: str, *, approved: bool, by: str) -> Answered:
    """Write a person's yes or no to the ledger; `reconcile` acts on it, if the plan still stands.

    The first answer counts. Raises Unusable where nothing of that id is pending.
    """
    note = hands.ledger.note(f"approval:{approval_id}")
    incident = hands.ledger.incident(str(note["incident"])) if note else None
    approval = incident.approval if incident else None
    if incident is None or approval is None or approval.id != approval_id:
        msg = f"there is no pending approval {approval_id[:100]!r}"
        raise Unusable(msg)
    now = hands.now()
    answer = APPROVED if approved else DECLINED
    if approval.answer:
        said = f"already {approval.answer} by {approval.by}"
        return Answered(said, contradicts=approval.answer != answer)
    if now >= approval.expires or incident.stage is not Stage.APPROVAL:
        msg = f"approval {approval_id} has expired"
        raise Unusable(msg)
    answered = replace(approval, answer=answer, by=by, at=now)
    if not hands.ledger.move(replace(incident, approval=answered, due=now)):
        msg = "the incident changed meanwhile; ask again"
        raise Transient(msg)
    return Answered(f"{answer} by {by}")


def preview(
    case: Case,
    policies: Policies,
    catalogue: Catalogue,
    *,
    has_job: bool = True,
    resume: tuple[str, str] = ("", ""),
) -> Message:
    """The alert that a case would give, as it would be sent; nothing is read or written.

    Without a job (`has_job` false: a log came alone) there is a cause to tell, and nothing to do.
    `resume`: the bucket and the dataset for the rows that are left of a batch.
    """
    found = diagnosed(case, policies)
    history = History(
        attempts=case.attempts,
        parent=case.parent,
        usd_this_job=costs.chain_usd(case, catalogue),
        resume_bucket=resume[0],
        resume_dataset=resume[1],
    )
    made = plan(case, found, policies, history, catalogue)
    incident = Incident(
        key=case.job.name.key,
        job=str(case.job.name),
        stage=Stage.UNSETTLED,
        first_known=case.now,
        root=case.job.name.key,
        attempt=len(case.attempts),
    )
    chain = Chain(key=incident.root, root=incident.job, attempts=case.attempts)
    first = AlertKind.GIVEN_UP if case.attempts else AlertKind.ALERT
    kind = _PREVIEWED.get(made.action, first)
    if kind is AlertKind.ACTED and case.attempts:
        kind = AlertKind.NEXT_ATTEMPT
    if made.mode is Mode.OBSERVE and made.action is not Action.ALERT:
        kind = AlertKind.OBSERVED
    if not has_job:
        found = of_a_log_alone(found)
    facts = Tale(case.job, case, found, made, incident, chain).facts(kind, now=case.now)
    if not has_job:
        facts = replace(
            facts, kind=AlertKind.ALERT, job=None, root="", plan=None, error="", extra=(_NO_JOB,)
        )
    return compose(facts)


_NO_JOB = "Nothing: there is no job beside the log, so there is nothing to resubmit."
_PREVIEWED: Mapping[Action, AlertKind] = {
    Action.RESUBMIT: AlertKind.ACTED,
    Action.WAIT: AlertKind.WAITING,
    Action.APPROVE: AlertKind.APPROVAL,
}
