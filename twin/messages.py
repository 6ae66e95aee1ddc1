"""Protobuf messages of REST-shaped documents: the same document is converted once.

A list call shows the same jobs and log entries again and again, and converting one takes longer than
all else that is done for it. What is kept is found by the document's content, so nobody need say that
a document has changed. Called by `rpc` for every answer.
"""

from __future__ import annotations

import marshal
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

_MOST_BYTES = 32 << 20  # of documents; chosen
_NO_REFERENCES = (
    2  # the format in which equal documents are equal bytes, however they share their parts
)


class Messages:
    """Messages by type and document, the last used up to `most_bytes` of documents.

    They are shared: whoever gets one may send it or copy it, and must not change it.
    """

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[Any, bytes], Any] = OrderedDict()
        self._bytes = 0

    def answer(self, document: Mapping[str, Any], kind: Any) -> Any:
        """A message of the type `kind`; a page is put together from those of its items."""
        if "nextPageToken" not in document:
            return self._message(document, kind)
        page = kind()
        for field in kind.DESCRIPTOR.fields:
            value = document.get(field.json_name)
            if field.message_type is not None and value:
                of = field.message_type._concrete_class  # noqa: SLF001  # protobuf has no other way from a field to its class
                getattr(page, field.name).extend([self._message(one, of) for one in value])
            elif value:
                setattr(page, field.name, value)
        return page

    def _message(self, document: Mapping[str, Any], kind: Any) -> Any:
        try:  # done at once: no thread changes the document meanwhile
            content = marshal.dumps(document, _NO_REFERENCES)
        except ValueError:  # holds what is only like a dict, a list or a text
            return json_format.ParseDict(dict(document), kind(), ignore_unknown_fields=True)
        key = (kind, content)
        with self._lock:
            known = self._held.get(key)
            if known is not None:
                self._held.move_to_end(key)
                return known
        made = json_format.ParseDict(marshal.loads(content), kind(), ignore_unknown_fields=True)
        with self._lock:
            if key not in self._held:
                self._held[key] = made
                self._bytes += len(content)
            while self._bytes > self._most_bytes and self._held:
                (_, dropped), _ = self._held.popitem(last=False)
                self._bytes -= len(dropped)
        return made
