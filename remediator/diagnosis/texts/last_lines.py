"""What people are shown of a log: the last lines that the workers wrote.

Owns their number and length. Pure; called by `diagnose`.
"""

from __future__ import annotations

from collections.abc import Sequence

from remediator.case import LogLine
from remediator.diagnosis.texts.case_text import TELEMETRY
from remediator.diagnosis.texts.log_lines import is_service_line


def last_lines(lines: Sequence[LogLine]) -> tuple[str, ...]:
    """What the workers wrote last, telemetry aside: oldest first, each cut to what a person reads."""
    shown: list[str] = []
    in_order = lines
    if all(line.time is not None for line in lines):
        in_order = sorted(lines, key=lambda line: line.time)  # type: ignore[arg-type,return-value]  # all are set
    for line in reversed(in_order):
        if not line.text.strip() or TELEMETRY in line.text or is_service_line(line):
            continue
        rows = [row.rstrip()[:_LAST_LINE_CHARS] for row in line.text.splitlines() if row.strip()]
        shown = [*rows[-_LAST_LINES_SHOWN:], *shown]
        if len(shown) >= _LAST_LINES_SHOWN:
            break
    return tuple(shown[-_LAST_LINES_SHOWN:])


_LAST_LINES_SHOWN, _LAST_LINE_CHARS = 20, 500  # what a person reads; chosen
