"""How much of the cloud is held in memory at once: pages by size, and no more of a job than is asked."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from remediator.cloud.connection import TooLarge, smaller_until_it_fits
from remediator.cloud.logs import Logs
from remediator.cloud.vertex import Vertex
from remediator.domain import JobKind, JobState
from remediator.job import JobView
from tests.cloud.conftest import NOW
from tests.cloud.test_logs_and_metrics import read, worker_line
from twin.clock import rfc3339
from twin.cloud import Cloud


@pytest.fixture
def patient(cloud: Cloud) -> Iterator[Vertex]:
    """The twin is slow with megabytes."""
    made = Vertex(cloud.vertex.endpoint, timeout_seconds=60.0)
    yield made
    made.close()


def run_of_a_pipeline(cloud: Cloud, number: int, size: int) -> dict[str, Any]:
    moment = rfc3339(NOW - timedelta(minutes=number + 1))
    return {
        "name": cloud.name("pipelineJobs", f"run-{number:03d}"),
        "displayName": f"run-{number:03d}",
        "state": "PIPELINE_STATE_FAILED",
        "createTime": moment,
        "startTime": moment,
        "endTime": moment,
        "error": {"code": 9, "message": "it failed"},
        "labels": {"team": "nlp"},
        "pipelineSpec": {"root": {"note": "x" * size}},
    }


def custom(cloud: Cloud, number: int, size: int) -> dict[str, Any]:
    body = run_of_a_pipeline(cloud, number, 0)
    del body["pipelineSpec"]
    spec = {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1"}
    return {
        **body,
        "name": cloud.name("customJobs", f"{number + 1}"),
        "state": "JOB_STATE_FAILED",
        "jobSpec": {
            "workerPoolSpecs": [{**spec, "containerSpec": {"imageUri": "i", "args": ["x" * size]}}]
        },
    }


def test_in_brief_a_job_says_how_it_ended_and_not_what_it_was_to_do(
    cloud: Cloud, vertex: Vertex
) -> None:
    cloud.add_job(run_of_a_pipeline(cloud, 1, 800_000))
    (whole,), _ = vertex.page(JobKind.PIPELINE, cloud.project, "us-central1")
    (brief,), _ = vertex.page(JobKind.PIPELINE, cloud.project, "us-central1", view=JobView.ENDING)
    assert len(whole.read("pipelineSpec.root.note")) == 800_000
    assert brief.read("pipelineSpec") is None
    for said in (
        "name",
        "state",
        "display_name",
        "labels",
        "create_time",
        "end_time",
        "is_failure",
    ):
        assert getattr(brief, said) == getattr(whole, said)
    assert (brief.state, brief.error_message) == (JobState.FAILED, "it failed")


def test_a_page_that_is_too_long_is_asked_for_again_in_parts(cloud: Cloud, patient: Vertex) -> None:
    """Jobs of 800 kB, 19 MB together: more than one answer may have, and none is lost."""
    for number in range(24):
        cloud.add_job(custom(cloud, number, 800_000))
    names = [job.name.id for job in patient.list(JobKind.CUSTOM, cloud.project, "us-central1")]
    assert sorted(names, key=int) == [str(number + 1) for number in range(24)]
    assert len(cloud.calls("JobService.ListCustomJobs")) > 1


def test_a_log_of_long_lines_is_read_in_short_pages(cloud: Cloud, logs: Logs) -> None:
    """Three hundred lines of 64 kB are 19 MB; what is kept of them is what was asked for."""
    for number in range(300):
        cloud.log(worker_line(number, textPayload=f"{number:03d} " + "x" * 64_000))
    lines = read(logs, most_bytes=2_000_000, timeout_seconds=60.0)
    assert [line[:3] for line in lines] == [f"{number:03d}" for number in range(len(lines))]
    assert 2_000_000 <= sum(map(len, lines)) < 2_200_000
    assert 1 < len(cloud.calls("*.ListLogEntries")) <= 5


def test_not_even_one_that_fits_is_said() -> None:
    asked: list[int] = []

    def ask(size: int) -> str:
        asked.append(size)
        msg = "too large"
        raise TooLarge(msg)

    with pytest.raises(TooLarge):
        smaller_until_it_fits(ask, 100)
    assert asked == [100, 20, 4, 1]
