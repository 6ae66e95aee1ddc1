"""The ledger: what was seen, promised and spent, and the outbox; effectively once rests on it.

`Ledger` holds the verbs (one transaction each) over a `Store`; `sqlite` and `firestore` are the two
stores. The workflow and the composition root call it.
"""

from remediator.ledger.claims import STALE
from remediator.ledger.encoding import BrokenDocument, UnreadableDocument
from remediator.ledger.ledger import Ledger
from remediator.ledger.outcomes import BreakerPause, PastOutcome, pause_of
from remediator.ledger.records import (
    Approval,
    ApprovalChoice,
    CancelReason,
    Chain,
    Claim,
    ClaimAnswer,
    Conclusion,
    Incident,
    Limit,
    OutboxMessage,
    Recorded,
    Stage,
    Store,
)
from remediator.ledger.watched import WatchedJob, WatchedJobs

__all__ = [
    "STALE",
    "Approval",
    "ApprovalChoice",
    "BreakerPause",
    "BrokenDocument",
    "CancelReason",
    "Chain",
    "Claim",
    "ClaimAnswer",
    "Conclusion",
    "Incident",
    "Ledger",
    "Limit",
    "OutboxMessage",
    "PastOutcome",
    "Recorded",
    "Stage",
    "Store",
    "UnreadableDocument",
    "WatchedJob",
    "WatchedJobs",
    "pause_of",
]
