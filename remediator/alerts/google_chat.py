"""Google Chat: a card to a space's incoming webhook, one thread for each chain.

Owns the card and Chat's limits. Chat reads HTML in a card's text, so that text from outside is
escaped by markupsafe. Sends through `http_post`; opened by `channels`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from markupsafe import Markup

from remediator.alerts.channel import Sent
from remediator.alerts.fitting import fitted
from remediator.alerts.grouping import GroupLimits
from remediator.alerts.http_post import BodyRefused, check_url, encode_json, post
from remediator.alerts.message import EVIDENCE, NEXT_STEP, Item, Link, Message

MOST_BYTES = 30_000
"""Chosen, below the documented 32,000 bytes of a message with its cards,
https://developers.google.com/workspace/chat/api/reference/rest/v1/spaces.messages"""
_SERVICE = "Google Chat"
_REPLY = "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"

Widget = dict[str, Any]


class GoogleChatWebhook:
    """A space's webhook: the alerts of a chain are one thread. The URL itself is the secret."""

    keeps_current = False
    group_limits = GroupLimits(items=20, size=12_000, as_sent=True)

    def __init__(self, url: str, *, hosts: Sequence[str] | None = None) -> None:
        check_url(url, "the Google Chat webhook", hosts)
        self._url = url

    def send(self, message: Message, *, thread: str = "", due: datetime) -> Sent:
        del thread, due  # Chat knows the thread by its key
        body = encode_json(render_google_chat(message))
        post(in_thread(self._url) if message.in_chain else self._url, body, service=_SERVICE)
        return Sent()

    def update(self, message: Message, *, thread: str) -> None:
        """A webhook's message stays as it is."""

    def check(self) -> None:
        """Chat refuses an empty message with 400 where the webhook is good."""
        with suppress(BodyRefused):
            post(self._url, b"{}", service=_SERVICE)


def in_thread(url: str) -> str:
    """The webhook's URL, asking for a reply in the thread that the body's key names."""
    parts = urlsplit(url)
    query = [*parse_qsl(parts.query, keep_blank_values=True), ("messageReplyOption", _REPLY)]
    return urlunsplit(parts._replace(query=urlencode(query)))


def render_google_chat(message: Message) -> dict[str, Any]:
    """The body of the webhook, within Chat's size."""
    return fitted(message, _body, lambda body: len(encode_json(body)), MOST_BYTES)


def _body(message: Message) -> dict[str, Any]:
    step = f"\n{NEXT_STEP}: {message.next_step}" if message.next_step else ""
    body: dict[str, Any] = {
        "fallbackText": message.title + step,
        "cardsV2": [{"cardId": "alert", "card": _card(message)}],
    }
    if message.in_chain:
        body["thread"] = {"threadKey": thread_key(message)}
    return body


def thread_key(message: Message) -> str:
    """One for each chain."""
    return hashlib.sha256(message.thread_key.encode(errors="replace")).hexdigest()[:32]


def _card(message: Message) -> dict[str, Any]:
    first: list[Widget] = [_text(_BOLD.format(message.title))]
    if message.next_step:
        first.append(_text(_BOLD_AND_MORE.format(f"{NEXT_STEP}:", message.next_step)))
    if message.commands:
        first.append(_text(_BREAK.join(message.commands)))
    first += [_text(_item(one)) for one in message.items]
    sections: list[dict[str, Any]] = [{"widgets": first}]
    for label, lines in message.answers:
        mark = "• " if label == EVIDENCE else ""
        content = _BREAK.join(mark + line for line in lines)
        sections.append({"header": label, "widgets": [_text(content)]})
    if message.links:
        sections.append({"widgets": [{"buttonList": {"buttons": list(map(_open, message.links))}}]})
    return {
        "header": {
            "title": "Vertex AI jobs",
            "subtitle": "Needs a person" if message.needs_person else "Good to know",
        },
        "sections": sections,
    }


_BREAK = Markup("<br>")
_BOLD = Markup("<b>{}</b>")
_BOLD_AND_MORE = Markup("<b>{}</b> {}")
_LINK = Markup('<a href="{}">{}</a>')


def _item(item: Item) -> Markup:
    parts: list[str] = [f"• {item.text}"]
    if item.command:
        parts.append(item.command)
    if item.link:
        parts.append(_LINK.format(item.link.url, item.link.label))
    return _BREAK.join(parts)


def _open(link: Link) -> Widget:
    return {"text": link.label, "onClick": {"openLink": {"url": link.url}}}


def _text(content: Markup) -> Widget:
    """A paragraph; Markup escapes each text that is put into it."""
    return {"textParagraph": {"text": str(content) or "-"}}
