"""What a fleet offers, so that its physics may be somebody else's.

`python bench/remediation/run.py --fleet MODULE` takes any module that has these names: `NAME`, `MIXES`,
`build(seed, count, mix)`, `run(job, body, tries, at)`, `first_at(job)`, `case_of(ran, now)`,
`cheapest(job, allowed)`, `is_right(job, before, after)`, `remedy(job, body, made)` and
`losses(job, body)`. A job of it has `index`, `cause`, `kind`, `body`, `region`; a request that is to run
elsewhere says so under `PLACE`. `wide` is one; the first fleet is put together here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

PLACE = "_region"
Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Fleet:
    """One fleet: its jobs, what happens to them, and what was right to do."""

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


def first() -> Fleet:
    """The fleet of the twin's physics (PHYSICS.md)."""
    from bench.remediation import fleet, strategies, world

    return Fleet(
        "first",
        fleet.MIXES,
        fleet.build,
        world.run,
        world.first_at,
        world.case_of,
        strategies.cheapest,
        strategies.is_right,
        strategies.remedy,
        lambda *_: (),
    )


def of_module(name: str) -> Fleet:
    """The fleet that a module of this name offers."""
    if name == "first":
        return first()
    found = importlib.import_module(name)
    return Fleet(
        found.NAME,
        found.MIXES,
        found.build,
        found.run,
        found.first_at,
        found.case_of,
        found.cheapest,
        found.is_right,
        found.remedy,
        found.losses,
    )
