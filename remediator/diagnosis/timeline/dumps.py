"""Where a program stood each time that its stacks were written into the log while it ran.

Owns the forms: Python's faulthandler, py-spy's `dump`, the JVM's thread dumps. The main thread counts, or the last of
a dump that names none; a place that every dump shows is where the time went. Pure; called by `read_timeline`.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from msgspec import Struct

from remediator.case import LogLine
from remediator.diagnosis.durations import TEXT
from remediator.diagnosis.timeline.line_words import WAITING_STACK
from remediator.domain.late_pattern import late_pattern

__all__ = ["Dumps", "read_dumps"]

_HEADER = late_pattern(
    r"^\W{0,3}(?:(?P<current>Current )?[Tt]hread 0x[0-9a-fA-F]+ (?:\[[^\]]{0,60}\] )?\(most recent call first\):"
    r"|Thread \d+ \((?:idle|active)[^)]{0,20}\): \"?(?P<name>[\w.-]{1,60})"
    r"|\"(?P<java>[\w. -]{1,60})\" #\d+ )"
)
_PYTHON = late_pattern(r"^\s*File \"(?P<file>[^\"]{1,300})\", line \d+ in (?P<function>\S{1,120})")
_PY_SPY = late_pattern(r"^\s+(?P<function>[\w.<>]{1,120}) \((?P<file>[^():]{1,300}):\d+\)")
_JAVA = late_pattern(r"^\s*at (?P<function>[\w.$<>]{1,200})\((?P<file>[^)]{0,120})\)")
_PREFIX = late_pattern(r"^\[[\w.:-]{1,24}\] ?")
_MAIN = frozenset({"main", "mainthread"})
# What only waits for another thread, a process or a lock.
_STANDS = re.compile(
    r"threading\.py|queue\.py|multiprocessing|concurrent/futures|java\.lang\.Object\.wait|LockSupport\.park|selectors\.py|\bjoin\b|waitpid"
)
_FEWEST, _MOST = 3, 0.8  # dumps, and the part of them that shows the same; chosen
_INNERMOST = 3  # frames that say what is waited for; chosen


class Dumps(Struct, frozen=True):
    """Dumps that show the same: how many, and where the program stood; `waits`: for an answer from outside."""

    count: int
    place: str
    waits: bool
    where: str


class _Stack(Struct):
    main: bool
    where: str
    frames: list[tuple[str, str]]


def read_dumps(lines: Sequence[LogLine]) -> Dumps | None:
    """The place that nearly all dumps show; None: there are fewer than three, or they differ, or stand in a lock."""
    stood = [found for stack in _stacks(lines) if (found := _place(stack)) is not None]
    if len(stood) < _FEWEST:
        return None
    (place, waits), count = Counter((place, waits) for place, waits, _ in stood).most_common(1)[0]
    if count < _FEWEST or count < len(stood) * _MOST:
        return None
    return Dumps(count, place, waits, next(where for one, _, where in stood if one == place))


def _stacks(lines: Sequence[LogLine]) -> Iterator[_Stack]:
    """The main thread's stack of each dump, or its last; replicas write into one log."""
    of_tasks: dict[str, list[LogLine]] = defaultdict(list)
    for line in lines:
        of_tasks[line.task].append(line)
    for own in of_tasks.values():
        yield from _stacks_of_one(own)


def _stacks_of_one(lines: Sequence[LogLine]) -> Iterator[_Stack]:
    held: list[_Stack] = []
    for line in lines:
        for one in line.text.split("\n"):
            text = _PREFIX.sub("", one)
            header = _HEADER.match(text[:TEXT])
            if header is not None:
                name = (header["name"] or header["java"] or "").lower()
                main = bool(header["current"]) or name in _MAIN
                held.append(_Stack(main, line.insert_id or "logEntries", []))
                continue
            frame = held and (
                _PYTHON.match(text[:TEXT]) or _PY_SPY.match(text[:TEXT]) or _JAVA.match(text[:TEXT])
            )
            if frame:
                held[-1].frames.append((frame["file"], frame["function"]))
            elif held and text.strip() and held[-1].frames:
                yield from _main_of(held)
                held = []
    yield from _main_of(held)


def _main_of(held: Sequence[_Stack]) -> Iterator[_Stack]:
    stacks = [stack for stack in held if stack.frames]
    if stacks:
        yield next((stack for stack in stacks if stack.main), stacks[-1])


def _place(stack: _Stack) -> tuple[str, bool, str] | None:
    """Where it stood, whether it waited for an answer, and the line; None where it waited for another thread."""
    inner = stack.frames[:_INNERMOST]
    words = " ".join(f"{file} {function}" for file, function in inner)
    if WAITING_STACK.search(words):
        file, function = next(
            (one for one in stack.frames if not _of_library(one[0])), stack.frames[0]
        )
        return f"{function} ({file.rpartition('/')[2]})", True, stack.where
    if _STANDS.search(words):
        return None
    file, function = next((one for one in stack.frames if not _of_library(one[0])), stack.frames[0])
    return f"{function} ({file.rpartition('/')[2]})", False, stack.where


def _of_library(file: str) -> bool:
    return "site-packages" in file or "/lib/python" in file or file.startswith("<")
