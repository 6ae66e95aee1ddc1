#!/usr/bin/env bash
# Guess: `client.list_entries(filter_=…)` of google-cloud-logging sends the filter as it is given.
# Seen: where the filter holds no `timestamp`, the client adds one: `AND timestamp>="…"`, 24 hours ago.
#   What was asked is in the request that goes out; the answer is empty, not an error.
# Versions: google-cloud-logging 3.17.0, Python 3.11; 2026-11-29.
# So: the log of a job that failed on Friday is empty on Monday, and an empty log is easily taken for a
#   cause (nothing was written, the disk was full, the machine was lost). Ask with the job's own times.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-logging==3.17.0 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import datetime
import http.server
import json
import re
import sys
import threading

from google.auth.credentials import AnonymousCredentials
from google.cloud import logging

asked = []


class Logging(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["filter"])
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *ignored):
        """No line for each request."""


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Logging)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = logging.Client(
    project="lab",
    credentials=AnonymousCredentials(),
    _use_grpc=False,
    client_options={"api_endpoint": f"http://127.0.0.1:{server.server_port}"},
)
job = 'resource.labels.job_id="1"'
timed = f'{job} AND timestamp>="2026-11-01T00:00:00Z"'
for wanted in (job, timed):
    list(client.list_entries(filter_=wanted))
    print("asked by us:    ", wanted)
    print("asked by client:", asked[-1])
added = re.fullmatch(re.escape(job) + r' AND timestamp>="([^"]+)"', asked[0])
if added is None:
    sys.exit(1)
since = datetime.datetime.strptime(added[1], "%Y-%m-%dT%H:%M:%S.%f%z")
hours = (datetime.datetime.now(datetime.timezone.utc) - since).total_seconds() / 3600
print(f"hours looked back: {hours:.1f}")
sys.exit(not 23.9 < hours < 24.1 or asked[1] != timed)
PYTHON
