"""A job that nothing fixes, night after night: its ladder is paid for once, until something changes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.stories.conftest import POLICIES, on_both_ledgers
from tests.stories.test_learning import HOPELESS, PECKISH, machine
from tests.stories.test_loop import custom_job, failure_line, made_jobs
from twin.physics import Needs, Section

OLD = pytest.mark.parametrize("cloud", [20], indirect=True, ids=["20-hours-behind"])
LADDER = POLICIES.replace("{machine_type: more_memory}}", "{machine_type: more_memory}, times: 2}")
ENDLESS = Needs(sections=(Section("align", cpu_seconds=9_000_000, parallel=0.99),))


def nightly(day: int, image: str = "align:3", **more: Any) -> dict[str, Any]:
    """The job of one night of November: its name, an argument and its output bear the date."""
    body = custom_job(f"embed-2026-11-{day:02}", **more)
    pool = body["jobSpec"]["workerPoolSpecs"][0]
    pool["containerSpec"] |= {
        "imageUri": f"us-docker.pkg.dev/lab/{image}",
        "args": ["--in=gs://lab-reads", f"--date=2026-11-{day:02}"],
    }
    body["jobSpec"]["baseOutputDirectory"] = {"outputUriPrefix": f"gs://lab-out/202611{day:02}"}
    return body


class Nights:
    """Runs one night after the other, each to its end; what was made in each."""

    def __init__(self, house: Any, cloud: Any, later: Callable[..., None]) -> None:
        self.house, self.cloud, self.later = house, cloud, later
        self.day = 9

    def run(self, needs: Needs = HOPELESS, rounds: int = 4, **more: Any) -> list[dict[str, Any]]:
        self.day += 1
        known = {job["name"] for job in self.cloud.jobs.all("customJobs")}
        body = nightly(self.day, **more)
        root = self.cloud.past_job("customJobs", body, needs, route=False)
        assert self.house.hear(failure_line(self.cloud, root)) == 200
        for _ in range(rounds):
            self.cloud.clock.advance(1800)
            self.later(minutes=10)
            self.house.reconcile()
        made = [job for job in made_jobs(self.cloud, root) if job["name"] not in known]
        self.later(days=1)
        return made


@pytest.fixture
def nights(open_house: Callable[..., Any], cloud: Any, later: Any) -> Nights:
    return Nights(open_house(LADDER, REMEDIATOR_LOOKBACK="480h"), cloud, later)


@OLD
@on_both_ledgers
def test_a_ladder_that_was_climbed_in_vain_is_not_climbed_again_the_next_nights(
    nights: Nights,
) -> None:
    first = nights.run()
    assert [machine(job) for job in first] == ["n1-standard-16", "n1-standard-32"]
    assert {job["state"] for job in first} == {"JOB_STATE_FAILED"}
    assert "Given up" in nights.cloud.slack.messages[-1].text

    assert [nights.run(), nights.run(), nights.run()] == [[], [], []]
    told = nights.cloud.slack.messages[-1].text
    assert "Not resubmitted: embed-2026-11-13 failed (out of memory)" in told
    assert "n1-standard-16 and n1-standard-32 did not help embed-2026-11-10" in told
    assert "its 2 attempts cost $" in told
    assert "once its image, arguments or input change, or the label remediator=on is put" in told


@OLD
def test_what_took_too_long_on_every_machine_is_not_enlarged_again(nights: Nights) -> None:
    first = nights.run(ENDLESS, rounds=12)
    assert [machine(job) for job in first] == ["n1-standard-16", "n1-standard-32"]
    assert nights.run(ENDLESS) == []
    assert "n1-standard-16 and n1-standard-32 did not help" in nights.cloud.slack.messages[-1].text


@OLD
@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"image": "align:4"}, id="another-tag"),
        pytest.param({"labels": {"remediator": "on"}}, id="somebody-vouches-for-it"),
        pytest.param({"machine": "n1-highmem-16"}, id="a-larger-machine"),
    ],
)
def test_what_differs_from_the_vain_night_is_tried(nights: Nights, changed: dict[str, Any]) -> None:
    nights.run()
    assert nights.run() == []
    assert nights.run(**changed)


@OLD
def test_two_weeks_later_it_is_tried_once_more(nights: Nights) -> None:
    nights.run()
    nights.later(days=12)
    assert nights.run() == []
    nights.later(days=1)
    assert len(nights.run()) == 2
    assert nights.run() == []


@OLD
def test_a_night_that_went_well_since_makes_the_vain_one_forgotten(nights: Nights) -> None:
    nights.run()
    well = Needs(sections=(Section("load", cpu_seconds=400, memory_gib=2),))
    nights.cloud.past_job("customJobs", nightly(20), well, route=False)
    assert [machine(job) for job in nights.run(PECKISH)] == ["n1-standard-16"]


@OLD
def test_another_share_of_the_work_that_went_well_says_nothing_of_it(nights: Nights) -> None:
    """Shards are alike, and each has a success every night but one."""
    nights.run()
    well = Needs(sections=(Section("load", cpu_seconds=400, memory_gib=2),))
    other = nightly(20)
    other["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"].append("--shard=2")
    nights.cloud.past_job("customJobs", other, well, route=False)
    assert nights.run() == []


@OLD
def test_a_step_that_was_not_reached_is_taken_from_where_the_vain_ones_led(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    """The first night was stopped by `attempts`; the next begins with the step that it did not reach."""
    short = LADDER.replace("attempts: 3", "attempts: 1")
    nights = Nights(open_house(short, REMEDIATOR_LOOKBACK="480h"), cloud, later)
    assert [machine(job) for job in nights.run()] == ["n1-standard-16"]
    assert [machine(job) for job in nights.run()] == ["n1-standard-32"]
    assert "n1-standard-16 was tried in vain for embed-2026-11-10" in "\n".join(
        one.text for one in cloud.slack.messages
    )
    assert nights.run() == []


@OLD
def test_another_cause_than_that_of_the_vain_night_is_treated(nights: Nights) -> None:
    nights.run()
    (made, *_) = nights.run(ENDLESS, rounds=2)
    assert machine(made) == "n1-standard-16"
