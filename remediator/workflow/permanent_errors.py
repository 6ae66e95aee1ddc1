"""What becomes of a failure when a service said no to what cannot be done without.

Owns who hears of it, and that a claim which stands is asked again, hour by hour: its job may exist.
Called by `incident`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from remediator.alerts import AlertFacts, AlertKind
from remediator.domain import (
    Action,
    PermanentError,
)
from remediator.job import Job
from remediator.ledger import (
    Chain,
    Conclusion,
    Incident,
    Stage,
    UnreadableDocument,
)
from remediator.planning import alert_routing
from remediator.workflow.conclusions import (
    unreadable_document_messages,
)
from remediator.workflow.incident_key import key_of
from remediator.workflow.services import (
    Services,
)

CLAIM_ASKED_AGAIN = timedelta(hours=1)


def alert_unreadable_document(job: Job, err: UnreadableDocument, services: Services) -> str:
    """Of the document people hear once, and of the failure that needs it too, if it has an incident."""
    outbox_messages = unreadable_document_messages(err, services)
    services.ledger.enqueue(outbox_messages)
    services.outbox.deliver(outbox_messages)
    try:
        return alert_permanent_error(job, err, services)
    except PermanentError:  # its own incident cannot be read, or it is followed or concluded
        _ask_again_later(job, services)
        return f"alerted, permanent error: {err}"


def _ask_again_later(job: Job, services: Services) -> None:
    try:
        incident = services.ledger.incident(key_of(job, services.ledger))
    except UnreadableDocument:
        return
    if incident is not None and incident.stage is not Stage.DONE:
        services.ledger.move(replace(incident, due=services.now() + CLAIM_ASKED_AGAIN))


def alert_permanent_error(job: Job, err: PermanentError, services: Services) -> str:
    """A service said no to what cannot be done without: people are told, since it will say so again.

    Where a claim stands, its job may exist: that is asked again, hour by hour.
    """
    incident = services.ledger.incident(key_of(job, services.ledger))
    if incident is None or incident.stage in {Stage.DONE, Stage.FOLLOWED}:
        raise err
    now = services.now()
    claimed = incident.stage is Stage.ACTING
    facts = AlertFacts(
        kind=AlertKind.ALERT,
        job=job.name,
        display_name=job.display_name,
        root=incident.root,
        attempt=incident.attempt,
        state=job.state,
        error=job.error_message,
        extra=(_CLAIMED if claimed else _LEFT, str(err)),
    )
    channels = alert_routing.all_channels(services.policies())
    if claimed:
        outbox_messages = services.outbox.alert_messages(facts, channels, now)
    else:
        outbox_messages = services.outbox.alert_and_outcome_messages(
            channels,
            _chain_of(incident, job, services),
            job,
            now,
            verdict=incident.verdict,
            action=Action.ALERT,
            final=True,
            facts=facts,
        )
    left = replace(incident, stage=Stage.DONE, conclusion=Conclusion.ALERTED, reason=str(err)[:500])
    asked_again = replace(incident, due=now + CLAIM_ASKED_AGAIN)
    if services.ledger.move(asked_again if claimed else left, outbox_messages=outbox_messages):
        services.outbox.deliver(outbox_messages)
    return f"alerted, permanent error: {err}"


def _chain_of(incident: Incident, job: Job, services: Services) -> Chain:
    unknown = Chain(key=incident.root, root=str(job.name))
    try:
        return services.ledger.chain(incident.root) or unknown
    except UnreadableDocument:
        return unknown


_LEFT = "It could not be handled, and nothing was resubmitted:"
_CLAIMED = "A resubmission was begun, and it cannot be found out whether its job exists:"
