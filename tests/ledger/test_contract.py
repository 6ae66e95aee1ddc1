"""What every ledger promises, whichever store it stands on."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from msgspec.structs import replace

from remediator.domain import Attempt, Change, JobState, TransientError
from remediator.ledger import (
    STALE,
    Chain,
    Claim,
    Conclusion,
    Incident,
    Ledger,
    Limit,
    OutboxMessage,
    Stage,
    WatchedJob,
)
from remediator.ledger.sqlite import SqliteStore

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
ROOT = "projects/1/locations/us-central1/customJobs/1"
KEY = "us-central1/customJobs/1"
MADE = "projects/1/locations/us-central1/customJobs/2"
MADE_KEY = "us-central1/customJobs/2"
CHANGE = Change(
    "jobSpec.workerPoolSpecs[0].machineSpec.machineType", "n1-standard-8", "n1-standard-16"
)


def incident(key: str = KEY, **more: object) -> Incident:
    base = Incident(key=key, job=ROOT, stage=Stage.UNSETTLED, first_known=NOW, root=KEY)
    return replace(base, **more)  # type: ignore[arg-type]


def wanted(token: str = "a", number: int = 1, incident_key: str = KEY) -> Claim:
    return Claim(
        token=token,
        incident=incident_key,
        policy="p",
        step=1,
        number=number,
        verdict="cpu_saturation",
        changes=(CHANGE,),
        acquired_at=NOW,
        lease_until=NOW + timedelta(minutes=10),
        estimated_usd=2.5,
    )


def attempt(claim: Claim) -> Attempt:
    return Attempt(
        name=MADE,
        state=JobState.PENDING,
        create_time=NOW,
        policy=claim.policy,
        step=claim.step,
        verdict=claim.verdict,
        changes=claim.changes,
        claim=claim.token,
        number=claim.number,
        estimated_usd=claim.estimated_usd,
    )


def outbox_message(name: str = "d", channel: str = "c") -> OutboxMessage:
    return OutboxMessage(id=name, channel=channel, body={"title": "t"}, created=NOW, due=NOW)


def resubmit(ledger: Ledger, token: str = "a", *limits: Limit) -> None:
    opened = ledger.open(incident())
    answer = ledger.claim(opened, ROOT, wanted(token), now=NOW, limits=limits)
    assert answer.mine
    done = incident(stage=Stage.DONE, conclusion=Conclusion.RESUBMITTED)
    following = incident(MADE_KEY, stage=Stage.FOLLOWED, due=NOW, attempt=1)
    assert ledger.record(
        KEY,
        token,
        attempt(wanted(token)),
        incident=done,
        following=following,
        outbox_messages=(outbox_message(),),
    )


def test_an_incident_is_opened_once_and_keeps_everything(ledger: Ledger) -> None:
    first = incident(
        due=NOW, ended=NOW, changes=(CHANGE,), refused_by=("rate",), evidence=({"says": "x"},)
    )
    assert ledger.open(first) == first
    assert ledger.open(replace(first, display_name="another")) == first
    assert ledger.incident(KEY) == first
    assert ledger.known((KEY, MADE_KEY)) == {KEY}


def test_many_are_opened_at_once_each_unless_known(ledger: Ledger) -> None:
    ledger.open(incident("us-central1/customJobs/7"))
    many = [incident(f"us-central1/customJobs/{number}") for number in range(250)]
    assert ledger.open_many(many) == 249
    assert ledger.open_many(many) == 0


def test_of_two_moves_from_one_state_one_wins_and_the_others_debts_are_not_owed(
    ledger: Ledger,
) -> None:
    opened = ledger.open(incident())
    assert ledger.move(replace(opened, stage=Stage.DONE), outbox_messages=(outbox_message("mine"),))
    assert not ledger.move(
        replace(opened, stage=Stage.WAITING), outbox_messages=(outbox_message("theirs"),)
    )
    assert [one.id for one in ledger.messages_due(NOW, 10)] == ["mine"]


def test_what_is_due_comes_oldest_first_and_what_is_done_never(ledger: Ledger) -> None:
    for number, minutes in ((1, 5), (2, 1), (3, 60), (4, 2)):
        due = NOW + timedelta(minutes=minutes)
        stage = Stage.DONE if number == 4 else Stage.WAITING
        ledger.open(incident(f"us-central1/customJobs/{number}", due=due, stage=stage))
    found = ledger.due(NOW + timedelta(minutes=10), 10)
    assert [one.key[-1] for one in found] == ["2", "1"]


def test_of_fifty_hands_at_once_exactly_one_gets_the_claim(
    open_ledger: Callable[[], Ledger],
) -> None:
    opened = open_ledger().open(incident())
    ledgers = [open_ledger() for _ in range(5)]

    def race(number: int) -> bool:
        execution = ledgers[number % 5]
        while True:
            try:
                return execution.claim(opened, ROOT, wanted(f"t{number}"), now=NOW).mine
            except TransientError:  # contended: an event would come again
                continue

    # The Firestore emulator locks pessimistically: fifty would take it a minute.
    services = 50 if isinstance(ledgers[0]._store, SqliteStore) else 10
    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(race, range(services))) == 1


def test_the_loser_of_a_claim_is_shown_the_winners(ledger: Ledger) -> None:
    opened = ledger.open(incident())
    ledger.claim(opened, ROOT, wanted("first"), now=NOW)
    answer = ledger.claim(opened, ROOT, wanted("second"), now=NOW)
    assert not answer.mine
    assert answer.claim is not None
    assert answer.claim.token == "first"
    assert answer.claim.changes == (CHANGE,)


def test_a_claim_made_from_an_old_state_is_stale(ledger: Ledger) -> None:
    opened = ledger.open(incident())
    ledger.move(replace(opened, due=NOW))
    assert ledger.claim(opened, ROOT, wanted(), now=NOW).refused_by == (STALE,)


def test_a_step_that_is_taken_cannot_be_claimed_again(ledger: Ledger) -> None:
    resubmit(ledger)
    again = ledger.open(incident(MADE_KEY))
    answer = ledger.claim(again, ROOT, wanted("b", 1, MADE_KEY), now=NOW)
    assert answer.refused_by == (STALE,)


def test_the_stop_switch_refuses_in_the_claim_itself(ledger: Ledger) -> None:
    opened = ledger.open(incident())
    ledger.switch_stop(on=True, by="me", now=NOW)
    assert ledger.stopped()
    assert ledger.claim(opened, ROOT, wanted(), now=NOW).refused_by == ("stop_switch",)
    ledger.switch_stop(on=False, by="me", now=NOW)
    assert ledger.claim(opened, ROOT, wanted(), now=NOW).mine


def test_budgets_are_never_overspent_by_a_race(open_ledger: Callable[[], Ledger]) -> None:
    ledgers = [open_ledger() for _ in range(4)]
    limit = Limit("usd:2026-11-23", "usd_per_day", 10.0, 2.5)
    keys = [f"us-central1/customJobs/{100 + number}" for number in range(8)]
    for key in keys:
        ledgers[0].open(incident(key, root=key))

    def race(number: int) -> bool:
        execution, key = ledgers[number % 4], keys[number]
        claim = wanted(f"t{number}", incident_key=key)
        mine = incident(key, root=key)
        while True:
            try:
                return execution.claim(mine, key, claim, now=NOW, limits=(limit,)).mine
            except TransientError:
                continue

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(race, range(8))) == 4
    assert ledgers[0].used(limit, NOW) == pytest.approx(10.0)


def test_a_sliding_rate_forgets_what_left_its_window(ledger: Ledger) -> None:
    def take(minutes: float) -> bool:
        moment = NOW + timedelta(minutes=minutes)
        return ledger.take_token("sent:c", most=2, window_seconds=60, now=moment)

    assert [take(0), take(0.1), take(0.5), take(1.05), take(1.06)] == [
        True,
        True,
        False,
        True,
        False,
    ]


def test_a_job_is_recorded_once_with_everything_it_brings(ledger: Ledger) -> None:
    resubmit(ledger)
    done = incident(stage=Stage.DONE)
    assert not ledger.record(
        KEY,
        "a",
        attempt(wanted()),
        incident=done,
        following=incident(MADE_KEY),
        outbox_messages=(outbox_message("x"),),
    )
    chain = ledger.chain(KEY)
    assert chain is not None
    assert chain.claim is None
    assert [one.name for one in chain.attempts] == [MADE]
    assert chain.current == MADE
    assert ledger.root_of(MADE_KEY) == KEY
    assert ledger.root_of(KEY) is None
    assert [one.id for one in ledger.messages_due(NOW, 9)] == ["d"]
    found = ledger.incident(KEY)
    assert found is not None
    assert (found.stage, found.conclusion) == (Stage.DONE, Conclusion.RESUBMITTED)


def test_a_claim_given_back_can_be_retaken_by_one_hand(ledger: Ledger) -> None:
    opened = ledger.open(incident())
    claim = ledger.claim(opened, ROOT, wanted(), now=NOW).claim
    assert claim is not None
    later = NOW + timedelta(seconds=5)
    lease = later + timedelta(minutes=10)
    assert ledger.take_over(KEY, claim, lease_until=lease, now=later) is None
    ledger.release_lease(KEY, "a", now=NOW, unanswered=True, due=later)
    chain = ledger.chain(KEY)
    assert chain is not None
    held = chain.claim
    assert held is not None
    assert held.unanswered == NOW
    assert held.safe_to_recreate_at(timedelta(minutes=2)) == NOW + timedelta(minutes=2)
    taken = ledger.take_over(KEY, held, lease_until=lease, now=later)
    assert taken is not None
    assert taken.token == "a"
    assert ledger.take_over(KEY, held, lease_until=lease, now=later) is None


def test_a_withdrawn_claim_frees_its_money(ledger: Ledger) -> None:
    limit = Limit("usd:2026-11-23", "usd_per_day", 3.0, 2.5)
    opened = ledger.open(incident())
    assert ledger.claim(opened, ROOT, wanted(), now=NOW, limits=(limit,)).mine
    assert ledger.used(limit, NOW) == pytest.approx(2.5)
    assert ledger.withdraw(KEY, "a", skip="p:1")
    assert ledger.used(limit, NOW) == pytest.approx(0.0)
    chain = ledger.chain(KEY)
    assert chain is not None
    assert (chain.claim, chain.skipped, chain.reserved_usd) == (None, ("p:1",), 0.0)


def test_an_attempt_that_never_ran_is_stepped_over_once(ledger: Ledger) -> None:
    resubmit(ledger)
    stuck = ledger.incident(MADE_KEY)
    assert stuck is not None
    assert [ledger.step_over(stuck, skip="p:1", now=NOW) for _ in range(2)] == [True, False]
    chain, failed = ledger.chain(KEY), ledger.incident(KEY)
    assert chain is not None
    assert failed is not None
    assert ([one.abandoned for one in chain.attempts], chain.skipped) == ([True], ("p:1",))
    assert (failed.stage, failed.conclusion, failed.due) == (Stage.UNSETTLED, Conclusion.NONE, NOW)
    over = ledger.incident(MADE_KEY)
    assert over is not None
    assert (over.stage, over.conclusion) == (Stage.DONE, Conclusion.IGNORED)


def test_an_attempt_is_settled_by_what_it_really_cost(ledger: Ledger) -> None:
    limit = Limit("usd:2026-11-23", "usd_per_day", 30.0, 2.5)
    resubmit(ledger, "a", limit)
    for _ in range(2):  # settling twice changes nothing more
        chain: Chain = ledger.settle(
            KEY, MADE_KEY, state=JobState.SUCCEEDED, ended=NOW, usd=4.0, final=True
        )
    assert (chain.spent_usd, chain.reserved_usd, chain.final) == (4.0, 0.0, True)
    assert chain.attempts[0].state is JobState.SUCCEEDED
    assert ledger.used(limit, NOW) == pytest.approx(4.0)


def share(number: int) -> Limit:
    return Limit(f"usd:2026-11-{number}:service_account:a", "usd_per_day", 30.0, 2.5)


def days(spent: dict[int, float]) -> dict[date, float]:
    return {date(2026, 11, number): usd for number, usd in spent.items()}


def booked(ledger: Ledger, limit: Callable[..., Limit]) -> tuple[float, ...]:
    """What stands in the counters of the 23rd, the 24th and the 25th."""
    at = (limit(number, 30) if limit is day else limit(number) for number in (23, 24, 25))
    return tuple(ledger.used(one, NOW) for one in at)


def day(number: int, limit: float, amount: float = 2.5) -> Limit:
    return Limit(f"usd:2026-11-{number}", "usd_per_day", limit, amount)


def test_money_counts_in_the_days_in_which_it_was_spent(ledger: Ledger) -> None:
    """2.5 set aside on the 23rd; running it counts by day, what is left of it in the present day."""
    resubmit(ledger, "a", day(23, 30), share(23))
    seen = (
        (NOW + timedelta(hours=2), {23: 1.0}, (2.5, 0.0, 0.0)),
        (NOW + timedelta(hours=5), {23: 1.5}, (1.5, 1.0, 0.0)),
        (NOW + timedelta(hours=9), {23: 1.5, 24: 4.0}, (1.5, 4.0, 0.0)),
        (NOW + timedelta(hours=9), {23: 1.5, 24: 4.0}, (1.5, 4.0, 0.0)),
    )
    for now, spent, counted in seen:
        chain = ledger.accrue(KEY, MADE_KEY, usd_by_day=days(spent), now=now)
        assert booked(ledger, day) == pytest.approx(counted)
        assert booked(ledger, share) == pytest.approx(counted)
        assert chain.reserved_usd == pytest.approx(sum(counted))
    ended = NOW + timedelta(hours=30)
    spent = days({23: 1.5, 24: 9.0, 25: 0.5})
    chain = ledger.settle(
        KEY,
        MADE_KEY,
        state=JobState.FAILED,
        ended=ended,
        usd=11.0,
        usd_by_day=spent,
        final=False,
    )
    assert booked(ledger, day) == pytest.approx((1.5, 9.0, 0.5))
    assert (chain.spent_usd, chain.reserved_usd) == pytest.approx((11.0, 0.0))
    assert ledger.accrue(KEY, MADE_KEY, usd_by_day=days({23: 99.0}), now=ended) == chain
    assert booked(ledger, share) == pytest.approx((1.5, 9.0, 0.5))


def test_money_counts_on_the_day_of_its_claim_where_its_days_are_not_known(ledger: Ledger) -> None:
    resubmit(ledger, "a", day(23, 30))
    ended = NOW + timedelta(hours=9)
    ledger.settle(KEY, MADE_KEY, state=JobState.FAILED, ended=ended, usd=4.0, final=False)
    assert ledger.used(day(23, 30), ended) == pytest.approx(4.0)
    assert ledger.used(day(24, 30), ended) == pytest.approx(0.0)


def test_an_attempt_whose_price_is_not_known_keeps_what_it_had_when_it_was_last_seen(
    ledger: Ledger,
) -> None:
    resubmit(ledger, "a", day(23, 30))
    ledger.accrue(KEY, MADE_KEY, usd_by_day=days({23: 7.0}), now=NOW)
    chain = ledger.settle(KEY, MADE_KEY, state=JobState.FAILED, ended=NOW, usd=None, final=False)
    assert (chain.spent_usd, chain.reserved_usd) == pytest.approx((7.0, 0.0))
    assert booked(ledger, day) == pytest.approx((7.0, 0.0, 0.0))


def test_what_a_claim_set_aside_can_be_left_out_of_what_is_counted(ledger: Ledger) -> None:
    opened = ledger.open(incident())
    rate = Limit("rate:all", "rate", 1.0, 1.0, 3600.0)
    claim = ledger.claim(opened, ROOT, wanted(), now=NOW, limits=(day(23, 30), rate)).claim
    assert claim is not None
    for limit, reservation in zip((day(23, 30), rate), claim.reservations, strict=True):
        assert ledger.used(limit, NOW) > 0
        assert ledger.used(limit, NOW, apart_from=reservation) == pytest.approx(0.0)


def test_a_token_says_how_many_are_taken_and_is_taken_by_its_own_call(ledger: Ledger) -> None:
    def token() -> tuple[float, Callable[[], bool]]:
        return ledger.token("half", most=2, window_seconds=60, now=NOW)

    taken, take = token()
    assert taken == 0
    assert token()[0] == 0  # looking takes none
    assert take()
    assert token()[0] == 1
    assert token()[1]()
    taken, take = token()
    assert taken == 2
    assert not take()


def test_several_tokens_are_taken_at_once_as_far_as_there_are_any(ledger: Ledger) -> None:
    def take(count: int, minutes: float) -> int:
        moment = NOW + timedelta(minutes=minutes)
        return ledger.take_tokens("r", count, most=5, window_seconds=60, now=moment)

    assert [take(3, 0), take(0, 0), take(4, 0.5), take(1, 0.9), take(9, 1.2)] == [3, 0, 2, 0, 3]
    assert not ledger.take_token("r", most=5, window_seconds=60, now=NOW + timedelta(minutes=1.3))


def test_a_rate_does_not_begin_anew_at_midnight(ledger: Ledger) -> None:
    midnight = datetime(2026, 11, 24, tzinfo=UTC)
    moments = [midnight + timedelta(seconds=by) for by in (-2, -1, 0, 1)]
    taken = [ledger.take_token("r", most=2, window_seconds=3600, now=one) for one in moments]
    assert taken == [True, True, False, False]


@pytest.mark.parametrize("usd", [2.5, 5.0], ids=["same-price", "dearer"])
@pytest.mark.parametrize(
    ("room", "taken"), [(-0.1, False), (0.1, True)], ids=["no-room-today", "room-today"]
)
def test_a_claim_taken_over_after_midnight_asks_that_days_budget(
    usd: float, room: float, taken: bool, ledger: Ledger
) -> None:
    opened = ledger.open(incident())
    claim = ledger.claim(opened, ROOT, wanted(), now=NOW, limits=(day(23, 3),)).claim
    assert claim is not None
    later = NOW + timedelta(hours=5)
    again_at = replace(wanted(), estimated_usd=usd)
    again = ledger.take_over(
        KEY,
        claim,
        lease_until=later + timedelta(minutes=10),
        now=later,
        renewed=again_at,
        limits=(day(24, usd + room, usd),),
    )
    assert (again is not None) == taken
    assert ledger.used(day(23, 3), later) == pytest.approx(0.0 if taken else 2.5)
    assert ledger.used(day(24, 9), later) == pytest.approx(usd if taken else 0.0)
    assert ledger.withdraw(KEY, "a")
    assert ledger.used(day(23, 3), later) + ledger.used(day(24, 9), later) == pytest.approx(0.0)


def test_a_debt_is_owed_once_leased_once_and_paid_once(ledger: Ledger) -> None:
    ledger.enqueue((outbox_message(), outbox_message()))
    ledger.enqueue((outbox_message(),))
    (owed,) = ledger.messages_due(NOW, 9)
    lease = NOW + timedelta(minutes=10)
    taken = ledger.lease_message(owed, now=NOW, lease_until=lease)
    assert taken is not None
    assert taken.tries == 1
    assert ledger.lease_message(owed, now=NOW, lease_until=lease) is None
    ledger.mark_delivered(taken, now=NOW, thread={"thread": "C1:17"})
    ledger.enqueue((outbox_message(),))
    assert ledger.messages_due(NOW + timedelta(days=1), 9) == ()
    assert ledger.thread("c", "d") == {"thread": "C1:17"}


def test_a_postponed_debt_comes_due_again_and_a_lost_one_never(ledger: Ledger) -> None:
    ledger.enqueue((outbox_message("one"), outbox_message("two")))
    one, two = ledger.messages_due(NOW, 9)
    ledger.postpone_message(one, due=NOW + timedelta(minutes=1), why="500")
    ledger.postpone_message(two, due=None, why="gone")
    assert ledger.messages_due(NOW, 9) == ()
    assert [d.id for d in ledger.messages_due(NOW + timedelta(hours=9), 9)] == [one.id]


def test_what_was_written_is_there_for_another_instance(open_ledger: Callable[[], Ledger]) -> None:
    resubmit(open_ledger())
    other = open_ledger()
    assert other.root_of(MADE_KEY) == KEY
    assert len(other.incidents()) == 2
    assert len(other.chains()) == 1


def test_what_has_outlived_its_keeping_is_forgotten_and_nothing_else(ledger: Ledger) -> None:
    resubmit(ledger)
    ledger.take_token("r", most=2, window_seconds=60, now=NOW)
    ledger.switch_stop(on=True, by="me", now=NOW)
    assert ledger.delete_expired(NOW + timedelta(days=4)) >= 1  # the counter of a minute
    assert ledger.incident(KEY) is not None
    assert ledger.root_of(MADE_KEY) == KEY
    assert ledger.delete_expired(NOW + timedelta(days=401)) >= 4
    assert (ledger.incident(KEY), ledger.chain(KEY), ledger.root_of(MADE_KEY)) == (None,) * 3
    assert ledger.messages_due(NOW + timedelta(days=999), 9) == ()
    assert ledger.stopped()


# --- running jobs ---------------------------------------------------------------------------------


def watched(key: str = KEY, **more: object) -> WatchedJob:
    base = WatchedJob(key=key, job=ROOT, first_seen=NOW, due=NOW)
    return replace(base, **more)  # type: ignore[arg-type]


def test_a_running_job_is_watched_once_and_keeps_its_few_numbers(ledger: Ledger) -> None:
    full = watched(
        display_name="train",
        usd_per_hour=3.67,
        verdict="stalled",
        looks=2,
        alerted="stalled",
        since=NOW,
        spell_usd=1.5,
        curves=({"label": "CPU", "shares": [0.5]},),
        last_lines=("step 9",),
    )
    assert ledger.watched.begin([full, watched(MADE_KEY)]) == 2
    assert ledger.watched.begin([watched()]) == 0
    assert ledger.watched.get(KEY) == full
    assert ledger.watched.known([KEY, "us-central1/customJobs/9"]) == {KEY}
    assert {one.key for one in ledger.watched.all()} == {KEY, MADE_KEY}


def test_looks_come_due_in_order_and_an_ended_job_never_again(ledger: Ledger) -> None:
    later = NOW + timedelta(minutes=5)
    ledger.watched.begin([watched(due=later), watched(MADE_KEY)])
    assert [one.key for one in ledger.watched.due(NOW, 10)] == [MADE_KEY]
    assert [one.key for one in ledger.watched.due(later, 10)] == [MADE_KEY, KEY]
    assert ledger.watched.move(watched(MADE_KEY, due=None))
    assert [one.key for one in ledger.watched.due(later, 10)] == [KEY]


def test_of_two_executions_that_tell_a_spell_one_wins(ledger: Ledger) -> None:
    ledger.watched.begin([watched()])
    mine = ledger.watched.move(
        watched(alerted="stalled"), outbox_messages=(outbox_message("spell"),)
    )
    assert mine is not None
    assert mine.version == 1
    assert (
        ledger.watched.move(watched(alerted="spinning"), outbox_messages=(outbox_message("x"),))
        is None
    )
    assert [one.id for one in ledger.messages_due(NOW, 10)] == ["spell"]
    assert ledger.watched.move(mine, outbox_messages=(outbox_message("spell"),)) is not None
    assert len(ledger.messages_due(NOW, 10)) == 1
