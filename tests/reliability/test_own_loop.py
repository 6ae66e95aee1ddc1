"""The remediator does not feed itself: its attempts are counted whatever happens to them, the stop
switch holds in the middle of a storm, and a second deployment in the project does not join in.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.app import App
from remediator.cli.input_output import HERE
from remediator.cli.main import main
from tests.reliability.test_storm import (
    _OUT_OF_MEMORY,
    POLICIES,
    deliver_all,
    failed_jobs,
)
from tests.stories.test_loop import HEAVY, custom_job, failure_line, ident, made_jobs
from tests.waiting import wait_until
from twin import faults
from twin.clock import rfc3339
from twin.physics import Needs, Section

HOPELESS = Needs(sections=(Section("align", cpu_seconds=900_000, parallel=0.999),))


@pytest.mark.parametrize("cloud", [20], indirect=True, ids=["the-twin-is-20-hours-behind"])
def test_attempts_are_counted_though_somebody_takes_their_labels_and_names_away(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    house = open_house(REMEDIATOR_LOOKBACK="48h")
    job = cloud.past_job("customJobs", custom_job(), HOPELESS, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    for _ in range(5):
        for made in made_jobs(cloud, job):
            cloud.jobs.change(made["name"], labels={}, displayName="somebody's own")
        cloud.clock.advance(3 * 3600)
        for made in made_jobs(cloud, job):
            if made["state"] == "JOB_STATE_FAILED":
                assert house.hear(failure_line(cloud, made)) in (200, 503)
        house.reconcile()
    assert len(made_jobs(cloud, job)) == 2  # the ladder's two steps, and no new root beside it
    (chain,) = App.from_environment(os.environ, here=HERE).ledger.chains()
    assert [attempt.number for attempt in chain.attempts] == [1, 2]
    assert sum("Given up" in message.text for message in cloud.slack.messages) == 1


def test_our_own_announcements_and_outcomes_start_nothing(house: Any, cloud: Any) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    house.reconcile()
    ours = cloud.logs.find('logName:"vertex-remediator"')
    assert ours
    assert {house.hear(entry) for entry in ours} == {200}
    assert len(made_jobs(cloud, job)) == 1


def test_stop_in_the_middle_of_a_storm_lets_no_further_claim_through(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    house = open_house(POLICIES.format(usd=1_000_000, rate=1_000_000))
    jobs = failed_jobs(cloud, 80, _OUT_OF_MEMORY, 0)
    storm = threading.Thread(target=deliver_all, args=(house, cloud, jobs))
    storm.start()
    wait_until(lambda: len(cloud.creates()) >= 5)
    assert main(["stop"]) == 0
    chains = App.from_environment(os.environ, here=HERE).ledger.chains()
    promised = sum(len(one.attempts) + (one.claim is not None) for one in chains)
    storm.join()
    assert 5 <= promised < len(jobs)
    assert len(cloud.creates()) <= promised
    made = len(cloud.creates())
    deliver_all(house, cloud, jobs)
    house.reconcile()
    assert len(cloud.creates()) == made


def test_a_second_deployment_leaves_what_the_first_has_resubmitted(
    open_house: Callable[..., Any], cloud: Any, tmp_path: Path
) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    entry = failure_line(cloud, job)
    first = open_house()
    assert first.hear(entry) == 200
    second = open_house(REMEDIATOR_LEDGER=f"sqlite:///{tmp_path}/second.sqlite3")
    assert second.hear(entry) == 200
    assert second.reconcile()["faults"] == []
    assert [made["labels"]["remediator-root"] for made in made_jobs(cloud, job)] == [ident(job)]


AGAIN_AND_AGAIN = POLICIES.format(usd=1_000_000, rate=1_000_000).replace(
    "{machine_type: more_memory}", "{machine_type: more_memory}, times: 3"
)


@pytest.mark.parametrize("cloud", [1], indirect=True, ids=["the-twin-is-an-hour-behind"])
@pytest.mark.parametrize("turns", ["the-same-is-first", "by-turns"])
def test_two_deployments_that_hear_everything_make_one_job_of_each_failure(
    turns: str, open_house: Callable[..., Any], cloud: Any, tmp_path: Path
) -> None:
    """They share no ledger; each takes what the other made for somebody's rerun."""
    ledgers = [f"sqlite:///{tmp_path}/{name}.sqlite3" for name in ("first", "second")]
    (failed,) = failed_jobs(cloud, 1, _OUT_OF_MEMORY, 0)
    for turn in range(3):
        cloud.clock.advance(60)
        order = ledgers[::-1] if turns == "by-turns" and turn % 2 else ledgers
        for ledger in order:
            house = open_house(AGAIN_AND_AGAIN, REMEDIATOR_LEDGER=ledger)
            assert house.hear(failure_line(cloud, failed)) == 200
            assert house.reconcile()["faults"] == []
            assert len(cloud.creates()) == turn + 1
        newest = max(cloud.jobs.all("customJobs"), key=lambda one: one["createTime"])
        cloud.clock.advance(60)
        now = rfc3339(cloud.clock.now())
        cloud.jobs.change(
            newest["name"], state="JOB_STATE_FAILED", endTime=now, error=failed["error"]
        )
        failed = next(j for j in cloud.jobs.all("customJobs") if j["name"] == newest["name"])


# --- somebody else is faster ----------------------------------------------------------------------

SCARCE = "Resources are insufficient in region: us-central1. Try a different region."


def rerun_by_somebody(cloud: Any, job: dict[str, Any]) -> None:
    """The same workload as `job`, created now by an orchestrator."""
    now = rfc3339(cloud.clock.now())
    spec = {"jobSpec": job["jobSpec"], "displayName": "again-by-airflow"}
    name = cloud.name("customJobs", "31337")
    cloud.add_job({**spec, "name": name, "state": "JOB_STATE_RUNNING", "createTime": now})


@pytest.mark.parametrize("waits_for", ["capacity", "approval", "an-unanswered-create"])
def test_a_rerun_that_appears_while_we_wait_is_left_to_whoever_made_it(
    waits_for: str, open_house: Callable[..., Any], cloud: Any, later: Callable[..., None]
) -> None:
    scarce = waits_for == "capacity"
    policies = POLICIES.format(usd=1_000_000, rate=1_000_000)
    if scarce:
        policies = policies.replace("memory_pressure", "capacity_stockout").replace(
            "{machine_type: more_memory}", "{wait: 10m}"
        )
    if waits_for == "approval":
        policies = policies.replace("mode: enforce", "mode: approve")
    house = open_house(policies)
    (job,) = failed_jobs(cloud, 1, SCARCE if scarce else _OUT_OF_MEMORY, 0)
    unanswered = waits_for == "an-unanswered-create"
    if unanswered:
        cloud.fail("JobService.CreateCustomJob", faults.status("UNAVAILABLE"))
    assert house.hear(failure_line(cloud, job)) == (503 if unanswered else 200)
    rerun_by_somebody(cloud, job)
    if waits_for == "approval":
        ledger = App.from_environment(os.environ, here=HERE).ledger
        (incident,) = ledger.incidents()
        assert incident.approval is not None
        assert main(["approve", incident.approval.id]) == 0
    later(minutes=11)
    house.reconcile()
    assert house.hear(failure_line(cloud, job)) == 200
    house.reconcile()
    assert cloud.creates() == []
    (incident,) = App.from_environment(os.environ, here=HERE).ledger.incidents()
    assert incident.refused_by == ("already_rerun",)
    assert "already" in cloud.slack.messages[-1].text


def test_a_replayed_event_is_as_old_as_when_it_was_first_published(house: Any, cloud: Any) -> None:
    """Without the attribute it would be too old to act on: it lay among the dead letters."""
    import base64
    import json

    job = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(hours=9)
    )
    data = base64.b64encode(json.dumps(failure_line(cloud, job)).encode()).decode()
    first = (cloud.clock.now() - timedelta(hours=8)).isoformat().replace("+00:00", "Z")
    assert house.deliver(data, attributes={"remediator-first-published": first}) == 200
    assert len(made_jobs(cloud, job)) == 1


def test_the_ledger_keeps_no_environment_no_arguments_and_no_image(
    house: Any, cloud: Any, tmp_path: Path
) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    house.reconcile()
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as database:
        kept = "\n".join(body for (body,) in database.execute("SELECT body FROM documents"))
    database.close()
    assert "n1-standard-16" in kept
    for secret in ("hunter2", "API_TOKEN", "--in=gs://lab-reads", "us-docker.pkg.dev/lab/align"):
        assert secret not in kept


@pytest.mark.usefixtures("noon")  # both rounds fall into one day
def test_the_ledger_forgets_once_a_day_what_has_outlived_its_keeping(
    house: Any, cloud: Any, later: Callable[..., None], tmp_path: Path
) -> None:
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    house.reconcile()
    path = tmp_path / "ledger.sqlite3"
    with sqlite3.connect(path) as database:
        database.execute("UPDATE documents SET expires = '2001-01-01' WHERE collection = 'debts'")
    count = "SELECT count(*) FROM documents WHERE collection = 'debts'"
    house.reconcile()
    assert database.execute(count).fetchone()[0] == 3  # today it has been done
    later(days=1)
    house.reconcile()
    assert database.execute(count).fetchone()[0] == 0
    database.close()
