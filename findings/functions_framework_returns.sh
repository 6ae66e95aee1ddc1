#!/usr/bin/env bash
# Guess: a function under `@functions_framework.cloud_event` answers as one under `http` does: what it
#   returns is the response, so `("…", 503)` asks Eventarc and Pub/Sub to deliver again.
# Seen: what it returns is dropped, and the answer is `200 OK`: the message is acknowledged and gone. Only
#   an exception gives a 500.
# Versions: functions-framework 3.10.2, Python 3.11; 2026-11-29.
# So: a function that is not done must raise to get its event again; `main.py` leaves through
#   `flask.abort` for that reason.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  functions-framework==3.10.2 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

from functions_framework import create_app

SOURCE = """
import functions_framework

@functions_framework.cloud_event
def returns(event):
    return ("not yet", 503)

@functions_framework.cloud_event
def raises(event):
    raise RuntimeError("not yet")
"""
with open("handlers.py", "w") as file:
    file.write(SOURCE)
EVENT = {
    "ce-id": "1",
    "ce-source": "//pubsub.googleapis.com/projects/lab/topics/failures",
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    "ce-specversion": "1.0",
    "Content-Type": "application/json",
}
seen = {}
for name in ("returns", "raises"):
    app = create_app(name, "handlers.py", "cloudevent")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    seen[name] = app.test_client().post("/", headers=EVENT, data='{"message": {"data": "e30="}}')
    print(f"{name}: {seen[name].status}")
changed = (seen["returns"].status_code, seen["returns"].data) != (200, b"OK")
sys.exit(changed or seen["raises"].status_code != 500)
PYTHON
