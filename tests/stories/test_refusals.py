"""What Vertex says when it refuses our resubmission, and what becomes of each answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.stories.conftest import POLICIES
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs
from twin import faults

CREATE = "JobService.CreateCustomJob"
WITH_GPU = POLICIES.replace(
    "{machine_type: bigger}, times: 2",
    "{machine_type: n1-standard-16, accelerator: {type: NVIDIA_TESLA_T4, count: 1}}",
)
NUMBERS = (
    'The accelerator count "1" is not allowed. The allowed numbers of accelerator '
    '"NVIDIA_TESLA_T4" to use with machine type "n1-standard-16" are: [2, 4].'
)


def spec(job: dict[str, Any]) -> dict[str, Any]:
    return dict(job["jobSpec"]["workerPoolSpecs"][0]["machineSpec"])


def test_the_numbers_that_vertex_names_are_used(open_house: Callable[..., Any], cloud: Any) -> None:
    house = open_house(WITH_GPU)
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    cloud.fail(CREATE, faults.status("INVALID_ARGUMENT", NUMBERS))
    assert house.hear(failure_line(cloud, job)) == 200
    (made,) = made_jobs(cloud, job)
    assert spec(made)["acceleratorCount"] == 2
    (message,) = cloud.slack.messages
    assert "2 NVIDIA_TESLA_T4" in message.text
    assert "Vertex takes [2, 4] of them there, and said so" in message.text


def test_they_are_used_once(open_house: Callable[..., Any], cloud: Any) -> None:
    house = open_house(WITH_GPU)
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    cloud.fail(CREATE, faults.status("INVALID_ARGUMENT", NUMBERS))
    again = NUMBERS.replace('count "1"', 'count "2"').replace("[2, 4]", "[4]")
    cloud.fail(CREATE, faults.status("INVALID_ARGUMENT", again))
    assert house.hear(failure_line(cloud, job)) == 200
    assert made_jobs(cloud, job) == []
    assert len(cloud.calls(f"*.{CREATE.rpartition('.')[2]}")) == 2
    (message,) = cloud.slack.messages
    assert message.text.startswith("Not resubmitted")


def test_they_are_not_used_past_the_jobs_budget(open_house: Callable[..., Any], cloud: Any) -> None:
    house = open_house(WITH_GPU.replace("usd_per_job: 1000", "usd_per_job: 2.5"))
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    cloud.fail(CREATE, faults.status("INVALID_ARGUMENT", NUMBERS))
    assert house.hear(failure_line(cloud, job)) == 200
    assert made_jobs(cloud, job) == []


@pytest.mark.parametrize(
    "words",
    [
        "The following quota metrics exceed quota limits: custom_model_training_nvidia_t4_gpus",
        "Resources are insufficient in region: us-central1. Please try a different region.",
    ],
    ids=["quota", "stockout"],
)
def test_want_of_quota_or_machines_takes_the_next_step_without_counting(
    open_house: Callable[..., Any], cloud: Any, words: str
) -> None:
    ladder = POLICIES.replace(
        "{machine_type: bigger}, times: 2",
        "{machine_type: n1-standard-96}}, {resubmit: {machine_type: n1-standard-16}",
    ).replace("attempts: 3", "attempts: 1")
    house = open_house(ladder)
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    cloud.fail(CREATE, faults.status("RESOURCE_EXHAUSTED", words))
    assert house.hear(failure_line(cloud, job)) == 200
    (made,) = made_jobs(cloud, job)
    assert spec(made)["machineType"] == "n1-standard-16"
    assert made["labels"]["remediator-attempt"] == "1"


@pytest.mark.parametrize(
    "fault",
    [
        faults.status("RESOURCE_EXHAUSTED", "Resource has been exhausted (e.g. check quota)."),
        faults.status(
            "RESOURCE_EXHAUSTED",
            "Quota exceeded for quota metric 'Job requests' and limit 'Requests per minute'.",
        ),
    ],
    ids=["bare", "per-minute"],
)
def test_throttling_is_waited_out_or_comes_again(
    open_house: Callable[..., Any], cloud: Any, fault: Any
) -> None:
    house = open_house()
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    cloud.fail(CREATE, fault)
    entry = failure_line(cloud, job)
    answers = [house.hear(entry), house.hear(entry)]
    assert answers in ([200, 200], [503, 200])
    assert len(made_jobs(cloud, job)) == 1
