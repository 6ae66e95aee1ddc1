"""What Cloud Monitoring says of the quotas that a refusal names: their limits and use, by region.

Owns which series tell of them (Google's own `serviceruntime.googleapis.com/quota/…` of the consumer)
and how they fill in what the message leaves out; what the message says itself stands. With them, whether
a draft could ever be given its machines, and whether the job itself has room once others are done. Pure; the series come with the case. Called by `ladder` and `steps`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from remediator.case import Case, Series
from remediator.catalog.catalog import Catalog
from remediator.catalog.growth import devices_of
from remediator.domain import Cause
from remediator.job import Job
from remediator.job.quota import (
    GLOBAL,
    QUOTA_LIMIT,
    QUOTA_USAGE,
    Quota,
    Shortage,
    shortage,
)
from remediator.planning.draft import JobDraft, StepContext, origin


def filled_in(quotas: Iterable[Quota], case: Case, region: str) -> Iterator[Quota]:
    """Each quota with the region's limit and use where the message says neither; where the message
    speaks of another region, what is known of this one besides."""
    for quota in quotas:
        if quota.limit is not None or quota.region == GLOBAL:
            yield quota
            continue
        for place in dict.fromkeys((quota.region or region, region)):
            limit = _newest(case, QUOTA_LIMIT, quota.metric, place)
            usage = _newest(case, QUOTA_USAGE, quota.metric, place)
            if place == (quota.region or region) or limit is not None:
                yield replace(
                    quota,
                    region=place,
                    limit=limit,
                    usage=quota.usage if quota.usage is not None else usage,
                )


def _newest(case: Case, metric: str, quota: str, region: str) -> float | None:
    """The newest value of the quota's series in the region, else of the one that holds everywhere."""
    of_quota = [
        one for one in case.series if one.metric == metric and one.points and _is_of(one, quota)
    ]
    for place in (region, GLOBAL):
        there = [one for one in of_quota if one.resource_labels.get("location") == place]
        if there:
            # Of several limits on one metric, the smallest binds.
            return min(one.points[-1][1] for one in there)
    return None


def _is_of(series: Series, quota: str) -> bool:
    named = series.labels.get("quota_metric", "")
    return named.rpartition("/")[2] == quota


def known_shortage(draft: JobDraft, now: StepContext) -> Shortage | None:
    """A quota named by the failure that could not hold the draft either."""
    if not now.quotas:
        return None
    failed_in = now.case.job.name.location
    placed = [replace(q, region=q.region or failed_in) for q in now.quotas]
    placed = list(filled_in(placed, now.case, draft.location))
    pools = [(pool.hardware, pool.replicas) for pool in draft.job.pools]
    service, spot = now.service, draft.job.is_spot
    return shortage(
        placed,
        pools,
        draft.location,
        now.catalog,
        service,
        spot=spot,
        waited=_waited_for_quota(now),
        refused=lambda quota: _needed(quota, now.job, now.catalog),
        had=_devices_at_first(now),
    )


def _devices_at_first(now: StepContext) -> set[str]:
    """The devices of the chain's first job, of which its project may use some."""
    first = origin(now.job, now.history.attempts or now.case.attempts)
    return {devices_of(now.catalog, pool.hardware)[0] for pool in first.pools}


def room_once_free(now: StepContext) -> str:
    """In words, that each quota that refused the job is known to be large enough for it, by its limit or by
    what others use of it, so that it only waits for them; empty: not known, or one of them is too small."""
    job = now.job
    placed = [replace(q, region=q.region or job.name.location) for q in now.quotas]
    said = []
    for quota in filled_in(placed, now.case, job.name.location):
        needed = _needed(quota, job, now.catalog)
        if not needed:
            continue
        known = quota.limit if quota.limit is not None else quota.usage
        if known is None or known < needed:
            return ""
        which = "the limit" if quota.limit is not None else "what others use"
        said.append(
            f"{which} of {quota.metric} in {quota.region} is {known:g} and the job needs {needed:g}"
        )
    return f"{', '.join(said)}: there is room once others are done" if said else ""


def _needed(quota: Quota, job: Job, catalog: Catalog) -> float:
    """What all replicas of the job need of the quota."""
    return sum(
        quota.counts(pool.hardware, catalog, spot=job.is_spot) * pool.replicas for pool in job.pools
    )


def _waited_for_quota(now: StepContext) -> bool:
    """Whether the same job was asked for again after a refusal for want of quota, and was refused."""
    made = now.history.attempts or now.case.attempts
    return any(one.verdict == Cause.QUOTA.value and not one.changes for one in made)
