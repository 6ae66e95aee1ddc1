"""Device memory that ran out, was caught, and did not end the job."""

from __future__ import annotations

import pytest

from remediator.domain import Cause
from tests.case_parts import cpu, custom, lines, of, series

EXITED = "The replica workerpool0-0 exited with a non-zero status of 1."
CAUGHT = (
    "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB; retrying with half the batch"
)
ENDED = "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
STEPS = [(60.0 * i, f"step {i} of 100 loss 0.4") for i in range(1, 59)]


def verdict(*said: tuple[float, str], message: str = "", busy: float = 0.97) -> Cause:
    """After the steps and these lines; without a message the time-out ended it."""
    gpu = series("accelerator/utilization", [busy] * 60)
    body = custom(3500 if message else 3610, message)
    return of(
        body | {"logEntries": lines(*sorted([*STEPS, *said])), "timeSeries": [*cpu(0.2), gpu]}
    ).verdict


@pytest.mark.parametrize("message", ["", EXITED], ids=["time-out", "exit"])
@pytest.mark.parametrize("text", [CAUGHT, ENDED])
@pytest.mark.parametrize("times", [1, 11])
def test_what_was_caught_early_does_not_explain_the_end(
    message: str, text: str, times: int
) -> None:
    early = [(600.0 + i, text) for i in range(times)]
    assert verdict(*early, message=message) is Cause.UNKNOWN


def test_what_is_caught_all_along_explains_no_time_out_of_a_busy_device() -> None:
    spread = [(60.0 * i + 20, CAUGHT) for i in range(1, 59)]
    assert verdict(*spread) is Cause.UNKNOWN
    assert verdict(*spread, busy=0.2) is Cause.GPU_MEMORY


def test_the_end_is_its_own() -> None:
    assert verdict((3499, ENDED), message=EXITED) is Cause.GPU_MEMORY
    again = [(600.0, CAUGHT), (1200.0, CAUGHT), (1800.0, CAUGHT), (3499.0, CAUGHT)]
    assert verdict(*again, message=EXITED) is Cause.GPU_MEMORY


def test_one_rank_that_died_of_it_explains_why_the_others_hang() -> None:
    """They wait on the device, which reads as busy, until the time is up."""
    gpu = series("accelerator/utilization", [0.99] * 60)
    said = [*STEPS[:10], (660.0, ENDED)]
    body = custom(3610) | {"logEntries": lines(*said), "timeSeries": [*cpu(0.2), gpu]}
    assert of(body).verdict is Cause.GPU_MEMORY
