"""What a timeline is: sections of the run with their share of the time, slow fetches, progress.

Owns the types, and durations in words. Pure; made by `read_timeline`, read by the rules.
"""

from __future__ import annotations

from msgspec import Struct

from remediator.diagnosis.timeline.answers import Answers
from remediator.diagnosis.timeline.dumps import Dumps
from remediator.diagnosis.timeline.line_words import readable
from remediator.diagnosis.timeline.pauses import MemoryPauses
from remediator.domain import Section, Source
from remediator.domain.time_words import exact_span_words

_SHOWN = 5  # sections; chosen
_NOTABLE_GROWTH = 1.5  # times, from which it is told; chosen


class TimelineSection(Struct, frozen=True):
    """One section of the run: its share of the time that the log covers, and what it was doing.

    `reported`: the log itself marks it as a section (by a name, a duration, several passes) rather than
    happening to be silent after it. `marked`: by a name or a duration, more than by coming often.
    `by_name`: stacks were seen, and what waits by its name did something else in most of them.
    `timed`: its lines tell most of that time themselves. `stands`: neither work nor waiting for data (a barrier, a lock, memory). `growth` is how many times longer each of its last passes took than each of its first (None:
    too few passes). `host` is the outside host that its lines name.
    """

    name: str
    seconds: float
    share: float
    passes: int
    waits: bool
    by_name: bool
    inference: bool
    reported: bool
    marked: bool
    stands: bool
    timed: bool
    growth: float | None
    host: str
    source: Source
    where: str

    @property
    def says(self) -> str:
        """ "section normalise took 74% of the run (3 h 10 min, 412 passes), …" with numbers."""
        passes = f", {self.passes:,} passes" if self.passes > 1 else ""
        grown = (
            f"; each pass took {self.growth:.1f} times as long at the end as at the start"
            if self.growth and self.growth >= _NOTABLE_GROWTH
            else ""
        )
        verb = "waited for" if self.waits else "took"
        return (
            f'section "{readable(self.name)}" {verb} {self.share * 100:.0f}% of the timeline '
            f"({exact_span_words(self.seconds)}{passes}){grown}"
        )


class Fetches(Struct, frozen=True):
    """Answers of one host (or store) that took longer than a source near by needs."""

    host: str
    count: int
    median_seconds: float
    where: str


class Timeline(Struct, frozen=True):
    """Sections by the time they took, longest first; empty where the log tells no times.

    `work_done` is the last progress that a line told, as a fraction.
    """

    timeline_sections: tuple[TimelineSection, ...]
    work_done: float | None
    slow_fetches: Fetches | None = None
    """Slow answers of one host, where the log tells enough of them; None: it does not."""
    cpu_share: float | None = None
    """CPU time over wall time while the log told both ("process cpu time 2.5 s"); None: it did not."""
    pauses: MemoryPauses | None = None
    """Time that the program spent on its memory, to the end of the run; None: the log tells of none."""
    answers: Answers | None = None
    """Refusals by whomever the program asks, most of all answers and to the end; None: there are none such."""
    dumps: Dumps | None = None
    """Where the program stood in nearly all dumps of its stacks; None: there are none such."""
    busy: float | None = None
    """The part of all CPUs that were busy, by reports in the log; None: there are too few."""
    stopped_at: float | None = None
    """The part of the run after which lines that had come steadily came no more; None: they came to the end."""

    @property
    def sections(self) -> tuple[Section, ...]:
        return tuple(
            Section(readable(s.name), s.share, s.seconds) for s in self.timeline_sections[:_SHOWN]
        )

    @property
    def waiting_share(self) -> float:
        return sum(s.share for s in self.timeline_sections if s.waits and not s.stands)

    def longest(self, *, waits: bool) -> TimelineSection | None:
        """The longest section that waits, or that works."""
        return next((s for s in self.timeline_sections if s.waits is waits and not s.stands), None)
