"""What a job needs, and how a request therefore ends. Pure: no clock, no store, no names read.

A `Needs` says what a program or a model really takes: work, memory, a GPU, waiting, luck. `run_custom`
here and `twin.batch.run_batch` set it against what was asked for (machine, accelerator, replicas,
batch size, time-out) and tell the whole course of the run: phases for the metrics, lines for the
log, and the end, with the messages that Vertex AI is known to give. Where no real message is known the twin's own
words stand, and `twin/README.md` lists them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from twin.machines import ACCELERATORS, Machine, machine

DEFAULT_TIMEOUT_SECONDS = 7 * 24 * 3600.0
_USABLE_MEMORY = 0.96

Line = tuple[float, str, str, str]
"""(seconds since the start, severity, text, stream: `stdout`, `stderr` or `service`)."""


@dataclass(frozen=True)
class Section:
    """A part of a program, in the order in which it runs.

    `cpu_seconds`: vCPU-seconds of work, of which the fraction `parallel` spreads over all vCPUs.
    `gpu_seconds`: what the same work takes on one T4, where there is a GPU and this is not 0.
    `wait_seconds`: spent waiting for `waits_for`, whatever the machine, in `fetches` portions.
    """

    name: str
    cpu_seconds: float = 0.0
    parallel: float = 1.0
    gpu_seconds: float = 0.0
    wait_seconds: float = 0.0
    waits_for: str = ""
    fetches: int = 12
    memory_gib: float = 0.0
    received_mib: float = 0.0
    records: int = 4000


@dataclass(frozen=True)
class Serving:
    """What a model server needs for each instance of a request, and how many there are."""

    instances: int = 1000
    cpu_seconds: float = 0.05
    parallel: float = 0.9
    gpu_seconds: float = 0.0
    overhead_seconds: float = 0.05
    memory_gib: float = 0.0
    gpu_memory_gib: float = 0.0
    bad_instances: int = 0


@dataclass(frozen=True)
class Needs:
    """What a workload really takes. `sections` for programs, `serving` for models.

    `gpu`: `wanted` runs without one, slowly, and says so; `required` raises. `raises`: a traceback
    with which the program ends after `raises_after` of its work. `stockouts`, `backend_errors`,
    `preemptions`: how many first tries end that way. `fails_with`: (code, message), always.
    `never_placed_on`: machine or accelerator types that are not to be had: the job stays PENDING.
    `pool`: the worker pool that does the work and dies of it. `by_try`: what the first tries take
    in place of all this, one after the other.
    """

    sections: tuple[Section, ...] = (Section("work", cpu_seconds=600),)
    serving: Serving = Serving()
    startup_seconds: float = 75.0
    load_cpu_seconds: float = 0.0
    memory_gib: float = 2.0
    gpu: Literal["none", "wanted", "required"] = "none"
    gpu_memory_gib: float = 1.0
    raises: str = ""
    raises_after: float = 0.5
    exit_code: int = 1
    stockouts: int = 0
    backend_errors: int = 0
    preemptions: int = 0
    fails_with: tuple[int, str] | None = None
    never_placed_on: tuple[str, ...] = ()
    telemetry: bool = False
    pool: int = 0
    by_try: tuple[Needs, ...] = ()

    def at(self, tries: int) -> Needs:
        """What the try of this number takes; 1 is the first."""
        return self.by_try[tries - 1] if 0 < tries <= len(self.by_try) else self


@dataclass(frozen=True)
class Phase:
    """A stretch of the run in which the machine was used evenly; cores and rates of one replica."""

    seconds: float
    cores: float
    memory_gib: float
    section: str
    gpu: float = 0.0
    gpu_memory_gib: float = 0.0
    received_per_second: float = 0.0


@dataclass(frozen=True)
class Run:
    """The whole course of one run. `started` False: it never got a machine."""

    state: str
    startup_seconds: float
    run_seconds: float
    error: tuple[int, str] | None = None
    lines: tuple[Line, ...] = ()
    phases: tuple[Phase, ...] = ()
    started: bool = True
    successful: int = 0
    failed: int = 0
    incomplete: int = 0
    error_rows: tuple[tuple[str, int], ...] = ()
    machine: Machine | None = None
    gpus: int = 0
    gpu_kind: str = ""
    replicas: int = 1
    replica: str = "workerpool0-0"


@dataclass
class Course:
    """A run while it is told."""

    at: float = 0.0
    lines: list[Line] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)

    def say(self, text: str, *, after: float = 0.0, err: bool = False) -> None:
        stream = "stderr" if err else "stdout"
        # What a container writes to stderr is logged as an error, whatever it says.
        self.lines.append((self.at + after, "ERROR" if err else "INFO", text, stream))

    def serve(self, text: str, severity: str = "INFO", after: float = 0.0) -> None:
        self.lines.append((self.at + after, severity, text, "service"))

    def spend(self, phase: Phase) -> None:
        self.phases.append(phase)
        self.at += phase.seconds


@dataclass(frozen=True)
class Shape:
    """The hardware of one replica, as asked for."""

    machine: Machine
    gpu_kind: str
    gpus: int

    @classmethod
    def of(cls, spec: Mapping[str, Any]) -> Shape:
        """From a MachineSpec in REST shape; an unknown machine counts as an n1-standard-4."""
        found = machine(str(spec.get("machineType") or "n1-standard-4"))
        kind = str(spec.get("acceleratorType") or "")
        count = int(spec.get("acceleratorCount") or 0)
        known = kind if kind in ACCELERATORS and count else ""
        return cls(found or Machine("n1-standard-4", 4, 15.0), known, count if known else 0)

    @property
    def gpu_speed(self) -> float:
        """In T4s; 0 without a GPU."""
        return ACCELERATORS[self.gpu_kind].speed * self.gpus if self.gpus else 0.0

    @property
    def gpu_memory_gib(self) -> float:
        """Of one device."""
        return ACCELERATORS[self.gpu_kind].memory_gib if self.gpus else 0.0

    @property
    def memory_gib(self) -> float:
        """What a container can really have."""
        return self.machine.memory_gib * _USABLE_MEMORY


def seconds_of(duration: object, default: float) -> float:
    """`"3600s"` in seconds."""
    text = str(duration or "").removesuffix("s")
    return float(text) if text else default


# --- what happens to any job before its own work -----------------------------------------------


def luck(needs: Needs, tries: int, *, region: str, spot: bool) -> tuple[int, str] | None:
    """An end that has nothing to do with the job: the first tries only."""
    if needs.fails_with:
        return needs.fails_with
    if tries <= needs.stockouts:
        return (
            8,
            (
                f"Resources are insufficient in region: {region}. "
                "Try a different region or use a different accelerator."
            ),
        )
    if tries <= needs.stockouts + needs.backend_errors:
        return (13, "Internal error occurred for the current attempt")
    if spot and tries <= needs.stockouts + needs.backend_errors + needs.preemptions:
        return (8, "The replica workerpool0-0 was preempted: STOCKOUT")
    return None


# --- custom jobs -------------------------------------------------------------------------------


def run_custom(needs: Needs, spec: Mapping[str, Any], *, region: str, tries: int = 1) -> Run:
    """How a CustomJobSpec (REST shape) ends, given what its program needs."""
    pools = spec.get("workerPoolSpecs") or [{}]
    pool = min(needs.pool, len(pools) - 1)
    shape = Shape.of(pools[pool].get("machineSpec") or {})
    replicas = sum(int(pool.get("replicaCount") or 1) for pool in pools)
    scheduling = spec.get("scheduling") or {}
    timeout = seconds_of(scheduling.get("timeout"), DEFAULT_TIMEOUT_SECONDS) or 1e12
    bad_luck = luck(needs, tries, region=region, spot=scheduling.get("strategy") == "SPOT")
    if bad_luck:
        return _never_ran(needs, bad_luck)
    story = Course()
    story.serve("Job is running.")
    if needs.gpu != "none" and not shape.gpus:
        lament_no_gpu(story)
    death = _work(story, needs, shape, replicas)
    if story.at > timeout:
        return _timed_out(story, needs, shape, replicas, timeout)
    if death:
        code, message, words = death
        message = message.replace("workerpool0-0", f"workerpool{pool}-0")
        for text in words:
            story.say(text, err=True)
        story.serve(message, "ERROR", after=2)
        story.serve("Job failed.", "ERROR", after=4)
        return _custom_run("JOB_STATE_FAILED", story, needs, shape, replicas, (code, message))
    story.say("finished; results written")
    story.serve("Job completed successfully.", after=4)
    return _custom_run("JOB_STATE_SUCCEEDED", story, needs, shape, replicas, None)


def _custom_run(
    state: str,
    story: Course,
    needs: Needs,
    shape: Shape,
    replicas: int,
    error: tuple[int, str] | None,
) -> Run:
    return Run(
        state=state,
        startup_seconds=needs.startup_seconds,
        run_seconds=story.at + 5,
        error=error,
        lines=tuple(story.lines),
        phases=tuple(story.phases),
        machine=shape.machine,
        gpus=shape.gpus,
        gpu_kind=shape.gpu_kind,
        replicas=replicas,
        replica=f"workerpool{needs.pool}-0",
    )


def _never_ran(needs: Needs, error: tuple[int, str]) -> Run:
    story = Course()
    story.serve("Waiting for job to be provisioned.")
    story.serve(error[1], "ERROR", after=needs.startup_seconds)
    story.serve("Job failed.", "ERROR", after=needs.startup_seconds + 2)
    return Run(
        state="JOB_STATE_FAILED",
        startup_seconds=0,
        run_seconds=needs.startup_seconds + 3,
        error=error,
        lines=tuple(story.lines),
        started=False,
    )


def lament_no_gpu(story: Course) -> None:
    """What frameworks print when they look for a GPU and there is none."""
    story.say(
        "UserWarning: CUDA initialization: Found no NVIDIA driver on your system. Please check that "
        "you have an NVIDIA GPU and installed a driver from http://www.nvidia.com/Download/index.aspx",
        err=True,
        after=3,
    )
    story.say("torch.cuda.is_available() is False: falling back to CPU", err=True, after=4)


def _work(
    story: Course, needs: Needs, shape: Shape, replicas: int
) -> tuple[int, str, list[str]] | None:
    """Runs the sections; returns (code, message, last words) where the program dies."""
    if needs.gpu == "required" and not shape.gpus:
        return _exit(1, ["RuntimeError: No CUDA GPUs are available"])
    if shape.gpus and needs.gpu != "none" and needs.gpu_memory_gib > shape.gpu_memory_gib:
        story.spend(Phase(45, 1.2, needs.memory_gib, "setup", 0.4, shape.gpu_memory_gib))
        return _exit(1, [cuda_out_of_memory(shape)])
    planned = sum(_length(section, needs, shape, replicas)[0] for section in needs.sections)
    dies_at = needs.raises_after * planned if needs.raises else float("inf")
    for section in needs.sections:
        seconds, cores, busy = _length(section, needs, shape, replicas)
        memory = max(section.memory_gib, needs.memory_gib)
        share = 1.0
        if memory > shape.memory_gib:
            share = shape.memory_gib / memory
        raised = story.at + seconds * share > dies_at
        if raised:
            share = max((dies_at - story.at) / seconds, 0.01)
        _tell(story, section, seconds, share)
        for step in _slices(seconds * share):
            grown = memory * (step[1] / seconds) if seconds else memory
            story.spend(
                Phase(
                    step[0],
                    cores,
                    min(max(grown, 0.8), shape.memory_gib),
                    section.name,
                    busy,
                    needs.gpu_memory_gib if busy else 0.0,
                    section.received_mib * 2**20 / seconds if seconds else 0.0,
                )
            )
        if raised:
            return _exit(needs.exit_code, [needs.raises])
        if share < 1.0:
            return (
                9,
                (
                    "The replica workerpool0-0 ran out of memory and exited with a non-zero status "
                    "of 137."
                ),
                ["Killed"],
            )
    return None


def _exit(status: int, words: list[str]) -> tuple[int, str, list[str]]:
    return (
        3,
        (
            f"The replica workerpool0-0 exited with a non-zero status of {status}. "
            "Termination reason: Error."
        ),
        words,
    )


def cuda_out_of_memory(shape: Shape, wanted_gib: float = 2.5) -> str:
    total = shape.gpu_memory_gib
    return (
        f"torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate {wanted_gib:.2f} GiB "
        f"(GPU 0; {total * 0.92:.2f} GiB total capacity; {total * 0.9:.2f} GiB already allocated; "
        f"{total * 0.01:.2f} GiB free)"
    )


def _length(
    section: Section, needs: Needs, shape: Shape, replicas: int
) -> tuple[float, float, float]:
    """(seconds, busy cores on average, GPU utilisation) of a section on this hardware."""
    vcpus = shape.machine.vcpus
    if section.gpu_seconds and shape.gpus and needs.gpu != "none":
        compute = section.gpu_seconds / (shape.gpu_speed * replicas)
        busy, work = 0.92, min(1.6, vcpus) * compute
    else:
        work = section.cpu_seconds / replicas
        compute = work * (1 - section.parallel) + work * section.parallel / vcpus
        busy = 0.0
    seconds = compute + section.wait_seconds
    cores = min((work + 0.02 * section.wait_seconds) / seconds, vcpus * 0.985) if seconds else 0.0
    return seconds, cores, busy


def _slices(seconds: float) -> Iterator[tuple[float, float]]:
    """(length, end) of at most eight even pieces, so that memory is seen to grow."""
    count = 8 if seconds > 480 else max(int(seconds // 60), 1)
    for number in range(1, count + 1):
        yield seconds / count, seconds * number / count


def _tell(story: Course, section: Section, seconds: float, share: float) -> None:
    """The program's own log of a section: start, progress or fetches, end."""
    story.say(f"[{section.name}] started")
    steps = section.fetches if section.wait_seconds else min(max(int(seconds // 120), 1), 20)
    for step in range(1, int(steps * share) + 1):
        after = seconds * step / steps
        if section.wait_seconds and section.waits_for:
            took = section.wait_seconds / steps
            story.say(
                f"[{section.name}] GET {section.waits_for} part {step}/{steps}: waited "
                f"{took:.1f} s for the response",
                after=after - 0.01,
            )
        elif step < steps:
            done = section.records * step // steps
            story.say(
                f"[{section.name}] {done}/{section.records} records ({100 * step // steps}%)",
                after=after,
            )
    if share >= 1.0:
        story.say(f"[{section.name}] finished in {seconds:.1f} s", after=seconds - 0.005)


def _timed_out(story: Course, needs: Needs, shape: Shape, replicas: int, timeout: float) -> Run:
    """The run as far as it got before its time was up."""
    cut = Course(lines=[line for line in story.lines if line[0] < timeout])
    for phase in story.phases:
        if cut.at >= timeout:
            break
        cut.spend(replace(phase, seconds=min(phase.seconds, timeout - cut.at)))
    message = (
        f"Job has exceeded its maximum running time of {timeout:.0f}s (scheduling.timeout): "
        "DEADLINE_EXCEEDED."
    )
    cut.serve(message, "ERROR", after=1)
    cut.serve("Job failed.", "ERROR", after=3)
    return _custom_run("JOB_STATE_FAILED", cut, needs, shape, replicas, (4, message))
