"""What a batch prediction did with its rows: the account of the contract, and which failures pass.

Owns the form of the account (`rows --json`, a case's `rows`), whether a resume is worth it, and which
error messages of a row may pass when it is sent again. How an account is made is the business of
`remediator.rows`. Pure; asked by that room, diagnosis and policies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from remediator.domain import InvalidInput, Json
from remediator.domain.late_pattern import late_pattern
from remediator.domain.numbers import as_whole, is_whole

CONTENT = "content"
"""The key of an account whose rows were matched by their canonical JSON."""

_PASSING = frozenset({4, 8, 13, 14, 429, 499, 500, 503, 504})  # the contract's
_PASSING_FOR_GEMINI = frozenset({9})  # these mostly succeed when sent again, facts of two users
_LEAST_DONE = 0.1  # of all rows, for a resume to be worth it: the issue's
_LEAST_GOOD = 0.5  # of the rows that came back, below which the model is broken: the issue's

_NAMES = {
    "CANCELLED": 499, "UNKNOWN": 2, "INVALID_ARGUMENT": 3, "DEADLINE_EXCEEDED": 4, "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6, "PERMISSION_DENIED": 7, "RESOURCE_EXHAUSTED": 8, "FAILED_PRECONDITION": 9,
    "ABORTED": 10, "OUT_OF_RANGE": 11, "UNIMPLEMENTED": 12, "INTERNAL": 13, "UNAVAILABLE": 14,
    "DATA_LOSS": 15, "UNAUTHENTICATED": 16,
}  # fmt: skip
"""google.rpc names; CANCELLED by its HTTP code, under which the contract lists it."""
_REASONS = {
    "bad request": 400, "unauthorized": 401, "forbidden": 403, "not found": 404,
    "payload too large": 413, "request entity too large": 413, "unprocessable entity": 422,
    "too many requests": 429, "client closed request": 499, "internal server error": 500,
    "bad gateway": 502, "service unavailable": 503, "gateway timeout": 504, "gateway time-out": 504,
    "upstream request timeout": 504, "deadline exceeded": 4, "resource exhausted": 8,
    "internal error encountered": 13, "currently unavailable": 14, "is overloaded": 503,
    "resource has been exhausted": 8, "deadline expired": 4, "operation was cancelled": 499,
    "failed precondition": 9, "invalid argument": 3, "permission denied": 7,
}  # fmt: skip
"""Words of HTTP's reasons and of Google's standing messages for its codes."""
_ANSWER = late_pattern(r"Non-OK result (\d{3})\b")
_CODE = late_pattern(
    r"""(?:\bcode|\bstatus(?:[ _]code)?|\bHTTP(?:/\d(?:\.\d)?)?|\berror)["'\\]*\s*(?:[:=]\s*)?["'\\(\[]*(\d{1,3})(?![\d.])\b""",
    re.IGNORECASE,
)
_LEADING = late_pattern(r"\s*[(\[\"']*(\d{3})(?![\d.])\b")
_NAME = late_pattern(rf"\b({'|'.join(_NAMES)})\b")
_SPELT = late_pattern(r"\bgeneric::(\w+)|\bcode\s*[:=]\s*([A-Za-z]+)\b")  # Google's own, and Go's
_SPELT_NAMES = {name.replace("_", "").lower(): code for name, code in _NAMES.items()}
_REASON = late_pattern("|".join(map(re.escape, _REASONS)), re.IGNORECASE)


def code_of(message: str) -> int | None:
    """The google.rpc or HTTP code that a row's message names; None where it names none.

    The container's own answer stands before the service's wrapper around it, and a number before a
    name: `Non-OK result 422 (…)` is bad input, whatever else is said.
    """
    for pattern in (_ANSWER, _CODE, _LEADING):
        if found := pattern.search(message) if pattern is not _LEADING else _LEADING.match(message):
            return int(found[1])
    for found in _SPELT.finditer(message):
        name = (found[1] or found[2]).replace("_", "").lower()
        if name in _SPELT_NAMES:
            return _SPELT_NAMES[name]
    if found := _NAME.search(message):
        return _NAMES[found[1]]
    if found := _REASON.search(message):
        return _REASONS[found[0].lower()]
    return None


def may_pass(message: str, code: int | None = None, *, gemini: bool = False) -> bool:
    """Whether a row that failed so may come back when it is sent again, unchanged.

    `code` is what stands beside the message (None: nothing does); an answer of the container that
    the message quotes speaks before it. `gemini`: the row is a publisher model's.
    """
    answered = _ANSWER.search(message)
    said = int(answered[1]) if answered else (code if code is not None else code_of(message))
    return said in _PASSING or (gemini and said in _PASSING_FOR_GEMINI)


def code_named(value: object) -> int | None:
    """A code as it stands beside a message: a number, digits, or one of google.rpc's names."""
    whole = as_whole(value)
    if whole is not None:
        return whole
    if isinstance(value, str):
        text = value.strip()
        return int(text) if re.fullmatch(r"\d{1,3}", text) else _NAMES.get(text.upper())
    return None


class Tokens(Struct, frozen=True):
    """What the rows with a result were billed by: tokens of requests, and of answers with thoughts.

    `unpriced`: rows that say none, or that other rates hold for (sound, pictures, a cache, very long
    requests): where there is one, the tokens say nothing of dollars.
    """

    prompt: int = 0
    answer: int = 0
    unpriced: int = 0

    def to_json(self) -> dict[str, int]:
        return {"prompt": self.prompt, "answer": self.answer, "unpriced": self.unpriced}


class RowAccount(Struct, frozen=True):
    """What became of the rows of one batch. All numbers count rows.

    `failed` has a count for each message, `retriable` how many of those may pass when sent again;
    `unmatched` are lines of the output that belong to no row, `duplicates` input rows beyond the
    first of each. `key` is the input's field by which rows were matched, `content`, or None where no
    key is sound. Where it is not `sound`, only `because` counts. `query_usd` is what counting rows in
    BigQuery cost and writing those that are left would, US dollars, and `tokens` what a Gemini batch's
    results say of theirs: both stand in a case, not in what `rows --json` prints.
    """

    rows: int
    done: int
    failed: Mapping[str, int] = field(default_factory=dict)
    retriable: int = 0
    missing: int = 0
    unmatched: int = 0
    duplicates: int = 0
    key: str | None = None
    sound: bool = False
    because: str = ""
    query_usd: float = 0.0
    tokens: Tokens | None = None

    @classmethod
    def parse(cls, body: Json) -> RowAccount:
        """From what `rows --json` printed; raises InvalidInput naming the field that is no such thing."""
        failed = body.get("failed") or {}
        if not isinstance(failed, Mapping) or not all(map(_is_count, failed.values())):
            msg = "`rows.failed` must be an object of counts by message"
            raise InvalidInput(msg)
        counts = {}
        for name in ("rows", "done", "retriable", "missing", "unmatched", "duplicates"):
            counts[name] = value = body.get(name) or 0
            if not _is_count(value):
                msg = f"`rows.{name}` must be a whole number, 0 or more"
                raise InvalidInput(msg)
        query_usd = body.get("query_usd") or 0
        if not isinstance(query_usd, int | float) or isinstance(query_usd, bool) or query_usd < 0:
            msg = "`rows.query_usd` must be US dollars, 0 or more"
            raise InvalidInput(msg)
        tokens = body.get("tokens")
        if tokens is not None and not (
            isinstance(tokens, Mapping)
            and all(_is_count(tokens.get(name, 0)) for name in _TOKEN_COUNTS)
        ):
            msg = "`rows.tokens` must be an object of whole numbers: prompt, answer, unpriced"
            raise InvalidInput(msg)
        key, sound = body.get("key"), body.get("sound", False)
        if not isinstance(key, str | None) or not isinstance(sound, bool):
            msg = "`rows.key` must be a name or null, and `rows.sound` true or false"
            raise InvalidInput(msg)
        return cls(
            **counts,
            failed={str(message): count for message, count in failed.items()},
            key=key,
            sound=sound,
            because=str(body.get("because") or ""),
            query_usd=float(query_usd),
            tokens=None
            if tokens is None
            else Tokens(*(int(tokens.get(name, 0)) for name in _TOKEN_COUNTS)),
        )

    def to_json(self) -> dict[str, Any]:
        """The object of the contract."""
        return {
            "rows": self.rows,
            "done": self.done,
            "failed": dict(self.failed),
            "retriable": self.retriable,
            "missing": self.missing,
            "unmatched": self.unmatched,
            "duplicates": self.duplicates,
            "key": self.key,
            "sound": self.sound,
            "because": self.because,
        }

    def to_case(self) -> dict[str, Any]:
        """As it stands in a case: with what the plan needs besides."""
        return {
            **self.to_json(),
            **({"query_usd": self.query_usd} if self.query_usd else {}),
            **({"tokens": self.tokens.to_json()} if self.tokens else {}),
        }

    @property
    def left(self) -> int:
        """Rows to send again: those that did not come back, and failures that may pass."""
        return self.missing + self.retriable

    @property
    def why_not_resume(self) -> str:
        """Why running the rows that are left alone is not to be done; empty where it is worth it."""
        failed = sum(self.failed.values())
        if not self.sound:
            return f"the account of its rows is not sound: {self.because or 'no reason is given'}"
        if self.done + failed + self.missing != self.rows or self.retriable > failed:
            return (
                f"the account of its rows does not add up: {self.done:,} done, {failed:,} failed and "
                f"{self.missing:,} missing of {self.rows:,}"
            )
        if not self.left:
            return "no row is left that may come back when it is sent again"
        if self.done < _LEAST_DONE * self.rows:
            return f"it is not worth it: {self.done:,} of {self.rows:,} rows are done, less than a tenth"
        if self.done < _LEAST_GOOD * (self.done + failed):
            return (
                f"it is not worth it: {failed:,} of the {self.done + failed:,} rows that came back "
                "failed, more than half: the model itself seems broken"
            )
        return ""

    @property
    def passing_message(self) -> tuple[str, int] | None:
        """The most frequent message among those that may pass, with its count; None: there is none."""
        everything = self.retriable == sum(self.failed.values())
        passing = [
            (count, message)
            for message, count in self.failed.items()
            if count and (everything or (self.retriable and may_pass(message, gemini=True)))
        ]
        if not passing:
            return None
        count, message = max(passing, key=lambda one: (one[0], one[1]))
        return message, count


_TOKEN_COUNTS = ("prompt", "answer", "unpriced")


def _is_count(value: object) -> bool:
    return is_whole(value) and value >= 0
