"""One pause of a Dask worker for its memory suffices where the end follows it."""

from __future__ import annotations

import pytest

from remediator.domain import Cause
from tests.case_parts import cpu, custom, lines, of

PAUSE = (
    "distributed.worker.memory - WARNING - Worker is at 85% memory usage. Pausing worker.  "
    "Process memory: 13.0 GiB -- Worker memory limit: 15.0 GiB"
)
RESUME = "distributed.worker.memory - WARNING - Worker is at 60% memory usage. Resuming worker."
EXITED = "The replica workerpool0-0 exited with a non-zero status of 1."


def verdict(*said: tuple[float, str], message: str = "", **more) -> Cause:
    """After half an hour of steps; without a message the time-out ended it."""
    steps = [(60.0 * i, f"step {i} of 300 done") for i in range(1, 31)]
    body = custom(2000 if message else 3610, message)
    return of({**body, "logEntries": lines(*sorted([*steps, *said])), **more}).verdict


@pytest.mark.parametrize("message", ["", EXITED], ids=["time-out", "exit"])
def test_one_pause_before_the_end_suffices(message: str) -> None:
    assert verdict((1900, PAUSE), message=message) is Cause.MEMORY_PRESSURE
    assert verdict(message=message) is Cause.UNKNOWN


@pytest.mark.parametrize("message", ["", EXITED], ids=["time-out", "exit"])
@pytest.mark.parametrize(
    "after", [RESUME, "step 31 of 300 done"], ids=["it-resumed", "work-went-on"]
)
def test_a_pause_that_passed_does_not(message: str, after: str) -> None:
    assert verdict((1900, PAUSE), (1950, after), message=message) is Cause.UNKNOWN


def test_another_end_is_its_own() -> None:
    raised = 'Traceback (most recent call last):\n  File "/app/t.py", line 4, in main\nKeyError: 1'
    assert verdict((1900, PAUSE), (1990, raised), message=EXITED) is Cause.USER_CODE_ERROR


def test_full_cpus_belie_it() -> None:
    assert verdict((1900, PAUSE), timeSeries=cpu(0.98)) is not Cause.MEMORY_PRESSURE
