"""The ledger's verbs, written once over any store: each is one transaction.

Owns the state machine of incidents, claims, budgets and outbox messages (docs/reliability.md argues why no
interleaving creates two jobs). Knows no database: `sqlite` and `firestore` do. Reads no clock: every
verb that needs the time is told it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from remediator.domain import Attempt, Guard, InvalidInput, JobName, JobState, Json, rfc3339
from remediator.ledger import counters
from remediator.ledger.encoding import (
    BrokenDocument,
    UnreadableDocument,
    as_now,
    from_json,
    reservations_of,
    to_json,
)
from remediator.ledger.outcomes import PastOutcome, added, outcomes_in
from remediator.ledger.records import (
    Chain,
    Claim,
    ClaimAnswer,
    Conclusion,
    Incident,
    Limit,
    OutboxMessage,
    Reservation,
    Stage,
    Store,
    Transaction,
    doc_id,
)
from remediator.ledger.reservations import bodies_of, moved, once_each, put_counters, rebooked
from remediator.ledger.watched import WatchedJobs

T = TypeVar("T")

KEEP = timedelta(days=400)  # records outlive a year, so that a report can look back over one


class Ledger:
    """What was seen, promised and spent, and the outbox. See each verb; all are safe to call twice."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.watched = WatchedJobs(store)

    def prefetch(self, **every: Iterable[str]) -> None:
        """Read at once what will be asked of each collection: a hint, no promise."""
        wanted = [(collection, doc_id(key)) for collection, keys in every.items() for key in keys]
        if wanted:
            self._store.prefetch(wanted)

    # --- incidents -----------------------------------------------------------------------------

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
        return _readable_records(Incident, self._store.all("incidents", limit))

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

    def move(self, incident: Incident, *, outbox_messages: Sequence[OutboxMessage] = ()) -> bool:
        """Replace the incident read earlier by this, with the messages about it.

        False, and nothing is written, if another execution changed it since (its version differs).
        """

        def work(tx: Transaction) -> bool:
            body = tx.get("incidents", doc_id(incident.key))
            stored = from_json(Incident, body) if body else None
            if stored is not None and stored.version != incident.version:
                return False
            new_messages = _new_messages(tx, outbox_messages)
            _put_incident(tx, replace(incident, version=incident.version + 1))
            _put_messages(tx, new_messages)
            return True

        return self._store.run(work)

    def due(self, now: datetime, limit: int) -> tuple[Incident, ...]:
        """Incidents whose time to be looked at has come, the longest waiting first."""
        return self.due_or_broken(now, limit)[0]

    def due_or_broken(
        self, now: datetime, limit: int
    ) -> tuple[tuple[Incident, ...], tuple[BrokenDocument, ...]]:
        """The same, and the documents among them that cannot be read."""
        return _sorted_out(Incident, "incidents", self._store.due("incidents", now, limit))

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
            new_messages = _new_messages(tx, outbox_messages)
            if broken.collection == "incidents":
                _put_incident(tx, _tombstone(key, now))
            else:
                lost = OutboxMessage(key, "", {}, now, None, lost_because="it could not be read")
                tx.put("debts", key, to_json(lost), expires=now + KEEP)
            kept = {"text": broken.text[:_MOST_KEPT], "at": rfc3339(now)}
            tx.put("damaged", doc_id(f"{broken.collection}|{key}"), kept, expires=now + KEEP)
            _put_messages(tx, new_messages)

        self._store.run(work)

    # --- chains --------------------------------------------------------------------------------

    def chain(self, key: str) -> Chain | None:
        """The chain of a root job, by the root's `JobName.key`."""
        body = self._store.get("chains", doc_id(key))
        return from_json(Chain, body) if body else None

    def chains(self, limit: int = 10_000) -> tuple[Chain, ...]:
        """Every chain kept, for reports."""
        return _readable_records(Chain, self._store.all("chains", limit))

    def root_of(self, key: str) -> str | None:
        """The root's key of a job that we created; None for any other job, whatever its labels."""
        body = self._store.get("created", doc_id(key))
        return None if body is None else _root_in(body, "created", key)

    def claimed_root(self, token: str) -> str | None:
        """The root's key of the chain in which this claim was taken; None for a token not ours.

        A job that bears a claim may be met before it was recorded: its creator was killed. The chain
        found here says whether that claim still stands and what it promised.
        """
        body = self._store.get("claims", doc_id(token)) if token else None
        return None if body is None else _root_in(body, "claims", token)

    def claim(
        self,
        incident: Incident,
        root: str,
        wanted: Claim,
        *,
        now: datetime,
        limits: Sequence[Limit] = (),
        first_failed: datetime | None = None,
    ) -> ClaimAnswer:
        """Promise the next step of a chain to the caller, and set its money and rate aside.

        Refused by the stop switch or by any limit that the step does not fit into, each by its
        guard's name. Where a claim already stands it is answered instead, not `mine`: the caller
        looks for its job before anything else. A chain that moved on meanwhile (the step's number
        is taken) refuses as `stale`. Of several limits on one counter, each is asked and the step
        is counted once.
        """
        key = incident.root or incident.key

        def work(tx: Transaction) -> ClaimAnswer:
            chain = _chain(tx, key, root)
            stored = tx.get("incidents", doc_id(incident.key))
            stop = tx.get("switches", "stop")
            bodies = dict(tx.get_many("counters", tuple({doc_id(limit.key) for limit in limits})))
            if chain.claim is not None:
                mine = chain.claim.token == wanted.token  # our own, whose answer was lost
                return ClaimAnswer(claim=chain.claim, mine=mine, attempts=chain.attempts)
            if stored is None or from_json(Incident, stored).version != incident.version:
                return ClaimAnswer(refused_by=(STALE,))
            if len(chain.attempts) + 1 != wanted.number:
                return ClaimAnswer(refused_by=(STALE,))
            if stop and stop.get("on"):
                return ClaimAnswer(refused_by=(Guard.STOP_SWITCH.value,))
            refused = [
                limit.guard
                for limit in limits
                if not counters.has_room(bodies.get(doc_id(limit.key)), limit, now)
            ]
            if refused:
                return ClaimAnswer(refused_by=tuple(dict.fromkeys(refused)))
            for limit in once_each(limits):
                bodies[doc_id(limit.key)] = counters.added(
                    bodies.get(doc_id(limit.key)), limit, now
                )
            put_counters(tx, bodies)
            claim = replace(
                wanted,
                reservations=tuple(
                    Reservation(limit.key, limit.amount, now, limit.window_seconds)
                    for limit in once_each(limits)
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
            tx.put("claims", doc_id(claim.token), {"root": key}, expires=claim.acquired_at + KEEP)
            _put_incident(
                tx,
                replace(
                    incident,
                    stage=Stage.ACTING,
                    due=claim.lease_until,
                    version=incident.version + 1,
                ),
            )
            return ClaimAnswer(claim=claim, mine=True, attempts=chain.attempts)

        return self._store.run(work)

    def take_over(
        self,
        root: str,
        held: Claim,
        *,
        lease_until: datetime,
        now: datetime,
        renewed: Claim | None = None,
        limits: Sequence[Limit] = (),
    ) -> Claim | None:
        """Take over a claim whose lease ran out or was given back, to create under its token.

        None if another execution was faster (the stored claim differs), the stop switch is on, or the
        renewed step costs more than what was set aside and does not fit into `limits`. `renewed`
        replaces what the step does where the plan changed since; what is set aside follows it.
        """

        def work(tx: Transaction) -> Claim | None:
            chain = _chain(tx, root, "")
            stop = tx.get("switches", "stop")
            stored = chain.claim
            if stored is None or not _same_hold(stored, held) or stored.lease_until > now:
                return None
            if stop and stop.get("on"):
                return None
            body = tx.get("incidents", doc_id(stored.incident))
            step = renewed or stored
            exchanged = moved(tx, stored, step, limits, now)
            if exchanged is None:
                return None
            reservations, bodies = exchanged
            claim = replace(
                stored,
                policy=step.policy,
                step=step.step,
                verdict=step.verdict,
                changes=step.changes,
                location=step.location,
                estimated_usd=step.estimated_usd,
                resume=step.resume,
                reservations=reservations,
                acquired_at=now,
                lease_until=lease_until,
                unanswered=None,
                lease_released=False,
            )
            put_counters(tx, bodies)
            reserved = _exchanged(chain.reserved_usd, stored, claim.estimated_usd)
            _put_chain(tx, replace(chain, claim=claim, reserved_usd=reserved))
            if body:  # when to look is no change of the incident: its version stays
                _put_incident(tx, replace(from_json(Incident, body), due=lease_until))
            return claim

        return self._store.run(work)

    def release_lease(
        self,
        root: str,
        token: str,
        *,
        now: datetime,
        unanswered: bool,
        due: datetime,
        acquired_at: datetime | None = None,
    ) -> None:
        """Return the lease after a handled error, and keep the claim.

        With `unanswered`, a create was sent whose outcome is unknown: it is watched for before
        anything is created again. `due` is when reconcile should look. `acquired_at` is the giver's own
        `Claim.acquired_at`: where another execution took over since, nothing is given back.
        """

        def work(tx: Transaction) -> None:
            chain = _chain(tx, root, "")
            claim = chain.claim
            if (
                claim is None
                or claim.token != token
                or acquired_at not in {None, claim.acquired_at}
            ):
                return
            body = tx.get("incidents", doc_id(claim.incident))
            returned = replace(
                claim,
                lease_until=min(claim.lease_until, now),
                unanswered=now if unanswered else claim.unanswered,
                lease_released=True,
            )
            _put_chain(tx, replace(chain, claim=returned))
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
        outbox_messages: Sequence[OutboxMessage] = (),
    ) -> bool:
        """Write down that the claim's job exists: attempt, outcome and every message about it, at once.

        False, and nothing is written, if the claim no longer stands (another execution recorded it).
        Where the job was met before (its failure came faster than this), what is known of it stands
        and becomes the chain's; only what had been concluded of it is asked again.
        """
        self._store.expect_new(
            (
                ("incidents", doc_id(following.key)),
                *(("debts", doc_id(outbox_message.id)) for outbox_message in outbox_messages),
            )
        )

        def work(tx: Transaction) -> bool:
            chain = _chain(tx, root, "")
            claim = chain.claim
            if claim is None or claim.token != token:
                return False
            stored = tx.get("incidents", doc_id(incident.key))
            known = tx.get("incidents", doc_id(following.key))
            new_messages = _new_messages(tx, outbox_messages)
            version = from_json(Incident, stored).version if stored else incident.version
            reserved = _exchanged(chain.reserved_usd, claim, attempt.estimated_usd)
            attempts = (*chain.attempts, attempt)
            _put_chain(tx, replace(chain, claim=None, attempts=attempts, reserved_usd=reserved))
            created = {
                "root": chain.key,
                "reservations": [to_json(one) for one in claim.reservations],
            }
            tx.put("created", doc_id(following.key), created, expires=claim.acquired_at + KEEP)
            _put_incident(tx, replace(incident, version=version + 1))
            _put_incident(tx, _joined(following, from_json(Incident, known) if known else None))
            _put_messages(tx, new_messages)
            return True

        return self._store.run(work)

    def step_over(self, abandoned: Incident, *, skip: str, now: datetime) -> bool:
        """An attempt never got a machine and is over: it counts no more, and its step is skipped.

        What it was made for (the attempt before it, or the root) is asked again from `now`. False,
        and nothing is written, where another execution was faster or what it was made for is not kept.
        """

        def work(tx: Transaction) -> bool:
            chain = _chain(tx, abandoned.root, "")
            body = tx.get("incidents", doc_id(abandoned.key))
            if body is None or from_json(Incident, body).version != abandoned.version:
                return False
            before = [
                one
                for one in chain.attempts
                if not one.abandoned and _key_of(one.name) != abandoned.key
            ]
            failed_key = _key_of(before[-1].name) if before else chain.key
            failed = tx.get("incidents", doc_id(failed_key))
            if failed is None:
                return False
            attempts = tuple(
                replace(one, abandoned=True) if _key_of(one.name) == abandoned.key else one
                for one in chain.attempts
            )
            skipped = tuple(dict.fromkeys((*chain.skipped, skip)))
            _put_chain(tx, replace(chain, attempts=attempts, skipped=skipped))
            done = replace(abandoned, stage=Stage.DONE, conclusion=Conclusion.IGNORED)
            _put_incident(tx, replace(done, version=abandoned.version + 1))
            again = from_json(Incident, failed)
            again = replace(again, stage=Stage.UNSETTLED, conclusion=Conclusion.NONE, due=now)
            _put_incident(tx, replace(again, version=again.version + 1))
            return True

        return self._store.run(work)

    def withdraw(
        self, root: str, token: str, *, skip: str = "", acquired_at: datetime | None = None
    ) -> bool:
        """Drop a claim under which no job was or will be made: its money and rate are free again.

        Either Vertex refused it for certain, or it is `safe_to_recreate_at` and no job bears it. `skip`
        marks the step as not to be taken again for this chain without counting an attempt. `acquired_at`
        is the `Claim.acquired_at` that the caller looked at: where another execution took over since, the claim
        stands and the answer is False.
        """

        def work(tx: Transaction) -> bool:
            chain = _chain(tx, root, "")
            claim = chain.claim
            if (
                claim is None
                or claim.token != token
                or acquired_at not in {None, claim.acquired_at}
            ):
                return False
            bodies = bodies_of(tx, claim.reservations)
            for one in claim.reservations:
                key = doc_id(one.key)
                if key in bodies:
                    bodies[key] = counters.removed(bodies[key], one)
            put_counters(tx, bodies)
            skipped = dict.fromkeys((*chain.skipped, skip) if skip else chain.skipped)
            reserved = _exchanged(chain.reserved_usd, claim, None)
            _put_chain(
                tx, replace(chain, claim=None, reserved_usd=reserved, skipped=tuple(skipped))
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
        usd_by_day: Mapping[date, float] | None = None,
        outcome_keys: Sequence[str] = (),
        size: Json | None = None,
        seconds: float | None = None,
    ) -> Chain:
        """An attempt ended: its reservation becomes what it really cost (what is set aside, if that
        is not known).

        `outcome_keys` are the memories in which its end is kept, with its `size` and the `seconds` it ran.
        `usd_by_day` says in which UTC days the money went; without it, on the day of the claim.

        Settled once: a later call changes `final` alone. A day whose counter is no longer kept is
        over. A state that is not terminal is only noted.
        """

        def work(tx: Transaction) -> Chain:
            chain = _chain(tx, root, "")
            created = tx.get("created", doc_id(attempt_key)) or {}
            held = reservations_of(created.get("reservations"))
            kept = (
                tx.get_many("tracks", tuple(doc_id(key) for key in outcome_keys))
                if outcome_keys
                else {}
            )
            settled = replace(chain, final=final)
            open_ones = [
                one
                for one in chain.attempts
                if _key_of(one.name) == attempt_key and not one.state.is_terminal
            ]
            for attempt in open_ones[:1]:
                noted = replace(attempt, state=state, end_time=ended)
                attempts = tuple(noted if one is attempt else one for one in chain.attempts)
                settled = replace(settled, attempts=attempts)
                if not state.is_terminal:
                    break
                cost = usd if usd is not None else attempt.reserved_usd
                if usd is not None:
                    days = usd_by_day or {_first_day(held, ended): usd}
                    _, bodies = rebooked(tx, held, days)
                    put_counters(tx, bodies)
                if ended is not None:
                    succeeded = state is JobState.SUCCEEDED
                    end = PastOutcome(
                        ended, attempt.policy, succeeded, size or {}, seconds, attempt.verdict
                    )
                    for key in dict.fromkeys(map(doc_id, outcome_keys)):
                        body = added(kept.get(key), end)
                        tx.put("tracks", key, body, expires=ended + KEEP)
                settled = replace(
                    settled,
                    spent_usd=chain.spent_usd + cost,
                    reserved_usd=_at_least_zero(chain.reserved_usd - attempt.reserved_usd),
                )
            if settled == chain:
                return chain
            _put_chain(tx, settled)
            return replace(settled, version=settled.version + 1)

        return self._store.run(work)

    def accrue(
        self, root: str, attempt_key: str, *, usd_by_day: Mapping[date, float], now: datetime
    ) -> Chain:
        """What a running attempt has cost by now counts in the days it was spent in, and in its job.

        What is left of its estimate stays set aside, in the present day. Answers the chain; nothing
        is written where it is settled, or counted so already.
        """

        def work(tx: Transaction) -> Chain:
            chain = _chain(tx, root, "")
            created = tx.get("created", doc_id(attempt_key)) or {}
            runs = (one for one in chain.attempts if _key_of(one.name) == attempt_key)
            attempt = next((one for one in runs if not one.state.is_terminal), None)
            if attempt is None:
                return chain
            accrued = sum(usd_by_day.values())
            today, left = now.astimezone(UTC).date(), (attempt.estimated_usd or 0.0) - accrued
            days = {**usd_by_day, today: usd_by_day.get(today, 0.0) + max(0.0, left)}
            held = reservations_of(created.get("reservations"))
            booked, bodies = rebooked(tx, held, days)
            seen = replace(attempt, accrued_usd=accrued)
            more = seen.reserved_usd - attempt.reserved_usd
            if not bodies and abs(more) < _ROUNDING_USD:
                return chain
            put_counters(tx, bodies)
            kept = {"root": root, "reservations": [to_json(one) for one in booked]}
            tx.put("created", doc_id(attempt_key), kept, expires=now + KEEP)
            grown = replace(
                chain,
                attempts=tuple(seen if one is attempt else one for one in chain.attempts),
                reserved_usd=_at_least_zero(chain.reserved_usd + more),
            )
            _put_chain(tx, grown)
            return replace(grown, version=grown.version + 1)

        return self._store.run(work)

    def outcome_history(self, keys: Sequence[str]) -> dict[str, tuple[PastOutcome, ...]]:
        """How resubmissions ended that are kept under these keys, oldest first."""
        ids = {key: doc_id(key) for key in keys}
        found = self._store.get_many("tracks", tuple(ids.values())) if ids else {}
        return {key: outcomes_in(found.get(name)) for key, name in ids.items()}

    # --- counters, switches --------------------------------------------------------------------

    def used(self, limit: Limit, now: datetime, *, apart_from: Reservation | None = None) -> float:
        """What is already counted against a limit, but for what one reservation set aside of it."""
        body = self._store.get("counters", doc_id(limit.key))
        if body is not None and apart_from is not None:
            body = counters.removed(body, apart_from)
        return counters.used(body, limit, now)

    def take_token(self, key: str, *, most: int, window_seconds: float, now: datetime) -> bool:
        """Take one of `most` tokens in a sliding window, shared by all instances; False if none."""
        acquired_at, take = self.token(key, most=most, window_seconds=window_seconds, now=now)
        # Asked without a transaction first: a crowd at a full counter costs little.
        return acquired_at + 1 <= most and take()

    def take_tokens(
        self, key: str, count: int, *, most: int, window_seconds: float, now: datetime
    ) -> int:
        """Take up to `count` of `most` tokens in a sliding window at once; how many there were."""
        limit = Limit(key, Guard.RATE.value, float(most), 1.0, window_seconds)

        def work(tx: Transaction) -> int:
            body = tx.get("counters", doc_id(key))
            left = most - math.ceil(counters.used(body, limit, now))
            taken = max(0, min(count, left))
            if taken:
                amount = replace(limit, amount=float(taken))
                put_counters(tx, {doc_id(key): counters.added(body, amount, now)})
            return taken

        return self._store.run(work) if count > 0 else 0

    def token(
        self, key: str, *, most: int, window_seconds: float, now: datetime
    ) -> tuple[float, Callable[[], bool]]:
        """How many of the tokens are taken, as was last seen, and what takes one: False if none."""
        limit = Limit(key, Guard.RATE.value, float(most), 1.0, window_seconds)
        seen = self._store.get("counters", doc_id(key))

        def work(tx: Transaction) -> bool:
            body = tx.get("counters", doc_id(key))
            if not counters.has_room(body, limit, now):
                return False
            put_counters(tx, {doc_id(key): counters.added(body, limit, now)})
            return True

        return counters.used(seen, limit, now), lambda: self._store.run(work)

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

    # --- outbox messages ---------------------------------------------------------------------------------

    def enqueue(self, outbox_messages: Sequence[OutboxMessage]) -> None:
        """Enqueue messages; one that is already enqueued or delivered stays as it is."""
        if not outbox_messages:
            return

        def work(tx: Transaction) -> None:
            _put_messages(tx, _new_messages(tx, outbox_messages))

        self._store.run(work)

    def messages_due(self, now: datetime, limit: int) -> tuple[OutboxMessage, ...]:
        """What may be delivered now, oldest first."""
        return self.messages_due_or_broken(now, limit)[0]

    def messages_due_or_broken(
        self, now: datetime, limit: int
    ) -> tuple[tuple[OutboxMessage, ...], tuple[BrokenDocument, ...]]:
        """The same, and the documents among them that cannot be read."""
        return _sorted_out(OutboxMessage, "debts", self._store.due("debts", now, limit))

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
            _put_message(tx, taken)
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
            _put_message(tx, replace(stored, due=None, delivered=stored.delivered or now))
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
                _put_message(tx, replace(stored, due=due, lost_because=why))

        self._store.run(work)

    def thread(self, channel: str, root: str) -> Json | None:
        """What a channel that can update messages remembers of a chain's thread."""
        body = self._store.get("threads", doc_id(f"{channel}|{root}"))
        return None if isinstance(body, BrokenDocument) else body

    # --- housekeeping --------------------------------------------------------------------------

    def delete_expired(self, now: datetime) -> int:
        """Remove what has outlived its keeping; how much. In Firestore a TTL policy does so too."""
        return self._store.expire(now)

    def close(self) -> None:
        """Let go of the storage."""
        self._store.close()


def _root_in(body: Json, collection: str, key: str) -> str:
    root = body.get("root")
    if not isinstance(root, str) or not root:
        raise UnreadableDocument(collection, key, "it names no chain")
    return root


def _sorted_out(
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


def _readable_records(kind: type[T], bodies: Iterable[Json]) -> tuple[T, ...]:
    return _sorted_out(kind, "", (("", body) for body in bodies))[0]


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


STALE = "stale"  # not a guard: the plan was made from a state that is no longer true
_MOST_KEPT = 50_000  # letters of a document set aside: escaped twice they still fit into one
_BATCH = 200  # documents in one transaction: under Firestore's 500 writes and 10 MiB


def _key_of(name: str) -> str:
    try:
        return JobName.parse(name).key
    except InvalidInput:
        return ""


def _first_day(held: Sequence[Reservation], ended: datetime | None) -> date:
    """The day of the claim, by what it set aside; the end's where it set nothing aside."""
    at = next((one.at for one in held if one.window_seconds is None), ended)
    return (at or datetime(1970, 1, 1, tzinfo=UTC)).astimezone(UTC).date()


def _same_hold(stored: Claim, held: Claim) -> bool:
    """Nobody took the claim or gave it back since it was read."""
    return all(
        getattr(stored, name) == getattr(held, name)
        for name in ("token", "acquired_at", "lease_until", "unanswered", "lease_released")
    )


def _joined(following: Incident, known: Incident | None) -> Incident:
    """The incident of a job we made: as planned, or what is known of it already, in its chain."""
    if known is None:
        return replace(following, version=following.version + 1)
    if known.stage is Stage.DONE:
        return replace(following, first_known=known.first_known, version=known.version + 1)
    if known.stage is Stage.ACTING:  # a claim of its own stands, in the chain it was taken for
        return known
    return replace(known, root=following.root, attempt=following.attempt, version=known.version + 1)


def _chain(tx: Transaction, key: str, root: str) -> Chain:
    body = tx.get("chains", doc_id(key))
    return from_json(Chain, body) if body else Chain(key=key, root=root)


def _put_chain(tx: Transaction, chain: Chain) -> None:
    times = [chain.first_failed, chain.claim.lease_until if chain.claim else None]
    times += [moment for one in chain.attempts for moment in (one.create_time, one.end_time)]
    touched = max((moment for moment in times if moment is not None), default=None)
    body = to_json(replace(chain, version=chain.version + 1))
    tx.put("chains", doc_id(chain.key), body, expires=touched + KEEP if touched else None)


def _put_incident(tx: Transaction, incident: Incident) -> None:
    due = None if incident.stage is Stage.DONE else incident.due
    expires = incident.first_known + KEEP
    tx.put("incidents", doc_id(incident.key), to_json(incident), due=due, expires=expires)


def _new_messages(
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


def _put_messages(tx: Transaction, outbox_messages: Sequence[OutboxMessage]) -> None:
    for outbox_message in outbox_messages:
        _put_message(tx, outbox_message)


def _put_message(tx: Transaction, outbox_message: OutboxMessage) -> None:
    tx.put(
        "debts",
        doc_id(outbox_message.id),
        to_json(outbox_message),
        due=outbox_message.due,
        expires=outbox_message.created + KEEP,
    )


def _exchanged(reserved_usd: float, claim: Claim, usd: float | None) -> float:
    """What a chain has set aside once this claim's estimate is replaced."""
    return _at_least_zero(reserved_usd - (claim.estimated_usd or 0.0) + (usd or 0.0))


def _at_least_zero(usd: float) -> float:
    return usd if usd > _ROUNDING_USD else 0.0


_ROUNDING_USD = 1e-9
