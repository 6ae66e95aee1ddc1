"""BigQuery: schemas, counted queries, and one query's answer as a new table.

Owns Google's BigQuery client, opened when it is first used; at `BIGQUERY_EMULATOR_HOST` where that is
set (loopback only). Every query has a bound on the bytes that it may be billed. Knows no job; the rows
room sees it through its own Protocol.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from remediator import deadline
from remediator.cloud.connection import (
    answered,
    ca_bundle,
    google_credentials,
    google_errors,
    is_loopback,
)
from remediator.domain import InvalidInput, NotFound

_Rows = Sequence[Mapping[str, Any]]
_Parameters = Mapping[str, Sequence[str]]
_LEAST_SECONDS = 1.0


class BigQuery:
    """The BigQuery API, for queries that run in `project`."""

    def __init__(self, project: str, *, call_seconds: float = 20.0) -> None:
        self._project = project
        self._call_seconds = call_seconds
        self._lock = threading.Lock()
        self._opened: Any = None

    def columns(self, table: str) -> Mapping[str, str]:
        """Types by column of `project.dataset.table`; raises NotFound."""
        return {field.name: str(field.field_type) for field in self._table(table).schema}

    def names(self, dataset: str) -> Sequence[str]:
        """The tables of `project.dataset`, by their own names; raises NotFound."""
        client = self._client()
        return answered(
            f"listing the tables of {dataset}",
            lambda seconds: [
                one.table_id for one in client.list_tables(dataset, timeout=seconds, retry=None)
            ],
            timeout_seconds=self._call_seconds,
            permission="bigquery.tables.list",
        )

    def count(self, table: str) -> int | None:
        """How many rows the table has; None: there is no such table."""
        try:
            return int(self._table(table).num_rows or 0)
        except NotFound:
            return None

    def bytes_read(self, sql: str, parameters: _Parameters) -> int:
        """What the query would read, by a dry run, which costs nothing."""
        client = self._client()
        job = answered(
            "asking BigQuery what a query would read",
            lambda seconds: client.query(
                sql,
                job_config=self._config(parameters, dry_run=True),
                timeout=seconds,
                retry=None,
                job_retry=None,
            ),
            timeout_seconds=self._call_seconds,
            permission="bigquery.jobs.create",
        )
        return int(job.total_bytes_processed or 0)

    def ask(self, sql: str, parameters: _Parameters, *, seconds: float, most_bytes: int) -> _Rows:
        """The rows that a query gives, within `seconds`; raises PermanentError where it reads more."""
        config = self._config(parameters, maximum_bytes_billed=most_bytes)
        return [dict(row) for row in self._run(sql, config, seconds)]

    def create(
        self,
        table: str,
        sql: str,
        parameters: _Parameters,
        *,
        seconds: float,
        most_bytes: int,
        replace: bool = False,
    ) -> None:
        """The query's answer as a table, whole or not at all; one that is there is left as it is, or
        replaced where that is asked for."""
        how = "OR REPLACE TABLE" if replace else "TABLE IF NOT EXISTS"
        sql = f"CREATE {how} `{table}` AS\n{sql}"
        self._run(sql, self._config(parameters, maximum_bytes_billed=most_bytes), seconds)

    def close(self) -> None:
        """Closes the connection pool; the next call opens a new one."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    def _run(self, sql: str, config: Any, seconds: float) -> Any:
        client = self._client()
        seconds = max(deadline.remaining(seconds), _LEAST_SECONDS)
        with google_errors("a query of BigQuery", permission="bigquery.jobs.create"):
            job = client.query(
                sql, job_config=config, timeout=min(self._call_seconds, seconds), job_retry=None
            )
            try:
                return job.result(timeout=seconds, job_retry=None)
            except TimeoutError:
                client.cancel_job(job.job_id, location=job.location, timeout=self._call_seconds)
                raise

    def _config(self, parameters: _Parameters, **more: Any) -> Any:
        from google.cloud import bigquery

        return bigquery.QueryJobConfig(
            query_parameters=[
                bigquery.ArrayQueryParameter(name, "STRING", list(values))
                for name, values in parameters.items()
            ],
            labels={"vertex-remediator": "rows"},
            **more,
        )

    def _table(self, table: str) -> Any:
        client = self._client()
        return answered(
            f"reading the table {table}",
            lambda seconds: client.get_table(table, timeout=seconds, retry=None),
            timeout_seconds=self._call_seconds,
            permission="bigquery.tables.get",
        )

    def _client(self) -> Any:
        from google.cloud import bigquery

        with self._lock:
            if self._opened is None:
                emulator = os.environ.get("BIGQUERY_EMULATOR_HOST")
                options = _emulated(emulator) if emulator else _google()
                self._opened = bigquery.Client(project=self._project, **options)
            return self._opened


def _google() -> dict[str, Any]:
    from google.auth.transport.requests import AuthorizedSession

    with google_errors("opening credentials for bigquery.googleapis.com"):
        credentials, request = google_credentials()
    session = AuthorizedSession(credentials, auth_request=request)
    session.verify = ca_bundle() or True
    return {"credentials": credentials, "_http": session}


def _emulated(emulator: str) -> dict[str, Any]:
    """A plaintext server elsewhere could hand us anybody's rows."""
    from google.auth.credentials import AnonymousCredentials
    from requests import Session

    parts = urlsplit(emulator if "://" in emulator else f"http://{emulator}")
    if not is_loopback(parts.hostname or ""):
        msg = f"BIGQUERY_EMULATOR_HOST must be on loopback, and {emulator!r} is not"
        raise InvalidInput(msg)
    session = Session()
    session.trust_env = False
    return {
        "credentials": AnonymousCredentials(),
        "_http": session,
        "client_options": {"api_endpoint": parts.geturl()},
    }
