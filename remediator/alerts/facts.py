"""What is known when an alert falls due: the value that `compose` turns into a Message. Pure.

Owns what can be said of the facts in one word: the job's name, the verdict, how many attempts there
were, how a question ended. Says nothing itself: `compose` and the modules of its answers do.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum

from msgspec import Struct

from remediator.alerts.message import AlertKind, Link, Message
from remediator.alerts.running import Trouble
from remediator.alerts.wording import shown
from remediator.case import Gap
from remediator.domain import (
    Attempt,
    Cause,
    Diagnosis,
    InvalidInput,
    JobName,
    JobState,
    Plan,
    RankedCause,
    Section,
)
from remediator.job.summary import RowCounts

NAME_LIMIT = 60


class QuestionEnd(StrEnum):
    """How a question ended that was not answered with yes."""

    DECLINED = "declined"
    EXPIRED = "nobody answered"


_EXPLAINED = frozenset(
    {
        AlertKind.ACTED,
        AlertKind.WAITING,
        AlertKind.APPROVAL,
        AlertKind.OBSERVED,
        AlertKind.ALERT,
        AlertKind.NEXT_ATTEMPT,
        AlertKind.GIVEN_UP,
        AlertKind.REFUSED_CREATION,
    }
)


class AlertFacts(Struct, frozen=True):
    """What is known when an alert falls due. Everything may be raw: composing redacts and cuts.

    `root` names the chain (the first job); `attempt` is the number of the attempt the alert is about,
    0 for the root job itself. `result` is what it left behind all the same, `rows` what a batch did
    with its instances. `plan` is the plan just decided or carried out, `created` the name of the job
    it made.

    Money and time: `spent_usd` is what the chain's resubmissions have cost so far, `estimated_usd`
    what their plans had said; `time_lost_seconds` runs from the first failure to the recovery,
    `output` is where its results are.

    A question: `approve_until` is when it expires, `question_end` how one ended that was not approved,
    `declined_by` who said no. `grant` is the command that would let the remediator act as the job's
    account, where that was refused.

    An end without a success: `deleted`, the job is gone; `cancelled_why` is why the remediator ended
    the attempt itself, empty where a person did; `watch_reason` why it was cancelled while it ran. Of
    an overrun, `over_time` says that its time is over and not its budget, `limit` which limit it
    passed, `cancels` that it is being ended. `trouble` is what a job that still runs is in.

    Whose it is: `owner` by the job's labels, `account` that it runs as; `project` is the project's id
    (names carry its number) and `ledger` where answers are written, for commands. `places` are links
    that only the workflow knows.

    Summaries: `count` is how many, `extra` a line for each; `together` are the alerts that one message
    stands for.
    """

    kind: AlertKind
    job: JobName | None = None
    display_name: str = ""
    root: str = ""
    attempt: int = 0
    state: JobState = JobState.UNSPECIFIED
    error: str = ""
    result: str = ""
    rows: RowCounts | None = None
    machine: str = ""
    owner: str = ""
    account: str = ""
    project: str = ""
    ledger: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    diagnosis: Diagnosis | None = None
    plan: Plan | None = None
    created: str = ""
    attempts: tuple[Attempt, ...] = ()
    gaps: tuple[Gap, ...] = ()
    spent_usd: float | None = None
    estimated_usd: float | None = None
    time_lost_seconds: float | None = None
    output: str = ""
    approval_id: str = ""
    approve_until: datetime | None = None
    over_time: bool = False
    limit: str = ""
    cancels: bool = False
    places: tuple[Link, ...] = ()
    count: int = 0
    extra: tuple[str, ...] = ()
    together: tuple[Message, ...] = ()
    question_end: QuestionEnd | None = None
    declined_by: str = ""
    grant: str = ""
    deleted: bool = False
    cancelled_why: str = ""
    trouble: Trouble | None = None
    watch_reason: str = ""

    @property
    def verdict(self) -> Cause:
        """The diagnosis' own; else the plan's; else unknown."""
        if self.diagnosis is not None:
            return self.diagnosis.verdict
        return self.plan.verdict if self.plan is not None else Cause.UNKNOWN

    @property
    def name(self) -> str:
        """What people call the job, without the ` (attempt N)` of a resubmission."""
        bare = re.sub(r" \(attempt \d+\)$", "", self.display_name.strip())
        return shown(bare, NAME_LIMIT) or (self.job.id if self.job else "a job")

    @property
    def was_cancelled(self) -> bool:
        """An attempt of ours that a person ended, or the remediator itself."""
        ended = self.kind is AlertKind.GIVEN_UP and self.state is JobState.CANCELLED
        return ended and self.diagnosis is None

    @property
    def is_explained(self) -> bool:
        """It tells of a failure, and so of its cause and the evidence."""
        return self.kind in _EXPLAINED

    @property
    def question_end_words(self) -> str:
        """`nobody answered` or `declined by …`; empty where no question ended so."""
        if self.question_end is None:
            return ""
        by = f" by {self.declined_by}" if self.declined_by else ""
        return shown(f"{self.question_end}{by}", NAME_LIMIT)

    @property
    def made(self) -> int:
        """How many resubmissions there were."""
        return len(self.attempts) or self.attempt

    @property
    def number(self) -> int:
        """Of the attempt that was just made; the attempts may or may not list it already."""
        last = self.attempts[-1] if self.attempts else None
        if last is not None and (
            job_id(last.name) == job_id(self.created)
            if self.created
            else not last.state.is_terminal
        ):
            return last.number or len(self.attempts)
        return max(len(self.attempts), self.attempt) + 1

    @property
    def top(self) -> RankedCause | None:
        """The likeliest cause, also where no verdict is given."""
        return self.diagnosis.causes[0] if self.diagnosis and self.diagnosis.causes else None

    @property
    def longest(self) -> Section | None:
        """The section that took most of the run, as the job's own timeline tells it."""
        sections = self.diagnosis.sections if self.diagnosis else ()
        return max(sections, key=lambda section: section.share, default=None)


def job_named(name: JobName | str | None) -> JobName | None:
    """The parts of a job's name; None for anything else."""
    if not isinstance(name, str):
        return name
    try:
        return JobName.parse(name)
    except InvalidInput:
        return None


def job_id(name: str) -> str:
    """What people call a job that has no other name."""
    job = job_named(name)
    return job.id if job else shown(name, 160)
