"""Answers counted in one line: so far, or anew with each line."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from remediator.domain import Cause
from tests.case_parts import cpu, custom, lines, of

Count = Callable[[int], int]
FORMS = (
    "upstream 2xx={fine} 4xx=0 5xx={broken}",
    "requests: HTTP 200: {fine}, HTTP 503: {broken}",
    '{{"200": {fine}, "503": {broken}}}',
)


def verdict(form: str, fine: Count, broken: Count) -> Cause:
    said = ((60.0 * i, form.format(fine=fine(i), broken=broken(i))) for i in range(1, 60))
    return of(custom(3610) | {"logEntries": lines(*said), "timeSeries": cpu(0.05)}).verdict


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("fine", "broken", "wanted"),
    [
        (lambda _: 1200, lambda _: 3, Cause.UNKNOWN),
        (lambda i: 1200 + i % 7, lambda i: 3 + i % 2, Cause.UNKNOWN),
        (lambda _: 1200, lambda i: 3 + i, Cause.UNKNOWN),
        (lambda i: 1200 - 10 * i, lambda i: 3 + i, Cause.UNKNOWN),
        (lambda _: 30, lambda _: 1100, Cause.TRANSIENT_BACKEND),
        (lambda i: 30 + i % 7, lambda i: 1100 + i * 37 % 90, Cause.TRANSIENT_BACKEND),
        (
            lambda i: 1200 if i < 30 else 10,
            lambda i: 0 if i < 30 else 900,
            Cause.TRANSIENT_BACKEND,
        ),
        (lambda i: 1200 * i, lambda i: 3 * i, Cause.UNKNOWN),
        (lambda i: 30 * i, lambda i: 1100 * i, Cause.TRANSIENT_BACKEND),
        # it broke in the first half, and all was fine from then on
        (lambda i: 10 * i, lambda i: 1100 * min(i, 20), Cause.UNKNOWN),
    ],
    ids=[
        "constant", "varying", "rising", "fewer", "broken", "broken-varying", "breaks", "so-far",
        "broken-so-far", "recovered-so-far",
    ],
)  # fmt: skip
def test_counts_are_added_up_or_subtracted(
    form: str, fine: Count, broken: Count, wanted: Cause
) -> None:
    assert verdict(form, fine, broken) is wanted


def test_too_many_requests_are_counted_as_well() -> None:
    said = ((60.0 * i, f"last minute: 2xx={30 + i % 3} 429={900 + i % 7}") for i in range(1, 60))
    body = custom(3610) | {"logEntries": lines(*said), "timeSeries": cpu(0.05)}
    assert of(body).verdict is Cause.QUOTA
