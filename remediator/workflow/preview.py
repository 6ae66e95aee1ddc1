"""The alert that a case would give, as it would be sent: nothing is read or written. Pure.

Called by `alert preview`.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from remediator.alerts import AlertKind, Message, compose
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.diagnosis.log_alone import diagnosis_of_a_log
from remediator.domain import (
    Action,
    History,
    Mode,
)
from remediator.ledger import (
    Chain,
    Incident,
    Stage,
)
from remediator.planning import costs, plan
from remediator.policy import Policies
from remediator.watch import plan_watch
from remediator.watch.entries import WATCHED
from remediator.workflow.decide import diagnose_case
from remediator.workflow.incident_context import IncidentContext
from remediator.workflow.watch_actions import running_facts


class AlertPreview(Struct, frozen=True):
    """An alert, and the channels of the policy file that it would go to."""

    message: Message
    channels: tuple[str, ...]


def preview(
    case: Case,
    policies: Policies,
    catalog: Catalog,
    *,
    has_job: bool = True,
    resume: tuple[str, str] = ("", ""),
) -> AlertPreview | None:
    """The alert that a case would give, as it would be sent; nothing is read or written.

    None of a job that still runs and of which no entry of `watch` tells.

    Without a job (`has_job` false: a log came alone) there is a cause to tell, and nothing to do.
    `resume`: the bucket and the dataset for the rows that are left of a batch.
    """
    history = History(
        attempts=case.attempts,
        parent=case.parent,
        usd_this_job=costs.chain_usd(case, catalog),
        resume_bucket=resume[0],
        resume_dataset=resume[1],
        ledger_read=False,
    )
    watched = plan_watch(case, policies, history, catalog) if has_job else None
    if watched is not None and watched.entry is not None and watched.plan.alerts:
        message = compose(running_facts(case, watched, watched.entry))
        return AlertPreview(message, watched.plan.alerts)
    if has_job and case.job.state in WATCHED:
        return None
    found = diagnose_case(case, policies)
    made = plan(case, found, policies, history, catalog)
    incident = Incident(
        key=case.job.name.key,
        job=str(case.job.name),
        stage=Stage.UNSETTLED,
        first_known=case.now,
        root=case.job.name.key,
        attempt=len(case.attempts),
    )
    chain = Chain(key=incident.root, root=incident.job, attempts=case.attempts)
    first = AlertKind.GIVEN_UP if case.attempts else AlertKind.ALERT
    kind = _PREVIEWED.get(made.action, first)
    if kind is AlertKind.ACTED and case.attempts:
        kind = AlertKind.NEXT_ATTEMPT
    if made.mode is Mode.OBSERVE and made.action is not Action.ALERT:
        kind = AlertKind.OBSERVED
    if not has_job:
        found = diagnosis_of_a_log(found)
    facts = IncidentContext(case.job, case, found, made, incident, chain).facts(kind, now=case.now)
    if not has_job:
        facts = replace(
            facts, kind=AlertKind.ALERT, job=None, root="", plan=None, error="", extra=(_NO_JOB,)
        )
    return AlertPreview(compose(facts), made.alerts)


_NO_JOB = "Nothing: there is no job beside the log, so there is nothing to resubmit."
_PREVIEWED: Mapping[Action, AlertKind] = {
    Action.RESUBMIT: AlertKind.ACTED,
    Action.WAIT: AlertKind.WAITING,
    Action.APPROVE: AlertKind.APPROVAL,
}
