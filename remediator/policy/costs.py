"""What an attempt is expected to cost, and at most: hours by rate by replicas.

Owns the basis of the estimate, which is told with it. An unknown price makes both sums None, never
zero. Must not judge them (see `guards`). Called by the planner, and by whoever settles what an
attempt really cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from remediator.case import Case
from remediator.catalog.catalog import Catalogue, Hardware
from remediator.catalog.machines import Service
from remediator.domain import Cause, Change, Diagnosis, History, JobKind, JobState
from remediator.job import DEFAULT_TIMEOUT_SECONDS, Job, pipeline
from remediator.job.validation import require_shape
from remediator.policy import routes
from remediator.policy.model import Limits

REPLICA_START_HOURS = 5 / 60  # a batch replica also pays about five minutes of start
_DAY_SECONDS = 24 * 3600.0
_LEAST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Cost:
    """USD; None: the price is not known. `basis` says in words what the hours rest on."""

    hours: float
    usd: float | None
    worst_usd: float | None
    usd_per_hour: float | None
    most_seconds: float
    is_bounded_by_us: bool
    basis: str


def usd_per_hour(
    job: Job, location: str, catalogue: Catalogue, *, ran: Job | None = None
) -> float | None:
    """What all of the job's machines cost together in an hour; None: not known.

    `ran`: the run that a pipeline's request was made from, which knows the tasks that are done.
    """
    if job.kind is JobKind.PIPELINE:
        again = pipeline.executors_to_run(ran or job)
        return _pipeline_rate(job, again, location, catalogue)
    found = job.pools
    if not found:
        return None
    spot = job.is_spot
    rates = [catalogue.usd_per_hour(p.hardware, location, spot=spot) for p in found]
    if None in rates:
        return None
    total = sum(rate * p.replicas for rate, p in zip(rates, found, strict=True) if rate is not None)
    return total * job.parallel_trials


def _pipeline_rate(
    job: Job, again: tuple[str, ...], location: str, catalogue: Catalogue
) -> float | None:
    """Of the tasks that will run again, side by side: the dearest they can be in one hour."""
    total = 0.0
    custom = [pool for pool in job.pools if pool.task in again]
    for pool in custom:
        rate = catalogue.usd_per_hour(pool.hardware, location)
        if rate is None:
            return None
        total += rate * pool.replicas
    containers = [label for label in again if pipeline.limits(job, label)]
    for label in containers:
        rate = _component_rate(job, label, location, catalogue)
        if rate is None:
            return None
        total += rate
    return total if custom or containers else None


def _component_rate(job: Job, label: str, location: str, catalogue: Catalogue) -> float | None:
    """Of the cheapest machine that holds a container's limits: an n1, or what takes its devices."""
    asked, devices = pipeline.limits(job, label), pipeline.devices(job, label)
    if asked is None or devices is None:
        return None
    cpus, gib = asked.shape
    rates = [
        rate
        for m in catalogue.machines.values()
        if Service.TRAINING in m.services and m.vcpus >= cpus and m.memory_gib >= gib
        if m.generation == "n1" or devices.type
        if not catalogue.why_not(
            held := Hardware(m.name, devices.type, devices.count), Service.TRAINING
        )
        if (rate := catalogue.usd_per_hour(held, location)) is not None
    ]
    return min(rates, default=None)


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
    return exhausted and routes.is_scarcity(job.error_message) and not job.is_spot


_RESOURCE_EXHAUSTED = 8  # google.rpc.Code


def spent_usd(job: Job, catalogue: Catalogue) -> float | None:
    """What a job has cost by what it really ran, an estimate; None: the price is not known."""
    if got_no_machine(job):
        return 0.0
    rate = usd_per_hour(job, job.name.location, catalogue)
    if rate is None:
        return None
    if job.replica_hours is not None and job.pools:
        return rate * job.replica_hours / job.pools[0].replicas
    if job.run_seconds is None:
        return None
    return rate * (job.run_seconds / 3600 + _start_hours(job))


def chain_usd(case: Case, catalogue: Catalogue) -> float:
    """What a case's resubmissions have cost so far: by estimate, the last by what it really ran.

    The last of them is the failed job itself. What is not known counts nothing. Raises Unusable
    where the job has a shape that no job can have.
    """
    require_shape(case.job)
    if not case.attempts:
        return 0.0
    *before, last = (attempt.estimated_usd or 0.0 for attempt in case.attempts)
    ran = spent_usd(case.job, catalogue)
    return sum(before) + (last if ran is None else ran)


def accrued_usd(job: Job, catalogue: Catalogue, now: datetime) -> float | None:
    """What a job that still runs has cost by now, an estimate; None: the price is not known."""
    rate = usd_per_hour(job, job.name.location, catalogue)
    if rate is None or job.start_time is None:
        return rate and 0.0
    hours = max(0.0, (now - job.start_time).total_seconds()) / 3600
    return rate * (hours + _start_hours(job))


def usd_by_day(usd: float, started: datetime | None, until: datetime) -> dict[date, float]:
    """A sum of US dollars by the UTC days in which it was spent, by the time that each had of it."""
    if started is None or started >= until:
        return {until.astimezone(UTC).date(): usd}
    until = until.astimezone(UTC)
    at = max(started.astimezone(UTC), until - _LONGEST_SPREAD)
    seconds = (until - at).total_seconds()
    days: dict[date, float] = {}
    while at < until:
        midnight = datetime(at.year, at.month, at.day, tzinfo=UTC) + timedelta(days=1)
        days[at.date()] = usd * (min(midnight, until) - at).total_seconds() / seconds
        at = midnight
    return days


_LONGEST_SPREAD = timedelta(days=60)  # no job runs longer; days before that are over


def _start_hours(job: Job) -> float:
    return REPLICA_START_HOURS if job.kind is JobKind.BATCH_PREDICTION else 0.0


def estimate(
    case: Case,
    diagnosis: Diagnosis,
    history: History,
    catalogue: Catalogue,
    limits: Limits,
    request: Job,
    location: str,
    changes: tuple[Change, ...],
) -> Cost:
    """What the request would cost once created, from the failed run and the change."""
    rate = usd_per_hour(request, location, catalogue, ran=case.job)
    own = request.timeout_seconds
    most, ours = (own, False) if own is not None else longest_run(case, history, limits)
    seconds, basis = _expected_seconds(case, diagnosis, history, catalogue, request, changes)
    seconds = min(max(seconds, _LEAST_SECONDS), most)
    hours = seconds / 3600 + _start_hours(request)
    worst = (most / 3600 + _start_hours(request)) * _trial_rounds(request)
    return Cost(
        hours,
        None if rate is None else round(rate * hours, 2),
        None if rate is None else round(max(rate * worst, rate * hours), 2),
        rate,
        most,
        ours,
        basis,
    )


def longest_run(case: Case, history: History, limits: Limits) -> tuple[float, bool]:
    """The longest an attempt without a time-out of its own may run, and whether that bound is ours
    to keep (`max_run`) rather than Vertex's."""
    if limits.max_run is None:
        return DEFAULT_TIMEOUT_SECONDS, False
    longest = max(
        case.job.run_seconds or 0.0,
        history.longest_similar_seconds or 0.0,
        *(_successes(case) or (0.0,)),
        _DAY_SECONDS,
    )
    bound = limits.max_run * longest
    if case.job.kind is not JobKind.BATCH_PREDICTION:
        bound = min(bound, DEFAULT_TIMEOUT_SECONDS)
    return bound, True


def _successes(case: Case) -> tuple[float, ...]:
    done = (job for job in case.earlier if job.state is JobState.SUCCEEDED)
    return tuple(job.run_seconds for job in done if job.run_seconds)


def _trial_rounds(request: Job) -> int:
    """A tuning job's time-out is of one trial: how many of them come after one another."""
    return max(1, math.ceil((request.trials or 1) / request.parallel_trials))


def _expected_seconds(
    case: Case,
    diagnosis: Diagnosis,
    history: History,
    catalogue: Catalogue,
    request: Job,
    changes: tuple[Change, ...],
) -> tuple[float, str]:
    ran = case.job.run_seconds or 0.0
    speed = _speed(case.job, request, catalogue)
    done, progress = diagnosis.needs.work_done, diagnosis.needs.progress
    if progress is not None and any(change.field.endswith(".timeout") for change in changes):
        return progress.seconds_needed / speed, (f"{progress.done:.0%} was done in {_hours(ran)}")
    if done and ran and diagnosis.verdict is Cause.CPU_SATURATION:
        whole = ran / min(done, 1.0) / speed
        return whole, f"{done:.0%} was done in {_hours(ran)}, now {speed:.3g} times as fast"
    successes = _successes(case)
    if successes:
        return successes[0], f"as long as a similar job's last success, {_hours(successes[0])}"
    if history.longest_similar_seconds:
        known = history.longest_similar_seconds
        return known, f"as long as similar jobs took at most, {_hours(known)}"
    same_device = not any("accelerator" in change.field for change in changes)
    if ran and same_device and (paced := _all_requests(case.job, diagnosis, request)):
        all_seconds, instances = paced
        speed = _speed(case.job, request, catalogue) * case.job.replicas / request.replicas
        said = f"{instances:,} instances at the pace of the request that was seen"
        by = request.replicas
        return max(ran, all_seconds / speed), f"{said}, by {by} replica{'s' * (by != 1)}"
    if case.job.kind is JobKind.PIPELINE and (longest := pipeline.longest_failed_seconds(case.job)):
        return longest, f"as long as the failed task ran, {_hours(longest)}"
    if not ran:
        return 0.0, "how long it ran is not known, so a minute at the least"
    if any(change.field.endswith("eplicaCount") for change in changes):
        before, after = case.job.replicas, request.replicas
        return ran * before / after, f"the failed run's {_hours(ran)}, shared by {after} replicas"
    return ran, f"as long as the failed run, {_hours(ran)}"


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


def _speed(before: Job, after: Job, catalogue: Catalogue) -> float:
    """How many times the vCPUs of the failed run the request has; 1 where that is not known."""
    counts = []
    for job in (before, after):
        machines = [(catalogue.machine(p.hardware.machine), p.replicas) for p in job.pools]
        counts.append(sum(m.vcpus * replicas for m, replicas in machines if m))
    return counts[1] / counts[0] if all(counts) else 1.0


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.3g} h" if seconds >= 3600 else f"{seconds / 60:.3g} min"  # noqa: PLR2004  # an hour
