"""`plan --explain`: every guard and limit with its numbers, whether it refuses or not.

Owns the words for what a guard looked at and let pass; why one refuses is its own (`guards`). Must not
decide. Called by the planner for the plan it has made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from remediator.domain import NO_ACCOUNT, PASSING, Guard, GuardRefusal
from remediator.job import OUR_LABELS, SWITCH_LABEL
from remediator.planning import budgets
from remediator.planning.guards import MOST_LABELS, Asked, smallest
from remediator.planning.vain import REPEATED_AFTER


def guard_report(asked: Asked, refused: tuple[GuardRefusal, ...]) -> tuple[str, ...]:
    """A line for each guard, in the contract's order: what refuses, else what it found.

    Where the ledger was not read, nothing that it alone knows is said to pass.
    """
    why = {refusal.guard: refusal.why for refusal in refused}
    lines = []
    for guard in Guard:
        if guard in why:
            lines.append(f"{guard.value} refuses: {why[guard]}")
        elif _is_unread(guard, asked):
            allowed = _UNREAD[guard](asked)
            lines.append(f"{guard.value} not looked up here{f': {allowed}' if allowed else ''}")
        elif guard in _PASSES and (passes := _PASSES[guard](asked)):
            lines.append(f"{guard.value} passes: {passes}")
    return tuple(lines)


def unread_note(asked: Asked) -> tuple[str, ...]:
    """What closes an explanation for which no ledger was read; nothing for any other."""
    return () if asked.history.ledger_read else (_UNREAD_NOTE,)


_UNREAD_NOTE = (
    "not looked up here: the ledger (attempts, money, rate, breaker, stop switch, what was tried in vain), other runs of the "
    "same work, and the deployment's settings; the deployment asks them before it acts"
)


def _is_unread(guard: Guard, asked: Asked) -> bool:
    """A case may carry the attempts of its chain; then what these say is known without a ledger."""
    if asked.history.ledger_read or guard not in _UNREAD:
        return False
    return not (guard in _OF_THE_CHAIN and asked.attempts)


def _attempts(asked: Asked) -> str:
    made = sum(not (one.is_retry or one.abandoned) for one in asked.attempts)
    kept = " (this one changes nothing)" if asked.draft and asked.draft.is_retry else ""
    return f"{made} of {asked.limits.attempts} are used{asked.named('attempts')}{kept}"


def _retries(asked: Asked) -> str:
    made = sum(one.is_retry or one.abandoned for one in asked.attempts)
    return f"{made} of {asked.limits.retries} are used{asked.named('retries')}"


def _usd_per_job(asked: Asked) -> str:
    limit = smallest(asked.limits.usd_per_job, asked.history.max_usd_per_job)
    spent = asked.history.usd_this_job
    line = _money(asked, limit, spent, "for this job", "usd_per_job")
    worst = asked.cost.worst_usd if asked.cost else None
    if limit is None or worst is None or spent + worst <= limit:
        return line
    ends = "cancels it" if asked.limits.on_overrun == "cancel" else "only alerts"
    return (
        f"{line}; the estimate is counted, not the ${worst:.2f} at worst: once the attempt has cost "
        f"more than the limit leaves, `on_overrun: {asked.limits.on_overrun}` {ends}"
    )


def _usd_per_day(asked: Asked) -> str:
    limit = smallest(asked.limits.usd_per_day, asked.history.max_usd_per_day)
    lines = [_money(asked, limit, asked.history.usd_today, "today", "usd_per_day")]
    for group in asked.limits.per:
        if group.usd_per_day is not None:
            value = budgets.group_value(asked.job, group.by)
            spent = asked.history.spent_by.get((group.by, value), 0.0)
            where = f"today by {group.by.replace('_', ' ')} {value or '(none)'}"
            lines.append(_money(asked, group.usd_per_day, spent, where, "per"))
    return "; ".join(lines)


def _money(asked: Asked, limit: float | None, spent: float, where: str, key: str) -> str:
    estimated = asked.cost.usd if asked.cost else None
    more = "an unknown amount" if estimated is None else f"${estimated:.2f}"
    if not asked.history.ledger_read and not spent:
        bound = "no limit is set" if limit is None else f"of ${limit:.2f}{asked.named(key)}"
        return f"{more} more, {bound}"
    if limit is None:
        return f"no limit is set; ${spent:.2f} spent {where}, {more} more"
    return f"${spent:.2f} spent {where} and {more} more, of ${limit:.2f}{asked.named(key)}"


def _rate(asked: Asked) -> str:
    limit, made = asked.limits.resubmissions_per_hour, asked.history.resubmissions_last_hour
    if limit is None:
        return f"no limit is set; {made} in the last hour"
    return f"{made} of {limit} in the last hour{asked.named('resubmissions_per_hour')}"


def _unknown_price(asked: Asked) -> str:
    if asked.cost is None:
        return ""
    if asked.cost.usd is None:
        return "the price is not known, and no limit in dollars is set"
    if asked.cost.usd_per_hour is None:
        return asked.cost.basis
    return f"${asked.cost.usd_per_hour:.4g} an hour{' at most' if asked.cost.at_most else ''}"


def _list(key: str, names: Callable[[Asked], set[str]]) -> Callable[[Asked], str]:
    def passes(asked: Asked) -> str:
        if asked.draft is None:
            return ""
        allowed = getattr(asked.limits, key)
        chosen = ", ".join(sorted(names(asked)))
        if allowed is None:
            return f"{chosen or 'none'}; no list is set"
        listed = f"{', '.join(allowed)}{asked.named(key)}"
        return f"{chosen}, of {listed}" if chosen else f"none is asked for; allowed are {listed}"

    return passes


def _machines(asked: Asked) -> set[str]:
    return {p.hardware.machine for p in asked.draft.job.pools} if asked.draft else set()


def _devices(asked: Asked) -> set[str]:
    pools = asked.draft.job.pools if asked.draft else ()
    return {p.hardware.accelerator for p in pools} - {""}


def _breaker(asked: Asked) -> str:
    breaker = asked.limits.breaker
    if breaker is None:
        return "none is set"
    share = f"{breaker.failed_share:.0%} of the last {breaker.of_last}"
    return f"fewer than {share} attempts have failed{asked.named('breaker')}"


def _service_account(asked: Asked) -> str:
    allowed = asked.history.service_accounts
    account = asked.job.service_account or NO_ACCOUNT
    return f"{account}, of {', '.join(allowed)}" if allowed else f"{account}; no list is set"


def _labels(asked: Asked) -> str:
    kept = [key for key in asked.job.labels if key not in OUR_LABELS]
    return f"{len(kept)} of its own and {len(OUR_LABELS)} of ours, of {MOST_LABELS} labels"


def _rerun_label(asked: Asked) -> str:
    return f"the job's label {SWITCH_LABEL} is {asked.job.labels.get(SWITCH_LABEL) or 'not set'}"


def _cause(asked: Asked) -> str:
    if asked.retried_exit is not None:
        return f"the policy says that exit code {asked.retried_exit} may be run again"
    return f"{asked.diagnosis.verdict.value} may be fixed by running again"


def _tried_in_vain(asked: Asked) -> str:
    draft = asked.draft
    if draft is None or draft.is_retry or asked.diagnosis.verdict in PASSING:
        return "the same job again is no step that can be in vain"
    return f"no run of the same work tried as much in vain in the last {REPEATED_AFTER.days} days"


def _most(key: str, words: str) -> Callable[[Asked], str]:
    def allowed(asked: Asked) -> str:
        limit = getattr(asked.limits, key)
        return "no limit is set" if limit is None else f"at most {limit}{words}{asked.named(key)}"

    return allowed


_OF_THE_CHAIN = frozenset({Guard.ATTEMPTS, Guard.RETRIES, Guard.USD_PER_JOB})

_UNREAD: Mapping[Guard, Callable[[Asked], str]] = {
    Guard.ATTEMPTS: _most("attempts", ""),
    Guard.RETRIES: _most("retries", ""),
    Guard.USD_PER_JOB: _usd_per_job,
    Guard.USD_PER_DAY: _usd_per_day,
    Guard.RATE: _most("resubmissions_per_hour", " in an hour"),
    Guard.STOP_SWITCH: lambda _: "",
    Guard.BREAKER: lambda asked: "" if asked.limits.breaker else "none is set",
    Guard.LOOKBACK: lambda _: "",
    Guard.ALREADY_RERUN: lambda _: "",
    Guard.SERVICE_ACCOUNT: lambda asked: asked.job.service_account or NO_ACCOUNT,
    Guard.TRIED_IN_VAIN: lambda _: "",
}
"""What the ledger, other jobs or the deployment's settings would have to say, with what is allowed."""

_PASSES: Mapping[Guard, Callable[[Asked], str]] = {
    Guard.ATTEMPTS: _attempts,
    Guard.RETRIES: _retries,
    Guard.USD_PER_JOB: _usd_per_job,
    Guard.USD_PER_DAY: _usd_per_day,
    Guard.RATE: _rate,
    Guard.UNKNOWN_PRICE: _unknown_price,
    Guard.MACHINE_TYPES: _list("machine_types", _machines),
    Guard.ACCELERATORS: _list("accelerators", _devices),
    Guard.LOCATIONS: _list("locations", lambda a: {a.draft.location} if a.draft else set()),
    Guard.INCOMPATIBLE: lambda a: "Vertex takes the combination" if a.draft else "",
    Guard.CAUSE: _cause,
    Guard.STOP_SWITCH: lambda _: "off",
    Guard.LABEL_OFF: _rerun_label,
    Guard.BREAKER: _breaker,
    Guard.CANCELLED_BY_PERSON: lambda _: "nobody cancelled it",
    Guard.LOOKBACK: lambda _: "it became known in time",
    Guard.ALREADY_RERUN: lambda _: "no other job that runs the same work is known",
    Guard.HAS_PARENT: lambda _: "it is not part of another job",
    Guard.SERVICE_ACCOUNT: _service_account,
    Guard.PINNED: lambda _: "nothing holds it to its machines",
    Guard.LABELS_FULL: _labels,
    Guard.TRIED_IN_VAIN: _tried_in_vain,
}
