"""Sending: `open_channel`, what a channel is, and Slack (webhook or bot) and e-mail (SMTP).

Owns the wire: deadlines, TLS, what an answer means. `open_channel` turns a channel of the policy
file into something that sends; secrets come in resolved and never leave in an error's words. The
other services stand in a module each, which is imported when such a channel is opened.
Errors: TransientError (try again, with the service's own Retry-After where it sent one) and
PermanentError (will never work as it is configured). Must not decide what is said or when to try again: `compose`
and `outbox` do. slack_sdk and smtplib are imported when first used.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from email.utils import parseaddr
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from msgspec import Struct

from remediator.alerts.channel_specs import ChannelSpec
from remediator.alerts.grouping import GroupLimits
from remediator.alerts.http_post import (
    TIMEOUT_SECONDS,
    Reply,
    check_host,
    check_url,
    encode_json,
    is_loopback,
    judge,
    post_lightly,
    retry_after,
    web_errors,
)
from remediator.alerts.message import Message, Severity
from remediator.alerts.render import ENCODED_WORD, render_email, render_slack
from remediator.alerts.wording import shown
from remediator.domain import PermanentError, TransientError, VariableNotSet

if TYPE_CHECKING:
    import smtplib

__all__ = [
    "Channel",
    "Sent",
    "SlackBot",
    "SlackWebhook",
    "Smtp",
    "open_channel",
    "render_email",
    "render_slack",
]

SLACK_API = "https://slack.com/api/"

_SLACK_WILL_PASS = frozenset(
    {
        "ratelimited",
        "rate_limited",
        "internal_error",
        "fatal_error",
        "service_unavailable",
        "team_added_to_org",
        "request_timeout",
        "accesslimited",
    }
)
"""Slack's error words that say nothing against our request,
https://docs.slack.dev/reference/methods/chat.postMessage#errors"""
_CANNOT_UPDATE = frozenset({"message_not_found", "cant_update_message", "edit_window_closed"})


class Sent(Struct, frozen=True):
    """A delivered alert. `thread` is what the chain's next alert on this channel must be given.

    `not_reached`: recipients that the mail server refused while it took the others.
    """

    thread: str = ""
    not_reached: tuple[str, ...] = ()


class Channel(Protocol):
    """Where alerts go. `keeps_current`: one message a chain is updated, and replies tell more.

    `group_limits` is how much one message in place of many may hold.
    """

    keeps_current: bool
    group_limits: GroupLimits

    def send(self, message: Message, *, thread: str = "", due: datetime) -> Sent:
        """Delivers once or raises TransientError or PermanentError; `thread` as the chain's last Sent said."""
        ...

    def update(self, message: Message, *, thread: str) -> None:
        """Where it keeps current: the chain's first message says this too; nothing new is sent."""
        ...

    def check(self) -> None:
        """Raises TransientError or PermanentError where nothing could be delivered; sends nothing."""
        ...


def open_channel(
    name: str,
    spec: ChannelSpec,
    resolve_secret: Callable[[str], str],
    *,
    hosts: Sequence[str] | None = None,
    buttons: bool = False,
    to: Sequence[str] = (),
    project: str = "",
    slack_api: str = SLACK_API,
) -> Channel:
    """The channel, ready to send; opens no connection. Raises PermanentError, naming the channel;
    VariableNotSet where its secret stands in an environment variable that is not set.

    `hosts`: names a channel may speak to, globs, None for any. `buttons`: a Slack app is there that
    receives clicks. `to`: addresses instead of the channel's own (an owner found by the map).
    `project`: whose jobs these are, where several projects share a PagerDuty service.
    """
    try:
        opened = _opened(spec, resolve_secret, hosts, buttons, to, project, slack_api)
    except PermanentError as err:
        msg = f"channel {name}: {err}"
        kind = VariableNotSet if isinstance(err, VariableNotSet) else PermanentError
        raise kind(msg) from err
    if opened is None:
        msg = f"channel {name}: of no kind that is known"
        raise PermanentError(msg)
    return opened


def _opened(
    spec: ChannelSpec,
    resolve_secret: Callable[[str], str],
    hosts: Sequence[str] | None,
    buttons: bool,
    to: Sequence[str],
    project: str,
    slack_api: str,
) -> Channel | None:
    if spec.slack is not None and spec.slack.webhook is not None:
        return SlackWebhook(resolve_secret(spec.slack.webhook), hosts=hosts, buttons=buttons)
    if spec.slack is not None and spec.slack.token is not None:
        return SlackBot(
            resolve_secret(spec.slack.token),
            spec.slack.channel or "",
            api=slack_api,
            hosts=hosts,
            buttons=buttons,
        )
    if spec.email is not None:
        url = resolve_secret(spec.email.smtp)
        return Smtp(url, spec.email.sender, tuple(to) or spec.email.to, hosts=hosts)
    if spec.webhook is not None:
        from remediator.alerts.webhook import SignedWebhook  # noqa: PLC0415  # cold start

        url, secret = resolve_secret(spec.webhook.url), resolve_secret(spec.webhook.secret)
        return SignedWebhook(url, secret, hosts=hosts)
    if spec.teams is not None:
        from remediator.alerts.teams import TeamsWorkflow  # noqa: PLC0415  # cold start

        return TeamsWorkflow(resolve_secret(spec.teams.webhook), hosts=hosts)
    if spec.pagerduty is not None:
        from remediator.alerts.pagerduty import (  # noqa: PLC0415  # cold start
            EVENTS_API,
            EVENTS_API_EU,
            PagerDutyEvents,
        )

        api = EVENTS_API_EU if spec.pagerduty.region == "eu" else EVENTS_API
        key = resolve_secret(spec.pagerduty.routing_key)
        return PagerDutyEvents(key, api=api, project=project, hosts=hosts)
    if spec.google_chat is not None:
        from remediator.alerts.google_chat import GoogleChatWebhook  # noqa: PLC0415  # cold start

        return GoogleChatWebhook(resolve_secret(spec.google_chat.webhook), hosts=hosts)
    return None


# --- Slack -------------------------------------------------------------------------------------


class SlackWebhook:
    """An incoming webhook: messages only, no updates, no threads. The URL itself is the secret."""

    keeps_current = False
    group_limits = GroupLimits()

    def __init__(
        self, url: str, *, hosts: Sequence[str] | None = None, buttons: bool = False
    ) -> None:
        check_url(url, "the webhook", hosts)
        self._url = url
        self._buttons = buttons

    def send(self, message: Message, *, thread: str = "", due: datetime) -> Sent:
        del thread, due  # a webhook's answer names no message that one could reply to
        reply = self._post(render_slack(message, buttons=self._buttons))
        judge("Slack", reply.status, reply.body, dict(reply.headers.items()))
        if reply.body.startswith("<"):
            msg = "the webhook was answered by a web page, not by Slack"
            raise TransientError(msg)
        return Sent()

    def update(self, message: Message, *, thread: str) -> None:
        """A webhook's message stays as it is."""

    def check(self) -> None:
        """Slack answers an empty message with `no_text` where the webhook is good."""
        reply = self._post({})
        if reply.body not in {"no_text", "invalid_payload"}:
            judge("Slack", reply.status, reply.body, dict(reply.headers.items()))

    def _post(self, body: Mapping[str, Any]) -> Reply:
        """By no SDK: a webhook is one POST, and the SDK is 30 ms of a cold start (measured)."""
        return post_lightly(self._url, encode_json(body), service="Slack")


class SlackBot:
    """A bot's token: the chain's first message is kept current, replies tell each step."""

    keeps_current = True
    group_limits = GroupLimits()

    def __init__(
        self,
        token: str,
        channel: str,
        *,
        api: str = SLACK_API,
        hosts: Sequence[str] | None = None,
        buttons: bool = False,
    ) -> None:
        check_url(api, "Slack's API", hosts)
        self._token = token
        self._channel = channel
        self._api = api if api.endswith("/") else f"{api}/"
        self._buttons = buttons

    def send(self, message: Message, *, thread: str = "", due: datetime) -> Sent:
        """Updates come before the reply: repeated after a failure, only the reply could double."""
        del due  # Slack stamps messages itself
        payload = render_slack(message, buttons=self._buttons)
        if thread and message.in_chain:
            place, _, stamp = thread.rpartition(":")
            if self._update(place, stamp, payload):
                reply = render_slack(message)
                self._call(
                    "chat.postMessage",
                    {
                        **reply,
                        "channel": place,
                        "thread_ts": stamp,
                        "reply_broadcast": message.severity is Severity.LOUD,
                    },
                )
                return Sent(thread)
        answer = self._call("chat.postMessage", {**payload, "channel": self._channel})
        place, stamp = answer.get("channel") or self._channel, answer.get("ts") or ""
        return Sent(f"{place}:{stamp}" if stamp and message.in_chain else "")

    def update(self, message: Message, *, thread: str) -> None:
        place, _, stamp = thread.rpartition(":")
        self._update(place, stamp, render_slack(message, buttons=self._buttons))

    def check(self) -> None:
        self._call("auth.test", {})

    def _update(self, place: str, stamp: str, payload: Mapping[str, Any]) -> bool:
        """False where the first message is gone: the chain then gets a new one."""
        try:
            self._call("chat.update", {**payload, "channel": place, "ts": stamp})
        except _SlackSays as err:
            if err.word in _CANNOT_UPDATE:
                return False
            raise
        return True

    def _call(self, method: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        from slack_sdk import WebClient  # noqa: PLC0415  # cold start
        from slack_sdk.errors import SlackApiError  # noqa: PLC0415  # cold start

        client = WebClient(
            self._token,
            base_url=self._api,
            timeout=int(TIMEOUT_SECONDS),
            logger=_silent(),
            retry_handlers=[],
        )
        client.proxy = None  # as above
        with web_errors("Slack"):
            try:
                response = client.api_call(method, json=dict(payload))
            except SlackApiError as err:
                answer = err.response
                data = answer.data if isinstance(answer.data, Mapping) else {}
                word = shown(str(data.get("error") or "no error word"), 80)
                judge("Slack", answer.status_code, word, dict(answer.headers))
                if word in _SLACK_WILL_PASS:
                    msg = f"Slack answered {word}"
                    raise TransientError(
                        msg, retry_after_seconds=retry_after(dict(answer.headers))
                    ) from err
                raise _SlackSays(word) from err
        return response.data if isinstance(response.data, Mapping) else {}


class _SlackSays(PermanentError):
    """Slack's API refused, by this word of its own."""

    def __init__(self, word: str) -> None:
        super().__init__(f"Slack refused: {word}")
        self.word = word


def _silent() -> logging.Logger:
    """slack_sdk logs whole URLs, and a webhook's URL is a secret; our errors say what is needed."""
    return logging.Logger("slack", logging.CRITICAL + 1)  # noqa: LOG001  # belongs to no tree


# --- e-mail ------------------------------------------------------------------------------------


class Smtp:
    """Mail by one SMTP server; a connection for each mail, closed after it."""

    keeps_current = False
    group_limits = GroupLimits()

    def __init__(
        self, url: str, sender: str, to: Sequence[str], *, hosts: Sequence[str] | None = None
    ) -> None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as err:
            msg = "the SMTP server's URL cannot be read"
            raise PermanentError(msg) from err
        if parts.scheme not in {"smtp", "smtps"} or not host:
            msg = "the SMTP server must be smtp://host:port or smtps://host:port"
            raise PermanentError(msg)
        for address in (sender, *to):
            spec = parseaddr(address)[1]
            if "@" not in spec or ENCODED_WORD in spec or any(ord(c) < 32 for c in address):  # noqa: PLR2004  # controls
                msg = f"not an e-mail address: {shown(address, 80)!r}"
                raise PermanentError(msg)
        if not to:
            msg = "no recipient"
            raise PermanentError(msg)
        check_host(host, hosts)
        wanted = parse_qs(parts.query).get("starttls", [""])[0]
        self._implicit = parts.scheme == "smtps"
        self._starttls = not self._implicit and (wanted == "require" or not is_loopback(host))
        self._host = host
        self._port = port or (465 if self._implicit else 587)  # RFC 8314, RFC 6409
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._sender = sender
        self._to = tuple(to)

    def send(self, message: Message, *, thread: str = "", due: datetime) -> Sent:
        mail = render_email(message, sender=self._sender, to=self._to, due=due, thread=thread)
        with _mail_errors(), self._connected() as server:
            refused = server.send_message(mail)
        first = thread or (str(mail["Message-ID"]) if message.in_chain else "")
        return Sent(first, tuple(sorted(refused)))

    def update(self, message: Message, *, thread: str) -> None:
        """A mail stays as it is."""

    def check(self) -> None:
        with _mail_errors(), self._connected() as server:
            server.noop()

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        import smtplib  # noqa: PLC0415  # cold start

        # An address literal: asking the resolver for our own name can hang, and tells nobody more.
        ours = "[127.0.0.1]"
        server: smtplib.SMTP
        if self._implicit:
            server = smtplib.SMTP_SSL(
                self._host,
                self._port,
                ours,
                timeout=TIMEOUT_SECONDS,
                context=ssl.create_default_context(),
            )
        else:
            server = smtplib.SMTP(self._host, self._port, ours, timeout=TIMEOUT_SECONDS)
        with server:
            if self._starttls:
                server.starttls(context=ssl.create_default_context())
            if self._user:
                server.login(self._user, self._password)
            yield server


@contextmanager
def _mail_errors() -> Iterator[None]:
    """smtplib's errors as ours: RFC 5321's 4xx and a broken line pass, 5xx stay."""
    import smtplib  # noqa: PLC0415  # cold start

    try:
        yield
    except smtplib.SMTPRecipientsRefused as err:
        codes = [code for code, _ in err.recipients.values()]
        msg = f"the mail server refused every recipient ({', '.join(map(str, sorted(set(codes))))})"
        raise (TransientError if any(_passes(c) for c in codes) else PermanentError)(msg) from err
    except smtplib.SMTPResponseException as err:
        said = err.smtp_error
        words = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        msg = f"the mail server answered {err.smtp_code}: {shown(words, 120)}"
        raise (TransientError if _passes(err.smtp_code) else PermanentError)(msg) from err
    except smtplib.SMTPNotSupportedError as err:
        msg = f"the mail server cannot do what is required: {shown(str(err), 120)}"
        raise PermanentError(msg) from err
    except (smtplib.SMTPException, OSError) as err:
        msg = f"the mail server could not be reached: {type(err).__name__}"
        raise TransientError(msg) from err


def _passes(code: int) -> bool:
    """Not a permanent negative reply; -1 is smtplib's word for a line that broke."""
    return not 500 <= code < 600  # noqa: PLR2004  # RFC 5321, section 4.2.1
