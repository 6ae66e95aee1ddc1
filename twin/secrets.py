"""Secret Manager and Pub/Sub publishing in the twin: the little that the product needs of them."""

from __future__ import annotations

import base64
import itertools
import threading
from typing import Any

from google.cloud import secretmanager_v1 as secretmanager
from google.pubsub_v1 import types as pubsub

from twin.rpc import Body, Caller, Method, Refusal


class Secrets:
    """Secrets by name; setting one adds a version."""

    def __init__(self, project: str, number: str) -> None:
        self._projects = (project, number)
        self._versions: dict[str, list[str]] = {}

    def __setitem__(self, name: str, value: str) -> None:
        self._versions.setdefault(name, []).append(value)

    def methods(self) -> list[Method]:
        """The one RPC that is served."""
        return [
            Method(
                "/google.cloud.secretmanager.v1.SecretManagerService/AccessSecretVersion",
                secretmanager.AccessSecretVersionRequest,
                secretmanager.AccessSecretVersionResponse,
                self._access,
            )
        ]

    def _access(self, body: Body, caller: Caller) -> Body:
        name = str(body.get("name") or "")
        parts = name.split("/")
        if len(parts) != 6 or parts[1] not in self._projects:
            raise Refusal("INVALID_ARGUMENT", f"Invalid resource name: {name}")
        versions = self._versions.get(parts[3], [])
        wanted = str(len(versions)) if parts[5] == "latest" else parts[5]
        if not wanted.isdigit() or not 0 < int(wanted) <= len(versions):
            raise Refusal(
                "NOT_FOUND", f"Secret [{'/'.join(parts[:4])}] not found or has no versions."
            )
        data = base64.b64encode(versions[int(wanted) - 1].encode()).decode()
        full = f"projects/{self._projects[1]}/secrets/{parts[3]}/versions/{wanted}"
        return {"name": full, "payload": {"data": data}}


class Topics:
    """Pub/Sub topics that keep what is published; any topic of the project exists."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def methods(self) -> list[Method]:
        """The one RPC that is served."""
        return [
            Method(
                "/google.pubsub.v1.Publisher/Publish",
                pubsub.PublishRequest,
                pubsub.PublishResponse,
                self._publish,
            )
        ]

    def _publish(self, body: Body, caller: Caller) -> Body:
        with self._lock:
            ids = []
            for message in body.get("messages") or []:
                data = base64.b64decode(message.get("data") or "").decode(errors="replace")
                self.messages.append((str(body.get("topic")), {**message, "data": data}))
                ids.append(str(next(self._ids)))
        return {"messageIds": ids}
