"""The sweep: failures that no log announces are found in the lists of jobs, and announced.

Owns which kinds and states are listed, how far a round looks, and the log entry that is written for
each failure, which the sink routes like any other. Called by `reconcile`, every minute or few, and by
`backtest` for failures of the past.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from remediator import log
from remediator.alerts import AlertFacts, AlertKind
from remediator.alerts.outbox import Outbox
from remediator.deadline import with_current_deadline
from remediator.domain import (
    JobKind,
    JobState,
    Json,
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
from remediator.ledger import Conclusion, Incident, Ledger, Stage
from remediator.log import LogEvent
from remediator.planning import alert_routing
from remediator.settings import Settings
from remediator.workflow.conclusions import alert_missing_permission
from remediator.workflow.incident_key import unknown_keys
from remediator.workflow.services import Clock, Configuration, Services, VertexProject
from remediator.workflow.silent_rows import may_hide_failed_rows

SINK_SILENT_AFTER = timedelta(minutes=15)
SWEPT_KINDS = tuple(JobKind)
_LONGEST_RUN = timedelta(
    days=14
)  # custom jobs end after 7 days unless told otherwise; list filters know no end_time
_ANNOUNCED_AT_ONCE = 500  # and what is left of a page; the next round goes on
# Pages of one kind and place without anything new, after which a round has looked far enough.
_QUIET_PAGES = 10
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


class LocationFailures:
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


def sweep(
    services: Services, write_log: WriteLog, places: LocationFailures, in_time: Callable[[], bool]
) -> tuple[int, int, list[str]]:
    """Announce failed jobs that nobody knows of; old ones are recorded and told in one message."""
    now = services.clock()
    announced = old = 0
    faults: list[str] = []
    lists = [(location, kind) for location in services.vertex.locations() for kind in SWEPT_KINDS]
    with ThreadPoolExecutor(max_workers=8, thread_name_prefix="sweep") as pool:
        sweep = with_current_deadline(
            lambda one: _unknown(
                services.config,
                services.vertex,
                services.records.ledger,
                *one,
                places=places,
                now=now,
                in_time=in_time,
            )
        )
        found = pool.map(sweep, lists)
        for fresh, recorded, unlisted in found:
            old += recorded
            written, unwritten = _announce(fresh, services.records.ledger, write_log, now)
            announced += written
            for fault in (unlisted, unwritten):
                if fault is not None:
                    faults.append(str(fault))
                    alert_if_permission_denied(
                        fault, services.config, services.records.outbox, services.clock
                    )
    if old:
        facts = AlertFacts(
            kind=AlertKind.OLD_FAILURES, root=f"old/{now:%Y-%m-%dT%H:%M:%S}", count=old
        )
        channels = alert_routing.all_channels(services.config.policies())
        services.records.outbox.enqueue(facts, channels, now)
    return announced, old, faults


def failed_since(
    vertex: VertexProject, location: str, kind: JobKind, since: datetime
) -> Iterator[Job]:
    """Jobs of one kind and place that may have failed after `since`, whether known or not.

    List filters know when a job began, not its end, so jobs that ended earlier may be among them.
    """
    for state in _MAY_HAVE_FAILED[kind]:
        longest = _SUCCEEDED_WITHIN if state is JobState.SUCCEEDED else _LONGEST_RUN
        yield from vertex.list(kind, location, states=(state,), created_after=since - longest)


def _unknown(
    config: Configuration,
    vertex: VertexProject,
    ledger: Ledger,
    location: str,
    kind: JobKind,
    *,
    places: LocationFailures,
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
        for page in _failed(config.settings, vertex, ledger, location, kind, now, may_go_on):
            places.answered(location)
            failed = [job for job in page if job.is_failure]
            unknown = unknown_keys(failed, ledger)
            _open_silent(page, config, ledger, now)
            stale: dict[str, Job] = {}
            for key, job in unknown.items():
                ended = job.end_time
                within = ended is None or now - ended <= config.settings.lookback
                if within:
                    found.setdefault(key, job)
                else:
                    stale[key] = job
            old += ledger.open_many(
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


def _open_silent(
    page: tuple[Job, ...], config: Configuration, ledger: Ledger, now: datetime
) -> None:
    """Incidents of jobs of which only their rows can say that they failed, due at once.

    They are not announced: most of them have not failed.
    """
    since = now - config.settings.lookback
    silent = [
        job
        for job in page
        if may_hide_failed_rows(job, config) and (job.end_time is None or job.end_time >= since)
    ]
    ledger.open_many(
        replace(_recorded(key, job, now, Conclusion.NONE), stage=Stage.UNSETTLED, due=now)
        for key, job in unknown_keys(silent, ledger).items()
    )


def _failed(
    settings: Settings,
    vertex: VertexProject,
    ledger: Ledger,
    location: str,
    kind: JobKind,
    now: datetime,
    may_go_on: Callable[[], bool],
) -> Iterator[tuple[Job, ...]]:
    """Pages of jobs that may have failed: the newest of each state always, then the older ones.

    Of those a round goes through as many as it may; the next one goes on where it stopped. List
    filters know when a job began, not its end: among thousands that failed long ago there may be one
    that began as long ago and failed just now, so that all are gone through, some pages a round.
    """
    behind: list[_SweepPosition] = []
    for state in _MAY_HAVE_FAILED[kind]:
        longest = _SUCCEEDED_WITHIN if state is JobState.SUCCEEDED else _LONGEST_RUN
        first = _SweepPosition(state, now - settings.lookback - longest)
        jobs, token = _page(first, vertex, location, kind)
        yield jobs
        if token:
            behind.append(replace(first, token=token))
    if not behind:
        return
    note = f"sweep:{location}:{kind.value}"
    stopped = _SweepPosition.parse(ledger.note(note) or {})
    if stopped is not None and stopped.state in _MAY_HAVE_FAILED[kind]:
        order = _MAY_HAVE_FAILED[kind].index
        after = (one for one in behind if order(one.state) > order(stopped.state))
        behind = [stopped, *after]
    moved = False  # a page at least, however little time there is
    for found in behind:
        place = found
        while place.token:
            if moved and not may_go_on():
                ledger.write_note(note, place.to_json())
                return
            try:
                jobs, token = _page(place, vertex, location, kind)
            except RemediatorError as err:  # a token that is no longer taken is forgotten
                lasting = isinstance(err, PermanentError)
                ledger.write_note(note, {} if lasting else place.to_json())
                raise
            yield jobs
            place, moved = replace(place, token=token), True
    if stopped is not None:
        ledger.write_note(note, {})


class _SweepPosition(Struct, frozen=True):
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
    place: _SweepPosition, vertex: VertexProject, location: str, kind: JobKind
) -> tuple[tuple[Job, ...], str]:
    # Whether a cancelled job ran into its own time-out stands in what it was to do.
    whole = place.state is JobState.CANCELLED and kind is not JobKind.PIPELINE
    return vertex.page(
        kind,
        location,
        states=(place.state,),
        created_after=place.since,
        token=place.token,
        view=JobView.WHOLE if whole else JobView.ENDING,
    )


def _announce(
    jobs: Mapping[str, Job], ledger: Ledger, write_log: WriteLog, now: datetime
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
    known = ledger.open_many(
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


def alert_if_permission_denied(
    err: RemediatorError, config: Configuration, outbox: Outbox, clock: Clock
) -> None:
    if not isinstance(err, PermissionDenied):
        return
    try:
        alert_missing_permission(err, config, outbox, clock)
    except RemediatorError as untold:
        log.say(
            "WARNING",
            LogEvent.SILENT_SINK_NOT_ALERTED,
            f"the silent sink could not be alerted: {untold}",
        )
