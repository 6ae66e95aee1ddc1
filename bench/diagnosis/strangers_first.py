"""The first wave of strangers' cases, written before the rules of the diagnosis were read.

From the contract, the facts about Vertex and issue threads alone. Misleading ones are among them:
full CPUs for the first tenth only, one busy thread on 4 to 32 vCPUs, a full GPU beside idle CPUs, a
far bucket with a few bytes, sections long by their own words while the CPUs are full. A long file
because it is a list. Used by `strangers`; `stranger_scenes` says what a scene is.
"""

from __future__ import annotations

from random import Random

from bench.diagnosis import stranger_logs as logs
from bench.diagnosis.stranger_jobs import FAR, NEAR, Line, Load, Scene, batch_504
from bench.diagnosis.stranger_scenes import (
    CPU_HOST,
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
    messy,
    one_thread,
    ramp,
)

KINDS: list[Kind] = []
scene = lister(KINDS, 1)


# --- custom: full --------------------------------------------------------------------------------
@scene("cpu_saturation", "metrics+logs", n=10)
def full(dice: Random) -> Scene:
    s = messy(custom(dice))
    s.load = full_load(dice)
    s.lines = compute(s)
    return s


@scene("cpu_saturation", "metrics")
def full_metrics_only(dice: Random) -> Scene:
    s = messy(custom(dice))
    s.load = full_load(dice)
    return s


@scene("cpu_saturation", "metrics")
def full_cpu_series_alone(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice)
    s.only = {"cpu"}
    return s


@scene("cpu_saturation", "telemetry")
def full_telemetry(dice: Random) -> Scene:
    s = messy(custom(dice, telemetry=True, metrics=False))
    s.load = full_load(dice)
    if dice.random() < 0.5:
        s.lines = compute(s)
    if dice.random() < 0.5:
        s.section = lambda _: ("train", "train.py:88 fit")
    return s


@scene("cpu_saturation", "metrics+logs", n=4)
def full_heartbeats(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice)
    s.lines = logs.heartbeats(dice, 0, s.seconds, "")
    return s


@scene("cpu_saturation", "metrics+logs")
def full_far_tiny_bucket(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice)
    s.inputs = ["gs://acme-config/labels.csv"]
    s.buckets = {"acme-config": dice.choice(FAR[s.region])}
    s.lines = [(20, "loaded gs://acme-config/labels.csv (1.2 MB) in 0.9s"), *compute(s)]
    return s


@scene("cpu_saturation", "metrics+logs")
def full_long_section_by_its_words(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice)
    what = dice.choice(logs.SECTIONS)
    s.lines = [
        (5, f"starting {what}"),
        (0.9 * s.seconds, f"{what} took {0.9 * s.seconds - 5:.1f}s"),
        (0.9 * s.seconds + 1, "starting fit"),
        *compute(s, "fit", 0.91),
    ]
    return s


@scene("cpu_saturation", "metrics+logs")
def full_one_section_loops(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice)
    s.lines = [(5, "reading config"), (9, "config ok"), *compute(s, writers=logs.SECTION)]
    return s


@scene("cpu_saturation", "metrics+logs")
def full_network_high(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice, received=flat(dice.uniform(1.5e8, 6e8)))
    s.lines = compute(s, "decode")
    return s


@scene("cpu_saturation", "metrics+logs")
def full_fetch_lines_too(dice: Random) -> Scene:
    """Fetches are short beside the work."""
    s = custom(dice)
    s.load = full_load(dice, received=flat(5e6))
    s.lines = compute(s)
    s.lines += [
        (t, f"GET {CPU_HOST}/v1/page/{i} 200 in {dice.uniform(0.1, 0.5):.2f}s")
        for i, t in enumerate(logs.ticks(dice, 0, s.seconds, 60))
    ]
    return s


@scene("cpu_saturation", "metrics+logs")
def full_host_in_args(dice: Random) -> Scene:
    s = custom(dice, args=[f"--api={dice.choice(HOSTS)}", "--epochs=50"])
    s.load = full_load(dice)
    s.lines = compute(s)
    return s


@scene("cpu_saturation", "metrics+logs")
def full_high_flat_memory(dice: Random) -> Scene:
    s = custom(dice)
    s.load = full_load(dice, memory=flat(dice.uniform(0.8, 0.88)))
    s.lines = compute(s)
    return s


@scene("cpu_saturation", "metrics+logs")
def full_two_workers(dice: Random) -> Scene:
    s = messy(custom(dice, workers=2))
    s.load = full_load(dice)
    s.lines = compute(s)
    return s


@scene("cpu_saturation", "metrics+logs")
def gpu_starved_by_full_cpu(dice: Random) -> Scene:
    s = custom(dice, gpu=True)
    s.load = full_load(dice, gpu=flat(dice.uniform(0.03, 0.15)))
    s.lines = compute(s, writers=[logs.keras, logs.lightning, logs.steps, logs.tqdm])
    return s


@scene("cpu_saturation", "metrics+logs")
def full_after_short_load(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(early(0.08, 0.1, 0.98), received=early(0.08, 8e7, 1e4))
    s.lines = [
        (0.08 * s.seconds, f"downloaded 40 files from gs://acme-in in {0.08 * s.seconds:.0f}s"),
        *compute(s, start=0.09),
    ]
    return s


@scene("cpu_saturation", "metrics+logs")
def full_tf_says_no_cuda_drivers(dice: Random) -> Scene:
    s = custom(dice, image="us-docker.pkg.dev/vertex-ai/training/tf-cpu.2-14.py310:latest")
    s.load = full_load(dice)
    s.lines = [
        (4, "Could not find cuda drivers on your machine, GPU will not be used."),
        (
            4.1,
            "This TensorFlow binary is optimized to use available CPU instructions in performance-critical operations.",
        ),
        *compute(s, writers=[logs.keras]),
    ]
    return s


@scene("cpu_saturation", "metrics+logs", n=4)
def full_gpu_hidden_on_purpose(dice: Random) -> Scene:
    s = custom(dice, env={"CUDA_VISIBLE_DEVICES": "-1"})
    s.load = full_load(dice)
    s.lines = [(3, "device: cpu"), *compute(s)]
    return s


# --- custom: code --------------------------------------------------------------------------------
def phases(s: Scene, what: str) -> list[Line]:
    a, b = s.dice.uniform(0.01, 0.03), s.dice.uniform(0.8, 0.93)
    span = s.seconds
    took = (b - a) * span
    opener = s.dice.choice(["starting {w}", "INFO root: stage {w} begins", ">>> {w}"])
    closer = s.dice.choice(["{w} finished in {s:.0f}s", "{w} done ({s:.1f} s)", "stage {w} ended"])
    return [
        (2, "reading configuration"),
        (a * span - 1, "data loaded, 812 columns"),
        (a * span, opener.format(w=what)),
        (b * span, closer.format(w=what, s=took)),
        (b * span + 1, "training model"),
        *s.dice.choice([logs.xgboost, logs.keras, logs.steps])(s.dice, b * span + 5, span, "train"),
    ]


@scene("slow_code", "metrics+logs", n=10)
def one_thread_phases(dice: Random) -> Scene:
    s = messy(custom(dice))
    s.load = one_thread(s)
    s.lines = phases(s, dice.choice(logs.SECTIONS))
    return s


@scene("slow_code", "metrics+logs", n=10)
def one_thread_section_loop(dice: Random) -> Scene:
    s = messy(custom(dice))
    s.load = one_thread(s)
    s.lines = [
        (2, "reading configuration"),
        (30, "data loaded"),
        *compute(s, writers=logs.SECTION, start=0.02),
    ]
    return s


@scene("slow_code", "metrics+logs")
def one_thread_growing(dice: Random) -> Scene:
    s = custom(dice)
    s.load = one_thread(s)
    s.lines = logs.growing(dice, 30, s.seconds, dice.choice(logs.SECTIONS))
    return s


@scene("slow_code", "metrics+logs")
def one_thread_host_in_args(dice: Random) -> Scene:
    s = custom(dice, args=[f"--source={dice.choice(HOSTS)}"])
    s.load = one_thread(s)
    s.lines = [(40, "fetched 3 MB in 2.1s"), *compute(s, writers=logs.SECTION, start=0.02)]
    return s


@scene("slow_code", "metrics+logs")
def one_thread_far_tiny_bucket(dice: Random) -> Scene:
    s = custom(dice, inputs=["gs://acme-config/labels.csv"])
    s.load = one_thread(s)
    s.buckets = {"acme-config": dice.choice(FAR[s.region])}
    s.lines = [
        (12, "read gs://acme-config/labels.csv in 1.4s"),
        *compute(s, writers=logs.SECTION, start=0.02),
    ]
    return s


@scene("slow_code", "metrics+logs")
def one_thread_gpu_idle(dice: Random) -> Scene:
    s = custom(dice, gpu=True)
    s.load = one_thread(s, gpu=flat(dice.uniform(0, 0.06)))
    s.lines = [(5, "cuda device found"), *compute(s, writers=logs.SECTION, start=0.02)]
    return s


@scene("slow_code", "telemetry")
def one_thread_telemetry(dice: Random) -> Scene:
    s = messy(custom(dice, telemetry=True, metrics=False))
    s.load = one_thread(s)
    what = dice.choice(logs.SECTIONS)
    b = dice.uniform(0.75, 0.95)
    s.section = lambda at: (
        ("load", None)
        if at < 0.03
        else ((what, f"{what}.py:41 inner") if at < b else ("train", "fit.py:9 fit"))
    )
    return s


@scene("slow_code", "telemetry")
def one_thread_stack_only(dice: Random) -> Scene:
    s = custom(dice, telemetry=True, metrics=False)
    s.load = one_thread(s)
    s.section = lambda at: (
        (None, "features.py:212 pairwise_overlap") if at > 0.05 else (None, "main.py:3 setup")
    )
    return s


@scene("slow_code", "metrics+logs")
def full_first_tenth_then_one_thread(dice: Random) -> Scene:
    s = custom(dice, many=True)
    s.load = Load(early(0.1, 0.99, 1 / s.vcpus))
    what = dice.choice(logs.SECTIONS)
    s.lines = [
        (3, "building index with all cores"),
        (0.1 * s.seconds, "index ready"),
        *compute(s, what, 0.11, writers=logs.SECTION),
    ]
    return s


@scene("slow_code", "metrics")
def one_thread_two_workers_logs(dice: Random) -> Scene:
    s = custom(dice, workers=2)
    s.load = one_thread(s)
    s.lines = phases(s, dice.choice(logs.SECTIONS))
    return s


@scene("unknown", "metrics", "slow_code")
def one_thread_no_log(dice: Random) -> Scene:
    s = custom(dice)
    s.load = one_thread(s)
    return s


@scene("slow_code", "logs", "unknown")
def section_by_its_words_no_metrics(dice: Random) -> Scene:
    s = custom(dice, metrics=False)
    s.lines = phases(s, dice.choice(logs.SECTIONS))
    return s


# --- custom: network -----------------------------------------------------------------------------
def far_bucket(s: Scene, name: str = "acme-raw") -> None:
    s.inputs = [f"gs://{name}/shards/*"]
    s.buckets = {name: s.dice.choice(FAR[s.region])}


@scene("network_latency", "metrics+logs", n=8)
def far_bucket_fetches(dice: Random) -> Scene:
    s = messy(custom(dice))
    far_bucket(s)
    s.load = Load(idle(dice), received=flat(dice.uniform(2e6, 3e7)))
    s.lines = dice.choice([logs.shards, logs.gs_copies])(dice, 20, s.seconds, "gs://acme-raw")
    return s


@scene("network_latency", "metrics+logs", n=8)
def external_host_fetches(dice: Random) -> Scene:
    s = messy(custom(dice))
    host = dice.choice(HOSTS)
    if dice.random() < 0.5:
        s.args = [f"--url={host}"]
    s.load = Load(idle(dice), received=flat(dice.uniform(1e4, 2e6)))
    s.lines = dice.choice([logs.gets, logs.httpx_ms])(dice, 20, s.seconds, host)
    return s


@scene("network_latency", "metrics+logs")
def retry_storm(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice))
    s.lines = logs.retries(dice, 30, s.seconds, dice.choice(HOSTS))
    return s


@scene("network_latency", "metrics+logs")
def waits_for_a_host(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice))
    s.lines = logs.waiting(dice, 30, s.seconds, dice.choice(HOSTS))
    return s


@scene("network_latency", "logs")
def fetches_by_log_alone(dice: Random) -> Scene:
    s = custom(dice, metrics=False)
    s.lines = dice.choice([logs.gets, logs.httpx_ms, logs.shards])(
        dice, 20, s.seconds, dice.choice(HOSTS)
    )
    return s


@scene("network_latency", "logs")
def far_bucket_fetches_by_log_alone(dice: Random) -> Scene:
    s = custom(dice, metrics=False)
    far_bucket(s)
    s.lines = dice.choice([logs.shards, logs.gs_copies])(dice, 20, s.seconds, "gs://acme-raw")
    return s


@scene("network_latency", "metrics")
def bandwidth_metrics_only(dice: Random) -> Scene:
    s = custom(dice, many=True)
    s.load = Load(flat(dice.uniform(0.04, 0.12)), received=flat(dice.uniform(1.4e9, 1.9e9)))
    return s


@scene("network_latency", "metrics")
def far_bucket_streamed_no_log(dice: Random) -> Scene:
    s = custom(dice)
    far_bucket(s)
    s.load = Load(idle(dice), received=flat(dice.uniform(1.5e7, 8e7)))
    return s


@scene("network_latency", "metrics+logs")
def gpu_starved_by_far_bucket(dice: Random) -> Scene:
    s = custom(dice, gpu=True)
    far_bucket(s)
    s.load = Load(idle(dice), gpu=flat(0.04), received=flat(dice.uniform(1e7, 6e7)))
    n = dice.randrange(40, 200)
    each = s.seconds / n
    s.lines = [
        (
            t,
            f"Epoch: [0][{i}/9000]\tTime {each:.2f} ({each:.2f})\tData {each * 0.96:.2f} ({each * 0.96:.2f})\tLoss {dice.random():.3f}",
        )
        for i, t in enumerate(logs.ticks(dice, 10, s.seconds, n))
    ]
    return s


@scene("network_latency", "metrics+logs")
def full_first_tenth_then_fetches(dice: Random) -> Scene:
    s = custom(dice)
    host = dice.choice(HOSTS)
    s.load = Load(early(0.1, 0.99, 0.03), received=flat(3e5))
    s.lines = compute(s, "warmup", 0, 0.1) + logs.gets(dice, 0.1 * s.seconds, s.seconds, host)
    return s


@scene("network_latency", "metrics+probe")
def probe_from_region_slow(dice: Random) -> Scene:
    s = custom(dice)
    host = dice.choice(HOSTS)
    s.args = [f"--api={host}"]
    s.load = Load(idle(dice), received=flat(4e4))
    s.probes = [{"url": host + "/", "seconds": dice.uniform(0.9, 4), "from": s.region}]
    s.lines = [(3, "starting"), (5, f"pulling records from {host}")]
    return s


@scene("network_latency", "telemetry")
def telemetry_fetch_section(dice: Random) -> Scene:
    s = messy(custom(dice, telemetry=True, metrics=False))
    s.load = Load(idle(dice), received=flat(2e5))
    what, stack = dice.choice(
        [
            ("fetch_features", "client.py:77 get"),
            ("download", "adapters.py:667 send"),
            ("read_remote", "socket.py:705 readinto"),
            ("bq_read", "reader.py:10 rows"),
        ]
    )
    s.section = lambda at: (what, stack) if at > 0.04 else ("init", None)
    return s


@scene("network_latency", "telemetry")
def telemetry_far_bucket_stream(dice: Random) -> Scene:
    s = custom(dice, telemetry=True, metrics=False)
    far_bucket(s)
    s.load = Load(idle(dice), received=flat(dice.uniform(2e7, 7e7)))
    s.section = lambda _: ("read_shards", "gcsfs/core.py:411 _call")
    return s


# --- custom: others ------------------------------------------------------------------------------
@scene("unknown", "metrics+logs", n=8)
def gpu_full(dice: Random) -> Scene:
    s = custom(dice, gpu=True)
    s.load = Load(flat(dice.uniform(0.06, 0.25)), gpu=flat(dice.uniform(0.93, 1)))
    s.lines = compute(s, writers=[logs.keras, logs.lightning, logs.steps, logs.tqdm])
    return s


@scene("unknown", "metrics")
def gpu_full_metrics_only(dice: Random) -> Scene:
    s = custom(dice, gpu=True)
    s.load = Load(one_thread(s).cpu, gpu=flat(dice.uniform(0.93, 1)))
    return s


@scene("unknown", "telemetry")
def gpu_full_telemetry(dice: Random) -> Scene:
    s = custom(dice, gpu=True, telemetry=True, metrics=False)
    s.load = Load(flat(dice.uniform(0.06, 0.2)), gpu=flat(0.97))
    s.section = lambda _: ("train_step", "model.py:88 forward")
    return s


@scene("accelerator_missing", "metrics+logs", n=8)
def wanted_gpu_log(dice: Random) -> Scene:
    s = custom(
        dice,
        image=dice.choice(
            [
                "us-docker.pkg.dev/vertex-ai/training/pytorch-gpu.2-1.py310:latest",
                "us-docker.pkg.dev/acme/train/llm:2",
            ]
        ),
    )
    s.load = full_load(dice)
    s.lines = [
        (
            8,
            dice.choice(
                [
                    "WARNING: CUDA requested but not available, falling back to CPU",
                    "torch.cuda.is_available() = False; running on CPU, this will be very slow",
                    "UserWarning: User provided device_type of 'cuda', but CUDA is not available. Disabling",
                    "No GPU found, using CPU instead (expected cuda:0)",
                ]
            ),
        ),
        *compute(s, writers=[logs.steps, logs.tqdm, logs.lightning]),
    ]
    return s


@scene("accelerator_missing", "metrics", n=4)
def wanted_gpu_by_args(dice: Random) -> Scene:
    s = custom(dice, args=[dice.choice(["--device=cuda", "--accelerator=gpu", "--device=cuda:0"])])
    s.load = full_load(dice)
    return s


@scene("memory_pressure", "metrics+logs")
def memory_thrash_dask(dice: Random) -> Scene:
    s = custom(dice, needs=("memory/utilization", "Pausing"))
    s.load = Load(ramp(0.5, 0.15), memory=ramp(0.4, 0.97, 0.5))
    s.lines = [
        (
            t,
            f"distributed.worker.memory - WARNING - Worker is at {dice.randrange(81, 96)}% memory usage. Pausing worker.  Process memory: 27.{dice.randrange(9)} GiB -- Worker memory limit: 28.0 GiB",
        )
        for t in logs.ticks(dice, 0.5 * s.seconds, s.seconds, 90)
    ]
    s.lines += compute(s, "merge", 0.01, 0.5, writers=logs.SECTION)
    return s


@scene("memory_pressure", "metrics")
def memory_thrash_metrics_only(dice: Random) -> Scene:
    s = custom(dice, needs=("memory/utilization",))
    s.load = Load(early(0.45, 0.7, 0.12), memory=ramp(0.3, 0.99, 0.45))
    return s


@scene("memory_pressure", "telemetry")
def memory_thrash_telemetry(dice: Random) -> Scene:
    s = custom(dice, telemetry=True, metrics=False)
    s.load = Load(early(0.5, 0.6, 0.1), memory=ramp(0.4, 0.99, 0.5))
    return s


# --- custom: nothing to say ----------------------------------------------------------------------
@scene("unknown", "message", n=8)
def nothing(dice: Random) -> Scene:
    return custom(dice, metrics=False)


@scene("unknown", "metrics")
def idle_no_log(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(idle(dice), received=flat(2e3))
    return s


@scene("unknown", "metrics")
def full_first_tenth_then_idle(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(early(0.1, 0.99, 0.02))
    return s


@scene("unknown", "metrics+logs")
def even_phases_middling_cpu(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(flat(dice.uniform(0.4, 0.6)))
    names = dice.sample(logs.SECTIONS, 5)
    for i, what in enumerate(names):
        s.lines += [
            (s.seconds * i / 5 + 1, f"begin {what}"),
            *dice.choice(logs.SECTION)(
                dice, s.seconds * i / 5 + 2, s.seconds * (i + 1) / 5 - 2, what
            ),
            (s.seconds * (i + 1) / 5 - 1, f"end {what}"),
        ]
    return s


@scene("unknown", "logs")
def compute_log_no_metrics(dice: Random) -> Scene:
    s = custom(dice, metrics=False)
    s.lines = compute(s, writers=[logs.keras, logs.lightning, logs.xgboost, logs.steps, logs.tqdm])
    return s


@scene("unknown", "metrics+logs")
def deadlock(dice: Random) -> Scene:
    s = custom(dice, workers=2)
    s.load = Load(idle(dice))
    s.lines = [(30, "rank 0: initialised"), (31, "rank 1: initialised"), (40, "entering barrier")]
    return s


@scene("unknown", "metrics")
def two_points_of_full(dice: Random) -> Scene:
    s = custom(dice)
    s.hours = 6
    s.load = full_load(dice)
    s.until = 0.006
    return s


@scene("unknown", "probe", n=4)
def probe_from_elsewhere(dice: Random) -> Scene:
    s = custom(dice, metrics=False)
    host = dice.choice(HOSTS)
    s.args = [f"--api={host}"]
    s.probes = [
        {
            "url": host,
            "seconds": 1.9,
            "from": dice.choice(["laptop", "asia-south1", "southamerica-east1"]),
        }
    ]
    return s


@scene("unknown", "metrics", n=4)
def network_series_alone(dice: Random) -> Scene:
    s = custom(dice)
    s.load = Load(flat(0.5))
    s.only = {"network"}
    return s


@scene("unknown", "metrics", n=4)
def near_bucket_idle(dice: Random) -> Scene:
    s = custom(dice, inputs=["gs://acme-near/x"])
    s.buckets = {"acme-near": dice.choice(NEAR[s.region])}
    s.load = Load(idle(dice))
    return s


# --- batch ---------------------------------------------------------------------------------------
@scene("request_too_large", "message", n=8)
def bare_504(dice: Random) -> Scene:
    return batch(dice)


@scene("request_too_large", "message")
def bare_504_partial(dice: Random) -> Scene:
    s = batch(dice, state=dice.choice(["JOB_STATE_SUCCEEDED", "JOB_STATE_PARTIALLY_SUCCEEDED"]))
    s.error = None
    s.partial = [{"code": 13, "message": batch_504(dice)} for _ in range(dice.randrange(1, 9))]
    return s


@scene("request_too_large", "error_file")
def bare_504_error_file(dice: Random) -> Scene:
    s = batch(
        dice,
        error={
            "code": 13,
            "message": dice.choice(
                [
                    "Batch prediction failed. See the errors in the output location.",
                    "The batch prediction job failed: all instances failed.",
                    "INTERNAL",
                ]
            ),
        },
    )
    s.files = {
        "gs://acme-batch-out/x/prediction-scorer-2026/prediction.errors_stats-00000-of-00001": "\n".join(
            f"('Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result 504 (upstream request timeout) from server, retry=3, elapsed={600 + dice.random():.2f}s.', {dice.randrange(1, 65)})"
            for _ in range(dice.randrange(1, 30))
        )
    }
    return s


@scene("request_too_large", "message", n=4)
def body_too_large(dice: Random) -> Scene:
    return batch(
        dice,
        error={
            "code": dice.choice([3, 13]),
            "message": dice.choice(
                [
                    "('Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result 413 (Request Entity Too Large) from server, retry=3, elapsed=2.11s.', 64)",
                    "Exceeded retries: Non-OK result 413 (Payload Too Large) from server, retry=3, elapsed=0.40s.",
                ]
            ),
        },
    )


@scene("cpu_saturation", "telemetry", n=8)
def batch_full(dice: Random) -> Scene:
    s = messy(batch(dice, telemetry=True))
    s.load = full_load(dice)
    if dice.random() < 0.5:
        s.section = lambda _: ("predict", "model.py:30 predict")
    return s


@scene("cpu_saturation", "telemetry")
def batch_full_download_and_decode(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = full_load(dice, received=flat(4e7))
    s.section = lambda _: ("download_and_decode", "pil.py:41 decode")
    return s


@scene("cpu_saturation", "telemetry")
def batch_full_far_tiny(dice: Random) -> Scene:
    s = batch(dice, telemetry=True, env={"CONFIG": "gs://acme-config/labels.json"})
    s.buckets = {"acme-config": dice.choice(FAR[s.region])}
    s.load = full_load(dice)
    return s


@scene("slow_code", "telemetry", n=8)
def batch_one_thread(dice: Random) -> Scene:
    s = messy(batch(dice, telemetry=True))
    s.load = one_thread(s)
    what = dice.choice(logs.SECTIONS)
    s.section = lambda at: (
        (what, f"app.py:41 {what}") if int(at * 100) % 10 else ("predict", "app.py:60 predict")
    )
    return s


@scene("slow_code", "telemetry")
def batch_first_tenth_full_then_one_thread(dice: Random) -> Scene:
    s = batch(dice, telemetry=True, many=True)
    s.load = Load(early(0.1, 0.99, 1 / s.vcpus))
    what = dice.choice(logs.SECTIONS)
    s.section = lambda at: ("load_model", None) if at < 0.1 else (what, f"app.py:41 {what}")
    return s


@scene("network_latency", "telemetry", n=8)
def batch_fetch_section(dice: Random) -> Scene:
    s = messy(batch(dice, telemetry=True))
    s.load = Load(idle(dice), received=flat(1e5))
    what, stack = dice.choice(
        [
            ("fetch_features", "client.py:77 get"),
            ("download_image", "urllib3/connectionpool.py:790 urlopen"),
            ("feature_store_lookup", "grpc/_channel.py:1160 __call__"),
            ("http", "adapters.py:667 send"),
        ]
    )
    s.section = lambda _: (what, stack)
    return s


@scene("network_latency", "telemetry+logs")
def batch_idle_fetch_log(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    host = dice.choice(HOSTS)
    s.load = Load(idle(dice), received=flat(5e5))
    s.env = {"FEATURES_URL": host}
    s.lines = dice.choice([logs.gets, logs.httpx_ms])(dice, 20, s.seconds, host)
    return s


@scene("network_latency", "logs")
def batch_fetch_log_alone(dice: Random) -> Scene:
    s = batch(dice)
    host = dice.choice(HOSTS)
    s.lines = dice.choice([logs.gets, logs.httpx_ms, logs.retries])(dice, 20, s.seconds, host)
    return s


@scene("network_latency", "logs")
def batch_far_bucket_log(dice: Random) -> Scene:
    s = batch(dice, env={"EMBEDDINGS": "gs://acme-embeddings/v3"})
    s.buckets = {"acme-embeddings": dice.choice(FAR[s.region])}
    s.lines = logs.gs_copies(dice, 20, s.seconds, "gs://acme-embeddings/v3")
    return s


@scene("request_too_large", "telemetry", "unknown")
def batch_gpu_full(dice: Random) -> Scene:
    s = batch(dice, gpu=True, telemetry=True)
    s.load = Load(flat(dice.uniform(0.06, 0.2)), gpu=flat(dice.uniform(0.94, 1)))
    s.section = lambda _: ("predict", "model.py:8 forward")
    return s


@scene("accelerator_missing", "logs")
def batch_wanted_gpu_log(dice: Random) -> Scene:
    s = batch(dice)
    s.lines = [
        (
            8,
            dice.choice(
                [
                    "WARNING: CUDA requested but not available, falling back to CPU",
                    "CUDA not available: loading model on CPU",
                    "No GPU detected, vLLM is falling back to cpu",
                ]
            ),
        )
    ]
    return s


@scene("accelerator_missing", "telemetry")
def batch_wanted_gpu_env(dice: Random) -> Scene:
    s = batch(
        dice, telemetry=True, env=dice.choice([{"DEVICE": "cuda"}, {"TORCH_DEVICE": "cuda:0"}])
    )
    s.load = full_load(dice)
    return s


@scene("slow_startup", "message")
def never_ready(dice: Random) -> Scene:
    return batch(
        dice,
        error={
            "code": dice.choice([4, 9, 13]),
            "message": dice.choice(
                [
                    "model server never became ready. Please validate that your model file or container configuration are valid.",
                    "Model server never became ready. Please validate that your model file or container configuration are valid. Model server logs can be found at https://console.cloud.google.com/logs/viewer?x",
                    "DEADLINE_EXCEEDED: model server never became ready. Please validate that your model file or container configuration are valid.",
                ]
            ),
        },
    )


@scene("slow_startup", "logs", n=4)
def never_ready_loading(dice: Random) -> Scene:
    s = batch(
        dice,
        error={
            "code": 4,
            "message": "DEADLINE_EXCEEDED: model server never became ready. Please validate that your model file or container configuration are valid.",
        },
    )
    s.lines = [
        (t, f"Loading checkpoint shards: {i}/40")
        for i, t in enumerate(logs.ticks(dice, 10, s.seconds, 30))
    ]
    return s


@scene("memory_pressure", "telemetry")
def batch_thrash(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = Load(early(0.5, 0.5, 0.12), memory=ramp(0.5, 0.99, 0.5))
    return s


@scene("memory_pressure", "logs")
def batch_worker_killed(dice: Random) -> Scene:
    s = batch(dice)
    s.lines = [
        (t, x)
        for i, t in enumerate(logs.ticks(dice, 60, s.seconds, 8))
        for x in (
            f"[2026-11-11 10:0{i}:00 +0000] [1] [ERROR] Worker (pid:{i + 9}) was sent SIGKILL! Perhaps out of memory?",
            f"[2026-11-11 10:0{i}:01 +0000] [{i + 10}] [INFO] Booting worker with pid: {i + 10}",
        )
    ]
    return s


@scene("unknown", "message", "request_too_large")
def batch_deadline_no_elapsed(dice: Random) -> Scene:
    return batch(
        dice,
        error={
            "code": 4,
            "message": dice.choice(
                [
                    "DEADLINE_EXCEEDED",
                    "Deadline Exceeded",
                    "504 Deadline Exceeded",
                    "The batch prediction job timed out.",
                ]
            ),
        },
    )


@scene("slow_code", "logs", "request_too_large")
def batch_section_in_log_alone(dice: Random) -> Scene:
    s = batch(dice)
    s.lines = [
        (
            t,
            f"request {i}: preprocess={dice.uniform(560, 590):.1f}s model={dice.uniform(9, 20):.1f}s postprocess={dice.uniform(0.1, 2):.1f}s",
        )
        for i, t in enumerate(logs.ticks(dice, 30, s.seconds, 12))
    ]
    return s


@scene("request_too_large", "telemetry", "unknown")
def batch_middling_no_section(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = Load(flat(dice.uniform(0.4, 0.6)))
    return s


@scene("request_too_large", "telemetry", "unknown", "network_latency")
def batch_idle_no_section(dice: Random) -> Scene:
    s = batch(dice, telemetry=True)
    s.load = Load(idle(dice), received=flat(2e3))
    return s
