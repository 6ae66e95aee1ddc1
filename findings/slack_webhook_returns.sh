#!/usr/bin/env bash
# Guess: `WebhookClient.send` raises where Slack refuses or fails, as `WebClient` does with
#   `SlackApiError`, and waits and tries again after a 429.
# Seen: it returns. A 404, a 429 with `Retry-After` and a 503 all come back as a `WebhookResponse` after
#   one request; only its `status_code` tells.
# Versions: slack_sdk 3.48.0, Python 3.11; 2026-11-29.
# So: an alert sent in a `try` is lost without a word when the webhook was taken away or too many alerts
#   came at once. Whoever sends must look at `status_code` and heed `Retry-After`, as alerts/slack.py does.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  slack_sdk==3.48.0 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import http.server
import sys
import threading

from slack_sdk.webhook import WebhookClient

asked = []


class Slack(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        asked.append(self.path)
        self.send_response(int(self.path.strip("/")))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(b"no_service")

    def log_message(self, *ignored):
        """No line for each request."""


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slack)
threading.Thread(target=server.serve_forever, daemon=True).start()
seen = []
for status in (404, 429, 503):
    asked.clear()
    answer = WebhookClient(f"http://127.0.0.1:{server.server_port}/{status}").send(text="a job failed")
    seen.append((answer.status_code, answer.body, len(asked)))
    print(f"{status}: returned {answer.status_code} {answer.body!r} after {len(asked)} request(s)")
sys.exit(seen != [(status, "no_service", 1) for status in (404, 429, 503)])
PYTHON
