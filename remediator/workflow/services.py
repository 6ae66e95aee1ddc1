"""What the workflow is handed: the services that it sees, and what it knows of an incident.

Owns the Protocols that `app` fills with concrete services, and the values that the modules of the workflow
pass to each other. Does nothing itself. Called by every module of the workflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from remediator.alerts import AlertFacts, AlertKind
from remediator.alerts.delivery import Outbox
from remediator.alerts.facts import QuestionEnd
from remediator.alerts.wording import moment_words
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import Action, Attempt, Diagnosis, JobKind, JobName, JobState, Json, Plan
from remediator.job import Job, JobView, summary
from remediator.ledger import Chain, Incident, Ledger, Stage
from remediator.policy import Policies
from remediator.settings import Settings

APPROVED, DECLINED = "approved", "declined"
"""A person's answers to a plan."""

RETRY_WINDOW = timedelta(hours=24)
"""How long the platform delivers a failed event again; what is not known by then is done without."""


class Jobs(Protocol):
    """What the workflow asks of Vertex AI; errors are the domain's."""

    def get(self, name: JobName, *, timeout_seconds: float | None = None) -> Job: ...

    def find(
        self,
        kind: JobKind,
        job_id: str,
        locations: Sequence[str],
        project: str,
        *,
        timeout_seconds: float | None = None,
    ) -> Job | None: ...

    def list(
        self,
        kind: JobKind,
        project: str,
        location: str,
        *,
        states: Sequence[JobState] = (),
        created_after: datetime | None = None,
        labels: Mapping[str, str] | None = None,
        view: JobView = JobView.WHOLE,
        timeout_seconds: float | None = None,
    ) -> Iterator[Job]: ...

    def page(
        self,
        kind: JobKind,
        project: str,
        location: str,
        *,
        states: Sequence[JobState] = (),
        created_after: datetime | None = None,
        token: str = "",
        view: JobView = JobView.WHOLE,
        timeout_seconds: float | None = None,
    ) -> tuple[tuple[Job, ...], str]: ...

    def create(
        self, kind: JobKind, parent: str, request: Json, *, timeout_seconds: float | None = None
    ) -> Job: ...

    def cancel(self, name: JobName, *, timeout_seconds: float | None = None) -> None: ...


class RowsOfBatches(Protocol):
    """Writes what a resumed batch needs, under names of ours; errors are the domain's."""

    def write_left(self, job: Job, uri: str, *, rows: int, seconds: float) -> None: ...

    def write_manifest(self, uri: str, body: Json) -> None: ...


class Gather(Protocol):
    """Reads the evidence of a job, side by side, within a budget."""

    def __call__(
        self, job: Job, *, now: datetime, attempts: tuple[Attempt, ...], settled: bool
    ) -> Case: ...


class Look(Protocol):
    """Reads what can be seen of a job that runs: metrics and saved objects, its log where asked.

    `seen` is what was read without the log, which alone is read then.
    """

    def __call__(
        self, job: Job, *, now: datetime, with_log: bool, seen: Case | None = None
    ) -> Case: ...


@dataclass(frozen=True, slots=True)
class Services:
    """Everything that the workflow touches the world with; made by `app`, opened when first used."""

    settings: Settings
    project: Callable[[], tuple[str, str]]
    locations: Callable[[], tuple[str, ...]]
    own_account: Callable[[], str]
    policies: Callable[[], Policies]
    catalog: Catalog
    jobs: Jobs
    rows: RowsOfBatches
    gather: Gather
    look: Look
    ledger: Ledger
    outbox: Outbox
    now: Callable[[], datetime]
    token: Callable[[], str]
    call_seconds: float = 20.0
    audit_entry: Callable[[str, str, datetime], Json | None] = lambda *_: None
    """The audit entry of a project by its insertId and time, as Cloud Logging keeps it."""


def new_incident(job: Job, first_known: datetime, root: str, *, key: str = "") -> Incident:
    """The job's incident, not yet kept; `key` where it is not the job's name alone."""
    return Incident(
        key=key or job.name.key,
        job=str(job.name),
        stage=Stage.UNSETTLED,
        first_known=first_known,
        root=root,
        ended=job.end_time,
        display_name=job.display_name,
        model=job.model_name or "",
        run_seconds=job.run_seconds,
        created=job.create_time,
        machine=summary.machine_words(job),
        owner=summary.owner_of(job),
        team=summary.team_of(job),
        account=job.service_account or "",
        image=next(iter(job.images()), "").rpartition("/")[2],
        accelerators=summary.accelerators_of(job),
    )


@dataclass(frozen=True, slots=True)
class IncidentContext:
    """What is known of an incident once a plan exists."""

    job: Job
    case: Case
    diagnosis: Diagnosis
    plan: Plan
    incident: Incident
    chain: Chain
    watch_reason: str = ""
    """Why an entry of `watch` ended the job while it ran; empty for a failure."""

    def facts(self, kind: AlertKind, *, created: str = "", now: datetime) -> AlertFacts:
        lost = self.chain.first_failed or self.job.end_time
        approval = self.incident.approval
        end = self._question_end(now) if kind is AlertKind.GIVEN_UP else None
        return replace(
            job_facts(kind, self.job, self.incident, self.chain),
            error=self.job.error_message,
            result=summary.result_words(self.job),
            rows=summary.rows_of(self.job),
            diagnosis=self.diagnosis,
            plan=self.plan,
            watch_reason=self.watch_reason,
            created=created,
            gaps=self.case.gaps,
            spent_usd=self.chain.spent_usd or None,
            estimated_usd=self.plan.estimated_usd,
            time_lost_seconds=(now - lost).total_seconds() if lost else None,
            approval_id=approval.id if approval else "",
            approve_until=approval.expires if approval else None,
            question_end=end,
            declined_by=approval.by if approval and end is QuestionEnd.DECLINED else "",
            extra=self._extra(),
        )

    def _question_end(self, now: datetime) -> QuestionEnd | None:
        """How the question about this plan ended, where it got no yes."""
        approval = self.incident.approval
        asked = self.plan.action is Action.APPROVE
        if approval is None or not asked or approval.digest != self.plan.digest:
            return None
        if approval.answer == DECLINED:
            return QuestionEnd.DECLINED
        return QuestionEnd.EXPIRED if not approval.answer and now >= approval.expires else None

    def _extra(self) -> tuple[str, ...]:
        lines = []
        if self.incident.silent_sink:
            lines.append("The log sink did not deliver this failure; the sweep found it.")
        if self.case.saved is not None and self.plan.action is not Action.ALERT:
            lines.append(summary.saved_words(self.case.saved, self.plan.changes))
        approval = self.incident.approval
        if approval is not None and approval.answer == APPROVED:
            when = f", {moment_words(approval.at)}" if approval.at else ""
            lines.append(f"Approved by {approval.by}{when}.")
        last = self.chain.attempts[-1] if self.chain.attempts else None
        if last is not None and last.abandoned:
            lines.append(
                f"Attempt {last.number} waited an hour for a machine in vain and was cancelled; "
                "it cost nothing and counts as a retry."
            )
        return tuple(lines)


def job_facts(kind: AlertKind, job: Job, incident: Incident, chain: Chain) -> AlertFacts:
    """What every alert about a job knows of it, of its incident and of its chain's attempts."""
    return AlertFacts(
        kind=kind,
        job=job.name,
        display_name=job.display_name,
        root=incident.root,
        attempt=incident.attempt,
        state=job.state,
        machine=summary.machine_words(job),
        owner=summary.owner_of(job),
        account=job.service_account or "",
        started=job.start_time,
        ended=job.end_time,
        attempts=chain.attempts,
    )
