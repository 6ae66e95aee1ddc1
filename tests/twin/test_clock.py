"""The twin's time."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from twin.clock import Clock, parse_time, rfc3339

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def stopped() -> Iterator[Clock]:
    clock = Clock(start=START, frozen=True)
    yield clock
    clock.close()


def test_what_falls_due_is_done_in_order_and_at_its_own_time(stopped: Clock) -> None:
    seen: list[tuple[str, datetime]] = []
    stopped.at(START + timedelta(hours=2), lambda: seen.append(("late", stopped.now())))
    stopped.at(START + timedelta(hours=1), lambda: seen.append(("early", stopped.now())))
    stopped.at(START + timedelta(hours=9), lambda: seen.append(("never", stopped.now())))
    assert stopped.advance(timedelta(hours=3)) == START + timedelta(hours=3)
    assert seen == [
        ("early", START + timedelta(hours=1)),
        ("late", START + timedelta(hours=2)),
    ]


def test_what_is_added_while_time_moves_is_done_too(stopped: Clock) -> None:
    seen: list[str] = []

    def first() -> None:
        stopped.at(stopped.now() + timedelta(minutes=1), lambda: seen.append("second"))

    stopped.at(START + timedelta(minutes=1), first)
    stopped.advance(300)
    assert seen == ["second"]


def test_time_runs_fast_only_while_something_is_in_flight() -> None:
    passed = 0.0
    clock = Clock(lag=timedelta(hours=5), scale=36_000, seconds=lambda: passed)
    try:
        before = clock.now()
        passed += 0.05
        assert clock.now() - before == timedelta(seconds=0.05)
        clock.hurry()
        passed += 0.05
        assert clock.now() - before == timedelta(seconds=1800.05)
        clock.rest()
        passed += 0.05
        assert clock.now() - before == timedelta(seconds=1800.1)
    finally:
        clock.close()


def test_time_never_overtakes_the_world() -> None:
    passed = 0.0
    clock = Clock(lag=timedelta(seconds=10), scale=1e6, seconds=lambda: passed)
    try:
        clock.hurry()
        passed += 20.0
        assert clock.now() <= datetime.now(UTC)
    finally:
        clock.close()


@pytest.mark.parametrize(
    "text",
    ["2026-11-23T12:00:00Z", "2026-11-23T13:00:00+01:00", "2026-11-23T12:00:00.000000000Z"],
)
def test_times_are_read_in_every_form_that_google_writes(text: str) -> None:
    assert parse_time(text) == START
    assert rfc3339(parse_time(text)) == "2026-11-23T12:00:00.000000Z"
