"""The workers' and the service's log lines as texts, each weighed by who wrote it and when.

Owns which lines of a log are read, what of a traceback speaks, and how much less a line counts that stands
early, announces another try, or is below an error; also the last words before the end. Pure; called by
`read_case`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from remediator.case import LogLine
from remediator.diagnosis.bystanders import is_bystander
from remediator.diagnosis.clients import (
    is_reported,
    reports_elsewhere,
    service_behind,
    spoken_in,
)
from remediator.diagnosis.durations import span_of
from remediator.diagnosis.error_statements import statement_in
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.open_trace import LogItem
from remediator.diagnosis.progress_lines import complains, is_progress, warns, without_zero_counts
from remediator.diagnosis.servers import is_request
from remediator.diagnosis.signature import Tag, TextPlace
from remediator.diagnosis.signatures.authors import BUGS
from remediator.diagnosis.structure import read_log
from remediator.diagnosis.texts.case_text import (
    SERVICE_AUTHOR,
    SERVICE_TASK,
    TELEMETRY,
    TEXT_HEAD,
    CaseText,
    clean,
)
from remediator.diagnosis.texts.evidence import signatures_of
from remediator.diagnosis.weights import weight_of
from remediator.domain import JobKind, Source
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job

_JOB_RESOURCES = frozenset({"ml_job", "cloudml_job"})
_LINES_HEAD = 2_000  # chosen
_LINES_TAIL = 12_000  # chosen
_LINES_BETWEEN = 6_000  # an even sample; chosen
_END_SHARE = 0.25  # of what the log says: its end; chosen
_END_LINES = 40  # of a short log: its end; chosen
_QUIET = frozenset({"DEBUG", "INFO", "NOTICE", "WARNING"})


def log_texts(
    lines: Sequence[LogLine], *, serves: bool, time_was_up: bool = False
) -> Iterator[CaseText]:
    """Log lines without telemetry and without those of agents beside the job, each distinct text once; a bounded
    number of a long log.

    `serves`: the log is a model server's. What it says before its first request, and not again, stands
    in every start: of what failed later it says little. `time_was_up`: the job ended at its own time-out.
    """
    kept = [line for line in _sampled(lines) if line.text and TELEMETRY not in line.text]
    all_said = [
        one
        for one in read_log(_as_said(kept))
        if is_service_line(one.line) or not is_bystander(one.text)
    ]
    first_end = len(all_said) - max(_END_LINES, int(len(all_said) * _END_SHARE))
    progress = [not one.raised and is_progress(one.text) for one in all_said]
    ended_nothing_before = _last_work(all_said, progress, by_durations=time_was_up)
    ended = None if serves else _terminal(all_said, ended_nothing_before)
    asked = next((i for i, one in enumerate(all_said) if serves and is_request(one.text)), 0)
    has_error_lines = any(_level_of(one) in _ERRORS for one in all_said)
    distinct: dict[tuple[str, str, tuple[str, ...]], tuple[LogItem, int, int]] = {}
    for position, said in enumerate(all_said):
        if progress[position] or _heads_exception(all_said, position):
            continue
        key = (said.line.task, said.text, tuple(one.text for one in said.raised[1:]))
        held = distinct.get(key)
        distinct[key] = (said, (held[1] if held else 0) + 1, position)
    for number, (said, count, last) in enumerate(distinct.values(), start=1):
        factor = 1.0 if last >= first_end else weight_of("early-line")
        if last < asked and not said.traced:
            factor *= weight_of("start-line")
        worked_on = not serves and last < ended_nothing_before
        if said.traced and worked_on:
            factor *= weight_of("passing-line")
        if ended is not None and not said.raised and warns(said.text):
            factor *= weight_of("warning-before-exception")
        elif (
            ended is not None
            and not said.raised
            and (is_quiet(said) or reports_elsewhere(said.text))
        ):
            # What ended the program speaks; what it printed on its way is not asked.
            factor *= weight_of("line-before-exception")
        elif has_error_lines and not said.raised and _level_of(said) in _BELOW_ERROR:
            # A logger that gives every line its level, and has told of errors, told of none here.
            factor *= weight_of("line-below-error")
        if said.raised:
            yield from exception_texts(said, count, factor, number)
        else:
            made = line_text(said.line, count, factor, said.text)
            made = replace(made, worked_on=time_was_up and worked_on)
            spoken = spoken_in(said.text, serves=serves)
            yield replace(made, spoken=spoken) if spoken is not None else made


def last_words(lines: Sequence[LogLine], job: Job) -> CaseText | None:
    """What the workers state as their error, or else the last complaints that they end with: the first of
    these names the reason more often than the last, which tells of giving up. Lines that say where help is
    are passed over, and so are warnings. A line on stderr that begins with the program's own name is such a complaint, whatever
    it says; so is the last of a log that has a few lines only. `traced` where a language speaks of code.
    """
    workers = [
        line
        for line in lines[-_LAST_READ:]
        if line.text and not is_service_line(line) and not is_bystander(line.text)
    ]
    read = [*read_log(_as_said([line for line in workers if TELEMETRY not in line.text]))]
    loud = [one for one in read if not _is_warning(one)]
    if not any(one.text.strip() for one in loud):
        loud = [one for one in read if _CALLED_ERROR.is_in(one.text[:_LEVEL_READ])]
    said = _without_counts_of_errors(loud)
    stated = None if job.kind is JobKind.BATCH_PREDICTION else statement_in(said)
    if stated is not None:
        made = line_text(stated.said.line, 1, 1.0, stated.text, traced=stated.of_code)
        if _announces_another_try(made):
            return None
        return replace(
            made,
            traced=stated.of_code,
            frame=stated.frame,
            of_value=stated.of_value,
            first=clean(stated.first),
            after=clean(stated.after),
        )
    block = _complaints(said, job) or _only_words(said, lines)
    after = ""
    if not block:
        # A program that has written to standard output alone says its errors there.
        on_stdout = all(line.severity in _QUIET for line in workers)
        block, after = _complaint_above_advice(said, on_stdout=on_stdout)
    if not block:
        return None
    reported = [line_text(one.line, 1, 1.0, one.text) for one in reversed(block[:_LAST_WORDS])]
    if any(_announces_another_try(one) for one in reported):
        return None
    first = reported[0].text if len(reported) > 1 else ""
    text = " ".join(one.text for one in reported)
    return replace(reported[0], text=text, first=first, after=clean(after))


def _without_counts_of_errors(said: list[LogItem]) -> list[LogItem]:
    """Without the few lines that look like progress and come at once with a complaint above them: what they count
    is part of it ("See row: 2").
    """
    kept: list[LogItem] = []
    complaint, counts = None, 0
    for one in said:
        counting = not one.raised and is_progress(one.text)
        if not counting:
            if not one.raised and (
                complains(one.text) or _SAYS_ERROR.is_in(one.text[:_LEVEL_READ])
            ):
                complaint, counts = one, 0
        elif (
            complaint is not None and counts < _OTHERS_AFTER and _at_once(complaint.line, one.line)
        ):
            counts += 1
            continue
        kept.append(one)
    return kept


def _as_said(lines: list[LogLine]) -> list[LogLine]:
    """The lines, those of the last moment with what standard output still held before its errors.

    A pipe is written to in blocks: what was printed long before its program ended comes together with its
    errors, or below them. Where it complains itself, all stays in its order.
    """
    end = len(lines)
    while end > 0 and is_service_line(lines[end - 1]):
        end -= 1
    first = end
    while first > 0 and first > end - _FLUSHED and _at_once(lines[first - 1], lines[end - 1]):
        first -= 1
    burst = lines[first:end]
    held = [line for line in burst if line.severity in _QUIET]
    if not held or len(held) == len(burst) or any(complains(line.text) for line in held):
        return lines
    errors = [line for line in burst if line.severity not in _QUIET]
    return [*lines[:first], *held, *errors, *lines[end:]]


_FLUSHED = 400  # lines; chosen
_AT_ONCE = 0.5  # seconds; chosen, as that of a traceback's own lines


def _at_once(first: LogLine, second: LogLine) -> bool:
    if first.time is None or second.time is None or first.task != second.task:
        return False
    return (second.time - first.time).total_seconds() <= _AT_ONCE


def _is_warning(said: LogItem) -> bool:
    """A line that is a warning by its own level, or by its entry's where it gives itself none."""
    if said.raised or "\n" in said.text.strip():
        return False
    own = _OWN_LEVEL.match(said.text[:_LEVEL_HEAD])
    level = _word_of(own) if own else _level_of(said)
    if level:
        return level in _WARNINGS
    if warns(said.text):
        return True
    return said.line.severity == "WARNING" and not _SAYS_ERROR.is_in(said.text[:_LEVEL_READ])


def _announces_another_try(words: CaseText) -> bool:
    """What is skipped is not tried again: where nothing else goes on, it is what went wrong."""
    rest = replace(words, text=_SKIPS.sub("", words.text))
    return any(Tag.PASSING in row.tags for row in signatures_of(rest))


# A warning that tells of an error, which counts where it is all that was said.
_CALLED_ERROR = Linear(r"\b(?:erroneous|error|fatal)\b", needs="erro fatal")
_SKIPS = late_pattern(r"\bskipp(?:ing|ed)\b", re.IGNORECASE)


def _complaint_above_advice(
    said: Sequence[LogItem], *, on_stdout: bool
) -> tuple[list[LogItem], str]:
    """The last complaint, however much advice or how long a report stands below it, and the line above it; the
    last first. And what stands below it."""
    end = itertools.takewhile(
        lambda one: not (one.raised or is_progress(one.text)), said[: -_ABOVE_ADVICE - 1 : -1]
    )
    rows = [one for one in end if one.text.strip() and not _OF_HELP.is_in(one.text)]
    for number, one in enumerate(rows):
        if complains(one.text) and _is_loud(one, on_stdout=on_stdout):
            below = " ".join(advice.text.strip() for advice in rows[:number][::-1])
            return rows[number : number + 2], below
    return [], ""


_ABOVE_ADVICE = 20  # lines; chosen


def _is_loud(said: LogItem, *, on_stdout: bool) -> bool:
    """An error by its level or by its stream; on standard output alone what has no level of its own."""
    if _SAYS_ERROR.is_in(said.text[:_LEVEL_READ]) or not is_quiet(said):
        return True
    if not on_stdout or said.line.is_structured:
        return False
    return not _OWN_LEVEL.match(said.text[:_LEVEL_HEAD]) and not _level_field(said.text)


def _complaints(said: Sequence[LogItem], job: Job) -> list[LogItem]:
    """The last complaints, the last first."""
    block: list[LogItem] = []
    others = 0
    for one in reversed(said):
        text = one.text.strip()
        if one.raised or is_progress(text):
            break
        if not text or _OF_HELP.is_in(text):
            continue
        loud = _is_loud(one, on_stdout=False)
        if (complains(text) and loud) or (not block and _by_name(one, job)):
            block.append(one)
        elif block or others == _OTHERS_AFTER:
            break
        else:
            others += 1
    return block


def _only_words(said: Sequence[LogItem], lines: Sequence[LogLine]) -> list[LogItem]:
    """Of a log of a few lines that is no progress all of it, and of a longer one what alone is on stderr; the
    last first."""
    if any(one.raised or is_progress(one.text) for one in said[-_LAST_WORDS:]):
        return []
    kept = [one for one in said if one.text.strip() and not _OF_HELP.is_in(one.text)]
    if len(lines) > _FEW_LINES:
        kept = [one for one in kept if one.line.severity not in _QUIET and not is_quiet(one)]
    return kept[::-1] if len(kept) <= _FEW_LINES else []


def stop_request(lines: Sequence[LogLine]) -> CaseText | None:
    """The last line of the workers that tells of SIGTERM or of a time limit that was reached; `after`: what a shell
    then told of a kill."""
    killed = ""
    for line in reversed(lines[-_LAST_READ:]):
        if not line.text or is_service_line(line):
            continue
        if _STOP.is_in(line.text[:TEXT_HEAD]):
            return replace(line_text(line, 1, 1.0), after=killed)
        killed = line.text if _KILLED.search(line.text[:_LEVEL_READ]) else killed
    return None


_KILLED = late_pattern(r":\s+\d+ Killed\b|^Killed\b")


def _by_name(said: LogItem, job: Job) -> bool:
    """`program: message` on stderr, by the name under which the job runs the program."""
    named = _PROGRAM.match(said.text) if said.line.severity not in _QUIET else None
    return named is not None and any(
        re.search(rf"(?:^|[\s/]){re.escape(named['name'])}(?:\s|$)", str(word))
        for command in job.programs
        for word in (command if isinstance(command, list | tuple) else [command])
    )


# A program that prints its errors where it prints all else, and calls them so.
_SAYS_ERROR = Linear(
    r"^\W{0,6}(?:\w{1,20}\W{1,3}){0,3}(?:error|fatal)\b|[:\d]\W{0,3}(?:\w{1,12} )?error\b",
    needs="error fatal",
)
_PROGRAM = late_pattern(r"(?P<name>[A-Za-z][\w.+-]{1,40}): \S")
_STOP = Linear(
    r"\b(?:received|got|caught|sending|sent)\b.{0,30}\b(?:SIGTERM|signal:? (?:15|TERM))\b"
    r"|\bSIGTERM\b.{0,20}\b(?:received|caught|arrived)\b|\btime(?:out|limit): sending (?:warning )?signal"
    r"|\b(?:wall[- ]?clock|wall[- ]?time|walltime|run[- ]?time|time)[- ]?limit\b.{0,40}\b(?:reached|exceeded|hit|expired|is up)"
    r"|\b(?:hit|reached|exceeded|past|over)\b.{0,20}\b(?:wall[- ]?clock|wall[- ]?time|run[- ]?time|time)[- ]?limit\b|\bdue to time limit\b"
)
_LAST_READ, _LAST_WORDS, _OTHERS_AFTER, _FEW_LINES = 80, 5, 3, 4  # lines; chosen
# What programs print below their error: rules, and where to read on.
_OF_HELP = Linear(
    r"^[-=_*#~ ]{8,}$|\bexiting\W*$|^\W*exiting\b[^:]{0,20}$|for (?:more|further|additional) (?:information|details|help)|\bplease (?:read|check|see|refer|report|contact|visit|consult|provide)\b|\bre-?run\b.{0,40}\b(?:with|using)\b|^\S{0,20}\s{0,4}https?://\S+$|\bwebsite at https?:|^\W*\[Help \d+\]|\bthank you\b|full stack trace|\b(?:log|report) (?:file )?can be found\b|^try .{1,60}--help|^\W*(?:error|fatal)\W*$|^\(Use .node --trace|^Node\.js v\d",
)


def _last_work(all_said: Sequence[LogItem], progress: Sequence[bool], *, by_durations: bool) -> int:
    """The position before which nothing ended the program, since lines of progress came after it; -1: none did.

    `by_durations`: what tells how long something took counts as well.
    """
    working = [
        position
        for position, one in enumerate(all_said)
        if progress[position] or (by_durations and span_of(one.line) is not None)
    ]
    return working[-_PROGRESS_AFTER] if len(working) >= _PROGRESS_AFTER else -1


_PROGRESS_AFTER = 2  # lines of progress, after which the program went on; chosen
_LAST_LINES = 8  # after which a traceback did not end the program; chosen


def _terminal(all_said: Sequence[LogItem], ended_nothing_before: int) -> LogItem | None:
    """The traceback with which the program ended, if it did: next to nothing comes after it."""
    for position in range(len(all_said) - 1, max(-1, len(all_said) - 1 - _LAST_LINES), -1):
        if all_said[position].traced:
            return all_said[position] if position > ended_nothing_before else None
    return None


_OWN_LEVEL = late_pattern(
    r"^\W{0,3}(?:[\w:.,+/-]+\s+){0,4}?\W?(?P<level>TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|SEVERE)\b"
    r"|^\[[^\]]{8,40}\] (?:\[\d{1,8}\] )?\[(?P<bracketed>trace|debug|info|notice|warn|error|fatal)\]"
    r"|^\[[^\]]{8,40}\] \[[\w-]{0,30}:(?P<httpd>debug|info|notice|warn|error|crit|alert|emerg)\]"
)
_LEVEL_FIELD = late_pattern(
    r"(?:[\"'](?:level|lvl|severity|levelname|log\.level)[\"']\s{0,2}:\s{0,2}[\"']|\b(?:level|lvl)=\"?)(?P<level>[A-Za-z]{4,8})\b"
)
_ERRORS = frozenset({"ERROR", "CRITICAL", "FATAL", "PANIC", "SEVERE", "EMERGENCY", "ALERT"})
_WARNINGS = frozenset({"WARN", "WARNING"})
_BELOW_ERROR = frozenset({"TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING"})


def is_quiet(said: LogItem) -> bool:
    """Below an error, by the line's own word; stderr is logged as ERROR whatever it says."""
    own = _OWN_LEVEL.match(said.text[:_LEVEL_HEAD])
    if own:
        return _word_of(own) in _BELOW_ERROR
    return _level_field(said.text) in _BELOW_ERROR or said.line.severity in _QUIET


def _level_field(text: str) -> str:
    """The level that a structured line (JSON, `level=warn`) gives itself, in capitals; else empty."""
    head = text[:_LEVEL_READ]
    if "level" not in head and "severity" not in head and "lvl" not in head:
        return ""
    found = _LEVEL_FIELD.search(head)
    return found["level"].upper() if found else ""


def _word_of(own: re.Match[str]) -> str:
    return str(own["level"] or own["bracketed"] or own["httpd"]).upper()


def _level_of(said: LogItem) -> str:
    """The level that a structured line gives itself, in capitals; else empty."""
    if said.line.is_structured:
        return said.line.severity
    return _level_field(said.text)


_LEVEL_HEAD, _LEVEL_READ = 120, 300  # characters, of a plain and of a structured line; chosen


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


def _heads_exception(said: Sequence[LogItem], position: int) -> bool:
    """A runtime's own line above an exception, in an entry of its own."""
    one = said[position]
    after = said[position + 1] if position + 1 < len(said) else None
    return (
        not one.raised
        and after is not None
        and bool(after.raised)
        and bool(_UNHANDLED.match(one.text))
    )


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
    if line.severity in _QUIET and not service and not traced:
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
