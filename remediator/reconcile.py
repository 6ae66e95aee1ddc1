"""The story of time passing: what is due, what nobody announced, what is still owed.

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

from remediator import log, patience
from remediator.adoption import close_deleted
from remediator.alerts import AlertFacts, AlertKind
from remediator.digests import owe_digests
from remediator.domain import (
    Forbidden,
    Gone,
    JobKind,
    JobName,
    JobState,
    Json,
    Refused,
    RemediatorError,
    Transient,
    Unserved,
    parse_time,
    rfc3339,
)
from remediator.endings import tell_forbidden, tell_unreadable
from remediator.hands import Hands
from remediator.identity import key_of, unknown_keys
from remediator.intake import FAILURES_LOG
from remediator.job import Job, JobView, summary
from remediator.ledger import Conclusion, Incident, Stage, Unreadable
from remediator.notices import DELIVERY_SECONDS
from remediator.policy import routes
from remediator.remediate import consider

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
    faults: tuple[str, ...] = ()


def run(hands: Hands, write_log: WriteLog, *, budget_seconds: float) -> Round:
    """One round; stops taking up new work when the budget is used, and goes on at the next call.

    What is owed to people is delivered after that, in a time of its own: whatever hangs or fails, they
    hear. What failed is raised then.
    """
    deadline = time.monotonic() + budget_seconds

    def in_time() -> bool:
        return time.monotonic() < deadline

    places = _Places()
    whole = patience.left(_ROUND_AT_MOST)
    try:
        with patience.within(max(whole - DELIVERY_SECONDS, whole * _WORK_SHARE)):
            _set_broken_aside(hands)
            handled, postponed = _take_up_due(hands, places, in_time)
            announced, old, faults = _sweep(hands, write_log, places, in_time)
    finally:
        owe_digests(hands)
        delivered, owed = hands.notices.deliver_due()
    _forget_once_a_day(hands)
    hands.ledger.write_note("reconciled", {"at": rfc3339(hands.now())})
    return Round(handled, postponed, announced, old, delivered, owed, tuple(faults))


class _Places:
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


def _set_broken_aside(hands: Hands) -> None:
    """Documents that are due and cannot be read: each is told once, and in nobody's way again."""
    now = hands.now()
    _, incidents = hands.ledger.look_at_due(now, _DUE_AT_ONCE)
    _, debts = hands.ledger.look_at_debts_due(now, _DUE_AT_ONCE)
    for broken in (*incidents, *debts):
        err = Unreadable(broken.collection, broken.key, broken.why)
        log.say("ERROR", f"set aside: {err}")
        owed = tell_unreadable(err, hands, set_aside=True)
        hands.ledger.set_aside(broken, now=now, debts=owed)


def _forget_once_a_day(hands: Hands) -> None:
    """Let the ledger drop what has outlived its keeping; Firestore does so by itself too."""
    last = parse_time((hands.ledger.note("reconciled") or {}).get("at"))
    now = hands.now()
    if last is not None and last.date() == now.date():
        return
    try:
        hands.ledger.forget(now)
    except RemediatorError as err:  # nothing rests on it: tomorrow is soon enough
        log.say("WARNING", f"the ledger could not forget what is old: {err}")


# --- what is due ---------------------------------------------------------------------------------


def _take_up_due(hands: Hands, places: _Places, in_time: Callable[[], bool]) -> tuple[int, int]:
    due = hands.ledger.due(hands.now(), _DUE_AT_ONCE)
    handled, left = _side_by_side(due, hands, places, in_time)
    if len(due) == _DUE_AT_ONCE and left and in_time():
        # Behind what a place that hangs keeps waiting there may be others.
        seen = {one.key for one in due}
        more = hands.ledger.due(hands.now(), _DUE_BEHIND)
        others = tuple(one for one in more if one.key not in seen)
        went_on, left_too = _side_by_side(others, hands, places, in_time)
        return handled + went_on, left + left_too
    return handled, left


def _side_by_side(
    due: Sequence[Incident], hands: Hands, places: _Places, in_time: Callable[[], bool]
) -> tuple[int, int]:
    """How many went on, and how many have to wait."""
    handled = postponed = 0
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="due") as pool:
        take_up = patience.carried(lambda one: in_time() and _take_up(one, hands, places))
        for went_on in pool.map(take_up, due):
            handled += went_on
            postponed += not went_on
    return handled, postponed


def _take_up(incident: Incident, hands: Hands, places: _Places | None = None) -> bool:
    """Go on with one incident; False if it has to wait. One fault never stops the others.

    What lies in a place that is left for this round stays due, before all else in the next.
    """
    places = places or _Places()
    if places.is_left(_location_of(incident)):
        return False
    try:
        job = _still_there(incident, hands, places)
        if job is None:
            said = close_deleted(incident, hands, hands.now())
            log.say("INFO", said, job=incident.job, root=incident.root, attempt=incident.attempt)
            return True
        late = incident.stage is Stage.ANNOUNCED
        if late:
            _tell_silent_sink(hands)
        said = consider(job, hands, known_since=incident.first_known, late_sink=late)
        log.say("INFO", said, job=incident.job, root=incident.root, attempt=incident.attempt)
    except Transient as err:
        log.say("WARNING", f"later: {err}", job=incident.job)
        _postpone(incident, hands)
        return False
    except RemediatorError as err:
        log.say("ERROR", f"cannot go on: {err}", job=incident.job)
        _tell_if_forbidden(err, hands)
        _postpone(incident, hands)
        return False
    except Exception as err:  # noqa: BLE001  # protects the other incidents of this round
        log.fault("a fault while going on with an incident", err, job=incident.job)
        _postpone(incident, hands)
        return False
    return True


def _location_of(incident: Incident) -> str:
    return incident.key.partition("/")[0]


def _still_there(incident: Incident, hands: Hands, places: _Places) -> Job | None:
    """The incident's job; None where it was deleted, also where another now bears its name."""
    job: Job | None = None
    try:
        job = hands.jobs.get(JobName.parse(incident.job), timeout_seconds=hands.call_seconds)
    except Gone:
        pass
    except Transient:
        places.failed(_location_of(incident))
        raise
    places.answered(_location_of(incident))
    return job if job is not None and key_of(job, hands.ledger) == incident.key else None


def _tell_if_forbidden(err: RemediatorError, hands: Hands) -> None:
    if not isinstance(err, Forbidden):
        return
    try:
        tell_forbidden(err, hands)
    except RemediatorError as untold:
        log.say("WARNING", f"nobody could be told: {untold}")


def _postpone(incident: Incident, hands: Hands) -> None:
    try:
        stored = hands.ledger.incident(incident.key)
        if stored is not None and stored.stage is not Stage.DONE and stored.due == incident.due:
            hands.ledger.move(replace(stored, due=hands.now() + _PAUSE_AFTER_FAULT))
    except RemediatorError as err:  # it stays due, and the round goes on
        log.say("WARNING", f"it could not be postponed: {err}", job=incident.job)


def _tell_silent_sink(hands: Hands) -> None:
    """Once a day, to every channel: without the sink each failure waits for a quarter of an hour."""
    now = hands.now()
    facts = AlertFacts(kind=AlertKind.SINK_SILENT, root=f"sink/{now:%Y-%m-%d}")
    policies = hands.policies()
    debts = hands.notices.owed(facts, routes.all_channels(policies), now)
    hands.ledger.owe(debts)


# --- the sweep -----------------------------------------------------------------------------------


def _sweep(
    hands: Hands, write_log: WriteLog, places: _Places, in_time: Callable[[], bool]
) -> tuple[int, int, list[str]]:
    """Announce failed jobs that nobody knows of; old ones are recorded and told in one message."""
    now = hands.now()
    announced = old = 0
    faults: list[str] = []
    lists = [(location, kind) for location in hands.locations() for kind in SWEPT_KINDS]
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="sweep") as pool:
        sweep = patience.carried(
            lambda one: _unknown(hands, *one, places=places, now=now, in_time=in_time)
        )
        found = pool.map(sweep, lists)
        for fresh, recorded, unlisted in found:
            old += recorded
            written, unwritten = _announce(fresh, hands, write_log, now)
            announced += written
            for fault in (unlisted, unwritten):
                if fault is not None:
                    faults.append(str(fault))
                    _tell_if_forbidden(fault, hands)
    if old:
        facts = AlertFacts(
            kind=AlertKind.OLD_FAILURES, root=f"old/{now:%Y-%m-%dT%H:%M:%S}", count=old
        )
        policies = hands.policies()
        debts = hands.notices.owed(facts, routes.all_channels(policies), now)
        hands.ledger.owe(debts)
    return announced, old, faults


def failed_since(hands: Hands, location: str, kind: JobKind, since: datetime) -> Iterator[Job]:
    """Jobs of one kind and place that may have failed after `since`, whether known or not.

    List filters know when a job began, not its end, so jobs that ended earlier may be among them.
    """
    for state in _MAY_HAVE_FAILED[kind]:
        longest = _SUCCEEDED_WITHIN if state is JobState.SUCCEEDED else _LONGEST_RUN
        yield from hands.jobs.list(
            kind,
            hands.project()[0],
            location,
            states=(state,),
            created_after=since - longest,
            timeout_seconds=hands.call_seconds,
        )


def _unknown(
    hands: Hands,
    location: str,
    kind: JobKind,
    *,
    places: _Places,
    now: datetime,
    in_time: Callable[[], bool],
) -> tuple[dict[str, Job], int, RemediatorError | None]:
    """Failed jobs of one kind and place without an incident, by their keys, and how many older ones were recorded."""
    found: dict[str, Job] = {}  # pages overlap where a job was made meanwhile
    old = quiet = 0

    def may_go_on() -> bool:
        return in_time() and len(found) < _ANNOUNCED_AT_ONCE and quiet < _QUIET_PAGES

    if places.is_left(location):
        return {}, 0, Transient(f"{location} did not answer: left for the next round")
    try:
        for page in _failed(hands, location, kind, now, may_go_on):
            places.answered(location)
            failed = [job for job in page if job.is_failure]
            unknown = unknown_keys(failed, hands.ledger)
            stale: dict[str, Job] = {}
            for key, job in unknown.items():
                ended = job.end_time
                within = ended is None or now - ended <= hands.settings.lookback
                if within:
                    found.setdefault(key, job)
                else:
                    stale[key] = job
            old += hands.ledger.open_many(
                _recorded(key, job, now, Conclusion.TOO_OLD) for key, job in stale.items()
            )
            quiet = 0 if unknown else quiet + 1
    except Unserved:  # a Vertex without such jobs has no failures of theirs
        return {}, old, None
    except RemediatorError as err:
        log.say("WARNING", f"the sweep of {kind} in {location} stopped: {err}")
        if isinstance(err, Transient):
            places.failed(location)
        return found, old, err
    return found, old, None


def _failed(
    hands: Hands, location: str, kind: JobKind, now: datetime, may_go_on: Callable[[], bool]
) -> Iterator[tuple[Job, ...]]:
    """Pages of jobs that may have failed: the newest of each state always, then the older ones.

    Of those a round goes through as many as it may; the next one goes on where it stopped. List
    filters know when a job began, not its end: among thousands that failed long ago there may be one
    that began as long ago and failed just now, so that all are gone through, some pages a round.
    """
    behind: list[_Place] = []
    for state in _MAY_HAVE_FAILED[kind]:
        longest = _SUCCEEDED_WITHIN if state is JobState.SUCCEEDED else _LONGEST_RUN
        first = _Place(state, now - hands.settings.lookback - longest)
        jobs, token = _page(first, hands, location, kind)
        yield jobs
        if token:
            behind.append(replace(first, token=token))
    if not behind:
        return
    note = f"sweep:{location}:{kind.value}"
    stopped = _Place.parse(hands.ledger.note(note) or {})
    if stopped is not None and stopped.state in _MAY_HAVE_FAILED[kind]:
        order = _MAY_HAVE_FAILED[kind].index
        after = (one for one in behind if order(one.state) > order(stopped.state))
        behind = [stopped, *after]
    moved = False  # a page at least, however little time there is
    for found in behind:
        place = found
        while place.token:
            if moved and not may_go_on():
                hands.ledger.write_note(note, place.to_json())
                return
            try:
                jobs, token = _page(place, hands, location, kind)
            except RemediatorError as err:  # a token that is no longer taken is forgotten
                lasting = isinstance(err, Refused)
                hands.ledger.write_note(note, {} if lasting else place.to_json())
                raise
            yield jobs
            place, moved = replace(place, token=token), True
    if stopped is not None:
        hands.ledger.write_note(note, {})


@dataclass(frozen=True, slots=True)
class _Place:
    """A page in the list of one state; `since` belongs to the filter that its token is good for."""

    state: JobState
    since: datetime
    token: str = ""

    def to_json(self) -> Json:
        return {"state": self.state.value, "since": rfc3339(self.since), "token": self.token}

    @classmethod
    def parse(cls, note: Json) -> _Place | None:
        since = parse_time(note.get("since"))
        if since is None:
            return None
        return cls(JobState.parse(note.get("state")), since, str(note.get("token") or ""))


def _page(place: _Place, hands: Hands, location: str, kind: JobKind) -> tuple[tuple[Job, ...], str]:
    # Whether a cancelled job ran into its own time-out stands in what it was to do.
    whole = place.state is JobState.CANCELLED and kind is not JobKind.PIPELINE
    return hands.jobs.page(
        kind,
        hands.project()[0],
        location,
        states=(place.state,),
        created_after=place.since,
        token=place.token,
        view=JobView.WHOLE if whole else JobView.ENDING,
        timeout_seconds=hands.call_seconds,
    )


def _announce(
    jobs: Mapping[str, Job], hands: Hands, write_log: WriteLog, now: datetime
) -> tuple[int, RemediatorError | None]:
    """Write one failure entry for each job, known from now on; a crash between repeats the entry.

    Where entries may not be written none will come back: the ledger alone brings the jobs up again.
    """
    if not jobs:
        return 0, None
    stage, due, refused = Stage.ANNOUNCED, now + SINK_SILENT_AFTER, None
    try:
        write_log(FAILURES_LOG, [announcement(job, now) for job in jobs.values()])
    except Transient as err:
        log.say("WARNING", f"failures are announced in the next round: {err}")
        return 0, err
    except RemediatorError as err:
        log.say("ERROR", f"failures are handled without an announcement: {err}")
        stage, due, refused = Stage.UNSETTLED, now, err
    known = hands.ledger.open_many(
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
