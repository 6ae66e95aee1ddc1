"""How many reads of Cloud Logging a minute are ours: a counter in the ledger that all instances share.

Owns the number and when a read is left. Called by the reader of logs before each read.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from remediator.deadline import run_in_thread
from remediator.domain import Guard
from remediator.ledger import Ledger, Limit

LOG_READS = "logging-reads"
"""The counter of Cloud Logging's reads, which all instances share."""
_READS_A_MINUTE = (
    50  # chosen: of the 60 that a project has (documented: Logging's quotas); people read too
)
_WINDOW_SECONDS = 60.0


class LogBudget:
    """`is_shared`: the ledger is elsewhere, and each of its answers a round trip."""

    def __init__(
        self, ledger: Callable[[], Ledger], now: Callable[[], datetime], *, is_shared: bool
    ) -> None:
        self._ledger = ledger
        self._now = now
        self._is_shared = is_shared

    def may_read(self) -> bool:
        """Whether the minute has a read left; while half are, it is taken beside the read itself.

        Then no event waits a round trip for its token. Two instances may so pass the half, never the
        whole.
        """
        taken, take = self._ledger().token(
            LOG_READS, most=_READS_A_MINUTE, window_seconds=_WINDOW_SECONDS, now=self._now()
        )
        if self._is_shared and taken < _READS_A_MINUTE / 2:
            run_in_thread(take)
            return True
        return taken < _READS_A_MINUTE and take()

    def has_spare(self) -> bool:
        """Whether one more job's lines may be read without leaving a live failure without its own."""
        reads = Limit(LOG_READS, Guard.RATE.value, _READS_A_MINUTE, 1.0, _WINDOW_SECONDS)
        return self._ledger().used(reads, self._now()) < _READS_A_MINUTE / 2
