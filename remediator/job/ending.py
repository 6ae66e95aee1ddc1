"""How a job ended: whether it failed, whether its own time-out ended it, and every error it names.

Owns the contract's list of what counts as a failure. Must not say why it failed (see `diagnosis`).
Called by `Job` and its facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from remediator.domain import JobKind, JobState, parse_seconds, parse_time
from remediator.domain.late_pattern import late_pattern
from remediator.job import fields, pipeline, programs
from remediator.job.document import Document, RpcStatus, either_key, once, read, whole_number


class FaultPart(StrEnum):
    """Which part of a job a fault is of."""

    JOB = "job"
    TASK = "task"
    TRIAL = "trial"
    ROW = "row"


def exit_code(job: Document, *texts: str) -> int | None:
    """What the job's program ended with, by the job's error or else the texts; None: nobody says."""
    for text in (job.error_message, *texts):
        found = _EXIT_CODE.search(text)
        if found:
            return int(found[1])
    return None


_EXIT_CODE = late_pattern(
    r"(?:non-?zero (?:exit )?(?:status|code)(?: of|:)?|exit(?:ed)?(?: with)?(?: a)? (?:status|code)(?: of|:)?"
    r"|exit[_ ]?code(?: was)?[:=]?)\s*(?P<code>[0-9]{1,3})\b",
    re.IGNORECASE,
)


def own_timeout_seconds(job: Document) -> float | None:
    """After how many seconds Vertex stops the job itself; None where it never does.

    A tuning job has only its trials' time-out; a custom job without one has Vertex's seven days.
    """
    if not fields.rules(job).has_pools or fields.runs_trials(job) or fields.is_automl(job):
        return None
    return fields.timeout_seconds(job) or fields.DEFAULT_TIMEOUT_SECONDS


# Vertex's words for a job's own limit, and words that any time-out may have.
_OWN_LIMIT = late_pattern(
    r"exceeded the (maximum|specified|allowed)|maximum (run|job) ?time|ran (for )?longer than",
    re.IGNORECASE,
)

_SOME_LIMIT = late_pattern(r"time[d -]?\s?out|deadline", re.IGNORECASE)

# Chosen: a job ends a little past its limit; clocks differ, and a cancellation takes a moment.
_NEARLY = 0.98

_FAR_PAST = 1.5

_LEEWAY_SECONDS = 900.0


def ran_into_timeout(job: Document) -> bool:
    """Whether the job's own time-out or that of its parts ended it, by its state, its duration or its error.

    A time-out that the error speaks of is some other one where the job ran far from its own limit.
    """
    if job.state is JobState.EXPIRED or part_timeout(job) is not None:
        return True
    if not fields.rules(job).has_pools or job.state is JobState.SUCCEEDED:
        return False
    cancelled = job.state is JobState.CANCELLED
    if cancelled and _OWN_LIMIT.search(job.error_message):
        return True
    limit, ran = own_timeout_seconds(job), job.run_seconds
    if limit is None or ran is None:
        return cancelled and bool(_SOME_LIMIT.search(job.error_message))
    if job.start_time is None:  # the time-out counts running; waiting for a machine is none
        return False
    return _ends_at(limit, ran)


def _ends_at(limit: float, ran: float) -> bool:
    return limit * _NEARLY <= ran <= max(limit * _FAR_PAST, limit + _LEEWAY_SECONDS)


def command_limit_seconds(job: Document) -> float | None:
    """The seconds after which `timeout` in the job's own command ended it; None where it did not, by the job's exit
    status and the time that it ran.
    """
    ran = job.run_seconds
    if ran is None or exit_code(job) not in _ENDED_BY_COMMAND:
        return None
    limits = (
        float(found["number"]) * _SECONDS_OF[found["unit"] or "s"]
        for command in programs.first_processes(job)
        for found in _TIMEOUT_COMMAND.finditer(" ".join(command))
    )
    return next((limit for limit in limits if limit and _ends_at(limit, ran)), None)


# Documented: the manuals of GNU coreutils and of BusyBox. 124 is GNU's own, 143 a command that SIGTERM ended (BusyBox, or
# `--preserve-status`), 137 one that did not heed it.
_ENDED_BY_COMMAND = frozenset({124, 137, 143})
_TIMEOUT_COMMAND = late_pattern(
    r"(?:^|[\s/;&|(\"'])timeout(?:\s+(?:-k|-s|--kill-after|--signal)\s+\S+|\s+--?[\w-]+(?:=\S+)?)*"
    r"\s+(?P<number>\d+(?:\.\d+)?)(?P<unit>[smhd]?)\s+\S"
)
_SECONDS_OF = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class PartTimeout(Struct, frozen=True):
    """The time-out that ended the trials or tasks of which a job failed: whose it is, and its seconds."""

    part: FaultPart
    seconds: float


@once
def part_timeout(job: Document) -> PartTimeout | None:
    """The time-out of the job's trials, or of its tasks' custom jobs, that ended more than half of those that failed;
    None where none did. A cancelled job's parts were cancelled with it.
    """
    if job.state is not JobState.FAILED:
        return None
    if job.kind is JobKind.PIPELINE:
        ended = list(_failed_tasks(job))
    elif job.kind is JobKind.HYPERPARAMETER_TUNING:
        limit = fields.timeout_seconds(job) or fields.DEFAULT_TIMEOUT_SECONDS
        ended = [(limit, ran) for ran in _failed_trials(job)]
    else:
        return None
    stopped = [limit for limit, ran in ended if limit and ran and _ends_at(limit, ran)]
    if len(stopped) * 2 <= len(ended):
        return None
    part = FaultPart.TASK if job.kind is JobKind.PIPELINE else FaultPart.TRIAL
    return PartTimeout(part, max(stopped))


def trials_ran_out(job: Document) -> bool:
    """Whether a tuning job was cancelled when its trials had run as long as one may, and none had ended.

    Whoever cancelled it: the trials' time was up, which tells what to look for, and not that somebody else than a person
    ended the job.
    """
    limit, ran = fields.timeout_seconds(job), job.run_seconds
    if job.kind is not JobKind.HYPERPARAMETER_TUNING or job.state is not JobState.CANCELLED:
        return False
    states = [str(either_key(trial, "state")) for _, trial in fields.listed(job, "trials")]
    if limit is None or ran is None or not states or not _ALIVE.issuperset(states):
        return False
    return limit * _NEARLY <= ran <= limit + _LEEWAY_SECONDS


_ALIVE = frozenset({"REQUESTED", "ACTIVE", "STOPPING"})  # documented: Trial.State


def _failed_trials(job: Document) -> Iterator[float | None]:
    """How long each trial ran that ended without a measurement, in seconds; None where that is not known.

    Documented: Trial.State; one that Vizier stops early is STOPPING, then SUCCEEDED.
    """
    for _, trial in fields.listed(job, "trials"):
        if either_key(trial, "state") == "INFEASIBLE":
            started, ended = (
                parse_time(either_key(trial, key)) for key in ("startTime", "endTime")
            )
            yield (ended - started).total_seconds() if started and ended else None


def _failed_tasks(job: Document) -> Iterator[tuple[float | None, float | None]]:
    """The time-out that the custom job of each failed task sets, and how long the task ran, in seconds."""
    for node in pipeline.failed(job):
        specs = [spec for spec in fields.custom_jobs(node.holder) if read(job, spec) is not None]
        limit = parse_seconds(read(job, f"{specs[0]}.scheduling.timeout")) if specs else None
        for detail in node.failed:
            yield limit, detail.seconds


def cancelled_by_person(job: Document) -> bool:
    """A cancelled job that its own time-out did not end."""
    return job.state is JobState.CANCELLED and not ran_into_timeout(job)


def failed_instances(job: Document) -> int:
    """How many instances of a batch prediction failed; 0 where none did or nobody counted."""
    if job.kind is not JobKind.BATCH_PREDICTION:
        return 0
    counted = whole_number(job.read("completionStats.failedCount")) or 0
    return max(counted, 0) or len(job.read("partialFailures") or ())


def instance_counts(job: Document) -> tuple[int, int, int]:
    """Instances that succeeded, failed and were not reached; -1 is Vertex's "not known"."""
    done, failed, left = (
        whole_number(job.read(f"{fields.COUNTS}.{name}")) or 0
        for name in ("successfulCount", "failedCount", "incompleteCount")
    )
    return done, failed, left


def is_failure(job: Document) -> bool:
    """What the product calls a failure: see the contract's list of states."""
    if job.state is JobState.SUCCEEDED:
        return failed_instances(job) > 0
    if job.state is JobState.CANCELLED:
        return ran_into_timeout(job)
    return job.state in {JobState.FAILED, JobState.EXPIRED, JobState.PARTIALLY_SUCCEEDED}


def succeeded_trials(job: Document) -> int:
    """How many trials of a tuning job have succeeded."""
    return sum(trial.get("state") == "SUCCEEDED" for trial in job.read("trials") or ())


class Fault(Struct, frozen=True):
    """An error that stands in the job's document; `where` is its path, `name` that of its part."""

    part: FaultPart
    where: str
    name: str
    status: RpcStatus


def faults(job: Document) -> tuple[Fault, ...]:
    """The job's error, those of its tasks and trials, and its partial failures, in this order."""
    found = [Fault(FaultPart.JOB, "error", "", status)] if (status := _status(job, "error")) else []
    for index, task in fields.listed(job, "jobDetail.taskDetails"):
        where = f"jobDetail.taskDetails[{index}].error"
        if status := RpcStatus.parse(either_key(task, "error")):
            found.append(
                Fault(FaultPart.TASK, where, str(either_key(task, "taskName") or index), status)
            )
    for index, trial in fields.listed(job, "trials"):
        reason = either_key(trial, "infeasibleReason")
        if isinstance(reason, str) and reason:
            where = f"trials[{index}].infeasibleReason"
            found.append(Fault(FaultPart.TRIAL, where, str(index), RpcStatus(0, reason)))
    for index, failure in fields.listed(job, "partialFailures"):
        if status := RpcStatus.parse(failure):
            found.append(Fault(FaultPart.ROW, f"partialFailures[{index}]", str(index), status))
    return tuple(found)


def _status(job: Document, path: str) -> RpcStatus | None:
    return RpcStatus.parse(read(job, path))
