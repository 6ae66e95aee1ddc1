"""A fleet by a second author: jobs of every kind of accelerator and of many regions, and what fixes them.

Written from the shared facts, catalogue, corpus and lab alone, by an author who had read neither the
planner nor the policies nor the jobs and physics of the other fleets, and frozen before its first
score. What happens to a job is stated in `strangers_physics.py`. Some jobs are one of a family that
fails alike and shares its image.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from bench.remediation.fleets import PLACE
from bench.remediation.requests import (
    with_batch_size,
    with_boot_disk,
    with_hardware,
    with_timeout,
)
from bench.remediation.strangers_jobs import AREAS, MIXES, Job
from bench.remediation.strangers_physics import (
    BATCH,
    CATALOGUE,
    DEVICE_GIB,
    SPEED,
    Body,
    Fate,
    Place,
    hours_of,
    mended_by,
    placed,
    shape,
    thing_of,
)
from bench.remediation.strangers_physics import (
    run as ran,
)
from bench.remediation.world import BEGINNING, Ran, read_of, told_of
from remediator.case import Case
from remediator.catalog.catalog import Hardware, Service

NAME = "strangers"
# --- the interface of a fleet ----------------------------------------------------------------------


def build(seed: int, count: int, mix: str) -> list[Job]:
    """So many jobs of a mix; some may succeed at once, and are left out by who runs them."""
    weights = MIXES[mix]
    chance = random.Random(f"strangers/{seed}/{mix}")
    makers = chance.choices(list(weights), list(weights.values()), k=count)
    jobs = []
    for number, make in enumerate(makers):
        family = random.Random(f"{seed}/{make.__name__}/{chance.randrange(14)}")
        job = make(family)
        held = replace(
            job,
            index=number,
            telemetry=chance.random() < 0.15,
            loses_metrics=chance.random() < 0.12,
            loses_logs=chance.random() < 0.05,
            passes_hours=_passes(job.fate),
        )
        jobs.append(held)
    return jobs


def first_at(job: Job) -> datetime:
    return BEGINNING + timedelta(days=30) * (job.index / 1000)


def run(job: Job, body: Mapping[str, Any], tries: int, at: datetime) -> Ran:
    """The `tries`th run of this workload, created at `at`."""
    region = str(body.get(PLACE) or job.region)
    clean = {key: value for key, value in body.items() if key != PLACE}
    place = placed(job.kind, clean, region)
    hours = (at - first_at(job)).total_seconds() / 3600
    course = ran(
        job.kind,
        job.demand,
        job.fate,
        place,
        tries,
        hours,
        data_near=_near(job.data, region),
        says=job.server_says,
    )
    return told_of(job, clean, course, tries, at, region)


def case_of(ran: Ran, now: datetime) -> Case:
    return read_of(ran, now, buckets={ran.job.bucket: ran.job.data})


def cheapest(job: Job, allowed: Callable[[Hardware], bool] = lambda _: True) -> Body | None:
    """Of every request that names what a person might try, the cheapest that succeeds; None: none does."""
    best: tuple[float, Body] | None = None
    for body, region in _candidates(job, allowed):
        place = placed(job.kind, body, region)
        hours = mended_by(job.kind, job.demand, job.fate, place, _near(job.data, region))
        if hours is None:
            continue
        rate = CATALOGUE.usd_per_hour(place.hardware, region)
        usd = (rate if rate is not None else 1e6) * hours * place.replicas
        if best is None or usd < best[0]:
            best = usd, {**body, PLACE: region}
    return best[1] if best else None


def is_right(job: Job, before: Body, after: Body) -> bool:
    """Whether a change is one of those that fix the true cause."""
    return bool(changes(job, before, after) & job.mends)


def changes(job: Job, before: Body, after: Body) -> frozenset[str]:
    old = placed(job.kind, before, str(before.get(PLACE) or job.region))
    new = placed(job.kind, after, str(after.get(PLACE) or job.region))
    pairs = {
        "accelerator": _devices(old) != _devices(new),
        "machine": old.hardware.machine != new.hardware.machine,
        "batch": old.batch != new.batch,
        "timeout": old.timeout != new.timeout,
        "spot": old.spot != new.spot,
        "place": old.region != new.region,
        "disk": old.disk_gb != new.disk_gb,
        "replicas": old.replicas != new.replicas,
    }
    return frozenset(name for name, differs in pairs.items() if differs) or frozenset({"same"})


def losses(job: Job, body: Body) -> tuple[str, ...]:
    """What an attempt has lost of the first job's devices, topology and nearness to its data."""
    old = placed(job.kind, job.body, job.region)
    new = placed(job.kind, body, str(body.get(PLACE) or job.region))
    lost = []
    had, has = old.hardware, new.hardware
    if has.count < had.count:
        lost.append("device count")
    if had.count and DEVICE_GIB.get(has.accelerator, 0) < DEVICE_GIB.get(had.accelerator, 0):
        lost.append("device memory")
    if new.replicas < old.replicas:
        lost.append("replicas")
    if _near(job.data, job.region) and not _near(job.data, new.region):
        lost.append("locality")
    return tuple(lost)


def remedy(job: Job, body: Body, made: int) -> Body | None:
    """What a good engineer does who is told the cause and can read the quota page."""
    return _REMEDIES.get(job.cause, lambda *_: None)(job, body, made)


# --- requests --------------------------------------------------------------------------------------


def with_time(body: Body, hours: float) -> Body:
    return with_timeout(body, int(hours * 3600))


def on_demand(job: Job, body: Body) -> Body:
    copied = copy.deepcopy(body)
    if job.kind == BATCH:
        copied["dedicatedResources"].pop("spot", None)
    else:
        copied["jobSpec"].setdefault("scheduling", {})["strategy"] = "STANDARD"
    return copied


def _devices(place: Place) -> tuple[str, int]:
    return place.hardware.accelerator, place.hardware.count


def _near(data: str, region: str) -> bool:
    """Whether a bucket's location holds the region.

    Corrected after the first score, which took a multi-region for the fleet's own regions in it and
    counted five moves inside it as losses; no run ends otherwise for it.
    """
    if data in AREAS:
        return region.startswith(_CONTINENTS[data]) and region not in _OUTSIDE_EU
    return region == data.lower()


_CONTINENTS = {"US": "us-", "EU": "europe-", "ASIA": "asia-"}
_OUTSIDE_EU = frozenset({"europe-west2", "europe-west6"})  # London and Zurich


def _reach(job: Job) -> tuple[str, ...]:
    """Regions where the job may run beside its data, its own first."""
    area = AREAS.get(job.data, (job.data.lower(),))
    own = (job.region,) if _near(job.data, job.region) or job.cause != "network_latency" else ()
    return (*own, *(one for one in area if one != job.region))


def _passes(fate: Fate) -> float:
    known = [hours for hours in fate.dry.values() if not math.isinf(hours)]
    return max([*known, fate.quota_hours, fate.down_hours])


def _hardware_for(service: Service) -> Iterator[Hardware]:
    """Everything that Vertex takes for a service, of machines whose size is known."""
    for machine in CATALOGUE.machines.values():
        if service not in machine.services or not machine.vcpus:
            continue
        if machine.device:
            if machine.accelerator:
                yield Hardware(machine.name, machine.accelerator, machine.accelerator_count)
            continue
        yield Hardware(machine.name)
        for device in SPEED:
            for count in CATALOGUE.allowed_counts(machine.name, device, service):
                yield Hardware(machine.name, device, count)


_HARDWARE = {service: tuple(_hardware_for(service)) for service in Service}


def _candidates(job: Job, allowed: Callable[[Hardware], bool]) -> Iterator[tuple[Body, str]]:
    base = placed(job.kind, job.body, job.region)
    if not job.mends:
        return
    body = on_demand(job, job.body)
    for hardware in _HARDWARE[base.service]:
        if not _may_become(job, base.hardware, hardware) or not allowed(hardware):
            continue
        changed = with_hardware(body, hardware)
        for region in _reach(job):
            if job.kind == BATCH:
                for size in (base.batch, *(2**n for n in range(6, -1, -1) if 2**n < base.batch)):
                    yield with_batch_size(changed, size), region
                continue
            there = replace(base, hardware=hardware, region=region)
            needed = hours_of(job.demand, there, _near(job.data, region)) * 1.1 + 0.1
            sized = with_boot_disk(
                changed, max(int(base.disk_gb), math.ceil(job.demand.disk_gb / 0.85))
            )
            yield (with_time(sized, needed) if needed * 3600 > base.timeout else sized), region


def _may_become(job: Job, had: Hardware, has: Hardware) -> bool:
    """Whether a person would put the job onto this hardware at all, for its cause."""
    if job.cause == "accelerator_missing":
        return has.count == 1
    if job.cause in {"gpu_memory", "capacity_stockout", "quota"} and had.count:
        return has.count >= had.count and DEVICE_GIB.get(has.accelerator, 0) >= DEVICE_GIB.get(
            had.accelerator, 0
        )
    return (had.accelerator, had.count) == (has.accelerator, has.count)


# --- what the engineer does ------------------------------------------------------------------------


def _larger(job: Job, body: Body, fits: Callable[[Place], bool]) -> Body | None:
    """The cheapest hardware in the job's region that the engineer thinks will do."""
    region = str(body.get(PLACE) or job.region)
    now = placed(job.kind, body, region)
    found = [
        (CATALOGUE.usd_per_hour(hardware, region) or math.inf, hardware.machine, hardware)
        for hardware in _HARDWARE[now.service]
        if _may_become(job, now.hardware, hardware)
        and CATALOGUE.offered(hardware, region, now.service) is not False
        and thing_of(hardware) not in job.fate.quota
        and fits(replace(now, hardware=hardware))
    ]
    return with_hardware(body, min(found)[2]) if found else None


def _for_memory(job: Job, body: Body, made: int) -> Body | None:
    if not job.mends:
        return None
    now = placed(job.kind, body, job.region)
    least = shape(now.hardware).memory_gib * 1.9
    if job.kind == BATCH and made == 1 and now.batch > 8:
        return with_batch_size(body, now.batch // 4)
    return _larger(job, body, lambda place: shape(place.hardware).memory_gib >= least)


def _for_cpu(job: Job, body: Body, _made: int) -> Body | None:
    vcpus = shape(placed(job.kind, body, job.region).hardware).vcpus
    return _larger(job, body, lambda place: shape(place.hardware).vcpus >= vcpus * 2)


def _for_time(job: Job, body: Body, _made: int) -> Body | None:
    return with_time(body, placed(job.kind, body, job.region).timeout * 2 / 3600)


def _for_device_memory(job: Job, body: Body, _made: int) -> Body | None:
    now = placed(job.kind, body, job.region)
    if job.kind == BATCH and now.batch > 4:
        return with_batch_size(body, max(1, now.batch // 4))
    least = DEVICE_GIB[now.hardware.accelerator] * 1.2
    return _larger(job, body, lambda place: DEVICE_GIB[place.hardware.accelerator] >= least)


def _for_no_device(job: Job, body: Body, _made: int) -> Body | None:
    now = placed(job.kind, body, job.region)
    if now.hardware.count:  # the device of the attempt before was too small
        return _for_device_memory(job, body, _made)
    memory = shape(now.hardware).memory_gib
    return _larger(job, body, lambda place: shape(place.hardware).memory_gib >= memory)


def _for_request(job: Job, body: Body, _made: int) -> Body | None:
    now = placed(job.kind, body, job.region)
    return with_batch_size(body, max(1, now.batch // 4)) if now.batch > 1 else None


def _for_place(job: Job, body: Body, made: int) -> Body | None:
    """The next place beside the data, then a device or machine of another kind, then waiting."""
    others = [one for one in _reach(job) if one != job.region]
    now = placed(job.kind, job.body, job.region)
    if made <= min(2, len(others)):
        return {**body, PLACE: others[made - 1]}
    if made == min(2, len(others)) + 1:
        home = {key: value for key, value in job.body.items() if key != PLACE}
        thing, memory = thing_of(now.hardware), shape(now.hardware).memory_gib
        other = _larger(
            job,
            on_demand(job, home),
            lambda place: (
                thing_of(place.hardware) != thing and shape(place.hardware).memory_gib >= memory
            ),
        )
        return other or home
    return dict(body)


def _for_quota(job: Job, body: Body, _made: int) -> Body | None:
    """Another family or device with room; where the quota is used up for a while, the same again."""
    if job.fate.quota_hours:
        return dict(body)
    now = placed(job.kind, body, job.region)
    memory, vcpus = shape(now.hardware).memory_gib, shape(now.hardware).vcpus
    return _larger(
        job,
        body,
        lambda place: (
            shape(place.hardware).memory_gib >= memory * 0.9
            and (bool(place.hardware.count) or shape(place.hardware).vcpus >= vcpus)
        ),
    )


_REMEDIES: Mapping[str, Callable[[Job, Body, int], Body | None]] = {
    "memory_pressure": _for_memory,
    "cpu_saturation": _for_cpu,
    "unknown": _for_time,
    "gpu_memory": _for_device_memory,
    "accelerator_missing": _for_no_device,
    "request_too_large": _for_request,
    "slow_startup": _for_cpu,
    "capacity_stockout": _for_place,
    "quota": _for_quota,
    "preemption": lambda job, body, made: dict(body) if made == 1 else on_demand(job, body),
    "transient_backend": lambda _job, body, _made: dict(body),
    "disk_full": lambda job, body, _made: with_boot_disk(
        body, int(placed(job.kind, body, job.region).disk_gb * 2)
    ),
    "network_latency": lambda job, body, made: (
        {**body, PLACE: _reach(job)[0]} if job.mends and made == 1 else None
    ),
}
