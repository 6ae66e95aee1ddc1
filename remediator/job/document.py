"""A job's document: the JSON behind the value, read and changed by path in this room alone.

Owns what every kind of job shares (state, error, times, labels) and the two spellings of a path.
Called by the other modules of the room; everybody else asks `Job`.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from msgspec import Struct

from remediator.domain import InvalidInput, JobKind, JobName, JobState, Json, parse_time, path_steps
from remediator.domain.late_pattern import late_pattern
from remediator.domain.numbers import as_whole, is_number

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D", bound="Document")

CREATE_REQUEST_FIELDS: Mapping[JobKind, str] = {
    JobKind.CUSTOM: "customJob",
    JobKind.BATCH_PREDICTION: "batchPredictionJob",
}
"""Where the request of a Create call holds the job (the API's own names), of the kinds whose refused
request may be sent again."""
_CODES = 1000  # google.rpc codes and HTTP's
_DETAILS = 20  # of a status that are looked at; chosen


class RpcStatus(Struct, frozen=True):
    """A google.rpc.Status: its code (0: none, or none that can be), message and details as text."""

    code: int
    message: str
    details: tuple[str, ...] = ()

    @classmethod
    def parse(cls, found: object) -> RpcStatus | None:
        """From its JSON, whatever that holds; None for what is no object."""
        if not isinstance(found, Mapping):
            return None
        code, message, details = (found.get(key) for key in ("code", "message", "details"))
        number = 0
        if is_number(code) and abs(code) < _CODES:
            number = int(code)
        listed = details[:_DETAILS] if isinstance(details, list) else ()
        return cls(
            number,
            message if isinstance(message, str) else "",
            tuple(d if isinstance(d, str) else json.dumps(d, default=str) for d in listed),
        )

    @property
    def text(self) -> str:
        """Message and details, a line each."""
        return "\n".join(part for part in (self.message, *self.details) if part)


_INPUT = late_pattern(r"(.+\.inputs\.parameters\.[^.]+)\.runtimeValue\.constant")


def _opened(value: Any) -> Any:
    """A list or object that stands in a document as JSON text; anything else as it is."""
    if isinstance(value, str) and value[:1] in {"[", "{"} and not value.startswith("{{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _below(value: Any, step: str | int) -> Any:
    """The value under a key or an index of an object or list, or of one that stands as JSON text."""
    kind = type(value)
    if kind is str:
        value = _opened(value)
        kind = type(value)
    if isinstance(step, int):
        if kind is not list and (not isinstance(value, Sequence) or isinstance(value, str)):
            return None
        return value[step] if step < len(value) else None
    # The exact type is asked first: most are, and an abstract class is ten times as slow to ask.
    return value.get(step) if kind is dict or isinstance(value, Mapping) else None


def _copied(body: Json) -> dict[str, Any]:
    """A document of its own: objects and lists are copied, everything else never changes."""
    return {key: _copied_value(value) for key, value in body.items()}


def _copied_value(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied_value(item) for key, item in value.items()}
    return [_copied_value(item) for item in value] if isinstance(value, list) else value


def _put(node: Any, steps: tuple[str | int, ...], value: Any) -> None:
    """Sets, or for None takes out, what the steps lead to; missing objects are made on the way."""
    step, rest = steps[0], steps[1:]
    if not rest:
        if value is None and isinstance(node, dict):
            node.pop(str(step), None)
        else:
            node[step] = value
        return
    held = node[step] if isinstance(step, int) else node.get(step)
    if held is None:
        if value is None:
            return
        held = node[step] = [] if isinstance(rest[0], int) else {}
    inner = _opened(held)
    _put(inner, rest, value)
    if inner is not held:
        node[step] = json.dumps(inner)


def _with_spec(body: Json) -> Json:
    """A run whose spec stands as text, under `pipelineSpecJson` or in its own place, with the object."""
    spec_text = body.get("pipelineSpecJson", body.get("pipelineSpec"))
    if not isinstance(spec_text, str):
        return body
    try:
        spec = json.loads(spec_text)
    except ValueError as err:
        msg = f"the job's pipeline spec is text, but no JSON: {err}"
        raise InvalidInput(msg) from err
    kept = {key: value for key, value in body.items() if key != "pipelineSpecJson"}
    return {**kept, "pipelineSpec": spec}


class Document(Struct, frozen=True, dict=True):
    """A job's JSON in the shape of the REST API, with what every kind shares.

    The JSON itself never leaves the room but as a copy: `request` to be sent, `to_json` for files.
    """

    name: JobName
    _body: Json

    @classmethod
    def parse(cls, body: Json) -> Self:
        """A job from its JSON; raises InvalidInput if `name` is not a job's name."""
        name = body.get("name")
        if not isinstance(name, str):
            msg = "the job has no name"
            raise InvalidInput(msg)
        return cls(JobName.parse(name), _with_spec(body))

    @functools.cached_property
    def _answers(self) -> dict[Any, Any]:
        """What `once` keeps of this document."""
        return {}

    @property
    def kind(self) -> JobKind:
        return self.name.kind

    @functools.cached_property
    def state(self) -> JobState:
        return JobState.parse(self._body.get("state"))

    @property
    def display_name(self) -> str:
        return str(self._body.get("displayName") or "")

    @property
    def labels(self) -> Mapping[str, str]:
        return dict(self._body.get("labels") or {})

    @property
    def state_text(self) -> str:
        """The state with its prefix, as Vertex writes it; empty where there is none."""
        return str(self._body.get("state") or "")

    @property
    def has_error(self) -> bool:
        return bool(self._body.get("error"))

    @property
    def error_code(self) -> int:
        """google.rpc code of the job's own error; 0 where there is none."""
        return int((self._body.get("error") or {}).get("code") or 0)

    @property
    def error_message(self) -> str:
        return str((self._body.get("error") or {}).get("message") or "")

    @functools.cached_property
    def create_time(self) -> datetime | None:
        return parse_time(self._body.get("createTime"))

    @property
    def created_order(self) -> datetime:
        """Sorts jobs by their creation; one whose creation is not known comes last."""
        return self.create_time or datetime.max.replace(tzinfo=UTC)

    @functools.cached_property
    def start_time(self) -> datetime | None:
        return parse_time(self._body.get("startTime"))

    @property
    def update_time(self) -> datetime | None:
        return parse_time(self._body.get("updateTime"))

    @functools.cached_property
    def end_time(self) -> datetime | None:
        """`endTime`; a terminal job without one is dated by its last update."""
        ended = parse_time(self._body.get("endTime"))
        if ended is None and self.state.is_terminal:
            return parse_time(self._body.get("updateTime"))
        return ended

    @property
    def run_seconds(self) -> float | None:
        """From start (else creation) to end, in seconds; None while either is unknown, or where clocks
        disagree and the end lies before the start."""
        started, ended = self.start_time or self.create_time, self.end_time
        return (ended - started).total_seconds() if started and ended and ended >= started else None

    def read(self, path: str) -> Any:
        """The value at `a.b[0].c`, or None where any part of the path is missing."""
        value: Any = self._body
        for step in path_steps(path):
            value = _below(value, step)
            if value is None:
                return None
        return value

    def changed(self, path: str, value: Any) -> Self:
        """A copy with the value at `path` set (missing objects are made), or removed if None."""
        body = _copied(self._body)
        _put(body, path_steps(path), value)
        handed_down = _INPUT.match(path)
        if handed_down:  # a constant takes the place of what was handed down
            _put(body, path_steps(f"{handed_down[1]}.componentInputParameter"), None)
        return type(self)(self.name, body)

    def request(self) -> dict[str, Any]:
        """The body to be sent: a copy, which nothing here sees again."""
        return _copied(self._body)

    def to_json(self) -> dict[str, Any]:
        """The whole document for a case file, output-only fields and all; not redacted."""
        return _copied(self._body)


def once(
    question: Callable[Concatenate[D, P], T],
) -> Callable[Concatenate[D, P], T]:
    """The answer is found once for each document, which never changes, and for each argument.

    For answers that never change either: tuples, texts, numbers. One event asks a job for its pools
    twenty times, and each pool is thirty paths (measured).
    """

    @functools.wraps(question)
    def asked(document: D, /, *args: P.args, **kwargs: P.kwargs) -> T:
        key = (question, args, tuple(kwargs.items())) if kwargs else (question, args)
        found = document._answers  # of this module
        if key not in found:
            found[key] = question(document, *args, **kwargs)
        answer: T = found[key]
        return answer

    return asked


# --- either spelling: training inputs and pipeline specs come in camelCase or snake_case ------------


@functools.lru_cache(maxsize=1024)
def _snake(key: str) -> str:
    return _INNER_CAPITAL.sub("_", key).lower()


_INNER_CAPITAL = late_pattern(r"(?<!^)(?=[A-Z])")


def spelled(job: Document, path: str) -> str:
    """The path as this job spells it: `machine_spec` where it has that, else `machineSpec`."""
    return _spelled(job, path)[0]


def read(job: Document, path: str) -> Any:
    """The value at the path in either spelling; None where it is missing."""
    return _spelled(job, path)[1]


@once
def _spelled(job: Document, path: str) -> tuple[str, Any]:
    """The path as this job spells it, and what stands there; the paths above it are found once for all."""
    above, _, part = path.rpartition(".")
    done, value = _spelled(job, above) if above else ("", job._body)
    name, bracket, index = part.partition("[")
    snake = _snake(name)
    # The exact type first, as in `_below`.
    is_object = type(value) is dict or isinstance(value, Mapping)
    if is_object and name not in value and snake in value:
        name = snake
    part = f"{name}{bracket}{index}"
    for step in path_steps(part):
        value = _below(value, step)
    return (f"{done}.{part}" if done else part), value


_PAST_INT64 = 10**18


def whole_number(value: object) -> int | None:
    """An int32 (JSON number) or int64 (JSON text) of Google's; None for anything else."""
    whole = as_whole(value)
    if whole is not None:
        return whole if abs(whole) < _PAST_INT64 else None
    return int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value) else None


def either_key(found: Json, key: str) -> Any:
    """The value under the key in either spelling."""
    return found.get(key, found.get(_snake(key)))
