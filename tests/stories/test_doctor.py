"""`doctor` from inside the function and from a person's machine: what each of them sees."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from remediator.catalog.catalog import Catalog
from remediator.cli.main import main
from remediator.doctor import NOTE, event
from remediator.doctor.quotas import metrics_of
from remediator.intake import FAILURES_LOG, sink_filter
from remediator.ledger import Ledger
from remediator.ledger.sqlite import SqliteStore
from tests.stories.doctor_cases import (
    LIMITED,
    NAME,
    OTHER,
    TRAINER,
    Examine,
    deploy,
    examiner,
    problems_of,
    rest_by_proxy,
    service,
)


@pytest.fixture
def examine(cloud: Any, capsys: pytest.CaptureFixture[str]) -> Examine:
    return examiner(cloud, capsys)


@pytest.fixture
def deployed(open_house: Callable[..., Any], cloud: Any) -> Any:
    return deploy(open_house, cloud)


@pytest.mark.usefixtures("deployed")
def test_an_event_that_does_not_arrive_is_found(examine: Any, cloud: Any) -> None:
    cloud.routes = False
    code, told = examine("--json", "--event-seconds", "1")
    assert code == 1
    assert set(problems_of(told)) == {"event"}
    assert "was not handled within 1 s" in problems_of(told)["event"]


@pytest.mark.usefixtures("deployed")
def test_an_old_policy_file_in_the_function_is_found(examine: Any, tmp_path: Path) -> None:
    (tmp_path / "policies.yaml").write_text(LIMITED.replace("mode: enforce", "mode: observe"))
    code, told = examine("--json")
    assert code == 1
    assert set(problems_of(told)) == {"policy file"}
    assert "the function decides by another one: mode enforce" in problems_of(told)["policy file"]


def check_entry(cloud: Any, token: str) -> dict[str, Any]:
    """What `doctor` writes to the log, as the sink would bring it; anybody could forge it."""
    return {
        **event(token, datetime.now(UTC)),
        "logName": f"projects/{cloud.project}/logs/{FAILURES_LOG}",
        "resource": {"type": "global", "labels": {"project_id": cloud.project}},
    }


@pytest.fixture
def seen(tmp_path: Path) -> Callable[[], Any]:
    """What the function has written down."""
    return lambda: Ledger(SqliteStore(tmp_path / "ledger.sqlite3")).note(NOTE)


def test_a_secret_and_a_server_out_of_reach_are_found_by_the_function_itself(
    deployed: Any, cloud: Any, seen: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deployed.hear(check_entry(cloud, "a" * 32)) == 200
    assert seen()["channels"] == {"oncall": "", "owners": ""}
    monkeypatch.delenv("SLACK_WEBHOOK_URL")
    monkeypatch.setenv("SMTP_URL", "smtp://127.0.0.1:1")
    assert deployed.hear(check_entry(cloud, "b" * 32)) == 200
    found = seen()
    assert found["token"] == "b" * 32
    assert "SLACK_WEBHOOK_URL is not set" in found["channels"]["oncall"]
    assert "could not be reached" in found["channels"]["owners"]


@pytest.mark.usefixtures("deployed")
def test_what_the_function_sees_is_told_rather_than_what_is_seen_from_here(
    examine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_URL", "smtp://127.0.0.1:1")
    code, told = examine("--json")
    assert code == 1
    assert set(problems_of(told)) == {"channel owners"}
    assert "(from here" not in json.dumps(told)


def test_forged_checks_do_not_call_the_channels_again_and_again(
    deployed: Any, cloud: Any, seen: Any
) -> None:
    for digit in "0123456789":
        assert deployed.hear(check_entry(cloud, digit * 32)) == 200
    assert len(cloud.calls("slack.webhook")) == 6
    assert seen()["token"] == "9" * 32
    assert "channels" not in seen()
    assert cloud.slack.messages == []


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


def test_it_works_from_a_persons_machine_with_nothing_but_the_projects_id(
    deployed: Any, cloud: Any, examine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the README says: no metadata server, no settings but the two that it names."""
    del deployed
    own = tmp_path / "application_default_credentials.json"
    words = ("client_id", "client_secret", "refresh_token")
    own.write_text(json.dumps({"type": "authorized_user", **dict.fromkeys(words, "x")}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(own))
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    for name in ("VERTEX", "LOGGING", "MONITORING"):
        monkeypatch.delenv(f"REMEDIATOR_{name}_ENDPOINT")
    monkeypatch.delenv("GOOGLE_CLOUD_PROJECT_NUMBER")
    cloud.deployment.tokens[cloud.account] = "worker"
    code, told = examine("--json", "--no-event")
    assert problems_of(told) == {}
    assert code == 0
    assert cloud.calls("projects.get")
    assert cloud.calls("oauth2.token")
    assert cloud.calls("serviceAccounts.generateAccessToken")


def test_actas_is_read_from_the_accounts_own_policy_where_nobody_may_impersonate(
    deployed: Any, cloud: Any, examine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    del deployed
    monkeypatch.setenv("GCE_METADATA_HOST", cloud.metadata.host)
    code, told = examine("--json", "--no-event", "--account", OTHER)
    assert code == 1
    assert f"{OTHER} may not act as {TRAINER}" in problems_of(told)["act as"]
    role = "roles/iam.serviceAccountUser"
    cloud.deployment.grants[f"serviceAccounts/{TRAINER}"] = {role: [f"serviceAccount:{OTHER}"]}
    _, told = examine("--json", "--no-event", "--account", OTHER)
    assert "act as" not in problems_of(told)


@pytest.mark.usefixtures("deployed")
def test_functions_may_stand_in_another_region_than_the_first_that_is_served(
    cloud: Any, examine: Any
) -> None:
    held = service(cloud, "remediate")["environmentVariables"]
    held["REMEDIATOR_LOCATIONS"] = "europe-west4,us-central1"
    code, told = examine("--json", "--no-event", "--region", "us-central1")
    # What is for resumed batches lies in one of the two; nothing else is amiss.
    assert (code, set(problems_of(told))) == (1, {"resume bucket", "resume dataset"})
    assert "jobs run in europe-west4" in problems_of(told)["resume bucket"]
    (quotas,) = [one for one in told["checks"] if one["check"] == "quotas"]
    assert quotas["says"].endswith("in europe-west4, us-central1")


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize(
    ("accounts", "status", "says"),
    [
        ("default", "ok", "no account is named"),
        ("*@genomics-lab.iam.gserviceaccount.com", "unknown", "names no one account"),
    ],
)
def test_accounts_that_are_not_named_are_not_asked_for(
    cloud: Any, examine: Any, accounts: str, status: str, says: str
) -> None:
    held = service(cloud, "remediate")["environmentVariables"]
    held["REMEDIATOR_SERVICE_ACCOUNTS"] = accounts
    _, told = examine("--json", "--no-event")
    (found,) = [one for one in told["checks"] if one["check"] == "act as"]
    assert found["status"] == status
    assert says in found["says"]


@pytest.mark.usefixtures("deployed")
def test_a_quota_that_is_not_listed_is_no_all_clear(cloud: Any, examine: Any) -> None:
    cloud.deployment.quotas.pop("custom_model_serving_nvidia_l4_gpus")
    code, told = examine("--json", "--no-event")
    assert code == 0
    (open_one,) = [
        one for one in told["checks"] if one["check"] == "quotas" and one["status"] != "ok"
    ]
    assert open_one["status"] == "unknown"
    assert "custom_model_serving_nvidia_l4_gpus" in open_one["says"]


def test_the_quotas_of_every_device_that_may_be_added_are_known() -> None:
    """What the planner may add of itself; what needs a reservation is nobody's to add."""
    devices = Catalog.built_in().accelerators.values()
    addable = {one.name for one in devices if not one.why_not}
    assert {name for name in addable if not metrics_of(name)} <= {"NVIDIA_RTX_PRO_6000"}
    assert metrics_of("NVIDIA_H100_80GB")[0].endswith("/custom_model_training_nvidia_h100_gpus")


@pytest.mark.usefixtures("deployed")
def test_a_channel_whose_variable_is_not_set_here_is_not_called_broken(
    examine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLACK_WEBHOOK_URL")
    _, told = examine("--json", "--no-event", "--account", OTHER)
    (found,) = [one for one in told["checks"] if one["check"] == "channel oncall"]
    assert found["status"] == "unknown"
    assert found["says"].startswith("not checked: channel oncall: the environment variable")
    assert "channel oncall" in problems_of(examine("--json", "--no-event")[1])
