"""What a worker can write, and what it must not buy: forged lines, odd telemetry, bare counters."""

from __future__ import annotations

import json

import pytest

from bench.diagnosis.run import RESUBMITTED
from remediator.case import Case, LogLine
from remediator.catalog.catalog import Catalog
from remediator.diagnosis import diagnose
from remediator.diagnosis.metrics import read_usage, telemetry_of
from remediator.diagnosis.texts import read_case
from remediator.diagnosis.texts.log_lines import is_service_line
from remediator.diagnosis.timeline.line_words import readable, says_something, template_of
from remediator.diagnosis.weights import weight_of
from remediator.domain import Cause
from tests.case_parts import at, batch, cpu, custom, lines, of, telemetry

SERVICE = {"type": "ml_job", "labels": {"job_id": "7", "task_name": "service"}}
WORKER = {"type": "ml_job", "labels": {"job_id": "7", "task_name": "workerpool0-0"}}

CLAIMS = [
    ("the resource says so", {"resource": SERVICE}, True),
    ("the resource and its log's name", {"resource": SERVICE, "logName": "projects/p/logs/ml.googleapis.com%2F7"}, True),
    ("an older resource type", {"resource": {**SERVICE, "type": "cloudml_job"}}, True),
    ("a label alone", {"resource": WORKER, "labels": {"task_name": "service"}}, False),
    ("a label without a resource", {"labels": {"task_name": "service"}}, False),
    ("a worker's log", {"resource": SERVICE, "logName": "projects/p/logs/workerpool0-0"}, False),
    ("a label that contradicts", {"resource": SERVICE, "labels": {"task_name": "workerpool0-0"}}, False),
    ("another kind of resource", {"resource": {**SERVICE, "type": "global"}}, False),
    ("a resource that is none", {"resource": "ml_job"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "trusted"), [c[1:] for c in CLAIMS], ids=[c[0] for c in CLAIMS])
def test_only_what_a_container_cannot_set_names_the_service(entry, trusted):
    assert is_service_line(LogLine.parse(entry)) is trusted


def forged(text: str) -> dict:
    return {"textPayload": text, "severity": "ERROR", "insertId": "f", "resource": SERVICE}


def test_a_line_in_the_services_name_weighs_no_more_than_a_workers():
    case = Case.parse(custom(900) | {"logEntries": [forged("CUDA out of memory")]})
    assert [s.weight for s in read_case(case).signs] == [weight_of("log-ceiling")]
    assert diagnose(case).causes[0].evidence[0].says.startswith("the service's log: ")


def test_a_forged_service_line_does_not_outweigh_the_jobs_own_error():
    body = custom(900, "Permission 'storage.objects.get' denied on resource x") | {
        "logEntries": [forged("The replica workerpool0-0 ran out of memory and exited with 137")]
    }
    assert of(body).verdict is Cause.PERMISSION


def test_a_forged_time_out_is_a_workers_word():
    sure = of(custom(3610) | {"timeSeries": cpu(0.97)}).confidence
    told = of(custom(900) | {"timeSeries": cpu(0.97, 900), "logEntries": [forged("Job timed out")]})
    assert told.confidence < sure


def test_a_refusal_is_trusted_from_the_audit_log_alone():
    status = {"protoPayload": {"status": {"code": 7, "message": "Permission 'a.b.c' denied"}}}
    audit = {"logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity"}
    real = of(custom(900) | {"logEntry": status | audit})
    other = of(custom(900) | {"logEntry": status | {"logName": "projects/p/logs/mine"}})
    assert other.confidence < real.confidence


def test_a_wish_for_a_gpu_in_a_workers_log_stays_under_the_ceiling():
    found = of(batch() | {"logEntries": lines((3, "CUDA not available, running on CPU"))})
    assert found.verdict is Cause.ACCELERATOR_MISSING
    assert found.confidence < 0.93


# --- telemetry -------------------------------------------------------------------------------------

SAMPLE = '{"remediatorTelemetry": 1, "time": "2026-11-23T10:00:30Z", "cpu": 0.5}'
WRITTEN = [
    ("alone", SAMPLE),
    ("after a prefix with braces", "INFO {worker=3} [job {7}] " + SAMPLE),
    ("before more text", SAMPLE + " and the rest {"),
    ("with blanks", '{ "remediatorTelemetry": 1, "cpu": 0.5}'),
    ("keys in another order", '{"cpu": 0.5, "remediatorTelemetry": 1}'),
]


@pytest.mark.parametrize("text", [w[1] for w in WRITTEN], ids=[w[0] for w in WRITTEN])
def test_telemetry_is_found_in_whatever_a_logger_put_around_it(text):
    found = telemetry_of([LogLine.parse({"textPayload": text})])
    assert [one.body["cpu"] for one in found] == [0.5]


@pytest.mark.parametrize("value", ["1e999", "-1", "NaN", "9" * 4000, '"0.9"', "true", "null", "{}"])
def test_a_number_that_cannot_be_is_no_number(value):
    text = '{"remediatorTelemetry": 1, "memoryBytes": 1, "cpu": ' + value + "}"
    case = Case.parse(custom(3610) | {"logEntries": [{"textPayload": text}] * 5})
    usage = read_usage(case, case.job.facts(Catalog.built_in(), case.model))
    assert usage.cpu is None


def test_where_google_measured_too_a_workers_word_does_not_stand_against_it():
    body = custom(3610) | {"timeSeries": cpu(0.02), "logEntries": telemetry(1.0, "x", "y", 3600)}
    assert of(body).verdict is not Cause.CPU_SATURATION


def sampled(*seconds: float, section: str = "load") -> list[dict]:
    return [
        {"jsonPayload": {"remediatorTelemetry": 1, "time": at(s), "cpu": 0.1, "section": section}}
        for s in seconds
    ]


FIRST = [
    ("the usual step", (60, 70, 80), 30.0),
    ("less where the job had just started", (4, 14, 24), 24.0),
    ("at most four usual steps between", (30, 60, 3600), 180.0),
]


@pytest.mark.parametrize(("seconds", "total"), [f[1:] for f in FIRST], ids=[f[0] for f in FIRST])
def test_the_first_sample_stands_for_what_a_sample_stands_for(seconds, total):
    found = of(custom(3610) | {"logEntries": sampled(*seconds)})
    assert found.sections[0].seconds == pytest.approx(total)


# --- sections --------------------------------------------------------------------------------------

COUNTERS = ["12/400", "45%|####      | 45/100 [00:10<00:12, 4.5it/s]", "2026-11-23 10:00:01 17", "3.5 s", "—— 5 ——", "[0/3]"]  # fmt: skip


@pytest.mark.parametrize("text", COUNTERS)
def test_a_bare_counter_names_no_section(text):
    assert not says_something(template_of(text))


@pytest.mark.parametrize(
    "text", ["step 12/400", "https://data.example/x", "処理中 3/4", "[join] 3/4"]
)
def test_a_line_with_a_word_does(text):
    assert says_something(template_of(text))


def test_the_time_of_a_bare_counter_goes_to_the_section_it_counts():
    counted = [(10.0, "[normalise] begins"), *((60.0 * i, f"{i}/59") for i in range(1, 60))]
    found = of(custom(3610) | {"timeSeries": cpu(0.125), "logEntries": lines(*counted)})
    assert [s.name for s in found.sections] == ["normalise"]
    assert found.verdict is Cause.SLOW_CODE


def test_a_log_of_nothing_but_counters_has_no_sections():
    counted = [(60.0 * i, f"{i}/59") for i in range(60)]
    found = of(custom(3610) | {"logEntries": lines(*counted)})
    assert found.sections == ()
    assert "<n>" not in json.dumps(found.to_json())


READ = [
    ("predict: <n>/<n> instances after <n> s", "predict"),
    ("processed <n> of <n> rows", "processed … of … rows"),
    ("INFO: read <path> in <n> s", "INFO: read … in … s"),
    ("torch.cuda.OutOfMemoryError: Tried to allocate <n> GiB", "torch.cuda.OutOfMemoryError"),
    ("epoch <n>: loss <n>", "epoch …: loss …"),
    ("normalise", "normalise"),
    ("data: normalise", "data: normalise"),
]


@pytest.mark.parametrize(("name", "read"), READ, ids=[name for name, _ in READ])
def test_a_section_is_called_what_a_person_would_call_it(name, read):
    assert readable(name) == read


def test_no_mask_is_told_to_anybody():
    counted = [(10.0 * i, f"predict: {i}/360 instances after {10.0 * i} s") for i in range(1, 360)]
    found = of(custom(3610) | {"timeSeries": cpu(0.125), "logEntries": lines(*counted)})
    assert [s.name for s in found.sections] == ["predict"]
    assert "<n>" not in json.dumps(found.to_json())


# --- what healthy software prints ------------------------------------------------------------------

# Notes, progress and warnings of jobs that ran well; none of them is why a job died.
HARMLESS = """\
2024-01-01 00:00:00.000000: I tensorflow/core/platform/cpu_feature_guard.cc:193] This TensorFlow binary is optimized with oneAPI Deep Neural Network Library (oneDNN) to use the following CPU instructions in performance-critical operations: AVX2 FMA
W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not load dynamic library 'libcudart.so.11.0'; dlerror: libcudart.so.11.0: cannot open shared object file: No such file or directory
I tensorflow/stream_executor/cuda/cudart_stub.cc:29] Ignore above cudart dlerror if you do not have a GPU set up on your machine.
W tensorflow/compiler/tf2tensorrt/utils/py_utils.cc:38] TF-TRT Warning: Could not find TensorRT
WARNING:tensorflow:From train.py:12: The name tf.Session is deprecated.
Using device: cpu
Using cuda device
INFO: Started server process [1]
INFO: Waiting for application startup.
INFO: Application startup complete.
INFO: Uvicorn running on http://0.0.0.0:8080 (Press CTRL+C to quit)
[2024-01-01 00:00:00 +0000] [7] [INFO] Booting worker with pid: 7
[2024-01-01 00:00:00 +0000] [1] [INFO] Handling signal: term
Epoch 3/10 - loss: 0.3124 - accuracy: 0.91 - val_loss: 0.41
Downloading (…)model.safetensors: 100%|██████████| 548M/548M [00:03<00:00, 160MB/s]
UserWarning: The given NumPy array is not writable
FutureWarning: `clean_up_tokenization_spaces` was not set
huggingface/tokenizers: The current process just got forked, after parallelism has already been used. Disabling parallelism to avoid deadlocks...
Setting `pad_token_id` to `eos_token_id`:50256 for open-end generation.
Token indices sequence length is longer than the specified maximum sequence length for this model (1024 > 512). Running this sequence through the model will result in indexing errors
Some weights of BertForSequenceClassification were not initialized from the model checkpoint
You should probably TRAIN this model on a down-stream task
24/01/01 00:00:00 WARN NativeCodeLoader: Unable to load native-hadoop library for your platform... using builtin-java classes where applicable
24/01/01 00:00:00 INFO SparkContext: Running Spark version 3.3.0
24/01/01 00:00:00 WARN TaskSetManager: Lost task 3.0 in stage 1.0 (TID 10): FetchFailed
24/01/01 00:00:00 INFO MemoryStore: MemoryStore started with capacity 434.4 MiB
INFO MemoryStore: Block broadcast_0 stored as values in memory (estimated size 12 MiB, free 400 MiB)
Opening GCS connection... Mounting file system "gcsfuse"... File system has been successfully mounted.
NCCL version 2.14.3+cuda11.7
[rank0]:[W ProcessGroupNCCL.cpp] Warning: WARNING: process group has NOT been destroyed before we destruct ProcessGroupNCCL
Job is preparing.
Waiting for training program to start.
Job is running.
Finished tearing down training program.
GPU memory usage: 12.1 GiB / 15.8 GiB
peak memory usage 3.4 GB
Memory usage of dataframe is 2300.10 MB
Max memory allowed: 16GB
timeout=600 retries=3
request timeout set to 60 seconds
Loaded 120000 rows from gs://bucket/train.csv
Reading quota project from environment: my-project
No quota project set; using default
WARNING:google.auth: Your application has authenticated using end user credentials from Google Cloud SDK without a quota project.
Compute Engine Metadata server unavailable on attempt 1 of 3. Reason: timed out
WARNING Retrying (Retry(total=4, connect=None)) after connection broken by 'ReadTimeoutError'
No checkpoint found at gs://bucket/ckpt
Config file not found, using defaults
File exists: /tmp/cache
skipping corrupted image img_001.jpg
dropping 13 rows with missing values
[I 2024-01-01] Trial 3 pruned.
early stopping: no improvement for 10 rounds
Saving model to /gcs/bucket/model
Preemption-safe checkpointing enabled
spot instances: true
machine type n1-standard-8 with 1 NVIDIA_TESLA_T4
batch_size too large? consider reducing
max_model_len=8192, gpu_memory_utilization=0.9
INFO vllm: Maximum concurrency for 8192 tokens per request: 5.2x
# GPU blocks: 2761, # CPU blocks: 2048
device: CPU
Running on local CPU
health check ok
GET /health 503 starting
probe: ready in 30s
The worker exceeded 80% of memory
All-reduce took 12 ms
Access granted for service account
INFO permission check passed
validation error rate: 0.12
error rate 3%
KeyboardInterrupt handler installed
killed 0 zombie processes
resources are limited to 4 CPUs
limit reached for early stopping patience
rate limiter enabled (100 requests/s)
throttling logs
""".splitlines()


@pytest.mark.parametrize("error", ["The replica workerpool0-0 exited with a non-zero status of 1.", "Job failed."])  # fmt: skip
@pytest.mark.parametrize("line", HARMLESS)
def test_no_harmless_line_buys_another_attempt(line, error):
    entry = {"textPayload": line, "severity": "ERROR", "insertId": "1", "resource": WORKER}
    assert of(custom(900, error) | {"logEntries": [entry]}).verdict not in RESUBMITTED


def test_all_harmless_lines_together_buy_none():
    told = lines(*[(float(i), line) for i, line in enumerate(HARMLESS)])
    found = of(
        custom(900, "The replica workerpool0-0 exited with a non-zero status of 1.")
        | {"logEntries": told}
    )
    assert found.verdict not in RESUBMITTED
