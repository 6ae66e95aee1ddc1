#!/usr/bin/env bash
# Guess: `CustomJob.run(sync=False)` whose job cannot be made (denied, a bad machine) ends the script with
#   a traceback and a code other than 0, at the latest when the script ends.
# Seen: it prints `Creating CustomJob`, and the script ends with 0. The exception is kept in the object and
#   raised by the next call that waits for it, such as `job.wait()`; where none follows nobody sees it.
# Versions: google-cloud-aiplatform 2.7.0, proto-plus 1.29.0, protobuf 7.36.2, Python 3.11; 2026-11-29.
# So: a scheduler's step that launches a job this way is green though no job was ever made, and there is
#   nothing to diagnose in Vertex. Use `submit()`, which raises, or wait.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-aiplatform==2.7.0 proto-plus==1.29.0 protobuf==7.36.2 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import subprocess
import sys

LAUNCH = """
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, aiplatform_v1

def deny(*args, **options):
    raise exceptions.PermissionDenied("aiplatform.customJobs.create denied")

aiplatform_v1.JobServiceClient.create_custom_job = deny  # what the service answers
aiplatform.init(project="lab", location="us-central1", credentials=AnonymousCredentials(), staging_bucket="gs://lab")
pool = {"machine_spec": {"machine_type": "n1-standard-4"}, "replica_count": 1,
        "container_spec": {"image_uri": "gcr.io/lab/align:1"}}
job = aiplatform.CustomJob(display_name="align", worker_pool_specs=[pool])
"""
seen = {}
for call in ("job.run(sync=False)", "job.run(sync=False); job.wait()", "job.submit()"):
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LAUNCH + call], capture_output=True, text=True
    )
    seen[call] = (ran.returncode, "denied" in ran.stdout + ran.stderr)
    print(f"{call}: exit code {ran.returncode}, the refusal is shown: {seen[call][1]}")
sys.exit(list(seen.values()) != [(0, False), (1, True), (1, True)])
PYTHON
