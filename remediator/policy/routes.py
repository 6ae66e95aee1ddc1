"""Who is told, and which budgets a claim must fit into: what the stories ask of a policy file.

Pure. The planner decides what is done; this says where it is told and what it is counted against.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from remediator.domain import Diagnosis, Guard, money_counter
from remediator.job import Job
from remediator.policy.model import OWNER, Limits, Policies, Policy

HOUR_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Budget:
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


def channels_of(policies: Policies, name: str, job: Job) -> tuple[str, ...]:
    """Where a policy's alerts go, the owner found for the job; the last policy's if it is gone."""
    chosen = next((policy for policy in policies.policies if policy.name == name), None)
    if chosen is None and policies.policies:
        chosen = policies.policies[-1]
    return resolved(policies, chosen, job.labels, job.service_account or "") if chosen else ()


def channels_for_refusal(policies: Policies, found: Diagnosis, kind: str) -> tuple[str, ...]:
    """Where a creation that Vertex refused is told: by the first policy for such a cause."""
    for policy in policies.policies:
        when = policy.when
        asks_more = when.labels or when.model or when.condition or when.service_account
        right_kind = when.job is None or kind in when.job
        right_cause = when.cause is None or found.verdict in when.cause
        if policy.enabled and right_kind and right_cause and not asks_more:
            return resolved(policies, policy, {}, "")
    return ()


def resolved(
    policies: Policies, policy: Policy, labels: Mapping[str, str], service_account: str
) -> tuple[str, ...]:
    """The policy's channels with `owner` replaced by whoever the owner map finds.

    Where that is nobody and the policy names no other channel, every channel in use is told: a
    failure that is nobody's is everybody's. `alert: []` tells nobody, as written.
    """
    found: list[str] = []
    for name in policy.alert:
        if name != OWNER:
            found.append(name)
            continue
        owner = policies.owner_of(labels, service_account)
        if owner:
            found.append(owner)
    if policy.alert and not found:
        return all_channels(policies) or tuple(policies.channels)
    return tuple(dict.fromkeys(found))


def all_channels(policies: Policies) -> tuple[str, ...]:
    """Every channel that some policy uses: for news of the remediator itself."""
    used = (
        name
        for policy in policies.policies
        if policy.enabled
        for name in policy.alert
        if name != OWNER
    )
    return tuple(dict.fromkeys(used))


_SCARCE = (
    "quota",
    "stockout",
    "insufficient",
    "not have enough resources",
    "not enough resources",
    "not enough capacity",
    "out of capacity",
    "resource pool exhausted",
)


def is_scarcity(text: str) -> bool:
    """Whether Vertex's refusal means that quota or machines are wanting, not that it never works.

    Asked of its own words: somebody may call a model `quota-forecast`, and that it is missing is no
    want of quota.
    """
    own = _THEIR_NAMES.sub(" ", text).lower()
    return any(word in own for word in _SCARCE)


_THEIR_NAMES = re.compile(
    r"(?:projects|locations|publishers)/[^\s'\"`]+"
    r"|(?:gs|bq|https?)://[^\s'\"`]+|[\w.+-]+@[\w.-]+|[\w.-]*(?:pkg\.dev|gcr\.io)/[^\s'\"`]+"
    r"|\b[a-z0-9]+(?:[-_][a-z0-9]+)+\b"  # a name of several words, such as quota-forecast
    r"|(?<!uota )(?<!uotas )(['\"`])(?=[^'\"`]*[a-z])[\w./:-]{1,200}\1"
)
"""What users name: resources, data, images, accounts, and what stands in quotation marks in one word."""
