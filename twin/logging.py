"""Cloud Logging in the twin: entries written and listed over gRPC, and routed to the sinks.

Entries are kept as REST-shaped JSON. An entry with the same log, timestamp and insert id as a known
one is the same entry and is neither stored nor routed again.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from google.cloud.audit import audit_log_pb2  # noqa: F401  # makes protoPayload known to protobuf
from google.cloud.logging_v2 import types as log
from google.protobuf import empty_pb2  # noqa: F401  # likewise

from twin.clock import Clock, parse_time, rfc3339
from twin.grammar import BadQuery, parse
from twin.index import Index
from twin.query import logging_filter
from twin.rpc import Body, Caller, Method, Refusal, page

LONGEST_QUERY = 20_000
_SERVICE = "/google.logging.v2.LoggingServiceV2"


class LogStore:
    """Every entry of the project, and whoever wants to hear of new ones."""

    def __init__(self, clock: Clock, project: str, number: str) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._entries = Index(_keys, _is_key)
        self._keys: set[tuple[str, str, str]] = set()
        self._ids = itertools.count(1)
        self._reads: deque[float] = deque()
        self._project = project
        self._number = number
        self.listeners: list[Callable[[Body], None]] = []
        self.reads_per_minute: int | None = None
        self.lists_everything = False  # a filter is read and not obeyed

    def add(self, entry: Mapping[str, Any], *, route: bool = True) -> Body | None:
        """Stores one entry with its defaults filled in; None where it is known already.

        `route` False: no sink hears of it (as if it had been written before the sink was made).
        """
        now = rfc3339(self._clock.now())
        full: Body = {
            "severity": "DEFAULT",
            "timestamp": now,
            "receiveTimestamp": now,
            "resource": {"type": "global", "labels": {"project_id": self._project}},
            **entry,
        }
        full.setdefault("logName", f"projects/{self._project}/logs/twin")
        with self._lock:
            full.setdefault("insertId", f"tw1n{next(self._ids):08x}")
            key = (full["logName"], full["timestamp"], full["insertId"])
            if key in self._keys:
                return None
            self._keys.add(key)
            self._entries.add(full)
        if route:
            for listener in self.listeners:
                listener(full)
        return full

    def find(self, query: str = "") -> list[Body]:
        """Entries that match, oldest first."""
        matches = logging_filter(query)
        with self._lock:
            known = self._entries.candidates(parse(query))
        found = (dict(entry) for entry in known if matches(entry))
        return sorted(found, key=lambda entry: parse_time(entry["timestamp"]))

    def methods(self) -> list[Method]:
        """The RPCs that this store answers."""
        return [
            Method(
                f"{_SERVICE}/ListLogEntries",
                log.ListLogEntriesRequest,
                log.ListLogEntriesResponse,
                self._list,
            ),
            Method(
                f"{_SERVICE}/WriteLogEntries",
                log.WriteLogEntriesRequest,
                log.WriteLogEntriesResponse,
                self._write,
            ),
        ]

    def _list(self, body: Body, caller: Caller) -> Body:
        self._spend_read()
        query = str(body.get("filter", ""))
        if len(query) > LONGEST_QUERY:
            raise Refusal("INVALID_ARGUMENT", "Filter is too long: at most 20000 characters.")
        ours = {f"projects/{self._project}", f"projects/{self._number}"}
        names = body.get("resourceNames") or []
        if not names:
            raise Refusal("INVALID_ARGUMENT", "At least one resource name must be specified.")
        if not all("/".join(str(name).split("/")[:2]) in ours for name in names):
            raise Refusal(
                "PERMISSION_DENIED", "Permission denied for all log views (or they may not exist)."
            )
        order = str(body.get("orderBy") or "timestamp asc").lower().split()
        if order[0] != "timestamp" or order[1:] not in ([], ["asc"], ["desc"]):
            raise Refusal("INVALID_ARGUMENT", f"Invalid order_by: {body.get('orderBy')}")
        try:
            found = self.find(query)
            if self.lists_everything:
                found = self.find()
        except BadQuery as err:
            raise Refusal("INVALID_ARGUMENT", str(err)) from err
        if order[1:] == ["desc"]:
            found.reverse()
        entries, following = page(found, body, 50)
        return {"entries": entries, "nextPageToken": following}

    def _write(self, body: Body, caller: Caller) -> Body:
        for entry in body.get("entries") or []:
            merged: Body = {
                **{key: body[key] for key in ("logName", "resource") if key in body},
                **entry,
            }
            labels = {**(body.get("labels") or {}), **(entry.get("labels") or {})}
            if labels:
                merged["labels"] = labels
            if not merged.get("logName"):
                raise Refusal("INVALID_ARGUMENT", "Log name not specified.")
            merged["logName"] = _log_name(str(merged["logName"]))
            self.add(merged)
        return {}

    def _spend_read(self) -> None:
        if self.reads_per_minute is None:
            return
        now = self._clock.now().timestamp()
        with self._lock:
            while self._reads and self._reads[0] <= now - 60:
                self._reads.popleft()
            if len(self._reads) >= self.reads_per_minute:
                raise Refusal(
                    "RESOURCE_EXHAUSTED",
                    "Quota exceeded for quota metric 'Read requests' and limit 'Read requests per "
                    "minute' of service 'logging.googleapis.com' for consumer "
                    f"'project_number:{self._number}'.",
                )
            self._reads.append(now)


def _keys(entry: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "logName", str(entry["logName"])
    for key, value in ((entry.get("resource") or {}).get("labels") or {}).items():
        if key.endswith("job_id"):
            yield f"resource.labels.{key}", str(value)


def _is_key(path: str) -> bool:
    return path == "logName" or (path.startswith("resource.labels.") and path.endswith("job_id"))


def _log_name(name: str) -> str:
    head, slash, log_id = name.partition("/logs/")
    return f"{head}{slash}{quote(log_id, safe='%')}" if slash else name
