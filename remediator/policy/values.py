"""The values of the policy file: one YAML value in, one Python value or a plain sentence out.

Owns what a share, a secret's name, a cause or a batch size may look like, together with the same rule
as JSON Schema (numbers, durations and sizes are read by `quantities`). Knows no keys and no structure:
`model` and `steps` put the values in place. Over 500 lines, since one value stands beside the next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, GetJsonSchemaHandler, PlainValidator, WithJsonSchema

from remediator.domain import NOTHING_WRONG, Cause, JobKind, Mode, WatchVerdict
from remediator.policy import quantities
from remediator.policy.quantities import DURATION, SIZE, integer, integer_or, number, parse_duration
from remediator.policy.suggestions import did_you_mean, shown, wrong

_NAME = r"[a-z0-9-]{1,63}"
_CHANNEL_NAME = r"[A-Za-z0-9_-]{1,63}"
_KEPT_ELSEWHERE = (
    r"env:[A-Za-z_][A-Za-z0-9_]{0,254}"
    r"|secret:(projects/[a-z0-9.:-]{1,100}/secrets/)?[A-Za-z0-9_-]{1,255}(/versions/[a-z0-9]{1,20})?"
)
_ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+"
_HOST = r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?"
ACCELERATOR_MOVES = ("bigger", "more_memory", "none")
MACHINE_MOVES = ("bigger", "more_memory", "sized")
LOCATION_MOVES = ("next", "data")
STRATEGIES = ("STANDARD", "SPOT", "FLEX_START")
_VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,254}"
_FLAG = r"-{0,2}[A-Za-z][A-Za-z0-9_.-]{0,99}"
_GROUPS = ("service_account", "location", "model")
_GROUP = r"service_account|location|model|labels\.[a-z0-9_-]{1,63}"


# --- values: each turns one YAML value into a Python value, or says what was expected -------------


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
    from remediator.redaction import redact  # noqa: PLC0415  # cold start: it needs RE2

    text = _text(value)
    if redact(text) != text:
        raise wrong(_NO_SECRETS)
    return text


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


def not_empty(value: object) -> object:
    """A list or a mapping with something in it; anything else is for the type to refuse."""
    if isinstance(value, list | tuple | Mapping) and not value:
        msg = "there is nothing in it: name at least one, or leave the key out"
        raise wrong(msg)
    return value


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


_A_MACHINE = re.compile(
    r"cloud-tpu|custom-[a-z0-9-]{1,40}|[a-z]{1,4}[0-9]{1,2}[a-z]{0,3}"
    r"((-[a-z0-9]{1,20}){1,6}|(standard|high[a-z]{3}|ultra[a-z]{3}|mega[a-z]{3})[0-9]{1,3}g?)",
    re.IGNORECASE,
)
_AN_ACCELERATOR = re.compile(
    r"(?=.*[0-9])((NVIDIA|TPU|AMD|INTEL|GOOGLE|CLOUD)[_-]?[A-Z0-9_-]{1,50}|[A-Z]{1,4}[0-9]{1,4}[A-Z0-9_-]{0,20})",
    re.IGNORECASE,
)


def _machine_type(value: object) -> str:
    """A move, or what could be a machine type's name: Google adds types."""
    text = _text(value)
    if text in MACHINE_MOVES or _A_MACHINE.fullmatch(text):
        return text
    named = f" ({', '.join(MACHINE_MOVES)}, or a name such as n1-standard-16)"
    msg = f"{shown(text)} is no machine type{did_you_mean(text, MACHINE_MOVES) or named}"
    raise wrong(msg)


def _accelerator_type(value: object) -> str:
    """What could be an accelerator's name: Google adds types."""
    text = _text(value)
    if _AN_ACCELERATOR.fullmatch(text):
        return text
    msg = f"{shown(text)} is no accelerator: write Vertex's name, such as NVIDIA_TESLA_T4"
    raise wrong(msg)


def _variable(value: object) -> str:
    """A variable's name, none of ours and none of Vertex's own."""
    text = _matching(_VARIABLE, "the name of an environment variable")(value)
    if text.startswith("REMEDIATOR_"):
        msg = f"{shown(text)} is set by the remediator itself"
        raise wrong(msg)
    return text


def _zone(value: object) -> str:
    text = _text(value)
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):  # no such name, or no name at all
        near = did_you_mean(text, available_timezones())
        msg = f"{shown(text)} is no time zone{near or ': write a name such as Europe/Berlin'}"
        raise wrong(msg) from None
    return text


_LONGEST_PATTERN = 1000  # characters; chosen: nobody reads a longer one
_WATCH_WORDS = ("alert", "cancel", "cancel_resubmit")


def _pattern(value: object) -> str:
    """A regular expression in RE2's syntax, whose time is linear in the text."""
    import re2  # noqa: PLC0415  # cold start: a file without a log rule does not pay for it

    text = _text(value)
    if len(text) > _LONGEST_PATTERN:
        msg = f"the pattern is too long: {len(text)} characters, at most {_LONGEST_PATTERN}"
        raise wrong(msg)
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(text, options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        said = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        msg = f"{shown(text)} is not a regular expression (RE2): {said[:160]}"
        raise wrong(msg) from None
    return text


def _running(value: object) -> WatchVerdict:
    """A verdict on which something can be done."""
    if value in {one.value for one in NOTHING_WRONG}:
        msg = f"{shown(value)} is no verdict on which anything is done: leave it out"
        raise wrong(msg)
    return WatchVerdict(_word(one for one in WatchVerdict if one not in NOTHING_WRONG)(value))


def _watch_word(value: object) -> str:
    if isinstance(value, str) and value in _WATCH_WORDS:
        return value
    if isinstance(value, list | tuple):
        msg = "expected one of alert, cancel, {cancel_resubmit: {checkpoint: required}}; got a list"
        raise wrong(msg)
    return _word(_WATCH_WORDS)(value)


def mapping_or_word(value: object) -> str:
    """Which of two forms a value has: `named` for a mapping or a part, `word` for anything else."""
    return "word" if isinstance(value, str | int | float | list | tuple | None) else "named"


_TIME_OF_DAY = r"([01][0-9]|2[0-3]):[0-5][0-9]"


def _time_of_day(value: object) -> time:
    if not isinstance(value, str) or re.fullmatch(_TIME_OF_DAY, value) is None:
        msg = f'expected a time of day such as "22:00", got {shown(value)}'
        raise wrong(msg)
    return time.fromisoformat(value)


def _text_schema(words: str, pattern: str = "") -> dict[str, Any]:
    """JSON Schema of a text; `$comment` holds the words that the reference page uses for it."""
    bounds: dict[str, Any] = {"pattern": f"^({pattern})$"} if pattern else {"minLength": 1}
    return {"type": "string", **bounds, "$comment": words}


def _words_schema(words: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


_DURATION_SCHEMA = _text_schema("a duration such as `10m`", DURATION)

Text: TypeAlias = Annotated[str, PlainValidator(_text), WithJsonSchema(_text_schema("text"))]
SlackChannel: TypeAlias = Annotated[
    str, PlainValidator(_slack_channel), WithJsonSchema(_text_schema("text"))
]
MachineType: TypeAlias = Annotated[
    str,
    PlainValidator(_machine_type),
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
    PlainValidator(number(0, 1e9, "US dollars, 0 or more")),
    WithJsonSchema({"type": "number", "minimum": 0, "$comment": "US dollars"}),
]
Share: TypeAlias = Annotated[
    float,
    PlainValidator(number(0, 1, "a number from 0 to 1")),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1}),
]
Whole: TypeAlias = Annotated[
    int, PlainValidator(integer(0)), WithJsonSchema({"type": "integer", "minimum": 0})
]
Positive: TypeAlias = Annotated[
    int, PlainValidator(integer(1)), WithJsonSchema({"type": "integer", "minimum": 1})
]
Duration: TypeAlias = Annotated[
    timedelta, PlainValidator(parse_duration), WithJsonSchema(_DURATION_SCHEMA)
]
Times: TypeAlias = Annotated[
    float,
    PlainValidator(quantities.times),
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


RunningWord: TypeAlias = Annotated[
    WatchVerdict,
    PlainValidator(_running),
    WithJsonSchema(_words_schema(v.value for v in WatchVerdict if v not in NOTHING_WRONG)),
]
Pattern: TypeAlias = Annotated[
    str, PlainValidator(_pattern), WithJsonSchema(_text_schema("a regular expression (RE2)"))
]
WatchWord: TypeAlias = Annotated[
    Literal["alert", "cancel", "cancel_resubmit"],
    PlainValidator(_watch_word),
    WithJsonSchema(_words_schema(_WATCH_WORDS)),
]
Checkpoint: TypeAlias = Annotated[
    Literal["required", "not_needed"],
    PlainValidator(_word(("required", "not_needed"))),
    WithJsonSchema(_words_schema(("required", "not_needed"))),
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
RunningVerdicts: TypeAlias = Annotated[
    tuple[RunningWord, ...], BeforeValidator(_several), _Listed(1)
]
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
PagerDutyRegion: TypeAlias = Annotated[
    Literal["us", "eu"],
    PlainValidator(_word(("us", "eu"))),
    WithJsonSchema(_words_schema(("us", "eu"))),
]
TimeOfDay: TypeAlias = Annotated[
    time,
    PlainValidator(_time_of_day),
    WithJsonSchema(_text_schema('a time of day such as `"22:00"`', _TIME_OF_DAY)),
]
DigestWord: TypeAlias = Annotated[
    Literal["daily", "weekly"],
    PlainValidator(_word(("daily", "weekly"))),
    WithJsonSchema(_words_schema(("daily", "weekly"))),
]
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
AcceleratorName: TypeAlias = Annotated[
    str, PlainValidator(_accelerator_type), WithJsonSchema(_text_schema("text"))
]
BatchSize: TypeAlias = Annotated[
    int | Literal["halve"],
    PlainValidator(integer_or("halve", 1, 1_000_000)),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "halve"}]}),
]
Replicas: TypeAlias = Annotated[
    int | Literal["double"],
    PlainValidator(integer_or("double", 1, 10_000)),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "double"}]}),
]
Timeout: TypeAlias = Annotated[
    timedelta | Literal["double", "sized"],
    PlainValidator(quantities.duration_or("double", "sized")),
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, _words_schema(("double", "sized"))]}),
]
Wait: TypeAlias = Annotated[
    timedelta | Literal["backoff"],
    PlainValidator(quantities.duration_or("backoff")),
    WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"const": "backoff"}]}),
]
Output: TypeAlias = Annotated[
    Literal["same", "attempt"],
    PlainValidator(_word(("same", "attempt"))),
    WithJsonSchema(_words_schema(("same", "attempt"))),
]
Switch: TypeAlias = Annotated[bool, PlainValidator(_boolean), WithJsonSchema({"type": "boolean"})]
Off: TypeAlias = Annotated[bool, PlainValidator(_only_false), WithJsonSchema({"const": False})]
Factor: TypeAlias = Annotated[
    float,
    PlainValidator(number(1.01, 1000, "a factor, more than 1")),
    WithJsonSchema({"type": "number", "minimum": 1.01, "maximum": 1000}),
]
MemorySize: TypeAlias = Annotated[
    float,
    PlainValidator(quantities.memory_gib),
    WithJsonSchema(_text_schema("a size such as `256GiB`", SIZE)),
]
DiskSize: TypeAlias = Annotated[
    int | Literal["double"],
    PlainValidator(quantities.disk_gb_or("double")),
    WithJsonSchema({"anyOf": [_text_schema("a size such as `200GB`", SIZE), {"const": "double"}]}),
]
Strategy: TypeAlias = Annotated[
    Literal["STANDARD", "SPOT", "FLEX_START"],
    PlainValidator(_word(STRATEGIES)),
    WithJsonSchema(_words_schema(STRATEGIES)),
]
Halve: TypeAlias = Annotated[
    Literal["halve"], PlainValidator(_word(("halve",))), WithJsonSchema({"const": "halve"})
]
Variable: TypeAlias = Annotated[
    str,
    PlainValidator(_variable),
    WithJsonSchema(_text_schema("a variable's name", rf"(?!REMEDIATOR_){_VARIABLE}")),
]
Flag: TypeAlias = Annotated[
    str,
    PlainValidator(_matching(_FLAG, "a flag such as --batch_size")),
    WithJsonSchema(_text_schema("a flag", _FLAG)),
]
Rows: TypeAlias = Annotated[
    Literal["all", "remaining"],
    PlainValidator(_word(("all", "remaining"))),
    WithJsonSchema(_words_schema(("all", "remaining"))),
]
ExitCode: TypeAlias = Annotated[
    int,
    PlainValidator(integer(1, 255)),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 255}),
]
ExitCodes: TypeAlias = Annotated[tuple[ExitCode, ...], BeforeValidator(_several), _Listed(1)]
Zone: TypeAlias = Annotated[
    str,
    PlainValidator(_zone),
    WithJsonSchema(_text_schema("a time zone", "[A-Za-z][A-Za-z0-9_+/-]{0,63}")),
]
