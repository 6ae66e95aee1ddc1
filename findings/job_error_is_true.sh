#!/usr/bin/env bash
# Guess: `if job.error:` is false for a job without an error, as `if job.job_spec:` is for one without a
#   specification, and `job.start_time` is None for one that never started.
# Seen: the last two are so, but `bool(job.error)` is true for every job, succeeded ones too: an error is
#   no message of proto-plus but a bare `google.rpc.Status`, which has no truth of its own. What tells is
#   `"error" in job`, or `job.error.code`.
# Versions: google-cloud-aiplatform 2.7.0, proto-plus 1.29.0, protobuf 7.36.2, Python 3.11; 2026-11-29.
# So: a watcher that asks `if job.error:` takes every job for a failed one, with code 0 and an empty
#   message; one that resubmits on it runs succeeded jobs again.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-aiplatform==2.7.0 proto-plus==1.29.0 protobuf==7.36.2 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys

from google.cloud import aiplatform_v1 as vertex

succeeded = vertex.CustomJob(display_name="align", state=vertex.JobState.JOB_STATE_SUCCEEDED)
failed = vertex.CustomJob(display_name="align", error={"code": 9, "message": "exit code 1"})
seen = {
    "bool(job_spec)": bool(succeeded.job_spec),
    "start_time": succeeded.start_time,
    "bool(error)": bool(succeeded.error),
    "error.code": succeeded.error.code,
    "'error' in job": "error" in succeeded,
    "'error' in failed": "error" in failed,
}
print("a job that succeeded:", seen)
wanted = [False, None, True, 0, False, True]
sys.exit(list(seen.values()) != wanted)
PYTHON
