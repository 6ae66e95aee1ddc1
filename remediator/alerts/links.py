"""Where to look: a job's page in the Cloud console and its lines in the Logs Explorer. Pure.

Owns the shapes of Google's console URLs, and which of them an alert gives. Every part of a name is
quoted, so that a link leads to the console whatever the name holds. Called by `compose` and the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import quote

from remediator.alerts.explanation import evidence
from remediator.alerts.facts import AlertFacts, job_named
from remediator.alerts.message import JOB_PAGE, Link
from remediator.alerts.wording import JOB_NAMES
from remediator.domain import JobKind, JobName, Source, rfc3339
from remediator.domain.late_pattern import late_pattern


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
    if not _INSERT_ID.fullmatch(insert_id) or insert_id in _FIELDS:
        return ()
    return (Link(label, _explorer(f'insertId="{insert_id}"', project, started, ended)),)


_INSERT_ID = late_pattern(r"[A-Za-z0-9_~.-]{6,64}")
"""What names a field or a file instead has a slash, a space or a bracket, or is one of `_FIELDS`."""
_FIELDS = frozenset({"logEntries", "logEntry", "telemetry"})
"""Where evidence stands that rests on many lines, or on one without an insertId."""


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


# --- the links of an alert ------------------------------------------------------------------------


def links_of(facts: AlertFacts) -> tuple[Link, ...]:
    found: dict[str, Link] = {}
    others = JOB_NAMES.findall(" ".join(facts.plan.reasons)) if facts.plan is not None else ()
    names = (
        (JOB_PAGE, facts.job),
        ("New job", facts.created),
        ("First job", _root_name(facts)),
        *(("Other run", name) for name in others[:1]),
    )
    for label, name in names:
        job = job_named(name)
        if job is not None:
            url = console_url(job)
            found.setdefault(url, Link(label, url))
    proof = evidence(facts) if facts.is_explained else ()
    if facts.job is not None:
        found["logs"] = Link("Logs", logs_url(facts.job, facts.started, facts.ended))
        line = next((e.where for e in proof if e.source is Source.LOG), "")
        project, started, ended = facts.job.project, facts.started, facts.ended
        found.update((x.url, x) for x in entry_links("Log line", project, line, started, ended))
    found.update((link.url, link) for link in facts.places)
    top = facts.top
    if top is not None and facts.is_explained and _SAFE_URL.fullmatch(top.advice_url):
        found["advice"] = Link("Advice", top.advice_url)
    return tuple(found.values())


def _root_name(facts: AlertFacts) -> str:
    """The first job by its whole name; the ledger's key lacks the project."""
    if facts.job is None or job_named(facts.root) is not None:
        return facts.root
    return f"projects/{facts.job.project}/locations/{facts.root.partition('@')[0]}"


_SAFE_URL = late_pattern(r"https://[A-Za-z0-9._/~%#?&=+:@,;-]{1,500}")
