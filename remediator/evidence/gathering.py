"""One failed job's case: its evidence, its children's, and what the same job did before.

Owns which services are read for a case and within what time. `sources` says what there is to read,
`collect` reads it side by side. Called by the workflow through its `Gather` Protocol, and by the
command line.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from msgspec.structs import replace

from remediator.case import Case, Gap, Probe, Series
from remediator.catalog.catalog import Catalog
from remediator.deadline import remaining
from remediator.domain import (
    Attempt,
    JobName,
    JobState,
    Json,
    RemediatorError,
    Source,
    TransientError,
    rfc3339,
)
from remediator.evidence import collect
from remediator.evidence.quota_use import JobLister, quota_use
from remediator.evidence.sources import reading_plan_of, running_plan_of
from remediator.job import Job
from remediator.job.likeness import EVERY_ACCOUNT, alike
from remediator.policy import Policies

EVIDENCE_SECONDS = 25.0  # chosen: all sources of one diagnosis, side by side
_QUOTA_SECONDS = 5.0  # of a page of jobs, for what a plan can do without; chosen
_EARLIER = 3  # chosen: successful runs to compare with
_LOOKED_AT = 200  # chosen: jobs of that name that are looked through for them
_MOST_CHILDREN = 3  # chosen: launched jobs of one run that are read, each costs its own evidence


class JobReader(JobLister, Protocol):
    """Reads and lists jobs, and reads Models; errors are the domain's."""

    def get(self, name: JobName, *, timeout_seconds: float | None = None) -> Job: ...

    def model(self, name: str, *, timeout_seconds: float | None = None) -> Json: ...


class CaseGatherer:
    """Reads the evidence of a job, side by side, within a budget; services are opened when asked."""

    def __init__(
        self,
        *,
        jobs: JobReader,
        logs: collect.LogReader,
        metrics: collect.MetricReader,
        storage: collect.StorageReader,
        rows: Any,
        policies: Callable[[], Policies],
        project_id: Callable[[], str],
        locations: Callable[[], tuple[str, ...]],
        resume_bucket: str,
        resume_dataset: str,
        is_local: bool,
        call_seconds: float,
    ) -> None:
        self._jobs = jobs
        self._logs = logs
        self._metrics = metrics
        self._storage = storage
        self._rows = rows
        self._policies = policies
        self._project_id = project_id
        self._locations = locations
        self._resume_dataset = resume_dataset
        self._resume_bucket = resume_bucket.removeprefix("gs://").partition("/")[0]
        self._is_local = is_local
        self._call_seconds = call_seconds

    def gather(
        self,
        job: Job,
        *,
        now: datetime,
        attempts: tuple[Attempt, ...],
        settled: bool,
        whole: bool = False,
    ) -> Case:
        """The job's case. `settled`: its own error says why it failed, so little else is read.

        `whole`: for a file, also what is measured and says nothing of why a job failed.
        """
        reading = reading_plan_of(
            job,
            self._policies(),
            project=self._project_id(),
            settled=settled,
            whole=whole,
            resume_bucket=self._resume_bucket,
            resume_dataset=self._resume_dataset,
        )
        children, gaps = ((), ()) if settled else self._children(job, now)
        readers = collect.Readers(
            models=self._jobs,
            logs=self._logs,
            metrics=self._metrics,
            storage=self._storage,
            probe=self._probe,
            earlier=None if settled else self._earlier,
            rows=self._rows if reading.rows else None,
            quota_use=self._quota_use,
        )
        case = collect.gather(
            job,
            reading,
            readers,
            now=now,
            budget_seconds=remaining(EVIDENCE_SECONDS),
            attempts=attempts,
        )
        return replace(case, children=children, gaps=(*case.gaps, *gaps))

    def look(
        self,
        job: Job,
        *,
        now: datetime,
        with_log: bool,
        seen: Case | None = None,
        whole: bool = False,
    ) -> Case:
        """What can be seen of a job that runs, each source within its deadline.

        `seen` is what was read of it without its log: then only that is read. `whole`: of a job of the
        past, every sample.
        """
        readers = collect.Readers(
            logs=self._logs if with_log else None, metrics=self._metrics, storage=self._storage
        )
        reading = running_plan_of(
            job, project=self._project_id(), now=now, whole=whole, log_alone=seen is not None
        )
        case = collect.gather(
            job, reading, readers, now=now, budget_seconds=remaining(EVIDENCE_SECONDS)
        )
        if seen is not None:
            return replace(seen, log_lines=case.log_lines, gaps=(*seen.gaps, *case.gaps))
        saved = case.saved
        if saved is None or saved.at is None:
            return case
        newest = {"name": f"{saved.folder}/{saved.newest}", "updated": rfc3339(saved.at)}
        return replace(case, outputs=(newest,))

    def _children(self, job: Job, now: datetime) -> tuple[tuple[Case, ...], tuple[Gap, ...]]:
        """The jobs that a run's launchers started and that failed, each with its own evidence."""
        cases: list[Case] = []
        gaps: list[Gap] = []
        for name in job.launched[:_MOST_CHILDREN]:
            try:
                child = self._jobs.get(JobName.parse(name), timeout_seconds=self._call_seconds)
            except RemediatorError as err:
                why = f"the job that a task started could not be read: {err}"
                gaps.append(Gap(Source.JOB, why, may_pass=isinstance(err, TransientError)))
                continue
            if child.is_failure:
                cases.append(self.gather(child, now=now, attempts=(), settled=False))
        return tuple(cases), tuple(gaps)

    def _probe(self, url: str) -> Probe:
        from remediator.evidence import probe  # noqa: PLC0415  # cold start: few files name hosts

        return probe.measure(url, allow_loopback=self._is_local, origin=self._locations()[0])

    def _quota_use(self, job: Job, metrics: Sequence[str], now: datetime) -> tuple[Series, ...]:
        return quota_use(
            job,
            metrics,
            self._jobs,
            self._project_id(),
            Catalog.built_in(),
            now=now,
            timeout_seconds=_QUOTA_SECONDS,
        )

    def _earlier(self, job: Job) -> tuple[Job, ...]:
        """Successful runs of the same job (name, program, account), for comparison; newest first."""
        if not job.display_name:
            return ()
        found = self._jobs.list(
            job.kind,
            self._project_id(),
            job.name.location,
            states=(JobState.SUCCEEDED,),
            display_name=job.display_name,
            timeout_seconds=self._call_seconds,
        )
        account = EVERY_ACCOUNT if self._policies().learn_across_accounts else None
        key = alike(job, account=account)
        known = itertools.islice(found, _LOOKED_AT)  # others may give their jobs this name
        same = (one for one in known if key and alike(one, account=account) == key)
        return tuple(itertools.islice(same, _EARLIER))
