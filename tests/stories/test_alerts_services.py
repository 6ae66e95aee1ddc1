"""Teams, PagerDuty, Google Chat and a webhook hear of failures by the same rules as Slack and mail."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.cli.main import main
from tests.stories.conftest import POLICIES
from tests.stories.test_alerts_delivery import odd_failure
from tests.stories.test_loop import HEAVY, custom_job, failure_line
from twin import faults
from twin.services import CHAT_BYTES, TEAMS_BYTES

CHANNELS = {
    "teams": '{teams: {webhook: "env:TEAMS_WEBHOOK_URL"}}',
    "pagerduty": '{pagerduty: {routing_key: "env:PAGERDUTY_ROUTING_KEY"}}',
    "google_chat": '{google_chat: {webhook: "env:GOOGLE_CHAT_WEBHOOK_URL"}}',
    "webhook": '{webhook: {url: "env:WEBHOOK_URL", secret: "env:WEBHOOK_SECRET"}}',
}
METHODS = {
    "teams": "teams.workflow",
    "pagerduty": "pagerduty.enqueue",
    "google_chat": "chat.messages",
    "webhook": "webhook",
}
SERVICES = sorted(CHANNELS)


def policies_for(service: str) -> str:
    """The stories' policies, the service in the place of Slack."""
    return POLICIES.replace('{slack: {webhook: "env:SLACK_WEBHOOK_URL"}}', CHANNELS[service])


def open_for(service: str, open_house: Callable[..., Any], **settings: str) -> Any:
    """PagerDuty's address is its own, so that it is reached through the twin's proxy."""
    return open_house(policies_for(service), web_proxied=service == "pagerduty", **settings)


def heard(cloud: Any, service: str) -> list[str]:
    """What was delivered, each as the text of its body."""
    services = cloud.services
    bodies: dict[str, list[Any]] = {
        "teams": services.teams.cards,
        "pagerduty": services.pagerduty.events,
        "google_chat": services.chat.messages,
        "webhook": [json.loads(raw) for _, raw in services.webhook.posts],
    }
    return [json.dumps(body) for body in bodies[service]]


@pytest.mark.parametrize("service", SERVICES)
def test_a_failure_is_told_once_however_often_it_is_delivered(
    service: str, open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_for(service, open_house)
    entry = odd_failure(cloud, 1)
    for _ in range(3):
        assert house.hear(entry) == 200
        later(minutes=5)
        house.reconcile()
    (told,) = heard(cloud, service)
    assert "odd-1 failed" in told
    assert len(cloud.mail.messages) == 1


@pytest.mark.parametrize("service", SERVICES)
def test_an_outage_of_an_hour_loses_nothing_and_doubles_nothing(
    service: str, open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_for(service, open_house)
    cloud.fail(METHODS[service], faults.status("503"), times=12)
    for number in range(2):
        assert house.hear(odd_failure(cloud, number)) == 200
    for _ in range(6):
        later(minutes=10)
        house.reconcile()
    told = heard(cloud, service)
    assert len(told) == 2
    assert [sum(f"odd-{n} failed" in one for one in told) for n in range(2)] == [1, 1]
    assert len(cloud.mail.messages) == 2  # the other channel heard at once
    assert house.reconcile()["still_owed"] == 0


@pytest.mark.parametrize("service", SERVICES)
def test_a_wish_to_wait_is_honoured_for_the_whole_channel(
    service: str, open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_for(service, open_house)
    cloud.fail(METHODS[service], faults.status("429", retry_after=300))
    for number in range(2):
        assert house.hear(odd_failure(cloud, number)) == 200
    later(minutes=4)
    house.reconcile()
    assert len(cloud.calls(METHODS[service])) == 1
    later(minutes=2)
    house.reconcile()
    assert len(heard(cloud, service)) == 2


@pytest.mark.parametrize("service", SERVICES)
def test_a_storm_is_grouped_and_nobody_is_left_out(
    service: str, open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_for(service, open_house)
    for number in range(25):
        assert house.hear(odd_failure(cloud, number)) == 200
    assert len(heard(cloud, service)) == 10
    for _ in range(3):
        later(seconds=70)
        house.reconcile()
    told = "\n".join(heard(cloud, service))
    assert [n for n in range(25) if f"odd-{n} failed" not in told] == []
    assert "grouped into one" in told
    assert len(heard(cloud, service)) <= 20
    assert house.reconcile()["still_owed"] == 0
    assert cloud.services.teams.failed_runs == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_message_of_megabytes_arrives_cut(
    service: str, open_house: Callable[..., Any], cloud: Any
) -> None:
    house = open_for(service, open_house)
    entry = odd_failure(cloud, 1)
    job = cloud.jobs.all("customJobs")[0]
    job["error"] = {"code": 13, "message": "\U0001f9ec<&\"'" * 400_000}
    cloud.add_job({**job, "name": cloud.name("customJobs", "6001")})
    assert house.hear(json.loads(json.dumps(entry).replace("5001", "6001"))) == 200
    (told,) = heard(cloud, service)
    assert len(told.encode()) < max(TEAMS_BYTES, CHAT_BYTES) * 2
    assert cloud.services.teams.failed_runs == []


@pytest.mark.parametrize("service", SERVICES)
def test_a_host_that_channels_may_not_speak_to_hears_nothing(
    service: str, open_house: Callable[..., Any], cloud: Any, later: Any
) -> None:
    house = open_for(
        service,
        open_house,
        REMEDIATOR_CHANNEL_HOSTS="hooks.slack.com,*.mail.example",
    )
    assert house.hear(odd_failure(cloud, 1)) == 200
    later(minutes=2)
    house.reconcile()
    assert heard(cloud, service) == []
    assert cloud.calls(METHODS[service]) == []


def test_pagerduty_hears_of_what_needs_a_person_and_of_the_recovery(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    asking = policies_for("pagerduty").replace("mode: enforce", "mode: approve")
    house = open_house(asking, web_proxied=True)
    job = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(hours=4)
    )
    assert house.hear(failure_line(cloud, job)) == 200
    duty = cloud.services.pagerduty
    assert [event["event_action"] for event in duty.events] == ["trigger"]
    assert list(duty.incidents.values()) == ["triggered"]
    assert main(["approve", "--like", question_of(cloud)]) == 0
    for _ in range(3):
        house.reconcile()
        cloud.clock.advance(3 * 3600)
    house.reconcile()
    assert [event["event_action"] for event in duty.events] == ["trigger", "resolve"]
    assert list(duty.incidents.values()) == ["resolved"]
    assert len(duty.pages) == 1


def question_of(cloud: Any) -> str:
    """The id in the command that the page shows."""
    commands = cloud.services.pagerduty.events[0]["payload"]["custom_details"]["Commands"]
    return str(commands.partition(" approve ")[2].split()[0])


def test_a_webhook_is_signed_and_brings_the_outcome_that_the_topic_has(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    house = open_house(policies_for("webhook"))
    job = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(hours=4)
    )
    assert house.hear(failure_line(cloud, job)) == 200
    cloud.clock.advance(3 * 3600)
    house.reconcile()
    posts = cloud.services.webhook.posts
    for headers, raw in posts:
        mac = hmac.new(b"twin-webhook-secret", raw, hashlib.sha256).hexdigest()
        assert headers["x-remediator-signature"] == f"sha256={mac}"
    acted, recovered = (json.loads(raw) for _, raw in posts)
    outcomes = [
        dict(entry["jsonPayload"])
        for entry in cloud.logs.find('logName:"vertex-remediator-outcomes"')
    ]
    for body, outcome in zip((acted, recovered), outcomes, strict=True):
        assert {key: body[key] for key in outcome} == outcome
    assert (acted["final"], recovered["final"]) == (False, True)
    assert acted["id"] != recovered["id"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_preview_prints_what_would_be_sent_and_sends_it(
    service: str,
    open_house: Callable[..., Any],
    cloud: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    open_for(service, open_house)
    odd_failure(cloud, 1)
    case = tmp_path / "case.json"
    case.write_text(json.dumps({"job": cloud.jobs.all("customJobs")[0]}))
    command = ["alert", "preview", str(case), "--policies", str(tmp_path / "policies.yaml")]
    assert main([*command, f"--{service.replace('_', '-')}"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert main([*command, "--channel", "oncall", "--send"]) == 0
    (sent,) = heard(cloud, service)
    assert "Preview: Not resubmitted: odd-1 failed" in sent
    assert "Not resubmitted: odd-1 failed" in json.dumps(printed)
    shown = printed["attachments"][0]["content"] if service == "teams" else printed
    assert shown.keys() >= json.loads(sent).keys() - {"thread"}
