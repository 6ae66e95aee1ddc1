"""Two further waves of strangers' cases, each judged once before any rule was changed for it.

Other words, other programs, other ways to mislead. Written after the rules had been fixed for the
wave before. A long file because it is a list. Used by `strangers`; `stranger_scenes` says what a scene is.
"""

from __future__ import annotations

from random import Random

from bench.diagnosis import stranger_logs as logs
from bench.diagnosis.stranger_jobs import FAR, NEAR, Load, Scene
from bench.diagnosis.stranger_scenes import (
    HOSTS,
    Kind,
    batch,
    compute,
    custom,
    early,
    flat,
    full_load,
    idle,
    lister,
    one_thread,
    ramp,
)
from bench.diagnosis.strangers_first import far_bucket

KINDS: list[Kind] = []
second, third = lister(KINDS, 2), lister(KINDS, 3)


def evenly(dice: Random, s: Scene, first: float, last: float, count: int) -> list[float]:
    """Moments spread over a part of the run."""
    return logs.ticks(dice, first * s.seconds, last * s.seconds, count)


# --- second wave ---------------------------------------------------------------------------------


# cpu
@second("cpu_saturation", "metrics+logs")
def sklearn_grid(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice)
    s.lines = [
        (
            t,
            f"[CV {i % 5 + 1}/5] END max_depth={i % 9}, n_estimators=500;, score=0.8{i} total time={dice.uniform(10, 20):.1f}min",
        )
        for i, t in enumerate(evenly(dice, s, 0.01, 1, 60))
    ]
    return s


@second("cpu_saturation", "metrics+logs")
def catboost_full(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice)
    s.lines = [
        (
            t,
            f"{i}:\tlearn: 0.{9999 - i}\ttest: 0.{9990 - i}\tbest: 0.12 ({i})\ttotal: {int(t) // 60}m {int(t) % 60}s\tremaining: 14h 2m",
        )
        for i, t in enumerate(evenly(dice, s, 0.01, 1, 200))
    ]
    return s


@second("cpu_saturation", "metrics+logs")
def full_with_waiting_words(dice: Random) -> Scene:
    """The words of waiting, but the CPUs are full."""
    s = custom(dice)
    s.load = full_load(dice)
    s.lines = [
        (t, f"waiting for {dice.randrange(1, 30)} simulation jobs to finish in the local pool")
        for t in evenly(dice, s, 0.02, 1, 80)
    ]
    return s


@second("cpu_saturation", "metrics+logs")
def full_varies(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(lambda at: 0.97 if int(at * 40) % 5 else 0.6)
    s.lines = compute(s)
    return s


@second("cpu_saturation", "telemetry")
def batch_full_no_network_fields(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = full_load(dice)
    s.only = {"cpu"}
    return s


@second("cpu_saturation", "telemetry")
def batch_full_access_log(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = full_load(dice)
    s.lines = [
        (
            t,
            'INFO:     10.0.0.7:41234 - "POST /predict HTTP/1.1" 200 OK'
            if i % 3 == 0
            else 'INFO:     10.0.0.7:41236 - "GET /health HTTP/1.1" 200 OK',
        )
        for i, t in enumerate(evenly(dice, s, 0, 1, 300))
    ]
    return s


# code
@second("slow_code", "metrics+logs")
def pandas_apply_banner(dice: Random) -> Scene:
    s = custom(dice)
    s.load = one_thread(s)
    s.lines = [
        (1, "=== ETL job ==="),
        (9, "Read 4,120,331 rows"),
        (12, "Applying row-wise geocode cleanup (pandas apply)..."),
        (0.88 * s.seconds, "cleanup complete"),
        (0.885 * s.seconds, "Writing parquet"),
        (0.95 * s.seconds, "Wrote 40 files"),
    ]
    return s


@second("slow_code", "metrics+logs")
def never_finished_section(dice: Random) -> Scene:
    s = custom(dice)
    s.load = one_thread(s)
    s.lines = [
        (1, "INFO:app:boot"),
        (20, "INFO:app:Step 1/4: load - done"),
        (25, "INFO:app:Step 2/4: deduplicate pairs"),
    ]
    return s


@second("slow_code", "metrics+logs")
def two_threads_of_many(dice: Random) -> Scene:
    s = custom(dice, many=True)
    s.load = Load(flat(2 / s.vcpus))
    s.lines = compute(s, writers=logs.SECTION, start=0.02)
    return s


@second("slow_code", "metrics+logs")
def heartbeats_between_section_lines(dice: Random) -> Scene:
    s = custom(dice)
    s.load = one_thread(s)
    what = dice.choice(logs.SECTIONS)
    s.lines = [(5, "loading"), (20, f"starting {what}"), *logs.heartbeats(dice, 25, s.seconds, "")]
    return s


@second("slow_code", "metrics+logs")
def gpu_fed_by_one_thread(dice: Random) -> Scene:
    s = custom(dice, gpu=True)
    s.load = one_thread(s, gpu=flat(dice.uniform(0.05, 0.2)))
    s.lines = [
        (t, f"batch {i}: augment {dice.uniform(3, 4):.2f}s, gpu step 0.11s")
        for i, t in enumerate(evenly(dice, s, 0.01, 1, 200))
    ]
    return s


@second("slow_code", "telemetry")
def batch_one_thread_named_odd(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = one_thread(s)
    what, stack = dice.choice(
        [
            ("postprocess", "nms.py:20 suppress"),
            ("featurise", "rdkit_features.py:77 fingerprint"),
            ("ocr", "layout.py:310 order_boxes"),
            ("explain", "shap_values.py:14 sample"),
        ]
    )
    s.section = lambda at: (what, stack) if at > 0.05 else ("startup", None)
    return s


@second("slow_code", "telemetry")
def batch_one_thread_stack_only(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = one_thread(s)
    s.section = lambda _: (None, "difflib.py:305 find_longest_match")
    return s


@second("slow_code", "metrics+logs")
def one_thread_quick_fetches(dice: Random) -> Scene:
    s = custom(dice)
    s.load = one_thread(s, received=flat(3e5))
    host = dice.choice(HOSTS)
    s.lines = [
        (t, f"GET {host}/v1/geo/{i} 200 in {dice.uniform(0.05, 0.2):.2f}s")
        for i, t in enumerate(evenly(dice, s, 0.02, 1, 40))
    ] + logs.printed(dice, 0.02 * s.seconds, s.seconds, "match_records")
    return s


# network
@second("network_latency", "metrics+logs")
def bigquery_pages(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice), received=flat(4e5))
    s.lines = [
        (
            t,
            f"google.cloud.bigquery: page {i} of result set read, {s.seconds / 100 * dice.uniform(0.9, 0.99):.0f} s",
        )
        for i, t in enumerate(evenly(dice, s, 0.01, 1, 100))
    ]
    return s


@second("network_latency", "metrics+logs")
def curl_rates(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice), received=flat(6e5))
    s.lines = [
        (
            t,
            f"{dice.randrange(1, 100)} 9216M  {i % 100} {i * 9}M    0     0   512k      0  5:07:12  0:{i % 60:02d}:12  4:40:00  498k",
        )
        for i, t in enumerate(evenly(dice, s, 0.01, 1, 200))
    ]
    s.lines = [(3, "wget https://ftp.ensembl.example/pub/release/dump.tar.gz"), *s.lines]
    return s


@second("network_latency", "metrics+logs")
def german_wording(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice), received=flat(2e5))
    host = dice.choice(HOSTS)
    s.lines = [
        (t, f"Antwort von {host}/daten/{i} nach {dice.uniform(15, 40):.1f} s")
        for i, t in enumerate(evenly(dice, s, 0.01, 1, 150))
    ]
    return s


@second("network_latency", "metrics+logs")
def s3_copies(dice: Random) -> Scene:
    s = custom(dice, args=["--src=s3://partner-exports/2026"])
    s.load = Load(idle(dice), received=flat(4e6))
    s.lines = [
        (t, f"Completed {i * 120}.0 MiB/9.1 GiB (3.2 MiB/s) with {200 - i} file(s) remaining")
        for i, t in enumerate(evenly(dice, s, 0.01, 1, 150))
    ]
    return s


@second("network_latency", "metrics+logs")
def slow_query_db(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice), received=flat(5e4))
    s.lines = [
        (
            t,
            f"sqlalchemy.engine INFO SELECT batch {i} from postgresql://warehouse.acme.example:5432/dw returned after {s.seconds / 100 * dice.uniform(0.9, 0.99):.1f}s",
        )
        for i, t in enumerate(evenly(dice, s, 0.01, 1, 100))
    ]
    return s


@second("network_latency", "metrics")
def host_in_env_idle(dice: Random) -> Scene:
    s = custom(dice, env={"PARTNER_API": "https://api.partner-data.example/v3"})
    s.load = Load(idle(dice), received=flat(3e5))
    return s


@second("network_latency", "telemetry")
def batch_far_bucket_telemetry(dice: Random) -> Scene:
    s = batch(dice, telemetry=True, env={"INDEX": "gs://acme-index/ann"})
    s.buckets = {"acme-index": dice.choice(FAR[s.region])}
    s.load = Load(idle(dice), received=flat(dice.uniform(1e7, 5e7)))
    return s


@second("network_latency", "telemetry")
def batch_stack_waits(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = Load(idle(dice), received=flat(1e5))
    st = dice.choice(
        [
            "ssl.py:1314 read",
            "http/client.py:286 _read_status",
            "grpc/_channel.py:1160 _blocking",
            "asyncpg/connection.py:350 fetchrow",
            "socket.py:720 readinto",
        ]
    )
    s.section = lambda _: (dice.choice([None, "handler"]), st)
    return s


@second("network_latency", "logs")
def batch_openai_calls(dice: Random) -> Scene:
    s = batch(dice)
    s.lines = [
        (
            t,
            f"call to https://llm-gateway.partner.example/v1/completions took {dice.uniform(50, 59):.1f}s (attempt 1)",
        )
        for i, t in enumerate(evenly(dice, s, 0.01, 1, int(s.seconds // 60)))
    ]
    return s


@second("network_latency", "metrics+logs")
def timeouts_of_host_with_backoff(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice))
    s.lines = [
        (
            t,
            f"tenacity: Retrying fetch_page in {2 ** (i % 7)}.0 seconds as it raised ConnectTimeout",
        )
        for i, t in enumerate(evenly(dice, s, 0.01, 1, 120))
    ]
    return s


# others
@second("accelerator_missing", "metrics+logs")
def wanted_gpu_other_words(dice: Random) -> Scene:
    s = custom(dice, image="us-docker.pkg.dev/acme/train/diffusion:4")
    s.load = full_load(dice)
    s.lines = [
        (
            6,
            dice.choice(
                [
                    "GPU available: False, used: False",
                    "Using device: cpu (cuda unavailable)",
                    "WARNING: no CUDA runtime is found, using CPU",
                    "jax: No GPU/TPU found, falling back to CPU.",
                    "bitsandbytes was compiled without GPU support. 8-bit optimizers unavailable; CUDA requested",
                ]
            ),
        ),
        *compute(s, writers=[logs.steps, logs.tqdm]),
    ]
    return s


@second("accelerator_missing", "metrics+logs", n=4)
def wanted_gpu_by_spaced_args(dice: Random) -> Scene:
    s = custom(dice, args=["--device", "cuda", "--epochs", "30"])
    s.load = full_load(dice)
    s.lines = compute(s, writers=[logs.keras, logs.steps])
    return s


@second("memory_pressure", "metrics+logs")
def spark_spills(dice: Random) -> Scene:
    s = custom(dice, needs=("memory/utilization",))
    s.load = Load(early(0.4, 0.8, 0.2), memory=ramp(0.4, 0.98, 0.4))
    s.lines = [
        (
            t,
            f"26/11/11 10:00:00 INFO ExternalSorter: Thread 61 spilling in-memory map of 1.{i % 9} GB to disk ({i} times so far)",
        )
        for i, t in enumerate(evenly(dice, s, 0.4, 1, 90))
    ]
    return s


@second("memory_pressure", "telemetry")
def batch_memory_full_then_slow(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = Load(early(0.35, 0.6, 0.15), memory=ramp(0.5, 0.985, 0.35))
    s.section = lambda _: ("predict", "model.py:4 predict")
    return s


@second("cpu_saturation", "metrics+logs")
def full_and_memory_high_late(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice, memory=ramp(0.3, 0.9, 1))
    s.lines = compute(s)
    return s


@second("slow_code", "metrics+logs")
def one_thread_memory_cached(dice: Random) -> Scene:
    """Page cache fills the memory from early on; the CPU does the same before and after."""
    s = custom(dice)
    s.load = one_thread(s, memory=flat(dice.uniform(0.86, 0.9)))
    s.lines = compute(s, writers=logs.SECTION, start=0.02)
    return s


@second("request_too_large", "logs")
def batch_access_log_only(dice: Random) -> Scene:
    s = batch(dice)
    s.lines = [
        (
            t,
            dice.choice(
                [
                    "Received request with 64 instances",
                    "INFO:serve:request accepted",
                    "POST /predict",
                ]
            ),
        )
        for t in evenly(dice, s, 0.05, 1, 12)
    ]
    return s


@second("request_too_large", "logs")
def batch_start_lines_only(dice: Random) -> Scene:
    s = batch(dice)
    s.lines = [
        (20, "[2026-11-11 10:00:00 +0000] [1] [INFO] Starting gunicorn 20.1.0"),
        (20.1, "[2026-11-11 10:00:00 +0000] [1] [INFO] Listening at: http://0.0.0.0:8080 (1)"),
        (21, "[2026-11-11 10:00:01 +0000] [7] [INFO] Booting worker with pid: 7"),
        (40, "model loaded"),
    ]
    return s


@second("request_too_large", "message")
def batch_256_instances(dice: Random) -> Scene:
    s = batch(dice)
    s.batch_size = dice.choice([256, 512, 1024])
    return s


@second("slow_startup", "message")
def probes_failed(dice: Random) -> Scene:
    return batch(
        dice,
        error={
            "code": 4,
            "message": dice.choice(
                [
                    "model server never became ready within the deployment timeout.",
                    "DEADLINE_EXCEEDED: The model server container did not become healthy in 2400s.",
                    "Model server exited or never became ready: startup probe failed after 2400 seconds",
                ]
            ),
        },
    )


# unknown
@second("unknown", "metrics+logs")
def idle_heartbeats(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice))
    s.lines = logs.heartbeats(dice, 0, s.seconds, "")
    return s


@second("unknown", "logs")
def heartbeats_alone(dice: Random) -> Scene:
    s = custom(dice, metrics=False)
    s.lines = logs.heartbeats(dice, 0, s.seconds, "")
    return s


@second("unknown", "metrics+logs")
def waits_for_lock(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice))
    s.lines = [
        (t, "waiting for lock /mnt/work/.lock held by pid 41")
        for t in evenly(dice, s, 0.02, 1, 200)
    ]
    return s


@second("unknown", "metrics+logs")
def waits_for_peers(dice: Random) -> Scene:
    s = custom(dice, workers=2)
    s.load = Load(idle(dice))
    s.lines = [
        (t, f"waiting for all workers to join ({dice.randrange(1, 2)}/2)")
        for t in evenly(dice, s, 0.02, 1, 100)
    ]
    return s


@second("unknown", "metrics+logs")
def gpu_full_waits_words(dice: Random) -> Scene:
    s = custom(dice, gpu=True)
    s.load = Load(flat(0.1), gpu=flat(0.97))
    s.lines = [(t, f"waiting for step {i}") for i, t in enumerate(evenly(dice, s, 0.02, 1, 100))]
    return s


@second("unknown", "metrics")
def memory_alone(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(flat(0.3), memory=flat(0.5))
    s.only = {"memory"}
    return s


@second("unknown", "telemetry")
def telemetry_of_the_last_minutes(dice: Random) -> Scene:
    s = custom(dice, telemetry=True, metrics=False)
    s.hours = 12
    s.load = full_load(dice)
    s.late = 0.97
    return s


@second("unknown", "message")
def nothing_other_words(dice: Random) -> Scene:
    return custom(
        dice,
        metrics=False,
        error={
            "code": 4,
            "message": dice.choice(
                [
                    "Training timed out.",
                    "timeout",
                    "The operation exceeded its deadline (504).",
                    "Time limit reached for custom job.",
                ]
            ),
        },
    )


# --- third wave ----------------------------------------------------------------------------------


@third("cpu_saturation", "metrics+logs")
def full_worker_and_idle_ps(dice: Random) -> Scene:
    """The chief is full all through; a second, light worker hardly does anything: the fullest counts."""
    s = custom(dice)
    s.load = full_load(dice)
    s.lines = [
        (t, f"worker 0: tree {i} grown") for i, t in enumerate(evenly(dice, s, 0.02, 1, 150))
    ]
    return s


@third("cpu_saturation", "metrics+logs")
def nextflow_full(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice)
    s.lines = [
        (
            t,
            f"[{dice.randrange(16**2):02x}/{dice.randrange(16**6):06x}] process > align_reads (sample_{i}) [{i}%] {i} of 400",
        )
        for i, t in enumerate(evenly(dice, s, 0.02, 1, 90))
    ]
    return s


@third("cpu_saturation", "metrics+logs")
def full_then_short_upload(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(early(0.9, 0.97, 0.04))
    s.lines = compute(s, "simulate", 0.01, 0.9, writers=logs.SECTION) + [
        (t, f"uploading result part {i} to gs://acme-out")
        for i, t in enumerate(evenly(dice, s, 0.9, 1, 20))
    ]
    return s


@third("cpu_saturation", "telemetry")
def batch_full_section_waitlike(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = full_load(dice)
    s.section = lambda _: ("api_handler", "handler.py:12 post")
    return s


@third("cpu_saturation", "telemetry")
def batch_full_with_far_model(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.buckets = {"acme-batch-in": dice.choice(FAR[s.region])}
    s.load = full_load(dice, received=flat(2e5))
    return s


@third("slow_code", "metrics+logs")
def r_script(dice: Random) -> Scene:
    s = custom(dice)
    s.load = one_thread(s)
    s.lines = [(3, "Loading required package: Matrix"), (30, "Attaching package: 'dplyr'")] + [
        (t, f'[1] "permutation {i} of 10000"') for i, t in enumerate(evenly(dice, s, 0.01, 1, 200))
    ]
    return s


@third("slow_code", "metrics+logs")
def nested_stages(dice: Random) -> Scene:
    s = custom(dice)
    s.load = one_thread(s)
    span = s.seconds
    s.lines = [
        (5, "[stage 1/5] load ... done in 4.2s"),
        (6, "[stage 2/5] clean ..."),
        (60, "[stage 2/5] clean ... done in 54.0s"),
        (61, "[stage 3/5] link records ..."),
        (0.85 * span, f"[stage 3/5] link records ... done in {0.85 * span - 61:.1f}s"),
        (0.85 * span + 1, "[stage 4/5] train ..."),
    ]
    return s


@third("slow_code", "metrics+logs")
def regex_backtracking(dice: Random) -> Scene:
    s = custom(dice)
    s.load = one_thread(s)
    s.lines = [
        (t, f"parsed document {i} ({dice.randrange(2, 900)} KB)")
        for i, t in enumerate(evenly(dice, s, 0.01, 1, 300))
    ]
    return s


@third("slow_code", "metrics+logs")
def one_thread_writes_to_gs(dice: Random) -> Scene:
    s = custom(dice)
    s.load = one_thread(s)
    s.lines = [
        (t, f"simulated path {i}, state saved to gs://acme-out/run/{i}")
        for i, t in enumerate(evenly(dice, s, 0.01, 1, 200))
    ]
    return s


@third("slow_code", "telemetry")
def batch_json_codec(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = one_thread(s)
    s.section = lambda _: ("handle_request", "json/decoder.py:355 raw_decode")
    return s


@third("slow_code", "telemetry")
def batch_fetch_named_but_parsing(dice: Random) -> Scene:
    """The section's name says fetch; one thread is busy parsing."""
    s = batch(dice, telemetry=True)
    s.machine, s.vcpus = "n1-standard-4", 4
    s.load = one_thread(s)
    s.section = lambda _: ("fetch_and_parse", "xml/etree/ElementTree.py:1718 feed")
    return s


@third("network_latency", "metrics+logs")
def dataset_download(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice), received=flat(2e6))
    s.lines = [
        (
            t,
            f"Downloading data: {i}%|{'#' * (i // 10):<10}| {i * 90}M/9.00G [{logs.hms(t)}<{logs.hms(s.seconds)}, 1.9MB/s]",
        )
        for i, t in enumerate(evenly(dice, s, 0.01, 1, 100))
    ]
    return s


@third("network_latency", "metrics+logs")
def pip_mirror(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice))
    s.lines = [
        (
            t,
            "WARNING: Retrying (Retry(total=4, connect=None, read=None, redirect=None, status=None)) after connection broken by 'ConnectTimeoutError(<pip._vendor.urllib3.connection.HTTPSConnection object>, 'Connection to mirror.acme.example timed out. (connect timeout=15)')': /simple/numpy/",
        )
        for t in evenly(dice, s, 0.01, 1, 100)
    ]
    return s


@third("network_latency", "metrics+logs")
def http_latency_ms(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice), received=flat(2e5))
    n = 300
    e = s.seconds / n * 1000
    s.lines = [
        (
            t,
            f'level=info msg="upstream call" host=scores.partner.example path=/v1/score latency_ms={e * dice.uniform(0.9, 0.98):.0f} status=200',
        )
        for t in evenly(dice, s, 0.01, 1, n)
    ]
    return s


@third("network_latency", "metrics+logs")
def far_bucket_epochs(dice: Random) -> Scene:
    s = custom(dice)
    far_bucket(s)
    s.load = Load(idle(dice), received=flat(dice.uniform(1e7, 5e7)))
    s.lines = compute(s, "train", writers=[logs.keras, logs.steps])
    return s


@third("network_latency", "telemetry")
def batch_camel_case(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = Load(idle(dice), received=flat(2e5))
    s.section = lambda _: (
        dice.choice(["fetchFeatures", "downloadImages", "callRemoteScorer", "queryBigQuery"]),
        None,
    )
    return s


@third("network_latency", "telemetry")
def batch_far_input_index(dice: Random) -> Scene:
    s = batch(dice, telemetry=True, env={"LOOKUP_DB": "postgresql://dw.partner.example:5432/x"})
    s.load = Load(idle(dice), received=flat(1e5))
    return s


@third("memory_pressure", "metrics+logs")
def jvm_gc(dice: Random) -> Scene:
    s = custom(dice, needs=("memory/utilization",))
    s.load = Load(early(0.5, 0.7, 0.2), memory=ramp(0.5, 0.98, 0.5))
    s.lines = [
        (
            t,
            f"[{t:.1f}s][info][gc] GC({i}) Pause Full (Ergonomics) 27900M->27850M(28000M) {dice.uniform(8000, 20000):.1f}ms",
        )
        for i, t in enumerate(evenly(dice, s, 0.5, 1, 120))
    ]
    return s


@third("memory_pressure", "telemetry")
def batch_climbs_at_each_request(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = Load(early(0.6, 0.4, 0.08), memory=lambda at: min(0.99, 0.3 + 1.2 * at))
    return s


@third("unknown", "metrics+logs")
def gpu_full_nccl(dice: Random) -> Scene:
    s = custom(dice, gpu=True)
    s.load = Load(flat(0.12), gpu=flat(0.99))
    s.lines = [(t, f"iter {i}: loss 1.{i}") for i, t in enumerate(evenly(dice, s, 0.01, 1, 100))]
    return s


@third("unknown", "metrics+logs")
def sleeping(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice))
    s.lines = [(t, "nothing to do, sleeping 60 s") for t in evenly(dice, s, 0.01, 1, 100)]
    return s


@third("unknown", "metrics+logs")
def debugger_left(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice))
    s.lines = [(20, "debugpy listening on port 5678"), (21, "waiting for debugger to attach")]
    return s


@third("unknown", "metrics+logs")
def half_full_no_section(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(flat(dice.uniform(0.55, 0.7)))
    return s


@third("unknown", "metrics+logs")
def full_only_in_last_tenth(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(lambda at: 0.02 if at < 0.9 else 0.98)
    return s


@third("unknown", "logs")
def epochs_only_and_far_tiny(dice: Random) -> Scene:
    s = custom(dice, metrics=False, inputs=["gs://acme-cfg/a.yaml"])
    s.buckets = {"acme-cfg": NEAR[s.region][0]}
    s.lines = compute(s, writers=[logs.keras, logs.lightning])
    return s


@third("request_too_large", "telemetry", "unknown")
def batch_gpu_full_far_tiny(dice: Random) -> Scene:
    s = batch(dice, gpu=True, telemetry=True)
    s.load = Load(flat(0.1), gpu=flat(0.98), received=flat(1e4))
    s.env = {"CFG": "gs://acme-cfg/x.json"}
    s.buckets = {"acme-cfg": dice.choice(FAR[s.region])}
    return s


@third("request_too_large", "logs")
def batch_json_request_logs(dice: Random) -> Scene:
    s = batch(dice)
    s.lines = [
        (t, f'{{"severity": "INFO", "message": "batch received", "instances": 64, "request": {i}}}')
        for i, t in enumerate(evenly(dice, s, 0.05, 1, 9))
    ]
    return s
