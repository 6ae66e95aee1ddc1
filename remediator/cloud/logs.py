"""Cloud Logging: entries read and written, and the queries that find a job's own entries.

Owns the channel to Logging, the quoting of every value in a query, and the asking for a read
token before each read (a project has 60 reads a minute, shared by all instances). Must not judge an
entry. `evidence` and the workflow see it through Protocols of their own.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from remediator.cloud.connection import (
    DEFAULT_TIMEOUT_SECONDS,
    TooLarge,
    answered,
    open_channel,
    smaller,
    smaller_until_it_fits,
)
from remediator.cloud.grpc_methods import Methods, protobuf
from remediator.cloud.log_entry import entry_json
from remediator.cloud.proto_json import from_json, quoted
from remediator.cloud.shared_reads import MOST_IN_CROWD, SharedReads, Tail
from remediator.domain import InvalidInput, JobKind, JobName, Json, TransientError, rfc3339
from remediator.domain.late_pattern import late_pattern

HOST = "logging.googleapis.com"
_PAGE_SIZE = 1000  # Logging's own most
_MOST_BYTES = 2 << 20
"""Of one page; a longer one is asked for again in parts. A thousand lines may have 256 MB."""
_QUERY_LIMIT = 20_000  # characters; Logging refuses longer ones (vertex-facts, section 6)
_PROJECT = late_pattern(r"[a-z0-9.:-]{1,100}")
_LOG_ID = late_pattern(r"[A-Za-z0-9._-]{1,128}")
_SECONDS_TO_NEXT_MINUTE = 30.0

_WORKER = 'resource.type=("ml_job" OR "cloudml_job")'


class Logs:
    """The Logging API of one project or several.

    `may_read` is asked before every read and answers whether the shared budget has one left. `askers`:
    how many may want a job's lines just now.
    `endpoint` is `host:port` of a plaintext gRPC server on loopback, or None for Google's own.
    """

    def __init__(
        self,
        endpoint: str | None = None,
        *,
        may_read: Callable[[], bool] | None = None,
        askers: Callable[[], int] = lambda: MOST_IN_CROWD,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> None:
        self._endpoint = endpoint
        self._may_read = may_read
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._long_lines = threading.Lock()
        self._channel: Any = None
        self._opened: Any = None
        self._shared = SharedReads(self._newest, askers=askers)

    def audit_entry(self, project: str, insert_id: str, at: datetime) -> Json | None:
        """One entry of the project's audit log of changes; None where there is none."""
        query = audit_filter(project, insert_id, at)
        return next(iter(self.entries(project, query, limit=1)), None)

    def entries(
        self,
        project: str,
        query: str,
        *,
        limit: int,
        newest_first: bool = False,
        most_bytes: int = 2_000_000,
        timeout_seconds: float | None = None,
    ) -> tuple[Json, ...]:
        """At most `limit` entries (or about `most_bytes` of them) as REST JSON, in time's order.

        Raises TransientError when the read budget is used up, before anything is asked of Logging.
        """
        if not _PROJECT.fullmatch(project) or len(query) > _QUERY_LIMIT:
            msg = f"not a query that Logging takes: {query[:200]!r} on {project[:100]!r}"
            raise InvalidInput(msg)
        client = self._client()
        found: list[Json] = []
        size, token, page_size = 0, "", _PAGE_SIZE
        with contextlib.ExitStack() as stack:
            while len(found) < limit and size < most_bytes:
                asked: dict[str, Any] = {
                    "resource_names": [f"projects/{project}"],
                    "filter": query,
                    "order_by": "timestamp desc" if newest_first else "timestamp asc",
                    "page_token": token,
                }

                def ask(page_size: int, asked: Any = asked) -> Any:
                    request = _type("ListLogEntriesRequest")(page_size=page_size, **asked)
                    return answered(
                        f"reading the log of {project}",
                        lambda seconds: self._read_page(client, request, seconds),
                        timeout_seconds=timeout_seconds or self._timeout_seconds,
                        permission="logging.logEntries.list",
                    )

                wished = min(page_size, limit - len(found))
                try:
                    page = ask(wished)
                except TooLarge as err:
                    if page_size == _PAGE_SIZE:  # one log of long lines at a time
                        stack.enter_context(self._long_lines)
                    page, page_size = smaller_until_it_fits(ask, smaller(wished, err))
                for entry in page.entries:
                    if len(found) == limit or size >= most_bytes:
                        break
                    size += entry.ByteSize()
                    found.append(entry_json(entry))
                token = page.next_page_token
                del page
                if not token:
                    break
        return tuple(found)

    def tail(
        self,
        project: str,
        query: str,
        *,
        job_ids: frozenset[str],
        between: tuple[datetime, datetime],
        limit: int,
        most_bytes: int,
        timeout_seconds: float,
    ) -> tuple[Json, ...]:
        """The newest entries of some jobs, newest first; read together with others' where they wait.

        `query` is their `job_filter`, `job_ids` and `between` what it names. Raises as `entries`.
        """
        start, end = between
        wanted = Tail(project, query, job_ids, start, end, limit, most_bytes)
        return self._shared.tail(wanted, timeout_seconds)

    def _newest(
        self, project: str, query: str, limit: int, most_bytes: int, timeout_seconds: float
    ) -> tuple[Json, ...]:
        return self.entries(
            project,
            query,
            limit=limit,
            newest_first=True,
            most_bytes=most_bytes,
            timeout_seconds=timeout_seconds,
        )

    def job_filter(
        self, job: JobName, job_ids: Sequence[str], start: datetime, end: datetime
    ) -> str:
        """The query for the job's own entries between the two times; see `job_log_filter`."""
        return job_log_filter(job, job_ids, start, end)

    def write(
        self,
        project: str,
        log_id: str,
        entries: Sequence[Json],
        *,
        timeout_seconds: float | None = None,
    ) -> None:
        """Writes LogEntries (REST JSON: insertId, timestamp, severity, jsonPayload, labels).

        The resource is `global` unless an entry names its own. Writing an entry with the same
        insertId and timestamp again changes nothing, so this is tried again like a read.
        """
        if not _PROJECT.fullmatch(project) or not _LOG_ID.fullmatch(log_id):
            msg = f"not a log: {log_id[:100]!r} of {project[:100]!r}"
            raise InvalidInput(msg)
        entry_type = protobuf(_PACKAGE, "log_entry", "LogEntry")
        request = _type("WriteLogEntriesRequest")(
            log_name=f"projects/{project}/logs/{log_id}",
            resource={"type": "global", "labels": {"project_id": project}},
            entries=[from_json(entry, entry_type()) for entry in entries],
        )
        client = self._client()
        answered(
            f"writing to the log {log_id}",
            lambda seconds: client.call(
                "WriteLogEntries", request, _type("WriteLogEntriesResponse"), seconds=seconds
            ),
            timeout_seconds=timeout_seconds or self._timeout_seconds,
            permission="logging.logEntries.create",
        )

    def close(self) -> None:
        """Closes the channel; the next call opens a new one."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
            self._channel = self._opened = None

    def _read_page(self, client: Any, request: Any, seconds: float) -> Any:
        if self._may_read is not None and not self._may_read():
            msg = "the project's log reads for this minute are used up"
            raise TransientError(msg, retry_after_seconds=_SECONDS_TO_NEXT_MINUTE)
        answer = _type("ListLogEntriesResponse")
        return client.call("ListLogEntries", request, answer, seconds=seconds)

    def _client(self) -> Any:
        # AuditLog's type is registered when imported; without it an audit entry has no payload.
        from google.cloud.audit import audit_log_pb2  # noqa: F401  # see above

        with self._lock:
            if self._opened is None:
                self._channel = open_channel(HOST, self._endpoint, most_bytes=_MOST_BYTES)
                self._opened = Methods(self._channel, "google.logging.v2.LoggingServiceV2")
            return self._opened


_PACKAGE = "google.cloud.logging_v2"


def _type(name: str) -> Any:
    return protobuf(_PACKAGE, "logging", name)


def job_log_filter(job: JobName, job_ids: Sequence[str], start: datetime, end: datetime) -> str:
    """Finds what a job's containers and the service wrote about it between two times.

    `job_ids` are the ids of CustomJobs that ran for it (of trials, tasks, a training pipeline); the
    job's own id is always among them. Which resource a batch prediction's container logs bear is
    not documented, so both forms that were seen are asked for.
    """
    ids = " OR ".join(quoted(one) for one in dict.fromkeys((job.id, *job_ids)))
    workers = f"{_WORKER} AND resource.labels.job_id=({ids})"
    own = quoted(job.id)
    if job.kind is JobKind.PIPELINE:
        runs = (
            'resource.type="aiplatform.googleapis.com/PipelineJob" '
            f"AND resource.labels.pipeline_job_id={own}"
        )
        who = f"(({workers}) OR ({runs}))"
    elif job.kind is JobKind.BATCH_PREDICTION:
        batch = (
            'resource.type="aiplatform.googleapis.com/BatchPredictionJob" '
            f"AND (resource.labels.batch_prediction_job_id={own} OR resource.labels.job_id={own})"
        )
        who = f"(({workers}) OR ({batch}))"
    else:
        who = workers
    return f'{who} AND timestamp>="{rfc3339(start)}" AND timestamp<="{rfc3339(end)}"'


def audit_filter(project: str, insert_id: str, at: datetime) -> str:
    """Finds one entry of the project's audit log of changes.

    That nobody but Google can write to it is recalled, not checked against a real project.
    """
    log = quoted(f"projects/{project}/logs/cloudaudit.googleapis.com%2Factivity")
    second = timedelta(seconds=1)
    span = f'timestamp>="{rfc3339(at - second)}" AND timestamp<="{rfc3339(at + second)}"'
    return f"logName={log} AND insertId={quoted(insert_id)} AND {span}"
