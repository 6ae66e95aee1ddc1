"""A policy file while it is checked: what of it could be read, with the place of every value.

Also what the checks ask of the catalogue. Called by `language`, which makes a draft, and by the checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from remediator.policy.model import Policies, Policy
from remediator.policy.watch_entries import WatchEntry
from remediator.policy.yaml_tree import YamlNode


class HasServices(Protocol):
    """A machine type: the services that take it (`training`, `prediction`), and what is built into it."""

    @property
    def services(self) -> frozenset[Any]: ...

    @property
    def device(self) -> str: ...


class HasNoPrice(Protocol):
    """What has no price in a region: everything, some devices that are offered there, or families of
    machines that have a price nowhere."""

    @property
    def everything(self) -> bool: ...

    @property
    def devices(self) -> tuple[str, ...]: ...

    @property
    def families(self) -> tuple[str, ...]: ...


class Machines(Protocol):
    """What the lints ask of the catalogue."""

    @property
    def machines(self) -> Mapping[str, HasServices]: ...

    @property
    def accelerators(self) -> Mapping[str, Any]: ...

    def fits(self, machine: str, accelerator: str | None, count: int, service: str) -> bool:
        """Whether Vertex takes the combination for `training` or `prediction`."""

    def unpriced(self, region: str) -> HasNoPrice:
        """What of the region's offer has no price."""


class PolicyDraft(Struct, frozen=True):
    """Whatever of a file could be read. `policies` keep the index that they have in the file.

    `limits_read` are the general limits that the file names and that could be read. `unread` are the
    file's own keys whose value, or a part of it, could not be read: that is reported, and what stands
    for it here is not what its author meant.
    `unclear` are the indices of those whose `when` has mistakes: what they match is not known. The
    entries of `watch` likewise. `unknown` are names of machines, accelerators and places that nobody
    knows: what a list with one of them allows is not known.
    """

    root: YamlNode
    general: Policies
    policies: tuple[tuple[int, Policy], ...]
    unclear: frozenset[int] = frozenset()
    limits_read: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()
    watch: tuple[tuple[int, WatchEntry], ...] = ()
    unclear_watch: frozenset[int] = frozenset()
    unknown: frozenset[str] = frozenset()

    def value(self, *path: str | int) -> YamlNode:
        """The node of the value at a path, or of the nearest that is there."""
        return self.root.follow(path)[1]

    def has(self, *path: str | int) -> bool:
        """Whether the file has something at this path."""
        node = self.root
        for part in path:
            if node.entries is not None and part in node.entries:
                node = node.entries[str(part)][1]
            elif node.items is not None and isinstance(part, int) and part < len(node.items):
                node = node.items[part]
            else:
                return False
        return True

    def word(self, text: str, *path: str | int) -> YamlNode:
        """The node of one word in a list (or standing alone) at a path."""
        node = self.value(*path)
        return next((item for item in node.items or () if item.scalar == text), node)

    def words(self, *path: str | int) -> list[YamlNode]:
        """The words of a list (or one alone) at a path, read or not."""
        if not self.has(*path):
            return []
        node = self.value(*path)
        return [n for n in node.items or [node] if isinstance(n.scalar, str)]

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels, those with mistakes in them too."""
        return tuple(self.value("channels").entries or ()) if self.has("channels") else ()

    @property
    def items(self) -> list[tuple[str, int]]:
        """Every policy and every entry of `watch`, read or not: the list it is in and its index."""
        counts = {
            key: len(self.value(key).items or ()) if self.has(key) else 0
            for key in ("policies", "watch")
        }
        return [(key, index) for key, count in counts.items() for index in range(count)]
