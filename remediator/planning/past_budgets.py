"""What plans about the past would have used of each budget, in the order of time. Pure.

Owns the counters of a backtest, which stand where the ledger's stand live. Called by the backtests of
failures and of running jobs.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct, field

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import History
from remediator.planning import budgets, costs
from remediator.policy import Policies


class PastBudgets(Struct):
    """What the plans so far would have used of each budget."""

    _marks: dict[str, list[tuple[datetime, float]]] = field(default_factory=dict)

    def used(self, budget: budgets.Budget, now: datetime) -> float:
        """US dollars of the day, or resubmissions of the last hour."""
        window = budget.window_seconds
        since = now - timedelta(seconds=window) if window else None
        marks = self._marks.get(budget.key, ())
        return sum(amount for at, amount in marks if since is None or at > since)

    def add(self, case: Case, policies: Policies, usd: float) -> None:
        """Book a resubmission of the case's job at its `now`, at `usd` US dollars."""
        for budget in budgets.budgets(policies.limits, case.job, case.now):
            amount = usd if budget.unit == "usd" else 1.0
            self._marks.setdefault(budget.key, []).append((case.now, amount))

    def history(self, case: Case, policies: Policies, catalog: Catalog) -> History:
        """What the guards are asked about the case, as the plans so far leave it."""
        used = {
            budget: self.used(budget, case.now)
            for budget in budgets.budgets(policies.limits, case.job, case.now)
        }
        history = History(
            attempts=case.attempts,
            parent=case.parent or case.job.parent,
            cancelled_by_person=case.job.cancelled_by_person,
            usd_this_job=costs.chain_usd(case, catalog),
        )
        return budgets.with_use(history, used)
