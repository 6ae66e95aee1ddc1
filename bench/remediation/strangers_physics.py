"""What happens to a job of the fleet `strangers`: stated here, chosen by its author, and frozen.

Written from the shared facts and catalogue alone, before its author had read the planner, the policies
or the physics of the other fleets; no number here was changed after the first score. Every number
without a source is chosen. The rules:

- A replica can use 0.92 of its machine's memory. A program takes a fixed part and a part for each of
  its processes, which are a fixed number or one for each vCPU.
- Work of CPUs follows Amdahl's law; work of devices takes its hours on a T4 over speed and count.
- Device memory is needed on each device; a sharded model needs it over all of them together.
- Memory runs out at a share of the run; a time-out cuts it; a full disk ends it in the middle. Every
  run begins anew: nothing is kept from the run before.
- A place may lack a machine for hours or for good, a project may have no quota of a kind, a service
  may fail for hours, a spot machine may be taken back the first times.
- A server answers one request of `batch` instances within 600 s, or the batch fails (documented).
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from remediator.catalog.catalog import Catalog, Hardware, Service
from twin.machines import Machine
from twin.machines import machine as twin_machine
from twin.physics import Phase, Run

Body = dict[str, Any]
BATCH = "batchPredictionJobs"
CATALOGUE = Catalog.built_in()
USABLE = 0.92
REQUEST_SECONDS = 600.0  # documented: one request of a batch prediction
READY_SECONDS = 2400.0  # documented: about forty minutes until a model server is given up
DEFAULT_TIMEOUT = 7 * 86400.0  # documented: a custom job's, where it sets none
SPEED = {
    "NVIDIA_TESLA_P4": 0.6,
    "NVIDIA_TESLA_T4": 1.0,
    "NVIDIA_TESLA_P100": 1.3,
    "NVIDIA_TESLA_V100": 2.2,
    "NVIDIA_L4": 1.6,
    "NVIDIA_TESLA_A100": 4.0,
    "NVIDIA_A100_80GB": 4.4,
    "NVIDIA_H100_80GB": 9.0,
    "NVIDIA_H100_MEGA_80GB": 9.0,
    "NVIDIA_H200_141GB": 10.0,
    "NVIDIA_RTX_PRO_6000": 5.0,
}
"""Of one device, in T4s (chosen)."""
DEVICE_GIB = {
    "NVIDIA_TESLA_P4": 7.4,
    "NVIDIA_TESLA_T4": 14.6,
    "NVIDIA_TESLA_P100": 15.8,
    "NVIDIA_TESLA_V100": 15.7,
    "NVIDIA_L4": 22.0,
    "NVIDIA_TESLA_A100": 39.4,
    "NVIDIA_A100_80GB": 79.1,
    "NVIDIA_H100_80GB": 79.1,
    "NVIDIA_H100_MEGA_80GB": 79.1,
    "NVIDIA_H200_141GB": 139.8,
    "NVIDIA_RTX_PRO_6000": 94.9,
}
"""What a program can use of one device: a little less than its name says."""
FOREVER = math.inf


@dataclass(frozen=True, slots=True)
class Demand:
    """What a workload needs of one replica; memory in GiB, work in hours."""

    base_gib: float = 4.0
    process_gib: float = 0.0
    processes: int = 0  # 0: one for each vCPU
    peak_at: float = 0.6  # the share of the run after which memory is at its most
    vcpu_hours: float = 0.5
    serial: float = 0.05
    device_hours: float = 0.0  # on one T4
    device_gib: float = 0.0
    sharded: bool = False
    wants_device: bool = False
    disk_gb: float = 30.0
    fetch_hours: float = 0.0  # fetching the data, where it lies in another region
    row_seconds: float = 0.0  # of a batch's instance on one core
    row_cores: float = 4.0  # cores that one request can use
    row_gib: float = 0.0
    row_device_gib: float = 0.0
    row_device_seconds: float = 0.0  # on one T4
    load_core_seconds: float = 0.0  # of a model server, until it is ready


@dataclass(frozen=True, slots=True)
class Fate:
    """What is not the workload's own: places, quotas, services, and programs that raise."""

    dry: Mapping[tuple[str, str], float] = field(default_factory=dict)  # (region, thing): hours
    quota: Mapping[str, int] = field(default_factory=dict)  # thing: limit in every region
    quota_hours: float = 0.0  # until the other jobs that use the quota up are done
    quota_says: str = ""
    down_hours: float = 0.0  # until the service is well again
    down_says: tuple[int, str] = (0, "")
    down_lines: tuple[str, ...] = ()
    taken_back: int = 0  # how many spot runs are taken back
    taken_says: str = ""
    raises: tuple[str, ...] = ()  # the program's last lines; it exits with 1 whatever it runs on
    exit_status: int = 1
    unit: str = "step"
    units: int = 0  # progress lines "step i of n"; 0: none
    death: str = "service"  # who tells of memory: service, child, program, silent
    cut: str = "error"  # how a time-out ends: error, silent


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request would run: hardware of its first pool, region, time-out, disk, provisioning."""

    hardware: Hardware
    region: str
    timeout: float
    disk_gb: float
    spot: bool
    batch: int
    replicas: int
    service: Service


def thing_of(hardware: Hardware) -> str:
    """What a place runs short of, or a quota counts: a device's type, or a machine's generation."""
    return hardware.accelerator or hardware.machine.partition("-")[0]


def hardware_of(spec: Mapping[str, Any]) -> Hardware:
    kind = spec.get("acceleratorType") or ""
    kind = "" if kind == "ACCELERATOR_TYPE_UNSPECIFIED" else str(kind)
    count = int(spec.get("acceleratorCount") or 0) if kind else 0
    return Hardware(str(spec["machineType"]), kind, count)


def seconds_of(text: object, absent: float) -> float:
    return float(str(text).rstrip("s")) if text else absent


def placed(kind: str, body: Mapping[str, Any], region: str) -> Place:
    """A request's hardware and where it is to run."""
    if kind == BATCH:
        resources = body["dedicatedResources"]
        batch = int((body.get("manualBatchTuningParameters") or {}).get("batchSize") or 64)
        return Place(
            hardware_of(resources["machineSpec"]),
            region,
            FOREVER,
            100.0,
            bool(resources.get("spot")),
            batch,
            int(resources.get("startingReplicaCount") or 1),
            Service.PREDICTION,
        )
    spec = body["jobSpec"]
    pools = spec["workerPoolSpecs"]
    scheduling = spec.get("scheduling") or {}
    return Place(
        hardware_of(pools[0]["machineSpec"]),
        region,
        seconds_of(scheduling.get("timeout"), DEFAULT_TIMEOUT),
        min(float((p.get("diskSpec") or {}).get("bootDiskSizeGb") or 100) for p in pools),
        scheduling.get("strategy") in {"SPOT", "FLEX_START"} and scheduling["strategy"] == "SPOT",
        0,
        sum(int(p.get("replicaCount") or 1) for p in pools),
        Service.TRAINING,
    )


def shape(hardware: Hardware) -> Machine:
    """vCPUs and memory of a machine that the catalogue knows."""
    known = CATALOGUE.machine(hardware.machine)
    assert known is not None, hardware
    return twin_machine(hardware.machine) or Machine(known.name, known.vcpus, known.memory_gib)


def hours_of(demand: Demand, place: Place, data_near: bool = True) -> float:
    """How long the whole work takes here, unless something ends it."""
    kind = shape(place.hardware)
    cpu = demand.vcpu_hours * (demand.serial + (1 - demand.serial) / kind.vcpus)
    speed = SPEED.get(place.hardware.accelerator, 0.0) * place.hardware.count
    device = demand.device_hours / speed if speed else demand.device_hours * 20
    return cpu + device + (0 if data_near else demand.fetch_hours)


def host_gib(demand: Demand, place: Place) -> float:
    processes = demand.processes or shape(place.hardware).vcpus
    return demand.base_gib + demand.process_gib * processes + demand.row_gib * place.batch


def device_gib(demand: Demand, place: Place) -> float:
    """Of each device."""
    whole = demand.device_gib + demand.row_device_gib * place.batch
    return whole / place.hardware.count if demand.sharded and place.hardware.count else whole


def request_seconds(demand: Demand, place: Place) -> float:
    """How long a server takes for one request of `batch` instances."""
    cores = min(demand.row_cores, max(1, shape(place.hardware).vcpus - 1))
    seconds = demand.row_seconds * place.batch / cores
    if demand.row_device_seconds:
        speed = SPEED.get(place.hardware.accelerator, 0.0)
        device = demand.row_device_seconds * place.batch
        seconds += device / speed if speed else device * 20
    return seconds


def load_seconds(demand: Demand, place: Place) -> float:
    return demand.load_core_seconds / max(1, min(8, shape(place.hardware).vcpus - 1))


def never_started(fate: Fate, place: Place, hours: float) -> tuple[int, str] | None:
    """Why no machine is given at this time, as (code, message); None: one is."""
    hardware, thing = place.hardware, thing_of(place.hardware)
    why = CATALOGUE.why_not(hardware, place.service)
    if why or CATALOGUE.offered(hardware, place.region, place.service) is False:
        return 3, why or f"{hardware.accelerator} is not available in region {place.region}."
    limit = fate.quota.get(thing)
    need = hardware.count or shape(hardware).vcpus
    if (
        limit is not None
        and need * place.replicas > limit
        and (not fate.quota_hours or hours < fate.quota_hours)
    ):
        return 8, fate.quota_says
    if hours < fate.dry.get((place.region, thing), 0.0):
        if place.service is Service.PREDICTION:
            return 8, f"Resources are insufficient in region: {place.region}."
        words = f"Resources are insufficient in region: {place.region}."
        return 8, f"{words} Try a different region or use a different accelerator."
    return None


def run(kind: str, demand: Demand, fate: Fate, place: Place, tries: int, hours: float, *,
        data_near: bool = True, says: str = "") -> Run:  # fmt: skip
    """One run, begun `hours` after the first one was. `says`: a server's words on memory."""
    refused = never_started(fate, place, hours)
    if refused:
        return Run("JOB_STATE_FAILED", 900.0, 0.0, refused, started=False, incomplete=-1)
    if hours < fate.down_hours:
        return _down(kind, fate, place)
    course = _batch if kind == BATCH else _custom
    return course(demand, fate, place, tries, data_near, says)


def mended_by(kind: str, demand: Demand, fate: Fate, place: Place, data_near: bool) -> float | None:
    """Hours that the run takes where, in the end, it succeeds; None: it never does."""
    ran = run(kind, demand, fate, place, 99, 10_000.0, data_near=data_near)
    return ran.run_seconds / 3600 if ran.state == "JOB_STATE_SUCCEEDED" else None


# --- custom jobs -----------------------------------------------------------------------------------


def _custom(demand: Demand, fate: Fate, place: Place, tries: int, data_near: bool, _: str) -> Run:
    device = place.hardware.accelerator
    total = hours_of(demand, place, data_near) * 3600
    if demand.wants_device and not device:
        return _dies(place, demand, fate, 95.0, 1, _NO_DEVICE)
    if device and device_gib(demand, place) > DEVICE_GIB.get(device, math.inf):
        has = DEVICE_GIB[device]
        words = (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.25 GiB. GPU 0 has a "
            f"total capacity of {has:.2f} GiB of which 402.12 MiB is free. Including non-PyTorch "
            f"memory, this process has {has - 0.4:.2f} GiB memory in use."
        )
        trace = ("Traceback (most recent call last):", '  File "/app/train.py", line 88, in step',
                 "    loss.backward()", words)  # fmt: skip
        return _dies(place, demand, fate, 240.0, 1, trace, gpu=0.97)
    at, why = _end(demand, fate, place, tries, total)
    if at >= total:
        return _done(place, demand, fate, total)
    if why == "timeout":
        return _cut(place, demand, fate, at, total)
    if why == "memory":
        return _out_of_memory(place, demand, fate, at)
    if why == "disk":
        lines = ("Traceback (most recent call last):", '  File "/app/train.py", line 40, in save',
                 "OSError: [Errno 28] No space left on device")  # fmt: skip
        return _dies(place, demand, fate, at, 1, lines)
    if why == "taken":
        said = fate.taken_says or "Instance was preempted."
        line = "GCP Metadata Service says termination is imminent"
        return _dies(place, demand, fate, at, 143, (line,), error=f"The replica workerpool0-0 exited "
                     f"with a non-zero status of 143. Termination reason: {said}")  # fmt: skip
    return _dies(place, demand, fate, at, fate.exit_status, fate.raises)


def _end(demand: Demand, fate: Fate, place: Place, tries: int, total: float) -> tuple[float, str]:
    """What ends the run first, and after how many seconds."""
    ends: list[tuple[float, str]] = [(place.timeout, "timeout")]
    if host_gib(demand, place) > shape(place.hardware).memory_gib * USABLE:
        ends.append((max(120.0, total * demand.peak_at), "memory"))
    if demand.disk_gb > place.disk_gb * 0.9:
        ends.append((max(120.0, total * 0.5), "disk"))
    if fate.raises:
        ends.append((max(60.0, total * 0.3), "raises"))
    if place.spot and tries <= fate.taken_back:
        ends.append((max(300.0, total * 0.4), "taken"))
    return min(ends)


_NO_DEVICE = (
    "Traceback (most recent call last):",
    '  File "/app/train.py", line 21, in main',
    "    torch._C._cuda_init()",
    (
        "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU "
        "and installed a driver from http://www.nvidia.com/Download/index.aspx"
    ),
)


def _phases(
    demand: Demand, place: Place, seconds: float, reached: float, gpu: float
) -> list[Phase]:
    """Six stretches: memory grows to `reached` GiB; CPUs are as full as the work has them."""
    vcpus = shape(place.hardware).vcpus
    busy = vcpus * (0.97 - demand.serial) if not place.hardware.count else min(vcpus, 2.5)
    least = min(demand.base_gib, reached) * 0.4
    held = DEVICE_GIB.get(place.hardware.accelerator, 0.0)
    used = min(held, device_gib(demand, place)) if place.hardware.count else 0.0
    return [
        Phase(
            seconds / 6,
            busy,
            least + (reached - least) * (part + 1) / 6,
            "train",
            gpu if place.hardware.count else 0.0,
            used,
        )
        for part in range(6)
    ]


def _lines(fate: Fate, seconds: float, share: float) -> list[tuple[float, str, str, str]]:
    """What the program prints on its way: at most forty lines of progress, up to a share of its work."""
    lines = [(2.0, "INFO", "start", "stdout")]
    done = int(fate.units * share)
    for number in range(1, done + 1, max(1, done // 40)):
        at = seconds * number / max(done, 1)
        lines.append((at, "INFO", f"{fate.unit} {number} of {fate.units} done", "stdout"))
    return lines


def _made(place: Place, state: str, seconds: float, demand: Demand, reached: float,
          lines: list[tuple[float, str, str, str]], error: tuple[int, str] | None,
          gpu: float = 0.85) -> Run:  # fmt: skip
    return Run(
        state,
        180.0,
        seconds,
        error,
        tuple(lines),
        tuple(_phases(demand, place, seconds, reached, gpu)),
        machine=shape(place.hardware),
        gpus=place.hardware.count if place.hardware.accelerator in SPEED else 0,
        gpu_kind=place.hardware.accelerator if place.hardware.accelerator in SPEED else "",
        replicas=place.replicas,
    )


def _done(place: Place, demand: Demand, fate: Fate, seconds: float) -> Run:
    reached = min(host_gib(demand, place), shape(place.hardware).memory_gib)
    return _made(
        place, "JOB_STATE_SUCCEEDED", seconds, demand, reached, _lines(fate, seconds, 1.0), None
    )


def _dies(place: Place, demand: Demand, fate: Fate, seconds: float, status: int,
          last: tuple[str, ...], *, error: str = "", reached: float | None = None,
          gpu: float = 0.85) -> Run:  # fmt: skip
    """The program ends with an exit status; its last lines go to stderr."""
    total = hours_of(demand, place) * 3600
    lines = _lines(fate, seconds, min(1.0, seconds / max(total, 1.0)))
    lines += [(seconds - 1, "ERROR", line, "stderr") for line in last]
    words = error or (
        f"The replica workerpool0-0 exited with a non-zero status of {status}. "
        "Termination reason: Error."
    )
    lines.append((seconds, "ERROR", words, "service"))
    held = min(host_gib(demand, place), shape(place.hardware).memory_gib * 0.7)
    return _made(place, "JOB_STATE_FAILED", seconds, demand, reached or held, lines,
                 (3, words), gpu)  # fmt: skip


def _out_of_memory(place: Place, demand: Demand, fate: Fate, seconds: float) -> Run:
    full = shape(place.hardware).memory_gib * 0.97
    if fate.death == "service":
        words = (
            "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137."
        )
        return _dies(place, demand, fate, seconds, 137, (), error=words, reached=full)
    if fate.death == "child":
        lines = ("RuntimeError: DataLoader worker (pid(s) 31) exited unexpectedly",)
        return _dies(place, demand, fate, seconds, 1, lines, reached=full)
    if fate.death == "program":
        lines = ("MemoryError",)
        return _dies(place, demand, fate, seconds, 1, lines, reached=full)
    return _dies(place, demand, fate, seconds, 137, (), reached=full)


def _cut(place: Place, demand: Demand, fate: Fate, seconds: float, total: float) -> Run:
    lines = _lines(fate, seconds, seconds / total)
    error = (1, "CANCELLED") if fate.cut == "error" else None
    reached = min(host_gib(demand, place), shape(place.hardware).memory_gib * 0.8)
    return _made(place, "JOB_STATE_CANCELLED", seconds, demand, reached, lines, error)


def _down(kind: str, fate: Fate, place: Place) -> Run:
    lines = [(170.0, "ERROR", line, "stderr") for line in fate.down_lines]
    code, words = fate.down_says
    if kind != BATCH:
        lines.append((175.0, "ERROR", words, "service"))
    return Run("JOB_STATE_FAILED", 60.0, 180.0, (code, words), tuple(lines),
               machine=shape(place.hardware), replicas=place.replicas, incomplete=-1)  # fmt: skip


# --- batch predictions -----------------------------------------------------------------------------

_WRAPPED = "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result"


def _batch(demand: Demand, fate: Fate, place: Place, tries: int, _near: bool, says: str) -> Run:
    kind, device = shape(place.hardware), place.hardware.accelerator
    lines = [(5.0, "INFO", "Application startup complete.", "stdout")]
    loading = load_seconds(demand, place)
    if fate.raises:
        words = f"{_WRAPPED} 500 (Internal Server Error) from server, retry=3, elapsed=4.38s."
        told = [(40.0, "ERROR", line, "stderr") for line in fate.raises]
        return _batch_failed(place, demand, 300.0, 13, words, lines + told)
    if demand.wants_device and not device:
        words = ('Model server terminated: model server container terminated: exit_code: 1 '
                 'reason: "Error"')  # fmt: skip
        told = [(20.0, "ERROR", line, "stderr") for line in _NO_DEVICE]
        return _batch_failed(place, demand, 300.0, 9, words, lines + told)
    if loading > READY_SECONDS:
        words = ("Error: model server never became ready. Please validate that your model file or "
                 "container configuration are valid.")  # fmt: skip
        told = [(t * loading, "INFO", f"shard {int(t * 200)} of 200 read", "stdout")
                for t in (0.1, 0.2, 0.3, 0.4) if t * loading < READY_SECONDS]  # fmt: skip
        return _batch_failed(place, demand, READY_SECONDS, 9, words, told)
    if host_gib(demand, place) > kind.memory_gib * USABLE:
        words = (f"{_WRAPPED} 503 (upstream connect error or disconnect/reset before headers. reset "
                 "reason: connection termination) from server, retry=3, elapsed=24.76s.")  # fmt: skip
        told = [(400.0, "ERROR", line, "stderr") for line in filter(None, (says,))]
        return _batch_failed(place, demand, 420.0, 13, words, lines + told, full=True)
    if device and device_gib(demand, place) > DEVICE_GIB.get(device, math.inf):
        text = "CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has a total capacity of "
        words = f'{_WRAPPED} 500 ({{"error": "{text}{DEVICE_GIB[device]:.2f} GiB"}}) from server, retry=3, elapsed=9.12s.'
        told = [
            (
                400.0,
                "ERROR",
                f"torch.OutOfMemoryError: {text}{DEVICE_GIB[device]:.2f} GiB",
                "stderr",
            )
        ]
        return _batch_failed(place, demand, 420.0, 13, words, lines + told)
    if request_seconds(demand, place) > REQUEST_SECONDS:
        words = f"{_WRAPPED} 504 (upstream request timeout) from server, retry=3, elapsed=600.04s."
        return _batch_failed(place, demand, 2700.0, 4, words, lines)
    if place.spot and tries <= fate.taken_back:
        return _batch_failed(place, demand, 900.0, 8, "STOCKOUT", lines)
    per_row = request_seconds(demand, place) / place.batch
    seconds = max(600.0, loading + per_row * 2000 / place.replicas)
    return Run("JOB_STATE_SUCCEEDED", 240.0, seconds, None, tuple(lines), machine=kind,
               gpus=place.hardware.count, gpu_kind=device, replicas=place.replicas,
               successful=2000)  # fmt: skip


def _batch_failed(place: Place, demand: Demand, seconds: float, code: int, words: str,
                  lines: list[tuple[float, str, str, str]], *, full: bool = False) -> Run:  # fmt: skip
    kind = shape(place.hardware)
    cores = min(demand.row_cores, kind.vcpus) if demand.row_seconds else 1.0
    used = kind.memory_gib * 0.97 if full else min(host_gib(demand, place), kind.memory_gib * 0.7)
    rows = ((f"{words}", 64),) if words.startswith("Post request") else ()
    return Run("JOB_STATE_FAILED", 240.0, seconds, (code, words), tuple(lines),
               (Phase(seconds, cores * 0.97, used, "predict", 0.6 if place.hardware.count else 0.0,
                      0.0),), successful=0, failed=64 if rows else 0, incomplete=-1,
               error_rows=rows, machine=kind, gpus=place.hardware.count,
               gpu_kind=place.hardware.accelerator, replicas=place.replicas)  # fmt: skip


def drawn(chance: random.Random, low: float, high: float) -> float:
    """Of equal chance on a scale of factors: between `low` and `high`, both above 0."""
    return low * (high / low) ** chance.random()
