#!/usr/bin/env bash
# Guess: `CustomJob.run()` and `BatchPredictionJob.create(sync=True)`, which wait for the job's end, return or raise in
#   each state that a job cannot leave any more.
# Seen: they know four of them. JOB_STATE_EXPIRED (the job's own time-out, or no resources in time) and
#   JOB_STATE_PARTIALLY_SUCCEEDED are no end to them: the job is asked for its state every five seconds for good.
# Versions: google-cloud-aiplatform 2.7.0, proto-plus 1.29.0, protobuf 7.36.2, Python 3.11; 2026-12-01. Asked every
#   0.02 s here.
# So: the step that waits (an Airflow task, a notebook, a CI job) is killed by its own limit, hours after the job's end,
#   and its failure reads like a slow job. Compare the job's `endTime` before a longer time-out is given to anybody.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-aiplatform==2.7.0 proto-plus==1.29.0 protobuf==7.36.2 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import http.server
import json
import logging
import os
import threading

HOME = "projects/1/locations/us-central1"
ended_as = []
asked = []


class Vertex(http.server.BaseHTTPRequestHandler):
    def answer(self, document):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def do_GET(self):
        kind = self.path.split("?")[0].split("/")[-2]
        if kind == "models":
            self.answer({"name": f"{HOME}/models/5"})
            return
        asked.append(kind)
        self.answer({"name": f"{HOME}/{kind}/7", "state": ended_as[0], "error": {"code": 4, "message": "over"}})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        kind = self.path.split("?")[0].split("/")[-1]
        self.answer({"name": f"{HOME}/{kind}/7", "state": "JOB_STATE_PENDING"})

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vertex)
threading.Thread(target=server.serve_forever, daemon=True).start()

from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud.aiplatform import jobs

logging.disable(logging.CRITICAL)
jobs._JOB_WAIT_TIME = 0.02
aiplatform.init(
    project="1",
    location="us-central1",
    credentials=AnonymousCredentials(),
    api_endpoint=f"http://127.0.0.1:{server.server_port}",
    api_transport="rest",
    staging_bucket="gs://lab",
)


def predict():
    aiplatform.BatchPredictionJob.create(
        job_display_name="predict",
        model_name=f"{HOME}/models/5",
        instances_format="jsonl",
        predictions_format="jsonl",
        gcs_source="gs://lab/in",
        gcs_destination_prefix="gs://lab/out",
    )


def train():
    pool = {"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1, "container_spec": {"image_uri": "i"}}
    aiplatform.CustomJob(display_name="train", worker_pool_specs=[pool]).run()


def wait(call, state):
    ended_as[:] = [f"JOB_STATE_{state}"]
    asked.clear()
    result = ["waits"]

    def run():
        try:
            call()
            result[0] = "returns"
        except RuntimeError:
            result[0] = "raises"

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(4)
    print(f"{call.__name__}, {state}: {result[0]}; asked {len(asked)} time(s)", flush=True)
    seen = result[0] if result[0] != "waits" or len(asked) > 10 else "stuck"
    ended_as[:] = ["JOB_STATE_SUCCEEDED"]  # lets the thread that waits go
    thread.join()
    return seen


seen = [
    [wait(predict, state) for state in ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED", "PARTIALLY_SUCCEEDED")],
    [wait(train, state) for state in ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")],
]
expected = ["returns", "raises", "raises", "waits", "waits"]
os._exit(seen != [expected, expected[:4]])
PYTHON
