"""`backtest` of the entries of `watch` over a project's own jobs, read by Google's real clients."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tests.stories.conftest import POLICIES
from tests.stories.test_watch import A100, CANCEL, HOURS, WATCH, old, running_job


@old
def test_the_projects_jobs_are_looked_at_as_they_would_have_been(
    open_house: Any, cloud: Any, tmp_path: Any, run: Callable[..., tuple[int, str, str]]
) -> None:
    open_house(POLICIES + WATCH)
    hung = running_job(cloud, hangs_at=150)
    cloud.jobs.change(hung["name"], state="JOB_STATE_CANCELLED", endTime=cloud.now_text())
    other = tmp_path / "other.yaml"
    other.write_text(POLICIES + CANCEL)
    file = tmp_path / "policies.yaml"

    code, out, err = run("backtest", "--policies", str(file), "--against", str(other), "--json")

    assert (code, err) == (0, "")
    found = json.loads(out)["watch"]
    (spell,) = found["spells"]
    assert (spell["job"], spell["verdict"]) == (hung["name"], "spinning")
    assert (spell["action"], spell["policy"]) == ("cancel_resubmit", "hung-training")
    hours_left = HOURS - (150 + 45) / 60
    assert spell["saved_usd"] > spell["usd_per_hour"] * hours_left
    (difference,) = found["differences"]
    assert [one["action"] for one in difference["before"]] == ["cancel"]
    reads = cloud.calls("MetricService.ListTimeSeries")
    assert len(reads) == 5  # one for each type, of two files' replays
    assert (cloud.calls("*.Cancel*Job"), cloud.creates()) == ([], [])
    assert cloud.slack.messages == []


@old
def test_a_healthy_jobs_log_is_not_read_and_a_short_one_is_left_out(
    open_house: Any, cloud: Any, run: Callable[..., tuple[int, str, str]]
) -> None:
    open_house(POLICIES + WATCH)
    running_job(cloud, hangs_at=None)
    pool = {"machineSpec": A100, "replicaCount": "1", "containerSpec": {"imageUri": "lab/train"}}
    cloud.add_job(
        {
            "name": cloud.name("customJobs", "99"),
            "displayName": "short",
            "jobSpec": {"workerPoolSpecs": [pool]},
            "state": "JOB_STATE_SUCCEEDED",
            **dict.fromkeys(("createTime", "startTime", "endTime"), cloud.now_text()),
        }
    )
    code, out, err = run("backtest", "--days", "2")
    assert (code, err) == (0, "")
    assert "Left out: 1 (job too short to be watched)." in out
    assert "## 1 job watched, 5 hours in all" in out
    assert "policies.yaml: 0 alerts of running jobs" in out
    assert cloud.calls("LoggingServiceV2.ListLogEntries") == []
