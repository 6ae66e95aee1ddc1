"""What a refusal for want of quota says: which quota, its limit and use, and what counts against it.

Owns the reading of Google's several ways to say so (Vertex's metrics, Compute Engine's names, the
fields of an error's details) and what a job's machines need of each. Judges nothing but whether a
quota can ever hold what a job asks. Pure; called by the planner and the fallback's checks.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct

from remediator.catalog.catalog import Catalog, Hardware, Service
from remediator.catalog.growth import devices_of
from remediator.domain.late_pattern import late_pattern

_METRIC = late_pattern(
    r"(?:aiplatform|compute|ml)\.googleapis\.com/(?P<path>[a-z][a-z0-9_]{2,120})"
    r"|[Qq]uota '(?P<named>[A-Za-z][A-Za-z0-9_-]{2,120})'"
    r"|Insufficient '(?P<wanting>[A-Z][A-Z0-9_]{2,120})' quota"
    r"|\b(?P<bare>custom_model_(?:training|serving)_[a-z0-9_]{2,100})\b"
    r"|\b(?P<camel>Custom(?:Model)?(?:Training|Serving|Prediction)?[A-Z][A-Za-z0-9]{2,100}PerProjectPerRegion)\b"
)
QUOTA_LIMIT = "serviceruntime.googleapis.com/quota/limit"
QUOTA_USAGE = "serviceruntime.googleapis.com/quota/allocation/usage"
"""Series of Cloud Monitoring, on the resource `consumer_quota` with its label `location`; which quota one is
of stands in the metric's label `quota_metric`. Documented: https://cloud.google.com/monitoring/alerts/using-quota-metrics.
Not checked against a real project."""
_OF_VERTEX = late_pattern(
    r"\baiplatform\.googleapis\.com/(?P<path>[a-z][a-z0-9_]{2,120})"
    r"|\bquota metric '(?P<named>[a-z][a-z0-9_]{2,120})'[^'\n]{0,40}"
    r"(?:'[^'\n]{1,120}' )?of service 'aiplatform\.googleapis\.com'"
)
"""A metric of Vertex AI by its full name, or as Service Control writes it: its name, perhaps the limit's, then
the service."""
_NUMBER = r"(?P<n>\d{1,9}(?:\.\d{1,3})?)"
_LIMIT = late_pattern(
    rf"(?:quota_limit_value\W{{1,6}}|\blimit(?: is| of|:|=)?\s{{0,3}}){_NUMBER}\b(?! ?(?:per|/))",
    re.IGNORECASE,
)
_USAGE = late_pattern(rf"\b(?:current )?usage(?: is| of|:|=)?\s{{0,3}}{_NUMBER}\b", re.IGNORECASE)
_AVAILABLE = late_pattern(rf"\bavailable(?: is|:|=)?\s{{0,3}}{_NUMBER}\b", re.IGNORECASE)
_REGION = late_pattern(r"\bin (?:the )?region:? ['\"]?(?P<region>[a-z]+-[a-z]+\d{1,2})\b")
_PASSING = late_pattern(
    r"requests?|per_?minute|queries|tokens|concurrent|_rate\b|qpm", re.IGNORECASE
)
_SPOT = late_pattern(r"preemptible|spot", re.IGNORECASE)
_CPUS = late_pattern(
    r"(?:^|_)(?:(?P<family>[a-z]\d{1,2}[a-z]?)_?)?(?:v?cpus?)(?:_|$)", re.IGNORECASE
)
_SHARED_CPUS = frozenset({"n1", "e2"})
"""Families that the one meter without a family counts; every other has its own (Vertex's quotas)."""
_DEVICES: Mapping[str, re.Pattern[str]] = {
    device: late_pattern(rf"(?:^|_)(?:nvidia_)?(?:tesla_)?{name}(?:_|s?_?gpus?|$)", re.IGNORECASE)
    for device, name in {
        "NVIDIA_TESLA_P4": "p4",
        "NVIDIA_TESLA_T4": "t4",
        "NVIDIA_L4": "l4",
        "NVIDIA_TESLA_K80": "k80",
        "NVIDIA_TESLA_V100": "v100",
        "NVIDIA_TESLA_P100": "p100",
        "NVIDIA_A100_80GB": "a100_?80_?gb",
        "NVIDIA_TESLA_A100": "a100(?!_?80)",
        "NVIDIA_H100_MEGA_80GB": "h100_?mega(?:_?80gb)?",
        "NVIDIA_H100_80GB": "h100(?!_?mega)(?:_?80gb)?",
        "NVIDIA_H200_141GB": "h200(?:_?141gb)?",
        "NVIDIA_B200": "(?<!g)b200",
        "NVIDIA_GB200": "gb200",
        "TPU_V2": "tpu_?v2",
        "TPU_V3": "tpu_?v3",
        "TPU_V5_LITEPOD": "tpu_?v5e?",
        "TPU_V6E": "tpu_?v6e?",
    }.items()
}
_ANY_DEVICE = late_pattern(r"^gpus?_(?:all_regions|per_gpu_family)$", re.IGNORECASE)


class Quota(Struct, frozen=True):
    """One quota that a refusal names. `limit` and `usage` are None where nobody says.

    `families` and `device` say what counts against it; both empty: something that is not known, or
    that passes by itself (`passes`, such as requests in a minute). `spot`: of spot machines alone.
    """

    metric: str
    limit: float | None = None
    usage: float | None = None
    region: str = ""
    families: frozenset[str] = frozenset()
    device: str = ""
    spot: bool = False
    passes: bool = False

    @property
    def is_of_machines(self) -> bool:
        return bool(self.families or self.device)

    def counts(self, hardware: Hardware, catalog: Catalog, *, spot: bool) -> float:
        """What one replica needs of it: vCPUs, or devices; 0: it counts elsewhere."""
        if self.spot != spot or self.passes:
            return 0.0
        kind = catalog.machine(hardware.machine)
        if self.device:
            name, count = devices_of(catalog, hardware)
            return float(count) if count and self.device in {name, _ANY} else 0.0
        if kind is not None and kind.generation in self.families:
            return float(kind.vcpus)
        return 0.0


_ANY = "any"


def vertex_metrics(text: str) -> tuple[str, ...]:
    """The quota metrics of Vertex AI that a text names, each once, with the service before them."""
    found = (match["path"] or match["named"] for match in _OF_VERTEX.finditer(text))
    return tuple(dict.fromkeys(f"aiplatform.googleapis.com/{name}" for name in found))


def read_quotas(texts: Iterable[str]) -> tuple[Quota, ...]:
    """Every quota that the texts name, each once, with the numbers that stand after its name."""
    found: dict[str, Quota] = {}
    for text in texts:
        matches = list(_METRIC.finditer(text))
        ends = [*(match.start() for match in matches[1:]), len(text)]
        for match, end in zip(matches, ends, strict=False):
            metric = next(group for group in match.groups() if group)
            tail = text[match.end() : min(end, match.end() + 300)]
            # One number after a list of several is of none of them in particular.
            alone = len(matches) == 1
            head = text[max(0, match.start() - 120) : match.start()] if alone else ""
            known = _quota(metric, tail, head)
            found.setdefault(known.metric, known)
    return tuple(found.values())


def _quota(metric: str, tail: str, head: str) -> Quota:
    said = f"{tail} {head}"
    region = _REGION.search(said)
    limit, usage = _number(_LIMIT, said), _number(_USAGE, said)
    available = _number(_AVAILABLE, said)
    if usage is None and limit is not None and available is not None:
        usage = limit - available
    words = _snake(metric)
    cpus = None if _DEVICE_WORDS.search(words) else _CPUS.search(words)
    device = next((name for name, known in _DEVICES.items() if known.search(words)), "")
    families: frozenset[str] = frozenset()
    if cpus and not device:
        named = (cpus["family"] or "").lower()
        families = frozenset({named}) if named else _SHARED_CPUS
    return Quota(
        metric,
        limit,
        usage,
        GLOBAL if _EVERYWHERE.search(f"{metric} {said}") else region["region"] if region else "",
        families,
        _ANY if _ANY_DEVICE.search(words) else device,
        spot=bool(_SPOT.search(words)),
        passes=bool(_PASSING.search(words)),
    )


GLOBAL = "global"
"""Where a quota holds that counts all regions together."""
_EVERYWHERE = late_pattern(r"all_regions|\bglobally\b|allregions", re.IGNORECASE)
_DEVICE_WORDS = late_pattern(r"gpus?(?:_|$)|tpu", re.IGNORECASE)


def _snake(metric: str) -> str:
    """`CustomModelTrainingT4GPUsPerProjectPerRegion` and `NVIDIA_T4_GPUS` in one spelling."""
    if metric.isupper() or "_" in metric:
        return metric.lower()
    parted = re.sub(
        r"(?<=[a-z0-9])(?=[A-Z])", "_", metric.replace("GPUs", "Gpus").replace("CPUs", "Cpus")
    )
    return parted.lower()


def _number(pattern: re.Pattern[str], text: str) -> float | None:
    match = pattern.search(text)
    return float(match["n"]) if match else None


class Shortage(Struct, frozen=True):
    """A quota that can never hold what is asked of it: waiting for it is for nothing."""

    quota: Quota
    needed: float
    region: str
    least: bool  # nothing smaller of the kind can be asked, and the limit is not known
    waited: bool = False  # the limit is not known, and a wait did not help
    unused: bool = False  # the limit is not known, and nobody used any of it

    def __str__(self) -> str:
        what = "vCPU" if self.quota.families else "device"
        what += "s" * (self.needed != 1)
        if self.unused:
            return (
                f"none of {self.quota.metric} in {self.region} is seen in use, and it refused the "
                f"{self.needed:g} {what}, so its limit is smaller: ask for at least {self.needed:g}"
            )
        if self.waited:
            return (
                f"{self.quota.metric} in {self.region} still refused the {self.needed:g} {what} after "
                f"a wait: ask for at least {self.needed:g}"
            )
        if self.least:
            return (
                f"{self.needed:g} {what} are the least that can be asked of {self.quota.metric} in "
                f"{self.region}, so its limit is likely 0: ask for at least {self.needed:g}"
            )
        return (
            f"the limit of {self.quota.metric} in {self.region} is {self.quota.limit:g} and the job "
            f"needs {self.needed:g} {what}: ask for at least {self.needed:g}"
        )


def shortage(
    quotas: Iterable[Quota],
    pools: Iterable[tuple[Hardware, int]],
    region: str,
    catalog: Catalog,
    service: Service,
    *,
    spot: bool,
    waited: bool = False,
    refused: Callable[[Quota], float] = lambda _: math.inf,
    had: Iterable[str] | None = None,
) -> Shortage | None:
    """The first quota that cannot hold these machines however long one waits; None: none is known.

    `waited`: the same was asked for again already. A family with a meter of its own whose limit
    nobody says is then taken to have none: another family costs no more than to wait on; so is one of devices
    that the job did not have at first (`had`; None: not known), which nobody says the project may use at all.
    `refused`: how much of a quota was asked for when it refused; where nobody used any of it, its limit is
    smaller. What others are known to use says that there is as much.
    """
    replicas = list(pools)
    own = None if had is None else {*had, _ANY}
    for quota in quotas:
        if quota.region not in {"", GLOBAL, region}:
            continue
        needed = sum(quota.counts(held, catalog, spot=spot) * count for held, count in replicas)
        if not needed:
            continue
        if quota.limit is not None and needed > quota.limit:
            return Shortage(quota, needed, region, least=False)
        if quota.limit is None and quota.usage == 0 and needed >= refused(quota):
            return Shortage(quota, needed, region, least=False, unused=True)
        if quota.limit is None and quota.usage and quota.usage >= needed:
            continue
        if quota.limit is None and _is_least(quota, needed, replicas, catalog, service):
            return Shortage(quota, needed, region, least=True)
        new_device = own is not None and bool(quota.device) and quota.device not in own
        if waited and quota.limit is None and (new_device or quota.families - _SHARED_CPUS):
            return Shortage(quota, needed, region, least=False, waited=True)
    return None


def _is_least(
    quota: Quota,
    needed: float,
    replicas: list[tuple[Hardware, int]],
    catalog: Catalog,
    service: Service,
) -> bool:
    """Whether nothing smaller of the family could be asked for, by a family with a meter of its own."""
    if not quota.families or quota.families == _SHARED_CPUS or len(replicas) != 1:
        return False
    sizes = [
        machine.vcpus
        for machine in catalog.machines.values()
        if machine.generation in quota.families and service in machine.services and machine.vcpus
    ]
    return bool(sizes) and needed <= min(sizes)


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


_THEIR_NAMES = late_pattern(
    r"(?:projects|locations|publishers)/[^\s'\"`]+"
    r"|(?:gs|bq|https?)://[^\s'\"`]+|[\w.+-]+@[\w.-]+|[\w.-]*(?:pkg\.dev|gcr\.io)/[^\s'\"`]+"
    r"|\b[a-z0-9]+(?:[-_][a-z0-9]+)+\b"  # a name of several words, such as quota-forecast
    r"|(?<!uota )(?<!uotas )(['\"`])(?=[^'\"`]*[a-z])[\w./:-]{1,200}\1"
)
"""What users name: resources, data, images, accounts, and what stands in quotation marks in one word."""
