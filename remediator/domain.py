"""The nouns of the house: frozen values that pass between rooms, and the errors.

Owns the contract's vocabulary (enums equal `docs/contracts`), `JobName`, diagnosis,
history and plan. Must not do I/O, read a clock or import any other room; every
room imports this one.

Errors, by what the caller does:

    RemediatorError
    ├── Transient            come back later: the door answers 5xx
    │   └── Unanswered       a change was sent and no answer came: look before acting again
    ├── Refused              will never work as asked: say why
    │   ├── Gone             the thing does not exist (404)
    │   ├── Unserved         the service has no such call (501): nothing of that kind exists there
    │   └── Forbidden        a permission is missing; names it
    └── Unusable             bad input: acknowledge, log, change nothing
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeAlias

Json: TypeAlias = Mapping[str, Any]
"""A JSON object in the shape of Google's REST API (camelCase keys); never changed in place."""


# --- errors ------------------------------------------------------------------------------------


class RemediatorError(Exception):
    """Anything this product raises on purpose."""


class Transient(RemediatorError):
    """Come back later. `retry_after_seconds` is the service's own wish, where it told one."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Unanswered(Transient):
    """A create was sent and its outcome is unknown: the job may exist."""


class Refused(RemediatorError):
    """The service will never accept this as asked; the message is the service's own."""


class Gone(Refused):
    """The job, model, object or bucket does not exist (any more)."""


class Unserved(Refused):
    """The service does not know the call (UNIMPLEMENTED): it has nothing of that kind."""


class Forbidden(Refused):
    """A permission is missing. The message names it and the resource where the service did."""


class Unusable(RemediatorError):
    """Bad input: it is acknowledged and logged, and changes nothing."""


# --- the contract's vocabulary -----------------------------------------------------------------


class JobKind(StrEnum):
    """Kinds of Vertex jobs, in the contract's words."""

    BATCH_PREDICTION = "batch_prediction"
    CUSTOM = "custom"
    HYPERPARAMETER_TUNING = "hyperparameter_tuning"
    TRAINING_PIPELINE = "training_pipeline"
    PIPELINE = "pipeline"


class Cause(StrEnum):
    """What a failure can be put down to."""

    CPU_SATURATION = "cpu_saturation"
    MEMORY_PRESSURE = "memory_pressure"
    GPU_MEMORY = "gpu_memory"
    DISK_FULL = "disk_full"
    ACCELERATOR_MISSING = "accelerator_missing"
    SLOW_STARTUP = "slow_startup"
    NETWORK_LATENCY = "network_latency"
    SLOW_CODE = "slow_code"
    REQUEST_TOO_LARGE = "request_too_large"
    CAPACITY_STOCKOUT = "capacity_stockout"
    QUOTA = "quota"
    PREEMPTION = "preemption"
    TRANSIENT_BACKEND = "transient_backend"
    BAD_INPUT = "bad_input"
    USER_CODE_ERROR = "user_code_error"
    PERMISSION = "permission"
    INVALID_CONFIG = "invalid_config"
    UNKNOWN = "unknown"


NO_PLACE = frozenset({Cause.CAPACITY_STOCKOUT, Cause.QUOTA})
"""Causes for which a job never got a machine: such an attempt costs nothing."""
NEVER_RETRIED = frozenset(
    {Cause.USER_CODE_ERROR, Cause.BAD_INPUT, Cause.PERMISSION, Cause.INVALID_CONFIG}
)
"""Causes that no resubmission mends; the guard `cause` refuses them whatever a policy says."""


class Source(StrEnum):
    """Where a piece of evidence was read."""

    JOB = "job"
    MODEL = "model"
    LOG = "log"
    METRIC = "metric"
    TELEMETRY = "telemetry"
    ERROR_FILE = "error_file"
    STORAGE = "storage"
    PROBE = "probe"
    HISTORY = "history"


class Mode(StrEnum):
    """How far a policy may go."""

    ENFORCE = "enforce"
    APPROVE = "approve"
    OBSERVE = "observe"


class Action(StrEnum):
    """What a plan says to do."""

    RESUBMIT = "resubmit"
    WAIT = "wait"
    APPROVE = "approve"
    ALERT = "alert"
    CANCEL = "cancel"
    CANCEL_RESUBMIT = "cancel_resubmit"


class WatchVerdict(StrEnum):
    """What is thought of a job that still runs, in the contract's words."""

    STALLED = "stalled"
    SPINNING = "spinning"
    ACCELERATOR_UNUSED = "accelerator_unused"
    WAITING_FOR_CAPACITY = "waiting_for_capacity"
    WAITING_FOR_QUOTA = "waiting_for_quota"
    WILL_TIME_OUT = "will_time_out"
    MEMORY_CLIMBING = "memory_climbing"
    HEALTHY = "healthy"
    UNKNOWN = "unknown"


STANDSTILL = frozenset({WatchVerdict.STALLED, WatchVerdict.SPINNING})
WAITING = frozenset({WatchVerdict.WAITING_FOR_CAPACITY, WatchVerdict.WAITING_FOR_QUOTA})
NOTHING_WRONG = frozenset({WatchVerdict.HEALTHY, WatchVerdict.UNKNOWN})
"""Verdicts on which nothing is done: no entry of `watch` may name them."""
LOG_RULE = "log_rule"
"""In place of a verdict: a log rule of the policy file found its line missing."""
WATCH_REASONS = frozenset(
    {*(one.value for one in WatchVerdict if one not in NOTHING_WRONG), LOG_RULE}
)
"""Why a running job was cancelled and submitted again, as an attempt's `verdict`."""


class Guard(StrEnum):
    """Names of the limits that can refuse a plan, as they stand in `refused_by`."""

    ATTEMPTS = "attempts"
    RETRIES = "retries"
    USD_PER_JOB = "usd_per_job"
    USD_PER_DAY = "usd_per_day"
    RATE = "rate"
    UNKNOWN_PRICE = "unknown_price"
    MACHINE_TYPES = "machine_types"
    ACCELERATORS = "accelerators"
    LOCATIONS = "locations"
    INCOMPATIBLE = "incompatible"
    CAUSE = "cause"
    STOP_SWITCH = "stop_switch"
    LABEL_OFF = "label_off"
    BREAKER = "breaker"
    CANCELLED_BY_PERSON = "cancelled_by_person"
    LOOKBACK = "lookback"
    ALREADY_RERUN = "already_rerun"
    HAS_PARENT = "has_parent"
    SERVICE_ACCOUNT = "service_account"
    PINNED = "pinned"
    LABELS_FULL = "labels_full"
    ROWS = "rows"
    NO_MACHINE = "no_machine"


SILENT_GUARDS = frozenset(
    {Guard.HAS_PARENT, Guard.LABEL_OFF, Guard.CANCELLED_BY_PERSON, Guard.LOOKBACK}
)
"""Refusals that alert nobody: they stand in the log and the report only."""
NO_ACCOUNT = "default"
"""How jobs that name no account are named among those that may be resubmitted."""


# --- jobs --------------------------------------------------------------------------------------

COLLECTIONS: Mapping[str, JobKind] = {
    "batchPredictionJobs": JobKind.BATCH_PREDICTION,
    "customJobs": JobKind.CUSTOM,
    "hyperparameterTuningJobs": JobKind.HYPERPARAMETER_TUNING,
    "trainingPipelines": JobKind.TRAINING_PIPELINE,
    "pipelineJobs": JobKind.PIPELINE,
}
_COLLECTION_OF = {kind: name for name, kind in COLLECTIONS.items()}
_JOB_NAME = re.compile(
    r"projects/(?P<project>[a-z0-9.:-]{1,100})/locations/(?P<location>[a-z0-9-]{1,63})"
    r"/(?P<collection>[A-Za-z]{1,63})/(?P<id>[A-Za-z0-9._-]{1,128})"
)


@dataclass(frozen=True, slots=True)
class JobName:
    """A job's resource name, taken apart. `project` is an id or a number, as it was written."""

    project: str
    location: str
    kind: JobKind
    id: str

    def __str__(self) -> str:
        return (
            f"projects/{self.project}/locations/{self.location}"
            f"/{_COLLECTION_OF[self.kind]}/{self.id}"
        )

    @classmethod
    def parse(cls, text: str) -> JobName:
        """The parts of `projects/P/locations/L/COLLECTION/ID`; raises Unusable for anything else."""
        match = _JOB_NAME.fullmatch(text)
        if match is None or match["collection"] not in COLLECTIONS:
            msg = (
                f"not the name of a Vertex AI job: {text[:200]!r}; it is projects/PROJECT/locations/"
                f"LOCATION/COLLECTION/ID, with COLLECTION one of {', '.join(COLLECTIONS)}"
            )
            raise Unusable(msg)
        return cls(
            match["project"], match["location"], COLLECTIONS[match["collection"]], match["id"]
        )

    @property
    def key(self) -> str:
        """`LOCATION/COLLECTION/ID`: the same for both forms of the project, id and number."""
        return f"{self.location}/{_COLLECTION_OF[self.kind]}/{self.id}"

    @property
    def collection(self) -> str:
        """The REST collection, such as `customJobs`."""
        return _COLLECTION_OF[self.kind]

    @property
    def parent(self) -> str:
        """`projects/P/locations/L`."""
        return f"projects/{self.project}/locations/{self.location}"


class JobState(StrEnum):
    """JobState and PipelineState without their prefixes, in Google's words."""

    UNSPECIFIED = "UNSPECIFIED"
    QUEUED = "QUEUED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLING = "CANCELLING"
    CANCELLED = "CANCELLED"
    PAUSED = "PAUSED"
    EXPIRED = "EXPIRED"
    UPDATING = "UPDATING"
    PARTIALLY_SUCCEEDED = "PARTIALLY_SUCCEEDED"

    @classmethod
    def parse(cls, text: str | None) -> JobState:
        """`JOB_STATE_FAILED` or `PIPELINE_STATE_FAILED` -> FAILED; unknown -> UNSPECIFIED."""
        bare = str(text or "").removeprefix("JOB_STATE_").removeprefix("PIPELINE_STATE_")
        return cls(bare) if bare in cls.__members__ else cls.UNSPECIFIED

    @property
    def is_terminal(self) -> bool:
        """No further change will come by itself."""
        return self in _TERMINAL


_TERMINAL = frozenset(
    {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.EXPIRED,
        JobState.PARTIALLY_SUCCEEDED,
    }
)

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@lru_cache(maxsize=4096)
def path_steps(path: str) -> tuple[str | int, ...]:
    """`a.b[0].c` -> ("a", "b", 0, "c"): how changes name a field of a job."""
    return tuple(int(index) if index else key for key, index in _STEP.findall(path))


def parse_time(text: object) -> datetime | None:
    """An RFC 3339 time (up to nanoseconds), in whatever zone it is told, in UTC; None for anything else.

    So is a time at either end of the calendar, where adding a minute or an hour's zone would fail.
    """
    if not isinstance(text, str):
        return None
    trimmed = text.strip().replace("Z", "+00:00")
    if "." in trimmed:
        trimmed = _NANOSECONDS.sub(r"\1", trimmed)
    try:
        moment = datetime.fromisoformat(trimmed)
    except ValueError:
        return None
    if moment.tzinfo is None or not is_usable(moment):
        return None
    return moment.astimezone(UTC)


def is_usable(moment: datetime) -> bool:
    """Whether an hour can be added or taken away: not at either end of the calendar."""
    return _FIRST_YEAR <= moment.year <= _LAST_YEAR


_NANOSECONDS = re.compile(r"(\.\d{6})\d+")
_FIRST_YEAR, _LAST_YEAR = 1900, 9000


def parse_seconds(text: object) -> float | None:
    """Protobuf's JSON duration (`"3600s"`) in seconds; None for anything else."""
    if not isinstance(text, str) or not re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]+)?s", text):
        return None
    return float(text[:-1])


def rfc3339(moment: datetime) -> str:
    """The moment as Google's APIs write it, in UTC with a `Z`."""
    utc = moment.astimezone(UTC)
    spec = "microseconds" if utc.microsecond else "seconds"
    return utc.isoformat(timespec=spec).replace("+00:00", "Z")


# --- changes and attempts ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a job, before and after; `before` None: it was not set."""

    field: str
    before: Any
    after: Any

    def to_json(self) -> dict[str, Any]:
        return {"field": self.field, "from": self.before, "to": self.after}

    @classmethod
    def parse(cls, body: Json) -> Change:
        return cls(str(body.get("field") or ""), body.get("from"), body.get("to"))


CLAIM_MARK = "{claim}"
"""Stands in a plan for the token of a claim, which is chosen when the plan is carried out."""


@dataclass(frozen=True, slots=True)
class Part:
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


@dataclass(frozen=True, slots=True)
class Resume:
    """An attempt that runs the rows that are left: how many are `sent`, and the `parts` before it.

    Empty `parts`: the attempt runs all rows. `is_new`: its input is still to be written.
    """

    sent: int = 0
    parts: tuple[Part, ...] = ()
    is_new: bool = False

    def to_json(self) -> dict[str, Any]:
        return {"sent": self.sent, "parts": [part.to_json() for part in self.parts]}

    @classmethod
    def parse(cls, body: Json) -> Resume:
        parts = tuple(Part.parse(part) for part in body.get("parts") or ())
        return cls(int(body.get("sent") or 0), parts)


ALL_ROWS = Resume()
"""An attempt that runs all rows."""


@dataclass(frozen=True, slots=True)
class Attempt:
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
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and value >= 0 else None  # type: ignore[arg-type,operator]  # a number


def money_counter(day: date, group: str = "") -> str:
    """The ledger's counter of one UTC day's money: everybody's, or that of a group (`BY:VALUE`)."""
    return f"usd:{day:%Y-%m-%d}" + (f":{group}" if group else "")


def counter_on(key: str, day: date) -> str:
    """The counter of the same money on another day."""
    _, _, rest = key.partition(":")
    return money_counter(day, rest.partition(":")[2])


# --- diagnosis ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Evidence:
    """One thing that was seen: where, and what it says in words fit for an alert."""

    source: Source
    where: str
    says: str

    def to_json(self) -> dict[str, Any]:
        return {"source": self.source.value, "where": self.where, "says": self.says}


@dataclass(frozen=True, slots=True)
class Frame:
    """A place in source code: the file as the runtime named it, the line, the function if known."""

    file: str
    line: int
    function: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {"file": self.file, "line": self.line, "function": self.function}


@dataclass(frozen=True, slots=True)
class RankedCause:
    """A cause with the probability that it is the one, and what speaks for and against it."""

    cause: Cause
    confidence: float
    evidence: tuple[Evidence, ...]
    against: tuple[Evidence, ...] = ()
    advice: str = ""
    advice_url: str = ""

    def to_json(self) -> dict[str, Any]:
        return {
            "cause": self.cause.value,
            "confidence": round(self.confidence, 4),
            "evidence": [item.to_json() for item in self.evidence],
            "against": [item.to_json() for item in self.against],
            "advice": {"text": self.advice, "link": self.advice_url},
        }


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the job's own timeline and the share of the run it took (0 to 1)."""

    name: str
    share: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """The largest piece of memory that a message says was asked for, in bytes.

    It bounds what can help: a machine (or device) with no more than this fails in the same way.
    `device`: on the accelerator, not the host.
    """

    bytes: float
    device: bool
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class OwnLimit:
    """A limit of the program's own that memory ran into: a heap, a worker's share, `/dev/shm`.

    `bytes` is None where nobody says how large it is. `fixed`: it does not grow with the machine, so
    a bigger one changes nothing; False where it is a share of the machine unless somebody set it.
    """

    name: str
    bytes: float | None
    fixed: bool
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the work had come by its own log: `done` is a share of all of it.

    `seconds_needed` is what all of it would have taken from the start, at the slower of its paces;
    `seconds_expected` at the pace that was kept since it had warmed up.
    """

    done: float
    seconds_needed: float
    evidence: Evidence
    seconds_expected: float | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """What the evidence says the job really needs; None where it does not say.

    `peak_memory_gib` is a lower bound where the job died of memory. `cpu_fullness` is the mean
    fraction of all vCPUs while working; `work_done` the fraction finished when time ran out.
    `request_seconds` is what one request of the failed batch size took, at least. `wanted` and
    `own_limit` are what messages about memory say of it, and `progress` what the log says of the
    work, whatever the verdict is.
    """

    peak_memory_gib: float | None = None
    memory_is_lower_bound: bool = False
    cpu_fullness: float | None = None
    work_done: float | None = None
    request_seconds: float | None = None
    gpu_peak_memory_gib: float | None = None
    wanted: Wanted | None = None
    own_limit: OwnLimit | None = None
    progress: Progress | None = None


@dataclass(frozen=True, slots=True)
class TaskCause:
    """What one failed task of a pipeline run died of; `index` is its place in `taskDetails`."""

    index: int
    name: str
    cause: Cause


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Causes ranked by confidence. `verdict` is UNKNOWN where the evidence does not carry one.

    `settled_by_error`: the job's own error alone carries the verdict, so that nothing still on its
    way could change it. `missing` says what evidence would settle an unknown. `parts`: of a pipeline
    run, what each task died of.
    """

    job: str
    kind: JobKind
    verdict: Cause
    causes: tuple[RankedCause, ...]
    settled_by_error: bool = False
    sections: tuple[Section, ...] = ()
    needs: Needs = Needs()
    missing: tuple[str, ...] = ()
    parts: tuple[TaskCause, ...] = ()
    frame: Frame | None = None
    """The last frame in the user's own code of what failed; None where no traceback tells one."""
    last_lines: tuple[str, ...] = ()
    """What the workers wrote last before the end, oldest first; each cut to a bounded length."""
    row_errors: tuple[tuple[str, int], ...] = ()
    """Of a batch: the messages of failed rows and how often each was read, most frequent first."""

    @property
    def confidence(self) -> float:
        """Of the verdict; 0 for unknown."""
        return self.causes[0].confidence if self.verdict is not Cause.UNKNOWN else 0.0

    def to_json(self) -> dict[str, Any]:
        """As `diagnose --json` prints it."""
        return {
            "job": self.job,
            "kind": self.kind.value,
            "verdict": self.verdict.value,
            "causes": [cause.to_json() for cause in self.causes],
            "sections": [
                {"name": s.name, "share": round(s.share, 3), "seconds": round(s.seconds, 1)}
                for s in self.sections
            ],
            "missing": list(self.missing),
            "frame": self.frame.to_json() if self.frame else None,
            "last_lines": list(self.last_lines),
        }


# --- plans -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class History:
    """What the ledger and the project know that bears on a plan; every fact the guards need.

    Money is in USD, settled plus reserved. `rerun_by` names a job outside our chains that already
    runs the same workload again. `resume_bucket` (`gs://bucket/prefix`) and `resume_dataset` are where
    the rows that are left of a batch may be written; empty: nowhere. `spent_by` and `resubmitted_by` hold the same figures for the
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


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done, exactly. In mode observe `action` says what would have been done.

    `request` is the job that would be created (REST shape, output-only fields gone, without the
    claim label, which is chosen later). `changes` are the fields in which it differs by intent.
    `longest_seconds` is the longest it may run, by whatever bounds it; `max_run_seconds` a bound of
    ours alone. `because` is the whole sentence; `notes` are what it says beyond verdict, changes and cost, and
    `cost_basis` and `worst_case_basis` what the two sums rest on, for those who show each of these in
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
            "changes": [change.to_json() for change in self.changes],
            "request": self.request,
            "not_before": rfc3339(self.not_before) if self.not_before else None,
            "estimated_usd": self.estimated_usd,
            "worst_case_usd": self.worst_case_usd,
            "refused_by": [guard.value for guard in self.refused_by],
            "alerts": list(self.alerts),
            "because": self.because,
        }

    @property
    def digest(self) -> str:
        """What a person approves: policy, step and changes, so that another plan differs."""
        shown = [self.policy, self.step, [c.to_json() for c in self.changes]]
        return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()[:16]


PERMISSION_NAME = (
    r"(?:aiplatform|artifactregistry|bigquery|cloudkms|compute|dataflow|iam|logging|ml|monitoring"
    r"|notebooks|pubsub|resourcemanager|secretmanager|serviceusage|storage)\.[a-zA-Z]{2,40}"
    r"\.(?:access|actAs|add|attach|batch|cancel|connect|consume|copy|create|delete|deploy|detach|download"
    r"|enable|export|generate|get|import|list|merge|move|mutate|patch|predict|publish|query|read|remove"
    r"|restore|resume|run|search|set|sign|start|stop|stream|subscribe|undeploy|update|upload|use|view"
    r"|write)[a-zA-Z]{0,30}"
)
"""The name of an IAM permission, SERVICE.RESOURCE.VERB, and of nothing else that has two dots (a host,
the domain of an account, a module); cloud.google.com/iam/docs/permissions-reference."""


_LABEL_LIMIT = (
    63  # Google Cloud's own, https://cloud.google.com/resource-manager/docs/labels-overview
)


def label_value(text: str) -> str:
    """Any text as a label value: `[a-z0-9_-]`, at most 63; longer: 54, `-`, 8 hex of a digest."""
    clean = re.sub(r"[^a-z0-9_-]", "-", text.lower())
    if len(clean) <= _LABEL_LIMIT:
        return clean
    return f"{clean[:54]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
