"""The newer words of the policy language, through the whole loop: what a failed job is made again as."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from tests.stories.jobs_of_kinds import MEMORY, custom, differences, made, pool, service_line
from tests.stories.test_kinds import with_policy
from twin.physics import Needs

AGO = timedelta(hours=4)
SPEC = "jobSpec.workerPoolSpecs[0]"
CONTAINER: dict[str, Any] = {
    "imageUri": "us-docker.pkg.dev/lab/align:3",
    "args": ["--seed=7", "--batch_size=32"],
    "env": [{"name": "BATCH_SIZE", "value": "32"}],
}
GPU = Needs(raises="torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB")
DISK = Needs(raises="OSError: [Errno 28] No space left on device: '/tmp/shard-7'")
TEMPFAIL = Needs(raises="RuntimeError: the lease server is not ready", exit_code=75)

WORDS: list[tuple[str, Needs, str, str, dict[str, tuple[Any, Any]]]] = [
    ("disk", DISK, "disk_full", "[{resubmit: {disk: double}}]",
     {f"{SPEC}.diskSpec.bootDiskSizeGb": (100, 200)}),
    ("args", GPU, "gpu_memory", '[{resubmit: {args: {"--batch_size": halve}}}]',
     {f"{SPEC}.containerSpec.args[1]": ("--batch_size=32", "--batch_size=16")}),
    ("memory", MEMORY, "memory_pressure",
     "[{resubmit: {machine_type: {more_memory: {factor: 1.5, at_most: 64GiB}}}}]",
     {f"{SPEC}.machineSpec.machineType": ("n1-standard-8", "n1-highmem-8")}),
    ("dear", MEMORY, "memory_pressure",
     "[{resubmit: {machine_type: n1-highmem-32, max_usd: 0.01}}, {resubmit: {strategy: SPOT}}]",
     {"jobSpec.scheduling.strategy": (None, "SPOT")}),
    ("elsewhere", MEMORY, "memory_pressure",
     "[{resubmit: {fallback: [{machine_type: n1-highmem-16}, {spot: true}]}}]",
     {f"{SPEC}.machineSpec.machineType": ("n1-standard-8", "n1-highmem-16")}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "needs", "cause", "do", "changes"), WORDS, ids=[row[0] for row in WORDS]
)
def test_a_word_does_in_the_cloud_what_it_says(
    open_house: Callable[..., Any],
    cloud: Any,
    word: str,
    needs: Needs,
    cause: str,
    do: str,
    changes: dict[str, tuple[Any, Any]],
) -> None:
    house = open_house(with_policy(word, f"{{cause: {cause}}}", do))
    body = custom(pool(containerSpec=CONTAINER))
    job = cloud.past_job("customJobs", body, needs, route=False, ended_ago=AGO)
    assert house.hear(service_line(cloud, job)) == 200
    (again,) = made(cloud, job)
    assert differences(job, again) == changes


def test_a_named_variable_is_halved_and_every_other_stays(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    halved = "[{resubmit: {env: {BATCH_SIZE: halve}}}]"
    house = open_house(with_policy("env", "{cause: gpu_memory}", halved))
    held = {**CONTAINER, "env": [{"name": "SEED", "value": "32"}, *CONTAINER["env"]]}
    body = custom(pool(containerSpec=held))
    job = cloud.past_job("customJobs", body, GPU, route=False, ended_ago=AGO)
    assert house.hear(service_line(cloud, job)) == 200
    (again,) = made(cloud, job)
    container = again["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    kept = [one for one in container["env"] if not one["name"].startswith("REMEDIATOR_")]
    assert kept == [{"name": "SEED", "value": "32"}, {"name": "BATCH_SIZE", "value": "16"}]


def test_an_exit_that_asks_for_it_is_run_again_and_no_other(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    """Every other error of the program is left to a person, as ever."""
    asked = "[{resubmit: {}, times: 2}]\n    retry_exit_codes: [75]"
    house = open_house(with_policy("asked", "{cause: user_code_error}", asked))
    job = cloud.past_job("customJobs", custom(pool()), TEMPFAIL, route=False, ended_ago=AGO)
    assert house.hear(service_line(cloud, job)) == 200
    (again,) = made(cloud, job)
    assert differences(job, again) == {}


def test_a_policy_that_observes_changes_nothing_though_the_file_enforces(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    seen = "[{resubmit: {disk: double}}]\n    mode: observe"
    house = open_house(with_policy("seen", "{cause: disk_full}", seen))
    job = cloud.past_job("customJobs", custom(pool()), DISK, route=False, ended_ago=AGO)
    assert house.hear(service_line(cloud, job)) == 200
    assert made(cloud, job) == []
    assert "boot disk" in cloud.slack.messages[0].text
