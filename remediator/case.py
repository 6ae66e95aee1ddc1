"""One failure with everything known about it: the case, its parts, and its file form.

Owns parsing of what Google's APIs say (log entries, time series) into frozen values, once, and the
case file of the contract. Does no I/O: callers read files and services.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct, field

from remediator.domain import (
    Attempt,
    Cause,
    InvalidInput,
    JobState,
    Json,
    Source,
    parse_time,
    rfc3339,
)
from remediator.job import Job
from remediator.job.rows import RowAccount
from remediator.job.summary import Saved

CASE_KEYS = frozenset(
    {
        "logEntry", "job", "model", "logEntries", "timeSeries", "errorFiles", "buckets", "probes",
        "attempts", "earlierJobs", "children", "parent", "now", "outputs", "rows", "expect",
    }
)  # fmt: skip
"""The keys of a case file; whatever else stands at its top level is not read, and told."""
RAW_ONLY_UP_TO = timedelta(hours=7)
"""How long a running job has run until whose samples are all read as they are. Chosen."""
RAW_WINDOW = timedelta(hours=3)
"""Of one that has run longer, how far back they are; what is older is read by its means. Chosen: a standstill
is told within it, and a longer one is judged by its last hours."""


class LogLine(Struct, frozen=True):
    """One Cloud Logging entry, parsed once. `text` is what a person would read of it: of a structured one
    the message, with the error that stands in a field beside it.

    `entry` is the LogEntry as REST JSON, kept for case files. `time` is None where absent.
    """

    time: datetime | None
    severity: str
    text: str
    insert_id: str
    task: str
    payload: Json
    entry: Json

    @property
    def is_structured(self) -> bool:
        """A logger's own object, by whose level its severity is told: as JSON, or as a text that holds one."""
        if self.payload:
            return True
        held = self.entry.get("textPayload")
        return isinstance(held, str) and held[:1] == "{" and self.text is not held

    @property
    def fields(self) -> Json:
        """The fields of a structured line, as `jsonPayload` or as a text that holds an object, which may be the payload's
        message itself; empty for a plain one.
        """
        text = self.payload.get("message") if self.payload else self.entry.get("textPayload")
        if not isinstance(text, str) or text[:1] != "{":
            return self.payload
        return _object_in(text) or self.payload

    @classmethod
    def parse(cls, entry: Json) -> LogLine:
        """From a LogEntry in REST shape; any missing or odd field becomes empty, never an error."""
        payload = entry.get("jsonPayload")
        payload = payload if isinstance(payload, Mapping) else {}
        text = entry.get("textPayload")
        severity = str(entry.get("severity") or "DEFAULT")
        if isinstance(text, str):
            text, severity = _unpacked(text, severity)
        else:
            message = payload.get("message")
            text = message if isinstance(message, str) else ""
            if text[:1] == "{":
                # A container's line as Vertex hands it on: a logger's object, as a string.
                text, severity = _unpacked(text, severity)
            if text:
                text += _error_beside(text, payload)
            elif status := _row_status(payload):
                text = status
            elif payload:
                text = _as_text(payload)
        labels: dict[str, Any] = {}
        for holder in (entry.get("resource"), entry):
            found = holder.get("labels") if isinstance(holder, Mapping) else None
            labels.update(found if isinstance(found, Mapping) else {})
        return cls(
            time=parse_time(entry.get("timestamp")) or parse_time(entry.get("receiveTimestamp")),
            severity=severity,
            text=text,
            insert_id=str(entry.get("insertId") or ""),
            task=str(labels.get("task_name") or ""),
            payload=payload,
            entry=entry,
        )


_ERROR_FIELDS = ("error", "err", "exception", "exc_info", "stack_trace", "error.message")
"""Where structured loggers put what went wrong, the message being only what was attempted: zap, zerolog and
logrus `error`, slog and pino `err`, structlog `exception`, python-json-logger `exc_info`, Google's error
reporting and Logback `stack_trace`, ECS `error.message` (their documentation)."""
_ERROR_PARTS = ("stack", "stack_trace", "message")  # of an error that is an object: pino, ECS
_NO_ERROR = frozenset({"none", "null", "nil", "<nil>", "false", "true", "undefined"})


_MESSAGE_FIELDS = ("message", "msg", "event")
"""Where structured loggers put what they say: most `message`, zap, slog, pino and logrus `msg`, structlog `event`
(their documentation)."""
_LEVEL_FIELDS = ("level", "severity", "levelname", "lvl", "log.level")
_SEVERITIES = {
    "trace": "DEBUG",
    "debug": "DEBUG",
    "info": "INFO",
    "notice": "NOTICE",
    "warn": "WARNING",
    "warning": "WARNING",
    "error": "ERROR",
    "err": "ERROR",
    "critical": "CRITICAL",
    "fatal": "CRITICAL",
    "panic": "CRITICAL",
}
"""Levels of loggers as severities. Documented: google.logging.type.LogSeverity."""
_LONGEST_OBJECT = 20_000  # characters of a JSON object in a text that is unpacked; chosen
_TELEMETRY = "remediatorTelemetry"


def _unpacked(text: str, severity: str) -> tuple[str, str]:
    """What a logger's JSON object says that came as plain text, and its own level; else what was given."""
    held = _object_in(text)
    if held is None:
        return text, severity
    # Rust's tracing keeps the message among the fields of the event.
    fields = held.get("fields")
    said = {**held, **fields} if isinstance(fields, dict) else held
    message = _row_status(held) or next(
        (said[name] for name in _MESSAGE_FIELDS if said.get(name)), None
    )
    if not isinstance(message, str):
        return text, severity
    level = next((held[name] for name in _LEVEL_FIELDS if held.get(name)), None)
    own = _SEVERITIES.get(level.lower()) if isinstance(level, str) else None
    return message + _error_beside(message, said), own or severity


def _as_text(payload: Json) -> str:
    """A structured line without a message, as its JSON; of one that is nested too deep to be written, its keys."""
    try:
        return json.dumps(payload, sort_keys=True, default=str, ensure_ascii=False)
    except RecursionError:
        return ", ".join(sorted(map(str, payload)))


def _object_in(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is; None where it is none, or the job's own telemetry."""
    if text[:1] != "{" or len(text) > _LONGEST_OBJECT or _TELEMETRY in text:
        return None
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, dict) else None


def _row_status(held: Json) -> str:
    """What a row of a batch prediction's results says of its failure, printed as a line of a log: Gemini's rows hold
    `status` beside `processed_time` and the request (its documentation); empty for any other object.
    """
    status = held.get("status")
    is_row = "processed_time" in held and "request" in held and not held.get("response")
    return status if is_row and isinstance(status, str) else ""


def _exception_of(held: Json) -> str:
    """`MemoryError: Unable to allocate 26.8 GiB` of one of structlog's `dict_tracebacks` (its documentation)."""
    kind, value = held.get("exc_type"), held.get("exc_value")
    return f"{kind}: {value}" if isinstance(kind, str) else ""


def _error_beside(message: str, payload: Json) -> str:
    """The error that a structured logger wrote beside its message, as what follows it; empty where none."""
    for name in _ERROR_FIELDS:
        said = payload.get(name)
        if isinstance(said, list) and said and isinstance(said[-1], Mapping):
            said = _exception_of(said[-1])
        if isinstance(said, Mapping):
            said = next((said[part] for part in _ERROR_PARTS if said.get(part)), "")
        if not isinstance(said, str):
            continue
        said = said.strip()
        worded = any(letter.isalpha() for letter in said) and said.lower() not in _NO_ERROR
        if worded and said not in message:
            return f"\n{said}" if "\n" in said else f": {said}"
    return ""


class Series(Struct, frozen=True):
    """One Cloud Monitoring time series; points oldest first, in the metric's own unit."""

    metric: str
    labels: Mapping[str, str]
    resource_labels: Mapping[str, str]
    points: tuple[tuple[datetime, float], ...]

    @classmethod
    def parse(cls, series: Json) -> Series:
        """From a TimeSeries in REST shape (DOUBLE or INT64 values; distributions by their mean)."""
        points: list[tuple[datetime, float]] = []
        for point in series.get("points") or ():
            moment = parse_time((point.get("interval") or {}).get("endTime"))
            value = point.get("value") or {}
            number = value.get("doubleValue", value.get("int64Value"))
            if number is None:
                number = (value.get("distributionValue") or {}).get("mean")
            if moment is None or number is None:
                continue
            try:
                points.append((moment, float(number)))
            except (TypeError, ValueError, OverflowError):
                continue
        metric = series.get("metric") or {}
        resource = series.get("resource") or {}
        return cls(
            metric=str(metric.get("type") or ""),
            labels=dict(metric.get("labels") or {}),
            resource_labels=dict(resource.get("labels") or {}),
            points=tuple(sorted(points)),
        )

    def to_json(self) -> dict[str, Any]:
        """The TimeSeries in REST shape, newest point first as the API gives it."""
        return {
            "metric": {"type": self.metric, "labels": dict(self.labels)},
            "resource": {"type": "cloudml_job", "labels": dict(self.resource_labels)},
            "points": [
                {
                    "interval": {"endTime": rfc3339(moment)},
                    "value": {"doubleValue": value},
                }
                for moment, value in reversed(self.points)
            ],
        }


class Probe(Struct, frozen=True):
    """One measured latency: `seconds` to the first byte (median), measured `origin`."""

    url: str
    seconds: float
    origin: str

    def to_json(self) -> dict[str, Any]:
        return {"url": self.url, "seconds": self.seconds, "from": self.origin}


class Recovery(Struct, frozen=True):
    """A similar job that failed and succeeded as we ran it again, on a size that this one is below.

    `cause` is what that failure was taken for, and `size` in words what fixed it.
    """

    cause: Cause
    at: datetime
    size: str


class Gap(Struct, frozen=True):
    """A source that could not be read, and why, in words fit for an alert.

    `may_pass`: trying again later may help; False where a permission is missing or it is not there.
    """

    source: Source
    why: str
    may_pass: bool = False


class Case(Struct, frozen=True):
    """One failure with everything known about it. What was not read is empty, and named in `gaps`.

    `now` is when the case is judged. `error_files` maps gs:// URIs to text; `buckets` maps bucket
    names to their location (`US-EAST1`); `earlier` holds successful jobs of the same model or
    display name, newest first, for comparison. `parent` is what the job is a part of, in words,
    where only the parent says so: see `ownership`. `children` are the cases of the jobs that a pipeline
    run's launchers started and that failed. `outputs` are objects below a running job's output
    directory (`name`, `updated`, `size`). `rows` is what a batch did with its rows, where that was
    counted. `recoveries`, newest first, come from the ledger, and
    `rows_unread` says why rows that were wanted are not known: neither is part of a case file.
    """

    job: Job
    now: datetime
    log_entry: Json | None = None
    model: Json | None = None
    log_lines: tuple[LogLine, ...] = ()
    series: tuple[Series, ...] = ()
    error_files: Mapping[str, str] = field(default_factory=dict)
    buckets: Mapping[str, str] = field(default_factory=dict)
    probes: tuple[Probe, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    earlier: tuple[Job, ...] = ()
    gaps: tuple[Gap, ...] = ()
    saved: Saved | None = None
    parent: str = ""
    recoveries: tuple[Recovery, ...] = ()
    children: tuple[Case, ...] = ()
    outputs: tuple[Json, ...] = ()
    rows: RowAccount | None = None
    rows_unread: str = ""

    @property
    def is_failure(self) -> bool:
        """The job failed, or it succeeded and its rows say that some did not come back."""
        if self.job.is_failure:
            return True
        rows = self.rows
        lost = rows is not None and rows.sound and bool(rows.failed or rows.missing)
        return lost and self.job.state is JobState.SUCCEEDED

    @classmethod
    def parse(cls, body: Json, *, settle: timedelta = timedelta(minutes=7)) -> Case:
        """A case file; raises InvalidInput naming what is wrong with it.

        Without `now`, the case is judged at the job's end plus `settle`; with no end either, at its
        last known time.
        """
        job_body = body.get("job")
        if not isinstance(job_body, Mapping):
            msg = "a case file needs a `job` object"
            if "name" in body and "state" in body:
                msg += '; this looks like the job itself: write {"job": …} around it'
            raise InvalidInput(msg)
        job = Job.parse(job_body)
        attempts = tuple(Attempt.parse(a) for a in _objects(body, "attempts"))
        now = parse_time(body.get("now"))
        if now is None and body.get("now"):
            msg = "`now` must be a time such as 2026-11-23T20:00:00Z"
            raise InvalidInput(msg)
        if now is None:
            last = job.end_time or job.update_time or job.create_time
            now = (last or datetime.fromtimestamp(0, UTC)) + settle
        buckets = {
            str(name): str((place or {}).get("location") or "")
            for name, place in _object(body, "buckets").items()
        }
        return cls(
            job=job,
            now=now,
            log_entry=_object(body, "logEntry") or None,
            model=_object(body, "model") or None,
            log_lines=tuple(LogLine.parse(entry) for entry in _objects(body, "logEntries")),
            series=tuple(Series.parse(series) for series in _objects(body, "timeSeries")),
            error_files={str(k): str(v) for k, v in _object(body, "errorFiles").items()},
            buckets=buckets,
            probes=tuple(
                Probe(str(p.get("url")), float(p.get("seconds") or 0), str(p.get("from") or ""))
                for p in _objects(body, "probes")
            ),
            attempts=attempts,
            earlier=tuple(Job.parse(j) for j in _objects(body, "earlierJobs")),
            parent=str(body.get("parent") or ""),
            children=tuple(cls.parse(child, settle=settle) for child in _objects(body, "children")),
            outputs=tuple(_objects(body, "outputs")),
            rows=RowAccount.parse(rows) if (rows := _object(body, "rows")) else None,
        )

    def to_json(self) -> dict[str, Any]:
        """The case file's JSON; not redacted: the caller is an exit and does that."""
        return {
            "logEntry": self.log_entry,
            "job": self.job.to_json(),
            "model": self.model,
            "logEntries": [line.entry for line in self.log_lines],
            "timeSeries": [series.to_json() for series in self.series],
            "errorFiles": dict(self.error_files),
            "buckets": {name: {"location": place} for name, place in self.buckets.items()},
            "probes": [probe.to_json() for probe in self.probes],
            "attempts": [attempt.to_json() for attempt in self.attempts],
            "earlierJobs": [job.to_json() for job in self.earlier],
            "now": rfc3339(self.now),
            **({"parent": self.parent} if self.parent else {}),
            **({"children": [one.to_json() for one in self.children]} if self.children else {}),
            **({"outputs": list(self.outputs)} if self.outputs else {}),
            **({"rows": self.rows.to_case()} if self.rows else {}),
        }


_JOB_LABELS = ("job_id", "pipeline_job_id", "batch_prediction_job_id", "custom_job_id")


def jobs_of(entry: Json) -> frozenset[str]:
    """The ids of the jobs that a log entry's resource names; empty where it names none."""
    resource = entry.get("resource")
    labels = resource.get("labels") if isinstance(resource, Mapping) else None
    if not isinstance(labels, Mapping):
        return frozenset()
    return frozenset(str(labels[key]) for key in _JOB_LABELS if labels.get(key) is not None)


def _objects(body: Json, key: str) -> list[Json]:
    value = body.get(key) or []
    if not isinstance(value, Sequence) or not all(isinstance(item, Mapping) for item in value):
        msg = f"`{key}` must be a list of objects"
        raise InvalidInput(msg)
    return list(value)


def _object(body: Json, key: str) -> Json:
    value = body.get(key) or {}
    if not isinstance(value, Mapping):
        msg = f"`{key}` must be an object"
        raise InvalidInput(msg)
    return value
