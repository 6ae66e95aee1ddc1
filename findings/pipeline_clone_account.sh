#!/usr/bin/env bash
# Guess: `PipelineJob.get(…).clone().submit()`, the client's own way to run a failed pipeline again, sends what the
#   failed run had: account, network, labels, parameters, failure policy.
# Seen: labels, parameters and failure policy are sent; `serviceAccount`, `network` and `reservedIpRanges` are not,
#   without a word: they are arguments of `submit()`, which knows nothing of the original. `templateUri` is gone too.
# Versions: google-cloud-aiplatform 2.7.0, proto-plus 1.29.0, protobuf 7.36.2, Python 3.11; 2026-12-01.
# So: the second run is one of the default account (Compute Engine's), on no network of its own: a step that passed
#   dies of "permission denied", or cannot reach a private address, and that failure is not the first one's. Give
#   `submit()` the original's account and network, or send the job's own document as this product does.
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
import sys
import threading

HOME = "projects/1/locations/us-central1"
FAILED = {
    "name": f"{HOME}/pipelineJobs/train-1",
    "displayName": "train",
    "state": "PIPELINE_STATE_FAILED",
    "labels": {"team": "genomics"},
    "serviceAccount": "trainer@lab.iam.gserviceaccount.com",
    "network": "projects/1/global/networks/private",
    "reservedIpRanges": ["training"],
    "templateUri": "https://us-kfp.pkg.dev/lab/pipelines/train/v1",
    "runtimeConfig": {
        "gcsOutputDirectory": "gs://lab/root",
        "failurePolicy": "PIPELINE_FAILURE_POLICY_FAIL_FAST",
        "parameterValues": {"epochs": 3},
    },
    "pipelineSpec": {
        "schemaVersion": "2.1.0",
        "pipelineInfo": {"name": "train"},
        "deploymentSpec": {"executors": {}},
        "root": {
            "dag": {"tasks": {}},
            "inputDefinitions": {"parameters": {"epochs": {"parameterType": "NUMBER_INTEGER"}}},
        },
    },
}
created = []


class Vertex(http.server.BaseHTTPRequestHandler):
    def answer(self, document):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(document).encode())

    def do_GET(self):  # the failed pipeline, or the bucket of its outputs
        self.answer(FAILED if "/pipelineJobs/" in self.path else {"name": "lab", "projectNumber": "1"})

    def do_POST(self):
        created.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.answer({**created[-1], "name": f"{HOME}/pipelineJobs/train-2", "state": "PIPELINE_STATE_PENDING"})

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vertex)
threading.Thread(target=server.serve_forever, daemon=True).start()
address = f"http://127.0.0.1:{server.server_port}"
os.environ["STORAGE_EMULATOR_HOST"] = address

from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform

logging.disable(logging.CRITICAL)
aiplatform.init(
    project="1",
    location="us-central1",
    credentials=AnonymousCredentials(),
    api_endpoint=address,
    api_transport="rest",
)
aiplatform.PipelineJob.get(FAILED["name"]).clone(job_id="train-2").submit()
server.shutdown()
(sent,) = created
LOST = ["serviceAccount", "network", "reservedIpRanges", "templateUri"]
for key in ["labels", *LOST]:
    print(f"{key}: {FAILED[key]}, sent: {sent.get(key)}")
print(f"runtimeConfig: sent: {sent['runtimeConfig']}")
sys.exit(
    not (
        sent["labels"] == FAILED["labels"]
        and sent["runtimeConfig"]["parameterValues"] == {"epochs": 3}
        and sent["runtimeConfig"]["failurePolicy"] in (2, "PIPELINE_FAILURE_POLICY_FAIL_FAST")
        and not any(sent.get(key) for key in LOST)
    )
)
PYTHON
