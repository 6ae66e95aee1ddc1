"""A warm failure is recorded after five calls in sequence at most, whatever each of them takes."""

from __future__ import annotations

from typing import Any

import pytest

from bench.event.run import MOST_TRIPS, house, irrelevant_event
from bench.latency import Span, in_sequence
from tests.effort import calls_made

_SLOWER_SECONDS = 0.05
_EVENTS = 12


def _fewest(one: Any, most: int) -> list[list[str]]:
    """The first warm event with `most` at most, else the best: a busy machine only adds to them."""
    one.handle(0)  # opens every channel
    found = []
    for number in range(1, _EVENTS + 1):
        found.append(one.handle(number).places)
        if len(found[-1]) <= most:
            break
    return min(found, key=len)


def test_with_sqlite_a_job_its_log_and_the_create_are_asked_in_sequence() -> None:
    with house(_SLOWER_SECONDS) as one:
        places = _fewest(one, 3)
    assert len(places) <= 3
    assert places[0] == ["JobService/GetCustomJob"]
    assert places[-1] == ["JobService/CreateCustomJob"]


@pytest.mark.emulator
def test_with_firestore_five_calls_in_sequence_are_enough(firestore_emulator: str) -> None:
    with house(_SLOWER_SECONDS, "firestore", firestore_emulator) as one:
        places = _fewest(one, MOST_TRIPS)
    assert len(places) <= MOST_TRIPS
    assert places[-3:] == [
        ["Firestore/Commit"],  # the claim stands before anything is created,
        ["JobService/CreateCustomJob"],
        ["Firestore/Commit"],  # and what was created is recorded in one commit
    ]


def test_an_irrelevant_event_is_left_after_a_few_calls() -> None:
    """By itself under a millisecond, which `bench/event` measures; here its work is counted."""
    handle = irrelevant_event()
    handle()
    assert calls_made(handle) < 200  # 78 today


@pytest.mark.parametrize(
    ("spans", "places"),
    [
        ([], []),
        ([(0, 1, "a"), (0.5, 1.5, "b")], [["a", "b"]]),
        ([(0, 1, "a"), (1, 2, "b")], [["a"], ["b"]]),
        ([(0, 1, "a"), (0, 3, "b"), (1, 2, "c"), (2, 4, "d")], [["a", "b"], ["c"], ["d"]]),
        ([(2, 3, "c"), (0, 1, "a"), (0, 2, "b")], [["a", "b"], ["c"]]),
    ],
    ids=["none", "overlapping", "one after the other", "a row beside a long call", "any order"],
)
def test_calls_in_sequence_are_counted_by_what_had_ended_before(
    spans: list[tuple[float, float, str]], places: list[list[str]]
) -> None:
    assert in_sequence([Span(*one) for one in spans]) == places
