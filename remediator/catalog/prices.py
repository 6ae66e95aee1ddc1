"""What an hour costs: Compute Engine's rates, and Vertex AI's surcharge on them.

Facts only, gathered on the date in `machines.GATHERED`. Estimates: they rank changes and cap them,
and are shown as such. A rate that nobody could verify is absent, never zero; a region without rates
is unknown until a user's own file names the region it is priced as. Called by `catalogue` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

SURCHARGE = 0.15
"""Vertex costs this share over Compute Engine's on-demand price, spot machines too."""

REFERENCE_REGION = "us-central1"
"""Where most is known: what is not priced elsewhere is ranked, never costed, by this region."""


@dataclass(frozen=True, slots=True)
class Rate:
    """USD an hour on demand and as spot; `spot` None: not known."""

    on_demand: float
    spot: float | None = None

    def times(self, amount: float) -> Rate:
        return Rate(self.on_demand * amount, None if self.spot is None else self.spot * amount)

    def plus(self, other: Rate) -> Rate:
        known = self.spot is not None and other.spot is not None
        spot = (self.spot or 0) + (other.spot or 0) if known else None
        return Rate(self.on_demand + other.on_demand, spot)

    def on_vertex(self, *, spot: bool) -> float | None:
        """USD an hour on Vertex: the surcharge is on the on-demand price in both cases."""
        if not spot:
            return self.on_demand * (1 + SURCHARGE)
        return None if self.spot is None else self.spot + self.on_demand * SURCHARGE


_R = tuple[float, float | None, float, float | None]

# family or generation -> region -> (vCPU on demand, spot, GiB on demand, spot). Where the ratio of
# vCPU to memory is fixed, memory is in the rate of the vCPU.
_HOSTS: Mapping[str, Mapping[str, _R]] = {
    "n1": {
        "us-central1": (0.031611, 0.01062, 0.004237, 0.001423),
        "europe-west4": (0.034802, 0.01839, 0.004664, 0.002464),
        "asia-east1": (0.036602, 0.00754, 0.004906, 0.00101),
    },
    "n2": {
        "us-central1": (0.031611, 0.0136299, 0.004237, 0.001827),
        "europe-west4": (0.034802, 0.01332, 0.004664, 0.001785),
        "asia-east1": (0.036602, 0.0129499, 0.004906, 0.001736),
    },
    "n2d": {
        "us-central1": (0.027502, 0.00724, 0.003686, 0.00097),
        "europe-west4": (0.0302781, 0.00964, 0.004058, 0.001291),
        "asia-east1": (0.0318438, 0.0167001, 0.004268, 0.002239),
    },
    "n4": {
        "us-central1": (0.03119, 0.01467, 0.00354, 0.001665),
        "europe-west4": (0.0327494, 0.00773, 0.003717, 0.000878),
        "asia-east1": (0.036115, 0.0198999, 0.0040989, 0.002259),
    },
    "e2": {
        "us-central1": (0.02181, 0.0125888, 0.0029237, 0.0016872),
        "europe-west4": (0.0240138, 0.01093, 0.0032181, 0.001465),
        "asia-east1": (0.0252562, 0.0138887, 0.003385, 0.0018622),
    },
    "c2": {
        "us-central1": (0.052202, 0.022658, 0, 0),
        "europe-west4": (0.057468, 0.023886, 0, 0),
        "asia-east1": (0.060443, 0.017356, 0, 0),
    },
    "c2d": {
        "us-central1": (0.029563, 0.0090201, 0.003959, 0.001209),
        "europe-west4": (0.0325508, 0.01322, 0.004359, 0.00177),
        "asia-east1": (0.0342308, 0.00788, 0.004584, 0.001055),
    },
    "c3": {
        "us-central1": (0.042526, 0.009918, 0, 0),
        "europe-west4": (0.0446523, 0.019846, 0, 0),
        "asia-east1": (0.0492409, 0.011328, 0, 0),
    },
    "m1": {
        "us-central1": (0.0348, None, 0.0051, None),
        "asia-east1": (0.0403314, 0.0057964, 0.0059225, 0.0008512),
    },
    "g2": {
        "us-central1": (0.0366981, 0.0187541, 0, 0),
        "europe-west4": (0.0385716, 0.02024, 0, 0),
        "asia-east1": (0.0424925, 0.0191241, 0, 0),
    },
    "a2-highgpu": {
        "us-central1": (0.0616231, 0.0308125, 0, 0),
        "europe-west4": (0.0678386, 0.02652, 0, 0),
    },
    "a2": {
        "us-central1": (0.0916352, 0.045815, 0, 0),
        "europe-west4": (0.1008753, 0.03944, 0, 0),
    },
    "a3-highgpu": {
        "us-central1": (0.0454811, 0.02479, 0, 0),
        "europe-west4": (0.0477551, 0.017782, 0, 0),
        "asia-east1": (0.0526625, 0.022435, 0, 0),
    },
    "a3-megagpu": {
        "us-central1": (0.0454811, 0.02479, 0, 0),
        "europe-west4": (0.0477551, 0.017782, 0, 0),
        "asia-east1": (0.0526625, 0.022435, 0, 0),
    },
    "a3-ultragpu": {
        "us-central1": (0.0547589, 0.0298461, 0, 0),
        "europe-west4": (0.0574969, 0.021409, 0, 0),
    },
    "g4": {"us-central1": (0.0709225, None, 0, None)},
    # A TPU's host is in the price of its chips.
    "ct5lp": dict.fromkeys(("us-central1", "europe-west4", "asia-east1"), (0, 0, 0, 0)),
    "ct6e": dict.fromkeys(("us-central1", "europe-west4"), (0, 0, 0, 0)),
}

_WHOLE_MACHINES: Mapping[tuple[str, str], Rate] = {
    ("m1-megamem-96", "us-central1"): Rate(10.65216, 1.96294),
    ("m1-megamem-96", "europe-west4"): Rate(11.19786, 1.10876),
}

_DEVICES: Mapping[str, Mapping[str, Rate]] = {
    "NVIDIA_TESLA_T4": {
        "us-central1": Rate(0.35, 0.1915),
        "europe-west4": Rate(0.3675, 0.1805),
        "asia-east1": Rate(0.35, 0.1664),
    },
    "NVIDIA_TESLA_P4": {"us-central1": Rate(0.6, 0.1803), "europe-west4": Rate(0.63, 0.2131)},
    "NVIDIA_TESLA_P100": {"us-central1": Rate(1.46, 0.7229)},
    "NVIDIA_TESLA_V100": {
        "us-central1": Rate(2.48, 1.0885),
        "europe-west4": Rate(2.604, 1.0443),
        "asia-east1": Rate(2.48, 0.6356),
    },
    "NVIDIA_L4": {
        "us-central1": Rate(0.56004, 0.2231),
        "europe-west4": Rate(0.58804, 0.2438),
        "asia-east1": Rate(0.64847, 0.2311),
    },
    "NVIDIA_TESLA_A100": {
        "us-central1": Rate(2.93391, 1.5399),
        "europe-west4": Rate(3.2273, 1.3251),
    },
    "NVIDIA_A100_80GB": {
        "us-central1": Rate(3.92808, 2.1604),
        "europe-west4": Rate(4.32521, 2.26),
    },
    "NVIDIA_H100_80GB": {
        "us-central1": Rate(9.79655, 5.8632),
        "europe-west4": Rate(12.73552, 2.9112),
        "asia-east1": Rate(11.34343, 4.832),
    },
    "NVIDIA_H100_MEGA_80GB": {
        "us-central1": Rate(10.34428, 3.1601),
        "europe-west4": Rate(13.44756, 3.0754),
    },
    "NVIDIA_H200_141GB": {"us-central1": Rate(9.31174, 4.6559)},
    "NVIDIA_RTX_PRO_6000": {"us-central1": Rate(1.0957)},
    "TPU_V5_LITEPOD": {
        "us-central1": Rate(1.2, 0.29771),
        "europe-west4": Rate(1.56, 0.51011),
        "asia-east1": Rate(1.38948, 0.47652),
    },
    "TPU_V6E": {"us-central1": Rate(2.7, 0.59266), "europe-west4": Rate(2.97, 1.782)},
}


def host_rate(name: str, family: str, vcpus: int, memory_gib: float, region: str) -> Rate | None:
    """The machine without its devices, USD an hour on Compute Engine; None: not known."""
    if (whole := _WHOLE_MACHINES.get((name, region))) is not None:
        return whole
    by_region = _HOSTS.get(family) or _HOSTS.get(family.partition("-")[0]) or {}
    rates = by_region.get(region)
    if rates is None:
        return None
    cpu, cpu_spot, gib, gib_spot = rates
    spot = (
        None if cpu_spot is None or gib_spot is None else cpu_spot * vcpus + gib_spot * memory_gib
    )
    return Rate(cpu * vcpus + gib * memory_gib, spot)


def device_rate(device: str, region: str) -> Rate | None:
    """One device, USD an hour on Compute Engine; None: not known."""
    return _DEVICES.get(device, {}).get(region)
