"""The demo's stories rest on needs: under any name they fail as told, and only the right change fixes."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

import pytest

from twin.cloud import Cloud
from twin.stories import STORIES, Told, tell_all

MACHINE = "jobSpec.workerPoolSpecs.0.machineSpec.machineType"
TIMEOUT = "jobSpec.scheduling.timeout"
BATCH_MACHINE = "dedicatedResources.machineSpec"
T4 = {
    "machineType": "n1-standard-8",
    "acceleratorType": "NVIDIA_TESLA_T4",
    "acceleratorCount": 1,
}
SIZE = "manualBatchTuningParameters.batchSize"


def changed(job: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    body = copy.deepcopy(dict(job))
    node: Any = body
    *way, last = path.split(".")
    for step in way:
        node = node[int(step)] if step.isdigit() else node.setdefault(step, {})
    node[last] = value
    return body


def runs_again(cloud: Cloud, told: Told, path: str, value: Any) -> str:
    """The state in which the story's job ends when it is run again with one change."""
    (job,) = (job for job in cloud.jobs.all() if job["name"] == told.job)
    collection = told.job.split("/")[4]
    replay = cloud.jobs.past(collection, cloud.region, changed(job, path, value))
    return str(replay["state"]).removeprefix("JOB_STATE_")


@pytest.mark.parametrize(
    ("story", "path", "value", "state"),
    [
        (0, MACHINE, "n1-standard-16", "SUCCEEDED"),
        (0, MACHINE, "n1-highmem-8", "FAILED"),
        (1, BATCH_MACHINE, T4, "SUCCEEDED"),
        (1, BATCH_MACHINE, {"machineType": "n1-standard-16"}, "FAILED"),
        (1, SIZE, 32, "FAILED"),
        (2, SIZE, 32, "SUCCEEDED"),
        (2, BATCH_MACHINE, T4, "FAILED"),
        (2, "dedicatedResources.startingReplicaCount", 8, "FAILED"),
        (3, MACHINE, "n1-standard-96", "FAILED"),
        (4, MACHINE, "n1-standard-96", "FAILED"),
        (5, BATCH_MACHINE, T4, "FAILED"),
        (6, MACHINE, "n1-standard-32", "SUCCEEDED"),
    ],
)
def test_only_the_right_change_mends_a_story(
    cloud: Cloud, story: int, path: str, value: Any, state: str
) -> None:
    told = next(one for one in tell_all(cloud, 11) if one.story is STORIES[story])
    assert runs_again(cloud, told, path, value) == state


@pytest.mark.parametrize("seed", [1, 2])
def test_every_story_has_failed_and_no_name_tells_it(cloud: Cloud, seed: int) -> None:
    told = tell_all(cloud, seed)
    jobs = {job["name"]: job for job in cloud.jobs.all()}
    assert {jobs[one.job]["state"] for one in told} == {"JOB_STATE_FAILED"}
    verdicts = {one.story.expected.verdict for one in told}
    shown = json.dumps([[job["displayName"], job["name"]] for job in jobs.values()])
    assert not any(verdict in shown for verdict in verdicts)


def test_the_seed_decides_order_and_names(cloud: Cloud) -> None:
    first, second = tell_all(cloud, 1), tell_all(cloud, 2)
    assert [one.story.title for one in first] != [one.story.title for one in second]
    assert not {one.display_name for one in first} & {one.display_name for one in second}
