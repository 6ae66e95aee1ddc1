"""JSON read and written so that equal values are equal bytes.

Owns what "the same row" means: keys sorted, numbers by their value (1.0 is 1), escapes undone; nothing
else is lost, so that whole numbers beyond 64 bits stay apart. Uses orjson where it is installed and
exact, else the standard library. Pure; called by the room's other modules.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from typing import Any

try:
    import orjson
except ImportError:  # the function does without
    _HAS_ORJSON = False
else:
    _HAS_ORJSON = True
    _OPTIONS = orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_SUBCLASS  # `NoNumber` is no text

DIGEST_BYTES = 16  # two of 10^9 rows collide with a probability of 10^-21

_WHOLE = re.compile(rb"\.0(?:[,\]}]|$)|(?:^|[:\[,])-?\d+(?:\.\d+)?e\+?\d+(?:[,\]}]|$)")
_EXACT_BELOW = 2.0**63  # orjson reads whole numbers beyond 64 bits as floats
_MARK = "\ud800"  # half a character: marks what JSON has no number for, and texts that begin so


class Inexact(Exception):
    """A number is too large for the fast reader: the line is read again by `PlainCodec`."""


class PlainCodec:
    """The standard library's JSON, exact for every number."""

    def parse(self, line: bytes) -> Any:
        """The line's value; raises ValueError where it is no JSON in UTF-8."""
        try:
            return json.loads(line.decode(), parse_constant=_constant, parse_float=finite)
        except RecursionError:
            msg = "nested too deeply"
            raise ValueError(msg) from None

    def canonical(self, value: Any) -> bytes:
        """The one text of this value, UTF-8; raises ValueError where it is nested too deeply."""
        try:
            text = json.dumps(
                _normal(value, exact=True),
                sort_keys=True,
                separators=(",", ":"),
                ensure_ascii=False,
            )
        except RecursionError:
            msg = "nested too deeply"
            raise ValueError(msg) from None
        return text.encode("utf-8", "surrogatepass")


class FastCodec(PlainCodec):
    """orjson, with the standard library for what it does not read or write."""

    def parse(self, line: bytes) -> Any:
        try:
            return orjson.loads(line)
        except ValueError:  # NaN, an escape of half a character, or no JSON at all
            return super().parse(line)

    def canonical(self, value: Any) -> bytes:
        """As `PlainCodec`; raises Inexact where the line must be read again by that one."""
        try:
            text = orjson.dumps(value, option=_OPTIONS)
            has_whole = b".0" in text or b"e1" in text or b"e2" in text or b"e3" in text
            if (has_whole or b"e+" in text) and _WHOLE.search(text):
                text = orjson.dumps(_normal(value, exact=False), option=_OPTIONS)
        except (TypeError, RecursionError):  # half a character, beyond 64 bits, beyond 254 levels
            return super().canonical(value)
        return text


def best_codec() -> PlainCodec:
    """The fastest that is installed."""
    return FastCodec() if _HAS_ORJSON else PlainCodec()


def digest(text: bytes) -> bytes:
    """The text's hash, DIGEST_BYTES long."""
    return hashlib.blake2b(text, digest_size=DIGEST_BYTES).digest()


class NoNumber(str):
    """A number beyond all doubles (`1e400`) or none (`NaN`), as it was written: equal to itself alone."""

    __slots__ = ()


def _constant(name: str) -> NoNumber:
    return NoNumber(name)


def finite(text: str) -> float | NoNumber:
    """The number that the text is."""
    number = float(text)
    return number if math.isfinite(number) else NoNumber(text)


def _normal(value: Any, *, exact: bool) -> Any:
    """With every whole float as an int, and what is no number apart from each text."""
    if isinstance(value, str) and exact:
        marked = isinstance(value, NoNumber) or value.startswith(_MARK)
        return f"{_MARK}{'' if isinstance(value, NoNumber) else _MARK}{value}" if marked else value
    if isinstance(value, float):
        if not value.is_integer():
            return value
        if not exact and abs(value) >= _EXACT_BELOW:
            raise Inexact
        return int(value)
    if isinstance(value, dict):
        return {key: _normal(item, exact=exact) for key, item in value.items()}
    if isinstance(value, list):
        return [_normal(item, exact=exact) for item in value]
    return value
