"""How a log ends, as one text for the word model: the last rows without dates, frames and source lines.

Owns which of the last rows are read. Pure; called by `diagnose` and, on recorded logs, by the training of the model.
"""

from __future__ import annotations

from collections.abc import Iterable

from remediator.domain.late_pattern import late_pattern

# Measured on the half of the seventh lab that nobody had read: with 4, 8 and 12 rows the model alone is right in 163, 171
# and 170 of 202.
_ROWS = 8
_CHARACTERS = 900  # chosen: eight rows of 110
_DATE = late_pattern(r"^\W*\d{4}[-/]\d\d[-/]\d\d[T ]?[\d:.,Z+-]*\W*")
# A value in quotes that has a path's slash: its words are a name.
_QUOTED_PATH = late_pattern(r"""(['"])[^'"]*/[^'"]*\1""")
_FRAME = late_pattern(r'^\s*(?:File "|at |\^|~|\.\.\. \d+ more)|^\s{4,}\S')


def ending_of(rows: Iterable[str]) -> str:
    """The last rows that say something, oldest first, a row a line; quoted paths are left out of them."""
    kept = [
        _QUOTED_PATH.sub("", _DATE.sub("", row[:_CHARACTERS]))
        for row in rows
        if row.strip() and not _FRAME.search(row)
    ]
    return "\n".join(kept[-_ROWS:])[-_CHARACTERS:]
