"""What a line of a batch's output says: whose row it is, and whether it is a result or a failure.

Owns the shapes of output and error lines (facts of Gemini's and custom models' batches, of BigQuery
tables written out as JSONL). Must not know where lines come from. Pure; called by `account`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from remediator.domain.numbers import is_whole
from remediator.job.rows import code_named, may_pass

DONE, NEVER, PASSING = range(3)
"""What became of a row: a result, a failure that stays one, a failure that may pass."""

_ANSWERS = frozenset({"prediction", "predictions", "explanation", "explanations"})
_WRITTEN = _ANSWERS | {
    "status", "processed_time", "processedTime", "response", "error", "errors", "error_code",
    "error_message", "errors_code", "errors_message", "_vertex_row_id",
}  # fmt: skip
"""Fields that the service writes beside a row; `_vertex_row_id` is its own number and no key."""
_FAULTS = frozenset(
    {"error", "errors", "error_code", "error_message", "errors_code", "errors_message"}
)
_FINE = frozenset({"", "ok", "success", "succeeded", "200", "0"})
_NO_WORDS = "neither a result nor an error"
_LONGEST_MESSAGE = 2_000  # characters that are kept of a message; chosen

_TUPLE = re.compile(
    r"^\(\s*(?P<message>(['\"]).*\2)\s*,\s*(?P<count>\d{1,12})\s*,?\s*\)\s*,?$", re.DOTALL
)


class RowOutcome(Struct, frozen=True):
    """What one line says of its row: `state`, and the message where it failed."""

    state: int
    message: str = ""


class Unnamed(Struct, frozen=True):
    """A line that counts failures without saying whose: `('message', 64)`."""

    message: str
    count: int

    @property
    def may_pass(self) -> bool:
        return may_pass(self.message)


_RESULT = RowOutcome(DONE)


def outcome_of(record: Mapping[str, Any], *, among_errors: bool) -> RowOutcome | None:
    """What the line says; None where it says neither a result nor an error.

    `among_errors`: the file holds failures only.
    """
    names = record.keys()
    has_result = record.get("response") is not None or not names.isdisjoint(_ANSWERS)
    if has_result and not among_errors and names.isdisjoint(_FAULTS) and not record.get("status"):
        return _RESULT  # by far the most lines; what follows would say the same
    gemini = "request" in record or "status" in record or "response" in record
    said, code = _error(record)
    if said or code not in {None, 0}:
        has_answer = not among_errors and not _ANSWERS.isdisjoint(record)
        if not has_answer or record.get("status"):
            message = (said or f"code {code}")[:_LONGEST_MESSAGE]
            passing = may_pass(message, code, gemini=gemini)
            return RowOutcome(PASSING if passing else NEVER, message)
    if has_result:
        return _RESULT
    if among_errors:
        return RowOutcome(NEVER, _NO_WORDS)
    if any(name.startswith("predict") for name in record):  # columns of a BigQuery table
        return _RESULT
    return RowOutcome(NEVER, _NO_WORDS) if "status" in record else None


def _error(record: Mapping[str, Any]) -> tuple[str, int | None]:
    """(message, code) of the failure that the line tells; empty and None where it tells none."""
    for name in ("error", "errors", "status"):
        value = record.get(name)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, str) and value.strip().lower() not in _FINE:
            return value, _code_within(value)
        if is_whole(value) and value not in {0, 200}:
            return f"code {value}", value
        if isinstance(value, Mapping) and value:
            message = value.get("message")
            code = code_named(value.get("code", value.get("status")))
            if message or code not in {None, 0, 200}:
                return str(message or ""), code
    for prefix in ("error_", "errors_"):
        message, code = record.get(f"{prefix}message"), code_named(record.get(f"{prefix}code"))
        if message or code:
            return str(message or ""), code
    return "", None


def _code_within(text: str) -> int | None:
    """The code of a status that stands as JSON in a string, bare or under `error`."""
    begin = text.find("{")
    if begin < 0:
        return None
    try:
        body = json.loads(text[begin:])
    except (ValueError, RecursionError):
        return None
    inner = body.get("error", body) if isinstance(body, dict) else None
    return code_named(inner.get("code")) if isinstance(inner, dict) else None


def unnamed_of(line: bytes) -> Unnamed | None:
    """A line of `prediction.errors_stats`; None where it is none."""
    try:
        found = _TUPLE.match(line.decode())
    except UnicodeDecodeError:
        return None
    if not found:
        return None
    try:
        message = ast.literal_eval(found["message"])
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        message = found["message"][1:-1]
    return Unnamed(str(message)[:_LONGEST_MESSAGE], int(found["count"]))


# --- whose row it is -------------------------------------------------------------------------------


def extras_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Fields beside instance, request and what the service writes: the row's own that came back."""
    return {
        name: value
        for name, value in record.items()
        if name not in _WRITTEN and name not in {"instance", "request"} and name[:9] != "predicted"
    }


def whole_row(record: Mapping[str, Any]) -> Any:
    """The input row that an output line repeats, with all of its fields."""
    if "instance" in record:
        instance, more = record["instance"], extras_of(record)
        return {**instance, **more} if more and isinstance(instance, dict) else instance
    row = extras_of(record)
    if "request" in record:
        row["request"] = unpacked(record["request"])
    return row


def sent_row(record: Mapping[str, Any]) -> Any:
    """What the model was sent: the request or the instance alone; all of it where neither stands."""
    if "request" in record:
        return unpacked(record["request"])
    return record["instance"] if "instance" in record else whole_row(record)


def unpacked(value: Any) -> Any:
    """A request that a BigQuery column holds as text."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


_FREE_FORM = frozenset(
    {"args", "labels", "properties", "response", "responseSchema", "responseJsonSchema"}
)
"""Parts of a Gemini request whose keys are the user's own (maps, schemas and structs)."""


def as_message(value: Any) -> Any:
    """A request as protobuf's JSON writes it: keys in camelCase, and no field that is null.

    The service may write a request back in this form. What stands in free-form parts is kept as it is.
    """
    if isinstance(value, dict):
        named = ((_camel(name), item) for name, item in value.items() if item is not None)
        return {name: item if name in _FREE_FORM else as_message(item) for name, item in named}
    if isinstance(value, list):
        return [as_message(item) for item in value]
    return value


_WORD_AFTER = re.compile(r"_([a-z0-9])")


def _camel(name: str) -> str:
    return _WORD_AFTER.sub(lambda found: found[1].upper(), name)
