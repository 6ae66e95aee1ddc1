"""How long what a line counts took together, where it tells the time of one, or of all so far.

Owns the two readings of a line against the one before of its kind: a counter that grew by so many, each of which took
so long (`1000 keys joined, round trip avg 142 ms`), and times that add up since the start (`parse 1010.9 s  83.1%`).
Pure; called by `sections`.
"""

from __future__ import annotations

from msgspec import Struct

from remediator.diagnosis.durations import TEXT
from remediator.diagnosis.timeline.line_words import unprefixed
from remediator.domain.late_pattern import late_pattern

__all__ = ["LineNumbers", "numbers_in", "seconds_of_all", "seconds_since"]

_WHOLE_NUMBER = late_pattern(
    r"(?<![\w.,])\d{1,3}(?:,\d{3}){1,4}(?![\w.,]\d)|(?<![\w.])\d{1,12}(?![\w.]\d)"
)
_ABOUT = (0.6, 1.25)  # of the time between two lines, that the counted must make up; chosen
_FEWEST = 2  # counted between two lines; chosen
_SUM_OF = 1.05  # of the time that went by, that a sum may grow by: two clocks; chosen


class LineNumbers(Struct, frozen=True):
    """What the last line of a kind told: its whole numbers in their order, and its longest time in seconds."""

    whole: tuple[int, ...] = ()
    seconds: float | None = None


def numbers_in(text: str, seconds: float | None) -> LineNumbers:
    """The numbers of one line, whose longest time is known."""
    found = _WHOLE_NUMBER.findall(unprefixed(text[:TEXT]))
    return LineNumbers(tuple(int(one.replace(",", "")) for one in found), seconds)


def seconds_of_all(before: LineNumbers, now: LineNumbers, gap: float) -> float | None:
    """The time of one, times how many were counted since the line before; None where that is not about the time that
    went by: then it was one of many at a time, or the line tells something else.
    """
    if now.seconds is None or len(before.whole) != len(now.whole):
        return None
    low, high = (share * gap for share in _ABOUT)
    for last, this in zip(before.whole, now.whole, strict=True):
        spent = (this - last) * now.seconds
        if this - last >= _FEWEST and low <= spent <= high:
            return min(spent, gap)
    return None


def seconds_since(before: LineNumbers, now: LineNumbers, gap: float) -> float | None:
    """What a sum of times grew by since the line before; None where it is no sum: it fell, or grew more than time went by."""
    if now.seconds is None or before.seconds is None or before.seconds <= 0:
        return None
    grown = now.seconds - before.seconds
    return grown if 0 < grown <= gap * _SUM_OF and now.seconds > gap * _SUM_OF else None
