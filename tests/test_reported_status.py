"""A status of HTTP's in a program's own words, and numbers that are none."""

from __future__ import annotations

import pytest

from remediator.diagnosis.reported_status import cause_of_reported_status


@pytest.mark.parametrize(
    "text",
    [
        "got 500 rows", "search returned 500, using all", "still 404 rows to go", "sent 429 messages", "replied 404 of 500",
        "answered 403 questions correctly", "said 500 words", "health probe answered 200", "step 503 done", "gave 503 points",
    ],
)  # fmt: skip
def test_a_count_is_no_status(text: str) -> None:
    assert cause_of_reported_status(text) is None
