"""The fleet `strangers` where Cloud Monitoring may be read for quotas: the same jobs and physics.

Written after the first score, with the reading of quotas itself: only what can be read of a refusal
differs, and it is what the fleet's own quotas are.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from bench.remediation import strangers
from bench.remediation.strangers import (
    MIXES,
    build,
    cheapest,
    first_at,
    is_right,
    losses,
    remedy,
    run,
)
from bench.remediation.strangers_jobs import METRICS, REGIONS
from bench.remediation.strangers_physics import placed, shape, thing_of
from bench.remediation.world import Ran
from remediator.case import Case, Series
from remediator.job.quota import QUOTA_LIMIT, QUOTA_USAGE

__all__ = [
    "MIXES",
    "NAME",
    "build",
    "case_of",
    "cheapest",
    "first_at",
    "is_right",
    "losses",
    "remedy",
    "run",
]
NAME = "strangers, quotas read"


def case_of(ran: Ran, now: datetime) -> Case:
    case = strangers.case_of(ran, now)
    fate, place = ran.job.fate, placed(ran.job.kind, ran.job.body, ran.job.region)
    if not fate.quota:
        return case
    thing = thing_of(place.hardware)
    needed = (place.hardware.count or shape(place.hardware).vcpus) * place.replicas
    # A quota that others use up for hours has room for the job once they are done.
    limit = needed if fate.quota_hours else fate.quota[thing]
    named = {"quota_metric": f"aiplatform.googleapis.com/custom_model_training_{METRICS[thing]}"}
    read = tuple(
        Series(kind, named, {"location": region}, ((now, float(limit)),))
        for region in REGIONS
        for kind in (QUOTA_LIMIT, QUOTA_USAGE)
    )
    return replace(case, series=(*case.series, *read))
