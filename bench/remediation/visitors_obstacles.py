"""Jobs of the fleet `visitors` with nothing wrong in themselves: places, quotas, spot, services, disks.

Every number is chosen.
"""

from __future__ import annotations

from dataclasses import replace

from bench.remediation.visitors_draw import (
    DEVICES,
    TPUS,
    Draw,
    custom_job,
    on_device,
    sound_job,
    training_stages,
)
from bench.remediation.visitors_physics import (
    Fate,
    Held,
    Job,
    Program,
    Stage,
    shape,
)
from bench.remediation.visitors_places import (
    dry_at,
    hazard,
    meter_of,
    needed,
)
from remediator.catalog.catalog import Hardware, Service

# --- places, quotas, spot, services, disk -------------------------------------------------------------


def no_machines(draw: Draw) -> Job:
    """A place that has none of the hardware at this hour."""
    kinds = [h for h, _ in DEVICES] + [Hardware(one) for one in TPUS] + [Hardware("m1-ultramem-40")]
    draw.chance.shuffle(kinds)
    for hardware in kinds:
        dry = dry_at(draw.seed, hardware, draw.hour, Service.TRAINING)
        if dry:
            return sound_job(draw, hardware, region=draw.chance.choice(dry))
    return sound_job(draw, kinds[0])


def no_quota(draw: Draw) -> Job:
    """A limit that is 0, or less than the job asks for."""
    hardware = draw.device() if draw.chance.random() < 0.7 else draw.plain()
    region = draw.region(hardware, Service.TRAINING)
    limit = 0 if draw.chance.random() < 0.7 else needed(hardware, 1) // 2
    return sound_job(draw, hardware, region=region,
                 fate=Fate(quotas=(Held(region, meter_of(hardware), False, limit),)))  # fmt: skip


def quota_in_use(draw: Draw) -> Job:
    """Others use the quota up, for an hour or most of a day."""
    hardware = draw.device() if draw.chance.random() < 0.7 else draw.plain()
    region = draw.region(hardware, Service.TRAINING)
    held = Held(region, meter_of(hardware), False, needed(hardware, 4), draw.scale(0.4, 14))
    return sound_job(draw, hardware, region=region, fate=Fate(quotas=(held,)))


def no_spot_quota(draw: Draw) -> Job:
    """Spot has a quota of its own, of which there is none; on demand there is."""
    hardware = draw.device()
    region = draw.region(hardware, Service.TRAINING)
    meter = meter_of(hardware)
    own = Held(region, meter, True, 0)
    other = Held(region, meter, False, needed(hardware, 2) if draw.chance.random() < 0.7 else 0)
    return sound_job(draw, hardware, region=region, strategy="SPOT", fate=Fate(quotas=(own, other)))


def taken_back(draw: Draw) -> Job:
    """A spot machine, taken back as often as its kind and place are."""
    hardware = draw.device() if draw.chance.random() < 0.75 else draw.plain()
    region = draw.region(hardware, Service.TRAINING)
    often = hazard(draw.seed, region, hardware)
    hours = draw.scale(1.2, 6) / often if draw.chance.random() < 0.5 else draw.scale(4, 24)
    hours = min(hours, 60.0, draw.hours(hardware, 60.0, 60.0))
    memory = shape(hardware).memory_gib
    stages = training_stages(draw, hardware, hours=hours) if hardware.count else (
        Stage("simulate", core_hours=hours * shape(hardware).vcpus * 0.9, gib=memory * 0.3, serial=0.0),)  # fmt: skip
    program = Program(stages, checkpoint_hours=draw.chance.choice((0.0, 0.25, 1.0)))
    if hardware.count:
        program = on_device(hardware, program)
    other = Held(region, meter_of(hardware), False, needed(hardware, 4))
    return custom_job(draw, hardware, program, draw.chance.choice(("torch", "jax")) if hardware.count else "arrow",
                   region=region, strategy="SPOT", fate=Fate(quotas=(other,)))  # fmt: skip


def service_down(draw: Draw) -> Job:
    hardware = draw.device() if draw.chance.random() < 0.4 else draw.plain()
    fate = Fate(
        down_until=draw.scale(0.15, 6),
        down_at=draw.chance.choice(("start", "fetch", "fetch", "end")),
    )
    return sound_job(draw, hardware, fate=fate)


def full_disk(draw: Draw) -> Job:
    hardware = draw.device() if draw.chance.random() < 0.5 else draw.plain()
    job = sound_job(draw, hardware)
    assert job.program is not None
    return replace(job, program=replace(job.program, disk_gb=100 * draw.scale(0.9, 5)))
