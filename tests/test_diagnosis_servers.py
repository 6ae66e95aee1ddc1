"""Batch predictions whose container's log tells the cause: siblings of each kind, in other frameworks' and people's words,
and what is none of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.diagnosis.servers import is_access_line
from remediator.domain import Cause, Diagnosis

START = datetime(2026, 11, 23, 10, tzinfo=UTC)
NEVER = "Error: model server never became ready. Please validate that your model file or container configuration are valid."
ANSWERED = "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result {} from server, retry=3, elapsed={}s."
FAILED = ANSWERED.format("500 (Internal Server Error)", "31.2")
GATEWAY = ANSWERED.format("502 (<html><h1>502 Bad Gateway</h1></html>)", "12.2")
BROKEN_OFF = ANSWERED.format(
    "503 (upstream connect error or disconnect/reset before headers. reset reason: connection termination)",
    "5.5",
)
LATE = ANSWERED.format("504 (upstream request timeout)", "600.04")
ASKED = '127.0.0.1 - - [23/Nov/2026 10:00:05] "POST /predict HTTP/1.1" 500 -'


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat()


def served(
    message: str, lines: list[str], *, step: float = 1.0, seconds: float = 700, **fields: Any
) -> Diagnosis:
    job = {
        "name": "projects/1/locations/us-central1/batchPredictionJobs/7",
        "state": "JOB_STATE_FAILED",
        "startTime": at(0),
        "endTime": at(seconds),
        "dedicatedResources": {"machineSpec": {"machineType": "n1-standard-4"}},
        "manualBatchTuningParameters": {"batchSize": 64},
        "error": {"code": 14, "message": message},
    }
    model = {"containerSpec": {"ports": [{"containerPort": 8080}], "healthRoute": "/health"}}
    entries = [
        {
            "insertId": f"l{i}",
            "timestamp": at(1 + i * step),
            "severity": "ERROR",
            **({"jsonPayload": line} if isinstance(line, dict) else {"textPayload": line}),
        }
        for i, line in enumerate(lines)
    ]
    return diagnose(Case.parse({"job": job, "model": model, "logEntries": entries, **fields}))


def raised(said: str, *frames: str) -> list[str]:
    inner = [row for frame in frames for row in (f"  {frame}", "    call()")]
    return ["Traceback (most recent call last):", '  File "/app/serve.py", line 9, in start', "    start()", *inner, said]  # fmt: skip


# --- it was never ready: no instance had come -----------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (raised("FileNotFoundError: [Errno 2] No such file or directory: '/models/risk.joblib'"), Cause.INVALID_CONFIG),
        (raised("FileNotFoundError: no *.onnx below /mnt/models: was the archive mounted?"), Cause.INVALID_CONFIG),
        (raised("json.decoder.JSONDecodeError: Expecting value: line 1 column 1 (char 0)", 'File "/usr/lib/python3.11/json/decoder.py", line 355, in raw_decode'), Cause.INVALID_CONFIG),
        (raised("ModuleNotFoundError: No module named 'service'", 'File "/opt/venv/lib/python3.11/site-packages/hypercorn/utils.py", line 106, in load_application'), Cause.INVALID_CONFIG),
        (raised("acme_metrics.AlreadyThere: the gauge `rows` was made twice"), Cause.USER_CODE_ERROR),
        (raised("AttributeError: 'NoneType' object has no attribute 'predict'"), Cause.USER_CODE_ERROR),
        (raised("PermissionError: [Errno 13] Permission denied: '/models/risk.joblib'"), Cause.PERMISSION),
        (["loading the model", "still loading the model"], Cause.SLOW_STARTUP),
    ],
)  # fmt: skip
def test_what_a_server_met_while_it_started_was_no_instance(lines, cause) -> None:
    assert served(NEVER, lines * 3, seconds=2400).verdict is cause


def test_a_file_that_a_request_names_is_still_its_input() -> None:
    lines = raised("FileNotFoundError: [Errno 2] No such file or directory: '/data/scan-17.png'")
    assert served(FAILED, [*lines, ASKED] * 3).verdict is Cause.BAD_INPUT


@pytest.mark.parametrize(
    "message",
    ["CUDAExecutionProvider is not available here, and this server does not compute on CPUs",
     "device cuda:1 was asked for, but this pod has no GPU",
     "no NVIDIA cards below /dev"],
)  # fmt: skip
def test_a_server_that_wants_a_device_and_finds_none(message: str) -> None:
    assert (
        served(NEVER, raised(f"RuntimeError: {message}") * 3).verdict is Cause.ACCELERATOR_MISSING
    )


def test_a_file_called_after_a_device_is_no_device() -> None:
    lines = raised("KeyError: 'cuda_profile'") * 3
    assert served(NEVER, lines).verdict is Cause.USER_CODE_ERROR


# --- what the server complains of -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ("serve.GeocoderError: geocoder answered 403: daily quota exceeded, it will be reset at midnight", Cause.QUOTA),
        ("serve.StoreError: the price service is overloaded, HTTP 503 Service Unavailable", Cause.TRANSIENT_BACKEND),
    ],
)  # fmt: skip
def test_an_applications_own_exception_tells_what_was_behind_its_500(said, cause) -> None:
    assert served(FAILED, [*raised(said), ASKED] * 3).verdict is cause


def test_a_500_of_which_nothing_is_told_is_the_servers_code() -> None:
    found = served(FAILED, ["serving on 8080", ASKED, ASKED, ASKED])
    assert found.verdict is Cause.USER_CODE_ERROR
    assert not found.by_words_alone


@pytest.mark.parametrize(
    "head",
    [
        "[E 261123 10:00:05 web:2108] Uncaught exception POST /predict (127.0.0.1)",
        "ERROR - litestar - config - Uncaught exception (connection_type=http, path='/predict'):",
        "[2026-11-23 10:00:05,881] ERROR in app: Exception on request POST /predict",
    ],
)
def test_what_a_framework_writes_above_a_traceback_says_nothing(head: str) -> None:
    said = "redis.exceptions.ConnectionError: Error 111 connecting to cache.prod:6379. Connection refused."
    assert served(FAILED, [head, *raised(said), ASKED] * 3).verdict is Cause.TRANSIENT_BACKEND


def test_a_killed_child_of_a_request_is_memory_whatever_stands_above_it() -> None:
    lines = [
        "ERROR - app - Uncaught exception (connection_type=http, path='/predict'):",
        *raised("joblib.externals.loky.process_executor.TerminatedWorkerError: A worker process managed by the executor was unexpectedly terminated. The exit codes of the workers are {SIGKILL(-9)}"),
        ASKED,
    ]  # fmt: skip
    assert served(FAILED, lines * 3).verdict is Cause.MEMORY_PRESSURE


@pytest.mark.parametrize(
    "said",
    [
        "_catboost.CatBoostError: Bad value for num_feature[non_default_doc_idx=3,feature_idx=2]=\"n/a\": Cannot convert 'n/a' to float",
        "treelib.PredictError: could not parse 'unknown' as a number",
    ],
)
def test_a_value_that_a_library_cannot_convert_is_the_instances(said: str) -> None:
    lines = raised(said, 'File "/opt/venv/lib/python3.11/site-packages/catboost/core.py", line 6229, in predict')  # fmt: skip
    assert served(FAILED, [*lines, ASKED] * 3).verdict is Cause.BAD_INPUT


@pytest.mark.parametrize(
    "said",
    [
        'scorer: pool.cpp:88: void Pool::put(int): Assertion `free > 0 && "the pool of buffers is full, nobody gave a slot back"\' failed.',
        "*** stack smashing detected ***: terminated",
        "double free or corruption (!prev)",
    ],
)
def test_a_fault_of_compiled_code_is_no_kill(said: str) -> None:
    start = "INFO:     Started server process [1]"
    assert served(BROKEN_OFF, [start, said] * 3).verdict is Cause.USER_CODE_ERROR


# --- a proxy before it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        ['2026/11/23 10:00:05 [error] 7#7: *5 no live upstreams while connecting to upstream, request: "POST /predict HTTP/1.1", upstream: "http://asr/predict"'],
        ['2026/11/23 10:00:05 [error] 7#7: *2 connect() failed (111: Connection refused) while connecting to upstream, upstream: "http://10.3.0.7:9001/predict"'],
        ["[ALERT]    (1) : backend 'pricers' has no server available!"],
        ['{"level":"error","msg":"dial tcp 10.3.0.7:9001: connect: connection refused","request":{"uri":"/predict"}}'],
    ],
)  # fmt: skip
def test_a_proxy_whose_upstream_is_down_will_find_it_again(lines: list[str]) -> None:
    assert served(GATEWAY, lines * 3).verdict is Cause.TRANSIENT_BACKEND


def test_a_proxy_that_asks_its_own_container_on_a_port_where_nobody_listens() -> None:
    refused = '2026/11/23 10:00:05 [error] 7#7: *2 connect() failed (111: Connection refused) while connecting to upstream, upstream: "http://127.0.0.1:5000/predict"'
    lines = [refused, "INFO:     Started server process [18]", "INFO:     Uvicorn running on http://127.0.0.1:8000", refused]  # fmt: skip
    assert served(GATEWAY, lines).verdict is Cause.INVALID_CONFIG


def test_a_proxy_whose_own_server_died_tells_nothing_of_another_service() -> None:
    refused = '2026/11/23 10:00:05 [error] 7#7: *2 connect() failed (111: Connection refused) while connecting to upstream, upstream: "http://127.0.0.1:8000/predict"'
    lines = ["INFO:     Uvicorn running on http://127.0.0.1:8000", "POST /predict", "Child process [9] died", refused]  # fmt: skip
    assert served(GATEWAY, lines).verdict is Cause.MEMORY_PRESSURE


@pytest.mark.parametrize(
    ("line", "is_one"),
    [
        ('INFO:     127.0.0.1:59120 - "POST /predict HTTP/1.1" 500 Internal Server Error', True),
        ("[E 261123 10:00:05 web:2591] 503 POST /predict (127.0.0.1) 8.73ms", True),
        ("127.0.0.1 POST /predict -> 413", True),
        ("POST /predict 500 the feature store is down", False),
        ('HTTP Request: POST https://api.example.com/predict "HTTP/1.1 503 Service Unavailable"', False),
        ("POST /predict TypeError: Cannot read properties of undefined", False),
    ],
)  # fmt: skip
def test_a_line_of_an_access_log_says_no_more_than_the_status(line: str, is_one: bool) -> None:
    assert is_access_line(line) is is_one


ARENA = "onnxruntime: bfc_arena.cc:360 AllocateRawInternal Failed to allocate memory for requested buffer of size 4096000000"


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        (ARENA, Cause.MEMORY_PRESSURE),
        (f"{ARENA} (Cuda)", Cause.GPU_MEMORY),
        (
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
            Cause.GPU_MEMORY,
        ),
    ],
)
def test_an_arena_of_a_machine_without_a_device_is_its_memory(said: str, cause: Cause) -> None:
    assert served(FAILED, [said, ASKED] * 3).verdict is cause


GONE = [
    ('2026/11/23 10:00:05 [error] 7#7: *3 upstream prematurely closed connection while reading response header from upstream, upstream: "http://127.0.0.1:8000/predict"', GATEWAY),
    ("[wsgi:error] [pid 18:tid 77] Truncated or oversized response headers received from daemon process 'scorer': /app/app.py", FAILED),
]  # fmt: skip


@pytest.mark.parametrize(("line", "message"), GONE)
def test_a_process_that_is_gone_in_its_request_without_a_word_is_memory(line, message) -> None:
    assert served(message, [line] * 3).verdict is Cause.MEMORY_PRESSURE


@pytest.mark.parametrize(("line", "message"), GONE)
def test_a_process_that_said_why_before_it_was_gone_is_believed(line, message) -> None:
    lines = [*raised("IndexError: list index out of range"), line] * 3
    assert served(message, lines).verdict is Cause.USER_CODE_ERROR


# --- one request that took too long: for whom it waited --------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "GET api.standings.example/teams/{i} took {s:.2f} s",
        "gauge {i}: archive took {s:.2f} s",
        "INFO serve: query pricing_db rows=1 elapsed={s:.2f}s",
        "[debug] SELECT * FROM features WHERE id = {i} ({ms}ms)",
        "INFO redis GET user:{i} {ms}ms",
        "instance {i}: waited {s:.1f} s for the geocoder",
        "enrich({i}): http 200 from crm in {ms} ms",
        "instance {i}: embedding service {s:.1f}s",
    ],
)
def test_a_request_that_asked_another_machine_for_each_row_waited(line: str) -> None:
    lines = [line.format(i=i, s=1.2 + 0.07 * (i % 5), ms=1200 + 17 * (i % 9)) for i in range(30)]
    found = served(LATE, ["serving on 0.0.0.0:8080", *lines], step=1.3, seconds=640)
    assert found.verdict is Cause.NETWORK_LATENCY


def test_a_call_in_fields_waited_too() -> None:
    lines = [{"call": f"/items/{i}", "status": 200, "ms": 1200 + i, "message": "catalogue"} for i in range(30)]  # fmt: skip
    found = served(LATE, ["listening", *lines], step=1.3, seconds=640)
    assert found.verdict is Cause.NETWORK_LATENCY


@pytest.mark.parametrize(
    "line",
    [
        "row {i}: tokenised in {s:.2f}s",
        "simulate path {i} took {s:.2f}s",
        "resized image {i} in {s:.1f} s",
        "sqlite: select rows of {i} from cache took {s:.2f}s",
        "waited {s:.1f} s for the gpu lock",
    ],
)
def test_what_a_request_computed_itself_is_no_network(line: str) -> None:
    lines = [line.format(i=i, s=1.2 + 0.07 * (i % 5)) for i in range(30)]
    found = served(LATE, ["serving on 0.0.0.0:8080", *lines], step=1.3, seconds=640)
    assert found.verdict in {Cause.SLOW_CODE, Cause.REQUEST_TOO_LARGE}
