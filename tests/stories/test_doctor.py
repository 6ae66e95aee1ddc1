"""`doctor` against a deployment that stands in the twin: each fault found, none in a healthy one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from remediator.cli import main
from remediator.doctor import PERMISSIONS
from remediator.intake import sink_filter
from tests.stories.conftest import POLICIES

NAME = "vertex-remediator"
LIMITED = POLICIES.replace(
    "attempts: 3,", "attempts: 3, accelerators: [NVIDIA_TESLA_T4, NVIDIA_L4],"
)


def rest_by_proxy(cloud: Any) -> dict[str, str]:
    """What is asked by REST goes to Google's own addresses through the twin's front door."""
    wanted = ("https_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "GCE_METADATA_HOST")
    return {key: value for key, value in cloud.proxied_env().items() if key in wanted}


@pytest.fixture
def deployed(open_house: Callable[..., Any], cloud: Any) -> Iterator[Any]:
    """A healthy deployment whose sink leads to the served function."""
    house = open_house(LIMITED, **rest_by_proxy(cloud))
    cloud.deployment.stand_up(NAME, sink_filter=sink_filter(cloud.account), region="us-central1")
    cloud.deployment.quotas = {
        "custom_model_training_nvidia_t4_gpus": 4,
        "custom_model_serving_nvidia_t4_gpus": 4,
    }
    house.reconcile()
    stopping = threading.Event()

    def route() -> None:
        heard: set[str] = set()
        while not stopping.wait(0.05):
            for entry in cloud.logs.find('logName:"vertex-remediator-job-failures"'):
                if entry["insertId"] not in heard and not stopping.is_set():
                    heard.add(entry["insertId"])
                    if getattr(cloud, "routes", True):
                        house.hear(entry)

    thread = threading.Thread(target=route, daemon=True)
    thread.start()
    yield house
    stopping.set()
    thread.join(timeout=5)


@pytest.fixture
def examine(cloud: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, Any]]:
    def call(*more: str) -> tuple[int, Any]:
        arguments = ["doctor", "--account", cloud.account, "--event-seconds", "4", *more]
        code = main(arguments)
        said = capsys.readouterr().out
        return code, json.loads(said) if "--json" in more else said

    return call


@pytest.mark.usefixtures("deployed")
def test_a_healthy_deployment_has_no_problem(examine: Any, cloud: Any) -> None:
    before = len(cloud.creates())
    code, said = examine()
    assert "reconcile ran" in said
    told = [
        line
        for line in said.splitlines()
        if "reconcile ran" not in line and " arrived " not in line
    ]
    assert "\n".join(told) == HEALTHY.replace("ACCOUNT", cloud.account)
    assert code == 0
    assert len(cloud.creates()) == before
    assert cloud.slack.messages == []
    assert cloud.mail.messages == []


HEALTHY = """\
vertex-remediator in genomics-lab, us-central1

ok      policies        7 policies, mode enforce
ok      sink            vertex-remediator-failures routes what this version reads to its topic
ok      sink            its writer may publish
ok      delivery        vertex-remediator-remediate pushes, and keeps what fails 100 times
ok      dead letters    vertex-remediator-dead-letters keeps them
ok      function        vertex-remediator-remediate is active, 120 s at most
ok      function        vertex-remediator-reconcile is active, 120 s at most
ok      permissions     ACCOUNT has all 24 in the project
ok      channel oncall  its secret is read and it answers
ok      channel owners  its secret is read and it answers
ok      ledger          it answers, and the stop switch is off
ok      schedule        vertex-remediator-reconcile runs at * * * * *
ok      quotas          none of what is allowed is at zero in us-central1
ok      clock           within 60 s of Google's

no problem found"""


def stale_filter(cloud: Any) -> None:
    cloud.deployment.sinks[f"{NAME}-failures"]["filter"] = 'resource.type="ml_job"'


def no_sink(cloud: Any) -> None:
    cloud.deployment.sinks.clear()


def disabled_sink(cloud: Any) -> None:
    cloud.deployment.sinks[f"{NAME}-failures"]["disabled"] = True


def mute_writer(cloud: Any) -> None:
    cloud.deployment.publishers.clear()


def no_retry(cloud: Any) -> None:
    del cloud.deployment.subscriptions[f"{NAME}-remediate"]["retryPolicy"]


def no_dead_letters(cloud: Any) -> None:
    del cloud.deployment.subscriptions[f"{NAME}-remediate"]["deadLetterPolicy"]


def no_dead_letter_subscription(cloud: Any) -> None:
    del cloud.deployment.subscriptions[f"{NAME}-dead-letters"]


def broken_function(cloud: Any) -> None:
    cloud.deployment.functions[f"{NAME}-reconcile"]["state"] = "FAILED"


def patient_function(cloud: Any) -> None:
    cloud.deployment.functions[f"{NAME}-remediate"]["serviceConfig"]["timeoutSeconds"] = 900


def lost_permission(cloud: Any) -> None:
    cloud.desk.iam.granted = set(PERMISSIONS) - {"aiplatform.customJobs.create"}


def paused_schedule(cloud: Any) -> None:
    cloud.deployment.schedules[f"{NAME}-reconcile"]["state"] = "PAUSED"


def no_quota(cloud: Any) -> None:
    cloud.deployment.quotas["custom_model_training_nvidia_t4_gpus"] = 0


def wrong_clock(cloud: Any) -> None:
    cloud.deployment.date = format_datetime(datetime.now(UTC) - timedelta(minutes=9), usegmt=True)


def lost_events(cloud: Any) -> None:
    cloud.routes = False


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("spoil", "check", "says", "mend"),
    [
        (stale_filter, "sink", "its filter is not the one", "deploy/deploy.sh"),
        (no_sink, "sink", "there is no log sink", "deploy/deploy.sh"),
        (disabled_sink, "sink", "it is disabled", "deploy/deploy.sh"),
        (mute_writer, "sink", "may not publish", "gcloud pubsub topics add-iam-policy-binding"),
        (no_retry, "delivery", "retries without a pause", "deploy/deploy.sh"),
        (no_dead_letters, "delivery", "no dead-letter topic", "deploy/deploy.sh"),
        (no_dead_letter_subscription, "dead letters", "there is no", "deploy/deploy.sh"),
        (broken_function, "function", "is FAILED", "deploy/deploy.sh"),
        (patient_function, "function", "a claim protects it for 600 s", "deploy/deploy.sh"),
        (lost_permission, "permissions", "lacks aiplatform.customJobs.create", "deploy/deploy.sh"),
        (paused_schedule, "schedule", "is PAUSED", "gcloud scheduler jobs resume"),
        (no_quota, "quotas", "NVIDIA_TESLA_T4 in us-central1 is zero", "https://console"),
        (wrong_clock, "clock", "s off Google's", "NTP"),
        (lost_events, "event", "was not handled within 4 s", "look at the log"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_fault_is_found_and_nothing_else(
    examine: Any, cloud: Any, spoil: Callable[[Any], None], check: str, says: str, mend: str
) -> None:
    spoil(cloud)
    code, told = examine("--json", *([] if spoil is lost_events else ["--no-event"]))
    problems = [one for one in told["checks"] if one["status"] == "problem"]
    assert [one["check"] for one in problems] == [check], problems
    assert says in problems[0]["says"]
    assert mend in problems[0]["mend"]
    assert problems[0]["why"]
    assert (code, told["healthy"]) == (1, False)


def test_a_dead_channel_a_stopped_switch_and_a_silent_sweep_are_found(
    open_house: Callable[..., Any],
    cloud: Any,
    examine: Any,
    later: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house = open_house(LIMITED, **rest_by_proxy(cloud))
    cloud.deployment.stand_up(NAME, sink_filter=sink_filter(cloud.account), region="us-central1")
    house.reconcile()
    later(minutes=20)
    assert main(["stop"]) == 0
    capsys.readouterr()
    monkeypatch.setenv("SMTP_URL", "smtp://127.0.0.1:1")
    code, told = examine("--json", "--no-event")
    problems = {one["check"]: one["says"] for one in told["checks"] if one["status"] == "problem"}
    assert code == 1
    assert set(problems) == {"channel owners", "ledger", "sweep"}
    assert "could not be reached" in problems["channel owners"]
    assert problems["ledger"] == "the stop switch is on"
    assert problems["sweep"].startswith("reconcile last ran at")


@pytest.mark.usefixtures("deployed")
def test_what_may_not_be_looked_at_is_said_and_stops_nothing(
    cloud: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["doctor", "--no-event", "--json"])
    told = {one["check"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert told["permissions"]["status"] == "unknown"
    assert "iam.serviceAccounts.getAccessToken" in told["permissions"]["says"]
    assert "roles/iam.serviceAccountTokenCreator" in told["permissions"]["mend"]
    assert told["quotas"]["status"] == "ok"
    assert code == 1  # the sink's filter leaves out another account
    cloud.deployment.tokens[f"{NAME}-worker@{cloud.project}.iam.gserviceaccount.com"] = "worker"
    main(["doctor", "--no-event", "--json"])
    told = {one["check"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert told["permissions"]["status"] == "ok"


def test_unusable_options_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--event-seconds", "-1"]) == 2
    assert capsys.readouterr().err == "doctor: --event-seconds is from 0 to 600\n"


@pytest.mark.usefixtures("deployed")
def test_it_looks_with_the_deployed_functions_settings(
    cloud: Any, examine: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = f"sqlite:///{tmp_path}/ledger.sqlite3"
    held = cloud.deployment.functions[f"{NAME}-remediate"]["serviceConfig"]
    held["environmentVariables"]["REMEDIATOR_LEDGER"] = ledger
    monkeypatch.setenv("REMEDIATOR_LEDGER", f"sqlite:///{tmp_path}/of-this-laptop.sqlite3")
    code, told = examine("--json", "--no-event")
    assert (code, told["healthy"]) == (0, True)
    del held["environmentVariables"]["REMEDIATOR_LEDGER"]
    code, told = examine("--json", "--no-event")
    assert [one["check"] for one in told["checks"] if one["status"] == "problem"] == ["sweep"]
