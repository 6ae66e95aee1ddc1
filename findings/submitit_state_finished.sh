#!/usr/bin/env bash
# Guess: a job of submitit's local executor that signal 9 killed has the state FAILED; `result()` raises
#   UncompletedJobError, which names the signal or the exit code.
# Seen: its state is FINISHED, as is that of a job that raised MemoryError and of one that succeeded. `result()`
#   raises "has not produced any output (state: FINISHED)", with neither signal nor exit code in it.
# Versions: submitit 1.5.4, cloudpickle 3.1.2, Python 3.11; 2026-11-30.
# So: a sweep that waits for `state` and counts FINISHED takes every lost job for a success. "has not produced
#   any output" is a job that was killed (memory first) or left by `os._exit`; one that raised is a FailedJobError.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  submitit==1.5.4 cloudpickle==3.1.2 || exit 2
cd "$folder"

cat >sweep.py <<'PYTHON'
import os
import signal
import sys

import submitit


def train(outcome):
    if outcome == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if outcome == "raised":
        raise MemoryError
    return outcome


executor = submitit.AutoExecutor(folder="log", cluster="local")
executor.update_parameters(timeout_min=1)
seen = {}
for outcome in ("well", "raised", "killed"):
    job = executor.submit(train, outcome)
    error = job.exception()
    seen[outcome] = (job.state, type(error).__name__)
    line = next((text.strip() for text in str(error).splitlines() if "state" in text), "")
    print(f"{outcome}: state {job.state}, {type(error).__name__} {line}")
    if outcome == "killed":
        told = any(word in str(error).lower() for word in ("sigkill", "signal", "exit code", "-9", "137"))
states = {state for state, _ in seen.values()}
errors = [error for _, error in seen.values()]
sys.exit(states != {"FINISHED"} or errors != ["NoneType", "FailedJobError", "UncompletedJobError"] or told)
PYTHON
PATH="$folder/venv/bin:$PATH" timeout 200 "$folder/venv/bin/python" sweep.py
