"""The arithmetic of budgets and rates, and which counter a step is counted in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from remediator.domain import Guard, rfc3339
from remediator.ledger import counters
from remediator.ledger.records import Limit, Reservation
from remediator.ledger.reservations import once_each
from remediator.planning.budgets import Budget, budgets
from tests.jobs import BATCH, CUSTOM, job, policies

NOW = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RATE = Limit("rate:all", "rate", 3.0, 1.0, 3600.0)
MONEY = Limit("usd", "usd_per_day", 10.0, 4.0)


def _marked(*seconds: float, amount: float = 1.0) -> dict[str, object]:
    """A window's counter with a mark at each of these, seconds before now."""
    body: dict[str, object] = {}
    for one in seconds:
        at = NOW - timedelta(seconds=one)
        body = counters.added(body, replace(RATE, amount=amount), at)
    return body


def test_money_adds_up() -> None:
    assert counters.used(None, MONEY, NOW) == 0.0
    assert counters.used({}, MONEY, NOW) == 0.0
    body = counters.added(None, MONEY, NOW)
    assert counters.used(body, MONEY, NOW) == 4.0
    assert counters.used(counters.added(body, MONEY, NOW), MONEY, NOW) == 8.0


@pytest.mark.parametrize(("total", "room"), [(5.9, True), (6.0, True), (6.1, False)])
def test_a_total_has_room_up_to_its_limit(total: float, room: bool) -> None:
    assert counters.has_room({"total": total}, MONEY, NOW) is room
    rounded = {"total": 6.0 + 1e-10}
    assert counters.has_room(rounded, MONEY, NOW)


@pytest.mark.parametrize(
    ("seconds", "used"), [((3600,), 0), ((3599,), 1), ((3599, 0), 2), ((4000, 10, 5), 2), ((), 0)]
)
def test_a_window_counts_what_lies_inside_it(seconds: tuple[float, ...], used: int) -> None:
    assert counters.used(_marked(*seconds), RATE, NOW) == used


def test_a_window_has_room_again_when_the_oldest_mark_leaves_it() -> None:
    body = _marked(3599, 100, 1)
    assert not counters.has_room(body, RATE, NOW)
    assert counters.has_room(body, RATE, NOW + SECOND)


def test_a_shorter_window_does_not_forget_what_a_longer_one_counts() -> None:
    body = _marked(3000)
    short = replace(RATE, window_seconds=60.0)
    body = counters.added(body, short, NOW)
    assert counters.used(body, RATE, NOW) == 2
    assert counters.used(body, short, NOW) == 1
    assert body["window"] == 3600.0


def test_marks_are_kept_in_their_order_whenever_they_come() -> None:
    body = counters.added(_marked(0), RATE, NOW - 10 * SECOND)
    times = [at for at, _ in body["marks"]]
    assert times == sorted(times)
    assert len(times) == 2


def test_a_window_of_thousands_stays_small_and_counts_a_little_longer_never_shorter() -> None:
    body: dict[str, object] = {}
    for number in range(1200):
        body = counters.added(body, RATE, NOW + timedelta(seconds=number))
    assert len(body["marks"]) <= 501  # type: ignore[arg-type]
    end = NOW + timedelta(seconds=1199)
    assert counters.used(body, RATE, end) == 1200
    leaving = NOW + timedelta(seconds=3600)
    for shift in (0, 100, 600, 1000, 1199):
        at = leaving + timedelta(seconds=shift)
        exact = 1200 - shift - 1
        assert exact <= counters.used(body, RATE, at) <= exact + 8  # 7.2 s to a slot
    assert counters.used(body, RATE, leaving + timedelta(seconds=1207)) == 0


def test_a_counter_is_kept_three_days_past_what_it_is_asked_for() -> None:
    body = counters.added(None, MONEY, NOW)
    assert counters.expires(body) == NOW + timedelta(days=3)
    later = counters.added(body, MONEY, NOW - timedelta(days=1))
    assert counters.expires(later) == NOW + timedelta(days=3)
    window = counters.added(None, RATE, NOW)
    assert counters.expires(window) == NOW + timedelta(days=3, hours=1)
    assert counters.expires({}) is None


@pytest.mark.parametrize(
    ("total", "usd", "left"),
    [(10.0, 1.0, 7.0), (4.5, 0.0, 0.5), (10.0, 6.0, 12.0), (3.0, 0.0, 0.0), (4.0, 0, 0.0)],
)
def test_what_was_set_aside_becomes_another_sum(total: float, usd: float, left: float) -> None:
    aside = Reservation("usd", 4.0, NOW)
    assert counters.repriced({"total": total, "x": 1}, aside, usd) == {"total": left, "x": 1}
    assert counters.repriced({}, aside, 5.0) == {"total": 1.0}


def test_money_that_was_never_spent_is_taken_out() -> None:
    aside = Reservation("usd", 4.0, NOW)
    assert counters.removed({"total": 10.0}, aside) == {"total": 6.0}


def test_a_mark_that_was_never_used_is_taken_out_and_no_earlier_one() -> None:
    body = _marked(30, 20, 10)
    marks = [list(mark) for mark in body["marks"]]  # type: ignore[attr-defined]
    taken = Reservation("rate:all", 1.0, NOW - 20 * SECOND, 3600.0)
    assert counters.removed(body, taken)["marks"] == [marks[0], marks[2]]
    last = Reservation("rate:all", 1.0, NOW - 10 * SECOND, 3600.0)
    assert counters.removed(body, last)["marks"] == marks[:2]
    later = Reservation("rate:all", 1.0, NOW, 3600.0)
    assert counters.removed(body, later)["marks"] == marks


def test_of_a_mark_that_stands_for_several_one_is_taken_out() -> None:
    body = _marked(10, amount=3.0)
    one = Reservation("rate:all", 1.0, NOW - 10 * SECOND, 3600.0)
    ((_, amount),) = counters.removed(body, one)["marks"]
    assert amount == 2.0
    several = Reservation("rate:all", 5.0, NOW - 10 * SECOND, 3600.0)
    assert counters.removed(body, several)["marks"] == []
    two = _marked(10, 9)
    both = Reservation("rate:all", 1.5, NOW - 10 * SECOND, 3600.0)
    ((_, left),) = counters.removed(two, both)["marks"]
    assert left == 0.5
    assert counters.removed({}, one)["marks"] == []


def test_of_several_limits_on_one_counter_the_widest_is_counted_once() -> None:
    money = replace(MONEY, limit=1.0, amount=5.0)
    short = replace(RATE, window_seconds=60.0, amount=2.0)
    other = replace(RATE, key="rate:other")
    found = once_each((MONEY, money, RATE, short, other))
    assert found == (
        replace(MONEY, amount=5.0),
        replace(short, window_seconds=3600.0, amount=2.0),
        other,
    )
    (widest,) = once_each((short, RATE))  # in whatever order they stand
    assert (widest.window_seconds, widest.amount) == (3600.0, 2.0)
    same_key = replace(RATE, key="usd")
    assert len(once_each((MONEY, same_key))) == 2  # a total and a window are counted apart


# --- which counters a resubmission belongs to ------------------------------------------------------------


def test_a_resubmission_is_counted_by_day_by_hour_and_by_group() -> None:
    text = """
limits:
  usd_per_day: 7
  resubmissions_per_hour: 3
  per:
    - {by: service_account, usd_per_day: 2, resubmissions_per_hour: 1}
    - {by: labels.env, usd_per_day: 4}
policies: [{name: p, do: []}]
"""
    account = "trainer@genomics.iam.gserviceaccount.com"
    found = budgets(policies(text).limits, job(CUSTOM), NOW)
    by_account, by_label = ("service_account", account), ("labels.env", "prod")
    day = "usd:2026-11-23"
    assert found == (
        Budget(day, Guard.USD_PER_DAY, 7, "usd"),
        Budget("rate:all", Guard.RATE, 3, "count"),
        Budget(f"{day}:service_account:{account}", Guard.USD_PER_DAY, 2, "usd", by_account),
        Budget(f"rate:service_account:{account}", Guard.RATE, 1, "count", by_account),
        Budget(f"{day}:labels.env:prod", Guard.USD_PER_DAY, 4, "usd", by_label),
        Budget("rate:labels.env:prod", Guard.RATE, None, "count", by_label),
    )
    assert [one.window_seconds for one in found[:2]] == [None, 3600.0]
    late = NOW + timedelta(minutes=31)
    assert budgets(policies(text).limits, job(CUSTOM), late)[0].key == "usd:2026-11-24"


@pytest.mark.parametrize(
    ("by", "value"),
    [("location", "us-central1"), ("model", "projects/123456789012/locations/us-central1/models/")],
)
def test_a_group_is_what_the_job_says(by: str, value: str) -> None:
    text = f"limits: {{per: [{{by: {by}, usd_per_day: 2}}]}}\npolicies: [{{name: p, do: []}}]"
    found = budgets(policies(text).limits, job(BATCH), NOW)
    assert found[2].group is not None
    assert found[2].group[0] == by
    assert found[2].group[1].startswith(value)
    assert rfc3339(NOW) == "2026-11-23T23:30:00Z"


def test_a_job_without_the_label_is_in_the_group_of_those_without() -> None:
    text = "limits: {per: [{by: labels.team, usd_per_day: 2}]}\npolicies: [{name: p, do: []}]"
    found = budgets(policies(text).limits, job(CUSTOM), NOW)
    assert found[2].key == "usd:2026-11-23:labels.team:"


def test_a_job_without_an_account_or_a_model_is_in_a_group_of_its_own() -> None:
    for by in ("service_account", "model"):
        text = f"limits: {{per: [{{by: {by}, usd_per_day: 2}}]}}\npolicies: [{{name: p, do: []}}]"
        bare = job(CUSTOM, jobSpec__serviceAccount=None)
        assert budgets(policies(text).limits, bare, NOW)[2].key == f"usd:2026-11-23:{by}:"


def test_a_total_is_raised_and_kept_some_days_past_its_day() -> None:
    assert counters.raised(None, 2.0, None) == {"total": 2.0}
    assert counters.raised({"total": 3.0, "x": 1}, -1.0, None) == {"total": 2.0, "x": 1}
    assert counters.raised({"total": 1.0}, -3.0, None) == {"total": 0.0}
    kept = counters.raised({}, 1.0, NOW.date())
    assert counters.expires(kept) == datetime(2026, 11, 27, tzinfo=UTC)
