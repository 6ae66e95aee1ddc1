"""What the parts of a policy file mean to each other: errors and warnings beyond a single value.

Owns the checks that need more than one key: names, channels, limits, conditions, reach, hardware.
A table of checks, each a function from a draft to mistakes; a draft holds whatever of the file could
be read, so that one mistake hides no other. Called by `language.load`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, lru_cache
from typing import Any, Protocol

from remediator.domain import NEVER_RETRIED, Cause, JobKind, Mode
from remediator.job import KINDS
from remediator.policy.expressions import check
from remediator.policy.model import OWNER, Limits, Policies, Policy, tightened
from remediator.policy.selection import Selection, When, matches_any
from remediator.policy.steps import Accelerator, Placement, Resubmit
from remediator.policy.suggestions import did_you_mean, shown
from remediator.policy.values import LOCATION_MOVES, MACHINE_MOVES
from remediator.policy.watch_entries import WatchEntry
from remediator.policy.yaml_tree import Mistake, YamlNode


class HasServices(Protocol):
    """A machine type: the services that take it (`training`, `prediction`)."""

    @property
    def services(self) -> frozenset[Any]: ...


class HasNoPrice(Protocol):
    """What has no price in a region: everything, or some devices that are offered there."""

    @property
    def everything(self) -> bool: ...

    @property
    def devices(self) -> tuple[str, ...]: ...


class Machines(Protocol):
    """What the lints ask of the catalogue."""

    @property
    def machines(self) -> Mapping[str, HasServices]: ...

    @property
    def accelerators(self) -> Mapping[str, Any]: ...

    def fits(self, machine: str, accelerator: str | None, count: int, service: str) -> bool:
        """Whether Vertex takes the combination for `training` or `prediction`."""

    def unpriced(self, region: str) -> HasNoPrice:
        """What of the region's offer has no price."""


@dataclass(frozen=True, slots=True)
class PolicyDraft:
    """Whatever of a file could be read. `policies` keep the index that they have in the file.

    `unclear` are the indices of those whose `when` has mistakes: what they match is not known. The
    entries of `watch` likewise.
    """

    root: YamlNode
    general: Policies
    policies: tuple[tuple[int, Policy], ...]
    unclear: frozenset[int] = frozenset()
    watch: tuple[tuple[int, WatchEntry], ...] = ()
    unclear_watch: frozenset[int] = frozenset()

    def value(self, *path: str | int) -> YamlNode:
        """The node of the value at a path, or of the nearest that is there."""
        return self.root.follow(path)[1]

    def has(self, *path: str | int) -> bool:
        """Whether the file has something at this path."""
        node = self.root
        for part in path:
            if node.entries is not None and part in node.entries:
                node = node.entries[str(part)][1]
            elif node.items is not None and isinstance(part, int) and part < len(node.items):
                node = node.items[part]
            else:
                return False
        return True

    def word(self, text: str, *path: str | int) -> YamlNode:
        """The node of one word in a list (or standing alone) at a path."""
        node = self.value(*path)
        return next((item for item in node.items or () if item.scalar == text), node)

    def words(self, *path: str | int) -> list[YamlNode]:
        """The words of a list (or one alone) at a path, read or not."""
        if not self.has(*path):
            return []
        node = self.value(*path)
        return [n for n in node.items or [node] if isinstance(n.scalar, str)]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, those with mistakes in them too."""
        return tuple(self.value("channels").entries or ()) if self.has("channels") else ()

    @property
    def items(self) -> list[tuple[str, int]]:
        """Every policy and every entry of `watch`, read or not: the list it is in and its index."""
        counts = {
            key: len(self.value(key).items or ()) if self.has(key) else 0
            for key in ("policies", "watch")
        }
        return [(key, index) for key, count in counts.items() for index in range(count)]


# --- names and channels ------------------------------------------------------------------------


def _duplicate_names(draft: PolicyDraft) -> Iterator[Mistake]:
    first: dict[str, int] = {}
    for item in draft.items:
        if not draft.has(*item, "name"):
            continue
        node = draft.value(*item, "name")
        if not isinstance(node.scalar, str):
            continue
        if node.scalar in first:
            line = first[node.scalar]
            yield node.error(f"duplicate name {shown(node.scalar)}: line {line} has it already")
        else:
            first[node.scalar] = node.line


def _channels(draft: PolicyDraft) -> Iterator[Mistake]:
    known = set(draft.channels)
    has_owners = draft.has("owners")
    if has_owners and OWNER in known:
        key, _ = draft.root.follow(("channels", OWNER))
        yield key.error(f"`{OWNER}` means whoever the owner map finds: name the channel otherwise")
    used: set[str] = set()
    for item in draft.items:
        for node in draft.words(*item, "alert"):
            name = str(node.scalar)
            used.add(name)
            if name in known or (name == OWNER and has_owners):
                continue
            if name == OWNER:
                yield node.error(f"`{OWNER}` needs an owner map: write `owners` at the top level")
            else:
                meant = did_you_mean(name, known) or (
                    f" (channels: {', '.join(sorted(known)[:8])})" if known else " (there are none)"
                )
                yield node.error(f"undefined channel {shown(name)}{meant}")
    used |= yield from _owners(draft, known)
    for name in draft.channels:
        if name not in used:
            key, _ = draft.root.follow(("channels", name))
            yield key.warning(f"unused channel {shown(name)}: no policy alerts it")


def _pager_words(draft: PolicyDraft) -> Iterator[Mistake]:
    for name in draft.channels:
        if not draft.has("channels", name, "pagerduty"):
            continue
        for word in ("quiet_hours", "digest"):
            if draft.has("channels", name, word):
                key, _ = draft.root.follow(("channels", name, word))
                yield key.warning(
                    f"`{word}` has no effect: a PagerDuty channel takes only what needs a person"
                )


def _owners(draft: PolicyDraft, known: set[str]) -> Generator[Mistake, None, set[str]]:
    """Mistakes of the owner map; returns the channels it uses."""
    owners = draft.general.owners
    if owners is None:
        return set(known) if draft.has("owners") else set()  # an unreadable map may use any
    used = {owners.email} if owners.email else set()
    channel = draft.general.channels.get(owners.email or "")
    if owners.email and owners.email not in known:
        meant = did_you_mean(owners.email, known)
        yield draft.value("owners", "email").error(
            f"undefined channel {shown(owners.email)}{meant}"
        )
    elif channel is not None and channel.email is None:
        yield draft.value("owners", "email").error(
            f"{shown(owners.email)} is no e-mail channel: addresses need one"
        )
    for index, rule in enumerate(owners.rules):
        place = draft.value("owners", "rules", index, "to")
        if "@" not in rule.to:
            used.add(rule.to)
            if rule.to not in known:
                yield place.error(
                    f"undefined channel {shown(rule.to)}{did_you_mean(rule.to, known)}"
                )
            continue
        domain = rule.to.rpartition("@")[2]
        if domain not in owners.domains:
            yield place.error(f"{shown(domain)} is not among the allowed `domains`")
        elif owners.email is None:
            yield place.error("an address needs `email`: the channel that carries mail to owners")
    return used


# --- limits ------------------------------------------------------------------------------------

_NUMBERS = (
    "attempts",
    "retries",
    "usd_per_job",
    "usd_per_day",
    "resubmissions_per_hour",
    "max_run",
)
_LISTS = ("machine_types", "accelerators", "locations")


def _number_words(value: float) -> str:
    return f"{value:g}"


def _loosened(draft: PolicyDraft) -> Iterator[Mistake]:
    general = draft.general.limits
    # A general limit that could not be read is not known: nothing is said about what it allows.
    unread = {
        name
        for name in Limits.model_fields
        if draft.has("limits", name) and name not in general.model_fields_set
    }
    for index, policy in draft.policies:
        own, path = policy.limits, ("policies", index, "limits")
        for name in _NUMBERS:
            mine, most = getattr(own, name), getattr(general, name)
            if name not in unread and None not in {mine, most} and mine > most:
                default = "" if name in general.model_fields_set else ", the default"
                yield draft.value(*path, name).error(
                    f"{name}: {_number_words(mine)} loosens the general limit of {_number_words(most)}{default}: "
                    "a policy may only tighten"
                )
        for name in _LISTS:
            allowed = getattr(general, name)
            for glob in getattr(own, name) or () if allowed is not None else ():
                if not any(covers(wider, glob) for wider in allowed):
                    yield draft.word(glob, *path, name).error(
                        f"{name}: {shown(glob)} loosens the general limit ({', '.join(allowed)}): "
                        "a policy may only tighten"
                    )
        if own.on_overrun == "alert" and general.on_overrun == "cancel":
            yield draft.value(*path, "on_overrun").error(
                "on_overrun: `alert` loosens the general `cancel`: a policy may only tighten"
            )
        yield from _loosened_parts(draft, index, policy)


def _loosened_parts(draft: PolicyDraft, index: int, policy: Policy) -> Iterator[Mistake]:
    general, own = draft.general.limits, policy.limits
    path = ("policies", index, "limits")
    if own.breaker and general.breaker:
        if own.breaker.failed_share > general.breaker.failed_share:
            yield draft.value(*path, "breaker", "failed_share").error(
                f"failed_share: {_number_words(own.breaker.failed_share)} loosens the general limit of "
                f"{_number_words(general.breaker.failed_share)}: a policy may only tighten"
            )
        if own.breaker.of_last > general.breaker.of_last:
            yield draft.value(*path, "breaker", "of_last").error(
                f"of_last: {own.breaker.of_last} loosens the general limit of "
                f"{general.breaker.of_last} (it stops later): a policy may only tighten"
            )
        if own.breaker.pause < general.breaker.pause:
            yield draft.value(*path, "breaker", "pause").error(
                "pause: shorter than the general one: a policy may only tighten"
            )
    for place, group in enumerate(own.per):
        for name in ("usd_per_day", "resubmissions_per_hour"):
            mine = getattr(group, name)
            others = [getattr(g, name) for g in general.per if g.by == group.by]
            most = min((v for v in others if v is not None), default=None)
            if mine is not None and most is not None and mine > most:
                yield draft.value(*path, "per", place, name).error(
                    f"{name}: {_number_words(mine)} loosens the general limit of {_number_words(most)} by "
                    f"{group.by}: a policy may only tighten"
                )


def _without_money(draft: PolicyDraft) -> Iterator[Mistake]:
    if draft.general.mode is not Mode.ENFORCE or draft.general.limits.has_money_limit:
        return
    listed = [policy for _, policy in draft.policies]
    if listed and not any(one.enabled and one.mode in {None, Mode.ENFORCE} for one in listed):
        return
    acting = [one for one in listed if one.do and one.enabled and one.mode in {None, Mode.ENFORCE}]
    resubmits = any(
        one.enabled and one.resubmission for _, one in draft.watch
    )  # no limits of its own
    if (
        acting
        and not resubmits
        and all(draft.general.limits_for(p).has_money_limit for p in acting)
    ):
        return
    yield draft.value("mode").warning(
        "`enforce` without a money limit: set `usd_per_day` or `usd_per_job` under `limits`"
    )


@lru_cache(maxsize=8192)
def _literal(glob: str) -> str:
    """What stands before the glob's first wildcard."""
    return re.split(r"[*?\[]", glob, maxsplit=1)[0]


def covers(wider: str, narrower: str) -> bool:
    """Whether every text that fits the second glob fits the first too.

    Sound: a `*` or `?` of the narrower one is taken for an unknown text, which only a wildcard can
    cover; character classes beside wildcards are never said to cover one another.
    """
    if wider in {narrower, "*"}:
        return True
    if not narrower.startswith(_literal(wider)):
        return False
    if _literal(narrower) == narrower:
        return fnmatchcase(narrower, wider)
    if "[" in wider or "[" in narrower:
        return False
    reached = {0}
    for sign in wider:
        if sign == "*":
            reached = set(range(min(reached), len(narrower) + 1)) if reached else reached
        else:
            reached = {
                at + 1
                for at in reached
                if narrower[at : at + 1] == sign
                or (sign == "?" and narrower[at : at + 1] not in {"", "*"})
            }
    return len(narrower) in reached


# --- conditions and reach ----------------------------------------------------------------------


def _conditions(draft: PolicyDraft) -> Iterator[Mistake]:
    listed: list[tuple[str, int, Selection]] = [
        *(("policies", index, one.when) for index, one in draft.policies),
        *(("watch", index, one.when) for index, one in draft.watch),
    ]
    for key, index, when in listed:
        if when.condition is not None:
            place = draft.value(key, index, "when", "if")
            yield from (place.error(f"if: {said}") for said in check(when.condition))


def is_narrower(inner: tuple[str, ...] | None, outer: tuple[str, ...] | None) -> bool:
    if outer is None:
        return True
    return inner is not None and all(any(covers(o, i) for o in outer) for i in inner)


def takes_all(earlier: Selection, later: Selection) -> bool:
    """Whether everything but cause, kind and confidence that the later asks, the earlier takes."""
    if earlier.condition is not None and (earlier.condition, earlier.zone) != (
        later.condition,
        later.zone,
    ):
        return False
    labels = later.labels
    return (
        all(key in labels and is_narrower(labels[key], g) for key, g in earlier.labels.items())
        and is_narrower(later.location, earlier.location)
        and is_narrower(later.model, earlier.model)
        and is_narrower(later.service_account, earlier.service_account)
    )


def _confidence_at(when: When, cause: Cause) -> float | None:
    """The least confidence at which a policy takes a verdict; None: never."""
    if when.cause is not None and cause not in when.cause:
        return None
    if cause is Cause.UNKNOWN:
        return 0.0 if when.accepts(Cause.UNKNOWN, 0.0) else None
    return when.needed_confidence


_EVERYTHING = When()


def _unreachable(draft: PolicyDraft) -> Iterator[Mistake]:
    """A policy is unreachable where, for each verdict and kind, one earlier policy takes all of it."""
    before: dict[tuple[Cause, JobKind], list[tuple[float, Policy]]] = {}
    takes_everything = ""
    for index, policy in draft.policies:
        if index in draft.unclear or not policy.enabled:
            continue
        cells = [] if takes_everything else list(_cells(policy.when))
        takers = {takes_everything: None} if takes_everything else {}
        for cell, confidence in cells:
            taker = _taker(before.get(cell, ()), policy.when, confidence)
            if taker is None:
                break
            takers[taker.name] = None
        else:
            named = ", ".join(shown(name) for name in list(takers)[:3])
            yield draft.value("policies", index, "name").warning(
                f"unreachable policy: all it could match is taken before it by {named}"
            )
            continue
        for cell, confidence in cells:
            before.setdefault(cell, []).append((confidence, policy))
        if policy.when == _EVERYTHING and not policy.when.needed_confidence:
            takes_everything = policy.name


def _cells(when: When) -> Iterator[tuple[tuple[Cause, JobKind], float]]:
    """Each verdict and kind of job that a policy takes, and the confidence it needs for it."""
    for cause in when.cause or Cause:
        confidence = _confidence_at(when, cause)
        if confidence is not None:
            yield from (((cause, kind), confidence) for kind in when.job or JobKind)


def _taker(earlier: Iterable[tuple[float, Policy]], when: When, confidence: float) -> Policy | None:
    return next(
        (one for least, one in earlier if least <= confidence and takes_all(one.when, when)), None
    )


# --- steps and hardware ------------------------------------------------------------------------


def _forbidden_steps(draft: PolicyDraft) -> Iterator[Mistake]:
    for index, policy in draft.policies:
        causes = policy.when.cause
        retriable = bool(policy.retry_exit_codes)
        if policy.do and causes and set(causes) <= NEVER_RETRIED and not retriable:
            yield draft.value("policies", index, "do", 0).warning(
                f"nothing is ever resubmitted after {', '.join(causes)}: this step is never taken"
            )
            continue
        yield from _steps_beyond(draft, index, policy)


def _steps_beyond(draft: PolicyDraft, index: int, policy: Policy) -> Iterator[Mistake]:
    limits = tightened(draft.general.limits, policy.limits)
    taken = {"attempts": 0, "retries": 0}
    for number, step in enumerate(policy.do):
        path = ("policies", index, "do", number)
        asked = step.resubmit
        # A way of a fallback that gets no machine is a retry; which of them will, nobody can tell.
        changed = asked.asks_for_change and not asked.fallback
        budget = "attempts" if changed else "retries"
        most = limits.attempts if changed else limits.retries
        nothing = [
            name
            for name in ("usd_per_job", "usd_per_day", "resubmissions_per_hour")
            if getattr(limits, name) == 0
        ]
        if taken[budget] >= most:
            yield draft.value(*path).warning(
                f"`{budget}: {most}` forbids this step: {taken[budget]} come before it"
            )
        elif nothing:
            yield draft.value(*path).warning(f"`{nothing[0]}: 0` forbids this step")
        elif taken[budget] + step.times > most:
            yield draft.value(*path, "times").warning(
                f"`{budget}: {most}` forbids some of these: {most - taken[budget]} of "
                f"{step.times} are left for this step"
            )
        taken[budget] += step.times
        for where, placement in _placements(asked, (*path, "resubmit")):
            for key, name, allowed in _named_hardware(placement, limits):
                if not matches_any(allowed, name):
                    what = "step" if placement is asked else "entry"
                    yield draft.value(*where, key).warning(
                        f"`{_LIMIT_OF[key]}` forbids this {what}: {shown(name)} is not among "
                        f"{', '.join(allowed) or 'nothing'}"
                    )


_LIMIT_OF = {
    "machine_type": "machine_types",
    "accelerator": "accelerators",
    "location": "locations",
}
_Path = tuple[str | int, ...]


def _placements(asked: Resubmit, path: _Path) -> Iterator[tuple[_Path, Placement]]:
    """The step itself and each way of its fallback, with where it stands."""
    yield path, asked
    for index, way in enumerate(asked.fallback or ()):
        yield (*path, "fallback", index), way


def _all_placements(draft: PolicyDraft) -> Iterator[tuple[Policy, _Path, Placement]]:
    for index, policy in draft.policies:
        for number, step in enumerate(policy.do):
            path = ("policies", index, "do", number, "resubmit")
            yield from ((policy, *one) for one in _placements(step.resubmit, path))


def _machine_name(asked: Placement) -> str:
    """The machine type that is named outright; empty: none is."""
    name = asked.machine_type
    return name if isinstance(name, str) and name not in MACHINE_MOVES else ""


def _named_hardware(asked: Placement, limits: Limits) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """What a step names outright, with the limit that it must be in."""
    accelerator, location = asked.accelerator, asked.location
    if (machine := _machine_name(asked)) and limits.machine_types is not None:
        yield "machine_type", machine, limits.machine_types
    if isinstance(accelerator, Accelerator) and limits.accelerators is not None:
        yield "accelerator", accelerator.type, limits.accelerators
    if location and location not in LOCATION_MOVES and limits.locations is not None:
        yield "location", location, limits.locations


def _services(when: When) -> tuple[str, ...]:
    kinds = when.job or tuple(JobKind)
    services = {"prediction" if kind is JobKind.BATCH_PREDICTION else "training" for kind in kinds}
    return tuple(sorted(services))


def _hardware(draft: PolicyDraft, catalog: Machines) -> Iterator[Mistake]:
    takers = cache(lambda type_, count, services: _takes(catalog, type_, count, services))
    for owner in ((), *(("policies", index) for index, _ in draft.policies)):
        for name, known in (
            ("machine_types", catalog.machines),
            ("accelerators", catalog.accelerators),
        ):
            for node in draft.words(*owner, "limits", name):
                if not any(fnmatchcase(one, str(node.scalar)) for one in known):
                    what = "machine type" if name == "machine_types" else "accelerator"
                    yield node.warning(_unknown(what, str(node.scalar), known))
    for policy, path, asked in _all_placements(draft):
        services = _services(policy.when)
        yield from _step_hardware(draft, catalog, services, asked, path, takers)


def _unknown(what: str, name: str, known: Mapping[str, Any]) -> str:
    return f"unknown {what} {shown(name)}{did_you_mean(name, known)}"


def _step_hardware(
    draft: PolicyDraft,
    catalog: Machines,
    services: tuple[str, ...],
    asked: Placement,
    path: _Path,
    takers: Callable[[str, int, tuple[str, ...]], bool],
) -> Iterator[Mistake]:
    machine = _machine_name(asked)
    wanted = asked.accelerator if isinstance(asked.accelerator, Accelerator) else None
    sound = True
    if machine and machine not in catalog.machines:
        sound = False
        known = dict.fromkeys((*MACHINE_MOVES, *catalog.machines))
        yield draft.value(*path, "machine_type").warning(_unknown("machine type", machine, known))
    elif machine and not catalog.machines[machine].services & set(services):
        sound = False
        yield draft.value(*path, "machine_type").warning(
            f"unfitting machine type: {shown(machine)} is not offered for {' or '.join(services)}"
        )
    if wanted and wanted.type not in catalog.accelerators:
        sound = False
        yield draft.value(*path, "accelerator", "type").warning(
            _unknown("accelerator", wanted.type, catalog.accelerators)
        )
    if not (sound and wanted):
        return
    if machine:
        if not any(catalog.fits(machine, wanted.type, wanted.count, s) for s in services):
            yield draft.value(*path, "accelerator").warning(
                f"unfitting accelerator: {shown(machine)} does not take {wanted.count} "
                f"{wanted.type}"
            )
    elif not takers(wanted.type, wanted.count, services):
        yield draft.value(*path, "accelerator").warning(
            f"unfitting accelerator: no machine type for {' or '.join(services)} takes "
            f"{wanted.count} {wanted.type}"
        )


def _takes(catalog: Machines, type_: str, count: int, services: tuple[str, ...]) -> bool:
    """Whether any machine type takes so many of the accelerator."""
    pairs = ((machine, service) for machine in catalog.machines for service in services)
    return any(catalog.fits(machine, type_, count, service) for machine, service in pairs)


_REGIONS = (
    "africa-south", "asia-east", "asia-northeast", "asia-south", "asia-southeast",
    "australia-southeast", "europe-central", "europe-north", "europe-southwest", "europe-west",
    "me-central", "me-west", "northamerica-northeast", "northamerica-south", "southamerica-east",
    "southamerica-west", "us-central", "us-east", "us-south", "us-west",
)  # fmt: skip
_PLACES = frozenset({"global", "us", "eu", *(f"{r}{n}" for r in _REGIONS for n in range(1, 20))})


def _locations(draft: PolicyDraft) -> Iterator[Mistake]:
    """Places on no map. Regions are numbered, so a new one of a known name is none of them."""
    for _, path, asked in _all_placements(draft):
        name = asked.location
        if name and name not in LOCATION_MOVES and name not in _PLACES:
            known = dict.fromkeys((*LOCATION_MOVES, *sorted(_PLACES)))
            yield draft.value(*path, "location").warning(_unknown("location", name, known))


def _strategies(draft: PolicyDraft) -> Iterator[Mistake]:
    for _, path, asked in _all_placements(draft):
        if asked.max_wait is not None and asked.strategy in {"STANDARD", "SPOT"}:
            yield draft.value(*path, "max_wait").warning(
                f"`max_wait` does nothing here: {asked.strategy} does not wait for machines, "
                "FLEX_START does"
            )


def _wrong_kinds(draft: PolicyDraft) -> Iterator[Mistake]:
    """Keys that a kind of job which the policy names has no field for."""
    for policy, path, asked in _all_placements(draft):
        kinds = policy.when.job or ()
        stays = {"spot"} if asked.spot is False else set()  # where there is none, it holds already
        for key in sorted(asked.model_fields_set - _ANY_KIND - stays):
            without = [kind for kind in kinds if key not in KINDS[kind].legal]
            if without:
                named = " or ".join(kind.value for kind in without)
                yield draft.root.follow((*path, key))[0].warning(
                    f"`{key}` does nothing for {named}: there is no such field to change"
                )


_ANY_KIND = frozenset({"wait", "output", "max_usd", "fallback"})
"""Keys that ask for no field of their own, or that hold already where there is none."""


def _modes(draft: PolicyDraft) -> Iterator[Mistake]:
    listed: list[tuple[str, int, Mode | None]] = [
        *(("policies", index, one.mode) for index, one in draft.policies),
        *(("watch", index, one.mode) for index, one in draft.watch),
    ]
    for key, index, mode in listed:
        if mode is not None and _LOOSENESS[mode] > _LOOSENESS[draft.general.mode]:
            yield draft.value(key, index, "mode").warning(
                f"`{mode}` has no effect: the file's `mode: {draft.general.mode}` is "
                "stricter, and the stricter holds"
            )


_LOOSENESS = {Mode.OBSERVE: 0, Mode.APPROVE: 1, Mode.ENFORCE: 2}


# --- prices and kinds ----------------------------------------------------------------------------


def _unpriced_regions(
    draft: PolicyDraft, catalog: Machines, served: tuple[str, ...]
) -> Iterator[Mistake]:
    """Served regions in which a limit in dollars refuses what cannot be priced."""
    limits = draft.general.limits
    if not limits.has_money_limit:
        return
    key = next((k for k in ("usd_per_job", "usd_per_day", "per") if draft.has("limits", k)), "")
    place = draft.root.follow(("limits", key))[0] if key else draft.value("limits")
    for region in served:
        missing = catalog.unpriced(region)
        if missing.everything:
            yield place.warning(
                f"no price is known in the served region {shown(region)}: there a limit in dollars "
                "refuses every change that may cost more (unknown_price); give its prices in a "
                "catalogue file (`prices`, or `priced_as`)"
            )
            continue
        wanted = [d for d in missing.devices if d in (limits.accelerators or ())]
        if wanted:
            yield place.warning(
                f"no price is known for {', '.join(wanted)} in the served region {shown(region)}: "
                "there a limit in dollars refuses them (unknown_price)"
            )


def _rerun_safe(draft: PolicyDraft) -> Iterator[Mistake]:
    """A list that names other kinds and leaves out the one that is in the default."""
    kinds = draft.general.rerun_safe
    batch = JobKind.BATCH_PREDICTION
    if draft.has("rerun_safe") and kinds and batch not in kinds:
        listed = ", ".join([batch, *kinds])
        yield draft.value("rerun_safe").warning(
            f"`rerun_safe` without {batch} asks a person before each batch prediction, which the "
            f"default does not: write [{listed}] unless that is meant"
        )


# --- the table ---------------------------------------------------------------------------------

CHECKS: tuple[Callable[[PolicyDraft], Iterator[Mistake]], ...] = (
    _duplicate_names,
    _channels,
    _pager_words,
    _loosened,
    _without_money,
    _conditions,
    _unreachable,
    _forbidden_steps,
    _locations,
    _strategies,
    _wrong_kinds,
    _modes,
    _rerun_safe,
)


def check_policies(
    draft: PolicyDraft, catalog: Machines | None, served: tuple[str, ...] = ()
) -> list[Mistake]:
    """Every mistake between the parts of a file; hardware only where a catalogue is given, and prices
    only of the served regions."""
    found = [mistake for one in CHECKS for mistake in one(draft)]
    if catalog is not None:
        found.extend(_hardware(draft, catalog))
        found.extend(_unpriced_regions(draft, catalog, served))
    return found
