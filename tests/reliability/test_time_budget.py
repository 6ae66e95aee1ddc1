"""One deadline for everything that is done for one event, whatever is slow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from remediator import policy, settings
from remediator.app import EVENT_SECONDS, App
from remediator.cloud.connection import answered
from remediator.deadline import deadline, remaining, with_current_deadline
from remediator.domain import TransientError
from remediator.handlers import Handlers
from tests.reliability.conftest import event
from tests.stories.conftest import POLICIES, ROOT
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs
from tests.waiting import HANG_SECONDS
from twin import faults


def test_the_budget_ends_before_the_platform_would_kill_the_function() -> None:
    text = (ROOT / "deploy/terraform/variables.tf").read_text()
    block = text.partition('variable "timeout_seconds"')[2]
    default = int(block.partition("default     = ")[2].partition("\n")[0])
    assert default - EVENT_SECONDS >= 20


def test_time_left_is_shared_by_nested_work_and_carried_into_threads() -> None:
    assert remaining(7.0) == pytest.approx(7.0)
    with deadline(1.0), deadline(50.0):
        assert remaining(30.0) <= 1.0
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(remaining, 30.0).result() == 30.0
            assert pool.submit(with_current_deadline(remaining), 30.0).result() <= 1.0
    assert remaining(7.0) == pytest.approx(7.0)


def test_without_time_nothing_is_asked_and_nothing_created() -> None:
    asked: list[float] = []
    with deadline(0.0), pytest.raises(TransientError, match="used up"):
        answered("reading", asked.append)
    with deadline(3.0), pytest.raises(TransientError, match="used up"):
        answered("creating", asked.append, timeout_seconds=20.0, creating=True)
    assert asked == []
    with deadline(3.0):
        answered("reading", asked.append)
    assert 0 < asked[0] <= 3.0


@pytest.mark.parametrize(
    "slow",
    [
        pytest.param(("JobService.GetCustomJob",), id="the-job"),
        pytest.param(("LoggingServiceV2.*", "MetricService.*"), id="evidence"),
        pytest.param(("JobService.ListCustomJobs",), id="looking-for-reruns"),
        pytest.param(("slack.webhook", "smtp"), id="channels"),
    ],
)
def test_an_event_is_answered_within_its_time_whatever_hangs(
    slow: tuple[str, ...],
    cloud: Any,
    open_house: Callable[..., Any],
    tmp_path: Path,
) -> None:
    open_house()
    for method in slow:
        cloud.fail(method, faults.hang(), times=float("inf"))
    environ = cloud.env(
        REMEDIATOR_POLICIES=str(tmp_path / "policies.yaml"),
        REMEDIATOR_LEDGER=f"sqlite:///{tmp_path}/ledger.sqlite3",
    )
    loaded = policy.load(POLICIES, "policies.yaml")
    app = App(
        settings.read(environ, here=ROOT),
        environ=environ,
        policies=loaded.policies,
        event_seconds=6.0,
    )
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    body, headers = event(cloud, failure_line(cloud, job))
    attributes = {name.removeprefix("ce-"): value for name, value in headers.items()}
    answer = Handlers(app).on_event(attributes, body)
    # No call that is waited for may take longer than the whole event.
    calls = cloud.calls("JobService.GetCustomJob") + cloud.calls("JobService.CreateCustomJob")
    assert [call for call in calls if (call.deadline or 0.0) > 6.0] == []
    assert answer.status in (200, 503)
    assert len(made_jobs(cloud, job)) <= 1
    cloud.desk.faults.clear()
    for thread in threading.enumerate():  # what went on alone ends soon after
        if thread.name.startswith("channel"):
            thread.join(HANG_SECONDS)


def test_what_is_owed_is_delivered_in_a_time_of_its_own_whatever_hangs(
    cloud: Any,
    open_house: Callable[..., Any],
    later: Callable[..., None],
    tmp_path: Path,
) -> None:
    """A job that runs is due to be looked at, Vertex hangs, and an alert is enqueued for a healthy Slack."""
    house = open_house()
    cloud.fail("slack.webhook", faults.status("500"))
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    assert cloud.slack.messages == []
    later(minutes=6)
    for service in ("JobService", "PipelineService"):
        cloud.fail(f"{service}.*", faults.hang(), times=float("inf"))
    environ = cloud.env(
        REMEDIATOR_POLICIES=str(tmp_path / "policies.yaml"),
        REMEDIATOR_LEDGER=f"sqlite:///{tmp_path}/ledger.sqlite3",
    )
    app = App(
        settings.read(environ, here=ROOT),
        environ=environ,
        policies=policy.load(POLICIES, "policies.yaml").policies,
        event_seconds=13.0,
    )
    answer = Handlers(app).on_schedule()
    cloud.desk.faults.clear()
    assert answer.status == 200
    assert [m.text.partition(":")[0] for m in cloud.slack.messages] == ["Resubmitted"]
