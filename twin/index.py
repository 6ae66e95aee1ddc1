"""Finds the few documents that a filter can be true for, so that a storm of reads stays quick.

Only a shortcut: what it leaves out cannot match, and what it keeps is still asked in full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from twin.grammar import Call, Combined, Compare, Node

Document = Mapping[str, Any]
Keys = Callable[[Document], Iterable[tuple[str, str]]]


class Index:
    """Documents by some of their fields; `keys` names (path, value) pairs of a document.

    `names`: whether `keys` would name a path where a document has it; such a path that no document
    has is then known to match none. Not guarded: the store that owns it holds its lock.
    """

    def __init__(self, keys: Keys, names: Callable[[str], bool] = lambda _: False) -> None:
        self._keys = keys
        self._names = names
        self._all: list[Document] = []
        self._by: dict[str, dict[str, list[int]]] = {}

    def add(self, document: Document) -> None:
        """One document more."""
        place = len(self._all)
        self._all.append(document)
        for path, value in self._keys(document):
            self._by.setdefault(path, {}).setdefault(value.lower(), []).append(place)

    def candidates(self, tree: Node | None) -> list[Document]:
        """Every document that may match, in the order in which they came."""
        places = self._places(tree)
        return list(self._all) if places is None else [self._all[n] for n in sorted(places)]

    def _places(self, node: Node | None) -> set[int] | None:
        """None: no part of the filter is indexed."""
        if isinstance(node, Combined):
            found = [self._places(part) for part in node.parts]
            known = [places for places in found if places is not None]
            if node.op == "AND" and known:
                return min(known, key=len)
            if node.op == "OR" and len(known) == len(found):
                return set().union(*known)
            return None
        if isinstance(node, Call) and node.path and node.name == "one_of":
            return self._equal(node.path, node.arguments)
        if isinstance(node, Compare) and node.op == "=":
            return self._equal(node.path, (node.value,))
        if isinstance(node, Compare) and node.op == ":" and node.value != "*":
            values = self._values(node.path)
            wanted = node.value.lower()
            hits = [places for value, places in (values or {}).items() if wanted in value]
            return None if values is None else {place for places in hits for place in places}
        return None

    def _values(self, path: tuple[str, ...]) -> dict[str, list[int]] | None:
        name = ".".join(path)
        return self._by.get(name, {} if self._names(name) else None)

    def _equal(self, path: tuple[str, ...], wanted: Iterable[str]) -> set[int] | None:
        values = self._values(path)
        if values is None:
            return None
        return {place for one in wanted for place in values.get(one.lower(), ())}
