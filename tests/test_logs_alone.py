"""What is said of texts that came without a job: plain logs, rows of results, an API's answer."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from bench.diagnosis.lab import score_alone
from remediator.case import LogLine
from remediator.cli.main import main
from remediator.cli.subject import diagnose_inputs, subject_lines, subject_of
from remediator.domain import Cause, Diagnosis, InvalidInput, Source
from remediator.inputs import Assembly, assemble, wishes
from remediator.inputs.documents import read_document
from remediator.inputs.text_log import ends_in_failure, has_sign_of_death

JULIA = """\
ERROR: LoadError: BoundsError: attempt to access 3-element Vector{Int64} at index [4]
Stacktrace:
 [1] getindex(A::Vector{Int64}, i1::Int64)
   @ Base ./essentials.jl:13
 [2] main()
   @ Main /app/run.jl:8
in expression starting at /app/run.jl:12
"""
GEMINI_ROW = {
    "status": 'Bad Request: {"error": {"code": 400, "message": "Unable to submit request because it must have a text parameter.", "status": "INVALID_ARGUMENT"}}',
    "processed_time": "2026-11-30T10:00:00Z",
    "request": {"contents": []},
    "response": {},
}
ANSWERED_ROW = {"status": "", "request": {"contents": []}, "response": {"candidates": [{}]}}
CUSTOM_ROW = {
    "instance": {"x": 1},
    "error": "('Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result 503 (Service Unavailable)', 1)",
}


def read(text: str) -> Assembly:
    return assemble([read_document(text.encode(), "given")])


def diagnosed(text: str) -> Diagnosis:
    return diagnose_inputs(read(text))


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (JULIA, Cause.USER_CODE_ERROR),
        ("reading\nforrtl: severe (24): end-of-file during read, unit 10, file /data/in.dat\n", Cause.BAD_INPUT),
        ("Fortran runtime error: End of file\nAt line 31 of file reader.f90 (unit = 10, file = 'input.dat')\n", Cause.BAD_INPUT),
        ("databricks.sdk.errors.platform.PermissionDenied: User does not have CREATE TABLE on Schema 'main.ml'.\n", Cause.PERMISSION),
    ],
)  # fmt: skip
def test_a_log_that_ends_in_an_error_is_of_a_program_that_gave_up(text: str, cause: Cause) -> None:
    answer = diagnosed(text)
    assert answer.verdict is cause
    assert not any("exit status" in item.says for item in answer.causes[0].evidence)
    assert all(item.source is Source.LOG for item in answer.causes[0].evidence)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-30 10:10:00 ERROR could not send metrics\n2026-11-30 10:20:00 INFO model saved to gs://b/m\n",
        "ERROR: retrying the upload\nuploaded 12 files\n",
        "could not read the cache\ntraining finished\n",
    ],
)
def test_a_log_whose_last_line_is_in_order_is_of_no_program_that_gave_up(text: str) -> None:
    assert diagnosed(text).verdict is Cause.UNKNOWN


def test_a_last_line_that_complains_is_in_order_whatever_its_level() -> None:
    assert ends_in_failure(["INFO could not open /data/x.csv"])
    assert ends_in_failure(["Saved nothing: error 12"])
    assert not ends_in_failure(["error 12", "", "INFO step 13"])


@pytest.mark.parametrize("form", ["object", "lines", "list"])
@pytest.mark.parametrize(
    ("row", "says"),
    [(GEMINI_ROW, "Bad Request"), (CUSTOM_ROW, "Non-OK result 503")],
    ids=["gemini", "custom"],
)
def test_rows_of_results_are_of_a_batch_prediction(
    row: Mapping[str, Any], says: str, form: str
) -> None:
    text = {
        "object": json.dumps(row),
        "lines": f"{json.dumps(row)}\n{json.dumps(row)}\n",
        "list": json.dumps([row, row]),
    }[form]
    found = read(text)
    answer = diagnose_inputs(found)
    assert found.case.job.is_stand_in
    assert next(iter(subject_lines(found, subject_of(found), answer))) == "rows of given, no job"
    rows = [item for cause in answer.causes for item in cause.evidence]
    assert all(item.source is Source.ERROR_FILE for item in rows)
    if says == "Bad Request":
        assert answer.verdict is Cause.INVALID_CONFIG
        assert "Unable to submit request" in rows[0].says


def test_an_answered_row_says_nothing_whatever_its_file_is_called() -> None:
    rows = "\n".join(map(json.dumps, [ANSWERED_ROW, GEMINI_ROW, ANSWERED_ROW]))
    (cause, *_) = diagnosed(rows).causes
    assert cause.evidence[0].says.startswith('an error row: "Bad Request')
    assert diagnosed(json.dumps(ANSWERED_ROW)).causes == ()


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize(
    ("code", "status", "message", "cause"),
    [
        (429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later.", Cause.QUOTA),
        (403, "PERMISSION_DENIED", "Permission 'aiplatform.endpoints.predict' denied on resource", Cause.PERMISSION),
    ],
)  # fmt: skip
def test_the_answer_of_an_api_is_read_as_a_client_prints_it(
    code: int, status: str, message: str, cause: Cause, *, listed: bool
) -> None:
    answer = {"error": {"code": code, "message": message, "status": status}}
    found = read(json.dumps([answer] if listed else answer, indent=2))
    assert [line.text for line in found.case.log_lines] == [f"{code} {status}: {message}"]
    assert diagnose_inputs(found).verdict is cause


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("[0.000000] No Roadmap file to build upon! Please run it first\n", "[0.000000] No Roadmap file to build upon! Please run it first"),
        ("[/data/dataset.zip]\n  End-of-central-directory signature not found.\n", "  End-of-central-directory signature not found."),
        ("[0 2 4 6]\n[ 8 10 12 14]\nKeyError: 'label'\n", "KeyError: 'label'"),
        ("[ ] Clients allowed=9765\n[!] Configuration failed\n", "[!] Configuration failed"),
        ('{"timestamp":"2026-11-30T14:43:10Z","level":"ERROR","target":"m","fields":{"message":"bind failed"}}\n', "bind failed"),
        ('{"severity": "INFO", "message": "\x1b[31mstarting\x1b[0m"}\nKeyError: \'label\'\n', "KeyError: 'label'"),
    ],
)  # fmt: skip
def test_a_log_whose_first_line_looks_like_json_is_a_log(text: str, last: str) -> None:
    assert read(text).case.log_lines[-1].text.endswith(last)


TRACEBACK = """\
Traceback (most recent call last):
  File "/app/train.py", line 3, in main
RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB
"""


@pytest.mark.parametrize(
    "first",
    [
        {"request": "POST /predict", "status": "200 OK", "message": "served"},
        {"request": {"method": "GET"}, "status": "500", "level": "info", "msg": "handled"},
        {"instance": "vm-1", "status": "up", "event": "tick", "ts": 1795946372},
    ],
    ids=["web", "structured", "time"],
)
def test_a_log_of_requests_is_no_file_of_rows(first: Mapping[str, Any]) -> None:
    found = read(f"{json.dumps(first)}\n{TRACEBACK}")
    assert not found.case.error_files
    assert diagnose_inputs(found).verdict is Cause.GPU_MEMORY


@pytest.mark.parametrize(
    "printed",
    [
        '{"lr": 0.1, "batch": 3}',
        '{"epoch": 1, "loss": 0.3}\n{"epoch": 2, "loss": 0.2}',
        '{"name": "resnet", "epochs": 3}',
        '{"error": {"message": "retrying"}}',
        '{"request": {"method": "GET"}, "status": "500"}',
        "{lr: 0.1}",
        "{'epoch': 1}",
        "{starting}",
        '{\n  "lr": 0.1,\n  "steps": [1,\n    2]\n}',
        "{\n  'lr': 0.1\n}",
        '{\n  "prompt": "say {",\n  "steps": 2\n}',
        "[[0.1 0.2]\n [0.3 0.4]]",
        '[{"lr": 1}]',
        '{"displayName": "a", "msg": "start"}',
        '{"name": "resnet", "state": "running", "labels": {}}',
        '{"job": "train", "probes": 3}',
        "job: train\nepoch: 1",
        "model: resnet50\nbuckets: 5\nprobes: 3",
    ],
)
def test_a_log_that_begins_with_a_printed_configuration_is_a_log(printed: str) -> None:
    found = read(f"\n\n{printed}\n{TRACEBACK}")
    assert found.case.log_lines[0].entry["insertId"] == "line 3"
    assert diagnose_inputs(found).verdict is Cause.GPU_MEMORY
    last = "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB\n"
    assert diagnosed(f"{printed}\n{last}").verdict is Cause.GPU_MEMORY


def test_events_of_a_program_without_a_message_are_its_log() -> None:
    pages = "".join(
        json.dumps({"event": "page", "n": n, "of": 400, "http_ms": 7009, "cpu_ms": 2}) + "\n"
        for n in range(4)
    )
    assert len(read(pages).case.log_lines) == 4


def test_a_payload_nested_too_deep_is_told_by_its_keys() -> None:
    deep: dict[str, Any] = {}
    for _ in range(3_000):
        deep = {"inner": deep}
    assert LogLine.parse({"jsonPayload": {"outer": deep, "part": 1}}).text == "outer, part"


def test_structlogs_list_of_exceptions_is_read_as_an_exception() -> None:
    line = {
        "event": "stage_failed",
        "level": "error",
        "timestamp": "2026-12-01T08:49:47Z",
        "exception": [{"exc_type": "MemoryError", "exc_value": "Unable to allocate 26.8 GiB"}],
    }
    assert diagnosed(json.dumps(line) + "\n").verdict is Cause.MEMORY_PRESSURE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"lr": 0.1}\n{"lr": 0.2}\n', "lines of JSON without a key that is known"),
        ('{"job": {"name": "x"\nloading\n', "not JSON"),
        ('{\n  "lr": 0.1\n}\n{\n  "lr": 0.2\n}\n', "not JSON"),
        ('{\n  "job": {"name": "projects/p"}\n}\nUpdates are available.\n', "not JSON"),
        (
            '{"customJobs": [{"name": "projects/p/locations/r/customJobs/1"}]}\nok\n',
            "without a key",
        ),
        ('{"textPayload": "a"}\nUpdates are available.\n', "line 2: not JSON"),
        ("[[tool.mypy.overrides]]\nmodule = 1\n", "not JSON"),
        ("job: {}\nprobes: 3\n", "`probes` must be a list of objects"),
    ],
    ids=["lines", "cut-off", "objects", "job", "jobs", "entries", "toml", "yaml"],
)
def test_what_is_known_or_has_no_plain_line_below_is_no_log(text: str, says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read(text)


@pytest.mark.parametrize(
    "text",
    [
        "epoch 5\nepoch 5 validation error 0.031\n",
        "epoch 5 loss=0.3 val_error=0.12\n",
        "test error rate: 3.1%\n",
        "processed=100 failed=0\n",
        "WARNING: cannot import tensorrt\nepoch 1\nTraining took 35 s\n",
        "a.py:3: UserWarning: cannot import tensorrt\nepoch 1\nTraining took 35 s\n",
        '{"level": "warning", "msg": "cannot import tensorrt"}\n{"level": "", "msg": "took 35 s"}\n',
        "retry policy: exit code 5, 6 and 7\nbye\n",
        '{"msg": "eval", "error": null}\n{"msg": "eval error rate 0.2"}\n',
    ],
)
def test_a_metric_a_count_of_nothing_and_a_warning_above_are_no_failure(text: str) -> None:
    found = read(text)
    assert not found.case.job.error_message
    assert diagnose_inputs(found).verdict is Cause.UNKNOWN


@pytest.mark.parametrize(
    ("last", "cause"),
    [
        ("No such object: my-bucket/data.csv", Cause.BAD_INPUT),
        ("google.api_core.exceptions.NotFound: 404 GET https://storage.googleapis.com/storage/v1/b/b/o/x.csv: No such object: b/x.csv", Cause.BAD_INPUT),
        ("The zone 'projects/p/zones/europe-west4-b' does not have enough resources available to fulfill the request.", Cause.CAPACITY_STOCKOUT),
        ("gzip.BadGzipFile: Not a gzipped file (b'PK')", Cause.BAD_INPUT),
    ],
)  # fmt: skip
def test_an_end_that_a_signature_knows_is_a_failure_in_whatever_words(
    last: str, cause: Cause
) -> None:
    assert diagnosed(f"epoch 1\n{last}\n").verdict is cause


@pytest.mark.parametrize(
    "last",
    [
        "slurmstepd: error: *** JOB 4183 ON node017 CANCELLED AT 2026-11-30T01:00:00 DUE TO TIME LIMIT ***",
        "ERROR: timeout after 3600s",
        "error: build stopped: time limit reached",
        "job cancelled: deadline of 28800 s exceeded",
        "ERROR stopped: max run time 12000s exceeded",
    ],
)
def test_that_the_time_was_up_is_no_bug_of_the_code(last: str) -> None:
    assert diagnosed(f"epoch 1\n{last}\n").verdict is Cause.UNKNOWN


@pytest.mark.parametrize(
    "after", [["took 35 s, model saved"], [f"tile {n} drawn" for n in range(70)]]
)
def test_what_a_log_goes_on_after_is_not_its_end(after: list[str]) -> None:
    early = "The zone 'projects/p/zones/a' does not have enough resources available to fulfill the request."
    assert diagnosed("\n".join([early, *after])).causes == ()


@pytest.mark.parametrize(
    "last",
    ["RuntimeError: 0.5 is no probability", "error=0x8004", "failed=3", "WARNING: cannot open x"],
)
def test_a_complaint_with_a_number_and_a_warning_at_the_end_are_a_failure(last: str) -> None:
    assert ends_in_failure(["epoch 1", last])


def test_what_would_settle_it_is_a_job_of_the_kind_that_it_came_from() -> None:
    answer = {"error": {"code": 429, "message": "Resource exhausted.", "status": "X"}}
    assert wishes(read(json.dumps(answer))) == ()
    (wish,) = wishes(read(json.dumps(GEMINI_ROW)))
    assert "batchPredictionJobs/ID" in wish
    assert "custom" not in wish
    assert "gcloud ai custom-jobs describe" in wishes(read(TRACEBACK))[0]


def test_the_help_names_rows_and_the_answer_of_an_api(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["diagnose", "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "rows of a batch prediction as JSONL; the error that an API answered" in shown


def test_rows_are_rows_whose_request_is_text_and_whose_last_line_was_cut_off() -> None:
    row = json.dumps(GEMINI_ROW | {"request": json.dumps(GEMINI_ROW["request"])})
    assert diagnosed(f"{row}\n{row[:40]}").verdict is Cause.INVALID_CONFIG


def test_a_long_line_is_read_in_time_that_grows_as_its_length() -> None:
    def seconds(characters: int) -> float:
        line = ["a." * (characters // 2)]
        took = []
        for _ in range(5):
            started = time.thread_time()  # of this thread: those of other tests may still run
            assert not has_sign_of_death(line)
            took.append(time.thread_time() - started)
        return min(took)

    assert has_sign_of_death(["a.a.MyError: x \ud800"])
    short = seconds(2_000)
    assert seconds(16_000) < 30 * short  # 8 times the text; by the square of it 64


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('{"msg": "a\u2028b"}\n{"msg": "c\u0085d"}\nKeyError: x\n', ["a\u2028b", "c\u0085d", "KeyError: x"]),
        ('{"textPayload": "a\u2028b"}\n{"textPayload": "c\u0085d"}\n', ["a\u2028b", "c\u0085d"]),
        ("epoch 1\rKeyError: x\r", ["epoch 1", "KeyError: x"]),
        ("epoch 1\nKeyError: x\r   \r\n 10%\r 20%\r\x1b[K\n", ["epoch 1", "KeyError: x", " 20%"]),
    ],
    ids=["lines", "entries", "old-mac", "progress"],
)  # fmt: skip
def test_only_a_line_feed_ends_a_line_unless_there_is_none(text: str, lines: list[str]) -> None:
    assert [line.text for line in read(text).case.log_lines] == lines


@pytest.mark.parametrize("resource", ["r", {"labels": [1]}, {"labels": None}, None])
def test_an_entry_whose_resource_is_odd_names_no_job(resource: object) -> None:
    found = read(json.dumps({"textPayload": "KeyError: x", "resource": resource}))
    assert "JOB_ID" in wishes(found)[0]


def test_a_time_beyond_all_calendars_is_no_time() -> None:
    (line,) = read(f'{{"msg": "y", "ts": {"9" * 400}}}').case.log_lines
    assert "timestamp" not in line.entry


def test_what_a_case_leaves_null_is_not_given() -> None:
    assert not read('{"job": {}, "logEntries": null, "probes": null}').case.log_lines


@pytest.mark.parametrize("points", [5, [5], {"value": 1}])
def test_points_that_are_no_list_of_objects_are_told(points: object) -> None:
    series = [{"metric": "a", "points": points}]
    for body in (series, {"timeSeries": series}):
        with pytest.raises(InvalidInput, match=r"item 1.*`points` must be a list of objects"):
            read(json.dumps(body))


def test_a_log_with_a_few_nul_bytes_is_a_log() -> None:
    printed = b"row \0 of the table is read\n" * 3
    filler = b"one more line of an ordinary log\n" * 20
    found = assemble([read_document(printed + filler + b"KeyError: 'label'\n", "given")])
    assert found.case.log_lines[0].text == "row  of the table is read"
    assert diagnose_inputs(found).verdict is Cause.USER_CODE_ERROR


REACHED = {
    "training": (111, 2),
    "blind": (138, 7),
    "second_blind": (101, 1),
    "third_blind": (165, 7),
    "fourth_blind": (264, 9),
    "fifth_blind": (
        364,
        19,
    ),  # a request that is too large is not outvoted for a bad input: decision 72
    "complaints": (212, 16),
    "statements": (192, 9),
}
"""Right, and verdicts that are wrong; measured on 2026-12-01 by `score_alone`."""


@pytest.mark.parametrize("name", REACHED)
def test_logs_alone_are_read_as_well_as_was_reached(name: str) -> None:
    right, wrong = REACHED[name]
    total = score_alone(name)
    assert total.right >= right
    assert total.given - total.given_right <= wrong
    assert len(total.money) <= 1
