"""The ledger's verbs, written once over any store: each is one transaction.

Owns the state machine of incidents, claims, budgets and debts (docs/reliability.md argues why no
interleaving creates two jobs). Knows no database: `sqlite` and `firestore` do. Reads no clock: every
verb that needs the time is told it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from remediator.domain import Attempt, Guard, JobState, Json, rfc3339
from remediator.ledger import counters
from remediator.ledger.records import (
    Answer,
    Chain,
    Claim,
    Debt,
    Incident,
    Limit,
    Reservation,
    Stage,
    Store,
    Transaction,
    from_json,
    to_json,
)

KEEP = timedelta(days=400)  # records outlive a year, so that a report can look back over one


class Ledger:
    """What was seen, promised, spent and owed. See each verb; all are safe to call twice."""

    def __init__(self, store: Store) -> None:
        self._store = store

    # --- incidents -----------------------------------------------------------------------------

    def incident(self, key: str) -> Incident | None:
        """The incident of a job, by `JobName.key`."""
        body = self._store.get("incidents", doc_id(key))
        return from_json(Incident, body) if body else None

    def known(self, keys: Sequence[str]) -> frozenset[str]:
        """Which of these jobs already have an incident."""
        ids = {doc_id(key): key for key in keys}
        found = self._store.get_many("incidents", tuple(ids))
        return frozenset(ids[one] for one in found)

    def incidents(self, limit: int = 10_000) -> tuple[Incident, ...]:
        """Every incident kept, for reports."""
        return tuple(from_json(Incident, body) for body in self._store.all("incidents", limit))

    def open(self, incident: Incident) -> Incident:
        """Remember an incident unless it is known; answers the one that stands."""

        def work(tx: Transaction) -> Incident:
            body = tx.get("incidents", doc_id(incident.key))
            if body is not None:
                return from_json(Incident, body)
            _put_incident(tx, incident)
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
                _put_incident(tx, one)
            return len(fresh)

        return self._store.run(work)

    def move(self, incident: Incident, *, debts: Sequence[Debt] = ()) -> bool:
        """Replace the incident read earlier by this, with what is owed for it.

        False, and nothing is written, if another hand changed it since (its version differs).
        """

        def work(tx: Transaction) -> bool:
            body = tx.get("incidents", doc_id(incident.key))
            stored = from_json(Incident, body) if body else None
            if stored is not None and stored.version != incident.version:
                return False
            owed = _new_debts(tx, debts)
            _put_incident(tx, replace(incident, version=incident.version + 1))
            _put_debts(tx, owed)
            return True

        return self._store.run(work)

    def due(self, now: datetime, limit: int) -> tuple[Incident, ...]:
        """Incidents whose time to be looked at has come, the longest waiting first."""
        return tuple(from_json(Incident, body) for body in self._store.due("incidents", now, limit))

    # --- chains --------------------------------------------------------------------------------

    def chain(self, key: str) -> Chain | None:
        """The chain of a root job, by the root's `JobName.key`."""
        body = self._store.get("chains", doc_id(key))
        return from_json(Chain, body) if body else None

    def chains(self, limit: int = 10_000) -> tuple[Chain, ...]:
        """Every chain kept, for reports."""
        return tuple(from_json(Chain, body) for body in self._store.all("chains", limit))

    def root_of(self, key: str) -> str | None:
        """The root's key of a job that we created; None for any other job, whatever its labels."""
        body = self._store.get("created", doc_id(key))
        return str(body["root"]) if body else None

    def claim(
        self,
        incident: Incident,
        root: str,
        wanted: Claim,
        *,
        now: datetime,
        limits: Sequence[Limit] = (),
        first_failed: datetime | None = None,
    ) -> Answer:
        """Promise the next step of a chain to the caller, and set its money and rate aside.

        Refused by the stop switch or by any limit that the step does not fit into, each by its
        guard's name. Where a claim already stands it is answered instead, not `mine`: the caller
        looks for its job before anything else. A chain that moved on meanwhile (the step's number
        is taken) refuses as `stale`. Of several limits on one counter, each is asked and the step
        is counted once.
        """
        key = incident.root or incident.key

        def work(tx: Transaction) -> Answer:
            chain = _chain(tx, key, root)
            stored = tx.get("incidents", doc_id(incident.key))
            stop = tx.get("switches", "stop")
            bodies = dict(tx.get_many("counters", tuple({doc_id(limit.key) for limit in limits})))
            if chain.claim is not None:
                mine = chain.claim.token == wanted.token  # our own, whose answer was lost
                return Answer(claim=chain.claim, mine=mine, attempts=chain.attempts)
            if stored is None or from_json(Incident, stored).version != incident.version:
                return Answer(refused_by=(STALE,))
            if len(chain.attempts) + 1 != wanted.number:
                return Answer(refused_by=(STALE,))
            if stop and stop.get("on"):
                return Answer(refused_by=(Guard.STOP_SWITCH.value,))
            refused = [
                limit.guard
                for limit in limits
                if not counters.has_room(bodies.get(doc_id(limit.key)), limit, now)
            ]
            if refused:
                return Answer(refused_by=tuple(dict.fromkeys(refused)))
            for limit in _once_each(limits):
                bodies[doc_id(limit.key)] = counters.added(
                    bodies.get(doc_id(limit.key)), limit, now
                )
            _put_counters(tx, bodies)
            claim = replace(
                wanted,
                reservations=tuple(
                    Reservation(limit.key, limit.amount, now, limit.window_seconds)
                    for limit in _once_each(limits)
                ),
            )
            _put_chain(
                tx,
                replace(
                    chain,
                    claim=claim,
                    reserved_usd=chain.reserved_usd + (claim.estimated_usd or 0.0),
                    first_failed=chain.first_failed or first_failed,
                ),
            )
            tx.put("claims", doc_id(claim.token), {"root": key}, expires=claim.taken + KEEP)
            _put_incident(
                tx,
                replace(
                    incident,
                    stage=Stage.ACTING,
                    due=claim.lease_until,
                    version=incident.version + 1,
                ),
            )
            return Answer(claim=claim, mine=True, attempts=chain.attempts)

        return self._store.run(work)

    def retake(
        self,
        root: str,
        held: Claim,
        *,
        lease_until: datetime,
        now: datetime,
        renewed: Claim | None = None,
    ) -> Claim | None:
        """Take over a claim whose lease ran out or was given back, to create under its token.

        None if another hand was faster (the stored lease differs) or the stop switch is on.
        `renewed` replaces what the step does where the plan changed since.
        """

        def work(tx: Transaction) -> Claim | None:
            chain = _chain(tx, root, "")
            stop = tx.get("switches", "stop")
            stored = chain.claim
            if stored is None or stored != held or stored.lease_until > now:
                return None
            if stop and stop.get("on"):
                return None
            step = renewed or stored
            claim = replace(
                stored,
                policy=step.policy,
                step=step.step,
                verdict=step.verdict,
                changes=step.changes,
                location=step.location,
                taken=now,
                lease_until=lease_until,
                unanswered=None,
                given_back=False,
            )
            _put_chain(tx, replace(chain, claim=claim))
            return claim

        return self._store.run(work)

    def give_back(
        self, root: str, token: str, *, now: datetime, unanswered: bool, due: datetime
    ) -> None:
        """Return the lease after a handled error, and keep the claim.

        With `unanswered`, a create was sent whose outcome is unknown: it is watched for before
        anything is created again. `due` is when reconcile should look.
        """

        def work(tx: Transaction) -> None:
            chain = _chain(tx, root, "")
            claim = chain.claim
            if claim is None or claim.token != token:
                return
            body = tx.get("incidents", doc_id(claim.incident))
            _put_chain(
                tx,
                replace(
                    chain,
                    claim=replace(
                        claim,
                        lease_until=min(claim.lease_until, now),
                        unanswered=now if unanswered else claim.unanswered,
                        given_back=True,
                    ),
                ),
            )
            if body:
                incident = from_json(Incident, body)
                _put_incident(tx, replace(incident, due=due, version=incident.version + 1))

        self._store.run(work)

    def record(
        self,
        root: str,
        token: str,
        attempt: Attempt,
        *,
        incident: Incident,
        following: Incident,
        debts: Sequence[Debt] = (),
    ) -> bool:
        """Write down that the claim's job exists: attempt, outcome and everything owed, at once.

        False, and nothing is written, if the claim no longer stands (another hand recorded it).
        """

        def work(tx: Transaction) -> bool:
            chain = _chain(tx, root, "")
            if chain.claim is None or chain.claim.token != token:
                return False
            stored = tx.get("incidents", doc_id(incident.key))
            known = tx.get("incidents", doc_id(following.key))
            owed = _new_debts(tx, debts)
            version = from_json(Incident, stored).version if stored else incident.version
            follow_version = from_json(Incident, known).version if known else following.version
            _put_chain(tx, replace(chain, claim=None, attempts=(*chain.attempts, attempt)))
            created = {"root": chain.key, "reservations": to_json(chain.claim)["reservations"]}
            tx.put("created", doc_id(following.key), created)
            _put_incident(tx, replace(incident, version=version + 1))
            _put_incident(tx, replace(following, version=follow_version + 1))
            _put_debts(tx, owed)
            return True

        return self._store.run(work)

    def withdraw(self, root: str, token: str, *, skip: str = "") -> bool:
        """Drop a claim that Vertex refused for certain: its money and rate are free again.

        `skip` marks the step as not to be taken again for this chain without counting an attempt.
        """

        def work(tx: Transaction) -> bool:
            chain = _chain(tx, root, "")
            claim = chain.claim
            if claim is None or claim.token != token:
                return False
            bodies = _bodies(tx, claim.reservations)
            for reservation in claim.reservations:
                key = doc_id(reservation.key)
                if key in bodies:
                    bodies[key] = counters.removed(bodies[key], reservation)
            _put_counters(tx, bodies)
            _put_chain(
                tx,
                replace(
                    chain,
                    claim=None,
                    reserved_usd=max(0.0, chain.reserved_usd - (claim.estimated_usd or 0.0)),
                    skipped=(*chain.skipped, skip) if skip else chain.skipped,
                ),
            )
            return True

        return self._store.run(work)

    def settle(
        self,
        root: str,
        attempt_key: str,
        *,
        state: JobState,
        ended: datetime | None,
        usd: float | None,
        final: bool,
    ) -> Chain:
        """An attempt ended: its reservation becomes what it really cost (estimate if unknown)."""

        def work(tx: Transaction) -> Chain:
            chain = _chain(tx, root, "")
            created = tx.get("created", doc_id(attempt_key)) or {}
            held = from_json(Claim, {**_NO_CLAIM, **created}).reservations
            money = [one for one in held if one.window_seconds is None]
            bodies = _bodies(tx, money)
            spent, reserved = chain.spent_usd, chain.reserved_usd
            attempts: list[Attempt] = []
            for attempt in chain.attempts:
                if not _same_job(attempt.name, attempt_key) or attempt.state.is_terminal:
                    attempts.append(attempt)
                    continue
                cost = usd if usd is not None else attempt.estimated_usd or 0.0
                spent += cost
                reserved = max(0.0, reserved - (attempt.estimated_usd or 0.0))
                attempts.append(replace(attempt, state=state, end_time=ended))
                for one in money:
                    key = doc_id(one.key)
                    if key in bodies:
                        bodies[key] = counters.repriced(bodies[key], one, cost)
                _put_counters(tx, bodies)
            settled = replace(
                chain,
                attempts=tuple(attempts),
                spent_usd=spent,
                reserved_usd=reserved,
                final=final,
            )
            _put_chain(tx, settled)
            return replace(settled, version=settled.version + 1)

        return self._store.run(work)

    # --- counters, switches --------------------------------------------------------------------

    def used(self, limit: Limit, now: datetime) -> float:
        """What is already counted against a limit."""
        return counters.used(self._store.get("counters", doc_id(limit.key)), limit, now)

    def take_token(self, key: str, *, most: int, window_seconds: float, now: datetime) -> bool:
        """Take one of `most` tokens in a sliding window, shared by all instances; False if none."""
        limit = Limit(key, "rate", float(most), 1.0, window_seconds)

        def work(tx: Transaction) -> bool:
            body = tx.get("counters", doc_id(key))
            if not counters.has_room(body, limit, now):
                return False
            _put_counters(tx, {doc_id(key): counters.added(body, limit, now)})
            return True

        return self._store.run(work)

    def stopped(self) -> bool:
        """Whether the stop switch is on."""
        body = self._store.get("switches", "stop")
        return bool(body and body.get("on"))

    def switch_stop(self, *, on: bool, by: str, now: datetime) -> None:
        """Turn the stop switch on or off; asked inside every claim."""

        def work(tx: Transaction) -> None:
            tx.put("switches", "stop", {"on": on, "by": by, "at": rfc3339(now)})

        self._store.run(work)

    def note(self, key: str) -> Json | None:
        """A small named fact, such as when the sweep last ran."""
        return self._store.get("notes", doc_id(key))

    def write_note(self, key: str, body: Json) -> None:
        """Replace a small named fact."""

        def work(tx: Transaction) -> None:
            tx.put("notes", doc_id(key), body)

        self._store.run(work)

    # --- debts ---------------------------------------------------------------------------------

    def owe(self, debts: Sequence[Debt]) -> None:
        """Owe messages; one that is already owed or delivered stays as it is."""

        def work(tx: Transaction) -> None:
            _put_debts(tx, _new_debts(tx, debts))

        self._store.run(work)

    def debts_due(self, now: datetime, limit: int) -> tuple[Debt, ...]:
        """What may be delivered now, oldest first."""
        return tuple(from_json(Debt, body) for body in self._store.due("debts", now, limit))

    def take_debt(self, debt: Debt, *, now: datetime, lease_until: datetime) -> Debt | None:
        """Lease one delivery; None if it is delivered or in another hand."""

        def work(tx: Transaction) -> Debt | None:
            body = tx.get("debts", doc_id(debt.id))
            stored = from_json(Debt, body) if body else None
            if stored is None or stored.delivered or stored.due is None or stored.due > now:
                return None
            taken = replace(stored, due=lease_until, tries=stored.tries + 1)
            _put_debt(tx, taken)
            return taken

        return self._store.run(work)

    def pay_debt(
        self, debt: Debt, *, now: datetime, thread: Mapping[str, Any] | None = None
    ) -> None:
        """It was delivered; `thread` is what the channel needs to update it later."""

        def work(tx: Transaction) -> None:
            _put_debt(tx, replace(debt, due=None, delivered=now))
            if thread is not None:
                root = str(debt.body.get("thread_key") or debt.id)
                tx.put("threads", doc_id(f"{debt.channel}|{root}"), dict(thread))

        self._store.run(work)

    def postpone_debt(self, debt: Debt, *, due: datetime | None, why: str) -> None:
        """It could not be delivered: again at `due`, or never (None), with the reason kept."""

        def work(tx: Transaction) -> None:
            _put_debt(tx, replace(debt, due=due, lost_because=why))

        self._store.run(work)

    def thread(self, channel: str, root: str) -> Json | None:
        """What a channel that can update messages remembers of a chain's thread."""
        return self._store.get("threads", doc_id(f"{channel}|{root}"))

    def close(self) -> None:
        """Let go of the storage."""
        self._store.close()


STALE = "stale"  # not a guard: the plan was made from a state that is no longer true
_BATCH = 200


def doc_id(key: str) -> str:
    """A key as a document id that every store takes: no slash, at most 1,000 bytes."""
    clean = key.replace("/", "|")
    if len(clean.encode()) <= _ID_BYTES:
        return clean
    return f"{clean[:200]}~{hashlib.sha256(key.encode()).hexdigest()}"


_ID_BYTES = 1000  # Firestore takes 1,500


def _same_job(name: str, key: str) -> bool:
    return (
        name.endswith("/" + key.split("/", 1)[1]) and f"/locations/{key.split('/', 1)[0]}/" in name
    )


def _chain(tx: Transaction, key: str, root: str) -> Chain:
    body = tx.get("chains", doc_id(key))
    return from_json(Chain, body) if body else Chain(key=key, root=root)


def _put_chain(tx: Transaction, chain: Chain) -> None:
    tx.put("chains", doc_id(chain.key), to_json(replace(chain, version=chain.version + 1)))


def _put_incident(tx: Transaction, incident: Incident) -> None:
    due = None if incident.stage is Stage.DONE else incident.due
    expires = incident.first_known + KEEP
    tx.put("incidents", doc_id(incident.key), to_json(incident), due=due, expires=expires)


def _new_debts(tx: Transaction, debts: Sequence[Debt]) -> tuple[Debt, ...]:
    return tuple(debt for debt in debts if tx.get("debts", doc_id(debt.id)) is None)


def _put_debts(tx: Transaction, debts: Sequence[Debt]) -> None:
    for debt in debts:
        _put_debt(tx, debt)


def _put_debt(tx: Transaction, debt: Debt) -> None:
    tx.put("debts", doc_id(debt.id), to_json(debt), due=debt.due, expires=debt.created + KEEP)


def _bodies(tx: Transaction, reservations: Iterable[Reservation]) -> dict[str, Json]:
    keys = dict.fromkeys(doc_id(one.key) for one in reservations)
    return dict(tx.get_many("counters", tuple(keys)))


def _put_counters(tx: Transaction, bodies: Mapping[str, Json]) -> None:
    for key, body in bodies.items():
        tx.put("counters", key, body, expires=counters.expires(body))


def _once_each(limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """One limit of each counter: a step is counted once, however many limits ask for it."""
    return tuple({limit.key: limit for limit in limits}.values())


_NO_CLAIM: Json = {
    "token": "",
    "incident": "",
    "policy": "",
    "step": 0,
    "number": 0,
    "verdict": "",
    "changes": [],
    "taken": None,
    "lease_until": None,
}
