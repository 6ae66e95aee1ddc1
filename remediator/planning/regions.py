"""Where a job may move: the regions that its model, data, keys and network can follow to.

Owns the geography of buckets (regions, dual and multi-regions) and what holds a job where it is.
Must not weigh limits other than the list of allowed regions that `next` walks through. Called by
`steps` alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remediator.case import Case
from remediator.catalog.catalog import Catalog, Hardware, Service
from remediator.domain import History, JobKind
from remediator.domain.late_pattern import late_pattern
from remediator.domain.light_dataclass import dataclass
from remediator.job import Job
from remediator.policy.selection import matches_any

_MULTI_REGIONS: Mapping[str, tuple[str, ...]] = {
    "us": ("us-",),
    "eu": ("europe-",),
    "asia": ("asia-",),
    # Cloud Storage's predefined dual-regions
    "nam4": ("us-central1", "us-east1"),
    "eur4": ("europe-north1", "europe-west4"),
    "asia1": ("asia-northeast1", "asia-northeast2"),
}
_OUTSIDE_EU = frozenset({"europe-west2", "europe-west6"})  # London and Zurich are not in EU
_LOCATED = late_pattern(r"locations/([a-z0-9-]+)/")


@dataclass(frozen=True, slots=True)
class TargetRegion:
    """A region to move to, and doubts about it."""

    region: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Stuck:
    """Why the job stays; `pinned`: by a persistent resource, a reservation or a network."""

    why: str
    pinned: bool = False


def target(
    asked: str,
    case: Case,
    history: History,
    catalog: Catalog,
    allowed: tuple[str, ...] | None,
    hardware: tuple[Hardware, ...],
    service: Service,
) -> TargetRegion | Stuck:
    """The region that `asked` (`next`, `data` or a name) leads to, or why there is none."""
    here = case.job.name.location
    if asked == "data":
        return _to_data(case, hardware, catalog, service)
    if asked != "next":
        held = _held(case, asked) if asked != here else None
        return held or TargetRegion(asked, _doubts(asked, hardware, catalog, service))
    tried = {here, *(str(change.after) for a in history.attempts for change in a.changes
                     if change.field == "location")}  # fmt: skip
    known = sorted(catalog.offers)
    after = [r for r in known if r > here] + [r for r in known if r <= here]
    after.sort(key=lambda region: _continent(region) != _continent(here))  # the nearer ones first
    if allowed is None or "*" in allowed:
        # Nobody named the regions: what the job reads and writes may have to stay in this part of
        # the world, and of what its program opens by itself nothing is known.
        after = [region for region in after if _continent(region) == _continent(here)]
    reasons: list[Stuck] = []
    for region in after:
        if region in tried or (allowed is not None and not matches_any(allowed, region)):
            continue
        if any(catalog.offered(h, region, service) is False for h in hardware):
            continue
        held = _held(case, region)
        if held is None:
            return TargetRegion(region)
        reasons.append(held)
    if reasons:
        return reasons[0]
    return Stuck(f"no other allowed region offers what the job runs on in {here}")


def _continent(region: str) -> str:
    """`us`, `europe`, `asia`, …: the first word of a region's name."""
    return region.partition("-")[0]


def _to_data(
    case: Case, hardware: tuple[Hardware, ...], catalog: Catalog, service: Service
) -> TargetRegion | Stuck:
    buckets = case.job.input_buckets
    known = {case.buckets[b].lower() for b in buckets if case.buckets.get(b)}
    if not known:
        return Stuck("where the input lives is not known")
    if all(covers(place, case.job.name.location) for place in known):
        return Stuck(f"the input is in {_listed(known)}, where the job runs already")
    if len(known) > 1:
        return Stuck(f"the input lives in several places: {_listed(known)}")
    (place,) = known
    if place in _MULTI_REGIONS:
        return Stuck(f"the input lives in {place.upper()}, which is not a single region")
    held = _held(case, place)
    return held or TargetRegion(place, _doubts(place, hardware, catalog, service))


def _doubts(
    region: str, hardware: Sequence[Hardware], catalog: Catalog, service: Service
) -> tuple[str, ...]:
    unknown = any(catalog.offered(h, region, service) is None for h in hardware)
    return (f"whether {region} offers {hardware[0]} is not known",) if unknown else ()


def _held(case: Case, region: str) -> Stuck | None:
    """What keeps the job from going to the region; None: nothing that is known of."""
    job = case.job
    pinned = pins(job)
    if pinned:
        return Stuck(f"the job uses {pinned}, which stays in {job.name.location}", pinned=True)
    model = job.model_path
    located = _LOCATED.search(model)
    if located and "publishers/" not in model and located[1] != region:
        return Stuck(f"the model is in {located[1]}: it would have to be copied to {region} first")
    for key in job.keys:
        located = _LOCATED.search(key)
        if located and located[1] not in {region, "global"}:
            return Stuck(f"the encryption key is in {located[1]} and cannot be used in {region}")
    for what, name in job.tied_to:
        located = _LOCATED.search(name)
        there = located[1] if located else job.name.location  # an id alone is one of this region
        if there != region:
            return Stuck(f"the {what} is in {there} and cannot be used in {region}")
    return _data_held(case, region)


def _data_held(case: Case, region: str) -> Stuck | None:
    batch = case.job.kind is JobKind.BATCH_PREDICTION
    for bucket in case.job.buckets if batch else case.job.input_buckets:
        place = case.buckets.get(bucket, "").lower()
        if not place:
            return Stuck(f"where bucket {bucket} lives is not known, so nobody can tell "
                         f"whether it may be read from {region}")  # fmt: skip
        if not covers(place, region):
            return Stuck(f"the data in bucket {bucket} is in {place}, not in {region}")
    if case.job.tables:
        return Stuck("BigQuery datasets stay where they are")
    return None


def covers(place: str, region: str) -> bool:
    """Whether a bucket's location holds the region."""
    if place == "eu" and region in _OUTSIDE_EU:
        return False
    return place == region or any(region.startswith(p) for p in _MULTI_REGIONS.get(place, ()))


def _listed(places: set[str]) -> str:
    return ", ".join(sorted(places))


def pins(job: Job, *, machines_only: bool = False) -> str:
    """What holds the job to its machines, and (unless `machines_only`) to its region, in words."""
    if job.persistent_resource:
        return "a persistent resource"
    reserved = [pool.pinned for pool in job.pools if pool.pinned]
    if reserved:
        return reserved[0]
    return "" if machines_only else job.network
