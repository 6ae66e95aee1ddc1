"""JSON as its standard has it, and logs whose first lines look like JSON and are none.

Owns the strictness (no NaN, no halves of characters), and how prose is told from JSON, or from settings, that
is cut off or damaged. Must not judge what a value is of: that is `documents`, which calls this. Pure.
"""

from __future__ import annotations

import json
import math
from typing import Any

from remediator.domain.late_pattern import late_pattern

# `[2026-11-29 09:46:38 +0000] [7] [INFO] …`, `[E::main] …`: a log's line, and no list.
_BRACKETED = late_pattern(r"\[[^\[\]{}\"]{1,80}\]")
# As INI and TOML write a setting below `[section]`.
_SETTING = late_pattern(r"[A-Za-z_][\w.-]{0,80}[ \t]{0,20}=")


def parse_json(text: str | bytes) -> Any:
    """JSON as its standard has it: no NaN, no infinity, no halves of characters; else ValueError."""
    try:
        return _whole(json.loads(text, parse_constant=_no_number, parse_float=_finite))
    except RecursionError as err:
        raise ValueError(str(err)) from err


def _no_number(word: str) -> float:
    msg = f"{word} is no number"
    raise ValueError(msg)


def _finite(text: str) -> float:
    found = float(text)
    return found if math.isfinite(found) else _no_number(text[:20])


def _whole(value: Any) -> Any:
    """The value without halves of characters: ASCII has none, and is most of what is read."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode(errors="replace").decode()
    if isinstance(value, dict):
        return {
            key if key.isascii() else _whole(key): item
            if isinstance(item, str) and item.isascii()
            else _whole(item)
            for key, item in value.items()
        }
    return [_whole(item) for item in value] if isinstance(value, list) else value


def is_bracketed_log(text: str) -> bool:
    """Whether its first line begins with a bracket that it closes, and goes on or has lines below it that
    are no settings."""
    first, _, below = text.partition("\n")
    closed = _BRACKETED.match(first)
    if closed is None:
        return False
    follows = below.strip()
    return bool(first[closed.end() :].strip() or (follows and not _SETTING.match(follows)))


def is_log_of_objects(text: str) -> bool:
    """Whether its first line is an object by its braces, and more follow: a logger may leave its colours as they are."""
    first, _, below = text.strip().partition("\n")
    return bool(below) and first.startswith('{"') and first.rstrip().endswith("}")


def first_value(text: str) -> Any:
    """The JSON value at a text's start, which may be of several lines; None without one."""
    return _decoded(text)[0]


def _decoded(text: str) -> tuple[Any, int]:
    """The value at a text's start and where it ends; None and 0 without one. Blanks stand before neither."""
    try:
        return _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        return None, 0


_DECODER = json.JSONDecoder()
# How a line that is a part of JSON, or of what is written like it, begins.
_JSON_MARKS = ("{", "}", "[", "]", '"', "'", ",")


def has_plain_line(text: str) -> bool:
    """Whether lines of prose follow the objects and lists, JSON's or of any other kind, that a text begins with.

    What is not closed is cut off or damaged, and its lines are none; nor are settings below `[section]`.
    """
    _, end = _decoded(text)
    lines = (line.strip() for line in text[end:].split("\n")[1 if end else 0 :])
    depth = 0
    for line in filter(None, lines):
        if depth == 0 and not line.startswith(_JSON_MARKS):
            return not (text.startswith("[") and _SETTING.match(line))
        if depth == 0 and _is_json(line):
            continue
        depth += line.count("{") + line.count("[") - line.count("}") - line.count("]")
    return False


def _is_json(line: str) -> bool:
    try:
        parse_json(line)
    except ValueError:
        return False
    return True
