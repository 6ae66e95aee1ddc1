"""What the workflow knows of an incident: as it becomes known, and once a plan exists. Pure.

Owns the values that the modules of the workflow pass to each other, and the facts of an alert that
follow from them. Called by every module of the workflow.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from remediator.alerts import AlertFacts, AlertKind
from remediator.alerts.facts import QuestionEnd
from remediator.alerts.outbox import ChainChange
from remediator.case import Case
from remediator.domain import Action, Diagnosis, Evidence, Json, PermissionDenied, Plan
from remediator.domain.time_words import moment_words
from remediator.job import Job, summary
from remediator.job.rows import RowAccount
from remediator.ledger import ApprovalChoice, Chain, Incident, Stage
from remediator.redaction import redact

RETRY_WINDOW = timedelta(hours=24)
"""How long the platform delivers a failed event again; what is not known by then is done without."""


def new_incident(job: Job, first_known: datetime, root: str, *, key: str = "") -> Incident:
    """The job's incident, not yet kept; `key` where it is not the job's name alone."""
    return Incident(
        key=key or job.name.key,
        job=str(job.name),
        stage=Stage.UNSETTLED,
        first_known=first_known,
        root=root,
        ended=job.end_time,
        display_name=job.display_name,
        model=job.model_name or "",
        run_seconds=job.run_seconds,
        created=job.create_time,
        machine=summary.machine_words(job),
        owner=summary.owner_of(job),
        team=summary.team_of(job),
        account=job.service_account or "",
        image=next(iter(job.images()), "").rpartition("/")[2],
        accelerators=summary.accelerators_of(job),
    )


class IncidentContext(Struct, frozen=True):
    """What is known of an incident once a plan exists."""

    job: Job
    case: Case
    diagnosis: Diagnosis
    plan: Plan
    incident: Incident
    chain: Chain
    watch_reason: str = ""
    """Why an entry of `watch` ended the job while it ran; empty for a failure."""
    denied: PermissionDenied | None = None
    """What Vertex answered where it denied us the plan's job."""

    def facts(self, kind: AlertKind, *, created: str = "", now: datetime) -> AlertFacts:
        lost = self.chain.first_failed or self.job.end_time
        approval = self.incident.approval
        end = self._question_end(now) if kind is AlertKind.GIVEN_UP else None
        return replace(
            job_facts(kind, self.job, self.incident, self.chain),
            error=self.job.error_message,
            result=summary.result_words(self.job),
            rows=_row_counts(self.job, self.case.rows),
            diagnosis=self.diagnosis,
            plan=self.plan,
            watch_reason=self.watch_reason,
            created=created,
            gaps=self.case.gaps,
            spent_usd=self.chain.spent_usd or None,
            estimated_usd=self.plan.estimated_usd,
            time_lost_seconds=(now - lost).total_seconds() if lost else None,
            approval_id=approval.id if approval else "",
            approve_until=approval.expires if approval else None,
            question_end=end,
            declined_by=approval.by if approval and end is QuestionEnd.DECLINED else "",
            extra=self._extra(),
        )

    def change(self, *, is_final: bool) -> ChainChange:
        """What the plan does to the chain, for whoever waits for it."""
        return ChainChange(
            self.chain, self.job, self.incident.verdict, self.plan.action, is_final=is_final
        )

    def _question_end(self, now: datetime) -> QuestionEnd | None:
        """How the question about this plan ended, where it got no yes."""
        approval = self.incident.approval
        asked = self.plan.action is Action.APPROVE
        if approval is None or not asked or approval.digest != self.plan.digest:
            return None
        if approval.answer is ApprovalChoice.DECLINED:
            return QuestionEnd.DECLINED
        return QuestionEnd.EXPIRED if not approval.answer and now >= approval.expires else None

    def _extra(self) -> tuple[str, ...]:
        lines = []
        if self.incident.silent_sink:
            lines.append("The log sink did not deliver this failure; the sweep found it.")
        if self.case.saved is not None and self.plan.action is not Action.ALERT:
            lines.append(summary.saved_words(self.case.saved, self.plan.changes))
        approval = self.incident.approval
        if approval is not None and approval.answer is ApprovalChoice.APPROVED:
            when = f", {moment_words(approval.at)}" if approval.at else ""
            lines.append(f"Approved by {approval.by}{when}.")
        last = self.chain.attempts[-1] if self.chain.attempts else None
        if last is not None and last.abandoned:
            lines.append(
                f"Attempt {last.number} waited an hour for a machine in vain and was cancelled; "
                "it cost nothing and counts as a retry."
            )
        return tuple(lines)


def kept_evidence(evidence: Iterable[Evidence], most: int = 6) -> tuple[Json, ...]:
    """The evidence that the ledger keeps for the report: redacted, each sentence once, `most` of them."""
    once = {one.says: one for one in evidence}
    return tuple(
        {"source": e.source.value, "where": redact(e.where, 200), "says": redact(e.says, 400)}
        for e in tuple(once.values())[:most]
    )


def _row_counts(job: Job, account: RowAccount | None) -> summary.RowCounts | None:
    """What became of a batch's rows: as they were read where that adds up, else by Vertex's counts."""
    counted = summary.rows_of(job)
    if counted is None or account is None or not account.sound:
        return counted
    failed = sum(account.failed.values())
    return replace(counted, done=account.done, failed=failed, left=account.missing)


def job_facts(kind: AlertKind, job: Job, incident: Incident, chain: Chain) -> AlertFacts:
    """What every alert about a job knows of it, of its incident and of its chain's attempts."""
    return AlertFacts(
        kind=kind,
        job=job.name,
        display_name=job.display_name,
        root=incident.root,
        attempt=incident.attempt,
        state=job.state,
        machine=summary.machine_words(job),
        owner=summary.owner_of(job),
        account=job.service_account or "",
        started=job.start_time,
        ended=job.end_time,
        attempts=chain.attempts,
    )
