"""What an alert says, as a person reads it: whole texts, for every kind of alert."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.alerts import wording
from remediator.alerts.compose import AlertFacts, compose
from remediator.alerts.links import console_url, logs_url
from remediator.alerts.message import AlertKind, Message, Severity, as_text
from remediator.case import Gap
from remediator.domain import (
    Action,
    Attempt,
    Cause,
    Change,
    Diagnosis,
    Evidence,
    Guard,
    JobKind,
    JobName,
    JobState,
    Mode,
    Plan,
    RankedCause,
    Section,
    Source,
    Unusable,
)

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
            0.91,
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
    "policy_changed": AlertFacts(
        AlertKind.POLICY_CHANGED, extra=("gs://ops/policies.yaml, generation 12",)
    ),
    "grouped": AlertFacts(
        AlertKind.GROUPED,
        extra=tuple(f"Resubmitted: job-{n} failed of preemption, unchanged" for n in range(44)),
    ),
}

TEXTS = {
    "acted": """\
        Resubmitted: genomic-prep failed of cpu_saturation, now on n1-standard-16

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          FAILED after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (91% sure): the work ran out of time with the CPUs full.
          Next most likely: slow_code (20%).

        Evidence
          - CPUs 97% full for 55 minutes [metric, training/cpu/utilization]
          - The job ran into its time-out of 3600 s [job, error.message]

        What was done
          Resubmitted as 1234567891, attempt 1: machine type n1-standard-8 ->
          n1-standard-16. Policy starved-of-cpu, step 1.
          The CPUs were full, so twice as many should finish in about 35 minutes.

        What it may cost
          About $3.04 for this attempt, $12.20 at most.

        What you must do
          Nothing. You will hear whether it recovered.
    """,
    "waiting": """\
        Waiting until 2026-11-23 20:20 UTC: genomic-prep failed of capacity_stockout,
        a resubmission will follow

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          FAILED after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          capacity_stockout (97% sure): the region has no such machine at the moment.

        What was done
          Nothing yet. It will be resubmitted not before 2026-11-23 20:20 UTC: the
          same job again. Policy starved-of-cpu, step 1.

        What it may cost
          About $3.04 for this attempt.

        What you must do
          Nothing. You will hear when it is resubmitted.
    """,
    "approval": """\
        Approval needed: genomic-prep failed of cpu_saturation, resubmit on
        n1-standard-16 for about $3.04?

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          FAILED after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (91% sure): the work ran out of time with the CPUs full.
          Next most likely: slow_code (20%).
          Not read: log, Cloud Logging answered 429 for 30 s

        Evidence
          - CPUs 97% full for 55 minutes [metric, training/cpu/utilization]
          - The job ran into its time-out of 3600 s [job, error.message]

        What was done
          Nothing yet. Proposed: machine type n1-standard-8 -> n1-standard-16. Policy
          starved-of-cpu, step 1.
          The CPUs were full, so twice as many should finish in about 35 minutes.

        What it may cost
          About $3.04 for this attempt, $12.20 at most.

        What you must do
          Approve or decline within 12 hours; after that nothing is done.

        Commands
          python -m remediator approve apr-7f3a
          python -m remediator decline apr-7f3a
    """,
    "observed": """\
        Observed: genomic-prep failed of cpu_saturation, would resubmit on
        n1-standard-16

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          FAILED after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (91% sure): the work ran out of time with the CPUs full.
          Next most likely: slow_code (20%).

        Evidence
          - CPUs 97% full for 55 minutes [metric, training/cpu/utilization]
          - The job ran into its time-out of 3600 s [job, error.message]

        What was done
          Nothing: the mode is observe. Planned: machine type n1-standard-8 ->
          n1-standard-16. Policy starved-of-cpu, step 1.
          The CPUs were full, so twice as many should finish in about 35 minutes.

        What it may cost
          About $3.04 for this attempt, $12.20 at most.

        What you must do
          Resubmit it yourself if you agree; with mode: enforce this would have been
          done.
    """,
    "alert-limit": """\
        Not resubmitted: genomic-prep failed of cpu_saturation

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          FAILED after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (91% sure): the work ran out of time with the CPUs full.
          Next most likely: slow_code (20%).

        Evidence
          - CPUs 97% full for 55 minutes [metric, training/cpu/utilization]
          - The job ran into its time-out of 3600 s [job, error.message]

        What was done
          Nothing.
          Refused by usd_per_job: it would pass the money limit of one job.

        What you must do
          Raise usd_per_job in the policy file if it is worth it, or resubmit the job
          yourself.
    """,
    "alert-slow-code": """\
        Not resubmitted: genomic-prep failed of slow_code

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          FAILED after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          slow_code (85% sure): one section of the job's own code takes the time, the
          machine is not full.
          Longest section: preprocess, 83% of the run (49 min 48 s).
          Speaks against it: one CPU of 8 is busy

        Evidence
          - preprocess.py:41 normalise in 83 of 100 lines [telemetry, stack]

        What was done
          Nothing.

        What you must do
          Vectorise normalise in preprocess.py, line 41.
    """,
    "alert-unknown": """\
        Not resubmitted: score succeeded only in part, cause unknown

        What failed
          Batch prediction score (42) in us-central1
          PARTIALLY_SUCCEEDED

        Why
          Unknown: the evidence does not carry a verdict.
          Most likely: slow_startup (35%).
          Would settle it: the model server's own log

        Evidence
          - still loading [log, insertId a1]

        What was done
          Nothing.

        What you must do
          Read the logs; nothing was done because the cause is not known.
    """,
    "alert-rerun": """\
        Left alone: genomic-prep failed of cpu_saturation, already rerun by somebody
        else

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          FAILED after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation: the work ran out of time with the CPUs full.

        What was done
          Nothing.
          Refused by already_rerun: the same work already runs again in another job.
          genomic-prep-2 runs.

        What you must do
          Nothing.
    """,
    "next_attempt": """\
        Attempt 2 started: genomic-prep failed again of cpu_saturation, now on
        n1-standard-16

        What failed
          Custom job genomic-prep (1234567890) in us-central1, attempt 1,
          n1-standard-8
          FAILED after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (91% sure): the work ran out of time with the CPUs full.
          Next most likely: slow_code (20%).

        Evidence
          - CPUs 97% full for 55 minutes [metric, training/cpu/utilization]
          - The job ran into its time-out of 3600 s [job, error.message]

        What was done
          Resubmitted as 1234567891, attempt 2: machine type n1-standard-8 ->
          n1-standard-16. Policy starved-of-cpu, step 1.
          The CPUs were full, so twice as many should finish in about 35 minutes.

        Attempts so far
          1. unchanged: failed (after capacity_stockout)
          2. on n1-standard-16: pending (after cpu_saturation)

        What it may cost
          About $3.04 for this attempt, $12.20 at most.
          Resubmissions so far: less than $0.01, estimated $1.50.

        What you must do
          Nothing. You will hear whether it recovered.
    """,
    "recovered": """\
        Recovered: genomic-prep succeeded on n1-standard-16 after 1 resubmission

        Which job
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          SUCCEEDED after 1 h 00 min, ended 2026-11-23 20:00 UTC

        What was done
          Resubmitted on n1-standard-16; that succeeded, 1 h 15 min after the first
          failure.

        Attempts so far
          1. on n1-standard-16: succeeded (after cpu_saturation)

        What it cost
          Resubmissions so far: $2.61, estimated $3.04.

        What you must do
          Nothing.
    """,
    "given_up": """\
        Given up: genomic-prep failed of cpu_saturation after 2 resubmissions

        What failed
          Custom job genomic-prep (1234567890) in us-central1, attempt 2,
          n1-standard-8
          FAILED after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (91% sure): the work ran out of time with the CPUs full.
          Next most likely: slow_code (20%).

        Evidence
          - CPUs 97% full for 55 minutes [metric, training/cpu/utilization]
          - The job ran into its time-out of 3600 s [job, error.message]

        What was done
          Nothing more.
          Refused by attempts: the changed attempts of this job are used up.

        Attempts so far
          1. on n1-standard-16: failed (after cpu_saturation)
          2. on n1-standard-16: failed (after cpu_saturation)

        What it cost
          Resubmissions so far: $5.90.
          About $3.04 for another attempt, $12.20 at most.

        What you must do
          Give it a bigger machine, more replicas, an accelerator or more time.
    """,
    "old_failures": """\
        1,204 failures older than the look-back recorded, none acted on

        What happened
          They are in the report. Nothing was resubmitted for them.

        What you must do
          Nothing, unless one of them still matters: the report lists them.

        Commands
          python -m remediator report -o report.html
    """,
    "sink_silent": """\
        The sink does not deliver: score was handled from the ledger

        What happened
          A failure entry was written to Cloud Logging and did not come back within 15
          minutes.

        What you must do
          Check the log sink, its topic and the trigger: the command below says what
          is missing.

        Commands
          python -m remediator doctor
    """,
    "overrun": """\
        Over budget: attempt 1 of genomic-prep has passed its limit at $104.50

        Which job
          Custom job genomic-prep (1234567890) in us-central1, attempt 1,
          n1-standard-8
          RUNNING

        What was done
          Nothing: it still runs.

        What it may cost
          Resubmissions so far: $104.50, estimated $3.04.

        What you must do
          Look at the running attempt; cancel it in the console if it is not worth it.
    """,
    "policy_changed": """\
        The policy file changed

        What happened
          gs://ops/policies.yaml, generation 12

        What you must do
          Nothing, if you or your team changed it. Otherwise find out who did.
    """,
    "grouped": """\
        44 alerts grouped into one

        What happened
          Resubmitted: job-0 failed of preemption, unchanged
          Resubmitted: job-1 failed of preemption, unchanged
          Resubmitted: job-2 failed of preemption, unchanged
          Resubmitted: job-3 failed of preemption, unchanged
          Resubmitted: job-4 failed of preemption, unchanged
          Resubmitted: job-5 failed of preemption, unchanged
          Resubmitted: job-6 failed of preemption, unchanged
          Resubmitted: job-7 failed of preemption, unchanged
          Resubmitted: job-8 failed of preemption, unchanged
          Resubmitted: job-9 failed of preemption, unchanged
          Resubmitted: job-10 failed of preemption, unchanged
          Resubmitted: job-11 failed of preemption, unchanged
          Resubmitted: job-12 failed of preemption, unchanged
          Resubmitted: job-13 failed of preemption, unchanged
          Resubmitted: job-14 failed of preemption, unchanged
          Resubmitted: job-15 failed of preemption, unchanged
          Resubmitted: job-16 failed of preemption, unchanged
          Resubmitted: job-17 failed of preemption, unchanged
          Resubmitted: job-18 failed of preemption, unchanged
          Resubmitted: job-19 failed of preemption, unchanged
          Resubmitted: job-20 failed of preemption, unchanged
          Resubmitted: job-21 failed of preemption, unchanged
          Resubmitted: job-22 failed of preemption, unchanged
          Resubmitted: job-23 failed of preemption, unchanged
          Resubmitted: job-24 failed of preemption, unchanged
          Resubmitted: job-25 failed of preemption, unchanged
          Resubmitted: job-26 failed of preemption, unchanged
          Resubmitted: job-27 failed of preemption, unchanged
          Resubmitted: job-28 failed of preemption, unchanged
          Resubmitted: job-29 failed of preemption, unchanged
          Resubmitted: job-30 failed of preemption, unchanged
          Resubmitted: job-31 failed of preemption, unchanged
          Resubmitted: job-32 failed of preemption, unchanged
          Resubmitted: job-33 failed of preemption, unchanged
          Resubmitted: job-34 failed of preemption, unchanged
          Resubmitted: job-35 failed of preemption, unchanged
          Resubmitted: job-36 failed of preemption, unchanged
          Resubmitted: job-37 failed of preemption, unchanged
          Resubmitted: job-38 failed of preemption, unchanged
          Resubmitted: job-39 failed of preemption, unchanged
          Resubmitted: job-40 failed of preemption, unchanged
          and 3 more

        What you must do
          Look through the list; each chain keeps its own entry in the report.
    """,
}


@pytest.mark.parametrize("name", SITUATIONS)
def test_an_alert_reads_as_written_here(name: str) -> None:
    message = compose(SITUATIONS[name])
    assert as_text(replace(message, links=())) == dedent(TEXTS[name])


def test_notes_and_the_basis_of_the_estimate_stand_in_their_own_places() -> None:
    """The plan's whole sentence says verdict, change and cost again; an alert does not."""
    plan = replace(
        PLAN,
        because="Cpu saturation (91% sure): machine type becomes n1-standard-16; about $3.04.",
        notes=("a T4 does not go with n1-standard-32: two of them",),
        cost_basis="65% was done in 2 h, at $0.874 an hour",
    )
    told = dict(compose(replace(FACTS, plan=plan)).answers)
    assert told["What was done"][0].endswith("-> n1-standard-16. Policy starved-of-cpu, step 1.")
    assert told["What was done"][1:] == ("A T4 does not go with n1-standard-32: two of them.",)
    assert told["What it may cost"] == (
        "About $3.04 for this attempt, $12.20 at most (65% was done in 2 h, at $0.874 an hour).",
    )


def test_proof_is_given_once_and_a_bare_pattern_is_no_proof() -> None:
    line = Evidence(Source.LOG, "a1", "Killed")
    wild = Evidence(Source.LOG, "a2", "<*> <*>: <NUM>")
    cause = RankedCause(Cause.MEMORY_PRESSURE, 0.9, (line, wild, replace(line, where="a3")))
    found = replace(DIAGNOSIS, verdict=Cause.MEMORY_PRESSURE, causes=(cause,))
    assert compose(replace(FACTS, diagnosis=found)).evidence == (line,)


def test_a_source_that_was_not_read_is_said_once_and_without_the_call() -> None:
    why = "reading bucket b: GET http://host/storage/v1/b/b?alt=json: it does not exist"
    found = replace(DIAGNOSIS, missing=(f"storage could not be read: {why}", "the server's log"))
    facts = replace(FACTS, diagnosis=found, gaps=(Gap(Source.STORAGE, why),))
    assert dict(compose(facts).answers)["Why"][-2:] == (
        "Would settle it: the server's log",
        "Not read: storage, reading bucket b: it does not exist",
    )


def test_all_mails_of_a_chain_bear_one_subject_that_names_its_first_job() -> None:
    names = ("acted", "next_attempt", "recovered", "given_up")
    subjects = {compose(SITUATIONS[name]).subject for name in names}
    assert subjects == {"[vertex] genomic-prep failed (1234567890)"}
    assert compose(SITUATIONS["old_failures"]).subject == ""


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
    advised = compose(SITUATIONS["alert-slow-code"]).links
    assert advised[-1].url == "https://cloud.google.com/vertex-ai/docs/training/profiler"


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
        "given_up",
        "sink_silent",
        "overrun",
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
    with pytest.raises(Unusable):
        Message.parse(body)


def test_buttons_stand_only_where_there_is_something_to_approve() -> None:
    with_buttons = {n for n, f in SITUATIONS.items() if compose(f).buttons}
    assert with_buttons == {"approval"}
    assert compose(replace(SITUATIONS["approval"], approval_id="")).buttons == ()


# --- text from outside -------------------------------------------------------------------------

HOSTILE = (
    "<!channel> <@U123> [x](https://evil.example) &amp; \x1b[31mred\x07 \u202egnp.exe\u2066 "
    "\u200bzero\ud800 \r\nBcc: all@example.com password=hunter2hunter2"
)


def hostile(kind: AlertKind, text: str = HOSTILE) -> AlertFacts:
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
            changes=tuple(Change(f"{text}.{n}", text, text) for n in range(200)),
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
