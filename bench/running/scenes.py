"""The scenes of the bench: what running jobs do that are healthy, and what becomes of those in trouble.

Each takes a seed and gives one job's life; `fleet` is 480 healthy ones and 212 in trouble. PHYSICS.md says
what the numbers rest on.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bench.running.physics import Run, Stage

# --- healthy --------------------------------------------------------------------------------------

Scene = Callable[[int], Run]


def _training(seed: int, kind: str, **more: Any) -> Stage:
    stage = Stage(kind, seed, **more)
    stage.pull()
    return stage


def steady_training(seed: int) -> Run:
    stage = _training(seed, "steady_training")
    draw = stage.random
    stage.compile(draw.randint(0, 12))
    every = draw.choice([0.2, 0.5, 1.0, 2.0])
    for _ in range(draw.randint(3, 6)):
        stage.train(
            draw.randint(40, 110),
            gpu=draw.uniform(0.55, 0.99),
            cores=draw.uniform(1, 8),
            every=every,
        )
        stage.evaluate(draw.randint(2, 10), cores=2.0, gpu=0.5)
        stage.checkpoint(draw.randint(1, 5))
    return stage.run


def rare_lines(seed: int) -> Run:
    """A line in 10 to 75 minutes, sometimes none at all: only the accelerator says that it works."""
    stage = _training(seed, "rare_lines")
    draw = stage.random
    stage.train(draw.randint(300, 700), every=draw.uniform(10, 75), quiet=draw.random() < 0.3)
    return stage.run


def compile_at_start(seed: int) -> Run:
    stage = _training(seed, "compile_at_start")
    draw = stage.random
    stage.compile(draw.randint(15, 55))
    stage.train(draw.randint(200, 400))
    return stage.run


def recompile(seed: int) -> Run:
    """A new shape comes in the middle, and one core of many compiles for it."""
    stage = _training(seed, "recompile")
    draw = stage.random
    for _ in range(draw.randint(2, 4)):
        stage.train(draw.randint(60, 150))
        stage.compile(draw.randint(10, 50))
    stage.train(60)
    return stage.run


def long_evaluation(seed: int) -> Run:
    """Metrics are computed on the host, silently, for up to 80 minutes."""
    stage = _training(seed, "long_evaluation")
    draw = stage.random
    for _ in range(draw.randint(2, 4)):
        stage.train(draw.randint(60, 120))
        stage.evaluate(
            draw.randint(20, 80), cores=draw.uniform(1.0, 12.0), quiet=draw.random() < 0.6
        )
    return stage.run


def slow_checkpoint(seed: int) -> Run:
    """Writing takes 10 to 45 minutes; the network carries it away all the while."""
    stage = _training(seed, "slow_checkpoint")
    draw = stage.random
    for _ in range(draw.randint(2, 5)):
        stage.train(draw.randint(50, 120))
        stage.checkpoint(draw.randint(10, 45), upload=draw.choice([5e7, 3e8, 2e9]))
    stage.train(40)
    return stage.run


def short_silent_save(seed: int) -> Run:
    """A slow disk: up to 22 minutes without load on anything."""
    stage = _training(seed, "short_silent_save")
    draw = stage.random
    for _ in range(draw.randint(2, 5)):
        stage.train(draw.randint(50, 120))
        stage.checkpoint(draw.randint(5, 22), upload=0.0)
    stage.train(40)
    return stage.run


def data_encoding(seed: int) -> Run:
    stage = _training(seed, "data_encoding")
    draw = stage.random
    stage.encode(draw.randint(20, 120), draw.uniform(0.9, stage.run.vcpus * 0.9))
    stage.train(draw.randint(150, 300))
    return stage.run


def slow_download(seed: int) -> Run:
    stage = _training(seed, "slow_download")
    draw = stage.random
    stage.download(draw.randint(10, 70))
    stage.train(draw.randint(150, 300))
    return stage.run


def streaming(seed: int) -> Run:
    """Bound by the network: hardly a core, a few per cent of the accelerator, a line seldom."""
    stage = _training(seed, "streaming")
    draw = stage.random
    stage.train(
        draw.randint(240, 500), gpu=draw.uniform(0.06, 0.15), cores=draw.uniform(0.15, 0.5),
        every=draw.uniform(5, 50), net=draw.uniform(2e8, 3e9),
    )  # fmt: skip
    return stage.run


def many_nodes(seed: int) -> Run:
    stage = _training(seed, "many_nodes", workers=random.Random(seed).choice([2, 4, 8]))
    draw = stage.random
    stage.train(
        draw.randint(200, 400), gpu=draw.uniform(0.9, 1.0), cores=8.0, every=draw.choice([1.0, 3.0, 12.0]),
        net=draw.uniform(1e9, 6e10), burst=draw.choice([0, 0, 2, 8, 15]),
    )  # fmt: skip
    return stage.run


def idle_chief(seed: int) -> Run:
    """The first worker only hands out work, and waits."""
    stage = _training(seed, "idle_chief", workers=3)
    stage.train(stage.random.randint(200, 400), gpu=0.8, cores=6.0, net=2e8)
    chief = stage.run.workers[0]
    chief.cpu = [0.03 for _ in chief.cpu]
    chief.gpu = [0.0 for _ in chief.gpu]
    return stage.run


def simulator(seed: int) -> Run:
    """Reinforcement learning: the host simulates, the accelerator is asked now and then."""
    stage = _training(seed, "simulator")
    stage.train(stage.random.randint(240, 500), gpu=0.06, cores=stage.run.vcpus * 0.7, every=4.0)
    return stage.run


def silent_library(seed: int) -> Run:
    """A compiled library on the CPUs that writes nothing for hours."""
    stage = _training(seed, "silent_library", cpu_only=True)
    draw = stage.random
    stage.say("fitting")
    stage.train(
        draw.randint(240, 600),
        gpu=0.0,
        cores=draw.uniform(0.9, stage.run.vcpus),
        quiet=True,
        net=0.0,
    )
    return stage.run


def rows_of_a_table(seed: int) -> Run:
    stage = _training(seed, "rows_of_a_table", cpu_only=True)
    draw = stage.random
    stage.train(
        draw.randint(300, 600), gpu=0.0, cores=draw.uniform(0.6, 6.0), every=draw.uniform(1, 55)
    )
    return stage.run


def waits_for_another_service(seed: int) -> Run:
    """A query or another job works for it; it asks for the state every few minutes."""
    stage = _training(seed, "waits_for_another_service", cpu_only=True)
    draw = stage.random
    for _ in range(draw.randint(2, 4)):
        stage.train(draw.randint(30, 90), gpu=0.0, cores=4.0)
        line = draw.choice(["waiting for query job", "Dataflow job is {share}% done", ""])
        stage.wait(draw.randint(8, 50), line)
    stage.train(30, gpu=0.0)
    return stage.run


def hiccup(seed: int) -> Run:
    """A data server answers late: everything waits for some minutes, then goes on."""
    stage = _training(seed, "hiccup", workers=random.Random(seed).choice([1, 1, 4]))
    draw = stage.random
    for _ in range(draw.randint(2, 5)):
        stage.train(draw.randint(50, 120), net=5e8)
        stage.wait(draw.randint(5, 24))
    stage.train(40, net=5e8)
    return stage.run


def with_monitor(seed: int) -> Run:
    """A thread writes the machine's state each minute beside a loop that works."""
    stage = _training(seed, "with_monitor")
    stage.monitor = _monitor(stage)
    for _ in range(3):
        stage.train(stage.random.randint(60, 120), every=stage.random.choice([1.0, 5.0, 20.0]))
        stage.evaluate(stage.random.randint(10, 40), cores=3.0)
    return stage.run


def levels_off(seed: int) -> Run:
    """A cache fills the memory to a level and stays there."""
    stage = _training(seed, "levels_off")
    draw = stage.random
    level, pace = draw.uniform(0.2, 0.45), draw.uniform(30, 120)
    for minute in range(draw.randint(260, 500)):
        stage.minute(3.0, 0.85, 1e7, 1e7, level * (1 - math.exp(-minute / pace)))
        stage.step += 100
        stage.say(f"step {stage.step} loss {5 / (1 + minute / 90):.4f}")
    return stage.run


def in_time(seed: int) -> Run:
    return _paced(seed, "in_time", late=False)


def uploads_at_the_end(seed: int) -> Run:
    stage = _training(seed, "uploads_at_the_end")
    stage.train(stage.random.randint(200, 400))
    stage.say("training complete")
    stage.checkpoint(stage.random.randint(10, 25), upload=5e8)
    return stage.run


def tuning_trials(seed: int) -> Run:
    stage = _training(seed, "tuning_trials", workers=random.Random(seed).choice([1, 3]))
    for _ in range(stage.random.randint(3, 6)):
        stage.train(stage.random.randint(30, 80), gpu=0.7, net=0.0)
        stage.pull()
    return stage.run


def waits_shortly(seed: int) -> Run:
    """PENDING or QUEUED for less than anybody would mind."""
    draw = random.Random(seed)
    stage = Stage("waits_shortly", seed)
    for _ in range(draw.randint(5, 55)):
        stage.minute(0.0, 0.0, 0.0, 0.0)
    stage.run.state = draw.choice(["JOB_STATE_PENDING", "JOB_STATE_QUEUED"])
    return stage.run


def _monitor(stage: Stage) -> Callable[[int], str]:
    draw = stage.random
    return draw.choice(
        [
            lambda _: (
                f"[monitor] rss={draw.uniform(10, 14):.1f}GB gpu_mem={draw.randint(12000, 12900)}MB temp={draw.randint(40, 70)}C"
            ),
            lambda m: f"heartbeat {m}: still alive",
            lambda m: (
                f"INFO health: uptime {m * 60 + draw.randint(0, 9)} s, threads {draw.randint(40, 44)}"
            ),
        ]
    )


# --- in trouble -----------------------------------------------------------------------------------


def _then(stage: Stage, truth: str) -> Stage:
    stage.run.truth, stage.run.onset = truth, float(stage.now)
    return stage


_AFTER = 130  # minutes that a standstill is watched


def loader_deadlock(seed: int) -> Run:
    stage = _training(seed, "loader_deadlock")
    stage.train(stage.random.randint(40, 300), every=stage.random.choice([0.5, 1.0, 5.0, 20.0]))
    _then(stage, "stalled").hang(_AFTER)
    return stage.run


def loader_deadlock_on_cpus(seed: int) -> Run:
    stage = _training(seed, "loader_deadlock_on_cpus", cpu_only=True)
    stage.train(stage.random.randint(60, 300), gpu=0.0, cores=stage.random.uniform(0.8, 7.0))
    _then(stage, "stalled").hang(_AFTER)
    return stage.run


def killed_pool_worker(seed: int) -> Run:
    """The parent of a pool waits for a result that a killed child took with it."""
    stage = _training(seed, "killed_pool_worker", cpu_only=True)
    stage.train(stage.random.randint(60, 200), gpu=0.0, cores=stage.run.vcpus * 0.8)
    _then(stage, "stalled").hang(_AFTER, cpu=0.02)
    return stage.run


def wedged_under_a_heartbeat(seed: int) -> Run:
    stage = _training(seed, "wedged_under_a_heartbeat")
    stage.monitor = _monitor(stage)
    stage.monitor_every = stage.random.choice([1, 1, 5])
    stage.train(stage.random.randint(60, 240), every=stage.random.choice([0.5, 1.0, 5.0]))
    _then(stage, "stalled").hang(_AFTER, cpu=0.01)
    return stage.run


def server_does_not_answer(seed: int) -> Run:
    """Requests to a feature server stay open; retries are written for a while, then nothing."""
    stage = _training(seed, "server_does_not_answer", workers=random.Random(seed).choice([1, 4]))
    stage.train(stage.random.randint(60, 240), net=8e8)
    _then(stage, "stalled")
    for minute in range(_AFTER):
        if minute < 6 and minute % 2 == 0:
            stage.say(f"retrying GET /features (attempt {minute // 2 + 1})")
        stage.minute(0.02, 0.0, 3e4, 3e4)
    return stage.run


def gloo_barrier(seed: int) -> Run:
    """One worker never reaches the barrier; the others wait without using a core."""
    stage = _training(
        seed, "gloo_barrier", workers=random.Random(seed).choice([2, 4]), cpu_only=True
    )
    stage.train(stage.random.randint(60, 240), gpu=0.0, cores=5.0, net=3e8)
    _then(stage, "stalled").hang(_AFTER, cpu=0.02)
    return stage.run


def nccl_hang(seed: int) -> Run:
    """A collective never ends: its kernel keeps the device near 100%, a thread a device polls."""
    stage = _training(seed, "nccl_hang", workers=random.Random(seed).choice([2, 4, 8]))
    devices = stage.run.machine["acceleratorCount"]
    stage.train(
        stage.random.randint(60, 240), gpu=stage.random.uniform(0.85, 0.99), cores=6.0,
        net=stage.random.uniform(1e9, 6e10), every=stage.random.choice([1.0, 3.0, 10.0]),
    )  # fmt: skip
    _then(stage, "spinning").hang(_AFTER, cpu=float(devices), gpu=1.0)
    return stage.run


def nccl_hang_under_a_heartbeat(seed: int) -> Run:
    stage = _training(seed, "nccl_hang_under_a_heartbeat", workers=4)
    stage.monitor = _monitor(stage)
    stage.train(stage.random.randint(60, 240), gpu=0.95, cores=6.0, net=9e9)
    _then(stage, "spinning").hang(_AFTER, cpu=float(stage.run.machine["acceleratorCount"]), gpu=1.0)
    return stage.run


def hangs_while_saving(seed: int) -> Run:
    """A write to storage never returns: the checkpoint before it was the last."""
    stage = _training(seed, "hangs_while_saving")
    for _ in range(stage.random.randint(1, 3)):
        stage.train(stage.random.randint(40, 100))
        stage.checkpoint(stage.random.randint(2, 6))
    stage.train(50)
    stage.say(f"saving checkpoint at step {stage.step}")
    _then(stage, "stalled").hang(_AFTER)
    return stage.run


def hangs_at_its_end(seed: int) -> Run:
    """The work is done and the process does not end: a thread or a child keeps it."""
    stage = _training(seed, "hangs_at_its_end")
    stage.train(stage.random.randint(100, 300))
    stage.say("training complete")
    stage.checkpoint(4)
    _then(stage, "stalled").hang(_AFTER)
    return stage.run


def deadlock_that_polls(seed: int) -> Run:
    """A lock that is waited for in a loop: one core at work for nothing, which looks like compiling."""
    stage = _training(seed, "deadlock_that_polls")
    stage.train(stage.random.randint(60, 240))
    _then(stage, "stalled").hang(_AFTER, cpu=1.0)
    return stage.run


def never_on_the_accelerator(seed: int) -> Run:
    stage = _training(seed, "never_on_the_accelerator")
    _then(stage, "accelerator_unused").run.onset = 0.0
    stage.train(stage.random.randint(260, 420), gpu=0.0, cores=stage.run.vcpus * 0.8, every=2.0)
    return stage.run


def waits_in_vain(seed: int) -> Run:
    draw = random.Random(seed)
    stage = Stage("waits_in_vain", seed)
    queued = draw.random() < 0.5
    stage.run.state = "JOB_STATE_QUEUED" if queued else "JOB_STATE_PENDING"
    _then(stage, "waiting_for_quota" if queued else "waiting_for_capacity")
    for _ in range(draw.randint(100, 240)):
        stage.minute(0.0, 0.0, 0.0, 0.0)
    return stage.run


def late(seed: int) -> Run:
    return _paced(seed, "late", late=True)


def leak(seed: int) -> Run:
    stage = _training(seed, "leak")
    draw = stage.random
    minutes = draw.randint(200, 420)
    slope = (0.99 - stage.base_memory) / minutes
    stage.run.truth, stage.run.onset = "memory_climbing", 0.0
    for minute in range(minutes):
        stage.minute(3.0, 0.85, 1e7, 1e7, slope * minute)
        stage.step += 100
        stage.say(f"step {stage.step} loss {5 / (1 + minute / 90):.4f}")
    return stage.run


def _paced(seed: int, kind: str, *, late: bool) -> Run:
    """Work that tells how far it is; what it needs in all against its time-out, from 0.5 to 2."""
    stage = Stage(kind, seed, cpu_only=random.Random(seed).random() < 0.5)
    draw = stage.random
    stage.pull()
    total = draw.choice([3000, 12_000, 90_000])
    pace = total / draw.uniform(240, 600)  # a minute
    form = draw.choice(
        ["rows {done} of {total}", "step {done}/{total} loss 0.4", "{percent:.1f}% done"]
    )
    drift, level, done = draw.uniform(-0.1, 0.1), 1.0, 0.0
    pauses = draw.choice([0, 0, 60, 120])
    spent = 0
    while done < total:
        level = min(1.6, max(0.5, level + draw.gauss(0, 0.06) - 0.1 * (level - 1)))
        is_pause = pauses and spent % pauses >= pauses - draw.randint(4, 8)
        if not is_pause:
            warm = min(1.0, 0.3 + spent / 15)
            done = min(total, done + pace * level * warm * (1 + drift * done / total))
            if spent % 2 == 0:
                stage.say(form.format(done=int(done), total=total, percent=100 * done / total))
        stage.minute(4.0, 0.8, 1e7, 1e7)
        spent += 1
    needed = float(stage.now)
    ratio = math.exp(draw.uniform(math.log(1.01), math.log(2.0)))
    stage.run.needed = needed
    stage.run.timeout = needed / ratio if late else needed * ratio
    if late:
        stage.run.truth, stage.run.onset = "will_time_out", 0.0
        keep = int(stage.run.timeout)
        for one in stage.run.workers:
            for name in ("cpu", "gpu", "memory", "received", "sent"):
                del getattr(one, name)[keep:]
        stage.run.lines = [line for line in stage.run.lines if line[0] < keep]
    return stage.run


HEALTHY: tuple[tuple[Scene, int], ...] = (
    (steady_training, 40), (rare_lines, 24), (compile_at_start, 22), (recompile, 22), (long_evaluation, 24),
    (slow_checkpoint, 22), (short_silent_save, 20), (data_encoding, 22), (slow_download, 18), (streaming, 18),
    (many_nodes, 34), (idle_chief, 14), (simulator, 16), (silent_library, 18), (rows_of_a_table, 20),
    (waits_for_another_service, 18), (hiccup, 24), (with_monitor, 18), (levels_off, 14), (in_time, 36),
    (uploads_at_the_end, 12), (tuning_trials, 14), (waits_shortly, 10),
)  # fmt: skip
"""Each healthy scene and how many of a fleet are of it: 480."""

TROUBLED: tuple[tuple[Scene, int], ...] = (
    (loader_deadlock, 16), (loader_deadlock_on_cpus, 12), (killed_pool_worker, 12),
    (wedged_under_a_heartbeat, 18), (server_does_not_answer, 14), (gloo_barrier, 14), (nccl_hang, 20),
    (nccl_hang_under_a_heartbeat, 8), (hangs_while_saving, 12), (hangs_at_its_end, 10),
    (deadlock_that_polls, 4), (never_on_the_accelerator, 12), (waits_in_vain, 12), (late, 36), (leak, 12),
)  # fmt: skip
"""Each scene in trouble: 212."""


def fleet(seed: int, share: float = 1.0) -> Iterator[Run]:
    """A fleet of jobs; another seed is another fleet of the same scenes."""
    return _drawn((*HEALTHY, *TROUBLED), seed, share)


def paced(seed: int, share: float = 1.0) -> Iterator[Run]:
    """Those jobs of the same fleet that tell how far they are, in time and late."""
    scenes = [one for one in (*HEALTHY, *TROUBLED) if one[0] in {in_time, late}]
    return _drawn(scenes, seed, share)


def _drawn(scenes: Iterable[tuple[Scene, int]], seed: int, share: float) -> Iterator[Run]:
    for scene, count in scenes:
        for index in range(max(1, round(count * share))):
            yield scene(seed * 1000 + index)
