"""Time that a program spent on its memory instead of its work, as the log tells it: collections, pauses, swapping.

Owns the forms: full collections of the JVM (unified logging and the older one) and of V8, Julia's `@time`, Dask's workers that
pause, and vmstat's rows. A collection counts where it left the heap nearly full. Pure; called by `read_timeline`.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from remediator.case import LogLine
from remediator.diagnosis.durations import TEXT
from remediator.diagnosis.lazy_patterns import Linear
from remediator.domain.late_pattern import late_pattern

__all__ = ["MemoryPauses", "read_pauses"]

_NUMBER = r"\d{1,12}(?:\.\d{1,6})?"
# `GC(401) Pause Full (Allocation Failure) 28477M->28263M(28672M) 10766.778ms`; documented: JEP 271.
_UNIFIED = Linear(
    rf"\bpause full\b[^>]{{0,80}}?\b\d{{1,9}}[kmg]->(?P<left>\d{{1,9}})[kmg]\((?P<heap>\d{{1,9}})[kmg]\) (?P<ms>{_NUMBER})ms",
    needs="pause",
)
# `[Full GC (Ergonomics) … 1398144K->1398103K(1398144K), … 3.2014 secs]`; documented: HotSpot's guide to its collectors.
_OLDER = Linear(
    rf"\bfull gc\b.{{0,200}}?[\])] {{1,2}}\d{{1,9}}[kmg]->(?P<left>\d{{1,9}})[kmg]\((?P<heap>\d{{1,9}})[kmg]\).{{0,160}}?(?P<seconds>{_NUMBER}) secs\]",
    needs="full",
)
# `Mark-Compact 4061.3 (4130.1) -> 4052.0 (4133.4) MB, 2214.11 / 0.00 ms`; documented: V8's --trace-gc.
_V8 = Linear(
    rf"\bmark-(?:sweep|compact)\b[^>]{{0,60}}-> (?P<left>{_NUMBER}) \((?P<heap>{_NUMBER})\) mb, (?P<ms>{_NUMBER}) /",
    needs="mark-",
)
# `70.9 seconds (3.36 G allocations: 223.977 GiB, 89.95% gc time)`; documented: Julia's manual, @time.
_JULIA = Linear(
    rf"\b(?P<seconds>{_NUMBER}) seconds \([^)]{{0,120}}?(?P<percent>{_NUMBER})% gc time", needs="gc"
)
_PAUSED = Linear(r"\bpausing worker\b", needs="pausing")
# `vmstat: … si 30112 so 20411 …`, in kB a second; documented: vmstat(8).
_SWAPPED = Linear(
    r"\bsi[ =:]{1,2}(?P<into>\d{1,9})\W{1,3}so[ =:]{1,2}(?P<out>\d{1,9})\b", needs="si"
)
# `swap used = 42.3 GB` of a memory report, and what `free` prints in MB (documented: free(1)).
_SWAP_USED = Linear(
    r"\bswap(?:[ _]?used)?[ =:]{1,3}(?P<number>\d{1,6}(?:\.\d{1,3})?) ?(?P<unit>[gm])i?b",
    needs="swap",
)
_FAULTS = Linear(r"\bmajor (?:page )?faults\W{1,4}(?P<number>\d{5,12})\b", needs="faults")
_FLUSHED = Linear(
    r"\ballocator cache flush(?:es)? since\b|\bcudamalloc retries\b", needs="flush retries"
)
_ROW = late_pattern(
    r"^\s*(?:\S*vmstat\S*\s+)?\d{1,5}\s+\d{1,5}\s+\d{1,12}\s+\d{1,12}\s+\d{1,12}\s+\d{1,12}\s+(?P<into>\d{1,9})\s+(?P<out>\d{1,9})(?:\s+\d{1,9}){7,9}\s*$"
)
_NEARLY_FULL = 0.85  # of the heap, left by a collection; chosen
_MUCH_OF_A_SPAN = 0.5  # of what Julia timed; chosen
_SWAPS, _MUCH_SWAP = 1_000, 2.0  # kB a second; GB in use; chosen
_FEWEST, _END = 5, 0.75  # lines, and the part of the run in which the last of them stands; chosen


# What every one of them holds: asked first, since most lines hold none.
_ANY = Linear(
    r"\bpause full\b|\bfull gc\b|\bmark-(?:sweep|compact)\b|% gc time|\bpausing worker\b|\bsi[ =:]|\bswap|\bmajor (?:page )?faults|\bcache flush|\bcudamalloc retries\b|^\s*(?:\S*vmstat\S*\s+)?(?:\d{1,12}\s+){9}"
)


class MemoryPauses(Struct, frozen=True):
    """How often the log tells of such time, for how many seconds (0: it does not say), and in what words."""

    count: int
    seconds: float
    where: str
    says: str
    of_device: bool = False
    """The accelerator's memory, not the host's."""


class _Heard(Struct):
    says: str
    count: int = 0
    seconds: float = 0.0
    last: float = 0.0
    where: str = ""


def read_pauses(lines: Sequence[LogLine]) -> MemoryPauses | None:
    """The heaviest such account that goes on to the end; None where the log tells of none.

    `lines` are the workers', in order of time.
    """
    if not lines or lines[0].time is None or lines[-1].time is None:
        return None
    first, last = lines[0].time.timestamp(), lines[-1].time.timestamp()
    heard = {
        "collected": _Heard("{count:,} full collections left the heap nearly full"),
        "timed": _Heard("most of {count:,} timed steps was spent collecting garbage"),
        "paused": _Heard("workers were paused for their memory {count:,} times"),
        "flushed": _Heard(
            "the device's allocator gave back its cache and tried again, in {count:,} reports"
        ),
        "swapped": _Heard("the machine was swapping in {count:,} reports"),
    }
    for line in lines:
        kind, seconds = _of_line(line.text[:TEXT])
        if kind and line.time is not None:
            held = heard[kind]
            held.count += 1
            held.seconds += seconds
            held.last = line.time.timestamp()
            held.where = line.insert_id or "logEntries"
    lasting = [
        (kind, one)
        for kind, one in heard.items()
        if one.count >= _FEWEST and one.last >= first + (last - first) * _END
    ]
    if not lasting:
        return None
    kind, most = max(lasting, key=lambda one: (one[1].seconds, one[1].count))
    says = most.says.format(count=most.count)
    return MemoryPauses(most.count, most.seconds, most.where, says, of_device=kind == "flushed")


def _of_line(text: str) -> tuple[str, float]:
    """What kind of account one line is, and the seconds that it tells; an empty kind: none."""
    if not _ANY.is_in(text):
        return "", 0.0
    for pattern in (_UNIFIED, _OLDER, _V8):
        found = pattern.search(text)
        if found is not None:
            full = float(found["left"]) >= float(found["heap"]) * _NEARLY_FULL
            groups = found.groupdict()
            seconds = float(groups.get("seconds") or 0) or float(groups.get("ms") or 0) / 1000
            return ("collected", seconds) if full else ("", 0.0)
    found = _JULIA.search(text)
    if found is not None:
        share = float(found["percent"]) / 100
        return ("timed", float(found["seconds"]) * share) if share >= _MUCH_OF_A_SPAN else ("", 0.0)
    if _PAUSED.is_in(text):
        return "paused", 0.0
    found = _SWAPPED.search(text) or _ROW.match(text)
    if found is not None and int(found["into"]) + int(found["out"]) >= _SWAPS:
        return "swapped", 0.0
    if _FAULTS.is_in(
        text
    ):  # 10,000 or more: a machine with memory to spare has none after its start
        return "swapped", 0.0
    if _FLUSHED.is_in(text):
        return "flushed", 0.0
    found = _SWAP_USED.search(text)
    if found is not None:
        gigabytes = float(found["number"]) / (1.0 if found["unit"].lower() == "g" else 1000.0)
        return ("swapped", 0.0) if gigabytes >= _MUCH_SWAP else ("", 0.0)
    return "", 0.0
