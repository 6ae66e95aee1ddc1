"""Other services that hear from the product: a Teams workflow, PagerDuty, a Google Chat space, a
webhook of somebody's own.

Each answers as its service documents: what is malformed or too long is refused in its words, a Teams
workflow takes anything and fails afterwards where nobody sees it (`teams.failed_runs`). Faults are
planned by name: `teams.workflow`, `pagerduty.enqueue`, `chat.messages`, `webhook`.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from typing import Any

from twin.http import Answer, HttpServer, Request, Route
from twin.rpc import Desk

TEAMS_BYTES = 28_000
CHAT_BYTES = 32_000
PAGERDUTY_BYTES = 512_000


@dataclass
class Teams:
    """A channel: the cards that stand in it, and runs of the workflow that failed."""

    cards: list[dict[str, Any]] = field(default_factory=list)
    failed_runs: list[str] = field(default_factory=list)


@dataclass
class PagerDuty:
    """A service: its incidents by `dedup_key`, and every event it took."""

    incidents: dict[str, str] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)


@dataclass
class GoogleChat:
    """A space: its messages, each with the thread it stands in."""

    messages: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Webhook:
    """What a receiver got: headers in lower case, and the bytes of the body."""

    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


class Services:
    """All of them behind one port."""

    def __init__(self, desk: Desk) -> None:
        self.teams = Teams()
        self.pagerduty = PagerDuty()
        self.chat = GoogleChat()
        self.webhook = Webhook()
        self._lock = threading.Lock()
        self._server = HttpServer(
            desk,
            [
                Route("POST", r"/workflows/(?P<id>[^/]+)/.*", self._workflow, "teams.workflow"),
                Route("HEAD", r"/(workflows|hooks)/.*", self._silent, "head"),
                Route("POST", r"/v2/enqueue", self._enqueue, "pagerduty.enqueue"),
                Route("POST", r"/v1/spaces/[^/]+/messages", self._message, "chat.messages"),
                Route("POST", r"/hooks/.*", self._hook, "webhook"),
            ],
        )
        self.port = self._server.port
        url = self._server.url
        self.teams_webhook = f"{url}/workflows/0123/triggers/manual/paths/invoke?sig=twin"
        self.chat_webhook = f"{url}/v1/spaces/AAAA/messages?key=twin&token=twin"
        self.events_api = f"{url}/v2/enqueue"
        self.hook = f"{url}/hooks/remediator"

    def stop(self) -> None:
        """Ends the server."""
        self._server.stop()

    def _silent(self, request: Request) -> Answer:
        return Answer(405)

    def _workflow(self, request: Request) -> Answer:
        body = _object(request)
        cards = [one.get("content") for one in (body or {}).get("attachments") or ()]
        with self._lock:
            if len(request.body) > TEAMS_BYTES:
                self.teams.failed_runs.append("RequestEntityTooLarge")
            elif len(cards) != 1 or (cards[0] or {}).get("type") != "AdaptiveCard":
                self.teams.failed_runs.append("InvalidBotAdaptiveCard")
            else:
                self.teams.cards.append(cards[0])
        return Answer(202)

    def _enqueue(self, request: Request) -> Answer:
        event = _object(request) or {}
        errors = _event_errors(event, len(request.body))
        if errors:
            said = {"status": "invalid event", "message": "Event object is invalid"}
            return Answer(400, {**said, "errors": errors})
        key, action = str(event["dedup_key"]), event["event_action"]
        with self._lock:
            self.pagerduty.events.append(event)
            known = self.pagerduty.incidents.get(key)
            if action == "trigger":
                if known != "triggered":  # a new incident pages; an open one is only added to
                    self.pagerduty.pages.append(event["payload"]["summary"])
                self.pagerduty.incidents[key] = "triggered"
            elif known is not None:  # what nobody opened is dropped
                self.pagerduty.incidents[key] = "resolved"
        return Answer(202, {"status": "success", "message": "Event processed", "dedup_key": key})

    def _message(self, request: Request) -> Answer:
        body = _object(request) or {}
        if not (body.get("text") or body.get("cardsV2")):
            return _chat_error("Message cannot be empty.")
        if len(request.body) > CHAT_BYTES:
            return _chat_error("Message is too long.")
        if "thread" in body and not request.query.get("messageReplyOption"):
            body = {**body, "thread": {}}  # without the option every message begins a thread
        with self._lock:
            self.chat.messages.append(body)
        return Answer(200, {"name": f"spaces/AAAA/messages/{len(self.chat.messages)}"})

    def _hook(self, request: Request) -> Answer:
        with self._lock:
            self.webhook.posts.append((dict(request.headers), request.body))
        return Answer(204)


def _object(request: Request) -> dict[str, Any] | None:
    try:
        found = json.loads(request.body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _chat_error(message: str) -> Answer:
    return Answer(400, {"error": {"code": 400, "message": message, "status": "INVALID_ARGUMENT"}})


def _event_errors(event: dict[str, Any], size: int) -> list[str]:
    """What PagerDuty's reference of the Events API v2 asks of an event."""
    errors = []
    if len(str(event.get("routing_key", ""))) != 32:
        errors.append("Length of 'routing_key' is incorrect (should be 32 characters)")
    if event.get("event_action") not in {"trigger", "acknowledge", "resolve"}:
        errors.append("'event_action' is invalid")
    if not event.get("dedup_key") or len(str(event["dedup_key"])) > 255:
        errors.append("'dedup_key' is invalid")
    if size > PAGERDUTY_BYTES:
        errors.append("event is too large")
    if event.get("event_action") == "trigger":
        payload = event.get("payload") or {}
        errors += [
            f"'payload.{key}' is missing or blank"
            for key in ("summary", "source")
            if not payload.get(key)
        ]
        if payload.get("severity") not in {"critical", "error", "warning", "info"}:
            errors.append("'payload.severity' is invalid")
        if len(str(payload.get("summary", ""))) > 1024:
            errors.append("'payload.summary' is too long")
    return errors
