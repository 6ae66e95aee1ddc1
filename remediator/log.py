"""JSON lines in Cloud Logging's field names, on standard error.

Owns the form of every log line: `severity`, `message`, and fields such as `job`, `root`, `attempt`;
the trace of the request in hand. Secrets are redacted here, since words of Google's, of a job's and of
a mail server's end up in errors. No traceback ever leaves: a fault of ours is one line that names the
exception and where it was raised, and so is a library's. Called by everyone who has something to say.
"""

from __future__ import annotations

import functools
import json
import logging
import sys
import threading
from contextvars import ContextVar
from enum import StrEnum
from pathlib import Path
from typing import Any, TextIO

_trace: ContextVar[str] = ContextVar("trace", default="")
_writing = threading.Lock()
_LONGEST_MESSAGE = 4000  # characters; Cloud Logging cuts an entry at 256 KiB
_LIBRARIES = ("stamina", "google", "grpc", "urllib3", "requests", "slack_sdk")


class LogEvent(StrEnum):
    """What a line of the log is about, as its field `event`: filters and metrics rest on these names."""

    ALERT_NOT_SENT = "alert_not_sent"
    """No policy that matches names a channel."""
    ALERT_NOT_UPDATED = "alert_not_updated"
    """A message of a chain could not be kept current."""
    ALERT_POSTPONED = "alert_postponed"
    """A message could not be delivered: tried again, or given up after three days."""
    ANNOUNCEMENT_POSTPONED = "announcement_postponed"
    """The log did not take the sweep's entries just now."""
    ANNOUNCEMENT_REFUSED = "announcement_refused"
    """The log never takes them: failures are handled from the ledger."""
    ATTEMPT_CANCELLED = "attempt_cancelled"
    """An attempt of ours was cancelled."""
    CHAIN_WAITED_FOR = "chain_waited_for"
    """`follow --wait` met an outage."""
    CHILD_JOB_LEFT_TO_PARENT = "child_job_left_to_parent"
    """A failure is its parent's incident."""
    DELIVERY_HANGS = "delivery_hangs"
    """An earlier delivery to a channel has not ended."""
    DIGEST_POSTPONED = "digest_postponed"
    """A digest is made in the next round."""
    DOCUMENT_SET_ASIDE = "document_set_aside"
    """A document of the ledger cannot be read."""
    EVENT_HANDLED = "event_handled"
    """A call was answered; the message says what was done."""
    EVENT_MALFORMED = "event_malformed"
    """An event is no LogEntry in a CloudEvent: acknowledged."""
    EVENT_REFUSED = "event_refused"
    """A service or a rule refused for good: acknowledged."""
    EVENT_RETRIED = "event_retried"
    """A retryable error: the message is delivered again."""
    EXPIRY_FAILED = "expiry_failed"
    """Old documents were not deleted this time."""
    FOREIGN_JOB_NAMED = "foreign_job_named"
    """An entry names a job of another project."""
    INCIDENT_ADVANCED = "incident_advanced"
    """A round took an incident up; the message says what was done."""
    INCIDENT_BLOCKED = "incident_blocked"
    """An incident cannot go on until somebody acts."""
    INCIDENT_NOT_POSTPONED = "incident_not_postponed"
    """The ledger did not take an incident's next time."""
    INCIDENT_RETRIED = "incident_retried"
    """A retryable error: the incident comes up again in a later round."""
    JOB_RESUBMITTED = "job_resubmitted"
    """A job was created."""
    LEDGER_UNAVAILABLE = "ledger_unavailable"
    """The ledger did not answer."""
    LIBRARY = "library"
    """A library's warning or error."""
    LISTED_JOB_SKIPPED = "listed_job_skipped"
    """A listed job has no name that a job can have."""
    MAIL_ADDRESS_REFUSED = "mail_address_refused"
    """The mail server refused one address."""
    MANIFEST_NOT_WRITTEN = "manifest_not_written"
    """The manifest beside a resumed batch's output is missing."""
    PERMISSION_MISSING = "permission_missing"
    """An account lacks a permission; at the approval endpoint: the caller may not."""
    POLICY_FILE_FALLBACK = "policy_file_fallback"
    """The last good policy file is in force."""
    POLICY_FILE_LOADED = "policy_file_loaded"
    """A new policy file is in force."""
    POLICY_FILE_NEWS_POSTPONED = "policy_file_news_postponed"
    """A change of the policy file is alerted in a later round."""
    POLICY_FILE_NO_FALLBACK = "policy_file_no_fallback"
    """No earlier policy file can be used."""
    POLICY_FILE_REJECTED = "policy_file_rejected"
    """A new policy file has errors."""
    POLICY_FILE_UNREADABLE = "policy_file_unreadable"
    """The policy file cannot be read."""
    POLICY_FILE_WARNING = "policy_file_warning"
    """A warning about the policy file."""
    REGION_NOT_SERVED = "region_not_served"
    """An entry names a job in a region that is not served."""
    REQUEST_NOT_RESENT = "request_not_resent"
    """A request that Vertex refused was not sent again, though that is asked for."""
    REQUEST_WITHHELD = "request_withheld"
    """A request would differ where no remedy may."""
    RESUBMISSION_REFUSED = "resubmission_refused"
    """Vertex refused a create."""
    RUNNING_JOBS_NOT_LISTED = "running_jobs_not_listed"
    """The running jobs of a kind and region could not be listed."""
    RUNNING_JOB_ALERTED = "running_job_alerted"
    """People were told of a running job."""
    RUNNING_JOB_CANCELLED = "running_job_cancelled"
    """A running job was cancelled."""
    RUNNING_JOB_NOT_POSTPONED = "running_job_not_postponed"
    """The ledger did not take the time of a running job's next look."""
    RUNNING_JOB_NOT_READ = "running_job_not_read"
    """A running job could not be looked at."""
    RUNNING_JOB_RECOVERED = "running_job_recovered"
    """A running job goes on again."""
    SILENT_SINK_NOT_ALERTED = "silent_sink_not_alerted"
    """That the sink is silent could not be alerted."""
    SWEEP_STOPPED = "sweep_stopped"
    """The sweep of a kind and region stopped."""
    UNHANDLED_EXCEPTION = "unhandled_exception"
    """A fault of ours, with its place in `at`."""


def set_trace(header: str, project: str) -> None:
    """Tie the lines that follow to a request, by its `traceparent` or `X-Cloud-Trace-Context`."""
    part = header[3:35] if header.startswith("00-") else header.partition("/")[0]
    known = part if part.isalnum() and len(part) == 32 else ""  # noqa: PLR2004  # W3C trace ids are 32 hex digits
    _trace.set(f"projects/{project}/traces/{known}" if known and project else known)


def say(
    severity: str, event: LogEvent, message: str, /, *, to: TextIO | None = None, **fields: Any
) -> None:
    """Write one line. `severity` is Cloud Logging's, `event` what filters look for; a field that is None or empty is left out."""
    from remediator.redaction import redact, redact_json  # noqa: PLC0415  # cold start: it needs RE2

    line: dict[str, Any] = {
        "severity": severity,
        "event": event.value,
        "message": redact(message, _LONGEST_MESSAGE),
    }
    trace = _trace.get()
    if trace:
        line["logging.googleapis.com/trace"] = trace
    shown = {key: value for key, value in fields.items() if value not in (None, "", ())}
    line.update(redact_json(shown, limit=_LONGEST_MESSAGE))
    text = json.dumps(line, default=str, ensure_ascii=False)
    # Faults are looked for by that word, also by Error Reporting; what others wrote is none of ours.
    text = text.replace("Traceback", "traceback")
    with _writing:
        stream = to or sys.stderr
        stream.write(text + "\n")
        stream.flush()


def fault(message: str, err: BaseException, /, **fields: Any) -> None:
    """A fault of ours, on one line: the exception's kind and words, and where it was raised."""
    place, step = "", err.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        place = f"{Path(code.co_filename).name}:{step.tb_lineno} {code.co_name}"
        step = step.tb_next
    words = " ".join(str(err).split())[:500]
    say(
        "ERROR",
        LogEvent.UNHANDLED_EXCEPTION,
        f"{message}: {type(err).__name__}: {words}",
        at=place,
        **fields,
    )


class _Libraries(logging.Handler):
    """A library's warning as one line of ours: its words and its exception's, no traceback."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            words = record.getMessage()
        except (TypeError, ValueError):  # words and arguments that do not fit each other
            words = str(record.msg)
        err = record.exc_info[1] if record.exc_info else None
        cause = getattr(record, "stamina.caused_by", "") or (err and f"{type(err).__name__}: {err}")
        say(
            "WARNING" if record.levelno < logging.ERROR else "ERROR",
            LogEvent.LIBRARY,
            " ".join(f"{words}{f': {cause}' if cause else ''}".split()),
            logger=record.name,
        )


_libraries = _Libraries(logging.WARNING)


@functools.cache
def _library_loggers() -> tuple[logging.Logger, ...]:
    return tuple(logging.getLogger(name) for name in _LIBRARIES)


def hear_libraries() -> None:
    """From now on what Google's and other libraries warn of is told in our form, and redacted.

    Some write tracebacks, or an error's whole words, through `logging`. Safe to call any number of
    times; nothing but their own loggers is touched.
    """
    for logger in _library_loggers():
        if _libraries not in logger.handlers:
            logger.addHandler(_libraries)
            logger.propagate = False
