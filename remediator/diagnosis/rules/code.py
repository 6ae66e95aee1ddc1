"""Where the time went by the job's own account: sections that work, sections that wait, its CPU time.

Owns the rules that read the timeline. A section that waits speaks for the network, one that works for the
user's code, unless the machine was full. Pure; called in the order of `rules`.
"""

from __future__ import annotations

from collections.abc import Iterator

from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.rules.features import (
    BUSY_MEAN,
    REQUEST_LIMIT_SECONDS,
    SECTION_SHARE,
    SEVERAL_THREADS,
    WAITING_SHARE,
    CaseFeatures,
)
from remediator.diagnosis.timeline.line_words import split_name
from remediator.diagnosis.timeline.section import TimelineSection
from remediator.diagnosis.weighted_evidence import WeightedEvidence, weighted_evidence
from remediator.diagnosis.weights import weight_of
from remediator.domain import Cause, JobKind, Source

# A section whose passes take this many times longer at the end does more than linear work.
_GROWN = 1.8  # chosen
_WHOLE = 0.9  # of the timeline: next to no other section is told; chosen
_WAITING_SPAN = 0.3  # of the run, above the least share that counts; chosen


def weigh_sections(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """The longest section that waits, and the longest that works, against what the machine did."""
    if not facts.timed_out:
        return
    cpu = facts.usage.cpu
    reports = facts.timeline.reports
    reported = reports is not None and reports.busy >= _BUSY_SHARE
    full = (cpu is not None and cpu.is_full) or facts.computed_on_all or reported
    yield from _weigh_waiting(facts, full=full)
    stood = facts.own_stand
    if stood is not None:
        yield _of_section(stood, Cause.SLOW_CODE, weight_of("own-sleep"), stood.says)
    working = facts.timeline.longest(waits=False)
    if working is None or working.share < SECTION_SHARE:
        return
    words = facts.reading.last_words
    if words is not None and working.where == words.where and not working.reported:
        return  # what the program said as it gave up is no section of its work
    if facts.never_ready:
        yield _of_section(
            working, Cause.SLOW_STARTUP, weight_of("section-never-ready"), working.says
        )
        return
    if full:
        yield _of_section(
            working, Cause.CPU_SATURATION, weight_of("section-full-cpus"), working.says
        )
        return
    if facts.gpu_busy or facts.works_unseen or facts.timeline.was_refused:
        return
    weight = _section_weight(facts, working)
    yield _of_section(working, Cause.SLOW_CODE, weight, working.says)


def _weigh_waiting(facts: CaseFeatures, *, full: bool) -> Iterator[WeightedEvidence]:
    """The longest section that waits, which speaks for the network; `full`: the machine was."""
    cpu = facts.usage.cpu
    waiting = facts.timeline.longest(waits=True)
    share = facts.timeline.waiting_share
    if waiting is not None and share >= WAITING_SHARE:
        least, most = weight_of("waiting-section-least"), weight_of("waiting-section-most")
        weight = least + (most - least) * min(1.0, (share - WAITING_SHARE) / _WAITING_SPAN)
        busy = waiting.by_name and facts.one_thread and not facts.cannot_tell_one_thread
        belied = full or facts.gpu_full or (cpu is None and not waiting.reported)
        if (
            belied
            or facts.timeline.vain_poll is not None
            or facts.timeline.was_refused
            or facts.timeline.straggler is not None
        ):
            weight = weight_of("waiting-section-belied")
        if facts.never_ready and not waiting.host:
            # What a server fetches before it serves is its start.
            start = weight_of("section-never-ready")
            yield _of_section(waiting, Cause.SLOW_STARTUP, start, waiting.says)
            weight = weight_of("waiting-section-belied")
        if busy:
            # Its name says that it waits; its stacks and the CPU say that it works.
            yield _of_section(waiting, Cause.SLOW_CODE, weight_of("waiting-by-name"), waiting.says)
            weight = weight_of("waiting-by-name-network")
        yield _of_section(waiting, Cause.NETWORK_LATENCY, weight, waiting.says)


def _section_weight(facts: CaseFeatures, working: TimelineSection) -> float:
    """How far one working section speaks for slow code, given what is known of the machine."""
    cpu = facts.usage.cpu
    if _is_timed_work(facts, working):
        return weight_of("section-timed") if cpu is not None else weight_of("section-timed-alone")
    grown = weight_of("section-grown") if (working.growth or 0.0) >= _GROWN else 0.0
    return _untimed_weight(facts, working, grown)


def _untimed_weight(facts: CaseFeatures, working: TimelineSection, grown: float) -> float:
    """The same, of a section whose lines tell no durations; `grown` is added where its passes take longer and longer."""
    cpu, gpu = facts.usage.cpu, facts.usage.gpu
    if cpu is None:
        return _unmeasured_weight(facts, working, grown)
    if facts.wanted_gpu and facts.workload.has_accelerator and gpu is not None and gpu.is_idle:
        return weight_of("section-without-its-gpu")
    if gpu is not None and gpu.usual >= _USED and cpu.mean >= _USED and not facts.one_thread:
        return weight_of("section-beside-others")
    fetching = facts.cannot_tell_one_thread and facts.distance.far and facts.usage.receives
    if fetching:
        return weight_of("section-while-fetching")
    if working.inference and facts.is_cut_request and working.share >= _WHOLE:
        # The one request that was cut off, by another name: which code in it is slow it does not say.
        return weight_of("inference-busy")
    if facts.nearly_nothing and (working.source is Source.LOG or not facts.one_thread):
        # It stood in its own code without computing there.
        return weight_of("section-without-work")
    if cpu.mean >= BUSY_MEAN:
        if working.inference:
            return weight_of("inference-busy")
        return weight_of("section-busy") + grown
    return weight_of("inference") if working.inference else weight_of("section")


def _unmeasured_weight(facts: CaseFeatures, working: TimelineSection, grown: float) -> float:
    """The same, where nobody measured the machine.

    A batch prediction has no metrics, so the section is all there will ever be; a custom job normally has them, and
    without them it may have been full.
    """
    if working.inference or facts.wanted_gpu or not working.reported:
        return weight_of("section-unmeasured")
    if facts.computed_on_several:
        return weight_of("section-unmeasured")
    if (working.timed and _is_whole_request(facts, working)) or facts.few_rows_failed:
        return weight_of("section-unmeasured")
    if facts.job.kind is JobKind.BATCH_PREDICTION and not working.marked:
        # A server's log: what comes with every request says nothing of where its time goes.
        return weight_of("section-unmeasured")
    if facts.job.kind is JobKind.BATCH_PREDICTION:
        return weight_of("section-of-batch") + grown
    return weight_of("section-of-custom") + grown


_USED = 0.35  # of a processor, from which it works for the section; chosen
_LONG = 0.8  # of the time that one request has; chosen
_REQUEST = Linear(
    r"\b(?:requests?|post|handl(?:e|ed|er|ing)|batch(?:es)?|responses?|responded|served?|completed|instances|call)\b"
)


def _is_whole_request(facts: CaseFeatures, working: TimelineSection) -> bool:
    """Whether the section is a request by its words, and took about as long as one may: it names no code in it."""
    if facts.job.kind is not JobKind.BATCH_PREDICTION or not working.passes:
        return False
    long = working.seconds / working.passes >= REQUEST_LIMIT_SECONDS * _LONG
    return long and _REQUEST.is_in(split_name(working.name))


_MOST = 0.6  # of the timeline; chosen
_A_THREAD = 0.4  # of a vCPU, below which nothing computes; chosen
_SOME = 0.02  # of a machine of unknown size; chosen


def _is_timed_work(facts: CaseFeatures, working: TimelineSection) -> bool:
    """Whether the lines' own durations give one section most of the run, on CPUs that may have computed in it."""
    timed = working.timed and working.share >= _MOST and not facts.computed_on_several
    return timed and not (working.inference or facts.wanted_gpu) and _may_compute(facts)


def _may_compute(facts: CaseFeatures) -> bool:
    """Whether the CPUs leave room for one thread that computes all the while, or nobody measured them."""
    cpu, vcpus = facts.usage.cpu, facts.workload.vcpus
    if cpu is None:
        return facts.job.kind is not JobKind.BATCH_PREDICTION
    if cpu.mean >= BUSY_MEAN:
        return False
    return cpu.usual * vcpus >= _A_THREAD if vcpus else cpu.usual >= _SOME


def _of_section(
    timeline_section: TimelineSection, cause: Cause, weight: float, says: str
) -> WeightedEvidence:
    return weighted_evidence(
        cause, weight, timeline_section.source, timeline_section.where, says, group="section"
    )


_WAITED_SHARE, _COMPUTED_SHARE = 0.3, 0.8  # of its wall time; chosen
_SEVERAL = 4  # vCPUs, of which one thread leaves most idle; chosen


def weigh_own_cpu_time(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A program that tells its own CPU time: most of it waiting, one thread computing, or every vCPU."""
    share = facts.timeline.cpu_share
    if (
        share is None
        or not facts.timed_out
        or any(kind == "code" for _, kind in facts.reading.stood_in)
    ):
        return
    vcpus = facts.workload.vcpus or 0  # 0: unknown
    says = f"by its own account it computed for {share * 100:.0f}% of the time"
    if share < _WAITED_SHARE:
        yield _of_cpu_time(Cause.NETWORK_LATENCY, weight_of("little-cpu-time"), says)
        yield _of_cpu_time(Cause.SLOW_CODE, weight_of("little-cpu-time-against-code"), says)
    elif share >= _COMPUTED_SHARE:
        if facts.computed_on_all:
            says = f"by its own account it computed on {share:.1f} of {vcpus} vCPUs all the time"
            yield _of_cpu_time(Cause.CPU_SATURATION, weight_of("own-full-cpus"), says)
        elif share <= SEVERAL_THREADS:
            alone = facts.usage.cpu is None and vcpus >= _SEVERAL
            says += f": one thread of {vcpus} vCPUs" if alone else ""
            weight = weight_of("one-thread-by-cpu-time") if alone else weight_of("much-cpu-time")
            yield _of_cpu_time(Cause.SLOW_CODE, weight, says)
        yield _of_cpu_time(Cause.NETWORK_LATENCY, weight_of("much-cpu-time-against-network"), says)


_MANY_DUMPS = 3  # chosen


def weigh_dumps(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Stacks that were written while it ran, and nearly all show the same place."""
    found, cpu = facts.timeline.dumps, facts.usage.cpu
    if found is None or not facts.timed_out:
        return
    if facts.gpu_busy or (cpu is not None and cpu.is_full):
        return  # where a program stands that fills its machine is where its work is
    idle = facts.nearly_nothing or (found.locked and cpu is None)
    if found.stuck and not idle:
        return  # threads of its libraries, which no dump shows, may work, and its children
    shown = (
        f"{found.count:,} stack dumps in the log show"
        if found.count > 1
        else "a stack dump in the log shows"
    )
    says = f"{shown} the program in {found.place}"
    cause = Cause.SLOW_CODE
    if found.waits:
        cause, says = Cause.NETWORK_LATENCY, f"{says}, where it waits for another host's answer"
    elif found.stuck:
        says += ", where each of its threads waits for another one of them, or for a lock"
    many = found.count >= _MANY_DUMPS or found.stuck
    weight = weight_of("dumps") if many else weight_of("dumps-few")
    yield weighted_evidence(cause, weight, Source.LOG, found.where, says)


def weigh_own_locks(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Workers that lock each other out of a store in a file of their own, beside CPUs with little to do."""
    found, cpu = facts.timeline.own_locks, facts.usage.cpu
    if found is None or not facts.timed_out or (cpu is not None and not cpu.is_idle):
        return
    says = f'{found.count:,} times the job\'s own store was locked by the job itself, the last "{found.example}"'
    yield weighted_evidence(
        Cause.SLOW_CODE, weight_of("own-locks"), Source.LOG, found.where, says, group="section"
    )


def weigh_held_lock(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A profiler's word that the threads take turns: more of them, or more CPUs, do nothing more."""
    found, cpu = facts.timeline.held_lock, facts.usage.cpu
    if found is None or not facts.timed_out or facts.gpu_busy or (cpu is not None and cpu.is_full):
        return
    says = f'its threads take turns, as a profiler tells: "{found.example}"'
    yield weighted_evidence(
        Cause.SLOW_CODE, weight_of("threads-take-turns"), Source.LOG, found.where, says
    )


def weigh_vain_poll(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """What it waited for had ended, and its own code waits for another word."""
    found = facts.timeline.vain_poll
    if found is None or not (facts.timed_out or facts.died):
        return
    says = f'{found.count:,} polls were told the end by another word than it waits for, the last "{found.example}"'
    yield weighted_evidence(
        Cause.SLOW_CODE, weight_of("vain-poll"), Source.LOG, found.where, says, group="section"
    )


def weigh_account(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A line of the program's own that accounts for most of the run."""
    found, cpu = facts.timeline.account, facts.usage.cpu
    if found is None or not facts.timed_out or facts.gpu_busy or (cpu is not None and cpu.is_full):
        return
    reports = facts.timeline.reports
    if reports is not None and reports.busy >= _BUSY_SHARE:
        return
    waits = found.waits and not (facts.one_thread and not facts.cannot_tell_one_thread)
    if not waits and facts.nearly_nothing:
        return  # it did not compute there
    cause = Cause.NETWORK_LATENCY if waits else Cause.SLOW_CODE
    says = f'by its own account "{found.name}" took {found.share:.0%} of the run'
    yield weighted_evidence(cause, weight_of("account"), Source.LOG, found.where, says)
    other = Cause.SLOW_CODE if waits else Cause.NETWORK_LATENCY
    yield weighted_evidence(
        other, weight_of("account-against-other"), Source.LOG, found.where, says
    )


def weigh_prompt(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """It asked a person something, and nobody is there."""
    found, cpu = facts.timeline.prompt, facts.usage.cpu
    if found is None or not facts.timed_out or (cpu is not None and not facts.nearly_nothing):
        return
    says = f'the last that it said is a question that nobody answers: "{found.example}"'
    yield weighted_evidence(
        Cause.USER_CODE_ERROR, weight_of("prompt"), Source.LOG, found.where, says
    )


def weigh_straggler(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """One rank that works in each step for about as long as the others wait for it: the work is split unevenly."""
    found, cpu = facts.timeline.straggler, facts.usage.cpu
    if found is None or not facts.timed_out or (cpu is not None and cpu.is_full):
        return
    says = f'the others wait {found.waits:.1f} s in each step, in which {found.rank} spends {found.seconds:.1f} s on "{found.part}"'
    yield weighted_evidence(
        Cause.SLOW_CODE, weight_of("straggler"), Source.LOG, found.where, says, group="section"
    )


def weigh_lone_worker(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """One worker beside several CPUs by its own words, whose work took the time of a machine that nobody measured."""
    found = facts.timeline.lone_worker
    working = facts.timeline.longest(waits=False)
    if found is None or not facts.timed_out or facts.usage.cpu is not None or working is None:
        return
    if working.share < SECTION_SHARE or not working.reported or facts.computed_on_several:
        return
    if facts.wanted_gpu or facts.workload.has_accelerator or facts.job.kind in _SERVES:
        return
    says = f'the log tells of one worker beside several CPUs: "{found.example}"'
    cause, weight = Cause.SLOW_CODE, weight_of("one-thread-by-cpu-time")
    yield weighted_evidence(cause, weight, Source.LOG, found.where, says)


_SERVES = frozenset({JobKind.BATCH_PREDICTION})
_BUSY_SHARE = 0.9  # of all CPUs; chosen
# Of all CPUs, times their number: one thread that computes, and nothing else; chosen.
_ONE_BUSY = (0.6, 1.5)


def weigh_machine_reports(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """How busy the CPUs were by reports in the log, where nobody measured them."""
    reports = facts.timeline.reports
    if reports is None or not facts.timed_out or facts.gpu_busy:
        return
    busy, vcpus = reports.busy, reports.vcpus
    of = f" of {reports.replica}" if reports.replica else ""
    says = f"{reports.count:,} reports in the log{of} tell of CPUs that were {busy:.0%} busy"
    if busy >= _BUSY_SHARE and not facts.wanted_gpu:
        cause, weight = Cause.CPU_SATURATION, weight_of("reported-full-cpus")
        yield weighted_evidence(cause, weight, Source.LOG, reports.where, says)
    elif vcpus and vcpus >= _SEVERAL and _ONE_BUSY[0] <= busy * vcpus <= _ONE_BUSY[1]:
        says += f", about one of {vcpus} vCPUs"
        cause, weight = Cause.SLOW_CODE, weight_of("one-thread-by-cpu-time")
        yield weighted_evidence(cause, weight, Source.LOG, reports.where, says)


def _of_cpu_time(cause: Cause, weight: float, says: str) -> WeightedEvidence:
    return weighted_evidence(cause, weight, Source.LOG, "logEntries", says)
