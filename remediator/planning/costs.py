"""What an attempt is expected to cost, and at most: hours by rate by replicas.

Owns the basis of the estimate, which is told with it. An unknown price makes both sums None, never
zero. Must not judge them (see `guards`). Called by the planner, and by whoever settles what an
attempt really cost.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from remediator.case import Case
from remediator.catalog.catalog import Catalog, Hardware, Price, Strategy
from remediator.catalog.machines import Service
from remediator.domain import (
    ALL_ROWS,
    Attempt,
    Change,
    Diagnosis,
    History,
    JobKind,
    Resume,
    parse_seconds,
)
from remediator.domain.late_pattern import late_pattern
from remediator.domain.numbers import as_whole
from remediator.domain.time_words import hours_words
from remediator.job import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_TIMEOUT_SECONDS,
    Job,
    Pool,
    containers,
    pipeline,
)
from remediator.job.pipeline import PipelineNode
from remediator.job.validation import require_shape
from remediator.planning.draft import merged_changes, origin
from remediator.planning.expected_time import expected_seconds, got_no_machine, successes
from remediator.planning.savings import share_left, token_savings
from remediator.policy.model import Limits

REPLICA_START_HOURS = 5 / 60  # a batch replica also pays about five minutes of start
_DAY_SECONDS = 24 * 3600.0
_LEAST_SECONDS = 60.0


class Cost(Struct, frozen=True):
    """USD; None: the price is not known. `basis` says in words what the hours rest on.

    `at_most`: the rate is the on-demand one, which bounds that of spot machines or FLEX_START.
    """

    hours: float
    usd: float | None
    worst_usd: float | None
    usd_per_hour: float | None
    most_seconds: float
    is_bounded_by_us: bool
    basis: str
    at_most: bool = False
    worst_basis: str = ""
    """What bounds the longest run, in words: its own time-out, `max_run`, Vertex's seven days."""
    saved_usd: float | None = None
    """Of a batch of which only the rows that are left run again: what all of them would cost more."""
    query_usd: float = 0.0
    """Of a batch whose rows are in BigQuery: what counting and writing them costs, part of the sums."""

    def with_queries(self, usd: float) -> Cost:
        """With what BigQuery is paid, in both sums where they are known."""
        return replace(
            self,
            usd=None if self.usd is None else round(self.usd + usd, 2),
            worst_usd=None if self.worst_usd is None else round(self.worst_usd + usd, 2),
            query_usd=usd,
        )


def usd_per_hour(
    job: Job, location: str, catalog: Catalog, *, ran: Job | None = None
) -> float | None:
    """What all of the job's machines cost together in an hour, at most; None: not known."""
    found = price_per_hour(job, location, catalog, ran=ran)
    return found.usd if found else None


def price_per_hour(
    job: Job, location: str, catalog: Catalog, *, ran: Job | None = None
) -> Price | None:
    """What all of the job's machines cost together in an hour, boot disks with them; None: not known.

    `ran`: the run that a pipeline's request was made from, which knows the tasks that are done.
    """
    if job.kind is JobKind.PIPELINE:
        return _pipeline_price(job, tasks_to_run(job, ran), location, catalog)
    found = job.pools
    named = job.strategy or ""
    strategy = Strategy(named) if named in Strategy.__members__ else Strategy.STANDARD
    total = _sum(_pool_price(pool, location, strategy, catalog) for pool in found)
    return total.times(job.parallel_trials) if total and found else None


def _pool_price(pool: Pool, location: str, strategy: Strategy, catalog: Catalog) -> Price | None:
    """Of all the machines of a pool: a replica may be a slice of several hosts."""
    each = catalog.price(pool.hardware, location, strategy)
    if each is None:
        return None
    disk = catalog.disk_usd_per_hour(pool.disk_gb or 0, location)
    return each.plus(Price(disk)).times(pool.replicas * _hosts(pool, catalog))


def _hosts(pool: Pool, catalog: Catalog) -> int:
    kind = catalog.machine(pool.hardware.machine)
    if pool.chips and kind is not None and kind.devices:
        return max(1, math.ceil(pool.chips / kind.devices))
    return pool.nodes


def _sum(parts: Iterable[Price | None]) -> Price | None:
    total = Price(0.0)
    for part in parts:
        if part is None:
            return None
        total = total.plus(part)
    return total


def tasks_to_run(job: Job, ran: Job | None = None) -> tuple[PipelineNode, ...]:
    """The tasks of a run that run when it is made again: those that are not in the cache."""
    return tuple(node for node in pipeline.nodes(job, ran) if node.times)


def _pipeline_price(
    job: Job, again: tuple[PipelineNode, ...], location: str, catalog: Catalog
) -> Price | None:
    """Of the tasks that will run again, side by side: the dearest they can be in one hour.

    A loop's task counts once for each of its rounds; a machine that cannot be read has no price.
    """
    return _sum(_task_price(job, node, location, catalog) for node in again) if again else None


def _task_price(job: Job, node: PipelineNode, location: str, catalog: Catalog) -> Price | None:
    pools = [pool for pool in job.pools if pool.task == node.path]
    if pools:
        each = _sum(_pool_price(pool, location, _got_by(pool), catalog) for pool in pools)
    else:
        each = _container_price(job, node, location, catalog)
    return each.times(node.times) if each else None


def _got_by(pool: Pool) -> Strategy:
    known = {"SPOT": Strategy.SPOT, "LOW_COST": Strategy.SPOT, "FLEX_START": Strategy.FLEX_START}
    return known.get(pool.strategy, Strategy.STANDARD)


def _container_price(job: Job, node: PipelineNode, location: str, catalog: Catalog) -> Price | None:
    """Of the cheapest machine that holds a container's limits: an n1, or what takes its devices.

    A launcher without a machine runs on what Vertex gives a container that asks for nothing.
    """
    plain = containers.is_plain(job, node)
    cpus, gib = containers.shape(job, node)
    devices = containers.devices(job, node)
    if cpus is None or gib is None or devices.why:
        return None
    held = Hardware("", devices.type, devices.count) if plain else Hardware("")
    rates = [
        (m.generation != "n1" and not held.accelerator, rate)
        for m in catalog.machines.values()
        if Service.TRAINING in m.services and m.vcpus >= cpus and m.memory_gib >= gib
        if held.accelerator or not m.device
        if not catalog.why_not(one := replace(held, machine=m.name), Service.TRAINING)
        if (rate := catalog.usd_per_hour(one, location)) is not None
    ]
    return Price(min(rates)[1]) if rates else None  # an n1, where the region has one


def spent_usd(job: Job, catalog: Catalog) -> float | None:
    """What a job has cost by what it really ran, an estimate; None: the price is not known."""
    if got_no_machine(job):
        return 0.0
    rate = usd_per_hour(job, job.name.location, catalog)
    if rate is None:
        return None
    if job.replica_hours is not None and job.pools:
        return rate * job.replica_hours / job.pools[0].replicas
    if job.run_seconds is None:
        return None
    return rate * (job.run_seconds / 3600 + _start_hours(job))


def chain_usd(case: Case, catalog: Catalog) -> float:
    """What a case's resubmissions have cost so far: by estimate, the last by what it really ran.

    The last of them is the failed job itself. What is not known counts nothing. Raises InvalidInput
    where the job has a shape that no job can have.
    """
    require_shape(case.job)
    if not case.attempts:
        return 0.0
    *before, last = (attempt.estimated_usd or 0.0 for attempt in case.attempts)
    ran = spent_usd(case.job, catalog)
    return sum(before) + (last if ran is None else ran)


def accrued_usd(job: Job, catalog: Catalog, now: datetime) -> float | None:
    """What a job that still runs has cost by now, an estimate; None: the price is not known."""
    rate = usd_per_hour(job, job.name.location, catalog)
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
    catalog: Catalog,
    limits: Limits,
    request: Job,
    location: str,
    changes: tuple[Change, ...],
    *,
    resume: Resume = ALL_ROWS,
) -> Cost:
    """What the request would cost once created, from the failed run and the change.

    Where that is not known, and it cannot be more than the failed run cost, it is booked at 0. What
    BigQuery is paid for the rows that are left is not in it (see `Cost.with_queries`).
    """
    price = price_per_hour(request, location, catalog, ran=case.job)
    rate = price.usd if price else None
    own = request.timeout_seconds
    most, ours = (own, False) if own is not None else longest_run(case, history, limits)
    seconds, basis = expected_seconds(case, diagnosis, history, catalog, request, changes)
    saved = 0.0
    if resume.is_new and (share := share_left(case, changes, typical_seconds(case))) is not None:
        whole, of_all = share
        saved = max(0.0, whole - whole * of_all)
        seconds, basis = whole * of_all, f"{resume.sent:,} rows at the pace of the failed run"
    seconds = min(max(seconds, _LEAST_SECONDS), most)
    hours = seconds / 3600 + _start_hours(request)
    worst = (most / 3600 + _start_hours(request)) * _trial_rounds(request)
    if rate is None and _is_part_of_the_same(case.job, request, changes, resume):
        by_tokens = token_savings(case, catalog)
        if by_tokens is None:
            return Cost(hours, 0.0, None, None, most, ours, _FREE)
        usd, less = round(by_tokens.left_usd, 2), round(by_tokens.saved_usd, 2)
        return Cost(hours, usd, None, None, most, ours, by_tokens.basis, saved_usd=less)
    attempts = history.attempts or case.attempts
    if rate is None and _cost_as_much_before(case.job, attempts, request, changes, catalog):
        return Cost(hours, 0.0, None, None, most, ours, _FREE)
    return Cost(
        hours,
        None if rate is None else round(rate * hours, 2),
        None if rate is None else round(max(rate * worst, rate * hours), 2),
        rate,
        most,
        ours,
        basis,
        at_most=price is not None and price.at_most,
        worst_basis=_worst_basis(request, limits, most, own, ours=ours),
        saved_usd=round(rate * saved / 3600, 2) if rate and saved else None,
    )


def typical_seconds(case: Case) -> float | None:
    """Seconds that the same took where it succeeded; None: no such run is known."""
    return next(iter(successes(case)), None)


def _is_part_of_the_same(
    failed: Job, request: Job, changes: tuple[Change, ...], resume: Resume
) -> bool:
    """Whether it is fewer rows for the same publisher's model, which is billed by what is answered."""
    same = not failed.pools and not request.pools
    return resume.is_new and same and all(_costs_no_more(change) for change in changes)


def _worst_basis(
    request: Job, limits: Limits, most: float, own: float | None, *, ours: bool
) -> str:
    """`it has no time-out of its own, and Vertex ends it after 168 h, on 4 machines`."""
    if own is not None:
        why = f"its own time-out is {hours_words(most)}"
    elif ours and (request.kind is JobKind.BATCH_PREDICTION or most < DEFAULT_TIMEOUT_SECONDS):
        times = f"{limits.max_run:g} times the longest such run, or a day where that is longer"
        why = f"it has no time-out of its own, and max_run ({times}) ends it after {hours_words(most)}"
    else:
        why = f"it has no time-out of its own, and Vertex ends it after {hours_words(most)}"
    shared = f", on {request.replicas} machines" if request.replicas > 1 else ""
    rounds = _trial_rounds(request)
    return why + shared + (f", in {rounds} rounds of trials" if rounds > 1 else "")


_FREE = "its price is not known, and it cannot cost more than the failed run: booked at 0"


def _cost_as_much_before(
    failed: Job,
    attempts: Sequence[Attempt],
    request: Job,
    changes: tuple[Change, ...],
    catalog: Catalog,
) -> bool:
    """Whether the request cannot cost more than the run that failed last, or than the chain's first, to whose
    hardware and region it goes back."""
    if cannot_cost_more(failed, request, changes, catalog):
        return True
    made = [one for one in attempts if not one.abandoned]
    since = merged_changes(*(one.changes for one in made), changes)
    return bool(made) and cannot_cost_more(origin(failed, made), request, since, catalog)


def cannot_cost_more(
    failed: Job, request: Job, changes: tuple[Change, ...], catalog: Catalog
) -> bool:
    """Whether the request is on the same or smaller hardware, with the same time limit at most.

    False for a job without machines of its own: what it is billed by is not its hardware.
    """
    before, after = failed.pools, request.pools
    has_limits = failed.kind is JobKind.PIPELINE and any(
        containers.is_plain(failed, node) for node in tasks_to_run(failed)
    )
    if len(before) != len(after) or not (before or has_limits):
        return False
    pairs = zip(before, after, strict=True)
    return all(_is_no_bigger(now, was, catalog) for was, now in pairs) and all(
        _costs_no_more(change) for change in changes
    )


def _is_no_bigger(now: Pool, was: Pool, catalog: Catalog) -> bool:
    if now.replicas > was.replicas or (now.disk_gb or 0) > (was.disk_gb or 0):
        return False
    if (now.topology, now.partition) != (was.topology, was.partition):
        return False
    if now.hardware == was.hardware:
        return True
    one, other = (catalog.machine(pool.hardware.machine) for pool in (now, was))
    same_devices = now.hardware.accelerator in {"", was.hardware.accelerator}
    if one is None or other is None or one.generation != other.generation or not same_devices:
        return False
    smaller = one.vcpus <= other.vcpus and one.memory_gib <= other.memory_gib
    return smaller and one.devices <= other.devices and now.hardware.count <= was.hardware.count


_MACHINES = late_pattern(
    r"uris|(in|out)puturi|machine_?type|accelerator_?(type|count)|replica_?count|boot_?disk_?size_?gb|max_?wait_?duration"
    r"|output_?uri_?prefix|gcsoutputdirectory|enablecache|generateexplanation|maxtrialcount"
    r"|(args|command)\[\d+\]|value|tpu_?topology|gpu_?partition_?size",
    re.IGNORECASE,
)
"""What is weighed pool by pool, and what costs nothing by itself."""
_CHEAPER = {"STANDARD": 2, "FLEX_START": 1, "SPOT": 0}


def _costs_no_more(change: Change) -> bool:
    """Whether a changed field, the machines aside, makes no attempt dearer or longer."""
    name = change.field.rpartition(".")[2]
    if name == "timeout":
        was, now = parse_seconds(change.before), parse_seconds(change.after)
        return now is not None and now <= (was or DEFAULT_TIMEOUT_SECONDS)
    if name == "strategy":
        was_dear = _CHEAPER.get(str(change.before or "STANDARD"), -1)
        return _CHEAPER.get(str(change.after), 3) <= was_dear
    if name == "batchSize":
        before = as_whole(change.before) or DEFAULT_BATCH_SIZE
        return int(change.after) <= before
    return _MACHINES.fullmatch(name) is not None


def longest_run(case: Case, history: History, limits: Limits) -> tuple[float, bool]:
    """The longest an attempt without a time-out of its own may run, and whether that bound is ours
    to keep (`max_run`) rather than Vertex's."""
    if limits.max_run is None:
        return DEFAULT_TIMEOUT_SECONDS, False
    longest = max(
        case.job.run_seconds or 0.0,
        history.longest_similar_seconds or 0.0,
        *(successes(case) or (0.0,)),
        _DAY_SECONDS,
    )
    bound = limits.max_run * longest
    if case.job.kind is not JobKind.BATCH_PREDICTION:
        bound = min(bound, DEFAULT_TIMEOUT_SECONDS)
    return bound, True


def _trial_rounds(request: Job) -> int:
    """A tuning job's time-out is of one trial: how many of them come after one another."""
    return max(1, math.ceil((request.trials or 1) / request.parallel_trials))
