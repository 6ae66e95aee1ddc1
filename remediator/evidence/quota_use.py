"""Who of a project's own jobs holds a quota that refused one: what can be told without Cloud Monitoring.

Owns the counting: what surely was in use when the quota refused, and that nothing was. Where neither is
sure it says nothing. Judges no quota (see `planning.quota_readings`). Called by `gathering`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from remediator.case import Series
from remediator.catalog.catalog import Catalog
from remediator.domain import JobKind, JobState
from remediator.job import Job
from remediator.job.quota import QUOTA_USAGE, Quota, read_quotas

_HOLDING = (JobState.RUNNING, JobState.CANCELLING)
_LIVE = (*_HOLDING, JobState.PENDING, JobState.UPDATING, JobState.PAUSED)
MOST_JOBS = 500  # looked through in one list; chosen
_BACK = timedelta(
    days=1
)  # how long before the job those were made that may just have ended; chosen
_OF_TRAINING = "custom_model_training_"


class JobLister(Protocol):
    """Lists jobs; errors are the domain's."""

    def list(
        self,
        kind: JobKind,
        project: str,
        location: str,
        *,
        states: Sequence[JobState] = (),
        created_after: datetime | None = None,
        display_name: str | None = None,
        timeout_seconds: float | None = None,
    ) -> Iterator[Job]: ...


def quota_use(
    job: Job,
    metrics: Sequence[str],
    jobs: JobLister,
    project: str,
    catalog: Catalog,
    *,
    now: datetime,
    timeout_seconds: float,
    most_jobs: int = MOST_JOBS,
) -> tuple[Series, ...]:
    """What the project's training jobs in the job's region hold of each quota, as Monitoring would say it.

    A value above 0 is what was held when the quota refused the job, so that its limit is no smaller. 0
    says that no training job held or may have held any of it from the job's creation until now. Quotas of
    models are held by endpoints, too, and left out, as is what is not sure. `timeout_seconds` is for
    each page of a list, of which `most_jobs` are looked through. Raises the domain's errors.
    """
    quotas = [
        quota
        for quota in read_quotas(metrics)
        if quota.is_of_machines and not quota.passes and _OF_TRAINING in quota.metric
    ]
    if not quotas or job.create_time is None or job.end_time is None:
        return ()

    def listed(
        kind: JobKind, states: Sequence[JobState] = (), created_after: datetime | None = None
    ) -> list[Job]:
        found = jobs.list(
            kind,
            project,
            job.name.location,
            states=states,
            created_after=created_after,
            timeout_seconds=timeout_seconds,
        )
        return list(itertools.islice(found, most_jobs))

    counted = _Counting(job, quotas, catalog)
    live = listed(JobKind.CUSTOM, states=_LIVE)
    if len(live) == most_jobs:
        return ()
    held = counted.held(live)
    free = [quota for quota in quotas if not held[quota.metric]]
    unused: Sequence[Quota] = ()
    if free and not counted.perhaps(live, free):
        # Trials run as custom jobs of their own, which may not be in the list.
        trials = listed(JobKind.HYPERPARAMETER_TUNING, states=_LIVE)
        ended = listed(JobKind.CUSTOM, created_after=job.create_time - _BACK)
        others = [*trials, *(one for one in ended if counted.overlaps(one))]
        is_whole = len(trials) < most_jobs and len(ended) < most_jobs
        unused = free if is_whole and not counted.perhaps(others, free) else ()
    values = {quota.metric: held[quota.metric] for quota in quotas if held[quota.metric]}
    values |= {quota.metric: 0.0 for quota in unused}
    where = {"location": job.name.location}
    return tuple(
        Series(QUOTA_USAGE, {"quota_metric": metric}, where, ((now, value),))
        for metric, value in values.items()
    )


class _Counting:
    """What jobs beside the refused one count of its quotas."""

    def __init__(self, refused: Job, quotas: Sequence[Quota], catalog: Catalog) -> None:
        self._refused = refused
        self._quotas = quotas
        self._catalog = catalog

    def held(self, live: Iterable[Job]) -> dict[str, float]:
        """By metric, what was surely in use when the quota refused."""
        ended = self._refused.end_time
        sure = [
            one
            for one in live
            if one.state in _HOLDING
            and one.start_time is not None
            and ended is not None
            and one.start_time <= ended
            and self._is_other(one)
        ]
        return {q.metric: sum(self._of(one, q) for one in sure) for q in self._quotas}

    def perhaps(self, jobs: Iterable[Job], quotas: Iterable[Quota]) -> bool:
        """Whether one of the jobs may have held something of one of the quotas."""
        others = [one for one in jobs if self._is_other(one)]
        return any(
            one.persistent_resource or not one.pools or self._of(one, quota)
            for one in others
            for quota in quotas
        )

    def overlaps(self, one: Job) -> bool:
        """Whether a job that had machines ended after the refused one was made."""
        made = self._refused.create_time
        began, ended = one.start_time, one.end_time
        return began is not None and made is not None and (ended is None or ended >= made)

    def _is_other(self, one: Job) -> bool:
        return one.name.key != self._refused.name.key

    def _of(self, one: Job, quota: Quota) -> float:
        if one.persistent_resource:  # its machines are the resource's, which are not counted
            return 0.0
        return sum(
            quota.counts(pool.hardware, self._catalog, spot=one.is_spot) * pool.replicas
            for pool in one.pools
        )
