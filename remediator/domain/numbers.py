"""What is a number in a document: JSON's true and false are none, though Python counts with them."""

from __future__ import annotations

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
