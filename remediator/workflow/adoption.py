"""What becomes of a claim, or of an attempt, when the job that it belongs to is there no more.

Owns the ends that no decision leads to: a failed job that its owner deleted, or took out of our care,
while a resubmission of it was being made; an attempt of ours that somebody deleted. What runs under a
claim is recorded and watched whatever became of the job it was made for. Called by `incident` and
`reconcile`.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from remediator.alerts import AlertFacts, AlertKind
from remediator.alerts.outbox import ChainChange
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
from remediator.job import Job
from remediator.ledger import Chain, Claim, Conclusion, Incident, Stage
from remediator.planning import alert_routing
from remediator.workflow.claims import find_job_by_claim, record_attempt, withdraw_expired_claim
from remediator.workflow.incident_context import IncidentContext
from remediator.workflow.services import Configuration, Records, VertexProject

DELETED = "the job was deleted"
_PROMISED = frozenset({Stage.WAITING, Stage.APPROVAL})


def resolve_claim(
    incident: Incident,
    chain: Chain,
    config: Configuration,
    vertex: VertexProject,
    records: Records,
    now: datetime,
) -> str:
    """What was made under the claim that stands for the incident, recorded; in words, empty if nothing.

    Where nothing was made the claim is withdrawn. Raises TransientError while a job may yet be listed.
    """
    claim = chain.claim
    if claim is None or claim.incident != incident.key:
        return ""
    made = find_job_by_claim(claim, JobName.parse(incident.job), vertex)
    if made is None:
        withdraw_expired_claim(chain.key, claim, config.settings, records.ledger, now)
        return ""
    return _record(incident, chain, claim, made, config, records, now)


def adopt_forsaken(job: Job, config: Configuration, records: Records, now: datetime) -> bool:
    """Record a job of ours whose claim nobody will look at any more; False where somebody will."""
    root = records.ledger.claimed_root(job.labels.get("remediator-claim", ""))
    chain = records.ledger.chain(root) if root else None
    if chain is None or chain.claim is None:
        return False
    holder = records.ledger.incident(chain.claim.incident)
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
    _record(holder, chain, chain.claim, job, config, records, now)
    return True


def close_deleted(
    incident: Incident,
    config: Configuration,
    vertex: VertexProject,
    records: Records,
    now: datetime,
) -> str:
    """The incident's job is gone. Whoever was promised more, or waits for the chain, hears of it."""
    chain = records.ledger.chain(incident.root) or Chain(key=incident.root, root=incident.job)
    made = resolve_claim(incident, chain, config, vertex, records, now)
    if made:
        return made
    done = replace(
        incident, stage=Stage.DONE, conclusion=Conclusion.IGNORED, reason=DELETED, due=None
    )
    if not incident.attempt and incident.stage not in _PROMISED:
        records.ledger.move(done)
        return DELETED
    if incident.attempt:
        chain = records.ledger.settle(
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
    )
    records.publish_move(
        replace(done, conclusion=Conclusion.GIVEN_UP),
        facts,
        alert_routing.channels_of(config.policies(), policy, job),
        now,
        change=ChainChange(chain, job, incident.verdict, Action.ALERT, is_final=True),
    )
    return DELETED


def _record(
    incident: Incident,
    chain: Chain,
    claim: Claim,
    made: Job,
    config: Configuration,
    records: Records,
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
        alerts=alert_routing.channels_of(config.policies(), claim.policy, made),
        because="found running under its claim",
        notes=("found running; the job that it was made for is gone, or no longer ours",),
    )
    context = IncidentContext(job, Case(job=job, now=now), found, plan, incident, chain)
    return record_attempt(context, claim, made, records, now)


def _as_known(incident: Incident) -> Job:
    """The job as far as its incident tells, where Vertex no longer does."""
    body = {
        "name": incident.job,
        "displayName": incident.display_name,
        "state": "JOB_STATE_FAILED",
    }
    return Job(JobName.parse(incident.job), body)
