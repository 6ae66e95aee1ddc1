"""How often a running job is looked at: the dearer, the oftener.

Pure. Called by the workflow, and by the bench that measures what it finds.
"""

from __future__ import annotations

from datetime import timedelta

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
