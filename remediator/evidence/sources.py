"""What there is to read about a job of each kind: the bridge between `job.fields` and `evidence`.

Pure: it says which log ids, buckets, error files, model and addresses belong to a job; `evidence`
reads them. Called by `app`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from remediator.case import RAW_ONLY_UP_TO, RAW_WINDOW
from remediator.catalog.catalog import Catalog
from remediator.domain import JobKind
from remediator.domain.late_pattern import late_pattern
from remediator.evidence.collect import ReadingPlan
from remediator.job import Job
from remediator.job.batch import data_of
from remediator.job.quota import vertex_metrics
from remediator.policy import Policies

_URL = late_pattern(r"https?://[^\s\"'\\<>{}|^`]{1,500}")


def reading_plan_of(
    job: Job,
    policies: Policies,
    *,
    project: str,
    settled: bool,
    whole: bool = False,
    resume_bucket: str = "",
    resume_dataset: str = "",
) -> ReadingPlan:
    """Everything worth reading about a failed job; with `settled`, only what a plan needs.

    `whole`: with the metrics that say nothing of why it failed.
    `resume_bucket`: the name of the bucket to which the rows that are left of a batch may be written;
    without it they are not looked at. `resume_dataset` is the same for rows in BigQuery.
    """
    model = job.pinned_model or job.model_name or ""
    model = model if "/publishers/" not in model and model.startswith("projects/") else ""
    saved = job.base_output if job.kind is not JobKind.PIPELINE else ""
    saved = saved if saved.startswith("gs://") else ""
    rows = job.kind is JobKind.BATCH_PREDICTION and policies.may_resume_rows()
    tables = bool(rows and data_of(job).input_table)
    ours = (resume_bucket,) if resume_bucket and rows and not tables else ()
    rows = bool(resume_dataset) if tables else bool(ours)
    if settled:
        return ReadingPlan(
            project=project,
            model=model,
            buckets=(*(job.buckets if _may_move(policies) else ()), *ours),
            rows=rows,
            saved_under=saved,
            has_logs=False,
            quotas=vertex_metrics(job.error_message),
        )
    folder, mark = _error_files_under(job)
    return ReadingPlan(
        job_ids=job.log_ids,
        project=project,
        model=model,
        error_files_under=folder,
        error_files_marked=mark,
        buckets=(*job.buckets, *ours),
        rows=rows,
        probes=probe_urls(job, policies),
        saved_under=saved,
        quotas=vertex_metrics(job.error_message),
        has_metrics=job.kind is not JobKind.BATCH_PREDICTION,
        metrics_unread=(frozenset() if _may_have_devices(job) else _OF_DEVICES)
        | (frozenset() if whole else _OF_NO_RULE),
        raw_for=None if job.state.is_terminal else RAW_ONLY_UP_TO,
    )


def running_plan_of(
    job: Job, *, project: str, now: datetime, whole: bool = False, log_alone: bool = False
) -> ReadingPlan:
    """What is worth reading of a job that still runs; its log is read where the caller asks for it.

    `whole`: every sample of its life, however long ago; `log_alone`: the rest has been read.
    """
    saved = job.base_output if job.kind is not JobKind.PIPELINE else ""
    begun = job.start_time or job.create_time or now
    is_long = now - begun > RAW_ONLY_UP_TO and not whole
    has_accelerator = any(pool.hardware.count for pool in job.pools)
    unread = {_DEVICE_MEMORY} if has_accelerator or not job.pools else {_DEVICE_MEMORY, _DEVICE}
    return ReadingPlan(
        job_ids=job.log_ids,
        project=project,
        saved_under=saved if saved.startswith("gs://") and not log_alone else "",
        has_metrics=job.kind is not JobKind.BATCH_PREDICTION and not log_alone,
        metrics_unread=frozenset(unread),
        raw_for=RAW_WINDOW if is_long else timedelta.max,
    )


def _may_have_devices(job: Job) -> bool:
    """False where each pool runs on a machine that has no accelerator: then no series tells of one."""
    machines = [Catalog.built_in().machine(pool.hardware.machine) for pool in job.pools]
    has_none = all(machine is not None and not machine.device for machine in machines)
    return not has_none or not machines or any(pool.hardware.count for pool in job.pools)


_DEVICE = "ml.googleapis.com/training/accelerator/utilization"
_DEVICE_MEMORY = "ml.googleapis.com/training/accelerator/memory/utilization"
_OF_DEVICES = frozenset({_DEVICE, _DEVICE_MEMORY})
_OF_NO_RULE = frozenset({"ml.googleapis.com/training/network/sent_bytes_count"})
"""That a job still sends tells of one that runs; no rule for a failure asks after it."""


def _may_move(policies: Policies) -> bool:
    """Whether some step asks for another region: then where the data lives decides."""
    asked = [step.resubmit for policy in policies.policies for step in policy.do]
    return any(way.location for resubmit in asked for way in (resubmit, *(resubmit.fallback or ())))


def _error_files_under(job: Job) -> tuple[str, str]:
    """The folder of the job's error files, and digits that tell its own from other jobs' there.

    Jobs share the prefix that they ask for; below it each has a folder that bears its creation's time.
    """
    if job.kind is not JobKind.BATCH_PREDICTION:
        return "", ""
    own = job.output_folder
    if own:
        return own, ""
    shared = job.output_prefix
    if not shared or job.create_time is None:
        return "", ""
    return shared, f"{job.create_time.astimezone(UTC):%Y%m%d%H%M%S}"


def probe_urls(job: Job, policies: Policies) -> tuple[str, ...]:
    """Addresses in the job's configuration whose host the policy file allows to be measured."""
    allowed = policies.probes.hosts
    if not allowed:
        return ()
    return tuple(
        url for url in job.urls if any(fnmatchcase(_host_of(url), glob) for glob in allowed)
    )


def _host_of(url: str) -> str:
    """The host that would be spoken to; empty for what only looks like an address."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # such as `http://[x`
        return ""
