"""Many alerts in one, when there are more than a channel takes. Pure.

Owns what must not be lost on the way: which of them need a person, how a question is answered, and
where each job is. Called by `compose`.
"""

from __future__ import annotations

from collections.abc import Sequence

from remediator.alerts.message import AlertKind, Fact, Link, Message, Severity
from remediator.alerts.wording import listed, plural


def grouped(together: Sequence[Message]) -> Message:
    """One Message in place of many, first what needs a person; a question keeps its commands."""
    ordered = sorted(together, key=lambda one: one.severity is not Severity.LOUD)
    loud = sum(one.severity is Severity.LOUD for one in ordered)
    needing = (
        f"{loud:,} {'needs' if loud == 1 else 'need'} a person" if loud else "none needs a person"
    )
    pages = [next((x for x in one.links if x.label == "Job"), None) for one in ordered]
    lines = [_line(one, page) for one, page in zip(ordered, pages, strict=True)]
    return Message(
        kind=AlertKind.GROUPED,
        title=f"{plural(len(ordered), 'alert')} grouped into one: {needing}",
        severity=Severity.LOUD if loud else Severity.QUIET,
        thread_key=AlertKind.GROUPED.value,
        facts=(
            Fact("What happened", "\n".join(listed(lines))),
            Fact("What you must do", _to_do(loud, len(ordered))),
        ),
        links=tuple(dict.fromkeys(Link(_id_of(x), x.url) for x in pages if x))[:MOST_PAGES],
        commands=tuple(c for one in ordered if one.buttons for c in one.commands),
    )


def _to_do(loud: int, of: int) -> str:
    if not loud:
        return "Nothing."
    first = "the first" if loud == 1 else f"the first {loud:,}"
    return "Look at each." if loud == of else f"Look at {first}; the others are good to know."


def _line(one: Message, page: Link | None) -> str:
    """The title, the job's id, and the id of a question that is still to be answered."""
    marks = [_id_of(page)] if page else []
    marks += [f"approval {button.value}" for button in one.buttons[:1]]
    return f"• {one.title} ({', '.join(marks)})" if marks else f"• {one.title}"


MOST_PAGES = 20
"""Links of a grouped alert, those that need a person first."""


def _id_of(page: Link) -> str:
    """The job's id, as the last part of its page in the console."""
    return page.url.partition("?")[0].rpartition("/")[2]
