"""The lines of input, output and error files, read as a stream.

Owns where a line begins and ends, which files are which by their names, and what is a torn line. Must
not know what a line means (see `shapes`). Called by `account`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import BinaryIO

from msgspec import Struct

from remediator.domain import InvalidInput
from remediator.job.batch import MANIFEST
from remediator.rows.canonical import PlainCodec

_BOM = b"\xef\xbb\xbf"
_LONGEST_LINE = 64 * 2**20
"""Bytes, chosen: far above what one prediction request may hold (1.5 MB, vertex-facts.md)."""

csv.field_size_limit(
    _LONGEST_LINE
)  # of the whole process; unless told, an image of 131,072 letters is no cell

_INCREMENTAL = re.compile(r"^incremental_predictions")
_ERRORS = re.compile(r"^(?:prediction\.errors?_stats|errors?[_.\-]|errors_validation_)")
_SHARD = re.compile(r"^(?P<stem>.*?)-(?P<index>\d{5,})-of-(?P<count>\d{5,})(?:\.\w+)?$")


class RowFile(Struct, frozen=True):
    """A file of rows: `open` begins it anew each time, `size` is its bytes (0: not known)."""

    name: str
    open: Callable[[], BinaryIO]
    size: int = 0

    @property
    def base(self) -> str:
        return re.split(r"[/\\]", self.name)[-1]

    @property
    def is_csv(self) -> bool:
        return self.base.lower().endswith(".csv")


class Files(Struct, frozen=True):
    """What a batch took and gave, each file as what it is.

    `passed_over` are the files that repeat what the final shards say, `absent` the shards that
    another shard's name promises and that are not there.
    """

    inputs: Sequence[RowFile]
    outputs: Sequence[RowFile]
    errors: Sequence[RowFile]
    passed_over: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @classmethod
    def sorted_by_name(
        cls, inputs: Sequence[RowFile], outputs: Sequence[RowFile], errors: Sequence[RowFile]
    ) -> Files:
        """Files as they were given, sorted out: errors among outputs, increments beside shards."""
        named = [one for one in outputs if _ERRORS.match(one.base)]
        rest = [one for one in outputs if one not in named and one.base != MANIFEST]
        final = [one for one in rest if not _INCREMENTAL.match(one.base)]
        read = final or rest
        return cls(
            inputs,
            read,
            [*errors, *named],
            tuple(one.base for one in rest if one not in read),
            _absent(read),
        )


def _absent(sources: Sequence[RowFile]) -> tuple[str, ...]:
    seen: dict[tuple[str, int], set[int]] = {}
    for one in sources:
        if found := _SHARD.match(one.base):
            seen.setdefault((found["stem"], int(found["count"])), set()).add(int(found["index"]))
    return tuple(
        f"{stem}: {len(there)} of {count} shards"
        for (stem, count), there in seen.items()
        if len(there) < count
    )


def lines_of(source: RowFile, *, blank: bool = False) -> Iterator[tuple[bytes, int]]:
    """(bytes with the line's end, number from 1) of each line; blank ones only where asked for.

    Raises InvalidInput for a line that is longer than any row can be.
    """
    with source.open() as stream:
        number = 0
        while line := stream.readline(_LONGEST_LINE):
            number += 1
            if len(line) == _LONGEST_LINE and not line.endswith(b"\n"):
                msg = f"{source.name}:{number}: a line of more than {_LONGEST_LINE:,} bytes cannot be a row"
                raise InvalidInput(msg)
            if blank or (not line.isspace() and line != _BOM):
                yield line, number


def body_of(line: bytes, number: int) -> bytes:
    """The line without its end, and without the mark that some editors put before the first."""
    if number == 1 and line.startswith(_BOM):
        line = line[len(_BOM) :]
    return line.strip()


def csv_rows(source: RowFile) -> Iterator[tuple[bytes, int, list[str]]]:
    """(bytes, number, cells) of each row of a CSV file, its header first.

    A cell in quotes may run over lines. Raises InvalidInput where the text is no CSV in UTF-8.
    """
    held, begun = b"", 0
    for line, number in lines_of(source, blank=True):
        if not held and line.isspace():
            continue
        begun = begun or number
        held += line
        if held.count(b'"') % 2:
            continue
        yield held, begun, _cells(source, body_of(held, begun), begun)
        held, begun = b"", 0
    if held:
        msg = f"{source.name}:{begun}: a quote is not closed, so the last row is torn"
        raise InvalidInput(msg)


def _cells(source: RowFile, text: bytes, number: int) -> list[str]:
    try:
        return next(csv.reader(io.StringIO(text.decode(), newline=""), strict=True))
    except (csv.Error, UnicodeDecodeError, StopIteration) as err:
        msg = f"{source.name}:{number}: no CSV: {err}"
        raise InvalidInput(msg) from err


def is_torn(line: bytes) -> bool:
    """Whether the last line of an output was cut while it was written: the beginning of a row."""
    body = line.strip()
    if not body.startswith((b"{", b"(")):
        return False
    if not line.endswith(b"\n"):
        return True
    if body.startswith(b"("):
        return not body.endswith(b")")
    try:
        PlainCodec().parse(body)
    except json.JSONDecodeError as err:
        return err.pos >= len(err.doc) - _CUT_WITHIN or err.msg.startswith("Unterminated string")
    except UnicodeDecodeError as err:
        return err.end >= len(body)
    except ValueError:
        return False
    return False


_CUT_WITHIN = 5  # characters of a literal, a number or an escape that is cut: `fals`, `-`, `\u12`
