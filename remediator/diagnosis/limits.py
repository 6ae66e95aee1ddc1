"""How much a message says that it wanted, and whether the limit it met is the program's own.

Owns the reading of sizes ("Unable to allocate 7.28 TiB", "you tried to allocate 4000000000000 bytes")
and of limits that no machine sets (a JVM's heap, V8's, a dask worker's, `ulimit`, `/dev/shm`, a mounted
file system). Reads texts of which a signature has already said that memory or a disk was short, and the
job's own arguments. Judges
nothing: that a bigger machine does not lift such a limit is the planner's business. Pure; called by
`diagnose`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

from msgspec import Struct
from msgspec.structs import replace

from remediator.diagnosis.metrics import GIB
from remediator.diagnosis.signature import TextPlace
from remediator.diagnosis.texts.case_text import CaseText
from remediator.diagnosis.texts.evidence import TextEvidence
from remediator.diagnosis.timeline.pauses import MemoryPauses
from remediator.domain import Cause, Evidence, FullMount, OwnLimit, Source, Wanted
from remediator.domain.late_pattern import late_pattern
from remediator.job import Job

_UNITS = {
    "": 0,
    "b": 0,
    "k": 1,
    "m": 2,
    "g": 3,
    "t": 4,
    "p": 5,
    "e": 6,
}  # powers of the base; documented: IEC 80000-13
_SIZE = (
    # numpy writes a whole number of three digits as `300. GiB`.
    r"(?P<{0}>\d{{1,20}}(?:[.,]\d{{1,6}}|\.(?= [KMGTPE]iB\b))?) ?(?P<{0}_unit>[kmgtpe]?i?b(?:ytes?)?|[kmgtpe]|bytes?)?"
)


def bytes_of(number: str, unit: str | None) -> float:
    """Bytes of "7.28", "TiB": binary for `KiB` and for a bare letter (`-Xmx2g`), decimal for `KB`."""
    letter = (unit or "").lower()
    power = _UNITS.get(letter[:1], 0) if not letter.startswith("byte") else 0
    base = 1000.0 if len(letter) == 2 and letter.endswith("b") and power else 1024.0  # noqa: PLR2004  # "kb"
    return float(number.replace(",", ".")) * base**power


# What was wanted at once, in the words of allocators; the source of each is its own program.
_WANTED = tuple(
    late_pattern(pattern.replace("{size}", _SIZE.format("size")), re.IGNORECASE)
    for pattern in (
        r"\b(?:un)?able to (?:allocate|reserve) {size}",  # numpy
        r"\b(?:tried|trying|attempt(?:ed|ing)?) to (?:allocate|reserve) {size}",  # torch
        r"\b(?:can ?not|can't|could not|couldn't|failed to|failure to) (?:allocate|reserve)(?: memory| a?n? ?buffer| a?n? ?array| a?n? ?block| vector)?(?: of| for)?(?: size)? ?\(?{size}",
        r"\b(?:malloc|calloc|realloc|mmap|allocation|request)(?:ing)? (?:of|for)(?: size)? {size}(?: bytes)? (?:failed|exceeds)",  # arrow, TensorFlow
        r"\ballocat(?:e|ing|ion)(?: of)? (?P<size>\d{4,20}) ?(?P<size_unit>bytes)?\b",
        r"\b(?:failed|error) (?:on|for) request of size {size}",  # PostgreSQL
        r"\bnot less than (?P<size>\d{6,20})(?P<size_unit>)",  # STAR names what it needs
        r"\brequires? (?:at least )?{size} of (?:memory|ram)",
    )
)


class _Limit(Struct, frozen=True):
    """One limit of a program's own: what it is called, how a message shows it, and its value.

    `fixed`: it does not grow with the machine, even where nobody set it. A bare number in it counts
    `counts_in` bytes. `share`: of the machine's memory that it is where nobody set it; 0: not known.
    Where a message tells its value, `follows` are the shares between which it is the program's own choice.
    """

    name: str
    pattern: re.Pattern[str]
    fixed: bool = True
    counts_in: int = 1
    share: float = 0.0
    follows: tuple[float, float] | None = None


def _limit(
    name: str,
    pattern: str,
    *,
    fixed: bool = True,
    counts_in: int = 1,
    share: float = 0.0,
    follows: tuple[float, float] | None = None,
) -> _Limit:
    full = pattern.replace("{size}", _SIZE.format("size"))
    return _Limit(name, late_pattern(full, re.IGNORECASE), fixed, counts_in, share, follows)


# Of programs that write `GB` or `Gb` and mean 2**30 bytes: Hadoop (TraditionalBinaryPrefix) and R.
_BINARY_SIZE = r"(?P<size>\d{1,20}(?:[.,]\d{1,6})?) ?(?P<size_unit>[kmgtpe])b"
_SPARK_HEAP = "Spark's heap (spark.driver.memory, spark.executor.memory)"
_NODE_HEAP = "the Node.js heap (--max-old-space-size)"
_JVM_HEAP = "the heap of the Java machine (-Xmx, else a quarter of the memory)"
# Spark starts its machines with a heap of its own: 1 GiB unless told (documented: spark.driver.memory).
_SPARK = late_pattern(r"\bpy4j\.(?:protocol|java_gateway)\b|\borg\.apache\.spark\.")
# Documented: a JVM takes a quarter of the memory as its heap unless told (-XX:MaxRAMPercentage), and duckdb's
# memory_limit is 80% of the memory that it sees, which is a little less than the machine's.
_IN_MESSAGES = (
    _limit("shared memory (/dev/shm)", r"shared memory ?\(shm\)|/dev/shm|shared memory object|insufficient shared memory|to write to file </torch_|bus error[^|]{0,80}shared memory"),
    _limit(_NODE_HEAP, r"javascript heap out of memory|(?:mark-compact|ineffective mark-compacts) near heap limit"),
    _limit(_SPARK_HEAP, r"(?:py4j|\bspark\b|org\.apache\.spark)[^|]{0,4000}java\.lang\.outofmemoryerror: (?:java heap|gc overhead)|java\.lang\.outofmemoryerror: (?:java heap|gc overhead)[^|]{0,4000}org\.apache\.spark"),
    _limit("Spark's container (spark.executor.memoryOverhead)", r"killed by yarn for exceeding (?:physical )?memory limits[^|]{0,80}? of " + _BINARY_SIZE),
    _limit(_JVM_HEAP, r"java\.lang\.outofmemoryerror: (?:java heap|gc overhead)|java heap space", fixed=False, share=0.25),
    _limit("duckdb's memory_limit", r"out of memory error: [^|]{0,200}?\([\d.]+ ?[kmgt]?i?b/{size} used\)", follows=(0.74, 0.82)),
    _limit("PHP's memory_limit", r"allowed memory size of {size} exhausted"),
    _limit("the dask worker's memory limit", r"worker memory limit: {size}", fixed=False),
    _limit("the dask worker's memory limit", r"exceeded (?:\d\d% )?memory (?:limit|budget)", fixed=False),
    _limit("STAR's --limitGenomeGenerateRAM", r"limitgenomegenerateram ?= ?{size}"),
    _limit("STAR's --limitBAMsortRAM", r"limitbamsortram"),
    _limit("Ray's object store (object_store_memory)", r"objectstorefullerror", fixed=False),
    _limit("the R vector limit (R_MAX_VSIZE)", r"vector memory (?:exhausted \(limit reached|limit of " + _BINARY_SIZE + " reached)"),
)  # fmt: skip

# Documented: V8 counts in MiB, the shell's ulimit in KiB.
_IN_CONFIGURATION = (
    _limit("the heap of the Java machine (-Xmx)", r"-Xmx{size}\b"),
    _limit("the Node.js heap (--max-old-space-size)", r"max[-_]old[-_]space[-_]size[= ](?P<size>\d{1,9})(?P<size_unit>)", counts_in=1 << 20),
    _limit("Spark's heap", r"(?:spark\.(?:driver|executor)\.memory[=:\" ]{1,3}|--(?:driver|executor)-memory[= ]){size}\b"),
    _limit("ulimit", r"\bulimit -(?:S|H)?[vmd] (?P<size>\d{1,15})(?P<size_unit>)", counts_in=1 << 10),
    _limit("ulimit", r"\bprlimit\b[^|;&]{0,80}--(?:as|data|rss)=(?P<size>\d{1,15})(?P<size_unit>)"),
    _limit("the memory limit in its arguments", r"--memory[-_]limit[= ]{size}\b"),
)  # fmt: skip
_MOST_QUOTED = 240  # characters from where a match begins; chosen
_MOST_TEXT = 12_000  # characters; chosen
_MOST_ARGUMENTS = 400_000  # characters; chosen
_CONFIGURATION = "configuration"  # where evidence of a setting stands
_QUOTE = 60  # characters before and after what is quoted; chosen


def wanted_by(reading: TextEvidence) -> Wanted | None:
    """The largest size that a message about memory says was asked for; None where none says one."""
    found = [
        Wanted(size, row.cause is Cause.GPU_MEMORY, _evidence(case_text, match))
        for case_text, row in reading.about_memory
        for size, match in _sizes(case_text.text)
    ]
    return max(found, key=lambda wanted: wanted.bytes, default=None)


def own_limit_met(
    reading: TextEvidence,
    job: Job,
    peak: float | None = None,
    said: Iterable[str] = (),
    memory_gib: float | None = None,
) -> OwnLimit | None:
    """The program's own limit that a message about host memory tells of; None where none does.

    Its value may stand in the job's arguments, where a message names the limit alone. `peak`: the
    most of the machine's memory that was measured in use, as a share; None: nobody measured it. `said`:
    all that the log says, for whose heap it was. `memory_gib`: the machine's; None: not known.
    """
    texts = [
        _with_its_chain(held, reading)
        for held, row in reading.about_memory
        if row.cause is Cause.MEMORY_PRESSURE
    ]
    if not texts:
        return None
    found = [limit for text in texts if (limit := _limit_in(_IN_MESSAGES, text, peak, memory_gib))]
    reported = next((limit for limit in found if limit.fixed), found[0] if found else None)
    if reported is not None and reported.name == _JVM_HEAP and any(map(_SPARK.search, said)):
        reported = replace(reported, name=_SPARK_HEAP, fixed=True)
    configured = configured_limit(job)
    if reported is not None and reported.bytes is not None:
        return replace(reported, fixed=reported.fixed or _is_the_same(reported, configured))
    if configured is not None and (reported is None or _is_heap(reported) == _is_heap(configured)):
        return configured
    return reported


_ALIKE = 0.9  # one size over another, rounded in decimal and in binary units; chosen


def _is_the_same(reported: OwnLimit, configured: OwnLimit | None) -> bool:
    """Whether the limit that a message tells is the one that the job's own arguments set."""
    if configured is None or not (configured.bytes and reported.bytes):
        return False
    return _ALIKE <= configured.bytes / reported.bytes <= 1 / _ALIKE


_QUARTER = (
    0.22,
    0.28,
)  # of the machine's memory, which a JVM takes unless told; chosen around the documented one
_OF_THE_MACHINE = 0.85  # of its memory, from which a heap is bounded by it; chosen


def heap_met(pauses: MemoryPauses | None, memory_gib: float | None) -> OwnLimit | None:
    """The heap that collections kept finding full, where it is smaller than the machine's memory; None where it is
    not, or its size or the machine's is not known. A quarter of the memory is the JVM's own choice, and grows with it.
    """
    if pauses is None or pauses.heap_bytes is None or memory_gib is None:
        return None
    share = pauses.heap_bytes / (memory_gib * GIB)
    if share >= _OF_THE_MACHINE:
        return None
    chosen = pauses.of_v8 or not _QUARTER[0] <= share <= _QUARTER[1]
    name = _NODE_HEAP if pauses.of_v8 else _JVM_HEAP
    evidence = Evidence(Source.LOG, pauses.where, pauses.says)
    return OwnLimit(name, pauses.heap_bytes, chosen, evidence)


def _with_its_chain(case_text: CaseText, reading: TextEvidence) -> CaseText:
    """The statement, with the exception that ended its traceback: whose heap it was says that one."""
    ended = [one.text for one in reading.raised if case_text.chain and one.chain == case_text.chain]
    if not ended or ended[0] == case_text.text:
        return case_text
    return replace(case_text, text=f"{ended[0]} {case_text.text}")


def configured_limit(job: Job) -> OwnLimit | None:
    """The limit of memory that the job's own arguments or environment set; None where none does."""
    arguments = CaseText(
        Source.JOB, _CONFIGURATION, TextPlace.ERROR, _arguments(job), author="its configuration"
    )
    return _limit_in(_IN_CONFIGURATION, arguments)


def _is_heap(limit: OwnLimit) -> bool:
    return "heap" in limit.name


def _arguments(job: Job) -> str:
    """Commands, arguments and environment of the job as one text."""
    return job.configuration_text[:_MOST_ARGUMENTS]


def _sizes(text: str) -> Iterator[tuple[float, re.Match[str]]]:
    for pattern in _WANTED:
        for match in pattern.finditer(text[:_MOST_TEXT]):
            # R's `Gb` is 2**30 bytes (its memory.c): the bare letter is binary here.
            by_r = "vector" in match[0].lower()
            unit = match["size_unit"] or ""
            size = bytes_of(match["size"], unit[:1] if by_r else unit)
            if size > 0:
                yield size, match


_SURELY_BELOW = 0.8
"""Chosen: of the share that a limit is by itself, what was in use where somebody set it lower."""


def _limit_in(
    table: Iterable[_Limit],
    case_text: CaseText,
    peak: float | None = None,
    memory_gib: float | None = None,
) -> OwnLimit | None:
    for row in table:
        match = row.pattern.search(case_text.text)
        if match is None:
            continue
        groups = match.groupdict()
        size = None
        if groups.get("size"):
            size = bytes_of(groups["size"], groups.get("size_unit"))
            size *= row.counts_in if not groups.get("size_unit") else 1
        was_set = peak is not None and peak < row.share * _SURELY_BELOW
        fixed = (row.fixed or was_set) and not _follows(row, size, memory_gib)
        return OwnLimit(row.name, size, fixed, _evidence(case_text, match))
    return None


def _follows(row: _Limit, size: float | None, memory_gib: float | None) -> bool:
    """Whether the limit is the share of the machine's memory that the program takes by itself."""
    if row.follows is None or not size or not memory_gib:
        return False
    least, most = row.follows
    return least <= size / (memory_gib * GIB) <= most


def _evidence(case_text: CaseText, match: re.Match[str]) -> Evidence:
    # What stands around a setting is the rest of the job, not a sentence.
    quote = 0 if case_text.source is Source.JOB and case_text.where == _CONFIGURATION else _QUOTE
    start = max(0, match.start() - quote)
    says = case_text.text[start : min(match.end() + quote, match.start() + _MOST_QUOTED)].strip()
    return Evidence(case_text.source, case_text.where, f'{case_text.author}: "{says}"')


# Where file systems are mounted: Vertex mounts NFS below /mnt/nfs (documented: nfsMounts.mountPoint), the others
# are custom. Not /gcs: a bucket has no limit of space, it is the local disk on which Cloud Storage FUSE stages
# what is written (documented: its temp-dir and file cache).
_MOUNTED = late_pattern(r"/(?:mnt|nfs|filestore|scratch)/")
_FULL = r"(?:no space left on (?:the )?(?:device|disk)|disk quota exceeded|\benospc\b|\bedquot\b)"
_A_PATH = r"['\"`\u2018]?(?P<path>/[^\s'\"`\u2019:,;)\]]{1,200})"
_FULL_PATHS = (
    # Of a rename the second is what is written: `No space left on device: '/tmp/a' -> '/mnt/nfs/a'`.
    late_pattern(
        rf"{_FULL}(?: \(\d{{1,3}}\))?[:,]? ?(?:'[^']{{1,200}}' -> )?{_A_PATH}", re.IGNORECASE
    ),
    # `cp: error writing '/mnt/nfs/a': No space left on device`: the path that stands next to it.
    late_pattern(rf"(?:^|[\s'\"`\u2018]){_A_PATH}[^/]{{0,60}}{_FULL}", re.IGNORECASE),
)


def full_mount_met(reading: TextEvidence, mounts: Collection[str] = ()) -> FullMount | None:
    """The path for which a message says that its disk is full, where it lies on a file system that is mounted
    from elsewhere; None where it lies on the machine's own disk, or none is named.

    `mounts`: the job's own mount points; where there are any, all other folders are the machine's.

    Of each signature the heaviest message is read: one beside it may name another path.
    """
    found = [
        FullMount(path, sign.evidence)
        for sign in reading.signs
        if sign.cause is Cause.DISK_FULL and sign.weight > 0
        for path in (_full_path(sign.text or sign.evidence.says),)
        if path
    ]
    mounted = [one for one in found if _is_mounted(one.path, mounts)]
    return mounted[0] if mounted and len(mounted) == len(found) else None


def _is_mounted(path: str, mounts: Collection[str]) -> bool:
    if mounts:
        return any(path == point or path.startswith(f"{point}/") for point in mounts)
    return _MOUNTED.match(path) is not None


def _full_path(text: str) -> str:
    for pattern in _FULL_PATHS:
        if (match := pattern.search(text[:_MOST_TEXT])) is not None:
            return match["path"]
    return ""
