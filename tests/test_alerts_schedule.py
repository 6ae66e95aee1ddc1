"""When a channel takes what: quiet hours and digests by local time, whatever the clocks do."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.alerts import compose
from remediator.alerts.schedule import Decision, DeliveryRules, Digest, QuietHours, Turn
from tests.alert_situations import SITUATIONS

NIGHT = QuietHours(time(22), time(7), "Europe/Berlin")
LUNCH = QuietHours(time(12), time(13, 30), "America/New_York")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu")


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)


@pytest.mark.parametrize(
    ("hours", "moment", "within"),
    [
        (NIGHT, at("2026-11-23T21:59", "Europe/Berlin"), False),
        (NIGHT, at("2026-11-23T22:00", "Europe/Berlin"), True),
        (NIGHT, at("2026-11-24T06:59", "Europe/Berlin"), True),
        (NIGHT, at("2026-11-24T07:00", "Europe/Berlin"), False),
        (NIGHT, at("2026-07-01T20:30"), True),  # 22:30 in summer, 21:30 in winter
        (NIGHT, at("2026-12-01T20:30"), False),
        (LUNCH, at("2026-11-23T12:30", "America/New_York"), True),
        (LUNCH, at("2026-11-23T12:30"), False),
    ],
)
def test_hours_are_local_and_may_pass_midnight(
    hours: QuietHours, moment: datetime, within: bool
) -> None:
    assert hours.contains(moment) is within


_moments = st.timedeltas(timedelta(0), timedelta(days=1500)).map(
    lambda since: datetime(2024, 1, 1, tzinfo=UTC) + since
)
_times = st.times().map(lambda one: one.replace(second=0, microsecond=0, fold=0))


@given(_moments, _times, st.sampled_from(ZONES))
def test_the_end_of_the_hours_is_ahead_and_within_a_day_or_so(
    moment: datetime, end: time, zone: str
) -> None:
    found = QuietHours(time(0, 0) if end != time(0, 0) else time(1), end, zone).end_after(moment)
    assert moment < found <= moment + timedelta(hours=26)


@given(_moments, st.sampled_from(Digest), _times, st.sampled_from(ZONES))
def test_periods_follow_each_other_without_a_gap(
    now: datetime, digest: Digest, end: time, zone: str
) -> None:
    begin = time((end.hour + 1) % 24)
    rules = DeliveryRules(QuietHours(begin, end, zone) if begin != end else None, digest)
    start, stop = rules.last_digest(now)
    days = 7 if digest is Digest.WEEKLY else 1
    assert start < stop <= now < rules.digest_after(stop)
    assert timedelta(days=days, hours=-2) <= stop - start <= timedelta(days=days, hours=2)
    assert rules.last_digest(stop) == (start, stop)
    assert rules.digest_after(start) == stop
    assert rules.period_of(start) < rules.period_of(stop)


def test_a_digest_is_made_where_quiet_hours_end_else_in_the_morning() -> None:
    assert DeliveryRules(digest=Digest.DAILY).digest_after(at("2026-11-23T08:00")) == at(
        "2026-11-24T07:00"
    )
    by_night = DeliveryRules(NIGHT, Digest.WEEKLY)
    assert by_night.digest_after(at("2026-11-24T08:00")) == at("2026-11-30T07:00", "Europe/Berlin")


LOUD = {"kind": "given_up", "severity": "loud"}
QUIET = {"kind": "acted", "severity": "quiet"}
RECOVERED = {"kind": "recovered", "severity": "quiet"}
NEWS = {"kind": "policy_changed", "severity": "quiet"}
DIGEST = {"kind": "digest", "severity": "quiet"}
EVENING = at("2026-11-23T23:00", "Europe/Berlin")
MORNING = at("2026-11-24T07:00", "Europe/Berlin")
NOON = at("2026-11-24T12:00", "Europe/Berlin")
QUIET_RULES = DeliveryRules(NIGHT)
DAILY = DeliveryRules(NIGHT, Digest.DAILY)
PAGER = DeliveryRules(only_needs_person=True)


@pytest.mark.parametrize(
    ("rules", "body", "created", "now", "made", "turn", "until"),
    [
        (DeliveryRules(), QUIET, EVENING, EVENING, None, Turn.SEND, None),
        (QUIET_RULES, LOUD, EVENING, EVENING, None, Turn.SEND, None),
        (QUIET_RULES, QUIET, EVENING, EVENING, None, Turn.HOLD, MORNING),
        (QUIET_RULES, QUIET, EVENING, MORNING, None, Turn.SEND_GROUPED, None),
        (QUIET_RULES, QUIET, NOON, NOON, None, Turn.SEND, None),
        (DAILY, LOUD, NOON, NOON, None, Turn.SEND, None),
        (DAILY, QUIET, NOON, NOON, None, Turn.HOLD, MORNING + timedelta(days=1)),
        (DAILY, QUIET, EVENING, MORNING, MORNING, Turn.DROP, None),
        (DAILY, QUIET, EVENING, MORNING, MORNING - timedelta(days=1), Turn.HOLD, MORNING),
        (DAILY, QUIET, EVENING, MORNING + timedelta(days=1), None, Turn.SEND_GROUPED, None),
        (DAILY, NEWS, NOON, NOON, None, Turn.SEND, None),
        (DAILY, NEWS, EVENING, EVENING, None, Turn.HOLD, MORNING),
        (DAILY, DIGEST, MORNING, MORNING, MORNING, Turn.SEND, None),
        (PAGER, LOUD, NOON, NOON, None, Turn.SEND, None),
        (PAGER, QUIET, NOON, NOON, None, Turn.DROP, None),
        (PAGER, RECOVERED, NOON, NOON, None, Turn.SEND, None),
        (DAILY, {}, EVENING, EVENING, None, Turn.SEND, None),  # damaged: the delivery tells of it
    ],
)
def test_what_happens_to_an_alert_now(
    rules: DeliveryRules,
    body: dict[str, str],
    created: datetime,
    now: datetime,
    made: datetime | None,
    turn: Turn,
    until: datetime | None,
) -> None:
    decided = rules.decide(body, created, now, made)
    assert (decided.turn, decided.until) == (turn, until)
    assert isinstance(decided, Decision)


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        (DeliveryRules(), {}),
        (
            DeliveryRules(quiet_hours=NIGHT),
            dict.fromkeys(
                ("acted", "recovered", "policy_changed"),
                "team has quiet hours from 22:00 to 07:00 (Europe/Berlin): in them this alert is "
                "held until they end, since it needs nobody",
            ),
        ),
        (
            DeliveryRules(digest=Digest.WEEKLY),
            dict.fromkeys(
                ("acted", "recovered"),
                "team gets a weekly digest: this alert is told in it, since it needs nobody",
            ),
        ),
        (
            DeliveryRules(quiet_hours=NIGHT, only_needs_person=True),
            dict.fromkeys(
                ("acted", "policy_changed"),
                "team is a pager: this alert is not sent there, since it needs nobody",
            ),
        ),
    ],
    ids=["none", "quiet-hours", "digest", "pager"],
)
def test_what_may_hold_an_alert_is_said_beforehand_and_is_what_holds_it(
    rules: DeliveryRules, words: dict[str, str]
) -> None:
    """At some hour of the night it is not simply sent where words say so, and always sent where none do."""
    for name in ("acted", "recovered", "policy_changed", "approval", "given_up"):
        message = compose(SITUATIONS[name])
        assert rules.held_words("team", message) == words.get(name, "")
        night = at("2026-11-24T03:00", "Europe/Berlin")
        turn = rules.decide(message.to_json(), night, night, None).turn
        assert (turn is Turn.SEND) is (name not in words)
