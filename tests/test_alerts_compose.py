"""What an alert says, as a person reads it: whole texts, for every kind of alert."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.alerts import wording
from remediator.alerts.compose import compose
from remediator.alerts.facts import AlertFacts
from remediator.alerts.grouping import split
from remediator.alerts.links import console_url, entry_links, logs_url
from remediator.alerts.message import AlertKind, Message, Severity, as_text
from remediator.alerts.render import render_slack
from remediator.alerts.running import Trouble
from remediator.case import Gap
from remediator.domain import (
    Action,
    Attempt,
    Cause,
    Change,
    Diagnosis,
    Evidence,
    Frame,
    Guard,
    InvalidInput,
    JobKind,
    JobName,
    JobState,
    Mode,
    Plan,
    RankedCause,
    Section,
    Source,
)
from remediator.job.summary import RowCounts

JOB = JobName.parse("projects/acme/locations/us-central1/customJobs/1234567890")
NEW = "projects/acme/locations/us-central1/customJobs/1234567891"
BATCH = JobName.parse("projects/acme/locations/us-central1/batchPredictionJobs/42")
STARTED = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
ENDED = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
BIGGER = Change(
    "jobSpec.workerPoolSpecs[0].machineSpec.machineType", "n1-standard-8", "n1-standard-16"
)

DIAGNOSIS = Diagnosis(
    job=str(JOB),
    kind=JobKind.CUSTOM,
    verdict=Cause.CPU_SATURATION,
    causes=(
        RankedCause(
            Cause.CPU_SATURATION,
            0.74,
            (
                Evidence(Source.METRIC, "training/cpu/utilization", "CPUs 97% full for 55 minutes"),
                Evidence(Source.JOB, "error.message", "The job ran into its time-out of 3600 s"),
            ),
        ),
        RankedCause(Cause.SLOW_CODE, 0.2, ()),
    ),
)
PLAN = Plan(
    job=str(JOB),
    verdict=Cause.CPU_SATURATION,
    policy="starved-of-cpu",
    step=1,
    mode=Mode.ENFORCE,
    action=Action.RESUBMIT,
    changes=(BIGGER,),
    estimated_usd=3.04,
    worst_case_usd=12.2,
    worst_case_basis="it has no time-out of its own, and Vertex ends it after 168 h",
    alerts=("ml-oncall",),
    because="The CPUs were full, so twice as many should finish in about 35 minutes.",
)
ATTEMPT = Attempt(
    name=NEW,
    state=JobState.SUCCEEDED,
    create_time=ENDED,
    policy="starved-of-cpu",
    step=1,
    verdict="cpu_saturation",
    changes=(BIGGER,),
)
FACTS = AlertFacts(
    kind=AlertKind.ACTED,
    job=JOB,
    display_name="genomic-prep",
    root=str(JOB),
    state=JobState.FAILED,
    error="Job timed out after 3600s.",
    machine="n1-standard-8",
    started=STARTED,
    ended=ENDED,
    diagnosis=DIAGNOSIS,
    plan=PLAN,
    created=NEW,
)

OUT_OF_MEMORY = "Error: CUDA out of memory. Tried to allocate 38.40 GiB; 0.16 GiB free"
(ENTRY,) = entry_links("Refusal", "acme", "audit-1abc", ENDED, ENDED)
CANCELLED = replace(
    FACTS,
    kind=AlertKind.GIVEN_UP,
    display_name="genomic-prep (attempt 1)",
    created="",
    diagnosis=None,
    plan=None,
    error="",
    attempt=1,
    state=JobState.CANCELLED,
    attempts=(replace(ATTEMPT, state=JobState.CANCELLED, estimated_usd=3.04),),
    spent_usd=0.5,
)
FAILED_ATTEMPT = replace(ATTEMPT, state=JobState.FAILED)
NOTHING = replace(PLAN, action=Action.ALERT, changes=(), estimated_usd=None, because="")
UNKNOWN = Diagnosis(
    job=str(BATCH),
    kind=JobKind.BATCH_PREDICTION,
    verdict=Cause.UNKNOWN,
    causes=(
        RankedCause(
            Cause.SLOW_STARTUP, 0.35, (Evidence(Source.LOG, "insertId a1", "still loading"),)
        ),
    ),
    missing=("the model server's own log",),
)
SLOW_CODE = Diagnosis(
    job=str(JOB),
    kind=JobKind.CUSTOM,
    verdict=Cause.SLOW_CODE,
    causes=(
        RankedCause(
            Cause.SLOW_CODE,
            0.85,
            (Evidence(Source.TELEMETRY, "stack", "preprocess.py:41 normalise in 83 of 100 lines"),),
            against=(Evidence(Source.METRIC, "training/cpu/utilization", "one CPU of 8 is busy"),),
            advice="Vectorise normalise in preprocess.py, line 41.",
            advice_url="https://cloud.google.com/vertex-ai/docs/training/profiler",
        ),
    ),
    sections=(Section("preprocess", 0.83, 2988.0), Section("train", 0.1, 360.0)),
)

HUNG = Trouble(
    reason="stalled",
    since=STARTED,
    now=ENDED,
    confidence=0.91,
    usd_per_hour=3.67,
    usd=3.67,
    evidence=(
        Evidence(
            Source.METRIC,
            "training/cpu/utilization",
            "CPU at most 0.04 cores, accelerator at most 0% for 56 min (it worked at 3.2 cores)",
        ),
        Evidence(
            Source.LOG,
            "log",
            'no line that says anything new for 1 h 00 min; the last: "step 1200 loss 0.41"',
        ),
    ),
    entry="hung-training",
    action=Action.ALERT,
    mode=Mode.OBSERVE,
    last_lines=("step 1100 loss 0.44", "step 1200 loss 0.41"),
)
RUNNING = replace(
    FACTS,
    kind=AlertKind.RUNNING,
    diagnosis=None,
    plan=None,
    error="",
    state=JobState.RUNNING,
    ended=None,
    trouble=HUNG,
)
SITUATIONS = {
    "acted": FACTS,
    "waiting": replace(
        FACTS,
        kind=AlertKind.WAITING,
        created="",
        diagnosis=replace(
            DIAGNOSIS,
            verdict=Cause.CAPACITY_STOCKOUT,
            causes=(RankedCause(Cause.CAPACITY_STOCKOUT, 0.97, ()),),
        ),
        plan=replace(
            PLAN,
            action=Action.WAIT,
            changes=(),
            because="",
            worst_case_usd=None,
            not_before=datetime(2026, 11, 23, 20, 20, tzinfo=UTC),
        ),
    ),
    "approval": replace(
        FACTS,
        kind=AlertKind.APPROVAL,
        created="",
        approval_id="apr-7f3a",
        plan=replace(PLAN, action=Action.APPROVE),
        gaps=(Gap(Source.LOG, "Cloud Logging answered 429 for 30 s"),),
    ),
    "observed": replace(
        FACTS, kind=AlertKind.OBSERVED, created="", plan=replace(PLAN, mode=Mode.OBSERVE)
    ),
    "alert-limit": replace(
        FACTS,
        kind=AlertKind.ALERT,
        created="",
        plan=replace(NOTHING, refused_by=(Guard.USD_PER_JOB,)),
    ),
    "alert-slow-code": replace(
        FACTS, kind=AlertKind.ALERT, created="", diagnosis=SLOW_CODE, plan=NOTHING
    ),
    "alert-unknown": AlertFacts(
        AlertKind.ALERT,
        job=BATCH,
        display_name="score",
        root=str(BATCH),
        state=JobState.PARTIALLY_SUCCEEDED,
        diagnosis=UNKNOWN,
        plan=replace(NOTHING, policy=""),
    ),
    "alert-rerun": replace(
        FACTS,
        kind=AlertKind.ALERT,
        created="",
        diagnosis=None,
        plan=replace(NOTHING, refused_by=(Guard.ALREADY_RERUN,), because="genomic-prep-2 runs."),
    ),
    "next_attempt": replace(
        FACTS,
        kind=AlertKind.NEXT_ATTEMPT,
        display_name="genomic-prep (attempt 1)",
        attempt=1,
        created=NEW,
        attempts=(
            replace(FAILED_ATTEMPT, name=str(JOB), verdict="capacity_stockout", changes=()),
            replace(ATTEMPT, state=JobState.PENDING),
        ),
        spent_usd=0.004,
        estimated_usd=1.5,
    ),
    "recovered": replace(
        FACTS,
        kind=AlertKind.RECOVERED,
        attempts=(ATTEMPT,),
        spent_usd=2.61,
        estimated_usd=3.04,
        time_lost_seconds=4500,
        state=JobState.SUCCEEDED,
        error="",
    ),
    "given_up": replace(
        FACTS,
        kind=AlertKind.GIVEN_UP,
        created="",
        attempt=2,
        attempts=(FAILED_ATTEMPT, replace(FAILED_ATTEMPT, step=2)),
        spent_usd=5.9,
        plan=replace(PLAN, action=Action.ALERT, refused_by=(Guard.ATTEMPTS,), because=""),
    ),
    "alert-partial": AlertFacts(
        AlertKind.ALERT,
        job=BATCH,
        display_name="score",
        root=BATCH.key,
        state=JobState.PARTIALLY_SUCCEEDED,
        result="900 instances succeeded, 100 failed; see gs://out/run",
        rows=RowCounts(900, 100, 24, "gs://out/run"),
        ended=ENDED,
        diagnosis=replace(
            UNKNOWN,
            causes=(),
            missing=(),
            row_errors=(
                ("row 17: no field sequence", 60),
                ("row 9: no field sequence", 30),
                ("too long", 10),
            ),
        ),
        plan=replace(NOTHING, notes=("the policy only alerts",)),
    ),
    "alert-said-once": replace(
        FACTS,
        kind=AlertKind.ALERT,
        created="",
        job=BATCH,
        machine="n1-standard-4 + 1 NVIDIA_TESLA_T4",
        error=OUT_OF_MEMORY,
        diagnosis=replace(
            DIAGNOSIS,
            verdict=Cause.GPU_MEMORY,
            causes=(
                RankedCause(
                    Cause.GPU_MEMORY,
                    0.98,
                    (
                        Evidence(
                            Source.JOB, "error", f'the job\'s error: "… {OUT_OF_MEMORY[12:60]}…"'
                        ),
                        Evidence(
                            Source.JOB,
                            "completionStats",
                            f'64 instances failed, all alike, for example: "{OUT_OF_MEMORY}"',
                        ),
                        Evidence(Source.LOG, "8e2168a7c616280d", 'a worker says: "Killed"'),
                        Evidence(Source.TELEMETRY, "telemetry", "GPU memory 99% full"),
                    ),
                ),
                RankedCause(Cause.SLOW_CODE, 0.01, ()),
            ),
            sections=(Section("load", 0.9, 900.0),),
        ),
        plan=replace(NOTHING, refused_by=(Guard.ACCELERATORS,), notes=("only an L4 is allowed",)),
    ),
    "alert-rerun-named": replace(
        FACTS,
        kind=AlertKind.ALERT,
        created="",
        diagnosis=None,
        plan=replace(
            NOTHING,
            refused_by=(Guard.ALREADY_RERUN,),
            notes=(f"{NEW} runs the same work again already",),
        ),
    ),
    "nobody-answered": replace(
        FACTS,
        kind=AlertKind.GIVEN_UP,
        created="",
        plan=replace(PLAN, action=Action.APPROVE, notes=("nobody answered",)),
    ),
    "declined": replace(
        FACTS,
        kind=AlertKind.GIVEN_UP,
        created="",
        plan=replace(PLAN, action=Action.APPROVE, notes=("declined by ana@example.com",)),
    ),
    "cancelled": CANCELLED,
    "cancelled-by-us": replace(
        CANCELLED, extra=("The remediator cancelled it: it ran longer than max_run allows (72 h).",)
    ),
    "no_permission": AlertFacts(
        AlertKind.NO_PERMISSION,
        display_name="aiplatform.customJobs.create",
        error="403 Permission 'aiplatform.customJobs.create' denied on resource projects/acme.",
        extra=("Until it is granted, failures wait.",),
    ),
    "ledger_damaged": AlertFacts(
        AlertKind.LEDGER_DAMAGED,
        display_name="incidents:us-central1|customJobs|5",
        root="ledger/incidents/us-central1|customJobs|5",
        extra=(
            "The ledger's document incidents:us-central1|customJobs|5 cannot be read: it is no JSON.",
            "It was set aside; what stood in it is kept under `damaged:`.",
        ),
    ),
    "deleted": replace(CANCELLED, deleted=True, extra=("Nothing more: the job was deleted.",)),
    "refused_creation": AlertFacts(
        AlertKind.REFUSED_CREATION,
        display_name="train",
        root="refusal/1abc",
        error="The following quotas are exceeded: CustomModelTrainingT4GPUsPerProjectPerRegion",
        diagnosis=replace(
            DIAGNOSIS,
            verdict=Cause.QUOTA,
            causes=(RankedCause(Cause.QUOTA, 0.97, (), advice="Ask for more of the quota."),),
        ),
        places=(ENTRY,),
        extra=("CreateCustomJob, asked for by ana@example.com, was refused:",),
    ),
    "old_failures": AlertFacts(AlertKind.OLD_FAILURES, count=1204),
    "sink_silent": AlertFacts(AlertKind.SINK_SILENT, job=BATCH, display_name="score"),
    "overrun": replace(
        FACTS,
        kind=AlertKind.OVERRUN,
        attempt=1,
        spent_usd=104.5,
        estimated_usd=3.04,
        error="",
        state=JobState.RUNNING,
        ended=None,
    ),
    "overrun-in-time": replace(
        FACTS,
        kind=AlertKind.OVERRUN,
        attempt=1,
        spent_usd=40.0,
        estimated_usd=3.04,
        error="",
        state=JobState.RUNNING,
        ended=None,
        over_time=True,
        cancels=True,
        extra=("It is being cancelled: it ran longer than max_run allows (72 h).",),
    ),
    "running": RUNNING,
    "running-cancelled": replace(
        RUNNING,
        trouble=replace(
            HUNG, action=Action.CANCEL_RESUBMIT, mode=Mode.ENFORCE, resubmits=True, usd=5.6
        ),
    ),
    "running-asked": replace(
        RUNNING,
        plan=replace(PLAN, policy="hung-training", changes=()),
        trouble=replace(HUNG, action=Action.APPROVE, mode=Mode.APPROVE),
        approval_id="7f3k-9m2q",
        approve_until=ENDED,
    ),
    "running-left": replace(
        RUNNING,
        trouble=replace(
            HUNG,
            action=Action.ALERT,
            mode=Mode.ENFORCE,
            resubmits=True,
            refused_by=(Guard.USD_PER_JOB,),
            why_not="$99.00 spent for this job and $5.00 more would pass $100.00",
        ),
    ),
    "policy_changed": AlertFacts(
        AlertKind.POLICY_CHANGED, extra=("gs://ops/policies.yaml, generation 12",)
    ),
    "digest": AlertFacts(
        AlertKind.DIGEST,
        display_name="Daily digest to 2026-11-24: 12 failed, 8 recovered, 1 waits for a yes",
        root="digest/daily/2026-11-24",
        count=1,
        extra=(
            "Failed: 12 jobs (7 CPUs full, 3 error in the code, 2 out of memory).",
            "Recovered: 8 of 9 that were resubmitted and have ended, half of them within 1 h 12 min.",
            "Waits for a yes: 1 (align-reads).",
            "Left to a person: 3 (lint-check, train-a, train-b).",
            "Cost: resubmissions of these jobs so far $31.20, estimated $40.00.",
            "Saved: $12.40, against one blind rerun of each job that no rerun fixes.",
        ),
    ),
    "grouped": AlertFacts(
        AlertKind.GROUPED,
        together=(
            compose(replace(FACTS, display_name="align")),
            compose(replace(FACTS, kind=AlertKind.RECOVERED, attempts=(ATTEMPT,))),
            compose(
                replace(
                    FACTS,
                    kind=AlertKind.APPROVAL,
                    display_name="score",
                    created="",
                    approval_id="apr-7f3a",
                    plan=replace(PLAN, action=Action.APPROVE),
                )
            ),
            *(compose(AlertFacts(AlertKind.OLD_FAILURES, count=n)) for n in range(1, 42)),
        ),
    ),
}

# A file an alert, as `as_text` shows it without its links. `python -m tests.alert_examples --texts`
# writes them anew: read the difference as somebody woken at three would.
TEXTS = Path(__file__).parent / "data" / "alerts"


@pytest.mark.parametrize("name", SITUATIONS)
def test_an_alert_reads_as_written_here(name: str) -> None:
    message = compose(SITUATIONS[name])
    assert as_text(replace(message, links=())) == (TEXTS / f"{name}.txt").read_text()


def test_notes_and_the_basis_of_the_estimate_stand_in_their_own_places() -> None:
    """The plan's whole sentence says verdict, change and cost again; an alert does not."""
    plan = replace(
        PLAN,
        because="CPU saturation (74% sure): machine type becomes n1-standard-16; about $3.04.",
        notes=("a T4 does not go with n1-standard-32: two of them",),
        cost_basis="65% was done in 2 h, at $0.874 an hour",
    )
    told = dict(compose(replace(FACTS, plan=plan)).answers)
    assert told["What was done"][0].endswith("-> n1-standard-16. Policy starved-of-cpu, step 1.")
    assert told["What was done"][1:] == ("A T4 does not go with n1-standard-32: two of them.",)
    about, most = told["What it may cost"][0].split(". At most ")
    assert about == "About $3.04 for this attempt (65% was done in 2 h, at $0.874 an hour)"
    assert most == f"$12.20: {PLAN.worst_case_basis}."


def test_proof_is_given_once_and_a_bare_pattern_is_no_proof() -> None:
    line = Evidence(Source.LOG, "a1", "Killed")
    wild = Evidence(Source.LOG, "a2", "<*> <*>: <NUM>")
    cause = RankedCause(Cause.MEMORY_PRESSURE, 0.9, (line, wild, replace(line, where="a3")))
    found = replace(DIAGNOSIS, verdict=Cause.MEMORY_PRESSURE, causes=(cause,))
    assert compose(replace(FACTS, diagnosis=found)).evidence == (line,)


@pytest.mark.parametrize(
    ("cause", "error", "title"),
    [
        (
            Cause.USER_CODE_ERROR,
            "Traceback: ValueError: bad row During handling: KeyError: 'chrom'",
            "failed (error in the code: KeyError: 'chrom')",
        ),
        (Cause.BAD_INPUT, "No file was found at gs://in/x.jsonl.", "(bad input: gs://in/x.jsonl)"),
        (
            Cause.PERMISSION,
            "Permission 'storage.objects.get' denied on resource x.",
            "(permission missing: storage.objects.get)",
        ),
        (
            Cause.QUOTA,
            "exceed quota limits: aiplatform.googleapis.com/custom_model_training_cpus",
            "(quota used up: custom_model_training_cpus)",
        ),
        (
            Cause.QUOTA,
            "The following quotas are exceeded: CustomModelTrainingCPUsPerProjectPerRegion",
            "(quota used up: CustomModelTrainingCPUsPerProjectPerRegion)",
        ),
        (Cause.MEMORY_PRESSURE, "gs://in/x MemoryError: no", "failed (out of memory)"),
        (Cause.BAD_INPUT, "the rows cannot be read", "failed (bad input)"),
    ],
)
def test_the_first_line_says_what_the_cause_is_about(cause: Cause, error: str, title: str) -> None:
    found = replace(DIAGNOSIS, verdict=cause, causes=(RankedCause(cause, 0.9, ()),))
    facts = replace(SITUATIONS["alert-limit"], plan=NOTHING, diagnosis=found, error=error)
    assert compose(facts).title.endswith(title)


def test_no_half_of_a_secret_stands_in_the_first_line() -> None:
    """Cut first and redacted then, it would not be known for one."""
    secret = "eyJhbGciOiJIUzI1NiJ9." + "c3ViamVjdA" * 9 + "." + "c2lnbmF0dXJl" * 5
    error = f"ValueError: the server did not like the bearer of {secret}"
    cause = RankedCause(Cause.USER_CODE_ERROR, 0.9, ())
    found = replace(DIAGNOSIS, verdict=cause.cause, causes=(cause,))
    told = compose(replace(SITUATIONS["alert-limit"], diagnosis=found, error=error)).title
    assert "ValueError: the server did not like the bearer of" in told
    assert "eyJ" not in told


def test_rows_that_say_one_thing_are_quoted_once() -> None:
    """As the error file and the job's own statistics tell them, each cut in its own way."""
    row = 'Cannot get predictions. Error: Non-OK result 422 ({"detail":[{"msg":"field required"}]})'
    rows = (
        Evidence(
            Source.ERROR_FILE, "gs://out/e-1", f'an error row, 3 times: "… {row} from server."'
        ),
        Evidence(
            Source.ERROR_FILE, "gs://out/e-1", f'an error row, 3 times: "… {row[24:]} from …"'
        ),
        Evidence(Source.JOB, "stats", f'3 failed, all alike, for example: "Post fails. {row} …"'),
        Evidence(Source.LOG, "a1", 'a worker says: "the field chrom is required in each row"'),
    )
    found = replace(DIAGNOSIS, causes=(RankedCause(Cause.BAD_INPUT, 0.9, rows),))
    assert [item.says for item in compose(replace(FACTS, diagnosis=found)).evidence] == [
        rows[0].says,
        "3 failed, all alike, as above",
        rows[3].says,
    ]


def test_where_a_person_would_have_been_asked_observing_says_so() -> None:
    asks = replace(SITUATIONS["observed"], plan=replace(PLAN, action=Action.APPROVE))
    assert compose(asks).next_step == (
        "Resubmit it yourself if you agree; with mode: enforce you would have been asked."
    )


def test_a_source_that_was_not_read_is_said_once_and_without_the_call() -> None:
    why = "reading bucket b: GET http://host/storage/v1/b/b?alt=json: it does not exist"
    found = replace(DIAGNOSIS, missing=(f"storage could not be read: {why}", "the server's log"))
    facts = replace(FACTS, diagnosis=found, gaps=(Gap(Source.STORAGE, why),))
    assert dict(compose(facts).answers)["Why"][-2:] == (
        "Would settle it: the server's log",
        "Not read: storage, reading bucket b: it does not exist",
    )


def test_mails_of_a_chain_differ_by_their_subject_and_share_a_topic() -> None:
    names = ("acted", "next_attempt", "approval", "recovered", "given_up")
    messages = [compose(SITUATIONS[name]) for name in names]
    assert [message.subject for message in messages] == [
        "[vertex] genomic-prep failed (1234567890)",
        "[vertex] genomic-prep failed (1234567890)",
        "[vertex] Approval needed for genomic-prep (1234567890)",
        "[vertex] genomic-prep recovered (1234567890)",
        "[vertex] genomic-prep given up (1234567890)",
    ]
    assert {message.topic for message in messages} == {"[vertex] genomic-prep (1234567890)"}
    assert compose(SITUATIONS["old_failures"]).subject == ""


def test_what_costs_no_more_than_it_is_estimated_at_is_told_once() -> None:
    told = dict(compose(replace(FACTS, plan=replace(PLAN, worst_case_usd=3.04))).answers)
    assert told["What it may cost"] == ("At most $3.04 for this attempt.",)


def test_giving_up_says_what_another_attempt_would_cost() -> None:
    last = replace(FAILED_ATTEMPT, estimated_usd=4.0)
    facts = replace(SITUATIONS["given_up"], plan=NOTHING, attempts=(last,))
    assert dict(compose(facts).answers)["What it cost"][-1] == (
        "Another attempt like the last would cost about $4.00."
    )


def test_links_lead_to_the_console_and_the_logs_of_the_run() -> None:
    console = "https://console.cloud.google.com"
    training = f"{console}/agent-platform/locations/us-central1/training"
    query = "query=resource.labels.job_id%3D%221234567890%22"
    window = "startTime=2026-11-23T18:50:00Z;endTime=2026-11-23T20:10:00Z"
    assert [(link.label, link.url) for link in compose(SITUATIONS["given_up"]).links] == [
        ("Job", f"{training}/1234567890?project=acme"),
        (
            "Logs",
            f"{console}/logs/query;{query};{window}?project=acme",
        ),
    ]
    assert [link.label for link in compose(SITUATIONS["recovered"]).links][:2] == ["Job", "New job"]
    advised = compose(SITUATIONS["alert-slow-code"]).links
    assert advised[-1].url == "https://cloud.google.com/vertex-ai/docs/training/profiler"


def test_the_line_that_proves_it_is_one_click_away() -> None:
    pages = {link.label: link.url for link in compose(SITUATIONS["alert-said-once"]).links}
    assert pages["Log line"] == (
        "https://console.cloud.google.com/logs/query;query=insertId%3D%228e2168a7c616280d%22"
        ";startTime=2026-11-23T18:50:00Z;endTime=2026-11-23T20:10:00Z?project=acme"
    )


@pytest.mark.parametrize(
    "odd", ["", "\ud800" * 9, 'x" OR severity>=DEFAULT', "error.code[0]", "y" * 65]
)
def test_an_odd_insert_id_makes_no_link(odd: str) -> None:
    """Who writes a log entry chooses its id."""
    assert entry_links("Log line", "acme", odd, STARTED, ENDED) == ()


def test_a_job_that_never_started_is_looked_for_on_the_day_before_its_end() -> None:
    """Without a window the Logs Explorer shows the last hour: nothing, on the morning after."""
    assert ";startTime=2026-11-22T19:50:00Z;endTime=2026-11-23T20:10:00Z?" in logs_url(
        BATCH, None, ENDED.replace(microsecond=29987)
    )


def test_the_first_job_and_the_other_run_have_links() -> None:
    """The ledger names a chain by its key, without the project."""
    later = replace(SITUATIONS["recovered"], job=JobName.parse(NEW), root=JOB.key)
    assert [link.label for link in compose(later).links] == ["Job", "First job", "Logs"]
    rerun = compose(SITUATIONS["alert-rerun-named"]).links
    assert ("Other run", console_url(JobName.parse(NEW))) in [(x.label, x.url) for x in rerun]


def test_a_recovery_says_where_the_results_are() -> None:
    told = dict(compose(replace(SITUATIONS["recovered"], output="gs://out/prediction-7")).answers)
    assert told["What was done"][-1] == "Results: gs://out/prediction-7"


def test_a_question_says_until_when() -> None:
    reason = "`custom` is not in `rerun_safe`: with it there nobody need be asked"
    plan = replace(PLAN, action=Action.APPROVE, approval_reasons=(reason,))
    asked = replace(SITUATIONS["approval"], plan=plan, approve_until=ENDED)
    assert compose(asked).next_step == (
        "Approve or decline by 2026-11-23 20:00 UTC; after that nothing is done. "
        f"Asked because {reason}."
    )


def test_the_place_in_the_code_and_the_last_lines_are_told_and_redacted() -> None:
    lines = ("loading", "token ghp_" + "a1B2" * 9, "KeyError: 'chrom'")
    found = replace(DIAGNOSIS, frame=Frame("/app/train.py", 12, "main"), last_lines=lines)
    told = dict(compose(replace(FACTS, diagnosis=found)).answers)
    assert "In your code: /app/train.py, line 12, in main." in told["Why"]
    assert told["Last lines before the end"][0] == "loading"
    assert told["Last lines before the end"][2] == "KeyError: 'chrom'"
    assert "a1B2" not in told["Last lines before the end"][1]


def test_a_command_works_in_an_empty_shell() -> None:
    place = "firestore://vertex-remediator/remediator"
    asked = replace(SITUATIONS["approval"], project="genomics-lab", ledger=place)
    assert compose(asked).commands[0] == (
        "GOOGLE_CLOUD_PROJECT=genomics-lab REMEDIATOR_LOCATIONS=us-central1 "
        f"REMEDIATOR_LEDGER={place} python -m remediator approve apr-7f3a"
    )


def test_whose_job_it_is_stands_in_the_first_line_where_there_is_room() -> None:
    whose = replace(FACTS, owner="nlp", project="lab", account="train@lab.iam.gserviceaccount.com")
    message = compose(whose)
    assert message.title == (
        "Resubmitted: genomic-prep failed (CPUs full), now on n1-standard-16 · nlp · lab · train"
    )
    assert dict(message.answers)["The job"][1] == (
        "Project lab, owner nlp, account train@lab.iam.gserviceaccount.com"
    )
    long = compose(replace(whose, display_name="x" * 60, owner="y" * 50))
    assert len(long.title) <= 150
    assert "yyy" not in long.title


def test_what_vertex_writes_under_every_error_is_not_read_out() -> None:
    said = "The replica workerpool0-0 exited with a non-zero status of 1."
    link = "https://console.cloud.google.com/logs/viewer?project=1&resource=ml_job%2Fjob_id%2F7"
    asked = f"{said} To find out more about why your job exited please check the logs: {link}"
    assert dict(compose(replace(FACTS, error=asked)).answers)["The job"][-1] == said


def question(number: int, name: str, change: Change = BIGGER) -> Message:
    plan = replace(PLAN, action=Action.APPROVE, changes=(change,))
    return compose(
        replace(
            SITUATIONS["approval"],
            job=replace(JOB, id=str(number)),
            root=str(replace(JOB, id=str(number))),
            display_name=name,
            approval_id=f"id-{number}",
            plan=plan,
        )
    )


@given(st.lists(st.sampled_from(["asks", "asks otherwise", "needs", "fine"]), max_size=400))
def test_whatever_needs_a_person_stands_in_some_message_with_its_command(sorts: list[str]) -> None:
    """For any number of jobs: none is cut, none is in two, and a second message is made instead."""
    other = replace(BIGGER, after="n1-standard-32")
    made = {
        "asks": lambda n: question(n, f"job-{n}"),
        "asks otherwise": lambda n: question(n, f"job-{n}", other),
        "needs": lambda n: compose(
            replace(SITUATIONS["alert-limit"], job=replace(JOB, id=str(n)), display_name=f"job-{n}")
        ),
        "fine": lambda n: compose(replace(FACTS, display_name=f"job-{n}")),
    }
    messages = [made[sort](number) for number, sort in enumerate(sorts)]
    groups = split(messages)
    assert sorted(map(id, (one for group in groups for one in group))) == sorted(map(id, messages))
    for group in groups:
        sent = compose(AlertFacts(AlertKind.GROUPED, together=group))
        body = json.dumps(render_slack(sent))
        assert len(render_slack(sent)["blocks"]) <= 50
        text = as_text(sent, width=10_000)
        for one in group:
            if one.severity is not Severity.LOUD:
                continue
            name = one.topic.removeprefix("[vertex] ").partition(" (")[0]
            assert re.search(rf"\b{name}\b", text)
            assert re.search(rf"\b{name}\b", body)
            if one.buttons:
                alone = one.commands[0] in text
                alike = f"({one.buttons[0].value})" in text and "approve --like" in text
                assert alone or alike


def test_questions_that_ask_the_same_are_one_line_with_one_command() -> None:
    messages = [question(number, f"align-{number}") for number in range(3)]
    (group,) = split(messages)
    message = compose(AlertFacts(AlertKind.GROUPED, together=group))
    assert message.title == "3 alerts grouped into one: 3 need a person"
    (item,) = message.items
    assert item.text == (
        "3 custom jobs like this: resubmit on n1-standard-16? Approve all, or one by its id: "
        "align-0 (id-0), align-1 (id-1), align-2 (id-2)"
    )
    assert item.command == "python -m remediator approve --like id-0"
    assert item.link is not None


def test_a_list_is_cut_between_lines_and_says_how_many_are_left_out() -> None:
    told = wording.listed([f"{n} {'x' * 200}" for n in range(30)])
    assert (told[0][:2], told[-1]) == ("0 ", "and 18 more")
    assert sum(map(len, told)) < 2600


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("customJobs/1", "agent-platform/locations/us-east1/training/1"),
        ("hyperparameterTuningJobs/1", "agent-platform/locations/us-east1/training/1"),
        ("trainingPipelines/1", "agent-platform/locations/us-east1/training/1"),
        ("batchPredictionJobs/1", "agent-platform/locations/us-east1/batch-predictions/1"),
        ("pipelineJobs/run-1", "vertex-ai/locations/us-east1/pipelines/runs/run-1"),
    ],
)
def test_every_kind_of_job_has_a_page(name: str, page: str) -> None:
    job = JobName.parse(f"projects/12/locations/us-east1/{name}")
    assert console_url(job) == f"https://console.cloud.google.com/{page}?project=12"
    assert logs_url(job, None, None).startswith(
        "https://console.cloud.google.com/logs/query;query="
    )


def test_only_what_needs_a_person_is_loud() -> None:
    loud = {n for n, f in SITUATIONS.items() if compose(f).severity is Severity.LOUD}
    assert loud == {
        "approval",
        "alert-limit",
        "alert-slow-code",
        "alert-unknown",
        "alert-partial",
        "alert-said-once",
        "nobody-answered",
        "declined",
        "cancelled",
        "cancelled-by-us",
        "deleted",
        "ledger_damaged",
        "no_permission",
        "refused_creation",
        "given_up",
        "sink_silent",
        "grouped",
        "overrun",
        "running",
        "running-asked",
        "running-left",
    }


def test_every_kind_has_a_situation_here() -> None:
    assert {f.kind for f in SITUATIONS.values()} == set(AlertKind)


def test_every_cause_and_every_guard_has_words() -> None:
    assert set(wording.MEANINGS) == set(wording.ADVICE) == set(Cause)
    assert set(wording.GUARDS) == set(Guard)


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_stored_alert_comes_back_the_same(name: str) -> None:
    message = compose(SITUATIONS[name])
    assert Message.parse(json.loads(json.dumps(message.to_json()))) == message


@pytest.mark.parametrize("damage", ["kind", "facts", "buttons"])
def test_a_damaged_stored_alert_is_unusable(damage: str) -> None:
    body = {**compose(FACTS).to_json(), damage: "?"}
    with pytest.raises(InvalidInput):
        Message.parse(body)


def test_buttons_stand_only_where_there_is_something_to_approve() -> None:
    with_buttons = {n for n, f in SITUATIONS.items() if compose(f).buttons}
    assert with_buttons == {"approval", "running-asked"}
    assert compose(replace(SITUATIONS["approval"], approval_id="")).buttons == ()


# --- text from outside -------------------------------------------------------------------------

HOSTILE = (
    "<!channel> <@U123> [x](https://evil.example) &amp; \x1b[31mred\x07 \u202egnp.exe\u2066 "
    "\u200bzero\ud800 \r\nBcc: all@example.com password=hunter2hunter2"
)


def together(text: str) -> tuple[Message, ...]:
    return tuple(
        compose(hostile(kind, text)) for kind in AlertKind if kind is not AlertKind.GROUPED
    )


def hostile(kind: AlertKind, text: str = HOSTILE) -> AlertFacts:
    # Of a text of megabytes a few field names of its own will do: each is a copy of it.
    many = 200 if len(text) < 10_000 else 2
    names = [f"{text}.{n}" for n in range(many)] * (200 // many)
    return replace(
        SITUATIONS["next_attempt"],
        kind=kind,
        display_name=text,
        root=text,
        error=text,
        machine=text,
        created=text,
        approval_id=text,
        extra=(text,) * 30,
        count=30,
        together=together(text) if kind is AlertKind.GROUPED else (),
        gaps=(Gap(Source.LOG, text),) * 9,
        diagnosis=replace(
            UNKNOWN,
            causes=(
                RankedCause(
                    Cause.SLOW_CODE,
                    0.3,
                    (Evidence(Source.LOG, text, text),) * 40,
                    (Evidence(Source.LOG, text, text),) * 40,
                    advice=text,
                    advice_url="javascript:alert(1)",
                ),
            ),
            missing=(text,) * 9,
            sections=(Section(text, 0.5, 1.0),),
        ),
        plan=replace(
            PLAN,
            policy=text,
            because=text,
            changes=tuple(Change(name, text, text) for name in names),
        ),
        attempts=tuple(
            replace(FAILED_ATTEMPT, name=text, verdict=text, changes=(Change(text, text, text),))
            for _ in range(50)
        ),
    )


def every_text(message: Message) -> str:
    return json.dumps(message.to_json(), ensure_ascii=False)


@pytest.mark.parametrize("kind", AlertKind)
def test_nothing_hidden_and_no_secret_gets_into_an_alert(kind: AlertKind) -> None:
    told = every_text(compose(hostile(kind)))
    assert not {c for c in told if c < " " or c in "\u202e\u2066\u200b\x7f"}
    told.encode()  # no lone surrogate is left
    assert "hunter2" not in told
    assert "javascript:" not in told


@pytest.mark.parametrize("kind", AlertKind)
def test_megabytes_are_cut_with_a_mark(kind: AlertKind) -> None:
    message = compose(hostile(kind, "wide load " * 300_000))
    assert len(every_text(message)) < 20_000
    assert len(message.title) <= 150
    assert "…" in every_text(message)


@given(st.text(), st.integers(min_value=2, max_value=50))
def test_shown_text_fits_and_is_one_clean_line(text: str, limit: int) -> None:
    told = wording.shown(text, limit)
    assert len(told) <= limit
    assert told == " ".join(told.split())
    assert told.isprintable()


def test_a_secret_split_by_an_invisible_mark_is_still_redacted() -> None:
    assert "hunter2" not in wording.shown("pass\u200bword=hunter2hunter2", 200)


@pytest.mark.parametrize(
    ("changes", "phrase"),
    [
        ((), ""),
        ((Change("a.machineType", "x", "n1-standard-16"),), "on n1-standard-16"),
        (
            (
                Change("m.machineType", "x", "n1-standard-8"),
                Change("m.acceleratorType", None, "NVIDIA_TESLA_T4"),
                Change("m.acceleratorCount", None, 2),
            ),
            "on n1-standard-8 with 2 NVIDIA_TESLA_T4",
        ),
        ((Change("m.batchSize", 64, 32),), "with batch size 32"),
        ((Change("m.acceleratorType", "NVIDIA_L4", None),), "without accelerator"),
        (
            (Change("d.startingReplicaCount", 1, 2), Change("d.maxReplicaCount", 1, 2)),
            "with 2 replicas",
        ),
        ((Change("generateExplanation", True, False),), "with explanations off"),
        ((Change("spec.other", 1, "{0}"),), "with other (0)"),
    ],
)
def test_changes_are_said_in_a_phrase(changes: tuple[Change, ...], phrase: str) -> None:
    assert wording.described(changes) == phrase


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ((Change("batchSize", None, 32),), "batch size 64 (the default) -> 32"),
        (
            (
                Change("m.acceleratorType", None, "NVIDIA_TESLA_T4"),
                Change("m.acceleratorCount", None, 1),
            ),
            "accelerator none -> 1 NVIDIA_TESLA_T4",
        ),
        (
            (
                Change("m.acceleratorType", "NVIDIA_TESLA_T4", "NVIDIA_L4"),
                Change("m.acceleratorCount", 2, 1),
            ),
            "accelerator 2 NVIDIA_TESLA_T4 -> 1 NVIDIA_L4",
        ),
        ((Change("m.acceleratorCount", 1, 2),), "accelerators 1 -> 2"),
        (
            (Change("m.acceleratorType", "NVIDIA_L4", None), Change("m.acceleratorCount", 1, None)),
            "accelerator 1 NVIDIA_L4 -> none",
        ),
        (
            (Change("pools[0].machineType", "a", "b"), Change("pools[1].machineType", "a", "b")),
            "machine type a -> b",
        ),
        ((Change("generateExplanation", True, False),), "explanations on -> off"),
        ((Change("timeout", None, "7200s"),), "time-out not set -> 7200s"),
    ],
)
def test_changes_are_spelled_out_as_people_say_them(
    changes: tuple[Change, ...], words: str
) -> None:
    assert wording.spelled(changes) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (45.4, "45 s"),
        (61, "1 min 01 s"),
        (3900, "1 h 05 min"),
        (90000, "1 d 1 h"),
        (-5, "0 s"),
    ],
)
def test_a_span_is_said_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert wording.span(seconds) == words


@pytest.mark.parametrize(
    ("confidence", "words"), [(0.5, "50%"), (0.994, "99%"), (0.996, "over 99%"), (1, "over 99%")]
)
def test_nothing_is_wholly_sure(confidence: float, words: str) -> None:
    assert wording.certainty(confidence) == words


@pytest.mark.parametrize(
    ("usd", "words"),
    [
        (None, "an unknown amount"),
        (0.0, "$0.00"),
        (0.004, "less than $0.01"),
        (1234.5, "$1,234.50"),
    ],
)
def test_money_is_said_in_dollars(usd: float | None, words: str) -> None:
    assert wording.amount(usd) == words


# --- the rows of a batch -------------------------------------------------------------------------


def test_a_batch_tells_its_rows_by_message_and_where_the_output_lies() -> None:
    """Messages that differ in numbers alone are one."""
    told = dict(compose(SITUATIONS["alert-partial"]).answers)
    assert told["Rows of the batch"] == (
        "1,024 rows: 900 done, 100 failed, 24 never attempted.",
        '90 failed: "row 17: no field sequence"',
        '10 failed: "too long"',
        "Output: gs://out/run",
    )


@pytest.mark.parametrize(
    ("rows", "errors", "lines"),
    [
        (
            RowCounts(0, 64, 0, "gs://out/run"),
            (("Post request fails", 64),),
            ("64 rows: 0 done, 64 failed, 0 never attempted.", 'All 64 failed rows give the same answer: "Post request fails"', "Output: gs://out/run"),
        ),
        (
            RowCounts(900, 400, -1, "gs://out", is_asked_for=True),
            (("busy", 12), ("busy 2", 8)),
            (
                "900 done, 400 failed, how many were never attempted is not known.",
                '12 failed: "busy"',
                '8 failed: "busy 2"',
                "Only 20 of the 400 failed rows were read.",
                "Output: below gs://out, which the job asked for; Vertex names no folder of its own.",
            ),
        ),
        (
            RowCounts(900, 400, 0),
            (("busy", 20),),
            (
                "1,300 rows: 900 done, 400 failed, 0 never attempted.",
                'All failed rows that were read (20 of 400) give the same answer: "busy"',
                "Where the output lies, the job does not say.",
            ),
        ),
        (RowCounts(-1, 0, -1, "bq://p.d"), (), ("Vertex counted no rows.", "Output: bq://p.d")),
        (None, (), ()),
    ],
    ids=["all-alike", "a-sample", "a-sample-alike", "not-counted", "no-batch"],
)  # fmt: skip
def test_rows_are_told_as_far_as_anybody_counted_them(
    rows: RowCounts | None, errors: tuple[tuple[str, int], ...], lines: tuple[str, ...]
) -> None:
    partly = SITUATIONS["alert-partial"]
    assert partly.diagnosis is not None
    facts = replace(partly, rows=rows, diagnosis=replace(partly.diagnosis, row_errors=errors))
    assert dict(compose(facts).answers).get("Rows of the batch", ()) == lines


def test_a_worst_case_far_above_the_estimate_says_why() -> None:
    told = dict(compose(FACTS).answers)["What it may cost"]
    assert told[0] == (
        "About $3.04 for this attempt. At most $12.20: it has no time-out of its own, and Vertex ends "
        "it after 168 h."
    )
    near = replace(FACTS, plan=replace(PLAN, worst_case_usd=5.0))
    assert dict(compose(near).answers)["What it may cost"][0].endswith("$5.00 at most.")
