"""The values of the policy file, each with its reader and the same rule as JSON Schema.

Knows no keys and no structure: `model` and `steps` put the values in place.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import time, timedelta
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, GetJsonSchemaHandler, PlainValidator, WithJsonSchema

from remediator.domain import NOTHING_WRONG, Cause, JobKind, Mode, WatchVerdict
from remediator.domain.light_dataclass import dataclass
from remediator.domain.time_words import DURATION
from remediator.policy import quantities
from remediator.policy import value_readers as read
from remediator.policy.quantities import SIZE, integer, integer_or, number, parse_duration


def _text_schema(words: str, pattern: str = "") -> dict[str, Any]:
    """JSON Schema of a text; `$comment` holds the words that the reference page uses for it."""
    bounds: dict[str, Any] = {"pattern": f"^({pattern})$"} if pattern else {"minLength": 1}
    return {"type": "string", **bounds, "$comment": words}


def _words_schema(words: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


_DURATION_SCHEMA = _text_schema("a duration such as `10m`", DURATION)

Text: TypeAlias = Annotated[
    str, PlainValidator(read.plain_text), WithJsonSchema(_text_schema("text"))
]
SlackChannel: TypeAlias = Annotated[
    str, PlainValidator(read.slack_channel), WithJsonSchema(_text_schema("text"))
]
MachineType: TypeAlias = Annotated[
    str,
    PlainValidator(read.machine_type),
    WithJsonSchema({"anyOf": [_words_schema(read.MACHINE_MOVES), _text_schema("a machine type")]}),
]
Location: TypeAlias = Annotated[
    str,
    PlainValidator(read.plain_text),
    WithJsonSchema({"anyOf": [_words_schema(read.LOCATION_MOVES), _text_schema("a region")]}),
]
Glob: TypeAlias = Annotated[
    str, PlainValidator(read.plain_text), WithJsonSchema(_text_schema("a glob"))
]
Secret: TypeAlias = Annotated[
    str,
    PlainValidator(read.secret),
    WithJsonSchema(_text_schema("`env:NAME` or `secret:NAME`", read.KEPT_ELSEWHERE)),
]
Address: TypeAlias = Annotated[
    str,
    PlainValidator(read.matching(read.ADDRESS, "an e-mail address")),
    WithJsonSchema(_text_schema("an e-mail address", read.ADDRESS)),
]
Host: TypeAlias = Annotated[
    str, PlainValidator(read.host), WithJsonSchema(_text_schema("a host's name", read.HOST))
]
Domain: TypeAlias = Annotated[
    str,
    PlainValidator(
        read.matching(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", "a domain such as example.com")
    ),
    WithJsonSchema(_text_schema("a domain", r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")),
]
PolicyName: TypeAlias = Annotated[
    str,
    PlainValidator(read.matching(read.NAME, "a name: a-z, 0-9 and -, at most 63")),
    WithJsonSchema(_text_schema("a name", read.NAME)),
]
ChannelName: TypeAlias = Annotated[
    str,
    PlainValidator(read.matching(read.CHANNEL_NAME, "a channel's name: letters, digits, - and _")),
    WithJsonSchema(_text_schema("a channel's name", read.CHANNEL_NAME)),
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
    Cause, PlainValidator(read.member(Cause)), WithJsonSchema(_words_schema(c.value for c in Cause))
]
KindWord: TypeAlias = Annotated[
    JobKind,
    PlainValidator(read.member(JobKind)),
    WithJsonSchema(_words_schema(k.value for k in JobKind)),
]
ModeWord: TypeAlias = Annotated[
    Mode, PlainValidator(read.member(Mode)), WithJsonSchema(_words_schema(m.value for m in Mode))
]


RunningWord: TypeAlias = Annotated[
    WatchVerdict,
    PlainValidator(read.running),
    WithJsonSchema(_words_schema(v.value for v in WatchVerdict if v not in NOTHING_WRONG)),
]
Pattern: TypeAlias = Annotated[
    str, PlainValidator(read.pattern), WithJsonSchema(_text_schema("a regular expression (RE2)"))
]
WatchWord: TypeAlias = Annotated[
    Literal["alert", "cancel", "cancel_resubmit"],
    PlainValidator(read.watch_word),
    WithJsonSchema(_words_schema(read.WATCH_WORDS)),
]
Checkpoint: TypeAlias = Annotated[
    Literal["required", "not_needed"],
    PlainValidator(read.word(("required", "not_needed"))),
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


Causes: TypeAlias = Annotated[tuple[CauseWord, ...], BeforeValidator(read.several), _Listed(1)]
Kinds: TypeAlias = Annotated[tuple[KindWord, ...], BeforeValidator(read.several), _Listed(1)]
RunningVerdicts: TypeAlias = Annotated[
    tuple[RunningWord, ...], BeforeValidator(read.several), _Listed(1)
]
SafeKinds: TypeAlias = Annotated[
    tuple[KindWord, ...], BeforeValidator(read.several_or_none), _Listed(0)
]
Globs: TypeAlias = Annotated[tuple[Glob, ...], BeforeValidator(read.several), _Listed(1)]
Allowed: TypeAlias = Annotated[tuple[Glob, ...], BeforeValidator(read.several_or_none), _Listed(0)]
Addresses: TypeAlias = Annotated[tuple[Address, ...], BeforeValidator(read.several), _Listed(1)]
Hosts: TypeAlias = Annotated[tuple[Host, ...], BeforeValidator(read.several_or_none), _Listed(0)]
AlertNames: TypeAlias = Annotated[
    tuple[ChannelName, ...], BeforeValidator(read.several_or_none), _Listed(0)
]
Domains: TypeAlias = Annotated[
    tuple[Domain, ...], BeforeValidator(read.several_or_none), _Listed(0)
]
Texts: TypeAlias = Annotated[tuple[Text, ...], BeforeValidator(read.several), _Listed(1)]
Group: TypeAlias = Annotated[
    str, PlainValidator(read.group), WithJsonSchema(_text_schema("a group", read.GROUP))
]
Version: TypeAlias = Annotated[int, PlainValidator(read.version), WithJsonSchema({"const": 1})]
PagerDutyRegion: TypeAlias = Annotated[
    Literal["us", "eu"],
    PlainValidator(read.word(("us", "eu"))),
    WithJsonSchema(_words_schema(("us", "eu"))),
]
TimeOfDay: TypeAlias = Annotated[
    time,
    PlainValidator(read.time_of_day),
    WithJsonSchema(_text_schema('a time of day such as `"22:00"`', read.TIME_OF_DAY)),
]
DigestWord: TypeAlias = Annotated[
    Literal["daily", "weekly"],
    PlainValidator(read.word(("daily", "weekly"))),
    WithJsonSchema(_words_schema(("daily", "weekly"))),
]
OnOverrun: TypeAlias = Annotated[
    Literal["alert", "cancel"],
    PlainValidator(read.word(("alert", "cancel"))),
    WithJsonSchema(_words_schema(("alert", "cancel"))),
]
AcceleratorMove: TypeAlias = Annotated[
    Literal["bigger", "more_memory", "none"],
    PlainValidator(read.accelerator_move),
    WithJsonSchema(_words_schema(read.ACCELERATOR_MOVES)),
]
AcceleratorName: TypeAlias = Annotated[
    str, PlainValidator(read.accelerator_type), WithJsonSchema(_text_schema("text"))
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
    PlainValidator(read.word(("same", "attempt"))),
    WithJsonSchema(_words_schema(("same", "attempt"))),
]
Switch: TypeAlias = Annotated[
    bool, PlainValidator(read.boolean), WithJsonSchema({"type": "boolean"})
]
Off: TypeAlias = Annotated[bool, PlainValidator(read.only_false), WithJsonSchema({"const": False})]
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
    PlainValidator(read.word(read.STRATEGIES)),
    WithJsonSchema(_words_schema(read.STRATEGIES)),
]
Halve: TypeAlias = Annotated[
    Literal["halve"], PlainValidator(read.word(("halve",))), WithJsonSchema({"const": "halve"})
]
Variable: TypeAlias = Annotated[
    str,
    PlainValidator(read.variable),
    WithJsonSchema(_text_schema("a variable's name", rf"(?!REMEDIATOR_){read.VARIABLE}")),
]
Flag: TypeAlias = Annotated[
    str,
    PlainValidator(read.matching(read.FLAG, "a flag such as --batch_size")),
    WithJsonSchema(_text_schema("a flag", read.FLAG)),
]
Rows: TypeAlias = Annotated[
    Literal["all", "remaining"],
    PlainValidator(read.word(("all", "remaining"))),
    WithJsonSchema(_words_schema(("all", "remaining"))),
]
ExitCode: TypeAlias = Annotated[
    int,
    PlainValidator(integer(1, 255)),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 255}),
]
ExitCodes: TypeAlias = Annotated[tuple[ExitCode, ...], BeforeValidator(read.several), _Listed(1)]
Zone: TypeAlias = Annotated[
    str,
    PlainValidator(read.zone),
    WithJsonSchema(_text_schema("a time zone", "[A-Za-z][A-Za-z0-9_+/-]{0,63}")),
]
