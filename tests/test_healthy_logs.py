"""Healthy logs of jobs that ran out of time: what looks like a refusal, a full machine or a want of memory, and is none."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.diagnosis.bystanders import is_bystander
from remediator.domain import Cause, Diagnosis
from tests.case_parts import at, batch, cpu, custom, lines, series
from tests.test_durations import STARTED, entries, every, found_in, told

EPOCHS = every(120, "epoch {n}/100 loss 0.31")
STEPS = every(30, "{{'loss': 0.31, 'lr': 1e-05, 'grad_norm': 2.1}}")


def beside(line: str, step: float, load: float | None = None) -> Diagnosis:
    """A training whose epochs come to the end, and that line each `step` seconds."""
    return found_in(sorted([STARTED, *EPOCHS, *every(step, line)]), load=load)


def on_a_gpu(said: list[tuple[float, Any]], *, level: float = 0.97, load: float = 0.2) -> Diagnosis:
    """A job on a GPU that was so busy all the while."""
    body = custom(state="JOB_STATE_CANCELLED")
    spec: dict[str, Any] = body["job"]["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]
    spec |= {"acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}
    body["logEntries"] = entries(sorted(said))
    body["timeSeries"] = [*cpu(load), series("accelerator/utilization", [level] * 60)]
    return diagnose(Case.parse(body))


# --- memory -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "|       CUDA OOMs: 0            |        cudaMalloc retries: 0         |",
        "num_alloc_retries=000",
        "swap: 16.0 GB total, 0.0 GB used",
        "mem 12.1/30 GB swap 8.0 GB free",
        "offload: swap 4 GB of weights to the host",
        "rss=2.1G maj_faults=12044 min_faults=99",
        "Mem:         30070       5000      25070          8        30        40",
        " 3 4 1200 881 4411 6000 52011 61999 400000 12 44 55 10 20 30 44 99",
        "oil spill detector: spilled 3 MB of records to disk",
        "spilled 0.0 MB to disk",
    ],
)
def test_reports_of_memory_to_spare_are_no_want_of_it(line: str) -> None:
    found = {one.cause for one in found_in([STARTED, *every(40, line)]).causes}
    assert not found & {Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY}


SPILLED = "ExternalSorter: Task 12 spilling in-memory map of 240.0 MiB to disk ({n} times so far)"
STALLED = "memory full avg10=25.60 avg60=1.10 avg300=0.61 total=1"


def test_a_spill_now_and_then_is_not_where_the_time_went() -> None:
    assert beside(SPILLED, 600).verdict is Cause.UNKNOWN


@pytest.mark.parametrize("line", [SPILLED, STALLED])
def test_full_cpus_beside_such_lines_are_too_few_cpus(line: str) -> None:
    assert beside(line, 120, load=0.97).verdict is Cause.CPU_SATURATION


@pytest.mark.parametrize("line", [SPILLED, STALLED, "distributed.worker - Pausing worker"])
def test_a_busy_gpu_waits_for_no_memory_of_the_host(line: str) -> None:
    said = [STARTED, *STEPS, *every(60, line)]
    assert on_a_gpu(said).verdict is Cause.UNKNOWN
    assert on_a_gpu(said, level=0.8).verdict is Cause.UNKNOWN


def test_a_stall_among_many_healthy_reports_is_no_want_of_memory() -> None:
    healthy = every(20, "memory full avg10=0.00 avg60=0.00 avg300=0.00 total=1")
    few = [(second + 1, line) for second, line in every(300, STALLED)]
    found = found_in(sorted([STARTED, *healthy, *few]))
    assert Cause.MEMORY_PRESSURE not in {one.cause for one in found.causes}


# --- the machine --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "step {n} load=9.12 compute=1.2",
        "batch {n} load 12.50 s",
        "data load avg: 12.50 ms",
        "gpu load: 95.00",
        "all 97.10 12.20 33.22 44.22",
        "case {n} load 120.5 kN converged",
        " 3 4 1200 881 4411 6000 52 61 40 12 44 55 10 90 3 44 9",
        "worker {n} load 8.50",
    ],
)
def test_what_else_is_loaded_is_no_load_of_the_cpus(line: str) -> None:
    found = found_in([STARTED, *every(60, line)])
    assert Cause.CPU_SATURATION not in {one.cause for one in found.causes}


@pytest.mark.parametrize("tasks", [("workerpool0-0", "workerpool1-0"), ("workerpool0-0",) * 2])
def test_cpu_times_of_two_replicas_are_not_one_that_grows(tasks: tuple[str, str]) -> None:
    said = [
        one
        for rank, task in enumerate(tasks)
        for one in lines(
            *((60.0 * n + rank, f"step {n} cpu {50 * n + 400 * rank}.0 s") for n in range(1, 59)),
            task=task,
        )
    ]
    body = custom(state="JOB_STATE_CANCELLED")
    body["logEntries"] = said
    found = diagnose(Case.parse(body))
    assert Cause.CPU_SATURATION not in {one.cause for one in found.causes}


HEAD = "Thread 0x00007f1c3d2e7740 (most recent call first):"
READS = (
    '  File "/usr/lib/python3.10/ssl.py", line 1166 in read',
    '  File "/app/client.py", line 5 in get',
)
COMPUTES = (
    '  File "/app/train.py", line 79 in train_step',
    '  File "/app/main.py", line 19 in <module>',
)


def test_stacks_of_two_replicas_are_not_mixed() -> None:
    said = []
    for task, frames, later in (("workerpool0-0", READS, 0), ("workerpool1-0", COMPUTES, 0.005)):
        rows = [
            (n * 600 + k / 100 + later, row)
            for n in range(1, 6)
            for k, row in enumerate([HEAD, *frames, "alive"])
        ]
        said += lines(*rows, task=task)
    body = custom(state="JOB_STATE_CANCELLED")
    body["logEntries"] = said
    assert not any("stack dumps" in says for says in told(diagnose(Case.parse(body))))


def test_where_a_busy_gpus_program_stands_is_no_slow_code() -> None:
    said = [
        (n * 600 + k / 1000, row)
        for n in range(1, 6)
        for k, row in enumerate([HEAD, *COMPUTES, "alive"])
    ]
    for level in (0.97, 0.8):
        found = on_a_gpu([STARTED, *STEPS, *said], level=level)
        assert not any("stack dumps" in says for says in told(found))
        assert found.verdict is Cause.UNKNOWN  # nor a traceback of a program that failed


# --- answers ------------------------------------------------------------------------------------------------

NO_ANSWERS = (
    "gpu clocks throttled (SW power cap)",
    "iteration {n} mean error 502.31",
    "class code 503 n={n}",
    "nvtx unavailable, profiling off ({n})",
    "operator overloaded {n}",
    "query returned 504 rows",
    "got 502 rows from table {n}",
    "response 503 tokens {n}",
    "crawler: {n} pages (rate limit 10/s)",
)
REFUSED = "wandb: 429 encountered (Filestream rate limit exceeded), retrying in 2.3 seconds."


@pytest.mark.parametrize("line", NO_ANSWERS)
def test_numbers_and_bare_words_are_no_refusals(line: str) -> None:
    found = found_in([STARTED, *every(60, line)])
    assert not any("answers in the log were refusals" in says for says in told(found))


def test_a_tracker_that_is_refused_beside_steps_is_not_what_took_the_time() -> None:
    found = found_in(sorted([STARTED, *STEPS, *every(60, REFUSED)]))
    assert not any("answers in the log were refusals" in says for says in told(found))


def test_refusals_beside_steps_of_a_training_took_no_time() -> None:
    line = "uploader: HTTP 429 Too Many Requests, retrying"
    found = found_in(sorted([STARTED, *STEPS, *every(120, line)]))
    assert not any("answers in the log were refusals" in says for says in told(found))


@pytest.mark.parametrize("level", [0.97, 0.8])
def test_whoever_computes_all_the_while_was_not_held_up_by_refusals(level: float) -> None:
    said = [STARTED, *every(60, "request failed with status code 429, retry #{n} after 30s")]
    found = on_a_gpu(said, level=level)
    assert not any("answers in the log were refusals" in says for says in told(found))


@pytest.mark.parametrize(
    "line",
    [
        "WARNING request {n} rejected: status 503 overloaded",
        "queue full: responding HTTP 503 ({n})",
    ],
)
def test_what_a_model_server_answered_is_no_answer_that_it_got(line: str) -> None:
    body = batch(endTime=at(660))
    body["logEntries"] = entries([STARTED, *every(12, line, until=640)])
    assert diagnose(Case.parse(body)).verdict is not Cause.TRANSIENT_BACKEND


# --- agents -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "task failed: permission denied for gs://x/y; only 2 tasks succeeded after 3 attempts",
        "retry 3: permission denied for gs://x/y, status not ok",
        "attempt 1 of 3 for upload: CUDA out of memory. Is the batch size ok?",
        "RuntimeError in the metrics collector: permission denied for gs://x/y",
        'telegraf: started\nTraceback (most recent call last):\n  File "a.py", line 3\nMemoryError',
    ],
)
def test_what_the_job_complains_of_is_heard_beside_such_words(line: str) -> None:
    assert not is_bystander(line)


def test_a_job_that_is_such_an_agent_is_heard() -> None:
    message = "The replica workerpool0-0 exited with a non-zero status of 1."
    body = custom(600, message)
    line = "telegraf: permission denied 403 Forbidden for gs://x/y"
    body["logEntries"] = lines((10.0, line), (11.0, line))
    assert diagnose(Case.parse(body)).verdict is Cause.PERMISSION


# --- odd numbers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [10**400, float("inf"), float("nan"), -5, 12345678901234567890])
def test_odd_numbers_in_fields_are_no_durations(value: float) -> None:
    fields = {"message": "done", "stage": "align", "duration_ms": value, "fetch_s": value}
    assert found_in([STARTED, *every(60, fields)]).verdict is Cause.UNKNOWN
