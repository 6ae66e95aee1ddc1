"""What a running job's log says of its work: lines that bring something new, and lines that only go on.

Owns reading a line into its words and its shape (the words without numbers), and telling a thread of its own
that writes on (a heartbeat, a monitor) from the work. Pure; called by `signals`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache

from msgspec import Struct

from remediator.case import LogLine
from remediator.domain.late_pattern import late_pattern

MOST_TEXT = 300
_LINES_KEPT = 4096  # chosen: two looks at a talkative job; a megabyte or two
_TIMES = late_pattern(
    r"\d{4}-\d{2}-\d{2}[T ]?|\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?|\b\d{9,13}(?:\.\d+)?\b"
    r"|\b\d+(?:\.\d+)? ?(?:s|sec|secs|seconds?|min|mins|minutes?|h|hours?) (?:ago|elapsed|so far)\b|\buptime\S* \S+",
    re.IGNORECASE,
)
_HEARTBEAT = late_pattern(
    r"\bheart-?beats?\b|\balive\b|\bstill (?:running|waiting|here|working)\b|\bping(?:ing)?\b|\bkeep-?alive\b"
    r"|\bliveness\b|\bhealth(?:z| ?check)?\b|\bwaiting for\b|\bidle\b|\bwatchdog\b",
    re.IGNORECASE,
)
_NUMBER = late_pattern(
    r"[-+]?\d[\d.,_]*(?:e[-+]?\d+)?|\b0x[0-9a-f]+\b|\bnan\b|\binf\b", re.IGNORECASE
)
_FEWEST_OF_A_SHAPE = 3  # chosen: lines of one shape that make it a habit
_MISSED = 3.0  # chosen: a shape is missing after so many times its longest pause
_GRAIN = timedelta(minutes=5)  # chosen: a reading stands for its minute, and the next may be lost
_LEAST_MISSED = timedelta(minutes=10)  # chosen


@lru_cache(maxsize=_LINES_KEPT)
def _read(text: str) -> tuple[str, str]:
    """The words of a line without times, empty for what only says that the program is alive; its shape."""
    words = " ".join(_TIMES.sub(" ", text).split())
    shape = _NUMBER.sub("#", words)
    return ("" if _HEARTBEAT.search(words) else words), shape


class _Shape(Struct):
    """Lines of one shape that came while the job worked."""

    count: int
    last: datetime
    longest_pause: timedelta
    text: str


class News(Struct, frozen=True):
    """When, and with which words, the log last said something new that work says.

    `missing` is the shape of the line of work that stopped coming while others go on; empty: none did.
    """

    at: datetime | None
    text: str
    missing: str = ""


def read_news(lines: Iterable[LogLine], worked_until: datetime | None, now: datetime) -> News:
    """The newest of the lines, in order of time, that says something that was not said before.

    After `worked_until` (when machines last worked, by their metrics) a line of a shape that came before
    too is no work by itself: where a shape that used to come has stopped, whatever still comes is written
    beside the work and not by it.
    """
    seen: set[str] = set()
    shapes: dict[str, _Shape] = {}
    newest: tuple[datetime, str] | None = None
    known_news: list[tuple[datetime, str, str]] = []
    for line in lines:
        at = line.time
        if at is None:
            continue
        words, shape = _read(line.text[:MOST_TEXT])
        if not words or words in seen:
            continue
        seen.add(words)
        newest = (at, line.text[:MOST_TEXT])
        held = shapes.get(shape)
        is_habit = held is not None and held.count >= _FEWEST_OF_A_SHAPE
        grain = _GRAIN if is_habit else timedelta(0)
        if worked_until is None or at <= worked_until + grain:
            if held is None:
                shapes[shape] = _Shape(1, at, timedelta(0), line.text[:MOST_TEXT])
            else:
                held.count += 1
                held.longest_pause = max(held.longest_pause, at - held.last)
                held.last, held.text = at, line.text[:MOST_TEXT]
        else:
            known_news.append((at, line.text[:MOST_TEXT], shape))
    if newest is None:
        return News(None, "")
    missing = _missing(shapes, known_news, now)
    if not missing or any(_is_fresh(shape, shapes) for _, _, shape in known_news):
        return News(*newest)
    still = {shape for _, _, shape in known_news}
    work = [held for shape, held in shapes.items() if shape not in still]
    last = max(work, key=lambda held: held.last)
    return News(last.last, last.text, missing)


def _is_fresh(shape: str, shapes: dict[str, _Shape]) -> bool:
    """Whether such a line was no habit before: another part of the work has begun."""
    held = shapes.get(shape)
    return held is None or held.count < _FEWEST_OF_A_SHAPE


def _missing(
    shapes: dict[str, _Shape], later: Sequence[tuple[datetime, str, str]], now: datetime
) -> str:
    """The most frequent shape that used to come and does not come any more, while others do."""
    still = {shape for _, _, shape in later}
    gone = [
        (held.count, shape)
        for shape, held in shapes.items()
        if held.count >= _FEWEST_OF_A_SHAPE
        and shape not in still
        and now - held.last > max(held.longest_pause * _MISSED, _LEAST_MISSED)
    ]
    return max(gone, default=(0, ""))[1] if still else ""
