"""An alert as a value: what it says, ready to be stored, rendered and sent. Pure.

Owns the vocabulary of alerts and the plain text form that terminals and mails show. A Message is
made by `compose` alone, which sees to it that every text in it is redacted and cut.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from remediator.domain import Evidence, Json, Source, Unusable

WHY = "Why"
EVIDENCE = "Evidence"


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
    POLICY_CHANGED = "policy_changed"
    LEDGER_DAMAGED = "ledger_damaged"
    GROUPED = "grouped"


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
    }
)
"""Alerts about the deployment or about many jobs: they belong to no chain."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One answer: a label of ours and the text beneath it."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Link:
    """Where to look; `url` is always https and built here."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Button:
    """A choice a Slack app can offer; `action` is `approve` or `decline`, `value` the approval."""

    action: str
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Message:
    """An alert, ready to be rendered: redacted, without control characters, cut.

    `subject` is the chain's, the same in all its mails, since some clients thread by it; empty: the
    title says it.
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

    @property
    def answers(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """What is read, in order: each label with its lines; the evidence follows the why."""
        proof = tuple(evidence_line(item) for item in self.evidence)
        told: list[tuple[str, tuple[str, ...]]] = []
        for fact in self.facts:
            told.append((fact.label, tuple(fact.value.split("\n"))))
            if fact.label == WHY and proof:
                told.append((EVIDENCE, proof))
        return tuple(told)

    @property
    def in_chain(self) -> bool:
        """It belongs to one chain, and so to that chain's thread; summaries do not."""
        return self.kind not in SUMMARIES

    def as_preview(self, when: str) -> Message:
        """Marked as one, and in no chain's thread: the chain's own first alert may still come."""
        return replace(
            self, title=f"Preview: {self.title}", thread_key=f"preview/{when}", subject=""
        )

    def to_json(self) -> dict[str, Any]:
        """For the ledger's list of owed alerts; `parse` gives the same Message back."""
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
        }

    @classmethod
    def parse(cls, body: Json) -> Message:
        """From `to_json`; raises Unusable where the stored form is damaged."""
        try:
            return cls(
                kind=AlertKind(body["kind"]),
                title=str(body["title"]),
                severity=Severity(body["severity"]),
                thread_key=str(body["thread_key"]),
                facts=tuple(Fact(str(label), str(value)) for label, value in body["facts"]),
                evidence=tuple(
                    Evidence(Source(e["source"]), str(e["where"]), str(e["says"]))
                    for e in body["evidence"]
                ),
                links=tuple(Link(str(label), str(url)) for label, url in body["links"]),
                commands=tuple(str(command) for command in body["commands"]),
                buttons=tuple(Button(str(a), str(b), str(v)) for a, b, v in body["buttons"]),
                subject=str(body.get("subject") or ""),
            )
        except (KeyError, TypeError, ValueError) as err:
            msg = f"a stored alert cannot be read: {type(err).__name__}"
            raise Unusable(msg) from err


def as_text(message: Message, width: int = 78) -> str:
    """The Message as plain text, wrapped at `width`: for terminals and an e-mail's text part."""
    blocks = [_filled(message.title, "", width)]
    for label, lines in message.answers:
        mark = "  - " if label == EVIDENCE else "  "
        blocks.append("\n".join([label, *(_filled(line, mark, width) for line in lines)]))
    if message.commands:
        blocks.append("Commands\n" + "\n".join(f"  {command}" for command in message.commands))
    if message.links:
        blocks.append(
            "Links\n" + "\n".join(f"  {link.label}: {link.url}" for link in message.links)
        )
    return "\n\n".join(blocks) + "\n"


def evidence_line(item: Evidence) -> str:
    """One piece of evidence on one line: what it says, and where that was read."""
    where = f", {item.where}" if item.where not in {"", item.source.value} else ""
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
