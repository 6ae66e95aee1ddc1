"""What is asked beside a failure, and answered with no: the failure goes on, and the gap is told.

Whose part a job is, and whether somebody ran it again, decide whether a resubmission may be made.
A service that has no such jobs says that none is the parent; one that does not say is not guessed at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.stories.jobs_of_kinds import MEMORY, training
from tests.stories.test_loop import (
    HEAVY,
    TOO_MUCH,
    batch_job,
    custom_job,
    failure_line,
    ident,
    made_jobs,
)
from twin import faults
from twin.physics import Needs

FOREVER = float("inf")
PARENTS = ("PipelineService.ListTrainingPipelines", "JobService.ListHyperparameterTuningJobs")


def refuse(cloud: Any, *methods: str, status: str, words: str = "") -> None:
    for method in methods:
        cloud.fail(method, faults.status(status, words), times=FOREVER)


@pytest.mark.parametrize("status", ["UNIMPLEMENTED", "NOT_FOUND"])
def test_where_there_is_no_such_kind_of_job_it_is_nobodys_parent(
    house: Any, cloud: Any, status: str
) -> None:
    refuse(cloud, *PARENTS, status=status, words="Method not found.")
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    assert len(made_jobs(cloud, job)) == 1
    (told,) = cloud.slack.messages
    assert "whether it is part of a training pipeline" in told.text
    assert "whether it is part of a hyperparameter tuning" in told.text


def test_a_vertex_without_some_kinds_is_swept_without_them(house: Any, cloud: Any) -> None:
    refuse(cloud, *PARENTS, "PipelineService.ListPipelineJobs", status="UNIMPLEMENTED")
    cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    done = house.reconcile()
    assert (done["announced"], done["faults"]) == (1, [])


def test_an_answer_that_is_no_answer_leaves_the_job_to_a_person(house: Any, cloud: Any) -> None:
    refuse(cloud, PARENTS[1], status="INVALID_ARGUMENT", words="The filter is invalid.")
    refuse(cloud, PARENTS[0], status="UNIMPLEMENTED", words="Method not found.")
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    entry = failure_line(cloud, job)
    assert [house.hear(entry), house.hear(entry)] == [200, 200]
    assert made_jobs(cloud, job) == []
    (told,) = cloud.slack.messages
    assert "it is not known whether it is part of a hyperparameter tuning" in told.text
    assert "The filter is invalid." in told.text


def test_a_permission_to_ask_is_waited_for_and_named(house: Any, cloud: Any) -> None:
    """The event is taken, since the ledger has the failure; it goes on once the right is granted."""
    denied = "Permission 'aiplatform.trainingPipelines.list' denied on resource 'x'."
    refuse(cloud, PARENTS[0], status="PERMISSION_DENIED", words=denied)
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    house.reconcile()
    assert made_jobs(cloud, job) == []
    (told,) = cloud.slack.messages
    assert "aiplatform.trainingPipelines.list" in told.text
    cloud.desk.faults.clear()
    house.reconcile()
    assert len(made_jobs(cloud, job)) == 1


def test_a_permission_that_is_not_granted_for_a_day_is_told_of_the_failure_itself(
    house: Any, cloud: Any, later: Callable[..., None]
) -> None:
    denied = "Permission 'aiplatform.trainingPipelines.list' denied on resource 'x'."
    refuse(cloud, PARENTS[0], status="PERMISSION_DENIED", words=denied)
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    later(hours=25)
    house.reconcile()
    assert made_jobs(cloud, job) == []
    told = cloud.slack.messages[-1].text
    assert job["displayName"] in told
    assert "aiplatform.trainingPipelines.list" in told


def test_a_child_is_not_run_again_behind_a_parent_that_does_not_answer(
    house: Any, cloud: Any, later: Callable[..., None]
) -> None:
    cloud.past_job("trainingPipelines", training(), MEMORY, route=False)
    (child,) = cloud.jobs.all("customJobs")
    refuse(cloud, PARENTS[0], status="UNAVAILABLE")
    assert house.hear(failure_line(cloud, child)) == 503
    later(minutes=30)
    house.reconcile()
    assert cloud.creates() == []
    cloud.desk.faults.clear()
    assert house.hear(failure_line(cloud, child)) == 200
    assert len(cloud.jobs.all("customJobs")) == 1


def test_a_parent_that_is_found_counts_though_another_list_does_not_answer(
    house: Any, cloud: Any
) -> None:
    cloud.past_job("trainingPipelines", training(), MEMORY, route=False)
    (child,) = cloud.jobs.all("customJobs")
    refuse(cloud, PARENTS[1], status="UNAVAILABLE")
    assert house.hear(failure_line(cloud, child)) == 200
    assert cloud.creates() == []
    assert cloud.slack.messages == []


def test_a_list_that_refuses_to_tell_of_reruns_leaves_the_job_to_a_person(
    house: Any, cloud: Any
) -> None:
    refuse(cloud, "JobService.ListCustomJobs", status="FAILED_PRECONDITION", words="Not now.")
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    entry = failure_line(cloud, job)
    assert [house.hear(entry), house.hear(entry)] == [200, 200]
    assert made_jobs(cloud, job) == []
    (told,) = cloud.slack.messages
    assert "it is not known whether somebody ran it again" in told.text


def test_a_claim_whose_job_cannot_be_looked_for_is_told_and_kept(
    house: Any, cloud: Any, later: Callable[..., None]
) -> None:
    """A create went unanswered, and then the list says no: nothing is made, and nobody is left in the dark."""
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    entry = failure_line(cloud, job)
    cloud.fail("JobService.CreateCustomJob", faults.lost_answer())
    cloud.fail("JobService.ListCustomJobs", faults.Fault(), times=2)  # earlier runs, and reruns
    refuse(cloud, "JobService.ListCustomJobs", status="FAILED_PRECONDITION", words="Not now.")
    assert house.hear(entry) == 503
    later(minutes=30)
    assert house.hear(entry) == 200
    assert "it cannot be found out whether its job exists" in cloud.slack.messages[-1].text
    cloud.desk.faults.clear()
    later(hours=2)
    house.reconcile()
    assert len(made_jobs(cloud, job)) == 1
    assert "Resubmitted" in cloud.slack.messages[-1].text
    assert ident(job) in made_jobs(cloud, job)[0]["labels"]["remediator-root"]


def test_a_list_that_tells_more_than_it_was_asked_changes_nothing(house: Any, cloud: Any) -> None:
    """A job that failed is announced once, though it is listed for every state."""
    cloud.jobs.lists_everything = True
    cloud.past_job("customJobs", custom_job("other"), Needs(), route=False)
    job = cloud.past_job("batchPredictionJobs", batch_job(cloud), TOO_MUCH)
    assert house.reconcile()["announced"] == 1
    (entry,) = cloud.logs.find('logName:"vertex-remediator-job-failures"')
    assert [house.hear(entry), house.hear(entry)] == [200, 200]
    assert len(made_jobs(cloud, job)) == 1


def test_without_its_projects_name_no_event_is_taken(
    open_house: Callable[..., Any], cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can say yet whose the failure is: it is neither handled nor thrown away."""
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    house = open_house(proxied=True)
    monkeypatch.delenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")  # gRPC reads it once in a process
    cloud.fail("metadata", faults.status("404"), times=FOREVER)
    cloud.fail("projects.get", faults.status("404"), times=FOREVER)
    assert house.hear(failure_line(cloud, job)) == 503
    cloud.desk.faults.clear()
    assert house.hear(failure_line(cloud, job)) == 200
    assert len(made_jobs(cloud, job)) == 1


@pytest.mark.parametrize(
    ("method", "unknown"),
    [
        ("JobService.ListCustomJobs", "whether somebody ran it again"),
        (PARENTS[0], "whether it is part of another job"),
    ],
    ids=["reruns", "parents"],
)
def test_what_is_not_answered_for_a_day_is_told_and_nothing_is_made(
    house: Any, cloud: Any, later: Callable[..., None], method: str, unknown: str
) -> None:
    cloud.fail(method, faults.status("RESOURCE_EXHAUSTED", retry_after=3600), times=FOREVER)
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 503
    later(hours=23)
    house.reconcile()
    assert cloud.slack.messages == []
    later(hours=2)
    house.reconcile()
    assert made_jobs(cloud, job) == []
    told = cloud.slack.messages[-1].text
    assert told.startswith("Not resubmitted: align-reads failed (CPUs full)")
    assert f"since it is not known {unknown}" in told
