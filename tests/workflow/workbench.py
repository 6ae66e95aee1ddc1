"""A workbench for the rooms of the workflow: real ledger, real policies, in-memory services.

`Vertex` keeps jobs of every kind and remembers each create with what the ledger held at that moment;
`Channel` remembers each message likewise. So a test can say what was sent, what was stored, what was
told, and in which order. Nothing of the product is replaced: the Protocols of `services` are filled.
"""

from __future__ import annotations

import copy
import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from remediator.alerts import Message
from remediator.alerts.channel import Sent
from remediator.alerts.delivery import OUTCOMES
from remediator.alerts.outbox import Outbox
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import (
    Cause,
    Diagnosis,
    History,
    JobKind,
    JobName,
    JobState,
    NotFound,
    Plan,
    rfc3339,
)
from remediator.job import Job, JobView
from remediator.ledger import Chain, Incident, Ledger
from remediator.planning import plan
from remediator.policy import load
from remediator.settings import Settings
from remediator.workflow.incident_context import IncidentContext, new_incident
from remediator.workflow.services import Configuration, Records, Services, VertexProject
from tests.jobs import KnownEvidence, diagnosis, no_rows
from tests.ledger.memory import MemoryStore

NOW = datetime(
    2026, 11, 23, 19, 7, tzinfo=UTC
)  # seven minutes after the jobs of `tests.jobs` ended
PROJECT, NUMBER = "genomics-lab", "123456789012"
CALL_SECONDS = 13.0
OWN_ACCOUNT = "remediator@genomics-lab.iam.gserviceaccount.com"

POLICIES = """\
version: 1
mode: enforce
rerun_safe: [batch_prediction, custom, hyperparameter_tuning, training_pipeline, pipeline]
limits: {attempts: 3, usd_per_day: 1000, usd_per_job: 100, resubmissions_per_hour: 50}
channels:
  ml: {slack: {webhook: "env:W"}}
policies:
  - name: grow
    when: {}
    do: [{resubmit: {machine_type: bigger}, times: 3}]
    alert: [ml]
"""


@dataclass(frozen=True)
class Create:
    """One create as it was sent, and the chain that the ledger held while it was under way."""

    kind: JobKind
    parent: str
    request: Mapping[str, Any]
    timeout_seconds: float | None
    chain: Chain | None


@dataclass(frozen=True)
class Answer:
    """How Vertex answers a create: with the job, or with an error.

    `arrives`: whether the job is made. `meanwhile`: what happens elsewhere before the answer.
    """

    error: BaseException | None = None
    arrives: bool = True
    meanwhile: Callable[[], object] = lambda: None


class Vertex:
    """Jobs of every kind, in memory."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.bodies: dict[str, dict[str, Any]] = {}
        self.hidden: set[str] = set()  # made, not listed yet
        self.creates: list[Create] = []
        self.listed: list[tuple[JobKind, str, str, datetime | None, dict[str, str], Any]] = []
        self.cancelled: list[tuple[JobName, Incident | None]] = []
        self.answers: deque[Answer] = deque()
        self.list_error: BaseException | None = None
        self.hides_what_is_made = False
        self._ids = itertools.count(1001)

    def add(self, body: Mapping[str, Any], **changes: Any) -> Job:
        document = Job.parse(copy.deepcopy(dict(body)))
        for path, value in changes.items():
            document = document.changed(path.replace("__", "."), value)
        document = Job.parse(document.request())
        self.bodies[str(document.name)] = dict(document.request())
        return document

    def create(
        self,
        kind: JobKind,
        parent: str,
        request: Mapping[str, Any],
        *,
        timeout_seconds: float | None = None,
    ) -> Job:
        sent = copy.deepcopy(dict(request))
        root = str((sent.get("labels") or {}).get("remediator-root", ""))
        chains = [one for one in self._bench.ledger.chains() if one.root.endswith(f"/{root}")]
        held = chains[0] if chains else None
        self.creates.append(Create(kind, parent, sent, timeout_seconds, held))
        answer = self.answers.popleft() if self.answers else Answer()
        name = f"{parent.replace(PROJECT, NUMBER)}/{_COLLECTIONS[kind]}/{next(self._ids)}"
        if answer.arrives:
            at = rfc3339(self._bench.time)
            body = {**sent, "name": name, "state": "JOB_STATE_PENDING", "createTime": at}
            self.bodies[name] = body
            if self.hides_what_is_made:
                self.hidden.add(name)
        answer.meanwhile()
        if answer.error is not None:
            raise answer.error
        return Job.parse(copy.deepcopy(self.bodies[name]))

    def get(self, name: JobName, *, timeout_seconds: float | None = None) -> Job:
        assert timeout_seconds == CALL_SECONDS
        if str(name) not in self.bodies:
            msg = f"{name} does not exist"
            raise NotFound(msg)
        return Job.parse(copy.deepcopy(self.bodies[str(name)]))

    def find(
        self,
        kind: JobKind,
        job_id: str,
        locations: Sequence[str],
        project: str,
        *,
        timeout_seconds: float | None = None,
    ) -> Job | None:
        assert (project, timeout_seconds) == (PROJECT, CALL_SECONDS)
        for location in locations:
            name = JobName(NUMBER, location, kind, job_id)
            if str(name) in self.bodies:
                return self.get(name, timeout_seconds=timeout_seconds)
        return None

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
    ) -> Iterator[Job]:
        del view  # a job here is as brief as it is
        asked = (kind, project, location, created_after, dict(labels or {}), timeout_seconds)
        self.listed.append(asked)
        if self.list_error is not None:
            raise self.list_error
        for name, body in self.bodies.items():
            job = Job.parse(copy.deepcopy(body))
            if name in self.hidden or (job.kind, job.name.location) != (kind, location):
                continue
            if states and job.state not in states:
                continue
            if created_after and (job.create_time or created_after) < created_after:
                continue
            if all(job.labels.get(key) == value for key, value in (labels or {}).items()):
                yield job

    def page(
        self, kind: JobKind, project: str, location: str, *, token: str = "", **conditions: Any
    ) -> tuple[tuple[Job, ...], str]:
        del token
        return tuple(self.list(kind, project, location, **conditions)), ""

    def cancel(self, name: JobName, *, timeout_seconds: float | None = None) -> None:
        assert timeout_seconds == CALL_SECONDS
        self.cancelled.append((name, self._bench.ledger.incident(name.key)))


_COLLECTIONS = {
    JobKind.BATCH_PREDICTION: "batchPredictionJobs",
    JobKind.CUSTOM: "customJobs",
    JobKind.HYPERPARAMETER_TUNING: "hyperparameterTuningJobs",
    JobKind.TRAINING_PIPELINE: "trainingPipelines",
    JobKind.PIPELINE: "pipelineJobs",
}


class Channel:
    """Keeps what it was sent, each with the chains that the ledger held then."""

    keeps_current = False

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.messages: list[Message] = []
        self.chains: list[tuple[Chain, ...]] = []

    def send(self, message: Message, *, thread: str = "", due: datetime) -> Sent:
        del thread, due
        self.messages.append(message)
        self.chains.append(self._bench.ledger.chains())
        return Sent()

    def update(self, message: Message, *, thread: str) -> None:
        """Never asked for: it keeps nothing current."""


class Bench:
    """One project on a workbench. `tick` passes at every look at the clock."""

    def __init__(
        self, policies: str = POLICIES, *, settings: Settings | None = None, now: datetime = NOW
    ) -> None:
        self.time = now
        self.tick = timedelta(0)
        self.looks = 0
        self.store = MemoryStore()
        self.ledger = Ledger(self.store)
        self.vertex = Vertex(self)
        self.channel = Channel(self)
        self.outcomes: list[dict[str, Any]] = []
        self.write_outcome: Callable[..., None] = self._write_outcome
        self.gathered: list[dict[str, Any]] = []
        self.case_of: dict[str, Case] = {}
        self.use(policies)
        tokens = (f"token-{number}" for number in itertools.count(1))
        outbox = Outbox(
            self.ledger,
            open_channel=lambda _: self.channel,
            write_outcome=lambda outcome, **how: self.write_outcome(outcome, **how),  # noqa: PLW0108  # tests replace it
            now=lambda: self.time,
            lease=timedelta(minutes=10),
        )
        self.services = Services(
            config=Configuration(
                settings or replace(Settings(project=PROJECT), locations=("us-central1",)),
                lambda: self.policies,
                Catalog.built_in(),
                own_account=lambda: OWN_ACCOUNT,
            ),
            vertex=VertexProject(
                self.vertex,
                ids=lambda: (PROJECT, NUMBER),
                locations=lambda: ("us-central1", "europe-west4"),
                call_seconds=CALL_SECONDS,
            ),
            evidence=KnownEvidence(self._gather),
            records=Records(self.ledger, outbox, no_rows(), new_token=lambda: next(tokens)),
            clock=self._now,
        )

    def with_settings(self, **changed: Any) -> Services:
        """The services of a deployment whose settings differ so."""
        config = self.services.config
        settings = replace(config.settings, **changed)
        return replace(self.services, config=replace(config, settings=settings))

    def use(self, policies: str) -> None:
        """Another policy file from now on."""
        self.policies = load(policies).require()

    def _now(self) -> datetime:
        self.looks += 1
        self.time += self.tick
        return self.time

    def _gather(self, job: Job, *, now: datetime, attempts: Any, settled: bool) -> Case:
        self.gathered.append({"job": str(job.name), "now": now, "settled": settled})
        known = self.case_of.get(str(job.name))
        return replace(known, now=now) if known else Case(job=job, now=now, attempts=attempts)

    def _write_outcome(self, outcome: Any, *, id: str, at: datetime) -> None:  # noqa: A002  # the Protocol's name
        del at
        self.outcomes.append({"id": id, **outcome})

    # --- what the tests start from and look at ---------------------------------------------------

    def incident(self, job: Job, **more: Any) -> Incident:
        """The job's incident, opened in the ledger as an event would."""
        opened = new_incident(job, self.time, str(more.pop("root", job.name.key)))
        return self.ledger.open(replace(opened, **more))

    def chain(self, job: Job) -> Chain:
        found = self.ledger.chain(job.name.key)
        return found or Chain(key=job.name.key, root=str(job.name))

    def context(
        self,
        job: Job,
        cause: Cause = Cause.CPU_SATURATION,
        *,
        incident: Incident | None = None,
        chain: Chain | None = None,
        found: Diagnosis | None = None,
    ) -> IncidentContext:
        """What `incident` hands on: judged and planned by the policies."""
        incident = incident or self.incident(job)
        chain = chain or self.chain(job)
        found = found or diagnosis(job, cause)
        case = Case(job=job, now=self.time, attempts=chain.attempts)
        history = History(attempts=chain.attempts, root=chain.root)
        made = plan(case, found, self.policies, history, self.services.config.catalog)
        judged = replace(
            incident,
            verdict=found.verdict.value,
            policy=made.policy,
            action=made.action.value,
            changes=made.changes,
        )
        return IncidentContext(job, case, found, made, judged, chain)

    def documents(self, collection: str) -> dict[str, dict[str, Any]]:
        """Every document of one collection of the ledger, by its id."""
        return {key: body for kind, key in self.store.rows if kind == collection
                if (body := self.store.get(kind, key)) is not None}  # fmt: skip

    def totals(self) -> dict[str, float]:
        """What is counted: dollars of days, and marks in windows."""
        return {
            key: float(body["total"]) if "total" in body else sum(at[1] for at in body["marks"])
            for key, body in self.documents("counters").items()
            if not key.startswith("sent:")
        }

    def enqueued(self) -> dict[str, str | None]:
        """Every outbox message but outcomes by its id: when it was delivered."""
        return {
            str(body["id"]): body["delivered"]
            for body in self.documents("debts").values()
            if body["channel"] != OUTCOMES
        }


def planned(context: IncidentContext) -> Plan:
    """the context's plan, which says resubmit."""
    assert context.plan.request is not None, context.plan.because
    return context.plan
