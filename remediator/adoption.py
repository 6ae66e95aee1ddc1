"""What becomes of a claim, or of an attempt, when the job that it belongs to is there no more.

Owns the ends that no decision leads to: a failed job that its owner deleted, or took out of our hands,
while a resubmission of it was being made; an attempt of ours that somebody deleted. What runs under a
claim is recorded and watched whatever became of the job it was made for. Called by `remediate` and
`reconcile`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from remediator.alerts import AlertFacts, AlertKind
from remediator.case import Case
from remediator.domain import (
    Action,
    Cause,
    Diagnosis,
    Evidence,
    JobName,
    JobState,
    Mode,
    Plan,
    RankedCause,
    Source,
)
from remediator.hands import Hands, Tale
from remediator.job import Job
from remediator.ledger import Chain, Claim, Conclusion, Incident, Stage
from remediator.policy import routes
from remediator.resubmit import made_under, record_made, withdraw_forgotten

DELETED = "the job was deleted"
_PROMISED = frozenset({Stage.WAITING, Stage.APPROVAL})


def resolve_claim(incident: Incident, chain: Chain, hands: Hands, now: datetime) -> str:
    """What was made under the claim that stands for the incident, recorded; in words, empty if nothing.

    Where nothing was made the claim is withdrawn. Raises Transient while a job may yet be listed.
    """
    claim = chain.claim
    if claim is None or claim.incident != incident.key:
        return ""
    made = made_under(claim, JobName.parse(incident.job), hands)
    if made is None:
        withdraw_forgotten(chain.key, claim, hands, now)
        return ""
    return _record(incident, chain, claim, made, hands, now)


def adopt_forsaken(job: Job, hands: Hands, now: datetime) -> bool:
    """Record a job of ours whose claim nobody will look at any more; False where somebody will."""
    root = hands.ledger.claimed_root(job.labels.get("remediator-claim", ""))
    chain = hands.ledger.chain(root) if root else None
    if chain is None or chain.claim is None:
        return False
    holder = hands.ledger.incident(chain.claim.incident)
    if holder is not None and holder.stage is not Stage.DONE:
        return False
    if holder is None:
        holder = Incident(
            key=chain.claim.incident,
            job=chain.current,
            stage=Stage.DONE,
            first_known=now,
            root=chain.key,
        )
    _record(holder, chain, chain.claim, job, hands, now)
    return True


def close_deleted(incident: Incident, hands: Hands, now: datetime) -> str:
    """The incident's job is gone. Whoever was promised more, or waits for the chain, hears of it."""
    chain = hands.ledger.chain(incident.root) or Chain(key=incident.root, root=incident.job)
    made = resolve_claim(incident, chain, hands, now)
    if made:
        return made
    done = replace(
        incident, stage=Stage.DONE, conclusion=Conclusion.IGNORED, reason=DELETED, due=None
    )
    if not incident.attempt and incident.stage not in _PROMISED:
        hands.ledger.move(done)
        return DELETED
    if incident.attempt:
        chain = hands.ledger.settle(
            chain.key, incident.key, state=JobState.CANCELLED, ended=now, usd=None, final=True
        )
    job = _as_known(incident)
    last = chain.attempts[-1] if chain.attempts else None
    policy = last.policy if last else incident.policy
    facts = AlertFacts(
        kind=AlertKind.GIVEN_UP,
        job=job.name,
        display_name=incident.display_name,
        root=incident.root,
        attempt=incident.attempt,
        state=JobState.CANCELLED,
        machine=incident.machine,
        attempts=chain.attempts,
        spent_usd=chain.spent_usd or None,
        deleted=True,
        extra=("Nothing more: the job was deleted.",),
    )
    debts = hands.notices.owed_with_outcome(
        routes.channels_of(hands.policies(), policy, job),
        chain,
        job,
        now,
        verdict=incident.verdict,
        action=Action.ALERT,
        final=True,
        facts=facts,
    )
    if hands.ledger.move(replace(done, conclusion=Conclusion.GIVEN_UP), debts=debts):
        hands.notices.deliver(debts)
    return DELETED


def _record(
    incident: Incident,
    chain: Chain,
    claim: Claim,
    made: Job,
    hands: Hands,
    now: datetime,
) -> str:
    """As if it had been recorded when it was made, from what the ledger knows of the failure."""
    job = _as_known(incident)
    cause = Cause(claim.verdict) if claim.verdict in set(Cause) else Cause.UNKNOWN
    evidence = tuple(
        Evidence(Source(one["source"]), str(one["where"]), str(one["says"]))
        for one in incident.evidence
        if one.get("source") in set(Source)
    )
    ranked = RankedCause(cause, incident.confidence, evidence)
    found = Diagnosis(str(job.name), job.kind, cause, (ranked,))
    plan = Plan(
        job=str(job.name),
        verdict=cause,
        policy=claim.policy,
        step=claim.step,
        mode=Mode.ENFORCE,
        action=Action.RESUBMIT,
        changes=claim.changes_made,
        resume=claim.resume,
        location=claim.location,
        estimated_usd=claim.estimated_usd,
        alerts=routes.channels_of(hands.policies(), claim.policy, made),
        because="found running under its claim",
        notes=("found running; the job that it was made for is gone, or no longer ours",),
    )
    tale = Tale(job, Case(job=job, now=now), found, plan, incident, chain)
    return record_made(tale, claim, made, hands, now)


def _as_known(incident: Incident) -> Job:
    """The job as far as its incident tells, where Vertex no longer does."""
    body = {
        "name": incident.job,
        "displayName": incident.display_name,
        "state": "JOB_STATE_FAILED",
    }
    return Job(JobName.parse(incident.job), body)
