"""The fleet `strangers` where Cloud Monitoring may not be read and the project's jobs may be listed.

The same jobs and physics; what differs is what the list tells of a refusal: others hold as much of a quota
as the job needs while they use it up, and nobody holds any of one whose limit is 0.
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
from bench.remediation.strangers_jobs import METRICS
from bench.remediation.strangers_physics import placed, shape, thing_of
from bench.remediation.world import Ran
from remediator.case import Case, Series
from remediator.job.quota import QUOTA_USAGE

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
NAME = "strangers, quotas not readable, jobs listed"


def case_of(ran: Ran, now: datetime) -> Case:
    case = strangers.case_of(ran, now)
    fate, region = ran.job.fate, case.job.name.location
    place = placed(ran.job.kind, ran.job.body, region)
    thing = thing_of(place.hardware)
    metric = f"aiplatform.googleapis.com/custom_model_training_{METRICS.get(thing)}"
    if thing not in fate.quota or metric not in case.job.error_message:
        return case  # only a quota that a message names in full is looked after
    needed = (place.hardware.count or shape(place.hardware).vcpus) * place.replicas
    used = float(needed) if fate.quota_hours else 0.0
    listed = Series(
        QUOTA_USAGE,
        {"quota_metric": metric.partition("/")[2]},
        {"location": region},
        ((now, used),),
    )
    return replace(case, series=(*case.series, listed))
