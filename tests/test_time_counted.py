"""Time that a log tells by counts, by sums since the start, by meters of transfers and by the CPUs in use."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.diagnosis.durations import parts_in
from remediator.domain import Cause, Diagnosis
from tests.case_parts import cpu, custom, series
from tests.test_durations import STARTED, entries, every, found_in, told
from tests.test_time_spent import dumped

# --- counts and sums ------------------------------------------------------------------------------------


def counted(line: str, *, each: int = 500, step: float = 71.0) -> list[tuple[float, Any]]:
    """A line every `step` seconds that tells of `each` more than the one before."""
    return [STARTED, *((step * n, line.format(n=each * n)) for n in range(1, int(3590 / step)))]


@pytest.mark.parametrize("load", [None, 0.02])
def test_round_trips_that_make_up_the_time_are_a_wait(load: float | None) -> None:
    found = found_in(counted("{n} keys joined, redis round trip avg 142 ms"), load)
    assert found.verdict is Cause.NETWORK_LATENCY
    assert any("waiting" in says for says in told(found))


def test_round_trips_that_are_a_small_part_of_it_are_none() -> None:
    found = found_in(counted("{n} keys joined, redis round trip avg 2 ms"), 0.13)
    assert found.verdict is not Cause.NETWORK_LATENCY


def test_a_table_of_times_that_add_up_names_the_longest() -> None:
    said: list[tuple[float, Any]] = [STARTED]
    for n in range(1, 6):
        said += [
            (600.0 * n, "--- so far ---"),
            (600.0 * n, f"parse_json       {498.2 * n:.1f} s  83.1%"),
            (600.0 * n, f"join              {54.4 * n:.1f} s   9.1%"),
            (600.0 * n, f"read              {46.8 * n:.1f} s   7.8%"),
        ]
    found = found_in(said)
    assert found.verdict is Cause.SLOW_CODE
    assert any('section "parse_json"' in says for says in told(found))


@pytest.mark.parametrize(
    ("line", "name", "share"),
    [
        ("parse_json         512.3 s  83.1%", "parse_json", 0.831),
        ("  build index: 83.1%  512.3 s", "build index", 0.831),
        ("| fetch rows | 512.3 s | 83.1 % |", "fetch rows", 0.831),
    ],
)
def test_a_row_of_a_table_tells_its_part_of_all(line: str, name: str, share: float) -> None:
    found = parts_in(line)
    assert found is not None
    assert (found.key, round(found.share, 3), found.seconds) == (name, share, 512.3)


@pytest.mark.parametrize(
    "line", ["cpu 100%", "epoch 3 took 12 s", "done 83.1%, 512.3 s left", "loss 0.31 after 83%"]
)
def test_what_is_no_row_of_a_table_tells_none(line: str) -> None:
    assert parts_in(line) is None


# --- who is asked ---------------------------------------------------------------------------------------

ASKED = "{n} batches, last 5 getMore took 88.1 s, parsing 0.6 s"


def test_to_get_from_a_store_that_the_log_names_is_a_wait() -> None:
    said = [STARTED, (2.0, "mongodb+srv://c0.q1zab.mongodb.example db=catalog"), *every(89, ASKED)]
    assert found_in(said).verdict is Cause.NETWORK_LATENCY


def test_to_get_from_the_machine_itself_is_none() -> None:
    said = [STARTED, (2.0, "mongodb://localhost:27017 db=catalog"), *every(89, ASKED)]
    assert found_in(said).verdict is not Cause.NETWORK_LATENCY


@pytest.mark.parametrize(
    "line",
    [
        "{n}720K ........ ........ ........ ........ ........ ........  0%  406K 25h51m",
        "{n}72K ................ ................ ................  0%  406K 25h51m",
        "  0 40.0G    0   {n}M    0     0    619k      0 18:22:09  0:02:33 18:19:35  647k",
        "[#2089b0 {n}MiB/33GiB(1%) CN:1 DL:115KiB ETA:4h]",
    ],
)
def test_a_meter_of_a_transfer_is_a_wait(line: str) -> None:
    assert found_in([STARTED, *every(75, line)]).verdict is Cause.NETWORK_LATENCY


# --- the CPUs in use ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "source {n}, process cpu 100% (1 core)",
        "--- timings {n}, cpu 1.0 of 8 cores ---",
        "pass {n}: 1.1/8 cpus busy",
        "pass {n}, system cpu 12.6%",
        "pass {n}: cpu usage 12.5% of 8 cores",
    ],
)
def test_one_busy_cpu_of_several_is_slow_code(line: str) -> None:
    found = found_in([STARTED, *every(300, line)])
    assert found.verdict is Cause.SLOW_CODE
    assert any("about one of 8 vCPUs" in says for says in told(found))


@pytest.mark.parametrize(
    "line", ["pass {n}, cpu 7.8 of 8 cores", "pass {n}: cpu 780% (8 cores)", "host cpu 97.5% ({n})"]
)
def test_all_of_them_are_too_few(line: str) -> None:
    assert found_in([STARTED, *every(300, line)]).verdict is Cause.CPU_SATURATION


@pytest.mark.parametrize(
    "line",
    [
        "Logical resource usage: 8.0/8 CPUs, 0/1 GPUs ({n})",
        "Resources requested: 8/8 CPUs ({n})",
        "pass {n}, cpu 97%",
        "{n}: 7.9 of 8 cpus available",
    ],
)
def test_what_was_given_away_or_of_whom_nobody_knows_is_no_report(line: str) -> None:
    found = found_in([STARTED, *every(300, line)])
    assert not any("reports in the log tell of CPUs" in says for says in told(found))


def workers(count: int, *, ends: int = 11) -> list[tuple[float, Any]]:
    """Lines of so many workers every five minutes, each of which tells that it computed all the while."""
    return [
        (
            300.0 * n + worker,
            f"worker {worker}: {7 * n} scenes, cpu {299 * n} s of {300 * n} s wall",
        )
        for n in range(1, ends + 1)
        for worker in range(count)
    ]


def test_workers_that_compute_side_by_side_fill_the_machine_together() -> None:
    assert found_in([STARTED, *workers(8)]).verdict is Cause.CPU_SATURATION
    assert found_in([STARTED, *workers(1)]).verdict is Cause.SLOW_CODE


LONE = "cpu_count=16 workers=1 method=difflib"


@pytest.mark.parametrize("line", [LONE, "single-threaded run on 8 cores", "process 1 of 1, 8 cpus"])
def test_one_worker_beside_several_cpus_is_slow_code(line: str) -> None:
    assert (
        found_in([STARTED, (2.0, line), *every(90, "pairs {n} of 900")]).verdict is Cause.SLOW_CODE
    )


def test_one_worker_says_nothing_beside_a_machine_that_is_known() -> None:
    said = [STARTED, (2.0, LONE), *every(90, "pairs {n} of 900")]
    assert found_in(said, load=0.97).verdict is Cause.CPU_SATURATION
    several = [STARTED, (2.0, "cpu_count=16 workers=12"), *every(90, "pairs {n} of 900")]
    assert found_in(several).verdict is Cause.UNKNOWN


# --- what stands still by itself ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        "w{n} insert: sqlite3.OperationalError: database is locked, next try in 30 s",
        "IO Error: Could not set lock on file /data/f.duckdb: conflicting lock is held ({n})",
    ],
)
def test_a_store_in_its_own_file_that_it_locks_is_slow_code(line: str) -> None:
    said = [STARTED, *every(40, line), *((400.0 * n + 7, f"block {n} of 900") for n in range(1, 9))]
    assert found_in(sorted(said), load=0.02).verdict is Cause.SLOW_CODE
    assert found_in(sorted(said), load=0.95).verdict is not Cause.SLOW_CODE


STUCK = (
    "Timeout (0:10:00)!",
    "Thread 0x00007f1c2a7fc700 (most recent call first):",
    '  File "/usr/local/lib/python3.11/threading.py", line 327 in wait',
    '  File "/app/cache.py", line 42 in refresh',
    "Thread 0x00007f1c3d2e7740 (most recent call first):",
    '  File "/usr/local/lib/python3.11/threading.py", line 327 in wait',
    '  File "/app/cache.py", line 48 in wait_for_refresh',
    '  File "/app/cache.py", line 55 in main',
)


def test_threads_each_of_which_waits_for_another_are_slow_code() -> None:
    found = dumped(STUCK, load=0.01)
    assert found.verdict is Cause.SLOW_CODE
    assert any("each of its threads waits for another one" in says for says in told(found))


@pytest.mark.parametrize("load", [None, 0.5])
def test_the_same_beside_work_that_no_dump_shows_says_nothing(load: float | None) -> None:
    assert not any("each of its threads" in says for says in told(dumped(STUCK, load=load)))


def on_a_gpu(said: list[tuple[float, Any]], *, load: float, gpu: float) -> Diagnosis:
    """The diagnosis of the same job on a machine with a T4, both measured."""
    body = custom(state="JOB_STATE_CANCELLED")
    spec: dict[str, Any] = body["job"]["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]
    spec |= {"acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}
    body["logEntries"] = entries(said)
    body["timeSeries"] = [*cpu(load), series("accelerator/utilization", [gpu] * 60)]
    return diagnose(Case.parse(body))


TRAINS = every(130, "seen {n}000 samples, loss 1.07")


def test_processors_that_are_all_half_busy_name_no_cause() -> None:
    assert on_a_gpu([STARTED, *TRAINS], load=0.45, gpu=0.5).verdict is Cause.UNKNOWN
    assert on_a_gpu([STARTED, *TRAINS], load=0.13, gpu=0.05).verdict is Cause.SLOW_CODE


def test_work_that_does_not_see_its_gpu_is_no_slow_code() -> None:
    said = [STARTED, (2.0, "Using CPU"), *TRAINS]
    assert on_a_gpu(said, load=0.31, gpu=0.0).verdict is Cause.INVALID_CONFIG


@pytest.mark.parametrize(("late", "cause"), [(0.004, Cause.SLOW_CODE), (0.6, Cause.UNKNOWN)])
def test_a_barrier_that_nobody_is_on_the_way_to_is_the_programs_own(
    late: float, cause: Cause
) -> None:
    body = custom(state="JOB_STATE_CANCELLED")
    said = [(60.0 * n, f"rank=0 shard {n}/12 reduced") for n in range(1, 13)]
    said += [(300.0 * n, "rank=0 barrier 'end': 3 of 4 arrived, missing [3]") for n in range(3, 12)]
    body["logEntries"] = entries(said)
    body["timeSeries"] = [
        {**series("cpu/utilization", [0.8] * 12 + [load] * 48), "resource": {"labels": {"task_name": task}}}
        for task, load in (("workerpool0-0", 0.004), ("workerpool1-0", late))
    ]  # fmt: skip
    assert diagnose(Case.parse(body)).verdict is cause


def test_what_came_in_at_the_start_did_not_come_all_the_while() -> None:
    body = custom(state="JOB_STATE_CANCELLED")
    body["logEntries"] = entries([STARTED, (5.0, "working")])
    received = series("network/received_bytes_count", [9e10, 9e10, *[2e5] * 58])
    body["timeSeries"] = [*cpu(0.02), received]
    assert not any("all the while" in says for says in told(diagnose(Case.parse(body))))
    received = series("network/received_bytes_count", [9e9] * 60)
    body["timeSeries"] = [*cpu(0.02), received]
    assert any("all the while" in says for says in told(diagnose(Case.parse(body))))


# --- the same in other words ----------------------------------------------------------------------------

IN_WORDS = (
    (Cause.NETWORK_LATENCY, "batch {n}: read 80.1 s, transform 2.2 s, write 0.3 s (gs://far/x)"),
    (Cause.NETWORK_LATENCY, "[{n}] data_wait 88% compute 12%"),
    (Cause.NETWORK_LATENCY, "s3 GetObject part {n} 8 MB {most:.1f} s"),
    (Cause.NETWORK_LATENCY, "query {n} took {most:.1f}s (server 0.02s, transfer 79s)"),
    (Cause.NETWORK_LATENCY, "poll {n} returned 12 records in {most:.1f} s"),
    (Cause.SLOW_CODE, "[profile] parse: 82% tokenize: 11% write: 7% ({n})"),
    (Cause.SLOW_CODE, "loop over rows: {n} of 900 done, 1 thread"),
    (Cause.SLOW_CODE, "gpu 3%, one core at 100% ({n})"),
    (Cause.CPU_SATURATION, "{n} of 900: cpu 100% on all 8 cores"),
    (Cause.CPU_SATURATION, "all 8 workers at 99% cpu ({n})"),
    (Cause.CPU_SATURATION, "cpu per core: 99 98 99 100 99 98 99 99 ({n})"),
    (Cause.CPU_SATURATION, "%CPU 798.2 RSS 2.1g ({n})"),
    (Cause.CPU_SATURATION, "{n}: cpu_percent=[99.0, 98.1, 99.4, 100.0, 99.1, 98.8, 99.0, 99.9]"),
    (Cause.QUOTA, "429, waiting {most:.1f} s ({n})"),
    (Cause.TRANSIENT_BACKEND, "503 from the scoring service, attempt {n}"),
    (Cause.MEMORY_PRESSURE, "{n}: swapping, 12.1 GB swap in use"),
    (Cause.MEMORY_PRESSURE, "{n}: 91% of time in garbage collection"),
    (Cause.MEMORY_PRESSURE, "mem 29.7/30.0 GB, swap in 80 MB/s ({n})"),
)
IN_NO_CAUSE = (
    "cache hit 88% miss 12% ({n})",
    "us 82% sy 11% id 7% ({n})",
    "split {n}: train 82% test 18%",
    "{n}: 3% of time in garbage collection",
    "{n}: 0.1 GB swap in use",
    "step {n}: cpu 97%",
)


@pytest.mark.parametrize(("cause", "line"), IN_WORDS)
def test_what_took_the_time_is_read_in_many_words(cause: Cause, line: str) -> None:
    assert found_in([STARTED, *every(90, line)]).verdict is cause


@pytest.mark.parametrize("line", IN_NO_CAUSE)
def test_what_looks_alike_names_no_cause(line: str) -> None:
    assert found_in([STARTED, *every(90, line)]).verdict is Cause.UNKNOWN


# --- peers ------------------------------------------------------------------------------------------------


def ranks(waits: tuple[float, ...]) -> list[tuple[float, Any]]:
    """Steps of 80 s of several ranks, each with the seconds that it waits in one."""
    return [
        (90.0 * n + rank, f"[rank{rank}] step {n} augment {80 - wait:.1f} s allreduce_wait {wait:.1f} s")
        for n in range(1, 39)
        for rank, wait in enumerate(waits)
    ]  # fmt: skip


def test_peers_that_wait_for_one_that_works_are_slow_code() -> None:
    found = found_in([STARTED, *ranks((78.1, 78.0, 1.2, 77.9))])
    assert found.verdict is Cause.SLOW_CODE
    assert any('in which 2 spends 78.8 s on "augment"' in says for says in told(found))


@pytest.mark.parametrize("waits", [(78.1, 78.0, 78.3), (1.1, 1.0, 78.2), (78.1, 78.0, 40.1)])
def test_other_waits_of_peers_are_nobodys(waits: tuple[float, ...]) -> None:
    found = found_in([STARTED, *ranks(waits)])
    assert not any("the others wait" in says for says in told(found))


@pytest.mark.parametrize("fields", [{"cpu_cores": 1.04}, {"system.cpu.percent": 12.9}])
def test_fields_tell_of_the_cpus_in_use(fields: dict[str, float]) -> None:
    found = found_in([STARTED, *every(90, {"message": "stats", **fields})])
    assert any("about one of 8 vCPUs" in says for says in told(found))
