"""A claim that stands: its job looked for, its lease released, the claim withdrawn or written down as done.

Owns what may be said of a claim whose outcome is not known, and the one transaction that ends it well.
Creates nothing itself (`resubmit` does). Called by `resubmit`, `failure` and `adoption`.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from remediator import log
from remediator.alerts import AlertKind
from remediator.alerts.outbox import ChainChange
from remediator.domain import (
    Action,
    Attempt,
    JobName,
    RemediatorError,
    TransientError,
)
from remediator.job import Job, summary
from remediator.ledger import (
    Claim,
    Conclusion,
    Ledger,
    OutboxMessage,
    Recorded,
    Stage,
)
from remediator.log import LogEvent
from remediator.settings import Settings
from remediator.workflow.conclusions import (
    write_manifest,
)
from remediator.workflow.incident_context import IncidentContext, new_incident
from remediator.workflow.services import (
    Clock,
    Records,
    VertexProject,
)

LOOK_AGAIN = timedelta(minutes=1)


def wait_until_safe_to_recreate(held: Claim, settings: Settings, now: datetime) -> None:
    """Raise TransientError while a job made under this claim may still be on its way into the list."""
    if now < held.safe_to_recreate_at(settings.consistency_wait):
        why = "a create went unanswered" if held.unanswered else "another execution holds the claim"
        msg = f"{why}; the job list is watched"
        raise TransientError(msg)


def withdraw_expired_claim(
    chain: str, held: Claim, settings: Settings, ledger: Ledger, now: datetime
) -> None:
    """Drop a claim that is no longer wanted; raises TransientError while a job of it may exist."""
    wait_until_safe_to_recreate(held, settings, now)
    if not ledger.withdraw(chain, held.token, acquired_at=held.acquired_at):
        msg = "another execution took the claim over"
        raise TransientError(msg)


def find_job_by_claim(claim: Claim, job: JobName, vertex: VertexProject) -> Job | None:
    """The job that was created under this claim: the earliest that bears it and does what it says."""
    found = [
        other
        for other in vertex.list(
            job.kind, claim.location or job.location, labels={"remediator-claim": claim.token}
        )
        if summary.holds(other, claim.changes_made)
    ]
    return min(found, key=lambda one: one.created_order, default=None)


def find_created_job(claim: Claim, job: Job, vertex: VertexProject) -> Job | None:
    """The job, if the list shows it already; a list that does not answer either shows nothing."""
    try:
        return find_job_by_claim(claim, job.name, vertex)
    except RemediatorError:
        return None


def release_lease(
    key: str, claim: Claim, settings: Settings, ledger: Ledger, clock: Clock, *, unanswered: bool
) -> None:
    """Let others take the claim over; once `unanswered`, the job list is watched before that."""
    now = clock()
    wait = settings.consistency_wait if unanswered else LOOK_AGAIN
    ledger.release_lease(
        key,
        claim.token,
        now=now,
        unanswered=unanswered,
        due=now + wait,
        acquired_at=claim.acquired_at,
    )


def record_attempt(
    context: IncidentContext, claim: Claim, made: Job, records: Records, now: datetime
) -> str:
    """The job exists: write it down with every message about it, in one transaction."""
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
    done = replace(context.incident, stage=Stage.DONE, conclusion=Conclusion.RESUBMITTED)
    following = replace(
        new_incident(made, now, context.chain.key),
        stage=Stage.FOLLOWED,
        due=now,
        attempt=claim.number,
        policy="",
    )
    done_so = replace(
        context.plan,
        action=Action.RESUBMIT,
        policy=claim.policy,
        step=claim.step,
        changes=claim.changes_made,
        resume=claim.resume,
    )
    acted = replace(context, plan=done_so, incident=done)
    kind = AlertKind.NEXT_ATTEMPT if context.chain.attempts else AlertKind.ACTED
    chain = replace(context.chain, attempts=(*context.chain.attempts, attempt))
    facts = acted.facts(kind, created=str(made.name), now=now)
    change = ChainChange(
        chain, made, claim.verdict, Action.RESUBMIT, is_final=False, previous=str(context.job.name)
    )
    write_manifest(chain, made, records.rows)

    def store(messages: tuple[OutboxMessage, ...]) -> Recorded | None:
        recorded = records.ledger.record(
            context.chain.key,
            claim.token,
            attempt,
            incident=done,
            following=following,
            outbox_messages=messages,
        )
        if recorded is not None:
            log.say(
                "NOTICE",
                LogEvent.JOB_RESUBMITTED,
                f"resubmitted as {made.name}",
                job=str(context.job.name),
                root=context.chain.root,
                attempt=claim.number,
                policy=claim.policy,
            )
        return recorded

    records.outbox.publish(facts, context.plan.alerts, now, change=change, record=store)
    return f"resubmitted as {made.name}"
