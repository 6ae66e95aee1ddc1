"""A ledger that another version has written is read: what is newer is left out, what is older defaulted.

A body is one JSON text that names its fields, so no document is ever rewritten to be read. What holds
that up: a field that a record demands is never added, only one with a default.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import fields

from remediator.domain import JobState, rfc3339
from remediator.ledger import Approval, Chain, Claim, Incident, Ledger, OutboxMessage, Stage
from remediator.ledger.encoding import from_json, to_json
from remediator.ledger.firestore import FirestoreStore
from remediator.ledger.records import Reservation, doc_id
from remediator.ledger.sqlite import SqliteStore
from tests.ledger.fake_firestore import FakeFirestore

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
KEY = "us-central1/customJobs/1"
JOB = "projects/p/locations/us-central1/customJobs/1"
DEMANDED: dict[Any, set[str]] = {
    Approval: {"id", "digest", "expires"},
    Incident: {"key", "job", "stage", "first_known"},
    Reservation: {"key", "amount", "at"},
    Claim: {
        *("token", "incident", "policy", "step", "number"),
        *("verdict", "changes", "acquired_at", "lease_until"),
    },
    Chain: {"key", "root"},
    OutboxMessage: {"id", "channel", "body", "created", "due"},
}
"""What the first version wrote in every record of a kind."""


@pytest.mark.parametrize("kind", DEMANDED, ids=lambda kind: str(kind.__name__))
def test_no_record_demands_what_an_earlier_version_did_not_write(kind: Any) -> None:
    demands = {field.name for field in fields(kind) if field.required}
    assert demands == DEMANDED[kind]


def test_a_renamed_field_is_stored_by_the_name_that_earlier_versions_know() -> None:
    claim = Claim("t", KEY, "p", 1, 1, "x", (), NOW, NOW, lease_released=True)
    stored = to_json(claim)
    assert (stored["taken"], stored["given_back"]) == (rfc3339(NOW), True)
    assert not {"acquired_at", "lease_released"} & stored.keys()
    assert from_json(Claim, stored) == claim


@pytest.fixture(params=["sqlite", "firestore"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    if request.param == "sqlite":
        return SqliteStore(tmp_path / "ledger.sqlite3")
    database = FakeFirestore()
    return FirestoreStore("p", "d", "c", open_client=lambda _: database)


def put(store: Any, collection: str, key: str, body: dict[str, Any], **more: Any) -> None:
    """A document as another version wrote it."""
    store.run(lambda tx: tx.put(collection, doc_id(key), body, **more))


def oldest(**more: Any) -> dict[str, Any]:
    return {"key": KEY, "job": JOB, "stage": "unsettled", "first_known": rfc3339(NOW), **more}


def test_the_oldest_documents_are_read_and_carried_on(store: Any) -> None:
    claim = {
        "token": "t",
        "incident": KEY,
        "policy": "p",
        "step": 1,
        "number": 1,
        "verdict": "x",
        "changes": [],
        "taken": rfc3339(NOW),
        "lease_until": rfc3339(NOW),
    }
    put(store, "incidents", KEY, oldest(), due=NOW)
    put(store, "chains", KEY, {"key": KEY, "root": JOB, "claim": claim})
    outbox_message = {
        "id": "d",
        "channel": "c",
        "body": {},
        "created": rfc3339(NOW),
        "due": rfc3339(NOW),
    }
    put(store, "debts", "d", outbox_message, due=NOW)
    ledger = Ledger(store)
    (incident,) = ledger.due(NOW, 10)
    assert ledger.move(incident)
    chain = ledger.chain(KEY)
    assert chain is not None
    assert chain.claim is not None
    assert ledger.withdraw(KEY, "t", acquired_at=chain.claim.acquired_at)
    (owed,) = ledger.messages_due(NOW, 10)
    taken = ledger.lease_message(owed, now=NOW, lease_until=NOW + timedelta(minutes=10))
    assert taken is not None
    ledger.mark_delivered(taken, now=NOW)
    assert ledger.messages_due(NOW + timedelta(days=1), 10) == ()


@pytest.mark.parametrize(
    ("newer", "read"),
    [
        ({"mood": "good"}, lambda one: one.stage is Stage.UNSETTLED),
        ({"stage": "pondered"}, lambda one: one.stage is Stage.FOLLOWED),
        ({"conclusion": "sublimated"}, lambda one: not one.conclusion.value),
    ],
    ids=["field", "stage", "conclusion"],
)
def test_what_a_later_version_wrote_is_read_as_far_as_it_is_known(
    store: Any, newer: dict[str, Any], read: Callable[[Incident], bool]
) -> None:
    put(store, "incidents", KEY, oldest(**newer), due=NOW)
    (incident,) = Ledger(store).due(NOW, 10)
    assert read(incident)


def test_a_state_that_is_not_known_yet_is_no_end(store: Any) -> None:
    attempt = {"name": f"{JOB}2", "state": "JOB_STATE_DREAMING", "createTime": rfc3339(NOW)}
    put(store, "chains", KEY, {"key": KEY, "root": JOB, "attempts": [attempt]})
    chain = Ledger(store).chain(KEY)
    assert chain is not None
    assert chain.attempts[0].state is JobState.UNSPECIFIED
    assert not chain.attempts[0].state.is_terminal
