"""How often a running job is looked at, the dearer the oftener, and after how many looks it is told.

Pure. Called by the workflow, by `replay`, and by the bench that measures what is found.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from remediator.domain import WatchVerdict

_DEAR_USD = 10.0  # an hour; chosen: about three A100s
_DEAR = timedelta(minutes=2)
_WITH_ACCELERATOR = timedelta(minutes=4)
_OTHERS = timedelta(minutes=10)
LOOK_AGAIN = timedelta(minutes=2)
"""After a first suspicion. All chosen: a standstill with an accelerator is to be told within 45 minutes of
which it must last 30, and metrics come up to 6 late."""


def look_every(usd_per_hour: float | None, *, has_accelerator: bool) -> timedelta:
    """The time between two looks at a job that seems well; its price an hour, None where not known."""
    if (usd_per_hour or 0.0) >= _DEAR_USD:
        return _DEAR
    return _WITH_ACCELERATOR if has_accelerator else _OTHERS


_CONFIRMED = 2  # looks in a row that say the same; chosen


def is_confirmed(looks: int) -> bool:
    """Whether so many looks in a row that say the same are enough to tell it."""
    return looks >= _CONFIRMED


def wait_after(looks: int, pause: timedelta) -> timedelta:
    """The time to the next look at a job of which `looks` in a row said the same is wrong."""
    return pause if is_confirmed(looks) else LOOK_AGAIN


_PROGRESS_EVERY = timedelta(minutes=30)  # chosen: how often a log is read for its progress alone


def asks_progress(asked: datetime | None, suspected: str, now: datetime) -> bool:
    """Whether it is time to see how far the work is: last done at `asked`, and again at each look while
    the job is suspected to run into its time-out, which nothing else can say."""
    if asked is None or suspected == WatchVerdict.WILL_TIME_OUT:
        return True
    return now - asked >= _PROGRESS_EVERY
