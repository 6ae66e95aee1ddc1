"""The machine was full, or was not: CPUs, memory and accelerators under load.

Owns the rules that read a load: a time-out with full CPUs, one thread's work, next to none, memory at its
limit, an accelerator that was full or waited. Pure; called in the order of `rules`.
"""

from __future__ import annotations

from collections.abc import Iterator

from remediator.diagnosis.metrics import Load, describe
from remediator.diagnosis.rules.features import (
    BUSY_MEAN,
    WAITING_SHARE,
    CaseFeatures,
    few_samples_penalty,
    load_evidence,
    timeout_words,
)
from remediator.diagnosis.stack_frames import COMPUTES_ON_A_DEVICE
from remediator.diagnosis.timeline.pauses import MemoryPauses
from remediator.diagnosis.weighted_evidence import WeightedEvidence, weighted_evidence
from remediator.diagnosis.weights import weight_of
from remediator.domain import Cause, Source


def weigh_cpu(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Full CPUs explain a time-out; CPUs with room to spare speak against it, and for another family."""
    cpu = facts.usage.cpu
    if cpu is None:
        return
    words = describe("CPU", cpu, facts.machine_under(cpu))
    # A line tells of a call's deadline as well as of the work's: a sample or two do not say which.
    if not facts.timed_out or (cpu.is_thin and not facts.surely_timed_out):
        if cpu.is_full:
            yield load_evidence(cpu, Cause.CPU_SATURATION, weight_of("full-cpus-no-timeout"), words)
        return
    if cpu.is_full:
        if facts.timeline.stopped_at is not None:
            words += f", but its log came to a stop at {facts.timeline.stopped_at:.0%} of the run"
        weight = _full_weight(facts, cpu)
        yield load_evidence(
            cpu, Cause.CPU_SATURATION, weight, f"{words}, and {timeout_words(facts)}"
        )
        yield from _far_all_the_same(facts)
        against = weight_of("full-cpus-against-others")
        yield load_evidence(cpu, Cause.NETWORK_LATENCY, against, words)
        yield load_evidence(cpu, Cause.SLOW_CODE, against, words)
        return
    if facts.treated_for == Cause.CPU_SATURATION and cpu.mean >= BUSY_MEAN:
        # More vCPUs than the work can always fill: still most of them were busy to the end.
        says = f"{words}: busy, and the attempt before was starved of CPUs"
        weight = weight_of("busy-cpus-again") - few_samples_penalty(cpu)
        yield load_evidence(cpu, Cause.CPU_SATURATION, weight, says)
        return
    yield load_evidence(cpu, Cause.CPU_SATURATION, weight_of("cpus-not-full"), words)
    if not (facts.gpu_busy or facts.works_unseen):
        yield from _cpu_not_full(facts, cpu, words)


def _full_weight(facts: CaseFeatures, cpu: Load) -> float:
    """How far full CPUs speak for too few of them, in a job that ran out of time."""
    unused = facts.usage.gpu is not None and facts.usage.gpu.is_idle
    if (facts.wanted_gpu or facts.asks_for_gpu) and (unused or not facts.workload.has_accelerator):
        # A model that wants a GPU and has none, or does not see its own, fills the CPUs: that is the effect.
        return weight_of("full-cpus-without-gpu")
    if cpu.is_glimpse:
        return weight_of("full-cpus-glimpse")
    if facts.timeline.stopped_at is not None:
        # Programs that wait for each other in a loop, and others that hang, keep their CPUs full.
        return weight_of("full-cpus-without-work")
    weight = weight_of("full-cpus") - few_samples_penalty(cpu)
    return weight if facts.surely_timed_out else weight - weight_of("timeout-by-a-line")


def _far_all_the_same(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Data in another region, told beside full CPUs: it moves nothing, and a person may know better."""
    for far in facts.distance.far[:1]:
        says = (
            f"{far.name} is stored in {far.location}, the job ran in {facts.distance.region}: if it is "
            "read all the while, moving the job there may help more than a bigger machine"
        )
        weight = weight_of("advice")
        yield weighted_evidence(Cause.CPU_SATURATION, weight, Source.STORAGE, far.name, says)


def _cpu_not_full(facts: CaseFeatures, cpu: Load, words: str) -> Iterator[WeightedEvidence]:
    """One thread's work, next to nothing, or some: what a machine with room to spare says."""
    if facts.one_thread:
        says = f"{words}: the work of one thread on {facts.workload.vcpus} vCPUs"
        if facts.cannot_tell_one_thread or facts.flooded:
            yield load_evidence(
                cpu, Cause.SLOW_CODE, weight_of("one-thread-or-none"), f"{says}, or of none"
            )
            return
        # A loop that counted its work to the end bears out what few samples show.
        thin = 0.0 if facts.timeline.work_done is not None else few_samples_penalty(cpu)
        yield load_evidence(cpu, Cause.SLOW_CODE, weight_of("one-thread") - thin, says)
        yield load_evidence(
            cpu, Cause.NETWORK_LATENCY, weight_of("one-thread-against-network"), says
        )
    elif not facts.stands_by_itself and (hung := _busy_then_idle(facts)) is not None:
        # Work, then none, with no word of anything that it waited for: it hangs, on whatever.
        yield load_evidence(
            cpu, Cause.NETWORK_LATENCY, weight_of("hangs-against-network"), f"{words}: {hung}"
        )
        yield load_evidence(
            cpu, Cause.SLOW_CODE, weight_of("hangs-against-code"), f"{words}: {hung}"
        )
    elif facts.nearly_nothing and not facts.stands_by_itself and not facts.timeline.was_refused:
        says = f"{words}: the machine was idle while the job waited"
        # What for is not known where nothing that it could fetch is: a lock, a peer, a sleep.
        awaits = facts.requests_wait and not facts.stood
        weight = weight_of("idle-and-awaits") if awaits else weight_of("idle")
        yield load_evidence(cpu, Cause.NETWORK_LATENCY, weight - few_samples_penalty(cpu), says)
        yield load_evidence(cpu, Cause.SLOW_CODE, weight_of("idle-against-code"), says)
    elif cpu.mean < BUSY_MEAN:
        yield load_evidence(
            cpu, Cause.SLOW_CODE, weight_of("cpus-half-idle"), f"{words}: the machine was not full"
        )


_LEAST_STEP_SAMPLES = 6  # that show a step; chosen
_STOOD_STILL_SHARE = 0.3  # of the run, that it must have been idle at its end; chosen
_STEP_DOWN = 5.0  # times as busy before the step as after it; chosen
_BEFORE_THE_STEP = 0.08  # more than an idle machine does by itself; chosen


def _busy_then_idle(facts: CaseFeatures) -> str | None:
    """In words, that the CPUs worked until some moment and did next to nothing from then on.

    None where they did not, or where the log names something that was waited for.
    """
    cpu = facts.usage.cpu
    if cpu is None or len(cpu.samples) < _LEAST_STEP_SAMPLES or facts.usage.receives:
        return None
    if facts.timeline.waiting_share >= WAITING_SHARE or facts.timeline.slow_fetches is not None:
        return None
    last_busy = max(
        (i for i, value in enumerate(cpu.samples) if value >= _BEFORE_THE_STEP), default=-1
    )
    idle = 1.0 - (last_busy + 1) / len(cpu.samples)
    if last_busy < 1 or idle < _STOOD_STILL_SHARE:
        return None
    before, after = cpu.around((last_busy + 1) / len(cpu.samples))
    if before < max(_BEFORE_THE_STEP, after * _STEP_DOWN):
        return None
    return f"it worked for {1 - idle:.0%} of the run, then stood still for the rest: it hangs"


_MEMORY_LOW = 0.6  # of its limit, at its highest; chosen


def is_low(memory: Load | None) -> bool:
    """Whether enough of the run was seen to say that its memory never came near the limit."""
    return memory is not None and memory.peak < _MEMORY_LOW and not memory.is_thin


def weigh_memory(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Memory that stood at its limit at the end, or never came near it."""
    memory = facts.usage.memory
    if memory is None:
        return
    words = describe("memory", memory, facts.machine_under(memory))
    if memory.reached_limit:
        weight = weight_of("memory-at-limit")
        if facts.timed_out and facts.usage.cpu is not None and facts.usage.cpu.is_full:
            weight = weight_of("memory-at-limit-full-cpus")
        if not (facts.died or facts.timed_out):
            weight = weight_of("memory-at-limit-alive")
        says = f"memory rose to {memory.peak * 100:.0f}% and stood there at the end"
        if facts.thrashed and facts.timed_out:
            weight = weight_of("memory-thrashed")
            says += ", and the CPUs did less from then on"
            yield load_evidence(
                memory, Cause.SLOW_CODE, weight_of("memory-thrashed-against-code"), says
            )
        on = ", ".join(filter(None, (memory.replica, facts.machine_under(memory))))
        says += f" ({on})" if on else ""
        yield load_evidence(
            memory, Cause.MEMORY_PRESSURE, weight - few_samples_penalty(memory), says
        )
    elif is_low(memory):
        # One sample a minute: a sudden allocation between two of them is not seen.
        yield load_evidence(memory, Cause.MEMORY_PRESSURE, weight_of("memory-low"), words)


_PAUSED_SHARE, _PAUSED_MOST = (
    0.05,
    0.3,
)  # of the run, by what a log tells that may be a sample; chosen


def weigh_pauses(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Time that went to the program's memory by its own log: collections of a full heap, paused workers, swapping."""
    found = facts.timeline.pauses
    run = facts.workload.run_seconds
    if found is None or not facts.timed_out or _is_belied(facts, found):
        return
    share = found.seconds / run if run else 0.0
    if found.seconds and share < _PAUSED_SHARE:
        return
    says = found.says + (f", which took {share:.0%} of the run" if found.seconds else "")
    weight = weight_of("paused-most") if share >= _PAUSED_MOST else weight_of("paused")
    for cause, one in (
        (Cause.GPU_MEMORY if found.of_device else Cause.MEMORY_PRESSURE, weight),
        (Cause.SLOW_CODE, weight_of("paused-against-others")),
        (Cause.CPU_SATURATION, weight_of("paused-against-others")),
    ):
        yield weighted_evidence(cause, one, Source.LOG, found.where, says, group="pauses")


def weigh_paused_to_the_end(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A worker that was paused for its memory, and after which nothing came but the end."""
    where, cpu = facts.timeline.paused_at, facts.usage.cpu
    if not where or facts.timeline.pauses is not None or not (facts.died or facts.timed_out):
        return
    works = facts.gpu_busy or (cpu is not None and cpu.is_full)
    if works or is_low(facts.usage.memory) or facts.reading.raised:
        return
    says = "a worker was paused for its memory, and nothing was done after that"
    weight = weight_of("paused-to-the-end")
    yield weighted_evidence(Cause.MEMORY_PRESSURE, weight, Source.LOG, where, says, group="pauses")


def _is_belied(facts: CaseFeatures, found: MemoryPauses) -> bool:
    """Whether what was measured speaks against it: whoever waits for memory does not compute, and has none to spare.

    Collections fill the CPUs, and their heap may be smaller than the machine's memory.
    """
    if found.of_device:
        return facts.gpu_full
    if facts.gpu_busy:
        return True
    cpu, memory = facts.usage.cpu, facts.usage.memory
    short = memory is not None and memory.reached_limit
    full = cpu is not None and cpu.is_full and not short
    return not (found.seconds or found.collects) and (full or is_low(memory))


def weigh_gpu(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A full accelerator is what the work waited for; an idle one waited for the rest of the job."""
    gpu, memory = facts.usage.gpu, facts.usage.gpu_memory
    kind = facts.workload.accelerator_type
    if memory is not None and memory.reached_limit and facts.died and not facts.timed_out:
        # Frameworks reserve most of the device at start, so a full one says little.
        words = describe("GPU memory", memory, kind)
        yield load_evidence(memory, Cause.GPU_MEMORY, weight_of("gpu-memory-at-limit"), words)
        yield from _cut_on_a_full_device(facts, memory, words)
    if gpu is None or not facts.timed_out:
        return
    words = describe("GPU", gpu, kind)
    if gpu.is_full:
        against = weight_of("full-gpu-against-others")
        yield load_evidence(gpu, Cause.NETWORK_LATENCY, against, words)
        yield load_evidence(gpu, Cause.SLOW_CODE, against, words)
    elif gpu.is_idle:
        cpu = facts.usage.cpu
        if facts.wanted_gpu:
            return  # the program did not see it
        starved = cpu is not None and cpu.is_full
        cause = Cause.CPU_SATURATION if starved else _idle_cause(facts)
        yield load_evidence(
            gpu, cause, weight_of("idle-gpu"), f"{words}: it waited for the rest of the job"
        )


def _cut_on_a_full_device(
    facts: CaseFeatures, memory: Load, words: str
) -> Iterator[WeightedEvidence]:
    """A traceback whose last line is lost, in a call that computes on the device, which was full."""
    ended = facts.reading.raised[-1] if facts.reading.raised else None
    if ended is None or ended.cut_in is None or not COMPUTES_ON_A_DEVICE.is_in(ended.cut_in):
        return
    says = f'{ended.author} is cut off in "{ended.cut_in}"; {words}'
    weight = weight_of("cut-on-full-device")
    yield load_evidence(memory, Cause.GPU_MEMORY, weight, says)
    against = weight_of("cut-on-full-device-against-code")
    yield load_evidence(memory, Cause.USER_CODE_ERROR, against, says)


def _idle_cause(facts: CaseFeatures) -> Cause:
    waits = facts.timeline.waiting_share >= WAITING_SHARE
    waits = waits or (facts.nearly_nothing and not facts.one_thread)
    return Cause.NETWORK_LATENCY if waits else Cause.SLOW_CODE
