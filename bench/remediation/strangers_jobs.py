"""The jobs of the fleet `strangers`: how each is drawn, and how often. Every number is chosen."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bench.remediation.requests import machine_spec, scheduling_of
from bench.remediation.strangers_physics import (
    BATCH,
    CATALOGUE,
    DEVICE_GIB,
    FOREVER,
    SPEED,
    USABLE,
    Body,
    Demand,
    Fate,
    drawn,
    shape,
    thing_of,
)
from remediator.catalog.catalog import Hardware, Service

REGIONS = {
    "us-central1": 30, "us-east1": 10, "us-east4": 8, "us-west1": 10, "us-west4": 5,
    "europe-west4": 15, "europe-west1": 6, "europe-west2": 4, "asia-southeast1": 7,
    "asia-east1": 3, "me-west1": 2,
}  # fmt: skip
"""Regions that the fleet's projects use, by weight."""
AREAS = {
    "US": ("us-central1", "us-east1", "us-east4", "us-west1", "us-west4"),
    "EU": ("europe-west4", "europe-west1"),
    "ASIA": ("asia-southeast1", "asia-east1"),
}
"""Multi-regions of buckets, with the regions of the fleet that lie in them."""


@dataclass(frozen=True, slots=True)
class Job:
    """One failing job. `mends`: the kinds of change that are a remedy; `data`: where its bucket lies."""

    index: int
    cause: str
    kind: str
    body: Body
    region: str
    demand: Demand
    fate: Fate
    mends: frozenset[str]
    data: str
    bucket: str
    server_says: str = ""
    telemetry: bool = False
    loses_metrics: bool = False
    loses_logs: bool = False
    model: Body = field(default_factory=dict)
    says: str = ""
    passes_hours: float = 0.0


HOSTS = frozenset({"machine"})
PLAIN = (
    "n1-standard-4", "n1-standard-8", "n1-standard-16", "n1-highmem-4", "n1-highmem-8", "n1-highcpu-16",
    "n2-standard-4", "n2-standard-8", "n2-standard-16", "n2-highmem-8", "e2-standard-4",
    "e2-standard-8", "e2-highmem-8", "e2-standard-16", "c2-standard-8", "c2-standard-16", "n4-standard-8",
)  # fmt: skip
DEVICES = (
    (Hardware("n1-standard-4", "NVIDIA_TESLA_T4", 1), 8),
    (Hardware("n1-standard-8", "NVIDIA_TESLA_T4", 1), 10),
    (Hardware("n1-highmem-8", "NVIDIA_TESLA_T4", 1), 4),
    (Hardware("n1-standard-16", "NVIDIA_TESLA_T4", 2), 4),
    (Hardware("n1-standard-32", "NVIDIA_TESLA_T4", 4), 2),
    (Hardware("n1-standard-8", "NVIDIA_TESLA_P4", 1), 1),
    (Hardware("n1-standard-8", "NVIDIA_TESLA_V100", 1), 5),
    (Hardware("n1-standard-16", "NVIDIA_TESLA_V100", 2), 2),
    (Hardware("g2-standard-4", "NVIDIA_L4", 1), 8),
    (Hardware("g2-standard-8", "NVIDIA_L4", 1), 10),
    (Hardware("g2-standard-12", "NVIDIA_L4", 1), 6),
    (Hardware("g2-standard-24", "NVIDIA_L4", 2), 3),
    (Hardware("g2-standard-48", "NVIDIA_L4", 4), 2),
    (Hardware("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1), 9),
    (Hardware("a2-highgpu-2g", "NVIDIA_TESLA_A100", 2), 2),
    (Hardware("a2-highgpu-8g", "NVIDIA_TESLA_A100", 8), 1),
    (Hardware("a2-ultragpu-1g", "NVIDIA_A100_80GB", 1), 5),
    (Hardware("a3-highgpu-8g", "NVIDIA_H100_80GB", 8), 2),
)
"""Machines with accelerators that jobs run on, by weight."""


def _region(chance: random.Random, hardware: Hardware, service: Service) -> str:
    """One of the regions that offer the hardware."""
    there = {r: w for r, w in REGIONS.items() if CATALOGUE.offered(hardware, r, service)}
    return chance.choices(list(there), list(there.values()))[0]


def _data(chance: random.Random, region: str) -> str:
    """Where the bucket lies: mostly the job's region, else its multi-region."""
    area = next((name for name, regions in AREAS.items() if region in regions), "")
    return area if area and chance.random() < 0.4 else region.upper()


def _plain(chance: random.Random) -> Hardware:
    return Hardware(chance.choice(PLAIN))


def _device(chance: random.Random, least_gib: float = 0.0) -> Hardware:
    fitting = [(h, w) for h, w in DEVICES if DEVICE_GIB[h.accelerator] >= least_gib]
    return chance.choices([h for h, _ in fitting], [w for _, w in fitting])[0]


def custom(
    chance: random.Random, hardware: Hardware, cause: str, demand: Demand, fate: Fate,
    mends: frozenset[str] = frozenset(), *, hours: float | None = None, strategy: str = "",
    disk: int = 100, region: str = "", data: str = "",
) -> Job:  # fmt: skip
    """A custom job; `hours`: its own time-out."""
    region = region or _region(chance, hardware, Service.TRAINING)
    data = data or _data(chance, region)
    name = f"{chance.choice(_STEMS)}-{chance.randrange(1000)}"
    bucket = f"{name}-data"
    workers = chance.choices((1, 2, 4), (90, 6, 4))[0]
    pool = {
        "machineSpec": machine_spec(hardware),
        "replicaCount": "1",
        "containerSpec": {
            "imageUri": f"us-docker.pkg.dev/example-project/ml/{name}:1",
            "args": [f"--data=gs://{bucket}/train", "--epochs=20"],
        },
        "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": disk},
    }
    pools = [pool]
    if workers > 1:
        pools.append({**pool, "replicaCount": str(workers - 1)})
    spec: Body = {
        "workerPoolSpecs": pools,
        "baseOutputDirectory": {"outputUriPrefix": f"gs://{bucket}/out"},
    }
    if scheduling := scheduling_of(hours, strategy):
        spec["scheduling"] = scheduling
    body = {"displayName": name, "jobSpec": spec}
    return Job(0, cause, "customJobs", body, region, demand, fate, mends, data, bucket)


def batch(
    chance: random.Random, hardware: Hardware, cause: str, demand: Demand, fate: Fate,
    mends: frozenset[str] = frozenset(), *, size: int = 64, says: str = "", spot: bool = False,
) -> Job:  # fmt: skip
    """A batch prediction of a custom model."""
    region = _region(chance, hardware, Service.PREDICTION)
    name = f"{chance.choice(_STEMS)}-{chance.randrange(1000)}"
    bucket = f"{name}-data"
    model = f"projects/123456789012/locations/{region}/models/{chance.randrange(10**9, 10**10)}"
    resources: Body = {"machineSpec": machine_spec(hardware), "startingReplicaCount": chance.choice((1, 1, 2, 4)),
                       "maxReplicaCount": 10}  # fmt: skip
    if spot:
        resources["spot"] = True
    body: Body = {
        "displayName": name,
        "model": model,
        "modelVersionId": "1",
        "inputConfig": {
            "instancesFormat": "jsonl",
            "gcsSource": {"uris": [f"gs://{bucket}/in.jsonl"]},
        },
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": f"gs://{bucket}/out"},
        },
        "dedicatedResources": resources,
    }
    if size != 64:
        body["manualBatchTuningParameters"] = {"batchSize": size}
    image = {
        "name": model,
        "versionId": "1",
        "displayName": name,
        "containerSpec": {"imageUri": f"us-docker.pkg.dev/example-project/ml/{name}-server:1"},
    }
    return Job(0, cause, BATCH, body, region, demand, fate, mends, region.upper(), bucket,
               server_says=says, model=image)  # fmt: skip


_STEMS = ("variant-caller", "segmentation", "churn", "protein-fold", "ranker", "speech", "forecast",
          "embedder", "basecaller", "retina", "fraud", "crop-yield")  # fmt: skip


# --- memory ----------------------------------------------------------------------------------------


def host_memory(chance: random.Random) -> Job:
    """A plain machine's memory runs out: by a fixed part, or by processes, one for each vCPU."""
    return _memory(chance, _plain(chance), Demand(vcpu_hours=drawn(chance, 2, 40)))


def device_host_memory(chance: random.Random) -> Job:
    """The memory of a machine with accelerators runs out: its devices are not to blame, and must stay."""
    hardware = _device(chance)
    held = DEVICE_GIB[hardware.accelerator]
    demand = Demand(vcpu_hours=1.0, device_hours=drawn(chance, 1, 20) * hardware.count,
                    device_gib=held * chance.uniform(0.5, 0.95), wants_device=True)  # fmt: skip
    return _memory(chance, hardware, demand)


def _memory(chance: random.Random, hardware: Hardware, demand: Demand) -> Job:
    kind = shape(hardware)
    factor = drawn(chance, 1.05, 4.5)
    whole = kind.memory_gib * USABLE * factor
    if chance.random() < 0.3:
        per = whole * 0.8 / kind.vcpus
        fixed = kind.vcpus if chance.random() < 0.6 else 0
        demand = replace(demand, base_gib=whole * 0.2, process_gib=per, processes=fixed)
    else:
        demand = replace(demand, base_gib=whole)
    demand = replace(demand, peak_at=chance.uniform(0.1, 0.9))
    death = chance.choices(("service", "child", "program", "silent"), (50, 20, 12, 18))[0]
    fate = Fate(
        death=death, units=chance.choice((0, 200, 5000)), unit=chance.choice(("step", "batch"))
    )
    return custom(chance, hardware, "memory_pressure", demand, fate, HOSTS)


def absurd(chance: random.Random) -> Job:
    """One request for more than any machine has."""
    lines = chance.choice((
        ("Traceback (most recent call last):", '  File "/app/train.py", line 5, in <module>',
         ("numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.28 TiB for an array with "
         "shape (1000000, 1000000) and data type float64")),
        ("Traceback (most recent call last):", '  File "/app/train.py", line 7, in <module>',
         ("RuntimeError: [enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't "
         "allocate memory: you tried to allocate 16000000000000 bytes. Error code 12 (Cannot allocate "
         "memory)")),
    ))  # fmt: skip
    hardware = _plain(chance) if chance.random() < 0.5 else _device(chance)
    return custom(chance, hardware, "memory_pressure", Demand(), Fate(raises=lines))


def own_limit(chance: random.Random) -> Job:
    """A limit that the program sets itself, or that no machine moves: shared memory."""
    lines = chance.choice((
        ('Exception in thread "main" java.lang.OutOfMemoryError: Java heap space', "\tat Oom.main(Oom.java:4)"),
        ("FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory",),
        (("RuntimeError: unable to allocate shared memory(shm) for file </torch_4_3240447549_0>: "
         "No space left on device (28)"),),
        (("ERROR: Unexpected bus error encountered in worker. This might be caused by insufficient "
         "shared memory (shm)."),),
        ("py4j.protocol.Py4JJavaError: An error occurred while calling o37.collectToPython.",
         ": java.lang.OutOfMemoryError: Java heap space"),
    ))  # fmt: skip
    hardware = _plain(chance) if chance.random() < 0.5 else _device(chance)
    return custom(chance, hardware, "memory_pressure", Demand(vcpu_hours=2), Fate(raises=lines))


def device_memory(chance: random.Random) -> Job:
    """Device memory runs out in training; more of it on each device is what fixes."""
    hardware = _device(chance)
    held = DEVICE_GIB[hardware.accelerator]
    demand = Demand(base_gib=shape(hardware).memory_gib * 0.4, vcpu_hours=1.0, wants_device=True,
                    device_hours=drawn(chance, 1, 15) * hardware.count,
                    device_gib=held * drawn(chance, 1.05, 3.0))  # fmt: skip
    return custom(chance, hardware, "gpu_memory", demand, Fate(units=500, unit="step"),
                  frozenset({"accelerator"}))  # fmt: skip


def no_device(chance: random.Random) -> Job:
    """Code that wants a GPU, on a machine without one."""
    hardware = Hardware(
        chance.choice(("n1-standard-4", "n1-standard-8", "n2-standard-8", "e2-standard-8"))
    )
    demand = Demand(base_gib=drawn(chance, 3, 12), wants_device=True, device_hours=drawn(chance, 0.5, 8),
                    device_gib=drawn(chance, 4, 20))  # fmt: skip
    return custom(
        chance, hardware, "accelerator_missing", demand, Fate(), frozenset({"accelerator"})
    )


# --- time ------------------------------------------------------------------------------------------


def starved(chance: random.Random) -> Job:
    """Full CPUs at the job's own time-out; more of them fix it, more time would too."""
    hardware = _plain(chance)
    limit = drawn(chance, 1, 12)
    kind = shape(hardware)
    serial = chance.choice((0.0, 0.02, 0.05))
    whole = limit * drawn(chance, 1.1, 3.0) / (serial + (1 - serial) / kind.vcpus)
    demand = Demand(base_gib=kind.memory_gib * 0.4, vcpu_hours=whole, serial=serial)
    fate = Fate(
        units=chance.choice((0, 0, 400)), cut=chance.choice(("error", "silent")), unit="chunk"
    )
    return custom(chance, hardware, "cpu_saturation", demand, fate, frozenset({"machine", "timeout"}),
                  hours=limit)  # fmt: skip


def cut_short(chance: random.Random) -> Job:
    """Steady work on devices that its own time-out cuts; the log counts the steps."""
    hardware = _device(chance)
    limit = drawn(chance, 1, 10)
    speed = SPEED[hardware.accelerator] * hardware.count
    demand = Demand(
        base_gib=shape(hardware).memory_gib * 0.4,
        vcpu_hours=0.3,
        wants_device=True,
        device_gib=DEVICE_GIB[hardware.accelerator] * 0.6,
        device_hours=limit * speed * drawn(chance, 1.15, 3.5),
    )
    fate = Fate(units=chance.choice((60, 1000, 20000)), unit=chance.choice(("step", "epoch", "batch")),
                cut=chance.choice(("error", "silent")))  # fmt: skip
    return custom(chance, hardware, "unknown", demand, fate, frozenset({"timeout"}), hours=limit)


# --- places, quotas, spot, services ----------------------------------------------------------------


def _dry(hardware: Hardware, region: str, hours: float) -> Mapping[tuple[str, str], float]:
    return {(region, thing_of(hardware)): hours}


def dry_for_a_while(chance: random.Random) -> Job:
    hardware = _device(chance) if chance.random() < 0.8 else _plain(chance)
    return _in_a_dry_place(chance, hardware, drawn(chance, 0.3, 4.5))


def dry_for_good(chance: random.Random) -> Job:
    """No such machine in the region within any time that matters; elsewhere, or another one, is."""
    return _in_a_dry_place(chance, _device(chance), FOREVER)


def _in_a_dry_place(chance: random.Random, hardware: Hardware, hours: float) -> Job:
    region = _region(chance, hardware, Service.TRAINING)
    demand = Demand(base_gib=shape(hardware).memory_gib * 0.5, wants_device=bool(hardware.count),
                    device_gib=DEVICE_GIB.get(hardware.accelerator, 0) * 0.8,
                    device_hours=hardware.count * 4.0, vcpu_hours=4.0)  # fmt: skip
    mends = frozenset({"same", "place", "machine", "accelerator", "spot"})
    fate = Fate(dry=_dry(hardware, region, hours))
    return custom(chance, hardware, "capacity_stockout", demand, fate, mends, region=region)


METRICS = {
    "NVIDIA_TESLA_T4": "nvidia_t4_gpus", "NVIDIA_TESLA_V100": "nvidia_v100_gpus", "NVIDIA_L4": "nvidia_l4_gpus",
    "NVIDIA_TESLA_A100": "nvidia_a100_gpus", "NVIDIA_A100_80GB": "nvidia_a100_80gb_gpus",
    "NVIDIA_H100_80GB": "nvidia_h100_gpus", "NVIDIA_TESLA_P4": "nvidia_p4_gpus",
    "n2": "n2_cpus", "c2": "c2_cpus", "e2": "e2_cpus", "n1": "cpus", "n4": "n4_cpus",
}  # fmt: skip


def _quota_words(hardware: Hardware) -> str:
    metric = METRICS[thing_of(hardware)]
    return (
        "The following quota metrics exceed quota limits: "
        f"aiplatform.googleapis.com/custom_model_training_{metric}"
    )


def _under_quota(chance: random.Random, hardware: Hardware, hours: float, limit: int) -> Job:
    demand = Demand(base_gib=shape(hardware).memory_gib * 0.5, wants_device=bool(hardware.count),
                    device_gib=DEVICE_GIB.get(hardware.accelerator, 0) * 0.8,
                    device_hours=hardware.count * 4.0, vcpu_hours=4.0)  # fmt: skip
    says = _quota_words(hardware)
    if not hours and chance.random() < 0.5:
        says = f"Quota '{METRICS[thing_of(hardware)].upper()}' exceeded.  Limit: {limit}.0"
    fate = Fate(quota={thing_of(hardware): limit}, quota_hours=hours, quota_says=says)
    mends = frozenset({"same"}) if hours else frozenset({"machine", "accelerator"})
    return custom(chance, hardware, "quota", demand, fate, mends)


def quota_used_up(chance: random.Random) -> Job:
    hardware = _device(chance) if chance.random() < 0.6 else _plain(chance)
    return _under_quota(chance, hardware, drawn(chance, 0.3, 4.0), 0)


def quota_of_nothing(chance: random.Random) -> Job:
    """A quota whose limit is 0, as that of C2 or of large accelerators is in new projects."""
    rare = [Hardware("c2-standard-4"), Hardware("c2-standard-8"), Hardware("c2-standard-16")]
    rare += [
        h
        for h, _ in DEVICES
        if h.accelerator in {"NVIDIA_TESLA_A100", "NVIDIA_TESLA_V100", "NVIDIA_L4"}
    ]
    return _under_quota(chance, chance.choice(rare), 0.0, 0)


def taken_back(chance: random.Random) -> Job:
    """A spot machine that is taken back, once to four times."""
    hardware = _device(chance) if chance.random() < 0.6 else _plain(chance)
    demand = Demand(base_gib=shape(hardware).memory_gib * 0.4, wants_device=bool(hardware.count),
                    device_gib=DEVICE_GIB.get(hardware.accelerator, 0) * 0.7,
                    device_hours=hardware.count * drawn(chance, 1, 10), vcpu_hours=6.0)  # fmt: skip
    says = chance.choice(("Instance was preempted.", "Error. The machine was preempted."))
    fate = Fate(taken_back=chance.randint(1, 4), taken_says=says, units=300)
    return custom(
        chance, hardware, "preemption", demand, fate, frozenset({"same", "spot"}), strategy="SPOT"
    )


def service_down(chance: random.Random) -> Job:
    """The service fails for a while, in its own words or through the program's last line."""
    code, words, lines = chance.choice((
        (13, "Internal error occurred for the current attempt", ()),
        (14, "Router status is temporarily unavailable. Please try again later", ()),
        (13, "Internal error encountered.", ()),
        (3, "The replica workerpool0-0 exited with a non-zero status of 1. Termination reason: Error.",
         ("google.api_core.exceptions.ServiceUnavailable: 503 The service is currently unavailable.",)),
        (3, "The replica workerpool0-0 exited with a non-zero status of 1. Termination reason: Error.",
         (("requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: "
          "https://storage.googleapis.com/storage/v1/b/data/o"),)),
    ))  # fmt: skip
    hardware = _device(chance) if chance.random() < 0.4 else _plain(chance)
    demand = Demand(base_gib=shape(hardware).memory_gib * 0.4, device_hours=hardware.count * 2.0, vcpu_hours=4.0,
                    device_gib=DEVICE_GIB.get(hardware.accelerator, 0) * 0.5)  # fmt: skip
    fate = Fate(down_hours=drawn(chance, 0.1, 2.5), down_says=(code, words), down_lines=lines)
    return custom(chance, hardware, "transient_backend", demand, fate, frozenset({"same"}))


def disk(chance: random.Random) -> Job:
    hardware = _device(chance) if chance.random() < 0.5 else _plain(chance)
    demand = Demand(base_gib=shape(hardware).memory_gib * 0.4, device_hours=hardware.count * 2.0, vcpu_hours=4.0,
                    device_gib=DEVICE_GIB.get(hardware.accelerator, 0) * 0.5,
                    disk_gb=100 * drawn(chance, 0.95, 3.5))  # fmt: skip
    return custom(chance, hardware, "disk_full", demand, Fate(units=100), frozenset({"disk"}))


def far_data(chance: random.Random) -> Job:
    """Data in another region: most of the time goes to fetching it, and the time-out cuts the job."""
    hardware = _plain(chance)
    region = _region(chance, hardware, Service.TRAINING)
    other = chance.choice(
        [one for one in REGIONS if one != region and one.split("-")[0] != region.split("-")[0]]
    )
    limit = drawn(chance, 1.5, 6)
    demand = Demand(
        base_gib=shape(hardware).memory_gib * 0.3, vcpu_hours=limit * 0.3, fetch_hours=limit * 2
    )
    return custom(chance, hardware, "network_latency", demand, Fate(), frozenset({"place"}),
                  hours=limit, region=region, data=other.upper())  # fmt: skip


# --- batches ---------------------------------------------------------------------------------------

SERVERS = (
    "n1-standard-4",
    "n1-standard-8",
    "n2-standard-4",
    "n2-highmem-4",
    "n1-highmem-4",
    "n1-standard-2",
)


def batch_too_large(chance: random.Random) -> Job:
    hardware = Hardware(chance.choice(SERVERS))
    size = chance.choice((16, 32, 64, 64, 128))
    cores = min(4, max(1, shape(hardware).vcpus - 1))
    row = 600 * drawn(chance, 1.1, 7.0) * cores / size
    demand = Demand(base_gib=shape(hardware).memory_gib * 0.4, row_seconds=row)
    return batch(
        chance,
        hardware,
        "request_too_large",
        demand,
        Fate(),
        frozenset({"batch", "machine"}),
        size=size,
    )


def batch_memory(chance: random.Random) -> Job:
    hardware = Hardware(chance.choice(SERVERS))
    room = shape(hardware).memory_gib * USABLE
    over = drawn(chance, 1.05, 3.0)
    rows = chance.uniform(0.5, 0.95)  # the part of it that the batch takes
    demand = Demand(
        base_gib=room * over * (1 - rows), row_gib=room * over * rows / 64, row_seconds=2.0
    )
    says = chance.choice((("[2026-10-02 09:27:50 +0000] [4998] [ERROR] Worker (pid:6375) was sent SIGKILL! "
                          "Perhaps out of memory?"), "INFO:     Child process [27665] died", ""))  # fmt: skip
    return batch(
        chance,
        hardware,
        "memory_pressure",
        demand,
        Fate(),
        frozenset({"batch", "machine"}),
        says=says,
    )


def batch_device_memory(chance: random.Random) -> Job:
    hardware = chance.choice(
        [
            h
            for h, _ in DEVICES
            if h.count == 1 and h.accelerator in {"NVIDIA_TESLA_T4", "NVIDIA_L4"}
        ]
    )
    held = DEVICE_GIB[hardware.accelerator]
    fixed = held * chance.uniform(0.2, 0.9)
    over = held * drawn(chance, 1.1, 4.0)
    demand = Demand(base_gib=6, device_gib=fixed, row_device_gib=max(0.02, (over - fixed) / 64),
                    row_device_seconds=1.0, wants_device=True)  # fmt: skip
    return batch(
        chance, hardware, "gpu_memory", demand, Fate(), frozenset({"batch", "accelerator"})
    )


def batch_no_device(chance: random.Random) -> Job:
    hardware = Hardware(chance.choice(SERVERS))
    demand = Demand(
        base_gib=4, wants_device=True, device_gib=drawn(chance, 3, 20), row_device_seconds=0.5
    )
    return batch(
        chance, hardware, "accelerator_missing", demand, Fate(), frozenset({"accelerator"})
    )


def batch_slow_start(chance: random.Random) -> Job:
    hardware = Hardware(chance.choice(("n1-standard-2", "n1-standard-4", "n2-standard-4")))
    cores = shape(hardware).vcpus - 1
    demand = Demand(
        base_gib=4, load_core_seconds=2400 * cores * drawn(chance, 1.1, 2.6), row_seconds=1.0
    )
    return batch(chance, hardware, "slow_startup", demand, Fate(), HOSTS)


# --- what nothing fixes ----------------------------------------------------------------------------

_BUGS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "user_code_error": (
        ("Traceback (most recent call last):", '  File "/app/train.py", line 9, in <module>',
         "NameError: name 'val_loss' is not defined"),
        ("Traceback (most recent call last):", '  File "/app/train.py", line 5, in <module>',
         "RuntimeError: mat1 and mat2 shapes cannot be multiplied (8x64 and 32x2)"),
        ("Traceback (most recent call last):", '  File "/app/train.py", line 8, in <module>',
         "TypeError: unsupported operand type(s) for +: 'int' and 'str'"),
    ),
    "bad_input": (
        ("Traceback (most recent call last):", '  File "/usr/local/lib/python3.11/gzip.py", line 518, in read',
         "EOFError: Compressed file ended before the end-of-stream marker was reached"),
        (("pyarrow.lib.ArrowInvalid: Could not open Parquet input source '/app/v.parquet': Parquet magic "
         "bytes not found in footer. Either the file is corrupted or this is not a parquet file."),),
        ("Traceback (most recent call last):", "json.decoder.JSONDecodeError: Expecting value: line 1 column 18 (char 17)"),
    ),
    "permission": (
        ("Traceback (most recent call last):", '  File "/app/train.py", line 5, in <module>',
         "PermissionError: [Errno 13] Permission denied: '/app/labels.csv'"),
        (("google.api_core.exceptions.Forbidden: 403 trainer@example-project.iam.gserviceaccount.com does "
         "not have storage.objects.list access to the Cloud Storage bucket."),),
    ),
    "invalid_config": (
        ("Traceback (most recent call last):", '  File "<frozen os>", line 679, in __getitem__',
         "KeyError: 'TRAINING_DATA_URI'"),
        ("/app/run.sh: line 4: OUTPUT_DIR: unbound variable",),
        ("OSError: libseqan.so.3: cannot open shared object file: No such file or directory",),
    ),
}  # fmt: skip


def hopeless(chance: random.Random) -> Job:
    """A bug, bad data, a missing right, a wrong setting: nothing that a resubmission changes fixes it."""
    cause = chance.choice(list(_BUGS))
    fate = Fate(raises=chance.choice(_BUGS[cause]), units=chance.choice((0, 0, 300)))
    if chance.random() < 0.25:
        hardware = Hardware(chance.choice(SERVERS))
        return batch(chance, hardware, cause, Demand(base_gib=2, row_seconds=1.0), fate)
    hardware = _device(chance) if chance.random() < 0.4 else _plain(chance)
    demand = Demand(base_gib=shape(hardware).memory_gib * 0.4, device_hours=hardware.count * 2.0, vcpu_hours=4.0,
                    device_gib=DEVICE_GIB.get(hardware.accelerator, 0) * 0.5)  # fmt: skip
    return custom(chance, hardware, cause, demand, fate)


MIXES: Mapping[str, Mapping[Callable[[random.Random], Job], Any]] = {
    "even": {
        host_memory: 9, device_host_memory: 13, absurd: 3, own_limit: 4, device_memory: 7, no_device: 4,
        starved: 6, cut_short: 6, dry_for_a_while: 5, dry_for_good: 5, quota_used_up: 4,
        quota_of_nothing: 4, taken_back: 5, service_down: 6, disk: 4, far_data: 2, batch_too_large: 5,
        batch_memory: 5, batch_device_memory: 4, batch_no_device: 2, batch_slow_start: 3, hopeless: 14,
    }
}  # fmt: skip
"""How often each kind of failure is drawn."""
