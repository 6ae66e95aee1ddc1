#!/usr/bin/env bash
# Guess: Vertex's client asks again after a 503 where that is safe: a `get` of a job is retried by default,
#   as Google's clients of Cloud Storage and Pub/Sub do, and a call has a time-out.
# Seen: `get_custom_job`, `get_batch_prediction_job` and `get_pipeline_job` raise `ServiceUnavailable`
#   after one request, and no deadline goes with it (the server sees none). Only with a `retry=` of its own
#   is a call made again.
# Versions: google-cloud-aiplatform 2.7.0, proto-plus 1.29.0, protobuf 7.36.2, Python 3.11; 2026-11-29.
# So: a program that launches a job and polls for its end dies of one 503 while the job goes on; to make
#   the job again on that failure runs it twice. Look at the job's own state first, and give each call its
#   `retry` and `timeout`.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-aiplatform==2.7.0 proto-plus==1.29.0 protobuf==7.36.2 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
from concurrent import futures

import grpc
from google.api_core import exceptions, retry
from google.cloud import aiplatform_v1 as vertex
from google.cloud.aiplatform_v1.services.job_service.transports import JobServiceGrpcTransport
from google.cloud.aiplatform_v1.services.pipeline_service.transports import (
    PipelineServiceGrpcTransport,
)

left = []


class Unavailable(grpc.GenericRpcHandler):
    def service(self, details):
        def answer(request, context):
            left.append(context.time_remaining())
            context.abort(grpc.StatusCode.UNAVAILABLE, "try again")

        return grpc.unary_unary_rpc_method_handler(answer)


server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((Unavailable(),))
address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
server.start()
jobs = vertex.JobServiceClient(
    transport=JobServiceGrpcTransport(channel=grpc.insecure_channel(address))
)
pipelines = vertex.PipelineServiceClient(
    transport=PipelineServiceGrpcTransport(channel=grpc.insecure_channel(address))
)
home = "projects/lab/locations/us-central1"
CALLS = {
    "get_custom_job": lambda: jobs.get_custom_job(name=f"{home}/customJobs/1"),
    "get_batch_prediction_job": lambda: jobs.get_batch_prediction_job(
        name=f"{home}/batchPredictionJobs/1"
    ),
    "get_pipeline_job": lambda: pipelines.get_pipeline_job(name=f"{home}/pipelineJobs/1"),
    "with retry=": lambda: jobs.get_custom_job(
        name=f"{home}/customJobs/1", retry=retry.Retry(initial=0.1, multiplier=1, timeout=2)
    ),
}
YEAR = 365 * 24 * 3600
seen = {}
for name, call in CALLS.items():
    left.clear()
    try:
        call()
        raised = "nothing"
    except exceptions.GoogleAPICallError as err:
        raised = type(err).__name__
    except exceptions.RetryError as err:
        raised = type(err).__name__
    seen[name] = (len(left), raised, all(seconds is None or seconds > YEAR for seconds in left))
    print(f"{name}: {len(left)} request(s), raised {raised}, no deadline: {seen[name][2]}")
several = seen.pop("with retry=")[0]
server.stop(None)
sys.exit(any(one != (1, "ServiceUnavailable", True) for one in seen.values()) or several < 2)
PYTHON
