"""What the ledger remembers: incidents, chains with their claim, outbox messages. Frozen values and their JSON.

Owns the shapes alone; the verbs are in `ledger`, the storage in `sqlite` and `firestore`. Nothing here
holds environment variables, arguments or instances of a job: changes and digests only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol, TypeVar

from msgspec import Struct, field

from remediator.domain import (
    ALL_ROWS,
    CLAIM_MARK,
    Action,
    Attempt,
    Change,
    Json,
    Resume,
)
from remediator.job.batch import marked

T = TypeVar("T")


class Stage(StrEnum):
    """Where an incident stands. `due` says when `reconcile` looks at it next."""

    ANNOUNCED = "announced"  # the sweep wrote an entry; due when it should long have come back
    FOLLOWED = "followed"  # not terminal yet: read again
    UNSETTLED = "unsettled"  # its evidence may still be arriving
    WAITING = "waiting"  # a resubmission later, at `due`
    APPROVAL = "approval"  # a person must say yes; due when the offer expires
    ACTING = "acting"  # a claim is taken; due when its lease ends
    DONE = "done"  # concluded, see `conclusion`


class Conclusion(StrEnum):
    """How an incident ended."""

    NONE = ""
    RESUBMITTED = "resubmitted"
    ALERTED = "alerted"
    OBSERVED = "observed"
    GIVEN_UP = "given_up"
    RECOVERED = "recovered"
    TOO_OLD = "too_old"
    IGNORED = "ignored"


class CancelReason(StrEnum):
    """Why we cancelled an attempt that ran: what becomes of its chain rests on it."""

    NONE = ""
    NO_MACHINE = "no_machine"
    """It waited for a machine in vain: the step is stepped over, and counts as a retry."""
    OVERRUN = "overrun"
    """It passed a limit of money or time."""


class ApprovalChoice(StrEnum):
    """What a person answered to a plan."""

    NONE = ""
    APPROVED = "approved"
    DECLINED = "declined"


class Approval(Struct, frozen=True):
    """A plan shown to people: `digest` is the plan they saw; `answer` is NONE while they think.

    `estimated_usd`, `worst_case_usd` and `longest_seconds` are what they saw of its price and its
    time limit; None where the price was not known, or an earlier version did not keep it.
    `reason` is why they are asked, with what would make the question needless.
    """

    id: str
    digest: str
    expires: datetime
    answer: ApprovalChoice = ApprovalChoice.NONE
    by: str = ""
    at: datetime | None = None
    estimated_usd: float | None = None
    worst_case_usd: float | None = None
    longest_seconds: float | None = None
    reason: str = ""


class Incident(Struct, frozen=True):
    """One failed (or followed) job as we came to know of it. `key` is `JobName.key`, with the time of
    its creation behind an `@` where an earlier job had the same name; `created` is that time.

    `version` counts changes; a change names the version it was made from, so that of two executions one
    wins. For the report: `evidence` is what the alert showed, redacted; `run_usd` what the failed
    run cost, None where its price is not known; `curves` how full its machine was. `owner` and `team`
    are its labels', `account` what it ran as, `image` its container, `model_title` the model's display
    name, `accelerators` how many all its machines had together, None where that was not kept;
    `channels` are those that are told of it.
    """

    key: str
    job: str
    stage: Stage
    first_known: datetime
    root: str = ""
    due: datetime | None = None
    until: datetime | None = None
    ended: datetime | None = None
    attempt: int = 0
    display_name: str = ""
    conclusion: Conclusion = Conclusion.NONE
    reason: str = ""
    verdict: str = ""
    confidence: float = 0.0
    policy: str = ""
    step: int = 0
    action: str = ""
    refused_by: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    estimated_usd: float | None = None
    not_before: datetime | None = None
    evidence: tuple[Json, ...] = ()
    approval: Approval | None = None
    silent_sink: bool = False
    cancel_reason: CancelReason = CancelReason.NONE
    model: str = ""
    run_seconds: float | None = None
    machine: str = ""
    run_usd: float | None = None
    curves: tuple[Json, ...] = ()
    created: datetime | None = None
    owner: str = ""
    team: str = ""
    account: str = ""
    image: str = ""
    model_title: str = ""
    accelerators: int | None = None
    channels: tuple[str, ...] = ()
    version: int = 0

    @property
    def is_watch_cancel(self) -> bool:
        """Whether an entry of `watch` ended this job while it ran, or asks to."""
        return self.policy != "" and self.action in {Action.CANCEL, Action.CANCEL_RESUBMIT}


class Reservation(Struct, frozen=True):
    """What a claim set aside in one counter: US dollars of a day, or one mark in a sliding window."""

    key: str
    amount: float
    at: datetime
    window_seconds: float | None = None


class Claim(Struct, frozen=True):
    """The promise that one execution, and no other, takes this step.

    `token` rides on the job as the label `remediator-claim`. `lease_until` protects the creation
    alone. `unanswered` is when a create was sent whose outcome nobody knows. `lease_released`: the last
    holder ended with a handled error and sends nothing any more. `acquired_at` tells holders apart.
    `entry` is which way of a `fallback` the step takes, from 1; 0: it has none. `resume` says of a
    batch which rows run again; in `changes`, CLAIM_MARK then stands for the token.
    """

    token: str
    incident: str
    policy: str
    step: int
    number: int
    verdict: str
    changes: tuple[Change, ...]
    acquired_at: datetime = field(name="taken")
    lease_until: datetime
    unanswered: datetime | None = None
    estimated_usd: float | None = None
    reservations: tuple[Reservation, ...] = ()
    location: str = ""
    lease_released: bool = field(default=False, name="given_back")
    max_run_seconds: float | None = None
    entry: int = 0
    resume: Resume = ALL_ROWS

    @property
    def changes_made(self) -> tuple[Change, ...]:
        """What differs in the job made under this claim, its token in the names of our own files."""
        return marked(self.changes, CLAIM_MARK, self.token)

    def send_before(self, wait: timedelta) -> datetime:
        """Until when the holder may send its create, where a list lags by at most `wait`.

        A job sent by then is listed when a lease of a killed holder ends. A lease too short for that
        may be used for its first half, or for the second that sending takes, and `safe_to_recreate_at` then
        lies after its end.
        """
        half = (self.lease_until - self.acquired_at) / 2
        return max(self.lease_until - wait, self.acquired_at + max(half, _SENDING))

    def safe_to_recreate_at(self, wait: timedelta) -> datetime:
        """From when a job made under this claim would be listed, so that none means none.

        Before that nobody but the holder creates under the claim, and nobody withdraws it.
        """
        if self.unanswered is not None:
            return max(self.lease_until, self.unanswered + wait)
        if self.lease_released:
            return self.lease_until
        return max(self.lease_until, self.send_before(wait) + wait)


_SENDING = timedelta(seconds=1)


def skip_key(policy: str, step: int, entry: int) -> str:
    """How a step, or one way of its fallback, is written down among what is skipped."""
    return f"{policy}:{step}/{entry}" if entry else f"{policy}:{step}"


class Chain(Struct, frozen=True):
    """A root job and its resubmissions. `key` is the root's `JobName.key`.

    `spent_usd` is settled money, `reserved_usd` the estimates of attempts still running. `skipped`
    names steps (by `skip_key`) that Vertex refused for want of quota or machines: they do not count.
    """

    key: str
    root: str
    attempts: tuple[Attempt, ...] = ()
    claim: Claim | None = None
    spent_usd: float = 0.0
    reserved_usd: float = 0.0
    outcomes: int = 0
    final: bool = False
    first_failed: datetime | None = None
    skipped: tuple[str, ...] = ()
    version: int = 0

    @property
    def current(self) -> str:
        """The job the chain now rests on."""
        return self.attempts[-1].name if self.attempts else self.root

    def skipped_steps(self, policy: str) -> frozenset[tuple[int, int]]:
        """The policy's steps that Vertex refused for want of quota or machines: (step, way), way 0 for a
        step without a fallback."""
        found = (one.rpartition(":") for one in self.skipped)
        parts = (step.partition("/") for name, _, step in found if name == policy)
        return frozenset((int(step), int(way or 0)) for step, _, way in parts)


class OutboxMessage(Struct, frozen=True):
    """One message to one channel (or to the outcomes log). `id` makes it enqueued only once."""

    id: str
    channel: str
    body: Json
    created: datetime
    due: datetime | None
    tries: int = 0
    delivered: datetime | None = None
    lost_because: str = ""


class Recorded(Struct, frozen=True):
    """An attempt was written down. `enqueued`: the ids of its messages that were not known before."""

    enqueued: frozenset[str]


class Limit(Struct, frozen=True):
    """One budget that a claim must fit into, asked inside the claim's own transaction.

    `key` names the counter (such as `usd:2026-11-23` or `rate:all`); `guard` is what a refusal is
    called; `window_seconds` slides for a rate and is None for money kept by day.
    """

    key: str
    guard: str
    limit: float
    amount: float
    window_seconds: float | None = None


class ClaimAnswer(Struct, frozen=True):
    """What became of asking for a claim: ours, somebody else's, or refused by these guards."""

    claim: Claim | None = None
    mine: bool = False
    refused_by: tuple[str, ...] = ()
    attempts: tuple[Attempt, ...] = ()


class Transaction(Protocol):
    """Reads and writes that happen together or not at all; writes become visible at the end.

    Whatever is written is unchanged since this transaction read it, or the work is run again. What
    is only read may have changed by the end (SQLite allows no such change, Firestore does), so a
    verb must be right without that; its own writes it does not see.
    """

    def get(self, collection: str, key: str) -> Json | None: ...

    def get_many(self, collection: str, keys: tuple[str, ...]) -> Mapping[str, Json]: ...

    def put(
        self,
        collection: str,
        key: str,
        body: Json,
        *,
        due: datetime | None = None,
        expires: datetime | None = None,
    ) -> None: ...


class Work(Protocol[T]):  # type: ignore[misc]  # the variance is the caller's business
    """A unit of work; a store may run it more than once, so it touches nothing but its argument."""

    def __call__(self, tx: Transaction, /) -> T: ...


class Store(Protocol):
    """Where documents are kept. Two exist: SQLite on one machine, Firestore in the cloud."""

    def run(self, work: Work[T]) -> T: ...

    def get(self, collection: str, key: str) -> Json | None: ...

    def get_many(self, collection: str, keys: tuple[str, ...]) -> Mapping[str, Json]: ...

    def prefetch(self, every: Iterable[tuple[str, str]]) -> None: ...

    def expect_new(self, every: Iterable[tuple[str, str]]) -> None: ...

    def due(self, collection: str, now: datetime, limit: int) -> tuple[tuple[str, Json], ...]: ...

    def all(self, collection: str, limit: int) -> tuple[Json, ...]: ...

    def expire(self, now: datetime) -> int: ...

    def close(self) -> None: ...


def doc_id(key: str) -> str:
    """A key as a document id that every store takes: no slash, at most 1,000 bytes."""
    clean = key.replace("/", "|").encode(errors="replace").decode()  # no half of a character
    if len(clean.encode()) <= _ID_BYTES:
        return clean
    return f"{clean[:200]}~{hashlib.sha256(clean.encode()).hexdigest()}"


_ID_BYTES = 1000  # Firestore takes 1,500
