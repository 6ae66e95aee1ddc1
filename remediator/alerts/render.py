"""How a Message looks: Slack's Block Kit and an e-mail. Pure.

Owns the limits that Slack publishes and the rule that text from outside stays text: it goes into
plain_text objects, which Slack does not parse, and into a template that escapes it. Must read no
clock and send nothing; `channels` sends what is rendered here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from email.header import Header
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any

from remediator.alerts.message import (
    EVIDENCE,
    NEXT_STEP,
    Button,
    Item,
    Link,
    Message,
    Severity,
    as_text,
)
from remediator.alerts.pages import Templates
from remediator.alerts.wording import CUT

# https://docs.slack.dev/reference/block-kit/blocks (blocks, header, section) and
# https://docs.slack.dev/reference/block-kit/block-elements/button-element
MOST_BLOCKS = 50
HEADER_LIMIT = 150
SECTION_LIMIT = 3000
BUTTON_LIMIT = 75
BUTTON_VALUE_LIMIT = 2000
ACTION_PREFIX = "remediator_"
"""Begins the action_id of our buttons, by which their clicks are known."""

Block = dict[str, Any]


def render_slack(message: Message, *, buttons: bool = False) -> dict[str, Any]:
    """The payload of a webhook or of chat.postMessage, without a channel.

    `buttons`: there is a Slack app that receives clicks; else the commands alone are shown.
    """
    blocks: list[Block] = [
        {"type": "header", "text": _plain(message.title.replace("\n", " "), HEADER_LIMIT)}
    ]
    if message.next_step:
        text = _plain(f"{NEXT_STEP}: {message.next_step}", SECTION_LIMIT)
        blocks.append({"type": "section", "text": text})
    blocks += _sections([_code(c) for c in message.commands], "\n")
    if buttons and message.buttons:
        blocks.append({"type": "actions", "elements": [_button(b) for b in message.buttons]})
    if message.items:
        blocks.append(_list(message.items))
    for label, lines in message.answers:
        mark = "• " if label == EVIDENCE else ""
        blocks += _labelled(label, "\n".join(mark + line for line in lines))
    blocks += _sections([_link(link) for link in message.links], " · ")
    return {
        "text": escaped(_notification(message)),
        "blocks": blocks[:MOST_BLOCKS],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _notification(message: Message) -> str:
    """What a telephone shows: the title, and beneath it what to do."""
    step = f"\n{NEXT_STEP}: {message.next_step}" if message.next_step else ""
    return message.title + step


def _code(text: str) -> str:
    return f"`{escaped(text).replace('`', '')}`"


def _list(items: Sequence[Item]) -> Block:
    """A list in Slack's rich text, which parses none of it: text, page and command on one line."""
    return {
        "type": "rich_text",
        "elements": [
            {
                "type": "rich_text_list",
                "style": "bullet",
                "elements": [
                    {"type": "rich_text_section", "elements": _line_of(item)} for item in items
                ],
            }
        ],
    }


def _line_of(item: Item) -> list[Block]:
    found: list[Block] = [{"type": "text", "text": _cut(item.text, SECTION_LIMIT)}]
    if item.command:
        found.append({"type": "text", "text": " "})
        found.append({"type": "text", "text": item.command, "style": {"code": True}})
    if item.link:
        found.append({"type": "text", "text": " "})
        found.append({"type": "link", "url": item.link.url, "text": item.link.label})
    return found


def escaped(text: str) -> str:
    """Text inside Slack's mrkdwn: with these three escaped nothing can ping, link or mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _labelled(label: str, value: str) -> list[Block]:
    """A small bold label of ours, and the value beneath it as text that Slack does not parse."""
    return [
        {"type": "context", "elements": [_markup(f"*{escaped(label)}*", SECTION_LIMIT)]},
        {"type": "section", "text": _plain(value, SECTION_LIMIT)},
    ]


def _sections(pieces: Sequence[str], between: str) -> list[Block]:
    """As few sections as hold the pieces whole; a link or a command that is cut is none."""
    held = ""
    full = []
    for piece in pieces:
        if held and len(held) + len(between) + len(piece) > SECTION_LIMIT:
            full.append(held)
            held = piece
        else:
            held = held + between + piece if held else piece
    texts = [*full, held] if held else full
    return [{"type": "section", "text": _markup(text, SECTION_LIMIT)} for text in texts]


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": _cut(text, limit) or "-", "emoji": False}


def _markup(text: str, limit: int) -> Block:
    """mrkdwn whose text is escaped already; verbatim: Slack adds no links and no mentions."""
    return {"type": "mrkdwn", "text": _cut(text, limit), "verbatim": True}


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + CUT


def _button(button: Button) -> Block:
    return {
        "type": "button",
        "text": _plain(button.label, BUTTON_LIMIT),
        "action_id": ACTION_PREFIX + button.action,
        "value": button.value[:BUTTON_VALUE_LIMIT],
        "style": "primary" if button.action == "approve" else "danger",
    }


def _link(link: Link) -> str:
    return f"<{escaped(link.url).replace('|', '%7C')}|{escaped(link.label)}>"


# --- e-mail ------------------------------------------------------------------------------------


def render_email(
    message: Message, *, sender: str, to: Sequence[str], due: datetime, thread: str = ""
) -> EmailMessage:
    """Text and HTML, threaded: later mails of a chain answer its first.

    `due` is when the alert fell due, the same at every try, so that a mail sent twice after a crash
    bears one Message-ID, and no two alerts the same: some servers drop the second of those unseen.
    `thread` is the Message-ID of the chain's first mail where one was sent before.
    """
    from email.policy import SMTP  # noqa: PLC0415  # cold start: a parser of mails comes with it

    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    # A title fits one line of 200; folded at 78 some clients show a space before it.
    mail = EmailMessage(policy=SMTP.clone(max_line_length=200))
    _set_header(mail, "From", _mailbox(sender))
    _set_header(mail, "To", ", ".join(map(_mailbox, to)))
    _set_header(mail, "Subject", _encoded(message.subject or message.title))
    if message.topic:  # by which Outlook keeps differing subjects together
        _set_header(mail, "Thread-Topic", _encoded(message.topic))
    mail["Date"] = format_datetime(due)
    digest = _digest(message.thread_key, due.isoformat())
    mail["Message-ID"] = f"<{message.kind.value}.{digest}@{domain}>"
    answered = "" if ENCODED_WORD in thread else _line(thread)
    if answered:
        mail["In-Reply-To"] = answered
        mail["References"] = answered
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office answers, please
    if message.severity is Severity.LOUD:
        mail["Importance"] = "high"
    mail.set_content(as_text(message))
    mail.add_alternative(page_of(message), subtype="html")
    return mail


ENCODED_WORD = "=?"
"""Begins an encoded word in a mail's header (RFC 2047), which Python decodes again when it is set."""


def _set_header(mail: EmailMessage, name: str, value: str) -> None:
    """A header whose text is never read as anything but text, whatever the Python.

    A text with an encoded word in it is encoded whole by us and stored as it is: set in the usual way it
    would be decoded first, and what it held, line breaks too on older Pythons such as 3.11.7, would stand
    in the header (https://github.com/python/cpython/issues/121650).
    """
    if ENCODED_WORD in value:
        mail.set_raw(name, value)
    else:
        mail[name] = value


def _encoded(text: str) -> str:
    """One line; with an encoded word in it, encoded as a whole, so that a reader sees it as text."""
    line = _line(text)
    return Header(line, "utf-8").encode() if ENCODED_WORD in line else line


def _mailbox(address: str) -> str:
    """`Name <address>`, an encoded word in the name shown as text."""
    name, spec = parseaddr(address)
    if ENCODED_WORD not in name and name.isascii():
        return _line(address)
    return f"{Header(_line(name), 'utf-8').encode()} <{_line(spec)}>"


def _line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]


_TEMPLATES = Templates(Path(__file__).with_name("templates"))
_ACCENTS = {Severity.LOUD: "#c5221f", Severity.QUIET: "#5f6368"}


def page_of(message: Message) -> str:
    """The mail's HTML part: one page without anything from outside, for light and dark."""
    return _TEMPLATES.draw(
        "mail.html.jinja",
        message=message,
        accent=_ACCENTS[message.severity],
        next_step=NEXT_STEP,
        evidence=EVIDENCE,
    )
