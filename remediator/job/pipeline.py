"""Pipeline runs: which task failed, which executor that is, and what its container asks for.

Owns the reading of a run's `jobDetail` and of the executors in its spec. Must not decide. Called by
`changes` (what to raise) and `costs` (what will run again).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediator.catalog.catalog import Catalogue, Hardware
from remediator.catalog.machines import Service
from remediator.domain import parse_time
from remediator.job import fields
from remediator.job.document import Document, read, spelled, whole_number

_DONE = frozenset({"SUCCEEDED", "SKIPPED", "NOT_TRIGGERED"})
_FAILED = frozenset({"FAILED", "CANCELLED"})
DEFAULT_CPUS, DEFAULT_GIB = 4.0, 16.0  # a component without limits runs on e2-standard-4


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a run, as its `jobDetail` tells it. `seconds`: None while it is not known."""

    name: str
    state: str
    seconds: float | None
    error: str


def tasks(job: Document) -> tuple[Task, ...]:
    """The run's tasks with their states, in the order that Vertex lists them."""
    found = []
    for detail in read(job, "jobDetail.taskDetails") or ():
        started, ended = parse_time(detail.get("startTime")), parse_time(detail.get("endTime"))
        found.append(
            Task(
                str(detail.get("taskName") or ""),
                str(detail.get("state") or ""),
                (ended - started).total_seconds() if started and ended else None,
                str((detail.get("error") or {}).get("message") or ""),
            )
        )
    return tuple(found)


def _executor_of(job: Document) -> Mapping[str, str]:
    """Task name to executor label, through every DAG in the spec."""
    spec = job.read("pipelineSpec") or {}
    components = spec.get("components") or {}
    dags = [spec.get("root") or {}, *components.values()]
    found: dict[str, str] = {}
    for dag in dags:
        listed = ((dag.get("dag") or {}).get("tasks") or {}) if isinstance(dag, Mapping) else {}
        for name, task in listed.items():
            named = str(((task or {}).get("componentRef") or {}).get("name") or "")
            component = components.get(named) or {}
            label = component.get("executorLabel")
            if label:
                found[name] = str(label)
    return found


def failed_executors(job: Document) -> tuple[str, ...]:
    """Labels of the executors whose tasks failed, outermost wrappers aside."""
    labels = _executor_of(job)
    failed = [task.name for task in tasks(job) if task.state in _FAILED]
    return tuple(dict.fromkeys(labels[name] for name in failed if name in labels))


def executors_to_run(job: Document) -> tuple[str, ...]:
    """Labels of the executors that run again: all but those whose every task has succeeded."""
    labels = _executor_of(job)
    done = {task.name for task in tasks(job) if task.state in _DONE}
    again = [label for name, label in labels.items() if name not in done]
    return tuple(dict.fromkeys(again)) or tuple(fields.executors(job))


def uncached(job: Document) -> tuple[str, ...]:
    """Paths of `enableCache` of the run's own tasks that have succeeded and are not cached."""
    listed = job.read("pipelineSpec.root.dag.tasks") or {}
    done = {task.name for task in tasks(job) if task.state in _DONE}
    return tuple(
        f"pipelineSpec.root.dag.tasks.{name}.cachingOptions.enableCache"
        for name, task in listed.items()
        if name in done
        and ((task or {}).get("cachingOptions") or {}).get("enableCache") is not True
    )


def longest_failed_seconds(job: Document) -> float | None:
    """How long the failed task ran, at most, over all that failed."""
    ran = [t.seconds for t in tasks(job) if t.state in _FAILED and t.seconds is not None]
    return max(ran, default=None)


# --- accelerators ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContainerDevices:
    """A container's accelerators, with where they stand; `type` is empty where it asks for none."""

    type_path: str
    type: str
    count_path: str
    count: int


def devices(job: Document, executor: str) -> ContainerDevices | None:
    """The accelerators of a plain container; None for other executors. Counts are int64s, as text."""
    asked = limits(job, executor)
    if asked is None:
        return None
    holder = f"{fields.executors(job)[executor]}.container.resources.accelerator"
    spellings = ("resourceType", "resourceCount"), ("type", "count")
    here = next((pair for pair in spellings if read(job, f"{holder}.{pair[0]}")), None)
    what, count = here or spellings[0 if asked.as_text else 1]
    type_path = spelled(job, f"{holder}.{what}")
    count_path = spelled(job, f"{holder}.{count}")
    named = str(job.read(type_path) or "")
    number = whole_number(job.read(count_path)) or 1
    return ContainerDevices(type_path, named, count_path, number if named else 0)


def accelerators(job: Document) -> frozenset[str]:
    """Types of accelerators that the run's containers ask for."""
    found = (devices(job, label) for label in fields.executors(job))
    return frozenset(one.type for one in found if one and one.type)


def hardware(job: Document, executor: str, catalogue: Catalogue) -> Hardware | None:
    """The smallest n1 that holds a container's limits, with its accelerators; None: there is none."""
    asked, held = limits(job, executor), devices(job, executor)
    if asked is None or held is None:
        return None
    cpus, gib = asked.shape
    fitting = [
        machine
        for machine in catalogue.machines.values()
        if machine.generation == "n1" and Service.TRAINING in machine.services
        if machine.vcpus >= cpus and machine.memory_gib >= gib
    ]
    smallest = min(fitting, key=lambda one: (one.vcpus, one.memory_gib), default=None)
    return Hardware(smallest.name, held.type, held.count) if smallest else None


# --- limits -----------------------------------------------------------------------------------------

_UNIT = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(i?)[Bb]?")
_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


@dataclass(frozen=True, slots=True)
class ContainerLimits:
    """A container's CPU and memory limits, with where they stand and in which form."""

    cpu_path: str
    cpu: float | None
    memory_path: str
    memory_gib: float | None
    as_text: bool

    @property
    def shape(self) -> tuple[float, float]:
        """vCPUs and GiB to be had, Vertex's default where nothing is stated."""
        return self.cpu or DEFAULT_CPUS, self.memory_gib or DEFAULT_GIB


def limits(job: Document, executor: str) -> ContainerLimits | None:
    """The limits of a plain container; None for other executors."""
    holder = fields.executors(job).get(executor)
    if holder is None or not isinstance(job.read(f"{holder}.container"), Mapping):
        return None
    resources = f"{holder}.container.resources"
    as_text = any(
        read(job, f"{resources}.{key}") is not None
        for key in ("resourceCpuLimit", "resourceMemoryLimit")
    )
    cpu, memory = (
        ("resourceCpuLimit", "resourceMemoryLimit") if as_text else ("cpuLimit", "memoryLimit")
    )
    cpu_path = spelled(job, f"{resources}.{cpu}")
    memory_path = spelled(job, f"{resources}.{memory}")
    return ContainerLimits(
        cpu_path,
        _cpus(job.read(cpu_path)),
        memory_path,
        _gib(job.read(memory_path)),
        as_text,
    )


def _cpus(value: object) -> float | None:
    if isinstance(value, str):
        milli = re.fullmatch(r"(\d+)m", value)
        if milli:
            return int(milli[1]) / 1000
        return float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else None
    return float(value) if isinstance(value, int | float) and value > 0 else None


def _gib(value: object) -> float | None:
    """KFP's number is in GB; the text form has a unit of its own."""
    if isinstance(value, str):
        match = _UNIT.fullmatch(value)
        if match is None:
            return None
        base = 1024 if match[3] else 1000
        return float(match[1]) * float(base ** _POWER[match[2]]) / 1024**3
    return (
        float(value) * 1000**3 / 1024**3 if isinstance(value, int | float) and value > 0 else None
    )


def raised(job: Document, *, memory_only: bool) -> tuple[tuple[str, Any], ...]:
    """Paths and new values that double the failed components' limits; None: they cannot be read."""
    found: list[tuple[str, Any]] = []
    for executor in failed_executors(job):
        now = limits(job, executor)
        if now is None:
            continue
        if not memory_only:
            found.append(
                (now.cpu_path, _doubled(job.read(now.cpu_path), DEFAULT_CPUS, now.as_text))
            )
        held = job.read(now.memory_path)
        found.append((now.memory_path, _doubled(held, DEFAULT_GIB, now.as_text, unit="G")))
    return tuple(found)


def _doubled(held: object, default: float, as_text: bool, unit: str = "") -> Any:
    """Twice what is held, or twice Vertex's default where nothing is; None: it cannot be read.

    A limit may be a pipeline's parameter, which only whoever starts the run can raise.
    """
    if isinstance(held, str) and held:
        match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)(m|\s*[KMGTP]?i?[Bb]?)", held)
        return f"{float(match[1]) * 2:.15g}{match[2]}" if match else None
    if isinstance(held, int | float) and held > 0:
        return held * 2
    return f"{default * 2:g}{unit}" if as_text else default * 2
