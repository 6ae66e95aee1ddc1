"""What is a number in a document, and the middle of several.

JSON's true and false are none, though Python counts with them. Means and medians are those of `statistics`,
whose import (fractions, decimals, random numbers) is a fiftieth of a `diagnose`. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeGuard


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number, whole or not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether it is a number that is written without a fraction: 5, and not 5.0."""
    return isinstance(value, int) and not isinstance(value, bool)


def as_whole(value: object) -> int | None:
    """A number that has no fraction, 5.0 too, as an int; None for anything else."""
    if not is_number(value) or value != value // 1:
        return None
    return int(value)


def gib_words(gib: float) -> str:
    """`7.28 GiB`, `85 GiB`, `1,872 GiB`: three figures, and no power of ten."""
    return f"{gib:,.0f} GiB" if gib >= _THOUSAND else f"{gib:.3g} GiB"


_THOUSAND = 999.5  # from where on three figures would be written as a power of ten


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean; of none, ZeroDivisionError."""
    return math.fsum(values) / len(values)


def median(values: Iterable[float]) -> float:
    """The middle one, or half way between the middle two; of none, IndexError."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2
