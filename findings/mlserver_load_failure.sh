#!/usr/bin/env bash
# Guess: `mlserver start` ends with an exit code other than 0 when its only model raises in `load` (its weights
#   are not there); while the model loads, "ready" is answered 503.
# Seen: it says "Couldn't load model", shuts down in good order and ends with exit code 0. While the model
#   loads it answers: ready 400, and inference `400 Model … is not ready yet.`
# Versions: mlserver 1.7.1, Python 3.11; 2026-11-30.
# So: the container looks like one that was told to stop; nothing starts it anew that goes by the exit code.
#   The cause is the first traceback, before the orderly end. And 400 beside "is not ready yet" is a server
#   that still loads, no bad request.
set -euo pipefail
folder="$(mktemp -d)"
server=""
trap '[ -z "$server" ] || kill -9 -- "-$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  mlserver==1.7.1 uvicorn==0.54.0 fastapi==0.115.14 || exit 2
cd "$folder"

mkdir model
cat >model/ranker.py <<'PYTHON'
import asyncio

from mlserver import MLModel


class Ranker(MLModel):
    async def load(self) -> bool:
        await asyncio.sleep(8)
        raise FileNotFoundError("weights.bin")
PYTHON
echo '{"name": "ranker", "implementation": "ranker.Ranker"}' >model/model-settings.json
"$folder/venv/bin/python" - <<'PYTHON' >port
import json
import socket
from pathlib import Path

sockets = [socket.socket() for _ in range(3)]
for one in sockets:
    one.bind(("127.0.0.1", 0))
ports = [one.getsockname()[1] for one in sockets]
settings = dict(zip(("http_port", "grpc_port", "metrics_port"), ports), host="127.0.0.1", parallel_workers=0)
Path("model/settings.json").write_text(json.dumps(settings))
print(ports[0])
PYTHON
cd model
PYTHONPATH="$folder/model" setsid bash -c 'code=0; ../venv/bin/mlserver start . || code=$?; echo "$code" >code' >log 2>&1 &
server=$!
"$folder/venv/bin/python" - "$(cat ../port)" <<'PYTHON'
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

URL = f"http://127.0.0.1:{sys.argv[1]}"
BODY = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "INT64", "data": [1]}]}'


def ask(path, body=None):
    request = urllib.request.Request(URL + path, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def wait(condition):
    for _ in range(300):
        if condition():
            return
        time.sleep(0.2)
    print(Path("log").read_text())
    sys.exit(2)


wait(lambda: ask("/v2/health/live")[0] == 200)
ready, _ = ask("/v2/health/ready")
status, text = ask("/v2/models/ranker/infer", BODY)
print("while it loads: ready", ready, "and inference", status, text)
wait(Path("code").exists)
code = Path("code").read_text().strip()
log = Path("log").read_text()
print("the server's exit code:", code)
print(*(line[:150] for line in log.splitlines() if "load model" in line or "weights.bin" in line), sep="\n")
sys.exit(not (code == "0" and (ready, status) == (400, 400) and "not ready yet" in text and "FileNotFoundError" in log))
PYTHON
