"""What a timeline is: sections of the run with their share of the time, slow fetches, progress.

Owns the types, and durations in words. Pure; made by `read_timeline`, read by the rules.
"""

from __future__ import annotations

from msgspec import Struct

from remediator.diagnosis.timeline.accounts import Account
from remediator.diagnosis.timeline.answers import Answers
from remediator.diagnosis.timeline.dumps import Dumps
from remediator.diagnosis.timeline.line_words import readable
from remediator.diagnosis.timeline.machine_reports import MachineReports
from remediator.diagnosis.timeline.pauses import MemoryPauses
from remediator.diagnosis.timeline.peers import Straggler
from remediator.diagnosis.timeline.refusals import Refusals
from remediator.diagnosis.timeline.standstill import OwnAccount
from remediator.domain import Section, Source
from remediator.domain.time_words import exact_span_words

_SHOWN = 5  # sections; chosen
_MOST_GAPS = 1  # in a name that is shown; chosen
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
    example: str = ""
    """One of its lines, without its time; empty where telemetry names the section."""

    @property
    def shown_name(self) -> str:
        """The name as people read it, `predict`; of one that would be full of gaps, `lines like "file 3/400 done"`."""
        name = readable(self.name)
        gaps = name.count("…")
        return f'lines like "{self.example}"' if self.example and gaps > _MOST_GAPS else name

    @property
    def says(self) -> str:
        """ "section normalise took 74% of the run (3 h 10 min, 412 passes), …" with numbers."""
        passes = f", {self.passes:,} passes" if self.passes > 1 else ""
        grown = (
            f"; each pass took {self.growth:.1f} times as long at the end as at the start"
            if self.growth and self.growth >= _NOTABLE_GROWTH
            else ""
        )
        verb, doing = ("spent", " waiting") if self.waits else ("took", "")
        name = self.shown_name
        section = f'section "{name}"' if name == readable(self.name) else name
        return (
            f"{section} {verb} {self.share * 100:.0f}% of the run{doing} "
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
    paused_at: str = ""
    """The line in which a worker was paused for its memory, after which nothing was done; empty: there is none."""
    answers: Answers | None = None
    """Refusals by whomever the program asks, most of all answers and to the end; None: there are none such."""
    refusals: Refusals | None = None
    """What was refused over and over until the run ended; None: nothing was, or work went on beside it."""
    dumps: Dumps | None = None
    """Where the program stood in nearly all dumps of its stacks; None: there are none such."""
    own_locks: OwnAccount | None = None
    """Refusals by a store in a file of the job, to the end; None: there are none such."""
    straggler: Straggler | None = None
    """The rank for which the others wait in each step; None: there is none such."""
    held_lock: OwnAccount | None = None
    """A profiler's word that one thread at a time ran, for a lock that all share; None: there is none."""
    vain_poll: OwnAccount | None = None
    """A poll that was told the end by another word than the one that it waits for, to the end; None: there is none."""
    account: Account | None = None
    """What took most of the run by a line that accounts for all of it; None: there is none."""
    prompt: OwnAccount | None = None
    """The question to a person after which nothing came; None: there is none."""
    lone_worker: OwnAccount | None = None
    """The line that tells of one worker beside several CPUs; None: there is none."""
    reports: MachineReports | None = None
    """What reports of `vmstat`, `top` and their like in the log tell of the CPUs; None: there are too few."""
    stopped_at: float | None = None
    """The part of the run after which lines that had come steadily came no more; None: they came to the end."""

    @property
    def sections(self) -> tuple[Section, ...]:
        return tuple(
            Section(s.shown_name, s.share, s.seconds) for s in self.timeline_sections[:_SHOWN]
        )

    @property
    def was_refused(self) -> bool:
        return self.answers is not None or self.refusals is not None

    @property
    def waiting_share(self) -> float:
        return sum(s.share for s in self.timeline_sections if s.waits and not s.stands)

    def longest(self, *, waits: bool) -> TimelineSection | None:
        """The longest section that waits, or that works."""
        return next((s for s in self.timeline_sections if s.waits is waits and not s.stands), None)
