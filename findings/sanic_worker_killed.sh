#!/usr/bin/env bash
# Guess: when the kernel kills Sanic's only worker (SIGKILL, as for memory), its manager notices and starts
#   another, as gunicorn and uWSGI do, or ends.
# Seen: nothing. The manager writes no line and starts nobody; the port stays open, so a request connects
#   and is never answered: a time-out after ten minutes, and a log that ends with "Worker ready".
# Versions: sanic 25.12.1, Python 3.11; 2026-11-29.
# So: behind a prediction service this is a bare 504 (`elapsed=600…`) over a worker that memory killed, and
#   no text can tell. A log that ends with the server's start while every request times out says as much.
set -euo pipefail
folder="$(mktemp -d)"
server=""
trap '[ -z "$server" ] || kill -9 -- "-$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  sanic==25.12.1 || exit 2
cd "$folder"

cat >serve.py <<'PYTHON'
import os

from sanic import Sanic, json

app = Sanic("churn")


@app.get("/health")
async def health(request):
    return json({})


if __name__ == "__main__":
    app.run("127.0.0.1", int(os.environ["PORT"]), workers=1)
PYTHON
export PORT
PORT="$("$folder/venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
setsid "$folder/venv/bin/python" serve.py >log 2>&1 &
server=$!
"$folder/venv/bin/python" - "$server" <<'PYTHON'
import os
import re
import signal
import sys
import time
import urllib.request

URL = f"http://127.0.0.1:{os.environ['PORT']}/health"


def status(seconds):
    try:
        with urllib.request.urlopen(URL, timeout=seconds) as answer:
            return answer.status
    except TimeoutError:
        return "no answer"
    except OSError as error:
        return type(getattr(error, "reason", error)).__name__


for _ in range(100):
    if status(2) == 200:
        break
    time.sleep(0.3)
else:
    sys.exit(2)
time.sleep(3)
with open("log") as file:
    before = file.read()
ready = re.search(r"Worker ready \[(\d+)\]", before)
if ready is None:
    print(before)
    sys.exit(2)
worker = int(ready[1])
os.kill(worker, signal.SIGKILL)
time.sleep(8)
after = status(6)
with open("log") as file:
    new = file.read()[len(before):].strip()
os.kill(int(sys.argv[1]), 0)
print("the manager still runs; new lines in its log:", repr(new))
print("a request after the worker's death:", after)
sys.exit(after not in ("no answer", "TimeoutError") or "ready" in new)
PYTHON
