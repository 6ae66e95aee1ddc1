"""How a job of the fleet `visitors` is drawn: its hardware, its region, its words, its request. Every number is chosen."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

from bench.remediation import visitors_words as words
from bench.remediation.requests import machine_spec, scheduling_of
from bench.remediation.visitors_physics import (
    DEVICE_GIB,
    Body,
    Fate,
    Held,
    Job,
    Program,
    Stage,
    drawn,
    shape,
    speed,
)
from bench.remediation.visitors_places import (
    AREAS,
    CATALOGUE,
    REGIONS,
    is_near,
    meter_of,
    needed,
)
from remediator.catalog.catalog import Hardware, Service

PLAIN = (
    ("n1-standard-4", 8), ("n1-standard-8", 8), ("n1-standard-16", 5), ("n1-highmem-8", 4), ("n1-highcpu-16", 2),
    ("n2-standard-8", 7), ("n2-standard-16", 5), ("n2-highmem-8", 4), ("n2-highcpu-32", 2), ("e2-standard-4", 6),
    ("e2-standard-8", 6), ("e2-highmem-4", 3), ("e2-standard-16", 3), ("c2-standard-8", 3), ("c2-standard-30", 2),
    ("n4-standard-8", 4), ("n4-highmem-16", 2), ("m1-ultramem-40", 1),
)  # fmt: skip
DEVICES = (
    (Hardware("n1-standard-4", "NVIDIA_TESLA_T4", 1), 7), (Hardware("n1-standard-8", "NVIDIA_TESLA_T4", 1), 7),
    (Hardware("n1-highmem-4", "NVIDIA_TESLA_T4", 1), 2), (Hardware("n1-standard-16", "NVIDIA_TESLA_T4", 2), 3),
    (Hardware("n1-standard-8", "NVIDIA_TESLA_V100", 1), 4), (Hardware("n1-standard-32", "NVIDIA_TESLA_V100", 4), 1),
    (Hardware("n1-standard-8", "NVIDIA_TESLA_P4", 1), 1),
    (Hardware("g2-standard-4", "NVIDIA_L4", 1), 7), (Hardware("g2-standard-8", "NVIDIA_L4", 1), 8),
    (Hardware("g2-standard-16", "NVIDIA_L4", 1), 4), (Hardware("g2-standard-24", "NVIDIA_L4", 2), 4),
    (Hardware("g2-standard-48", "NVIDIA_L4", 4), 3), (Hardware("g2-standard-96", "NVIDIA_L4", 8), 1),
    (Hardware("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1), 8), (Hardware("a2-highgpu-4g", "NVIDIA_TESLA_A100", 4), 2),
    (Hardware("a2-highgpu-8g", "NVIDIA_TESLA_A100", 8), 1), (Hardware("a2-ultragpu-1g", "NVIDIA_A100_80GB", 1), 4),
    (Hardware("a2-ultragpu-4g", "NVIDIA_A100_80GB", 4), 1), (Hardware("a3-highgpu-1g", "NVIDIA_H100_80GB", 1), 2),
    (Hardware("a3-highgpu-8g", "NVIDIA_H100_80GB", 8), 3), (Hardware("g4-standard-48", "NVIDIA_RTX_PRO_6000", 1), 1),
)  # fmt: skip
TPUS = ("ct5lp-hightpu-1t", "ct5lp-hightpu-4t", "ct5lp-hightpu-8t")
TEAMS = 6
_MOST_USD = 150.0  # so that no single job decides a fleet's money


@dataclass(slots=True)
class Draw:
    """What a job is drawn with: its family's chance, the fleet's seed, its hour, its team."""

    chance: random.Random
    seed: int
    hour: float
    team: int
    name: str

    @property
    def home(self) -> str:
        pick = random.Random(f"visitors/{self.seed}/{self.team}/home")
        return pick.choices(list(REGIONS), list(REGIONS.values()))[0]

    def pick(self, pairs: Any) -> Any:
        return self.chance.choices([one for one, _ in pairs], [weight for _, weight in pairs])[0]

    def plain(self) -> Hardware:
        return Hardware(self.pick(PLAIN))

    def device(self, *, least: float = 0.0, most: float = 1e9) -> Hardware:
        fitting = [(h, w) for h, w in DEVICES if least <= DEVICE_GIB[h.accelerator] <= most]
        return self.pick(fitting)

    def region(self, hardware: Hardware, service: Service) -> str:
        """The team's home, or where the hardware is offered."""
        if self.chance.random() < 0.75 and CATALOGUE.offered(hardware, self.home, service):
            return self.home
        there = [(r, w) for r, w in REGIONS.items() if CATALOGUE.offered(hardware, r, service)]
        return self.pick(there)

    def scale(self, low: float, high: float) -> float:
        return drawn(self.chance, low, high)

    def hours(self, hardware: Hardware, low: float, high: float) -> float:
        """Of a run, which on the largest machines costs no more than `_MOST_USD`."""
        rate = CATALOGUE.rank_price(hardware, self.home)
        return min(self.scale(low, high), max(0.3, _MOST_USD / rate))


_STEMS = ("etl", "dedup", "finetune", "rerank", "joint-call", "gwas", "demand", "captioner", "upscale", "lidar",
          "recsys", "tokenise", "climate", "docking", "pricing", "ocr")  # fmt: skip


def words_of(draw: Draw, stack: str) -> dict[str, Any]:
    """What the job would print of each end that it may meet."""
    chance = draw.chance
    gpu = stack if stack in words.DEVICE_MEMORY else chance.choice(("torch", "tf", "jax"))
    progress = {"torch": ("tqdm", "hf", ""), "tf": ("keras",), "jax": ("jax",), "spark": ("spark",),
                "genomics": ("bwa", ""), "jvm": ("spark", "")}  # fmt: skip
    down = (
        ("service", chance.choice(words.SERVICE_ERRORS))
        if chance.random() < 0.45
        else ("lines", chance.choice(words.SERVICE_LINES))
    )
    style = chance.choice(progress.get(stack, ("parts", "parts", "")))
    begins = {
        "hf": (
            "***** Running training *****",
            "  Num Epochs = 3",
            "  Total optimization steps = 2,000",
        ),
        "jax": ("I1201 train.py:88] training for 2000 steps",),
    }
    return {
        "memory": chance.choice(words.KILLED.get(stack, words.KILLED["pandas"])),
        "service_tells": chance.random() < 0.7,
        "gpu": words.DEVICE_MEMORY[gpu],
        "no_device": chance.choice(words.NO_DEVICE),
        "slow": chance.choice(words.SLOW_WITHOUT),
        "disk": chance.choice(words.DISK_FULL),
        "taken": chance.choice(words.TAKEN),
        "taken_lines": chance.choice(words.TAKEN_LINES),
        "down": down,
        "quota": chance.choices((0, 1, 2), (65, 15, 20))[0],
        "cut": chance.choices((0, 1, 2), (40, 35, 25))[0],
        "progress": style,
        "units": 2000,
        "begins": begins.get(style, ()),
    }


def custom_job(
    draw: Draw, hardware: Hardware, program: Program, stack: str, *, fate: Fate | None = None,
    hours: float | None = None, strategy: str = "", region: str = "", data: str = "",
    args: tuple[str, ...] = (), disk: int = 100, **more: Any,
) -> Job:  # fmt: skip
    chance = draw.chance
    region = region or draw.region(hardware, Service.TRAINING)
    area = next((name for name in AREAS if is_near(name, region)), "")
    data = data or (area if area and chance.random() < 0.35 else region.upper())
    name, bucket = draw.name, f"{draw.name}-in"
    spec = machine_spec(hardware)
    if hardware.machine.startswith("ct"):
        spec["tpuTopology"] = {"1": "1x1", "4": "2x2", "8": "2x4"}[hardware.machine[-2]]
    pool: Body = {
        "machineSpec": spec,
        "replicaCount": "1",
        "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": disk},
        "containerSpec": {
            "imageUri": f"europe-docker.pkg.dev/visitors/jobs/{name}:2.4",
            "args": [*args, f"--input=gs://{bucket}/train"],
        },
    }
    pools = [pool]
    if chance.random() < 0.06 and not strategy:
        pools.append({**pool, "replicaCount": str(chance.choice((1, 3)))})
    job_spec: Body = {
        "workerPoolSpecs": pools,
        "baseOutputDirectory": {"outputUriPrefix": f"gs://{bucket}/out/{name}"},
        "serviceAccount": f"team{draw.team}@visitors.iam.gserviceaccount.com",
    }
    if scheduling := scheduling_of(hours, strategy):
        job_spec["scheduling"] = scheduling
    job = Job(0, name, "customJobs", {"displayName": name, "jobSpec": job_spec}, region, draw.seed, draw.team,
              fate or Fate(), words_of(draw, stack), data, bucket, program=program)  # fmt: skip
    return granted(replace(job, **more), hardware, region, spot=strategy == "SPOT")


def granted(job: Job, hardware: Hardware, region: str, *, spot: bool) -> Job:
    """A job that ran before has the quota for what it asks for, where its fate says nothing else of it."""
    meter = meter_of(hardware)
    if any((q.region, q.meter, q.spot) == (region, meter, spot) for q in job.fate.quotas):
        return job
    room = needed(hardware, 4) * random.Random(f"{job.seed}/{job.name}").choice((1, 2, 4))
    held = Held(region, meter, spot, room)
    return replace(job, fate=replace(job.fate, quotas=(*job.fate.quotas, held)))


def training_stages(draw: Draw, hardware: Hardware, *, hours: float = 0.0, gib: float = 0.0,
              loader: float = 0.25) -> tuple[Stage, ...]:  # fmt: skip
    """A training program: read, train (fed by loaders), evaluate. `loader`: how busy they are of the CPUs."""
    vcpus, fast = shape(hardware).vcpus, speed(hardware)
    hours = hours or draw.hours(hardware, 0.5, 18)
    device = hours * fast
    core = hours * vcpus * loader
    return (
        Stage("load", core_hours=0.1, fetch_gib=draw.scale(2, 60), gib=gib * 0.4),
        Stage("train", core_hours=core, device_hours=device, feeds=True, loads=True, gib=gib,
              fetch_gib=draw.scale(2, 120)),
        Stage("evaluate", core_hours=0.1, device_hours=device * 0.05, gib=gib * 0.9),
    )  # fmt: skip


def on_device(hardware: Hardware, program: Program, share: float = 0.6) -> Program:
    """Of device memory it takes a share."""
    held = DEVICE_GIB.get(hardware.accelerator, 10.0)
    return replace(
        program, wants="required", state_gib=held * share * 0.6, activation_gib=held * share * 0.4
    )


def sound_job(draw: Draw, hardware: Hardware, **more: Any) -> Job:
    """A job with nothing wrong in itself."""
    if hardware.count or hardware.machine.startswith("ct"):
        program = Program(
            training_stages(draw, hardware), checkpoint_hours=draw.chance.choice((0.0, 0.5))
        )
        if hardware.count:
            program = on_device(hardware, program)
        return custom_job(draw, hardware, program, draw.chance.choice(("torch", "jax")), **more)
    vcpus, memory = shape(hardware).vcpus, shape(hardware).memory_gib
    stages = (Stage("work", core_hours=draw.scale(0.5, 8) * vcpus * 0.7, fetch_gib=draw.scale(2, 60),
                    gib=memory * 0.5),)  # fmt: skip
    return custom_job(draw, hardware, Program(stages), "arrow", **more)


def job_that_raises(draw: Draw, hardware: Hardware, cause: str, last: tuple[str, ...], status: int,
                 args: tuple[str, ...]) -> Job:  # fmt: skip
    hours = draw.scale(0.3, 6)
    stages = training_stages(draw, hardware, hours=hours) if hardware.count else (
        Stage("work", core_hours=hours * shape(hardware).vcpus * 0.6, serial=0.05,
              gib=shape(hardware).memory_gib * 0.4),)  # fmt: skip
    program = Program(stages)
    if hardware.count:
        program = on_device(hardware, program)
    job = custom_job(draw, hardware, program, "torch" if hardware.count else "pandas",
                  fate=Fate(raises_at=draw.chance.random() * 0.9), args=args, helped=False,
                  raises_as=cause)  # fmt: skip
    return replace(job, words={**job.words, "raises": (last, status)})
