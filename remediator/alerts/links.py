"""Where to look: a job's page in the Cloud console and its lines in the Logs Explorer. Pure.

Owns the shapes of Google's console URLs. Every part of a name is quoted, so that a link leads to the
console whatever the name holds. Called by `compose` and the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import quote

from remediator.domain import JobKind, JobName, rfc3339


def console_url(job: JobName) -> str:
    """The job's page in the Cloud console; the shapes are those of Google's own Python SDK 2.7."""
    page = _PAGES[job.kind].format(place=quote(job.location), id=quote(job.id, safe=""))
    return f"https://console.cloud.google.com/{page}?project={quote(job.project, safe=':')}"


def logs_url(job: JobName, started: datetime | None, ended: datetime | None) -> str:
    """The job's log lines in the Logs Explorer, ten minutes around its run where that is known."""
    query = quote(_LOG_QUERIES.get(job.kind, '"{id}"').format(id=job.id), safe="")
    margin = timedelta(minutes=10)
    window = (
        f";startTime={rfc3339(started - margin)};endTime={rfc3339(ended + margin)}"
        if started and ended
        else ""
    )
    project = quote(job.project, safe=":")
    return f"https://console.cloud.google.com/logs/query;query={query}{window}?project={project}"


# google-cloud-aiplatform 2.7.0: jobs.py and training_jobs.py (`_dashboard_uri`) say agent-platform,
# pipeline_jobs.py still says vertex-ai.
_PAGES: Mapping[JobKind, str] = {
    JobKind.BATCH_PREDICTION: "agent-platform/locations/{place}/batch-predictions/{id}",
    JobKind.CUSTOM: "agent-platform/locations/{place}/training/{id}",
    JobKind.HYPERPARAMETER_TUNING: "agent-platform/locations/{place}/training/{id}",
    JobKind.TRAINING_PIPELINE: "agent-platform/locations/{place}/training/{id}",
    JobKind.PIPELINE: "vertex-ai/locations/{place}/pipelines/runs/{id}",
}
# Where the resource of a kind's log lines is not documented, any line that names the id is shown.
_LOG_QUERIES: Mapping[JobKind, str] = {
    JobKind.CUSTOM: 'resource.labels.job_id="{id}"',
    JobKind.PIPELINE: 'resource.labels.pipeline_job_id="{id}"',
}
