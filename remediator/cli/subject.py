"""What an answer of the command line is about: the job as it was found, and when there is no failure.

Owns the subject of `diagnose`, and the answers for what is no failure: a log without a job, a job
that runs or succeeded. Pure; called by `offline` and `project`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from remediator.domain import (
    Action,
    Cause,
    Diagnosis,
    Guard,
    History,
    JobState,
    Plan,
)
from remediator.domain.time_words import moment_words, span_words
from remediator.redaction import redact_json

if TYPE_CHECKING:
    from remediator.case import Case
    from remediator.catalog.catalog import Catalog
    from remediator.inputs import Assembly
    from remediator.job import Job
    from remediator.policy import Policies
    from remediator.watch import Watch, WatchPlan

RUNS = frozenset(
    {
        JobState.QUEUED,
        JobState.PENDING,
        JobState.RUNNING,
        JobState.CANCELLING,
        JobState.PAUSED,
        JobState.UPDATING,
    }
)
NOTHING_FAILED = RUNS | {JobState.SUCCEEDED}


class Subject(Struct, frozen=True):
    """The job that an answer is about; None for what is not known. `error` is the job's own, whole."""

    kind: str | None
    state: str | None
    machine: str | None
    run_seconds: float | None
    error: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "state": self.state,
            "machine": self.machine,
            "run_seconds": self.run_seconds,
            "error": self.error,
        }


def subject_of(found: Assembly) -> Subject:
    """What was looked at. Of a log without a job nothing is known but its length, if it has any."""
    from remediator.job.summary import machine_words

    job = found.case.job
    if not found.has_job:
        return Subject(None, None, None, job.run_seconds or None, None)
    return Subject(
        kind=job.kind.value,
        state=None if job.state is JobState.UNSPECIFIED else job.state.value,
        machine=machine_words(job) or None,
        run_seconds=job.run_seconds,
        error=job.error_message or None,
    )


_SHOWN_LINES = 5


def subject_lines(found: Assembly, subject: Subject, answer: Diagnosis) -> Iterator[str]:
    """The subject for people: the job, how it ended, its whole error, where the code stood."""
    case = found.case
    if not found.has_job:
        count = len(case.log_lines)
        read = f"{count:,} log line{'s' * (count != 1)}"
        if found.is_of_rows:
            read = f"rows of {', '.join(case.error_files)}"
        yield f"{read}, no job" + (
            f"; the process ended with exit status {found.ended.status}" if found.ended else ""
        )
    else:
        yield str(case.job.name)
        ran = f", ran {span_words(subject.run_seconds)}" if subject.run_seconds else ""
        machine = f" on {subject.machine}" if subject.machine else ""
        yield f"{subject.kind}, {subject.state or 'state unknown'}{machine}{ran}"
    if subject.error:
        yield "error:   " + str(redact_json({"error": subject.error})["error"])
    if answer.frame is not None:
        inside = f", in {answer.frame.function}" if answer.frame.function else ""
        yield f"in code: {answer.frame.file}, line {answer.frame.line}{inside}"
    if answer.last_lines and subject.state not in {state.value for state in NOTHING_FAILED}:
        yield "last lines:"
        lines = redact_json({"lines": list(answer.last_lines[-_SHOWN_LINES:])})["lines"]
        yield from (f"  {line}" for line in lines)


def diagnose_inputs(found: Assembly, policies: Policies | None = None) -> Diagnosis:
    """The diagnosis; unknown for a job that runs, and for a plain log that complains of nothing."""
    from remediator.diagnosis import diagnose

    if policies is None:
        answer = diagnose(found.case)
    else:
        slow = policies.probes.threshold.total_seconds()
        answer = diagnose(found.case, probe_threshold_seconds=slow)
    unread = found.without_complaint and not _knows_the_end(answer, found.case)
    if found.silent or unread or (found.has_job and found.case.job.state in RUNS):
        return replace(answer, verdict=Cause.UNKNOWN, causes=())
    if found.has_job:
        return answer
    from remediator.diagnosis.log_alone import diagnosis_of_a_log

    return diagnosis_of_a_log(answer)


# Of 595 messages of the corpora that hold no common word of failure, signatures name a cause at least so
# surely for 206, and the right one for 195 (measured, 2026-12-01).
_SURE_OF_AN_END = 0.7
_END_LINES = 60  # as many as `has_sign_of_death` looks at; chosen


def _knows_the_end(answer: Diagnosis, case: Case) -> bool:
    """Whether a signature knows the end of a log that complains in no common word of failure."""
    if answer.by_words_alone or not answer.causes:
        return False
    first = answer.causes[0]
    last = {line.insert_id for line in case.log_lines[-_END_LINES:]}
    return first.confidence >= _SURE_OF_AN_END and any(
        item.where in last for item in first.evidence
    )


def plan_inputs(
    found: Assembly,
    answer: Diagnosis,
    policies: Policies,
    catalog: Catalog,
    *,
    resume: tuple[str, str] = ("", ""),
) -> Plan:
    """The plan; nothing is resubmitted of a job that nobody gave, or that has not failed.

    `resume`: the bucket and the dataset for the rows that are left of a batch.
    """
    from remediator import planning

    case = found.case
    history = replace(_history_of(case, catalog), resume_bucket=resume[0], resume_dataset=resume[1])
    if found.has_job and (running := plan_watch_inputs(found, policies, catalog)):
        return running.plan
    made = planning.plan(case, answer, policies, history, catalog)
    if not found.has_job:
        return _without_a_job(made)
    is_failure = case.is_failure or case.job.cancelled_by_person
    if not is_failure and (words := no_failure_words(case.job)):
        said = words[0].upper() + words[1:] + "."
        return replace(_alert_only(made, said), policy="", step=0, alerts=(), refused_by=())
    return made


def _history_of(case: Case, catalog: Catalog) -> History:
    """What the case alone says of the past: no ledger is asked."""
    from remediator.planning import costs

    spent = costs.chain_usd(case, catalog)
    return History(
        attempts=case.attempts, parent=case.parent, usd_this_job=spent, ledger_read=False
    )


def plan_watch_inputs(found: Assembly, policies: Policies, catalog: Catalog) -> WatchPlan | None:
    """What the entries of `watch` say about a job that still runs; None for any other, or no job."""
    if not found.has_job or found.case.job.state not in RUNS:
        return None
    from remediator.watch import plan_watch

    return plan_watch(found.case, policies, _history_of(found.case, catalog), catalog)


def no_failure_words(job: Job) -> str:
    """Why a job is no failure, as half a sentence; empty for one that is."""
    if job.is_failure:
        return ""
    if job.cancelled_by_person:
        return "a person cancelled the job"
    if job.state is JobState.UNSPECIFIED:
        return "the job's state is not known, so it is not taken as failed"
    return f"the job is {job.state.value}: it has not failed"


def watch_inputs(found: Assembly, catalog: Catalog) -> Watch | None:
    """What is thought of a job that still runs; None for any other, and without a job."""
    if not found.has_job or found.case.job.state not in RUNS:
        return None
    from remediator.watch import watch

    return watch(found.case, catalog)


def watch_lines(seen: Watch | None) -> Iterator[str]:
    """The same for people; nothing for a job that is not watched."""
    if seen is None:
        return
    since = f" since {moment_words(seen.since)}" if seen.since else ""
    sure = f" ({seen.confidence:.0%})" if seen.confidence else ""
    yield f"watch: {seen.verdict.value.replace('_', ' ')}{since}{sure}"
    if seen.usd_per_hour:
        yield f"  it costs ${seen.usd_per_hour:,.2f} an hour"
    lines = redact_json({"lines": [f"  + [{one.source}] {one.says}" for one in seen.evidence]})
    yield from lines["lines"]


# Refusals that rest on the cause and on the deployment. The others judge the job, which is a stand-in.
_WITHOUT_A_JOB = frozenset({Guard.CAUSE, Guard.NO_MACHINE, Guard.STOP_SWITCH})


def _without_a_job(made: Plan) -> Plan:
    """What can be said where no job was given: the policy that matches, not what it would change."""
    why = "There is no job among the inputs, so there is nothing to resubmit"
    refused = tuple(guard for guard in made.refused_by if guard in _WITHOUT_A_JOB)
    if refused or not (made.step or made.refused_by):
        said = f"{why}. With one the policies would say: {made.because}"
    else:
        said = f"{why}; with one, policy {made.policy} would decide its next step."
    last = f"{made.policy}: matches"
    known = made.explanation
    if last in known:
        # What follows speaks of the stand-in's machines, place and price.
        of_guards = tuple(
            line for line in known if line.startswith(tuple(f"{g.value} refuses" for g in refused))
        )
        known = (*known[: known.index(last) + 1], *of_guards)
    return replace(_alert_only(made, said), refused_by=refused, explanation=known)


def _alert_only(plan: Plan, why: str) -> Plan:
    return replace(
        plan,
        action=Action.ALERT,
        changes=(),
        request=None,
        location="",
        not_before=None,
        estimated_usd=None,
        worst_case_usd=None,
        because=why,
    )
