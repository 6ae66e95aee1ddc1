"""Holding a job against `when`: why a policy, or an entry of `watch`, is not for it.

Owns the words for each key that does not hold; cause and verdict are asked by those who know them.
Pure. Called by the planner and by `watch`.
"""

from __future__ import annotations

from collections.abc import Callable

from remediator.job import JobFacts
from remediator.policy import expressions
from remediator.policy.selection import WatchWhen, When, matches_any, matches_labels


def why_not(
    when: When | WatchWhen,
    facts: JobFacts,
    variables: Callable[[str | None], expressions.ExpressionValues],
) -> str:
    """Why the job is not one that is asked for, in words; empty: it is.

    `variables` gives what a condition is asked about, by the zone that `now` is told in.
    """
    if when.job is not None and facts.kind not in when.job:
        kinds = ", ".join(kind.value for kind in when.job)
        return f"the job's kind is {facts.kind.value}, not {kinds}"
    if not matches_labels(when.labels, facts.labels):
        return "the job's labels differ"
    asked = [
        ("location", when.location, facts.location),
        ("model", when.model, facts.model),
        ("service account", when.service_account, facts.service_account),
    ]
    if isinstance(when, WatchWhen):
        asked.append(("machine type", when.machine, facts.machine_type))
    for name, globs, text in asked:
        if globs is not None and not matches_any(globs, text or ""):
            return f"the job's {name} {text or '(none)'} does not fit {', '.join(globs)}"
    if when.condition is not None:
        holds, absent = expressions.condition(when.condition).answer(variables(when.zone))
        if not holds:
            return f"`{when.condition}` does not hold" + (f": {absent}" if absent else "")
    return ""
