"""A program's own stated rate is a setting; the same words in a refusal are a refusal."""

from __future__ import annotations

import pytest

from remediator.diagnosis.own_rates import states_own_rate
from remediator.domain import Cause
from tests.case_parts import cpu, custom, lines, of

OWN = [
    "crawler: 19 pages (rate limit 10/s)",
    "crawler: 19 pages done (rate limit 10/s), 3 workers",
    "fetching with rate limit of 5 requests per second",
    "http client: rate limited to 10 req/s",
    "throttled to 20 rps; 19 requests sent",
    "limiter: 10 requests/s, waiting 0.1s for the rate limit",
    "client rate limit: 100/min; request 19 of 9000",
]
REFUSED = [
    "rate limit of 10/s exceeded, sleeping",
    "429 Too Many Requests (rate limit 10/s)",
    "got rate limited: 10 requests per minute, retrying in 30s",
    "server says rate limit 10/s",
    "Rate limit reached for gpt-4o: limit 500 / min, used 500 / min",
    "request throttled by the API, 3 rps allowed, backing off",
]


@pytest.mark.parametrize("line", OWN)
def test_a_programs_own_rate_is_no_refusal(line: str) -> None:
    assert states_own_rate(line)
    every = lines(*((30 * i, line.replace("19", str(i))) for i in range(1, 119)))
    for body in (
        custom(3610) | {"timeSeries": cpu(0.05)},
        custom(3560, "The replica workerpool0-0 exited with a non-zero status of 1."),
    ):
        found = of(body | {"logEntries": every})
        assert not any(cause.cause is Cause.QUOTA for cause in found.causes)
        assert found.verdict is not Cause.USER_CODE_ERROR


@pytest.mark.parametrize("line", REFUSED)
def test_a_refusal_that_names_the_rate_is_one(line: str) -> None:
    assert not states_own_rate(line)


def test_refusals_to_the_end_are_a_quota_beside_a_stated_rate() -> None:
    said = ("crawler: 10 pages (rate limit 10/s)", "GET https://api.partner.example/x 429 Too Many Requests, retrying in 30s")  # fmt: skip
    every = lines(*((30 * i, said[i % 3 != 0]) for i in range(1, 119)))
    found = of(custom(3610) | {"logEntries": every, "timeSeries": cpu(0.02)})
    assert found.verdict is Cause.QUOTA
