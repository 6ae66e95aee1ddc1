"""The verbs of a claim: taken, taken over, given back, withdrawn, with what is set aside for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.domain import Change
from remediator.ledger import (
    Claim,
    Limit,
    Stage,
)
from remediator.ledger.records import Reservation
from tests.ledger.claim_cases import (
    DAY,
    GROUP,
    KEY,
    LEASE,
    MINUTE,
    NOW,
    ROOT,
    ReadableLedger,
    claim_of,
    incident_of,
    limits_of,
    name,
    opened_ledger,
    record,
    wanted,
)

# --- claim -----------------------------------------------------------------------------------------


@pytest.fixture
def ledger() -> ReadableLedger:
    return opened_ledger()


def test_a_claim_moves_its_incident_on_and_is_found_by_its_token(ledger: ReadableLedger) -> None:
    before = ledger.seen()
    claim = claim_of(ledger)
    after = ledger.seen()
    assert after == replace(before, stage=Stage.ACTING, due=NOW + LEASE, version=before.version + 1)
    assert ledger.claimed_root("t") == KEY
    assert ledger.claimed_root("x") is None
    assert ledger.claimed_root("") is None
    assert claim == ledger.standing()
    assert claim == replace(
        wanted(),
        reservations=(Reservation(DAY, 4.0, NOW), Reservation("rate:all", 1.0, NOW, 3600.0)),
    )
    chain = ledger.chain(KEY)
    assert chain is not None
    assert (chain.root, chain.reserved_usd, chain.version) == (ROOT, 4.0, 1)


def test_a_claim_without_a_price_sets_nothing_aside(ledger: ReadableLedger) -> None:
    claim_of(ledger, estimated_usd=None, limits=limits_of(0.0))
    chain = ledger.chain(KEY)
    assert chain is not None
    assert chain.reserved_usd == 0.0


def test_every_limit_is_asked_and_each_refusal_is_named_once(ledger: ReadableLedger) -> None:
    limits = (
        Limit(DAY, "usd_per_day", 3.0, 4.0),
        Limit(f"{DAY}:a:b", "usd_per_day", 3.0, 4.0),
        Limit("rate:all", "rate", 0.0, 1.0, 3600.0),
    )
    answer = ledger.claim(ledger.seen(), ROOT, wanted(), now=NOW, limits=limits)
    assert (answer.claim, answer.refused_by) == (None, ("usd_per_day", "rate"))
    assert ledger.total() == 0.0
    assert ledger.chain(KEY) is None
    assert ledger.seen().stage is Stage.UNSETTLED


def test_a_limit_that_is_just_reached_is_no_refusal(ledger: ReadableLedger) -> None:
    claim_of(ledger, limits=limits_of(4.0, most=4.0))
    assert ledger.total() == 4.0


@pytest.mark.parametrize("number", [0, 2])
def test_a_claim_for_another_number_is_stale(ledger: ReadableLedger, number: int) -> None:
    answer = ledger.claim(ledger.seen(), ROOT, wanted(number=number), now=NOW)
    assert answer.refused_by == ("stale",)


def test_a_second_claim_is_shown_the_first_and_its_attempts(ledger: ReadableLedger) -> None:
    claim_of(ledger)
    record(ledger)
    again = replace(ledger.seen(), stage=Stage.UNSETTLED)
    assert ledger.move(again)
    first = wanted("t2", number=2)
    assert ledger.claim(ledger.seen(), ROOT, first, now=NOW).mine
    answer = ledger.claim(ledger.seen(), ROOT, wanted("t3", number=2), now=NOW, limits=limits_of())
    assert answer.claim == ledger.standing()
    assert (answer.mine, answer.refused_by) == (False, ())
    assert [one.number for one in answer.attempts] == [1]
    assert ledger.total() == 4.0  # the third set nothing aside


# --- retake ----------------------------------------------------------------------------------------


def test_a_claim_that_is_taken_over_takes_the_new_step_under_the_old_token(
    ledger: ReadableLedger,
) -> None:
    held = claim_of(ledger)
    before = ledger.seen()
    later = NOW + LEASE
    renewed = wanted(
        "unused",
        policy="q",
        step=3,
        verdict="cpu_saturation",
        changes=(Change("g", 3, 4),),
        location="europe-west4",
        max_run_seconds=9.0,
    )
    acquired_at = ledger.take_over(KEY, held, lease_until=later + LEASE, now=later, renewed=renewed)
    assert acquired_at == replace(
        held,
        policy="q",
        step=3,
        verdict="cpu_saturation",
        changes=(Change("g", 3, 4),),
        location="europe-west4",
        acquired_at=later,
        lease_until=later + LEASE,
    )
    assert ledger.standing() == acquired_at
    assert ledger.seen() == replace(before, due=later + LEASE)
    assert ledger.total() == 4.0


@pytest.mark.parametrize(
    "differs",
    [
        {"token": "x"},
        {"acquired_at": NOW + MINUTE},
        {"lease_until": NOW},
        {"unanswered": NOW},
        {"lease_released": True},
    ],
    ids=str,
)
def test_a_claim_that_changed_since_it_was_read_is_not_taken_over(
    ledger: ReadableLedger, differs: dict[str, Any]
) -> None:
    held = claim_of(ledger)
    later = NOW + LEASE
    read = replace(held, **differs)
    assert ledger.take_over(KEY, read, lease_until=later + LEASE, now=later) is None
    assert ledger.standing() == held


def test_a_claim_is_not_taken_over_before_its_lease_is_over(ledger: ReadableLedger) -> None:
    held = claim_of(ledger)
    early = NOW + LEASE - timedelta(microseconds=1)
    assert ledger.take_over(KEY, held, lease_until=early + LEASE, now=early) is None
    assert ledger.take_over(KEY, held, lease_until=NOW + 2 * LEASE, now=NOW + LEASE) is not None


def test_what_has_no_claim_is_not_taken_over(ledger: ReadableLedger) -> None:
    held = claim_of(ledger)
    assert ledger.withdraw(KEY, "t")
    later = NOW + LEASE
    assert ledger.take_over(KEY, held, lease_until=later + LEASE, now=later) is None
    assert ledger.take_over("nowhere", held, lease_until=later + LEASE, now=later) is None


@pytest.mark.parametrize(
    ("usd", "most", "total"),
    [(6.0, 100.0, 6.0), (6.0, 6.0, 6.0), (6.0, 5.9, None), (1.0, 0.5, 1.0), (None, 9.0, 0.0)],
)
def test_a_new_price_is_exchanged_for_the_old_where_it_fits(
    ledger: ReadableLedger, usd: float | None, most: float, total: float | None
) -> None:
    held = claim_of(ledger)
    later = NOW + LEASE
    renewed = wanted(estimated_usd=usd)
    limits = limits_of(usd or 0.0, most)
    acquired_at = ledger.take_over(
        KEY, held, lease_until=later + LEASE, now=later, renewed=renewed, limits=limits
    )
    chain = ledger.chain(KEY)
    assert chain is not None
    if total is None:
        assert acquired_at is None
        assert (ledger.total(), chain.reserved_usd, chain.claim) == (4.0, 4.0, held)
        return
    assert acquired_at is not None
    assert (ledger.total(), chain.reserved_usd) == (total, total)
    assert acquired_at.estimated_usd == usd
    assert [one.amount for one in acquired_at.reservations] == [total, 1.0]
    assert len(ledger.marks()) == 1  # the rate was counted by the claim


def test_a_dearer_step_must_fit_beside_what_others_set_aside(ledger: ReadableLedger) -> None:
    held = claim_of(ledger)
    ledger.open(incident_of(2))
    other = wanted("o", incident="us-central1/customJobs/2")
    assert ledger.claim(
        ledger.seen("us-central1/customJobs/2"), name(2), other, now=NOW, limits=limits_of()
    ).mine
    assert ledger.total() == 8.0
    later = NOW + LEASE
    for most, acquired_at in ((9.9, False), (10.0, True)):
        answer = ledger.take_over(
            KEY,
            held,
            lease_until=later + LEASE,
            now=later,
            renewed=wanted(estimated_usd=6.0),
            limits=limits_of(6.0, most),
        )
        assert (answer is not None) is acquired_at
    assert ledger.total() == 10.0


def test_a_dearer_step_on_the_next_day_is_set_aside_on_that_day(ledger: ReadableLedger) -> None:
    ledger.store.run(lambda tx: tx.put("counters", "usd:2026-11-24", {"total": 3.0}))
    held = claim_of(ledger)
    midnight = datetime(2026, 11, 24, 0, 5, tzinfo=UTC)
    renewed = wanted(estimated_usd=6.0)
    tomorrow = limits_of(6.0, 8.9, "usd:2026-11-24")
    kept = {"lease_until": midnight + LEASE, "now": midnight, "renewed": renewed}
    assert ledger.take_over(KEY, held, limits=tomorrow, **kept) is None  # type: ignore[arg-type]
    assert (ledger.total(), ledger.total("usd:2026-11-24")) == (4.0, 3.0)
    fits = limits_of(6.0, 9.0, "usd:2026-11-24")
    acquired_at = ledger.take_over(KEY, held, limits=fits, **kept)  # type: ignore[arg-type]
    assert acquired_at is not None
    assert (ledger.total(), ledger.total("usd:2026-11-24")) == (0.0, 9.0)
    assert acquired_at.reservations == (
        Reservation("rate:all", 1.0, NOW, 3600.0),
        Reservation("usd:2026-11-24", 6.0, midnight),
    )
    chain = ledger.chain(KEY)
    assert chain is not None
    assert chain.reserved_usd == 6.0


@pytest.mark.parametrize("room", [0.9, 1.0])
def test_a_cheaper_step_on_the_next_day_asks_that_days_budget_too(
    ledger: ReadableLedger, room: float
) -> None:
    """Its money will be spent on that day."""
    held = claim_of(ledger)
    midnight = datetime(2026, 11, 24, 0, 5, tzinfo=UTC)
    acquired_at = ledger.take_over(
        KEY,
        held,
        lease_until=midnight + LEASE,
        now=midnight,
        renewed=wanted(estimated_usd=1.0),
        limits=limits_of(1.0, room, "usd:2026-11-24"),
    )
    fits = room >= 1.0
    assert (acquired_at is not None) is fits
    assert (ledger.total(), ledger.total("usd:2026-11-24")) == ((0.0, 1.0) if fits else (4.0, 0.0))


# --- give back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("unanswered", [True, False])
def test_a_lease_that_is_given_back_leaves_the_claim(
    ledger: ReadableLedger, unanswered: bool
) -> None:
    held = claim_of(ledger)
    before = ledger.seen()
    at = NOW + MINUTE
    ledger.release_lease(
        KEY, "t", now=at, unanswered=unanswered, due=at + MINUTE, acquired_at=held.acquired_at
    )
    assert ledger.standing() == replace(
        held, lease_until=at, unanswered=at if unanswered else None, lease_released=True
    )
    assert ledger.seen() == replace(before, due=at + MINUTE, version=before.version + 1)
    assert ledger.total() == 4.0


def test_what_went_unanswered_once_stays_so(ledger: ReadableLedger) -> None:
    held = claim_of(ledger)
    ledger.release_lease(KEY, "t", now=NOW, unanswered=True, due=NOW, acquired_at=held.acquired_at)
    ledger.release_lease(
        KEY, "t", now=NOW + MINUTE, unanswered=False, due=NOW, acquired_at=held.acquired_at
    )
    assert ledger.standing().unanswered == NOW
    assert ledger.standing().lease_until == NOW  # never later than it was


@pytest.mark.parametrize(
    ("token", "acquired_at"), [("x", NOW), ("t", NOW + MINUTE), ("x", NOW + MINUTE)]
)
def test_nobody_gives_back_what_is_in_another_hand(
    ledger: ReadableLedger, token: str, acquired_at: datetime
) -> None:
    held = claim_of(ledger)
    before = ledger.seen()
    ledger.release_lease(KEY, token, now=NOW, unanswered=True, due=NOW, acquired_at=acquired_at)
    assert (ledger.standing(), ledger.seen()) == (held, before)
    ledger.release_lease("nowhere", "t", now=NOW, unanswered=True, due=NOW)
    assert ledger.chain("nowhere") is None


# --- withdraw --------------------------------------------------------------------------------------


def test_a_withdrawn_claim_gives_back_its_money_and_its_mark_and_no_other(
    ledger: ReadableLedger,
) -> None:
    ledger.open(incident_of(2))
    other = wanted("o", incident="us-central1/customJobs/2", acquired_at=NOW - MINUTE)
    limits = limits_of(3.0)
    earlier = NOW - MINUTE
    assert ledger.claim(
        ledger.seen("us-central1/customJobs/2"), name(2), other, now=earlier, limits=limits
    ).mine
    claim_of(ledger)
    assert (ledger.total(), len(ledger.marks())) == (7.0, 2)
    kept = ledger.marks()[0]
    assert ledger.withdraw(KEY, "t", skip="p:1", acquired_at=NOW)
    assert (ledger.total(), ledger.marks()) == (3.0, [kept])
    chain = ledger.chain(KEY)
    assert chain is not None
    assert (chain.claim, chain.reserved_usd, chain.skipped) == (None, 0.0, ("p:1",))


@pytest.mark.parametrize(
    ("token", "acquired_at"), [("x", None), ("x", NOW), ("t", NOW + MINUTE), ("x", NOW + MINUTE)]
)
def test_another_hands_claim_is_not_withdrawn(
    ledger: ReadableLedger, token: str, acquired_at: datetime | None
) -> None:
    held = claim_of(ledger)
    assert not ledger.withdraw(KEY, token, acquired_at=acquired_at)
    assert (ledger.standing(), ledger.total()) == (held, 4.0)
    assert not ledger.withdraw("nowhere", "t")


def test_steps_that_are_skipped_are_kept_once_each(ledger: ReadableLedger) -> None:
    for skip in ("p:1", "p:2", "p:1", ""):
        claim_of(ledger)
        assert ledger.withdraw(KEY, "t", skip=skip)
    chain = ledger.chain(KEY)
    assert chain is not None
    assert chain.skipped == ("p:1", "p:2")


# --- the times of a claim --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lease", "wait", "sends", "forgotten"),
    [
        (600, 120, 480, 600),
        (240, 120, 120, 240),
        (200, 120, 100, 220),
        (60, 120, 30, 150),
        (1, 120, 1, 121),
        (0, 120, 1, 121),
        (600, 0, 600, 600),
    ],
)
def test_when_a_holder_may_send_and_when_what_it_sent_is_listed(
    lease: int, wait: int, sends: int, forgotten: int
) -> None:
    claim = wanted(lease_until=NOW + timedelta(seconds=lease))
    lag = timedelta(seconds=wait)
    assert claim.send_before(lag) == NOW + timedelta(seconds=sends)
    assert claim.safe_to_recreate_at(lag) == NOW + timedelta(seconds=forgotten)
    given = replace(claim, lease_released=True)
    assert given.safe_to_recreate_at(lag) == claim.lease_until
    lost = replace(given, unanswered=NOW + timedelta(seconds=500))
    assert lost.safe_to_recreate_at(lag) == max(
        claim.lease_until, NOW + timedelta(seconds=500) + lag
    )


# --- what is set aside, when a step costs something else -------------------------------------------


def _retake(
    ledger: ReadableLedger, held: Claim, usd: float | None, limits: tuple[Limit, ...]
) -> Claim | None:
    later = held.lease_until
    renewed = wanted(estimated_usd=usd)
    return ledger.take_over(
        KEY, held, lease_until=later + LEASE, now=later, renewed=renewed, limits=limits
    )


def test_each_counter_is_held_to_its_own_limit(ledger: ReadableLedger) -> None:
    """An account's five dollars are used up by it alone, though the day has seen more."""
    ledger.store.run(lambda tx: tx.put("counters", DAY, {"total": 50.0}))
    limits = (limits_of()[1], *(Limit(key, "usd_per_day", most, 4.0)
                              for key, most in ((DAY, 100.0), (GROUP, 5.0))))  # fmt: skip
    held = claim_of(ledger, limits=limits)
    assert [one.key for one in held.reservations] == ["rate:all", DAY, GROUP]
    dearer = tuple(replace(one, amount=5.0) for one in limits)
    assert _retake(ledger, held, 5.1, dearer) is None
    acquired_at = _retake(ledger, held, 5.0, dearer)
    assert acquired_at is not None
    assert (ledger.total(), ledger.total(GROUP)) == (55.0, 5.0)
    assert [one.amount for one in acquired_at.reservations] == [1.0, 5.0, 5.0]


@pytest.mark.parametrize(("most", "fits"), [(4.2, False), (4.5, True)])
def test_a_little_dearer_is_dearer(ledger: ReadableLedger, most: float, fits: bool) -> None:
    held = claim_of(ledger)
    acquired_at = _retake(ledger, held, 4.5, limits_of(4.5, most))
    assert (acquired_at is not None) is fits
    assert ledger.total() == (4.5 if fits else 4.0)


def test_a_little_dearer_on_the_next_day_is_set_aside_there(ledger: ReadableLedger) -> None:
    held = claim_of(ledger)
    assert _retake(ledger, held, 4.5, limits_of(4.5, 9.0, "usd:2026-11-24")) is not None
    assert (ledger.total(), ledger.total("usd:2026-11-24")) == (0.0, 4.5)


def test_a_price_that_became_known_is_set_aside(ledger: ReadableLedger) -> None:
    held = claim_of(ledger, estimated_usd=None, limits=limits_of(0.0))
    assert _retake(ledger, held, 6.0, limits_of(6.0)) is not None
    assert ledger.total() == 6.0
