"""Many alerts in one, when there are more than a channel takes. Pure.

Owns what must not be lost on the way: whatever needs a person stands in some message with its
command and its page, and a second message is made where one has no room. Questions that ask the same
are one line with one command for all of them. Called by `compose` and the delivery.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Sequence

from msgspec import Struct

from remediator.alerts.message import JOB_PAGE, AlertKind, Fact, Item, Link, Message, Severity
from remediator.alerts.wording import listed, plural, shown

MOST_ITEMS = 20
"""Lines of one message that need a person; chosen: a telephone's three screens."""
_MOST_NAMES = 60
_NAMES_LIMIT = 1800
"""Characters of the names behind one question; Slack's section takes 3,000 with the command."""


class GroupLimits(Struct, frozen=True):
    """What one message of a channel holds of lines that need a person.

    `size` is counted in characters of the lines' own text; with `as_sent` in bytes of text, command and
    link as they go over the wire, for services that count those.
    """

    items: int = MOST_ITEMS
    size: int = 9_000  # chosen: of some 40,000 characters that Slack takes in all
    as_sent: bool = False

    def size_of(self, item: Item) -> int:
        """What the item takes of `size`."""
        if not self.as_sent:
            return len(item.text)
        parts = (item.text, item.command, item.link.url if item.link else "")
        return sum(len(json.dumps(html.escape(one), ensure_ascii=False).encode()) for one in parts)


def split(
    together: Sequence[Message], limits: GroupLimits | None = None
) -> tuple[tuple[Message, ...], ...]:
    """The alerts in as many groups as it takes for all that needs a person to stand in one of them."""
    limits = limits or GroupLimits()
    loud = [one for one in together if one.severity is Severity.LOUD]
    quiet = tuple(one for one in together if one.severity is not Severity.LOUD)
    batches: list[list[Message]] = [[]]
    lines = taken = 0
    for same in _alike(loud):
        size = limits.size_of(_item(same))
        if lines == limits.items or (lines and taken + size > limits.size):
            batches.append([])
            lines = taken = 0
        batches[-1].extend(same)
        lines += 1
        taken += size
    groups = [tuple(batch) for batch in batches if batch]
    if not groups:
        return (quiet,) if quiet else ()
    return (*groups[:-1], groups[-1] + quiet)


def grouped(together: Sequence[Message]) -> Message:
    """One Message in place of many: a line with command and page for each that needs a person."""
    loud = [one for one in together if one.severity is Severity.LOUD]
    quiet = [one for one in together if one.severity is not Severity.LOUD]
    count = len(loud)
    needing = (
        f"{count:,} {'needs' if count == 1 else 'need'} a person"
        if count
        else "none needs a person"
    )
    others = [_line(one) for one in quiet]
    return Message(
        kind=AlertKind.GROUPED,
        title=f"{plural(len(together), 'alert')} grouped into one: {needing}",
        severity=Severity.LOUD if loud else Severity.QUIET,
        thread_key=AlertKind.GROUPED.value,
        next_step=_to_do(count, len(quiet)),
        items=tuple(_item(same) for same in _alike(loud)),
        facts=(Fact("Good to know", "\n".join(listed(others))),) if others else (),
        outcomes=tuple(outcome for one in together for outcome in one.outcomes),
    )


def _alike(messages: Sequence[Message]) -> Iterator[list[Message]]:
    """Each by itself, but questions that ask the same together, where the first of them stood.

    A question's group is ended where its names would fill a section, and another begins.
    """
    by_question: dict[str, list[list[Message]]] = {}
    ordered: list[list[Message]] = []
    for one in messages:
        groups = by_question.setdefault(one.question, []) if one.question else []
        if groups and len(groups[-1]) < _MOST_NAMES and _names_fit([*groups[-1], one]):
            groups[-1].append(one)
            continue
        ordered.append([one])
        groups.append(ordered[-1])
    yield from ordered


def _names_fit(same: Sequence[Message]) -> bool:
    return sum(len(_name(one)) + 2 for one in same) <= _NAMES_LIMIT


def _item(same: Sequence[Message]) -> Item:
    first = same[0]
    if len(same) == 1:
        step = f" {first.next_step}" if first.next_step and not first.commands else ""
        end = "" if first.title.endswith(("?", ".", "!", "…")) else "."
        return Item(f"{first.title}{end}{step}", next(iter(first.commands), ""), _page(first))
    asked = first.question.partition(": ")[2]
    names = ", ".join(_name(one) for one in same)
    text = f"{len(same)} {first.what}s like this: {asked} Approve all, or one by its id: {names}"
    return Item(text, _for_all(first), _page(first))


def _name(one: Message) -> str:
    """`align-reads (7f3k-9m2q)`: the job, and the id that answers for it alone."""
    name = shown(one.topic.removeprefix("[vertex] ").rpartition(" (")[0], 60) or one.what
    return f"{name} ({', '.join(button.value for button in one.buttons[:1])})"


def _for_all(first: Message) -> str:
    """The command of the first question, for all that ask the same."""
    command = next(iter(first.commands), "")
    return command.replace(" approve ", " approve --like ", 1)


def _page(one: Message) -> Link | None:
    return next((link for link in one.links if link.label == JOB_PAGE), None)


def _to_do(loud: int, quiet: int) -> str:
    if not loud:
        return "Nothing."
    which = "Look at the one below" if loud == 1 else "Look at each line below"
    return f"{which}; the others are good to know." if quiet else f"{which}."


def _line(one: Message) -> str:
    page = _page(one)
    return f"• {one.title} ({_id_of(page)})" if page else f"• {one.title}"


def _id_of(page: Link) -> str:
    """The job's id, as the last part of its page in the console."""
    return page.url.partition("?")[0].rpartition("/")[2]
