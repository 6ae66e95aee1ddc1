"""Scenes beside the frozen fleet: jobs on TPUs, of which Monitoring shows no device, and tuning jobs.

`python bench/running/run.py --others`. PHYSICS.md says what the numbers rest on.
"""

from __future__ import annotations

from collections.abc import Iterator

from bench.running.physics import Run, Stage
from bench.running.scenes import Scene

_TPU = {"machineType": "cloud-tpu", "acceleratorType": "TPU_V3", "acceleratorCount": 8}
_AFTER = 130  # minutes that a standstill is watched


def _on_tpus(seed: int, kind: str, *, workers: int = 1) -> Stage:
    stage = Stage(kind, seed, workers=workers)
    stage.run.machine, stage.run.vcpus = _TPU, 1
    stage.idle_cores *= 0.01  # a share of the host, whose size is not known
    stage.pull()
    return stage


def tpu_training(seed: int) -> Run:
    """The host feeds the devices: a few per cent of it, a line each minute to 20."""
    stage = _on_tpus(seed, "tpu_training")
    draw = stage.random
    stage.compile(draw.randint(5, 45))
    for _ in range(draw.randint(2, 5)):
        stage.train(
            draw.randint(50, 120),
            gpu=0.0,
            cores=draw.uniform(0.02, 0.3),
            every=draw.uniform(1, 20),
            net=draw.choice([1e7, 8e8]),
        )
        stage.checkpoint(draw.randint(1, 6))
    return stage.run


def tpu_loops_on_the_device(seed: int) -> Run:
    """Thousands of steps in one call: the host waits 5 to 35 minutes for each, then writes a line."""
    stage = _on_tpus(seed, "tpu_loops_on_the_device")
    draw = stage.random
    stage.compile(draw.randint(5, 45))
    for _ in range(draw.randint(8, 14)):
        for _ in range(draw.randint(5, 35)):
            stage.minute(0.002, 0.0, 1e4, 1e4)
        stage.minute(draw.uniform(0.05, 0.3), 0.0, 1e8, 1e6)
        stage.step += 1000
        stage.say(f"step {stage.step} loss {9 / stage.step:.5f}")
    return stage.run


def tpu_hang(seed: int) -> Run:
    """A host of several never comes to the next step: the others wait without using a core."""
    stage = _on_tpus(seed, "tpu_hang", workers=_hosts(seed))
    draw = stage.random
    stage.train(draw.randint(60, 240), gpu=0.0, cores=draw.uniform(0.05, 0.3), every=2.0, net=2e8)
    stage.run.truth, stage.run.onset = "stalled", float(stage.now)
    stage.hang(_AFTER)
    return stage.run


def _hosts(seed: int) -> int:
    return (1, 2, 4)[seed % 3]


def _tuning(seed: int, kind: str) -> Stage:
    stage = Stage(kind, seed, workers=(1, 3)[seed % 2])
    stage.run.job_kind = "hyperparameter_tuning"
    stage.run.timeout = 90.0
    return stage


def _trial(stage: Stage, minutes: int) -> None:
    """A machine comes up, then epochs are counted again from one, with the same words."""
    for _ in range(stage.random.randint(4, 12)):  # no machine, or one that only boots
        stage.minute(0.0, 0.0, 0.0, 0.0)
    stage.pull()
    for epoch in range(1, 11):
        stage.train(max(1, minutes // 10), gpu=0.7, cores=2.0, quiet=True, net=2e6)
        stage.say(f"Epoch {epoch}/10")
    stage.say(f"trial metric accuracy={stage.random.uniform(0.6, 0.9):.4f}")


def tuning_in_turns(seed: int) -> Run:
    """Four to seven trials one after the other, hours in all, each within its own time-out."""
    stage = _tuning(seed, "tuning_in_turns")
    for _ in range(stage.random.randint(4, 7)):
        _trial(stage, stage.random.randint(30, 85))
    return stage.run


def tuning_with_one_left(seed: int) -> Run:
    """The last trial of those that ran side by side goes on alone."""
    stage = _tuning(seed, "tuning_with_one_left")
    for _ in range(3):
        _trial(stage, stage.random.randint(30, 60))
    for minute in range(stage.random.randint(60, 80)):
        stage.minute(2.0, 0.7, 1e6, 1e6)
        for one in stage.run.workers[1:]:
            one.cpu[-1], one.gpu[-1] = 0.01, 0.0
        if minute % 8 == 0:
            stage.say(f"Epoch {minute // 8 + 1}/10")
    return stage.run


def tuning_hangs(seed: int) -> Run:
    """All trials that run stand still."""
    stage = _tuning(seed, "tuning_hangs")
    for _ in range(stage.random.randint(1, 3)):
        _trial(stage, stage.random.randint(30, 80))
    stage.train(40, gpu=0.7, net=2e6)
    stage.run.truth, stage.run.onset = "stalled", float(stage.now)
    stage.hang(_AFTER)
    return stage.run


OTHERS: tuple[tuple[Scene, int], ...] = (
    (tpu_training, 24),
    (tpu_loops_on_the_device, 24),
    (tuning_in_turns, 24),
    (tuning_with_one_left, 18),
    (tpu_hang, 18),
    (tuning_hangs, 12),
)
"""Each scene and how many jobs are of it: 90 healthy, 30 in trouble."""


def others(seed: int, share: float = 1.0) -> Iterator[Run]:
    """A fleet of them; another seed is another fleet."""
    for scene, count in OTHERS:
        for index in range(max(1, round(count * share))):
            yield scene(seed * 1000 + index)
