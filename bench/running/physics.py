"""Running jobs as they behave, minute by minute, and what can be seen of them: the truth of the bench.

Each job is a sequence of phases (compiling, training, evaluating, saving, waiting, hanging), each with its
own load on cores, accelerator, memory and network, the lines it writes and the objects it saves. PHYSICS.md
says what each number rests on. Nothing here knows the detector; it was committed before the detector was
tuned. `observed` is what Cloud Monitoring and Cloud Logging would show at a moment: a sample a minute, two to
six minutes late, some missing, now and then a whole hour.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)
NEVER = math.inf


@dataclass(slots=True)
class Worker:
    """Loads by minute: cores in use, share of the accelerator, share of memory, bytes in and out."""

    cpu: list[float] = field(default_factory=list)
    gpu: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    received: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)


@dataclass(slots=True)
class Run:
    """One job's life. `truth` is the verdict that is right once `onset` (a minute) has come.

    `kind` names the scene. `needed` is how long its work takes in all, minutes, where it has a time-out.
    """

    kind: str
    machine: dict[str, Any]
    vcpus: int
    workers: list[Worker]
    lines: list[tuple[float, str, int]]
    outputs: list[tuple[float, str]]
    truth: str = "healthy"
    onset: float = NEVER
    until: float = NEVER
    timeout: float = 7 * 24 * 60.0
    needed: float | None = None
    state: str = "JOB_STATE_RUNNING"
    job_kind: str = "custom"

    @property
    def minutes(self) -> int:
        return len(self.workers[0].cpu)

    @property
    def has_accelerator(self) -> bool:
        return bool(self.machine.get("acceleratorCount"))

    @property
    def shows_accelerator(self) -> bool:
        """Whether Monitoring has a series of it: of a TPU there is none."""
        return self.has_accelerator and "TPU" not in str(self.machine.get("acceleratorType"))


MACHINES: tuple[tuple[dict[str, Any], int], ...] = (
    (
        {
            "machineType": "n1-standard-8",
            "acceleratorType": "NVIDIA_TESLA_T4",
            "acceleratorCount": 1,
        },
        8,
    ),
    ({"machineType": "g2-standard-12", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 1}, 12),
    (
        {
            "machineType": "a2-highgpu-1g",
            "acceleratorType": "NVIDIA_TESLA_A100",
            "acceleratorCount": 1,
        },
        12,
    ),
    (
        {
            "machineType": "a2-highgpu-8g",
            "acceleratorType": "NVIDIA_TESLA_A100",
            "acceleratorCount": 8,
        },
        96,
    ),
    (
        {
            "machineType": "a3-highgpu-8g",
            "acceleratorType": "NVIDIA_H100_80GB",
            "acceleratorCount": 8,
        },
        208,
    ),
)
CPU_MACHINES: tuple[tuple[dict[str, Any], int], ...] = (
    ({"machineType": "n1-standard-8"}, 8),
    ({"machineType": "n2-standard-32"}, 32),
    ({"machineType": "c2-standard-60"}, 60),
)


class Stage:
    """Builds a run phase by phase; every draw comes from one seeded source."""

    def __init__(self, kind: str, seed: int, *, cpu_only: bool = False, workers: int = 1) -> None:
        self.random = random.Random(f"{kind}/{seed}")
        machine, vcpus = self.random.choice(CPU_MACHINES if cpu_only else MACHINES)
        self.run = Run(kind, machine, vcpus, [Worker() for _ in range(workers)], [], [])
        self.step = 0
        self.base_memory = self.random.uniform(0.1, 0.5)
        # What the agents on a machine use whatever the job does (PHYSICS.md, idle).
        self.idle_cores = self.random.uniform(0.005, 0.12)
        self.monitor: Callable[[int], str] | None = None
        self.monitor_every = 1

    @property
    def now(self) -> int:
        return self.run.minutes

    def say(self, text: str, at: float | None = None, worker: int = 0) -> None:
        self.run.lines.append((self.now if at is None else at, text, worker))

    def save(self, name: str) -> None:
        self.run.outputs.append((float(self.now), name))

    def minute(
        self, cpu: float, gpu: float, received: float, sent: float, memory: float = 0.0
    ) -> None:
        draw = self.random
        if self.monitor is not None and self.now % self.monitor_every == 0:
            self.say(self.monitor(self.now), self.now + draw.random())
        for one in self.run.workers:
            one.cpu.append(
                max(0.0, cpu * draw.uniform(0.8, 1.2) + self.idle_cores * draw.uniform(0.5, 1.5))
            )
            one.gpu.append(min(1.0, max(0.0, gpu * draw.uniform(0.96, 1.03))))
            one.memory.append(min(1.0, self.base_memory + memory + draw.uniform(-0.003, 0.003)))
            one.received.append(received * draw.uniform(0.6, 1.4) + draw.uniform(5e3, 2e5))
            one.sent.append(sent * draw.uniform(0.6, 1.4) + draw.uniform(5e3, 2e5))

    # --- phases ------------------------------------------------------------------------------------

    def pull(self) -> None:
        """The image is pulled and unpacked before the program starts."""
        for _ in range(self.random.randint(1, 8)):
            self.minute(self.random.uniform(0.3, 1.5), 0.0, 4e8, 1e5)

    def download(self, minutes: int) -> None:
        """Data comes over the network, with hardly a core at work."""
        self.say("downloading the data set")
        for _ in range(minutes):
            self.minute(self.random.uniform(0.05, 0.45), 0.0, 3e9, 2e6, 0.02)

    def encode(self, minutes: int, cores: float) -> None:
        """A data set is tokenised or decoded: cores at work, the accelerator not yet."""
        for minute in range(minutes):
            if minute % max(1, minutes // 12) == 0:
                self.say(
                    f"Map: {100 * minute // minutes:3d}%|{'#' * (10 * minute // minutes):10s}|"
                )
            self.minute(cores, 0.0, 3e6, 1e6, 0.05)

    def compile(self, minutes: int) -> None:
        """XLA or a fused kernel is compiled: one core of many, nothing written."""
        self.say("compiling")
        for _ in range(minutes):
            self.minute(self.random.uniform(0.85, 1.1), 0.0, 0.0, 0.0)

    def train(
        self, minutes: int, *, gpu: float = 0.9, cores: float = 3.0, every: float = 1.0,
        net: float = 1e7, quiet: bool = False, burst: int = 0,
    ) -> None:  # fmt: skip
        """Steps: a line each `every` minutes. `burst`: traffic comes once in so many minutes."""
        due = self.now + every
        for minute in range(minutes):
            traffic = net if not burst or minute % burst == 0 else 0.0
            self.minute(cores, gpu, traffic, traffic)
            while due <= self.now:
                self.step += self.random.randint(80, 120)
                loss = 6.0 / (1 + self.step / 900) + self.random.uniform(0, 0.08)
                if not quiet:
                    self.say(f"step {self.step} loss {loss:.4f} lr 3.0e-05", due)
                due += every

    def evaluate(
        self, minutes: int, *, cores: float, gpu: float = 0.0, quiet: bool = False
    ) -> None:
        self.say("evaluating")
        for minute in range(minutes):
            if not quiet and minute % 5 == 4:
                self.say(f"eval batch {minute * 17}/{minutes * 17}")
            self.minute(cores, gpu, 1e6, 1e6)

    def checkpoint(self, minutes: int, *, upload: float = 2e9) -> None:
        """State is written out: the accelerator waits, cores hardly work, the network carries it away."""
        self.say(f"saving checkpoint at step {self.step}")
        for _ in range(minutes):
            self.minute(self.random.uniform(0.1, 0.6), 0.0, 1e5, upload)
        self.save(f"gs://results/run/ckpt-{self.step}")
        self.say(f"saved checkpoint at step {self.step}")

    def wait(self, minutes: int, line: str = "", every: int = 10) -> None:
        """Another service works for it: nothing happens here."""
        for minute in range(minutes):
            if line and minute % every == 0:
                self.say(line.format(minute=minute, share=min(99, 100 * minute // max(1, minutes))))
            self.minute(0.02, 0.0, 2e4, 2e4)

    def hang(
        self, minutes: int, *, cpu: float = 0.0, gpu: float = 0.0, beat: str = "", every: int = 1
    ) -> None:
        """Nothing goes on any more. `beat`: a thread of its own writes on."""
        for minute in range(minutes):
            if beat and minute % every == 0:
                self.say(beat.format(minute=self.now))
            self.minute(cpu, gpu, 0.0, 0.0)


# --- what can be seen -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Lateness:
    """How late each job's metrics are, and which of their minutes never arrive."""

    minutes: float
    lost: frozenset[int]

    @classmethod
    def drawn(cls, run: Run, seed: int) -> Lateness:
        draw = random.Random(f"lateness/{run.kind}/{seed}")
        lost = {minute for minute in range(run.minutes) if draw.random() < 0.04}
        if draw.random() < 0.15:  # an hour's outage of monitoring, now and then less
            begin, length = draw.randrange(max(1, run.minutes)), draw.randint(10, 60)
            lost |= set(range(begin, begin + length))
        return cls(draw.uniform(2.0, 6.0), frozenset(lost))


_SERIES = {
    "cpu": "cpu/utilization",
    "gpu": "accelerator/utilization",
    "memory": "memory/utilization",
    "received": "network/received_bytes_count",
    "sent": "network/sent_bytes_count",
}


def moment(minute: float) -> str:
    return (START + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")


def observed(run: Run, minute: int, late: Lateness) -> dict[str, Any]:
    """The job's case as it stands at the minute: what has arrived, and no more."""
    newest = minute - late.minutes
    begin = 3 if run.state == "JOB_STATE_RUNNING" else run.minutes
    series = []
    for index, worker in enumerate(run.workers):
        for name, metric in _SERIES.items():
            if name == "gpu" and not run.shows_accelerator:
                continue
            scale = run.vcpus if name == "cpu" else 1.0
            values = getattr(worker, name)
            points = [
                {
                    "interval": {"endTime": moment(m)},
                    "value": {
                        "doubleValue": min(values[m] / scale, 1.0) if name == "cpu" else values[m]
                    },
                }
                for m in range(begin, min(len(values), int(newest) + 1))
                if m not in late.lost
            ]
            if points:
                series.append(
                    {
                        "metric": {"type": f"ml.googleapis.com/training/{metric}", "labels": {"task_name": f"workerpool{min(index, 1)}-{max(0, index - 1)}"}},
                        "resource": {"type": "cloudml_job", "labels": {"job_id": "7"}},
                        "points": points,
                    }
                )  # fmt: skip
    return {
        "job": job_of(run),
        "timeSeries": series,
        "logEntries": [
            {
                "timestamp": moment(at),
                "textPayload": text,
                "insertId": f"l{number}",
                "resource": {
                    "type": "ml_job",
                    "labels": {"job_id": "7", "task_name": f"workerpool{min(worker, 1)}-{max(0, worker - 1)}"},
                },
            }
            for number, (at, text, worker) in enumerate(run.lines)
            if at <= minute
        ],
        "outputs": [
            {"name": name, "updated": moment(at), "size": "1000000"} for at, name in run.outputs if at <= minute
        ],
        "now": moment(minute),
    }  # fmt: skip


def job_of(run: Run) -> dict[str, Any]:
    """The job's document as Vertex shows it."""
    running = run.state == "JOB_STATE_RUNNING"
    if run.job_kind == "hyperparameter_tuning":
        return _tuning_job_of(run)
    pools = [{"machineSpec": run.machine, "replicaCount": "1"}]
    if len(run.workers) > 1:
        pools.append({"machineSpec": run.machine, "replicaCount": str(len(run.workers) - 1)})
    for pool in pools:
        pool["containerSpec"] = {"imageUri": "us-docker.pkg.dev/p/r/train:1"}
    return {
        "name": "projects/123456789012/locations/us-central1/customJobs/7",
        "displayName": run.kind,
        "state": run.state,
        "createTime": moment(-2 if running else 0),
        **({"startTime": moment(0)} if running else {}),
        "updateTime": moment(0),
        "jobSpec": {
            "workerPoolSpecs": pools,
            **({"scheduling": {"timeout": f"{int(run.timeout * 60)}s"}} if run.needed else {}),
            "baseOutputDirectory": {"outputUriPrefix": "gs://results/run"},
        },
    }


def _tuning_job_of(run: Run) -> dict[str, Any]:
    """A tuning job whose trials run side by side on as many machines; a time-out is one trial's."""
    pool = {
        "machineSpec": run.machine,
        "replicaCount": "1",
        "containerSpec": {"imageUri": "us-docker.pkg.dev/p/r/train:1"},
    }
    return {
        "name": "projects/123456789012/locations/us-central1/hyperparameterTuningJobs/7",
        "displayName": run.kind,
        "state": run.state,
        "createTime": moment(-2),
        "startTime": moment(0),
        "updateTime": moment(0),
        "maxTrialCount": 20,
        "parallelTrialCount": len(run.workers),
        "trialJobSpec": {
            "workerPoolSpecs": [pool],
            "scheduling": {"timeout": f"{int(run.timeout * 60)}s"},
            "baseOutputDirectory": {"outputUriPrefix": "gs://results/run"},
        },
    }
