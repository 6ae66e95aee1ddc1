#!/usr/bin/env bash
# Guess: `BatchJob.done` of the Gemini SDK is true in each state that a batch cannot leave any more.
# Seen: it is true for SUCCEEDED, FAILED, CANCELLED and EXPIRED; JOB_STATE_PARTIALLY_SUCCEEDED, which the
#   same package documents as a job that has ended with some of its rows, is not done.
# Versions: google-genai 2.34.0, Python 3.11; 2026-11-30.
# So: `while not job.done: sleep()` never ends after a partial success, and the process that waits is
#   killed by its own time limit, which reads like a slow batch. Compare the state, not `done`.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-genai==2.34.0 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

from google.genai import types

done = {state.value for state in types.JobState if types.BatchJob(state=state).done}
print("done:", ", ".join(sorted(done)))
print("not done:", ", ".join(sorted(s.value for s in types.JobState if s.value not in done)))
wanted = {f"JOB_STATE_{name}" for name in ("SUCCEEDED", "FAILED", "CANCELLED", "EXPIRED")}
sys.exit(done != wanted or not hasattr(types.JobState, "JOB_STATE_PARTIALLY_SUCCEEDED"))
PYTHON
