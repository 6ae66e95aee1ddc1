"""Every text in a case that says something about the failure, and the signs found in it.

Owns the reading of texts: which there are (the job's error, a pipeline's failed tasks, partial
failures, error rows, the service's log lines, the workers' lines), who can have written each, how
much of each is read, and what is taken off it (escapes, wrappers). Hands the texts to `matching`
and turns rows into signs. Long, since what weighs a text (its place, its time, who speaks) is one
matter for all of them. Bounded in lines and in characters, whatever it is given. Pure; called
by `diagnose`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from remediator.case import Case, LogLine
from remediator.diagnosis.clients import service_behind, spoken_in
from remediator.diagnosis.lazy_patterns import Late, Linear
from remediator.diagnosis.matching import (
    quote_of,
    signature,
    signatures_in,
    silenced_by,
    silenced_everywhere_by,
)
from remediator.diagnosis.servers import is_request
from remediator.diagnosis.signature import Signature, Tag, TextPlace
from remediator.diagnosis.signatures.authors import BUGS
from remediator.diagnosis.structure import (
    LogItem,
    complains,
    is_progress,
    read_log,
    without_zero_counts,
)
from remediator.diagnosis.weighted_evidence import (
    DECISIVE,
    FAIR,
    WeightedEvidence,
    weighted_evidence,
)
from remediator.domain import Cause, Frame, JobKind, JobState, Source
from remediator.job import FaultPart, Job, RpcStatus
from remediator.job.rows import RowAccount, code_of

SERVICE_TASK = "service"
"""The `task_name` of lines that Vertex itself writes."""
SERVICE_AUTHOR = "the service's log"
_TELEMETRY = "remediatorTelemetry"
_JOB_RESOURCES = frozenset({"ml_job", "cloudml_job"})
_AUDIT_LOG = "cloudaudit.googleapis.com"

_LINES_HEAD = 2_000
_LINES_TAIL = 12_000
_LINES_BETWEEN = 6_000
_TEXT_HEAD = 6_000
_TEXT_TAIL = 6_000
_ROWS_READ = 400
_FILE_CHARS = 200_000

# What a line of a worker can weigh at most: its author is whoever wrote the code.
LOG_CEILING = DECISIVE - 0.6
# A complaint that announces another try, or stands long before the end, was not the end.
_PASSING_FACTOR = 0.35
# Where nothing but such complaints is heard, they are what there is to go by, with less weight.
_ONLY_PASSING_FACTOR = 0.75
_EARLY_FACTOR = 0.8
_QUIET_FACTOR = 0.85
# What was being handled when the next exception came is often the reason, and often harmless.
_HANDLED_FACTOR = 0.9
# What a server says while it starts, and then serves: chosen, below what a passing complaint keeps.
_START_FACTOR = 0.3
# Lines of a program that an exception then ended, below an error by their own word; chosen.
_ON_ITS_WAY_FACTOR = 0.5
# Structured lines below an error, of a logger that has told of errors; chosen.
_BELOW_ERROR_FACTOR = 0.3
_END_SHARE = 0.25
_END_LINES = 40
# A row that weighs this much names a cause well enough to silence the rows of last resort.
_NAMES_A_CAUSE = 2.5
_QUIET = frozenset({"DEBUG", "INFO", "NOTICE", "WARNING"})

# google.rpc codes that say something by themselves; the message says more.
_CODE_SIGNS: Mapping[int, tuple[tuple[Cause, float], ...]] = {
    3: (
        (Cause.INVALID_CONFIG, FAIR - 1.2),
    ),  # the service gives it to every replica that exits, too
    5: ((Cause.BAD_INPUT, FAIR - 1.2), (Cause.INVALID_CONFIG, FAIR - 1.0)),
    7: ((Cause.PERMISSION, FAIR + 0.4),),
    8: ((Cause.QUOTA, FAIR - 0.2),),
    14: ((Cause.TRANSIENT_BACKEND, FAIR),),
    16: ((Cause.PERMISSION, FAIR + 0.2),),
}
_CODE_NAMES: Mapping[int, str] = {
    1: "CANCELLED",
    2: "UNKNOWN",
    3: "INVALID_ARGUMENT",
    4: "DEADLINE_EXCEEDED",
    5: "NOT_FOUND",
    6: "ALREADY_EXISTS",
    7: "PERMISSION_DENIED",
    8: "RESOURCE_EXHAUSTED",
    9: "FAILED_PRECONDITION",
    10: "ABORTED",
    11: "OUT_OF_RANGE",
    12: "UNIMPLEMENTED",
    13: "INTERNAL",
    14: "UNAVAILABLE",
    15: "DATA_LOSS",
    16: "UNAUTHENTICATED",
}
_DEADLINE_CODE = 4
_MEMORIES = frozenset({Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY})

_ROW = re.compile(
    r"^\(\s*(['\"])(?P<message>.*)\1\s*,\s*(?P<count>\d{1,12})\s*\)\s*,?\s*$", re.DOTALL
)
_ELAPSED = re.compile(r"elapsed=(\d{1,6}(?:\.\d{1,6})?)s?")


@dataclass(frozen=True, slots=True)
class CaseText:
    """One text: where it stood, who can have written it, and how much it may weigh.

    `code` is a google.rpc code given beside the text (0: none). `count` is how many instances or
    lines say the same. `factor` lowers what its rows weigh.
    """

    source: Source
    where: str
    place: TextPlace
    text: str
    code: int = 0
    count: int = 1
    factor: float = 1.0
    author: str = ""
    chain: int = 0
    """Exceptions of one traceback bear one number, from 1: what one of them silences, all do."""
    traced: bool = False
    spoken: Signature | None = None
    """What a client library or a tool says here of the service behind it: no other row counts."""
    frame: Frame | None = None
    stood_in: str = ""


@dataclass(frozen=True, slots=True)
class FailedRows:
    """Failed instances of a batch prediction, summed up."""

    failed: int
    successful: int
    incomplete: int
    messages: tuple[tuple[str, int], ...]

    @property
    def says(self) -> str:
        """One sentence: how many, which errors, an example."""
        total = self.failed + self.successful + max(0, self.incomplete)
        counted = (
            f"{self.failed:,} of {total:,} instances failed"
            if total > self.failed
            else (f"{self.failed:,} instances failed" if self.failed else "instances failed")
        )
        if self.incomplete > 0:
            counted += f" ({self.incomplete:,} never attempted)"
        if not self.messages:
            return counted
        kinds = f"{len(self.messages)} different errors" if len(self.messages) > 1 else "all alike"
        return f'{counted}, {kinds}, for example: "{_shorten(self.messages[0][0])}"'


@dataclass(frozen=True, slots=True)
class TextEvidence:
    """What all texts together say: signs for causes, and tags with where they were found."""

    signs: tuple[WeightedEvidence, ...]
    tags: Mapping[Tag, tuple[CaseText, str]]
    elapsed_seconds: float | None
    rows: FailedRows | None
    raised: tuple[CaseText, ...] = ()
    """The exceptions that ended a traceback each."""
    stood_in: tuple[tuple[CaseText, str], ...] = ()
    """Where the program stood when it was stopped from outside: `network` or `code`."""
    last_words: CaseText | None = None
    """The last line before the end that complains; a program that gives up says so, then exits."""
    stop_request: CaseText | None = None
    """A line near the end that says that the program was asked to end, or that its time was up."""
    about_memory: tuple[tuple[CaseText, Signature], ...] = ()
    """Texts that say that memory was short, each with the row that says so."""

    def has(self, tag: Tag) -> bool:
        return tag in self.tags


def clean(text: str) -> str:
    """The text with escapes undone and white space collapsed, head and tail if it is long.

    An error inside JSON inside a string is still an error: its quotes and line breaks are undone.
    """
    if len(text) > _TEXT_HEAD + _TEXT_TAIL:
        text = f"{text[:_TEXT_HEAD]} … {text[-_TEXT_TAIL:]}"
    if "\\" in text:
        for escaped, plain in (
            ("\\\\", "\\"),
            ("\\n", " "),
            ("\\t", " "),
            ("\\r", " "),
            ('\\"', '"'),
            ("\\'", "'"),
            ("\\_", "_"),
        ):
            text = text.replace(escaped, plain)
    if "&" in text:
        text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
        text = text.replace("&#39;", "'").replace("&amp;", "&")
    text = text.encode("utf-8", "replace").decode()
    return " ".join(text.replace("\x00", " ").split())


def read_job(job: Job) -> TextEvidence:
    """What the job's own error, its failed tasks and its partial failures say: nothing else."""
    return _read_texts([*_job_statements(job), *_partial_statements(job)], _rows_of(job, {}))


def read_task(name: str, where: str, status: RpcStatus | None) -> TextEvidence:
    """What the error of one task of a pipeline run says: nothing else."""
    author = _AUTHORS[FaultPart.TASK].format(name)
    return _read_texts([*_status(status, Source.JOB, where, TextPlace.ERROR, author)], None)


def read_case(case: Case) -> TextEvidence:
    """What all texts of the case say."""
    counted = list(_account_statements(case.rows))
    if counted and case.rows and case.rows.passing_message:
        rows, sampled = counted, []  # what may pass decides, whatever else some rows failed of
    else:
        rows = list(_error_file_statements(case.error_files)) or counted
        sampled = list(_partial_statements(case.job))
    # Partial failures are a sample of the error rows: where there are rows, those are counted.
    sample = 0 if rows else 1
    case_texts = [
        *_job_statements(case.job),
        *(replace(one, count=sample) for one in sampled),
        *_entry_statements(case),
        *rows,
        *_log_statements(case.log_lines, serves=case.job.kind is JobKind.BATCH_PREDICTION),
    ]
    failed_rows = _rows_of_account(case.rows) or _rows_of(case.job, case.error_files)
    reading = _read_texts(case_texts, failed_rows)
    return replace(
        reading,
        last_words=_last_words(case.log_lines, case.job),
        stop_request=_stop_request(case.log_lines),
    )


# --- which texts there are ---------------------------------------------------------------------


def _job_statements(job: Job) -> Iterator[CaseText]:
    for fault in job.faults:
        if fault.part is not FaultPart.ROW:
            author = _AUTHORS[fault.part].format(fault.name)
            yield from _status(fault.status, Source.JOB, fault.where, TextPlace.ERROR, author)


_AUTHORS = {
    FaultPart.JOB: "the job's error",
    FaultPart.TASK: "task {}'s error",
    FaultPart.TRIAL: "trial {}'s error",
}


def _status(
    status: RpcStatus | None, source: Source, where: str, place: TextPlace, author: str
) -> Iterator[CaseText]:
    """A google.rpc.Status as a statement: its message, its code, and details as text."""
    text = clean(status.text) if status else ""
    if status and (text or status.code):
        yield CaseText(source, where, place, text, code=status.code, author=author)


def _partial_statements(job: Job) -> Iterator[CaseText]:
    for fault in job.faults:
        if fault.part is FaultPart.ROW:
            yield from _status(
                fault.status, Source.JOB, fault.where, TextPlace.ROW, "a partial failure"
            )


def _entry_statements(case: Case) -> Iterator[CaseText]:
    """The entry that started the incident: its own line, or the audit log's refusal."""
    entry = case.log_entry
    if not isinstance(entry, Mapping):
        return
    where = str(entry.get("insertId") or "logEntry")
    if any(line.insert_id == where for line in case.log_lines if line.insert_id):
        return
    payload = entry.get("protoPayload")
    if isinstance(payload, Mapping):
        # Nobody but Google writes to the audit log (recalled, not checked against a real project); a
        # payload elsewhere is a line like any other.
        place = TextPlace.ERROR if _AUDIT_LOG in str(entry.get("logName") or "") else TextPlace.LOG
        yield from _status(
            RpcStatus.parse(payload.get("status")),
            Source.LOG,
            where,
            place,
            "the audit log's refusal",
        )
        return
    line = LogLine.parse(entry)
    if "vertex-remediator" in str(entry.get("logName") or ""):
        # Our own announcement repeats the job's error, which is read from the job itself.
        return
    if line.text:
        yield _line_statement(line, 1, 1.0)


def _error_file_statements(files: Mapping[str, str]) -> Iterator[CaseText]:
    budget = _ROWS_READ
    for name in sorted(files):
        rows = _answers_in if _ANSWERS.match(name.rpartition("/")[2]) else _rows_in
        for message, code, count in rows(files[name], budget):
            budget -= 1
            yield CaseText(
                Source.ERROR_FILE,
                name,
                TextPlace.ROW,
                clean(message),
                code=code,
                count=count,
                author="an error row",
            )
        if budget <= 0:
            return


def _account_statements(account: RowAccount | None) -> Iterator[CaseText]:
    """The messages of a batch's failed rows: of those that may pass the most frequent alone."""
    if account is None:
        return
    passing = account.passing_message
    for message, count in (passing,) if passing else [*account.failed.items()][:_ROWS_READ]:
        code = code_of(message) or 0
        yield CaseText(
            Source.ERROR_FILE,
            "rows.failed",
            TextPlace.ROW,
            clean(message),
            code=code if code in _CODE_NAMES else 0,
            count=count,
            author="a failed row",
        )


def _rows_in(text: str, limit: int) -> Iterator[tuple[str, int, int]]:
    """(message, code, count) of the rows of an error file, of either generation; head and tail."""
    if len(text) > _FILE_CHARS:
        text = f"{text[: _FILE_CHARS // 2]}\n{text[-_FILE_CHARS // 2 :]}"
    whole = _ROW.match(text.strip())
    # A row may be broken over lines where a person pasted it.
    rows = [text] if whole and text.count("('") + text.count('("') <= 1 else text.splitlines()
    seen: dict[str, tuple[int, int]] = {}
    for row in rows:
        if not row.strip():
            continue
        match = _ROW.match(row.strip())
        if match:
            message, code, count = match["message"], 0, int(match["count"])
        else:
            message, code = _json_row(row)
            count = 1
        key = message[:2_000]
        held = seen.get(key)
        if held is None and len(seen) >= limit:
            continue
        seen[key] = (code, count + (held[1] if held else 0))
    for message, (code, count) in seen.items():
        yield message, code, count


_ANSWERS = re.compile(r"(?:incremental_)?predictions\.jsonl")
"""Output of a batch on a publisher's model: failed rows stand among the others, by their status."""


def _answers_in(text: str, limit: int) -> Iterator[tuple[str, int, int]]:
    """(status, code, count) of the rows that have a status and no response; torn rows say nothing."""
    seen: dict[str, int] = {}
    for row in text.splitlines():
        try:
            body = json.loads(row)
        except (ValueError, RecursionError):
            continue
        status = body.get("status") if isinstance(body, dict) else None
        if not status or body.get("response"):
            continue
        message = as_text(status)[:2_000]
        if message in seen or len(seen) < limit:
            seen[message] = seen.get(message, 0) + 1
    for message, count in seen.items():
        named = _STATUS_CODE.search(message)
        yield message, int(named[1]) if named else 0, count


_STATUS_CODE = re.compile(r"\bcode[\"']?\s{0,2}[:=]\s{0,2}(\d{1,2})\b", re.IGNORECASE)


def _json_row(row: str) -> tuple[str, int]:
    """The message and code of `{"instance": …, "error": {…}}`; any other row is its own message."""
    try:
        body = json.loads(row)
    except (ValueError, RecursionError):
        return row, 0
    error = body.get("error") if isinstance(body, dict) else None
    if isinstance(error, dict):
        code = error.get("code")
        message = as_text(error.get("message") or error)
        return message, int(code) if isinstance(code, int) else 0
    return as_text(error) if error else row, 0


def _log_statements(lines: Sequence[LogLine], *, serves: bool) -> Iterator[CaseText]:
    """Log lines without telemetry, each distinct text once; a bounded number of a long log.

    `serves`: the log is a model server's. What it says before its first request, and not again, stands
    in every start: of what failed later it says little.
    """
    kept = [line for line in _sampled(lines) if line.text and _TELEMETRY not in line.text]
    all_said = list(read_log(kept))
    first_end = len(all_said) - max(_END_LINES, int(len(all_said) * _END_SHARE))
    progress = [not one.raised and is_progress(one.text) for one in all_said]
    last_progress = [i for i, counts in enumerate(progress) if counts][-_PROGRESS_AFTER:]
    # After this many a traceback cannot have ended the program: it went on.
    ended_nothing_before = last_progress[0] if len(last_progress) == _PROGRESS_AFTER else -1
    ended = None if serves else _terminal(all_said, ended_nothing_before)
    asked = next((i for i, one in enumerate(all_said) if serves and is_request(one.text)), 0)
    has_error_lines = any(_level_field(one.text) in _ERRORS for one in all_said)
    distinct: dict[tuple[str, str, tuple[str, ...]], tuple[LogItem, int, int]] = {}
    for position, said in enumerate(all_said):
        if progress[position]:
            continue
        key = (said.line.task, said.text, tuple(one.text for one in said.raised[1:]))
        held = distinct.get(key)
        distinct[key] = (said, (held[1] if held else 0) + 1, position)
    for number, (said, count, last) in enumerate(distinct.values(), start=1):
        factor = 1.0 if last >= first_end else _EARLY_FACTOR
        if last < asked and not said.traced:
            factor *= _START_FACTOR
        if said.traced and not serves and last < ended_nothing_before:
            factor *= _PASSING_FACTOR
        if ended is not None and not said.raised and is_quiet(said):
            # What ended the program speaks; what it printed on its way is not asked.
            factor *= _ON_ITS_WAY_FACTOR
        elif has_error_lines and not said.raised and _level_field(said.text) in _BELOW_ERROR:
            # A logger that gives every line its level, and has told of errors, told of none here.
            factor *= _BELOW_ERROR_FACTOR
        if said.raised:
            yield from _raised_statements(said, count, factor, number)
        else:
            made = _line_statement(said.line, count, factor, said.text)
            spoken = spoken_in(said.text)
            yield replace(made, spoken=spoken) if spoken is not None else made


def _last_words(lines: Sequence[LogLine], job: Job) -> CaseText | None:
    """The last complaints of the workers, if they end with some: the first of them names the reason
    more often than the last, which tells of giving up. Lines that say where help is are passed over.
    A line on stderr that begins with the program's own name is such a complaint, whatever it says.
    """
    workers = [line for line in lines[-_LAST_READ:] if line.text and not is_service_line(line)]
    said = list(read_log([line for line in workers if _TELEMETRY not in line.text]))
    block: list[LogItem] = []
    others = 0
    for one in reversed(said):
        text = one.text.strip()
        if one.raised or is_progress(text):
            break
        if not text or _OF_HELP.is_in(text):
            continue
        if (complains(text) and not is_quiet(one)) or (not block and _by_name(one, job)):
            block.append(one)
        elif block or others == _OTHERS_AFTER:
            break
        else:
            others += 1
    if not block:
        return None
    reported = [
        _line_statement(one.line, 1, 1.0, one.text) for one in reversed(block[:_LAST_WORDS])
    ]
    if any(Tag.PASSING in row.tags for one in reported for row in _rows_in_statement(one)):
        return None
    return replace(reported[0], text=" ".join(one.text for one in reported))


def _stop_request(lines: Sequence[LogLine]) -> CaseText | None:
    """The last line of the workers that tells of SIGTERM or of a time limit that was reached."""
    for line in reversed(lines[-_LAST_READ:]):
        if line.text and not is_service_line(line) and _STOP.is_in(line.text[:_TEXT_HEAD]):
            return _line_statement(line, 1, 1.0)
    return None


def _by_name(said: LogItem, job: Job) -> bool:
    """`program: message` on stderr, by the name under which the job runs the program."""
    named = _PROGRAM.match(said.text) if said.line.severity not in _QUIET else None
    return named is not None and any(
        re.search(rf"(?:^|[\s/]){re.escape(named['name'])}(?:\s|$)", str(word))
        for command in job.programs
        for word in (command if isinstance(command, list | tuple) else [command])
    )


_PROGRAM = Late(r"(?P<name>[A-Za-z][\w.+-]{1,40}): \S")
_STOP = Linear(
    r"\b(?:received|got|caught|sending|sent)\b.{0,30}\b(?:SIGTERM|signal:? (?:15|TERM))\b"
    r"|\bSIGTERM\b.{0,20}\b(?:received|caught|arrived)\b|\btimeout: sending signal"
    r"|\b(?:wall[- ]?clock|wall[- ]?time|walltime|run[- ]?time|time)[- ]?limit\b.{0,40}\b(?:reached|exceeded|hit|expired|is up)"
    r"|\b(?:hit|reached|exceeded|past|over)\b.{0,20}\b(?:wall[- ]?clock|wall[- ]?time|run[- ]?time|time)[- ]?limit\b|\bdue to time limit\b"
)
_LAST_READ, _LAST_WORDS, _OTHERS_AFTER = 60, 5, 3  # lines; chosen
# What programs print below their error: rules, and where to read on.
_OF_HELP = Linear(
    r"^[-=_*#~ ]{8,}$|^\W*exiting\b|for (?:more|further|additional) (?:information|details|help)|\bplease (?:read|check|see|refer|report|contact|visit|consult|provide)\b|\bre-?run\b.{0,40}\b(?:with|using)\b|^\S{0,20}\s{0,4}https?://\S+$|\bwebsite at https?:|^\W*\[Help \d+\]|\bthank you\b|full stack trace|\b(?:log|report) (?:file )?can be found\b|^try .{1,60}--help|^\W*(?:error|fatal)\W*$",
)


def last_lines(lines: Sequence[LogLine]) -> tuple[str, ...]:
    """What the workers wrote last, telemetry aside: oldest first, each cut to what a person reads."""
    shown: list[str] = []
    in_order = lines
    if all(line.time is not None for line in lines):
        in_order = sorted(lines, key=lambda line: line.time)  # type: ignore[arg-type,return-value]  # all are set
    for line in reversed(in_order):
        if not line.text.strip() or _TELEMETRY in line.text or is_service_line(line):
            continue
        rows = [row.rstrip()[:_LAST_LINE_CHARS] for row in line.text.splitlines() if row.strip()]
        shown = [*rows[-_LAST_LINES_SHOWN:], *shown]
        if len(shown) >= _LAST_LINES_SHOWN:
            break
    return tuple(shown[-_LAST_LINES_SHOWN:])


_LAST_LINES_SHOWN, _LAST_LINE_CHARS = 20, 500

_PROGRESS_AFTER = 2
_LAST_LINES = 8


def _terminal(all_said: Sequence[LogItem], ended_nothing_before: int) -> LogItem | None:
    """The traceback with which the program ended, if it did: next to nothing comes after it."""
    for position in range(len(all_said) - 1, max(-1, len(all_said) - 1 - _LAST_LINES), -1):
        if all_said[position].traced:
            return all_said[position] if position > ended_nothing_before else None
    return None


_OWN_LEVEL = re.compile(
    r"^\W{0,3}(?:[\w:.,+/-]+\s+){0,4}?\W?(?P<level>TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|CRITICAL|FATAL|SEVERE)\b"
)


_LEVEL_FIELD = Late(
    r"(?:[\"'](?:level|lvl|severity|levelname|log\.level)[\"']\s{0,2}:\s{0,2}[\"']|\b(?:level|lvl)=\"?)(?P<level>[A-Za-z]{4,8})\b"
)
_ERRORS = frozenset({"ERROR", "CRITICAL", "FATAL", "PANIC", "SEVERE", "EMERGENCY", "ALERT"})
_BELOW_ERROR = frozenset({"TRACE", "DEBUG", "INFO", "NOTICE", "WARN", "WARNING"})


def is_quiet(said: LogItem) -> bool:
    """Below an error, by the line's own word; stderr is logged as ERROR whatever it says."""
    own = _OWN_LEVEL.match(said.text[:120])
    if own:
        return own["level"] in _BELOW_ERROR
    return _level_field(said.text) in _BELOW_ERROR or said.line.severity in _QUIET


def _level_field(text: str) -> str:
    """The level that a structured line (JSON, `level=warn`) gives itself, in capitals; else empty."""
    head = text[:_LEVEL_READ]
    if "level" not in head and "severity" not in head and "lvl" not in head:
        return ""
    found = _LEVEL_FIELD.search(head)
    return found["level"].upper() if found else ""


_LEVEL_READ = 300  # characters; chosen


def _raised_statements(said: LogItem, count: int, factor: float, number: int) -> Iterator[CaseText]:
    """A traceback as its exceptions, each a statement; nothing of its frames and source lines.

    Where a client library's is among them and says what the service behind it did, that one speaks
    for all of them; beside it only a bug in the code that was handling it.
    """
    behind = service_behind(said.raised)
    if behind is not None:
        one, row = behind
        yield replace(
            _line_statement(said.line, count, factor, one.text, traced=said.traced),
            chain=number,
            spoken=row,
            frame=said.frame,
        )
    for one in said.raised:
        if behind is not None and not (one.depth == 0 and BUGS.search(one.name)):
            continue
        text = f"{said.lead} {one.text}" if said.lead and one.depth == 0 else one.text
        made = _line_statement(said.line, count, factor, text, traced=said.traced)
        yield replace(
            made,
            factor=made.factor * (_HANDLED_FACTOR if one.handled else 1.0),
            chain=number,
            traced=said.traced and one.depth == 0,
            stood_in=said.stood_in,
            frame=said.frame,
        )


def is_service_line(line: LogLine) -> bool:
    """Whether the entry's own fields say that the service wrote the line.

    The container's output can set an entry's payload and, through structured logging, its labels;
    it cannot set the resource. So the resource alone counts, unless the name of the log or a label
    speaks against it. An account that may write logs can forge all of it: such a line is preferred
    to a worker's, but never weighs more.
    """
    resource = line.entry.get("resource")
    if not isinstance(resource, Mapping) or str(resource.get("type")) not in _JOB_RESOURCES:
        return False
    labels = resource.get("labels")
    named = labels.get("task_name") if isinstance(labels, Mapping) else None
    log = str(line.entry.get("logName") or "").rpartition("/")[2]
    return (
        named == SERVICE_TASK
        and line.task == SERVICE_TASK
        and not log.startswith(("workerpool", "master-replica", "worker-replica", "ps-replica"))
    )


def _line_statement(
    line: LogLine, count: int, factor: float, text: str | None = None, *, traced: bool = False
) -> CaseText:
    service = is_service_line(line)
    if line.severity in _QUIET and not service and not traced:
        factor *= _QUIET_FACTOR
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


# --- what they say -----------------------------------------------------------------------------


def _read_texts(case_texts: Iterable[CaseText], rows: FailedRows | None) -> TextEvidence:
    found = _without_silenced_in_chains(
        [(case_text, _rows_in_statement(case_text)) for case_text in case_texts]
    )
    silent = silenced_everywhere_by([row for _, matched in found for row in matched])
    final = any(
        row.cause and not _is_passing(case_text, matched)
        for case_text, matched in found
        for row in matched
    )
    heaviest: dict[tuple[str, TextPlace], _Hit] = {}
    signs: list[WeightedEvidence] = []
    tags: dict[Tag, tuple[CaseText, Signature | None]] = {}
    for case_text, matched in found:
        relevant = [row for row in matched if row.id not in silent and (row.tags or row.cause)]
        kept = 1.0
        if _is_passing(case_text, matched):
            kept = _PASSING_FACTOR if final else _ONLY_PASSING_FACTOR
        for row in relevant:
            for tag in row.tags:
                if _came_before(case_text, tags.get(tag)):
                    tags[tag] = (case_text, row)
            if row.cause is not None:
                hit = _Hit(row, case_text, _weight(row, case_text, kept))
                held = heaviest.get((row.id, case_text.place))
                heaviest[row.id, case_text.place] = hit.joined(held)
        signs += _evidence_of_code(case_text, relevant)
        starting = any(row.cause is Cause.SLOW_STARTUP for row in relevant)
        if case_text.code == _DEADLINE_CODE and not starting:
            tags.setdefault(Tag.TIMED_OUT, (case_text, None))
    signs = [hit.sign for hit in _without_last_resorts(list(heaviest.values()))] + signs
    quoted = {
        tag: (case_text, quote_of(row, case_text.text) if row else "DEADLINE_EXCEEDED")
        for tag, (case_text, row) in tags.items()
    }
    return TextEvidence(
        signs=tuple(signs),
        tags=quoted,
        elapsed_seconds=_longest_elapsed([held for held, _ in found]),
        rows=rows,
        raised=tuple(
            held for held, _ in found if held.traced or (held.spoken is not None and held.chain)
        ),
        stood_in=tuple((held, held.stood_in) for held, _ in found if held.stood_in),
        about_memory=tuple(
            (case_text, row)
            for case_text, matched in found
            for row in matched
            if row.cause in _MEMORIES and row.id not in silent
        ),
    )


def _rows_in_statement(case_text: CaseText) -> tuple[Signature, ...]:
    rows = signatures_in(case_text.text, case_text.place) if case_text.text else ()
    if answered := answer_of(case_text):
        return _rows_of_answer(answered, rows)
    if case_text.spoken is not None:
        return (case_text.spoken, *(row for row in rows if Tag.PASSING in row.tags))
    if case_text.traced and not any(row.id == _TRACED for row in rows):
        rows = (*rows, signature(_TRACED))
    return rows


_TRACED = "code-traceback"
_ANSWER = re.compile(r"Non-OK result (\d{3})\b")
_NO_ROUTE, _BAD_REQUESTS = frozenset({404, 405, 501}), frozenset({400, 409, 415, 417, 422})


def answer_of(case_text: CaseText) -> int:
    """The HTTP status that the job's own container gave, by the service's wrapper; 0: none."""
    if case_text.place is TextPlace.LOG:
        return 0
    found = _ANSWER.search(case_text.text)
    return int(found[1]) if found else 0


def _rows_of_answer(status: int, rows: tuple[Signature, ...]) -> tuple[Signature, ...]:
    """What is left of the rows where the container speaks: it is not Vertex that is busy or broken,
    and what it finds wrong with a request is the input, not the job's configuration.
    """
    silent = {Cause.INVALID_CONFIG} if status in _BAD_REQUESTS else set()
    return tuple(
        row
        for row in rows
        if row.cause not in silent
        and row.cause is not Cause.TRANSIENT_BACKEND
        and row.id not in _OF_A_BUSY_SERVICE
    )


_OF_A_BUSY_SERVICE = frozenset({"quota-code", "quota-rate", "quota-maybe", "capacity-words"})


def _without_silenced_in_chains(
    found: list[tuple[CaseText, tuple[Signature, ...]]],
) -> list[tuple[CaseText, tuple[Signature, ...]]]:
    """Exceptions of one traceback are one text: what a row of one silences, it silences in all."""
    rows_of_chain: dict[int, list[Signature]] = {}
    for case_text, rows in found:
        if case_text.chain:
            rows_of_chain.setdefault(case_text.chain, []).extend(rows)
    silent = {chain: silenced_by(rows) for chain, rows in rows_of_chain.items()}
    return [
        (case_text, tuple(row for row in rows if row.id not in silent[case_text.chain]))
        if case_text.chain
        else (case_text, rows)
        for case_text, rows in found
    ]


def _without_last_resorts(hits: Sequence[_Hit]) -> Sequence[_Hit]:
    """Rows of last resort go where any other names a cause with some weight."""
    named = any(not hit.row.last_resort and hit.weight >= _NAMES_A_CAUSE for hit in hits)
    return [hit for hit in hits if not (named and hit.row.last_resort)]


def _longest_elapsed(case_texts: Sequence[CaseText]) -> float | None:
    """The longest `elapsed=…s` that the service tells, in seconds."""
    lengths = [
        float(match[1])
        for case_text in case_texts
        if case_text.place is not TextPlace.LOG
        for match in _ELAPSED.finditer(case_text.text)
    ]
    return max(lengths, default=None)


def _came_before(case_text: CaseText, held: tuple[CaseText, Signature | None] | None) -> bool:
    """The job's own error speaks before the workers' lines; of equals, the first."""
    if held is None:
        return True
    return held[0].place is TextPlace.LOG and case_text.place is not TextPlace.LOG


def _is_passing(case_text: CaseText, matched: Sequence[Signature]) -> bool:
    return case_text.place is TextPlace.LOG and any(Tag.PASSING in row.tags for row in matched)


def _weight(row: Signature, case_text: CaseText, kept: float) -> float:
    if case_text.place is not TextPlace.LOG:
        return row.weight
    return min(row.weight, LOG_CEILING) * case_text.factor * kept


@dataclass(frozen=True, slots=True)
class _Hit:
    """A row found at one place: its heaviest statement, and how many lines or rows say it."""

    row: Signature
    case_text: CaseText
    weight: float
    count: int = 0

    def joined(self, held: _Hit | None) -> _Hit:
        """This and what was found before: the heavier speaks, both are counted."""
        count = self.case_text.count + (held.count if held else 0)
        best = held if held is not None and held.weight >= self.weight else self
        return replace(best, count=count)

    @property
    def sign(self) -> WeightedEvidence:
        times = f", {self.count:,} times" if self.count > 1 else ""
        quote = quote_of(self.row, self.case_text.text)
        made = weighted_evidence(
            self.row.cause or Cause.UNKNOWN,
            self.weight,
            self.case_text.source,
            self.case_text.where,
            f'{self.case_text.author}{times}: "{quote}"',
            symptom=self.row.symptom,
            group=self.row.id,
        )
        return replace(made, text=self.case_text.text, frame=self.case_text.frame)


def _evidence_of_code(
    case_text: CaseText, matched: Sequence[Signature]
) -> Iterator[WeightedEvidence]:
    known = _CODE_SIGNS.get(case_text.code, ())
    if any(Tag.EXITED in row.tags for row in matched) or answer_of(case_text):
        # The code beside an exit status is the service's way to say "not my fault".
        return
    if case_text.place is TextPlace.ROW and case_text.code in {3, 5}:
        known = ((Cause.BAD_INPUT, FAIR + 0.5),)
    name = _CODE_NAMES.get(case_text.code, "")
    for cause, weight in known:
        yield weighted_evidence(
            cause,
            weight,
            case_text.source,
            f"{case_text.where}.code" if case_text.source is Source.JOB else case_text.where,
            f"{case_text.author} carries code {case_text.code} ({name})",
            symptom=True,
            group=f"code-{case_text.code}",
        )


# --- failed instances --------------------------------------------------------------------------


def _rows_of_account(account: RowAccount | None) -> FailedRows | None:
    """Failed rows as they were counted; None where none is."""
    if account is None or not account.failed:
        return None
    ranked = sorted(account.failed.items(), key=lambda item: (-item[1], item[0]))
    counts = tuple((clean(message), count) for message, count in ranked[:20])
    return FailedRows(sum(account.failed.values()), account.done, account.missing, counts)


def _rows_of(job: Job, files: Mapping[str, str]) -> FailedRows | None:
    """Failed instances by the job's statistics, its partial failures and its error rows.

    Partial failures are a sample of what the error files hold: the fuller of the two counts.
    """
    sources = (_partial_statements(job), _error_file_statements(files))
    counts = max((_counted(one) for one in sources), key=lambda one: sum(one.values()))
    done, failed, left = (max(0, count) for count in job.instance_counts)
    in_rows = sum(counts.values())
    if not failed and not in_rows:
        return None
    if job.state is JobState.SUCCEEDED and not failed and not counts:
        return None
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return FailedRows(failed or in_rows, done, left, tuple(ranked[:20]))


def _counted(case_texts: Iterable[CaseText]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for case_text in case_texts:
        if case_text.text:
            counts[case_text.text] = counts.get(case_text.text, 0) + case_text.count
    return counts


def as_text(value: object) -> str:
    """Any JSON value as text, for reading and never for parsing back."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


_SHORT = 160


def _shorten(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[:_SHORT].rsplit(' ', 1)[0]} …"
