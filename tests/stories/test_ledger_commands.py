"""`approvals`, `approve`, `decline` and `status`: what stands in the ledger, for people at a terminal."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs

POLICIES = """\
version: 1
mode: enforce
limits: {attempts: 3, usd_per_job: 1000, usd_per_day: 10000}
channels:
  oncall: {slack: {webhook: "env:SLACK_WEBHOOK_URL"}}
policies:
  - name: starved-of-cpu
    when: {cause: [cpu_saturation]}
    do: [{resubmit: {machine_type: n1-standard-16}}]
    alert: [oncall]
  - name: everything-else
    when: {}
    do: []
    alert: [oncall]
"""


@pytest.fixture
def asked(open_house: Callable[..., Any], cloud: Any) -> tuple[Any, list[Any]]:
    """Three failed jobs whose resubmission waits for a yes."""
    house = open_house(POLICIES)
    jobs = []
    for name in ("align-reads", "call-variants", "annotate"):
        body = custom_job() | {"displayName": name}
        job = cloud.past_job("customJobs", body, HEAVY, route=False, ended_ago=timedelta(hours=4))
        assert house.hear(failure_line(cloud, job)) == 200
        jobs.append(job)
    assert cloud.creates() == []
    return house, jobs


def listed(run: Any) -> list[dict[str, Any]]:
    code, out, err = run("approvals", "--json")
    assert (code, err) == (0, "")
    found: list[dict[str, Any]] = json.loads(out)
    return found


def test_what_waits_for_a_yes_is_listed_with_its_reason(
    asked: tuple[Any, list[Any]], run: Any
) -> None:
    _, jobs = asked
    found = listed(run)
    assert {one["job"] for one in found} == {job["name"] for job in jobs}
    one = found[0]
    assert one["question"] == "resubmit on n1-standard-16?"
    assert one["usd"] > 0
    kept = "`custom` is not in `rerun_safe`: with `rerun_safe: [batch_prediction, custom]`"
    assert one["reason"].startswith(kept)
    assert one["until"].endswith("Z")
    code, out, _ = run("approvals")
    assert code == 0
    assert f"approve --like {found[0]['id']} answers all of them" in out
    assert "asked because `custom` is not in `rerun_safe`" in out


def test_a_question_is_answered_by_a_prefix_by_its_job_and_all_alike_at_once(
    asked: tuple[Any, list[Any]], cloud: Any, run: Any
) -> None:
    house, jobs = asked
    first, *_ = listed(run)
    code, out, _ = run("decline", first["id"][:8])
    assert (code, out.startswith("declined by ")) == (0, True)
    code, out, err = run("approve", first["id"])
    assert (code, out) == (2, "")
    assert "already declined" in err
    assert run("decline", first["id"])[0] == 0  # the same answer once more changes nothing
    assert len(listed(run)) == 2
    code, out, _ = run("approve", "--like", listed(run)[0]["id"])
    assert (code, len(out.splitlines())) == (0, 2)
    assert listed(run) == []
    assert cloud.creates() == []
    house.reconcile()
    again = {str(job["displayName"]) for job in jobs if job["name"] != first["job"]}
    made = {str(job["displayName"]) for job in made_jobs(cloud, jobs[0])}
    assert {name for name in made if "(attempt" in name} == {f"{one} (attempt 1)" for one in again}


def test_what_names_several_or_nothing_is_one_line(asked: tuple[Any, list[Any]], run: Any) -> None:
    _, jobs = asked
    code, out, err = run("approve", "")
    assert (code, out) == (2, "")
    assert "give one ID" in err
    code, out, err = run("approve", "nothing-of-that-name")
    assert (code, out) == (2, "")
    assert "no pending approval" in err
    code, out, _ = run("approve", jobs[0]["name"])
    assert code == 0


@pytest.mark.usefixtures("noon")  # what is spent and when it is asked for fall into one day
def test_the_state_of_the_ledger_in_numbers(asked: tuple[Any, list[Any]], run: Any) -> None:
    house, _ = asked
    code, out, _ = run("status", "--json")
    assert code == 0
    assert json.loads(out) == {
        "open": 3,
        "attempts": 0,
        "owed": 0,
        "approvals": 3,
        "stopped": False,
        "usd_today": 0.0,
    }
    run("approve", listed(run)[0]["id"])
    house.reconcile()
    run("stop")
    after = json.loads(run("status", "--json")[1])
    assert (after["attempts"], after["approvals"], after["stopped"]) == (1, 2, True)
    assert after["usd_today"] > 0
    code, out, _ = run("status")
    assert (code, "stopped: nothing is resubmitted" in out) == (0, True)


def test_whoever_follows_is_told_what_it_waits_for(asked: tuple[Any, list[Any]], run: Any) -> None:
    _, jobs = asked
    one = next(item for item in listed(run) if item["job"] == jobs[0]["name"])
    code, out, _ = run("follow", jobs[0]["name"], "--json")
    followed = json.loads(out)
    assert (code, followed["final"], followed["waits_for"]) == (1, False, one["id"])
    assert followed["reason"].startswith("Approval needed: align-reads failed (CPUs full)")
    assert "Asked because `custom` is not in `rerun_safe`" in followed["advice"]
    assert followed["url"].startswith("https://console.cloud.google.com/")
    assert f"waits    for approval {one['id']}" in run("follow", jobs[0]["name"])[1]
    run("decline", one["id"])
