"""How much of its time a program computed, where its log tells CPU time and wall time.

Owns the forms: a line that tells both, lines that tell a process' CPU time as it grows, and the reports of timers
(a shell's `time`, GNU time, R's `system.time`, IPython's `%time`, the last line of bwa and minimap2). Pure; called by
`read_timeline`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

from msgspec import Struct

from remediator.case import LogLine
from remediator.diagnosis.durations import TEXT
from remediator.diagnosis.lazy_patterns import Linear
from remediator.domain.late_pattern import late_pattern

__all__ = ["cpu_share", "worker_of"]

_CPU_TIME = Linear(r"\bcpu(?:[ _-]time)?\W{1,3}(?P<seconds>\d{1,7}(?:\.\d{1,6})?) ?s", needs="cpu")
_LEAST_WALL_SECONDS = 5.0  # below it a share says little; chosen
_NUMBER = r"\d{1,7}(?:\.\d{1,6})?"
_CPU_OF_WALL = Linear(
    rf"\bcpu(?:[ _-]time)?\W{{1,3}}(?P<cpu>{_NUMBER}) ?s?(?: of|/|,| out of) ?(?:wall(?:[ _-]time)?\W{{0,3}})?(?P<wall>{_NUMBER}) ?s",
    needs="cpu",
)
# `[M::main] Real time: 631.2 sec; CPU: 612.1 sec`: bwa and minimap2; documented: their sources, main.c.
_REAL_AND_CPU = Linear(
    rf"\breal time: (?P<wall>{_NUMBER}) sec; cpu: (?P<cpu>{_NUMBER}) sec", needs="cpu"
)
# `Processed 1066668 reads in 903.320 CPU sec, 56.884 real sec`: bwa, of each chunk; documented: its source, bwamem.c.
_OF_CHUNK = Linear(rf"\bin (?P<cpu>{_NUMBER}) cpu sec, (?P<wall>{_NUMBER}) real sec", needs="cpu")
# `[M::worker_pipeline::10110.000*30.26]`, seconds so far and CPUs that were used; documented: minimap2's manual.
_SO_FAR = Linear(rf"^\W{{0,2}}M::\w{{1,40}}::(?P<wall>{_NUMBER})\*(?P<cpus>{_NUMBER})\]")
# `1.23user 0.12system 0:05.00elapsed 26%CPU`: GNU time's own form; documented: its manual, TIME.
_GNU = Linear(
    rf"(?P<user>{_NUMBER})user (?P<system>{_NUMBER})system (?:(?P<hours>\d{{1,4}}):)?(?P<minutes>\d{{1,4}}):(?P<rest>{_NUMBER})elapsed",
    needs="elapsed",
)
# `chunk_001.fa  real 8m12.1s user 500m28.0s sys 1m48.3s`: a shell's report, put on one line.
_ONE_LINE = Linear(
    rf"\breal[\s=:]+(?:(?P<minutes>\d{{1,5}})m)?(?P<rest>{_NUMBER}) ?s?[\s,/]+user[\s=:]+(?:(?P<user_minutes>\d{{1,6}})m)?(?P<user>{_NUMBER})\b",
    needs="real",
)
# A timer's report goes over lines; each of its parts by itself.
_REAL = Linear(rf"^\W{{0,3}}real\s+(?P<minutes>\d{{1,5}})m(?P<rest>{_NUMBER})s$", needs="real")
_SHELL = Linear(
    rf"^\W{{0,3}}(?:user|sys)\s+(?P<minutes>\d{{1,5}})m(?P<rest>{_NUMBER})s$", needs="user sys"
)
_POSIX_REAL = Linear(rf"^real\s+(?P<seconds>{_NUMBER})$", needs="real")
_POSIX = Linear(rf"^(?:user|sys)\s+(?P<seconds>{_NUMBER})$", needs="user sys")
_IPYTHON = Linear(
    r"\bcpu times: .{0,80}total: (?:(?P<hours>\d{1,4})h ?)?(?:(?P<minutes>\d{1,4})min ?)?(?P<rest>\d{1,7}(?:\.\d{1,6})?) ?(?P<unit>m?s)\b",
    needs="cpu",
)
_WALL = Linear(
    r"^\W{0,3}wall time: (?:(?P<hours>\d{1,4})h ?)?(?:(?P<minutes>\d{1,4})min ?)?(?P<rest>\d{1,7}(?:\.\d{1,6})?) ?(?P<unit>m?s)\b",
    needs="wall",
)
_R_HEAD = Linear(r"^\W{0,3}user\s+system\s+elapsed\W*$", needs="elapsed")
_R_ROW = Linear(rf"^\W{{0,3}}(?P<user>{_NUMBER})\s+(?P<system>{_NUMBER})\s+(?P<wall>{_NUMBER})\W*$")


# Of which every form holds one: asked first, since most lines hold none.
_ANY = ("cpu", "real", "user", "sys", "elapsed", "wall")


# Whose time a line tells, where several processes of one program write into its log.
_WORKER = late_pattern(
    r"\b(?:worker|rank|process|proc|thread|pid|actor|executor|w)s?[ _#:=-]{0,2}(\d{1,7})\b",
    re.IGNORECASE,
)
_WORKER_FIELDS = ("worker", "rank", "pid", "process", "thread")
_SIDE_BY_SIDE = 0.5  # of the time that all of them cover, in which each tells its own; chosen


class _Spent(Struct):
    """CPU and wall time, in seconds; when the first and the last line of it came."""

    cpu: float = 0.0
    wall: float = 0.0
    first: float = 0.0
    last: float = 0.0

    def came(self, line: LogLine) -> None:
        if line.time is not None:
            self.last = line.time.timestamp()
            self.first = self.first or self.last


def cpu_share(lines: Sequence[LogLine]) -> float | None:
    """CPU over wall time of what the log tells both of, over 1 where several threads computed.

    None where less than 5 s of wall time are told. A process' CPU time that falls is another process'. Where a
    program tells of its whole run and of parts of it, all are counted.
    """
    # Replicas write into one log, and the processes of each.
    of_workers: dict[str, dict[str, _Spent]] = defaultdict(lambda: defaultdict(_Spent))
    growing: dict[tuple[str, str], _Growing] = defaultdict(_Growing)
    so_far = _Spent()
    head = False
    for line in lines:
        text = line.text[:TEXT]
        if "M::" in text and (found := _SO_FAR.search(text)):
            so_far.wall = float(found["wall"])
            so_far.cpu = so_far.wall * float(found["cpus"])
        low = text.lower()
        if not (head or any(word in low for word in _ANY)):
            continue
        worker = worker_of(line) if "cpu" in low else ""
        spent = of_workers[line.task][worker]
        before = spent.wall
        if not (_read_both(spent, text) or _read_timer(spent, text, below_head=head)):
            growing[line.task, worker].read(spent, line)
        if spent.wall > before:
            spent.came(line)
        head = _R_HEAD.is_in(text.strip())
    spent = _together([_of_one_task(list(workers.values())) for workers in of_workers.values()])
    if spent.wall < so_far.wall:
        spent = so_far
    return spent.cpu / spent.wall if spent.wall >= _LEAST_WALL_SECONDS else None


def worker_of(line: LogLine) -> str:
    """Which of a program's processes tells its time, by its number; empty where the line names none."""
    found = _WORKER.search(line.text[:TEXT])
    if found is not None:
        return found[1]
    return next((str(line.fields[key]) for key in _WORKER_FIELDS if key in line.fields), "")


def _of_one_task(workers: Sequence[_Spent]) -> _Spent:
    """What one replica computed: workers that ran side by side share their wall time, others came one after another."""
    heard = [one for one in workers if one.wall > 0]
    span = max((one.last for one in heard), default=0.0) - min(
        (one.first for one in heard), default=0.0
    )
    side_by_side = all(one.last - one.first >= span * _SIDE_BY_SIDE for one in heard) and span > 0
    if len(heard) < 2 or not side_by_side:  # noqa: PLR2004  # two are side by side
        return _together(heard)
    return _Spent(sum(one.cpu for one in heard), max(one.wall for one in heard))


def _together(parts: Sequence[_Spent]) -> _Spent:
    return _Spent(sum(one.cpu for one in parts), sum(one.wall for one in parts))


def _read_both(spent: _Spent, text: str) -> bool:
    """Takes a line that tells both times; False where it does not."""
    both = _CPU_OF_WALL.search(text) or _REAL_AND_CPU.search(text) or _OF_CHUNK.search(text)
    if both is not None:
        spent.cpu += float(both["cpu"])
        spent.wall += float(both["wall"])
        return True
    shell = _ONE_LINE.search(text)
    if shell is not None:
        spent.cpu += float(shell["user_minutes"] or 0) * 60 + float(shell["user"])
        spent.wall += float(shell["minutes"] or 0) * 60 + float(shell["rest"])
        return True
    gnu = _GNU.search(text)
    if gnu is None:
        return False
    spent.cpu += float(gnu["user"]) + float(gnu["system"])
    spent.wall += float(gnu["hours"] or 0) * 3600 + float(gnu["minutes"]) * 60 + float(gnu["rest"])
    return True


def _read_timer(spent: _Spent, text: str, *, below_head: bool) -> bool:
    """Takes a line of a timer's report of several lines; False where it is none."""
    bare = text.strip()
    if found := _REAL.search(bare):
        spent.wall += float(found["minutes"]) * 60 + float(found["rest"])
    elif found := _SHELL.search(bare):
        spent.cpu += float(found["minutes"]) * 60 + float(found["rest"])
    elif found := _POSIX_REAL.search(bare):
        spent.wall += float(found["seconds"])
    elif found := _POSIX.search(bare):
        spent.cpu += float(found["seconds"])
    elif found := _IPYTHON.search(bare):
        spent.cpu += _long(found["hours"], found["minutes"], found["rest"], found["unit"])
    elif found := _WALL.search(bare):
        spent.wall += _long(found["hours"], found["minutes"], found["rest"], found["unit"])
    elif below_head and (found := _R_ROW.search(bare)):
        spent.cpu += float(found["user"]) + float(found["system"])
        spent.wall += float(found["wall"])
    else:
        return False
    return True


def _long(hours: str | None, minutes: str | None, rest: str, unit: str) -> float:
    seconds = float(rest) / (1000.0 if unit == "ms" else 1.0)
    return float(hours or 0) * 3600 + float(minutes or 0) * 60 + seconds


class _Growing(Struct):
    """A process' CPU time, as the last line told it that did: the moment of it, and the seconds."""

    last: tuple[float, float] | None = None

    def read(self, spent: _Spent, line: LogLine) -> None:
        """Adds what was computed since that line, where this one tells the CPU time, too."""
        found = _CPU_TIME.search(line.text[:TEXT])
        if found is None or line.time is None:
            return
        now = (line.time.timestamp(), float(found["seconds"]))
        if self.last is not None and now[1] >= self.last[1]:
            spent.wall += now[0] - self.last[0]
            spent.cpu += now[1] - self.last[1]
        self.last = now
