"""The three families behind a time-out, by what strangers' cases taught: each row is a class."""

from __future__ import annotations

import pytest

from bench.diagnosis.strangers import (
    FIRST_TIME,
    FIRST_TIME_BY_TIER,
    FIRST_TIME_BY_TRUTH,
    scenes_by_wave,
)
from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.diagnosis import diagnose
from remediator.domain import Cause
from remediator.job import Job
from tests.case_parts import at, batch, cpu, custom, lines, of, series, telemetry

HOUR = 3600
HOST = "https://data.partner.example"


def every(seconds: float, text: str, *, until: float = HOUR) -> list[dict]:
    """The same line again and again; `{i}` counts."""
    count = int(until // seconds)
    return lines(*((seconds * (i + 1), text.replace("{i}", str(i))) for i in range(count)))


def on(machine: str, *, count: int = 0, **container) -> dict:
    """A custom job of an hour that ran into its time-out on that machine."""
    spec = {"machineType": machine}
    if count:
        spec |= {"acceleratorType": "NVIDIA_TESLA_A100", "acceleratorCount": count}
    pool = {"machineSpec": spec, "replicaCount": "1", "containerSpec": container}
    return custom(
        HOUR + 10, jobSpec={"workerPoolSpecs": [pool], "scheduling": {"timeout": "3600s"}}
    )


def received(rate: float) -> dict:
    """The series of a constant rate of bytes a second."""
    return series("network/received_bytes_count", [rate * 60] * 60)


def wave(*parts: tuple[int, float]) -> list[float]:
    """(minutes, level) one after the other."""
    return [level for minutes, level in parts for _ in range(minutes)]


BURST = [series("cpu/utilization", wave((6, 0.99), (54, 0.02)))]
THRASH = [
    series("cpu/utilization", wave((30, 0.6), (30, 0.1))),
    series("memory/utilization", wave((10, 0.4), (10, 0.6), (10, 0.8), (30, 0.985))),
]
CACHED = [
    series("cpu/utilization", [0.125] * 60),
    series("memory/utilization", wave((2, 0.5), (58, 0.97))),
]
LOOP = every(60, "tokenise: item {i} of 90 done")

# What is known, and the cause.
ROWS = [
    ("full, but two minutes were seen", on("n1-standard-8") | {"timeSeries": [series("cpu/utilization", [0.98] * 3)]}, Cause.UNKNOWN),
    ("full for a tenth, then nothing", on("n1-standard-8") | {"timeSeries": BURST}, Cause.UNKNOWN),
    ("full for a tenth, then one thread", on("n1-standard-8") | {"timeSeries": [series("cpu/utilization", wave((6, 0.99), (54, 0.125)))], "logEntries": LOOP}, Cause.SLOW_CODE),
    ("full for a tenth, then fetches", on("n1-standard-8") | {"timeSeries": BURST, "logEntries": every(60, f"GET {HOST}/p/{{i}} 200 in 58.1s")}, Cause.NETWORK_LATENCY),
    ("idle, and nothing to wait for", on("n1-standard-8") | {"timeSeries": cpu(0.02)}, Cause.UNKNOWN),
    ("idle, and a host is named", on("n1-standard-8", args=[f"--api={HOST}"]) | {"timeSeries": cpu(0.02)}, Cause.NETWORK_LATENCY),
    ("idle at a barrier", on("n1-standard-8") | {"timeSeries": cpu(0.02), "logEntries": lines((30, "rank 0: entering barrier"))}, Cause.UNKNOWN),
    ("idle, waiting for a lock", on("n1-standard-8") | {"timeSeries": cpu(0.02), "logEntries": every(30, "waiting for lock /mnt/x.lock")}, Cause.UNKNOWN),
    ("idle, waiting for a debugger", on("n1-standard-8") | {"timeSeries": cpu(0.02), "logEntries": lines((30, "waiting for debugger to attach"))}, Cause.UNKNOWN),
    ("idle, waiting for an answer", on("n1-standard-8") | {"timeSeries": cpu(0.02), "logEntries": every(30, "still waiting for the reply of the scoring service")}, Cause.NETWORK_LATENCY),
    ("idle, signs of life alone", on("n1-standard-8") | {"timeSeries": cpu(0.02), "logEntries": every(5, "heartbeat")}, Cause.UNKNOWN),
    ("one thread, signs of life after a section's start", on("n1-standard-8") | {"timeSeries": cpu(0.125), "logEntries": [*lines((20, "starting normalise")), *every(30, "heartbeat")]}, Cause.SLOW_CODE),
    ("a storm of retries", on("n1-standard-8") | {"timeSeries": cpu(0.02), "logEntries": every(40, "WARNING:urllib3.connectionpool:Retrying (Retry(total=3)) after connection broken by ReadTimeoutError")}, Cause.NETWORK_LATENCY),
    ("quick answers between one thread's work", on("n1-standard-8") | {"timeSeries": cpu(0.125), "logEntries": [*every(60, "matched block {i} of 90"), *every(90, f"GET {HOST}/geo/{{i}} 200 in 0.12s")]}, Cause.SLOW_CODE),
    ("a database that answers late", on("n1-standard-8") | {"timeSeries": cpu(0.02), "logEntries": every(60, "SELECT batch {i} from postgresql://dw.example/x returned after 58.8s")}, Cause.NETWORK_LATENCY),
    ("32 vCPUs: one thread or none, a section tells", on("n1-standard-32") | {"timeSeries": cpu(0.035), "logEntries": LOOP}, Cause.SLOW_CODE),
    ("32 vCPUs: one thread or none, a bucket tells", on("n1-standard-32", args=["gs://far/x"]) | {"timeSeries": [*cpu(0.035), received(3e7)], "buckets": {"far": {"location": "ASIA-EAST1"}}}, Cause.NETWORK_LATENCY),
    ("32 vCPUs: one thread or none, nothing tells", on("n1-standard-32") | {"timeSeries": cpu(0.035)}, Cause.UNKNOWN),
    ("a far bucket of a few bytes beside one thread", on("n1-standard-32", args=["gs://far/x"]) | {"timeSeries": [*cpu(0.035), received(2e4)], "buckets": {"far": {"location": "ASIA-EAST1"}}, "logEntries": LOOP}, Cause.SLOW_CODE),
    ("the network full, the CPUs idle", on("n1-standard-8") | {"timeSeries": [*cpu(0.08), received(1.5e9)]}, Cause.NETWORK_LATENCY),
    ("the network busy, the CPUs full", on("n1-standard-8") | {"timeSeries": [*cpu(0.97), received(5e8)]}, Cause.CPU_SATURATION),
    ("the GPU full, and words of waiting", on("a2-highgpu-1g", count=1) | {"timeSeries": [*cpu(0.1), series("accelerator/utilization", [0.98] * 60)], "logEntries": every(60, "waiting for the response of step {i}")}, Cause.UNKNOWN),
    ("one thread beside an idle A100", on("a2-highgpu-4g", count=4) | {"timeSeries": [*cpu(0.025), series("accelerator/utilization", [0.03] * 60)], "logEntries": LOOP}, Cause.SLOW_CODE),
    ("memory at its limit for half the run, the CPUs idle from then on", on("n1-standard-8") | {"timeSeries": THRASH, "logEntries": LOOP}, Cause.MEMORY_PRESSURE),
    ("memory full of cache all along, one thread", on("n1-standard-8") | {"timeSeries": CACHED, "logEntries": every(60, "[tokenise] item {i} of 90")}, Cause.SLOW_CODE),
    ("told to use a GPU, has none, CPUs full", on("n1-standard-8", args=["--device", "cuda", "--epochs=3"]) | {"timeSeries": cpu(0.97)}, Cause.ACCELERATOR_MISSING),
    ("told to use a GPU in the environment", on("n1-standard-8", env=[{"name": "TORCH_DEVICE", "value": "cuda:0"}]) | {"timeSeries": cpu(0.97)}, Cause.ACCELERATOR_MISSING),
    ("told to use a GPU, CPUs idle", on("n1-standard-8", args=["--device=cuda"]) | {"timeSeries": cpu(0.02)}, Cause.UNKNOWN),
    ("GPUs hidden on purpose", on("n1-standard-8", env=[{"name": "CUDA_VISIBLE_DEVICES", "value": "-1"}]) | {"timeSeries": cpu(0.97), "logEntries": lines((3, "device: cpu"))}, Cause.CPU_SATURATION),
    ("words of a start-up in a job that ran to its time-out", on("n1-standard-8") | {"job": on("n1-standard-8")["job"] | {"error": {"code": 4, "message": "Job did not complete within the configured timeout of 3600s."}}}, Cause.UNKNOWN),
    ("words of a gateway in a job that ran to its time-out", on("n1-standard-8") | {"job": on("n1-standard-8")["job"] | {"error": {"code": 13, "message": "504 Gateway Timeout"}}}, Cause.UNKNOWN),
    ("batch, a section's name in one word", batch() | {"logEntries": telemetry(0.02, "fetch_features", "client.py:77 get")}, Cause.NETWORK_LATENCY),
    ("batch, a section's name in camel case", batch() | {"logEntries": telemetry(0.02, "callRemoteScorer", "")}, Cause.NETWORK_LATENCY),
    ("batch, fetching by name, one thread parsing", batch() | {"logEntries": telemetry(0.125, "fetch_and_parse", "xml/etree/ElementTree.py:1718 feed")}, Cause.SLOW_CODE),
    ("batch, fetching by name, CPUs full", batch() | {"logEntries": telemetry(0.97, "download_and_decode", "pil.py:4 decode")}, Cause.CPU_SATURATION),
    ("batch, lines that come with every request", batch() | {"logEntries": every(60, "Received request {i} with 64 instances", until=600)}, Cause.REQUEST_TOO_LARGE),
    ("batch, a server that starts", batch() | {"logEntries": lines((20, "Starting up"), (21, "Booting worker with pid: 7"), (40, "model loaded"))}, Cause.REQUEST_TOO_LARGE),
    ("batch, workers killed while requests waited", batch() | {"logEntries": every(60, "[ERROR] Worker (pid:{i}) was sent SIGKILL! Perhaps out of memory?", until=600)}, Cause.MEMORY_PRESSURE),
    ("batch, never ready while shards were loaded", batch(error={"code": 4, "message": "DEADLINE_EXCEEDED: model server never became ready. Please validate that your model file or container configuration are valid."}) | {"logEntries": every(20, "Loading checkpoint shards: {i}/40", until=600)}, Cause.SLOW_STARTUP),
    ("batch, the whole request is its prediction", batch() | {"logEntries": telemetry(0.45, "predict", "")}, Cause.REQUEST_TOO_LARGE),
    ("batch, the whole request is its prediction, one thread of eight", batch() | {"logEntries": telemetry(0.125, "predict", "")}, Cause.SLOW_CODE),
    ("batch, a far bucket that the Model's container reads", batch() | {"model": {"containerSpec": {"env": [{"name": "INDEX", "value": "gs://far/ann"}]}}, "buckets": {"far": {"location": "ASIA-EAST1"}}, "logEntries": telemetry(0.02, "handler", "app.py:3 handle")}, Cause.NETWORK_LATENCY),
]  # fmt: skip


@pytest.mark.parametrize(("body", "cause"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_strangers_taught(body, cause):
    assert of(body).verdict is cause


def test_the_first_times_add_up():
    sums = [
        [sum(counts) for counts in zip(*first.values(), strict=True)]
        for first in (FIRST_TIME, FIRST_TIME_BY_TRUTH, FIRST_TIME_BY_TIER)
    ]
    assert sums[0] == sums[1] == sums[2]
    assert scenes_by_wave() == {number: sum(counts) for number, counts in FIRST_TIME.items()}


def test_evidence_of_another_kind_of_job_tells_why_it_does_not_count():
    message = "Job did not complete within the configured timeout of 3600s."
    job = on("n1-standard-8")["job"] | {"error": {"code": 4, "message": message}}
    found = of({"job": job})
    against = [c.against for c in found.causes if c.cause is Cause.SLOW_STARTUP]
    assert not against or "it serves no requests" in against[0][0].says


def test_the_container_of_a_model_names_hosts_and_buckets_its_artifacts_do_not():
    job = Job.parse(batch()["job"])
    model = {
        "artifactUri": "gs://artifacts/m",
        "containerSpec": {
            "env": [{"name": "A", "value": HOST}, {"name": "B", "value": "gs://b/x"}]
        },
    }
    assert job.external_hosts(model) == ("data.partner.example",)
    assert job.facts(Catalog.built_in(), model).data_places == ("b", "in")
    assert job.facts(Catalog.built_in(), {"containerSpec": [1]}).data_places == ("in",)


@pytest.mark.parametrize(
    ("arguments", "setting"),
    [
        (["--device=cuda"], "device=cuda"),
        (["--device", "cuda:1"], "device=cuda:1"),
        (["--accelerator", "gpu"], "accelerator=gpu"),
        (["--use-gpu"], "use-gpu"),
        (["--use_cuda=true"], "use_cuda=true"),
        (["--use-gpu=false"], ""),
        (["--device=cpu"], ""),
        (["--device", "--cuda-cache=x"], ""),
        (["cuda"], ""),
    ],
)
def test_a_device_that_the_arguments_ask_for(arguments, setting):
    job = Job.parse(on("n1-standard-8", args=arguments)["job"])
    assert job.facts(Catalog.built_in()).device_setting == setting


def test_a_log_that_never_says_the_same_twice_tells_no_sections():
    words = ("".join(chr(97 + i // 26**k % 26) for k in range(3)) for i in range(4_000))
    never_twice = lines(*((i * 0.9, f"answer {word} written") for i, word in enumerate(words)))
    assert of(on("n1-standard-8") | {"logEntries": never_twice}).verdict is Cause.UNKNOWN


def test_samples_of_a_short_part_of_the_run_are_a_glimpse():
    late = telemetry(0.98, "train", "t.py:1 fit", span=120)
    ended = batch(endTime=at(4 * HOUR))
    assert of(ended | {"logEntries": late}).verdict is not Cause.CPU_SATURATION
    assert of(batch() | {"logEntries": late}).verdict is Cause.CPU_SATURATION


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ("profile of customer {i} from crm.example.net in 1.52 s", True),
        ("lookup user={i} host=crm.example.net elapsed=1.52s", True),
        ("prices for sku {i} read from pricing-db in 1.52 s", True),
        ("layer {i} of weights from model.pt in 1.52 s", False),
        ("scored {i} of torch.nn in 1.52 s", False),
        ("request {i} from 10.0.0.7 handled in 1.52 s", False),
        ("part {i} done on host trainer.c.proj.internal in 1.52 s", False),
    ],
)
def test_who_names_another_machine_and_a_duration_waited_for_it(text: str, *, waits: bool) -> None:
    """One request of ten minutes, told line by line, on a machine of which nothing else is known."""
    case = batch() | {"logEntries": every(1.6, text, until=600)}
    assert (diagnose(Case.parse(case)).verdict is Cause.NETWORK_LATENCY) is waits


SPARK_BARS = every(60, "[Stage 7:=====>          ({i}00 + 8) / 9000]")


def test_the_bar_of_a_stage_is_no_section_of_the_programs() -> None:
    body = on("n1-standard-8") | {"timeSeries": cpu(0.7), "logEntries": SPARK_BARS}
    assert of(body).causes == ()


def test_where_nothing_tells_of_the_accelerators_the_code_is_not_to_blame() -> None:
    idle = {"timeSeries": cpu(0.125), "logEntries": LOOP}
    assert of(on("ct5lp-hightpu-4t") | idle).verdict is Cause.UNKNOWN
    assert of(on("n1-standard-8") | idle).verdict is Cause.SLOW_CODE


FAILED = "The replica workerpool0-0 exited with a non-zero status of {}. Termination reason: Error."


def died(status: int, *said: str) -> dict:
    """A custom job that ended with these last lines."""
    entries = lines(*((50 + n, text) for n, text in enumerate(said)))
    ended = {"code": 3, "message": FAILED.format(status)}
    return custom(3000, state="JOB_STATE_FAILED", error=ended) | {"logEntries": entries}


def test_the_head_of_a_java_trace_is_not_taken_for_its_exception() -> None:
    heap = "java.lang.OutOfMemoryError: GC overhead limit exceeded"
    head = "ERROR SparkUncaughtExceptionHandler: Uncaught exception in thread Thread[Executor task launch worker]"
    assert [one.cause for one in of(died(52, heap, head)).causes] == [Cause.MEMORY_PRESSURE]


def test_a_key_value_cache_without_room_is_no_large_request() -> None:
    said = (
        "ValueError: To serve at least one request with the models's max seq len (32768), (1.02 GiB KV cache is "
        "needed, which is larger than the available KV cache memory (0.61 GiB). Try increasing `gpu_memory_utilization`"
    )
    assert of(died(1, said)).verdict is Cause.GPU_MEMORY
