"""The ledger's documents in Firestore: the cloud's store, shared by every instance.

Documents live in `{COLLECTION}_{collection}`; a body is one JSON text, so that nothing in it is
indexed and no key of ours can be a field path; `due` and `expires` are fields of their own (`due` is
queried, a TTL policy stands on `expires`). google-cloud-firestore is imported when first used, and
never before a fork.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from remediator.domain import Forbidden, Json, Transient
from remediator.ledger.records import Work

T = TypeVar("T")

_TRIES = 12  # of a contended transaction; each waits longer than the one before
_CALL_SECONDS = 20.0
_EXPIRED_AT_ONCE = 400  # a batch takes 500 writes


class _Transaction:
    """Firestore wants every read before the first write, so writes are kept until the work is done."""

    def __init__(self, store: FirestoreStore, transaction: Any) -> None:
        self._store = store
        self._transaction = transaction
        self.writes: dict[tuple[str, str], dict[str, Any] | None] = {}

    def get(self, collection: str, key: str) -> Json | None:
        return self.get_many(collection, (key,)).get(key)

    def get_many(self, collection: str, keys: tuple[str, ...]) -> Mapping[str, Json]:
        return self._store.read(collection, keys, self._transaction)

    def put(
        self,
        collection: str,
        key: str,
        body: Json,
        *,
        due: datetime | None = None,
        expires: datetime | None = None,
    ) -> None:
        self.writes[collection, key] = {
            "body": json.dumps(body),
            "due": due,
            "expires": expires,
        }

    def delete(self, collection: str, key: str) -> None:
        self.writes[collection, key] = None


class FirestoreStore:
    """Documents in one Firestore database; `FIRESTORE_EMULATOR_HOST` is honoured by the client."""

    def __init__(self, project: str, database: str, collection: str) -> None:
        self._project = project
        self._database = database
        self._prefix = collection
        self._lock = threading.Lock()
        self._opened: tuple[int, Any] | None = None

    def run(self, work: Work[T]) -> T:
        """Run the work in one transaction, again where another hand was in between."""
        from google.cloud import firestore

        client = self._client()

        @firestore.transactional  # type: ignore[untyped-decorator]  # Google's package is untyped here
        def attempt(transaction: Any) -> T:
            ours = _Transaction(self, transaction)
            result = work(ours)
            for (collection, key), fields in ours.writes.items():
                reference = self._reference(collection, key)
                if fields is None:
                    transaction.delete(reference)
                else:
                    transaction.set(reference, fields)
            return result

        with _errors():
            done: T = attempt(client.transaction(max_attempts=_TRIES))
            return done

    def get(self, collection: str, key: str) -> Json | None:
        return self.get_many(collection, (key,)).get(key)

    def get_many(self, collection: str, keys: tuple[str, ...]) -> Mapping[str, Json]:
        with _errors():
            return self.read(collection, keys, None)

    def read(self, collection: str, keys: tuple[str, ...], transaction: Any) -> dict[str, Json]:
        """The documents that exist, by key; inside a transaction or out of one."""
        if not keys:
            return {}
        client = self._client()
        references = [self._reference(collection, key) for key in keys]
        found = client.get_all(references, transaction=transaction, timeout=_CALL_SECONDS)
        return {one.id: json.loads(one.get("body")) for one in found if one.exists}

    def due(self, collection: str, now: datetime, limit: int) -> tuple[Json, ...]:
        with _errors():
            query = self._collection(collection).where(filter=_field("due", "<=", now))
            found = query.order_by("due").limit(limit).stream(timeout=_CALL_SECONDS)
            return tuple(json.loads(one.get("body")) for one in found)

    def all(self, collection: str, limit: int) -> tuple[Json, ...]:
        with _errors():
            found = self._collection(collection).limit(limit).stream(timeout=_CALL_SECONDS)
            return tuple(json.loads(one.get("body")) for one in found)

    def expire(self, now: datetime) -> int:
        """Firestore's TTL policy does this by itself, within a day; the emulator has none."""
        gone = 0
        with _errors():
            for collection in self._client().collections():
                if not collection.id.startswith(f"{self._prefix}_"):
                    continue
                old = collection.where(filter=_field("expires", "<=", now))
                for one in old.limit(_EXPIRED_AT_ONCE).stream(timeout=_CALL_SECONDS):
                    one.reference.delete()
                    gone += 1
        return gone

    def close(self) -> None:
        """Let go of the client; the next call opens a new one."""
        with self._lock:
            if self._opened is not None:
                self._opened[1].close()
                self._opened = None

    def _collection(self, collection: str) -> Any:
        return self._client().collection(f"{self._prefix}_{collection}")

    def _reference(self, collection: str, key: str) -> Any:
        return self._collection(collection).document(key)

    def _client(self) -> Any:
        """One client for each process: a channel must not cross a fork."""
        from google.cloud import firestore

        with self._lock:
            if self._opened is None or self._opened[0] != os.getpid():
                with _errors():
                    client = firestore.Client(project=self._project, database=self._database)
                self._opened = (os.getpid(), client)
            return self._opened[1]


def _field(name: str, operator: str, value: object) -> Any:
    from google.cloud.firestore_v1.base_query import FieldFilter

    return FieldFilter(name, operator, value)


@contextmanager
def _errors() -> Iterator[None]:
    """Firestore's errors as ours; a transaction that stays contended is to be tried later."""
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    try:
        yield
    except (api.Forbidden, api.Unauthorized, auth.DefaultCredentialsError) as err:
        msg = f"the ledger (Firestore) refuses: {err}"
        raise Forbidden(msg) from err
    except (api.GoogleAPICallError, api.RetryError, auth.GoogleAuthError) as err:
        msg = f"the ledger (Firestore) did not answer: {err}"
        raise Transient(msg) from err
    except ValueError as err:
        if "Failed to commit transaction" not in str(err):  # the client's own word for contention
            raise
        msg = f"the ledger (Firestore) is contended: {err}"
        raise Transient(msg) from err
