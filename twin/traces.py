"""A run's traces in the shapes of Google's APIs: log entries, time series, error files.

Pure. A custom job leaves `ml_job` service lines, worker lines and utilisation; a batch prediction
leaves its server's output and an error file, no line about its state and no metric at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from twin.clock import rfc3339
from twin.machines import ACCELERATORS
from twin.physics import Phase, Run

_GIB = 1024**3
BATCH_RESOURCE = "aiplatform.googleapis.com/BatchPredictionJob"
"""How a batch prediction's container lines are labelled is not documented; this is a guess."""


def custom_entries(
    run: Run, *, project: str, job_id: str, start: datetime, telemetry: bool
) -> Iterator[dict[str, Any]]:
    """LogEntries of a custom job, in order of time."""
    for at, severity, text, stream in sorted(run.lines, key=lambda line: line[0]):
        task = "service" if stream == "service" else run.replica
        log_id = f"ml.googleapis.com%2F{job_id}" if task == "service" else task
        yield _entry(
            start + timedelta(seconds=at),
            severity,
            {"textPayload": text} if task == "service" else {"jsonPayload": {"message": text}},
            log_name=f"projects/{project}/logs/{log_id}",
            resource=_ml_job(project, job_id, task),
            key=f"{job_id}{at}{text}",
            labels={"ml.googleapis.com/stream": stream} if task != "service" else {},
        )
    if telemetry:
        for at, line in _telemetry(run, start):
            yield _entry(
                start + timedelta(seconds=at),
                "INFO",
                {"jsonPayload": {"message": json.dumps(line)}},
                log_name=f"projects/{project}/logs/{run.replica}",
                resource=_ml_job(project, job_id, run.replica),
                key=f"{job_id}{at}telemetry",
            )


def batch_entries(
    run: Run, *, project: str, location: str, job_id: str, start: datetime, telemetry: bool
) -> Iterator[dict[str, Any]]:
    """LogEntries of a batch prediction's model server: its output, nothing about its state."""
    lines: list[tuple[float, str, dict[str, Any], str]] = [
        (at, severity, {"textPayload": text}, stream)
        for at, severity, text, stream in run.lines
        if stream != "service"
    ]
    if telemetry:
        lines += [
            (at, "INFO", {"jsonPayload": line}, "stdout") for at, line in _telemetry(run, start)
        ]
    for at, severity, payload, stream in sorted(lines, key=lambda line: line[0]):
        yield _entry(
            start + timedelta(seconds=at),
            severity,
            payload,
            log_name=f"projects/{project}/logs/aiplatform.googleapis.com%2Fprediction_container",
            resource={
                "type": BATCH_RESOURCE,
                "labels": {
                    "resource_container": f"projects/{project}",
                    "location": location,
                    "job_id": job_id,
                },
            },
            key=f"{job_id}{at}{json.dumps(payload)}",
            labels={"stream": stream, "replica_id": "0"},
        )


def series(
    run: Run, *, project: str, region: str, job_id: str, start: datetime
) -> Iterator[dict[str, Any]]:
    """The `ml.googleapis.com/training/*` series of a custom job: one sample a minute."""
    if run.machine is None or not run.phases:
        return
    vcpus, memory = run.machine.vcpus, run.machine.memory_gib
    columns = {
        "cpu/utilization": lambda phase: phase.cores / vcpus,
        "memory/utilization": lambda phase: phase.memory_gib / memory,
        "network/received_bytes_count": lambda phase: phase.received_per_second * 60 + 20_000,
        "network/sent_bytes_count": lambda phase: phase.received_per_second * 0.6 + 9_000,
    }
    if run.gpus:
        device = ACCELERATORS[run.gpu_kind].memory_gib
        columns["accelerator/utilization"] = lambda phase: phase.gpu
        columns["accelerator/memory/utilization"] = lambda phase: phase.gpu_memory_gib / device
    for name, value in columns.items():
        counts = name.endswith("_count")
        points = []
        for at, phase in _minutes(run):
            moment = rfc3339(start + timedelta(seconds=at))
            reading = value(phase) * _jitter(job_id, name, at)
            interval = {"endTime": moment}
            if counts:
                interval["startTime"] = rfc3339(start + timedelta(seconds=at - 59))
            shown = (
                {"int64Value": str(int(reading))} if counts else {"doubleValue": min(reading, 1.0)}
            )
            points.append({"interval": interval, "value": shown})
        yield {
            "metric": {"type": f"ml.googleapis.com/training/{name}"},
            "resource": {
                "type": "cloudml_job",
                "labels": {"project_id": project, "job_id": job_id, "region": region},
            },
            "metricKind": "DELTA" if counts else "GAUGE",
            "valueType": "INT64" if counts else "DOUBLE",
            "points": points,
        }


def error_file(run: Run) -> str:
    """`prediction.errors_stats-00000-of-00001`: tuple-like rows, empty where nothing failed."""
    return "".join(f"({message!r}, {count})\n" for message, count in run.error_rows)


def viewer_link(project_number: str, job_id: str) -> str:
    """The sentence with which a custom job's message points to its log, percent-encoded as there."""
    return (
        " To find out more about why your job exited please check the logs: "
        f"https://console.cloud.google.com/logs/viewer?project={project_number}"
        f"&resource=ml_job%2Fjob_id%2F{job_id}&advancedFilter=resource.type%3D%22ml_job%22%0A"
        f"resource.labels.job_id%3D%22{job_id}%22"
    )


def _ml_job(project: str, job_id: str, task: str) -> dict[str, Any]:
    return {
        "type": "ml_job",
        "labels": {"project_id": project, "job_id": job_id, "task_name": task},
    }


def _entry(
    moment: datetime,
    severity: str,
    payload: dict[str, Any],
    *,
    log_name: str,
    resource: dict[str, Any],
    key: str,
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    entry = {
        "logName": log_name,
        "resource": resource,
        "timestamp": rfc3339(moment),
        "receiveTimestamp": rfc3339(moment + timedelta(seconds=1)),
        "severity": severity,
        "insertId": hashlib.sha256(key.encode()).hexdigest()[:16],
        **payload,
    }
    if labels:
        entry["labels"] = labels
    return entry


def _minutes(run: Run) -> Iterator[tuple[float, Phase]]:
    """(second, phase) at every full minute of the run."""
    end, begun = 0.0, iter(run.phases)
    phase = next(begun)
    end = phase.seconds
    at = 60.0
    while True:
        while at > end:
            following = next(begun, None)
            if following is None:
                return
            phase, end = following, end + following.seconds
        yield at, phase
        at += 60.0


def _jitter(job_id: str, name: str, at: float) -> float:
    """A factor within two percent of one, the same every time."""
    digest = hashlib.sha256(f"{job_id}{name}{at}".encode()).digest()[0]
    return 1.0 + (digest - 128) / 6400


def _telemetry(run: Run, start: datetime) -> Iterator[tuple[float, dict[str, Any]]]:
    """One telemetry line a minute, as the user's container would print it."""
    if run.machine is None or not run.phases:
        return
    for at, phase in _minutes(run):
        line: dict[str, Any] = {
            "remediatorTelemetry": 1,
            "time": rfc3339(start + timedelta(seconds=at)),
            "cpu": round(min(phase.cores / run.machine.vcpus, 1.0), 3),
            "memoryBytes": int(phase.memory_gib * _GIB),
            "memoryLimitBytes": int(run.machine.memory_gib * _GIB),
            "section": phase.section,
        }
        if run.gpus:
            line["gpus"] = [
                {
                    "utilization": phase.gpu,
                    "memoryBytes": int(phase.gpu_memory_gib * _GIB),
                    "memoryLimitBytes": int(ACCELERATORS[run.gpu_kind].memory_gib * _GIB),
                }
            ] * run.gpus
        yield at, line
