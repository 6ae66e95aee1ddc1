"""What becomes of a failure when a service said no to what cannot be done without.

Owns who hears of it, and that a claim which stands is asked again, hour by hour: its job may exist.
Called by `incident`.
"""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from remediator.alerts import AlertFacts, AlertKind
from remediator.alerts.outbox import ChainChange
from remediator.domain import (
    Action,
    PermanentError,
)
from remediator.job import Job
from remediator.ledger import (
    Chain,
    Conclusion,
    Incident,
    Ledger,
    Stage,
    UnreadableDocument,
)
from remediator.planning import alert_routing
from remediator.workflow.conclusions import (
    unreadable_document_facts,
)
from remediator.workflow.incident_key import key_of
from remediator.workflow.services import Clock, Configuration, Records

CLAIM_ASKED_AGAIN = timedelta(hours=1)


def alert_unreadable_document(
    job: Job, err: UnreadableDocument, config: Configuration, records: Records, clock: Clock
) -> str:
    """Of the document people hear once, and of the failure that needs it too, if it has an incident."""
    channels = alert_routing.all_channels(config.policies())
    records.outbox.publish(unreadable_document_facts(err), channels, clock())
    try:
        return alert_permanent_error(job, err, config, records, clock)
    except PermanentError:  # its own incident cannot be read, or it is followed or concluded
        _ask_again_later(job, records.ledger, clock)
        return f"alerted, permanent error: {err}"


def _ask_again_later(job: Job, ledger: Ledger, clock: Clock) -> None:
    try:
        incident = ledger.incident(key_of(job, ledger))
    except UnreadableDocument:
        return
    if incident is not None and incident.stage is not Stage.DONE:
        ledger.move(replace(incident, due=clock() + CLAIM_ASKED_AGAIN))


def alert_permanent_error(
    job: Job, err: PermanentError, config: Configuration, records: Records, clock: Clock
) -> str:
    """A service said no to what cannot be done without: people are told, since it will say so again.

    Where a claim stands, its job may exist: that is asked again, hour by hour.
    """
    incident = records.ledger.incident(key_of(job, records.ledger))
    if incident is None or incident.stage in {Stage.DONE, Stage.FOLLOWED}:
        raise err
    now = clock()
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
    channels = alert_routing.all_channels(config.policies())
    change = None
    if not claimed:
        chain = _chain_of(incident, job, records.ledger)
        change = ChainChange(chain, job, incident.verdict, Action.ALERT, is_final=True)
    left = replace(incident, stage=Stage.DONE, conclusion=Conclusion.ALERTED, reason=str(err)[:500])
    asked_again = replace(incident, due=now + CLAIM_ASKED_AGAIN)
    records.publish_move(asked_again if claimed else left, facts, channels, now, change=change)
    return f"alerted, permanent error: {err}"


def _chain_of(incident: Incident, job: Job, ledger: Ledger) -> Chain:
    unknown = Chain(key=incident.root, root=str(job.name))
    try:
        return ledger.chain(incident.root) or unknown
    except UnreadableDocument:
        return unknown


_LEFT = "It could not be handled, and nothing was resubmitted:"
_CLAIMED = "A resubmission was begun, and it cannot be found out whether its job exists:"
