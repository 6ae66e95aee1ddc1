"""What a job's configuration says that bears on its diagnosis: shape, time-out, data, image.

Owns one reading of a `JobDocument` (every kind) into `Workload`, and the hosts and places its
configuration names. Where a field lives matters little here, so the whole document is walked;
which fields may be *changed* is the planner's business. Pure; called by `diagnose`, and
`external_hosts` by whoever decides what to probe.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from remediator.domain import JobDocument, JobKind, JobState, Json, parse_seconds

# Vertex's own default for scheduling.timeout, seven days.
_DEFAULT_TIMEOUT_SECONDS = 604_800.0
_DEFAULT_BATCH_SIZE = 64
# A job counts as stopped by its time-out when its run came this close to it.
_NEAR_TIMEOUT = 0.97
_FAR_PAST_TIMEOUT = 1.5
_LEEWAY_SECONDS = 900.0

# Memory for each vCPU in GiB, by family and shape; the documented ratios of Compute Engine.
_GIB_PER_VCPU: Mapping[tuple[str, str], float] = {
    ("n1", "standard"): 3.75,
    ("n1", "highmem"): 6.5,
    ("n1", "highcpu"): 0.9,
    ("c3", "highcpu"): 2.0,
    ("*", "standard"): 4.0,
    ("*", "highmem"): 8.0,
    ("*", "highcpu"): 1.0,
}
_MACHINE = re.compile(r"(?P<family>[a-z]\d[a-z]?)-(?P<shape>[a-z]+)-(?P<vcpus>\d{1,3})")
# These count their GPUs in the name instead: vCPUs and GiB for each, by Compute Engine's tables.
_MACHINE_BY_GPUS = re.compile(r"(?P<shape>a\d-[a-z]+)-(?P<gpus>\d{1,2})g")
_PER_GPU: Mapping[str, tuple[float, float]] = {
    "a2-highgpu": (12, 85),
    "a2-ultragpu": (12, 170),
    "a2-megagpu": (6, 85),
    "a3-highgpu": (26, 234),
    "a3-megagpu": (26, 234),
    "a3-ultragpu": (28, 368),
    "a3-edgegpu": (26, 234),
    "a4-highgpu": (28, 496),
}

_URI = re.compile(
    r"\b(?P<scheme>gs|bq|https?|s3|ftp|jdbc:[a-z]+)://(?P<rest>[^\s'\"`,;<>)\]}]{1,500})"
)
_HOST = re.compile(r"(?:[^@/]*@)?(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:]+\])(?::\d{1,5})?")
_GOOGLE = (
    "googleapis.com",
    "google.com",
    "google.internal",
    "pkg.dev",
    "gcr.io",
    "googleusercontent.com",
)
_WALK_LIMIT = 20_000

_CPU_IMAGE = re.compile(r"(?:^|[/._:-])(?:[a-z0-9]*-)?cpu(?:[/._:@-]|$)|(?:sklearn|xgboost)-cpu")
_GPU_IMAGE = re.compile(r"(?:^|[/._:-])(?:gpu|cuda|cu1\d\d|tpu)(?:[/._:@0-9-]|$)")
# A setting that names the device to compute on, in an argument or an environment variable.
_DEVICE_NAME = re.compile(r"(?:^|[_-])(?:device(?:_type)?|accelerator|backend)$", re.IGNORECASE)
_DEVICE_GPU = re.compile(r"(?:cuda|gpu)(?::\d{1,2})?", re.IGNORECASE)
_USE_GPU = re.compile(r"(?:^|[_-])use[_-]?(?:gpu|cuda)s?$", re.IGNORECASE)
_YES = frozenset({"", "1", "true", "yes", "on"})
# What hides every GPU from CUDA: no device, or one that is not there.
_HIDES_GPUS = frozenset({"", "-1", "none", "nodevfiles", "void"})


@dataclass(frozen=True, slots=True)
class Workload:
    """The shape of a job, as far as its configuration and its Model tell.

    `timeout_seconds` is None where the kind has no time-out of its own. `ran_into_timeout`: the
    run ended at its configured time-out. `cpu_image`: the container's name says that it is built
    for CPUs. `device_setting` is the argument or variable that asks for a GPU, as it is written;
    `hides_gpus`: CUDA_VISIBLE_DEVICES leaves none. `buckets` and `datasets` are also those that the
    container of the Model is told of. `regions_of_uris` are not known here: see `locality`.
    """

    machine_type: str
    vcpus: int | None
    memory_gib: float | None
    accelerator_type: str
    accelerator_count: int
    replicas: int | None
    batch_size: int | None
    device_setting: str
    hides_gpus: bool
    timeout_seconds: float | None
    ran_into_timeout: bool
    spot: bool
    images: tuple[str, ...]
    buckets: tuple[str, ...]
    datasets: tuple[str, ...]

    @property
    def has_accelerator(self) -> bool:
        return self.accelerator_count > 0

    @property
    def cpu_image(self) -> bool:
        return any(_CPU_IMAGE.search(image) for image in self.images) and not any(
            _GPU_IMAGE.search(image) for image in self.images
        )


def read_workload(job: JobDocument, model: Json | None) -> Workload:
    """The workload of `job`, with the container of its Model version where there is one."""
    machine = _first_machine(job.body)
    machine_type = str(machine.get("machineType") or "")
    vcpus, memory = machine_size(machine_type)
    timeout = _timeout(job)
    container = container_of(model)
    uris = [*_uris(job.body), *_uris(container)]
    settings = [*_settings(job.body), *_settings(container)]
    return Workload(
        machine_type=machine_type,
        vcpus=vcpus,
        memory_gib=memory,
        accelerator_type=_accelerator_type(machine),
        accelerator_count=_accelerator_count(machine),
        replicas=_replicas(job.body),
        batch_size=_batch_size(job),
        device_setting=_device_setting(settings),
        hides_gpus=any(
            name == "CUDA_VISIBLE_DEVICES" and value.strip().lower() in _HIDES_GPUS
            for name, value in settings
        ),
        timeout_seconds=timeout,
        ran_into_timeout=_ran_into(job, timeout),
        spot=_is_spot(job.body),
        images=tuple(sorted({*_images(job.body), *(_images(model) if model else ())})),
        buckets=tuple(sorted({rest.split("/")[0] for scheme, rest in uris if scheme == "gs"})),
        datasets=tuple(sorted({_dataset(rest) for scheme, rest in uris if scheme == "bq"} - {""})),
    )


def machine_size(machine_type: str) -> tuple[int | None, float | None]:
    """vCPUs and memory in GiB of a name such as `n1-standard-8`; None where the name tells not."""
    match = _MACHINE.fullmatch(machine_type)
    if match is None:
        by_gpus = _MACHINE_BY_GPUS.fullmatch(machine_type)
        held = _PER_GPU.get(by_gpus["shape"]) if by_gpus else None
        if by_gpus is None or held is None:
            return None, None
        gpus = int(by_gpus["gpus"])
        return round(held[0] * gpus), held[1] * gpus
    vcpus = int(match["vcpus"])
    ratio = _GIB_PER_VCPU.get((match["family"], match["shape"]))
    if ratio is None:
        ratio = _GIB_PER_VCPU.get(("*", match["shape"]))
    return vcpus, (vcpus * ratio if ratio else None)


def container_of(model: Json | None) -> Json:
    """The container of a Model version; where its artifacts lie matters only while it starts."""
    held = model.get("containerSpec") if isinstance(model, Mapping) else None
    return held if isinstance(held, Mapping) else {}


def external_hosts(job: JobDocument, model: Json | None = None) -> tuple[str, ...]:
    """Hosts outside Google that the job's configuration names (arguments, environment, inputs),
    and that of the Model's container.

    Lower case, sorted, without ports; a bucket of another cloud counts as its service's host.
    """
    hosts: set[str] = set()
    for scheme, rest in (*_uris(job.body), *_uris(container_of(model))):
        if scheme in {"gs", "bq"}:
            continue
        if scheme == "s3":
            hosts.add("s3.amazonaws.com")
            continue
        match = _HOST.match(rest)
        if match:
            host = match["host"].lower().strip("[].")
            if host and not any(host == own or host.endswith("." + own) for own in _GOOGLE):
                hosts.add(host)
    return tuple(sorted(hosts))


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


def _uris(body: Json) -> Iterator[tuple[str, str]]:
    """(scheme, rest) of every URI in the configuration; the error's text is not configuration."""
    configured = {k: v for k, v in body.items() if k not in {"error", "partialFailures", "name"}}
    for _, value in _walk(configured):
        if isinstance(value, str):
            for match in _URI.finditer(value):
                yield match["scheme"], match["rest"]


def _settings(body: Json) -> Iterator[tuple[str, str]]:
    """(name, value) of every environment variable and argument: `--device=cuda`, `--device cuda`."""
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


def _device_setting(settings: Iterable[tuple[str, str]]) -> str:
    for name, value in settings:
        if _DEVICE_NAME.search(name) and _DEVICE_GPU.fullmatch(value.strip()):
            return f"{name}={value.strip()}"
        if _USE_GPU.search(name) and value.strip().lower() in _YES:
            return f"{name}={value.strip()}" if value else name
    return ""


def _first_machine(body: Json) -> Json:
    """The first machine in the document: the chief's pool stands first in Google's own order."""
    for key, value in _walk(body):
        if key in {"machineSpec", "machine_spec"} and isinstance(value, Mapping):
            return value
    for key, value in _walk(body):
        # A pipeline component's accelerator stands in its `resources`, without a machine type.
        if key == "resources" and isinstance(value, Mapping) and "accelerator" in value:
            accelerator = value["accelerator"]
            if isinstance(accelerator, Mapping):
                return {
                    "acceleratorType": accelerator.get("type"),
                    "acceleratorCount": accelerator.get("count"),
                }
    return {}


def _accelerator_type(machine: Json) -> str:
    named = str(machine.get("acceleratorType") or "")
    return "" if named == "ACCELERATOR_TYPE_UNSPECIFIED" else named


def _accelerator_count(machine: Json) -> int:
    count = _whole(machine.get("acceleratorCount"))
    if count:
        return count
    # These families carry their accelerators in the machine type itself.
    bundled = re.match(r"(a2|a3|a4|g2|g4|ct\d)[a-z]*-", str(machine.get("machineType") or ""))
    return 1 if bundled or machine.get("tpuTopology") else 0


def _replicas(body: Json) -> int | None:
    for key, value in _walk(body):
        if key in {"startingReplicaCount", "replicaCount"} and _whole(value):
            return _whole(value)
    return None


def _whole(value: object) -> int:
    """A whole number, also as the text that protobuf's JSON makes of 64-bit ones; else 0."""
    if isinstance(value, bool):
        return 0
    if isinstance(value, int | float):
        return int(value) if math.isfinite(value) else 0
    return int(value) if isinstance(value, str) and _DIGITS.fullmatch(value) else 0


_DIGITS = re.compile(r"[0-9]{1,19}")


def _batch_size(job: JobDocument) -> int | None:
    """Instances in one request of a batch prediction: 64 where nothing else is said."""
    if job.kind is not JobKind.BATCH_PREDICTION:
        return None
    named = _whole(job.read("manualBatchTuningParameters.batchSize"))
    return named or _DEFAULT_BATCH_SIZE


def _timeout(job: JobDocument) -> float | None:
    for key, value in _walk(job.body):
        if key == "scheduling" and isinstance(value, Mapping):
            seconds = parse_seconds(value.get("timeout"))
            if seconds:
                return seconds
    return _DEFAULT_TIMEOUT_SECONDS if job.kind is JobKind.CUSTOM else None


def _ran_into(job: JobDocument, timeout: float | None) -> bool:
    if job.state is JobState.EXPIRED:
        return True
    ran = job.run_seconds
    if timeout is None or ran is None or job.state is JobState.SUCCEEDED:
        return False
    latest = max(timeout * _FAR_PAST_TIMEOUT, timeout + _LEEWAY_SECONDS)
    return timeout * _NEAR_TIMEOUT <= ran <= latest


def _is_spot(body: Json) -> bool:
    for key, value in _walk(body):
        if (key == "strategy" and value == "SPOT") or (key == "spot" and value is True):
            return True
    return False


def _images(body: Json) -> set[str]:
    return {
        value
        for key, value in _walk(body)
        if key in {"imageUri", "image", "executorImageUri"} and isinstance(value, str)
    }


def _dataset(rest: str) -> str:
    """`project.dataset` of a BigQuery URI."""
    parts = rest.split(".")
    return ".".join(parts[:2]) if len(parts) > 1 else ""


def as_text(value: object) -> str:
    """Any JSON value as text, for reading and never for parsing back."""
    return value if isinstance(value, str) else json.dumps(value, default=str)
