"""What a batch did with its rows: the ladder climbed, the counts summed up, the rows to send again.

Owns the decision whether an account is sound. Reads each file as a stream, once for each rung of the
ladder; of a row it keeps a hash on disk and a bit in memory. Called by the command `rows`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from remediator.domain import InvalidInput
from remediator.job.rows import CONTENT, RowAccount
from remediator.rows.canonical import Inexact, PlainCodec, best_codec, digest
from remediator.rows.identity import ByContent, Identity, csv_ladder, ladder
from remediator.rows.join import Joined, join, partitions_for, spills
from remediator.rows.lines import Files, RowFile, body_of, csv_rows, is_torn, lines_of
from remediator.rows.shapes import DONE, RowOutcome, outcome_of, unnamed_of
from remediator.rows.token_count import TokenCount

_MOST_MESSAGES = 1000  # different ones that are counted apart; chosen, so that memory stays flat
_OTHERS = "(other messages)"


class AccountedRows(Struct, frozen=True):
    """A batch's account, and a bit for each input row that is to be sent again."""

    account: RowAccount
    files: Files
    to_send: bytes = b""

    def remaining(self) -> Iterator[bytes]:
        """The input lines to send again, byte for byte, in input order; a CSV file's header first.

        Empty where the account is not sound. Where a file's last line has no end and another line
        follows, a line feed is put between them.
        """
        if not self.account.sound:
            return
        number, open_end, bits = 0, False, self.to_send
        for raw, _, line, _ in _raw_rows(self.files.inputs, with_header=True):
            if line:
                wanted = bits[number >> 3] & (1 << (number & 7))
                number += 1
                if not wanted:
                    continue
            if open_end:
                yield b"\n"
            yield raw
            open_end = raw[-1:] != b"\n"


def account(
    files: Files, folder: Path, *, key: str | None = None, codec: PlainCodec | None = None
) -> AccountedRows:
    """The account of a batch by the first sound key; `key` is the only one tried where it is given.

    `folder` is empty, and takes some 50 bytes a row. Raises InvalidInput where the input cannot be read.
    """
    codec = codec or best_codec()
    attempts = []
    rungs = _rungs(files, key, codec)
    for index, identity in enumerate(rungs):
        within = folder / str(index)
        within.mkdir()
        found = _Attempt(files, identity, codec).run(within)
        for path in within.iterdir():
            path.unlink()
        attempts.append(found)
        if not found.may_climb:
            break
    return _concluded(attempts, files)


def _rungs(files: Files, key: str | None, codec: PlainCodec) -> Sequence[Identity]:
    header = _header(files.inputs)
    first = next(_raw_rows(files.inputs), None)
    if first is None:
        msg = f"{files.inputs[0].name}: the file holds no rows"
        raise InvalidInput(msg)
    if header is not None:
        return csv_ladder(header, key)
    return ladder(_value(first, codec), _first_record(files, codec), key)


def _first_record(files: Files, codec: PlainCodec) -> dict[str, Any] | None:
    for source in (*files.outputs, *files.errors):
        for line, number in lines_of(source):
            try:
                record = codec.parse(body_of(line, number))
            except ValueError:
                continue
            if isinstance(record, dict):
                return record
    return None


# --- input -----------------------------------------------------------------------------------------


_Row = tuple[bytes, RowFile, int, list[str] | None]
"""An input row: its bytes, its file, the number of its line (0: a header), a CSV file's cells."""


def _raw_rows(inputs: Sequence[RowFile], *, with_header: bool = False) -> Iterator[_Row]:
    """The rows of all inputs; of CSV files, one header before them all where it is asked for."""
    headed = False
    for source in inputs:
        if not source.is_csv:
            for line, number in lines_of(source):
                yield line, source, number, None
            continue
        for index, (raw, number, cells) in enumerate(csv_rows(source)):
            if index:
                yield raw, source, number, cells
            elif with_header and not headed:
                headed = True
                yield raw, source, 0, None


def _header(inputs: Sequence[RowFile]) -> tuple[str, ...] | None:
    """The header that all CSV inputs share; None for JSONL. Raises InvalidInput where they differ."""
    headers = set()
    for source in inputs:
        first = next(csv_rows(source), None) if source.is_csv else None
        headers.add(tuple(first[2]) if first else () if source.is_csv else None)
    if len(headers) > 1:
        msg = "the input files are not of one kind: CSV files need one header, and JSONL no CSV beside"
        raise InvalidInput(msg)
    return headers.pop()


def _value(row: _Row, codec: PlainCodec) -> Any:
    raw, source, number, cells = row
    if cells is not None:
        return cells
    try:
        return codec.parse(body_of(raw, number))
    except ValueError:
        msg = (
            f"{source.name}:{number}: this line of the input is not valid JSON (cut off or damaged)"
        )
        raise InvalidInput(msg) from None


# --- one rung --------------------------------------------------------------------------------------


class _Attempt(Struct):
    """One rung tried on all files; grows while they are read, within `run` alone."""

    files: Files
    identity: Identity
    codec: PlainCodec
    rows: int = 0
    done_lines: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    tokens: TokenCount = field(default_factory=TokenCount)
    unnamed_passing: int = 0
    unnamed_never: int = 0
    torn: int = 0
    damage: str = ""
    """What in the output cannot be read, and where."""
    no_key: str = ""
    """Why this rung holds no sound key."""
    joined: Joined = field(default_factory=Joined)
    to_send: bytearray = field(default_factory=bytearray)

    def run(self, folder: Path) -> _Attempt:
        partitions = partitions_for(sum(source.size for source in self.files.inputs))
        rows, lines = spills(folder, partitions)
        for number, text in enumerate(self._texts_of_rows()):
            if text is not None:
                rows.add(digest(text), number)
        for text, outcome in self._texts_of_lines():
            if text is not None:
                lines.add(digest(text), outcome.state)
        if self.damage or self.no_key:
            return self
        self.to_send = bytearray((self.rows >> 3) + 1)
        self.joined = join(rows, lines, partitions, self.to_send)
        if self.identity.is_unique and self.joined.duplicates:
            self.no_key = (
                f"`{self.identity.key}` is repeated in {_rows(self.joined.duplicates)} of the input"
            )
        return self

    @property
    def may_climb(self) -> bool:
        """Whether the next rung may tell more: this key is none, or the row came back changed."""
        if self.damage:
            return False
        rewritten = isinstance(self.identity, ByContent) and self.joined.unmatched > 0
        return bool(self.no_key) or rewritten

    def _texts_of_rows(self) -> Iterator[bytes | None]:
        codec, identity = self.codec, self.identity
        for row in _raw_rows(self.files.inputs):
            value = _value(row, codec)
            try:
                text = identity.of_row(value, codec)
            except Inexact:
                plain = PlainCodec()
                text = identity.of_row(_value(row, plain), plain)
            except ValueError as err:
                msg = f"{row[1].name}:{row[2]}: {err}"
                raise InvalidInput(msg) from err
            if text is None:
                self._refuse_key(f"null or missing in the input, {row[1].base}:{row[2]}")
            self.rows += 1
            yield text

    def _texts_of_lines(self) -> Iterator[tuple[bytes | None, RowOutcome]]:
        for among_errors, sources in ((False, self.files.outputs), (True, self.files.errors)):
            for source in sources:
                yield from self._texts_of_source(source, among_errors=among_errors)

    def _texts_of_source(
        self, source: RowFile, *, among_errors: bool
    ) -> Iterator[tuple[bytes | None, RowOutcome]]:
        codec, unread = self.codec, None  # a line that cannot be read, until one follows
        for line, number in lines_of(source):
            if unread is not None:
                break
            body = body_of(line, number)
            try:
                record = codec.parse(body)
            except ValueError:
                if not self._counted(body):
                    unread = (line, number)
                continue
            outcome = (
                outcome_of(record, among_errors=among_errors) if isinstance(record, dict) else None
            )
            if outcome is None:
                self._note_damage(f"{source.base}:{number} tells neither a result nor an error")
                return
            text = self._text_of_record(record, body)
            if text is None:
                self._refuse_key(f"null or missing in the output, {source.base}:{number}")
            if outcome.state == DONE:
                self.done_lines += 1
                self.tokens.add(record)
            else:
                self._count(outcome.message, 1)
            yield text, outcome
        else:
            if unread is not None and is_torn(unread[0]):
                self.torn += 1
                return
        if unread is not None:
            self._note_damage(f"{source.base}:{unread[1]} cannot be read")

    def _text_of_record(self, record: dict[str, Any], body: bytes) -> bytes | None:
        try:
            return self.identity.of_record(record, self.codec)
        except Inexact:
            plain = PlainCodec()
            return self.identity.of_record(plain.parse(body), plain)
        except ValueError:  # nested too deeply: it matches nothing
            return None

    def _counted(self, body: bytes) -> bool:
        """Whether the line counts failures without naming them, which is noted."""
        unnamed = unnamed_of(body)
        if unnamed is None:
            return False
        self._count(unnamed.message, unnamed.count)
        if unnamed.may_pass:
            self.unnamed_passing += unnamed.count
        else:
            self.unnamed_never += unnamed.count
        return True

    def _count(self, message: str, count: int) -> None:
        if message not in self.failed and len(self.failed) >= _MOST_MESSAGES:
            message = _OTHERS
        self.failed[message] = self.failed.get(message, 0) + count

    def _refuse_key(self, why: str) -> None:
        name = self.identity.key
        self.no_key = self.no_key or f"{'the content' if name == CONTENT else f'`{name}`'} is {why}"

    def _note_damage(self, why: str) -> None:
        self.damage = self.damage or why

    # --- what it comes to --------------------------------------------------------------------------

    def account(self) -> RowAccount:
        """The counts of this rung; sound where they add up and nothing is left over."""
        failed = sum(self.failed.values())
        named = self.joined
        counted = RowAccount(
            rows=self.rows,
            done=named.done,
            failed=dict(sorted(self.failed.items(), key=lambda one: (-one[1], one[0]))),
            retriable=named.passing + self.unnamed_passing,
            missing=max(0, self.rows - named.done - failed),
            unmatched=named.unmatched,
            duplicates=named.duplicates,
            key=self.identity.key,
            tokens=self.tokens.total(),
        )
        if self.damage or self.no_key:
            done = min(self.done_lines, self.rows)
            missing = max(0, self.rows - done - failed)
            counted = replace(counted, done=done, missing=missing, key=None)
        why = self._why_not_sound(failed)
        return replace(counted, sound=not why, because=why or self._why_sound(counted))

    def _why_not_sound(self, failed: int) -> str:
        named = self.joined
        if self.damage:
            return f"the output is damaged: {self.damage}"
        if self.no_key:
            return self.no_key
        if self.identity.is_unique and named.repeated:
            return (
                f"{_lines(named.repeated)} of the output repeat a `{self.identity.key}` that another "
                "line has"
            )
        if named.unmatched:
            return f"{_lines(named.unmatched)} of the output match no row of the input"
        if self.rows < named.done + failed:
            return (
                f"the counts do not add up: {named.done:,} done and {failed:,} failed of "
                f"{self.rows:,} rows"
            )
        if self.unnamed_never:
            return (
                f"{_rows(self.unnamed_never)} failed with a message that cannot pass, and the error "
                "file does not say which"
            )
        return ""

    def _why_sound(self, counted: RowAccount) -> str:
        if counted.key == CONTENT:
            how = "rows are matched by their content, equal ones by their number"
        else:
            how = f"`{counted.key}` is there once in each row, and at most once in the output"
        failed = sum(counted.failed.values())
        return (
            f"{how}; {counted.done:,} done, {failed:,} failed and {counted.missing:,} missing make "
            f"{counted.rows:,}"
        )


def _lines(count: int) -> str:
    return f"{count:,} line{'s' if count != 1 else ''}"


def _rows(count: int) -> str:
    return f"{count:,} row{'s' if count != 1 else ''}"


def _concluded(attempts: Sequence[_Attempt], files: Files) -> AccountedRows:
    last = attempts[-1]
    found = last.account()
    said = [found.because, *(one.no_key for one in attempts[:-1] if one.no_key)]
    if last.torn:
        said.append(f"passed over, torn at the end of the output: {_lines(last.torn)}")
    if files.passed_over:
        said.append(f"not read beside the final files: {', '.join(files.passed_over)}")
    if files.absent:
        said.append(f"not all shards are given ({', '.join(files.absent)})")
    if last.no_key and last.identity.key == CONTENT:
        said.append("the output has keys in place of rows: say the job's key_field with --key")
    to_send = bytes(last.to_send) if found.sound else b""
    return AccountedRows(replace(found, because="; ".join(dict.fromkeys(said))), files, to_send)
