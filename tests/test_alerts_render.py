"""How alerts look: inside Slack's published limits, and text from outside stays text."""

from __future__ import annotations

import html
import json
import re
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from html.parser import HTMLParser
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.alerts import compose
from remediator.alerts.message import (
    AlertKind,
    Button,
    Fact,
    Item,
    Link,
    Message,
    Severity,
    as_text,
)
from remediator.alerts.render import render_email, render_slack
from remediator.domain import Evidence, Source
from tests.alert_situations import SITUATIONS
from tests.hostile import CLOSES_TAGS_AND_QUOTES

DUE = datetime(2026, 11, 23, 20, 2, 5, tzinfo=UTC)
HOSTILE = (
    "<!channel> <@U1|x> <https://evil.example|click> *b* _i_ `c` & :wave: https://evil.example"
)

MESSAGE = Message(
    kind=AlertKind.APPROVAL,
    title="Approval needed: genomic-prep failed (CPUs full)",
    severity=Severity.LOUD,
    thread_key="us-central1/customJobs/1",
    facts=(
        Fact("Why", "CPUs full (91% sure)"),
        Fact("The job", "Custom job genomic-prep\nFAILED after 1 h 00 min"),
    ),
    next_step="Approve or decline within 12 hours.",
    evidence=(Evidence(Source.METRIC, "training/cpu/utilization", "CPUs 97% full"),),
    links=(Link("Job", "https://console.cloud.google.com/x?a=1&b=2"), Link("Logs", "https://l")),
    commands=("python -m remediator approve apr-1", "python -m remediator decline apr-1"),
    buttons=(Button("approve", "Approve", "apr-1"), Button("decline", "Decline", "apr-1")),
)
WILD = Message(
    kind=AlertKind.ALERT,
    title=HOSTILE,
    severity=Severity.LOUD,
    thread_key=HOSTILE,
    facts=(Fact(HOSTILE, HOSTILE), Fact("Why", HOSTILE)),
    evidence=(Evidence(Source.LOG, HOSTILE, HOSTILE),),
    links=(Link(HOSTILE, 'https://c.example/>|<!channel>"'),),
    commands=(HOSTILE,),
    buttons=(Button("approve", HOSTILE, HOSTILE),),
)
HUGE = Message(
    kind=AlertKind.ALERT,
    title="t" * 9000,
    severity=Severity.QUIET,
    thread_key="k" * 9000,
    facts=tuple(Fact("l" * 9000, "v" * 9000) for _ in range(90)),
    evidence=(Evidence(Source.LOG, "w" * 9000, "s" * 9000),) * 90,
    links=tuple(Link("l" * 300, "https://x.example/" + "u" * 900) for _ in range(90)),
    commands=("c" * 9000,) * 90,
    buttons=(Button("approve", "b" * 900, "v" * 9000),) * 5,
)
EMPTY = Message(AlertKind.ALERT, "", Severity.QUIET, "", facts=(Fact("", ""),))


def test_a_slack_message_reads_as_written_here() -> None:
    assert render_slack(MESSAGE, buttons=True) == {
        "text": "Approval needed: genomic-prep failed (CPUs full)\n"
        "Next step: Approve or decline within 12 hours.",
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": [
            {"type": "header", "text": plain(MESSAGE.title)},
            {
                "type": "section",
                "text": plain("Next step: Approve or decline within 12 hours."),
            },
            {
                "type": "section",
                "text": markup(
                    "`python -m remediator approve apr-1`\n`python -m remediator decline apr-1`"
                ),
            },
            {
                "type": "actions",
                "elements": [
                    {
                        "type": "button",
                        "text": plain("Approve"),
                        "action_id": "remediator_approve",
                        "value": "apr-1",
                        "style": "primary",
                    },
                    {
                        "type": "button",
                        "text": plain("Decline"),
                        "action_id": "remediator_decline",
                        "value": "apr-1",
                        "style": "danger",
                    },
                ],
            },
            *labelled("Why", "CPUs full (91% sure)"),
            *labelled("Evidence", "• CPUs 97% full [metric, training/cpu/utilization]"),
            *labelled("The job", "Custom job genomic-prep\nFAILED after 1 h 00 min"),
            {
                "type": "section",
                "text": markup(
                    "<https://console.cloud.google.com/x?a=1&amp;b=2|Job> · <https://l|Logs>"
                ),
            },
        ],
    }


def test_a_line_of_a_group_is_text_command_and_page_and_slack_parses_none_of_it() -> None:
    item = Item(HOSTILE, "python -m remediator approve x", Link("Job", "https://c.example/j"))
    message = Message(AlertKind.GROUPED, "t", Severity.LOUD, "grouped", items=(item,))
    (block,) = [b for b in render_slack(message)["blocks"] if b["type"] == "rich_text"]
    (listed,) = block["elements"]
    assert listed["elements"] == [
        {
            "type": "rich_text_section",
            "elements": [
                {"type": "text", "text": HOSTILE},
                {"type": "text", "text": " "},
                {
                    "type": "text",
                    "text": "python -m remediator approve x",
                    "style": {"code": True},
                },
                {"type": "text", "text": " "},
                {"type": "link", "url": "https://c.example/j", "text": "Job"},
            ],
        }
    ]
    assert "python -m remediator approve x" in part(mail(message), "html")
    assert "<!channel>" not in part(mail(message), "html")


def plain(text: str) -> dict[str, Any]:
    return {"type": "plain_text", "text": text, "emoji": False}


def markup(text: str) -> dict[str, Any]:
    return {"type": "mrkdwn", "text": text, "verbatim": True}


def labelled(label: str, value: str) -> list[dict[str, Any]]:
    return [
        {"type": "context", "elements": [markup(f"*{label}*")]},
        {"type": "section", "text": plain(value)},
    ]


def test_without_a_slack_app_there_are_commands_but_no_buttons() -> None:
    blocks = render_slack(MESSAGE)["blocks"]
    assert "actions" not in {block["type"] for block in blocks}
    assert "approve apr-1" in json.dumps(blocks)


def text_limit(holder: str, kind: str) -> tuple[int, int]:
    """Least and most characters of a text object, as docs.slack.dev's block-kit pages say."""
    most = {"header": 150, "section": 3000, "context": 3000, "button": 75}[holder]
    if holder in {"header", "button"}:
        assert kind == "plain_text"
    return 1, most


def check_text(holder: str, text: dict[str, Any]) -> None:
    assert set(text) <= {"type", "text", "emoji", "verbatim"}
    least, most = text_limit(holder, text["type"])
    assert least <= len(text["text"]) <= most
    assert ("emoji" in text) == (text["type"] == "plain_text")


def check_slack_limits(payload: dict[str, Any]) -> None:
    """Slack's published limits: 50 blocks, 10 context elements, 25 actions, and text sizes."""
    assert 1 <= len(payload["blocks"]) <= 50
    assert len(payload["text"]) <= 40_000
    for block in payload["blocks"]:
        match block["type"]:
            case "header" | "section":
                check_text(block["type"], block["text"])
            case "context":
                assert 1 <= len(block["elements"]) <= 10
                for element in block["elements"]:
                    check_text("context", element)
            case "actions":
                assert 1 <= len(block["elements"]) <= 25
                assert len({e["action_id"] for e in block["elements"]}) == len(block["elements"])
                for element in block["elements"]:
                    check_text("button", element["text"])
                    assert len(element["action_id"]) <= 255
                    assert len(element["value"]) <= 2000
            case other:
                pytest.fail(f"a block that was not meant: {other}")


@pytest.mark.parametrize("buttons", [True, False])
@pytest.mark.parametrize(
    "message", [MESSAGE, WILD, HUGE, EMPTY], ids=["plain", "wild", "huge", "empty"]
)
def test_every_slack_message_holds_to_slacks_limits(message: Message, buttons: bool) -> None:
    check_slack_limits(render_slack(message, buttons=buttons))


def test_links_and_commands_that_fill_a_section_go_on_in_the_next_and_none_is_cut() -> None:
    links = tuple(
        Link(str(n), f"https://console.cloud.google.com/{'x' * 100}{n}") for n in range(60)
    )
    many = replace(
        MESSAGE, links=links, commands=tuple(f"approve {'y' * 80} {n}" for n in range(60))
    )
    payload = render_slack(many)
    check_slack_limits(payload)
    told = "\n".join(marked_up(payload))
    assert all(f"`{command}`" in told for command in many.commands)
    assert all(f"<{link.url}|{link.label}>" in told for link in links)


def marked_up(payload: dict[str, Any]) -> list[str]:
    """Every string that Slack would parse for mentions and links."""
    found = [payload["text"]]
    for block in payload["blocks"]:
        texts = [block["text"]] if "text" in block else block["elements"]
        found += [t["text"] for t in texts if t["type"] == "mrkdwn"]
    return found


def test_nothing_from_outside_can_ping_or_link_in_slack() -> None:
    payload = render_slack(WILD, buttons=True)
    for text in marked_up(payload):
        assert "<!" not in text
        assert "<@" not in text
        assert text.count("<") == text.count("<https://c.example/")
        assert not text.startswith("<") or text.partition("|")[0].endswith('%7C&lt;!channel&gt;"')


class Outline(HTMLParser):
    """The tags and links of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [str(v) for k, v in attrs if k in {"href", "src"}]
        assert not [k for k, _ in attrs if k.startswith("on")]

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.words.append(data)


def mail(message: Message = MESSAGE, thread: str = "") -> EmailMessage:
    """The mail as it arrives: through its bytes."""
    made = render_email(
        message,
        sender="vertex@example.com",
        to=["ml@example.com", "b@x.org"],
        due=DUE,
        thread=thread,
    )
    arrived = message_from_bytes(bytes(made), policy=default)
    assert isinstance(arrived, EmailMessage)
    return arrived


def part(of: EmailMessage, kind: str) -> str:
    body = of.get_body((kind,))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def test_a_mail_carries_the_text_and_a_page_that_says_the_same() -> None:
    arrived = mail()
    assert part(arrived, "plain") == as_text(MESSAGE)
    page = Outline(part(arrived, "html"))
    told = " ".join(page.words)
    for label, lines in MESSAGE.answers:
        assert all(words in told for words in (label, *lines))
    assert page.links == ["https://console.cloud.google.com/x?a=1&b=2", "https://l"]
    assert {"script", "img", "link", "form", "iframe"}.isdisjoint(page.tags)


def test_a_mail_has_the_headers_that_its_reader_needs() -> None:
    headers = {k: str(v) for k, v in mail().items() if not k.startswith(("Content", "MIME"))}
    assert headers.pop("Message-ID").startswith("<approval.")
    assert headers == {
        "From": "vertex@example.com",
        "To": "ml@example.com, b@x.org",
        "Subject": MESSAGE.title,
        "Date": "Mon, 23 Nov 2026 20:02:05 +0000",
        "Auto-Submitted": "auto-generated",
        "Importance": "high",
    }


def test_later_mails_of_a_chain_answer_its_first() -> None:
    first = str(mail()["Message-ID"])
    later = mail(replace(MESSAGE, kind=AlertKind.ACTED), thread=first)
    assert later["In-Reply-To"] == later["References"] == first
    assert later["Message-ID"] != first
    assert str(later["Message-ID"]).endswith("@example.com>")


def test_a_chains_mails_bear_its_subject_and_their_own_state_first() -> None:
    """The state is the first line of either part, what to do the second."""
    of_chain = replace(
        MESSAGE, subject="[vertex] genomic-prep failed (7)", topic="[vertex] genomic-prep (7)"
    )
    for arrived in (mail(of_chain), mail(of_chain, thread="<a@b>")):
        assert arrived["Subject"] == "[vertex] genomic-prep failed (7)"
        assert arrived["Thread-Topic"] == "[vertex] genomic-prep (7)"
        first, second = part(arrived, "plain").splitlines()[:2]
        assert first == MESSAGE.title
        assert second == "Next step: Approve or decline within 12 hours."
        assert Outline(part(arrived, "html")).words[1] == MESSAGE.title


def test_the_first_mail_of_a_chain_can_be_lost_and_the_next_is_none_the_less_read() -> None:
    """After a crash between sending and writing it down, no mail of the chain is known.

    Gmail shows one of two mails that bear one Message-ID, whatever they say.
    """
    outcome = replace(MESSAGE, kind=AlertKind.RECOVERED, title="Recovered: genomic-prep")
    later = render_email(outcome, sender="vertex@example.com", to=["b@x.org"], due=DUE)
    assert later["Message-ID"] != mail()["Message-ID"]


def test_a_chain_is_one_conversation_by_gmails_rule() -> None:
    """One subject after its prefixes, and a reference to an earlier mail of the conversation.

    https://workspaceupdates.googleblog.com/2019/03/threading-changes-in-gmail-conversation-view.html
    """
    chain = replace(MESSAGE, subject="[vertex] genomic-prep failed (7)")
    first = mail(chain)
    later = (AlertKind.NEXT_ATTEMPT, AlertKind.GIVEN_UP)
    answers = [mail(replace(chain, kind=k), thread=str(first["Message-ID"])) for k in later]
    mails = [first, *answers]
    assert len({str(one["Message-ID"]) for one in mails}) == 3
    known: set[str] = set()
    for one in mails:
        ids = str(one["References"] or "").split()
        assert not known or set(ids) & known
        assert one["In-Reply-To"] in {None, *ids}
        known.add(str(one["Message-ID"]))
    assert {
        re.sub(r"^((re|fwd?): ?)+", "", str(m["Subject"]), flags=re.IGNORECASE) for m in mails
    } == {"[vertex] genomic-prep failed (7)"}


def test_the_same_alert_sent_again_bears_the_same_id() -> None:
    assert mail()["Message-ID"] == mail()["Message-ID"]
    assert mail(thread="<a@b>")["Message-ID"] == mail(thread="<a@b>")["Message-ID"]


def test_two_summaries_are_two_mails() -> None:
    summary = Message(AlertKind.GROUPED, "3 alerts", Severity.QUIET, "grouped")
    ids = {
        str(render_email(summary, sender="a@b.c", to=["d@e.f"], due=due)["Message-ID"])
        for due in (DUE, DUE.replace(minute=30))
    }
    assert len(ids) == 2


def test_nothing_from_outside_becomes_markup_or_a_header_in_a_mail() -> None:
    arrived = mail(WILD)
    assert arrived["Subject"] == WILD.title
    page = part(arrived, "html")
    assert html.escape(HOSTILE) in page
    assert Outline(page).links == ['https://c.example/>|<!channel>"']


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_display_name_that_closes_tags_and_quotes_is_text_in_every_mail(name: str) -> None:
    """The mail with it has the tags and links of the mail with plain words in its place."""
    hostile, plain_name = (
        Outline(part(mail(compose(replace(SITUATIONS[name], display_name=text))), "html"))
        for text in (CLOSES_TAGS_AND_QUOTES, "plain words")
    )
    assert hostile.tags == plain_name.tags
    assert hostile.links == plain_name.links
    assert ("<script>" in "".join(hostile.words)) == ("plain words" in "".join(plain_name.words))


WORDS = {
    "quoted": "=?utf-8?q?hello=20there?=",
    "base64": "=?utf-8?b?aGVsbG8gdGhlcmU=?=",
    "in a name": "nightly =?utf-8?q?hello=20there?= (2)",
    "other charset": "=?iso-8859-1?Q?caf=E9?= été",
    "torn": "=?utf-8?q?hello=20there",
    "two": "=?utf-8?q?a?= =?utf-8?q?b?=",
    "long": "=?utf-8?q?hello=20there?= " * 8 + "end",
}
HEADERS = [
    "from", "to", "subject", "date", "message-id", "auto-submitted", "importance", "mime-version", "content-type",
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS.values(), ids=WORDS)
def test_an_encoded_word_in_a_name_is_text_in_a_mail_and_makes_no_header(word: str) -> None:
    """Whatever Python does when a header is set: what a person sees is what the name is."""
    for changed in ({"title": word}, {"subject": word}):
        arrived = mail(replace(MESSAGE, **changed))
        assert " ".join(str(arrived["Subject"]).split()) == word
        assert [name.lower() for name in arrived] == HEADERS
        assert as_text(replace(MESSAGE, **changed)).split() == part(arrived, "plain").split()


@pytest.mark.parametrize("word", [word for word in WORDS.values() if len(word) < 60])
def test_an_encoded_word_in_the_name_of_a_mailbox_is_text_too(word: str) -> None:
    made = render_email(
        MESSAGE, sender=f"{word} <a@b.c>", to=[f"{word} <d@e.f>", "José <g@h.i>"], due=DUE
    )
    arrived = message_from_bytes(bytes(made), policy=default)
    (sender,), (first, second) = arrived["From"].addresses, arrived["To"].addresses
    assert (sender.display_name, sender.addr_spec) == (word, "a@b.c")
    assert (first.display_name, first.addr_spec) == (word, "d@e.f")
    assert (second.display_name, second.addr_spec) == ("José", "g@h.i")
    assert [name.lower() for name in arrived] == HEADERS


@pytest.mark.parametrize("message", [WILD, HUGE, EMPTY], ids=["wild", "huge", "empty"])
def test_any_message_makes_a_mail(message: Message) -> None:
    made = render_email(message, sender="a@b.c", to=["d@e.f"], due=DUE)
    assert all(len(line) <= 998 for line in bytes(made).split(b"\r\n"))  # RFC 5322, 2.1.1
    assert not mail(message).defects
