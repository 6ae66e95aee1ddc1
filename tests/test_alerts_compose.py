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
from remediator.alerts.compose import compose
from remediator.alerts.facts import AlertFacts
from remediator.alerts.links import console_url, entry_links, logs_url
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
        ended=ENDED,
        diagnosis=replace(UNKNOWN, causes=(), missing=()),
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
    "policy_changed": AlertFacts(
        AlertKind.POLICY_CHANGED, extra=("gs://ops/policies.yaml, generation 12",)
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

TEXTS = {
    "acted": """\
        Resubmitted: genomic-prep failed (cpu_saturation), now on n1-standard-16

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          Failed after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (74% sure): the work ran out of time with the CPUs full.
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
        Waiting until 2026-11-23 20:20 UTC: genomic-prep failed (capacity_stockout), a
        resubmission will follow

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          Failed after 1 h 00 min, ended 2026-11-23 20:00 UTC
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
        Approval needed: genomic-prep failed (cpu_saturation), resubmit on
        n1-standard-16 for about $3.04?

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          Failed after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (74% sure): the work ran out of time with the CPUs full.
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
        Observed: genomic-prep failed (cpu_saturation), would resubmit on
        n1-standard-16

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          Failed after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (74% sure): the work ran out of time with the CPUs full.
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
        Not resubmitted: genomic-prep failed (cpu_saturation), refused by usd_per_job

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          Failed after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (74% sure): the work ran out of time with the CPUs full.
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
        Not resubmitted: genomic-prep failed (slow_code: 83% of the run in preprocess)

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          Failed after 1 h 00 min, ended 2026-11-23 20:00 UTC
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
          Partially succeeded

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
        Left alone: genomic-prep failed (cpu_saturation), already rerun by somebody
        else

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          Failed after 1 h 00 min, ended 2026-11-23 20:00 UTC
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
        Attempt 2 started: genomic-prep failed again (cpu_saturation), now on
        n1-standard-16

        What failed
          Custom job genomic-prep (1234567890) in us-central1, attempt 1,
          n1-standard-8
          Failed after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (74% sure): the work ran out of time with the CPUs full.
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
          Succeeded after 1 h 00 min, ended 2026-11-23 20:00 UTC

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
        Given up: genomic-prep failed (cpu_saturation) after 2 resubmissions

        What failed
          Custom job genomic-prep (1234567890) in us-central1, attempt 2,
          n1-standard-8
          Failed after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (74% sure): the work ran out of time with the CPUs full.
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
    "alert-partial": """\
        Not resubmitted: score succeeded only in part (900 instances succeeded, 100
        failed), cause unknown

        What failed
          Batch prediction score (42) in us-central1
          Partially succeeded, ended 2026-11-23 20:00 UTC
          900 instances succeeded, 100 failed; see gs://out/run

        Why
          Unknown: the evidence does not carry a verdict.

        What was done
          Nothing.
          The policy only alerts.

        What you must do
          Read the error files beside the results: they say which instances failed,
          and why.
    """,
    "alert-said-once": """\
        Not resubmitted: genomic-prep failed (gpu_memory), refused by accelerators

        What failed
          Batch prediction genomic-prep (42) in us-central1, n1-standard-4 + 1
          NVIDIA_TESLA_T4
          Failed after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Error: CUDA out of memory. Tried to allocate 38.40 GiB; 0.16 GiB free

        Why
          gpu_memory (98% sure): it ran out of device memory.

        Evidence
          - the job's error, as above [job, error]
          - 64 instances failed, all alike, as above [job, completionStats]
          - a worker says: "Killed" [log, 8e2168a7c616280d]
          - GPU memory 99% full [telemetry]

        What was done
          Nothing.
          Refused by accelerators: Only an L4 is allowed.

        What you must do
          Allow the accelerator in the policy file if it is worth it, or resubmit the
          job yourself.
    """,
    "alert-rerun-named": """\
        Left alone: genomic-prep failed (cpu_saturation), already rerun by somebody
        else

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          Failed after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation: the work ran out of time with the CPUs full.

        What was done
          Nothing.
          Refused by already_rerun: Custom job 1234567891 runs the same work again
          already.

        What you must do
          Nothing.
    """,
    "nobody-answered": """\
        Given up: genomic-prep failed (cpu_saturation), nobody answered

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          Failed after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (74% sure): the work ran out of time with the CPUs full.
          Next most likely: slow_code (20%).

        Evidence
          - CPUs 97% full for 55 minutes [metric, training/cpu/utilization]
          - The job ran into its time-out of 3600 s [job, error.message]

        What was done
          Nothing.
          Nobody answered.

        What it cost
          Nothing. About $3.04 for the attempt that was not made, $12.20 at most.

        What you must do
          Resubmit it yourself if it is still wanted.
    """,
    "declined": """\
        Given up: genomic-prep failed (cpu_saturation), declined by ana@example.com

        What failed
          Custom job genomic-prep (1234567890) in us-central1, n1-standard-8
          Failed after 1 h 00 min, ended 2026-11-23 20:00 UTC
          Job timed out after 3600s.

        Why
          cpu_saturation (74% sure): the work ran out of time with the CPUs full.
          Next most likely: slow_code (20%).

        Evidence
          - CPUs 97% full for 55 minutes [metric, training/cpu/utilization]
          - The job ran into its time-out of 3600 s [job, error.message]

        What was done
          Nothing.
          Declined by ana@example.com.

        What it cost
          Nothing. About $3.04 for the attempt that was not made, $12.20 at most.

        What you must do
          Nothing, if that was meant; otherwise resubmit it yourself.
    """,
    "cancelled": """\
        Given up: attempt 1 of genomic-prep was cancelled

        What failed
          Custom job genomic-prep (1234567890) in us-central1, attempt 1,
          n1-standard-8
          Cancelled after 1 h 00 min, ended 2026-11-23 20:00 UTC

        Why
          The attempt was made because of cpu_saturation: the work ran out of time
          with the CPUs full.

        What was done
          Nothing more: what a person cancels is not resubmitted.

        Attempts so far
          1. on n1-standard-16: cancelled (after cpu_saturation)

        What it cost
          Resubmissions so far: $0.50, estimated $3.04.
          Another attempt like the last would cost about $3.04.

        What you must do
          Nothing, if that was meant; otherwise resubmit it yourself.
    """,
    "cancelled-by-us": """\
        Given up: the remediator cancelled attempt 1 of genomic-prep

        What failed
          Custom job genomic-prep (1234567890) in us-central1, attempt 1,
          n1-standard-8
          Cancelled after 1 h 00 min, ended 2026-11-23 20:00 UTC

        Why
          The attempt was made because of cpu_saturation: the work ran out of time
          with the CPUs full.

        What was done
          The remediator cancelled it: it ran longer than max_run allows (72 h).

        Attempts so far
          1. on n1-standard-16: cancelled (after cpu_saturation)

        What it cost
          Resubmissions so far: $0.50, estimated $3.04.
          Another attempt like the last would cost about $3.04.

        What you must do
          Resubmit it yourself if it is still wanted.
    """,
    "no_permission": """\
        The remediator lacks a permission: aiplatform.customJobs.create

        What happened
          403 Permission 'aiplatform.customJobs.create' denied on resource
          projects/acme.
          Until it is granted, failures wait.

        What you must do
          Grant it to the function's service account; the command below says what is
          missing.

        Commands
          python -m remediator doctor
    """,
    "ledger_damaged": """\
        A document of the ledger cannot be read: incidents:us-central1|customJobs|5

        What happened
          The ledger's document incidents:us-central1|customJobs|5 cannot be read: it
          is no JSON.
          It was set aside; what stood in it is kept under `damaged:`.

        What you must do
          Look at the job or the alert that it names: nothing more is done for it.
          Then find out what wrote it; only the remediator should.
    """,
    "deleted": """\
        Given up: attempt 1 of genomic-prep was deleted

        What failed
          Custom job genomic-prep (1234567890) in us-central1, attempt 1,
          n1-standard-8
          Cancelled after 1 h 00 min, ended 2026-11-23 20:00 UTC

        Why
          The attempt was made because of cpu_saturation: the work ran out of time
          with the CPUs full.

        What was done
          Nothing more: the job was deleted.

        Attempts so far
          1. on n1-standard-16: cancelled (after cpu_saturation)

        What it cost
          Resubmissions so far: $0.50, estimated $3.04.
          Another attempt like the last would cost about $3.04.

        What you must do
          Resubmit it yourself if it is still wanted.
    """,
    "refused_creation": """\
        Not created: train was refused (quota:
        CustomModelTrainingT4GPUsPerProjectPerRegion)

        What failed
          train
          CreateCustomJob, asked for by ana@example.com, was refused:
          The following quotas are exceeded:
          CustomModelTrainingT4GPUsPerProjectPerRegion

        Why
          quota (97% sure): a quota is used up.

        What was done
          Nothing: there is no job that could be resubmitted.

        What you must do
          Ask for more of the quota.
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
        The log sink does not deliver: score was handled from the ledger

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
          Running since 2026-11-23 19:00 UTC

        What was done
          Nothing: it still runs.

        What it cost
          Resubmissions so far: $104.50, estimated $3.04.

        What you must do
          Look at the running attempt; cancel it in the console if it is not worth it.
    """,
    "overrun-in-time": """\
        Over time: attempt 1 of genomic-prep has passed its limit at $40.00, being
        cancelled

        Which job
          Custom job genomic-prep (1234567890) in us-central1, attempt 1,
          n1-standard-8
          Running since 2026-11-23 19:00 UTC

        What was done
          It is being cancelled: it ran longer than max_run allows (72 h).

        What it cost
          Resubmissions so far: $40.00, estimated $3.04.

        What you must do
          Nothing now. You will hear when it has ended.
    """,
    "policy_changed": """\
        The policy file changed

        What happened
          gs://ops/policies.yaml, generation 12

        What you must do
          Nothing, if you or your team changed it. Otherwise find out who did.
    """,
    "grouped": """\
        44 alerts grouped into one: 1 needs a person

        What happened
          • Approval needed: score failed (cpu_saturation), resubmit on n1-standard-16
          for about $3.04? (1234567890, approval apr-7f3a)
          • Resubmitted: align failed (cpu_saturation), now on n1-standard-16
          (1234567890)
          • Recovered: genomic-prep succeeded on n1-standard-16 after 1 resubmission
          (1234567890)
          • 1 failure older than the look-back recorded, none acted on
          • 2 failures older than the look-back recorded, none acted on
          • 3 failures older than the look-back recorded, none acted on
          • 4 failures older than the look-back recorded, none acted on
          • 5 failures older than the look-back recorded, none acted on
          • 6 failures older than the look-back recorded, none acted on
          • 7 failures older than the look-back recorded, none acted on
          • 8 failures older than the look-back recorded, none acted on
          • 9 failures older than the look-back recorded, none acted on
          • 10 failures older than the look-back recorded, none acted on
          • 11 failures older than the look-back recorded, none acted on
          • 12 failures older than the look-back recorded, none acted on
          • 13 failures older than the look-back recorded, none acted on
          • 14 failures older than the look-back recorded, none acted on
          • 15 failures older than the look-back recorded, none acted on
          • 16 failures older than the look-back recorded, none acted on
          • 17 failures older than the look-back recorded, none acted on
          • 18 failures older than the look-back recorded, none acted on
          • 19 failures older than the look-back recorded, none acted on
          • 20 failures older than the look-back recorded, none acted on
          • 21 failures older than the look-back recorded, none acted on
          • 22 failures older than the look-back recorded, none acted on
          • 23 failures older than the look-back recorded, none acted on
          • 24 failures older than the look-back recorded, none acted on
          • 25 failures older than the look-back recorded, none acted on
          • 26 failures older than the look-back recorded, none acted on
          • 27 failures older than the look-back recorded, none acted on
          • 28 failures older than the look-back recorded, none acted on
          • 29 failures older than the look-back recorded, none acted on
          • 30 failures older than the look-back recorded, none acted on
          • 31 failures older than the look-back recorded, none acted on
          • 32 failures older than the look-back recorded, none acted on
          • 33 failures older than the look-back recorded, none acted on
          • 34 failures older than the look-back recorded, none acted on
          • 35 failures older than the look-back recorded, none acted on
          and 6 more

        What you must do
          Look at the first; the others are good to know.

        Commands
          python -m remediator approve apr-7f3a
          python -m remediator decline apr-7f3a
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
        because="Cpu saturation (74% sure): machine type becomes n1-standard-16; about $3.04.",
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


@pytest.mark.parametrize(
    ("cause", "error", "title"),
    [
        (
            Cause.USER_CODE_ERROR,
            "Traceback: ValueError: bad row During handling: KeyError: 'chrom'",
            "failed (user_code_error: KeyError: 'chrom')",
        ),
        (Cause.BAD_INPUT, "No file was found at gs://in/x.jsonl.", "(bad_input: gs://in/x.jsonl)"),
        (
            Cause.PERMISSION,
            "Permission 'storage.objects.get' denied on resource x.",
            "(permission: storage.objects.get)",
        ),
        (
            Cause.QUOTA,
            "exceed quota limits: aiplatform.googleapis.com/custom_model_training_cpus",
            "(quota: custom_model_training_cpus)",
        ),
        (
            Cause.QUOTA,
            "The following quotas are exceeded: CustomModelTrainingCPUsPerProjectPerRegion",
            "(quota: CustomModelTrainingCPUsPerProjectPerRegion)",
        ),
        (Cause.MEMORY_PRESSURE, "gs://in/x MemoryError: no", "failed (memory_pressure)"),
        (Cause.BAD_INPUT, "the rows cannot be read", "failed (bad_input)"),
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
    assert dict(compose(asks).answers)["What you must do"] == (
        "Resubmit it yourself if you agree; with mode: enforce you would have been asked.",
    )


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
    told = dict(compose(replace(SITUATIONS["approval"], approve_until=ENDED)).answers)
    assert told["What you must do"] == (
        "Approve or decline by 2026-11-23 20:00 UTC; after that nothing is done.",
    )


def test_a_grouped_alert_keeps_what_a_person_needs_to_act() -> None:
    """Also where there are more than there is room for: first what needs somebody."""
    asked = compose(SITUATIONS["approval"])
    others = [replace(FACTS, job=replace(JOB, id=str(n))) for n in range(60)]
    many = (*map(compose, others), *(asked for _ in range(30)))
    message = compose(AlertFacts(AlertKind.GROUPED, together=many))
    lines = dict(message.answers)["What happened"]
    assert message.title == "90 alerts grouped into one: 30 need a person"
    assert lines[0] == f"• {asked.title} (1234567890, approval apr-7f3a)"
    assert lines[-1] == f"and {90 - len(lines) + 1} more"
    assert message.commands == asked.commands * 30
    assert [link.label for link in message.links] == ["1234567890", *map(str, range(19))]


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
