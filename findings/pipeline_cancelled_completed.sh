#!/usr/bin/env bash
# Guess: `PipelineJob.wait()` (and `run()`) raises where the pipeline was cancelled, as `CustomJob` does and as it does
#   itself where the pipeline failed.
# Seen: it returns, and the last line of the log is "PipelineJob run completed". Only PIPELINE_STATE_FAILED is an error
#   to it; a pipeline that is PAUSED is complete as well.
# Versions: google-cloud-aiplatform 2.7.0, proto-plus 1.29.0, protobuf 7.36.2, Python 3.11; 2026-12-01.
# So: whoever stops a pipeline by hand lets the deployment behind it go on, over last week's model and with exit code 0.
#   "run completed" in a launcher's log is no success: compare `job.state` after the wait.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-aiplatform==2.7.0 proto-plus==1.29.0 protobuf==7.36.2 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import http.server
import io
import json
import logging
import sys
import threading

NAME = "projects/1/locations/us-central1/pipelineJobs/train-7"
state = []


class Vertex(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        job = {"name": NAME, "state": state[0], "pipelineSpec": {"pipelineInfo": {"name": "train"}}}
        if state[0] in ("PIPELINE_STATE_FAILED", "PIPELINE_STATE_CANCELLED"):
            job["error"] = {"code": 1, "message": "The pipeline has ended."}
        self.wfile.write(json.dumps(job).encode())

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Vertex)
threading.Thread(target=server.serve_forever, daemon=True).start()

from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform

log = io.StringIO()
logging.getLogger("google.cloud.aiplatform").addHandler(logging.StreamHandler(log))
aiplatform.init(
    project="1",
    location="us-central1",
    credentials=AnonymousCredentials(),
    api_endpoint=f"http://127.0.0.1:{server.server_port}",
    api_transport="rest",
)
seen = {}
for name in ("SUCCEEDED", "FAILED", "CANCELLED", "PAUSED"):
    state[:] = [f"PIPELINE_STATE_{name}"]
    log.truncate(0)
    log.seek(0)
    try:
        aiplatform.PipelineJob.get(NAME).wait()
        seen[name] = "completed" if "run completed" in log.getvalue() else "returned"
    except RuntimeError as error:
        seen[name] = "raised"
    print(f"{name}: {seen[name]}: {log.getvalue().strip().splitlines()[-1:]}")
sys.exit(seen != {"SUCCEEDED": "completed", "FAILED": "raised", "CANCELLED": "completed", "PAUSED": "completed"})
PYTHON
