"""When Vertex refuses a create and says what it would have taken: its own numbers, used once.

Owns the reading of that one message and the plan that follows it. Must not look for other ways: a
second refusal is a refusal. Called by whoever creates jobs, who must fit the new estimate into the
same budgets before acting on it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from remediator.catalog.catalog import Catalog
from remediator.domain import Change, JobName, Plan
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job
from remediator.planning.costs import usd_per_hour

_ALLOWED = late_pattern(
    r'accelerator count "?(?P<asked>\d+)"? is not allowed.*?'
    r'accelerator "?(?P<accelerator>[A-Z0-9_]+)"?'
    r'.*?machine type "?(?P<machine>[a-z0-9-]+)"?.*?\[(?P<counts>[\d,\s]+)\]',
    re.IGNORECASE | re.DOTALL,
)


def after_refusal(made: Plan, said: str, catalog: Catalog) -> Plan | None:
    """The plan with the nearest accelerator count that Vertex's refusal names; None: it names none.

    Its estimates are scaled by the hourly price. A count that costs more than was planned for is
    taken too: what is allowed is the caller's question.
    """
    match = _ALLOWED.search(said)
    if match is None or made.request is None:
        return None
    counts = [int(count) for count in re.findall(r"\d+", match["counts"])]
    job = Job(JobName.parse(made.job), made.request)
    changes = list(made.changes)
    adjusted = job
    for pool in job.pools:
        held = pool.hardware
        if (held.machine, held.accelerator) == (match["machine"], match["accelerator"].upper()):
            count = _nearest(counts, held.count)
            if count == held.count:
                continue
            adjusted = adjusted.changed(pool.count_path, count)
            changes = _with(changes, pool.count_path, held.count, count)
    if adjusted is job:
        return None
    place = made.location or job.name.location
    before, after = (usd_per_hour(one, place, catalog) for one in (job, adjusted))
    factor = after / before if before and after else None
    return replace(
        made,
        request=adjusted.request(),
        changes=tuple(changes),
        estimated_usd=_scaled(made.estimated_usd, factor),
        worst_case_usd=_scaled(made.worst_case_usd, factor),
        because=f"{made.because} Vertex takes {counts} of them there, and said so.",
        notes=(*made.notes, f"Vertex takes {counts} of them there, and said so"),
    )


def _nearest(counts: Sequence[int], asked: int) -> int:
    return min(counts, key=lambda count: (abs(count - asked), -count))


def _with(changes: Sequence[Change], field: str, held: int, count: int) -> list[Change]:
    """The changes with this field's new value, added where the step had not changed it."""
    known = [change for change in changes if change.field == field]
    if not known:
        return [*changes, Change(field, held, count)]
    return [replace(c, after=count) if c.field == field else c for c in changes]


def _scaled(usd: float | None, factor: float | None) -> float | None:
    return None if usd is None or factor is None else round(usd * factor, 2)
