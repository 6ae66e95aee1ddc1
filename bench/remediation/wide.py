"""A second fleet: every region, every accelerator, and failures that a bigger machine does not fix.

Its own physics, stated here and nowhere else: what a run needs of memory, vCPUs, a device and a
place, and what it says when it lacks one of them. Every draw comes from the seed; nothing was adjusted
to a strategy. It offers what `fleets.Fleet` asks of a fleet.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from bench.remediation.fleets import PLACE, Body
from bench.remediation.requests import machine_spec
from bench.remediation.world import BEGINNING, CATALOGUE, Ran, read_of, told_of
from remediator.case import Case
from remediator.catalog import growth
from remediator.catalog.catalog import Hardware, Service
from twin.machines import machine as twin_machine
from twin.physics import Phase, Run

NAME = "wide"
MIXES: Mapping[str, Mapping[str, float]] = {"even": {}}
KIND = "customJobs"
_AMERICA = ("us-central1", "us-east1", "us-east4", "us-west1", "us-west4")
_REGIONS = (*_AMERICA, "europe-west1", "europe-west4", "asia-southeast1", "asia-northeast1")
_TIMEOUT = 7200.0


@dataclass(frozen=True, slots=True)
class Job:
    """One failure to come. `memory_gib`, `device_gib` and `cpu_seconds` are what it needs;
    `bad_places` never have its machine, `bad_families` have no quota; `raises` ends it always."""

    index: int
    family: int
    cause: str
    body: Body
    region: str
    memory_gib: float = 2.0
    device_gib: float = 0.0
    cpu_seconds: float = 2000.0
    serial_seconds: float = 0.0
    device: str = ""
    devices: int = 0
    bad_places: frozenset[str] = frozenset()
    bad_families: frozenset[str] = frozenset()
    quota_words: str = ""
    preempted: int = 0
    raises: str = ""
    steps: bool = False
    telemetry: bool = False
    loses_metrics: bool = False
    loses_logs: bool = False
    passes_hours: float = 0.0
    says: str = ""
    kind: str = KIND
    model: Body | None = None
    buckets: Mapping[str, str] = field(default_factory=dict)


# --- drawing -----------------------------------------------------------------------------------------


def build(seed: int, count: int, mix: str) -> list[Job]:
    """`count` jobs of about a tenth as many families, each family's needs varied by a tenth."""
    chance = random.Random(f"wide/{seed}/{mix}")
    names = list(_FAMILIES)
    families = []
    for number in range(max(len(names), count // 10)):
        name = names[number] if number < len(names) else chance.choice(names)
        families.append((number, _FAMILIES[name](chance, number)))
    jobs = []
    for index in range(count):
        number, made = chance.choice(families)
        factor = chance.uniform(0.95, 1.05)
        jobs.append(
            replace(
                made,
                index=index,
                family=number,
                memory_gib=made.memory_gib * factor,
                cpu_seconds=made.cpu_seconds * factor,
                serial_seconds=made.serial_seconds * factor,
                loses_metrics=made.steps or chance.random() < 0.1,
                loses_logs=chance.random() < 0.03 and not made.steps,
            )
        )
    return jobs


def _job(number: int, region: str, held: Hardware, cause: str, *args: str, **needs: Any) -> Job:
    bucket = f"wide-{number}"
    body: Body = {
        "displayName": f"wide-{number}",
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": machine_spec(held),
                    "replicaCount": "1",
                    "containerSpec": {
                        "imageUri": f"us-docker.pkg.dev/lab/team/wide{number}:1",
                        "args": [f"--data=gs://{bucket}/in", *args],
                    },
                }
            ],
            "scheduling": {"timeout": f"{_TIMEOUT:.0f}s", **needs.pop("scheduling", {})},
            "serviceAccount": f"team{number % 5}@fleet.iam.gserviceaccount.com",
        },
    }
    area = {"us": "US", "europe": "EU", "asia": "ASIA"}[region.partition("-")[0]]
    device, devices = growth.devices_of(CATALOGUE, held)
    return Job(
        0, number, cause, body, region, device=device, devices=devices,
        buckets={bucket: area}, **needs,
    )  # fmt: skip


_PLAIN = tuple(
    Hardware(m.name)
    for m in CATALOGUE.machines.values()
    if not m.device and Service.TRAINING in m.services and 4 <= m.vcpus <= 32
    if m.generation in {"n1", "n2", "e2", "c2"}
)


def _with_devices() -> tuple[Hardware, ...]:
    found = []
    for machine in CATALOGUE.machines.values():
        if Service.TRAINING not in machine.services or machine.name in growth.SMALL_H100:
            continue
        if machine.accelerator in _RANKED:
            found.append(Hardware(machine.name, machine.accelerator, machine.accelerator_count))
        elif not machine.device and machine.vcpus in {4, 8, 16}:
            for device in ("NVIDIA_TESLA_T4", "NVIDIA_TESLA_V100"):
                counts = CATALOGUE.allowed_counts(machine.name, device, Service.TRAINING)
                found += [Hardware(machine.name, device, count) for count in counts[:2]]
    return tuple(found)


_RANKED = ("NVIDIA_L4", "NVIDIA_TESLA_A100", "NVIDIA_A100_80GB", "NVIDIA_H100_80GB")
_DEVICES = _with_devices()


def _place_of(chance: random.Random, held: Hardware) -> str:
    offering = [
        region
        for region in _REGIONS
        if CATALOGUE.offered(held, region, Service.TRAINING) is not False
    ]
    return chance.choice(offering or list(_AMERICA[:1]))


def _host_memory(chance: random.Random, number: int) -> Job:
    held = chance.choice(_PLAIN)
    need = CATALOGUE.machines[held.machine].memory_gib * chance.uniform(1.1, 3.5)
    place = chance.choice(_REGIONS)
    return _job(number, place, held, "memory_pressure", memory_gib=need)


def _host_memory_of_gpu(chance: random.Random, number: int) -> Job:
    held = chance.choice(_DEVICES)
    need = CATALOGUE.machines[held.machine].memory_gib * chance.uniform(1.1, 2.4)
    place = _place_of(chance, held)
    return _job(number, place, held, "memory_pressure", memory_gib=need, device_gib=4.0)


def _starved(chance: random.Random, number: int) -> Job:
    held = chance.choice(_PLAIN)
    vcpus = CATALOGUE.machines[held.machine].vcpus
    work = vcpus * _TIMEOUT * chance.uniform(1.15, 2.5)
    return _job(number, chance.choice(_REGIONS), held, "cpu_saturation", cpu_seconds=work)


def _absurd(chance: random.Random, number: int) -> Job:
    tib = chance.uniform(4.5, 60)
    said = chance.choice(
        [
            (
                f"numpy._core._exceptions._ArrayMemoryError: Unable to allocate {tib:.2f} TiB for an "
                "array with shape (1000000, 1000000) and data type float64"
            ),
            (
                "RuntimeError: [enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: not enough "
                f"memory: you tried to allocate {int(tib * 1024**4)} bytes."
            ),
            f"MemoryError: Unable to allocate {tib:.1f} TiB",
        ]
    )
    held = chance.choice((*_PLAIN, *_DEVICES))
    return _job(number, _place_of(chance, held), held, "memory_pressure", raises=said)


def _own_limit(chance: random.Random, number: int) -> Job:
    said, args = chance.choice(
        [
            ("java.lang.OutOfMemoryError: Java heap space", ("java", "-Xmx4g", "-jar", "run.jar")),
            (
                "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",
                ("node", "--max-old-space-size=4096", "run.js"),
            ),
            (
                (
                    "RuntimeError: DataLoader worker (pid 77) is killed by signal: Bus error. It is "
                    "possible that dataloader's workers are out of shared memory. Please try to raise "
                    "your shared memory limit."
                ),
                (),
            ),
            (
                (
                    "duckdb.duckdb.OutOfMemoryException: Out of Memory Error: failed to allocate data of "
                    "size 256.0 KiB (3.9 GiB/4.0 GiB used)"
                ),
                (),
            ),
        ]
    )
    held = chance.choice((*_PLAIN, *_DEVICES))
    return _job(number, _place_of(chance, held), held, "memory_pressure", *args, raises=said)


def _no_quota(chance: random.Random, number: int) -> Job:
    held = chance.choice([h for h in _PLAIN if h.machine.startswith(("c2-", "n2-", "n1-"))])
    kind = CATALOGUE.machines[held.machine]
    region = chance.choice(_REGIONS)
    family = kind.generation
    metric = (
        "custom_model_training_cpus"
        if family in {"n1", "e2"}
        else f"custom_model_training_{family}_cpus"
    )
    words = chance.choice(
        [
            f"The request for {kind.vcpus} {metric} exceeds the quota limit of 0",
            f"Quota 'aiplatform.googleapis.com/{metric}' exceeded. Limit: 0.0 in region {region}.",
        ]
    )
    bad = frozenset({"n1", "e2"} if family in {"n1", "e2"} else {family})
    return _job(number, region, held, "quota", bad_families=bad, quota_words=words)


def _no_place(chance: random.Random, number: int) -> Job:
    held = chance.choice(_DEVICES)
    region = _place_of(chance, held)
    bad = frozenset({region, *chance.sample(_AMERICA, 1)})
    return _job(number, region, held, "capacity_stockout", bad_places=bad, device_gib=4.0)


def _place_for_a_while(chance: random.Random, number: int) -> Job:
    held = chance.choice((*_PLAIN, *_DEVICES))
    region = _place_of(chance, held)
    hours = chance.uniform(0.3, 3.0)
    return _job(
        number, region, held, "capacity_stockout", passes_hours=hours,
        bad_places=frozenset({region}),
    )  # fmt: skip


def _preempted(chance: random.Random, number: int) -> Job:
    held = chance.choice(_PLAIN)
    return _job(
        number, chance.choice(_REGIONS), held, "preemption", preempted=chance.randint(1, 5),
        scheduling={"strategy": "SPOT"},
    )  # fmt: skip


def _device_memory(chance: random.Random, number: int) -> Job:
    held, least, most = chance.choice(
        [
            (Hardware("n1-standard-8", "NVIDIA_TESLA_T4", 1), 16.5, 23.0),
            (Hardware("n1-standard-8", "NVIDIA_TESLA_T4", 1), 25.0, 38.0),
            (Hardware("g2-standard-8", "NVIDIA_L4", 1), 25.0, 38.0),
            (Hardware("g2-standard-24", "NVIDIA_L4", 2), 25.0, 38.0),
            (Hardware("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1), 41.0, 75.0),
        ]
    )
    need = chance.uniform(least, most)
    place = _place_of(chance, held)
    return _job(number, place, held, "gpu_memory", device_gib=need)


def _too_little_time(chance: random.Random, number: int) -> Job:
    held = chance.choice((*_PLAIN, *_DEVICES))
    return _job(
        number, _place_of(chance, held), held, "too_little_time",
        serial_seconds=_TIMEOUT * chance.uniform(1.3, 4.0), cpu_seconds=0.0, steps=True,
    )  # fmt: skip


def _raises(chance: random.Random, number: int) -> Job:
    said = chance.choice(
        [
            "ValueError: operands could not be broadcast together with shapes (64,10) (64,12)",
            "KeyError: 'label'",
            "ModuleNotFoundError: No module named 'trainer.utils'",
            "AssertionError: expected 3 channels",
        ]
    )
    held = chance.choice((*_PLAIN, *_DEVICES))
    return _job(number, _place_of(chance, held), held, "user_code_error", raises=said)


_FAMILIES: Mapping[str, Callable[[random.Random, int], Job]] = {
    "host_memory": _host_memory,
    "host_memory_of_gpu": _host_memory_of_gpu,
    "starved": _starved,
    "absurd": _absurd,
    "own_limit": _own_limit,
    "no_quota": _no_quota,
    "no_place": _no_place,
    "place_for_a_while": _place_for_a_while,
    "preempted": _preempted,
    "device_memory": _device_memory,
    "too_little_time": _too_little_time,
    "raises": _raises,
}


# --- what happens --------------------------------------------------------------------------------------


def first_at(job: Job) -> datetime:
    """When the job's first run is created: one after the other, over thirty days."""
    return BEGINNING + timedelta(days=30) * (job.index / 1000)


def run(job: Job, body: Body, tries: int, at: datetime) -> Ran:
    """The `tries`th run of this workload, created at `at`, where the request says it is to be."""
    sent = {key: value for key, value in body.items() if key != PLACE}
    place = str(body.get(PLACE) or job.region)
    course = _course(job, sent, place, tries, at)
    return told_of(job, sent, course, tries, at, place)


def case_of(ran: Ran, now: datetime) -> Case:
    """What can be read of the run; where its data lie is known."""
    return read_of(ran, now, buckets=ran.job.buckets)


def hardware_of(body: Body) -> Hardware:
    spec = body["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]
    return Hardware(
        spec["machineType"],
        spec.get("acceleratorType") or "",
        int(spec.get("acceleratorCount") or 0),
    )


def _course(job: Job, body: Body, place: str, tries: int, at: datetime) -> Run:
    held, scheduling = hardware_of(body), body["jobSpec"]["scheduling"]
    spot = scheduling.get("strategy") == "SPOT"
    queues = scheduling.get("strategy") == "FLEX_START"
    waited = at - first_at(job) >= timedelta(hours=job.passes_hours or 99)
    refused = _refused(job, held, place, waits=waited or (queues and bool(job.passes_hours)))
    if refused is not None:
        return refused
    if spot and tries <= job.preempted:
        return _fails(held, 700.0, (8, _PREEMPTED), ())
    said = job.raises or _wants_devices(job, held)
    if said:
        return _raised(held, 400.0, said)
    machine = CATALOGUE.machines[held.machine]
    if job.memory_gib > machine.memory_gib * 0.97:
        return _fails(held, 900.0, (9, _KILLED), (), memory=machine.memory_gib)
    seconds = job.cpu_seconds / machine.vcpus + job.serial_seconds + 60
    limit = float(str(scheduling.get("timeout", "604800s")).rstrip("s"))
    cores = min(machine.vcpus, job.cpu_seconds / max(seconds, 1) + bool(job.serial_seconds))
    if seconds > limit:
        lines = tuple(_steps(limit, limit / seconds)) if job.steps else ()
        error = (4, f"The job was stopped: it exceeded its timeout of {limit:.0f}s.")
        return _fails(held, limit, error, lines, cores=cores, memory=job.memory_gib)
    phase = Phase(seconds, cores, job.memory_gib, "work")
    return Run("JOB_STATE_SUCCEEDED", 90.0, seconds, None, (), (phase,), **_on(held))


_PREEMPTED = "The replica workerpool0-0 was preempted: the Spot VM was reclaimed by Compute Engine."
_KILLED = (
    "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137(SIGKILL)."
)


def _refused(job: Job, held: Hardware, place: str, *, waits: bool) -> Run | None:
    """What Vertex says before there is a machine; None: there is one."""
    machine = CATALOGUE.machines.get(held.machine)
    if machine is None or CATALOGUE.why_not(held, Service.TRAINING):
        return _never(3, f"The machine {held} is not supported")
    if machine.generation in job.bad_families:
        return _never(8, job.quota_words)
    unheard = CATALOGUE.offered(held, place, Service.TRAINING) is False and place != job.region
    if unheard or (place in job.bad_places and not waits):
        return _never(
            8,
            f"Resources are insufficient in region: {place}. Try a different region or use a "
            "different accelerator.",
        )
    return None


def _wants_devices(job: Job, held: Hardware) -> str:
    """What the program says where its devices are too few or too small; empty: they are not."""
    device, count = growth.devices_of(CATALOGUE, held)
    if count < job.devices:
        return "RuntimeError: CUDA error: invalid device ordinal: more devices were asked for"
    if job.device_gib and _gib(device) < job.device_gib:
        return (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a "
            f"total capacity of {_gib(device):g} GiB"
        )
    return ""


def _on(held: Hardware) -> dict[str, Any]:
    device, count = growth.devices_of(CATALOGUE, held)
    return {
        "machine": twin_machine(held.machine),
        "gpus": count,
        "gpu_kind": device if count else "",
    }


def _steps(seconds: float, done: float) -> Iterator[tuple[float, str, str, str]]:
    for n in range(1, 41):
        at = seconds * n / 41
        yield at, "INFO", f"step {int(4000 * done * n / 41)}/4000 loss {3 / n:.3f}", "stdout"


def _never(code: int, words: str) -> Run:
    lines = ((0.0, "ERROR", words, "service"),)
    return Run("JOB_STATE_FAILED", 120.0, 0.0, (code, words), lines, started=False)


def _fails(
    held: Hardware,
    seconds: float,
    error: tuple[int, str],
    lines: Iterable[Any],
    *,
    cores: float = 1.0,
    memory: float = 4.0,
) -> Run:
    said = (*lines, (seconds, "ERROR", error[1], "service"))
    phase = Phase(seconds, cores, memory, "work")
    return Run("JOB_STATE_FAILED", 90.0, seconds, error, said, (phase,), **_on(held))


def _raised(held: Hardware, seconds: float, said: str) -> Run:
    lines = [(0.5, "INFO", "starting", "stdout")]
    if "heap" not in said:
        lines += [
            (seconds - 1, "ERROR", "Traceback (most recent call last):", "stderr"),
            (seconds - 1, "ERROR", '  File "train.py", line 41, in main', "stderr"),
        ]
    lines.append((seconds - 0.9, "ERROR", said, "stderr"))
    exited = (
        "The replica workerpool0-0 exited with a non-zero status of 1. Termination reason: Error."
    )
    return _fails(held, seconds, (3, exited), lines)


# --- what was right, and what people do -----------------------------------------------------------------

RIGHT: Mapping[str, frozenset[str]] = {
    "memory_pressure": frozenset({"machine"}),
    "cpu_saturation": frozenset({"machine", "timeout", "accelerator"}),
    "gpu_memory": frozenset({"accelerator"}),
    "quota": frozenset({"machine", "region"}),
    "capacity_stockout": frozenset({"same", "region", "machine", "strategy", "accelerator"}),
    "preemption": frozenset({"same", "strategy"}),
    "too_little_time": frozenset({"timeout"}),
}


def is_right(job: Job, before: Body, after: Body) -> bool:
    """Whether a resubmission's change is a remedy for the true cause; nothing is for what raises."""
    return not job.raises and bool(changes(job, before, after) & RIGHT.get(job.cause, frozenset()))


def changes(job: Job, before: Body, after: Body) -> frozenset[str]:
    found = set()
    old, new = hardware_of(before), hardware_of(after)
    if growth.devices_of(CATALOGUE, old) != growth.devices_of(CATALOGUE, new):
        found.add("accelerator")
    elif old.machine != new.machine:
        found.add("machine")
    for key in ("timeout", "strategy"):
        if before["jobSpec"]["scheduling"].get(key) != after["jobSpec"]["scheduling"].get(key):
            found.add(key)
    if (before.get(PLACE) or job.region) != (after.get(PLACE) or job.region):
        found.add("region")
    return frozenset(found or {"same"})


def losses(job: Job, body: Body) -> tuple[str, ...]:
    """What the request lost of the first job's: devices, their memory, the area of its data."""
    found = []
    had, count = growth.devices_of(CATALOGUE, hardware_of(job.body))
    has, counted = growth.devices_of(CATALOGUE, hardware_of(body))
    if counted < count:
        found.append("devices")
    if count and _gib(has) < _gib(had):
        found.append("device memory")
    place = str(body.get(PLACE) or job.region)
    if place.partition("-")[0] != job.region.partition("-")[0]:
        found.append("locality")
    return tuple(found)


def _gib(device: str) -> float:
    known = CATALOGUE.accelerators.get(device)
    return (known.memory_gib or 0.0) if known else 0.0


def on(body: Body, held: Hardware, place: str = "") -> Body:
    made = copy.deepcopy(body)
    made["jobSpec"]["workerPoolSpecs"][0]["machineSpec"] = machine_spec(held)
    return {**made, PLACE: place} if place else made


def cheapest(job: Job, allowed: Callable[[Hardware], bool] = lambda _: True) -> Body | None:
    """Of every size, place and time, the cheapest request on which the job succeeds."""
    found: list[tuple[float, Body]] = []
    at = first_at(job) + timedelta(hours=max(job.passes_hours, 0.5))
    for body in _candidates(job):
        if not allowed(hardware_of(body)):
            continue
        ran = run(job, body, 9, at)
        if ran.succeeded:
            found.append((ran.usd, body))
    return min(found, key=lambda one: one[0])[1] if found else None


def _candidates(job: Job) -> Iterator[Body]:
    if job.raises:
        return
    yield job.body
    demand = copy.deepcopy(job.body)
    demand["jobSpec"]["scheduling"].pop("strategy", None)
    yield demand
    if job.serial_seconds:
        longer = copy.deepcopy(job.body)
        longer["jobSpec"]["scheduling"]["timeout"] = f"{(job.serial_seconds + 120) * 1.2:.0f}s"
        yield longer
    for place in _REGIONS if job.bad_places else ():
        if place.partition("-")[0] == job.region.partition("-")[0]:
            yield {**job.body, PLACE: place}
    held = hardware_of(job.body)
    for machine in CATALOGUE.machines.values():
        if Service.TRAINING not in machine.services or machine.name in growth.SMALL_H100:
            continue
        if machine.device and machine.accelerator in _RANKED and job.devices:
            yield on(job.body, growth.bare(machine))
        elif not machine.device and (
            not job.devices or (held.accelerator and machine.generation == "n1")
        ):
            yield on(
                job.body,
                Hardware(machine.name, held.accelerator, held.count)
                if not CATALOGUE.machines[held.machine].device
                else Hardware(machine.name),
            )


def remedy(job: Job, body: Body, made: int) -> Body | None:
    """What a good engineer does who is told the cause and the message, not the needs."""
    held = hardware_of(body)
    ground = growth.Ground(CATALOGUE, held, Service.TRAINING, str(body.get(PLACE) or job.region))
    if job.raises or made > 6:
        return None
    if job.cause == "memory_pressure":
        moved: Any = growth.more_memory(ground)
    elif job.cause == "cpu_saturation":
        moved = growth.bigger(ground)
    elif job.cause == "gpu_memory":
        moved = CATALOGUE.accelerator_more_memory(held, Service.TRAINING, job.region)
    elif job.cause == "quota":
        kind = ground.kind
        others = [
            h
            for h in ground.candidates()
            if ground.machine(h).generation not in job.bad_families
            and ground.machine(h).vcpus >= kind.vcpus
            and ground.machine(h).memory_gib >= kind.memory_gib
        ]
        chosen = ground.cheapest(others)
        return on(body, chosen) if chosen else None
    elif job.cause == "capacity_stockout":
        tried = {job.region, *([str(body[PLACE])] if PLACE in body else [])}
        near = [r for r in _REGIONS if r.partition("-")[0] == job.region.partition("-")[0]]
        left = [r for r in near[made - 1 :] if r not in tried]
        return {**body, PLACE: left[0]} if left else {**body, PLACE: job.region}
    elif job.cause == "too_little_time":
        longer = copy.deepcopy(body)
        seconds = 2 * float(longer["jobSpec"]["scheduling"]["timeout"].rstrip("s"))
        longer["jobSpec"]["scheduling"]["timeout"] = f"{seconds:.0f}s"
        return longer
    else:
        demand = copy.deepcopy(body)
        demand["jobSpec"]["scheduling"].pop("strategy", None)
        return demand
    return (
        on(body, moved.hardware, str(body.get(PLACE) or "")) if hasattr(moved, "hardware") else None
    )
