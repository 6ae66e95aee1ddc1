"""Every cell of docs/matrix.md that says "resubmits" is a story over the twin.

The cells are the product's own tables, so a new one without a workload that fails of its cause is a
failure here. All are played at once, in one twin and one house; each test looks at one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from remediator.domain import Cause, JobKind
from remediator.planning.remedies import fitting
from tests.stories.conftest import Doors, House, TestCloud, let_pass
from tests.stories.jobs_of_kinds import (
    CPU,
    MEMORY,
    batch,
    component,
    custom,
    differences,
    made,
    pipeline,
    pool,
    training,
    tuning,
)
from tests.stories.test_loop import TOO_MUCH
from twin.physics import Needs, Serving

COLLECTIONS = {
    JobKind.BATCH_PREDICTION: "batchPredictionJobs",
    JobKind.CUSTOM: "customJobs",
    JobKind.HYPERPARAMETER_TUNING: "hyperparameterTuningJobs",
    JobKind.TRAINING_PIPELINE: "trainingPipelines",
    JobKind.PIPELINE: "pipelineJobs",
}
L4 = {
    "machineType": "g2-standard-8",
    "acceleratorType": "NVIDIA_L4",
    "acceleratorCount": 1,
}
T4 = {"acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}
USED_UP = (
    8,
    (
        "The following quota metrics exceed quota limits: "
        "aiplatform.googleapis.com/custom_model_training_cpus"
    ),
)
TAKEN_BACK = (8, "The replica workerpool0-0 was preempted: STOCKOUT")
SLOW = Serving(instances=2000, cpu_seconds=90, parallel=0.99)

PROGRAMS: Mapping[Cause, Needs] = {
    Cause.CPU_SATURATION: CPU,
    Cause.MEMORY_PRESSURE: MEMORY,
    Cause.GPU_MEMORY: Needs(gpu="required", gpu_memory_gib=20),
    Cause.ACCELERATOR_MISSING: Needs(gpu="required"),
    Cause.DISK_FULL: Needs(by_try=(Needs(raises="OSError: [Errno 28] No space left on device"),)),
    Cause.CAPACITY_STOCKOUT: Needs(stockouts=1),
    Cause.QUOTA: Needs(by_try=(Needs(fails_with=USED_UP),)),
    Cause.PREEMPTION: Needs(by_try=(Needs(fails_with=TAKEN_BACK),)),
    Cause.TRANSIENT_BACKEND: Needs(by_try=(Needs(fails_with=(14, "Service unavailable.")),)),
}
"""What makes a program fail of each cause."""

MODELS: Mapping[Cause, Needs] = {
    **PROGRAMS,
    Cause.CPU_SATURATION: Needs(serving=SLOW, telemetry=True),
    Cause.MEMORY_PRESSURE: Needs(memory_gib=40),
    Cause.GPU_MEMORY: Needs(
        gpu="wanted",
        serving=Serving(instances=400, cpu_seconds=1, gpu_seconds=0.1, gpu_memory_gib=0.3),
    ),
    Cause.ACCELERATOR_MISSING: Needs(
        gpu="wanted", serving=Serving(instances=4000, cpu_seconds=95, gpu_seconds=0.35)
    ),
    Cause.SLOW_STARTUP: Needs(load_cpu_seconds=40_000),
    Cause.REQUEST_TOO_LARGE: TOO_MUCH,
}
"""What makes a batch prediction fail of each cause."""


@dataclass(frozen=True)
class Cell:
    """One resubmission that the matrix promises."""

    number: int
    kind: JobKind
    cause: Cause
    remedy: str

    @property
    def name(self) -> str:
        return f"cell-{self.number}"

    @property
    def wants_spot(self) -> bool:
        return self.remedy.startswith("spot")

    @property
    def has_device(self) -> bool:
        return self.cause is Cause.GPU_MEMORY

    @property
    def needs(self) -> Needs:
        return (MODELS if self.kind is JobKind.BATCH_PREDICTION else PROGRAMS)[self.cause]


CELLS = [
    Cell(number, kind, cause, remedy)
    for number, (kind, cause, remedy) in enumerate(
        (kind, cause, remedy)
        for kind in JobKind
        for cause in Cause
        for remedy in fitting(kind, cause)
    )
]
IDS = [f"{c.kind.value}-{c.cause.value}-{re.sub(r'[^a-z]+', '-', c.remedy)[:28]}" for c in CELLS]


# --- the jobs ------------------------------------------------------------------------------------


def failed_job(cloud: TestCloud, cell: Cell) -> Mapping[str, Any]:
    """A job of the cell's kind that failed of the cell's cause a quarter of an hour ago."""
    if cell.kind is JobKind.PIPELINE:
        return failed_run(cloud, cell)
    if cell.kind is JobKind.BATCH_PREDICTION:
        body = batch_body(cloud, cell)
    else:
        body = POOLED[cell.kind](one_pool(cell), name=cell.name, **scheduling(cell))
    body["labels"] = {"cell": cell.name}
    return cloud.past_job(COLLECTIONS[cell.kind], body, cell.needs, route=False)


def failed_run(cloud: TestCloud, cell: Cell) -> Mapping[str, Any]:
    """A run of two tasks. Components have no time-out: for one, its custom job is given one."""
    devices = {"accelerator": {"type": "NVIDIA_TESLA_T4", "count": "1"}} if cell.has_device else {}
    body = pipeline(
        "load", "train", name=cell.name, resources={"cpuLimit": 4, "memoryLimit": 15, **devices}
    )
    body["labels"] = {"cell": cell.name}
    if cell.cause is not Cause.CPU_SATURATION:
        cloud.jobs.needs("customJobs", component(cell.name, "train"), cell.needs)
        return cloud.past_job("pipelineJobs", body, Needs(), route=False)
    labels = {"vertex-ai-pipelines-run-billing-id": "42"}
    inner = {**custom(pool(image=cell.name), name=cell.name), "labels": labels}
    child = cloud.past_job("customJobs", inner, cell.needs, route=False)
    times = {key: child[key] for key in ("createTime", "startTime", "endTime")}
    task = {
        "taskName": "train",
        "state": "FAILED",
        **{key: times[key] for key in ("createTime", "endTime")},
        "error": child["error"],
        "executorDetail": {"containerDetail": {"mainJob": child["name"]}},
    }
    return cloud.add_job(
        {
            **body,
            **times,
            "name": cloud.name("pipelineJobs", cell.name),
            "state": "PIPELINE_STATE_FAILED",
            "error": {"code": 9, "message": "The DAG failed because some tasks failed."},
            "jobDetail": {"taskDetails": [task]},
        }
    )


def one_pool(cell: Cell) -> dict[str, Any]:
    name, _, _ = cell.remedy.partition(":")
    queued = L4 if name == "strategy" else {}  # FLEX_START queues for newer GPUs alone
    held = pool(image=cell.name, machine_spec=T4 if cell.has_device else queued)
    if name == "env":
        held["containerSpec"]["env"] = [{"name": "BATCH_SIZE", "value": "32"}]
    if name == "args":
        held["containerSpec"]["args"] = ["--batch_size=32"]
    return held


def scheduling(cell: Cell) -> dict[str, Any]:
    strategy = {"strategy": "SPOT"} if cell.wants_spot else {}
    return {"scheduling": {"timeout": "7200s", **strategy}}


def batch_body(cloud: TestCloud, cell: Cell) -> dict[str, Any]:
    body = batch(cloud, cell.name)
    body["dedicatedResources"]["machineSpec"] |= T4 if cell.has_device else {}
    return body | ({"generateExplanation": True} if cell.remedy.startswith("expl") else {})


POOLED: Mapping[JobKind, Callable[..., dict[str, Any]]] = {
    JobKind.CUSTOM: custom,
    JobKind.HYPERPARAMETER_TUNING: partial(tuning, trials=1, bears=0),
    JobKind.TRAINING_PIPELINE: training,
}


# --- the play ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Played:
    """What became of each cell's job."""

    cloud: TestCloud
    jobs: Mapping[str, Mapping[str, Any]]


def policies() -> str:
    kinds = ", ".join(kind.value for kind in JobKind)
    cells = "".join(
        f"  - name: {cell.name}\n"
        f"    when: {{cause: {cell.cause.value}, labels: {{cell: {cell.name}}}}}\n"
        f"    do: [{{resubmit: {{{cell.remedy}}}}}]\n"
        "    alert: [oncall]\n"
        for cell in CELLS
    )
    return (
        f"version: 1\nmode: enforce\nrerun_safe: [{kinds}]\n"
        'channels:\n  oncall: {slack: {webhook: "env:SLACK_WEBHOOK_URL"}}\n'
        f"policies:\n{cells}  - {{name: else, when: {{}}, do: [], alert: [oncall]}}\n"
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    folder: Path = tmp_path_factory.mktemp("matrix")
    file, ledger = folder / "policies.yaml", folder / "ledger.sqlite3"
    file.write_text(policies())
    with TestCloud(frozen=True) as cloud, pytest.MonkeyPatch.context() as patch:
        settings = {
            "REMEDIATOR_POLICIES": str(file),
            "REMEDIATOR_LEDGER": f"sqlite:///{ledger}",
        }
        for name, value in cloud.env(**settings).items():
            patch.setenv(name, value)
        house = House(Doors(), cloud)
        jobs = {cell.name: failed_job(cloud, cell) for cell in CELLS}
        for bucket in ("lab-in", "lab-out"):
            cloud.storage.bucket(bucket, "US")
        house.reconcile()
        entries = cloud.logs.find('logName:"vertex-remediator-job-failures"')
        for number, entry in enumerate(entries):
            if number % 10 == 0:  # Logging may be read sixty times a minute
                let_pass(ledger, timedelta(minutes=1))
            assert [house.hear(entry), house.hear(entry)] == [200, 200]
        let_pass(ledger, timedelta(minutes=11))
        assert house.reconcile()["faults"] == []
        assert house.reconcile()["faults"] == []
        yield Played(cloud, jobs)


CHANGES: Mapping[str, str] = {
    "machine_type": r"machineSpec\.machineType|(cpu|memory)Limit",
    "accelerator": r"accelerator(Type|Count)|accelerator\.(type|count)|machineType",
    "replicas": r"replicaCount|(starting|max)ReplicaCount",
    "batch_size": r"manualBatchTuningParameters\.batchSize",
    "timeout": r"scheduling\.timeout",
    "spot": r"scheduling\.strategy",
    "strategy": r"scheduling\.strategy",
    "disk": r"diskSpec\.bootDiskSizeGb",
    "env": r"containerSpec\.env\[\d+\]\.value",
    "args": r"containerSpec\.args\[\d+\]",
    "explanations": r"generateExplanation",
}
"""The fields that each key of `resubmit` may change; it must change one of them and no other."""


@pytest.mark.parametrize("cell", CELLS, ids=IDS)
def test_a_cell_that_says_resubmits_makes_one_job_with_its_change(
    played: Played, cell: Cell
) -> None:
    job = played.jobs[cell.name]
    again = made(played.cloud, job)
    assert [one["labels"]["remediator-policy"] for one in again] == [cell.name]
    key = cell.remedy.partition(":")[0]
    changed = differences(job, again[0])
    places = [str(one["name"]).split("/")[3] for one in (job, again[0])]
    assert (places[0] != places[1]) is (key == "location")
    if key in ("wait", "location"):
        assert changed == {}
    else:
        assert changed
        assert [path for path in changed if not re.search(f"({CHANGES[key]})$", path)] == []


def test_no_child_was_made_by_itself_and_nothing_twice(played: Played) -> None:
    creates = played.cloud.calls("*.Create*", outcome="OK")
    assert len(creates) == len(CELLS)
