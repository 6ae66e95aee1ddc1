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
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.progress_lines import is_progress
from remediator.diagnosis.timeline.line_words import WAITING_STACK
from remediator.domain.late_pattern import late_pattern

__all__ = ["Dumps", "read_dumps"]

_HEADER = late_pattern(
    r"^\W{0,3}(?:(?P<current>Current )?[Tt]hread 0x[0-9a-fA-F]+ (?:\[[^\]]{0,60}\] )?\(most recent call first\):"
    r"|Thread \d+ \((?:idle|active)[^)]{0,20}\): \"?(?P<name>[\w.-]{1,60})"
    r"|\"(?P<java>[\w. -]{1,60})\" #\d+ "
    r"|goroutine \d+ (?:gp=\S+ )?(?:m=\S+ )?\[(?P<go>[^\]]{1,60})\]:"
    r"|Thread \d+ \((?:Thread 0x|LWP )[^:]{0,80}:)"
)
_PYTHON = late_pattern(
    r"^\s*File \"(?P<file>[^\"]{1,300})\", line \d+ in (?P<function>\S{1,120})(?P<note>.{0,120})"
)
_PY_SPY = late_pattern(
    r"^\s+(?P<function>[\w.<>:~*&,]{1,120}) \((?P<file>[^():]{1,300}\.so[.\d]*|[^():]{1,300}(?=:\d))[^)]{0,12}\)"
)
_JAVA = late_pattern(r"^\s*at (?P<function>[\w.$<>]{1,200})\((?P<file>[^)]{0,120})\)")
# gdb's `#1  0x00007f1c in pthread_mutex_lock () from /lib/libc.so.6`, Go's `sync.(*Mutex).Lock(0xc0001)`.
_GDB = late_pattern(
    r"^\s*#\d{1,3}\s+(?:0x[0-9a-f]{1,16} in )?(?P<function>[\w:~<>,*&.@-]{1,120}) ?\(.{0,200}\)(?: (?:from|at) (?P<file>\S{1,200}))?"
)
_GO = late_pattern(
    r"^(?P<function>[\w./-]{1,120}(?:\.\(\*?\w{1,60}\))?\.\w{1,80})\((?P<file>)[^)]{0,200}\)$"
)
_GO_FILE = late_pattern(r"^\s+/\S{1,200}\.(?:go|s):\d+\b")
# What a dump says of a stack besides its frames; documented: the JVM's thread dumps.
_NOTE = late_pattern(
    r"^\s*(?:- (?:waiting|parking|locked|blocked|eliminated)\b|java\.lang\.Thread\.State:)"
)
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
# A lock, by the names of functions that take one and by what a dump says of it.
_LOCKS = re.compile(
    r"lll_lock_wait|futex|mutex|sem(?:aphore)?_?(?:timed)?wait|semacquire|rwlock|spin_?lock|monitor|waiting to lock|BLOCKED \(on|parking to wait|(?:^|[\W_])r?locks?(?:$|[\W_])|\bacquire|LockSupport|ThreadPool::|pthread_cond|\bsync\.",
    re.IGNORECASE,
)
_ALL_OF_ONE = 20.0  # seconds, in which one dump is written; chosen
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
    locked: bool = False
    """A lock is shown, and no work after it."""


class _Stack(Struct):
    main: bool
    where: str
    frames: list[tuple[str, str]]
    moment: float = 0.0
    notes: str = ""


def read_dumps(lines: Sequence[LogLine]) -> Dumps | None:
    """The place that nearly all dumps show; None: there are fewer than three, or they differ, or stand in a lock."""
    dumps = list(_dumps(lines))
    stood = [found for dump in dumps if (found := _place(_main_of(dump))) is not None]
    if len(stood) < _FEWEST:
        stuck = _stuck(dumps) or _locked(lines, dumps) or _deadlock(lines)
        return stuck or _few(dumps, stood)
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


def _few(dumps: Sequence[Sequence[_Stack]], stood: Sequence[tuple[str, bool, str]]) -> Dumps | None:
    """The same of one dump or two, all of which show one place."""
    if not stood or len({place for place, _, _ in stood}) > 1 or len(stood) < len(dumps):
        return None
    place, waits, where = stood[-1]
    return Dumps(len(stood), place, waits, where)


def _locked(lines: Sequence[LogLine], dumps: Sequence[Sequence[_Stack]]) -> Dumps | None:
    """The same by one dump alone, of several stacks: each waits for another thread, a process or a lock of its own, one at
    least for a lock, and nothing was done after it.
    """
    stacks = [stack for dump in dumps for stack in dump]
    if not stacks:
        return None
    last = max(stack.moment for stack in stacks)
    held = [stack for stack in stacks if stack.moment >= last - _ALL_OF_ONE]
    locks = [stack for stack in held if _waits_for_a_lock(stack)]
    stand = all(stack in locks or _STANDS.search(_innermost(stack)) for stack in held)
    outside = any(WAITING_STACK.search(_innermost(stack)) for stack in held)
    if not locks or not stand or outside or len(held) == 1:
        return None
    after = [line for line in lines if line.time is not None and line.time.timestamp() > last]
    if any(is_progress(line.text[:TEXT]) for line in after):
        return None
    shown = locks[0]
    return Dumps(1, _shown(shown), waits=False, where=shown.where, stuck=True, locked=True)


# What a runtime says itself of threads that wait for each other; documented: HotSpot's jstack, Go's runtime, valgrind.
_DEADLOCK = Linear(
    r"\bfound (?:one|\d{1,3}) (?:java-level )?deadlocks?\b|\ball goroutines are asleep\b|\b(?:possible|potential) deadlock\b|\block order (?:inversion|violat)|\bdeadlock (?:between|of|in) (?:threads?|goroutines?|locks?)\b",
    needs="deadlock asleep inversion violat",
)


def _deadlock(lines: Sequence[LogLine]) -> Dumps | None:
    """The same by a runtime's own word, after which nothing was done."""
    for line in reversed(lines):
        text = line.text[:TEXT]
        if is_progress(text):
            return None
        if _DEADLOCK.is_in(text):
            place = " ".join(text.split())[:_SHOWN]
            return Dumps(
                1, place, waits=False, where=line.insert_id or "logEntries", stuck=True, locked=True
            )
    return None


_SHOWN = 80  # characters; chosen


def _waits_for_a_lock(stack: _Stack) -> bool:
    # Python joins a thread by a lock of that thread's state.
    words = f"{_innermost(stack)} {stack.notes}".replace("tstate_lock", "")
    return _LOCKS.search(words) is not None


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
                moment = line.time.timestamp() if line.time else 0.0
                where = line.insert_id or "logEntries"
                held.append(_Stack(main, where, [], moment, header["go"] or ""))
                continue
            frame = held and _frame_in(text[:TEXT])
            if frame:
                held[-1].frames.append((frame["file"] or "", frame["function"]))
                note = frame.groupdict().get("note") or ""
                if len(held[-1].frames) <= _INNERMOST:
                    held[-1].notes += note
            elif held and (_NOTE.match(text) or _GO_FILE.match(text)):
                if len(held[-1].frames) <= _INNERMOST and "- locked" not in text:
                    held[-1].notes += text[:TEXT] if _NOTE.match(text) else ""
            elif held and text.strip() and held[-1].frames:
                yield [stack for stack in held if stack.frames]
                held = []
    yield [stack for stack in held if stack.frames]


def _frame_in(text: str) -> re.Match[str] | None:
    return next(
        (found for one in (_PYTHON, _PY_SPY, _JAVA, _GDB, _GO) if (found := one.match(text))), None
    )


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
    return "site-packages" in file or "/lib/python" in file or ".so" in file or file.startswith("<")
