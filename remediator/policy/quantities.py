"""Numbers of the policy file: whole and decimal ones, durations, factors, sizes of memory and disks.

Each reads one YAML value or says in a sentence what was expected and what was probably meant. Knows
no keys. Called by `values`, which gives each its rule as JSON Schema.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

from pydantic_core import PydanticCustomError

from remediator.domain.late_pattern import late_pattern
from remediator.domain.numbers import is_number, is_whole
from remediator.domain.time_words import UNIT_SECONDS, seconds_of
from remediator.policy.steps import MOST_DISK_GB
from remediator.policy.suggestions import did_you_mean, shown, wrong

_LONGEST = timedelta(days=366)
SIZE = r"[0-9]{1,6}(\.[0-9]{1,3})?(GB|GiB|TB|TiB)"
"""`200GB`, `256GiB`, `2TiB`."""

_GIB = {"GB": 1000**3 / 1024**3, "GiB": 1.0, "TB": 1000**4 / 1024**3, "TiB": 1024.0}
_DISK_GB = {"GB": 1.0, "GiB": 1.0, "TB": 1000.0, "TiB": 1024.0}
_SMALLEST_DISK_GB = 10  # Compute Engine's own, of a boot disk


# --- plain numbers ------------------------------------------------------------------------------

_WRITTEN = late_pattern(r"(\$?)\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(%|\$|USD)?")


def _as_number(value: object, *, share: bool = False) -> str:
    """`; did you mean `5`?` for a number in quotes, one with its unit, or a share in per cent."""
    match = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    number = float(match[2]) if match else value
    if not is_number(number):
        return ""
    if share and 2 <= number <= 100:  # noqa: PLR2004  # per cent
        number /= 100
    elif match is None or match[3] == "%":
        return ""
    quoted = match is not None and value == match[2] and number == float(match[2])
    return f"; did you mean `{number:.12g}`{' without quotes' if quoted else ''}?"


def integer(least: int, most: int = 1_000_000) -> Callable[[object], int]:
    """A whole number between the two."""

    def check(value: object) -> int:
        if not is_whole(value):
            msg = f"expected a whole number, got {shown(value)}{_as_number(value)}"
            raise wrong(msg)
        if not least <= value <= most:
            msg = f"{shown(value)} is out of range: from {least} to {most}"
            raise wrong(msg)
        return value

    return check


def number(least: float, most: float, what: str) -> Callable[[object], float]:
    """A number between the two; `what` says in words which."""

    def check(value: object) -> float:
        meant = _as_number(value, share=most == 1)
        if not is_number(value):
            msg = f"expected {what}, got {shown(value)}{meant}"
            raise wrong(msg)
        if not least <= value <= most:  # also refuses .nan
            msg = f"{shown(value)} is out of range: {what}{meant}"
            raise wrong(msg)
        return float(value)

    return check


def integer_or(word: str, least: int, most: int) -> Callable[[object], int | str]:
    """A whole number between the two, or the word."""
    whole = integer(least, most)

    def check(value: object) -> int | str:
        if value == word:
            return word
        if isinstance(value, str):
            msg = f"expected a whole number or `{word}`, got {shown(value)}{did_you_mean(value, [word])}"
            raise wrong(msg)
        return whole(value)

    return check


def times(value: object) -> float:
    """`3x` as 3.0."""
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,4}(\.[0-9]{1,3})?)x", value)):
        factor = float(match[1])
        if 1 <= factor <= 1000:  # noqa: PLR2004  # below 1x a job could never finish as it did
            return factor
    spoken = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)\s*(x|times)?", str(value), re.IGNORECASE)
    meant = f"; did you mean `{spoken[1]}x`?" if spoken and float(spoken[1]) >= 1 else ""
    msg = f"expected a factor such as 3x (1x to 1000x), got {shown(value)}{meant}"
    raise wrong(msg)


# --- durations ----------------------------------------------------------------------------------


def parse_duration(value: object) -> timedelta:
    """`10m`, `0.5s`, `6h`, `1d`, `2h30m` (also `250ms`) as a timedelta, above zero and at most 366 days."""
    if isinstance(value, timedelta):
        return value
    seconds = seconds_of(value) if isinstance(value, str) else None
    if seconds is None:
        said = f"got {shown(value)}{_as_duration(value)}"
        msg = f"expected a duration such as 30s, 10m, 6h or 1d, {said}"
        raise wrong(msg)
    if not 0 < seconds <= _LONGEST.total_seconds():
        msg = f"{shown(value)} is out of range: more than nothing, at most 366d"
        raise wrong(msg)
    return timedelta(seconds=seconds)


_SPOKEN = late_pattern(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([a-z]{0,12})", re.IGNORECASE)
_JOINED = late_pattern(r"(?:\s|,|\band\b)*", re.IGNORECASE)
_SPOKEN_UNITS = {
    "": "s", "sec": "s", "second": "s", "min": "m", "minute": "m", "hr": "h", "hour": "h",
    "day": "d", "millisecond": "ms", **{unit: unit for unit in UNIT_SECONDS},
}  # fmt: skip


def _as_duration(value: object) -> str:
    """`; did you mean `6h`?` for `6 hours`, `2h 30min` and the like; a number alone asks for its unit."""
    text, at, parts = str(value)[:60].strip(), 0, ""
    while at < len(text) and not isinstance(value, bool):
        match = _SPOKEN.match(text, at)
        if match is None:
            return ""
        spoken = match[2].lower()
        one = spoken if spoken in _SPOKEN_UNITS else spoken.removesuffix("s")
        if one in {"w", "week"}:
            parts += f"{float(match[1]) * 7:g}d"
        elif one in _SPOKEN_UNITS:
            parts += f"{match[1]}{_SPOKEN_UNITS[one]}"
        else:
            return ""
        joined = _JOINED.match(text, match.end())
        at = joined.end() if joined else match.end()
    if seconds_of(parts) is None:
        return ""
    if text.isdecimal():
        return f"; did you mean `{text}s`, `{text}m` or `{text}h`?"
    return f"; did you mean `{parts}`?"


def duration_or(*words: str) -> Callable[[object], timedelta | str]:
    """A duration, or one of the words."""

    def check(value: object) -> timedelta | str:
        if isinstance(value, str) and value in words:
            return value
        try:
            return parse_duration(value)
        except PydanticCustomError as error:
            meant = did_you_mean(value, words) if isinstance(value, str) else ""
            named = " or ".join(f"`{word}`" for word in words)
            wanted, got, rest = error.message().partition(", got ")
            msg = f"{wanted}{'' if meant else f', or {named}'}{got}{rest}{meant}"
            raise wrong(msg) from None

    return check


# --- sizes --------------------------------------------------------------------------------------


def memory_gib(value: object) -> float:
    """`256GiB`, `200GB`, `2TiB` in GiB."""
    number, unit = _size(value, "256GiB")
    return number * _GIB[unit]


def disk_gb(value: object) -> int:
    """`200GB`, `1TB` as a boot disk's size is given to Vertex: there GB and GiB are one."""
    number, unit = _size(value, "200GB")
    size = number * _DISK_GB[unit]
    if not _SMALLEST_DISK_GB <= size <= MOST_DISK_GB or size != int(size):
        msg = (
            f"{shown(value)} is not a boot disk's size: whole GB from {_SMALLEST_DISK_GB} to "
            f"{MOST_DISK_GB}"
        )
        raise wrong(msg)
    return int(size)


def disk_gb_or(word: str) -> Callable[[object], int | str]:
    """A boot disk's size, or the word."""

    def check(value: object) -> int | str:
        if value == word:
            return word
        meant = did_you_mean(value, [word]) if isinstance(value, str) else ""
        if meant and not re.match("[0-9]", str(value)):
            msg = f"expected a size such as 200GB or `{word}`, got {shown(value)}{meant}"
            raise wrong(msg)
        return disk_gb(value)

    return check


def _size(value: object, example: str) -> tuple[float, str]:
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]+)", value) if isinstance(value, str) else None
    if match and re.fullmatch(SIZE, str(value)) and float(match[1]):
        return float(match[1]), match[2]
    msg = f"expected a size such as {example}, got {shown(value)}{_as_size(value, example)}"
    raise wrong(msg)


_SPOKEN_SIZE = late_pattern(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*([gt]?)(i?)b?", re.IGNORECASE)


def _as_size(value: object, example: str) -> str:
    """`; did you mean `200GB`?` for `200 gb`, `200G`, and, in the example's unit, for a number alone."""
    match = None if isinstance(value, bool) else _SPOKEN_SIZE.fullmatch(str(value).strip())
    if match is None or not float(match[1]):
        return ""
    if match[0] == match[1]:
        return f"; did you mean `{match[1]}{example.lstrip('0123456789')}`?"
    return f"; did you mean `{match[1]}{match[2].upper() or 'G'}{match[3].lower()}B`?"
