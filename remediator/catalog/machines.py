"""What machines and accelerators there are, as rules: which sizes, what memory, what fits where.

Facts only, gathered on the date below from Google's pages for custom training and for prediction;
no prices (see `prices`) and no decisions (see `catalog`). Nothing here was read from a live call:
users may override any of it by a file of their own. Called by `catalog` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct

from remediator.domain.late_pattern import late_pattern

GATHERED = "2026-11-23"
"""The day these facts were read."""


class Service(StrEnum):
    """Vertex AI keeps two lists of machines; batch prediction uses the one for prediction."""

    TRAINING = "training"
    PREDICTION = "prediction"


BOTH = frozenset(Service)
TRAINING = frozenset({Service.TRAINING})
PREDICTION = frozenset({Service.PREDICTION})


class MachineType(Struct, frozen=True):
    """One machine type; memory in GiB. `vcpus` 0: not known.

    `accelerator` and `accelerator_count` are what a machine with built-in devices must be asked
    for with; `device` is what those devices are priced and placed as, also where Vertex has no
    accelerator type for them (newer TPUs). `listed` False: the API's names have it and neither of
    Vertex's two lists: a job that runs on it is read and may grow in its generation, and nobody else
    is sent there.
    """

    name: str
    family: str
    vcpus: int
    memory_gib: float
    services: frozenset[Service]
    accelerator: str = ""
    accelerator_count: int = 0
    device: str = ""
    devices: int = 0
    listed: bool = True

    @property
    def generation(self) -> str:
        """`n1` of `n1-standard`."""
        return self.family.partition("-")[0]

    @property
    def shape(self) -> str:
        """`standard` of `n1-standard`."""
        return self.family.partition("-")[2]


# --- plain families: name, GiB for each vCPU, vCPUs for prediction, vCPUs for training ------------

_PLAIN: tuple[tuple[str, float, str, str], ...] = (
    ("n1-standard", 3.75, "2 4 8 16 32", "4 8 16 32 64 96"),
    ("n1-highmem", 6.5, "2 4 8 16 32", "2 4 8 16 32 64 96"),
    ("n1-highcpu", 0.9, "2 4 8 16 32", "16 32 64 96"),
    ("n2-standard", 4, "2 4 8 16 32 48 64 80 96 128", "4 8 16 32 48 64 80"),
    ("n2-highmem", 8, "2 4 8 16 32 48 64 80 96 128", "2 4 8 16 32 48 64 80"),
    ("n2-highcpu", 1, "2 4 8 16 32 48 64 80 96", "16 32 48 64 80"),
    ("n2d-standard", 4, "2 4 8 16 32 48 64 80 96 128 224", ""),
    ("n2d-highmem", 8, "2 4 8 16 32 48 64 80 96", ""),
    ("n2d-highcpu", 1, "2 4 8 16 32 48 64 80 96 128 224", ""),
    ("n4-standard", 4, "", "2 4 8 16 32 48 64 80"),
    ("n4-highmem", 8, "", "2 4 8 16 32 48 64 80"),
    ("n4-highcpu", 2, "", "2 4 8 16 32 48 64 80"),
    ("e2-standard", 4, "2 4 8 16 32", "4 8 16 32"),
    ("e2-highmem", 8, "2 4 8 16", "2 4 8 16"),
    ("e2-highcpu", 1, "2 4 8 16 32", "16 32"),
    ("c2-standard", 4, "4 8 16 30 60", "4 8 16 30 60"),
    ("c2d-standard", 4, "2 4 8 16 32 56 112", ""),
    ("c2d-highmem", 8, "2 4 8 16 32 56 112", ""),
    ("c2d-highcpu", 2, "2 4 8 16 32 56 112", ""),
    ("c3-highcpu", 2, "4 8 22 44 88 176", ""),
    ("m1-ultramem", 24.025, "", "40 80 160"),
    ("m1-megamem", 1433.6 / 96, "", "96"),
)
# Not on the lists of 2026-11-23, and known to the API: name, vCPUs, GiB, device, how many.
_UNLISTED: tuple[tuple[str, int, float, str, int], ...] = (
    ("h4d-standard-192", 192, 720, "", 0),
    ("h4d-highmem-192", 192, 1488, "", 0),
    *((f"m4-megamem-{n}", n, n * 13.2857, "", 0) for n in (28, 56, 112, 224)),
    *((f"m4-ultramem-{n}", n, n * 26.5714, "", 0) for n in (56, 112, 224)),
    ("ct5p-hightpu-1t", 52, 112, "TPU_V5P", 1),
    ("ct5p-hightpu-2t", 104, 224, "TPU_V5P", 2),
    ("ct5p-hightpu-4t", 208, 448, "TPU_V5P", 4),
    ("tpu7x-standard-1t", 56, 240, "TPU7X", 1),
)
_ODD_MEMORY: Mapping[str, float] = {"n2-highmem-128": 864}

# --- machines with built-in devices: vCPUs, GiB, device count of each -----------------------------

_L4 = "NVIDIA_L4"
_A100 = "NVIDIA_TESLA_A100"
_A100_80 = "NVIDIA_A100_80GB"
_H100 = "NVIDIA_H100_80GB"
_RTX = "NVIDIA_RTX_PRO_6000"
_TPU5 = "TPU_V5_LITEPOD"

# name, vCPUs, GiB, device, how many, who accepts it, whether the accelerator fields must be set
_BUILT_IN: tuple[tuple[str, int, float, str, int, frozenset[Service], bool], ...] = (
    *(
        (f"g2-standard-{cpus}", cpus, cpus * 4, _L4, {24: 2, 48: 4, 96: 8}.get(cpus, 1), BOTH, True)
        for cpus in (4, 8, 12, 16, 24, 32, 48, 96)  # 24 has two L4, 32 has one
    ),
    *((f"a2-highgpu-{n}g", 12 * n, 85 * n, _A100, n, BOTH, True) for n in (1, 2, 4, 8)),
    ("a2-megagpu-16g", 96, 1360, _A100, 16, BOTH, True),
    *((f"a2-ultragpu-{n}g", 12 * n, 170 * n, _A100_80, n, BOTH, True) for n in (1, 2, 4, 8)),
    *((f"a3-highgpu-{n}g", 26 * n, 234 * n, _H100, n, BOTH, True) for n in (1, 2, 4, 8)),
    ("a3-edgegpu-8g", 208, 1872, _H100, 8, PREDICTION, True),
    ("a3-megagpu-8g", 208, 1872, "NVIDIA_H100_MEGA_80GB", 8, TRAINING, True),
    ("a3-ultragpu-8g", 224, 2952, "NVIDIA_H200_141GB", 8, BOTH, True),
    ("a4-highgpu-8g", 224, 3968, "NVIDIA_B200", 8, BOTH, True),
    ("a4x-highgpu-4g", 140, 884, "NVIDIA_GB200", 4, BOTH, True),
    *((f"g4-standard-{48 * n}", 48 * n, 180 * n, _RTX, n, BOTH, True) for n in (1, 2, 4, 8)),
    ("ct5lp-hightpu-1t", 24, 48, _TPU5, 1, BOTH, False),
    ("ct5lp-hightpu-4t", 112, 192, _TPU5, 4, BOTH, False),
    ("ct5lp-hightpu-8t", 224, 384, _TPU5, 8, BOTH, False),
    ("ct6e-standard-1t", 44, 176, "TPU_V6E", 1, PREDICTION, False),
    ("ct6e-standard-4t", 180, 720, "TPU_V6E", 4, PREDICTION, False),
    ("ct6e-standard-8t", 360, 1440, "TPU_V6E", 8, PREDICTION, False),
    ("tpu7x-standard-4t", 224, 960, "TPU7X", 4, PREDICTION, False),
    ("cloud-tpu", 0, 0, "", 0, TRAINING, False),  # the accelerator says which TPU, and how many
)

NOT_ON_VERTEX = (
    "c4", "c4a", "c4d", "c3-standard", "c3-highmem", "c3d", "m2", "m3", "t2a", "t2d", "n4d", "h3",
    "z3", "f1", "g1", "e2-micro", "e2-small", "e2-medium", "n1-megamem", "n1-ultramem",
    "n1-standard-1", "custom", "n1-custom", "n2-custom", "e2-custom", "n2d-custom", "n4-custom",
)  # fmt: skip
"""Compute Engine has these (by prefix); Vertex AI takes them for neither service."""


def machine_types() -> Mapping[str, MachineType]:
    """Every machine type that either service accepts, by name, each family in order of size."""
    found: dict[str, MachineType] = {}
    for family, gib, prediction, training in _PLAIN:
        sizes = {Service.PREDICTION: prediction.split(), Service.TRAINING: training.split()}
        for size in sorted({int(n) for listed in sizes.values() for n in listed}):
            name = f"{family}-{size}"
            accepted = frozenset(s for s, listed in sizes.items() if str(size) in listed)
            memory = _ODD_MEMORY.get(name, round(gib * size, 2))
            found[name] = MachineType(name, family, size, memory, accepted)
    for name, cpus, memory, device, count, accepted, must_set in _BUILT_IN:
        family = name.rpartition("-")[0] if name != "cloud-tpu" else name
        accelerator, number = (device, count) if must_set else ("", 0)
        found[name] = MachineType(
            name, family, cpus, memory, accepted, accelerator, number, device, count
        )
    for name, cpus, memory, device, count in _UNLISTED:
        family = name.rpartition("-")[0]
        found[name] = MachineType(
            name, family, cpus, round(memory), BOTH, device=device, devices=count, listed=False
        )
    return found


# --- sizes of types that are not listed: Compute Engine's documented ratios ---------------------

_GIB_PER_VCPU: Mapping[tuple[str, str], float] = {
    ("n1", "standard"): 3.75,
    ("n1", "highmem"): 6.5,
    ("n1", "highcpu"): 0.9,
    **{(family, "highcpu"): 2.0 for family in ("c2d", "c3", "c3d", "c4", "c4d", "n4", "n4d")},
    ("*", "standard"): 4.0,
    ("*", "highmem"): 8.0,
    ("*", "highcpu"): 1.0,
}
_NAME = late_pattern(r"(?P<family>[a-z]\d[a-z]?)-(?P<shape>[a-z]+)-(?P<vcpus>\d{1,3})")


def size_by_name(name: str) -> tuple[int, float]:
    """vCPUs and GiB of a type that is not listed, such as `c3-standard-22`; 0: its name tells not."""
    match = _NAME.fullmatch(name)
    if match is None:
        return 0, 0.0
    vcpus, shape = int(match["vcpus"]), match["shape"]
    ratio = _GIB_PER_VCPU.get((match["family"], shape)) or _GIB_PER_VCPU.get(("*", shape), 0.0)
    return vcpus, vcpus * ratio


# --- accelerators -------------------------------------------------------------------------------


class AcceleratorType(Struct, frozen=True):
    """One accelerator type. `memory_gib` is of one device; None where nobody says.

    `attaches`: for devices that are attached to N1 machines, each allowed count with the most vCPUs
    it goes with; empty for built-in ones. `rank` orders those that are proposed unasked, smallest
    first; None: never proposed, for the reason `why_not`.
    """

    name: str
    memory_gib: float | None
    rank: int | None = None
    attaches: tuple[tuple[int, int], ...] = ()
    most_gib: float | None = None
    why_not: str = ""


_RESERVED = "needs a reservation, Spot or Flex-start"
_ENDED_P100 = "Google's support for it ended on 2026-09-15"
_NO_TPU = "code for GPUs or CPUs does not run on TPUs"

ACCELERATORS: Mapping[str, AcceleratorType] = {
    a.name: a
    for a in (
        # Vertex's own table of counts; Compute Engine allows more vCPUs per device.
        AcceleratorType("NVIDIA_TESLA_P4", 8, 1, ((1, 16), (2, 32), (4, 96))),
        AcceleratorType("NVIDIA_TESLA_T4", 16, 2, ((1, 16), (2, 32), (4, 96))),
        AcceleratorType("NVIDIA_TESLA_V100", 16, 4, ((1, 8), (2, 16), (4, 32), (8, 96))),
        AcceleratorType(
            "NVIDIA_TESLA_P100", 16, None, ((1, 16), (2, 32), (4, 64)), 208, _ENDED_P100
        ),
        AcceleratorType(_L4, 24, 3),
        AcceleratorType(_A100, 40, 5),
        AcceleratorType(_A100_80, 80, 6),
        AcceleratorType(_H100, 80, 7),
        AcceleratorType(_RTX, 96, None, why_not="its memory is not confirmed in Google's pages"),
        AcceleratorType("NVIDIA_H100_MEGA_80GB", 80, None, why_not=_RESERVED),
        AcceleratorType("NVIDIA_H200_141GB", 141, None, why_not=_RESERVED),
        AcceleratorType("NVIDIA_B200", 180, None, why_not=_RESERVED),
        AcceleratorType(
            "NVIDIA_GB200", None, None, why_not="needs a shared reservation, ARM hosts"
        ),
        AcceleratorType("NVIDIA_TESLA_K80", 12, None, why_not="Google has withdrawn it"),
        AcceleratorType("TPU_V2", None, None, why_not=_NO_TPU),
        AcceleratorType("TPU_V3", None, None, why_not=_NO_TPU),
        AcceleratorType("TPU_V4_POD", None, None, why_not=_NO_TPU),
        AcceleratorType(_TPU5, 16, None, why_not=_NO_TPU),
    )
}
SMALL_H100 = frozenset({"a3-highgpu-1g", "a3-highgpu-2g", "a3-highgpu-4g", "a3-edgegpu-8g"})
"""Not offered on demand (or only by arrangement): never chosen unasked."""

# --- regions: what Vertex offers where; `*` not for prediction, `!` not for training ----------------

_SHORT = {
    "P4": "NVIDIA_TESLA_P4", "P100": "NVIDIA_TESLA_P100", "T4": "NVIDIA_TESLA_T4",
    "V100": "NVIDIA_TESLA_V100", "L4": _L4, "A100": _A100, "A100-80": _A100_80, "H100": _H100,
    "H100M": "NVIDIA_H100_MEGA_80GB", "H200": "NVIDIA_H200_141GB", "B200": "NVIDIA_B200",
    "GB200": "NVIDIA_GB200", "RTX": _RTX, "V2": "TPU_V2", "V3": "TPU_V3", "V5": _TPU5,
    "V6": "TPU_V6E", "V7": "TPU7X",
}  # fmt: skip
_REGIONS: Mapping[str, str] = {
    "asia-east1": "L4! P100 T4 V2* V100 H100M*",
    "asia-east2": "T4",
    "asia-northeast1": "A100! H100 H100M B200* L4! T4 V6",
    "asia-northeast3": "A100 H100 L4 T4",
    "asia-south1": "H100 L4 T4 H200",
    "asia-south2": "H200 RTX",
    "asia-southeast1": "A100 A100-80 B200 H100 H100M L4 P4 T4 RTX",
    "asia-southeast2": "T4",
    "australia-southeast1": "H100M P4 T4",
    "europe-central2": "T4",
    "europe-north1": "H100M*",
    "europe-west1": "H100 H100M H200 L4! P100 T4",
    "europe-west2": "H100 L4 T4",
    "europe-west3": "H100 H100M* L4! T4",
    "europe-west4": "A100 A100-80 H100 H100M H200 B200* L4 P4 T4 V100 P100* RTX V2* V3* V5! V6",
    "europe-west6": "L4!",
    "me-central2": "L4",
    "me-west1": "A100 A100-80! T4!",
    "northamerica-northeast1": "P4 T4",
    "northamerica-northeast2": "H100 L4",
    "southamerica-east1": "T4",
    "southamerica-west1": "T4! V6*",
    "us-central1": "A100 A100-80 B200 H100 H100M GB200 H200 L4 P4 P100 T4 RTX V2* V3* V5* V6 V7 V100",
    "us-east1": "A100* B200* L4 P100 T4 RTX V5* V6 V100",
    "us-east4": "A100-80 H100 H100M H200 B200* GB200* L4 P4 T4 RTX",
    "us-east5": "A100-80 H100 H100M H200* V6",
    "us-south1": "V5! V6* B200* H200",
    "us-west1": "H100M H200 L4 P100 T4 H100 V5 V100",
    "us-west2": "P4 T4 B200",
    "us-west3": "A100 B200*",
    "us-west4": "A100* H100 H100M L4! T4 V5",
}


def regions() -> Mapping[str, Mapping[str, frozenset[Service]]]:
    """For each region, the accelerators offered there and the services they are offered for."""
    return {
        region: {
            _SHORT[code.rstrip("*!")]: frozenset(
                service
                for service, mark in ((Service.PREDICTION, "*"), (Service.TRAINING, "!"))
                if mark not in code
            )
            for code in listed.split()
        }
        for region, listed in _REGIONS.items()
    }
