"""A signed webhook: each alert as JSON, for programs.

Owns the body (the chain's outcome, as the outcomes topic has it, and beside it the message) and its
signature. docs/channels.md describes both for those who write the receiver. Sends through
`http_post`; opened by `channels`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from remediator.alerts.channel import Sent
from remediator.alerts.grouping import GroupLimits
from remediator.alerts.http_post import BodyTooLarge, check_url, encode_json, post, reach
from remediator.alerts.message import Message, as_text
from remediator.domain import PermanentError, rfc3339

SIGNATURE_HEADER = "X-Remediator-Signature"
_SERVICE = "the webhook"
_OUTCOME_KEYS = (
    "root",
    "current",
    "attempt",
    "state",
    "output",
    "final",
    "reason",
    "advice",
    "url",
    "outputs",
    "waits_for",
    "previous",
    "verdict",
    "action",
    "time",
)
"""An outcome's keys (contract, section 3 and 6): all are there, null where an alert is of no chain."""
_TEXT_WIDTH = 100


class SignedWebhook:
    """POSTs each alert once; the receiver knows it by its signature and a repetition by its `id`."""

    keeps_current = False
    group_limits = GroupLimits()

    def __init__(self, url: str, secret: str, *, hosts: Sequence[str] | None = None) -> None:
        check_url(url, _SERVICE, hosts)
        if not secret:
            msg = "the webhook's secret is empty"
            raise PermanentError(msg)
        self._url = url
        self._secret = secret.encode()

    def send(self, message: Message, *, thread: str = "", due: datetime) -> Sent:
        del thread
        try:
            self._post(webhook_body(message, due))
        except BodyTooLarge:
            self._post(webhook_body(message, due, brief=True))
        return Sent()

    def update(self, message: Message, *, thread: str) -> None:
        """What was posted stays as it is."""

    def check(self) -> None:
        """Whether anything answers there; nothing is delivered."""
        reach(self._url, service=_SERVICE)

    def _post(self, body: dict[str, Any]) -> None:
        raw = encode_json(body)
        headers = {SIGNATURE_HEADER: signature(raw, self._secret)}
        post(self._url, raw, service=_SERVICE, headers=headers)


def signature(body: bytes, secret: bytes) -> str:
    """`sha256=` and the hexadecimal HMAC-SHA256 of the body's bytes."""
    return f"sha256={hmac.new(secret, body, hashlib.sha256).hexdigest()}"


def webhook_body(message: Message, due: datetime, *, brief: bool = False) -> dict[str, Any]:
    """The JSON of one alert. `brief`: without what can be read elsewhere, for a receiver with little room."""
    content: dict[str, Any] = {
        "reason": message.title,
        "advice": message.next_step,
        "time": rfc3339(due),
    }
    single = message.outcomes[0] if len(message.outcomes) == 1 and message.in_chain else {}
    outcome = {key: single.get(key, content.get(key)) for key in _OUTCOME_KEYS}
    return {
        "id": _identity(message, due),
        **outcome,
        "message": {
            "kind": message.kind.value,
            "title": message.title,
            "needs_person": message.needs_person,
            "next_step": message.next_step,
            "commands": list(message.commands),
            "links": [{"label": one.label, "url": one.url} for one in message.links],
            "items": [
                {
                    "text": item.text,
                    "command": item.command,
                    "url": item.link.url if item.link else None,
                }
                for item in message.items
            ],
            "answers": []
            if brief
            else [{"label": label, "lines": list(lines)} for label, lines in message.answers],
            "text": "" if brief else as_text(message, _TEXT_WIDTH),
        },
        "outcomes": [] if brief else [dict(one) for one in message.outcomes],
        "shortened": brief,
    }


def _identity(message: Message, due: datetime) -> str:
    """The same at each try to deliver one alert, and of no other."""
    parts = (message.thread_key, message.kind.value, message.title, rfc3339(due))
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:32]
