"""The jobs of the twin and their lives: created, queued, running, ended, as their needs decide.

Owns the job documents (REST-shaped JSON) and the needs of each workload. What a job leaves behind
(log lines, metrics, files) goes out through the hands given at the start. A life can be lived on
the clock, or at once in the past.
"""

from __future__ import annotations

import copy
import heapq
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol

from twin.batch import run_batch
from twin.clock import Clock, parse_time, rfc3339
from twin.kinds import BATCH, CUSTOM, Kind, check, in_shape, kind_of, with_defaults, without_output
from twin.kinds import workload as workload_of
from twin.logging import LogStore
from twin.models import ModelStore
from twin.monitoring import SeriesStore
from twin.parents import Family
from twin.physics import Needs, Run, run_custom
from twin.rows import results, rows_of
from twin.rpc import Body, Refusal
from twin.storage import Storage
from twin.traces import batch_entries, custom_entries, error_file, series, viewer_link

_TABLE = str.maketrans("-:T", "___")
TERMINAL = ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")


class Schedule(Protocol):
    """Something that does things at moments: the clock, or a replay of the past."""

    def at(self, moment: datetime, action: Callable[[], None]) -> None: ...


class Replay:
    """Does everything at once, in order of time: the past."""

    def __init__(self) -> None:
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._ticket = itertools.count()

    def at(self, moment: datetime, action: Callable[[], None]) -> None:
        """Does `action` in its turn."""
        heapq.heappush(self._due, (moment, next(self._ticket), action))

    def run(self) -> None:
        """Everything, until nothing is left."""
        while self._due:
            heapq.heappop(self._due)[2]()


@dataclass
class Job:
    """One job: its document, and what the twin alone knows of it."""

    kind: Kind
    body: Body
    born: float
    ended: Callable[[Job, datetime], None] | None = None
    listed_from: datetime | None = None

    @property
    def is_over(self) -> bool:
        """No further change comes by itself."""
        return str(self.body["state"]).rpartition("STATE_")[2] in TERMINAL

    @property
    def id(self) -> str:
        """The last part of the name."""
        return str(self.body["name"]).rpartition("/")[2]

    @property
    def collection(self) -> str:
        """The name without its last part."""
        return str(self.body["name"]).rpartition("/")[0]

    @property
    def location(self) -> str:
        """The region in the name."""
        return str(self.body["name"]).split("/")[3]


@dataclass
class JobStore:
    """Every job of the project.

    `error_lag` (seconds in the twin): how much later than its end a job's error is set. `list_lag`
    (seconds of the world), `list_lateness` (seconds in the twin): how long a new job is missing from lists. `timeout_state`: how a custom
    job that outlives its time-out ends, since Google does not say. `lists_everything`: a list's
    filter is read and not obeyed.
    """

    clock: Clock
    project: str
    number: str
    logs: LogStore
    metrics: SeriesStore
    storage: Storage
    models: ModelStore
    seed: int = 7
    error_lag: float = 0.0
    list_lag: float = 0.0
    list_lateness: float = 0.0
    timeout_state: str = "JOB_STATE_FAILED"
    lists_everything: bool = False
    default_needs: Needs = field(default_factory=Needs)

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self._jobs: dict[str, Job] = {}
        self._in: dict[str, dict[str, Job]] = {}  # by collection of a region
        self._needs: dict[tuple[str, ...], Needs] = {}
        self._tries: dict[tuple[str, ...], int] = {}
        self._random = random.Random(self.seed)
        self.family = Family(self)

    # --- what tests and the demo ask for ---------------------------------------------------

    def needs(self, collection: str, body: Mapping[str, Any], needs: Needs) -> None:
        """Says what the workload of this job really takes, for every job that runs the same."""
        kind = kind_of(f"projects/p/locations/l/{collection}/0")
        self._needs[workload_of(kind, in_shape(kind, body))] = needs

    def add(self, body: Mapping[str, Any]) -> Body:
        """Puts a job there as it stands (REST shape, `name` with any form of the project)."""
        kind = kind_of(str(body["name"]))
        full = in_shape(kind, body)
        full["name"] = self.canonical(str(body["name"]))
        now = rfc3339(self.clock.now())
        full.setdefault("state", f"{kind.prefix}FAILED")
        full.setdefault("createTime", now)
        full.setdefault("updateTime", full.get("endTime", full["createTime"]))
        with self.lock:
            self._put(Job(kind, full, 0.0))
        return copy.deepcopy(full)

    def change(self, name: str, **fields: Any) -> None:
        """Sets fields of a job's document as they stand in REST (`state="JOB_STATE_FAILED"`)."""
        with self.lock:
            job = self.get(kind_of(name), name)
            job.body.update(in_shape(job.kind, fields))

    def past(
        self,
        collection: str,
        location: str,
        body: Mapping[str, Any],
        *,
        ended_ago: timedelta | float = 900.0,
        route: bool = True,
    ) -> Body:
        """A job that ran and ended in the past, as its needs decide, with all its traces.

        `route`: whether the sinks hear of its log entries.
        """
        kind = kind_of(f"projects/p/locations/{location}/{collection}/0")
        ago = ended_ago if isinstance(ended_ago, timedelta) else timedelta(seconds=ended_ago)
        wanted = with_defaults(kind, without_output(in_shape(kind, body)))
        lasts = self.family.lasts(kind, wanted, location)
        moment = self.clock.now() - ago - timedelta(seconds=lasts)
        replay = Replay()
        job = self.begin(kind, location, wanted, moment, replay, route=route)
        job.born = 0.0
        replay.run()
        return copy.deepcopy(job.body)

    def all(self, collection: str = "") -> list[Body]:
        """Every job (of a collection), oldest first."""
        with self.lock:
            found = [copy.deepcopy(job.body) for job in self._jobs.values()]
        kept = [body for body in found if f"/{collection}" in body["name"]]
        return sorted(kept, key=lambda body: str(body["createTime"]))

    # --- what the services ask for ---------------------------------------------------------

    def canonical(self, name: str) -> str:
        """The name with the project's number; refuses another project's."""
        parts = name.split("/")
        if len(parts) < 4 or parts[0] != "projects" or parts[2] != "locations":
            raise Refusal("INVALID_ARGUMENT", f'Resource name "{name}" is invalid.')
        if parts[1] not in (self.project, self.number):
            raise Refusal(
                "PERMISSION_DENIED",
                f"Permission denied on resource project {parts[1]}.",
            )
        return "/".join(["projects", self.number, *parts[2:]])

    def get(self, kind: Kind, name: str) -> Job:
        """The job; refuses with NOT_FOUND."""
        with self.lock:
            job = self._jobs.get(self.canonical(name))
        if job is None or job.kind is not kind:
            raise Refusal("NOT_FOUND", f'The {kind.title} "{name}" does not exist.')
        return job

    def listed(
        self, kind: Kind, parent: str, matches: Callable[[Mapping[str, Any]], bool]
    ) -> list[Job]:
        """What a list call shows, newest first; jobs younger than `list_lag` are missing."""
        collection = f"{self.canonical(parent)}/{kind.collection}"
        newest, now = time.monotonic() - self.list_lag, self.clock.now()
        with self.lock:
            found = [
                job
                for job in self._in.get(collection, {}).values()
                if job.born <= newest
                and (job.listed_from is None or job.listed_from <= now)
                and matches(job.body)
            ]
        return sorted(found, key=lambda job: str(job.body["createTime"]), reverse=True)

    def _put(self, job: Job) -> None:
        self._jobs[job.body["name"]] = job
        self._in.setdefault(job.collection, {})[job.body["name"]] = job

    def create(self, kind: Kind, parent: str, body: Mapping[str, Any]) -> Body:
        """A new job, checked, with defaults, its life begun; refuses in Vertex AI's words."""
        location = self.canonical(parent).split("/")[3]
        wanted = without_output(copy.deepcopy(dict(body)))
        check(kind, wanted, has_model=self.models.has)
        job = self.begin(kind, location, with_defaults(kind, wanted), self.clock.now(), self.clock)
        with self.lock:
            return copy.deepcopy(job.body)

    def cancel(self, kind: Kind, name: str) -> None:
        """CANCELLING now, CANCELLED a little later; no effect on a job that is over."""
        job = self.get(kind, name)
        with self.lock:
            if job.is_over:
                return
            self._set(job, "CANCELLING", self.clock.now())
        moment = self.clock.now() + timedelta(seconds=15)
        self.clock.at(moment, lambda: self.end(job, "CANCELLED", moment, error=(1, "CANCELED")))

    def delete(self, kind: Kind, name: str) -> None:
        """The job is gone."""
        job = self.get(kind, name)
        if not job.is_over:
            raise Refusal(
                "FAILED_PRECONDITION",
                f'The {kind.title} "{name}" is running and cannot be deleted.',
            )
        with self.lock:
            del self._jobs[job.body["name"]]
            del self._in[job.collection][job.body["name"]]

    def tries_of(self, kind: Kind, body: Mapping[str, Any]) -> int:
        """How often this job's workload has been begun."""
        with self.lock:
            return self._tries.get(workload_of(kind, body), 0)

    # --- lives -----------------------------------------------------------------------------

    def needs_of(self, kind: Kind, body: Mapping[str, Any]) -> Needs:
        """What this job's workload takes."""
        return self._needs.get(workload_of(kind, body), self.default_needs)

    def foresee(self, kind: Kind, body: Mapping[str, Any], location: str, tries: int) -> Run:
        """How a custom job or a batch prediction will go."""
        needs = self.needs_of(kind, body).at(tries)
        if kind is BATCH:
            uris = ((body.get("inputConfig") or {}).get("gcsSource") or {}).get("uris") or []
            missing = self.storage.missing(uris)
            rows = rows_of(self.storage.texts(uris))
            if len(rows) > 1:  # what is really there counts
                needs = replace(needs, serving=replace(needs.serving, instances=len(rows)))
            return run_batch(needs, body, region=location, tries=tries, missing=missing)
        return run_custom(needs, body.get("jobSpec") or {}, region=location, tries=tries)

    def begin(
        self,
        kind: Kind,
        location: str,
        body: Body,
        moment: datetime,
        schedule: Schedule,
        *,
        route: bool = True,
        ended: Callable[[Job, datetime], None] | None = None,
    ) -> Job:
        """A job's life begins at `moment`; all else is put on the schedule."""
        with self.lock:
            number = str(self._random.randrange(10**18, 9 * 10**18))
            name = f"projects/{self.number}/locations/{location}/{kind.collection}/{number}"
            stamp = rfc3339(moment)
            body.update(
                name=name, state=f"{kind.prefix}PENDING", createTime=stamp, updateTime=stamp
            )
            if kind is BATCH and body.get("model"):
                body["modelVersionId"] = str(self.models.read(body["model"]).get("versionId", ""))
            job = Job(kind, body, time.monotonic(), ended)
            if self.list_lateness:
                job.listed_from = moment + timedelta(seconds=self.list_lateness)
            self._put(job)
            key = workload_of(kind, body)
            if kind in (BATCH, CUSTOM):  # a tuning job's program is tried by its trials
                self._tries[key] = self._tries.get(key, 0) + 1
            tries = self._tries.get(key, 0)
        live = schedule is self.clock
        if live:
            self.clock.hurry()
        if kind in (BATCH, CUSTOM):
            run = self.foresee(kind, body, location, tries)
            self._live(job, run, moment, schedule, route=route)
        else:
            self.family.live(job, moment, schedule, route=route)
        return job

    def _live(
        self, job: Job, run: Run, moment: datetime, schedule: Schedule, *, route: bool
    ) -> None:
        needs = self.needs_of(job.kind, job.body)
        if any(f'"{wanted}"' in json.dumps(job.body) for wanted in needs.never_placed_on):
            return
        start = moment + timedelta(seconds=run.startup_seconds if run.started else 0)
        if run.started:
            schedule.at(start, lambda: self.start(job, start))
        silent = job.kind is BATCH and job.body.get("disableContainerLogging")
        for entry in () if silent else self._entries(job, run, start, needs):
            schedule.at(
                parse_time(entry["timestamp"]), lambda entry=entry: self._log(job, entry, route)
            )
        if job.kind is CUSTOM and run.started:
            for one in series(
                run, project=self.project, region=job.location, job_id=job.id, start=start
            ):
                self.metrics.add(one)
        end = start + timedelta(seconds=run.run_seconds)
        schedule.at(end, lambda: self._finish(job, run, end, schedule))

    def _entries(self, job: Job, run: Run, start: datetime, needs: Needs) -> list[Body]:
        if job.kind is CUSTOM:
            found = custom_entries(
                run, project=self.project, job_id=job.id, start=start, telemetry=needs.telemetry
            )
        else:
            found = batch_entries(
                run,
                project=self.project,
                location=job.location,
                job_id=job.id,
                start=start,
                telemetry=needs.telemetry,
            )
        return list(found)

    def _log(self, job: Job, entry: Body, route: bool) -> None:
        stopped = str(job.body["state"]).endswith(("CANCELLING", "CANCELLED"))
        if not stopped:
            self.logs.add(entry, route=route)

    def start(self, job: Job, moment: datetime) -> None:
        """The job has its machines."""
        with self.lock:
            if str(job.body["state"]).endswith("PENDING"):
                job.body["startTime"] = rfc3339(moment)
                self._set(job, "RUNNING", moment)

    def _finish(self, job: Job, run: Run, moment: datetime, schedule: Schedule) -> None:
        error = run.error
        state = run.state.removeprefix("JOB_STATE_")
        if error and error[0] == 4 and job.kind is CUSTOM:
            state = self.timeout_state.removeprefix("JOB_STATE_")
        if error and run.started and job.kind is CUSTOM and error[0] in (3, 9):
            error = (error[0], error[1] + viewer_link(self.number, job.id))
        if job.kind is BATCH:
            with self.lock:
                if not job.is_over:
                    self._batch_results(job, run, moment)
        self.end(job, state, moment, error=error, schedule=schedule)

    def end(
        self,
        job: Job,
        state: str,
        moment: datetime,
        *,
        error: tuple[int, str] | None = None,
        schedule: Schedule | None = None,
    ) -> None:
        """The job is over; its error may be set later."""
        with self.lock:
            if job.is_over or (str(job.body["state"]).endswith("CANCELLING") and schedule):
                return
            job.body["endTime"] = rfc3339(moment)
            self._set(job, state, moment)
            if error and not self.error_lag:
                self._set_error(job, error, moment)
        if error and self.error_lag:
            late = moment + timedelta(seconds=self.error_lag)
            (schedule or self.clock).at(late, lambda: self._set_error(job, error, late))
        if job.ended:
            job.ended(job, moment)
        if job.born:
            self.clock.rest()

    def _set(self, job: Job, state: str, moment: datetime) -> None:
        job.body["state"] = f"{job.kind.prefix}{state}"
        job.body["updateTime"] = rfc3339(moment)

    def _set_error(self, job: Job, error: tuple[int, str], moment: datetime) -> None:
        with self.lock:
            job.body["error"] = {"code": error[0], "message": error[1]}
            job.body["updateTime"] = rfc3339(moment)

    def _batch_results(self, job: Job, run: Run, moment: datetime) -> None:
        body = job.body
        body["completionStats"] = {
            "successfulCount": str(run.successful),
            "failedCount": str(run.failed),
            "incompleteCount": str(run.incomplete),
        }
        if run.error_rows:
            code = run.error[0] if run.error else 3
            body["partialFailures"] = [
                {"code": code, "message": message} for message, _ in run.error_rows[:20]
            ]
        if not run.started:
            return
        hours = run.replicas * run.run_seconds / 3600
        body["resourcesConsumed"] = {"replicaHours": round(hours, 4)}
        wanted = body.get("outputConfig") or {}
        asked = (wanted.get("bigqueryDestination") or {}).get("outputUri")
        if asked:  # a table, or a dataset in which Vertex makes one
            project, dataset, *named = str(asked).split(".")
            made = f"predictions_{str(body['createTime'])[:19].translate(_TABLE)}"
            table, dataset = named[0] if named else made, f"{project}.{dataset}"
            body["outputInfo"] = {
                "bigqueryOutputDataset": dataset,
                "bigqueryOutputTable": table,
            }
        destination = (wanted.get("gcsDestination") or {}).get("outputUriPrefix")
        if not destination:
            return
        model = self.models.read(str(body.get("model") or "")).get("displayName", "model")
        made = str(body["createTime"]).replace(":", "_").replace("-", "_")
        folder = f"{str(destination).rstrip('/')}/prediction-{model}-{made}"
        body["outputInfo"] = {"gcsOutputDirectory": folder}
        self.storage.put_uri(f"{folder}/prediction.errors_stats-00000-of-00001", error_file(run))
        if run.successful:
            uris = ((body.get("inputConfig") or {}).get("gcsSource") or {}).get("uris") or []
            rows = rows_of(self.storage.texts(uris))
            name, text = results(body, rows[: run.successful] or [{"id": 1}])
            self.storage.put_uri(f"{folder}/{name}", text)
