"""The clients on the twin: Google's real clients, real sockets, faults planned by the test."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest

from remediator.cloud.logs import Logs
from remediator.cloud.metrics import Metrics
from remediator.cloud.storage import Storage
from remediator.cloud.vertex import Vertex
from twin.cloud import Cloud

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
PATIENCE_SECONDS = 60.0  # chosen: no answer from loopback takes so long on a busy machine


@pytest.fixture(scope="session")
def closer() -> Iterator[ThreadPoolExecutor]:
    """Ends twins while the next test runs: an HTTP server takes its time to notice."""
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def cloud(closer: ThreadPoolExecutor) -> Iterator[Cloud]:
    """A twin whose clock stands still."""
    made = Cloud(frozen=True, start=NOW)
    yield made
    closer.submit(made.close)


@pytest.fixture
def vertex(cloud: Cloud) -> Iterator[Vertex]:
    made = Vertex(cloud.vertex.endpoint, timeout_seconds=PATIENCE_SECONDS)
    yield made
    made.close()


@pytest.fixture
def logs(cloud: Cloud) -> Iterator[Logs]:
    made = Logs(cloud.logging.endpoint, timeout_seconds=PATIENCE_SECONDS)
    yield made
    made.close()


@pytest.fixture
def metrics(cloud: Cloud) -> Iterator[Metrics]:
    made = Metrics(cloud.monitoring.endpoint, timeout_seconds=PATIENCE_SECONDS)
    yield made
    made.close()


@pytest.fixture
def storage(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.storage.url)
    made = Storage(timeout_seconds=PATIENCE_SECONDS)
    yield made
    made.close()


def custom_job(name: str, **more: Any) -> dict[str, Any]:
    """A failed custom job as Vertex shows it."""
    return {
        "name": name,
        "displayName": "align",
        "state": "JOB_STATE_FAILED",
        "error": {"code": 3, "message": "The replica workerpool0-0 exited with a non-zero status"},
        "createTime": "2026-11-23T18:00:00Z",
        "startTime": "2026-11-23T18:05:00Z",
        "endTime": "2026-11-23T19:05:00Z",
        "labels": {"team": "genomics"},
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {"machineType": "n1-standard-8"},
                    "replicaCount": "1",
                    "containerSpec": {"imageUri": "gcr.io/p/app:1", "args": ["--all"]},
                }
            ],
            "scheduling": {"timeout": "3600s"},
        },
        **more,
    }
