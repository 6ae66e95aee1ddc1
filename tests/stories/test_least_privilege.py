"""The deployed roles are what the stories need, and no more: each permission taken away is felt.

A permission that is felt changes what happens, and its name stands in an alert, the log or the
answer, so that whoever reads it knows what to grant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from tests.deploy.terraform import resource
from tests.stories.jobs_of_kinds import (
    MEMORY,
    batch,
    component,
    custom,
    made,
    pipeline,
    training,
    tuning,
)
from tests.stories.test_kinds import EVERY_KIND
from tests.stories.test_loop import TOO_MUCH
from twin.physics import Needs, Section

POLICIES = EVERY_KIND.replace("usd_per_job: 1000", "usd_per_job: 3, on_overrun: cancel")
LONG = Needs(sections=(Section("align", cpu_seconds=9_000_000),), memory_gib=40)


def deployed() -> tuple[str, ...]:
    """The permissions of the roles that the worker has in the project or on its buckets."""
    roles = ("worker", "evidence")
    found = [resource(f"google_project_iam_custom_role.{role}")["permissions"] for role in roles]
    return tuple(sorted(name for names in found for name in names))


@dataclass(frozen=True)
class Lived:
    """What a failed job and its resubmission lived through."""

    resubmitted: int
    cancelled: int
    told: str
    said: str
    read: frozenset[str]


def _custom(cloud: Any) -> Mapping[str, Any]:
    return cloud.past_job("customJobs", custom(), LONG, route=False, ended_ago=3600)


def _batch(cloud: Any) -> Mapping[str, Any]:
    return cloud.past_job("batchPredictionJobs", batch(cloud), TOO_MUCH, ended_ago=3600)


def _tuning(cloud: Any) -> Mapping[str, Any]:
    return cloud.past_job(
        "hyperparameterTuningJobs", tuning(), LONG, route=False, ended_ago=timedelta(hours=1)
    )


def _training(cloud: Any) -> Mapping[str, Any]:
    return cloud.past_job("trainingPipelines", training(), LONG, route=False, ended_ago=3600)


def _pipeline(cloud: Any) -> Mapping[str, Any]:
    cloud.jobs.needs("customJobs", component("nightly", "train"), MEMORY)
    body = pipeline("load", "train")
    return cloud.past_job("pipelineJobs", body, Needs(), route=False, ended_ago=3600)


STORIES: Mapping[str, Callable[[Any], Mapping[str, Any]]] = {
    "customJobs": _custom,
    "batchPredictionJobs": _batch,
    "hyperparameterTuningJobs": _tuning,
    "trainingPipelines": _training,
    "pipelineJobs": _pipeline,
}
ELSEWHERE = {
    "models": "batchPredictionJobs",
    "buckets": "batchPredictionJobs",
    "objects": "batchPredictionJobs",
    "logEntries": "customJobs",
    "timeSeries": "customJobs",
}


def live(
    story: str,
    open_house: Callable[..., Any],
    cloud: Any,
    later: Any,
    capfd: pytest.CaptureFixture[str],
) -> Lived:
    house = open_house(POLICIES, REMEDIATOR_LOOKBACK="48h", GCE_METADATA_HOST=cloud.metadata.host)
    job = STORIES[story](cloud)
    answers = [house.clients["reconcile"].post("/").text]
    entries = cloud.logs.find('logName:"vertex-remediator-job-failures"')
    answers += [str(house.hear(entry)) for entry in entries]
    cloud.clock.advance(600)
    for _ in range(2):
        later(minutes=6)
        answers.append(house.clients["reconcile"].post("/").text)
    return Lived(
        resubmitted=len(made(cloud, job)),
        cancelled=len(cloud.calls("*.Cancel*", outcome="OK")),
        told="\n".join(message.text for message in cloud.slack.messages),
        said="\n".join([*answers, capfd.readouterr().err]),
        read=frozenset(call.method for call in cloud.calls(outcome="OK")),
    )


old = pytest.mark.parametrize("cloud", [30], indirect=True, ids=["30-hours-old"])


@old
@pytest.mark.parametrize("story", list(STORIES))
def test_every_story_is_lived_through_with_the_deployed_roles(
    open_house: Callable[..., Any], cloud: Any, later: Any, capfd: Any, story: str
) -> None:
    cloud.desk.iam.granted = {*deployed(), "iam.serviceAccounts.actAs"}
    lived = live(story, open_house, cloud, later, capfd)
    assert (lived.resubmitted, lived.cancelled) == (1, 1)
    assert "denied" not in lived.said + lived.told


@old
@pytest.mark.parametrize("permission", deployed())
def test_each_permission_taken_away_is_felt_and_named(
    open_house: Callable[..., Any], cloud: Any, later: Any, capfd: Any, permission: str
) -> None:
    cloud.desk.iam.granted = {*deployed(), "iam.serviceAccounts.actAs"} - {permission}
    _, noun, verb = permission.split(".")
    lived = live(ELSEWHERE.get(noun, noun), open_house, cloud, later, capfd)
    assert permission in lived.said + lived.told
    if noun in STORIES:
        expected = {"cancel": (1, 0)}.get(verb, (0, 0))
        assert (lived.resubmitted, lived.cancelled) == expected


@old
def test_a_job_of_an_account_that_we_may_not_act_as_is_told_with_the_grant(
    open_house: Callable[..., Any], cloud: Any, later: Any, capfd: Any
) -> None:
    cloud.desk.iam.granted = set(deployed())
    lived = live("customJobs", open_house, cloud, later, capfd)
    assert lived.resubmitted == 0
    assert "iam.serviceAccounts.actAs" in lived.told
    assert GRANT.format(own=cloud.account) in lived.told


@old
def test_a_job_of_an_account_that_the_settings_leave_out_is_told_with_the_grant(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    house = open_house(
        POLICIES,
        REMEDIATOR_LOOKBACK="48h",
        GCE_METADATA_HOST=cloud.metadata.host,
        REMEDIATOR_SERVICE_ACCOUNTS="trainer@genomics-lab.iam.gserviceaccount.com",
    )
    job = _custom(cloud)
    house.reconcile()
    for entry in cloud.logs.find('logName:"vertex-remediator-job-failures"'):
        house.hear(entry)
    assert made(cloud, job) == []
    (told,) = [message.text for message in cloud.slack.messages]
    assert GRANT.format(own=cloud.account) in told
    assert "act_as" in told


GRANT = (
    "gcloud iam service-accounts add-iam-policy-binding "
    "pipeline@genomics-lab.iam.gserviceaccount.com "
    "--member=serviceAccount:{own} --role=roles/iam.serviceAccountUser"
)
