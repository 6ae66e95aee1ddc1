"""Failed instances of a batch prediction: partial failures, error files, counted rows.

Owns the reading of rows, of either generation, bounded in rows and characters, and their sum. Pure; called by
`read_case`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from remediator.diagnosis.signature import TextPlace
from remediator.diagnosis.texts.case_text import CODE_NAMES, CaseText, as_text, clean, status_text
from remediator.domain import JobState, Source
from remediator.domain.late_pattern import late_pattern
from remediator.job import FaultPart, Job
from remediator.job.rows import RowAccount, code_of

_ROWS_READ = 400  # different messages; chosen
_MESSAGE = 2_000  # characters by which messages are told apart; chosen
_KINDS_KEPT = 20  # different messages, most frequent first; chosen
_FILE_CHARS = 200_000  # of one file, half of them from its end; chosen
_ROW = late_pattern(
    r"^\(\s*(['\"])(?P<message>.*)\1\s*,\s*(?P<count>\d{1,12})\s*\)\s*,?\s*$", re.DOTALL
)


class FailedRows(Struct, frozen=True):
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


def partial_failure_texts(job: Job) -> Iterator[CaseText]:
    """The job's partial failures, a text each."""
    for fault in job.faults:
        if fault.part is FaultPart.ROW:
            yield from status_text(
                fault.status, Source.JOB, fault.where, TextPlace.ROW, "a partial failure"
            )


def error_file_texts(files: Mapping[str, str]) -> Iterator[CaseText]:
    """The distinct messages of the error files' rows, by file name and text of each file."""
    budget = _ROWS_READ
    for name in sorted(files):
        text = files[name]
        answers = _ANSWERS.match(name.rpartition("/")[2]) or _ANSWER.match(text)
        for message, code, count in (_answers_in if answers else _rows_in)(text, budget):
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


def account_texts(account: RowAccount | None) -> Iterator[CaseText]:
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
            code=code if code in CODE_NAMES else 0,
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
        key = message[:_MESSAGE]
        held = seen.get(key)
        if held is None and len(seen) >= limit:
            continue
        seen[key] = (code, count + (held[1] if held else 0))
    for message, (code, count) in seen.items():
        yield message, code, count


_ANSWERS = late_pattern(r"(?:incremental_)?predictions\.jsonl")
_ANSWER = late_pattern(r'\s*\{(?=[^\n]*"request":)(?=[^\n]*"status":)')
"""Output of a batch on a publisher's model, by its file's name or its first row: failed rows stand among the others, by their status."""


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
        message = as_text(status)[:_MESSAGE]
        if message in seen or len(seen) < limit:
            seen[message] = seen.get(message, 0) + 1
    for message, count in seen.items():
        named = _STATUS_CODE.search(message)
        yield message, int(named[1]) if named else 0, count


_STATUS_CODE = late_pattern(r"\bcode[\"']?\s{0,2}[:=]\s{0,2}(\d{1,2})\b", re.IGNORECASE)


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


def failed_rows_of_account(account: RowAccount | None) -> FailedRows | None:
    """Failed rows as they were counted; None where none is."""
    if account is None or not account.failed:
        return None
    ranked = sorted(account.failed.items(), key=lambda item: (-item[1], item[0]))
    counts = tuple((clean(message), count) for message, count in ranked[:_KINDS_KEPT])
    return FailedRows(sum(account.failed.values()), account.done, account.missing, counts)


def failed_rows_of(job: Job, files: Mapping[str, str]) -> FailedRows | None:
    """Failed instances by the job's statistics, its partial failures and its error rows.

    Partial failures are a sample of what the error files hold: the fuller of the two counts.
    """
    sources = (partial_failure_texts(job), error_file_texts(files))
    counts = max((_counted(one) for one in sources), key=lambda one: sum(one.values()))
    done, failed, left = (max(0, count) for count in job.instance_counts)
    in_rows = sum(counts.values())
    if not failed and not in_rows:
        return None
    if job.state is JobState.SUCCEEDED and not failed and not counts:
        return None
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return FailedRows(failed or in_rows, done, left, tuple(ranked[:_KINDS_KEPT]))


def _counted(case_texts: Iterable[CaseText]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for case_text in case_texts:
        if case_text.text:
            counts[case_text.text] = counts.get(case_text.text, 0) + case_text.count
    return counts


_SHORT = 160  # characters of an example; chosen


def _shorten(text: str) -> str:
    return text if len(text) <= _SHORT else f"{text[:_SHORT].rsplit(' ', 1)[0]} …"
