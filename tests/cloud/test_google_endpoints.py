"""No endpoint setting at all: Google's addresses, a proxy, a private authority, a metadata server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cloud.conftest import custom_job
from tests.cloud.test_logs_and_metrics import series, worker_line
from twin.cloud import Cloud

ROOT = Path(__file__).resolve().parents[2]
DROPPED = ("PROXY", "SSL", "CA_BUNDLE", "CERT", "GCE_", "GOOGLE", "GRPC", "EMULATOR", "CLOUDSDK")


def use_every_hand(
    cloud: Cloud, tmp_path: Path, keep: set[str], *, timeout_seconds: float = 20.0
) -> dict[str, object]:
    """What the clients bring in a process that has only these of the twin's variables."""
    name = cloud.name("customJobs", "77")
    cloud.add_job(custom_job(name))
    cloud.log(worker_line(1))
    cloud.metrics.add(series("cpu/utilization", [0.5]))
    cloud.storage.bucket("far-data", "europe-west4")
    cloud.secrets["hook"] = "https://hooks.example/1\n"
    outer = {k: v for k, v in os.environ.items() if not any(d in k.upper() for d in DROPPED)}
    env = {k: v for k, v in cloud.proxied_env().items() if k in keep}
    done = subprocess.run(
        [sys.executable, "-m", "tests.cloud.google_client", name, str(timeout_seconds)],
        cwd=ROOT,
        env={**outer, **env, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    "authority",
    [
        {"SSL_CERT_FILE"},
        {"REQUESTS_CA_BUNDLE"},
        {"SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"},
    ],
    ids=lambda names: "+".join(sorted(names)),
)
def test_every_hand_works_behind_a_proxy_with_a_private_authority(
    cloud: Cloud, tmp_path: Path, authority: set[str]
) -> None:
    keep = {"https_proxy", "GCE_METADATA_HOST", *authority}
    assert use_every_hand(cloud, tmp_path, keep) == {
        "project": ["genomics-lab", "471108150815", "us-central1"],
        "account": "remediator@genomics-lab.iam.gserviceaccount.com",
        "job": "FAILED",
        "lines": 1,
        "series": 1,
        "bucket": "EUROPE-WEST4",
        "secret": "https://hooks.example/1",
        "message": "1",
    }
    # The calls bore the function's own credentials, through Google's front door.
    assert {call.principal for call in cloud.calls("JobService.*")} == {cloud.account}
    assert "us-central1-aiplatform.googleapis.com" in cloud._front.asked


def test_an_authority_that_nobody_named_is_not_trusted(cloud: Cloud, tmp_path: Path) -> None:
    keep = {"https_proxy", "GCE_METADATA_HOST"}
    found = use_every_hand(cloud, tmp_path, keep, timeout_seconds=2.0)
    assert found["error"] == "TransientError"
    assert cloud.calls("JobService.*") == []
