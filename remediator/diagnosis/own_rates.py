"""Whether a line states the program's own rate (`rate limit 10/s`): a setting, and no refusal by anybody.

Pure; used by `texts` and `timeline`.
"""

from __future__ import annotations

from remediator.diagnosis.lazy_patterns import Linear

_HEAD = 400  # characters of a line; chosen
_PER = (
    r"\d[\d.,]{0,11}k?(?: ?(?:/|per) ?(?:\d{1,3} ?)?(?:s|sec|seconds?|m|min|minutes?|h|hours?)\b"
    r"| ?(?:rps|qps|rpm|req(?:uests?)?|calls?|pages|queries|tokens|ops)\b(?: ?(?:/|per) ?(?:s|sec|seconds?|m|min|minutes?|h|hours?)\b)?)"
)
_STATED = Linear(
    rf"\b(?:rate[ _-]?limit(?:ed|er|ing|s)?|throttl(?:ed|e|ing)|limit(?:er|ed))\b.{{0,30}}?{_PER}|{_PER}.{{0,40}}\brate[ _-]?limit",
    needs="limit throttl",
)
_REFUSED = Linear(
    r"\b429\b|too many|exceed|\breach|\bhit\b|\bover\b|error|exception|refus|denied|reject|fail|\bretr(?:y|ies|ied|ying)|try again|back(?:ing)? ?-?off|\bblocked\b|\bban|\bstatus|\bserver|\bupstream|\bresponse|\bans?wer|\bremaining|\bquota|\bwarn|\bresets?\b|\bby the\b|\bgot\b"
)


def states_own_rate(text: str) -> bool:
    """Whether a line tells at which rate the program lets itself ask, and of no answer that refused it."""
    head = text[:_HEAD]
    return _STATED.is_in(head) and not _REFUSED.is_in(head)
