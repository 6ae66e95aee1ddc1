"""A world in which the real story can be stopped, killed and raced at every step.

`Cloud` is Vertex as far as the story sees it: creates may be answered, lost, never made, refused or
throttled, its list shows a job only after a while, and owners may delete a job that has ended. Jobs
are of two teams, whose money is counted apart too. `Execution` runs one delivery of the real workflow in
a thread of its own, which stops before every touch of ledger, cloud and clock until it is told to go
on, or is killed there. Between the clock's last look and the sending of a create nothing stops: that a
process is not frozen just there is what docs/reliability.md assumes.
"""

from __future__ import annotations

import copy
import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec.structs import replace

from remediator.alerts import Message
from remediator.alerts.channel import Sent
from remediator.alerts.outbox import Outbox
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.domain import (
    JobKind,
    JobName,
    JobState,
    NotFound,
    OutcomeUnknown,
    PermanentError,
    RemediatorError,
    TransientError,
    rfc3339,
)
from remediator.job import Job, JobView
from remediator.ledger import Incident, Ledger, Stage
from remediator.policy import load
from remediator.settings import Settings
from remediator.workflow import reconcile, sweep
from remediator.workflow.incident import consider
from remediator.workflow.services import Configuration, Records, Services, VertexProject
from tests.jobs import KnownEvidence, no_rows
from tests.ledger.memory import MemoryStore
from tests.waiting import HANG_SECONDS

START = datetime(2026, 11, 23, 0, 10, tzinfo=UTC)
ATTEMPTS = 3
TEAMS = ("vision@lab.iam.gserviceaccount.com", "speech@lab.iam.gserviceaccount.com")
_POLICIES = """\
version: 1
mode: enforce
rerun_safe: [custom]
limits: {attempts: 3, usd_per_day: 100000, per: [{by: service_account, usd_per_day: 100000}]}
channels:
  people: {slack: {webhook: "env:HOOK"}}
policies:
  - name: again
    when: {}
    do: [{resubmit: {machine_type: more_memory}, times: 9}]
    alert: [people]
"""
_OUT_OF_MEMORY = {
    "code": 9,
    "message": "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137.",
}


class Killed(BaseException):
    """The process is gone: no handler of it does anything any more."""


class Execution:
    """One delivery in a thread of its own; it runs only between `step` and its next touch."""

    _current = threading.local()

    def __init__(self, body: Callable[[], object], number: int = 0) -> None:
        self._go, self._stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._killed = False
        self.number = number
        self.done = False
        self.loses_next_answer = False
        self.fault: BaseException | None = None
        self._body = body
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @classmethod
    def current(cls) -> Execution | None:
        return getattr(cls._current, "execution", None)

    def _run(self) -> None:
        Execution._current.execution = self
        try:
            self.touch()
            self._body()
        except (RemediatorError, Killed):
            pass
        except BaseException as err:  # noqa: BLE001  # handed to the test, which fails on it
            self.fault = err
        self.done = True
        self._stopped.release()

    def touch(self) -> None:
        """Stop here until told to go on."""
        if not self._killed:
            self._stopped.release()
            self._go.acquire()
        if self._killed:
            raise Killed

    def step(self) -> None:
        """Let it run to its next touch."""
        self._stopped.acquire()
        self._go.release()
        self._stopped.acquire()
        self._stopped.release()

    def kill(self) -> None:
        """As SIGKILL would, where it stands; whatever it would still do does not happen."""
        self._killed = True
        self._go.release()
        self._thread.join(timeout=HANG_SECONDS)


def _touch() -> None:
    execution = Execution.current()
    if execution is not None:
        execution.touch()


@dataclass
class Cloud:
    """Custom jobs, made by order of `next_outcome`; listed `lag` after they were made."""

    now: Callable[[], datetime]
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    listed_from: dict[str, datetime] = field(default_factory=dict)
    next_outcome: str = "answered"
    lag: timedelta = timedelta(0)
    ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    deleted: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, state: str = "JOB_STATE_FAILED", **more: Any) -> str:
        """A job by its name; failed for want of memory unless told otherwise."""
        number = next(self.ids)
        name = f"projects/1/locations/us-central1/customJobs/{number}"
        at = rfc3339(self.now())
        self.jobs[name] = {
            "displayName": f"training {number}",
            "jobSpec": {
                "workerPoolSpecs": [
                    {
                        "machineSpec": {"machineType": "n1-standard-8"},
                        "replicaCount": "1",
                        "containerSpec": {"imageUri": f"us-docker.pkg.dev/lab/train{number}:1"},
                    }
                ],
                "scheduling": {"timeout": "3600s"},
                "serviceAccount": TEAMS[number % len(TEAMS)],
            },
            **copy.deepcopy(more),
            "name": name,
            "state": state,
            "createTime": at,
            "startTime": at,
        }
        if state == "JOB_STATE_FAILED":
            self.end(name, "JOB_STATE_FAILED")
        self.listed_from[name] = self.now() + self.lag
        return name

    def end(self, name: str, state: str) -> None:
        ended = {"state": state, "endTime": rfc3339(self.now())}
        error = {"error": _OUT_OF_MEMORY} if state == "JOB_STATE_FAILED" else {}
        self.jobs[name] = {**self.jobs[name], **ended, **error}

    def delete(self, name: str) -> None:
        """Its owner deletes a job, which Vertex allows once it has ended."""
        self.deleted[name] = self.jobs.pop(name)

    def ever(self) -> dict[str, dict[str, Any]]:
        """Every job that there is or was."""
        return {**self.jobs, **self.deleted}

    def get(self, name: JobName, *, timeout_seconds: float | None = None) -> Job:
        del timeout_seconds
        _touch()
        if str(name) not in self.jobs:
            msg = f"{name} does not exist"
            raise NotFound(msg)
        return Job.parse(copy.deepcopy(self.jobs[str(name)]))

    def list(
        self,
        kind: JobKind,
        project: str,
        location: str,
        *,
        states: Sequence[JobState] = (),
        created_after: datetime | None = None,
        labels: Mapping[str, str] | None = None,
        view: JobView = JobView.WHOLE,  # a job here is as brief as it is
        timeout_seconds: float | None = None,
    ) -> Iterator[Job]:
        del project, location, timeout_seconds, view
        _touch()
        listed = [
            Job.parse(copy.deepcopy(body))
            for name, body in tuple(self.jobs.items())  # executions add to it
            if kind is JobKind.CUSTOM
            and (not states or JobState.parse(body["state"]) in states)
            and self.listed_from[name] <= self.now()
        ]
        return iter(
            job
            for job in listed
            if (created_after is None or (job.create_time or created_after) >= created_after)
            and all(job.labels.get(key) == value for key, value in (labels or {}).items())
        )

    def page(
        self, kind: JobKind, project: str, location: str, *, token: str = "", **conditions: Any
    ) -> tuple[tuple[Job, ...], str]:
        del token
        return tuple(self.list(kind, project, location, **conditions)), ""

    def create(
        self,
        kind: JobKind,
        parent: str,
        request: Mapping[str, Any],
        *,
        timeout_seconds: float | None = None,
    ) -> Job:
        del kind, parent, timeout_seconds
        outcome, name = self.next_outcome, ""
        if outcome in {"answered", "lost"}:
            name = self.add("JOB_STATE_RUNNING", **request)
        _touch()  # sent, and not yet heard
        if outcome == "answered":
            return Job.parse(copy.deepcopy(self.jobs[name]))
        if outcome == "throttled":
            msg = "429 too many requests a minute"
            raise TransientError(msg)
        if outcome == "refused":
            msg = "400 this image is not welcome here"
            raise PermanentError(msg)
        msg = "504 deadline exceeded"
        raise OutcomeUnknown(msg)


class Told:
    """A channel that keeps what it was sent."""

    keeps_current = True

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def send(self, message: Message, *, thread: str = "", due: datetime) -> Sent:
        del due
        _touch()
        self.messages.append(message)
        return Sent(thread=thread or f"thread {len(self.messages)}")

    def update(self, message: Message, *, thread: str) -> None:
        """What is kept current is no message that was sent."""


class _Touched:
    """The ledger, with a stop before each verb; an execution may lose the answer of its next change."""

    _CHANGES = frozenset(
        {
            "open",
            "move",
            "claim",
            "take_over",
            "release_lease",
            "record",
            "withdraw",
            "settle",
            "enqueue",
        }
    )

    def __init__(self, ledgers: Sequence[Ledger]) -> None:
        self._ledgers = ledgers

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            _touch()
            execution = Execution.current()
            ledger = self._ledgers[(execution.number if execution else 0) % len(self._ledgers)]
            answer = getattr(ledger, verb)(*args, **named)
            if execution is not None and execution.loses_next_answer and verb in self._CHANGES:
                execution.loses_next_answer = False
                msg = "the ledger's answer was lost"
                raise TransientError(msg)
            return answer

        return call


class World:
    """One project, one ledger, one clock, and the executions at work in it."""

    def __init__(
        self,
        *,
        lease: timedelta,
        wait: timedelta,
        stores: Sequence[Any] = (),
        cloud: type[Cloud] = Cloud,
    ) -> None:
        self.time = START
        self.lease, self.wait = lease, wait
        self.store = stores[0] if stores else MemoryStore()
        self.ledger = Ledger(self.store)
        self.cloud = cloud(lambda: self.time)
        self.told = Told()
        self.outcomes: list[Any] = []
        self.executions: list[Execution] = []
        policies = load(_POLICIES).policies
        assert policies is not None
        tokens = itertools.count(1)
        others = [Ledger(store) for store in stores[1:]]  # of other instances of the function
        ledger: Any = _Touched([self.ledger, *others])
        outbox = Outbox(
            ledger,
            open_channel=lambda _: self.told,
            write_outcome=self._write_outcome,
            now=self._now,
            lease=lease,
        )
        self.story = Services(
            config=Configuration(
                replace(Settings(project="p"), lease=lease, consistency_wait=wait),
                lambda: policies,
                Catalog.built_in(),
                own_account=lambda: "",
            ),
            vertex=VertexProject(
                self.cloud, ids=lambda: ("p", "1"), locations=lambda: ("us-central1",)
            ),
            evidence=KnownEvidence(self._gather),
            records=Records(ledger, outbox, no_rows(), new_token=lambda: f"token-{next(tokens)}"),
            clock=self._now,
        )

    def _now(self) -> datetime:
        _touch()
        return self.time

    def _gather(self, job: Job, *, now: datetime, attempts: Any, settled: bool) -> Case:
        del settled
        return Case(job=job, now=now, attempts=attempts)

    def _write_outcome(self, outcome: Any, *, id: str, at: datetime) -> None:  # noqa: A002  # the Protocol's name
        del at
        self.outcomes.append((id, outcome))

    def incident(self, name: str, *, due: datetime) -> Incident:
        """What the ledger keeps of a job that waits for its evidence."""
        key = JobName.parse(name).key
        return Incident(key, name, Stage.UNSETTLED, self.time, root=key, due=due)

    def deliver(self, name: str) -> Execution:
        """An event that tells of this job."""

        def body() -> None:
            job = self.cloud.get(JobName.parse(name))
            consider(job, self.story, known_since=self.story.clock())

        self.executions.append(Execution(body, len(self.executions)))
        return self.executions[-1]

    def take_up(self) -> Execution | None:
        """What `reconcile` does with the incident that has waited longest, if one is due."""
        due = self.ledger.due(self.time, 1)
        if not due:
            return None
        self.executions.append(Execution(lambda: reconcile._take_up(due[0], self.story)))
        return self.executions[-1]

    def settle_down(self) -> None:
        """Every process is killed, the cloud is well again, and `reconcile` runs for hours."""
        for execution in self.executions:
            execution.kill()
        self.executions.clear()
        self.cloud.next_outcome, self.cloud.lag = "answered", timedelta(0)
        for _ in range(40):
            self.time += timedelta(minutes=7)
            for incident in self.ledger.due(self.time, 100):  # one by one, to be repeatable
                reconcile._take_up(incident, self.story)
            sweep.sweep(self.story, lambda *_: None, sweep.LocationFailures(), lambda: True)
            self.story.records.outbox.deliver_due()
            for name, body in tuple(self.cloud.jobs.items()):
                if body["state"] == "JOB_STATE_RUNNING":
                    self.cloud.end(name, "JOB_STATE_SUCCEEDED")
            if self._is_quiet():
                return

    def _is_quiet(self) -> bool:
        later = self.time + timedelta(days=3)
        return not self.ledger.due(later, 1) and not self.ledger.messages_due(later, 1)

    # --- what was made -------------------------------------------------------------------------

    def made(self) -> dict[str, list[str]]:
        """Jobs by the claim that they bear."""
        found: dict[str, list[str]] = {}
        for name, body in self.cloud.ever().items():
            token = (body.get("labels") or {}).get("remediator-claim")
            if token:
                found.setdefault(token, []).append(name)
        return found
