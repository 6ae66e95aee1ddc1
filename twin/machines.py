"""The twin's own small table of machines and accelerators, and Vertex AI's words for a bad pair.

Facts only: a family is a rule, an accelerator is what it attaches to. The product's catalogue is a
different one, on purpose: the two were not copied from each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """One machine type; `gpu` and `gpus` are the accelerators built into it."""

    name: str
    vcpus: int
    memory_gib: float
    gpu: str = ""
    gpus: int = 0


@dataclass(frozen=True)
class Accelerator:
    """An accelerator; `attach`: largest N1 (vCPUs) by count, empty for the built-in ones."""

    memory_gib: float
    speed: float
    attach: Mapping[int, int]


ACCELERATORS: Mapping[str, Accelerator] = {
    "NVIDIA_TESLA_P4": Accelerator(8, 0.7, {1: 16, 2: 32, 4: 96}),
    "NVIDIA_TESLA_T4": Accelerator(16, 1.0, {1: 16, 2: 32, 4: 96}),
    "NVIDIA_TESLA_P100": Accelerator(16, 1.1, {1: 16, 2: 32, 4: 64}),
    "NVIDIA_TESLA_V100": Accelerator(16, 1.8, {1: 8, 2: 16, 4: 32, 8: 96}),
    "NVIDIA_L4": Accelerator(24, 2.0, {}),
    "NVIDIA_TESLA_A100": Accelerator(40, 4.0, {}),
    "NVIDIA_A100_80GB": Accelerator(80, 4.5, {}),
    "NVIDIA_H100_80GB": Accelerator(80, 8.0, {}),
    "NVIDIA_H100_MEGA_80GB": Accelerator(80, 8.0, {}),
    "NVIDIA_H200_141GB": Accelerator(141, 9.0, {}),
    "NVIDIA_B200": Accelerator(180, 16.0, {}),
    "NVIDIA_RTX_PRO_6000": Accelerator(96, 5.0, {}),
}
"""Memory of one device, and its speed as a multiple of a T4's (rough, for the physics only)."""

_GIB_PER_VCPU = {
    "n1-standard": 3.75,
    "n1-highmem": 6.5,
    "n1-highcpu": 0.9,
    "n2-standard": 4,
    "n2-highmem": 8,
    "n2-highcpu": 1,
    "n2d-standard": 4,
    "n2d-highmem": 8,
    "n2d-highcpu": 1,
    "n4-standard": 4,
    "n4-highmem": 8,
    "n4-highcpu": 2,
    "e2-standard": 4,
    "e2-highmem": 8,
    "e2-highcpu": 1,
    "c2-standard": 4,
    "c2d-standard": 4,
    "c2d-highmem": 8,
    "c2d-highcpu": 2,
    "c3-highcpu": 2,
}
_SIZES = {
    "n1": {2, 4, 8, 16, 32, 64, 96},
    "n2": {2, 4, 8, 16, 32, 48, 64, 80, 96, 128},
    "n2d": {2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224},
    "n4": {2, 4, 8, 16, 32, 48, 64, 80},
    "e2": {2, 4, 8, 16, 32},
    "c2": {4, 8, 16, 30, 60},
    "c2d": {2, 4, 8, 16, 32, 56, 112},
    "c3": {4, 8, 22, 44, 88, 176},
}
_BUILT_IN = {
    name: Machine(name, vcpus, memory_gib, gpu, gpus)
    for name, vcpus, memory_gib, gpu, gpus in (
        ("g2-standard-4", 4, 16, "NVIDIA_L4", 1),
        ("g2-standard-8", 8, 32, "NVIDIA_L4", 1),
        ("g2-standard-12", 12, 48, "NVIDIA_L4", 1),
        ("g2-standard-16", 16, 64, "NVIDIA_L4", 1),
        ("g2-standard-24", 24, 96, "NVIDIA_L4", 2),
        ("g2-standard-32", 32, 128, "NVIDIA_L4", 1),
        ("g2-standard-48", 48, 192, "NVIDIA_L4", 4),
        ("g2-standard-96", 96, 384, "NVIDIA_L4", 8),
        ("a2-highgpu-1g", 12, 85, "NVIDIA_TESLA_A100", 1),
        ("a2-highgpu-2g", 24, 170, "NVIDIA_TESLA_A100", 2),
        ("a2-highgpu-4g", 48, 340, "NVIDIA_TESLA_A100", 4),
        ("a2-highgpu-8g", 96, 680, "NVIDIA_TESLA_A100", 8),
        ("a2-megagpu-16g", 96, 1360, "NVIDIA_TESLA_A100", 16),
        ("a2-ultragpu-1g", 12, 170, "NVIDIA_A100_80GB", 1),
        ("a2-ultragpu-2g", 24, 340, "NVIDIA_A100_80GB", 2),
        ("a2-ultragpu-4g", 48, 680, "NVIDIA_A100_80GB", 4),
        ("a2-ultragpu-8g", 96, 1360, "NVIDIA_A100_80GB", 8),
        ("a3-highgpu-1g", 26, 234, "NVIDIA_H100_80GB", 1),
        ("a3-highgpu-2g", 52, 468, "NVIDIA_H100_80GB", 2),
        ("a3-highgpu-4g", 104, 936, "NVIDIA_H100_80GB", 4),
        ("a3-highgpu-8g", 208, 1872, "NVIDIA_H100_80GB", 8),
        ("a3-megagpu-8g", 208, 1872, "NVIDIA_H100_MEGA_80GB", 8),
        ("a3-ultragpu-8g", 224, 2952, "NVIDIA_H200_141GB", 8),
        ("a4-highgpu-8g", 224, 3968, "NVIDIA_B200", 8),
        ("g4-standard-48", 48, 180, "NVIDIA_RTX_PRO_6000", 1),
        ("g4-standard-96", 96, 360, "NVIDIA_RTX_PRO_6000", 2),
        ("g4-standard-192", 192, 720, "NVIDIA_RTX_PRO_6000", 4),
        ("g4-standard-384", 384, 1440, "NVIDIA_RTX_PRO_6000", 8),
        ("m1-ultramem-40", 40, 961, "", 0),
        ("m1-ultramem-80", 80, 1922, "", 0),
        ("m1-ultramem-160", 160, 3844, "", 0),
        ("m1-megamem-96", 96, 1433.6, "", 0),
        ("n2-highmem-128", 128, 864, "", 0),
    )
}
_TRAINING_ONLY = re.compile(r"n1-\w+-(64|96)|n4-.*|m1-.*")
_PREDICTION_ONLY = re.compile(
    r"n2d-.*|c2d-.*|c3-.*|n1-\w+-2|(n2|e2)-standard-2|(n1|e2)-highcpu-[248]|n2-highcpu-[248]|n2-.*-(96|128)"
)
_TRAINING_SMALL_OK = re.compile(r"n1-highmem-2")


def machine(name: str) -> Machine | None:
    """What a machine type is; None for one that does not exist."""
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    match = re.fullmatch(r"([a-z0-9]+)-([a-z]+)-(\d+)", name)
    if match is None or int(match[3]) not in _SIZES.get(match[1], ()):
        return None
    gib = _GIB_PER_VCPU.get(f"{match[1]}-{match[2]}")
    return Machine(name, int(match[3]), gib * int(match[3])) if gib else None


def refusal(spec: Mapping[str, object], *, prediction: bool) -> str:
    """Why Vertex AI would refuse this machine spec, in its words; empty where it would not."""
    name = str(spec.get("machineType") or "")
    kind = str(spec.get("acceleratorType") or "ACCELERATOR_TYPE_UNSPECIFIED")
    count = int(float(spec.get("acceleratorCount") or 0))
    found = machine(name)
    wrong = _TRAINING_ONLY if prediction else _PREDICTION_ONLY
    excepted = not prediction and _TRAINING_SMALL_OK.fullmatch(name)
    if found is None or (wrong.fullmatch(name) and not excepted):
        return f'Machine type "{name}" is not supported.'
    if kind == "ACCELERATOR_TYPE_UNSPECIFIED":
        if count:
            return "Accelerator type must be specified when accelerator count is set."
        if found.gpu:
            return (
                f'Machine type "{name}" must be used with accelerator "{found.gpu}": '
                "accelerator_type and accelerator_count must be specified."
            )
        return ""
    if kind not in ACCELERATORS:
        return f'Accelerator type "{kind}" is not supported for machine type "{name}".'
    allowed = _allowed(found, kind)
    if not allowed:
        return f'Accelerator type "{kind}" is not supported for machine type "{name}".'
    if count not in allowed:
        listed = ", ".join(str(number) for number in allowed)
        return (
            f'The accelerator count "{count}" is not allowed. The allowed numbers of accelerator '
            f'"{kind}" to use with machine type "{name}" are: [{listed}].'
        )
    return ""


def _allowed(found: Machine, kind: str) -> list[int]:
    if found.gpu:
        return [found.gpus] if found.gpu == kind else []
    if not found.name.startswith("n1-"):
        return []
    return [count for count, vcpus in ACCELERATORS[kind].attach.items() if found.vcpus <= vcpus]
