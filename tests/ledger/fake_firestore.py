"""Firestore in a dictionary, as far as its store calls it: for thousands of interleavings.

The store itself, with what it keeps of what it saw, is the real one. The emulator holds it to Google's
behaviour elsewhere; here only its order of reads and commits is of interest.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

from google.api_core import exceptions as api


class FakeFirestore:
    """One database; any number of stores may call it at once."""

    def __init__(self) -> None:
        self._documents: dict[str, SimpleNamespace] = {}
        self._versions = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def rows(self) -> dict[tuple[str, str], str]:
        """Every body, by collection and key."""
        found = {}
        for name, one in self._documents.items():
            kind, _, key = name.rpartition("/")[2].partition(":")
            found[kind, key] = one.fields["body"].string_value
        return found

    def batch_get_documents(self, request: Mapping[str, Any], **_: Any) -> Iterator[Any]:
        none = SimpleNamespace(name="")
        with self._lock:
            found = [self._documents.get(name, none) for name in request["documents"]]
        return iter([SimpleNamespace(found=one) for one in found])

    def run_query(self, request: Mapping[str, Any], **_: Any) -> Iterator[Any]:
        query = request["structured_query"]
        where = query["where"]["field_filter"]
        path, operator, value = where["field"]["field_path"], where["op"], where["value"]
        ((kind, wanted),) = value.items()
        with self._lock:
            having = [one for one in self._documents.values() if path in one.fields]
        fits = {
            "EQUAL": lambda one: getattr(one.fields[path], kind) == wanted,
            "LESS_THAN_OR_EQUAL": lambda one: getattr(one.fields[path], kind) <= wanted,
        }[operator]
        found = [one for one in having if fits(one)]
        if "order_by" in query:
            found.sort(key=lambda one: getattr(one.fields[path], kind))
        return iter([SimpleNamespace(document=one) for one in found[: query["limit"]]])

    def commit(self, request: Mapping[str, Any], **_: Any) -> SimpleNamespace:
        with self._lock:
            for write in request["writes"]:
                self._check(write)
            return SimpleNamespace(write_results=[self._apply(one) for one in request["writes"]])

    def _check(self, write: Mapping[str, Any]) -> None:
        name = write.get("delete") or write["update"]["name"]
        stands = self._documents.get(name)
        wanted = write.get("current_document") or {}
        if wanted.get("exists") is False and stands is not None:
            raise api.AlreadyExists(name)
        if "update_time" in wanted and (
            stands is None or stands.update_time != wanted["update_time"]
        ):
            raise api.FailedPrecondition(name)

    def _apply(self, write: Mapping[str, Any]) -> SimpleNamespace:
        version = next(self._versions)
        if "delete" in write:
            self._documents.pop(write["delete"], None)
        else:
            name = write["update"]["name"]
            fields = {k: SimpleNamespace(**v) for k, v in write["update"]["fields"].items()}
            self._documents[name] = SimpleNamespace(name=name, fields=fields, update_time=version)
        return SimpleNamespace(update_time=version)
