"""How long an attempt is expected to run, and what that rests on.

Owns the order of what is believed: progress and work done, similar jobs that succeeded, the pace of one
request, the failed run itself. Must not price it (see `costs`). Pure; called by `costs`, and by `conclusions` for
whether a job had a machine at all.
"""

from __future__ import annotations

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import Cause, Change, Diagnosis, History, JobKind, JobState
from remediator.domain.time_words import hours_words
from remediator.job import Job, pipeline, quota


def successes(case: Case) -> tuple[float, ...]:
    """Seconds that similar jobs took to succeed, the last one first."""
    done = (job for job in case.earlier if job.state is JobState.SUCCEEDED)
    return tuple(job.run_seconds for job in done if job.run_seconds)


def expected_seconds(
    case: Case,
    diagnosis: Diagnosis,
    history: History,
    catalog: Catalog,
    request: Job,
    changes: tuple[Change, ...],
) -> tuple[float, str]:
    """Seconds that the request will run, and in words what says so."""
    ran = case.job.run_seconds or 0.0
    speed = _speed(case.job, request, catalog)
    done, progress = diagnosis.needs.work_done, diagnosis.needs.progress
    if progress is not None and any(change.field.endswith(".timeout") for change in changes):
        return progress.seconds_needed / speed, (
            f"{progress.done:.0%} was done in {hours_words(ran)}"
        )
    if done and ran and diagnosis.verdict is Cause.CPU_SATURATION:
        whole = ran / min(done, 1.0) / speed
        return whole, f"{done:.0%} was done in {hours_words(ran)}, now {speed:.3g} times as fast"
    if before := successes(case):
        return before[0], f"as long as a similar job's last success, {hours_words(before[0])}"
    if history.longest_similar_seconds:
        known = history.longest_similar_seconds
        return known, f"as long as similar jobs took at most, {hours_words(known)}"
    same_device = not any("accelerator" in change.field for change in changes)
    if ran and same_device and (paced := _all_requests(case.job, diagnosis, request)):
        all_seconds, instances = paced
        speed = _speed(case.job, request, catalog) * case.job.replicas / request.replicas
        said = f"{instances:,} instances at the pace of the request that was seen"
        by = request.replicas
        return max(ran, all_seconds / speed), f"{said}, by {by} replica{'s' * (by != 1)}"
    if case.job.kind is JobKind.PIPELINE and (longest := pipeline.longest_failed_seconds(case.job)):
        off = pipeline.switched_off(case.job)
        again = max((one.seconds or 0.0 for node in off for one in node.details), default=0.0)
        if again > longest:
            return again, f"as long as the longest task that runs again ran, {hours_words(again)}"
        return longest, f"as long as the failed task ran, {hours_words(longest)}"
    return _as_the_failed_run(case, request, changes)


def _as_the_failed_run(case: Case, request: Job, changes: tuple[Change, ...]) -> tuple[float, str]:
    """What the failed run's own time says, where nothing says more."""
    ran = case.job.run_seconds or 0.0
    if not ran:
        return 0.0, "how long it ran is not known, so a minute at the least"
    if any(change.field.endswith("eplicaCount") for change in changes):
        before, after = case.job.replicas, request.replicas
        return (
            ran * before / after,
            f"the failed run's {hours_words(ran)}, shared by {after} replicas",
        )
    if got_no_machine(case.job):
        waited = f"as long as the failed job took, {hours_words(ran)}"
        return ran, f"{waited}: it never got a machine, so how long it runs is not known"
    return ran, f"as long as the failed run, {hours_words(ran)}"


def got_no_machine(job: Job) -> bool:
    """Whether a job ended before it had a machine: it cost nothing, and its size was not tried.

    Vertex does not say so. A job that never started had none; one whose error is the want of machines
    or quota had none either, unless it ran on spot machines, which may be taken back.
    """
    if not job.state.is_terminal or job.state is JobState.SUCCEEDED or job.kind is JobKind.PIPELINE:
        return False
    if job.replica_hours:
        return False
    if job.start_time is None:
        return True
    exhausted = job.error_code == _RESOURCE_EXHAUSTED
    return exhausted and quota.is_scarcity(job.error_message) and not job.is_spot


_RESOURCE_EXHAUSTED = 8  # google.rpc.Code


def _all_requests(job: Job, diagnosis: Diagnosis, request: Job) -> tuple[float, int] | None:
    """(seconds, instances) of a batch prediction of which not one request was answered.

    What is known is how long one request took at least, and how many instances there are.
    """
    took, size = diagnosis.needs.request_seconds, job.batch_size
    if job.kind is not JobKind.BATCH_PREDICTION or not took or not size:
        return None
    counts = job.instance_counts
    # -1 is Vertex's word for a count that it does not know.
    if counts[0] or min(counts) < 0 or not sum(counts):
        return None
    return took * sum(counts) / size / request.replicas, sum(counts)


def _speed(before: Job, after: Job, catalog: Catalog) -> float:
    """How many times the vCPUs of the failed run the request has; 1 where that is not known."""
    counts = []
    for job in (before, after):
        machines = [(catalog.machine(p.hardware.machine), p.replicas) for p in job.pools]
        counts.append(sum(m.vcpus * replicas for m, replicas in machines if m))
    return counts[1] / counts[0] if all(counts) else 1.0
