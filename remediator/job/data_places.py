"""Where a job's data lie, as far as its request says: buckets, tables, hosts, web addresses.

Owns the walk through every text of a request. Must not decide. Called by `Job` and its facts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from remediator.domain import Json
from remediator.domain.late_pattern import late_pattern
from remediator.job import fields
from remediator.job.document import Document
from remediator.job.programs import container_of

_BUCKET = late_pattern(r"gs://([a-z0-9](?:[a-z0-9._-]{0,220}[a-z0-9])?)")
_FUSE = late_pattern(r"/gcs/([a-z0-9](?:[a-z0-9._-]{0,220}[a-z0-9])?)")
_TABLE = late_pattern(r"bq://([A-Za-z0-9:._-]+)")
OUTPUTS = ("outputConfig", "output_config", "baseOutputDirectory", "base_output_directory")


def _texts(value: Any, skip: tuple[str, ...] = ()) -> Iterator[str]:
    """Every text in a JSON value, in its order, however deep it nests."""
    left = [value]
    while left:
        here = left.pop()
        if isinstance(here, str):
            yield here
        elif isinstance(here, Mapping):
            left.extend(reversed([item for key, item in here.items() if key not in skip]))
        elif isinstance(here, Sequence):
            left.extend(reversed(here))


def _request_texts(job: Document, skip: tuple[str, ...] = ()) -> Iterator[str]:
    # A training pipeline's definition is a schema in a bucket of Google's, no data of the job's.
    gone = {*fields.rules(job).output_only, "trainingTaskDefinition"}
    yield from _texts({k: v for k, v in job._body.items() if k not in gone}, skip)


def buckets_of(job: Document, *, inputs_only: bool = False) -> tuple[str, ...]:
    """Buckets that the job reads or writes, as far as its request names them, in order."""
    skip = OUTPUTS if inputs_only else ()
    found = [
        bucket
        for text in _request_texts(job, skip)
        for bucket in (*_BUCKET.findall(text), *_FUSE.findall(text))
    ]
    return tuple(dict.fromkeys(found))


def bigquery_of(job: Document) -> tuple[str, ...]:
    """BigQuery tables (`project.dataset.table`) that the job's request names, in order."""
    found = [table for text in _request_texts(job) for table in _TABLE.findall(text)]
    return tuple(dict.fromkeys(found))


_URL = late_pattern(r"https?://[^\s\"'\\<>{}|^`]{1,500}")
_URI = late_pattern(r"\b(?P<scheme>https?|s3|ftp|jdbc:[a-z]+)://(?P<rest>[^\s'\"`,;<>)\]}]{1,500})")
_HOST = late_pattern(r"(?:[^@/]*@)?(?P<host>[A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:]+\])(?::\d{1,5})?")
_GOOGLE = (
    "googleapis.com",
    "google.com",
    "google.internal",
    "pkg.dev",
    "gcr.io",
    "googleusercontent.com",
)


def external_hosts(job: Document, model: Json | None = None) -> tuple[str, ...]:
    """Hosts outside Google that the job's configuration names (arguments, environment, inputs),
    and that of the Model's container.

    Lower case, sorted, without ports; a bucket of another cloud counts as its service's host.
    """
    hosts: set[str] = set()
    for text in (*_request_texts(job), *_texts(container_of(model))):
        for match in _URI.finditer(text):
            if match["scheme"] == "s3":
                hosts.add("s3.amazonaws.com")
                continue
            found = _HOST.match(match["rest"])
            host = found["host"].lower().strip("[].") if found else ""
            if host and not any(host == own or host.endswith("." + own) for own in _GOOGLE):
                hosts.add(host)
    return tuple(sorted(hosts))


_NOT_CONFIGURATION = frozenset({"name", "error", "partialFailures", "jobDetail"})


def configuration_text(job: Document) -> str:
    """The job's document as one text, without what Vertex says of how it went."""
    said = {key: value for key, value in job._body.items() if key not in _NOT_CONFIGURATION}
    return json.dumps(said, default=str)


def urls(job: Document) -> tuple[str, ...]:
    """Web addresses anywhere in the job's document, in order."""
    return tuple(dict.fromkeys(_URL.findall(json.dumps(job._body, ensure_ascii=False))))


def data_places(job: Document, model: Json | None = None) -> tuple[str, ...]:
    """Buckets and `project.dataset`s that the job or its Model's container reads or writes."""
    texts = [*_request_texts(job), *_texts(container_of(model))]
    buckets = {name for text in texts for name in (*_BUCKET.findall(text), *_FUSE.findall(text))}
    tables = {table for text in texts for table in _TABLE.findall(text)}
    return tuple(sorted(buckets | {_dataset(table) for table in tables} - {""}))


def _dataset(table: str) -> str:
    parts = table.split(".")
    return ".".join(parts[:2]) if len(parts) > 1 else ""
