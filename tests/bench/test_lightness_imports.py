"""What is loaded, and when: an irrelevant entry pays for no Google client, a failure for few."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench.coldstart.run import POLICIES, event, starved_job
from twin.cloud import Cloud

ROOT = Path(__file__).resolve().parents[2]
_PROCESS = """
import json, sys
import functions_framework
client = functions_framework.create_app("remediate", "main.py").test_client()
loaded = []
for body, headers in json.loads(sys.stdin.read()):
    assert client.post("/", json=body, headers=headers).status_code == 200
    loaded.append(sorted(sys.modules))
print(json.dumps(loaded), file=sys.stderr)
"""
_PACKAGES = (  # each imports far more than the messages that are needed
    "google.cloud.aiplatform",
    "google.cloud.aiplatform_v1",
    "google.cloud.logging_v2",
    "google.cloud.logging",
    "google.cloud.monitoring_v3",
    "google.cloud.firestore_v1",
    "google.cloud.storage",
    "google.cloud.secretmanager_v1",
    "google.pubsub_v1",
    "pandas",
    "numpy",
)
_NOT_FOR_IGNORED = ("grpc", "google.auth", "google.protobuf", "requests", "sqlite3", "cel")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> list[frozenset[str]]:
    """The modules of a fresh process after an irrelevant event, and after a handled one."""
    folder = tmp_path_factory.mktemp("light")
    (folder / "policies.yaml").write_text(POLICIES)
    with Cloud(frozen=True) as cloud:
        failure: Any = event(cloud, starved_job(cloud))
        nothing: Any = event(cloud, starved_job(cloud))
        entry = {"logName": "projects/lab/logs/syslog", "resource": {"type": "gce_instance"}}
        nothing[0]["message"]["data"] = base64.b64encode(json.dumps(entry).encode()).decode()
        environment = cloud.env(
            PATH="/usr/bin:/bin",
            REMEDIATOR_POLICIES=str(folder / "policies.yaml"),
            REMEDIATOR_LEDGER=f"sqlite:///{folder}/ledger.sqlite3",
        )
        done = subprocess.run(
            [sys.executable, "-c", _PROCESS],
            cwd=ROOT,
            env=environment,
            input=json.dumps([nothing, failure]),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert len(cloud.calls("*.CreateCustomJob")) == 1
        assert "malformed" not in done.stderr
    return [frozenset(names) for names in json.loads(done.stderr.splitlines()[-1])]


def test_an_irrelevant_event_loads_no_client_of_any_kind(loaded: list[frozenset[str]]) -> None:
    assert loaded[0] & {*_PACKAGES, *_NOT_FOR_IGNORED} == set()


def test_a_handled_failure_loads_no_package_of_googles_whole(loaded: list[frozenset[str]]) -> None:
    assert loaded[1] & set(_PACKAGES) == set()


def test_a_handled_failure_loads_the_messages_of_the_services_it_asks(
    loaded: list[frozenset[str]],
) -> None:
    wanted = {
        "google.cloud.aiplatform_v1.types.custom_job",
        "google.cloud.logging_v2.types.logging",
        "google.cloud.monitoring_v3.types.metric_service",
    }
    assert wanted <= loaded[1]
    assert not any(".services." in name for name in loaded[1] if name.startswith("google.cloud"))
