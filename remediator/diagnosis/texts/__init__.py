"""Every text in a case that says something about the failure, and the evidence found in it.

Owns which texts there are: the job's error, a pipeline's failed tasks, the entry that started the incident
(here), failed instances (`failed_rows`), the log (`log_lines`); `evidence` says what they mean together.
Bounded in lines and in characters, whatever is given. Pure; called by `diagnose`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from remediator.case import Case, LogLine
from remediator.diagnosis.signature import Tag, TextPlace
from remediator.diagnosis.texts.case_text import CaseText, status_text
from remediator.diagnosis.texts.evidence import TextEvidence, read_texts
from remediator.diagnosis.texts.failed_rows import (
    account_texts,
    error_file_texts,
    failed_rows_of,
    failed_rows_of_account,
    partial_failure_texts,
)
from remediator.diagnosis.texts.last_words import end_from_outside, last_words, stop_request
from remediator.diagnosis.texts.log_lines import line_text, log_texts
from remediator.diagnosis.texts.own_deadline import own_deadline
from remediator.domain import JobKind, Source
from remediator.domain.time_words import span_words
from remediator.job import FaultPart, Job, RpcStatus

_AUDIT_LOG = "cloudaudit.googleapis.com"


def read_job(job: Job) -> TextEvidence:
    """What the job's own error, its failed tasks and its partial failures say: nothing else."""
    return read_texts([*_job_texts(job), *partial_failure_texts(job)], failed_rows_of(job, {}))


def read_task(name: str, where: str, status: RpcStatus | None) -> TextEvidence:
    """What the error of one task of a pipeline run says: nothing else."""
    author = _AUTHORS[FaultPart.TASK].format(name)
    return read_texts([*status_text(status, Source.JOB, where, TextPlace.ERROR, author)], None)


def read_case(case: Case) -> TextEvidence:
    """What all texts of the case say."""
    counted = list(account_texts(case.rows))
    if counted and case.rows and case.rows.passing_message:
        rows, sampled = counted, []  # what may pass decides, whatever else some rows failed of
    else:
        rows = list(error_file_texts(case.error_files)) or counted
        sampled = list(partial_failure_texts(case.job))
    # Partial failures are a sample of the error rows: where there are rows, those are counted.
    sample = 0 if rows else 1
    by_command = _end_by_command(case.job)
    stopped = (
        end_from_outside(case.log_lines)
        if case.job.is_stand_in
        else by_command or own_deadline(case.log_lines, case.job.run_seconds)
    )
    case_texts = [
        *_job_texts(case.job),
        *(replace(one, count=sample) for one in sampled),
        *_entry_texts(case),
        *rows,
        *log_texts(
            case.log_lines,
            serves=case.job.kind is JobKind.BATCH_PREDICTION,
            time_was_up=case.job.ran_into_timeout or case.job.trials_ran_out or stopped is not None,
        ),
    ]
    failed_rows = failed_rows_of_account(case.rows) or failed_rows_of(case.job, case.error_files)
    reading = read_texts(case_texts, failed_rows)
    tags = reading.tags
    if stopped is not None and Tag.TIMED_OUT not in tags:
        tags = {**tags, Tag.TIMED_OUT: (stopped, stopped.text[:_QUOTED])}
    return replace(
        reading,
        tags=tags,
        last_words=last_words(case.log_lines, case.job),
        stop_request=by_command or stop_request(case.log_lines),
    )


def _end_by_command(job: Job) -> CaseText | None:
    """That `timeout` in the job's own command ended it."""
    limit = job.command_limit_seconds
    if limit is None:
        return None
    text = f"its command's own time limit of {span_words(limit)} (`timeout`) was reached"
    return CaseText(Source.JOB, "command", TextPlace.ERROR, text, author="the job")


_QUOTED = 200  # characters of a line; chosen


def _job_texts(job: Job) -> Iterator[CaseText]:
    for fault in job.faults:
        if fault.part is not FaultPart.ROW:
            author = _AUTHORS[fault.part].format(fault.name)
            yield from status_text(fault.status, Source.JOB, fault.where, TextPlace.ERROR, author)


_AUTHORS = {
    FaultPart.JOB: "the job's error",
    FaultPart.TASK: "task {}'s error",
    FaultPart.TRIAL: "trial {}'s error",
}


def _entry_texts(case: Case) -> Iterator[CaseText]:
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
        yield from status_text(
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
        yield line_text(line, 1, 1.0)
