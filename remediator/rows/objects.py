"""A batch's files where the job keeps them: which objects they are, and its rows read from there.

Owns the way from a job to its input, output and error files in Cloud Storage, and the writing of the
rows that are left. Sees Storage through `ObjectStore`. Called by `app` for evidence and before a
resumed job is created, and by the command `rows`.
"""

from __future__ import annotations

import functools
import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from msgspec.structs import replace

from remediator.domain import InvalidInput, Json, PermanentError, TransientError
from remediator.job import Job
from remediator.job.batch import BatchData, Stored, data_of
from remediator.job.rows import RowAccount
from remediator.rows.account import AccountedRows, account
from remediator.rows.lines import Files, RowFile
from remediator.rows.tables import BatchTables, TableRows

_CUT_INTO_ROWS = frozenset({"jsonl", "csv"})
_WRITTEN = re.compile(
    r"predictions?[._-].*|predictions?|incremental_predictions.*|errors?[._-].*|errors_validation_.*"
)
"""Names of a batch's results and errors; whatever else lies in its folder is not its."""
_PARTS_SECONDS = 20.0  # for a query over a handful of values; chosen
_QUERY_SECONDS = 300.0  # that a query may take where nobody waits for an event; chosen
_KEPT = 2  # accounts that are held until the job is created; a bit for each row


class ObjectStore(Protocol):
    """Cloud Storage as far as rows need it; errors are the domain's."""

    def find(self, uri: str) -> Sequence[Stored]: ...

    def open(self, stored: Stored) -> BinaryIO: ...

    def rows_in(self, uri: str) -> int | None: ...

    def create(self, uri: str, chunks: Iterable[bytes], *, rows: int) -> None: ...

    def write_json(self, uri: str, body: Json) -> None: ...


def files_of(job: Job, store: ObjectStore) -> Files:
    """The files of a batch in Cloud Storage, not yet read; raises PermanentError where they are not there."""
    data = data_of(job)
    _require_readable(data)
    inputs = [stored for uri in data.inputs for stored in store.find(uri)]
    if not inputs:
        msg = f"the input is not there (any more): {', '.join(data.inputs)}"
        raise PermanentError(msg)
    outputs = [stored for stored in _written(data, store) if stored.size]
    tables = [stored.uri for stored in outputs if stored.uri.lower().endswith(".csv")]
    if tables:
        msg = f"output as CSV is not read: {tables[0]}"
        raise PermanentError(msg)
    return Files.sorted_by_name(
        [_source(one, store, data.suffix) for one in _each_once(inputs)],
        [_source(one, store) for one in _each_once(outputs)],
        [],
    )


def _require_readable(data: BatchData) -> None:
    if not data.inputs:
        msg = "the job names no input files"
        raise PermanentError(msg)
    if data.instances_format not in _CUT_INTO_ROWS:
        msg = f"input of the format {data.instances_format or '(none named)'} is not cut into rows"
        raise PermanentError(msg)
    if not (data.output_folder or data.output_prefix):
        msg = "the output is not in Cloud Storage"
        raise PermanentError(msg)


def _written(data: BatchData, store: ObjectStore) -> Iterator[Stored]:
    """What the batch wrote: in its own folder, else in those below the prefix that bear its time."""
    folder = data.output_folder or data.output_prefix
    mark = "" if data.output_folder else data.output_mark
    if not data.output_folder and not mark:
        return
    under = f"{folder.rstrip('/')}/"
    for stored in store.find(under):
        path = stored.uri.removeprefix(under)
        if mark in re.sub(r"\D", "", path) and _WRITTEN.fullmatch(path.rpartition("/")[2]):
            yield stored


def _each_once(found: Iterable[Stored]) -> list[Stored]:
    return list({one.uri: one for one in found}.values())


def _source(stored: Stored, store: ObjectStore, suffix: str = "") -> RowFile:
    name = stored.uri
    if suffix == ".csv" and not name.lower().endswith(".csv"):
        name += ".csv"  # the job says what it is
    return RowFile(name, functools.partial(store.open, stored), stored.size)


class TimeUp(PermanentError):
    """The rows could not be read in the time that there was."""


class BatchRows:
    """The rows of batches: what each did, and those that are left, written for a new job.

    `folder` is where hashes of rows are kept while a batch is read (None: the system's place for
    temporary files).
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        tables: BatchTables | None = None,
        most_usd: Callable[[], float | None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        folder: Path | None = None,
    ) -> None:
        self._store = store
        self._tables = tables
        self._most_usd = most_usd
        self._counted: dict[str, TableRows] = {}
        self._clock = clock
        self._folder = folder
        self._accounts: dict[str, AccountedRows] = {}

    def account(
        self, job: Job, *, seconds: float | None = None, key: str | None = None
    ) -> AccountedRows:
        """What the batch did with its rows, read within `seconds` (None: as long as it takes).

        Raises PermanentError (TimeUp among them) where that cannot be told, TransientError where it may be asked
        again, InvalidInput for an input that cannot be read.
        """
        if data_of(job).input_table:
            counted = self._count(job, seconds or _QUERY_SECONDS, key)
            return AccountedRows(counted.account, Files((), (), ()))
        ends = None if seconds is None else self._clock() + seconds
        check = functools.partial(self._check, ends, seconds)
        files = files_of(job, self._store)
        key = key or data_of(job).key_field or None
        with tempfile.TemporaryDirectory(prefix="rows-", dir=self._folder) as folder:
            watched = account(_checked(files, check), Path(folder), key=key)
        found = replace(watched, files=files)  # the rows that are left are read by another deadline
        self._accounts[_name_of(job)] = found
        while len(self._accounts) > _KEPT:
            self._accounts.pop(next(iter(self._accounts)))
        return found

    def _count(self, job: Job, seconds: float, key: str | None = None) -> TableRows:
        """The account of a batch whose rows are in BigQuery, by queries within the limits in dollars."""
        if self._tables is None:
            msg = "its rows are in BigQuery, which is not asked here"
            raise PermanentError(msg)
        found = self._tables.account(job, seconds=seconds, most_usd=self._most_usd(), key=key)
        self._counted = {_name_of(job): found}
        return found

    def evidence(self, job: Job, seconds: float) -> tuple[RowAccount | None, str]:
        """The account, or None and why there is none; raises TransientError, PermissionDenied."""
        try:
            return self.account(job, seconds=seconds).account, ""
        except TimeUp as err:
            return None, f"{err}; {offline_words(job)}"
        except (PermanentError, InvalidInput) as err:
            return None, f"its rows cannot be told apart: {err}"

    def write_left(self, job: Job, uri: str, *, rows: int, seconds: float) -> None:
        """Write the rows that are left of a batch to `uri`, unless that was done under this name.

        `rows` is how many the plan is about. Raises PermanentError where they are others now, TransientError where it
        may be tried again; nothing is written then.
        """
        if uri.startswith("bq://"):
            self._write_table(job, uri, rows, seconds)
            return
        held = self._store.rows_in(uri)
        if held is None:
            found = self._accounts.get(_name_of(job)) or self.account(job, seconds=seconds)
            left = found.account.left
            if not found.account.sound or left != rows:
                msg = (
                    f"the batch has {left:,} rows left, and the plan was about {rows:,}: "
                    f"{found.account.because}"
                )
                raise PermanentError(msg)
            self._store.create(uri, _counted(found.remaining(), rows), rows=rows)
        elif held != rows:
            msg = f"{uri} holds {held:,} rows, and the plan is about {rows:,}"
            raise PermanentError(msg)

    def _write_table(self, job: Job, uri: str, rows: int, seconds: float) -> None:
        found = self._counted.get(_name_of(job)) or self._count(job, seconds)
        if self._tables is None or not found.account.sound or found.account.left != rows:
            msg = f"the batch has {found.account.left:,} rows left, and the plan was about {rows:,}"
            raise PermanentError(msg)
        self._tables.write_left(found, uri, seconds=seconds)

    def write_manifest(self, uri: str, body: Json) -> None:
        """The list of a batch's parts, beside the newest of them: an object, or a table."""
        if not uri.startswith("bq://"):
            self._store.write_json(uri, body)
        elif self._tables is not None:
            self._tables.write_parts(uri, body, seconds=_PARTS_SECONDS)

    def _check(self, ends: float | None, seconds: float | None) -> None:
        if ends is not None and self._clock() >= ends:
            msg = f"its rows could not be read in the {seconds:.0f} s that an event has for it"
            raise TimeUp(msg)


def _name_of(job: Job) -> str:
    return f"{job.name.key}@{job.update_time}"


def offline_words(job: Job) -> str:
    """How to read the rows where there is time: the command, on any machine."""
    return f"`rows {job.name} -o FILE` reads them on any machine and writes those that are left"


def _counted(chunks: Iterable[bytes], rows: int) -> Iterator[bytes]:
    """The chunks, as they are; raises TransientError at the end where they hold no row at all."""
    some = False
    for chunk in chunks:
        some = True
        yield chunk
    if rows and not some:
        msg = "no row came of the input"
        raise TransientError(msg)


def _checked(files: Files, check: Callable[[], None]) -> Files:
    """The same files, whose streams look at the clock while they are read."""

    def slow(source: RowFile) -> RowFile:
        return RowFile(source.name, lambda: _CheckedStream(source.open(), check), source.size)  # type: ignore[arg-type,return-value]  # what is asked of it is there

    return Files(
        [slow(one) for one in files.inputs],
        [slow(one) for one in files.outputs],
        [slow(one) for one in files.errors],
        files.passed_over,
        files.absent,
    )


_LINES_A_LOOK = 2000  # between two looks at the clock; chosen, some milliseconds


class _CheckedStream:
    """A stream of lines that asks `check` every so often."""

    def __init__(self, stream: BinaryIO, check: Callable[[], None]) -> None:
        self._stream = stream
        self._check = check
        self._lines = 0

    def readline(self, limit: int = -1, /) -> bytes:
        self._lines += 1
        if self._lines % _LINES_A_LOOK == 0:
            self._check()
        return self._stream.readline(limit)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
