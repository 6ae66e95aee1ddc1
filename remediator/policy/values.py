"""The values of the policy file, each with its reader and the same rule as JSON Schema.

Knows no keys and no structure: `model` and `steps` put the values in place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import time, timedelta
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Struct
from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from remediator.domain import NOTHING_WRONG, Cause, JobKind, Mode, WatchVerdict
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


Reading: TypeAlias = Callable[[Any], Any]
"""From what stands in the file to the value; raises ValueError with the mistake's words."""


class Reader(Struct, frozen=True, eq=False):
    """How a value is read, and the same rule as JSON Schema.

    What pydantic's `PlainValidator` and `WithJsonSchema` do together; those look at each reader's
    signature and build a way to write the value, which nobody does: a third of a model's building.
    """

    read: Reading
    schema: Mapping[str, Any]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        del source, handler
        return core_schema.no_info_plain_validator_function(self.read)

    def __get_pydantic_json_schema__(
        self, core: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        del core, handler
        return dict(self.schema)


_DURATION_SCHEMA = _text_schema("a duration such as `10m`", DURATION)

Text: TypeAlias = Annotated[str, Reader(read.plain_text, _text_schema("text"))]
SlackChannel: TypeAlias = Annotated[str, Reader(read.slack_channel, _text_schema("text"))]
MachineType: TypeAlias = Annotated[
    str,
    Reader(
        read.machine_type,
        {"anyOf": [_words_schema(read.MACHINE_MOVES), _text_schema("a machine type")]},
    ),
]
Location: TypeAlias = Annotated[
    str,
    Reader(
        read.plain_text, {"anyOf": [_words_schema(read.LOCATION_MOVES), _text_schema("a region")]}
    ),
]
Glob: TypeAlias = Annotated[str, Reader(read.plain_text, _text_schema("a glob"))]
Secret: TypeAlias = Annotated[
    str,
    Reader(read.secret, _text_schema("`env:NAME` or `secret:NAME`", read.KEPT_ELSEWHERE)),
]
Address: TypeAlias = Annotated[
    str,
    Reader(
        read.matching(read.ADDRESS, "an e-mail address"),
        _text_schema("an e-mail address", read.ADDRESS),
    ),
]
Host: TypeAlias = Annotated[str, Reader(read.host, _text_schema("a host's name", read.HOST))]
Domain: TypeAlias = Annotated[
    str,
    Reader(
        read.matching(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", "a domain such as example.com"),
        _text_schema("a domain", r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+"),
    ),
]
PolicyName: TypeAlias = Annotated[
    str,
    Reader(
        read.matching(read.NAME, "a name: a-z, 0-9 and -, at most 63"),
        _text_schema("a name", read.NAME),
    ),
]
ChannelName: TypeAlias = Annotated[
    str,
    Reader(
        read.matching(read.CHANNEL_NAME, "a channel's name: letters, digits, - and _"),
        _text_schema("a channel's name", read.CHANNEL_NAME),
    ),
]
Usd: TypeAlias = Annotated[
    float,
    Reader(
        number(0, 1e9, "US dollars, 0 or more"),
        {"type": "number", "minimum": 0, "$comment": "US dollars"},
    ),
]
Share: TypeAlias = Annotated[
    float,
    Reader(number(0, 1, "a number from 0 to 1"), {"type": "number", "minimum": 0, "maximum": 1}),
]
Whole: TypeAlias = Annotated[int, Reader(integer(0), {"type": "integer", "minimum": 0})]
Positive: TypeAlias = Annotated[int, Reader(integer(1), {"type": "integer", "minimum": 1})]
Duration: TypeAlias = Annotated[timedelta, Reader(parse_duration, _DURATION_SCHEMA)]
Times: TypeAlias = Annotated[
    float,
    Reader(quantities.times, _text_schema("a factor such as `3x`", r"[0-9]{1,4}(\.[0-9]{1,3})?x")),
]
CauseWord: TypeAlias = Annotated[
    Cause, Reader(read.member(Cause), _words_schema(c.value for c in Cause))
]
KindWord: TypeAlias = Annotated[
    JobKind,
    Reader(read.member(JobKind), _words_schema(k.value for k in JobKind)),
]
ModeWord: TypeAlias = Annotated[
    Mode, Reader(read.member(Mode), _words_schema(m.value for m in Mode))
]


RunningWord: TypeAlias = Annotated[
    WatchVerdict,
    Reader(read.running, _words_schema(v.value for v in WatchVerdict if v not in NOTHING_WRONG)),
]
Pattern: TypeAlias = Annotated[
    str, Reader(read.pattern, _text_schema("a regular expression (RE2)"))
]
WatchWord: TypeAlias = Annotated[
    Literal["alert", "cancel", "cancel_resubmit"],
    Reader(read.watch_word, _words_schema(read.WATCH_WORDS)),
]
Checkpoint: TypeAlias = Annotated[
    Literal["required", "not_needed"],
    Reader(read.word(("required", "not_needed")), _words_schema(("required", "not_needed"))),
]


class _Listed(Struct, frozen=True):
    """One value or a list, in the schema as in the loader; the reader makes a list of either."""

    read: Reading
    least: int

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(
        self, core: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        array = handler(core)
        return {"anyOf": [array["items"], {**array, "minItems": self.least}]}


Causes: TypeAlias = Annotated[tuple[CauseWord, ...], _Listed(read.several, 1)]
Kinds: TypeAlias = Annotated[tuple[KindWord, ...], _Listed(read.several, 1)]
RunningVerdicts: TypeAlias = Annotated[tuple[RunningWord, ...], _Listed(read.several, 1)]
SafeKinds: TypeAlias = Annotated[tuple[KindWord, ...], _Listed(read.several_or_none, 0)]
Globs: TypeAlias = Annotated[tuple[Glob, ...], _Listed(read.several, 1)]
Allowed: TypeAlias = Annotated[tuple[Glob, ...], _Listed(read.several_or_none, 0)]
Addresses: TypeAlias = Annotated[tuple[Address, ...], _Listed(read.several, 1)]
Hosts: TypeAlias = Annotated[tuple[Host, ...], _Listed(read.several_or_none, 0)]
AlertNames: TypeAlias = Annotated[tuple[ChannelName, ...], _Listed(read.several_or_none, 0)]
Domains: TypeAlias = Annotated[tuple[Domain, ...], _Listed(read.several_or_none, 0)]
Texts: TypeAlias = Annotated[tuple[Text, ...], _Listed(read.several, 1)]
Group: TypeAlias = Annotated[str, Reader(read.group, _text_schema("a group", read.GROUP))]
Version: TypeAlias = Annotated[int, Reader(read.version, {"const": 1})]
PagerDutyRegion: TypeAlias = Annotated[
    Literal["us", "eu"],
    Reader(read.word(("us", "eu")), _words_schema(("us", "eu"))),
]
TimeOfDay: TypeAlias = Annotated[
    time,
    Reader(read.time_of_day, _text_schema('a time of day such as `"22:00"`', read.TIME_OF_DAY)),
]
DigestWord: TypeAlias = Annotated[
    Literal["daily", "weekly"],
    Reader(read.word(("daily", "weekly")), _words_schema(("daily", "weekly"))),
]
OnOverrun: TypeAlias = Annotated[
    Literal["alert", "cancel"],
    Reader(read.word(("alert", "cancel")), _words_schema(("alert", "cancel"))),
]
AcceleratorMove: TypeAlias = Annotated[
    Literal["bigger", "more_memory", "none"],
    Reader(read.accelerator_move, _words_schema(read.ACCELERATOR_MOVES)),
]
AcceleratorName: TypeAlias = Annotated[str, Reader(read.accelerator_type, _text_schema("text"))]
BatchSize: TypeAlias = Annotated[
    int | Literal["halve"],
    Reader(
        integer_or("halve", 1, 1_000_000),
        {"anyOf": [{"type": "integer", "minimum": 1}, {"const": "halve"}]},
    ),
]
Replicas: TypeAlias = Annotated[
    int | Literal["double"],
    Reader(
        integer_or("double", 1, 10_000),
        {"anyOf": [{"type": "integer", "minimum": 1}, {"const": "double"}]},
    ),
]
Timeout: TypeAlias = Annotated[
    timedelta | Literal["double", "sized"],
    Reader(
        quantities.duration_or("double", "sized"),
        {"anyOf": [_DURATION_SCHEMA, _words_schema(("double", "sized"))]},
    ),
]
Wait: TypeAlias = Annotated[
    timedelta | Literal["backoff"],
    Reader(quantities.duration_or("backoff"), {"anyOf": [_DURATION_SCHEMA, {"const": "backoff"}]}),
]
Output: TypeAlias = Annotated[
    Literal["same", "attempt"],
    Reader(read.word(("same", "attempt")), _words_schema(("same", "attempt"))),
]
Switch: TypeAlias = Annotated[bool, Reader(read.boolean, {"type": "boolean"})]
Off: TypeAlias = Annotated[bool, Reader(read.only_false, {"const": False})]
Factor: TypeAlias = Annotated[
    float,
    Reader(
        number(1.01, 1000, "a factor, more than 1"),
        {"type": "number", "minimum": 1.01, "maximum": 1000},
    ),
]
MemorySize: TypeAlias = Annotated[
    float,
    Reader(quantities.memory_gib, _text_schema("a size such as `256GiB`", SIZE)),
]
DiskSize: TypeAlias = Annotated[
    int | Literal["double"],
    Reader(
        quantities.disk_gb_or("double"),
        {"anyOf": [_text_schema("a size such as `200GB`", SIZE), {"const": "double"}]},
    ),
]
Strategy: TypeAlias = Annotated[
    Literal["STANDARD", "SPOT", "FLEX_START"],
    Reader(read.word(read.STRATEGIES), _words_schema(read.STRATEGIES)),
]
Halve: TypeAlias = Annotated[Literal["halve"], Reader(read.word(("halve",)), {"const": "halve"})]
Variable: TypeAlias = Annotated[
    str,
    Reader(read.variable, _text_schema("a variable's name", rf"(?!REMEDIATOR_){read.VARIABLE}")),
]
Flag: TypeAlias = Annotated[
    str,
    Reader(
        read.matching(read.FLAG, "a flag such as --batch_size"), _text_schema("a flag", read.FLAG)
    ),
]
Rows: TypeAlias = Annotated[
    Literal["all", "remaining"],
    Reader(read.word(("all", "remaining")), _words_schema(("all", "remaining"))),
]
ExitCode: TypeAlias = Annotated[
    int,
    Reader(integer(1, 255), {"type": "integer", "minimum": 1, "maximum": 255}),
]
ExitCodes: TypeAlias = Annotated[tuple[ExitCode, ...], _Listed(read.several, 1)]
Zone: TypeAlias = Annotated[
    str,
    Reader(read.zone, _text_schema("a time zone", "[A-Za-z][A-Za-z0-9_+/-]{0,63}")),
]
