"""Errors that R, Ruby, Node and Go's HTTP server tell in a head line; how a log ends; who is quiet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.case import Case, LogLine
from remediator.diagnosis import diagnose
from remediator.diagnosis.open_trace import LogItem
from remediator.diagnosis.structure import read_log
from remediator.domain import Cause, Frame

START = datetime(2026, 11, 23, 10, tzinfo=UTC)


def said(text: str, *, entry_a_line: bool = True) -> list[LogItem]:
    parts = text.split("\n") if entry_a_line else [text]
    lines = [
        LogLine(START + timedelta(milliseconds=i), "ERROR", part, f"a{i}", "w", {}, {})
        for i, part in enumerate(parts)
        if part.strip()
    ]
    return list(read_log(lines))


def error(text: str, *, entry_a_line: bool = True) -> LogItem:
    """The one thing raised in a text."""
    raised = [one for one in said(text, entry_a_line=entry_a_line) if one.raised]
    assert len(raised) == 1
    return raised[0]


def job(
    status: int, lines: list[str], *, args: str = "exec ./fit", severity: str = "ERROR"
) -> Case:
    """A custom job that ended so, with lines on stderr."""

    def entry(number: int, text: str, task: str) -> dict[str, Any]:
        return {
            "insertId": f"l{number:03d}",
            "timestamp": (START + timedelta(seconds=number)).isoformat(),
            "severity": severity,
            "textPayload": text,
            "resource": {"type": "ml_job", "labels": {"job_id": "7", "task_name": task}},
        }

    message = (
        f"The replica workerpool0-0 exited with a non-zero status of {status}. "
        "Termination reason: Error. To find out more about why your job exited please check the logs"
    )
    pool = {
        "machineSpec": {"machineType": "n1-standard-4"},
        "replicaCount": "1",
        "containerSpec": {"imageUri": "a/b:1", "command": ["bash", "-c"], "args": [args]},
    }
    entries = [entry(i, text, "workerpool0-0") for i, text in enumerate(lines)]
    return Case.parse(
        {
            "job": {
                "name": "projects/1/locations/us-central1/customJobs/7",
                "state": "JOB_STATE_FAILED",
                "createTime": START.isoformat(),
                "startTime": START.isoformat(),
                "endTime": (START + timedelta(seconds=len(lines) + 5)).isoformat(),
                "jobSpec": {"workerPoolSpecs": [pool]},
                "error": {"code": 3, "message": message},
            },
            "logEntries": [*entries, entry(len(lines), message, "service")],
        }
    )


R_FILE = """\
Error in file(file, "rt") : cannot open the connection
In addition: Warning message:
In file(file, "rt") :
  cannot open file '/data/2026/rows.csv': No such file or directory
Calls: read.csv -> read.table -> file
Execution halted"""

NODE = """\
TypeError: fetch failed
    at node:internal/deps/undici/undici:12618:11
    at async load (/srv/load.js:12:15) {
  [cause]: Error: connect ECONNREFUSED 10.1.2.3:80
      at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1555:16) {
    errno: -111,
    code: 'ECONNREFUSED',
    syscall: 'connect'
  }
}"""

RUBY = """\
prep.rb:3:in `count': undefined method `size' for nil:NilClass (NoMethodError)

  raise Timeout::Error if row["tags"].size
                                     ^^^^^
	from prep.rb:6:in `block in <main>'
	from /usr/lib/ruby/3.1.0/net/http.rb:966:in `start'"""


@pytest.mark.parametrize("entry_a_line", [True, False])
def test_r_tells_why_in_its_warnings_and_its_call_is_source(*, entry_a_line: bool) -> None:
    found = error(R_FILE, entry_a_line=entry_a_line)
    assert found.traced
    assert [one.text for one in found.raised] == [
        "file: cannot open the connection",
        "file: cannot open file '/data/2026/rows.csv': No such file or directory",
    ]


def test_an_r_message_on_its_own_line_belongs_to_the_error() -> None:
    found = error('Error in stop_if(timeout = 30, "killed") : \n  need 10 rows, got 3')
    assert found.text == "stop_if: need 10 rows, got 3"
    assert not found.traced, "nothing says that it ended the program"


def test_an_error_of_the_tidyverse_has_its_message_below_the_call() -> None:
    found = error(
        "Error in `dplyr::mutate()`:\n"
        "\u2139 In argument: `rate = log(charge)`.\n"
        "Caused by error in `log()`:\n"
        "! non-numeric argument to mathematical function\n"
        "Backtrace:\n"
        "     \u2586\n"
        "  1. \u251c\u2500global::main()\n"
        "  2. \u2514\u2500dplyr::mutate(rows, rate = log(charge))\n"
        "Execution halted"
    )
    assert found.traced
    assert [one.text for one in found.raised] == [
        "log: non-numeric argument to mathematical function",
    ]


def test_an_r_error_that_a_server_caught_is_one() -> None:
    assert error("<simpleError in eval(p, d): object 'hp' not found>").text == (
        "eval: object 'hp' not found"
    )


def test_ruby_keeps_the_place_and_drops_source_and_frames() -> None:
    found = error(RUBY)
    assert found.text == "NoMethodError: undefined method `size' for nil:NilClass"
    assert found.frame == Frame("prep.rb", 3, "count")
    assert len(said(RUBY)) == 1


def test_node_speaks_by_its_cause() -> None:
    found = error(NODE)
    assert [one.text for one in found.raised] == [
        "FetchError: fetch failed",
        "socket.Error: connect ECONNREFUSED 10.1.2.3:80",
    ]
    assert found.frame == Frame("/srv/load.js", 12, "load")


def test_the_code_of_a_node_error_is_part_of_it() -> None:
    text = "Error: aborted\n    at Socket.x (node:_http_client:535:19) {\n  code: 'ECONNRESET'\n}"
    assert error(text).text == "socket.Error: aborted (ECONNRESET)"


@pytest.mark.parametrize(
    "text",
    ["ValueError: x is 3", "Error: retrying\nnext step", "Error in atexit._run_exitfuncs:\nnext"],
)
def test_a_line_that_names_an_error_is_a_line_still(text: str) -> None:
    assert [one.text for one in said(text)] == text.split("\n")
    assert not any(one.raised for one in said(text))


def test_a_flood_after_a_head_is_bounded() -> None:
    found = error("\n".join(["Error in f(x) : ", *(f"  {'y' * 400}" for _ in range(200))]))
    assert len(found.text) <= 4_100


def test_a_panic_in_a_go_handler_is_the_users_code() -> None:
    found = error(
        "2026/11/23 10:00:00 http: panic serving 10.0.0.1:52: runtime error: index out of range [3]\n"
        "goroutine 21 [running]:\nmain.main.func2(0x1)\n\t/app/main.go:18 +0x5b"
    )
    assert found.text == "panic: runtime error: index out of range [3]"
    assert found.traced


@pytest.mark.parametrize(
    ("status", "lines", "cause"),
    [
        pytest.param(
            1,
            [
                "Error opening data file fra.traineddata",
                "Failed loading language 'fra'",
                "Could not start.",
            ],
            Cause.BAD_INPUT,
            id="the first of the last complaints names the reason",
        ),
        pytest.param(
            1,
            [
                'ERROR: topology include file "a.itp" not found',
                "For more information please read the manual",
                "website at https://example.org/Errors",
                "-------------------------------------------",
            ],
            Cause.BAD_INPUT,
            id="where to read on is no reason",
        ),
        pytest.param(
            1, ["tokenising", "fit: head of an empty list"], Cause.BAD_INPUT, id="by name"
        ),
        pytest.param(255, ["Error: failed to open cohort.bed."], Cause.BAD_INPUT, id="status -1"),
        pytest.param(
            2, ["Error: failed to open cohort.bed."], Cause.BAD_INPUT, id="no usage error"
        ),
    ],
)
def test_last_words(status: int, lines: list[str], cause: Cause) -> None:
    assert diagnose(job(status, lines)).verdict is cause


def test_a_line_that_begins_with_another_name_is_no_last_word() -> None:
    others = [f"{name} done" for name in ("reading", "tokens", "vocabulary", "model")]
    assert diagnose(job(1, [*others, "loss: head of an empty list"])).verdict is Cause.UNKNOWN
    alone = diagnose(job(1, ["loss: head of an empty list"]))
    assert alone.verdict is Cause.BAD_INPUT  # the only thing said


@pytest.mark.parametrize(
    "line",
    [
        "received SIGTERM, finishing the current page first",
        "slurmstepd: error: *** JOB 77 CANCELLED DUE TO TIME LIMIT ***",
        "timeout: sending signal TERM to command 'fit'",
        "[entrypoint] step 3 hit its time limit of 12s",
    ],
)
def test_a_kill_after_a_time_limit_is_not_memory(line: str) -> None:
    found = diagnose(job(137, ["step 100 loss 0.3", line], args="./launch && wait"))
    assert found.verdict is not Cause.MEMORY_PRESSURE
    quiet = ["will save a checkpoint on SIGTERM", "still at it"]
    bare = diagnose(job(137, quiet, args="./launch && wait"))
    assert bare.verdict is Cause.MEMORY_PRESSURE


def test_memory_that_speaks_outweighs_a_sigterm() -> None:
    lines = ["received SIGTERM", "torch: DefaultCPUAllocator: can't allocate memory: you tried to"]
    assert diagnose(job(137, lines)).verdict is Cause.MEMORY_PRESSURE


def test_a_neighbour_that_was_killed_is_no_network() -> None:
    lines = [
        "bash: line 1:    16 Killed                  python3 serve.py",
        "dial tcp 127.0.0.1:9000: connect: connection refused",
        "read tcp 127.0.0.1:47758->127.0.0.1:9000: read: connection reset by peer",
    ]
    assert diagnose(job(1, lines)).verdict is Cause.MEMORY_PRESSURE


FIELDS = '{"level":"%s","ts":1.2,"msg":"unsupported field timeout_x in section 3"}'


@pytest.mark.parametrize("line", [FIELDS, 'time=10:00 level=%s msg="unsupported field timeout_x"'])
def test_where_a_logger_tells_of_errors_its_warnings_are_none(line: str) -> None:
    error = '{"level":"error","ts":1.3,"msg":"worker gone"}'
    assert diagnose(job(1, [line % "warn", error])).verdict is Cause.UNKNOWN
    assert diagnose(job(1, [line % "error", error])).verdict is Cause.INVALID_CONFIG
    assert diagnose(job(1, [line % "warn"])).verdict is Cause.INVALID_CONFIG
