"""What the ledger remembers of resubmissions: sizes that worked, and fixes that keep failing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.stories.conftest import POLICIES
from tests.stories.test_loop import custom_job, failure_line, made_jobs
from twin.physics import Needs, Section

SIZED = POLICIES.replace("{machine_type: more_memory}", "{machine_type: sized}, times: 3")
HUNGRY = Needs(sections=(Section("load", cpu_seconds=4_000, memory_gib=100),))
PECKISH = Needs(sections=(Section("load", cpu_seconds=4_000, memory_gib=45),))
HOPELESS = Needs(sections=(Section("load", cpu_seconds=4_000, memory_gib=900),))
OLD = pytest.mark.parametrize("cloud", [20], indirect=True, ids=["20-hours-behind"])


def machine(job: dict[str, Any]) -> str:
    return str(job["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["machineType"])


def fail(house: Any, cloud: Any, name: str, needs: Needs = HUNGRY) -> dict[str, Any]:
    job = cloud.past_job("customJobs", custom_job(name), needs, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    return dict(job)


@OLD
def test_the_size_that_worked_is_where_the_next_similar_failure_starts(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(SIZED, REMEDIATOR_LOOKBACK="48h")
    first = fail(house, cloud, "embed")
    for _ in range(4):
        cloud.clock.advance(3600)
        later(minutes=10)
        house.reconcile()
    tried = [machine(job) for job in made_jobs(cloud, first)]
    assert tried == ["e2-highmem-8", "e2-highmem-16"]
    assert made_jobs(cloud, first)[-1]["state"] == "JOB_STATE_SUCCEEDED"

    known = {job["name"] for job in cloud.jobs.all("customJobs")}
    second = fail(house, cloud, "embed")
    (made,) = (
        job
        for job in cloud.jobs.all("customJobs")
        if job["name"] not in known and job["name"] != second["name"]
    )
    assert machine(made) == tried[-1]
    assert "similar job succeeded with" in cloud.slack.messages[-1].text


TEAMS = ("pipeline", "vision")


def of_team(name: str, team: str, image: str = "align:3") -> dict[str, Any]:
    job = custom_job(name)
    job["jobSpec"]["serviceAccount"] = f"{team}@genomics-lab.iam.gserviceaccount.com"
    pool = job["jobSpec"]["workerPoolSpecs"][0]
    pool["containerSpec"]["imageUri"] = f"us-docker.pkg.dev/lab/{image}"
    return job


def let_jobs_run(house: Any, cloud: Any, later: Any, rounds: int = 3, seconds: int = 3600) -> None:
    for _ in range(rounds):
        cloud.clock.advance(seconds)
        later(minutes=10)
        house.reconcile()


@OLD
@pytest.mark.parametrize(
    ("other", "shares", "known"),
    [
        pytest.param(of_team("embed-2026-11-25", "pipeline", "align:4"), "", True, id="same-job"),
        pytest.param(of_team("embed-1", "vision"), "", False, id="another-account"),
        pytest.param(of_team("embed-1", "pipeline", "other:3"), "", False, id="another-image"),
        pytest.param(of_team("other-1", "pipeline"), "", False, id="another-name"),
        pytest.param(
            of_team("embed-1", "vision"),
            "learn_across_accounts: true\n",
            True,
            id="the-file-lets-accounts-learn-from-one-another",
        ),
    ],
)
def test_a_size_is_remembered_for_the_same_job_alone(
    open_house: Callable[..., Any],
    cloud: Any,
    later: Any,
    other: dict[str, Any],
    shares: str,
    known: bool,
) -> None:
    """The same job: name without digits and dates, image without its tag, account."""
    house = open_house(SIZED + shares, REMEDIATOR_LOOKBACK="48h")
    first = cloud.past_job("customJobs", of_team("embed-1", "pipeline"), HUNGRY, route=False)
    assert house.hear(failure_line(cloud, first)) == 200
    let_jobs_run(house, cloud, later)
    before = {job["name"] for job in cloud.jobs.all("customJobs")}
    assert [machine(job) for job in made_jobs(cloud, first)] == ["e2-highmem-8", "e2-highmem-16"]

    second = cloud.past_job("customJobs", other, HUNGRY, route=False)
    assert house.hear(failure_line(cloud, second)) == 200
    names = before | {second["name"]}
    (made,) = (job for job in cloud.jobs.all("customJobs") if job["name"] not in names)
    assert machine(made) == ("e2-highmem-16" if known else "e2-highmem-8")


BREAKING = POLICIES.replace(
    "attempts: 3,", "attempts: 3, breaker: {failed_share: 0.5, of_last: 2, pause: 48h},"
)


def break_it(house: Any, cloud: Any, later: Any) -> None:
    """Two resubmissions of one team failed, one after the other."""
    for name in ("one", "two"):
        fail(house, cloud, name, HOPELESS)
        let_jobs_run(house, cloud, later, rounds=2, seconds=1800)
    assert len(cloud.creates()) == 2


@OLD
def test_a_policy_whose_fixes_keep_failing_is_paused_and_what_fails_meanwhile_waits(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(BREAKING, REMEDIATOR_LOOKBACK="48h")
    break_it(house, cloud, later)

    fail(house, cloud, "three", PECKISH)
    fail(house, cloud, "four", PECKISH)

    assert len(cloud.creates()) == 2
    told = cloud.slack.messages[-2].text
    assert told.startswith("Waiting until")
    assert "three failed (out of memory), a resubmission will follow" in told
    assert "2 of the last 2 failed; paused until" in told

    later(hours=49)
    house.reconcile()
    assert len(cloud.creates()) == 3  # one tries, the other waits for how it ends
    cloud.clock.advance(3600)
    later(minutes=31)
    house.reconcile()
    house.reconcile()
    later(minutes=31)
    house.reconcile()
    assert len(cloud.creates()) == 4


@OLD
def test_a_pause_is_of_one_account_and_not_everybodys(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(BREAKING, REMEDIATOR_LOOKBACK="48h")
    break_it(house, cloud, later)
    job = cloud.past_job("customJobs", of_team("theirs", "vision"), HUNGRY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    assert len(cloud.creates()) == 3


WANTS_DEVICE = POLICIES.replace(
    "do: [{resubmit: {batch_size: halve}, times: 3}]",
    "do: [{resubmit: {machine_type: sized}}]",
)
GREEDY = Needs(
    sections=(Section("train", cpu_seconds=90_000, gpu_seconds=2_000),),
    gpu="required",
    gpu_memory_gib=20,
)
WORDLESS = Needs(
    fails_with=(
        3,
        "The replica workerpool0-0 exited with a non-zero status of 1. Termination reason: Error.",
    )
)


def on_t4(name: str, image: str) -> dict[str, Any]:
    job = custom_job(name)
    pool = job["jobSpec"]["workerPoolSpecs"][0]
    pool["machineSpec"] |= {"acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}
    pool["containerSpec"]["imageUri"] = f"us-docker.pkg.dev/lab/{image}"
    return job


@OLD
def test_a_failure_without_a_word_is_told_by_what_mended_the_same_job_before(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(WANTS_DEVICE, REMEDIATOR_LOOKBACK="48h")

    def failed(name: str, image: str, needs: Needs) -> dict[str, Any]:
        job = cloud.past_job("customJobs", on_t4(name, image), needs, route=False)
        assert house.hear(failure_line(cloud, job)) == 200
        return dict(job)

    first = failed("train", "train:3", GREEDY)
    for _ in range(3):
        cloud.clock.advance(3600)
        later(minutes=10)
        house.reconcile()
    (made,) = made_jobs(cloud, first)
    assert (machine(made), made["state"]) == ("g2-standard-8", "JOB_STATE_SUCCEEDED")

    failed("train", "other:1", WORDLESS)  # the same name, another program
    assert "train failed, cause unknown" in cloud.slack.messages[-1].text

    before = {job["name"] for job in cloud.jobs.all("customJobs")}
    silent = failed("train", "train:3", WORDLESS)
    (again,) = (
        job
        for job in cloud.jobs.all("customJobs")
        if job["name"] not in before and job["name"] != silent["name"]
    )
    assert machine(again) == "g2-standard-8"
    assert "failed by gpu_memory was fixed with g2-standard-8" in cloud.slack.messages[-1].text
