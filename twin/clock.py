"""The twin's time: what it is now there, how fast it runs, and what is due when.

The twin may lag behind the world and run faster than it while jobs are in flight, so that hours of
a job pass in seconds and every timestamp still lies in the past for whoever reads it. A test stops
the clock and moves it by hand.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


class Clock:
    """Twin time. It runs `scale` times as fast as the world while `busy`, else at its pace.

    `lag`: how far behind the world it starts. `frozen`: it moves by `advance` only. It never
    overtakes the world unless it is frozen and moved there by hand (or `may_lead` is set): at the
    world's own time it goes on at the world's pace. `seconds`: of the world, as they pass.
    """

    def __init__(
        self,
        *,
        start: datetime | None = None,
        lag: timedelta = timedelta(0),
        scale: float = 1.0,
        frozen: bool = False,
        may_lead: bool = False,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._lock = threading.RLock()
        self._wake = threading.Condition(self._lock)
        self._now = (start or datetime.now(UTC)) - lag
        self._mark = seconds()
        self._scale = scale
        self._frozen = frozen
        self._may_lead = may_lead
        self._busy = 0
        self._due: list[tuple[datetime, int, Callable[[], None]]] = []
        self._ticket = itertools.count()
        self._running = 0
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="twin-clock", daemon=True)
        self._thread.start()

    def now(self) -> datetime:
        """The time in the twin, aware, UTC."""
        with self._lock:
            self._tick()
            return self._now

    def advance(self, by: timedelta | float) -> datetime:
        """Moves the time (seconds or a timedelta); whatever falls due is done before it returns."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        with self._lock:
            self._tick()
            target = self._now + step
        while True:
            with self._lock:
                if not self._due or self._due[0][0] > target:
                    self._now = max(self._now, target)
                    self._mark = self._seconds()
                    self._wake.notify_all()
                    return self._now
                moment, _, action = heapq.heappop(self._due)
                self._now = max(self._now, moment)
            action()

    def at(self, moment: datetime, action: Callable[[], None]) -> None:
        """Does `action` once the twin's time has reached `moment`."""
        with self._lock:
            heapq.heappush(self._due, (moment, next(self._ticket), action))
            self._wake.notify_all()

    def hurry(self) -> None:
        """One more thing is in flight: the clock runs at its scale."""
        with self._lock:
            self._tick()
            self._busy += 1
            self._wake.notify_all()

    def rest(self) -> None:
        """One thing less is in flight."""
        with self._lock:
            self._tick()
            self._busy = max(0, self._busy - 1)

    def close(self) -> None:
        """Stops the clock's thread; what is still due is never done."""
        with self._lock:
            self._closed = True
            self._wake.notify_all()
        self._thread.join(timeout=5)

    def _rate(self) -> float:
        if self._frozen:
            return 0.0
        return self._scale if self._busy else 1.0

    def _tick(self) -> None:
        mark = self._seconds()
        moved = self._now + timedelta(seconds=(mark - self._mark) * self._rate())
        self._mark = mark
        if not self._frozen:
            world = datetime.now(UTC)
            if not self._may_lead and moved > world:
                moved = max(self._now, world)
            self._now = moved

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._closed:
                    return
                self._tick()
                if not self._due or self._due[0][0] > self._now:
                    self._wake.wait(self._pause())
                    continue
                _, _, action = heapq.heappop(self._due)
            action()

    def _pause(self) -> float | None:
        """Seconds of the world until the next thing is due; None: until somebody wakes us."""
        if not self._due or self._frozen:
            return None
        ahead = (self._due[0][0] - self._now).total_seconds()
        return min(max(ahead / max(self._rate(), 1e-9), 0.001), 0.25)


def rfc3339(moment: datetime) -> str:
    """As Google writes a time: UTC, microseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@functools.lru_cache(maxsize=200_000)
def parse_time(text: str) -> datetime:
    """An RFC 3339 time, up to nanoseconds, as an aware datetime."""
    head, dot, tail = text.strip().replace("Z", "+00:00").partition(".")
    if dot:
        digits = len(tail) - len(tail.lstrip("0123456789"))
        head = f"{head}.{tail[:digits][:6]:0<6}{tail[digits:]}"
    moment = datetime.fromisoformat(head)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
