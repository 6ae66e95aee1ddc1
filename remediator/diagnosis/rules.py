"""Time-outs, full memory and missing GPUs: what the other evidence makes of them.

Owns the rules that need more than one reader: the three families behind a 504 or a time-out
(resources: the machine was full; network: it was idle while something was awaited; code: one
section took the time and the machine was neither full nor waiting), memory that climbed to its
limit, a GPU that was wanted, spot machines taken back. Each rule is a function from the facts to
signs; the list at the end is their order. Long, since the rules are weighed against each other and
must be read beside each other. Pure; called by `diagnose`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from remediator.case import Recovery
from remediator.diagnosis.lazy_patterns import Late
from remediator.diagnosis.limits import configured_limit
from remediator.diagnosis.locality import Distance, host_of
from remediator.diagnosis.metrics import Load, Usage, describe
from remediator.diagnosis.process_exits import exit_evidence, stopped_signs
from remediator.diagnosis.servers import Server
from remediator.diagnosis.signature import Tag, TextPlace
from remediator.diagnosis.texts import LOG_CEILING, TextEvidence
from remediator.diagnosis.timeline import Timeline, TimelineSection, human_seconds
from remediator.diagnosis.weighted_evidence import (
    DECISIVE,
    FAIR,
    HINT,
    STRONG,
    WeightedEvidence,
    weighted_evidence,
)
from remediator.domain import Cause, JobKind, JobState, Source
from remediator.job import FaultPart, Job, JobFacts

_WAITING_SHARE = 0.3
_SECTION_SHARE = 0.5
_THIN = 1.5
_MEMORY_LOW = 0.6
# One busy thread, in vCPUs: less is waiting, more is several threads.
_ONE_THREAD = (0.6, 1.8)
_NEARLY_NOTHING = 0.10
# For this share of the run at least; half a run of more and half of less is not one thread's.
_STEADY_SHARE = 0.6
# From here up one busy thread is no more of the machine than what an idle one does by itself.
_TOO_MANY_TO_TELL = 16
_SLOWER_THAN_BEFORE = 1.5
_REQUEST_LIMIT_SECONDS = 600.0
# From here up the machine was busy, if not full.
_BUSY_MEAN = 0.5
# From here up an accelerator is what the work waits for, not the section that feeds it (chosen).
_GPU_BUSY = 0.6
# A section whose passes take this many times longer at the end does more than linear work.
_GROWN = 1.8
# A text's sign of this weight names a cause; a traceback that says nothing else does.
_NAMES = 2.5
# Less than this is signs of life, not data.
_NETWORK_QUIET = 100_000.0
# Bytes a second all through a run that only move data, whatever else it does.
_NETWORK_FLOODED = 300_000_000.0
# A run stood at its memory's limit for this share of it, and computed this much less from then on.
_STOOD_SHARE = 0.2
_THRASHED = 0.6


@dataclass(frozen=True, slots=True)
class CaseFeatures:
    """Everything read from one case, for rules that need several readers at once."""

    job: Job
    earlier: tuple[Job, ...]
    workload: JobFacts
    reading: TextEvidence
    usage: Usage
    timeline: Timeline
    distance: Distance
    server: Server | None = None
    """What the log of a batch prediction's container tells of its server."""
    treated_for: str = ""
    """The verdict for which this job was resubmitted; empty for one that was not."""
    recoveries: tuple[Recovery, ...] = ()
    """Similar jobs that were fixed by a size which this one is below."""
    wordless: bool = False
    """No worker wrote a line."""

    @property
    def timed_out(self) -> bool:
        """Something ran out of time, by the job's error, its rows, its duration or its log."""
        return self.workload.ran_into_timeout or self.reading.has(Tag.TIMED_OUT)

    @property
    def surely_timed_out(self) -> bool:
        """As `timed_out`, told by the service and not by a worker's line alone."""
        held = self.reading.tags.get(Tag.TIMED_OUT)
        return self.workload.ran_into_timeout or (
            held is not None and held[0].place is not TextPlace.LOG
        )

    @property
    def died(self) -> bool:
        return self.job.state in {JobState.FAILED, JobState.PARTIALLY_SUCCEEDED}

    @property
    def gpu_full(self) -> bool:
        return self.usage.gpu is not None and self.usage.gpu.is_full

    @property
    def gpu_busy(self) -> bool:
        """The accelerators worked for most of the run: what takes the time runs on them."""
        return self.usage.gpu is not None and self.usage.gpu.usual >= _GPU_BUSY

    @property
    def one_thread(self) -> bool:
        """The CPUs show the work of one busy thread on a machine of several vCPUs."""
        cpu, vcpus = self.usage.cpu, self.workload.vcpus
        if cpu is None or vcpus is None or vcpus == 1:
            return False
        low, high = (threads / vcpus for threads in _ONE_THREAD)
        # Of many vCPUs, one thread is less than the noise.
        steady = self.cannot_tell_one_thread or cpu.share_between(low, high) >= _STEADY_SHARE
        return low <= cpu.usual <= high and steady

    @property
    def cannot_tell_one_thread(self) -> bool:
        """So many vCPUs that one busy thread and none look alike."""
        return (self.workload.vcpus or 0) >= _TOO_MANY_TO_TELL

    @property
    def nearly_nothing(self) -> bool:
        """Less than one thread's work: whatever the job did, it did not compute."""
        cpu, vcpus = self.usage.cpu, self.workload.vcpus
        if cpu is None:
            return False
        if vcpus is None:
            return cpu.usual < _NEARLY_NOTHING
        return cpu.usual * vcpus < _ONE_THREAD[0] or cpu.usual < _NEARLY_NOTHING / 2

    @property
    def requests_wait(self) -> bool:
        """Anything that the job waits for, or may: a request of the service, data far away."""
        return (
            self.reading.elapsed_seconds is not None
            or self.timeline.waiting_share >= _WAITING_SHARE
            or bool(self.distance.far or self.distance.hosts or self.distance.slow_here)
            or self.usage.receives
        )

    @property
    def flooded(self) -> bool:
        """So much was received all the while that moving it was most of the job."""
        return (self.usage.received_bytes_per_second or 0.0) >= _NETWORK_FLOODED

    @property
    def thrashed(self) -> bool:
        """Memory stood at its limit for a good part of the run, and the CPUs did less from then on."""
        memory, cpu = self.usage.memory, self.usage.cpu
        if memory is None or cpu is None or memory.is_thin or cpu.is_thin:
            return False
        reached = memory.first_at_limit
        if reached is None or 1.0 - reached < _STOOD_SHARE or reached <= 0:
            return False
        before, after = cpu.around(reached)
        return memory.reached_limit and after <= before * _THRASHED

    @property
    def never_ready(self) -> bool:
        """The service says that the model server was never ready."""
        if self.job.kind is not JobKind.BATCH_PREDICTION and self.workload.ran_into_timeout:
            return False
        return any(
            s.cause is Cause.SLOW_STARTUP and s.weight > 0 and s.evidence.source is Source.JOB
            for s in self.reading.signs
        )

    @property
    def wanted_gpu(self) -> bool:
        """A worker's line says that a GPU was looked for and none was there to be added, or a
        similar job was fixed by one."""
        tags = (Tag.GPU_RAISED, Tag.GPU_FALLBACK, Tag.GPU_UNSEEN, Tag.ON_CPU)
        reported = any(self.reading.has(tag) for tag in tags)
        recovered = any(one.cause is Cause.ACCELERATOR_MISSING for one in self.recoveries)
        on_purpose = self.workload.cpu_image or self.workload.hides_gpus
        return (reported or recovered) and not on_purpose

    @property
    def crashed(self) -> bool:
        """It ended by itself, in failure, before its time was up."""
        return self.died and not self.timed_out

    @property
    def texts_are_silent(self) -> bool:
        """No text names a cause: what there is are exit codes, time-outs and the like."""
        return not any(s.weight >= _NAMES and not s.symptom for s in self.reading.signs)


def rule_evidence(facts: CaseFeatures) -> tuple[WeightedEvidence, ...]:
    """What all rules say about one case."""
    return tuple(found for rule in _RULES for found in rule(facts))


def timeout_words(facts: CaseFeatures) -> str:
    """How the job ran out of time, for evidence and advice."""
    workload = facts.workload
    if workload.ran_into_timeout and workload.timeout_seconds:
        return f"the job was stopped at its time-out of {human_seconds(workload.timeout_seconds)}"
    if facts.reading.elapsed_seconds:
        return f"one request did not finish within {facts.reading.elapsed_seconds:.0f} s"
    return "it ran out of time"


# --- resources ---------------------------------------------------------------------------------


def _cpu(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    cpu = facts.usage.cpu
    if cpu is None:
        return
    words = describe("CPU", cpu, facts.workload.machine_type)
    if not facts.timed_out:
        if cpu.is_full:
            yield _of(cpu, Cause.CPU_SATURATION, HINT / 2, words)
        return
    if cpu.is_full:
        weight = DECISIVE + 0.3 - (_THIN if cpu.is_thin else 0.0)
        if not facts.surely_timed_out:
            weight -= 1.0
        if cpu.is_glimpse:
            weight = HINT
        if (facts.wanted_gpu or _asked_for_gpu(facts)) and not facts.workload.has_accelerator:
            # A model that wants a GPU and has none fills the CPUs: that is the effect.
            weight = FAIR - 0.5
        yield _of(cpu, Cause.CPU_SATURATION, weight, f"{words}, and {timeout_words(facts)}")
        yield _of(cpu, Cause.NETWORK_LATENCY, -3.0, words)
        yield _of(cpu, Cause.SLOW_CODE, -3.0, words)
        return
    if facts.treated_for == Cause.CPU_SATURATION and cpu.mean >= _BUSY_MEAN:
        # More vCPUs than the work can always fill: still most of them were busy to the end.
        says = f"{words}: busy, and the attempt before was starved of CPUs"
        yield _of(cpu, Cause.CPU_SATURATION, STRONG - _halved(cpu), says)
        return
    yield _of(cpu, Cause.CPU_SATURATION, -4.0, words)
    if not facts.gpu_busy:
        yield from _cpu_not_full(facts, cpu, words)


def _cpu_not_full(facts: CaseFeatures, cpu: Load, words: str) -> Iterator[WeightedEvidence]:
    """One thread's work, next to nothing, or some: what a machine with room to spare says."""
    if facts.one_thread:
        says = f"{words}: the work of one thread on {facts.workload.vcpus} vCPUs"
        if facts.cannot_tell_one_thread or facts.flooded:
            yield _of(cpu, Cause.SLOW_CODE, HINT, f"{says}, or of none")
            return
        # A loop that counted its work to the end bears out what few samples show.
        thin = 0.0 if facts.timeline.work_done is not None else _halved(cpu)
        yield _of(cpu, Cause.SLOW_CODE, FAIR + 0.1 - thin, says)
        yield _of(cpu, Cause.NETWORK_LATENCY, -HINT, says)
    elif (hung := _busy_then_idle(facts)) is not None:
        # Work, then none, with no word of anything that it waited for: it hangs, on whatever.
        yield _of(cpu, Cause.NETWORK_LATENCY, -FAIR, f"{words}: {hung}")
        yield _of(cpu, Cause.SLOW_CODE, -HINT, f"{words}: {hung}")
    elif facts.nearly_nothing:
        says = f"{words}: the machine was idle while the job waited"
        # What for is not known where nothing that it could fetch is: a lock, a peer, a sleep.
        weight = FAIR + 0.3 if facts.requests_wait else FAIR - 0.4
        yield _of(cpu, Cause.NETWORK_LATENCY, weight - _halved(cpu), says)
        yield _of(cpu, Cause.SLOW_CODE, -HINT / 2, says)
    elif cpu.mean < _BUSY_MEAN:
        yield _of(cpu, Cause.SLOW_CODE, HINT, f"{words}: the machine was not full")


_LEAST_STEP_SAMPLES = 6
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
    if facts.timeline.waiting_share >= _WAITING_SHARE or facts.timeline.slow_fetches is not None:
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


def _cpu_words(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A program that tells its own CPU time: most of it waiting, or most of it computing."""
    share = facts.timeline.cpu_share
    if (
        share is None
        or not facts.timed_out
        or any(kind == "code" for _, kind in facts.reading.stood_in)
    ):
        return
    says = f"by its own account it computed for {share * 100:.0f}% of the time"
    if share < _WAITED_SHARE:
        yield weighted_evidence(Cause.NETWORK_LATENCY, STRONG - 0.4, Source.LOG, "logEntries", says)
        yield weighted_evidence(Cause.SLOW_CODE, -FAIR, Source.LOG, "logEntries", says)
    elif share >= _COMPUTED_SHARE:
        yield weighted_evidence(Cause.SLOW_CODE, HINT, Source.LOG, "logEntries", says)
        yield weighted_evidence(Cause.NETWORK_LATENCY, -FAIR, Source.LOG, "logEntries", says)


_WAITED_SHARE, _COMPUTED_SHARE = 0.3, 0.8  # of its wall time; chosen


def _slow_fetches(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Many slow answers of one host beside a machine with little to do.

    A log samples: the fetches that it tells of are a part of all, so their sum need be no large
    share of the run.
    """
    found, cpu = facts.timeline.slow_fetches, facts.usage.cpu
    if found is None or not facts.timed_out or (cpu is not None and not cpu.is_idle):
        return
    if facts.gpu_full or facts.timeline.waiting_share >= _SECTION_SHARE:
        return
    says = (
        f"{found.count:,} fetches from {found.host} took {human_seconds(found.median_seconds)} "
        "each, half of them longer"
    )
    says += ", beside an idle machine" if cpu is not None else ""
    weight = STRONG + 0.4 if cpu is not None else FAIR + 0.3
    yield weighted_evidence(
        Cause.NETWORK_LATENCY, weight, Source.LOG, found.where, says, group="section"
    )


def _memory(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    memory = facts.usage.memory
    if memory is None:
        return
    words = describe("memory", memory, facts.workload.machine_type)
    if memory.reached_limit:
        weight = STRONG - 0.3
        if facts.timed_out and facts.usage.cpu is not None and facts.usage.cpu.is_full:
            weight = HINT
        if not (facts.died or facts.timed_out):
            weight = HINT
        says = f"memory rose to {memory.peak * 100:.0f}% and stood there at the end"
        if facts.thrashed and facts.timed_out:
            weight = DECISIVE
            says += ", and the CPUs did less from then on"
            yield _of(memory, Cause.SLOW_CODE, -HINT, says)
        machine = f" ({facts.workload.machine_type})" if facts.workload.machine_type else ""
        yield _of(memory, Cause.MEMORY_PRESSURE, weight - _halved(memory), says + machine)
    elif memory.peak < _MEMORY_LOW and not memory.is_thin:
        # One sample a minute: a sudden allocation between two of them is not seen.
        yield _of(memory, Cause.MEMORY_PRESSURE, -HINT, words)


def _gpu(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    gpu, memory = facts.usage.gpu, facts.usage.gpu_memory
    kind = facts.workload.accelerator_type
    if memory is not None and memory.reached_limit and facts.died and not facts.timed_out:
        # Frameworks reserve most of the device at start, so a full one says little.
        yield _of(memory, Cause.GPU_MEMORY, HINT, describe("GPU memory", memory, kind))
    if gpu is None or not facts.timed_out:
        return
    words = describe("GPU", gpu, kind)
    if gpu.is_full:
        yield _of(gpu, Cause.NETWORK_LATENCY, -3.0, words)
        yield _of(gpu, Cause.SLOW_CODE, -3.0, words)
    elif gpu.is_idle:
        cpu = facts.usage.cpu
        starved = cpu is not None and cpu.is_full
        cause = Cause.CPU_SATURATION if starved else _idle_cause(facts)
        yield _of(gpu, cause, HINT, f"{words}: it waited for the rest of the job")


def _idle_cause(facts: CaseFeatures) -> Cause:
    waits = facts.timeline.waiting_share >= _WAITING_SHARE
    waits = waits or (facts.nearly_nothing and not facts.one_thread)
    return Cause.NETWORK_LATENCY if waits else Cause.SLOW_CODE


def _gpu_wanted(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    for tag, slow, alone in (
        (Tag.GPU_RAISED, DECISIVE, STRONG - 0.2),
        (Tag.GPU_FALLBACK, DECISIVE + 0.3, FAIR + 0.5),
        (Tag.GPU_UNSEEN, STRONG, FAIR + 0.3),
        (Tag.ON_CPU, STRONG, HINT),
    ):
        held = facts.reading.tags.get(tag)
        if held is None:
            continue
        case_text, quote = held
        says = f'{case_text.author}: "{quote}"'
        if facts.workload.cpu_image or facts.workload.hides_gpus:
            continue
        if facts.workload.has_accelerator:
            has = facts.workload.accelerator_type or facts.workload.machine_type
            yield weighted_evidence(
                Cause.INVALID_CONFIG,
                HINT if tag in {Tag.GPU_UNSEEN, Tag.ON_CPU} else FAIR + 0.4,
                case_text.source,
                case_text.where,
                f"{says}, although the job has {has}: the image does not see it",
                group="gpu-wanted",
            )
            continue
        cpu = facts.usage.cpu
        weight = slow if facts.timed_out else alone
        by_worker = case_text.place is TextPlace.LOG and tag is not Tag.GPU_RAISED
        if not facts.timed_out and by_worker and facts.job.error_message:
            # Whoever falls back to the CPU goes on: what ended the job is something else.
            weight = HINT
        if facts.timed_out and cpu is not None and cpu.mean < _BUSY_MEAN:
            # Without its GPU the work would fill the CPUs; here it does not.
            weight -= 2.5
        if case_text.place is TextPlace.LOG:
            weight = min(weight, LOG_CEILING)
        yield weighted_evidence(
            Cause.ACCELERATOR_MISSING,
            weight,
            case_text.source,
            case_text.where,
            f"{says}; the job has no accelerator"
            + (f", and {timeout_words(facts)}" if facts.timed_out else ""),
            symptom=not facts.timed_out and tag is not Tag.GPU_RAISED,
            group="gpu-wanted",
        )


def _asked_for_gpu(facts: CaseFeatures) -> bool:
    """The job's own configuration names a GPU to compute on, and it has none."""
    workload = facts.workload
    return bool(workload.device_setting) and not (
        workload.has_accelerator or workload.cpu_image or workload.hides_gpus
    )


def _gpu_configured(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A job that was told to compute on a GPU, has none, and filled the CPUs instead."""
    cpu = facts.usage.cpu
    if not _asked_for_gpu(facts) or not facts.timed_out:
        return
    says = f"its configuration asks for a GPU ({facts.workload.device_setting}) and it has none"
    weight = HINT
    if cpu is not None and cpu.is_full and not cpu.is_glimpse:
        weight = STRONG
        says += f": {describe('CPU', cpu, facts.workload.machine_type)}"
    yield weighted_evidence(
        Cause.ACCELERATOR_MISSING, weight, Source.JOB, "configuration", says, group="gpu-wanted"
    )


def _of_another_kind(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A job that ran until its own time-out serves nothing: no start-up and no request was late."""
    if facts.job.kind is JobKind.BATCH_PREDICTION or not facts.workload.ran_into_timeout:
        return
    for cause in (Cause.SLOW_STARTUP, Cause.REQUEST_TOO_LARGE):
        if any(s.cause is cause and s.evidence.source is Source.JOB for s in facts.reading.signs):
            says = f"{timeout_words(facts)}, and it serves no requests"
            yield weighted_evidence(cause, -DECISIVE, Source.JOB, facts.job.timeout_path, says)


def _gpu_driver(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A driver that is too old for the code's CUDA; where the machine has no GPU, there is none."""
    held = facts.reading.tags.get(Tag.GPU_DRIVER)
    if held is None:
        return
    case_text, quote = held
    says = f'{case_text.author}: "{quote}"'
    workload = facts.workload
    if workload.machine_type and not workload.has_accelerator and not workload.cpu_image:
        cause, weight = Cause.ACCELERATOR_MISSING, STRONG - 0.2
        says += f"; {workload.machine_type} has no GPU, so no driver either"
    else:
        cause, weight = Cause.INVALID_CONFIG, FAIR + 0.6
    yield weighted_evidence(
        cause, weight, case_text.source, case_text.where, says, group="gpu-wanted"
    )


def _spot(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    held = facts.reading.tags.get(Tag.STOCKOUT)
    if held is None or not facts.workload.spot or facts.job.start_time is None:
        return
    case_text, quote = held
    says = f'{case_text.author}: "{quote}", on a spot machine that had started'
    yield weighted_evidence(Cause.PREEMPTION, DECISIVE, case_text.source, case_text.where, says)
    yield weighted_evidence(Cause.CAPACITY_STOCKOUT, -2.5, case_text.source, case_text.where, says)


def _never_ran(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """An internal error of a job that had not begun: none of its own code or settings were at work.

    The same words have been seen for a faulty configuration too, of jobs that ran.
    """
    job = facts.job
    began = job.start_time is not None or job.create_time is None or job.end_time is None
    blamed = any(s.cause is Cause.TRANSIENT_BACKEND and s.weight > 0 for s in facts.reading.signs)
    others = any(s.cause is not Cause.TRANSIENT_BACKEND for s in facts.reading.signs)
    if began or not blamed or others:
        return
    says = "it ended before it had begun to run: none of its own code was at work"
    yield weighted_evidence(Cause.TRANSIENT_BACKEND, FAIR, Source.JOB, "startTime", says)


# --- a model server --------------------------------------------------------------------------


def _never_became_ready(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Port, bind address, health route and what the probe was answered, before a bigger machine."""
    server = facts.server
    if server is None or not facts.never_ready:
        return
    if server.loopback is not None:
        says = f'it listens where nobody outside its container reaches it: "{server.loopback.text}"'
        yield _of_server(Cause.INVALID_CONFIG, DECISIVE, server.loopback.where, says)
    elif server.other_port is not None and not server.healthy:
        said, port = server.other_port
        says = f'it listens on {port}, and is asked on {server.expected_port}: "{said.text}"'
        yield _of_server(Cause.INVALID_CONFIG, DECISIVE, said.where, says)
    for status, count, said in server.refusals:
        if server.healthy:
            break
        says = (
            f'the probe of its health route was answered {status}, {count:,} times: "{said.text}"'
        )
        cause = Cause.INVALID_CONFIG if status < 500 else Cause.USER_CODE_ERROR  # noqa: PLR2004  # HTTP
        yield _of_server(cause, STRONG + 0.4, said.where, says)


def _ended_in_request(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A worker that ends in a request, and is started anew without a word, was killed for memory, or
    crashed in native code; the first unless something says the other.
    """
    server = facts.server
    if server is None or server.ended_in_request is None:
        return
    said = server.ended_in_request
    weight = FAIR + 0.6 if server.deaths else FAIR
    says = f'a worker ended in the middle of a request, without a word of why: "{said.text}"'
    yield _of_server(Cause.MEMORY_PRESSURE, weight, said.where, says, symptom=True)


def _was_ready(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A server that was asked for predictions had started, whatever it says of starts since."""
    server = facts.server
    late = [s for s in facts.reading.signs if s.cause is Cause.SLOW_STARTUP and s.weight > 0]
    if server is None or not server.answered or not late:
        return
    if any(s.evidence.source is not Source.LOG for s in late):
        return
    says = "it was asked for predictions: it had started"
    yield _of_server(Cause.SLOW_STARTUP, -DECISIVE, server.first_request, says)


def _crashes_again(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """What raises at every start is not slow."""
    server = facts.server
    if server is None or server.starts < _STARTS_OF_A_LOOP:
        return
    late = any(s.cause is Cause.SLOW_STARTUP and s.weight > 0 for s in facts.reading.signs)
    raised = [held for held in facts.reading.raised if held.count >= _STARTS_OF_A_LOOP]
    if late and raised:
        says = f'it raised at {raised[0].count:,} starts: "{raised[0].text[:200]}"'
        yield _of_server(Cause.SLOW_STARTUP, -FAIR, raised[0].where, says)


_STARTS_OF_A_LOOP = 2


def _cut_off_by_server(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """The server's own time-out ended a request: its size, and where the code stood at that moment."""
    held = facts.reading.tags.get(Tag.TIMED_OUT)
    if facts.server is None or not facts.server.answered or held is None:
        return
    case_text, quote = held
    if case_text.place is not TextPlace.LOG:
        return
    size = facts.workload.batch_size or 0
    if size > 1:
        says = f'its server cut a request of {size} instances off: "{quote}"'
        yield _of_server(Cause.REQUEST_TOO_LARGE, FAIR + 0.6, case_text.where, says)
        # Which code is slow is not said by a time-out alone, and fewer instances need less of it.
        yield _of_server(Cause.SLOW_CODE, -HINT, case_text.where, says)
    stood = facts.reading.stood_in
    if not stood:
        return
    where, kind = stood[-1]
    frame = where.frame
    place = f"{frame.file}:{frame.line} {frame.function or ''}".strip() if frame else "its code"
    if kind == "network":
        says = f"when its time was up it was waiting for an answer, in {place}"
        yield _of_server(Cause.NETWORK_LATENCY, DECISIVE, where.where, says)
        yield _of_server(Cause.SLOW_CODE, -DECISIVE, where.where, says)
    elif facts.timeline.cpu_share is not None and facts.timeline.cpu_share < _STARVED_SHARE:
        says = (
            f"it was computing in {place}, and got {facts.timeline.cpu_share * 100:.0f}% of one CPU "
            "while it did"
        )
        yield _of_server(Cause.CPU_SATURATION, DECISIVE, where.where, says)
        yield _of_server(Cause.SLOW_CODE, -DECISIVE, where.where, says)


# A process that computes all the while and is given less than this of one CPU is starved; chosen.
_STARVED_SHARE = 0.5


def _of_server(
    cause: Cause, weight: float, where: str, says: str, *, symptom: bool = False
) -> WeightedEvidence:
    return weighted_evidence(
        cause, weight, Source.LOG, where, says, symptom=symptom, group=f"server-{cause}"
    )


def _tenant_project(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Google's own project in the message of a batch prediction: no code of the user's named it."""
    if facts.job.kind is not JobKind.BATCH_PREDICTION:
        return
    for found in facts.reading.signs:
        if found.group == "tenant-project" and found.weight > 0:
            evidence = found.evidence
            said = weighted_evidence(
                Cause.INVALID_CONFIG, DECISIVE, evidence.source, evidence.where, evidence.says
            )
            yield replace(said, text=found.text)
            yield weighted_evidence(
                Cause.USER_CODE_ERROR, -DECISIVE, evidence.source, evidence.where, evidence.says
            )


def _endings(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    if facts.job.kind is JobKind.BATCH_PREDICTION:
        return
    if facts.died:
        yield from stopped_signs(facts.reading)
    if facts.crashed:
        memory = facts.usage.memory
        full = memory is not None and memory.reached_limit
        yield from exit_evidence(
            facts.job, facts.reading, configured_limit(facts.job), memory_full=full
        )


_OWN_ADDRESS = Late(r"\b127\.\d{1,3}\.\d{1,3}\.\d{1,3}\b|\blocalhost\b|\[::1\]")
_CHILD_KILLED = frozenset({"bare-oom", "worker-killed"})


def _neighbour_died(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A process of the same container was killed: what its neighbours then say of its address, that it
    refuses or resets, is no word of the network or of another service.
    """
    if not any(s.group in _CHILD_KILLED and s.weight > 0 for s in facts.reading.signs):
        return
    for found in facts.reading.signs:
        of_others = found.cause in {Cause.NETWORK_LATENCY, Cause.TRANSIENT_BACKEND}
        if of_others and found.weight > 0 and _OWN_ADDRESS.search(found.text):
            evidence = found.evidence
            says = f"a process of this container was killed: {evidence.says}"
            yield weighted_evidence(
                found.cause, -found.weight, evidence.source, evidence.where, says
            )


# --- requests ----------------------------------------------------------------------------------


def _requests(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    if facts.job.kind is not JobKind.BATCH_PREDICTION or facts.workload.batch_size is None:
        return
    elapsed = facts.reading.elapsed_seconds
    if elapsed is None or elapsed < _REQUEST_LIMIT_SECONDS * 0.95 or not facts.timed_out:
        return
    killed = [
        s
        for s in facts.reading.signs
        if s.cause is Cause.MEMORY_PRESSURE and s.weight >= FAIR and s.evidence.source is Source.LOG
    ]
    if killed:
        # A request whose server is killed never ends either: the 504 is not bare.
        says = f"its server was killed meanwhile: {killed[0].evidence.says}"
        where = killed[0].evidence.where
        yield weighted_evidence(Cause.REQUEST_TOO_LARGE, -FAIR, Source.LOG, where, says)
        return
    size = facts.workload.batch_size
    where = facts.job.batch_size_path
    if size == 1:
        says = "each request already held one instance: no smaller batch is left"
        yield weighted_evidence(Cause.REQUEST_TOO_LARGE, -HINT, Source.JOB, where, says)
        return
    says = f"one request of {size} instances did not finish within {elapsed:.0f} s"
    yield weighted_evidence(Cause.REQUEST_TOO_LARGE, HINT, Source.JOB, where, says, symptom=True)


# --- network and code --------------------------------------------------------------------------


def _sections(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    if not facts.timed_out:
        return
    cpu = facts.usage.cpu
    full = cpu is not None and cpu.is_full
    waiting = facts.timeline.longest(waits=True)
    share = facts.timeline.waiting_share
    if waiting is not None and share >= _WAITING_SHARE:
        weight = FAIR + (DECISIVE - FAIR) * min(1.0, (share - _WAITING_SHARE) / 0.3)
        busy = waiting.by_name and facts.one_thread and not facts.cannot_tell_one_thread
        if full or facts.gpu_full or (cpu is None and not waiting.reported):
            weight = HINT
        if busy:
            # Its name says that it waits; its stacks and the CPU say that it works.
            yield _of_section(waiting, Cause.SLOW_CODE, FAIR, waiting.says)
            weight = HINT
        yield _of_section(waiting, Cause.NETWORK_LATENCY, weight, waiting.says)
    working = facts.timeline.longest(waits=False)
    if working is None or working.share < _SECTION_SHARE:
        return
    if facts.never_ready:
        yield _of_section(working, Cause.SLOW_STARTUP, HINT, working.says)
        return
    if full:
        yield _of_section(working, Cause.CPU_SATURATION, HINT, working.says)
        return
    if facts.gpu_busy:
        return
    weight = _section_weight(facts, working)
    yield _of_section(working, Cause.SLOW_CODE, weight, working.says)


def _section_weight(facts: CaseFeatures, working: TimelineSection) -> float:
    """How far one working section speaks for slow code, given what is known of the machine."""
    cpu = facts.usage.cpu
    grown = HINT if (working.growth or 0.0) >= _GROWN else 0.0
    if cpu is None:
        # Nobody measured the machine. A batch prediction has no metrics, so the section is all
        # there will ever be; a custom job normally has them, and without them it may have been full.
        if working.inference or facts.wanted_gpu or not working.reported:
            return HINT
        if facts.job.kind is JobKind.BATCH_PREDICTION and not working.marked:
            # A server's log: what comes with every request says nothing of where its time goes.
            return HINT
        if facts.job.kind is JobKind.BATCH_PREDICTION:
            return FAIR + 0.7 + grown
        return FAIR - 1.4 + grown
    fetching = facts.cannot_tell_one_thread and facts.distance.far and facts.usage.receives
    if fetching:
        return FAIR - 0.4
    if facts.nearly_nothing and (working.source is Source.LOG or not facts.one_thread):
        # It stood in its own code without computing there.
        return FAIR - 0.4
    if cpu.mean >= _BUSY_MEAN:
        return HINT if working.inference else FAIR - 0.5 + grown
    return DECISIVE - (1.2 if working.inference else 0.2)


def _far_data(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    distance = facts.distance
    for far in distance.far[:3]:
        says = f"{far.name} lies in {far.location}, the job ran in {distance.region}"
        weight = _network_weight(facts, STRONG - 0.6)
        rate, working = facts.usage.received_bytes_per_second, facts.timeline.longest(waits=False)
        if rate is not None and rate < _NETWORK_QUIET and weight > HINT:
            # Hardly anything came in while the time went by.
            weight -= HINT
            says += f"; it received {rate / 1e3:.0f} kB a second"
        elsewhere = working is not None and working.share >= _SECTION_SHARE
        if elsewhere and not facts.usage.receives and weight > HINT:
            weight -= HINT / 2
        yield weighted_evidence(
            Cause.NETWORK_LATENCY, weight, Source.STORAGE, far.name, says, group="far-data"
        )


def _probes(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    distance = facts.distance
    named = set(distance.hosts) | {s.host for s in facts.timeline.timeline_sections if s.host}
    for probe in distance.slow_here[:3]:
        host = host_of(probe.url)
        says = f"{host} took {probe.seconds:.2f} s to its first byte, measured from {probe.origin}"
        weight = _network_weight(facts, STRONG - 0.4 if host in named else HINT)
        yield weighted_evidence(
            Cause.NETWORK_LATENCY, weight, Source.PROBE, probe.url, says, group="probe"
        )
    for probe in distance.slow_elsewhere[:3]:
        says = (
            f"{host_of(probe.url)} took {probe.seconds:.2f} s to its first byte, measured from "
            f"{probe.origin or 'an unknown place'} (the job ran in {distance.region}: advice only)"
        )
        yield weighted_evidence(
            Cause.NETWORK_LATENCY, _ADVICE_WEIGHT, Source.PROBE, probe.url, says
        )
    for probe in distance.quick_here[:3]:
        if facts.timed_out and host_of(probe.url) in named:
            says = f"{host_of(probe.url)} answered in {probe.seconds:.2f} s"
            yield weighted_evidence(Cause.NETWORK_LATENCY, -HINT / 2, Source.PROBE, probe.url, says)


# Shown with a cause, never moving it.
_ADVICE_WEIGHT = 0.01


def _network_weight(facts: CaseFeatures, weight: float) -> float:
    """Distance explains a time-out, not a crash; and not where the CPUs were full."""
    if not facts.timed_out:
        return HINT / 2
    cpu = facts.usage.cpu
    if cpu is not None and cpu.is_full:
        return HINT
    if cpu is not None and not cpu.is_idle:
        return weight - HINT
    return weight


def _received(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    rate, cpu = facts.usage.received_bytes_per_second, facts.usage.cpu
    if rate is None or cpu is None or not facts.timed_out or not cpu.is_idle:
        return
    if facts.usage.receives:
        says = f"it received {rate / 1e6:.0f} MB a second all the while, with idle CPUs"
        weight = STRONG if facts.flooded else HINT
        yield _of(cpu, Cause.NETWORK_LATENCY, weight, says)


def _history(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    ran = facts.job.run_seconds
    before = next((run for job in facts.earlier if (run := job.run_seconds)), None)
    if ran is None or not before or not facts.timed_out or ran < before * _SLOWER_THAN_BEFORE:
        return
    says = (
        f"it ran for {human_seconds(ran)}, {ran / before:.1f} times as long as the last run that "
        f"succeeded ({human_seconds(before)})"
    )
    where = str(facts.earlier[0].name)
    for cause in (Cause.NETWORK_LATENCY, Cause.SLOW_CODE, Cause.CPU_SATURATION):
        yield weighted_evidence(cause, _ADVICE_WEIGHT, Source.HISTORY, where, says)


# --- what happened before ------------------------------------------------------------------------


def _recovered_before(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A similar job failed for want of a size, and succeeded with it; this one is below it again.

    A job of every night is sent with the same size every night. Heard only where no text of this
    failure names a cause, and it ended in a way in which the cause ends jobs.
    """
    if not facts.texts_are_silent:
        return
    for cause, ends_so in _ENDS_LIKE.items():
        alike = [one for one in facts.recoveries if one.cause is cause]
        if not alike or not ends_so(facts):
            continue
        weight = FAIR + 0.4
        if cause is Cause.ACCELERATOR_MISSING and facts.timed_out:
            weight = STRONG - 0.2  # the full CPUs of a job that should have a GPU: seen again
        often = f" (and {len(alike) - 1} more)" if len(alike) > 1 else ""
        says = (
            f"nothing else names a cause, and a similar job that failed by {cause.value} was fixed "
            f"with {alike[0].size} on {alike[0].at:%Y-%m-%d}{often}"
        )
        yield weighted_evidence(
            cause, weight, Source.HISTORY, "ledger", says, group="recovered-before"
        )


def _as_before(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """The attempt before failed, was treated, and this one ends in the same way without a word."""
    cause = next((one for one in _ENDS_LIKE if one.value == facts.treated_for), None)
    if cause is None or not facts.texts_are_silent or not _ENDS_LIKE[cause](facts):
        return
    says = (
        f"nothing else names a cause, and it ended as the job before it in this chain did, which was "
        f"taken for {cause.value}"
    )
    yield weighted_evidence(cause, FAIR + 0.4, Source.HISTORY, "attempts", says, group="as-before")


def _died_at_once(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Vertex's own internal error before the program wrote a word: one try more is worth it.

    These words are also seen for images and configurations that can never start; where the attempt
    before was treated for this and ended so too, that is what they mean.
    """
    if not _internal_at_once(facts) or facts.treated_for == Cause.TRANSIENT_BACKEND:
        return
    took = human_seconds(facts.job.run_seconds or 0)
    says = f"it died within {took}, before any worker wrote a line"
    yield weighted_evidence(Cause.TRANSIENT_BACKEND, 1.2, Source.JOB, "endTime", says, symptom=True)


def _internal_at_once(facts: CaseFeatures) -> bool:
    job = facts.job
    if job.kind not in {JobKind.CUSTOM, JobKind.HYPERPARAMETER_TUNING} or not facts.wordless:
        return False
    own = [fault.status for fault in job.faults if fault.part is FaultPart.JOB]
    internal = any(
        status.code == _INTERNAL or _FOR_THE_ATTEMPT.search(status.message) for status in own
    )
    return internal and job.run_seconds is not None and job.run_seconds <= _AT_ONCE_SECONDS


_INTERNAL = 13  # google.rpc's INTERNAL
_FOR_THE_ATTEMPT = re.compile(r"internal error occurred for the current attempt", re.IGNORECASE)
_AT_ONCE_SECONDS = 600.0  # the bound: a program that ran longer had begun its work


def _starved_unseen(facts: CaseFeatures) -> bool:
    """Out of time, with nobody to say how full the CPUs were."""
    return facts.timed_out and facts.usage.cpu is None and facts.reading.elapsed_seconds is None


def _without_gpu(facts: CaseFeatures) -> bool:
    if facts.workload.has_accelerator or facts.workload.cpu_image:
        return False
    cpu = facts.usage.cpu
    return facts.crashed or (facts.timed_out and (cpu is None or cpu.mean >= _BUSY_MEAN))


def _crashed_with_gpu(facts: CaseFeatures) -> bool:
    return facts.crashed and facts.workload.has_accelerator


_ENDS_LIKE: Mapping[Cause, Callable[[CaseFeatures], bool]] = {
    Cause.CPU_SATURATION: _starved_unseen,
    Cause.MEMORY_PRESSURE: lambda facts: facts.crashed,
    Cause.GPU_MEMORY: _crashed_with_gpu,
    Cause.ACCELERATOR_MISSING: _without_gpu,
    Cause.TRANSIENT_BACKEND: lambda facts: facts.crashed and not _internal_at_once(facts),
}
"""How a failure by each cause ends, as far as can be told without a text."""


def _halved(load: Load) -> float:
    """What a handful of samples takes off a weight."""
    return _THIN if load.is_thin else 0.0


def _of(load: Load, cause: Cause, weight: float, says: str) -> WeightedEvidence:
    return weighted_evidence(cause, weight, load.source, load.where, says)


def _of_section(
    timeline_section: TimelineSection, cause: Cause, weight: float, says: str
) -> WeightedEvidence:
    return weighted_evidence(
        cause, weight, timeline_section.source, timeline_section.where, says, group="section"
    )


_RULES: tuple[Callable[[CaseFeatures], Iterator[WeightedEvidence]], ...] = (
    _cpu,
    _memory,
    _gpu,
    _gpu_wanted,
    _gpu_configured,
    _gpu_driver,
    _of_another_kind,
    _spot,
    _never_ran,
    _endings,
    _neighbour_died,
    _tenant_project,
    _never_became_ready,
    _ended_in_request,
    _was_ready,
    _crashes_again,
    _cut_off_by_server,
    _requests,
    _sections,
    _slow_fetches,
    _cpu_words,
    _far_data,
    _probes,
    _received,
    _history,
    _recovered_before,
    _as_before,
    _died_at_once,
)
