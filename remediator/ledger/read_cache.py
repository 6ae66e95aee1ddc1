"""Documents as this process last saw them, so that a unit of work need not read them once more.

Owns what may be believed and for how long; knows no database. A unit of work may run over what is
kept here because its commit holds every document that it writes to the version it was read at; of
what it reads and does not write, only a switch is believed, for `_UNCHECKED_SECONDS`. A plain read is given only
what was read ahead for it, once. Called by `firestore`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

_UNCHECKED_SECONDS = 1.0
_AHEAD_SECONDS = 2.0
_KEPT_SECONDS = 30.0
_MOST = 2000
At = tuple[str, str]


class Seen(Struct, frozen=True):
    """A document's text and version, both None where there was none."""

    text: str | None
    version: Any
    since: float
    prefetch: bool = False


class ReadCache:
    """Thread-safe, bounded, and never asked for anything that a commit does not check."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: dict[At, Seen] = {}

    def keep(self, at: At, text: str | None, version: Any, *, prefetch: bool = False) -> None:
        """The document is as it was just read, or written."""
        with self._lock:
            self._seen.pop(at, None)  # so that the oldest stand first
            self._seen[at] = Seen(text, version, self._clock(), prefetch)
            while len(self._seen) > _MOST:
                del self._seen[next(iter(self._seen))]

    def drop(self, every: Iterable[At]) -> None:
        """Nothing is known of these any more."""
        with self._lock:
            for at in every:
                self._seen.pop(at, None)

    def once(self, at: At) -> Seen | None:
        """What was read ahead for one plain read, if it was just now; a second read gets None."""
        with self._lock:
            seen = self._seen.get(at)
            if seen is None or not seen.prefetch or self._clock() - seen.since > _AHEAD_SECONDS:
                return None
            self._seen[at] = replace(seen, prefetch=False)
            return seen

    def for_work(self, at: At) -> Seen | None:
        """What a unit of work may start from, its commit being checked."""
        with self._lock:
            seen = self._seen.get(at)
            return seen if seen and self._clock() - seen.since <= _KEPT_SECONDS else None

    def is_old(self, seen: Seen) -> bool:
        """Whether it is too old to be believed unchecked."""
        return self._clock() - seen.since > _UNCHECKED_SECONDS
