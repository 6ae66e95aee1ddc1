"""The last words of a program: what its workers state as their error, or the complaints that they end with.

Owns which of the last lines speak, past advice and counts, and the line that says that the program was asked to end.
Pure; called by `read_case`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from msgspec.structs import replace

from remediator.case import LogLine
from remediator.diagnosis.error_statements import statement_in
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.open_trace import LogItem
from remediator.diagnosis.progress_lines import complains, is_progress
from remediator.diagnosis.servers import is_access_line
from remediator.diagnosis.signature import Tag
from remediator.diagnosis.structure import read_log
from remediator.diagnosis.texts.case_text import (
    TELEMETRY,
    TEXT_HEAD,
    CaseText,
    clean,
)
from remediator.diagnosis.texts.evidence import signatures_of
from remediator.diagnosis.texts.levels import (
    LEVEL_READ,
    QUIET,
    SAYS_ERROR,
    has_level,
    is_quiet,
    is_warning,
)
from remediator.diagnosis.texts.log_lines import (
    as_said,
    came_at_once,
    is_service_line,
    line_text,
)
from remediator.domain import JobKind
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job


def last_words(lines: Sequence[LogLine], job: Job) -> CaseText | None:
    """What the workers state as their error, or else the last complaints that they end with: the first of
    these names the reason more often than the last, which tells of giving up. Lines that say where help is
    are passed over, and so are warnings. A line on stderr that begins with the program's own name is such a complaint, whatever
    it says; so is the last of a log that has a few lines only. `traced` where a language speaks of code.
    """
    workers = [line for line in lines[-_LAST_READ:] if line.text and not is_service_line(line)]
    read = [*read_log(as_said([line for line in workers if TELEMETRY not in line.text]))]
    if job.kind is JobKind.BATCH_PREDICTION:
        read = [one for one in read if one.raised or not is_access_line(one.text)]
    loud = [one for one in read if not is_warning(one)]
    if not any(one.text.strip() for one in loud):
        loud = [one for one in read if _CALLED_ERROR.is_in(one.text[:LEVEL_READ])]
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
        on_stdout = all(line.severity in QUIET for line in workers)
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
            if not one.raised and (complains(one.text) or SAYS_ERROR.is_in(one.text[:LEVEL_READ])):
                complaint, counts = one, 0
        elif (
            complaint is not None
            and counts < _OTHERS_AFTER
            and came_at_once(complaint.line, one.line)
        ):
            counts += 1
            continue
        kept.append(one)
    return kept


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
    if SAYS_ERROR.is_in(said.text[:LEVEL_READ]) or not is_quiet(said):
        return True
    if not on_stdout or said.line.is_structured:
        return False
    return not has_level(said)


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
        serves = job.kind is JobKind.BATCH_PREDICTION
        if ((complains(text) or (serves and _IS_ERROR.match(text))) and loud) or (
            not block and _by_name(one, job)
        ):
            block.append(one)
        elif block or others == _OTHERS_AFTER:
            break
        else:
            others += 1
    return block


# A line that is an error by its level, whatever its words are; a server has no last line that would tell it apart.
_IS_ERROR = late_pattern(
    r"\W{0,3}(?:[\w:.,+/-]+\s+){0,4}?\W?(?:ERROR|CRITICAL|FATAL|SEVERE)\b|\[[EC] \d{6} |E\d{4} "
)


def _only_words(said: Sequence[LogItem], lines: Sequence[LogLine]) -> list[LogItem]:
    """Of a log of a few lines that is no progress all of it, and of a longer one what alone is on stderr; the
    last first."""
    if any(one.raised or is_progress(one.text) for one in said[-_LAST_WORDS:]):
        return []
    kept = [one for one in said if one.text.strip() and not _OF_HELP.is_in(one.text)]
    if len(lines) > _FEW_LINES:
        kept = [one for one in kept if one.line.severity not in QUIET and not is_quiet(one)]
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
        killed = line.text if _KILLED.search(line.text[:LEVEL_READ]) else killed
    return None


def end_from_outside(lines: Sequence[LogLine]) -> CaseText | None:
    """Where a log alone ends in a request to end: its program heard SIGTERM, or the service says that it cancels the job."""
    said = [line for line in lines[-_LAST_READ:] if line.text.strip()][-_HEEDS:]
    for line in reversed(said):
        text = line.text[:TEXT_HEAD]
        matched = _CANCELS.is_in(text) if is_service_line(line) else _STOP.is_in(text)
        if matched or _OF_THE_JOB.is_in(text):
            return line_text(line, 1, 1.0)
    return None


_HEEDS = 6  # lines, what a program says as it heeds the request among them; chosen
_CANCELS = Linear(
    r"\bsigterm\b|\bsignal:? (?:15|term)\b|\bcancell?(?:ed|ing)\b|\bterminating (?:all )?(?:replicas|workers|the job)\b"
)
# A plain log does not say which lines are the service's.
_OF_THE_JOB = Linear(
    r"\bjob (?:is |was |has been )?(?:being )?cancell?ed\b|\bcancell?ing (?:the )?job\b"
)
_KILLED = late_pattern(r":\s+\d+ Killed\b|^Killed\b")


def _by_name(said: LogItem, job: Job) -> bool:
    """`program: message` on stderr, by the name under which the job runs the program."""
    named = _PROGRAM.match(said.text) if said.line.severity not in QUIET else None
    return named is not None and any(
        re.search(rf"(?:^|[\s/]){re.escape(named['name'])}(?:\s|$)", str(word))
        for command in job.programs
        for word in (command if isinstance(command, list | tuple) else [command])
    )


# A program that prints its errors where it prints all else, and calls them so.


_PROGRAM = late_pattern(r"(?P<name>[A-Za-z][\w.+-]{1,40}): \S")


_STOP = Linear(
    r"\b(?:received|got|caught|sending|sent)\b.{0,30}\b(?:SIGTERM|signal:? (?:15|TERM))\b"
    r"|\b(?:SIGTERM|signal:? (?:15|TERM))\b.{0,20}\b(?:received|caught|arrived)\b|\btime(?:out|limit): sending (?:warning )?signal"
    r"|\b(?:wall[- ]?clock|wall[- ]?time|walltime|run[- ]?time|time)[- ]?limit\b.{0,40}\b(?:reached|exceeded|hit|expired|is up)"
    r"|\b(?:hit|reached|exceeded|past|over)\b.{0,20}\b(?:wall[- ]?clock|wall[- ]?time|run[- ]?time|time)[- ]?limit\b|\bdue to time limit\b"
    r"|\b(?:deadline|time[ -]?out|timed out|time[ -]?limit|wall-?time)(?: (?:exceeded|reached|hit|expired))?\W{0,3} killed\W*$"
    # Documented: uWSGI's manual. At SIGTERM it reloads, unless `die-on-term` is set, and is killed later.
    r"|\b(?:brutally|gracefully) killing workers\b|\bbinary reloading uwsgi\b"
)


_LAST_READ, _LAST_WORDS, _OTHERS_AFTER, _FEW_LINES = 80, 5, 3, 4  # lines; chosen


# What programs print below their error: rules, and where to read on.
_OF_HELP = Linear(
    r"^[-=_*#~ ]{8,}$|\bexiting\W*$|^\W*exiting\b[^:]{0,20}$|for (?:more|further|additional) (?:information|details|help)|\bplease (?:read|check|see|refer|report|contact|visit|consult|provide)\b|\bre-?run\b.{0,40}\b(?:with|using)\b|^\S{0,20}\s{0,4}https?://\S+$|\bwebsite at https?:|^\W*\[Help \d+\]|\bthank you\b|full stack trace|\b(?:log|report) (?:file )?can be found\b|^try .{1,60}--help|^\W*(?:error|fatal)\W*$|^\(Use .node --trace|^Node\.js v\d",
)
