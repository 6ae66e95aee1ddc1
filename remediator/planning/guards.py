"""Guards: each a function that says why a plan must not be carried out, or nothing.

Owns the limits that can refuse, in the contract's names. Every guard is asked for every plan that
would resubmit, and those that keep silent are asked for every plan; all that refuse are named. Must
not do I/O: what the ledger and the project know comes in as `History`. Called by the planner, which
the workflow asks again before it acts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from remediator.case import Case
from remediator.catalog import growth
from remediator.catalog.catalog import Catalog, Hardware
from remediator.domain import (
    NEVER_RETRIED,
    NO_ACCOUNT,
    SILENT_GUARDS,
    Attempt,
    Cause,
    Diagnosis,
    Guard,
    GuardRefusal,
    History,
    JobKind,
)
from remediator.domain.cause_words import MEANINGS
from remediator.domain.late_pattern import late_pattern
from remediator.job import OUR_LABELS, SWITCH_LABEL, Job, Pool, containers
from remediator.planning import budgets, regions, sizing
from remediator.planning.costs import Cost, tasks_to_run
from remediator.planning.draft import JobDraft, StepImpossible
from remediator.policy.model import Limits
from remediator.policy.selection import matches_any

MOST_LABELS = 64  # on one resource, Google Cloud's own limit
_CENT = 0.005  # sums of money are compared to the cent
MOST_REPLACEMENTS = 3  # of running jobs in one chain (contract)


class Asked(Struct, frozen=True):
    """What a guard may look at. `draft` and `cost` are None where the step leads nowhere, then
    `impossible` says why; both are None, too, for a plan that would only alert. `retried_exit`: the
    exit code of the failure, where the policy says that it may be run again. `places` tells where in
    the policy file a limit stands. `replaces_running`: the job still runs and is to be cancelled."""

    case: Case
    diagnosis: Diagnosis
    history: History
    attempts: tuple[Attempt, ...]
    limits: Limits
    catalog: Catalog
    draft: JobDraft | None = None
    cost: Cost | None = None
    impossible: StepImpossible | None = None
    retried_exit: int | None = None
    places: Callable[[str], str] = lambda _: ""
    replaces_running: bool = False

    @property
    def job(self) -> Job:
        return self.case.job

    def named(self, key: str) -> str:
        """` (limits.attempts, policies.yaml:27)`: which limit it is, and where it stands."""
        ceiling = _CEILINGS.get(key)
        if ceiling is not None:
            own, most = getattr(self.limits, key), getattr(self.history, ceiling[0])
            if most is not None and (own is None or most < own):
                return f" ({ceiling[1]})"
        place = self.places(key)
        return f" (limits.{key}, {place})" if place else ""


_CEILINGS: Mapping[str, tuple[str, str]] = {
    "usd_per_job": ("max_usd_per_job", "REMEDIATOR_MAX_USD_PER_JOB"),
    "usd_per_day": ("max_usd_per_day", "REMEDIATOR_MAX_USD_PER_DAY"),
}
"""Limits that the operator's settings may bound, whatever the file says."""


def refusals(asked: Asked) -> tuple[GuardRefusal, ...]:
    """Every guard that refuses a plan that would resubmit."""
    return _ask(asked, GUARDS)


def silent_refusals(asked: Asked) -> tuple[GuardRefusal, ...]:
    """Those that keep a plan silent, whatever it would do."""
    return _ask(asked, {guard: ask for guard, ask in GUARDS.items() if guard in SILENT_GUARDS})


def cancel_refusals(asked: Asked) -> tuple[GuardRefusal, ...]:
    """Those that keep a running job from being cancelled where it is not submitted again."""
    return _ask(asked, {guard: GUARDS[guard] for guard in _OF_A_CANCEL})


_OF_A_CANCEL = (Guard.STOP_SWITCH, Guard.LABEL_OFF, Guard.HAS_PARENT)


def _ask(asked: Asked, guards: Mapping[Guard, Callable[[Asked], str]]) -> tuple[GuardRefusal, ...]:
    impossible = asked.impossible
    answers = (
        GuardRefusal(guard, str(impossible), impossible.lack)
        if impossible and impossible.guard is guard
        else GuardRefusal(guard, ask(asked))
        for guard, ask in guards.items()
    )
    return tuple(answer for answer in answers if answer.why)


# --- counts ---------------------------------------------------------------------------------------


def _attempts(asked: Asked) -> str:
    made = sum(not (one.is_retry or one.abandoned) for one in asked.attempts)
    if asked.replaces_running:
        replaced = sum(one.follows_cancel for one in asked.attempts)
        if replaced >= MOST_REPLACEMENTS:
            return (
                f"it was cancelled and submitted again {replaced} times in this chain, "
                f"{MOST_REPLACEMENTS} are allowed"
            )
    elif asked.draft is not None and asked.draft.is_retry:
        return ""
    return _used_up(asked, made, "attempts", "changed")


def _retries(asked: Asked) -> str:
    made = sum(one.is_retry or one.abandoned for one in asked.attempts)
    # A way of a fallback is a retry too, where it gets no machine: that is known afterwards alone.
    counts = asked.draft is not None and (asked.draft.is_retry or asked.draft.entry)
    counts = counts and not asked.replaces_running
    return _used_up(asked, made, "retries", "unchanged") if counts else ""


def _used_up(asked: Asked, made: int, key: str, sort: str) -> str:
    limit = getattr(asked.limits, key)
    used = f"{made} of {limit} {sort} resubmissions are used up{asked.named(key)}"
    return used if made >= limit else ""


def _rate(asked: Asked) -> str:
    limit, made = asked.limits.resubmissions_per_hour, asked.history.resubmissions_last_hour
    if limit is not None and made >= limit:
        named = asked.named("resubmissions_per_hour")
        return f"{made} resubmissions in the last hour, {limit} are allowed{named}"
    for group in asked.limits.per:
        if group.resubmissions_per_hour is None:
            continue
        value = budgets.group_value(asked.job, group.by)
        made = asked.history.resubmitted_by.get((group.by, value), 0)
        if made >= group.resubmissions_per_hour:
            allowed = group.resubmissions_per_hour
            whose = _group(group.by, value)
            return (
                f"{made} resubmissions of {whose} in the last hour, {allowed} are allowed"
                f"{asked.named('per')}"
            )
    return ""


def _group(by: str, value: str) -> str:
    return f"{by.replace('_', ' ')} {value or '(none)'}"


# --- money ----------------------------------------------------------------------------------------


def smallest(*limits: float | None) -> float | None:
    """The one that binds; None: none is set."""
    return min((limit for limit in limits if limit is not None), default=None)


def _usd_per_job(asked: Asked) -> str:
    limit = smallest(asked.limits.usd_per_job, asked.history.max_usd_per_job)
    return _over(limit, asked.history.usd_this_job, asked, "for this job", "usd_per_job")


def _usd_per_day(asked: Asked) -> str:
    limit = smallest(asked.limits.usd_per_day, asked.history.max_usd_per_day)
    over = _over(limit, asked.history.usd_today, asked, "today", "usd_per_day")
    if over:
        return over
    for group in asked.limits.per:
        value = budgets.group_value(asked.job, group.by)
        spent = asked.history.spent_by.get((group.by, value), 0.0)
        whose = f"today by {_group(group.by, value)}"
        over = _over(group.usd_per_day, spent, asked, whose, "per")
        if over:
            return over
    return ""


def _over(limit: float | None, spent: float, asked: Asked, where: str, key: str) -> str:
    estimated = asked.cost.usd if asked.cost else None
    if limit is None:
        return ""
    if spent + (estimated or 0.0) > limit + _CENT:
        more = f"${spent:.2f} spent {where} and ${estimated or 0:.2f} more would pass"
        return f"{more} ${limit:.2f}{asked.named(key)}"
    return ""


def _unknown_price(asked: Asked) -> str:
    if asked.cost is None or asked.cost.usd is not None:
        return ""
    ceilings = (asked.history.max_usd_per_day, asked.history.max_usd_per_job)
    if not asked.limits.has_money_limit and all(ceiling is None for ceiling in ceilings):
        return ""
    where = asked.draft.location if asked.draft else asked.job.name.location
    if asked.job.kind is JobKind.BATCH_PREDICTION and not asked.job.pools:
        return (
            "the job has no machines of its own, so what it would cost is not known, and a limit "
            "in dollars is set"
        )
    return f"what the job would cost in {where} is not known, and a limit in dollars is set"


# --- what may be chosen -----------------------------------------------------------------------------


def _machine_types(asked: Asked) -> str:
    allowed = asked.limits.machine_types
    if allowed is None or asked.draft is None:
        return ""
    names = {pool.hardware.machine for pool in _pools_to_run(asked, asked.draft)}
    return _outside(names, allowed, asked, "machine_types")


def _pools_to_run(asked: Asked, draft: JobDraft) -> tuple[Pool, ...]:
    """The machines that the attempt takes: of a pipeline run, those of its unfinished tasks."""
    if draft.job.kind is not JobKind.PIPELINE:
        return draft.job.pools
    again = {node.path for node in tasks_to_run(draft.job, asked.job)}
    return tuple(pool for pool in draft.job.pools if pool.task in again)


def _accelerators(asked: Asked) -> str:
    allowed = asked.limits.accelerators
    if allowed is None or asked.draft is None:
        return ""
    names = {pool.hardware.accelerator for pool in _pools_to_run(asked, asked.draft)} - {""}
    names |= containers.accelerators(asked.draft.job)
    return _outside(names, allowed, asked, "accelerators")


def _locations(asked: Asked) -> str:
    allowed = asked.limits.locations
    if allowed is None or asked.draft is None:
        return ""
    return _outside({asked.draft.location}, allowed, asked, "locations")


def _outside(names: set[str], allowed: tuple[str, ...], asked: Asked, key: str) -> str:
    wrong = sorted(name for name in names if not matches_any(allowed, name))
    named = ", ".join(allowed) or "those of an empty list"
    if not wrong:
        return ""
    add = ", ".join(f'"{name}"' for name in wrong)
    place = asked.places(key)
    there = f"`limits.{key}`" + (f" ({place})" if place else "")
    return f"{', '.join(wrong)} is not among {named}: add {add} to {there} to allow it"


def _incompatible(asked: Asked) -> str:
    draft = asked.draft
    if draft is None:
        return ""
    service = asked.job.service
    moved = draft.location != asked.job.name.location
    pairs = zip(asked.job.pools, draft.job.pools, strict=True)
    for before, pool in pairs:
        if pool.hardware == before.hardware and not moved:
            continue
        ran_there = pool.hardware == before.hardware  # then it is possible, whatever the lists say
        service_of = pool.service or service
        why = "" if ran_there else asked.catalog.why_not(pool.hardware, service_of)
        if why:
            return why
        if asked.catalog.offered(pool.hardware, draft.location, service) is False:
            device = pool.hardware.accelerator or pool.hardware.machine
            return f"{draft.location} does not offer {device} for {service.value}"
    return ""


def _pinned(asked: Asked) -> str:
    if asked.draft is None:
        return ""
    before = [pool.hardware for pool in asked.job.pools]
    after = [pool.hardware for pool in asked.draft.job.pools]
    held = regions.pins(asked.job, machines_only=True)
    if held and before != after:
        return f"the job uses {held}, which other machines would leave"
    return ""


# --- what has happened ------------------------------------------------------------------------------


def _cause(asked: Asked) -> str:
    if asked.retried_exit is not None:
        return ""
    verdict = asked.diagnosis.verdict
    if asked.diagnosis.by_words_alone and verdict not in NEVER_RETRIED:
        return "the cause rests on words alone, and nothing is resubmitted on those"
    part = next((p for p in asked.diagnosis.parts if p.cause in NEVER_RETRIED), None)
    if verdict not in NEVER_RETRIED and part is None:
        return ""
    if part is not None:  # a task of the run that would fail the same way, whatever the others need
        return f"task {part.name}: {MEANINGS[part.cause]}, and running it again would repeat that"
    usd = asked.cost.usd if asked.cost else None
    costs = f", for about ${usd:.2f}" if usd else ""
    return f"{MEANINGS[verdict]}: running it again would fail the same way{costs}"


def _stop_switch(asked: Asked) -> str:
    return "the stop switch is on" if asked.history.stopped else ""


def _label_off(asked: Asked) -> str:
    off = asked.job.labels.get(SWITCH_LABEL) == "off"
    return "its label remediator=off says never to touch it" if off else ""


def _breaker(asked: Asked) -> str:
    return asked.history.breaker_open


def _cancelled_by_person(asked: Asked) -> str:
    if asked.replaces_running:  # whoever ended it, it was not a person
        return ""
    cancelled = asked.history.cancelled_by_person or asked.job.cancelled_by_person
    return "a person cancelled it" if cancelled else ""


def _lookback(asked: Asked) -> str:
    return "it had ended long before it became known" if asked.history.too_old else ""


def _already_rerun(asked: Asked) -> str:
    by = asked.history.rerun_by
    return f"{by} runs the same work again already" if by else ""


def _has_parent(asked: Asked) -> str:
    parent = asked.history.parent or asked.job.parent
    return f"it belongs to {parent}, which is the incident" if parent else ""


def _service_account(asked: Asked) -> str:
    allowed = asked.history.service_accounts
    account = asked.job.service_account or ""
    if not allowed or matches_any(allowed, account or NO_ACCOUNT):
        return ""
    return f"jobs of {account or 'the default service account'} may not be resubmitted"


def _labels_full(asked: Asked) -> str:
    if asked.draft is None:
        return ""
    kept = [key for key in asked.draft.job.labels if key not in OUR_LABELS]
    if len(kept) + len(OUR_LABELS) <= MOST_LABELS:
        return ""
    return f"the job has {len(kept)} labels: there is no room for {len(OUR_LABELS)} of ours"


def _of_a_step(_: Asked) -> str:
    return ""  # only a step itself can say so


def _no_machine(asked: Asked) -> str:
    """Nothing that the plan would run on has what a message asked for, or a machine is not the limit."""
    if asked.draft is None:
        return ""
    verdict, needs = asked.diagnosis.verdict, asked.diagnosis.needs
    if verdict not in {Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY} or _asks_for_less(asked.draft):
        return ""
    if verdict is Cause.MEMORY_PRESSURE and (limited := sizing.own_limit_words(asked.diagnosis)):
        return limited
    wanted = needs.wanted
    if wanted is None or wanted.device is not (verdict is Cause.GPU_MEMORY):
        return ""
    sizes = [_gib(asked, pool.hardware, device=wanted.device) for pool in asked.draft.job.pools]
    known = [size for size in sizes if size]
    wanted_gib = wanted.bytes / 1024**3
    if not known or len(known) < len(sizes) or wanted_gib <= max(known):
        return ""
    return (
        f"{wanted_gib:.4g} GiB were wanted in one piece, and it would have {max(known):.4g} "
        f"({wanted.evidence.says})"
    )


def _asks_for_less(draft: JobDraft) -> bool:
    """Whether the attempt would want less memory than the one before: how much is not known."""
    return any(_LESS.search(change.field) for change in draft.changes)


_LESS = late_pattern(
    r"(batchSize|generateExplanation|\.env\[\d+\]\.value|\.(args|command)\[\d+\])$"
)
"""Fields whose change may want less: a batch, an explanation, a variable or an argument (halved)."""


def _gib(asked: Asked, hardware: Hardware, *, device: bool) -> float | None:
    """Memory of the machine, or of each of its devices, GiB; None where it is not known."""
    if device:
        name, _ = growth.devices_of(asked.catalog, hardware)
        found = asked.catalog.accelerators.get(name)
        return found.memory_gib if found else None
    machine = asked.catalog.machine(hardware.machine)
    return machine.memory_gib if machine else None


GUARDS: Mapping[Guard, Callable[[Asked], str]] = {
    Guard.ATTEMPTS: _attempts,
    Guard.RETRIES: _retries,
    Guard.USD_PER_JOB: _usd_per_job,
    Guard.USD_PER_DAY: _usd_per_day,
    Guard.RATE: _rate,
    Guard.UNKNOWN_PRICE: _unknown_price,
    Guard.MACHINE_TYPES: _machine_types,
    Guard.ACCELERATORS: _accelerators,
    Guard.LOCATIONS: _locations,
    Guard.INCOMPATIBLE: _incompatible,
    Guard.CAUSE: _cause,
    Guard.STOP_SWITCH: _stop_switch,
    Guard.LABEL_OFF: _label_off,
    Guard.BREAKER: _breaker,
    Guard.CANCELLED_BY_PERSON: _cancelled_by_person,
    Guard.LOOKBACK: _lookback,
    Guard.ALREADY_RERUN: _already_rerun,
    Guard.HAS_PARENT: _has_parent,
    Guard.SERVICE_ACCOUNT: _service_account,
    Guard.PINNED: _pinned,
    Guard.LABELS_FULL: _labels_full,
    Guard.ROWS: _of_a_step,
    Guard.NO_MACHINE: _no_machine,
    Guard.TRIED_IN_VAIN: _of_a_step,
}
"""Each guard of the contract with the function that asks it, in the contract's order."""
