"""One YAML value in, one Python value or a plain sentence out: what each value of the policy file may be.

Numbers, durations and sizes are read by `quantities`. Knows no keys, and no schema (`values` puts each beside
its own). Called by `values`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import time
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo, available_timezones

from remediator.domain import NOTHING_WRONG, WatchVerdict
from remediator.domain.late_pattern import late_pattern
from remediator.domain.numbers import is_whole
from remediator.policy.suggestions import did_you_mean, shown, wrong

NAME = r"[a-z0-9-]{1,63}"
CHANNEL_NAME = r"[A-Za-z0-9_-]{1,63}"
KEPT_ELSEWHERE = (
    r"env:[A-Za-z_][A-Za-z0-9_]{0,254}"
    r"|secret:(projects/[a-z0-9.:-]{1,100}/secrets/)?[A-Za-z0-9_-]{1,255}(/versions/[a-z0-9]{1,20})?"
)
ADDRESS = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+"
HOST = r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:[0-9]{1,5})?"
ACCELERATOR_MOVES = ("bigger", "more_memory", "none")
MACHINE_MOVES = ("bigger", "more_memory", "sized")
LOCATION_MOVES = ("next", "data")
STRATEGIES = ("STANDARD", "SPOT", "FLEX_START")
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,254}"
FLAG = r"-{0,2}[A-Za-z][A-Za-z0-9_.-]{0,99}"
_GROUPS = ("service_account", "location", "model")
GROUP = r"service_account|location|model|labels\.[a-z0-9_-]{1,63}"


# --- values: each turns one YAML value into a Python value, or says what was expected -------------


def plain_text(value: object) -> str:
    if isinstance(value, bool | int | float):
        msg = f"expected text, got {shown(value)}: put it in quotes"
        raise wrong(msg)
    if not isinstance(value, str) or not value.strip():
        msg = f"expected text, got {shown(value)}"
        raise wrong(msg)
    return value


def matching(regex: str, what: str) -> Callable[[object], str]:
    def check(value: object) -> str:
        text = plain_text(value)
        if re.fullmatch(regex, text) is None:
            msg = f"{shown(text)} is not {what}"
            raise wrong(msg)
        return text

    return check


def secret(value: object) -> str:
    if not isinstance(value, str) or re.fullmatch(KEPT_ELSEWHERE, value) is None:
        # The value itself stays out of the message: it may be the secret.
        raise wrong(_NO_SECRETS)
    return value


_NO_SECRETS = (
    "a secret must not stand in this file: write `env:NAME` (an environment variable) "
    "or `secret:NAME` (Secret Manager)"
)


def slack_channel(value: object) -> str:
    from remediator.redaction import redact  # noqa: PLC0415  # cold start: it needs RE2

    text = plain_text(value)
    if redact(text) != text:
        raise wrong(_NO_SECRETS)
    return text


def word(words: Iterable[str]) -> Callable[[object], str]:
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


def member(enum: type[_Enum]) -> Callable[[object], _Enum]:
    check = word([one.value for one in enum])
    return lambda value: enum(check(value))


def group(value: object) -> str:
    text = plain_text(value)
    if re.fullmatch(GROUP, text):
        return text
    named = f" (one of {', '.join(_GROUPS)}, labels.NAME)"
    label = f"labels.{re.sub('^labels?[.:/]', '', text)}"
    if label != f"labels.{text}" and re.fullmatch(GROUP, label):
        named = f"; did you mean `{label}`?"
    msg = f"unknown value {shown(text)}{did_you_mean(text, _GROUPS) or named}"
    raise wrong(msg)


def host(value: object) -> str:
    text = plain_text(value)
    if "://" in text or "/" in text:
        msg = f"{shown(text)} is a URL: only the host's name stands here"
        raise wrong(msg)
    return matching(HOST, "the name of a host (a leading `*.` is allowed)")(text)


def only_false(value: object) -> bool:
    if value is not False:
        msg = f"expected false (explanations can only be turned off), got {shown(value)}"
        raise wrong(msg)
    return False


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        meant = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(value).lower())
        msg = f"expected true or false, got {shown(value)}"
        raise wrong(msg + (f"; did you mean `{meant}`?" if meant else ""))
    return value


def version(value: object) -> int:
    if value != 1 or not is_whole(value):
        said = "this product reads version 1"
        if str(value) in {"1", "1.0"}:
            said += ", the number: write 1, without quotes or a point"
        msg = f"{shown(value)} is not known here: {said}"
        raise wrong(msg)
    return value


def several(value: object) -> object:
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


def empty_if_none(value: object) -> object:
    """A key with nothing after it is one with an empty mapping."""
    return {} if value is None else value


def several_or_none(value: object) -> object:
    """As `several`, where an empty list says something: nobody, nothing."""
    return value if isinstance(value, list | tuple) else several(value)


def accelerator_move(value: object) -> str:
    if isinstance(value, str) and value in ACCELERATOR_MOVES:
        return value
    named = (
        f"; write {{type: {value}, count: 1}}"
        if isinstance(value, str) and _AN_ACCELERATOR.fullmatch(value)
        else ""
    )
    meant = did_you_mean(value, ACCELERATOR_MOVES) if isinstance(value, str) else ""
    words = ", ".join(ACCELERATOR_MOVES)
    msg = f"expected {{type, count}} or one of {words}; got {shown(value)}{meant or named}"
    raise wrong(msg)


_A_MACHINE = late_pattern(
    r"cloud-tpu|custom-[a-z0-9-]{1,40}|[a-z]{1,4}[0-9]{1,2}[a-z]{0,3}"
    r"((-[a-z0-9]{1,20}){1,6}|(standard|high[a-z]{3}|ultra[a-z]{3}|mega[a-z]{3})[0-9]{1,3}g?)",
    re.IGNORECASE,
)
_AN_ACCELERATOR = late_pattern(
    r"(?=.*[0-9])((NVIDIA|TPU|AMD|INTEL|GOOGLE|CLOUD)[_-]?[A-Z0-9_-]{1,50}|[A-Z]{1,4}[0-9]{1,4}[A-Z0-9_-]{0,20})",
    re.IGNORECASE,
)


def machine_type(value: object) -> str:
    """A move, or what could be a machine type's name: Google adds types."""
    text = plain_text(value)
    if text in MACHINE_MOVES or _A_MACHINE.fullmatch(text):
        return text
    named = f" ({', '.join(MACHINE_MOVES)}, or a name such as n1-standard-16)"
    msg = f"{shown(text)} is not a machine type{did_you_mean(text, MACHINE_MOVES) or named}"
    raise wrong(msg)


def accelerator_type(value: object) -> str:
    """What could be an accelerator's name: Google adds types."""
    text = plain_text(value)
    if _AN_ACCELERATOR.fullmatch(text):
        return text
    msg = f"{shown(text)} is not an accelerator: write Vertex's name, such as NVIDIA_TESLA_T4"
    raise wrong(msg)


def variable(value: object) -> str:
    """A variable's name, none of ours and none of Vertex's own."""
    text = matching(VARIABLE, "the name of an environment variable")(value)
    if text.startswith("REMEDIATOR_"):
        msg = f"{shown(text)} is set by the remediator itself"
        raise wrong(msg)
    return text


def zone(value: object) -> str:
    text = plain_text(value)
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):  # no such name, or no name at all
        near = did_you_mean(text, available_timezones())
        msg = f"{shown(text)} is not a time zone{near or ': write a name such as Europe/Berlin'}"
        raise wrong(msg) from None
    return text


_LONGEST_PATTERN = 1000  # characters; chosen: nobody reads a longer one
WATCH_WORDS = ("alert", "cancel", "cancel_resubmit")


def pattern(value: object) -> str:
    """A regular expression in RE2's syntax, whose time is linear in the text."""
    import re2  # noqa: PLC0415  # cold start: a file without a log rule does not pay for it

    text = plain_text(value)
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


def running(value: object) -> WatchVerdict:
    """A verdict on which something can be done."""
    if value in {one.value for one in NOTHING_WRONG}:
        msg = f"{shown(value)} is not a verdict on which anything is done: leave it out"
        raise wrong(msg)
    return WatchVerdict(word(one for one in WatchVerdict if one not in NOTHING_WRONG)(value))


def watch_word(value: object) -> str:
    if isinstance(value, str) and value in WATCH_WORDS:
        return value
    if isinstance(value, list | tuple):
        msg = "expected one of alert, cancel, {cancel_resubmit: {checkpoint: required}}; got a list"
        raise wrong(msg)
    return word(WATCH_WORDS)(value)


def mapping_or_word(value: object) -> str:
    """Which of two forms a value has: `named` for a mapping or a part, `word` for anything else."""
    return "word" if isinstance(value, str | int | float | list | tuple | None) else "named"


TIME_OF_DAY = r"([01][0-9]|2[0-3]):[0-5][0-9]"


def time_of_day(value: object) -> time:
    if not isinstance(value, str) or re.fullmatch(TIME_OF_DAY, value) is None:
        msg = f'expected a time of day such as "22:00", got {shown(value)}'
        padded = f"0{value}" if re.fullmatch(r"[0-9]:[0-5][0-9]", str(value)) else ""
        raise wrong(msg + (f'; did you mean "{padded}"?' if padded else ""))
    return time.fromisoformat(value)
