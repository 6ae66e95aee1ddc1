"""What each stranger could try, and what comes of it; docs/security.md says who is bound by what."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from remediator import policy
from remediator.cli.main import main
from remediator.domain import TransientError
from remediator.evidence.sources import probe_urls
from remediator.job import Job
from remediator.ledger.firestore import FirestoreStore
from tests.reliability.test_hostile import _marked_up
from tests.stories.conftest import POLICIES
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs
from twin.clock import rfc3339

# --- probes: the job's author names the places, the policy file the hosts ----------------------------

ALLOWED = POLICIES + 'probes: {hosts: ["data.partner.example", "*.mirror.example"]}\n'


def measured(*texts: str, policies: str = ALLOWED) -> tuple[str, ...]:
    loaded = policy.load(policies).policies
    assert loaded is not None
    name = "projects/p/locations/us-central1/customJobs/1"
    body = {
        "name": name,
        "jobSpec": {"workerPoolSpecs": [{"containerSpec": {"args": list(texts)}}]},
    }
    return probe_urls(Job.parse(body), loaded)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/computeMetadata/v1/",
        "http://metadata.google.internal/",
        "http://data.partner.example@evil.example/",
        "http://data.partner.example:80@evil.example/",
        "http://data.partner.example.evil.example/",
        "http://evil.example/#data.partner.example",
        "http://evil.example?data.partner.example",
        "http://evil.example/data.partner.example",
        "http://xdata.partner.example/",
        "http://mirror.example/",
        "http://evilmirror.example/",
        "http://[::1]/",
        "http://[data.partner.example",
        "http://data.partner.example\u2100/",
        "file://data.partner.example/etc/passwd",
    ],
)
def test_a_job_cannot_lead_a_probe_to_a_host_that_the_policy_file_does_not_name(url: str) -> None:
    assert measured(f"--in={url}") == ()


def test_what_the_policy_file_names_is_measured_and_without_it_nothing() -> None:
    urls = ("https://data.partner.example/x", "http://a.mirror.example/")
    assert measured(*urls) == urls
    assert measured(*urls, policies=POLICIES) == ()


def test_an_allowed_host_that_leads_inside_is_refused_and_the_failure_is_handled(
    open_house: Callable[..., Any], cloud: Any
) -> None:
    """The policy file may err: an address inside a network is not spoken to all the same."""
    house = open_house(POLICIES + 'probes: {hosts: ["169.254.169.254", "metadata.internal"]}\n')
    body = custom_job()
    body["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"] += [
        "--meta=http://169.254.169.254/computeMetadata/v1/",
        "--torn=http://[169.254.169.254",
    ]
    job = cloud.past_job("customJobs", body, HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    assert len(made_jobs(cloud, job)) == 1
    (told,) = cloud.slack.messages
    assert "ms from" not in told.text


# --- names --------------------------------------------------------------------------------------------

NAMES = [
    "projects/genomics-lab/locations/us-central1/customJobs/../../../etc/passwd",
    "projects/genomics-lab/locations/../customJobs/1",
    "../../etc/passwd",
    "projects/genomics-lab/locations/us-central1/customJobs/1?alt=media",
    "projects/genomics-lab/locations/us-central1/customJobs/1%2f..%2f2",
    "projects/genomics-lab/locations/us-central1.evil.example/customJobs/1",
    "projects/genomics-lab/locations/us-central1/customJobs/1\nprojects/x",
    "projects/genomics-lab/locations/us-central1/endpoints/1",
    "$(touch owned)",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("command", [("follow",), ("capture", "-o", "case.json")], ids=["f", "c"])
def test_what_is_no_jobs_name_is_refused_in_a_line_and_asks_nobody(
    name: str,
    command: tuple[str, ...],
    house: Any,
    cloud: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    del house
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main([command[0], name, *command[1:]]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert cloud.calls("JobService.*") == []
    assert sorted(tmp_path.iterdir()) == before


def announcement(cloud: Any, name: str) -> dict[str, Any]:
    """The sweep's own entry, as anybody can forge it."""
    return {
        "logName": f"projects/{cloud.project}/logs/vertex-remediator-job-failures",
        "timestamp": rfc3339(cloud.clock.now()),
        "insertId": "f-1",
        "severity": "ERROR",
        "jsonPayload": {"job": name},
    }


def test_entries_that_name_other_regions_are_not_followed_there(house: Any, cloud: Any) -> None:
    """Forged regions: no call, so no connection, goes to any of them; the served one is asked."""
    regions = [f"forged-region{number}" for number in range(60)]
    for region in regions:
        name = f"projects/{cloud.project}/locations/{region}/batchPredictionJobs/7"
        assert house.hear(announcement(cloud, name)) == 200
    assert cloud.calls("JobService.*") == []
    served = f"projects/{cloud.project}/locations/us-central1/batchPredictionJobs/7"
    assert house.hear(announcement(cloud, served)) == 200
    assert len(cloud.calls("JobService.GetBatchPredictionJob")) == 1


# --- secrets --------------------------------------------------------------------------------------------

TOLD = {
    "diagnose": ("diagnose", "{case}"),
    "diagnose --json": ("diagnose", "{case}", "--json"),
    "plan": ("plan", "{case}", "--policies", "{policies}"),
    "plan --json": ("plan", "{case}", "--policies", "{policies}", "--json"),
    "plan --explain": ("plan", "{case}", "--policies", "{policies}", "--explain"),
    "alert": ("alert", "preview", "{case}", "--channel", "oncall", "--policies", "{policies}"),
}


@pytest.mark.parametrize("command", TOLD.values(), ids=TOLD)
def test_no_command_prints_a_secret_of_the_job_its_error_or_its_log(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    job = {
        **custom_job("a token=hunter2-hunter2"),
        "name": "projects/1/locations/us-central1/customJobs/5",
        "state": "JOB_STATE_FAILED",
        "createTime": "2026-11-23T18:00:00Z",
        "startTime": "2026-11-23T18:00:00Z",
        "endTime": "2026-11-23T19:00:00Z",
        "error": {"code": 9, "message": "workerpool0-0 ran out of memory; API_KEY=hunter2-hunter2"},
    }
    job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"] += ["--token", "hunter2-hunter2"]
    line = {
        "logName": "projects/p/logs/x",
        "resource": {"type": "ml_job"},
        "severity": "ERROR",
        "timestamp": "2026-11-23T18:59:00Z",
        "insertId": "1",
        "textPayload": "MemoryError at https://u:hunter2-hunter2@db.example/ Killed",
    }
    names = {"case": tmp_path / "case.json", "policies": tmp_path / "policies.yaml"}
    names["case"].write_text(json.dumps({"job": job, "logEntries": [line]}))
    names["policies"].write_text(POLICIES)
    assert main([part.format(**names) for part in command]) == 0
    said = capsys.readouterr()
    assert "memory" in said.out
    assert "hunter2" not in said.out + said.err


# --- the log -------------------------------------------------------------------------------------------


def outcome(cloud: Any, **body: Any) -> dict[str, Any]:
    return {
        "logName": f"projects/{cloud.project}/logs/vertex-remediator-outcomes",
        "timestamp": rfc3339(cloud.clock.now()),
        "severity": "NOTICE",
        "jsonPayload": {"attempt": 1, "final": True, "state": "JOB_STATE_SUCCEEDED", **body},
    }


def test_forged_outcomes_do_not_lead_follow_to_a_job_outside_the_chain(
    house: Any, cloud: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    job = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(minutes=30)
    )
    assert house.hear(failure_line(cloud, job)) == 200
    (made,) = made_jobs(cloud, job)
    decoy = cloud.add_job(
        {
            **custom_job("decoy", labels={"remediator-attempt": "9"}),
            "name": cloud.name("customJobs", "666"),
            "state": "JOB_STATE_SUCCEEDED",
            "createTime": rfc3339(cloud.clock.now()),
            "endTime": rfc3339(cloud.clock.now()),
        }
    )
    for forged in (
        outcome(cloud, root=job["name"], current=decoy["name"]),
        outcome(cloud, root=job["name"], current="../../etc/passwd"),
        outcome(cloud, root=None, current=[job["name"]]),
        outcome(cloud, root=job["name"], current=cloud.name("customJobs", "404")),
        outcome(cloud, root=cloud.name("customJobs", "404"), current=job["name"]),
        outcome(cloud, root=decoy["name"], current=job["name"]),
        outcome(cloud, root=decoy["name"], current=made["name"]),
    ):
        cloud.logs.add(forged)
    capsys.readouterr()
    for asked in (job, made):
        assert main(["follow", asked["name"], "--json"]) == 1
        told = json.loads(capsys.readouterr().out)
        assert (told["root"], told["current"]) == (job["name"], made["name"])
        assert told["final"] is False


def refused_creation(cloud: Any, number: int) -> dict[str, Any]:
    """What an audit entry of a Create that Vertex refused looks like; anybody's forgery too."""
    return {
        "logName": f"projects/{cloud.project}/logs/cloudaudit.googleapis.com%2Factivity",
        "insertId": f"forged-{number}",
        "timestamp": rfc3339(cloud.clock.now()),
        "severity": "ERROR",
        "protoPayload": {
            "serviceName": "aiplatform.googleapis.com",
            "methodName": "google.cloud.aiplatform.v1.JobService.CreateCustomJob",
            "status": {"code": 8, "message": "<!channel> quota token=hunter2-hunter2\r\nBcc: x@y"},
            "authenticationInfo": {"principalEmail": "<@U1>@evil.example"},
            "request": {
                "parent": "projects/x/locations/../../y",
                "customJob": {"displayName": "<https://evil.example|click>"},
            },
        },
    }


def test_forged_refusals_cost_a_few_alerts_and_nothing_else(
    house: Any, cloud: Any, later: Callable[..., None]
) -> None:
    for number in range(40):
        assert house.hear(refused_creation(cloud, number)) == 200
    later(minutes=2)
    house.reconcile()
    assert cloud.creates() == []
    assert cloud.calls("JobService.*") == cloud.calls("JobService.List*")  # the sweep's
    # Ten a minute, then as few as hold a line for each of the rest: nobody is cut from a group.
    assert len(cloud.slack.messages) <= 22
    assert cloud.mail.messages
    for message in cloud.slack.messages:
        for hostile in ("<!channel>", "<@U1>", "<https://evil.example"):
            assert not any(hostile in text for text in _marked_up(message.body))
        assert "hunter2" not in json.dumps(message.body)
    assert {mail["Bcc"] for mail in cloud.mail.messages} == {None}


@pytest.mark.parametrize(
    "torn", ["\ud800", "\x00", "../../x", "|" * 300, "\U0001f4a5" * 2000, "x" * 300_000]
)
def test_no_text_of_a_refusal_stops_it_from_being_told(torn: str, house: Any, cloud: Any) -> None:
    entry = refused_creation(cloud, 1)
    payload = entry["protoPayload"]
    payload["status"]["message"] = payload["request"]["customJob"]["displayName"] = torn
    payload["authenticationInfo"]["principalEmail"] = payload["request"]["parent"] = torn
    assert house.hear({**entry, "insertId": torn}) == 200
    assert (len(cloud.slack.messages), len(cloud.mail.messages)) == (1, 1)


# --- plaintext -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["10.0.0.5:8080", "firestore.example:80", "169.254.169.254:80"])
def test_a_plaintext_ledger_elsewhere_is_never_asked(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", host)
    store = FirestoreStore("lab", "(default)", "remediator", timeout_seconds=1.0)
    with pytest.raises(TransientError, match="on loopback"):
        store.get("incidents", "x")
