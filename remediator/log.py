"""JSON lines in Cloud Logging's field names, on standard error.

Owns the form of every log line: `severity`, `message`, and fields such as `job`, `root`, `attempt`;
the trace of the request in hand. No traceback ever leaves: a fault of ours is one line that names
the exception and where it was raised. Called by everyone who has something to say.
"""

from __future__ import annotations

import json
import sys
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import Any, TextIO

_trace: ContextVar[str] = ContextVar("trace", default="")
_writing = threading.Lock()


def set_trace(header: str, project: str) -> None:
    """Tie the lines that follow to a request, by its `traceparent` or `X-Cloud-Trace-Context`."""
    part = header[3:35] if header.startswith("00-") else header.partition("/")[0]
    known = part if part.isalnum() and len(part) == 32 else ""  # noqa: PLR2004  # W3C trace ids are 32 hex digits
    _trace.set(f"projects/{project}/traces/{known}" if known and project else known)


def say(severity: str, message: str, /, *, to: TextIO | None = None, **fields: Any) -> None:
    """Write one line. `severity` is Cloud Logging's; a field that is None or empty is left out."""
    line: dict[str, Any] = {"severity": severity, "message": message}
    trace = _trace.get()
    if trace:
        line["logging.googleapis.com/trace"] = trace
    line.update({key: value for key, value in fields.items() if value not in (None, "", ())})
    text = json.dumps(line, default=str, ensure_ascii=False)
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
