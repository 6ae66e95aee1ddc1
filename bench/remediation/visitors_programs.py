"""Jobs of the fleet `visitors` that fail by their program: its memory, its devices, its time, its code.

Every number is chosen.
"""

from __future__ import annotations

from dataclasses import replace

from bench.remediation import visitors_words as words
from bench.remediation.visitors_draw import (
    DEVICES,
    PLAIN,
    TPUS,
    Draw,
    custom_job,
    job_that_raises,
    on_device,
    training_stages,
)
from bench.remediation.visitors_physics import (
    DEVICE_GIB,
    Job,
    Program,
    Stage,
    shape,
    speed,
)
from bench.remediation.visitors_places import (
    REGIONS,
)
from remediator.catalog.catalog import Hardware, Service

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
    return custom_job(draw, hardware, Program(stages), stack)


def loader_processes(draw: Draw) -> Job:
    """Loaders that each hold a copy: a fixed number of them, or one for each vCPU."""
    hardware = draw.device()
    kind = shape(hardware)
    fixed = draw.chance.random() < 0.5
    workers = draw.chance.choice((8, 12, 16)) if fixed else 0
    whole = kind.memory_gib * draw.scale(0.97, 2.6)
    program = Program(training_stages(draw, hardware, gib=whole * 0.2), workers=workers,
                      worker_gib=whole * 0.75 / (workers or kind.vcpus))  # fmt: skip
    program = replace(program, checkpoint_hours=draw.chance.choice((0.0, 0.5)))
    args = (f"--num_workers={workers}",) if fixed else ("--num_workers=auto",)
    return custom_job(draw, hardware, on_device(hardware, program), "torch", args=args)


def copies_of_ranks(draw: Draw) -> Job:
    """Each device's own process loads the whole model into host memory first: it grows with the devices."""
    hardware = draw.device()
    memory = shape(hardware).memory_gib
    rank = memory * draw.scale(0.97, 2.2) / hardware.count
    program = Program(training_stages(draw, hardware, gib=1.0), rank_gib=rank)
    return custom_job(draw, hardware, on_device(hardware, program), "torch", args=("--fsdp",))


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
    return custom_job(draw, hardware, Program(stages, heap_share=share), stack, args=args)


def leaking(draw: Draw) -> Job:
    """Memory that grows every hour until there is none left."""
    hardware = draw.device() if draw.chance.random() < 0.4 else draw.plain()
    memory = shape(hardware).memory_gib
    hours = draw.hours(hardware, 3, 20)
    stages = training_stages(draw, hardware, hours=hours) if hardware.count else (
        Stage("crawl", core_hours=hours * shape(hardware).vcpus * 0.5, serial=0.0),)  # fmt: skip
    program = Program(stages, base_gib=memory * 0.3, leak_gib=memory * draw.scale(0.72, 2.5) / hours,
                      checkpoint_hours=draw.chance.choice((0.0, 0.0, 1.0)))  # fmt: skip
    if hardware.count:
        program = on_device(hardware, program)
    return custom_job(draw, hardware, program, "torch" if hardware.count else "pandas")


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
    return custom_job(draw, hardware, program, "genomics")


def own_limit(draw: Draw) -> Job:
    """A limit that the program sets itself, or /dev/shm, which no machine moves."""
    last, status, args = draw.chance.choice(words.OWN_LIMITS)
    hardware = draw.device() if not args and draw.chance.random() < 0.8 else draw.plain()
    return job_that_raises(draw, hardware, "memory_pressure", last, status, args)


def absurd(draw: Draw) -> Job:
    last = draw.chance.choice(words.ABSURD)
    return job_that_raises(draw, draw.plain(), "memory_pressure", last, 1, ())


# --- device memory -----------------------------------------------------------------------------------


def activations(draw: Draw) -> Job:
    """A device's own batch does not fit: more devices do not help, larger ones do."""
    hardware = draw.device(most=80)
    held = DEVICE_GIB[hardware.accelerator]
    whole = held * draw.scale(1.03, 3.2)
    part = draw.chance.uniform(0.2, 0.7)
    program = Program(training_stages(draw, hardware), base_gib=4, wants="required", state_gib=whole * (1 - part),
                      activation_gib=whole * part)  # fmt: skip
    stack = draw.chance.choice(("torch", "torch", "tf", "jax", "vllm", "rapids"))
    return custom_job(draw, hardware, program, stack, args=("--per_device_train_batch_size=16",))


def sharded_state(draw: Draw) -> Job:
    """Weights and optimizer over all devices together: more of them help, and larger ones."""
    hardware = draw.pick([(h, w) for h, w in DEVICES if h.count > 1])
    held = DEVICE_GIB[hardware.accelerator] * hardware.count
    whole = held * draw.scale(1.03, 2.5)
    program = Program(training_stages(draw, hardware), base_gib=6, wants="required", state_gib=whole * 0.9,
                      activation_gib=whole * 0.1 / hardware.count, sharded=True)  # fmt: skip
    return custom_job(draw, hardware, program, "torch", args=("--fsdp=full_shard",))


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
    return custom_job(draw, hardware, program, "torch", hours=limit)


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
    return custom_job(draw, hardware, program, stack, hours=limit)


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
    program = on_device(hardware, Program(stages))
    return custom_job(draw, hardware, program, draw.chance.choice(("torch", "tf")), hours=limit)


def cut_short(draw: Draw) -> Job:
    """Steady work that the job's own time-out cuts; every third program goes on from its checkpoint."""
    tpu = draw.chance.random() < 0.12
    hardware = Hardware(draw.chance.choice(TPUS)) if tpu else draw.device()
    limit = draw.hours(hardware, 2, 24)
    stages = training_stages(draw, hardware, hours=limit * draw.scale(1.1, 3.0), loader=0.15)
    program = Program(stages, base_gib=6, checkpoint_hours=draw.chance.choice((0.0, 0.0, 0.5)))
    if not tpu:
        program = on_device(hardware, program)
    stack = "jax" if tpu else draw.chance.choice(("torch", "tf", "jax"))
    return custom_job(draw, hardware, program, stack, hours=limit)


def one_thread(draw: Draw) -> Job:
    """Pure Python in one thread, for longer than the time-out: the program is what needs a change."""
    hardware, limit = draw.plain(), draw.scale(2, 12)
    stages = (
        Stage("normalise", core_hours=limit * draw.scale(1.3, 4), serial=0.0, threads=1, gib=3),
    )
    return custom_job(draw, hardware, Program(stages), "pandas", hours=limit, helped=False)


def far_bucket(draw: Draw) -> Job:
    """The data lie on another continent: nearly all the time goes to reading them."""
    hardware, limit = draw.plain(), draw.scale(2, 10)
    region = draw.region(hardware, Service.TRAINING)
    far = [one for one in REGIONS if one.partition("-")[0] != region.partition("-")[0]]
    stages = (Stage("read", core_hours=limit * 0.2, fetch_gib=60 * limit * draw.scale(1.2, 3), gib=2),
              Stage("fit", core_hours=limit * 0.2, gib=4))  # fmt: skip
    return custom_job(draw, hardware, Program(stages), draw.chance.choice(("arrow", "spark")), hours=limit,
                   region=region, data=draw.chance.choice(far).upper())  # fmt: skip


def slow_service(draw: Draw) -> Job:
    """Another host answers slowly, until the time-out; no machine changes that."""
    hardware, limit = draw.plain(), draw.scale(1, 8)
    stages = (
        Stage("lookup", core_hours=limit * 0.1, waits_hours=limit * draw.scale(1.2, 4), gib=2),
    )
    job = custom_job(draw, hardware, Program(stages), "pandas", hours=limit, helped=False)
    said = {**job.words, "waits": draw.chance.choice(words.SLOW_SERVICE), "progress": ""}
    return replace(job, words=said)


def hopeless(draw: Draw) -> Job:
    """A bug, bad data, a missing right, a wrong setting."""
    cause = draw.chance.choice(list(words.HOPELESS))
    last, status = draw.chance.choice(words.HOPELESS[cause])
    hardware = draw.device() if draw.chance.random() < 0.4 else draw.plain()
    return job_that_raises(draw, hardware, cause, last, status, ())
