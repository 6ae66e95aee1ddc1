"""Secrets in JSON: by key, by the variable beside its value, by flag and command in a list. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from remediator.redaction.commands import named_flag, secrets_of
from remediator.redaction.names import Named, named, word_set
from remediator.redaction.values import MARK, is_plain

_NAME_KEYS = (
    "name",
    "key",
    "header",
    "variable",
    "field",
    "parameter",
    "param",
    "Name",
    "Key",
    "envVar",
)
_VALUE_KEYS = word_set(
    "value Value val stringValue string_value string defaultValue default_value default constant constantValue"
    " runtimeValue content"
)
_SMALLEST = 1000  # a number under a password's name that is one: four digits and more, chosen


def redact_document(value: Any, redacted: Callable[[str], str]) -> Any:
    """The same JSON; `redacted` is what is done to a text that stands under no secret's name."""
    if isinstance(value, str):
        return redacted(value)
    if isinstance(value, Mapping):
        return _mapping(value, redacted)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return _sequence(value, redacted)
    return value


def _mapping(value: Mapping[Any, Any], redacted: Callable[[str], str]) -> dict[str, Any]:
    variable = next(
        (
            value[key]
            for key in _NAME_KEYS
            if isinstance(value.get(key), str) and value.keys() & _VALUE_KEYS
        ),
        "",
    )
    of_variable = named(variable) if variable else None
    account = isinstance(value.get("username"), str) and isinstance(
        value.get("key"), str
    )  # kaggle.json
    shown: dict[str, Any] = {}
    for key, inner in value.items():
        name = str(key)
        under = named(name)
        if under is None and of_variable is not None and name in _VALUE_KEYS:
            under, name = of_variable, variable
        if account and key == "key":
            under = Named.KEY
        shown[redacted(name if key is None else str(key))] = (
            redact_document(inner, redacted)
            if under is None
            else _under(inner, under, name, redacted)
        )
    return shown


def _under(value: Any, under: Named, name: str, redacted: Callable[[str], str]) -> Any:
    """What stands under a secret's name: a text, a number, a list of them, or a value's holder."""
    if isinstance(value, str):
        return (
            value
            if not value
            else redacted(value)
            if is_plain(value, under, name, quoted=True)
            else MARK
        )
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return MARK if under is Named.PASSWORD and abs(value) >= _SMALLEST else value
    if isinstance(value, Mapping):
        return {
            redacted(str(key)): _under(inner, under, name, redacted)
            if key in _VALUE_KEYS and named(str(key)) is None
            else redact_document({key: inner}, redacted)[redacted(str(key))]
            for key, inner in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        if all(isinstance(inner, str) for inner in value):
            return [_under(inner, under, name, redacted) for inner in value]
        return _sequence(value, redacted)
    return value


def _sequence(value: Sequence[Any], redacted: Callable[[str], str]) -> list[Any]:
    shown = [redact_document(inner, redacted) for inner in value]
    words = [inner if isinstance(inner, str) else "" for inner in value]
    for place, flag in enumerate(words[:-1]):
        following = words[place + 1]
        is_flag = flag.startswith("-") and "=" not in flag
        is_header = len(words) == 2 and place == 0 and flag != flag.lower()  # noqa: PLR2004  # ["X-Api-Key", "…"]
        if not following or following.startswith("--") or not (is_flag or is_header):
            continue
        under = named_flag(flag, following)
        if under is not None and not is_plain(following, under, flag, quoted=True):
            shown[place + 1] = MARK
    for start, program in enumerate(words):
        if not program or " " in program or len(program) > 60 or program.startswith("-"):  # noqa: PLR2004  # a program's name
            continue
        for place, offset, length in secrets_of(program, words[start + 1 :]):
            at = start + 1 + place
            word = words[at]
            shown[at] = f"{word[:offset]}{MARK}{redacted(word[offset + length :])}"
    return shown
