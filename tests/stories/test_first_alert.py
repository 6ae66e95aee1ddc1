"""What the README's deploy section promises: the shipped file, deployed as it is, tells in Slack.

The environment is the module's own, by its defaults; the value of the webhook comes after the
deployment, as the README says, and what happened before is told too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from remediator.cli.main import main
from tests.deploy.terraform import ROOT, variable_defaults

from .test_loop import HEAVY, custom_job, failure_line

SECRET = "vertex-remediator-slack-webhook"


@pytest.fixture
def deployed(
    open_house: Callable[..., Any], cloud: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Any]:
    """The function with the shipped policies and the variables that the module sets."""
    monkeypatch.delenv("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", raising=False)  # read once in a process
    defaults = variable_defaults()
    by_module = {
        name: f"secret:{secret}"
        for name, secret in defaults["secret_environment"].items()
        if secret in defaults["secrets"]
    }
    assert by_module == {"SLACK_WEBHOOK_URL": f"secret:{SECRET}"}
    wanted = ("https_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "GCE_METADATA_HOST")
    front = {key: value for key, value in cloud.proxied_env().items() if key in wanted}
    return lambda: open_house(
        (ROOT / "policies.yaml").read_text(),
        REMEDIATOR_MAX_MODE=defaults["max_mode"],
        REMEDIATOR_CHANNEL_HOSTS="127.0.0.1",  # where the twin's Slack is
        **by_module,
        **front,
    )


def test_the_first_alert_arrives_once_the_webhook_stands_in_its_secret(
    deployed: Callable[[], Any], cloud: Any, later: Any
) -> None:
    house = deployed()
    job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
    assert house.hear(failure_line(cloud, job)) == 200
    assert cloud.slack.messages == []
    cloud.secrets[SECRET] = cloud.slack.webhook + "\n"  # as `echo` would leave it
    later(minutes=10)
    house.reconcile()
    (told,) = cloud.slack.messages
    assert told.text.startswith("Observed: ")
    assert cloud.creates() == []


def test_a_preview_goes_the_same_way(
    deployed: Callable[[], Any], cloud: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed()
    cloud.secrets[SECRET] = cloud.slack.webhook
    case = str(ROOT / "tests" / "cases" / "cpus-full-at-time-out.json")
    policies = ["--policies", str(ROOT / "policies.yaml")]
    code = main(["alert", "preview", case, "--channel", "ml-oncall", "--send", *policies])
    assert code == 0, capsys.readouterr().err
    assert len(cloud.slack.messages) == 1
