"""What a job's own telemetry lines say: levels where no metric does, how far the work is, where it stands.

Owns reading them out of the log's entries. Pure; called by `signals` and `verdicts`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from msgspec import Struct

from remediator.case import LogLine
from remediator.domain.numbers import is_number

_MARK = "remediatorTelemetry"
_MOST_STACKS = 4  # threads that are shown; the main one comes first
_LINES_KEPT = 1024  # chosen: ten hours of a line every 30 s


class Sample(Struct, frozen=True):
    """One telemetry line. Levels are shares, `bytes_per_minute` the larger of in and out; None: not said."""

    at: datetime
    cpu: float | None
    accelerator: float | None
    memory: float | None
    bytes_per_minute: float | None
    stacks: tuple[str, ...]


def is_telemetry(line: LogLine) -> bool:
    """Whether the line is one of ours and no word of the program's."""
    return _MARK in line.text or _MARK in line.payload


def samples_in(lines: Iterable[LogLine], now: datetime) -> Iterator[Sample]:
    """Every telemetry line by `now` that can be read, in the order of the lines."""
    for line in lines:
        if line.time is None or line.time > now or not is_telemetry(line):
            continue
        body = line.payload if line.payload.get(_MARK) == 1 else _parsed(line.text)
        if body.get(_MARK) == 1:
            yield _sample(line.time, body)


@lru_cache(maxsize=_LINES_KEPT)
def _parsed(text: str) -> Mapping[str, Any]:
    start = text.find('{"' + _MARK)
    try:
        found, _ = json.JSONDecoder().raw_decode(text, max(0, start))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _sample(at: datetime, body: Mapping[str, Any]) -> Sample:
    gpus = [one for one in body.get("gpus") or () if isinstance(one, Mapping)]
    shares = [share for one in gpus if (share := _number(one.get("utilization"))) is not None]
    used, limit = _number(body.get("memoryBytes")), _number(body.get("memoryLimitBytes"))
    rates = [
        rate * 60
        for key in ("receivedBytesPerSecond", "sentBytesPerSecond")
        if (rate := _number(body.get(key))) is not None
    ]
    stacks = body.get("stacks")
    return Sample(
        at,
        _number(body.get("cpu")),
        max(shares, default=None),
        used / limit if used is not None and limit else None,
        max(rates, default=None),
        tuple(str(one) for one in stacks[:_MOST_STACKS]) if isinstance(stacks, list) else (),
    )


def _number(value: object) -> float | None:
    return float(value) if is_number(value) and value >= 0 else None
