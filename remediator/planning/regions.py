"""Where a job may move: the regions that its model, data, keys and network can follow to.

Owns the geography of buckets (regions, dual and multi-regions), what holds a job where it is, and the
order in which `next` walks through the allowed regions. What the step would run on in a region is
asked of `hardware`. Called by `steps` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct

from remediator.case import Case
from remediator.catalog.catalog import Catalog, Hardware, Service
from remediator.domain import History, JobKind
from remediator.domain.late_pattern import late_pattern
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


class TargetRegion(Struct, frozen=True):
    """A region to move to, and doubts about it."""

    region: str
    notes: tuple[str, ...] = ()


class Stuck(Struct, frozen=True):
    """Why the job stays; `pinned`: by a persistent resource, a reservation or a network. `is_there`: it
    is where it is to go."""

    why: str
    pinned: bool = False
    is_there: bool = False


class Suitability(Struct, frozen=True):
    """How well a step can be taken in a region: `why_not` at all (empty: it can), else its `rank`, the
    best 0."""

    why_not: str = ""
    rank: int = 0


def target(
    asked: str,
    case: Case,
    history: History,
    catalog: Catalog,
    allowed: tuple[str, ...] | None,
    hardware: tuple[Hardware, ...],
    service: Service,
    suitability: Callable[[str], Suitability],
) -> TargetRegion | Stuck:
    """The region that `asked` (`next`, `data` or a name) leads to, or why there is none.

    `hardware` is what the job runs on; `next` asks for the `suitability` of each region that the job
    can follow to, and takes the first of the best.
    """
    here = case.job.name.location
    if asked == "data":
        return _to_data(case, hardware, catalog, service, allowed, suitability)
    if asked != "next":
        held = _held(case, asked) if asked != here else None
        return held or TargetRegion(asked, _doubts(asked, hardware, catalog, service))
    return _to_next(case, history, catalog, allowed, suitability)


def _to_next(
    case: Case,
    history: History,
    catalog: Catalog,
    allowed: tuple[str, ...] | None,
    suitability: Callable[[str], Suitability],
) -> TargetRegion | Stuck:
    here = case.job.name.location
    tried = {here, *(str(change.after) for a in history.attempts for change in a.changes
                     if change.field == "location")}  # fmt: skip
    known = sorted(catalog.offers)
    after = [r for r in known if r > here] + [r for r in known if r <= here]
    after.sort(key=lambda region: _continent(region) != _continent(here))  # the nearer ones first
    if allowed is None or "*" in allowed:
        # Nobody named the regions: what the job reads and writes may have to stay in this part of
        # the world, and of what its program opens by itself nothing is known.
        after = [region for region in after if _continent(region) == _continent(here)]
    after = [r for r in after if r not in tried and (allowed is None or matches_any(allowed, r))]
    return _best(after, case, suitability)


def _best(
    candidates: Sequence[str], case: Case, suitability: Callable[[str], Suitability]
) -> TargetRegion | Stuck:
    """Of the regions that the job can follow to, the first of those that suit the step best."""
    reasons: list[Stuck] = []
    unsuited = ""
    found: list[tuple[int, str]] = []
    for region in candidates:
        held = _held(case, region)
        if held is not None:
            reasons.append(held)
            continue
        suits = suitability(region)
        if suits.why_not:
            unsuited = unsuited or f"{region}: {suits.why_not}"
            continue
        found.append((suits.rank, region))
    if found:
        return TargetRegion(min(found, key=lambda one: one[0])[1])
    if unsuited:
        return Stuck(f"no region that the job can follow to has what it needs ({unsuited})")
    if reasons:
        return reasons[0]
    return Stuck(f"no other allowed region is known to the job in {case.job.name.location}")


def _continent(region: str) -> str:
    """`us`, `europe`, `asia`, …: the first word of a region's name."""
    return region.partition("-")[0]


def _to_data(
    case: Case,
    hardware: tuple[Hardware, ...],
    catalog: Catalog,
    service: Service,
    allowed: tuple[str, ...] | None,
    suitability: Callable[[str], Suitability],
) -> TargetRegion | Stuck:
    buckets = case.job.input_buckets
    known = {case.buckets[b].lower() for b in buckets if case.buckets.get(b)}
    if not known:
        return Stuck("where the input lives is not known", is_there=not buckets)
    if all(covers(place, case.job.name.location) for place in known):
        why = f"the input is in {_listed(known)}, where the job runs already"
        return Stuck(why, is_there=True)
    inside = [r for r in catalog.offers if all(covers(place, r) for place in known)]
    single = sorted(known - _MULTI_REGIONS.keys())
    if len(single) > 1 or (not single and not inside):
        return Stuck(f"the input lives in several places: {_listed(known)}")
    if single:
        held = _held(case, single[0])
        return held or TargetRegion(single[0], _doubts(single[0], hardware, catalog, service))
    # A region inside a multi-region is as near to its data as any other: one that the lists name, then
    # the one that suits best.
    listed = [r for r in inside if allowed is None or matches_any(allowed, r)] or inside
    return _best(sorted(listed), case, suitability)


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
