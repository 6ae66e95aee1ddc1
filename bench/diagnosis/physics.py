"""Failures that ran out of time, generated from stated physics: one text, several true causes.

A machine of `v` vCPUs does `work` vCPU-seconds, of which a part runs on one thread only; waits
pass whatever the machine. A batch request fails at 600 s, a custom job at its time-out. Noise on
every sample, a third of the samples lost, log lines shuffled and mixed with chatter; some cases
lose all their metrics. The truth is what the physics spent the time on. Used by the bench and by
the tests; imports nothing of the product.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
CAUSES = (
    "cpu_saturation",
    "slow_code",
    "network_latency",
    "request_too_large",
    "accelerator_missing",
)
_MACHINES = (
    ("n1-standard-4", 4),
    ("n1-standard-8", 8),
    ("n2-standard-16", 16),
    ("e2-standard-8", 8),
)
_SECTIONS = ("normalise", "tokenise", "parse_vcf", "join_features", "align_reads", "resize")
_HOSTS = ("data.partner.example", "ftp.archive.example", "api.weather.example")
_CHATTER = (
    "Starting up",
    "FutureWarning: the default of this argument will change",
    "Loaded configuration from environment",
    "WARNING: retrying request (attempt 1 of 5)",
    "Using TensorFlow backend",
    "heartbeat ok",
    "GET /health 200",
    "checkpoint saved",
)
_GPU_LINES = (
    "CUDA not available, running on CPU",
    "torch.cuda.is_available() is False: falling back to CPU",
    "Could not find cuda drivers on your machine, GPU will not be used.",
    "No GPU found, using the CPU instead",
)
_TIMEOUT_TEXTS = (
    "Job has exceeded its maximum running time of {t}s: DEADLINE_EXCEEDED.",
    "DEADLINE_EXCEEDED: the job did not finish within {t}s.",
    "The job timed out after {t}s.",
    "",
)


@dataclass(frozen=True)
class Made:
    """A generated case file and what truly happened; `blind`: all its metrics were lost."""

    body: dict[str, Any]
    truth: str
    kind: str
    blind: bool


def cases(count: int, *, seed: int = 504) -> Iterator[Made]:
    """`count` cases, all causes and both kinds in turn."""
    dice = random.Random(seed)
    for number in range(count):
        truth = CAUSES[number % len(CAUSES)]
        batch = truth in {"request_too_large", "accelerator_missing"} or dice.random() < 0.5
        yield _batch(number, truth, dice) if batch else _custom(number, truth, dice)


def _moment(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def _usage(truth: str, vcpus: int, dice: random.Random) -> float:
    """The mean fraction of all vCPUs in use while the time was spent."""
    if truth == "cpu_saturation":
        return dice.uniform(0.93, 0.995)
    if truth == "slow_code":
        return dice.uniform(0.95, 1.15) / vcpus
    if truth == "network_latency":
        return dice.uniform(0.01, 0.05)
    if truth == "accelerator_missing":
        return dice.uniform(0.85, 0.99)
    return dice.uniform(0.55, 0.72)


def _noisy(value: float, dice: random.Random) -> float:
    return min(1.0, max(0.0, dice.gauss(value, 0.03 * max(value, 0.1))))


def _lines(truth: str, span: float, dice: random.Random) -> list[tuple[float, str, str]]:
    """(second, severity, text): the program's own log of where its time went."""
    name = dice.choice(_SECTIONS)
    host = dice.choice(_HOSTS)
    lines = [
        (dice.uniform(0, span), dice.choice(("INFO", "ERROR")), dice.choice(_CHATTER))
        for _ in range(12)
    ]
    head = span * dice.uniform(0.02, 0.12)
    lines.append((1.0, "INFO", "reading configuration"))
    if truth == "network_latency":
        passes = dice.randint(6, 20)
        step = (span - head) / passes
        for i in range(passes):
            took = step * dice.uniform(0.85, 0.98)
            lines.append(
                (
                    head + step * (i + 1) - 0.5,
                    "INFO",
                    dice.choice(
                        (
                            f"fetched part {i} from https://{host}/v1/part/{i} in {took:.1f} s",
                            f"GET https://{host}/v1/part/{i}: waited {took:.1f} s for the response",
                        )
                    ),
                )
            )
        return lines
    passes = dice.randint(5, 18)
    growth = dice.choice((1.0, 1.0, 1.15)) if truth == "slow_code" else 1.0
    weights = [growth**i for i in range(passes)]
    at = head
    for i, weight in enumerate(weights):
        lines.append((at, "INFO", f"[{name}] chunk {i}/{passes}"))
        at += (span - head) * weight / sum(weights)
    return lines


def _entries(
    lines: list[tuple[float, str, str]], telemetry: list[dict[str, Any]], dice: random.Random
) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = [
        {
            "timestamp": _moment(at),
            "severity": severity,
            "insertId": f"l{i}",
            "textPayload": text,
            "resource": {"labels": {"task_name": "workerpool0-0"}},
        }
        for i, (at, severity, text) in enumerate(lines)
    ]
    for i, body in enumerate(telemetry):
        shape = dice.choice(("text", "json", "message"))
        held: dict[str, Any] = {"timestamp": body["time"], "severity": "INFO", "insertId": f"t{i}"}
        if shape == "json":
            held["jsonPayload"] = body
        elif shape == "text":
            held["textPayload"] = json.dumps(body)
        else:
            held["jsonPayload"] = {"message": json.dumps(body)}
        entries.append(held)
    dice.shuffle(entries)
    return entries


def _telemetry(
    truth: str, vcpus: int, span: float, section: str, dice: random.Random
) -> list[dict[str, Any]]:
    usage = _usage(truth, vcpus, dice)
    stacks = {
        "network_latency": "socket.py:706 readinto",
        "slow_code": f"{section}.py:41 {section}",
        "cpu_saturation": f"{section}.py:77 {section}",
    }
    found = []
    at = 30.0
    while at < span:
        if dice.random() > 0.33:
            found.append(
                {
                    "remediatorTelemetry": 1,
                    "time": _moment(at),
                    "cpu": round(_noisy(usage, dice), 3),
                    "memoryBytes": 3_000_000_000,
                    "memoryLimitBytes": 15_000_000_000,
                    "section": section if at > span * 0.08 else "load",
                    "stack": stacks.get(truth, "predictor.py:20 predict"),
                }
            )
        at += 30.0
    return found


def _batch(number: int, truth: str, dice: random.Random) -> Made:
    machine, vcpus = dice.choice(_MACHINES)
    span = 640.0
    elapsed = 600 + dice.random()
    message = (
        "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result 504 "
        f"(upstream request timeout) from server, retry=3, elapsed={elapsed:.2f}s."
    )
    body: dict[str, Any] = {
        "name": f"projects/1/locations/us-central1/batchPredictionJobs/{number}",
        "state": "JOB_STATE_FAILED",
        "createTime": _moment(-120),
        "startTime": _moment(0),
        "endTime": _moment(span),
        "inputConfig": {
            "instancesFormat": "jsonl",
            "gcsSource": {"uris": ["gs://input-data/x.jsonl"]},
        },
        "dedicatedResources": {"machineSpec": {"machineType": machine}, "startingReplicaCount": 1},
        "manualBatchTuningParameters": {"batchSize": dice.choice((16, 32, 64, 128))},
    }
    error_files = {}
    if dice.random() < 0.5:
        body["error"] = {"code": 4, "message": message}
    else:
        body["error"] = {"code": 4, "message": "Batch prediction failed: DEADLINE_EXCEEDED"}
        error_files["gs://out/prediction.errors_stats-00000-of-00001"] = f"({message!r}, 64)\n"
    section = (
        "predict"
        if truth in {"request_too_large", "accelerator_missing"}
        else dice.choice(_SECTIONS)
    )
    # A server without telemetry leaves no metric at all; of those, only the log can tell.
    instrumented = truth in {"cpu_saturation", "slow_code"} or dice.random() < 0.5
    telemetry = _telemetry(truth, vcpus, span, section, dice) if instrumented else []
    if truth in {"request_too_large", "accelerator_missing"}:
        lines = [(dice.uniform(0, 600), "INFO", dice.choice(_CHATTER)) for _ in range(8)]
        lines += [(30.0, "INFO", "POST /predict: 64 instances")]
    else:
        lines = _lines(truth, span, dice)
    if truth == "accelerator_missing":
        lines.append((3.0, "ERROR", dice.choice(_GPU_LINES)))
    case = {
        "job": body,
        "model": {"containerSpec": {"imageUri": "us-docker.pkg.dev/p/r/server:1"}},
        "logEntries": _entries(lines, telemetry, dice),
        "errorFiles": error_files,
        "buckets": {"input-data": {"location": "US-CENTRAL1"}},
    }
    return Made(case, truth, "batch_prediction", blind=False)


def _custom(number: int, truth: str, dice: random.Random) -> Made:
    machine, vcpus = dice.choice(_MACHINES)
    timeout = float(dice.choice((1800, 3600, 7200)))
    far = truth == "network_latency" and dice.random() < 0.4
    text = dice.choice(_TIMEOUT_TEXTS).format(t=f"{timeout:.0f}")
    body: dict[str, Any] = {
        "name": f"projects/1/locations/us-central1/customJobs/{number}",
        "state": dice.choice(("JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED")),
        "createTime": _moment(-120),
        "startTime": _moment(0),
        "endTime": _moment(timeout + dice.uniform(1, 40)),
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {"machineType": machine},
                    "replicaCount": "1",
                    "containerSpec": {
                        "imageUri": "us-docker.pkg.dev/p/r/train:1",
                        "args": ["--input=gs://input-data/all"],
                    },
                }
            ],
            "scheduling": {"timeout": f"{timeout:.0f}s"},
        },
    }
    if text:
        body["error"] = {"code": 4, "message": text}
    blind = dice.random() < 0.03
    series = []
    if not blind:
        usage = _usage(truth, vcpus, dice)
        points = [
            {
                "interval": {"endTime": _moment(60.0 * minute)},
                # The first minutes pull the image and load.
                "value": {"doubleValue": _noisy(usage if minute > 3 else 0.1, dice)},
            }
            for minute in range(1, int(timeout // 60))
            if dice.random() > 0.33
        ]
        dice.shuffle(points)
        series.append(
            {
                "metric": {"type": "ml.googleapis.com/training/cpu/utilization"},
                "resource": {"type": "cloudml_job", "labels": {"job_id": str(number)}},
                "points": points,
            }
        )
    case = {
        "job": body,
        "logEntries": _entries(_lines(truth, timeout, dice), [], dice),
        "timeSeries": series,
        "buckets": {"input-data": {"location": "EUROPE-WEST4" if far else "US-CENTRAL1"}},
    }
    return Made(case, truth, "custom", blind)


# --- jobs that died without saying why -----------------------------------------------------------

DEATHS = ("memory_pressure", "gpu_memory", "network_latency", "user_code_error", "bad_input")
_STATUS = "The replica workerpool0-0 exited with a non-zero status of {code}. To find out more about why your job exited please check the logs."


def deaths(count: int, reasons: dict[str, list[str]], *, seed: int = 137) -> Iterator[Made]:
    """`count` custom jobs whose error is an exit status alone.

    `reasons` maps each truth to lines that real software printed for it: one of them stands near
    the end of the log in most cases (the kernel seldom writes there, so in fewer where memory
    killed). Memory climbs over minutes or jumps between two samples; a GPU's memory is full in a
    fifth of the jobs that died of something else, since frameworks reserve it.
    """
    dice = random.Random(seed)
    for number in range(count):
        truth = DEATHS[number % len(DEATHS)]
        yield _death(number, truth, dice.choice(reasons[truth]), dice)


def _climb(truth: str, steps: int, dice: random.Random) -> list[float]:
    """Host memory as a fraction of its limit, one number a step."""
    base = dice.uniform(0.2, 0.55)
    if truth != "memory_pressure":
        return [_noisy(base, dice) for _ in range(steps)]
    if dice.random() < 0.3:
        return [_noisy(base, dice) for _ in range(steps)]
    return [min(0.99, base + (0.98 - base) * (i / max(1, steps - 1)) ** 1.5) for i in range(steps)]


def _death(number: int, truth: str, reason: str, dice: random.Random) -> Made:
    machine, vcpus = dice.choice(_MACHINES)
    span = dice.uniform(900, 5400)
    killed = truth == "memory_pressure" and dice.random() < 0.5
    lines = [
        (dice.uniform(0, span * 0.98), dice.choice(("INFO", "ERROR")), dice.choice(_CHATTER))
        for _ in range(30)
    ]
    if dice.random() < (0.4 if truth == "memory_pressure" else 0.8):
        lines.append((span - dice.uniform(1, 20), "ERROR", reason))
    steps = int(span // 60)
    memory = _climb(truth, steps, dice)
    load = dice.uniform(0.2, 0.8)
    series = [
        {
            "metric": {"type": f"ml.googleapis.com/training/{name}/utilization"},
            "resource": {"type": "cloudml_job", "labels": {"job_id": str(number)}},
            "points": [
                {
                    "interval": {"endTime": _moment(60.0 * (i + 1))},
                    "value": {"doubleValue": value},
                }
                for i, value in enumerate(values)
                if dice.random() > 0.2
            ],
        }
        for name, values in (
            ("cpu", [_noisy(load, dice) for _ in range(steps)]),
            ("memory", memory),
        )
    ]
    full = truth == "gpu_memory" or dice.random() < 0.2
    telemetry = [
        {
            "remediatorTelemetry": 1,
            "time": _moment(30.0 * (i + 1)),
            "cpu": round(_noisy(load, dice), 3),
            "memoryBytes": int(memory[min(i // 2, steps - 1)] * vcpus * 4e9),
            "memoryLimitBytes": int(vcpus * 4e9),
            "gpus": [
                {
                    "utilization": round(_noisy(0.7, dice), 2),
                    "memoryBytes": int(16e9 * (dice.uniform(0.96, 0.995) if full else 0.6)),
                    "memoryLimitBytes": int(16e9),
                }
            ],
            "section": dice.choice(_SECTIONS),
        }
        for i in range(steps * 2)
    ]
    body = {
        "name": f"projects/1/locations/us-central1/customJobs/{number}",
        "state": "JOB_STATE_FAILED",
        "createTime": _moment(-120),
        "startTime": _moment(0),
        "endTime": _moment(span),
        "jobSpec": {
            "workerPoolSpecs": [{"machineSpec": {"machineType": machine}, "replicaCount": "1"}]
        },
        "error": {"code": 3, "message": _STATUS.format(code=137 if killed else 1)},
    }
    case = {"job": body, "logEntries": _entries(lines, telemetry, dice), "timeSeries": series}
    return Made(case, truth, "custom", blind=False)
