"""The sweep: pages through thousands, at its own rate, and goes on where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from remediator.app import App
from remediator.cli.input_output import HERE
from remediator.workflow import reconcile, sweep
from tests.stories.test_loop import (
    HEAVY,
    TOO_MUCH,
    batch_job,
    custom_job,
    failure_line,
    made_jobs,
)
from twin import faults
from twin.clock import rfc3339

ANNOUNCED = 'logName:"vertex-remediator-job-failures"'
LISTED = "JobService.ListBatchPredictionJobs"


def failed_batches(cloud: Any, count: int, *, hours_ago: float) -> None:
    """Batch predictions that failed, which no log tells, each a second after the one before."""
    body = batch_job(cloud)
    ended = cloud.clock.now() - timedelta(hours=hours_ago)
    for number in range(count):
        moment = ended + timedelta(seconds=number)
        cloud.add_job(
            {
                **body,
                "name": cloud.name("batchPredictionJobs", str(1_000_000 + number)),
                "state": "JOB_STATE_FAILED",
                "createTime": rfc3339(moment - timedelta(hours=1)),
                "endTime": rfc3339(moment),
                "error": {"code": 13, "message": "INTERNAL"},
            }
        )


def pages_behind(cloud: Any) -> int:
    """How many pages other than a list's first were asked for."""
    return sum(bool(call.request.get("pageToken")) for call in cloud.calls(LISTED))


def announced(cloud: Any) -> list[str]:
    return [one["jsonPayload"]["job"] for one in cloud.logs.find(ANNOUNCED)]


def one_round(seconds: float) -> reconcile.Round:
    """A round of the deployment with this much time."""
    app = App.from_environment(os.environ, here=HERE)
    done = reconcile.run(app.services, app.write_log, budget_seconds=seconds)
    app.ledger.close()
    return done


def test_thousands_of_silent_failures_are_announced_once_each_at_the_sweeps_own_rate(
    house: Any, cloud: Any
) -> None:
    failed_batches(cloud, 1100, hours_ago=1)
    rounds = [house.reconcile()["announced"] for _ in range(3)]
    assert rounds == [500, 500, 100]
    assert pages_behind(cloud) == 10  # each once: no round began at the beginning again
    assert house.reconcile()["announced"] == 0
    told = announced(cloud)
    assert len(told) == len(set(told)) == 1100
    assert cloud.creates() == []


@pytest.mark.parametrize("hours_ago", [1, 30], ids=["fresh", "older-than-the-look-back"])
def test_a_sweep_without_time_gets_a_page_further_each_round(
    hours_ago: float, house: Any, cloud: Any
) -> None:
    del house
    failed_batches(cloud, 450, hours_ago=hours_ago)
    rounds = [one_round(0.0) for _ in range(5)]
    assert [one.announced + one.recorded_old for one in rounds] == [200, 100, 100, 50, 0]
    told = announced(cloud)
    assert len(told) == len(set(told)) == (450 if hours_ago < 6 else 0)


def test_a_round_that_finds_nothing_new_looks_at_some_pages_and_the_next_goes_on(
    house: Any, cloud: Any
) -> None:
    """What began long ago and fails now stands far behind: it is found some rounds later."""
    failed_batches(cloud, 850, hours_ago=2)
    while house.reconcile()["announced"]:
        pass
    assert len(announced(cloud)) == 850
    late = cloud.add_job(
        {
            **batch_job(cloud),
            "name": cloud.name("batchPredictionJobs", "77"),
            "state": "JOB_STATE_FAILED",
            "createTime": rfc3339(cloud.clock.now() - timedelta(days=9)),
            "endTime": rfc3339(cloud.clock.now() - timedelta(minutes=1)),
            "error": {"code": 13, "message": "INTERNAL"},
        }
    )
    listed = []
    for _ in range(2):
        before = pages_behind(cloud)
        house.reconcile()
        listed.append(pages_behind(cloud) - before)
    assert late["name"] in announced(cloud)
    assert max(listed) <= sweep._QUIET_PAGES - 5  # one page of each state is looked at first


def test_what_fails_now_is_found_though_thousands_of_older_ones_are_still_gone_through(
    house: Any, cloud: Any
) -> None:
    del house
    failed_batches(cloud, 450, hours_ago=3)
    one_round(0.0)
    fresh = cloud.add_job(
        {
            **batch_job(cloud),
            "name": cloud.name("batchPredictionJobs", "77"),
            "state": "JOB_STATE_FAILED",
            "createTime": rfc3339(cloud.clock.now() - timedelta(minutes=30)),
            "endTime": rfc3339(cloud.clock.now() - timedelta(minutes=1)),
            "error": {"code": 13, "message": "INTERNAL"},
        }
    )
    one_round(0.0)
    assert fresh["name"] in announced(cloud)


@pytest.mark.parametrize(
    ("fault", "times"),
    [
        pytest.param(
            faults.status("INVALID_ARGUMENT", "The page token is invalid."), 1, id="token-too-old"
        ),
        pytest.param(faults.status("UNAVAILABLE"), float("inf"), id="unavailable"),
    ],
)
def test_a_page_that_cannot_be_had_ends_the_round_of_its_kind_and_no_other(
    fault: faults.Fault, times: float, house: Any, cloud: Any
) -> None:
    del house
    failed_batches(cloud, 450, hours_ago=1)
    one_round(0.0)
    first_pages = [faults.Fault()] * 5  # one of each state, which are answered
    cloud.fail(LISTED, *first_pages, times=1)
    cloud.fail(LISTED, fault, times=times)
    stopped = one_round(60.0)
    assert len(stopped.faults) == 1
    assert len(cloud.calls("PipelineService.ListPipelineJobs")) == 4  # two states, two rounds
    cloud.desk.faults.clear()
    for _ in range(3):
        one_round(5.0)
    told = announced(cloud)
    assert len(told) == len(set(told)) == 450


def test_a_crash_between_writing_and_remembering_repeats_the_same_entry(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    """Cloud Logging keeps one of two entries that bear one insertId and one timestamp."""
    open_house()
    failed_batches(cloud, 3, hours_ago=1)
    app = App.from_environment(os.environ, here=HERE)

    def write_and_die(log_id: str, entries: list[Any]) -> None:
        app.write_log(log_id, entries)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        reconcile.run(app.services, write_and_die, budget_seconds=5.0)
    assert one_round(5.0).announced == 3
    told = announced(cloud)
    assert len(told) == len(set(told)) == 3


WRITTEN = "LoggingServiceV2.WriteLogEntries"


@pytest.mark.parametrize(
    ("status", "words", "told"),
    [
        pytest.param(
            "PERMISSION_DENIED",
            "Permission 'logging.logEntries.create' denied on resource 'x'.",
            "logging.logEntries.create",
            id="forbidden",
        ),
        pytest.param("UNIMPLEMENTED", "Method not found.", "", id="no-such-call"),
    ],
)
def test_a_failure_that_may_not_be_announced_is_handled_from_the_ledger(
    house: Any, cloud: Any, status: str, words: str, told: str
) -> None:
    cloud.fail(WRITTEN, faults.status(status, words), times=float("inf"))
    job = cloud.past_job("batchPredictionJobs", batch_job(cloud), TOO_MUCH)
    (fault,) = house.reconcile()["faults"]
    assert words in fault
    assert house.reconcile()["faults"] == []
    assert len(made_jobs(cloud, job)) == 1
    texts = [message.text for message in cloud.slack.messages]
    assert any("Resubmitted" in text for text in texts)
    assert not any("did not come back" in text for text in texts)  # nothing was sent
    assert told in "\n".join(texts)


def test_an_announcement_that_is_not_taken_just_now_holds_up_nothing_else(
    house: Any, cloud: Any, later: Callable[..., None]
) -> None:
    cloud.fail("slack.webhook", faults.status("503"))
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    assert cloud.slack.messages == []
    later(minutes=5)
    cloud.fail(WRITTEN, faults.status("RESOURCE_EXHAUSTED", retry_after=3600))
    cloud.past_job("batchPredictionJobs", batch_job(cloud), TOO_MUCH)
    done = house.reconcile()
    assert (done["announced"], len(done["faults"])) == (0, 1)
    assert len(cloud.slack.messages) == 1
    assert house.reconcile()["announced"] == 1
    assert len(announced(cloud)) == 1


def test_a_job_that_its_own_time_out_ended_without_a_word_is_found_by_the_sweep(
    house: Any, cloud: Any
) -> None:
    """CANCELLED after exactly the two hours that it gave itself; a person's cancellation is not."""
    ended = cloud.clock.now() - timedelta(hours=1)
    for number, ran in ((1, timedelta(hours=2)), (2, timedelta(hours=1))):
        cloud.add_job(
            {
                **custom_job(f"train-{number}"),
                "name": cloud.name("customJobs", str(number)),
                "state": "JOB_STATE_CANCELLED",
                "createTime": rfc3339(ended - ran),
                "startTime": rfc3339(ended - ran),
                "endTime": rfc3339(ended),
            }
        )
    assert house.reconcile()["announced"] == 1
    (entry,) = cloud.logs.find('logName:"vertex-remediator-job-failures"')
    assert entry["jsonPayload"]["job"].endswith("/1")
