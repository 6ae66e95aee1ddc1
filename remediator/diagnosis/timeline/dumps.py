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
# Of these what only waits for another thread of the same program.
_OWN_THREADS = re.compile(
    r"threading\.py|queue\.py|java\.lang\.Object\.wait|LockSupport\.park|\bjoin\b"
)
_FEWEST, _MOST = 3, 0.8  # dumps, and the part of them that shows the same; chosen
_INNERMOST = 3  # frames that say what is waited for; chosen


class Dumps(Struct, frozen=True):
    """Dumps that show the same: how many, and where the program stood; `waits`: for an answer from outside; `stuck`: each
    of its threads for another one of them.
    """

    count: int
    place: str
    waits: bool
    where: str
    stuck: bool = False


class _Stack(Struct):
    main: bool
    where: str
    frames: list[tuple[str, str]]


def read_dumps(lines: Sequence[LogLine]) -> Dumps | None:
    """The place that nearly all dumps show; None: there are fewer than three, or they differ, or stand in a lock."""
    dumps = list(_dumps(lines))
    stood = [found for dump in dumps if (found := _place(_main_of(dump))) is not None]
    if len(stood) < _FEWEST:
        return _stuck(dumps)
    (place, waits), count = Counter((place, waits) for place, waits, _ in stood).most_common(1)[0]
    if count < _FEWEST or count < len(stood) * _MOST:
        return None
    return Dumps(count, place, waits, next(where for one, _, where in stood if one == place))


def _stuck(dumps: Sequence[Sequence[_Stack]]) -> Dumps | None:
    """The same of a program each of whose threads waits for another one, in nearly all dumps."""
    held = [dump for dump in dumps if len(dump) > 1 and all(map(_waits_for_a_thread, dump))]
    if len(held) < _FEWEST or len(held) < len(dumps) * _MOST:
        return None
    places = Counter(_shown(_main_of(dump)) for dump in held)
    place, count = places.most_common(1)[0]
    if count < len(held) * _MOST:
        return None
    return Dumps(count, place, waits=False, where=_main_of(held[-1]).where, stuck=True)


def _waits_for_a_thread(stack: _Stack) -> bool:
    words = _innermost(stack)
    return _OWN_THREADS.search(words) is not None and not WAITING_STACK.search(words)


def _dumps(lines: Sequence[LogLine]) -> Iterator[list[_Stack]]:
    """The stacks of each dump; replicas write into one log."""
    of_tasks: dict[str, list[LogLine]] = defaultdict(list)
    for line in lines:
        of_tasks[line.task].append(line)
    for own in of_tasks.values():
        yield from filter(None, _dumps_of_one(own))


def _dumps_of_one(lines: Sequence[LogLine]) -> Iterator[list[_Stack]]:
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
                yield [stack for stack in held if stack.frames]
                held = []
    yield [stack for stack in held if stack.frames]


def _main_of(dump: Sequence[_Stack]) -> _Stack:
    """The main thread's stack of a dump, or its last."""
    return next((stack for stack in dump if stack.main), dump[-1])


def _place(stack: _Stack) -> tuple[str, bool, str] | None:
    """Where it stood, whether it waited for an answer, and the line; None where it waited for another thread."""
    words = _innermost(stack)
    if WAITING_STACK.search(words):
        return _shown(stack), True, stack.where
    return None if _STANDS.search(words) else (_shown(stack), False, stack.where)


def _innermost(stack: _Stack) -> str:
    return " ".join(f"{file} {function}" for file, function in stack.frames[:_INNERMOST])


def _shown(stack: _Stack) -> str:
    """Where a stack stands in the program's own files, `apply (book.py)`."""
    file, function = next((one for one in stack.frames if not _of_library(one[0])), stack.frames[0])
    return f"{function} ({file.rpartition('/')[2]})"


def _of_library(file: str) -> bool:
    return "site-packages" in file or "/lib/python" in file or file.startswith("<")
