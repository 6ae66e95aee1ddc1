"""How resubmissions ended: kept once, the latest alone; when that pauses a policy."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from remediator.domain import Change, JobState, VainAttempt
from remediator.ledger import Ledger, PastOutcome, pause_of
from remediator.ledger.outcomes import added, outcomes_in, vain_in, with_vain
from tests.ledger.test_contract import KEY, MADE_KEY, incident, resubmit

NOW = datetime(2026, 11, 23, 20, tzinfo=UTC)


def track(outcomes: str, *, hours_ago: float = 1) -> tuple[PastOutcome, ...]:
    """`+` succeeded, `-` failed; the oldest first, all ended at one time."""
    return tuple(
        PastOutcome(NOW - timedelta(hours=hours_ago), "p", one == "+", {}) for one in outcomes
    )


@pytest.mark.parametrize(
    ("outcomes", "hours_ago", "paused"),
    [
        ("", 1, False),
        ("-" * 9, 1, False),
        ("-" * 10, 1, True),
        ("+" * 5 + "-" * 5, 1, True),
        ("+" * 6 + "-" * 4, 1, False),
        ("-" * 10 + "+" * 10, 1, False),
        ("-" * 10, 7, False),
        ("-" * 10, 6, False),
        ("-" * 10, 5.9, True),
    ],
    ids=["none", "too-few", "all", "half", "under-half", "mended", "over", "just-over", "not-yet"],
)
def test_a_track_pauses_as_the_breaker_says(outcomes: str, hours_ago: float, paused: bool) -> None:
    pause = pause_of(
        track(outcomes, hours_ago=hours_ago),
        NOW,
        failed_share=0.5,
        of_last=10,
        pause=timedelta(hours=6),
    )
    assert (pause is not None and pause.until > NOW) is paused


@pytest.mark.parametrize(
    ("outcomes", "asks"), [("-" * 10, True), ("-" * 9 + "+", False)], ids=["failed", "mended"]
)
def test_a_pause_that_is_over_asks_for_a_trial_until_one_succeeded(
    outcomes: str, asks: bool
) -> None:
    over = pause_of(
        track(outcomes, hours_ago=7),
        NOW,
        failed_share=0.5,
        of_last=10,
        pause=timedelta(hours=6),
    )
    assert (over is not None) is asks


def test_a_share_of_nothing_needs_a_failure() -> None:
    calm = pause_of(track("++"), NOW, failed_share=0.0, of_last=2, pause=timedelta(hours=6))
    assert calm is None


def test_only_the_latest_ends_are_kept() -> None:
    body = None
    for number in range(60):
        body = added(body, PastOutcome(NOW + timedelta(minutes=number), "p", True, {"n": number}))
    kept = outcomes_in(body)
    assert len(kept) == 50
    assert kept[-1].size == {"n": 59}


def test_an_end_is_kept_once_however_often_it_is_settled(ledger: Ledger) -> None:
    resubmit(ledger)
    for _ in range(2):
        ledger.settle(
            KEY,
            MADE_KEY,
            state=JobState.SUCCEEDED,
            ended=NOW,
            usd=1.0,
            final=True,
            outcome_keys=("policy:p", "model:m"),
            size={"machineType": "n1-standard-16"},
            seconds=60.0,
        )
    one = PastOutcome(NOW, "p", True, {"machineType": "n1-standard-16"}, 60.0, "cpu_saturation")
    assert ledger.outcome_history(("policy:p", "model:m", "model:other")) == {
        "policy:p": (one,),
        "model:m": (one,),
        "model:other": (),
    }


# --- what was tried in vain -------------------------------------------------------------------------


def tried(number: int, root: str = "root") -> VainAttempt:
    return VainAttempt(
        root=root,
        display_name="embed",
        number=number,
        at=NOW,
        verdict="memory_pressure",
        ended_by="memory_pressure",
        size={"pools": [{"machineType": "n1-standard-16"}]},
        changes=(Change("machineType", "n1-standard-8", "n1-standard-16"),),
        chain_usd=2.5,
        chain_attempts=2,
        rows=100,
        vouched=True,
    )


def test_what_was_tried_in_vain_is_kept_with_the_end_of_its_chain(ledger: Ledger) -> None:
    opened = ledger.open(incident("last"))
    found = (tried(1), tried(2))
    assert ledger.move(opened, vain={"vain:a": found, "vain:b": found[:1], "vain:c": ()})
    assert ledger.vain_attempts("vain:a") == found
    assert ledger.vain_attempts("vain:b") == found[:1]
    assert ledger.vain_attempts("vain:c") == ledger.vain_attempts("") == ()
    assert not ledger.move(opened, vain={"vain:a": (tried(3),)})  # somebody else was faster
    assert ledger.vain_attempts("vain:a") == found


def test_of_what_was_tried_in_vain_each_attempt_is_kept_once_and_the_latest_alone() -> None:
    body = None
    for root in ("first", "second"):
        for _ in range(2):
            body = with_vain(body, [tried(number, root) for number in range(1, 17)])
    kept = vain_in(body)
    assert len(kept) == 24
    assert [(kept[0].root, kept[0].number), (kept[-1].root, kept[-1].number)] == [
        ("first", 9),
        ("second", 16),
    ]


@pytest.mark.parametrize("body", [None, {}, {"vain": 3}, {"vain": [3, {}, {"at": "x"}]}])
def test_a_track_of_what_was_in_vain_that_cannot_be_read_holds_nothing(body: object) -> None:
    assert vain_in(body) == ()  # type: ignore[arg-type]  # whatever stands there
