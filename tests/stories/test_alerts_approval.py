"""Approval: what was shown is what is done, by whom it may be, once, and for half a day only."""

from __future__ import annotations

import json
import os
import pwd
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec.structs import replace
from slack_sdk.signature import SignatureVerifier

from remediator.cli.main import main
from remediator.domain import Action, Cause, Mode, Plan
from remediator.ledger import Approval, Conclusion, Ledger, Stage
from remediator.ledger.approvals import covers
from remediator.ledger.sqlite import SqliteStore
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs
from twin.physics import Needs, Section

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
        "Approval needed: align-reads failed (CPUs full), resubmit on n1-standard-16 for"
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


@pytest.mark.parametrize(
    "why", ["too long", "no stamp", "an old stamp", "no signature", "odd signature"]
)
def test_a_request_that_cannot_be_slacks_costs_no_secret(
    open_house: Callable[..., Any],
    why: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """The secret cannot be read here, so whoever tries to says so in the log."""
    monkeypatch.delenv("SLACK_SIGNING_SECRET", raising=False)
    house = open_house(POLICIES)
    body = "payload=" + "x" * (2_000_000 if why == "too long" else 10)
    stamp = str(int(time.time() - (600 if why == "an old stamp" else 0)))
    headers = {
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": "v0=" + ("z" * 64 if why == "odd signature" else "0" * 64),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    if why in {"no stamp", "no signature"}:
        del headers["X-Slack-Request-Timestamp" if why == "no stamp" else "X-Slack-Signature"]
    answer = house.clients["approve"].post("/", data=body, headers=headers)
    assert answer.status_code == 403
    said = capfd.readouterr().err
    assert "the request is not signed by our Slack app" in said
    assert "SLACK_SIGNING_SECRET" not in said


def test_forged_signatures_read_the_secret_once_in_ten_seconds(
    open_house: Callable[..., Any], cloud: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    """Well-formed and wrong, a hundred of them: one reading; a click of Slack's is heard among them."""
    cloud.secrets["signing"] = SIGNING
    house = open_house(POLICIES.replace("env:SLACK_SIGNING_SECRET", "secret:signing"), proxied=True)
    button = {"action_id": "remediator_approve", "value": "apr-none"}
    for _ in range(100):
        assert click(house, button, secret="another-secret").status_code == 403
    assert len(cloud.calls("SecretManagerService.AccessSecretVersion")) == 1
    capfd.readouterr()
    click(house, button)
    assert "not signed" not in capfd.readouterr().err  # but asked about an offer that nobody made


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
    other = {"approve": "decline", "decline": "approve"}[verb]
    assert [main([verb, approval]), main([verb, approval])] == [0, 0]
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{verb}d by command line, ")
    assert second == f"already {first}"
    assert main([other, approval]) == 2  # the first answer counts, and whoever comes later is told
    assert f"is already {first}" in capsys.readouterr().err
    house.reconcile()
    assert len(made_jobs(cloud, job)) == jobs
    assert approval_of(tmp_path, job).answer == f"{verb}d"


def test_the_command_line_records_the_account_that_google_knows(
    asked: tuple[Any, Any], cloud: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, job = asked
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    account = "ana@genomics-lab.iam.gserviceaccount.com"
    known = {
        "type": "service_account",
        "client_email": account,
        "private_key": key.decode(),
        "token_uri": "https://oauth2.googleapis.com/token",
    }
    file = tmp_path / "key.json"
    file.write_text(json.dumps(known))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    monkeypatch.setenv("USER", "somebody-else")
    assert main(["approve", buttons(cloud)["remediator_approve"]["value"]]) == 0
    assert approval_of(tmp_path, job).by == f"command line, {account}"


def test_the_command_line_on_a_machine_of_googles_records_its_account(
    open_house: Callable[..., Any], cloud: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLACK_SIGNING_SECRET", SIGNING)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    names = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP")
    house = open_house(POLICIES, **dict.fromkeys(names, cloud.metadata.host))
    job = cloud.past_job(
        "customJobs", custom_job(), HEAVY, route=False, ended_ago=timedelta(hours=4)
    )
    assert house.hear(failure_line(cloud, job)) == 200
    assert main(["approve", buttons(cloud)["remediator_approve"]["value"]]) == 0
    assert approval_of(tmp_path, job).by == f"command line, {cloud.account}"


def test_the_command_line_without_a_google_account_records_the_systems_user(
    asked: tuple[Any, Any], cloud: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, job = asked
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("USER", "somebody-else")
    assert main(["approve", buttons(cloud)["remediator_approve"]["value"]]) == 0
    user = pwd.getpwuid(os.getuid()).pw_name
    assert approval_of(tmp_path, job).by == f"command line, {user} on {socket.gethostname()}"


def test_an_answer_to_nothing_is_one_clear_line(
    open_house: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    open_house()
    assert main(["approve", "<!channel>"]) == 2
    assert capsys.readouterr().err == "approve: there is no pending approval '<!channel>'\n"


def test_a_yes_holds_for_the_worst_case_and_the_time_limit_that_were_shown(
    open_house: Callable[..., Any], cloud: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day at most was shown; the file that bounded it so is then replaced."""
    monkeypatch.setenv("SLACK_SIGNING_SECRET", SIGNING)
    bounded = open_house(OUT_OF_MEMORY.replace("attempts: 3", "attempts: 3, max_run: 1x"))
    body = custom_job()
    del body["jobSpec"]["scheduling"]
    job = cloud.past_job("customJobs", body, SHORT, route=False, ended_ago=timedelta(hours=4))
    assert bounded.hear(failure_line(cloud, job)) == 200
    shown = approval_of(tmp_path, job)
    assert "It may run for 1 d" in cloud.slack.messages[-1].text
    assert click(bounded, buttons(cloud)["remediator_approve"]).status_code == 200

    unbounded = open_house(OUT_OF_MEMORY)
    unbounded.reconcile()
    assert cloud.creates() == []
    asked_again = approval_of(tmp_path, job)
    assert (asked_again.id != shown.id, asked_again.answer) == (True, "")
    assert asked_again.digest == shown.digest
    told = cloud.slack.messages[-1].text
    assert told.startswith("Approval needed")
    assert f"approved it at ${shown.estimated_usd:.2f}" in told.replace("\n", " ")

    assert click(unbounded, buttons(cloud)["remediator_approve"]).status_code == 200
    unbounded.reconcile()
    assert len(made_jobs(cloud, job)) == 1


OUT_OF_MEMORY = POLICIES.replace("[cpu_saturation]", "memory_pressure")
SHORT = Needs(
    sections=(Section("align", cpu_seconds=600, parallel=0.99),),
    fails_with=(
        9,
        "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137.",
    ),
)


@pytest.mark.parametrize(
    ("now", "held"),
    [
        pytest.param({"estimated_usd": 1.09}, True, id="a-tenth-more"),
        pytest.param({"estimated_usd": 0.2, "worst_case_usd": 1.0}, True, id="cheaper"),
        pytest.param({"estimated_usd": 1.2}, False, id="dearer"),
        pytest.param({"worst_case_usd": 125.86}, False, id="dearer-at-worst"),
        pytest.param({"longest_seconds": 8000.0}, False, id="longer"),
        pytest.param({"estimated_usd": None}, False, id="price-no-longer-known"),
    ],
)
def test_what_a_yes_covers(now: dict[str, float | None], held: bool) -> None:
    shown = {"estimated_usd": 1.0, "worst_case_usd": 4.0, "longest_seconds": 7200.0}
    plan = Plan(
        job="j",
        verdict=Cause.MEMORY_PRESSURE,
        policy="p",
        step=1,
        mode=Mode.APPROVE,
        action=Action.APPROVE,
        **{**shown, **now},  # type: ignore[arg-type]
    )
    approval = Approval("a", plan.digest, datetime.now(UTC), **shown)
    assert covers(approval, plan) is held
    assert not covers(replace(approval, digest="another"), plan)
