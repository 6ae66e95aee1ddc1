"""Where an alert leads: to the console, to the log of the run, to the line that proves it."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from remediator.alerts.compose import compose
from remediator.alerts.links import console_url, entry_links, logs_url
from remediator.domain import (
    JobName,
)
from tests.alert_situations import BATCH, ENDED, JOB, NEW, SITUATIONS, STARTED


def test_links_lead_to_the_console_and_the_logs_of_the_run() -> None:
    console = "https://console.cloud.google.com"
    training = f"{console}/agent-platform/locations/us-central1/training"
    query = "query=resource.labels.job_id%3D%221234567890%22"
    window = "startTime=2026-11-23T13:50:00Z;endTime=2026-11-23T20:10:00Z"
    assert [(link.label, link.url) for link in compose(SITUATIONS["given_up"]).links] == [
        ("Job", f"{training}/1234567890?project=acme"),
        (
            "Logs",
            f"{console}/logs/query;{query};{window}?project=acme",
        ),
    ]
    assert [link.label for link in compose(SITUATIONS["recovered"]).links][:2] == ["Job", "New job"]
    advised = compose(SITUATIONS["alert-slow-code"]).links
    assert advised[-1].url == "https://cloud.google.com/vertex-ai/docs/training/profiler"


def test_the_line_that_proves_it_is_one_click_away() -> None:
    pages = {link.label: link.url for link in compose(SITUATIONS["alert-said-once"]).links}
    assert pages["Log line"] == (
        "https://console.cloud.google.com/logs/query;query=insertId%3D%228e2168a7c616280d%22"
        ";startTime=2026-11-23T13:50:00Z;endTime=2026-11-23T20:10:00Z?project=acme"
    )


@pytest.mark.parametrize(
    "odd", ["", "\ud800" * 9, 'x" OR severity>=DEFAULT', "error.code[0]", "logEntries", "y" * 65]
)
def test_an_odd_insert_id_makes_no_link(odd: str) -> None:
    """Who writes a log entry chooses its id."""
    assert entry_links("Log line", "acme", odd, STARTED, ENDED) == ()


def test_a_job_that_never_started_is_looked_for_on_the_day_before_its_end() -> None:
    """Without a window the Logs Explorer shows the last hour: nothing, on the morning after."""
    assert ";startTime=2026-11-22T19:50:00Z;endTime=2026-11-23T20:10:00Z?" in logs_url(
        BATCH, None, ENDED.replace(microsecond=29987)
    )


def test_the_first_job_and_the_other_run_have_links() -> None:
    """The ledger names a chain by its key, without the project."""
    later = replace(SITUATIONS["recovered"], job=JobName.parse(NEW), root=JOB.key)
    assert [link.label for link in compose(later).links] == ["Job", "First job", "Logs"]
    rerun = compose(SITUATIONS["alert-rerun-named"]).links
    assert ("Other run", console_url(JobName.parse(NEW))) in [(x.label, x.url) for x in rerun]


@pytest.mark.parametrize(
    ("name", "page"),
    [
        ("customJobs/1", "agent-platform/locations/us-east1/training/1"),
        ("hyperparameterTuningJobs/1", "agent-platform/locations/us-east1/training/1"),
        ("trainingPipelines/1", "agent-platform/locations/us-east1/training/1"),
        ("batchPredictionJobs/1", "agent-platform/locations/us-east1/batch-predictions/1"),
        ("pipelineJobs/run-1", "vertex-ai/locations/us-east1/pipelines/runs/run-1"),
    ],
)
def test_every_kind_of_job_has_a_page(name: str, page: str) -> None:
    job = JobName.parse(f"projects/12/locations/us-east1/{name}")
    assert console_url(job) == f"https://console.cloud.google.com/{page}?project=12"
    assert logs_url(job, None, None).startswith(
        "https://console.cloud.google.com/logs/query;query="
    )
