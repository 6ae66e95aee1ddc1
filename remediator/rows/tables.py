"""A batch whose rows are in BigQuery: what became of them, and those that are left, by queries there.

Owns the SQL (one question for each key of the ladder, one anti-join) and what its answers mean. The
data stay in BigQuery, whatever their size; what a query reads is known by a dry run before it is asked.
Sees BigQuery through `TableStore`. Called by `app`, beside `objects`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from remediator.domain import PermanentError
from remediator.job import Job
from remediator.job.batch import BatchData, data_of
from remediator.job.rows import CONTENT, RowAccount, may_pass
from remediator.rows.identity import KNOWN_KEYS

USD_PER_TIB = 6.25
"""On-demand queries in the US, documented: cloud.google.com/bigquery/pricing (2026-11). Other regions
cost up to half as much again, and who has bought slots pays nothing by the byte."""
_LEAST_BYTES = 10 * 2**20  # billed of each table that a query reads, documented on the same page

_MOST_MESSAGES = 1000  # different ones that are told apart; chosen
_TABLE = re.compile(
    r"bq://(?P<project>[a-z0-9.:-]{4,100})\.(?P<dataset>\w{1,1024})\.(?P<table>[\w$-]{1,1024})"
)
_COLUMN = re.compile(r"[A-Za-z_]\w{0,299}")
_SCALAR = frozenset({"STRING", "INTEGER", "INT64", "NUMERIC", "BIGNUMERIC", "BYTES"})
"""Types whose values are equal where their text is; a FLOAT is no name of a row."""
_SERVICE_COLUMNS = frozenset(
    {"request", "response", "status", "processed_time", "prediction", "predictions", "explanation",
     "explanations", "errors", "error", "errors_code", "errors_message", "_vertex_row_id"}
)  # fmt: skip


Records = Sequence[Mapping[str, Any]]
"""Rows that a query gave, each by its columns."""
Parameters = Mapping[str, Sequence[str]]


class TableStore(Protocol):
    """BigQuery as far as rows need it; errors are the domain's."""

    def columns(self, table: str) -> Mapping[str, str]:
        """Types by column of `project.dataset.table`; raises NotFound."""
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
    ) -> None:
        """The query's answer as a new table, whole or not at all; one that is there is left as it is."""
        ...


class TooDear(PermanentError):
    """What the queries would read costs more than may be spent."""


@dataclass(frozen=True, slots=True)
class TableRows:
    """A batch's account, and the query that gives the rows that are left.

    `usd` is what the account cost, and what writing the rows costs about again.
    """

    account: RowAccount
    sql: str = ""
    passing: tuple[str, ...] = ()
    most_bytes: int = 0
    usd: float = 0.0


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
        data = data_of(job)
        took, gave = _tables(data)
        sides = _Sides(took, gave, self._store.columns(took), self._store.columns(gave))
        spent = 0
        odd = next((name for name in sides.took_columns if not _COLUMN.fullmatch(name)), None)
        if odd is not None:
            msg = f"a column's name is not one that is asked for: {odd!r}"
            raise PermanentError(msg)
        self._require_no_errors_apart(sides)
        why: list[str] = []
        messages = self._asked(sides.messages_sql(), {}, seconds, most_usd, spent)
        spent += messages.bytes
        failed = {str(row["message"] or ""): int(row["n"]) for row in messages.rows}
        gemini = "request" in sides.took_columns
        passing = tuple(m for m in failed if may_pass(m, gemini=gemini))
        for name in sides.ladder(key):
            sql = sides.account_sql(name)
            found = self._asked(sql, {"passing": passing}, seconds, most_usd, spent)
            spent += found.bytes
            (counts,) = found.rows
            account, no_key = _account_of(name, counts, failed, why)
            if no_key:
                why.append(no_key)
                continue
            return TableRows(
                account,
                sides.left_sql(name),
                passing,
                most_bytes=2 * found.bytes + _LEAST_BYTES,
                usd=usd_of(spent),
            )
        rows = int(counts["row_count"] or 0)
        return TableRows(
            RowAccount(rows, 0, failed, key=None, sound=False, because="; ".join(why)),
            usd=usd_of(spent),
        )

    def _require_no_errors_apart(self, sides: _Sides) -> None:
        """A custom model's failed rows stand in a table of their own, which is not matched."""
        if "status" in sides.gave_columns:
            return
        project, _, table = sides.gave.rpartition(".")
        beside = f"{project}.{table.replace('predictions', 'errors', 1)}"
        if beside != sides.gave and self._store.count(beside):
            msg = f"its failed rows are in the table {beside}, which is not matched"
            raise PermanentError(msg)

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

    def _asked(
        self,
        sql: str,
        parameters: Parameters,
        seconds: float,
        most_usd: float | None,
        spent: int,
    ) -> _Asked:
        would = max(self._store.bytes_read(sql, parameters), 2 * _LEAST_BYTES)
        usd = usd_of(spent + would)
        if most_usd is not None and usd > most_usd:
            msg = (
                f"counting its rows in BigQuery would cost about ${usd:.2f}, and ${most_usd:.2f} may be "
                "spent"
            )
            raise TooDear(msg)
        answer = self._store.ask(sql, parameters, seconds=seconds, most_bytes=2 * would)
        return _Asked(answer, would)


@dataclass(frozen=True, slots=True)
class _Asked:
    rows: Records
    bytes: int


def usd_of(read: int) -> float:
    """What reading so many bytes costs on demand, US dollars."""
    return read / 2**40 * USD_PER_TIB


def _tables(data: BatchData) -> tuple[str, str]:
    """(input, output) as `project.dataset.table`; raises PermanentError where one is none."""
    names = []
    for what, uri in (("input", data.input_table), ("output", data.output_table)):
        found = _TABLE.fullmatch(uri)
        if found is None:
            msg = f"the {what} is no BigQuery table: {uri or '(none named)'}"
            raise PermanentError(msg)
        names.append(f"{found['project']}.{found['dataset']}.{found['table']}")
    return names[0], names[1]


@dataclass(frozen=True, slots=True)
class _Sides:
    """Both tables with their columns, and the SQL over them."""

    took: str
    gave: str
    took_columns: Mapping[str, str]
    gave_columns: Mapping[str, str]

    def ladder(self, key: str | None) -> list[str]:
        """Keys to try, in order; CONTENT last. Raises PermanentError for one that is not there."""
        shared = [name for name in self.took_columns if name in self.gave_columns]
        named = [
            name
            for name in shared
            if self.took_columns[name] in _SCALAR
            and name not in _SERVICE_COLUMNS
            and _COLUMN.fullmatch(name)
        ]
        if key is not None:
            if key not in named:
                msg = f"`{key}` is no column of both tables that could name a row"
                raise PermanentError(msg)
            return [key]
        known = [name for name in KNOWN_KEYS if name in named]
        content = [CONTENT] if self._content() else []
        return [*known, *(name for name in named if name not in known), *content]

    def messages_sql(self) -> str:
        """Each message of a failed row, with how often it stands there."""
        return f"""SELECT {self._message} AS message, COUNT(*) AS n
FROM `{self.gave}` WHERE NOT ({self._good})
GROUP BY message ORDER BY n DESC LIMIT {_MOST_MESSAGES}"""  # noqa: S608  # of checked names

    def account_sql(self, key: str) -> str:
        """One row of counts for this key."""
        return f"""{self._both(key)}
SELECT
  IFNULL(SUM(took.n), 0) AS row_count,
  IFNULL(SUM(took.n - 1), 0) AS duplicates,
  IFNULL(SUM(IF(took.k IS NULL, took.n, 0)), 0) AS unnamed_rows,
  IFNULL(SUM(LEAST(took.n, IFNULL(gave.done, 0))), 0) AS done,
  IFNULL(SUM(LEAST(GREATEST(took.n - IFNULL(gave.done, 0), 0), IFNULL(gave.never, 0))), 0) AS never,
  IFNULL(SUM(LEAST(GREATEST(took.n - IFNULL(gave.done, 0) - IFNULL(gave.never, 0), 0), IFNULL(gave.passing, 0))), 0) AS passing,
  IFNULL(SUM(IF(gave.k IS NULL, 0, IF(gave.m - 1 > 0, gave.m - 1, 0))), 0) AS repeated,
  IFNULL(SUM(GREATEST(IFNULL(gave.m, 0) - IFNULL(took.n, 0), 0)), 0) AS unmatched,
  (SELECT COUNT(*) FROM outputs WHERE k IS NULL) AS unnamed_lines
FROM took FULL OUTER JOIN gave ON took.k = gave.k"""  # noqa: S608  # of checked names

    def left_sql(self, key: str) -> str:
        """The rows that did not come back, and those whose failure may pass, as they stand in the input."""
        columns = ", ".join(f"numbered.`{name}`" for name in self.took_columns)
        return f"""{self._both(key)},
numbered AS (
  SELECT *, {self._identity(key, self.took_columns)} AS remediator_k,
    ROW_NUMBER() OVER (PARTITION BY {self._identity(key, self.took_columns)}) AS remediator_n
  FROM `{self.took}`
)
SELECT {columns}
FROM numbered LEFT JOIN gave ON numbered.remediator_k = gave.k
WHERE numbered.remediator_n > IFNULL(gave.done, 0) + IFNULL(gave.never, 0)"""  # noqa: S608  # of checked names

    def _both(self, key: str) -> str:
        return f"""WITH inputs AS (SELECT {self._identity(key, self.took_columns)} AS k FROM `{self.took}`),
outputs AS (
  SELECT {self._identity(key, self.gave_columns)} AS k, {self._good} AS good,
    {self._message} IN UNNEST(@passing) AS may_pass
  FROM `{self.gave}`
),
took AS (SELECT k, COUNT(*) AS n FROM inputs GROUP BY k),
gave AS (
  SELECT k, COUNT(*) AS m, COUNTIF(good) AS done, COUNTIF(NOT good AND may_pass) AS passing,
    COUNTIF(NOT good AND NOT may_pass) AS never
  FROM outputs GROUP BY k
)"""  # noqa: S608  # of checked names

    def _identity(self, key: str, columns: Mapping[str, str]) -> str:
        if key != CONTENT:
            return f"CAST(`{key}` AS STRING)"
        parts = ", ".join(self._as_text(name, columns[name]) for name in self._content())
        return f"TO_JSON_STRING([{parts}])"

    def _content(self) -> list[str]:
        """Columns by which a row is what it is: the request, or all that the output repeats."""
        if "request" in self.took_columns:
            return ["request"] if "request" in self.gave_columns else []
        shared = [name for name in self.took_columns if name in self.gave_columns]
        whole = len(shared) == len(self.took_columns)
        return [name for name in shared if _COLUMN.fullmatch(name)] if whole else []

    @staticmethod
    def _as_text(name: str, kind: str) -> str:
        """A value as text: a request that stands as text is read, so that its layout does not matter."""
        if name == "request" and kind == "STRING":
            return f"IFNULL(TO_JSON_STRING(SAFE.PARSE_JSON(`{name}`)), `{name}`)"
        return f"TO_JSON_STRING(`{name}`)"

    @property
    def _good(self) -> str:
        if "status" in self.gave_columns:
            return "IFNULL(status, '') = ''"
        return "TRUE"  # a custom model's failures are in a table of their own

    @property
    def _message(self) -> str:
        return "IFNULL(status, '')" if "status" in self.gave_columns else "''"


def _account_of(
    key: str, counts: Mapping[str, Any], failed: Mapping[str, int], before: Sequence[str]
) -> tuple[RowAccount, str]:
    """The account by this key, and why the key is none; empty where it is one."""
    said = {name: int(value or 0) for name, value in counts.items()}
    number = sum(failed.values())
    account = RowAccount(
        rows=said["row_count"],
        done=said["done"],
        failed=dict(failed),
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
