"""One piece of advice that belongs to a message: for which causes, what shows that it fits, and the sentence.

Owns the form of the rules in `advice_rules` and `advice_products`, and the parts of patterns that several share. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from remediator.diagnosis.lazy_patterns import Linear
from remediator.domain import Cause

VERTEX = "https://cloud.google.com/vertex-ai/docs"
ACCOUNT = r"[\w.+-]{1,120}@[\w.-]{1,120}\.(?:gserviceaccount\.com|[a-z]{2,10})"


class AdviceRule(Struct, frozen=True):
    """One piece of advice: for which causes, what shows that it fits, and the sentence.

    `{name}` stands for what the group of that name found; a rule of which a named group found nothing
    does not apply. `link` overrides the cause's own.
    """

    causes: frozenset[Cause]
    pattern: Linear
    says: str
    link: str = ""


def advice_rule(
    causes: Iterable[Cause] | Cause, pattern: str, says: str, link: str = ""
) -> AdviceRule:
    """A rule for one cause or for several."""
    for_these = frozenset({causes} if isinstance(causes, Cause) else causes)
    return AdviceRule(for_these, Linear(pattern), says, link)
