"""Attempts of ours that have not ended: one that waits for a machine in vain, one that costs too much.

Owns when an attempt is cancelled, and the words for it. What is cancelled ends in `incident` like
any other job. Called by `incident` each time a running attempt is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from remediator import log
from remediator.alerts import AlertKind
from remediator.alerts.outbox import Outbox
from remediator.catalog.catalog import Catalog
from remediator.domain import Attempt, JobState, Mode
from remediator.domain.time_words import hours_words
from remediator.job import Job
from remediator.ledger import CancelReason, Chain, Incident, Ledger
from remediator.ledger.records import skip_key
from remediator.log import LogEvent
from remediator.planning import alert_routing, budgets, costs
from remediator.workflow.conclusions import settle_attempt
from remediator.workflow.incident_context import job_facts
from remediator.workflow.limits import budget_limit, job_budget, limits_of
from remediator.workflow.services import Configuration, Records, VertexProject

STUCK_AFTER = timedelta(hours=1)
_NO_MACHINE_WORDS = "it waited an hour for a machine in vain"
_WAITS_FOR_A_MACHINE = (JobState.QUEUED, JobState.PENDING)


class _RunningAttempt(Struct, frozen=True):
    """An attempt of ours as it is looked at: its job, its incident and its chain."""

    job: Job
    incident: Incident
    chain: Chain
    attempt: Attempt


def _attempt_seen(job: Job, incident: Incident, ledger: Ledger) -> _RunningAttempt | None:
    """None: it is no attempt of ours, or none that is recorded."""
    chain = ledger.chain(incident.root) if incident.attempt else None
    attempt = _attempt_of(job, chain)
    if chain is None or attempt is None:
        return None
    return _RunningAttempt(job, incident, chain, attempt)


def check_attempt(
    job: Job,
    incident: Incident,
    config: Configuration,
    vertex: VertexProject,
    records: Records,
    now: datetime,
) -> Incident:
    """Look at a job that has not ended; the incident to go on with, which knows why it was cancelled.

    Only an attempt of ours is ever cancelled, and none while the stop switch is on or the mode is
    observe.
    """
    seen = _attempt_seen(job, incident, records.ledger)
    if seen is None:
        return incident
    if _is_stuck(job, now):
        reason = CancelReason.NO_MACHINE
        return _cancel(seen, reason, _NO_MACHINE_WORDS, config, vertex, records.ledger)
    over = _overrun(seen, config, records.ledger, now)
    if over is None:
        return incident
    cancels = limits_of(seen.attempt.policy, config).on_overrun == "cancel"
    _alert_overrun(seen, over, config, records.outbox, now, cancelled=cancels)
    if not cancels:
        return incident
    return _cancel(seen, CancelReason.OVERRUN, over.why, config, vertex, records.ledger)


def alert_if_over_budget(
    job: Job, incident: Incident, config: Configuration, records: Records, now: datetime
) -> None:
    """An attempt that has just ended: where its cost passed a limit unseen, that is told all the same.

    Between two looks it may have run for hours: while nobody could ask Vertex, say.
    """
    seen = _attempt_seen(job, incident, records.ledger)
    if seen is None or seen.attempt.state.is_terminal or job.start_time is None:
        return
    over = _overrun(seen, config, records.ledger, job.end_time or now)
    if over is not None and over.limit != _MAX_RUN:
        _alert_overrun(seen, over, config, records.outbox, now, cancelled=False)


def _attempt_of(job: Job, chain: Chain | None) -> Attempt | None:
    made = (one for one in (chain.attempts if chain else ()) if one.name == str(job.name))
    return next(made, None)


def step_over(
    job: Job, incident: Incident, ledger: Ledger, catalog: Catalog, now: datetime
) -> bool:
    """The cancelled attempt never ran: what it was made for takes the next step instead."""
    chain = ledger.chain(incident.root)
    attempt = _attempt_of(job, chain)
    if chain is None or attempt is None or job.start_time is not None:
        return False
    settle_attempt(job, chain, ledger, catalog, final=False)
    return ledger.step_over(
        incident, skip=skip_key(attempt.policy, attempt.step, attempt.entry), now=now
    )


def _is_stuck(job: Job, now: datetime) -> bool:
    """A job that asked to be started when there is room (FLEX_START) says itself how long it waits."""
    if job.state not in _WAITS_FOR_A_MACHINE or job.create_time is None or job.is_flex_start:
        return False
    return now - job.create_time >= STUCK_AFTER


class _Overrun(Struct, frozen=True):
    """A limit that a running attempt has passed, by its name in the policy file, and in words."""

    limit: str
    why: str


def _overrun(
    seen: _RunningAttempt, config: Configuration, ledger: Ledger, now: datetime
) -> _Overrun | None:
    """The first limit that it has passed. What it costs is counted in its days and its job first."""
    job, attempt, chain = seen.job, seen.attempt, seen.chain
    accrued = costs.accrued_usd(job, config.catalog, now)
    if accrued is not None:
        days = costs.usd_by_day(accrued, job.start_time, now)
        _count(seen, days, ledger, now)
        most = job_budget(attempt.policy, config)
        if most is not None and chain.spent_usd + accrued > most:
            return _Overrun("usd_per_job", f"it passed usd_per_job ({most:g} USD)")
        over = _over_a_day(seen, days, config, ledger, now)
        if over is not None:
            return over
    ran = (now - job.start_time).total_seconds() if job.start_time else 0.0
    if attempt.max_run_seconds is not None and ran > attempt.max_run_seconds:
        allowed = hours_words(attempt.max_run_seconds)
        return _Overrun(_MAX_RUN, f"it ran longer than max_run allows ({allowed})")
    return None


_MAX_RUN = "max_run"


def _count(
    seen: _RunningAttempt, usd_by_day: Mapping[date, float], ledger: Ledger, now: datetime
) -> None:
    """Write down what it has cost, unless what was set aside on the day it was made still holds it."""
    job, attempt, chain = seen.job, seen.attempt, seen.chain
    made = attempt.create_time.astimezone(UTC).date() if attempt.create_time else None
    within = sum(usd_by_day.values()) <= (attempt.estimated_usd or 0.0)
    if within and made == now.astimezone(UTC).date() and set(usd_by_day) <= {made}:
        return
    ledger.accrue(chain.key, job.name.key, usd_by_day=usd_by_day, now=now)


def _over_a_day(
    seen: _RunningAttempt,
    usd_by_day: Mapping[date, float],
    config: Configuration,
    ledger: Ledger,
    now: datetime,
) -> _Overrun | None:
    """A day's money, everybody's or a group's share, that it passed by costing more than estimated.

    An attempt within its estimate is not blamed for a day that another one has passed.
    """
    job, attempt = seen.job, seen.attempt
    accrued = sum(usd_by_day.values())
    if accrued <= (attempt.estimated_usd or 0.0):
        return None
    limits = limits_of(attempt.policy, config)
    for day in sorted(usd_by_day, reverse=True):
        at = datetime(day.year, day.month, day.day, tzinfo=UTC)
        for budget in budgets.budgets(limits, job, at):
            if budget.unit != "usd" or budget.limit is None:
                continue
            counted = ledger.used(budget_limit(budget, 0.0), now)
            if max(counted, accrued) > budget.limit + _CENT:
                return _Overrun(_name_of(budget), _day_words(budget, day))
    return None


def _name_of(budget: budgets.Budget) -> str:
    return "usd_per_day" + (f":{budget.group[0]}:{budget.group[1]}" if budget.group else "")


def _day_words(budget: budgets.Budget, day: date) -> str:
    limit = f"usd_per_day ({budget.limit:g} USD, {day:%Y-%m-%d})"
    if budget.group is None:
        return f"it passed {limit}"
    by, value = budget.group
    return f"it passed {limit} of {by.replace('_', ' ')} {value or '(none)'}"


_CENT = 0.005  # sums of money are compared to the cent, as the guards do


def _cancel(
    seen: _RunningAttempt,
    reason: CancelReason,
    why: str,
    config: Configuration,
    vertex: VertexProject,
    ledger: Ledger,
) -> Incident:
    """Ask Vertex to end it, the reason written down first: a crash between leaves no riddle."""
    job, incident = seen.job, seen.incident
    policies = config.policies()
    observes = Mode.OBSERVE in {policies.mode, config.settings.max_mode}
    if job.state is JobState.CANCELLING or observes or config.settings.stop or ledger.stopped():
        return incident
    noted = incident
    if (incident.cancel_reason, incident.reason) != (reason, why):
        noted = replace(incident, cancel_reason=reason, reason=why)
        if not ledger.move(noted):
            return incident
        noted = replace(noted, version=noted.version + 1)
    log.say(
        "NOTICE",
        LogEvent.ATTEMPT_CANCELLED,
        f"cancelling an attempt of ours: {why}",
        job=str(job.name),
    )
    vertex.cancel(job.name)
    return noted


def _alert_overrun(
    seen: _RunningAttempt,
    over: _Overrun,
    config: Configuration,
    outbox: Outbox,
    now: datetime,
    *,
    cancelled: bool,
) -> None:
    job, chain, attempt = seen.job, seen.chain, seen.attempt
    done = "It is being cancelled" if cancelled else "Nothing was done, it still runs"
    if job.state.is_terminal:
        done = "It has ended"
    accrued = costs.accrued_usd(job, config.catalog, job.end_time or now)
    facts = replace(
        job_facts(AlertKind.OVERRUN, job, seen.incident, chain),
        spent_usd=None if accrued is None else chain.spent_usd + accrued,
        estimated_usd=attempt.estimated_usd,
        over_time=over.limit == _MAX_RUN,
        limit=over.limit,
        cancels=cancelled,
        extra=(f"{done}: {over.why}.",),
    )
    channels = alert_routing.channels_of(config.policies(), attempt.policy, job)
    outbox.publish(facts, channels, now)
