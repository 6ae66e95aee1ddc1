"""Jobs that still run: which are looked at, one look, and when the next one is.

Owns finding the running jobs that the entries of `watch` select, what is read of each and what is kept of it
between two looks. What follows from a verdict is `watch_actions`' business. Called by `reconcile`, after the
failures of a round.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from msgspec import Struct, field
from msgspec.structs import replace

from remediator import log
from remediator.alerts.running import PAID_FOR_NOTHING, stood_still_usd
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.deadline import with_current_deadline
from remediator.domain import (
    JobKind,
    JobName,
    NotFound,
    NotServed,
    RemediatorError,
    TransientError,
    WatchVerdict,
    parse_time,
    rfc3339,
)
from remediator.job import Job, summary
from remediator.ledger import Ledger, WatchedJob
from remediator.log import LogEvent
from remediator.planning.costs import usd_per_hour
from remediator.policy import Policies
from remediator.watch import WATCHED, WatchPlan, is_selected, needs_log
from remediator.watch.schedule import (
    LOOK_AGAIN,
    asks_progress,
    is_confirmed,
    look_every,
    wait_after,
)
from remediator.workflow.services import (
    Clock,
    Configuration,
    EvidenceReader,
    Services,
    VertexProject,
)
from remediator.workflow.watch_actions import act, plan_of, withdraw_question

FIND_EVERY = timedelta(minutes=2)
_MOST_FOUND = 2000  # of one kind in one place; chosen: a project's quotas hold fewer
_LOOKS_AT_ONCE = 240
_LIST_ABOVE = 20  # chosen: so many jobs that are due are listed, fewer are read one by one
_SIDE_BY_SIDE = 8
_LOOKS = "watch-looks"
_LOOKS_A_MINUTE = (
    240  # each asks Monitoring ten times at most; of 6,000 a minute (recalled, not looked up)
)
_LOG_LOOKS = "watch-log-looks"
_LOG_LOOKS_A_MINUTE = 10  # of the 50 reads that are shared with failures; each takes up to four
_PAUSE_AFTER_FAULT = timedelta(minutes=5)


class WatchRound(Struct, frozen=True):
    """What a round did: jobs newly watched, looks, and spells that were told."""

    found: int = 0
    looks: int = 0
    spells: int = 0


def watch_jobs(services: Services, in_time: Callable[[], bool]) -> WatchRound:
    """Find what is to be watched and look at what is due, the dearest first, while there is time."""
    policies = services.config.policies()
    if not policies.enabled_watch():
        return WatchRound()
    due = services.records.ledger.watched.due(services.clock(), _LOOKS_AT_ONCE)
    found = _find(
        services.config.catalog,
        services.vertex,
        services.records.ledger,
        services.clock,
        policies,
        in_time,
        at_once=len(due) > _LIST_ABOVE,
    )
    if found.new:
        due = services.records.ledger.watched.due(services.clock(), _LOOKS_AT_ONCE)
    ordered = sorted(due, key=lambda one: one.usd_per_hour or 0.0, reverse=True)
    allowed = services.records.ledger.take_tokens(
        _LOOKS, len(ordered), most=_LOOKS_A_MINUTE, window_seconds=60.0, now=services.clock()
    )
    with ThreadPoolExecutor(_SIDE_BY_SIDE, thread_name_prefix="watch") as pool:
        look = with_current_deadline(
            lambda one: _look_apart(one, found, services, policies) if in_time() else None
        )
        alerted = [one for one in pool.map(look, ordered[:allowed]) if one is not None]
    return WatchRound(found.new, len(alerted), sum(alerted))


# --- finding --------------------------------------------------------------------------------------


class _Found(Struct):
    """How many jobs are newly watched, and those that a list of this round showed running, by key."""

    new: int = 0
    running: dict[str, Job] = field(default_factory=dict)


def _find(
    catalog: Catalog,
    vertex: VertexProject,
    ledger: Ledger,
    clock: Clock,
    policies: Policies,
    in_time: Callable[[], bool],
    *,
    at_once: bool,
) -> _Found:
    """Begin to watch what runs and is selected; every few minutes is often enough.

    `at_once`: so many are due that a list is cheaper than a read of each.
    """
    now = clock()
    found = _Found()
    last = parse_time((ledger.note(_FOUND) or {}).get("at"))
    if last is not None and timedelta(0) <= now - last < FIND_EVERY and not at_once:
        return found
    entries = policies.enabled_watch()
    named = [set(entry.when.job) if entry.when.job else set(JobKind) for entry in entries]
    kinds = sorted(set().union(*named))
    for location, kind in itertools.product(vertex.locations(), kinds):
        if not in_time():
            return found
        _find_in(location, kind, catalog, vertex, ledger, policies, now, found)
    ledger.write_note(_FOUND, {"at": rfc3339(now)})
    return found


_FOUND = "watch:found"


def _find_in(
    location: str,
    kind: JobKind,
    catalog: Catalog,
    vertex: VertexProject,
    ledger: Ledger,
    policies: Policies,
    now: datetime,
    found: _Found,
) -> None:
    try:
        listed = vertex.list(kind, location, states=tuple(sorted(WATCHED)))
        running = list(itertools.islice(listed, _MOST_FOUND))
    except NotServed:
        return
    except RemediatorError as err:
        log.say(
            "WARNING",
            LogEvent.RUNNING_JOBS_NOT_LISTED,
            f"running jobs of {kind} in {location} could not be listed: {err}",
        )
        return
    found.running.update((job.name.key, job) for job in running)
    known = ledger.watched.known([job.name.key for job in running])
    fresh = [job for job in running if job.name.key not in known]
    selected = [job for job in fresh if is_selected(Case(job=job, now=now), policies, catalog)]
    found.new += ledger.watched.begin([_watched(job, catalog, now) for job in selected])


def _watched(job: Job, catalog: Catalog, now: datetime) -> WatchedJob:
    return WatchedJob(
        key=job.name.key,
        job=str(job.name),
        first_seen=now,
        due=now,
        display_name=job.display_name,
        owner=summary.owner_of(job),
        team=summary.team_of(job),
        account=job.service_account or "",
        machine=summary.machine_words(job),
        usd_per_hour=usd_per_hour(job, job.name.location, catalog),
    )


# --- one look -------------------------------------------------------------------------------------


def _look_apart(watched: WatchedJob, found: _Found, services: Services, policies: Policies) -> bool:
    """One look; whether a spell was told. A fault with one job stops no other."""
    try:
        return _look(watched, found.running.get(watched.key), services, policies)
    except RemediatorError as err:
        log.say(
            "WARNING",
            LogEvent.RUNNING_JOB_NOT_READ,
            f"a running job could not be looked at: {err}",
            job=watched.job,
        )
    except Exception as err:  # noqa: BLE001  # protects the other jobs of this round
        log.fault("unhandled exception while looking at a running job", err, job=watched.job)
    _postpone(watched, services.records.ledger, services.clock)
    return False


def _postpone(watched: WatchedJob, ledger: Ledger, clock: Clock) -> None:
    try:
        stored = ledger.watched.get(watched.key)
        if stored is not None and stored.due is not None:
            later = clock() + _PAUSE_AFTER_FAULT
            ledger.watched.move(replace(stored, due=later))
    except RemediatorError as err:  # it stays due, and the round goes on
        log.say(
            "WARNING",
            LogEvent.RUNNING_JOB_NOT_POSTPONED,
            f"the next look at a running job could not be postponed: {err}",
            job=watched.job,
        )


def _look(watched: WatchedJob, listed: Job | None, services: Services, policies: Policies) -> bool:
    """`listed`: the job as a list of this round showed it."""
    now = services.clock()
    job = listed or _running(watched, services.vertex)
    if job is None:
        _end(watched, services.records.ledger, now)
        return False
    asks = asks_progress(watched.progress_asked, watched.verdict, now)
    case = _case_of(
        job,
        watched,
        services.config,
        services.evidence,
        services.records.ledger,
        policies,
        now,
        asks=asks,
    )
    if case is None:  # what is thought of it may rest on its log: it stays as it is
        services.records.ledger.watched.move(replace(watched, due=now + LOOK_AGAIN))
        return False
    made = plan_of(case, services.config, services.vertex, services.records.ledger)
    asked = now if asks and case.log_lines else watched.progress_asked
    seen = replace(
        watched,
        progress_asked=asked,
        usd_per_hour=made.watch.usd_per_hour if made and made.watch else watched.usd_per_hour,
    )
    has_accelerator = bool(job.facts(services.config.catalog, None).accelerator_count)
    pause = look_every(seen.usd_per_hour, has_accelerator=has_accelerator)
    if made is None or made.entry is None:
        return _goes_well(seen, job, made, services.records.ledger, services.clock, now + pause)
    looks = watched.looks + 1 if watched.verdict == made.reason else 1
    due = now + wait_after(looks, pause)
    seen = replace(seen, verdict=made.reason, looks=looks, due=due, since=made.since)
    if not is_confirmed(looks):
        services.records.ledger.watched.move(seen)
        return False
    price = made.watch.usd_per_hour if made.watch else None
    usd = stood_still_usd(price, made.since, now) if made.reason in PAID_FOR_NOTHING else None
    seen = replace(seen, spell_usd=usd or 0.0)
    if watched.alerted == made.reason:
        services.records.ledger.watched.move(seen)
        return False
    if listed is not None and made.entry.cancels:  # before it is ended, it is read by itself
        return _look(watched, None, services, policies)
    return act(job, case, made, seen, services.vertex, services.records, now)


def _running(watched: WatchedJob, vertex: VertexProject) -> Job | None:
    """The job, while it runs or waits; None once it has ended or is gone."""
    try:
        job = vertex.get(JobName.parse(watched.job))
    except NotFound:
        return None
    if job.state.is_terminal:
        return None
    if job.state not in WATCHED:  # CANCELLING, say: it will have ended soon
        msg = f"the job is {job.state}"
        raise TransientError(msg)
    return job


def _case_of(
    job: Job,
    watched: WatchedJob,
    config: Configuration,
    evidence: EvidenceReader,
    ledger: Ledger,
    policies: Policies,
    now: datetime,
    *,
    asks: bool,
) -> Case | None:
    """What is read of the job: its log only where something rests on it, and few in a minute.

    None where what is thought of it rests on its log and this minute has no read left. `asks`: it is
    time to see how far the work is, which can also wait.
    """
    case = evidence.look(job, now=now, with_log=False)
    if not needs_log(case, policies, config.catalog, asks_progress=asks):
        return case
    may_read = ledger.take_token(_LOG_LOOKS, most=_LOG_LOOKS_A_MINUTE, window_seconds=60.0, now=now)
    if may_read:
        return evidence.look(job, now=now, with_log=True, seen=case)
    foretold = watched.verdict == WatchVerdict.WILL_TIME_OUT
    rests_on_log = foretold or needs_log(case, policies, config.catalog, asks_progress=False)
    return None if rests_on_log else case


def _goes_well(
    watched: WatchedJob,
    job: Job,
    made: WatchPlan | None,
    ledger: Ledger,
    clock: Clock,
    due: datetime,
) -> bool:
    """Nothing is wrong, as far as can be seen: a spell that was told is over."""
    cannot_be_seen = (
        made is not None and made.watch is not None and made.watch.verdict is WatchVerdict.UNKNOWN
    )
    if watched.alerted and cannot_be_seen:  # it may stand still yet
        ledger.watched.move(replace(watched, due=due))
        return False
    if watched.alerted:
        log.say(
            "INFO",
            LogEvent.RUNNING_JOB_RECOVERED,
            f"a running job goes on again after {watched.alerted}",
            job=watched.job,
        )
        withdraw_question(job, ledger, clock)
    ledger.watched.move(_without_spell(watched, due))
    return False


def _without_spell(watched: WatchedJob, due: datetime | None) -> WatchedJob:
    ended = bool(watched.alerted)
    return replace(
        watched,
        due=due,
        verdict="",
        looks=0,
        alerted="",
        since=None,
        usd=watched.usd + (watched.spell_usd if ended else 0.0),
        spell_usd=0.0,
        spells=watched.spells + ended,
    )


def _end(watched: WatchedJob, ledger: Ledger, now: datetime) -> None:
    """The job has ended: what it stood still for is summed up, and it is looked at no more."""
    if watched.alerted in PAID_FOR_NOTHING:
        usd = stood_still_usd(watched.usd_per_hour, watched.since, now)
        watched = replace(watched, spell_usd=max(watched.spell_usd, usd or 0.0))
    ledger.watched.move(_without_spell(watched, None))
