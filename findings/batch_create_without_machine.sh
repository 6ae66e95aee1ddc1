#!/usr/bin/env bash
# Guess: `BatchPredictionJob.create(accelerator_type=…, starting_replica_count=…, batch_size=…)` without a
#   `machine_type` raises, or sends what it was given.
# Seen: the request has neither `dedicatedResources` nor `manualBatchTuningParameters`: accelerator, replicas
#   and batch size are dropped without a word. With a machine type all three are sent.
# Versions: google-cloud-aiplatform 2.7.0, Python 3.11; 2026-11-30.
# So: the job that failed may never have had the GPU or the batch size that its script asks for. Read them
#   from the job, not from the code that made it.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-aiplatform==2.7.0 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON' 2>/dev/null
import sys
from unittest import mock

from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud.aiplatform_v1.services.job_service import JobServiceClient

aiplatform.init(project="p", location="us-central1", credentials=AnonymousCredentials())
ASKED = {
    "accelerator_type": "NVIDIA_TESLA_T4",
    "accelerator_count": 1,
    "starting_replica_count": 5,
    "batch_size": 8,
}


class Sent(Exception):
    """Raised where the request would leave."""


def request(**asked):
    """The request that would be sent, as a dictionary."""
    sent = {}

    def create(self, **call):
        sent["job"] = call["batch_prediction_job"]
        raise Sent

    with mock.patch.object(JobServiceClient, "create_batch_prediction_job", create):
        try:
            aiplatform.BatchPredictionJob.create(
                model_name="projects/p/locations/us-central1/models/1",
                job_display_name="embed",
                gcs_source="gs://b/in.jsonl",
                gcs_destination_prefix="gs://b/out",
                **asked,
            )
        except Sent:
            pass
    job = sent["job"]
    resources, tuning = job.dedicated_resources, job.manual_batch_tuning_parameters
    return {
        "accelerator": resources.machine_spec.accelerator_count,
        "replicas": resources.starting_replica_count,
        "batch_size": tuning.batch_size,
    }


alone, with_machine = request(**ASKED), request(machine_type="n1-standard-8", **ASKED)
print("without machine_type:", alone)
print("with machine_type:   ", with_machine)
sys.exit(
    alone != {"accelerator": 0, "replicas": 0, "batch_size": 0}
    or with_machine != {"accelerator": 1, "replicas": 5, "batch_size": 8}
)
PYTHON
