"""Every weight of the diagnosis by its name.

Owns the reading of `weights.tsv`: one row a weight, with its kind, its source (chosen, measured where,
documented where) and the functions that use it. The rows of signatures have their weights beside their
patterns, in words of the same scale. Read when first asked for, and once; pure otherwise.
"""

from __future__ import annotations

import functools
from pathlib import Path

from msgspec import Struct

TABLE = Path(__file__).with_name("weights.tsv")
SCALE = ("hint", "fair", "strong", "decisive", "certain")
"""The rows on which others are written: in natural log-odds, lightest first."""
_SIGNS = {"+": 1.0, "-": -1.0}


class WeightRow(Struct, frozen=True):
    """One row of the table: `value` as written, `kind` its unit, `users` the functions that ask for it."""

    name: str
    value: str
    kind: str
    source: str
    users: tuple[str, ...]
    says: str


def weight_of(name: str) -> float:
    """The value of the row of that name, in the unit of its kind.

    Raises:
        KeyError: the table has no such row.
    """
    return _values()[name]


def rows() -> tuple[WeightRow, ...]:
    """The whole table, in its order."""
    lines = TABLE.read_text(encoding="utf-8").splitlines()
    return tuple(_row_of(line) for line in lines if line and not line.startswith("#"))


def _row_of(line: str) -> WeightRow:
    name, value, kind, source, users, says = line.split("\t")
    return WeightRow(name, value, kind, source, tuple(users.split(", ")), says)


@functools.cache
def _values() -> dict[str, float]:
    found: dict[str, float] = {}
    for row in rows():
        found[row.name] = parsed(row.value, found)
    return found


def parsed(written: str, known: dict[str, float]) -> float:
    """A number as the table writes it: `0.35`, `fair`, `strong - 0.2`, `-hint / 2`."""
    first, *rest = written.split(" ")
    name = first.removeprefix("-")
    value = float(first) if name not in known else known[name] * (-1.0 if name != first else 1.0)
    if rest:
        operator, number = rest[0], float(rest[1])
        value = value / number if operator == "/" else value + _SIGNS[operator] * number
    return value
