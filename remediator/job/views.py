"""How much of each job a list asks for: most questions are about few of its fields.

Called by whoever lists jobs, and by the client that turns a view into a field mask.
"""

from enum import Enum, auto


class JobView(Enum):
    """What is asked of each job of a list; the rest of it is not sent."""

    WHOLE = auto()
    ENDING = auto()
    """What it is called, when it ended and how, without what it was to do."""
    REQUEST = auto()
    """What it is to do and whether it still runs, without what has become of it."""
    CHILDREN = auto()
    """Which jobs it started."""
