"""A plain text log as log entries: times found, prefixes of tools taken off, exit lines recognised.

Owns the common forms of timestamps and of the prefixes that `kubectl logs`, `docker compose logs`
and `stern` put before a program's own line, and the lines in which a shell, a container runtime or
Vertex says how a process ended. Must not judge what a line means: that is the diagnosis. Pure;
called by `documents`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from msgspec import Struct

from remediator.case import LogLine
from remediator.domain import Json, rfc3339
from remediator.domain.late_pattern import late_pattern

WORKER_TASK = "workerpool0-0"
"""The `task_name` that a plain log's lines are given: on Vertex, one container's output is one task's."""
_MOST_CHARACTERS_OF_A_LINE = (
    64_000  # chosen: a Cloud Logging entry holds 256 KiB, contracts' facts 6
)


class Exit(Struct, frozen=True):
    """How a process ended, by a line of the log: its exit status, and whether it was killed."""

    status: int
    line: str


# --- prefixes that tools put before a program's own line -----------------------------------------

_ISO = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})?\s?(?:Z|UTC|[+-]\d{2}:?\d{2})?"
_ANSI = late_pattern(r"\x1b\[[0-9;?]{0,20}[A-Za-z]")
_COMPOSE = late_pattern(r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,80}\s{0,40}\| ?")
_STERN = late_pattern(r"^\[?(?:pod/)?[a-z0-9][a-z0-9.-]{0,100}/[a-z0-9-]{1,63}\]? ")
_KUBERNETES_TIME = late_pattern(
    r"^(?P<time>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{9}(?:Z|[+-]\d{2}:\d{2})) ?"
)
_CRI = late_pattern(r"^(?:stdout|stderr) [FP] ")  # containerd's own log files

# --- times ---------------------------------------------------------------------------------------

_MONTHS = {
    name: number
    for number, name in enumerate(
        ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"), 1
    )
}
# Each form stands at the start of a line, after at most a bracket or a level. Sources: Python's
# logging, gunicorn, glog and absl (`I1129`), Spark and Hadoop (`26/11/29`), nginx (`2026/11/29`),
# Apache (`29/Nov/2026:…`), syslog (`Nov 29 …`), Nextflow (`Nov-29 …`), Java (`2026-11-29 …`).
_LEAD = (
    r"^[\[(<]?(?:(?:DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL|TRACE)[\]:]?\s{1,4}\[?)?"
)
_FORMS: tuple[re.Pattern[str], ...] = (
    late_pattern(
        _LEAD
        + r"(?P<y>\d{4})[-/](?P<mo>\d{2})[-/](?P<d>\d{2})[T _](?P<h>\d{2}):(?P<mi>\d{2}):(?P<s>\d{2})"
        r"(?:[.,](?P<f>\d{1,9}))?\s?(?P<zone>Z|UTC|GMT|[+-]\d{2}:?\d{2})?"
    ),
    late_pattern(
        r"^[IWEFCD](?P<mo>\d{2})(?P<d>\d{2}) (?P<h>\d{2}):(?P<mi>\d{2}):(?P<s>\d{2})\.(?P<f>\d{1,9})"
    ),
    late_pattern(
        r"^(?P<y2>\d{2})/(?P<mo>\d{2})/(?P<d>\d{2}) (?P<h>\d{2}):(?P<mi>\d{2}):(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?"
    ),
    late_pattern(
        r"^(?:\S{1,60} - \S{1,60} )?\[(?P<d>\d{2})/(?P<mon>[A-Z][a-z]{2})/(?P<y>\d{4}):(?P<h>\d{2}):(?P<mi>\d{2})"
        r":(?P<s>\d{2}) (?P<zone>[+-]\d{4})\]"
    ),
    late_pattern(
        _LEAD
        + r"(?:[A-Z][a-z]{2},? )?(?P<mon>[A-Z][a-z]{2})[ -]{1,2}(?P<d>\d{1,2}) (?P<h>\d{2}):(?P<mi>\d{2})"
        r":(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?(?: (?:[A-Z]{2,5} )?(?P<y>\d{4}))?"
    ),
)

_LEVEL = late_pattern(
    r"(?:^|[\s\[|(:,-])(?P<level>DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|SEVERE|PANIC)(?=$|[\s\]|):,-])"
)
_GLOG_LEVEL = late_pattern(r"^(?P<level>[IWEF])\d{4} \d{2}:\d{2}:\d{2}")
_SEVERITIES: Mapping[str, str] = {
    "DEBUG": "DEBUG",
    "INFO": "INFO",
    "NOTICE": "NOTICE",
    "WARN": "WARNING",
    "WARNING": "WARNING",
    "ERROR": "ERROR",
    "SEVERE": "ERROR",
    "CRITICAL": "CRITICAL",
    "FATAL": "CRITICAL",
    "PANIC": "CRITICAL",
    "I": "INFO",
    "W": "WARNING",
    "E": "ERROR",
    "F": "CRITICAL",
}
_LEVEL_WITHIN = 120  # chosen: a level stands near a line's start, further on it is prose


def read_lines(text: str, *, first_number: int = 1) -> list[Json]:
    """Each line of a plain log as a LogEntry in REST shape; lines without a time bear the last one.

    A line that is a JSON object, as structured loggers write them, becomes a `jsonPayload`. Empty
    lines are left out; `insertId` is the number of the line, so that evidence can be found again.
    A time without a zone is taken for UTC; one without a year for the year of the first that has
    one, else of the epoch's last known (see `_year`).
    """
    rows = [_Row.parse(raw, number) for number, raw in enumerate(text.split("\n"), first_number)]
    rows = [row for row in rows if row.text.strip()]
    year = _year(rows)
    found: list[Json] = []
    moment: datetime | None = None
    for row in rows:
        moment = row.moment(year) or moment
        found.append(_entry(row, moment))
    return _without_leading_gap(found)


def last_exit(texts: Sequence[str]) -> Exit | None:
    """The last line that says how the process ended with a status other than 0; None without one."""
    for text in reversed(texts):
        for form, status in _EXITS:
            match = form.search(text)
            if match is None:
                continue
            number = int(match["status"]) if status is None else status
            if _SIGNAL_LINE.search(text) and status is None:
                number = _SIGNALS + number
            if number:
                return Exit(number if number > 0 else _SIGNALS - number, text.strip())
    return None


def ended_well(texts: Sequence[str]) -> bool:
    """Whether the last line says that the process ended with status 0, and none says another status."""
    last = next((text for text in reversed(texts) if text.strip()), "")
    return bool(_WELL.fullmatch(last.strip())) and last_exit(texts) is None


_WELL = late_pattern(
    r"(?:the )?(?:process |program |container |job |training |command )?(?:has )?(?:finished |ended )?"
    r"(?:with )?(?:exit(?:ed)?|return(?:ed)?) ?(?:with )?(?:exit )?(?:code|status)?[:=]? ?(?:of )?0\.?",
    re.IGNORECASE,
)
_SIGNALS = (
    128  # what a shell adds to the number of a signal; Python's subprocess negates it instead
)


# How shells, container runtimes, schedulers and Vertex tell an exit; None: the status is captured.
_EXITS: tuple[tuple[re.Pattern[str], int | None], ...] = tuple(
    (late_pattern(pattern, re.IGNORECASE), status)
    for pattern, status in (
        (r"exited with a non-zero status of (?P<status>\d{1,3})", None),
        (
            r"\bexit(?:ed|s|ing)? (?:with )?(?:a )?(?:non-?zero )?(?:exit )?(?:code|status|with)\b:? ?(?:of )?(?P<status>-?\d{1,3})\b(?! ?%)(?!,? (?:(?:and|or) )?\d)(?=$|[\s.,;)\]:'\"])",
            None,
        ),
        (
            r"\b(?:exit|return|status)[ _-]?(?:code|status)\b\s?(?:was|is|=|:)?\s{0,3}(?P<status>-?\d{1,3})\b(?!,? (?:(?:and|or) )?\d)(?=$|[\s.,;)\]])",
            None,
        ),
        (r"returned non-zero exit status (?P<status>\d{1,3})", None),
        (r"\bterminated by signal (?P<status>\d{1,2})", None),
        (r"\bOOMKilled\b", 137),
        (r"^(?:.{0,80}:\s{1,8})?(?:\d{1,7}\s)?Killed(?:$|\s{2,})", 137),
        (r"\bSegmentation fault\b", 139),
        (r"^(?:.{0,80}\s)?Aborted(?: \(core dumped\))?\s*(?:$|\s{2,})", 134),
        (r"\bTerminated$", 143),
    )
)
_SIGNAL_LINE = late_pattern(r"terminated by signal", re.IGNORECASE)

_DEATH = (
    r"(?i)\b[a-z]\w*(?:Error|Exception|Interrupt|Fault|Denied|Exceeded|Refused|NotFound|Unavailable|Timeout|Failed|Failure|Exhausted|Forbidden)\b|\b(?:error|exception|fail(?:ed|s|ure)?|fatal|killed"
    r"|exceeded|denied|abort(?:ed|ing)?|panic(?:ked)?|segfault|segmentation fault|signal \d+|core dumped"
    r"|traceback|out of memory|oom|timed? ?out|deadline|unavailable|not found|notfound|no such"
    r"|refused|insufficient|resource_exhausted|quota|preempt(?:ed|ion)|unable to|cannot|could not"
    r"|couldn't|invalid|unauthorized|forbidden|exit(?:ed)? (?:code|status|with)|crash(?:ed)?|died"
    r"|non-?zero|never became ready|stockout|no space left"
    r"|severe|end[- ]of[- ]file|premature(?:ly)?|truncated|corrupt(?:ed|ion)?|malformed|unexpected|missing|unrecogni[sz]ed|unsupported"
    # A refusal by its canonical code alone (google.rpc.Code), as services and their clients spell it.
    r"|invalid_?argument|failed_?precondition|permission_?denied|already_?exists|out_?of_?range|unauthenticated|unimplemented"
    r"|mismatch(?:ed)?|undefined|incompatible|violat(?:ed|es|ion)|rejected|expired|does not exist|not allowed|not permitted)\b|non-ok result|\b50[0-9]\b"
)
_NOTHING_WRONG = late_pattern(
    r"\b(?:0|no|zero|without) (?:\w+ )?(?:errors?|failures?|failed|exceptions?|warnings?)\b"
    r"|(?<![a-z])(?:errors?|fail(?:ed|ures?)|exceptions?|invalid|missing|rejected|expired|killed|corrupt(?:ed)?)[\"']?\s?[=:]\s?0\b"
    r"|(?<![a-z])(?:errors?|failures?)(?: rate)?[\"']?\s?[=:]?\s{0,3}\d{1,9}\.\d{1,20}(?:e[-+]?\d{1,3})?%?(?=$|[\s,;|)\]}])"
    r"|\b(?:error|failure)s? rate\b",
    re.IGNORECASE,
)
"""A count of nothing, and an error as a metric is named: `failed=0`, `val_error=0.12`, `error rate 3%`."""
_IN_ORDER = late_pattern(
    r"^.{0,60}\b(?:TRACE|DEBUG|INFO|NOTICE)\b"
    r"|(?i:\b(?:done|finished|complete[d]?|succe(?:ss|eded)\w{0,4}|saved|written|uploaded|all good|bye)\b)"
)
_WARNED = late_pattern(r"^.{0,80}?(?:\bWARN(?:ING)?\b|\b[A-Z]\w{1,60}Warning:|\bwarning:)|^W\d{4} ")
_LAST_LINES = 60  # chosen: a death and its traceback stand at the end of a log


def has_sign_of_death(texts: Sequence[str]) -> bool:
    """Whether the end of the log complains of anything at all: an exception, an exit, a refusal."""
    return any(_is_complaint(text) for text in texts[-_LAST_LINES:])


def ends_in_failure(texts: Sequence[str]) -> bool:
    """Whether the end of the log complains, and its last line does not say that all is in order.

    A warning above the last line is none of a program's end.
    """
    last = next((text for text in reversed(texts) if text.strip()), "")
    if _is_complaint(last):
        return True
    if ends_in_order(texts):
        return False
    return any(not _WARNED.search(text) and _is_complaint(text) for text in texts[-_LAST_LINES:])


def was_stopped(texts: Sequence[str]) -> bool:
    """Whether the log's last lines say that the program was told to end from outside: SIGTERM, or a job cancelled."""
    said = [text for text in texts[-_LAST_LINES:] if text.strip()]
    return any(_STOPPED.search(text) for text in said[-_STOP_LINES:])


_STOP_LINES = 6  # chosen: what a program says as it heeds the signal follows
_STOPPED = late_pattern(
    r"\bSIGTERM\b|\bsignal:? (?:15|TERM)\b|^(?:.{0,60}\s)?Terminated$"
    r"|\bjob (?:is |was |has been )?(?:being )?cancell?ed\b|\bcancell?ing (?:the )?job\b",
    re.IGNORECASE,
)


def ends_in_order(texts: Sequence[str]) -> bool:
    """Whether the last line says that all is in order, by its level or its words."""
    last = next((text for text in reversed(texts) if text.strip()), "")
    return _IN_ORDER.search(last) is not None


def _is_complaint(text: str) -> bool:
    said = _NOTHING_WRONG.sub("", text)
    return _death().search(said.encode(errors="replace")) is not None


@functools.cache
def _death() -> Any:
    """`_DEATH` as RE2 reads it, in one pass: a line may hold 64,000 characters of any kind."""
    import re2  # noqa: PLC0415  # most commands read no log, and need not load it

    return re2.compile(_DEATH.encode())


class _Row(Struct, frozen=True):
    number: int
    text: str
    outer: str
    payload: Json | None

    @classmethod
    def parse(cls, raw: str, number: int) -> _Row:
        text = _ANSI.sub("", raw)
        if "\r" in text:  # a bar of progress writes over itself: its last state is what was seen
            text = next((part for part in reversed(text.split("\r")) if part.strip()), "")
        text = text[:_MOST_CHARACTERS_OF_A_LINE]
        for prefix in (_COMPOSE, _STERN):
            match = prefix.match(text)
            if match is not None:
                text = text[match.end() :]
                break
        outer = ""
        match = _KUBERNETES_TIME.match(text)
        if match is not None:
            outer, text = match["time"], text[match.end() :]
            text = _CRI.sub("", text)
        return cls(number, text, outer, _json_object(text))

    def moment(self, year: int) -> datetime | None:
        if self.outer:
            return _iso(self.outer)
        if self.payload is not None:
            return _structured_time(self.payload)
        return _time_of(self.text, year)


def _entry(row: _Row, moment: datetime | None) -> Json:
    body: dict[str, Any] = {
        "insertId": f"line {row.number}",
        "resource": {"type": "ml_job", "labels": {"task_name": WORKER_TASK}},
        "severity": _severity(row),
    }
    if moment is not None:
        body["timestamp"] = rfc3339(moment)
    if row.payload is not None:
        inner = (row.payload.get(key) for key in LINE_FIELDS)
        places = (row.payload, *(held for held in inner if isinstance(held, Mapping)))
        message = next(
            (
                place[key]
                for place in places
                for key in _MESSAGE_KEYS
                if isinstance(place.get(key), str)
            ),
            None,
        )
        body["jsonPayload"] = {**row.payload, **({"message": message} if message else {})}
    else:
        body["textPayload"] = row.text
    return body


_MESSAGE_KEYS = ("message", "msg", "event", "text", "log")
LINE_MESSAGE_KEYS = frozenset(_MESSAGE_KEYS)
_TIME_KEYS = ("timestamp", "time", "ts", "@timestamp", "asctime")
_LEVEL_KEYS = ("severity", "level", "levelname", "lvl")
LINE_FIELDS = ("fields", "data")
"""Below which some loggers put the message (`fields`: Rust's tracing)."""
LINE_ATTRIBUTES = frozenset({*_TIME_KEYS, *_LEVEL_KEYS, "stream"})
"""What stands beside the message in a program's line of JSON; `stream`: Docker's json-file driver."""
_MILLISECONDS_FROM = 10**11  # an epoch beyond the year 5138 is one in milliseconds


def _json_object(text: str) -> Json | None:
    stripped = text.strip()
    if not (stripped.startswith("{") and stripped.endswith("}")):
        return None
    try:
        found = json.loads(stripped, strict=False)  # colours as they are
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and "remediatorTelemetry" not in found else None


def _structured_time(payload: Json) -> datetime | None:
    for key in _TIME_KEYS:
        value = payload.get(key)
        if isinstance(value, str):
            found = _iso(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = _from_epoch(value)
        else:
            continue
        if found is not None:
            return found
    return None


def _from_epoch(seconds: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(
            seconds / 1000 if seconds > _MILLISECONDS_FROM else seconds, UTC
        )
    except (OverflowError, OSError, ValueError):
        return None


def _severity(row: _Row) -> str:
    if row.payload is not None:
        named = next((row.payload[key] for key in _LEVEL_KEYS if key in row.payload), "")
        return _SEVERITIES.get(str(named).upper(), "DEFAULT")
    match = _GLOG_LEVEL.match(row.text) or _LEVEL.search(row.text[:_LEVEL_WITHIN])
    return _SEVERITIES[match["level"]] if match else "DEFAULT"


def _time_of(text: str, year: int) -> datetime | None:
    for form in _FORMS:
        match = form.match(text)
        if match is not None:
            return _moment(match.groupdict(), year)
    return None


def _moment(parts: Mapping[str, str | None], year: int) -> datetime | None:
    month = (
        int(parts["mo"] or 0)
        if parts.get("mo")
        else _MONTHS.get((parts.get("mon") or "").lower(), 0)
    )
    stated = parts.get("y") or (f"20{parts['y2']}" if parts.get("y2") else None)
    micro = int(((parts.get("f") or "0") + "000000")[:6])
    try:
        return datetime(
            int(stated or year),
            month,
            int(parts["d"] or 0),
            int(parts["h"] or 0),
            int(parts["mi"] or 0),
            int(parts["s"] or 0),
            micro,
            _zone(parts.get("zone")),
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(text: str | None) -> timezone:
    if not text or text in {"Z", "UTC", "GMT"}:
        return UTC
    digits = text[1:].replace(":", "")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    try:
        return timezone(-offset if text[0] == "-" else offset)
    except ValueError:
        return UTC


def _iso(text: str) -> datetime | None:
    match = _FORMS[0].match(text.strip())
    return _moment(match.groupdict(), 0) if match else None


_NO_YEAR = 2000  # of a log whose lines name none: only differences of times matter then


def _year(rows: Sequence[_Row]) -> int:
    """The year of the first line that names one."""
    for row in rows:
        found = row.moment(_NO_YEAR)
        if found is not None and found.year != _NO_YEAR:
            return found.year
    return _NO_YEAR


def _without_leading_gap(entries: list[Json]) -> list[Json]:
    """Lines before the first time bear that first time: they were written before it, or then."""
    first = next((entry["timestamp"] for entry in entries if "timestamp" in entry), None)
    if first is None:
        return entries
    return [entry if "timestamp" in entry else {**entry, "timestamp": first} for entry in entries]


def iter_texts(entries: Sequence[Json]) -> Iterator[str]:
    """What a person reads of each entry."""
    for entry in entries:
        text = entry.get("textPayload")
        payload = entry.get("jsonPayload")
        if isinstance(text, str) and text[:1] != "{":
            yield text
        elif isinstance(text, str) or (
            isinstance(payload, Mapping) and isinstance(payload.get("message"), str)
        ):
            yield LogLine.parse(entry).text
        elif isinstance(payload, Mapping):
            yield ""
