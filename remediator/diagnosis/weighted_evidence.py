"""What one observation says: the currency between the readers of this room and its sum.

Owns `WeightedEvidence`. Weights are natural log-odds against "nothing known" (see `scoring`): they add, so
every confidence can be explained by a list; each comes from `weights` or from a signature's row. Readers (`signatures`,
`metrics`, `timeline`, `locality`) make signs, `scoring` adds them; neither knows the other.
"""

from __future__ import annotations

from msgspec import Struct

from remediator.domain import Cause, Evidence, Frame, Source


class WeightedEvidence(Struct, frozen=True):
    """One observation and the cause it speaks for (`weight` > 0) or against (< 0), in nats.

    `symptom`: what was seen is how the failure shows, not why (a 504, an exit code, "never became
    ready"); it yields where a sign of another cause goes deeper. Signs of one `group` are one
    observation seen twice: only the strongest counts.
    """

    cause: Cause
    weight: float
    evidence: Evidence
    symptom: bool = False
    group: str = ""
    text: str = ""
    """The whole text of which the evidence quotes a part; empty where no text was read."""
    frame: Frame | None = None


def weighted_evidence(
    cause: Cause,
    weight: float,
    source: Source,
    where: str,
    says: str,
    *,
    symptom: bool = False,
    group: str = "",
) -> WeightedEvidence:
    """A sign with its evidence, in one call."""
    return WeightedEvidence(
        cause, weight, Evidence(source, where, says), symptom=symptom, group=group
    )
