"""A deployment with seeded faults, for the tests of the doctor."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from remediator.cli.main import main
from remediator.intake import sink_filter
from tests.stories.conftest import POLICIES

NAME = "vertex-remediator"


TRAINER = "trainer@genomics-lab.iam.gserviceaccount.com"


Examine = Callable[..., tuple[int, Any]]


def examiner(cloud: Any, capsys: pytest.CaptureFixture[str]) -> Examine:
    """What runs `doctor` with the options given: its exit code, and its text or JSON."""

    def call(*more: str) -> tuple[int, Any]:
        arguments = ["doctor", "--account", cloud.account, "--event-seconds", "60", *more]
        code = main(arguments)
        said = capsys.readouterr().out
        return code, json.loads(said) if "--json" in more else said

    return call


def service(cloud: Any, door: str) -> dict[str, Any]:
    found: dict[str, Any] = cloud.deployment.functions[f"{NAME}-{door}"]["serviceConfig"]
    return found


def problems_of(told: dict[str, Any]) -> dict[str, str]:
    return {one["check"]: one["says"] for one in told["checks"] if one["status"] == "problem"}


OTHER = "vertex-remediator-worker@genomics-lab.iam.gserviceaccount.com"


RESUMED = "genomics-lab.resumed"


LIMITED = POLICIES.replace(
    "attempts: 3,", "attempts: 3, accelerators: [NVIDIA_TESLA_T4, NVIDIA_L4],"
)


def rest_by_proxy(cloud: Any) -> dict[str, str]:
    """What is asked by REST goes to Google's own addresses through the twin's front door."""
    wanted = ("https_proxy", "no_proxy", "REQUESTS_CA_BUNDLE", "GCE_METADATA_HOST")
    return {key: value for key, value in cloud.proxied_env().items() if key in wanted}


def deploy(open_house: Callable[..., Any], cloud: Any) -> Any:
    """A healthy deployment whose sink leads to the served function."""
    resume = {
        "REMEDIATOR_RESUME_BUCKET": "gs://lab-resume/parts",
        "REMEDIATOR_RESUME_DATASET": RESUMED,
    }
    house = open_house(LIMITED, **rest_by_proxy(cloud), **resume)
    cloud.storage.bucket("lab-resume")
    writes = {"role": "WRITER", "userByEmail": cloud.account}
    cloud.deployment.datasets[RESUMED] = {"location": "us-central1", "access": [writes]}
    cloud.deployment.stand_up(NAME, sink_filter=sink_filter(cloud.account), region="us-central1")
    held = cloud.deployment.functions[f"{NAME}-remediate"]["serviceConfig"]
    held["environmentVariables"]["REMEDIATOR_SERVICE_ACCOUNTS"] = f"default,{TRAINER}"
    cloud.deployment.accounts = {TRAINER}
    cloud.desk.iam.acts_as = {TRAINER}
    cloud.deployment.quotas = {
        "custom_model_training_cpus": 42,
        **{
            f"custom_model_{use}_nvidia_{device}_gpus": 4
            for use in ("training", "serving")
            for device in ("t4", "l4")
        },
    }
    house.reconcile()

    def route(entry: dict[str, Any]) -> None:
        """Delivered before the write is answered: nothing is waited for."""
        if "vertex-remediator-job-failures" in entry["logName"] and getattr(cloud, "routes", True):
            house.hear(entry)

    cloud.logs.listeners.append(route)
    return house
