"""Uses every client once, on Google's own addresses, and prints what each brought as JSON.

Run in a process of its own by `test_google_endpoints`: proxies, certificate authorities and the
metadata server are read from the environment once in a process.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta

from remediator.cloud import metadata, secrets
from remediator.cloud.logs import Logs
from remediator.cloud.metrics import Metrics
from remediator.cloud.pubsub import PubSub
from remediator.cloud.storage import Storage
from remediator.cloud.vertex import Vertex
from remediator.domain import JobName, RemediatorError

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)


def main(job_name: str, timeout_seconds: float) -> dict[str, object]:
    """What each client brought; an error by its text."""
    project = metadata.project_id()
    job = Vertex().get(JobName.parse(job_name), timeout_seconds=timeout_seconds)
    logs, metrics, storage, pubsub = Logs(), Metrics(), Storage(), PubSub()
    query = logs.job_filter(job.name, (), NOW - timedelta(hours=2), NOW)
    return {
        "project": [project, metadata.project_number(), metadata.region()],
        "account": metadata.service_account(),
        "job": job.state.value,
        "lines": len(logs.entries(project, query, limit=10)),
        "series": len(metrics.series(job)),
        "bucket": storage.bucket_location("far-data"),
        "secret": secrets.resolve("secret:hook", project=project, environ=os.environ),
        "message": pubsub.publish(f"projects/{project}/topics/outcomes", b"{}", ordering_key="1"),
    }


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(main(sys.argv[1], float(sys.argv[2]))))
    except RemediatorError as err:
        sys.stdout.write(json.dumps({"error": type(err).__name__, "text": str(err)}))
