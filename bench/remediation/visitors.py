"""A fleet by a third author: programs in stages, places that run dry and quotas by a calendar, and chains that meet
more than one obstacle.

Written by an author who knew the shared facts and catalogue, the shipped policy file and the other fleets, and
had read nothing of the code that decides; frozen before its first score. What happens to a job is stated
in `visitors_physics.py` and `visitors_places.py`, what it prints in `visitors_words.py`.
"""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace as changed

from bench.remediation.fleets import PLACE
from bench.remediation.requests import (
    with_batch_size,
    with_boot_disk,
    with_hardware,
    with_timeout,
)
from bench.remediation.visitors_draw import TEAMS, Draw
from bench.remediation.visitors_jobs import MIXES
from bench.remediation.visitors_physics import (
    BATCH,
    DEVICE_GIB,
    Body,
    End,
    Job,
    Place,
    State,
    hazard_of,
    placed,
    refused,
    run_program,
    run_server,
    shape,
    stage_hours,
    taken_after,
)
from bench.remediation.visitors_places import (
    CATALOGUE,
    REGIONS,
    beside,
    is_near,
    limit_of,
    meter_of,
    needed,
    thing_of,
)
from bench.remediation.visitors_traces import END_OF_WAIT, told
from bench.remediation.world import BEGINNING, Ran, read_of, told_of
from remediator.case import Case, Series
from remediator.catalog.catalog import Hardware, Service
from remediator.job.quota import QUOTA_LIMIT, QUOTA_USAGE, vertex_metrics

NAME = "visitors"
_FAMILIES = 16  # of each kind, so that some jobs come again
_DAYS = 30.0


def hour_of(job: Job) -> float:
    return _DAYS * 24 * job.index / 1000


def first_at(job: Job) -> datetime:
    return BEGINNING + timedelta(hours=hour_of(job))


def build(seed: int, count: int, mix: str) -> list[Job]:
    """So many jobs of a mix; some succeed at once, and are left out by who runs them."""
    chance = random.Random(f"visitors/{seed}/{mix}")
    weights = MIXES[mix]
    jobs = []
    for index, make in enumerate(chance.choices(list(weights), list(weights.values()), k=count)):
        number = chance.randrange(_FAMILIES)
        family = random.Random(f"visitors/{seed}/{make.__name__}/{number}")
        hour = _DAYS * 24 * index / 1000
        name = f"{make.__name__[:1]}{number}-{family.choice(('alpha', 'beta', 'daily', 'weekly', 'eu', 'v2'))}-{family.randrange(1000)}"
        draw = Draw(family, seed, hour, number % TEAMS, name)
        job = replace(
            make(draw),
            index=index,
            telemetry=chance.random() < 0.12,
            loses_metrics=chance.random() < 0.12,
            loses_logs=chance.random() < 0.05,
            state=State(),
        )
        jobs.append(replace(job, cause=_cause(job, _ends(job, job.body, 1, 0.0, 0.0))))
    return jobs


def _cause(job: Job, end: End) -> str:
    """The truth in the words of the product's causes."""
    if end.why == "raises":
        return job.raises_as
    return {"payload": "request_too_large", "cut": "unknown"}.get(end.why, end.why)


# --- what happens --------------------------------------------------------------------------------------


def _ends(job: Job, body: Mapping[str, Any], tries: int, since: float, saved: float,
          *, lucky: bool = False) -> End:  # fmt: skip
    """How a run ends that is created `since` hours after the first one."""
    region = str(body.get(PLACE) or job.region)
    place = placed(job.kind, body, region)
    if place is None:
        return _publisher(job, since)
    stopped = refused(job.seed, job.team, job.fate, place, since, hour_of(job) + since)
    if stopped:
        return stopped
    if job.server is not None:
        return run_server(job.server, job.fate, place, since=since)
    assert job.program is not None
    rate = 0.0 if lucky else hazard_of(job.seed, place)
    taken = taken_after(f"visitors/{job.seed}/{job.index}/{tries}", rate)
    return run_program(
        job.program, job.fate, place, job.data, saved=saved, since=since, taken=taken
    )


def _publisher(job: Job, since: float) -> End:
    if job.fate.raises_at is not None:
        return End("raises", 0.05)
    if since >= job.fate.down_until:
        return End("", 1.0)
    if job.fate.down_at == "queue":
        return End("capacity_stockout", 24.0)
    return End("transient_backend", 0.4)


def run(job: Job, body: Mapping[str, Any], tries: int, at: datetime) -> Ran:
    """The `tries`th run of this workload, created at `at`."""
    region = str(body.get(PLACE) or job.region)
    clean = {key: value for key, value in body.items() if key != PLACE}
    if tries == 1:
        job.state.saved, job.state.why = 0.0, ""
    since = (at - first_at(job)).total_seconds() / 3600
    end = _ends(job, {**clean, PLACE: region}, tries, since, job.state.saved)
    job.state.saved = max(job.state.saved, end.saved) if end.started else job.state.saved
    job.state.why = _cause(job, end)
    place = placed(job.kind, clean, region)
    course = told(job, end, place, tries)
    ran = told_of(job, clean, course, tries, at, region)
    if ran.usd or place is None or not course.started:
        return ran
    # No price is known here: what it costs elsewhere, and a fifth more.
    rate = CATALOGUE.rank_price(place.hardware, region)
    usd = rate * 1.2 * place.replicas * course.run_seconds / 3600 if rate < math.inf else 0.0
    return replace(ran, usd=usd)


def case_of(ran: Ran, now: datetime) -> Case:
    """What can be read: of two teams in six the quotas, of three who holds them, of one neither."""
    job = ran.job
    case = read_of(ran, now, buckets={job.bucket: job.data})
    metrics = vertex_metrics(case.job.error_message)
    place = placed(job.kind, ran.document.to_json(), ran.document.name.location)
    if not metrics or place is None or ran.run.started or job.team == 5:
        return case
    meter, spot = meter_of(place.hardware), place.strategy == "SPOT"
    since = (ran.started - first_at(job)).total_seconds() / 3600
    if job.team in {0, 1}:
        read = [
            Series(kind, {"quota_metric": metrics[0]}, {"location": region}, ((now, value),))
            for region in REGIONS
            for kind, value in _quota_in(job, region, meter, spot, since)
        ]
    else:
        held = next((q for q in job.fate.quotas if q.region == place.region and q.meter == meter and q.spot == spot), None)  # fmt: skip
        used = float(held.limit) if held and since < held.until else 0.0
        read = [
            Series(QUOTA_USAGE, {"quota_metric": metrics[0].partition("/")[2]},
                   {"location": place.region}, ((now, used),))
        ]  # fmt: skip
    return changed(case, series=(*case.series, *read))


def _quota_in(
    job: Job, region: str, meter: str, spot: bool, since: float
) -> Iterator[tuple[str, float]]:
    own = [q for q in job.fate.quotas if (q.region, q.meter, q.spot) == (region, meter, spot)]
    limit = own[0].limit if own else limit_of(job.seed, job.team, region, meter, spot)
    used = limit if own and since < own[0].until else 0
    yield QUOTA_LIMIT, float(limit)
    yield QUOTA_USAGE, float(used)


# --- what was right -------------------------------------------------------------------------------------

RIGHT: Mapping[str, frozenset[str]] = {
    "memory_pressure": frozenset({"memory", "batch"}),
    "gpu_memory": frozenset({"device memory", "batch"}),
    "accelerator_missing": frozenset({"accelerator"}),
    "cpu_saturation": frozenset({"vcpus", "timeout", "accelerator", "batch"}),
    "unknown": frozenset({"timeout"}),
    "request_too_large": frozenset({"batch", "vcpus", "accelerator"}),
    "slow_startup": frozenset({"vcpus"}),
    "capacity_stockout": frozenset({"same", "place", "machine", "accelerator", "strategy"}),
    "quota": frozenset({"place", "machine", "accelerator", "strategy"}),
    "preemption": frozenset({"same", "strategy", "place"}),
    "transient_backend": frozenset({"same"}),
    "disk_full": frozenset({"disk"}),
    "network_latency": frozenset({"place"}),
}
"""What is a remedy for what ended the last run."""
_PASSING = frozenset({"capacity_stockout", "quota", "preemption", "transient_backend"})


def is_right(job: Job, before: Body, after: Body) -> bool:
    """Whether a change is a remedy for what ended the run before it."""
    why = job.state.why
    if not job.helped and why not in _PASSING:
        return False
    right = RIGHT.get(why, frozenset())
    if why == "quota" and any(held.until for held in job.fate.quotas):
        right |= {"same"}
    if (
        job.program is not None
        and job.program.checkpoint_hours
        and why in {"unknown", "cpu_saturation"}
    ):
        right |= {"same"}
    if job.program is not None and job.program.leak_gib and job.program.checkpoint_hours:
        right |= {"same"}
    return bool(changes(job, before, after) & right)


def changes(job: Job, before: Body, after: Body) -> frozenset[str]:
    """What differs, and what grows."""
    old = placed(job.kind, before, str(before.get(PLACE) or job.region))
    new = placed(job.kind, after, str(after.get(PLACE) or job.region))
    if old is None or new is None:
        return frozenset({"same"})
    had, has = old.hardware, new.hardware
    was, now = shape(had), shape(has)
    sharded = job.program is not None and job.program.sharded
    found = {
        "machine": had.machine != has.machine,
        "memory": now.memory_gib > was.memory_gib,
        "vcpus": now.vcpus > was.vcpus,
        "accelerator": (had.accelerator, had.count) != (has.accelerator, has.count),
        "device memory": DEVICE_GIB.get(has.accelerator, 0) > DEVICE_GIB.get(had.accelerator, 0)
        or (sharded and has.count > had.count),
        "batch": old.batch != new.batch,
        "timeout": new.timeout > old.timeout,
        "strategy": old.strategy != new.strategy,
        "place": old.region != new.region,
        "disk": new.disk_gb > old.disk_gb,
        "replicas": old.replicas != new.replicas,
    }
    return frozenset(name for name, differs in found.items() if differs) or frozenset({"same"})


def losses(job: Job, body: Body) -> tuple[str, ...]:
    """What an attempt has lost of the first job's devices, and of its nearness to its data."""
    old = placed(job.kind, job.body, job.region)
    new = placed(job.kind, body, str(body.get(PLACE) or job.region))
    if old is None or new is None:
        return ()
    had, has = old.hardware, new.hardware
    lost = []
    if has.count < had.count:
        lost.append("device count")
    if had.count and DEVICE_GIB.get(has.accelerator, 0) < DEVICE_GIB.get(had.accelerator, 0):
        lost.append("device memory")
    if new.replicas < old.replicas:
        lost.append("replicas")
    if is_near(job.data, job.region) and not is_near(job.data, new.region):
        lost.append("locality")
    return tuple(lost)


# --- requests ------------------------------------------------------------------------------------------


def with_time(body: Body, hours: float) -> Body:
    return with_timeout(body, math.ceil(hours * 3600))


def with_disk(body: Body, size: float) -> Body:
    return with_boot_disk(body, math.ceil(size))


def on_demand(job: Job, body: Body) -> Body:
    made = copy.deepcopy(body)
    if job.kind != BATCH:
        made["jobSpec"].setdefault("scheduling", {})["strategy"] = "STANDARD"
    return made


def _hardware_for(service: Service) -> Iterator[Hardware]:
    for machine in CATALOGUE.machines.values():
        if service not in machine.services or not machine.vcpus:
            continue
        if machine.device:
            if machine.accelerator in DEVICE_GIB and machine.accelerator_count:
                yield Hardware(machine.name, machine.accelerator, machine.accelerator_count)
            elif machine.name.startswith("ct5lp"):
                yield Hardware(machine.name)
            continue
        yield Hardware(machine.name)
        for device in DEVICE_GIB:
            for count in CATALOGUE.allowed_counts(machine.name, device, service):
                yield Hardware(machine.name, device, count)


_HARDWARE = {service: tuple(_hardware_for(service)) for service in Service}
_WAITS = (0.0, 8.0, 24.0, 72.0)  # hours beyond an obstacle's own that a person might wait


def _may_become(job: Job, had: Hardware, has: Hardware) -> bool:
    """Whether a person would put the job onto this hardware at all."""
    if had.machine.startswith("ct"):
        return has.machine == had.machine
    if has.machine.startswith("ct"):
        return False
    wants = (job.program or job.server).wants if (job.program or job.server) else "none"
    if not had.count:
        return has.count == (1 if wants != "none" and job.cause == "accelerator_missing" else 0)
    return has.count >= had.count and DEVICE_GIB[has.accelerator] >= DEVICE_GIB[had.accelerator]


def cheapest(job: Job, allowed: Callable[[Hardware], bool] = lambda _: True) -> Body | None:
    """Of every request that a person might try, the cheapest that succeeds; None: none does."""
    if not job.helped:
        return None
    first = _ends(job, job.body, 1, 0.0, 0.0)
    if placed(job.kind, job.body, job.region) is None:
        wait = max(0.5, job.fate.down_until - first.at)
        job.state.wait_hours = wait if job.state.wait_hours is None else job.state.wait_hours
        return dict(job.body)
    known = [held.until for held in job.fate.quotas if held.until]
    own = max([0.0, first.until if first.until < 72 else 0.0, job.fate.down_until, *known])
    ran = first.at if first.started else END_OF_WAIT / 3600
    for extra in _WAITS:
        wait = max(0.5, own - ran) + extra
        found = _cheapest_at(job, allowed, ran + wait + 0.1)
        if found is not None:
            if job.state.wait_hours is None:
                job.state.wait_hours = wait + 0.1
            return found
    return None


def _cheapest_at(job: Job, allowed: Callable[[Hardware], bool], since: float) -> Body | None:
    best: tuple[float, Body] | None = None
    for body in _candidates(job, allowed):
        region = str(body[PLACE])
        place = placed(job.kind, body, region)
        assert place is not None
        end = _ends(job, body, 99, since, 0.0, lucky=place.strategy != "SPOT")
        if end.why:
            continue
        rate = CATALOGUE.usd_per_hour(place.hardware, region)
        if rate is None:
            rate = CATALOGUE.rank_price(place.hardware, region) * 1.2
        usd = rate * end.at * place.replicas
        if best is None or usd < best[0]:
            best = usd, body
    return best[1] if best else None


def _candidates(job: Job, allowed: Callable[[Hardware], bool]) -> Iterator[Body]:
    base = placed(job.kind, job.body, job.region)
    assert base is not None
    body = on_demand(job, job.body)
    regions = (job.region,) if job.kind == BATCH else _reach(job)
    for hardware in _HARDWARE[base.service]:
        if not _may_become(job, base.hardware, hardware) or not allowed(hardware):
            continue
        made = body if hardware == base.hardware else with_hardware(body, hardware)
        for region in regions:
            if CATALOGUE.offered(hardware, region, base.service) is False:
                continue
            if job.kind == BATCH:
                for size in (base.batch, *(2**n for n in range(7, -1, -1) if 2**n < base.batch)):
                    sized = made if size == base.batch else with_batch_size(made, size)
                    yield {**sized, PLACE: region}
                continue
            assert job.program is not None
            there = replace(base, hardware=hardware, region=region)
            hours = sum(stage_hours(one, there, job.data) for one in job.program.stages)
            timed = with_time(made, hours * 1.05 + 0.1) if hours > base.timeout else made
            disk = job.program.disk_gb / 0.86
            yield {**(with_disk(timed, disk) if disk > base.disk_gb else timed), PLACE: region}


def _reach(job: Job) -> tuple[str, ...]:
    """Regions beside the data; the job's own where it is one, or where the data are far from the start."""
    near = beside(job.data, job.region)
    if job.region in near or job.cause == "network_latency":
        return near
    return (job.region, *near)


# --- what the engineer does ------------------------------------------------------------------------------


def remedy(job: Job, body: Body, made: int) -> Body | None:
    """What a good engineer does who is told what truly ended each run and can read the quota page."""
    why = job.state.why
    if not job.helped and why not in _PASSING:
        return None
    return _REMEDIES.get(why, lambda *_: None)(job, body, made)


def _at(job: Job, body: Body) -> Place:
    place = placed(job.kind, body, str(body.get(PLACE) or job.region))
    assert place is not None
    return place


def _has_room(job: Job, place: Place) -> bool:
    """By the quota page: whether the limit is enough, whoever uses it now."""
    meter, spot = meter_of(place.hardware), place.strategy == "SPOT"
    own = [q for q in job.fate.quotas if (q.region, q.meter, q.spot) == (place.region, meter, spot)]
    limit = own[0].limit if own else limit_of(job.seed, job.team, place.region, meter, spot)
    return needed(place.hardware, place.replicas) <= limit


def _moved(job: Job, body: Body, fits: Callable[[Place], bool]) -> Body | None:
    """The cheapest hardware in the request's region that is offered, has a quota, and that the engineer thinks will do."""
    now = _at(job, body)
    found = []
    for hardware in _HARDWARE[now.service]:
        there = replace(now, hardware=hardware)
        if (
            _may_become(job, now.hardware, hardware)
            and CATALOGUE.offered(hardware, now.region, now.service) is not False
            and fits(there)
            and _has_room(job, there)
        ):
            found.append((CATALOGUE.rank_price(hardware, now.region), hardware.machine, hardware))
    return with_hardware(body, min(found, key=lambda one: one[:2])[2]) if found else None


def _for_memory(job: Job, body: Body, made: int) -> Body | None:
    now = _at(job, body)
    if job.kind == BATCH and made == 1 and now.batch > 8:
        return with_batch_size(body, now.batch // 4)
    least = shape(now.hardware).memory_gib * 1.9
    return _moved(job, body, lambda place: shape(place.hardware).memory_gib >= least) or _moved(
        job, body, lambda place: shape(place.hardware).memory_gib >= least / 1.4
    )


def _for_cpu(job: Job, body: Body, made: int) -> Body | None:
    now = _at(job, body)
    least = shape(now.hardware).vcpus * 2
    larger = _moved(job, body, lambda place: shape(place.hardware).vcpus >= least)
    if larger is None or made > 2:
        return with_time(body, now.timeout * 2) if now.timeout < math.inf else None
    return larger


def _for_time(job: Job, body: Body, _made: int) -> Body | None:
    if job.program is not None and job.program.checkpoint_hours:
        return dict(body)
    return with_time(body, _at(job, body).timeout * 2)


def _for_device_memory(job: Job, body: Body, made: int) -> Body | None:
    now = _at(job, body)
    if job.kind == BATCH and now.batch > 4 and made < 3:
        return with_batch_size(body, max(1, now.batch // 4))
    held = DEVICE_GIB[now.hardware.accelerator]
    if job.program is not None and job.program.sharded:
        whole = held * now.hardware.count * 1.5
        return _moved(
            job, body, lambda p: DEVICE_GIB[p.hardware.accelerator] * p.hardware.count >= whole
        )
    return _moved(job, body, lambda p: DEVICE_GIB[p.hardware.accelerator] >= held * 1.2)


def _for_no_device(job: Job, body: Body, _made: int) -> Body | None:
    memory = shape(_at(job, body).hardware).memory_gib
    return _moved(job, body, lambda place: shape(place.hardware).memory_gib >= memory * 0.9)


def _for_request(job: Job, body: Body, _made: int) -> Body | None:
    now = _at(job, body)
    return (
        with_batch_size(body, max(1, now.batch // 4)) if now.batch > 1 else _for_cpu(job, body, 1)
    )


def _for_start(job: Job, body: Body, _made: int) -> Body | None:
    least = shape(_at(job, body).hardware).vcpus * 2
    return _moved(job, body, lambda place: shape(place.hardware).vcpus >= least)


def _for_place(job: Job, body: Body, made: int) -> Body | None:
    """Another place beside the data that has a quota, then another kind of hardware, then waiting."""
    place = placed(job.kind, body, str(body.get(PLACE) or job.region))
    if place is None:
        return dict(body)
    if job.kind != BATCH:
        others = [
            region
            for region in beside(job.data, job.region)
            if region not in {job.region, place.region}
            and CATALOGUE.offered(place.hardware, region, place.service)
            and _has_room(job, replace(place, region=region))
        ]
        if made <= 2 and len(others) >= made:
            return {**body, PLACE: others[made - 1]}
    thing, memory = thing_of(place.hardware), shape(place.hardware).memory_gib
    if made == 3:
        return _moved(
            job,
            on_demand(job, body),
            lambda p: (
                thing_of(p.hardware) != thing and shape(p.hardware).memory_gib >= memory * 0.95
            ),
        ) or dict(body)
    return dict(body)


def _for_quota(job: Job, body: Body, _made: int) -> Body | None:
    now = _at(job, body)
    if _has_room(job, now):
        return dict(body)
    plain = on_demand(job, body)
    if now.strategy == "SPOT" and _has_room(job, _at(job, plain)):
        return plain
    memory, vcpus = shape(now.hardware).memory_gib, shape(now.hardware).vcpus
    other = _moved(
        job,
        plain,
        lambda p: (
            shape(p.hardware).memory_gib >= memory * 0.95
            and (bool(p.hardware.count) or shape(p.hardware).vcpus >= vcpus)
        ),
    )
    if other is not None or job.kind == BATCH:
        return other
    for region in beside(job.data, job.region):
        there = replace(_at(job, plain), region=region)
        if CATALOGUE.offered(now.hardware, region, now.service) and _has_room(job, there):
            return {**plain, PLACE: region}
    return None


def _for_spot(job: Job, body: Body, made: int) -> Body | None:
    program = job.program
    keeps = program is not None and program.checkpoint_hours
    return dict(body) if made == 1 or (keeps and made < 4) else on_demand(job, body)


def _for_far_data(job: Job, body: Body, made: int) -> Body | None:
    near = [
        region
        for region in beside(job.data, job.region)
        if CATALOGUE.offered(_at(job, body).hardware, region, Service.TRAINING)
        and _has_room(job, replace(_at(job, body), region=region))
    ]
    return {**body, PLACE: near[0]} if near and made == 1 else None


_REMEDIES: Mapping[str, Callable[[Job, Body, int], Body | None]] = {
    "memory_pressure": _for_memory,
    "cpu_saturation": _for_cpu,
    "unknown": _for_time,
    "gpu_memory": _for_device_memory,
    "accelerator_missing": _for_no_device,
    "request_too_large": _for_request,
    "slow_startup": _for_start,
    "capacity_stockout": _for_place,
    "quota": _for_quota,
    "preemption": _for_spot,
    "transient_backend": lambda _job, body, _made: dict(body),
    "disk_full": lambda job, body, _made: with_disk(body, _at(job, body).disk_gb * 2),
    "network_latency": _for_far_data,
}

__all__ = [
    "MIXES", "NAME", "build", "case_of", "cheapest", "first_at", "is_right", "losses", "remedy", "run",
]  # fmt: skip
