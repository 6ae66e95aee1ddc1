"""The loop, end to end: a failed job is found, diagnosed, resubmitted once and told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twin.physics import Needs, Section

GENOMICS = {
    "displayName": "align-reads",
    "jobSpec": {
        "workerPoolSpecs": [
            {
                "machineSpec": {"machineType": "n1-standard-8"},
                "replicaCount": "1",
                "containerSpec": {
                    "imageUri": "us-docker.pkg.dev/lab/align:3",
                    "args": ["--in=gs://lab-reads"],
                },
            }
        ],
        "scheduling": {"timeout": "7200s"},
        "serviceAccount": "pipeline@genomics-lab.iam.gserviceaccount.com",
    },
}
HEAVY = Needs(sections=(Section("align", cpu_seconds=80_000, parallel=0.99),))


def failure_line(cloud: Any, job: Mapping[str, Any]) -> dict[str, Any]:
    """The service's own line about a failed custom job."""
    ident = str(job["name"]).rpartition("/")[2]
    return {
        "logName": f"projects/{cloud.project}/logs/ml.googleapis.com%2F{ident}",
        "resource": {
            "type": "ml_job",
            "labels": {
                "job_id": ident,
                "task_name": "service",
                "project_id": cloud.project,
            },
        },
        "severity": "ERROR",
        "timestamp": job["endTime"],
        "insertId": f"line-{ident}",
        "textPayload": "Job failed.",
    }


def test_a_custom_job_starved_of_cpu_is_resubmitted_once_on_the_next_size(
    house: Any, cloud: Any
) -> None:
    job = cloud.past_job("customJobs", GENOMICS, HEAVY, route=False)
    assert job["state"] == "JOB_STATE_FAILED"
    entry = failure_line(cloud, job)

    assert house.hear(entry) == 200
    assert house.hear(entry) == 200
    assert house.reconcile()["faults"] == []

    (create,) = cloud.creates()
    create.request["custom_job"]
