"""A click on Approve or Decline, as Slack posts it: verified and taken apart.

Owns the check of Slack's signature (by Slack's own SDK) and the reading of the form. Must not
decide who may approve and must not write anything: the `approve` entry point does both.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

from msgspec import Struct

from remediator.alerts.render import ACTION_PREFIX
from remediator.domain import InvalidInput, PermissionDenied
from remediator.domain.late_pattern import late_pattern

MOST_BYTES = 1_000_000
"""Slack's interaction payloads carry the whole message, a few ten kilobytes at most."""
_OLDEST_SECONDS = 300
"""https://docs.slack.dev/authentication/verifying-requests-from-slack"""
_STAMP = late_pattern(r"[0-9]{1,12}")
_SIGNATURE = late_pattern(r"v0=[0-9a-f]{64}")
_USER = late_pattern(r"[A-Z0-9]{2,32}")
_APPROVAL = late_pattern(r"[A-Za-z0-9._:-]{1,100}")


class Interaction(Struct, frozen=True):
    """Who clicked what. `user` is Slack's member id; `user_name` is for people to read only."""

    user: str
    user_name: str
    approved: bool
    approval_id: str


def check_form(body: bytes, headers: Mapping[str, str], now: datetime) -> None:
    """What needs no secret: size, age and the form of the signature; raises PermissionDenied.

    The door is open to all. Whoever knocks without a signature of a moment ago must cost nothing, no
    secret read, no policy file fetched.
    """
    given = {str(name).lower(): str(value) for name, value in headers.items()}
    stamp = given.get("x-slack-request-timestamp", "")
    is_fresh = _STAMP.fullmatch(stamp) and abs(now.timestamp() - int(stamp)) <= _OLDEST_SECONDS
    if (
        len(body) > MOST_BYTES
        or not is_fresh
        or not _SIGNATURE.fullmatch(given.get("x-slack-signature", ""))
    ):
        msg = "the request is not signed by our Slack app"
        raise PermissionDenied(msg)


def parse_interaction(
    body: bytes, headers: Mapping[str, str], signing_secret: str, now: datetime
) -> Interaction:
    """The click in a request to the interactivity URL; the first of our buttons counts.

    Raises PermissionDenied where the signature is missing, wrong or older than five minutes (Slack's own
    rule against replays), and InvalidInput where a signed request is no click on one of our buttons.
    """
    check_form(body, headers, now)
    if not _is_signed(body, headers, signing_secret, now):
        msg = "the request is not signed by our Slack app"
        raise PermissionDenied(msg)
    try:
        payload = json.loads(parse_qs(body.decode(), strict_parsing=True)["payload"][0])
        user = payload["user"]
        action = next(a for a in payload["actions"] if _choice(a) is not None)
        found = Interaction(
            user=str(user["id"]),
            user_name=str(user.get("username") or user.get("name") or "")[:80],
            approved=_choice(action) == "approve",
            approval_id=str(action["value"]),
        )
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, StopIteration) as err:
        msg = "the request is no click on Approve or Decline"
        raise InvalidInput(msg) from err
    if not _USER.fullmatch(found.user) or not _APPROVAL.fullmatch(found.approval_id):
        msg = "the click names no user or no approval"
        raise InvalidInput(msg)
    return found


def _choice(action: Mapping[str, Any]) -> str | None:
    name = str(action.get("action_id") or "")
    choice = name.removeprefix(ACTION_PREFIX)
    return choice if name != choice and choice in {"approve", "decline"} else None


class _At:
    """The moment as slack_sdk's verifier asks for it."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> float:
        return self._now.timestamp()


def _is_signed(body: bytes, headers: Mapping[str, str], secret: str, now: datetime) -> bool:
    from slack_sdk.signature import SignatureVerifier  # noqa: PLC0415  # cold start

    try:
        verifier = SignatureVerifier(secret, clock=_At(now))
        return bool(verifier.is_valid_request(body, {str(k): str(v) for k, v in headers.items()}))
    except (ValueError, TypeError):  # a timestamp that is no number, a body that is no text
        return False
