#!/usr/bin/env bash
# Guess: `CustomJob.to_json()` of Google's own client writes a job as the REST API and `gcloud ai
#   custom-jobs describe --format=json` do: enumerations by name, and only the fields that are set.
# Seen: enumerations are numbers (`"state": 5`, `"acceleratorType": 5`), though every key is REST's
#   own camelCase and 64-bit numbers and durations are REST's strings ("1", "7200s"); every field
#   that is not set stands there empty. `to_dict()` does the same. Names come only where it is asked
#   for (`use_integers_for_enums=False`).
# Versions: google-cloud-aiplatform 2.7.0, proto-plus 1.29.0, protobuf 7.36.2, Python 3.11;
#   2026-11-29.
# So: a job that was kept by the SDK's `to_json` is no copy of what REST shows. A reader of jobs that
#   compares `state` or `acceleratorType` with names takes a failed job with a GPU for one without
#   either: it must know the numbers too.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-aiplatform==2.7.0 proto-plus==1.29.0 protobuf==7.36.2 || exit 2

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import json
import sys

from google.cloud import aiplatform_v1 as vertex

job = vertex.CustomJob(
    display_name="align",
    state=vertex.JobState.JOB_STATE_FAILED,
    job_spec=vertex.CustomJobSpec(
        worker_pool_specs=[
            vertex.WorkerPoolSpec(
                machine_spec=vertex.MachineSpec(
                    machine_type="n1-standard-8",
                    accelerator_type=vertex.AcceleratorType.NVIDIA_TESLA_T4,
                    accelerator_count=1,
                ),
                replica_count=1,
                container_spec=vertex.ContainerSpec(image_uri="gcr.io/lab/align:1"),
            )
        ],
        scheduling=vertex.Scheduling(timeout={"seconds": 7200}),
    ),
)


def shape(text):
    """The fields that tell: two enumerations, a 64-bit number, a duration, one that is not set."""
    found = json.loads(text)
    (pool,) = found["jobSpec"]["workerPoolSpecs"]
    return [
        found["state"],
        pool["machineSpec"]["acceleratorType"],
        pool["replicaCount"],
        found["jobSpec"]["scheduling"]["timeout"],
        found["jobSpec"].get("tensorboard"),
    ]


plain = shape(vertex.CustomJob.to_json(job))
asked = shape(vertex.CustomJob.to_json(job, use_integers_for_enums=False))
print("to_json():                             ", plain)
print("to_json(use_integers_for_enums=False): ", asked)
changed = plain != [5, 5, "1", "7200s", ""]
changed |= asked != ["JOB_STATE_FAILED", "NVIDIA_TESLA_T4", "1", "7200s", ""]
sys.exit(changed)
PYTHON
