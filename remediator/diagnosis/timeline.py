"""The log as a timeline: which section of the job took the time.

Owns three steps: lines become templates (numbers, ids, paths and quoted words masked), the time
between lines is given to the section that was running, and sections are told apart as *waiting*
(for a fetch, a host, a lock) or *working*. Where the job's own telemetry names sections, that
counts before the log. Drain3 was weighed and left: its parse tree mines better templates from
many programs mixed, but one job's log is one program's; masking alone groups it, in one pass and
without 90 ms of imports at cold start or state that lives between cases. Pure; called by
`diagnose`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from statistics import median

from remediator.case import Case, LogLine
from remediator.diagnosis.lazy_patterns import Late, Linear
from remediator.diagnosis.metrics import Usage
from remediator.diagnosis.structure import is_progress, read_log
from remediator.diagnosis.texts import SERVICE_TASK
from remediator.domain import Section, Source

_LINES = 5_000
_TEXT = 400
_NAME = 80
# What a line does stands near its start; and one program prints so many templates at most: the
# rest of a log that never says the same twice tells no sections.
_HEAD = 200
_TEMPLATES = 1_500
_LEAST_SHARE = 0.05
_SHOWN = 5
_GROWTH_POINTS = 6
# A duration that a line tells is believed up to this much more than the time before the line.
_BELIEVED = 1.25
# An answer that took less than this part of the time that then went by was a quick one.
_QUICK = 3.0
# Telemetry comes every 30 s; a longer silence is not all given to the last section.
_TELEMETRY_STEP = 120.0
_LEAST_TELEMETRY = 3
_USUAL_STEP = 30.0

# What a logger puts before its message: level, its own name, process and thread.
_LOGGER = Late(
    r"^\W{0,3}(?:\[?\d{1,9}\]?\W{1,3}){0,3}(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL)\b\W{0,4}(?:\[?[\w.-]{1,60}(?:\[\d+\])?\]?:\s+|\[[\w./:-]{1,60}\]\W{0,3})?"
)
_STAMP = Late(r"^\W*(?:\d{4}[-/]\d\d[-/]\d\d[T ])?\d\d:\d\d:\d\d[.,\d]*(?:Z|\s?[+-]\d{4})?\W*")
_MASKS = (
    (_STAMP, ""),
    (Late(r"(?:gs|s3|https?|bq)://[^\s'\"]+"), "<uri>"),
    (Late(r"/[\w.-]+(?:/[\w.=-]+)+"), "<path>"),
    (Late(r"\b[0-9a-fA-F]{8}-[0-9a-fA-F-]{13,27}\b|\b(?=[a-f]*\d)[0-9a-f]{12,64}\b"), "<id>"),
    (Late(r"\d+(?:[.,:]\d+)*"), "<n>"),
    # A bar that grows is one template, not ten.
    (Late(r"\|[\u2580-\u259f#=> .-]*\||[#=>]{3,}\.*"), "|"),
)
_HOST_IN_URI = Late(r"(?:https?|ftp)://([A-Za-z0-9.-]+)")
# Another machine by its name, where the words say that something came from it or went to it. Addresses
# and names of the own network are left out: they are clients', or the machine's own.
_HOST_NAMED = Late(
    r"\b(?:from|to|of|at|by|via|host|upstream|endpoint|server)[ =:]{1,2}['\"]?"
    r"(?P<host>(?:[a-z0-9-]{1,63}\.){1,8}(?:com|net|org|io|dev|cloud|corp|example|app|ai|co|eu|gov|edu|info|biz|[a-z]{2})"
    r"|[a-z0-9-]{2,40}-(?:db|api|svc|redis|cache|gateway))(?::\d{2,5})?\b(?![/(.\w-])"
)
# The same of any domain, where other words say that the line tells of waiting.
_HOST_AWAITED = Late(
    r"(?:from|to|of|at|by|host)[ =:]{1,2}((?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24})\b(?![/(])"
)
_NOT_A_HOST = Late(r"\.(?:py|gz|so|md|sh|rs|js|ts|h5|pt|pb|nn|fn|jl|db|rb|go|cc|hs|ml|bz|xz)$")

_DURATION = Linear(
    r"(?:took|in|after|for|elapsed|duration|time|spent)\W{1,3}(?:(?P<hours>\d{1,4}) ?h(?:ours?)?,? ?)?(?P<minutes>\d{1,4}) ?m(?:in(?:utes?)?)?,? ?(?P<rest>\d{1,2}) ?s\b"
    r"|(?:(?:took|in|after|for|elapsed|duration|time|waited|spent|seconds|secs?)\W{0,3}(?:of |was )?)"
    r"(?P<number>\d{1,7}(?:\.\d{1,6})?) ?(?P<unit>ms|milliseconds?|s|secs?|seconds?|m|min|minutes?|h|hours?)\b"
    r"|\((?P<bare>\d{1,7}(?:\.\d{1,6})?) ?(?P<bare_unit>ms|s|sec|seconds?|min|minutes?)\)"
)
# A number with a unit of time: without one there is no duration. Cheaper to ask than the pattern above.
_UNIT = Late(r"\d ?(?:ms|milliseconds?|s|secs?|seconds?|m|min|minutes?|h|hours?)\b", re.IGNORECASE)
_AHEAD = Linear(
    r"\b(?:retry(?:ing)?|back(?:ing)?[ -]?off|sleep(?:ing)?|next (?:try|attempt)|try(?:ing)? again|will)\b",
    needs="retry back sleep next try will",
)
_UNITS = {"ms": 0.001, "mi": 60.0, "m": 60.0, "s": 1.0, "h": 3600.0}

_WAITING = Linear(
    r"\bfetch(?:ing|ed|es)?\b|\bdownload(?:ing|ed|s)?\b|\bhttps?://|\bconnect(?:ing|ed)? to\b"
    r"|\brequest(?:ing|ed)? (?:to|from|of|data)\b|\bresponse from\b|\blatency\b"
    r"|\bstream(?:ing|ed)? from\b|\b(?:copy|open|list)(?:ing)? (?:from )?(?:gs|s3)://|\breceived? from\b|\bquery(?:ing)? (?:bigquery|database|api)"
    r"|\bread(?:ing)? from (?:gs|s3|http|remote|the network|bigquery|bucket)|\bpull(?:ing|ed)?\b|\bround[- ]trip\b|\brpc\b"
    r"|\bapi call\b|\b(?:postgres(?:ql)?|mysql|jdbc:\w{1,20}|mongodb(?:\+srv)?|snowflake|s?ftp)://|\b(?:wget|curl|rsync|gsutil|rclone)\b"
    r"|\bbigquery\b.{0,60}\b(?:page|rows?|result|read|query)|\b(?:page|rows?|results?)\b.{0,40}\bfrom bigquery\b"
    r"|\bcompleted [\d.]+ [kmg]?i?b(?:ytes)?/~?[\d.]+ [kmg]?i?b|% done\W{1,4}[\d.]+ [kmg]i?b/s|\bcalling\b.{0,30}\b(?:api|service|endpoint)\b|\bremote (?:host|call|read|fetch)\b|\btransfer(?:ring|red)?\b"
)
# To wait is to wait for data only where something that sends data is named.
_AWAITING = Linear(r"\bwait(?:ing|ed|s)?\b|\bpoll(?:ing|ed|s)?\b|\bblocked (?:on|in)\b")
_SENDER = Linear(
    r"://|\b(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}\b|\b(?:answer|api|backend|bucket|connection|data|database|db|download|endpoint|feed|file|files|host"
    r"|http|input|io|message|messages|network|page|queue|remote|reply|request|requests|response|server|service|socket|source|stream|upload|upstream)s?\b"
)
# Names of sections are short and an author's own: there one such word is enough.
_WAITING_NAME = Late(
    r"\b(?:http|https|api|rest|grpc|remote|network|bq|bigquery|gcs|s3|ftp|sftp|sql|database|redis|elasticsearch|feature ?store"
    r"|vector ?search|lookup (?:remote|online)|online (?:store|features)|web ?service|crawl|scrape)\b",
    re.IGNORECASE,
)
# A client that tries again and again waits for an answer; a few such lines are chatter.
_RETRYING = Linear(
    r"\bretry(?:ing)?\b|\bread timed? ?out\b|\bread ?timeout\b|\bconnect ?timeout\b|\brequest (?:[^ ]{1,80} )?timed out\b|\bback(?:ing)?[ -]?off\b"
)
_STORM = 20
# Peers, locks, memory and children that were killed: time passes after such a line, but neither in
# code nor on the way to data.
_STANDING = Linear(
    r"\bbarrier\b|\brendezvous\b|\bmutex\b|\b(?:dead|file)?lock(?:ed|ing)?\b|\ball (?:ranks|workers|peers|replicas)\b|\bsigkill\b"
    r"|\bout[ -]of[ -]memory\b|\bmemory (?:usage|pressure|limit)\b|\bpausing worker\b|\bspill(?:ing|ed)?\b|\bgc (?:pause|overhead)\b|\bswap(?:ping)?\b|\bsleep(?:ing|s)?\b|\bdebugger\b"
)
# Signs of life, and a server's own comings and goings: the section before goes on.
_ALIVE = Linear(
    r"\bheart ?beat\b|\b(?:still|keep) ?-?alive\b|^\W*ping\W*$|\b(?:get|head) /(?:health|healthz|ready|readyz|ping|live|livez|v1/health)\b"
    r"|\bbooting worker\b|\bwaiting for application startup\b|\bapplication startup complete\b|\bstarted server process\b"
)
# What is looked up for somebody, in a time that the line tells: it was asked of a store.
_LOOKED_UP = Late(
    r"^(?:got |read |loaded |online )?features?\b(?: (?:for|of|from) \S{1,60})?(?: (?:in|took|after)\b|: )",
    re.IGNORECASE,
)
_CAMEL = Late(r"(?<=[a-z])(?=[A-Z])")
_WAITING_STACK = Linear(
    r"urllib|requests|httpx|aiohttp|http[./ ]client|socket|ssl\.py|recv|getaddrinfo|connect\b|botocore|boto3|fsspec|gcsfs"
    r"|google[./]cloud[./](?:storage|bigquery)|google[./]resumable|grpc|select(?:ors)?\.py|selectors|epoll|\bpoll\b|urlopen"
    r"|read_response|paramiko|ftplib|psycopg|pymysql|fetch|download"
)
_INFERENCE = Linear(
    r"\b(?:predict(?:ion|ions|ing)?|infer(?:ence|ring)?|forward(?: pass)?|generat(?:e|ing|ion)|model\(|__call__|embed(?:ding|dings)?)\b"
)
_SECTION_NAME = Late(
    r"^\W*(?:section|stage|phase|step|begin(?:ning)?|start(?:ing|ed)?|entering)\b\W*(?P<name>[A-Za-z_][\w .-]{1,60})",
    re.IGNORECASE,
)
# What starts here is the program, not a section of it.
_STARTED = Late(
    r"(?:up|the )?\W*(?:application|app|container|gunicorn|job|main|process|program|run|script|server|service|training job|uvicorn|worker|workers)?\W*$",
    re.IGNORECASE,
)
# What is left of a template that says something: a word, not a unit ("<n>/<n> [<n>it/s]").
_WORD = Late(r"[^\W\d_]{3,}|[^\W\d_\x00-\x7f]")
_UNIT_WORDS = frozenset({"eta", "its", "min", "mins", "sec", "secs", "kib", "mib", "gib"})
_BRACKETS = Late(r"^\[(?P<name>[A-Za-z_][\w .:/-]{0,60})\]")
_LEVELS = frozenset(
    {"debug", "info", "warn", "warning", "error", "critical", "fatal", "stdout", "stderr"}
)
_PROGRESS = Late(
    r"(?P<done>\d[\d,]{0,15}) ?(?:/|of|out of) ?(?P<all>\d[\d,]{0,15})|(?P<percent>\d{1,3}(?:\.\d{1,3})?) ?%"
)


@dataclass(frozen=True, slots=True)
class TimelineSection:
    """One section of the run: its share of the time that the log covers, and what it was doing.

    `told`: the log itself marks it as a section (by a name, a duration, several passes) rather than
    happening to be silent after it. `marked`: by a name or a duration, more than by coming often.
    `by_name`: stacks were seen, and what waits by its name did something else in most of them.
    `stands`: neither work nor waiting for data (a barrier, a lock, memory). `growth` is how many times longer each of its last passes took than each of its first (None:
    too few passes). `host` is the outside host that its lines name.
    """

    name: str
    seconds: float
    share: float
    passes: int
    waits: bool
    by_name: bool
    inference: bool
    reported: bool
    marked: bool
    stands: bool
    growth: float | None
    host: str
    source: Source
    where: str

    @property
    def says(self) -> str:
        """ "section normalise took 74% of the run (3 h 10 min, 412 passes), …" with numbers."""
        passes = f", {self.passes:,} passes" if self.passes > 1 else ""
        grown = (
            f"; each pass took {self.growth:.1f} times as long at the end as at the start"
            if self.growth and self.growth >= _NOTABLE_GROWTH
            else ""
        )
        verb = "waited for" if self.waits else "took"
        return (
            f'section "{readable(self.name)}" {verb} {self.share * 100:.0f}% of the timeline '
            f"({human_seconds(self.seconds)}{passes}){grown}"
        )


_NOTABLE_GROWTH = 1.5
_CONTRAST_PASSES = 3


@dataclass(frozen=True, slots=True)
class Fetches:
    """Answers of one host (or store) that took longer than a source near by needs."""

    host: str
    count: int
    median_seconds: float
    where: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Sections by the time they took, longest first; empty where the log tells no times.

    `work_done` is the last progress that a line told, as a fraction.
    """

    timeline_sections: tuple[TimelineSection, ...]
    work_done: float | None
    slow_fetches: Fetches | None = None
    """Slow answers of one host, where the log tells enough of them; None: it does not."""
    cpu_share: float | None = None
    """CPU time over wall time while the log told both ("process cpu time 2.5 s"); None: it did not."""

    @property
    def sections(self) -> tuple[Section, ...]:
        return tuple(
            Section(readable(s.name), s.share, s.seconds) for s in self.timeline_sections[:_SHOWN]
        )

    @property
    def waiting_share(self) -> float:
        return sum(s.share for s in self.timeline_sections if s.waits and not s.stands)

    def longest(self, *, waits: bool) -> TimelineSection | None:
        """The longest section that waits, or that works."""
        return next((s for s in self.timeline_sections if s.waits is waits and not s.stands), None)


def human_seconds(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = round(seconds)
    if whole < 60:  # noqa: PLR2004  # a minute
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"  # noqa: PLR2004  # one digit
    minutes, rest = divmod(whole, 60)
    if minutes < 60:  # noqa: PLR2004  # an hour
        return f"{minutes} min {rest:02d} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def read_timeline(case: Case, usage: Usage) -> Timeline:
    """The sections of one case: by telemetry where it names them, else by the log."""
    lines = _worker_lines(case.log_lines)
    done = _progress(lines)
    reported = _by_telemetry(usage, case.job.start_time)
    if reported is not None:
        return Timeline(reported[0], done, _slow_fetches(lines))
    return replace(
        _by_log(case, lines, done), cpu_share=_cpu_share(lines), slow_fetches=_slow_fetches(lines)
    )


_FEWEST_FETCHES = 8  # that the log must tell of; chosen
_SLOW_SECONDS = 0.5  # the threshold of a probe, which the mission states


def host_named(text: str) -> str:
    """The host that a line names by word, not by a URI; empty where there is none."""
    for found in _HOST_NAMED.finditer(text[:_TEXT]):
        if not _NOT_A_HOST.search(found["host"]):
            return found["host"]
    return ""


def _slow_fetches(lines: Sequence[LogLine]) -> Fetches | None:
    """The host of which the log tells the most slow answers, each with its own duration."""
    reported: dict[str, list[float]] = defaultdict(list)
    where: dict[str, str] = {}
    for line in lines:
        text = line.text[:_TEXT]
        seconds = _duration_in(text)
        if seconds is None:
            continue
        bare = _unprefixed(text)
        # Whoever tells how long it took and names another machine tells of waiting for it.
        host = host_named(bare)
        awaited = _HOST_IN_URI.search(text) or _HOST_AWAITED.search(bare)
        if awaited and (_WAITING.search(bare) or _LOOKED_UP.search(bare)):
            host = awaited[1]
        if not host and _LOOKED_UP.search(bare) is None:
            continue
        name = host.lower() or "its feature store"
        reported[name].append(seconds)
        where.setdefault(name, line.insert_id or "logEntries")
    for name, spent in sorted(reported.items(), key=lambda item: -len(item[1])):
        if len(spent) >= _FEWEST_FETCHES and median(spent) >= _SLOW_SECONDS:
            return Fetches(name, len(spent), median(spent), where[name])
    return None


_CPU_TIME = Linear(r"\bcpu(?:[ _-]time)?\W{1,3}(?P<seconds>\d{1,7}(?:\.\d{1,6})?) ?s", needs="cpu")
_LEAST_WALL_SECONDS = 5.0


_CPU_OF_WALL = Linear(
    r"\bcpu(?:[ _-]time)?\W{1,3}(?P<cpu>\d{1,7}(?:\.\d{1,6})?) ?s?(?: of|/|,| out of) ?(?:wall(?:[ _-]time)?\W{0,3})?(?P<wall>\d{1,7}(?:\.\d{1,6})?) ?s",
    needs="cpu",
)


def _cpu_share(lines: Sequence[LogLine]) -> float | None:
    """CPU over wall time between lines that tell a process' CPU time; a fall is another process.

    A line may tell both ("cpu time 2.4 s of 27 s wall").
    """
    cpu = wall = 0.0
    last: tuple[float, float] | None = None
    for line in lines:
        if "cpu" not in line.text[:_TEXT].lower():
            continue
        both = _CPU_OF_WALL.search(line.text[:_TEXT])
        if both is not None:
            cpu += float(both["cpu"])
            wall += float(both["wall"])
            continue
        found = _CPU_TIME.search(line.text[:_TEXT])
        if found is None or line.time is None:
            continue
        now = (line.time.timestamp(), float(found["seconds"]))
        if last is not None and now[1] >= last[1]:
            wall += now[0] - last[0]
            cpu += now[1] - last[1]
        last = now
    return cpu / wall if wall >= _LEAST_WALL_SECONDS else None


# --- by telemetry ------------------------------------------------------------------------------


@dataclass(slots=True)
class _Bin:
    """Time given to one section while counting."""

    name: str
    seconds: float = 0.0
    gaps: list[float] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    waits: int = 0
    seen: int = 0
    waiting_seconds: float = 0.0
    lines: int = 0
    reported: bool = False
    retries: bool = False
    stands: bool = False
    host: str = ""
    where: str = ""


def _steps(moments: Sequence[datetime | None], start: datetime | None) -> list[float]:
    """How long each sample stands for: the time since the one before, at most four usual steps.

    The first stands for the usual step of this run, or for less where the job had just started.
    """
    between = [
        min(_TELEMETRY_STEP, max(0.0, (this - last).total_seconds())) if this and last else None
        for last, this in pairwise(moments)
    ]
    known = [step for step in between if step is not None]
    usual = median(known) if known else _USUAL_STEP
    first = usual
    if moments[0] and start:
        first = min(usual, max(0.0, (moments[0] - start).total_seconds()))
    return [first, *(usual if step is None else step for step in between)]


def _by_telemetry(
    usage: Usage, start: datetime | None
) -> tuple[tuple[TimelineSection, ...], float] | None:
    samples = usage.sections
    if len(samples) < _LEAST_TELEMETRY:
        return None
    bins: dict[str, _Bin] = {}
    span = 0.0
    steps = _steps([sample.time for sample in samples], start)
    for sample, step in zip(samples, steps, strict=True):
        name = sample.section or sample.stack
        if sample.section and sample.stack:
            name = f"{sample.section} ({sample.stack})"
        key = sample.section or sample.stack
        held = bins.setdefault(key, _Bin(name))
        held.name = name
        held.seconds += step
        held.lines += 1
        named = _split_name(sample.section)
        seen = bool(_WAITING_STACK.search(sample.stack))
        held.seen += seen or not sample.stack
        held.waits += bool(
            seen or _WAITING.search(named) or _WAITING_NAME.search(named) or _AWAITING.search(named)
        )
        span += step
    timeline_sections = [
        TimelineSection(
            name=held.name[:_NAME],
            seconds=held.seconds,
            share=held.seconds / span if span else 0.0,
            passes=1,
            waits=held.waits * 2 > held.lines,
            by_name=held.seen * 2 <= held.lines,
            inference=bool(_INFERENCE.search(held.name.replace("_", " "))),
            reported=True,
            marked=True,
            stands=bool(_STANDING.search(_split_name(held.name))),
            growth=None,
            host="",
            source=Source.TELEMETRY,
            where="telemetry",
        )
        for held in bins.values()
    ]
    timeline_sections.sort(key=lambda s: (-s.seconds, s.name))
    return tuple(s for s in timeline_sections if s.share >= _LEAST_SHARE), span


# --- by the log --------------------------------------------------------------------------------


def _worker_lines(lines: Sequence[LogLine]) -> list[LogLine]:
    """The workers' own lines that have a time, in order; of a long log, an even sample."""
    own = [
        line
        for line in lines
        if line.time is not None
        and line.task != SERVICE_TASK
        and line.text
        and "remediatorTelemetry" not in line.text
    ]
    if len(own) > _LINES:
        own = own[:: len(own) // _LINES + 1]
    own.sort(key=lambda line: line.time or datetime.min)  # noqa: DTZ901  # all are set
    # Of tracebacks neither frames nor source lines are something that the program was doing.
    return list({id(said.line): said.line for said in read_log(own) if not said.raised}.values())


def template_of(text: str) -> str:
    """The line with what varies masked: `processed <n> of <n> rows`."""
    masked = text[:_TEXT]
    for pattern, mask in _MASKS:
        masked = pattern.sub(mask, masked)
        if pattern is _STAMP:
            masked = _LOGGER.sub("", masked, count=1) or masked
    return " ".join(masked.split())


def _unprefixed(text: str) -> str:
    """The line without its time and what else a logger put before the message."""
    bare = _STAMP.sub("", text)
    return _LOGGER.sub("", bare, count=1) or bare


def readable(name: str) -> str:
    """A section's name as people read it: no mask in it, and no more than the line's own heading.

    `predict` for `predict: <n>/<n> instances`, `processed … of … rows` where there is no heading.
    """
    head, _, rest = name.partition(":")
    heads = says_something(head) and head.strip().lower() not in _LEVELS
    if heads and _MASK.search(rest) and not _MASK.search(head):
        return head.strip()
    return _MASK.sub("…", name)


_MASK = Late(r"<(?:uri|path|id|n)>")


def _split_name(name: str) -> str:
    """`fetch_features` and `fetchFeatures` as the words that they are made of."""
    return _CAMEL.sub(" ", name).replace("_", " ").replace("-", " ")


def says_something(template: str) -> bool:
    """Whether any word is left of the template; bare progress ("<n>/<n>") names no section."""
    bare = template.replace("<path>", " ")
    return any(word.lower() not in _UNIT_WORDS for word in _WORD.findall(bare))


def _name_of(text: str, template: str) -> tuple[str, bool]:
    """What a person would call the section, and whether the line itself names one.

    The name that the line gives it, else its template.
    """
    bracketed = _BRACKETS.match(template)
    if bracketed and bracketed["name"].strip().lower() not in _LEVELS:
        return bracketed["name"].strip()[:_NAME], True
    match = _SECTION_NAME.match(template)
    if match and "<n>" not in match["name"] and not _STARTED.match(match["name"]):
        return match["name"].strip(" .-")[:_NAME], True
    host = _HOST_IN_URI.search(text)
    name = template.replace("<uri>", host[1]) if host else template
    return name[:_NAME].strip(), False


def _duration_in(text: str) -> float | None:
    """The last duration that a line tells, in seconds; one that lies ahead is none."""
    found = None
    if _UNIT.search(text[:_TEXT]) is None or _AHEAD.is_in(text[:_TEXT]):
        return None
    for match in _DURATION.finditer(text[:_TEXT]):
        if match["rest"]:
            found = float(match["hours"] or 0) * 3600 + float(match["minutes"]) * 60
            found += float(match["rest"])
            continue
        number, unit = match["number"] or match["bare"], match["unit"] or match["bare_unit"]
        unit = unit.lower()
        scale = _UNITS.get(unit[:2]) or _UNITS.get(unit[:1]) or 1.0
        if unit.startswith("mil"):
            scale = 0.001
        found = float(number) * scale
    return found


def _by_log(case: Case, lines: Sequence[LogLine], done: float | None) -> Timeline:
    if len(lines) < _FEWEST_LINES and not any(_WAITING.search(one.text[:_HEAD]) for one in lines):
        # A lone line is no section, unless it says what is waited for.
        return Timeline((), done)
    lines = _telling(lines)
    if not lines:
        return Timeline((), done)
    moments = [line.time.timestamp() if line.time else 0.0 for line in lines]
    last_end = moments[-1]
    if case.job.end_time is not None:
        last_end = max(last_end, case.job.end_time.timestamp())
    bins = _shared_out(lines, [*moments, last_end])
    span = last_end - moments[0]
    if span <= 0:
        return Timeline((), done)
    timeline_sections = [
        TimelineSection(
            name=held.name or "(unnamed)",
            seconds=held.seconds,
            share=held.seconds / span,
            passes=sum(1 for gap in held.gaps if gap > 0),
            waits=held.waiting_seconds * 2 > held.seconds,
            by_name=False,
            inference=bool(_INFERENCE.search(held.name.replace("_", " "))),
            reported=held.reported or sum(1 for gap in held.gaps if gap > 0) >= _CONTRAST_PASSES,
            marked=held.reported,
            stands=held.stands and held.waiting_seconds * 2 <= held.seconds,
            growth=_growth(sorted(held.moments)),
            host=held.host,
            source=Source.LOG,
            where=held.where,
        )
        for held in _merged(bins).values()
    ]
    timeline_sections.sort(key=lambda s: (-s.seconds, s.name))
    return Timeline(tuple(s for s in timeline_sections if s.share >= _LEAST_SHARE), done)


_FEWEST_LINES = 2


def _shared_out(lines: Sequence[LogLine], moments: Sequence[float]) -> dict[str, _Bin]:
    """The time between the lines, given to their templates; `moments` ends with the run's end."""
    bins: dict[str, _Bin] = {}

    def bin_of(line: LogLine) -> _Bin:
        template = template_of(line.text)
        held = bins.get(template)
        if held is None:
            if len(bins) >= _TEMPLATES:
                return bins.setdefault("", _Bin("", stands=True))
            held = bins[template] = _new_bin(line, template)
        return held

    def give(held: _Bin, seconds: float) -> None:
        held.seconds += seconds
        held.gaps.append(seconds)
        held.lines += 1

    for index, line in enumerate(lines):
        gap = max(0.0, moments[index + 1] - moments[index])
        held, after = bin_of(line), lines[index + 1] if index + 1 < len(lines) else None
        held.moments.append(moments[index])
        if after is not None:
            # A line that tells its own duration ends the section that it names.
            reported = _duration_in(after.text)
            if reported is not None and 0 < reported <= gap * _BELIEVED + 1.0:
                give(bin_of(after), min(reported, gap))
                bin_of(after).reported = True
                gap -= min(reported, gap)
            if held.waits and _answered_at_once(line, gap):
                # What came after is the next line's, unless that is such a line too.
                if not bin_of(after).waits:
                    give(bin_of(after), gap)
                continue
        give(held, gap)
    return bins


def _answered_at_once(line: LogLine, gap: float) -> bool:
    own = _duration_in(line.text)
    return own is not None and own * _QUICK < gap


def _new_bin(line: LogLine, template: str) -> _Bin:
    """An empty bin for lines like this one, with what its words say of them."""
    text = line.text[:_TEXT]
    name, named = _name_of(text, template)
    head = text[:_HEAD]
    words = _split_name(head)
    uri = _HOST_IN_URI.search(text)
    reported = _duration_in(text) is not None
    host = uri[1] if uri else (host_named(_unprefixed(text)) if reported else "")
    waits_reported = reported and _LOOKED_UP.search(_unprefixed(text)) is not None
    stands = bool(_STANDING.search(words) or _ALIVE.search(head))
    waits = bool(
        waits_reported
        or host
        or _WAITING.search(head)
        or (words != head and _WAITING.search(words))
    )
    if not waits and _AWAITING.search(words):
        waits = bool(_SENDER.search(head))
        stands = stands or not waits
    return _Bin(
        name,
        reported=named,
        # Whoever waits for a lock or a peer waits for no data.
        waits=int(waits and (bool(host) or not stands)),
        retries=bool(_RETRYING.search(head)),
        stands=stands,
        host=host.lower(),
        where=line.insert_id or "logEntries",
    )


def _telling(lines: Sequence[LogLine]) -> list[LogLine]:
    """The lines that tell what is done.

    A bare counter belongs to whatever section was running: its time goes to the line before. So
    does a sign of life, where that line names a section or counts.
    """
    reported: list[LogLine] = []
    known: dict[str, tuple[bool, bool, bool]] = {}
    counting = False
    for line in lines:
        template = template_of(line.text)
        held = known.get(template)
        if held is None:
            says = says_something(template) and not _only_counts(line.text, template)
            counts = "<n>" in template or _name_of(line.text[:_TEXT], template)[1]
            held = known[template] = (says, bool(_ALIVE.search(template[:_HEAD])), counts)
        says, alive, counts = held
        if not says or (counting and alive):
            continue
        counting = counts
        reported.append(line)
    return reported


def _only_counts(text: str, template: str) -> bool:
    """Progress of a loop that has no name ("step 40 loss 0.3"): no section of its own."""
    words = {word.lower() for word in _WORD.findall(template)} - _UNIT_WORDS
    return words <= _COUNTED and is_progress(text[:_TEXT]) and _duration_in(text[:_TEXT]) is None


_COUNTED = frozenset(
    {
        "acc", "accuracy", "auc", "batch", "batches", "done", "epoch", "epochs", "examples", "grad",
        "iter", "iteration", "iterations", "learning", "loss", "mse", "norm", "perplexity", "progress",
        "rate", "record", "records", "row", "rows", "sample", "samples", "step", "steps", "tokens",
        "train", "training", "val", "valid",
    }
)  # fmt: skip
"""What a loop without a name counts."""


def _merged(bins: dict[str, _Bin]) -> dict[str, _Bin]:
    """Templates that bear one section's name become one section."""
    merged: dict[str, _Bin] = defaultdict(lambda: _Bin(""))
    for held in bins.values():
        into = merged[held.name]
        into.name = held.name
        into.seconds += held.seconds
        into.gaps += held.gaps
        into.moments += held.moments
        storm = held.retries and held.lines >= _STORM
        into.waiting_seconds += held.seconds if held.waits or storm else 0.0
        into.stands = into.stands or held.stands or held.retries
        into.lines += held.lines
        into.reported = into.reported or held.reported
        into.host = into.host or held.host
        into.where = into.where or held.where
    return merged


def _growth(moments: Sequence[float]) -> float | None:
    """How many times longer the last passes took than the first, from one to the next: what a loop
    prints besides takes no part of it away."""
    passes = [after - before for before, after in pairwise(moments) if after > before]
    if len(passes) < _GROWTH_POINTS:
        return None
    third = len(passes) // 3
    # Medians: a line that was lost makes one pass of two.
    first, last = median(passes[:third]), median(passes[-third:])
    return last / first if first > 0 else None


def _progress(lines: Sequence[LogLine]) -> float | None:
    """The furthest progress told near the end: `4,200 of 10,000`, `epoch 3/10`, `45 %`."""
    best: float | None = None
    for line in lines[-200:]:
        for match in _PROGRESS.finditer(line.text[:_TEXT]):
            if match["percent"]:
                value = float(match["percent"]) / 100
            else:
                whole = float(match["all"].replace(",", ""))
                value = float(match["done"].replace(",", "")) / whole if whole else 2.0
            if 0 < value <= 1:
                best = value
    return best
