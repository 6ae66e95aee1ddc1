"""What is asked of BigQuery about a batch whose rows are there; that it answers so, a story holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from remediator.domain import PermanentError
from remediator.job import Job
from remediator.rows.tables import BatchTables, Parameters, Records, TooDear, usd_of

REQUESTS = {"sample": "STRING", "score": "FLOAT64", "request": "STRING"}
ANSWERS = {**REQUESTS, "status": "STRING", "response": "STRING"}
COUNTS = {
    "row_count": 10, "duplicates": 0, "unnamed_rows": 0, "done": 6, "never": 1, "passing": 1,
    "repeated": 0, "unmatched": 0, "unnamed_lines": 0, "failed_lines": 2,
}  # fmt: skip
MESSAGES = [{"said": ' {"code": 4}', "n": 1}, {"said": ' {"code": 3}', "n": 1}]


class Tables:
    """A project's tables as BigQuery tells them: what each query answers is given."""

    def __init__(
        self,
        *answers: Records,
        took: Mapping[str, str] = REQUESTS,
        gave: Mapping[str, str] = ANSWERS,
        read: int = 2**30,
    ) -> None:
        self._answers = [MESSAGES, *answers]
        self._columns = {"p-123.lab.requests": took, "p-123.lab.answers": gave}
        self._read = read
        self.asked: list[tuple[str, Parameters, int]] = []
        self.sizes: dict[str, int] = {}

    def columns(self, table: str) -> Mapping[str, str]:
        return self._columns[table]

    def names(self, dataset: str) -> Sequence[str]:
        return [one.removeprefix(f"{dataset}.") for one in self._columns]

    def bytes_read(self, sql: str, parameters: Parameters) -> int:
        del sql, parameters
        return self._read

    def ask(self, sql: str, parameters: Parameters, *, seconds: float, most_bytes: int) -> Records:
        del seconds
        self.asked.append((sql, parameters, most_bytes))
        return self._answers.pop(0)

    def count(self, table: str) -> int | None:
        return self.sizes.get(table)

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
        del seconds, replace
        self.asked.append((sql, parameters, most_bytes))
        self.sizes[table] = 3


def job(**more: Any) -> Job:
    return Job.parse(
        {
            "name": "projects/p-123/locations/us-central1/batchPredictionJobs/1",
            "inputConfig": {"bigquerySource": {"inputUri": "bq://p-123.lab.requests"}},
            "outputConfig": {"bigqueryDestination": {"outputUri": "bq://p-123.lab.answers"}},
            **more,
        }
    )


def counts(**more: int) -> Records:
    return [{**COUNTS, **more}]


def test_the_first_column_that_names_each_row_decides() -> None:
    tables = Tables(counts())
    found = BatchTables(tables).account(job(), seconds=5)
    assert (found.account.key, found.account.sound) == ("sample", True)
    assert (found.account.done, found.account.retriable, found.account.missing) == (6, 1, 2)
    (_, messages), (_, asked) = ((sql, given) for sql, given, _ in tables.asked)
    assert (messages, asked) == ({}, {"passing": (' {"code": 4}',)})


def test_a_column_that_is_repeated_gives_way_to_the_request() -> None:
    tables = Tables(counts(duplicates=2), counts(duplicates=2))
    found = BatchTables(tables).account(job(), seconds=5).account
    assert (found.key, found.sound) == ("content", True)
    assert "`sample` is repeated in 2 rows of the input" in found.because
    only = BatchTables(Tables(counts(duplicates=2))).account(job(), seconds=5, key="sample")
    assert (only.account.key, only.account.sound) == (None, False)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"unmatched": 1}, "1 rows of the output match no row"),
        ({"repeated": 2}, "2 rows of the output repeat a `sample`"),
        ({"done": 9}, "the counts do not add up"),
    ],
)
def test_what_does_not_add_up_is_not_sound(more: dict[str, int], why: str) -> None:
    found = BatchTables(Tables(counts(**more))).account(job(), seconds=5).account
    assert found.sound is False
    assert why in found.because


def test_what_a_query_reads_is_priced_before_it_is_asked_and_bounded_when_it_is() -> None:
    tables = Tables(counts(), read=2**40)
    with pytest.raises(TooDear, match=r"about \$6.25, and \$6.00 may be spent"):
        BatchTables(tables).account(job(), seconds=5, most_usd=6)
    assert tables.asked == []
    found = BatchTables(tables).account(job(), seconds=5, most_usd=13)
    assert found.account.query_usd == usd_of(3 * 2**40) == 18.75  # the one that writes them too
    assert all(0 < most <= 2 * 2**40 for _, _, most in tables.asked)


def test_the_rows_that_are_left_become_a_table_once() -> None:
    tables = Tables(counts())
    rows = BatchTables(tables)
    found = rows.account(job(), seconds=5)
    before = len(tables.asked)
    rows.write_left(found, "bq://p-123.ours.rows_1", seconds=5)
    rows.write_left(found, "bq://p-123.ours.rows_1", seconds=5)
    assert len(tables.asked) == before + 1
    tables.sizes["p-123.ours.rows_1"] = 99
    with pytest.raises(PermanentError, match="has 99 rows, and 3 are left"):
        rows.write_left(found, "bq://p-123.ours.rows_1", seconds=5)


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("bq://p-123.lab", "the input is not a BigQuery table"),
        ("bq://p-123.lab.x` UNION ALL SELECT", "the input is not a BigQuery table"),
    ],
)
def test_a_name_that_is_no_table_is_never_part_of_a_query(uri: str, why: str) -> None:
    bad = job(inputConfig={"bigquerySource": {"inputUri": uri}})
    with pytest.raises(PermanentError, match=why):
        BatchTables(Tables()).account(bad, seconds=5)
    odd = Tables(took={"a`; DROP": "STRING", "request": "STRING"})
    with pytest.raises(PermanentError, match="a column's name"):
        BatchTables(odd).account(job(), seconds=5)


INSTANCES = {"id": "INT64", "x": "FLOAT64"}
RESULTS = {**INSTANCES, "prediction": "STRING"}
ERRORS = {**INSTANCES, "errors": "RECORD"}
TIMED = "2026_11_23T20_00_00_5Z"


def custom(**more: Any) -> Job:
    """A custom model's batch, whose output is a dataset."""
    where = {"outputConfig": {"bigqueryDestination": {"outputUri": "bq://p-123.lab"}}}
    return job(createTime="2026-11-23T20:00:00.5Z", **where, **more)


def of_custom(*answers: Records, failures: Records = (), **held: Mapping[str, str]) -> Tables:
    tables = Tables(*answers, took=INSTANCES)
    tables._answers[0] = failures
    tables._columns |= {f"p-123.lab.{name}": columns for name, columns in held.items()}
    tables.sizes |= {f"p-123.lab.{name}": 2 for name in held}
    return tables


def test_failures_in_a_table_of_their_own_are_matched_by_its_columns() -> None:
    failures = [{"said": "14 try again", "n": 1}, {"said": "3 no such gene", "n": 1}]
    tables = of_custom(
        counts(), failures=failures, **{f"predictions_{TIMED}": RESULTS, f"errors_{TIMED}": ERRORS}
    )
    found = BatchTables(tables).account(custom(), seconds=5)
    assert (found.account.key, found.account.sound) == ("id", True)
    assert found.account.failed == {"try again": 1, "no such gene": 1}
    assert found.passing == ("14 try again",)
    assert all(f"errors_{TIMED}`" in sql for sql, _, _ in tables.asked)


@pytest.mark.parametrize(
    ("held", "why"),
    [
        ({}, "those of its time are: none"),
        ({"predictions_2026_11_22T20_00_00_5Z": RESULTS}, "those of its time are: none"),
        ({f"predictions_{TIMED}": RESULTS, f"predictions_{TIMED}_2": RESULTS}, "are: predictions_"),
        ({f"predictions_{TIMED}": {"prediction": "STRING"}}, "no column of its tables names a row"),
    ],
    ids=["none", "another-job's", "two", "no-columns"],
)
def test_results_that_cannot_be_told_are_refused(held: Any, why: str) -> None:
    with pytest.raises(PermanentError, match=why):
        BatchTables(of_custom(**held)).account(custom(), seconds=5)


def test_failures_beyond_those_that_are_told_apart_are_counted_all_the_same() -> None:
    found = BatchTables(Tables(counts(failed_lines=4, done=5))).account(job(), seconds=5).account
    assert (found.failed["(other messages)"], found.missing, found.sound) == (2, 1, True)
