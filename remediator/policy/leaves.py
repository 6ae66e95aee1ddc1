"""The leaves of the policy file: one YAML value in, one Python value or a plain sentence out.

Owns what a duration, a share, a secret's name, a cause or a batch size may look like, together with
the same rule as JSON Schema. Knows no keys and no structure: `model` puts the leaves in place.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import BeforeValidator, GetJsonSchemaHandler, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from remediator.domain import Cause, JobKind, Mode

_NAME = r"[a-z0-9-]{1,63}"
_CHANNEL_NAME = r"[A-Za-z0-9_-]{1,63}"
_KEPT_ELSEWHERE = (
    r"env:[A-Za-z_][A-Za-z0-9_]{0,254}"
    r"|secret:(projects/[a-z0-9.:-]{1,100}/secrets/)?[A-Za-z0-9_-]{1,255}(/versions/[a-z0-9]{1,20})?"
)
_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+"
_HOST = r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?"
_DURATION = r"[0-9]{1,9}(\.[0-9]{1,6})?(ms|s|m|h|d)"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST = timedelta(days=366)
ACCELERATOR_MOVES = ("bigger", "more_memory", "none")
MACHINE_MOVES = ("bigger", "more_memory", "sized")
LOCATION_MOVES = ("next", "data")
_GROUPS = ("service_account", "location", "model")
_GROUP = r"service_account|location|model|labels\.[a-z0-9_-]{1,63}"


def wrong(message: str) -> PydanticCustomError:
    """What a leaf raises: a sentence for the person who wrote the value."""
    return PydanticCustomError("policy", "{message}", {"message": message})


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean `x`?` for the nearest known word, or nothing when none is near."""
    names = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower().replace("-", "_"), names, n=1, cutoff=0.6)
    near = near or difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    if not near and len(word) > 2:  # noqa: PLR2004  # a beginning that says something
        begun = [name for name in names if name.startswith(word.lower())]
        near = begun if len(begun) == 1 else []
    return f"; did you mean `{names[near[0]]}`?" if near else ""


def shown(value: object) -> str:
    """A value as it may stand in a message: short, on one line, as YAML would write it.

    What looks like a secret is left out: mistakes are printed and logged.
    """
    words: Mapping[object, str] = {None: "nothing", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    from remediator.redact import redact  # noqa: PLC0415  # cold start: it needs RE2

    text = " ".join(redact(str(value)[:2000]).splitlines())
    return f"`{text[:60]}…`" if len(text) > 60 else f"`{text}`"  # noqa: PLR2004  # one line of a terminal


# --- leaves: each turns one YAML value into a Python value, or says what was expected -------------


def _text(value: object) -> str:
    if isinstance(value, bool | int | float):
        msg = f"expected text, got {shown(value)}: put it in quotes"
        raise wrong(msg)
    if not isinstance(value, str) or not value.strip():
        msg = f"expected text, got {shown(value)}"
        raise wrong(msg)
    return value


def _matching(pattern: str, what: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        text = _text(value)
        if re.fullmatch(pattern, text) is None:
            msg = f"{shown(text)} is not {what}"
            raise wrong(msg)
        return text

    return check


def _secret(value: object) -> str:
    if not isinstance(value, str) or re.fullmatch(_KEPT_ELSEWHERE, value) is None:
        # The value itself stays out of the message: it may be the secret.
        raise wrong(_NO_SECRETS)
    return value


_NO_SECRETS = (
    "a secret must not stand in this file: write `env:NAME` (an environment variable) "
    "or `secret:NAME` (Secret Manager)"
)


def _slack_channel(value: object) -> str:
    from remediator.redact import redact  # noqa: PLC0415  # cold start: it needs RE2

    text = _text(value)
    if redact(text) != text:
        raise wrong(_NO_SECRETS)
    return text


_WRITTEN = re.compile(r"(\$?)\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*(%|\$|USD)?")


def _as_number(value: object, *, share: bool = False) -> str:
    """`; did you mean `5`?` for a number in quotes, one with its unit, or a share in per cent."""
    match = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    number = float(match[2]) if match else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        return ""
    if share and 2 <= number <= 100:  # noqa: PLR2004  # per cent
        number /= 100
    elif match is None or match[3] == "%":
        return ""
    quoted = match is not None and value == match[2] and number == float(match[2])
    return f"; did you mean `{number:.12g}`{' without quotes' if quoted else ''}?"


def _integer(least: int, most: int = 1_000_000) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            msg = f"expected a whole number, got {shown(value)}{_as_number(value)}"
            raise wrong(msg)
        if not least <= value <= most:
            msg = f"{shown(value)} is out of range: from {least} to {most}"
            raise wrong(msg)
        return value

    return check


def _number(least: float, most: float, what: str) -> Callable[[object], float]:
    def check(value: object) -> float:
        meant = _as_number(value, share=most == 1)
        if isinstance(value, bool) or not isinstance(value, int | float):
            msg = f"expected {what}, got {shown(value)}{meant}"
            raise wrong(msg)
        if not least <= value <= most:  # also refuses .nan
            msg = f"{shown(value)} is out of range: {what}{meant}"
            raise wrong(msg)
        return float(value)

    return check


def parse_duration(value: object) -> timedelta:
    """`10m`, `0.5s`, `6h`, `1d` (also `250ms`) as a timedelta, above zero and at most 366 days."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or re.fullmatch(_DURATION, value) is None:
        said = f"got {shown(value)}{_as_duration(value)}"
        msg = f"expected a duration such as 30s, 10m, 6h or 1d, {said}"
        raise wrong(msg)
    number, unit = re.fullmatch(r"([0-9.]+)([a-z]+)", value).groups()  # type: ignore[union-attr]  # holds by _DURATION
    seconds = float(number) * _UNITS[unit]
    if not 0 < seconds <= _LONGEST.total_seconds():
        msg = f"{shown(value)} is out of range: more than nothing, at most 366d"
        raise wrong(msg)
    return timedelta(seconds=seconds)


_SPOKEN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)\s*([a-z]{0,12})", re.IGNORECASE)
_SPOKEN_UNITS = {
    "": "s", "sec": "s", "second": "s", "min": "m", "minute": "m", "hr": "h", "hour": "h",
    "day": "d", "millisecond": "ms", **{unit: unit for unit in _UNITS},
}  # fmt: skip


def _as_duration(value: object) -> str:
    """`; did you mean `6h`?` for `6 hours` and the like; a number alone is seconds."""
    match = None if isinstance(value, bool) else _SPOKEN.fullmatch(str(value))
    if match is None:
        return ""
    spoken = match[2].lower()
    one = spoken if spoken in _SPOKEN_UNITS else spoken.removesuffix("s")
    if one in {"w", "week"}:
        return f"; did you mean `{float(match[1]) * 7:g}d`?"
    unit = _SPOKEN_UNITS.get(one, "")
    return f"; did you mean `{match[1]}{unit}`?" if unit else ""


def _duration_or(word: str) -> Callable[[object], timedelta | str]:
    def check(value: object) -> timedelta | str:
        if value == word:
            return word
        try:
            return parse_duration(value)
        except PydanticCustomError as error:
            meant = did_you_mean(value, [word]) if isinstance(value, str) else ""
            msg = f"{error.message()}{meant or f', or `{word}`'}"
            raise wrong(msg) from None

    return check


def _integer_or(word: str, least: int, most: int) -> Callable[[object], int | str]:
    whole = _integer(least, most)

    def check(value: object) -> int | str:
        if value == word:
            return word
        if isinstance(value, str):
            msg = f"expected a whole number or `{word}`, got {shown(value)}{did_you_mean(value, [word])}"
            raise wrong(msg)
        return whole(value)

    return check


def _word(words: Iterable[str]) -> Callable[[object], str]:
    known = tuple(words)

    def check(value: object) -> str:
        if isinstance(value, str) and value in known:
            return value
        named = ", ".join(known)
        if not isinstance(value, str):
            msg = f"expected one of {named}; got {shown(value)}"
            raise wrong(msg)
        meant = did_you_mean(value, known)
        msg = f"unknown value {shown(value)}{meant or f' (one of {named})'}"
        raise wrong(msg)

    return check


_Enum = TypeVar("_Enum", bound=StrEnum)


def _member(enum: type[_Enum]) -> Callable[[object], _Enum]:
    check = _word([member.value for member in enum])
    return lambda value: enum(check(value))


def _times(value: object) -> float:
    if isinstance(value, str) and (match := re.fullmatch(r"([0-9]{1,4}(\.[0-9]{1,3})?)x", value)):
        factor = float(match[1])
        if 1 <= factor <= 1000:  # noqa: PLR2004  # below 1x a job could never finish as it did
            return factor
    spoken = re.fullmatch(r"([0-9]{1,4}(?:\.[0-9]{1,3})?)\s*(x|times)?", str(value), re.IGNORECASE)
    meant = f"; did you mean `{spoken[1]}x`?" if spoken and float(spoken[1]) >= 1 else ""
    msg = f"expected a factor such as 3x (1x to 1000x), got {shown(value)}{meant}"
    raise wrong(msg)


def _group(value: object) -> str:
    text = _text(value)
    if re.fullmatch(_GROUP, text):
        return text
    named = f" (one of {', '.join(_GROUPS)}, labels.NAME)"
    msg = f"unknown value {shown(text)}{did_you_mean(text, _GROUPS) or named}"
    raise wrong(msg)


def _host(value: object) -> str:
    text = _text(value)
    if "://" in text or "/" in text:
        msg = f"{shown(text)} is a URL: only the host's name stands here"
        raise wrong(msg)
    return _matching(_HOST, "the name of a host (a leading `*.` is allowed)")(text)


def _only_false(value: object) -> bool:
    if value is not False:
        msg = f"expected false (explanations can only be turned off), got {shown(value)}"
        raise wrong(msg)
    return False


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(value).lower())
        msg = f"expected true or false, got {shown(value)}"
        raise wrong(msg + (f"; did you mean `{meant}`?" if meant else ""))
    return value


def _version(value: object) -> int:
    if value != 1 or isinstance(value, bool) or not isinstance(value, int):
        said = "this product reads version 1"
        if str(value) in {"1", "1.0"}:
            said += ", the number: write 1, without quotes or a point"
        msg = f"{shown(value)} is not known here: {said}"
        raise wrong(msg)
    return value


def _several(value: object) -> object:
    """One value stands for a list of one."""
    if value is None or isinstance(value, Mapping):
        msg = f"expected one value or a list, got {shown(value)}"
        raise wrong(msg)
    if isinstance(value, list | tuple):
        if not value:
            msg = "the list is empty: name at least one, or leave the key out"
            raise wrong(msg)
        return value
    return [value]


def _several_or_none(value: object) -> object:
    """As `_several`, where an empty list says something: nobody, nothing."""
    return value if isinstance(value, list | tuple) else _several(value)


def _accelerator_move(value: object) -> str:
    if isinstance(value, str) and value in ACCELERATOR_MOVES:
        return value
    named = (
        f"; write {{type: {value}, count: 1}}" if isinstance(value, str) and "_" in value else ""
    )
    meant = did_you_mean(value, ACCELERATOR_MOVES) if isinstance(value, str) else ""
    words = ", ".join(ACCELERATOR_MOVES)
    msg = f"expected {{type, count}} or one of {words}; got {shown(value)}{meant or named}"
    raise wrong(msg)


def _text_schema(words: str, pattern: str = "") -> dict[str, Any]:
    """JSON Schema of a text; `$comment` holds the words that the reference page uses for it."""
    bounds: dict[str, Any] = {"pattern": f"^({pattern})$"} if pattern else {"minLength": 1}
    return {"type": "string", **bounds, "$comment": words}


def _words_schema(words: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


_DURATION_SCHEMA = _text_schema("a duration such as `10m`", _DURATION)

Text: TypeAlias = Annotated[str, PlainValidator(_text), WithJsonSchema(_text_schema("text"))]
SlackChannel: TypeAlias = Annotated[
    str, PlainValidator(_slack_channel), WithJsonSchema(_text_schema("text"))
]
MachineType: TypeAlias = Annotated[
    str,
    PlainValidator(_text),
    WithJsonSchema({"anyOf": [_words_schema(MACHINE_MOVES), _text_schema("a machine type")]}),
]
Location: TypeAlias = Annotated[
    str,
    PlainValidator(_text),
    WithJsonSchema({"anyOf": [_words_schema(LOCATION_MOVES), _text_schema("a region")]}),
]
Glob: TypeAlias = Annotated[str, PlainValidator(_text), WithJsonSchema(_text_schema("a glob"))]
Secret: TypeAlias = Annotated[
    str,
    PlainValidator(_secret),
    WithJsonSchema(_text_schema("`env:NAME` or `secret:NAME`", _KEPT_ELSEWHERE)),
]
Address: TypeAlias = Annotated[
    str,
    PlainValidator(_matching(_ADDRESS, "an e-mail address")),
    WithJsonSchema(_text_schema("an e-mail address", _ADDRESS)),
]
Host: TypeAlias = Annotated[
    str, PlainValidator(_host), WithJsonSchema(_text_schema("a host's name", _HOST))
]
Domain: TypeAlias = Annotated[
    str,
    PlainValidator(_matching(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", "a domain such as example.com")),
    WithJsonSchema(_text_schema("a domain", r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")),
]
PolicyName: TypeAlias = Annotated[
    str,
    PlainValidator(_matching(_NAME, "a name: a-z, 0-9 and -, at most 63")),
    WithJsonSchema(_text_schema("a name", _NAME)),
]
ChannelName: TypeAlias = Annotated[
    str,
    PlainValidator(_matching(_CHANNEL_NAME, "a channel's name: letters, digits, - and _")),
    WithJsonSchema(_text_schema("a channel's name", _CHANNEL_NAME)),
]
Usd: TypeAlias = Annotated[
    float,
    PlainValidator(_number(0, 1e9, "US dollars, 0 or more")),
    WithJsonSchema({"type": "number", "minimum": 0, "$comment": "US dollars"}),
]
Share: TypeAlias = Annotated[
    float,
    PlainValidator(_number(0, 1, "a number from 0 to 1")),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1}),
]
Whole: TypeAlias = Annotated[
    int, PlainValidator(_integer(0)), WithJsonSchema({"type": "integer", "minimum": 0})
]
Positive: TypeAlias = Annotated[
    int, PlainValidator(_integer(1)), WithJsonSchema({"type": "integer", "minimum": 1})
]
Duration: TypeAlias = Annotated[
    timedelta, PlainValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)
]
Times: TypeAlias = Annotated[
    float,
    PlainValidator(_times),
    WithJsonSchema(_text_schema("a factor such as `3x`", r"[0-9]{1,4}(\.[0-9]{1,3})?x")),
]
CauseWord: TypeAlias = Annotated[
    Cause, PlainValidator(_member(Cause)), WithJsonSchema(_words_schema(c.value for c in Cause))
]
KindWord: TypeAlias = Annotated[
    JobKind,
    PlainValidator(_member(JobKind)),
    WithJsonSchema(_words_schema(k.value for k in JobKind)),
]
ModeWord: TypeAlias = Annotated[
    Mode, PlainValidator(_member(Mode)), WithJsonSchema(_words_schema(m.value for m in Mode))
]


@dataclass(frozen=True, slots=True)
class _Listed:
    """One value or a list, in the schema as in the loader."""

    least: int

    def __get_pydantic_json_schema__(
        self, core: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        array = handler(core)
        return {"anyOf": [array["items"], {**array, "minItems": self.least}]}


Causes: TypeAlias = Annotated[tuple[CauseWord, ...], BeforeValidator(_several), _Listed(1)]
Kinds: TypeAlias = Annotated[tuple[KindWord, ...], BeforeValidator(_several), _Listed(1)]
SafeKinds: TypeAlias = Annotated[
    tuple[KindWord, ...], BeforeValidator(_several_or_none), _Listed(0)
]
Globs: TypeAlias = Annotated[tuple[Glob, ...], BeforeValidator(_several), _Listed(1)]
Allowed: TypeAlias = Annotated[tuple[Glob, ...], BeforeValidator(_several_or_none), _Listed(0)]
Addresses: TypeAlias = Annotated[tuple[Address, ...], BeforeValidator(_several), _Listed(1)]
Hosts: TypeAlias = Annotated[tuple[Host, ...], BeforeValidator(_several_or_none), _Listed(0)]
AlertNames: TypeAlias = Annotated[
    tuple[ChannelName, ...], BeforeValidator(_several_or_none), _Listed(0)
]
Domains: TypeAlias = Annotated[tuple[Domain, ...], BeforeValidator(_several_or_none), _Listed(0)]
Texts: TypeAlias = Annotated[tuple[Text, ...], BeforeValidator(_several), _Listed(1)]
Group: TypeAlias = Annotated[
    str, PlainValidator(_group), WithJsonSchema(_text_schema("a group", _GROUP))
]
Version: TypeAlias = Annotated[int, PlainValidator(_version), WithJsonSchema({"const": 1})]
OnOverrun: TypeAlias = Annotated[
    Literal["alert", "cancel"],
    PlainValidator(_word(("alert", "cancel"))),
    WithJsonSchema(_words_schema(("alert", "cancel"))),
]
AcceleratorMove: TypeAlias = Annotated[
    Literal["bigger", "more_memory", "none"],
    PlainValidator(_accelerator_move),
    WithJsonSchema(_words_schema(ACCELERATOR_MOVES)),
]
BatchSize: TypeAlias = Annotated[
    int | Literal["halve"],
    PlainValidator(_integer_or("halve", 1, 1_000_000)),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "halve"}]}),
]
Replicas: TypeAlias = Annotated[
    int | Literal["double"],
    PlainValidator(_integer_or("double", 1, 10_000)),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "double"}]}),
]
Timeout: TypeAlias = Annotated[
    timedelta | Literal["double"],
    PlainValidator(_duration_or("double")),
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"const": "double"}]}),
]
Wait: TypeAlias = Annotated[
    timedelta | Literal["backoff"],
    PlainValidator(_duration_or("backoff")),
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"const": "backoff"}]}),
]
Output: TypeAlias = Annotated[
    Literal["same", "attempt"],
    PlainValidator(_word(("same", "attempt"))),
    WithJsonSchema(_words_schema(("same", "attempt"))),
]
Switch: TypeAlias = Annotated[bool, PlainValidator(_boolean), WithJsonSchema({"type": "boolean"})]
Off: TypeAlias = Annotated[bool, PlainValidator(_only_false), WithJsonSchema({"const": False})]
