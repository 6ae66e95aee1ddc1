"""The composition root: settings in, an App with lazily opened services out.

The only place that knows concrete classes and imports them, late: an irrelevant event must not pay
for Google's clients. The front server may fork after importing `main`, so nothing is opened here
before the first call. Called by `handlers` and by the command line.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remediator import settings
from remediator.catalog import catalog
from remediator.domain import Json
from remediator.settings import Settings
from remediator.workflow import policy_source

if TYPE_CHECKING:
    from remediator.alerts.outbox import Outbox
    from remediator.alerts.policy_channels import PolicyChannels
    from remediator.cloud.deployment import Deployment
    from remediator.cloud.logs import Logs
    from remediator.cloud.metrics import Metrics
    from remediator.cloud.outcome_log import OutcomeLog
    from remediator.cloud.runtime import Runtime
    from remediator.cloud.storage import Storage
    from remediator.cloud.vertex import Vertex
    from remediator.evidence.gathering import CaseGatherer
    from remediator.evidence.log_budget import LogBudget
    from remediator.ledger import Ledger
    from remediator.policy import Policies
    from remediator.rows.objects import BatchRows
    from remediator.workflow.policy_file import PolicyFile
    from remediator.workflow.services import Services, VertexProject

CALL_SECONDS = 15.0  # all tries of one call together
ROUND_SECONDS = 50.0  # one `reconcile`; Scheduler calls again in a minute
_DUE_AT_ONCE = 8  # incidents that a round of `reconcile` takes up side by side
EVENT_SECONDS = 90.0  # everything done for one call; deploy/ lets the platform wait 120
_LOCAL_STATE = ".remediator"


class App:
    """The product, put together. Every service is opened when first used, once per process."""

    def __init__(
        self,
        settings_: Settings,
        *,
        environ: Mapping[str, str],
        policies: Policies | None,
        text: bytes = b"",
        compiled: Path | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        event_seconds: float = EVENT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings_
        self.now = now
        self._environ = environ
        self.event_seconds = event_seconds
        self._clock = clock
        self._policies = policies
        self._text = text  # of a policy file within the deployment
        self._compiled = compiled  # perhaps of the policy file outside it
        self._lock = threading.Lock()
        self._events = 0

    @classmethod
    def from_environment(
        cls,
        environ: Mapping[str, str],
        *,
        here: Path,
        clock: Callable[[], float] = time.monotonic,
    ) -> App:
        """Settings read and, where it is a local file, the policy file; raises InvalidInput."""
        found = settings.read(environ, here=here)
        policies, text = policy_source.read_deployed(found)
        compiled = here / "policies.compiled.json"
        return cls(
            found, environ=environ, policies=policies, text=text, compiled=compiled, clock=clock
        )

    @contextmanager
    def event_in_progress(self) -> Iterator[None]:
        """Counted while it lasts: a read of the log is shared by as many events as there are."""
        with self._lock:
            self._events += 1
        try:
            yield
        finally:
            with self._lock:
                self._events -= 1

    # --- the services -----------------------------------------------------------------------------

    @cached_property
    def services(self) -> Services:
        """Everything that the workflow touches the world with."""
        from remediator.workflow.services import Configuration, LateRows, Records, Services

        return Services(
            config=Configuration(
                self.settings,
                self.policies,
                catalog.Catalog.built_in(),
                own_account=lambda: self.own_account,
            ),
            vertex=self.vertex_project,
            evidence=self.evidence,
            records=Records(
                self.ledger,
                self.outbox,
                LateRows(lambda: self.rows),
                new_token=lambda: secrets.token_hex(16),
            ),
            clock=self.now,
            audit_entry=self._audit_entry,
        )

    @cached_property
    def vertex_project(self) -> VertexProject:
        """Vertex AI in this project."""
        from remediator.workflow.services import VertexProject

        return VertexProject(
            self.vertex,
            ids=lambda: self.project,
            locations=lambda: self.locations,
            call_seconds=CALL_SECONDS,
        )

    def _audit_entry(self, project: str, insert_id: str, at: datetime) -> Json | None:
        return self.logs.audit_entry(project, insert_id, at)

    @cached_property
    def vertex(self) -> Vertex:
        from remediator.cloud.vertex import Vertex

        return Vertex(self.settings.vertex_endpoint or None, timeout_seconds=CALL_SECONDS)

    @cached_property
    def logs(self) -> Logs:
        from remediator.cloud.logs import Logs

        return Logs(
            self.settings.logging_endpoint or None,
            may_read=self.log_budget.may_read,
            askers=lambda: self._events or _DUE_AT_ONCE,
            timeout_seconds=CALL_SECONDS,
        )

    @cached_property
    def metrics(self) -> Metrics:
        from remediator.cloud.metrics import Metrics

        return Metrics(self.settings.monitoring_endpoint or None, timeout_seconds=CALL_SECONDS)

    @cached_property
    def storage(self) -> Storage:
        from remediator.cloud.storage import Storage

        return Storage(timeout_seconds=CALL_SECONDS)

    @cached_property
    def rows(self) -> BatchRows:
        """The rows of batches, in Cloud Storage and in BigQuery."""
        from remediator.cloud.bigquery import BigQuery
        from remediator.cloud.objects import Objects
        from remediator.rows.objects import BatchRows
        from remediator.rows.tables import BatchTables

        return BatchRows(
            Objects(self.storage, call_seconds=CALL_SECONDS),
            tables=BatchTables(BigQuery(self.project_id, call_seconds=CALL_SECONDS)),
            # Counting rows in BigQuery may cost as much as resubmitting the job may.
            most_usd=lambda: self.policies().limits.usd_per_job,
        )

    @cached_property
    def ledger(self) -> Ledger:
        from remediator.ledger import Ledger

        where = self.settings.ledger
        if where.startswith("firestore://"):
            from remediator.cloud.firestore_methods import Documents
            from remediator.ledger.firestore import FirestoreStore

            database, collection = where.removeprefix("firestore://").split("/", 1)
            return Ledger(
                FirestoreStore(self.project_id, database, collection, open_client=Documents)
            )
        from remediator.ledger.sqlite import SqliteStore

        kept_here = Path.cwd() / _LOCAL_STATE / "ledger.sqlite3"
        return Ledger(SqliteStore(Path(where.removeprefix("sqlite:///")) if where else kept_here))

    @cached_property
    def outbox(self) -> Outbox:
        from remediator.alerts.outbox import Outbox

        return Outbox(
            self.ledger,
            open_channel=self.channels.open,
            write_outcome=self.outcome_log,
            now=self.now,
            lease=self.settings.lease,
            project=lambda: self.project_id,
            ledger_url=self.settings.ledger,
            rules_of=self.channels.rules_of,
        )

    def policies(self) -> Policies:
        """The policies in force; a file outside the deployment is looked at every minute."""
        return self._policy_file.policies() if self._policies is None else self._policies

    def policies_digest(self) -> str:
        """16 hex digits of the SHA-256 of the policy file in force."""
        from remediator.workflow.policy_file import digest_of

        return self._policy_file.digest if self._policies is None else digest_of(self._text)

    @cached_property
    def _policy_file(self) -> PolicyFile:
        from remediator.workflow.policy_file import PolicyFile

        name = self.settings.policies

        def fetch() -> tuple[str, str]:
            if name.startswith("gs://"):
                return self.storage.read(name, timeout_seconds=CALL_SECONDS)
            from remediator.cloud import secrets as secret_manager

            return secret_manager.read_version(
                name, project=self.project_id, timeout_seconds=CALL_SECONDS
            )

        return PolicyFile(
            name,
            fetch,
            lambda text: policy_source.load(text.encode(), self.settings, self._compiled),
            lambda: self.ledger,
            clock=self._clock,
        )

    @cached_property
    def evidence(self) -> CaseGatherer:
        """Reads the evidence of a job."""
        from remediator.evidence.gathering import CaseGatherer

        return CaseGatherer(
            jobs=self.vertex,
            logs=self.logs,
            metrics=self.metrics,
            storage=self.storage,
            rows=lambda job, seconds: self.rows.evidence(job, seconds),  # noqa: PLW0108  # opened when first read
            policies=self.policies,
            project_id=lambda: self.project_id,
            locations=lambda: self.locations,
            resume_bucket=self.settings.resume_bucket,
            resume_dataset=self.settings.resume_dataset,
            is_local=self.settings.is_local,
            call_seconds=CALL_SECONDS,
        )

    @cached_property
    def log_budget(self) -> LogBudget:
        """Which reads of Cloud Logging are ours this minute."""
        from remediator.evidence.log_budget import LogBudget

        shared = self.settings.ledger.startswith("firestore://")
        return LogBudget(lambda: self.ledger, self.now, is_shared=shared)

    @cached_property
    def outcome_log(self) -> OutcomeLog:
        """Where outcomes are written."""
        from remediator.cloud.outcome_log import OutcomeLog

        return OutcomeLog(self.write_log, self.settings.outcomes_topic, lambda: self.project_id)

    @cached_property
    def deployment(self) -> Deployment:
        """The project's own APIs, as `doctor` and a missing project number need them."""
        from remediator.cloud.deployment import Deployment

        return Deployment(self.project_id, timeout_seconds=CALL_SECONDS)

    @cached_property
    def _runtime(self) -> Runtime:
        from remediator.cloud.runtime import Runtime

        return Runtime(self.settings, lambda: self.deployment)

    @property
    def project(self) -> tuple[str, str]:
        """The project's id and number."""
        return self._runtime.project

    @property
    def project_id(self) -> str:
        """The project's id."""
        return self.settings.project or self._runtime.project_id

    @property
    def locations(self) -> tuple[str, ...]:
        """The regions served and swept."""
        return self.settings.locations or self._runtime.locations

    @property
    def own_account(self) -> str:
        """The e-mail of the account this runs as; empty where there is none."""
        return self._runtime.own_account

    def alert_policy_changes(self) -> None:
        """Enqueue what changed in a policy file outside the deployment."""
        from remediator.workflow.policy_file import alert_changes

        if self._policies is None:
            alert_changes(
                self._policy_file,
                self.services.config,
                self.services.records.outbox,
                self.services.clock,
            )

    def write_log(self, log_id: str, entries: list[Any]) -> None:
        self.logs.write(self.project_id, log_id, entries, timeout_seconds=CALL_SECONDS)

    def secret(self, reference: str) -> str:
        from remediator.cloud import secrets as secret_manager

        return secret_manager.resolve(reference, project=self.project_id, environ=self._environ)

    @cached_property
    def channels(self) -> PolicyChannels:
        """The channels of the policy file in force."""
        from remediator.alerts.policy_channels import PolicyChannels

        return PolicyChannels(self.policies, self.secret, lambda: self.project_id)
