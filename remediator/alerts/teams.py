"""Microsoft Teams: an Adaptive Card to a workflow's webhook.

Owns the card and Teams' limits. Text from outside stands in TextRuns, which know no Markdown (a
TextBlock does: a job's name could then be a link). Sends through `http_post`; opened by `channels`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from remediator.alerts.channel import Sent
from remediator.alerts.fitting import fitted
from remediator.alerts.grouping import GroupLimits
from remediator.alerts.http_post import check_url, encode_json, post, reach
from remediator.alerts.message import EVIDENCE, LAST_LINES, NEXT_STEP, Item, Link, Message

MOST_BYTES = 25_000
"""Chosen, below the 28 KB that Teams documents for a message from a webhook, since Teams wraps it:
https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using"""
_MOST_BUTTONS = 6
"""What Teams shows of a card's actions,
https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/design-effective-cards"""
_SERVICE = "Teams"
_CARD = "application/vnd.microsoft.card.adaptive"
_VERSION = "1.5"
"""The latest that Teams renders in a workflow's message, as its documentation says."""

Element = dict[str, Any]


class TeamsWorkflow:
    """A workflow ("When a Teams webhook request is received"): messages only, no updates, no threads.

    The URL itself is the secret. A workflow takes the request (202) before it posts: what it then
    cannot post, its own run history tells, and nobody else; so that a card never exceeds the limit.
    """

    keeps_current = False
    group_limits = GroupLimits(items=20, size=11_000, as_sent=True)

    def __init__(self, url: str, *, hosts: Sequence[str] | None = None) -> None:
        check_url(url, "the Teams webhook", hosts)
        self._url = url

    def send(self, message: Message, *, thread: str = "", due: datetime) -> Sent:
        del thread, due
        post(self._url, encode_json(render_teams(message)), service=_SERVICE)
        return Sent()

    def update(self, message: Message, *, thread: str) -> None:
        """What a workflow posted stays as it is."""

    def check(self) -> None:
        """Whether anything answers there: what the workflow does would be seen by all."""
        reach(self._url, service=_SERVICE)


def render_teams(message: Message) -> dict[str, Any]:
    """The body of the webhook: one attachment, an Adaptive Card, within Teams' size."""
    return fitted(message, _envelope, lambda body: len(encode_json(body)), MOST_BYTES)


def _envelope(message: Message) -> dict[str, Any]:
    return {
        "type": "message",
        "summary": message.title,
        "attachments": [
            {"contentType": _CARD, "contentUrl": None, "content": card_of(message)},
        ],
    }


def card_of(message: Message) -> dict[str, Any]:
    """The Adaptive Card, whatever its size."""
    color = "Attention" if message.needs_person else "Default"
    body: list[Element] = [
        _block(_run(message.title, size="Large", weight="Bolder", color=color)),
    ]
    if message.next_step:
        body.append(_block(_run(f"{NEXT_STEP}: ", weight="Bolder"), _run(message.next_step)))
    body += [_block(_run(one, fontType="Monospace")) for one in message.commands]
    body += [_item(one) for one in message.items]
    for label, lines in message.answers:
        mark = "• " if label == EVIDENCE else ""
        font = {"fontType": "Monospace"} if label == LAST_LINES else {}
        body.append({**_block(_run(label, weight="Bolder", isSubtle=True)), "spacing": "Medium"})
        body += [{**_block(_run(mark + line, **font)), "spacing": "None"} for line in lines if line]
    for link in message.links[_MOST_BUTTONS:]:
        body.append(_block(_run(f"{link.label}: {link.url}")))
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": _VERSION,
        "fallbackText": message.title,
        "msteams": {"width": "full"},
        "body": body,
    }
    if message.links:
        card["actions"] = [_open(link) for link in message.links[:_MOST_BUTTONS]]
    return card


def _item(item: Item) -> Element:
    runs = [_run(f"• {item.text}")]
    if item.command:
        runs += [_run(" "), _run(item.command, fontType="Monospace")]
    if item.link:
        runs += [_run(" "), _run(item.link.label, color="Accent", selectAction=_open(item.link))]
    return {**_block(*runs), "spacing": "Small"}


def _open(link: Link) -> Element:
    return {"type": "Action.OpenUrl", "title": link.label, "url": link.url}


def _block(*runs: Element) -> Element:
    return {"type": "RichTextBlock", "inlines": list(runs)}


def _run(text: str, **look: Any) -> Element:
    return {"type": "TextRun", "text": text, **look}
