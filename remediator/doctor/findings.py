"""What a check says, and what it looks at: findings, the context, and the project's own APIs as seen here.

Values and one Protocol; the checks stand in the files beside this one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from remediator.domain import Json
from remediator.ledger import Ledger
from remediator.policy import Policies


class CheckStatus(StrEnum):
    """What a check found."""

    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


class Finding(Struct, frozen=True):
    """`says`: what was seen; `why`: what it leads to; `mend`: a command or a deed."""

    check: str
    status: CheckStatus
    says: str
    why: str = ""
    fix: str = ""

    def to_json(self) -> dict[str, str]:
        return {
            "check": self.check,
            "status": self.status.value,
            "says": self.says,
            "why": self.why,
            "mend": self.fix,
        }


class DeploymentReader(Protocol):
    """The project's own APIs; errors are the domain's."""

    def google_time(self) -> datetime | None: ...
    def sink(self, name: str) -> Json: ...
    def subscription(self, name: str) -> Json: ...
    def schedule(self, region: str, name: str) -> Json: ...
    def function(self, region: str, name: str) -> Json: ...
    def alert_policy(self, display_name: str) -> Json: ...
    def holders(self, of: str, name: str, role: str, *, region: str = "") -> frozenset[str]: ...
    def granted(self, permissions: Iterable[str], *, account: str = "") -> frozenset[str]: ...
    def may_act_as(self, target: str, *, account: str = "") -> bool: ...
    def bucket(self, name: str) -> Json: ...
    def dataset(self, project: str, name: str) -> Json: ...
    def granted_on_bucket(
        self, name: str, permissions: Iterable[str], *, account: str = ""
    ) -> frozenset[str]: ...
    def newest(self, metric: str, subscription: str, now: datetime) -> int | None: ...
    def quota_limits(self, regions: Sequence[str]) -> Iterator[tuple[str, str, int]]: ...


class DoctorContext(Struct, frozen=True):
    """What the checks look at. `account` is the functions' own; `is_self`: this runs as it.

    `digest` is that of the policy file as read here. `check_channel` raises where a channel cannot
    be reached; `write_log` writes entries to a log. `acts_as` are the accounts whose jobs may be
    resubmitted. `works_seconds`: how long the function works on an event at most. `event_seconds`:
    how long the event may take to arrive; 0 sends none. `resume_bucket` (`gs://bucket/prefix`) is where
    the rows that are left of a batch go, `resume_dataset` (`bq://project.dataset`) the same for those of
    BigQuery; empty: nowhere.
    """

    name: str
    project: str
    number: str
    region: str
    locations: tuple[str, ...]
    account: str
    is_self: bool
    acts_as: tuple[str, ...]
    deployment: DeploymentReader
    policies: Callable[[], Policies]
    digest: Callable[[], str]
    ledger: Callable[[], Ledger]
    check_channel: Callable[[str], None]
    write_log: Callable[[str, list[Json]], None]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    token: str
    works_seconds: float
    event_seconds: float
    lease: timedelta
    resume_bucket: str = ""
    resume_dataset: str = ""

    @property
    def apply(self) -> str:
        """What puts everything back as it is deployed."""
        return f"deploy/deploy.sh {self.project} {self.region}"


def unknown(check: str, err: Exception, fix: str) -> Finding:
    """A check that could not be made."""
    return Finding(check, CheckStatus.UNKNOWN, f"not checked: {err}", fix=fix)
