"""`backtest` over a project's own past failures, read through Google's real clients."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.cli.main import main
from tests.stories.conftest import POLICIES
from tests.stories.test_loop import HEAVY, TOO_MUCH, batch_job, custom_job, failure_line


def test_the_projects_past_failures_are_judged_and_nothing_is_changed(
    house: Any, cloud: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = custom_job("long-ago")
    cloud.past_job("customJobs", old, HEAVY, route=False, ended_ago=timedelta(days=40))
    starved = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(days=3)
    )
    large = cloud.past_job(
        "batchPredictionJobs", batch_job(cloud), TOO_MUCH, ended_ago=timedelta(days=2)
    )
    recent = cloud.past_job("customJobs", custom_job("again"), HEAVY, route=False)
    assert house.hear(failure_line(cloud, recent)) == 200
    created = len(cloud.creates())
    before = tmp_path / "before.yaml"
    before.write_text(POLICIES.replace("batch_size: halve", "machine_type: bigger"))
    file = tmp_path / "policies.yaml"

    code = main(
        ["backtest", "--days", "30", "--policies", str(file), "--against", str(before), "--json"]
    )
    told = json.loads(capsys.readouterr().out)

    assert code == 0
    assert told["source"] == "the last 30 days in genomics-lab"
    assert {one["job"] for one in told["failures"]} == {
        starved["name"],
        large["name"],
        recent["name"],
    }
    assert [one["verdict"] for one in told["failures"]] == [
        "cpu_saturation",
        "request_too_large",
        "cpu_saturation",
    ]
    assert told["policies"]["resubmit"] == 3
    (difference,) = told["differences"]
    assert difference["job"] == large["name"]
    assert len(cloud.creates()) == created
    assert len(cloud.slack.messages) == 1
