"""The door: what each call is answered, what is asked for again, and that no traceback leaves."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from slack_sdk.signature import SignatureVerifier

from remediator.app import App
from remediator.doctor import NOTE
from remediator.domain import (
    InvalidInput,
    PermanentError,
    PermissionDenied,
    TransientError,
    rfc3339,
)
from remediator.handlers import Handlers, HttpAnswer
from remediator.intake import FAILURES_LOG
from remediator.job import Job
from remediator.settings import Settings
from tests.workflow.workbench import NOW, NUMBER, POLICIES, PROJECT, Bench

PUBSUB = {"type": "google.cloud.pubsub.topic.v1.messagePublished"}
APPROVERS = 'approvers: {slack: [U024BE7LH], signing_secret: "env:SIGNING"}\n'
ANA, EVE = "U024BE7LH", "U666EVE"


class Desk:
    """The entry points over a workbench's services, with secrets that can change."""

    def __init__(self, bench: Bench, policies: str = POLICIES + APPROVERS) -> None:
        bench.use(policies)
        self.bench = bench
        self.secrets = {"SIGNING": "first"}
        self.app = App(
            Settings(project=PROJECT),
            environ=self.secrets,
            policies=bench.policies,
            now=lambda: bench.time,
        )
        self.app.services, self.app.ledger = bench.services, bench.ledger
        self.handlers = Handlers(self.app)

    def hear(self, entry: Any) -> HttpAnswer:
        data = entry if isinstance(entry, str) else json.dumps(entry)
        message = {"data": base64.b64encode(data.encode()).decode(), "messageId": "5"}
        return self.handlers.on_event(PUBSUB, {"message": message, "subscription": "s"})

    def click(self, secret: str, user: str = ANA) -> HttpAnswer:
        """Approve what waits under `7f3k-9m2q`, signed as Slack signs."""
        action = {"type": "button", "action_id": "remediator_approve", "value": "7f3k-9m2q"}
        payload = {"type": "block_actions", "user": {"id": user}, "actions": [action]}
        body = urlencode({"payload": json.dumps(payload)})
        stamp = str(int(self.bench.time.timestamp()))
        headers = {
            "X-Slack-Request-Timestamp": stamp,
            "X-Slack-Signature": str(
                SignatureVerifier(secret).generate_signature(timestamp=stamp, body=body)
            ),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return self.handlers.on_click(body.encode(), headers)


@pytest.fixture
def desk(bench: Bench) -> Desk:
    return Desk(bench)


def announcement(**payload: str) -> dict[str, Any]:
    """An entry in the product's own log."""
    return {
        "logName": f"projects/{PROJECT}/logs/{FAILURES_LOG}",
        "insertId": "1",
        "timestamp": rfc3339(NOW),
        "jsonPayload": payload,
    }


# --- events ------------------------------------------------------------------------------------------


def test_a_failed_jobs_event_is_handled_and_a_second_one_makes_no_second_job(
    desk: Desk, job: Job
) -> None:
    answers = [
        desk.hear(announcement(job=str(job.name))),
        desk.hear(announcement(job=str(job.name))),
    ]
    assert [one.status for one in answers] == [200, 200]
    made = f"projects/{NUMBER}/locations/us-central1/customJobs/1001"
    assert answers[0].text == f"resubmitted as {made}"
    assert len(desk.bench.vertex.creates) == 1
    assert len(desk.bench.channel.messages) == 1


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("{", "malformed"),
        ("[]", "malformed"),
        ({"logName": "projects/lab/logs/syslog", "resource": {"type": "gce_instance"}}, ""),
    ],
    ids=["no-json", "no-entry", "another-log"],
)
def test_what_can_never_be_handled_is_acknowledged_and_opens_nothing(
    desk: Desk, entry: Any, said: str
) -> None:
    del desk.app.services  # to be opened is an error: there is no cloud here
    answer = desk.hear(entry)
    assert answer.status == 200
    assert answer.text.startswith(said)
    assert "services" not in vars(desk.app)


@pytest.mark.parametrize(
    ("error", "status", "text", "event"),
    [
        (TransientError("busy"), 503, "later", "event_retried"),
        (PermissionDenied("no"), 503, "refused", "permission_missing"),
        (PermanentError("never"), 200, "refused", "event_refused"),
        (InvalidInput("odd"), 200, "refused", "event_refused"),
        (KeyError("ours"), 500, "fault", "unhandled_exception"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_failure_of_an_event_has_its_answer_and_one_line(
    bench: Bench,
    job: Job,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    status: int,
    text: str,
    event: str,
) -> None:
    def fail() -> Any:
        raise error

    desk = Desk(bench)
    desk.app.services = _Failing(fail)
    answer = desk.hear(announcement(job=str(job.name)))
    assert answer == HttpAnswer(status, text)
    (line,) = [json.loads(one) for one in capsys.readouterr().err.splitlines()]
    assert (line["event"], line["message_id"]) == (event, "5")
    assert bench.vertex.creates == []


class _Failing:
    """Services of which none can be had."""

    def __init__(self, fail: Callable[[], Any]) -> None:
        self._fail = fail

    def __getattr__(self, name: str) -> Any:
        return self._fail()


def test_an_event_of_doctor_is_written_down_once_for_each_token(desk: Desk) -> None:
    token = "0123456789abcdef" * 2
    entry = announcement(doctor=token)
    assert desk.hear(entry) == HttpAnswer(200, "a check by doctor")
    note = desk.bench.ledger.note(NOTE)
    assert note is not None
    assert (note["token"], note["mode"], note["at"]) == (token, "enforce", rfc3339(NOW))
    assert note["channels"]["ml"]  # why it is not reached: its webhook is not set
    for _ in range(9):
        assert desk.hear(entry).status == 200
    calmed = desk.bench.ledger.note(NOTE)
    assert calmed is not None
    assert "channels" not in calmed  # so many a minute: each is a call outside


# --- the schedule ------------------------------------------------------------------------------------


def test_a_round_answers_what_it_did_as_json(desk: Desk) -> None:
    answer = desk.handlers.on_schedule()
    assert answer.status == 200
    assert json.loads(answer.text)["handled"] == 0


# --- clicks ------------------------------------------------------------------------------------------

THROUGH = (
    "there is no pending approval '7f3k-9m2q'"  # asked of the ledger: signature and user are good
)
UNSIGNED = "the request is not signed by our Slack app"


@pytest.fixture
def refusal(capsys: pytest.CaptureFixture[str]) -> Callable[[HttpAnswer], str]:
    """Why a click was refused, as the log has it; the caller is told no more than that it was."""

    def read(answer: HttpAnswer) -> str:
        assert answer == HttpAnswer(403, "refused")
        return str(json.loads(capsys.readouterr().err)["message"])

    return read


@pytest.mark.parametrize(
    ("policies", "secret", "user", "why"),
    [
        pytest.param(POLICIES + APPROVERS, "first", ANA, THROUGH, id="an-approver"),
        pytest.param(POLICIES, "first", ANA, "the policy file names no approvers", id="nobody-may"),
        pytest.param(POLICIES + APPROVERS, "another", ANA, UNSIGNED, id="forged"),
        pytest.param(
            POLICIES + APPROVERS,
            "first",
            EVE,
            f"{EVE} is not among the approvers",
            id="another-user",
        ),
    ],
)
def test_a_click_is_taken_of_an_approver_whom_slack_vouches_for(
    bench: Bench,
    refusal: Callable[[HttpAnswer], str],
    policies: str,
    secret: str,
    user: str,
    why: str,
) -> None:
    assert why in refusal(Desk(bench, policies).click(secret, user))


def test_a_changed_secret_is_read_again_for_a_click_that_it_signed_but_not_at_once(
    desk: Desk, refusal: Callable[[HttpAnswer], str]
) -> None:
    assert THROUGH in refusal(desk.click("first"))
    desk.secrets["SIGNING"] = "second"
    desk.bench.time += timedelta(seconds=9)
    assert UNSIGNED in refusal(desk.click("second"))  # a forger would cost a call for each click
    desk.bench.time += timedelta(seconds=1)
    assert THROUGH in refusal(desk.click("second"))
    assert UNSIGNED in refusal(desk.click("first"))


def test_what_is_no_form_of_slacks_is_refused_unread(
    desk: Desk, refusal: Callable[[HttpAnswer], str]
) -> None:
    desk.secrets.clear()  # to read one is an error
    assert UNSIGNED in refusal(desk.handlers.on_click(b"{}", {}))
