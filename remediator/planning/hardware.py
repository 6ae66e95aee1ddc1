"""The rows `machine_type` and `accelerator` of `resubmit`, which are one decision: what a job runs on.

Owns which pools change and to what, in which the accelerator stays unless the step or the cause says
otherwise; a pipeline's tasks are chosen by `components`. Where a machine can grow is known to
`catalog.growth`, what the evidence asks for to `sizing`. Called by `steps`, `ladder` for another
family. Must not weigh limits but to prefer what the lists allow.
"""

from __future__ import annotations

from msgspec.structs import replace

from remediator.catalog import growth
from remediator.catalog.catalog import Catalog, Hardware, Moved, NoHardware
from remediator.catalog.growth import Ground
from remediator.domain import NO_PLACE, Cause, Guard, Lack
from remediator.job import Job, Pool
from remediator.planning import device_memory, similar_sizes, sizing, slices
from remediator.planning.draft import JobDraft, StepContext, StepHasNoEffect, StepImpossible
from remediator.policy.steps import Accelerator, MemoryMove, MoreMemory, Resubmit


def target_pools(now: StepContext, draft: JobDraft) -> tuple[Pool, ...]:
    """The pools to change: the one that evidence names, else all on the first one's machine."""
    found = draft.job.pools
    said = [item.says for cause in now.diagnosis.causes[:1] for item in cause.evidence]
    where = [item.where for cause in now.diagnosis.causes[:1] for item in cause.evidence]
    named = now.job.failed_pools(*said, *where)
    chosen = tuple(pool for pool in found if pool.name in named)
    if not found:
        return ()
    return with_those_alike(chosen, found, draft.job) or tuple(
        pool for pool in found if pool.hardware == found[0].hardware
    )


def with_those_alike(
    chosen: tuple[Pool, ...], found: tuple[Pool, ...], job: Job
) -> tuple[Pool, ...]:
    """The pools that evidence names, and those that run the same program on the same machines: what
    one of them lacked, the others lack too."""
    alike = (
        pool
        for pool in found
        if pool not in chosen and any(job.run_alike(pool, one) for one in chosen)
    )
    return (*chosen, *alike)


def change_hardware(draft: JobDraft, step: Resubmit, now: StepContext) -> JobDraft:
    """The step's machines for a job that has worker pools of its own (`components` for a pipeline's)."""
    pools = target_pools(now, draft)
    if not pools:
        msg = "the job names no machine of its own, so there is none to change"
        raise StepImpossible(msg)
    if _wants_a_bigger_slice(step, now) and (sliced := _bigger_slices(draft, pools)):
        return sliced
    if step.machine_type == "sized":
        draft = sized_pools(draft, now, pools)
        pools = target_pools(now, draft)
        if step.accelerator is None:
            return draft
    return move_pools(draft, pools, step, now)


def move_pools(
    draft: JobDraft, pools: tuple[Pool, ...], step: Resubmit, now: StepContext
) -> JobDraft:
    """Each pool on what the step asks for; Impossible where one of them has nowhere to go."""
    for pool in pools:
        moved = _moved(pool.hardware, step, now, draft.location)
        if isinstance(moved, NoHardware):
            raise _impossible(moved)
        draft = set_hardware(draft, pool, moved.hardware, now.catalog).note(*moved.notes)
    return draft


def _wants_a_bigger_slice(step: Resubmit, now: StepContext) -> bool:
    """Whether more memory on each device is asked for, which a bigger part of the card gives; where there was
    no card at all, or no quota for it, another part of the same card is none either."""
    if now.diagnosis.verdict in NO_PLACE:
        return False
    if step.accelerator in {"more_memory", "bigger"}:
        # A bigger slice of the card leaves the host's memory as it is.
        of_the_host = now.diagnosis.verdict is Cause.MEMORY_PRESSURE
        return not (of_the_host and _asks_for_memory(step))
    sized = step.machine_type == "sized" and step.accelerator is None
    batch = now.job.batch_size or 1
    return sized and now.diagnosis.verdict is Cause.GPU_MEMORY and batch <= 1


def _bigger_slices(draft: JobDraft, pools: tuple[Pool, ...]) -> JobDraft | None:
    """The next slice of the same card for each pool that runs on slices; None: there is none."""
    found = [(pool, bigger) for pool in pools if (bigger := slices.bigger_partition(pool))]
    for pool, bigger in found:
        draft = draft.set(pool.partition_path, bigger)
    return draft if found else None


def _impossible(no_way: NoHardware) -> StepImpossible:
    guard = Guard.NO_MACHINE if no_way.too_much else Guard.INCOMPATIBLE
    return StepImpossible(no_way.why, guard, Lack.LARGER_MACHINE if no_way.none_larger else None)


def set_hardware(draft: JobDraft, pool: Pool, wanted: Hardware, catalog: Catalog) -> JobDraft:
    """The pool on other hardware, its slices with it; what no longer applies is taken out.

    Raises Impossible where the pool's topology or partition cannot follow.
    """
    follows = slices.moved(pool, wanted, catalog)
    if isinstance(follows, NoHardware):
        raise _impossible(follows)
    if pool.whole is not None:
        return _whole(draft, pool, wanted, catalog)
    draft = draft.set(pool.machine_path, wanted.machine)
    for path, value in follows.items():
        draft = draft.set(path, value)
    if wanted.count or pool.hardware.count:
        none, zero = ("ACCELERATOR_TYPE_UNSPECIFIED", 0) if pool.service else (None, None)
        draft = draft.set(pool.accelerator_path, wanted.accelerator or none)
        draft = draft.set(pool.count_path, wanted.count or zero)
    return draft


def _whole(draft: JobDraft, pool: Pool, wanted: Hardware, catalog: Catalog) -> JobDraft:
    """A list of the task's own in place of one that others use too: one change, the whole list."""
    path, value = pool.whole or ("", None)
    given = draft.job if draft.job.read(path) is not None else draft.job.changed(path, value)
    edited = set_hardware(replace(draft, job=given), replace(pool, whole=None), wanted, catalog)
    return draft.set(path, edited.job.read(path))


def _moved(held: Hardware, step: Resubmit, now: StepContext, region: str) -> Moved | NoHardware:
    """Where the step leads from `held`: the machine first, then the accelerator, fixed.

    Devices stay as they are, in type and number, unless the step names an accelerator or the cause
    is one that another accelerator fixes.
    """
    catalog, service = now.catalog, now.service
    notes: tuple[str, ...] = ()
    current = held
    both = step.accelerator == "more_memory" and _asks_for_memory(step)
    if step.machine_type and step.machine_type != "sized":
        to = _machine_move(step, held, now, region)
        if isinstance(to, NoHardware):
            return to
        current, notes = to.hardware, to.notes
    if step.accelerator is not None and not both:
        if fewer := _would_take_away(step.accelerator, held, now):
            raise StepHasNoEffect(fewer)
        to = device_move(step.accelerator, current, now, region)
        if isinstance(to, NoHardware):
            return to
        current, notes = to.hardware, (*notes, *to.notes)
    # What the failed job itself ran on is never called impossible.
    adjusted = Moved(held) if current == held else catalog.nearest_valid(current, service, region)
    if isinstance(adjusted, NoHardware):
        return adjusted
    if adjusted.hardware.accelerator and not held.accelerator and (idle := _would_idle(now)):
        return NoHardware(idle)
    notes = (*notes, *adjusted.notes)
    if adjusted.hardware == held and notes:
        # Adjusted back to what just failed: that is no step, and the same run again costs as much.
        return NoHardware(f"{'; '.join(notes)}: the job runs on {held} already")
    if changed := _other_devices(held, adjusted.hardware, step, now):
        return NoHardware(changed)
    same = (f"the job runs on {held} already",) if adjusted.hardware == held else ()
    return Moved(adjusted.hardware, (*notes, *same, *doubts_about(adjusted.hardware, now)))


def _would_take_away(asked: Accelerator | str, held: Hardware, now: StepContext) -> str:
    """Why an accelerator that is added to a job that has one already would take devices away.

    What is missing to such a job is not the device: its container does not see it, or another kind
    is meant.
    """
    had, count = growth.devices_of(now.catalog, held)
    if now.diagnosis.verdict is not Cause.ACCELERATOR_MISSING or not isinstance(asked, Accelerator):
        return ""
    smaller = _device_gib(now, asked.type) < _device_gib(now, had)
    if not count or (asked.count >= count and not smaller):
        return ""
    return f"the job has {count} {had} already, and {asked.count} {asked.type} would be less"


def _other_devices(held: Hardware, wanted: Hardware, step: Resubmit, now: StepContext) -> str:
    """Why the step would change an accelerator that nobody said may change; empty: it does not.

    A cause that another accelerator fixes lets it change too, but to no fewer or smaller devices.
    """
    if step.accelerator is not None:
        return ""
    had, count = growth.devices_of(now.catalog, held)
    has, counted = growth.devices_of(now.catalog, wanted)
    if not count or (had, count) == (has, counted):
        return ""
    fixes = now.diagnosis.verdict in similar_sizes.ACCELERATOR_CAUSES
    if fixes and counted >= count and _device_gib(now, has) >= _device_gib(now, had):
        return ""
    named = step.machine_type == wanted.machine and not wanted.count
    if named and has == had and counted >= count:
        return (
            ""  # a machine with TPUs says them by its name alone: there is no other field for them
        )
    becomes = f"{counted} {has}" if counted else "none"
    return (
        f"{wanted.machine} would turn {count} {had} into {becomes}: a step that may change the "
        f"accelerator names it, such as `accelerator: {{type: {has or had}, "
        f"count: {counted or count}}}`"
    )


def _device_gib(now: StepContext, device: str) -> float:
    found = now.catalog.accelerators.get(device)
    return (found.memory_gib if found else None) or 0.0


def ground(held: Hardware, now: StepContext, region: str) -> Ground:
    """Where the hardware may grow, within the policy's lists."""
    limits = now.limits
    return Ground(
        now.catalog,
        held,
        now.service,
        region,
        lambda hardware: sizing.is_permitted(hardware, limits),
    )


def _machine_move(
    step: Resubmit, held: Hardware, now: StepContext, region: str
) -> Moved | NoHardware:
    within = ground(held, now, region)
    if step.machine_type == "bigger":
        if growth.has_built_in_gpus(now.catalog, held):
            if step.accelerator is None:
                raise StepHasNoEffect(growth.built_in_words(held))
            return Moved(held)  # the step's accelerator brings its machine
        return growth.bigger(within)
    if _asks_for_memory(step):
        return _more_memory(within, step, now)
    return _named_machine(step, held, now)


def _asks_for_memory(step: Resubmit) -> bool:
    return step.machine_type == "more_memory" or isinstance(step.machine_type, MemoryMove)


def _more_memory(within: Ground, step: Resubmit, now: StepContext) -> Moved | NoHardware:
    """More memory, at least what a message wanted in one piece; where the step asks for more on each
    device, too, a machine with larger ones, as many as there are."""
    move = step.machine_type
    asked = move.more_memory if isinstance(move, MemoryMove) else MoreMemory()
    kind = now.catalog.machine(within.held.machine)
    if kind is None:
        return NoHardware(now.catalog.why_unknown(within.held.machine))
    if asked.at_most is not None and kind.memory_gib >= asked.at_most:
        msg = (
            f"{kind.name} has {kind.memory_gib:g} GiB, and at most {asked.at_most:g} are asked for"
        )
        raise StepHasNoEffect(msg)
    wanted = sizing.wanted_gib(now.diagnosis)
    other_devices = step.accelerator == "more_memory"
    least = 0.0
    if wanted is not None and now.diagnosis.verdict is Cause.MEMORY_PRESSURE:
        least = wanted * sizing.HEADROOM_OVER_WANTED
        if least > growth.most_memory_gib(within) and not other_devices:
            return NoHardware(sizing.too_much_words(now.diagnosis, within), too_much=True)
    if other_devices and (too_much := device_memory.no_device_words(now.diagnosis, now.catalog)):
        return NoHardware(too_much, too_much=True)
    grow = growth.more_memory_and_larger_devices if other_devices else growth.more_memory
    return grow(within, factor=asked.factor, at_least_gib=least, at_most_gib=asked.at_most)


def _named_machine(step: Resubmit, held: Hardware, now: StepContext) -> Moved | NoHardware:
    name = str(step.machine_type)
    kind = now.catalog.machine(name)
    if kind is not None and kind.device:
        return Moved(Hardware(name, kind.accelerator, kind.accelerator_count))
    if step.accelerator is not None:  # the accelerator of the step decides, not the old one
        return (
            Moved(Hardware(name))
            if kind
            else now.catalog.nearest_valid(Hardware(name), now.service)
        )
    return Moved(replace(held, machine=name))


def device_move(
    asked: Accelerator | str, held: Hardware, now: StepContext, region: str
) -> Moved | NoHardware:
    catalog, service = now.catalog, now.service
    if asked == "none":
        return catalog.without_accelerator(held, service)
    if idle := _would_idle(now):
        return NoHardware(idle)
    if asked == "bigger":
        return catalog.accelerator_bigger(held, service, region)
    if asked == "more_memory":
        return _device_with_more_memory(held, now, region)
    if not isinstance(asked, Accelerator):
        return NoHardware(f"there is no accelerator move {asked}")
    return catalog.nearest_valid(Hardware(held.machine, asked.type, asked.count), service, region)


def _device_with_more_memory(held: Hardware, now: StepContext, region: str) -> Moved | NoHardware:
    """The cheapest device with more memory, and then the next until it holds what a message wanted."""
    if too_much := device_memory.no_device_words(now.diagnosis, now.catalog):
        return NoHardware(too_much, too_much=True)
    permitted = lambda hardware: sizing.is_permitted(hardware, now.limits)  # noqa: E731  # one expression
    moved = now.catalog.accelerator_more_memory(held, now.service, region, permitted)
    wanted = now.diagnosis.needs.wanted
    if wanted is None or not wanted.device or now.diagnosis.verdict is not Cause.GPU_MEMORY:
        return moved
    while isinstance(moved, Moved):
        device = now.catalog.accelerators.get(moved.hardware.accelerator)
        if device is None or (device.memory_gib or 0.0) * _GIB >= wanted.bytes:
            break
        further = now.catalog.accelerator_more_memory(
            moved.hardware, now.service, region, permitted
        )
        if isinstance(further, NoHardware):
            break  # the guard says that nothing holds it
        moved = further
    return moved


_GIB = 1 << 30


def _would_idle(now: StepContext) -> str:
    """Why an accelerator would do nothing for the job; empty: nothing is known against one."""
    image = now.job.cpu_only_image(now.case.model)
    return f"the image {image} is built for CPUs: an accelerator would stand idle" if image else ""


def doubts_about(hardware: Hardware, now: StepContext) -> tuple[str, ...]:
    device = now.catalog.accelerators.get(hardware.accelerator)
    return (f"{device.name}: {device.why_not}",) if device and device.why_not else ()


def sized_pools(draft: JobDraft, now: StepContext, pools: tuple[Pool, ...]) -> JobDraft:
    """Each pool on what the evidence asks for; pools of other machines are sized each by their own."""
    for held in dict.fromkeys(pool.hardware for pool in pools):
        draft = _sized_alike(draft, now, tuple(pool for pool in pools if pool.hardware == held))
    return draft


def _sized_alike(draft: JobDraft, now: StepContext, pools: tuple[Pool, ...]) -> JobDraft:
    """`sized` for pools that all run on the same machines."""
    choice = sizing.choose(
        now.case,
        now.diagnosis,
        now.history,
        now.catalog,
        now.limits,
        pools,
        now.service,
        draft.location,
        lambda hardware: _goes_on(hardware, pools[0].hardware, now, draft.location),
    )
    if isinstance(choice, NoHardware):
        raise _impossible(choice)
    if choice.batch_size is not None:
        draft = draft.set(draft.job.batch_size_path, choice.batch_size)
    for pool in pools:
        if choice.hardware is not None:
            draft = set_hardware(draft, pool, choice.hardware, now.catalog)
    return draft.note(*choice.notes)


def _goes_on(hardware: Hardware, held: Hardware, now: StepContext, region: str) -> bool:
    """Whether the policy's later steps can be taken from the hardware, as far as from what is held."""
    return all(
        _can_be_taken(step, hardware, now, region) or not _can_be_taken(step, held, now, region)
        for step in now.later
    )


def goes_on_from(held: list[Hardware], now: StepContext, region: str) -> bool:
    """Whether each of the policy's later steps that names hardware can be taken in the region, of
    those that can be taken where the job failed."""
    here = now.job.name.location
    return all(
        _can_be_taken(step, one, now, region) or not _can_be_taken(step, one, now, here)
        for step in now.later
        for one in held[:1]
    )


def _can_be_taken(step: Resubmit, held: Hardware, now: StepContext, region: str) -> bool:
    """Whether the step finds an allowed machine from there, and one that is no other generation's
    where the step names an accelerator: a T4 attaches to N1 alone. Of a fallback one way is enough."""
    if step.fallback:
        ways = (step.changed(**way.every_key(), fallback=None) for way in step.fallback)
        return any(_can_be_taken(way, held, now, region) for way in ways)
    if step.machine_type in {None, "sized"} and step.accelerator is None:
        return True
    try:
        moved = _moved(held, step, now, region)
    except StepHasNoEffect:
        return True
    if isinstance(moved, NoHardware) or not sizing.is_permitted(moved.hardware, now.limits):
        return False
    before, after = (now.catalog.machine(h.machine) for h in (held, moved.hardware))
    crossed = before is not None and after is not None and before.generation != after.generation
    return step.accelerator is None or not crossed
