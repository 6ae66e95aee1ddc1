"""Teams, PagerDuty, Google Chat and the signed webhook: what each gets, held to its service's own models."""

from __future__ import annotations

import hashlib
import hmac
import html
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import microsoft_teams.cards as teams_cards
import pytest
import yaml
from google.apps.chat_v1 import types as chat_types
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from msgspec.structs import replace
from pydantic import BaseModel

from remediator.alerts import AlertFacts, AlertKind, Message, compose, split
from remediator.alerts.google_chat import GoogleChatWebhook, render_google_chat
from remediator.alerts.http_post import encode_json
from remediator.alerts.message import Fact, Item, Link, Severity
from remediator.alerts.pagerduty import PagerDutyEvents, dedup_key, render_pagerduty
from remediator.alerts.teams import TeamsWorkflow, render_teams
from remediator.alerts.webhook import SignedWebhook, webhook_body
from remediator.domain import PermanentError, TransientError
from remediator.policy import load
from tests.alert_situations import FACTS, SITUATIONS
from twin import faults
from twin.cloud import Cloud
from twin.services import CHAT_BYTES, PAGERDUTY_BYTES, TEAMS_BYTES

DUE = datetime(2026, 11, 23, 20, 2, tzinfo=UTC)
KEY = "0123456789abcdef0123456789abcdef"
EVERY = sorted(SITUATIONS)
LOUD = replace(compose(SITUATIONS["given_up"]), outcomes=({"root": "r", "final": True},))
RECOVERED = compose(SITUATIONS["recovered"])
QUIET = compose(SITUATIONS["acted"])


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with Cloud(frozen=True) as started:
        yield started


# --- held to the services' own models ----------------------------------------------------------


def elements_of(node: Any) -> Iterator[dict[str, Any]]:
    """Every object that says what it is, a card's and its children's."""
    if isinstance(node, dict):
        if "type" in node:
            yield node
        for value in node.values():
            yield from elements_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from elements_of(value)


MODELS: dict[str, type[BaseModel]] = {
    one.model_fields["type"].default: one
    for one in vars(teams_cards).values()
    if isinstance(one, type) and issubclass(one, BaseModel) and "type" in one.model_fields
}


@pytest.mark.parametrize("name", EVERY)
def test_a_card_is_one_by_microsofts_own_models(name: str) -> None:
    body = render_teams(compose(SITUATIONS[name]))
    (attachment,) = body["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    known = list(elements_of(attachment["content"]))
    assert {one["type"] for one in known} >= {"AdaptiveCard", "RichTextBlock", "TextRun"}
    for one in known:
        read = MODELS[one["type"]].model_validate(one)
        assert not set(read.model_extra or ()) - {"$schema"}, (
            one
        )  # a key that Microsoft does not know
    assert attachment["content"]["version"] == "1.5"
    assert len(encode_json(body)) <= TEAMS_BYTES


@pytest.mark.parametrize("name", EVERY)
def test_a_chat_message_is_one_by_googles_own_definition(name: str) -> None:
    body = render_google_chat(compose(SITUATIONS[name]))
    parsed = chat_types.Message()
    json_format.ParseDict(body, parsed._pb)  # an unknown field, or a wrong type, raises
    (card,) = parsed.cards_v2
    assert card.card.header.title
    assert 1 <= len(card.card.sections) <= 100
    assert sum(len(section.widgets) for section in card.card.sections) <= 100
    assert len(encode_json(body)) <= CHAT_BYTES


EVENT = {
    "type": "object",
    "required": ["routing_key", "event_action", "dedup_key"],
    "additionalProperties": False,
    "properties": {
        "routing_key": {"type": "string", "minLength": 32, "maxLength": 32},
        "event_action": {"enum": ["trigger", "resolve"]},
        "dedup_key": {"type": "string", "minLength": 1, "maxLength": 255},
        "client": {"type": "string"},
        "links": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["href"],
                "additionalProperties": False,
                "properties": {"href": {"pattern": "^https://"}, "text": {"type": "string"}},
            },
        },
        "payload": {
            "type": "object",
            "required": ["summary", "source", "severity"],
            "additionalProperties": False,
            "properties": {
                "summary": {"type": "string", "minLength": 1, "maxLength": 1024},
                "source": {"type": "string", "minLength": 1},
                "severity": {"enum": ["critical", "error", "warning", "info"]},
                "timestamp": {"type": "string", "format": "date-time"},
                "component": {"type": "string"},
                "group": {"type": "string"},
                "class": {"type": "string"},
                "custom_details": {"type": "object"},
            },
        },
    },
    "if": {"properties": {"event_action": {"const": "trigger"}}},
    "then": {"required": ["payload"]},
}
"""An event as PagerDuty's reference of the Events API v2 describes it, in the part that is used."""


@pytest.mark.parametrize("name", EVERY)
def test_an_event_is_one_by_pagerdutys_reference(name: str) -> None:
    message = compose(SITUATIONS[name])
    event = render_pagerduty(message, KEY, due=DUE, project="acme")
    if event is None:
        assert not message.needs_person
        return
    Draft202012Validator(EVENT).validate(event)
    assert event["event_action"] == (
        "resolve" if message.kind is AlertKind.RECOVERED else "trigger"
    )
    assert len(encode_json(event)) <= PAGERDUTY_BYTES


@pytest.mark.parametrize("name", EVERY)
def test_every_service_says_what_to_do_and_every_command(name: str) -> None:
    message = compose(SITUATIONS[name])
    bodies = [render_teams(message), render_google_chat(message), webhook_body(message, DUE)]
    if message.needs_person:
        bodies.append(render_pagerduty(message, KEY, due=DUE) or {})
    commands = [*message.commands, *(item.command for item in message.items if item.command)]
    for body in bodies:
        said = "\n".join(texts_of(body))
        assert message.next_step in said
        assert [one for one in commands if one not in said] == []


def texts_of(node: Any) -> Iterator[str]:
    """Every text of a body, as a reader sees it."""
    if isinstance(node, str):
        yield html.unescape(node)
    elif isinstance(node, dict):
        for value in node.values():
            yield from texts_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts_of(value)


# --- text from outside stays text --------------------------------------------------------------

HOSTILE = "[click](https://evil.example) <users/all> <at>all</at> **b** <a href='x'>y</a> & \"q\""


def test_text_from_outside_is_no_markup_anywhere() -> None:
    message = compose(replace(FACTS, kind=AlertKind.ALERT, display_name=HOSTILE, error=HOSTILE))
    card = render_teams(message)["attachments"][0]["content"]
    assert not [one for one in elements_of(card) if one["type"] == "TextBlock"]  # it reads Markdown
    assert "entities" not in card["msteams"]  # without which no <at> mentions anybody
    assert all("evil" not in one["url"] for one in elements_of(card) if "url" in one)
    chat = render_google_chat(message)
    for paragraph in paragraphs_of(chat):
        assert not re.search(r"<(?!/?b>|br>|a href=\"https://console\.cloud)", paragraph), paragraph
    assert "text" not in chat  # which alone knows mentions


def paragraphs_of(body: dict[str, Any]) -> list[str]:
    sections = body["cardsV2"][0]["card"]["sections"]
    widgets = [widget for section in sections for widget in section["widgets"]]
    return [one["textParagraph"]["text"] for one in widgets if "textParagraph" in one]


# --- what is too long --------------------------------------------------------------------------


def test_a_message_too_long_for_a_service_keeps_its_head_and_its_commands() -> None:
    long = replace(
        compose(SITUATIONS["approval"]),
        facts=tuple(Fact(f"Part {n}", "\U0001f9ec" * 1500) for n in range(10)),
    )
    for body, most in (
        (render_teams(long), TEAMS_BYTES),
        (render_google_chat(long), CHAT_BYTES),
        (render_pagerduty(long, KEY, due=DUE), PAGERDUTY_BYTES),
    ):
        assert len(encode_json(body or {})) <= most
        said = "\n".join(texts_of(body))
        assert all(part in said for part in (long.title, long.next_step, *long.commands))


_alerts = st.builds(
    lambda n, text, command: Message(
        AlertKind.ALERT,
        f"job {n} failed: {text}",
        Severity.LOUD,
        f"chain-{n}",
        links=(Link("Job", f"https://console.cloud.google.com/vertex-ai/{n}"),),
        commands=(f"python -m remediator approve {n} {command}",),
    ),
    st.integers(0, 10**9),
    st.text('ab"\\<>&é🧬', max_size=150),
    st.text("ab'\"", max_size=200),
)


@given(st.lists(_alerts, min_size=1, max_size=60))
@pytest.mark.parametrize("service", ["teams", "chat"])
def test_a_group_fits_and_loses_nobody(service: str, alerts: list[Message]) -> None:
    render, channel, most = {
        "teams": (render_teams, TeamsWorkflow, TEAMS_BYTES),
        "chat": (render_google_chat, GoogleChatWebhook, CHAT_BYTES),
    }[service]
    seen = []
    for group in split(alerts, channel.group_limits):
        body = render(compose(AlertFacts(kind=AlertKind.GROUPED, together=group)))
        assert len(encode_json(body)) <= most
        seen += list(texts_of(body))
    said = "\n".join(seen)
    assert [one.title for one in alerts if one.title not in said] == []
    assert [one.commands for one in alerts if one.commands[0] not in said] == []


# --- over real sockets -------------------------------------------------------------------------

Opened = Callable[[Cloud], Any]
OPENERS: dict[str, tuple[Opened, str]] = {
    "teams": (lambda cloud: TeamsWorkflow(cloud.services.teams_webhook), "teams.workflow"),
    "pagerduty": (
        lambda cloud: PagerDutyEvents(KEY, api=cloud.services.events_api, project="acme"),
        "pagerduty.enqueue",
    ),
    "google_chat": (lambda cloud: GoogleChatWebhook(cloud.services.chat_webhook), "chat.messages"),
    "webhook": (lambda cloud: SignedWebhook(cloud.services.hook, "s3cret"), "webhook"),
}
SERVICES = sorted(OPENERS)


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_takes_what_it_is_sent_and_checks_without_being_told(
    service: str, cloud: Cloud
) -> None:
    channel = OPENERS[service][0](cloud)
    before = taken(cloud)
    channel.check()
    assert taken(cloud)[service] == before[service]
    channel.send(LOUD, due=DUE)
    assert taken(cloud)[service] == before[service] + 1
    assert cloud.services.teams.failed_runs == []


def taken(cloud: Cloud) -> dict[str, int]:
    services = cloud.services
    return {
        "teams": len(services.teams.cards),
        "pagerduty": len(services.pagerduty.pages),
        "google_chat": len(services.chat.messages),
        "webhook": len(services.webhook.posts),
    }


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    ("fault", "error", "wish"),
    [
        (faults.status("429", retry_after=30), TransientError, 30),
        (faults.status("429"), TransientError, None),
        (faults.status("503", retry_after=5), TransientError, 5),
        (faults.status("408"), TransientError, None),
        (faults.status("302"), PermanentError, None),
        (faults.status("401"), PermanentError, None),
        (faults.status("404"), PermanentError, None),
        (faults.Fault(drop=True), TransientError, None),
    ],
    ids=["429-after", "429", "503", "408", "302", "401", "404", "dropped"],
)
def test_what_an_answer_means(
    service: str, fault: faults.Fault, error: type[Exception], wish: float | None, cloud: Cloud
) -> None:
    channel, method = OPENERS[service]
    cloud.fail(method, fault)
    before = taken(cloud)
    with pytest.raises(error) as caught:
        channel(cloud).send(replace(LOUD, thread_key="answers"), due=DUE)
    assert getattr(caught.value, "retry_after_seconds", None) == wish
    assert taken(cloud) == before
    assert not re.search(r"sig=|token=|0123456789abcdef|/hooks/|s3cret", str(caught.value))


@pytest.mark.parametrize("service", SERVICES)
def test_an_address_that_is_dead_is_tried_again_and_stays_secret(service: str) -> None:
    gone = "http://127.0.0.1:9/services/s3cret"
    channel = {
        "teams": lambda: TeamsWorkflow(gone),
        "pagerduty": lambda: PagerDutyEvents(KEY, api=gone),
        "google_chat": lambda: GoogleChatWebhook(gone),
        "webhook": lambda: SignedWebhook(gone, "s3cret"),
    }[service]()
    for call in (lambda: channel.send(LOUD, due=DUE), channel.check):
        with pytest.raises(TransientError) as caught:
            call()
        assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "hosts", "told"),
    [
        ("http://hooks.example/x", None, "must be https"),
        ("https://hooks.example/x", ["*.corp.example"], "the host hooks.example is not among"),
        ("ftp://hooks.example/x", None, "must be https"),
        ("https://[bad/x", None, "is not a URL"),
        ("https://hooks.example:port/x", None, "is not a URL"),
        ("", None, "must be https"),
    ],
)
def test_where_a_channel_may_not_speak_to(url: str, hosts: list[str] | None, told: str) -> None:
    for opened in (
        lambda: TeamsWorkflow(url, hosts=hosts),
        lambda: GoogleChatWebhook(url, hosts=hosts),
        lambda: SignedWebhook(url, "s", hosts=hosts),
        lambda: PagerDutyEvents(KEY, api=url, hosts=hosts),
    ):
        with pytest.raises(PermanentError, match=re.escape(told)):
            opened()


def test_pagerduty_itself_must_be_among_the_hosts() -> None:
    PagerDutyEvents(KEY, hosts=["events.pagerduty.com"])
    with pytest.raises(PermanentError, match=r"the host events\.pagerduty\.com is not among"):
        PagerDutyEvents(KEY, hosts=["hooks.slack.com"])
    with pytest.raises(PermanentError, match="routing key"):
        PagerDutyEvents("https://events.pagerduty.com/", hosts=None)


# --- the signed webhook ------------------------------------------------------------------------


def test_a_receiver_can_verify_the_signature_and_read_the_outcome(cloud: Cloud) -> None:
    SignedWebhook(cloud.services.hook, "s3cret").send(LOUD, due=DUE)
    headers, raw = cloud.services.webhook.posts[-1]
    expected = hmac.new(b"s3cret", raw, hashlib.sha256).hexdigest()
    assert headers["x-remediator-signature"] == f"sha256={expected}"
    assert headers["content-type"] == "application/json"
    body = json.loads(raw)
    assert (body["root"], body["final"]) == ("r", True)
    assert body["message"]["title"] == LOUD.title
    assert body["message"]["needs_person"] is True
    assert body["shortened"] is False


def test_the_page_shows_the_body_and_a_check_of_its_signature(cloud: Cloud) -> None:
    page = (Path(__file__).parents[1] / "docs" / "channels.md").read_text()
    (program,) = re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    (example,) = re.findall(r"^```json\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(program, names)  # the page's own
    SignedWebhook(cloud.services.hook, "s3cret").send(LOUD, due=DUE)
    headers, raw = cloud.services.webhook.posts[-1]
    assert names["is_ours"](raw, headers["x-remediator-signature"], b"s3cret")
    assert not names["is_ours"](raw + b" ", headers["x-remediator-signature"], b"s3cret")
    shown, sent = json.loads(example), json.loads(raw)
    assert shown.keys() == sent.keys()
    assert shown["message"].keys() == sent["message"].keys()
    for channels in re.findall(r"^```yaml\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        named = ", ".join(yaml.safe_load(channels)["channels"])
        rule = f"policies: [{{name: a, when: {{}}, do: [], alert: [{named}]}}]"
        assert load(f"version: 1\n{channels}{rule}\n", "page.yaml").mistakes == ()


def test_the_id_is_that_of_one_alert_at_each_try() -> None:
    again = webhook_body(LOUD, DUE)
    assert webhook_body(LOUD, DUE)["id"] == again["id"]
    assert webhook_body(LOUD, DUE + timedelta(seconds=1))["id"] != again["id"]
    assert webhook_body(RECOVERED, DUE)["id"] != again["id"]


def test_an_alert_of_no_chain_has_every_key_all_the_same() -> None:
    body = webhook_body(compose(SITUATIONS["sink_silent"]), DUE)
    assert body.keys() >= {"root", "current", "state", "final", "reason", "advice", "time"}
    assert (body["root"], body["final"]) == (None, None)
    assert body["reason"] == body["message"]["title"]


def test_a_group_brings_the_outcome_of_each() -> None:
    two = [replace(LOUD, thread_key=f"c{n}", outcomes=({"root": f"r{n}"},)) for n in range(2)]
    body = webhook_body(compose(AlertFacts(kind=AlertKind.GROUPED, together=tuple(two))), DUE)
    assert [one["root"] for one in body["outcomes"]] == ["r0", "r1"]
    assert body["root"] is None


def test_a_receiver_with_little_room_gets_the_short_form(cloud: Cloud) -> None:
    cloud.fail("webhook", faults.status("413"))
    SignedWebhook(cloud.services.hook, "s3cret").send(LOUD, due=DUE)
    body = json.loads(cloud.services.webhook.posts[-1][1])
    assert body["shortened"] is True
    assert body["message"]["title"] == LOUD.title
    assert body["message"]["answers"] == []
    cloud.fail("webhook", faults.status("413"), times=2)
    with pytest.raises(PermanentError, match="answered 413"):
        SignedWebhook(cloud.services.hook, "s3cret").send(LOUD, due=DUE)


def test_what_is_stored_as_owed_brings_the_outcome_back() -> None:
    assert Message.parse(json.loads(json.dumps(LOUD.to_json()))) == LOUD
    older = {key: value for key, value in LOUD.to_json().items() if key != "outcomes"}
    assert Message.parse(older).outcomes == ()


# --- PagerDuty ---------------------------------------------------------------------------------


def pagerduty(cloud: Cloud) -> PagerDutyEvents:
    return PagerDutyEvents(KEY, api=cloud.services.events_api, project="acme")


def test_a_question_and_a_give_up_are_one_incident_which_the_recovery_resolves(
    cloud: Cloud,
) -> None:
    told = [compose(SITUATIONS["approval"]), QUIET, LOUD, RECOVERED]
    assert len({dedup_key(one, "acme") for one in told}) == 1
    question, acted, given_up, over = (replace(one, thread_key="asked") for one in told)
    key = dedup_key(question, "acme")
    pages = len(cloud.services.pagerduty.pages)
    thread = ""
    for minute, message in enumerate((question, acted, given_up)):
        thread = pagerduty(cloud).send(message, thread=thread, due=DUE + minute * MINUTE).thread
    assert cloud.services.pagerduty.incidents[key] == "triggered"
    assert len(cloud.services.pagerduty.pages) == pages + 1
    pagerduty(cloud).send(over, thread=thread, due=DUE + 5 * MINUTE)
    assert cloud.services.pagerduty.incidents[key] == "resolved"


MINUTE = timedelta(minutes=1)


def test_what_needs_nobody_is_not_sent(cloud: Cloud) -> None:
    events = len(cloud.services.pagerduty.events)
    pagerduty(cloud).send(QUIET, due=DUE)
    assert len(cloud.services.pagerduty.events) == events


def test_a_page_that_was_held_up_until_the_recovery_wakes_nobody(cloud: Cloud) -> None:
    late, over = (replace(one, thread_key="held-up") for one in (LOUD, RECOVERED))
    resolved = pagerduty(cloud).send(over, due=DUE + MINUTE)
    pages = len(cloud.services.pagerduty.pages)
    pagerduty(cloud).send(late, thread=resolved.thread, due=DUE)
    assert len(cloud.services.pagerduty.pages) == pages
    failed_again = pagerduty(cloud).send(late, thread=resolved.thread, due=DUE + 2 * MINUTE)
    assert len(cloud.services.pagerduty.pages) == pages + 1
    assert failed_again.thread == ""


def test_two_projects_and_two_groups_are_apart() -> None:
    assert dedup_key(LOUD, "acme") != dedup_key(LOUD, "other")
    groups = [
        Message(AlertKind.GROUPED, "2 alerts", Severity.LOUD, "grouped", items=(Item(text),))
        for text in ("a failed", "b failed")
    ]
    assert len({dedup_key(one, "acme") for one in groups}) == 2
    long = replace(LOUD, thread_key="x" * 400)
    assert len(dedup_key(long, "acme")) <= 255


# --- Google Chat -------------------------------------------------------------------------------


def test_the_alerts_of_a_chain_are_one_thread(cloud: Cloud) -> None:
    chat = GoogleChatWebhook(cloud.services.chat_webhook)
    first = len(cloud.services.chat.messages)
    for message in (QUIET, LOUD, RECOVERED, compose(SITUATIONS["sink_silent"])):
        chat.send(message, due=DUE)
    threads = [one.get("thread") for one in cloud.services.chat.messages[first:]]
    assert threads[0] == threads[1] == threads[2] != {}
    assert threads[3] is None


# --- cold start --------------------------------------------------------------------------------


def test_nothing_of_it_is_loaded_unless_such_a_channel_is_opened() -> None:
    program = (
        "import sys, remediator.alerts, remediator.alerts.delivery\n"
        "own = ['teams', 'pagerduty', 'google_chat', 'webhook']\n"
        "print([n for n in own if f'remediator.alerts.{n}' in sys.modules], 'requests' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.split() == ["[]", "False"]
