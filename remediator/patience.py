"""How much time is left for the event or the round in hand.

Owns one deadline for everything that is done for one call of ours, so that a chain of slow services
ends with an answer of ours before the platform kills the process. Says how long a call may take;
cancels nothing itself. Set by `app` at the door, asked by whoever waits for the world.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_ends: ContextVar[float | None] = ContextVar("ends", default=None)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Everything inside shares this many seconds, or what an outer deadline leaves of them."""
    outer = _ends.get()
    ends = time.monotonic() + seconds
    token = _ends.set(ends if outer is None else min(ends, outer))
    try:
        yield
    finally:
        _ends.reset(token)


def left(most: float) -> float:
    """`most` seconds, or what is left where that is less; 0 when the time is used up."""
    ends = _ends.get()
    return most if ends is None else max(0.0, min(most, ends - time.monotonic()))


def begun(work: Callable[[], T]) -> Callable[[], T]:
    """Starts the work beside what follows; call what is returned for its result or its error.

    It runs in a thread of its own, which dies with the process if it hangs.
    """
    future: Future[T] = Future()
    inside = carried(work)

    def run() -> None:
        try:
            future.set_result(inside())
        except BaseException as err:  # noqa: BLE001  # it belongs to whoever asks for the result
            future.set_exception(err)

    threading.Thread(target=run, name="begun", daemon=True).start()
    return future.result


def carried(work: Callable[P, T]) -> Callable[P, T]:
    """The same work under the deadline that holds now, whichever thread runs it."""
    ends = _ends.get()

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        token = _ends.set(ends)
        try:
            return work(*args, **kwargs)
        finally:
            _ends.reset(token)

    return run
