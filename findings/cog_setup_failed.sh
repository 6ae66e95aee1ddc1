#!/usr/bin/env bash
# Guess: the server of a Cog image (Replicate's packaging of models) whose `setup()` raises, for its weights are not
#   there, ends with a code other than 0; or its `/health-check` is answered 503.
# Seen: the server goes on, and `/health-check` is answered 200, with `"status":"SETUP_FAILED"` in the body, for good. A
#   prediction is answered `503 Setup has not finished yet. Wait until it has finished` as long as one asks.
# Versions: cog 0.23.1, coglet 0.23.1, Python 3.11; 2026-12-01.
# So: with `/health-check` as its health route the container is ready and each request fails, and "not finished yet"
#   asks for patience with a model that will never come: no more time and no machine mends it. The cause is in the
#   body's `logs`. A route must look at the `status`, not at the code.
set -euo pipefail
folder="$(mktemp -d)"
server=""
trap '[ -z "$server" ] || kill -9 -- "-$server" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  cog==0.23.1 coglet==0.23.1 || exit 2
cd "$folder"
command -v curl >/dev/null || exit 2

cat >cog.yaml <<'YAML'
build:
  python_version: "3.11"
predict: "predict.py:Predictor"
YAML
cat >predict.py <<'PYTHON'
from cog import BasePredictor, Input


class Predictor(BasePredictor):
    def setup(self):
        raise FileNotFoundError("weights.bin")

    def predict(self, text: str = Input(description="a text")) -> str:
        return text
PYTHON
port="$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
export PATH="$folder/venv/bin:$PATH" PORT="$port" COG_PREDICT_TYPE_STUB=predict.py:Predictor
set -m
python -m cog.server.http >log 2>&1 &
server=$!
set +m

ask() { # path, then curl's arguments; prints the status, keeps the body
  local path="$1"
  shift
  curl -s --max-time 5 -o body -w '%{http_code}' "$@" "http://127.0.0.1:$port$path" || true
}
for _ in $(seq 60); do
  ask /health-check >/dev/null
  ! grep -q SETUP_FAILED body 2>/dev/null || break
  sleep 1
done
sleep 5
health="$(ask /health-check)"
cp body health
prediction="$(ask /predictions -H 'Content-Type: application/json' -d '{"input": {"text": "a"}}')"
echo "health: $health $(grep -oE '"status":"[A-Z_]+"' health); prediction: $prediction $(cat body)"
kill -0 "$server" 2>/dev/null && alive=yes || alive=no
echo "the server is alive: $alive"
[ "$health $prediction $alive" = "200 503 yes" ] && grep -q SETUP_FAILED health && grep -q weights.bin health
grep -q "Setup has not finished yet" body
