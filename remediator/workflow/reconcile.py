"""What time passing brings: what is due, what nobody announced, what is still undelivered.

Owns the sweep and the order of a round. Every incident goes through `remediate.consider`; nothing of
that story is repeated here. Called by `app`, every minute or few, and safe to run twice at once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from remediator import log
from remediator.alerts import AlertFacts, AlertKind
from remediator.alerts.delivery import DELIVERY_SECONDS
from remediator.deadline import deadline, remaining, with_current_deadline
from remediator.domain import (
    JobKind,
    JobName,
    JobState,
    Json,
    NotFound,
    NotServed,
    PermanentError,
    PermissionDenied,
    RemediatorError,
    TransientError,
    parse_time,
    rfc3339,
)
from remediator.intake import FAILURES_LOG
from remediator.job import Job, JobView, summary
from remediator.ledger import Conclusion, Incident, Stage, UnreadableDocument
from remediator.log import LogEvent
from remediator.planning import alert_routing
from remediator.workflow.adoption import close_deleted
from remediator.workflow.conclusions import alert_missing_permission, unreadable_document_messages
from remediator.workflow.digests import enqueue_digests
from remediator.workflow.incident import consider
from remediator.workflow.incident_key import key_of, unknown_keys
from remediator.workflow.services import Services
from remediator.workflow.watch_jobs import watch_jobs

SINK_SILENT_AFTER = timedelta(minutes=15)
SWEPT_KINDS = tuple(JobKind)
_LONGEST_RUN = timedelta(
    days=14
)  # custom jobs end after 7 days unless told otherwise; list filters know no end_time
_DUE_AT_ONCE = 200
_DUE_BEHIND = 2000
_ANNOUNCED_AT_ONCE = 500  # and what is left of a page; the next round goes on
# Pages of one kind and place without anything new, after which a round has looked far enough.
_QUIET_PAGES = 10
_ROUND_AT_MOST = 90.0  # where nobody says how long it may take
_WORK_SHARE = 0.55  # of a round's time at least, where it is short
_PAUSE_AFTER_FAULT = timedelta(minutes=2)
_SUCCEEDED_WITHIN = timedelta(days=1)  # a success with failed instances is told, if it is recent
_ENDED_BADLY = (JobState.FAILED, JobState.CANCELLED)
_MAY_HAVE_FAILED: Mapping[JobKind, tuple[JobState, ...]] = {
    JobKind.BATCH_PREDICTION: (
        *_ENDED_BADLY,
        JobState.EXPIRED,
        JobState.PARTIALLY_SUCCEEDED,
        JobState.SUCCEEDED,
    ),
    JobKind.CUSTOM: (*_ENDED_BADLY, JobState.EXPIRED),
    JobKind.HYPERPARAMETER_TUNING: (*_ENDED_BADLY, JobState.EXPIRED),
    JobKind.TRAINING_PIPELINE: _ENDED_BADLY,
    JobKind.PIPELINE: _ENDED_BADLY,
}


class WriteLog(Protocol):
    """Writes entries to a log of this project."""

    def __call__(self, log_id: str, entries: list[Json]) -> None: ...


@dataclass(frozen=True, slots=True)
class Round:
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

    What is in the outbox to people is delivered after that, in a time of its own: whatever hangs or fails, they
    hear. What failed is raised then.
    """
    ends_at = time.monotonic() + budget_seconds

    def in_time() -> bool:
        return time.monotonic() < ends_at

    places = _LocationFailures()
    whole = remaining(_ROUND_AT_MOST)
    try:
        with deadline(max(whole - DELIVERY_SECONDS, whole * _WORK_SHARE)):
            _quarantine_unreadable(services)
            handled, postponed = _take_up_due(services, places, in_time)
            announced, old, faults = _sweep(services, write_log, places, in_time)
            looked_at = watch_jobs(services, in_time).looks
    finally:
        enqueue_digests(services)
        delivered, still_owed = services.outbox.deliver_due()
    _delete_expired_once_a_day(services)
    services.ledger.write_note("reconciled", {"at": rfc3339(services.now())})
    return Round(
        handled, postponed, announced, old, delivered, still_owed, looked_at, tuple(faults)
    )


class _LocationFailures:
    """Which places do not answer in this round: each is left after it failed twice in a row.

    One job that cannot be read is no place that hangs, and one place that hangs must not use up the
    round for all.
    """

    def __init__(self) -> None:
        self._failed: dict[str, int] = {}

    def answered(self, location: str) -> None:
        self._failed[location] = 0

    def failed(self, location: str) -> None:
        self._failed[location] = self._failed.get(location, 0) + 1

    def is_left(self, location: str) -> bool:
        return self._failed.get(location, 0) >= _FAILS_IN_A_ROW


_FAILS_IN_A_ROW = 2


def _quarantine_unreadable(services: Services) -> None:
    """Documents that are due and cannot be read: each is told once, and in nobody's way again."""
    now = services.now()
    _, incidents = services.ledger.due_or_broken(now, _DUE_AT_ONCE)
    _, messages = services.ledger.messages_due_or_broken(now, _DUE_AT_ONCE)
    for broken in (*incidents, *messages):
        err = UnreadableDocument(broken.collection, broken.key, broken.why)
        log.say("ERROR", LogEvent.DOCUMENT_SET_ASIDE, f"set aside: {err}")
        alerts = unreadable_document_messages(err, services, set_aside=True)
        services.ledger.set_aside(broken, now=now, outbox_messages=alerts)


def _delete_expired_once_a_day(services: Services) -> None:
    """Let the ledger drop what has outlived its keeping; Firestore does so by itself too."""
    last = parse_time((services.ledger.note("reconciled") or {}).get("at"))
    now = services.now()
    if last is not None and last.date() == now.date():
        return
    try:
        services.ledger.delete_expired(now)
    except RemediatorError as err:  # nothing rests on it: tomorrow is soon enough
        log.say(
            "WARNING", LogEvent.EXPIRY_FAILED, f"the ledger could not forget what is old: {err}"
        )


# --- what is due ---------------------------------------------------------------------------------


def _take_up_due(
    services: Services, places: _LocationFailures, in_time: Callable[[], bool]
) -> tuple[int, int]:
    due = services.ledger.due(services.now(), _DUE_AT_ONCE)
    handled, left = _side_by_side(due, services, places, in_time)
    if len(due) == _DUE_AT_ONCE and left and in_time():
        # Behind what a place that hangs keeps waiting there may be others.
        seen = {one.key for one in due}
        more = services.ledger.due(services.now(), _DUE_BEHIND)
        others = tuple(one for one in more if one.key not in seen)
        went_on, left_too = _side_by_side(others, services, places, in_time)
        return handled + went_on, left + left_too
    return handled, left


def _side_by_side(
    due: Sequence[Incident],
    services: Services,
    places: _LocationFailures,
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
    incident: Incident, services: Services, places: _LocationFailures | None = None
) -> bool:
    """Go on with one incident; False if it has to wait. One fault never stops the others.

    What lies in a place that is left for this round stays due, before all else in the next.
    """
    places = places or _LocationFailures()
    if places.is_left(_location_of(incident)):
        return False
    try:
        job = _still_there(incident, services, places)
        if job is None:
            said = close_deleted(incident, services, services.now())
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
            _alert_silent_sink(services)
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
        _postpone(incident, services)
        return False
    except RemediatorError as err:
        log.say("ERROR", LogEvent.INCIDENT_BLOCKED, f"cannot go on: {err}", job=incident.job)
        _alert_if_permission_denied(err, services)
        _postpone(incident, services)
        return False
    except Exception as err:  # noqa: BLE001  # protects the other incidents of this round
        log.fault("a fault while going on with an incident", err, job=incident.job)
        _postpone(incident, services)
        return False
    return True


def _location_of(incident: Incident) -> str:
    return incident.key.partition("/")[0]


def _still_there(incident: Incident, services: Services, places: _LocationFailures) -> Job | None:
    """The incident's job; None where it was deleted, also where another now bears its name."""
    job: Job | None = None
    try:
        job = services.jobs.get(JobName.parse(incident.job), timeout_seconds=services.call_seconds)
    except NotFound:
        pass
    except TransientError:
        places.failed(_location_of(incident))
        raise
    places.answered(_location_of(incident))
    return job if job is not None and key_of(job, services.ledger) == incident.key else None


def _alert_if_permission_denied(err: RemediatorError, services: Services) -> None:
    if not isinstance(err, PermissionDenied):
        return
    try:
        alert_missing_permission(err, services)
    except RemediatorError as untold:
        log.say("WARNING", LogEvent.SILENT_SINK_NOT_ALERTED, f"nobody could be told: {untold}")


def _postpone(incident: Incident, services: Services) -> None:
    try:
        stored = services.ledger.incident(incident.key)
        if stored is not None and stored.stage is not Stage.DONE and stored.due == incident.due:
            services.ledger.move(replace(stored, due=services.now() + _PAUSE_AFTER_FAULT))
    except RemediatorError as err:  # it stays due, and the round goes on
        log.say(
            "WARNING",
            LogEvent.INCIDENT_NOT_POSTPONED,
            f"it could not be postponed: {err}",
            job=incident.job,
        )


def _alert_silent_sink(services: Services) -> None:
    """Once a day, to every channel: without the sink each failure waits for a quarter of an hour."""
    now = services.now()
    facts = AlertFacts(kind=AlertKind.SINK_SILENT, root=f"sink/{now:%Y-%m-%d}")
    policies = services.policies()
    outbox_messages = services.outbox.alert_messages(
        facts, alert_routing.all_channels(policies), now
    )
    services.ledger.enqueue(outbox_messages)


# --- the sweep -----------------------------------------------------------------------------------


def _sweep(
    services: Services, write_log: WriteLog, places: _LocationFailures, in_time: Callable[[], bool]
) -> tuple[int, int, list[str]]:
    """Announce failed jobs that nobody knows of; old ones are recorded and told in one message."""
    now = services.now()
    announced = old = 0
    faults: list[str] = []
    lists = [(location, kind) for location in services.locations() for kind in SWEPT_KINDS]
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="sweep") as pool:
        sweep = with_current_deadline(
            lambda one: _unknown(services, *one, places=places, now=now, in_time=in_time)
        )
        found = pool.map(sweep, lists)
        for fresh, recorded, unlisted in found:
            old += recorded
            written, unwritten = _announce(fresh, services, write_log, now)
            announced += written
            for fault in (unlisted, unwritten):
                if fault is not None:
                    faults.append(str(fault))
                    _alert_if_permission_denied(fault, services)
    if old:
        facts = AlertFacts(
            kind=AlertKind.OLD_FAILURES, root=f"old/{now:%Y-%m-%dT%H:%M:%S}", count=old
        )
        policies = services.policies()
        outbox_messages = services.outbox.alert_messages(
            facts, alert_routing.all_channels(policies), now
        )
        services.ledger.enqueue(outbox_messages)
    return announced, old, faults


def failed_since(
    services: Services, location: str, kind: JobKind, since: datetime
) -> Iterator[Job]:
    """Jobs of one kind and place that may have failed after `since`, whether known or not.

    List filters know when a job began, not its end, so jobs that ended earlier may be among them.
    """
    for state in _MAY_HAVE_FAILED[kind]:
        longest = _SUCCEEDED_WITHIN if state is JobState.SUCCEEDED else _LONGEST_RUN
        yield from services.jobs.list(
            kind,
            services.project()[0],
            location,
            states=(state,),
            created_after=since - longest,
            timeout_seconds=services.call_seconds,
        )


def _unknown(
    services: Services,
    location: str,
    kind: JobKind,
    *,
    places: _LocationFailures,
    now: datetime,
    in_time: Callable[[], bool],
) -> tuple[dict[str, Job], int, RemediatorError | None]:
    """Failed jobs of one kind and place without an incident, by their keys, and how many older ones were recorded."""
    found: dict[str, Job] = {}  # pages overlap where a job was made meanwhile
    old = quiet = 0

    def may_go_on() -> bool:
        return in_time() and len(found) < _ANNOUNCED_AT_ONCE and quiet < _QUIET_PAGES

    if places.is_left(location):
        return {}, 0, TransientError(f"{location} did not answer: left for the next round")
    try:
        for page in _failed(services, location, kind, now, may_go_on):
            places.answered(location)
            failed = [job for job in page if job.is_failure]
            unknown = unknown_keys(failed, services.ledger)
            stale: dict[str, Job] = {}
            for key, job in unknown.items():
                ended = job.end_time
                within = ended is None or now - ended <= services.settings.lookback
                if within:
                    found.setdefault(key, job)
                else:
                    stale[key] = job
            old += services.ledger.open_many(
                _recorded(key, job, now, Conclusion.TOO_OLD) for key, job in stale.items()
            )
            quiet = 0 if unknown else quiet + 1
    except NotServed:  # a Vertex without such jobs has no failures of theirs
        return {}, old, None
    except RemediatorError as err:
        log.say(
            "WARNING", LogEvent.SWEEP_STOPPED, f"the sweep of {kind} in {location} stopped: {err}"
        )
        if isinstance(err, TransientError):
            places.failed(location)
        return found, old, err
    return found, old, None


def _failed(
    services: Services, location: str, kind: JobKind, now: datetime, may_go_on: Callable[[], bool]
) -> Iterator[tuple[Job, ...]]:
    """Pages of jobs that may have failed: the newest of each state always, then the older ones.

    Of those a round goes through as many as it may; the next one goes on where it stopped. List
    filters know when a job began, not its end: among thousands that failed long ago there may be one
    that began as long ago and failed just now, so that all are gone through, some pages a round.
    """
    behind: list[_SweepPosition] = []
    for state in _MAY_HAVE_FAILED[kind]:
        longest = _SUCCEEDED_WITHIN if state is JobState.SUCCEEDED else _LONGEST_RUN
        first = _SweepPosition(state, now - services.settings.lookback - longest)
        jobs, token = _page(first, services, location, kind)
        yield jobs
        if token:
            behind.append(replace(first, token=token))
    if not behind:
        return
    note = f"sweep:{location}:{kind.value}"
    stopped = _SweepPosition.parse(services.ledger.note(note) or {})
    if stopped is not None and stopped.state in _MAY_HAVE_FAILED[kind]:
        order = _MAY_HAVE_FAILED[kind].index
        after = (one for one in behind if order(one.state) > order(stopped.state))
        behind = [stopped, *after]
    moved = False  # a page at least, however little time there is
    for found in behind:
        place = found
        while place.token:
            if moved and not may_go_on():
                services.ledger.write_note(note, place.to_json())
                return
            try:
                jobs, token = _page(place, services, location, kind)
            except RemediatorError as err:  # a token that is no longer taken is forgotten
                lasting = isinstance(err, PermanentError)
                services.ledger.write_note(note, {} if lasting else place.to_json())
                raise
            yield jobs
            place, moved = replace(place, token=token), True
    if stopped is not None:
        services.ledger.write_note(note, {})


@dataclass(frozen=True, slots=True)
class _SweepPosition:
    """A page in the list of one state; `since` belongs to the filter that its token is good for."""

    state: JobState
    since: datetime
    token: str = ""

    def to_json(self) -> Json:
        return {"state": self.state.value, "since": rfc3339(self.since), "token": self.token}

    @classmethod
    def parse(cls, note: Json) -> _SweepPosition | None:
        since = parse_time(note.get("since"))
        if since is None:
            return None
        return cls(JobState.parse(note.get("state")), since, str(note.get("token") or ""))


def _page(
    place: _SweepPosition, services: Services, location: str, kind: JobKind
) -> tuple[tuple[Job, ...], str]:
    # Whether a cancelled job ran into its own time-out stands in what it was to do.
    whole = place.state is JobState.CANCELLED and kind is not JobKind.PIPELINE
    return services.jobs.page(
        kind,
        services.project()[0],
        location,
        states=(place.state,),
        created_after=place.since,
        token=place.token,
        view=JobView.WHOLE if whole else JobView.ENDING,
        timeout_seconds=services.call_seconds,
    )


def _announce(
    jobs: Mapping[str, Job], services: Services, write_log: WriteLog, now: datetime
) -> tuple[int, RemediatorError | None]:
    """Write one failure entry for each job, known from now on; a crash between repeats the entry.

    Where entries may not be written none will come back: the ledger alone brings the jobs up again.
    """
    if not jobs:
        return 0, None
    stage, due, refused = Stage.ANNOUNCED, now + SINK_SILENT_AFTER, None
    try:
        write_log(FAILURES_LOG, [announcement(job, now) for job in jobs.values()])
    except TransientError as err:
        log.say(
            "WARNING",
            LogEvent.ANNOUNCEMENT_POSTPONED,
            f"failures are announced in the next round: {err}",
        )
        return 0, err
    except RemediatorError as err:
        log.say(
            "ERROR",
            LogEvent.ANNOUNCEMENT_REFUSED,
            f"failures are handled without an announcement: {err}",
        )
        stage, due, refused = Stage.UNSETTLED, now, err
    known = services.ledger.open_many(
        replace(_recorded(key, job, now, Conclusion.NONE), stage=stage, due=due)
        for key, job in jobs.items()
    )
    return (0 if refused else known), refused


def announcement(job: Job, now: datetime) -> Json:
    """The failure entry of a job. Its insertId and timestamp are the job's own, so that Cloud
    Logging keeps one of several."""
    digest = hashlib.sha256(f"{job.name.key} {job.state}".encode()).hexdigest()[:32]
    return {
        "insertId": f"vr-{digest}",
        "timestamp": rfc3339(job.end_time or job.create_time or now),
        "severity": "ERROR",
        "labels": {"location": job.name.location, "job_kind": job.kind.value},
        "jsonPayload": {
            "message": f"{job.kind} {job.name.id} is {job.state}",
            "job": str(job.name),
            "kind": job.kind.value,
            "state": job.state_text,
            "error": {"code": job.error_code, "message": job.error_message[:2000]},
        },
    }


def _recorded(key: str, job: Job, now: datetime, conclusion: Conclusion) -> Incident:
    return Incident(
        key=key,
        job=str(job.name),
        stage=Stage.DONE,
        first_known=now,
        root=key,
        ended=job.end_time,
        created=job.create_time,
        display_name=job.display_name,
        conclusion=conclusion,
        owner=summary.owner_of(job),
        team=summary.team_of(job),
    )
