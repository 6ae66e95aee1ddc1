"""What the workflow is handed: the services that it sees, in groups by what they are for.

Owns the Protocols that `app` fills with concrete services. Does nothing itself. Called by every module of
the workflow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from remediator.alerts import AlertFacts
from remediator.alerts.outbox import ChainChange, Outbox
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import Attempt, JobKind, JobName, JobState, Json, VainAttempt
from remediator.job import Job, JobView
from remediator.ledger import Incident, Ledger
from remediator.policy import Policies
from remediator.settings import Settings


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


class LateRows:
    """The rows of batches, opened when one is resumed."""

    def __init__(self, opened: Callable[[], RowsOfBatches]) -> None:
        self._opened = opened

    def write_left(self, job: Job, uri: str, *, rows: int, seconds: float) -> None:
        self._opened().write_left(job, uri, rows=rows, seconds=seconds)

    def write_manifest(self, uri: str, body: Json) -> None:
        self._opened().write_manifest(uri, body)


class EvidenceReader(Protocol):
    """Reads what there is to know of a job, side by side, within a budget."""

    def gather(
        self, job: Job, *, now: datetime, attempts: tuple[Attempt, ...], settled: bool
    ) -> Case:
        """The case of a job that has ended."""

    def look(self, job: Job, *, now: datetime, with_log: bool, seen: Case | None = None) -> Case:
        """What can be seen of a job that runs: metrics and saved objects, its log where asked.

        `seen` is what was read without the log, which alone is read then.
        """


Clock = Callable[[], datetime]
"""The time, aware of its zone."""
ReadAuditEntry = Callable[[str, str, datetime], Json | None]
"""The audit entry of a project by its insertId and time, as Cloud Logging keeps it."""


class Configuration(Struct, frozen=True):
    """What a decision is made by: the deployment's settings, the policy file in force, the catalog.

    `own_account` is the e-mail that this deployment runs as; empty where there is none.
    """

    settings: Settings
    policies: Callable[[], Policies]
    catalog: Catalog
    own_account: Callable[[], str]


class VertexProject(Struct, frozen=True):
    """Vertex AI in our project: each call has the same deadline; errors are the domain's.

    `ids` are the project's id and number, `locations` the regions that are served and swept.
    """

    jobs: Jobs
    ids: Callable[[], tuple[str, str]]
    locations: Callable[[], tuple[str, ...]]
    call_seconds: float = 20.0

    @property
    def project(self) -> str:
        """The project's id."""
        return self.ids()[0]

    def is_ours(self, project: str) -> bool:
        """Whether an id or a number is that of our project."""
        return project in self.ids()

    def get(self, name: JobName) -> Job:
        return self.jobs.get(name, timeout_seconds=self.call_seconds)

    def find(self, kind: JobKind, job_id: str) -> Job | None:
        """The job of this id in the first region that has it."""
        return self.jobs.find(
            kind, job_id, self.locations(), self.project, timeout_seconds=self.call_seconds
        )

    def list(
        self,
        kind: JobKind,
        location: str,
        *,
        states: Sequence[JobState] = (),
        created_after: datetime | None = None,
        labels: Mapping[str, str] | None = None,
        view: JobView = JobView.WHOLE,
    ) -> Iterator[Job]:
        return self.jobs.list(
            kind,
            self.project,
            location,
            states=states,
            created_after=created_after,
            labels=labels,
            view=view,
            timeout_seconds=self.call_seconds,
        )

    def page(
        self,
        kind: JobKind,
        location: str,
        *,
        states: Sequence[JobState],
        created_after: datetime,
        token: str,
        view: JobView,
    ) -> tuple[tuple[Job, ...], str]:
        return self.jobs.page(
            kind,
            self.project,
            location,
            states=states,
            created_after=created_after,
            token=token,
            view=view,
            timeout_seconds=self.call_seconds,
        )

    def create(self, kind: JobKind, location: str, request: Json) -> Job:
        parent = f"projects/{self.project}/locations/{location}"
        return self.jobs.create(kind, parent, request, timeout_seconds=self.call_seconds)

    def cancel(self, name: JobName) -> None:
        self.jobs.cancel(name, timeout_seconds=self.call_seconds)


class Records(Struct, frozen=True):
    """What is written down: the ledger, messages about it, and what lies beside a resumed batch.

    `new_token` draws the random name of a claim or of a question.
    """

    ledger: Ledger
    outbox: Outbox
    rows: RowsOfBatches
    new_token: Callable[[], str]

    def publish_move(
        self,
        incident: Incident,
        facts: AlertFacts,
        channels: Sequence[str],
        now: datetime,
        *,
        change: ChainChange | None = None,
        vain: Mapping[str, Sequence[VainAttempt]] | None = None,
    ) -> bool:
        """Move the incident on and tell it, and keep what was tried in vain by its track; False where another execution was faster."""
        return self.outbox.publish(
            facts,
            channels,
            now,
            change=change,
            store=lambda messages: self.ledger.move(incident, outbox_messages=messages, vain=vain),
        )


class Services(Struct, frozen=True):
    """What an entry of the workflow is handed; made by `app`, opened when first used.

    Only what goes a long way with an incident takes it whole: every other function takes the group,
    or the one service, that it touches.
    """

    config: Configuration
    vertex: VertexProject
    evidence: EvidenceReader
    records: Records
    clock: Clock
    audit_entry: ReadAuditEntry = lambda *_: None
