"""The ledger's verbs for chains and claims: who may take a chain's next step, and what came of it.

Owns the promise that one execution creates (docs/reliability.md argues why no interleaving creates two
jobs), with the money and the rate that are set aside for it. Called through `Ledger`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from remediator.domain import Attempt, Guard, Json
from remediator.ledger import counters
from remediator.ledger.documents import (
    KEEP,
    chain_in,
    exchanged,
    job_key,
    put_chain,
    put_incident,
    put_messages,
    readable_records,
    unknown_messages,
)
from remediator.ledger.encoding import (
    UnreadableDocument,
    from_json,
    to_json,
)
from remediator.ledger.records import (
    Chain,
    Claim,
    ClaimAnswer,
    Conclusion,
    Incident,
    Limit,
    OutboxMessage,
    Recorded,
    Reservation,
    Stage,
    Store,
    Transaction,
    doc_id,
)
from remediator.ledger.reservations import bodies_of, moved, once_each, put_counters

STALE = "stale"  # not a guard: the plan was made from a state that is no longer true


class Claims:
    """Chains and their claims over a store; all verbs are safe to call twice."""

    _store: Store

    def chain(self, key: str) -> Chain | None:
        """The chain of a root job, by the root's `JobName.key`."""
        body = self._store.get("chains", doc_id(key))
        return from_json(Chain, body) if body else None

    def chains(self, limit: int = 10_000) -> tuple[Chain, ...]:
        """Every chain kept, for reports."""
        return readable_records(Chain, self._store.all("chains", limit))

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
            chain = chain_in(tx, key, root)
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
            put_chain(
                tx,
                replace(
                    chain,
                    claim=claim,
                    reserved_usd=chain.reserved_usd + (claim.estimated_usd or 0.0),
                    first_failed=chain.first_failed or first_failed,
                ),
            )
            tx.put("claims", doc_id(claim.token), {"root": key}, expires=claim.acquired_at + KEEP)
            put_incident(
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
            chain = chain_in(tx, root, "")
            stop = tx.get("switches", "stop")
            stored = chain.claim
            if stored is None or not _same_hold(stored, held) or stored.lease_until > now:
                return None
            if stop and stop.get("on"):
                return None
            body = tx.get("incidents", doc_id(stored.incident))
            step = renewed or stored
            terms = moved(tx, stored, step, limits, now)
            if terms is None:
                return None
            reservations, bodies = terms
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
            reserved = exchanged(chain.reserved_usd, stored, claim.estimated_usd)
            put_chain(tx, replace(chain, claim=claim, reserved_usd=reserved))
            if body:  # when to look is no change of the incident: its version stays
                put_incident(tx, replace(from_json(Incident, body), due=lease_until))
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
            chain = chain_in(tx, root, "")
            claim = _standing(chain, token, acquired_at)
            if claim is None:
                return
            body = tx.get("incidents", doc_id(claim.incident))
            returned = replace(
                claim,
                lease_until=min(claim.lease_until, now),
                unanswered=now if unanswered else claim.unanswered,
                lease_released=True,
            )
            put_chain(tx, replace(chain, claim=returned))
            if body:
                incident = from_json(Incident, body)
                put_incident(tx, replace(incident, due=due, version=incident.version + 1))

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
    ) -> Recorded | None:
        """Write down that the claim's job exists: attempt, outcome and every message about it, at once.

        None, and nothing is written, if the claim no longer stands (another execution recorded it).
        Where the job was met before (its failure came faster than this), what is known of it stands
        and becomes the chain's; only what had been concluded of it is asked again.
        """
        self._store.expect_new(
            (
                ("incidents", doc_id(following.key)),
                *(("debts", doc_id(outbox_message.id)) for outbox_message in outbox_messages),
            )
        )

        def work(tx: Transaction) -> Recorded | None:
            chain = chain_in(tx, root, "")
            claim = chain.claim
            if claim is None or claim.token != token:
                return None
            stored = tx.get("incidents", doc_id(incident.key))
            known = tx.get("incidents", doc_id(following.key))
            fresh_messages = unknown_messages(tx, outbox_messages)
            version = from_json(Incident, stored).version if stored else incident.version
            reserved = exchanged(chain.reserved_usd, claim, attempt.estimated_usd)
            attempts = (*chain.attempts, attempt)
            put_chain(tx, replace(chain, claim=None, attempts=attempts, reserved_usd=reserved))
            created = {
                "root": chain.key,
                "reservations": [to_json(one) for one in claim.reservations],
            }
            tx.put("created", doc_id(following.key), created, expires=claim.acquired_at + KEEP)
            put_incident(tx, replace(incident, version=version + 1))
            put_incident(tx, _joined(following, from_json(Incident, known) if known else None))
            put_messages(tx, fresh_messages)
            return Recorded(frozenset(one.id for one in fresh_messages))

        return self._store.run(work)

    def step_over(self, abandoned: Incident, *, skip: str, now: datetime) -> bool:
        """An attempt never got a machine and is over: it counts no more, and its step is skipped.

        What it was made for (the attempt before it, or the root) is asked again from `now`. False,
        and nothing is written, where another execution was faster or what it was made for is not kept.
        """

        def work(tx: Transaction) -> bool:
            chain = chain_in(tx, abandoned.root, "")
            body = tx.get("incidents", doc_id(abandoned.key))
            if body is None or from_json(Incident, body).version != abandoned.version:
                return False
            before = [
                one
                for one in chain.attempts
                if not one.abandoned and job_key(one.name) != abandoned.key
            ]
            failed_key = job_key(before[-1].name) if before else chain.key
            failed = tx.get("incidents", doc_id(failed_key))
            if failed is None:
                return False
            attempts = tuple(
                replace(one, abandoned=True) if job_key(one.name) == abandoned.key else one
                for one in chain.attempts
            )
            skipped = tuple(dict.fromkeys((*chain.skipped, skip)))
            put_chain(tx, replace(chain, attempts=attempts, skipped=skipped))
            done = replace(abandoned, stage=Stage.DONE, conclusion=Conclusion.IGNORED)
            put_incident(tx, replace(done, version=abandoned.version + 1))
            again = from_json(Incident, failed)
            again = replace(again, stage=Stage.UNSETTLED, conclusion=Conclusion.NONE, due=now)
            put_incident(tx, replace(again, version=again.version + 1))
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
            chain = chain_in(tx, root, "")
            claim = _standing(chain, token, acquired_at)
            if claim is None:
                return False
            bodies = bodies_of(tx, claim.reservations)
            for one in claim.reservations:
                key = doc_id(one.key)
                if key in bodies:
                    bodies[key] = counters.removed(bodies[key], one)
            put_counters(tx, bodies)
            skipped = dict.fromkeys((*chain.skipped, skip) if skip else chain.skipped)
            reserved = exchanged(chain.reserved_usd, claim, None)
            put_chain(tx, replace(chain, claim=None, reserved_usd=reserved, skipped=tuple(skipped)))
            return True

        return self._store.run(work)


def _root_in(body: Json, collection: str, key: str) -> str:
    root = body.get("root")
    if not isinstance(root, str) or not root:
        raise UnreadableDocument(collection, key, "it names no chain")
    return root


def _standing(chain: Chain, token: str, acquired_at: datetime | None) -> Claim | None:
    """The chain's claim, if it is this one and nobody took it over since it was acquired then."""
    claim = chain.claim
    if claim is None or claim.token != token or acquired_at not in {None, claim.acquired_at}:
        return None
    return claim


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
