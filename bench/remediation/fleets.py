"""What a fleet offers, so that its physics may be somebody else's.

A module is one where it has these names: `NAME`, `MIXES`, `build(seed, count, mix)`,
`run(job, body, tries, at)`, `first_at(job)`, `case_of(ran, now)`, `cheapest(job, allowed)`,
`is_right(job, before, after)`, `remedy(job, body, made)` and `losses(job, body)`. A job of it has
`index`, `cause`, `kind`, `body`, `region`; a request that is to run elsewhere says so under `PLACE`.
The fleets that there are stand in `table.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

PLACE = "_region"
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fleet:
    """One fleet: its jobs, what happens to them, what can be read of it, and what was right to do."""

    name: str
    mixes: Mapping[str, Any]
    build: Callable[[int, int, str], list[Any]]
    run: Callable[..., Any]
    first_at: Callable[[Any], Any]
    case_of: Callable[..., Any]
    cheapest: Callable[..., Body | None]
    is_right: Callable[[Any, Body, Body], bool]
    remedy: Callable[[Any, Body, int], Body | None]
    losses: Callable[[Any, Body], tuple[str, ...]]


def of(module: Any) -> Fleet:
    """The fleet that a module offers."""
    return Fleet(
        name=module.NAME,
        mixes=module.MIXES,
        build=module.build,
        run=module.run,
        first_at=module.first_at,
        case_of=module.case_of,
        cheapest=module.cheapest,
        is_right=module.is_right,
        remedy=module.remedy,
        losses=module.losses,
    )
