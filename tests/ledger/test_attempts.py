"""What becomes of an attempt in the ledger: recorded, stepped over, counted while it runs, settled."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.domain import JobState
from remediator.ledger import (
    Chain,
    Conclusion,
    Limit,
    Stage,
)
from remediator.ledger.records import doc_id
from tests.ledger.claim_cases import (
    DAY,
    GROUP,
    KEY,
    MINUTE,
    NOW,
    ROOT,
    ReadableLedger,
    attempt_of,
    claim_of,
    incident_of,
    limits_of,
    opened_ledger,
    record,
    wanted,
)

# --- record ----------------------------------------------------------------------------------------


@pytest.fixture
def ledger() -> ReadableLedger:
    return opened_ledger()


def test_what_was_made_is_written_in_the_chain_and_as_an_incident(ledger: ReadableLedger) -> None:
    claim_of(ledger)
    before = ledger.seen()
    assert record(ledger)
    chain = ledger.chain(KEY)
    assert chain is not None
    assert (chain.claim, chain.attempts, chain.reserved_usd) == (None, (attempt_of(),), 4.0)
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
    claim_of(ledger)
    stale = ledger.seen()
    ledger.release_lease(KEY, "t", now=NOW, unanswered=False, due=NOW)
    version = ledger.seen().version
    done = replace(stale, stage=Stage.DONE)
    assert ledger.record(KEY, "t", attempt_of(), incident=done, following=incident_of(101))
    assert ledger.seen().version == version + 1
    assert not ledger.move(replace(stale, reason="late"))


def test_another_token_records_nothing(ledger: ReadableLedger) -> None:
    held = claim_of(ledger)
    assert not ledger.record(
        KEY, "x", attempt_of(), incident=ledger.seen(), following=incident_of(101)
    )
    assert ledger.standing() == held
    assert ledger.incident("us-central1/customJobs/101") is None


def test_the_price_of_what_was_made_replaces_the_claims(ledger: ReadableLedger) -> None:
    claim_of(ledger)
    assert record(ledger, attempt_of(estimated_usd=5.5))
    chain = ledger.chain(KEY)
    assert chain is not None
    assert chain.reserved_usd == 5.5


def test_a_job_that_was_concluded_before_it_was_recorded_is_asked_again(
    ledger: ReadableLedger,
) -> None:
    claim_of(ledger)
    early = NOW - MINUTE
    ledger.open(
        incident_of(
            101, stage=Stage.DONE, conclusion=Conclusion.IGNORED, first_known=early, version=4
        )
    )
    assert record(ledger, due=NOW)
    made = ledger.seen("us-central1/customJobs/101")
    assert (made.stage, made.conclusion, made.due) == (Stage.FOLLOWED, Conclusion.NONE, NOW)
    assert (made.root, made.attempt, made.first_known, made.version) == (KEY, 1, early, 5)


@pytest.mark.parametrize("stage", [Stage.UNSETTLED, Stage.WAITING, Stage.ANNOUNCED])
def test_a_job_that_was_met_before_it_was_recorded_joins_the_chain_as_it_is(
    ledger: ReadableLedger, stage: Stage
) -> None:
    claim_of(ledger)
    ledger.open(incident_of(101, stage=stage, reason="known", version=4))
    assert record(ledger)
    made = ledger.seen("us-central1/customJobs/101")
    assert (made.stage, made.reason) == (stage, "known")
    assert (made.root, made.attempt, made.version) == (KEY, 1, 5)


def test_a_job_with_a_claim_of_its_own_stays_where_that_was_taken(ledger: ReadableLedger) -> None:
    claim_of(ledger)
    acting = incident_of(101, stage=Stage.ACTING, version=4)
    ledger.open(acting)
    assert record(ledger)
    assert ledger.seen("us-central1/customJobs/101") == acting


# --- step over -------------------------------------------------------------------------------------


def _chain_of(ledger: ReadableLedger, many: int) -> Chain:
    """A chain with so many attempts, each made for the one before it; every incident is concluded."""
    last = KEY
    for number in range(1, many + 1):
        incident = ledger.seen(last)
        token = f"t{number}"
        claim = wanted(token, incident=last, number=number)
        waiting = replace(incident, stage=Stage.UNSETTLED, root=KEY)
        assert ledger.move(waiting)
        assert ledger.claim(ledger.seen(last), ROOT, claim, now=NOW).mine
        following = incident_of(100 + number, stage=Stage.FOLLOWED, root=KEY, attempt=number)
        done = replace(
            ledger.seen(last), stage=Stage.DONE, conclusion=Conclusion.RESUBMITTED, due=None
        )
        attempt = attempt_of(number, claim=token)
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
    unknown = incident_of(999, root=KEY)
    assert not ledger.step_over(unknown, skip="p:1", now=NOW)
    del ledger.store.rows["incidents", doc_id(KEY)]
    before = dict(ledger.store.rows)
    assert not ledger.step_over(ledger.seen(gone.key), skip="p:1", now=NOW)
    assert ledger.store.rows == before


# --- settle ----------------------------------------------------------------------------------------


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
    claim_of(ledger)
    record(ledger)
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
    claim_of(ledger)
    record(ledger)
    first = _settled(ledger)
    again = _settled(ledger, usd=50.0, state=JobState.FAILED)
    assert again == first
    closed = _settled(ledger, usd=50.0, final=True)
    assert closed == replace(first, final=True, version=first.version + 1)
    assert ledger.total() == 2.5


def test_a_cost_that_is_not_known_is_what_was_set_aside(ledger: ReadableLedger) -> None:
    claim_of(ledger)
    record(ledger)
    chain = _settled(ledger, usd=None)
    assert (chain.spent_usd, chain.reserved_usd, ledger.total()) == (4.0, 0.0, 4.0)


def test_an_attempt_that_cost_nothing_costs_nothing(ledger: ReadableLedger) -> None:
    claim_of(ledger)
    record(ledger)
    chain = _settled(ledger, usd=0.0)
    assert (chain.spent_usd, chain.reserved_usd, ledger.total()) == (0.0, 0.0, 0.0)


def test_of_several_attempts_the_one_that_ended_is_settled(ledger: ReadableLedger) -> None:
    _chain_of(ledger, 3)
    chain = _settled(ledger, 2)
    states = [one.state for one in chain.attempts]
    assert states == [JobState.PENDING, JobState.SUCCEEDED, JobState.PENDING]
    assert (chain.spent_usd, chain.reserved_usd) == (2.5, 8.0)


def test_a_job_of_no_attempt_settles_nothing(ledger: ReadableLedger) -> None:
    claim_of(ledger)
    record(ledger)
    before = ledger.chain(KEY)
    assert _settled(ledger, 7) == before
    assert ledger.total() == 4.0


def test_an_attempt_that_goes_on_is_noted_and_not_settled(ledger: ReadableLedger) -> None:
    claim_of(ledger)
    record(ledger)
    chain = _settled(ledger, state=JobState.RUNNING, ended=None)
    assert (chain.attempts[0].state, chain.attempts[0].end_time) == (JobState.RUNNING, None)
    assert (chain.spent_usd, chain.reserved_usd, ledger.total()) == (0.0, 4.0, 4.0)
    assert chain == ledger.chain(KEY)


# --- what a running attempt has cost ---------------------------------------------------------------


NEXT = "usd:2026-11-24"


_DAY, _NEXT = date(2026, 11, 23), date(2026, 11, 24)
_ATTEMPT = "us-central1/customJobs/101"


def test_what_a_running_attempt_costs_is_counted_in_the_days_it_runs_in(
    ledger: ReadableLedger,
) -> None:
    ledger.store.run(lambda tx: tx.put("counters", DAY, {"total": 10.0}))
    claim_of(ledger)
    record(ledger)
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
    limits = (*limits_of(), Limit(GROUP, "usd_per_day", 100.0, 4.0))
    claim_of(ledger, limits=limits)
    record(ledger)
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
    claim_of(ledger)
    record(ledger)
    del ledger.store.rows["counters", DAY]
    morning = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
    ledger.accrue(KEY, _ATTEMPT, usd_by_day={_DAY: 1.0, _NEXT: 2.0}, now=morning)
    assert ("counters", DAY) not in ledger.store.rows
    assert ledger.total(NEXT) == 3.0


def test_what_is_cheaper_than_was_set_aside_never_takes_others_money(
    ledger: ReadableLedger,
) -> None:
    claim_of(ledger)
    record(ledger)
    ledger.store.run(lambda tx: tx.put("counters", DAY, {"total": 1.0}))  # somebody corrected it
    _settled(ledger, usd=0.5)
    assert ledger.total() == 0.0


def test_counters_expire_some_days_after_they_are_asked_for(ledger: ReadableLedger) -> None:
    claim_of(ledger)
    _, _, expires = ledger.store.rows["counters", DAY]
    assert expires == NOW + timedelta(days=3)


def test_the_stop_switch_refuses_and_sets_nothing_aside(ledger: ReadableLedger) -> None:
    ledger.switch_stop(on=True, by="me", now=NOW)
    answer = ledger.claim(ledger.seen(), ROOT, wanted(), now=NOW, limits=limits_of())
    assert (answer.claim, answer.refused_by) == (None, ("stop_switch",))
    assert ledger.total() == 0.0
    ledger.switch_stop(on=False, by="me", now=NOW)
    assert ledger.claim(ledger.seen(), ROOT, wanted(), now=NOW, limits=limits_of()).mine


def test_a_claim_whose_answer_was_lost_is_still_the_callers(ledger: ReadableLedger) -> None:
    before = ledger.seen()
    held = claim_of(ledger)
    again = ledger.claim(before, ROOT, wanted(), now=NOW, limits=limits_of())
    assert (again.claim, again.mine) == (held, True)
    assert ledger.total() == 4.0


def test_the_first_failure_of_a_chain_is_the_one_that_is_kept(ledger: ReadableLedger) -> None:
    for failed in (NOW - MINUTE, NOW):
        answer = ledger.claim(ledger.seen(), ROOT, wanted(), now=NOW, first_failed=failed)
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
    held = claim_of(ledger)
    money, rate = limits_of()
    assert (ledger.used(money, NOW), ledger.used(rate, NOW)) == (4.0, 1.0)
    own, mark = held.reservations
    assert ledger.used(money, NOW, apart_from=own) == 0.0
    assert ledger.used(rate, NOW, apart_from=mark) == 0.0
    assert ledger.used(replace(money, key="usd:other"), NOW, apart_from=own) == 0.0
