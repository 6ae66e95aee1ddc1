"""The ledger's documents in Firestore: the cloud's store, shared by every instance.

Everything lives in one collection, `COLLECTION`, as documents `{collection}:{key}`, so that one TTL
policy (on `expires`) and one index exemption (of `body`) serve it all. A body is one JSON text: none
of its fields costs an index entry, arrays may nest, and both stores give back the same. What is due
is queried by a field of its own for each collection (`due_incidents`), which needs no composite index.

Nothing is locked. A unit of work reads, and its writes are committed together, each on condition that
its document is as it was read (or absent); where one is not, the work is run again. A killed process
leaves no lock behind, and of any number of contending executions one always wins. Each commit carries a
random mark: one whose answer was lost is looked for by it before anything is repeated.

How Firestore is reached is `firestore_calls`' business. Called by `ledger` through the `Store` protocol.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from msgspec import Struct

from remediator import log
from remediator.deadline import call_with_retries
from remediator.domain import Json, RemediatorError, TransientError
from remediator.ledger.encoding import read_body
from remediator.ledger.firestore_calls import FirestoreCalls, code_of, version_of
from remediator.ledger.read_cache import ReadCache, Seen
from remediator.ledger.records import Work

T = TypeVar("T")

_TOTAL_SECONDS = 20.0  # for one verb, its retries included
_READ_AT_ONCE = 300  # documents in one BatchGetDocuments
_EXPIRED_ROUNDS = 10
_EXPIRED_AT_ONCE = 400  # a commit took 500 writes at most for years, and still should
_NEVER_APPLIED = frozenset({"ABORTED", "RESOURCE_EXHAUSTED"})
_UNORDERED = frozenset({"switches"})
_CHANGED = frozenset({"FAILED_PRECONDITION", "ALREADY_EXISTS", "NOT_FOUND"})


class _Contended(Exception):
    """A document was changed between its being read and its being written."""


class _Written(Struct, frozen=True):
    """What a document is to become."""

    body: str
    due: datetime | None = None
    expires: datetime | None = None


class _FirestoreTransaction:
    """Reads as they come, remembering each document's version; keeps the writes for the end.

    With `recent` it starts from what was seen before, and `believed` says what that was.
    """

    def __init__(self, store: FirestoreStore, ends: float, recent: ReadCache | None) -> None:
        self._store = store
        self._ends = ends
        self._recent = recent
        self.believed: dict[tuple[str, str], Seen] = {}
        self.read: dict[tuple[str, str], Any] = {}
        self.writes: dict[tuple[str, str], _Written] = {}

    def get(self, collection: str, key: str) -> Json | None:
        return self.get_many(collection, (key,)).get(key)

    def get_many(self, collection: str, keys: tuple[str, ...]) -> Mapping[str, Json]:
        bodies: dict[str, Json] = {}
        unseen = []
        for key in keys:
            seen = self._recent.for_work((collection, key)) if self._recent else None
            if seen is None:
                unseen.append(key)
                continue
            self.believed[collection, key] = seen
            self.read.setdefault((collection, key), seen.version)
            if seen.text is not None:
                bodies[key] = read_body(collection, key, seen.text)
        found = self._store.fetch(collection, unseen, self._ends)
        for key in unseen:
            _, version = found.get(key, (None, None))
            self.read.setdefault((collection, key), version)
        return {**bodies, **{key: body for key, (body, _) in found.items()}}

    def is_unchecked(self) -> bool:
        """Whether it leans on something seen before that its commit would not check.

        A verb reads in an order that makes it right (a counter after the claim that filled it), and
        what was seen before breaks that order. Only a switch may be a moment old.
        """
        if self.believed and not self.writes:
            return True
        return any(
            at not in self.writes
            and (at[0] not in _UNORDERED or self._recent is None or self._recent.is_old(seen))
            for at, seen in self.believed.items()
        )

    def put(
        self,
        collection: str,
        key: str,
        body: Json,
        *,
        due: datetime | None = None,
        expires: datetime | None = None,
    ) -> None:
        self.writes[collection, key] = _Written(json.dumps(body), due, expires)


class FirestoreStore:
    """Documents in one collection of one Firestore database (`(default)` or another).

    `FIRESTORE_EMULATOR_HOST` is honoured, on loopback alone, since it is spoken to in plaintext.
    `open_client` gives what calls Firestore (its methods are those of Google's generated client), for
    an endpoint in plaintext or for Google's own. Without it the generated client is imported; then
    `open_channel` opens a gRPC channel to a host, or without that, it finds credentials and channel.
    """

    def __init__(
        self,
        project: str,
        database: str,
        collection: str,
        *,
        open_channel: Callable[[str, str | None], Any] | None = None,
        open_client: Callable[[str | None], Any] | None = None,
        timeout_seconds: float = _TOTAL_SECONDS,
    ) -> None:
        self._database = f"projects/{project}/databases/{database}"
        self._collection = collection
        self._calls = FirestoreCalls(
            self._database,
            open_channel=open_channel,
            open_client=open_client,
            timeout_seconds=timeout_seconds,
        )
        self._recent = ReadCache()

    # --- the store's verbs ---------------------------------------------------------------------

    def run(self, work: Work[T]) -> T:
        """Run the work, again where another execution came between; TransientError while it stays contended.

        First it runs over what was seen before: its commit finds out whether that is still so. What
        it would only answer, writing nothing, is answered from what stands in Firestore now.
        """
        log.hear_libraries()
        ends = self._calls.ends()
        recent: ReadCache | None = self._recent

        def once() -> T:
            nonlocal recent
            transaction = _FirestoreTransaction(self, ends, recent)
            recent = None
            result = work(transaction)
            if transaction.is_unchecked():
                transaction = _FirestoreTransaction(self, ends, None)
                result = work(transaction)
            if transaction.writes:
                self._commit(transaction, ends)
            return result

        try:
            return call_with_retries(
                once,
                on=_Contended,
                seconds=ends - time.monotonic(),
                wait_initial=0.02,
                wait_max=1.0,
                wait_jitter=0.1,
            )
        except _Contended as err:
            msg = "the ledger (Firestore) stayed contended"
            raise TransientError(msg) from err

    def get(self, collection: str, key: str) -> Json | None:
        return self.get_many(collection, (key,)).get(key)

    def get_many(self, collection: str, keys: tuple[str, ...]) -> Mapping[str, Json]:
        seen = {key: self._recent.once((collection, key)) for key in keys}
        unseen = [key for key, one in seen.items() if one is None]
        bodies = {
            key: read_body(collection, key, one.text)
            for key, one in seen.items()
            if one and one.text is not None
        }
        found = self.fetch(collection, unseen, self._calls.ends())
        return {**bodies, **{key: body for key, (body, _) in found.items()}}

    def prefetch(self, every: Iterable[tuple[str, str]]) -> None:
        """Read these at once, for the next read of each."""
        self._fetched(tuple(dict.fromkeys(every)), self._calls.ends(), prefetch=True)

    def expect_new(self, every: Iterable[tuple[str, str]]) -> None:
        """These surely do not exist yet: a unit of work that writes them need not read them first.

        Its commit finds out where that is wrong, and the work is run again.
        """
        for at in every:
            self._recent.keep(at, None, None)

    def due(self, collection: str, now: datetime, limit: int) -> tuple[tuple[str, Json], ...]:
        field = {"field_path": f"due_{collection}"}
        query = {
            "where": {"field_filter": {"field": field, "op": "LESS_THAN_OR_EQUAL", **_time(now)}},
            "order_by": [{"field": field}],
            "limit": limit,
        }
        return tuple((_key(document), _body(document)) for document in self._query(query))

    def all(self, collection: str, limit: int) -> tuple[Json, ...]:
        field = {"field_path": "kind"}
        value = {"string_value": collection}
        query = {
            "where": {"field_filter": {"field": field, "op": "EQUAL", "value": value}},
            "limit": limit,
        }
        return tuple(_body(document) for document in self._query(query))

    def expire(self, now: datetime) -> int:
        """Remove what has outlived its time to live, up to some thousands at once.

        The TTL policy does so by itself in a day; this is for a database that has none.
        """
        field = {"field_path": "expires"}
        query = {
            "where": {"field_filter": {"field": field, "op": "LESS_THAN_OR_EQUAL", **_time(now)}},
            "limit": _EXPIRED_AT_ONCE,
        }
        gone = 0
        for _ in range(_EXPIRED_ROUNDS):
            names = [document.name for document in self._query(query)]
            if not names:
                break
            writes = [{"delete": name} for name in names]
            self._calls.again_while_it_helps(
                "forgetting", self._calls.ends(), _sender(self._calls, writes)
            )
            gone += len(names)
        return gone

    def close(self) -> None:
        """Let go of the channel; the next call opens a new one."""
        self._calls.close()

    # --- reading -------------------------------------------------------------------------------

    def fetch(
        self, collection: str, keys: Iterable[str], ends: float
    ) -> dict[str, tuple[Json, Any]]:
        """The documents that exist, by key: each its body and the version to compare later."""
        found = self._fetched(tuple((collection, key) for key in keys), ends)
        return {key: (_body(one), version_of(one)) for (_, key), one in found.items()}

    def _fetched(
        self, every: tuple[tuple[str, str], ...], ends: float, *, prefetch: bool = False
    ) -> dict[tuple[str, str], Any]:
        names = {self._name(*at): at for at in every}
        found: dict[tuple[str, str], Any] = {}
        wanted = list(names)
        for start in range(0, len(wanted), _READ_AT_ONCE):
            part = wanted[start : start + _READ_AT_ONCE]
            for document in self._calls.again_while_it_helps(
                "reading", ends, _reader(self._calls, part)
            ):
                found[names[document.name]] = document
        for at in every:
            one = found.get(at)
            text, version = (
                (one.fields["body"].string_value, version_of(one)) if one else (None,) * 2
            )
            self._recent.keep(at, text, version, prefetch=prefetch)
        return found

    def _query(self, query: Mapping[str, Any]) -> list[Any]:
        request = {
            "parent": f"{self._database}/documents",
            "structured_query": {"from_": [{"collection_id": self._collection}], **query},
        }

        return self._calls.again_while_it_helps(
            "querying",
            self._calls.ends(),
            lambda seconds: self._calls.run_query(request, seconds),
        )

    def _name(self, collection: str, key: str) -> str:
        return f"{self._database}/documents/{self._collection}/{collection}:{key}"

    # --- writing -------------------------------------------------------------------------------

    def _commit(self, transaction: _FirestoreTransaction, ends: float) -> None:
        """Write everything, if nothing of it was changed since it was read; _Contended if it was."""
        from google.api_core import exceptions as api

        mark = uuid.uuid4().hex
        writes = [
            self._write(at, written, mark, transaction)
            for at, written in transaction.writes.items()
        ]
        unheard = False

        def once(seconds: float) -> bool:
            nonlocal unheard
            try:
                times = self._calls.send_writes(writes, seconds)
            except api.GoogleAPICallError as err:
                code = code_of(err)
                if code == "ABORTED" or (code in _CHANGED and transaction.read):
                    return False
                unheard = unheard or code not in _NEVER_APPLIED
                raise
            for (at, written), version in zip(transaction.writes.items(), times, strict=True):
                self._recent.keep(at, written.body, version)
            return True

        try:
            if self._calls.again_while_it_helps("writing", ends, once):
                return
        except RemediatorError:
            self._recent.drop(transaction.writes)
            raise
        self._recent.drop({*transaction.read, *transaction.writes})
        if unheard and self._bears(mark, transaction, ends):
            return  # an earlier try of this very commit was applied, and its answer lost
        raise _Contended

    def _write(
        self, at: tuple[str, str], written: _Written, mark: str, transaction: _FirestoreTransaction
    ) -> dict[str, Any]:
        name = self._name(*at)
        condition: dict[str, Any] = {}
        if at in transaction.read:
            version = transaction.read[at]
            known = {"update_time": version} if version is not None else {"exists": False}
            condition = {"current_document": known}
        fields: dict[str, Any] = {
            "kind": {"string_value": at[0]},
            "body": {"string_value": written.body},
            "mark": {"string_value": mark},
        }
        if written.due is not None:
            fields[f"due_{at[0]}"] = _time(written.due)["value"]
        if written.expires is not None:
            fields["expires"] = _time(written.expires)["value"]
        return {"update": {"name": name, "fields": fields}, **condition}

    def _bears(self, mark: str, transaction: _FirestoreTransaction, ends: float) -> bool:
        names = [self._name(*at) for at in transaction.writes]
        if not names:
            return False
        found = self._calls.again_while_it_helps("reading", ends, _reader(self._calls, names))
        return any(document.fields["mark"].string_value == mark for document in found)


def _reader(calls: FirestoreCalls, names: list[str]) -> Callable[[float], list[Any]]:
    return lambda seconds: calls.read_documents(names, seconds)


def _sender(calls: FirestoreCalls, writes: list[dict[str, Any]]) -> Callable[[float], Any]:
    return lambda seconds: calls.send_writes(writes, seconds)


def _time(moment: datetime) -> dict[str, Any]:
    return {"value": {"timestamp_value": moment.astimezone(UTC)}}


def _key(document: Any) -> str:
    return str(document.name).rpartition("/")[2].partition(":")[2]


def _body(document: Any) -> Json:
    collection = str(document.name).rpartition("/")[2].partition(":")[0]
    return read_body(collection, _key(document), str(document.fields["body"].string_value))
