"""Everything read from one case, and what several rules ask of it.

Owns `CaseFeatures`: what the readers found, and the questions that need two of them at once (one busy thread,
next to no work, a machine that thrashed). Pure; made by `diagnose`, asked by the rules.
"""

from __future__ import annotations

from msgspec import Struct

from remediator.case import Recovery
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.locality import Distance
from remediator.diagnosis.metrics import Load, Usage
from remediator.diagnosis.replicas import ReplicaMachine, machine_of
from remediator.diagnosis.servers import Server
from remediator.diagnosis.signature import Tag, TextPlace
from remediator.diagnosis.texts.evidence import TextEvidence
from remediator.diagnosis.timeline.line_words import split_name
from remediator.diagnosis.timeline.section import Timeline, TimelineSection
from remediator.diagnosis.weighted_evidence import WeightedEvidence, weighted_evidence
from remediator.diagnosis.weights import weight_of
from remediator.domain import Cause, JobKind, JobState, Source
from remediator.domain.time_words import exact_span_words
from remediator.job import Job, JobFacts

WAITING_SHARE = 0.3  # of the run, from which waiting explains a time-out; chosen
SECTION_SHARE = 0.5  # of the run, from which one section is where the time went; chosen
# One busy thread, in vCPUs: less is waiting, more is several threads.
_ONE_THREAD = (0.6, 1.8)  # chosen
_NEARLY_NOTHING = 0.10  # of all vCPUs; chosen
# For this share of the run at least; half a run of more and half of less is not one thread's.
_STEADY_SHARE = 0.6  # chosen
# From here up one busy thread is no more of the machine than what an idle one does by itself.
_TOO_MANY_TO_TELL = 16  # vCPUs; chosen
# From here up the machine was busy, if not full.
BUSY_MEAN = 0.5  # chosen
# From here up an accelerator is what the work waits for, not the section that feeds it (chosen).
_GPU_BUSY = 0.6
# Bytes a second all through a run that only move data, whatever else it does.
_NETWORK_FLOODED = 300_000_000.0  # chosen
REQUEST_LIMIT_SECONDS = 600.0
"""After which Vertex ends one request of a batch prediction; measured: its own message tells of elapsed=600.04s."""
# A run stood at its memory's limit for this share of it, and computed this much less from then on.
_STOOD = 0.5  # of the timeline; chosen
# CPU time over wall time, above which more than one thread computed, and of all vCPUs; chosen.
SEVERAL_THREADS, _ALL_VCPUS = 1.2, 0.85
_FEW_ROWS = 0.05  # of those that were answered; chosen
_SLEEPS = Linear(r"\bsleep(?:ing|s)?\b", needs="sleep")
_LOCKS = Linear(
    r"\b(?:mutex|semaphore|rwlock|spinlock|gil|synchroni[sz]ed)\b|\b(?:thr|threads?|goroutines?|held|monitor)\b.{0,80}\block\b|\block\b.{0,80}\b(?:held|threads?|goroutines?|monitor)\b",
    needs="mutex semaphore lock gil synchroni",
)
# A lock that others may hold: another process, a store, a peer.
_LOCKED_BY = Linear(
    r"table|\brow|relation|transaction|<path>|sql|\bdb\b|database|storage|file|lease|distributed|redis|zookeeper|barrier|\brank|peer|dead|session|sleep|\bpid\b|wait event"
)
_BARRIER = Linear(r"\bbarrier\b", needs="barrier")
_SOME_PASSES = 3  # of a section that shows that the job worked; chosen
# What a program sleeps for, where it is not its own code that says so.
_SLEEPS_FOR = Linear(
    r"retry|retries|rate|limit|quota|429|50\d|again|attempt|back ?off|lock|lease|poll|wait|until|memory|worker|gc\b"
)
_STOOD_SHARE = 0.2  # chosen
_THRASHED = 0.6  # chosen


class CaseFeatures(Struct, frozen=True):
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
    machines: tuple[ReplicaMachine, ...] = ()
    """The machine of each pool."""

    def machine_under(self, load: Load) -> str | None:
        """The machine type on which a load was measured; None: not known."""
        held = machine_of(load.replica, self.machines)
        return held.machine if held is not None else self.workload.machine_type

    @property
    def memory_gib(self) -> float | None:
        """Of the machine whose memory was measured."""
        memory = self.usage.memory
        held = machine_of(memory.replica, self.machines) if memory is not None else None
        return held.memory_gib if held is not None else self.workload.memory_gib

    @property
    def timed_out(self) -> bool:
        """Something ran out of time, by the job's error, its rows, its duration or its log."""
        up = self.workload.ran_into_timeout or self.job.trials_ran_out
        return up or self.reading.has(Tag.TIMED_OUT)

    @property
    def surely_timed_out(self) -> bool:
        """As `timed_out`, told by the service and not by a worker's line alone."""
        held = self.reading.tags.get(Tag.TIMED_OUT)
        up = self.workload.ran_into_timeout or self.job.trials_ran_out
        return up or (held is not None and held[0].place is not TextPlace.LOG)

    @property
    def is_cut_request(self) -> bool:
        """A request of a batch prediction ran into the service's limit, with several instances in it."""
        return self.reading.elapsed_seconds is not None and (self.workload.batch_size or 0) > 1

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
    def works_unseen(self) -> bool:
        """The machine has accelerators of whose work no metric tells: it may be where the time goes."""
        return (
            self.workload.has_accelerator and self.usage.gpu is None and self.usage.cpu is not None
        )

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
            or self.timeline.waiting_share >= WAITING_SHARE
            or bool(self.distance.far or self.distance.hosts or self.distance.slow_here)
            or self.usage.receives
        )

    @property
    def stood(self) -> bool:
        """By its log it stood for most of the run: at a lock, a barrier, in a sleep."""
        standing = (one.share for one in self.timeline.timeline_sections if one.stands)
        return sum(standing) >= _STOOD

    @property
    def own_stand(self) -> TimelineSection | None:
        """The section in which the program slept most of the run, or its threads waited for a lock of its own; None
        where the log names somebody whom it waited for.
        """
        for one in self.timeline.timeline_sections:
            name = split_name(one.name) if one.stands and one.share >= SECTION_SHARE else ""
            slept = _SLEEPS.is_in(name) and not _SLEEPS_FOR.is_in(name)
            if slept or (_LOCKS.is_in(name) and not _LOCKED_BY.is_in(name)):
                return one
            if _BARRIER.is_in(name) and self._all_are_idle:
                return one
        return None

    @property
    def _all_are_idle(self) -> bool:
        """Every replica computes next to nothing, after some work: whoever is missing at a barrier is not on its way."""
        cpu = self.usage.cpu
        measured = cpu is not None and bool(cpu.replica)
        worked = any(
            not one.stands and not one.waits and one.passes >= _SOME_PASSES
            for one in self.timeline.timeline_sections
        )
        return measured and self.nearly_nothing and worked and not self.usage.receives

    @property
    def stands_by_itself(self) -> bool:
        """It stood for what is its own: a sleep, a lock, a peer that never came."""
        stands = self.own_stand is not None or self.timeline.own_locks is not None
        return stands or self.timeline.vain_poll is not None or self.timeline.prompt is not None

    @property
    def few_rows_failed(self) -> bool:
        """Nearly all rows of a batch were answered: what its server does with each of them is not what failed."""
        rows = self.reading.rows
        return rows is not None and 0 < rows.failed < rows.successful * _FEW_ROWS

    @property
    def computed_on_several(self) -> bool:
        """More than one thread computed all the while, by the program's own CPU time; nobody measured the machine."""
        share = self.timeline.cpu_share if self.usage.cpu is None else None
        return share is not None and share > SEVERAL_THREADS

    @property
    def computed_on_all(self) -> bool:
        """The same on every vCPU of the machine."""
        share, vcpus = self.timeline.cpu_share, self.workload.vcpus
        if share is None or vcpus is None or self.usage.cpu is not None:
            return False
        return share > SEVERAL_THREADS and share >= vcpus * _ALL_VCPUS

    @property
    def flooded(self) -> bool:
        """So much was received all the while that moving it was most of the job."""
        return (self.usage.usually_received or 0.0) >= _NETWORK_FLOODED

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
        """The service says that the model server was never ready; of a log alone, the probes in it do."""
        if self.job.is_stand_in and self.server is not None and self.server.probed:
            return True
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
    def asks_for_gpu(self) -> bool:
        """The job's own configuration names a GPU to compute on, and it has none."""
        workload = self.workload
        return bool(workload.device_setting) and not (
            workload.has_accelerator or workload.cpu_image or workload.hides_gpus
        )

    @property
    def crashed(self) -> bool:
        """It ended by itself, in failure, before its time was up."""
        return self.died and not self.timed_out

    @property
    def texts_are_silent(self) -> bool:
        """No text names a cause: what there is are exit codes, time-outs, cut tracebacks and the like."""
        cut = {held.where for held in self.reading.raised if held.cut_in is not None}
        return not any(
            s.weight >= weight_of("names-a-cause")
            and not s.symptom
            and not (s.cause is Cause.USER_CODE_ERROR and s.evidence.where in cut)
            for s in self.reading.signs
        )


def timeout_words(facts: CaseFeatures) -> str:
    """How the job ran out of time, for evidence and advice."""
    workload = facts.workload
    if workload.ran_into_timeout and workload.timeout_seconds:
        return (
            f"the job was stopped at its time-out of {exact_span_words(workload.timeout_seconds)}"
        )
    if workload.part_timeout is not None:
        held = workload.part_timeout
        return (
            f"its {held.part}s were stopped at their time-out of {exact_span_words(held.seconds)}"
        )
    if facts.reading.elapsed_seconds:
        return f"one request did not finish within {facts.reading.elapsed_seconds:.0f} s"
    return "it ran out of time"


def few_samples_penalty(load: Load) -> float:
    """What a handful of samples takes off a weight."""
    return weight_of("few-samples") if load.is_thin else 0.0


def load_evidence(load: Load, cause: Cause, weight: float, says: str) -> WeightedEvidence:
    """Evidence that a load gives, with where it was measured; `weight` in nats."""
    return weighted_evidence(cause, weight, load.source, load.where, says)
