"""Running jobs that are watched: a few numbers a job between two looks, and the spells that were alerted.

Owns what is kept of a job from one look to the next, and its verbs, each one transaction. Knows no database
and reads no clock. The workflow calls it through `Ledger.watched`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from remediator.domain import Json
from remediator.ledger.encoding import from_json, to_json
from remediator.ledger.records import Approval, OutboxMessage, Store, Transaction, doc_id

KEEP_WATCHED = timedelta(days=60)
"""How long what stood still stays for the report. Chosen: two months' bills can be looked back on."""


class WatchedJob(Struct, frozen=True):
    """One running job between two looks. `key` is `JobName.key`; `due` None: it has ended.

    `verdict` is that of the last look and `looks` how many in a row had it; `alerted` the verdict whose
    alert was sent in this spell, `since` its last sign of work. `usd` is what it has cost while it stood
    still in earlier spells, `spell_usd` in this one. `entry` and `reason` are those of the policy file's
    entry by which we ended it, empty where we did not; `approval` the question that people were asked.
    """

    key: str
    job: str
    first_seen: datetime
    due: datetime | None
    display_name: str = ""
    owner: str = ""
    team: str = ""
    account: str = ""
    machine: str = ""
    usd_per_hour: float | None = None
    verdict: str = ""
    looks: int = 0
    alerted: str = ""
    since: datetime | None = None
    spell_usd: float = 0.0
    usd: float = 0.0
    spells: int = 0
    progress_asked: datetime | None = None
    entry: str = ""
    reason: str = ""
    approval: Approval | None = None
    last_lines: tuple[str, ...] = ()
    curves: tuple[Json, ...] = ()
    version: int = 0

    @property
    def stood_still_usd(self) -> float:
        """US dollars that stood still in all its spells, the present one among them."""
        return self.usd + (self.spell_usd if self.alerted else 0.0)


class WatchedJobs:
    """The verbs; all are safe to call twice."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, key: str) -> WatchedJob | None:
        """What is kept of a job, by `JobName.key`."""
        body = self._store.get("watched", doc_id(key))
        return from_json(WatchedJob, body) if body else None

    def known(self, keys: Sequence[str]) -> frozenset[str]:
        """Which of these jobs are watched, or were."""
        ids = {doc_id(key): key for key in keys}
        return frozenset(ids[one] for one in self._store.get_many("watched", tuple(ids)))

    def begin(self, jobs: Sequence[WatchedJob]) -> int:
        """Watch these, each unless it is known; how many were new."""

        def work(tx: Transaction) -> int:
            known = tx.get_many("watched", tuple(doc_id(one.key) for one in jobs))
            fresh = [one for one in jobs if doc_id(one.key) not in known]
            for one in fresh:
                _put(tx, one)
            return len(fresh)

        return self._store.run(work) if jobs else 0

    def due(self, now: datetime, limit: int) -> tuple[WatchedJob, ...]:
        """Those whose time to be looked at has come, the longest waiting first."""
        found = self._store.due("watched", now, limit)
        return tuple(from_json(WatchedJob, body) for _, body in found)

    def move(
        self, job: WatchedJob, *, outbox_messages: Sequence[OutboxMessage] = ()
    ) -> WatchedJob | None:
        """Replace what was read earlier by this, with the messages about it.

        None, and nothing is written, if another execution changed it since (its version differs).
        """

        def work(tx: Transaction) -> WatchedJob | None:
            body = tx.get("watched", doc_id(job.key))
            stored = from_json(WatchedJob, body) if body else None
            if stored is not None and stored.version != job.version:
                return None
            known = (
                tx.get_many("debts", tuple(doc_id(one.id) for one in outbox_messages))
                if outbox_messages
                else {}
            )
            moved = replace(job, version=job.version + 1)
            _put(tx, moved)
            for one in outbox_messages:
                if doc_id(one.id) not in known:
                    tx.put(
                        "debts",
                        doc_id(one.id),
                        to_json(one),
                        due=one.due,
                        expires=one.created + _KEEP_MESSAGES,
                    )
            return moved

        return self._store.run(work)

    def all(self, limit: int = 10_000) -> tuple[WatchedJob, ...]:
        """Every job that is kept, for reports."""
        return tuple(from_json(WatchedJob, body) for body in self._store.all("watched", limit))


_KEEP_MESSAGES = timedelta(days=400)


def _put(tx: Transaction, job: WatchedJob) -> None:
    touched = max(filter(None, (job.due, job.first_seen, job.since)))
    tx.put("watched", doc_id(job.key), to_json(job), due=job.due, expires=touched + KEEP_WATCHED)
