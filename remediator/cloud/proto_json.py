"""The door between our values and Google's forms: protobuf messages, and strings in filters.

Inside the house a job, a log entry or a time series is JSON as Google's REST API writes it
(camelCase, enum names, 64-bit integers as strings, durations as "3600s"). Only the hands of this
folder call it. It must not know what any message means.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from remediator.domain import InvalidInput, Json, PermanentError
from remediator.domain.late_pattern import late_pattern

_EXACT_INTEGERS = 2.0**53  # beyond it a float is no exact whole number
_CONTROL = late_pattern(r"[\x00-\x1f\x7f]")


def to_json(message: Any) -> dict[str, Any]:
    """The message (protobuf, or proto-plus around one) as REST-shaped JSON.

    What cannot be written as JSON never costs the rest of the message: a packed value of a type
    that is not known here keeps its `@type` alone, and a NaN becomes the text "NaN".
    """
    from google.protobuf import json_format

    raw = _bare(message)
    try:
        body = json_format.MessageToDict(raw)
    except (TypeError, ValueError, json_format.Error, _decode_error()):
        adjusted = type(raw)()
        adjusted.CopyFrom(raw)
        _repair_text(adjusted)
        body = json_format.MessageToDict(adjusted)
    whole: dict[str, Any] = _whole_numbers(body)
    return whole


def from_json(body: Json, message: Any) -> Any:
    """The message filled from REST-shaped JSON; raises PermanentError naming the field that does not fit.

    An unknown field is refused, as Vertex's own REST door refuses it: dropping it in silence would
    create another job than the one that was planned.
    """
    from google.protobuf import json_format

    try:
        json_format.ParseDict(dict(body), _bare(message))
    except (json_format.ParseError, TypeError, ValueError) as err:
        first_line = str(err).splitlines()[0] if str(err) else type(err).__name__
        msg = f"the API version in use does not take this: {first_line}"
        raise PermanentError(msg) from err
    return message


def quoted(value: str) -> str:
    """The value as a string of Google's filter languages; raises InvalidInput for control characters."""
    if _CONTROL.search(value):
        msg = f"a value with control characters cannot be searched for: {value[:100]!r}"
        raise InvalidInput(msg)
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _bare(message: Any) -> Any:
    """The protobuf message inside a proto-plus one."""
    return type(message).pb(message) if hasattr(type(message), "pb") else message


def _decode_error() -> type[Exception]:
    from google.protobuf.message import DecodeError

    found: type[Exception] = DecodeError
    return found


def _repair_text(message: Any) -> None:
    """Replaces, in place, what JSON cannot hold."""
    from google.protobuf import json_format, struct_pb2

    kind = message.DESCRIPTOR.full_name
    if kind == "google.protobuf.Any":
        try:
            json_format.MessageToDict(message)
        except (TypeError, ValueError, json_format.Error, _decode_error()):
            kept = struct_pb2.Struct()
            kept["unreadableType"] = message.type_url
            message.Pack(kept)
        return
    if kind == "google.protobuf.Value" and message.WhichOneof("kind") == "number_value":
        if not math.isfinite(message.number_value):
            message.string_value = {math.inf: "Infinity", -math.inf: "-Infinity"}.get(
                message.number_value, "NaN"
            )
        return
    for inner in _inner_messages(message):
        _repair_text(inner)


def _inner_messages(message: Any) -> Iterator[Any]:
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            values = field.message_type.fields_by_name["value"]
            if values.message_type is not None:
                yield from (value[key] for key in list(value))
        elif hasattr(value, "DESCRIPTOR"):
            yield value
        else:
            yield from value


def _whole_numbers(value: Any) -> Any:
    """5.0 -> 5 throughout, as REST writes numbers of a Struct (protobuf holds them as doubles).

    What `MessageToDict` has just made is changed in place: nobody else holds it.
    """
    kind = type(value)
    if kind is dict:
        for key, item in value.items():
            if type(item) in _HOLDS_NUMBERS:
                value[key] = _whole_numbers(item)
    elif kind is list:
        for index, item in enumerate(value):
            if type(item) in _HOLDS_NUMBERS:
                value[index] = _whole_numbers(item)
    elif kind is float and value.is_integer() and abs(value) < _EXACT_INTEGERS:
        return int(value)
    return value


_HOLDS_NUMBERS = (float, dict, list)
