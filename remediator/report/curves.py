"""How full the machine was over a failed run, as the ledger keeps it and the page draws it. Pure.

Owns the short form: a label and at most MOST_POINTS shares, evenly spread over the run. Called by
the workflow, when its evidence is at hand, and by whoever makes a report.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.diagnosis.metrics import read_usage
from remediator.domain import Json

if TYPE_CHECKING:
    from remediator.report.history import Curve

MOST_POINTS = 60


def kept_curves(case: Case) -> tuple[Json, ...]:
    """What was measured of CPU, memory and accelerators; nothing for what was not."""
    usage = read_usage(case, case.job.facts(Catalog.built_in(), case.model))
    measured = (
        ("CPU", usage.cpu),
        ("Memory", usage.memory),
        ("GPU", usage.gpu),
        ("GPU memory", usage.gpu_memory),
    )
    return tuple(
        {"label": label, "shares": [round(share, 3) for share in _thinned(load.samples)]}
        for label, load in measured
        if load is not None
    )


def read_curves(kept: Iterable[Json], started: datetime, ended: datetime) -> tuple[Curve, ...]:
    """The curves of one run, their points spread evenly from its start to its end."""
    from remediator.report.history import Curve  # noqa: PLC0415  # an event keeps curves, and reads none

    found = []
    for one in kept:
        shares = [float(share) for share in one.get("shares") or ()]
        step = (ended - started) / max(len(shares) - 1, 1)
        points = tuple((started + step * n, share) for n, share in enumerate(shares))
        found.append(Curve(str(one.get("label") or ""), points))
    return tuple(found)


def _thinned(samples: Sequence[float]) -> list[float]:
    """The fullest sample of each stretch: a machine that was full for a minute is shown full."""
    if len(samples) <= MOST_POINTS:
        return list(samples)
    edges = [round(n * len(samples) / MOST_POINTS) for n in range(MOST_POINTS + 1)]
    return [max(samples[a:b]) for a, b in itertools.pairwise(edges)]
