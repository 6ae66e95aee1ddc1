"""Jobs of every kind as Google's REST API shows them, for the tests of the policy room."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime
from typing import Any

from remediator.case import Case
from remediator.domain import (
    Attempt,
    Cause,
    Change,
    Diagnosis,
    Evidence,
    JobState,
    Needs,
    NotFound,
    RankedCause,
    Source,
)
from remediator.job import Job
from remediator.policy import Policies, load
from remediator.rows.objects import BatchRows

_PARENT = "projects/123456789012/locations/us-central1"
_TIMES = {
    "createTime": "2026-11-23T17:58:00Z",
    "startTime": "2026-11-23T18:00:00Z",
    "endTime": "2026-11-23T19:00:00Z",
    "updateTime": "2026-11-23T19:00:30Z",
}
_ENDED = {"state": "JOB_STATE_FAILED", "error": {"code": 3, "message": "it failed"}, **_TIMES}


def _pool(machine: str, replicas: str = "1") -> dict[str, Any]:
    return {
        "machineSpec": {"machineType": machine},
        "replicaCount": replicas,
        "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100},
        "containerSpec": {
            "imageUri": "us-docker.pkg.dev/p/genomics/align:3",
            "command": ["python", "align.py"],
            "args": ["--reads=gs://genomes/reads", "--out=/gcs/results/bam"],
            "env": [{"name": "SHARDS", "value": "16"}],
        },
    }


CUSTOM: dict[str, Any] = {
    "name": f"{_PARENT}/customJobs/77",
    "displayName": "align",
    **_ENDED,
    "labels": {"env": "prod", "aiplatform.googleapis.com/made-by": "google"},
    "webAccessUris": {"workerpool0-0": "https://example.com"},
    "jobSpec": {
        "workerPoolSpecs": [_pool("n1-standard-8")],
        "scheduling": {"timeout": "3600s"},
        "serviceAccount": "trainer@genomics.iam.gserviceaccount.com",
        "baseOutputDirectory": {"outputUriPrefix": "gs://results/run"},
    },
}

BATCH: dict[str, Any] = {
    "name": f"{_PARENT}/batchPredictionJobs/88",
    "displayName": "score",
    **_ENDED,
    "model": f"{_PARENT}/models/variants",
    "modelVersionId": "4",
    "inputConfig": {
        "instancesFormat": "jsonl",
        "gcsSource": {"uris": ["gs://genomes/instances.jsonl"]},
    },
    "outputConfig": {
        "predictionsFormat": "jsonl",
        "gcsDestination": {"outputUriPrefix": "gs://results/scores"},
    },
    "dedicatedResources": {
        "machineSpec": {"machineType": "n1-standard-8"},
        "startingReplicaCount": 2,
        "maxReplicaCount": 2,
    },
    "serviceAccount": "scorer@genomics.iam.gserviceaccount.com",
    "outputInfo": {"gcsOutputDirectory": "gs://results/scores/prediction-1"},
    "partialFailures": [],
    "resourcesConsumed": {"replicaHours": 2.0},
    "completionStats": {"successfulCount": "10", "failedCount": "0", "incompleteCount": "90"},
}

TUNING: dict[str, Any] = {
    "name": f"{_PARENT}/hyperparameterTuningJobs/99",
    "displayName": "tune",
    **_ENDED,
    "studySpec": {"metrics": [{"metricId": "loss", "goal": "MINIMIZE"}]},
    "maxTrialCount": 10,
    "parallelTrialCount": 2,
    "trialJobSpec": {
        "workerPoolSpecs": [_pool("n1-highmem-8")],
        "scheduling": {"timeout": "7200s"},
    },
    "trials": [
        {"id": "1", "state": "SUCCEEDED", "customJob": f"{_PARENT}/customJobs/501"},
        {"id": "2", "state": "SUCCEEDED", "customJob": f"{_PARENT}/customJobs/502"},
        {"id": "3", "state": "INFEASIBLE", "customJob": f"{_PARENT}/customJobs/503"},
    ],
}

TRAINING: dict[str, Any] = {
    "name": f"{_PARENT}/trainingPipelines/111",
    "displayName": "train",
    **_ENDED,
    "state": "PIPELINE_STATE_FAILED",
    "trainingTaskDefinition": "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml",
    "trainingTaskInputs": {
        # The SDK mixes both spellings, and so does what comes back.
        "workerPoolSpecs": [
            {
                "machine_spec": {"machine_type": "n1-standard-4"},
                "replica_count": 1,
                "container_spec": {"image_uri": "gcr.io/p/train"},
            }
        ],
        "baseOutputDirectory": {"output_uri_prefix": "gs://results/model"},
        "service_account": "trainer@genomics.iam.gserviceaccount.com",
    },
    "trainingTaskMetadata": {"backingCustomJob": f"{_PARENT}/customJobs/601"},
}

TUNING_TASK: dict[str, Any] = {  # a training pipeline whose task is a tuning job
    **TRAINING,
    "name": f"{_PARENT}/trainingPipelines/112",
    "trainingTaskDefinition": "gs://google-cloud-aiplatform/schema/trainingjob/definition/hyperparameter_tuning_task_1.0.0.yaml",
    "trainingTaskInputs": {"trialJobSpec": TRAINING["trainingTaskInputs"], "maxTrialCount": "4"},
}

PIPELINE: dict[str, Any] = {
    "name": f"{_PARENT}/pipelineJobs/nightly-1",
    "displayName": "nightly",
    **_ENDED,
    "state": "PIPELINE_STATE_FAILED",
    "labels": {"vertex-ai-pipelines-run-billing-id": "4242"},
    "runtimeConfig": {"gcsOutputDirectory": "gs://results/pipelines"},
    "serviceAccount": "pipelines@genomics.iam.gserviceaccount.com",
    "pipelineSpec": {
        "components": {
            "comp-load": {"executorLabel": "exec-load"},
            "comp-train": {"executorLabel": "exec-train"},
        },
        "root": {
            "dag": {
                "tasks": {
                    "load": {
                        "componentRef": {"name": "comp-load"},
                        "cachingOptions": {"enableCache": True},
                    },
                    "train": {
                        "componentRef": {"name": "comp-train"},
                        "cachingOptions": {"enableCache": True},
                    },
                }
            }
        },
        "deploymentSpec": {
            "executors": {
                "exec-load": {"container": {"image": "gcr.io/p/load"}},
                "exec-train": {
                    "container": {
                        "image": "gcr.io/p/train",
                        "resources": {"cpuLimit": 4, "memoryLimit": 15},
                    }
                },
            }
        },
    },
    "jobDetail": {
        "taskDetails": [
            {
                "taskName": "load",
                "state": "SUCCEEDED",
                "startTime": "2026-11-23T18:00:00Z",
                "endTime": "2026-11-23T18:20:00Z",
            },
            {
                "taskName": "train",
                "state": "FAILED",
                "startTime": "2026-11-23T18:20:00Z",
                "endTime": "2026-11-23T18:50:00Z",
                "error": {"code": 9, "message": "out of memory"},
                "executorDetail": {"containerDetail": {"mainJob": f"{_PARENT}/customJobs/701"}},
            },
        ]
    },
}
EVERY_KIND = (BATCH, CUSTOM, TUNING, TRAINING, PIPELINE)


def job(body: dict[str, Any], **changes: Any) -> Job:
    """The job with fields at dotted paths (dots as `__`) set; None takes a field out."""
    document = Job.parse(copy.deepcopy(body))
    for path, value in changes.items():
        document = document.changed(path.replace("__", "."), value)
    name = changes.get("name")
    return Job.parse(document.to_json()) if name else document


def case(document: Job, **more: Any) -> Case:
    """The case of a failed job, judged seven minutes after its end."""
    parsed = Case.parse({"job": document.to_json(), **more})
    return Case(
        job=document,
        now=parsed.now,
        model=parsed.model,
        log_lines=parsed.log_lines,
        series=parsed.series,
        buckets=parsed.buckets,
        attempts=parsed.attempts,
        earlier=parsed.earlier,
    )


def diagnosis(
    document: Job,
    cause: Cause,
    confidence: float = 0.9,
    *,
    says: str = "",
    needs: Needs | None = None,
) -> Diagnosis:
    """A verdict, with one piece of evidence where something is said."""
    evidence = (Evidence(Source.LOG, "line", says),) if says else ()
    known = cause is not Cause.UNKNOWN
    return Diagnosis(
        str(document.name),
        document.kind,
        cause,
        (RankedCause(cause, confidence, evidence),) if known else (),
        needs=needs or Needs(),
    )


def attempt(policy: str, step: int = 1, *, changed: bool = True, number: int = 0) -> Attempt:
    """A resubmission that failed."""
    changes = (Change("f", 1, 2),) if changed else ()
    return Attempt(
        name=f"{_PARENT}/customJobs/9{number}",
        state=JobState.FAILED,
        create_time=None,
        policy=policy,
        step=step,
        verdict="unknown",
        changes=changes,
        number=number,
    )


def policies(text: str) -> Policies:
    """A policy file's text without its first line and channels."""
    return load(f"version: 1\nchannels: {{ml: {{slack: {{webhook: 'env:W'}}}}}}\n{text}").require()


class _NoStorage:
    """A Cloud Storage in which there is nothing, for stories that resume no batch."""

    def _gone(self, *_: object, **__: object) -> Any:
        msg = "there is no such object"
        raise NotFound(msg)

    find = open = rows_in = create = write_json = _gone


class KnownEvidence:
    """Evidence by a function of a test's; of a job that runs nothing is seen."""

    def __init__(self, case_of: Callable[..., Case]) -> None:
        self.gather = case_of

    def look(self, job: Job, *, now: datetime, with_log: bool, seen: Case | None = None) -> Case:
        del with_log, seen
        return Case(job=job, now=now)


def no_rows() -> BatchRows:
    """The rows of batches where there is no batch."""
    return BatchRows(_NoStorage())
