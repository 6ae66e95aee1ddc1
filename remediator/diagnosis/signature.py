"""What failing software prints, as data: the shape of a row.

Owns `Signature`, where it may be looked for (`Place`), how deep it goes (`Level`) and what it may tell
besides a cause (`Tag`). The rows stand in `signatures`, a text file a family; `matching` interprets them.
"""

from __future__ import annotations

from enum import Enum, Flag, auto

from msgspec import Struct

from remediator.domain import Cause


class TextPlace(Flag):
    """Where a text was found, by who can have written it."""

    ERROR = auto()
    """The job's own error, or a line that the service wrote: nobody else can write there."""
    ROW = auto()
    """Partial failures and error rows of a batch prediction: the service's words around the
    model server's answer."""
    LOG = auto()
    """Lines of the job's own workers: whoever wrote the code decides what they say."""


ANYWHERE = TextPlace.ERROR | TextPlace.ROW | TextPlace.LOG


class Level(Enum):
    """How deep a row goes; within one text the deeper one speaks."""

    ROOT_CAUSE = "root cause"
    """It says what went wrong."""
    WRAPPER = "wrapper"
    """It says that something went wrong (an exception's name, a status), not what: silent in a text
    where a root cause of another kind is named, elsewhere a symptom."""
    SYMPTOM = "symptom"
    """It says how the failure shows (an exit code, "never became ready"): it weighs little beside
    evidence for another cause that goes deeper, wherever that was found."""


class Tag(Enum):
    """What a text says that is no cause by itself, but decides together with other evidence."""

    TIMED_OUT = "timed_out"
    """Something ran out of time: which of resources, network or code did it is not said."""
    GPU_RAISED = "gpu_raised"
    """Code demanded a GPU and gave up without one."""
    GPU_FALLBACK = "gpu_fallback"
    """Code that can use a GPU says that it found none and runs on the CPU."""
    GPU_UNSEEN = "gpu_unseen"
    """A library looked for a GPU and found none: harmless in a job that never wanted one."""
    GPU_DRIVER = "gpu_driver"
    """The driver is older than the code's CUDA, or there is none: no GPU in the machine reads the same."""
    ON_CPU = "on_cpu"
    """Code says that it runs on the CPU: a choice as often as a lack."""
    PASSING = "passing"
    """The line announces another try: what it complains of was not the end."""
    EXITED = "exited"
    """A process ended with a status: a wrapper around whatever its log says."""
    STOCKOUT = "stockout"
    """The service's own word for lost or missing capacity."""


class Pattern(Struct, frozen=True):
    """One RE2 pattern that ignores case, and what a text must hold for it to match.

    Of each of `clauses`, computed ahead, at least one word stands in every text that the pattern matches
    (lower case). The words of the first are filed under `groups`, three letters of each; without groups
    none is.
    """

    regex: str
    clauses: tuple[tuple[str, ...], ...] = ()
    groups: tuple[str, ...] = ()


class Signature(Struct, frozen=True):
    """One row: patterns, the cause they speak for (None: only its tags count) and how strongly.

    `patterns` are matched against text whose white space has been collapsed to single blanks; one of
    them is enough. `says` is a sentence about the row, `reference`
    a page of that software, which need not quote them. `last_resort`: it counts only where nothing else in the case names
    a cause. `silences` names rows that this one makes meaningless where both stand in one text;
    `silences_everywhere`, wherever in the case.
    """

    id: str
    cause: Cause | None
    weight: float
    patterns: tuple[Pattern, ...]
    says: str
    reference: str
    level: Level = Level.ROOT_CAUSE
    last_resort: bool = False
    silences: tuple[str, ...] = ()
    silences_everywhere: tuple[str, ...] = ()
    places: TextPlace = ANYWHERE
    tags: frozenset[Tag] = frozenset()

    @property
    def symptom(self) -> bool:
        """Whether it weighs little beside evidence for another cause that goes deeper."""
        return self.level is not Level.ROOT_CAUSE
