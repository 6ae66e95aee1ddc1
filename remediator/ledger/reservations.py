"""What a claim sets aside: money of a day and marks in a window, as documents of counters.

Owns which counters a step is counted in, and what becomes of its money when the step changes, when
its job runs on, and when it ends. Knows
no chain and no incident; `ledger` alone calls it, inside its transactions. The arithmetic is in
`counters`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime

from msgspec.structs import replace

from remediator.domain import Json, counter_on
from remediator.ledger import counters
from remediator.ledger.records import Claim, Limit, Reservation, Transaction, doc_id


def bodies_of(tx: Transaction, reservations: Iterable[Reservation]) -> dict[str, Json]:
    keys = dict.fromkeys(doc_id(one.key) for one in reservations)
    return dict(tx.get_many("counters", tuple(keys)))


def put_counters(tx: Transaction, bodies: Mapping[str, Json]) -> None:
    for key, body in bodies.items():
        tx.put("counters", key, body, expires=counters.expires(body))


def once_each(limits: Sequence[Limit]) -> tuple[Limit, ...]:
    """One limit for each counter and way of counting (of several, the widest): counted once."""
    chosen: dict[tuple[str, bool], Limit] = {}
    for limit in limits:
        slot = (limit.key, limit.window_seconds is None)
        kept = chosen.setdefault(slot, limit)
        window = limit.window_seconds
        widest = None if window is None else max(kept.window_seconds or 0.0, window)
        amount = max(kept.amount, limit.amount)
        chosen[slot] = replace(kept, amount=amount, window_seconds=widest)
    return tuple(chosen.values())


def moved(
    tx: Transaction, stored: Claim, step: Claim, limits: Sequence[Limit], now: datetime
) -> tuple[tuple[Reservation, ...], dict[str, Json]] | None:
    """What is set aside, and its counters, when a claim is taken over: on a later day, or at a price
    that is another.

    None where that does not fit. Rates were counted by the claim and stay. On a later day the money is
    set aside anew, since it will be spent in that day.
    """
    money = tuple(limit for limit in limits if limit.window_seconds is None)
    if {limit.key for limit in money} - {one.key for one in stored.reservations}:
        return _set_aside_anew(tx, stored, money, now)
    more = (step.estimated_usd or 0.0) - (stored.estimated_usd or 0.0)
    if not more:
        return stored.reservations, {}
    bodies = bodies_of(tx, stored.reservations)
    reservations: list[Reservation] = []
    for one in stored.reservations:
        body = bodies.get(doc_id(one.key))
        if one.window_seconds is not None or body is None:
            reservations.append(one)
            continue
        asked = [limit for limit in limits if limit.key == one.key and not limit.window_seconds]
        fits = all(counters.has_room(body, replace(a, amount=more), now) for a in asked)
        if more > 0 and not fits:
            return None
        moved = replace(one, amount=max(0.0, one.amount + more))
        bodies[doc_id(one.key)] = counters.repriced(body, one, moved.amount)
        reservations.append(moved)
    return tuple(reservations), bodies


def rebooked(
    tx: Transaction, held: Sequence[Reservation], usd_by_day: Mapping[date, float]
) -> tuple[tuple[Reservation, ...], dict[str, Json]]:
    """An attempt's money as it stands now: so much in each day, whatever was set aside for it.

    Each counter of money that the claim named (everybody's, and its groups') is booked alike. A day
    whose counter is no longer kept is over: what was set aside in it is not taken back.
    """
    money = {one.key: one for one in held if one.window_seconds is None}
    kept = tuple(one for one in held if one.window_seconds is not None)
    same = dict.fromkeys(counter_on(key, date.min) for key in money)
    wanted = {
        counter_on(key, day): (usd, day) for key in same for day, usd in usd_by_day.items() if usd
    }
    changed = {
        key: wanted.get(key, (0.0, None))[0] - (money[key].amount if key in money else 0.0)
        for key in dict.fromkeys((*money, *wanted))
    }
    keys = [key for key, more in changed.items() if abs(more) > _ROUNDING_USD]
    bodies = dict(tx.get_many("counters", tuple(map(doc_id, keys)))) if keys else {}
    booked = dict(bodies)
    for key in keys:
        body = bodies.get(doc_id(key))
        if body is not None or key not in money:
            booked[doc_id(key)] = counters.raised(body, changed[key], wanted.get(key, (0, None))[1])
    fresh = tuple(
        Reservation(key, usd, datetime(day.year, day.month, day.day, tzinfo=UTC))
        for key, (usd, day) in wanted.items()
    )
    return (*kept, *fresh), booked


_ROUNDING_USD = 1e-9


def _set_aside_anew(
    tx: Transaction, stored: Claim, money: Sequence[Limit], now: datetime
) -> tuple[tuple[Reservation, ...], dict[str, Json]] | None:
    """The claim's money out of the counters that hold it and into these, if it fits; else None."""
    kept = tuple(one for one in stored.reservations if one.window_seconds is not None)
    freed = tuple(one for one in stored.reservations if one.window_seconds is None)
    keys = dict.fromkeys(doc_id(key) for key in (*(r.key for r in freed), *(m.key for m in money)))
    bodies = dict(tx.get_many("counters", tuple(keys)))
    for one in freed:
        if doc_id(one.key) in bodies:
            bodies[doc_id(one.key)] = counters.repriced(bodies[doc_id(one.key)], one, 0.0)
    if not all(counters.has_room(bodies.get(doc_id(one.key)), one, now) for one in money):
        return None
    taken = once_each(money)
    for limit in taken:
        bodies[doc_id(limit.key)] = counters.added(bodies.get(doc_id(limit.key)), limit, now)
    return (*kept, *(Reservation(one.key, one.amount, now) for one in taken)), bodies
