"""What one step does to a job: the contract's table of `resubmit`, one function to a row.

Owns which fields change and to what, with a word for whatever was mended or is in doubt. Must not
weigh limits (see `guards`) or money (see `costs`). Called by the planner alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from remediator.case import Case
from remediator.catalog import growth
from remediator.catalog.catalog import Catalogue, Hardware, Moved, NoWay, Service
from remediator.catalog.growth import Ground
from remediator.domain import Cause, Change, Diagnosis, Guard, History, JobKind
from remediator.job import (
    DEFAULT_BOOT_DISK_GB,
    DEFAULT_TIMEOUT_SECONDS,
    Job,
    Pool,
    containers,
    machines,
    pipeline,
)
from remediator.job.pipeline import Node
from remediator.policy import places, program, sizing, slices
from remediator.policy.costs import longest_run
from remediator.policy.model import Limits
from remediator.policy.quantities import MOST_DISK_GB
from remediator.policy.steps import Accelerator, MemoryMove, MoreMemory, Resubmit


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a step is applied to. `number` is the attempt's own: 1 for the first.

    `later` are the policy's steps after this one, which its change should leave possible.
    """

    case: Case
    diagnosis: Diagnosis
    history: History
    catalogue: Catalogue
    limits: Limits
    number: int
    later: tuple[Resubmit, ...] = ()
    served: Service | None = None

    @property
    def job(self) -> Job:
        """The job that is cloned: the root, or the latest attempt, whose raised sizes are kept."""
        return self.case.job

    @property
    def service(self) -> Service:
        """Which of Vertex's services gives the machine: of a pipeline's task, its own."""
        return self.served or self.job.service


class Impossible(Exception):  # never leaves the policy room
    """The step cannot be taken on this job; `guard` is the one that says so."""

    def __init__(self, why: str, guard: Guard = Guard.INCOMPATIBLE) -> None:
        super().__init__(why)
        self.guard: Guard | None = guard


class Exhausted(Exception):  # never leaves the policy room
    """The step has nothing to give: the next one is taken. `guard` refuses where none is left."""

    def __init__(self, why: str, guard: Guard | None = None) -> None:
        super().__init__(why)
        self.guard = guard


@dataclass(frozen=True, slots=True)
class Draft:
    """A job on its way to becoming a request. Grows by copies only.

    `job` is the clone with every change so far; `notes` are mendings and doubts for `because`;
    `entry` is which way of a `fallback` it takes, from 1.
    """

    job: Job
    location: str
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()
    entry: int = 0

    def set(self, path: str, value: Any) -> Draft:
        """With one field changed; a field that is set twice is one change, or none if it is back."""
        held = self.job.read(path)
        if held == value:
            return self
        earlier = [change for change in self.changes if change.field == path]
        before = earlier[0].before if earlier else held
        others = tuple(change for change in self.changes if change.field != path)
        changed = (Change(path, before, value),) if before != value else ()
        return replace(self, job=self.job.changed(path, value), changes=(*others, *changed))

    def note(self, *notes: str) -> Draft:
        fresh = [note for note in dict.fromkeys(notes) if note and note not in self.notes]
        return replace(self, notes=(*self.notes, *fresh))

    @property
    def is_retry(self) -> bool:
        return not self.changes

    @property
    def asked(self) -> bool:
        """Whether the step itself changes something: a pipeline's caching is turned on in any case."""
        return any(not change.field.endswith(".enableCache") for change in self.changes)


def apply(step: Resubmit, now: Situation) -> Draft:
    """The job with the step's changes; raises Impossible or Exhausted."""
    if now.job.is_automl:
        msg = "an AutoML training is advised on, never run again by itself"
        raise Impossible(msg)
    draft = Draft(now.job.clone(), now.job.name.location)
    if now.job.kind is JobKind.PIPELINE:
        draft = _caching_on(draft, now)
    asked = step.model_dump(exclude_none=True)
    for key, change in _ROWS.items():
        if key not in asked or (key == "output" and step.output == "same"):
            continue
        if said := _holds_already(now.job.kind, key, asked[key]):
            draft = draft.note(said)
            continue
        if key not in now.job.changeable:
            raise Impossible(_NO_SUCH_FIELD.get((now.job.kind, key), _not_legal(now, key)))
        draft = change(draft, getattr(step, key), now)
    hardware = [key for key in ("machine_type", "accelerator") if key in asked]
    if hardware:
        if not set(hardware) <= now.job.changeable:
            raise Impossible(_not_legal(now, hardware[0]))
        draft = _hardware(draft, step, now)
    if step.strategy == _FLEX_START and (why := _not_for_flex_start(draft.job)):
        raise Impossible(why)
    return draft


def _not_legal(now: Situation, key: str) -> str:
    return f"a {now.job.kind.value.replace('_', ' ')} job has no {key.replace('_', ' ')} to change"


_NO_SUCH_FIELD: Mapping[tuple[JobKind, str], str] = {
    (JobKind.BATCH_PREDICTION, "timeout"): "a batch prediction has no time-out to change",
    (JobKind.BATCH_PREDICTION, "spot"): "the API's version 1 has no spot for batch prediction",
    (JobKind.CUSTOM, "batch_size"): "only batch predictions have a batch size",
    (JobKind.PIPELINE, "timeout"): "a pipeline run has no time-out field",
}


_HOLDS_ALREADY: Mapping[tuple[JobKind, str, object], str] = {
    (
        JobKind.BATCH_PREDICTION,
        "spot",
        False,
    ): "the API's version 1 runs no batch prediction on spot",
    (
        JobKind.BATCH_PREDICTION,
        "strategy",
        "STANDARD",
    ): "the API's version 1 runs each batch prediction on demand",
    (JobKind.BATCH_PREDICTION, "output", "attempt"): (
        "Vertex writes each batch prediction into a folder of its own anyway"
    ),
}
"""What a step may ask of a kind that has no such field, because it is so in any case."""


def _holds_already(kind: JobKind, key: str, asked: Any) -> str:
    return _HOLDS_ALREADY.get((kind, key, asked), "") if isinstance(asked, bool | str) else ""


def _caching_on(draft: Draft, now: Situation) -> Draft:
    """Tasks of a run that have succeeded are answered from the cache, where they may be."""
    for path in pipeline.uncached(now.job):
        draft = draft.set(path, value=True)
    off = ", ".join(node.title for node in pipeline.switched_off(now.job))
    return draft.note(f"caching is switched off for {off}, which runs again" if off else "")


# --- machine and accelerator --------------------------------------------------------------------


def target_pools(now: Situation, draft: Draft) -> tuple[Pool, ...]:
    """The pools to change: the one that evidence names, else all on the first one's machine."""
    found = draft.job.pools
    said = [item.says for cause in now.diagnosis.causes[:1] for item in cause.evidence]
    where = [item.where for cause in now.diagnosis.causes[:1] for item in cause.evidence]
    named = now.job.failed_pools(*said, *where)
    chosen = tuple(pool for pool in found if pool.name in named)
    if chosen or not found:
        return chosen
    return tuple(pool for pool in found if pool.hardware == found[0].hardware)


def _hardware(draft: Draft, step: Resubmit, now: Situation) -> Draft:
    if now.job.kind is JobKind.PIPELINE:
        return _tasks(draft, step, now)
    pools = target_pools(now, draft)
    if not pools:
        msg = "the job names no machine of its own, so there is none to change"
        raise Impossible(msg)
    if _wants_a_bigger_slice(step, now) and (sliced := _bigger_slices(draft, pools)):
        return sliced
    if step.machine_type == "sized":
        draft = _sized(draft, now, pools)
        pools = target_pools(now, draft)
        if step.accelerator is None:
            return draft
    for pool in pools:
        moved = _moved(pool.hardware, step, now, draft.location)
        if isinstance(moved, NoWay):
            raise _impossible(moved)
        draft = set_hardware(draft, pool, moved.hardware, now.catalogue).note(*moved.notes)
    return draft


def _wants_a_bigger_slice(step: Resubmit, now: Situation) -> bool:
    """Whether more memory on each device is asked for, which a bigger part of the card gives."""
    if step.accelerator in {"more_memory", "bigger"}:
        return True
    sized = step.machine_type == "sized" and step.accelerator is None
    batch = now.job.batch_size or 1
    return sized and now.diagnosis.verdict is Cause.GPU_MEMORY and batch <= 1


def _bigger_slices(draft: Draft, pools: tuple[Pool, ...]) -> Draft | None:
    """The next slice of the same card for each pool that runs on slices; None: there is none."""
    found = [(pool, bigger) for pool in pools if (bigger := slices.bigger_partition(pool))]
    for pool, bigger in found:
        draft = draft.set(pool.partition_path, bigger)
    return draft if found else None


def _impossible(no_way: NoWay) -> Impossible:
    return Impossible(no_way.why, Guard.NO_MACHINE if no_way.too_much else Guard.INCOMPATIBLE)


def set_hardware(draft: Draft, pool: Pool, wanted: Hardware, book: Catalogue) -> Draft:
    """The pool on other hardware, its slices with it; what no longer applies is taken out.

    Raises Impossible where the pool's topology or partition cannot follow.
    """
    follows = slices.moved(pool, wanted, book)
    if isinstance(follows, NoWay):
        raise _impossible(follows)
    if pool.whole is not None:
        return _whole(draft, pool, wanted, book)
    draft = draft.set(pool.machine_path, wanted.machine)
    for path, value in follows.items():
        draft = draft.set(path, value)
    if wanted.count or pool.hardware.count:
        none, zero = ("ACCELERATOR_TYPE_UNSPECIFIED", 0) if pool.service else (None, None)
        draft = draft.set(pool.accelerator_path, wanted.accelerator or none)
        draft = draft.set(pool.count_path, wanted.count or zero)
    return draft


def _whole(draft: Draft, pool: Pool, wanted: Hardware, book: Catalogue) -> Draft:
    """A list of the task's own in place of one that others use too: one change, the whole list."""
    path, value = pool.whole or ("", None)
    given = draft.job if draft.job.read(path) is not None else draft.job.changed(path, value)
    edited = set_hardware(replace(draft, job=given), replace(pool, whole=None), wanted, book)
    return draft.set(path, edited.job.read(path))


def _moved(held: Hardware, step: Resubmit, now: Situation, region: str) -> Moved | NoWay:
    """Where the step leads from `held`: the machine first, then the accelerator, mended.

    Devices stay as they are, in type and number, unless the step names an accelerator or the cause
    is one that another accelerator mends.
    """
    book, service = now.catalogue, now.service
    notes: tuple[str, ...] = ()
    current = held
    if step.machine_type and step.machine_type != "sized":
        to = _machine_move(step, held, now, region)
        if isinstance(to, NoWay):
            return to
        current, notes = to.hardware, to.notes
    if step.accelerator is not None:
        to = _accelerator(step.accelerator, current, now, region)
        if isinstance(to, NoWay):
            return to
        current, notes = to.hardware, (*notes, *to.notes)
    # What the failed job itself ran on is never called impossible.
    mended = Moved(held) if current == held else book.mend(current, service, region)
    if isinstance(mended, NoWay):
        return mended
    if mended.hardware.accelerator and not held.accelerator and (idle := _would_idle(now)):
        return NoWay(idle)
    notes = (*notes, *mended.notes)
    if mended.hardware == held and notes:
        # Mended back to what just failed: that is no step, and the same run again costs as much.
        return NoWay(f"{'; '.join(notes)}: the job runs on {held} already")
    if changed := _other_devices(held, mended.hardware, step, now):
        return NoWay(changed)
    same = (f"the job runs on {held} already",) if mended.hardware == held else ()
    return Moved(mended.hardware, (*notes, *same, *_doubts(mended.hardware, now)))


def _other_devices(held: Hardware, wanted: Hardware, step: Resubmit, now: Situation) -> str:
    """Why the step would change an accelerator that nobody said may change; empty: it does not.

    A cause that another accelerator mends lets it change too, but to no fewer or smaller devices.
    """
    if step.accelerator is not None:
        return ""
    had, count = growth.devices_of(now.catalogue, held)
    has, counted = growth.devices_of(now.catalogue, wanted)
    if not count or (had, count) == (has, counted):
        return ""
    mends = now.diagnosis.verdict in sizing.ACCELERATOR_CAUSES
    if mends and counted >= count and _device_gib(now, has) >= _device_gib(now, had):
        return ""
    becomes = f"{counted} {has}" if counted else "none"
    return (
        f"{wanted.machine} would turn {count} {had} into {becomes}: a step that may change the "
        f"accelerator names it, such as `accelerator: {{type: {has or had}, "
        f"count: {counted or count}}}`"
    )


def _device_gib(now: Situation, device: str) -> float:
    found = now.catalogue.accelerators.get(device)
    return (found.memory_gib if found else None) or 0.0


def ground(held: Hardware, now: Situation, region: str) -> Ground:
    """Where the hardware may grow, within the policy's lists."""
    limits = now.limits
    return Ground(
        now.catalogue,
        held,
        now.service,
        region,
        lambda hardware: sizing.is_permitted(hardware, limits),
    )


def _machine_move(step: Resubmit, held: Hardware, now: Situation, region: str) -> Moved | NoWay:
    within = ground(held, now, region)
    if step.machine_type == "bigger":
        if growth.has_built_in_gpus(now.catalogue, held):
            if step.accelerator is None:
                raise Exhausted(growth.built_in_words(held))
            return Moved(held)  # the step's accelerator brings its machine
        return growth.bigger(within)
    if step.machine_type == "more_memory" or isinstance(step.machine_type, MemoryMove):
        return _more_memory(within, step.machine_type, now)
    return _named_machine(step, held, now)


def _more_memory(within: Ground, move: MemoryMove | str, now: Situation) -> Moved | NoWay:
    """More memory, at least what a message wanted in one piece."""
    asked = move.more_memory if isinstance(move, MemoryMove) else MoreMemory()
    kind = now.catalogue.machine(within.held.machine)
    if kind is None:
        return NoWay(now.catalogue.why_unknown(within.held.machine))
    if asked.at_most is not None and kind.memory_gib >= asked.at_most:
        msg = (
            f"{kind.name} has {kind.memory_gib:g} GiB, and at most {asked.at_most:g} are asked for"
        )
        raise Exhausted(msg)
    wanted = sizing.wanted_gib(now.diagnosis)
    least = 0.0
    if wanted is not None and now.diagnosis.verdict is Cause.MEMORY_PRESSURE:
        least = wanted * sizing.HEADROOM_OVER_WANTED
        if least > growth.most_memory_gib(within):
            return NoWay(sizing.too_much_words(now.diagnosis, within), too_much=True)
    return growth.more_memory(
        within, factor=asked.factor, at_least_gib=least, at_most_gib=asked.at_most
    )


def _named_machine(step: Resubmit, held: Hardware, now: Situation) -> Moved | NoWay:
    name = str(step.machine_type)
    kind = now.catalogue.machine(name)
    if kind is not None and kind.device:
        return Moved(Hardware(name, kind.accelerator, kind.accelerator_count))
    if step.accelerator is not None:  # the accelerator of the step decides, not the old one
        return Moved(Hardware(name)) if kind else now.catalogue.mend(Hardware(name), now.service)
    return Moved(replace(held, machine=name))


def _accelerator(
    asked: Accelerator | str, held: Hardware, now: Situation, region: str
) -> Moved | NoWay:
    book, service = now.catalogue, now.service
    if asked == "none":
        return book.without_accelerator(held, service)
    if idle := _would_idle(now):
        return NoWay(idle)
    if asked == "bigger":
        return book.accelerator_bigger(held, service, region)
    if asked == "more_memory":
        return book.accelerator_more_memory(held, service, region)
    if not isinstance(asked, Accelerator):
        return NoWay(f"there is no accelerator move {asked}")
    return book.mend(Hardware(held.machine, asked.type, asked.count), service, region)


def _would_idle(now: Situation) -> str:
    """Why an accelerator would do nothing for the job; empty: nothing is known against one."""
    image = now.job.cpu_only_image(now.case.model)
    return f"the image {image} is built for CPUs: an accelerator would stand idle" if image else ""


def _doubts(hardware: Hardware, now: Situation) -> tuple[str, ...]:
    device = now.catalogue.accelerators.get(hardware.accelerator)
    return (f"{device.name}: {device.why_not}",) if device and device.why_not else ()


def died_of_it(now: Situation) -> tuple[Node, ...]:
    """The tasks that died of the verdict: not those that were cancelled, nor those of another cause."""
    failed = pipeline.failed(now.job)
    causes = {part.index: part.cause for part in now.diagnosis.parts}
    for wanted in (now.diagnosis.verdict, Cause.UNKNOWN):
        found = tuple(
            node
            for node in failed
            if any(causes.get(detail.index, Cause.UNKNOWN) is wanted for detail in node.failed)
        )
        if found:
            return found
    return failed


def _tasks(draft: Draft, step: Resubmit, now: Situation) -> Draft:
    """The machines of the tasks that died: where the launched job's stand, or a container's limits."""
    targets = died_of_it(now)
    if not targets:
        msg = "the failed task's component was not found in the pipeline's spec"
        raise Impossible(msg)
    dead = frozenset(node.path for node in targets)
    for node in targets:
        pools = tuple(machines.of_task(now.job, node, dead))
        if pools:
            draft = _task_pools(draft, pools, step, now)
        elif containers.is_plain(now.job, node):
            draft = _component(draft, node, dead, step, now)
        else:
            msg = f"task {node.title} runs no machine of its own, so there is none to change"
            raise Impossible(msg)
    return draft


def _task_pools(draft: Draft, pools: tuple[Pool, ...], step: Resubmit, now: Situation) -> Draft:
    said = [item.says for cause in now.diagnosis.causes[:1] for item in cause.evidence]
    named = now.job.failed_pools(*said)
    chosen = tuple(p for p in pools if p.name in named) or tuple(
        p for p in pools if p.hardware == pools[0].hardware
    )
    if broken := next((pool.fixed for pool in chosen if pool.fixed), ""):
        raise Impossible(broken)
    now = replace(now, served=chosen[0].service)
    if step.machine_type == "sized":
        draft = _sized(draft, now, chosen)
        if step.accelerator is None:
            return draft
    for pool in chosen:
        moved = _moved(pool.hardware, step, now, draft.location)
        if isinstance(moved, NoWay):
            raise _impossible(moved)
        draft = set_hardware(draft, pool, moved.hardware, now.catalogue).note(*moved.notes)
    return draft


def _component(
    draft: Draft, node: Node, dead: frozenset[str], step: Resubmit, now: Situation
) -> Draft:
    """A pipeline's containers state limits in place of machines: those are raised."""
    if step.machine_type == "sized":
        step = _sized_component(step, now)
    if isinstance(step.machine_type, MemoryMove):
        draft = draft.note("a component's limit is doubled, whatever the factor")
        step = step.model_copy(update={"machine_type": "more_memory"})
    if step.machine_type not in {None, "bigger", "more_memory"}:
        msg = (
            "the failed component states CPU and memory limits, which `bigger` and `more_memory` "
            "can raise; it names no machine"
        )
        raise Impossible(msg)
    if step.machine_type is not None:
        draft = _raised_limits(
            draft, node, dead, now, memory_only=step.machine_type == "more_memory"
        )
    if step.accelerator is not None:
        draft = _component_devices(draft, node, dead, step, now)
    return draft


def _sized_component(step: Resubmit, now: Situation) -> Resubmit:
    """The move that the verdict asks for: of limits, no finer measure is known than twice as much."""
    verdict = now.diagnosis.verdict
    move = _SIZED_COMPONENT.get(verdict)
    if move is None:
        msg = f"{verdict.value} says nothing about the size that is needed"
        raise Impossible(msg)
    named = {"accelerator": step.accelerator} if step.accelerator is not None else {}
    return step.model_copy(update={"machine_type": None, **move, **named})


_SIZED_COMPONENT: Mapping[Cause, Mapping[str, str]] = {
    Cause.CPU_SATURATION: {"machine_type": "bigger"},
    Cause.MEMORY_PRESSURE: {"machine_type": "more_memory"},
    Cause.GPU_MEMORY: {"accelerator": "more_memory"},
    Cause.ACCELERATOR_MISSING: {"accelerator": "bigger"},
}


def _raised_limits(
    draft: Draft, node: Node, dead: frozenset[str], now: Situation, *, memory_only: bool
) -> Draft:
    try:
        raised = tuple(containers.doubled(now.job, node, dead, memory_only=memory_only))
    except containers.Unreadable as err:
        raise Impossible(str(err)) from err
    for path, value in raised:
        draft = draft.set(path, value)
    if containers.hardware(draft.job, node, now.catalogue) is None:
        msg = "no machine is known that holds the failed component's limits once they are raised"
        raise Impossible(msg)
    return draft


def _component_devices(
    draft: Draft, node: Node, dead: frozenset[str], step: Resubmit, now: Situation
) -> Draft:
    """Other accelerators for a container; which machine takes them with its limits, Vertex finds."""
    held = containers.devices(now.job, node, dead)
    on = containers.hardware(draft.job, node, now.catalogue)
    if held.why:
        msg = f"task {node.title}: {held.why}"
        raise Impossible(msg)
    if on is None or step.accelerator is None:
        msg = "no machine is known that holds the failed component's limits"
        raise Impossible(msg)
    to = _accelerator(step.accelerator, on, now, draft.location)
    if isinstance(to, NoWay):
        raise Impossible(to.why)
    wanted = to.hardware
    for path in held.type_paths:
        draft = draft.set(path, wanted.accelerator or None)
    for path in held.count_paths:
        draft = draft.set(path, str(wanted.count) if wanted.count else None)
    return draft.note(*_doubts(wanted, now))


def _sized(draft: Draft, now: Situation, pools: tuple[Pool, ...]) -> Draft:
    choice = sizing.choose(
        now.case,
        now.diagnosis,
        now.history,
        now.catalogue,
        now.limits,
        pools,
        now.service,
        lambda hardware: _goes_on(hardware, pools[0].hardware, now, draft.location),
    )
    if isinstance(choice, NoWay):
        raise _impossible(choice)
    if choice.batch_size is not None:
        draft = draft.set(draft.job.batch_size_path, choice.batch_size)
    for pool in pools:
        if choice.hardware is not None:
            draft = set_hardware(draft, pool, choice.hardware, now.catalogue)
    return draft.note(*choice.notes)


def _goes_on(hardware: Hardware, held: Hardware, now: Situation, region: str) -> bool:
    """Whether the policy's later steps can be taken from the hardware, as far as from what is held."""
    return all(
        _can_be_taken(step, hardware, now, region) or not _can_be_taken(step, held, now, region)
        for step in now.later
    )


def _can_be_taken(step: Resubmit, held: Hardware, now: Situation, region: str) -> bool:
    """Whether the step finds an allowed machine from there, and one that is no other generation's
    where the step names an accelerator: a T4 attaches to N1 alone."""
    if step.machine_type in {None, "sized"} and step.accelerator is None:
        return True
    try:
        moved = _moved(held, step, now, region)
    except Exhausted:
        return True
    if isinstance(moved, NoWay) or not sizing.is_permitted(moved.hardware, now.limits):
        return False
    before, after = (now.catalogue.machine(h.machine) for h in (held, moved.hardware))
    crossed = before is not None and after is not None and before.generation != after.generation
    return step.accelerator is None or not crossed


# --- the other rows -------------------------------------------------------------------------------


def _location(draft: Draft, asked: str, now: Situation) -> Draft:
    hardware = tuple(pool.hardware for pool in now.job.pools)
    to = places.target(
        asked,
        now.case,
        now.history,
        now.catalogue,
        now.limits.locations,
        hardware,
        now.service,
    )
    if isinstance(to, places.Stuck):
        raise Impossible(to.why, Guard.PINNED if to.pinned else Guard.INCOMPATIBLE)
    if to.region == draft.location:
        return draft.note(f"the job is in {to.region} already")
    change = Change("location", draft.location, to.region)
    moved = replace(draft, location=to.region, changes=(*draft.changes, change))
    return moved.note(*to.notes)


_ONE_REQUEST = frozenset({Cause.REQUEST_TOO_LARGE, Cause.ACCELERATOR_MISSING, Cause.GPU_MEMORY})


def _replicas(draft: Draft, asked: int | str, now: Situation) -> Draft:
    pools = draft.job.pools
    if not pools:
        msg = "the job has no machines of its own, so no replicas to change"
        raise Impossible(msg)
    if now.job.kind is JobKind.BATCH_PREDICTION:
        return _batch_replicas(draft, asked, now, pools[0])
    named = target_pools(now, draft) if now.job.failed_pools() else ()
    pool = named[0] if named else pools[min(1, len(pools) - 1)]
    count = 2 * pool.replicas if asked == "double" else int(asked)
    before = draft.job.read(pool.replicas_path)
    # int64 fields are text in Google's JSON: the job's own way of writing them is kept. What stands
    # in a training pipeline's inputs comes back as a float.
    as_number = isinstance(before, int | float)
    draft = draft.set(pool.replicas_path, count if as_number else str(count))
    if pool.name == "workerpool0" and count > 1:
        return draft.note("Vertex may want a single replica in the first worker pool")
    return draft


def _batch_replicas(draft: Draft, asked: int | str, now: Situation, pool: Pool) -> Draft:
    count = 2 * pool.replicas if asked == "double" else int(asked)
    draft = draft.set(pool.replicas_path, count)
    if count > draft.job.most_replicas:
        draft = draft.set(draft.job.most_replicas_path, count)
    if draft.job.instances_format == "csv":
        draft = draft.note("CSV input is not split: more replicas will not share it")
    if now.diagnosis.verdict in _ONE_REQUEST:
        draft = draft.note("more replicas do nothing for the time or size of one request")
    return draft


def _batch_size(draft: Draft, asked: int | str, now: Situation) -> Draft:
    held = now.job.batch_size
    if held is None:
        msg = "a batch size goes only with dedicated machines, and the job has none"
        raise Impossible(msg)
    if asked == "halve" and held <= 1:
        msg = "the batch size is 1 already"
        raise Exhausted(msg)
    size = max(1, held // 2) if asked == "halve" else int(asked)
    if size == held:
        return draft.note(f"the batch size is {held} already")
    return draft.set(draft.job.batch_size_path, size)


def _timeout(draft: Draft, asked: timedelta | str, now: Situation) -> Draft:
    path = draft.job.timeout_path
    held = now.job.timeout_seconds or DEFAULT_TIMEOUT_SECONDS
    if asked == "sized":
        seconds, said = _time_needed(held, now)
        draft = draft.note(said)
    else:
        seconds = asked.total_seconds() if isinstance(asked, timedelta) else 2 * held
    return draft.set(path, _duration(seconds))


def _time_needed(held: float, now: Situation) -> tuple[float, str]:
    """Seconds that the progress in the log says are needed and a fifth more, with its words."""
    progress = now.diagnosis.needs.progress
    if progress is None or now.job.kind is JobKind.HYPERPARAMETER_TUNING:
        msg = "the log tells no steady progress from which a time could be taken"
        raise Exhausted(msg)
    said = (
        f"{progress.done:.0%} was done, so all of it takes {_hours(progress.seconds_needed)} "
        f"({progress.evidence.says})"
    )
    wanted = progress.seconds_needed * TIME_HEADROOM
    if wanted <= held:
        msg = f"{said}, and the time-out of {_hours(held)} is long enough"
        raise Exhausted(msg)
    most, _ = longest_run(now.case, now.history, now.limits)
    if progress.seconds_needed > most:
        msg = f"{said}, more than the {_hours(most)} that max_run and Vertex allow"
        raise Exhausted(msg)
    # Whole minutes, as a person would write it.
    return min(math.ceil(wanted / 60) * 60.0, most), said


TIME_HEADROOM = 1.2  # a fifth more than the progress says, the contract's own


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.3g} h"


def _spot(draft: Draft, asked: bool, now: Situation) -> Draft:
    if asked == now.job.is_spot:
        return draft.note("the job is on spot machines already" if asked else "the job is not spot")
    return draft.set(draft.job.strategy_path, "SPOT" if asked else "STANDARD")


def _strategy(draft: Draft, asked: str, now: Situation) -> Draft:
    if asked == now.job.strategy:
        return draft.note(f"the job's strategy is {asked} already")
    draft = draft.set(draft.job.strategy_path, asked)
    # Only FLEX_START waits: what the job says of it goes with it.
    return draft if asked == _FLEX_START else draft.set(draft.job.max_wait_path, None)


_FLEX_START = "FLEX_START"
_QUEUED_FOR = re.compile(
    r"NVIDIA_(L4|TESLA_A100|A100_80GB|H100_80GB|H100_MEGA_80GB|H200_141GB|B200)"
)
"""Devices that Vertex queues for (cloud.google.com/vertex-ai/docs/training/schedule-jobs-dws)."""


def _not_for_flex_start(job: Job) -> str:
    """Why Vertex would refuse to queue the job for its machines; empty: it would not."""
    held = {pool.hardware for pool in job.pools}
    wrong = sorted(str(one) for one in held if not _QUEUED_FOR.fullmatch(one.accelerator))
    if wrong:
        return f"FLEX_START is for L4, A100, H100, H200 or B200 GPUs: the job runs on {wrong[0]}"
    if len(held) > 1:
        return "FLEX_START wants the same machine in every worker pool"
    if (job.timeout_seconds or 0) > DEFAULT_TIMEOUT_SECONDS:
        return "FLEX_START takes jobs with a time-out of seven days at most"
    return ""


def _max_wait(draft: Draft, asked: timedelta, _: Situation) -> Draft:
    if draft.job.strategy != _FLEX_START:
        return draft.note("max_wait does nothing: only FLEX_START waits for its machines")
    return draft.set(draft.job.max_wait_path, _duration(asked.total_seconds()))


def _duration(seconds: float) -> str:
    """As protobuf's JSON writes it."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"


def _disk(draft: Draft, asked: int | str, now: Situation) -> Draft:
    pools = target_pools(now, draft)
    if not pools:
        msg = "the job names no machine of its own, so no boot disk to change"
        raise Impossible(msg)
    for pool in pools:
        held = pool.disk_gb or DEFAULT_BOOT_DISK_GB
        size = min(2 * held, MOST_DISK_GB) if asked == "double" else int(asked)
        if size == held and asked == "double":
            msg = f"the boot disk has {held} GB already, the most that there is"
            raise Exhausted(msg)
        if size < held:
            draft = draft.note(f"the boot disk had {held} GB, more than {size}")
        if size != held:
            draft = draft.set(pool.disk_path, size)
    return draft


def _env(draft: Draft, asked: Mapping[str, str], _: Situation) -> Draft:
    return _halved(_without_ours(draft), program.halved_variables, asked)


def _without_ours(draft: Draft) -> Draft:
    """Our own variables are written anew last: a change names the place that a variable then has."""
    return replace(draft, job=draft.job.without_our_variables())


def _args(draft: Draft, asked: Mapping[str, str], _: Situation) -> Draft:
    return _halved(draft, program.halved_flags, asked)


def _halved(
    draft: Draft,
    halve: Callable[[Job, Iterable[str]], program.Edits],
    names: Mapping[str, str],
) -> Draft:
    try:
        edits = halve(draft.job, names)
    except program.NothingToHalve as nothing:
        raise Exhausted(str(nothing)) from None
    for path, value in edits.items():
        draft = draft.set(path, value)
    return draft


def _explanations(draft: Draft, asked: bool, now: Situation) -> Draft:
    if not now.job.asks_for_explanations:
        return draft.note("the job asks for no explanations as it is")
    return draft.set(draft.job.explanations_path, asked)


def _rows(draft: Draft, asked: str, _: Situation) -> Draft:
    if asked == "remaining":
        msg = "the rows that are left cannot be told apart yet, so they cannot be run alone"
        raise Exhausted(msg, Guard.ROWS)
    return draft


def _output(draft: Draft, _: str, now: Situation) -> Draft:
    held = now.job.base_output
    if not held:
        msg = "the job names no base output directory"
        raise Impossible(msg)
    root, _, last = held.rstrip("/").rpartition("/attempt-")
    base = root if root and last.isdigit() else held.rstrip("/")
    return draft.set(draft.job.base_output_path, f"{base}/attempt-{now.number}")


_Row = Callable[[Draft, Any, Situation], Draft]
_ROWS: Mapping[str, _Row] = {
    "location": _location,
    "replicas": _replicas,
    "batch_size": _batch_size,
    "timeout": _timeout,
    "spot": _spot,
    "strategy": _strategy,
    "max_wait": _max_wait,
    "disk": _disk,
    "env": _env,
    "args": _args,
    "explanations": _explanations,
    "rows": _rows,
    "output": _output,
}
"""Rows of the table but for `machine_type` and `accelerator`, which are one decision, and `wait`,
which changes nothing. The place is settled first: what is offered depends on it."""
