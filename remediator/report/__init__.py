"""The ledger's history as one page of HTML, as JSON or as CSV. Pure.

The page asks nothing of the network (its own policy forbids it), is readable in dark and light, and
works by keyboard and without its script. `stories` makes a Story of each chain, `render` draws them,
`sums` are the figures at the top. Must not do I/O or read a clock. Called by the command line.
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
