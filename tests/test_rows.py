"""`rows`: what a batch did with its rows, over files as Vertex writes them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from remediator.cli.main import main
from remediator.domain import InvalidInput
from remediator.job.rows import RowAccount, code_of, may_pass

ROOT = Path(__file__).resolve().parents[1]
Row = dict[str, Any]


def gemini_row(number: int, **more: object) -> Row:
    return {"request": {"contents": [{"parts": [{"text": f"read {number}"}]}]}, **more}


def answered(row: Row, **more: object) -> Row:
    """A row as it comes back done."""
    return {"status": "", "processed_time": "2026-11-23", "response": {"n": 1}, **row, **more}


def refused(row: Row, status: object) -> Row:
    return {"status": status, "processed_time": "2026-11-23", "response": {}, **row}


def predicted(row: object, **more: object) -> Row:
    return {"instance": row, "prediction": [0.5], **more}


DEADLINE = '{"code": 4, "message": "Deadline exceeded"}'
BAD = (
    'Bad Request: {"error": {"code": 400, "message": "no such role", "status": "INVALID_ARGUMENT"}}'
)
SLOW = (
    "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result 504 "
    "(upstream request timeout) from server, retry=3, elapsed=600.04s."
)


class Batch:
    """Files of a batch in a folder, and the command over them."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        self.said = ""

    def write(self, name: str, lines: Sequence[object], end: str = "\n") -> str:
        """Lines as JSON, but for bytes and text, which stand as they are."""
        path = self.folder / name
        texts = [one if isinstance(one, str) else json.dumps(one) for one in lines]
        path.write_bytes("\n".join(texts).encode() + (end.encode() if texts else b""))
        return str(path)

    def account(
        self, inputs: Sequence[str], outputs: Sequence[str], *more: str, code: int = 0
    ) -> dict[str, Any]:
        arguments = ["rows", "--input", *inputs, "--output", *outputs, *more]
        target = str(self.folder / "again")
        assert main([*arguments, "-o", target, "--json"]) == code
        printed = self._capsys.readouterr()
        self.said = printed.err
        return dict(json.loads(printed.out))

    def unusable(self, *arguments: str) -> str:
        assert main(["rows", *arguments]) == 2
        printed = self._capsys.readouterr()
        assert (printed.out, printed.err.count("\n")) == ("", 1)
        return printed.err

    @property
    def again(self) -> bytes | None:
        path = self.folder / "again"
        return path.read_bytes() if path.exists() else None


@pytest.fixture
def batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Batch:
    return Batch(tmp_path, capsys)


def lines_of(rows: Sequence[object]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def test_a_gemini_batch_that_expired_in_the_middle(batch: Batch) -> None:
    rows = [gemini_row(n, custom_id=f"c{n}") for n in range(10)]
    took = batch.write("in.jsonl", rows)
    first = batch.write(
        "predictions.jsonl-00000-of-00002", [answered(rows[7]), refused(rows[2], DEADLINE)]
    )
    second = batch.write(
        "predictions.jsonl-00001-of-00002",
        [answered(rows[0]), refused(rows[9], BAD), answered(rows[4])],
    )
    found = batch.account([took], [second, first])
    because = found.pop("because")
    assert found == {
        "rows": 10,
        "done": 3,
        "failed": {DEADLINE: 1, BAD: 1},
        "retriable": 1,
        "missing": 5,
        "unmatched": 0,
        "duplicates": 0,
        "key": "custom_id",
        "sound": True,
    }
    assert because == (
        "`custom_id` is there once in each row, and at most once in the output; 3 done, 2 failed "
        "and 5 missing make 10"
    )
    assert batch.again == lines_of([rows[n] for n in (1, 2, 3, 5, 6, 8)])


def test_the_input_says_the_key_where_the_output_says_key(batch: Batch) -> None:
    rows = [{"id": n, "x": n % 2} for n in range(6)]
    took = batch.write("in.jsonl", rows)
    gave = batch.write(
        "prediction.results-00000-of-00001",
        [{"key": n, "prediction": 1} for n in (5, 3)],
    )
    assert batch.account([took], [gave], code=1)["key"] is None
    assert "--key" in batch.account([took], [gave], code=1)["because"]
    found = batch.account([took], [gave], "--key", "id")
    assert (found["key"], found["done"], found["missing"]) == ("id", 2, 4)
    assert batch.again == lines_of([rows[n] for n in (0, 1, 2, 4)])


@pytest.mark.parametrize(
    "keys", [[1, 2, 2, 4], [1, None, 3, 4], [1, ..., 3, 4]], ids=["repeated", "null", "missing"]
)
def test_a_key_that_is_not_sound_gives_way_to_the_content(batch: Batch, keys: list[object]) -> None:
    rows = [gemini_row(n, **({} if key is ... else {"key": key})) for n, key in enumerate(keys)]
    took = batch.write("in.jsonl", rows)
    gave = batch.write("predictions.jsonl", [answered(rows[n]) for n in (1, 0)])
    found = batch.account([took], [gave])
    assert (found["key"], found["done"], found["sound"]) == ("content", 2, True)
    assert batch.again == lines_of(rows[2:])
    told = batch.account([took], [gave], "--key", "key", code=1)
    assert (told["key"], told["sound"], told["rows"]) == (None, False, 4)


def test_equal_rows_are_counted_and_never_told_apart(batch: Batch) -> None:
    rows = [{"x": 1}, {"x": 2}, {"x": 1.0}, {"x": 1}, {"x": 2}]
    took = batch.write("in.jsonl", rows)
    gave = batch.write("prediction.results-00000-of-00001", [predicted({"x": 1})] * 2)
    found = batch.account([took], [gave])
    assert (found["done"], found["missing"], found["duplicates"]) == (2, 3, 3)
    assert batch.again == lines_of([{"x": 2}, {"x": 1}, {"x": 2}])


def test_numbers_escapes_and_the_order_of_keys_do_not_matter(batch: Batch) -> None:
    took = batch.write(
        "in.jsonl",
        [
            '{"b": [1.0, 1e3, -0.0, 1e-7], "a": "\\u00e9\\ud83d\\ude00"}',
            '{"n": 12345678901234567890123}',
            '{"n": 12345678901234567890124}',
            '{"n": 1e300}',
            '{"half": "\\ud800"}',
            '{"x": NaN}',
            '{"x": null}',
        ],
    )
    gave = batch.write(
        "prediction.results-00000-of-00001",
        [
            '{"prediction": NaN, "instance": {"a": "é😀", "b": [1, 1000, 0, 0.0000001]}}',
            '{"instance": {"n": 12345678901234567890123}, "prediction": 1}',
            '{"instance": {"n": 1.0e+300}, "prediction": 1}',
            '{"instance": {"half": "\\ud800"}, "prediction": 1}',
            '{"instance": {"x": NaN}, "prediction": 1}',
        ],
    )
    found = batch.account([took], [gave])
    assert (found["done"], found["missing"], found["key"]) == (5, 2, "content")
    assert batch.again == b'{"n": 12345678901234567890124}\n{"x": null}\n'


def test_a_field_that_is_excluded_from_the_instance_is_a_key(batch: Batch) -> None:
    rows = [{"sample": f"s{n}", "x": 1} for n in range(4)]
    took = batch.write("in.jsonl", rows)
    gave = batch.write(
        "prediction.results-00000-of-00001", [predicted({"x": 1}, sample=f"s{n}") for n in (3, 1)]
    )
    found = batch.account([took], [gave])
    assert (found["key"], found["done"]) == ("sample", 2)
    assert batch.again == lines_of([rows[0], rows[2]])


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ([answered(gemini_row(1, key="k1"))] * 2, "1 line of the output repeat a `key`"),
        ([answered(gemini_row(9, key="k9"))], "1 line of the output match no row"),
        (["garbage", answered(gemini_row(1, key="k1"))], "predictions.jsonl:1 cannot be read"),
        (["[1, 2]", answered(gemini_row(1, key="k1"))], "tells neither a result nor an error"),
        (['{"request": {"con', answered(gemini_row(1, key="k1"))], "predictions.jsonl:1 cannot"),
        (["no row at all"], "predictions.jsonl:1 cannot be read"),
    ],
    ids=["twice", "unmatched", "garbage", "no-object", "torn-inside", "garbage-at-the-end"],
)
def test_what_does_not_add_up_is_refused_and_nothing_is_written(
    batch: Batch, lines: list[object], why: str
) -> None:
    rows = [gemini_row(n, key=f"k{n}") for n in range(3)]
    took = batch.write("in.jsonl", rows)
    found = batch.account([took], [batch.write("predictions.jsonl", lines)], code=1)
    assert found["sound"] is False
    assert why in found["because"]
    assert batch.again is None
    assert "nothing is written" in batch.said


@pytest.mark.parametrize("cut", range(1, 78))
def test_a_torn_last_line_is_passed_over_wherever_it_was_cut(batch: Batch, cut: int) -> None:
    rows = [gemini_row(n, key=f"k{n}é") for n in range(3)]
    took = batch.write("in.jsonl", rows)
    whole = [json.dumps(answered(rows[n]), ensure_ascii=False) for n in (0, 1)]
    gave = batch.folder / "predictions.jsonl"
    gave.write_bytes(whole[0].encode() + b"\n" + whole[1].encode()[:cut])
    found = batch.account([took], [str(gave)])
    assert (found["done"], found["missing"]) == (1, 2)
    assert "torn" in found["because"]
    gave.write_bytes(whole[0].encode() + b"\n" + whole[1].encode()[:cut] + b"\n")
    assert batch.account([took], [str(gave)])["done"] == 1


def test_increments_beside_final_shards_are_passed_over_and_read_where_they_are_all(
    batch: Batch,
) -> None:
    rows = [gemini_row(n) for n in range(4)]
    took = batch.write("in.jsonl", rows)
    increments = batch.write("incremental_predictions.jsonl", [answered(rows[0])])
    shard = batch.write("predictions.jsonl", [answered(rows[0]), answered(rows[1])])
    assert batch.account([took], [increments, shard])["done"] == 2
    assert batch.account([took], [increments])["done"] == 1


def test_errors_without_identity_count_as_failed_and_every_row_that_is_not_back_is_sent(
    batch: Batch,
) -> None:
    rows = [{"x": n} for n in range(10)]
    took = batch.write("in.jsonl", rows)
    results = batch.write(
        "prediction.results-00000-of-00001", [predicted(rows[n]) for n in (0, 9, 5)]
    )
    errors = batch.write("prediction.errors_stats-00000-of-00001", [f"('{SLOW}', 4)"])
    ways = (
        ([results, errors],),
        ([results], "--errors", errors),
        ([results, errors, results], "--errors", errors),
    )
    for arguments in ways:
        found = batch.account([took], *arguments)
        assert (found["failed"], found["retriable"], found["missing"]) == ({SLOW: 4}, 4, 3)
        assert batch.again == lines_of([rows[n] for n in (1, 2, 3, 4, 6, 7, 8)])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"('{SLOW.replace('504', '422')}', 2)", "2 rows failed with a message that cannot pass"),
        (f"('{SLOW}', 9)", "the counts do not add up: 2 done and 9 failed of 10 rows"),
    ],
)
def test_errors_without_identity_that_leave_a_doubt_are_refused(
    batch: Batch, line: str, why: str
) -> None:
    rows = [{"x": n} for n in range(10)]
    took = batch.write("in.jsonl", rows)
    results = batch.write("prediction.results-00000-of-00001", [predicted(r) for r in rows[:2]])
    errors = batch.write("prediction.errors_stats-00000-of-00001", [line])
    found = batch.account([took], [results], "--errors", errors, code=1)
    assert why in found["because"]
    assert batch.again is None


def test_an_empty_error_file_is_there_in_any_case(batch: Batch) -> None:
    took = batch.write("in.jsonl", [{"x": 1}])
    results = batch.write("prediction.results-00000-of-00001", [predicted({"x": 1})])
    errors = batch.write("prediction.errors_stats-00000-of-00001", [])
    found = batch.account([took], [results, errors])
    assert (found["done"], found["missing"], found["sound"]) == (1, 0, True)
    assert batch.again == b""


def test_errors_with_their_instance_are_listed_or_sent(batch: Batch) -> None:
    rows = [{"x": n} for n in range(4)]
    took = batch.write("in.jsonl", rows)
    results = batch.write("prediction.results-00000-of-00001", [predicted(rows[0])])
    errors = batch.write(
        "errors_0001.jsonl",
        [
            {"instance": rows[1], "error": {"code": 14, "message": "try later"}},
            {"instance": rows[2], "error": {"code": 3, "message": "x is too large"}},
        ],
    )
    found = batch.account([took], [results, errors])
    assert found["failed"] == {"try later": 1, "x is too large": 1}
    assert (found["retriable"], found["missing"]) == (1, 1)
    assert batch.again == lines_of([rows[1], rows[3]])


def test_a_name_that_speaks_of_errors_makes_no_failure_of_a_result(batch: Batch) -> None:
    rows = [{"x": n} for n in range(3)]
    took = batch.write("in.jsonl", rows)
    gave = batch.write("errors_of_genomes.jsonl", [predicted(rows[1])])
    manifest = batch.write("remediator-manifest.json", [{"root": "7", "parts": []}])
    found = batch.account([took], [gave, manifest])
    assert (found["done"], found["failed"], found["missing"]) == (1, {}, 2)


def test_every_row_failed_is_sound_all_the_same(batch: Batch) -> None:
    rows = [gemini_row(n) for n in range(3)]
    took = batch.write("in.jsonl", rows)
    gave = batch.write("predictions.jsonl", [refused(row, BAD) for row in rows])
    found = batch.account([took], [gave])
    assert (found["done"], found["failed"], found["sound"]) == (0, {BAD: 3}, True)
    assert batch.again == b""


def test_columns_of_bigquery_tables_written_as_json(batch: Batch) -> None:
    rows = [{"id": n, "request": json.dumps({"b": n, "a": 1.0})} for n in range(4)]
    took = batch.write("in.jsonl", rows)
    gave = batch.write(
        "predictions.jsonl",
        [
            {
                "id": str(n),
                "request": json.dumps({"a": 1, "b": n}),
                "status": "",
                "response": "{}",
                "_vertex_row_id": n + 7,
            }
            for n in (2, 0)
        ],
    )
    found = batch.account([took], [gave])
    assert (found["key"], found["done"]) == ("id", 2)
    custom = [{"id": 1, "x": 0.5}, {"id": 1, "x": 1.5}, {"id": 2, "x": 0.5}]
    took = batch.write("in.jsonl", custom)
    gave = batch.write("predictions.jsonl", [{**custom[1], "predicted_y": 1, "_vertex_row_id": 1}])
    errors = batch.write("errors_x.jsonl", [{**custom[2], "errors_code": 8, "errors_message": "m"}])
    found = batch.account([took], [gave, errors])
    assert (found["key"], found["done"], found["failed"]) == ("content", 1, {"m": 1})
    assert batch.again == lines_of([custom[0], custom[2]])


@pytest.mark.parametrize("send", [list, lambda cells: dict(zip("ab", cells, strict=True))])
def test_csv_is_sent_as_arrays_or_objects(
    batch: Batch, send: Callable[[list[object]], object]
) -> None:
    took = batch.folder / "in.csv"
    took.write_bytes(b'a,b\r\n1,x\r\n2.0,"y,\r\n\r\nz"\r\n3,\r\n1,x')
    gave = batch.write(
        "prediction.results-00000-of-00001",
        [predicted(send([1.0, "x"])), predicted(send([2, "y,\r\n\r\nz"]))],
    )
    found = batch.account([str(took)], [gave])
    assert (found["rows"], found["done"], found["duplicates"]) == (4, 2, 1)
    assert batch.again == b"a,b\r\n3,\r\n1,x"
    found = batch.account([str(took)], [gave], "--key", "b", code=1)
    assert found["key"] is None


def test_ends_of_lines_blank_lines_and_a_mark_before_the_first_are_kept(batch: Batch) -> None:
    first, second = batch.folder / "a.jsonl", batch.folder / "b.jsonl"
    first.write_bytes(b'\xef\xbb\xbf{"x":1}\r\n\r\n{"x":  2}\r\n{"x":3}')
    second.write_bytes(b'{"x":4}\n{"x":5}')
    gave = batch.write("prediction.results-00000-of-00001", [predicted({"x": 4})])
    found = batch.account([str(first), str(second)], [gave])
    assert (found["rows"], found["done"]) == (5, 1)
    assert batch.again == b'\xef\xbb\xbf{"x":1}\r\n{"x":  2}\r\n{"x":3}\n{"x":5}'


def test_unusable_input_is_one_line(batch: Batch) -> None:
    good = batch.write("good.jsonl", [{"x": 1}])
    torn = batch.write("torn.jsonl", [{"x": 1}, '{"x": '], end="")
    empty = batch.write("empty.jsonl", [])
    gave = batch.write("prediction.results-00000-of-00001", [predicted({"x": 1})])
    assert "torn.jsonl:2: this line" in batch.unusable("--input", torn, "--output", gave)
    assert "the file holds no rows" in batch.unusable("--input", empty, "--output", gave)
    assert "No such file" in batch.unusable("--input", "absent", "--output", gave)
    folder = batch.unusable("--input", str(batch.folder), "--output", gave)
    assert "is a folder; name the files in it, such as" in folder
    assert "give --output" in batch.unusable("--input", good)
    assert "give --input and --output" in batch.unusable()
    assert "give --project and --region" in batch.unusable("1234567890")
    assert "both together" in batch.unusable("1234567890", "--input", good)
    assert "written over" in batch.unusable("--input", good, "--output", gave, "-o", good)
    assert "is not read" in batch.unusable("--input", good, "--output", batch.write("o.csv", []))
    lost = str(batch.folder / "absent" / "again")
    assert f"rows: {lost}: No such" in batch.unusable("--input", good, "--output", gave, "-o", lost)
    both = [good, batch.write("c.csv", ["a,b", "1,2"])]
    assert "not of one kind" in batch.unusable("--input", *both, "--output", gave)


def test_the_words_for_people(batch: Batch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [gemini_row(n, key=f"k{n}") for n in range(5)]
    took = batch.write("in.jsonl", rows)
    gave = batch.write(
        "predictions.jsonl",
        [answered(rows[0]), refused(rows[1], BAD), refused(rows[2], "429 Too Many Requests")],
    )
    target = str(batch.folder / "again.jsonl")
    assert main(["rows", "--input", took, "--output", gave, "-o", target]) == 0
    assert capsys.readouterr().out == (
        "           5 rows\n"
        "           1 done\n"
        "           2 failed, 1 of them may pass when sent again\n"
        "               1 429 Too Many Requests\n"
        f"               1 {BAD}\n"
        "           2 missing\n"
        "\n"
        "sound: `key` is there once in each row, and at most once in the output; 1 done, 2 failed "
        "and 2 missing make 5\n"
        f"3 rows to send again are in {target}\n"
        "1 failed row would fail again and is not among those to send\n"
    )


def test_a_newcomer_is_told_what_to_do_next(
    batch: Batch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [gemini_row(n, key=f"k{n}") for n in range(30)]
    took = batch.write("in.jsonl", rows)
    first = batch.write("predictions.jsonl-00000-of-00002", [answered(row) for row in rows[:29]])
    assert main(["rows", "--input", took, "--output", first]) == 0
    out = capsys.readouterr().out
    assert "           0 failed\n" in out
    assert out.endswith(
        "1 row to send again: -o FILE writes it\n"
        "careful: rows in shards that were not given count as missing, and would be sent again\n"
    )
    several = batch.write(
        "predictions.jsonl", [refused(row, f"bad {n}") for n, row in enumerate(rows)]
    )
    assert main(["rows", "--input", took, "--output", several]) == 0
    out = capsys.readouterr().out
    assert "and 10 other messages (--json shows them)\n           0 missing" in out


def test_without_the_fast_reader_the_account_is_the_same(batch: Batch) -> None:
    rows = [{"x": n, "y": [1.0, "é"]} for n in range(4)]
    took = batch.write("in.jsonl", rows)
    gave = batch.write("prediction.results-00000-of-00001", [predicted(rows[n]) for n in (2, 0)])
    script = (
        "import sys; sys.modules['orjson'] = None; from remediator.cli.main import main; "
        f"sys.exit(main(['rows', '--input', {took!r}, '--output', {gave!r}, '--json']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert json.loads(done.stdout) == batch.account([took], [gave])


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (SLOW, 504),
        (SLOW.replace("504", "422"), 422),
        (BAD, 400),
        (DEADLINE, 4),
        ('{"error": {"code": 503, "status": "UNAVAILABLE"}}', 503),
        ("503 Service Unavailable", 503),
        ("HTTP 500: oops", 500),
        ("HTTP/1.1 429 Too Many", 429),
        ("rpc error: code = DeadlineExceeded desc = deadline exceeded", 4),
        ("RESOURCE_EXHAUSTED: quota of 400 requests", 8),
        ("Error: CANCELLED", 499),
        ("rpc error: code = Unavailable desc = the channel is closed", 14),
        ("[ORIGINAL ERROR] generic::deadline_exceeded: the stub waited", 4),
        ("Internal error encountered.", 13),
        ("The service is currently unavailable.", 14),
        ("Resource has been exhausted (e.g. check quota).", 8),
        ("The model is overloaded. Please try again later.", 503),
        ("code: blue, of a message that names none", None),
        ("status code: 404", 404),
        ("token 500 is out of range for a vocabulary of 499", None),
        ("upstream request timeout", 504),
        ("", None),
    ],
)
def test_the_code_that_a_message_names(message: str, code: int | None) -> None:
    assert code_of(message) == code


def test_which_failures_may_pass() -> None:
    passing = [code for code in range(600) if may_pass("m", code)]
    assert passing == [4, 8, 13, 14, 429, 499, 500, 503, 504]
    assert may_pass("m", 9, gemini=True)
    assert not may_pass("m", 9)
    assert may_pass("m", 1) is False
    assert may_pass("the reason is not told") is False
    assert may_pass(SLOW.replace("504", "422"), 13) is False


def test_an_account_is_read_back_as_it_was_printed() -> None:
    account = RowAccount(10, 5, {"m": 2}, 1, 3, 0, 0, "id", True, "so")
    assert RowAccount.parse(json.loads(json.dumps(account.to_json()))) == account
    for wrong in ({"rows": -1}, {"rows": "5"}, {"failed": [1]}, {"key": 1}, {"sound": "yes"}):
        with pytest.raises(InvalidInput, match=r"^`rows\."):
            RowAccount.parse({**account.to_json(), **wrong})


def test_a_request_that_came_back_as_protobuf_writes_it_is_the_same_row(batch: Batch) -> None:
    """Google's own samples show `"fileData": null` in requests that were sent without it."""
    rows = [
        {
            "request": {
                "contents": [{"role": "user", "parts": [{"text": f"read {n}"}]}],
                "generation_config": {"max_output_tokens": 8},
                "tools": [{"function_declarations": [{"parameters": {"properties": {"a_b": 1}}}]}],
            }
        }
        for n in range(4)
    ]
    back = {
        "contents": [{"parts": [{"fileData": None, "text": "read 2"}], "role": "user"}],
        "generationConfig": {"maxOutputTokens": 8},
        "tools": [{"functionDeclarations": [{"parameters": {"properties": {"a_b": 1}}}]}],
    }
    took = batch.write("in.jsonl", rows)
    gave = batch.write("predictions.jsonl", [answered({"request": back})])
    found = batch.account([took], [gave])
    assert (found["done"], found["missing"], found["key"]) == (1, 3, "content")
    assert batch.again == lines_of([rows[n] for n in (0, 1, 3)])
    back["tools"][0]["functionDeclarations"][0]["parameters"]["properties"] = {"aB": 1}
    gave = batch.write("predictions.jsonl", [answered({"request": back})])
    assert batch.account([took], [gave], code=1)["unmatched"] == 1
