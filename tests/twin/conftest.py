"""A twin for each test, and Google's real generated clients on its sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.cloud import aiplatform_v1, monitoring_v3
from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport
from google.cloud.aiplatform_v1.services.model_service.transports import ModelServiceGrpcTransport
from google.cloud.aiplatform_v1.services.pipeline_service.transports import (
    PipelineServiceGrpcTransport,
)
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2.transports import (
    LoggingServiceV2GrpcTransport,
)
from google.cloud.monitoring_v3.services.metric_service.transports import (
    MetricServiceGrpcTransport,
)

from twin.cloud import Cloud


@dataclass
class Clients:
    """Google's clients, pointed at one twin."""

    jobs: Any
    pipelines: Any
    models: Any
    logs: Any
    metrics: Any


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A twin whose clock stands still until a test moves it."""
    with Cloud(frozen=True) as made:
        yield made


@pytest.fixture
def clients(cloud: Cloud) -> Iterator[Clients]:
    vertex, logging, monitoring = (
        grpc.insecure_channel(server.endpoint)
        for server in (cloud.vertex, cloud.logging, cloud.monitoring)
    )
    yield Clients(
        jobs=aiplatform_v1.JobServiceClient(transport=JobServiceGrpcTransport(channel=vertex)),
        pipelines=aiplatform_v1.PipelineServiceClient(
            transport=PipelineServiceGrpcTransport(channel=vertex)
        ),
        models=aiplatform_v1.ModelServiceClient(
            transport=ModelServiceGrpcTransport(channel=vertex)
        ),
        logs=LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=logging)),
        metrics=monitoring_v3.MetricServiceClient(
            transport=MetricServiceGrpcTransport(channel=monitoring)
        ),
    )
    for channel in (vertex, logging, monitoring):
        channel.close()


@pytest.fixture
def parent(cloud: Cloud) -> str:
    return f"projects/{cloud.project}/locations/{cloud.region}"


@pytest.fixture
def custom_job() -> Callable[..., dict[str, Any]]:
    """A custom job as a user would send it (REST shape)."""

    def made(machine: str = "n1-standard-8", **changes: Any) -> dict[str, Any]:
        pool = {
            "machineSpec": {"machineType": machine, **changes.pop("spec", {})},
            "replicaCount": "1",
            "containerSpec": {"imageUri": "gcr.io/p/app:1", "args": ["--all"]},
        }
        job_spec = {
            "workerPoolSpecs": [pool],
            "scheduling": {"timeout": changes.pop("timeout", "3600s")},
            **changes.pop("job_spec", {}),
        }
        return {"displayName": "nightly", "jobSpec": job_spec, **changes}

    return made


@pytest.fixture
def batch_job(cloud: Cloud) -> Callable[..., dict[str, Any]]:
    """A batch prediction as a user would send it (REST shape), with a model and input that exist."""
    model = cloud.add_model("77", displayName="variants", containerSpec={"imageUri": "x/y:1"})
    cloud.storage.put("in-data", "rows.jsonl", "{}\n")

    def made(machine: str = "n1-standard-8", size: int = 64, **changes: Any) -> dict[str, Any]:
        return {
            "displayName": "scoring",
            "model": model,
            "inputConfig": {
                "instancesFormat": "jsonl",
                "gcsSource": {"uris": [changes.pop("source", "gs://in-data/rows.jsonl")]},
            },
            "outputConfig": {
                "predictionsFormat": "jsonl",
                "gcsDestination": {"outputUriPrefix": "gs://out-data/scored"},
            },
            "dedicatedResources": {
                "machineSpec": {"machineType": machine, **changes.pop("spec", {})},
                "startingReplicaCount": 1,
            },
            "manualBatchTuningParameters": {"batchSize": size},
            **changes,
        }

    return made
