"""A program that ends itself at a limit of time of its own: its last lines tell a limit that is as long as it ran.

Owns the words of such limits and the reading of their lengths. No wording is enough: only where the length agrees
with the run is the program's end its limit. Pure; called by `read_case`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from remediator.case import LogLine
from remediator.diagnosis.durations import TEXT
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.texts.case_text import CaseText
from remediator.diagnosis.texts.log_lines import is_service_line, line_text
from remediator.domain.late_pattern import late_pattern

__all__ = ["own_deadline"]

_LIMIT = Linear(
    r"\b(?:deadline|limit|time[ -]?out|timed out|time budget|budget|max\w*[ _-]?(?:run|wall|exec\w*)?[ _-]?(?:time|duration|seconds|hours|minutes)|within|gave up|giving up|give up|not (?:done|finished|complete|completed|ready)|did ?n[o']t (?:finish|complete|end)|expired|exceeded|overran|too long|aborting|killing|stopping|watchdog|sla)\b",
)
# `4 h`, `2h30m`, `150 minutes`, `9000s`, `PT4H`, `04:00:00`.
_LENGTH = late_pattern(
    r"(?<![\w.:])(?:P?T?(?P<hours>\d{1,3}(?:\.\d{1,2})?) ?(?:h|hrs?|hours?|H)\b ?(?:and )?)?(?:(?<=[hHsr ])|(?<![\w.:]))(?:(?P<minutes>\d{1,4}(?:\.\d{1,2})?) ?(?:m|min|mins|minutes?|M)\b ?(?:and )?)?(?:(?P<seconds>\d{1,6}(?:\.\d{1,3})?) ?(?:s|secs?|seconds?|S)\b)?"
)
_COMPACT = late_pattern(
    r"(?<![\w.:])(?:P?T)?(?P<hours>\d{1,3})[hH](?P<minutes>\d{1,2})(?:[mM](?:in)?)?(?:(?P<seconds>\d{1,2})[sS])?(?!\w)"
)
_CLOCK = late_pattern(r"(?<![\w.:])(?P<hours>\d{1,3}):(?P<minutes>\d\d):(?P<seconds>\d\d)(?![\w:])")
_LAST = 6  # lines of the workers; chosen
_LEAST_SECONDS = 600.0  # of a limit; chosen: shorter ones are of one call
_ABOUT = (0.93, 1.03)  # of the run, that the limit must be: a program starts after its job; chosen


def own_deadline(lines: Sequence[LogLine], ran: float | None) -> CaseText | None:
    """The line near the end that tells a limit of time as long as the job `ran` (seconds); None where there is none."""
    if ran is None or ran < _LEAST_SECONDS:
        return None
    said = [line for line in lines[-_READ:] if line.text.strip() and not is_service_line(line)]
    for line in reversed(said[-_LAST:]):
        text = line.text[:TEXT]
        if not _LIMIT.is_in(text):
            continue
        low, high = (share * ran for share in _ABOUT)
        if any(low <= length <= high for length in _lengths_in(text)):
            return line_text(line, 1, 1.0)
    return None


_READ = 40  # entries at the end, the service's among them; chosen


def _lengths_in(text: str) -> Iterator[float]:
    for pattern in (_LENGTH, _COMPACT, _CLOCK):
        for found in pattern.finditer(text):
            hours, minutes, seconds = (
                float(found[part] or 0) for part in ("hours", "minutes", "seconds")
            )
            yield hours * 3600 + minutes * 60 + seconds
