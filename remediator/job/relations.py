"""What a job is a part of, and which jobs it started: by labels, by metadata and by `gcp_resources`.

Owns the names under which parents and children tell of one another. Must not decide. Called by `Job`,
`pipeline` and whoever looks for a job's parent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from remediator.domain import JobKind, JobName, Json
from remediator.domain.late_pattern import late_pattern
from remediator.job import fields
from remediator.job.document import Document, either_key, read

_RUN_LABEL = "vertex-ai-pipelines-run-billing-id"


def parent_of(job: Document) -> str:
    """What the job's labels say it is a part of, in words; empty: nothing."""
    if job.kind is JobKind.PIPELINE:
        return ""
    run = job.labels.get(_RUN_LABEL)
    return f"pipeline run {run}" if run else ""


PARENTS: Mapping[JobKind, tuple[JobKind, ...]] = {
    JobKind.CUSTOM: (JobKind.TRAINING_PIPELINE, JobKind.HYPERPARAMETER_TUNING),
    JobKind.HYPERPARAMETER_TUNING: (JobKind.TRAINING_PIPELINE,),
}
"""Kinds of jobs that start jobs of a kind and leave no label on them that says so."""


def has_child(job: Document, name: JobName) -> bool:
    """Whether the job names that one as its own; projects by id and by number are taken as one."""
    return any(child.endswith(f"/locations/{name.key}") for child in children_of(job))


def children_of(job: Document) -> tuple[str, ...]:
    """Resource names of the jobs that this one started, in the order it lists them."""
    found: list[str] = []
    if job.kind is JobKind.TRAINING_PIPELINE:
        found.append(str(read(job, "trainingTaskMetadata.backingCustomJob") or ""))
        found.append(str(read(job, "trainingTaskMetadata.backingHyperparameterTuningJob") or ""))
    elif job.kind is JobKind.HYPERPARAMETER_TUNING:
        found.extend(str(trial.get("customJob") or "") for trial in job.read("trials") or ())
    elif job.kind is JobKind.PIPELINE:
        for _, task in fields.listed(job, "jobDetail.taskDetails"):
            found.extend(children_in(task))
    return tuple(dict.fromkeys(name for name in found if name))


_RESOURCE = late_pattern(
    r"projects/[a-z0-9.:-]{1,100}/locations/[a-z0-9-]{1,63}"
    r"/(?:customJobs|batchPredictionJobs|hyperparameterTuningJobs|trainingPipelines)/\d{1,30}"
)


def children_in(detail: Json) -> tuple[str, ...]:
    """Jobs that a task of a run started: what a launcher started first, then the task's own.

    A launcher writes `gcp_resources` (google_cloud_pipeline_components 2.22.0,
    container/v1/gcp_launcher/utils/gcp_resources): JSON with the REST address of the job, which
    Vertex shows in the task's execution and its outputs.
    """
    kept = {key: value for key, value in detail.items() if key not in {"executorDetail", "error"}}
    found = _RESOURCE.findall(json.dumps(kept, default=str))
    return tuple(dict.fromkeys((*found, *own_jobs_in(detail))))


def own_jobs_in(detail: Json) -> tuple[str, ...]:
    """The custom jobs that a task of a run itself ran as."""
    executor = either_key(detail, "executorDetail")
    executor = executor if isinstance(executor, Mapping) else {}
    found = []
    for key, inner in (("containerDetail", "mainJob"), ("customJobDetail", "job")):
        holder = either_key(executor, key)
        named = either_key(holder, inner) if isinstance(holder, Mapping) else None
        found.append(str(named or ""))
    return tuple(name for name in found if name)


def log_identity(job: Document) -> tuple[str, ...]:
    """Numeric ids under which the job's worker logs and metrics are kept: its own, its children's."""
    ids = [job.name.id, *(name.rpartition("/")[2] for name in children_of(job))]
    return tuple(dict.fromkeys(id_ for id_ in ids if id_.isdigit()))
