"""Jobs that are deleted, renamed or taken away in the middle: nothing runs on unwatched, nobody waits in vain."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.cli.main import main
from remediator.ledger import Conclusion, Incident, Ledger, Stage
from remediator.ledger.sqlite import SqliteStore
from tests.stories.conftest import POLICIES
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs
from twin import faults
from twin.clock import rfc3339
from twin.kinds import KINDS
from twin.physics import Needs, Section

HOPELESS = Needs(sections=(Section("align", cpu_seconds=900_000, parallel=0.999),))
BEHIND = pytest.mark.parametrize("cloud", [20], indirect=True, ids=["the-twin-is-20-hours-behind"])
CREATE = "JobService.CreateCustomJob"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """The story's ledger, as the product sees it."""
    return Ledger(SqliteStore(tmp_path / "ledger.sqlite3"))


def incident_of(ledger: Ledger, job: dict[str, Any]) -> Incident:
    found = ledger.incident("/".join(job["name"].split("/")[3:]))
    assert found is not None
    return found


def delete(cloud: Any, job: dict[str, Any]) -> None:
    cloud.jobs.delete(KINDS[job["name"].split("/")[4]], job["name"])


def titles(cloud: Any) -> list[str]:
    return [message.text.splitlines()[0].partition(":")[0] for message in cloud.slack.messages]


def outcomes(cloud: Any) -> list[Any]:
    return [e["jsonPayload"] for e in cloud.logs.find('logName:"vertex-remediator-outcomes"')]


def unanswered(house: Any, cloud: Any, fault: Any, needs: Needs = HEAVY) -> dict[str, Any]:
    """A failure whose resubmission was asked for, and no answer came; the list does not show it."""
    job = cloud.past_job("customJobs", custom_job(), needs, route=False)
    cloud.jobs.list_lag = 3600
    cloud.fail(CREATE, fault)
    assert house.hear(failure_line(cloud, job)) == 503
    cloud.jobs.list_lag = 0
    return dict(job)


@BEHIND
def test_a_job_of_ours_is_watched_though_the_failed_one_was_deleted_before_it_was_listed(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_house(REMEDIATOR_LOOKBACK="48h")
    job = unanswered(house, cloud, faults.lost_answer(), HOPELESS)
    (made,) = made_jobs(cloud, job)
    delete(cloud, job)
    later(minutes=3)
    house.reconcile()
    assert titles(cloud) == ["Resubmitted"]

    cloud.clock.advance(3 * 3600)
    assert house.hear(failure_line(cloud, made)) == 200
    assert titles(cloud) == ["Resubmitted", "Attempt 2 started"]


@pytest.mark.parametrize("listed", [True, False], ids=["made", "never-made"])
@pytest.mark.parametrize("what", ["deleted", "switched-off"])
def test_a_claim_is_resolved_whatever_became_of_its_failure(
    open_house: Callable[..., Any], cloud: Any, later: Any, ledger: Ledger, what: str, listed: bool
) -> None:
    house = open_house()
    fault = faults.lost_answer() if listed else faults.status("UNAVAILABLE")
    job = unanswered(house, cloud, fault)
    if what == "deleted":
        delete(cloud, job)
    else:
        cloud.jobs.change(job["name"], labels={"remediator": "off"})
    later(minutes=3)
    house.reconcile()
    house.reconcile()
    (chain,) = ledger.chains()
    assert chain.claim is None
    assert len(chain.attempts) == listed
    assert incident_of(ledger, job).stage is Stage.DONE
    assert len(made_jobs(cloud, job)) == listed
    assert titles(cloud) == ["Resubmitted"] * listed


@BEHIND
def test_a_job_under_a_claim_that_nobody_looks_at_any_more_is_recorded_when_it_is_met(
    open_house: Callable[..., Any], cloud: Any, ledger: Ledger
) -> None:
    """As earlier versions left it when the failed job was deleted."""
    house = open_house(REMEDIATOR_LOOKBACK="48h")
    job = unanswered(house, cloud, faults.lost_answer(), HOPELESS)
    (made,) = made_jobs(cloud, job)
    left = replace(
        incident_of(ledger, job),
        stage=Stage.DONE,
        conclusion=Conclusion.IGNORED,
        reason="the job was deleted",
    )
    assert ledger.move(left)
    cloud.clock.advance(3 * 3600)
    assert house.hear(failure_line(cloud, made)) == 200
    assert len(made_jobs(cloud, job)) == 2
    assert titles(cloud) == ["Resubmitted", "Attempt 2 started"]


@BEHIND
def test_an_attempt_that_somebody_deletes_ends_its_chain_and_is_told(
    open_house: Callable[..., Any], cloud: Any, later: Any, ledger: Ledger
) -> None:
    house = open_house(REMEDIATOR_LOOKBACK="48h")
    job = cloud.past_job("customJobs", custom_job(), HOPELESS, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    cloud.clock.advance(3 * 3600)
    (made,) = made_jobs(cloud, job)
    delete(cloud, made)
    later(minutes=6)
    house.reconcile()
    house.reconcile()
    assert cloud.slack.messages[-1].text.startswith(
        "Given up: attempt 1 of align-reads was deleted"
    )
    assert len(titles(cloud)) == 2
    assert [one["final"] for one in outcomes(cloud)] == [False, True]
    (chain,) = ledger.chains()
    assert (chain.final, chain.reserved_usd) == (True, 0.0)


def test_who_was_promised_a_resubmission_hears_that_the_job_is_gone(
    open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    waits = POLICIES.replace("{machine_type: bigger}", "{machine_type: bigger, wait: 10m}")
    house = open_house(waits)
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    delete(cloud, dict(job))
    later(minutes=11)
    house.reconcile()
    assert [one.partition(" until")[0] for one in titles(cloud)] == ["Waiting", "Given up"]
    assert "align-reads was deleted" in cloud.slack.messages[-1].text


# --- a name that comes back -------------------------------------------------------------------------


def run_of(cloud: Any, minutes_ago: float) -> dict[str, Any]:
    """A pipeline run that failed so long ago, under the id that its author gave it."""
    ended = cloud.clock.now() - timedelta(minutes=minutes_ago)
    began = ended - timedelta(minutes=5)
    return dict(
        cloud.add_job(
            {
                "name": cloud.name("pipelineJobs", "nightly"),
                "displayName": "nightly",
                "state": "PIPELINE_STATE_FAILED",
                "createTime": rfc3339(began),
                "startTime": rfc3339(began),
                "endTime": rfc3339(ended),
                "error": {"code": 9, "message": "The DAG failed because some tasks failed."},
                "pipelineSpec": {"pipelineInfo": {"name": "nightly"}},
            }
        )
    )


def announced(cloud: Any, job: dict[str, Any]) -> dict[str, Any]:
    payload = {"state": "PIPELINE_STATE_FAILED", "pipelineName": job["name"]}
    return {
        "logName": f"projects/{cloud.project}/logs/aiplatform.googleapis.com%2Fpipeline_job_events",
        "timestamp": job["endTime"],
        "insertId": f"run-{job['endTime']}",
        "jsonPayload": payload,
    }


def test_a_run_whose_id_was_used_before_is_a_failure_of_its_own(
    house: Any, cloud: Any, ledger: Ledger
) -> None:
    first = run_of(cloud, 60)
    assert [house.hear(announced(cloud, first)) for _ in range(2)] == [200, 200]
    assert len(cloud.slack.messages) == 1
    delete(cloud, first)
    second = run_of(cloud, 20)
    assert [house.hear(announced(cloud, second)) for _ in range(2)] == [200, 200]
    assert len(cloud.slack.messages) == 2
    assert house.reconcile()["announced"] == 0
    delete(cloud, second)
    run_of(cloud, 10)
    assert house.reconcile()["announced"] == 1
    assert house.reconcile()["announced"] == 0
    keys = sorted(one.key for one in ledger.incidents())
    assert [key.partition("@")[0] for key in keys] == ["us-central1/pipelineJobs/nightly"] * 3
    assert len(set(keys)) == 3


def test_a_run_that_an_earlier_version_handled_stays_handled(
    house: Any, cloud: Any, ledger: Ledger
) -> None:
    """Its record does not say when the run was created, but when it had ended."""
    first = run_of(cloud, 60)
    assert house.hear(announced(cloud, first)) == 200
    assert ledger.move(replace(incident_of(ledger, first), created=None))
    assert house.hear(announced(cloud, first)) == 200
    assert len(cloud.slack.messages) == 1
    delete(cloud, first)
    assert house.hear(announced(cloud, run_of(cloud, 20))) == 200
    assert len(cloud.slack.messages) == 2


def test_what_waits_for_a_run_that_was_deleted_is_not_taken_for_the_next_of_its_name(
    house: Any, cloud: Any, ledger: Ledger
) -> None:
    first = run_of(cloud, 60)
    assert house.hear(announced(cloud, first)) == 200
    due = replace(
        incident_of(ledger, first),
        stage=Stage.UNSETTLED,
        conclusion=Conclusion.NONE,
        due=incident_of(ledger, first).first_known,
    )
    assert ledger.move(due)
    delete(cloud, first)
    second = run_of(cloud, 20)
    house.reconcile()
    assert incident_of(ledger, first).reason == "the job was deleted"
    assert house.hear(announced(cloud, second)) == 200
    assert len(cloud.slack.messages) == 2


def test_follow_tells_nothing_of_an_earlier_run_of_that_id(
    house: Any, cloud: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run_of(cloud, 60)
    assert house.hear(announced(cloud, first)) == 200
    capsys.readouterr()
    assert main(["follow", first["name"], "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["final"] is True
    delete(cloud, first)
    run_of(cloud, -10)  # after what was told of the first
    assert main(["follow", first["name"], "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["final"] is None
