"""Jobs that still run: what is thought of one, from its case alone.

`signals` reads what can be seen, `verdicts` judges it. Pure; called by `diagnose` and `plan` on the
command line. Nothing is cancelled here, and `reconcile` does not watch by itself yet.
"""

from remediator.case import Case
from remediator.catalog.catalog import Catalogue
from remediator.domain import JobState
from remediator.policy.costs import usd_per_hour
from remediator.watch.signals import read_signals
from remediator.watch.verdicts import Watch, WatchVerdict, judge

__all__ = ["WATCHED", "Watch", "WatchVerdict", "watch"]

WATCHED = frozenset({JobState.QUEUED, JobState.PENDING, JobState.RUNNING})


def watch(case: Case, catalogue: Catalogue) -> Watch | None:
    """What is thought of a running job, judged at the case's `now`.

    None for a job that does not run, and under the label `remediator=off`.
    """
    job = case.job
    if job.state not in WATCHED or job.labels.get("remediator") == "off":
        return None
    told = job.facts(catalogue, case.model)
    signals = read_signals(case, told.vcpus, case.outputs)
    found = judge(
        case,
        signals,
        has_accelerator=bool(told.accelerator_count),
        workers=told.replicas or 1,
    )
    allocated = job.state is JobState.RUNNING
    price = usd_per_hour(job, job.name.location, catalogue) if allocated else 0.0
    return Watch(found.verdict, found.since, found.confidence, price, found.evidence)
