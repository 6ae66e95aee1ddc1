"""What may be read of a refusal by quota in the fleet `strangers`: the quotas themselves, or the jobs that hold them.

Written after the first score, with the reading of quotas itself: only what can be read differs, and it
is what the fleet's own quotas are.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from bench.remediation.strangers import case_of
from bench.remediation.strangers_jobs import METRICS, REGIONS
from bench.remediation.strangers_physics import Place, placed, shape, thing_of
from bench.remediation.world import Ran
from remediator.case import Case, Series
from remediator.job.quota import QUOTA_LIMIT, QUOTA_USAGE


def with_quotas_read(ran: Ran, now: datetime) -> Case:
    """Cloud Monitoring may be read for quotas."""
    case = case_of(ran, now)
    fate, place = ran.job.fate, placed(ran.job.kind, ran.job.body, ran.job.region)
    if not fate.quota:
        return case
    thing, needed = _asked(place)
    # A quota that others use up for hours has room for the job once they are done.
    limit = needed if fate.quota_hours else fate.quota[thing]
    named = {"quota_metric": f"aiplatform.googleapis.com/custom_model_training_{METRICS[thing]}"}
    read = tuple(
        Series(kind, named, {"location": region}, ((now, float(limit)),))
        for region in REGIONS
        for kind in (QUOTA_LIMIT, QUOTA_USAGE)
    )
    return replace(case, series=(*case.series, *read))


def with_jobs_listed(ran: Ran, now: datetime) -> Case:
    """Cloud Monitoring may not be read, and the project's jobs may be listed: others hold as much of a
    quota as the job needs while they use it up, and nobody holds any of one whose limit is 0."""
    case = case_of(ran, now)
    fate, region = ran.job.fate, case.job.name.location
    thing, needed = _asked(placed(ran.job.kind, ran.job.body, region))
    metric = f"aiplatform.googleapis.com/custom_model_training_{METRICS.get(thing)}"
    if thing not in fate.quota or metric not in case.job.error_message:
        return case  # only a quota that a message names in full is looked after
    used = float(needed) if fate.quota_hours else 0.0
    listed = Series(
        QUOTA_USAGE,
        {"quota_metric": metric.partition("/")[2]},
        {"location": region},
        ((now, used),),
    )
    return replace(case, series=(*case.series, listed))


def _asked(place: Place) -> tuple[str, int]:
    """What a quota counts of a request, and how much of it."""
    each = place.hardware.count or shape(place.hardware).vcpus
    return thing_of(place.hardware), each * place.replicas
