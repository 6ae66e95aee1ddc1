"""What each key of `resubmit` changes, field by field; what it leaves; and why it is not taken."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.catalog.catalog import Catalog
from remediator.domain import Action, Cause, Diagnosis, Guard, History, JobKind, Plan, TaskCause
from remediator.job import Job
from remediator.job.differences import difference_is_legal
from remediator.planning import plan
from tests.jobs import BATCH, CUSTOM, PIPELINE, TRAINING, TUNING, case, diagnosis, job, policies

BOOK = Catalog.built_in()
FILE = (
    f"mode: enforce\nrerun_safe: [{', '.join(JobKind)}]\n"
    "limits: {{usd_per_job: 1000000, usd_per_day: 1000000}}\n"
    "policies: [{{name: p, do: [{{resubmit: {{{step}}}}}]}}]"
)
T4 = {"acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}
TWO_T4 = T4 | {"acceleratorCount": 2}
L4 = {"acceleratorType": "NVIDIA_L4", "acceleratorCount": 1}
A100 = {"acceleratorType": "NVIDIA_TESLA_A100", "acceleratorCount": 1}
SCHEDULING = "jobSpec.scheduling"
SPEC = "jobSpec.workerPoolSpecs"
TYPE, COUNT = "machineSpec.acceleratorType", "machineSpec.acceleratorCount"
MACHINE = "machineSpec.machineType"
DISK = "diskSpec.bootDiskSizeGb"
RESOURCES = "pipelineSpec.deploymentSpec.executors.exec-train.container.resources"
WORKER_1 = {"code": 3, "message": "The replica workerpool1-0 exited with a non-zero status of 1"}
WORKER_2 = {"code": 3, "message": "The replica workerpool2-0 exited with a non-zero status of 1"}
CPU_IMAGE = "us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-12.py310:latest"
FLEX = {"maxRuntimeDuration": "7200s"}

Changes = list[tuple[str, Any, Any]]


def pool(
    machine: str, count: str = "1", devices: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    spec = copy.deepcopy(CUSTOM["jobSpec"]["workerPoolSpecs"][0])
    spec["machineSpec"] = {"machineType": machine, **(devices or {})}
    return {**spec, "replicaCount": count, **more}


def pools(*specs: dict[str, Any], **more: Any) -> Job:
    """A custom job of these worker pools."""
    return job(CUSTOM, jobSpec__workerPoolSpecs=list(specs), **more)


def dedicated(**more: Any) -> Job:
    """A batch prediction with these fields of its machines."""
    return job(BATCH, **{f"dedicatedResources__{key}": value for key, value in more.items()})


def disk(gb: int) -> Job:
    return job(CUSTOM).changed(f"{SPEC}[0].{DISK}", gb)


def elsewhere(document: Job, region: str) -> Job:
    body = document.to_json()
    return job({**body, "name": body["name"].replace("us-central1", region)})


def planned(document: Job, step: str, found: Cause | Diagnosis) -> Plan:
    if isinstance(found, Cause):
        found = diagnosis(document, found)
    text = FILE.format(step=step)
    return plan(case(document), found, policies(text), History(), BOOK)


def told(made: Plan) -> Changes:
    return [(change.field, change.before, change.after) for change in made.changes]


# --- what is sent -----------------------------------------------------------------------------------

LOADED = Cause.CPU_SATURATION
SENT: dict[str, tuple[Job, str, Cause, Changes]] = {
    # replicas: int64 is text in Google's JSON, and stays what it was.
    "replicas": (
        job(CUSTOM), "replicas: 4", LOADED,
        [(f"{SPEC}[0].replicaCount", "1", "4")],
    ),
    "replicas of the workers": (
        pools(pool("n1-standard-8"), pool("n1-standard-4", "2"), pool("n1-standard-4", "5")), "replicas: double", LOADED,
        [(f"{SPEC}[1].replicaCount", "2", "4")],
    ),
    "replicas of the pool that failed": (
        pools(pool("n1-standard-8"), pool("n1-standard-4", "2"), pool("n1-standard-4", "3"), error=WORKER_2),
        "replicas: double", LOADED,
        [(f"{SPEC}[2].replicaCount", "3", "6")],
    ),
    "replicas as a number": (
        job(TRAINING), "replicas: double", LOADED,
        [("trainingTaskInputs.workerPoolSpecs[0].replica_count", 1, 2)],
    ),
    "replicas of a batch, and their most": (
        job(BATCH), "replicas: double", LOADED,
        [("dedicatedResources.startingReplicaCount", 2, 4), ("dedicatedResources.maxReplicaCount", 2, 4)],
    ),
    "replicas of a batch up to its most": (
        dedicated(maxReplicaCount=4), "replicas: 4", LOADED,
        [("dedicatedResources.startingReplicaCount", 2, 4)],
    ),
    # batch_size
    "batch size": (
        job(BATCH, manualBatchTuningParameters__batchSize=9), "batch_size: halve", Cause.GPU_MEMORY,
        [("manualBatchTuningParameters.batchSize", 9, 4)],
    ),
    "batch size of two": (
        job(BATCH, manualBatchTuningParameters__batchSize=2), "batch_size: halve", Cause.GPU_MEMORY,
        [("manualBatchTuningParameters.batchSize", 2, 1)],
    ),
    "batch size by default": (
        job(BATCH), "batch_size: halve", Cause.GPU_MEMORY,
        [("manualBatchTuningParameters.batchSize", None, 32)],
    ),
    "batch size as named": (
        job(BATCH), "batch_size: 5", Cause.GPU_MEMORY,
        [("manualBatchTuningParameters.batchSize", None, 5)],
    ),
    # timeout
    "time-out": (
        job(CUSTOM), "timeout: double", LOADED,
        [(f"{SCHEDULING}.timeout", "3600s", "7200s")],
    ),
    "time-out by default": (
        job(CUSTOM, jobSpec__scheduling=None), "timeout: double", LOADED,
        [(f"{SCHEDULING}.timeout", None, "1209600s")],
    ),
    "time-out as named": (
        job(TRAINING), "timeout: 90m", LOADED,
        [("trainingTaskInputs.scheduling.timeout", None, "5400s")],
    ),
    "time-out of a trial": (
        job(TUNING), "timeout: double", LOADED,
        [("trialJobSpec.scheduling.timeout", "7200s", "14400s")],
    ),
    # spot, strategy, max_wait
    "spot": (
        job(CUSTOM), "spot: true", Cause.CAPACITY_STOCKOUT,
        [(f"{SCHEDULING}.strategy", None, "SPOT")],
    ),
    "spot no more": (
        job(CUSTOM, jobSpec__scheduling__strategy="SPOT"), "spot: false", Cause.PREEMPTION,
        [(f"{SCHEDULING}.strategy", "SPOT", "STANDARD")],
    ),
    "a batch's spot no more": (
        dedicated(spot=True), "spot: false", Cause.PREEMPTION,
        [("dedicatedResources.spot", True, None)],
    ),
    "a batch's spot by its strategy": (
        dedicated(spot=True), "strategy: STANDARD", Cause.PREEMPTION,
        [("dedicatedResources.spot", True, None)],
    ),
    "a queued batch on spot": (
        dedicated(flexStart=FLEX), "spot: true", Cause.PREEMPTION,
        [("dedicatedResources.flexStart", FLEX, None), ("dedicatedResources.spot", None, True)],
    ),
    "a queued batch on demand": (
        dedicated(flexStart=FLEX), "strategy: STANDARD", Cause.PREEMPTION,
        [("dedicatedResources.flexStart", FLEX, None)],
    ),
    "queued, with the longest wait": (
        pools(pool("g2-standard-8", devices=L4), pool("g2-standard-8", "3", L4)),
        "strategy: FLEX_START, max_wait: 6h", Cause.CAPACITY_STOCKOUT,
        [(f"{SCHEDULING}.strategy", None, "FLEX_START"), (f"{SCHEDULING}.maxWaitDuration", None, "21600s")],
    ),
    "queued for the seven days that are the most": (
        pools(pool("g2-standard-8", devices=L4), jobSpec__scheduling__timeout="604800s"),
        "strategy: FLEX_START", Cause.CAPACITY_STOCKOUT,
        [(f"{SCHEDULING}.strategy", None, "FLEX_START")],
    ),
    "another longest wait": (
        pools(pool("g2-standard-8", devices=L4), jobSpec__scheduling__strategy="FLEX_START", jobSpec__scheduling__maxWaitDuration="3600s"),
        "max_wait: 90m", Cause.CAPACITY_STOCKOUT,
        [(f"{SCHEDULING}.maxWaitDuration", "3600s", "5400s")],
    ),
    # disk
    "disk": (
        disk(100), "disk: double", Cause.DISK_FULL,
        [(f"{SPEC}[0].{DISK}", 100, 200)],
    ),
    "disk by default": (
        pools({key: value for key, value in pool("n1-standard-8").items() if key != "diskSpec"}),
        "disk: double", Cause.DISK_FULL,
        [(f"{SPEC}[0].{DISK}", None, 200)],
    ),
    "disk as named": (
        disk(100), "disk: 300GB", Cause.DISK_FULL,
        [(f"{SPEC}[0].{DISK}", 100, 300)],
    ),
    "disk up to the most": (
        disk(40_000), "disk: double", Cause.DISK_FULL,
        [(f"{SPEC}[0].{DISK}", 40_000, 65_536)],
    ),
    "disk named, however little more": (
        disk(64_000), "disk: 65536GB", Cause.DISK_FULL,
        [(f"{SPEC}[0].{DISK}", 64_000, 65_536)],
    ),
    "disk of the pool that failed": (
        pools(pool("n1-standard-8"), pool("n1-standard-4", "2"), error=WORKER_1), "disk: double", Cause.DISK_FULL,
        [(f"{SPEC}[1].{DISK}", 100, 200)],
    ),
    "a smaller disk where none was full": (
        disk(300), "disk: 200GB", Cause.MEMORY_PRESSURE,
        [(f"{SPEC}[0].{DISK}", 300, 200)],
    ),
    # explanations, output
    "explanations": (
        job(BATCH, generateExplanation=True), "explanations: false", LOADED,
        [("generateExplanation", True, False)],
    ),
    "output of the attempt": (
        job(CUSTOM), "output: attempt", LOADED,
        [("jobSpec.baseOutputDirectory.outputUriPrefix", "gs://results/run", "gs://results/run/attempt-1")],
    ),
    "output after another attempt": (
        job(CUSTOM, jobSpec__baseOutputDirectory__outputUriPrefix="gs://results/run/attempt-7/"), "output: attempt", LOADED,
        [
            ("jobSpec.baseOutputDirectory.outputUriPrefix", "gs://results/run/attempt-7/", "gs://results/run/attempt-1"),
        ],
    ),
    "output in a folder that is named alike": (
        job(CUSTOM, jobSpec__baseOutputDirectory__outputUriPrefix="gs://results/attempt-X/"), "output: attempt", LOADED,
        [
            ("jobSpec.baseOutputDirectory.outputUriPrefix", "gs://results/attempt-X/", "gs://results/attempt-X/attempt-1"),
        ],
    ),
    "the same output beside another change": (
        job(CUSTOM), "output: same, timeout: double", LOADED,
        [(f"{SCHEDULING}.timeout", "3600s", "7200s")],
    ),
    # machine_type, accelerator
    "machines of the pools that run alike": (
        pools(pool("n1-standard-8"), pool("n1-standard-8", "3"), pool("n1-highmem-4", "2")), "machine_type: bigger", LOADED,
        [(f"{SPEC}[{at}].{MACHINE}", "n1-standard-8", "n1-standard-16") for at in (0, 1)],
    ),
    "machines of the pool that failed and those alike": (
        pools(pool("n1-standard-4"), pool("n1-standard-8", "3"), pool("n1-standard-8", "2"), error=WORKER_1),
        "machine_type: bigger", LOADED,
        [(f"{SPEC}[{at}].{MACHINE}", "n1-standard-8", "n1-standard-16") for at in (1, 2)],
    ),
    "a device with more memory that the region has": (
        pools(pool("n1-standard-8", devices=T4)), "accelerator: more_memory", Cause.GPU_MEMORY,
        [
            (f"{SPEC}[0].{MACHINE}", "n1-standard-8", "g2-standard-8"),
            (f"{SPEC}[0].{TYPE}", "NVIDIA_TESLA_T4", "NVIDIA_L4"),
        ],
    ),
    "a device with more memory in a region without L4": (
        elsewhere(pools(pool("n1-standard-8", devices=T4)), "us-west4"), "accelerator: more_memory", Cause.GPU_MEMORY,
        [
            (f"{SPEC}[0].{MACHINE}", "n1-standard-8", "a2-highgpu-1g"),
            (f"{SPEC}[0].{TYPE}", "NVIDIA_TESLA_T4", "NVIDIA_TESLA_A100"),
        ],
    ),
    "a device in place of none": (
        pools(pool("n1-standard-8")), "accelerator: {type: NVIDIA_TESLA_T4, count: 1}", Cause.ACCELERATOR_MISSING,
        [(f"{SPEC}[0].{TYPE}", None, "NVIDIA_TESLA_T4"), (f"{SPEC}[0].{COUNT}", None, 1)],
    ),
    "more of the device that was not seen": (
        pools(pool("n1-standard-8", devices=T4)), "accelerator: {type: NVIDIA_TESLA_T4, count: 2}",
        Cause.ACCELERATOR_MISSING,
        [(f"{SPEC}[0].{COUNT}", 1, 2)],
    ),
    "no device": (
        pools(pool("n1-standard-8", devices=T4)), "accelerator: none", Cause.CAPACITY_STOCKOUT,
        [(f"{SPEC}[0].{TYPE}", "NVIDIA_TESLA_T4", None), (f"{SPEC}[0].{COUNT}", 1, None)],
    ),
    "no device that was built in": (
        pools(pool("g2-standard-8", devices=L4)), "accelerator: none", Cause.CAPACITY_STOCKOUT,
        [
            (f"{SPEC}[0].{MACHINE}", "g2-standard-8", "n1-standard-8"),
            (f"{SPEC}[0].{TYPE}", "NVIDIA_L4", None),
            (f"{SPEC}[0].{COUNT}", 1, None),
        ],
    ),
    "a machine that brings its device where the cause asks for one": (
        pools(pool("n1-standard-8", devices=T4)), "machine_type: a2-highgpu-1g", Cause.GPU_MEMORY,
        [
            (f"{SPEC}[0].{MACHINE}", "n1-standard-8", "a2-highgpu-1g"),
            (f"{SPEC}[0].{TYPE}", "NVIDIA_TESLA_T4", "NVIDIA_TESLA_A100"),
        ],
    ),
    "a machine and a device": (
        pools(pool("n1-standard-8", devices=T4)),
        "machine_type: n1-standard-16, accelerator: {type: NVIDIA_TESLA_V100, count: 1}", Cause.GPU_MEMORY,
        [
            (f"{SPEC}[0].{MACHINE}", "n1-standard-8", "n1-standard-16"),
            (f"{SPEC}[0].{TYPE}", "NVIDIA_TESLA_T4", "NVIDIA_TESLA_V100"),
            (f"{SPEC}[0].{COUNT}", 1, 2),
        ],
    ),
    "more built-in devices": (
        pools(pool("a2-highgpu-1g", devices=A100)), "machine_type: bigger, accelerator: bigger", LOADED,
        [(f"{SPEC}[0].{MACHINE}", "a2-highgpu-1g", "a2-highgpu-2g"), (f"{SPEC}[0].{COUNT}", 1, 2)],
    ),
    "four times the memory": (
        job(CUSTOM), "machine_type: {more_memory: {factor: 4}}", Cause.MEMORY_PRESSURE,
        [(f"{SPEC}[0].{MACHINE}", "n1-standard-8", "n1-standard-32")],
    ),
    "more memory up to what is asked": (
        job(CUSTOM), "machine_type: {more_memory: {factor: 4, at_most: 60GiB}}", Cause.MEMORY_PRESSURE,
        [(f"{SPEC}[0].{MACHINE}", "n1-standard-8", "n1-standard-16")],
    ),
    "sized, and a device": (
        job(CUSTOM), "machine_type: sized, accelerator: {type: NVIDIA_TESLA_T4, count: 1}", Cause.MEMORY_PRESSURE,
        [
            (f"{SPEC}[0].{MACHINE}", "n1-standard-8", "n1-highmem-8"),
            (f"{SPEC}[0].{TYPE}", None, "NVIDIA_TESLA_T4"),
            (f"{SPEC}[0].{COUNT}", None, 1),
        ],
    ),
    "a component's limits and a device": (
        job(PIPELINE), "machine_type: bigger, accelerator: {type: NVIDIA_TESLA_T4, count: 1}", LOADED,
        [
            (f"{RESOURCES}.cpuLimit", 4, 8),
            (f"{RESOURCES}.memoryLimit", 15, 30),
            (f"{RESOURCES}.accelerator.type", None, "NVIDIA_TESLA_T4"),
            (f"{RESOURCES}.accelerator.count", None, "1"),
        ],
    ),
    "a component's memory, doubled whatever the factor": (
        job(PIPELINE), "machine_type: {more_memory: {factor: 3}}", Cause.MEMORY_PRESSURE,
        [(f"{RESOURCES}.memoryLimit", 15, 30)],
    ),
    "a component's memory, sized, and a device": (
        job(PIPELINE), "machine_type: sized, accelerator: {type: NVIDIA_TESLA_T4, count: 1}", Cause.MEMORY_PRESSURE,
        [
            (f"{RESOURCES}.memoryLimit", 15, 30),
            (f"{RESOURCES}.accelerator.type", None, "NVIDIA_TESLA_T4"),
            (f"{RESOURCES}.accelerator.count", None, "1"),
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "step", "cause", "changes"), SENT.values(), ids=SENT)
def test_what_a_step_changes_is_sent_and_nothing_else(
    document: Job, step: str, cause: Cause, changes: Changes
) -> None:
    made = planned(document, step, cause)
    assert (made.action, made.refused_by) == (Action.RESUBMIT, ())
    assert told(made) == changes
    request = Job(document.name, made.request or {})
    assert [request.read(path) for path, _, _ in changes] == [after for _, _, after in changes]
    assert difference_is_legal(document, made.request or {}, made.changes)


# --- what is not --------------------------------------------------------------------------------------

IMPOSSIBLE: dict[str, tuple[Job, str, Cause, str]] = {
    "replicas": (job(BATCH, dedicatedResources=None), "replicas: 3", LOADED, "no replicas to change"),
    "batch size": (
        job(BATCH, dedicatedResources=None), "batch_size: halve", Cause.GPU_MEMORY,
        "a batch size goes only with dedicated machines, and the job has none",
    ),
    "batch size of no batch": (
        job(CUSTOM), "batch_size: 4", Cause.GPU_MEMORY, "only batch predictions have a batch size",
    ),
    "time-out of a batch": (job(BATCH), "timeout: 10h", LOADED, "a batch prediction has no time-out to change"),
    "time-out of a run": (job(PIPELINE), "timeout: 10h", LOADED, "a pipeline run has no time-out field"),
    "spot of a batch": (
        job(BATCH), "spot: true", Cause.PREEMPTION, "the API's version 1 has no spot for batch prediction",
    ),
    "a batch that cannot be queued": (
        dedicated(spot=True), "strategy: FLEX_START", Cause.PREEMPTION,
        "a batch prediction that was not made to be queued cannot be turned into one that is",
    ),
    "queued without a device": (
        job(CUSTOM), "strategy: FLEX_START", Cause.CAPACITY_STOCKOUT,
        "FLEX_START is for L4, A100, H100, H200 or B200 GPUs: the job runs on n1-standard-8",
    ),
    "queued for an old device": (
        pools(pool("g2-standard-8", devices=L4), pool("n1-standard-8", devices=T4)),
        "strategy: FLEX_START", Cause.CAPACITY_STOCKOUT,
        "FLEX_START is for L4, A100, H100, H200 or B200 GPUs: the job runs on n1-standard-8 + 1 NVIDIA_TESLA_T4",
    ),
    "queued for two machines": (
        pools(pool("g2-standard-8", devices=L4), pool("g2-standard-12", devices=L4)),
        "strategy: FLEX_START", Cause.CAPACITY_STOCKOUT,
        "FLEX_START wants the same machine in every worker pool",
    ),
    "queued for more than seven days": (
        pools(pool("g2-standard-8", devices=L4), jobSpec__scheduling__timeout="604801s"),
        "strategy: FLEX_START", Cause.CAPACITY_STOCKOUT,
        "FLEX_START takes jobs with a time-out of seven days at most",
    ),
    "disk of a batch": (job(BATCH), "disk: double", Cause.DISK_FULL, "a batch prediction job has no disk to change"),
    "output": (
        job(CUSTOM, jobSpec__baseOutputDirectory=None), "output: attempt", LOADED,
        "the job names no base output directory",
    ),
    "machine": (
        job(BATCH, dedicatedResources=None), "machine_type: bigger", LOADED,
        "the job names no machine of its own, so there is none to change",
    ),
    "an unknown machine": (
        job(CUSTOM), "machine_type: x9-standard-8", LOADED, "there is no machine type x9-standard-8",
    ),
    "an unknown machine with a device": (
        job(CUSTOM), "machine_type: x9-standard-8, accelerator: {type: NVIDIA_TESLA_T4, count: 1}",
        Cause.GPU_MEMORY, "there is no machine type x9-standard-8",
    ),
    "more memory than an unknown machine has": (
        pools(pool("x9-standard-8")), "machine_type: more_memory", Cause.MEMORY_PRESSURE,
        "there is no machine type x9-standard-8",
    ),
    "no device with more memory in the region": (
        elsewhere(pools(pool("n1-standard-8", devices=T4)), "us-west2"),
        "accelerator: more_memory", Cause.GPU_MEMORY,
        "no accelerator that may be had in us-west2 has more than 16 GiB on each device",
    ),
    "a machine that would swap the device": (
        pools(pool("n1-standard-8", devices=T4)), "machine_type: a2-highgpu-1g", LOADED,
        "a2-highgpu-1g would turn 1 NVIDIA_TESLA_T4 into 1 NVIDIA_TESLA_A100",
    ),
    "a machine that cannot have the device": (
        pools(pool("n1-standard-8", devices=T4)), "machine_type: n2-standard-8", LOADED,
        "the job runs on n1-standard-8 + 1 NVIDIA_TESLA_T4 already",
    ),
    "a device for an image without": (
        pools(pool("n1-standard-8", containerSpec={"imageUri": CPU_IMAGE})),
        "accelerator: {type: NVIDIA_TESLA_T4, count: 1}", Cause.ACCELERATOR_MISSING,
        f"the image {CPU_IMAGE} is built for CPUs: an accelerator would stand idle",
    ),
    "a machine with a device for an image without": (
        pools(pool("n1-standard-8", containerSpec={"imageUri": CPU_IMAGE})),
        "machine_type: a2-highgpu-1g", Cause.ACCELERATOR_MISSING,
        f"the image {CPU_IMAGE} is built for CPUs: an accelerator would stand idle",
    ),
    "a machine's name for a component": (
        job(PIPELINE), "machine_type: n1-standard-16", LOADED, "it names no machine",
    ),
    "more device memory for a component without": (
        job(PIPELINE), "accelerator: more_memory", Cause.GPU_MEMORY,
        "n1-standard-4 has no accelerator whose memory is known",
    ),
    "limits that no machine holds": (
        job(PIPELINE).changed(RESOURCES, {"cpuLimit": 96, "memoryLimit": 600}),
        "machine_type: more_memory", Cause.MEMORY_PRESSURE,
        "no machine is known that holds the failed component's limits once they are raised",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("document", "step", "cause", "why"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_a_step_that_cannot_be_taken_refuses_and_says_why(
    document: Job, step: str, cause: Cause, why: str
) -> None:
    made = planned(document, step, cause)
    assert (made.action, made.refused_by) == (Action.ALERT, (Guard.INCOMPATIBLE,))
    assert (made.request, told(made)) == (None, [])
    assert why in made.because


PASSED_OVER: dict[str, tuple[Job, str, Cause, str]] = {
    "batch size of one": (
        job(BATCH, manualBatchTuningParameters__batchSize=1), "batch_size: halve", Cause.GPU_MEMORY,
        "the batch size is 1 already; no step",
    ),
    "batch size that it has": (
        job(BATCH, manualBatchTuningParameters__batchSize=4), "batch_size: 4", Cause.GPU_MEMORY,
        "the batch size is 4 already",
    ),
    "spot": (
        job(CUSTOM, jobSpec__scheduling__strategy="SPOT"), "spot: true", Cause.PREEMPTION,
        "the job is on spot machines already",
    ),
    "a batch's spot": (
        dedicated(spot=True), "spot: true", Cause.PREEMPTION, "the job is on spot machines already",
    ),
    "not spot": (job(CUSTOM), "spot: false", Cause.PREEMPTION, "the job is not spot"),
    "not spot, as any batch": (
        job(BATCH), "spot: false", Cause.PREEMPTION, "the API's version 1 runs no batch prediction on spot",
    ),
    "on demand, as any batch": (
        job(BATCH), "strategy: STANDARD", Cause.PREEMPTION,
        "the API's version 1 runs each batch prediction on demand",
    ),
    "a wait of what does not wait": (
        job(CUSTOM), "max_wait: 6h", Cause.CAPACITY_STOCKOUT, "only FLEX_START waits for its machines",
    ),
    "the largest disk": (
        disk(65_536), "disk: double", Cause.DISK_FULL, "the boot disk has 65536 GB already, the most that there is",
    ),
    "a disk next to the largest": (
        disk(64_000), "disk: double", Cause.DISK_FULL,
        "the boot disk has 64000 GB already, and the most that there is, 65536, is next to nothing more",
    ),
    "a smaller disk than the full one": (
        disk(300), "disk: 200GB", Cause.DISK_FULL, "the boot disk that was full has 300 GB, more than 200",
    ),
    "the same disk": (disk(300), "disk: 300GB", Cause.DISK_FULL, "passed over: it would change nothing"),
    "no explanations": (job(BATCH), "explanations: false", LOADED, "the job asks for no explanations as it is"),
    "a batch's output": (
        job(BATCH), "output: attempt", LOADED, "Vertex writes each batch prediction into a folder of its own anyway",
    ),
    "where it is": (
        job(CUSTOM), "location: us-central1", Cause.CAPACITY_STOCKOUT, "the job is in us-central1 already",
    ),
    "no device": (
        job(CUSTOM), "accelerator: none", Cause.CAPACITY_STOCKOUT, "the job runs on n1-standard-8 already",
    ),
    "fewer devices": (
        pools(pool("n1-standard-8", devices=TWO_T4)), "accelerator: {type: NVIDIA_TESLA_T4, count: 1}",
        Cause.ACCELERATOR_MISSING, "the job has 2 NVIDIA_TESLA_T4 already, and 1 NVIDIA_TESLA_T4 would be less",
    ),
    "smaller devices": (
        pools(pool("g2-standard-8", devices=L4)), "accelerator: {type: NVIDIA_TESLA_T4, count: 1}",
        Cause.ACCELERATOR_MISSING, "the job has 1 NVIDIA_L4 already, and 1 NVIDIA_TESLA_T4 would be less",
    ),
    "a machine with built-in devices": (
        pools(pool("g2-standard-8", devices=L4)), "machine_type: bigger", LOADED,
        "g2-standard-8 has its GPUs built in",
    ),
    "the machine that it has": (
        pools(pool("a2-highgpu-1g", devices=A100)), "machine_type: a2-highgpu-1g", LOADED,
        "the job runs on a2-highgpu-1g + 1 NVIDIA_TESLA_A100 already",
    ),
    "as much memory as is asked for at most": (
        job(CUSTOM), "machine_type: {more_memory: {at_most: 30GiB}}", Cause.MEMORY_PRESSURE,
        "n1-standard-8 has 30 GiB, and at most 30 are asked for",
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("document", "step", "cause", "why"), PASSED_OVER.values(), ids=PASSED_OVER
)
def test_a_step_that_changes_nothing_is_passed_over_and_says_why(
    document: Job, step: str, cause: Cause, why: str
) -> None:
    made = planned(document, step, cause)
    assert (made.action, made.request, told(made)) == (Action.ALERT, None, [])
    assert "step 1 is passed over" in made.because
    assert why in made.because


@pytest.mark.parametrize(
    ("document", "step", "cause", "said"),
    [
        pytest.param(
            job(CUSTOM), "replicas: 2", LOADED,
            "Vertex may want a single replica in the first worker pool", id="first-pool",
        ),
        pytest.param(
            job(BATCH, inputConfig__instancesFormat="csv"), "replicas: 3", LOADED,
            "CSV input is not split: more replicas will not share it", id="csv",
        ),
        pytest.param(
            job(BATCH), "replicas: 3", Cause.REQUEST_TOO_LARGE,
            "more replicas do nothing for the time or size of one request", id="one-request",
        ),
        pytest.param(
            job(CUSTOM), "accelerator: {type: NVIDIA_TESLA_P100, count: 1}", Cause.ACCELERATOR_MISSING,
            "NVIDIA_TESLA_P100: Google's support for it ended", id="old-device",
        ),
        pytest.param(
            disk(300), "disk: 200GB", Cause.MEMORY_PRESSURE,
            "the boot disk had 300 GB, more than 200", id="smaller-disk",
        ),
    ],
)  # fmt: skip
def test_a_doubt_is_told_with_what_is_sent(
    document: Job, step: str, cause: Cause, said: str
) -> None:
    made = planned(document, step, cause)
    assert made.action is Action.RESUBMIT
    assert said in made.because


def test_rows_all_runs_the_same_job_again() -> None:
    made = planned(job(BATCH), "rows: all", LOADED)
    assert (made.action, told(made)) == (Action.RESUBMIT, [])


# --- tasks of a run -------------------------------------------------------------------------------------


@pytest.fixture
def compiled() -> dict[str, dict[str, Any]]:
    """Runs as KFP and Google's components compile them, by name."""
    file = Path(__file__).parents[1] / "data" / "pipelines" / "compiled.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    return {row["name"]: row["job"] for row in rows}


def again(run: dict[str, Any], prefix: str) -> str:
    """The key of the task that begins so; a second task, `other`, takes what it takes."""
    tasks = run["pipelineSpec"]["root"]["dag"]["tasks"]
    (key,) = [name for name in tasks if name.startswith(prefix)]
    tasks["other"] = copy.deepcopy(tasks[key]) | {"taskInfo": {"name": "other"}}
    details = run["jobDetail"]["taskDetails"]
    details.append(
        {"taskId": "190", "parentTaskId": "101", "taskName": "other", "state": "SUCCEEDED"}
    )
    return key


def test_a_list_that_another_task_takes_too_is_written_whole_for_the_one_that_died(
    compiled: dict[str, dict[str, Any]],
) -> None:
    run = compiled["custom-specs-parameter-0"]
    key = again(run, "custom")
    held = run["runtimeConfig"]["parameterValues"]["size"]
    found = Job.parse(run)
    made = planned(
        found,
        "machine_type: more_memory, accelerator: {type: NVIDIA_TESLA_T4, count: 1}",
        Cause.MEMORY_PRESSURE,
    )
    after = copy.deepcopy(held)
    after[0]["machine_spec"] |= {
        "machine_type": "n1-standard-16",
        "accelerator_type": "NVIDIA_TESLA_T4",
        "accelerator_count": 1,
    }
    (change,) = [one for one in made.changes if "worker_pool_specs" in one.field]
    where = f"pipelineSpec.root.dag.tasks.{key}.inputs.parameters.worker_pool_specs"
    assert change.field == f"{where}.runtimeValue.constant"
    assert change.after == after
    sent = Job(found.name, made.request or {})
    assert sent.read(change.field) == after
    assert sent.read("runtimeConfig.parameterValues.size") == held
    assert difference_is_legal(found, made.request or {}, made.changes)


def test_a_launched_batchs_machine_grows_by_what_prediction_takes(
    compiled: dict[str, dict[str, Any]],
) -> None:
    """Training takes no c2d-highcpu, so that it would leave the family."""
    run = compiled["batch-constant-0"]
    (where,) = [
        f"pipelineSpec.root.dag.tasks.{key}.inputs.parameters.machine_type.runtimeValue.constant"
        for key in run["pipelineSpec"]["root"]["dag"]["tasks"]
        if key.startswith("model-batch")
    ]
    found = Job.parse(run).changed(where, "c2d-highcpu-16")
    made = planned(found, "machine_type: bigger", LOADED)
    assert told(made) == [(where, "c2d-highcpu-16", "c2d-highcpu-32")]


@pytest.mark.parametrize(
    ("parts", "raised"),
    [
        ({}, {"exec-load", "exec-train"}),
        ({0: Cause.USER_CODE_ERROR, 1: Cause.MEMORY_PRESSURE}, {"exec-train"}),
        ({0: Cause.MEMORY_PRESSURE, 1: Cause.USER_CODE_ERROR}, {"exec-load"}),
        ({0: Cause.USER_CODE_ERROR}, {"exec-train"}),  # of the other nothing is known
    ],
    ids=["both", "the-second", "the-first", "the-unknown-one"],
)
def test_only_the_tasks_that_died_of_the_verdict_are_changed(
    parts: dict[int, Cause], raised: set[str]
) -> None:
    failed = {"state": "FAILED", "error": {"code": 9, "message": "it failed"}}
    run = job(
        PIPELINE,
        **{f"jobDetail__taskDetails[0]__{key}": value for key, value in failed.items()},
    ).changed(RESOURCES.replace("exec-train", "exec-load"), {"cpuLimit": 2, "memoryLimit": 7})
    found = replace(
        diagnosis(run, Cause.MEMORY_PRESSURE),
        parts=tuple(TaskCause(index, f"task {index}", cause) for index, cause in parts.items()),
    )
    made = planned(run, "machine_type: more_memory", found)
    assert {one.field.split(".")[3] for one in made.changes if "memoryLimit" in one.field} == raised
