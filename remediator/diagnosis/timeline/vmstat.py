"""A row of `vmstat` in a log: `r b swpd free buff cache si so bi bo in cs us sy id wa st`; documented: vmstat(8).

Owns the row's form; the last column and a date behind it may be missing. Pure; called by `machine_reports` and `pauses`.
"""

from __future__ import annotations

from msgspec import Struct

from remediator.diagnosis.timeline.line_words import unprefixed
from remediator.domain.late_pattern import late_pattern

__all__ = ["VmstatRow", "vmstat_row"]

_ROW = late_pattern(
    r"^\W{0,3}(?:\S*vmstat\S*\s+)?(?:\d{1,5}\s+){2}(?:\d{1,12}\s+){3}(?P<cache>\d{1,12})\s+(?P<into>\d{1,9})\s+(?P<out>\d{1,9})\s+(?P<read>\d{1,9})"
    r"(?:\s+\d{1,9}){3}\s+(?P<user>\d{1,3})\s+(?P<system>\d{1,3})\s+(?P<idle>\d{1,3})\s+(?P<wait>\d{1,3})(?:\s+(?P<stolen>\d{1,3}))?"
    r"(?:\s+\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)?\s*$"
)
_WHOLE, _ROUNDED = 100, 3  # percent; the latter chosen: five shares, each rounded


class VmstatRow(Struct, frozen=True):
    """What one row tells: kB cached, kB a second swapped in and out and read, and shares of the CPUs in percent."""

    cache: int
    into: int
    out: int
    read: int
    user: int
    system: int
    wait: int


def vmstat_row(text: str) -> VmstatRow | None:
    """The row that a line is, behind a time or not; None where it is none, or its shares make up no whole."""
    found = _ROW.match(unprefixed(text))
    if found is None:
        return None
    shares = sum(int(found[name] or 0) for name in ("user", "system", "idle", "wait", "stolen"))
    if abs(shares - _WHOLE) > _ROUNDED:
        return None
    return VmstatRow(**{name: int(found[name]) for name in VmstatRow.__struct_fields__})
