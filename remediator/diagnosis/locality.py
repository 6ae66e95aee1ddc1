"""Where the job ran, where its data lies, and how far the outside hosts are.

Owns the comparison of the job's region with the locations of its buckets and datasets, and the
judgement of latency probes: one measured elsewhere than in the job's region is advice, never
evidence. Pure; called by `diagnose`.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from msgspec import Struct

from remediator.case import Case, Probe
from remediator.job import JobFacts

# Regions inside Cloud Storage's multi-regions and predefined dual-regions,
# https://cloud.google.com/storage/docs/locations. The EU multi-region leaves out London and Zurich.
_MULTI: Mapping[str, tuple[str, ...]] = {"US": ("us-",), "EU": ("europe-",), "ASIA": ("asia-",)}
_NOT_EU = frozenset({"europe-west2", "europe-west6"})
SLOW_ANSWER_SECONDS = 0.5  # documented: docs/policies.md, `probes.threshold`
_DUAL: Mapping[str, frozenset[str]] = {
    "NAM4": frozenset({"us-central1", "us-east1"}),
    "EUR4": frozenset({"europe-north1", "europe-west4"}),
    "EUR5": frozenset({"europe-west1", "europe-west2"}),
    "EUR7": frozenset({"europe-west2", "europe-west3"}),
    "EUR8": frozenset({"europe-west3", "europe-west6"}),
    "ASIA1": frozenset({"asia-northeast1", "asia-northeast2"}),
}


class FarData(Struct, frozen=True):
    """A bucket or dataset of the job that lies outside the job's region."""

    name: str
    location: str

    def is_overseas(self, region: str) -> bool:
        """Whether it lies on another continent than the region."""
        return _continent(self.location) != _continent(region)


class Distance(Struct, frozen=True):
    """What is far away: data in another region, hosts that answered slowly.

    `slow_here` were probed from the job's own region and `slow_elsewhere` from another place, both
    over the threshold; `near` holds buckets that lie where the job ran. `hosts` are the outside
    hosts that the configuration names.
    """

    region: str
    far: tuple[FarData, ...]
    near: tuple[str, ...]
    slow_here: tuple[Probe, ...]
    slow_elsewhere: tuple[Probe, ...]
    quick_here: tuple[Probe, ...]
    hosts: tuple[str, ...]


def holds(location: str, region: str) -> bool | None:
    """Whether a storage location contains the region; None for a location that is not known."""
    place = location.strip().upper()
    if not place or not region:
        return None
    if place.lower() == region:
        return True
    if place in _MULTI:
        inside = region.startswith(_MULTI[place])
        return inside and not (place == "EU" and region in _NOT_EU)
    if place in _DUAL:
        return region in _DUAL[place]
    # A single region's name carries a number at its end; anything else is unknown to us.
    return False if place[-1].isdigit() and "-" in place else None


_CONTINENTS: Mapping[str, str] = {
    "NAM4": "us", "NORTHAMERICA": "us", "EU": "europe", "EUR4": "europe", "EUR5": "europe",
    "EUR7": "europe", "EUR8": "europe", "ASIA1": "asia",
}  # fmt: skip
"""First words of locations that name a continent otherwise than most of its regions do."""


def _continent(location: str) -> str:
    """`us`, `europe`, `asia`: the part of the world that a region or a storage location lies in."""
    first = location.strip().upper().partition("-")[0]
    return _CONTINENTS.get(first, first.lower())


def read_distance(case: Case, workload: JobFacts, *, probe_threshold_seconds: float) -> Distance:
    """Compare the job's region with every known location, and its probes with the threshold."""
    region = case.job.name.location
    known = {
        name.removeprefix("gs://").removeprefix("bq://"): at for name, at in case.buckets.items()
    }
    ours = set(workload.data_places)
    judged = {
        name: holds(at, region) for name, at in known.items() if not ours or _is_ours(name, ours)
    }
    slow = [probe for probe in case.probes if probe.seconds > probe_threshold_seconds]
    quick = [probe for probe in case.probes if probe.seconds <= probe_threshold_seconds]
    return Distance(
        region=region,
        far=tuple(FarData(name, known[name]) for name in sorted(judged) if judged[name] is False),
        near=tuple(name for name in sorted(judged) if judged[name]),
        slow_here=tuple(probe for probe in slow if probe.origin == region),
        slow_elsewhere=tuple(probe for probe in slow if probe.origin != region),
        quick_here=tuple(probe for probe in quick if probe.origin == region),
        hosts=case.job.external_hosts(case.model),
    )


def _is_ours(name: str, ours: set[str]) -> bool:
    return name in ours or any(name.endswith("." + own) or own.endswith("." + name) for own in ours)


def host_of(url: str) -> str:
    """The host of a probed URL in lower case; the text itself where it is a bare host."""
    try:
        return (urlsplit(url).hostname or url).lower()
    except ValueError:
        return url.lower()
