"""JSON lines in Cloud Logging's field names, on standard error.

Owns the form of every log line: `severity`, `message`, and fields such as `job`, `root`, `attempt`;
the trace of the request in hand. Secrets are redacted here, since words of Google's, of a job's and of
a mail server's end up in errors. No traceback ever leaves: a fault of ours is one line that names the
exception and where it was raised, and so is a library's. Called by everyone who has something to say.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

_trace: ContextVar[str] = ContextVar("trace", default="")
_writing = threading.Lock()
_LONGEST_MESSAGE = 4000  # characters; Cloud Logging cuts an entry at 256 KiB
_LIBRARIES = ("stamina", "google", "grpc", "urllib3", "requests", "slack_sdk")


def set_trace(header: str, project: str) -> None:
    """Tie the lines that follow to a request, by its `traceparent` or `X-Cloud-Trace-Context`."""
    part = header[3:35] if header.startswith("00-") else header.partition("/")[0]
    known = part if part.isalnum() and len(part) == 32 else ""  # noqa: PLR2004  # W3C trace ids are 32 hex digits
    _trace.set(f"projects/{project}/traces/{known}" if known and project else known)


def say(severity: str, message: str, /, *, to: TextIO | None = None, **fields: Any) -> None:
    """Write one line. `severity` is Cloud Logging's; a field that is None or empty is left out."""
    from remediator.redaction import redact, redact_json  # noqa: PLC0415  # cold start: it needs RE2

    line: dict[str, Any] = {"severity": severity, "message": redact(message, _LONGEST_MESSAGE)}
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
    say("ERROR", f"{message}: {type(err).__name__}: {words}", at=place, **fields)


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
            " ".join(f"{words}{f': {cause}' if cause else ''}".split()),
            logger=record.name,
        )


_libraries = _Libraries(logging.WARNING)


def hear_libraries() -> None:
    """From now on what Google's and other libraries warn of is told in our form, and redacted.

    Some write tracebacks, or an error's whole words, through `logging`. Safe to call any number of
    times; nothing but their own loggers is touched.
    """
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        if _libraries not in logger.handlers:
            logger.addHandler(_libraries)
            logger.propagate = False
