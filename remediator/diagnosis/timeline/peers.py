"""Peers that wait for one of them: in each step one rank works about as long as the others wait.

Owns the reading of such steps. Lines of several ranks tell the parts of a step's time; where the same rank's longest part
is work, the others' is a wait, and both are as long, that rank is what the time went to. Pure; called by `read_timeline`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

from msgspec import Struct

from remediator.case import LogLine
from remediator.diagnosis.durations import TEXT, FieldSpan, host_in_fields, parts_in, span_in_fields
from remediator.diagnosis.timeline.cpu_time import worker_of
from remediator.domain.numbers import median

__all__ = ["Straggler", "read_straggler"]

_FEWEST = 5  # lines of one rank; chosen
_MOST = 0.8  # of a rank's lines, that tell the same; chosen
_AS_LONG = (0.7, 1.4)  # times the others' wait; chosen
_FEWEST_RANKS = 2  # by definition


class Straggler(Struct, frozen=True):
    """The rank for which the others wait, its longest part, both in seconds of one step, and one of its lines."""

    rank: str
    part: str
    seconds: float
    waits: float
    where: str


def read_straggler(lines: Sequence[LogLine]) -> Straggler | None:
    """The one rank that works while the others wait; None where no rank does, or several do."""
    steps: dict[str, list[tuple[FieldSpan, str]]] = defaultdict(list)
    for line in lines:
        rank = worker_of(line) or line.task
        span = parts_in(line.text[:TEXT]) or span_in_fields(line.fields)
        if span is not None and rank and not host_in_fields(line.fields):
            steps[rank].append((span, line.insert_id or "logEntries"))
    ranks = {rank: held for rank, held in steps.items() if len(held) >= _FEWEST}
    waiting, working = [], []
    for rank, held in ranks.items():
        share = sum(span.waits for span, _ in held) / len(held)
        if share >= _MOST:
            waiting.append(rank)
        elif share <= 1 - _MOST:
            working.append(rank)
    if len(working) != 1 or len(waiting) < _FEWEST_RANKS - 1 or len(ranks) < _FEWEST_RANKS:
        return None
    rank = working[0]
    works = median([span.seconds for span, _ in ranks[rank]])
    waits = median([span.seconds for one in waiting for span, _ in ranks[one]])
    if not _AS_LONG[0] * waits <= works <= _AS_LONG[1] * waits:
        return None
    part = Counter(span.key for span, _ in ranks[rank]).most_common(1)[0][0]
    return Straggler(rank, part, works, waits, ranks[rank][-1][1])
