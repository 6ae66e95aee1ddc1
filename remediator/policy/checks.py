"""What the parts of a policy file mean to each other: errors and warnings beyond a single value.

Owns the checks that need more than one key: names, channels, limits, conditions, reach, hardware.
A table of checks, each a function from a draft to mistakes; a draft holds whatever of the file could
be read, so that one mistake hides no other. Called by `language.load`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterable, Iterator
from fnmatch import fnmatchcase
from functools import lru_cache

from msgspec.structs import replace

from remediator.domain import Cause, JobKind, Mode
from remediator.policy.draft import Machines, PolicyDraft
from remediator.policy.expressions import check
from remediator.policy.hardware_checks import (
    forbidden_steps,
    unfit_hardware,
    unknown_locations,
    unknown_names,
    unpriced_regions,
    useless_strategies,
    wrong_kinds,
)
from remediator.policy.loaded import Mistake
from remediator.policy.model import OWNER, Limits, Policy
from remediator.policy.selection import Selection, When
from remediator.policy.suggestions import did_you_mean, shown

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
            f"{shown(owners.email)} is not an e-mail channel: addresses need one"
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
        for name in Limits.__struct_fields__
        if draft.has("limits", name) and name not in draft.limits_read
    }
    for index, policy in draft.policies:
        own, path = policy.limits, ("policies", index, "limits")
        for name in _NUMBERS:
            mine, most = getattr(own, name), getattr(general, name)
            if name not in unread and None not in {mine, most} and mine > most:
                default = "" if name in draft.limits_read else ", the default"
                yield draft.value(*path, name).error(
                    f"{name}: {_number_words(mine)} loosens the general limit of {_number_words(most)}{default}: "
                    "a policy may only tighten"
                )
        for name in _LISTS:
            allowed = getattr(general, name)
            if not draft.unknown.isdisjoint(allowed or ()):
                continue
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
    if any(_unread_money(draft)):
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


def _unread_money(draft: PolicyDraft) -> Iterator[bool]:
    """Whether a limit in dollars, or a policy's mode, stands in the file and could not be read."""
    for name in ("usd_per_day", "usd_per_job"):
        yield draft.has("limits", name) and name not in draft.limits_read
        for index, policy in draft.policies:
            known = getattr(draft.general.limits_for(policy), name) is not None
            yield draft.has("policies", index, "limits", name) and not known
    for index, policy in draft.policies:
        yield draft.has("policies", index, "mode") and policy.mode is None


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


def _modes(draft: PolicyDraft) -> Iterator[Mistake]:
    if "mode" in draft.unread:
        return
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


# --- kinds ----------------------------------------------------------------------------


def _rerun_safe(draft: PolicyDraft) -> Iterator[Mistake]:
    """A list that names other kinds and leaves out the one that is in the default."""
    kinds = draft.general.rerun_safe
    batch = JobKind.BATCH_PREDICTION
    if "rerun_safe" in draft.unread:
        return
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
    forbidden_steps,
    unknown_locations,
    useless_strategies,
    wrong_kinds,
    _modes,
    _rerun_safe,
)


def check_policies(
    draft: PolicyDraft, catalog: Machines | None, served: tuple[str, ...] = ()
) -> list[Mistake]:
    """Every mistake between the parts of a file; hardware only where a catalogue is given, and prices
    only of the served regions."""
    draft = replace(draft, unknown=unknown_names(draft, catalog))
    found = [mistake for one in CHECKS for mistake in one(draft)]
    if catalog is not None:
        found.extend(unfit_hardware(draft, catalog))
        found.extend(unpriced_regions(draft, catalog, served))
    return found
