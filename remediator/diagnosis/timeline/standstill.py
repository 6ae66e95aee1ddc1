"""What a program's own processes do to each other, as its log tells it: one worker on many CPUs, a store that they lock.

Owns the words of both. A store that lives in a file of the job (SQLite, DuckDB, HDF5, LMDB) is locked by nobody but the
job. Pure; called by `read_timeline`.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from remediator.case import LogLine
from remediator.diagnosis.durations import TEXT, span_of
from remediator.diagnosis.lazy_patterns import Linear
from remediator.diagnosis.progress_lines import is_progress

__all__ = [
    "OwnAccount",
    "read_held_lock",
    "read_lone_worker",
    "read_own_locks",
    "read_prompt",
    "read_vain_poll",
]


class OwnAccount(Struct, frozen=True):
    """How many lines tell it, and one of them."""

    count: int
    where: str
    example: str


# `cpu_count=16 workers=1`, `single-threaded on 8 cores`, `process 1 of 1, 8 cpus`: both in one line.
_ONE = Linear(
    r"\b(?:n_?jobs|(?:n_|num_|max_)?workers?|processes|n_?procs?|nproc|(?:n_|num_)?threads?|concurrency|parallelism)\W{0,2}[ =:]{1,2}(?:1|one)(?:[,;)\]\s]|$)"
    r"|\b(?:1|one|a single|single) (?:worker|thread|process|proc|core|cpu)\b|\bsingle[- ](?:thread|process|core)(?:ed)?\b|\b(?:process|worker|thread) 1 of 1\b"
)
_CPUS = Linear(
    r"\b(?:(?:os\.)?cpu_?count(?:\(\))?|n_?cpus?|v?cpus?|cores|nproc)\W{0,2}[ =:]{1,2}(?P<after>\d{1,3})\b|\b(?P<before>\d{1,3})[ -](?:v?cpus?|cores?)\b"
)
_SEVERAL = 4  # CPUs, of which one worker leaves most idle; chosen


# The same so plainly that the number of CPUs may be known from elsewhere.
_ALONE = Linear(
    r"\bsingle[- ](?:thread|process|core)(?:ed)?\b|\b(?:n_?jobs|n_?threads|num_threads|threads|processes)\W{0,2}[=:]\s?1(?:[,;)\]\s]|$)|[,(] ?(?:1|one) (?:thread|process|core)\b(?: only)?\W{0,3}(?:$|[,;)])"
)


def read_lone_worker(lines: Sequence[LogLine], vcpus: int | None = None) -> OwnAccount | None:
    """The line that tells of one worker beside several CPUs, of which the machine has `vcpus`; None: there is none such."""
    for line in lines:
        text = line.text[:TEXT]
        if not _ONE.is_in(text):
            continue
        counts = [vcpus] if vcpus and _ALONE.is_in(text) else []
        counts += [int(one["after"] or one["before"]) for one in _CPUS.finditer(text)]
        if max(counts, default=0) >= _SEVERAL:
            return OwnAccount(1, line.insert_id or "logEntries", text[:_SHOWN])
    return None


# Documented: the result codes of SQLite (SQLITE_BUSY, SQLITE_LOCKED), DuckDB's and HDF5's pages on concurrency.
_LOCKED = Linear(
    r"\bdatabase (?:table |schema )?is locked\b|\bSQLITE_(?:BUSY|LOCKED)\b|\bcould not set lock on file\b|\bunable to lock file, errno\b|\block file(?: is)? (?:held|taken|already)\b.{0,60}\b(?:lmdb|rocksdb|leveldb|duckdb)\b|\b(?:lmdb|rocksdb|leveldb|duckdb)\b.{0,80}\block(?:ed)?\b.{0,40}\b(?:held|taken|already|temporarily)\b",
    needs="lock sqlite",
)
_FEWEST = 10  # such lines; chosen
_MOST = 0.5  # of what the second half of the run tells; chosen
_END = 0.8  # of the run, at which they still come; chosen
_SHOWN = 120  # characters of a line; chosen


def read_own_locks(lines: Sequence[LogLine]) -> OwnAccount | None:
    """Workers that are refused by a store in a file of their own, most of the time and to the end; None: they are not.

    `lines` are the workers', in order of time.
    """
    if not lines or lines[0].time is None or lines[-1].time is None:
        return None
    refused = [line for line in lines if _LOCKED.is_in(line.text[:TEXT])]
    if len(refused) < _FEWEST or refused[-1].time is None:
        return None
    first, last = lines[0].time.timestamp(), lines[-1].time.timestamp()
    if refused[-1].time.timestamp() < first + (last - first) * _END:
        return None
    held = {id(line) for line in refused}
    late = [
        id(line) in held
        for line in lines
        if line.time is not None
        and line.time.timestamp() >= (first + last) / 2
        and (id(line) in held or is_progress(line.text[:TEXT]) or span_of(line) is not None)
    ]
    if sum(late) < len(late) * _MOST:
        return None
    latest = refused[-1]
    return OwnAccount(len(refused), latest.insert_id or "logEntries", latest.text[:_SHOWN])


# A profiler's word that threads share one lock of their language: `GIL: 100.00%, Active: 103.00%` (py-spy top; documented:
# its README), Ruby's and other names of it.
_ONE_LOCK = Linear(
    r"\b(?:GIL|GVL|global interpreter lock|giant lock)\b\W{0,3}(?:held|contention|wait(?:ing)?|usage|busy)?\W{1,4}(?P<percent>\d{2,3}(?:\.\d{1,2})?) ?%"
    r"|\b(?P<share>\d{2,3}(?:\.\d{1,2})?) ?% (?:of (?:the )?(?:time|samples|threads) )?(?:in|on|of|waiting for|holding|held) (?:the )?(?:GIL|GVL|global interpreter lock|take_gil)\b",
    needs="gil gvl interpreter giant",
)
_ALL_OF_IT = 90.0  # percent; chosen


def read_held_lock(lines: Sequence[LogLine]) -> OwnAccount | None:
    """The profiler's line that says that one thread at a time ran all the while; None: there is none such."""
    shares = [
        (line, float(found["percent"] or found["share"]))
        for line in lines
        if (found := _ONE_LOCK.search(line.text[:TEXT])) is not None
    ]
    if not shares or sum(percent >= _ALL_OF_IT for _, percent in shares) * 2 <= len(shares):
        return None
    line = shares[-1][0]
    return OwnAccount(len(shares), line.insert_id or "logEntries", line.text[:_SHOWN])


_STATE = r"['\"]?(?:DONE|SUCCEEDED|SUCCESS(?:FUL)?|SUCCEED|COMPLETED?|FINISHED|FINISHED_OK|TERMINATED|CLOSED|ENDED|STOPPED|PASSED|OK|FAILED|FAILURE|ERROR(?:ED)?|CANCELL?ED|ABORTED|EXPIRED|(?:JOB|PIPELINE|TASK)?_?STATE_[A-Z]{2,12})['\"]?"
_AWAITS = r"(?:wait(?:s|ing|ed)? (?:for|until|on|till)|expect(?:s|ed|ing)?|want(?:s|ed|ing)?|need(?:s|ed)?|until|not yet|is not|!=|<>|!==|instead of)"
# A poll that is told an end, and waits for another word: `DONE (no errors), waiting for SUCCEEDED`, `state=Complete !=
# COMPLETED`, `waiting for SUCCEEDED, got DONE`.
_OTHER_WORD = Linear(
    rf"\b(?:(?:state|status|phase|result|is|now|got|job|run|build|query|task|operation)\b[^,;]{{0,60}}?[ :=(]{{1,3}})(?P<told>{_STATE})(?:\W.{{0,80}}?)?\b?{_AWAITS}\W{{1,3}}(?:(?:state|status|phase|it to be|to be|the)\W{{1,6}}){{0,2}}(?P<awaited>{_STATE})(?:\W|$)"
    rf"|{_AWAITS}\W{{1,3}}(?:(?:state|status|phase|it to be|to be|the)\W{{1,6}}){{0,2}}(?P<first>{_STATE})\W.{{0,60}}?\b(?:got|is|was|but|still|found|reports?|returned|state|status)\b\W{{1,3}}(?:(?:state|status|still|is|it)\W{{1,3}}){{0,2}}(?P<second>{_STATE})(?:\W|$)",
    needs="wait expect want need until yet not != <> instead",
)

# The same where what it waits for is no word of the service: `finished at 10:02 (exit 0); still waiting for _SUCCESS`.
_OVER = Linear(
    r"\b(?:finished|completed|succeeded|ended|exited|done)\b.{0,60}\b(?:still|keep|keeps) (?:waiting|polling|looking) (?:for|on) (?:the |a |its )?(?:_[A-Z]+\b|\S{0,40} ?(?:marker|flag|sentinel|callback|status|state|signal|event|file)\b)",
    needs="still keep",
)


def read_vain_poll(lines: Sequence[LogLine]) -> OwnAccount | None:
    """A poll that was told to the end that what it waits for had ended, by another word than the one it waits for; None:
    there is none such. `lines` are the workers', in order of time.
    """
    if not lines or lines[0].time is None or lines[-1].time is None:
        return None
    polls = [line for line in lines if _is_vain(line.text[:TEXT])]
    if len(polls) < _FEWEST or polls[0].time is None or polls[-1].time is None:
        return None
    first, last = lines[0].time.timestamp(), lines[-1].time.timestamp()
    since, until = polls[0].time.timestamp(), polls[-1].time.timestamp()
    if until < first + (last - first) * _END or until - since < (last - first) / 2:
        return None
    late = sum(1 for line in lines if line.time is not None and line.time.timestamp() >= since)
    if len(polls) < late * _MOST:
        return None
    return OwnAccount(len(polls), polls[-1].insert_id or "logEntries", polls[-1].text[:_SHOWN])


def _is_vain(text: str) -> bool:
    if _OVER.is_in(text):
        return True
    found = _OTHER_WORD.search(text)
    if found is None:
        return False
    one, other = (
        (found["told"], found["awaited"]) if found["told"] else (found["first"], found["second"])
    )
    return str(one).strip("'\"") != str(other).strip("'\"")


# A question to a person, who is not there: `Overwrite? [y/N]`, `Press any key`, `Password:`.
_PROMPT = Linear(
    r"[\[(]y(?:es)?/n(?:o)?(?:/\w{1,6})?[\])]\W*$|\bpress (?:any key|enter|return)\b|\b(?:password|passphrase)(?: for \S{1,60})?: ?$|\benter (?:your |a |the )?(?:password|passphrase|api key|token|verification code|choice)\b.{0,40}:? ?$|\b(?:continue|proceed|overwrite)\?\W*$|^\W{0,3}\(?(?:i?pdb|gdb|lldb)[)>]",
    needs="pdb gdb lldb /n press password passphrase enter continue proceed overwrite",
)
_SILENT = 0.5  # of the run; chosen


def read_prompt(lines: Sequence[LogLine], end: float | None) -> OwnAccount | None:
    """The question to a person that is the last that the workers wrote, long before the `end` (a POSIX time); None: it is none."""
    said = [line for line in lines if line.text.strip()]
    if not said or end is None or said[0].time is None or said[-1].time is None:
        return None
    last, first = said[-1], said[0].time.timestamp()
    silent = end - said[-1].time.timestamp()
    if silent < (end - first) * _SILENT or not _PROMPT.is_in(last.text.strip()[-TEXT:]):
        return None
    return OwnAccount(1, last.insert_id or "logEntries", last.text.strip()[-_SHOWN:])
