"""Whether a job has a shape that a job can have: case files come from anywhere.

Owns the list of parts that the rest of the room walks through without asking. The API never sends
anything else. Called by the planner before anything is read, and by whoever reads a case file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from remediator.domain import InvalidInput, JobKind
from remediator.job import fields
from remediator.job.document import Document, once, read, whole_number

_SPECS = ("jobSpec", "trialJobSpec", "trainingTaskInputs", fields.TUNING_TASK)
_OBJECTS = (
    "labels", "error", "encryptionSpec", "inputConfig", "outputConfig", "outputInfo",
    "dedicatedResources", "dedicatedResources.machineSpec",
    "dedicatedResources.machineSpec.reservationAffinity", "manualBatchTuningParameters",
    "unmanagedContainerModel", "unmanagedContainerModel.containerSpec", "completionStats",
    "resourcesConsumed", "trainingTaskMetadata", "runtimeConfig", "pscInterfaceConfig",
    "pipelineSpec", "pipelineSpec.components", "pipelineSpec.root", "pipelineSpec.root.dag",
    "pipelineSpec.root.dag.tasks", "pipelineSpec.deploymentSpec",
    "pipelineSpec.deploymentSpec.executors", "jobDetail",
    *(
        f"{spec}{part}"
        for spec in _SPECS
        for part in ("", ".scheduling", ".baseOutputDirectory", ".encryptionSpec")
    ),
)  # fmt: skip
_TEXTS = ("state", "displayName", "error.message")
_NUMBERS = ("error.code",)
_LISTS = ("partialFailures", "trials", "jobDetail.taskDetails")
_IN_A_POOL = (
    "machineSpec",
    "machineSpec.reservationAffinity",
    "diskSpec",
    "containerSpec",
    "pythonPackageSpec",
)
_IN_A_TASK = (
    "error",
    "executorDetail",
    "executorDetail.containerDetail",
    "executorDetail.customJobDetail",
)
_NAMED_PARTS = (
    "pipelineSpec.components",
    "pipelineSpec.root.dag.tasks",
    "pipelineSpec.deploymentSpec.executors",
)
_WALKED = frozenset(
    {
        "dag",
        "tasks",
        "componentRef",
        "cachingOptions",
        "container",
        "resources",
        "accelerator",
        "customJob",
        "jobSpec",
    }
)

JOB_KEYS = frozenset(
    {
        "jobSpec", "trialJobSpec", "trainingTaskInputs", "trainingTaskDefinition", "pipelineSpec",
        "runtimeConfig", "dedicatedResources", "inputConfig", "outputConfig", "state", "displayName",
        "createTime",
    }
)  # fmt: skip
"""Keys by which an object without a name is known to be a job's document."""

OPAQUE = frozenset(
    {
        "labels", "trainingTaskInputs", "trainingTaskMetadata", "pipelineSpec", "parameterValues",
        "modelParameters", "modelMonitoringConfig", "metadata",
    }
)  # fmt: skip
"""Parts of a job that are opaque to Vertex itself: their keys are their author's, in any spelling."""

_Check = Callable[[Any], bool]


def is_compiled_pipeline(found: Mapping[str, Any]) -> bool:
    """Whether an object is what KFP's compiler writes, and no run: a spec, or a spec with its settings."""
    spec = found.get("pipelineSpec")
    held = spec if isinstance(spec, Mapping) else found
    has_parts = "root" in held and "schemaVersion" in held
    return has_parts and not any(key in found for key in ("name", "state", "createTime", "job"))


def require_shape(job: Document) -> None:
    """Raises InvalidInput, naming the field, where the job has what no job can have."""
    misfit = _misfit(job)
    if misfit:
        raise InvalidInput(misfit)


@once
def _misfit(job: Document) -> str:
    """The first part that no job can have, in words; empty where there is none."""
    for where, value, fits, what in _expectations(job):
        if value is not None and not fits(value):
            return f"the job's `{where}` must be {what}"
    return ""


_Expected = tuple[str, Any, _Check, str]


def _expectations(job: Document) -> Iterator[_Expected]:
    """Outer parts before what is in them, so that the first to fail is the one to name."""
    yield from (_at(job, path, _is_object, "an object") for path in _OBJECTS)
    yield from (_at(job, path, _is_text, "text") for path in _TEXTS)
    yield from (_at(job, path, _is_number, "a whole number") for path in _NUMBERS)
    yield from (_at(job, path, _is_list, "a list of objects") for path in _LISTS)
    for key, value in (job._body.get("labels") or {}).items():
        yield f"labels.{key}", value, _is_text, "text"
    for path in _NAMED_PARTS:
        for name, value in (read(job, path) or {}).items():
            yield from _tree(value, f"{path}.{name}")
    for index in range(len(read(job, "jobDetail.taskDetails") or ())):
        for part in _IN_A_TASK:
            yield _at(job, f"jobDetail.taskDetails[{index}].{part}", _is_object, "an object")
    for holder in _pool_holders(job):
        yield from _pools(job, f"{holder}.workerPoolSpecs")


def _pools(job: Document, path: str) -> Iterator[_Expected]:
    yield _at(job, path, _is_list, "a list of objects")
    for index in range(len(read(job, path) or ())):
        for part in _IN_A_POOL:
            yield _at(job, f"{path}[{index}].{part}", _is_object, "an object")
        for part in ("containerSpec", "pythonPackageSpec"):
            yield _at(job, f"{path}[{index}].{part}.env", _is_list, "a list of objects")


def _at(job: Document, path: str, fits: _Check, what: str) -> _Expected:
    return path, read(job, path), fits, what


def _tree(value: Any, where: str) -> Iterator[_Expected]:
    yield where, value, _is_object, "an object"
    for key, item in (value or {}).items():
        if key in _WALKED:
            yield from _tree(item, f"{where}.{key}")
        if key == "tasks":
            for name, task in (item or {}).items():
                yield from _tree(task, f"{where}.{key}.{name}")


def _pool_holders(job: Document) -> tuple[str, ...]:
    found = [*_SPECS]
    for path in fields.executors(job).values():
        found += [f"{path}.customJob.jobSpec", f"{path}.customJob.customJob.jobSpec"]
    return tuple(found)


def _is_object(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return whole_number(value) is not None


def _is_list(value: Any) -> bool:
    plain = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    return plain and all(isinstance(item, Mapping) for item in value)


def why_incomplete(job: Document) -> str:
    """What a request to create a custom job or a batch prediction lacks; empty: nothing that is known.

    For what was read from a log, where parts of a request may be left out.
    """
    if job.kind is JobKind.BATCH_PREDICTION:
        for part, paths in _OF_A_BATCH.items():
            if not any(read(job, path) for path in paths):
                return f"it names no {part}"
        return ""
    pools = read(job, "jobSpec.workerPoolSpecs")
    if not isinstance(pools, Sequence) or isinstance(pools, str) or not pools:
        return "it names no machines"
    for index, pool in enumerate(pools):
        if not pool:  # a pool that is left out has its place in the list
            continue
        here = f"jobSpec.workerPoolSpecs[{index}]"
        if not read(job, f"{here}.machineSpec.machineType"):
            return "it names no machine for a worker pool"
        if not any(read(job, f"{here}.{program}") for program in _PROGRAMS):
            return "it names no program for a worker pool"
    return ""


_OF_A_BATCH: Mapping[str, tuple[str, ...]] = {
    "model": ("model", "unmanagedContainerModel.containerSpec.imageUri"),
    "input": ("inputConfig.gcsSource.uris", "inputConfig.bigquerySource.inputUri"),
    "output": (
        "outputConfig.gcsDestination.outputUriPrefix",
        "outputConfig.bigqueryDestination.outputUri",
    ),
}
_PROGRAMS = ("containerSpec.imageUri", "pythonPackageSpec.packageUris")
