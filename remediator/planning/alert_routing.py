"""Which channels an alert goes to, by the policy file. Pure.

A policy names channels, or `owner`, for which the owner map finds one.
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.domain import Diagnosis
from remediator.job import Job
from remediator.policy.model import OWNER, Policies, Policy
from remediator.policy.watch_entries import WatchEntry


def channels_of(policies: Policies, name: str, job: Job) -> tuple[str, ...]:
    """Where the alerts of a policy, or of an entry of `watch`, go, the owner found for the job; the last
    policy's if it is gone."""
    named: tuple[Policy | WatchEntry, ...] = (*policies.policies, *policies.watch)
    chosen = next((one for one in named if one.name == name), None)
    if chosen is None and policies.policies:
        chosen = policies.policies[-1]
    return (
        resolved_channels(policies, chosen, job.labels, job.service_account or "") if chosen else ()
    )


def channels_for_refused_create(policies: Policies, found: Diagnosis, kind: str) -> tuple[str, ...]:
    """Where a creation that Vertex refused is told: by the first policy for such a cause."""
    for policy in policies.policies:
        when = policy.when
        asks_more = when.labels or when.model or when.condition or when.service_account
        right_kind = when.job is None or kind in when.job
        right_cause = when.cause is None or found.verdict in when.cause
        if policy.enabled and right_kind and right_cause and not asks_more:
            return resolved_channels(policies, policy, {}, "")
    return ()


def resolved_channels(
    policies: Policies,
    policy: Policy | WatchEntry,
    labels: Mapping[str, str],
    service_account: str,
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
    """Every channel that some policy or entry of `watch` uses: for news of the remediator itself."""
    every: tuple[Policy | WatchEntry, ...] = (*policies.policies, *policies.watch)
    used = (name for one in every if one.enabled for name in one.alert if name != OWNER)
    return tuple(dict.fromkeys(used))
