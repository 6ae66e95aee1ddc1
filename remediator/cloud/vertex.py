"""Vertex AI jobs and models: read, find, list, create, cancel.

Owns the channels to Vertex (one per region, opened when first used) and the turning of jobs
into REST-shaped JSON and back. Must not judge a job or change a request: what is sent is what the
planner wrote. The workflow sees it through Protocols of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

from msgspec import Struct

from remediator.cloud.connection import (
    DEFAULT_TIMEOUT_SECONDS,
    answered,
    open_channel,
    smaller_until_it_fits,
)
from remediator.cloud.grpc_methods import Methods, protobuf
from remediator.cloud.listing import ParsedJobs, field_mask, page_type
from remediator.cloud.proto_json import from_json, quoted, to_json
from remediator.deadline import with_current_deadline
from remediator.domain import (
    COLLECTIONS,
    InvalidInput,
    JobKind,
    JobName,
    JobState,
    Json,
    NotFound,
    NotServed,
    PermanentError,
    RemediatorError,
    TransientError,
    rfc3339,
)
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job, JobView

_ENDED_BADLY = frozenset(
    {JobState.FAILED, JobState.EXPIRED, JobState.CANCELLED, JobState.PARTIALLY_SUCCEEDED}
)
_PAGE_SIZE = 100  # Vertex caps a page of jobs there
_WHOLE_RUNS = (
    5  # whole pipeline runs of a page: one has 800 kB, and ten times that as Python's objects
)
_MOST_BYTES = 16 << 20  # of one answer: a page that is longer is asked for again in parts
_MOST_LOCATIONS_AT_ONCE = 8
_LOCATION = late_pattern(r"[a-z0-9-]{1,40}")
_PROJECT = late_pattern(r"[a-z0-9.:-]{1,100}")
_JOB_ID = late_pattern(r"[A-Za-z0-9._-]{1,128}")
_MODEL = late_pattern(
    r"projects/[a-z0-9.:-]{1,100}/locations/(?P<location>[a-z0-9-]{1,40})/models/[\w.@-]{1,200}"
)
_PARENT = late_pattern(r"projects/[a-z0-9.:-]{1,100}/locations/(?P<location>[a-z0-9-]{1,40})")
_LABEL_KEY = late_pattern(r"[\w-]{1,63}")


class _NotOfThisVersion(Exception):  # never leaves this module
    """The request has a field that this version of the API does not know."""

    def __init__(self, why: PermanentError) -> None:
        super().__init__(str(why))
        self.why = why


class _Door(Struct, frozen=True):
    """What Vertex's API calls a kind of job; `leaf` is the file that defines its message."""

    service: str
    type: str
    leaf: str
    state_prefix: str

    @property
    def plural(self) -> str:
        return f"{self.leaf}s"


_DOORS: Mapping[JobKind, _Door] = {
    JobKind.BATCH_PREDICTION: _Door(
        "job", "BatchPredictionJob", "batch_prediction_job", "JOB_STATE_"
    ),
    JobKind.CUSTOM: _Door("job", "CustomJob", "custom_job", "JOB_STATE_"),
    JobKind.HYPERPARAMETER_TUNING: _Door(
        "job", "HyperparameterTuningJob", "hyperparameter_tuning_job", "JOB_STATE_"
    ),
    JobKind.TRAINING_PIPELINE: _Door(
        "pipeline", "TrainingPipeline", "training_pipeline", "PIPELINE_STATE_"
    ),
    JobKind.PIPELINE: _Door("pipeline", "PipelineJob", "pipeline_job", "PIPELINE_STATE_"),
}


_COLLECTIONS = {kind: name for name, kind in COLLECTIONS.items()}


class Vertex:
    """The Vertex AI API, by region.

    `endpoint` is `host:port` of a plaintext gRPC server on loopback, or None for Google's own.
    Every verb takes `timeout_seconds`, the time for all its tries together. Reads raise TransientError,
    NotFound, PermissionDenied or PermanentError; `create` raises OutcomeUnknown where the job may exist all the same.
    """

    def __init__(
        self, endpoint: str | None = None, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    ) -> None:
        self._endpoint = endpoint
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._channels: dict[str, Any] = {}
        self._opened: dict[tuple[str, str, str], Methods] = {}
        self._serves_beta = True
        self._parsed = ParsedJobs()

    def get(self, name: JobName, *, timeout_seconds: float | None = None) -> Job:
        """The job as Vertex holds it now; raises NotFound where there is none."""
        return Job.parse(
            to_json(self._read_message(name, timeout_seconds or self._timeout_seconds))
        )

    def _read_message(self, name: JobName, timeout_seconds: float) -> Any:
        """The message, of a batch prediction in the version that tells all of it.

        Spot, flex start, nodes of a replica and the driver that it wants are fields of v1beta1 alone: a
        reading by v1 would lose them, and the next attempt with them.
        """
        if name.kind is JobKind.BATCH_PREDICTION and self._serves_beta:
            try:
                return self._read_by(_BETA, name, timeout_seconds)
            except NotServed:
                self._serves_beta = False
        return self._read_by(_V1, name, timeout_seconds)

    def _read_by(self, version: str, name: JobName, timeout_seconds: float) -> Any:
        door = _DOORS[name.kind]
        methods = self._methods(door.service, name.location, version)
        request = _request(door.service, f"Get{door.type}", version, name=str(name))
        return answered(
            f"reading {name}",
            lambda seconds: methods.call(
                f"Get{door.type}",
                request,
                _job_type(door, version),
                seconds=seconds,
                name=str(name),
            ),
            timeout_seconds=timeout_seconds,
            permission=f"aiplatform.{name.collection}.get",
        )

    def find(
        self,
        kind: JobKind,
        job_id: str,
        locations: Sequence[str],
        project: str,
        *,
        timeout_seconds: float | None = None,
    ) -> Job | None:
        """The job of that id in whichever location has it, asked side by side; None: in no one.

        Each region numbers its jobs for itself. Of several with one id, that which ended badly last is
        the one that an entry tells of. Where none of them ended so and a location could not be asked,
        that location's error is raised.
        """
        if not _JOB_ID.fullmatch(job_id) or not _PROJECT.fullmatch(project):
            msg = f"not the id of a job: {job_id[:200]!r}"
            raise InvalidInput(msg)
        names = [JobName(project, _location(place), kind, job_id) for place in locations]
        if not names:
            return None

        def look(name: JobName) -> Job | RemediatorError:
            try:
                return self.get(name, timeout_seconds=timeout_seconds)
            except RemediatorError as err:
                return err

        if len(names) == 1:  # most serve one region, and a thread costs as much as a short call
            answers = [look(names[0])]
        else:
            with ThreadPoolExecutor(min(_MOST_LOCATIONS_AT_ONCE, len(names))) as pool:
                answers = list(pool.map(with_current_deadline(look), names))
        found = [answer for answer in answers if isinstance(answer, Job)]
        badly = [job for job in found if job.state in _ENDED_BADLY]
        if badly:
            return max(badly, key=lambda job: str(job.end_time))
        for answer in answers:
            if isinstance(answer, Job | NotFound):
                continue
            if isinstance(answer, TransientError) or not found:
                raise answer
        return found[0] if found else None

    def model(self, name: str, *, timeout_seconds: float | None = None) -> Json:
        """The Model (`…/models/ID` or `…/models/ID@VERSION`) as REST JSON."""
        match = _MODEL.fullmatch(name)
        if match is None:
            msg = f"not the name of a model in a project: {name[:200]!r}"
            raise PermanentError(msg)
        methods = self._methods("model", match["location"])
        request = _request("model", "GetModel", name=name)
        model = protobuf(_PACKAGE, "model", "Model")
        found = answered(
            f"reading {name}",
            lambda seconds: methods.call("GetModel", request, model, seconds=seconds, name=name),
            timeout_seconds=timeout_seconds or self._timeout_seconds,
            permission="aiplatform.models.get",
        )
        return to_json(found)

    def create(
        self, kind: JobKind, parent: str, request: Json, *, timeout_seconds: float | None = None
    ) -> Job:
        """Creates the job under `projects/P/locations/L` and returns it as Vertex answers it.

        Raises OutcomeUnknown where the outcome is unknown (the job may exist: look before creating
        again), TransientError where it was throttled and surely not made, PermanentError with Vertex's words.
        """
        match = _PARENT.fullmatch(parent)
        if match is None:
            msg = f"not a project's location: {parent[:200]!r}"
            raise InvalidInput(msg)
        try:
            return self._create_by(_V1, kind, parent, request, timeout_seconds)
        except _NotOfThisVersion as refused:
            if kind is not JobKind.BATCH_PREDICTION:
                raise refused.why from None
            try:
                return self._create_by(_BETA, kind, parent, request, timeout_seconds)
            except (_NotOfThisVersion, NotServed):
                raise refused.why from None

    def _create_by(
        self, version: str, kind: JobKind, parent: str, request: Json, timeout_seconds: float | None
    ) -> Job:
        """The job as that version of the API makes it; raises _NotOfThisVersion before anything is sent."""
        door, location = _DOORS[kind], parent.rpartition("/")[2]
        try:
            job = from_json(request, _job_type(door, version)())
        except PermanentError as err:
            raise _NotOfThisVersion(err) from None
        methods = self._methods(door.service, location, version)
        wish = _request(
            door.service, f"Create{door.type}", version, parent=parent, **{door.leaf: job}
        )
        made = answered(
            f"creating a {kind} job in {parent}",
            lambda seconds: methods.call(
                f"Create{door.type}", wish, _job_type(door, version), seconds=seconds, parent=parent
            ),
            timeout_seconds=timeout_seconds or self._timeout_seconds,
            creating=True,
            permission=f"aiplatform.{_COLLECTIONS[kind]}.create",
        )
        return Job.parse(to_json(made))

    def list(
        self,
        kind: JobKind,
        project: str,
        location: str,
        *,
        states: Sequence[JobState] = (),
        created_after: datetime | None = None,
        display_name: str | None = None,
        labels: Mapping[str, str] | None = None,
        view: JobView = JobView.WHOLE,
        timeout_seconds: float | None = None,
    ) -> Iterator[Job]:
        """The jobs that fit every condition given, in the order of Vertex (newest first), by pages.

        `labels` with the value `*` asks for the key alone. `timeout_seconds` is for each page.
        """
        wanted = dict(labels or {})
        token = ""
        while True:
            jobs, token = self.page(
                kind,
                project,
                location,
                states=states,
                created_after=created_after,
                display_name=display_name,
                labels=wanted,
                token=token,
                view=view,
                timeout_seconds=timeout_seconds,
            )
            yield from jobs
            if not token:
                return

    def page(
        self,
        kind: JobKind,
        project: str,
        location: str,
        *,
        states: Sequence[JobState] = (),
        created_after: datetime | None = None,
        display_name: str | None = None,
        labels: Mapping[str, str] | None = None,
        token: str = "",
        view: JobView = JobView.WHOLE,
        timeout_seconds: float | None = None,
    ) -> tuple[tuple[Job, ...], str]:
        """One page of a list, and the token of the next: empty after the last.

        `view`: how much of each job is asked for; a hundred whole pipeline runs are 80 MB.
        A token is good for the same conditions only; PermanentError where Vertex no longer takes it.
        """
        if not _PROJECT.fullmatch(project):
            msg = f"not a project: {project[:100]!r}"
            raise InvalidInput(msg)
        door = _DOORS[kind]
        parent = f"projects/{project}/locations/{_location(location)}"
        query = job_filter(
            kind,
            states=states,
            created_after=created_after,
            display_name=display_name,
            labels=labels or {},
        )
        methods = self._methods(door.service, location)
        verb = f"List{door.type}s"
        asked: dict[str, Any] = {"parent": parent, "filter": query, "page_token": token}
        mask = field_mask(kind, view, _job_type(door))
        if mask:
            asked["read_mask"] = {"paths": mask}
        has_runs = kind is JobKind.PIPELINE and view is not JobView.ENDING
        size = _WHOLE_RUNS if has_runs else _PAGE_SIZE
        answer = page_type(protobuf(_PACKAGE, _FILES[door.service], f"{verb}Response"), door.plural)

        def ask(size: int) -> Any:
            request = _request(door.service, verb, page_size=size, **asked)
            return answered(  # a page at a time, so that each has the whole retry rule
                f"listing {door.plural} in {parent}",
                lambda seconds: methods.call(verb, request, answer, seconds=seconds, parent=parent),
                timeout_seconds=timeout_seconds or self._timeout_seconds,
                permission=f"aiplatform.{_COLLECTIONS[kind]}.list",
            )

        page, _ = smaller_until_it_fits(ask, size)
        # A value with a * is a pattern to Vertex, so what comes back is held against what was asked.
        jobs: Iterable[Job] = self._parsed.of_page(page.jobs, _job_type(door))
        if states:
            jobs = [job for job in jobs if job.state in states]
        if created_after is not None:
            jobs = [job for job in jobs if (job.create_time or created_after) >= created_after]
        if display_name is not None:
            jobs = [job for job in jobs if job.display_name == display_name]
        for key, value in (labels or {}).items():
            jobs = [job for job in jobs if _has_label(job, key, value)]
        return tuple(jobs), page.next_page_token

    def cancel(self, name: JobName, *, timeout_seconds: float | None = None) -> None:
        """Asks Vertex to stop the job; it ends some time later. Cancelling twice is harmless."""
        from google.protobuf.empty_pb2 import Empty

        door = _DOORS[name.kind]
        methods = self._methods(door.service, name.location)
        request = _request(door.service, f"Cancel{door.type}", name=str(name))
        answered(
            f"cancelling {name}",
            lambda seconds: methods.call(
                f"Cancel{door.type}", request, Empty, seconds=seconds, name=str(name)
            ),
            timeout_seconds=timeout_seconds or self._timeout_seconds,
            permission=f"aiplatform.{name.collection}.cancel",
        )

    def close(self) -> None:
        """Closes every channel; the next call opens new ones."""
        with self._lock:
            for channel in self._channels.values():
                channel.close()
            self._channels.clear()
            self._opened.clear()

    def _methods(self, service: str, location: str, version: str = "v1") -> Methods:
        with self._lock:
            key = (service, "" if self._endpoint else location, version)
            if key not in self._opened:
                named = _SERVICES[service].format(version=version)
                self._opened[key] = Methods(self._channel(location), named)
            return self._opened[key]

    def _channel(self, location: str) -> Any:
        regional = f"{_location(location)}-aiplatform.googleapis.com"
        host = "aiplatform.googleapis.com" if location == "global" else regional
        key = self._endpoint or host
        if key not in self._channels:
            self._channels[key] = open_channel(host, self._endpoint, most_bytes=_MOST_BYTES)
        return self._channels[key]


def job_filter(
    kind: JobKind,
    *,
    states: Sequence[JobState] = (),
    created_after: datetime | None = None,
    display_name: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> str:
    """A list filter in Vertex's language; every value is checked or quoted here.

    List filters know `state`, `create_time`, `display_name` and `labels`, and no end time.
    """
    prefix = _DOORS[kind].state_prefix
    parts: list[str] = []
    if states:
        either = " OR ".join(f'state="{prefix}{state.value}"' for state in states)
        parts.append(f"({either})" if len(states) > 1 else either)
    if created_after is not None:
        parts.append(f'create_time>="{rfc3339(created_after)}"')
    if display_name is not None:
        parts.append(f"display_name={quoted(display_name)}")
    for key, value in (labels or {}).items():
        if not _LABEL_KEY.fullmatch(key):
            msg = f"not the key of a label: {key[:100]!r}"
            raise InvalidInput(msg)
        parts.append(f"labels.{key}:*" if value == "*" else f"labels.{key}={quoted(value)}")
    return " AND ".join(parts)


def _has_label(job: Job, key: str, value: str) -> bool:
    return key in job.labels and value in ("*", job.labels[key])


def _location(text: str) -> str:
    if not _LOCATION.fullmatch(text):
        msg = f"not a location: {text[:100]!r}"
        raise InvalidInput(msg)
    return text


_V1, _BETA = "v1", "v1beta1"
_PACKAGE = "google.cloud.aiplatform_v1"
_SERVICES = {
    "job": "google.cloud.aiplatform.{version}.JobService",
    "pipeline": "google.cloud.aiplatform.{version}.PipelineService",
    "model": "google.cloud.aiplatform.{version}.ModelService",
}
_FILES = {"job": "job_service", "pipeline": "pipeline_service", "model": "model_service"}


def _package(version: str) -> str:
    return f"google.cloud.aiplatform_{version}"


def _job_type(door: _Door, version: str = _V1) -> Any:
    return protobuf(_package(version), door.leaf, door.type)


def _request(service: str, verb: str, version: str = _V1, /, **fields: Any) -> Any:
    return protobuf(_package(version), _FILES[service], f"{verb}Request")(**fields)
