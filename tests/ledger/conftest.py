"""Both stores of the ledger: SQLite always, Firestore on Google's emulator where it is installed."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remediator.ledger import Ledger
from remediator.ledger.firestore import FirestoreStore
from remediator.ledger.sqlite import SqliteStore


@pytest.fixture(params=["sqlite", pytest.param("firestore", marks=pytest.mark.emulator)])
def open_ledger(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Ledger]]:
    """Opens the same ledger again and again, as several instances would."""
    opened: list[Ledger] = []
    if request.param == "firestore":
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", request.getfixturevalue("firestore_emulator"))
    collection = f"t{uuid.uuid4().hex[:8]}"

    def start() -> Ledger:
        store = (
            SqliteStore(tmp_path / "ledger.sqlite3")
            if request.param == "sqlite"
            else FirestoreStore("lab", "(default)", collection)
        )
        opened.append(Ledger(store))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    return open_ledger()
