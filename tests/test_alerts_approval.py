"""A click in Slack, signed as Slack signs it: taken apart, or turned away."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.alerts.approval import Interaction, parse_interaction
from remediator.alerts.message import AlertKind, Button, Message, Severity
from remediator.alerts.render import render_slack
from remediator.domain import InvalidInput, PermissionDenied

NOW = datetime(2026, 11, 23, 20, 5, tzinfo=UTC)
SECRET = "8f742231b10e8888abcd99yyyzzz85a5"

OFFER = Message(
    AlertKind.APPROVAL,
    "Approval needed",
    Severity.LOUD,
    "us-central1/customJobs/1",
    buttons=(Button("approve", "Approve", "apr-7f3a"), Button("decline", "Decline", "apr-7f3a")),
)


def click(button: int = 0, **changed: Any) -> dict[str, Any]:
    """What Slack posts when a person clicks a button of the message that we sent."""
    [actions] = [b for b in render_slack(OFFER, buttons=True)["blocks"] if b["type"] == "actions"]
    return {
        "type": "block_actions",
        "user": {"id": "U024BE7LH", "username": "ana", "team_id": "T0001"},
        "team": {"id": "T0001", "domain": "acme"},
        "actions": [{**actions["elements"][button], "block_id": "b", "action_ts": "1"}],
        **changed,
    }


def form(payload: object) -> bytes:
    return f"payload={quote_plus(json.dumps(payload))}".encode()


def signed(body: bytes, at: datetime = NOW, secret: str = SECRET) -> dict[str, str]:
    """Slack's own recipe: HMAC-SHA256 over version, timestamp and body."""
    stamp = str(int(at.timestamp()))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:".encode() + body, hashlib.sha256).hexdigest()
    return {"X-Slack-Request-Timestamp": stamp, "X-Slack-Signature": f"v0={digest}"}


@pytest.mark.parametrize(("button", "approved"), [(0, True), (1, False)])
def test_a_click_says_who_answered_what(button: int, approved: bool) -> None:
    body = form(click(button))
    assert parse_interaction(body, signed(body), SECRET, NOW) == Interaction(
        user="U024BE7LH",
        user_name="ana",
        approved=approved,
        approval_id="apr-7f3a",
    )


def test_header_names_may_be_written_in_any_case() -> None:
    body = form(click())
    headers = {name.lower(): value for name, value in signed(body).items()}
    assert parse_interaction(body, headers, SECRET, NOW).approved


BODY = form(click())


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        pytest.param(BODY, {}, id="unsigned"),
        pytest.param(BODY, signed(BODY, secret="another"), id="another-secret"),
        pytest.param(BODY + b"&x=1", signed(BODY), id="changed-body"),
        pytest.param(BODY, signed(BODY, NOW - timedelta(minutes=6)), id="replayed"),
        pytest.param(BODY, signed(BODY, NOW + timedelta(minutes=6)), id="from-the-future"),
        pytest.param(BODY, {**signed(BODY), "X-Slack-Request-Timestamp": "now"}, id="no-time"),
        pytest.param(BODY, {**signed(BODY), "X-Slack-Signature": "v0=ü"}, id="no-hex"),
        pytest.param(b"\xff\xfe", signed(b"\xff\xfe"), id="no-text"),
        pytest.param(b"x" * 1_000_001, signed(b"x" * 1_000_001), id="megabytes"),
    ],
)
def test_what_our_app_did_not_sign_is_forbidden(body: bytes, headers: dict[str, str]) -> None:
    with pytest.raises(PermissionDenied):
        parse_interaction(body, headers, SECRET, NOW)


def test_an_empty_signing_secret_lets_nobody_in() -> None:
    with pytest.raises(PermissionDenied):
        parse_interaction(BODY, signed(BODY, secret=""), "", NOW)


OTHER_BUTTON = {"action_id": "remediator_delete_all", "value": "apr-7f3a"}


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"ssl_check=1&token=x", id="ssl-check"),
        pytest.param(b"payload=%7B", id="no-json"),
        pytest.param(form([]), id="a-list"),
        pytest.param(form({}), id="nothing-in-it"),
        pytest.param(form(click(actions=[])), id="no-action"),
        pytest.param(form(click(actions=["approve"])), id="an-action-of-text"),
        pytest.param(form(click(actions=[OTHER_BUTTON])), id="another-button"),
        pytest.param(form(click(actions=[{"action_id": "approve", "value": "a"}])), id="not-ours"),
        pytest.param(form(click(user={"id": "U1 <!channel>"})), id="no-user-id"),
        pytest.param(
            form(click(actions=[{"action_id": "remediator_approve", "value": "../x y"}])),
            id="no-approval-id",
        ),
    ],
)
def test_a_signed_request_that_is_no_click_is_unusable(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_interaction(body, signed(body), SECRET, NOW)


@given(st.binary(max_size=200))
def test_no_body_whatever_breaks_the_door(body: bytes) -> None:
    with pytest.raises((PermissionDenied, InvalidInput)):
        parse_interaction(body, signed(body), SECRET, NOW)
