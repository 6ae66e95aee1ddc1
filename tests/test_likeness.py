"""Which jobs count as one job on different days."""

from __future__ import annotations

from typing import Any

import pytest

from remediator.job import Job
from remediator.job.likeness import EVERY_ACCOUNT, alike, name_stem


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("embed", "embed"),
        ("embed (attempt 3)", "embed"),
        ("nightly-7", "nightly"),
        ("train-2026-11-25", "train"),
        ("train_20261125T120000", "train"),
        ("train-20261125-1200", "train"),
        ("Daily 2026/11/25 run 4", "daily-run"),
        ("score-a1b2c3d4", "score"),
        ("train-3f2504e0-4f89-11d3-9a0c-0305e82c3301", "train"),
        ("prod-x7k2q9zb1-train", "prod-train"),
        ("resnet50-train", "resnet-train"),
        ("deadbeef-cafe", "deadbeef-cafe"),
        ("20261125", ""),
    ],
)
def test_a_name_counts_without_digits_dates_and_hashes(name: str, stem: str) -> None:
    assert name_stem(name) == stem


def custom(
    image: str, *, name: str = "embed-1", account: str = "a@x.iam.gserviceaccount.com"
) -> Job:
    body: dict[str, Any] = {
        "name": "projects/1/locations/us-central1/customJobs/1",
        "displayName": name,
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {"machineType": "n1-standard-8"},
                    "containerSpec": {"imageUri": image},
                }
            ],
            "serviceAccount": account,
        },
    }
    return Job.parse(body)


def batch(model: str, **more: Any) -> Job:
    name = "projects/1/locations/us-central1/batchPredictionJobs/1"
    return Job.parse({"name": name, "displayName": "score", "model": model, **more})


IMAGE = "us-docker.pkg.dev/lab/align"
MODEL = "projects/1/locations/us-central1/models/7"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param(custom(f"{IMAGE}:3"), custom(f"{IMAGE}:4", name="embed-2"), True, id="tag"),
        pytest.param(custom(f"{IMAGE}:3"), custom(f"{IMAGE}@sha256:{'0' * 64}"), True, id="digest"),
        pytest.param(custom("host:5000/a/b:1"), custom("host:5000/a/b"), True, id="port"),
        pytest.param(custom(f"{IMAGE}:3"), custom("us-docker.pkg.dev/lab/a:3"), False, id="image"),
        pytest.param(custom(IMAGE), custom(IMAGE, name="score"), False, id="name"),
        pytest.param(custom(IMAGE), custom(IMAGE, account=""), False, id="account"),
        pytest.param(batch(f"{MODEL}@1"), batch(f"{MODEL}@2"), True, id="version"),
        pytest.param(batch(MODEL), batch(MODEL.replace("projects/1", "projects/p")), True, id="id"),
        pytest.param(batch(MODEL), batch(f"{MODEL}8"), False, id="model"),
    ],
)
def test_jobs_are_alike_by_name_program_and_account(one: Job, other: Job, same: bool) -> None:
    assert (alike(one) == alike(other)) is same
    assert alike(one)


def test_accounts_may_share_a_memory() -> None:
    keys = [
        alike(custom(IMAGE, account=one), account=EVERY_ACCOUNT) for one in ("a@x.test", "b@x.test")
    ]
    assert keys[0] == keys[1]


def test_a_job_that_names_no_program_is_like_no_other() -> None:
    name = "projects/1/locations/us-central1/trainingPipelines/1"
    assert alike(Job.parse({"name": name, "displayName": "tables"})) == ""
