"""The outbox: what is told of a change, stored with the change and then delivered.

Owns the one way from the facts of an alert to people and programs: facts become messages, the messages
are stored in the transaction of what they tell of, and are sent at once while a channel is calm
(`delivery`, which `reconcile` calls for the rest). Composes nothing itself (`compose` does).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from remediator import log
from remediator.alerts import (
    AlertFacts,
    AlertKind,
    Channel,
    DeliveryRules,
    Message,
    compose,
    console_url,
)
from remediator.alerts.delivery import DELIVERY_SECONDS, OUTCOMES, Delivery, WriteOutcome
from remediator.domain import Action, Part, rfc3339
from remediator.job import Job, summary
from remediator.ledger import Chain, Ledger, OutboxMessage, Recorded
from remediator.log import LogEvent
from remediator.redaction import redact_json

Store = Callable[[tuple[OutboxMessage, ...]], bool]
"""Stores messages with what they tell of; False where another execution was faster."""
Record = Callable[[tuple[OutboxMessage, ...]], Recorded | None]
"""The same for a new attempt: which of them it enqueued, None where another execution was faster."""


class ChainChange(Struct, frozen=True):
    """A change of a chain, for whoever waits for the original job.

    `current` is the job that stands for the chain now, `previous` the one that it replaced.
    `waits_for` is an approval's id, or the time of a resubmission that is to come.
    """

    chain: Chain
    current: Job
    verdict: str
    action: Action
    is_final: bool
    previous: str = ""
    waits_for: str | None = None


class Outbox:
    """Messages stored and delivered. `open_channel` gives the channel of a policy file's name, opened late."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        open_channel: Callable[[str], Channel],
        write_outcome: WriteOutcome,
        now: Callable[[], datetime],
        lease: timedelta,
        project: Callable[[], str] = str,
        ledger_url: str = "",
        rules_of: Callable[[str], DeliveryRules] = lambda _: DeliveryRules(),
        delivery_seconds: float = DELIVERY_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._project = project
        self._ledger_url = ledger_url
        self._delivery = Delivery(
            ledger,
            open_channel=open_channel,
            write_outcome=write_outcome,
            now=now,
            lease=lease,
            rules_of=rules_of,
            delivery_seconds=delivery_seconds,
        )

    def publish(
        self,
        facts: AlertFacts,
        channels: Sequence[str],
        now: datetime,
        *,
        change: ChainChange | None = None,
        store: Store | None = None,
        record: Record | None = None,
    ) -> bool:
        """Tell it: stored first, with what it tells of (`store`), then delivered while a channel is calm.

        What is stored by `record` is leased with it where it is sent in any case: the outcome. False
        where nothing was stored; then nothing is sent.
        """
        messages = self.messages(facts, channels, now, change=change)
        if record is not None:
            leased = tuple(map(self._delivery.leased_ahead, messages))
            recorded = record(leased)
            if recorded is None:
                return False
            ours = (one for one in leased if one.tries and one.id in recorded.enqueued)
            self._delivery.deliver(messages, held={one.id: one for one in ours})
            return True
        if not (store or self._enqueued)(messages):
            return False
        self._delivery.deliver(messages)
        return True

    def enqueue(self, facts: AlertFacts, channels: Sequence[str], now: datetime) -> None:
        """Store it alone: it is delivered at the end of the round."""
        self._enqueued(self.messages(facts, channels, now))

    def deliver_due(self) -> tuple[int, int]:
        """Send everything that is due; (delivered, still undelivered and due)."""
        return self._delivery.deliver_due()

    def _enqueued(self, messages: tuple[OutboxMessage, ...]) -> bool:
        self._ledger.enqueue(messages)
        return True

    def messages(
        self,
        facts: AlertFacts,
        channels: Sequence[str],
        now: datetime,
        *,
        change: ChainChange | None = None,
    ) -> tuple[OutboxMessage, ...]:
        """The alert for each channel, and the outcome of the change that it tells of."""
        composed = compose(replace(facts, project=self._project(), ledger=self._ledger_url))
        outcomes = () if change is None else (_outcome(change, composed, now),)
        message = replace(composed, outcomes=tuple(one.body for one in outcomes))
        return (*_alerts(facts, message, channels, now), *outcomes)


def _alerts(
    facts: AlertFacts, message: Message, channels: Sequence[str], now: datetime
) -> tuple[OutboxMessage, ...]:
    """The message for each channel; the same state of the same chain is enqueued only once."""
    if not channels:
        log.say(
            "WARNING",
            LogEvent.ALERT_NOT_SENT,
            "no alert sent: matching policy has no alert channel",
            job=str(facts.job or facts.display_name),
        )
        return ()
    state = facts.kind.value
    if facts.kind is AlertKind.APPROVAL:  # another plan is another question
        state += f":{facts.approval_id}"
    if facts.kind is AlertKind.OVERRUN and facts.limit:  # each limit is passed once
        state += f":{facts.limit}"
    if facts.trouble is not None:  # once for each spell, and for each time it is asked
        state += f":{facts.trouble.reason}:{facts.trouble.spell}:{facts.approval_id}"
    # A chain goes on from an earlier job where an attempt never got a machine: the attempts count.
    number = max(facts.attempt, len(facts.attempts))
    body = message.to_json()
    return tuple(
        OutboxMessage(
            id=f"{facts.root}|{state}|{number}|{channel}",
            channel=channel,
            body=body,
            created=now,
            due=now,
        )
        for channel in dict.fromkeys(channels)
    )


def _outcome(change: ChainChange, alert: Message, now: datetime) -> OutboxMessage:
    """For the outcome log: the alert's first line is the reason, its second the advice."""
    attempt = len(change.chain.attempts)
    output = summary.output_of(change.current)
    parts = parts_of(change.chain, change.current)
    body: dict[str, Any] = {
        "root": change.chain.root,
        "current": str(change.current.name),
        "attempt": attempt,
        "state": change.current.state_text,
        "output": output,
        "final": change.is_final,
        "reason": alert.title,
        "advice": alert.next_step,
        "url": console_url(change.current.name),
        "outputs": [part.output for part in parts if part.output],
        "waits_for": change.waits_for,
        "previous": change.previous or None,
        "verdict": change.verdict,
        "action": change.action.value,
        "time": rfc3339(now),
    }
    what = "final" if change.is_final else change.action.value
    until = f":{change.waits_for}" if change.waits_for else ""
    return OutboxMessage(
        id=f"{change.chain.key}|outcome|{attempt}|{what}{until}",
        channel=OUTCOMES,
        body=redact_json(body),
        created=now,
        due=now,
    )


def parts_of(chain: Chain, current: Job) -> tuple[Part, ...]:
    """All parts of the results as they stand with this job of the chain, the newest last."""
    made = [one for one in chain.attempts if one.name == str(current.name)]
    attempt = made[-1] if made else None
    before = attempt.resume.parts if attempt else ()
    own = Part(
        str(current.name),
        attempt.number if attempt else 0,
        max(current.instance_counts[0], 0) or (attempt.resume.sent if attempt else 0),
        summary.results_of(current),
    )
    return (*before, own)
