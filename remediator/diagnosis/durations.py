"""How long a line of a log says that something took, and how much came in: in its words, or in its fields.

Owns the patterns of durations. A structured line may tell several; the longest of them is what it was about, and the
field's name says whether that was a wait. Pure; called by `timeline` and by
what reads a log's lines as texts.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence

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
    r"[\s:=,(](?P<number>\d{1,7}(?:\.\d{1,6})?) ?(?P<unit>ms|s|secs?|seconds?|min|minutes?)(?:[,;)]|\s*\(|\s+(?:on|each|total|wall|elapsed)\b|\s*$)"
)
# One line's account of several parts: `featurize=174.4s fit=15.9s`, `preprocess: 0.4s boxes: 148.0s`, `compute_us=51`.
_PART = late_pattern(
    r"(?<![\w.])(?P<name>[A-Za-z_][\w./-]{0,50}(?:\([\w.]{1,40}\))?)(?:\s?[=:]\s?|\s(?:took\s)?(?=\.?\d[\d.]*\s?(?:us|ms|secs?|seconds?|s|min)\b))"
    r"(?P<number>\d{1,9}(?:\.\d{1,6})?|\.\d{1,6})\s?(?P<unit>us|ms|secs?|seconds?|s|min)?(?=[\s,;|)\]]|$)"
)
# A row of a table of parts: `parse_json   512.3 s  83.1%`, its percentage before its time or after it.
_ROW = late_pattern(
    r"^\W{0,4}(?P<name>[A-Za-z_][\w./:()-]{0,50}(?: [A-Za-z_][\w./:()-]{0,30}){0,3})[\s:|=]{1,40}(?:(?P<first>\d{1,3}(?:\.\d{1,3})?) ?%[\s|(,]{1,20})?"
    r"(?P<number>\d{1,9}(?:\.\d{1,6})?) ?(?P<unit>ms|secs?|seconds?|s|min|h)\b(?:[\s|(,]{1,20}(?P<last>\d{1,3}(?:\.\d{1,3})?) ?%\W{0,3})?$"
)
# Words before a number that name no part.
_NO_PART = frozenset(
    {
        "a", "after", "at", "dans", "de", "desde", "durante", "en", "für", "in", "nach", "por", "pour", "seit", "von", "average", "avg", "by", "each", "elapsed", "every", "for", "last", "max", "mean", "median", "min",
        "of", "over", "per", "since", "so", "spent", "than", "real", "sys", "user", "the", "time", "to", "took", "total", "until", "wall", "was", "within",
    }
)  # fmt: skip
# `time (ms) | fwd: 2109 | bwd: 5643`: a unit for all.
_UNIT_OF_ALL = late_pattern(
    r"\b(?:times?|timings?|spent|durations?)\b ?[(\[](?P<unit>us|ms|s|sec|secs|seconds)[)\]]",
    re.IGNORECASE,
)
# What every account holds: a number with a unit, a key with one, or a word before all. Asked first.
_MAY_TELL = Linear(
    r"\d ?(?:us|ms|s|secs?|seconds?|min)\b|_(?:us|ms|s|secs?|seconds)(?:_\w{3,5})?\s?[=:]|[(\[](?:us|ms|s|secs?|seconds)[)\]]"
    r"|\b(?:comp|compute|calc|wait|comm|io|fwd|forward|data|load|sync|dns|name_?lookup|lookup|connect|tls|ssl|handshake|ttfb|redis|db|sql|query|rpc|http|fetch|queue|read)=\d|\b(?:stages?|timings?|times?|profile|breakdown|phases?|spans|spent|durations?)\b"
)
_SUFFIX = late_pattern(r"_(?P<unit>us|ms|s|sec|secs|seconds)(?:_(?:avg|mean|total|sum))?$")
# Words before parts that give no unit: seconds, as far as they are decimals.
_TIMES = Linear(r"\b(?:stages?|timings?|times?|profile|breakdown|phases?|spans|spent|durations?)\b")
# Parts that are times by their names, unit or none.
_TIME_PART = late_pattern(
    r"^(?:comp(?:ute)?|calc|solve|wait(?:ed)?|comm|io|fwd|forward|bwd|backward|data(?:_?load)?|load|sync|allreduce|idle|fetch|encode|decode|preprocess|postprocess|infer(?:ence)?|dns|name_?lookup|resolve|lookup|connect|tcp|tls|ssl|handshake|(?:pre|start)_?transfer|ttfb|first_?byte|server|redis|db|sql|query|rpc|http|queue|read|write|parse|total|wall|elapsed)(?:_?time)?$",
    re.IGNORECASE,
)
_FEWEST_PARTS = 2  # with a unit; one more without; chosen
# A number with a unit of time: without one there is no duration. Cheaper to ask than the patterns above.
_UNIT = late_pattern(
    r"\d ?(?:ms|milliseconds?|s|secs?|seconds?|m|min|minutes?|h|hours?)\b", re.IGNORECASE
)
_AHEAD = Linear(
    r"\b(?:retry(?:ing)?|back(?:ing)?[ -]?off|sleep(?:ing)?|next (?:try|attempt)|try(?:ing)? again|again in|will)\b",
    needs="retry back sleep next try again will",
)
# What a number of seconds at a line's end is, where it is no time that was spent.
_NO_SPAN = Linear(
    r"\b(?:eta|time-?out|every|interval|within|limit|deadline|ttl|expires?|age|window|remaining|left|keep-?alive|reset)\b",
    needs="eta time every interval within limit deadline ttl expire age window remaining left keep reset",
)
_MOVED = late_pattern(
    r"\b(?P<number>\d[\d,]{0,12}(?:\.\d{1,6})?) ?(?P<unit>[kmgt]?i?b|bytes)\b", re.IGNORECASE
)
_BYTES = {"k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}  # by definition; documented: the SI brochure
# Fields of a structured line: how long something took, of which some are waits, and whom it waited for.
_SPAN_FIELD = late_pattern(
    r"^(?:\w{1,40}_)?(?:dur|duration|elapsed|took|latency|wait(?:ed)?)$"
    r"|^(?:\w{1,40}_|duration|elapsed|took|time|latency|wait(?:ed)?)(?P<unit>ms|millis|milliseconds|s|sec|secs|seconds)$",
    re.IGNORECASE,
)
# The same as Java and JavaScript write it.
_CAMEL_FIELD = late_pattern(
    r"^[a-z][A-Za-z0-9]{0,40}(?P<unit>Millis|Ms|Millisec(?:ond)?s|Secs?|Seconds)$"
)
_NO_SPAN_FIELD = late_pattern(
    r"(?:^|_)(?:total|uptime|stage_elapsed|since|window|interval|time_?out|ttl|max|min|p\d\d|eta|remaining|age|pause|delay|ping|rtt|heartbeat)(?:_|$)|^(?:ts|t|s|ms|time_ms|timestamp|class|status|process|address)$",
    re.IGNORECASE,
)
_WAIT_FIELD = late_pattern(
    r"wait|latency|ttfb|first_?byte|resolv|resolution|(?:^|[\W_])(?:dns|net)(?:$|[\W_])|connect|handshake|\btls|fetch|download|lookup|round_?trip|remote|network|query|http|response|transfer|recv|receiv|queue|backend|upstream|blocked_on"
    r"|(?:^|[\W_])(?:rpc|grpc|api|rest|s3|gcs|redis|memcached?|mget|hget|kafka|pubsub|mongo(?:db)?|cassandra|dynamo(?:db)?|bigtable|spanner|firestore|postgres(?:ql)?|mysql|jdbc|odbc|snowflake|bigquery|bq|elastic(?:search)?|feast|vault|ldap|ftp|sftp|nfs|db|database|sql)(?:$|[\W_])"
    r"|(?:^|[\W_])(?:warten|attente|espera|abruf)(?:$|[\W_])",
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
_LONGEST = 1e12  # of what a field tells, in its unit: beyond it nothing took so long; chosen
_HOST_LENGTH = 80  # characters of a host that are told; chosen
_NAME_LENGTH = 60  # characters of a section's name in a field; chosen


_GENERIC = late_pattern(
    r"^(?:dur|duration|elapsed|took|time|latency|total|span|spent|seconds|secs|ms|wall)(?:_?(?:us|ms|millis|s|sec|secs|seconds))?$",
    re.IGNORECASE,
)
_MAY_WAIT = late_pattern(
    r"read|load|get|recv|receive|scan|open|list|pull|copy|stage|input|io|store|les(?:en|e)\b|lecture|lectura",
    re.IGNORECASE,
)


class FieldSpan(Struct, frozen=True):
    """The longest time that the fields of a line tell, or its words; `waits`: by its name it was a wait.

    `share` is its part of all times that the line tells, 0 to 1. A `key` that is `generic` names nothing: the line's
    own words do. A key that `may_wait` (to read, to load) is a wait where the line names another host.
    """

    seconds: float
    key: str
    waits: bool
    share: float = 1.0

    @property
    def is_generic(self) -> bool:
        return _GENERIC.match(self.key) is not None

    @property
    def may_wait(self) -> bool:
        return _MAY_WAIT.search(self.key) is not None


# A line is asked by several rooms: sections, slow sources, what went on after a complaint.
_REMEMBERED = 8_192  # lines; more than the timeline reads of one log; chosen


@functools.lru_cache(_REMEMBERED)
def duration_in(text: str) -> float | None:
    """The longest duration that a line tells, in seconds; one that lies ahead is none."""
    found: float | None
    found, text = None, text[:TEXT]
    if _UNIT.search(text) is None or _AHEAD.is_in(text):
        return None
    for match in _DURATION.finditer(text):
        # In their order in the pattern: by name, RE2 makes a table of the names each time.
        hours, minutes, rest, number, unit, bare, bare_unit = match.groups()
        if rest:
            seconds = float(hours or 0) * 3600 + float(minutes) * 60 + float(rest)
        else:
            seconds = _seconds(number or bare, unit or bare_unit)
        found = max(found or 0.0, seconds)
    if found is None and not _NO_SPAN.is_in(text):
        match = _AT_THE_END.search(text)
        if match is not None:
            found = _seconds(match["number"], match["unit"])
    return found


@functools.lru_cache(_REMEMBERED)
def parts_in(text: str) -> FieldSpan | None:
    """The longest of several parts of a time that one line tells, by name; None where it tells no such account."""
    text = text[:TEXT]
    if not (_MAY_TELL.is_in(text) or ("%" in text and _OF_TIME.is_in(text))):
        return None
    if "%" in text and (row := _row(text) or _of_shares(text)) is not None:
        return row
    found = [
        one
        for one in _PART.finditer(text)
        if one["name"].lower() not in _NO_PART and not (" took " in one[0] and "/" in one["name"])
    ]
    if len(found) < _FEWEST_PARTS:
        return None
    of_all = _UNIT_OF_ALL.search(text)
    times = _TIMES.search(text)
    spans: list[tuple[float, str]] = []
    bare: list[tuple[float, str]] = []
    for one in found:
        suffix = _SUFFIX.search(one["name"])
        unit = one["unit"] or (suffix["unit"] if suffix else "")
        if unit and not _NO_SPAN_FIELD.search(one["name"]):
            spans.append((_seconds(one["number"], unit), _label(text, one)))
        elif not unit and of_all is not None and one.start() > of_all.end():
            spans.append((_seconds(one["number"], of_all["unit"]), one["name"]))
        elif "." in one["number"] and (
            (times is not None and one.start() >= times.start()) or _TIME_PART.match(one["name"])
        ):
            bare.append((float(one["number"]), one["name"]))
    if len(spans) < _FEWEST_PARTS and not any(_WAIT_FIELD.search(name) for _, name in spans):
        of_times = all(_TIME_PART.match(name) for _, name in bare)
        spans = bare if len(bare) > _FEWEST_PARTS - of_times else []
    return _longest(spans)


_LABEL = late_pattern(r"(?P<verb>[a-z]{3,12}) (?:[A-Z][\w.+-]*[ ,]?){1,6}$")


def _label(text: str, part: re.Match[str]) -> str:
    """The name of a part: with the verb before what it was done to, `read B04,B08 73.0s`, else its own."""
    name = part["name"]
    if part[0].startswith(f"{name}=") or part[0].startswith(f"{name}:"):
        return name
    found = _LABEL.search(text[: part.end("name")])
    return found[0] if found is not None else name


# What says that shares are of a time: of hits and misses, and of a machine's states, they are not.
_OF_TIME = Linear(
    r"\b(?:profil(?:e|er|ing)|breakdown|time|timings?|spent|phases|stages)\b|\b(?:\w{1,20}_)?(?:wait(?:ing|s)?|stall(?:ed|s)?|compute|io|blocked)\b[ =:]{1,3}\d",
)
_SHARE = late_pattern(
    r"(?<![\w.])(?P<name>[A-Za-z_][\w./-]{1,50})(?:\s?[=:]\s?|\s)(?P<number>\d{1,3}(?:\.\d{1,3})?)\s?%"
)
_OF_STATES = frozenset(
    {"us", "sy", "ni", "id", "wa", "hi", "si", "st", "user", "system", "nice", "idle", "iowait", "steal", "cpu", "gpu", "mem", "memory", "hit", "hits", "miss", "misses", "util"}
)  # fmt: skip
_ALL_SHARES = (
    90.0,
    102.0,
)  # percent, that the shares of one time make up; chosen: some are left out


def _of_shares(text: str) -> FieldSpan | None:
    """The largest of several shares of one time, `data_wait 88% compute 12%`: of which time, the line does not say."""
    found = [(float(one["number"]), one["name"]) for one in _SHARE.finditer(text)]
    names = {name.lower() for _, name in found}
    low, high = _ALL_SHARES
    whole = low <= sum(number for number, _ in found) <= high
    if len(found) < _FEWEST_PARTS or not whole or names & (_OF_STATES | _NO_PART):
        return None
    if not _OF_TIME.is_in(text):
        return None
    most, name = max(found)
    return FieldSpan(0.0, name, _WAIT_FIELD.search(name) is not None, min(most / 100, _NOT_ALL))


_NOT_ALL = 0.999  # of a time that has several parts; chosen


def _row(text: str) -> FieldSpan | None:
    """The part that a row of a table of parts tells, with its percentage of all."""
    found = _ROW.match(text)
    share = float(found["first"] or found["last"] or 0) / 100 if found is not None else 0.0
    if found is None or not 0 < share < 1 or found["name"].lower() in _NO_PART:
        return None
    name = found["name"].rstrip(":")
    waits = _WAIT_FIELD.search(name) is not None
    return FieldSpan(_seconds(found["number"], found["unit"]), name, waits, share)


_WHOLE = late_pattern(
    r"^(?:(?:step|iter(?:ation)?|batch|epoch|total|wall|overall|loop|request|e2e|all|run|call|cycle)_?)?(?:time|dur|duration|elapsed|took|total|wall)?(?:_?(?:us|ms|s|sec|secs|seconds))?$",
    re.IGNORECASE,
)
_PART_OF_IT = 0.5  # of a whole, that a part must be to be told instead; chosen


def _longest(spans: Sequence[tuple[float, str]]) -> FieldSpan | None:
    """The longest, by seconds and name; a whole gives way to the longest of its parts where that is most of it.

    None where all parts took no time: `0.000` of a proxy that asked nobody tells of no share.
    """
    seconds, name = max(spans, default=(0.0, ""))
    if not seconds:
        return None
    parts = [one for one in spans if not _WHOLE.match(one[1])]
    if parts and _WHOLE.match(name) and max(parts)[0] >= seconds * _PART_OF_IT:
        spans, (seconds, name) = parts, max(parts)
    return FieldSpan(
        seconds,
        name,
        waits=_WAIT_FIELD.search(name) is not None,
        share=seconds / sum(one for one, _ in spans),
    )


def _seconds(number: str, unit: str) -> float:
    unit = unit.lower()
    if unit == "us":
        return float(number) / 1e6
    scale = _UNITS.get(unit[:2]) or _UNITS.get(unit[:1]) or 1.0
    return float(number) * (_UNITS["ms"] if unit.startswith("mil") else scale)


def span_in_fields(fields: Mapping[str, object]) -> FieldSpan | None:
    """The longest time that a structured line's fields say something took; of objects, one level deep."""
    longest = _longest(
        [(span, key) for key, value in _flat(fields) if (span := _span(key, value)) is not None]
    )
    if longest is not None or not host_in_fields(fields):
        return longest
    # A summary of calls to a host tells the usual one.
    usual = [
        FieldSpan(span, key, waits=True)
        for key, value in _flat(fields)
        if _MIDDLE_FIELD.match(key) and (span := _number(value, "s")) is not None
    ]
    return max(usual, key=lambda one: one.seconds, default=None)


def host_in_fields(fields: Mapping[str, object]) -> str:
    """The host that a structured line names; empty where it names none."""
    named = next((str(one) for name, one in fields.items() if _HOST_FIELD.match(name)), "")
    return named.rpartition("://")[2].partition("/")[0][:_HOST_LENGTH]


def asks_in_fields(fields: Mapping[str, object]) -> bool:
    """Whether a structured line tells of a call to somebody else: whom it asked, and the status that it got."""
    asked = any(
        _ASKED_FIELD.match(name) and isinstance(one, str) and one for name, one in fields.items()
    )
    return asked and any(_STATUS_FIELD.match(name) for name in fields)


# Fields in which programs name what they call; a request that they were asked stands in others (`path`, `url`, `route`).
_ASKED_FIELD = late_pattern(
    r"(?:call(?:ed)?|target|outgoing|upstream|dependency|remote|peer|downstream)(?:[._]?(?:url|path|service|name|host))?$",
    re.IGNORECASE,
)
_STATUS_FIELD = late_pattern(
    r"(?:http[._]?)?(?:response[._]?)?status(?:[._]?code)?$", re.IGNORECASE
)


def name_in_fields(fields: Mapping[str, object]) -> tuple[str, bool]:
    """What a structured line calls the section that it is about, empty where it says nothing of it; and whether that is
    a section's own name, not an event's or a logger's.
    """
    names = {
        key.lower(): one
        for key, one in fields.items()
        if _NAME_FIELD.match(key) and isinstance(one, str) and not _NO_NAME.match(one)
    }
    last = [key for key in ("event", "evt", "name") if key in names]
    first = next((name for key, name in names.items() if key not in last), "")
    return (first or next((names[key] for key in last), ""))[:_NAME_LENGTH], bool(first)


def span_of(line: LogLine) -> float | None:
    """How long a line says that what it is about took, in seconds, by its words or else by its fields."""
    text = line.text[:TEXT]
    part = parts_in(text)
    if part is not None:
        return part.seconds
    seconds = duration_in(text)
    if seconds is not None:
        return seconds
    span = span_in_fields(line.fields)
    return span.seconds if span is not None else None


def forget_lines() -> None:
    """Forgets the lines that were read: a log's text is kept no longer than its diagnosis."""
    duration_in.cache_clear()
    parts_in.cache_clear()


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
    found = _SPAN_FIELD.match(key) or _CAMEL_FIELD.match(key)
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
    if not 0 <= value <= _LONGEST:
        return None
    return value * (_UNITS["ms"] if unit.lower().startswith("m") else 1.0)
