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


class Book(Ledger):
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
def book() -> Book:
    book = Book()
    book.open(_incident())
    return book


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
        "taken": NOW,
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


def _claim(book: Book, token: str = "t", **more: Any) -> Claim:
    limits = more.pop("limits", _limits())
    answer = book.claim(book.seen(), ROOT, _wanted(token, **more), now=NOW, limits=limits)
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


def _record(book: Book, attempt: Attempt | None = None, **following: Any) -> bool:
    attempt = attempt or _attempt()
    done = replace(book.seen(), stage=Stage.DONE, conclusion=Conclusion.RESUBMITTED)
    follows = _incident(
        100 + attempt.number,
        **{"stage": Stage.FOLLOWED, "root": KEY, "attempt": attempt.number, **following},
    )
    return book.record(KEY, book.standing().token, attempt, incident=done, following=follows)


# --- claim ------------------------------------------------------------------------------------------


def test_a_claim_moves_its_incident_on_and_is_found_by_its_token(book: Book) -> None:
    before = book.seen()
    claim = _claim(book)
    after = book.seen()
    assert after == replace(before, stage=Stage.ACTING, due=NOW + LEASE, version=before.version + 1)
    assert book.claimed_root("t") == KEY
    assert book.claimed_root("x") is None
    assert book.claimed_root("") is None
    assert claim == book.standing()
    assert claim == replace(
        _wanted(),
        reservations=(Reservation(DAY, 4.0, NOW), Reservation("rate:all", 1.0, NOW, 3600.0)),
    )
    chain = book.chain(KEY)
    assert chain is not None
    assert (chain.root, chain.reserved_usd, chain.version) == (ROOT, 4.0, 1)


def test_a_claim_without_a_price_sets_nothing_aside(book: Book) -> None:
    _claim(book, estimated_usd=None, limits=_limits(0.0))
    chain = book.chain(KEY)
    assert chain is not None
    assert chain.reserved_usd == 0.0


def test_every_limit_is_asked_and_each_refusal_is_named_once(book: Book) -> None:
    limits = (
        Limit(DAY, "usd_per_day", 3.0, 4.0),
        Limit(f"{DAY}:a:b", "usd_per_day", 3.0, 4.0),
        Limit("rate:all", "rate", 0.0, 1.0, 3600.0),
    )
    answer = book.claim(book.seen(), ROOT, _wanted(), now=NOW, limits=limits)
    assert (answer.claim, answer.refused_by) == (None, ("usd_per_day", "rate"))
    assert book.total() == 0.0
    assert book.chain(KEY) is None
    assert book.seen().stage is Stage.UNSETTLED


def test_a_limit_that_is_just_reached_is_no_refusal(book: Book) -> None:
    _claim(book, limits=_limits(4.0, most=4.0))
    assert book.total() == 4.0


@pytest.mark.parametrize("number", [0, 2])
def test_a_claim_for_another_number_is_stale(book: Book, number: int) -> None:
    answer = book.claim(book.seen(), ROOT, _wanted(number=number), now=NOW)
    assert answer.refused_by == ("stale",)


def test_a_second_claim_is_shown_the_first_and_its_attempts(book: Book) -> None:
    _claim(book)
    _record(book)
    again = replace(book.seen(), stage=Stage.UNSETTLED)
    assert book.move(again)
    first = _wanted("t2", number=2)
    assert book.claim(book.seen(), ROOT, first, now=NOW).mine
    answer = book.claim(book.seen(), ROOT, _wanted("t3", number=2), now=NOW, limits=_limits())
    assert answer.claim == book.standing()
    assert (answer.mine, answer.refused_by) == (False, ())
    assert [one.number for one in answer.attempts] == [1]
    assert book.total() == 4.0  # the third set nothing aside


# --- retake -------------------------------------------------------------------------------------------


def test_a_claim_that_is_taken_over_takes_the_new_step_under_the_old_token(book: Book) -> None:
    held = _claim(book)
    before = book.seen()
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
    taken = book.retake(KEY, held, lease_until=later + LEASE, now=later, renewed=renewed)
    assert taken == replace(
        held,
        policy="q",
        step=3,
        verdict="cpu_saturation",
        changes=(Change("g", 3, 4),),
        location="europe-west4",
        taken=later,
        lease_until=later + LEASE,
    )
    assert book.standing() == taken
    assert book.seen() == replace(before, due=later + LEASE)
    assert book.total() == 4.0


@pytest.mark.parametrize(
    "differs",
    [
        {"token": "x"},
        {"taken": NOW + MINUTE},
        {"lease_until": NOW},
        {"unanswered": NOW},
        {"given_back": True},
    ],
    ids=str,
)
def test_a_claim_that_changed_since_it_was_read_is_not_taken_over(
    book: Book, differs: dict[str, Any]
) -> None:
    held = _claim(book)
    later = NOW + LEASE
    read = replace(held, **differs)
    assert book.retake(KEY, read, lease_until=later + LEASE, now=later) is None
    assert book.standing() == held


def test_a_claim_is_not_taken_over_before_its_lease_is_over(book: Book) -> None:
    held = _claim(book)
    early = NOW + LEASE - timedelta(microseconds=1)
    assert book.retake(KEY, held, lease_until=early + LEASE, now=early) is None
    assert book.retake(KEY, held, lease_until=NOW + 2 * LEASE, now=NOW + LEASE) is not None


def test_what_has_no_claim_is_not_taken_over(book: Book) -> None:
    held = _claim(book)
    assert book.withdraw(KEY, "t")
    later = NOW + LEASE
    assert book.retake(KEY, held, lease_until=later + LEASE, now=later) is None
    assert book.retake("nowhere", held, lease_until=later + LEASE, now=later) is None


@pytest.mark.parametrize(
    ("usd", "most", "total"),
    [(6.0, 100.0, 6.0), (6.0, 6.0, 6.0), (6.0, 5.9, None), (1.0, 0.5, 1.0), (None, 9.0, 0.0)],
)
def test_a_new_price_is_exchanged_for_the_old_where_it_fits(
    book: Book, usd: float | None, most: float, total: float | None
) -> None:
    held = _claim(book)
    later = NOW + LEASE
    renewed = _wanted(estimated_usd=usd)
    limits = _limits(usd or 0.0, most)
    taken = book.retake(
        KEY, held, lease_until=later + LEASE, now=later, renewed=renewed, limits=limits
    )
    chain = book.chain(KEY)
    assert chain is not None
    if total is None:
        assert taken is None
        assert (book.total(), chain.reserved_usd, chain.claim) == (4.0, 4.0, held)
        return
    assert taken is not None
    assert (book.total(), chain.reserved_usd) == (total, total)
    assert taken.estimated_usd == usd
    assert [one.amount for one in taken.reservations] == [total, 1.0]
    assert len(book.marks()) == 1  # the rate was counted by the claim


def test_a_dearer_step_must_fit_beside_what_others_set_aside(book: Book) -> None:
    held = _claim(book)
    book.open(_incident(2))
    other = _wanted("o", incident="us-central1/customJobs/2")
    assert book.claim(
        book.seen("us-central1/customJobs/2"), _name(2), other, now=NOW, limits=_limits()
    ).mine
    assert book.total() == 8.0
    later = NOW + LEASE
    for most, taken in ((9.9, False), (10.0, True)):
        answer = book.retake(
            KEY,
            held,
            lease_until=later + LEASE,
            now=later,
            renewed=_wanted(estimated_usd=6.0),
            limits=_limits(6.0, most),
        )
        assert (answer is not None) is taken
    assert book.total() == 10.0


def test_a_dearer_step_on_the_next_day_is_set_aside_on_that_day(book: Book) -> None:
    book.store.run(lambda tx: tx.put("counters", "usd:2026-11-24", {"total": 3.0}))
    held = _claim(book)
    midnight = datetime(2026, 11, 24, 0, 5, tzinfo=UTC)
    renewed = _wanted(estimated_usd=6.0)
    tomorrow = _limits(6.0, 8.9, "usd:2026-11-24")
    kept = {"lease_until": midnight + LEASE, "now": midnight, "renewed": renewed}
    assert book.retake(KEY, held, limits=tomorrow, **kept) is None  # type: ignore[arg-type]
    assert (book.total(), book.total("usd:2026-11-24")) == (4.0, 3.0)
    fits = _limits(6.0, 9.0, "usd:2026-11-24")
    taken = book.retake(KEY, held, limits=fits, **kept)  # type: ignore[arg-type]
    assert taken is not None
    assert (book.total(), book.total("usd:2026-11-24")) == (0.0, 9.0)
    assert taken.reservations == (
        Reservation("rate:all", 1.0, NOW, 3600.0),
        Reservation("usd:2026-11-24", 6.0, midnight),
    )
    chain = book.chain(KEY)
    assert chain is not None
    assert chain.reserved_usd == 6.0


@pytest.mark.parametrize("room", [0.9, 1.0])
def test_a_cheaper_step_on_the_next_day_asks_that_days_budget_too(book: Book, room: float) -> None:
    """Its money will be spent on that day."""
    held = _claim(book)
    midnight = datetime(2026, 11, 24, 0, 5, tzinfo=UTC)
    taken = book.retake(
        KEY,
        held,
        lease_until=midnight + LEASE,
        now=midnight,
        renewed=_wanted(estimated_usd=1.0),
        limits=_limits(1.0, room, "usd:2026-11-24"),
    )
    fits = room >= 1.0
    assert (taken is not None) is fits
    assert (book.total(), book.total("usd:2026-11-24")) == ((0.0, 1.0) if fits else (4.0, 0.0))


# --- give back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("unanswered", [True, False])
def test_a_lease_that_is_given_back_leaves_the_claim(book: Book, unanswered: bool) -> None:
    held = _claim(book)
    before = book.seen()
    at = NOW + MINUTE
    book.give_back(KEY, "t", now=at, unanswered=unanswered, due=at + MINUTE, taken=held.taken)
    assert book.standing() == replace(
        held, lease_until=at, unanswered=at if unanswered else None, given_back=True
    )
    assert book.seen() == replace(before, due=at + MINUTE, version=before.version + 1)
    assert book.total() == 4.0


def test_what_went_unanswered_once_stays_so(book: Book) -> None:
    held = _claim(book)
    book.give_back(KEY, "t", now=NOW, unanswered=True, due=NOW, taken=held.taken)
    book.give_back(KEY, "t", now=NOW + MINUTE, unanswered=False, due=NOW, taken=held.taken)
    assert book.standing().unanswered == NOW
    assert book.standing().lease_until == NOW  # never later than it was


@pytest.mark.parametrize(("token", "taken"), [("x", NOW), ("t", NOW + MINUTE), ("x", NOW + MINUTE)])
def test_nobody_gives_back_what_is_in_another_hand(book: Book, token: str, taken: datetime) -> None:
    held = _claim(book)
    before = book.seen()
    book.give_back(KEY, token, now=NOW, unanswered=True, due=NOW, taken=taken)
    assert (book.standing(), book.seen()) == (held, before)
    book.give_back("nowhere", "t", now=NOW, unanswered=True, due=NOW)
    assert book.chain("nowhere") is None


# --- record -------------------------------------------------------------------------------------------


def test_what_was_made_is_written_in_the_chain_and_as_an_incident(book: Book) -> None:
    _claim(book)
    before = book.seen()
    assert _record(book)
    chain = book.chain(KEY)
    assert chain is not None
    assert (chain.claim, chain.attempts, chain.reserved_usd) == (None, (_attempt(),), 4.0)
    assert book.seen() == replace(
        before,
        stage=Stage.DONE,
        conclusion=Conclusion.RESUBMITTED,
        version=before.version + 1,
    )
    made = book.seen("us-central1/customJobs/101")
    assert (made.stage, made.root, made.attempt, made.version) == (Stage.FOLLOWED, KEY, 1, 1)
    assert book.root_of(made.key) == KEY
    kept = book.store.get("created", doc_id(made.key)) or {}
    assert [one["key"] for one in kept["reservations"]] == [DAY, "rate:all"]


def test_what_the_incident_became_meanwhile_does_not_hinder_the_record(book: Book) -> None:
    """Its version goes on from the stored one: a hand that read it before writes nothing over it."""
    _claim(book)
    stale = book.seen()
    book.give_back(KEY, "t", now=NOW, unanswered=False, due=NOW)
    version = book.seen().version
    done = replace(stale, stage=Stage.DONE)
    assert book.record(KEY, "t", _attempt(), incident=done, following=_incident(101))
    assert book.seen().version == version + 1
    assert not book.move(replace(stale, reason="late"))


def test_another_token_records_nothing(book: Book) -> None:
    held = _claim(book)
    assert not book.record(KEY, "x", _attempt(), incident=book.seen(), following=_incident(101))
    assert book.standing() == held
    assert book.incident("us-central1/customJobs/101") is None


def test_the_price_of_what_was_made_replaces_the_claims(book: Book) -> None:
    _claim(book)
    assert _record(book, _attempt(estimated_usd=5.5))
    chain = book.chain(KEY)
    assert chain is not None
    assert chain.reserved_usd == 5.5


def test_a_job_that_was_concluded_before_it_was_recorded_is_asked_again(book: Book) -> None:
    _claim(book)
    early = NOW - MINUTE
    book.open(
        _incident(
            101, stage=Stage.DONE, conclusion=Conclusion.IGNORED, first_known=early, version=4
        )
    )
    assert _record(book, due=NOW)
    made = book.seen("us-central1/customJobs/101")
    assert (made.stage, made.conclusion, made.due) == (Stage.FOLLOWED, Conclusion.NONE, NOW)
    assert (made.root, made.attempt, made.first_known, made.version) == (KEY, 1, early, 5)


@pytest.mark.parametrize("stage", [Stage.UNSETTLED, Stage.WAITING, Stage.ANNOUNCED])
def test_a_job_that_was_met_before_it_was_recorded_joins_the_chain_as_it_is(
    book: Book, stage: Stage
) -> None:
    _claim(book)
    book.open(_incident(101, stage=stage, reason="known", version=4))
    assert _record(book)
    made = book.seen("us-central1/customJobs/101")
    assert (made.stage, made.reason) == (stage, "known")
    assert (made.root, made.attempt, made.version) == (KEY, 1, 5)


def test_a_job_with_a_claim_of_its_own_stays_where_that_was_taken(book: Book) -> None:
    _claim(book)
    acting = _incident(101, stage=Stage.ACTING, version=4)
    book.open(acting)
    assert _record(book)
    assert book.seen("us-central1/customJobs/101") == acting


# --- withdraw -----------------------------------------------------------------------------------------


def test_a_withdrawn_claim_gives_back_its_money_and_its_mark_and_no_other(book: Book) -> None:
    book.open(_incident(2))
    other = _wanted("o", incident="us-central1/customJobs/2", taken=NOW - MINUTE)
    limits = _limits(3.0)
    earlier = NOW - MINUTE
    assert book.claim(
        book.seen("us-central1/customJobs/2"), _name(2), other, now=earlier, limits=limits
    ).mine
    _claim(book)
    assert (book.total(), len(book.marks())) == (7.0, 2)
    kept = book.marks()[0]
    assert book.withdraw(KEY, "t", skip="p:1", taken=NOW)
    assert (book.total(), book.marks()) == (3.0, [kept])
    chain = book.chain(KEY)
    assert chain is not None
    assert (chain.claim, chain.reserved_usd, chain.skipped) == (None, 0.0, ("p:1",))


@pytest.mark.parametrize(
    ("token", "taken"), [("x", None), ("x", NOW), ("t", NOW + MINUTE), ("x", NOW + MINUTE)]
)
def test_another_hands_claim_is_not_withdrawn(
    book: Book, token: str, taken: datetime | None
) -> None:
    held = _claim(book)
    assert not book.withdraw(KEY, token, taken=taken)
    assert (book.standing(), book.total()) == (held, 4.0)
    assert not book.withdraw("nowhere", "t")


def test_steps_that_are_skipped_are_kept_once_each(book: Book) -> None:
    for skip in ("p:1", "p:2", "p:1", ""):
        _claim(book)
        assert book.withdraw(KEY, "t", skip=skip)
    chain = book.chain(KEY)
    assert chain is not None
    assert chain.skipped == ("p:1", "p:2")


# --- step over ----------------------------------------------------------------------------------------


def _chain_of(book: Book, many: int) -> Chain:
    """A chain with so many attempts, each made for the one before it; every incident is concluded."""
    last = KEY
    for number in range(1, many + 1):
        incident = book.seen(last)
        token = f"t{number}"
        claim = _wanted(token, incident=last, number=number)
        waiting = replace(incident, stage=Stage.UNSETTLED, root=KEY)
        assert book.move(waiting)
        assert book.claim(book.seen(last), ROOT, claim, now=NOW).mine
        following = _incident(100 + number, stage=Stage.FOLLOWED, root=KEY, attempt=number)
        done = replace(
            book.seen(last), stage=Stage.DONE, conclusion=Conclusion.RESUBMITTED, due=None
        )
        attempt = _attempt(number, claim=token)
        assert book.record(KEY, token, attempt, incident=done, following=following)
        last = following.key
    chain = book.chain(KEY)
    assert chain is not None
    return chain


@pytest.mark.parametrize(("many", "asked"), [(1, 1), (2, 101), (3, 102)])
def test_what_a_skipped_attempt_was_made_for_is_asked_again(
    book: Book, many: int, asked: int
) -> None:
    _chain_of(book, many)
    gone = book.seen(f"us-central1/customJobs/{100 + many}")
    for_it = book.seen(f"us-central1/customJobs/{asked}")
    assert book.step_over(gone, skip="p:1", now=NOW + MINUTE)
    chain = book.chain(KEY)
    assert chain is not None
    assert chain.skipped == ("p:1",)
    assert [one.abandoned for one in chain.attempts] == [False] * (many - 1) + [True]
    assert book.seen(gone.key) == replace(
        gone, stage=Stage.DONE, conclusion=Conclusion.IGNORED, version=gone.version + 1
    )
    assert book.seen(for_it.key) == replace(
        for_it,
        stage=Stage.UNSETTLED,
        conclusion=Conclusion.NONE,
        due=NOW + MINUTE,
        version=for_it.version + 1,
    )


def test_two_attempts_in_a_row_may_be_skipped(book: Book) -> None:
    _chain_of(book, 2)
    gone = book.seen("us-central1/customJobs/102")
    assert book.step_over(gone, skip="p:1", now=NOW)
    first = book.seen("us-central1/customJobs/101")
    assert book.step_over(first, skip="p:2", now=NOW)
    assert book.seen(KEY).stage is Stage.UNSETTLED
    chain = book.chain(KEY)
    assert chain is not None
    assert chain.skipped == ("p:1", "p:2")
    assert [one.abandoned for one in chain.attempts] == [True, True]


def test_what_another_hand_moved_on_is_not_stepped_over(book: Book) -> None:
    _chain_of(book, 1)
    gone = book.seen("us-central1/customJobs/101")
    assert book.move(gone)
    before = dict(book.store.rows)
    assert not book.step_over(gone, skip="p:1", now=NOW)
    unknown = _incident(999, root=KEY)
    assert not book.step_over(unknown, skip="p:1", now=NOW)
    del book.store.rows["incidents", doc_id(KEY)]
    before = dict(book.store.rows)
    assert not book.step_over(book.seen(gone.key), skip="p:1", now=NOW)
    assert book.store.rows == before


# --- settle -------------------------------------------------------------------------------------------


def _settled(book: Book, number: int = 1, **more: Any) -> Chain:
    known: dict[str, Any] = {
        "state": JobState.SUCCEEDED,
        "ended": NOW + 60 * MINUTE,
        "usd": 2.5,
        "final": False,
    }
    return book.settle(KEY, f"us-central1/customJobs/{100 + number}", **{**known, **more})


def test_what_an_attempt_cost_replaces_what_was_set_aside(book: Book) -> None:
    book.store.run(lambda tx: tx.put("counters", DAY, {"total": 10.0}))
    _claim(book)
    _record(book)
    assert book.total() == 14.0
    version = book.chain(KEY).version  # type: ignore[union-attr]
    chain = _settled(book)
    assert chain == book.chain(KEY)
    assert (chain.spent_usd, chain.reserved_usd, chain.final) == (2.5, 0.0, False)
    assert chain.version == version + 1
    assert book.total() == 12.5
    (noted,) = chain.attempts
    assert (noted.state, noted.end_time) == (JobState.SUCCEEDED, NOW + 60 * MINUTE)
    assert len(book.marks()) == 1  # that it was made still counts


def test_it_is_settled_once(book: Book) -> None:
    _claim(book)
    _record(book)
    first = _settled(book)
    again = _settled(book, usd=50.0, state=JobState.FAILED)
    assert again == first
    closed = _settled(book, usd=50.0, final=True)
    assert closed == replace(first, final=True, version=first.version + 1)
    assert book.total() == 2.5


def test_a_cost_that_is_not_known_is_what_was_set_aside(book: Book) -> None:
    _claim(book)
    _record(book)
    chain = _settled(book, usd=None)
    assert (chain.spent_usd, chain.reserved_usd, book.total()) == (4.0, 0.0, 4.0)


def test_an_attempt_that_cost_nothing_costs_nothing(book: Book) -> None:
    _claim(book)
    _record(book)
    chain = _settled(book, usd=0.0)
    assert (chain.spent_usd, chain.reserved_usd, book.total()) == (0.0, 0.0, 0.0)


def test_of_several_attempts_the_one_that_ended_is_settled(book: Book) -> None:
    _chain_of(book, 3)
    chain = _settled(book, 2)
    states = [one.state for one in chain.attempts]
    assert states == [JobState.PENDING, JobState.SUCCEEDED, JobState.PENDING]
    assert (chain.spent_usd, chain.reserved_usd) == (2.5, 8.0)


def test_a_job_of_no_attempt_settles_nothing(book: Book) -> None:
    _claim(book)
    _record(book)
    before = book.chain(KEY)
    assert _settled(book, 7) == before
    assert book.total() == 4.0


def test_an_attempt_that_goes_on_is_noted_and_not_settled(book: Book) -> None:
    _claim(book)
    _record(book)
    chain = _settled(book, state=JobState.RUNNING, ended=None)
    assert (chain.attempts[0].state, chain.attempts[0].end_time) == (JobState.RUNNING, None)
    assert (chain.spent_usd, chain.reserved_usd, book.total()) == (0.0, 4.0, 4.0)
    assert chain == book.chain(KEY)


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
    assert claim.forgotten_at(lag) == NOW + timedelta(seconds=forgotten)
    given = replace(claim, given_back=True)
    assert given.forgotten_at(lag) == claim.lease_until
    lost = replace(given, unanswered=NOW + timedelta(seconds=500))
    assert lost.forgotten_at(lag) == max(claim.lease_until, NOW + timedelta(seconds=500) + lag)


# --- what is set aside, when a step costs something else ---------------------------------------------------

GROUP = f"{DAY}:service_account:a"


def _retake(book: Book, held: Claim, usd: float | None, limits: tuple[Limit, ...]) -> Claim | None:
    later = held.lease_until
    renewed = _wanted(estimated_usd=usd)
    return book.retake(
        KEY, held, lease_until=later + LEASE, now=later, renewed=renewed, limits=limits
    )


def test_each_counter_is_held_to_its_own_limit(book: Book) -> None:
    """An account's five dollars are used up by it alone, though the day has seen more."""
    book.store.run(lambda tx: tx.put("counters", DAY, {"total": 50.0}))
    limits = (_limits()[1], *(Limit(key, "usd_per_day", most, 4.0)
                              for key, most in ((DAY, 100.0), (GROUP, 5.0))))  # fmt: skip
    held = _claim(book, limits=limits)
    assert [one.key for one in held.reservations] == ["rate:all", DAY, GROUP]
    dearer = tuple(replace(one, amount=5.0) for one in limits)
    assert _retake(book, held, 5.1, dearer) is None
    taken = _retake(book, held, 5.0, dearer)
    assert taken is not None
    assert (book.total(), book.total(GROUP)) == (55.0, 5.0)
    assert [one.amount for one in taken.reservations] == [1.0, 5.0, 5.0]


@pytest.mark.parametrize(("most", "fits"), [(4.2, False), (4.5, True)])
def test_a_little_dearer_is_dearer(book: Book, most: float, fits: bool) -> None:
    held = _claim(book)
    taken = _retake(book, held, 4.5, _limits(4.5, most))
    assert (taken is not None) is fits
    assert book.total() == (4.5 if fits else 4.0)


def test_a_little_dearer_on_the_next_day_is_set_aside_there(book: Book) -> None:
    held = _claim(book)
    assert _retake(book, held, 4.5, _limits(4.5, 9.0, "usd:2026-11-24")) is not None
    assert (book.total(), book.total("usd:2026-11-24")) == (0.0, 4.5)


def test_a_price_that_became_known_is_set_aside(book: Book) -> None:
    held = _claim(book, estimated_usd=None, limits=_limits(0.0))
    assert _retake(book, held, 6.0, _limits(6.0)) is not None
    assert book.total() == 6.0


# --- what a running attempt has cost ---------------------------------------------------------------------

NEXT = "usd:2026-11-24"
_DAY, _NEXT = date(2026, 11, 23), date(2026, 11, 24)
_ATTEMPT = "us-central1/customJobs/101"


def test_what_a_running_attempt_costs_is_counted_in_the_days_it_runs_in(book: Book) -> None:
    book.store.run(lambda tx: tx.put("counters", DAY, {"total": 10.0}))
    _claim(book)
    _record(book)
    morning = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    chain = book.accrue(KEY, _ATTEMPT, usd_by_day={_DAY: 1.0, _NEXT: 2.0}, now=morning)
    assert chain == book.chain(KEY)
    assert (book.total(), book.total(NEXT)) == (11.0, 3.0)  # a dollar of the four is still to come
    assert chain.reserved_usd == 4.0
    kept = book.store.get("counters", NEXT) or {}
    assert kept["until"] == "2026-11-28T00:00:00Z"
    assert len(book.marks()) == 1
    assert book.accrue(KEY, _ATTEMPT, usd_by_day={_DAY: 1.0, _NEXT: 2.0}, now=morning) == chain
    chain = book.accrue(KEY, _ATTEMPT, usd_by_day={_DAY: 1.0, _NEXT: 5.0}, now=morning)
    assert (book.total(), book.total(NEXT), chain.reserved_usd) == (11.0, 5.0, 6.0)
    chain = _settled(book, usd=7.5, usd_by_day={_DAY: 1.5, _NEXT: 6.0})
    assert (book.total(), book.total(NEXT)) == (11.5, 6.0)
    assert (chain.spent_usd, chain.reserved_usd) == (7.5, 0.0)
    again = book.accrue(KEY, _ATTEMPT, usd_by_day={_NEXT: 99.0}, now=morning)
    assert (again, book.total(NEXT)) == (chain, 6.0)


def test_an_accounts_counter_is_booked_like_everybodys(book: Book) -> None:
    limits = (*_limits(), Limit(GROUP, "usd_per_day", 100.0, 4.0))
    _claim(book, limits=limits)
    _record(book)
    morning = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    book.accrue(KEY, _ATTEMPT, usd_by_day={_DAY: 1.0, _NEXT: 2.0}, now=morning)
    assert (book.total(GROUP), book.total(f"{NEXT}:service_account:a")) == (1.0, 3.0)
    kept = book.store.get("created", doc_id(_ATTEMPT)) or {}
    assert [(one["key"], one["amount"]) for one in kept["reservations"]] == [
        ("rate:all", 1.0), (DAY, 1.0), (NEXT, 3.0),
        (GROUP, 1.0), (f"{NEXT}:service_account:a", 3.0),
    ]  # fmt: skip
    assert {one["at"] for one in kept["reservations"][2:3]} == {"2026-11-24T00:00:00Z"}


def test_a_day_that_is_no_longer_kept_is_over(book: Book) -> None:
    _claim(book)
    _record(book)
    del book.store.rows["counters", DAY]
    morning = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    book.accrue(KEY, _ATTEMPT, usd_by_day={_DAY: 1.0, _NEXT: 2.0}, now=morning)
    assert ("counters", DAY) not in book.store.rows
    assert book.total(NEXT) == 3.0


def test_what_is_cheaper_than_was_set_aside_never_takes_others_money(book: Book) -> None:
    _claim(book)
    _record(book)
    book.store.run(lambda tx: tx.put("counters", DAY, {"total": 1.0}))  # somebody corrected it
    _settled(book, usd=0.5)
    assert book.total() == 0.0


def test_counters_expire_some_days_after_they_are_asked_for(book: Book) -> None:
    _claim(book)
    _, _, expires = book.store.rows["counters", DAY]
    assert expires == NOW + timedelta(days=3)


def test_the_stop_switch_refuses_and_sets_nothing_aside(book: Book) -> None:
    book.switch_stop(on=True, by="me", now=NOW)
    answer = book.claim(book.seen(), ROOT, _wanted(), now=NOW, limits=_limits())
    assert (answer.claim, answer.refused_by) == (None, ("stop_switch",))
    assert book.total() == 0.0
    book.switch_stop(on=False, by="me", now=NOW)
    assert book.claim(book.seen(), ROOT, _wanted(), now=NOW, limits=_limits()).mine


def test_a_claim_whose_answer_was_lost_is_still_the_callers(book: Book) -> None:
    before = book.seen()
    held = _claim(book)
    again = book.claim(before, ROOT, _wanted(), now=NOW, limits=_limits())
    assert (again.claim, again.mine) == (held, True)
    assert book.total() == 4.0


def test_the_first_failure_of_a_chain_is_the_one_that_is_kept(book: Book) -> None:
    for failed in (NOW - MINUTE, NOW):
        answer = book.claim(book.seen(), ROOT, _wanted(), now=NOW, first_failed=failed)
        assert answer.mine
        assert book.withdraw(KEY, "t")
    chain = book.chain(KEY)
    assert chain is not None
    assert chain.first_failed == NOW - MINUTE


def test_how_an_attempt_ended_is_kept_beside_what_is_known(book: Book) -> None:
    _chain_of(book, 2)
    for number in (1, 2):
        _settled(
            book, number, tracks=("policy:p", "model/m"), size={"machineType": "n1"}, seconds=9.0
        )
    kept = book.tracks(("policy:p", "model/m", "other"))
    assert [len(track) for track in kept.values()] == [2, 2, 0]
    (first, _) = kept["policy:p"]
    assert (first.at, first.succeeded, first.seconds) == (NOW + 60 * MINUTE, True, 9.0)
    assert first.size == {"machineType": "n1"}
    _, _, expires = book.store.rows["tracks", doc_id("policy:p")]
    assert expires == NOW + 60 * MINUTE + timedelta(days=400)


def test_what_is_used_may_be_asked_apart_from_ones_own(book: Book) -> None:
    held = _claim(book)
    money, rate = _limits()
    assert (book.used(money, NOW), book.used(rate, NOW)) == (4.0, 1.0)
    own, mark = held.reservations
    assert book.used(money, NOW, apart_from=own) == 0.0
    assert book.used(rate, NOW, apart_from=mark) == 0.0
    assert book.used(replace(money, key="usd:other"), NOW, apart_from=own) == 0.0
