"""Threads that wait for the ledger's file share one transaction: each is told what its own work came to."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

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
