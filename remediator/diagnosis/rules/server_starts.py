"""A model server that was never ready: what it met before anybody asked it for anything.

Owns the rules on starts that fail. No instance has come by then, so no input was bad; what cannot be imported or
found is its image's, or its model's; what raised is not slow. Pure; called in the order of `rules`.
"""

from __future__ import annotations

from collections.abc import Iterator

from remediator.diagnosis.rules.features import CaseFeatures
from remediator.diagnosis.weighted_evidence import WeightedEvidence, weighted_evidence
from remediator.diagnosis.weights import weight_of
from remediator.domain import Cause, Source
from remediator.domain.late_pattern import late_pattern

_QUOTED = 200  # characters; chosen
# A part that is not installed, in the words of Python, Node, Ruby, PHP, Java and the loader of shared libraries.
_NO_SUCH_PART = late_pattern(
    r"\bNo module named\b|\bCannot find (?:module|package)\b|\bcannot load such file\b|\bClass \S{1,80} not found\b"
    r"|\bClassNotFoundException\b|\bCould not find or load main class\b|\bcannot open shared object file\b"
)


def weigh_data_at_start(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """What a server could not read while it started was no instance: its own file, or its model's."""
    if facts.server is None or not facts.never_ready:
        return
    read = [
        sign
        for sign in facts.reading.signs
        if sign.cause is Cause.BAD_INPUT and sign.weight > 0 and sign.evidence.source is Source.LOG
    ]
    for sign in read:
        evidence = sign.evidence
        says = f"it had been asked for nothing yet, so this is its own file or its model's: {evidence.says}"
        yield weighted_evidence(
            Cause.BAD_INPUT, -sign.weight, evidence.source, evidence.where, says
        )
    if read:
        first = max(read, key=lambda sign: sign.weight)
        evidence = first.evidence
        says = f"while it started, before any instance came: {evidence.says}"
        yield weighted_evidence(
            Cause.INVALID_CONFIG, first.weight, evidence.source, evidence.where, says, group="start"
        )


def weigh_part_at_start(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """What a server could not import while it started is not in its image, or not where its command says."""
    if facts.server is None or not facts.never_ready:
        return
    for held in reversed(facts.reading.raised):
        if _NO_SUCH_PART.search(held.text[:_READ]):
            says = f'{held.author} tells of a part that the image lacks: "{held.text[:_QUOTED]}"'
            weight = weight_of("part-missing-at-start")
            yield weighted_evidence(
                Cause.INVALID_CONFIG, weight, held.source, held.where, says, group="start"
            )
            against = weight_of("part-missing-against-code")
            yield weighted_evidence(Cause.USER_CODE_ERROR, against, held.source, held.where, says)
            return


_READ = 600  # characters of an exception; chosen


def weigh_raised_at_start(facts: CaseFeatures) -> Iterator[WeightedEvidence]:
    """A server that raised something which nothing else explains, and never came up: its code, and no slow start."""
    server = facts.server
    if server is None or not facts.never_ready or server.healthy:
        return
    raised = [one for one in facts.reading.raised if one.traced and not one.stood_in]
    if not raised or not _is_silent_beside(facts):
        return
    held = raised[-1]
    says = f'it raised while it started: "{held.text[:_QUOTED]}"'
    weight = weight_of("raised-at-start")
    yield weighted_evidence(Cause.USER_CODE_ERROR, weight, held.source, held.where, says)
    against = weight_of("raised-at-every-start")
    yield weighted_evidence(Cause.SLOW_STARTUP, against, held.source, held.where, says)


def _is_silent_beside(facts: CaseFeatures) -> bool:
    """No line of the log names a cause."""
    return not any(
        sign.weight >= weight_of("names-a-cause") and sign.evidence.source is Source.LOG
        for sign in facts.reading.signs
    )
