"""A plan that a person must allow: the question, and the answer as it is written down.

Owns how long a question stands, and that a yes counts for the plan that was shown alone. `incident`
asks; a click in Slack and the command line answer; `reconcile` then acts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from remediator.alerts import AlertKind
from remediator.alerts.facts import QuestionEnd
from remediator.domain import (
    Action,
    InvalidInput,
    TransientError,
)
from remediator.ledger import Approval, ApprovalChoice, Incident, Ledger, OutboxMessage, Stage
from remediator.ledger.approvals import covers, offer
from remediator.workflow.conclusions import (
    GIVEN_UP,
    conclude_with_alert,
)
from remediator.workflow.incident_context import IncidentContext
from remediator.workflow.services import Clock, Configuration, Records

APPROVAL_LASTS = timedelta(hours=12)


def ask_for_approval(
    context: IncidentContext, config: Configuration, records: Records, now: datetime
) -> str:
    approval = context.incident.approval
    if approval is not None and approval.digest == context.plan.digest:
        if approval.answer is ApprovalChoice.DECLINED or (
            not approval.answer and now >= approval.expires
        ):
            said = (
                f"{approval.answer} by {approval.by}"
                if approval.answer
                else QuestionEnd.EXPIRED.value
            )
            declined = replace(
                context.plan,
                because=f"{context.plan.because} ({said})",
                notes=(said, *context.plan.notes),
            )
            return conclude_with_alert(
                replace(context, plan=declined),
                config,
                records,
                now,
                GIVEN_UP,
            )
        if not approval.answer and covers(approval, context.plan):
            records.ledger.move(
                replace(context.incident, stage=Stage.APPROVAL, due=approval.expires)
            )
            return f"awaiting approval {approval.id}"
    offered = offer(context.plan, token=records.new_token(), expires=now + APPROVAL_LASTS)
    pending = replace(context.incident, stage=Stage.APPROVAL, approval=offered, due=offered.expires)
    asked = replace(context, incident=pending)
    facts = asked.facts(AlertKind.APPROVAL, now=now)
    change = replace(context.change(is_final=False), action=Action.APPROVE, waits_for=offered.id)
    records.outbox.publish(
        facts,
        context.plan.alerts,
        now,
        change=change,
        store=lambda messages: store_question(pending, offered, messages, records.ledger),
    )
    return f"awaiting approval {offered.id}"


def store_question(
    pending: Incident, offered: Approval, messages: Sequence[OutboxMessage], ledger: Ledger
) -> bool:
    """Write a question down: the incident that waits for the answer, and where the answer finds it."""
    if not ledger.move(pending, outbox_messages=messages):
        return False
    ledger.write_note(f"approval:{offered.id}", {"incident": pending.key})
    return True


# --- what people ask ------------------------------------------------------------------------------


class ApprovalAnswer(Struct, frozen=True):
    """What became of an answer; `contradicts`: another answer was given before, and that one counts."""

    text: str
    contradicts: bool = False


def answer_approval(
    ledger: Ledger, clock: Clock, approval_id: str, *, approved: bool, by: str
) -> ApprovalAnswer:
    """Write a person's yes or no to the ledger; `reconcile` acts on it, if the plan still stands.

    The first answer counts. Raises InvalidInput where nothing of that id is pending.
    """
    note = ledger.note(f"approval:{approval_id}")
    incident = ledger.incident(str(note["incident"])) if note else None
    approval = incident.approval if incident else None
    if incident is None or approval is None or approval.id != approval_id:
        msg = f"there is no pending approval {approval_id[:100]!r}"
        raise InvalidInput(msg)
    now = clock()
    answer = ApprovalChoice.APPROVED if approved else ApprovalChoice.DECLINED
    if approval.answer:
        said = f"already {approval.answer} by {approval.by}"
        return ApprovalAnswer(said, contradicts=approval.answer is not answer)
    if now >= approval.expires or incident.stage is not Stage.APPROVAL:
        msg = f"approval {approval_id} has expired"
        raise InvalidInput(msg)
    answered = replace(approval, answer=answer, by=by, at=now)
    if not ledger.move(replace(incident, approval=answered, due=now)):
        msg = "the incident changed meanwhile; ask again"
        raise TransientError(msg)
    return ApprovalAnswer(f"{answer} by {by}")
