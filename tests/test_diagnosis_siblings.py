"""Siblings of failures that were misread: what other software prints for the same kind of failure.

The texts of `data/recalled_endings.jsonl` were written from memory of each program's messages, not recorded; the
others show which words look alike and mean something else.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.diagnosis.lab import custom_job
from remediator.case import Case, LogLine
from remediator.diagnosis import diagnose
from remediator.domain import Cause
from tests.case_parts import at, of
from tests.test_diagnosis_endings import TRACE, ended

ENDINGS = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "recalled_endings.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]


@pytest.mark.parametrize("told", ENDINGS, ids=lambda told: told["id"])
def test_a_sibling_is_read_as_the_kind_that_it_is(told: dict) -> None:
    stream = told.get("stream", "stderr")
    log = [[5 + n / 1000, stream, row] for n, row in enumerate(told["text"].split("\n"))]
    line = {"command": told["command"], "exit": told["exit"], "seconds": 6.0, "log": log}
    line |= {"pid1_signal": 0, "oom_kills": 0}
    assert diagnose(Case.parse(custom_job(line))).verdict.value in told["truth"]


LIB = '  File "/opt/venv/lib/python3.11/site-packages/{}", line 9, in {}'

ALIKE = {
    "a probe of the server itself is refused": (
        Cause.SLOW_STARTUP,
        ['Startup probe failed: Get "http://10.0.0.3:8000/health": dial tcp: connect: connection refused'],
    ),
    "a name that could not be asked for is no unknown name": (
        Cause.NETWORK_LATENCY,
        [*TRACE, "socket.gaierror: [Errno -3] Temporary failure in name resolution"],
    ),
    "a module that is not there is code, a package that is to be installed is the image": (
        Cause.USER_CODE_ERROR,
        [*TRACE, "ModuleNotFoundError: No module named 'features'"],
    ),
    "a child's own exception is the reason why its pipe broke off": (
        Cause.USER_CODE_ERROR,
        [
            *TRACE,
            "ZeroDivisionError: division by zero",
            *TRACE,
            LIB.format("multiprocessing/connection.py", "_recv").replace("site-packages/", ""),
            "    raise EOFError",
            "EOFError",
        ],
    ),
    "what is invalid in a row of data is no setting": (
        Cause.BAD_INPUT,
        ["prep: invalid value in line 7 field 3: 'NA'"],
    ),
    "what is invalid in a file of settings is one": (
        Cause.INVALID_CONFIG,
        ["prep: invalid value in /etc/prep.conf line 7: 'NA'"],
    ),
    "a hunk that failed is no test": (
        Cause.BAD_INPUT,
        ["patching file score.py", "Hunk #1 FAILED at 1.", "1 out of 1 hunk FAILED -- saving rejects to file score.py.rej"],
    ),
    "403 of a quota is a quota": (
        Cause.QUOTA,
        [
            *TRACE,
            LIB.format("google/cloud/_http/__init__.py", "api_request"),
            "google.api_core.exceptions.Forbidden: 403 POST https://x.example/v2/jobs: Quota exceeded: Your project exceeded quota for free query bytes scanned.",
        ],
    ),
    "403 of a right is a right": (
        Cause.PERMISSION,
        [
            *TRACE,
            LIB.format("google/cloud/_http/__init__.py", "api_request"),
            "google.api_core.exceptions.Forbidden: 403 POST https://x.example/v2/jobs: Access Denied: User does not have bigquery.jobs.create permission.",
        ],
    ),
    "values that are not permitted are no right": (
        Cause.USER_CODE_ERROR,
        ["Error in fit.default(x, y) : NA not permitted in predictors", "Execution halted"],
    ),
    "a peer of the same job that refuses is no other service": (
        Cause.INVALID_CONFIG,
        [
            *TRACE,
            "TimeoutError: The client socket has timed out after 1800s while trying to connect to (10.0.0.3, 29500).",
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("cause", "texts"), ALIKE.values(), ids=ALIKE.keys())
def test_words_that_look_alike(cause: Cause, texts: list[str]) -> None:
    job = ended(*texts)
    if cause is Cause.SLOW_STARTUP:
        assert of(job).verdict is not Cause.TRANSIENT_BACKEND
    else:
        assert of(job).verdict is cause


def printed(*told: tuple[str, str], status: int = 1) -> dict:
    """A job that wrote these lines at one moment, each with the severity of its stream."""
    made = ended(*(text for _, text in told), status=status)
    for entry, (severity, _) in zip(made["logEntries"], told, strict=True):
        entry |= {"severity": severity, "timestamp": at(400)}
    return made


def test_what_standard_output_still_held_does_not_follow_the_exception() -> None:
    """A pipe is flushed when the program ends: its progress comes with the exception, below it."""
    trace = [("ERROR", text) for text in (*TRACE, "KeyError: 'clicks'")]
    held = [("INFO", "step 1 of 9"), ("INFO", "step 2 of 9"), ("INFO", "step 3 of 9")]
    found = of(printed(*trace, *held))
    assert found.verdict is Cause.USER_CODE_ERROR
    assert "step" not in found.causes[0].evidence[0].says


def test_an_exception_after_which_the_program_went_on_ended_nothing() -> None:
    trace = [("ERROR", text) for text in (*TRACE, "KeyError: 'clicks'")]
    made = printed(
        *trace, ("INFO", "step 1 of 9"), ("INFO", "step 2 of 9"), ("INFO", "step 3 of 9")
    )
    for n, entry in enumerate(made["logEntries"][-3:]):
        entry["timestamp"] = at(460 + 60 * n)
    stays = of(printed(*trace)).confidence
    assert of(made).confidence < stays


def test_the_message_of_an_exception_does_not_go_on_in_another_stream() -> None:
    trace = [("ERROR", text) for text in (*TRACE, "app.errors.AllTrialsFailed")]
    found = of(printed(*trace, ("INFO", "0%|   | 0/8 [00:00<?]  100%|####| 8/8 [00:01<00:00]")))
    assert found.verdict is Cause.USER_CODE_ERROR
    assert all("0/8" not in one.says for one in found.causes[0].evidence)


@pytest.mark.parametrize(
    ("text", "said", "severity"),
    [
        ('{"level":"warn","msg":"retrying","error":"EOF"}', "retrying: EOF", "WARNING"),
        ('{"level":"INFO","fields":{"message":"serving","port":"8080"}}', "serving", "INFO"),
        ('{"severity": "ERROR", "message": "no model"}', "no model", "ERROR"),
        ('{"msg": "no level"}', "no level", "ERROR"),
        ('{"rows": 3}', '{"rows": 3}', "ERROR"),
        ("{not json}", "{not json}", "ERROR"),
        (
            '{"status": "Too Many Requests", "processed_time": "t", "request": {}, "response": {}}',
            "Too Many Requests",
            "ERROR",
        ),
    ],
)
def test_a_logger_s_object_in_a_text_is_unpacked(text: str, said: str, severity: str) -> None:
    line = LogLine.parse({"textPayload": text, "severity": "ERROR"})
    assert (line.text, line.severity) == (said, severity)


def test_telemetry_in_a_text_stays_as_it_is() -> None:
    text = '{"remediatorTelemetry": 1, "message": "x"}'
    assert LogLine.parse({"textPayload": text}).text == text


def test_a_failed_row_of_gemini_s_in_a_log_says_why() -> None:
    told = '{"error": {"code": 429, "message": "Resource exhausted. Please try again later.", "status": "RESOURCE_EXHAUSTED"}}'
    row = {"status": f"Too Many Requests: {told}", "processed_time": "2026-11-24T14:10:00Z"}
    row |= {"request": {"contents": []}, "response": {}}
    assert of(ended(json.dumps(row))).verdict is Cause.QUOTA


def test_a_kill_that_a_shell_tells_after_the_program_was_asked_to_end_is_no_memory_s() -> None:
    killed = "run.sh: line 4:    14 Killed                  python train.py"
    asked = "received SIGTERM, saving a checkpoint"
    assert of(ended(asked, killed, status=137)).verdict is not Cause.MEMORY_PRESSURE
    assert of(ended(killed, asked, status=137)).verdict is Cause.MEMORY_PRESSURE


REPORTED = [
    *TRACE,
    "KeyError: 'clicks'",
    "",
    "During handling of the above exception, another exception occurred:",
    "",
    *TRACE,
    LIB.format("requests/sessions.py", "post"),
    "    raise x",
]
CUT = "requests.exceptions.ConnectionError: HTTPSConnectionPool(host='{}', port=443): Max retries exceeded with url: /x (Caused by NewConnectionError('Failed to establish a new connection: [Errno 111] Connection refused'))"


def test_a_report_of_a_bug_that_fails_is_not_the_reason() -> None:
    assert of(ended(*REPORTED, CUT.format("hooks.slack.com"))).verdict is Cause.USER_CODE_ERROR


def test_what_is_fetched_where_a_cache_has_no_key_is() -> None:
    assert of(ended(*REPORTED, CUT.format("features.internal"))).verdict is Cause.TRANSIENT_BACKEND


GIVING_UP = {
    "it was refused by status": (
        Cause.TRANSIENT_BACKEND,
        ["WARNING geocoder answered 503: try 1", "WARNING geocoder answered 503: try 2"],
    ),
    "it was slowed down": (
        Cause.QUOTA,
        ["WARNING 429 Too Many Requests from api.example.com"] * 3,
    ),
    "its own rows were wrong": (
        Cause.BAD_INPUT,
        ["WARNING row 17 has no label", "WARNING row 18 has no label"],
    ),
}


@pytest.mark.parametrize(
    "words",
    [
        "ERROR the geocoder failed 3 times, giving up",
        "ERROR enrich: retries exhausted for this part",
    ],
)
@pytest.mark.parametrize("name", GIVING_UP)
def test_who_gives_up_does_so_for_what_each_try_met(name: str, words: str) -> None:
    cause, tries = GIVING_UP[name]
    assert of(ended(*tries, words)).verdict is cause
