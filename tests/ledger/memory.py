"""The ledger's third store, for tests that need thousands of transactions a second: a dictionary.

It is held to the same contract as the real ones (`test_contract`), so it cannot drift from them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from remediator.ledger.encoding import read_body

Row = tuple[str, datetime | None, datetime | None]


class _Transaction:
    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.writes: dict[tuple[str, str], Row | None] = {}

    def get(self, collection: str, key: str) -> dict[str, Any] | None:
        return self._store.get(collection, key)

    def get_many(self, collection: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
        return self._store.get_many(collection, keys)

    def put(
        self,
        collection: str,
        key: str,
        body: Mapping[str, Any],
        *,
        due: datetime | None = None,
        expires: datetime | None = None,
    ) -> None:
        self.writes[collection, key] = (json.dumps(body), due, expires)

    def delete(self, collection: str, key: str) -> None:
        self.writes[collection, key] = None


class MemoryStore:
    """Documents in a dictionary, one transaction at a time."""

    def __init__(self, rows: dict[tuple[str, str], Row] | None = None) -> None:
        self.rows = {} if rows is None else rows
        self._lock = threading.RLock()

    def run(self, work: Callable[[Any], Any]) -> Any:
        with self._lock:
            transaction = _Transaction(self)
            result = work(transaction)
            for at, row in transaction.writes.items():
                if row is None:
                    self.rows.pop(at, None)
                else:
                    self.rows[at] = row
            return result

    def get(self, collection: str, key: str) -> dict[str, Any] | None:
        row = self.rows.get((collection, key))
        return read_body(collection, key, row[0]) if row else None

    def get_many(self, collection: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
        found = {key: self.get(collection, key) for key in keys}
        return {key: body for key, body in found.items() if body is not None}

    def prefetch(self, every: Iterable[tuple[str, str]]) -> None:
        """Nothing: a read here costs no way to a server."""

    def expect_new(self, every: Iterable[tuple[str, str]]) -> None:
        """Nothing, as above."""

    def due(self, collection: str, now: datetime, limit: int) -> tuple[tuple[str, Any], ...]:
        with self._lock:
            rows = [(key, *row) for (kind, key), row in self.rows.items() if kind == collection]
        found = sorted((due, key, body) for key, body, due, _ in rows if due and due <= now)
        return tuple((key, read_body(collection, key, body)) for _, key, body in found[:limit])

    def all(self, collection: str, limit: int) -> tuple[Any, ...]:
        with self._lock:
            found = sorted(
                (key, row) for (kind, key), row in self.rows.items() if kind == collection
            )
        return tuple(read_body(collection, key, row[0]) for key, row in found[:limit])

    def expire(self, now: datetime) -> int:
        with self._lock:
            gone = [at for at, row in self.rows.items() if row[2] is not None and row[2] <= now]
            for at in gone:
                del self.rows[at]
        return len(gone)

    def close(self) -> None:
        """Nothing is open."""
