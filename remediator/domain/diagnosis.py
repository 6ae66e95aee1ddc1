"""A diagnosis as a value: ranked causes with their evidence, and what the job needs. Pure."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from remediator.domain.names import (
    Cause,
    JobKind,
    Source,
)


class Evidence(Struct, frozen=True):
    """One thing that was seen: where, and what it says in words fit for an alert."""

    source: Source
    where: str
    says: str

    def to_json(self) -> dict[str, Any]:
        return {"source": self.source.value, "where": self.where, "says": self.says}


class Frame(Struct, frozen=True):
    """A place in source code: the file as the runtime named it, the line, the function if known."""

    file: str
    line: int
    function: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"file": self.file, "line": self.line, "function": self.function}


class RankedCause(Struct, frozen=True):
    """A cause with the probability that it is the one, and what speaks for and against it."""

    cause: Cause
    confidence: float
    evidence: tuple[Evidence, ...]
    against: tuple[Evidence, ...] = ()
    advice: str = ""
    advice_url: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "cause": self.cause.value,
            "confidence": round(self.confidence, 4),
            "evidence": [item.to_json() for item in self.evidence],
            "against": [item.to_json() for item in self.against],
            "advice": {"text": self.advice, "link": self.advice_url},
        }


class Section(Struct, frozen=True):
    """A part of the job's own timeline and the share of the run it took (0 to 1)."""

    name: str
    share: float
    seconds: float


class Wanted(Struct, frozen=True):
    """The largest piece of memory that a message says was asked for, in bytes.

    It bounds what can help: a machine (or device) with no more than this fails in the same way.
    `device`: on the accelerator, not the host.
    """

    bytes: float
    device: bool
    evidence: Evidence


class OwnLimit(Struct, frozen=True):
    """A limit of the program's own that memory ran into: a heap, a worker's share, `/dev/shm`.

    `bytes` is None where nobody says how large it is. `fixed`: it does not grow with the machine, so
    a bigger one changes nothing; False where it is a share of the machine unless somebody set it.
    """

    name: str
    bytes: float | None
    fixed: bool
    evidence: Evidence

    @property
    def is_shared_memory(self) -> bool:
        """Whether it is `/dev/shm`, which has a remedy of its own or none."""
        return "shared memory" in self.name


class FullMount(Struct, frozen=True):
    """A path for which no space was left on a file system that is mounted from elsewhere: no boot disk
    changes that."""

    path: str
    evidence: Evidence


class Progress(Struct, frozen=True):
    """How far the work had come by its own log: `done` is a share of all of it.

    `seconds_needed` is what all of it would have taken from the start, at the slower of its paces;
    `seconds_expected` at the pace that was kept since it had warmed up.
    """

    done: float
    seconds_needed: float
    evidence: Evidence
    seconds_expected: float | None = None


class Needs(Struct, frozen=True):
    """What the evidence says the job really needs; None where it does not say.

    `peak_memory_gib` is a lower bound where the job died of memory. `work_done` is the fraction that
    was finished when time ran out.
    `request_seconds` is what one request of the failed batch size took, at least. `wanted` and
    `own_limit` are what messages about memory say of it, `full_mount` what those about full disks say,
    and `progress` what the log says of the work, whatever the verdict is.
    """

    peak_memory_gib: float | None = None
    memory_is_lower_bound: bool = False
    work_done: float | None = None
    request_seconds: float | None = None
    wanted: Wanted | None = None
    own_limit: OwnLimit | None = None
    full_mount: FullMount | None = None
    progress: Progress | None = None


class TaskCause(Struct, frozen=True):
    """What one failed task of a pipeline run died of; `index` is its place in `taskDetails`."""

    index: int
    name: str
    cause: Cause


FIELDS_MARK = " · "
"""Stands in a last line between what a structured line says and its fields."""


class Diagnosis(Struct, frozen=True):
    """Causes ranked by confidence. `verdict` is UNKNOWN where the evidence does not carry one.

    `settled_by_error`: the job's own error alone carries the verdict, so that nothing still on its
    way could change it. `by_words_alone`: nothing but the word model speaks, so nothing is resubmitted for it. `missing` says what evidence would settle an unknown. `parts`: of a pipeline
    run, what each task died of.
    """

    job: str
    kind: JobKind
    verdict: Cause
    causes: tuple[RankedCause, ...]
    settled_by_error: bool = False
    by_words_alone: bool = False
    sections: tuple[Section, ...] = ()
    needs: Needs = Needs()
    missing: tuple[str, ...] = ()
    parts: tuple[TaskCause, ...] = ()
    frame: Frame | None = None
    """The last frame in the user's own code of what failed; None where no traceback tells one."""
    last_lines: tuple[str, ...] = ()
    """What the workers wrote last before the end, oldest first; each cut to a bounded length."""
    row_errors: tuple[tuple[str, int], ...] = ()
    """Of a batch: the messages of failed rows and how often each was read, most frequent first."""

    @property
    def confidence(self) -> float:
        """Of the verdict; 0 for unknown."""
        return self.causes[0].confidence if self.verdict is not Cause.UNKNOWN else 0.0

    def to_json(self) -> dict[str, Any]:
        """As `diagnose --json` prints it."""
        return {
            "job": self.job,
            "kind": self.kind.value,
            "verdict": self.verdict.value,
            "causes": [cause.to_json() for cause in self.causes],
            "sections": [
                {"name": s.name, "share": round(s.share, 3), "seconds": round(s.seconds, 1)}
                for s in self.sections
            ],
            "missing": list(self.missing),
            "frame": self.frame.to_json() if self.frame else None,
            "last_lines": list(self.last_lines),
        }


# --- plans -------------------------------------------------------------------------------------
