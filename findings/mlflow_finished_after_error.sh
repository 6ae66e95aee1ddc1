#!/usr/bin/env bash
# Guess: a training that calls `mlflow.start_run()` (no `with`) and dies of an exception, or leaves by `sys.exit(3)`,
#   has the status FAILED in MLflow.
# Seen: the first two are FINISHED, as is one that succeeded, though their exit codes are 1 and 3. After SIGTERM
#   the run stays RUNNING for good. Only within `with mlflow.start_run():` is the exception's run FAILED.
# Versions: mlflow-skinny 3.17.2, Python 3.11; 2026-12-01.
# So: MLflow's FINISHED beside a failed job is no contradiction, and no reason to call the failure a hiccup of the
#   platform or to take the newest FINISHED run's model. What is true is the exit code, and the job's own state.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  mlflow-skinny==3.17.2 || exit 2
cd "$folder"

cat >train.py <<'PYTHON'
import os
import signal
import sys

import mlflow


def train():
    mlflow.log_metric("loss", 0.5)
    if sys.argv[2] == "error":
        raise MemoryError
    if sys.argv[2] == "exit":
        sys.exit(3)
    if sys.argv[2] == "signal":
        os.kill(os.getpid(), signal.SIGTERM)


if sys.argv[1] == "with":
    with mlflow.start_run():
        train()
else:
    mlflow.start_run()
    train()
PYTHON
export MLFLOW_ALLOW_FILE_STORE=true
changed=0
run() { # how the run is started, how it ends, the expected exit code and status
  local code=0 number status
  MLFLOW_TRACKING_URI="file:$folder/runs/$1-$2" venv/bin/python train.py "$1" "$2" >log 2>&1 || code=$?
  number="$(cat "runs/$1-$2"/*/*/meta.yaml | sed -n 's/^status: //p')"
  status="$(venv/bin/python -c "from mlflow.entities import RunStatus; print(RunStatus.to_string($number))")"
  echo "$1 'with', ${2/none/no error}: exit code $code, the run's status is $status"
  [ "$code $status" = "$3 $4" ] || changed=1
}
run without none 0 FINISHED
run without error 1 FINISHED
run without exit 3 FINISHED
run without signal 143 RUNNING
run with error 1 FAILED
exit "$changed"
