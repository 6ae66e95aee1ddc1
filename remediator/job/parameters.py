"""Where a pipeline's values stand: from a placeholder to the constant, default or run parameter.

Owns the way of a value through the tasks of a run (`componentInputParameter`, nested pipelines,
constants that hold placeholders), and who else uses what stands at its end. Must not decide. Called
by `containers` and `launchers`. As kfp 2.17.3 compiles it, and Vertex's older v1 JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from remediator.domain.late_pattern import late_pattern
from remediator.job.document import Document

_PLACEHOLDER = late_pattern(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")
_ROOT = "pipelineSpec.root"
_RUN = "runtimeConfig.parameterValues"
_OLD_RUN = "runtimeConfig.parameters"  # schema 2.0.0: each value under the name of its type
_CHANNEL = "pipelinechannel--"
_COMPONENT = "component"
_OLD_TYPES = ("stringValue", "intValue", "doubleValue")


class Scope(Struct, frozen=True):
    """One task on the way from the run to a component: its path in the spec and its component."""

    task: str
    component: str


class ParameterPlace(Struct, frozen=True):
    """Where a value stands. `why`: why nobody can change it there; empty: it can be.

    `task` is the path of the task that takes it. `shared_by` says what others may take too: the run's
    parameter of that name, or the default of a component; empty: it is the task's own. `literal`:
    where the task can be given a value of its own in its place; empty where it has one.
    """

    path: str
    value: Any
    why: str = ""
    task: str = ""
    shared_by: tuple[str, str] = ("", "")
    literal: str = ""

    def path_for(self, job: Document, dead: frozenset[str]) -> str:
        """Where to write another size: there, or for the one task, where others use the value too.

        `dead` are the tasks that died of it. A value that some other task takes stays: its meaning
        would change, and a finished step that takes it is no longer found in the cache. Of tasks that
        live nobody writes anything, so that it is not looked for either.
        """
        what, name = self.shared_by
        if not self.literal or not what or self.task not in dead:
            return self.path
        if what == _COMPONENT:
            alone = all(task in dead for task in _tasks_of(job, name))
        else:
            alone = all(is_size and task in dead for task, is_size in users_of(job, what, name))
        return self.path if alone else self.literal


def placeholder_of(value: Any) -> str:
    """The parameter that a value is nothing but a placeholder of; empty: it is a value."""
    found = _PLACEHOLDER.fullmatch(value.strip()) if isinstance(value, str) else None
    return found[1] if found else ""


def names_in(value: Any) -> frozenset[str]:
    """Parameters that a value, whatever its shape, has placeholders of."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return frozenset(_PLACEHOLDER.findall(text))


def follow(job: Document, scopes: tuple[Scope, ...], path: str, value: Any) -> ParameterPlace:
    """Where the value really stands that a component's executor has at the path."""
    name = placeholder_of(value)
    if name:
        return input_of(job, scopes, name)
    why = "it is put together as the run goes" if names_in(value) else ""
    return ParameterPlace(path, value, why)


def input_of(job: Document, scopes: tuple[Scope, ...], name: str) -> ParameterPlace:
    """Where the value of a task's input stands; the last scope is the task's own."""
    found = _input(job, scopes, name)
    task = scopes[-1].task
    literal = f"{task}.inputs.parameters.{name}.runtimeValue.constant"
    return replace(found, task=task, literal="" if found.path == literal else literal)


def _input(job: Document, scopes: tuple[Scope, ...], name: str) -> ParameterPlace:
    here = scopes[-1]
    path = f"{here.task}.inputs.parameters.{name}"
    given = job.read(path)
    if not isinstance(given, Mapping):
        return _default(job, scopes, name, f"{path}.runtimeValue.constant")
    if "taskOutputParameter" in given:
        producer = given["taskOutputParameter"]
        named = producer.get("producerTask") if isinstance(producer, Mapping) else ""
        return ParameterPlace(path, None, f"it is an output of task {named}")
    if given.get("parameterExpressionSelector"):
        return ParameterPlace(path, None, "it is picked out of another value as the run goes")
    upper = given.get("componentInputParameter")
    if isinstance(upper, str):
        return _from_above(job, scopes[:-1], upper)
    runtime = given.get("runtimeValue")
    runtime = runtime if isinstance(runtime, Mapping) else {}
    if isinstance(runtime.get("runtimeParameter"), str):
        return _of_run(job, runtime["runtimeParameter"])
    key, value = _constant(runtime)
    inner = placeholder_of(value)
    if inner and inner != name:
        return _input(job, scopes, inner)
    why = "it is put together as the run goes" if isinstance(value, str) and names_in(value) else ""
    return ParameterPlace(f"{path}.runtimeValue.{key}", value, why)


def _constant(runtime: Mapping[str, Any]) -> tuple[str, Any]:
    old = runtime.get("constantValue")
    if isinstance(old, Mapping):
        for kind in _OLD_TYPES:
            if kind in old:
                return f"constantValue.{kind}", old[kind]
    return "constant", runtime.get("constant")


def _from_above(job: Document, scopes: tuple[Scope, ...], name: str) -> ParameterPlace:
    """A value that the pipeline around the task was given: a sub-pipeline's input, or the run's."""
    if not scopes:
        return _of_run(job, name)
    for iterator in ("parameterIterator", "artifactIterator"):
        item = job.read(f"{scopes[-1].task}.{iterator}.itemInput")
        if item == name or (isinstance(item, Mapping) and item.get("value") == name):
            path = f"{scopes[-1].task}.{iterator}.items"
            return ParameterPlace(
                path, job.read(path), "each round of the loop has a value of its own"
            )
    return _input(job, scopes, name)


def _of_run(job: Document, name: str) -> ParameterPlace:
    shared = (_ROOT, name)
    given = job.read(_RUN)
    if isinstance(given, Mapping) and name in given:
        return ParameterPlace(f"{_RUN}.{name}", given[name], shared_by=shared)
    for kind in _OLD_TYPES:
        path = f"{_OLD_RUN}.{name}.{kind}"
        if (value := job.read(path)) is not None:
            return ParameterPlace(path, value, shared_by=shared)
    path = f"{_ROOT}.inputDefinitions.parameters.{name}.defaultValue"
    value = job.read(path)
    why = "" if value is not None else "the run gives it no value"
    return ParameterPlace(path, value, why, shared_by=shared)


def _default(job: Document, scopes: tuple[Scope, ...], name: str, literal: str) -> ParameterPlace:
    """What a component takes where its task gives it nothing."""
    component = f"pipelineSpec.components.{scopes[-1].component}"
    path = f"{component}.inputDefinitions.parameters.{name}.defaultValue"
    value = job.read(path)
    if value is None and name.startswith(_CHANNEL) and len(scopes) < _MOST_DEEP:
        # kfp 2.17.3 hands no parameter to a loop or a condition that only a limit in it takes.
        return _from_above(job, scopes[:-1], name.removeprefix(_CHANNEL))
    if value is None:
        return ParameterPlace(literal, None)
    if names_in(value) or (isinstance(value, str) and value.startswith("{{$.")):
        return ParameterPlace(path, None, f"it is {value} as the run goes")
    return ParameterPlace(path, value, shared_by=(_COMPONENT, scopes[-1].component))


def _tasks_of(job: Document, component: str) -> Iterator[str]:
    """Paths of all tasks in the spec that are made of the component."""
    for dag in dags(job):
        for name, task in tasks_in(job, dag):
            reference = task.get("componentRef")
            if isinstance(reference, Mapping) and reference.get("name") == component:
                yield f"{dag}.dag.tasks.{name}"


def dags(job: Document) -> Iterator[str]:
    """Paths of the root and of every component that is a pipeline of its own."""
    yield _ROOT
    components = job.read("pipelineSpec.components")
    for name, component in components.items() if isinstance(components, Mapping) else ():
        if isinstance(component, Mapping) and isinstance(component.get("dag"), Mapping):
            yield f"pipelineSpec.components.{name}"


def tasks_in(job: Document, dag: str) -> list[tuple[str, Mapping[str, Any]]]:
    """The tasks of one pipeline in the spec: (key, task), those that are objects."""
    held = job.read(f"{dag}.dag.tasks")
    listed = held.items() if isinstance(held, Mapping) else ()
    return [(str(name), task) for name, task in listed if isinstance(task, Mapping)]


# --- who uses a value -----------------------------------------------------------------------------

_MOST_DEEP = 40  # nested pipelines; chosen, deeper than anybody nests them


def users_of(job: Document, dag: str, name: str, depth: int = 0) -> Iterator[tuple[str, bool]]:
    """(task's path, whether it is a machine's size to it) of each that takes a pipeline's parameter."""
    if depth > _MOST_DEEP:
        return
    for key, task in tasks_in(job, dag):
        path = f"{dag}.dag.tasks.{key}"
        inputs = job.read(f"{path}.inputs.parameters")
        for own, given in inputs.items() if isinstance(inputs, Mapping) else ():
            if not isinstance(given, Mapping):
                continue
            runtime = given.get("runtimeValue")
            old = runtime.get("runtimeParameter") if isinstance(runtime, Mapping) else None
            if name in (given.get("componentInputParameter"), old):
                yield from _users_in(job, path, task, str(own), depth)


def _users_in(
    job: Document, path: str, task: Mapping[str, Any], name: str, depth: int
) -> Iterator[tuple[str, bool]]:
    """What a task makes of its own input."""
    policy, iterator = task.get("triggerPolicy"), task.get("parameterIterator")
    if f"'{name}'" in json.dumps(policy, default=str) or f'"{name}"' in json.dumps(
        iterator, default=str
    ):
        yield path, False
    inputs = job.read(f"{path}.inputs.parameters")
    for own, given in inputs.items() if isinstance(inputs, Mapping) else ():
        runtime = given.get("runtimeValue") if isinstance(given, Mapping) else None
        constant = runtime.get("constant") if isinstance(runtime, Mapping) else None
        if own != name and constant is not None and name in names_in(constant):
            if placeholder_of(constant) and depth <= _MOST_DEEP:
                yield from _users_in(job, path, task, str(own), depth + 1)
            else:
                yield from ((path, is_size) for is_size in _within(constant, name))
    reference = task.get("componentRef")
    component = str(reference.get("name") or "") if isinstance(reference, Mapping) else ""
    holder = f"pipelineSpec.components.{component}"
    if isinstance(job.read(f"{holder}.dag"), Mapping):
        yield from users_of(job, holder, name, depth + 1)
        return
    declared = job.read(f"{holder}.inputDefinitions.parameters.{name}") is not None
    label = job.read(f"{holder}.executorLabel")
    for root in ("deploymentSpec", "deploymentConfig"):
        container = job.read(f"pipelineSpec.{root}.executors.{label}.container")
        if isinstance(container, Mapping):
            yield from ((path, is_size) for is_size in _in_container(container, name, declared))


SIZES = frozenset(
    {
        "machine_type", "accelerator_type", "accelerator_count", "replica_count",
        "starting_replica_count", "max_replica_count", "worker_pool_specs", "machine_spec",
        "boot_disk_size_gb",
    }
)  # fmt: skip
"""Keys of a job's request that say on what it runs, in Google's snake_case."""


def _within(value: Any, name: str, key: str = "") -> Iterator[bool]:
    """For each placeholder of the parameter in a constant: whether it stands for a size."""
    if isinstance(value, Mapping):
        for inner, item in value.items():
            yield from _within(item, name, str(inner))
    elif isinstance(value, list):
        for item in value:
            yield from _within(item, name, key)
    elif isinstance(value, str) and name in names_in(value):
        yield re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower() in SIZES


def _in_container(container: Mapping[str, Any], name: str, declared: bool) -> Iterator[bool]:
    """What a container makes of its input: its limits, the machine of the job it launches, or else."""
    if name in names_in(container.get("resources")):
        yield True
    rest = {key: value for key, value in container.items() if key != "resources"}
    text = json.dumps(rest).replace("\\", "")
    if name in names_in(text):
        keys = re.findall(
            rf'"([a-z_]+)": ?"?(?:[",\s]*)\{{\{{\$\.inputs\.parameters\[\'{re.escape(name)}\'\]',
            text,
        )
        yield bool(keys) and all(key in SIZES for key in keys)
    elif declared and ("{{$}}" in text or "{{$.json_escape" in text):
        yield False  # the whole of its inputs is handed to the program
