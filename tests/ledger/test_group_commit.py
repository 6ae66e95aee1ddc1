"""Threads that wait for the ledger's file share one transaction: each is told what its own work came to."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from remediator.deadline import deadline
from remediator.domain import TransientError
from remediator.ledger.records import Transaction
from remediator.ledger.sqlite import SqliteStore
from tests.waiting import wait_until

Work = Callable[[Transaction], Any]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "ledger.sqlite3")
    yield opened
    opened.close()


def put(key: str) -> Work:
    return lambda tx: tx.put("c", key, {"is": key})


def together(store: SqliteStore, *works: Work) -> list[Future[Any]]:
    """What becomes of the works: they come, in this order, while another's transaction is open."""
    came = threading.Event()

    def first(tx: Transaction) -> None:
        tx.put("c", "first", {"is": "first"})
        assert came.wait(60)

    with ThreadPoolExecutor(len(works) + 1) as pool:
        opening = pool.submit(store.run, first)
        wait_until(lambda: os.getpid() in store._queues)
        queue = store._queues[os.getpid()]
        wait_until(lambda: queue.lock.locked() and not queue.waiting)
        done = []
        for number, work in enumerate(works, 1):
            done.append(pool.submit(store.run, work))
            wait_until(lambda number=number: len(queue.waiting) == number)
        came.set()
    return [opening, *done]


def test_who_waits_is_in_the_transaction_of_who_is_before(store: SqliteStore) -> None:
    def look(tx: Transaction) -> tuple[bool, bool]:
        return tx.get("c", "second") is not None, store.get("c", "second") is not None

    _, second, third = together(store, put("second"), look)
    assert second.result() is None
    assert third.result() == (True, False)  # seen by the next, and not yet committed
    assert store.get_many("c", ("first", "second")).keys() == {"first", "second"}


def test_what_one_raises_is_its_own(store: SqliteStore) -> None:
    def fall(tx: Transaction) -> None:
        tx.put("c", "fallen", {})
        msg = "no"
        raise ValueError(msg)

    opening, fallen, third = together(store, fall, put("third"))
    with pytest.raises(ValueError, match="no"):
        fallen.result()
    opening.result()
    third.result()
    assert store.get_many("c", ("first", "fallen", "third")).keys() == {"first", "third"}


def put_half(tx: Transaction) -> None:
    tx.put("c", "half", {})
    tx.put("c", "\ud800", {})


def leave_the_process(tx: Transaction) -> None:
    tx.put("c", "half", {})
    raise SystemExit(3)


def read_by_no_key(tx: Transaction) -> None:
    tx.put("c", "half", {})
    tx.get("c", object())  # type: ignore[arg-type]


def put_without_key(tx: Transaction) -> None:
    tx.put("c", "half", {})
    tx.put("c", None, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("work", "error"),
    [
        pytest.param(put_half, UnicodeEncodeError, id="not-to-be-encoded"),
        pytest.param(leave_the_process, SystemExit, id="exit"),
        pytest.param(read_by_no_key, TransientError, id="read-not-bound"),
        pytest.param(put_without_key, TransientError, id="constraint"),
    ],
)
def test_an_error_of_one_piece_reaches_no_other(
    store: SqliteStore, work: Work, error: type[BaseException]
) -> None:
    opening, fallen, third = together(store, work, put("third"))
    opening.result()
    third.result()
    with pytest.raises(error):
        fallen.result()
    assert store.get_many("c", ("first", "half", "third")).keys() == {"first", "third"}


def test_a_piece_under_which_the_transaction_is_gone_fails_for_all(store: SqliteStore) -> None:
    """As SQLite itself does where the disk is full: nobody is told that what is undone was written."""

    def undo(tx: Transaction) -> None:
        tx._connection.rollback()  # type: ignore[attr-defined]
        msg = "out of memory"
        raise MemoryError(msg)

    for one in together(store, put("second"), undo):
        with pytest.raises(TransientError, match="was undone"):
            one.result()
    assert store.get_many("c", ("first", "second")) == {}


class _Holder:
    """Keeps a transaction open, in a thread of its own, until `let_go`."""

    def __init__(self, store: SqliteStore) -> None:
        self._gate = threading.Event()
        self._thread = threading.Thread(target=lambda: store.run(self._hold))
        self._thread.start()
        wait_until(lambda: os.getpid() in store._queues)
        self.queue = store._queues[os.getpid()]
        wait_until(lambda: self.queue.lock.locked() and not self.queue.waiting)

    def _hold(self, tx: Transaction) -> None:
        tx.put("c", "first", {})
        assert self._gate.wait(60)

    def let_go(self) -> None:
        self._gate.set()
        self._thread.join(60)


def test_who_is_interrupted_while_it_waits_leaves_nothing_behind(store: SqliteStore) -> None:
    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    holder = _Holder(store)
    before = signal.signal(signal.SIGUSR1, interrupt)
    main = threading.get_ident()

    def kill_once_it_waits() -> None:
        wait_until(lambda: len(holder.queue.waiting) == 1)
        signal.pthread_kill(main, signal.SIGUSR1)

    killer = threading.Thread(target=kill_once_it_waits)
    killer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            store.run(put("gone"))
    finally:
        killer.join(60)
        signal.signal(signal.SIGUSR1, before)
        holder.let_go()
    store.run(put("later"))
    assert store.get_many("c", ("first", "gone", "later")).keys() == {"first", "later"}


def test_who_has_no_time_left_does_not_wait_for_others(store: SqliteStore) -> None:
    holder = _Holder(store)
    with deadline(0.1), pytest.raises(TransientError, match="all the time"):
        store.run(put("gone"))
    holder.let_go()
    store.run(put("later"))
    assert store.get_many("c", ("first", "gone", "later")).keys() == {"first", "later"}


def test_what_has_begun_when_time_is_up_is_waited_for(store: SqliteStore) -> None:
    """Its write may be on the disk already: to say that it failed would leave it owned by nobody."""
    begun, gate = threading.Event(), threading.Event()

    def hold(tx: Transaction) -> None:
        tx.put("c", "second", {})
        begun.set()
        assert gate.wait(60)

    def ask() -> None:
        with deadline(0.1):
            store.run(hold)

    holder = _Holder(store)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(ask)
        wait_until(lambda: len(holder.queue.waiting) == 1)
        opener = threading.Thread(target=holder.let_go)
        opener.start()
        assert begun.wait(60)
        time.sleep(0.8)  # more than what is left, and the last seconds
        assert not asked.done()
        gate.set()
        asked.result(60)
    opener.join(60)
    assert store.get("c", "second") == {}


def test_what_is_done_is_written_down_when_time_is_used_up(store: SqliteStore) -> None:
    with deadline(0.0):
        store.run(put("late"))
    assert store.get("c", "late") == {"is": "late"}


def test_a_transaction_that_fails_fails_for_all_of_it(store: SqliteStore) -> None:
    def fail(tx: Transaction) -> None:
        del tx
        msg = "disk I/O error"
        raise sqlite3.OperationalError(msg)

    every = together(store, put("second"), fail)
    for one in every:
        with pytest.raises(TransientError, match="disk I/O error"):
            one.result()
    assert store.get_many("c", ("first", "second")) == {}
    store.run(put("later"))
    assert store.get("c", "later") == {"is": "later"}


def test_a_file_that_stays_locked_is_told_to_everybody(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "ledger.sqlite3", busy_seconds=0.2)
    store.run(put("first"))
    other = sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(4) as pool:
        for one in [pool.submit(store.run, put(f"{n}")) for n in range(4)]:
            with pytest.raises(TransientError, match="locked"):
                one.result()
    other.rollback()
    other.close()
    store.run(put("later"))
    assert store.get("c", "0") is None
    store.close()
