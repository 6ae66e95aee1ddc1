"""A batch whose rows are in BigQuery: what became of them, and those that are left, by queries there.

Owns which tables a batch has, what is asked of them (see `table_sql`) within which sum, and what the
answers mean. The data stay in BigQuery, whatever their size; what a query reads is known by a dry run
before it is asked. Sees BigQuery through `TableStore`. Called by `app`, beside `objects`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from remediator.domain import Json, PermanentError
from remediator.job import Job
from remediator.job.batch import BatchData, data_of
from remediator.job.rows import CONTENT, RowAccount, code_named, may_pass
from remediator.rows.table_sql import BatchSql, Table

USD_PER_TIB = 6.25
"""On-demand queries in the US, documented: cloud.google.com/bigquery/pricing (2026-11). Other regions
cost up to half as much again, and who has bought slots pays nothing by the byte."""
_LEAST_BYTES = 10 * 2**20  # billed of each table that a query reads, documented on the same page
_TABLE = re.compile(
    r"bq://(?P<project>[a-z0-9.:-]{4,100})\.(?P<dataset>\w{1,1024})\.(?P<table>[\w$-]{1,1024})"
)
_DATASET = re.compile(r"bq://(?P<project>[a-z0-9:-]{4,100})\.(?P<dataset>\w{1,1024})")


Records = Sequence[Mapping[str, Any]]
"""Rows that a query gave, each by its columns."""
Parameters = Mapping[str, Sequence[str]]


class TableStore(Protocol):
    """BigQuery as far as rows need it; errors are the domain's."""

    def columns(self, table: str) -> Mapping[str, str]:
        """Types by column of `project.dataset.table`; raises NotFound."""
        ...

    def names(self, dataset: str) -> Sequence[str]:
        """The tables of `project.dataset`; raises NotFound."""
        ...

    def bytes_read(self, sql: str, parameters: Parameters) -> int:
        """What the query would read, by a dry run."""
        ...

    def ask(
        self, sql: str, parameters: Parameters, *, seconds: float, most_bytes: int
    ) -> Records: ...

    def count(self, table: str) -> int | None:
        """How many rows the table has; None: there is no such table."""
        ...

    def create(
        self,
        table: str,
        sql: str,
        parameters: Parameters,
        *,
        seconds: float,
        most_bytes: int,
        replace: bool = False,
    ) -> None:
        """The query's answer as a table, whole or not at all; one that is there is left as it is, or
        replaced where that is asked for."""
        ...


class TooDear(PermanentError):
    """What the queries would read costs more than may be spent."""


class TableRows(Struct, frozen=True):
    """A batch's account, and the query that gives the rows that are left.

    What the queries cost, that one included, stands in the account (`query_usd`).
    """

    account: RowAccount
    sql: str = ""
    passing: tuple[str, ...] = ()
    most_bytes: int = 0


class BatchTables:
    """The rows of batches in BigQuery."""

    def __init__(self, store: TableStore) -> None:
        self._store = store

    def account(
        self, job: Job, *, seconds: float, most_usd: float | None = None, key: str | None = None
    ) -> TableRows:
        """What the batch did with its rows, by queries that may cost `most_usd` US dollars together.

        Raises PermanentError (TooDear among them) where that cannot be told, TransientError where it may
        be asked again.
        """
        sql = self._tables_of(data_of(job))
        if sql.odd_column is not None:
            msg = f"a column's name is not one that is asked for: {sql.odd_column!r}"
            raise PermanentError(msg)
        rungs = sql.ladder(key)
        if not rungs:
            msg = "no column of its tables names a row, and the output does not repeat the whole input"
            raise PermanentError(msg)
        asking = _Asking(self._store, seconds, most_usd)
        failures = [
            _Failure.parse(str(row["said"] or ""), int(row["n"]), gemini=sql.is_gemini)
            for row in asking.ask(sql.messages(), {})
        ]
        passing = tuple(one.said for one in failures if one.may_pass)
        parameters = {"passing": passing}
        why: list[str] = []
        for name in rungs:
            (counts,) = asking.ask(sql.account(name), parameters)
            account, no_key = _account_of(name, counts, failures, why)
            if not no_key:
                left = sql.left(name)
                reads = asking.would_read(left, parameters)
                usd = usd_of(asking.spent + reads)
                return TableRows(replace(account, query_usd=usd), left, passing, 2 * reads)
            why.append(no_key)
        unsound = replace(
            account, done=0, missing=0, retriable=0, key=None, sound=False, because="; ".join(why)
        )
        return TableRows(replace(unsound, query_usd=usd_of(asking.spent)))

    def _tables_of(self, data: BatchData) -> BatchSql:
        """The batch's tables; raises PermanentError where they cannot be told, NotFound among them.

        Where only a dataset is named for the output, its tables are those that bear the time at which
        the job was made (`predictions_2026_11_23T20_00_00_123Z`), and so are those of failed rows,
        beside whichever results.
        """
        took = _full_name(data.input_table, "input")
        dataset, table = _place_of(data.output_table)
        names: Sequence[str] = ()
        if not table:
            names = self._store.names(dataset)
            found = [one for one in names if _bears(one, "predictions", data.output_mark)]
            if len(found) != 1:
                several = ", ".join(found[:5]) or "none"
                msg = f"its results are in one table of {dataset}, and those of its time are: {several}"
                raise PermanentError(msg)
            (table,) = found
        took_table, gave = self._table(took), self._table(f"{dataset}.{table}")
        errors: tuple[Table, ...] = ()
        if (
            "status" not in gave.columns
        ):  # a custom model's failed rows stand in tables of their own
            names = names or self._store.names(dataset)
            errors = self._error_tables(dataset, table, names, data.output_mark)
        return BatchSql(took_table, gave, errors)

    def _table(self, name: str) -> Table:
        return Table(name, self._store.columns(name))

    def _error_tables(
        self, dataset: str, table: str, names: Sequence[str], mark: str
    ) -> tuple[Table, ...]:
        """Of a dataset's tables, those that hold the failed rows of the results in `table`."""
        beside = table.replace("predictions", "errors", 1)
        found = (
            _full_name(f"bq://{dataset}.{one}", "table of failed rows")
            for one in names
            if one != table and (one == beside or _bears(one, "errors", mark))
        )
        return tuple(self._table(name) for name in found if self._store.count(name))

    def write_left(self, found: TableRows, table: str, *, seconds: float) -> None:
        """The rows that are left as a new table; one of that name with as many rows is used.

        Raises PermanentError where it has others.
        """
        wanted = found.account.left
        name = table.removeprefix("bq://")
        held = self._store.count(name)
        if held is None:
            self._store.create(
                name,
                found.sql,
                {"passing": found.passing},
                seconds=seconds,
                most_bytes=found.most_bytes,
            )
            held = self._store.count(name)
        if held != wanted:
            msg = f"{table} has {held} rows, and {wanted:,} are left"
            raise PermanentError(msg)

    def write_parts(self, uri: str, body: Json, *, seconds: float) -> None:
        """The list of a batch's parts as a table, a row for each; one that is there is replaced."""
        parts = [json.dumps({"root": body["root"], **part}) for part in body["parts"]]
        self._store.create(
            uri.removeprefix("bq://"),
            _PARTS,
            {"parts": parts},
            seconds=seconds,
            most_bytes=2 * _LEAST_BYTES,
            replace=True,
        )


_PARTS = """SELECT JSON_VALUE(part, '$.root') AS root, JSON_VALUE(part, '$.job') AS job,
  CAST(JSON_VALUE(part, '$.attempt') AS INT64) AS attempt,
  CAST(JSON_VALUE(part, '$.rows') AS INT64) AS `rows`, JSON_VALUE(part, '$.output') AS output
FROM UNNEST(@parts) AS part"""


class _Asking(Struct):
    """Queries within one sum; `spent` is what they read so far, in bytes as they are billed."""

    store: TableStore
    seconds: float
    most_usd: float | None
    spent: int = 0

    def ask(self, sql: str, parameters: Parameters) -> Records:
        """Raises TooDear where the query, with those before it, may cost more than may be spent."""
        would = self.would_read(sql, parameters)
        usd = usd_of(self.spent + would)
        if self.most_usd is not None and usd > self.most_usd:
            msg = (
                f"counting its rows in BigQuery would cost about ${usd:.2f}, and ${self.most_usd:.2f} "
                "may be spent"
            )
            raise TooDear(msg)
        answer = self.store.ask(sql, parameters, seconds=self.seconds, most_bytes=2 * would)
        self.spent += would
        return answer

    def would_read(self, sql: str, parameters: Parameters) -> int:
        """Bytes, by a dry run; at least what is billed of the two tables in any case."""
        return max(self.store.bytes_read(sql, parameters), 2 * _LEAST_BYTES)


class _Failure(Struct, frozen=True):
    """A message of failed rows as the queries tell it (`said`), and how many rows have it."""

    said: str
    message: str
    count: int
    may_pass: bool

    @classmethod
    def parse(cls, said: str, count: int, *, gemini: bool) -> _Failure:
        code, _, message = said.partition(" ")
        number = code_named(code)
        words = message or (f"code {code}" if code else _NO_WORDS)
        return cls(said, words, count, may_pass(words, number, gemini=gemini))


_NO_WORDS = "neither a result nor an error"
_OTHERS = "(other messages)"


def usd_of(read: int) -> float:
    """What reading so many bytes costs on demand, US dollars."""
    return read / 2**40 * USD_PER_TIB


def _full_name(uri: str, what: str) -> str:
    """`project.dataset.table`; raises PermanentError where the URI names none."""
    found = _TABLE.fullmatch(uri)
    if found is None:
        msg = f"the {what} is not a BigQuery table: {uri or '(none named)'}"
        raise PermanentError(msg)
    return f"{found['project']}.{found['dataset']}.{found['table']}"


def _place_of(uri: str) -> tuple[str, str]:
    """(`project.dataset`, the table or "") of an output; raises PermanentError where it names neither."""
    if found := _DATASET.fullmatch(uri):
        return f"{found['project']}.{found['dataset']}", ""
    dataset, _, table = _full_name(uri, "output").rpartition(".")
    return dataset, table


def _bears(name: str, begin: str, mark: str) -> bool:
    """Whether a table's name begins so and bears a job's time."""
    return name.startswith(begin) and bool(mark) and mark in re.sub(r"\D", "", name)


def _account_of(
    key: str, counts: Mapping[str, Any], failures: Sequence[_Failure], before: Sequence[str]
) -> tuple[RowAccount, str]:
    """The account by this key, and why the key is none; empty where it is one."""
    said = {name: int(value or 0) for name, value in counts.items()}
    failed: dict[str, int] = {}
    for one in failures:
        failed[one.message] = failed.get(one.message, 0) + one.count
    number = said["failed_lines"]
    if others := number - sum(failed.values()):
        failed[_OTHERS] = others
    account = RowAccount(
        rows=said["row_count"],
        done=said["done"],
        failed=failed,
        retriable=said["passing"],
        missing=max(0, said["row_count"] - said["done"] - number),
        unmatched=said["unmatched"],
        duplicates=said["duplicates"],
        key=key,
    )
    unique = key != CONTENT
    if said["unnamed_rows"] or said["unnamed_lines"]:
        side = "input" if said["unnamed_rows"] else "output"
        return account, f"`{key}` is null in the {side}"
    if unique and said["duplicates"]:
        return account, f"`{key}` is repeated in {said['duplicates']:,} rows of the input"
    return _judged(account, said, before), ""


def _judged(account: RowAccount, said: Mapping[str, int], before: Sequence[str]) -> RowAccount:
    number = sum(account.failed.values())
    why = ""
    if account.key != CONTENT and said["repeated"]:
        why = f"{said['repeated']:,} rows of the output repeat a `{account.key}`"
    elif said["unmatched"]:
        why = f"{said['unmatched']:,} rows of the output match no row of the input"
    elif account.rows < account.done + number:
        why = (
            f"the counts do not add up: {account.done:,} done and {number:,} failed of "
            f"{account.rows:,} rows"
        )
    fine = (
        f"matched by {account.key}; {account.done:,} done, {number:,} failed and "
        f"{account.missing:,} missing make {account.rows:,}"
    )
    return replace(account, sound=not why, because="; ".join([why or fine, *before]))
