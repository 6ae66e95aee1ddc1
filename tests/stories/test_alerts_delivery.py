"""What a channel that fails does not do: lose an alert, send it twice, spin, or hold up another."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.cli.main import main
from remediator.ledger import Ledger
from remediator.ledger.sqlite import SqliteStore
from tests.stories.conftest import POLICIES
from tests.stories.test_loop import HEAVY, custom_job, failure_line
from twin import faults
from twin.clock import rfc3339

FOREVER = float("inf")
NEVER = datetime(2100, 1, 1, tzinfo=UTC)


def odd_failure(cloud: Any, number: int, **labels: str) -> dict[str, Any]:
    """A failure that nothing explains: it is alerted, at once, and never resubmitted."""
    ended = cloud.clock.now() - timedelta(hours=1)
    job: dict[str, Any] = cloud.add_job(
        {
            **custom_job(f"odd-{number}"),
            "labels": labels,
            "name": cloud.name("customJobs", str(5000 + number)),
            "state": "JOB_STATE_FAILED",
            "createTime": rfc3339(ended - timedelta(hours=1)),
            "startTime": rfc3339(ended - timedelta(hours=1)),
            "endTime": rfc3339(ended),
            "error": {"code": 13, "message": "Something happened."},
        }
    )
    return failure_line(cloud, job)


def texts(cloud: Any) -> list[str]:
    return [message.body["text"] for message in cloud.slack.messages]


def tries(cloud: Any, method: str = "slack.webhook") -> int:
    return len(cloud.calls(method))


def test_an_alert_is_not_lost_when_slack_fails_after_the_mail_went_out(
    house: Any, cloud: Any, later: Any
) -> None:
    cloud.fail("slack.webhook", faults.status("500"), times=3)
    assert house.hear(odd_failure(cloud, 1)) == 200
    assert (len(cloud.mail.messages), texts(cloud)) == (1, [])
    for _ in range(4):
        later(minutes=10)
        house.reconcile()
    assert len(texts(cloud)) == 1


@pytest.mark.parametrize(
    ("channel", "fault"),
    [
        ("slack.webhook", faults.status("500")),
        ("slack.webhook", faults.Fault(drop=True)),
        ("smtp", faults.status("421")),
    ],
    ids=["slack-500", "slack-dropped", "mail-421"],
)
def test_what_is_owed_is_tried_in_each_round(
    house: Any, cloud: Any, channel: str, fault: faults.Fault
) -> None:
    cloud.fail(channel, fault, times=3)
    assert house.hear(odd_failure(cloud, 1)) == 200
    rounds = [house.reconcile() for _ in range(3)]
    assert [done["still_owed"] for done in rounds] == [1, 1, 0]
    assert tries(cloud, channel) == 4
    assert len(texts(cloud)) == len(cloud.mail.messages) == 1


def test_a_mail_is_not_sent_twice_when_slack_is_tried_again(
    house: Any, cloud: Any, later: Any
) -> None:
    cloud.fail("slack.webhook", faults.status("503"), times=4)
    entry = odd_failure(cloud, 1)
    assert [house.hear(entry), house.hear(entry)] == [200, 200]
    for _ in range(5):
        later(minutes=30)
        house.reconcile()
        assert house.hear(entry) == 200
    assert len(cloud.mail.messages) == 1
    assert len(texts(cloud)) == 1


def _damage(tmp_path: Path, about: str = "") -> int:
    """Spoil every alert that is still undelivered to Slack, or those about one job; how many."""
    database = sqlite3.connect(tmp_path / "ledger.sqlite3")
    with database:
        rows = database.execute(
            "SELECT key, body FROM documents WHERE collection = 'debts'"
        ).fetchall()
        spoilt = 0
        for key, text in rows:
            body = json.loads(text)
            owed = body["channel"] == "oncall" and body["delivered"] is None
            if owed and about in body["body"]["title"]:
                body["body"] = {"kind": "nonsense"}
                database.execute(
                    "UPDATE documents SET body = ? WHERE collection = 'debts' AND key = ?",
                    (json.dumps(body), key),
                )
                spoilt += 1
    database.close()
    return spoilt


def test_a_poison_alert_neither_spins_nor_stops_the_others(
    house: Any, cloud: Any, later: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cloud.fail("slack.webhook", faults.status("500"))
    assert house.hear(odd_failure(cloud, 1)) == 200
    assert _damage(tmp_path) == 1
    later(minutes=2)
    capfd.readouterr()
    for _ in range(5):
        house.reconcile()  # at once, again and again: it is looked at the first time only
    assert capfd.readouterr().err.count("a stored alert cannot be read") == 1
    assert house.hear(odd_failure(cloud, 2)) == 200
    assert len(texts(cloud)) == 1
    for _ in range(80):
        later(hours=1)
        house.reconcile()
    said = capfd.readouterr().err
    assert said.count("an alert is given up") == 1
    assert 40 < said.count("a stored alert cannot be read") <= 80
    house.reconcile()
    assert "a stored alert" not in capfd.readouterr().err


def test_a_poison_alert_keeps_none_of_a_group_from_being_told(
    house: Any, cloud: Any, later: Any, tmp_path: Path
) -> None:
    for number in range(23):
        assert house.hear(odd_failure(cloud, number)) == 200
    assert _damage(tmp_path, "odd-21 ") == 1
    later(seconds=70)
    house.reconcile()
    assert texts(cloud)[-1].startswith("3 alerts grouped into one: 3 need a person\n")
    told = "\n".join(message.text for message in cloud.slack.messages)
    assert [n for n in range(23) if f"odd-{n} failed" not in told] == [21]
    assert house.reconcile()["still_owed"] == 0  # it waits by itself


def test_an_alert_whose_channel_was_taken_out_of_the_file_does_not_spin(
    open_house: Callable[..., Any], cloud: Any, later: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    cloud.fail("slack.webhook", faults.status("500"))
    assert open_house().hear(odd_failure(cloud, 1)) == 200
    house = open_house(POLICIES.replace("oncall", "night-watch"))
    later(minutes=2)
    capfd.readouterr()
    for _ in range(3):
        house.reconcile()
    assert capfd.readouterr().err.count("no longer has the channel oncall") == 1


def test_slacks_wish_to_wait_is_honoured(house: Any, cloud: Any, later: Any) -> None:
    cloud.fail("slack.webhook", faults.status("429", retry_after=300))
    assert house.hear(odd_failure(cloud, 1)) == 200
    assert house.hear(odd_failure(cloud, 2)) == 200
    assert tries(cloud) == 1  # the wish holds for the channel, not for one alert
    later(minutes=4)
    house.reconcile()
    assert tries(cloud) == 1
    assert len(cloud.mail.messages) == 2
    later(minutes=2)
    house.reconcile()
    assert tries(cloud) == 3
    assert len(texts(cloud)) == 2


def test_a_long_pause_of_one_channel_does_not_keep_from_another_what_it_is_owed(
    house: Any, cloud: Any, later: Any, tmp_path: Path
) -> None:
    """More is enqueued for the pausing channel than a round looks at."""
    cloud.fail("slack.webhook", faults.status("429", retry_after=7200))
    cloud.fail("smtp", faults.status("421"))
    assert house.hear(odd_failure(cloud, 1)) == 200
    ledger = Ledger(SqliteStore(tmp_path / "ledger.sqlite3"))
    (slack,) = (one for one in ledger.messages_due(NEVER, 9) if one.channel == "oncall")
    since = slack.created - timedelta(hours=1)
    for number in range(600):
        ledger.enqueue((replace(slack, id=f"old-{number}", tries=0, created=since, due=since),))
    ledger.close()
    later(minutes=5)
    for _ in range(2):
        house.reconcile()
    assert len(cloud.mail.messages) == 1
    assert tries(cloud) == 1


def test_a_channel_that_hangs_does_not_hold_up_another(house: Any, cloud: Any) -> None:
    cloud.fail("slack.webhook", faults.delay(2))
    assert house.hear(odd_failure(cloud, 1)) == 200
    (mail,) = cloud.calls("smtp")
    (slack,) = cloud.calls("slack.webhook")
    assert mail.at < slack.at + 1.5
    assert len(texts(cloud)) == len(cloud.mail.messages) == 1


def test_a_storm_sends_ten_a_minute_and_groups_the_rest(house: Any, cloud: Any, later: Any) -> None:
    for number in range(25):
        assert house.hear(odd_failure(cloud, number)) == 200
    assert len(texts(cloud)) == len(cloud.mail.messages) == 10
    later(seconds=70)
    house.reconcile()
    house.reconcile()
    assert len(texts(cloud)) == len(cloud.mail.messages) <= 20
    grouped = [text for text in texts(cloud) if "grouped into one" in text]
    assert [text.splitlines()[0] for text in grouped] == [
        "6 alerts grouped into one: 6 need a person"
    ]
    told = "\n".join(message.text for message in cloud.slack.messages)
    assert all(f"odd-{number} failed" in told for number in range(25))
    later(minutes=5)
    assert house.reconcile()["still_owed"] == 0
    assert len(texts(cloud)) == 20


OWNED = """\
version: 1
mode: enforce
channels:
  oncall: {slack: {webhook: "env:SLACK_WEBHOOK_URL"}}
  post: {email: {smtp: "env:SMTP_URL", from: "vertex@example.com", to: ["ml@example.com"]}}
owners:
  domains: [example.com]
  email: post
  rules:
    - {labels: {team: genomics}, to: genomics@example.com}
    - {service_account: "pipeline@*", to: pipelines@example.com}
policies:
  - name: everything
    when: {}
    do: []
    alert: [owner, oncall]
"""


@pytest.mark.parametrize(
    ("labels", "to"),
    [
        pytest.param({"team": "genomics"}, "genomics@example.com", id="by-label"),
        pytest.param({"team": "other"}, "pipelines@example.com", id="by-service-account"),
    ],
)
def test_the_owner_of_the_job_gets_the_mail(
    open_house: Callable[..., Any], cloud: Any, labels: dict[str, str], to: str
) -> None:
    house = open_house(OWNED)
    assert house.hear(odd_failure(cloud, 1, **labels)) == 200
    (mail,) = cloud.mail.messages
    assert (mail["To"], mail["From"]) == (to, "vertex@example.com")
    assert len(texts(cloud)) == 1


def test_a_recovery_is_quiet_and_told_once(house: Any, cloud: Any) -> None:
    job = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(hours=4)
    )
    assert house.hear(failure_line(cloud, job)) == 200
    cloud.clock.advance(3 * 3600)
    for _ in range(3):
        house.reconcile()
    recovered = [mail for mail in cloud.mail.messages if "recovered" in str(mail["Subject"])]
    assert [str(mail["Importance"]) for mail in recovered] == ["None"]


def test_a_preview_that_is_sent_says_so_and_takes_no_place_in_a_chains_thread(
    house: Any, cloud: Any, tmp_path: Path
) -> None:
    entry = odd_failure(cloud, 1)
    case = tmp_path / "case.json"
    case.write_text(json.dumps({"job": cloud.jobs.all("customJobs")[0]}))
    for channel in ("owners", "oncall"):
        command = ["alert", "preview", str(case), "--channel", channel, "--send"]
        assert main([*command, "--policies", str(tmp_path / "policies.yaml")]) == 0
    assert house.hear(entry) == 200
    preview, alert = cloud.mail.messages
    assert str(preview["Subject"]).startswith("Preview: Not resubmitted: odd-1 failed")
    assert alert["Subject"] == "[vertex] odd-1 failed (5001)"
    assert preview["Message-ID"] != alert["Message-ID"]
    assert [text.startswith("Preview: ") for text in texts(cloud)] == [True, False]


PING = "<!channel> <@U1> <https://evil.example|click> \u202e\x1b[31m\x00 password=hunter2hunter2"


def test_nothing_from_outside_pings_links_or_leaks_on_any_channel(house: Any, cloud: Any) -> None:
    entry = odd_failure(cloud, 1)
    job = cloud.jobs.all("customJobs")[0]
    job["displayName"] = PING + "x" * 3000
    job["error"] = {"code": 13, "message": PING + "y" * 2_000_000}
    cloud.add_job({**job, "name": cloud.name("customJobs", "6001")})
    entry = json.loads(json.dumps(entry).replace("5001", "6001"))
    assert house.hear(entry) == 200
    (message,) = cloud.slack.messages
    (mail,) = cloud.mail.messages
    plain, page = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))
    for text in (message.text, plain, page, str(mail["Subject"])):
        assert "hunter2" not in text
        assert not {"\u202e", "\x1b", "\x00"} & set(text)
        assert len(text) < 20_000
    parsed = [
        node["text"]
        for block in message.body["blocks"]
        for node in [block.get("text"), *block.get("elements", ())]
        if node and node.get("type") == "mrkdwn"
    ]
    assert parsed
    assert all("<!" not in text and "<@" not in text and "evil" not in text for text in parsed)
    assert "<!channel>" not in message.body["text"]
    assert "&lt;!channel&gt;" in message.body["text"]
    assert "<!channel>" not in page
