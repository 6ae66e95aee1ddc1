"""Creating, once: claim, look, create, record (docs/reliability.md argues why one job comes of it).

Owns the order of these steps and what each answer of Vertex means for the claim. Called by
`remediate` with a plan that says resubmit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from remediator import log, patience
from remediator.alerts import AlertKind
from remediator.domain import (
    Action,
    Attempt,
    Forbidden,
    Guard,
    JobName,
    Json,
    Plan,
    Refused,
    RemediatorError,
    Transient,
    Unanswered,
)
from remediator.endings import tell, wait, write_manifest
from remediator.hands import APPROVED, Hands, Tale, new_incident
from remediator.job import Job, summary
from remediator.job.batch import data_of
from remediator.ledger import STALE, Chain, Claim, Conclusion, Incident, Stage
from remediator.planning import job_budget, limits, skip_name
from remediator.policy import illegal_differences, routes, with_claim
from remediator.policy.refusal import after_refusal

LOOK_AGAIN = timedelta(minutes=1)
TRIAL_LOOK = timedelta(minutes=30)  # how often those look that wait for a breaker's trial
_SKIPS_AT_MOST = 10  # a ladder is shorter; this ends a loop that should not exist


@dataclass(frozen=True, slots=True)
class Again:
    """Vertex wants for quota or machines: the next step is to be decided, from this state."""

    incident: Incident
    chain: Chain


def resubmit(tale: Tale, hands: Hands, *, mended: bool = False) -> str | Again:
    """Take the plan's step: one job comes of it, however often and by how many hands this is called.

    `mended`: the plan already has the numbers that Vertex's refusal named, which are used once.

    Raises Transient where the event should come again; answers Again where another step is wanted.
    """
    now = hands.now()  # evidence took its time, and the lease begins here
    wanted = _claim_for(tale, hands, now)
    answer = hands.ledger.claim(
        tale.incident,
        tale.chain.root,
        wanted,
        now=now,
        limits=limits(tale, hands, now),
        first_failed=tale.chain.first_failed or tale.job.end_time,
    )
    if answer.claim is None:
        if STALE in answer.refused_by:
            msg = "another hand moved this incident on"
            raise Transient(msg)
        return _refused_at_claim(tale, answer.refused_by, hands, now)
    claim = answer.claim if answer.mine else _take_over(tale, answer.claim, wanted, hands, now)
    if isinstance(claim, Job):
        return record_made(tale, answer.claim, claim, hands, now)
    return _create(tale, claim, hands, now, mended=mended)


def _claim_for(tale: Tale, hands: Hands, now: datetime) -> Claim:
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
        max_run_seconds=tale.plan.max_run_seconds,
        entry=tale.plan.entry,
        resume=tale.plan.resume,
    )


def _refused_at_claim(tale: Tale, guards: tuple[str, ...], hands: Hands, now: datetime) -> str:
    refused = tuple(Guard(name) for name in guards)
    if refused == (Guard.BREAKER,):
        return _wait_for_the_trial(tale, hands, now)
    refusal = replace(
        tale.plan,
        action=Action.ALERT,
        refused_by=refused,
        because=f"{tale.plan.because}; refused when claimed: {', '.join(guards)}",
        notes=(),  # they tell of what would have been made
    )
    incident = replace(tale.incident, refused_by=guards, action=Action.ALERT.value)
    kind, conclusion = (
        (AlertKind.GIVEN_UP, Conclusion.GIVEN_UP)
        if tale.chain.attempts
        else (AlertKind.ALERT, Conclusion.ALERTED)
    )
    return tell(replace(tale, plan=refusal, incident=incident), hands, now, kind, conclusion)


def _wait_for_the_trial(tale: Tale, hands: Hands, now: datetime) -> str:
    """The breaker's pause is over and another resubmission tries: this one waits for how it ends."""
    why = "the pause is over and another resubmission tries first"
    waits = replace(
        tale.plan,
        action=Action.WAIT,
        refused_by=(Guard.BREAKER,),
        not_before=now + TRIAL_LOOK,
        because=f"{tale.plan.because}; {why}",
        notes=(why,),
    )
    incident = replace(tale.incident, refused_by=(Guard.BREAKER.value,), action=Action.WAIT.value)
    return wait(replace(tale, plan=waits, incident=incident), hands, now)


def _take_over(tale: Tale, held: Claim, wanted: Claim, hands: Hands, now: datetime) -> Claim | Job:
    """Somebody else's claim stands: its job if it exists, else the claim itself once that is safe."""
    made = made_under(held, tale.job.name, hands)
    if made is not None:
        return made
    wait_until_forgotten(held, hands, now)
    taken = hands.ledger.retake(
        tale.chain.key,
        held,
        lease_until=now + hands.settings.lease,
        now=now,
        renewed=wanted,
        limits=limits(tale, hands, now),
    )
    if taken is None:
        msg = "another hand took the claim over"
        raise Transient(msg)
    return taken


def wait_until_forgotten(held: Claim, hands: Hands, now: datetime) -> None:
    """Raise Transient while a job made under this claim may still be on its way into the list."""
    if now < held.forgotten_at(hands.settings.consistency_wait):
        why = "a create went unanswered" if held.unanswered else "another execution holds the claim"
        msg = f"{why}; the job list is watched"
        raise Transient(msg)


def withdraw_forgotten(chain: str, held: Claim, hands: Hands, now: datetime) -> None:
    """Drop a claim that is no longer wanted; raises Transient while a job of it may exist."""
    wait_until_forgotten(held, hands, now)
    if not hands.ledger.withdraw(chain, held.token, taken=held.taken):
        msg = "another hand took the claim over"
        raise Transient(msg)


def made_under(claim: Claim, job: JobName, hands: Hands) -> Job | None:
    """The job that was created under this claim: the earliest that bears it and does what it says."""
    found = [
        other
        for other in hands.jobs.list(
            job.kind,
            hands.project()[0],
            claim.location or job.location,
            labels={"remediator-claim": claim.token},
            timeout_seconds=hands.call_seconds,
        )
        if summary.holds(other, claim.changes_made)
    ]
    return min(found, key=lambda one: one.created_order, default=None)


def _create(tale: Tale, claim: Claim, hands: Hands, now: datetime, *, mended: bool) -> str | Again:
    request = with_claim(tale.plan.request or {}, claim.token)
    why_not = _why_not_sent(tale, claim, request, hands)
    if why_not:
        return _withheld(tale, claim, why_not, hands, now)
    key = tale.chain.key
    location = claim.location or tale.job.name.location
    if hands.now() >= claim.send_before(hands.settings.consistency_wait):
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
        found = _seen_at_once(claim, tale.job, hands)
        if found is None:
            _give_back(key, claim, hands, unanswered=True)
            raise
        made = found
    except Transient:  # answered, and the answer was "not now"
        _give_back(key, claim, hands, unanswered=False)
        raise
    except Refused as err:
        return _refused_by_vertex(tale, claim, err, hands, now, mended=mended)
    except BaseException:  # nobody knows what was sent: keep the claim, watch for its job
        _give_back(key, claim, hands, unanswered=True)
        raise
    return record_made(tale, claim, made, hands, now)


def _why_not_sent(tale: Tale, claim: Claim, request: Json, hands: Hands) -> str:
    """Why the request must not be sent; else empty, and the input of a resumed batch is there."""
    untouchable = illegal_differences(tale.job, request, tale.plan.changes)
    if untouchable:
        return _differences_words(untouchable)
    if not tale.plan.resume.is_new:
        return ""
    try:
        _write_rows_left(tale, request, hands)
    except Refused as err:
        return f"nothing was resubmitted: the rows that are left were not written: {err}"
    except BaseException:  # no job was asked for; what was written is found by its name
        _give_back(tale.chain.key, claim, hands, unanswered=False)
        raise
    return ""


def _withheld(tale: Tale, claim: Claim, words: str, hands: Hands, now: datetime) -> str:
    """The request is not sent, for the reason in `words`: the claim goes, people are told."""
    if not hands.ledger.withdraw(tale.chain.key, claim.token, taken=claim.taken):
        msg = "another hand took the claim over"
        raise Transient(msg)
    log.say("ERROR", words, job=str(tale.job.name), policy=claim.policy)
    return _tell_refusal(tale, words, words, hands, now)


def _differences_words(untouchable: tuple[str, ...]) -> str:
    """The request differs where no remedy may."""
    listed = ", ".join(untouchable[:_NAMED_AT_MOST])
    more = len(untouchable) - _NAMED_AT_MOST
    return (
        f"nothing was resubmitted: the new job would differ in {listed}"
        f"{f' and {more} more' if more > 0 else ''}, which no remedy may change"
    )


_NAMED_AT_MOST = 5


def _write_rows_left(tale: Tale, request: Json, hands: Hands) -> None:
    """The new job's input, under the name that the claim gives it; one that is there is used.

    Raises Refused where it cannot be written, Transient where it may be tried again.
    """
    uris = data_of(Job(tale.job.name, request)).inputs
    hands.rows.write_left(
        tale.job,
        uris[0],
        rows=tale.plan.resume.sent,
        seconds=patience.left(_ROWS_SECONDS),
    )


_ROWS_SECONDS = 30.0  # for reading a batch anew where that was not done just now; chosen


def _seen_at_once(claim: Claim, job: Job, hands: Hands) -> Job | None:
    """The job, if the list shows it already; a list that does not answer either shows nothing."""
    try:
        return made_under(claim, job.name, hands)
    except RemediatorError:
        return None


def _give_back(key: str, claim: Claim, hands: Hands, *, unanswered: bool) -> None:
    now = hands.now()
    wait = hands.settings.consistency_wait if unanswered else LOOK_AGAIN
    hands.ledger.give_back(
        key, claim.token, now=now, unanswered=unanswered, due=now + wait, taken=claim.taken
    )


def _refused_by_vertex(
    tale: Tale, claim: Claim, err: Refused, hands: Hands, now: datetime, *, mended: bool
) -> str | Again:
    """Vertex said no for certain.

    Numbers that it names are used once; want of quota or machines skips the step; else a person is
    told.
    """
    words = " ".join(str(err).split())
    scarce = routes.is_scarcity(words) and not isinstance(err, Forbidden)
    skip = skip_name(claim.policy, claim.step, claim.entry) if scarce else ""
    if not hands.ledger.withdraw(tale.chain.key, claim.token, skip=skip, taken=claim.taken):
        msg = f"another hand took the claim over, and Vertex said: {words}"
        raise Transient(msg)
    stored = hands.ledger.incident(tale.incident.key) or tale.incident
    chain = hands.ledger.chain(tale.chain.key) or tale.chain
    log.say("WARNING", f"Vertex refused the resubmission: {words}", job=str(tale.job.name))
    # A person's yes was to the plan as it was shown, without the numbers that Vertex names now.
    shown = tale.incident.approval is not None and tale.incident.approval.answer == APPROVED
    as_told = None if mended or shown else _as_vertex_told(tale, chain, words, hands)
    if as_told is not None:
        again = replace(
            tale,
            plan=as_told,
            chain=chain,
            incident=replace(
                tale.incident,
                version=stored.version,
                changes=as_told.changes,
                estimated_usd=as_told.estimated_usd,
            ),
        )
        return resubmit(again, hands, mended=True)
    if scarce and len(chain.skipped) <= _SKIPS_AT_MOST:
        return Again(stored, chain)
    reason = "a permission is missing: " if isinstance(err, Forbidden) else ""
    return _tell_refusal(tale, f"Vertex refused the job: {reason}{words}", words, hands, now)


def _tell_refusal(tale: Tale, because: str, reason: str, hands: Hands, now: datetime) -> str:
    """Conclude a failure whose claim was withdrawn: nothing of it was made."""
    stored = hands.ledger.incident(tale.incident.key) or tale.incident
    chain = hands.ledger.chain(tale.chain.key) or tale.chain
    told = replace(
        tale,
        plan=replace(tale.plan, action=Action.ALERT, because=because, notes=(because,)),
        chain=chain,
        incident=replace(tale.incident, version=stored.version, reason=reason[:500]),
    )
    kind, conclusion = (
        (AlertKind.GIVEN_UP, Conclusion.GIVEN_UP)
        if chain.attempts
        else (AlertKind.ALERT, Conclusion.ALERTED)
    )
    return tell(told, hands, now, kind, conclusion)


def _as_vertex_told(tale: Tale, chain: Chain, words: str, hands: Hands) -> Plan | None:
    """The plan with the numbers that the refusal names, where the job's budget has room for it."""
    plan = after_refusal(tale.plan, words, hands.catalogue)
    if plan is None:
        return None
    most = job_budget(plan.policy, hands)
    if most is not None:
        if plan.estimated_usd is None:
            return None
        if chain.spent_usd + chain.reserved_usd + plan.estimated_usd > most:
            return None
    return plan


def record_made(tale: Tale, claim: Claim, made: Job, hands: Hands, now: datetime) -> str:
    """The job exists: write it down with everything that is owed for it, in one transaction."""
    attempt = Attempt(
        name=str(made.name),
        state=made.state,
        create_time=made.create_time or now,
        policy=claim.policy,
        step=claim.step,
        verdict=claim.verdict,
        changes=claim.changes_made,
        claim=claim.token,
        number=claim.number,
        estimated_usd=claim.estimated_usd,
        max_run_seconds=claim.max_run_seconds,
        entry=claim.entry,
        resume=claim.resume,
    )
    done = replace(tale.incident, stage=Stage.DONE, conclusion=Conclusion.RESUBMITTED)
    following = replace(
        new_incident(made, now, tale.chain.key),
        stage=Stage.FOLLOWED,
        due=now,
        attempt=claim.number,
        policy="",
    )
    done_so = replace(
        tale.plan,
        action=Action.RESUBMIT,
        policy=claim.policy,
        step=claim.step,
        changes=claim.changes_made,
        resume=claim.resume,
    )
    acted = replace(tale, plan=done_so, incident=done)
    kind = AlertKind.NEXT_ATTEMPT if tale.chain.attempts else AlertKind.ACTED
    chain = replace(tale.chain, attempts=(*tale.chain.attempts, attempt))
    facts = acted.facts(kind, created=str(made.name), now=now)
    debts = hands.notices.owed_with_outcome(
        tale.plan.alerts,
        chain,
        made,
        now,
        verdict=claim.verdict,
        action=Action.RESUBMIT,
        final=False,
        facts=facts,
        previous=str(tale.job.name),
    )
    write_manifest(chain, made, hands)
    if hands.ledger.record(
        tale.chain.key, claim.token, attempt, incident=done, following=following, debts=debts
    ):
        log.say(
            "NOTICE",
            f"resubmitted as {made.name}",
            job=str(tale.job.name),
            root=tale.chain.root,
            attempt=claim.number,
            policy=claim.policy,
        )
        hands.notices.deliver(debts)
    return f"resubmitted as {made.name}"
