"""Places left at once, ways that Vertex refuses, and a time-out that the progress gives."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.stories.conftest import POLICIES
from tests.stories.test_loop import custom_job, failure_line, made_jobs
from twin import faults
from twin.clock import rfc3339
from twin.physics import Needs, Section

WORK = Section("align", cpu_seconds=4_000)
NOWHERE = (
    8,
    (
        "Resources are insufficient in region: us-central1. Try a different region or use a different "
        "accelerator."
    ),
)
WAYS = POLICIES.replace(
    "do: [{resubmit: {wait: 10m}, times: 5}]",
    "do: [{resubmit: {fallback: [{location: us-west1}, {location: us-east1}, "
    "{machine_type: n2-standard-8}]}}]",
).replace("attempts: 3, retries: 5", "attempts: 1, retries: 5")
# The first try finds no machine, nor does the second; the third works.
SCARCE = Needs(
    by_try=(Needs(fails_with=NOWHERE), Needs(fails_with=NOWHERE), Needs(sections=(WORK,)))
)


def test_a_place_without_machines_is_left_at_once_and_costs_nothing(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    cloud.storage.bucket("lab-reads", "US")
    house = open_house(WAYS, REMEDIATOR_LOCATIONS="us-central1,us-west1,us-east1")
    job = cloud.past_job(
        "customJobs", custom_job(), SCARCE, route=False, ended_ago=timedelta(hours=4)
    )
    assert house.hear(failure_line(cloud, job)) == 200
    (first,) = made_jobs(cloud, job)
    assert "/locations/us-west1/" in first["name"]
    cloud.clock.advance(1800)
    house.reconcile()  # it found none there either
    house.reconcile()
    _, second = made_jobs(cloud, job)
    assert "/locations/us-east1/" in second["name"]
    assert second["labels"]["remediator-attempt"] == "2"
    cloud.clock.advance(3 * 3600)
    house.reconcile()
    house.reconcile()
    assert cloud.slack.messages[-1].text.startswith("Recovered")


def test_a_way_that_vertex_refuses_leads_to_the_next_in_the_same_breath(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    cloud.storage.bucket("lab-reads", "US")
    house = open_house(WAYS)
    job = cloud.past_job("customJobs", custom_job(), SCARCE, route=False)
    refused = faults.status("RESOURCE_EXHAUSTED", NOWHERE[1].replace("central1", "west1"))
    cloud.fail("JobService.CreateCustomJob", refused)
    assert house.hear(failure_line(cloud, job)) == 200
    (made,) = made_jobs(cloud, job)
    assert "/locations/us-east1/" in made["name"]
    assert made["labels"]["remediator-attempt"] == "1"


def test_a_job_cut_by_its_time_out_is_given_what_its_progress_says(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    house = open_house(POLICIES.replace("{machine_type: bigger}, times: 2", "{timeout: sized}"))
    slow = Needs(sections=(Section("align", cpu_seconds=90_000, parallel=0.99),))
    job = cloud.past_job("customJobs", custom_job(), slow, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    (made,) = made_jobs(cloud, job)
    seconds = float(made["jobSpec"]["scheduling"]["timeout"].rstrip("s"))
    assert 1.1 * 12_100 < seconds < 1.35 * 12_100  # what it needs on eight vCPUs, and a fifth more


# --- a quota whose limit the message does not say -----------------------------------------------------

C2 = "aiplatform.googleapis.com/custom_model_training_c2_cpus"
NO_QUOTA = (8, f"The following quota metrics exceed quota limits: {C2}")
ONE_TRY = Needs(by_try=(Needs(fails_with=NO_QUOTA), Needs(sections=(WORK,))))


def limit(cloud: Any, value: int) -> dict[str, Any]:
    return {
        "metric": {
            "type": "serviceruntime.googleapis.com/quota/limit",
            "labels": {"quota_metric": C2, "limit_name": "PerProjectPerRegion"},
        },
        "resource": {
            "type": "consumer_quota",
            "labels": {"service": "aiplatform.googleapis.com", "location": "us-central1"},
        },
        "metricKind": "GAUGE",
        "valueType": "INT64",
        "points": [
            {"interval": {"endTime": cloud.now_text()}, "value": {"int64Value": str(value)}}
        ],
    }


def test_a_quota_of_0_that_only_monitoring_knows_is_left_at_once(house: Any, cloud: Any) -> None:
    cloud.metrics.add(limit(cloud, 0))
    job = cloud.past_job("customJobs", custom_job(machine="c2-standard-8"), ONE_TRY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    (made,) = made_jobs(cloud, job)
    machine = made["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["machineType"]
    assert not machine.startswith("c2-")
    text = cloud.slack.messages[-1].text.replace("\n", " ")
    assert "is 0" in text
    assert "ask for at least 8" in text


OTHERS = "of-another-team"


def our_jobs(cloud: Any, failed: Any) -> list[Any]:
    return [one for one in made_jobs(cloud, failed) if one["displayName"] != OTHERS]


def others_run_on(cloud: Any, machine: str) -> None:
    """A training job of the same project that had such machines when the quota refused, and has them still."""
    pool = {"machineSpec": {"machineType": machine}, "replicaCount": "1"}
    began = rfc3339(cloud.clock.now() - timedelta(hours=5))
    cloud.add_job(
        {
            "name": f"projects/{cloud.number}/locations/us-central1/customJobs/4711",
            "displayName": OTHERS,
            "state": "JOB_STATE_RUNNING",
            "createTime": began,
            "startTime": began,
            "jobSpec": {"workerPoolSpecs": [pool]},
        }
    )


@pytest.mark.parametrize("status", ["PERMISSION_DENIED", "UNIMPLEMENTED"])
def test_a_quota_that_may_not_be_read_and_that_others_use_is_waited_for(
    house: Any, cloud: Any, later: Any, status: str
) -> None:
    cloud.metrics.add(limit(cloud, 0))
    cloud.fail("MetricService.ListTimeSeries", faults.status(status, "No."), times=10)
    others_run_on(cloud, "c2-standard-16")
    job = cloud.past_job("customJobs", custom_job(machine="c2-standard-8"), ONE_TRY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    assert our_jobs(cloud, job) == []  # it waits, as the policy says
    later(minutes=11)
    house.reconcile()
    (made,) = our_jobs(cloud, job)
    assert made["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["machineType"] == "c2-standard-8"


def test_a_quota_that_may_not_be_read_and_that_no_job_uses_is_left_at_once(
    house: Any, cloud: Any
) -> None:
    cloud.fail("MetricService.ListTimeSeries", faults.status("PERMISSION_DENIED", "No."), times=10)
    others_run_on(cloud, "n1-standard-16")
    job = cloud.past_job("customJobs", custom_job(machine="c2-standard-8"), ONE_TRY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    (made,) = our_jobs(cloud, job)
    machine = made["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["machineType"]
    assert not machine.startswith("c2-")
    text = cloud.slack.messages[-1].text.replace("\n", " ")
    assert "is seen in use" in text
    assert "ask for at least 8" in text
