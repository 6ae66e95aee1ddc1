"""How the ledger's documents are read and written within a transaction, for every verb alike.

Owns which collection a record stands in, when it is due and how long it is kept. Decides nothing. Called
by `incidents`, `claims`, `spending` and `messages`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import TypeVar

from msgspec.structs import replace

from remediator.domain import InvalidInput, JobName, Json
from remediator.ledger.encoding import (
    BrokenDocument,
    UnreadableDocument,
    from_json,
    to_json,
)
from remediator.ledger.records import (
    Chain,
    Claim,
    Incident,
    OutboxMessage,
    Stage,
    Transaction,
    doc_id,
)

T = TypeVar("T")

KEEP = timedelta(days=400)  # records outlive a year, so that a report can look back over one
ROUNDING_USD = 1e-9


def sorted_out(
    kind: type[T], collection: str, found: Iterable[tuple[str, Json]]
) -> tuple[tuple[T, ...], tuple[BrokenDocument, ...]]:
    """Records that can be read, in their order, and the documents that cannot."""
    records: list[T] = []
    broken: list[BrokenDocument] = []
    for key, body in found:
        if isinstance(body, BrokenDocument):
            broken.append(body)
            continue
        try:
            records.append(from_json(kind, body))
        except UnreadableDocument as err:
            broken.append(BrokenDocument(collection, key, json.dumps(body), str(err)))
    return tuple(records), tuple(broken)


def readable_records(kind: type[T], bodies: Iterable[Json]) -> tuple[T, ...]:
    return sorted_out(kind, "", (("", body) for body in bodies))[0]


def job_key(name: str) -> str:
    try:
        return JobName.parse(name).key
    except InvalidInput:
        return ""


def chain_in(tx: Transaction, key: str, root: str) -> Chain:
    body = tx.get("chains", doc_id(key))
    return from_json(Chain, body) if body else Chain(key=key, root=root)


def put_chain(tx: Transaction, chain: Chain) -> None:
    times = [chain.first_failed, chain.claim.lease_until if chain.claim else None]
    times += [moment for one in chain.attempts for moment in (one.create_time, one.end_time)]
    touched = max((moment for moment in times if moment is not None), default=None)
    body = to_json(replace(chain, version=chain.version + 1))
    tx.put("chains", doc_id(chain.key), body, expires=touched + KEEP if touched else None)


def put_incident(tx: Transaction, incident: Incident) -> None:
    due = None if incident.stage is Stage.DONE else incident.due
    expires = incident.first_known + KEEP
    tx.put("incidents", doc_id(incident.key), to_json(incident), due=due, expires=expires)


def unknown_messages(
    tx: Transaction, outbox_messages: Sequence[OutboxMessage]
) -> tuple[OutboxMessage, ...]:
    known = (
        tx.get_many("debts", tuple(doc_id(outbox_message.id) for outbox_message in outbox_messages))
        if outbox_messages
        else {}
    )
    return tuple(
        outbox_message
        for outbox_message in outbox_messages
        if doc_id(outbox_message.id) not in known
    )


def put_messages(tx: Transaction, outbox_messages: Sequence[OutboxMessage]) -> None:
    for outbox_message in outbox_messages:
        put_message(tx, outbox_message)


def put_message(tx: Transaction, outbox_message: OutboxMessage) -> None:
    tx.put(
        "debts",
        doc_id(outbox_message.id),
        to_json(outbox_message),
        due=outbox_message.due,
        expires=outbox_message.created + KEEP,
    )


def exchanged(reserved_usd: float, claim: Claim, usd: float | None) -> float:
    """What a chain has set aside once this claim's estimate is replaced."""
    return at_least_zero(reserved_usd - (claim.estimated_usd or 0.0) + (usd or 0.0))


def at_least_zero(usd: float) -> float:
    return usd if usd > ROUNDING_USD else 0.0
