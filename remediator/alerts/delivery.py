"""Delivery of what stands in the outbox: at once while a channel is calm, else in a round.

Owns leases of messages, pauses and groups where there are too many. One dead channel never delays
another, and none undoes or repeats a resubmission. Knows no service: channels and the outcome log are
handed in. Called by `outbox`.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Protocol

from msgspec.structs import replace

from remediator import log
from remediator.alerts import (
    AlertFacts,
    AlertKind,
    Channel,
    DeliveryRules,
    Message,
    Turn,
    compose,
    split,
)
from remediator.deadline import remaining, with_current_deadline
from remediator.domain import (
    Json,
    RemediatorError,
    TransientError,
    parse_time,
    rfc3339,
)
from remediator.ledger import Ledger, OutboxMessage
from remediator.log import LogEvent
from remediator.redaction import redact

OUTCOMES = "(outcomes)"
"""The channel for the outcome log and topic; no channel of a policy file has such a name."""

_SENT_AT_ONCE = 10  # messages a minute a channel takes before the rest is grouped
_WINDOW_SECONDS = 60.0
_LONGEST_PAUSE = timedelta(hours=1)
_GIVEN_UP_AFTER = timedelta(days=3)  # by then the report tells it
_DUE_AT_ONCE = 500
_KEPT_CURRENT = 40  # Slack takes about fifty updates a minute
DELIVERY_SECONDS = 30.0  # what takes longer goes on alone; its lease keeps others from doing it too
_LEAST_SECONDS = 5.0  # with less time left nothing is begun: `reconcile` delivers it


class WriteOutcome(Protocol):
    """Writes one outcome to the log and, where one is set, to the topic; `id` makes it one entry."""

    def __call__(self, outcome: Json, *, id: str, at: datetime) -> None: ...  # noqa: A002  # Logging's own word is insertId


class Delivery:
    """Sends what stands in the outbox. `open_channel` gives the channel of a policy file's name, opened late."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        open_channel: Callable[[str], Channel],
        write_outcome: WriteOutcome,
        now: Callable[[], datetime],
        lease: timedelta,
        rules_of: Callable[[str], DeliveryRules] = lambda _: DeliveryRules(),
        delivery_seconds: float = DELIVERY_SECONDS,
    ) -> None:
        self._ledger = ledger
        self._delivery_seconds = delivery_seconds
        self._overdue: dict[str, set[Future[int]]] = defaultdict(set)
        self._lock = threading.Lock()
        self._open_channel = open_channel
        self._rules_of = rules_of
        self._write_outcome = write_outcome
        self._now = now
        self._lease = lease

    def leased_ahead(self, outbox_message: OutboxMessage) -> OutboxMessage:
        """The message as it is stored: an outcome, which is sent in any case, with its lease."""
        if outbox_message.channel != OUTCOMES:
            return outbox_message
        return replace(outbox_message, due=outbox_message.created + self._lease, tries=1)

    def deliver(
        self,
        outbox_messages: Sequence[OutboxMessage],
        *,
        held: Mapping[str, OutboxMessage] = MappingProxyType({}),
    ) -> int:
        """Send these at once, as far as each channel's calm allows; how many were delivered.

        `held`: those of them, by id, that this execution stored with its lease.
        """
        work = {one.channel: [one] for one in outbox_messages}
        begun = self._begun(work)
        for outbox_message in held.values():
            if outbox_message.channel not in begun:  # the next round sends it
                self._ledger.postpone_message(
                    outbox_message, due=outbox_message.created, why="there was no time for it"
                )
        return self._side_by_side(begun, partial(self._send_while_calm, held=held))

    def deliver_due(self) -> tuple[int, int]:
        """Send everything in the outbox, grouped where it is too much; (delivered, still undelivered and due)."""
        due: dict[str, list[OutboxMessage]] = defaultdict(list)
        for outbox_message in self._ledger.messages_due(self._now(), _DUE_AT_ONCE):
            due[outbox_message.channel].append(outbox_message)
        if not due:
            return 0, 0
        delivered = self._side_by_side(self._begun(due), self._send_grouped)
        return delivered, len(self._ledger.messages_due(self._now(), _DUE_AT_ONCE))

    def _begun(self, work: Mapping[str, list[OutboxMessage]]) -> dict[str, list[OutboxMessage]]:
        """The channels to which anything is sent now: there is time for it, and none of them hangs."""
        if remaining(DELIVERY_SECONDS) < _LEAST_SECONDS:
            return {}
        return {channel: messages for channel, messages in work.items() if not self._hangs(channel)}

    def _side_by_side(
        self, work: dict[str, list[OutboxMessage]], send: Callable[[str, list[OutboxMessage]], int]
    ) -> int:
        if not work:
            return 0
        seconds = remaining(DELIVERY_SECONDS)

        def apart(channel: str, outbox_messages: list[OutboxMessage]) -> int:
            try:
                return send(channel, outbox_messages)
            except Exception as err:  # noqa: BLE001  # protects the other channels
                log.fault("unhandled exception while delivering alerts", err, channel=channel)
                return 0

        pool = ThreadPoolExecutor(max_workers=len(work), thread_name_prefix="channel")
        try:
            running = {
                pool.submit(with_current_deadline(apart), *item): item[0] for item in work.items()
            }
            done, late = wait(running, timeout=min(seconds, self._delivery_seconds))
            with self._lock:
                for one in late:
                    self._overdue[running[one]].add(one)
            return sum(one.result() for one in done)
        finally:
            pool.shutdown(wait=False)

    def _hangs(self, channel: str) -> bool:
        """Whether a delivery there that outlived its time still runs.

        A server that drips its answer ends no time-out and cannot be interrupted: each try would leave
        another thread behind. What is to go there waits until that one has ended.
        """
        with self._lock:
            running = {one for one in self._overdue[channel] if not one.done()}
            self._overdue[channel] = running
        if running:
            log.say(
                "WARNING",
                LogEvent.DELIVERY_HANGS,
                "an earlier delivery has not ended: nothing is sent there until it has",
                channel=channel,
            )
        return bool(running)

    def _send_while_calm(
        self,
        channel: str,
        outbox_messages: list[OutboxMessage],
        *,
        held: Mapping[str, OutboxMessage],
    ) -> int:
        singly, grouped = self._take_turns(channel, outbox_messages)
        return sum(
            self._is_calm(channel)
            and self._deliver_one(outbox_message, taken=held.get(outbox_message.id))
            for outbox_message in singly + grouped
        )

    def _send_grouped(self, channel: str, outbox_messages: list[OutboxMessage]) -> int:
        """Singly while the channel is calm; what is left becomes one message."""
        until = self._pause_until(channel)
        if until is not None:  # out of the way of messages to others
            for outbox_message in outbox_messages:
                self._ledger.postpone_message(
                    outbox_message, due=until, why="the channel asked for a pause"
                )
            return 0
        delivered = 0
        singly, grouped = self._take_turns(channel, outbox_messages)
        if len(grouped) > 1 and self._is_calm(channel):
            delivered += self._deliver_grouped(channel, grouped)
            grouped = []
        waiting = sorted(singly + grouped, key=lambda one: one.created)
        while waiting and (channel == OUTCOMES or self._is_calm(channel, spare=1)):
            delivered += self._deliver_one(waiting.pop(0))
        if len(waiting) > 1 and self._is_calm(channel):
            return delivered + self._deliver_grouped(channel, waiting)
        return delivered

    def _take_turns(
        self, channel: str, outbox_messages: list[OutboxMessage]
    ) -> tuple[list[OutboxMessage], list[OutboxMessage]]:
        """What the channel's rules let through now: what is sent singly, and what quiet hours held.

        The rest is put off, or counts as delivered where something else tells it.
        """
        singly: list[OutboxMessage] = []
        grouped: list[OutboxMessage] = []
        if channel == OUTCOMES:
            return outbox_messages, grouped
        try:
            rules = self._rules_of(channel)
        except RemediatorError:  # the channel then cannot be opened either, which is told
            return outbox_messages, grouped
        now = self._now()
        made = digests_until(self._ledger, channel) if rules.digest is not None else None
        for outbox_message in outbox_messages:
            decided = rules.decide(outbox_message.body, outbox_message.created, now, made)
            if decided.turn is Turn.HOLD:
                self._ledger.postpone_message(outbox_message, due=decided.until, why=decided.why)
            elif decided.turn is Turn.DROP:
                self._ledger.mark_delivered(outbox_message, now=now)
            else:
                (grouped if decided.turn is Turn.SEND_GROUPED else singly).append(outbox_message)
        return singly, grouped

    def _is_calm(self, channel: str, *, spare: int = 0) -> bool:
        if channel == OUTCOMES:
            return True
        sent = f"sent:{channel}"
        try:
            self._ledger.prefetch(notes=(_pause_of(channel),), counters=(sent,))
            if self._pause_until(channel) is not None:
                return False
            return self._ledger.take_token(
                sent,
                most=_SENT_AT_ONCE - spare,
                window_seconds=_WINDOW_SECONDS,
                now=self._now(),
            )
        except TransientError:
            return False

    def _pause_until(self, channel: str) -> datetime | None:
        """Until when the service wishes to be left alone, by every message to it."""
        asked = self._ledger.note(_pause_of(channel)) or {}
        until = parse_time(asked.get("until"))
        return until if until is not None and self._now() < until else None

    def _deliver_one(
        self, outbox_message: OutboxMessage, *, taken: OutboxMessage | None = None
    ) -> bool:
        """Send one; a failure postpones it and stops nothing else. `taken`: it is leased already."""
        now = self._now()
        try:
            taken = taken or self._ledger.lease_message(
                outbox_message, now=now, lease_until=now + self._lease
            )
            if taken is None:
                return False
            thread = self._send(taken)
            self._ledger.mark_delivered(taken, now=self._now(), thread=thread)
        except RemediatorError as err:
            self._postpone(taken or outbox_message, err)
            return False
        except Exception as err:  # noqa: BLE001  # protects the other channels
            log.fault(
                "unhandled exception while sending an alert", err, channel=outbox_message.channel
            )
            self._postpone(taken or outbox_message, err)
            return False
        return True

    def _send(self, outbox_message: OutboxMessage) -> Json | None:
        if outbox_message.channel == OUTCOMES:
            self._write_outcome(
                outbox_message.body, id=outbox_message.id, at=outbox_message.created
            )
            return None
        channel = self._open_channel(outbox_message.channel)
        message = Message.parse(outbox_message.body)
        known = self._ledger.thread(outbox_message.channel, message.thread_key) or {}
        sent = channel.send(
            message, thread=str(known.get("thread") or ""), due=outbox_message.created
        )
        for address in sent.not_reached:
            log.say(
                "WARNING",
                LogEvent.MAIL_ADDRESS_REFUSED,
                f"the mail server refused {address}",
                channel=outbox_message.channel,
            )
        return {"thread": sent.thread} if sent.thread else None

    def _postpone(self, outbox_message: OutboxMessage, err: Exception) -> None:
        now = self._now()
        wish = getattr(err, "retry_after_seconds", None)
        due = now + (timedelta(seconds=wish) if wish else _pause(outbox_message, err))
        lost = now - outbox_message.created > _GIVEN_UP_AFTER
        why = redact(f"{type(err).__name__}: {err}", 300)
        log.say(
            "ERROR" if lost else "WARNING",
            LogEvent.ALERT_POSTPONED,
            f"an alert is {'given up' if lost else 'postponed'}: {why}",
            channel=outbox_message.channel,
        )
        try:
            self._ledger.postpone_message(outbox_message, due=None if lost else due, why=why)
            if wish:
                self._ledger.write_note(_pause_of(outbox_message.channel), {"until": rfc3339(due)})
        except TransientError as ledger_err:  # its lease runs out by itself
            log.say(
                "WARNING",
                LogEvent.LEDGER_UNAVAILABLE,
                f"the ledger did not answer: {ledger_err}",
                channel=outbox_message.channel,
            )

    def _deliver_grouped(self, channel: str, outbox_messages: list[OutboxMessage]) -> int:
        """As few messages in place of many as hold all that needs a person; each is marked delivered once."""
        now = self._now()
        taken = [
            one
            for one in (
                self._ledger.lease_message(outbox_message, now=now, lease_until=now + self._lease)
                for outbox_message in outbox_messages
            )
            if one is not None
        ]
        messages = {one.id: message for one in taken if (message := self._message_of(one))}
        readable = [one for one in taken if one.id in messages]
        try:
            opened = self._open_channel(channel)
        except Exception as err:  # noqa: BLE001  # protects the other channels
            self._postpone_all(readable, err, now)
            return 0
        delivered = 0
        for group in split([messages[one.id] for one in readable], opened.group_limits):
            inside = [one for one in readable if any(messages[one.id] is m for m in group)]
            delivered += self._send_group(opened, channel, inside, group, now)
        return delivered

    def _postpone_all(
        self, outbox_messages: Sequence[OutboxMessage], err: Exception, now: datetime
    ) -> None:
        for one in outbox_messages:
            self._postpone(replace(one, due=now), err)

    def _send_group(
        self,
        opened: Channel,
        channel: str,
        outbox_messages: Sequence[OutboxMessage],
        group: Sequence[Message],
        now: datetime,
    ) -> int:
        try:
            opened.send(compose(AlertFacts(kind=AlertKind.GROUPED, together=tuple(group))), due=now)
        except Exception as err:  # noqa: BLE001  # protects the other channels
            self._postpone_all(outbox_messages, err, now)
            return 0
        for one in outbox_messages:
            self._ledger.mark_delivered(one, now=now)
        if opened.keeps_current:
            self._keep_current(opened, channel, group)
        return len(outbox_messages)

    def _keep_current(self, opened: Channel, channel: str, messages: Sequence[Message]) -> None:
        """A chain whose step was told in a group has its first message say it too, as far as that goes."""
        latest = {message.thread_key: message for message in messages if message.in_chain}
        for message in tuple(latest.values())[-_KEPT_CURRENT:]:
            try:
                known = self._ledger.thread(channel, message.thread_key) or {}
                if known.get("thread"):
                    opened.update(message, thread=str(known["thread"]))
            except RemediatorError as err:  # the step was told; the chain's next one says it again
                log.say(
                    "WARNING",
                    LogEvent.ALERT_NOT_UPDATED,
                    f"a message could not be updated: {err}",
                    channel=channel,
                )
                return

    def _message_of(self, outbox_message: OutboxMessage) -> Message | None:
        """None: a damaged one, which waits by itself and keeps no other from being told."""
        try:
            return Message.parse(outbox_message.body)
        except RemediatorError as err:
            self._postpone(outbox_message, err)
            return None


def _pause(outbox_message: OutboxMessage, err: Exception) -> timedelta:
    """How long a message of the outbox waits: an outage until the next round, a refusal longer each time."""
    if isinstance(err, TransientError):
        return timedelta(0)
    return min(_LONGEST_PAUSE, timedelta(minutes=float(2 ** min(outbox_message.tries, 10))))


def _pause_of(channel: str) -> str:
    """The note that says until when a channel asked to be left alone."""
    return f"pause:{channel}"


def digest_note(channel: str) -> str:
    """The note that says up to which period a channel's digests are made."""
    return f"digest:{channel}"


def digests_until(ledger: Ledger, channel: str) -> datetime | None:
    """The end of the last period whose digest was made for the channel; None: there was none."""
    return parse_time((ledger.note(digest_note(channel)) or {}).get("until"))
