"""The reading plan: what to read about one failed job, side by side, within a time budget.

Owns each source's deadline and bounds, the plan of a long log, and the turning of a failure into a
named gap. Judges nothing, and knows no kind of job: what there is to read comes in as a `Reading`.
The services are seen through the Protocols below; `app` calls `gather` for the workflow.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from datetime import datetime, timedelta
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from remediator.case import Case, Gap, LogLine, Probe, Series, jobs_of
from remediator.domain import (
    Attempt,
    JobName,
    Json,
    PermanentError,
    RemediatorError,
    Source,
    TransientError,
)
from remediator.job import Job
from remediator.job.rows import RowAccount
from remediator.job.summary import Saved

# --- what is asked of the world ----------------------------------------------------------------


class ModelReader(Protocol):
    """Reads the Model of a batch prediction."""

    def model(self, name: str, *, timeout_seconds: float | None = None) -> Json: ...


class LogReader(Protocol):
    """Reads Cloud Logging; `job_filter` writes the query for a job's own entries."""

    def job_filter(
        self, job: JobName, job_ids: Sequence[str], start: datetime, end: datetime
    ) -> str: ...

    def entries(
        self,
        project: str,
        query: str,
        *,
        limit: int,
        newest_first: bool = False,
        most_bytes: int = ...,
        timeout_seconds: float | None = None,
    ) -> tuple[Json, ...]: ...

    def tail(
        self,
        project: str,
        query: str,
        *,
        job_ids: frozenset[str],
        between: tuple[datetime, datetime],
        limit: int,
        most_bytes: int,
        timeout_seconds: float,
    ) -> tuple[Json, ...]:
        """The newest entries that a `job_filter` finds, newest first; `job_ids` and `between` are
        the filter's own, since one read may be made for several jobs."""
        ...


class MetricReader(Protocol):
    """Reads the utilisation of a job's machines."""

    def series(
        self,
        job: Job,
        job_ids: Sequence[str] = (),
        *,
        now: datetime | None = None,
        unread: Collection[str] = (),
        raw_for: timedelta | None = None,
        timeout_seconds: float | None = None,
    ) -> tuple[Series, ...]: ...

    def quotas(
        self,
        project: str,
        metrics: Sequence[str],
        *,
        now: datetime,
        timeout_seconds: float | None = None,
    ) -> tuple[Series, ...]: ...


class StorageReader(Protocol):
    """Reads error files, and where a bucket lives."""

    def error_files(
        self, prefix: str, *, marked: str = "", timeout_seconds: float | None = None
    ) -> Mapping[str, str]: ...

    def bucket_location(self, name: str, *, timeout_seconds: float | None = None) -> str: ...

    def saved(self, folder: str, *, timeout_seconds: float | None = None) -> Saved: ...


class ReadingPlan(Struct, frozen=True):
    """What there is to read about one job; the caller knows its kind, this room does not.

    `job_ids`: ids of the CustomJobs that worked for it (trials, tasks, a training pipeline's); the
    job's own id is always read too. `project` is where its log is; "": the one in its name. `model`
    is a Model's resource name or "". `error_files_under` is the gs:// folder of its error files or
    "", `error_files_marked` digits that must stand in their path where others' lie there too. `probes` are URLs that the policy file allows to be measured. `saved_under` is the gs://
    folder of its checkpoints or "". `rows`: what a batch did with each of its rows is wanted. `quotas`: metrics that its error names.
    `metrics_unread` are types of metrics that nobody needs of it, `raw_for` how far back its samples are
    read as they are (None: averaged where the run is long).
    """

    job_ids: tuple[str, ...] = ()
    project: str = ""
    model: str = ""
    error_files_under: str = ""
    error_files_marked: str = ""
    buckets: tuple[str, ...] = ()
    probes: tuple[str, ...] = ()
    saved_under: str = ""
    has_metrics: bool = False
    has_logs: bool = True
    rows: bool = False
    quotas: tuple[str, ...] = ()
    metrics_unread: frozenset[str] = frozenset()
    raw_for: timedelta | None = None


class Readers(Struct, frozen=True):
    """The services, each None where it is not to be asked.

    `probe` measures one URL and raises (a RemediatorError saying why) where it may not; `earlier`
    finds successful jobs of the same model or display name, newest first; `rows` counts a batch's rows
    within so many seconds, and says why where it cannot; `quota_use` counts, by the project's own jobs, what
    is held of quotas (metrics), where `metrics` says nothing of them.
    """

    models: ModelReader | None = None
    logs: LogReader | None = None
    metrics: MetricReader | None = None
    storage: StorageReader | None = None
    probe: Callable[[str], Probe] | None = None
    earlier: Callable[[Job], Sequence[Job]] | None = None
    rows: Callable[[Job, float], tuple[RowAccount | None, str]] | None = None
    quota_use: Callable[[Job, Sequence[str], datetime], tuple[Series, ...]] | None = None


# --- the plan ----------------------------------------------------------------------------------

# Seconds that each source may take, all its tries together; none gets more than the budget.
_SECONDS_BY_SOURCE: Mapping[Source, float] = {
    Source.MODEL: 15.0,
    Source.LOG: 30.0,
    Source.METRIC: 25.0,
    Source.ERROR_FILE: 25.0,
    Source.STORAGE: 15.0,
    Source.PROBE: 25.0,
    Source.HISTORY: 15.0,
}
_ROWS_END_SECONDS = 3.0  # of a source's time, for matching what was read; chosen
_GRACE_SECONDS = 0.5  # for a client that keeps its deadline to say so itself
_MOST_BUCKETS = 8
_MOST_PROBES = 5

# A log is read from its end; only where that does not reach the beginning are the beginning, the
# first errors and the telemetry read as well: 2,000 entries and 2 MB at most, in 4 reads at most.
_TAIL = (1000, 1_000_000)
_HEAD = (400, 400_000)
_ERRORS = (300, 300_000)
_TELEMETRY = (300, 300_000)
_TELEMETRY_MARK = '"remediatorTelemetry"'
_BEFORE_START, _AFTER_END = timedelta(minutes=1), timedelta(minutes=10)


class _Task(Struct, frozen=True):
    """One thing to read: `read(seconds)` returns it, and `field` of the Case takes it."""

    field: str
    source: Source
    read: Callable[[float], Any]


def gather(
    job: Job,
    reading: ReadingPlan,
    readers: Readers,
    *,
    now: datetime,
    budget_seconds: float,
    attempts: tuple[Attempt, ...] = (),
) -> Case:
    """What `reading` names of the failure, within `budget_seconds`; never raises for a source.

    A source that fails or does not answer in time is named in `gaps`, the others stand. A caller
    whose job's own error settles the cause asks for little, in `reading` and `readers`.
    """
    case = Case(job=job, now=now, attempts=attempts)
    tasks = _tasks(job, reading, readers, now)
    ends = time.monotonic() + budget_seconds
    running = [
        (task, seconds, _started(task, seconds))
        for task in tasks
        for seconds in (min(_SECONDS_BY_SOURCE[task.source], budget_seconds),)
    ]
    gaps: list[Gap] = []
    found: dict[str, Any] = {"error_files": {}, "buckets": {}, "probes": (), "series": ()}
    for task, seconds, future in running:
        left = ends - budget_seconds + seconds + _GRACE_SECONDS - time.monotonic()
        value, gap = _outcome(task, future, max(0.0, left), seconds)
        if gap is not None:
            gaps.append(gap)
            if task.field == "rows":
                found["rows_unread"] = f"its rows could not be read: {gap.why}"
        if value is None:
            continue
        if task.field == "log_lines":
            found["log_lines"], late = value
            gaps.extend(late)
        elif task.field == "rows":
            found["rows"], found["rows_unread"] = value
        elif isinstance(value, Mapping) and task.field in ("error_files", "buckets"):
            found[task.field] = {**found[task.field], **value}
        elif task.field in {"probes", "series"}:
            more = value if task.field == "series" else (value,)
            found[task.field] = (*found[task.field], *more)
        else:
            found[task.field] = value
    return replace(case, **found, gaps=tuple(gaps))


def _tasks(job: Job, reading: ReadingPlan, readers: Readers, now: datetime) -> list[_Task]:
    tasks: list[_Task] = []
    models, logs, metrics, storage = readers.models, readers.logs, readers.metrics, readers.storage
    probe, earlier = readers.probe, readers.earlier
    if models is not None and reading.model:
        tasks.append(
            _Task("model", Source.MODEL, lambda s: models.model(reading.model, timeout_seconds=s))
        )
    if logs is not None and reading.has_logs:
        tasks.append(
            _Task("log_lines", Source.LOG, lambda s: _log_lines(job, reading, logs, now, s))
        )
    if metrics is not None:
        tasks += _metric_tasks(job, reading, readers, metrics, now)
    if storage is not None and reading.error_files_under:
        under, mark = reading.error_files_under, reading.error_files_marked
        tasks.append(
            _Task(
                "error_files",
                Source.ERROR_FILE,
                lambda s: storage.error_files(under, marked=mark, timeout_seconds=s),
            )
        )
    if storage is not None:
        tasks.extend(
            _Task("buckets", Source.STORAGE, _place_of(storage, bucket))
            for bucket in dict.fromkeys(reading.buckets[:_MOST_BUCKETS])
        )
    if storage is not None and reading.saved_under:
        tasks.append(_Task("saved", Source.STORAGE, _saved_under(storage, reading.saved_under)))
    if probe is not None:
        tasks.extend(
            _Task("probes", Source.PROBE, _measured(probe, url))
            for url in dict.fromkeys(reading.probes[:_MOST_PROBES])
        )
    rows = readers.rows
    if rows is not None and reading.rows:
        tasks.append(
            _Task("rows", Source.ERROR_FILE, lambda s: rows(job, max(s - _ROWS_END_SECONDS, 1.0)))
        )
    if earlier is not None:
        tasks.append(_Task("earlier", Source.HISTORY, lambda _: tuple(earlier(job))))
    return tasks


def _metric_tasks(
    job: Job, reading: ReadingPlan, readers: Readers, metrics: MetricReader, now: datetime
) -> Iterator[_Task]:
    if reading.has_metrics:
        ids = reading.job_ids
        yield _Task(
            "series",
            Source.METRIC,
            lambda s: metrics.series(
                job,
                ids,
                now=now,
                unread=reading.metrics_unread,
                raw_for=reading.raw_for,
                timeout_seconds=s,
            ),
        )
    if reading.quotas:
        yield _Task("series", Source.METRIC, _quotas(metrics, readers, job, reading, now))


def _place_of(storage: StorageReader, bucket: str) -> Callable[[float], dict[str, str]]:
    return lambda seconds: {bucket: storage.bucket_location(bucket, timeout_seconds=seconds)}


def _quotas(
    metrics: MetricReader, readers: Readers, job: Job, reading: ReadingPlan, now: datetime
) -> Callable[[float], tuple[Series, ...]]:
    """What Monitoring says of the quotas that the job's error names; where it says nothing, is not
    permitted or does not answer, what the project's own jobs hold of them; else the message's own
    numbers are all there are."""

    def look(_: float) -> tuple[Series, ...]:
        project = reading.project or job.name.project
        try:
            found = metrics.quotas(project, reading.quotas, now=now, timeout_seconds=_QUOTA_SECONDS)
        except RemediatorError:
            found = ()
        if found or readers.quota_use is None:
            return found
        try:
            return readers.quota_use(job, reading.quotas, now)
        except RemediatorError:
            return ()

    return look


_QUOTA_SECONDS = 5.0  # for what a plan can do without; chosen


def _saved_under(storage: StorageReader, folder: str) -> Callable[[float], Saved | None]:
    """What is saved there; a folder that cannot be listed says nothing, and no cause rests on it."""

    def look(seconds: float) -> Saved | None:
        try:
            return storage.saved(folder, timeout_seconds=seconds)
        except PermanentError:
            return None

    return look


def _measured(probe: Callable[[str], Probe], url: str) -> Callable[[float], Probe]:
    return lambda _: probe(url)


# --- side by side ------------------------------------------------------------------------------


def _started(task: _Task, seconds: float) -> Future[Any]:
    """Runs the task in a thread of its own, which dies with the process if it hangs."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(task.read(seconds))
        except Exception as err:  # noqa: BLE001  # no source may sink the others, whatever it does
            future.set_exception(err)

    threading.Thread(target=run, name=f"evidence-{task.field}", daemon=True).start()
    return future


def _outcome(
    task: _Task, future: Future[Any], wait_seconds: float, allowed: float
) -> tuple[Any, Gap | None]:
    try:
        return future.result(timeout=wait_seconds), None
    except FutureTimeoutError:
        why = f"no answer within {allowed:.0f} s"
        # Of a large batch, that will be so each time: the rows are then done without.
        return None, Gap(task.source, why, may_pass=task.field != "rows")
    except RemediatorError as err:
        return None, _gap(task.source, err)
    except Exception as err:  # noqa: BLE001  # a fault of ours in one source must not lose the rest
        return None, Gap(task.source, f"reading it failed: {type(err).__name__}: {err}")


def _gap(source: Source, err: RemediatorError) -> Gap:
    return Gap(source, str(err), may_pass=isinstance(err, TransientError))


# --- the log -----------------------------------------------------------------------------------


def _log_lines(
    job: Job, reading: ReadingPlan, logs: LogReader, now: datetime, seconds: float
) -> tuple[tuple[LogLine, ...], tuple[Gap, ...]]:
    """The job's own entries, oldest first, and a gap where only the end of them could be read."""
    ends = time.monotonic() + seconds
    began = job.create_time or job.start_time or (job.end_time or now) - timedelta(days=1)
    start, end = began - _BEFORE_START, (job.end_time or now) + _AFTER_END
    project = reading.project or job.name.project
    query = logs.job_filter(job.name, reading.job_ids, start, end)

    def read(extra: str, bounds: tuple[int, int], *, newest_first: bool) -> tuple[Json, ...]:
        limit, most_bytes = bounds
        return logs.entries(
            project,
            f"{query}{extra}",
            limit=limit,
            newest_first=newest_first,
            most_bytes=most_bytes,
            timeout_seconds=max(0.1, ends - time.monotonic()),
        )

    ids = frozenset((job.name.id, *reading.job_ids))
    limit, most_bytes = _TAIL
    tail = logs.tail(
        project,
        query,
        job_ids=ids,
        between=(start, end),
        limit=limit,
        most_bytes=most_bytes,
        timeout_seconds=seconds,
    )
    entries = list(tail)
    gaps: list[Gap] = []
    if len(entries) == _TAIL[0] or _size(entries) >= _TAIL[1] // 2:
        try:
            entries += read("", _HEAD, newest_first=False)
            entries += read(" AND severity>=ERROR", _ERRORS, newest_first=False)
            entries += read(f" AND {_TELEMETRY_MARK}", _TELEMETRY, newest_first=True)
        except RemediatorError as err:
            why = f"of a long log only a part was read: {err}"
            gaps.append(Gap(Source.LOG, why, may_pass=isinstance(err, TransientError)))
    known = {
        (entry.get("logName"), entry.get("timestamp"), entry.get("insertId"), _text(entry)): entry
        for entry in entries
        if _is_about(entry, ids)
    }
    lines = [LogLine.parse(entry) for entry in known.values()]
    # A line without a time cannot be placed; it is kept, at the end.
    lines.sort(key=lambda line: (line.time is None, line.time or now))
    return tuple(lines), tuple(gaps)


def _is_about(entry: Json, ids: frozenset[str]) -> bool:
    """Whether the entry is one of these jobs': whatever came back, another's line is no evidence."""
    named = jobs_of(entry)
    return not named or not ids.isdisjoint(named)


def _text(entry: Json) -> str:
    """Tells entries apart that bear no insertId."""
    return "" if entry.get("insertId") else repr(sorted(entry.items(), key=lambda item: item[0]))


def _size(entries: Sequence[Json]) -> int:
    """About how many characters the entries' payloads hold."""
    payloads = ("textPayload", "jsonPayload", "protoPayload")
    return sum(len(str(entry.get(key, ""))) for entry in entries for key in payloads)
