"""How often a delivery asks a ledger that is elsewhere, where each answer is a round trip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from remediator.alerts import AlertFacts, AlertKind
from remediator.alerts.outbox import Outbox
from remediator.ledger import Ledger
from remediator.ledger.firestore import FirestoreStore
from tests.ledger.fake_firestore import FakeFirestore
from tests.test_delivery_threads import Healthy

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


class Counting(FakeFirestore):
    """Remembers what each read asked for, by the name behind the collection."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[list[str]] = []

    def batch_get_documents(self, request: Mapping[str, Any], **how: Any) -> Iterator[Any]:
        self.reads.append([name.rpartition("/")[2] for name in request["documents"]])
        return super().batch_get_documents(request, **how)


def test_whether_a_channel_is_calm_is_asked_at_once() -> None:
    database = Counting()
    ledger = Ledger(FirestoreStore("p", "(default)", "c", open_client=lambda _: database))
    outbox = Outbox(
        ledger,
        open_channel=lambda _: Healthy(),
        write_outcome=lambda *_args, **_how: None,
        now=lambda: NOON,
        lease=timedelta(minutes=10),
    )
    assert outbox.publish(AlertFacts(kind=AlertKind.DIGEST, root="r"), ["oncall"], NOON)
    asked = [read for read in database.reads if any("oncall" in one for one in read)]
    assert ["notes:pause:oncall", "counters:sent:oncall"] in asked
    assert not any(read in (["notes:pause:oncall"], ["counters:sent:oncall"]) for read in asked)
