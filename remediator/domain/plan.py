"""A plan as a value, with the changes, the attempts and the history that it rests on. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from msgspec import Struct, field

from remediator.domain.names import (
    WATCH_REASONS,
    Action,
    Cause,
    Guard,
    JobState,
    Json,
    Lack,
    Mode,
    parse_time,
    rfc3339,
)
from remediator.domain.numbers import is_number


class Change(Struct, frozen=True):
    """One field of a job, before and after; `before` None: it was not set.

    `name` is the variable or the flag whose value it is, which the field's path does not tell.
    """

    field: str
    before: Any
    after: Any
    name: str = ""

    def to_json(self) -> dict[str, Any]:
        """As an attempt keeps it."""
        return {**self.shown, "name": self.name} if self.name else self.shown

    @property
    def shown(self) -> dict[str, Any]:
        """As `plan --json` prints it."""
        return {"field": self.field, "from": self.before, "to": self.after}

    @classmethod
    def parse(cls, body: Json) -> Change:
        field, name = str(body.get("field") or ""), str(body.get("name") or "")
        return cls(field, body.get("from"), body.get("to"), name)


CLAIM_MARK = "{claim}"
"""Stands in a plan for the token of a claim, which is chosen when the plan is carried out."""


class Part(Struct, frozen=True):
    """A part of a batch's results: which job of the chain wrote it, how many rows, and where.

    `attempt` 0 is the root job. `rows` are those with a result; of a job that still runs, those sent.
    """

    job: str
    attempt: int
    rows: int
    output: str

    def to_json(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "attempt": self.attempt,
            "rows": self.rows,
            "output": self.output,
        }

    @classmethod
    def parse(cls, body: Json) -> Part:
        return cls(
            str(body.get("job") or ""),
            int(body.get("attempt") or 0),
            int(body.get("rows") or 0),
            str(body.get("output") or ""),
        )


class Resume(Struct, frozen=True):
    """An attempt that runs the rows that are left: how many are `sent`, and the `parts` before it.

    Empty `parts`: the attempt runs all rows. `is_new`: its input is still to be written. `query_usd`:
    what BigQuery is paid for counting its rows and for writing those that are left, US dollars.
    """

    sent: int = 0
    parts: tuple[Part, ...] = ()
    is_new: bool = False
    query_usd: float = 0.0

    def to_json(self) -> dict[str, Any]:
        queries = {"query_usd": self.query_usd} if self.query_usd else {}
        return {"sent": self.sent, "parts": [part.to_json() for part in self.parts], **queries}

    @classmethod
    def parse(cls, body: Json) -> Resume:
        parts = tuple(Part.parse(part) for part in body.get("parts") or ())
        return cls(int(body.get("sent") or 0), parts, query_usd=float(body.get("query_usd") or 0))


ALL_ROWS = Resume()
"""An attempt that runs all rows."""


class Attempt(Struct, frozen=True):
    """One resubmission of a root job: the plan that made it and what became of it.

    `max_run_seconds` bounds it where it has no time-out of its own. `abandoned`: it never got a
    machine and was stepped over: it counts as a retry, and costs nothing. `accrued_usd`: what it had
    cost when it was last seen running, US dollars.
    """

    name: str
    state: JobState
    create_time: datetime | None
    policy: str
    step: int
    verdict: str
    changes: tuple[Change, ...]
    claim: str = ""
    number: int = 0
    estimated_usd: float | None = None
    end_time: datetime | None = None
    max_run_seconds: float | None = None
    abandoned: bool = False
    unplaced: bool = False
    entry: int = 0
    accrued_usd: float = 0.0
    resume: Resume = Resume()

    @property
    def is_retry(self) -> bool:
        """Those without a change or a machine count against `retries`, others against `attempts`.

        So do those that took the place of a job cancelled while it ran, though nothing is changed.
        """
        return self.unplaced or not (self.changes or self.follows_cancel)

    @property
    def follows_cancel(self) -> bool:
        """Whether it was made for a running job that `watch` had cancelled."""
        return self.verdict in WATCH_REASONS

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "state": f"JOB_STATE_{self.state}",
            "createTime": rfc3339(self.create_time) if self.create_time else None,
            "endTime": rfc3339(self.end_time) if self.end_time else None,
            "policy": self.policy,
            "step": self.step,
            "verdict": self.verdict,
            "changes": [change.to_json() for change in self.changes],
            "claim": self.claim,
            "number": self.number,
            "estimatedUsd": self.estimated_usd,
            **({"maxRunSeconds": self.max_run_seconds} if self.max_run_seconds else {}),
            **({"abandoned": True} if self.abandoned else {}),
            **({"unplaced": True} if self.unplaced else {}),
            **({"entry": self.entry} if self.entry else {}),
            **({"accruedUsd": self.accrued_usd} if self.accrued_usd else {}),
            **({"resume": self.resume.to_json()} if self.resume.parts else {}),
        }

    @classmethod
    def parse(cls, body: Json) -> Attempt:
        return cls(
            name=str(body.get("name") or ""),
            state=JobState.parse(body.get("state")),
            create_time=parse_time(body.get("createTime")),
            policy=str(body.get("policy") or ""),
            step=int(body.get("step") or 0),
            verdict=str(body.get("verdict") or Cause.UNKNOWN),
            changes=tuple(Change.parse(change) for change in body.get("changes") or ()),
            claim=str(body.get("claim") or ""),
            number=int(body.get("number") or 0),
            # A case file may hold the plan that made it, which spells the key as plans do.
            estimated_usd=_usd(body.get("estimatedUsd", body.get("estimated_usd"))),
            end_time=parse_time(body.get("endTime")),
            max_run_seconds=body.get("maxRunSeconds"),
            abandoned=body.get("abandoned") is True,
            unplaced=body.get("unplaced") is True,
            entry=int(body.get("entry") or 0),
            accrued_usd=_usd(body.get("accruedUsd")) or 0.0,
            resume=Resume.parse(body.get("resume") or {}),
        )

    @property
    def reserved_usd(self) -> float:
        """What it holds of its job's budget while it runs: its estimate, or more once it cost more."""
        return max(self.estimated_usd or 0.0, self.accrued_usd)


def _usd(value: object) -> float | None:
    return float(value) if is_number(value) and value >= 0 else None


def money_counter(day: date, group: str = "") -> str:
    """The ledger's counter of one UTC day's money: everybody's, or that of a group (`BY:VALUE`)."""
    return f"usd:{day:%Y-%m-%d}" + (f":{group}" if group else "")


def counter_on(key: str, day: date) -> str:
    """The counter of the same money on another day."""
    _, _, rest = key.partition(":")
    return money_counter(day, rest.partition(":")[2])


class VainAttempt(Struct, frozen=True):
    """An attempt of an earlier chain of the same work, which ended without a success.

    `verdict` is the failure that it was made for, `ended_by` the one that it ended with. `size` is
    what it ran on, as `planning.vain` keeps it; `changes` are all that its chain had changed by then.
    `chain_usd`: what all attempts of its chain cost, US dollars; `chain_attempts` how many there were.
    `rows`: how many rows its input had, where that is known. `vouched`: its job bore remediator=on.
    """

    root: str
    display_name: str
    number: int
    at: datetime
    verdict: str
    ended_by: str
    size: Json
    changes: tuple[Change, ...] = ()
    chain_usd: float = 0.0
    chain_attempts: int = 1
    rows: int | None = None
    vouched: bool = False

    def to_json(self) -> dict[str, Any]:
        return {
            "root": self.root,
            "displayName": self.display_name,
            "number": self.number,
            "at": rfc3339(self.at),
            "verdict": self.verdict,
            "endedBy": self.ended_by,
            "size": dict(self.size),
            "changes": [change.to_json() for change in self.changes],
            "chainUsd": self.chain_usd,
            "chainAttempts": self.chain_attempts,
            **({"rows": self.rows} if self.rows else {}),
            **({"vouched": True} if self.vouched else {}),
        }

    @classmethod
    def parse(cls, body: Json) -> VainAttempt | None:
        """What `to_json` wrote; None where it has no end or no size."""
        at, size = parse_time(body.get("at")), body.get("size")
        if at is None or not isinstance(size, Mapping):
            return None
        rows = body.get("rows")
        return cls(
            root=str(body.get("root") or ""),
            display_name=str(body.get("displayName") or ""),
            number=int(body.get("number") or 0),
            at=at,
            verdict=str(body.get("verdict") or Cause.UNKNOWN),
            ended_by=str(body.get("endedBy") or Cause.UNKNOWN),
            size=size,
            changes=tuple(Change.parse(change) for change in body.get("changes") or ()),
            chain_usd=_usd(body.get("chainUsd")) or 0.0,
            chain_attempts=int(body.get("chainAttempts") or 1),
            rows=rows if isinstance(rows, int) else None,
            vouched=body.get("vouched") is True,
        )


# --- diagnosis ---------------------------------------------------------------------------------


class History(Struct, frozen=True):
    """What the ledger and the project know that bears on a plan; every fact the guards need.

    Money is in USD, settled plus reserved. `rerun_by` names a job outside our chains that already
    runs the same workload again. `resume_bucket` (`gs://bucket/prefix`) and `resume_dataset` are where
    the rows that are left of a batch may be written; empty: nowhere. `ledger_read` is false where
    only the job was asked, so that what the ledger, the settings and other jobs would say is not
    known. `vain` are attempts that earlier chains of the same work made for nothing, oldest first.
    `spent_by` and `resubmitted_by` hold the same figures for the
    groups that `limits.per` names, keyed by (`by`, value).
    """

    attempts: tuple[Attempt, ...] = ()
    root: str = ""
    usd_this_job: float = 0.0
    usd_today: float = 0.0
    resubmissions_last_hour: int = 0
    spent_by: Mapping[tuple[str, str], float] = field(default_factory=dict)
    resubmitted_by: Mapping[tuple[str, str], int] = field(default_factory=dict)
    stopped: bool = False
    too_old: bool = False
    rerun_by: str = ""
    parent: str = ""
    cancelled_by_person: bool = False
    breaker_open: str = ""
    breaker_until: datetime | None = None
    service_accounts: tuple[str, ...] = ()
    max_mode: Mode | None = None
    max_usd_per_day: float | None = None
    max_usd_per_job: float | None = None
    sizes_that_worked: tuple[Json, ...] = ()
    longest_similar_seconds: float | None = None
    resume_bucket: str = ""
    resume_dataset: str = ""
    ledger_read: bool = True
    vain: tuple[VainAttempt, ...] = ()


class GuardRefusal(Struct, frozen=True):
    """A guard that refuses, and why, in words fit for an alert; `lack`: what a person could supply."""

    guard: Guard
    why: str
    lack: Lack | None = None


class Plan(Struct, frozen=True):
    """What would be done, exactly. In mode observe `action` says what would have been done.

    `request` is the job that would be created (REST shape, output-only fields gone, without the
    claim label, which is chosen later). `changes` are the fields in which it differs by intent.
    `longest_seconds` is the longest it may run, by whatever bounds it; `max_run_seconds` a bound of
    ours alone. `because` is the whole sentence; `refusals` say why guards of `refused_by` refuse, where
    that is known; `notes` are what it says beyond those, verdict, changes and cost, and `cost_basis` and `worst_case_basis` what the two sums rest on, for those who show each of these in
    its own place.
    `approval_reasons`: why a person must say yes first, each with what would make that needless.
    `resume`: of a batch of which only the rows that are left run again; CLAIM_MARK then stands in the
    names of its input and output.
    """

    job: str
    verdict: Cause
    policy: str
    step: int
    mode: Mode
    action: Action
    changes: tuple[Change, ...] = ()
    request: Json | None = None
    location: str = ""
    not_before: datetime | None = None
    estimated_usd: float | None = None
    worst_case_usd: float | None = None
    max_run_seconds: float | None = None
    longest_seconds: float | None = None
    refused_by: tuple[Guard, ...] = ()
    refusals: tuple[GuardRefusal, ...] = ()
    alerts: tuple[str, ...] = ()
    because: str = ""
    notes: tuple[str, ...] = ()
    cost_basis: str = ""
    worst_case_basis: str = ""
    explanation: tuple[str, ...] = ()
    entry: int = 0
    approval_reasons: tuple[str, ...] = ()
    resume: Resume = Resume()

    def to_json(self) -> dict[str, Any]:
        """As `plan --json` prints it."""
        return {
            "job": self.job,
            "verdict": self.verdict.value,
            "policy": self.policy,
            "step": self.step,
            "mode": self.mode.value,
            "action": self.action.value,
            "changes": [change.shown for change in self.changes],
            "request": self.request,
            "not_before": rfc3339(self.not_before) if self.not_before else None,
            "estimated_usd": self.estimated_usd,
            "worst_case_usd": self.worst_case_usd,
            "refused_by": [guard.value for guard in self.refused_by],
            "alerts": list(self.alerts),
            "because": self.because,
        }

    def why_refused(self, guard: Guard) -> str:
        """Why this guard refuses; empty where the plan does not say."""
        return next((one.why for one in self.refusals if one.guard is guard), "")

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why each guard refuses, then the notes."""
        whys = (self.why_refused(guard) for guard in self.refused_by)
        return (*(why for why in whys if why), *self.notes)

    @property
    def digest(self) -> str:
        """What a person approves: policy, step and changes, so that another plan differs."""
        shown = [self.policy, self.step, [one.shown for one in self.changes]]
        return _hex_digest(json.dumps(shown, sort_keys=True))[:16]


_LABEL_LIMIT = (
    63  # Google Cloud's own, https://cloud.google.com/resource-manager/docs/labels-overview
)


def label_value(text: str) -> str:
    """Any text as a label value: `[a-z0-9_-]`, at most 63; longer: 54, `-`, 8 hex of a digest."""
    clean = re.sub(r"[^a-z0-9_-]", "-", text.lower())
    if len(clean) <= _LABEL_LIMIT:
        return clean
    return f"{clean[:54]}-{_hex_digest(text)[:8]}"


def _hex_digest(text: str) -> str:
    import hashlib  # noqa: PLC0415  # it loads OpenSSL, which a diagnosis never needs

    return hashlib.sha256(text.encode()).hexdigest()
