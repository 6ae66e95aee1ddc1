"""What scenes are made of: the list of them, machines, loads and logs in short words.

A scene is a function that draws one failure of its sort; `scene` puts it on the list with its truth.
Used by `strangers_first` and `strangers_later`, which hold the scenes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol

from bench.diagnosis import stranger_logs as logs
from bench.diagnosis.stranger_jobs import (
    GPUS,
    REGIONS,
    VCPUS,
    Curve,
    Line,
    Load,
    Scene,
    batch_504,
)

_TIMES = 6
HOSTS = [
    "https://api.partner-data.example",
    "https://features.internal.acme.example",
    "https://ftp.ensembl.example",
    "https://data.gov-portal.example",
]
CPU_HOST = HOSTS[0]

Maker = Callable[[Random], Scene]


@dataclass(frozen=True)
class Kind:
    """One sort of failure: its truth, what kinds of evidence there are, how often it is drawn."""

    make: Maker
    wave: int
    truth: str
    also: frozenset[str]
    tier: str
    times: int


Listing = Callable[[Maker], Maker]


class Lister(Protocol):
    """`scene(truth, tier, *also)` above a function: that draws failures of this truth."""

    def __call__(self, truth: str, tier: str, *also: str, n: int = _TIMES) -> Listing: ...


def lister(kinds: list[Kind], wave: int) -> Lister:
    """`scene(truth, tier, *also)`: puts a scene on the list, its truth beside its code."""

    def scene(truth: str, tier: str, *also: str, n: int = _TIMES) -> Listing:
        def listed(make: Maker) -> Maker:
            kinds.append(Kind(make, wave, truth, frozenset(also), tier, n))
            return make

        return listed

    return scene


def flat(value: float) -> Curve:
    return lambda _: value


def early(share: float, high: float, low: float) -> Curve:
    """`high` for the first share of the run, then `low`."""
    return lambda at: high if at < share else low


def ramp(first: float, last: float, until: float = 1.0) -> Curve:
    return lambda at: first + (last - first) * min(1.0, at / until)


def custom(dice: Random, *, gpu: bool = False, many: bool = False, **more: Any) -> Scene:
    """A custom job of some size; `many`: of 8 vCPUs or more."""
    device: tuple[str, int] | None = None
    if gpu:
        machine, kind, count, vcpus = dice.choice(GPUS)
        device = (kind, count)
    else:
        machine = dice.choice([name for name, n in VCPUS.items() if n >= 8 or not many])
        vcpus = VCPUS[machine]
    hours = dice.choice([1, 2, 3, 6, 12])
    return Scene(dice, "custom", hours, dice.choice(REGIONS), machine, vcpus, device, **more)


def batch(dice: Random, *, gpu: bool = False, many: bool = False, **more: Any) -> Scene:
    """A batch prediction that hit the limit of one request, unless an error is given."""
    s = custom(dice, gpu=gpu, many=many, **more)
    s.kind = "batch"
    s.hours = dice.choice([0.75, 1.5, 3])
    if dice.random() < 0.5:
        s.batch_size = dice.choice([8, 16, 64, 128])
    if not s.error:
        s.error = {"code": dice.choice([4, 13, 16, 2]), "message": batch_504(dice)}
    return s


def compute(
    s: Scene,
    what: str | None = None,
    start: float = 0.01,
    end: float = 1.0,
    writers: list[logs.Writer] | None = None,
) -> list[Line]:
    """Lines of a loop that computes, in some style, over a part of the run."""
    what = what or s.dice.choice(logs.SECTIONS)
    return s.dice.choice(writers or logs.COMPUTE)(s.dice, start * s.seconds, end * s.seconds, what)


def messy(s: Scene) -> Scene:
    """With samples lost, and the first ones late."""
    s.gap = s.dice.choice([0, 0, 0.1, 0.4])
    s.late = s.dice.choice([0, 0.02, 0.08])
    return s


def full_load(dice: Random, **more: Curve) -> Load:
    return Load(flat(dice.uniform(0.94, 1.0)), **more)


def one_thread(s: Scene, **more: Curve) -> Load:
    """One busy thread, whatever the machine."""
    return Load(flat(1 / s.vcpus + s.dice.uniform(0.0, 0.015)), **more)


def idle(dice: Random) -> Curve:
    return flat(dice.uniform(0.01, 0.06))
