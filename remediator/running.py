"""Attempts of ours that have not ended: one that waits for a machine in vain, one that costs too much.

Owns when an attempt is cancelled, and the words for it. What is cancelled ends in `remediate` like
any other job. Called by `remediate` each time a running attempt is looked at.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from remediator import log
from remediator.alerts import AlertFacts, AlertKind
from remediator.domain import Attempt, JobDocument, JobState, Mode
from remediator.endings import settle
from remediator.hands import Hands
from remediator.job import fields, summary
from remediator.ledger import Chain, Incident
from remediator.planning import job_budget, limits_of
from remediator.policy import costs, routes

STUCK_AFTER = timedelta(hours=1)
NO_MACHINE = "it waited an hour for a machine in vain"
_WAITS_FOR_A_MACHINE = (JobState.QUEUED, JobState.PENDING)


def watch(job: JobDocument, incident: Incident, hands: Hands, now: datetime) -> Incident:
    """Look at a job that has not ended; the incident to go on with, which knows why it was cancelled.

    Only an attempt of ours is ever cancelled, and none while the stop switch is on or the mode is
    observe.
    """
    chain = hands.ledger.chain(incident.root) if incident.attempt else None
    attempt = (
        next((one for one in chain.attempts if one.name == str(job.name)), None) if chain else None
    )
    if chain is None or attempt is None:
        return incident
    if _is_stuck(job, now):
        return _cancel(job, incident, hands, NO_MACHINE)
    why = _overrun(job, attempt, chain, hands, now)
    if not why:
        return incident
    cancels = limits_of(attempt.policy, hands).on_overrun == "cancel"
    _tell(job, incident, chain, attempt, why, hands, now, cancelled=cancels)
    return _cancel(job, incident, hands, why) if cancels else incident


def step_over(job: JobDocument, incident: Incident, hands: Hands, now: datetime) -> bool:
    """The cancelled attempt never ran: what it was made for takes the next step instead."""
    chain = hands.ledger.chain(incident.root)
    attempt = (
        next((one for one in chain.attempts if one.name == str(job.name)), None) if chain else None
    )
    if chain is None or attempt is None or job.start_time is not None:
        return False
    settle(job, chain, hands, final=False)
    return hands.ledger.step_over(incident, skip=f"{attempt.policy}:{attempt.step}", now=now)


def _is_stuck(job: JobDocument, now: datetime) -> bool:
    """A job that asked to be started when there is room (FLEX_START) says itself how long it waits."""
    if (
        job.state not in _WAITS_FOR_A_MACHINE
        or job.create_time is None
        or fields.is_flex_start(job)
    ):
        return False
    return now - job.create_time >= STUCK_AFTER


def _overrun(
    job: JobDocument,
    attempt: Attempt,
    chain: Chain,
    hands: Hands,
    now: datetime,
) -> str:
    most = job_budget(attempt.policy, hands)
    accrued = costs.accrued_usd(job, hands.catalogue, now)
    if most is not None and accrued is not None and chain.spent_usd + accrued > most:
        return f"it passed usd_per_job ({most:g} USD)"
    ran = (now - job.start_time).total_seconds() if job.start_time else 0.0
    if attempt.max_run_seconds is not None and ran > attempt.max_run_seconds:
        return f"{_TOO_LONG} ({attempt.max_run_seconds / 3600:.3g} h)"
    return ""


_TOO_LONG = "it ran longer than max_run allows"


def _cancel(job: JobDocument, incident: Incident, hands: Hands, why: str) -> Incident:
    """Ask Vertex to end it, the reason written down first: a crash between leaves no riddle."""
    policies = hands.policies()
    observes = Mode.OBSERVE in {policies.mode, hands.settings.max_mode}
    if (
        job.state is JobState.CANCELLING
        or observes
        or hands.settings.stop
        or hands.ledger.stopped()
    ):
        return incident
    noted = incident
    if incident.reason != why:
        noted = replace(incident, reason=why)
        if not hands.ledger.move(noted):
            return incident
        noted = replace(noted, version=noted.version + 1)
    log.say("NOTICE", f"cancelling an attempt of ours: {why}", job=str(job.name))
    hands.jobs.cancel(job.name, timeout_seconds=hands.call_seconds)
    return noted


def _tell(
    job: JobDocument,
    incident: Incident,
    chain: Chain,
    attempt: Attempt,
    why: str,
    hands: Hands,
    now: datetime,
    *,
    cancelled: bool,
) -> None:
    done = "It is being cancelled" if cancelled else "Nothing was done, it still runs"
    accrued = costs.accrued_usd(job, hands.catalogue, now)
    facts = AlertFacts(
        kind=AlertKind.OVERRUN,
        job=job.name,
        display_name=job.display_name,
        root=incident.root,
        attempt=incident.attempt,
        state=job.state,
        machine=summary.machine_words(job),
        started=job.start_time,
        attempts=chain.attempts,
        spent_usd=None if accrued is None else chain.spent_usd + accrued,
        estimated_usd=attempt.estimated_usd,
        over_time=why.startswith(_TOO_LONG),
        cancels=cancelled,
        extra=(f"{done}: {why}.",),
    )
    channels = routes.channels_of(hands.policies(), attempt.policy, job)
    debts = hands.notices.owed(facts, channels, now)
    hands.ledger.owe(debts)
    hands.notices.deliver(debts)
