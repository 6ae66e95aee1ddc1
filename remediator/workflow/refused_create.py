"""A Create that Vertex AI refused: no job exists, so people are told; by choice it is sent once again.

Owns the alert, and the rules under which the same request is sent again (`REMEDIATOR_RESEND_REFUSED`):
the refusal may pass, the audit entry was read from Cloud Logging itself and says the same as the event
(which anyone who publishes to the topic can forge; that nobody but Google can write to the audit log
is recalled, not checked against a real project, as is what a refused Create's entry holds), it has the
whole request, its author was allowed to ask it, and the policies would run such a job again as it is.
One job comes of it: it is claimed in the ledger like any attempt. Called by `incident`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from remediator import log
from remediator.alerts import AlertFacts, AlertKind, entry_links
from remediator.alerts.outbox import Outbox
from remediator.case import Case
from remediator.domain import (
    ACT_AS,
    NEVER_RETRIED,
    Action,
    Cause,
    Diagnosis,
    JobKind,
    JobName,
    Json,
    Mode,
    PermissionDenied,
    rfc3339,
)
from remediator.intake import Hint, RefusedCreate, read_entry
from remediator.job import CREATE_REQUEST_FIELDS, Job
from remediator.job.validation import why_incomplete
from remediator.ledger import Chain, Conclusion, Incident, Stage
from remediator.log import LogEvent
from remediator.planning import alert_routing
from remediator.workflow.conclusions import close_incident
from remediator.workflow.decide import diagnose_case, plan_incident
from remediator.workflow.incident_context import IncidentContext, new_incident
from remediator.workflow.resubmit import resubmit
from remediator.workflow.services import Configuration, ReadAuditEntry, Services, VertexProject

_PASSING_CODES = frozenset({4, 8, 10, 13, 14})
"""google.rpc: DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE."""
_NOT_SENT_AGAIN = (
    "It may pass by itself. The request was not sent again: a log entry is no proof of what was "
    "asked for, or of who may ask. Whoever asked can send it again."
)
_CREATED_KIND: Mapping[str, JobKind] = {
    "CreateBatchPredictionJob": JobKind.BATCH_PREDICTION,
    "CreateCustomJob": JobKind.CUSTOM,
    "CreateHyperparameterTuningJob": JobKind.HYPERPARAMETER_TUNING,
    "CreateTrainingPipeline": JobKind.TRAINING_PIPELINE,
    "CreatePipelineJob": JobKind.PIPELINE,
}
_WHOLE_BELOW_BYTES = (
    500_000  # an audit entry has 512 KiB at most (documented); near it, it may be cut
)


class _Withheld(Struct, frozen=True):
    """Why the request was not sent again."""

    why: str


def handle_refused_create(hint: Hint, refusal: RefusedCreate, services: Services) -> str:
    """Tell people of the refusal, or send the same request once again.

    Raises TransientError where the event should come again.
    """
    if refusal.principal and refusal.principal == services.config.own_account():
        return "ignored: the refused call was our own"
    now = services.clock()
    lookback = services.config.settings.lookback
    if hint.entry_time and (hint.published or now) - hint.entry_time > lookback:
        return "ignored: the refusal is older than the look-back"
    kind = _CREATED_KIND.get(refusal.method, JobKind.CUSTOM)
    location, number = _location_of(refusal.parent), refusal.insert_id or "none"
    name = JobName(services.vertex.project, location, kind, number)
    body = {
        "name": str(name),
        "displayName": refusal.display_name,
        "state": "JOB_STATE_FAILED",
        "error": {"code": refusal.code, "message": refusal.message},
    }
    found = diagnose_case(Case(job=Job(name, body), now=now), services.config.policies())
    extra: tuple[str, ...] = ()
    if _may_pass(refusal, found):
        extra = (_NOT_SENT_AGAIN,)
        if services.config.settings.resend_refused:
            resent = _resend(hint, refusal, kind, services, now)
            if isinstance(resent, str):
                return resent
            log.say(
                "INFO",
                LogEvent.REQUEST_NOT_RESENT,
                f"a refused request was not sent again: {resent.why}",
            )
            extra = (f"It may pass by itself. It was not sent again: {resent.why}.",)
    return _alert(hint, refusal, found, name, extra, services.config, services.records.outbox, now)


def _alert(
    hint: Hint,
    refusal: RefusedCreate,
    found: Diagnosis,
    name: JobName,
    extra: tuple[str, ...],
    config: Configuration,
    outbox: Outbox,
    now: datetime,
) -> str:
    at = hint.entry_time or now
    facts = AlertFacts(
        kind=AlertKind.REFUSED_CREATION,
        display_name=refusal.display_name or refusal.method,
        root=f"refusal/{refusal.insert_id}",
        error=refusal.message,
        diagnosis=found,
        places=entry_links("Refusal", name.project, refusal.insert_id, at, at),
        extra=(
            f"{refusal.method}, asked for by {refusal.principal or 'somebody'}, was refused:",
            *extra,
        ),
    )
    channels = alert_routing.channels_for_refused_create(config.policies(), found, name.kind)
    outbox.publish(facts, channels, now)
    return f"alerted: {refusal.method} was refused"


def _may_pass(refusal: RefusedCreate, found: Diagnosis) -> bool:
    """Whether the same request, sent later, may be taken."""
    return refusal.code in _PASSING_CODES and found.verdict not in {*NEVER_RETRIED, Cause.QUOTA}


def _location_of(parent: str) -> str:
    location = parent.partition("/locations/")[2].partition("/")[0]
    return location if re.fullmatch(r"[a-z0-9-]{1,63}", location) else "unknown"


# --- sent once again -----------------------------------------------------------------------------


def _resend(
    hint: Hint, refusal: RefusedCreate, kind: JobKind, services: Services, now: datetime
) -> str | _Withheld:
    entry = _audit_entry(hint, refusal, services.audit_entry)
    if isinstance(entry, _Withheld):
        return entry
    job = _requested_job(entry, refusal, kind, hint, services.vertex)
    if isinstance(job, _Withheld):
        return job
    opened = services.records.ledger.open(
        replace(
            new_incident(job, hint.published or now, job.name.key),
            due=now + services.config.settings.lease,
            not_before=now,
        )
    )
    if opened.stage is Stage.DONE:
        return f"already handled: {opened.conclusion or opened.reason}"
    return _as_planned(job, opened, refusal, services, now)


def _audit_entry(
    hint: Hint, refusal: RefusedCreate, audit_entry: ReadAuditEntry
) -> Json | _Withheld:
    """The entry as Cloud Logging keeps it, where it says what the event says."""
    if hint.entry_time is None or not refusal.insert_id:
        return _Withheld("the event does not say which audit entry it is of")
    try:
        entry = audit_entry(hint.project, refusal.insert_id, hint.entry_time)
    except PermissionDenied as err:
        return _Withheld(f"the audit log may not be read ({err})")
    if entry is None:
        return _Withheld("the audit log holds no such entry")
    read = read_entry(entry)
    if not isinstance(read, Hint) or read.refusal != refusal:
        return _Withheld("the audit log says something else than the event")
    return entry


def _requested_job(
    entry: Json, refusal: RefusedCreate, kind: JobKind, hint: Hint, vertex: VertexProject
) -> Job | _Withheld:
    """The job that was asked for, as one that failed when it was refused."""
    key = CREATE_REQUEST_FIELDS.get(kind)
    if key is None:
        return _Withheld(f"a {kind.value.replace('_', ' ')} is never sent again")
    payload = _mapping(entry, "protoPayload")
    body = _mapping(_mapping(payload, "request"), key)
    if not body or len(json.dumps(entry)) >= _WHOLE_BELOW_BYTES:
        return _Withheld("the audit entry does not hold the whole request")
    project, location = refusal.parent.split("/")[1:2], _location_of(refusal.parent)
    if not project or project[0] not in vertex.ids():
        return _Withheld("it was asked of another project")
    if location not in vertex.locations():
        return _Withheld(f"{location} is not served")
    at = rfc3339(hint.entry_time) if hint.entry_time else ""
    named = JobName(vertex.project, location, kind, "0")
    asked = Job(named, {**body, "name": str(named)})
    if missing := why_incomplete(asked):
        return _Withheld(f"the audit entry does not hold the whole request: {missing}")
    if denied := _why_not_allowed(payload, asked, refusal):
        return _Withheld(denied)
    # One hour's refusals of the same work are one: clients try again by themselves.
    name = replace(named, id=f"{asked.workload_digest}-{at[:13]}")
    ended = {
        "name": str(name),
        "state": "JOB_STATE_FAILED",
        "createTime": at,
        "endTime": at,
        "error": {"code": refusal.code, "message": refusal.message},
    }
    return Job(name, {**body, **ended})


def _why_not_allowed(payload: Json, job: Job, refusal: RefusedCreate) -> str:
    """Why its author may not have been allowed what we would do for them; empty: they were.

    Creating a job is running code as its account: whoever may not act as that account must not get
    there by a request that is refused for another reason first.
    """
    listed = payload.get("authorizationInfo")
    grants = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    granted = {str(one.get("permission") or "") for one in grants if one.get("granted") is True}
    if any(one.get("granted") is not True for one in grants):
        return "its author was not allowed all that it takes"
    if not any(one.endswith(".create") for one in granted):
        return "the audit entry does not say that its author may create such a job"
    account = job.service_account or ""
    if account and account != refusal.principal and ACT_AS not in granted:
        return f"the audit entry does not say that its author may act as {account}"
    return ""


def _mapping(holder: Json, key: str) -> Mapping[str, Any]:
    value = holder.get(key)
    return value if isinstance(value, Mapping) else {}


def _as_planned(
    job: Job, incident: Incident, refusal: RefusedCreate, services: Services, now: datetime
) -> str | _Withheld:
    """What the policies would do about a job that failed so, if that is to run it again as it is."""
    chain = services.records.ledger.chain(incident.root) or Chain(
        key=incident.root, root=str(job.name)
    )
    case = Case(job=job, now=now)
    found = diagnose_case(case, services.config.policies())
    made = plan_incident(
        case,
        found,
        incident,
        chain,
        services.config,
        services.vertex,
        services.records.ledger,
        similar={},
    )
    if made.action is not Action.RESUBMIT or made.mode is not Mode.ENFORCE or made.changes:
        why = f"the policies do not run it again by themselves: {made.because.rstrip('.')}"
        close_incident(incident, services.records.ledger, Conclusion.ALERTED, why[:500])
        return _Withheld(why)
    said = (
        f"Vertex refused to create it ({refusal.message.rstrip('.')}); it is asked for once again"
    )
    judged = replace(
        incident,
        verdict=found.verdict.value,
        confidence=round(found.confidence, 4),
        policy=made.policy,
        step=made.step,
        action=made.action.value,
        estimated_usd=made.estimated_usd,
    )
    plan = replace(made, notes=(said, *made.notes))
    done = resubmit(IncidentContext(job, case, found, plan, judged, chain), services)
    if isinstance(done, str):
        return done
    close_incident(done.incident, services.records.ledger, Conclusion.ALERTED, "refused once more")
    return _Withheld("it was refused once more")
