"""The ledger's own faults: Firestore answering badly or not at all, and SQLite that cannot be used.

`ROWS` is the ledger's part of the table in docs/reliability.md.
"""

from __future__ import annotations

import socket
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2

from remediator.deadline import deadline
from remediator.domain import PermissionDenied, RemediatorError, TransientError
from remediator.ledger import Claim, ClaimAnswer, Incident, Ledger, Stage
from remediator.ledger.firestore import FirestoreStore
from remediator.ledger.sqlite import SqliteStore
from tests.ledger.world import World

NOW = datetime(2026, 11, 23, 20, tzinfo=UTC)
KEY = "us-central1/customJobs/1"
FOREVER = float("inf")


class _Answered(grpc.RpcError, grpc.Call):  # type: ignore[misc]  # grpc has no types
    """A call that ended with a status, as gRPC's own errors tell it."""

    def __init__(self, code: grpc.StatusCode, retry_after: float | None = None) -> None:
        super().__init__(code)
        self._code = code
        self._retry_after = retry_after

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return "planned"

    def result(self) -> Any:
        raise self

    def initial_metadata(self) -> tuple[()]:
        return ()

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        if self._retry_after is None:
            return ()
        wish = Duration()
        wish.FromTimedelta(timedelta(seconds=self._retry_after))
        status = status_pb2.Status(code=code_pb2.Code.Value(self._code.name), message="planned")
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=wish))
        return (("grpc-status-details-bin", status.SerializeToString()),)

    def is_active(self) -> bool:
        return False

    def time_remaining(self) -> None:
        return None

    def cancel(self) -> bool:
        return False

    def add_callback(self, callback: Any) -> bool:
        del callback
        return False


@dataclass
class Spoilt(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    """Spoils the next `times` calls of a method, having let `skip` pass: instead of them, or after.

    `hangs`: the answer does not come; the caller's deadline passes.
    """

    method: str = ""
    code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE
    times: float = 0
    after: bool = False
    hangs: bool = False
    retry_after: float | None = None
    skip: int = 0

    def intercept_unary_unary(self, go_on: Any, details: Any, request: Any) -> Any:
        return self._call(go_on, details, request)

    def intercept_unary_stream(self, go_on: Any, details: Any, request: Any) -> Any:
        return self._call(go_on, details, request)

    def _call(self, go_on: Any, details: Any, request: Any) -> Any:
        if not self.times or not str(details.method).endswith(self.method):
            return go_on(details, request)
        if self.skip:
            self.skip -= 1
            return go_on(details, request)
        self.times -= 1
        if self.after:
            answer = go_on(details, request)
            if self.method == "Commit":
                answer.result()
        if self.hangs:
            time.sleep(min(details.timeout, 0.5))
        raise _Answered(self.code, self.retry_after)


@pytest.fixture
def spoilt() -> Spoilt:
    return Spoilt()


@pytest.fixture
def open_firestore(
    firestore_emulator: str, monkeypatch: pytest.MonkeyPatch, spoilt: Spoilt
) -> Iterator[Callable[[float], FirestoreStore]]:
    """A new collection at each call, whose every call passes by `spoilt`."""
    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)  # else the store's own channel
    channel = grpc.insecure_channel(firestore_emulator)

    def start(seconds: float) -> FirestoreStore:
        return FirestoreStore(
            "lab",
            "(default)",
            f"t{uuid.uuid4().hex[:8]}",
            open_channel=lambda _host, _endpoint: grpc.intercept_channel(channel, spoilt),
            timeout_seconds=seconds,
        )

    yield start
    channel.close()


def incident() -> Incident:
    return Incident(
        key=KEY, job=f"projects/1/locations/{KEY}", stage=Stage.UNSETTLED, first_known=NOW, due=NOW
    )


def claim() -> Claim:
    return Claim(
        token=uuid.uuid4().hex,
        incident=KEY,
        policy="p",
        step=1,
        number=1,
        verdict="memory_pressure",
        changes=(),
        acquired_at=NOW,
        lease_until=NOW + timedelta(minutes=10),
    )


CODES = grpc.StatusCode
WAYS: dict[str, Spoilt] = {
    "UNAVAILABLE once": Spoilt(code=CODES.UNAVAILABLE, times=1),
    "DEADLINE_EXCEEDED once": Spoilt(code=CODES.DEADLINE_EXCEEDED, times=1),
    "RESOURCE_EXHAUSTED once": Spoilt(code=CODES.RESOURCE_EXHAUSTED, times=1),
    "RESOURCE_EXHAUSTED once, RetryInfo": Spoilt(
        code=CODES.RESOURCE_EXHAUSTED, times=1, retry_after=0.3
    ),
    "RESOURCE_EXHAUSTED, RetryInfo of an hour": Spoilt(
        code=CODES.RESOURCE_EXHAUSTED, times=FOREVER, retry_after=3600
    ),
    "INTERNAL once": Spoilt(code=CODES.INTERNAL, times=1),
    "ABORTED once": Spoilt(code=CODES.ABORTED, times=1),
    "PERMISSION_DENIED": Spoilt(code=CODES.PERMISSION_DENIED, times=FOREVER),
    "hang once": Spoilt(code=CODES.DEADLINE_EXCEEDED, times=1, hangs=True),
    "answer lost once": Spoilt(code=CODES.UNAVAILABLE, times=1, after=True),
}
METHODS = {"read": "BatchGetDocuments", "query": "RunQuery", "commit": "Commit"}
RETRIED = "tried again at once"
LATER = "503: delivered again"
NAMED = "the log names the role; 503 until it is granted"
FOUND = "found by its mark, not repeated"


@dataclass(frozen=True)
class Row:
    """One service of the ledger failing in one way; `error` is what its caller gets."""

    service: str
    way: str
    says: str
    error: type[RemediatorError] | None = None

    @property
    def id(self) -> str:
        return f"{self.service}: {self.way}"


def _row(name: str, way: str) -> Row:
    service = f"Firestore {name}"
    if "an hour" in way:
        return Row(service, way, LATER, TransientError)
    if way == "PERMISSION_DENIED":
        return Row(service, way, NAMED, PermissionDenied)
    if name == "commit" and way == "answer lost once":
        return Row(service, way, FOUND)
    return Row(service, way, RETRIED)


ROWS = [_row(name, way) for name in METHODS for way in WAYS]


@pytest.mark.emulator
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_firestore_failing_in_each_way(
    row: Row, open_firestore: Callable[[float], FirestoreStore], spoilt: Spoilt
) -> None:
    ledger = Ledger(open_firestore(60.0))
    opened = ledger.open(incident())
    way = WAYS[row.way]
    spoilt.code, spoilt.after, spoilt.hangs = way.code, way.after, way.hangs
    spoilt.retry_after, spoilt.times = way.retry_after, way.times
    spoilt.method = METHODS[row.service.removeprefix("Firestore ")]

    def use() -> tuple[int, ClaimAnswer]:
        due = len(ledger.due(NOW, 10))
        return due, ledger.claim(opened, "root", wanted, now=NOW)

    wanted = claim()
    if row.error is not None:
        with pytest.raises(row.error), deadline(60.0):
            use()
        spoilt.times = 0
    due, answer = use()
    assert due == 1
    assert answer.mine
    assert answer.claim is not None
    assert answer.claim.token == wanted.token
    assert not spoilt.times
    stored = ledger.incident(KEY)
    assert stored is not None
    assert stored.version == opened.version + 1  # claimed once, whatever was lost


@pytest.mark.emulator
def test_a_firestore_that_never_answers_is_given_up_in_time(spoilt: Spoilt) -> None:
    del spoilt
    with socket.socket() as deaf:  # takes connections and says nothing
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        where = f"127.0.0.1:{deaf.getsockname()[1]}"
        store = FirestoreStore(
            "lab",
            "(default)",
            "deaf",
            open_channel=lambda _host, _endpoint: grpc.insecure_channel(where),
            timeout_seconds=1.5,
        )
        with pytest.raises(TransientError):
            Ledger(store).open(incident())
        store.close()


@pytest.mark.emulator
@pytest.mark.parametrize("after", [False, True], ids=["refused", "answer-lost"])
def test_firestore_failing_at_each_call_of_the_story_leaves_one_job(
    after: bool, open_firestore: Callable[[float], FirestoreStore], spoilt: Spoilt
) -> None:
    """The whole story on Firestore, once for each of its calls; that one ends in an error for good."""
    failed_at = 0
    while True:
        world = World(
            lease=timedelta(minutes=10), wait=timedelta(minutes=2), stores=(open_firestore(20.0),)
        )
        name = world.cloud.add()
        spoilt.code, spoilt.after = CODES.PERMISSION_DENIED, after
        spoilt.method, spoilt.times, spoilt.skip = "Commit", 1, failed_at
        execution = world.deliver(name)
        while not execution.done:
            execution.step()
        assert execution.fault is None
        unspent, spoilt.times, spoilt.skip = spoilt.times, 0, 0
        world.executions.clear()
        world.settle_down()
        assert [len(names) for names in world.made().values()] == [1], f"commit {failed_at}"
        assert len({one for one, _ in world.outcomes}) == 2  # resubmitted, recovered
        if unspent:
            break
        failed_at += 1
    assert failed_at >= 5  # opened, claimed, recorded, and what is told


# --- SQLite ---------------------------------------------------------------------------------------


def test_sqlite_that_cannot_be_opened_is_asked_again_later(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("a file where the folder should be")
    ledger = Ledger(SqliteStore(tmp_path / "ledger" / "ledger.sqlite3"))
    with pytest.raises(TransientError, match="cannot be opened"):
        ledger.open(incident())
    (tmp_path / "ledger").unlink()
    assert ledger.open(incident()).key == KEY
    ledger.close()


def test_sqlite_that_is_no_database_is_said_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    path.write_text("notes of somebody's, long enough to be taken for pages\n" * 200)
    before = path.read_bytes()
    ledger = Ledger(SqliteStore(path))
    with pytest.raises(TransientError, match="not a database"):
        ledger.open(incident())
    assert path.read_bytes() == before


def test_sqlite_of_a_later_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(TransientError, match="later version"):
        Ledger(SqliteStore(path)).open(incident())


def test_a_full_disk_is_asked_again_later_and_nothing_is_half_written(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite3"
    store = SqliteStore(path)
    ledger = Ledger(store)
    opened = ledger.open(incident())
    with store._lent() as connection:  # the only one: what is free is lent again
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")
    big = [
        Incident(
            key=f"us-central1/customJobs/{number}",
            job="j" * 400,
            stage=Stage.UNSETTLED,
            first_known=NOW,
        )
        for number in range(2, 120)
    ]
    with pytest.raises(TransientError, match="full"):
        ledger.open_many(big)
    assert [one.key for one in ledger.incidents()] == [opened.key]
    with store._lent() as connection:
        connection.execute("PRAGMA max_page_count = 100000")
    assert ledger.open_many(big) == len(big)
    ledger.close()
