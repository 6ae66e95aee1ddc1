"""Lines that count answers by their status (`2xx=1200 5xx=3`): a count is no answer.

Pure; used by `texts` and `timeline`.
"""

from __future__ import annotations

from msgspec import Struct

from remediator.diagnosis.lazy_patterns import Linear

_HEAD = 400  # characters of a line; chosen
_COUNT = Linear(
    r"\b(?P<code>[2345]xx|20[0-6]|429|50[0234])\b[\"']? ?[=:] ?(?P<count>\d{1,12})\b",
    needs="xx 20 429 50",
)


class StatusCounts(Struct, frozen=True):
    """How many answers one line counts: fine, refused for asking too often, broken."""

    fine: int
    too_often: int
    broken: int


def status_counts(text: str) -> StatusCounts | None:
    """The counts of a line that counts answers of two kinds at least; None for any other line."""
    counted: dict[str, int] = {}
    for found in _COUNT.finditer(text[:_HEAD]) if _COUNT.is_in(text[:_HEAD]) else ():
        counted[found["code"].lower()] = int(found["count"])
    if len(counted) < 2:  # noqa: PLR2004  # a lone number may be anything
        return None
    return StatusCounts(
        sum(count for code, count in counted.items() if code[0] == "2"),
        counted.get("429", 0),
        sum(count for code, count in counted.items() if code[0] == "5"),
    )
