"""What happens to a job when it is run, what that costs, and what is left to be read of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.remediation.fleet import NUMBER, PROJECT, REGION, Body, Job
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.job import Job as VertexJob
from remediator.planning import costs
from twin.batch import run_batch
from twin.clock import rfc3339
from twin.physics import Run, run_custom
from twin.traces import batch_entries, custom_entries, error_file, series

BEGINNING = datetime(2026, 10, 1, tzinfo=UTC)
BATCH = "batchPredictionJobs"
CATALOGUE = Catalog.built_in()
_LOST_LINES = 0.2


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of a job: how it ended, as Vertex would tell it, and its price by what it really ran."""

    job: Any
    run: Run
    document: VertexJob
    started: datetime
    ended: datetime
    usd: float

    @property
    def succeeded(self) -> bool:
        return self.run.state == "JOB_STATE_SUCCEEDED"

    @property
    def hours(self) -> float:
        return (self.ended - self.started).total_seconds() / 3600


def run(job: Job, body: Mapping[str, Any], tries: int, at: datetime) -> Ran:
    """The `tries`th run of this workload, created at `at`."""
    needs, luck = job.needs, tries
    if job.says:
        passed = at - first_at(job) >= timedelta(hours=job.passes_hours)
        luck = 99 if passed else 1
        if passed:
            needs = replace(needs, raises="")
    if job.kind == BATCH:
        course = run_batch(needs, body, region=REGION, tries=luck)
    else:
        course = run_custom(needs, body.get("jobSpec") or {}, region=REGION, tries=luck)
    if job.says and course.error and not course.started:
        code, words = course.error
        lines = tuple(
            (at_, sev, job.says if text == words else text, to)
            for at_, sev, text, to in course.lines
        )
        course = replace(course, error=(code, job.says), lines=lines)
    return told_of(job, body, course, tries, at, REGION)


def told_of(
    job: Any, body: Mapping[str, Any], course: Run, tries: int, at: datetime, place: str
) -> Ran:
    """A run as Vertex would tell it, with its price by what it really ran."""
    start = at + timedelta(seconds=course.startup_seconds)
    end = start + timedelta(seconds=course.run_seconds)
    number = 10**18 + job.index * 1000 + tries
    told: Body = {
        **body,
        "name": f"projects/{NUMBER}/locations/{place}/{job.kind}/{number}",
        "state": course.state,
        "createTime": rfc3339(at),
        "endTime": rfc3339(end),
    }
    if course.started:
        told["startTime"] = rfc3339(start)
    if course.error:
        told["error"] = {"code": course.error[0], "message": course.error[1]}
    if job.kind == BATCH:
        told["completionStats"] = {
            "successfulCount": str(course.successful),
            "failedCount": str(course.failed),
            "incompleteCount": str(course.incomplete),
        }
        if course.error_rows:
            told["partialFailures"] = [{"code": 3, "message": m} for m, _ in course.error_rows]
        if course.started:
            hours = course.replicas * course.run_seconds / 3600
            told["resourcesConsumed"] = {"replicaHours": round(hours, 4)}
    document = VertexJob.parse(told)
    usd = (costs.spent_usd(document, CATALOGUE) or 0.0) if course.started else 0.0
    return Ran(job, course, document, at, end, usd)


def first_at(job: Job) -> datetime:
    """When the job's first run is created: one after the other, over thirty days."""
    return BEGINNING + timedelta(days=30) * (job.index / 1000)


def case_of(ran: Ran, now: datetime) -> Case:
    """What can be read of a failed run."""
    return read_of(ran, now)


def read_of(ran: Ran, now: datetime, *, buckets: Mapping[str, str] | None = None) -> Case:
    """What can be read of a failed run: some lines are lost, some metrics never come.

    `buckets` are the locations of the job's data, by bucket.
    """
    job, course = ran.job, ran.run
    chance = random.Random(f"{job.index}/{ran.document.name.id}")
    ident = ran.document.name.id
    start = ran.started + timedelta(seconds=course.startup_seconds)
    place = ran.document.name.location
    known = {name: {"location": area} for name, area in (buckets or {}).items()}
    case: Body = {"job": ran.document.to_json(), "now": rfc3339(now), "buckets": known}
    if job.kind == BATCH:
        lines = batch_entries(
            course,
            project=PROJECT,
            location=place,
            job_id=ident,
            start=start,
            telemetry=job.telemetry,
        )
        if course.error_rows and course.started:
            case["errorFiles"] = {
                "gs://fleet/out/prediction.errors_stats-00000-of-00001": error_file(course)
            }
        case["model"] = job.model
    else:
        lines = custom_entries(
            course, project=PROJECT, job_id=ident, start=start, telemetry=job.telemetry
        )
        if not job.loses_metrics:
            case["timeSeries"] = list(
                series(course, project=PROJECT, region=place, job_id=ident, start=start)
            )
    if not job.loses_logs:
        case["logEntries"] = [line for line in lines if chance.random() > _LOST_LINES]
    return Case.parse(case)
