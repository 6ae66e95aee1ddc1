"""What the steps of a policy file mean to its limits, to the catalogue and to the kinds of jobs they select.

Owns the checks of machines, accelerators, regions and provisioning in steps. Called by `checks`, whose table
lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from remediator.domain import NEVER_RETRIED, JobKind
from remediator.job import KINDS
from remediator.policy.draft import Machines, PolicyDraft
from remediator.policy.loaded import Mistake
from remediator.policy.model import Limits, Policy, tightened
from remediator.policy.selection import When, matches_any
from remediator.policy.steps import Accelerator, Placement, Resubmit
from remediator.policy.suggestions import did_you_mean, shown
from remediator.policy.value_readers import LOCATION_MOVES, MACHINE_MOVES
from remediator.policy.yaml_tree import YamlNode


def forbidden_steps(draft: PolicyDraft) -> Iterator[Mistake]:
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
    of_money = ("usd_per_job", "usd_per_day", "resubmissions_per_hour")
    nothing = next((name for name in of_money if getattr(limits, name) == 0), "")
    reported: set[str] = set()  # limits: the steps after the first one are forbidden as well
    for number, step in enumerate(policy.do):
        path = ("policies", index, "do", number)
        asked = step.resubmit
        # A way of a fallback that gets no machine is a retry; which of them will, nobody can tell.
        changed = asked.asks_for_change and not asked.fallback
        budget = "attempts" if changed else "retries"
        most = limits.attempts if changed else limits.retries
        forbidding = nothing
        forbids = f"`{nothing}: 0` forbids this step"
        if taken[budget] >= most:
            forbidding = budget
            forbids = f"`{budget}: {most}` forbids this step: {taken[budget]} come before it"
        if forbidding and forbidding not in reported:
            reported.add(forbidding)
            yield draft.value(*path).warning(forbids)
        elif not forbidding and taken[budget] + step.times > most:
            yield draft.value(*path, "times").warning(
                f"`{budget}: {most}` forbids some of these: {most - taken[budget]} of "
                f"{step.times} are left for this step"
            )
        taken[budget] += step.times
        for where, placement in _placements(asked, (*path, "resubmit")):
            for key, name, allowed in _named_hardware(placement, limits):
                if draft.unknown.isdisjoint({name, *allowed}) and not matches_any(allowed, name):
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


def unfit_hardware(draft: PolicyDraft, catalog: Machines) -> Iterator[Mistake]:
    takers = cache(lambda type_, count, services: _takes(catalog, type_, count, services))
    for owner in _owners(draft):
        for name, known in (
            ("machine_types", catalog.machines),
            ("accelerators", catalog.accelerators),
        ):
            for node in draft.words(*owner, "limits", name):
                if not _is_known(str(node.scalar), known):
                    what = "machine type" if name == "machine_types" else "accelerator"
                    yield node.warning(_unknown(what, str(node.scalar), known, listed=True))
    for policy, path, asked in _all_placements(draft):
        services = _services(policy.when)
        yield from _step_hardware(draft, catalog, services, asked, path, takers)


def _is_known(glob: str, known: Iterable[str]) -> bool:
    return any(fnmatchcase(one, glob) for one in known)


def _unknown(what: str, name: str, known: Mapping[str, Any], *, listed: bool = False) -> str:
    """`listed`: in a list of globs, where a family without a size may be meant as a whole."""
    sizes = [one for one in known if one.startswith(f"{name}-")]
    if not sizes:
        return f"unknown {what} {shown(name)}{did_you_mean(name, known)}"
    if listed:
        return f"unknown {what} {shown(name)}: a family; did you mean `{name}-*`?"
    return f"unknown {what} {shown(name)}: a family without a size; did you mean one such as {shown(sizes[0])}?"


def unknown_names(draft: PolicyDraft, catalog: Machines | None) -> frozenset[str]:
    """Names in lists and steps that nobody knows."""
    found = {str(node.scalar) for node in _listed_places(draft)}
    found |= {
        asked.location
        for _, _, asked in _all_placements(draft)
        if asked.location and asked.location not in LOCATION_MOVES
    }
    unknown = {name for name in found if not _is_known(name, _PLACES)}
    if catalog is None:
        return frozenset(unknown)
    for key, known in (
        ("machine_types", catalog.machines),
        ("accelerators", catalog.accelerators),
    ):
        words = {
            str(node.scalar)
            for owner in _owners(draft)
            for node in draft.words(*owner, "limits", key)
        }
        unknown |= {word for word in words if not _is_known(word, known)}
    for _, _, asked in _all_placements(draft):
        machine, device = _machine_name(asked), asked.accelerator
        if machine and machine not in catalog.machines:
            unknown.add(machine)
        if isinstance(device, Accelerator) and device.type not in catalog.accelerators:
            unknown.add(device.type)
    return frozenset(unknown)


def _owners(draft: PolicyDraft) -> Iterator[_Path]:
    """Where limits may stand: in the file, and in each policy."""
    yield from ((), *(("policies", index) for index, _ in draft.policies))


def _listed_places(draft: PolicyDraft) -> Iterator[YamlNode]:
    """Globs of regions, in limits and in what a policy or an entry of `watch` selects."""
    for owner in _owners(draft):
        yield from draft.words(*owner, "limits", "locations")
    for item in draft.items:
        yield from draft.words(*item, "when", "location")


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

_FIRST_PLACES = frozenset(
    {"global", "us", "eu", "europe-central2", *(f"{r}1" for r in _REGIONS if r != "europe-central")}
)


def unknown_locations(draft: PolicyDraft) -> Iterator[Mistake]:
    """Places on no map. Regions are numbered, so a new one of a known name is none of them."""
    for _, path, asked in _all_placements(draft):
        name = asked.location
        if name and name not in LOCATION_MOVES and name not in _PLACES:
            known = dict.fromkeys((*LOCATION_MOVES, *sorted(_PLACES)))
            yield draft.value(*path, "location").warning(_unknown("location", name, known))
    for node in _listed_places(draft):
        if not _is_known(glob := str(node.scalar), _PLACES):
            # A number is only meant where one stands.
            places = _PLACES if glob[-1:].isdigit() else _FIRST_PLACES
            named = dict.fromkeys(sorted(places))
            yield node.warning(_unknown("location", glob, named, listed=True))


def useless_strategies(draft: PolicyDraft) -> Iterator[Mistake]:
    for _, path, asked in _all_placements(draft):
        if asked.max_wait is not None and asked.strategy in {"STANDARD", "SPOT"}:
            yield draft.value(*path, "max_wait").warning(
                f"`max_wait` does nothing here: {asked.strategy} does not wait for machines, "
                "FLEX_START does"
            )


def wrong_kinds(draft: PolicyDraft) -> Iterator[Mistake]:
    """Keys that a kind of job which the policy names has no field for."""
    for policy, path, asked in _all_placements(draft):
        kinds = policy.when.job or ()
        stays = {"spot"} if asked.spot is False else set()  # where there is none, it holds already
        for key in sorted(asked.named().keys() - _ANY_KIND - stays):
            without = [kind for kind in kinds if key not in KINDS[kind].legal]
            if without:
                named = " or ".join(kind.value for kind in without)
                yield draft.root.follow((*path, key))[0].warning(
                    f"`{key}` does nothing for {named}: there is no such field to change"
                )


_ANY_KIND = frozenset({"wait", "output", "max_usd", "fallback"})
"""Keys that ask for no field of their own, or that hold already where there is none."""


def unpriced_regions(
    draft: PolicyDraft, catalog: Machines, served: tuple[str, ...]
) -> Iterator[Mistake]:
    """Served regions in which a limit in dollars refuses what cannot be priced."""
    limits = draft.general.limits
    if not limits.has_money_limit:
        return
    key = next((k for k in ("usd_per_job", "usd_per_day", "per") if draft.has("limits", k)), "")
    place = draft.root.follow(("limits", key))[0] if key else draft.value("limits")
    named = _named_in_steps(draft, catalog)
    for region in served:
        missing = catalog.unpriced(region)
        if missing.everything:
            yield place.warning(
                f"no price is known in the served region {shown(region)}: there a limit in dollars "
                "refuses every change that may cost more (unknown_price); `--catalog FILE` gives prices "
                "to `validate` and `plan` (`prices`, or `priced_as`), the function has the shipped ones"
            )
            continue
        wanted = [
            one
            for one in (*missing.devices, *missing.families)
            if one in named or _is_listed(one, limits, catalog)
        ]
        if wanted:
            yield place.warning(
                f"no price is known for {', '.join(wanted)} in the served region {shown(region)}: "
                "there a limit in dollars refuses them (unknown_price)"
            )


def _named_in_steps(draft: PolicyDraft, catalog: Machines) -> set[str]:
    """Accelerators that steps name outright, and families and devices of the machines that they name."""
    found = set()
    for _, _, asked in _all_placements(draft):
        if isinstance(asked.accelerator, Accelerator):
            found.add(asked.accelerator.type)
        if kind := catalog.machines.get(name := _machine_name(asked)):
            found |= {name.partition("-")[0], kind.device}
    return found


def _is_listed(name: str, limits: Limits, catalog: Machines) -> bool:
    """Whether a list of the file lets the accelerator, or a machine of the family, be chosen."""
    if name in catalog.accelerators:
        return matches_any(limits.accelerators or (), name)
    of_it = (
        m for m, kind in catalog.machines.items() if name in {kind.device, m.partition("-")[0]}
    )
    return any(matches_any(limits.machine_types or (), machine) for machine in of_it)
