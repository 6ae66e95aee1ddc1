"""Lengths of time and numbers are told and read in one way each, by tables."""

from __future__ import annotations

import statistics
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediator.domain import numbers, time_words


@pytest.mark.parametrize(
    ("seconds", "span", "minutes", "exact", "hours"),
    [
        (-5, "0 s", "0 min", "-5.0 s", "-0.0833 min"),
        (0, "0 s", "0 min", "0.0 s", "0 min"),
        (4.25, "4 s", "0 min", "4.2 s", "0.0708 min"),
        (45.4, "45 s", "1 min", "45 s", "0.757 min"),
        (59, "59 s", "1 min", "59 s", "0.983 min"),
        (61, "1 min 01 s", "1 min", "1 min 01 s", "1.02 min"),
        (200, "3 min 20 s", "3 min", "3 min 20 s", "3.33 min"),
        (660, "11 min 00 s", "11 min", "11 min", "11 min"),
        (3900, "1 h 05 min", "1 h 05 min", "1 h 05 min", "1.08 h"),
        (7500, "2 h 05 min", "2 h 05 min", "2 h 05 min", "2.08 h"),
        (90000, "1 d 1 h", "25 h 00 min", "25 h 00 min", "25 h"),
    ],
)
def test_a_span_is_told_in_its_two_largest_units(
    seconds: float, span: str, minutes: str, exact: str, hours: str
) -> None:
    told = (
        time_words.span_words(seconds),
        time_words.minutes_words(seconds),
        time_words.exact_span_words(seconds),
        time_words.hours_words(seconds),
    )
    assert told == (span, minutes, exact, hours)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("10m", 600),
        ("2h30m", 9000),
        ("1.5d", 129_600),
        ("250ms", 0.25),
        ("", None),
        ("10", None),
        ("30m2h", None),
        ("-5s", None),
        ("5 s", None),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: str, seconds: float | None) -> None:
    assert time_words.seconds_of(text) == seconds


def test_a_moment_is_told_in_utc() -> None:
    berlin = timezone(timedelta(hours=1))
    assert time_words.moment_words(datetime(2026, 11, 23, 21, 0, tzinfo=berlin)) == (
        time_words.moment_words(datetime(2026, 11, 23, 20, 0, tzinfo=UTC))
    )


@pytest.mark.parametrize(
    ("value", "is_number", "is_whole", "whole"),
    [
        (5, True, True, 5),
        (5.0, True, False, 5),
        (5.5, True, False, None),
        (-3.0, True, False, -3),
        (True, False, False, None),
        ("5", False, False, None),
        (None, False, False, None),
        (float("nan"), True, False, None),
        (float("inf"), True, False, None),
    ],
)
def test_true_and_false_are_no_numbers(
    value: object, is_number: bool, is_whole: bool, whole: int | None
) -> None:
    told = (numbers.is_number(value), numbers.is_whole(value), numbers.as_whole(value))
    assert told == (is_number, is_whole, whole)


@given(st.lists(st.floats(-1e9, 1e9) | st.integers(-(10**9), 10**9), min_size=1))
def test_means_and_medians_are_those_of_the_standard_library(values: list[float]) -> None:
    assert numbers.mean(values) == statistics.fmean(values)
    assert numbers.median(iter(values)) == statistics.median(values)


@pytest.mark.parametrize(
    ("gib", "words"),
    [(7.28, "7.28 GiB"), (85, "85 GiB"), (999.4, "999 GiB"), (999.6, "1,000 GiB"), (1872, "1,872 GiB"), (14901.2, "14,901 GiB")],
)  # fmt: skip
def test_memory_is_told_without_a_power_of_ten(gib: float, words: str) -> None:
    assert numbers.gib_words(gib) == words
