"""Google's own addresses, reached through the twin's proxy with no endpoint setting at all.

A process of its own asks, since the variables are read when Google's libraries are loaded.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

from tests.waiting import HANG_SECONDS
from twin.cloud import Cloud
from twin.physics import Needs, Section

ASK = """
import json
import google.auth
from google.cloud import aiplatform_v1, logging_v2, monitoring_v3, secretmanager_v1, storage
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client

credentials, project = google.auth.default()
jobs = aiplatform_v1.JobServiceClient(
    client_options={"api_endpoint": "us-central1-aiplatform.googleapis.com"}
)
found = list(jobs.list_custom_jobs(parent=f"projects/{project}/locations/us-central1", timeout=20))
entries = LoggingServiceV2Client().list_log_entries(
    request={"resource_names": [f"projects/{project}"], "filter": 'textPayload="Job failed."'},
    timeout=20,
)
series = monitoring_v3.MetricServiceClient().list_time_series(
    request={
        "name": f"projects/{project}",
        "filter": 'metric.type="ml.googleapis.com/training/cpu/utilization"',
        "interval": {"start_time": {"seconds": 1}, "end_time": {"seconds": 4000000000}},
    },
    timeout=20,
)
secret = secretmanager_v1.SecretManagerServiceClient().access_secret_version(
    name=f"projects/{project}/secrets/HOOK/versions/latest", timeout=20
)
bucket = storage.Client().get_bucket("far", timeout=20)
big = storage.Client().bucket("far").blob("big").download_as_bytes(timeout=20)
print(json.dumps({
    "project": project,
    "jobs": [job.name for job in found],
    "entries": len(list(entries)),
    "series": len(list(series)),
    "secret": secret.payload.data.decode(),
    "bucket": bucket.location,
    "big": len(big),
}))
"""


def ask(cloud: Cloud, code: str) -> subprocess.CompletedProcess[str]:
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, **cloud.proxied_env()},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def test_googles_clients_reach_the_twin_by_their_default_addresses(cloud: Cloud) -> None:
    body = {
        "displayName": "x",
        "jobSpec": {"workerPoolSpecs": [{"machineSpec": {"machineType": "n1-standard-8"}}]},
    }
    needs = Needs(raises="ValueError: x", sections=(Section("work", cpu_seconds=8 * 1200),))
    job = cloud.past_job("customJobs", body, needs)
    cloud.secrets["HOOK"] = "old"
    cloud.secrets["HOOK"] = "https://hooks.example/new"
    cloud.storage.bucket("far", "EUROPE-WEST4")
    cloud.storage.put("far", "big", b"x" * 3_000_000)
    done = ask(cloud, ASK)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout) == {
        "project": cloud.project,
        "jobs": [job["name"]],
        "entries": 1,
        "series": 1,
        "secret": "https://hooks.example/new",
        "bucket": "EUROPE-WEST4",
        "big": 3_000_000,
    }
    callers = {call.principal for call in cloud.calls("*.List*")}
    assert callers == {cloud.account}
    assert cloud.calls("metadata.token")


def test_nothing_leaves_the_machine_through_the_proxy(cloud: Cloud) -> None:
    port = int(cloud.proxied_env()["https_proxy"].rpartition(":")[2])
    for host in ("example.com", "aiplatform.googleapis.com.evil.example"):
        with socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS) as client:
            client.sendall(f"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            assert client.recv(100).startswith(b"HTTP/1.1 403")
