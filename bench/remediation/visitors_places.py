"""The places of the fleet `visitors`: where machines run short and for how long, quotas, spot, distance.

Every number is chosen for what is plausible, before the first score, and holds for the whole fleet of a
seed: a place that has no machine has none for anybody, and quotas belong to a team's project.
"""

from __future__ import annotations

import functools
import math
import random
from collections.abc import Mapping

from remediator.catalog.catalog import Catalog, Hardware, Service

CATALOGUE = Catalog.built_in()

REGIONS: Mapping[str, int] = {
    "us-central1": 28, "europe-west4": 16, "us-east4": 9, "us-west1": 8, "us-east1": 6, "europe-west1": 6,
    "asia-southeast1": 6, "us-west4": 4, "europe-west3": 3, "europe-west2": 3, "asia-northeast1": 3,
    "asia-northeast3": 2, "asia-south1": 2, "northamerica-northeast2": 1, "southamerica-east1": 1,
    "australia-southeast1": 1, "us-east5": 1, "us-south1": 1,
}  # fmt: skip
"""Where teams have their home, by weight. Some have no price of some machines."""

AREAS = {"US": "us-", "EU": "europe-", "ASIA": "asia-"}
_OUTSIDE_EU = frozenset({"europe-west2", "europe-west6"})  # London and Zurich: no part of EU

SCARCE = {
    "n1": 0.002, "e2": 0.002, "n2": 0.003, "n2d": 0.006, "n4": 0.01, "c2": 0.02, "c3": 0.01, "m1": 0.08,
    "NVIDIA_TESLA_T4": 0.04, "NVIDIA_TESLA_P4": 0.08, "NVIDIA_TESLA_V100": 0.09, "NVIDIA_L4": 0.06,
    "NVIDIA_TESLA_A100": 0.14, "NVIDIA_A100_80GB": 0.2, "NVIDIA_H100_80GB": 0.3,
    "NVIDIA_RTX_PRO_6000": 0.15, "ct5lp": 0.18, "ct6e": 0.25,
}  # fmt: skip
"""What share of the time a region has none of it left; another 0.1."""
HAZARD = {
    "NVIDIA_TESLA_T4": 0.04, "NVIDIA_L4": 0.05, "NVIDIA_TESLA_V100": 0.08, "NVIDIA_TESLA_A100": 0.12,
    "NVIDIA_A100_80GB": 0.18, "NVIDIA_H100_80GB": 0.25, "ct5lp": 0.12, "c2": 0.03,
}  # fmt: skip
"""How often an hour a spot machine is taken back; another 0.02."""
_DRY_HOURS, _DRY_SPREAD, _DRY_MOST = 4.5, 1.2, 120.0  # lognormal: median, sigma, the longest
_SPAN = 24 * 75  # hours of the calendar
_NO_QUOTA = {
    "NVIDIA_TESLA_T4": 0.25, "NVIDIA_L4": 0.3, "NVIDIA_TESLA_V100": 0.45, "NVIDIA_TESLA_A100": 0.55,
    "NVIDIA_A100_80GB": 0.65, "NVIDIA_H100_80GB": 0.85, "NVIDIA_RTX_PRO_6000": 0.8, "ct5lp": 0.6,
    "c2": 0.25, "m1": 0.6, "n4": 0.2, "c3": 0.2,
}  # fmt: skip
"""How often a project has a quota of 0 of it in a region; another 0.02."""
_LIMITS = {True: (1, 2, 4, 8, 16), False: (42, 96, 200, 450, 2200)}  # devices, or vCPUs


def thing_of(hardware: Hardware) -> str:
    """What a place runs short of: a device's type, or a machine's generation."""
    return hardware.accelerator or hardware.machine.partition("-")[0]


def meter_of(hardware: Hardware) -> str:
    """What a quota counts: as `thing_of`, but N1 and E2 share one."""
    thing = thing_of(hardware)
    return "n1" if thing == "e2" else thing


def needed(hardware: Hardware, replicas: int) -> int:
    """How much of the meter a request asks for."""
    kind = CATALOGUE.machine(hardware.machine)
    chips = hardware.machine.rpartition("-")[2]
    if chips.endswith("t"):
        return int(chips[:-1]) * replicas
    return (hardware.count or (kind.vcpus if kind else 4)) * replicas


@functools.cache
def _calendar(seed: int, region: str, thing: str, spot: bool) -> tuple[tuple[float, float], ...]:
    """When the region has none: (from, until) in hours since the fleet's beginning."""
    chance = random.Random(f"visitors/{seed}/{region}/{thing}/{spot}")
    share = SCARCE.get(thing, 0.1) * chance.uniform(0.3, 1.9)
    share = min(0.6, share * 1.8 + 0.01 if spot else share)
    mean = _DRY_HOURS * math.exp(_DRY_SPREAD**2 / 2)
    found, at = [], -48.0 + chance.expovariate(share / (mean * (1 - share)))
    while at < _SPAN:
        lasts = min(_DRY_MOST, chance.lognormvariate(math.log(_DRY_HOURS), _DRY_SPREAD))
        found.append((at, at + lasts))
        at += lasts + chance.expovariate(share / (mean * (1 - share)))
    return tuple(found)


def dry_until(seed: int, region: str, hardware: Hardware, hour: float, *, spot: bool) -> float:
    """The hour at which the region has machines again; 0: it has them now."""
    spans = _calendar(seed, region, thing_of(hardware), spot)
    return next((until for since, until in spans if since <= hour < until), 0.0)


def dry_at(seed: int, hardware: Hardware, hour: float, service: Service) -> list[str]:
    """Regions that offer the hardware and have none of it at this hour."""
    return [
        region
        for region in REGIONS
        if CATALOGUE.offered(hardware, region, service)
        and dry_until(seed, region, hardware, hour, spot=False)
    ]


@functools.cache
def limit_of(seed: int, team: int, region: str, meter: str, spot: bool) -> int:
    """A project's quota in a region, where nothing else is said of it."""
    chance = random.Random(f"visitors/{seed}/{team}/{region}/{meter}/{spot}/quota")
    if chance.random() < _NO_QUOTA.get(meter, 0.02):
        return 0
    return chance.choice(_LIMITS[meter.startswith(("NVIDIA", "TPU", "ct"))])


def hazard(seed: int, region: str, hardware: Hardware) -> float:
    """How often an hour a spot machine is taken back here."""
    thing = thing_of(hardware)
    factor = random.Random(f"visitors/{seed}/{region}/{thing}/hazard").uniform(0.5, 2.0)
    return HAZARD.get(thing, 0.02) * factor


def is_near(data: str, region: str) -> bool:
    """Whether a bucket's location, a region or a multi-region, holds the region."""
    if data in AREAS:
        return region.startswith(AREAS[data]) and region not in _OUTSIDE_EU
    return region == data.lower()


def gib_an_hour(data: str, region: str) -> float:
    """How fast data come from a bucket."""
    if is_near(data, region):
        return 900.0
    area = AREAS.get(data, data.lower().partition("-")[0])
    return 400.0 if region.startswith(area.rstrip("-")) else 60.0


def beside(data: str, first: str) -> tuple[str, ...]:
    """Regions that hold the data, the first one before the others."""
    near = [region for region in REGIONS if is_near(data, region)]
    if data.lower() not in AREAS and data.lower() not in near and data not in AREAS:
        near.append(data.lower())
    return (*(one for one in (first,) if one in near), *(one for one in near if one != first))
