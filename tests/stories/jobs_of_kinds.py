"""Jobs of every kind as people submit them, and what stories read of those that exist."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twin.physics import Needs, Section

ACCOUNT = "pipeline@genomics-lab.iam.gserviceaccount.com"
BASE = "gs://lab-out/run"
CUSTOM_TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"

CPU = Needs(sections=(Section("align", cpu_seconds=80_000, parallel=0.99),))
MEMORY = Needs(sections=(Section("align", cpu_seconds=6_000),), memory_gib=40)
PASSING = Needs(backend_errors=1)


def pool(machine: str = "n1-standard-8", image: str = "align", **more: Any) -> dict[str, Any]:
    return {
        "machineSpec": {"machineType": machine, **more.pop("machine_spec", {})},
        "replicaCount": "1",
        "containerSpec": {"imageUri": f"us-docker.pkg.dev/lab/{image}:3", "args": ["--seed=7"]},
        **more,
    }


def job_spec(*pools: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "workerPoolSpecs": list(pools) or [pool()],
        "scheduling": {"timeout": "7200s"},
        "serviceAccount": ACCOUNT,
        "baseOutputDirectory": {"outputUriPrefix": BASE},
        **more,
    }


def custom(*pools: Mapping[str, Any], name: str = "align", **more: Any) -> dict[str, Any]:
    return {"displayName": name, "jobSpec": job_spec(*pools, **more)}


def tuning(
    *pools: Mapping[str, Any], name: str = "tune", trials: int = 6, bears: int = 1, **more: Any
) -> dict[str, Any]:
    return {
        "displayName": name,
        "studySpec": {
            "metrics": [{"metricId": "loss", "goal": "MINIMIZE"}],
            "parameters": [
                {
                    "parameterId": "rate",
                    "doubleValueSpec": {"minValue": 0.001, "maxValue": 0.1},
                }
            ],
        },
        "maxTrialCount": trials,
        "parallelTrialCount": 1,
        "maxFailedTrialCount": bears,
        "trialJobSpec": job_spec(*pools, **more),
    }


def training(*pools: Mapping[str, Any], name: str = "train", **more: Any) -> dict[str, Any]:
    return {
        "displayName": name,
        "trainingTaskDefinition": CUSTOM_TASK,
        "trainingTaskInputs": job_spec(*pools, **more),
        "modelToUpload": {"displayName": "variants"},
    }


def pipeline(
    *tasks: str,
    name: str = "nightly",
    cached: bool = True,
    resources: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Tasks in a row, each its own component; `resources` are those of the last one."""
    limits = {task: {"cpuLimit": 4, "memoryLimit": 15} for task in tasks}
    limits[tasks[-1]] = dict(resources or limits[tasks[-1]])
    return {
        "displayName": name,
        "runtimeConfig": {
            "gcsOutputDirectory": "gs://lab-out/pipelines",
            "parameterValues": {"cohort": "7"},
        },
        "serviceAccount": ACCOUNT,
        "pipelineSpec": {
            "schemaVersion": "2.1.0",
            "pipelineInfo": {"name": name},
            "components": {f"comp-{task}": {"executorLabel": f"exec-{task}"} for task in tasks},
            "deploymentSpec": {
                "executors": {
                    f"exec-{task}": {
                        "container": {
                            "image": f"us-docker.pkg.dev/lab/{name}-{task}:1",
                            "command": ["python", "-m", task],
                            "resources": limits[task],
                        }
                    }
                    for task in tasks
                }
            },
            "root": {
                "dag": {
                    "tasks": {
                        task: {
                            "componentRef": {"name": f"comp-{task}"},
                            "cachingOptions": {"enableCache": cached},
                            "dependentTasks": list(tasks[:place]),
                        }
                        for place, task in enumerate(tasks)
                    }
                }
            },
        },
    }


def component(name: str, task: str) -> dict[str, Any]:
    """The custom job behind a task, by which the twin is told what the task takes."""
    container = {
        "imageUri": f"us-docker.pkg.dev/lab/{name}-{task}:1",
        "command": ["python", "-m", task],
    }
    return {"displayName": task, "jobSpec": {"workerPoolSpecs": [{"containerSpec": container}]}}


def batch(cloud: Any, name: str = "score", **more: Any) -> dict[str, Any]:
    model = cloud.add_model(
        "777", displayName="scorer", containerSpec={"imageUri": "us-docker.pkg.dev/lab/trees:1"}
    )
    source = f"gs://lab-in/{name}.jsonl"
    cloud.storage.put_uri(source, "{}\n")
    cloud.storage.bucket("lab-out")
    return {
        "displayName": name,
        "model": model,
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [source]}},
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": "gs://lab-out/run"},
        },
        "dedicatedResources": {
            "machineSpec": {"machineType": "n1-standard-8"},
            "startingReplicaCount": 1,
            "maxReplicaCount": 10,
        },
        **more,
    }


def ident(job: Mapping[str, Any]) -> str:
    return str(job["name"]).rpartition("/")[2]


def service_line(cloud: Any, job: Mapping[str, Any] | str) -> dict[str, Any]:
    """The service's own line about a failed custom job, as Cloud Logging holds it."""
    number = (job if isinstance(job, str) else str(job["name"])).rpartition("/")[2]
    (line,) = (
        entry
        for entry in cloud.logs.find('textPayload="Job failed."')
        if entry["resource"]["labels"]["job_id"] == number
    )
    return line


def made(cloud: Any, original: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The jobs of the original's kind that were made for it, oldest first."""
    collection = str(original["name"]).split("/")[4]
    return [
        job
        for job in cloud.jobs.all(collection)
        if (job.get("labels") or {}).get("remediator-root") == ident(original)
    ]


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every leaf of a job by its path."""
    if isinstance(value, Mapping):
        parts = [leaves(item, f"{path}.{key}" if path else key) for key, item in value.items()]
    elif isinstance(value, list):
        parts = [leaves(item, f"{path}[{index}]") for index, item in enumerate(value)]
    else:
        return {path: value}
    return {where: leaf for part in parts for where, leaf in part.items()}


_NOT_ASKED = (
    *("name", "state", "error", "createTime", "startTime", "endTime", "updateTime", "labels"),
    *(
        "displayName",
        "trials",
        "jobDetail",
        "trainingTaskMetadata",
        "outputInfo",
        "completionStats",
    ),
    *("partialFailures", "resourcesConsumed", "modelVersionId", "model"),
)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Path to (before, after) of whatever was asked for differently, our own variables aside."""
    was, now = (
        leaves(_without_ours({key: job[key] for key in job if key not in _NOT_ASKED}))
        for job in (before, after)
    )
    return {
        path: (was.get(path), now.get(path)) for path in was | now if was.get(path) != now.get(path)
    }


def _without_ours(value: Any) -> Any:
    """Without the variables that the product adds to an attempt's environment."""
    if isinstance(value, Mapping):
        return {key: _without_ours(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        kept = [
            item
            for item in value
            if not (isinstance(item, Mapping) and str(item.get("name")).startswith("REMEDIATOR_"))
        ]
        return [_without_ours(item) for item in kept]
    return value
