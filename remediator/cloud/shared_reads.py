"""The ends of several jobs' logs in one read: Cloud Logging allows a project sixty a minute.

Owns who reads for whom, and how many at once. Whoever comes while nobody reads, reads at once; those
who come meanwhile wait, and the next of them reads for all. From the fourth read within a minute the
reads are spaced, each a little more than the one before, so that more jobs wait for each, until all wait
who may. Called by `logs` alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec import Struct

from remediator.case import jobs_of
from remediator.deadline import remaining
from remediator.domain import (
    InvalidInput,
    Json,
    PermanentError,
    RemediatorError,
    TransientError,
    parse_time,
)

_QUERY_LIMIT = 20_000  # characters; Logging refuses longer ones (vertex-facts, section 6)
_MOST_AT_ONCE = 32  # jobs of one read; chosen, a query of them has about 8,000 characters
_PAGE = 1000  # entries, Logging's own most in one answer
_PAGE_BYTES = 2_000_000
_AT_ONCE_A_MINUTE = 3  # reads of this process that wait for nobody else; chosen
_SPACE_SECONDS = 0.1
"""How much longer each read within a minute keeps from the one before than that did. Chosen: of 500
jobs that need their logs, 16 at a time, 20 reads at once and then 2 s between took 60 s in a model of
it, this 29, since those 20 were of one job each."""
_WIDEST_SPACE_SECONDS = 2.0  # while more than the spaces' share of the minute is left; chosen
_MOST_A_MINUTE = 50  # that the spaces leave room for: what the budget in the ledger gives; chosen
MOST_IN_CROWD = 16  # who wait for one read: it is not put off for more of them; chosen
_NO_CROWD = 1 << 30
_SPARE = 6  # reads of the minute that no crowd takes, so that some are left for its end; chosen
_MINUTE = 60.0
_READ_SECONDS = 2.0
"""What is left for the read itself when the spaces take a reader's time, and how much more time one of
its group must have to be worth another read. Chosen: a client's first try has half of it."""


class Tail(Struct, frozen=True):
    """The last `limit` entries (or about `most_bytes` of them) of some jobs between two times.

    `query` is what finds them; `job_ids` the ids that their entries bear.
    """

    project: str
    query: str
    job_ids: frozenset[str]
    start: datetime
    end: datetime
    limit: int
    most_bytes: int


Read = Callable[[str, str, int, int, float], tuple[Json, ...]]
"""Entries, newest first: of a project, by a query, at most so many, about so many bytes, in seconds."""


class _Ticket:
    """One who waits for a tail: `found` or `error`, once it is `done`."""

    def __init__(self, wanted: Tail, ends: float) -> None:
        self.wanted = wanted
        self.ends = ends
        self.done = False
        self.found: tuple[Json, ...] = ()
        self.error: RemediatorError | None = None

    def give(self, found: tuple[Json, ...] = (), error: RemediatorError | None = None) -> None:
        self.found, self.error, self.done = found, error, True


class SharedReads:
    """Reads tails, several at once where several are wanted.

    `askers`: how many may want one just now; a read is not put off where all of them wait.
    """

    def __init__(
        self,
        read: Read,
        *,
        askers: Callable[[], int] = lambda: MOST_IN_CROWD,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], object] = threading.Event.wait,
    ) -> None:
        self._read = read
        self._askers = askers
        self._clock = clock
        self._enough = _NO_CROWD
        self._crowd = threading.Event()
        self._wait = wait
        self._changed = threading.Condition()
        self._waiting: list[_Ticket] = []
        self._is_led = False
        self._most = _MOST_AT_ONCE
        self._times: deque[float] = deque()

    def tail(self, wanted: Tail, timeout_seconds: float) -> tuple[Json, ...]:
        """The entries, newest first; raises what the read that was made for it raises."""
        ticket = _Ticket(wanted, time.monotonic() + remaining(timeout_seconds))
        with self._changed:
            self._waiting.append(ticket)
            if len(self._waiting) >= self._enough:
                self._crowd.set()
        while not ticket.done:
            if not self._leads(ticket):
                continue
            try:
                self._read_for_all(ticket)
            finally:
                with self._changed:
                    self._is_led = False
                    self._changed.notify_all()
        if ticket.error is not None:
            raise ticket.error
        return ticket.found

    def _leads(self, ticket: _Ticket) -> bool:
        """Waits until the ticket is done, or nobody reads and its owner is to; raises TransientError late."""
        with self._changed:
            while self._is_led and not ticket.done:
                if not self._changed.wait(ticket.ends - time.monotonic()) and not ticket.done:
                    self._leave(ticket)
                    msg = "no answer to a read of the log that several jobs share"
                    raise TransientError(msg)
            if ticket.done:
                return False
            self._is_led = True
            return True

    def _leave(self, ticket: _Ticket) -> None:
        if ticket in self._waiting:
            self._waiting.remove(ticket)

    # --- for all ---------------------------------------------------------------------------------

    def _read_for_all(self, own: _Ticket) -> None:
        """One read for the owner and those who wait beside; each is given its part, or the error."""
        self._space(own.ends)
        group = self._group(own)
        try:
            if len(group) == 1 or not self._read_together(group):
                for ticket in group:
                    self._read_alone(ticket)
        except BaseException:
            for ticket in group:  # whoever waits for a reader that fell over asks for itself
                if not ticket.done and ticket is not own:
                    self._ask_again(ticket)
            raise

    def _ask_again(self, ticket: _Ticket) -> None:
        with self._changed:
            self._waiting.append(ticket)

    def _space(self, ends: float) -> None:
        """Waits where this minute has seen some reads, so that more jobs can come to this one.

        Once the spaces are widest, what the minute has left is spread over the rest of it. A crowd that
        waits is read for at once, while more are left than the spare ones. The time that the read
        needs is not waited away.
        """
        now = self._clock()
        while self._times and self._times[0] <= now - _MINUTE:
            self._times.popleft()
        if len(self._times) < _AT_ONCE_A_MINUTE:
            return
        left = max(1, _MOST_A_MINUTE - len(self._times))
        space = _SPACE_SECONDS * (len(self._times) - _AT_ONCE_A_MINUTE + 1)
        if space >= _WIDEST_SPACE_SECONDS:
            space = max(_WIDEST_SPACE_SECONDS, (self._times[0] + _MINUTE - now) / left)
        seconds = min(self._times[-1] + space - now, ends - time.monotonic() - _READ_SECONDS)
        if seconds <= 0:
            return
        with self._changed:
            crowd = max(1, min(MOST_IN_CROWD, self._askers()))
            self._enough = crowd if left > _SPARE else _NO_CROWD
            self._crowd.clear()
            if len(self._waiting) >= self._enough:
                return
        self._wait(self._crowd, seconds)

    def _group(self, own: _Ticket) -> list[_Ticket]:
        with self._changed:
            self._leave(own)
            group, length = [own], len(own.wanted.query)
            for ticket in tuple(self._waiting):
                length += len(ticket.wanted.query) + len(" OR ()")
                if len(group) >= self._most or length > _QUERY_LIMIT:
                    break
                if ticket.wanted.project == own.wanted.project:
                    group.append(ticket)
                    self._waiting.remove(ticket)
            return group

    def _read_alone(self, ticket: _Ticket) -> None:
        wanted = ticket.wanted
        self._times.append(self._clock())
        try:
            left = max(0.1, ticket.ends - time.monotonic())
            ticket.give(
                self._read(wanted.project, wanted.query, wanted.limit, wanted.most_bytes, left)
            )
        except RemediatorError as err:
            ticket.give(error=err)

    def _read_together(self, group: Sequence[_Ticket]) -> bool:
        """One read of all their entries; False where it was refused as a whole.

        Whose entries may not all be among them is asked for alone. It takes the first one's time: where
        it fails, and another that has more of it may fare better, that one asks again.
        """
        query = " OR ".join(f"({ticket.wanted.query})" for ticket in group)
        self._times.append(self._clock())
        left = max(0.1, group[0].ends - time.monotonic())
        try:
            found = self._read(group[0].wanted.project, query, _PAGE, _PAGE_BYTES, left)
        except (PermanentError, InvalidInput):
            return False
        except RemediatorError as err:
            for ticket in group:
                if _may_fare_better(ticket, group[0], err):
                    self._ask_again(ticket)
                else:
                    ticket.give(error=err)
            return True
        reaches = _reaches(found)
        self._most = max(1, len(group) // 2) if reaches else min(_MOST_AT_ONCE, self._most * 2)
        for ticket in group:
            own = [entry for entry in found if _is_of(ticket.wanted, entry)]
            if reaches is None or ticket.wanted.start > reaches or len(own) >= ticket.wanted.limit:
                ticket.give(tuple(own[: ticket.wanted.limit]))
            else:
                self._read_alone(ticket)
        return True


def _may_fare_better(ticket: _Ticket, reader: _Ticket, err: RemediatorError) -> bool:
    """Whether a read that failed may go well in the time that this one has and the reader had not."""
    if not isinstance(err, TransientError):
        return False
    needed = max(err.retry_after_seconds or 0.0, _READ_SECONDS)
    has_more = ticket.ends - reader.ends >= _READ_SECONDS
    return has_more and ticket.ends - time.monotonic() > needed


def _reaches(found: Sequence[Json]) -> datetime | None:
    """The oldest time that a read has surely reached, where it may have left entries out."""
    if len(found) < _PAGE and sum(len(str(entry)) for entry in found) < _PAGE_BYTES // 2:
        return None
    times = [at for entry in found if (at := parse_time(entry.get("timestamp"))) is not None]
    return min(times, default=None)


def _is_of(wanted: Tail, entry: Json) -> bool:
    at = parse_time(entry.get("timestamp"))
    within = at is not None and wanted.start <= at <= wanted.end
    return within and not wanted.job_ids.isdisjoint(jobs_of(entry))
