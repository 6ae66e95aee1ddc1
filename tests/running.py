"""Jobs that still run, as case files: their curves, lines and objects, by the minute since their start."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.jobs import CUSTOM

START = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)
GPU = {
    "machineType": "a2-highgpu-1g",
    "acceleratorType": "NVIDIA_TESLA_A100",
    "acceleratorCount": 1,
}
Level = Callable[[int], float]


def at(minute: float) -> str:
    return (START + timedelta(minutes=minute)).isoformat().replace("+00:00", "Z")


def series(name: str, level: Level, minutes: int, task: str = "workerpool0-0") -> dict[str, Any]:
    return {
        "metric": {"type": f"ml.googleapis.com/training/{name}", "labels": {"task_name": task}},
        "resource": {"type": "cloudml_job", "labels": {"job_id": "1"}},
        "points": [
            {"interval": {"endTime": at(m)}, "value": {"doubleValue": level(m)}}
            for m in range(4, minutes - 4)
        ],
    }


def line(minute: float, text: str) -> dict[str, Any]:
    labels = {"job_id": "1", "task_name": "workerpool0-0"}
    resource = {"type": "ml_job", "labels": labels}
    return {
        "timestamp": at(minute),
        "textPayload": text,
        "resource": resource,
        "insertId": f"{minute}",
    }


def running(
    minutes: int,
    *,
    machine: dict[str, Any] | None = None,
    replicas: int = 1,
    metrics: tuple[dict[str, Any], ...] = (),
    lines: tuple[dict[str, Any], ...] = (),
    **more: Any,
) -> dict[str, Any]:
    job = {
        key: value
        for key, value in copy.deepcopy(CUSTOM).items()
        if key not in {"endTime", "error"}
    }
    job |= {
        "state": "JOB_STATE_RUNNING",
        "createTime": at(-2),
        "startTime": at(0),
        "updateTime": at(0),
    }
    pool = job["jobSpec"]["workerPoolSpecs"][0]
    pool["machineSpec"] = machine or {"machineType": "n1-standard-8"}
    pool["replicaCount"] = str(replicas)
    job["jobSpec"].setdefault("scheduling", {})["timeout"] = "86400s"
    job |= more.pop("job", {})
    return {
        "job": job,
        "logEntries": list(lines),
        "timeSeries": list(metrics),
        "now": at(minutes),
        **more,
    }


def steps(until: int, every: int = 1) -> tuple[dict[str, Any], ...]:
    return tuple(line(m, f"step {m} loss {10 / (m + 1):.4f}") for m in range(1, until, every))


def stalled(minutes: int = 180, until: int = 90, **more: Any) -> dict[str, Any]:
    """A job that worked until some minute and has stood still since."""
    levels = (
        series("cpu/utilization", lambda m: 0.4 if m < until else 0.001, minutes),
        series("accelerator/utilization", lambda m: 0.9 if m < until else 0.0, minutes),
    )
    metrics = levels if more.get("machine") else levels[:1]
    more.setdefault("lines", steps(until))
    return running(minutes, metrics=metrics, **more)


def one_core(minutes: int, until: int) -> dict[str, Any]:
    """An A100 that trained, and since then keeps one of its 12 cores at work and nothing else."""
    metrics = (
        series("cpu/utilization", lambda m: 0.4 if m < until else 1 / 12, minutes),
        series("accelerator/utilization", lambda m: 0.9 if m < until else 0.0, minutes),
    )
    return running(minutes, machine=GPU, metrics=metrics, lines=steps(until))
