"""The ledger's history as one page of HTML, as JSON or as CSV. Pure.

The page asks nothing of the network (its own policy forbids it), is readable in dark and light, and
works by keyboard and without its script. `history` makes a Story of each chain, `page` draws them,
`export` writes them as data. Must not do I/O or read a clock. Called by the command line. Each is imported
from its own module: an event keeps its curves (`curves`) and draws no page.
"""
