"""What a project's own jobs tell of a quota that Cloud Monitoring does not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from remediator.case import Series
from remediator.catalog.catalog import Catalog
from remediator.domain import JobKind, JobState, rfc3339
from remediator.evidence.quota_use import MOST_JOBS, quota_use
from remediator.job import Job

CREATED = datetime.fromisoformat("2026-11-23T08:00:00+00:00")
ENDED = CREATED + timedelta(minutes=15)
NOW = ENDED + timedelta(minutes=2)
OF_L4 = "aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus"
L4 = {"machineType": "g2-standard-12", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 1}
TWO_L4 = {"machineType": "g2-standard-24", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 2}
T4 = {"machineType": "n1-standard-8", "acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}


def at(minutes: float) -> datetime:
    """So long after the refused job was made."""
    return CREATED + timedelta(minutes=minutes)


def a_job(state: JobState, *, began: float | None = -60, ended: float | None = None, spec: Any = L4,
          number: int = 8, replicas: int = 1, kind: str = "customJobs", **more: Any) -> Job:  # fmt: skip
    pools = [{"machineSpec": spec, "replicaCount": str(replicas)}]
    held: dict[str, Any] = {"workerPoolSpecs": pools, **more}
    body: dict[str, Any] = {
        "name": f"projects/1/locations/us-central1/{kind}/{number}",
        "state": f"JOB_STATE_{state.value}",
        "createTime": rfc3339(at(-61)),
        "trialJobSpec" if kind != "customJobs" else "jobSpec": held,
    }
    if began is not None:
        body["startTime"] = rfc3339(at(began))
    if ended is not None:
        body["endTime"] = rfc3339(at(ended))
    return Job.parse(body)


REFUSED = Job.parse(
    {
        "name": "projects/1/locations/us-central1/customJobs/7",
        "state": "JOB_STATE_FAILED",
        "createTime": rfc3339(CREATED),
        "endTime": rfc3339(ENDED),
        "jobSpec": {"workerPoolSpecs": [{"machineSpec": L4, "replicaCount": "1"}]},
    }
)


class Jobs:
    """Lists what it is given, as Vertex would."""

    def __init__(self, *jobs: Job) -> None:
        self.jobs = (*jobs, REFUSED)
        self.asked: list[tuple[JobKind, str, str]] = []

    def list(
        self,
        kind: JobKind,
        project: str,
        location: str,
        *,
        states: Sequence[JobState] = (),
        created_after: datetime | None = None,
        timeout_seconds: float | None = None,
    ) -> Iterator[Job]:
        assert timeout_seconds == 5.0
        self.asked.append((kind, project, location))
        return (
            one
            for one in self.jobs
            if one.kind is kind
            and (not states or one.state in states)
            and (created_after is None or (one.create_time or NOW) >= created_after)
        )


def used(
    *jobs: Job, metrics: Sequence[str] = (OF_L4,), most_jobs: int = MOST_JOBS
) -> tuple[Series, ...]:
    listed = Jobs(*jobs)
    found = quota_use(
        REFUSED,
        metrics,
        listed,
        "lab",
        Catalog.built_in(),
        now=NOW,
        timeout_seconds=5.0,
        most_jobs=most_jobs,
    )
    assert {(project, place) for _, project, place in listed.asked} <= {("lab", "us-central1")}
    return found


RUNNING, PENDING, SUCCEEDED = JobState.RUNNING, JobState.PENDING, JobState.SUCCEEDED
HELD = {
    "nobody": ((), 0.0),
    "a job that runs": ((a_job(RUNNING),), 1.0),
    "each replica's devices": ((a_job(RUNNING, spec=TWO_L4, replicas=3),), 6.0),
    "two jobs": ((a_job(RUNNING), a_job(JobState.CANCELLING, number=9)), 2.0),
    "one with another device": ((a_job(RUNNING, spec=T4),), 0.0),
    "one on spot machines, which count elsewhere": (
        (a_job(RUNNING, scheduling={"strategy": "SPOT"}),), 0.0),
    "one that began afterwards": ((a_job(RUNNING, began=16),), None),
    "one that may wait for the same": ((a_job(PENDING, began=None),), None),
    "one that runs beside one that waits": ((a_job(RUNNING), a_job(PENDING, began=None, number=9)), 1.0),
    "one that ended meanwhile": ((a_job(SUCCEEDED, ended=3),), None),
    "one that had ended before": ((a_job(SUCCEEDED, ended=-1),), 0.0),
    "one that was refused, too": ((a_job(JobState.FAILED, began=None, ended=3),), 0.0),
    "a persistent resource": (
        (a_job(RUNNING, persistentResourceId="pool"),), None),
    "trials of a tuning job": (
        (a_job(RUNNING, kind="hyperparameterTuningJobs"),), None),
}  # fmt: skip


@pytest.mark.parametrize(("others", "value"), HELD.values(), ids=list(HELD))
def test_what_was_held_when_the_quota_refused(others: tuple[Job, ...], value: float | None) -> None:
    found = used(*others)
    if value is None:
        assert found == ()
        return
    (series,) = found
    assert series.metric == "serviceruntime.googleapis.com/quota/allocation/usage"
    assert series.labels == {"quota_metric": OF_L4.partition("/")[2]}
    assert series.resource_labels == {"location": "us-central1"}
    assert series.points == ((NOW, value),)


@pytest.mark.parametrize(
    "metric",
    [
        "aiplatform.googleapis.com/custom_model_serving_nvidia_l4_gpus",  # endpoints hold it, too
        "aiplatform.googleapis.com/online_prediction_requests_per_base_model",
    ],
)
def test_a_quota_that_training_does_not_hold_is_not_counted(metric: str) -> None:
    assert used(metrics=(metric,)) == ()


def test_more_jobs_than_are_looked_through_leave_it_unknown() -> None:
    running = [a_job(RUNNING, number=number) for number in (8, 9, 10)]
    assert used(*running, most_jobs=3) == ()
    assert used(*running, most_jobs=4)[0].points == ((NOW, 3.0),)
