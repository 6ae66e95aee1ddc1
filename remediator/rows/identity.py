"""The ladder of keys: by what an output line is known to belong to an input row.

Owns which keys are tried in which order, and how each is read on either side. Whether a key is sound
is found by trying it (see `account`). Pure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from remediator.job.rows import CONTENT
from remediator.rows.canonical import PlainCodec, finite
from remediator.rows.shapes import as_message, extras_of, sent_row, unpacked, whole_row

KNOWN_KEYS = ("key", "custom_id", "recordId")
"""Names that batch interfaces give to a row's own key, the contract's order."""


class Identity(Protocol):
    """A rung of the ladder: the text by which a row is known, the same on both sides."""

    @property
    def key(self) -> str:
        """Its name in the account."""
        ...

    @property
    def is_unique(self) -> bool:
        """Whether two rows may not have the same."""
        ...

    def of_row(self, row: Any, codec: PlainCodec) -> bytes | None:
        """The text of an input row; None where it has none."""
        ...

    def of_record(self, record: Mapping[str, Any], codec: PlainCodec) -> bytes | None:
        """The text of an output line; None where it has none."""
        ...


class ByField(Struct, frozen=True):
    """The value of a field of the row. `as_key_field`: the output may call it `key`."""

    key: str
    as_key_field: bool = False

    @property
    def is_unique(self) -> bool:
        return True

    def of_row(self, row: Any, codec: PlainCodec) -> bytes | None:
        value = row.get(self.key) if isinstance(row, dict) else None
        if value is None and isinstance(row, dict):
            value = _inner(row, self.key)
        return _text(value, codec)

    def of_record(self, record: Mapping[str, Any], codec: PlainCodec) -> bytes | None:
        value = record.get(self.key)
        if value is None:
            value = _inner(record, self.key)
        if value is None and self.as_key_field and "instance" not in record:
            value = record.get("key")
        return _text(value, codec)


def _inner(holder: Mapping[str, Any], name: str) -> Any:
    for part in ("instance", "request"):
        inner = holder.get(part)
        if isinstance(inner, dict) and name in inner:
            return inner[name]
    return None


def _text(value: Any, codec: PlainCodec) -> bytes | None:
    """A key as text: 7, 7.0 and "7" are one, since a table or a column may have made one the other."""
    if value is None:
        return None
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    return codec.canonical(value)


class ByContent(Struct, frozen=True):
    """The row itself, as canonical JSON.

    `sent`: only what the model was sent, its fields aside. `as_message`: a request is read as the
    protobuf message that it is, so that `fileData: null` and `generation_config` make no difference.
    """

    sent: bool = False
    as_message: bool = False

    @property
    def key(self) -> str:
        return CONTENT

    @property
    def is_unique(self) -> bool:
        return False

    def of_row(self, row: Any, codec: PlainCodec) -> bytes | None:
        if isinstance(row, dict) and "request" in row:
            request = self._request(unpacked(row["request"]))
            row = request if self.sent else {**row, "request": request}
        return codec.canonical(row)

    def of_record(self, record: Mapping[str, Any], codec: PlainCodec) -> bytes | None:
        if "key" in record and "instance" not in record and len(whole_row(record)) == 1:
            return None  # a key_field is written in place of the instance
        row = sent_row(record) if self.sent else whole_row(record)
        return codec.canonical(self._request(row) if "request" in record and self.sent else row)

    def _request(self, request: Any) -> Any:
        return as_message(request) if self.as_message else request


def ladder(row: Any, record: Mapping[str, Any] | None, explicit: str | None) -> list[Identity]:
    """The rungs to try, by the first row and the first output line that names one (None: none does).

    A key must stand in every row, so that what the first does not have is no key.
    """
    if explicit is not None:
        return [ByField(explicit, as_key_field=True)]
    codec = PlainCodec()
    named = list(KNOWN_KEYS)
    if record is not None:
        named += [name for name in extras_of(record) if name not in named]
    fields = [
        one
        for one in map(ByField, named)
        if one.of_row(row, codec) is not None
        and (record is None or one.of_record(record, codec) is not None)
    ]
    content = [ByContent(), ByContent(sent=True)]
    if isinstance(row, dict) and "request" in row:
        content.append(ByContent(sent=True, as_message=True))
    return [*fields, *content]


# --- CSV: a row is its cells -----------------------------------------------------------------------


class ByColumn(Struct, frozen=True):
    """A column of a CSV file, which the model may have been sent as an array or as an object."""

    key: str
    header: tuple[str, ...]

    @property
    def is_unique(self) -> bool:
        return True

    def of_row(self, row: Any, codec: PlainCodec) -> bytes | None:
        index = self.header.index(self.key) if self.key in self.header else len(row)
        value = row[index] if index < len(row) else None
        return _text(_loose(value), codec) if value else None

    def of_record(self, record: Mapping[str, Any], codec: PlainCodec) -> bytes | None:
        value = record.get(self.key)
        instance = record.get("instance")
        if value is None and isinstance(instance, list) and len(instance) == len(self.header):
            value = instance[self.header.index(self.key)] if self.key in self.header else None
        if value is None and isinstance(instance, dict):
            value = instance.get(self.key)
        if value is None and instance is None:
            value = record.get("key")
        return None if value is None or value == "" else _text(_loose(value), codec)


class ByCells(Struct, frozen=True):
    """All cells of a CSV row in their order, those that are numbers by their value."""

    header: tuple[str, ...]

    @property
    def key(self) -> str:
        return CONTENT

    @property
    def is_unique(self) -> bool:
        return False

    def of_row(self, row: Any, codec: PlainCodec) -> bytes | None:
        return codec.canonical([_loose(cell) for cell in row])

    def of_record(self, record: Mapping[str, Any], codec: PlainCodec) -> bytes | None:
        if "instance" not in record and "key" in record:
            return None
        row = whole_row(record)
        cells = [row.get(name) for name in self.header] if isinstance(row, dict) else row
        if not isinstance(cells, list):
            return None
        return codec.canonical([_loose(cell) for cell in cells])


_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?")


def _loose(cell: Any) -> Any:
    """A cell by its value: the service makes numbers of what looks like one, and blanks of nulls."""
    if isinstance(cell, str) and _NUMBER.fullmatch(cell):
        return json.loads(cell, parse_float=finite)
    return "" if cell is None else cell


def csv_ladder(header: tuple[str, ...], explicit: str | None) -> list[Identity]:
    """The rungs for a CSV file with this header."""
    if explicit is not None:
        return [ByColumn(explicit, header)]
    known = [ByColumn(name, header) for name in KNOWN_KEYS if name in header]
    return [*known, ByCells(header)]
