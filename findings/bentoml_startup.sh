#!/usr/bin/env bash
# Guess: `bentoml serve` ends with an exit code other than 0 when the service's `__init__` raises (its
#   weights are not there).
# Seen: the worker says "Application startup failed. Exiting." and is started anew every few seconds; the
#   server itself goes on. Stopped after 40 seconds it had loaded, and failed, several times.
# Versions: bentoml 1.4.40, Python 3.11; 2026-11-30.
# So: the container never ends and never becomes ready: Vertex says that the model server did not respond,
#   while the cause is the first traceback in the log. More time or a bigger machine changes nothing.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  bentoml==1.4.40 || exit 2
cd "$folder"

cat >service.py <<'PYTHON'
import bentoml


@bentoml.service(workers=1)
class Embedder:
    def __init__(self):
        raise FileNotFoundError("weights.bin")

    @bentoml.api
    def predict(self, x: int) -> int:
        return x
PYTHON
port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
code=0
DO_NOT_TRACK=1 BENTOML_HOME="$folder/home" timeout 40 "$folder/venv/bin/bentoml" serve service:Embedder \
  --host 127.0.0.1 --port "$port" >out 2>&1 || code=$?
loads="$(grep -c '^FileNotFoundError: weights.bin' out)"
echo "exit code after 40 s: $code (124: it was still running); loads that failed: $loads"
[ "$code" = 124 ] && [ "$loads" -ge 2 ] && grep -q "Application startup failed" out
