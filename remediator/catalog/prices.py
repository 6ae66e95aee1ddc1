"""What an hour costs in each region: Compute Engine's rates, and Vertex AI's surcharge on them.

Facts only, gathered on the date in `GATHERED`. A family has one rate for a vCPU and one for a GiB, in
us-central1, and one multiplier for each region: with it, the price of every size of the family comes
out within half a per cent (checked against Google's lists). A device has a rate and its multipliers,
too. Estimates: they rank changes and cap them, and are shown as such. A rate that nobody could verify
is absent, never zero; what is not known of spot machines and of FLEX_START is bounded by the on-demand
price. Called by `catalog` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache

from msgspec import Struct

GATHERED = "2026-05-20"
"""The day of the host and device rates; those of us-central1 were seen again on 2026-11-23."""

SURCHARGE = 0.15
"""Vertex costs this share of the on-demand price over Compute Engine's own, spot machines too."""

REFERENCE_REGION = "us-central1"
"""Whose rates stand below, and by which what is not priced elsewhere is ranked, never costed."""

DISK_USD_PER_GB_HOUR = 0.000268
"""A worker's boot disk (pd-ssd) in us-central1, as Vertex bills it; elsewhere by the region's usual."""


class Strategy(StrEnum):
    """How machines are got, in the API's words; each has rates of its own."""

    STANDARD = "STANDARD"
    SPOT = "SPOT"
    FLEX_START = "FLEX_START"


class Price(Struct, frozen=True):
    """USD an hour on Vertex, an estimate. `at_most`: the rate is not known, the on-demand one bounds it."""

    usd: float
    at_most: bool = False

    def times(self, amount: float) -> Price:
        return Price(self.usd * amount, self.at_most)

    def plus(self, other: Price) -> Price:
        return Price(self.usd + other.usd, self.at_most or other.at_most)


class Rate(Struct, frozen=True):
    """USD an hour on demand, as spot and by FLEX_START; None: not known."""

    on_demand: float
    spot: float | None = None
    flex_start: float | None = None

    def times(self, amount: float) -> Rate:
        return Rate(
            self.on_demand * amount,
            None if self.spot is None else self.spot * amount,
            None if self.flex_start is None else self.flex_start * amount,
        )

    def on_vertex(self, strategy: Strategy) -> Price:
        """Of a Compute Engine rate: the surcharge is on the on-demand price in every case."""
        whole = self.on_demand * (1 + SURCHARGE)
        own = self._of(strategy)
        if own is None:
            return Price(whole, at_most=strategy is not Strategy.STANDARD)
        return Price(min(own + self.on_demand * SURCHARGE, whole))

    def as_it_is(self, strategy: Strategy) -> Price:
        """Of a price that is Vertex's own already."""
        own = self._of(strategy)
        return Price(self.on_demand, at_most=True) if own is None else Price(own)

    def _of(self, strategy: Strategy) -> float | None:
        if strategy is Strategy.STANDARD:
            return self.on_demand
        return self.spot if strategy is Strategy.SPOT else self.flex_start


# --- regions: what a price is there, by that of us-central1 ---------------------------------------

_USUAL: Mapping[str, float] = {
    "us-central1": 1, "us-east1": 1, "us-east4": 1.1262, "us-east5": 1, "us-south1": 1.18,
    "us-west1": 1, "us-west2": 1.2012, "us-west3": 1.2012, "us-west4": 1.1263,
    "northamerica-northeast1": 1.101, "northamerica-northeast2": 1.101,
    "northamerica-south1": 1.09, "southamerica-east1": 1.5875, "southamerica-west1": 1.43,
    "europe-central2": 1.21, "europe-north1": 1.1011, "europe-north2": 1.05,
    "europe-southwest1": 1.18, "europe-west1": 1.1001, "europe-west2": 1.2884,
    "europe-west3": 1.2884, "europe-west4": 1.1009, "europe-west6": 1.31, "europe-west8": 1.16,
    "europe-west9": 1.16, "europe-west10": 1.2885, "europe-west12": 1.29,
    "asia-east1": 1.1579, "asia-east2": 1.3992, "asia-northeast1": 1.2842,
    "asia-northeast2": 1.2842, "asia-northeast3": 1.2842, "asia-south1": 1.2011,
    "asia-south2": 1.2011, "asia-southeast1": 1.2337, "asia-southeast2": 1.3447,
    "asia-southeast3": 1.05, "australia-southeast1": 1.419, "australia-southeast2": 1.4195,
    "me-central1": 1.215, "me-central2": 1.6, "me-west1": 1.1, "africa-south1": 1.1001,
}  # fmt: skip

_NEWER = (
    "us-east4=1 europe-west2=1.14 europe-west3=1.18 europe-west4=1.05 asia-south1=1.04 "
    "australia-southeast1=1.25"
)
"""Where families that came after 2023 are priced otherwise than those before."""


def _multipliers(listed: str) -> Iterator[tuple[str, tuple[float, float]]]:
    """`us-east1 asia-south1=0.66 asia-northeast1=1.285/1.279`, `* -us-east5`: region -> (vCPU, GiB).

    A bare name has the usual multiplier, `*` stands for every region, `-` takes one out, and what
    comes later holds.
    """
    for word in listed.split():
        region, _, number = word.partition("=")
        cpu, _, gib = number.partition("/")
        if region == "*":
            yield from ((name, (usual, usual)) for name, usual in _USUAL.items())
        elif region.startswith("-"):
            yield region[1:], (0.0, 0.0)
        else:
            usual = _USUAL[region]
            yield region, (float(cpu or usual), float(gib or cpu or usual))


# --- hosts: family or generation -> (USD of a vCPU, of a GiB, on demand in us-central1; where) --------

_NORTHEAST = "asia-northeast1=1.285/1.279"
_HOSTS: Mapping[str, tuple[float, float, str]] = {
    "n1": (
        0.031611,
        0.004237,
        (
            "* -africa-south1 -asia-southeast3 -europe-north2 -europe-southwest1 -europe-west10 "
            "-europe-west12 -europe-west8 -europe-west9 -me-central1 -me-central2 -us-east5 -us-south1 "
            f"-northamerica-south1 -southamerica-west1 {_NORTHEAST} asia-northeast2=1.285/1.279 "
            "asia-northeast3=1.285/1.279"
        ),
    ),
    "n2": (
        0.031611,
        0.004237,
        (
            f"* -asia-southeast3 -europe-north2 -northamerica-south1 {_NORTHEAST} "
            "australia-southeast2=1.206"
        ),
    ),
    "n2d": (  # a third off in asia-south1 is no slip: the lists say so for every size
        0.027502,
        0.003686,
        (
            f"* -asia-southeast3 -europe-north2 -northamerica-south1 {_NORTHEAST} asia-south1=0.66 "
            "australia-southeast2=1.206"
        ),
    ),
    "n4": (
        0.03119,
        0.00354,
        f"* -europe-west10 -europe-west12 {_NEWER} asia-south2=1.04 australia-southeast2=1.3",
    ),
    "e2": (
        0.02181,
        0.0029237,
        (
            f"* -asia-southeast3 {_NORTHEAST} asia-northeast2=1.285/1.279 "
            "asia-northeast3=1.285/1.279 australia-southeast2=1.206"
        ),
    ),
    # Where the ratio of vCPU to memory is fixed, memory is in the rate of the vCPU.
    "c2": (
        0.052202,
        0,
        (
            "* -africa-south1 -asia-southeast2 -asia-southeast3 -australia-southeast2 -me-central1 "
            "-europe-central2 -europe-north2 -europe-southwest1 -europe-west10 -europe-west12 "
            "-europe-west8 -europe-west9 -northamerica-northeast2 -northamerica-south1 -us-south1"
        ),
    ),
    "c2d": (
        0.029563,
        0.003959,
        (
            "* -asia-southeast2 -asia-southeast3 -europe-north1 -europe-north2 -europe-west10 "
            "-europe-west6 -europe-west8 -europe-west9 -me-central1 -northamerica-south1 "
            "-southamerica-west1 -us-east5 -us-south1 asia-south1=0.66"
        ),
    ),
    "c3": (
        0.042526,
        0,
        (
            "us-central1 us-east1 us-east5 us-south1 us-west1 us-west2 us-west3 us-west4 "
            "northamerica-northeast1 southamerica-east1 europe-north1 europe-west1 europe-west9 "
            "asia-east1 asia-northeast1 asia-southeast1 me-central2 me-west1 "
            f"{_NEWER} asia-south2=1.04 australia-southeast2=1.3"
        ),
    ),
    "m1": (
        0.0348,
        0.0051,
        (
            "us-central1 us-east1 us-west1 us-east4=1.129 us-west2=1.147 us-west4=1.129 "
            "northamerica-northeast1=1.051 northamerica-northeast2=1.1 southamerica-east1=1.511 "
            "southamerica-west1 europe-southwest1 europe-west1 europe-west6 europe-west8 europe-west9 "
            "europe-central2=1.229 europe-west2=1.229 europe-west3=1.229 europe-west4=1.051 me-west1 "
            "asia-east1=1.161 asia-northeast1=1.223 asia-northeast2=1.223 asia-northeast3=1.223 "
            "asia-south1=1.147 asia-south2=1.147 asia-southeast1=1.178 asia-southeast2=1.284 "
            "australia-southeast1=1.355 australia-southeast2"
        ),
    ),
    "g2": (
        0.0366981,
        0,
        (
            "us-central1 us-east1 us-west1 us-west4 northamerica-northeast1 northamerica-northeast2 "
            "europe-west1 europe-west6 asia-east1 asia-northeast1 asia-northeast3 asia-southeast1 "
            "me-central2 europe-west2=1.139 europe-west3=1.179 europe-west4=1.051 asia-south1=1.041 "
            "us-east4=0.9967"
        ),
    ),
    "a2": (  # the three shapes have one rate for a vCPU and one for a GiB
        0.031611,
        0.004237,
        (
            "us-central1 us-east1 us-east4 us-east5 us-west1 us-west3 us-west4 europe-west4 me-west1 "
            "asia-northeast1=1.282 asia-northeast3=1.282 asia-southeast1"
        ),
    ),
    "a3": (  # solved from the hosts of a3-highgpu-8g and a3-ultragpu-8g
        0.0254982,
        0.0022203,
        (
            "us-central1 us-west1 us-west4 us-east5=1.1263 europe-north1 europe-west1 europe-west9 "
            "asia-east1 asia-northeast1 asia-south2 asia-southeast1 us-east4=1 europe-west3=1.18 "
            "europe-west4=1.05 asia-south1=1.04 australia-southeast1=1.25"
        ),
    ),
    "g4": (0.0709225, 0, "us-central1"),
    # A TPU's host is in the price of its chips.
    **dict.fromkeys(("ct5lp", "ct5p", "ct6e", "cloud-tpu"), (0.0, 0.0, "*")),
}

# --- devices: USD of one, on demand in us-central1; where ---------------------------------------------

_DEVICES: Mapping[str, tuple[float, str]] = {
    "NVIDIA_TESLA_T4": (
        0.35,
        (
            "us-central1 us-east1 us-west1 us-west2 us-west3 us-east4=1.0571 us-west4=1.0571 me-west1 "
            "northamerica-northeast1 southamerica-east1=1.3714 europe-central2=1.1714 europe-west1=1 "
            "europe-west2=1.14 europe-west3=1.1714 europe-west4=1.05 asia-east1=1 asia-east2=1.2571 "
            "asia-northeast1=1.0571 asia-northeast3=1.0571 asia-south1=1.1714 asia-southeast1=1.0571 "
            "asia-southeast2=1.1523 australia-southeast1=1.2571"
        ),
    ),
    "NVIDIA_TESLA_P4": (
        0.6,
        (
            "us-central1 us-east4=1 us-west2 northamerica-northeast1=1.0833 europe-west4=1.05 "
            "asia-southeast1=1.0833 australia-southeast1=1.0833"
        ),
    ),
    "NVIDIA_TESLA_P100": (
        1.46,
        (
            "us-central1 us-east1 us-west1 europe-west1=1.0959 europe-west4=1.05 asia-east1=1.0959 "
            "australia-southeast1=1.0959"
        ),
    ),
    "NVIDIA_TESLA_V100": (2.48, "us-central1 us-east1 us-west1 europe-west4=1.05 asia-east1=1"),
    "NVIDIA_L4": (
        0.56004,
        (
            "us-central1 us-east1 us-west1 us-west4 us-east4=0.99673 northamerica-northeast1 "
            "northamerica-northeast2 europe-west1 europe-west2=1.1386 europe-west3=1.18 me-central2 "
            "europe-west4=1.05 europe-west6=1.3989 asia-east1 asia-northeast1 asia-northeast3 "
            "asia-south1=1.041 asia-southeast1"
        ),
    ),
    "NVIDIA_TESLA_A100": (
        2.93391,
        "us-central1 us-east1 us-west1 us-west3=1.1714 us-west4=1.0571 europe-west4=1.1 me-west1",
    ),
    "NVIDIA_A100_80GB": (
        3.92808,
        # us-east4 is in no list. FLEX_START costs 0.47 of on demand in both regions that have both rates,
        # to four places, so its 2.07937 there makes 4.4242: us-east5's rate, and the region's usual one.
        "us-central1 us-east4=1.1263 us-east5=1.1263 europe-west4 asia-southeast1",
    ),
    "NVIDIA_H100_80GB": (
        9.79655,
        (
            "us-central1 us-east4=1 us-east5=1.1263 europe-north1 europe-west1 europe-west2=1.14 "
            "europe-west3=1.18 europe-west4=1.3 europe-west9 asia-east1 asia-northeast3 "
            "asia-south1=1.04 asia-south2"
        ),
    ),
    "NVIDIA_H100_MEGA_80GB": (
        10.34425,
        "us-central1 us-east4=1 us-west1 us-west4 europe-west4=1.3 australia-southeast1=1.25",
    ),
    "NVIDIA_H200_141GB": (9.31175, "us-central1 us-east4=1 us-west1"),
    "NVIDIA_RTX_PRO_6000": (1.0957, "us-central1"),
    # Chips of a TPU, with their hosts.
    "TPU_V5_LITEPOD": (
        1.2,
        (
            "us-central1 us-east1 us-east4=1 us-east5 us-west1 us-west4=1 us-south1 europe-west3=1.18 "
            "europe-west4=1.3 asia-southeast1=1.3 europe-west1 europe-north1 northamerica-northeast1 "
            "asia-east1 asia-northeast1 southamerica-west1"
        ),
    ),
    "TPU_V6E": (
        2.7,
        (
            "us-central1 us-east1 us-east4=1 us-east5 us-west1 us-west4=1 europe-west4=1.1 "
            "asia-southeast1=1.1 asia-northeast1=1.2 asia-south1=1.2"
        ),
    ),
    "TPU_V5P": (
        4.2,
        (
            "us-central1 us-east1 us-east4=1 us-east5 us-west1 us-west4=1 us-south1=1.1379 "
            "europe-west4=1.0125 europe-west1=1.0618"
        ),
    ),
    # Cores of a TPU: eight of them are one host, which is what the list prices.
    "TPU_V3": (
        1.0,
        "us-central1 us-east1 us-east4=1 us-east5 us-west1 us-west4=1 europe-west4=1.1",
    ),
    "TPU_V2": (
        0.5625,
        (
            "us-central1 us-east1 us-east4=1 us-east5 us-west1 us-west4=1 europe-west4=1.1 "
            "asia-east1=1.16"
        ),
    ),
}

# --- what is known of spot and FLEX_START: by region, else the on-demand price is the bound -----------

_REGIONS_OF_SPOT = ("us-central1", "europe-west4", "asia-east1")
# (vCPU, GiB) in each of these regions; None: not known there
_SPOT_HOSTS: Mapping[str, tuple[tuple[float, float] | None, ...]] = {
    "n1": ((0.01062, 0.001423), (0.01839, 0.002464), (0.00754, 0.00101)),
    "n2": ((0.0136299, 0.001827), (0.01332, 0.001785), (0.0129499, 0.001736)),
    "n2d": ((0.00724, 0.00097), (0.00964, 0.001291), (0.0167001, 0.002239)),
    "n4": ((0.01467, 0.001665), (0.00773, 0.000878), (0.0198999, 0.002259)),
    "e2": ((0.0125888, 0.0016872), (0.01093, 0.001465), (0.0138887, 0.0018622)),
    "c2": ((0.022658, 0), (0.023886, 0), (0.017356, 0)),
    "c2d": ((0.0090201, 0.001209), (0.01322, 0.00177), (0.00788, 0.001055)),
    "c3": ((0.009918, 0), (0.019846, 0), (0.011328, 0)),
    "m1": (None, None, (0.0057964, 0.0008512)),
    "g2": ((0.0187541, 0), (0.02024, 0), (0.0191241, 0)),
    "a2-highgpu": ((0.0308125, 0), (0.02652, 0), None),
    "a2": ((0.045815, 0), (0.03944, 0), None),
    "a3-ultragpu": ((0.0298461, 0), (0.021409, 0), None),
    "a3-highgpu": ((0.02479, 0), (0.017782, 0), (0.022435, 0)),
    "a3-megagpu": ((0.02479, 0), (0.017782, 0), (0.022435, 0)),
    "ct5lp": ((0, 0), (0, 0), (0, 0)),
    "ct6e": ((0, 0), (0, 0), None),
}
_SPOT_MACHINES: Mapping[tuple[str, str], float] = {
    ("m1-megamem-96", "us-central1"): 1.96294,
    ("m1-megamem-96", "europe-west4"): 1.10876,
}
_SPOT_DEVICES: Mapping[str, tuple[float | None, ...]] = {
    "NVIDIA_TESLA_T4": (0.1915, 0.1805, 0.1664),
    "NVIDIA_TESLA_P4": (0.1803, 0.2131, None),
    "NVIDIA_TESLA_P100": (0.7229, None, None),
    "NVIDIA_TESLA_V100": (1.0885, 1.0443, 0.6356),
    "NVIDIA_L4": (0.2231, 0.2438, 0.2311),
    "NVIDIA_TESLA_A100": (1.5399, 1.3251, None),
    "NVIDIA_A100_80GB": (2.1604, 2.26, None),
    "NVIDIA_H100_80GB": (5.8632, 2.9112, 4.832),
    "NVIDIA_H100_MEGA_80GB": (3.1601, 3.0754, None),
    "NVIDIA_H200_141GB": (4.6559, None, None),
    "TPU_V5_LITEPOD": (0.29771, 0.51011, 0.47652),
    "TPU_V6E": (0.59266, 1.782, None),
}
_AMERICAS = (
    "us-central1 us-east1 us-east4 us-east5 us-west1 us-west4 northamerica-northeast1 "
    "northamerica-northeast2"
)
"""The eight regions of the Americas in which A3 machines have a FLEX_START rate."""

_FLEX_HOSTS: Mapping[str, tuple[float, float, str]] = {"a3": (0.010934, 0.000952, _AMERICAS)}
_FLEX_DEVICES: Mapping[str, tuple[tuple[float, str], ...]] = {
    "NVIDIA_H100_80GB": ((4.20076, _AMERICAS),),
    "NVIDIA_TESLA_A100": (
        (1.70586, "asia-northeast1 asia-northeast3 asia-southeast1"),
        (1.61365, "europe-west4"),
    ),
    "NVIDIA_A100_80GB": (
        (1.8462, "us-central1"),
        (2.03285, "europe-west4"),
        (2.07937, "us-east4"),
    ),
    "NVIDIA_H200_141GB": ((4.57532, "*"),),  # one flat rate
    "NVIDIA_H100_MEGA_80GB": ((4.42394, "*"),),
}


@cache
def _places(listed: str) -> Mapping[str, tuple[float, float]]:
    return {region: both for region, both in dict(_multipliers(listed)).items() if both[0]}


def usual_multiplier(region: str) -> float | None:
    """What most things cost in the region, by us-central1; None: no such region is known."""
    return _USUAL.get(region)


def host_rate(name: str, family: str, vcpus: int, memory_gib: float, region: str) -> Rate | None:
    """The machine without its devices, USD an hour on Compute Engine; None: not known."""
    generation = family if family in _HOSTS else family.partition("-")[0]
    cpu, gib, listed = _HOSTS.get(generation, (0.0, 0.0, ""))
    where = _places(listed).get(region)
    if where is None:
        return None
    on_demand = cpu * where[0] * vcpus + gib * where[1] * memory_gib
    spot = _SPOT_MACHINES.get((name, region)) or _spot_host(family, vcpus, memory_gib, region)
    flex = _FLEX_HOSTS.get(generation)
    if flex is None or region not in flex[2].split():
        return Rate(on_demand, spot)
    return Rate(on_demand, spot, flex[0] * vcpus + flex[1] * memory_gib)


def _spot_host(family: str, vcpus: int, memory_gib: float, region: str) -> float | None:
    by_region = _SPOT_HOSTS.get(family) or _SPOT_HOSTS.get(family.partition("-")[0])
    if by_region is None or region not in _REGIONS_OF_SPOT:
        return None
    rates = by_region[_REGIONS_OF_SPOT.index(region)]
    return None if rates is None else rates[0] * vcpus + rates[1] * memory_gib


def device_rate(device: str, region: str) -> Rate | None:
    """One device, USD an hour on Compute Engine; None: not known."""
    usd, listed = _DEVICES.get(device, (0.0, ""))
    where = _places(listed).get(region)
    if where is None:
        return None
    spot = None
    if device in _SPOT_DEVICES and region in _REGIONS_OF_SPOT:
        spot = _SPOT_DEVICES[device][_REGIONS_OF_SPOT.index(region)]
    flex = [rate for rate, there in _FLEX_DEVICES.get(device, ()) if _is_in(region, there)]
    return Rate(usd * where[0], spot, flex[0] if flex else None)


def _is_in(region: str, listed: str) -> bool:
    return listed == "*" or region in listed.split()
