"""Those who hear from the product: Slack, a mail server, and an external host that takes its time.

Slack answers as a webhook (`/services/...`) and as the Web API (`chat.postMessage`, `chat.update`).
Faults are planned by name: `slack.webhook`, `slack.chat.postMessage`, `slack.chat.update`, `smtp`,
`host`.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import threading
import time
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any
from urllib.parse import parse_qs

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from twin.faults import Call
from twin.http import Answer, HttpServer, Request, Route
from twin.rpc import Desk
from twin.serving import free_port


@dataclass
class SlackMessage:
    """One message as it stands now; `versions` are its bodies, oldest first."""

    channel: str
    ts: str
    body: dict[str, Any]
    versions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Everything a person would read, blocks and attachments included."""
        return "\n".join(_texts(self.body))


class Slack:
    """A workspace that keeps what it is told."""

    def __init__(self, desk: Desk) -> None:
        self.messages: list[SlackMessage] = []
        self._lock = threading.Lock()
        self._serial = 0
        self._server = HttpServer(
            desk,
            [
                Route("POST", r"/services/(?P<hook>.+)", self._hook, "slack.webhook"),
                Route("POST", r"/api/chat\.postMessage", self._post, "slack.chat.postMessage"),
                Route("POST", r"/api/chat\.update", self._update, "slack.chat.update"),
                Route("POST", r"/api/auth\.test", self._test, "slack.auth.test"),
            ],
        )
        self.port = self._server.port
        self.webhook = f"{self._server.url}/services/T000/B000/twin"
        self.api = f"{self._server.url}/api/"

    def stop(self) -> None:
        """Ends the server."""
        self._server.stop()

    def clear(self) -> None:
        """Forgets every message."""
        with self._lock:
            self.messages.clear()

    def _keep(self, channel: str, body: dict[str, Any]) -> str:
        with self._lock:
            self._serial += 1
            stamp = f"17000000{self._serial:02d}.000100"
            self.messages.append(SlackMessage(channel, stamp, body, [body]))
        return stamp

    def _hook(self, request: Request) -> Answer:
        body = _slack_body(request)
        if body is None or not (body.get("text") or body.get("blocks") or body.get("attachments")):
            return Answer(400, b"no_text")
        self._keep(f"hook:{request.groups['hook']}", body)
        return Answer(200, b"ok")

    def _post(self, request: Request) -> Answer:
        body = _slack_body(request)
        if not body or not body.get("channel"):
            return Answer(200, {"ok": False, "error": "channel_not_found"})
        stamp = self._keep(str(body["channel"]), body)
        return Answer(200, {"ok": True, "channel": body["channel"], "ts": stamp, "message": body})

    def _update(self, request: Request) -> Answer:
        body = _slack_body(request) or {}
        with self._lock:
            for message in self.messages:
                if (message.channel, message.ts) == (body.get("channel"), body.get("ts")):
                    message.body = body
                    message.versions.append(body)
                    return Answer(
                        200, {"ok": True, "channel": message.channel, "ts": message.ts, "text": ""}
                    )
        return Answer(200, {"ok": False, "error": "message_not_found"})

    def _test(self, request: Request) -> Answer:
        return Answer(200, {"ok": True, "url": self.api, "team": "twin", "user": "remediator"})


def _slack_body(request: Request) -> dict[str, Any] | None:
    if "json" in request.headers.get("content-type", ""):
        try:
            found = json.loads(request.body)
        except ValueError:
            return None
        return found if isinstance(found, dict) else None
    form = {key: values[0] for key, values in parse_qs(request.body.decode()).items()}
    if "payload" in form:
        return dict(json.loads(form["payload"]))
    for key in ("blocks", "attachments"):
        if key in form:
            form[key] = json.loads(form[key])
    return form


def _texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["text"]] if isinstance(node.get("text"), str) else []
        rest = [
            text
            for key, value in node.items()
            if key != "text" or not own
            for text in _texts(value)
        ]
        return own + [text for text in rest if text]
    if isinstance(node, list):
        return [text for item in node for text in _texts(item)]
    return []


class Mail:
    """A mail server on loopback that keeps every message; AUTH is offered and believed."""

    def __init__(self, desk: Desk) -> None:
        self.messages: list[EmailMessage] = []
        self.logins: list[tuple[str, str]] = []
        self._desk = desk
        self._stopping = threading.Event()
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=free_port(),
            auth_required=False,
            auth_require_tls=False,
            authenticator=self._login,
        )
        self._controller.start()
        self.port = int(self._controller.port)

    @property
    def url(self) -> str:
        """As `SMTP_URL` takes it."""
        return f"smtp://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Ends the server."""
        self._stopping.set()
        self._controller.stop()

    def clear(self) -> None:
        """Forgets every message."""
        self.messages.clear()

    def _login(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any
    ) -> AuthResult:
        if isinstance(data, LoginPassword):
            self.logins.append((data.login.decode(), data.password.decode()))
        return AuthResult(success=True)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """One message: kept, unless a fault is planned for `smtp`."""
        call = Call(
            "smtp",
            {"from": envelope.mail_from, "to": list(envelope.rcpt_tos)},
            time.monotonic(),
            str(session.peer),
            "",
        )
        fault = self._desk.faults.take("smtp")
        if fault is None or fault.after:
            content = envelope.content if isinstance(envelope.content, bytes) else b""
            lines = content.replace(b"\r\n", b"\n")
            parsed = email.message_from_bytes(lines, policy=email.policy.default)
            assert isinstance(parsed, EmailMessage)
            self.messages.append(parsed)
        if fault is None:
            self._desk.journal.write(call, "OK")
            return "250 Message accepted for delivery"
        await self._pause(fault.delay + fault.hang, server)
        self._desk.journal.write(call, fault.status or "DROPPED")
        if (fault.drop or fault.hang) and server.transport is not None:
            server.transport.close()
        status = fault.status if fault.status.isdigit() else "451"
        return f"{status} {fault.message or 'Requested action aborted: local error in processing'}"

    async def _pause(self, seconds: float, server: SMTP) -> None:
        """Others are served meanwhile; ends early when the client is gone."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends and not self._stopping.is_set():
            if server.transport is None or server.transport.is_closing():
                return
            await asyncio.sleep(0.02)


class SlowHost:
    """An external host on loopback that answers after `seconds`."""

    def __init__(self, desk: Desk, seconds: float = 0.8) -> None:
        self.seconds = seconds
        self._stopping = threading.Event()
        self._server = HttpServer(desk, [Route("*", r"/.*", self._answer, "host")])
        self.port = self._server.port
        self.url = self._server.url

    def stop(self) -> None:
        """Ends the server."""
        self._stopping.set()
        self._server.stop()

    def _answer(self, request: Request) -> Answer:
        self._stopping.wait(self.seconds)
        return Answer(200, b"late but here\n", {"Content-Type": "text/plain"})
