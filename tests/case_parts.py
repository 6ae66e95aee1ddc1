"""Cases of failed jobs in short words: a job of each kind, its log, series and telemetry."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from remediator.case import Case
from remediator.diagnosis import diagnose

START = datetime(2026, 11, 23, 10, 0, tzinfo=UTC)
TIMEOUT_504 = (
    "Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result 504 "
    "(upstream request timeout) from server, retry=3, elapsed=600.04s."
)


def at(seconds: float) -> str:
    return (START + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def batch(**more) -> dict:
    job = {
        "name": "projects/1/locations/us-central1/batchPredictionJobs/7",
        "state": "JOB_STATE_FAILED",
        "startTime": at(0),
        "endTime": at(660),
        "inputConfig": {"gcsSource": {"uris": ["gs://in/x.jsonl"]}},
        "dedicatedResources": {
            "machineSpec": {"machineType": "n1-standard-8"},
            "startingReplicaCount": 1,
        },
        "error": {"code": 4, "message": TIMEOUT_504},
    }
    return {"job": {**job, **more}}


def custom(seconds: float = 3600, message: str = "", **more) -> dict:
    job = {
        "name": "projects/1/locations/us-central1/customJobs/7",
        "state": "JOB_STATE_FAILED",
        "startTime": at(0),
        "endTime": at(seconds),
        "jobSpec": {
            "workerPoolSpecs": [
                {"machineSpec": {"machineType": "n1-standard-8"}, "replicaCount": "1"}
            ],
            "scheduling": {"timeout": "3600s"},
        },
    }
    if message:
        job["error"] = {"code": 3, "message": message}
    return {"job": {**job, **more}}


def cpu(level: float, seconds: float = 3600) -> list[dict]:
    return [series("cpu/utilization", [level] * int(seconds // 60))]


def series(name: str, values: list[float]) -> dict:
    return {
        "metric": {"type": f"ml.googleapis.com/training/{name}"},
        "points": [
            {"interval": {"endTime": at(60 * (i + 1))}, "value": {"doubleValue": v}}
            for i, v in enumerate(values)
        ],
    }


def lines(*told: tuple[float, str], task: str = "workerpool0-0") -> list[dict]:
    return [
        {
            "textPayload": text,
            "timestamp": at(seconds),
            "severity": "INFO",
            "insertId": f"{task}-{i}",
            "resource": {"labels": {"task_name": task}},
        }
        for i, (seconds, text) in enumerate(told)
    ]


def telemetry(level: float, section: str, stack: str, span: int = 600) -> list[dict]:
    return [
        {
            "timestamp": at(second),
            "insertId": f"t{second}",
            "jsonPayload": {
                "remediatorTelemetry": 1,
                "time": at(second),
                "cpu": level,
                "memoryBytes": 4 << 30,
                "memoryLimitBytes": 30 << 30,
                "section": section,
                "stack": stack,
            },
        }
        for second in range(30, span, 30)
    ]


def of(body: dict, **options):
    return diagnose(Case.parse(body), **options)
