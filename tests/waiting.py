"""Waiting for something that happens beside a test: for the thing itself, never for some time."""

from __future__ import annotations

import time
from collections.abc import Callable

HANG_SECONDS = 120.0  # nothing takes so long on the busiest machine: what has not come will not


def wait_until(holds: Callable[[], object]) -> None:
    """Returns as soon as it holds; fails the test where it never does."""
    ends = time.monotonic() + HANG_SECONDS
    while not holds():
        assert time.monotonic() < ends, "what was waited for did not happen"
        time.sleep(0.02)
