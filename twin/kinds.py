"""The kinds of jobs that the twin serves: where each keeps its parts, and what Vertex AI refuses.

Pure. One row a kind; checks and defaults work on REST-shaped JSON and speak Google's words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from google.cloud import aiplatform_v1 as vertex
from google.protobuf import json_format

from twin.machines import refusal
from twin.rpc import Body, Refusal, plain


@dataclass(frozen=True)
class Kind:
    """One kind of job: its REST collection, Google's name for it, its type, its state's prefix."""

    collection: str
    title: str
    type: Any
    service: str = "JobService"

    @property
    def key(self) -> str:
        """The field of a Create request that holds the job: `customJob`."""
        return self.title[0].lower() + self.title[1:]

    @property
    def prefix(self) -> str:
        """`JOB_STATE_` or `PIPELINE_STATE_`."""
        return "JOB_STATE_" if self.service == "JobService" else "PIPELINE_STATE_"


BATCH = Kind("batchPredictionJobs", "BatchPredictionJob", vertex.BatchPredictionJob)
CUSTOM = Kind("customJobs", "CustomJob", vertex.CustomJob)
TUNING = Kind("hyperparameterTuningJobs", "HyperparameterTuningJob", vertex.HyperparameterTuningJob)
TRAINING = Kind("trainingPipelines", "TrainingPipeline", vertex.TrainingPipeline, "PipelineService")
PIPELINE = Kind("pipelineJobs", "PipelineJob", vertex.PipelineJob, "PipelineService")
KINDS: Mapping[str, Kind] = {
    kind.collection: kind for kind in (BATCH, CUSTOM, TUNING, TRAINING, PIPELINE)
}

_OUTPUT_ONLY = frozenset(
    [
        "name",
        "state",
        "error",
        "createTime",
        "startTime",
        "endTime",
        "updateTime",
        "partialFailures",
        "completionStats",
        "resourcesConsumed",
        "outputInfo",
        "modelVersionId",
        "webAccessUris",
        "satisfiesPzs",
        "satisfiesPzi",
        "trials",
        "trainingTaskMetadata",
        "jobDetail",
        "templateMetadata",
        "scheduleName",
    ]
)


def kind_of(name: str) -> Kind:
    """The kind in whose collection a resource name lies."""
    parts = name.split("/")
    kind = KINDS.get(parts[4]) if len(parts) == 6 else None
    if kind is None:
        raise Refusal("INVALID_ARGUMENT", f'Resource name "{name}" is invalid.')
    return kind


def in_shape(kind: Kind, body: Mapping[str, Any]) -> Body:
    """The job as Google's own type holds it, back in REST shape; raises on an unknown field."""
    message = json_format.ParseDict(dict(body), plain(kind.type)())
    return json_format.MessageToDict(message)


def without_output(body: Mapping[str, Any]) -> Body:
    """The job as it was asked for: what a caller may not set is dropped, as Vertex AI does."""
    return {key: value for key, value in body.items() if key not in _OUTPUT_ONLY}


def worker_pools(kind: Kind, body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The worker pools of a custom, tuning or training job; none for the others."""
    spec: Mapping[str, Any] = {
        "customJobs": body.get("jobSpec"),
        "hyperparameterTuningJobs": body.get("trialJobSpec"),
        "trainingPipelines": body.get("trainingTaskInputs"),
    }.get(kind.collection) or {}
    pools = spec.get("workerPoolSpecs") or []
    return [pool for pool in pools if isinstance(pool, dict)]


def workload(kind: Kind, body: Mapping[str, Any]) -> tuple[str, ...]:
    """What is run, whatever it runs on: the image and its arguments, or the model and its input."""
    if kind is BATCH:
        model = str(body.get("model") or "").partition("@")[0].rpartition("/")[2]
        unmanaged = (body.get("unmanagedContainerModel") or {}).get("containerSpec") or {}
        source = body.get("inputConfig") or {}
        uris = (source.get("gcsSource") or {}).get("uris") or []
        table = (source.get("bigquerySource") or {}).get("inputUri") or ""
        return ("batch", model, str(unmanaged.get("imageUri") or ""), table, *map(str, uris))
    if kind is PIPELINE:
        info = (body.get("pipelineSpec") or {}).get("pipelineInfo") or {}
        return ("pipeline", str(info.get("name") or body.get("templateUri") or ""))
    return ("program", *(text for pool in worker_pools(kind, body) for text in _program(pool)))


def _program(pool: Mapping[str, Any]) -> Iterator[str]:
    container = pool.get("containerSpec") or {}
    package = pool.get("pythonPackageSpec") or {}
    yield str(container.get("imageUri") or package.get("executorImageUri") or "")
    yield str(package.get("pythonModule") or "")
    for part in ("command", "args"):
        yield from map(str, container.get(part) or [])
    yield from map(str, package.get("args") or [])


# --- what is refused ---------------------------------------------------------------------------

_LABEL_KEY = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_LABEL_VALUE = re.compile(r"[a-z0-9_-]{0,63}")


def check(kind: Kind, body: Mapping[str, Any], *, has_model: Callable[[str], bool]) -> None:
    """Raises Refusal with Vertex AI's words where it would not take this job."""
    display = str(body.get("displayName") or "")
    if not 0 < len(display) <= 128:
        raise Refusal(
            "INVALID_ARGUMENT",
            "The display name is required and must be of length between 1 and 128 characters.",
        )
    labels = body.get("labels") or {}
    if len(labels) > 64:
        raise Refusal("INVALID_ARGUMENT", "No more than 64 user labels can be associated.")
    for key, value in labels.items():
        if not _LABEL_KEY.fullmatch(key) or not _LABEL_VALUE.fullmatch(value):
            raise Refusal("INVALID_ARGUMENT", f'Invalid label: "{key}": "{value}".')
    if kind is BATCH:
        _check_batch(body, has_model)
    for pool in worker_pools(kind, body):
        problem = refusal(pool.get("machineSpec") or {}, prediction=False)
        if problem:
            raise Refusal("INVALID_ARGUMENT", problem)
    if kind in (CUSTOM, TUNING) and not worker_pools(kind, body):
        raise Refusal("INVALID_ARGUMENT", "At least one worker pool must be specified.")


def _check_batch(body: Mapping[str, Any], has_model: Callable[[str], bool]) -> None:
    model, unmanaged = str(body.get("model") or ""), body.get("unmanagedContainerModel")
    if bool(model) == bool(unmanaged):
        raise Refusal(
            "INVALID_ARGUMENT",
            "Exactly one of model and unmanaged_container_model must be specified.",
        )
    if model and not model.startswith("publishers/") and not has_model(model):
        raise Refusal("NOT_FOUND", f'The Model "{model}" does not exist.')
    resources = body.get("dedicatedResources")
    if not resources:
        return
    problem = refusal(resources.get("machineSpec") or {}, prediction=True)
    if problem:
        raise Refusal("INVALID_ARGUMENT", problem)
    starting = int(resources.get("startingReplicaCount") or 1)
    if int(resources.get("maxReplicaCount") or 10) < starting:
        raise Refusal(
            "INVALID_ARGUMENT",
            "max_replica_count must be greater than or equal to starting_replica_count.",
        )


# --- what is filled in -------------------------------------------------------------------------


def with_defaults(kind: Kind, body: Body) -> Body:
    """The job as Vertex AI gives it back: boot disks, counts and the like stand in it."""
    for pool in worker_pools(kind, body):
        pool.setdefault("replicaCount", "1")
        pool.setdefault("diskSpec", {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100})
    if kind is BATCH:
        resources = body.get("dedicatedResources")
        if resources is not None:
            resources.setdefault("startingReplicaCount", 1)
            resources.setdefault("maxReplicaCount", 10)
        body.setdefault("manualBatchTuningParameters", {})
    if kind is PIPELINE:
        body.setdefault("runtimeConfig", {})
    return body
