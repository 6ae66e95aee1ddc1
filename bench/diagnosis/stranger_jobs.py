"""How a stranger would write one failure down as a case file: jobs, log entries, series, telemetry.

A `Scene` says what happened to one job and what can be seen of it; `document` writes it in the
shapes of Google's REST API, with the ways in which such evidence is spoilt: samples lost, series
late or missing, lines lost, shuffled and skewed, payloads of three forms. Used by `strangers`.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

Curve = Callable[[float], float]
Line = tuple[float, str]

VCPUS = {
    "n1-standard-4": 4,
    "n1-standard-8": 8,
    "n1-highmem-16": 16,
    "n1-standard-32": 32,
    "n2-standard-8": 8,
    "n2-highcpu-32": 32,
    "e2-standard-4": 4,
    "e2-standard-16": 16,
    "c2-standard-8": 8,
    "c2-standard-30": 30,
    "n2d-standard-16": 16,
    "c3-standard-22": 22,
    "n1-highcpu-8": 8,
}
GPUS = [
    ("n1-standard-8", "NVIDIA_TESLA_T4", 1, 8),
    ("n1-standard-16", "NVIDIA_TESLA_V100", 2, 16),
    ("g2-standard-12", "NVIDIA_L4", 1, 12),
    ("a2-highgpu-1g", "NVIDIA_TESLA_A100", 1, 12),
    ("a2-highgpu-4g", "NVIDIA_TESLA_A100", 4, 48),
    ("g2-standard-24", "NVIDIA_L4", 2, 24),
]
REGIONS = ["us-central1", "europe-west4", "us-east1", "asia-northeast1", "europe-west1"]
FAR = {
    "us-central1": ["EUROPE-WEST1", "ASIA-SOUTHEAST1", "EU"],
    "europe-west4": ["US-CENTRAL1", "US", "ASIA-EAST1"],
    "us-east1": ["EUROPE-WEST4", "ASIA-NORTHEAST1"],
    "asia-northeast1": ["US-WEST1", "EU"],
    "europe-west1": ["AUSTRALIA-SOUTHEAST1", "US-EAST4"],
}
NEAR = {
    "us-central1": ["US-CENTRAL1", "US"],
    "europe-west4": ["EUROPE-WEST4", "EU"],
    "us-east1": ["US-EAST1", "US"],
    "asia-northeast1": ["ASIA-NORTHEAST1"],
    "europe-west1": ["EUROPE-WEST1", "EU"],
}


def stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


@dataclass
class Load:
    """What the machine did, each curve over the run's share 0 to 1."""

    cpu: Curve
    memory: Curve = lambda _: 0.35
    gpu: Curve | None = None
    received: Curve = lambda _: 2e4  # bytes per second
    sent: Curve = lambda _: 1e4


@dataclass
class Scene:
    """One job's life, before it is written down."""

    dice: random.Random
    kind: str
    hours: float
    region: str
    machine: str
    vcpus: int
    gpu: tuple[str, int] | None = None
    load: Load | None = None
    lines: list[Line] = field(default_factory=list)
    metrics: bool = True
    telemetry: bool = False
    section: Callable[[float], tuple[str | None, str | None]] = lambda _: (None, None)
    workers: int = 1
    gap: float = 0.0
    late: float = 0.0
    until: float = 1.0
    only: set[str] | None = None
    env: dict[str, str] = field(default_factory=dict)
    args: list[str] = field(default_factory=list)
    image: str | None = None
    buckets: dict[str, str] = field(default_factory=dict)
    probes: list[dict[str, Any]] = field(default_factory=list)
    batch_size: int | None = None
    error: dict[str, Any] | None = None
    state: str | None = None
    partial: list[dict[str, Any]] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()  # series and words without which nobody could tell: never lost
    inputs: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.hours * 3600


TIMEOUT_TEXTS = [
    (4, "DEADLINE_EXCEEDED"),
    (4, "Deadline Exceeded"),
    (4, "504 Deadline Exceeded"),
    (4, "Job did not complete within the configured timeout of {t}s."),
    (4, "DEADLINE_EXCEEDED: The CustomJob has run longer than scheduling.timeout ({t}s)."),
    (1, "The job was cancelled because it exceeded its timeout of {t} seconds."),
    (4, "Job timed out after {t} seconds."),
    (13, "504 Gateway Timeout"),
    (4, "Time-out: the training job ran out of its allotted time ({h} hours)."),
    (4, "google.api_core.exceptions.DeadlineExceeded: 504 Deadline Exceeded"),
]
BATCH_504 = [
    "('Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result 504 (upstream request timeout) from server, retry=3, elapsed={e:.2f}s.', {n})",
    "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result 504 (upstream request timeout) from server, retry=3, elapsed={e:.2f}s.",
    "Failed to run batch prediction: Exceeded retries: Non-OK result 504 (upstream request timeout) from server, retry=3, elapsed={e:.2f}s.",
]


def batch_504(dice: random.Random) -> str:
    return dice.choice(BATCH_504).format(e=600 + dice.random() * 3, n=dice.choice([1, 16, 64]))


_CUSTOM_IMAGES = (
    "europe-docker.pkg.dev/acme/train/genomics:3",
    "us-docker.pkg.dev/vertex-ai/training/scikit-learn-cpu.1-0:latest",
    "gcr.io/acme/pipeline:2026-10-01",
)
_SERVER_IMAGES = ("us-docker.pkg.dev/acme/serve/app:9", "gcr.io/acme/fastapi-scorer:latest")


def document(s: Scene) -> dict[str, Any]:
    """The case file of a scene."""
    dice = s.dice
    number = str(dice.randrange(10**17, 10**19))
    start = datetime(2026, 11, dice.randrange(2, 20), dice.randrange(24), 17, 3, tzinfo=UTC)
    end = start + timedelta(seconds=s.seconds)
    parent = f"projects/{dice.choice(['421337009123', 'acme-ml'])}/locations/{s.region}"
    times = {
        "createTime": stamp(start - timedelta(minutes=dice.randrange(1, 9))),
        "startTime": stamp(start),
        "endTime": stamp(end),
        "updateTime": stamp(end + timedelta(seconds=20)),
    }
    is_custom = s.kind == "custom"
    body: dict[str, Any] = {"job": (_custom_job if is_custom else _batch_job)(s, parent, number)}
    body["job"] |= times
    if not is_custom and (dice.random() < 0.8 or s.env or s.image):
        body["model"] = _model(s, parent)
    body["buckets"] = {name: {"location": place} for name, place in s.buckets.items()}
    body["probes"], body["errorFiles"] = s.probes, s.files
    entries = [*_log_entries(s, number, start), *_telemetry_entries(s, number, start)]
    order = dice.choice(["shuffled", "forward", "backward"])
    entries.sort(key=lambda entry: str(entry["timestamp"]), reverse=order == "backward")
    if order == "shuffled":
        dice.shuffle(entries)
    body["logEntries"] = entries
    if is_custom and s.metrics:
        body["timeSeries"] = _series(s, number, start)
    if dice.random() < 0.3:
        body["now"] = stamp(end + timedelta(minutes=12))
    return {key: value for key, value in body.items() if value}


def _machine(s: Scene) -> dict[str, Any]:
    device = {"acceleratorType": s.gpu[0], "acceleratorCount": s.gpu[1]} if s.gpu else {}
    return {"machineType": s.machine, **device}


def _environment(s: Scene) -> dict[str, Any]:
    return {"env": [{"name": k, "value": v} for k, v in s.env.items()]} if s.env else {}


def _custom_job(s: Scene, parent: str, number: str) -> dict[str, Any]:
    dice, timeout = s.dice, round(s.seconds)
    code, text = dice.choice(TIMEOUT_TEXTS)
    told = {"code": code, "message": text.format(t=timeout, h=round(timeout / 3600))}
    # Who names a device in the arguments does not build the image for CPUs alone.
    image = "us-docker.pkg.dev/acme/train/app:7" if s.args else dice.choice(_CUSTOM_IMAGES)
    pool = {
        "machineSpec": _machine(s),
        "replicaCount": "1",
        "containerSpec": {
            "imageUri": s.image or image,
            "command": ["python", "-m", "task"],
            "args": [*s.args, *(f"--input={uri}" for uri in s.inputs)],
            **_environment(s),
        },
    }
    others = [{**pool, "replicaCount": str(s.workers - 1)}] if s.workers > 1 else []
    states = ("JOB_STATE_FAILED", "JOB_STATE_FAILED", "JOB_STATE_EXPIRED", "JOB_STATE_CANCELLED")
    return {
        "name": f"{parent}/customJobs/{number}",
        "displayName": dice.choice(["nightly-train", "variant-caller", "etl_v2", "job"]),
        "jobSpec": {
            "workerPoolSpecs": [pool, *others],
            "scheduling": {"timeout": f"{timeout}s"},
        },
        "state": s.state or dice.choice(states),
        "error": s.error or told,
    }


def _batch_job(s: Scene, parent: str, number: str) -> dict[str, Any]:
    dice = s.dice
    files = {
        "instancesFormat": "jsonl",
        "gcsSource": {"uris": s.inputs or ["gs://acme-batch-in/instances-*.jsonl"]},
    }
    table = {
        "instancesFormat": "bigquery",
        "bigquerySource": {"inputUri": "bq://acme-ml.features.daily"},
    }
    stats = {
        "successfulCount": str(dice.randrange(5000)),
        "failedCount": str(dice.randrange(1, 900)),
        "incompleteCount": "-1",
    }
    job: dict[str, Any] = {
        "name": f"{parent}/batchPredictionJobs/{number}",
        "displayName": dice.choice(["score-weekly", "embeddings", "bp-77"]),
        "model": f"{parent}/models/7712@4",
        "modelVersionId": "4",
        "inputConfig": table if not s.inputs and dice.random() < 0.2 else files,
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": "gs://acme-batch-out/x"},
        },
        "dedicatedResources": {
            "machineSpec": _machine(s),
            "startingReplicaCount": dice.choice([1, 2, 5]),
            "maxReplicaCount": 10,
        },
        "manualBatchTuningParameters": {"batchSize": s.batch_size} if s.batch_size else None,
        "state": s.state or "JOB_STATE_FAILED",
        "error": s.error,
        "partialFailures": s.partial,
        "completionStats": stats if dice.random() < 0.6 else None,
    }
    return {key: value for key, value in job.items() if value}


def _model(s: Scene, parent: str) -> dict[str, Any]:
    return {
        "name": f"{parent}/models/7712",
        "versionId": "4",
        "displayName": "scorer",
        "containerSpec": {
            "imageUri": s.image or s.dice.choice(_SERVER_IMAGES),
            "predictRoute": "/predict",
            "healthRoute": "/health",
            "ports": [{"containerPort": 8080}],
            **_environment(s),
        },
    }


# --- what is seen of it -------------------------------------------------------------------------


def _origin(s: Scene, number: str) -> dict[str, Any]:
    """The parts of a log entry that say which job wrote it."""
    if s.kind == "custom":
        labels = {"job_id": number, "project_id": "acme-ml", "task_name": "workerpool0-0"}
        return {
            "logName": "projects/acme-ml/logs/workerpool0-0",
            "resource": {"type": "ml_job", "labels": labels},
        }
    labels = {"job_id": number, "location": s.region}
    return {
        "logName": "projects/acme-ml/logs/stdout",
        "resource": {"type": "aiplatform.googleapis.com/BatchPredictionJob", "labels": labels},
    }


def _log_entries(s: Scene, number: str, start: datetime) -> Iterator[dict[str, Any]]:
    """The program's lines: some lost, a clock that is off, as text or inside JSON."""
    dice = s.dice
    skew, loss = dice.choice([0, 0, 0, 90, -45, 240]), dice.choice([0, 0, 0.05, 0.25])
    styles = dice.choice([("text",), ("json",), ("text", "json")])
    for i, (offset, text) in enumerate(s.lines):
        told = offset <= 30 or len(s.lines) <= 20 or any(word in text for word in s.needs)
        if dice.random() < loss and not told:
            continue
        when = start + timedelta(seconds=offset + skew)
        inside = {"message": text, "levelname": "INFO", "attrs": {"tag": "workerpool0-0"}}
        payload: dict[str, Any] = {"textPayload": text}
        if dice.choice(styles) == "json":
            payload = {"jsonPayload": inside}
        late = {"receiveTimestamp": stamp(when + timedelta(seconds=2))}
        yield {
            **_origin(s, number),
            "insertId": f"l{i}",
            "timestamp": stamp(when),
            "severity": dice.choice(["INFO", "DEFAULT", "ERROR"]),
            **(late if dice.random() < 0.5 else {}),
            **payload,
        }


def _telemetry_entries(s: Scene, number: str, start: datetime) -> Iterator[dict[str, Any]]:
    """The telemetry of one run, in one of the three forms in which it may arrive."""
    if not s.telemetry or s.load is None:
        return
    form = s.dice.choice(["textPayload", "jsonPayload", "message"])
    every = max(30.0, s.seconds / 150)
    for i in range(int(s.seconds * s.until // every)):
        at = (i + 0.5) * every / s.seconds
        if s.dice.random() < s.gap or at < s.late:
            continue
        when = start + timedelta(seconds=at * s.seconds)
        line = {"remediatorTelemetry": 1, "time": stamp(when), **_measured(s, s.load, at)}
        payload: dict[str, Any] = {"jsonPayload": line}
        if form != "jsonPayload":
            text = json.dumps(line)
            payload = {form: text} if form == "textPayload" else {"jsonPayload": {form: text}}
        yield {
            **_origin(s, number),
            "insertId": f"t{i}",
            "timestamp": stamp(when + timedelta(seconds=1)),
            "severity": "INFO",
            **payload,
        }


def _measured(s: Scene, load: Load, at: float) -> dict[str, Any]:
    """One telemetry line's fields; `only` leaves some out."""
    dice = s.dice

    def noisy(curve: Curve, spread: float) -> float:
        return min(0.999, max(0.0, curve(at) + dice.gauss(0, spread)))

    line: dict[str, Any] = {"cpu": round(noisy(load.cpu, 0.012), 4)}
    if s.only is None or "memory" in s.only:
        limit = s.vcpus * 4 * 2**30
        line |= {
            "memoryBytes": int(limit * noisy(load.memory, 0.004)),
            "memoryLimitBytes": limit,
        }
    if load.gpu and s.gpu:
        line["gpus"] = [
            {
                "utilization": round(noisy(load.gpu, 0.01), 3),
                "memoryBytes": 9 * 2**30,
                "memoryLimitBytes": 16 * 2**30,
            }
            for _ in range(s.gpu[1])
        ]
    if s.only is None or "network" in s.only:
        line["receivedBytesPerSecond"] = int(load.received(at) * dice.uniform(0.85, 1.1))
        line["sentBytesPerSecond"] = int(load.sent(at) * dice.uniform(0.8, 1.2))
    section, stack = s.section(at)
    return {
        **line,
        **({"section": section} if section else {}),
        **({"stack": stack} if stack else {}),
    }


def _series(s: Scene, number: str, start: datetime) -> list[dict[str, Any]]:
    """Cloud Monitoring's series of every worker; a kind or two may be missing."""
    load, dice = s.load, s.dice
    if load is None:
        return []
    shares: dict[str, Curve] = {"cpu/utilization": load.cpu, "memory/utilization": load.memory}
    if load.gpu:
        shares["accelerator/utilization"] = load.gpu
    counts = {
        "network/received_bytes_count": load.received,
        "network/sent_bytes_count": load.sent,
    }
    lost: set[str] = set()
    if s.only is not None:
        lost = {name for name in (*shares, *counts) if name.split("/")[0] not in s.only}
    elif dice.random() < 0.3:
        lost = {dice.choice(["memory/utilization", "network/sent_bytes_count"])} - set(s.needs)
    spread = dice.random() < 0.12  # aligned to distributions
    found = []
    for worker in range(s.workers):
        labels = {"project_id": "acme-ml", "job_id": number, "region": s.region}
        if s.workers > 1:
            labels["task_name"] = f"workerpool{min(worker, 1)}-{max(0, worker - 1)}"
        for name, curve in (*shares.items(), *counts.items()):
            if name in lost:
                continue
            count = name in counts
            points = [
                {"interval": {"startTime": first, "endTime": last}, "value": value}
                for first, last, value in _points(s, curve, start, count=count, spread=spread)
            ]
            found.append(
                {
                    "metric": {"type": f"ml.googleapis.com/training/{name}", "labels": {}},
                    "resource": {"type": "cloudml_job", "labels": labels},
                    "metricKind": "DELTA" if count else "GAUGE",
                    "valueType": "INT64" if count else ("DISTRIBUTION" if spread else "DOUBLE"),
                    "points": points[::-1],
                }
            )
    dice.shuffle(found)
    return found


def _points(
    s: Scene, curve: Curve, start: datetime, *, count: bool, spread: bool
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(start, end, value) of each sample that was kept, oldest first."""
    dice = s.dice
    step = 60 if s.seconds <= 7 * 3600 else 300
    for second in range(0, int(s.seconds * s.until), step):
        at = (second + step / 2) / s.seconds
        if at < s.late or dice.random() < s.gap:
            continue
        last = stamp(start + timedelta(seconds=second + step))
        if count:
            moved = str(int(curve(at) * step * dice.uniform(0.85, 1.1)))
            yield stamp(start + timedelta(seconds=second)), last, {"int64Value": moved}
            continue
        share = min(1.0, max(0.0, curve(at) + dice.gauss(0, 0.012)))
        value: dict[str, Any] = {"doubleValue": share}
        if spread:
            value = {"distributionValue": {"count": "6", "mean": share}}
        yield last, last, value
