"""How much time is left for the event or the round in hand.

Owns one deadline for everything that is done for one call of ours, so that a chain of slow services
ends with an answer of ours before the platform kills the process. Says how long a call may take;
cancels nothing itself. Tries again what may pass. Set by `app` at the door, asked by whoever waits for the world.
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
def deadline(seconds: float) -> Iterator[None]:
    """Everything inside shares this many seconds, or what an outer deadline leaves of them."""
    outer = _ends.get()
    ends = time.monotonic() + seconds
    token = _ends.set(ends if outer is None else min(ends, outer))
    try:
        yield
    finally:
        _ends.reset(token)


def remaining(most: float) -> float:
    """`most` seconds, or what is left where that is less; 0 when the time is used up."""
    ends = _ends.get()
    return most if ends is None else max(0.0, min(most, ends - time.monotonic()))


def run_in_thread(work: Callable[[], T]) -> Callable[[], T]:
    """Starts the work beside what follows; call what is returned for its result or its error.

    It runs in a thread of its own, which dies with the process if it hangs.
    """
    future: Future[T] = Future()
    inside = with_current_deadline(work)

    def run() -> None:
        try:
            future.set_result(inside())
        except BaseException as err:  # noqa: BLE001  # it belongs to whoever asks for the result
            future.set_exception(err)

    threading.Thread(target=run, name="begun", daemon=True).start()
    return future.result


def call_with_retries(
    call: Callable[[], T],
    *,
    on: type[Exception] | Callable[[Exception], bool | float],
    seconds: float,
    wait_initial: float,
    wait_max: float,
    wait_jitter: float,
) -> T:
    """The call's result, tried again for `seconds` while `on` says of its error that this may help.

    `on`: a type, or what answers True, False, or how many seconds are to be waited. stamina counts and
    waits, with jittered backoff. The first try is made without it: its loop costs 0.4 ms of processor
    time (measured), as much as many a call, and most calls are answered.
    """
    ends = time.monotonic() + seconds
    first: Exception | None = None
    try:
        return call()
    except Exception as err:
        helps = isinstance(err, on) if isinstance(on, type) else on(err)
        if helps is False or time.monotonic() >= ends:
            raise
        first = err
    import stamina  # noqa: PLC0415  # cold start: for what went wrong alone

    for attempt in stamina.retry_context(
        on=on,
        attempts=None,
        timeout=ends - time.monotonic(),
        wait_initial=wait_initial,
        wait_max=wait_max,
        wait_jitter=wait_jitter,
    ):
        with attempt:
            if first is not None:
                failed, first = first, None
                raise failed
            return call()
    raise TimeoutError  # not reached: the last try's error is raised above


def with_current_deadline(work: Callable[P, T]) -> Callable[P, T]:
    """The same work under the deadline that holds now, whichever thread runs it."""
    ends = _ends.get()

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        token = _ends.set(ends)
        try:
            return work(*args, **kwargs)
        finally:
            _ends.reset(token)

    return run
