"""`fallback`: ways that are tried in turn, each from the job as it was before the first of them.

Owns which way is next, by the attempts of the step so far, and the draft that a way leads to: what
an earlier way changed is taken back, so that a region that had nothing is left at once and the next
way does not carry it along. Whether a way may be taken is asked elsewhere (guards, costs, quotas).
Called by the planner alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import timedelta

from msgspec.structs import replace

from remediator.domain import Attempt, Cause, Change
from remediator.job import Job
from remediator.job.batch import is_resumed
from remediator.planning.draft import LOCATION, JobDraft, StepContext, StepHasNoEffect
from remediator.planning.steps import apply
from remediator.policy.steps import Accelerator, Fallback, MemoryMove, Resubmit

_MOVES = frozenset({"bigger", "more_memory", "sized", "next", "data", "none"})


def ways_left(
    ways: Sequence[Fallback], made: Sequence[Attempt], passed_over: frozenset[int]
) -> list[tuple[int, Fallback]]:
    """The ways that are left with their numbers (the first is 1), in order.

    `made` are the step's own attempts, oldest first; those of a case file may not say which way they
    took, which is then told by what they changed.
    """
    taken = 0
    for attempt in made:
        if attempt.entry:
            taken = max(taken, attempt.entry)
            continue
        rest = ways[taken:]
        alike = (n for n, way in enumerate(rest, taken + 1) if _is_of(attempt, way))
        taken = next(alike, min(taken + 1, len(ways)))
    return [
        (number, way)
        for number, way in enumerate(ways, 1)
        if number > taken and number not in passed_over
    ]


def _is_of(attempt: Attempt, way: Fallback) -> bool:
    """Whether the attempt changed what the way names, as far as the way names values."""
    after = {_short(change.field): change.after for change in attempt.changes}
    asked: dict[str, object] = {"location": way.location}
    if isinstance(way.machine_type, str):
        asked["machinetype"] = way.machine_type
    if isinstance(way.accelerator, Accelerator):
        asked["acceleratortype"] = way.accelerator.type
    strategy = _strategy(way)
    if strategy:
        asked["strategy"] = strategy
    named = {key: value for key, value in asked.items() if value is not None}
    return bool(named) and all(
        key in after and (value in _MOVES or str(after[key]) == str(value))
        for key, value in named.items()
    )


def _short(field: str) -> str:
    return field.rpartition(".")[2].replace("_", "").lower()


def _strategy(way: Fallback) -> str | None:
    if way.spot is not None:
        return "SPOT" if way.spot else "STANDARD"
    return way.strategy


def base_of(job: Job, made: Sequence[Attempt]) -> Job:
    """The job as it was before the step's first way: the last attempts' changes taken back."""
    body, place = job, job.name.location
    for change in itertools.chain.from_iterable(reversed(one.changes) for one in reversed(made)):
        if change.field == LOCATION:
            place = str(change.before) if place == change.after else place
        elif str(body.read(change.field)) == str(change.after) and _may_be_undone(change):
            body = body.changed(change.field, change.before)
    return replace(body, name=replace(job.name, location=place))


def _may_be_undone(change: Change) -> bool:
    return not change.field.endswith(".enableCache") and not is_resumed(change.field)


def apply_way(step: Resubmit, way: Fallback, made: Sequence[Attempt], now: StepContext) -> JobDraft:
    """The draft that a way leads to, its changes told from the job that failed last.

    Raises Impossible or Exhausted where the way leads nowhere.
    """
    failed = now.job
    base = base_of(failed, made)
    asked = step.changed(**way.named(), fallback=None)
    draft = apply(asked, replace(now, case=replace(now.case, job=base)))
    if not draft.asked:
        msg = "; ".join([*draft.notes, "that is what the job was at first"])
        raise StepHasNoEffect(msg)
    changes = tuple(_changes(failed, base, draft))
    if not changes:
        msg = "that is what just failed"
        raise StepHasNoEffect(msg)
    names_hardware = way.machine_type is not None or way.accelerator is not None
    only_moves = all(change.field == LOCATION for change in changes)
    if names_hardware and only_moves and now.diagnosis.verdict in _TOO_SMALL:
        msg = f"what was too small in {failed.name.location} is so in {draft.location}"
        raise StepHasNoEffect(msg)
    return replace(draft, changes=changes).begun(now)


def apply_at_home(step: Resubmit, made: Sequence[Attempt], now: StepContext) -> JobDraft | None:
    """The draft of a step that changes nothing, on the hardware and in the region that the job had before
    these ways were tried; None: it has them still.

    How it is provisioned stays as the last way left it: on demand is had sooner than what it replaced.
    """
    failed = now.job
    moved = [
        replace(one, changes=tuple(c for c in one.changes if c.field not in _provisioning(failed)))
        for one in made
    ]
    base = base_of(failed, moved)
    draft = apply(step, replace(now, case=replace(now.case, job=base)))
    changes = tuple(_changes(failed, base, draft))
    back = draft.location if draft.location != failed.name.location else "its own hardware"
    said = f"back to {back}, since no other way got a machine"
    return replace(draft, changes=changes).note(said) if changes else None


def _provisioning(job: Job) -> tuple[str, ...]:
    return (job.strategy_path, job.max_wait_path, *job.batch_strategy_paths)


_TOO_SMALL = frozenset({Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY, Cause.ACCELERATOR_MISSING})
"""Causes that the same hardware in another place has again."""


def _changes(failed: Job, base: Job, draft: JobDraft) -> Iterator[Change]:
    here = failed.name.location
    if draft.location != here:
        yield Change(LOCATION, here, draft.location)
    undone = [path for path in _hardware_paths(failed) if failed.read(path) != base.read(path)]
    paths = [*undone, *(change.field for change in draft.changes if change.field != LOCATION)]
    for path in dict.fromkeys(paths):
        before, after = failed.read(path), draft.job.read(path)
        if before != after:
            yield Change(path, before, after)


def _hardware_paths(job: Job) -> list[str]:
    """Where a way's changes can stand in the job."""
    paths: list[str] = []
    for pool in job.pools:
        paths += [pool.machine_path, pool.accelerator_path, pool.count_path]
        paths += [path for path in (pool.topology_path, pool.partition_path) if path]
    return [*paths, job.strategy_path, job.max_wait_path] if job.strategy else paths


def way_words(way: Fallback) -> str:
    """`location us-west1, strategy FLEX_START`."""
    return ", ".join(f"{key} {_value_words(value)}" for key, value in way.named().items())


def _value_words(value: object) -> str:
    if isinstance(value, MemoryMove):
        asked = value.more_memory
        most = f", at most {asked.at_most:g} GiB" if asked.at_most is not None else ""
        return f"more_memory by {asked.factor:g}{most}"
    if isinstance(value, Accelerator):
        return " ".join(str(part) for part in value.named().values())
    if isinstance(value, timedelta):
        return f"{value.total_seconds() / 3600:.3g} h"
    return str(value).lower() if isinstance(value, bool) else str(value)
