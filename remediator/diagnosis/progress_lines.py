"""Lines that are no evidence: counters that complain of nothing, and what did not happen ("0 errors").

Owns the words of progress and of trouble. Pure; used by `texts` and `timeline`.
"""

from __future__ import annotations

from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.own_rates import states_own_rate
from remediator.diagnosis.reported_status import cause_of_reported_status
from remediator.domain.late_pattern import late_pattern

_READ = 400  # characters of a line; chosen

_COUNTER = Linear(
    r"\b\d[\d,._]*(?:\s?\+\s?\d+\))?\s?(?:/|of|out of)\s?\d[\d,._]*\b|\b(?:step|epoch|iter(?:ation)?|batch|block|round|row|sample|record|chunk|shard|partition|trial|fold|tree|generation|frame|variant)s?\b\W{0,3}\d[\d,._]*\b|\b\d[\d,._]*\s(?:steps|epochs|iterations|batches|rows|samples|records|chunks|shards|files|images|requests|instances|reads|variants|lines)\b|\b\d{1,3}(?:\.\d+)?\s?%"
)
_TROUBLE = Linear(
    r"error|fail|premature|incomplete|stopped|broken|exception|invalid|cannot|can't|could ?n.t|unable|kill|denied|refus|time[sd]?[ -]?out|out of (?:memory|range|space|bounds)|unexpected|missing|not found|no such|n[o']t exist|abort|fatal|corrupt|truncat|exceed|retry|reset|unavailable|malformed|nan\b|\binf\b|panic|crash|signal|lost|oom\b|no space|warn|expected|too (?:large|many|long|few)|must|mismatch|bad |unsupported|not (?:valid|support|ready|allowed|match)|rejected|parse|unbound|variable|usage|undefined|not set|stuck|thrash|insufficient|not (?:have )?enough|\blacks?\b|blocked|slow|throttl|quota|preempt|terminat|exit(?:ed)?\b|status|\d{3} (?:get|post|client|server)"
)
_ZERO = Linear(
    r"\b(?:0|no|zero|without)(?: \w+){0,2} (?:errors?|failures?|failed|invalid|warnings?|retries|timeouts?|time-outs?|exceptions?|corrupt(?:ed)?|dropped|rejected|skipped|missing|duplicates?|conflicts?|problems?|issues?|ooms?)\b(?: (?:rows?|records?|lines?|files?|values?|entries|found|detected|seen|so far)\b)?|\b(?:errors?|failures?|failed|invalid|warnings?|retries|timeouts?|exceptions?|corrupt(?:ed)?|dropped|rejected|skipped|missing)(?: \w+)?\s?[=:]\s?0(?:[^\d.,]|$)|\b0 (?:invalid|failed|corrupt|missing|rejected|bad|malformed)\b(?: \w+)?",
    needs="error fail invalid warning retries timeout time-out exception corrupt dropped rejected skipped missing duplicate conflict problem issue oom bad malformed",
)
_LONE_ZERO = late_pattern(r"(?<!\d)0(?![\d.,]*\d)")
_LOUD = late_pattern(
    r"^\W{0,3}(?:[\w:.,+/-]+\s+){0,3}?\W?(?:WARN|WARNING|ERROR|CRITICAL|FATAL|[EWF]\d{4}|[EW])\b"
)
# `WARNING:root:…`, `Warning message:`, `a.c:3: warning: …`, `a.py:3: UserWarning: …`, glog's `W1129 …`, Tornado's
# `[W 261129 …]`, `level=warn`.
_WARNS = late_pattern(
    r"\W{0,4}(?:[\w.-]+(?: - |\W{1,3})){0,2}(?:WARN|WARNING)\b|\W{0,4}[Ww]arning(?: messages?)?(?: \(\w+\))?:|\S+: (?:[Ww]arning|\w{1,40}Warning):|\W?W\d{4} |\[W \d{6} "
)
_STAMP = late_pattern(r"^\W{0,3}(?:\d{2,4}[-/]\d\d[-/]\d\d[T ]*)?(?:\d{1,2}:\d\d:\d\d[.,\d]*)?")


def is_progress(text: str) -> bool:
    """A line that counts what is done and complains of nothing: no evidence, and no section."""
    head = text[:_READ]
    stamp = _STAMP.match(head)
    bare = head[stamp.end() :] if stamp else head
    return (
        "\n" not in text
        and not _LOUD.match(head)
        and _COUNTER.is_in(bare)
        and not _TROUBLE.is_in(_without_zeros(bare))
    )


def warns(text: str) -> bool:
    """Whether a line is a warning by its own level word, which no program takes for its last."""
    head = text[:_READ]
    stamp = _STAMP.match(head)
    return _WARNS.match(head[stamp.end() :] if stamp else head) is not None


def complains(text: str) -> bool:
    """Whether a line names a trouble of any kind."""
    head = text[:_READ]
    troubled = _TROUBLE.is_in(_without_zeros(head)) and not states_own_rate(text)
    return troubled or cause_of_reported_status(head) is not None


def without_zero_counts(text: str) -> str:
    """The text without what it says did not happen: "0 invalid rows", "errors: 0"."""
    return _without_zeros(text) if "0" in text else text


def _without_zeros(text: str) -> str:
    # Without a 0 that stands alone nothing is said not to have happened: cheaper to ask first.
    if _LONE_ZERO.search(text) is None or not _ZERO.is_in(text):
        return text
    return _ZERO.sub(lambda match: " " if "0" in match[0] else match[0], text)
