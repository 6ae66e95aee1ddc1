"""The table of job kinds: where a machine, a batch size or a time-out lives in each, and what may change.

Owns the paths of machines, time-outs and relations in a job's JSON, and what is output only. Must
not decide anything. Called by the other modules of the room; everybody else asks `Job`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from remediator.catalog.catalog import Hardware
from remediator.catalog.machines import Service
from remediator.domain import JobKind, Json, parse_seconds
from remediator.domain.late_pattern import late_pattern
from remediator.job.document import Document, either_key, once, read, spelled, whole_number

DEFAULT_BATCH_SIZE = 64  # Vertex's own, where manualBatchTuningParameters says nothing
COUNTS = "completionStats"
BATCH_SIZE = "manualBatchTuningParameters.batchSize"
MOST_REPLICAS = "dedicatedResources.maxReplicaCount"
EXPLANATIONS = "generateExplanation"
DEFAULT_MAX_REPLICAS = 10  # of a batch prediction; it does nothing but must not be under the start
DEFAULT_BOOT_DISK_GB = 100  # of each machine of a custom job whose spec says nothing
DEFAULT_TIMEOUT_SECONDS = 7 * 24 * 3600.0  # of a custom job without scheduling.timeout
OUR_LABELS = ("remediator-root", "remediator-attempt", "remediator-policy", "remediator-claim")
SWITCH_LABEL = "remediator"
OUR_ENVIRONMENT = "REMEDIATOR_"
GOOGLES_LABELS = "aiplatform.googleapis.com/"

# --- the table ------------------------------------------------------------------------------------

_TIMES = ("createTime", "startTime", "endTime", "updateTime")
_ALWAYS = ("name", "state", "error", *_TIMES, "satisfiesPzs", "satisfiesPzi", "etag")


class Kind(Struct, frozen=True):
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


TUNING_TASK = "trainingTaskInputs.trialJobSpec"  # of a training pipeline whose task tunes


@once
def rules(job: Document) -> Kind:
    """The row of the table for this job; a training pipeline of a tuning task has a trial's paths."""
    row = KINDS[job.kind]
    if job.kind is not JobKind.TRAINING_PIPELINE or not isinstance(read(job, TUNING_TASK), Mapping):
        return row
    own = f"{row.spec}."
    return replace(
        row,
        spec=TUNING_TASK,
        service_account=row.service_account.replace(own, f"{TUNING_TASK}."),
        network=row.network.replace(own, f"{TUNING_TASK}."),
        base_output=row.base_output.replace(own, f"{TUNING_TASK}."),
    )


def runs_trials(job: Document) -> bool:
    """Whether the job's time-out and machines are of one trial among several."""
    return job.kind is JobKind.HYPERPARAMETER_TUNING or rules(job).spec == TUNING_TASK


# --- pools: each place in a job where machines are configured ---------------------------------------


class Pool(Struct, frozen=True):
    """One place in a job where machines are configured.

    Paths are as the job spells them. `task` is the path of a pipeline's task that runs on it; `fixed`
    says why the machine cannot be changed (empty: it can), and its hardware has no name where it
    cannot be read. `strategy` and `service` are of machines
    that are not got as the job itself says. `whole`: (path,
    value) of a list that is written whole first, since others use the one that the paths lead into.
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
    topology_path: str = ""
    topology: str = ""
    partition_path: str = ""
    partition: str = ""
    nodes: int = 1
    fixed: str = ""
    strategy: str = ""
    service: Service | None = None
    whole: tuple[str, Any] | None = None

    @property
    def chips(self) -> int:
        """Of the TPU slice that each replica is; 0 where the job names no topology."""
        sides = [whole_number(side) or 0 for side in self.topology.split("x") if side]
        return math.prod(sides) if sides else 0


@once
def pools(job: Document) -> tuple[Pool, ...]:
    """Every pool that has a machine type, in the job's order; none of a pipeline run (see `machines`)."""
    kind = rules(job)
    if kind.kind is JobKind.BATCH_PREDICTION:
        if not isinstance(job.read("dedicatedResources"), Mapping):
            return ()
        pool = _pool(job, "dedicatedResources", "startingReplicaCount")
        return (pool,) if pool.hardware.machine else ()
    return worker_pools(job, kind.spec) if kind.has_pools else ()


def worker_pools(job: Document, spec: str, task: str = "") -> tuple[Pool, ...]:
    listed = (
        _pool(job, path, "replicaCount", f"workerpool{index}", task)
        for index, path, _ in worker_pool_specs(job, spec)
    )
    return tuple(pool for pool in listed if pool.hardware.machine)


def worker_pool_specs(job: Document, spec: str = "") -> tuple[tuple[int, str, Json], ...]:
    """Number, path and object of each worker pool of a spec, without one the job's own.

    The inputs of a training pipeline are opaque to the API (a Struct): what is no object there is no pool.
    """
    kind = rules(job)
    spec = spec or (kind.spec if kind.has_pools else "")
    path = f"{spec}.workerPoolSpecs"
    found = read(job, path) if spec else None
    if not isinstance(found, Sequence) or isinstance(found, str):
        return ()
    return tuple(
        (index, f"{path}[{index}]", pool)
        for index, pool in enumerate(found)
        if isinstance(pool, Mapping)
    )


def _pool(
    job: Document, path: str, replicas: str, name: str = "model server", task: str = ""
) -> Pool:
    machine = f"{path}.machineSpec"
    affinity = read(job, f"{machine}.reservationAffinity") or {}
    kept = either_key(affinity, "reservationAffinityType") if isinstance(affinity, Mapping) else ""
    has_disk = replicas == "replicaCount"  # a worker pool
    return Pool(
        name,
        spelled(job, f"{machine}.machineType"),
        spelled(job, f"{machine}.acceleratorType"),
        spelled(job, f"{machine}.acceleratorCount"),
        spelled(job, f"{path}.{replicas}"),
        Hardware(
            str(read(job, f"{machine}.machineType") or ""),
            _accelerator_name(read(job, f"{machine}.acceleratorType")),
            whole_number(read(job, f"{machine}.acceleratorCount")) or 0,
        ),
        whole_number(read(job, f"{path}.{replicas}")) or 1,
        pinned="a reservation" if kept == "SPECIFIC_RESERVATION" else "",
        task=task,
        topology_path=spelled(job, f"{machine}.tpuTopology"),
        topology=str(read(job, f"{machine}.tpuTopology") or ""),
        partition_path=spelled(job, f"{machine}.gpuPartitionSize"),
        partition=str(read(job, f"{machine}.gpuPartitionSize") or ""),
        nodes=max(1, whole_number(read(job, f"{machine}.multihostGpuNodeCount")) or 1),
        disk_path=spelled(job, f"{path}.diskSpec.bootDiskSizeGb") if has_disk else "",
        disk_gb=_disk_gb(job, path) if has_disk else None,
    )


def _disk_gb(job: Document, path: str) -> int:
    """The boot disk of a pool's machines, GB."""
    return whole_number(read(job, f"{path}.diskSpec.bootDiskSizeGb")) or DEFAULT_BOOT_DISK_GB


def _accelerator_name(accelerator: object) -> str:
    text = str(accelerator or "")
    return "" if text == "ACCELERATOR_TYPE_UNSPECIFIED" else text


def custom_jobs(holder: str) -> tuple[str, str]:
    """Where the job spec of a custom job stands below an executor: KFP has written it both ways."""
    return f"{holder}.customJob.jobSpec", f"{holder}.customJob.customJob.jobSpec"


def executors(job: Document) -> Mapping[str, str]:
    """A pipeline run's executors: label to path, in the spec's order."""
    root = spelled(job, "pipelineSpec.deploymentSpec.executors")
    if job.read(root) is None:
        root = spelled(job, "pipelineSpec.deploymentConfig.executors")
    listed = job.read(root)
    return {label: f"{root}.{label}" for label in listed} if isinstance(listed, Mapping) else {}


_REPLICA = late_pattern(r"workerpool(\d+)-\d+")


def failed_pools(job: Document, *evidence: str) -> frozenset[str]:
    """Names of the pools that the evidence names as having failed; else those that the job's error does.

    The error names the replica whose end ended the job, often the chief that lost a worker.
    """
    for said in (" ".join(evidence), job.error_message):
        if found := _REPLICA.findall(said):
            return frozenset(f"workerpool{index}" for index in found)
    return frozenset()


def run_same_program(job: Document, one: Pool, other: Pool) -> bool:
    """Whether two worker pools run the same image or package with the same arguments."""
    programs = [
        [read(job, f"{pool.machine_path.rpartition('.')[0].rpartition('.')[0]}.{key}")
         for key in ("containerSpec", "pythonPackageSpec")]
        for pool in (one, other)
    ]  # fmt: skip
    return programs[0] == programs[1] and any(programs[0])


# --- what it says of itself --------------------------------------------------------------------------------


def service_account(job: Document) -> str | None:
    """The account the job's containers run as, where the job names one."""
    account = read(job, rules(job).service_account)
    return account if isinstance(account, str) and account else None


def batch_size(job: Document) -> int | None:
    """Instances in one request of a batch prediction on its own machines; None for other jobs."""
    if job.kind is not JobKind.BATCH_PREDICTION or not pools(job):
        return None
    stated = whole_number(job.read(BATCH_SIZE))
    return stated or DEFAULT_BATCH_SIZE


def model_name(job: Document, model: Json | None = None) -> str | None:
    """The model of a batch prediction, as the job names it, without its version."""
    named = job.read("model") if job.kind is JobKind.BATCH_PREDICTION else None
    named = named or (model or {}).get("name")
    return str(named).partition("@")[0] if named else None


def strategy(job: Document) -> str | None:
    """How the job's machines are got, STANDARD where it does not say; None: it has no such field."""
    kind = rules(job)
    if job.kind is JobKind.BATCH_PREDICTION and pools(job):
        if job.read("dedicatedResources.flexStart") is not None:
            return "FLEX_START"
        return "SPOT" if is_spot(job) else "STANDARD"
    return _strategy(job, kind.spec) if kind.has_pools else None


def _strategy(job: Document, spec: str) -> str:
    named = str(read(job, f"{spec}.scheduling.strategy") or "")
    return _STRATEGIES.get(named, named)


_STRATEGIES = {"": "STANDARD", "STRATEGY_UNSPECIFIED": "STANDARD", "ON_DEMAND": "STANDARD",
               "LOW_COST": "SPOT"}  # fmt: skip
"""Vertex's older names of the same things."""


def is_spot(job: Document) -> bool:
    """Whether the job runs on machines that may be taken back; a pipeline run: all its custom jobs."""
    if job.kind is JobKind.BATCH_PREDICTION:
        return job.read("dedicatedResources.spot") is True
    if job.kind is not JobKind.PIPELINE:
        return strategy(job) == "SPOT"
    held = [
        _strategy(job, spec)
        for holder in executors(job).values()
        for spec in custom_jobs(holder)
        if isinstance(read(job, spec), Mapping)
    ]
    return bool(held) and set(held) == {"SPOT"}


def timeout_seconds(job: Document) -> float | None:
    """`scheduling.timeout` in seconds; None where none is set. A tuning job's is of one trial."""
    kind = rules(job)
    return parse_seconds(read(job, f"{kind.scheduling}.timeout")) if kind.has_pools else None


def is_automl(job: Document) -> bool:
    """Whether a training pipeline trains a model of Google's, with no machines to be seen."""
    if job.kind is not JobKind.TRAINING_PIPELINE:
        return False
    return "automl" in str(job.read("trainingTaskDefinition") or "").lower()


def base_output(job: Document) -> str:
    """Where the job keeps its checkpoints and results; empty where it names no such place."""
    path = rules(job).base_output
    return str(read(job, path) or "") if path else ""


def text(job: Document, path: str) -> str:
    """The text at the path; empty for anything else."""
    held = read(job, path)
    return held if isinstance(held, str) else ""


def keys(job: Document) -> tuple[str, ...]:
    """Encryption keys that the job uses."""
    spec = rules(job).spec
    paths = ("encryptionSpec.kmsKeyName", f"{spec}.encryptionSpec.kmsKeyName")
    return tuple(str(key) for path in paths if (key := read(job, path)))


_TIED = {"inputDataConfig.datasetId": "managed dataset", "parentModel": "parent model"}


def tied_to(job: Document) -> tuple[tuple[str, str], ...]:
    """What else of Vertex's own the job names, each in one region: (what it is, its name)."""
    kind = rules(job)
    inside = {"tensorboard": "TensorBoard", "experiment": "experiment"} if kind.has_pools else {}
    paths = {f"{kind.spec}.{key}": what for key, what in inside.items()} | _TIED
    return tuple((what, str(name)) for path, what in paths.items() if (name := read(job, path)))


def persistent_resource(job: Document) -> str:
    """The persistent resource that the job runs on; empty where it names none."""
    kind = rules(job)
    return str(read(job, f"{kind.spec}.persistentResourceId") or "") if kind.has_pools else ""


def network(job: Document) -> str:
    """How the job hangs on a network, in words; empty: it does not."""
    kind = rules(job)
    if kind.network and read(job, kind.network):
        return "a peered network"
    interface = ("pscInterfaceConfig.networkAttachment", f"{kind.spec}.pscInterfaceConfig")
    return "a network attachment" if any(read(job, path) for path in interface) else ""


def listed(job: Document, path: str) -> list[tuple[int, Json]]:
    held = read(job, path)
    listed = held if isinstance(held, list) else ()
    return [(index, item) for index, item in enumerate(listed) if isinstance(item, Mapping)]
