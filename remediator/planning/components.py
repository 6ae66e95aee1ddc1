"""The machines of a pipeline's tasks that died: a launched job's pools, or the limits of a plain container.

Owns which tasks died of the verdict and what `machine_type` and `accelerator` mean for each. What a pool
moves to is `hardware`'s business. Called by `steps`.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from remediator.catalog.catalog import NoHardware
from remediator.domain import Cause, Lack
from remediator.job import containers, machines, pipeline
from remediator.job.pipeline import PipelineNode
from remediator.planning.draft import JobDraft, StepContext, StepImpossible
from remediator.planning.hardware import (
    device_move,
    doubts_about,
    move_pools,
    sized_pools,
    with_those_alike,
)
from remediator.policy.steps import MemoryMove, Resubmit


def died_of_it(now: StepContext) -> tuple[PipelineNode, ...]:
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


def change_tasks(draft: JobDraft, step: Resubmit, now: StepContext) -> JobDraft:
    """The machines of the tasks that died: where the launched job's stand, or a container's limits."""
    targets = died_of_it(now)
    if not targets:
        msg = "the failed task's component was not found in the pipeline's spec"
        raise StepImpossible(msg)
    dead = frozenset(node.path for node in targets)
    for node in targets:
        pools = tuple(machines.of_task(now.job, node, dead))
        if pools:
            draft = _task_pools(draft, node, dead, step, now)
        elif containers.is_plain(now.job, node):
            draft = _component(draft, node, dead, step, now)
        else:
            msg = f"task {node.title} runs no machine of its own, so there is none to change"
            raise StepImpossible(msg)
    return draft


def _task_pools(
    draft: JobDraft, node: PipelineNode, dead: frozenset[str], step: Resubmit, now: StepContext
) -> JobDraft:
    pools = tuple(machines.of_task(now.job, node, dead))
    said = [item.says for cause in now.diagnosis.causes[:1] for item in cause.evidence]
    named = now.job.failed_pools(*said)
    chosen = with_those_alike(tuple(p for p in pools if p.name in named), pools, now.job)
    chosen = chosen or tuple(p for p in pools if p.hardware == pools[0].hardware)
    if broken := next((pool.fixed for pool in chosen if pool.fixed), ""):
        raise StepImpossible(broken)
    now = replace(now, served=chosen[0].service)
    if step.machine_type == "sized":
        draft = sized_pools(draft, now, chosen)
        if step.accelerator is None:
            return draft
        names = {pool.name for pool in chosen}
        sized = machines.of_task(draft.job, node, dead)
        chosen = tuple(pool for pool in sized if pool.name in names)
    return move_pools(draft, chosen, step, now)


def _component(
    draft: JobDraft, node: PipelineNode, dead: frozenset[str], step: Resubmit, now: StepContext
) -> JobDraft:
    """A pipeline's containers state limits in place of machines: those are raised."""
    if step.machine_type == "sized":
        step = _sized_component(step, now)
    if isinstance(step.machine_type, MemoryMove):
        draft = draft.note("a component's limit is doubled, whatever the factor")
        step = step.changed(machine_type="more_memory")
    if step.machine_type not in {None, "bigger", "more_memory"}:
        msg = (
            "the failed component states CPU and memory limits, which `bigger` and `more_memory` "
            "can raise; it names no machine"
        )
        raise StepImpossible(msg)
    if step.machine_type is not None:
        draft = _raised_limits(
            draft, node, dead, now, memory_only=step.machine_type == "more_memory"
        )
    if step.accelerator is not None:
        draft = _component_devices(draft, node, dead, step, now)
    return draft


def _sized_component(step: Resubmit, now: StepContext) -> Resubmit:
    """The move that the verdict asks for: of limits, no finer measure is known than twice as much."""
    verdict = now.diagnosis.verdict
    move = _SIZED_COMPONENT.get(verdict)
    if move is None:
        msg = f"{verdict.value} says nothing about the size that is needed"
        raise StepImpossible(msg)
    named = {"accelerator": step.accelerator} if step.accelerator is not None else {}
    return step.changed(**{"machine_type": None, **move, **named})


_SIZED_COMPONENT: Mapping[Cause, Mapping[str, str]] = {
    Cause.CPU_SATURATION: {"machine_type": "bigger"},
    Cause.MEMORY_PRESSURE: {"machine_type": "more_memory"},
    Cause.GPU_MEMORY: {"accelerator": "more_memory"},
    Cause.ACCELERATOR_MISSING: {"accelerator": "bigger"},
}


def _raised_limits(
    draft: JobDraft,
    node: PipelineNode,
    dead: frozenset[str],
    now: StepContext,
    *,
    memory_only: bool,
) -> JobDraft:
    try:
        raised = tuple(containers.doubled(now.job, node, dead, memory_only=memory_only))
    except containers.UnreadableContainer as err:
        raise StepImpossible(str(err)) from err
    for path, value in raised:
        draft = draft.set(path, value)
    if containers.hardware(draft.job, node, now.catalog) is None:
        msg = "no machine is known that holds the failed component's limits once they are raised"
        raise StepImpossible(msg, lack=Lack.LARGER_MACHINE)
    return draft


def _component_devices(
    draft: JobDraft, node: PipelineNode, dead: frozenset[str], step: Resubmit, now: StepContext
) -> JobDraft:
    """Other accelerators for a container; which machine takes them with its limits, Vertex finds."""
    held = containers.devices(now.job, node, dead)
    on = containers.hardware(draft.job, node, now.catalog)
    if held.why:
        msg = f"task {node.title}: {held.why}"
        raise StepImpossible(msg)
    if on is None or step.accelerator is None:
        msg = "no machine is known that holds the failed component's limits"
        raise StepImpossible(msg, lack=Lack.LARGER_MACHINE)
    to = device_move(step.accelerator, on, now, draft.location)
    if isinstance(to, NoHardware):
        raise StepImpossible(to.why)
    wanted = to.hardware
    for path in held.type_paths:
        draft = draft.set(path, wanted.accelerator or None)
    for path in held.count_paths:
        is_number = isinstance(now.job.read(path), int | float)  # a run's parameter of that type
        count = wanted.count if is_number else str(wanted.count)
        draft = draft.set(path, count if wanted.count else None)
    return draft.note(*doubts_about(wanted, now))
