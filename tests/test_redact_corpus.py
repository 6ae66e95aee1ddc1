"""The corpora of the redactor: what must go from every exit, and what must stay readable there.

`data/secrets.json` holds texts with the secrets in them, every value invented; `data/readable.txt` holds
texts that only look like it, one a line.
"""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from remediator import log
from remediator.alerts.compose import compose
from remediator.alerts.message import as_text
from remediator.alerts.render import render_email, render_slack
from remediator.cli.main import main
from remediator.domain import Cause, Evidence, RankedCause, Source
from remediator.ledger import Conclusion
from remediator.redaction import MARK, redact, redact_json
from remediator.report.history import stories
from remediator.report.page import render
from tests.alert_situations import DIAGNOSIS, FACTS
from tests.stories import conftest as of_stories
from tests.stories.conftest import POLICIES
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs
from tests.test_report import NOON, incident

cloud, kept_in, open_house = of_stories.cloud, of_stories.kept_in, of_stories.open_house

DATA = Path(__file__).resolve().parent / "data"
FORMS: list[dict[str, Any]] = json.loads((DATA / "secrets.json").read_text())
READABLE = (DATA / "readable.txt").read_text().splitlines()
IDS = [form["id"] for form in FORMS]
SECRETS = [secret for form in FORMS for secret in form["secrets"]]


def leaks(shown: str, secrets: list[str]) -> list[str]:
    return [secret for secret in secrets if secret in shown]


def test_the_corpora_are_as_large_as_they_are_said_to_be() -> None:
    assert len(FORMS) >= 150
    assert len(READABLE) >= 150
    assert len(set(IDS)) == len(IDS)
    assert all(secret in form["text"] for form in FORMS for secret in form["secrets"])


@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_a_secret_goes_and_the_text_around_it_settles(form: dict[str, Any]) -> None:
    shown = redact(form["text"])
    assert leaks(shown, form["secrets"]) == []
    assert MARK in shown
    assert redact(shown) == shown


@pytest.mark.parametrize("text", READABLE)
def test_what_only_looks_like_a_secret_stays_readable(text: str) -> None:
    assert redact(text) == text
    assert redact_json({"text": [text]}) == {"text": [text]}


def test_what_is_readable_stays_so_among_other_lines() -> None:
    whole = "\n".join(READABLE)
    assert redact(whole, 100_000).splitlines() == READABLE


@pytest.mark.parametrize("form", FORMS, ids=IDS)
def test_a_secret_goes_from_alert_mail_report_and_log(form: dict[str, Any]) -> None:
    text = f"workerpool0-0 ran out of memory\n{form['text']}"
    proof = Evidence(Source.LOG, "insertId a1", text)
    found = replace(DIAGNOSIS, causes=(RankedCause(Cause.CPU_SATURATION, 0.8, (proof,)),))
    message = compose(replace(FACTS, error=text, display_name=form["text"], diagnosis=found))
    mail = render_email(message, sender="a@example.com", to=["b@example.com"], due=NOON)
    body = mail.get_body()
    stream = io.StringIO()
    log.say("ERROR", log.LogEvent.EVENT_REFUSED, text, to=stream, text=form["text"])
    paper = render(
        stories(
            [
                incident(
                    1,
                    conclusion=Conclusion.ALERTED,
                    display_name=form["text"],
                    evidence=(
                        {"source": "log", "where": "insertId a1", "says": redact(text, 400)},
                    ),
                )
            ],
            [],
        ),
        title=form["text"],
        made=datetime(2026, 11, 24, tzinfo=UTC),
    )
    for shown in (
        json.dumps(render_slack(message), ensure_ascii=False),
        as_text(message),
        str(mail["Subject"]),
        body.get_content() if body is not None else "",
        paper,
        stream.getvalue(),
    ):
        assert leaks(shown, form["secrets"]) == []


def failed_job() -> dict[str, Any]:
    """A job that ran out of memory, every secret of the corpus in its arguments and environment."""
    job = custom_job("align-reads")
    container = job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]
    container["args"] += [form["text"] for form in FORMS]
    container["env"] += [
        {"name": "KAGGLE_KEY", "value": "inv3nted-kaggle"},
        {"name": "GH_PAT", "value": "inv3nted-pat"},
        {"name": "DB_PASS", "value": "inv3nted pass"},
        {"name": "EPOCHS", "value": "3"},
        {"name": "AUTHOR", "value": "jane"},
    ]
    return job


HIDDEN = [*SECRETS, "inv3nted-kaggle", "inv3nted-pat", "inv3nted pass"]


def case_file(tmp_path: Path) -> Path:
    job = {
        **failed_job(),
        "name": "projects/1/locations/us-central1/customJobs/5",
        "state": "JOB_STATE_FAILED",
        "createTime": "2026-11-23T18:00:00Z",
        "startTime": "2026-11-23T18:00:00Z",
        "endTime": "2026-11-23T19:00:00Z",
        "error": {
            "code": 9,
            "message": "The replica workerpool0-0 ran out of memory and exited with a non-zero status "
            "of 137(SIGKILL). " + FORMS[0]["text"],
        },
    }
    lines = [
        {
            "logName": "projects/p/logs/workerpool0-0",
            "resource": {"type": "ml_job"},
            "severity": "ERROR",
            "timestamp": f"2026-11-23T18:{number // 60:02}:{number % 60:02}Z",
            "insertId": f"a{number}",
            "textPayload": f"MemoryError: {form['text']}",
        }
        for number, form in enumerate(FORMS)
    ]
    path = tmp_path / "case.json"
    path.write_text(json.dumps({"job": job, "logEntries": lines}))
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("diagnose", "{case}", "--json"),
        ("diagnose", "{case}"),
        ("plan", "{case}", "--policies", "{policies}", "--json"),
        ("plan", "{case}", "--policies", "{policies}", "--explain"),
    ],
    ids=" ".join,
)
def test_no_command_prints_any_secret_of_the_corpus(
    command: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    policies = tmp_path / "policies.yaml"
    policies.write_text(POLICIES)
    names = {"case": case_file(tmp_path), "policies": policies}
    assert main([part.format(**names) for part in command]) == 0
    said = capsys.readouterr()
    assert "memory" in said.out
    assert leaks(said.out + said.err, HIDDEN) == []
    if command[0] == "plan" and "--json" in command:
        (pool,) = json.loads(said.out)["request"]["jobSpec"]["workerPoolSpecs"]
        shown = {one["name"]: one["value"] for one in pool["containerSpec"]["env"]}
        assert shown["AUTHOR"] == "jane"
        assert shown["EPOCHS"] == "3"
        assert shown["GH_PAT"] == MARK


def test_what_vertex_is_sent_keeps_what_people_are_not_shown(
    open_house: Any, cloud: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One failure through every exit of the deployed product; the new job is the old one, whole."""
    house = open_house()
    job = cloud.past_job("customJobs", failed_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    (made,) = made_jobs(cloud, job)
    before, after = (one["jobSpec"]["workerPoolSpecs"][0]["containerSpec"] for one in (job, made))
    assert after["args"] == before["args"]
    assert [one for one in after["env"] if not one["name"].startswith("REMEDIATOR")] == before[
        "env"
    ]
    told = "".join(message.text for message in cloud.slack.messages)
    mails = "".join(str(message) for message in cloud.mail.messages)
    outcomes = json.dumps(cloud.logs.find('logName:"vertex-remediator-outcomes"'), default=str)
    assert told
    assert mails
    assert "vertex-remediator-outcomes" in outcomes
    capsys.readouterr()
    assert main(["capture", job["name"], "-o", str(tmp_path / "captured.json")]) == 0
    assert main(["report", "-o", str(tmp_path / "report.html")]) == 0
    assert main(["follow", job["name"], "--json"]) in {0, 1}
    said = capsys.readouterr()
    exits = {
        "Slack": told,
        "mail": mails,
        "outcomes": outcomes,
        "case file": (tmp_path / "captured.json").read_text(),
        "report": (tmp_path / "report.html").read_text(),
        "standard output and log": said.out + said.err,
    }
    assert {name: leaks(shown, HIDDEN) for name, shown in exits.items()} == {
        name: [] for name in exits
    }


def test_json_hides_numbers_lists_and_holders_under_a_secrets_name() -> None:
    body = {
        "password": 31415926,
        "retries": 31415926,
        "api_keys": ["inv3nted-1", "inv3nted-2"],
        "wandb_key": {"stringValue": "inv3nted-3"},
        "headers": [["X-Api-Key", "inv3nted-4"], ["Accept", "text/html"]],
        "parameterValues": {"hf_token": "inv3nted-5", "max_tokens": 5, "author": "jane"},
        "command": ["mysql", "-uroot", "-pinv3nted-6", "db"],
        "login": ["docker", "login", "-u", "bob", "-p", "inv3nted-7"],
        "ports": ["docker", "run", "-p", "8080:80", "image"],
        "auths": {"gcr.io": {"auth": "inv3nted-8"}},
        "kaggle": {"username": "bob", "key": "inv3nted-9"},
        "columns": {"key": "user_id", "value": "items"},
    }
    shown = json.dumps(redact_json(body))
    assert "inv3nted" not in shown
    assert '"retries": 31415926' in shown
    assert "3141592" not in shown.replace('"retries": 31415926', "")
    for kept in ("text/html", '"max_tokens": 5', "jane", "8080:80", "user_id", "-uroot", "gcr.io"):
        assert kept in shown


NAMES = st.from_regex(
    r"\A[A-Z]{2,8}_(PASS|PASSWORD|SECRET|PAT|API_KEY|ACCESS_TOKEN|PWD)(_V?[0-9])?\Z"
)
VALUES = st.from_regex(r"\A[A-Za-z][a-z]{3,6}[0-9]{3,6}[A-Za-z]{2,8}\Z")


@seed(18)
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(NAMES, VALUES, st.sampled_from(
    ["{n}={v}", "{n} = '{v}'", '"{n}": "{v}"', "export {n}={v}", '{{"name": "{n}", "value": "{v}"}}',
     '{{"value": "{v}", "name": "{n}"}}', "- name: {n}\n  value: {v}", "--{n} {v}", "--{n}={v}", "-e {n}={v}",
     "{n}:     {v}", "<{n}>{v}</{n}>", "{n}%3D{v}", "ENV {n} {v}", "os.environ['{n}'] = '{v}'"]))  # fmt: skip
def test_any_name_of_such_a_shape_is_known_in_any_syntax(name: str, value: str, form: str) -> None:
    assert value not in redact(form.format(n=name, v=value))
