"""The log as a timeline: which section of the job took the time.

Owns `read_timeline`: lines become templates (`line_words`), the time between them is given to the section that
was running, which is told apart as *waiting* (for a fetch, a host, a lock) or *working* (`sections`); besides,
slow answers of one host, the program's own CPU time and its progress. Pure; called by `diagnose`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise

from msgspec.structs import replace

from remediator.case import Case, LogLine
from remediator.diagnosis.durations import (
    TEXT,
    bytes_moved,
    duration_in,
    forget_lines,
    host_in_fields,
    parts_in,
    span_in_fields,
)
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.locality import SLOW_ANSWER_SECONDS
from remediator.diagnosis.metrics import Usage
from remediator.diagnosis.replicas import ReplicaMachine
from remediator.diagnosis.servers import is_request
from remediator.diagnosis.structure import read_log
from remediator.diagnosis.texts.case_text import SERVICE_TASK
from remediator.diagnosis.timeline.accounts import read_account
from remediator.diagnosis.timeline.answers import read_answers
from remediator.diagnosis.timeline.cpu_time import cpu_share
from remediator.diagnosis.timeline.dumps import read_dumps
from remediator.diagnosis.timeline.line_words import (
    ALIVE,
    AWAITING,
    HEAD,
    HOST_AWAITED,
    LOOKED_UP,
    STANDING,
    WAITING,
    WATCHDOG,
    host_in_uri,
    host_named,
    unprefixed,
)
from remediator.diagnosis.timeline.machine_reports import read_machine_reports
from remediator.diagnosis.timeline.pauses import paused_to_the_end, read_pauses
from remediator.diagnosis.timeline.peers import read_straggler
from remediator.diagnosis.timeline.refusals import read_refusals
from remediator.diagnosis.timeline.section import Fetches, Timeline
from remediator.diagnosis.timeline.sections import sections_by_telemetry, timeline_by_log
from remediator.diagnosis.timeline.standstill import (
    read_held_lock,
    read_lone_worker,
    read_own_locks,
    read_prompt,
    read_vain_poll,
)
from remediator.domain import JobKind
from remediator.domain.late_pattern import late_pattern
from remediator.domain.numbers import median

_LINES = 5_000  # of a long log, evenly sampled; chosen
_PROGRESS = late_pattern(
    r"(?P<done>\d[\d,]{0,15}) ?(?:/|of|out of) ?(?P<all>\d[\d,]{0,15})|(?P<percent>\d{1,3}(?:\.\d{1,3})?) ?%"
)


def read_timeline(
    case: Case,
    usage: Usage,
    *,
    timed_out: bool = True,
    vcpus: int | None = None,
    machines: Sequence[ReplicaMachine] = (),
) -> Timeline:
    """The sections of one case: by telemetry where it names them, else by the log.

    What else took the time (refusals, memory, a hang) is only looked for where the job `timed_out`. `vcpus` is the
    machine's number of CPUs, `machines` are those of the pools.
    """
    try:
        return _read_timeline(case, usage, timed_out=timed_out, vcpus=vcpus, machines=machines)
    finally:
        forget_lines()


def _read_timeline(
    case: Case,
    usage: Usage,
    *,
    timed_out: bool,
    vcpus: int | None,
    machines: Sequence[ReplicaMachine],
) -> Timeline:
    own = _own_lines(case.log_lines)
    # Of tracebacks neither frames nor source lines are something that the program was doing.
    lines = list({id(said.line): said.line for said in read_log(own) if not said.raised}.values())
    done = _progress(lines)
    slow_fetches, pauses = _slow_fetches(lines), read_pauses(own) if timed_out else None
    paused = paused_to_the_end(own)
    paused_at = (paused.insert_id or "logEntries") if paused is not None else ""
    serves = case.job.kind is JobKind.BATCH_PREDICTION
    # What a server answered itself is none of the answers that it got.
    asked = [line for line in own if not _answers_itself(line.text)] if serves else own
    answers = read_answers(asked) if timed_out else None
    refusals = read_refusals(asked) if answers is None else None
    busy = timed_out and usage.cpu is not None and usage.cpu.is_full
    reported = sections_by_telemetry(usage, case.job.start_time)
    if reported is not None:
        return Timeline(
            reported[0],
            done,
            slow_fetches,
            pauses=pauses,
            paused_at=paused_at,
            answers=answers,
            refusals=refusals,
        )
    return replace(
        timeline_by_log(case, lines, done, idle=_is_idle(usage, vcpus)),
        cpu_share=_possible(cpu_share(lines), vcpus),
        pauses=pauses,
        paused_at=paused_at,
        stopped_at=_stopped_at(lines, case.job.end_time) if busy else None,
        answers=answers,
        refusals=refusals,
        dumps=read_dumps(own) if timed_out else None,
        straggler=read_straggler(lines) if timed_out else None,
        own_locks=read_own_locks(own) if timed_out else None,
        held_lock=read_held_lock(own) if timed_out else None,
        vain_poll=read_vain_poll(own) if timed_out else None,
        account=read_account(lines, case.job.run_seconds) if timed_out else None,
        prompt=read_prompt(own, _ended(case)) if timed_out else None,
        lone_worker=read_lone_worker(lines, vcpus) if timed_out and usage.cpu is None else None,
        reports=(
            read_machine_reports(lines, vcpus, machines)
            if timed_out and usage.cpu is None
            else None
        ),
        slow_fetches=slow_fetches,
    )


def _ended(case: Case) -> float | None:
    return case.job.end_time.timestamp() if case.job.end_time is not None else None


_A_THREAD = 0.6  # of a vCPU, below which nothing computes all the while; chosen
_IDLE = 0.05  # of CPUs whose number is not known; chosen
_NOISE = 0.02  # of all vCPUs, as much as an idle machine does by itself; chosen


def _is_idle(usage: Usage, vcpus: int | None) -> bool:
    """Whether the CPUs did less than one busy thread's work; False where nobody measured them."""
    least = max(_A_THREAD / vcpus, _NOISE) if vcpus else _IDLE
    return usage.cpu is not None and usage.cpu.usual < least


_ANSWERS = Linear(
    r"\b(?:reject(?:s|ed|ing)|respond(?:s|ed|ing)|return(?:s|ing)|repl(?:y|ied|ying)|answer(?:s|ing)|sen[dt](?:s|ing)?|shed(?:s|ding)?|queue (?:is )?full)\b"
)


def _answers_itself(text: str) -> bool:
    """Whether a line of a model server tells of what it answered, not of what it got."""
    return is_request(text) or _ANSWERS.is_in(text[:TEXT])


_OVER = 1.5  # times all vCPUs; chosen: two clocks that were not read at one moment


def _possible(share: float | None, vcpus: int | None) -> float | None:
    """The CPU time over wall time, where the machine has so many CPUs: several programs' times make up more."""
    return None if share is None or (vcpus and share > vcpus * _OVER) else share


def _own_lines(lines: Sequence[LogLine]) -> list[LogLine]:
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
    return own


_FEWEST_FETCHES = 8  # that the log must tell of; chosen
_FEWEST_OF_ALL = 4  # where they are nearly all that the log tells; chosen
_NEARLY_ALL = 0.75  # of the lines; chosen
_EARLY = 0.25  # of the lines, before which all of them stand; chosen


def _slow_fetches(lines: Sequence[LogLine]) -> Fetches | None:
    """The host of which the log tells the most slow answers, each with its own duration."""
    reported: dict[str, list[float]] = defaultdict(list)
    where: dict[str, str] = {}
    latest: dict[str, int] = {}
    for position, line in enumerate(lines):
        found = _fetch_in(line)
        if found is not None:
            name, seconds = found
            reported[name].append(seconds)
            latest[name] = position
            where.setdefault(name, line.insert_id or "logEntries")
    for name, spent in sorted(reported.items(), key=lambda item: -len(item[1])):
        if latest[name] < len(lines) * _EARLY:
            continue  # what was fetched at the start does not tell of the hours after it
        alone = len(spent) >= max(_FEWEST_OF_ALL, _NEARLY_ALL * len(lines))
        many = len(spent) >= _FEWEST_FETCHES or alone
        if many and median(spent) >= SLOW_ANSWER_SECONDS:
            return Fetches(name, len(spent), median(spent), where[name])
    return None


def _fetch_in(line: LogLine) -> tuple[str, float] | None:
    """Which source a line says that it waited for, and for how many seconds; None where it does not."""
    text = line.text[:TEXT]
    fields = line.fields
    span = parts_in(text) or span_in_fields(fields)
    if span is not None and span.waits and not STANDING.is_in(text):
        host = host_in_fields(fields) or host_in_uri(text) or host_named(text)
        return host.lower() or _UNNAMED, span.seconds
    seconds = duration_in(text)
    if seconds is None:
        return None
    bare = unprefixed(text)
    if STANDING.is_in(bare):
        return None
    # Whoever tells how long it took and names another machine tells of waiting for it.
    by_name = HOST_AWAITED.search(bare)
    awaited = host_in_uri(text) or (by_name[1] if by_name else "")
    looked_up = LOOKED_UP.search(bare) is not None
    waits = looked_up or WAITING.search(bare) or AWAITING.search(bare)
    host = awaited if awaited and waits else host_named(bare)
    if not (host or looked_up or _came_slowly(bare, seconds)):
        return None
    return host.lower() or ("its feature store" if looked_up else _UNNAMED), seconds


_UNNAMED = "a source that the log does not name"
# Bytes a second, below which time went by and hardly anything came in; chosen, as beside data far away.
_SLOWLY = 100_000.0


def _came_slowly(text: str, seconds: float) -> bool:
    """Whether a line tells of bytes that came in, and of far too long a time for them."""
    moved = bytes_moved(text) if seconds >= SLOW_ANSWER_SECONDS else None
    return moved is not None and moved / seconds < _SLOWLY and WAITING.search(text) is not None


_STEADY, _STEADY_SHARE = (
    8,
    0.05,
)  # lines of one kind, and the part of the run over which they came; chosen
_SILENT, _LONGER = 0.3, 8.0  # of the run, and times the longest of the pauses between them; chosen
_SHAPE = 60  # characters of a line by which lines are of one kind; chosen
_DIGITS = late_pattern(r"[\d.,:+eE-]*\d[\d.,:+eE-]*|\s+")


def _stopped_at(lines: Sequence[LogLine], end: datetime | None) -> float | None:
    """Where lines that came steadily ended, long before the run did; signs of life are no work."""
    if end is None or len(lines) < _STEADY or lines[0].time is None:
        return None
    start, span = lines[0].time.timestamp(), (end - lines[0].time).total_seconds()
    kinds: dict[str, list[float]] = defaultdict(list)
    latest = start
    for line in lines:
        head = line.text[:HEAD]
        if line.time is None or ALIVE.is_in(head) or WATCHDOG.is_in(head):
            continue
        latest = max(latest, line.time.timestamp())
        kinds[_DIGITS.sub("#", line.text[:_SHAPE])].append(line.time.timestamp())
    steady = max(kinds.values(), key=len, default=[])
    if span <= 0 or len(steady) < _STEADY or steady[-1] - steady[0] < span * _STEADY_SHARE:
        return None
    longest = max(after - before for before, after in pairwise(steady))
    silence = start + span - latest
    if silence < span * _SILENT or silence < longest * _LONGER:
        return None
    return (latest - start) / span


_LAST_READ = 200  # lines, near the end; chosen


def _progress(lines: Sequence[LogLine]) -> float | None:
    """The furthest progress told near the end: `4,200 of 10,000`, `epoch 3/10`, `45 %`."""
    best: float | None = None
    for line in lines[-_LAST_READ:]:
        for match in _PROGRESS.finditer(line.text[:TEXT]):
            if match["percent"]:
                value = float(match["percent"]) / 100
            else:
                whole = float(match["all"].replace(",", ""))
                value = float(match["done"].replace(",", "")) / whole if whole else 2.0
            if 0 < value <= 1:
                best = value
    return best
