"""PagerDuty, by its Events API v2: an incident for what needs a person, resolved by the recovery.

Owns the event and its limits. All events of a chain bear one `dedup_key`, so that a question and what
follows from it are one incident. What needs nobody is not sent. Sends through `http_post`; opened by
`channels`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from remediator.alerts.channel import Sent
from remediator.alerts.fitting import fitted
from remediator.alerts.grouping import GroupLimits
from remediator.alerts.http_post import check_url, encode_json, post
from remediator.alerts.message import EVIDENCE, NEXT_STEP, AlertKind, Message
from remediator.domain import PermanentError, parse_time, rfc3339

EVENTS_API = "https://events.pagerduty.com/v2/enqueue"
EVENTS_API_EU = "https://events.eu.pagerduty.com/v2/enqueue"
"""The service regions, https://developer.pagerduty.com/docs/events-api-v2-overview"""
# https://developer.pagerduty.com/docs/events-api-v2-overview
MOST_BYTES = 500_000
"""Chosen, below the documented 512 KB of an event."""
SUMMARY_LIMIT = 1024
_DEDUP_LIMIT = 255
_SERVICE = "PagerDuty"
_CLIENT = "vertex-remediator"
_RESOLVED = "resolved:"


class PagerDutyEvents:
    """An integration of a PagerDuty service; `routing_key` is its integration key."""

    keeps_current = False
    group_limits = GroupLimits()

    def __init__(
        self,
        routing_key: str,
        *,
        api: str = EVENTS_API,
        project: str = "",
        hosts: Sequence[str] | None = None,
    ) -> None:
        check_url(api, "PagerDuty's API", hosts)
        if not routing_key.isalnum():
            msg = (
                "PagerDuty's routing key is an integration's key: letters and digits, nothing else"
            )
            raise PermanentError(msg)
        self._key = routing_key
        self._api = api
        self._project = project

    def send(self, message: Message, *, thread: str = "", due: datetime) -> Sent:
        """Nothing where nobody is needed, and where the chain has recovered since this fell due."""
        resolved_at = parse_time(thread.removeprefix(_RESOLVED)) if thread else None
        if resolved_at is not None and due <= resolved_at:
            return Sent(thread)
        event = render_pagerduty(message, self._key, due=due, project=self._project)
        if event is None:
            return Sent(thread)
        post(self._api, encode_json(event), service=_SERVICE)
        recovered = event["event_action"] == "resolve"
        return Sent(f"{_RESOLVED}{rfc3339(due)}" if recovered else "")

    def update(self, message: Message, *, thread: str) -> None:
        """An incident keeps its first summary; what follows is another event."""

    def check(self) -> None:
        """Resolves an incident that there cannot be: PagerDuty says whether it takes the key."""
        event = _event(self._key, "resolve", f"{_CLIENT}/check")
        post(self._api, encode_json(event), service=_SERVICE)


def render_pagerduty(
    message: Message, routing_key: str, *, due: datetime, project: str = ""
) -> dict[str, Any] | None:
    """The event; None where the message needs nobody and ends nothing."""
    key = dedup_key(message, project)
    if message.kind is AlertKind.RECOVERED:
        return _event(routing_key, "resolve", key)
    if not message.needs_person:
        return None

    def trigger(shortened: Message) -> dict[str, Any]:
        return {
            **_event(routing_key, "trigger", key),
            "client": _CLIENT,
            "links": [{"href": one.url, "text": one.label} for one in shortened.links],
            "payload": {
                "summary": message.title[:SUMMARY_LIMIT],
                "source": message.topic or project or _CLIENT,
                "severity": "error",
                "timestamp": rfc3339(due),
                "component": message.what or message.kind.value,
                "group": project or _CLIENT,
                "class": message.kind.value,
                "custom_details": _details(shortened),
            },
        }

    return fitted(message, trigger, lambda event: len(encode_json(event)), MOST_BYTES)


def dedup_key(message: Message, project: str = "") -> str:
    """One for each chain; a group has its own, by what stands in it, and resolves with nothing."""
    about = message.thread_key
    if message.kind is AlertKind.GROUPED:
        about += "/" + _digest(*(item.text for item in message.items))
    key = "/".join(part for part in (_CLIENT, project, about) if part)
    return key if len(key) <= _DEDUP_LIMIT else f"{_CLIENT}/{_digest(key)}"


def _event(routing_key: str, action: str, key: str) -> dict[str, Any]:
    return {"routing_key": routing_key, "event_action": action, "dedup_key": key}


def _details(message: Message) -> dict[str, str]:
    """What the incident shows as a table, in this order."""
    content = {NEXT_STEP: message.next_step} if message.next_step else {}
    if message.commands:
        content["Commands"] = "\n".join(message.commands)
    for number, item in enumerate(message.items, start=1):
        page = item.link.url if item.link else ""
        content[f"{number}"] = "\n".join(part for part in (item.text, item.command, page) if part)
    for label, lines in message.answers:
        mark = "- " if label == EVIDENCE else ""
        content[label] = "\n".join(mark + line for line in lines)
    return content


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:32]
