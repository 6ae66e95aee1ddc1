"""Where the time went by what the lines tell themselves: durations in words and fields, CPU time, sleeps, claims."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.diagnosis.durations import duration_in
from remediator.domain import Cause, Diagnosis
from tests.case_parts import at, batch, cpu, custom


def entries(said: list[tuple[float, Any]]) -> list[dict]:
    """Lines of one worker, each with its second: a text, or the fields of a structured line."""
    return [
        {
            "insertId": f"{number}",
            "timestamp": at(second),
            "resource": {"type": "ml_job", "labels": {"task_name": "workerpool0-0"}},
            "jsonPayload" if isinstance(line, dict) else "textPayload": line,
        }
        for number, (second, line) in enumerate(said)
    ]


def found_in(said: list[tuple[float, Any]], load: float | None = None) -> Diagnosis:
    """The diagnosis of a custom job of an hour that its own time-out cut; `load`: of its 8 vCPUs, 0 to 1."""
    body = custom(state="JOB_STATE_CANCELLED")
    body["logEntries"] = entries(said)
    if load is not None:
        body["timeSeries"] = cpu(load)
    return diagnose(Case.parse(body))


def told(found: Diagnosis) -> list[str]:
    return [one.says for cause in found.causes for one in cause.evidence]


def every(step: float, line: str | dict, *, until: float = 3590) -> list[tuple[float, Any]]:
    """The line again and again, its `{n}` counted; of fields the values."""
    times = range(int(until // step))
    if isinstance(line, dict):
        return [(step * (n + 1), {**line, "n": n}) for n in times]
    return [(step * (n + 1), line.format(n=n, half=step / 2, most=step * 0.9)) for n in times]


STARTED = (0.5, "reading the settings")
TOLD = (
    "pair {n}/50 {most:.1f}s",
    "shard {n}: {most:.0f} s, 98k records",
    "normalise block {n} took {most:.1f} seconds",
    "[timeit] cluster_cells: {most:.2f}s",
    "smoothing pass {n} finished (elapsed {most:.1f} s)",
)
FIELDS: tuple[dict[str, Any], ...] = (
    {"message": "stage done", "stage": "align_pairs", "duration_ms": 81_000, "io_ms": 40},
    {"event": "span.end", "name": "resample", "elapsed": "81.2s"},
    {"message": "done", "step": "gridding", "duration": "PT1M21S"},
    {"message": "done", "op": "gridding", "timings": {"compute_s": 81.0, "write_s": 0.2}},
)


@pytest.mark.parametrize("line", TOLD)
def test_a_section_that_tells_its_own_time_is_slow_code_on_one_busy_thread(line: str) -> None:
    found = found_in([STARTED, *every(90, line)], load=0.13)
    assert found.verdict is Cause.SLOW_CODE
    assert found.causes[0].confidence > 0.8  # chosen: well above one section between two lines


@pytest.mark.parametrize("fields", FIELDS)
def test_fields_tell_it_as_words_do(fields: dict[str, Any]) -> None:
    found = found_in([STARTED, *every(90, fields)], load=0.13)
    assert found.verdict is Cause.SLOW_CODE
    name = next(fields[key] for key in ("stage", "step", "op", "name") if key in fields)
    assert any(f'"{name}"' in says for says in told(found))


NO_TIME = (
    "request_time=0.000 upstream_time=0.000",
    "load 0s parse 0s write 0s",
    {"request": "POST /predict HTTP/1.1", "status": 502, "took": 0.000},
    {"event": "batch", "wait_ms": 0, "compute_ms": 0},
)


@pytest.mark.parametrize("line", NO_TIME)
def test_a_line_of_which_no_part_took_time_is_no_section(line: Any) -> None:
    found = found_in([STARTED, *every(60, line)], 0.1)
    assert not [one for one in found.sections if one.seconds == 0.0]
    assert found_in([STARTED, (1.0, line), (2.0, line), (3000.0, line)]).job


def test_the_longest_time_of_a_line_says_what_it_was_about() -> None:
    fields = {"message": "done", "step": "enrich", "fetch_ms": 80_000, "compute_ms": 900}
    assert found_in([STARTED, *every(90, fields)], load=0.01).verdict is Cause.NETWORK_LATENCY


@pytest.mark.parametrize(
    "ahead",
    [
        "batch {n} of 50, ETA {most:.0f}s",
        "heartbeat every {most:.0f}s",
        "request {n} has a timeout of {most:.0f}s",
        "retrying in {most:.0f}s",
    ],
)
def test_a_time_that_nobody_spent_is_no_duration(ahead: str) -> None:
    assert duration_in(ahead.format(n=3, most=81.0)) is None


@pytest.mark.parametrize("line", TOLD)
def test_a_time_that_was_spent_is_one(line: str) -> None:
    assert duration_in(line.format(n=3, most=81.0)) == pytest.approx(81.0)


def test_what_others_print_meanwhile_takes_no_time_from_a_line_that_tells_its_own() -> None:
    said: list[tuple[float, Any]] = [STARTED]
    for n in range(20):
        said += [
            (n * 170.0 + 40 * k, f"cache: {k} entries evicted from pool {n}") for k in range(1, 4)
        ]
        said.append((n * 170.0 + 169, f"fold {n} fitted in 165.3 s"))
    found = found_in(said, load=0.13)
    assert found.verdict is Cause.SLOW_CODE
    assert any('"fold … fitted in …s"' in says or "fold" in says for says in told(found))
    assert not any('"cache' in says for says in told(found))


def test_a_wait_for_data_keeps_its_time_within_a_line_that_tells_the_whole() -> None:
    said: list[tuple[float, Any]] = [STARTED]
    for n in range(20):
        said += [
            (n * 170.0 + 3, f"downloading part {n} from https://archive.example/parts"),
            (n * 170.0 + 150, f"indexing part {n}"),
            (n * 170.0 + 165, f"part {n} took 164.8 s"),
        ]
    assert found_in(said, load=0.02).verdict is Cause.NETWORK_LATENCY


def test_passes_of_a_section_that_tells_its_time_are_what_it_told() -> None:
    assert any(", 39 passes" in says for says in told(found_in([STARTED, *every(90, TOLD[2])])))


def test_a_report_of_several_lines_waits_for_what_any_of_them_names() -> None:
    said: list[tuple[float, Any]] = [STARTED]
    for n in range(58):
        second = 60.0 * (n + 1)
        said += [
            (second, f"Transferred: {n * 2} MiB / 4 GiB, 3%"),
            (second + 0.001, f"Checks: {n} / 90"),
            (second + 0.002, "Transferring: parts.tar from https://archive.example/parts"),
            (second + 0.003, f"Elapsed: {n} of many"),
        ]
    assert found_in(said, load=0.01).verdict is Cause.NETWORK_LATENCY


# --- CPU time -----------------------------------------------------------------------------------------


def reports(*lines: str) -> list[tuple[float, Any]]:
    return [STARTED, (600.0, "part done"), *((3500.0 + n, line) for n, line in enumerate(lines))]


ONE_THREAD = (
    ("   user  system elapsed ", "3301.2   20.1 3390.4"),
    ("real    56m30.1s", "user    55m2.0s", "sys     0m11.4s"),
    ("real 3390.21", "user 3300.10", "sys 12.30"),
    ("3300.10user 12.30system 56:30.21elapsed 97%CPU (0avgtext+0avgdata 90012maxresident)k",),
    ("CPU times: user 55min 2s, sys: 11.4 s, total: 55min 13s", "Wall time: 56min 30s"),
    ("[M::main] Real time: 3390.211 sec; CPU: 3312.400 sec",),
    ("cpu time 3312 s of 3390 s wall",),
    ("Processed 1066668 reads in 3312.320 CPU sec, 3390.884 real sec",),
    ("Run Time (s): real 3390.21 user 3300.10 sys 12.30",),
)


@pytest.mark.parametrize("lines", ONE_THREAD)
def test_a_timer_that_tells_of_one_busy_thread_is_slow_code(lines: tuple[str, ...]) -> None:
    found = found_in(reports(*lines))
    assert found.verdict is Cause.SLOW_CODE
    assert any("one thread of 8 vCPUs" in says for says in told(found))


def test_a_timer_that_tells_of_every_vcpu_is_too_few_of_them() -> None:
    found = found_in(reports("[M::main] Real time: 3390.211 sec; CPU: 26802.400 sec"))
    assert found.verdict is Cause.CPU_SATURATION
    assert any("on 7.9 of 8 vCPUs" in says for says in told(found))


def test_minimap2s_cpus_so_far_are_those_of_the_run() -> None:
    lines = [
        (100.0 * n, f"[M::worker_pipeline::{100 * n}.000*7.9{n % 10}] mapped {n} sequences")
        for n in range(1, 35)
    ]
    assert found_in(lines).verdict is Cause.CPU_SATURATION


def test_a_timer_that_tells_of_several_threads_is_neither() -> None:
    found = found_in(reports("[M::main] Real time: 3390.211 sec; CPU: 13402.400 sec"))
    assert not any("by its own account" in says for says in told(found) if "slow_code" in says)
    assert found.verdict not in {Cause.CPU_SATURATION, Cause.NETWORK_LATENCY}


@pytest.mark.parametrize(("load", "slow"), [(0.96, False), (0.6, False), (0.12, True)])
def test_a_timer_of_several_threads_is_no_slow_code_where_the_cpus_were_measured_either(
    load: float, slow: bool
) -> None:
    threads = 1 if slow else 7
    said = [
        (
            60.0 * n,
            f"[M::mem_process_seqs] Processed 10000 reads in {60.0 * threads:.3f} CPU sec, 60.000 real sec",
        )
        for n in range(1, 60)
    ]
    found = found_in([STARTED, *said], load=load)
    assert slow is any(
        "by its own account" in one.says
        for cause in found.causes
        if cause.cause is Cause.SLOW_CODE
        for one in cause.evidence
    )


@pytest.mark.parametrize("lines", ONE_THREAD)
def test_a_timer_that_tells_of_hardly_any_cpu_time_is_a_wait(lines: tuple[str, ...]) -> None:
    little = tuple(
        line.replace("3301.2", "91.2").replace("55m", "1m").replace("3300.10", "90.10").replace("55min", "1min").replace("3312", "91")
        for line in lines
    )  # fmt: skip
    found = found_in(reports(*little))
    assert any("it computed for" in says for says in told(found))
    assert found.verdict is not Cause.SLOW_CODE


# --- sleeps, and requests ------------------------------------------------------------------------------


def test_a_program_that_sleeps_between_its_rows_is_slow_code() -> None:
    assert (
        found_in([STARTED, *every(6, "row {n} written, sleeping 5s")], load=0.01).verdict
        is Cause.SLOW_CODE
    )


@pytest.mark.parametrize(
    "line",
    ["429 from the API, sleeping 5s before retry {n}", "lock {n} is taken, sleeping 5s", "queue is empty, sleeping until the next poll {n}"],
)  # fmt: skip
def test_a_sleep_for_somebody_else_is_not(line: str) -> None:
    assert found_in([STARTED, *every(6, line)], load=0.01).verdict is not Cause.SLOW_CODE


def served(line: str) -> Diagnosis:
    body = batch()
    body["logEntries"] = entries(
        [(1.0, "model loaded"), (4.0, "batch of 64 instances came in"), (610.0, line)]
    )
    return diagnose(Case.parse(body))


def test_a_request_that_took_its_whole_time_names_no_code() -> None:
    assert served("handled request 17 with 64 instances in 604.1 s").verdict is not Cause.SLOW_CODE


def test_a_stage_of_a_request_that_took_its_whole_time_does() -> None:
    assert served("[tokenise] took 603.1 s").verdict is Cause.SLOW_CODE


# --- lines that servers print on every machine ---------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "[WARN ] pool-3-thread-1 org.pytorch.serve.metrics.MetricCollector - nvidia-smi: command not found",
        "Unable to allocate pinned system memory, pinned memory pool will not be available: CUDA driver version is insufficient for CUDA runtime version",
    ],
)
def test_a_server_that_looked_for_a_gpu_wants_none(line: str) -> None:
    found = found_in([(0.5, line), *every(90, TOLD[2])], load=0.13)
    assert found.verdict is Cause.SLOW_CODE
    assert {Cause.ACCELERATOR_MISSING, Cause.MEMORY_PRESSURE}.isdisjoint(
        one.cause for one in found.causes
    )
