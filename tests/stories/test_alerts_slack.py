"""A chain as people see it in Slack: one message kept current, replies for each step, no flood.

The bot speaks to Slack's own address, through a proxy that ends at the twin's workspace: there is no
setting that would send it elsewhere.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.stories.test_alerts_delivery import odd_failure
from tests.stories.test_loop import HEAVY, batch_job, custom_job, failure_line, made_jobs
from twin import faults
from twin.clock import rfc3339
from twin.physics import Needs, Section

BOT = """\
version: 1
mode: MODE
rerun_safe: [batch_prediction, custom]
limits: {attempts: 2, retries: 5, usd_per_job: 1000, usd_per_day: 10000}
channels:
  oncall: {slack: {token: "env:SLACK_TOKEN", channel: "C0ONCALL"}}
  owners: {email: {smtp: "env:SMTP_URL", from: "vertex@example.com", to: ["ml@example.com"]}}
policies:
  - name: starved-of-cpu
    when: {cause: [cpu_saturation]}
    do: [{resubmit: {machine_type: bigger}, times: 2}]
    alert: [oncall, owners]
  - name: everything-else
    when: {}
    do: []
    alert: [oncall, owners]
"""
HOPELESS = Needs(sections=(Section("align", cpu_seconds=900_000, parallel=0.999),))


@pytest.fixture
def bot_house(
    open_house: Callable[..., Any], cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    monkeypatch.setenv("SLACK_TOKEN", "xoxb-twin")
    urllib.request.install_opener(None)  # the one that urllib keeps knows an earlier test's proxy
    through = cloud.proxied_env()
    proxy = {
        name: through[name]
        for name in ("https_proxy", "HTTPS_PROXY", "no_proxy", "NO_PROXY", "SSL_CERT_FILE")
    }

    def start(mode: str = "enforce", **settings: str) -> Any:
        settings = {"REMEDIATOR_LOOKBACK": "48h", **proxy, **settings}
        return open_house(BOT.replace("MODE", mode), **settings)

    return start


def titles(cloud: Any) -> list[str]:
    """Each message by its first words, replies marked."""
    return [
        ("> " if "thread_ts" in m.body else "") + m.body["text"].partition(":")[0]
        for m in cloud.slack.messages
    ]


def test_a_recovery_updates_the_first_message_and_is_told_in_its_thread(
    bot_house: Callable[..., Any], cloud: Any
) -> None:
    house = bot_house()
    job = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(hours=4)
    )
    assert house.hear(failure_line(cloud, job)) == 200
    cloud.clock.advance(3 * 3600)
    house.reconcile()

    first, reply = cloud.slack.messages
    assert [v["text"].partition(":")[0] for v in first.versions] == ["Resubmitted", "Recovered"]
    assert reply.body["thread_ts"] == first.ts
    assert reply.body["reply_broadcast"] is False
    assert first.channel == reply.channel == "C0ONCALL"
    assert first.body["blocks"] == reply.body["blocks"]


@pytest.mark.parametrize("cloud", [20], indirect=True, ids=["the-twin-is-20-hours-behind"])
def test_a_chain_that_gives_up_is_one_thread_with_every_step_and_a_loud_end(
    bot_house: Callable[..., Any], cloud: Any
) -> None:
    house = bot_house()
    job = cloud.past_job("customJobs", custom_job(), HOPELESS, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    for _ in range(3):
        cloud.clock.advance(3 * 3600)
        house.reconcile()

    first, second, last = cloud.slack.messages
    assert titles(cloud) == ["Given up", "> Attempt 2 started", "> Given up"]
    assert [v["text"].partition(":")[0] for v in first.versions] == [
        "Resubmitted",
        "Attempt 2 started",
        "Given up",
    ]
    assert {second.body["thread_ts"], last.body["thread_ts"]} == {first.ts}
    assert [second.body["reply_broadcast"], last.body["reply_broadcast"]] == [False, True]
    assert "1. on n1-standard-16: failed" in last.text
    assert "2. on n1-standard-32: failed" in last.text
    assert "Next step" in last.text

    mails = cloud.mail.messages
    assert len({str(mail["Subject"]) for mail in mails}) == 2  # it failed, and was given up
    assert len({str(mail["Thread-Topic"]) for mail in mails}) == 1
    assert {str(mail["In-Reply-To"]) for mail in mails[1:]} == {str(mails[0]["Message-ID"])}
    assert {str(mail["References"]) for mail in mails[1:]} == {str(mails[0]["Message-ID"])}
    assert len({str(mail["Message-ID"]) for mail in mails}) == 3
    assert [str(mail["Importance"]) for mail in mails] == ["None", "None", "high"]


@pytest.mark.parametrize("updates", [True, False], ids=["updated", "update-refused"])
@pytest.mark.parametrize("cloud", [20], indirect=True, ids=["the-twin-is-20-hours-behind"])
def test_a_step_told_in_a_group_is_shown_by_the_chains_first_message_too(
    bot_house: Callable[..., Any], cloud: Any, later: Any, updates: bool
) -> None:
    """Else a chain that was given up in a storm would stand there as resubmitted for ever."""
    if not updates:
        cloud.fail("slack.chat.update", faults.status("503"), times=9)
    house = bot_house()
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    later(minutes=2)
    for number in range(23):
        assert house.hear(odd_failure(cloud, number)) == 200
    cloud.clock.advance(3 * 3600)
    house.reconcile()
    later(minutes=2)
    house.reconcile()

    told = [m for m in cloud.slack.messages if m.body["text"].startswith("5 alerts grouped")]
    assert ["Recovered: align-reads" in m.text for m in told] == [True]
    first = cloud.slack.messages[0]
    shown = [v["text"].partition(":")[0] for v in first.versions]
    assert shown == (["Resubmitted", "Recovered"] if updates else ["Resubmitted"])
    assert not any("thread_ts" in m.body for m in cloud.slack.messages)
    later(hours=1)
    assert house.reconcile()["delivered"] == 0  # it was told, and is not told again


def test_an_abstention_says_that_it_does_not_know_and_what_would_settle_it(
    bot_house: Callable[..., Any], cloud: Any
) -> None:
    house = bot_house()
    ended = cloud.clock.now() - timedelta(hours=1)
    job = cloud.add_job(
        {
            **custom_job("odd"),
            "name": cloud.name("customJobs", "4711"),
            "state": "JOB_STATE_FAILED",
            "createTime": rfc3339(ended - timedelta(hours=1)),
            "startTime": rfc3339(ended - timedelta(hours=1)),
            "endTime": rfc3339(ended),
            "error": {"code": 13, "message": "Something happened."},
        }
    )
    assert house.hear(failure_line(cloud, job)) == 200
    (message,) = cloud.slack.messages
    assert message.body["text"].startswith("Not resubmitted: odd failed, cause unknown")
    assert "the evidence does not carry a verdict" in message.text.replace("\n", " ")
    assert made_jobs(cloud, job) == []


def test_a_partial_failure_is_told_as_one(bot_house: Callable[..., Any], cloud: Any) -> None:
    house = bot_house()
    ended = cloud.clock.now() - timedelta(hours=1)
    job = cloud.add_job(
        {
            **batch_job(cloud, "rows"),
            "name": cloud.name("batchPredictionJobs", "4712"),
            "state": "JOB_STATE_PARTIALLY_SUCCEEDED",
            "createTime": rfc3339(ended - timedelta(hours=1)),
            "startTime": rfc3339(ended - timedelta(hours=1)),
            "endTime": rfc3339(ended),
            "completionStats": {"successfulCount": "900", "failedCount": "100"},
            "error": {"code": 3, "message": "Some instances failed."},
        }
    )
    house.reconcile()
    for entry in cloud.logs.find('logName:"vertex-remediator-job-failures"'):
        assert house.hear(entry) == 200
    (message,) = cloud.slack.messages
    assert "rows succeeded only in part" in message.body["text"]
    assert job["name"].rpartition("/")[2] in message.text


def test_in_observe_mode_a_chain_is_alerted_once(bot_house: Callable[..., Any], cloud: Any) -> None:
    house = bot_house("observe")
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    entry = failure_line(cloud, job)
    assert [house.hear(entry), house.hear(entry)] == [200, 200]
    house.reconcile()
    assert titles(cloud) == ["Observed"]
    assert len(cloud.mail.messages) == 1
    assert cloud.creates() == []
    assert "would resubmit on n1-standard-16" in cloud.slack.messages[0].body["text"]
