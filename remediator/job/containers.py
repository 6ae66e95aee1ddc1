"""A pipeline's own containers: the CPU, memory and accelerators that they ask for, in every spelling.

Owns KFP's two spellings of each amount (numbers in GB and texts with a unit; whichever Vertex reads,
both must agree) and where an amount stands that a parameter gives. Must not decide. Called by
`steps` and `costs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from remediator.catalog.catalog import Catalog, Hardware
from remediator.catalog.machines import Service
from remediator.domain.late_pattern import late_pattern
from remediator.job import launchers, pipeline
from remediator.job.document import Document, read, spelled, whole_number
from remediator.job.parameters import ParameterPlace, follow
from remediator.job.pipeline import PipelineNode

DEFAULT_CPUS, DEFAULT_GIB = 4.0, 16.0  # a component without limits runs on e2-standard-4
_GB = 1000.0**3 / 1024.0**3


class UnreadableContainer(Exception):
    """An amount that cannot be read, or not be changed where it stands; says where and what it is."""


def is_plain(job: Document, node: PipelineNode) -> bool:
    """Whether the task runs a container of the pipeline's own, and launches no other job."""
    container = job.read(f"{node.holder}.container")
    return isinstance(container, Mapping) and not launchers.is_launcher(container)


class _Spelling(Struct, frozen=True):
    """One spelling of an amount: its path in the executor, and where its value really stands."""

    path: str
    place: ParameterPlace
    as_text: bool

    @property
    def value(self) -> Any:
        return self.place.value


def _spellings(job: Document, node: PipelineNode, what: str, role: str) -> tuple[_Spelling, ...]:
    """Those spellings of `cpu` or `memory`, `Limit` or `Request`, that the container has."""
    found = []
    for name, as_text in ((f"{what}{role}", False), (f"resource{what.title()}{role}", True)):
        path = spelled(job, f"{node.holder}.container.resources.{name}")
        value = job.read(path)
        if value not in (None, "", 0):
            found.append(_Spelling(path, follow(job, node.scopes, path, value), as_text))
    return tuple(found)


# --- amounts --------------------------------------------------------------------------------------

_UNIT = late_pattern(r"(\d+(?:\.\d+)?)\s*([KMGTP]?)(i?)[Bb]?")
_POWER = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4, "P": 5}


def _cpus(value: object) -> float | None:
    if isinstance(value, str):
        milli = re.fullmatch(r"(\d{1,12})m", value)
        if milli:
            return int(milli[1]) / 1000
        return float(value) if re.fullmatch(r"\d{1,12}(\.\d{1,12})?", value) else None
    return _number(value)


def _gib(value: object) -> float | None:
    """KFP's number is in GB; the text form has a unit of its own."""
    if isinstance(value, str):
        match = _UNIT.fullmatch(value)
        if match is None:
            return None
        base = 1024 if match[3] else 1000
        return float(match[1]) * float(base ** _POWER[match[2]]) / 1024**3
    amount = _number(value)
    return None if amount is None else amount * _GB


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
        return None
    return float(value)


_READ = {"cpu": _cpus, "memory": _gib}
_DEFAULTS = {"cpu": DEFAULT_CPUS, "memory": DEFAULT_GIB}


def shape(job: Document, node: PipelineNode) -> tuple[float | None, float | None]:
    """vCPUs and GiB that the container may use, Vertex's default where nothing is stated.

    None: stated, but not to be read.
    """
    found = []
    for what in ("cpu", "memory"):
        held = _spellings(job, node, what, "Limit") or _spellings(job, node, what, "Request")
        sizes = [_READ[what](one.value) for one in held]
        known = [size for size in sizes if size is not None]
        found.append(max(known) if known else None if held else _DEFAULTS[what])
    return found[0], found[1]


def doubled(
    job: Document, node: PipelineNode, dead: frozenset[str], *, memory_only: bool
) -> Iterator[tuple[str, Any]]:
    """(path, value) of everything that doubles the container's limits; raises Unreadable.

    Requests grow with their limits. What is not stated becomes twice Vertex's default.
    """
    for what in ("memory",) if memory_only else ("cpu", "memory"):
        limits = _spellings(job, node, what, "Limit")
        for held in (limits, _spellings(job, node, what, "Request")):
            yield from _twice(job, held, what, node, dead)
        if not limits:
            yield from _beside_nothing(job, node, what)


def _twice(
    job: Document, held: tuple[_Spelling, ...], what: str, node: PipelineNode, dead: frozenset[str]
) -> Iterator[tuple[str, Any]]:
    for one in held:
        if one.place.why or _READ[what](one.value) is None:
            why = one.place.why or "nobody can tell what twice that is"
            msg = (
                f"the {what} limit of task {node.title} is {one.value!r} at {one.place.path}: {why}"
            )
            raise UnreadableContainer(msg)
    sizes = [_READ[what](one.value) or 0.0 for one in held]
    most = max(sizes, default=0.0)
    for one, size in zip(held, sizes, strict=True):
        agrees = abs(size - most) <= most / 100
        value = _double(one.value) if agrees else _written(2 * most, what, as_text=one.as_text)
        if one.place.path_for(job, dead) == one.place.path:
            yield one.place.path, value
        else:  # the parameter is somebody else's too: the container has a limit of its own then
            yield from _both(one.path, what, _read_back(value, what), value)


def _read_back(value: Any, what: str) -> float:
    return _READ[what](value) or 0.0


def _both(path: str, what: str, size: float, value: Any) -> Iterator[tuple[str, Any]]:
    """A literal in both of KFP's spellings, beside each other."""
    holder, _, name = path.rpartition(".")
    role = "Request" if name.endswith("Request") else "Limit"
    number = size if what == "cpu" else size / _GB
    yield f"{holder}.{what}{role}", round(number, 6)
    yield f"{holder}.resource{what.title()}{role}", str(value)


def _beside_nothing(job: Document, node: PipelineNode, what: str) -> Iterator[tuple[str, Any]]:
    """Twice the default, in the spellings that the container has for its other limit."""
    resources = spelled(job, f"{node.holder}.container.resources")
    held = _spellings(job, node, "cpu" if what == "memory" else "memory", "Limit")
    twice = 2 * _DEFAULTS[what]
    if any(not one.as_text for one in held) or not held:
        yield spelled(job, f"{resources}.{what}Limit"), twice
    if any(one.as_text for one in held) or not held:
        unit = "G" if what == "memory" else ""
        yield spelled(job, f"{resources}.resource{what.title()}Limit"), f"{twice:g}{unit}"


def _double(value: Any) -> Any:
    if isinstance(value, str):
        match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?)(.*)", value.strip(), re.DOTALL)
        return f"{float(match[1]) * 2:.15g}{match[2]}" if match else value
    return value * 2


def _written(size: float, what: str, *, as_text: bool) -> Any:
    if what == "cpu":
        return f"{size:g}" if as_text else size
    return f"{size / _GB:.6g}G" if as_text else round(size / _GB, 6)


# --- accelerators ---------------------------------------------------------------------------------


class Devices(Struct, frozen=True):
    """A container's accelerators, with every place they stand; `type` is empty where it asks for none.

    `why`: why they cannot be read or changed; empty: they can. Counts are int64s, as text.
    """

    type_paths: tuple[str, ...]
    count_paths: tuple[str, ...]
    type: str
    count: int
    why: str = ""


def devices(job: Document, node: PipelineNode, dead: frozenset[str] = frozenset()) -> Devices:
    """The accelerators of a plain container, in whichever spellings it has them."""
    holder = f"{node.holder}.container.resources.accelerator"
    types = _device_places(job, node, holder, ("resourceType", "type"))
    counts = _device_places(job, node, holder, ("resourceCount", "count"))
    named = next((str(place.value) for _, place in types if place.value), "")
    number = next((n for _, place in counts if (n := whole_number(place.value))), 1)
    broken = next((place for _, place in (*types, *counts) if place.why), None)
    why = f"its accelerator stands at {broken.path}: {broken.why}" if broken else ""
    spelled_as = _spelled_as(job, node)
    return Devices(
        _paths(job, types, dead) or _new(holder, ("resourceType", "type"), spelled_as),
        _paths(job, counts, dead) or _new(holder, ("resourceCount", "count"), spelled_as),
        named,
        number if named else 0,
        why,
    )


def _device_places(
    job: Document, node: PipelineNode, holder: str, names: tuple[str, str]
) -> list[tuple[str, ParameterPlace]]:
    paths = [spelled(job, f"{holder}.{name}") for name in names]
    return [
        (path, follow(job, node.scopes, path, job.read(path))) for path in paths if job.read(path)
    ]


def _paths(
    job: Document, found: list[tuple[str, ParameterPlace]], dead: frozenset[str]
) -> tuple[str, ...]:
    """Where to write: at the value's end, or into the executor where others take the value too."""
    paths = []
    for path, place in found:
        shared = place.path_for(job, dead) != place.path
        paths.append(path if shared else place.path)
    return tuple(dict.fromkeys(paths))


def _spelled_as(job: Document, node: PipelineNode) -> frozenset[bool]:
    """Which spellings the container's limits have, texts (True) or numbers; both where it has none."""
    held = [*_spellings(job, node, "cpu", "Limit"), *_spellings(job, node, "memory", "Limit")]
    return frozenset(one.as_text for one in held) or frozenset({True, False})


def _new(holder: str, names: tuple[str, str], spelled_as: frozenset[bool]) -> tuple[str, ...]:
    by_text = dict(zip((True, False), names, strict=True))
    return tuple(f"{holder}.{name}" for as_text, name in by_text.items() if as_text in spelled_as)


def accelerators(job: Document) -> frozenset[str]:
    """Types of accelerators that the run's own containers ask for."""
    found = (devices(job, node) for node in pipeline.nodes(job) if is_plain(job, node))
    return frozenset(one.type for one in found if one.type)


def hardware(job: Document, node: PipelineNode, catalog: Catalog) -> Hardware | None:
    """The smallest n1 that holds a container's limits, with its accelerators; None: there is none."""
    held = devices(job, node)
    cpus, gib = shape(job, node)
    if cpus is None or gib is None or held.why:
        return None
    fitting = [
        machine
        for machine in catalog.machines.values()
        if machine.generation == "n1" and Service.TRAINING in machine.services
        if machine.vcpus >= cpus and machine.memory_gib >= gib
    ]
    smallest = min(fitting, key=lambda one: (one.vcpus, one.memory_gib), default=None)
    return Hardware(smallest.name, held.type, held.count) if smallest else None


def image(job: Document, node: PipelineNode) -> str:
    """The image of a plain container; empty for other executors."""
    return str(read(job, f"{node.holder}.container.image") or "")
