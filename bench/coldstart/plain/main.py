"""The function as one would write it first: the high-level SDKs at the top, read, post, done.

What `bench/coldstart/run.py` compares with. It does what many such functions do: reads the job, its
errors in the log, its CPU and memory, and tells Slack. It keeps no ledger and decides nothing.
"""

import base64
import json
import os
import urllib.request
from datetime import UTC, datetime, timedelta

import functions_framework
from google.cloud import aiplatform, logging, monitoring_v3, storage

PROJECT = os.environ["GOOGLE_CLOUD_PROJECT"]
METRICS = ("cpu/utilization", "memory/utilization")


@functions_framework.cloud_event
def remediate(event):
    entry = json.loads(base64.b64decode(event.data["message"]["data"]))
    job_id, location = entry["resource"]["labels"]["job_id"], "us-central1"
    aiplatform.init(project=PROJECT, location=location)
    job = aiplatform.CustomJob.get(f"projects/{PROJECT}/locations/{location}/customJobs/{job_id}")

    since = (datetime.now(UTC) - timedelta(days=2)).isoformat()
    log = logging.Client(project=PROJECT)
    query = f'resource.labels.job_id="{job_id}" AND timestamp>="{since}"'
    lines = [str(e.payload) for e in log.list_entries(filter_=query, max_results=1000)]

    metrics = monitoring_v3.MetricServiceClient()
    now = datetime.now(UTC)
    interval = monitoring_v3.TimeInterval(start_time=now - timedelta(days=2), end_time=now)
    highest = {}
    for name in METRICS:
        found = metrics.list_time_series(
            name=f"projects/{PROJECT}",
            filter=(
                f'metric.type="ml.googleapis.com/training/{name}" '
                f'AND resource.type="cloudml_job" AND resource.labels.job_id="{job_id}"'
            ),
            interval=interval,
            view=monitoring_v3.ListTimeSeriesRequest.TimeSeriesView.FULL,
        )
        values = [p.value.double_value for series in found for p in series.points]
        highest[name] = max(values, default=0.0)

    bucket = storage.Client(project=PROJECT).bucket("lab-out")
    text = f"{job.display_name} {job.state.name}: {job.error.message}\n{highest}\n{bucket.path}\n"
    body = json.dumps({"text": text + "\n".join(lines[:5])}).encode()
    request = urllib.request.Request(
        os.environ["SLACK_WEBHOOK_URL"], body, {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=30).read()
