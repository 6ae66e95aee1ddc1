"""Attempts of ours that do not end: one that never gets a machine, one that costs too much.

The product reads the world's clock and the twin lags behind it, so a job made now in the twin is as
old for the product as the twin lags.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.stories.conftest import POLICIES
from tests.stories.test_loop import (
    HEAVY,
    TOO_MUCH,
    batch_job,
    custom_job,
    failure_line,
    made_jobs,
)
from twin import faults
from twin.kinds import KINDS
from twin.physics import Needs, Section

LADDER = POLICIES.replace(
    "do: [{resubmit: {machine_type: bigger}, times: 2}]",
    "do: [{resubmit: {machine_type: n1-standard-16}}, {resubmit: {machine_type: n1-highcpu-32}}]",
)
SCARCE = Needs(
    sections=(Section("align", cpu_seconds=80_000, parallel=0.99),),
    never_placed_on=("n1-standard-16",),
)
ENDLESS = Needs(sections=(Section("align", cpu_seconds=80_000_000, parallel=0.99),))
LONG = POLICIES.replace("{machine_type: bigger}, times: 2", "{timeout: 60h}")
WAITED = "Attempt 1 waited an hour for a machine in vain and was cancelled"


def old(hours: int) -> Any:
    """What is made in the twin now was made so long ago for the product."""
    return pytest.mark.parametrize("cloud", [hours], indirect=True, ids=[f"{hours}-hours-old"])


def machines(jobs: list[dict[str, Any]]) -> list[str]:
    return [j["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["machineType"] for j in jobs]


def titles(cloud: Any) -> list[str]:
    return [message.text.splitlines()[0] for message in cloud.slack.messages]


def states(cloud: Any, job: dict[str, Any]) -> list[str]:
    return [one["state"].removeprefix("JOB_STATE_") for one in made_jobs(cloud, job)]


def fail(house: Any, cloud: Any, needs: Needs = SCARCE, **scheduling: str) -> dict[str, Any]:
    """A custom job out of time and handled: its first resubmission exists."""
    body = custom_job()
    body["jobSpec"]["scheduling"].update(scheduling)
    job = cloud.past_job("customJobs", body, needs, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    assert len(made_jobs(cloud, job)) == 1
    return job


def go_on(house: Any, cloud: Any, later: Any, rounds: int) -> None:
    for _ in range(rounds):
        house.reconcile()
        cloud.clock.advance(120)
        later(minutes=6)


def test_a_young_attempt_may_wait_for_its_machine(house: Any, cloud: Any, later: Any) -> None:
    job = fail(house, cloud)
    go_on(house, cloud, later, 3)
    assert states(cloud, job) == ["PENDING"]


@old(hours=2)
def test_an_attempt_pending_for_an_hour_is_cancelled_told_and_stepped_on(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(LADDER)
    job = fail(house, cloud)
    house.reconcile()
    assert states(cloud, job) == ["CANCELLING"]
    go_on(house, cloud, later, 4)

    assert states(cloud, job)[0] == "CANCELLED"
    assert machines(made_jobs(cloud, job)) == ["n1-standard-16", "n1-highcpu-32"]
    assert len(cloud.calls("*.Cancel*Job")) == 1
    told = cloud.slack.messages[1].text
    assert told.startswith("Attempt 2 started")
    assert WAITED in told
    labels = made_jobs(cloud, job)[1]["labels"]
    assert (labels["remediator-attempt"], labels["remediator-policy"]) == ("2", "starved-of-cpu")

    cloud.clock.advance(2 * 3600)
    go_on(house, cloud, later, 2)
    assert [title.partition(":")[0] for title in titles(cloud)] == [
        "Resubmitted",
        "Attempt 2 started",
        "Recovered",
    ]


@old(hours=2)
def test_each_attempt_is_told_also_those_after_attempts_without_a_machine(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    """All of them are made for the root's failure, whose number is none."""
    steps = ("n1-standard-16", "n1-highcpu-32", "n1-standard-32", "n1-highmem-32")
    ladder = ", ".join(f"{{resubmit: {{machine_type: {name}}}}}" for name in steps)
    house = open_house(
        POLICIES.replace("{resubmit: {machine_type: bigger}, times: 2}", ladder),
    )
    scarce = Needs(sections=SCARCE.sections, never_placed_on=steps[:3])
    job = fail(house, cloud, scarce)
    go_on(house, cloud, later, 12)
    assert machines(made_jobs(cloud, job)) == list(steps)
    assert [title.partition(":")[0] for title in titles(cloud)][:4] == [
        "Resubmitted",
        "Attempt 2 started",
        "Attempt 3 started",
        "Attempt 4 started",
    ]


@old(hours=2)
def test_an_attempt_that_never_got_a_machine_counts_as_a_retry_and_not_as_an_attempt(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(LADDER.replace("attempts: 3", "attempts: 1"))
    job = fail(house, cloud)
    go_on(house, cloud, later, 5)
    assert machines(made_jobs(cloud, job)) == ["n1-standard-16", "n1-highcpu-32"]


@old(hours=2)
def test_retries_that_never_got_a_machine_are_used_up(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    again = LADDER.replace("{resubmit: {machine_type: n1-highcpu-32}}", "{resubmit: {}}")
    house = open_house(again.replace("retries: 5", "retries: 1"))
    job = fail(house, cloud)
    go_on(house, cloud, later, 5)
    assert len(made_jobs(cloud, job)) == 1
    assert "1 of 1 unchanged resubmissions are used up" in cloud.slack.messages[-1].text


@old(hours=2)
def test_a_ladder_without_another_step_gives_up_and_says_why(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(LADDER.replace(", {resubmit: {machine_type: n1-highcpu-32}}", ""))
    job = fail(house, cloud)
    go_on(house, cloud, later, 5)
    assert len(made_jobs(cloud, job)) == 1
    assert len(titles(cloud)) == 2
    last = cloud.slack.messages[-1].text
    assert last.startswith("Given up")
    assert WAITED in last
    assert "Resubmissions so far" not in last  # it cost nothing


@old(hours=2)
def test_a_cancel_that_fails_is_tried_again(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(LADDER)
    job = fail(house, cloud)
    cloud.fail("JobService.CancelCustomJob", faults.status("UNAVAILABLE"), times=2)
    go_on(house, cloud, later, 6)
    assert machines(made_jobs(cloud, job)) == ["n1-standard-16", "n1-highcpu-32"]


@old(hours=2)
def test_an_attempt_that_asked_for_a_flexible_start_is_left_to_wait(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(LADDER)
    job = fail(house, cloud, strategy="FLEX_START")
    go_on(house, cloud, later, 3)
    assert states(cloud, job) == ["PENDING"]


@pytest.mark.parametrize(
    ("mode", "setting"),
    [("enforce", {"REMEDIATOR_STOP": "1"}), ("observe", {})],
    ids=["stop-switch", "observe"],
)
@old(hours=2)
def test_nothing_is_cancelled_where_nothing_may_be_changed(
    open_house: Callable[..., Any], cloud: Any, later: Any, mode: str, setting: dict[str, str]
) -> None:
    job = fail(open_house(LADDER), cloud)
    still = open_house(LADDER.replace("mode: enforce", f"mode: {mode}"), **setting)
    go_on(still, cloud, later, 3)
    assert states(cloud, job) == ["PENDING"]


@pytest.mark.parametrize("action", ["alert", "cancel"])
@old(hours=30)
def test_an_attempt_that_passes_its_budget_is_told_or_cancelled_as_the_policy_says(
    open_house: Callable[..., Any], cloud: Any, later: Any, action: str
) -> None:
    limits = f"usd_per_job: 3, on_overrun: {action}"
    house = open_house(LONG.replace("usd_per_job: 1000", limits), REMEDIATOR_LOOKBACK="48h")
    job = fail(house, cloud, ENDLESS)
    cloud.clock.advance(300)
    go_on(house, cloud, later, 4)

    overruns = [m.text for m in cloud.slack.messages if m.text.startswith("Over budget")]
    assert len(overruns) == 1
    assert "it passed usd_per_job (3 USD)" in overruns[0]
    if action == "alert":
        assert states(cloud, job) == ["RUNNING"]
        assert "Nothing was done, it still runs" in overruns[0]
        return
    assert states(cloud, job) == ["CANCELLED"]
    last = cloud.slack.messages[-1].text
    assert last.startswith("Given up")
    assert "The remediator cancelled it: it passed usd_per_job (3 USD)." in last


@old(hours=30)
def test_an_attempt_within_its_budget_is_nobodys_business(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(LONG, REMEDIATOR_LOOKBACK="48h")
    fail(house, cloud, ENDLESS)
    cloud.clock.advance(300)
    go_on(house, cloud, later, 3)
    assert len(titles(cloud)) == 1


@old(hours=100)
def test_an_attempt_without_a_time_out_of_its_own_is_bounded_by_max_run(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    limits = "usd_per_job: 1000, max_run: 3x, on_overrun: cancel"
    house = open_house(POLICIES.replace("usd_per_job: 1000", limits), REMEDIATOR_LOOKBACK="200h")
    job = cloud.past_job("batchPredictionJobs", batch_job(cloud), TOO_MUCH)
    house.reconcile()
    (entry,) = cloud.logs.find('logName:"vertex-remediator-job-failures"')
    assert house.hear(entry) == 200
    cloud.clock.advance(600)
    assert states(cloud, job) == ["RUNNING"]
    go_on(house, cloud, later, 4)
    assert states(cloud, job) == ["CANCELLED"]
    assert "it ran longer than max_run allows (72 h)" in cloud.slack.messages[-1].text


def test_an_attempt_that_a_person_cancels_ends_the_chain_and_is_not_called_a_time_out(
    house: Any, cloud: Any, later: Any
) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    (made,) = made_jobs(cloud, job)
    cloud.clock.advance(300)
    cloud.jobs.cancel(KINDS["customJobs"], made["name"])
    cloud.clock.advance(300)
    later(minutes=6)
    house.reconcile()
    assert len(made_jobs(cloud, job)) == 1
    told = cloud.slack.messages[-1]
    assert told.body["text"].startswith("Given up: attempt 1 of align-reads was cancelled")
    assert "Nothing, if that was meant" in told.text


# --- money of a day, and a group's share of it ------------------------------------------------------

DAY = "usd_per_day: 3"
SHARE = "per: [{by: service_account, usd_per_day: 3}]"


def within(limits: str, action: str = "alert") -> str:
    return LONG.replace("usd_per_day: 10000", f"{limits}, on_overrun: {action}")


@pytest.mark.parametrize("action", ["alert", "cancel"])
@pytest.mark.parametrize(
    ("limits", "said"),
    [
        pytest.param(DAY, "it passed usd_per_day (3 USD", id="day"),
        pytest.param(
            SHARE, "of service account pipeline@genomics-lab.iam.gserviceaccount.com", id="share"
        ),
    ],
)
@pytest.mark.usefixtures("noon")
@old(hours=30)
def test_what_a_running_attempt_costs_counts_in_its_day_and_passing_that_is_told(
    open_house: Callable[..., Any], cloud: Any, later: Any, limits: str, said: str, action: str
) -> None:
    house = open_house(within(limits, action), REMEDIATOR_LOOKBACK="48h")
    job = fail(house, cloud, ENDLESS)
    cloud.clock.advance(300)
    go_on(house, cloud, later, 4)

    (overrun,) = (m.text for m in cloud.slack.messages if m.text.startswith("Over budget"))
    assert said in overrun
    assert states(cloud, job) == ["RUNNING" if action == "alert" else "CANCELLED"]


@pytest.mark.parametrize("limits", [DAY, SHARE], ids=["day", "share"])
@pytest.mark.usefixtures("noon")
@old(hours=30)
def test_a_day_that_running_attempts_have_used_up_takes_no_further_claim(
    open_house: Callable[..., Any], cloud: Any, later: Any, limits: str
) -> None:
    """Three minutes were estimated for each retry, and the first of them ran for a day."""
    house = open_house(within(limits), REMEDIATOR_LOOKBACK="48h")
    first = fail(house, cloud, ENDLESS)
    cloud.clock.advance(300)
    go_on(house, cloud, later, 2)
    second = cloud.past_job("customJobs", custom_job("another"), ENDLESS, route=False)
    assert house.hear(failure_line(cloud, second)) == 200
    assert len(made_jobs(cloud, first)) == 2  # the second failure, and what was made of the first
    last = cloud.slack.messages[-1].text
    assert last.startswith("Not resubmitted")
    assert "usd_per_day" in last


@pytest.mark.usefixtures("noon")
@old(hours=100)
def test_an_attempt_that_passed_a_cap_before_anybody_looked_is_told_when_it_has_ended(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(within(DAY), REMEDIATOR_LOOKBACK="200h")
    job = fail(house, cloud, Needs(sections=(Section("align", cpu_seconds=1_600_000),)))
    cloud.clock.advance(59 * 3600)
    go_on(house, cloud, later, 2)
    assert states(cloud, job) == ["SUCCEEDED"]
    assert [title.partition(":")[0] for title in titles(cloud)] == [
        "Resubmitted",
        "Over budget",
        "Recovered",
    ]
    assert "It has ended: it passed usd_per_day (3 USD" in cloud.slack.messages[1].text
