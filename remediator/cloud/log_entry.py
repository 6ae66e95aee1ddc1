"""A log entry as the JSON of Google's REST API, read field by field.

A job's log has up to a thousand entries, most of them a text with its labels, and protobuf's own way
to JSON asks each field of each message for its type. What is not among the fields here goes that way.
Called by `logs` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from remediator.cloud.proto_json import to_json


def entry_json(entry: Any) -> dict[str, Any]:
    """What `proto_json.to_json` makes of a LogEntry."""
    found: dict[str, Any] = {}
    for field, value in entry.ListFields():
        read = _READERS.get(field.name)
        if read is None:
            return to_json(entry)
        found[field.json_name] = read(field, value)
    return found


def _as_it_is(_: Any, value: Any) -> Any:
    return value


def _time(_: Any, value: Any) -> str:
    text: str = value.ToJsonString()
    return text


def _name(field: Any, number: int) -> str | int:
    """The name of an enum's value; a number that is not known stays one."""
    return _names(field.enum_type).get(number, number)


@cache
def _names(kind: Any) -> Mapping[int, str]:
    return {value.number: value.name for value in kind.values}


def _labels(_: Any, value: Any) -> dict[str, str]:
    return dict(value)


def _resource(_: Any, value: Any) -> dict[str, Any]:
    return {
        field.json_name: _RESOURCE[field.name](field, held) for field, held in value.ListFields()
    }


def _message(_: Any, value: Any) -> dict[str, Any]:
    return to_json(value)


_Read = Callable[[Any, Any], Any]
_RESOURCE: Mapping[str, _Read] = {"type": _as_it_is, "labels": _labels}
_READERS: Mapping[str, _Read] = {
    "log_name": _as_it_is,
    "resource": _resource,
    "text_payload": _as_it_is,
    "json_payload": _message,
    "timestamp": _time,
    "receive_timestamp": _time,
    "severity": _name,
    "insert_id": _as_it_is,
    "labels": _labels,
    "trace": _as_it_is,
    "span_id": _as_it_is,
    "trace_sampled": _as_it_is,
}
