"""The ledger's documents in SQLite: one machine, many threads and processes (WAL).

A connection is lent for each transaction or read, and opened where none is free: threads come and go,
and to open one costs more than most questions. None crosses a fork. Every transaction is IMMEDIATE, so
two writers never read the same state and both go on. Threads that wait for one share the next (group
commit): the disk is waited for once for all of them.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from remediator.deadline import remaining
from remediator.domain import Json, TransientError, rfc3339
from remediator.ledger.encoding import read_body
from remediator.ledger.records import Work

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
  collection TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, due TEXT, expires TEXT,
  PRIMARY KEY (collection, key)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS documents_due ON documents (collection, due) WHERE due IS NOT NULL;
CREATE INDEX IF NOT EXISTS documents_expires ON documents (expires) WHERE expires IS NOT NULL;
"""
_SCHEMA_VERSION = 1
_KEYS_AT_ONCE = 500  # older SQLite takes 999 values in one statement
_BUSY_SECONDS = 20.0  # chosen; a transaction takes milliseconds
_LAST_SECONDS = 0.5
"""Of waiting for other threads, also when an event's time is used up, since what is done must be written
down. Chosen: a hundred transactions."""
_ERRORS_OF_ONE = (
    sqlite3.DataError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.NotSupportedError,
    sqlite3.ProgrammingError,
)
"""What SQLite says of a statement or its values (PEP 249); its other errors are of the database."""


_Row = tuple[str, str | None, str | None]  # body, due, expires


class _SqliteTransaction:
    """Reads go to the database, writes are kept until the work is done."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.writes: dict[tuple[str, str], _Row] = {}

    def get(self, collection: str, key: str) -> Json | None:
        return _get(self._connection, collection, key)

    def get_many(self, collection: str, keys: tuple[str, ...]) -> Mapping[str, Json]:
        return _get_many(self._connection, collection, keys)

    def put(
        self,
        collection: str,
        key: str,
        body: Json,
        *,
        due: datetime | None = None,
        expires: datetime | None = None,
    ) -> None:
        self.writes[collection, key] = (json.dumps(body), _sortable(due), _sortable(expires))


class _Turn:
    """A piece of work that waits for a transaction.

    Once it is done: its result, or its own error, or the failure of the whole transaction.
    """

    def __init__(self, work: Work[Any]) -> None:
        self._work = work
        self.is_done = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.failure: TransientError | None = None

    def run(self, connection: sqlite3.Connection) -> None:
        """Do and write the work; what it raises is its own, and nothing of it is written then.

        Raises what is not of this piece: an error of the database, or an interrupt of this thread.
        """
        transaction = _SqliteTransaction(connection)
        try:
            self.result = self._work(transaction)
            _write(connection, transaction.writes)
        except BaseException as err:  # the others' work in this transaction goes on
            of_all = isinstance(err, (sqlite3.Error, KeyboardInterrupt))
            if of_all and not isinstance(err, _ERRORS_OF_ONE):
                raise
            if not connection.in_transaction:
                msg = f"the transaction was undone: {err}"
                raise sqlite3.OperationalError(msg) from err
            self.error = err


class _Queue:
    """The threads of one process that wait; who holds the lock does the work of all."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.waiting: deque[_Turn] = deque()

    def take(self) -> _Turn | None:
        """The next turn, which begins with that; one step, since another may leave meanwhile."""
        try:
            return self.waiting.popleft()
        except IndexError:
            return None

    def leave(self, turn: _Turn) -> bool:
        """Whether the turn had not begun; then it never will."""
        try:
            self.waiting.remove(turn)
        except ValueError:
            return False
        return True


class SqliteStore:
    """Documents in one SQLite file; made with its folder when first used.

    `busy_seconds`: how long a writer waits for another process.
    """

    def __init__(self, path: Path, *, busy_seconds: float = _BUSY_SECONDS) -> None:
        self._path = path
        self._busy_seconds = busy_seconds
        self._free: dict[int, list[sqlite3.Connection]] = {}
        """By process: a parent's stay open here, since to close one could drop the parent's locks."""
        self._queues: dict[int, _Queue] = {}
        """By process, since a lock of the parent's may be held for ever here."""

    def run(self, work: Work[T]) -> T:
        """Run the work in one transaction; TransientError if the database stays locked, or time is up.

        It is on the disk when this returns. Where threads wait, one of them does the work of all in
        one transaction, one piece after the other, and what it comes to is told once that is on the
        disk: a piece that has seen what another wrote is undone with it. An error of one piece is
        its own. Who leaves before it has begun leaves nothing behind; once begun, its end is waited for.
        """
        queue = self._queues.setdefault(os.getpid(), _Queue())
        own = _Turn(work)
        try:
            queue.waiting.append(own)
            self._wait_for(own, queue)
        except BaseException:
            queue.leave(own)
            raise
        if own.failure is not None:
            raise TransientError(*own.failure.args) from own.failure
        if isinstance(own.error, sqlite3.Error):
            msg = f"the ledger ({self._path}) did not take it: {own.error}"
            raise TransientError(msg) from own.error
        if own.error is not None:
            raise own.error
        result: T = own.result
        return result

    def _wait_for(self, own: _Turn, queue: _Queue) -> None:
        """Until the turn is done, by another thread or by this one; TransientError if time is up first."""
        seconds = max(remaining(threading.TIMEOUT_MAX), _LAST_SECONDS)
        if not queue.lock.acquire(timeout=seconds):
            if queue.leave(own):
                msg = f"the ledger ({self._path}): other threads' work took all the time there was"
                raise TransientError(msg)
            queue.lock.acquire()
        try:
            if not own.is_done:
                self._run_all(queue)
        finally:
            queue.lock.release()

    def _run_all(self, queue: _Queue) -> None:
        """Do what waits, and what comes meanwhile; where it fails as a whole, each is told so."""
        group: list[_Turn] = []
        failure: TransientError | None = TransientError(
            f"the ledger ({self._path}) was interrupted"
        )
        try:
            with self._lent() as connection:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    while (turn := queue.take()) is not None:
                        group.append(turn)
                        turn.run(connection)
                    connection.commit()
                    failure = None
                except BaseException:
                    connection.rollback()
                    raise
        except TransientError as err:
            failure = err
        finally:
            if not group:  # it stayed locked: who has come meanwhile would wait as long again
                group = list(iter(queue.take, None))
            for turn in group:
                turn.failure = failure
                turn.is_done = True

    def get(self, collection: str, key: str) -> Json | None:
        with self._lent() as connection:
            return _get(connection, collection, key)

    def get_many(self, collection: str, keys: tuple[str, ...]) -> Mapping[str, Json]:
        with self._lent() as connection:
            return _get_many(connection, collection, keys)

    def prefetch(self, every: Iterable[tuple[str, str]]) -> None:
        """Nothing: a read here costs no way to a server."""

    def expect_new(self, every: Iterable[tuple[str, str]]) -> None:
        """Nothing, as above."""

    def due(self, collection: str, now: datetime, limit: int) -> tuple[tuple[str, Json], ...]:
        with self._lent() as connection:
            rows = connection.execute(
                "SELECT key, body FROM documents WHERE collection = ? AND due <= ? ORDER BY due LIMIT ?",
                (collection, _sortable(now), limit),
            )
            return tuple((key, read_body(collection, key, body)) for key, body in rows)

    def all(self, collection: str, limit: int) -> tuple[Json, ...]:
        with self._lent() as connection:
            rows = connection.execute(
                "SELECT key, body FROM documents WHERE collection = ? ORDER BY key LIMIT ?",
                (collection, limit),
            )
            return tuple(read_body(collection, key, body) for key, body in rows)

    def expire(self, now: datetime) -> int:
        """Remove what has outlived its time to live, as Firestore's TTL policy does by itself."""
        with self._lent() as connection:
            return connection.execute(
                "DELETE FROM documents WHERE expires <= ?", (_sortable(now),)
            ).rowcount

    def close(self) -> None:
        """Close the connections that are not lent; the next transaction opens another."""
        free = self._free.get(os.getpid(), [])
        while free:
            free.pop().close()

    @contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        """A connection for one piece of work; TransientError for SQLite's own errors in it."""
        free = self._free.setdefault(os.getpid(), [])  # each step of these is whole, so no lock
        try:
            connection = free.pop()
        except IndexError:
            connection = self._new_connection()
        try:
            yield connection
        except sqlite3.Error as err:
            msg = f"the ledger ({self._path}) did not answer: {err}"
            raise TransientError(msg) from err
        finally:
            if connection.in_transaction:  # not even the rollback went through
                connection.close()
            else:
                free.append(connection)

    def _new_connection(self) -> sqlite3.Connection:
        try:
            return self._open()
        except (sqlite3.Error, OSError) as err:
            msg = f"the ledger ({self._path}) cannot be opened: {err}"
            raise TransientError(msg) from err

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(
            self._path, timeout=self._busy_seconds, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")  # a claim must survive a power cut
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > _SCHEMA_VERSION:
            connection.close()
            msg = f"{self._path} was written by a later version (schema {version})"
            raise TransientError(msg)
        if version < _SCHEMA_VERSION:
            connection.executescript(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        return connection


def _write(connection: sqlite3.Connection, writes: Mapping[tuple[str, str], _Row]) -> None:
    """Write these or none of them; where that cannot be, it is an error of the database.

    Keys in ASCII fit into the statement, so that they need no savepoint: to open and to release one
    costs 9 microseconds (measured), and a write of three documents 13.
    """

    def write() -> None:
        connection.executemany(
            "INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?, ?)",
            ((*at, *row) for at, row in writes.items()),
        )

    if all(type(part) is str and part.isascii() for at in writes for part in at):
        try:
            write()
        except Exception as err:
            msg = f"a write was cut short: {err}"
            raise sqlite3.OperationalError(msg) from err
        return
    connection.execute("SAVEPOINT piece")
    try:
        write()
    except BaseException:
        connection.execute("ROLLBACK TO piece")  # fails where SQLite has undone the whole
        raise
    finally:
        connection.execute("RELEASE piece")


def _get(connection: sqlite3.Connection, collection: str, key: str) -> Json | None:
    row = connection.execute(
        "SELECT body FROM documents WHERE collection = ? AND key = ?", (collection, key)
    ).fetchone()
    return read_body(collection, key, row[0]) if row else None


def _get_many(
    connection: sqlite3.Connection, collection: str, keys: tuple[str, ...]
) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for start in range(0, len(keys), _KEYS_AT_ONCE):
        part = keys[start : start + _KEYS_AT_ONCE]
        marks = ",".join("?" * len(part))
        rows = connection.execute(
            f"SELECT key, body FROM documents WHERE collection = ? AND key IN ({marks})",  # noqa: S608  # marks are question marks only
            (collection, *part),
        )
        found.update((key, read_body(collection, key, body)) for key, body in rows)
    return found


def _sortable(moment: datetime | None) -> str | None:
    """RFC 3339 with microseconds always, so that text order is time order."""
    if moment is None:
        return None
    text = rfc3339(moment)
    return text if "." in text else text.replace("Z", ".000000Z")
