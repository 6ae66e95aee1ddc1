"""A line that accounts for the whole run: its stages, its profile, how much of it was a wait.

Owns the forms: parts of which one makes up most of the run, `3,541 s of 3,590 s waiting for the tile server`, a
stage's share with its seconds, the rows of Python's cProfile. Pure; called by `read_timeline`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from remediator.case import LogLine
from remediator.diagnosis.durations import TEXT
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.timeline.line_words import (
    AWAITING,
    WAITING,
    WAITING_NAME,
    WAITING_STACK,
    split_name,
)

__all__ = ["Account", "read_account"]

_NUMBER = r"\d[\d,]{0,9}(?:\.\d{1,6})?"
# `3,541 s of 3,590 s waiting for the tile server`.
_OF_ALL = Linear(
    rf"\b(?P<part>{_NUMBER}) ?(?P<unit>s|secs?|seconds|min|minutes|h|hours)?\b (?:of|out of|/) (?:the )?(?P<whole>{_NUMBER}) ?(?P<of>s|secs?|seconds|min|minutes|h|hours)\b(?: (?:total|wall|run|were|was|is|went|spent|in|on|to|for|the))*\W{{1,3}}(?P<name>[a-z_][^,;|]{{2,60}})"
)
# `match_pairs 97% (3482 s)`, `match_pairs: 3482 s (97%)`.
_SHARE = Linear(
    rf"\b(?P<name>[a-z_][\w./-]{{1,50}})[ =:]{{1,3}}(?P<percent>\d{{1,3}}(?:\.\d)?) ?%,? \(?(?P<seconds>{_NUMBER}) ?s\b|\b(?P<other>[a-z_][\w./-]{{1,50}})[ =:]{{1,3}}(?P<spent>{_NUMBER}) ?s,? \(?(?P<share>\d{{1,3}}(?:\.\d)?) ?%"
)
# `98102313 3391.2 0.000 3402.1 0.000 match.py:70(levenshtein)`; documented: Python's profile.
_PROFILE = Linear(
    rf"^\s*[\d/]{{1,16}}\s+(?P<own>{_NUMBER})\s+{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}\s+(?P<name>\S.{{1,120}})$"
)
# By definition; documented: the SI brochure.
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
_OF_THE_RUN = 0.5  # that a part must be; chosen
_WHOLE = 1.05  # of the run, that no part is longer than; chosen


class Account(Struct, frozen=True):
    """What took so much of the run (0 to 1) by such a line, and whether it was a wait."""

    name: str
    share: float
    waits: bool
    where: str


def read_account(lines: Sequence[LogLine], ran: float | None) -> Account | None:
    """The largest part of a run of `ran` seconds by the program's own account; None: there is none so large."""
    if not ran:
        return None
    best: Account | None = None
    for line in lines:
        for name, seconds in _parts_of(line.text[:TEXT]):
            share = seconds / ran
            if _OF_THE_RUN <= share <= _WHOLE and (best is None or share >= best.share):
                shown = " ".join(name.split())[:_SHOWN]
                best = Account(shown, share, _waits(name), line.insert_id or "logEntries")
    return best


_SHOWN = 60  # characters; chosen


def _parts_of(text: str) -> Iterator[tuple[str, float]]:
    if "cpu" in text.lower():
        return  # seconds of processors are those of `cpu_time`
    if "%" in text:
        for one in _SHARE.finditer(text):
            name, seconds = one["name"] or one["other"], one["seconds"] or one["spent"]
            yield name, _number(seconds)
    found = _OF_ALL.search(text) if " of " in text or "/" in text else None
    if found is not None:
        unit = (found["unit"] or found["of"])[0].lower()
        yield found["name"], _number(found["part"]) * _SECONDS[unit]
    found = _PROFILE.search(text) if text.lstrip()[:1].isdigit() else None
    if found is not None:
        yield found["name"], _number(found["own"])


def _waits(name: str) -> bool:
    words = split_name(name)
    return any(
        one.search(words) is not None for one in (WAITING, AWAITING, WAITING_NAME, WAITING_STACK)
    )


def _number(text: str) -> float:
    return float(text.replace(",", ""))
