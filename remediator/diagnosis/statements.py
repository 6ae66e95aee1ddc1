"""Every text in a case that says something about the failure, and the signs found in it.

Owns the reading of texts: which there are (the job's error, a pipeline's failed tasks, partial
failures, error rows, the service's log lines, the workers' lines), who can have written each, how
much of each is read, and what is taken off it (escapes, wrappers). Hands the texts to `matching`
and turns rows into signs. Bounded in lines and in characters, whatever it is given. Pure; called
by `diagnose`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from remediator.case import Case, LogLine
from remediator.diagnosis.matching import explained_by, quote_of, signatures_in
from remediator.diagnosis.signatures import Place, Signature, Tag
from remediator.diagnosis.signs import DECISIVE, FAIR, Sign, sign
from remediator.domain import Cause, JobState, Source
from remediator.job import Job, Part, Status

SERVICE_TASK = "service"
"""The `task_name` of lines that Vertex itself writes."""
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
class Statement:
    """One text: where it stood, who can have written it, and how much it may weigh.

    `code` is a google.rpc code given beside the text (0: none). `count` is how many instances or
    lines say the same. `factor` lowers what its rows weigh.
    """

    source: Source
    where: str
    place: Place
    text: str
    code: int = 0
    count: int = 1
    factor: float = 1.0
    speaker: str = ""


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
class Reading:
    """What all texts together say: signs for causes, and tags with where they were found."""

    signs: tuple[Sign, ...]
    tags: Mapping[Tag, tuple[Statement, str]]
    elapsed_seconds: float | None
    rows: FailedRows | None
    about_memory: tuple[tuple[Statement, Signature], ...] = ()
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


def read_job(job: Job) -> Reading:
    """What the job's own error, its failed tasks and its partial failures say: nothing else."""
    return _read([*_job_statements(job), *_partial_statements(job)], _rows_of(job, {}))


def read_case(case: Case) -> Reading:
    """What all texts of the case say."""
    rows = list(_error_file_statements(case.error_files))
    # Partial failures are a sample of the error rows: where there are rows, those are counted.
    sample = 0 if rows else 1
    statements = [
        *_job_statements(case.job),
        *(replace(one, count=sample) for one in _partial_statements(case.job)),
        *_entry_statements(case),
        *rows,
        *_log_statements(case.log_lines),
    ]
    return _read(statements, _rows_of(case.job, case.error_files))


# --- which texts there are ---------------------------------------------------------------------


def _job_statements(job: Job) -> Iterator[Statement]:
    for fault in job.faults:
        if fault.part is not Part.ROW:
            speaker = _SPEAKERS[fault.part].format(fault.name)
            yield from _status(fault.status, Source.JOB, fault.where, Place.ERROR, speaker)


_SPEAKERS = {
    Part.JOB: "the job's error",
    Part.TASK: "task {}'s error",
    Part.TRIAL: "trial {}'s error",
}


def _status(
    status: Status | None, source: Source, where: str, place: Place, speaker: str
) -> Iterator[Statement]:
    """A google.rpc.Status as a statement: its message, its code, and details as text."""
    text = clean(status.text) if status else ""
    if status and (text or status.code):
        yield Statement(source, where, place, text, code=status.code, speaker=speaker)


def _partial_statements(job: Job) -> Iterator[Statement]:
    for fault in job.faults:
        if fault.part is Part.ROW:
            yield from _status(
                fault.status, Source.JOB, fault.where, Place.ROW, "a partial failure"
            )


def _entry_statements(case: Case) -> Iterator[Statement]:
    """The entry that started the incident: its own line, or the audit log's refusal."""
    entry = case.log_entry
    if not isinstance(entry, Mapping):
        return
    where = str(entry.get("insertId") or "logEntry")
    if any(line.insert_id == where for line in case.log_lines if line.insert_id):
        return
    payload = entry.get("protoPayload")
    if isinstance(payload, Mapping):
        # Nobody but Google writes to the audit log; a payload elsewhere is a line like any other.
        place = Place.ERROR if _AUDIT_LOG in str(entry.get("logName") or "") else Place.LOG
        yield from _status(
            Status.parse(payload.get("status")), Source.LOG, where, place, "the audit log's refusal"
        )
        return
    line = LogLine.parse(entry)
    if "vertex-remediator" in str(entry.get("logName") or ""):
        # Our own announcement repeats the job's error, which is read from the job itself.
        return
    if line.text:
        yield _line_statement(line, 1, 1.0)


def _error_file_statements(files: Mapping[str, str]) -> Iterator[Statement]:
    budget = _ROWS_READ
    for name in sorted(files):
        for message, code, count in _rows_in(files[name], budget):
            budget -= 1
            yield Statement(
                Source.ERROR_FILE,
                name,
                Place.ROW,
                clean(message),
                code=code,
                count=count,
                speaker="an error row",
            )
        if budget <= 0:
            return


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


def _log_statements(lines: Sequence[LogLine]) -> Iterator[Statement]:
    """Log lines without telemetry, each distinct text once; a bounded number of a long log."""
    kept = _sampled(lines)
    first_end = len(kept) - max(_END_LINES, int(len(kept) * _END_SHARE))
    distinct: dict[tuple[str, str], tuple[LogLine, int, int]] = {}
    for position, line in enumerate(kept):
        if not line.text or "remediatorTelemetry" in line.text:
            continue
        key = (line.task, line.text)
        held = distinct.get(key)
        distinct[key] = (line, (held[1] if held else 0) + 1, position)
    for line, count, last in distinct.values():
        yield _line_statement(line, count, 1.0 if last >= first_end else _EARLY_FACTOR)


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


def _line_statement(line: LogLine, count: int, factor: float) -> Statement:
    service = is_service_line(line)
    if line.severity in _QUIET and not service:
        factor *= _QUIET_FACTOR
    task = "a worker" if line.task in {"", SERVICE_TASK} else line.task
    return Statement(
        Source.LOG,
        line.insert_id or "logEntries",
        Place.LOG,
        clean(line.text),
        count=count,
        factor=1.0 if service else factor,
        speaker="the service's log" if service else f"the log of {task}",
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


def _read(statements: Iterable[Statement], rows: FailedRows | None) -> Reading:
    found = [
        (statement, signatures_in(statement.text, statement.place) if statement.text else ())
        for statement in statements
    ]
    explained = explained_by([row for _, matched in found for row in matched])
    final = any(
        row.cause and not _is_passing(statement, matched)
        for statement, matched in found
        for row in matched
    )
    heaviest: dict[tuple[str, Place], _Hit] = {}
    signs: list[Sign] = []
    tags: dict[Tag, tuple[Statement, Signature | None]] = {}
    for statement, matched in found:
        told = [row for row in matched if row.id not in explained and (row.tags or row.cause)]
        kept = 1.0
        if _is_passing(statement, matched):
            kept = _PASSING_FACTOR if final else _ONLY_PASSING_FACTOR
        for row in told:
            for tag in row.tags:
                if _speaks_before(statement, tags.get(tag)):
                    tags[tag] = (statement, row)
            if row.cause is not None:
                hit = _Hit(row, statement, _weight(row, statement, kept))
                held = heaviest.get((row.id, statement.place))
                heaviest[row.id, statement.place] = hit.joined(held)
        signs += _signs_of_code(statement, told)
        starting = any(row.cause is Cause.SLOW_STARTUP for row in told)
        if statement.code == _DEADLINE_CODE and not starting:
            tags.setdefault(Tag.TIMED_OUT, (statement, None))
    signs = [hit.sign for hit in _without_last_resorts(list(heaviest.values()))] + signs
    quoted = {
        tag: (statement, quote_of(row, statement.text) if row else "DEADLINE_EXCEEDED")
        for tag, (statement, row) in tags.items()
    }
    return Reading(
        signs=tuple(signs),
        tags=quoted,
        elapsed_seconds=_longest_elapsed([held for held, _ in found]),
        rows=rows,
        about_memory=tuple(
            (statement, row)
            for statement, matched in found
            for row in matched
            if row.cause in _MEMORIES and row.id not in explained
        ),
    )


def _without_last_resorts(hits: Sequence[_Hit]) -> Sequence[_Hit]:
    """Rows of last resort go where any other names a cause with some weight."""
    named = any(not hit.row.last_resort and hit.weight >= _NAMES_A_CAUSE for hit in hits)
    return [hit for hit in hits if not (named and hit.row.last_resort)]


def _longest_elapsed(statements: Sequence[Statement]) -> float | None:
    """The longest `elapsed=…s` that the service tells, in seconds."""
    told = [
        float(match[1])
        for statement in statements
        if statement.place is not Place.LOG
        for match in _ELAPSED.finditer(statement.text)
    ]
    return max(told, default=None)


def _speaks_before(statement: Statement, held: tuple[Statement, Signature | None] | None) -> bool:
    """The job's own error speaks before the workers' lines; of equals, the first."""
    if held is None:
        return True
    return held[0].place is Place.LOG and statement.place is not Place.LOG


def _is_passing(statement: Statement, matched: Sequence[Signature]) -> bool:
    return statement.place is Place.LOG and any(Tag.PASSING in row.tags for row in matched)


def _weight(row: Signature, statement: Statement, kept: float) -> float:
    if statement.place is not Place.LOG:
        return row.weight
    return min(row.weight, LOG_CEILING) * statement.factor * kept


@dataclass(frozen=True, slots=True)
class _Hit:
    """A row found at one place: its heaviest statement, and how many lines or rows say it."""

    row: Signature
    statement: Statement
    weight: float
    count: int = 0

    def joined(self, held: _Hit | None) -> _Hit:
        """This and what was found before: the heavier speaks, both are counted."""
        count = self.statement.count + (held.count if held else 0)
        best = held if held is not None and held.weight >= self.weight else self
        return replace(best, count=count)

    @property
    def sign(self) -> Sign:
        times = f", {self.count:,} times" if self.count > 1 else ""
        quote = quote_of(self.row, self.statement.text)
        return sign(
            self.row.cause or Cause.UNKNOWN,
            self.weight,
            self.statement.source,
            self.statement.where,
            f'{self.statement.speaker}{times}: "{quote}"',
            symptom=self.row.symptom,
            group=self.row.id,
        )


def _signs_of_code(statement: Statement, told: Sequence[Signature]) -> Iterator[Sign]:
    known = _CODE_SIGNS.get(statement.code, ())
    if any(Tag.EXITED in row.tags for row in told):
        # The code beside an exit status is the service's way to say "not my fault".
        return
    if statement.place is Place.ROW and statement.code in {3, 5}:
        known = ((Cause.BAD_INPUT, FAIR + 0.5),)
    name = _CODE_NAMES.get(statement.code, "")
    for cause, weight in known:
        yield sign(
            cause,
            weight,
            statement.source,
            f"{statement.where}.code" if statement.source is Source.JOB else statement.where,
            f"{statement.speaker} carries code {statement.code} ({name})",
            symptom=True,
            group=f"code-{statement.code}",
        )


# --- failed instances --------------------------------------------------------------------------


def _rows_of(job: Job, files: Mapping[str, str]) -> FailedRows | None:
    """Failed instances by the job's statistics, its partial failures and its error rows.

    Partial failures are a sample of what the error files hold: the fuller of the two counts.
    """
    told = (_partial_statements(job), _error_file_statements(files))
    counts = max((_counted(one) for one in told), key=lambda one: sum(one.values()))
    done, failed, left = (max(0, count) for count in job.instance_counts)
    in_rows = sum(counts.values())
    if not failed and not in_rows:
        return None
    if job.state is JobState.SUCCEEDED and not failed and not counts:
        return None
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return FailedRows(failed or in_rows, done, left, tuple(ranked[:20]))


def _counted(statements: Iterable[Statement]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for statement in statements:
        if statement.text:
            counts[statement.text] = counts.get(statement.text, 0) + statement.count
    return counts


def as_text(value: object) -> str:
    """Any JSON value as text, for reading and never for parsing back."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


_SHORT = 160


def _shorten(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[:_SHORT].rsplit(' ', 1)[0]} …"
