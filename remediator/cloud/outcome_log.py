"""Outcomes of chains, written to the outcome log and, where one is set, to a Pub/Sub topic.

Owns the entry's form: one `insertId` for an outcome, so that what is written twice is one entry. Called
by the outbox, through its own Protocol.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from remediator.cloud import pubsub
from remediator.intake import OUTCOMES_LOG


class OutcomeLog:
    """`topic`: a topic's name or path; empty: the log alone."""

    def __init__(
        self, write_log: Callable[[str, list[Any]], None], topic: str, project_id: Callable[[], str]
    ) -> None:
        self._write_log = write_log
        self._topic = topic
        self._project_id = project_id

    def __call__(self, outcome: Mapping[str, Any], *, id: str, at: datetime) -> None:  # noqa: A002  # as the protocol has it
        """Write one outcome. Raises TransientError, PermanentError; written twice it is one entry."""
        entry = {
            "insertId": hashlib.sha256(id.encode()).hexdigest()[:32],
            "timestamp": at.isoformat(),
            "severity": "NOTICE",
            "jsonPayload": dict(outcome),
        }
        self._write_log(OUTCOMES_LOG, [entry])
        if self._topic:
            self._publisher.publish(
                self._topic_path,
                json.dumps(dict(outcome)).encode(),
                ordering_key=str(outcome["root"]),
            )

    @property
    def _topic_path(self) -> str:
        if "/" in self._topic:
            return self._topic
        return f"projects/{self._project_id()}/topics/{self._topic}"

    @cached_property
    def _publisher(self) -> pubsub.PubSub:
        return pubsub.PubSub()
