"""What a job that runs shows of itself, put into the twin directly: samples of its machines, lines of its log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from twin.clock import rfc3339
from twin.cloud import Cloud

FIRST_WORKER = "workerpool0-0"


def points(samples: Iterable[tuple[datetime, float]]) -> list[dict[str, Any]]:
    """Points of a series from moments and values."""
    return [
        {"interval": {"endTime": rfc3339(at)}, "value": {"doubleValue": value}}
        for at, value in samples
    ]


def training_series(
    ident: str, name: str, shown: list[dict[str, Any]], task: str = FIRST_WORKER
) -> dict[str, Any]:
    """One of Vertex's training metrics of a job, such as `cpu/utilization`; series may share points."""
    return {
        "metric": {
            "type": f"ml.googleapis.com/training/{name}",
            "labels": {"task_name": task},
        },
        "resource": {"type": "cloudml_job", "labels": {"job_id": ident}},
        "metricKind": "GAUGE",
        "valueType": "DOUBLE",
        "points": shown,
    }


def write_line(cloud: Cloud, ident: str, moment: datetime, text: str) -> None:
    """A line of the job's first worker, which no sink routes."""
    labels = {"job_id": ident, "task_name": FIRST_WORKER, "project_id": cloud.project}
    entry: Mapping[str, Any] = {
        "logName": f"projects/{cloud.project}/logs/{FIRST_WORKER}",
        "timestamp": rfc3339(moment),
        "insertId": f"{ident}-{moment.timestamp()}",
        "severity": "INFO",
        "textPayload": text,
        "resource": {"type": "ml_job", "labels": labels},
    }
    cloud.log(dict(entry), route=False)
