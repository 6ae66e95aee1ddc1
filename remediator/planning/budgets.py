"""Which budgets a claim must fit into: money of a day, resubmissions of an hour. Pure.

The planner decides what is done; this says what it is counted against.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from remediator.domain import Guard, History, money_counter
from remediator.job import Job
from remediator.policy.model import Limits

HOUR_SECONDS = 3600.0


class Budget(Struct, frozen=True):
    """A counter that a resubmission is held against; `limit` None: counted, not limited.

    `amount` is "usd" for money by UTC day, "count" for a number in a sliding hour.
    """

    key: str
    guard: Guard
    limit: float | None
    unit: str
    group: tuple[str, str] | None = None

    @property
    def window_seconds(self) -> float | None:
        """The sliding window of a rate; None for money, which is kept by day."""
        return HOUR_SECONDS if self.unit == "count" else None


def with_use(history: History, used: Mapping[Budget, float]) -> History:
    """The history with what each budget has in it: US dollars of the day, resubmissions of the hour."""
    usd = {budget.group: amount for budget, amount in used.items() if budget.unit == "usd"}
    count = {budget.group: round(n) for budget, n in used.items() if budget.unit == "count"}
    return replace(
        history,
        usd_today=usd.get(None, 0.0),
        resubmissions_last_hour=count.get(None, 0),
        spent_by={group: amount for group, amount in usd.items() if group},
        resubmitted_by={group: n for group, n in count.items() if group},
    )


def budgets(limits: Limits, job: Job, now: datetime) -> tuple[Budget, ...]:
    """Every counter that a resubmission of the job belongs to, with what these limits say of it."""
    day = now.astimezone(UTC).date()
    found = [
        Budget(money_counter(day), Guard.USD_PER_DAY, limits.usd_per_day, "usd"),
        Budget("rate:all", Guard.RATE, limits.resubmissions_per_hour, "count"),
    ]
    for per in limits.per:
        value = group_value(job, per.by)
        group = (per.by, value)
        found.append(
            Budget(
                money_counter(day, f"{per.by}:{value}"),
                Guard.USD_PER_DAY,
                per.usd_per_day,
                "usd",
                group,
            )
        )
        found.append(
            Budget(f"rate:{per.by}:{value}", Guard.RATE, per.resubmissions_per_hour, "count", group)
        )
    return tuple(found)


def group_value(job: Job, by: str) -> str:
    """The job's group under `limits.per`: `service_account`, `location`, `model` or `labels.NAME`."""
    if by.startswith("labels."):
        return job.labels.get(by.removeprefix("labels."), "")
    table = {
        "service_account": lambda: job.service_account or "",
        "location": lambda: job.name.location,
        "model": lambda: job.model_name or "",
    }
    return table[by]()
