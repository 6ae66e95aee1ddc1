"""One text of a case: where it stood, who can have written it, and how much it may weigh.

Owns `CaseText`, what is taken off a text (escapes, wrappers), and how much of it is read. Pure; used by the
readers of texts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from msgspec import Struct

from remediator.diagnosis.signature import Signature, TextPlace
from remediator.domain import Frame, Source
from remediator.job import RpcStatus

SERVICE_TASK = "service"
"""The `task_name` of lines that Vertex itself writes."""
SERVICE_AUTHOR = "the service's log"
TELEMETRY = "remediatorTelemetry"
TEXT_HEAD = 6_000  # characters; chosen
_TEXT_TAIL = 6_000  # characters; chosen
# Documented: google.rpc.Code.
CODE_NAMES: Mapping[int, str] = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}


class CaseText(Struct, frozen=True):
    """One text: where it stood, who can have written it, and how much it may weigh.

    `code` is a google.rpc code given beside the text (0: none). `count` is how many instances or
    lines say the same. `factor` lowers what its rows weigh.
    """

    source: Source
    where: str
    place: TextPlace
    text: str
    code: int = 0
    count: int = 1
    factor: float = 1.0
    author: str = ""
    chain: int = 0
    """Exceptions of one traceback bear one number, from 1: what one of them silences, all do."""
    traced: bool = False
    spoken: Signature | None = None
    """What a client library or a tool says here of the service behind it: no other row counts."""
    frame: Frame | None = None
    stood_in: str = ""
    cut_in: str | None = None
    """Of a traceback that was cut off before its exception: where it stands; None: it is whole."""
    below: str = ""
    """Of an exception: the library's functions in which it was raised (`Raised.below`)."""
    call: str = ""
    """Of an exception: the user's own line that called what raised it (`Raised.call`)."""
    of_value: bool = False
    """Of last words: an error that the program was handed, and over which its runtime ended it."""
    first: str = ""
    """Of last words that state several errors: the first."""
    worked_on: bool = False
    """Of a job that ended at its time-out: the program went on with its work after this line."""
    long_after: bool = False
    """The program went on with its work for long after this line."""
    after: str = ""
    """Of last words: what was said next, where they tell nothing by themselves."""


def clean(text: str) -> str:
    """The text with escapes undone and white space collapsed, head and tail if it is long.

    An error inside JSON inside a string is still an error: its quotes and line breaks are undone.
    """
    if len(text) > TEXT_HEAD + _TEXT_TAIL:
        text = f"{text[:TEXT_HEAD]} … {text[-_TEXT_TAIL:]}"
    if "\\" in text:
        for escaped, plain in (
            ("\\\\", "\\"),
            ("\\n", " "),
            ("\\t", " "),
            ("\\r", " "),
            ('\\"', '"'),
            ("\\'", "'"),
            ("\\_", "_"),
        ):
            text = text.replace(escaped, plain)
    if "&" in text:
        text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
        text = text.replace("&#39;", "'").replace("&amp;", "&")
    text = text.encode("utf-8", "replace").decode()
    return " ".join(text.replace("\x00", " ").split())


def status_text(
    status: RpcStatus | None, source: Source, where: str, place: TextPlace, author: str
) -> Iterator[CaseText]:
    """A google.rpc.Status as a statement: its message, its code, and details as text."""
    text = clean(status.text) if status else ""
    if status and (text or status.code):
        yield CaseText(source, where, place, text, code=status.code, author=author)


def as_text(value: object) -> str:
    """Any JSON value as text, for reading and never for parsing back."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
