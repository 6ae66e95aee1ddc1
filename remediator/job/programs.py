"""What a job runs: images, commands, arguments, environment.

Owns the walk through the settings that a request names, whatever its kind. Must not decide. Called by `Job`
and its facts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

from remediator.domain import JobKind, Json
from remediator.domain.late_pattern import late_pattern
from remediator.job import fields, pipeline
from remediator.job.document import Document, either_key, read, spelled

# --- images -----------------------------------------------------------------------------------------

_CPU_IMAGE = late_pattern(r"(?:^|[/._:-])cpu(?:[._:/@-]|$)|[a-z0-9]-cpu\b", re.IGNORECASE)
_GPU_IMAGE = late_pattern(r"(?:^|[/._:-])(?:gpu|cuda|cu1\d\d|tpu)(?:[/._:@0-9-]|$)", re.IGNORECASE)


def images(job: Document, model: Json | None = None) -> tuple[str, ...]:
    """Container images that the job runs; of a pipeline run, those of the tasks that failed."""
    holders: list[Any] = [container_of(model), job.read("unmanagedContainerModel.containerSpec")]
    for _, _, pool in fields.worker_pool_specs(job):
        holders += [either_key(pool, "containerSpec"), either_key(pool, "pythonPackageSpec")]
    if job.kind is JobKind.PIPELINE:
        holders += list(_pipeline_containers(job))
    found = [
        either_key(holder, key)
        for holder in holders
        if isinstance(holder, Mapping)
        for key in ("imageUri", "executorImageUri", "image")
    ]
    return tuple(dict.fromkeys(str(image) for image in found if image))


def _pipeline_containers(job: Document) -> Iterator[Any]:
    held = fields.executors(job)
    for label in pipeline.failed_executors(job) or tuple(held):
        holder = held.get(label, "")
        yield read(job, f"{holder}.container")
        for spec in fields.custom_jobs(holder):
            for _, _, pool in fields.worker_pool_specs(job, spec):
                yield from (
                    either_key(pool, "containerSpec"),
                    either_key(pool, "pythonPackageSpec"),
                )


def container_of(model: Json | None) -> Json:
    """The container of a Model version; where its artifacts lie matters only while it starts."""
    held = model.get("containerSpec") if isinstance(model, Mapping) else None
    return held if isinstance(held, Mapping) else {}


def cpu_only_image(job: Document, model: Json | None = None) -> str:
    """An image of the job that its name says is built for CPUs, where none is built for GPUs."""
    listed = images(job, model)
    if any(_GPU_IMAGE.search(image) for image in listed):
        return ""
    return next((image for image in listed if _CPU_IMAGE.search(image)), "")


# --- arguments and environment ------------------------------------------------------------------------

_WALK_LIMIT = 20_000  # values of a document looked at; chosen, far more than any job has
# A setting that names the device to compute on, in an argument or an environment variable.
_DEVICE_NAME = late_pattern(r"(?:^|[_-])(?:device(?:_type)?|accelerator|backend)$", re.IGNORECASE)
_DEVICE_GPU = late_pattern(r"(?:cuda|gpu)(?::\d{1,2})?", re.IGNORECASE)
_USE_GPU = late_pattern(r"(?:^|[_-])use[_-]?(?:gpu|cuda)s?$", re.IGNORECASE)
_YES = frozenset({"", "1", "true", "yes", "on"})
# FSDP, and ZeRO's third stage; of the first two the weights are whole on each device.
_SHARDS = late_pattern(r"(?:^|[_-])fsdp$", re.IGNORECASE)
_SHARDED = late_pattern(r"full_shard(?: .*)?|zero[-_]?3|stage[-_]?3", re.IGNORECASE)
_WHOLE = frozenset({"0", "false", "no", "off", "none", "no_shard", "shard_grad_op"})
_DEVICES_USED = late_pattern(
    r"(?:^|[_-])(?:nproc[_-]per[_-]node|num[_-]processes|(?:tensor|model)[_-]parallel[_-]size)$",
    re.IGNORECASE,
)
# What hides every GPU from CUDA: no device, or one that is not there.
_HIDES_GPUS = frozenset({"", "-1", "none", "nodevfiles", "void"})


def settings(job: Document, model: Json | None = None) -> tuple[tuple[str, str], ...]:
    """(name, value) of every environment variable and argument: `--device=cuda`, `--device cuda`."""
    return (*_settings(job._body), *_settings(container_of(model)))


def device_setting(named: Iterable[tuple[str, str]]) -> str:
    """The argument or variable that asks for a GPU, as it is written; empty: none does."""
    for name, value in named:
        if _DEVICE_NAME.search(name) and _DEVICE_GPU.fullmatch(value.strip()):
            return f"{name}={value.strip()}"
        if _USE_GPU.search(name) and value.strip().lower() in _YES:
            return f"{name}={value.strip()}" if value else name
    return ""


def sharding_setting(named: Iterable[tuple[str, str]]) -> str:
    """The setting by which weights and optimizer are spread over all devices that there are, as it is written;
    empty: none does, or another names how many devices are used."""
    known = tuple(named)
    if any(_DEVICES_USED.search(name) and value.strip().isdigit() for name, value in known):
        return ""
    for name, value in known:
        held = value.strip().lower()
        if (_SHARDS.search(name) and held not in _WHOLE) or _SHARDED.fullmatch(held):
            return f"{name}={value.strip()}" if value else name
    return ""


def hides_gpus(named: Iterable[tuple[str, str]]) -> bool:
    """Whether CUDA_VISIBLE_DEVICES leaves no GPU to be seen."""
    return any(
        name == "CUDA_VISIBLE_DEVICES" and value.strip().lower() in _HIDES_GPUS
        for name, value in named
    )


def _walk(value: object) -> Iterator[tuple[str, object]]:
    """Every (key, value) in a JSON document, outermost first, at most a bounded number."""
    queue: list[tuple[str, object]] = [("", value)]
    for count, (key, held) in enumerate(queue):
        if count > _WALK_LIMIT:
            return
        yield key, held
        if isinstance(held, Mapping):
            queue.extend((str(k), v) for k, v in held.items())
        elif isinstance(held, list | tuple):
            queue.extend((key, v) for v in held)


def _settings(body: Json) -> Iterator[tuple[str, str]]:
    for key, held in _walk(body):
        if key == "env" and isinstance(held, Mapping) and isinstance(held.get("name"), str):
            yield held["name"], str(held.get("value") or "")
        if key in {"args", "command"} and isinstance(held, list | tuple):
            words = [word for word in held if isinstance(word, str)]
            for word, after in pairwise([*words, ""]):
                if word.startswith("-"):
                    name, given, value = word.partition("=")
                    yield (
                        name.lstrip("-"),
                        value if given else ("" if after.startswith("-") else after),
                    )


def environments(job: Document) -> tuple[str, ...]:
    """Paths of the containers' lists of environment variables (present or not)."""
    return tuple(
        spelled(job, f"{path}.{holder}.env")
        for _, path, pool in fields.worker_pool_specs(job)
        for holder in ("containerSpec", "pythonPackageSpec")
        if either_key(pool, holder)
    )


def command_lines(job: Document) -> tuple[str, ...]:
    """Paths of the containers' lists of arguments and command words, those that are there."""
    found = [
        spelled(job, f"{path.rpartition('.')[0]}.{key}")
        for path in environments(job)
        for key in ("args", "command")
    ]
    return tuple(path for path in found if job.read(path))


def is_our_variable(item: Any) -> bool:
    """Whether an entry of an environment is one that we set."""
    return isinstance(item, Mapping) and str(item.get("name") or "").startswith(
        fields.OUR_ENVIRONMENT
    )


def first_processes(job: Document) -> tuple[tuple[str, ...], ...]:
    """Command and arguments of each worker pool that has a command of its own.

    A pool without one begins with its image's ENTRYPOINT, of which the job says nothing: what stands
    in its `args` is handed to that.
    """
    held = [either_key(pool, "containerSpec") or {} for _, _, pool in fields.worker_pool_specs(job)]
    return tuple(
        (*map(str, command), *map(str, either_key(spec, "args") or ()))
        for spec in held
        if isinstance(spec, Mapping) and (command := either_key(spec, "command"))
    )


def nfs_mount_points(job: Document) -> tuple[str, ...]:
    """Where the worker pools mount NFS. Documented: nfsMounts.mountPoint is a folder below /mnt/nfs."""
    named = [
        str(either_key(mount, "mountPoint") or "")
        for _, _, pool in fields.worker_pool_specs(job)
        for mount in either_key(pool, "nfsMounts") or ()
        if isinstance(mount, Mapping)
    ]
    return tuple(
        point if point.startswith("/mnt/") else f"/mnt/nfs/{point.strip('/')}"
        for point in named
        if point
    )


def programs(job: Document) -> tuple[Any, ...]:
    """Image, command and arguments of each worker pool: jobs of one workload have the same.

    Far cheaper to compare than `workload_digest`, which alone says that two are the same.
    """
    held = [
        either_key(pool, key) or {}
        for _, _, pool in fields.worker_pool_specs(job)
        for key in ("containerSpec", "pythonPackageSpec")
    ]
    return tuple(
        either_key(spec, key) or None
        for spec in held
        if isinstance(spec, Mapping)
        for key in ("imageUri", "executorImageUri", "command", "args")
    )
