"""Pub/Sub: outcomes out, dead letters back in.

Owns the publisher and subscriber clients (google-cloud-pubsub); the emulator is honoured where
`PUBSUB_EMULATOR_HOST` is set. Called by `app`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediator.cloud.connect import DEFAULT_TIMEOUT_SECONDS, answered, open_channel

_HOST = "pubsub.googleapis.com"


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that could not be handled; `ack` gives it up for good."""

    ack: str
    data: bytes
    attributes: Mapping[str, str]
    message_id: str
    published: str


class PubSub:
    """Publishing and pulling by Google's generated clients, each call with a deadline."""

    def __init__(self) -> None:
        self._channel: Any = None

    def publish(
        self,
        topic: str,
        data: bytes,
        *,
        ordering_key: str = "",
        attributes: Mapping[str, str] | None = None,
    ) -> str:
        """One message to `projects/P/topics/T`, answered by its id; tried again like a read.

        A message may so be published twice; whoever reads outcomes takes the latest.
        """
        from google.pubsub_v1.services.publisher import PublisherClient
        from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

        client: Any = PublisherClient(transport=PublisherGrpcTransport(channel=self._open()))
        message = {
            "data": data,
            "attributes": dict(attributes or {}),
            "ordering_key": ordering_key[:1024],
        }
        found = answered(
            f"publishing to {topic}",
            lambda seconds: client.publish(
                topic=topic, messages=[message], retry=None, timeout=seconds
            ),
            timeout_seconds=DEFAULT_TIMEOUT_SECONDS,
        )
        return str(found.message_ids[0])

    def pull(self, subscription: str, limit: int) -> tuple[Letter, ...]:
        """Up to `limit` messages of `projects/P/subscriptions/S`, not yet acknowledged."""
        client = self._subscriber()
        found = answered(
            f"pulling from {subscription}",
            lambda seconds: client.pull(
                request={"subscription": subscription, "max_messages": limit},
                retry=None,
                timeout=seconds,
            ),
            timeout_seconds=DEFAULT_TIMEOUT_SECONDS,
        )
        return tuple(
            Letter(
                ack=one.ack_id,
                data=bytes(one.message.data),
                attributes=dict(one.message.attributes),
                message_id=one.message.message_id,
                published=one.message.publish_time.isoformat(),
            )
            for one in found.received_messages
        )

    def acknowledge(self, subscription: str, letters: tuple[Letter, ...]) -> None:
        """Take these off the subscription."""
        if not letters:
            return
        client = self._subscriber()
        answered(
            f"acknowledging on {subscription}",
            lambda seconds: client.acknowledge(
                subscription=subscription,
                ack_ids=[letter.ack for letter in letters],
                retry=None,
                timeout=seconds,
            ),
            timeout_seconds=DEFAULT_TIMEOUT_SECONDS,
        )

    def _subscriber(self) -> Any:
        from google.pubsub_v1.services.subscriber import SubscriberClient
        from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

        return SubscriberClient(transport=SubscriberGrpcTransport(channel=self._open()))

    def _open(self) -> Any:
        if self._channel is None:
            self._channel = open_channel(_HOST, os.environ.get("PUBSUB_EMULATOR_HOST") or None)
        return self._channel

    def close(self) -> None:
        """Closes the channel; the next call opens a new one."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
