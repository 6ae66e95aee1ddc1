"""A message made to fit what a service takes. Pure.

Owns the order in which parts give way: evidence and long answers first, then all answers. The title,
the next step, its commands and a group's lines never do. Called by the services' own modules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

from msgspec.structs import replace

from remediator.alerts.message import Fact, Message
from remediator.alerts.wording import CUT

T = TypeVar("T")

_STEPS = ((900, 6), (400, 2), (150, 0))
"""Chosen: characters kept of each answer and pieces of evidence, step by step."""
_FEW_LINKS = 2


def fitted(
    message: Message, render: Callable[[Message], T], size_of: Callable[[T], int], most: int
) -> T:
    """The message as rendered, shortened until it is at most `most` by `size_of`.

    What cannot be made to fit is given as short as it gets: the service then says no itself.
    """
    rendered = render(message)
    for shorter in _shorter(message):
        if size_of(rendered) <= most:
            break
        rendered = render(shorter)
    return rendered


def _shorter(message: Message) -> Iterator[Message]:
    for characters, pieces in _STEPS:
        yield replace(
            message,
            facts=tuple(Fact(one.label, _cut(one.value, characters)) for one in message.facts),
            evidence=message.evidence[:pieces],
        )
    yield replace(message, facts=(), evidence=(), links=message.links[:_FEW_LINKS])


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + CUT
