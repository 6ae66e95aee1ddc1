"""Slack: by an incoming webhook, or by a bot, which keeps a chain's first message current.

Owns what Slack's answers mean; how a message looks is `render`'s. slack_sdk is imported when a bot first
calls. Called by `channels`.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from remediator.alerts.channel import Sent
from remediator.alerts.grouping import GroupLimits
from remediator.alerts.http_post import (
    TIMEOUT_SECONDS,
    Reply,
    check_url,
    encode_json,
    judge,
    post_lightly,
    retry_after,
    web_errors,
)
from remediator.alerts.message import Message, Severity
from remediator.alerts.render import render_slack
from remediator.alerts.wording import shown
from remediator.domain import PermanentError, TransientError

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
        client.proxy = None  # then urllib's own rules hold, which know `no_proxy`; the SDK's do not
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
