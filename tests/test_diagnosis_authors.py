"""Who speaks in a log: clients of other services, the container itself, the kubelet, and what happened last."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.domain import Cause, Diagnosis
from tests.case_parts import at, custom, series

EXITED = "The replica workerpool0-0 exited with a non-zero status of {}. Termination reason: {}."


def entries(lines: list[str], *, step: float = 1.0, severity: str = "ERROR") -> list[dict]:
    return [
        {
            "timestamp": at(i * step),
            "insertId": f"a{i}",
            "severity": severity,
            "textPayload": text,
            "resource": {"type": "ml_job", "labels": {"task_name": "workerpool0-0", "job_id": "7"}},
        }
        for i, text in enumerate(lines)
    ]


def ended(
    lines: list[str], status: int = 1, reason: str = "Error", *, args: str = "exec python train.py"
) -> Diagnosis:
    body = custom(900, EXITED.format(status, reason))
    container = {"imageUri": "us-docker.pkg.dev/p/r/t:1", "command": ["bash", "-c"], "args": [args]}
    pool = body["job"]["jobSpec"]["workerPoolSpecs"][0]
    pool["containerSpec"] = container
    return diagnose(Case.parse({**body, "logEntries": entries(lines)}))


def raised(last: str) -> list[str]:
    return [
        "Traceback (most recent call last):",
        '  File "/app/train.py", line 8, in <module>',
        "    raise RuntimeError('out of memory, quota exceeded, permission denied')",
        last,
    ]


@pytest.mark.parametrize(
    ("last", "cause"),
    [
        ("requests.exceptions.HTTPError: 503 Server Error: Service Unavailable for url: http://features/v1", Cause.TRANSIENT_BACKEND),
        ("requests.exceptions.ReadTimeout: HTTPConnectionPool(host='features', port=80): Read timed out. (read timeout=30)", Cause.NETWORK_LATENCY),
        ("httpx.HTTPStatusError: Client error '401 Unauthorized' for url 'https://api.example/v1'", Cause.PERMISSION),
        ("botocore.exceptions.ClientError: An error occurred (NoSuchKey) when calling the GetObject operation: The specified key does not exist.", Cause.BAD_INPUT),
        ("botocore.exceptions.ClientError: An error occurred (SlowDown) when calling the PutObject operation: Please reduce your request rate.", Cause.QUOTA),
        ('psycopg.OperationalError: connection failed: FATAL: password authentication failed for user "etl"', Cause.PERMISSION),
        ("psycopg2.errors.DeadlockDetected: deadlock detected", Cause.TRANSIENT_BACKEND),
        ("redis.exceptions.OutOfMemoryError: command not allowed when used memory > 'maxmemory'.", Cause.QUOTA),
        ("redis.exceptions.ReadOnlyError: You can't write against a read only replica.", Cause.INVALID_CONFIG),
        ("pymongo.errors.ServerSelectionTimeoutError: mongo.internal:27017: [Errno -2] Name or service not known", Cause.INVALID_CONFIG),
        ("pymongo.errors.OperationFailure: Authentication failed.", Cause.PERMISSION),
        ('sqlalchemy.exc.ProgrammingError: (psycopg2.errors.UndefinedColumn) column "age" does not exist', Cause.USER_CODE_ERROR),
        ("kafka.errors.NoBrokersAvailable: NoBrokersAvailable", Cause.TRANSIENT_BACKEND),
        ("aiohttp.client_exceptions.ServerDisconnectedError: Server disconnected", Cause.TRANSIENT_BACKEND),
        ("elasticsearch.AuthorizationException: AuthorizationException(403, 'security_exception')", Cause.PERMISSION),
        ("google.api_core.exceptions.RetryError: Timeout of 120.0s exceeded, last exception: 503 GET https://storage.googleapis.com/b", Cause.TRANSIENT_BACKEND),
        ("ConnectionResetError: [Errno 104] Connection reset by peer", Cause.TRANSIENT_BACKEND),
    ],
)  # fmt: skip
def test_a_client_speaks_of_the_service_behind_it(last: str, cause: Cause) -> None:
    assert ended(raised(last)).verdict is cause


def test_the_root_of_a_chain_says_what_its_end_only_guesses() -> None:
    found = ended(
        [
            *raised("httpx.HTTPStatusError: Server error '503 Service Unavailable' for url 'http://hub/x'"),
            "The above exception was the direct cause of the following exception:",
            *raised("OSError: We couldn't connect to 'http://hub'. Check your internet connection"),
        ]
    )  # fmt: skip
    assert found.verdict is Cause.TRANSIENT_BACKEND


@pytest.mark.parametrize(
    "words",
    [
        "RuntimeError: DataLoader worker (pid 5) is killed by signal: Killed.",
        "subprocess.CalledProcessError: Command 'align' died with <Signals.SIGKILL: 9>.",
        "RuntimeError: One of the subprocesses has abruptly died during map operation.",
        "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed)",
        "/app/run.sh: line 6:     5 Killed                  python3 train.py",
    ],
)
def test_a_child_that_was_killed_is_memory_first(words: str) -> None:
    found = ended(raised(words) if "Error" in words else [words])
    assert found.verdict is Cause.MEMORY_PRESSURE


def test_600_plain_steps_take_nothing_from_an_exit_137() -> None:
    silent = ended([], 137, "OOMKilled")
    steps = ended([f"step {i} loss {1 / (i + 1):.4f}" for i in range(600)], 137, "OOMKilled")
    assert silent.verdict is steps.verdict is Cause.MEMORY_PRESSURE
    assert steps.confidence >= silent.confidence - 0.01
    assert steps.sections == ()


def test_an_error_that_was_caught_does_not_outrank_the_kubelet() -> None:
    caught = [line for i in range(4) for line in (*raised("ValueError: bad row"), f"row {i} done")]
    found = ended([*caught, "row 5 of 9", "row 6 of 9"], 137, "OOMKilled")
    assert found.verdict is Cause.MEMORY_PRESSURE


def test_sigkill_without_the_kubelets_word_was_somebody_outside() -> None:
    steps = [f"step {i} loss 0.1" for i in range(20)]
    assert ended(steps, 137, "Error").verdict is Cause.PREEMPTION
    # Below an init process a child may be what the kernel killed.
    assert ended(steps, 137, "Error", args="dumb-init python t.py").verdict is Cause.MEMORY_PRESSURE


def test_a_crash_without_a_word_says_nothing_of_the_code() -> None:
    assert ended([], 139).verdict is Cause.UNKNOWN
    assert ended([], 139, args="ulimit -v 60000; exec align").verdict is Cause.MEMORY_PRESSURE


def test_what_ended_the_program_speaks_and_not_what_it_printed_on_its_way() -> None:
    found = ended(
        [
            "2026-11-23 10:00:00,001 INFO trainer: classifying 'ticket 1: quota exceeded'",
            "2026-11-23 10:00:00,002 INFO trainer: classifying 'ticket 2: CUDA out of memory'",
            *raised("TypeError: unsupported operand type(s) for +: 'int' and 'str'"),
        ]
    )
    assert found.verdict is Cause.USER_CODE_ERROR
    assert found.frame is not None
    assert (found.frame.file, found.frame.line) == ("/app/train.py", 8)
    assert found.last_lines[-1].startswith("TypeError")


# --- a model server -------------------------------------------------------------------------------


def served(message: str, lines: list[str], **more: Any) -> Diagnosis:
    job = {
        "name": "projects/1/locations/us-central1/batchPredictionJobs/7",
        "state": "JOB_STATE_FAILED",
        "startTime": at(0),
        "endTime": at(2400),
        "manualBatchTuningParameters": {"batchSize": 64},
        "error": {"code": 14, "message": message},
    }
    model = {"containerSpec": {"ports": [{"containerPort": 8080}], "healthRoute": "/health"}}
    return diagnose(Case.parse({"job": job, "model": model, "logEntries": entries(lines), **more}))


NEVER = "Error: model server never became ready. Please validate that your model file or container configuration are valid."
CUT = "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result {} ({}) from server, retry=3, elapsed=31.2s."


@pytest.mark.parametrize(
    ("lines", "cause", "words"),
    [
        (["INFO:     Uvicorn running on http://127.0.0.1:8080 (Press CTRL+C to quit)"], Cause.INVALID_CONFIG, "0.0.0.0:8080"),
        (["[INFO] Listening at: http://0.0.0.0:5000 (1)"], Cause.INVALID_CONFIG, "8080"),
        (["[INFO] Listening at: http://0.0.0.0:8080 (1)", *['127.0.0.1 - "GET /health HTTP/1.1" 404 9'] * 9], Cause.INVALID_CONFIG, "/health"),
        (["loading the model"], Cause.SLOW_STARTUP, "load"),
    ],
)  # fmt: skip
def test_never_ready_looks_at_port_address_and_route_first(lines, cause, words) -> None:
    found = served(NEVER, lines)
    assert found.verdict is cause
    assert words in found.causes[0].advice


def test_a_worker_that_ends_in_a_request_without_a_word_is_memory_first() -> None:
    lines = ["Started server process [7]", "POST /predict", "Child process [7] died", "Started server process [8]"]  # fmt: skip
    found = served(CUT.format(503, "upstream connect error or disconnect/reset before headers. reset reason: connection termination"), lines)  # fmt: skip
    assert found.verdict is Cause.MEMORY_PRESSURE


def test_the_containers_own_503_is_not_vertex() -> None:
    found = served(CUT.format(503, "Service Unavailable"), ["POST /predict 503", *raised("KeyError: 'age'")])  # fmt: skip
    assert found.verdict is Cause.USER_CODE_ERROR


@pytest.mark.parametrize(
    ("inner", "cause"),
    [
        ('  File "/usr/lib/python3.11/site-packages/urllib3/connectionpool.py", line 5, in urlopen', Cause.NETWORK_LATENCY),
        ('  File "/app/predict.py", line 16, in align', None),
    ],
)  # fmt: skip
def test_a_server_that_cuts_a_request_off_says_where_it_stood(
    inner: str, cause: Cause | None
) -> None:
    lines = [
        "predict: 64 instances",
        "[2026-11-29 09:35:02 +0000] [3] [CRITICAL] WORKER TIMEOUT (pid:7)",
        "Traceback (most recent call last):",
        '  File "/app/main.py", line 3, in predict',
        "    return score(rows)",
        inner,
        "    pass",
        "SystemExit: 1",
    ]
    found = served(CUT.format(500, "Internal Server Error"), lines).verdict
    # In its own code: whether that is slow or has too much to do, fewer instances need less of it.
    assert found is cause if cause else found in {Cause.REQUEST_TOO_LARGE, Cause.SLOW_CODE}


# --- time -----------------------------------------------------------------------------------------


def late(lines: list[str], load: list[float]) -> Diagnosis:
    body = custom(3600)
    body["job"]["jobSpec"]["scheduling"] = {"timeout": "3600s"}
    metrics = [series("cpu/utilization", load)]
    return diagnose(
        Case.parse({**body, "logEntries": entries(lines, step=170), "timeSeries": metrics})
    )


def test_twenty_slow_fetches_beside_an_idle_machine_are_the_network() -> None:
    lines = [f"fetched shard {i} from https://data.partner.example/s in 18.2 s" for i in range(20)]
    found = late(lines, [0.02] * 60)
    assert found.verdict is Cause.NETWORK_LATENCY


def test_busy_for_a_while_and_then_idle_is_a_hang_and_no_network() -> None:
    found = late(["start", "epoch one begins"], [0.6] * 20 + [0.01] * 40)
    assert found.verdict is not Cause.NETWORK_LATENCY
    assert found.verdict is not Cause.SLOW_CODE


@pytest.mark.parametrize(
    "piece",
    ["[0] ", "(a pid=1) ", "x | ", "a.b.", 'File "', "Caused by: a.B: c ", "at a.b ", "1/2 "],
)
def test_what_is_repeated_without_end_is_read_in_one_pass(piece: str) -> None:
    """Bounded however a line repeats what prefixes, frames and counters are made of."""
    assert ended([piece * 5_000, piece * 5_000 + "."]).verdict in set(Cause)
