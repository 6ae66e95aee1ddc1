"""A job on its way to becoming a request, and what a step on it may look at.

Owns the values that the rows of `resubmit` pass on, and the two ways in which a step ends without a
request. Must not know what a key of `resubmit` means (see `steps`, `hardware`). Used by the
planner's modules alone.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from remediator.case import Case
from remediator.catalog.catalog import Catalog, Service
from remediator.domain import (
    ALL_ROWS,
    Attempt,
    Cause,
    Change,
    Diagnosis,
    Guard,
    History,
    Lack,
    Resume,
)
from remediator.job import Job
from remediator.job.quota import Quota, read_quotas
from remediator.policy.model import Limits
from remediator.policy.steps import Resubmit

LOCATION = "location"
"""The field of a change that names the region, which is part of a job's name."""


class StepContext(Struct, frozen=True, dict=True):
    """All that a step is applied to. `number` is the attempt's own: 1 for the first.

    `root` is the id of the chain's first job, `later` are the policy's steps after this one, which
    its change should leave possible. `head_start` are changes of steps that were passed over since
    they were tried in vain: the job is as it would be after them, and a draft begins with them.
    """

    case: Case
    diagnosis: Diagnosis
    history: History
    catalog: Catalog
    limits: Limits
    number: int
    later: tuple[Resubmit, ...] = ()
    served: Service | None = None
    root: str = ""
    head_start: tuple[Change, ...] = ()

    @property
    def job(self) -> Job:
        """The job that is cloned: the root, or the latest attempt, whose raised sizes are kept."""
        return self.case.job

    @functools.cached_property
    def quotas(self) -> tuple[Quota, ...]:
        """The quotas that a refusal for want of quota names; empty for any other verdict. Read once: each
        region that a step may go to is asked about them."""
        if self.diagnosis.verdict is not Cause.QUOTA:
            return ()
        said = [item.says for cause in self.diagnosis.causes[:1] for item in cause.evidence]
        return read_quotas([self.job.error_message, *said])

    @property
    def service(self) -> Service:
        """Which of Vertex's services gives the machine: of a pipeline's task, its own."""
        return self.served or self.job.service


class StepImpossible(Exception):  # never leaves the policy room
    """The step cannot be taken on this job; `guard` is the one that says so, `lack` what it lacks."""

    def __init__(
        self, why: str, guard: Guard = Guard.INCOMPATIBLE, lack: Lack | None = None
    ) -> None:
        super().__init__(why)
        self.guard: Guard | None = guard
        self.lack = lack


class StepHasNoEffect(Exception):  # never leaves the policy room
    """The step has nothing to give: the next one is taken. `guard` refuses where none is left."""

    def __init__(self, why: str, guard: Guard | None = None, lack: Lack | None = None) -> None:
        super().__init__(why)
        self.guard = guard
        self.lack = lack


class JobDraft(Struct, frozen=True):
    """A job on its way to becoming a request. Grows by copies only.

    `job` is the clone with every change so far; `notes` are adjustments and doubts for `because`;
    `entry` is which way of a `fallback` it takes, from 1. `resume` says of a batch which rows run
    again, where it is not all of them.
    """

    job: Job
    location: str
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    entry: int = 0
    resume: Resume = ALL_ROWS

    def set(self, path: str, value: Any) -> JobDraft:
        """With one field changed; a field that is set twice is one change, or none if it is back."""
        held = self.job.read(path)
        if held == value:
            return self
        changes = merged_changes(
            self.changes, (Change(path, held, value, self.job.setting_at(path)),)
        )
        return replace(self, job=self.job.changed(path, value), changes=changes)

    def moved(self, region: str) -> JobDraft:
        """In another region."""
        changes = merged_changes(self.changes, (Change("location", self.location, region),))
        return replace(self, location=region, changes=changes)

    def note(self, *notes: str) -> JobDraft:
        fresh = [note for note in dict.fromkeys(notes) if note and note not in self.notes]
        return replace(self, notes=(*self.notes, *fresh))

    def begun(self, now: StepContext) -> JobDraft:
        """With the changes that the job of this context has ahead of the one that failed."""
        return replace(self, changes=merged_changes(now.head_start, self.changes))

    def goes_beyond(self, now: StepContext) -> bool:
        """Whether the step itself changes something of the job in this context."""
        return self.asked and self.changes != now.head_start

    @property
    def is_retry(self) -> bool:
        return not self.changes

    @property
    def asked(self) -> bool:
        """Whether the step itself changes something: a pipeline's caching is turned on in any case."""
        return any(not change.field.endswith(".enableCache") for change in self.changes)


def merged_changes(*groups: Iterable[Change]) -> tuple[Change, ...]:
    """Changes made one group after the other, as one: a field once, and not if it is back."""
    merged: dict[str, Change] = {}
    for change in (one for group in groups for one in group):
        earlier = merged.pop(change.field, None)
        before = change.before if earlier is None else earlier.before
        if before != change.after:
            merged[change.field] = replace(change, before=before)
    return tuple(merged.values())


def origin(job: Job, attempts: Sequence[Attempt]) -> Job:
    """The job as it was before the attempts that led to it."""
    for change in (one for made in reversed(attempts) for one in reversed(made.changes)):
        job = undone(job, change)
    return job


def undone(job: Job, change: Change) -> Job:
    """The job without the change, where it still has it; its place is no field of it."""
    if change.field == LOCATION or job.read(change.field) != change.after:
        return job
    return job.changed(change.field, change.before)
