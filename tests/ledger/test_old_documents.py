"""A ledger that an earlier version wrote is read and gone on with, whatever its documents lack."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator.domain import Attempt, JobState
from remediator.ledger import (
    Approval,
    ApprovalChoice,
    CancelReason,
    Conclusion,
    Ledger,
    Limit,
    Stage,
)
from remediator.ledger.encoding import from_json, to_json
from remediator.ledger.firestore import FirestoreStore
from remediator.ledger.records import Store, doc_id
from remediator.ledger.sqlite import SqliteStore
from tests.ledger.fake_firestore import FakeFirestore

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
ROOT = "projects/1/locations/us-central1/customJobs/1"
KEY, MADE_KEY = "us-central1/customJobs/1", "us-central1/customJobs/2"
MADE = "projects/1/locations/us-central1/customJobs/2"

# Documents as the first version of the ledger wrote them, by collection and key.
Documents = dict[tuple[str, str], dict[str, Any]]
INCIDENT = {
    "key": KEY,
    "job": ROOT,
    "stage": "unsettled",
    "first_known": "2026-11-23T19:00:00Z",
    "root": KEY,
    "due": "2026-11-23T19:10:00Z",
}
CHANGE = {"field": "jobSpec.scheduling.timeout", "from": "3600s", "to": "7200s"}
CLAIM = {
    "token": "a",
    "incident": KEY,
    "policy": "p",
    "step": 1,
    "number": 1,
    "verdict": "cpu_saturation",
    "changes": [CHANGE],
    "taken": "2026-11-23T19:00:00Z",
    "lease_until": "2026-11-23T19:10:00Z",
    "reservations": ["usd:2026-11-23"],  # counters by name alone
}
ATTEMPT = {
    "name": MADE,
    "state": "JOB_STATE_PENDING",
    "createTime": "2026-11-23T19:00:00Z",
    "policy": "p",
    "step": 1,
    "verdict": "cpu_saturation",
    "changes": [CHANGE],
    "claim": "a",
    "number": 1,
}
ACTING: Documents = {
    ("incidents", KEY): {**INCIDENT, "stage": "acting"},
    ("chains", KEY): {"key": KEY, "root": ROOT, "claim": CLAIM},
    ("claims", "a"): {"root": KEY},
}
FOLLOWED: Documents = {
    ("incidents", KEY): {**INCIDENT, "stage": "done", "conclusion": "resubmitted", "due": None},
    ("incidents", MADE_KEY): {
        **INCIDENT,
        "key": MADE_KEY,
        "job": MADE,
        "stage": "followed",
        "attempt": 1,
    },
    ("chains", KEY): {"key": KEY, "root": ROOT, "attempts": [ATTEMPT]},
    ("created", MADE_KEY): {"root": KEY, "reservations": ["usd:2026-11-23"]},
    ("debts", "d"): {
        "id": "d",
        "channel": "c",
        "body": {"title": "t"},
        "created": "2026-11-23T19:00:00Z",
        "due": "2026-11-23T19:00:00Z",
    },
}


@pytest.fixture(params=["sqlite", "firestore"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "sqlite":
        return SqliteStore(tmp_path / "ledger.sqlite3")
    firestore = FakeFirestore()
    return FirestoreStore("p", "d", "c", open_client=lambda _: firestore)


@pytest.fixture
def found(store: Store) -> Callable[[Documents], Ledger]:
    """A ledger in which these documents stand already."""

    def open_over(documents: Documents) -> Ledger:
        for (collection, key), body in documents.items():
            due = datetime.fromisoformat(body["due"]) if body.get("due") else None

            def work(
                tx: Any, at: tuple[str, str] = (collection, key), body: Any = body, due: Any = due
            ) -> None:
                tx.put(at[0], doc_id(at[1]), body, due=due)

            store.run(work)
        return Ledger(store)

    return open_over


def test_an_incident_is_read_moved_and_concluded(found: Callable[[Documents], Ledger]) -> None:
    ledger = found({("incidents", KEY): INCIDENT})
    (due,) = ledger.due(NOW, 10)
    assert (due.stage, due.job, due.root) == (Stage.UNSETTLED, ROOT, KEY)
    assert (due.curves, due.run_usd, due.approval, due.version) == ((), None, None, 0)
    assert ledger.move(due)
    assert not ledger.move(due)  # the version that it lacked counts from now on


def test_what_no_version_knows_is_looked_at_again(found: Callable[[Documents], Ledger]) -> None:
    later = {**INCIDENT, "stage": "pondering", "conclusion": "shrugged", "mood": "blue"}
    stored = found({("incidents", KEY): later}).incident(KEY)
    assert stored is not None
    assert (stored.stage, stored.conclusion) == (Stage.FOLLOWED, Conclusion.NONE)


def test_a_claim_is_met_taken_over_and_recorded(found: Callable[[Documents], Ledger]) -> None:
    ledger = found(ACTING)
    chain, incident = ledger.chain(KEY), ledger.incident(KEY)
    assert chain is not None
    assert incident is not None
    held = chain.claim
    assert held is not None
    assert (held.token, held.lease_released, held.reservations) == ("a", False, ())
    assert held.safe_to_recreate_at(timedelta(minutes=2)) <= NOW
    assert ledger.claimed_root("a") == KEY
    again = ledger.claim(incident, ROOT, held, now=NOW)
    assert again.claim == held  # not a second one
    taken = ledger.take_over(KEY, held, lease_until=NOW + timedelta(minutes=10), now=NOW)
    assert taken is not None
    made = Attempt.parse(ATTEMPT)
    assert ledger.record(KEY, "a", made, incident=incident, following=incident)
    assert ledger.root_of(KEY) == KEY


def test_a_claim_that_nobody_wants_is_withdrawn(found: Callable[[Documents], Ledger]) -> None:
    ledger = found({**ACTING, ("counters", "usd:2026-11-23"): {"entries": []}})
    assert ledger.withdraw(KEY, "a")
    chain = ledger.chain(KEY)
    assert chain is not None
    assert chain.claim is None


def test_an_attempt_is_settled_and_its_debt_is_paid(found: Callable[[Documents], Ledger]) -> None:
    ledger = found({**FOLLOWED, ("counters", "usd:2026-11-23"): {"entries": []}})
    assert ledger.root_of(MADE_KEY) == KEY
    settled = ledger.settle(
        KEY,
        MADE_KEY,
        state=JobState.SUCCEEDED,
        ended=NOW,
        usd=3.0,
        final=True,
        outcome_keys=("policy:p",),
        seconds=60.0,
    )
    assert (settled.final, settled.spent_usd, settled.reserved_usd) == (True, 3.0, 0.0)
    assert [one.succeeded for one in ledger.outcome_history(("policy:p",))["policy:p"]] == [True]
    (owed,) = ledger.messages_due(NOW, 10)
    taken = ledger.lease_message(owed, now=NOW, lease_until=NOW + timedelta(minutes=10))
    assert taken is not None
    assert taken.tries == 1
    ledger.mark_delivered(taken, now=NOW)
    assert ledger.messages_due(NOW, 10) == ()


def test_a_counter_of_another_form_counts_from_now_on(found: Callable[[Documents], Ledger]) -> None:
    hour = Limit("rate:all", "rate", 1.0, 1.0, 3600.0)
    ledger = found({("counters", hour.key): {"entries": [{"token": "z", "amount": 1.0}]}})
    assert ledger.used(hour, NOW) == 0.0
    assert ledger.take_token(hour.key, most=1, window_seconds=3600.0, now=NOW)
    assert not ledger.take_token(hour.key, most=1, window_seconds=3600.0, now=NOW)


# --- the file ------------------------------------------------------------------------------------


def write_file(path: Path, version: int, *, indexed: bool) -> None:
    """A file as it stands when its writer was killed between making the table and saying so."""
    database = sqlite3.connect(path)
    database.execute(
        "CREATE TABLE documents (collection TEXT NOT NULL, key TEXT NOT NULL, body TEXT NOT NULL, "
        "due TEXT, expires TEXT, PRIMARY KEY (collection, key)) WITHOUT ROWID"
    )
    if indexed:
        database.execute(
            "CREATE INDEX documents_due ON documents (collection, due) WHERE due IS NOT NULL"
        )
    for (collection, key), body in FOLLOWED.items():
        row = (collection, doc_id(key), json.dumps(body), body.get("due"), None)
        database.execute("INSERT INTO documents VALUES (?, ?, ?, ?, ?)", row)
    database.execute(f"PRAGMA user_version = {version}")
    database.commit()
    database.close()


@pytest.mark.parametrize(
    ("version", "indexed"),
    [(0, False), (0, True), (1, True)],
    ids=["killed-early", "killed-late", "first-release"],
)
def test_a_file_of_an_earlier_schema_is_brought_up_to_date_and_keeps_everything(
    tmp_path: Path, version: int, *, indexed: bool
) -> None:
    path = tmp_path / "ledger.sqlite3"
    write_file(path, version, indexed=indexed)
    for _ in range(2):
        ledger = Ledger(SqliteStore(path))
        assert {one.key for one in ledger.incidents()} == {KEY, MADE_KEY}
        assert [one.key for one in ledger.due(NOW, 10)] == [MADE_KEY]
        assert ledger.root_of(MADE_KEY) == KEY
        ledger.close()
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA user_version").fetchone() == (1,)
    indexes = {row[1] for row in database.execute("PRAGMA index_list(documents)")}
    database.close()
    if version == 0:
        assert {"documents_due", "documents_expires"} <= indexes


@pytest.mark.parametrize(
    ("reason", "stage", "cancel_reason"),
    [
        ("it waited an hour for a machine in vain", Stage.DONE, CancelReason.NO_MACHINE),
        ("not terminal after 24 hours", Stage.FOLLOWED, CancelReason.NONE),
        ("it passed usd_per_job", Stage.DONE, CancelReason.NONE),
    ],
)
def test_what_an_earlier_version_said_in_a_sentence_is_read(
    reason: str, stage: Stage, cancel_reason: CancelReason, tmp_path: Path
) -> None:
    store = SqliteStore(tmp_path / "ledger.sqlite3")
    body = {
        "key": KEY,
        "job": f"projects/p/locations/{KEY}",
        "stage": "done",
        "first_known": "2026-11-23T19:00:00Z",
        "reason": reason,
    }
    store.run(lambda tx: tx.put("incidents", doc_id(KEY), body))
    read = Ledger(store).incident(KEY)
    assert read is not None
    assert (read.stage, read.cancel_reason) == (stage, cancel_reason)


@pytest.mark.parametrize(
    ("stored", "choice"),
    [
        ("approved", ApprovalChoice.APPROVED),
        ("declined", ApprovalChoice.DECLINED),
        ("", ApprovalChoice.NONE),
        ("perhaps", ApprovalChoice.NONE),
    ],
)
def test_an_answer_stored_as_a_text_is_read(stored: str, choice: ApprovalChoice) -> None:
    document = {"id": "a", "digest": "d", "expires": "2026-11-23T19:10:00Z", "answer": stored}
    found = from_json(Approval, document)
    assert found.answer is choice
    assert to_json(found)["answer"] == choice.value
