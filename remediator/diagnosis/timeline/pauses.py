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
from remediator.diagnosis.progress_lines import is_progress
from remediator.diagnosis.timeline.vmstat import vmstat_row

__all__ = ["MemoryPauses", "paused_to_the_end", "read_pauses"]

_NUMBER = r"\d{1,12}(?:\.\d{1,6})?"
# `GC(401) Pause Full (Allocation Failure) 28477M->28263M(28672M) 10766.778ms`; documented: JEP 271.
_UNIFIED = Linear(
    rf"\bpause full\b[^>]{{0,80}}?\b\d{{1,9}}[kmg]->(?P<left>\d{{1,9}})[kmg]\((?P<heap>\d{{1,9}})(?P<unit>[kmg])\) (?P<ms>{_NUMBER})ms",
    needs="pause",
)
# `[Full GC (Ergonomics) … 1398144K->1398103K(1398144K), … 3.2014 secs]`; documented: HotSpot's guide to its collectors.
_OLDER = Linear(
    rf"\bfull gc\b.{{0,200}}?[\])] {{1,2}}\d{{1,9}}[kmg]->(?P<left>\d{{1,9}})[kmg]\((?P<heap>\d{{1,9}})(?P<unit>[kmg])\).{{0,160}}?(?P<seconds>{_NUMBER}) secs\]",
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
    r"\bswap(?:[ _]?used[ =:]{1,3}|\s?[=:]\s?)(?P<number>\d{1,6}(?:\.\d{1,3})?) ?(?P<unit>[gm])i?b?\b(?P<other>\W{1,3}(?:in )?(?:total|free|available|left|size|limit))?",
    needs="swap",
)
# `12.1 GB swap in use`, `swap in 80 MB/s`; and `91% of time in garbage collection`, `gc time: 91%`.
_SWAP_IN_USE = Linear(
    r"\b(?P<number>\d{1,6}(?:\.\d{1,3})?) ?(?P<unit>[gm])i?b (?:of )?swap (?:is )?(?:in use|used)\b|\bswap (?P<after>\d{1,6}(?:\.\d{1,3})?) ?(?P<of>[gm])i?b (?:is )?(?:in use|used)\b",
    needs="swap",
)
_SWAP_RATE = Linear(
    r"\bswap(?:ped|ping)?[ _-]?(?:in|out)[ =:]{1,3}(?P<number>\d{1,6}(?:\.\d{1,3})?) ?(?P<unit>[kmg])i?b/s",
    needs="swap",
)
_COLLECTING = Linear(
    r"\b(?P<percent>\d{1,3}(?:\.\d{1,2})?) ?% (?:of (?:the )?(?:cpu |wall |run |total )?(?:time|run) )?(?:was |is )?(?:spent )?(?:in|on) (?:full )?(?:gc\b|garbage collect)|\b(?:gc|garbage collection)(?:[ _](?:time|overhead|share|cpu))?[ =:]{1,3}(?P<share>\d{1,3}(?:\.\d{1,2})?) ?%",
    needs="gc garbage",
)
_FAULTS = Linear(
    r"\b(?:maj(?:or)?[ _-]?(?:page[ _-]?)?(?:faults?|flts?)|mjf|pgmajfault)(?:/s[ =:]{1,3}\d{4,12}|[ =:]{1,3}(?:\d{6,12}|\d{4,12} ?/ ?s))\b",
    needs="faul flt mjf",
)
# `28400.6 Mbytes of vectors used (99%)` below each collection; documented: R's gcinfo.
_VECTORS = Linear(r"\bmbytes of vectors used \((?:9[0-9]|100)%\)", needs="vectors")
# `memory full avg10=71.60`: the part of the time in which nothing could go on for memory; documented: the kernel's PSI.
_STALLED = Linear(r"\bmemory\W{0,3}full\s+avg10=(?P<share>\d{1,3}(?:\.\d+)?)", needs="avg10")
# `Spilled 8192 MiB, 611 objects` (Ray), `spilling sort data of 256.0 MiB to disk` (Spark); documented: their guides.
_SPILLED = Linear(
    r"\bspill(?:ed|ing)\b.{0,60}?\b(?:[1-9][\d,]{2,}(?:\.\d+)? ?mi?b|[1-9][\d.,]* ?[gt]i?b)\b|\bspill(?:ed|ing)\b[^\d]{0,60}\bto disk\b",
    needs="spill",
)
# `Mem: 30070 29620 95 8 357 99`, total first, what is available last; documented: free(1).
_FREE = Linear(
    r"^\W{0,3}mem:\s+(?P<total>\d{1,12})\s+\d{1,12}\s+(?P<free>\d{1,12})\s+\d{1,12}\s+\d{1,12}\s+(?P<left>\d{1,12})\W*$",
    needs="mem:",
)
_NEARLY_NONE = 0.02  # of the memory, available; chosen
# `gc 2703 @7155.469s 87%: 0.11+10213+0.07 ms clock`, the part of the time since the start; documented: Go's runtime, gctrace.
_GO = Linear(r"^\W{0,3}gc \d{1,9} @[\d.]{1,12}s (?P<percent>\d{1,3})%:", needs="gc")
# `GPU KV cache usage: 99.8%` beside requests that wait or are preempted; documented: vLLM's metrics.
_CACHE_FULL = Linear(
    r"\bkv[ _-]?cache\b.{0,40}?\b(?:9[89]|100)(?:\.\d)? ?%.{0,120}\b(?:preempt|evict|recomput|swapp)|\b(?:preempt|evict|recomput|swapp|waiting\W{1,3}[1-9]|pending\W{1,3}[1-9]).{0,120}\bkv[ _-]?cache\b.{0,40}?\b(?:9[89]|100)(?:\.\d)? ?%",
    needs="kv",
)
_RETRIES = Linear(r"\bnum_alloc_retries[\"']?[ =:]{1,2}[1-9]\d{2,}", needs="num_alloc")
_NO_ROOM = Linear(
    r"\bcuda out of memory\b|\bcuda error: out of memory\b|\bCUDA_ERROR_OUT_OF_MEMORY\b|\boom when allocating\b|\boom at batch\b",
    needs="cuda oom",
)
_FLUSHED = Linear(
    r"\ballocator cache flush(?:es)? since\b|\bcudamalloc retries\W{1,3}[1-9]|\b(?:sysmem fallback|shared gpu memory)\W{1,3}[1-9]",
    needs="flush retries sysmem shared",
)
_NEARLY_FULL = 0.85  # of the heap, left by a collection; chosen
_MUCH_OF_A_SPAN = 0.5  # of what Julia timed; chosen
_STALLED_MUCH = 20.0  # percent of the time; chosen
_WAITS, _READS, _CACHE = 40, 100_000, 1_000_000  # percent, kB a second, kB; chosen
_SWAPS, _MUCH_SWAP = 1_000, 2.0  # kB a second; GB in use; chosen
_FEWEST, _END = 5, 0.75  # lines, and the part of the run in which the last of them stands; chosen


# What every one of them holds: asked first, since most lines hold none.
_ANY = Linear(
    r"\bpause full\b|\bfull gc\b|\bmark-(?:sweep|compact)\b|% gc time|\bgc\b|garbage collect|\bpausing worker\b|\bsi[ =:]|\bswap|\bmaj\w*[ _-]?(?:page[ _-]?)?(?:fault|flt)|\bmjf\b|pgmajfault|mbytes of vectors|avg10=|\bcuda|\boom (?:when|at)|sysmem fallback|shared gpu memory|spill|num_alloc_retries|^\W{0,3}mem:|\bkv[ _-]?cache\b|^\W{0,3}gc \d|\bcache flush|\bcudamalloc retries\b|(?:^|[0-9Z]\s)\s*(?:\S*vmstat\S*\s+)?(?:\d{1,12}\s+){9}"
)


class MemoryPauses(Struct, frozen=True):
    """How often the log tells of such time, for how many seconds (0: it does not say), and in what words."""

    count: int
    seconds: float
    where: str
    says: str
    of_device: bool = False
    """The accelerator's memory, not the host's."""
    collects: bool = False
    """Collections, which fill the CPUs; of a heap that may be smaller than the machine's memory."""
    heap_bytes: float | None = None
    """How large the heap of a JVM or of V8 was that collections left nearly full; None: they tell none."""
    of_v8: bool = False


_OF_DEVICE = frozenset({"flushed", "refused", "cached"})
_COLLECTS = frozenset({"collected", "timed"})
# What an ordinary run does now and then: only often is it where the time went.
_EVENTS, _FEWEST_EVENTS = (
    frozenset({"spilled", "flushed", "refused", "cached"}),
    10,
)  # lines; chosen


_SHORT = "{count:,} reports in the log tell that the machine was short of memory"
_SAYS = {
    "collected": "{count:,} full garbage collections left the heap nearly full",
    "timed": "most of {count:,} timed steps was spent collecting garbage",
    "paused": "workers were paused for their memory {count:,} times",
    "spilled": "what did not fit into memory was written to the disk {count:,} times",
    "flushed": "the device's allocator gave back its cache and tried again, in {count:,} reports",
    "cached": "the model's cache on the device was full in {count:,} reports, and requests waited for it",
    "refused": "the device had no room {count:,} times, and the program went on",
}


class _Line(Struct, frozen=True):
    """What kind of account one line is, the seconds that it tells, and the heap's size in bytes (None: it tells none)."""

    kind: str = ""
    seconds: float = 0.0
    heap_bytes: float | None = None
    of_v8: bool = False


class _Heard(Struct):
    count: int = 0
    late: int = 0
    seconds: float = 0.0
    last: float = 0.0
    where: str = ""
    heap: _Line | None = None
    """The last that told of a heap."""


_BYTES = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}  # by definition; documented: IEC 80000-13


def read_pauses(lines: Sequence[LogLine]) -> MemoryPauses | None:
    """The heaviest such account that goes on to the end; None where the log tells of none.

    `lines` are the workers', in order of time.
    """
    if not lines or lines[0].time is None or lines[-1].time is None:
        return None
    first, last = lines[0].time.timestamp(), lines[-1].time.timestamp()
    several = len({line.task for line in lines}) > 1
    heard: dict[tuple[str, str], _Heard] = {}
    for line in lines:
        text, moment = line.text[:TEXT], line.time.timestamp() if line.time else first
        if not _ANY.is_in(text):
            continue
        account = _of_line(text)
        report = _report_in(text) if not account.kind else None
        kind = report[0] if report is not None else account.kind
        if not kind:
            continue
        # What one replica tells of its machine is that replica's; workers are paused by one scheduler.
        task = "" if kind == "paused" else line.task
        held = heard.setdefault((kind, task), _Heard())
        if report is not None:
            held.late += (1 if report[1] else -1) if moment >= (first + last) / 2 else 0
            if not report[1]:
                continue
        held.count += 1
        held.seconds += account.seconds
        held.last = moment
        held.where = line.insert_id or "logEntries"
        if account.heap_bytes is not None:
            held.heap = account
    # Of reports that come all the while most must say it, in the second half of the run.
    lasting = [
        (kind, task, one)
        for (kind, task), one in heard.items()
        if one.late >= 0
        and one.count >= (_FEWEST_EVENTS if kind in _EVENTS else _FEWEST)
        and one.last >= first + (last - first) * _END
    ]
    if not lasting:
        return None
    kind, task, most = max(lasting, key=lambda one: (one[2].seconds, one[2].count))
    says = _SAYS.get(kind, _SHORT).format(count=most.count)
    return MemoryPauses(
        most.count,
        most.seconds,
        most.where,
        f"{says} ({task})" if several and task else says,
        of_device=kind in _OF_DEVICE,
        collects=kind in _COLLECTS,
        heap_bytes=most.heap.heap_bytes if most.heap else None,
        of_v8=most.heap is not None and most.heap.of_v8,
    )


_RESUMED = Linear(r"\bresum(?:ing|ed)\b", needs="resum")


def paused_to_the_end(lines: Sequence[LogLine]) -> LogLine | None:
    """The line in which a worker was paused for its memory, where nothing was done after it and none was resumed; None
    where there is none. `lines` are the workers', in order of time.
    """
    for line in reversed(lines[-_LAST_READ:]):
        text = line.text[:TEXT]
        if _PAUSED.is_in(text):
            return line
        if _RESUMED.is_in(text) or is_progress(text):
            return None
    return None


_LAST_READ = 60  # lines, in which a paused worker's end stands; chosen


def _report_in(text: str) -> tuple[str, bool] | None:
    """Which form of a report on the machine's memory a line is, and whether it says that the machine swaps, reads its own
    programs again and again, or stands still for memory; None: it is none.
    """
    # 1,000 a second, or 100,000 since the start: a machine with memory to spare has few after its start.
    if _FAULTS.is_in(text):
        return "faults", True
    if found := _STALLED.search(text):
        return "stalled", float(found["share"]) >= _STALLED_MUCH
    if found := _FREE.search(text):
        # Of an older `free` the last number is what is cached.
        left = max(int(found["left"]), int(found["free"]))
        return "free", left < int(found["total"]) * _NEARLY_NONE
    if found := _SWAPPED.search(text):
        return "swapped", int(found["into"]) + int(found["out"]) >= _SWAPS
    if found := _SWAP_USED.search(text):
        gigabytes = float(found["number"]) / (1.0 if found["unit"].lower() == "g" else 1000.0)
        return "used", not found["other"] and gigabytes >= _MUCH_SWAP
    if found := _SWAP_IN_USE.search(text):
        number, unit = found["number"] or found["after"], found["unit"] or found["of"]
        gigabytes = float(number) / (1.0 if unit.lower() == "g" else 1000.0)
        return "used", gigabytes >= _MUCH_SWAP
    if found := _SWAP_RATE.search(text):
        kilobytes = float(found["number"]) * _BYTES[found["unit"].lower()] / 1000
        return "swapped", kilobytes >= _SWAPS
    row = vmstat_row(text)
    if row is None:
        return None
    # Without swap it is the files in memory that go, and come back from the disk.
    reads = row.wait >= _WAITS and row.read >= _READS and row.cache < _CACHE
    return "row", reads or row.into + row.out >= _SWAPS


def _of_line(text: str) -> _Line:
    """What one line tells; an empty kind: nothing."""
    for pattern in (_UNIFIED, _OLDER, _V8):
        found = pattern.search(text)
        if found is None:
            continue
        groups = found.groupdict()
        if float(found["left"]) < float(found["heap"]) * _NEARLY_FULL:
            return _Line()
        seconds = float(groups.get("seconds") or 0) or float(groups.get("ms") or 0) / 1000
        heap = float(found["heap"]) * _BYTES[groups.get("unit", "m").lower()]  # V8 counts in MB
        return _Line("collected", seconds, heap, pattern is _V8)
    found = _JULIA.search(text) or _GO.search(text)
    if found is not None:
        share = float(found["percent"]) / 100
        seconds = float(found.groupdict().get("seconds") or 0.0)
        return _Line("timed", seconds * share) if share >= _MUCH_OF_A_SPAN else _Line()
    found = _COLLECTING.search(text)
    if found is not None:
        much = float(found["percent"] or found["share"]) / 100 >= _MUCH_OF_A_SPAN
        return _Line("timed") if much else _Line()
    kinds = (kind for kind, patterns in _BY_WORDS for one in patterns if one.is_in(text))
    return _Line(next(kinds, ""))


_BY_WORDS = (
    ("paused", (_PAUSED,)),
    ("collected", (_VECTORS,)),
    ("spilled", (_SPILLED,)),
    ("refused", (_NO_ROOM,)),
    ("flushed", (_FLUSHED, _RETRIES)),
    ("cached", (_CACHE_FULL,)),
)
