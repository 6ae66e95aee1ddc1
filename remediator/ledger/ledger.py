"""The ledger: its verbs, written once over any store; each is one transaction.

Owns nothing of them but the switch and the notes: incidents, claims, spending and messages have a module
each. Knows no database: `sqlite` and `firestore` do. Reads no clock: every verb that needs the time is
told it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from remediator.domain import Json, rfc3339
from remediator.ledger.claims import Claims
from remediator.ledger.encoding import (
    BrokenDocument,
)
from remediator.ledger.incidents import Incidents
from remediator.ledger.messages import Messages
from remediator.ledger.records import (
    Store,
    Transaction,
    doc_id,
)
from remediator.ledger.spending import Spending
from remediator.ledger.watched import WatchedJobs


class Ledger(Incidents, Claims, Spending, Messages):
    """What was seen, promised and spent, and the outbox. See each verb; all are safe to call twice."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.watched = WatchedJobs(store)

    def prefetch(self, **every: Iterable[str]) -> None:
        """Read at once what will be asked of each collection: a hint, no promise."""
        wanted = [(collection, doc_id(key)) for collection, keys in every.items() for key in keys]
        if wanted:
            self._store.prefetch(wanted)

    def stopped(self) -> bool:
        """Whether the stop switch is on."""
        body = self._store.get("switches", "stop")
        if isinstance(body, BrokenDocument):  # nobody knows, so nothing is changed
            return True
        return bool(body and body.get("on"))

    def switch_stop(self, *, on: bool, by: str, now: datetime) -> None:
        """Turn the stop switch on or off; asked inside every claim."""

        def work(tx: Transaction) -> None:
            tx.put("switches", "stop", {"on": on, "by": by, "at": rfc3339(now)})

        self._store.run(work)

    def note(self, key: str) -> Json | None:
        """A small named fact, such as when the sweep last ran; one that cannot be read is none."""
        body = self._store.get("notes", doc_id(key))
        return None if isinstance(body, BrokenDocument) else body

    def write_note(self, key: str, body: Json) -> None:
        """Replace a small named fact."""

        def work(tx: Transaction) -> None:
            tx.put("notes", doc_id(key), body)

        self._store.run(work)

    def delete_expired(self, now: datetime) -> int:
        """Remove what has outlived its keeping; how much. In Firestore a TTL policy does so too."""
        return self._store.expire(now)

    def close(self) -> None:
        """Let go of the storage."""
        self._store.close()
