"""An alert as a value: what it says, ready to be stored, rendered and sent. Pure.

Owns the vocabulary of alerts and the plain text form that terminals and mails show. A Message is
made by `compose` alone, which sees to it that every text in it is redacted and cut.
"""

from __future__ import annotations

import textwrap
from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from remediator.domain import Evidence, InvalidInput, Json, Source

WHY = "Why"
EVIDENCE = "Evidence"
LAST_LINES = "Last lines before the end"
NEXT_STEP = "Next step"
JOB_PAGE = "Job"
"""The label of the link to the job's own page."""
_NEXT_STEP_BEFORE = "What you must do"  # how versions before 0.2 labelled it in what they stored


class AlertKind(StrEnum):
    """What an alert tells; a chain is alerted at most once for each state that matters."""

    ACTED = "acted"
    WAITING = "waiting"
    APPROVAL = "approval"
    OBSERVED = "observed"
    ALERT = "alert"
    NEXT_ATTEMPT = "next_attempt"
    RECOVERED = "recovered"
    GIVEN_UP = "given_up"
    OLD_FAILURES = "old_failures"
    SINK_SILENT = "sink_silent"
    NO_PERMISSION = "no_permission"
    REFUSED_CREATION = "refused_creation"
    OVERRUN = "overrun"
    RUNNING = "running"
    POLICY_CHANGED = "policy_changed"
    LEDGER_DAMAGED = "ledger_damaged"
    GROUPED = "grouped"
    DIGEST = "digest"


class Severity(StrEnum):
    """Loud: a person is needed. Quiet: good to know."""

    LOUD = "loud"
    QUIET = "quiet"


SUMMARIES = frozenset(
    {
        AlertKind.OLD_FAILURES,
        AlertKind.SINK_SILENT,
        AlertKind.NO_PERMISSION,
        AlertKind.POLICY_CHANGED,
        AlertKind.LEDGER_DAMAGED,
        AlertKind.GROUPED,
        AlertKind.DIGEST,
    }
)
"""Alerts about the deployment or about many jobs: they belong to no chain."""


class Fact(Struct, frozen=True):
    """One answer: a label of ours and the text beneath it."""

    label: str
    value: str


class Link(Struct, frozen=True):
    """Where to look; `url` is always https and built here."""

    label: str
    url: str


class Button(Struct, frozen=True):
    """A choice a Slack app can offer; `action` is `approve` or `decline`, `value` the approval."""

    action: str
    label: str
    value: str


class Item(Struct, frozen=True):
    """One alert of a group on a line of its own: what it is about, the command and the page for it."""

    text: str
    command: str = ""
    link: Link | None = None


class Message(Struct, frozen=True):
    """An alert, ready to be rendered: redacted, without control characters, cut.

    `next_step` is what the reader must do, also when it is nothing: it stands right under the title.
    `subject` is that of its mail, `topic` what all mails of a chain have in common; empty: the title
    says it. `items` are the alerts of a group that need a person. `question` is the same for
    questions that one answer could settle; `what` is the job and its name in a few words.
    `outcomes` are the chain's outcome as the outcomes topic has it (of a group, one for each alert in
    it that has one): programs read it.
    """

    kind: AlertKind
    title: str
    severity: Severity
    thread_key: str
    facts: tuple[Fact, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    links: tuple[Link, ...] = ()
    commands: tuple[str, ...] = ()
    buttons: tuple[Button, ...] = ()
    subject: str = ""
    next_step: str = ""
    topic: str = ""
    items: tuple[Item, ...] = ()
    question: str = ""
    what: str = ""
    outcomes: tuple[Json, ...] = ()

    @property
    def needs_person(self) -> bool:
        """Whether somebody must do something."""
        return self.severity is Severity.LOUD

    @property
    def answers(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What is read, in order: each label with its lines; the evidence follows the why."""
        proof = tuple(evidence_line(item) for item in self.evidence)
        sections: list[tuple[str, tuple[str, ...]]] = []
        for fact in self.facts:
            sections.append((fact.label, tuple(fact.value.split("\n"))))
            if fact.label == WHY and proof:
                sections.append((EVIDENCE, proof))
        return tuple(sections)

    @property
    def in_chain(self) -> bool:
        """It belongs to one chain, and so to that chain's thread; summaries do not."""
        return self.kind not in SUMMARIES

    def as_preview(self, when: str) -> Message:
        """Marked as one, and in no chain's thread: the chain's own first alert may still come."""
        return replace(
            self,
            title=f"Preview: {self.title}",
            thread_key=f"preview/{when}",
            subject="",
            topic="",
        )

    def to_json(self) -> dict[str, Any]:
        """For the ledger's list of undelivered alerts; `parse` gives the same Message back."""
        return {
            "kind": self.kind.value,
            "title": self.title,
            "severity": self.severity.value,
            "thread_key": self.thread_key,
            "facts": [[fact.label, fact.value] for fact in self.facts],
            "evidence": [item.to_json() for item in self.evidence],
            "links": [[link.label, link.url] for link in self.links],
            "commands": list(self.commands),
            "buttons": [[b.action, b.label, b.value] for b in self.buttons],
            "subject": self.subject,
            "next_step": self.next_step,
            "topic": self.topic,
            "items": [
                [item.text, item.command, [item.link.label, item.link.url] if item.link else None]
                for item in self.items
            ],
            "question": self.question,
            "what": self.what,
            "outcomes": list(self.outcomes),
        }

    @classmethod
    def parse(cls, body: Json) -> Message:
        """From `to_json`; raises InvalidInput where the stored form is damaged."""
        try:
            facts = [(str(label), str(value)) for label, value in body["facts"]]
            before = next((value for label, value in facts if label == _NEXT_STEP_BEFORE), "")
            return cls(
                kind=AlertKind(body["kind"]),
                title=str(body["title"]),
                severity=Severity(body["severity"]),
                thread_key=str(body["thread_key"]),
                facts=tuple(Fact(*fact) for fact in facts if fact[0] != _NEXT_STEP_BEFORE),
                evidence=tuple(
                    Evidence(Source(e["source"]), str(e["where"]), str(e["says"]))
                    for e in body["evidence"]
                ),
                links=tuple(Link(str(label), str(url)) for label, url in body["links"]),
                commands=tuple(str(command) for command in body["commands"]),
                buttons=tuple(Button(str(a), str(b), str(v)) for a, b, v in body["buttons"]),
                subject=str(body.get("subject") or ""),
                next_step=str(body.get("next_step") or before),
                topic=str(body.get("topic") or body.get("subject") or ""),
                items=tuple(
                    Item(str(text), str(command), Link(*map(str, link)) if link else None)
                    for text, command, link in body.get("items") or ()
                ),
                question=str(body.get("question") or ""),
                what=str(body.get("what") or ""),
                outcomes=tuple(dict(one) for one in body.get("outcomes") or ()),
            )
        except (KeyError, TypeError, ValueError) as err:
            msg = f"a stored alert cannot be read: {type(err).__name__}"
            raise InvalidInput(msg) from err


def as_text(message: Message, width: int = 78) -> str:
    """The Message as plain text, wrapped at `width`: for terminals and an e-mail's text part."""
    head = [_filled(message.title, "", width)]
    if message.next_step:
        head.append(_filled(f"{NEXT_STEP}: {message.next_step}", "", width))
    head += [f"  {command}" for command in message.commands]
    blocks = ["\n".join(head)]
    if message.items:
        blocks.append("\n".join(_item_text(item, width) for item in message.items))
    for label, lines in message.answers:
        mark = "  - " if label == EVIDENCE else "  "
        blocks.append("\n".join([label, *(_filled(line, mark, width) for line in lines)]))
    if message.links:
        blocks.append(
            "Links\n" + "\n".join(f"  {link.label}: {link.url}" for link in message.links)
        )
    return "\n\n".join(blocks) + "\n"


def _item_text(item: Item, width: int) -> str:
    lines = [_filled(item.text, "- ", width)]
    lines += [f"  {item.command}"] if item.command else []
    lines += [f"  {item.link.url}"] if item.link else []
    return "\n".join(lines)


def evidence_line(item: Evidence) -> str:
    """One piece of evidence on one line: what it says, and where that was read.

    The id of a log entry says nothing to a reader: the link to it stands among the links.
    """
    names_place = item.where not in {"", item.source.value} and item.source is not Source.LOG
    where = f", {item.where}" if names_place else ""
    return f"{item.says} [{item.source.value}{where}]"


def _filled(line: str, mark: str, width: int) -> str:
    return textwrap.fill(
        line,
        width,
        initial_indent=mark,
        subsequent_indent=" " * len(mark),
        break_long_words=False,
        break_on_hyphens=False,
    )
