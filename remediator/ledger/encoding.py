"""Records as the JSON of documents, and back; what earlier versions wrote is read, what is damaged named.

Owns the form of each field, by its type, and what becomes of a document that cannot be read. Pure; the
verbs of the ledger call it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, cast, get_type_hints

from msgspec import Struct
from msgspec.structs import replace

from remediator.domain import (
    Attempt,
    Change,
    Json,
    PermanentError,
    RemediatorError,
    Resume,
    parse_time,
    rfc3339,
)
from remediator.domain.numbers import is_number, is_whole
from remediator.ledger.records import (
    Approval,
    ApprovalChoice,
    CancelReason,
    Claim,
    Conclusion,
    Incident,
    Reservation,
    Stage,
    T,
)


def to_json(record: Any) -> dict[str, Any]:
    """A record as JSON: times as RFC 3339, nested records likewise."""
    return {
        stored: _encode(getattr(record, name))
        for name, stored in _stored_names(cast("Any", type(record)))
    }


@functools.cache
def _stored_names(kind: Any) -> tuple[tuple[str, str], ...]:
    """A record's fields, each with its name in documents, which stays where the field is renamed."""
    return tuple(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))


def _encode(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in _AS_IN_JSON:  # most of them
        return value
    if kind is datetime:
        return rfc3339(value)
    if kind is tuple or kind is list:
        return [item if type(item) in _AS_IN_JSON else _encode(item) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, (Change, Attempt)):
        return value.to_json()
    if isinstance(value, Struct):
        return to_json(value)
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Mapping):
        return {str(key): _encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(item) for item in value]
    return value


_AS_IN_JSON = frozenset({str, int, float, bool})


def _changes(value: Any) -> tuple[Change, ...]:
    return tuple(Change.parse(item) for item in value or ())


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value or ())


def _stage(value: Any) -> Stage:
    """A stage of a later version means: read the job again and go on from there."""
    return Stage(value) if value in frozenset(Stage) else Stage.FOLLOWED


def _conclusion(value: Any) -> Conclusion:
    return Conclusion(value) if value in frozenset(Conclusion) else Conclusion.NONE


def _approval_choice(value: Any) -> ApprovalChoice:
    return ApprovalChoice(value) if value in frozenset(ApprovalChoice) else ApprovalChoice.NONE


def _cancel_reason(value: Any) -> CancelReason:
    return CancelReason(value) if value in frozenset(CancelReason) else CancelReason.NONE


def reservations_of(value: Any) -> tuple[Reservation, ...]:
    """What was set aside; the first ledgers named counters alone, whose amounts nobody knows."""
    kept = (item for item in value or () if isinstance(item, Mapping))
    return tuple(from_json(Reservation, item) for item in kept)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def _number(value: Any) -> float:
    if not is_number(value):
        raise TypeError(value)
    return float(value)


def _whole(value: Any) -> int:
    if not is_whole(value):
        raise TypeError(value)
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _moment(value: Any) -> datetime:
    found = parse_time(value)
    if found is None:
        raise ValueError(value)
    return found


def _object(value: Any) -> Json:
    if not isinstance(value, Mapping):
        raise TypeError(value)
    return value


def _or_none(decode: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else decode(value)


_DECODERS: Mapping[Any, Callable[[Any], Any]] = {
    str: _text,
    float: _number,
    int: _whole,
    bool: _truth,
    datetime: _moment,
    Json: _object,
    float | None: _or_none(_number),
    int | None: _or_none(_whole),
    datetime | None: _or_none(_moment),
    Stage: _stage,
    Conclusion: _conclusion,
    CancelReason: _cancel_reason,
    ApprovalChoice: _approval_choice,
    tuple[Change, ...]: _changes,
    tuple[Attempt, ...]: lambda value: tuple(Attempt.parse(item) for item in value or ()),
    tuple[Reservation, ...]: reservations_of,
    tuple[str, ...]: _texts,
    tuple[Json, ...]: lambda value: tuple(_object(item) for item in value or ()),
    Resume: Resume.parse,
    Claim | None: lambda value: from_json(Claim, value) if value else None,
    Approval | None: lambda value: from_json(Approval, value) if value else None,
}
"""How a field is read, by its type: its name says nothing."""


@functools.cache
def _decoders_of(kind: Any) -> tuple[tuple[str, str, Callable[[Any], Any]], ...]:
    """A record's fields: name, name in documents, and how its value is read."""
    types = get_type_hints(kind)
    return tuple((name, stored, _DECODERS[types[name]]) for name, stored in _stored_names(kind))


def from_json(kind: type[T], body: Json) -> T:
    """The record that `to_json` wrote; fields of later versions are left out, of earlier defaulted.

    Raises Unreadable for what no version can have written.
    """
    values: dict[str, Any] = {}
    name = ""
    try:
        for name, stored, decoded in _decoders_of(cast("Any", kind)):
            if stored in body:
                values[name] = decoded(body[stored])
        return kind(**values)
    except (TypeError, ValueError, AttributeError, RemediatorError) as err:
        if isinstance(err, UnreadableDocument):
            raise
        named = str(body.get("key") or body.get("id") or "")
        raise UnreadableDocument(
            kind.__name__.lower(), named, f"its field {name} makes no sense"
        ) from err


# --- documents of earlier versions -----------------------------------------------------------------

_OLD_NO_MACHINE = "it waited an hour for a machine in vain"
_OLD_NO_END = "not terminal after 24 hours"


def as_now(incident: Incident) -> Incident:
    """What an earlier version said in a sentence alone, as this one keeps it.

    A job that still ran was once concluded after a day, which was no end; why an attempt was cancelled
    stood in `reason`.
    """
    if incident.reason == _OLD_NO_END:
        return replace(incident, stage=Stage.FOLLOWED, conclusion=Conclusion.NONE, reason="")
    if incident.reason == _OLD_NO_MACHINE and incident.cancel_reason is CancelReason.NONE:
        return replace(incident, cancel_reason=CancelReason.NO_MACHINE)
    return incident


# --- documents that cannot be read -----------------------------------------------------------------


class UnreadableDocument(PermanentError):
    """A document that no version of ours can have written; `collection` and `key` name it."""

    def __init__(self, collection: str, key: str, why: str) -> None:
        super().__init__(f"the ledger's document {collection}:{key} cannot be read: {why}")
        self.collection = collection
        self.key = key


class BrokenDocument(Mapping[str, Any]):
    """A document that cannot be read, in place of its body: to ask it for anything raises Unreadable.

    So that it is there (whoever only asks whether a job is known learns that), is taken for nothing
    else, and hides no other document. `text` is what stands in it.
    """

    def __init__(
        self, collection: str, key: str, text: str, why: str = "it is not valid JSON"
    ) -> None:
        self.collection, self.key, self.text, self.why = collection, key, text, why

    def _unreadable(self) -> UnreadableDocument:
        return UnreadableDocument(self.collection, self.key, self.why)

    def __getitem__(self, key: str) -> Any:
        raise self._unreadable()

    def __iter__(self) -> Iterator[str]:
        raise self._unreadable()

    def __len__(self) -> int:
        raise self._unreadable()


def read_body(collection: str, key: str, text: str) -> Json:
    """What a store keeps as text; Broken where that is no JSON object."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return BrokenDocument(collection, key, text)
    return found if isinstance(found, dict) else BrokenDocument(collection, key, text)
