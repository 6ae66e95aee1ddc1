"""Pub/Sub: publishing outcomes, and taking dead letters out and putting them back.

Owns the generated publisher and subscriber clients, at `PUBSUB_EMULATOR_HOST` where that is set
(loopback only). Must not read what a message says. Called by `app` and the command line.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, field

from remediator.cloud.connection import DEFAULT_TIMEOUT_SECONDS, answered, open_channel
from remediator.domain import InvalidInput, TransientError
from remediator.domain.late_pattern import late_pattern

HOST = "pubsub.googleapis.com"
_NAME = late_pattern(r"projects/[a-z0-9.:-]{1,100}/(topics|subscriptions)/[A-Za-z][\w.~+%-]{2,254}")
_LONGEST_KEY = 1024  # bytes; ours are ASCII
_MOST_AT_ONCE = 1000  # messages of one pull, and acknowledgements of one call


class Letter(Struct, frozen=True):
    """A message that was pulled: acknowledge it, or it comes again.

    `attempts` is how often the source subscription had tried it, 0 where it does not say.
    """

    ack: str
    message_id: str
    data: bytes
    ordering_key: str
    attempts: int
    published: datetime | None
    attributes: Mapping[str, str] = field(default_factory=dict)


class PubSub:
    """The Pub/Sub API. Publishing again after an unanswered try may deliver a message twice."""

    def __init__(self, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._channel: Any = None
        self._clients: dict[str, Any] = {}

    def publish(
        self,
        topic: str,
        data: bytes,
        *,
        ordering_key: str = "",
        attributes: Mapping[str, str] | None = None,
        timeout_seconds: float | None = None,
    ) -> str:
        """Publishes to `projects/P/topics/T` and returns the message's id."""
        client = self._client("publisher")
        message = {
            "data": data,
            "ordering_key": ordering_key[:_LONGEST_KEY],
            "attributes": dict(attributes or {}),
        }
        request = {"topic": _checked(topic), "messages": [message]}
        answer = answered(
            f"publishing to {topic}",
            lambda seconds: client.publish(request=request, retry=None, timeout=seconds),
            timeout_seconds=timeout_seconds or self._timeout_seconds,
            permission="pubsub.topics.publish",
        )
        return str(answer.message_ids[0])

    def pull(
        self, subscription: str, limit: int = 100, *, timeout_seconds: float | None = None
    ) -> tuple[Letter, ...]:
        """Up to `limit` messages that wait in `projects/P/subscriptions/S`; empty: none seem to.

        They are hidden from others until acknowledged, released, or the deadline passes.
        """
        client = self._client("subscriber")
        request = {
            "subscription": _checked(subscription),
            "max_messages": min(limit, _MOST_AT_ONCE),
        }
        try:
            answer = answered(
                f"pulling from {subscription}",
                lambda seconds: client.pull(request=request, retry=None, timeout=seconds),
                timeout_seconds=timeout_seconds or self._timeout_seconds,
                permission="pubsub.subscriptions.consume",
            )
        except TransientError as err:
            # An empty subscription may keep the call open until our deadline: that means none.
            if type(err.__cause__).__name__ == "DeadlineExceeded":
                return ()
            raise
        return tuple(_letter(received) for received in answer.received_messages)

    def acknowledge(
        self, subscription: str, letters: Sequence[Letter], *, timeout_seconds: float | None = None
    ) -> None:
        """These messages are done with and do not come again."""
        self._tell("acknowledge", subscription, letters, {}, timeout_seconds)

    def release(
        self, subscription: str, letters: Sequence[Letter], *, timeout_seconds: float | None = None
    ) -> None:
        """These messages were only looked at and may come again at once."""
        extra = {"ack_deadline_seconds": 0}
        self._tell("modify_ack_deadline", subscription, letters, extra, timeout_seconds)

    def close(self) -> None:
        """Closes the channel; the next call opens a new one."""
        with self._lock:
            if self._channel is not None:
                self._channel.close()
            self._channel = None
            self._clients.clear()

    def _tell(
        self,
        verb: str,
        subscription: str,
        letters: Sequence[Letter],
        extra: Mapping[str, Any],
        timeout_seconds: float | None,
    ) -> None:
        client = self._client("subscriber")
        for start in range(0, len(letters), _MOST_AT_ONCE):
            some = [letter.ack for letter in letters[start : start + _MOST_AT_ONCE]]
            request = {"subscription": _checked(subscription), "ack_ids": some, **extra}
            answered(
                f"acknowledging to {subscription}",
                lambda seconds, request=request: getattr(client, verb)(  # type: ignore[misc]
                    request=request, retry=None, timeout=seconds
                ),
                timeout_seconds=timeout_seconds or self._timeout_seconds,
                permission="pubsub.subscriptions.consume",
            )

    def _client(self, name: str) -> Any:
        from google.pubsub_v1.services.publisher import PublisherClient
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
        from google.pubsub_v1.services.subscriber import SubscriberClient
        from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

        kinds: dict[str, tuple[Any, Any]] = {
            "publisher": (PublisherClient, PublisherGrpcTransport),
            "subscriber": (SubscriberClient, SubscriberGrpcTransport),
        }
        with self._lock:
            if self._channel is None:
                self._channel = open_channel(HOST, os.environ.get("PUBSUB_EMULATOR_HOST") or None)
            if name not in self._clients:
                client_type, transport_type = kinds[name]
                self._clients[name] = client_type(transport=transport_type(channel=self._channel))
            return self._clients[name]


def _letter(received: Any) -> Letter:
    message = received.message
    return Letter(
        ack=received.ack_id,
        message_id=message.message_id,
        data=bytes(message.data),
        ordering_key=message.ordering_key,
        attempts=int(received.delivery_attempt),
        published=message.publish_time or None,
        attributes=dict(message.attributes),
    )


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        msg = f"not a topic or subscription: {name[:200]!r}"
        raise InvalidInput(msg)
    return name
