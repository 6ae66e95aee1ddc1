"""A status of HTTP's that a program tells in words of its own: "rate server answered 503 five times in a row".

Owns the forms, in which the number stands behind a verb of answering and before no unit, and what each status is about.
Pure; used by `progress_lines` and `process_exits`.
"""

from __future__ import annotations

from collections.abc import Mapping

from remediator.diagnosis.lazy_patterns import Linear
from remediator.domain import Cause

_HEAD = 400  # characters of a line; chosen
# 500 is a round number, too: rows, pages, a size. Only an answer is one.
_REPORTED = Linear(
    r"\b(?:(?:answer(?:s|ed|ing)?|sa(?:ys|id|ying)|repl(?:y|ies|ied|ying)|respond(?:s|ed|ing)?)(?: back)?(?: (?:me|us|with|an?|http|status|code|error|only|just|always)){0,3} (?P<answered>40[134]|408|429|50[0234])"
    r"|(?:return(?:s|ed|ing)?|g(?:ave|ives?|ot|ets?)|sent|sends|still|stays at|nothing but)(?: back)?(?: (?:me|us|with|an?|http|status|code|error|only|just|always)){0,3} (?P<got>40[134]|408|429|50[234]))"
    r"(?:\W*$|[,.;:)]|s\b| (?:(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\d{1,4}|so|too|that) (?:many )?times|\d{1,4}x|each|every|every time|again|after|in a row|in all|on (?:each|every|all|the|page|attempt|try)|for (?:the|each|every|page|attempt|\S{0,80}[./])|from|when|while|until|to (?:each|every|all|the)|\())",
    needs="40 429 50",
)
_MEANS: Mapping[str, Cause] = {
    "401": Cause.PERMISSION,
    "403": Cause.PERMISSION,
    "404": Cause.BAD_INPUT,
    "429": Cause.QUOTA,
}


def cause_of_reported_status(text: str) -> Cause | None:
    """What the answer is about that a line tells of in words of its own; None where it tells of none."""
    found = _REPORTED.search(text[:_HEAD])
    if found is None:
        return None
    return _MEANS.get(found["answered"] or found["got"], Cause.TRANSIENT_BACKEND)
