"""The sum: signs in, causes ranked by probability out.

Owns the one formula by which evidence becomes a confidence. An additive model in log-odds: every
cause starts at the same low prior, each sign adds or takes its weight, and a softmax over all
causes *and "none of these"* turns the sums into probabilities. So two causes with equal evidence
share the probability and neither passes the threshold (conflict lowers confidence), and weak
evidence leaves most of it with "unknown". What the sum says above one half is drawn back towards it
by a temperature that was fitted on strangers' messages (bench/diagnosis), which are right less
often than known ones. Pure; called by `diagnose` alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from remediator.diagnosis.advice import advice_for
from remediator.diagnosis.weighted_evidence import WeightedEvidence
from remediator.diagnosis.weights import weight_of
from remediator.domain import NEVER_RETRIED, Cause, Evidence, RankedCause

THRESHOLD = 0.5
"""A verdict needs at least this confidence; below it the answer is `unknown`. Documented: docs/policies.md, where
it is `min_confidence` unless a policy says otherwise."""

_SHOWN = 6  # causes; chosen
_SHOWN_EVIDENCE = 6  # lines for and against each; chosen

_REAL_CAUSES = tuple(cause for cause in Cause if cause is not Cause.UNKNOWN)


def rank(signs: Sequence[WeightedEvidence]) -> tuple[RankedCause, ...]:
    """Causes that any sign speaks for, most probable first; empty where nothing was seen."""
    prior = weight_of("prior")
    scores = {cause: prior + total for cause, total in _totals(signs).items()}
    mass = {cause: math.exp(scores.get(cause, prior)) for cause in _REAL_CAUSES}
    everything = 1.0 + sum(mass.values())
    ranked = []
    for cause in _REAL_CAUSES:
        spoke_for = _evidence_order(s for s in signs if s.cause is cause and s.weight > 0)
        if not spoke_for:
            continue
        probability = mass[cause] / everything
        if probability < weight_of("least-shown"):
            continue
        spoke_against = _evidence_order(s for s in signs if s.cause is cause and s.weight < 0)
        text, url = advice_for(cause)
        ranked.append(
            RankedCause(
                cause=cause,
                confidence=probability,
                evidence=_shown(spoke_for),
                against=_shown(spoke_against),
                advice=text,
                advice_url=url,
            )
        )
    ranked.sort(key=lambda found: (-found.confidence, found.cause.value))
    return _calibrate(_without_a_tie(ranked[:_SHOWN]))


def _without_a_tie(ranked: list[RankedCause]) -> list[RankedCause]:
    """Two causes that are never retried and share the probability: the first gets a verdict.

    Between them nothing follows but words in an alert; silence would say less than either.
    """
    if len(ranked) < 2 or ranked[0].confidence >= THRESHOLD:  # noqa: PLR2004  # a tie takes two
        return ranked
    first, second = ranked[0], ranked[1]
    both = first.confidence + second.confidence
    if not {first.cause, second.cause} <= NEVER_RETRIED or both < weight_of("never-retried-tie"):
        return ranked
    stated = weight_of("first-of-a-tie")
    said = replace(first, confidence=stated)
    return [said, replace(second, confidence=both - stated), *ranked[2:]]


def _calibrate(ranked: Sequence[RankedCause]) -> tuple[RankedCause, ...]:
    """The first above one half drawn towards it; the rest share what that leaves, in their order."""
    if not ranked or ranked[0].confidence <= THRESHOLD:
        return tuple(ranked)
    stated = ranked[0].confidence
    odds = stated / (1.0 - stated) if stated < 1.0 else math.inf
    kept = 1.0 / (1.0 + odds ** (-1.0 / weight_of("temperature")))
    rest = (1.0 - kept) / (1.0 - stated) if stated < 1.0 else 0.0
    first = replace(ranked[0], confidence=kept)
    return (first, *(replace(one, confidence=one.confidence * rest) for one in ranked[1:]))


def _shown(signs: Sequence[WeightedEvidence]) -> tuple[Evidence, ...]:
    """What was seen, each once: several rows of the table may know one text."""
    shown: list[WeightedEvidence] = []
    for item in signs:
        if not any(_quotes_the_same(item, other) for other in shown):
            shown.append(item)
    return tuple(item.evidence for item in shown[:_SHOWN_EVIDENCE])


def _quotes_the_same(one: WeightedEvidence, other: WeightedEvidence) -> bool:
    """Whether both quote one place of one text, or most of one stands in the other."""
    if one.evidence == other.evidence:
        return True
    if not one.text or one.text != other.text or one.evidence.where != other.evidence.where:
        return False
    mine, theirs = _quoted_part(one), _quoted_part(other)
    common = min(mine.stop, theirs.stop) - max(mine.start, theirs.start)
    return common > min(len(mine), len(theirs)) / 2


def _quoted_part(item: WeightedEvidence) -> range:
    """Where in its text the quoted part stands, as characters; empty where it is not to be found."""
    quote = item.evidence.says.partition('"')[2].rpartition('"')[0]
    part = quote.removeprefix("… ").removesuffix(" …")
    start = item.text.find(part) if part else -1
    return range(start, start + len(part)) if start >= 0 else range(0)


def _evidence_order(signs: Iterable[WeightedEvidence]) -> list[WeightedEvidence]:
    """Heaviest first, one line for each observation."""
    seen: dict[str, WeightedEvidence] = {}
    for item in sorted(signs, key=lambda s: -abs(s.weight)):
        seen.setdefault(item.group or item.evidence.says, item)
    return list(seen.values())


def _totals(signs: Sequence[WeightedEvidence]) -> dict[Cause, float]:
    """The sum of weights for each cause that has a sign."""
    deepest: dict[Cause, float] = defaultdict(float)
    by_cause: dict[Cause, dict[str, float]] = defaultdict(dict)
    against: dict[Cause, float] = defaultdict(float)
    for item in signs:
        if not item.symptom:
            deepest[item.cause] = max(deepest[item.cause], item.weight)
        if item.weight < 0:
            against[item.cause] += item.weight
    # What other evidence takes back goes no deeper than what it leaves.
    deepest = {cause: max(0.0, weight + against[cause]) for cause, weight in deepest.items()}

    left, deep = weight_of("symptom-left"), weight_of("fully-deeper")
    for number, item in enumerate(signs):
        weight = item.weight
        if weight < 0:
            continue
        if item.symptom:
            deeper = max((w for c, w in deepest.items() if c is not item.cause), default=0.0)
            weight *= 1.0 - (1.0 - left) * min(1.0, deeper / deep)
        group = item.group or str(number)
        held = by_cause[item.cause]
        held[group] = max(held.get(group, 0.0), weight)

    # Observations of one cause are seldom independent; the fourth and further ones add nothing.
    shares = (1.0, weight_of("second-observation"), weight_of("third-observation"))
    lowest = weight_of("lowest-against")
    totals: dict[Cause, float] = {}
    for cause in {item.cause for item in signs}:
        heaviest = sorted(by_cause[cause].values(), reverse=True)
        supported = sum(w * k for w, k in zip(heaviest, shares, strict=False))
        totals[cause] = supported + max(lowest, against[cause])
    return totals
