"""A batch's rows where the job keeps them: which objects are read, in what time, and what is written."""

from __future__ import annotations

import io
import itertools
import json
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import pytest

from remediator.domain import Json, PermanentError
from remediator.job import Job
from remediator.job.batch import Stored
from remediator.rows.objects import BatchRows, TimeUp

NAME = "projects/p-1/locations/us-central1/batchPredictionJobs/7"
ROWS = [{"key": f"k{n}", "x": n} for n in range(9000)]


class Objects:
    """Objects in memory."""

    def __init__(self, **held: str) -> None:
        self.held = {uri.replace("__", "/"): text.encode() for uri, text in held.items()}
        self.rows: dict[str, int] = {}
        self.reads = 0

    def find(self, uri: str) -> Sequence[Stored]:
        prefix = uri.partition("*")[0]
        return [
            Stored(f"gs://{name}", len(data), 1, "")
            for name, data in sorted(self.held.items())
            if f"gs://{name}".startswith(prefix)
        ]

    def open(self, stored: Stored) -> BinaryIO:
        self.reads += 1
        return io.BytesIO(self.held[stored.uri.removeprefix("gs://")])

    def rows_in(self, uri: str) -> int | None:
        return self.rows.get(uri)

    def create(self, uri: str, chunks: Iterable[bytes], *, rows: int) -> None:
        self.held[uri.removeprefix("gs://")] = b"".join(chunks)
        self.rows[uri] = rows

    def write_json(self, uri: str, body: Json) -> None:
        self.held[uri.removeprefix("gs://")] = json.dumps(body).encode()


def lines(rows: Iterable[object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def answered(rows: Iterable[Any]) -> str:
    return lines({"instance": row, "prediction": 1} for row in rows)


def job(input_format: str = "jsonl", **more: Any) -> Job:
    return Job.parse(
        {
            "name": NAME,
            "inputConfig": {
                "instancesFormat": input_format,
                "gcsSource": {"uris": ["gs://in/rows*"]},
            },
            "outputConfig": {"gcsDestination": {"outputUriPrefix": "gs://out/run"}},
            "outputInfo": {"gcsOutputDirectory": "gs://out/run/p"},
            **more,
        }
    )


def half_done() -> Objects:
    return Objects(
        in__rows=lines(ROWS),
        **{"out__run__p__prediction.results-00000-of-00001": answered(ROWS[:5])},
    )


def test_what_takes_longer_than_an_event_has_is_passed_over_with_the_command() -> None:
    ticks = itertools.count(step=10.0)
    found, why = BatchRows(half_done(), clock=lambda: next(ticks)).evidence(job(), 5.0)
    assert found is None
    assert "could not be read in the 5 s" in why
    assert f"`rows {NAME} -o FILE`" in why
    with pytest.raises(TimeUp):
        BatchRows(half_done(), clock=lambda: next(ticks)).account(job(), seconds=5.0)


def test_rows_that_were_counted_just_now_are_written_without_counting_again() -> None:
    store = half_done()
    rows = BatchRows(store)
    found, _ = rows.evidence(job(), 5.0)
    assert found is not None
    reads = store.reads
    rows.write_left(job(), "gs://ours/1.jsonl", rows=found.left, seconds=5.0)
    assert store.held["ours/1.jsonl"].decode() == lines(ROWS[5:])
    assert store.reads == reads + 1
    BatchRows(store).write_left(job(), "gs://ours/1.jsonl", rows=found.left, seconds=5.0)
    assert store.reads == reads + 1
    with pytest.raises(PermanentError, match="holds 8,995 rows, and the plan is about 3"):
        BatchRows(store).write_left(job(), "gs://ours/1.jsonl", rows=3, seconds=5.0)
    with pytest.raises(PermanentError, match="8,995 rows left, and the plan was about 3"):
        BatchRows(store).write_left(job(), "gs://ours/2.jsonl", rows=3, seconds=5.0)


def test_csv_keeps_its_header_whatever_the_objects_are_called() -> None:
    store = Objects(
        in__rows="a,b\n1,x\n2,y\n", **{"out__run__p__prediction.results-0": answered([[1, "x"]])}
    )
    rows = BatchRows(store)
    found, _ = rows.evidence(job("csv"), 5.0)
    assert found is not None
    rows.write_left(job("csv"), "gs://ours/1.csv", rows=found.left, seconds=5.0)
    assert store.held["ours/1.csv"] == b"a,b\n2,y\n"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        (job("tf-record"), "input of the format tf-record is not cut into rows"),
        (job(inputConfig={"instancesFormat": "jsonl"}), "the job names no input files"),
        (job(outputInfo={}, outputConfig={}), "the output is not in Cloud Storage"),
    ],
)
def test_what_cannot_be_read_says_why(document: Job, why: str) -> None:
    found, said = BatchRows(half_done()).evidence(document, 5.0)
    assert (found, said) == (None, f"its rows cannot be told apart: {why}")


def test_an_input_that_is_gone_says_so() -> None:
    found, said = BatchRows(Objects()).evidence(job(), 5.0)
    assert found is None
    assert "the input is not there (any more): gs://in/rows*" in said


def test_other_files_in_the_folder_and_empty_ones_are_not_its_output() -> None:
    store = half_done()
    store.held["out/run/p/notes.txt"] = b"hello"
    store.held["out/run/p/predictions.jsonl"] = b""
    found, _ = BatchRows(store).evidence(job(), 5.0)
    assert found is not None
    assert (found.sound, found.done) == (True, 5)
