#!/usr/bin/env bash
# Guess: `HttpOptions(timeout=60)` of the Gemini SDK gives a call 60 seconds, as `timeout=` of Google's other clients
#   does.
# Seen: they are milliseconds: a call that is answered after half a second dies of `ReadTimeout: timed out` after 0.06.
#   The server is told `X-Server-Timeout: 1`, rounded up, and works on. Nothing is tried again: one request went out.
# Versions: google-genai 3.6.1, httpx2 2.16.2, Python 3.11; 2026-12-01.
# So: each call of such a job fails at once, with the words of a slow network or a slow model; no region, machine or
#   retry mends it. A time-out far below a second beside a client of Gemini is this unit.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-genai==3.6.1 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import http.server
import json
import sys
import threading
import time

told = []


class Gemini(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        told.append(self.headers["X-Server-Timeout"])
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        time.sleep(0.5)
        body = json.dumps({"candidates": [{"content": {"role": "model", "parts": [{"text": "yes"}]}}]}).encode()
        try:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gemini)
threading.Thread(target=server.serve_forever, daemon=True).start()

from google import genai
from google.genai import types

seen = []
for timeout in (60, 60_000):
    told.clear()
    options = types.HttpOptions(base_url=f"http://127.0.0.1:{server.server_port}", timeout=timeout)
    client = genai.Client(api_key="none", http_options=options)
    began = time.monotonic()
    try:
        answer = client.models.generate_content(model="gemini-2.5-flash", contents="Is it so?").text
    except Exception as error:
        answer = f"{type(error).__name__}: {error}"
    print(f"timeout={timeout}: {answer} after {time.monotonic() - began:.2f} s; the server was told {told}")
    seen.append((answer, list(told)))
sys.exit(seen != [("ReadTimeout: timed out", ["1"]), ("yes", ["60"])])
PYTHON
