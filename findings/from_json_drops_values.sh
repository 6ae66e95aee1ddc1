#!/usr/bin/env bash
# Guess: `from_json(…, ignore_unknown_fields=True)` passes over fields that this version does not know; a
#   value that it does not know, such as a newer accelerator's name, still raises, as it does without.
# Seen: such a value is passed over too. A machine with eight of an unknown card is read as one with
#   `acceleratorCount` 8 and `ACCELERATOR_TYPE_UNSPECIFIED`; an unknown state becomes
#   `JOB_STATE_UNSPECIFIED`. Over gRPC the number of an unknown card is kept (999 stays 999).
# Versions: google-cloud-aiplatform 2.7.0, proto-plus 1.29.0, protobuf 7.36.2, Python 3.11; 2026-11-29.
# So: a job that is read from JSON by an older client so that it may be made again loses its card without
#   a word. Carry the JSON as it came, as this product does, and never through the client's own types.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-aiplatform==2.7.0 proto-plus==1.29.0 protobuf==7.36.2 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import json
import sys

from google.cloud import aiplatform_v1 as vertex

JOB = {
    "displayName": "align",
    "state": "JOB_STATE_OF_NEXT_YEAR",
    "jobSpec": {
        "workerPoolSpecs": [
            {
                "machineSpec": {
                    "machineType": "a9-ultragpu-8g",
                    "acceleratorType": "NVIDIA_OF_NEXT_YEAR",
                    "acceleratorCount": 8,
                },
                "replicaCount": "1",
            }
        ]
    },
}


def shape(job):
    (pool,) = job.job_spec.worker_pool_specs
    spec = pool.machine_spec
    return [int(spec.accelerator_type), spec.accelerator_count, int(job.state)]


try:
    vertex.CustomJob.from_json(json.dumps(JOB))
    refused = ""
except Exception as err:
    refused = str(err)
print("from_json:", refused.rpartition(": ")[2])
lenient = shape(vertex.CustomJob.from_json(json.dumps(JOB), ignore_unknown_fields=True))
print("ignore_unknown_fields=True: type, count, state =", lenient)
pool = {"machine_spec": {"accelerator_type": 999, "accelerator_count": 8}}
sent = vertex.CustomJob.serialize(vertex.CustomJob(job_spec={"worker_pool_specs": [pool]}))
wire = shape(vertex.CustomJob.deserialize(sent))
print("the same over the wire:", wire)
sys.exit("Invalid enum value" not in refused or lenient != [0, 8, 0] or wire != [999, 8, 0])
PYTHON
