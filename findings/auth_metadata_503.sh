#!/usr/bin/env bash
# Guess: `google.auth.default()` whose metadata server answers 503 raises a TransportError that names the metadata
#   server or the 503.
# Seen: one request, no second, and `DefaultCredentialsError: Your default credentials were not found. To set up
#   Application Default Credentials, …`, the same words as where there is no metadata server and no key at all. The
#   503 stands nowhere, and 429 and 404 read the same. A 503 half a second later, when the token is fetched, is
#   tried again, and then named.
# Versions: google-auth 2.63.0, requests 2.34.2, Python 3.11; 2026-12-01.
# So: "default credentials were not found" from a job that has a service account may be a metadata server that was
#   out for a moment: the same job, run again, passes. A second failure of the same words is one of the set-up.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-auth==2.63.0 requests==2.34.2 || exit 2
cd "$folder"

env -u GOOGLE_APPLICATION_CREDENTIALS HOME="$folder" CLOUDSDK_CONFIG="$folder/none" venv/bin/python - <<'PYTHON'
import http.server
import json
import os
import sys
import threading

requests_seen = []
answers = []  # the status of each answer; the last one holds for all that follow


class Metadata(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        requests_seen.append(self.path.split("?")[0])
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        body = {"access_token": "t", "expires_in": 3600, "token_type": "Bearer", "email": "a@b", "scopes": []}
        if self.path.endswith("project-id"):
            body = "lab"
        self.send_response(status)
        self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Type", "application/json" if isinstance(body, dict) else "text/plain")
        self.end_headers()
        self.wfile.write((json.dumps(body) if isinstance(body, dict) else body).encode() if status == 200 else b"busy")

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["GCE_METADATA_HOST"] = os.environ["GCE_METADATA_IP"] = f"127.0.0.1:{server.server_port}"

import google.auth
import google.auth.transport.requests


def ask(name, *statuses):
    requests_seen.clear()
    answers[:] = statuses
    try:
        credentials, _ = google.auth.default()
        credentials.refresh(google.auth.transport.requests.Request())
        kind, words = "no error", ""
    except google.auth.exceptions.GoogleAuthError as error:
        kind, words = type(error).__name__, str(error)
    print(f"{name}: {len(requests_seen)} request(s), {kind} {words[:60]}{'…' * (len(words) > 60)}")
    return kind, words, len(requests_seen)


well = ask("200", 200)
at_once = [ask(str(status), status) for status in (503, 429, 404)]
later = ask("200 twice, then 503", 200, 200, 503)
server.shutdown()
sys.exit(
    not (
        well[0] == "no error"
        and all(kind == "DefaultCredentialsError" and asked == 1 for kind, _, asked in at_once)
        and all(words == at_once[0][1] and "default credentials were not found" in words for _, words, _ in at_once)
        and not any(word in at_once[0][1].lower() for word in ("503", "metadata", "busy"))
        and later[0] in ("RefreshError", "TransportError")
        and later[2] > 3
        and "503" in later[1]
    )
)
PYTHON
