"""What happens to a job of the fleet `visitors`: stated here, chosen by its author, frozen before the first score.

The rules, beside those of the places (`visitors_places.py`):

- A program is a row of stages. A stage has work of CPUs (Amdahl's law, over at most so many threads), work of
  devices, or both at once, where the loader feeds the device and the slower of the two decides.
- Host memory is a fixed part, a part for each loader process (a fixed number of them, or one for each vCPU), a part
  for each device's own process, what the stage holds, and what leaks every hour. 0.94 of the machine can be
  had. A heap is a number of GiB, or a share of the machine.
- Device memory is the state (weights, gradients, optimizer; of one device, or over all where it is
  sharded) and the activations of a device's own batch.
- A program that writes checkpoints goes on from the last one when it runs again; any other begins anew.
- Data come at the speed of their distance: a job that is moved away from them waits for them.
- A server holds one copy of its model, or one for each worker, which may be one or two for each vCPU. It
  answers one request of `batch` instances within 600 s and 10 MB, or the batch fails.
- What ended a run is known to the engineer, and to who counts wrong actions: a chain may meet several obstacles.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.remediation.visitors_places import (
    CATALOGUE,
    dry_until,
    gib_an_hour,
    hazard,
    limit_of,
    meter_of,
    needed,
)
from remediator.catalog.catalog import Hardware, Service
from twin.machines import Machine
from twin.machines import machine as twin_machine

Body = dict[str, Any]
BATCH = "batchPredictionJobs"
USABLE = 0.94
REQUEST_SECONDS = 600.0  # documented: one request of a batch prediction
REQUEST_MB = 10.0  # documented for dedicated endpoints; taken for batches, too
READY_SECONDS = 2400.0  # documented: about forty minutes until a model server is given up
DEFAULT_TIMEOUT = 7 * 86400.0  # documented
START_HOURS = 0.06  # to get a machine and pull the image
SPEED = {
    "NVIDIA_TESLA_P4": 0.55, "NVIDIA_TESLA_T4": 1.0, "NVIDIA_TESLA_P100": 1.4, "NVIDIA_TESLA_V100": 2.4,
    "NVIDIA_L4": 1.8, "NVIDIA_TESLA_A100": 4.6, "NVIDIA_A100_80GB": 5.0, "NVIDIA_H100_80GB": 10.0,
    "NVIDIA_H100_MEGA_80GB": 10.0, "NVIDIA_H200_141GB": 11.0, "NVIDIA_RTX_PRO_6000": 5.5,
    "NVIDIA_B200": 20.0,
}  # fmt: skip
"""Of one device, in T4s."""
DEVICE_GIB = {
    "NVIDIA_TESLA_P4": 7.4, "NVIDIA_TESLA_T4": 14.6, "NVIDIA_TESLA_P100": 15.9, "NVIDIA_TESLA_V100": 15.8,
    "NVIDIA_L4": 22.0, "NVIDIA_TESLA_A100": 39.4, "NVIDIA_A100_80GB": 79.2, "NVIDIA_H100_80GB": 79.2,
    "NVIDIA_H100_MEGA_80GB": 79.2, "NVIDIA_H200_141GB": 139.8, "NVIDIA_RTX_PRO_6000": 94.9,
    "NVIDIA_B200": 178.0,
}  # fmt: skip
"""What a program can use of one device."""
TPU_SPEED = {"ct5lp": 3.5, "ct6e": 7.0, "ct5p": 8.0}  # of one chip, in T4s


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a program. `core_hours` on one core; `device_hours` on one T4; `fetch_gib` read of the bucket."""

    name: str
    core_hours: float = 0.0
    serial: float = 0.03
    threads: int = 10_000
    gib: float = 0.0
    device_hours: float = 0.0
    fetch_gib: float = 0.0
    feeds: bool = False  # the CPUs feed the devices: the slower of the two decides
    loads: bool = False  # the loader's processes run
    heap_gib: float = 0.0
    waits_hours: float = 0.0  # for another service


@dataclass(frozen=True, slots=True)
class Program:
    """A custom job's program."""

    stages: tuple[Stage, ...]
    base_gib: float = 1.5
    workers: int = 0  # of the loader; 0: one for each vCPU
    worker_gib: float = 0.0
    rank_gib: float = 0.0
    leak_gib: float = 0.0  # an hour
    heap_share: float = 0.0  # of the machine's memory; 0: no heap that follows it
    wants: str = "none"  # a device: none, wanted (slow without), required
    state_gib: float = 0.0
    activation_gib: float = 0.0
    sharded: bool = False
    disk_gb: float = 25.0
    checkpoint_hours: float = 0.0  # 0: none


@dataclass(frozen=True, slots=True)
class Server:
    """A batch prediction's model server."""

    rows: int = 2000
    base_gib: float = 1.0
    model_gib: float = 1.0
    copies: str = "one"  # or vcpu, gunicorn (two for each vCPU and one)
    row_gib: float = 0.0
    row_core_seconds: float = 0.05
    row_cores: int = 2
    row_kb: float = 2.0
    wants: str = "none"
    state_gib: float = 0.0
    row_device_gib: float = 0.0
    row_device_seconds: float = 0.0  # on one T4
    load_core_seconds: float = 20.0
    load_cores: int = 4
    load_seconds: float = 30.0  # of reading, whatever the machine


@dataclass(frozen=True, slots=True)
class Held:
    """A quota that a job meets: `limit` in its region; `until`: others use it up so many hours."""

    region: str
    meter: str
    spot: bool
    limit: int
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class Fate:
    """What is not the workload's own. Hours since the job was first created."""

    down_until: float = 0.0  # a service fails until then
    down_at: str = "start"  # or fetch, end: where the program meets it
    raises_at: float | None = None  # the share of the work after which the program ends by itself
    quotas: tuple[Held, ...] = ()


@dataclass(slots=True)
class State:
    """What earlier runs of a job have left: how far its checkpoints are, and what ended the last one."""

    saved: float = 0.0
    why: str = ""
    wait_hours: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """What a request asks for."""

    hardware: Hardware
    region: str
    timeout: float
    disk_gb: float
    strategy: str
    batch: int
    replicas: int
    service: Service
    max_wait: float = 24.0


@dataclass(frozen=True, slots=True)
class End:
    """How a run ends. `why`: empty where it succeeds; `at`, `whole`: hours run, and those of all that was left."""

    why: str
    at: float = 0.0
    whole: float = 0.0
    stage: int = 0
    started: bool = True
    waited: float = 0.0
    until: float = 0.0  # the hour after which an obstacle is gone
    saved: float = 0.0
    meter: str = ""
    limit: int = 0


def placed(kind: str, body: Mapping[str, Any], region: str) -> Place | None:
    """What a request asks for; None: no machines of its own."""
    if kind == BATCH:
        resources = body.get("dedicatedResources")
        if not resources:
            return None
        size = int((body.get("manualBatchTuningParameters") or {}).get("batchSize") or 64)
        return Place(hardware_of(resources["machineSpec"]), region, math.inf, 100.0,
                     "SPOT" if resources.get("spot") else "STANDARD", size,
                     int(resources.get("startingReplicaCount") or 1), Service.PREDICTION)  # fmt: skip
    spec = body["jobSpec"]
    pools, scheduling = spec["workerPoolSpecs"], spec.get("scheduling") or {}
    return Place(
        hardware_of(pools[0]["machineSpec"]),
        region,
        _seconds(scheduling.get("timeout"), DEFAULT_TIMEOUT) / 3600,
        min(float((one.get("diskSpec") or {}).get("bootDiskSizeGb") or 100) for one in pools),
        str(scheduling.get("strategy") or "STANDARD"),
        0,
        sum(int(one.get("replicaCount") or 1) for one in pools),
        Service.TRAINING,
        _seconds(scheduling.get("maxWaitDuration"), 86400.0) / 3600,
    )


def _seconds(text: object, absent: float) -> float:
    return float(str(text).rstrip("s")) if text else absent


def hardware_of(spec: Mapping[str, Any]) -> Hardware:
    kind = str(spec.get("acceleratorType") or "").removeprefix("ACCELERATOR_TYPE_UNSPECIFIED")
    return Hardware(
        str(spec["machineType"]), kind, int(spec.get("acceleratorCount") or 0) if kind else 0
    )


def shape(hardware: Hardware) -> Machine:
    """vCPUs and memory of a machine."""
    known = CATALOGUE.machine(hardware.machine)
    assert known is not None, hardware
    return twin_machine(hardware.machine) or Machine(known.name, known.vcpus, known.memory_gib)


def speed(hardware: Hardware) -> float:
    """Of all devices together, in T4s: each doubling of their number gives 1.85 times as much."""
    chips = hardware.machine.rpartition("-")[2]
    family = hardware.machine.partition("-")[0]
    if family in TPU_SPEED and chips.endswith("t"):
        return TPU_SPEED[family] * int(chips[:-1])
    count = hardware.count
    one = SPEED.get(hardware.accelerator, 0.0)
    return one * 1.85 ** math.log2(count) if count and one else 0.0


# --- before there is a machine ---------------------------------------------------------------------


def refused(
    seed: int, team: int, fate: Fate, place: Place, since: float, hour: float
) -> End | None:
    """Why no machine is given: `since` hours after the first creation, at this hour of the fleet."""
    held = place.hardware
    if CATALOGUE.why_not(held, place.service):
        return End("invalid_config", started=False)
    if CATALOGUE.offered(held, place.region, place.service) is False:
        return End("capacity_stockout", started=False, until=math.inf)
    spot = place.strategy == "SPOT"
    meter = meter_of(held)
    own = next(
        (q for q in fate.quotas if (q.region, q.meter, q.spot) == (place.region, meter, spot)), None
    )
    limit = own.limit if own else limit_of(seed, team, place.region, meter, spot)
    asked = needed(held, place.replicas)
    if own and own.until and since < own.until:
        return End("quota", started=False, until=own.until, meter=meter, limit=limit)
    if asked > limit:
        return End("quota", started=False, until=math.inf, meter=meter, limit=limit)
    until = dry_until(seed, place.region, held, hour, spot=spot)
    if until and not (place.strategy == "FLEX_START" and until - hour <= place.max_wait):
        return End("capacity_stockout", started=False, until=since + until - hour)
    return None


# --- custom jobs -----------------------------------------------------------------------------------


def stage_hours(stage: Stage, place: Place, data: str) -> float:
    """How long a stage takes here."""
    vcpus = shape(place.hardware).vcpus
    threads = max(1, min(vcpus, stage.threads))
    cpu = stage.core_hours * (stage.serial + (1 - stage.serial) / threads)
    fast = speed(place.hardware)
    device = 0.0
    if stage.device_hours:
        device = stage.device_hours / fast if fast else stage.device_hours * 30 / max(1, vcpus / 4)
    work = max(cpu, device) if stage.feeds else cpu + device
    return work + stage.fetch_gib / gib_an_hour(data, place.region) + stage.waits_hours


def host_gib(program: Program, stage: Stage, place: Place, hours: float) -> float:
    """Of one replica, after so many hours of its run."""
    vcpus = shape(place.hardware).vcpus
    loaders = (program.workers or vcpus) * program.worker_gib if stage.loads else 0.0
    ranks = max(1, place.hardware.count) * program.rank_gib
    return program.base_gib + stage.gib + loaders + ranks + program.leak_gib * hours


def device_gib(program: Program, place: Place) -> float:
    """Of each device."""
    shards = max(1, place.hardware.count) if program.sharded else 1
    return program.state_gib / shards + program.activation_gib


def run_program(
    program: Program,
    fate: Fate,
    place: Place,
    data: str,
    *,
    saved: float,
    since: float,
    taken: float,
) -> End:
    """One run on its machine. `taken`: the hours after which it is taken back."""
    hours = [stage_hours(stage, place, data) for stage in program.stages]
    whole = sum(hours)
    begun = min(0.97, saved) if program.checkpoint_hours else 0.0
    left = whole * (1 - begun) + (0.03 if begun else 0.0)
    ends: list[tuple[float, str, int]] = [(place.timeout, "cut", -1), (taken, "preemption", 0)]
    ends += _for_want_of_devices(program, place, hours, begun)
    ends += _for_want_of_memory(program, place, hours, begun)
    if program.disk_gb > place.disk_gb * 0.88:
        share = place.disk_gb * 0.88 / program.disk_gb
        ends.append((max(0.05, whole * min(0.95, share)), "disk_full", len(hours) - 1))
    if since < fate.down_until:
        at = {"start": 0.02, "fetch": 0.05, "end": max(0.1, left - 0.05)}[fate.down_at]
        if since + at < fate.down_until:
            ends.append((at, "transient_backend", 0))
    if fate.raises_at is not None:
        ends.append((max(0.02, left * fate.raises_at), "raises", 0))
    at, why, number = min(ends)
    if at >= left:
        return End("", left, left, saved=1.0)
    done = begun + (1 - begun) * at / max(left, 1e-9)
    kept = begun
    if program.checkpoint_hours:
        step = program.checkpoint_hours / max(whole, 1e-9)
        kept = max(begun, math.floor(done / step) * step)
    if why == "cut":
        why = _why_cut(program, place, hours)
        number = _stage_at(hours, done * whole)
    return End(why, at, left, number, saved=kept)


_Ends = list[tuple[float, str, int]]


def _for_want_of_devices(program: Program, place: Place, hours: list[float], begun: float) -> _Ends:
    held = place.hardware
    if program.wants == "required" and not speed(held):
        return [(0.03, "accelerator_missing", 0)]
    if held.accelerator and device_gib(program, place) > DEVICE_GIB.get(held.accelerator, math.inf):
        first = next((n for n, one in enumerate(program.stages) if one.device_hours), 0)
        return [(_reached(hours, first, 0.01, sum(hours), begun), "gpu_memory", first)]
    return []


def _for_want_of_memory(program: Program, place: Place, hours: list[float], begun: float) -> _Ends:
    """Stages that a checkpoint has left behind are over; what leaks begins anew with each run."""
    memory, whole, ends = shape(place.hardware).memory_gib, sum(hours), []
    for number, stage in enumerate(program.stages):
        since, until = (max(0.0, sum(hours[:n]) - begun * whole) for n in (number, number + 1))
        if begun and not until:
            continue
        if host_gib(program, stage, place, until) > memory * USABLE:
            grows = program.leak_gib * (until - since)
            room = memory * USABLE - host_gib(program, stage, place, since)
            share = max(0.05, min(1.0, room / grows)) if grows and room > 0 else 0.7
            ends.append((max(0.04, since + share * (until - since)), "memory_pressure", number))
        elif program.heap_share and stage.heap_gib > memory * program.heap_share:
            ends.append((_reached(hours, number, 0.6, whole, begun), "memory_pressure", number))
    return ends


def _reached(hours: list[float], number: int, share: float, whole: float, begun: float) -> float:
    """When a run that begins at a checkpoint gets there; what is behind it is met at once."""
    at = sum(hours[:number]) + share * hours[number] - begun * whole
    return max(0.04, at)


def _stage_at(hours: list[float], at: float) -> int:
    for number in range(len(hours)):
        if at <= sum(hours[: number + 1]):
            return number
    return len(hours) - 1


def _why_cut(program: Program, place: Place, hours: list[float]) -> str:
    """What a time-out's true cause is: the stage that takes the most time says it."""
    longest = max(range(len(hours)), key=hours.__getitem__)
    stage = program.stages[longest]
    vcpus = shape(place.hardware).vcpus
    fetch = stage.waits_hours
    if fetch > hours[longest] / 2:
        return "network_latency"
    if program.wants == "wanted" and not speed(place.hardware):
        return "accelerator_missing"
    if stage.threads == 1:
        return "slow_code"
    busy = stage.core_hours / max(hours[longest], 1e-9)
    if busy > 0.6 * vcpus:
        return "cpu_saturation"
    if stage.fetch_gib and not stage.device_hours and busy < 0.3 * vcpus:
        return "network_latency"
    return "unknown"


# --- batch predictions -----------------------------------------------------------------------------


def copies(server: Server, vcpus: int) -> int:
    return {"one": 1, "vcpu": vcpus, "gunicorn": 2 * vcpus + 1}[server.copies]


def server_gib(server: Server, place: Place) -> float:
    many = copies(server, shape(place.hardware).vcpus)
    return server.base_gib + server.model_gib * many + server.row_gib * place.batch


def request_seconds(server: Server, place: Place) -> float:
    cores = max(1, min(shape(place.hardware).vcpus, server.row_cores))
    seconds = server.row_core_seconds * place.batch / cores
    if server.row_device_seconds:
        fast = speed(place.hardware)
        device = server.row_device_seconds * place.batch
        seconds += device / fast if fast else device * 30
    return seconds


def load_seconds(server: Server, place: Place) -> float:
    cores = max(1, min(shape(place.hardware).vcpus, server.load_cores))
    return server.load_seconds + server.load_core_seconds / cores


def run_server(server: Server, fate: Fate, place: Place, *, since: float) -> End:
    """One batch prediction on its machines."""
    held = place.hardware
    if since < fate.down_until:
        return End("transient_backend", 0.3 if fate.down_at == "fetch" else 0.05)
    if fate.raises_at is not None:
        return End("raises", 0.15)
    if server.wants == "required" and not held.count:
        return End("accelerator_missing", 0.1)
    loading = load_seconds(server, place)
    if loading > READY_SECONDS:
        return End("slow_startup", READY_SECONDS / 3600)
    if server_gib(server, place) > shape(held).memory_gib * USABLE:
        return End("memory_pressure", 0.12 + loading / 3600)
    used = server.state_gib + server.row_device_gib * place.batch
    if held.accelerator and used > DEVICE_GIB.get(held.accelerator, math.inf):
        return End("gpu_memory", 0.12 + loading / 3600)
    if server.row_kb * place.batch / 1000 > REQUEST_MB:
        return End("payload", 0.1 + loading / 3600)
    if request_seconds(server, place) > REQUEST_SECONDS:
        missing = server.wants == "wanted" and not held.count
        why = "accelerator_missing" if missing else "request_too_large"
        return End(why, 0.7 + loading / 3600)
    rows = request_seconds(server, place) / place.batch * server.rows / place.replicas
    at = max(0.1, (loading + rows) / 3600)
    return End("", at, at)


def taken_after(key: str, rate: float) -> float:
    """Hours until a spot machine is taken back."""
    return max(0.08, random.Random(key).expovariate(rate)) if rate else math.inf


def hazard_of(seed: int, place: Place) -> float:
    if place.strategy != "SPOT":
        return 0.0
    return hazard(seed, place.region, place.hardware) * max(1, place.replicas)


def drawn(chance: random.Random, low: float, high: float) -> float:
    """Of equal chance on a scale of factors."""
    return low * (high / low) ** chance.random()


@dataclass(frozen=True, slots=True)
class Job:
    """One failing job. `words`: what it prints of each way to end; `helped`: whether any change of the request can help."""

    index: int
    name: str
    kind: str
    body: Body
    region: str
    seed: int
    team: int
    fate: Fate
    words: Mapping[str, Any]
    data: str
    bucket: str
    program: Program | None = None
    server: Server | None = None
    helped: bool = True
    raises_as: str = ""  # the cause where the program ends by itself
    cause: str = ""
    telemetry: bool = False
    loses_metrics: bool = False
    loses_logs: bool = False
    model: Body | None = None
    says: str = ""
    state: State = field(default_factory=State, compare=False)

    @property
    def passes_hours(self) -> float:
        """How long an oracle waits before the first attempt."""
        return self.state.wait_hours or 0.0
