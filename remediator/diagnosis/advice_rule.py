"""One piece of advice that belongs to a message: for which causes, what shows that it fits, and the sentence.

Owns the form of the rules in `advice_rules` and `advice_products`, the parts of patterns that several share, and
their one interpreter. Pure; called by `advice`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from msgspec import Struct

from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.roles import ROLES
from remediator.domain import Cause
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job

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


_LONGEST = 600  # characters of a value that is put into advice; chosen
_TEXT = 6_000  # characters of a text that are read; chosen
_FILL = late_pattern(r"\{([^{}]+)\}")
_SOURCE = late_pattern(
    r"\.(?:c|cc|cpp|cu|cuh|cxx|go|h|hpp|java|jl|js|kt|py|pyx|r|R|rb|rs|scala|ts)$"
)


def advice_of(
    cause: Cause, texts: Iterable[str], job: Job, rules: Iterable[AdviceRule]
) -> tuple[str, str] | None:
    """The sentence and link of the first rule that knows a text's advice; None where none does.

    An empty link: the cause's own.
    """
    fitting = [rule for rule in rules if cause in rule.causes]
    for text in texts:
        for rule in fitting:
            found = rule.pattern.search(text[:_TEXT])
            groups = found.groupdict() if found else {}
            if cause is Cause.BAD_INPUT and _SOURCE.search(groups.get("path") or ""):
                continue  # the place in a program that found the data wanting is no data
            said = _filled(rule.says, _values(groups, job)) if found else None
            if said is not None:
                return said[:_LONGEST], rule.link
    return None


def _values(groups: Mapping[str, str | None], job: Job) -> dict[str, str]:
    values = {name: text.strip(" .,:;") for name, text in groups.items() if text}
    permission = values.get("permission", "")
    if permission and "role" not in values:
        role = ROLES.get(permission.lower())
        values["role"] = (
            f"{permission} (for example {role})" if role else f"a role with {permission}"
        )
    # A message that came alone has no job, and its stand-in no region.
    region = job.name.location if job.name.location != "-" else "the job's region"
    values.setdefault("region", region)
    return values


def _filled(sentence: str, values: Mapping[str, str]) -> str | None:
    """The sentence with its values; None where one that it must have is not there.

    `{a|b}`: the first of these that was found; `{a|=words}`: a, or else these words;
    `{a: at step }`: those words and a, or nothing.
    """
    missing = False

    def fill(match: re.Match[str]) -> str:
        nonlocal missing
        asked: str = match[1]
        if ": " in asked:
            name, _, before = asked.partition(":")
            return f"{before}{values[name]}" if name in values else ""
        for name in asked.split("|"):
            if name.startswith("="):
                return name[1:]
            if name in values:
                return values[name]
        missing = True
        return ""

    said = _FILL.sub(fill, sentence)
    return None if missing else said
