"""The fleets of the benchmark: whose jobs, what happens to them, and what can be read of them.

`run.py --fleet NAME` takes a name of `FLEETS`, or any module that offers a fleet (`fleets.py`).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace

from bench.remediation import (
    fleet,
    strangers,
    strangers_quotas,
    strategies,
    visitors,
    wide,
    world,
)
from bench.remediation.fleets import Fleet, of

FIRST = Fleet(
    name="first",
    mixes=fleet.MIXES,
    build=fleet.build,
    run=world.run,
    first_at=world.first_at,
    case_of=world.case_of,
    cheapest=strategies.cheapest,
    is_right=strategies.is_right,
    remedy=strategies.remedy,
    losses=lambda *_: (),
)
"""The fleet of the twin's physics (PHYSICS.md)."""

_STRANGERS = of(strangers)

FLEETS: Mapping[str, Fleet] = {
    "first": FIRST,
    "wide": of(wide),
    "strangers": _STRANGERS,
    "strangers_read": replace(
        _STRANGERS, name="strangers, quotas read", case_of=strangers_quotas.with_quotas_read
    ),
    "strangers_listed": replace(
        _STRANGERS,
        name="strangers, quotas not readable, jobs listed",
        case_of=strangers_quotas.with_jobs_listed,
    ),
    "visitors": of(visitors),
}


def fleet_named(name: str) -> Fleet:
    """The fleet of this name, or the one that a module of this name offers."""
    known = FLEETS.get(name.removeprefix("bench.remediation."))
    return known or of(importlib.import_module(name))
