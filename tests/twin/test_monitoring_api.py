"""Cloud Monitoring in the twin, by Google's generated client."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from google.api_core import exceptions

from twin.clock import parse_time
from twin.cloud import Cloud
from twin.physics import Needs, Section

CPU = 'metric.type="ml.googleapis.com/training/cpu/utilization"'


def ask(cloud: Cloud, clients: Any, query: str, **more: Any) -> list[Any]:
    now = cloud.clock.now()
    request = {
        "name": f"projects/{cloud.project}",
        "filter": query,
        "interval": {"start_time": now - timedelta(hours=6), "end_time": now},
        **more,
    }
    return list(clients.metrics.list_time_series(request=request))


@pytest.fixture
def job(cloud: Cloud, custom_job: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    needs = Needs(sections=(Section("work", cpu_seconds=8 * 1800),))
    cloud.past_job("customJobs", custom_job(displayName="other"), needs)
    return cloud.past_job("customJobs", custom_job(), needs, ended_ago=timedelta(minutes=10))


def test_a_jobs_series_is_found_by_its_id(cloud: Cloud, clients: Any, job: dict[str, Any]) -> None:
    ident = job["name"].rpartition("/")[2]
    (series,) = ask(cloud, clients, f'{CPU} AND resource.labels.job_id="{ident}"')
    assert dict(series.resource.labels) == {
        "project_id": cloud.project,
        "job_id": ident,
        "region": "us-central1",
    }
    ends = [point.interval.end_time for point in series.points]
    assert ends == sorted(ends, reverse=True)
    assert len(ends) == 30
    assert all(0.95 < point.value.double_value <= 1 for point in series.points)


def test_points_outside_the_interval_or_too_young_are_not_shown(
    cloud: Cloud, clients: Any, job: dict[str, Any]
) -> None:
    ident = job["name"].rpartition("/")[2]
    query = f'{CPU} AND resource.labels.job_id="{ident}"'
    start = parse_time(job["startTime"])
    interval = {"start_time": start, "end_time": start + timedelta(minutes=5)}
    assert len(ask(cloud, clients, query, interval=interval)[0].points) == 5
    cloud.metrics.lag = timedelta(minutes=20)
    assert len(ask(cloud, clients, query)[0].points) < 30
    cloud.metrics.lag = timedelta(hours=2)
    assert ask(cloud, clients, query) == []


@pytest.mark.parametrize(
    "change",
    [
        {"filter": 'resource.labels.job_id="7"'},
        {"interval": {"start_time": {"seconds": 100}, "end_time": {"seconds": 50}}},
        {"interval": {}},
    ],
    ids=["no-metric", "backwards", "no-end"],
)
def test_bad_reads_are_refused(cloud: Cloud, clients: Any, change: dict[str, Any]) -> None:
    query = change.pop("filter", CPU)
    with pytest.raises(exceptions.InvalidArgument):
        ask(cloud, clients, query, **change)
