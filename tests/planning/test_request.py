""""""

from __future__ import annotations

from typing import Any

import pytest

from remediator.domain import (
    Cause,
    History,
)
from remediator.job import Job
from remediator.job.differences import difference_is_legal
from remediator.planning.request import display_name, with_claim
from tests.jobs import (
    BATCH,
    CUSTOM,
    PIPELINE,
    TRAINING,
    TUNING,
    attempt,
    job,
)
from tests.planning.planner_cases import T4, ladder, planned, resubmitted, told

# --- the exact request -----------------------------------------------------------------------------


def test_a_custom_job_is_asked_for_again_with_exactly_the_change() -> None:
    made = resubmitted(CUSTOM, "{machine_type: bigger}")
    expected = {
        key: CUSTOM[key]
        for key in ("displayName", "labels", "jobSpec")
    }  # fmt: skip
    expected["displayName"] = "align (attempt 1)"
    expected["labels"] = {
        "env": "prod",
        "remediator-root": "77",
        "remediator-attempt": "1",
        "remediator-policy": "ladder",
    }
    (pool,) = CUSTOM["jobSpec"]["workerPoolSpecs"]
    container = pool["containerSpec"]
    expected["jobSpec"] = CUSTOM["jobSpec"] | {
        "workerPoolSpecs": [
            pool
            | {
                "machineSpec": {"machineType": "n1-standard-16"},
                "containerSpec": container
                | {
                    "env": [
                        {"name": "SHARDS", "value": "16"},
                        {"name": "REMEDIATOR_ATTEMPT", "value": "1"},
                        {"name": "REMEDIATOR_MACHINE_TYPE", "value": "n1-standard-16"},
                        {"name": "REMEDIATOR_MEMORY_GIB", "value": "60"},
                    ]
                },
            }
        ]
    }
    assert made.to_json() == {
        "job": CUSTOM["name"],
        "verdict": "cpu_saturation",
        "policy": "ladder",
        "step": 1,
        "mode": "enforce",
        "action": "resubmit",
        "changes": [
            {
                "field": "jobSpec.workerPoolSpecs[0].machineSpec.machineType",
                "from": "n1-standard-8",
                "to": "n1-standard-16",
            }
        ],
        "request": expected,
        "not_before": None,
        "estimated_usd": 0.90,
        "worst_case_usd": 0.90,
        "refused_by": [],
        "alerts": ["ml"],
        "because": "CPU saturation (90% sure): machine type n1-standard-8 becomes n1-standard-16; "
        "about $0.90 (as long as the failed run, 1 h, at $0.9008 an hour), at most $0.90.",
    }


def test_a_batch_prediction_is_asked_for_again_with_exactly_the_change() -> None:
    made = resubmitted(
        BATCH, f"{{accelerator: {{type: {T4}, count: 1}}}}", Cause.ACCELERATOR_MISSING
    )
    assert made.request == {
        "displayName": "score (attempt 1)",
        "model": "projects/123456789012/locations/us-central1/models/variants@4",
        "inputConfig": BATCH["inputConfig"],
        "outputConfig": BATCH["outputConfig"],
        "dedicatedResources": {
            "machineSpec": {
                "machineType": "n1-standard-8",
                "acceleratorType": T4,
                "acceleratorCount": 1,
            },
            "startingReplicaCount": 2,
            "maxReplicaCount": 2,
        },
        "serviceAccount": "scorer@genomics.iam.gserviceaccount.com",
        "labels": {
            "remediator-root": "88",
            "remediator-attempt": "1",
            "remediator-policy": "ladder",
        },
    }
    spec = "dedicatedResources.machineSpec"
    assert told(made) == [
        (f"{spec}.acceleratorType", None, T4),
        (f"{spec}.acceleratorCount", None, 1),
    ]


def test_the_claim_is_added_when_the_step_is_claimed() -> None:
    made = resubmitted(CUSTOM, "{}")
    assert made.request is not None
    claimed = with_claim(made.request, "c1a1m")
    assert claimed["labels"] == made.request["labels"] | {"remediator-claim": "c1a1m"}
    assert "remediator-claim" not in made.request["labels"]


@pytest.mark.parametrize(
    ("name", "number", "becomes"),
    [
        ("align", 1, "align (attempt 1)"),
        ("align (attempt 1)", 2, "align (attempt 2)"),
        ("align (attempt 1) (attempt 2)", 3, "align (attempt 3)"),
        ("align (attempt x)", 1, "align (attempt x) (attempt 1)"),
        ("(attempt 4)", 5, "77 (attempt 5)"),
        ("x" * 128, 3, "x" * 116 + " (attempt 3)"),
        ("", 1, "77 (attempt 1)"),
    ],
)
def test_the_attempt_stands_in_the_name_once(name: str, number: int, becomes: str) -> None:
    found = display_name(job(CUSTOM, displayName=name), number)
    assert found == becomes
    assert len(found) <= 128


def test_the_root_is_the_first_job_of_the_chain() -> None:
    second = job(CUSTOM, name=CUSTOM["name"][:-2] + "78", labels={"remediator-root": "77"})
    history = History(attempts=(attempt("ladder", number=1),), root="us-central1/customJobs/77")
    made = planned(second, ladder("{resubmit: {}, times: 3}"), history=history)
    assert made.request is not None
    assert made.request["labels"]["remediator-root"] == "77"
    assert made.request["labels"]["remediator-attempt"] == "2"


def test_labels_alone_put_no_job_in_a_chain() -> None:
    cloned = job(CUSTOM, name=CUSTOM["name"][:-2] + "78", labels={"remediator-root": "77"})
    made = planned(cloned, ladder("resubmit: {}"))
    assert made.request is not None
    assert made.request["labels"]["remediator-root"] == "78"


# --- what may differ -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "path", "value"),
    [
        (CUSTOM, "jobSpec.workerPoolSpecs[0].containerSpec.imageUri", "evil"),
        (CUSTOM, "jobSpec.workerPoolSpecs[0].containerSpec.args", ["--other"]),
        (CUSTOM, "jobSpec.workerPoolSpecs[0].containerSpec.command", None),
        (
            CUSTOM,
            "jobSpec.workerPoolSpecs[0].containerSpec.env",
            [{"name": "SHARDS", "value": "1"}],
        ),
        (CUSTOM, "jobSpec.serviceAccount", "other@x.iam.gserviceaccount.com"),
        (CUSTOM, "jobSpec.network", "projects/1/global/networks/n"),
        (CUSTOM, "jobSpec.workerPoolSpecs[0].diskSpec.bootDiskType", "pd-standard"),
        (BATCH, "model", "projects/1/locations/us-central1/models/other@4"),
        (BATCH, "outputConfig.gcsDestination.outputUriPrefix", "gs://elsewhere"),
        (BATCH, "inputConfig.gcsSource.uris", ["gs://other"]),
        (TUNING, "studySpec.metrics", []),
        (TRAINING, "trainingTaskInputs.workerPoolSpecs[0].container_spec.image_uri", "evil"),
        (PIPELINE, "pipelineSpec.deploymentSpec.executors.exec-train.container.image", "evil"),
    ],
)
def test_no_other_field_may_differ(body: dict[str, Any], path: str, value: Any) -> None:
    made = resubmitted(body, "{}")
    assert made.request is not None
    original = job(body)
    assert difference_is_legal(original, made.request)
    tampered = Job(original.name, made.request).changed(path, value)
    assert not difference_is_legal(original, tampered.request())
