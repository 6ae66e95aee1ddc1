"""The ledger's verbs for what attempts cost and how they ended, and for what is counted by the hour or day.

Called through `Ledger`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime

from msgspec.structs import replace

from remediator.domain import Guard, JobState, Json, VainAttempt
from remediator.ledger import counters
from remediator.ledger.documents import (
    KEEP,
    ROUNDING_USD,
    at_least_zero,
    chain_in,
    job_key,
    put_chain,
)
from remediator.ledger.encoding import (
    reservations_of,
    to_json,
)
from remediator.ledger.outcomes import PastOutcome, added, outcomes_in, vain_in
from remediator.ledger.records import (
    Chain,
    Limit,
    Reservation,
    Store,
    Transaction,
    doc_id,
)
from remediator.ledger.reservations import put_counters, rebooked


class Spending:
    """Costs, outcomes and counters over a store; all verbs are safe to call twice."""

    _store: Store

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
            chain = chain_in(tx, root, "")
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
                if job_key(one.name) == attempt_key and not one.state.is_terminal
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
                    reserved_usd=at_least_zero(chain.reserved_usd - attempt.reserved_usd),
                )
            if settled == chain:
                return chain
            put_chain(tx, settled)
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
            chain = chain_in(tx, root, "")
            created = tx.get("created", doc_id(attempt_key)) or {}
            runs = (one for one in chain.attempts if job_key(one.name) == attempt_key)
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
            if not bodies and abs(more) < ROUNDING_USD:
                return chain
            put_counters(tx, bodies)
            kept = {"root": root, "reservations": [to_json(one) for one in booked]}
            tx.put("created", doc_id(attempt_key), kept, expires=now + KEEP)
            grown = replace(
                chain,
                attempts=tuple(seen if one is attempt else one for one in chain.attempts),
                reserved_usd=at_least_zero(chain.reserved_usd + more),
            )
            put_chain(tx, grown)
            return replace(grown, version=grown.version + 1)

        return self._store.run(work)

    def outcome_history(self, keys: Sequence[str]) -> dict[str, tuple[PastOutcome, ...]]:
        """How resubmissions ended that are kept under these keys, oldest first."""
        ids = {key: doc_id(key) for key in keys}
        found = self._store.get_many("tracks", tuple(ids.values())) if ids else {}
        return {key: outcomes_in(found.get(name)) for key, name in ids.items()}

    def vain_attempts(self, key: str) -> tuple[VainAttempt, ...]:
        """What was tried in vain for the work of this track, oldest first."""
        return vain_in(self._store.get("tracks", doc_id(key))) if key else ()

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


def _first_day(held: Sequence[Reservation], ended: datetime | None) -> date:
    """The day of the claim, by what it set aside; the end's where it set nothing aside."""
    at = next((one.at for one in held if one.window_seconds is None), ended)
    return (at or datetime(1970, 1, 1, tzinfo=UTC)).astimezone(UTC).date()
