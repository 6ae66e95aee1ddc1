"""Which lines of a log tell what is done, and which only say that it goes on.

Owns the choice. A bare counter, a sign of life, a watchdog's word, the news of the end, a report on the machine, a chore
beside the work and a rare complaint that held nothing up are no sections: their time is that of whatever was running.
Pure; called by `sections`.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from remediator.case import LogLine
from remediator.diagnosis.durations import TEXT, duration_in
from remediator.diagnosis.progress_lines import complains, is_progress, warns
from remediator.diagnosis.timeline.line_words import (
    ALIVE,
    CHORE,
    DOTS,
    ENDED,
    HEAD,
    RATE,
    UNIT_WORDS,
    WATCHDOG,
    WORD,
    name_of,
    says_something,
    template_of,
)
from remediator.diagnosis.timeline.machine_reports import is_report
from remediator.domain.late_pattern import late_pattern
from remediator.domain.numbers import median

__all__ = ["telling_lines"]


def telling_lines(lines: Sequence[LogLine]) -> list[tuple[LogLine, str]]:
    """The lines that tell what is done, each with its template.

    A bare counter belongs to whatever section was running: its time goes to the line before. So
    does a sign of life, where that line names a section or counts; a chore beside the work; and a rare complaint
    while a loop goes on counting.
    """
    reported: list[tuple[LogLine, str]] = []
    known: dict[str, _Kind] = {}
    templates = [template_of(line.text) for line in lines]
    for line, template in zip(lines, templates, strict=True):
        if template not in known:
            known[template] = _kind_of(line, template)
    often = Counter(templates)
    chores = sum(often[template] for template, kind in known.items() if kind.chore)
    telling = sum(often[template] for template, kind in known.items() if kind.says)
    beside = chores * 2 <= telling + sum(often[t] for t, kind in known.items() if kind.bare)
    loop = _Loop.of(lines, [known[one].bare for one in templates])
    counting = False
    for position, (line, template) in enumerate(zip(lines, templates, strict=True)):
        kind = known[template]
        if not kind.says or (counting and kind.alive) or (beside and kind.chore):
            continue
        stray = often[template] <= _RARE and (warns(line.text) or complains(line.text))
        if stray and loop is not None and loop.goes_on_after(position):
            continue
        counting = kind.counts
        reported.append((line, template))
    return reported


class _Kind(Struct, frozen=True):
    """What the lines of one template are: whether they tell what is done, are signs of life, count, are chores beside the
    work, or nothing but a counter.
    """

    says: bool
    alive: bool
    counts: bool
    chore: bool
    bare: bool


def _kind_of(line: LogLine, template: str) -> _Kind:
    head = line.text[:HEAD]
    bare = _only_counts(line.text, template)
    says = (
        not is_report(line.text[:TEXT])
        and not WATCHDOG.is_in(head)
        and not ENDED.is_in(head)
        and says_something(template)
        and not bare
    )
    says = says or DOTS.is_in(head) or RATE.is_in(head)
    counts = "<n>" in template or name_of(line.text[:TEXT], template)[1]
    return _Kind(says, ALIVE.is_in(template[:HEAD]), counts, says and CHORE.is_in(head), bare)


_RARE = 2  # lines of a kind; chosen
_LOOP = 5  # lines of a loop; chosen
_USUAL = 5.0  # times the usual time between two lines of the loop; chosen


class _Loop(Struct, frozen=True):
    """A loop that prints nothing but its counter: the positions and moments of its lines, and the usual time between two."""

    positions: tuple[int, ...]
    moments: tuple[float, ...]
    step: float
    lines: Sequence[LogLine]

    @classmethod
    def of(cls, lines: Sequence[LogLine], bare: Sequence[bool]) -> _Loop | None:
        """The loop of these lines, of which some are `bare` counters; None: there are too few."""
        positions = tuple(position for position, one in enumerate(bare) if one)
        if len(positions) < _LOOP:
            return None
        moments = tuple(_moment(lines[position]) for position in positions)
        gaps = [after - before for before, after in pairwise(moments)]
        return cls(positions, moments, median(gaps), lines)

    def goes_on_after(self, position: int) -> bool:
        """Whether the loop counted on after this line in its usual time: it held nothing up."""
        following = bisect.bisect_left(self.positions, position)
        if following == len(self.positions):
            return False
        return self.moments[following] - _moment(self.lines[position]) <= self.step * _USUAL


def _moment(line: LogLine) -> float:
    return line.time.timestamp() if line.time else 0.0


def _only_counts(text: str, template: str) -> bool:
    """Progress of a loop that has no name ("step 40 loss 0.3", Spark's bar): no section of its own."""
    if _SPARK_BAR.match(text):
        return True
    words = {word.lower() for word in WORD.findall(template)} - UNIT_WORDS
    return words <= _COUNTED and is_progress(text[:TEXT]) and duration_in(text[:TEXT]) is None


_SPARK_BAR = late_pattern(r"\s*\[Stage \d+:[=>\s]*\(?\d+(?: \+ \d+\))? ?/ ?\d+\]")
_COUNTED = frozenset(
    {
        "acc", "accuracy", "auc", "batch", "batches", "done", "epoch", "epochs", "examples", "grad",
        "iter", "iteration", "iterations", "learning", "loss", "mse", "norm", "perplexity", "progress",
        "rate", "record", "records", "row", "rows", "sample", "samples", "step", "steps", "tokens",
        "train", "training", "val", "valid",
    }
)  # fmt: skip
"""What a loop without a name counts."""
