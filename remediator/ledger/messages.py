"""The ledger's verbs for the outbox: messages enqueued once, leased, delivered or put off.

Called through `Ledger`, by the room of the alerts alone but for `enqueue`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from remediator.domain import Json
from remediator.ledger.documents import (
    KEEP,
    put_message,
    put_messages,
    sorted_out,
    unknown_messages,
)
from remediator.ledger.encoding import (
    BrokenDocument,
    from_json,
)
from remediator.ledger.records import (
    OutboxMessage,
    Store,
    Transaction,
    doc_id,
)


class Messages:
    """The outbox over a store; all verbs are safe to call twice."""

    _store: Store

    def enqueue(self, outbox_messages: Sequence[OutboxMessage]) -> None:
        """Enqueue messages; one that is already enqueued or delivered stays as it is."""
        if not outbox_messages:
            return

        def work(tx: Transaction) -> None:
            put_messages(tx, unknown_messages(tx, outbox_messages))

        self._store.run(work)

    def messages_due(self, now: datetime, limit: int) -> tuple[OutboxMessage, ...]:
        """What may be delivered now, oldest first."""
        return self.messages_due_or_broken(now, limit)[0]

    def messages_due_or_broken(
        self, now: datetime, limit: int
    ) -> tuple[tuple[OutboxMessage, ...], tuple[BrokenDocument, ...]]:
        """The same, and the documents among them that cannot be read."""
        return sorted_out(OutboxMessage, "debts", self._store.due("debts", now, limit))

    def lease_message(
        self, outbox_message: OutboxMessage, *, now: datetime, lease_until: datetime
    ) -> OutboxMessage | None:
        """Lease one delivery; None if it is delivered or with another execution."""

        def work(tx: Transaction) -> OutboxMessage | None:
            body = tx.get("debts", doc_id(outbox_message.id))
            stored = from_json(OutboxMessage, body) if body else None
            if stored is None or stored.delivered or stored.due is None or stored.due > now:
                return None
            taken = replace(stored, due=lease_until, tries=stored.tries + 1)
            put_message(tx, taken)
            return taken

        return self._store.run(work)

    def mark_delivered(
        self,
        outbox_message: OutboxMessage,
        *,
        now: datetime,
        thread: Mapping[str, Any] | None = None,
    ) -> None:
        """It was delivered; `thread` is what the channel needs to update it later."""

        def work(tx: Transaction) -> None:
            body = tx.get("debts", doc_id(outbox_message.id))
            stored = from_json(OutboxMessage, body) if body else outbox_message
            put_message(tx, replace(stored, due=None, delivered=stored.delivered or now))
            if thread is not None:
                root = str(outbox_message.body.get("thread_key") or outbox_message.id)
                key = doc_id(f"{outbox_message.channel}|{root}")
                tx.put("threads", key, dict(thread), expires=now + KEEP)

        self._store.run(work)

    def postpone_message(
        self, outbox_message: OutboxMessage, *, due: datetime | None, why: str
    ) -> None:
        """It could not be delivered: again at `due`, or never (None), with the reason kept.

        Nothing changes where it was delivered meanwhile, or is in a later execution (`tries` differs).
        """

        def work(tx: Transaction) -> None:
            body = tx.get("debts", doc_id(outbox_message.id))
            stored = from_json(OutboxMessage, body) if body else outbox_message
            if stored.delivered is None and stored.tries == outbox_message.tries:
                put_message(tx, replace(stored, due=due, lost_because=why))

        self._store.run(work)

    def thread(self, channel: str, root: str) -> Json | None:
        """What a channel that can update messages remembers of a chain's thread."""
        body = self._store.get("threads", doc_id(f"{channel}|{root}"))
        return None if isinstance(body, BrokenDocument) else body
