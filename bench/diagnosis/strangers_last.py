"""The fourth wave of strangers' cases, judged once before any rule was changed for it.

Sparse samples, durations as people write them, sections as JSON, full CPUs beside far data. Written
after the rules had been fixed for the third wave. Used by `strangers`; `stranger_scenes` says what a
scene is.
"""

from __future__ import annotations

from random import Random

from bench.diagnosis import stranger_logs as logs
from bench.diagnosis.stranger_jobs import Load, Scene
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
from bench.diagnosis.strangers_later import evenly

KINDS: list[Kind] = []
fourth = lister(KINDS, 4)


def sparse(s: Scene) -> Scene:
    s.gap = 0.8
    return s


# cpu
@fourth("cpu_saturation", "metrics")
def sparse_full(dice: Random) -> Scene:
    s = sparse(custom(dice))
    s.load = full_load(dice)
    return s


@fourth("cpu_saturation", "metrics+logs")
def full_noisy(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(lambda _: dice.uniform(0.82, 1))
    s.lines = compute(s)
    return s


@fourth("cpu_saturation", "metrics+logs")
def full_far_bucket_streaming(dice: Random) -> Scene:
    """Far data comes in at 20 MB/s but the CPUs are full: more CPU is what helps."""
    s = custom(dice)
    far_bucket(s)
    s.load = full_load(dice, received=flat(2e7))
    s.lines = compute(s)
    return s


@fourth("cpu_saturation", "metrics+logs")
def full_retry_chatter(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice)
    s.lines = compute(s) + [
        (t, "WARNING metadata request timed out, retrying in 5 s")
        for t in evenly(dice, s, 0, 1, 40)
    ]
    return s


@fourth("cpu_saturation", "telemetry")
def batch_full_gpu_idle(dice: Random) -> Scene:
    s = batch(dice, gpu=True, telemetry=True)
    s.load = full_load(dice, gpu=flat(0.03))
    s.section = lambda _: ("preprocess", "resize.py:4 resize")
    return s


@fourth("cpu_saturation", "metrics+logs")
def full_spark_stage(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice)
    s.lines = [
        (t, f"[Stage 4:{'=' * (i // 8)}>{' ' * 10}({i * 9} + 16) / 2000]")
        for i, t in enumerate(evenly(dice, s, 0.02, 1, 120))
    ]
    return s


# code
@fourth("slow_code", "metrics+logs")
def sparse_one_thread(dice: Random) -> Scene:
    s = sparse(custom(dice))
    s.load = one_thread(s)
    s.lines = compute(s, writers=logs.SECTION, start=0.02)
    return s


@fourth("slow_code", "metrics+logs")
def start_end_json(dice: Random) -> Scene:
    s = custom(dice)
    s.load = one_thread(s)
    n = dice.choice(logs.SECTIONS)
    s.lines = [
        (2, '{"event": "stage_start", "stage": "load"}'),
        (50, '{"event": "stage_end", "stage": "load", "seconds": 48.2}'),
        (51, f'{{"event": "stage_start", "stage": "{n}"}}'),
        (
            0.9 * s.seconds,
            f'{{"event": "stage_end", "stage": "{n}", "seconds": {0.9 * s.seconds - 51:.1f}}}',
        ),
        (0.9 * s.seconds + 1, '{"event": "stage_start", "stage": "fit"}'),
    ]
    return s


@fourth("slow_code", "metrics+logs")
def human_durations(dice: Random) -> Scene:
    s = custom(dice)
    s.load = one_thread(s)
    n = dice.choice(logs.SECTIONS)
    h = s.hours * 0.85
    s.lines = [
        (3, "loading"),
        (40, "loaded in 37s"),
        (40 + h * 3600, f"{n}: finished, took {int(h)}h {int(h * 60 % 60)}m 12s"),
        (60 + h * 3600, "fitting"),
    ]
    return s


@fourth("slow_code", "metrics+logs")
def half_a_thread(dice: Random) -> Scene:
    """Sleeps between computations of its own loop; the loop's lines come all along."""
    s = custom(dice)
    s.machine, s.vcpus = "n1-standard-4", 4
    s.load = Load(flat(0.2))
    s.lines = compute(s, writers=logs.SECTION, start=0.02)
    return s


@fourth("slow_code", "telemetry")
def sections_share_sixty(dice: Random) -> Scene:
    s = custom(dice, telemetry=True, metrics=False)
    s.load = one_thread(s)
    s.section = lambda at: (
        ("merge_tables", "merge.py:3 merge")
        if int(at * 100) % 10 < 7
        else ("write_part", "io.py:2 write")
    )
    return s


@fourth("slow_code", "metrics+logs")
def timing_table(dice: Random) -> Scene:
    s = custom(dice)
    s.load = one_thread(s)
    s.lines = [
        (t, f"iteration {i} | feature build 118.2s | fit 3.1s | score 0.4s")
        for i, t in enumerate(evenly(dice, s, 0.01, 1, int(s.seconds / 122)))
    ]
    return s


@fourth("slow_code", "telemetry")
def batch_gil(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = one_thread(s, received=flat(1e6))
    s.section = lambda _: ("handle", "spacy/language.py:1040 __call__")
    return s


# network
@fourth("network_latency", "metrics+logs")
def sparse_idle_fetch(dice: Random) -> Scene:
    s = sparse(custom(dice))
    s.load = Load(idle(dice), received=flat(1e6))
    s.lines = logs.gets(dice, 20, s.seconds, dice.choice(HOSTS))
    return s


@fourth("network_latency", "metrics+logs")
def fetch_and_brief_compute(dice: Random) -> Scene:
    """Each pass waits 70 % and computes 30 %."""
    s = custom(dice)
    s.load = Load(flat(0.06))
    n = 60
    each = s.seconds / n
    for i in range(n):
        t = i * each
        s.lines += [
            (t + 0.7 * each, f"fetched {HOSTS[0]}/tile/{i} in {0.7 * each:.1f}s"),
            (t + 0.99 * each, f"tile {i} processed in {0.29 * each:.1f}s"),
        ]
    return s


@fourth("network_latency", "metrics+logs")
def single_long_download(dice: Random) -> Scene:
    s = custom(dice, args=["--url", "https://ftp.ensembl.example/big.tar"])
    s.load = Load(idle(dice), received=flat(2e6))
    s.lines = [(3, "starting"), (5, "downloading https://ftp.ensembl.example/big.tar (412 GB)")]
    return s


@fourth("network_latency", "metrics+logs")
def far_bucket_open(dice: Random) -> Scene:
    s = custom(dice)
    far_bucket(s)
    s.load = Load(idle(dice), received=flat(8e6))
    s.lines = [
        (t, f"opening gs://acme-raw/shards/part-{i:04d}.tfrecord")
        for i, t in enumerate(evenly(dice, s, 0.01, 1, 120))
    ]
    return s


@fourth("network_latency", "metrics+logs")
def api_pages_plain(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice), received=flat(1e5))
    s.lines = [
        (t, f"page {i} received from partner API ({dice.uniform(20, 60):.0f} s)")
        for i, t in enumerate(evenly(dice, s, 0.01, 1, int(s.seconds / 61)))
    ]
    return s


@fourth("network_latency", "metrics+probe")
def slow_probe_and_log(dice: Random) -> Scene:
    s = custom(dice, args=[f"--api={HOSTS[1]}"])
    s.load = Load(idle(dice))
    s.probes = [{"url": HOSTS[1], "seconds": 1.4, "from": s.region}]
    s.lines = [(t, f"record {i} enriched") for i, t in enumerate(evenly(dice, s, 0.01, 1, 150))]
    return s


@fourth("network_latency", "telemetry")
def batch_idle_fetch_half(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = Load(idle(dice), received=flat(1e5))
    s.section = lambda at: (
        ("fetch_embeddings", "socket.py:705 readinto")
        if int(at * 100) % 10 < 7
        else ("predict", "model.py:3 predict")
    )
    return s


@fourth("network_latency", "telemetry")
def batch_bandwidth(dice: Random) -> Scene:
    s = batch(dice, telemetry=True, many=True)
    s.load = Load(flat(0.08), received=flat(1.2e9))
    return s


# others
@fourth("unknown", "metrics+logs")
def gpu_full_far_bucket_tiny(dice: Random) -> Scene:
    s = custom(dice, gpu=True)
    far_bucket(s, "acme-cfg")
    s.load = Load(flat(0.1), gpu=flat(0.97), received=flat(1e4))
    s.lines = compute(s, "train", writers=[logs.keras, logs.lightning, logs.steps])
    return s


@fourth("unknown", "metrics+logs")
def full_half_idle_half_no_log(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(early(0.4, 0.98, 0.02))
    return s


@fourth("unknown", "metrics")
def steady_sixty(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(flat(0.65))
    return s


@fourth("unknown", "metrics+logs")
def stopped_logging(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(early(0.2, 0.4, 0.01))
    s.lines = compute(s, "train", 0.01, 0.2, writers=[logs.keras, logs.steps])
    return s


@fourth("unknown", "message")
def nothing_with_gpu(dice: Random) -> Scene:
    return custom(dice, gpu=True, metrics=False)


@fourth("unknown", "probe")
def quick_probe_idle(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice))
    s.probes = [{"url": HOSTS[0], "seconds": 0.05, "from": s.region}]
    return s


@fourth("memory_pressure", "metrics+logs")
def memory_full_pandas(dice: Random) -> Scene:
    s = custom(dice, needs=("memory/utilization",))
    s.load = Load(early(0.3, 0.3, 0.03), memory=ramp(0.2, 0.99, 0.3))
    s.lines = [(3, "concatenating 400 frames")]
    return s


@fourth("cpu_saturation", "metrics")
def full_and_memory_full(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice, memory=flat(0.96))
    return s


@fourth("accelerator_missing", "telemetry")
def batch_gpu_log_full(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = full_load(dice)
    s.lines = [
        (
            5,
            dice.choice(
                [
                    "Device set to use cpu: no CUDA device found",
                    "WARNING: torch.cuda.is_available() returned False, model runs on CPU",
                    "CUDA initialization: Found no NVIDIA driver on your system; falling back to CPU",
                ]
            ),
        )
    ]
    return s


@fourth("accelerator_missing", "metrics+logs")
def wants_gpu_by_env_flag(dice: Random) -> Scene:
    s = custom(dice, env={"USE_GPU": "true"}, image="us-docker.pkg.dev/acme/t:1")
    s.load = full_load(dice)
    s.lines = compute(s, "train", writers=[logs.keras, logs.steps])
    return s


@fourth("request_too_large", "telemetry", "unknown")
def batch_half_full_predict(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = Load(flat(0.6))
    s.section = lambda _: ("predict", "model.py:3 predict")
    return s


@fourth("request_too_large", "message")
def partial_of_many(dice: Random) -> Scene:
    s = batch(dice, state="JOB_STATE_PARTIALLY_SUCCEEDED")
    s.partial = [
        {
            "code": 4,
            "message": "Exceeded retries: Non-OK result 504 (upstream request timeout) from server, retry=3, elapsed=600.11s.",
        }
    ] * 5
    s.error = None
    return s
