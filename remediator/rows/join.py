"""The join of rows and output lines as a multiset, with memory that does not grow with the batch.

Owns the temporary files: each side's hashes are spread over partitions by their own bits, and one
partition at a time is joined in memory. Must not know what a row is. Called by `account`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from remediator.rows.canonical import DIGEST_BYTES
from remediator.rows.shapes import DONE, NEVER, PASSING

_BYTES_A_PARTITION = (
    2 * 2**20
)  # of input; at 20 bytes a row, 100,000 rows of some 200 bytes in memory
_MOST_PARTITIONS = 2048  # chosen: both sides' buffers stay below 16 MiB
_BUFFERS = 4 * 2**20  # bytes of one side's buffers together
_ROW = struct.Struct(f"={DIGEST_BYTES}sQ")
_LINE = struct.Struct(f"={DIGEST_BYTES}sB")


def partitions_for(input_bytes: int) -> int:
    """How many partitions keep each of them small, whatever the rows' size."""
    return max(1, min(_MOST_PARTITIONS, input_bytes // _BYTES_A_PARTITION))


class Spill:
    """Records of one side, appended to their partition's file through small buffers."""

    def __init__(self, folder: Path, name: str, record: struct.Struct, partitions: int) -> None:
        self._paths = [folder / f"{name}-{index}" for index in range(partitions)]
        self._buffers = [bytearray() for _ in range(partitions)]
        self._full = max(4096, _BUFFERS // partitions)
        self._record = record
        self._pack = record.pack

    def add(self, digest: bytes, value: int) -> None:
        index = (digest[0] | digest[1] << 8) % len(self._paths)
        buffer = self._buffers[index]
        buffer += self._pack(digest, value)
        if len(buffer) >= self._full:
            self._flush(index)

    def records(self, index: int) -> Iterator[tuple[bytes, int]]:
        """(digest, value) of one partition, in the order in which they were added."""
        self._flush(index)
        with self._paths[index].open("rb") as stream:
            while block := stream.read(self._record.size * 4096):
                yield from self._record.iter_unpack(block)

    def _flush(self, index: int) -> None:
        with self._paths[index].open("ab") as stream:
            stream.write(self._buffers[index])
        self._buffers[index].clear()


def spills(folder: Path, partitions: int) -> tuple[Spill, Spill]:
    """The two sides, empty: rows with their number, output lines with what became of the row."""
    return (
        Spill(folder, "rows", _ROW, partitions),
        Spill(folder, "lines", _LINE, partitions),
    )


class Joined(Struct):
    """Counts of a join. `unnamed` rows have no line; `repeated` lines have an earlier one's hash."""

    done: int = 0
    passing: int = 0
    never: int = 0
    unnamed: int = 0
    unmatched: int = 0
    duplicates: int = 0
    repeated: int = 0


def join(rows: Spill, lines: Spill, partitions: int, to_send: bytearray) -> Joined:
    """Match each line with one row of the same hash, in the rows' order.

    Of rows that are equal, the first are those that are done, then those that can never pass. In
    `to_send`, a bit for each row, those that may pass and those without a line are set.
    """
    found = Joined()
    for index in range(partitions):
        _join_partition(rows.records(index), lines.records(index), to_send, found)
    return found


def _join_partition(
    rows: Iterator[tuple[bytes, int]],
    lines: Iterator[tuple[bytes, int]],
    to_send: bytearray,
    found: Joined,
) -> None:
    left: dict[bytes, int | list[int]] = {}  # a lone line by its state, several by their counts
    for digest, state in lines:
        before = left.get(digest)
        if before is None:
            left[digest] = state
            continue
        found.repeated += 1
        if isinstance(before, int):
            before = left[digest] = [int(before == one) for one in (DONE, NEVER, PASSING)]
        before[state] += 1
    seen: set[bytes] = set()
    for digest, number in rows:
        found.duplicates += digest in seen
        seen.add(digest)
        fate = _taken(left, digest)
        if fate == DONE:
            found.done += 1
        elif fate == NEVER:
            found.never += 1
        else:
            to_send[number >> 3] |= 1 << (number & 7)
            if fate is None:
                found.unnamed += 1
            else:
                found.passing += 1
    found.unmatched += sum(1 if isinstance(one, int) else sum(one) for one in left.values())


def _taken(left: dict[bytes, int | list[int]], digest: bytes) -> int | None:
    """The state of a line with this hash, which is then used up; None where none is left."""
    held = left.get(digest)
    if held is None:
        return None
    if isinstance(held, int):
        del left[digest]
        return held
    for state in (DONE, NEVER, PASSING):
        if held[state]:
            held[state] -= 1
            return state
    return None
