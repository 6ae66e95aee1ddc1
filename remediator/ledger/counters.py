"""What a counter's document holds and how it is added up: totals, and sliding windows.

Owns the arithmetic of budgets and rates, with documents that stay small whatever is counted: a total
is one number, a window at most `_MARKS` marks. Pure; `ledger` alone calls it, inside its transactions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from remediator.domain import Json, parse_time, rfc3339
from remediator.ledger.encoding import UnreadableDocument
from remediator.ledger.records import Limit, Reservation

_MARKS = 500  # 25 bytes each; beyond, marks share a slot of the window's five-hundredth
_KEEP = timedelta(days=3)  # a day's budget is asked for that day; attempts settle within days
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING = 1e-12
_COUNTERS = "counters"


def used(body: Json | None, limit: Limit, now: datetime) -> float:
    """What counts against the limit now: the whole total, or what lies inside its window.

    Raises Unreadable where that makes no sense: what is not known is not taken for nothing.
    """
    try:
        if limit.window_seconds is None:
            return float((body if body is not None else {}).get("total", 0.0))
        counted = _live(body if body is not None else {}, limit.window_seconds, now)
        return float(sum(amount for _, amount in counted))
    except (TypeError, ValueError) as err:
        raise UnreadableDocument(_COUNTERS, limit.key, "it is not a count") from err


def has_room(body: Json | None, limit: Limit, now: datetime) -> bool:
    """Whether the limit's amount still fits; a billionth of a dollar is rounding."""
    return used(body, limit, now) + limit.amount <= limit.limit + 1e-9


def added(body: Json | None, limit: Limit, now: datetime) -> dict[str, Any]:
    """The counter with the limit's amount counted in."""
    before = body or {}
    if limit.window_seconds is None:
        return {**before, "total": used(before, limit, now) + limit.amount, **_until(before, now)}
    window = max(limit.window_seconds, float(before.get("window", 0.0)))
    marks = sorted([*_live(before, window, now), (_micros(now), limit.amount)])
    if len(marks) > _MARKS:
        marks = _in_slots(marks, window)
    kept = {"marks": [list(mark) for mark in marks], "window": window}
    return {**before, **kept, **_until(before, now + timedelta(seconds=window))}


def removed(body: Json, reservation: Reservation) -> dict[str, Any]:
    """The counter without what was set aside: it was never spent."""
    if reservation.window_seconds is None:
        return repriced(body, reservation, 0.0)
    rest = reservation.amount
    marks: list[list[float]] = []
    for moment, amount in body.get("marks", ()):
        part = min(rest, amount) if moment >= _micros(reservation.at) else 0.0
        rest -= part
        if amount - part > _NOTHING:
            marks.append([moment, amount - part])
    return {**body, "marks": marks}


def repriced(body: Json, reservation: Reservation, usd: float) -> dict[str, Any]:
    """A total in which what was set aside has become `usd`; never below nothing."""
    total = float(body.get("total", 0.0)) - reservation.amount + usd
    return {**body, "total": max(0.0, total) if total > _NOTHING else 0.0}


def raised(body: Json | None, usd: float, day: date | None) -> dict[str, Any]:
    """A total with so much more (or less) in it, never below nothing; kept some days past its day."""
    before = body or {}
    total = float(before.get("total", 0.0)) + usd
    ends = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1) if day else None
    kept = _until(before, ends) if ends else {}
    return {**before, "total": total if total > _NOTHING else 0.0, **kept}


def expires(body: Json) -> datetime | None:
    """When the counter's document is no longer asked for."""
    return parse_time(body.get("until"))


def _until(body: Mapping[str, Any], now: datetime) -> dict[str, str]:
    kept = parse_time(body.get("until"))
    until = now + _KEEP
    return {"until": rfc3339(max(kept, until) if kept else until)}


def _live(body: Mapping[str, Any], window_seconds: float, now: datetime) -> list[tuple[int, float]]:
    since = _micros(now) - round(window_seconds * 1e6)
    return [(int(at), float(amount)) for at, amount in body.get("marks", ()) if at > since]


def _in_slots(marks: list[tuple[int, float]], window_seconds: float) -> list[tuple[int, float]]:
    """Marks moved to the end of their slot, so that they count a little longer, never shorter."""
    width = max(1, round(window_seconds * 1e6) // _MARKS)
    slots: dict[int, float] = {}
    for at, amount in marks:
        end = -(-at // width) * width
        slots[end] = slots.get(end, 0.0) + amount
    return sorted(slots.items())


def _micros(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
