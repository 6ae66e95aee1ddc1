"""What each verb of a claim writes, and what it leaves alone: on a ledger in memory, to the field.

`test_contract` holds both real stores to the promises; here is each field that a create or a budget
rests on.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from remediator.domain import Attempt, Change, JobState
from remediator.ledger import (
    Chain,
    Claim,
    Conclusion,
    Incident,
    Ledger,
    Limit,
    Stage,
)
from remediator.ledger.records import Reservation, doc_id
from tests.ledger.memory import MemoryStore

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
LEASE = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
DAY = "usd:2026-11-23"
ROOT = "projects/1/locations/us-central1/customJobs/1"
KEY = "us-central1/customJobs/1"


class ReadableLedger(Ledger):
    """A ledger in memory whose documents can be read."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        super().__init__(self.store)

    def seen(self, key: str = KEY) -> Incident:
        found = self.incident(key)
        assert found is not None
        return found

    def standing(self, key: str = KEY) -> Claim:
        found = self.chain(key)
        assert found is not None
        assert found.claim is not None
        return found.claim

    def total(self, key: str = DAY) -> float:
        body = self.store.get("counters", doc_id(key)) or {}
        return float(body.get("total", 0.0))

    def marks(self, key: str = "rate:all") -> list[list[float]]:
        body = self.store.get("counters", doc_id(key)) or {}
        return list(body.get("marks", ()))


@pytest.fixture
def ledger() -> ReadableLedger:
    ledger = ReadableLedger()
    ledger.open(_incident())
    return ledger


def _name(number: int) -> str:
    return f"projects/1/locations/us-central1/customJobs/{number}"


def _incident(number: int = 1, **more: Any) -> Incident:
    key = f"us-central1/customJobs/{number}"
    known = {"stage": Stage.UNSETTLED, "first_known": NOW, "root": key}
    return Incident(key=key, job=_name(number), **{**known, **more})


def _wanted(token: str = "t", **more: Any) -> Claim:
    known: dict[str, Any] = {
        "incident": KEY,
        "policy": "p",
        "step": 1,
        "number": 1,
        "verdict": "memory_pressure",
        "changes": (Change("f", 1, 2),),
        "acquired_at": NOW,
        "lease_until": NOW + LEASE,
        "estimated_usd": 4.0,
        "location": "us-central1",
    }
    return Claim(token=token, **{**known, **more})


def _limits(usd: float = 4.0, most: float = 100.0, key: str = DAY) -> tuple[Limit, ...]:
    return (
        Limit(key, "usd_per_day", most, usd),
        Limit("rate:all", "rate", 50.0, 1.0, 3600.0),
    )


def _claim(ledger: ReadableLedger, token: str = "t", **more: Any) -> Claim:
    limits = more.pop("limits", _limits())
    answer = ledger.claim(ledger.seen(), ROOT, _wanted(token, **more), now=NOW, limits=limits)
    assert answer.mine, answer.refused_by
    assert answer.claim is not None
    return answer.claim


def _attempt(number: int = 1, **more: Any) -> Attempt:
    known: dict[str, Any] = {
        "name": _name(100 + number),
        "state": JobState.PENDING,
        "create_time": NOW,
        "policy": "p",
        "step": 1,
        "verdict": "memory_pressure",
        "changes": (Change("f", 1, 2),),
        "claim": "t",
        "number": number,
        "estimated_usd": 4.0,
    }
    return Attempt(**{**known, **more})


def _record(ledger: ReadableLedger, attempt: Attempt | None = None, **following: Any) -> bool:
    attempt = attempt or _attempt()
    done = replace(ledger.seen(), stage=Stage.DONE, conclusion=Conclusion.RESUBMITTED)
    follows = _incident(
        100 + attempt.number,
        **{"stage": Stage.FOLLOWED, "root": KEY, "attempt": attempt.number, **following},
    )
    return ledger.record(KEY, ledger.standing().token, attempt, incident=done, following=follows)


# --- claim ------------------------------------------------------------------------------------------


def test_a_claim_moves_its_incident_on_and_is_found_by_its_token(ledger: ReadableLedger) -> None:
    before = ledger.seen()
    claim = _claim(ledger)
    after = ledger.seen()
    assert after == replace(before, stage=Stage.ACTING, due=NOW + LEASE, version=before.version + 1)
    assert ledger.claimed_root("t") == KEY
    assert ledger.claimed_root("x") is None
    assert ledger.claimed_root("") is None
    assert claim == ledger.standing()
    assert claim == replace(
        _wanted(),
        reservations=(Reservation(DAY, 4.0, NOW), Reservation("rate:all", 1.0, NOW, 3600.0)),
    )
    chain = ledger.chain(KEY)
    assert chain is not None
    assert (chain.root, chain.reserved_usd, chain.version) == (ROOT, 4.0, 1)


def test_a_claim_without_a_price_sets_nothing_aside(ledger: ReadableLedger) -> None:
    _claim(ledger, estimated_usd=None, limits=_limits(0.0))
    chain = ledger.chain(KEY)
    assert chain is not None
    assert chain.reserved_usd == 0.0


def test_every_limit_is_asked_and_each_refusal_is_named_once(ledger: ReadableLedger) -> None:
    limits = (
        Limit(DAY, "usd_per_day", 3.0, 4.0),
        Limit(f"{DAY}:a:b", "usd_per_day", 3.0, 4.0),
        Limit("rate:all", "rate", 0.0, 1.0, 3600.0),
    )
    answer = ledger.claim(ledger.seen(), ROOT, _wanted(), now=NOW, limits=limits)
    assert (answer.claim, answer.refused_by) == (None, ("usd_per_day", "rate"))
    assert ledger.total() == 0.0
    assert ledger.chain(KEY) is None
    assert ledger.seen().stage is Stage.UNSETTLED


def test_a_limit_that_is_just_reached_is_no_refusal(ledger: ReadableLedger) -> None:
    _claim(ledger, limits=_limits(4.0, most=4.0))
    assert ledger.total() == 4.0


@pytest.mark.parametrize("number", [0, 2])
def test_a_claim_for_another_number_is_stale(ledger: ReadableLedger, number: int) -> None:
    answer = ledger.claim(ledger.seen(), ROOT, _wanted(number=number), now=NOW)
    assert answer.refused_by == ("stale",)


def test_a_second_claim_is_shown_the_first_and_its_attempts(ledger: ReadableLedger) -> None:
    _claim(ledger)
    _record(ledger)
    again = replace(ledger.seen(), stage=Stage.UNSETTLED)
    assert ledger.move(again)
    first = _wanted("t2", number=2)
    assert ledger.claim(ledger.seen(), ROOT, first, now=NOW).mine
    answer = ledger.claim(ledger.seen(), ROOT, _wanted("t3", number=2), now=NOW, limits=_limits())
    assert answer.claim == ledger.standing()
    assert (answer.mine, answer.refused_by) == (False, ())
    assert [one.number for one in answer.attempts] == [1]
    assert ledger.total() == 4.0  # the third set nothing aside


# --- retake -------------------------------------------------------------------------------------------


def test_a_claim_that_is_taken_over_takes_the_new_step_under_the_old_token(
    ledger: ReadableLedger,
) -> None:
    held = _claim(ledger)
    before = ledger.seen()
    later = NOW + LEASE
    renewed = _wanted(
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
    held = _claim(ledger)
    later = NOW + LEASE
    read = replace(held, **differs)
    assert ledger.take_over(KEY, read, lease_until=later + LEASE, now=later) is None
    assert ledger.standing() == held


def test_a_claim_is_not_taken_over_before_its_lease_is_over(ledger: ReadableLedger) -> None:
    held = _claim(ledger)
    early = NOW + LEASE - timedelta(microseconds=1)
    assert ledger.take_over(KEY, held, lease_until=early + LEASE, now=early) is None
    assert ledger.take_over(KEY, held, lease_until=NOW + 2 * LEASE, now=NOW + LEASE) is not None


def test_what_has_no_claim_is_not_taken_over(ledger: ReadableLedger) -> None:
    held = _claim(ledger)
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
    held = _claim(ledger)
    later = NOW + LEASE
    renewed = _wanted(estimated_usd=usd)
    limits = _limits(usd or 0.0, most)
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
    held = _claim(ledger)
    ledger.open(_incident(2))
    other = _wanted("o", incident="us-central1/customJobs/2")
    assert ledger.claim(
        ledger.seen("us-central1/customJobs/2"), _name(2), other, now=NOW, limits=_limits()
    ).mine
    assert ledger.total() == 8.0
    later = NOW + LEASE
    for most, acquired_at in ((9.9, False), (10.0, True)):
        answer = ledger.take_over(
            KEY,
            held,
            lease_until=later + LEASE,
            now=later,
            renewed=_wanted(estimated_usd=6.0),
            limits=_limits(6.0, most),
        )
        assert (answer is not None) is acquired_at
    assert ledger.total() == 10.0


def test_a_dearer_step_on_the_next_day_is_set_aside_on_that_day(ledger: ReadableLedger) -> None:
    ledger.store.run(lambda tx: tx.put("counters", "usd:2026-11-24", {"total": 3.0}))
    held = _claim(ledger)
    midnight = datetime(2026, 11, 24, 0, 5, tzinfo=UTC)
    renewed = _wanted(estimated_usd=6.0)
    tomorrow = _limits(6.0, 8.9, "usd:2026-11-24")
    kept = {"lease_until": midnight + LEASE, "now": midnight, "renewed": renewed}
    assert ledger.take_over(KEY, held, limits=tomorrow, **kept) is None  # type: ignore[arg-type]
    assert (ledger.total(), ledger.total("usd:2026-11-24")) == (4.0, 3.0)
    fits = _limits(6.0, 9.0, "usd:2026-11-24")
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
    held = _claim(ledger)
    midnight = datetime(2026, 11, 24, 0, 5, tzinfo=UTC)
    acquired_at = ledger.take_over(
        KEY,
        held,
        lease_until=midnight + LEASE,
        now=midnight,
        renewed=_wanted(estimated_usd=1.0),
        limits=_limits(1.0, room, "usd:2026-11-24"),
    )
    fits = room >= 1.0
    assert (acquired_at is not None) is fits
    assert (ledger.total(), ledger.total("usd:2026-11-24")) == ((0.0, 1.0) if fits else (4.0, 0.0))


# --- give back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("unanswered", [True, False])
def test_a_lease_that_is_given_back_leaves_the_claim(
    ledger: ReadableLedger, unanswered: bool
) -> None:
    held = _claim(ledger)
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
    held = _claim(ledger)
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
    held = _claim(ledger)
    before = ledger.seen()
    ledger.release_lease(KEY, token, now=NOW, unanswered=True, due=NOW, acquired_at=acquired_at)
    assert (ledger.standing(), ledger.seen()) == (held, before)
    ledger.release_lease("nowhere", "t", now=NOW, unanswered=True, due=NOW)
    assert ledger.chain("nowhere") is None


# --- record -------------------------------------------------------------------------------------------


def test_what_was_made_is_written_in_the_chain_and_as_an_incident(ledger: ReadableLedger) -> None:
    _claim(ledger)
    before = ledger.seen()
    assert _record(ledger)
    chain = ledger.chain(KEY)
    assert chain is not None
    assert (chain.claim, chain.attempts, chain.reserved_usd) == (None, (_attempt(),), 4.0)
    assert ledger.seen() == replace(
        before,
        stage=Stage.DONE,
        conclusion=Conclusion.RESUBMITTED,
        version=before.version + 1,
    )
    made = ledger.seen("us-central1/customJobs/101")
    assert (made.stage, made.root, made.attempt, made.version) == (Stage.FOLLOWED, KEY, 1, 1)
    assert ledger.root_of(made.key) == KEY
    kept = ledger.store.get("created", doc_id(made.key)) or {}
    assert [one["key"] for one in kept["reservations"]] == [DAY, "rate:all"]


def test_what_the_incident_became_meanwhile_does_not_hinder_the_record(
    ledger: ReadableLedger,
) -> None:
    """Its version goes on from the stored one: an execution that read it before writes nothing over it."""
    _claim(ledger)
    stale = ledger.seen()
    ledger.release_lease(KEY, "t", now=NOW, unanswered=False, due=NOW)
    version = ledger.seen().version
    done = replace(stale, stage=Stage.DONE)
    assert ledger.record(KEY, "t", _attempt(), incident=done, following=_incident(101))
    assert ledger.seen().version == version + 1
    assert not ledger.move(replace(stale, reason="late"))


def test_another_token_records_nothing(ledger: ReadableLedger) -> None:
    held = _claim(ledger)
    assert not ledger.record(KEY, "x", _attempt(), incident=ledger.seen(), following=_incident(101))
    assert ledger.standing() == held
    assert ledger.incident("us-central1/customJobs/101") is None


def test_the_price_of_what_was_made_replaces_the_claims(ledger: ReadableLedger) -> None:
    _claim(ledger)
    assert _record(ledger, _attempt(estimated_usd=5.5))
    chain = ledger.chain(KEY)
    assert chain is not None
    assert chain.reserved_usd == 5.5


def test_a_job_that_was_concluded_before_it_was_recorded_is_asked_again(
    ledger: ReadableLedger,
) -> None:
    _claim(ledger)
    early = NOW - MINUTE
    ledger.open(
        _incident(
            101, stage=Stage.DONE, conclusion=Conclusion.IGNORED, first_known=early, version=4
        )
    )
    assert _record(ledger, due=NOW)
    made = ledger.seen("us-central1/customJobs/101")
    assert (made.stage, made.conclusion, made.due) == (Stage.FOLLOWED, Conclusion.NONE, NOW)
    assert (made.root, made.attempt, made.first_known, made.version) == (KEY, 1, early, 5)


@pytest.mark.parametrize("stage", [Stage.UNSETTLED, Stage.WAITING, Stage.ANNOUNCED])
def test_a_job_that_was_met_before_it_was_recorded_joins_the_chain_as_it_is(
    ledger: ReadableLedger, stage: Stage
) -> None:
    _claim(ledger)
    ledger.open(_incident(101, stage=stage, reason="known", version=4))
    assert _record(ledger)
    made = ledger.seen("us-central1/customJobs/101")
    assert (made.stage, made.reason) == (stage, "known")
    assert (made.root, made.attempt, made.version) == (KEY, 1, 5)


def test_a_job_with_a_claim_of_its_own_stays_where_that_was_taken(ledger: ReadableLedger) -> None:
    _claim(ledger)
    acting = _incident(101, stage=Stage.ACTING, version=4)
    ledger.open(acting)
    assert _record(ledger)
    assert ledger.seen("us-central1/customJobs/101") == acting


# --- withdraw -----------------------------------------------------------------------------------------


def test_a_withdrawn_claim_gives_back_its_money_and_its_mark_and_no_other(
    ledger: ReadableLedger,
) -> None:
    ledger.open(_incident(2))
    other = _wanted("o", incident="us-central1/customJobs/2", acquired_at=NOW - MINUTE)
    limits = _limits(3.0)
    earlier = NOW - MINUTE
    assert ledger.claim(
        ledger.seen("us-central1/customJobs/2"), _name(2), other, now=earlier, limits=limits
    ).mine
    _claim(ledger)
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
    held = _claim(ledger)
    assert not ledger.withdraw(KEY, token, acquired_at=acquired_at)
    assert (ledger.standing(), ledger.total()) == (held, 4.0)
    assert not ledger.withdraw("nowhere", "t")


def test_steps_that_are_skipped_are_kept_once_each(ledger: ReadableLedger) -> None:
    for skip in ("p:1", "p:2", "p:1", ""):
        _claim(ledger)
        assert ledger.withdraw(KEY, "t", skip=skip)
    chain = ledger.chain(KEY)
    assert chain is not None
    assert chain.skipped == ("p:1", "p:2")


# --- step over ----------------------------------------------------------------------------------------


def _chain_of(ledger: ReadableLedger, many: int) -> Chain:
    """A chain with so many attempts, each made for the one before it; every incident is concluded."""
    last = KEY
    for number in range(1, many + 1):
        incident = ledger.seen(last)
        token = f"t{number}"
        claim = _wanted(token, incident=last, number=number)
        waiting = replace(incident, stage=Stage.UNSETTLED, root=KEY)
        assert ledger.move(waiting)
        assert ledger.claim(ledger.seen(last), ROOT, claim, now=NOW).mine
        following = _incident(100 + number, stage=Stage.FOLLOWED, root=KEY, attempt=number)
        done = replace(
            ledger.seen(last), stage=Stage.DONE, conclusion=Conclusion.RESUBMITTED, due=None
        )
        attempt = _attempt(number, claim=token)
        assert ledger.record(KEY, token, attempt, incident=done, following=following)
        last = following.key
    chain = ledger.chain(KEY)
    assert chain is not None
    return chain


@pytest.mark.parametrize(("many", "asked"), [(1, 1), (2, 101), (3, 102)])
def test_what_a_skipped_attempt_was_made_for_is_asked_again(
    ledger: ReadableLedger, many: int, asked: int
) -> None:
    _chain_of(ledger, many)
    gone = ledger.seen(f"us-central1/customJobs/{100 + many}")
    for_it = ledger.seen(f"us-central1/customJobs/{asked}")
    assert ledger.step_over(gone, skip="p:1", now=NOW + MINUTE)
    chain = ledger.chain(KEY)
    assert chain is not None
    assert chain.skipped == ("p:1",)
    assert [one.abandoned for one in chain.attempts] == [False] * (many - 1) + [True]
    assert ledger.seen(gone.key) == replace(
        gone, stage=Stage.DONE, conclusion=Conclusion.IGNORED, version=gone.version + 1
    )
    assert ledger.seen(for_it.key) == replace(
        for_it,
        stage=Stage.UNSETTLED,
        conclusion=Conclusion.NONE,
        due=NOW + MINUTE,
        version=for_it.version + 1,
    )


def test_two_attempts_in_a_row_may_be_skipped(ledger: ReadableLedger) -> None:
    _chain_of(ledger, 2)
    gone = ledger.seen("us-central1/customJobs/102")
    assert ledger.step_over(gone, skip="p:1", now=NOW)
    first = ledger.seen("us-central1/customJobs/101")
    assert ledger.step_over(first, skip="p:2", now=NOW)
    assert ledger.seen(KEY).stage is Stage.UNSETTLED
    chain = ledger.chain(KEY)
    assert chain is not None
    assert chain.skipped == ("p:1", "p:2")
    assert [one.abandoned for one in chain.attempts] == [True, True]


def test_what_another_hand_moved_on_is_not_stepped_over(ledger: ReadableLedger) -> None:
    _chain_of(ledger, 1)
    gone = ledger.seen("us-central1/customJobs/101")
    assert ledger.move(gone)
    before = dict(ledger.store.rows)
    assert not ledger.step_over(gone, skip="p:1", now=NOW)
    unknown = _incident(999, root=KEY)
    assert not ledger.step_over(unknown, skip="p:1", now=NOW)
    del ledger.store.rows["incidents", doc_id(KEY)]
    before = dict(ledger.store.rows)
    assert not ledger.step_over(ledger.seen(gone.key), skip="p:1", now=NOW)
    assert ledger.store.rows == before


# --- settle -------------------------------------------------------------------------------------------


def _settled(ledger: ReadableLedger, number: int = 1, **more: Any) -> Chain:
    known: dict[str, Any] = {
        "state": JobState.SUCCEEDED,
        "ended": NOW + 60 * MINUTE,
        "usd": 2.5,
        "final": False,
    }
    return ledger.settle(KEY, f"us-central1/customJobs/{100 + number}", **{**known, **more})


def test_what_an_attempt_cost_replaces_what_was_set_aside(ledger: ReadableLedger) -> None:
    ledger.store.run(lambda tx: tx.put("counters", DAY, {"total": 10.0}))
    _claim(ledger)
    _record(ledger)
    assert ledger.total() == 14.0
    version = ledger.chain(KEY).version  # type: ignore[union-attr]
    chain = _settled(ledger)
    assert chain == ledger.chain(KEY)
    assert (chain.spent_usd, chain.reserved_usd, chain.final) == (2.5, 0.0, False)
    assert chain.version == version + 1
    assert ledger.total() == 12.5
    (noted,) = chain.attempts
    assert (noted.state, noted.end_time) == (JobState.SUCCEEDED, NOW + 60 * MINUTE)
    assert len(ledger.marks()) == 1  # that it was made still counts


def test_it_is_settled_once(ledger: ReadableLedger) -> None:
    _claim(ledger)
    _record(ledger)
    first = _settled(ledger)
    again = _settled(ledger, usd=50.0, state=JobState.FAILED)
    assert again == first
    closed = _settled(ledger, usd=50.0, final=True)
    assert closed == replace(first, final=True, version=first.version + 1)
    assert ledger.total() == 2.5


def test_a_cost_that_is_not_known_is_what_was_set_aside(ledger: ReadableLedger) -> None:
    _claim(ledger)
    _record(ledger)
    chain = _settled(ledger, usd=None)
    assert (chain.spent_usd, chain.reserved_usd, ledger.total()) == (4.0, 0.0, 4.0)


def test_an_attempt_that_cost_nothing_costs_nothing(ledger: ReadableLedger) -> None:
    _claim(ledger)
    _record(ledger)
    chain = _settled(ledger, usd=0.0)
    assert (chain.spent_usd, chain.reserved_usd, ledger.total()) == (0.0, 0.0, 0.0)


def test_of_several_attempts_the_one_that_ended_is_settled(ledger: ReadableLedger) -> None:
    _chain_of(ledger, 3)
    chain = _settled(ledger, 2)
    states = [one.state for one in chain.attempts]
    assert states == [JobState.PENDING, JobState.SUCCEEDED, JobState.PENDING]
    assert (chain.spent_usd, chain.reserved_usd) == (2.5, 8.0)


def test_a_job_of_no_attempt_settles_nothing(ledger: ReadableLedger) -> None:
    _claim(ledger)
    _record(ledger)
    before = ledger.chain(KEY)
    assert _settled(ledger, 7) == before
    assert ledger.total() == 4.0


def test_an_attempt_that_goes_on_is_noted_and_not_settled(ledger: ReadableLedger) -> None:
    _claim(ledger)
    _record(ledger)
    chain = _settled(ledger, state=JobState.RUNNING, ended=None)
    assert (chain.attempts[0].state, chain.attempts[0].end_time) == (JobState.RUNNING, None)
    assert (chain.spent_usd, chain.reserved_usd, ledger.total()) == (0.0, 4.0, 4.0)
    assert chain == ledger.chain(KEY)


# --- the times of a claim -------------------------------------------------------------------------------


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
    claim = _wanted(lease_until=NOW + timedelta(seconds=lease))
    lag = timedelta(seconds=wait)
    assert claim.send_before(lag) == NOW + timedelta(seconds=sends)
    assert claim.safe_to_recreate_at(lag) == NOW + timedelta(seconds=forgotten)
    given = replace(claim, lease_released=True)
    assert given.safe_to_recreate_at(lag) == claim.lease_until
    lost = replace(given, unanswered=NOW + timedelta(seconds=500))
    assert lost.safe_to_recreate_at(lag) == max(
        claim.lease_until, NOW + timedelta(seconds=500) + lag
    )


# --- what is set aside, when a step costs something else ---------------------------------------------------

GROUP = f"{DAY}:service_account:a"


def _retake(
    ledger: ReadableLedger, held: Claim, usd: float | None, limits: tuple[Limit, ...]
) -> Claim | None:
    later = held.lease_until
    renewed = _wanted(estimated_usd=usd)
    return ledger.take_over(
        KEY, held, lease_until=later + LEASE, now=later, renewed=renewed, limits=limits
    )


def test_each_counter_is_held_to_its_own_limit(ledger: ReadableLedger) -> None:
    """An account's five dollars are used up by it alone, though the day has seen more."""
    ledger.store.run(lambda tx: tx.put("counters", DAY, {"total": 50.0}))
    limits = (_limits()[1], *(Limit(key, "usd_per_day", most, 4.0)
                              for key, most in ((DAY, 100.0), (GROUP, 5.0))))  # fmt: skip
    held = _claim(ledger, limits=limits)
    assert [one.key for one in held.reservations] == ["rate:all", DAY, GROUP]
    dearer = tuple(replace(one, amount=5.0) for one in limits)
    assert _retake(ledger, held, 5.1, dearer) is None
    acquired_at = _retake(ledger, held, 5.0, dearer)
    assert acquired_at is not None
    assert (ledger.total(), ledger.total(GROUP)) == (55.0, 5.0)
    assert [one.amount for one in acquired_at.reservations] == [1.0, 5.0, 5.0]


@pytest.mark.parametrize(("most", "fits"), [(4.2, False), (4.5, True)])
def test_a_little_dearer_is_dearer(ledger: ReadableLedger, most: float, fits: bool) -> None:
    held = _claim(ledger)
    acquired_at = _retake(ledger, held, 4.5, _limits(4.5, most))
    assert (acquired_at is not None) is fits
    assert ledger.total() == (4.5 if fits else 4.0)


def test_a_little_dearer_on_the_next_day_is_set_aside_there(ledger: ReadableLedger) -> None:
    held = _claim(ledger)
    assert _retake(ledger, held, 4.5, _limits(4.5, 9.0, "usd:2026-11-24")) is not None
    assert (ledger.total(), ledger.total("usd:2026-11-24")) == (0.0, 4.5)


def test_a_price_that_became_known_is_set_aside(ledger: ReadableLedger) -> None:
    held = _claim(ledger, estimated_usd=None, limits=_limits(0.0))
    assert _retake(ledger, held, 6.0, _limits(6.0)) is not None
    assert ledger.total() == 6.0


# --- what a running attempt has cost ---------------------------------------------------------------------

NEXT = "usd:2026-11-24"
_DAY, _NEXT = date(2026, 11, 23), date(2026, 11, 24)
_ATTEMPT = "us-central1/customJobs/101"


def test_what_a_running_attempt_costs_is_counted_in_the_days_it_runs_in(
    ledger: ReadableLedger,
) -> None:
    ledger.store.run(lambda tx: tx.put("counters", DAY, {"total": 10.0}))
    _claim(ledger)
    _record(ledger)
    morning = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    chain = ledger.accrue(KEY, _ATTEMPT, usd_by_day={_DAY: 1.0, _NEXT: 2.0}, now=morning)
    assert chain == ledger.chain(KEY)
    assert (ledger.total(), ledger.total(NEXT)) == (
        11.0,
        3.0,
    )  # a dollar of the four is still to come
    assert chain.reserved_usd == 4.0
    kept = ledger.store.get("counters", NEXT) or {}
    assert kept["until"] == "2026-11-28T00:00:00Z"
    assert len(ledger.marks()) == 1
    assert ledger.accrue(KEY, _ATTEMPT, usd_by_day={_DAY: 1.0, _NEXT: 2.0}, now=morning) == chain
    chain = ledger.accrue(KEY, _ATTEMPT, usd_by_day={_DAY: 1.0, _NEXT: 5.0}, now=morning)
    assert (ledger.total(), ledger.total(NEXT), chain.reserved_usd) == (11.0, 5.0, 6.0)
    chain = _settled(ledger, usd=7.5, usd_by_day={_DAY: 1.5, _NEXT: 6.0})
    assert (ledger.total(), ledger.total(NEXT)) == (11.5, 6.0)
    assert (chain.spent_usd, chain.reserved_usd) == (7.5, 0.0)
    again = ledger.accrue(KEY, _ATTEMPT, usd_by_day={_NEXT: 99.0}, now=morning)
    assert (again, ledger.total(NEXT)) == (chain, 6.0)


def test_an_accounts_counter_is_booked_like_everybodys(ledger: ReadableLedger) -> None:
    limits = (*_limits(), Limit(GROUP, "usd_per_day", 100.0, 4.0))
    _claim(ledger, limits=limits)
    _record(ledger)
    morning = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    ledger.accrue(KEY, _ATTEMPT, usd_by_day={_DAY: 1.0, _NEXT: 2.0}, now=morning)
    assert (ledger.total(GROUP), ledger.total(f"{NEXT}:service_account:a")) == (1.0, 3.0)
    kept = ledger.store.get("created", doc_id(_ATTEMPT)) or {}
    assert [(one["key"], one["amount"]) for one in kept["reservations"]] == [
        ("rate:all", 1.0), (DAY, 1.0), (NEXT, 3.0),
        (GROUP, 1.0), (f"{NEXT}:service_account:a", 3.0),
    ]  # fmt: skip
    assert {one["at"] for one in kept["reservations"][2:3]} == {"2026-11-24T00:00:00Z"}


def test_a_day_that_is_no_longer_kept_is_over(ledger: ReadableLedger) -> None:
    _claim(ledger)
    _record(ledger)
    del ledger.store.rows["counters", DAY]
    morning = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    ledger.accrue(KEY, _ATTEMPT, usd_by_day={_DAY: 1.0, _NEXT: 2.0}, now=morning)
    assert ("counters", DAY) not in ledger.store.rows
    assert ledger.total(NEXT) == 3.0


def test_what_is_cheaper_than_was_set_aside_never_takes_others_money(
    ledger: ReadableLedger,
) -> None:
    _claim(ledger)
    _record(ledger)
    ledger.store.run(lambda tx: tx.put("counters", DAY, {"total": 1.0}))  # somebody corrected it
    _settled(ledger, usd=0.5)
    assert ledger.total() == 0.0


def test_counters_expire_some_days_after_they_are_asked_for(ledger: ReadableLedger) -> None:
    _claim(ledger)
    _, _, expires = ledger.store.rows["counters", DAY]
    assert expires == NOW + timedelta(days=3)


def test_the_stop_switch_refuses_and_sets_nothing_aside(ledger: ReadableLedger) -> None:
    ledger.switch_stop(on=True, by="me", now=NOW)
    answer = ledger.claim(ledger.seen(), ROOT, _wanted(), now=NOW, limits=_limits())
    assert (answer.claim, answer.refused_by) == (None, ("stop_switch",))
    assert ledger.total() == 0.0
    ledger.switch_stop(on=False, by="me", now=NOW)
    assert ledger.claim(ledger.seen(), ROOT, _wanted(), now=NOW, limits=_limits()).mine


def test_a_claim_whose_answer_was_lost_is_still_the_callers(ledger: ReadableLedger) -> None:
    before = ledger.seen()
    held = _claim(ledger)
    again = ledger.claim(before, ROOT, _wanted(), now=NOW, limits=_limits())
    assert (again.claim, again.mine) == (held, True)
    assert ledger.total() == 4.0


def test_the_first_failure_of_a_chain_is_the_one_that_is_kept(ledger: ReadableLedger) -> None:
    for failed in (NOW - MINUTE, NOW):
        answer = ledger.claim(ledger.seen(), ROOT, _wanted(), now=NOW, first_failed=failed)
        assert answer.mine
        assert ledger.withdraw(KEY, "t")
    chain = ledger.chain(KEY)
    assert chain is not None
    assert chain.first_failed == NOW - MINUTE


def test_how_an_attempt_ended_is_kept_beside_what_is_known(ledger: ReadableLedger) -> None:
    _chain_of(ledger, 2)
    for number in (1, 2):
        _settled(
            ledger,
            number,
            outcome_keys=("policy:p", "model/m"),
            size={"machineType": "n1"},
            seconds=9.0,
        )
    kept = ledger.outcome_history(("policy:p", "model/m", "other"))
    assert [len(track) for track in kept.values()] == [2, 2, 0]
    (first, _) = kept["policy:p"]
    assert (first.at, first.succeeded, first.seconds) == (NOW + 60 * MINUTE, True, 9.0)
    assert first.size == {"machineType": "n1"}
    _, _, expires = ledger.store.rows["tracks", doc_id("policy:p")]
    assert expires == NOW + 60 * MINUTE + timedelta(days=400)


def test_what_is_used_may_be_asked_apart_from_ones_own(ledger: ReadableLedger) -> None:
    held = _claim(ledger)
    money, rate = _limits()
    assert (ledger.used(money, NOW), ledger.used(rate, NOW)) == (4.0, 1.0)
    own, mark = held.reservations
    assert ledger.used(money, NOW, apart_from=own) == 0.0
    assert ledger.used(rate, NOW, apart_from=mark) == 0.0
    assert ledger.used(replace(money, key="usd:other"), NOW, apart_from=own) == 0.0
