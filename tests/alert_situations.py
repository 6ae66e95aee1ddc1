"""The facts of one made-up alert of each kind and in each circumstance; `TEXTS` holds how each reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from msgspec.structs import replace

from remediator.alerts.compose import compose
from remediator.alerts.facts import AlertFacts, QuestionEnd
from remediator.alerts.links import entry_links
from remediator.alerts.message import AlertKind
from remediator.alerts.running import Trouble
from remediator.case import Gap
from remediator.domain import (
    Action,
    Attempt,
    Cause,
    Change,
    Diagnosis,
    Evidence,
    Guard,
    GuardRefusal,
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

# Six hours on 8 CPUs, 3.5 h on 16 at $0.874 an hour: $3.04, and 6 h at most: $5.24 (catalog).
STARTED = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)

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
                Evidence(Source.METRIC, "training/cpu/utilization", "CPUs 97% full for 5 h 50 min"),
                Evidence(Source.JOB, "error.message", "The job ran into its time-out of 21600 s"),
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
    worst_case_usd=5.24,
    worst_case_basis="its own time-out is 6 h",
    alerts=("ml-oncall",),
    because="The CPUs were full, so twice as many should finish in about 3 h 30 min.",
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
    error="Job timed out after 21600s.",
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
    sections=(Section("preprocess", 0.83, 17928.0), Section("train", 0.1, 2160.0)),
)

HUNG = Trouble(
    reason="stalled",
    since=ENDED - timedelta(hours=1),
    now=ENDED,
    confidence=0.91,
    usd_per_hour=4.22,
    usd=4.22,
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
    machine="a2-highgpu-1g",
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
        plan=replace(
            NOTHING,
            refused_by=(Guard.ACCELERATORS,),
            refusals=(GuardRefusal(Guard.ACCELERATORS, "only an L4 is allowed"),),
        ),
    ),
    "alert-rerun-named": replace(
        FACTS,
        kind=AlertKind.ALERT,
        created="",
        diagnosis=None,
        plan=replace(
            NOTHING,
            refused_by=(Guard.ALREADY_RERUN,),
            refusals=(
                GuardRefusal(Guard.ALREADY_RERUN, f"{NEW} runs the same work again already"),
            ),
        ),
    ),
    "alert-in-vain": replace(
        FACTS,
        kind=AlertKind.ALERT,
        created="",
        plan=replace(
            NOTHING,
            refused_by=(Guard.TRIED_IN_VAIN,),
            refusals=(
                GuardRefusal(
                    Guard.TRIED_IN_VAIN,
                    "n1-standard-16 and n1-standard-32 did not help genomic-prep-2026-11-22, the same "
                    "work, which was given up after 2026-11-23 02:10 UTC; its 2 attempts cost $14.60. It "
                    "is tried again once its image, arguments or input change, or the label "
                    "remediator=on is put on it, else after 2026-12-07 02:10 UTC",
                ),
            ),
        ),
    ),
    "nobody-answered": replace(
        FACTS,
        kind=AlertKind.GIVEN_UP,
        created="",
        plan=replace(PLAN, action=Action.APPROVE, notes=("nobody answered",)),
        question_end=QuestionEnd.EXPIRED,
    ),
    "declined": replace(
        FACTS,
        kind=AlertKind.GIVEN_UP,
        created="",
        plan=replace(PLAN, action=Action.APPROVE, notes=("declined by ana@example.com",)),
        question_end=QuestionEnd.DECLINED,
        declined_by="ana@example.com",
    ),
    "cancelled": CANCELLED,
    "cancelled-by-us": replace(CANCELLED, cancelled_why="it ran longer than max_run allows (72 h)"),
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
            "The ledger's document incidents:us-central1|customJobs|5 cannot be read: it is not valid JSON.",
            "It was set aside; what stood in it is kept under `damaged:`.",
        ),
    ),
    "deleted": replace(CANCELLED, deleted=True),
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
        spent_usd=5.2,
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
        trouble=replace(HUNG, action=Action.CANCEL_RESUBMIT, mode=Mode.ENFORCE, resubmits=True),
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
