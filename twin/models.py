"""Models in the twin's registry, and their versions. Who serves them over gRPC is `twin.vertex`."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from typing import Any

from twin.clock import Clock, rfc3339
from twin.rpc import Body, Refusal


class ModelStore:
    """Models and their versions, as REST-shaped JSON."""

    def __init__(self, clock: Clock, project: str, number: str) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._projects = (project, number)
        self._models: dict[str, list[Body]] = {}

    def add(self, body: Mapping[str, Any]) -> Body:
        """One version of a model; the newest is the default one. `name` without a version."""
        name = self._plain(str(body["name"]))
        now = rfc3339(self._clock.now())
        with self._lock:
            versions = self._models.setdefault(name, [])
            number = str(len(versions) + 1)
            full = {
                "versionId": number,
                "versionCreateTime": now,
                "createTime": now,
                "displayName": "model",
                **body,
                "name": name,
            }
            for old in versions:
                old["versionAliases"] = [a for a in old["versionAliases"] if a != "default"]
            full.setdefault("versionAliases", ["default"])
            versions.append(full)
        return copy.deepcopy(full)

    def remove(self, name: str) -> None:
        """The model is gone, with every version."""
        with self._lock:
            self._models.pop(self._plain(name), None)

    def get(self, name: str) -> Body:
        """A version (`@2`, `@default`, none: the default one); refuses with NOT_FOUND."""
        plain, _, version = name.partition("@")
        with self._lock:
            for body in reversed(self._models.get(self._plain(plain), [])):
                wanted = version or "default"
                if wanted == body["versionId"] or wanted in body["versionAliases"]:
                    return copy.deepcopy(body)
        raise Refusal("NOT_FOUND", f'The Model "{name}" does not exist.')

    def has(self, name: str) -> bool:
        """Whether this version exists."""
        return bool(self.read(name))

    def read(self, name: str) -> Body:
        """Like `get`, but an empty object where there is no such model."""
        try:
            return self.get(name)
        except Refusal:
            return {}

    def versions(self, name: str) -> list[Body]:
        """Every version of a model, newest first."""
        self.get(name.partition("@")[0])
        with self._lock:
            found = copy.deepcopy(self._models[self._plain(name.partition("@")[0])])
        return found[::-1]

    def all(self, parent: str) -> list[Body]:
        """The default version of each model in a location."""
        prefix = self._plain(parent) + "/"
        with self._lock:
            return [
                copy.deepcopy(v[-1]) for name, v in self._models.items() if name.startswith(prefix)
            ]

    def _plain(self, name: str) -> str:
        parts = name.split("/")
        if len(parts) > 1 and parts[1] in self._projects:
            parts[1] = self._projects[1]
        return "/".join(parts)
