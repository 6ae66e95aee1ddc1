"""The front room: one event in, a hint out, or the reason why there is none.

PURE and hot: most entries that arrive are none of our business, and they are dropped here, before
any Google client or YAML is imported. `RULES` is the one table of what counts as a failure entry;
`sink_filter` prints the log sink's filter from it. A hint is never a fact: the job itself is read
from the Vertex API by the workflow. Called by `main.remediate`.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from remediator.domain import COLLECTIONS, InvalidInput, JobKind, JobName, Json, parse_time
from remediator.domain.late_pattern import late_pattern

FAILURES_LOG = "vertex-remediator-job-failures"
"""Log id of the entries that the sweep writes for failures that no log announces."""

OUTCOMES_LOG = "vertex-remediator-outcomes"
"""Log id of what became of each chain."""

FIRST_PUBLISHED = "remediator-first-published"
"""Attribute of a message that was played again: when Pub/Sub first had the event."""

USER_AGENT = "vertex-remediator"
"""Our calls carry it, so that a refusal of our own is not taken for somebody's failure."""


class RefusedCreate(Struct, frozen=True):
    """A Create that Vertex refused: the job never existed, only the audit log knows of it."""

    method: str
    code: int
    message: str
    principal: str
    display_name: str
    parent: str
    insert_id: str


class Hint(Struct, frozen=True):
    """What an entry claims: a job by its full name, or a custom job by its number alone.

    `project` is as the entry writes it, id or number. `entry_time` is the entry's own timestamp,
    `published` when Pub/Sub first had the event.
    """

    project: str
    entry: Json
    job: JobName | None = None
    custom_job_id: str = ""
    refusal: RefusedCreate | None = None
    announcement: bool = False
    published: datetime | None = None
    entry_time: datetime | None = None
    message_id: str = ""


class Ignored(Struct, frozen=True):
    """Not ours to handle, and why; acknowledged without a sound.

    `check`: the token of an event that `doctor` sent, which is to be written down.
    """

    why: str
    check: str = ""


_SEVERE = frozenset({"ERROR", "CRITICAL", "ALERT", "EMERGENCY"})
_ML_JOB = frozenset({"ml_job", "cloudml_job"})
_DIRECT_TYPES: Mapping[str, JobKind] = {
    "aiplatform.googleapis.com/BatchPredictionJob": JobKind.BATCH_PREDICTION,
    "aiplatform.googleapis.com/CustomJob": JobKind.CUSTOM,
    "aiplatform.googleapis.com/HyperparameterTuningJob": JobKind.HYPERPARAMETER_TUNING,
    "aiplatform.googleapis.com/TrainingPipeline": JobKind.TRAINING_PIPELINE,
}
_DIRECT_NAME_KEYS = ("jobName", "job_name", "name", "resourceName", "job", "batchPredictionJob")
_DIRECT_ID_KEYS = ("batch_prediction_job_id", "custom_job_id", "job_id", "id")
_CREATE_METHOD = late_pattern(
    r"google\.cloud\.aiplatform\.v1(?:beta1)?\.(?:JobService|PipelineService)\.Create\w+"
)
_PROJECT_OF_LOG = late_pattern(r"projects/([a-z0-9.:-]+)/logs/")
_CLAIM_LABEL = "remediator-claim"


def read(attributes: Mapping[str, Any], data: Any) -> Hint | Ignored:
    """The hint in a Pub/Sub CloudEvent; raises InvalidInput for what is no event of ours at all.

    `attributes` are the CloudEvent's; `data` its data as functions-framework hands it over, which
    may be bytes where the body was no JSON.
    """
    message = data.get("message") if isinstance(data, Mapping) else None
    if not isinstance(message, Mapping):
        msg = "the event's data holds no Pub/Sub message"
        raise InvalidInput(msg)
    entry = _entry(message.get("data"))
    hint = read_entry(entry)
    if isinstance(hint, Ignored):
        return hint
    published = parse_time(
        message.get("publishTime") or message.get("publish_time") or attributes.get("time")
    )
    replayed = message.get("attributes")  # of a replay: only publishers to our topic can set them
    first = parse_time(replayed.get(FIRST_PUBLISHED)) if isinstance(replayed, Mapping) else None
    return Hint(
        project=hint.project,
        entry=hint.entry,
        job=hint.job,
        custom_job_id=hint.custom_job_id,
        refusal=hint.refusal,
        announcement=hint.announcement,
        published=min((one for one in (first, published) if one is not None), default=None),
        entry_time=parse_time(entry.get("timestamp")) or parse_time(entry.get("receiveTimestamp")),
        message_id=message_id(data),
    )


def message_id(data: Any) -> str:
    """The Pub/Sub message id of an event's data, for log lines; empty where there is none."""
    message = data.get("message") if isinstance(data, Mapping) else None
    if not isinstance(message, Mapping):
        return ""
    return str(message.get("messageId") or message.get("message_id") or "")[:100]


def read_entry(entry: Json) -> Hint | Ignored:
    """The hint in one LogEntry (REST shape), by the first rule that recognises it."""
    for rule in RULES:
        if rule.recognises(entry):
            return rule.reads(entry)
    return Ignored("the entry announces no failed job")


def sink_filter(own_account: str = "") -> str:
    """The log sink's filter: exactly the entries that `read_entry` makes hints of.

    `own_account` is the e-mail of the service account that this function runs as; audit entries of
    its own calls are left out.
    """
    clauses = [rule.filter for rule in RULES]
    if own_account:
        if not re.fullmatch(r"[\w.+-]+@[\w.-]+", own_account):
            msg = f"not the e-mail of a service account: {own_account[:100]!r}"
            raise InvalidInput(msg)
        own = f'NOT protoPayload.authenticationInfo.principalEmail="{own_account}"'
        clauses[-1] = f"{clauses[-1]} AND {own}"
    return "\nOR ".join(f"({clause})" for clause in clauses)


def _entry(encoded: Any) -> Json:
    if not isinstance(encoded, str | bytes):
        msg = "the Pub/Sub message has no data"
        raise InvalidInput(msg)
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as err:
        msg = "the Pub/Sub message's data is not base64"
        raise InvalidInput(msg) from err
    try:
        entry = json.loads(raw)
    except (ValueError, RecursionError) as err:
        msg = "the Pub/Sub message's data is not JSON"
        raise InvalidInput(msg) from err
    if not isinstance(entry, Mapping) or not isinstance(entry.get("logName"), str):
        msg = "the Pub/Sub message's data is not a LogEntry (it has no logName)"
        raise InvalidInput(msg)
    return entry


def _labels(entry: Json) -> dict[str, Any]:
    """The entry's own labels and its resource's; the resource's win."""
    found: dict[str, Any] = {}
    for labels in (entry.get("labels"), _map(entry, "resource").get("labels")):
        if isinstance(labels, Mapping):
            found.update(labels)
    return found


def _map(holder: Json, key: str) -> Json:
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def _log_project(entry: Json) -> str:
    match = _PROJECT_OF_LOG.match(entry["logName"])
    if match is None:
        msg = f"logName names no project: {entry['logName'][:200]!r}"
        raise InvalidInput(msg)
    return match[1]


def _resource_type(entry: Json) -> str:
    return str(_map(entry, "resource").get("type") or "")


def _is_severe(entry: Json) -> bool:
    return str(entry.get("severity")) in _SEVERE


# --- custom jobs (also trials, and the jobs behind training pipelines) --------------------------


def _is_service_line(entry: Json) -> bool:
    if _resource_type(entry) not in _ML_JOB or not _is_severe(entry):
        return False
    holders = (_map(entry, "resource"), entry)
    return any(_map(holder, "labels").get("task_name") == "service" for holder in holders)


def _read_service_line(entry: Json) -> Hint | Ignored:
    labels = _labels(entry)
    job_id, project = labels.get("job_id"), _log_project(entry)
    if not isinstance(job_id, str) or not re.fullmatch(r"[0-9]{1,30}", job_id):
        msg = f"job_id is not a number: {str(job_id)[:100]!r}"
        raise InvalidInput(msg)
    labelled = labels.get("project_id")
    if isinstance(labelled, str) and labelled != project and not _may_be_same(labelled, project):
        msg = f"the entry names two projects: {labelled[:100]!r} and {project!r}"
        raise InvalidInput(msg)
    return Hint(project=project, entry=entry, custom_job_id=job_id)


def _may_be_same(one: str, other: str) -> bool:
    """An id and a number may be one project; the workflow compares both with ours."""
    return one.isdigit() != other.isdigit()


# --- pipeline runs ------------------------------------------------------------------------------


def _is_failed_pipeline(entry: Json) -> bool:
    return (
        "aiplatform.googleapis.com%2Fpipeline_job_events" in entry["logName"]
        and _map(entry, "jsonPayload").get("state") == "PIPELINE_STATE_FAILED"
    )


def _read_pipeline(entry: Json) -> Hint | Ignored:
    named = str(_map(entry, "jsonPayload").get("pipelineName") or "")
    labels, project = _labels(entry), _log_project(entry)
    if "/" not in named:  # the payload's keys are seen in the field, not documented
        run = named or str(labels.get("pipeline_job_id") or "")
        named = f"projects/{project}/locations/{labels.get('location') or ''}/pipelineJobs/{run}"
    job = JobName.parse(named)
    return Hint(project=project, entry=entry, job=_of_kind(job, JobKind.PIPELINE))


def _of_kind(job: JobName, kind: JobKind) -> JobName:
    if job.kind is not kind:
        msg = f"a {kind} entry names a {job.kind}: {job}"
        raise InvalidInput(msg)
    return job


# --- what the sweep wrote -----------------------------------------------------------------------


def _is_announcement(entry: Json) -> bool:
    return str(entry["logName"]).endswith(f"/logs/{FAILURES_LOG}")


def _read_announcement(entry: Json) -> Hint | Ignored:
    check = _map(entry, "jsonPayload").get("doctor")
    if isinstance(check, str) and re.fullmatch("[0-9a-f]{32}", check):
        return Ignored("a check by doctor", check)
    job = JobName.parse(str(_map(entry, "jsonPayload").get("job") or ""))
    return Hint(project=_log_project(entry), entry=entry, job=job, announcement=True)


# --- entries under a job's own resource type: no log of Google's is known to write them ----------


def _is_direct(entry: Json) -> bool:
    if _resource_type(entry) not in _DIRECT_TYPES or not _is_severe(entry):
        return False
    return not entry["logName"].endswith(("stderr", "stdout"))


def _read_direct(entry: Json) -> Hint | Ignored:
    kind, project, labels = (
        _DIRECT_TYPES[_resource_type(entry)],
        _log_project(entry),
        _labels(entry),
    )
    for holder in (_map(entry, "jsonPayload"), labels):
        for key in _DIRECT_NAME_KEYS:
            value = holder.get(key)
            if isinstance(value, str) and value.startswith("projects/"):
                return Hint(project=project, entry=entry, job=_of_kind(JobName.parse(value), kind))
    for key in _DIRECT_ID_KEYS:
        value = labels.get(key)
        if isinstance(value, str) and labels.get("location"):
            collection = next(name for name, one in COLLECTIONS.items() if one is kind)
            named = f"projects/{project}/locations/{labels['location']}/{collection}/{value}"
            return Hint(project=project, entry=entry, job=JobName.parse(named))
    return Ignored("the entry names no job")


# --- creations that Vertex refused ---------------------------------------------------------------


def _is_refusal(entry: Json) -> bool:
    if "cloudaudit.googleapis.com%2Factivity" not in entry["logName"]:
        return False
    payload = _map(entry, "protoPayload")
    code = _map(payload, "status").get("code")
    return (
        payload.get("serviceName") == "aiplatform.googleapis.com"
        and _CREATE_METHOD.fullmatch(str(payload.get("methodName") or "")) is not None
        and isinstance(code, int)
        and code > 0
    )


def _read_refusal(entry: Json) -> Hint | Ignored:
    payload = _map(entry, "protoPayload")
    request = _map(payload, "request")
    agent = str(_map(payload, "requestMetadata").get("callerSuppliedUserAgent") or "")
    job = next((value for value in request.values() if isinstance(value, Mapping)), {})
    if USER_AGENT in agent or _CLAIM_LABEL in _map(job, "labels"):
        return Ignored("the refused call was our own")
    status = _map(payload, "status")
    refusal = RefusedCreate(
        method=str(payload["methodName"]).rsplit(".", 1)[-1],
        code=int(status["code"]),
        message=str(status.get("message") or ""),
        principal=str(_map(payload, "authenticationInfo").get("principalEmail") or ""),
        display_name=str(job.get("displayName") or ""),
        parent=str(request.get("parent") or payload.get("resourceName") or ""),
        insert_id=str(entry.get("insertId") or ""),
    )
    return Hint(project=_log_project(entry), entry=entry, refusal=refusal)


class SinkRule(Struct, frozen=True):
    """One shape of failure entry: how the intake knows it, and the same in Logging's language."""

    name: str
    filter: str
    recognises: Callable[[Json], bool]
    reads: Callable[[Json], Hint | Ignored]


_TYPES = " OR ".join(f'"{name}"' for name in _DIRECT_TYPES)

RULES: tuple[SinkRule, ...] = (
    SinkRule(
        "custom job",
        'resource.type=("ml_job" OR "cloudml_job") AND '
        '(resource.labels.task_name="service" OR labels.task_name="service") AND severity>=ERROR',
        _is_service_line,
        _read_service_line,
    ),
    SinkRule(
        "pipeline run",
        'logName:"aiplatform.googleapis.com%2Fpipeline_job_events" AND '
        'jsonPayload.state="PIPELINE_STATE_FAILED"',
        _is_failed_pipeline,
        _read_pipeline,
    ),
    SinkRule(
        "announcement", f'logName=~"/logs/{FAILURES_LOG}$"', _is_announcement, _read_announcement
    ),
    SinkRule(
        "job resource",
        f'resource.type=({_TYPES}) AND severity>=ERROR AND NOT logName=~"(stderr|stdout)$"',
        _is_direct,
        _read_direct,
    ),
    SinkRule(  # stays last: `sink_filter` appends the own account to it
        "refused creation",
        'logName:"cloudaudit.googleapis.com%2Factivity" AND '
        'protoPayload.serviceName="aiplatform.googleapis.com" AND '
        r'protoPayload.methodName=~"^google\.cloud\.aiplatform\.v1(beta1)?\.'
        r'(JobService|PipelineService)\.Create\w+$" AND protoPayload.status.code>0',
        _is_refusal,
        _read_refusal,
    ),
)
