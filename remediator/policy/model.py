"""The policy file as frozen values: every key, its type, its bounds and its one-line meaning.

Owns the shape of the file and what can be said of one value alone; `lints` knows what values mean
to each other, `positions` where they stand in the text. Must not read files or the environment.
The JSON Schema and the reference page are made from the descriptions here. Called by `language`;
the planner and the guards read the values.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any, Literal, Self, TypeAlias, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    PlainValidator,
    PrivateAttr,
    Tag,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import PydanticCustomError

from remediator.domain import Cause, JobKind, Mode

OWNER = "owner"
"""In an `alert` list: whoever the owner map finds for the job."""

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
_GROUPS = ("service_account", "location", "model")


def wrong(message: str) -> PydanticCustomError:
    """What a leaf raises: a sentence for the person who wrote the value."""
    return PydanticCustomError("policy", "{message}", {"message": message})


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean `x`?` for the nearest known word, or nothing when none is near."""
    names = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower().replace("-", "_"), names, n=1, cutoff=0.6)
    near = near or difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f"; did you mean `{names[near[0]]}`?" if near else ""


def shown(value: object) -> str:
    """A value as it may stand in a message: short, on one line, as YAML would write it."""
    words: Mapping[object, str] = {None: "nothing", True: "true", False: "false"}
    if value is None or isinstance(value, bool):
        return words[value]
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    text = str(value)
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
        msg = (
            "a secret must not stand in this file: write `env:NAME` (an environment variable) "
            "or `secret:NAME` (Secret Manager)"
        )
        raise wrong(msg)
    return value


def _integer(least: int, most: int = 1_000_000) -> Callable[[object], int]:
    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            msg = f"expected a whole number, got {shown(value)}"
            raise wrong(msg)
        if not least <= value <= most:
            msg = f"{shown(value)} is out of range: from {least} to {most}"
            raise wrong(msg)
        return value

    return check


def _number(least: float, most: float, what: str) -> Callable[[object], float]:
    def check(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            msg = f"expected {what}, got {shown(value)}"
            raise wrong(msg)
        if not least <= value <= most:  # also refuses .nan
            msg = f"{shown(value)} is out of range: {what}"
            raise wrong(msg)
        return float(value)

    return check


def parse_duration(value: object) -> timedelta:
    """`10m`, `0.5s`, `6h`, `1d` (also `250ms`) as a timedelta, above zero and at most 366 days."""
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str) or re.fullmatch(_DURATION, value) is None:
        hint = "s" if isinstance(value, int | float) and not isinstance(value, bool) else ""
        meant = f"; did you mean `{value}{hint}`?" if hint else ""
        msg = f"expected a duration such as 30s, 10m, 6h or 1d, got {shown(value)}{meant}"
        raise wrong(msg)
    number, unit = re.fullmatch(r"([0-9.]+)([a-z]+)", value).groups()  # type: ignore[union-attr]  # holds by _DURATION
    seconds = float(number) * _UNITS[unit]
    if not 0 < seconds <= _LONGEST.total_seconds():
        msg = f"{shown(value)} is out of range: more than nothing, at most 366d"
        raise wrong(msg)
    return timedelta(seconds=seconds)


def _duration_or(word: str) -> Callable[[object], timedelta | str]:
    def check(value: object) -> timedelta | str:
        if value == word:
            return word
        try:
            return parse_duration(value)
        except PydanticCustomError as error:
            msg = f"{error.message()}, or `{word}`"
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
    meant = f"; did you mean `{value}x`?" if isinstance(value, int) and value > 0 else ""
    msg = f"expected a factor such as 3x (1x to 1000x), got {shown(value)}{meant}"
    raise wrong(msg)


def _group(value: object) -> str:
    text = _text(value)
    if text in _GROUPS or re.fullmatch(r"labels\.[a-z0-9_-]{1,63}", text):
        return text
    known = [*_GROUPS, "labels.NAME"]
    msg = f"unknown value {shown(text)}{did_you_mean(text, _GROUPS) or f' (one of {known})'}"
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
        msg = f"version {shown(value)} is not known here: this product reads version 1"
        raise wrong(msg)
    return value


def _several(value: object) -> object:
    """One value stands for a list of one."""
    if value is None or isinstance(value, Mapping):
        msg = f"expected one value or a list, got {shown(value)}"
        raise wrong(msg)
    if isinstance(value, list | tuple):
        if not value:
            msg = "the list is empty: it would never match; leave the key out to match everything"
            raise wrong(msg)
        return value
    return [value]


def _several_or_none(value: object) -> object:
    """As `_several`, where an empty list says something: nobody, nothing."""
    return value if isinstance(value, list | tuple) else _several(value)


def _text_schema(pattern: str = "") -> dict[str, Any]:
    return (
        {"type": "string", "pattern": f"^({pattern})$"}
        if pattern
        else {
            "type": "string",
            "minLength": 1,
        }
    )


def _words_schema(words: Iterable[str]) -> dict[str, Any]:
    return {"type": "string", "enum": list(words)}


_DURATION_SCHEMA = _text_schema(_DURATION)

Text: TypeAlias = Annotated[str, PlainValidator(_text), WithJsonSchema(_text_schema())]
Glob: TypeAlias = Text
Secret: TypeAlias = Annotated[
    str, PlainValidator(_secret), WithJsonSchema(_text_schema(_KEPT_ELSEWHERE))
]
Address: TypeAlias = Annotated[
    str,
    PlainValidator(_matching(_ADDRESS, "an e-mail address")),
    WithJsonSchema(_text_schema(_ADDRESS)),
]
Host: TypeAlias = Annotated[str, PlainValidator(_host), WithJsonSchema(_text_schema(_HOST))]
Domain: TypeAlias = Annotated[
    str,
    PlainValidator(_matching(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+", "a domain such as example.com")),
    WithJsonSchema(_text_schema(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")),
]
PolicyName: TypeAlias = Annotated[
    str,
    PlainValidator(_matching(_NAME, "a name: a-z, 0-9 and -, at most 63")),
    WithJsonSchema(_text_schema(_NAME)),
]
ChannelName: TypeAlias = Annotated[
    str,
    PlainValidator(_matching(_CHANNEL_NAME, "a channel's name: letters, digits, - and _")),
    WithJsonSchema(_text_schema(_CHANNEL_NAME)),
]
Usd: TypeAlias = Annotated[
    float,
    PlainValidator(_number(0, 1e9, "US dollars, 0 or more")),
    WithJsonSchema({"type": "number", "minimum": 0}),
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
    float, PlainValidator(_times), WithJsonSchema(_text_schema(r"[0-9]{1,4}(\.[0-9]{1,3})?x"))
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

_ONE_OR_SEVERAL = BeforeValidator(_several)
_NONE_OR_SEVERAL = BeforeValidator(_several_or_none)
Causes: TypeAlias = Annotated[tuple[CauseWord, ...], _ONE_OR_SEVERAL]
Kinds: TypeAlias = Annotated[tuple[KindWord, ...], _ONE_OR_SEVERAL]
SafeKinds: TypeAlias = Annotated[tuple[KindWord, ...], _NONE_OR_SEVERAL]
Globs: TypeAlias = Annotated[tuple[Glob, ...], _ONE_OR_SEVERAL]
Addresses: TypeAlias = Annotated[tuple[Address, ...], _ONE_OR_SEVERAL]
Hosts: TypeAlias = Annotated[tuple[Host, ...], _NONE_OR_SEVERAL]
AlertNames: TypeAlias = Annotated[tuple[ChannelName, ...], _NONE_OR_SEVERAL]


class Part(BaseModel):
    """A mapping of the policy file: frozen, and every key it does not know is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)


# --- limits ------------------------------------------------------------------------------------


class Breaker(Part):
    """Stops a policy, or resubmissions of a model, whose attempts keep failing."""

    failed_share: Share = Field(description="Share of the last attempts that failed, 0 to 1.")
    of_last: Positive = Field(description="How many finished attempts are looked at.")
    pause: Duration = Field(description="How long nothing is resubmitted then.")


class Per(Part):
    """Budgets of one group of jobs, so that one team cannot spend another's."""

    by: Annotated[str, PlainValidator(_group), WithJsonSchema(_text_schema())] = Field(
        description="What makes a group: `service_account`, `location`, `model` or `labels.NAME`."
    )
    usd_per_day: Usd | None = Field(
        default=None, description="US dollars a group may cost in a UTC day."
    )
    resubmissions_per_hour: Whole | None = Field(
        default=None, description="Resubmissions of a group in any 60 minutes."
    )


OnOverrun: TypeAlias = Literal["alert", "cancel"]
_OnOverrun: TypeAlias = Annotated[
    OnOverrun,
    PlainValidator(_word(("alert", "cancel"))),
    WithJsonSchema(_words_schema(("alert", "cancel"))),
]


class _Bounds(Part):
    usd_per_job: Usd | None = Field(
        default=None, description="US dollars, all resubmissions of one root job together."
    )
    usd_per_day: Usd | None = Field(default=None, description="US dollars in a UTC day.")
    resubmissions_per_hour: Whole | None = Field(
        default=None, description="Resubmissions in any 60 minutes."
    )
    per: tuple[Per, ...] = Field(default=(), description="Budgets for groups of jobs.")
    max_run: Times | None = Field(
        default=None,
        description="Bounds an attempt that has no time-out of its own: this many times the longest "
        "of the failed run, a successful run of a similar job, and 24 h. Never shortens a time-out "
        "that the job sets itself.",
    )
    machine_types: Globs | None = Field(
        default=None, description="Machine types that may be chosen; globs."
    )
    accelerators: Globs | None = Field(
        default=None, description="Accelerators that may be chosen; globs."
    )
    locations: Globs | None = Field(default=None, description="Regions that may be chosen; globs.")
    breaker: Breaker | None = Field(
        default=None,
        description="For each policy and each model: stop when our own attempts keep failing.",
    )


class Limits(_Bounds):
    """What holds for every policy. An absent limit does not limit, but for attempts and retries."""

    attempts: Whole = Field(default=3, description="Changed resubmissions of one root job.")
    retries: Whole = Field(
        default=5, description="Unchanged resubmissions of one root job, a budget of their own."
    )
    on_overrun: _OnOverrun = Field(
        default="alert",
        description="What is done when an attempt's accrued cost passes `usd_per_job`.",
    )

    @property
    def has_money_limit(self) -> bool:
        """Whether any budget in dollars is set: an unknown price refuses only then."""
        groups = any(group.usd_per_day is not None for group in self.per)
        return self.usd_per_job is not None or self.usd_per_day is not None or groups


class Tighter(_Bounds):
    """A policy's own limits: each may tighten the general one, never loosen it."""

    attempts: Whole | None = Field(
        default=None, description="Changed resubmissions of one root job."
    )
    retries: Whole | None = Field(
        default=None, description="Unchanged resubmissions of one root job."
    )
    on_overrun: _OnOverrun | None = Field(
        default=None,
        description="What is done when an attempt's accrued cost passes `usd_per_job`.",
    )


# --- steps -------------------------------------------------------------------------------------

MACHINE_MOVES = ("bigger", "more_memory", "sized")
ACCELERATOR_MOVES = ("bigger", "more_memory", "none")
LOCATION_MOVES = ("next", "data")
AcceleratorMove: TypeAlias = Literal["bigger", "more_memory", "none"]


class Accelerator(Part):
    """An accelerator by name, with the number of devices for each replica."""

    type: Text = Field(description="Vertex's name, such as NVIDIA_TESLA_T4.")
    count: Positive = Field(default=1, description="Devices for each replica.")


def _accelerator_form(value: object) -> str:
    return "named" if isinstance(value, Mapping | Accelerator) else "move"


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


class Resubmit(Part):
    """What the next attempt changes; with no key, it is the same job again."""

    machine_type: Text | None = Field(
        default=None,
        description="A name; `bigger` (next size up in the family); `more_memory` (cheapest type of "
        "the family's generation with at least twice the memory); `sized` (cheapest change that "
        "the evidence says will do, within the limits).",
    )
    accelerator: (
        Annotated[
            Annotated[Accelerator, Tag("named")]
            | Annotated[
                AcceleratorMove,
                PlainValidator(_accelerator_move),
                WithJsonSchema(_words_schema(ACCELERATOR_MOVES)),
                Tag("move"),
            ],
            Discriminator(_accelerator_form),
        ]
        | None
    ) = Field(
        default=None,
        description="`{type, count}`; `bigger` (more devices, or the next type up); `more_memory` "
        "(cheapest type with more memory on each device, with its machine); `none`.",
    )
    batch_size: Annotated[
        int | Literal["halve"] | None,
        PlainValidator(_integer_or("halve", 1, 1_000_000)),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "halve"}]}),
    ] = Field(
        default=None, description="A number, or `halve` (default 64; at 1, the next step is taken)."
    )
    replicas: Annotated[
        int | Literal["double"] | None,
        PlainValidator(_integer_or("double", 1, 10_000)),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "double"}]}),
    ] = Field(
        default=None,
        description="A number, or `double` (batch: the starting replica count, which is the one "
        "that counts; custom: the worker pool's).",
    )
    timeout: Annotated[
        timedelta | Literal["double"] | None,
        PlainValidator(_duration_or("double")),
        WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"const": "double"}]}),
    ] = Field(default=None, description="A duration, or `double`.")
    spot: Annotated[bool | None, PlainValidator(_boolean), WithJsonSchema({"type": "boolean"})] = (
        Field(None, description="`true` or `false` (jobs whose API version has it).")
    )
    location: Text | None = Field(
        default=None,
        description="A name, `next` (of the allowed ones) or `data` (where the input lives); refused "
        "with the reason where model, data, keys or network cannot follow.",
    )
    explanations: Annotated[
        bool | None, PlainValidator(_only_false), WithJsonSchema({"const": False})
    ] = Field(default=None, description="`false`: do without them (batch prediction).")
    output: Annotated[
        Literal["same", "attempt"],
        PlainValidator(_word(("same", "attempt"))),
        WithJsonSchema(_words_schema(("same", "attempt"))),
    ] = Field(
        default="same",
        description="`same` (a restart finds its checkpoints) or `attempt` (base output directory "
        "+ `/attempt-N`).",
    )
    wait: Annotated[
        timedelta | Literal["backoff"] | None,
        PlainValidator(_duration_or("backoff")),
        WithJsonSchema({"anyOf": [_DURATION_SCHEMA, {"const": "backoff"}]}),
    ] = Field(
        default=None,
        description="A duration, or `backoff` (10 min x 2^(k-1) for the k-th unchanged retry, at "
        "most 6 h).",
    )

    @property
    def asks_for_change(self) -> bool:
        """Whether a field of the job is asked to differ; waiting alone changes nothing."""
        asked = self.model_dump(exclude={"wait", "output"}, exclude_none=True)
        return bool(asked) or self.output == "attempt"


class Step(Part):
    """A rung of a policy's ladder."""

    resubmit: Annotated[Resubmit, BeforeValidator(lambda value: {} if value is None else value)] = (
        Field(description="What the attempt changes; `{}` is the same job again.")
    )
    times: Positive = Field(
        default=1, description="How often this step may be taken before the next."
    )


# --- matching ----------------------------------------------------------------------------------


class When(Part):
    """Which failures a policy is for: every key that is given must hold."""

    cause: Causes | None = Field(default=None, description="The verdict is one of these causes.")
    job: Kinds | None = Field(default=None, description="The job is of one of these kinds.")
    min_confidence: Share = Field(
        default=0.5,
        description="The verdict's confidence is at least this. A policy that names neither a cause "
        "nor this key asks for none.",
    )
    labels: dict[str, Globs] = Field(
        default_factory=dict, description="The job has these labels; values may be globs."
    )
    location: Globs | None = Field(default=None, description="Globs; the job's region.")
    model: Globs | None = Field(default=None, description="Globs; the model of a batch prediction.")
    service_account: Globs | None = Field(
        default=None, description="Globs; the account the job runs as."
    )
    condition: Text | None = Field(
        default=None, alias="if", description="A CEL expression over the variables below."
    )

    @property
    def needed_confidence(self) -> float:
        """`min_confidence`, or 0 where the policy asks for no cause and for no confidence."""
        asked = self.cause is not None or "min_confidence" in self.model_fields_set
        return self.min_confidence if asked else 0.0


class Policy(Part):
    """What is done about one sort of failure. The first policy of the file that matches decides."""

    name: PolicyName = Field(description="a-z, 0-9 and `-`, at most 63; each name once.")
    when: When = Field(default=When(), description="Which failures it is for.")
    do: tuple[Step, ...] = Field(
        default=(), description="Steps, in order; past the last one, and with none, only an alert."
    )
    limits: Tighter = Field(
        default=Tighter(), description="Limits of its own, none looser than the general ones."
    )
    alert: AlertNames = Field(
        default=(), description="Channels that are told; `owner` is whoever the owner map finds."
    )


# --- channels, owners, approvers, probes -------------------------------------------------------


class Slack(Part):
    """A Slack channel: by incoming webhook, or by a bot (whose messages can be kept current)."""

    webhook: Secret | None = Field(
        default=None, description="Where the incoming webhook's URL is kept."
    )
    token: Secret | None = Field(default=None, description="Where the bot's token is kept.")
    channel: Text | None = Field(default=None, description="The channel a bot writes to.")

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.webhook is None) == (self.token is None):
            msg = "`slack` needs either `webhook`, or `token` and `channel`"
            raise wrong(msg)
        if (self.token is None) != (self.channel is None):
            msg = "`token` and `channel` belong together (a webhook knows its own channel)"
            raise wrong(msg)
        return self


class Email(Part):
    """Mail by SMTP."""

    smtp: Secret = Field(description="Where the server's URL (smtp:// or smtps://) is kept.")
    sender: Address = Field(alias="from", description="The sender's address.")
    to: Addresses = Field(description="One address or several.")


class Channel(Part):
    """Where alerts go: either Slack or e-mail."""

    slack: Slack | None = Field(default=None, description="A Slack channel.")
    email: Email | None = Field(default=None, description="Addresses, by mail.")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.slack is None) == (self.email is None):
            msg = "a channel needs either `slack` or `email`"
            raise wrong(msg)
        return self


class OwnerRule(Part):
    """Whose job it is: every key that is given must hold."""

    labels: dict[str, Globs] = Field(
        default_factory=dict, description="The job has these labels; values may be globs."
    )
    service_account: Globs | None = Field(
        default=None, description="Globs; the account the job runs as."
    )
    to: Text = Field(description="A channel's name, or an e-mail address in an allowed domain.")


class Owners(Part):
    """Finds the owner of a job for `alert: [owner]`; the first rule that fits decides."""

    domains: Annotated[tuple[Domain, ...], _NONE_OR_SEVERAL] = Field(
        default=(), description="Domains whose addresses may be written to."
    )
    email: ChannelName | None = Field(
        default=None,
        description="The e-mail channel whose server and sender carry mail to addresses.",
    )
    rules: tuple[OwnerRule, ...] = Field(description="Tried in order.")


class Approvers(Part):
    """Who may answer a plan by its buttons in Slack."""

    slack: Annotated[tuple[Text, ...], _ONE_OR_SEVERAL] = Field(
        description="Slack member ids, such as U024BE7LH."
    )
    signing_secret: Secret = Field(description="Where the Slack app's signing secret is kept.")


class Probes(Part):
    """External data sources whose latency may be measured."""

    hosts: Hosts = Field(
        default=(), description="Names of hosts; a leading `*.` is allowed. Empty: none."
    )
    threshold: Duration = Field(
        default=timedelta(seconds=0.5), description="Slower than this is slow."
    )


# --- the file ----------------------------------------------------------------------------------


class Policies(Part):
    """A policy file."""

    version: Annotated[int, PlainValidator(_version), WithJsonSchema({"const": 1})] = Field(
        description="The language's version: 1."
    )
    mode: ModeWord = Field(
        default=Mode.OBSERVE,
        description="`enforce`, `approve` (a person says yes first) or `observe` (plan and alert, "
        "change nothing).",
    )
    rerun_safe: SafeKinds = Field(
        default=(JobKind.BATCH_PREDICTION,),
        description="Kinds of jobs that may be run again without a person's yes; any other kind "
        "gets `approve` at most, unless the job carries the label `remediator=on`.",
    )
    limits: Limits = Field(default=Limits(), description="Limits for every policy.")
    probes: Probes = Field(default=Probes(), description="What may be measured.")
    channels: dict[ChannelName, Channel] = Field(
        default_factory=dict, description="Where alerts can go, by name."
    )
    owners: Owners | None = Field(default=None, description="Whose job it is.")
    approvers: Approvers | None = Field(default=None, description="Who may approve in Slack.")
    policies: tuple[Policy, ...] = Field(
        description="The policies, in order: the first that matches decides."
    )

    _channel_hosts: tuple[str, ...] | None = PrivateAttr(None)

    @property
    def channel_hosts(self) -> tuple[str, ...] | None:
        """Hosts that channels may speak to, by the operator's ceiling; None: any."""
        return self._channel_hosts

    def limits_for(self, policy: Policy) -> Limits:
        """The general limits with the policy's own laid over them, the tighter of each."""
        return tightened(self.limits, policy.limits)

    def owner_of(self, labels: Mapping[str, str], service_account: str) -> str | None:
        """A channel's name or an e-mail address for the job; None where no rule fits."""
        for rule in self.owners.rules if self.owners else ():
            accounts = rule.service_account
            if matches_labels(rule.labels, labels) and (
                accounts is None or matches_any(accounts, service_account)
            ):
                return rule.to
        return None


def matches_any(globs: Iterable[str], text: str) -> bool:
    """Whether the text fits one of the globs (`*`, `?`, `[abc]`), case and all."""
    return any(fnmatchcase(text, glob) for glob in globs)


def matches_labels(asked: Mapping[str, tuple[str, ...]], labels: Mapping[str, str]) -> bool:
    """Whether every asked label is there with a value that fits one of its globs."""
    return all(key in labels and matches_any(globs, labels[key]) for key, globs in asked.items())


_SMALLER = (
    "attempts",
    "retries",
    "usd_per_job",
    "usd_per_day",
    "resubmissions_per_hour",
    "max_run",
)
_LISTS = ("machine_types", "accelerators", "locations")


def tightened(general: Limits, own: Tighter) -> Limits:
    """The tighter of each: the smaller number, the narrower list, `cancel` over `alert`."""
    merged: dict[str, Any] = {name: getattr(general, name) for name in Limits.model_fields}
    for name in _SMALLER:
        values = [v for v in (getattr(general, name), getattr(own, name)) if v is not None]
        merged[name] = min(values, default=None)
    for name in (*_LISTS, "breaker"):
        if getattr(own, name) is not None:
            merged[name] = getattr(own, name)
    merged["per"] = general.per + own.per
    merged["on_overrun"] = "cancel" if "cancel" in {general.on_overrun, own.on_overrun} else "alert"
    return Limits.model_construct(**merged)


_MODES = (Mode.OBSERVE, Mode.APPROVE, Mode.ENFORCE)


def bound(
    policies: Policies,
    *,
    max_mode: Mode | None = None,
    max_usd_per_day: float | None = None,
    max_usd_per_job: float | None = None,
    channel_hosts: Iterable[str] | None = None,
) -> Policies:
    """The policies under the operator's ceilings, which hold whatever the file says.

    Money in USD. Where a channel speaks to stands in its secret, so `channel_hosts` is carried
    along (`policies.channel_hosts`) for whoever opens the secret to check.
    """

    def least(own: float | None, most: float | None) -> float | None:
        return min((v for v in (own, most) if v is not None), default=None)

    limits = policies.limits.model_copy(
        update={
            "usd_per_day": least(policies.limits.usd_per_day, max_usd_per_day),
            "usd_per_job": least(policies.limits.usd_per_job, max_usd_per_job),
        }
    )
    mode = min(policies.mode, max_mode or policies.mode, key=_MODES.index)
    bounded = policies.model_copy(update={"mode": mode, "limits": limits})
    bounded._channel_hosts = tuple(channel_hosts) if channel_hosts is not None else None  # noqa: SLF001  # our own class
    return bounded
