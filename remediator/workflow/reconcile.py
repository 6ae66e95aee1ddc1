"""What time passing brings: what is due, what nobody announced, what is still undelivered.

Owns the order of a round (`sweep` finds what nobody announced). Every incident goes through `incident.consider`; nothing of
that workflow is repeated here. Called by `handlers`, every minute or few, and safe to run twice at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from msgspec import Struct
from msgspec.structs import replace

from remediator import log
from remediator.alerts import AlertFacts, AlertKind
from remediator.alerts.delivery import DELIVERY_SECONDS
from remediator.alerts.outbox import Outbox
from remediator.deadline import deadline, remaining, with_current_deadline
from remediator.domain import (
    JobName,
    NotFound,
    RemediatorError,
    TransientError,
    parse_time,
    rfc3339,
)
from remediator.job import Job
from remediator.ledger import Incident, Ledger, Stage, UnreadableDocument
from remediator.log import LogEvent
from remediator.planning import alert_routing
from remediator.workflow.adoption import close_deleted
from remediator.workflow.conclusions import unreadable_document_facts
from remediator.workflow.digests import enqueue_digests
from remediator.workflow.incident import consider
from remediator.workflow.incident_key import key_of
from remediator.workflow.services import Clock, Configuration, Records, Services, VertexProject
from remediator.workflow.sweep import (
    LocationFailures,
    WriteLog,
    alert_if_permission_denied,
    sweep,
)
from remediator.workflow.watch_jobs import watch_jobs

_DUE_AT_ONCE = 200
_DUE_BEHIND = 2000
_ROUND_AT_MOST = 90.0  # where nobody says how long it may take
_WORK_SHARE = 0.55  # of a round's time at least, where it is short
_PAUSE_AFTER_FAULT = timedelta(minutes=2)


class Round(Struct, frozen=True):
    """What one call of `reconcile` did; its JSON is the HTTP answer."""

    handled: int = 0
    postponed: int = 0
    announced: int = 0
    recorded_old: int = 0
    delivered: int = 0
    still_owed: int = 0
    looked_at: int = 0
    faults: tuple[str, ...] = ()


def run(services: Services, write_log: WriteLog, *, budget_seconds: float) -> Round:
    """One round; stops taking up new work when the budget is used, and goes on at the next call.

    Messages are delivered after that, in a time of its own: whatever hangs or fails, they
    hear. What failed is raised then.
    """
    ends_at = time.monotonic() + budget_seconds

    def in_time() -> bool:
        return time.monotonic() < ends_at

    places = LocationFailures()
    whole = remaining(_ROUND_AT_MOST)
    try:
        with deadline(max(whole - DELIVERY_SECONDS, whole * _WORK_SHARE)):
            _quarantine_unreadable(services.config, services.records, services.clock)
            handled, postponed = _take_up_due(services, places, in_time)
            announced, old, faults = sweep(services, write_log, places, in_time)
            looked_at = watch_jobs(services, in_time).looks
    finally:
        enqueue_digests(services.config, services.records, services.clock)
        delivered, still_owed = services.records.outbox.deliver_due()
    _delete_expired_once_a_day(services.records.ledger, services.clock)
    services.records.ledger.write_note("reconciled", {"at": rfc3339(services.clock())})
    return Round(
        handled, postponed, announced, old, delivered, still_owed, looked_at, tuple(faults)
    )


def _quarantine_unreadable(config: Configuration, records: Records, clock: Clock) -> None:
    """Documents that are due and cannot be read: each is told once, and in nobody's way again."""
    now = clock()
    _, incidents = records.ledger.due_or_broken(now, _DUE_AT_ONCE)
    _, messages = records.ledger.messages_due_or_broken(now, _DUE_AT_ONCE)
    for broken in (*incidents, *messages):
        err = UnreadableDocument(broken.collection, broken.key, broken.why)
        log.say("ERROR", LogEvent.DOCUMENT_SET_ASIDE, f"set aside: {err}")
        alerts = records.outbox.messages(
            unreadable_document_facts(err, set_aside=True),
            alert_routing.all_channels(config.policies()),
            clock(),
        )
        records.ledger.set_aside(broken, now=now, outbox_messages=alerts)


def _delete_expired_once_a_day(ledger: Ledger, clock: Clock) -> None:
    """Let the ledger drop what has outlived its keeping; Firestore does so by itself too."""
    last = parse_time((ledger.note("reconciled") or {}).get("at"))
    now = clock()
    if last is not None and last.date() == now.date():
        return
    try:
        ledger.delete_expired(now)
    except RemediatorError as err:  # nothing rests on it: tomorrow is soon enough
        log.say("WARNING", LogEvent.EXPIRY_FAILED, f"expired documents could not be deleted: {err}")


# --- what is due ---------------------------------------------------------------------------------


def _take_up_due(
    services: Services, places: LocationFailures, in_time: Callable[[], bool]
) -> tuple[int, int]:
    due = services.records.ledger.due(services.clock(), _DUE_AT_ONCE)
    handled, left = _side_by_side(due, services, places, in_time)
    if len(due) == _DUE_AT_ONCE and left and in_time():
        # Behind what a place that hangs keeps waiting there may be others.
        seen = {one.key for one in due}
        more = services.records.ledger.due(services.clock(), _DUE_BEHIND)
        others = tuple(one for one in more if one.key not in seen)
        went_on, left_too = _side_by_side(others, services, places, in_time)
        return handled + went_on, left + left_too
    return handled, left


def _side_by_side(
    due: Sequence[Incident],
    services: Services,
    places: LocationFailures,
    in_time: Callable[[], bool],
) -> tuple[int, int]:
    """How many went on, and how many have to wait."""
    handled = postponed = 0
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="due") as pool:
        take_up = with_current_deadline(lambda one: in_time() and _take_up(one, services, places))
        for went_on in pool.map(take_up, due):
            handled += went_on
            postponed += not went_on
    return handled, postponed


def _take_up(
    incident: Incident, services: Services, places: LocationFailures | None = None
) -> bool:
    """Go on with one incident; False if it has to wait. One fault never stops the others.

    What lies in a place that is left for this round stays due, before all else in the next.
    """
    places = places or LocationFailures()
    if places.is_left(_location_of(incident)):
        return False
    try:
        job = _still_there(incident, services.vertex, services.records.ledger, places)
        if job is None:
            said = close_deleted(
                incident, services.config, services.vertex, services.records, services.clock()
            )
            log.say(
                "INFO",
                LogEvent.INCIDENT_ADVANCED,
                said,
                job=incident.job,
                root=incident.root,
                attempt=incident.attempt,
            )
            return True
        late = incident.stage is Stage.ANNOUNCED
        if late:
            _alert_silent_sink(services.config, services.records.outbox, services.clock)
        said = consider(job, services, known_since=incident.first_known, late_sink=late)
        log.say(
            "INFO",
            LogEvent.INCIDENT_ADVANCED,
            said,
            job=incident.job,
            root=incident.root,
            attempt=incident.attempt,
        )
    except TransientError as err:
        log.say(
            "WARNING",
            LogEvent.INCIDENT_RETRIED,
            f"retryable error, taken up again in a later round: {err}",
            job=incident.job,
        )
        _postpone(incident, services.records.ledger, services.clock)
        return False
    except RemediatorError as err:
        log.say(
            "ERROR", LogEvent.INCIDENT_BLOCKED, f"the incident is blocked: {err}", job=incident.job
        )
        alert_if_permission_denied(err, services.config, services.records.outbox, services.clock)
        _postpone(incident, services.records.ledger, services.clock)
        return False
    except Exception as err:  # noqa: BLE001  # protects the other incidents of this round
        log.fault("unhandled exception while taking up an incident", err, job=incident.job)
        _postpone(incident, services.records.ledger, services.clock)
        return False
    return True


def _location_of(incident: Incident) -> str:
    return incident.key.partition("/")[0]


def _still_there(
    incident: Incident, vertex: VertexProject, ledger: Ledger, places: LocationFailures
) -> Job | None:
    """The incident's job; None where it was deleted, also where another now bears its name."""
    job: Job | None = None
    try:
        job = vertex.get(JobName.parse(incident.job))
    except NotFound:
        pass
    except TransientError:
        places.failed(_location_of(incident))
        raise
    places.answered(_location_of(incident))
    return job if job is not None and key_of(job, ledger) == incident.key else None


def _postpone(incident: Incident, ledger: Ledger, clock: Clock) -> None:
    try:
        stored = ledger.incident(incident.key)
        if stored is not None and stored.stage is not Stage.DONE and stored.due == incident.due:
            ledger.move(replace(stored, due=clock() + _PAUSE_AFTER_FAULT))
    except RemediatorError as err:  # it stays due, and the round goes on
        log.say(
            "WARNING",
            LogEvent.INCIDENT_NOT_POSTPONED,
            f"the incident could not be postponed: {err}",
            job=incident.job,
        )


def _alert_silent_sink(config: Configuration, outbox: Outbox, clock: Clock) -> None:
    """Once a day, to every channel: without the sink each failure waits for a quarter of an hour."""
    now = clock()
    facts = AlertFacts(kind=AlertKind.SINK_SILENT, root=f"sink/{now:%Y-%m-%d}")
    channels = alert_routing.all_channels(config.policies())
    outbox.enqueue(facts, channels, now)


# --- the sweep -----------------------------------------------------------------------------------
