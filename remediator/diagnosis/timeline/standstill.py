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

__all__ = ["OwnAccount", "read_lone_worker", "read_own_locks"]


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
