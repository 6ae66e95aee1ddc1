"""What happened before: runs that succeeded, jobs that were fixed, the attempt before this one.

Owns the rules that read other jobs. They speak where no text of this failure names a cause. Pure; called in
the order of `rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from remediator.diagnosis.rules.endings import is_internal_error_at_once
from remediator.diagnosis.rules.features import BUSY_MEAN, CaseFeatures, load_evidence
from remediator.diagnosis.rules.resources import is_low
from remediator.diagnosis.signature import TextPlace
from remediator.diagnosis.weighted_evidence import WeightedEvidence, weighted_evidence
from remediator.diagnosis.weights import weight_of
from remediator.domain import Cause, Source
from remediator.domain.time_words import exact_span_words

_SLOWER_THAN_BEFORE = 1.5  # times as long as the last run that succeeded; chosen


def weigh_earlier_runs(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A run much longer than the last that succeeded: shown with each family, moving none."""
    ran = facts.job.run_seconds
    before = next((run for job in facts.earlier if (run := job.run_seconds)), None)
    if ran is None or not before or not facts.timed_out or ran < before * _SLOWER_THAN_BEFORE:
        return
    says = (
        f"it ran for {exact_span_words(ran)}, {ran / before:.1f} times as long as the last run that "
        f"succeeded ({exact_span_words(before)})"
    )
    where = str(facts.earlier[0].name)
    for cause in (Cause.NETWORK_LATENCY, Cause.SLOW_CODE, Cause.CPU_SATURATION):
        yield weighted_evidence(cause, weight_of("advice"), Source.HISTORY, where, says)


def weigh_recoveries(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A similar job failed for want of a size, and succeeded with it; this one is below it again.

    A job of every night is sent with the same size every night. Heard only where no text of this
    failure names a cause, and it ended in a way in which the cause ends jobs.
    """
    if not facts.texts_are_silent or is_internal_error_at_once(facts):
        return
    for cause, ends_so in _ENDS_LIKE.items():
        alike = [one for one in facts.recoveries if one.cause is cause]
        if not alike or not ends_so(facts):
            continue
        weight = weight_of("recovered-before")
        if cause is Cause.ACCELERATOR_MISSING and facts.timed_out:
            weight = weight_of(
                "recovered-with-gpu"
            )  # the full CPUs of a job that should have a GPU: seen again
        often = f" (and {len(alike) - 1} more)" if len(alike) > 1 else ""
        says = (
            f"nothing else names a cause, and a similar job that failed by {cause.value} was fixed "
            f"with {alike[0].size} on {alike[0].at:%Y-%m-%d}{often}"
        )
        yield weighted_evidence(
            cause, weight, Source.HISTORY, "ledger", says, group="recovered-before"
        )


def weigh_attempt_before(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """The attempt before failed, was treated, and this one ends in the same way without a word."""
    cause = next((one for one in _ENDS_LIKE if one.value == facts.treated_for), None)
    if cause is None or not facts.texts_are_silent or is_internal_error_at_once(facts):
        return
    if not _ENDS_LIKE[cause](facts):
        return
    says = (
        f"nothing else names a cause, and it ended as the job before it in this chain did, which was "
        f"taken for {cause.value}"
    )
    yield weighted_evidence(
        cause, weight_of("as-attempt-before"), Source.HISTORY, "attempts", says, group="as-before"
    )
    if any(one.cut_in is not None for one in facts.reading.raised):
        # What was raised is lost with the line that said so: before, it was said.
        against = weight_of("as-before-against-code")
        yield weighted_evidence(Cause.USER_CODE_ERROR, against, Source.HISTORY, "attempts", says)


def weigh_more_cpus_in_vain(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """Full CPUs at the time-out again, after an attempt for want of them, and data overseas.

    More CPUs get a starved job further; one that waits for its data they do not. Where nothing tells how
    far it got, that distance is the other reading, and a third attempt of the same kind would be a guess.
    """
    cpu = facts.usage.cpu
    overseas = next((d for d in facts.distance.far if d.is_overseas(facts.distance.region)), None)
    again = facts.treated_for == Cause.CPU_SATURATION and facts.workload.ran_into_timeout
    if overseas is None or not again or cpu is None or not cpu.is_full:
        return
    if facts.timeline.work_done is not None:
        return
    says = (
        f"the attempt for want of CPUs ran out of time as well, and {overseas.name} is stored in "
        f"{overseas.location}, on another continent than {facts.distance.region}"
    )
    for cause, weight in (
        (Cause.CPU_SATURATION, weight_of("more-cpus-in-vain")),
        (Cause.NETWORK_LATENCY, weight_of("more-cpus-in-vain-network")),
    ):
        yield weighted_evidence(cause, weight, Source.HISTORY, "attempts", says)


def weigh_more_memory_in_vain(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """The attempt with more memory died as well, and was seen to use little of it.

    What stands between two samples may be missed once; a guess of a worker's (gunicorn's "Perhaps out of
    memory?" is said of every SIGKILL) that is contradicted twice is none. What the service says stands.
    """
    memory = facts.usage.memory
    again = facts.treated_for == Cause.MEMORY_PRESSURE and facts.crashed
    if not again or memory is None or not is_low(memory):
        return
    if any(held.place is not TextPlace.LOG for held, _ in facts.reading.about_memory):
        return
    says = f"the attempt with more memory died as well, and memory never rose above {memory.peak:.0%} of it"
    weight = weight_of("more-memory-in-vain")
    yield load_evidence(memory, Cause.MEMORY_PRESSURE, weight, says)


def _starved_unseen(facts: CaseFeatures) -> bool:
    """Out of time, with nobody to say how full the CPUs were."""
    return facts.timed_out and facts.usage.cpu is None and facts.reading.elapsed_seconds is None


def _without_gpu(facts: CaseFeatures) -> bool:
    if facts.workload.has_accelerator or facts.workload.cpu_image:
        return False
    cpu = facts.usage.cpu
    return facts.crashed or (facts.timed_out and (cpu is None or cpu.mean >= BUSY_MEAN))


def _crashed_with_gpu(facts: CaseFeatures) -> bool:
    return facts.crashed and facts.workload.has_accelerator


_ENDS_LIKE: Mapping[Cause, Callable[[CaseFeatures], bool]] = {
    Cause.CPU_SATURATION: _starved_unseen,
    Cause.MEMORY_PRESSURE: lambda facts: facts.crashed and not is_low(facts.usage.memory),
    Cause.GPU_MEMORY: _crashed_with_gpu,
    Cause.ACCELERATOR_MISSING: _without_gpu,
    Cause.DISK_FULL: lambda facts: facts.crashed,
    Cause.TRANSIENT_BACKEND: lambda facts: facts.crashed,
}
"""How a failure by each cause ends, as far as can be told without a text. Vertex's own internal error before
the program wrote a word is none of them: the program had not begun to want anything."""
