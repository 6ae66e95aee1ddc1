"""The limits that bind a resubmission: the policy's, the general ones, the environment's, and its breaker.

Owns which limits hold and in which form the ledger is asked about them. Whether a plan fits is decided by
`planning.guards`, and at the claim by the ledger. Called by `decide`, `resubmit` and `running_attempts`.
"""

from __future__ import annotations

import math
from datetime import datetime

from remediator.domain import Guard
from remediator.job import Job
from remediator.job.likeness import breaker_track
from remediator.ledger import BreakerPause, Ledger, Limit, pause_of
from remediator.planning import budgets
from remediator.policy.model import Limits
from remediator.workflow.incident_context import IncidentContext
from remediator.workflow.services import Configuration


def limits_of(policy: str, config: Configuration) -> Limits:
    """The limits that hold for a policy's resubmissions; the general ones where it is gone."""
    policies = config.policies()
    own = next((one for one in policies.policies if one.name == policy), None)
    return policies.limits_for(own) if own else policies.limits


def job_budget(policy: str, config: Configuration) -> float | None:
    """What all resubmissions of one root job may cost, US dollars; None: no limit."""
    bounds = (limits_of(policy, config).usd_per_job, config.settings.max_usd_per_job)
    return min((bound for bound in bounds if bound is not None), default=None)


def budget_limit(budget: budgets.Budget, usd: float) -> Limit:
    return Limit(
        key=budget.key,
        guard=budget.guard.value,
        limit=math.inf if budget.limit is None else budget.limit,
        amount=usd if budget.unit == "usd" else 1.0,
        window_seconds=budget.window_seconds,
    )


def claim_limits(
    context: IncidentContext, config: Configuration, ledger: Ledger, now: datetime
) -> tuple[Limit, ...]:
    """The budgets that the claim must fit into, the policy's own where they are tighter."""
    limits = limits_of(context.plan.policy, config)
    usd = context.plan.estimated_usd or 0.0
    money = tuple(budget_limit(budget, usd) for budget in budgets.budgets(limits, context.job, now))
    paused = breaker_pause(context.plan.policy, context.job, config, ledger, now)
    if paused is None or limits.breaker is None:
        return money
    # The pause is over: one resubmission tries, and the others wait for how it ends.
    key = f"trial:{breaker_track(context.plan.policy, context.job)}"
    window = limits.breaker.pause.total_seconds()
    return (*money, Limit(key, Guard.BREAKER.value, 1.0, 1.0, window))


def breaker_pause(
    policy: str, job: Job, config: Configuration, ledger: Ledger, now: datetime
) -> BreakerPause | None:
    """The pause that the policy's breaker asks for such jobs, over or not; None: it asks for none."""
    breaker = limits_of(policy, config).breaker
    if breaker is None:
        return None
    key = breaker_track(policy, job)
    return pause_of(
        ledger.outcome_history((key,))[key],
        now,
        failed_share=breaker.failed_share,
        of_last=breaker.of_last,
        pause=breaker.pause,
    )
