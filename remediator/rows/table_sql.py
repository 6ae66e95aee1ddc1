"""The SQL over a batch's tables: what failed, what a key says of the rows, which rows are left.

Owns the text of the queries and which columns can name a row. Pure; asked by `tables`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from msgspec import Struct

from remediator.domain import PermanentError
from remediator.job.rows import CONTENT
from remediator.rows.identity import KNOWN_KEYS

_MOST_MESSAGES = 1000  # different ones that are told apart; chosen
_COLUMN = re.compile(r"[A-Za-z_]\w{0,299}")
_SCALAR = frozenset({"STRING", "INTEGER", "INT64", "NUMERIC", "BIGNUMERIC", "BYTES"})
"""Types whose values are equal where their text is; a FLOAT is no name of a row."""
_SERVICE_COLUMNS = frozenset(
    {"request", "response", "status", "processed_time", "prediction", "predictions", "explanation",
     "explanations", "errors", "error", "errors_code", "errors_message", "error_code",
     "error_message", "_vertex_row_id"}
)  # fmt: skip


class Table(Struct, frozen=True):
    """A table as `project.dataset.table`, with the types of its columns."""

    name: str
    columns: Mapping[str, str]


class BatchSql(Struct, frozen=True):
    """The queries over a batch's input, its results, and a custom model's tables of failed rows.

    Of a Gemini batch the results hold the failed rows too, by their `status`. Each failure is told as
    `CODE MESSAGE`, the code empty where none stands beside the message.
    """

    took: Table
    gave: Table
    errors: tuple[Table, ...] = ()

    def ladder(self, key: str | None) -> list[str]:
        """Keys to try, in order; CONTENT last. Raises PermanentError for one that is not there."""
        named = [
            name
            for name in self._shared
            if self.took.columns[name] in _SCALAR
            and name not in _SERVICE_COLUMNS
            and _COLUMN.fullmatch(name)
        ]
        if key is not None:
            if key not in named:
                msg = f"`{key}` is not a column of all its tables that could identify a row"
                raise PermanentError(msg)
            return [key]
        known = [name for name in KNOWN_KEYS if name in named]
        content = [CONTENT] if self._content else []
        return [*known, *(name for name in named if name not in known), *content]

    def messages(self) -> str:
        """Each failure (`said`), with how often it stands there."""
        return f"""SELECT said, COUNT(*) AS n FROM (
  {_union(self._failures)}
)
GROUP BY said ORDER BY n DESC LIMIT {_MOST_MESSAGES}"""  # noqa: S608  # of checked names

    def account(self, key: str) -> str:
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
  (SELECT COUNT(*) FROM outputs WHERE k IS NULL) AS unnamed_lines,
  (SELECT COUNT(*) FROM outputs WHERE NOT good) AS failed_lines
FROM took FULL OUTER JOIN gave ON took.k = gave.k"""  # noqa: S608  # of checked names

    def left(self, key: str) -> str:
        """The rows that did not come back, and those whose failure may pass, as they stand in the input."""
        columns = ", ".join(f"numbered.`{name}`" for name in self.took.columns)
        own = self._identity(key, self.took)
        return f"""{self._both(key)},
numbered AS (
  SELECT *, {own} AS remediator_k, ROW_NUMBER() OVER (PARTITION BY {own}) AS remediator_n
  FROM `{self.took.name}`
)
SELECT {columns}
FROM numbered LEFT JOIN gave ON numbered.remediator_k = gave.k
WHERE numbered.remediator_n > IFNULL(gave.done, 0) + IFNULL(gave.never, 0)"""  # noqa: S608  # of checked names

    @property
    def is_gemini(self) -> bool:
        """Whether the rows are requests to a publisher's model."""
        return "request" in self.took.columns

    @property
    def odd_column(self) -> str | None:
        """A column of the input whose name cannot stand in a query; None: there is none."""
        return next((name for name in self.took.columns if not _COLUMN.fullmatch(name)), None)

    @property
    def _shared(self) -> list[str]:
        return [
            name
            for name in self.took.columns
            if all(name in table.columns for table in (self.gave, *self.errors))
        ]

    @property
    def _content(self) -> list[str]:
        """Columns by which a row is what it is: the request, or all that the output repeats."""
        if self.is_gemini:
            return [name for name in self._shared if name == "request"]
        return self._shared if len(self._shared) == len(self.took.columns) else []

    @property
    def _good(self) -> str:
        """Whether a line of the results is one; a custom model's are."""
        columns = self.gave.columns
        if "status" not in columns:
            return "TRUE"
        answer = " AND response IS NOT NULL" if "response" in columns else ""
        return f"IFNULL(status, '') = ''{answer}"

    @property
    def _failures(self) -> list[str]:
        """A query for each place in which failed rows stand."""
        found = [f"SELECT {_said(one)} AS said FROM `{one.name}`" for one in self.errors]  # noqa: S608  # of checked names
        if "status" in self.gave.columns:
            found.append(
                f"SELECT {_said(self.gave)} AS said FROM `{self.gave.name}` WHERE NOT ({self._good})"  # noqa: S608  # of checked names
            )
        return found or ["SELECT '' AS said FROM UNNEST([1]) WHERE FALSE"]

    def _both(self, key: str) -> str:
        outputs = [
            f"SELECT {self._identity(key, table)} AS k, {fine} AS good, "  # noqa: S608  # of checked names
            f"{_said(table)} IN UNNEST(@passing) AS may_pass FROM `{table.name}`"
            for table, fine in ((self.gave, self._good), *((one, "FALSE") for one in self.errors))
        ]
        return f"""WITH inputs AS (SELECT {self._identity(key, self.took)} AS k FROM `{self.took.name}`),
outputs AS (
  {_union(outputs)}
),
took AS (SELECT k, COUNT(*) AS n FROM inputs GROUP BY k),
gave AS (
  SELECT k, COUNT(*) AS m, COUNTIF(good) AS done, COUNTIF(NOT good AND may_pass) AS passing,
    COUNTIF(NOT good AND NOT may_pass) AS never
  FROM outputs GROUP BY k
)"""  # noqa: S608  # of checked names

    def _identity(self, key: str, table: Table) -> str:
        if key != CONTENT:
            return f"CAST(`{key}` AS STRING)"
        parts = ", ".join(_as_text(name, table.columns[name]) for name in self._content)
        return f"TO_JSON_STRING([{parts}])"


def _union(queries: Sequence[str]) -> str:
    return "\n  UNION ALL\n  ".join(queries)


def _as_text(name: str, kind: str) -> str:
    """A value as text: a request that stands as text is read, so that its layout does not matter."""
    if name == "request" and kind == "STRING":
        return f"IFNULL(TO_JSON_STRING(SAFE.PARSE_JSON(`{name}`)), `{name}`)"
    return f"TO_JSON_STRING(`{name}`)"


def _said(table: Table) -> str:
    """`CODE MESSAGE` of a row's failure, by what the table has.

    `errors` is a google.rpc.Status as STRUCT with code and message in a custom model's table,
    documented: BatchPredictionJob.OutputConfig.bigqueryDestination.
    """
    columns = table.columns
    if "status" in columns:
        return "CONCAT(' ', IFNULL(status, ''))"
    for name in ("errors", "error"):
        if columns.get(name) in {"RECORD", "STRUCT"}:
            return _code_and_message(f"`{name}`.code", f"`{name}`.message")
        if columns.get(name) == "STRING":
            return f"CONCAT(' ', IFNULL(`{name}`, ''))"
        if f"{name}_message" in columns:
            code = f"`{name}_code`" if f"{name}_code" in columns else "NULL"
            return _code_and_message(code, f"`{name}_message`")
    return "' '"


def _code_and_message(code: str, message: str) -> str:
    return f"CONCAT(IFNULL(CAST({code} AS STRING), ''), ' ', IFNULL({message}, ''))"
