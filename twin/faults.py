"""What goes wrong on purpose, and the journal of every call.

A test plans faults for a method (`JobService.CreateCustomJob`, globs allowed); every server of the
twin asks this plan before and after it does its work. Calls are written down with their outcome, so
that a test can count what was really asked.
"""

from __future__ import annotations

import fnmatch
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One way to go wrong.

    `status`: a gRPC status name (`UNAVAILABLE`) or an HTTP status number as text (`503`).
    `retry_after`: seconds, as RetryInfo (gRPC) or Retry-After (HTTP). `delay`: seconds before the
    answer. `hang`: no answer until the caller gives up (at most that many seconds).
    `after`: the work is done first, and the answer is lost: the fault comes instead of it.
    `drop`: the connection is closed without an answer (HTTP and SMTP only).
    """

    status: str = ""
    message: str = ""
    retry_after: float | None = None
    delay: float = 0.0
    hang: float = 0.0
    after: bool = False
    drop: bool = False


def status(name: str, message: str = "", *, retry_after: float | None = None) -> Fault:
    """The call is refused with this status and nothing is done."""
    return Fault(status=name, message=message, retry_after=retry_after)


def hang(seconds: float = 3600) -> Fault:
    """No answer comes; nothing is done."""
    return Fault(hang=seconds)


def delay(seconds: float) -> Fault:
    """The answer comes late."""
    return Fault(delay=seconds)


def lost_answer(name: str = "DEADLINE_EXCEEDED", message: str = "Deadline Exceeded") -> Fault:
    """The work is done, and the caller is told that it failed."""
    return Fault(status=name, message=message, after=True)


def lost_in_silence(seconds: float = 3600) -> Fault:
    """The work is done, and no answer comes."""
    return Fault(hang=seconds, after=True)


@dataclass
class _Planned:
    pattern: str
    fault: Fault
    left: float


class Faults:
    """The plan: which methods go wrong, how, and how often."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []

    def add(self, pattern: str, *faults: Fault, times: float = 1) -> None:
        """Plans each fault `times` times (`float("inf")`: always) for methods like `pattern`."""
        with self._lock:
            self._planned.extend(_Planned(pattern, fault, times) for fault in faults)

    def clear(self, pattern: str = "*") -> None:
        """Forgets what was planned for exactly this pattern, or everything."""
        with self._lock:
            self._planned = [p for p in self._planned if pattern not in ("*", p.pattern)]

    def take(self, method: str) -> Fault | None:
        """The next fault for this method, used up by asking."""
        with self._lock:
            for planned in self._planned:
                if fnmatch.fnmatchcase(method, planned.pattern):
                    planned.left -= 1
                    if planned.left <= 0:
                        self._planned.remove(planned)
                    return planned.fault
        return None


@dataclass(frozen=True)
class Call:
    """One call as the twin saw it. `outcome`: `OK` or the status name; `at`: time.monotonic().

    `deadline`: seconds that the caller gave it; None where it gave none, or HTTP does not say.
    """

    method: str
    request: Mapping[str, Any]
    at: float
    peer: str
    principal: str
    outcome: str = ""
    seconds: float = 0.0
    deadline: float | None = None


@dataclass
class Journal:
    """Every call, in the order in which they ended."""

    _calls: list[Call] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def write(self, call: Call, outcome: str) -> None:
        """One call more, with what became of it."""
        done = replace(call, outcome=outcome, seconds=time.monotonic() - call.at)
        with self._lock:
            self._calls.append(done)

    def calls(self, pattern: str = "*", *, outcome: str | None = None) -> list[Call]:
        """Calls of methods like `pattern` (`*.Create*`), all or those with this outcome."""
        with self._lock:
            known = list(self._calls)
        return [
            call
            for call in known
            if fnmatch.fnmatchcase(call.method, pattern) and outcome in (None, call.outcome)
        ]

    def clear(self) -> None:
        """Forgets every call so far."""
        with self._lock:
            self._calls.clear()
