"""The ledger: what was seen, promised, spent and owed; effectively once rests on it.

`Ledger` holds the verbs (one transaction each) over a `Store`; `sqlite` and `firestore` are the two
stores. The stories and the composition root call it.
"""

from remediator.ledger.book import STALE, Ledger
from remediator.ledger.records import (
    Answer,
    Approval,
    Broken,
    Chain,
    Claim,
    Conclusion,
    Debt,
    Incident,
    Limit,
    Stage,
    Store,
    Unreadable,
)
from remediator.ledger.tracks import End, Pause, pause_of

__all__ = [
    "STALE",
    "Answer",
    "Approval",
    "Broken",
    "Chain",
    "Claim",
    "Conclusion",
    "Debt",
    "End",
    "Incident",
    "Ledger",
    "Limit",
    "Pause",
    "Stage",
    "Store",
    "Unreadable",
    "pause_of",
]
