"""What people are shown of a log: the last lines that the workers wrote.

Owns their number and length, and which fields of a structured line are shown. Pure; called by `diagnose`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from remediator.case import LogLine
from remediator.diagnosis.texts.case_text import TELEMETRY
from remediator.diagnosis.texts.log_lines import is_service_line
from remediator.domain import FIELDS_MARK, Json
from remediator.domain.late_pattern import late_pattern
from remediator.redaction import redact_json


def last_lines(lines: Sequence[LogLine]) -> tuple[str, ...]:
    """What the workers wrote last, telemetry aside: oldest first, each cut to what a person reads."""
    shown: list[str] = []
    in_order = lines
    if all(line.time is not None for line in lines):
        in_order = sorted(lines, key=lambda line: line.time)  # type: ignore[arg-type,return-value]  # all are set
    for line in reversed(in_order):
        if not line.text.strip() or TELEMETRY in line.text or is_service_line(line):
            continue
        rows = [row.rstrip()[:_LAST_LINE_CHARS] for row in line.text.splitlines() if row.strip()]
        rows[0] += fields_words(line)
        shown = [*rows[-_LAST_LINES_SHOWN:], *shown]
        if len(shown) >= _LAST_LINES_SHOWN:
            break
    return tuple(shown[-_LAST_LINES_SHOWN:])


_LAST_LINES_SHOWN, _LAST_LINE_CHARS = 20, 500  # what a person reads; chosen


def fields_words(line: LogLine) -> str:
    """What a structured line holds beside its message, short, behind `FIELDS_MARK`; empty for none.

    Secrets are cut out here, where a value still stands under its name.
    """
    if not line.is_structured or line.text[:1] == "{":
        return ""
    shown: list[str] = []
    length = 0
    for name, value in _scalars(line.fields):
        said_already = isinstance(value, str) and value in line.text
        if said_already or _OF_THE_LOGGER.fullmatch(name):
            continue
        safe = str(next(iter(redact_json({name: value}).values())))  # it cleans the name, too
        if isinstance(value, bool) or value is None:
            safe = safe.lower()
        safe = safe if len(safe) <= _FIELD_CHARS else f"{safe[: _FIELD_CHARS - 1]}…"
        said = f'{name}="{safe}"' if " " in safe else f"{name}={safe}"
        length += len(said) + 1
        if length > _FIELDS_CHARS:
            break
        shown.append(said)
    return FIELDS_MARK + " ".join(shown) if shown else ""


_FIELD_CHARS, _FIELDS_CHARS = 60, 160  # of one, and of all; chosen


def _scalars(fields: Json) -> Iterator[tuple[str, object]]:
    """Texts and numbers of an object and of the objects in it, in their order."""
    for name, value in fields.items():
        for key, held in (value if isinstance(value, Mapping) else {name: value}).items():
            if isinstance(held, int | float) or (isinstance(held, str) and held.strip()):
                yield str(key), held


# What loggers write of themselves, of the time and of the process (their documentation), and what is said already.
_OF_THE_LOGGER = late_pattern(
    r"(?i)(?:@?timestamp|time|ts|asctime|created|msecs|date(?:time)?|severity|level(?:name|no)?|lvl|log\.level|message|msg"
    r"|event|text|log|logger(?:_?name)?|name|module|func(?:name|tion)?|line(?:no|number)?|(?:path|file)name|file|caller"
    r"|source(?:location)?|target|pid|process(?:name|_?id)?|tid|thread(?:name|_?id)?|host(?:name)?|stream|v(?:ersion)?"
    r"|trace(?:_?id)?|span(?:_?id)?|insertid|logging\.googleapis\.com/.*|error|err|exception|exc_info|exc_text|stack(?:_?trace)?"
    r"|stack_info|error\.message|taskname|attrs|relativecreated|tag)"
)
