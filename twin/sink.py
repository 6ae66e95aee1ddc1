"""The log sink with its topic and push subscription: matched entries become HTTP requests.

Two shapes of delivery: `eventarc` (CloudEvent headers, as an Eventarc trigger posts it) and `push`
(the legacy Pub/Sub push body). What is answered with 2xx is acknowledged; anything else is delivered
again after a backoff, and after `max_attempts` it is a dead letter.
"""

from __future__ import annotations

import base64
import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from twin.query import logging_filter

Shape = Literal["eventarc", "push"]


@dataclass
class Message:
    """One Pub/Sub message and what became of it."""

    id: str
    entry: Mapping[str, Any]
    published: str
    data: bytes
    attempts: int = 0
    answers: list[int] = field(default_factory=list)


class Sink:
    """A sink that posts to `url` what `query` matches.

    `backoff`: seconds before the second delivery, doubled each time up to `max_backoff`.
    `copies`: how often each message is delivered though it was acknowledged (at least once is a
    promise that may be kept twice).
    """

    def __init__(
        self,
        url: str,
        query: str,
        *,
        now: Callable[[], str],
        shape: Shape = "eventarc",
        project: str,
        max_attempts: int = 20,
        backoff: float = 0.1,
        max_backoff: float = 2.0,
        ack_seconds: float = 60.0,
        copies: int = 1,
        concurrency: int = 8,
    ) -> None:
        self.url = url
        self.shape = shape
        self.topic = f"projects/{project}/topics/twin-failures"
        self.subscription = f"projects/{project}/subscriptions/twin-failures"
        self.copies = copies
        self.max_attempts = max_attempts
        self.delivered: list[Message] = []
        self.dead_letters: list[Message] = []
        self.paused = False
        self.lost: list[Mapping[str, Any]] = []
        self._matches = logging_filter(query)
        self._now = now
        self._backoff = (backoff, max_backoff)
        self._ack_seconds = ack_seconds
        self._ids = itertools.count(10_000_000_001)
        self._pool = ThreadPoolExecutor(max_workers=concurrency, thread_name_prefix="twin-sink")
        self._lock = threading.Condition()
        self._pending = 0
        self._stopping = threading.Event()

    def hear(self, entry: Mapping[str, Any]) -> None:
        """One new log entry; posted in the background if it matches."""
        if not self._matches(entry):
            return
        if self.paused:
            self.lost.append(entry)
            return
        self.publish(entry)

    def publish(self, entry: Mapping[str, Any] | bytes) -> Message:
        """One message, matching or not: an entry, or any bytes."""
        data = entry if isinstance(entry, bytes) else json.dumps(entry).encode()
        body = {} if isinstance(entry, bytes) else entry
        message = Message(str(next(self._ids)), body, self._now(), data)
        with self._lock:
            self._pending += self.copies
        for _ in range(self.copies):
            self._pool.submit(self._deliver, message)
        return message

    def redeliver(self, message: Message) -> None:
        """Delivers a message once more, as Pub/Sub may at any time."""
        with self._lock:
            self._pending += 1
        self._pool.submit(self._deliver, message)

    def wait_idle(self, seconds: float = 30.0) -> bool:
        """Waits until nothing is under way; False if that took too long."""
        with self._lock:
            return self._lock.wait_for(lambda: self._pending == 0, timeout=seconds)

    def close(self) -> None:
        """Stops; what was under way is dropped."""
        self._stopping.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _deliver(self, message: Message) -> None:
        pause, longest = self._backoff
        try:
            while not self._stopping.is_set():
                message.attempts += 1
                status = self._post(message)
                message.answers.append(status)
                if 200 <= status < 300:
                    self.delivered.append(message)
                    return
                if message.attempts >= self.max_attempts:
                    self.dead_letters.append(message)
                    return
                self._stopping.wait(pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, longest)
        finally:
            with self._lock:
                self._pending -= 1
                self._lock.notify_all()

    def _post(self, message: Message) -> int:
        headers, body = self.request(message)
        where = urlsplit(self.url)
        connection = http.client.HTTPConnection(
            where.hostname or "", where.port or 80, timeout=self._ack_seconds
        )
        try:
            path = where.path or "/"
            if self.shape == "push":
                path = path.rstrip("/") + "/" + self.topic
            connection.request("POST", path, body, headers)
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException):
            return 0
        else:
            return response.status
        finally:
            connection.close()

    def request(self, message: Message) -> tuple[dict[str, str], bytes]:
        """Headers and body of one delivery, in the sink's shape."""
        inner: dict[str, Any] = {
            "data": base64.b64encode(message.data).decode(),
            "attributes": {"logging.googleapis.com/timestamp": message.published},
            "messageId": message.id,
            "message_id": message.id,
            "publishTime": message.published,
            "publish_time": message.published,
        }
        body: dict[str, Any] = {"message": inner, "subscription": self.subscription}
        if message.attempts > 1:
            body["deliveryAttempt"] = message.attempts
        headers = {"Content-Type": "application/json"}
        if self.shape == "eventarc":
            headers |= {
                "ce-id": message.id,
                "ce-source": f"//pubsub.googleapis.com/{self.topic}",
                "ce-specversion": "1.0",
                "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
                "ce-time": message.published,
            }
        return headers, json.dumps(body).encode()


def post(
    url: str, body: Any = None, *, headers: Mapping[str, str] | None = None, seconds: float = 60
) -> tuple[int, str]:
    """One POST of JSON (or of bytes, as they are) to a loopback URL: the status and the text."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 80, timeout=seconds)
    data = (
        body if isinstance(body, bytes) else json.dumps(body if body is not None else {}).encode()
    )
    try:
        connection.request(
            "POST", where.path or "/", data, {"Content-Type": "application/json", **(headers or {})}
        )
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    finally:
        connection.close()


def wait_for_port(port: int, seconds: float, still_alive: Callable[[], bool]) -> bool:
    """Waits until something listens on a loopback port; False when it died or took too long."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and still_alive():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
        try:
            connection.connect()
        except OSError:
            time.sleep(0.03)
        else:
            return True
        finally:
            connection.close()
    return False
