"""Whether this is worth its keep: the ledger's history as one page of HTML. Pure.

Or as JSON or CSV. The page asks nothing of the network (its own policy forbids it), reads in dark and light, and works
by keyboard and without its script. `stories` tells each chain, `render` draws them, `sums` are the
figures at its top. Must not do I/O or read a clock. Called by the command line.
"""

from remediator.report.export import as_csv, as_json
from remediator.report.history import Curve, Event, Story, StoryOutcome, Sums, stories, sums
from remediator.report.page import render

__all__ = [
    "Curve",
    "Event",
    "Story",
    "StoryOutcome",
    "Sums",
    "as_csv",
    "as_json",
    "render",
    "stories",
    "sums",
]
