"""Approval: what was shown is what is done, by whom it may be, once, and for half a day only."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from slack_sdk.signature import SignatureVerifier

from remediator.cli import main
from remediator.ledger import Approval, Conclusion, Ledger, Stage
from remediator.ledger.sqlite import SqliteStore
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs

SIGNING = "8f742231b10e8888abcd99yyyzzz85a5"
ANA, EVE = "U024BE7LH", "U666EVE"
POLICIES = """\
version: 1
mode: approve
rerun_safe: [batch_prediction, custom]
limits: {attempts: 3, usd_per_job: 1000, usd_per_day: 10000}
approvers: {slack: [U024BE7LH], signing_secret: "env:SLACK_SIGNING_SECRET"}
channels:
  oncall: {slack: {webhook: "env:SLACK_WEBHOOK_URL"}}
policies:
  - name: starved-of-cpu
    when: {cause: [cpu_saturation]}
    do: [{resubmit: {machine_type: n1-standard-16}}]
    alert: [oncall]
  - name: everything-else
    when: {}
    do: []
    alert: [oncall]
"""


@pytest.fixture
def asked(
    open_house: Callable[..., Any], cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> tuple[Any, Any]:
    """A failed job whose resubmission waits for a yes."""
    monkeypatch.setenv("SLACK_SIGNING_SECRET", SIGNING)
    house = open_house(POLICIES)
    job = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(hours=4)
    )
    assert house.hear(failure_line(cloud, job)) == 200
    assert cloud.creates() == []
    return house, job


def buttons(cloud: Any) -> dict[str, dict[str, Any]]:
    """The buttons of the last message, by what they do."""
    found = [b for b in cloud.slack.messages[-1].body["blocks"] if b["type"] == "actions"]
    return {one["action_id"]: one for block in found for one in block["elements"]}


def click(
    house: Any, button: dict[str, Any], user: str = ANA, *, secret: str = SIGNING, age: float = 0
) -> Any:
    """Slack's own request for a click, signed as Slack signs."""
    payload = {
        "type": "block_actions",
        "user": {"id": user, "username": "ana"},
        "team": {"id": "T1"},
        "actions": [{"type": "button", "action_id": button["action_id"], "value": button["value"]}],
    }
    body = urlencode({"payload": json.dumps(payload)})
    stamp = str(int(time.time() - age))
    signature = SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
    headers = {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": str(signature),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return house.clients["approve"].post("/", data=body, headers=headers)


def approval_of(tmp_path: Path, job: Any) -> Approval:
    ledger = Ledger(SqliteStore(tmp_path / "ledger.sqlite3"))
    try:
        incident = ledger.incident("/".join(job["name"].split("/")[3:]))
    finally:
        ledger.close()
    assert incident is not None
    assert incident.approval is not None
    return incident.approval


def ended(tmp_path: Path, job: Any) -> tuple[Stage, Conclusion]:
    ledger = Ledger(SqliteStore(tmp_path / "ledger.sqlite3"))
    try:
        incident = ledger.incident("/".join(job["name"].split("/")[3:]))
    finally:
        ledger.close()
    assert incident is not None
    return incident.stage, incident.conclusion


def test_what_was_shown_is_what_is_done_and_a_second_click_changes_nothing(
    asked: tuple[Any, Any], cloud: Any, tmp_path: Path
) -> None:
    house, job = asked
    (shown,) = cloud.slack.messages
    assert shown.body["text"].startswith(
        "Approval needed: align-reads failed (cpu_saturation), resubmit on n1-standard-16 for"
    )
    choices = buttons(cloud)
    approval = choices["remediator_approve"]["value"]
    assert f"python -m remediator approve {approval}" in shown.text

    first = click(house, choices["remediator_approve"])
    assert (first.status_code, first.json) == (200, {"text": f"approved by Slack {ANA} ana"})
    assert cloud.creates() == []  # the entry point writes the answer, nothing else
    again = click(house, choices["remediator_decline"])
    assert (again.status_code, again.json) == (
        200,
        {"text": f"already approved by Slack {ANA} ana"},
    )

    known = approval_of(tmp_path, job)
    assert (known.answer, known.by) == ("approved", f"Slack {ANA} ana")
    assert known.at is not None
    assert abs(known.at - datetime.now(UTC)) < timedelta(minutes=1)

    house.reconcile()
    house.reconcile()
    (made,) = made_jobs(cloud, job)
    machine = made["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["machineType"]
    assert machine == "n1-standard-16"
    assert [m.body["text"].partition(":")[0] for m in cloud.slack.messages] == [
        "Approval needed",
        "Resubmitted",
    ]
    assert f"Approved by Slack {ANA} ana, {known.at:%Y-%m-%d %H:%M} UTC." in (
        cloud.slack.messages[-1].text
    )


def test_a_decline_ends_the_chain_and_says_who(
    asked: tuple[Any, Any], cloud: Any, tmp_path: Path
) -> None:
    house, job = asked
    assert click(house, buttons(cloud)["remediator_decline"]).status_code == 200
    house.reconcile()
    assert made_jobs(cloud, job) == []
    assert ended(tmp_path, job) == (Stage.DONE, Conclusion.GIVEN_UP)
    told = cloud.slack.messages[-1]
    assert told.body["text"].startswith("Given up: align-reads")
    assert f"Declined by Slack {ANA} ana." in told.text


@pytest.mark.parametrize(
    ("user", "secret", "age"),
    [
        pytest.param(EVE, SIGNING, 0, id="not-on-the-list"),
        pytest.param(ANA, "another-secret", 0, id="signed-by-somebody-else"),
        pytest.param(ANA, SIGNING, 600, id="a-replay"),
    ],
)
def test_who_may_not_answer_is_forbidden_and_nothing_is_written(
    asked: tuple[Any, Any],
    cloud: Any,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    user: str,
    secret: str,
    age: float,
) -> None:
    house, job = asked
    answer = click(house, buttons(cloud)["remediator_approve"], user, secret=secret, age=age)
    assert answer.status_code == 403
    assert '"message": "refused: ' in capfd.readouterr().err
    house.reconcile()
    assert approval_of(tmp_path, job).answer == ""
    assert made_jobs(cloud, job) == []


def test_an_offer_ends_after_twelve_hours(
    asked: tuple[Any, Any], cloud: Any, tmp_path: Path, later: Any
) -> None:
    house, job = asked
    button = buttons(cloud)["remediator_approve"]
    offered = approval_of(tmp_path, job)
    assert abs(offered.expires - datetime.now(UTC) - timedelta(hours=12)) < timedelta(minutes=1)
    later(hours=12, minutes=1)
    assert click(house, button).status_code == 403
    house.reconcile()
    assert made_jobs(cloud, job) == []
    assert ended(tmp_path, job) == (Stage.DONE, Conclusion.GIVEN_UP)
    assert "Nobody answered" in cloud.slack.messages[-1].text


def test_a_plan_that_has_changed_since_is_asked_again_and_not_done(
    asked: tuple[Any, Any], open_house: Callable[..., Any], cloud: Any
) -> None:
    house, job = asked
    first = buttons(cloud)["remediator_approve"]
    assert click(house, first).status_code == 200
    changed = open_house(POLICIES.replace("n1-standard-16", "n1-standard-64"))
    changed.reconcile()
    assert made_jobs(cloud, job) == []
    second = buttons(cloud)["remediator_approve"]
    assert second["value"] != first["value"]
    assert "n1-standard-64" in cloud.slack.messages[-1].body["text"]
    assert click(changed, second).status_code == 200
    changed.reconcile()
    (made,) = made_jobs(cloud, job)
    machine = made["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]["machineType"]
    assert machine == "n1-standard-64"


@pytest.mark.parametrize(("verb", "jobs"), [("approve", 1), ("decline", 0)])
def test_the_command_line_answers_too(
    asked: tuple[Any, Any],
    cloud: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    jobs: int,
) -> None:
    house, job = asked
    approval = buttons(cloud)["remediator_approve"]["value"]
    capsys.readouterr()
    assert [main([verb, approval]), main(["approve", approval])] == [0, 0]
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{verb}d by command line, ")
    assert second == f"already {first}"
    house.reconcile()
    assert len(made_jobs(cloud, job)) == jobs
    assert approval_of(tmp_path, job).answer == f"{verb}d"


def test_an_answer_to_nothing_is_one_clear_line(
    open_house: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    open_house()
    assert main(["approve", "<!channel>"]) == 2
    assert capsys.readouterr().err == "approve: there is no pending approval '<!channel>'\n"
