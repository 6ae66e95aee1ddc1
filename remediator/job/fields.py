"""The table of job kinds: where a machine, a batch size or a time-out lives in each, and what may change.

Owns every path into a job's JSON, what is output only, and what is read out of a job for matching,
guards and logs. Must not decide anything. Called by the planner, the guards, evidence (for buckets
and log identities) and the stories; nothing else in the house knows the shape of a job.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from remediator.catalog.catalog import Catalogue, Hardware
from remediator.catalog.machines import Service
from remediator.domain import JobDocument, JobKind, JobName, JobState, Json, parse_seconds

DEFAULT_BATCH_SIZE = 64  # Vertex's own, where manualBatchTuningParameters says nothing
DEFAULT_MAX_REPLICAS = 10  # of a batch prediction; it does nothing but must not be under the start
DEFAULT_TIMEOUT_SECONDS = 7 * 24 * 3600.0  # of a custom job without scheduling.timeout
OUR_LABELS = ("remediator-root", "remediator-attempt", "remediator-policy", "remediator-claim")
SWITCH_LABEL = "remediator"
OUR_ENVIRONMENT = "REMEDIATOR_"
GOOGLES_LABELS = "aiplatform.googleapis.com/"
_RUN_LABEL = "vertex-ai-pipelines-run-billing-id"

# --- the table ------------------------------------------------------------------------------------

_TIMES = ("createTime", "startTime", "endTime", "updateTime")
_ALWAYS = ("name", "state", "error", *_TIMES, "satisfiesPzs", "satisfiesPzi", "etag")


@dataclass(frozen=True, slots=True)
class Kind:
    """Where things live in one kind of job. An empty path: the kind has no such thing.

    `spec` is the object that holds worker pools, scheduling and service account.
    """

    kind: JobKind
    service: Service
    spec: str
    output_only: tuple[str, ...]
    service_account: str
    network: str
    base_output: str
    has_pools: bool
    legal: frozenset[str]

    @property
    def scheduling(self) -> str:
        return f"{self.spec}.scheduling" if self.has_pools else ""


def _pooled(kind: JobKind, spec: str, *output_only: str) -> Kind:
    return Kind(
        kind,
        Service.TRAINING,
        spec,
        (*_ALWAYS, "webAccessUris", *output_only),
        f"{spec}.serviceAccount",
        f"{spec}.network",
        f"{spec}.baseOutputDirectory.outputUriPrefix",
        has_pools=True,
        legal=frozenset(
            {
                "machine_type",
                "accelerator",
                "replicas",
                "timeout",
                "spot",
                "strategy",
                "max_wait",
                "disk",
                "env",
                "args",
                "location",
                "output",
                "wait",
            }
        ),
    )


KINDS: Mapping[JobKind, Kind] = {
    JobKind.BATCH_PREDICTION: Kind(
        JobKind.BATCH_PREDICTION,
        Service.PREDICTION,
        "dedicatedResources",
        (
            *_ALWAYS,
            "modelVersionId",
            "outputInfo",
            "partialFailures",
            "resourcesConsumed",
            "completionStats",
            "modelMonitoringStatsAnomalies",
            "modelMonitoringStatus",
        ),
        "serviceAccount",
        "",
        "",
        has_pools=False,
        legal=frozenset(
            {
                "machine_type",
                "accelerator",
                "replicas",
                "batch_size",
                "location",
                "explanations",
                "rows",
                "wait",
            }
        ),
    ),
    JobKind.CUSTOM: _pooled(JobKind.CUSTOM, "jobSpec"),
    JobKind.HYPERPARAMETER_TUNING: _pooled(JobKind.HYPERPARAMETER_TUNING, "trialJobSpec", "trials"),
    JobKind.TRAINING_PIPELINE: _pooled(
        JobKind.TRAINING_PIPELINE, "trainingTaskInputs", "trainingTaskMetadata"
    ),
    JobKind.PIPELINE: Kind(
        JobKind.PIPELINE,
        Service.TRAINING,
        "pipelineSpec.deploymentSpec",
        (*_ALWAYS, "jobDetail", "templateMetadata", "scheduleName"),
        "serviceAccount",
        "network",
        "runtimeConfig.gcsOutputDirectory",
        has_pools=False,
        legal=frozenset({"machine_type", "accelerator", "location", "output", "wait"}),
    ),
}


def rules(job: JobDocument) -> Kind:
    """The row of the table for this job."""
    return KINDS[job.kind]


# --- reading opaque values: training inputs and pipeline specs come in camelCase or snake_case ---


def _snake(key: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower()


def spelled(job: JobDocument, path: str) -> str:
    """The path as this job spells it: `machine_spec` where it has that, else `machineSpec`."""
    done = ""
    for part in path.split("."):
        name, bracket, index = part.partition("[")
        here = job.read(done) if done else job.body
        snake = _snake(name)
        if isinstance(here, Mapping) and name not in here and snake in here:
            name = snake
        done = ".".join(filter(None, (done, f"{name}{bracket}{index}")))
    return done


def read(job: JobDocument, path: str) -> Any:
    """The value at the path in either spelling; None where it is missing."""
    return job.read(spelled(job, path))


_PAST_INT64 = 10**18


def whole_number(value: object) -> int | None:
    """An int32 (JSON number) or int64 (JSON text) of Google's; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return int(value) if abs(value) < _PAST_INT64 and value == int(value) else None
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value) else None


# --- pools: each place in a job where machines are configured ---------------------------------------


@dataclass(frozen=True, slots=True)
class Pool:
    """One place in a job where machines are configured.

    Paths are as the job spells them. `limits`: a pipeline component that states CPU and memory
    limits in place of a machine type; `hardware` is then the shape that holds them, or None.
    """

    name: str
    machine_path: str
    accelerator_path: str
    count_path: str
    replicas_path: str
    hardware: Hardware
    replicas: int
    pinned: str = ""
    task: str = ""
    disk_path: str = ""
    disk_gb: int | None = None


def pools(job: JobDocument) -> tuple[Pool, ...]:
    """Every pool of the job that has a machine type, in the job's order."""
    kind = rules(job)
    if kind.kind is JobKind.BATCH_PREDICTION:
        if not isinstance(job.read("dedicatedResources"), Mapping):
            return ()
        pool = _pool(job, "dedicatedResources", "startingReplicaCount")
        return (pool,) if pool.hardware.machine else ()
    if kind.kind is JobKind.PIPELINE:
        return _executor_pools(job)
    return _worker_pools(job, kind.spec)


def _worker_pools(job: JobDocument, spec: str, task: str = "") -> tuple[Pool, ...]:
    found = read(job, f"{spec}.workerPoolSpecs")
    if not isinstance(found, Sequence) or isinstance(found, str):
        return ()
    listed = (
        _pool(job, f"{spec}.workerPoolSpecs[{index}]", "replicaCount", f"workerpool{index}", task)
        for index in range(len(found))
    )
    return tuple(pool for pool in listed if pool.hardware.machine)


def _pool(
    job: JobDocument, path: str, replicas: str, name: str = "model server", task: str = ""
) -> Pool:
    machine = f"{path}.machineSpec"
    affinity = read(job, f"{machine}.reservationAffinity") or {}
    kept = _either_key(affinity, "reservationAffinityType") if isinstance(affinity, Mapping) else ""
    has_disk = replicas == "replicaCount"  # a worker pool
    return Pool(
        name,
        spelled(job, f"{machine}.machineType"),
        spelled(job, f"{machine}.acceleratorType"),
        spelled(job, f"{machine}.acceleratorCount"),
        spelled(job, f"{path}.{replicas}"),
        Hardware(
            str(read(job, f"{machine}.machineType") or ""),
            _named(read(job, f"{machine}.acceleratorType")),
            whole_number(read(job, f"{machine}.acceleratorCount")) or 0,
        ),
        whole_number(read(job, f"{path}.{replicas}")) or 1,
        pinned="a reservation" if kept == "SPECIFIC_RESERVATION" else "",
        task=task,
        disk_path=spelled(job, f"{path}.diskSpec.bootDiskSizeGb") if has_disk else "",
        disk_gb=_disk_gb(job, path) if has_disk else None,
    )


def _disk_gb(job: JobDocument, path: str) -> int:
    """The boot disk of a pool's machines, GB."""
    return whole_number(read(job, f"{path}.diskSpec.bootDiskSizeGb")) or DEFAULT_BOOT_DISK_GB


def _either_key(found: Json, key: str) -> Any:
    return found.get(key, found.get(_snake(key)))


def _named(accelerator: object) -> str:
    text = str(accelerator or "")
    return "" if text == "ACCELERATOR_TYPE_UNSPECIFIED" else text


def _executor_pools(job: JobDocument) -> tuple[Pool, ...]:
    """The custom jobs inside a pipeline's executors; plain containers have limits, not machines."""
    found: list[Pool] = []
    for label, holder in executors(job).items():
        for spec in (f"{holder}.customJob.jobSpec", f"{holder}.customJob.customJob.jobSpec"):
            found.extend(_worker_pools(job, spec, label))
    return tuple(found)


def executors(job: JobDocument) -> Mapping[str, str]:
    """A pipeline run's executors: label to path, in the spec's order."""
    root = spelled(job, "pipelineSpec.deploymentSpec.executors")
    if job.read(root) is None:
        root = spelled(job, "pipelineSpec.deploymentConfig.executors")
    listed = job.read(root)
    return {label: f"{root}.{label}" for label in listed} if isinstance(listed, Mapping) else {}


_REPLICA = re.compile(r"workerpool(\d+)-\d+")


def failed_pools(job: JobDocument, *texts: str) -> frozenset[str]:
    """Names of the pools that the job's error, or other evidence, names as having failed."""
    said = " ".join((job.error_message, *texts))
    return frozenset(f"workerpool{index}" for index in _REPLICA.findall(said))


# --- facts: what policies match on ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JobFacts:
    """What a policy can say about a job; None: the job does not have it, or it is not known."""

    kind: JobKind
    display_name: str
    location: str
    labels: Mapping[str, str]
    service_account: str | None
    run_seconds: float | None
    machine_type: str | None
    vcpus: int | None
    memory_gib: float | None
    family: str | None
    accelerator_type: str | None
    accelerator_count: int | None
    replicas: int | None
    batch_size: int | None
    model: str | None
    spot: bool
    strategy: str | None = None
    disk_gb: int | None = None
    image: str | None = None
    exit_code: int | None = None

    def variables(self) -> dict[str, Any]:
        """The contract's CEL variables `job.*`, nested; what is not known is left out."""
        machine = {
            "type": self.machine_type,
            "vcpus": self.vcpus,
            "memory_gib": self.memory_gib,
            "family": self.family,
        }
        accelerator = {"type": self.accelerator_type, "count": self.accelerator_count}
        job = {
            "kind": self.kind.value,
            "display_name": self.display_name,
            "location": self.location,
            "labels": dict(self.labels),
            "service_account": self.service_account,
            "run_seconds": self.run_seconds,
            "machine": _known(machine),
            "accelerator": _known(accelerator),
            "replicas": self.replicas,
            "batch_size": self.batch_size,
            "model": self.model,
            "spot": self.spot,
            "strategy": self.strategy,
            "disk_gb": self.disk_gb,
            "image": self.image,
            "exit_code": self.exit_code,
        }
        return _known(job)


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def facts(job: JobDocument, catalogue: Catalogue, model: Json | None = None) -> JobFacts:
    """What can be said of the job; of several pools the first one speaks."""
    found = pools(job)
    first = found[0].hardware if found else None
    machine = catalogue.machine(first.machine) if first else None
    return JobFacts(
        kind=job.kind,
        display_name=job.display_name,
        location=job.name.location,
        labels=job.labels,
        service_account=service_account(job),
        run_seconds=job.run_seconds,
        machine_type=first.machine if first else None,
        vcpus=(machine.vcpus or None) if machine else None,
        memory_gib=(machine.memory_gib or None) if machine else None,
        family=machine.family if machine else _family_of(first.machine if first else None),
        accelerator_type=(first.accelerator if first else "") or None,
        accelerator_count=(first.count if first else 0) or (0 if first else None),
        replicas=sum(pool.replicas for pool in found) if found else None,
        batch_size=batch_size(job),
        model=model_name(job, model),
        spot=is_spot(job),
        strategy=strategy(job),
        disk_gb=found[0].disk_gb if found else None,
        image=next(iter(images(job, model)), None),
        exit_code=exit_code(job),
    )


def _family_of(machine: str | None) -> str | None:
    return machine.rpartition("-")[0] or machine if machine else None


def service_account(job: JobDocument) -> str | None:
    """The account the job's containers run as, where the job names one."""
    account = read(job, rules(job).service_account)
    return account if isinstance(account, str) and account else None


def batch_size(job: JobDocument) -> int | None:
    """Instances in one request of a batch prediction on its own machines; None for other jobs."""
    if job.kind is not JobKind.BATCH_PREDICTION or not pools(job):
        return None
    stated = whole_number(job.read("manualBatchTuningParameters.batchSize"))
    return stated or DEFAULT_BATCH_SIZE


def model_name(job: JobDocument, model: Json | None = None) -> str | None:
    """The model of a batch prediction, as the job names it, without its version."""
    named = job.read("model") if job.kind is JobKind.BATCH_PREDICTION else None
    named = named or (model or {}).get("name")
    return str(named).partition("@")[0] if named else None


def is_spot(job: JobDocument) -> bool:
    """Whether the job runs on machines that may be taken back."""
    kind = rules(job)
    if kind.has_pools:
        return bool(read(job, f"{kind.scheduling}.strategy") == "SPOT")
    return job.kind is JobKind.BATCH_PREDICTION and job.read("dedicatedResources.spot") is True


def is_flex_start(job: JobDocument) -> bool:
    """Whether the job waits for machines as long as it says itself (Dynamic Workload Scheduler)."""
    kind = rules(job)
    return kind.has_pools and read(job, f"{kind.scheduling}.strategy") == "FLEX_START"


DEFAULT_BOOT_DISK_GB = 100  # of each machine of a custom job whose spec says nothing


def strategy(job: JobDocument) -> str | None:
    """How the job's machines are got, STANDARD where it does not say; None: the kind has no such field."""
    kind = rules(job)
    if not kind.has_pools:
        return None
    named = str(read(job, f"{kind.scheduling}.strategy") or "")
    return _STRATEGIES.get(named, named)


_STRATEGIES = {"": "STANDARD", "STRATEGY_UNSPECIFIED": "STANDARD", "ON_DEMAND": "STANDARD",
               "LOW_COST": "SPOT"}  # fmt: skip
"""Vertex's older names of the same things."""


def exit_code(job: JobDocument, *texts: str) -> int | None:
    """What the job's program ended with, by the job's error or else the texts; None: nobody says."""
    for text in (job.error_message, *texts):
        found = _EXIT_CODE.search(text)
        if found:
            return int(found[1])
    return None


_EXIT_CODE = re.compile(
    r"(?:non-?zero (?:exit )?(?:status|code)(?: of|:)?|exit(?:ed)?(?: with)?(?: a)? (?:status|code)(?: of|:)?"
    r"|exit[_ ]?code(?: was)?[:=]?)\s*(?P<code>[0-9]{1,3})\b",
    re.IGNORECASE,
)


def timeout_seconds(job: JobDocument) -> float | None:
    """The time-out that the job sets itself; None where it sets none."""
    kind = rules(job)
    return parse_seconds(read(job, f"{kind.scheduling}.timeout")) if kind.has_pools else None


_TIMED_OUT = re.compile(
    r"time[d -]?\s?out|deadline|exceeded the (maximum|specified|allowed)|maximum (run|job) ?time"
    r"|ran (for )?longer than",
    re.IGNORECASE,
)
_NEARLY = 0.98  # a cancellation takes a moment, and clocks differ


def own_timeout_hit(job: JobDocument) -> bool:
    """Whether the job's error or duration shows that its own time-out ended it."""
    if not rules(job).has_pools:
        return False
    if _TIMED_OUT.search(job.error_message):
        return True
    if job.kind is JobKind.HYPERPARAMETER_TUNING:  # its time-out is of one trial, not its own
        return False
    if job.start_time is None:  # the time-out counts running; waiting for a machine is none
        return False
    limit = timeout_seconds(job) or DEFAULT_TIMEOUT_SECONDS
    ran = job.run_seconds
    return ran is not None and ran >= limit * _NEARLY


def cancelled_by_person(job: JobDocument) -> bool:
    """A cancelled job that its own time-out did not end."""
    return job.state is JobState.CANCELLED and not own_timeout_hit(job)


def failed_instances(job: JobDocument) -> int:
    """How many instances of a batch prediction failed; 0 where none did or nobody counted."""
    if job.kind is not JobKind.BATCH_PREDICTION:
        return 0
    counted = whole_number(job.read("completionStats.failedCount")) or 0
    return max(counted, 0) or len(job.read("partialFailures") or ())


def is_failure(job: JobDocument) -> bool:
    """What the product calls a failure: see the contract's list of states."""
    if job.state is JobState.SUCCEEDED:
        return failed_instances(job) > 0
    if job.state is JobState.CANCELLED:
        return own_timeout_hit(job)
    return job.state in {JobState.FAILED, JobState.EXPIRED, JobState.PARTIALLY_SUCCEEDED}


# --- relations ----------------------------------------------------------------------------------


def parent_of(job: JobDocument) -> str:
    """What the job's labels say it is a part of, in words; empty: nothing."""
    if job.kind is JobKind.PIPELINE:
        return ""
    run = job.labels.get(_RUN_LABEL)
    return f"pipeline run {run}" if run else ""


PARENTS: Mapping[JobKind, tuple[JobKind, ...]] = {
    JobKind.CUSTOM: (JobKind.TRAINING_PIPELINE, JobKind.HYPERPARAMETER_TUNING),
    JobKind.HYPERPARAMETER_TUNING: (JobKind.TRAINING_PIPELINE,),
}
"""Kinds of jobs that start jobs of a kind and leave no label on them that says so."""


def has_child(job: JobDocument, name: JobName) -> bool:
    """Whether the job names that one as its own; projects by id and by number are taken as one."""
    return any(child.endswith(f"/locations/{name.key}") for child in children_of(job))


def children_of(job: JobDocument) -> tuple[str, ...]:
    """Resource names of the jobs that this one started, in the order it lists them."""
    found: list[str] = []
    if job.kind is JobKind.TRAINING_PIPELINE:
        found.append(str(read(job, "trainingTaskMetadata.backingCustomJob") or ""))
        found.append(str(read(job, "trainingTaskMetadata.backingHyperparameterTuningJob") or ""))
    elif job.kind is JobKind.HYPERPARAMETER_TUNING:
        found.extend(str(trial.get("customJob") or "") for trial in job.read("trials") or ())
    elif job.kind is JobKind.PIPELINE:
        for task in read(job, "jobDetail.taskDetails") or ():
            detail = task.get("executorDetail") or {}
            container, custom = (
                detail.get("containerDetail") or {},
                detail.get("customJobDetail") or {},
            )
            found.append(str(container.get("mainJob") or custom.get("job") or ""))
    return tuple(dict.fromkeys(name for name in found if name))


def is_automl(job: JobDocument) -> bool:
    """Whether a training pipeline trains a model of Google's, with no machines to be seen."""
    if job.kind is not JobKind.TRAINING_PIPELINE:
        return False
    return "automl" in str(job.read("trainingTaskDefinition") or "").lower()


def succeeded_trials(job: JobDocument) -> int:
    """How many trials of a tuning job have succeeded."""
    return sum(trial.get("state") == "SUCCEEDED" for trial in job.read("trials") or ())


def log_identity(job: JobDocument) -> tuple[str, ...]:
    """Numeric ids under which the job's worker logs and metrics are kept: its own, its children's."""
    ids = [job.name.id, *(name.rpartition("/")[2] for name in children_of(job))]
    return tuple(dict.fromkeys(id_ for id_ in ids if id_.isdigit()))


def base_output(job: JobDocument) -> str:
    """Where the job keeps its checkpoints and results; empty where it names no such place."""
    path = rules(job).base_output
    return str(read(job, path) or "") if path else ""


_BUCKET = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])")
_FUSE = re.compile(r"/gcs/([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])")
_TABLE = re.compile(r"bq://([A-Za-z0-9:._-]+)")
_OUTPUTS = ("outputConfig", "output_config", "baseOutputDirectory", "base_output_directory")


def _texts(value: Any, skip: tuple[str, ...] = ()) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if key not in skip:
                yield from _texts(item, skip)
    elif isinstance(value, Sequence):
        for item in value:
            yield from _texts(item, skip)


def _request_texts(job: JobDocument, skip: tuple[str, ...] = ()) -> Iterator[str]:
    # A training pipeline's definition is a schema in a bucket of Google's, no data of the job's.
    gone = {*rules(job).output_only, "trainingTaskDefinition"}
    yield from _texts({k: v for k, v in job.body.items() if k not in gone}, skip)


def buckets_of(job: JobDocument, *, inputs_only: bool = False) -> tuple[str, ...]:
    """Buckets that the job reads or writes, as far as its request names them, in order."""
    skip = _OUTPUTS if inputs_only else ()
    found = [
        bucket
        for text in _request_texts(job, skip)
        for bucket in (*_BUCKET.findall(text), *_FUSE.findall(text))
    ]
    return tuple(dict.fromkeys(found))


def bigquery_of(job: JobDocument) -> tuple[str, ...]:
    """BigQuery tables (`project.dataset.table`) that the job's request names, in order."""
    found = [table for text in _request_texts(job) for table in _TABLE.findall(text)]
    return tuple(dict.fromkeys(found))


# --- the request --------------------------------------------------------------------------------


def clone(job: JobDocument) -> JobDocument:
    """The job as it would be asked for again: output-only fields gone, model version pinned.

    Google's own labels and ours go too; the planner writes ours anew.
    """
    kind = rules(job)
    body = {k: _fresh(v) for k, v in job.body.items() if k not in kind.output_only}
    pinned = pinned_model(job)
    if pinned:
        body["model"] = pinned
    labels = {
        key: value
        for key, value in job.labels.items()
        if not key.startswith(GOOGLES_LABELS) and key not in OUR_LABELS
    }
    if labels or "labels" in body:
        body["labels"] = labels
    return JobDocument(job.name, body)


def _fresh(value: Any) -> Any:
    """A copy in which no two places share an object, so that a change is made in one alone."""
    if isinstance(value, Mapping):
        return {key: _fresh(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_fresh(item) for item in value]
    return value


def pinned_model(job: JobDocument) -> str:
    """`model@version` of a batch prediction, since the default version may have moved since."""
    if job.kind is not JobKind.BATCH_PREDICTION:
        return ""
    model, version = job.read("model"), job.read("modelVersionId")
    if not isinstance(model, str) or not version or "publishers/" in model:
        return ""
    return f"{model.partition('@')[0]}@{version}"


def environments(job: JobDocument) -> tuple[str, ...]:
    """Paths of the containers' lists of environment variables (present or not)."""
    kind = rules(job)
    if not kind.has_pools:
        return ()
    found = read(job, f"{kind.spec}.workerPoolSpecs") or ()
    return tuple(
        spelled(job, f"{kind.spec}.workerPoolSpecs[{index}].{holder}.env")
        for index, pool in enumerate(found)
        for holder in ("containerSpec", "pythonPackageSpec")
        if isinstance(pool, Mapping) and _either_key(pool, holder)
    )


def command_lines(job: JobDocument) -> tuple[str, ...]:
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
    "displayName",
    "display_name",
    "labels",
)


def workload_digest(job: JobDocument) -> str:
    """The same for two jobs that do the same work, on whatever machines: 16 hex digits.

    Of the request without name, labels, machine, accelerator, replicas, batch size, scheduling and
    our own environment variables. Projects by id and by number are taken as one.
    """
    asked = clone(job).body
    text = json.dumps(_workload(asked), sort_keys=True, ensure_ascii=False, default=str)
    text = re.sub(r"projects/[^/\"]+/locations/", "projects/-/locations/", text)
    return hashlib.sha256(f"{job.kind}:{text}".encode()).hexdigest()[:16]


def _workload(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {k: _workload(v) for k, v in value.items() if k not in _NOT_WORKLOAD}
        return {k: v for k, v in kept.items() if v not in ({}, [], None, "")}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_workload(item) for item in value if not is_our_variable(item)]
    return value


def is_our_variable(item: Any) -> bool:
    """Whether an entry of an environment is one that we set."""
    return isinstance(item, Mapping) and str(item.get("name") or "").startswith(OUR_ENVIRONMENT)


def programs(job: JobDocument) -> tuple[Any, ...]:
    """Image, command and arguments of each worker pool: jobs of one workload have the same.

    Far cheaper to compare than `workload_digest`, which alone says that two are the same.
    """
    kind = rules(job)
    pools_ = (read(job, f"{kind.spec}.workerPoolSpecs") if kind.has_pools else ()) or ()
    held = [
        _either_key(pool, key) or {}
        for pool in pools_
        for key in ("containerSpec", "pythonPackageSpec")
    ]
    return tuple(
        _either_key(spec, key) or None
        for spec in held
        if isinstance(spec, Mapping)
        for key in ("imageUri", "executorImageUri", "command", "args")
    )


_CPU_IMAGE = re.compile(r"(?:^|[/._:-])cpu(?:[._:/@-]|$)|[a-z0-9]-cpu\b", re.IGNORECASE)
_GPU_IMAGE = re.compile(r"gpu|cuda|nvidia|cu1[0-9]{2}", re.IGNORECASE)


def images(job: JobDocument, model: Json | None = None) -> tuple[str, ...]:
    """Container images that the job runs."""
    holders: list[Any] = [
        (model if isinstance(model, Mapping) else {}).get("containerSpec") or {},
        job.read("unmanagedContainerModel.containerSpec") or {},
    ]
    kind = rules(job)
    for pool in (read(job, f"{kind.spec}.workerPoolSpecs") if kind.has_pools else ()) or ():
        holders += [
            _either_key(pool, "containerSpec") or {},
            _either_key(pool, "pythonPackageSpec") or {},
        ]
    found = [
        _either_key(holder, key)
        for holder in holders
        if isinstance(holder, Mapping)
        for key in ("imageUri", "executorImageUri")
    ]
    return tuple(dict.fromkeys(str(image) for image in found if image))


def cpu_only_image(job: JobDocument, model: Json | None = None) -> str:
    """An image of the job that is built for CPUs alone by its name; empty: none is."""
    for image in images(job, model):
        if _CPU_IMAGE.search(image) and not _GPU_IMAGE.search(image):
            return image
    return ""
