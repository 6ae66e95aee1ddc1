"""The jobs of the fleet `visitors`: how each is drawn, and how often. Every number is chosen."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.remediation import visitors_words as words
from bench.remediation.requests import scheduling_of
from bench.remediation.visitors_physics import (
    BATCH,
    DEVICE_GIB,
    Body,
    Fate,
    Held,
    Job,
    Place,
    Program,
    Server,
    Stage,
    copies,
    drawn,
    shape,
    speed,
    stage_hours,
)
from bench.remediation.visitors_places import (
    AREAS,
    CATALOGUE,
    REGIONS,
    dry_at,
    hazard,
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
SERVERS = (
    ("n1-standard-2", 4), ("n1-standard-4", 8), ("n1-highmem-4", 3), ("n2-standard-4", 6), ("n2d-standard-8", 3),
    ("e2-standard-4", 4), ("c3-highcpu-8", 2), ("c2-standard-8", 2), ("n2-highcpu-16", 2),
)  # fmt: skip
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


def _words(draw: Draw, stack: str) -> dict[str, Any]:
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


def _custom(
    draw: Draw, hardware: Hardware, program: Program, stack: str, *, fate: Fate | None = None,
    hours: float | None = None, strategy: str = "", region: str = "", data: str = "",
    args: tuple[str, ...] = (), disk: int = 100, **more: Any,
) -> Job:  # fmt: skip
    chance = draw.chance
    region = region or draw.region(hardware, Service.TRAINING)
    area = next((name for name in AREAS if is_near(name, region)), "")
    data = data or (area if area and chance.random() < 0.35 else region.upper())
    name, bucket = draw.name, f"{draw.name}-in"
    spec: Body = {"machineType": hardware.machine}
    if hardware.count:
        spec |= {"acceleratorType": hardware.accelerator, "acceleratorCount": hardware.count}
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
              fate or Fate(), _words(draw, stack), data, bucket, program=program)  # fmt: skip
    return _granted(replace(job, **more), hardware, region, spot=strategy == "SPOT")


def _batch(draw: Draw, hardware: Hardware, server: Server, *, fate: Fate | None = None,
           size: int = 64, region: str = "", **more: Any) -> Job:  # fmt: skip
    chance = draw.chance
    region = region or draw.region(hardware, Service.PREDICTION)
    name, bucket = draw.name, f"{draw.name}-rows"
    model = f"projects/471108150815/locations/{region}/models/{7000 + chance.randrange(900)}"
    spec: Body = {"machineType": hardware.machine}
    if hardware.count:
        spec |= {"acceleratorType": hardware.accelerator, "acceleratorCount": hardware.count}
    body: Body = {
        "displayName": name,
        "model": model,
        "modelVersionId": "3",
        "inputConfig": {
            "instancesFormat": "jsonl",
            "gcsSource": {"uris": [f"gs://{bucket}/rows.jsonl"]},
        },
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": f"gs://{bucket}/scored"},
        },
        "dedicatedResources": {
            "machineSpec": spec,
            "startingReplicaCount": chance.choice((1, 1, 2, 3)),
            "maxReplicaCount": 10,
        },
    }
    if size != 64:
        body["manualBatchTuningParameters"] = {"batchSize": size}
    said = _words(draw, "torch")
    said |= {
        "start": chance.choice(words.SERVER_START),
        "killed": chance.choice(words.SERVER_KILLED),
    }
    if said["down"][0] == "lines":
        said["down"] = ("rows", chance.choice(words.SERVER_DOWN))
    image = {
        "name": model,
        "versionId": "3",
        "displayName": name,
        "containerSpec": {"imageUri": f"europe-docker.pkg.dev/visitors/servers/{name}:1"},
    }
    job = Job(0, name, BATCH, body, region, draw.seed, draw.team, fate or Fate(), said, region.upper(),
              bucket, server=server, model=image)  # fmt: skip
    return _granted(replace(job, **more), hardware, region, spot=False)


def _granted(job: Job, hardware: Hardware, region: str, *, spot: bool) -> Job:
    """A job that ran before has the quota for what it asks for, where its fate says nothing else of it."""
    meter = meter_of(hardware)
    if any((q.region, q.meter, q.spot) == (region, meter, spot) for q in job.fate.quotas):
        return job
    room = needed(hardware, 4) * random.Random(f"{job.seed}/{job.name}").choice((1, 2, 4))
    held = Held(region, meter, spot, room)
    return replace(job, fate=replace(job.fate, quotas=(*job.fate.quotas, held)))


def _hours(program: Program, hardware: Hardware, region: str, data: str = "") -> float:
    """How long the program takes on its machine, beside its data."""
    place = Place(hardware, region, 1e9, 100, "STANDARD", 0, 1, Service.TRAINING)
    return sum(stage_hours(stage, place, data or region.upper()) for stage in program.stages)


def _training(draw: Draw, hardware: Hardware, *, hours: float = 0.0, gib: float = 0.0,
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


def _on_device(hardware: Hardware, program: Program, share: float = 0.6) -> Program:
    """Of device memory it takes a share."""
    held = DEVICE_GIB.get(hardware.accelerator, 10.0)
    return replace(
        program, wants="required", state_gib=held * share * 0.6, activation_gib=held * share * 0.4
    )


# --- host memory -------------------------------------------------------------------------------------


def table_rows(draw: Draw) -> Job:
    """Tables joined in memory: it grows with the rows, whatever the machine."""
    hardware = draw.plain()
    memory = shape(hardware).memory_gib
    stages = (
        Stage("read", core_hours=draw.scale(0.2, 4), fetch_gib=memory * 0.5, gib=memory * 0.3),
        Stage(
            "join", core_hours=draw.scale(0.5, 20), gib=memory * draw.scale(0.97, 4.0), serial=0.2
        ),
        Stage("write", core_hours=0.3, gib=memory * 0.2),
    )
    stack = draw.chance.choice(("pandas", "arrow", "r", "dask"))
    return _custom(draw, hardware, Program(stages), stack)


def loader_processes(draw: Draw) -> Job:
    """Loaders that each hold a copy: a fixed number of them, or one for each vCPU."""
    hardware = draw.device()
    kind = shape(hardware)
    fixed = draw.chance.random() < 0.5
    workers = draw.chance.choice((8, 12, 16)) if fixed else 0
    whole = kind.memory_gib * draw.scale(0.97, 2.6)
    program = Program(_training(draw, hardware, gib=whole * 0.2), workers=workers,
                      worker_gib=whole * 0.75 / (workers or kind.vcpus))  # fmt: skip
    program = replace(program, checkpoint_hours=draw.chance.choice((0.0, 0.5)))
    args = (f"--num_workers={workers}",) if fixed else ("--num_workers=auto",)
    return _custom(draw, hardware, _on_device(hardware, program), "torch", args=args)


def copies_of_ranks(draw: Draw) -> Job:
    """Each device's own process loads the whole model into host memory first: it grows with the devices."""
    hardware = draw.device()
    memory = shape(hardware).memory_gib
    rank = memory * draw.scale(0.97, 2.2) / hardware.count
    program = Program(_training(draw, hardware, gib=1.0), rank_gib=rank)
    return _custom(draw, hardware, _on_device(hardware, program), "torch", args=("--fsdp",))


def follows_the_machine(draw: Draw) -> Job:
    """A heap, an object store or a memory limit that is a share of the machine's memory."""
    hardware = draw.plain()
    memory = shape(hardware).memory_gib
    stack, share, args = draw.chance.choice((
        ("jvm", 0.25, ("java", "-jar", "/opt/merge.jar")),
        ("jvm", 0.7, ("java", "-XX:MaxRAMPercentage=70", "-jar", "/opt/merge.jar")),
        ("ray", 0.95, ("python", "-m", "pipeline.blocks")),
        ("dask", 0.95, ("python", "-m", "pipeline.graph")),
    ))  # fmt: skip
    need = memory * share * draw.scale(1.03, 3.0)
    stages = (
        Stage("read", core_hours=1.0, fetch_gib=draw.scale(5, 80)),
        Stage("shuffle", core_hours=draw.scale(2, 30), serial=0.1, heap_gib=need),
    )
    return _custom(draw, hardware, Program(stages, heap_share=share), stack, args=args)


def leaking(draw: Draw) -> Job:
    """Memory that grows every hour until there is none left."""
    hardware = draw.device() if draw.chance.random() < 0.4 else draw.plain()
    memory = shape(hardware).memory_gib
    hours = draw.hours(hardware, 3, 20)
    stages = _training(draw, hardware, hours=hours) if hardware.count else (
        Stage("crawl", core_hours=hours * shape(hardware).vcpus * 0.5, serial=0.0),)  # fmt: skip
    program = Program(stages, base_gib=memory * 0.3, leak_gib=memory * draw.scale(0.72, 2.5) / hours,
                      checkpoint_hours=draw.chance.choice((0.0, 0.0, 1.0)))  # fmt: skip
    if hardware.count:
        program = _on_device(hardware, program)
    return _custom(draw, hardware, program, "torch" if hardware.count else "pandas")


def sorting(draw: Draw) -> Job:
    """Genomics tools: some memory for each thread, one thread for each vCPU."""
    hardware = draw.plain()
    kind = shape(hardware)
    stages = (
        Stage(
            "align", core_hours=draw.scale(4, 60), serial=0.02, fetch_gib=draw.scale(20, 200), gib=4
        ),
        Stage("sort", core_hours=draw.scale(1, 8), serial=0.1, loads=True, gib=2),
    )
    program = Program(stages, worker_gib=kind.memory_gib * draw.scale(0.9, 1.9) / kind.vcpus)
    return _custom(draw, hardware, program, "genomics")


def own_limit(draw: Draw) -> Job:
    """A limit that the program sets itself, or /dev/shm, which no machine moves."""
    last, status, args = draw.chance.choice(words.OWN_LIMITS)
    hardware = draw.device() if not args and draw.chance.random() < 0.8 else draw.plain()
    return _ends_itself(draw, hardware, "memory_pressure", last, status, args)


def absurd(draw: Draw) -> Job:
    last = draw.chance.choice(words.ABSURD)
    return _ends_itself(draw, draw.plain(), "memory_pressure", last, 1, ())


def _ends_itself(draw: Draw, hardware: Hardware, cause: str, last: tuple[str, ...], status: int,
                 args: tuple[str, ...]) -> Job:  # fmt: skip
    hours = draw.scale(0.3, 6)
    stages = _training(draw, hardware, hours=hours) if hardware.count else (
        Stage("work", core_hours=hours * shape(hardware).vcpus * 0.6, serial=0.05,
              gib=shape(hardware).memory_gib * 0.4),)  # fmt: skip
    program = Program(stages)
    if hardware.count:
        program = _on_device(hardware, program)
    job = _custom(draw, hardware, program, "torch" if hardware.count else "pandas",
                  fate=Fate(raises_at=draw.chance.random() * 0.9), args=args, helped=False,
                  raises_as=cause)  # fmt: skip
    return replace(job, words={**job.words, "raises": (last, status)})


# --- device memory -----------------------------------------------------------------------------------


def activations(draw: Draw) -> Job:
    """A device's own batch does not fit: more devices do not help, larger ones do."""
    hardware = draw.device(most=80)
    held = DEVICE_GIB[hardware.accelerator]
    whole = held * draw.scale(1.03, 3.2)
    part = draw.chance.uniform(0.2, 0.7)
    program = Program(_training(draw, hardware), base_gib=4, wants="required", state_gib=whole * (1 - part),
                      activation_gib=whole * part)  # fmt: skip
    stack = draw.chance.choice(("torch", "torch", "tf", "jax", "vllm", "rapids"))
    return _custom(draw, hardware, program, stack, args=("--per_device_train_batch_size=16",))


def sharded_state(draw: Draw) -> Job:
    """Weights and optimizer over all devices together: more of them help, and larger ones."""
    hardware = draw.pick([(h, w) for h, w in DEVICES if h.count > 1])
    held = DEVICE_GIB[hardware.accelerator] * hardware.count
    whole = held * draw.scale(1.03, 2.5)
    program = Program(_training(draw, hardware), base_gib=6, wants="required", state_gib=whole * 0.9,
                      activation_gib=whole * 0.1 / hardware.count, sharded=True)  # fmt: skip
    return _custom(draw, hardware, program, "torch", args=("--fsdp=full_shard",))


def no_device(draw: Draw) -> Job:
    hardware = Hardware(
        draw.pick([(n, w) for n, w in PLAIN if n.startswith(("n1-s", "n2-s", "e2-s"))])
    )
    wants = draw.chance.choice(("required", "required", "wanted"))
    hours = draw.scale(0.4, 8)  # on one T4
    stages = (
        Stage("load", core_hours=0.2, fetch_gib=10, gib=3),
        Stage("train", core_hours=0.5, device_hours=hours, gib=4),
    )
    limit = draw.scale(2, 8) if wants == "wanted" else 24.0
    program = Program(
        stages, wants=wants, state_gib=draw.scale(2, 9), activation_gib=draw.scale(1, 9)
    )
    return _custom(draw, hardware, program, "torch", hours=limit)


# --- time --------------------------------------------------------------------------------------------


def starved(draw: Draw) -> Job:
    """All vCPUs full at the job's own time-out; up to so many threads are of use."""
    hardware = draw.plain()
    vcpus = shape(hardware).vcpus
    serial = draw.chance.choice((0.01, 0.03, 0.06))
    limit = draw.scale(1, 14)
    whole = limit * draw.scale(1.1, 2.8) / (serial + (1 - serial) / vcpus)
    threads = draw.chance.choice((10_000, 10_000, 32, 64))
    stages = (
        Stage("read", core_hours=0.2, fetch_gib=draw.scale(5, 100), gib=2),
        Stage("align", core_hours=whole, serial=serial, threads=max(threads, vcpus),
              gib=shape(hardware).memory_gib * 0.4),
    )  # fmt: skip
    stack = draw.chance.choice(("genomics", "pandas", "spark"))
    program = Program(stages, checkpoint_hours=draw.chance.choice((0.0, 0.0, 0.0, 1.0)))
    return _custom(draw, hardware, program, stack, hours=limit)


def starved_loader(draw: Draw) -> Job:
    """Decoding and augmentation on few vCPUs starve the device until the time-out."""
    hardware = draw.pick([(h, w) for h, w in DEVICES if h.machine in
                          {"n1-standard-4", "n1-standard-8", "g2-standard-4", "g2-standard-8", "n1-highmem-4"}])  # fmt: skip
    vcpus, limit = shape(hardware).vcpus, draw.scale(2, 16)
    core = limit * vcpus * draw.scale(1.15, 2.6)
    stages = (
        Stage("load", core_hours=0.1, fetch_gib=draw.scale(5, 50), gib=2),
        Stage("train", core_hours=core, serial=0.0, device_hours=limit * speed(hardware) * draw.chance.uniform(0.15, 0.4),
              feeds=True, gib=shape(hardware).memory_gib * 0.4),
    )  # fmt: skip
    program = _on_device(hardware, Program(stages))
    return _custom(draw, hardware, program, draw.chance.choice(("torch", "tf")), hours=limit)


def cut_short(draw: Draw) -> Job:
    """Steady work that the job's own time-out cuts; every third program goes on from its checkpoint."""
    tpu = draw.chance.random() < 0.12
    hardware = Hardware(draw.chance.choice(TPUS)) if tpu else draw.device()
    limit = draw.hours(hardware, 2, 24)
    stages = _training(draw, hardware, hours=limit * draw.scale(1.1, 3.0), loader=0.15)
    program = Program(stages, base_gib=6, checkpoint_hours=draw.chance.choice((0.0, 0.0, 0.5)))
    if not tpu:
        program = _on_device(hardware, program)
    stack = "jax" if tpu else draw.chance.choice(("torch", "tf", "jax"))
    return _custom(draw, hardware, program, stack, hours=limit)


def one_thread(draw: Draw) -> Job:
    """Pure Python in one thread, for longer than the time-out: the program is what needs a change."""
    hardware, limit = draw.plain(), draw.scale(2, 12)
    stages = (
        Stage("normalise", core_hours=limit * draw.scale(1.3, 4), serial=0.0, threads=1, gib=3),
    )
    return _custom(draw, hardware, Program(stages), "pandas", hours=limit, helped=False)


def far_bucket(draw: Draw) -> Job:
    """The data lie on another continent: nearly all the time goes to reading them."""
    hardware, limit = draw.plain(), draw.scale(2, 10)
    region = draw.region(hardware, Service.TRAINING)
    far = [one for one in REGIONS if one.partition("-")[0] != region.partition("-")[0]]
    stages = (Stage("read", core_hours=limit * 0.2, fetch_gib=60 * limit * draw.scale(1.2, 3), gib=2),
              Stage("fit", core_hours=limit * 0.2, gib=4))  # fmt: skip
    return _custom(draw, hardware, Program(stages), draw.chance.choice(("arrow", "spark")), hours=limit,
                   region=region, data=draw.chance.choice(far).upper())  # fmt: skip


def slow_service(draw: Draw) -> Job:
    """Another host answers slowly, until the time-out; no machine changes that."""
    hardware, limit = draw.plain(), draw.scale(1, 8)
    stages = (
        Stage("lookup", core_hours=limit * 0.1, waits_hours=limit * draw.scale(1.2, 4), gib=2),
    )
    job = _custom(draw, hardware, Program(stages), "pandas", hours=limit, helped=False)
    said = {**job.words, "waits": draw.chance.choice(words.SLOW_SERVICE), "progress": ""}
    return replace(job, words=said)


# --- places, quotas, spot, services, disk -------------------------------------------------------------


def no_machines(draw: Draw) -> Job:
    """A place that has none of the hardware at this hour."""
    kinds = [h for h, _ in DEVICES] + [Hardware(one) for one in TPUS] + [Hardware("m1-ultramem-40")]
    draw.chance.shuffle(kinds)
    for hardware in kinds:
        dry = dry_at(draw.seed, hardware, draw.hour, Service.TRAINING)
        if dry:
            return _well(draw, hardware, region=draw.chance.choice(dry))
    return _well(draw, kinds[0])


def _well(draw: Draw, hardware: Hardware, **more: Any) -> Job:
    """A job with nothing wrong in itself."""
    if hardware.count or hardware.machine.startswith("ct"):
        program = Program(
            _training(draw, hardware), checkpoint_hours=draw.chance.choice((0.0, 0.5))
        )
        if hardware.count:
            program = _on_device(hardware, program)
        return _custom(draw, hardware, program, draw.chance.choice(("torch", "jax")), **more)
    vcpus, memory = shape(hardware).vcpus, shape(hardware).memory_gib
    stages = (Stage("work", core_hours=draw.scale(0.5, 8) * vcpus * 0.7, fetch_gib=draw.scale(2, 60),
                    gib=memory * 0.5),)  # fmt: skip
    return _custom(draw, hardware, Program(stages), "arrow", **more)


def no_quota(draw: Draw) -> Job:
    """A limit that is 0, or less than the job asks for."""
    hardware = draw.device() if draw.chance.random() < 0.7 else draw.plain()
    region = draw.region(hardware, Service.TRAINING)
    limit = 0 if draw.chance.random() < 0.7 else needed(hardware, 1) // 2
    return _well(draw, hardware, region=region,
                 fate=Fate(quotas=(Held(region, meter_of(hardware), False, limit),)))  # fmt: skip


def quota_in_use(draw: Draw) -> Job:
    """Others use the quota up, for an hour or most of a day."""
    hardware = draw.device() if draw.chance.random() < 0.7 else draw.plain()
    region = draw.region(hardware, Service.TRAINING)
    held = Held(region, meter_of(hardware), False, needed(hardware, 4), draw.scale(0.4, 14))
    return _well(draw, hardware, region=region, fate=Fate(quotas=(held,)))


def no_spot_quota(draw: Draw) -> Job:
    """Spot has a quota of its own, of which there is none; on demand there is."""
    hardware = draw.device()
    region = draw.region(hardware, Service.TRAINING)
    meter = meter_of(hardware)
    own = Held(region, meter, True, 0)
    other = Held(region, meter, False, needed(hardware, 2) if draw.chance.random() < 0.7 else 0)
    return _well(draw, hardware, region=region, strategy="SPOT", fate=Fate(quotas=(own, other)))


def taken_back(draw: Draw) -> Job:
    """A spot machine, taken back as often as its kind and place are."""
    hardware = draw.device() if draw.chance.random() < 0.75 else draw.plain()
    region = draw.region(hardware, Service.TRAINING)
    often = hazard(draw.seed, region, hardware)
    hours = draw.scale(1.2, 6) / often if draw.chance.random() < 0.5 else draw.scale(4, 24)
    hours = min(hours, 60.0, draw.hours(hardware, 60.0, 60.0))
    memory = shape(hardware).memory_gib
    stages = _training(draw, hardware, hours=hours) if hardware.count else (
        Stage("simulate", core_hours=hours * shape(hardware).vcpus * 0.9, gib=memory * 0.3, serial=0.0),)  # fmt: skip
    program = Program(stages, checkpoint_hours=draw.chance.choice((0.0, 0.25, 1.0)))
    if hardware.count:
        program = _on_device(hardware, program)
    other = Held(region, meter_of(hardware), False, needed(hardware, 4))
    return _custom(draw, hardware, program, draw.chance.choice(("torch", "jax")) if hardware.count else "arrow",
                   region=region, strategy="SPOT", fate=Fate(quotas=(other,)))  # fmt: skip


def service_down(draw: Draw) -> Job:
    hardware = draw.device() if draw.chance.random() < 0.4 else draw.plain()
    fate = Fate(
        down_until=draw.scale(0.15, 6),
        down_at=draw.chance.choice(("start", "fetch", "fetch", "end")),
    )
    return _well(draw, hardware, fate=fate)


def full_disk(draw: Draw) -> Job:
    hardware = draw.device() if draw.chance.random() < 0.5 else draw.plain()
    job = _well(draw, hardware)
    assert job.program is not None
    return replace(job, program=replace(job.program, disk_gb=100 * draw.scale(0.9, 5)))


# --- batches -----------------------------------------------------------------------------------------


def _server(draw: Draw) -> Hardware:
    return Hardware(draw.pick(SERVERS))


def slow_rows(draw: Draw) -> Job:
    hardware = _server(draw)
    size, cores = (
        draw.chance.choice((16, 32, 64, 64, 64, 128, 256)),
        draw.chance.choice((1, 1, 2, 8)),
    )
    used = min(cores, shape(hardware).vcpus)
    row = 600 * draw.scale(1.05, 8) * used / size
    memory = shape(hardware).memory_gib
    server = Server(
        rows=draw.chance.randrange(400, 4000),
        model_gib=memory * 0.3,
        row_core_seconds=row,
        row_cores=cores,
    )
    return _batch(draw, hardware, server, size=size)


def large_rows(draw: Draw) -> Job:
    """Requests of more bytes than are taken."""
    hardware, size = _server(draw), draw.chance.choice((32, 64, 64, 128))
    server = Server(rows=draw.chance.randrange(400, 4000), row_kb=10_000 / size * draw.scale(1.05, 6),
                    row_core_seconds=0.2)  # fmt: skip
    return _batch(draw, hardware, server, size=size)


def server_memory(draw: Draw) -> Job:
    """By the rows of a request, by the model, or by a copy of it for each worker."""
    hardware = _server(draw)
    memory, vcpus = shape(hardware).memory_gib, shape(hardware).vcpus
    whole = memory * draw.scale(0.97, 2.8)
    kind = draw.chance.choice(("rows", "rows", "model", "vcpu", "gunicorn"))
    server = Server(rows=draw.chance.randrange(400, 4000), row_core_seconds=0.3)
    if kind == "rows":
        server = replace(server, model_gib=whole * 0.2, row_gib=whole * 0.75 / 64)
    elif kind == "model":
        server = replace(server, model_gib=whole - 1.0)
    else:
        many = copies(replace(server, copies=kind), vcpus)
        server = replace(server, model_gib=max(0.1, (whole - 1.0) / many), copies=kind)
    return _batch(draw, hardware, server)


def server_device_memory(draw: Draw) -> Job:
    hardware = draw.pick([(h, w) for h, w in DEVICES if h.count == 1 and h.accelerator in
                          {"NVIDIA_TESLA_T4", "NVIDIA_L4", "NVIDIA_TESLA_A100"}])  # fmt: skip
    held = DEVICE_GIB[hardware.accelerator]
    fixed = held * draw.chance.uniform(0.2, 1.1)
    over = max(held * draw.scale(1.05, 3), fixed * 1.02)
    server = Server(rows=draw.chance.randrange(400, 4000), wants="required", state_gib=fixed, model_gib=3.0,
                    row_device_gib=max(0.005, (over - fixed) / 64), row_device_seconds=0.5)  # fmt: skip
    return _batch(draw, hardware, server)


def server_without_device(draw: Draw) -> Job:
    hardware = Hardware(draw.chance.choice(("n1-standard-4", "n1-standard-8", "n2-standard-4")))
    wants = draw.chance.choice(("required", "wanted"))
    server = Server(
        rows=1200,
        wants=wants,
        state_gib=draw.scale(3, 18),
        model_gib=3.0,
        row_device_seconds=draw.scale(0.6, 3),
    )
    return _batch(draw, hardware, server)


def slow_start(draw: Draw) -> Job:
    """Loading takes too long: by its work, or by reading alone, which no machine speeds up."""
    hardware = _server(draw)
    cores = min(4, shape(hardware).vcpus)
    if draw.chance.random() < 0.25:
        return _batch(
            draw, hardware, Server(load_seconds=2400 * draw.scale(1.05, 2.5)), helped=False
        )
    server = Server(load_core_seconds=2400 * cores * draw.scale(1.03, 2.6), load_cores=16)
    return _batch(draw, hardware, server)


def server_down(draw: Draw) -> Job:
    fate = Fate(down_until=draw.scale(0.2, 5), down_at=draw.chance.choice(("start", "fetch")))
    return _batch(draw, _server(draw), Server(row_core_seconds=draw.scale(0.1, 3)), fate=fate)


def refused_rows(draw: Draw) -> Job:
    """A server that refuses every row."""
    cause = draw.chance.choice(("bad_input", "user_code_error"))
    job = _batch(
        draw, _server(draw), Server(), fate=Fate(raises_at=0.1), helped=False, raises_as=cause
    )
    bug = draw.chance.choice(words.SERVER_BUG) if cause == "user_code_error" else ()
    return replace(
        job, words={**job.words, "refuses": draw.chance.choice(words.SERVER_BAD[cause]), "bug": bug}
    )


def gemini(draw: Draw) -> Job:
    """A batch of a publisher's model: busy for a while, queued until it expires, or wrong."""
    chance = draw.chance
    kind = chance.choice(("busy", "busy", "queued", "wrong", "wrong"))
    region, bucket = draw.home, f"{draw.name}-prompts"
    body: Body = {
        "displayName": draw.name,
        "model": f"publishers/google/models/{chance.choice(('gemini-2.5-flash', 'gemini-2.5-pro'))}",
        "inputConfig": {
            "instancesFormat": "jsonl",
            "gcsSource": {"uris": [f"gs://{bucket}/prompts.jsonl"]},
        },
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": f"gs://{bucket}/out"},
        },
    }
    job = Job(
        0, draw.name, BATCH, body, region, draw.seed, draw.team, Fate(), {}, region.upper(), bucket
    )
    if kind == "wrong":
        cause = chance.choice(list(words.GEMINI_BAD))
        return replace(job, fate=Fate(raises_at=0.1), helped=False, raises_as=cause,
                       words={"gemini": chance.choice(words.GEMINI_BAD[cause])})  # fmt: skip
    hours = draw.scale(0.3, 5) if kind == "busy" else draw.scale(10, 23)
    return replace(job, fate=Fate(down_until=hours, down_at="start" if kind == "busy" else "queue"),
                   words={"gemini": chance.choice(words.GEMINI_BUSY)})  # fmt: skip


def hopeless(draw: Draw) -> Job:
    """A bug, bad data, a missing right, a wrong setting."""
    cause = draw.chance.choice(list(words.HOPELESS))
    last, status = draw.chance.choice(words.HOPELESS[cause])
    hardware = draw.device() if draw.chance.random() < 0.4 else draw.plain()
    return _ends_itself(draw, hardware, cause, last, status, ())


MIXES: Mapping[str, Mapping[Callable[[Draw], Job], float]] = {
    "even": {
        table_rows: 7, loader_processes: 5, copies_of_ranks: 3, follows_the_machine: 4, leaking: 4, sorting: 3,
        own_limit: 5, absurd: 2, activations: 7, sharded_state: 3, no_device: 4, starved: 6, starved_loader: 3,
        cut_short: 6, one_thread: 3, far_bucket: 2, slow_service: 2, no_machines: 8, no_quota: 4, quota_in_use: 4,
        no_spot_quota: 1.5, taken_back: 5, service_down: 6, full_disk: 4, slow_rows: 4, large_rows: 2,
        server_memory: 5, server_device_memory: 3, server_without_device: 2, slow_start: 3, server_down: 2,
        refused_rows: 2, gemini: 3, hopeless: 13,
    }
}  # fmt: skip
"""How often each kind is drawn; one that meets no obstacle succeeds and is left out."""
