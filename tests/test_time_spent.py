"""What took a job's time, where neither its code nor a slow source did: refusals, memory, hangs; and who only stood by."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.diagnosis.bystanders import is_bystander
from remediator.diagnosis.durations import parts_in
from remediator.domain import Cause, Diagnosis
from tests.case_parts import at, batch, cpu, custom, series
from tests.test_durations import STARTED, entries, every, found_in, told

# --- agents beside the job ----------------------------------------------------------------------------

BESIDE = (
    'node_exporter: exec: "nvidia-smi": executable file not found in $PATH, gpu collector disabled',
    "[fluent-bit] [error] [output:http:http.0] collector.example:443 connection refused",
    "2026-11-30T10:00:00Z ERROR otelcol: exporter failed: permission denied for traces",
    "statsd: invalid configuration value, using the default",
    "telegraf[12]: E! [inputs.nvidia_smi] cannot find the binary",
    "[WARN ] pool-3-thread-1 org.pytorch.serve.metrics.MetricCollector - Invalid configuration of nvidia-smi",
    "bucketmount: retrying StatObject after 1.02s: Error 503: Backend Error; succeeded on attempt 2",
)
OF_THE_JOB = (
    "trainer: invalid configuration value",
    "RuntimeError: statsd: the job's own client failed",
    "cannot reach the otelcol endpoint that train.py needs",
    "vector of 3 elements: dimension mismatch",
    "attempt 2 failed: connection refused",
)


@pytest.mark.parametrize("line", BESIDE)
def test_an_agent_beside_the_job_is_neither_its_failure_nor_its_work(line: str) -> None:
    assert is_bystander(line)
    found = found_in(
        [(1.0, line), *every(90, "normalise block {n} took {most:.1f} seconds"), (3595, line)],
        load=0.13,
    )
    assert found.verdict is Cause.SLOW_CODE
    assert [one.cause for one in found.causes] == [Cause.SLOW_CODE]


@pytest.mark.parametrize("line", OF_THE_JOB)
def test_the_jobs_own_line_about_one_is_its_own(line: str) -> None:
    assert not is_bystander(line)


def test_what_the_program_outlived_is_not_what_it_failed_of() -> None:
    said = [
        STARTED,
        (5.0, "invalid value for argument --cache-size, using 100"),
        *every(30, "block {n} took {most:.1f} s"),
    ]
    assert found_in(said, load=0.13).verdict is Cause.SLOW_CODE


def test_what_it_said_and_then_stood_still_over_is() -> None:
    early = [(30.0 + n, f"block {n} of 900") for n in range(20)]
    said = [*early, (60.0, "ERROR: permission denied: gs://acme-tables/prices.csv")]
    assert found_in(said, load=0.01).causes[0].cause is Cause.PERMISSION


@pytest.mark.parametrize(
    "end",
    [
        "received SIGTERM",
        "Received SIGTERM, shutting down",
        "SIGTERM received: stopping workers",
        "received signal 15 (SIGTERM)",
        "Job is being cancelled.",
        "deadline exceeded: killed",
    ],
)
def test_the_news_of_the_end_is_no_section(end: str) -> None:
    said = [STARTED, (5.0, "loading the table"), (1500.0, end)]
    assert [one.name for one in found_in(said, load=0.13).sections] == ["loading the table"]


def test_what_a_program_does_before_it_heeds_the_end_is_a_section() -> None:
    saving = "Received SIGTERM, saving a checkpoint"
    assert [one.name for one in found_in([STARTED, (5.0, saving)]).sections] == [saving]


# --- refusals to the end --------------------------------------------------------------------------------

TOO_OFTEN = (
    'HTTP Request: POST https://api.model.example/v1/chat "HTTP/1.1 429 Too Many Requests"',
    "AxiosError: Request failed with status code 429, retry #{n} after 30s",
    "google.api_core.retry: Retrying due to 429 Quota exceeded for requests per minute, sleeping 30.0s",
    "RateLimitError: slow down; waiting 30s before try {n}",
)
BROKEN = (
    "Retrying call as it raised ServerError: 503 UNAVAILABLE. The model is overloaded (attempt {n})",
    "google.api_core.retry: Retrying due to 502 Bad Gateway, sleeping 30.0s ...",
    'HTTP Request: GET https://api.partner.example/x "HTTP/1.1 500 Internal Server Error", retry {n}',
)


@pytest.mark.parametrize(
    ("line", "cause"),
    [*((line, Cause.QUOTA) for line in TOO_OFTEN), *((line, Cause.TRANSIENT_BACKEND) for line in BROKEN)],
)  # fmt: skip
@pytest.mark.parametrize("load", [None, 0.01])
def test_refusals_to_the_end_took_the_time(line: str, cause: Cause, load: float | None) -> None:
    found = found_in([STARTED, *every(35, line)], load=load)
    assert found.verdict is cause
    assert any("answers in the log were refusals" in says for says in told(found))


@pytest.mark.parametrize("line", [*TOO_OFTEN, *BROKEN])
def test_a_few_refusals_beside_work_that_goes_on_took_none(line: str) -> None:
    work = every(60, "scene {n} took {most:.1f} s")
    few = [(second + 1, said) for second, said in every(300, line)]
    found = found_in(sorted([STARTED, *work, *few]), load=0.13)
    assert found.verdict is Cause.SLOW_CODE


# --- memory -----------------------------------------------------------------------------------------------

PAUSES = (
    "[gc] GC({n}) Pause Full (Allocation Failure) 28477M->28263M(28672M) 10766.778ms",
    "[Full GC (Ergonomics) [PSYoungGen: 1K->0K(2K)] 1398144K->1398103K(1398144K), [Metaspace: 3K->3K(9K)], 12.2014 secs]",
    "[1:0x5f] {n} ms: Mark-Compact 4061.3 (4130.1) -> 4052.0 (4133.4) MB, 9214.11 / 0.00 ms  allocation failure",
    " 70.919225 seconds (3.36 G allocations: 223.977 GiB, 89.95% gc time, 1.02% compilation time)",
    "distributed.worker.memory - WARNING - Worker is at 81% memory usage. Pausing worker.  Process memory: 11.88 GiB",
    "vmstat: r 1 b 9 swpd 31000000 free 90000 si 30112 so 20411 us 4 sy 9 id 10 wa 77",
    " 1  9 31000000  90000   2000  80000 30112 20411  4000  3000  900 1900  4  9 10 77  0",
    "CPU Virtual Memory:  used = 164.04 GB, percent = 97.9% swap used = 42.3 GB",
    "batch {n} done; major page faults: 4000000",
    "t+{n}m r/s=6.9 rss=62.1G av=0.3G mjf/s=9214 gc=off",
    "28400.6 Mbytes of vectors used (99%)",
    "memory full avg10=71.60 avg60=69.10 avg300=67.61 total=1152939721",
    " 2 14      0 141459 120 61100    0    0 406835   70 9120 21692 1 18 9 72  0",
    "(raylet) Spilled 8192 MiB, 611 objects, write throughput 309 MiB/s.",
    "UnsafeExternalSorter: Thread 61 spilling sort data of 256.0 MiB to disk (97 times so far)",
    "Mem:          30070       29620          95           8         357          99",
    "gc 2703 @7155.469s 87%: 0.11+10213+0.07 ms clock, 30710->30713->30707 MB, 30720 MB goal, 8 P",
)
NO_PAUSES = (
    "[gc] GC({n}) Pause Full (System.gc()) 28477M->2263M(28672M) 766.778ms",
    "[gc] GC({n}) Pause Young (Normal) 2847M->2263M(28672M) 6.778ms",
    "0.919225 seconds (3.36 M allocations: 223.977 MiB, 2.95% gc time)",
    "vmstat: r 8 b 0 swpd 0 free 9112000 si 0 so 0 us 94 sy 2 id 4 wa 0",
    "batch {n} done; major page faults: 12",
    "28400.6 Mbytes of vectors used (42%)",
    "memory full avg10=0.10 avg60=0.10 avg300=0.10 total=1152",
    " 2 14      0 141459 120 26110000    0    0 406835   70 9120 21692 1 18 9 72  0",
    "Mem:          30070       19620        9500           8         357        9900",
    "gc 17 @45.373s 4%: 0.11+1810+0.07 ms clock, 2700->2703->2692 MB, 3600 MB goal, 8 P",
)


@pytest.mark.parametrize("line", PAUSES)
def test_time_spent_on_memory_is_memorys(line: str) -> None:
    assert found_in([STARTED, *every(40, line)]).verdict is Cause.MEMORY_PRESSURE


@pytest.mark.parametrize("line", NO_PAUSES)
def test_ordinary_reports_of_memory_are_no_pressure(line: str) -> None:
    assert Cause.MEMORY_PRESSURE not in {
        one.cause for one in found_in([STARTED, *every(40, line)]).causes
    }


@pytest.mark.parametrize(
    "line",
    [
        "[WARNING] [stage3.py:2045:step] 8 pytorch allocator cache flushes since last step",
        "step {n} len 8192 num_alloc_retries=119526 reserved=21.94GiB",
        "CUDA out of memory. Tried to allocate 768 MiB (caught), decreasing the batch to 4",
    ],
)
def test_an_allocator_that_tries_again_is_short_of_the_devices_memory(line: str) -> None:
    assert found_in([STARTED, *every(40, line)]).verdict is Cause.GPU_MEMORY


# --- hangs -------------------------------------------------------------------------------------------------


def hung(stops: float) -> Diagnosis:
    """A job on full CPUs, whose steps come each 20 s until that second and signs of life all the while."""
    steps = [(second, line) for second, line in every(20, "step {n} energy -0.5") if second < stops]
    alive = every(600, "[health] daemon alive on 4 hosts")
    return found_in(sorted([*steps, *alive]), load=0.99)


def test_full_cpus_of_a_program_that_stopped_working_want_no_bigger_machine() -> None:
    found = hung(1200)
    assert found.verdict is Cause.UNKNOWN
    assert any("came to a stop at 3" in says for says in told(found))
    assert hung(3590).verdict is Cause.CPU_SATURATION


def test_full_cpus_after_a_banner_are_too_few() -> None:
    banner = [(float(n), f"loading part {n}") for n in range(12)]
    assert found_in(banner, load=0.99).verdict is Cause.CPU_SATURATION


# --- stacks, and reports on the machine --------------------------------------------------------------------

FAULTHANDLER = (
    "Timeout (0:10:00)!",
    "Thread 0x00007f1c2a7fc700 (most recent call first):",
    '  File "/usr/local/lib/python3.10/threading.py", line 324 in wait',
    '  File "/app/heartbeat.py", line 22 in run',
    "",
    "Thread 0x00007f1c3d2e7740 (most recent call first):",
)
SOCKET = (
    '  File "/usr/local/lib/python3.10/ssl.py", line 1166 in read',
    '  File "/usr/local/lib/python3.10/http/client.py", line 279 in _read_status',
    '  File "/app/client.py", line 51 in lookup',
)
LOOP = (
    '  File "/app/book.py", line 79 in apply_update',
    '  File "/app/main.py", line 19 in <module>',
)
LOCK = (
    '  File "/usr/local/lib/python3.10/queue.py", line 171 in get',
    '  File "/app/main.py", line 9 in drain',
)
PY_SPY = (
    '[sidecar] Thread 1 (active+gil): "MainThread"',
    "[sidecar]     apply_update (replay/book.py:79)",
    "[sidecar]     main (replay/__main__.py:40)",
    '[sidecar] Thread 19 (idle): "writer"',
    "[sidecar]     get (queue.py:171)",
)


def dumped(lines: tuple[str, ...], *, load: float | None = None) -> Diagnosis:
    """A job that writes its stacks every ten minutes and a sign of life after them."""
    said: list[tuple[float, Any]] = [STARTED]
    for n in range(1, 6):
        said += [(n * 600 + k / 1000, line) for k, line in enumerate([*lines, "heartbeat alive"])]
    return found_in(said, load=load)


def test_stacks_that_wait_for_an_answer_are_the_network() -> None:
    found = dumped((*FAULTHANDLER, *SOCKET), load=0.01)
    assert found.verdict is Cause.NETWORK_LATENCY
    assert any(
        "5 stack dumps in the log show the program in lookup (client.py)" in says
        for says in told(found)
    )


@pytest.mark.parametrize("lines", [(*FAULTHANDLER, *LOOP), PY_SPY])
def test_stacks_that_compute_at_one_place_are_slow_code(lines: tuple[str, ...]) -> None:
    found = dumped(lines)
    assert found.verdict is Cause.SLOW_CODE
    assert any("show the program in apply_update" in says for says in told(found))


def test_stacks_that_wait_for_another_thread_say_neither() -> None:
    assert not any("stack dumps" in says for says in told(dumped((*FAULTHANDLER, *LOCK))))


FULL = (
    "33  0      0 88199432 150056 9188645    0    0     0    8 32257 1909 99  1  0  0  0",
    "%Cpu(s): 98.2 us,  1.1 sy,  0.0 ni,  0.5 id,  0.0 wa",
    "12:00:01        all     97.10      0.00      1.20      0.00      0.00      1.70",
    " 21:41:59 up 5:40:20,  0 users,  load average: 8.08, 8.05, 8.05",
    "ocr: page {n} | load 17.66 17.49 16.24 (4 cpus)",
    "| thr 8/8 run   cpu 793%  io 0%  |",
)
NOT_FULL = (
    " 0  1      0 24059600 150112 4192525    0    0     2   335  482  716  1  1 87 12  0",
    " 21:41:59 up 5:40:20,  0 users,  load average: 3.10, 3.05, 3.05",
    "worker {n} cpu 100%",
    "cpu: 12%",
)


@pytest.mark.parametrize("line", FULL)
def test_reports_of_full_cpus_are_too_few_of_them(line: str) -> None:
    found = found_in([STARTED, *every(300, line)])
    assert found.verdict is Cause.CPU_SATURATION
    assert any("reports in the log tell of CPUs that were" in says for says in told(found))


@pytest.mark.parametrize("line", NOT_FULL)
def test_other_reports_are_not(line: str) -> None:
    assert Cause.CPU_SATURATION not in {
        one.cause for one in found_in([STARTED, *every(300, line)]).causes
    }


def test_a_measured_machine_is_not_asked_of_the_log() -> None:
    found = found_in([STARTED, *every(300, FULL[1])], load=0.02)
    assert found.verdict is not Cause.CPU_SATURATION


# --- parts of a time ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "name", "seconds"),
    [
        ("[objective] featurize=174.4s fit=15.9s score=7.9s", "featurize", 174.4),
        ("MODEL_LOG - preprocess: 0.4s inference: 2.17s postprocess.merge_boxes: 148.0s", "postprocess.merge_boxes", 148.0),
        ("doc 4 stages tokenise=0.31 encode=12.28 pairs=121.10 serialise=0.05", "pairs", 121.1),
        ("3 of 6100; regressors 32.3s, fit 11.2s, predict .6s", "regressors", 32.3),
        ("time (ms) | fwd: 2109 | bwd: 5643 | optimizer_step(cpu_adam): 204161", "optimizer_step(cpu_adam)", 204.161),
        ("step=10 step_time=11.65s data_wait=11.21s fwd_bwd=0.41s", "data_wait", 11.21),
        ("read_us=1200000 match_us=88000000", "match_us", 88.0),
        ("ticket=80114 resolve=5.013s connect=0.003s tls=0.011s ttfb=0.041s", "resolve", 5.013),
        ("[rank 0] it=0 cells=204000 comp=9.97 wait=287.03", "wait", 287.03),
    ],
)  # fmt: skip
def test_the_longest_part_of_a_time_names_the_section(line: str, name: str, seconds: float) -> None:
    part = parts_in(line)
    assert part is not None
    assert (part.key, part.seconds) == (name, pytest.approx(seconds))


@pytest.mark.parametrize(
    "line",
    [
        "took 3.2 s in 4.0 s",
        "loss=0.31 lr=0.01 acc=0.99",
        "epoch 3 of 9",
        "eta=30s remaining=40s",
        "a.py:30: x = 3",
    ],
)
def test_what_names_no_parts_has_none(line: str) -> None:
    assert parts_in(line) is None


def test_reading_over_the_network_is_a_wait_where_a_host_is_named() -> None:
    line = "scene {n} /vsicurl/https://mirror.example/a.tif read=85.2s compute=1.5s write=0.4s"
    assert found_in([STARTED, *every(90, line)], load=0.01).verdict is Cause.NETWORK_LATENCY


def test_a_line_of_every_hundredth_pass_stands_for_those_between() -> None:
    fields = {"event": "chunk_done", "fetch_ms": 25, "geo_join_ms": 9261, "write_ms": 52}
    found = found_in([STARTED, *every(40, fields)], load=0.13)
    assert found.verdict is Cause.SLOW_CODE
    assert any('"geo_join_ms" took 9' in says for says in told(found))


def test_counts_of_answers_tell_of_a_service_that_broke() -> None:
    said = [
        (
            float(60 * n),
            f"[stat] rows={min(n, 10)} upstream 2xx={min(n * 600, 6000)} 4xx=0 5xx={max(0, n - 10) * 600} host=profile.example",
        )
        for n in range(1, 59)
    ]
    assert found_in(said, load=0.01).verdict is Cause.TRANSIENT_BACKEND


def test_threads_that_wait_for_the_programs_own_lock_are_slow_code() -> None:
    assert (
        found_in([STARTED, *every(60, "[thr-{n}] lock=vocab waited=53.9s held=3.4s")]).verdict
        is Cause.SLOW_CODE
    )
    database = "pg: session waited=53.9s for a lock on relation prices, held=3.4s"
    assert found_in([STARTED, *every(60, database)]).verdict is not Cause.SLOW_CODE


def test_few_rows_that_failed_are_not_what_the_server_did_with_each() -> None:
    body = batch(
        state="JOB_STATE_PARTIALLY_SUCCEEDED", endTime=at(9600), completionStats={"successfulCount": "89959", "failedCount": "41"},
        error={"code": 4, "message": "DEADLINE_EXCEEDED: 41 instances could not be predicted before their deadline."},
    )  # fmt: skip
    body["logEntries"] = entries(
        [(340.0 * n, f"served {3100 * n} instances, errors 0, p50 112 ms") for n in range(1, 28)]
    )
    assert diagnose(Case.parse(body)).verdict is not Cause.SLOW_CODE


def test_the_machine_itself_is_no_host_far_away() -> None:
    found = found_in(
        [STARTED, *every(60, "waiting for http://127.0.0.1:8000/health ... ({n})")], load=0.08
    )
    assert found.verdict is not Cause.NETWORK_LATENCY


@pytest.mark.parametrize(
    "line",
    ["1116000K .......... .......... .......... .......... ..........  1% 40.9K 15d14h", "era.zip:   1%|          | 0.9G/61.4G [06:56<8:08:04, 2.05MB/s]"],
)  # fmt: skip
def test_bars_of_a_download_are_a_wait(line: str) -> None:
    assert found_in([STARTED, *every(60, line)], load=0.01).verdict is Cause.NETWORK_LATENCY


def test_a_page_to_read_is_no_host_that_was_waited_for() -> None:
    line = (
        "blocked on ray.get(merge.push.remote) for 80s (see https://docs.example.org/logs for more)"
    )
    found = found_in([STARTED, *every(90, line)], load=0.03)
    assert not any("docs.example.org" in says for says in told(found))
    assert found.verdict is not Cause.NETWORK_LATENCY


def test_what_was_fetched_at_the_start_does_not_tell_of_the_hours_after_it() -> None:
    fetched = [
        (40.0 * n, f"partition {n} pulled from sales.example.com in 38.0s") for n in range(1, 9)
    ]
    fitted = [(400.0 + 31 * n, f"series {n} fitted") for n in range(100)]
    found = found_in([*fetched, *fitted], load=0.13)
    assert not any("fetches from" in says for says in told(found))


def test_a_gpu_that_the_program_does_not_see_is_no_want_of_cpus() -> None:
    body = custom(state="JOB_STATE_CANCELLED")
    spec: dict[str, Any] = body["job"]["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]
    spec |= {"acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}
    line = "An NVIDIA GPU may be present on this machine, but a CUDA-enabled jaxlib is not installed. Falling back to cpu."
    body["logEntries"] = entries([(1.0, line), *every(60, "[{n}] steps_per_sec=0.05")])
    body["timeSeries"] = [*cpu(0.97), series("accelerator/utilization", [0.0] * 60)]
    found = diagnose(Case.parse(body))
    assert found.verdict is Cause.INVALID_CONFIG


def test_a_model_that_is_still_being_copied_starts_slowly() -> None:
    message = "Model server never became ready. Please validate that your model file or container configuration are valid."
    body = batch(error={"code": 3, "message": message}, endTime=at(2700))
    copied = [
        (60.0 * n, f"entrypoint: gsutil cp -r $AIP_STORAGE_URI /tmp/model ... {n}/120 shards")
        for n in range(1, 40)
    ]
    body["logEntries"] = entries(copied)
    assert diagnose(Case.parse(body)).verdict is Cause.SLOW_STARTUP


STAMPED = "2026-11-30T10:00:00Z "


def test_reports_behind_a_time_and_before_one_are_read() -> None:
    swapping = (
        STAMPED + " 2  9 5700000 120000   1200  40120 14000 22000 15000 23000 9000 12000 8 9 5 78 0"
    )
    assert found_in([STARTED, *every(300, swapping)]).verdict is Cause.MEMORY_PRESSURE
    bare = swapping.removeprefix(STAMPED) + " 2026-11-30 10:00:00"
    assert found_in([STARTED, *every(300, bare)]).verdict is Cause.MEMORY_PRESSURE
    for line in (STAMPED + FULL[0], FULL[0] + " 2026-11-30 10:00:00"):
        assert found_in([STARTED, *every(300, line)]).verdict is Cause.CPU_SATURATION


def test_a_report_on_the_machine_is_no_section_and_its_last_line_is_named() -> None:
    tiles = [(100.0 * n + 1, f"tiles {40 * n}/9000") for n in range(35)]
    found = found_in(sorted([STARTED, *tiles, *every(100, FULL[1]), *every(100, FULL[3])]))
    says = told(found)
    assert any("reports in the log tell of CPUs that were 100% busy" in one for one in says)
    assert not any("Cpu(s)" in one or "load average" in one for one in says)
    assert "logEntries" not in {one.where for cause in found.causes for one in cause.evidence}


@pytest.mark.parametrize(
    "line",
    [
        "ERROR stopped: max run time 3600s exceeded",
        "ERROR deadline exceeded after 3600s",
        "killed after 3600 s",
    ],
)
def test_the_limit_that_ended_the_run_is_no_section(line: str) -> None:
    refused = "WARNING 429 Resource exhausted. Please try again later. (attempt {n}/90)"
    found = found_in([STARTED, *every(60, refused), (3599, line)])
    assert found.verdict is Cause.QUOTA
    assert not any("section" in one for one in told(found))


def test_a_section_without_a_name_is_told_by_one_of_its_lines() -> None:
    said = every(60, "c4-en.tar: {n}.0% {n}.2/812 GB 2.7MB/s eta 83:10:00")
    assert any(
        one.startswith('lines like "c4-en.tar: 0.0% 0.2/812 GB 2.7MB/s eta 83:10:00" spent')
        for one in told(found_in([STARTED, *said]))
    )


def test_a_dump_of_all_threads_names_no_frame_beside_its_evidence() -> None:
    dump = (
        "Thread 0x00007f3a1b7fe700 (most recent call first):",
        '  File "/usr/lib/python3.10/ssl.py", line 1159 in read',
        '  File "/app/train/fetch.py", line 23 in get_shard',
        '  File "/app/train/prefetch.py", line 61 in worker',
        "watchdog: no step for a while",
    )
    said = [(500.0 * n + i, line) for n in range(1, 7) for i, line in enumerate(dump)]
    found = found_in([STARTED, *said])
    assert found.verdict is Cause.NETWORK_LATENCY
    assert any("get_shard (fetch.py)" in one for one in told(found))
    assert found.frame is None


@pytest.mark.parametrize(
    ("heap", "fixed"),
    [("12288M", True), ("7680M", False), (None, None)],
    ids=["set by -Xmx", "a quarter of 30 GB", "as large as the machine"],
)
def test_a_heap_below_the_machines_memory_is_the_programs_own_limit(
    heap: str | None, fixed: bool | None
) -> None:
    size = (heap or "28672M").rstrip("M")
    line = f"[gc] GC({{n}}) Pause Full (Allocation Failure) {int(size) - 90}M->{int(size) - 110}M({size}M) 10766.778ms"
    found = found_in([STARTED, *every(40, line)])
    assert found.verdict is Cause.MEMORY_PRESSURE
    limit = found.needs.own_limit
    assert (limit.fixed if limit else None) is fixed
