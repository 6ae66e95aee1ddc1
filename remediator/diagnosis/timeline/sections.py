"""Sections of a run: the time between its lines, or its telemetry's samples, given to what was running.

Owns the sharing-out. A line begins what its template says; one that tells its own duration ends it; a bare
counter or a sign of life belongs to what was running. Where the job's own telemetry names sections, that
counts before the log. Pure; called by `read_timeline`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from msgspec import Struct, field

from remediator.case import Case, LogLine
from remediator.diagnosis.durations import (
    TEXT,
    asks_in_fields,
    host_in_fields,
    name_in_fields,
    parts_in,
    span_in_fields,
    span_of,
)
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.metrics import Usage
from remediator.diagnosis.timeline.counts import (
    LineNumbers,
    numbers_in,
    seconds_of_all,
    seconds_since,
)
from remediator.diagnosis.timeline.line_words import (
    ALIVE,
    AWAITING,
    BUCKET,
    DOTS,
    FAR,
    HEAD,
    INFERENCE,
    LOOKED_UP,
    NAME_LENGTH,
    RETRYING,
    SENDER,
    STANDING,
    STORE,
    URI,
    WAITING,
    WAITING_NAME,
    WAITING_STACK,
    asks_another,
    host_in_uri,
    host_named,
    name_of,
    split_name,
    unprefixed,
)
from remediator.diagnosis.timeline.section import Timeline, TimelineSection
from remediator.diagnosis.timeline.telling import telling_lines
from remediator.domain import Source
from remediator.domain.numbers import median

_TEMPLATES = 1_500  # chosen
_LEAST_SHARE = 0.05  # of the run, below which a section is not listed; chosen
_GROWTH_POINTS = 6  # passes that show a growth; chosen
# A duration that a line tells is believed up to this much more than the time before the line.
_BELIEVED = 1.25  # chosen
# An answer that took less than this part of the time that then went by was a quick one.
_QUICK = 3.0  # chosen
# Telemetry comes every 30 s; a longer silence is not all given to the last section.
_TELEMETRY_STEP = 120.0  # four usual steps; chosen
_LEAST_TELEMETRY = 3  # samples that tell sections; chosen
_USUAL_STEP = 30.0  # documented: telemetry/, its period unless set
_AT_ONCE = (
    0.004  # seconds between lines that were written at one go; chosen, no round number of loggers
)
_BURST = 12  # lines of one report; chosen
_STORM = 20  # lines of trying again; chosen
_CONTRAST_PASSES = 3  # by which a section shows itself; chosen
_FEWEST_LINES = 2  # chosen


class _Bin(Struct):
    """Time given to one section while counting."""

    name: str
    seconds: float = 0.0
    gaps: list[float] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    waits: int = 0
    seen: int = 0
    waiting_seconds: float = 0.0
    reported_seconds: float = 0.0
    spans: int = 0
    lines: int = 0
    reported: bool = False
    retries: bool = False
    stands: bool = False
    host: str = ""
    where: str = ""
    example: str = ""
    last: LineNumbers = LineNumbers()


def sections_by_telemetry(
    usage: Usage, start: datetime | None
) -> tuple[tuple[TimelineSection, ...], float] | None:
    """Sections by the job's own telemetry and the seconds that it covers; None: too few samples."""
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
        named = split_name(sample.section)
        seen = bool(WAITING_STACK.search(sample.stack))
        held.seen += seen or not sample.stack
        held.waits += bool(
            seen or WAITING.search(named) or WAITING_NAME.search(named) or AWAITING.search(named)
        )
        span += step
    timeline_sections = [
        TimelineSection(
            name=held.name[:NAME_LENGTH],
            seconds=held.seconds,
            share=held.seconds / span if span else 0.0,
            passes=1,
            waits=held.waits * 2 > held.lines,
            by_name=held.seen * 2 <= held.lines,
            inference=bool(INFERENCE.search(held.name.replace("_", " "))),
            reported=True,
            marked=True,
            stands=bool(STANDING.search(split_name(held.name))),
            timed=False,
            growth=None,
            host="",
            source=Source.TELEMETRY,
            where="telemetry",
        )
        for held in bins.values()
    ]
    timeline_sections.sort(key=lambda s: (-s.seconds, s.name))
    return tuple(s for s in timeline_sections if s.share >= _LEAST_SHARE), span


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


def timeline_by_log(
    case: Case, lines: Sequence[LogLine], done: float | None, *, idle: bool = False
) -> Timeline:
    """The timeline by the workers' lines, which come in order of time; `done` is their progress, 0 to 1. Beside CPUs that
    were `idle`, what reads, loads or gets something waits for it.
    """
    if len(lines) < _FEWEST_LINES and not any(WAITING.search(one.text[:HEAD]) for one in lines):
        # A lone line is no section, unless it says what is waited for.
        return Timeline((), done)
    telling = telling_lines(lines)
    if not telling:
        return Timeline((), done)
    lines = [line for line, _ in telling]
    moments = [line.time.timestamp() if line.time else 0.0 for line in lines]
    last_end = moments[-1]
    if case.job.end_time is not None:
        last_end = max(last_end, case.job.end_time.timestamp())
    bins = _shared_out(telling, [*moments, last_end], idle=idle)
    span = last_end - moments[0]
    if span <= 0:
        return Timeline((), done)
    timeline_sections = [
        TimelineSection(
            name=held.name or "(unnamed)",
            seconds=held.seconds,
            share=held.seconds / span,
            passes=_passes(held),
            waits=held.waiting_seconds * 2 > held.seconds,
            by_name=False,
            inference=bool(INFERENCE.search(held.name.replace("_", " "))),
            reported=held.reported or _passes(held) >= _CONTRAST_PASSES,
            marked=held.reported,
            stands=held.stands and held.waiting_seconds * 2 <= held.seconds,
            timed=held.reported_seconds * 2 > held.seconds,
            growth=_growth(sorted(held.moments)),
            host=held.host,
            source=Source.LOG,
            where=held.where,
            example=held.example,
        )
        for held in _merged(bins).values()
    ]
    timeline_sections.sort(key=lambda s: (-s.seconds, s.name))
    return Timeline(tuple(s for s in timeline_sections if s.share >= _LEAST_SHARE), done)


def _passes(held: _Bin) -> int:
    """How often the section ran: of one whose lines tell its durations, those."""
    return held.spans or sum(1 for gap in held.gaps if gap > 0)


class _Shares:
    """The time between lines, as it is given to their templates."""

    def __init__(self, *, store: bool) -> None:
        self.bins: dict[str, _Bin] = {}
        self._untold: list[
            tuple[_Bin, float]
        ] = []  # given since the last line that told its own duration
        self._store = store

    def bin_of(self, line: LogLine, template: str) -> _Bin:
        held = self.bins.get(template)
        if held is None:
            if len(self.bins) >= _TEMPLATES:
                return self.bins.setdefault("", _Bin("", stands=True))
            held = self.bins[template] = _new_bin(line, template, store=self._store)
        return held

    def give(self, held: _Bin, seconds: float) -> None:
        held.seconds += seconds
        held.gaps.append(seconds)
        held.lines += 1
        self._untold.append((held, seconds))

    def claim(self, held: _Bin, duration: float | None, gap: float) -> float:
        """What a line that tells its own duration leaves of the time before it, in seconds.

        It ends the section that it names; what lines between printed meanwhile took no part of it, unless they say
        that they waited for data, and it does not.
        """
        if duration is None:
            return gap
        before = sum(seconds for _, seconds in self._untold)
        if not 0 < duration <= (gap + before) * _BELIEVED + 1.0:
            return gap
        taken, kept = min(duration, gap), 0.0
        while duration - taken > _AT_ONCE and self._untold:
            owner, seconds = self._untold.pop()
            part = min(seconds, duration - taken)
            taken += part
            if owner.waits and not held.waits:
                kept += part
            else:
                owner.seconds -= part
        self.give(held, taken - kept)
        held.reported_seconds += taken - kept
        held.spans += 1
        held.reported = True
        self._untold.clear()
        return max(0.0, gap - min(duration, gap))


def _shared_out(
    lines: Sequence[tuple[LogLine, str]], moments: Sequence[float], *, idle: bool
) -> dict[str, _Bin]:
    """The time between the lines, given to their templates; `moments` ends with the run's end."""
    shares = _Shares(store=idle or any(STORE.search(line.text[:HEAD]) for line, _ in lines))
    burst: list[_Bin] = []
    for index, (line, template) in enumerate(lines):
        gap = max(0.0, moments[index + 1] - moments[index])
        held = shares.bin_of(line, template)
        if gap <= _AT_ONCE and len(burst) < _BURST:
            burst.append(held)
        else:
            held, burst = _of_burst(burst, held), []
        held.moments.append(moments[index])
        if index + 1 < len(lines):
            after = shares.bin_of(*lines[index + 1])
            duration = _scaled(lines[index + 1][0], after, moments[index + 1], moments[0])
            gap = shares.claim(after, duration, gap)
            if held.waits and _answered_at_once(line, gap):
                # What came after is the next line's, unless that is such a line too.
                if not after.waits:
                    shares.give(after, gap)
                continue
        shares.give(held, gap)
    return shares.bins


_OF_A_PASS = (
    0.04  # of the time between two lines, that the passes which they tell must make up; chosen
)

# A limit of time that ended the run: `stopped: max run time 12000s exceeded`, `deadline exceeded after 4 h`.
_LIMIT = Linear(
    r"\b(?:deadline|limit|max\w*[ _-](?:run|wall)[ _-]?time|time[ -]?out|timed out|exceeded|kill(?:ed|ing)|cancel(?:l?ed|ling)|terminat(?:ed|ing)|stopp(?:ed|ing)|gave up|giving up)\b"
)
_ALL = 0.9  # of the run so far; chosen


def _scaled(line: LogLine, held: _Bin, moment: float, start: float) -> float | None:
    """How long a line says that its section took, in seconds: of a line that tells of one pass in many the parts stand
    for those between. A limit that ended the whole run, which began at `start`, is no section's.
    """
    duration = span_of(line)
    if duration is None:
        return None
    text = line.text[:TEXT]
    before, held.last = held.last, numbers_in(text, duration)
    if duration >= (moment - start) * _ALL and _LIMIT.is_in(text):
        return None
    part = parts_in(text) or span_in_fields(line.fields)
    if not held.moments:
        return duration
    between = moment - held.moments[-1]
    if part is None or part.share >= 1.0:
        # What works is told no better by its passes than by the time between its lines.
        return (held.waits and seconds_of_all(before, held.last, between)) or duration
    whole = part.seconds / part.share
    if not whole:
        return part.share * between
    if between * _OF_A_PASS <= whole < between:
        return part.share * between
    return seconds_since(before, held.last, between) or part.seconds


def _of_burst(burst: Sequence[_Bin], last: _Bin) -> _Bin:
    """Of lines that were written at one go the one that the time after them is given to: a report of several lines is
    one thing, and what it waits for may stand in any of them. A line that told how long it took is over, where the
    last one tells of something else.
    """
    if last.reported:
        return last  # it begins a section of its own
    open_ones = (one for one in burst if last.spans or not one.spans)
    return next((one for one in open_ones if one.waits and not one.stands), last)


def _answered_at_once(line: LogLine, gap: float) -> bool:
    own = span_of(line)
    return own is not None and own * _QUICK < gap


def _new_bin(line: LogLine, template: str, *, store: bool) -> _Bin:
    """An empty bin for lines like this one, with what its words say of them; `store`: the log names one that is asked, or the
    CPUs were idle.
    """
    text = line.text[:TEXT]
    name, named = name_of(text, template)
    fields = line.fields
    span = parts_in(text) or span_in_fields(fields)
    own, is_section = name_in_fields(fields)
    if (
        span is not None
        and span.share < 1.0
        and not (span.is_generic or is_section)
        and not (span.waits and STANDING.is_in(text))
    ):
        own = span.key  # of several times the longest says what the line is about
    if own:
        name, named = own, True
    head = text[:HEAD]
    words = split_name(head)
    uri = host_in_uri(text)
    reported = span_of(line) is not None
    if not uri:
        head = URI.sub(" ", head)  # a page to read, if any
        words = split_name(head)
    host = uri or (host_named(unprefixed(text)) if reported else "")
    bare = unprefixed(text)
    waits_reported = reported and (LOOKED_UP.search(bare) is not None or asks_another(bare))
    stands = bool(STANDING.search(words) or (ALIVE.search(head) and not own))
    waits = bool(
        waits_reported
        or (BUCKET.search(line.text[:HEAD]) and WAITING.search(line.text[:HEAD]))
        or host
        or WAITING.search(head)
        or DOTS.is_in(head)
        or (words != head and WAITING.search(words))
        or (span is not None and span.waits)
        or asks_in_fields(fields)
    )
    if span is not None and not span.waits and not span.is_generic:
        # Several times stand in the line: the longest says what it was about.
        far = bool(host or host_in_fields(fields) or BUCKET.search(text))
        waits = (far or store) and (span.may_wait or (far and FAR.is_in(text)))
        stands = False
    elif not waits and AWAITING.search(words):
        waits = bool(SENDER.search(head))
        stands = stands or not waits
    return _Bin(
        name,
        reported=named,
        # Whoever waits for a lock or a peer waits for no data.
        waits=int(waits and (bool(host) or not stands)),
        retries=bool(RETRYING.search(head)),
        stands=stands,
        host=host.lower(),
        where=line.insert_id or "logEntries",
        example=" ".join(unprefixed(text).split())[:NAME_LENGTH],
    )


def _merged(bins: dict[str, _Bin]) -> dict[str, _Bin]:
    """Templates that bear one section's name become one section."""
    merged: dict[str, _Bin] = defaultdict(lambda: _Bin(""))
    for held in bins.values():
        into = merged[held.name]
        into.name = held.name
        into.seconds += held.seconds
        into.gaps += held.gaps
        into.moments += held.moments
        storm = held.retries and not held.stands and held.lines >= _STORM
        into.waiting_seconds += held.seconds if held.waits or storm else 0.0
        into.stands = into.stands or held.stands or held.retries
        into.lines += held.lines
        into.reported_seconds += held.reported_seconds
        into.spans += held.spans
        into.reported = into.reported or held.reported
        into.host = into.host or held.host
        into.where = into.where or held.where
        into.example = into.example or held.example
    return merged


def _growth(moments: Sequence[float]) -> float | None:
    """How many times longer the last passes took than the first, from one to the next: what a loop
    prints besides takes no part of it away."""
    passes = [after - before for before, after in pairwise(moments) if after > before]
    if len(passes) < _GROWTH_POINTS:
        return None
    third = len(passes) // 3  # chosen: the first and the last third
    # Medians: a line that was lost makes one pass of two.
    first, last = median(passes[:third]), median(passes[-third:])
    return last / first if first > 0 else None
