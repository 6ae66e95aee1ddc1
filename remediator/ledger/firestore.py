"""The ledger's documents in Firestore: the cloud's store, shared by every instance.

Everything lives in one collection, `COLLECTION`, as documents `{collection}:{key}`, so that one TTL
policy (on `expires`) and one index exemption (of `body`) serve it all. A body is one JSON text: none
of its fields costs an index entry, arrays may nest, and both stores give back the same. What is due
is queried by a field of its own for each collection (`due_incidents`), which needs no composite index.

Nothing is locked. A unit of work reads, and its writes are committed together, each on condition that
its document is as it was read (or absent); where one is not, the work is run again. A killed process
leaves no lock behind, and of any number of contending executions one always wins. Each commit carries a
random mark: one whose answer was lost is looked for by it before anything is repeated.

The generated client is imported and opened when first used, once in each process: a channel must not
cross a fork. Called by `ledger` through the `Store` protocol.
"""

from __future__ import annotations

import ipaddress
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from remediator import log
from remediator.deadline import call_with_retries, remaining
from remediator.domain import Json, PermissionDenied, RemediatorError, TransientError
from remediator.ledger.encoding import read_body
from remediator.ledger.read_cache import ReadCache, Seen
from remediator.ledger.records import Work

T = TypeVar("T")

_HOST = "firestore.googleapis.com"
_TOTAL_SECONDS = 20.0  # for one verb, its retries included
_LEAST_TRY_SECONDS = 0.05
_LAST_SECONDS = 5.0  # what is done must be written down, also when an event's time is used up
_READ_AT_ONCE = 300  # documents in one BatchGetDocuments
_EXPIRED_ROUNDS = 10
_EXPIRED_AT_ONCE = 400  # a commit took 500 writes at most for years, and still should
_PASSING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED"}) | {
    "ABORTED",
    "CANCELLED",
    "UNKNOWN",
}
_NEVER_APPLIED = frozenset({"ABORTED", "RESOURCE_EXHAUSTED"})
_UNORDERED = frozenset({"switches"})
_CHANGED = frozenset({"FAILED_PRECONDITION", "ALREADY_EXISTS", "NOT_FOUND"})


class _Contended(Exception):
    """A document was changed between its being read and its being written."""


@dataclass(frozen=True, slots=True)
class _Written:
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
        self._open_channel = open_channel
        self._open_client = open_client
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._opened: tuple[int, Any, tuple[tuple[str, str], ...]] | None = None
        self._recent = ReadCache()
        self._inherited: list[Any] = []  # a parent's channels: closing one in a child can hang

    # --- the store's verbs ---------------------------------------------------------------------

    def run(self, work: Work[T]) -> T:
        """Run the work, again where another execution came between; TransientError while it stays contended.

        First it runs over what was seen before: its commit finds out whether that is still so. What
        it would only answer, writing nothing, is answered from what stands in Firestore now.
        """
        log.hear_libraries()
        ends = self._ends()
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
        found = self.fetch(collection, unseen, self._ends())
        return {**bodies, **{key: body for key, (body, _) in found.items()}}

    def prefetch(self, every: Iterable[tuple[str, str]]) -> None:
        """Read these at once, for the next read of each."""
        self._fetched(tuple(dict.fromkeys(every)), self._ends(), prefetch=True)

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
            self._again_while_it_helps("forgetting", self._ends(), _sender(self, writes))
            gone += len(names)
        return gone

    def close(self) -> None:
        """Let go of the channel; the next call opens a new one."""
        with self._lock:
            if self._opened is not None and self._opened[0] == os.getpid():
                self._opened[1].transport.close()
            self._opened = None

    # --- reading -------------------------------------------------------------------------------

    def fetch(
        self, collection: str, keys: Iterable[str], ends: float
    ) -> dict[str, tuple[Json, Any]]:
        """The documents that exist, by key: each its body and the version to compare later."""
        found = self._fetched(tuple((collection, key) for key in keys), ends)
        return {key: (_body(one), one.update_time) for (_, key), one in found.items()}

    def _fetched(
        self, every: tuple[tuple[str, str], ...], ends: float, *, prefetch: bool = False
    ) -> dict[tuple[str, str], Any]:
        names = {self._name(*at): at for at in every}
        found: dict[tuple[str, str], Any] = {}
        wanted = list(names)
        for start in range(0, len(wanted), _READ_AT_ONCE):
            part = wanted[start : start + _READ_AT_ONCE]
            for document in self._again_while_it_helps("reading", ends, _reader(self, part)):
                found[names[document.name]] = document
        for at in every:
            one = found.get(at)
            text, version = (
                (one.fields["body"].string_value, one.update_time) if one else (None,) * 2
            )
            self._recent.keep(at, text, version, prefetch=prefetch)
        return found

    def _query(self, query: Mapping[str, Any]) -> list[Any]:
        request = {
            "parent": f"{self._database}/documents",
            "structured_query": {"from_": [{"collection_id": self._collection}], **query},
        }

        def ask(seconds: float) -> list[Any]:
            client, metadata = self._client()
            answers = client.run_query(request, retry=None, timeout=seconds, metadata=metadata)
            return [answer.document for answer in answers if answer.document.name]

        return self._again_while_it_helps("querying", self._ends(), ask)

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
                times = self.send_writes(writes, seconds)
            except api.GoogleAPICallError as err:
                code = _code(err)
                if code == "ABORTED" or (code in _CHANGED and transaction.read):
                    return False
                unheard = unheard or code not in _NEVER_APPLIED
                raise
            for (at, written), version in zip(transaction.writes.items(), times, strict=True):
                self._recent.keep(at, written.body, version)
            return True

        try:
            if self._again_while_it_helps("writing", ends, once):
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
        found = self._again_while_it_helps("reading", ends, _reader(self, names))
        return any(document.fields["mark"].string_value == mark for document in found)

    # --- reaching Firestore --------------------------------------------------------------------

    def read_documents(self, names: list[str], seconds: float) -> list[Any]:
        """One BatchGetDocuments; what does not exist is left out."""
        client, metadata = self._client()
        request = {"database": self._database, "documents": names}
        answers = client.batch_get_documents(
            request, retry=None, timeout=seconds, metadata=metadata
        )
        return [answer.found for answer in answers if answer.found.name]

    def send_writes(self, writes: list[dict[str, Any]], seconds: float) -> list[Any]:
        """One Commit; the time at which each write was applied, its document's new version."""
        client, metadata = self._client()
        request = {"database": self._database, "writes": writes}
        done = client.commit(request, retry=None, timeout=seconds, metadata=metadata)
        return [result.update_time for result in done.write_results]

    def _again_while_it_helps(self, what: str, ends: float, call: Callable[[float], T]) -> T:
        """The call's result; tried again, with jittered backoff, while an error may pass.

        A wait that the service asks for and that does not fit into what is left is not waited for.
        """

        def left() -> float:
            return max(ends - time.monotonic(), _LEAST_TRY_SECONDS)

        def worth_another(err: Exception) -> bool | float:
            wish = _is_passing(err)
            return wish if wish is True or wish < left() else False

        with _errors(f"the ledger (Firestore, {self._database}): {what}"):
            return call_with_retries(
                lambda: call(max(left() / 2, min(left(), 1.0))),
                on=worth_another,
                seconds=left(),
                wait_initial=0.05,
                wait_max=2.0,
                wait_jitter=0.2,
            )

    def _ends(self) -> float:
        least = min(self._timeout_seconds, _LAST_SECONDS)
        return time.monotonic() + max(least, remaining(self._timeout_seconds))

    def _client(self) -> tuple[Any, tuple[tuple[str, str], ...]]:
        with self._lock:
            if self._opened is not None and self._opened[0] != os.getpid():
                self._inherited.append(self._opened)
                self._opened = None
            if self._opened is None:
                self._opened = (os.getpid(), *self._open())
            return self._opened[1:]

    def _open(self) -> tuple[Any, tuple[tuple[str, str], ...]]:
        metadata = [("google-cloud-resource-prefix", self._database)]
        emulator = os.environ.get("FIRESTORE_EMULATOR_HOST", "").removeprefix("http://")
        if emulator:
            metadata.append(("authorization", "Bearer owner"))  # the emulator's word for an admin
        if self._open_client is not None:
            if emulator:
                _on_loopback(emulator)
            with _errors("opening the ledger (Firestore)"):
                return self._open_client(emulator or None), tuple(metadata)
        from google.cloud.firestore_v1.services.firestore import FirestoreClient
        from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport

        if emulator:
            channel = _plaintext_channel(emulator)
        elif self._open_channel is not None:
            channel = self._open_channel(_HOST, None)
        else:
            with _errors("opening the ledger (Firestore)"):
                return FirestoreClient(), tuple(metadata)
        return FirestoreClient(transport=FirestoreGrpcTransport(channel=channel)), tuple(metadata)


def _reader(store: FirestoreStore, names: list[str]) -> Callable[[float], list[Any]]:
    return lambda seconds: store.read_documents(names, seconds)


def _sender(store: FirestoreStore, writes: list[dict[str, Any]]) -> Callable[[float], Any]:
    return lambda seconds: store.send_writes(writes, seconds)


def _plaintext_channel(endpoint: str) -> Any:
    import grpc

    _on_loopback(endpoint)
    return grpc.insecure_channel(endpoint, options=[("grpc.enable_http_proxy", 0)])


def _on_loopback(endpoint: str) -> None:
    host = endpoint.rpartition(":")[0].strip("[]")
    try:
        is_here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = False
    if not is_here:
        msg = f"FIRESTORE_EMULATOR_HOST must be host:port on loopback, and {endpoint!r} is not"
        raise TransientError(msg)  # no event is acknowledged that cannot be remembered


def _time(moment: datetime) -> dict[str, Any]:
    return {"value": {"timestamp_value": moment.astimezone(UTC)}}


def _key(document: Any) -> str:
    return str(document.name).rpartition("/")[2].partition(":")[2]


def _body(document: Any) -> Json:
    collection = str(document.name).rpartition("/")[2].partition(":")[0]
    return read_body(collection, _key(document), str(document.fields["body"].string_value))


# --- errors --------------------------------------------------------------------------------------


def _code(err: Any) -> str:
    return str(getattr(err.grpc_status_code, "name", ""))


def _is_passing(err: Exception) -> bool | float:
    """Whether another try may help; the wait that the service asked for, where it told one."""
    from google.api_core import exceptions as api

    if not isinstance(err, api.GoogleAPICallError) or _code(err) not in _PASSING:
        return False
    for detail in err.details or ():
        delay = getattr(detail, "retry_delay", None)
        if delay is not None:
            return float(delay.seconds) + float(delay.nanos) / 1e9
    return True


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Google's errors leave as ours: a missing permission PermissionDenied and named, the rest TransientError."""
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    try:
        yield
    except api.PermissionDenied as err:
        msg = (
            f"{what}: {_said(err)} (the service account needs datastore.entities.* on the "
            "database: roles/datastore.user)"
        )
        raise PermissionDenied(msg) from err
    except auth.DefaultCredentialsError as err:
        msg = f"{what}: no Google credentials were found: {err}"
        raise PermissionDenied(msg) from err
    except api.GoogleAPICallError as err:
        msg = f"{what} failed: {_code(err)}: {_said(err)}"
        raise TransientError(msg) from err
    except (api.RetryError, auth.GoogleAuthError) as err:
        msg = f"{what} failed: {err}"
        raise TransientError(msg) from err


def _said(err: Any) -> str:
    return " ".join(str(err.message or err).split())[:500]
