"""The workers' and the service's log lines as texts, each weighed by who wrote it and when.

Owns which lines of a log are read, what of a traceback speaks, and how much less a line counts that stands
early, announces another try, or is below an error. Pure; called by
`read_case`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from remediator.case import LogLine
from remediator.diagnosis.clients import (
    is_reported,
    reports_elsewhere,
    service_behind,
    spoken_in,
)
from remediator.diagnosis.durations import span_of
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.open_trace import LogItem
from remediator.diagnosis.progress_lines import complains, is_progress, warns, without_zero_counts
from remediator.diagnosis.servers import is_access_line, is_request
from remediator.diagnosis.signature import TextPlace
from remediator.diagnosis.signatures.authors import BUGS
from remediator.diagnosis.structure import read_log
from remediator.diagnosis.texts.case_text import (
    SERVICE_AUTHOR,
    SERVICE_TASK,
    TELEMETRY,
    CaseText,
    clean,
)
from remediator.diagnosis.texts.levels import (
    BELOW_ERROR,
    ERRORS,
    QUIET,
    is_quiet,
    level_of,
)
from remediator.diagnosis.weights import weight_of
from remediator.domain import Source
from remediator.domain.late_pattern import late_pattern

_JOB_RESOURCES = frozenset({"ml_job", "cloudml_job"})
_LINES_HEAD = 2_000  # chosen
_LINES_TAIL = 12_000  # chosen
_LINES_BETWEEN = 6_000  # an even sample; chosen
_END_SHARE = 0.25  # of what the log says: its end; chosen
_END_LINES = 40  # of a short log: its end; chosen
_PROGRESS_AFTER = 2  # lines of progress, after which the program went on; chosen
_AGAIN = 3  # times; chosen
_LONG_AFTER = 10  # lines of progress, after which it went on for long; chosen


def log_texts(
    lines: Sequence[LogLine], *, serves: bool, time_was_up: bool = False
) -> Iterator[CaseText]:
    """Log lines without telemetry, each distinct text once; a bounded
    number of a long log.

    `serves`: the log is a model server's. What it says before its first request, and not again, stands
    in every start: of what failed later it says little. `time_was_up`: the job ended at its own time-out.
    """
    kept = [line for line in _sampled(lines) if line.text and TELEMETRY not in line.text]
    all_said = list(read_log(as_said(kept)))
    first_end = len(all_said) - max(_END_LINES, int(len(all_said) * _END_SHARE))
    progress = [not one.raised and is_progress(one.text) for one in all_said]
    ended_nothing_before = _last_work(all_said, progress, by_durations=time_was_up)
    long_before = _last_work(all_said, progress, by_durations=time_was_up, after=_LONG_AFTER)
    ended = None if serves else _terminal(all_said, ended_nothing_before)
    asked = next((i for i, one in enumerate(all_said) if serves and is_request(one.text)), 0)
    has_error_lines = any(level_of(one) in ERRORS for one in all_said)
    distinct: dict[tuple[str, str, tuple[str, ...]], tuple[LogItem, int, int, int]] = {}
    for position, said in enumerate(all_said):
        if progress[position] or _heads_exception(all_said, position, serves=serves):
            continue
        if serves and not said.raised and _FAILED.search(said.text) and is_access_line(said.text):
            continue  # that it failed says nothing of why; that it is not available for now does
        key = (said.line.task, said.text, tuple(one.text for one in said.raised[1:]))
        _, before, _, first = distinct.get(key, (said, 0, position, position))
        distinct[key] = (said, before + 1, position, first)
    for number, (said, count, last, first) in enumerate(distinct.values(), start=1):
        factor = 1.0 if last >= first_end else weight_of("early-line")
        if last < asked and not said.traced:
            factor *= weight_of("start-line")
        worked_on = not serves and last < ended_nothing_before
        # What came again and again while the work went on was caught each time, where time ended the job.
        caught = first if time_was_up and count >= _AGAIN else last
        long_after = not serves and caught < long_before
        if said.traced and worked_on:
            factor *= weight_of("passing-line")
        if not said.raised:
            factor *= _beside_the_end(said, is_known=ended is not None, levels=has_error_lines)
        if said.raised:
            for one in exception_texts(said, count, factor, number):
                yield replace(one, long_after=long_after)
        else:
            made = line_text(said.line, count, factor, said.text)
            made = replace(made, worked_on=time_was_up and worked_on, long_after=long_after)
            spoken = spoken_in(said.text, serves=serves)
            yield replace(made, spoken=spoken) if spoken is not None else made


def _beside_the_end(said: LogItem, *, is_known: bool, levels: bool) -> float:
    """How much less a line counts where what ended the program `is_known`, or where all lines have their `levels`."""
    if is_known and warns(said.text):
        return weight_of("warning-before-exception")
    if is_known and (is_quiet(said) or reports_elsewhere(said.text)):
        # What ended the program speaks; what it printed on its way is not asked.
        return weight_of("line-before-exception")
    if levels and level_of(said) in BELOW_ERROR:
        # A logger that gives every line its level, and has told of errors, told of none here.
        return weight_of("line-below-error")
    return 1.0


def as_said(lines: list[LogLine]) -> list[LogLine]:
    """The lines, those of the last moment with what standard output still held before its errors.

    A pipe is written to in blocks: what was printed long before its program ended comes together with its
    errors, or below them. Where it complains itself, all stays in its order.
    """
    end = len(lines)
    while end > 0 and is_service_line(lines[end - 1]):
        end -= 1
    first = end
    while first > 0 and first > end - _FLUSHED and came_at_once(lines[first - 1], lines[end - 1]):
        first -= 1
    burst = lines[first:end]
    held = [line for line in burst if line.severity in QUIET]
    if not held or len(held) == len(burst) or any(complains(line.text) for line in held):
        return lines
    errors = [line for line in burst if line.severity not in QUIET]
    return [*lines[:first], *held, *errors, *lines[end:]]


_FLUSHED = 400  # lines; chosen
_AT_ONCE = 0.5  # seconds; chosen, as that of a traceback's own lines


def came_at_once(first: LogLine, second: LogLine) -> bool:
    if first.time is None or second.time is None or first.task != second.task:
        return False
    return (second.time - first.time).total_seconds() <= _AT_ONCE


def _last_work(
    all_said: Sequence[LogItem],
    progress: Sequence[bool],
    *,
    by_durations: bool,
    after: int = _PROGRESS_AFTER,
) -> int:
    """The position before which nothing ended the program, since so many lines of progress came `after` it; -1: none did.

    `by_durations`: what tells how long something took counts as well.
    """
    working = (
        position
        for position in range(len(all_said) - 1, -1, -1)
        if progress[position] or (by_durations and span_of(all_said[position].line) is not None)
    )
    return next(itertools.islice(working, after - 1, None), -1)


_LAST_LINES = 8  # after which a traceback did not end the program; chosen


def _terminal(all_said: Sequence[LogItem], ended_nothing_before: int) -> LogItem | None:
    """The traceback with which the program ended, if it did: next to nothing comes after it."""
    for position in range(len(all_said) - 1, max(-1, len(all_said) - 1 - _LAST_LINES), -1):
        if all_said[position].traced:
            return all_said[position] if position > ended_nothing_before else None
    return None


def exception_texts(said: LogItem, count: int, factor: float, number: int) -> Iterator[CaseText]:
    """A traceback as its exceptions, each a statement; nothing of its frames and source lines.

    Where a client library's is among them and says what the service behind it did, that one speaks
    for all of them; beside it only a bug in the code that was handling it.
    """
    behind = service_behind(said.raised)
    if behind is not None and is_reported(said.raised, behind[0]):
        # It failed to tell somebody of an error: that error is what ended the program.
        below = behind[0].depth + 1
        deeper = (one for one in said.raised if one.depth >= below)
        said = replace(said, raised=tuple(replace(one, depth=one.depth - below) for one in deeper))
        behind = None
    if behind is not None:
        one, row = behind
        yield replace(
            line_text(one.line or said.line, count, factor, one.text, traced=said.traced),
            chain=number,
            spoken=row,
            frame=said.frame,
        )
    for one in said.raised:
        if behind is not None and not (one.depth == 0 and BUGS.search(one.name)):
            continue
        leads = said.lead and one.depth == 0 and not _UNHANDLED.match(said.lead)
        text = f"{said.lead} {one.text}" if leads else one.text
        made = line_text(one.line or said.line, count, factor, text, traced=said.traced)
        yield replace(
            made,
            factor=made.factor * (weight_of("handled-exception") if one.handled else 1.0),
            chain=number,
            traced=said.traced and one.depth == 0,
            stood_in=said.stood_in,
            frame=said.frame,
            cut_in=said.cut_in,
            below=one.below,
            call=one.call,
        )


def _heads_exception(said: Sequence[LogItem], position: int, *, serves: bool) -> bool:
    """A runtime's own line above an exception, in an entry of its own; of a server also its framework's."""
    one = said[position]
    if one.raised:
        return False
    if serves and _OF_A_REQUEST.is_in(one.text[:_HEAD]):
        return any(after.raised for after in said[position + 1 : position + 1 + _HEADED])
    after = said[position + 1] if position + 1 < len(said) else None
    return after is not None and bool(after.raised) and bool(_UNHANDLED.match(one.text))


_FAILED = late_pattern(r"\b500\b")  # documented: RFC 9110


# What frameworks write above the traceback of a request: `Uncaught exception POST /predict`, `Exception on request`.
_OF_A_REQUEST = Linear(
    r"\b(?:unhandled|uncaught) exception\b|\b(?:exception|error) (?:occurred )?(?:on|in|while|during|handling|processing|serving) (?:an? |the )?(?:handling |processing )?(?:request|asgi|wsgi|/|uri|post|predict)",
    needs="exception error",
)
_HEAD, _HEADED = 200, 2  # characters of a line, and lines below it that are looked at; chosen


# A runtime's own head above the exception, which tells nothing of it.
_UNHANDLED = late_pattern(r"\W{0,4}(?:unhandled|uncaught) exception\W{0,3}$", re.IGNORECASE)


def is_service_line(line: LogLine) -> bool:
    """Whether the entry's own fields say that the service wrote the line.

    The container's output can set an entry's payload and, through structured logging, its labels;
    it cannot set the resource. So the resource alone counts, unless the name of the log or a label
    speaks against it. An account that may write logs can forge all of it: such a line is preferred
    to a worker's, but never weighs more.
    """
    if line.task != SERVICE_TASK:  # a worker's, as most are
        return False
    resource = line.entry.get("resource")
    if not isinstance(resource, Mapping) or str(resource.get("type")) not in _JOB_RESOURCES:
        return False
    labels = resource.get("labels")
    named = labels.get("task_name") if isinstance(labels, Mapping) else None
    log = str(line.entry.get("logName") or "").rpartition("/")[2]
    return named == SERVICE_TASK and not log.startswith(
        ("workerpool", "master-replica", "worker-replica", "ps-replica")
    )


def line_text(
    line: LogLine, count: int, factor: float, text: str | None = None, *, traced: bool = False
) -> CaseText:
    """A log line as a text; `count` how often it stands there, `factor` what it weighs less (0 to 1)."""
    service = is_service_line(line)
    if line.severity in QUIET and not service and not traced:
        factor *= weight_of("quiet-line")
    task = "a worker" if line.task in {"", SERVICE_TASK} else line.task
    # A plain log's lines are given a task to be read by (`inputs.text_log`), which nobody named.
    plain = line.insert_id.startswith("line ") and "logName" not in line.entry
    written_by = "the log" if plain else f"the log of {task}"
    return CaseText(
        Source.LOG,
        line.insert_id or "logEntries",
        TextPlace.LOG,
        clean(line.text if text is None else without_zero_counts(text)),
        count=count,
        factor=1.0 if service else factor,
        author=SERVICE_AUTHOR if service else written_by,
    )


def _sampled(lines: Sequence[LogLine]) -> list[LogLine]:
    """All lines in order of time, or the first, the last and an even sample of those between."""
    if len(lines) <= _LINES_HEAD + _LINES_TAIL + _LINES_BETWEEN:
        chosen = list(lines)
    else:
        middle = lines[_LINES_HEAD:-_LINES_TAIL]
        step = len(middle) // _LINES_BETWEEN + 1
        chosen = [*lines[:_LINES_HEAD], *middle[::step], *lines[-_LINES_TAIL:]]
    if all(line.time is not None for line in chosen):
        chosen.sort(key=lambda line: line.time)  # type: ignore[arg-type,return-value]  # all are set
    return chosen
