"""The report, made by the command line from a ledger that the loop itself has filled."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from remediator.cli.main import main
from remediator.domain import rfc3339
from remediator.ledger import Ledger
from remediator.ledger.sqlite import SqliteStore
from tests.stories.jobs_of_kinds import batch, custom, pipeline, training, tuning
from tests.stories.test_loop import HEAVY, batch_job, custom_job, failure_line
from twin.physics import Needs


def _lived(house: Any, cloud: Any) -> None:
    """A recovery, a missing input and a failure too old to be acted on."""
    mended = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(hours=4)
    )
    assert house.hear(failure_line(cloud, mended)) == 200
    lost = cloud.past_job(
        "batchPredictionJobs", batch_job(cloud, source="gs://lab-in/missing.jsonl"), Needs()
    )
    old = cloud.past_job(
        "customJobs", custom_job("stale"), HEAVY, route=False, ended_ago=timedelta(hours=8)
    )
    assert house.hear(failure_line(cloud, old)) == 200
    cloud.clock.advance(3 * 3600)
    house.reconcile()
    for entry in cloud.logs.find('logName:"vertex-remediator-job-failures"'):
        assert house.hear(entry) == 200
    assert lost["name"]


def test_a_report_tells_what_the_loop_has_lived(
    house: Any, cloud: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _lived(house, cloud)
    file = tmp_path / "report.html"
    capsys.readouterr()
    assert main(["report", "-o", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: 3 incidents\n"
    page = file.read_text()
    for words in (
        "Failed jobs of genomics-lab",
        "1 of 1 ended failure that a rerun may fix; 1 of 1 resubmitted chain that ended",
        "By kind of job",
        "By image",
        "0 of 1 resubmission did not succeed",
        'data-cause="cpu_saturation" data-outcome="recovered"',
        'data-cause="bad_input" data-outcome="person told"',
        'data-outcome="recorded only"',
        "CPU: ",
        "attempt 1 succeeded",
        "/models/777",
        "of 3 chains, given up or told",
        "0 in progress, 1 recorded only",
    ):
        assert words in page
    assert "price not known" not in page
    assert html.unescape(page).count("the job's error: \"Failed to import data.") == 1
    assert "hunter2" not in page
    assert list(tmp_path.glob(".*.half")) == []


def test_an_empty_ledger_makes_a_report(open_house: Callable[..., Any], tmp_path: Path) -> None:
    open_house()
    file = tmp_path / "report.html"
    assert main(["report", "-o", str(file), "--title", "Genomics <b>"]) == 0
    assert "Genomics &lt;b&gt;" in file.read_text()
    assert "Nothing yet." in file.read_text()


def test_a_report_that_cannot_be_written_is_one_clear_line(
    open_house: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    open_house()
    assert main(["report", "-o", str(tmp_path / "none" / "report.html")]) == 2
    lines = capsys.readouterr().err.splitlines(keepends=True)
    said = "".join(line for line in lines if not line.startswith("{"))  # threads of earlier stories
    assert said == f"report: {tmp_path}/none/report.html: No such file or directory\n"


def test_a_ledger_on_this_machine_needs_no_project(
    house: Any,
    cloud: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The jobs' own names say whose they are; nobody is asked for it."""
    _lived(house, cloud)
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["report"]) == 0
    assert "<title>Failed jobs of " in (tmp_path / "report.html").read_text()
    capsys.readouterr()
    assert main(["report", "--json", "--days", "1"]) == 0
    body = json.loads(capsys.readouterr().out)
    assert [one["outcome"] for one in body["incidents"]].count("recovered") == 1
    assert main(["report", "--csv"]) == 0
    assert len(list(csv.DictReader(io.StringIO(capsys.readouterr().out)))) == 3


@pytest.mark.parametrize("days", ["0", "-1", "nan"])
def test_a_report_of_no_days_is_one_clear_line(
    days: str, open_house: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    open_house()
    assert main(["report", f"--days={days}"]) == 2
    assert f"report: --days {days}: say how many days, more than 0\n" in capsys.readouterr().err


def test_what_pubsub_has_given_up_is_found_by_the_sweep_and_shown_for_every_kind(
    house: Any, cloud: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the job's own event nor the sweep's announcement ever arrives."""
    jobs = {
        "batchPredictionJobs": batch(cloud, "lost-batch"),
        "customJobs": custom(name="lost-custom"),
        "hyperparameterTuningJobs": tuning(name="lost-tuning"),
        "trainingPipelines": training(name="lost-training"),
        "pipelineJobs": pipeline("align", name="lost-pipeline"),
    }
    for collection, body in jobs.items():
        ended = cloud.clock.now() - timedelta(hours=1)
        kind = (
            "PIPELINE_STATE" if collection in {"trainingPipelines", "pipelineJobs"} else "JOB_STATE"
        )
        cloud.add_job(
            {
                **body,
                "name": cloud.name(collection, "4711"),
                "state": f"{kind}_FAILED",
                "error": {"code": 13, "message": "Internal error occurred."},
                "createTime": rfc3339(ended - timedelta(hours=1)),
                "startTime": rfc3339(ended - timedelta(hours=1)),
                "endTime": rfc3339(ended),
            }
        )
    assert house.reconcile()["announced"] == len(jobs)
    assert _shown(capsys) == dict.fromkeys(jobs, "in progress")
    ledger = Ledger(SqliteStore(tmp_path / "ledger.sqlite3"))
    for one in ledger.incidents(100):  # a quarter of an hour has passed without it
        assert ledger.move(replace(one, due=one.first_known))
    house.reconcile()
    shown = _shown(capsys)
    assert shown == {
        "batchPredictionJobs": "in progress",  # resubmitted, as the custom job
        "customJobs": "in progress",
        "hyperparameterTuningJobs": "waits for a yes",
        "trainingPipelines": "waits for a yes",
        "pipelineJobs": "waits for a yes",
    }


def _incidents(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert main(["report", "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)["incidents"]
    return found


def _shown(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """The outcome of each first job, by its collection."""
    return {one["job"].split("/")[-2]: one["outcome"] for one in _incidents(capsys)}


@pytest.mark.parametrize(
    ("name", "start"), [("r.json", "{"), ("r.CSV", "failed_at,"), ("r.html", "<!")]
)
def test_the_reports_form_follows_the_files_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, start: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", "-o", name]) == 0
    assert (tmp_path / name).read_text().startswith(start)
