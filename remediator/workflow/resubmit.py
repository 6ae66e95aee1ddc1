"""Creating, once: claim, look, create, record (docs/reliability.md argues why one job comes of it).

Owns the order of these steps and what each answer of Vertex means for the claim. Called by
`incident` with a plan that says resubmit.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from remediator import log
from remediator.deadline import remaining
from remediator.domain import (
    Action,
    Guard,
    GuardRefusal,
    Json,
    OutcomeUnknown,
    PermanentError,
    PermissionDenied,
    Plan,
    TransientError,
)
from remediator.job import Job, quota
from remediator.job.batch import data_of
from remediator.job.differences import illegal_differences
from remediator.ledger import (
    STALE,
    ApprovalChoice,
    Chain,
    Claim,
    Incident,
    Ledger,
)
from remediator.ledger.records import skip_key
from remediator.log import LogEvent
from remediator.planning.request import with_claim
from remediator.planning.vertex_refusals import after_refusal
from remediator.settings import Settings
from remediator.workflow.claims import (
    find_created_job,
    find_job_by_claim,
    record_attempt,
    release_lease,
    wait_until_safe_to_recreate,
)
from remediator.workflow.conclusions import (
    conclude_with_alert,
    ending_without_change,
    wait_until_due,
)
from remediator.workflow.incident_context import IncidentContext
from remediator.workflow.limits import claim_limits, job_budget
from remediator.workflow.services import (
    Clock,
    Configuration,
    Records,
    RowsOfBatches,
    Services,
    VertexProject,
)

TRIAL_LOOK = timedelta(minutes=30)  # how often those look that wait for a breaker's trial
_SKIPS_AT_MOST = 10  # a ladder is shorter; this ends a loop that should not exist


class TryNextStep(Struct, frozen=True):
    """Vertex wants for quota or machines: the next step is to be decided, from this state."""

    incident: Incident
    chain: Chain


def resubmit(
    context: IncidentContext, services: Services, *, adjusted: bool = False
) -> str | TryNextStep:
    """Take the plan's step: one job comes of it, however often and by how many executions this is called.

    `adjusted`: the plan already has the numbers that Vertex's refusal named, which are used once.

    Raises TransientError where the event should come again; answers TryNextStep where another step is wanted.
    """
    now = services.clock()  # evidence took its time, and the lease begins here
    wanted = _claim_for(context, services.config.settings, services.records, now)
    answer = services.records.ledger.claim(
        context.incident,
        context.chain.root,
        wanted,
        now=now,
        limits=claim_limits(context, services.config, services.records.ledger, now),
        first_failed=context.chain.first_failed or context.job.end_time,
    )
    if answer.claim is None:
        if STALE in answer.refused_by:
            msg = "another execution moved this incident on"
            raise TransientError(msg)
        return _refused_at_claim(context, answer.refused_by, services.config, services.records, now)
    claim = (
        answer.claim
        if answer.mine
        else _take_over(
            context,
            answer.claim,
            wanted,
            services.config,
            services.vertex,
            services.records.ledger,
            now,
        )
    )
    if isinstance(claim, Job):
        return record_attempt(context, answer.claim, claim, services.records, now)
    return _create(context, claim, services, now, adjusted=adjusted)


def _claim_for(
    context: IncidentContext, settings: Settings, records: Records, now: datetime
) -> Claim:
    return Claim(
        token=records.new_token(),
        incident=context.incident.key,
        policy=context.plan.policy,
        step=context.plan.step,
        number=len(context.chain.attempts) + 1,
        verdict=context.watch_reason or context.diagnosis.verdict.value,
        changes=context.plan.changes,
        acquired_at=now,
        lease_until=now + settings.lease,
        estimated_usd=context.plan.estimated_usd,
        location=context.plan.location or context.job.name.location,
        max_run_seconds=context.plan.max_run_seconds,
        entry=context.plan.entry,
        resume=context.plan.resume,
    )


def _refused_at_claim(
    context: IncidentContext,
    guards: tuple[str, ...],
    config: Configuration,
    records: Records,
    now: datetime,
) -> str:
    refused = tuple(Guard(name) for name in guards)
    if refused == (Guard.BREAKER,):
        return _wait_for_the_trial(context, records, now)
    refusal = replace(
        context.plan,
        action=Action.ALERT,
        refused_by=refused,
        because=f"{context.plan.because}; refused when claimed: {', '.join(guards)}",
        refusals=(),
        notes=(),  # they tell of what would have been made
    )
    incident = replace(context.incident, refused_by=guards, action=Action.ALERT.value)
    ending = ending_without_change(context.chain)
    return conclude_with_alert(
        replace(context, plan=refusal, incident=incident), config, records, now, ending
    )


def _wait_for_the_trial(context: IncidentContext, records: Records, now: datetime) -> str:
    """The breaker's pause is over and another resubmission tries: this one waits for how it ends."""
    why = "the pause is over and another resubmission tries first"
    waits = replace(
        context.plan,
        action=Action.WAIT,
        refused_by=(Guard.BREAKER,),
        refusals=(GuardRefusal(Guard.BREAKER, why),),
        not_before=now + TRIAL_LOOK,
        because=f"{context.plan.because}; {why}",
        notes=(),
    )
    incident = replace(
        context.incident, refused_by=(Guard.BREAKER.value,), action=Action.WAIT.value
    )
    return wait_until_due(replace(context, plan=waits, incident=incident), records, now)


def _take_over(
    context: IncidentContext,
    held: Claim,
    wanted: Claim,
    config: Configuration,
    vertex: VertexProject,
    ledger: Ledger,
    now: datetime,
) -> Claim | Job:
    """Somebody else's claim stands: its job if it exists, else the claim itself once that is safe."""
    made = find_job_by_claim(held, context.job.name, vertex)
    if made is not None:
        return made
    wait_until_safe_to_recreate(held, config.settings, now)
    acquired_at = ledger.take_over(
        context.chain.key,
        held,
        lease_until=now + config.settings.lease,
        now=now,
        renewed=wanted,
        limits=claim_limits(context, config, ledger, now),
    )
    if acquired_at is None:
        msg = "another execution took the claim over"
        raise TransientError(msg)
    return acquired_at


def _create(
    context: IncidentContext, claim: Claim, services: Services, now: datetime, *, adjusted: bool
) -> str | TryNextStep:
    request = with_claim(context.plan.request or {}, claim.token)
    why_not = _why_not_sent(
        context, claim, request, services.config.settings, services.records, services.clock
    )
    if why_not:
        return _refuse_illegal_difference(
            context, claim, why_not, services.config, services.records, now
        )
    config, ledger = services.config, services.records.ledger
    release = partial(
        release_lease, context.chain.key, claim, config.settings, ledger, services.clock
    )
    location = claim.location or context.job.name.location
    if services.clock() >= claim.send_before(config.settings.consistency_wait):
        msg = "the lease ran out before the job was created"
        raise TransientError(msg)
    try:
        made = services.vertex.create(context.job.kind, location, request)
    except OutcomeUnknown:
        found = find_created_job(claim, context.job, services.vertex)
        if found is None:
            release(unanswered=True)
            raise
        made = found
    except TransientError:  # answered, and the answer was "not now"
        release(unanswered=False)
        raise
    except PermanentError as err:
        return _refused_by_vertex(context, claim, err, services, now, adjusted=adjusted)
    except BaseException:  # nobody knows what was sent: keep the claim, watch for its job
        release(unanswered=True)
        raise
    return record_attempt(context, claim, made, services.records, now)


def _why_not_sent(
    context: IncidentContext,
    claim: Claim,
    request: Json,
    settings: Settings,
    records: Records,
    clock: Clock,
) -> str:
    """Why the request must not be sent; else empty, and the input of a resumed batch is there."""
    untouchable = illegal_differences(context.job, request, context.plan.changes)
    if untouchable:
        return _differences_words(untouchable)
    if not context.plan.resume.is_new:
        return ""
    try:
        _write_rows_left(context, request, records.rows)
    except PermanentError as err:
        return f"nothing was resubmitted: the rows that are left were not written: {err}"
    except BaseException:  # no job was asked for; what was written is found by its name
        release_lease(context.chain.key, claim, settings, records.ledger, clock, unanswered=False)
        raise
    return ""


def _refuse_illegal_difference(
    context: IncidentContext,
    claim: Claim,
    words: str,
    config: Configuration,
    records: Records,
    now: datetime,
) -> str:
    """The request is not sent, for the reason in `words`: the claim goes, people are told."""
    if not records.ledger.withdraw(context.chain.key, claim.token, acquired_at=claim.acquired_at):
        msg = "another execution took the claim over"
        raise TransientError(msg)
    log.say(
        "ERROR", LogEvent.REQUEST_WITHHELD, words, job=str(context.job.name), policy=claim.policy
    )
    return _alert_refusal(context, words, words, config, records, now)


def _differences_words(untouchable: tuple[str, ...]) -> str:
    """The request differs where no remedy may."""
    listed = ", ".join(untouchable[:_NAMED_AT_MOST])
    more = len(untouchable) - _NAMED_AT_MOST
    return (
        f"nothing was resubmitted: the new job would differ in {listed}"
        f"{f' and {more} more' if more > 0 else ''}, which no remedy may change"
    )


_NAMED_AT_MOST = 5


def _write_rows_left(context: IncidentContext, request: Json, rows: RowsOfBatches) -> None:
    """The new job's input, under the name that the claim gives it; one that is there is used.

    Raises PermanentError where it cannot be written, TransientError where it may be tried again.
    """
    data = data_of(Job(context.job.name, request))
    rows.write_left(
        context.job,
        data.input_table or data.inputs[0],
        rows=context.plan.resume.sent,
        seconds=remaining(_ROWS_SECONDS),
    )


_ROWS_SECONDS = 30.0  # for reading a batch anew where that was not done just now; chosen


def _refused_by_vertex(
    context: IncidentContext,
    claim: Claim,
    err: PermanentError,
    services: Services,
    now: datetime,
    *,
    adjusted: bool,
) -> str | TryNextStep:
    """Vertex said no for certain.

    Numbers that it names are used once; want of quota or machines skips the step; else a person is
    told.
    """
    words = " ".join(str(err).split())
    scarce = quota.is_scarcity(words) and not isinstance(err, PermissionDenied)
    skip = skip_key(claim.policy, claim.step, claim.entry) if scarce else ""
    if not services.records.ledger.withdraw(
        context.chain.key, claim.token, skip=skip, acquired_at=claim.acquired_at
    ):
        msg = f"another execution took the claim over, and Vertex said: {words}"
        raise TransientError(msg)
    stored = services.records.ledger.incident(context.incident.key) or context.incident
    chain = services.records.ledger.chain(context.chain.key) or context.chain
    log.say(
        "WARNING",
        LogEvent.RESUBMISSION_REFUSED,
        f"Vertex refused the resubmission: {words}",
        job=str(context.job.name),
    )
    # A person's yes was to the plan as it was shown, without the numbers that Vertex names now.
    shown = (
        context.incident.approval is not None
        and context.incident.approval.answer is ApprovalChoice.APPROVED
    )
    adjusted_plan = (
        None if adjusted or shown else _with_vertex_numbers(context, chain, words, services.config)
    )
    if adjusted_plan is not None:
        again = replace(
            context,
            plan=adjusted_plan,
            chain=chain,
            incident=replace(
                context.incident,
                version=stored.version,
                changes=adjusted_plan.changes,
                estimated_usd=adjusted_plan.estimated_usd,
            ),
        )
        return resubmit(again, services, adjusted=True)
    if scarce and len(chain.skipped) <= _SKIPS_AT_MOST:
        return TryNextStep(stored, chain)
    denied = err if isinstance(err, PermissionDenied) else None
    reason = "a permission is missing: " if denied else ""
    return _alert_refusal(
        replace(context, denied=denied),
        f"Vertex refused the job: {reason}{words}",
        words,
        services.config,
        services.records,
        now,
    )


def _alert_refusal(
    context: IncidentContext,
    because: str,
    reason: str,
    config: Configuration,
    records: Records,
    now: datetime,
) -> str:
    """Conclude a failure whose claim was withdrawn: nothing of it was made."""
    stored = records.ledger.incident(context.incident.key) or context.incident
    chain = records.ledger.chain(context.chain.key) or context.chain
    refused = replace(
        context,
        plan=replace(context.plan, action=Action.ALERT, because=because, notes=(because,)),
        chain=chain,
        incident=replace(context.incident, version=stored.version, reason=reason[:500]),
    )
    return conclude_with_alert(refused, config, records, now, ending_without_change(chain))


def _with_vertex_numbers(
    context: IncidentContext, chain: Chain, words: str, config: Configuration
) -> Plan | None:
    """The plan with the numbers that the refusal names, where the job's budget has room for it."""
    plan = after_refusal(context.plan, words, config.catalog)
    if plan is None:
        return None
    most = job_budget(plan.policy, config)
    if most is not None:
        if plan.estimated_usd is None:
            return None
        if chain.spent_usd + chain.reserved_usd + plan.estimated_usd > most:
            return None
    return plan
