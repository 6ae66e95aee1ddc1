"""What a job runs and names: images, arguments, environment, places of its data; and its request.

Owns the walk through everything a request says, whatever its kind, and the digest by which two jobs
are known to do the same work. Must not decide. Called by `Job` and its facts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from remediator.domain import JobKind, Json
from remediator.domain.late_pattern import late_pattern
from remediator.job import fields, pipeline
from remediator.job.document import Document, either_key, read, spelled

AnyDocument = TypeVar("AnyDocument", bound=Document)

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


# --- places of data ---------------------------------------------------------------------------------

_BUCKET = late_pattern(r"gs://([a-z0-9](?:[a-z0-9._-]{0,220}[a-z0-9])?)")
_FUSE = late_pattern(r"/gcs/([a-z0-9](?:[a-z0-9._-]{0,220}[a-z0-9])?)")
_TABLE = late_pattern(r"bq://([A-Za-z0-9:._-]+)")
_OUTPUTS = ("outputConfig", "output_config", "baseOutputDirectory", "base_output_directory")


def _texts(value: Any, skip: tuple[str, ...] = ()) -> Iterator[str]:
    """Every text in a JSON value, in its order, however deep it nests."""
    left = [value]
    while left:
        here = left.pop()
        if isinstance(here, str):
            yield here
        elif isinstance(here, Mapping):
            left.extend(reversed([item for key, item in here.items() if key not in skip]))
        elif isinstance(here, Sequence):
            left.extend(reversed(here))


def _request_texts(job: Document, skip: tuple[str, ...] = ()) -> Iterator[str]:
    # A training pipeline's definition is a schema in a bucket of Google's, no data of the job's.
    gone = {*fields.rules(job).output_only, "trainingTaskDefinition"}
    yield from _texts({k: v for k, v in job._body.items() if k not in gone}, skip)


def buckets_of(job: Document, *, inputs_only: bool = False) -> tuple[str, ...]:
    """Buckets that the job reads or writes, as far as its request names them, in order."""
    skip = _OUTPUTS if inputs_only else ()
    found = [
        bucket
        for text in _request_texts(job, skip)
        for bucket in (*_BUCKET.findall(text), *_FUSE.findall(text))
    ]
    return tuple(dict.fromkeys(found))


def bigquery_of(job: Document) -> tuple[str, ...]:
    """BigQuery tables (`project.dataset.table`) that the job's request names, in order."""
    found = [table for text in _request_texts(job) for table in _TABLE.findall(text)]
    return tuple(dict.fromkeys(found))


_URL = late_pattern(r"https?://[^\s\"'\\<>{}|^`]{1,500}")
_URI = late_pattern(r"\b(?P<scheme>https?|s3|ftp|jdbc:[a-z]+)://(?P<rest>[^\s'\"`,;<>)\]}]{1,500})")
_HOST = late_pattern(r"(?:[^@/]*@)?(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:]+\])(?::\d{1,5})?")
_GOOGLE = (
    "googleapis.com",
    "google.com",
    "google.internal",
    "pkg.dev",
    "gcr.io",
    "googleusercontent.com",
)


def external_hosts(job: Document, model: Json | None = None) -> tuple[str, ...]:
    """Hosts outside Google that the job's configuration names (arguments, environment, inputs),
    and that of the Model's container.

    Lower case, sorted, without ports; a bucket of another cloud counts as its service's host.
    """
    hosts: set[str] = set()
    for text in (*_request_texts(job), *_texts(container_of(model))):
        for match in _URI.finditer(text):
            if match["scheme"] == "s3":
                hosts.add("s3.amazonaws.com")
                continue
            found = _HOST.match(match["rest"])
            host = found["host"].lower().strip("[].") if found else ""
            if host and not any(host == own or host.endswith("." + own) for own in _GOOGLE):
                hosts.add(host)
    return tuple(sorted(hosts))


_NOT_CONFIGURATION = frozenset({"name", "error", "partialFailures", "jobDetail"})


def configuration_text(job: Document) -> str:
    """The job's document as one text, without what Vertex says of how it went."""
    said = {key: value for key, value in job._body.items() if key not in _NOT_CONFIGURATION}
    return json.dumps(said, default=str)


def urls(job: Document) -> tuple[str, ...]:
    """Web addresses anywhere in the job's document, in order."""
    return tuple(dict.fromkeys(_URL.findall(json.dumps(job._body, ensure_ascii=False))))


def data_places(job: Document, model: Json | None = None) -> tuple[str, ...]:
    """Buckets and `project.dataset`s that the job or its Model's container reads or writes."""
    texts = [*_request_texts(job), *_texts(container_of(model))]
    buckets = {name for text in texts for name in (*_BUCKET.findall(text), *_FUSE.findall(text))}
    tables = {table for text in texts for table in _TABLE.findall(text)}
    return tuple(sorted(buckets | {_dataset(table) for table in tables} - {""}))


def _dataset(table: str) -> str:
    parts = table.split(".")
    return ".".join(parts[:2]) if len(parts) > 1 else ""


# --- the request --------------------------------------------------------------------------------


def clone(job: AnyDocument) -> AnyDocument:
    """The job as it would be asked for again: output-only fields gone, model version pinned.

    Google's own labels and ours go too; the planner writes ours anew.
    """
    kind = fields.rules(job)
    body = {k: _fresh(v) for k, v in job._body.items() if k not in kind.output_only}
    pinned = pinned_model(job)
    if pinned:
        body["model"] = pinned
    labels = {
        key: value
        for key, value in job.labels.items()
        if not key.startswith(fields.GOOGLES_LABELS) and key not in fields.OUR_LABELS
    }
    if labels or "labels" in body:
        body["labels"] = labels
    return type(job)(job.name, body)


def _fresh(value: Any) -> Any:
    """A copy in which no two places share an object, so that a change is made in one alone."""
    if isinstance(value, Mapping):
        return {key: _fresh(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_fresh(item) for item in value]
    return value


def pinned_model(job: Document) -> str:
    """`model@version` of a batch prediction, since the default version may have moved since."""
    if job.kind is not JobKind.BATCH_PREDICTION:
        return ""
    model, version = job.read("model"), job.read("modelVersionId")
    if not isinstance(model, str) or not version or "publishers/" in model:
        return ""
    return f"{model.partition('@')[0]}@{version}"


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


_NOT_WORKLOAD = (
    "machineSpec",
    "machine_spec",
    "diskSpec",
    "disk_spec",
    "startingReplicaCount",
    "maxReplicaCount",
    "replicaCount",
    "replica_count",
    "manualBatchTuningParameters",
    "scheduling",
    "spot",
    "flexStart",
    "modelMonitoringConfig",
    "displayName",
    "display_name",
    "labels",
)


def workload_digest(job: Document, *, undated: bool = False) -> str:
    """The same for two jobs that do the same work, on whatever machines: 16 hex digits.

    Of the request without name, labels, machine, accelerator, replicas, batch size, scheduling and
    our own environment variables. Projects by id and by number are taken as one. `undated`: also the
    same for the runs of one job on different days: without the dates and UUIDs in its texts, but for
    those of images, models and packages, and without where it writes.
    """
    import hashlib  # noqa: PLC0415  # it loads OpenSSL, which a diagnosis never needs

    asked = clone(job)._body
    work = _undated(_workload(asked)) if undated else _workload(asked)
    text = json.dumps(work, sort_keys=True, ensure_ascii=False, default=str)
    text = re.sub(r"projects/[^/\"]+/locations/", "projects/-/locations/", text)
    return hashlib.sha256(f"{job.kind}:{text}".encode()).hexdigest()[:16]


def _workload(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {k: _workload(v) for k, v in value.items() if k not in _NOT_WORKLOAD}
        return {k: v for k, v in kept.items() if v not in ({}, [], None, "")}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_workload(item) for item in value if not is_our_variable(item)]
    return value


_OF_ONE_RUN = frozenset(  # where it writes, and the trials that an attempt has left
    {*_OUTPUTS, "gcsOutputDirectory", "gcs_output_directory", "maxTrialCount", "max_trial_count"}
)
_NAMES_A_PROGRAM = frozenset(
    {
        *("imageUri", "image_uri", "image", "executorImageUri", "executor_image_uri"),
        *("packageUris", "package_uris", "model", "templateUri", "template_uri"),
    }
)
_DATE = late_pattern(
    r"(?<!\d)(?:19|20)\d\d(?P<between>[-_./]?)(?:0[1-9]|1[0-2])(?P=between)(?:0[1-9]|[12]\d|3[01])"
    r"(?:[Tt_ -]?(?:[01]\d|2[0-3])[:_-]?[0-5]\d(?:[:_-]?[0-5]\d(?:\.\d+)?)?[Zz]?)?(?!\d)"
)
_RUN_ID = late_pattern(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _undated(value: Any) -> Any:
    """Without what differs from one run of a job to the next, in one order where the order says nothing."""
    if isinstance(value, Mapping):
        kept = {key: item for key, item in value.items() if key not in _OF_ONE_RUN}
        return {k: _image(v) if k in _NAMES_A_PROGRAM else _undated(v) for k, v in kept.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _in_one_order([_undated(item) for item in value])
    return _without_dates(value) if isinstance(value, str) else value


def _in_one_order(items: list[Any]) -> list[Any]:
    """Variables by their names, and arguments that are all flags with their values; each name once."""
    if all(isinstance(item, dict) and "name" in item for item in items):
        names = [str(item["name"]) for item in items]
    else:
        names = [
            item.partition("=")[0] for item in items if isinstance(item, str) and _FLAG.match(item)
        ]
    if len(set(names)) < len(items):
        return items
    return [item for _, item in sorted(zip(names, items, strict=True), key=lambda pair: pair[0])]


_FLAG = late_pattern(r"--[\w.-]+=")


def _image(value: Any) -> Any:
    """An image by its digest alone where it names one; without a tag it is the latest."""
    if not isinstance(value, str) or "/" not in value or "://" in value:
        return value
    name, at, digest = value.partition("@sha256:")
    repository, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # a registry's port
        repository, tag = name, "latest"
    if at:
        return f"{repository}@{digest}"
    return f"{repository}:{tag}" if _REGISTRY.match(value) else value


_REGISTRY = late_pattern(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::\d+)?/")  # a model's name has none


def _without_dates(text: str) -> str:
    """Dates, moments and UUIDs as `*`; most texts have no sign of any, and are not searched."""
    if text.count("-") >= _DASHES_OF_AN_ID:
        text = _RUN_ID.sub("*", text)
    if "20" in text or "19" in text:
        text = _SHORT_DATE.sub("*", _DATE.sub("*", text))
    return _EPOCH.sub("*", text) if "1" in text else text


# The day first, a week (`2026-W48`), a month (`2026-11`, `/2026/11/`).
_SHORT_DATE = late_pattern(
    r"(?<!\d)(?:0[1-9]|[12]\d|3[01])(?P<between>[-_./])(?:0[1-9]|1[0-2])(?P=between)(?:19|20)\d\d(?!\d)"
    r"|(?<!\d)(?:19|20)\d\d-?W[0-5]\d(?!\d)|(?<![\d.-])(?:19|20)\d\d[-/](?:0[1-9]|1[0-2])(?![\d.-])"
)
# Seconds or milliseconds since 1970, of the years from 2017 to 2033.
_EPOCH = late_pattern(r"(?<![\d.])1[5-9]\d{8}(?:\d{3})?(?![\d.])")
_DASHES_OF_AN_ID = 4


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
