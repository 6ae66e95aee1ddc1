"""The ledger's verbs for incidents: opened once, moved on by whoever read them last.

A document that cannot be read is named, and can be set aside; it hides no other. Called through `Ledger`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from remediator.domain import VainAttempt, rfc3339
from remediator.ledger.documents import (
    KEEP,
    put_incident,
    put_messages,
    readable_records,
    sorted_out,
    unknown_messages,
)
from remediator.ledger.encoding import (
    BrokenDocument,
    as_now,
    from_json,
    to_json,
)
from remediator.ledger.outcomes import with_vain
from remediator.ledger.records import (
    Conclusion,
    Incident,
    OutboxMessage,
    Stage,
    Store,
    Transaction,
    doc_id,
)

_MOST_KEPT = 50_000  # letters of a document set aside: escaped twice they still fit into one
_BATCH = 200  # documents in one transaction: under Firestore's 500 writes and 10 MiB


class Incidents:
    """Incidents over a store; all verbs are safe to call twice."""

    _store: Store

    def incident(self, key: str) -> Incident | None:
        """The incident of a job, by `JobName.key`."""
        body = self._store.get("incidents", doc_id(key))
        return as_now(from_json(Incident, body)) if body else None

    def known(self, keys: Sequence[str]) -> frozenset[str]:
        """Which of these jobs already have an incident."""
        ids = {doc_id(key): key for key in keys}
        found = self._store.get_many("incidents", tuple(ids))
        return frozenset(ids[one] for one in found)

    def incidents(self, limit: int = 10_000) -> tuple[Incident, ...]:
        """Every incident kept, for reports."""
        return readable_records(Incident, self._store.all("incidents", limit))

    def open(self, incident: Incident) -> Incident:
        """Remember an incident unless it is known; answers the one that stands."""

        def work(tx: Transaction) -> Incident:
            body = tx.get("incidents", doc_id(incident.key))
            if body is not None:
                return from_json(Incident, body)
            put_incident(tx, incident)
            return incident

        return self._store.run(work)

    def open_many(self, incidents: Iterable[Incident]) -> int:
        """Remember many at once, each unless known; how many were new. For a first sweep."""
        new = 0
        batch: list[Incident] = []
        for incident in incidents:
            batch.append(incident)
            if len(batch) == _BATCH:
                new += self._open_batch(tuple(batch))
                batch.clear()
        return new + (self._open_batch(tuple(batch)) if batch else 0)

    def _open_batch(self, incidents: tuple[Incident, ...]) -> int:
        def work(tx: Transaction) -> int:
            known = tx.get_many("incidents", tuple(doc_id(one.key) for one in incidents))
            unique = {doc_id(one.key): one for one in incidents}
            fresh = [one for key, one in unique.items() if key not in known]
            for one in fresh:
                put_incident(tx, one)
            return len(fresh)

        return self._store.run(work)

    def move(
        self,
        incident: Incident,
        *,
        outbox_messages: Sequence[OutboxMessage] = (),
        vain: Mapping[str, Sequence[VainAttempt]] | None = None,
    ) -> bool:
        """Replace the incident read earlier by this, with the messages about it, and with what its chain
        tried in vain under each of these tracks.

        False, and nothing is written, if another execution changed it since (its version differs).
        """

        def work(tx: Transaction) -> bool:
            body = tx.get("incidents", doc_id(incident.key))
            stored = from_json(Incident, body) if body else None
            if stored is not None and stored.version != incident.version:
                return False
            fresh_messages = unknown_messages(tx, outbox_messages)
            tracks = {doc_id(key): found for key, found in (vain or {}).items() if found}
            kept = tx.get_many("tracks", tuple(tracks)) if tracks else {}
            put_incident(tx, replace(incident, version=incident.version + 1))
            for key, found in tracks.items():
                expires = max(one.at for one in found) + KEEP
                tx.put("tracks", key, with_vain(kept.get(key), found), expires=expires)
            put_messages(tx, fresh_messages)
            return True

        return self._store.run(work)

    def due(self, now: datetime, limit: int) -> tuple[Incident, ...]:
        """Incidents whose time to be looked at has come, the longest waiting first."""
        return self.due_or_broken(now, limit)[0]

    def due_or_broken(
        self, now: datetime, limit: int
    ) -> tuple[tuple[Incident, ...], tuple[BrokenDocument, ...]]:
        """The same, and the documents among them that cannot be read."""
        return sorted_out(Incident, "incidents", self._store.due("incidents", now, limit))

    def set_aside(
        self,
        broken: BrokenDocument,
        *,
        now: datetime,
        outbox_messages: Sequence[OutboxMessage] = (),
    ) -> None:
        """Take a document that cannot be read out of the way, and keep its text; enqueue the alert about it.

        In its place stands one that is concluded, so that what it told of is not taken for new.
        """
        key = broken.key

        def work(tx: Transaction) -> None:
            tx.get(broken.collection, key)  # written only if it is still as it was
            fresh_messages = unknown_messages(tx, outbox_messages)
            if broken.collection == "incidents":
                put_incident(tx, _tombstone(key, now))
            else:
                lost = OutboxMessage(key, "", {}, now, None, lost_because="it could not be read")
                tx.put("debts", key, to_json(lost), expires=now + KEEP)
            kept = {"text": broken.text[:_MOST_KEPT], "at": rfc3339(now)}
            tx.put("damaged", doc_id(f"{broken.collection}|{key}"), kept, expires=now + KEEP)
            put_messages(tx, fresh_messages)

        self._store.run(work)


def _tombstone(key: str, now: datetime) -> Incident:
    """What stands for an incident that could not be read: concluded, by its key alone."""
    named = key.replace("|", "/")
    return Incident(
        key=named,
        job=f"projects/-/locations/{named.partition('@')[0]}",
        stage=Stage.DONE,
        first_known=now,
        root=named,
        conclusion=Conclusion.IGNORED,
        reason="its document in the ledger could not be read",
    )
