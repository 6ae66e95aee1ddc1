"""The contract's names: kinds, causes, guards, states, names of jobs, times. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeAlias

from msgspec import Struct

from remediator.domain.errors import (
    InvalidInput,
)
from remediator.domain.late_pattern import late_pattern

Json: TypeAlias = Mapping[str, Any]
"""A JSON object in the shape of Google's REST API (camelCase keys); never changed in place."""


# --- errors ------------------------------------------------------------------------------------


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
"""Causes that no resubmission fixes; the guard `cause` refuses them whatever a policy says."""


PASSING = frozenset(
    {Cause.QUOTA, Cause.CAPACITY_STOCKOUT, Cause.PREEMPTION, Cause.TRANSIENT_BACKEND}
)
"""Causes that go by themselves: what did not help yesterday may help today."""


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


class Lack(StrEnum):
    """What a refused step lacks, where a person can supply it."""

    RESUME_BUCKET = "resume_bucket"
    RESUME_DATASET = "resume_dataset"
    LARGER_MACHINE = "larger_machine"


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
    TRIED_IN_VAIN = "tried_in_vain"


SILENT_GUARDS = frozenset(
    {Guard.HAS_PARENT, Guard.LABEL_OFF, Guard.CANCELLED_BY_PERSON, Guard.LOOKBACK}
)
"""Refusals that alert nobody: they stand in the log and the report only."""


ACT_AS = "iam.serviceAccounts.actAs"
"""The permission to run something as a service account: whoever creates a job needs it on the job's."""


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


_JOB_NAME = late_pattern(
    r"projects/(?P<project>[a-z0-9.:-]{1,100})/locations/(?P<location>[a-z0-9-]{1,63})"
    r"/(?P<collection>[A-Za-z]{1,63})/(?P<id>[A-Za-z0-9._-]{1,128})"
)


class JobName(Struct, frozen=True):
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
        """The parts of `projects/P/locations/L/COLLECTION/ID`; raises InvalidInput for anything else."""
        match = _JOB_NAME.fullmatch(text)
        if match is None or match["collection"] not in COLLECTIONS:
            msg = (
                f"not the name of a Vertex AI job: {text[:200]!r}; it is projects/PROJECT/locations/"
                f"LOCATION/COLLECTION/ID, with COLLECTION one of {', '.join(COLLECTIONS)}"
            )
            raise InvalidInput(msg)
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


_STEP = late_pattern(r"([^.\[\]]+)|\[(\d+)\]")


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
        trimmed = _NANOSECONDS.sub(_first_six_digits, trimmed)
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


_NANOSECONDS = late_pattern(r"(\.\d{6})\d+")


def _first_six_digits(found: re.Match[str]) -> str:
    return found[1]  # a template is parsed anew each time


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
