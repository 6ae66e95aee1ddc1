"""Where to look: a job's page in the Cloud console and its lines in the Logs Explorer. Pure.

Owns the shapes of Google's console URLs. Every part of a name is quoted, so that a link leads to the
console whatever the name holds. Called by `compose` and the report.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import quote

from remediator.alerts.message import Link
from remediator.domain import JobKind, JobName, rfc3339


def console_url(job: JobName) -> str:
    """The job's page in the Cloud console; the shapes are those of Google's own Python SDK 2.7."""
    page = _PAGES[job.kind].format(place=quote(job.location), id=quote(job.id, safe=""))
    return f"https://console.cloud.google.com/{page}?project={quote(job.project, safe=':')}"


def logs_url(job: JobName, started: datetime | None, ended: datetime | None) -> str:
    """The job's log lines in the Logs Explorer, ten minutes around its run where that is known.

    A job that never started has what there is before its end. Without a window the Explorer shows
    the last hour, which in the morning holds nothing of the night.
    """
    query = _LOG_QUERIES.get(job.kind, '"{id}"').format(id=job.id)
    return _explorer(query, job.project, started, ended)


def entry_links(
    label: str, project: str, insert_id: str, started: datetime | None, ended: datetime | None
) -> tuple[Link, ...]:
    """One log entry in the Logs Explorer, looked for in the same window as a job's lines.

    None for what is no insertId of Google's: who writes a log entry chooses its id.
    """
    if not _INSERT_ID.fullmatch(insert_id):
        return ()
    return (Link(label, _explorer(f'insertId="{insert_id}"', project, started, ended)),)


_INSERT_ID = re.compile(r"[A-Za-z0-9_~.-]{6,64}")
"""What names a field or a file instead has a slash, a space or a bracket."""


def _explorer(query: str, project: str, started: datetime | None, ended: datetime | None) -> str:
    return (
        f"https://console.cloud.google.com/logs/query;query={quote(query, safe='')}"
        f"{_window(started, ended)}?project={quote(project, safe=':')}"
    )


def _window(started: datetime | None, ended: datetime | None) -> str:
    """The run and a margin; of a job that never started, a day before its end."""
    if ended is None:
        return ""
    first, last = (started or ended - _DAY) - _MARGIN, ended + _MARGIN
    return f";startTime={_second(first)};endTime={_second(last)}"


def _second(moment: datetime) -> str:
    return rfc3339(moment.replace(microsecond=0))


_MARGIN = timedelta(minutes=10)
_DAY = timedelta(days=1)
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
