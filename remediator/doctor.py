"""Checks a live deployment from its sink to its last alert, and says how to mend what is missing.

Each check stands alone: one that cannot be made says why and stops no other. Nothing is changed but
one note in the ledger, by which the event that it sends through sink, topic and function is known to
have arrived. Called by the command `doctor`, by way of `app`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from remediator.domain import (
    Forbidden,
    Gone,
    Json,
    Mode,
    RemediatorError,
    parse_time,
    rfc3339,
)
from remediator.intake import FAILURES_LOG, sink_filter
from remediator.ledger import Ledger
from remediator.policy import Policies

PERMISSIONS = (
    *(
        f"aiplatform.{collection}.{verb}"
        for collection in (
            "batchPredictionJobs",
            "customJobs",
            "hyperparameterTuningJobs",
            "pipelineJobs",
            "trainingPipelines",
        )
        for verb in ("cancel", "create", "get", "list")
    ),
    "aiplatform.models.get",
    "logging.logEntries.create",
    "logging.logEntries.list",
    "monitoring.timeSeries.list",
)
"""What the worker needs in the whole project; docs/permissions.md names the call that needs each."""

SILENT_AFTER = timedelta(minutes=15)
MOST_SKEW = timedelta(seconds=60)  # signatures of Slack's clicks and windows of budgets rest on it
NOTE = "doctor"


class Status(StrEnum):
    """What a check found."""

    OK = "ok"
    PROBLEM = "problem"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """`says`: what was seen; `why`: what it leads to; `mend`: a command or a deed."""

    check: str
    status: Status
    says: str
    why: str = ""
    mend: str = ""

    def to_json(self) -> dict[str, str]:
        return {
            "check": self.check,
            "status": self.status.value,
            "says": self.says,
            "why": self.why,
            "mend": self.mend,
        }


class Deployment(Protocol):
    """The project's own APIs; errors are the domain's."""

    google_time: datetime | None

    def sink(self, name: str) -> Json: ...
    def subscription(self, name: str) -> Json: ...
    def publishers(self, topic: str) -> frozenset[str]: ...
    def schedule(self, region: str, name: str) -> Json: ...
    def function(self, region: str, name: str) -> Json: ...
    def granted(self, permissions: Iterable[str], *, account: str = "") -> frozenset[str]: ...
    def quota_limits(self, region: str) -> Iterator[tuple[str, int]]: ...


@dataclass(frozen=True, slots=True)
class Ward:
    """What the checks look at. `account` is the functions' own; `is_self`: this runs as it.

    `check_channel` raises where a channel cannot be reached; `write_log` writes entries to a log.
    `event_seconds`: how long the event may take to arrive; 0 sends none.
    """

    name: str
    project: str
    region: str
    account: str
    is_self: bool
    deployment: Deployment
    policies: Callable[[], Policies]
    ledger: Callable[[], Ledger]
    check_channel: Callable[[str], None]
    write_log: Callable[[str, list[Json]], None]
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    token: str
    event_seconds: float
    lease: timedelta


def examine(ward: Ward) -> tuple[Finding, ...]:
    """Every finding, in the order of the way that a failure takes through the deployment."""
    with ThreadPoolExecutor(max_workers=len(_CHECKS), thread_name_prefix="doctor") as pool:
        running = [pool.submit(_made, name, check, ward) for name, check in _CHECKS.items()]
        return tuple(finding for one in running for finding in one.result())


def _made(name: str, check: Callable[[Ward], Iterable[Finding]], ward: Ward) -> tuple[Finding, ...]:
    try:
        return tuple(check(ward))
    except Forbidden as err:
        return (_unknown(name, err, "ask for the permission, or run this as somebody who has it"),)
    except (RemediatorError, ValueError, KeyError, TypeError) as err:
        return (_unknown(name, err, "run this again; if it stays, look at the service it names"),)


def _unknown(name: str, err: Exception, mend: str) -> Finding:
    return Finding(name, Status.UNKNOWN, f"not checked: {err}", mend=mend)


# --- the policy file ------------------------------------------------------------------------------


def _policies(ward: Ward) -> Iterator[Finding]:
    try:
        found = ward.policies()
    except RemediatorError as err:
        yield Finding(
            "policies",
            Status.PROBLEM,
            str(err),
            "without a policy file every event is sent back",
            "python -m remediator validate FILE",
        )
        return
    mode = f"mode {found.mode.value}"
    if found.mode is Mode.OBSERVE:
        mode += " (nothing is changed until it says enforce)"
    yield Finding("policies", Status.OK, f"{len(found.policies)} policies, {mode}")


# --- from the log to the function -----------------------------------------------------------------


def _sink(ward: Ward) -> Iterator[Finding]:
    name = f"{ward.name}-failures"
    lost = "failures in the log would not be heard of; only the sweep would find them"
    apply = f"deploy/deploy.sh {ward.project} {ward.region}"
    try:
        sink = ward.deployment.sink(name)
    except Gone:
        yield Finding("sink", Status.PROBLEM, f"there is no log sink {name}", lost, apply)
        return
    topic = f"projects/{ward.project}/topics/{name}"
    wrong = []
    if _words(sink.get("filter")) != _words(sink_filter(ward.account)):
        wrong.append("its filter is not the one that this version reads by")
    if str(sink.get("destination") or "") != f"pubsub.googleapis.com/{topic}":
        wrong.append(f"it does not lead to {topic}")
    if sink.get("disabled"):
        wrong.append("it is disabled")
    if sink.get("exclusions"):
        wrong.append("it has exclusions")
    if wrong:
        yield Finding("sink", Status.PROBLEM, f"{name}: {'; '.join(wrong)}", lost, apply)
    else:
        yield Finding("sink", Status.OK, f"{name} routes what this version reads to its topic")
    writer = str(sink.get("writerIdentity") or "")
    if writer in ward.deployment.publishers(name):
        yield Finding("sink", Status.OK, "its writer may publish")
        return
    grant = f"--member={writer} --role=roles/pubsub.publisher --project={ward.project}"
    yield Finding(
        "sink",
        Status.PROBLEM,
        f"its writer {writer or '(none)'} may not publish to {name}",
        "Cloud Logging drops what it cannot deliver",
        f"gcloud pubsub topics add-iam-policy-binding {name} {grant}",
    )


def _words(text: object) -> str:
    return " ".join(str(text or "").split())


def _delivery(ward: Ward) -> Iterator[Finding]:
    name = f"{ward.name}-remediate"
    apply = f"deploy/deploy.sh {ward.project} {ward.region}"
    lost = "events reach no function"
    try:
        found = ward.deployment.subscription(name)
    except Gone:
        yield Finding("delivery", Status.PROBLEM, f"there is no subscription {name}", lost, apply)
        return
    push = found.get("pushConfig") or {}
    letters = found.get("deadLetterPolicy") or {}
    wrong = []
    if not str(found.get("topic") or "").endswith(f"/topics/{ward.name}-failures"):
        wrong.append("it is not one of the topic of failures")
    if not push.get("pushEndpoint"):
        wrong.append("it pushes nowhere")
    elif not (push.get("oidcToken") or {}).get("serviceAccountEmail"):
        wrong.append("it pushes without a token, which the function refuses")
    if not (found.get("retryPolicy") or {}).get("minimumBackoff"):
        wrong.append("it retries without a pause, so a passing fault soon makes a dead letter")
    if not letters.get("deadLetterTopic"):
        wrong.append("it has no dead-letter topic, so what cannot be handled is lost after a week")
    if found.get("state") == "RESOURCE_ERROR":
        wrong.append("Pub/Sub says RESOURCE_ERROR")
    if wrong:
        yield Finding("delivery", Status.PROBLEM, f"{name}: {'; '.join(wrong)}", lost, apply)
        return
    tries = letters.get("maxDeliveryAttempts") or "5"
    yield Finding("delivery", Status.OK, f"{name} pushes, and keeps what fails {tries} times")


def _dead_letters(ward: Ward) -> Iterator[Finding]:
    name = f"{ward.name}-dead-letters"
    try:
        ward.deployment.subscription(name)
    except Gone:
        yield Finding(
            "dead letters",
            Status.PROBLEM,
            f"there is no subscription {name}",
            "a dead letter that nobody subscribes to is dropped",
            f"deploy/deploy.sh {ward.project} {ward.region}",
        )
        return
    yield Finding("dead letters", Status.OK, f"{name} keeps them")


def _functions(ward: Ward) -> Iterator[Finding]:
    apply = f"deploy/deploy.sh {ward.project} {ward.region}"
    for door in ("remediate", "reconcile"):
        name = f"{ward.name}-{door}"
        try:
            found = ward.deployment.function(ward.region, name)
        except Gone:
            said = f"there is no function {name} in {ward.region}"
            yield Finding("function", Status.PROBLEM, said, "nothing is handled", apply)
            continue
        held = found.get("serviceConfig") or {}
        seconds = float(held.get("timeoutSeconds") or 60)
        if found.get("state") != "ACTIVE":
            said = f"{name} is {found.get('state') or 'without a state'}"
            yield Finding("function", Status.PROBLEM, said, "nothing is handled", apply)
        elif seconds >= ward.lease.total_seconds():
            lease = ward.lease.total_seconds()
            yield Finding(
                "function",
                Status.PROBLEM,
                f"{name} may run for {seconds:.0f} s, and a claim protects it for {lease:.0f} s",
                "two executions could create for one failure",
                apply,
            )
        else:
            yield Finding("function", Status.OK, f"{name} is active, {seconds:.0f} s at most")


# --- what the function may do ---------------------------------------------------------------------


def _permissions(ward: Ward) -> Iterator[Finding]:
    try:
        granted = ward.deployment.granted(PERMISSIONS, account="" if ward.is_self else ward.account)
    except RemediatorError as err:
        member = "--member=user:YOU --role=roles/iam.serviceAccountTokenCreator"
        yield _unknown(
            "permissions",
            err,
            f"gcloud iam service-accounts add-iam-policy-binding {ward.account} {member}",
        )
        return
    lacking = [one for one in PERMISSIONS if one not in granted]
    if not lacking:
        yield Finding(
            "permissions", Status.OK, f"{ward.account} has all {len(PERMISSIONS)} in the project"
        )
        return
    yield Finding(
        "permissions",
        Status.PROBLEM,
        f"{ward.account} lacks {', '.join(lacking)}",
        "what needs them is told once a day and waits",
        f"deploy/deploy.sh {ward.project} {ward.region}",
    )


def _channels(ward: Ward) -> Iterator[Finding]:
    """Secrets are read and each channel is opened, and nothing is sent."""
    for name in ward.policies().channels:
        try:
            ward.check_channel(name)
        except RemediatorError as err:
            if not ward.is_self and str(err).startswith("the environment variable"):
                told = f"not checked: {err} here"
                yield Finding(
                    f"channel {name}", Status.UNKNOWN, told, mend="set it, or use secret:"
                )
                continue
            yield Finding(
                f"channel {name}",
                Status.PROBLEM,
                str(err),
                "alerts for it stay owed, and are tried again",
                f"python -m remediator alert preview CASE --channel {name} --send",
            )
        else:
            yield Finding(f"channel {name}", Status.OK, "its secret is read and it answers")


# --- time passing ---------------------------------------------------------------------------------


def _ledger(ward: Ward) -> Iterator[Finding]:
    ledger = ward.ledger()
    if ledger.stopped():
        yield Finding(
            "ledger",
            Status.PROBLEM,
            "the stop switch is on",
            "failures are diagnosed and told, and nothing is resubmitted",
            "python -m remediator start",
        )
    else:
        yield Finding("ledger", Status.OK, "it answers, and the stop switch is off")
    at = parse_time((ledger.note("reconciled") or {}).get("at"))
    age = ward.now() - at if at else None
    if age is not None and age < SILENT_AFTER:
        yield Finding("sweep", Status.OK, f"reconcile ran {age.total_seconds():.0f} s ago")
        return
    said = f"reconcile last ran at {rfc3339(at)}" if at else "reconcile has never run"
    yield Finding(
        "sweep",
        Status.PROBLEM,
        said,
        "failed batch predictions are not found, waits and approvals not carried out",
        f"gcloud scheduler jobs run {ward.name}-reconcile --location={ward.region} "
        f"--project={ward.project}, then look at the log of the service {ward.name}-reconcile",
    )


def _schedule(ward: Ward) -> Iterator[Finding]:
    name = f"{ward.name}-reconcile"
    why = "nobody calls reconcile"
    try:
        job = ward.deployment.schedule(ward.region, name)
    except Gone:
        apply = f"deploy/deploy.sh {ward.project} {ward.region}"
        yield Finding("schedule", Status.PROBLEM, f"there is no {name}", why, apply)
        return
    if job.get("state") != "ENABLED":
        resume = f"gcloud scheduler jobs resume {name} --location={ward.region}"
        yield Finding(
            "schedule",
            Status.PROBLEM,
            f"{name} is {job.get('state') or 'without a state'}",
            why,
            f"{resume} --project={ward.project}",
        )
        return
    yield Finding("schedule", Status.OK, f"{name} runs at {job.get('schedule')}")


def _quotas(ward: Ward) -> Iterator[Finding]:
    """Accelerators that the limits allow by name, and of which the project may have none."""
    allowed = ward.policies().limits.accelerators or ()
    limits = dict(ward.deployment.quota_limits(ward.region))
    empty = [
        device
        for device in allowed
        if any(limits.get(_metric(device, use)) == 0 for use in ("training", "serving"))
    ]
    if not empty:
        yield Finding("quotas", Status.OK, f"none of what is allowed is at zero in {ward.region}")
        return
    yield Finding(
        "quotas",
        Status.PROBLEM,
        f"the quota of {', '.join(empty)} in {ward.region} is zero for training or serving",
        "a step that adds one is refused, and the next is taken",
        "https://console.cloud.google.com/iam-admin/quotas?service=aiplatform.googleapis.com"
        f"&project={ward.project}",
    )


def _metric(device: str, use: str) -> str:
    short = device.lower().replace("tesla_", "")
    return f"aiplatform.googleapis.com/custom_model_{use}_{short}_gpus"


def _clock(ward: Ward) -> Iterator[Finding]:
    ward.deployment.granted(("resourcemanager.projects.get",))
    theirs = ward.deployment.google_time
    if theirs is None:
        yield Finding("clock", Status.UNKNOWN, "Google's answers bore no date")
        return
    skew = abs(ward.now() - theirs)
    if skew <= MOST_SKEW:
        yield Finding("clock", Status.OK, f"within {MOST_SKEW.total_seconds():.0f} s of Google's")
        return
    yield Finding(
        "clock",
        Status.PROBLEM,
        f"this machine's clock is {skew.total_seconds():.0f} s off Google's",
        "ages of jobs, waits and budgets are reckoned by it",
        "set the clock by NTP",
    )


def _event(ward: Ward) -> Iterator[Finding]:
    """A failure entry of no job: through sink, topic, subscription and function to the ledger."""
    if not ward.event_seconds:
        yield Finding("event", Status.UNKNOWN, "not sent", mend="without --no-event one is sent")
        return
    started = ward.now()
    ward.write_log(FAILURES_LOG, [event(ward.token, started)])
    waited = 0.0
    while waited < ward.event_seconds:
        seen = ward.ledger().note(NOTE) or {}
        if seen.get("token") == ward.token:
            took = (ward.now() - started).total_seconds()
            yield Finding("event", Status.OK, f"arrived in the function after {took:.0f} s")
            return
        ward.sleep(1.0)
        waited += 1.0
    yield Finding(
        "event",
        Status.PROBLEM,
        f"an entry written to {FAILURES_LOG} was not handled within {ward.event_seconds:.0f} s",
        "failures in the log would not be handled either",
        f"look at the log of the service {ward.name}-remediate, and at the findings above",
    )


def event(token: str, now: datetime) -> dict[str, Any]:
    """The entry that is sent: the function writes its token down and does nothing else."""
    return {
        "insertId": f"vr-doctor-{token}",
        "timestamp": rfc3339(now),
        "severity": "NOTICE",
        "jsonPayload": {"message": "a check by doctor; nothing failed", "doctor": token},
    }


_CHECKS: Mapping[str, Callable[[Ward], Iterable[Finding]]] = {
    "policies": _policies,
    "sink": _sink,
    "delivery": _delivery,
    "dead letters": _dead_letters,
    "function": _functions,
    "event": _event,
    "permissions": _permissions,
    "channels": _channels,
    "ledger": _ledger,
    "schedule": _schedule,
    "quotas": _quotas,
    "clock": _clock,
}


# --- as text --------------------------------------------------------------------------------------


def as_text(ward: Ward, findings: Sequence[Finding]) -> str:
    """A page for a terminal: problems with their mend, everything else on a line."""
    marks = {Status.OK: "ok", Status.PROBLEM: "PROBLEM", Status.UNKNOWN: "?"}
    width = max(len(one.check) for one in findings)
    lines = [f"{ward.name} in {ward.project}, {ward.region}", ""]
    for one in findings:
        lines.append(f"{marks[one.status]:8}{one.check:{width}}  {one.says}")
        if one.status is Status.OK:
            continue
        indent = " " * (8 + width + 2)
        lines += [f"{indent}why:  {one.why}"] * bool(one.why)
        lines += [f"{indent}mend: {one.mend}"] * bool(one.mend)
    problems = sum(one.status is Status.PROBLEM for one in findings)
    open_ones = sum(one.status is Status.UNKNOWN for one in findings)
    told = "no problem found" if not problems else f"{problems} problem(s)"
    lines += ["", told + (f", {open_ones} not checked" if open_ones else "")]
    return "\n".join(lines)
