"""How long a line of a log says that something took, and how much came in: in its words, or in its fields.

Owns the patterns of durations. A structured line may tell several; the longest of them is what it was about, and the
field's name says whether that was a wait. Pure; called by `timeline` and by
what reads a log's lines as texts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from remediator.case import LogLine
from remediator.diagnosis.lazy_patterns import Linear
from remediator.domain.late_pattern import late_pattern

TEXT = 400  # characters of a line that are read for times; chosen
_UNITS = {
    "ms": 0.001,
    "mi": 60.0,
    "m": 60.0,
    "s": 1.0,
    "h": 3600.0,
}  # seconds, by definition; documented: the SI brochure
_DURATION = Linear(
    r"(?:took|in|after|for|elapsed|duration|time|spent)\W{1,3}(?:(?P<hours>\d{1,4}) ?h(?:ours?)?,? ?)?(?P<minutes>\d{1,4}) ?m(?:in(?:utes?)?)?,? ?(?P<rest>\d{1,2}) ?s\b"
    r"|(?:(?:took|in|after|for|elapsed|duration|time|waited|spent|seconds|secs?)\W{0,3}(?:of |was )?)"
    r"(?P<number>\d{1,7}(?:\.\d{1,6})?) ?(?P<unit>ms|milliseconds?|s|secs?|seconds?|m|min|minutes?|h|hours?)\b"
    r"|\((?P<bare>\d{1,7}(?:\.\d{1,6})?) ?(?P<bare_unit>ms|s|sec|seconds?|min|minutes?)\)"
)
# A number of seconds with which a line ends, or that a comma follows: `pair 13/50 54.0s`, `shard 2: 195 s, 98k records`.
_AT_THE_END = Linear(
    r"[\s:=,(](?P<number>\d{1,7}(?:\.\d{1,6})?) ?(?P<unit>ms|s|secs?|seconds?|min|minutes?)(?:[,;)]|\s+(?:on|each|total|wall|elapsed)\b|\s*$)"
)
# One line's account of several parts: `featurize=174.4s fit=15.9s`, `preprocess: 0.4s boxes: 148.0s`, `compute_us=51`.
_PART = late_pattern(
    r"(?<![\w.])(?P<name>[A-Za-z_][\w./-]{1,50})\s?[=:]\s?(?P<number>\d{1,9}(?:\.\d{1,6})?)\s?(?P<unit>us|ms|secs?|seconds?|s|min)?(?=[\s,;|)\]]|$)"
)
_SUFFIX = late_pattern(r"_(?P<unit>us|ms|s|sec|secs|seconds)(?:_(?:avg|mean|total|sum))?$")
# Words before parts that give no unit: seconds, as far as they are decimals.
_TIMES = Linear(r"\b(?:stages?|timings?|times?|profile|breakdown|phases?|spans|spent|durations?)\b")
_FEWEST_PARTS = 2  # with a unit; one more without; chosen
# A number with a unit of time: without one there is no duration. Cheaper to ask than the patterns above.
_UNIT = late_pattern(
    r"\d ?(?:ms|milliseconds?|s|secs?|seconds?|m|min|minutes?|h|hours?)\b", re.IGNORECASE
)
_AHEAD = Linear(
    r"\b(?:retry(?:ing)?|back(?:ing)?[ -]?off|sleep(?:ing)?|next (?:try|attempt)|try(?:ing)? again|will)\b",
    needs="retry back sleep next try will",
)
# What a number of seconds at a line's end is, where it is no time that was spent.
_NO_SPAN = Linear(
    r"\b(?:eta|time-?out|every|interval|within|limit|deadline|ttl|expires?|age|window|remaining|left|keep-?alive)\b",
    needs="eta time every interval within limit deadline ttl expire age window remaining left keep",
)
_MOVED = late_pattern(
    r"\b(?P<number>\d[\d,]{0,12}(?:\.\d{1,6})?) ?(?P<unit>[kmgt]?i?b|bytes)\b", re.IGNORECASE
)
_BYTES = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}  # by definition; documented: the SI brochure
# Fields of a structured line: how long something took, of which some are waits, and whom it waited for.
_SPAN_FIELD = late_pattern(
    r"^(?:\w{1,40}_)?(?:duration|elapsed|took|latency|wait(?:ed)?)$"
    r"|^(?:\w{1,40}_|duration|elapsed|took|time|latency|wait(?:ed)?)(?P<unit>ms|millis|milliseconds|s|sec|secs|seconds)$",
    re.IGNORECASE,
)
_NO_SPAN_FIELD = late_pattern(
    r"(?:^|_)(?:total|uptime|stage_elapsed|since|window|interval|time_?out|ttl|max|min|p\d\d|eta|remaining|age|pause|ping|rtt|heartbeat)(?:_|$)|^(?:ts|t|s|ms|time_ms|timestamp|class|status|process|address)$",
    re.IGNORECASE,
)
_WAIT_FIELD = late_pattern(
    r"wait|latency|fetch|download|lookup|round_?trip|remote|network|query|http|response",
    re.IGNORECASE,
)
_MIDDLE_FIELD = late_pattern(
    r"^(?:p50|median|avg|mean)(?:_?(?:latency|ms|s|seconds))*$", re.IGNORECASE
)
_HOST_FIELD = late_pattern(
    r"^(?:source|host|hostname|url|uri|endpoint|server|service|upstream|remote|peer|target|store|backend)$",
    re.IGNORECASE,
)
_NAME_FIELD = late_pattern(
    r"^(?:stage|section|phase|step|event|evt|op|operation|span|task|func|function|name)$",
    re.IGNORECASE,
)
_NO_NAME = late_pattern(
    r"^(?:|(?:span|stage|step|task|section|phase)?[._ -]?(?:end(?:ed)?|start(?:ed)?|stop(?:ped)?|finish(?:ed)?|done|complete[d]?|log|metrics?|timing|span|event))$",
    re.IGNORECASE,
)
_ISO = late_pattern(
    r"^PT(?:(?P<h>\d{1,3})H)?(?:(?P<m>\d{1,3})M)?(?:(?P<s>\d{1,7}(?:\.\d{1,9})?)S)?$"
)
_WRITTEN = late_pattern(r"^(?P<number>\d{1,7}(?:\.\d{1,9})?) ?(?P<unit>ms|s|sec|seconds|min|m)$")
_HOST_LENGTH = 80  # characters of a host that are told; chosen
_NAME_LENGTH = 60  # characters of a section's name in a field; chosen


class FieldSpan(Struct, frozen=True):
    """The longest time that the fields of a line tell, in seconds; `waits`: by the field's name it was a wait."""

    seconds: float
    key: str
    waits: bool


def duration_in(text: str) -> float | None:
    """The last duration that a line tells, in seconds; one that lies ahead is none."""
    found, text = None, text[:TEXT]
    if _UNIT.search(text) is None or _AHEAD.is_in(text):
        return None
    for match in _DURATION.finditer(text):
        # In their order in the pattern: by name, RE2 makes a table of the names each time.
        hours, minutes, rest, number, unit, bare, bare_unit = match.groups()
        if rest:
            found = float(hours or 0) * 3600 + float(minutes) * 60 + float(rest)
            continue
        found = _seconds(number or bare, unit or bare_unit)
    if found is None and not _NO_SPAN.is_in(text):
        match = _AT_THE_END.search(text)
        if match is not None:
            found = _seconds(match["number"], match["unit"])
    return found


def parts_in(text: str) -> FieldSpan | None:
    """The longest of several parts of a time that one line tells, by name; None where it tells no such account."""
    text = text[:TEXT]
    found = [*_PART.finditer(text)] if "=" in text or ": " in text else []
    if len(found) < _FEWEST_PARTS:
        return None
    spans: list[tuple[float, str]] = []
    bare: list[tuple[float, str]] = []
    for one in found:
        suffix = _SUFFIX.search(one["name"])
        unit = one["unit"] or (suffix["unit"] if suffix else "")
        if unit and not _NO_SPAN_FIELD.search(one["name"]):
            spans.append((_seconds(one["number"], unit), one["name"]))
        elif "." in one["number"]:
            bare.append((float(one["number"]), one["name"]))
    if len(spans) < _FEWEST_PARTS:
        spans = bare if len(bare) > _FEWEST_PARTS and _TIMES.is_in(text) else []
    if not spans:
        return None
    seconds, name = max(spans)
    return FieldSpan(seconds, name, _WAIT_FIELD.search(name) is not None)


def _seconds(number: str, unit: str) -> float:
    unit = unit.lower()
    if unit == "us":
        return float(number) / 1e6
    scale = _UNITS.get(unit[:2]) or _UNITS.get(unit[:1]) or 1.0
    return float(number) * (_UNITS["ms"] if unit.startswith("mil") else scale)


def span_in_fields(fields: Mapping[str, object]) -> FieldSpan | None:
    """The longest time that a structured line's fields say something took; of objects, one level deep."""
    spans = [
        FieldSpan(seconds, key, _WAIT_FIELD.search(key) is not None)
        for key, value in _flat(fields)
        if (seconds := _span(key, value)) is not None
    ]
    if not spans and host_in_fields(fields):
        # A summary of calls to a host tells the usual one.
        spans = [
            FieldSpan(seconds, key, waits=True)
            for key, value in _flat(fields)
            if _MIDDLE_FIELD.match(key) and (seconds := _number(value, "s")) is not None
        ]
    return max(spans, key=lambda one: one.seconds, default=None)


def host_in_fields(fields: Mapping[str, object]) -> str:
    """The host that a structured line names; empty where it names none."""
    named = next((str(one) for name, one in fields.items() if _HOST_FIELD.match(name)), "")
    return named.rpartition("://")[2].partition("/")[0][:_HOST_LENGTH]


def name_in_fields(fields: Mapping[str, object]) -> str:
    """What a structured line calls the section that it is about; empty where it says nothing of it."""
    names = {
        key.lower(): one
        for key, one in fields.items()
        if _NAME_FIELD.match(key) and isinstance(one, str) and not _NO_NAME.match(one)
    }
    # A logger's own name stands in `name` at times, and an event that is anything in `event`.
    last = [key for key in ("event", "evt", "name") if key in names]
    first = next((name for key, name in names.items() if key not in last), "")
    return (first or next((names[key] for key in last), ""))[:_NAME_LENGTH]


def span_of(line: LogLine) -> float | None:
    """How long a line says that what it is about took, in seconds, by its words or else by its fields."""
    part = parts_in(line.text)
    if part is not None:
        return part.seconds
    seconds = duration_in(line.text)
    if seconds is not None:
        return seconds
    span = span_in_fields(line.fields)
    return span.seconds if span is not None else None


def bytes_moved(text: str) -> float | None:
    """The bytes that a line tells, the last that it names; None where it names none."""
    found = None
    for match in _MOVED.finditer(text[:TEXT]):
        scale = _BYTES.get(match["unit"][:1].lower(), 1.0)
        found = float(match["number"].replace(",", "")) * scale
    return found


def _flat(fields: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for key, value in fields.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}_{inner}", one) for inner, one in value.items())
        else:
            yield key, value


def _span(key: str, value: object) -> float | None:
    found = _SPAN_FIELD.match(key)
    if found is None or _NO_SPAN_FIELD.search(key):
        return None
    return _number(value, found["unit"] or "s")


def _number(value: object, unit: str) -> float | None:
    if isinstance(value, str):
        written = _WRITTEN.match(value)
        if written is not None:
            return _seconds(written["number"], written["unit"])
        iso = _ISO.match(value)
        if iso is None or not any(iso.groups()):
            return None
        return float(iso["h"] or 0) * 3600 + float(iso["m"] or 0) * 60 + float(iso["s"] or 0)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value * (_UNITS["ms"] if unit.lower().startswith("m") else 1.0)
