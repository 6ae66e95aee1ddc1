"""Jobs that still run: what is thought of one, and what the entries of `watch` say to do about it.

`signals` reads what can be seen, `verdicts` judges it, `log_rule` holds a policy's own rule against
the log, `entries` finds the entry that decides, `planning` says what it does. Pure; called by
`diagnose` and `plan` on the command line, and by `reconcile` for the jobs of the project.
"""

from remediator.domain import WatchVerdict
from remediator.watch.entries import WATCHED, is_selected, needs_log, watch
from remediator.watch.planning import WatchPlan, plan_watch
from remediator.watch.verdicts import Watch

__all__ = [
    "WATCHED",
    "Watch",
    "WatchPlan",
    "WatchVerdict",
    "is_selected",
    "needs_log",
    "plan_watch",
    "watch",
]
