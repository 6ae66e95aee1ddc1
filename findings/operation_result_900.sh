#!/usr/bin/env bash
# Guess: `operation.result()` without a time-out waits until the operation ends: of a Cloud Run job, as long as it runs.
# Seen: after 900 seconds it raises Python's own `TimeoutError: Operation did not complete within the designated
#   timeout of 900 seconds.`, while the operation runs on. Only `result(timeout=None)` waits for its end.
# Versions: google-api-core 2.44.0, google-cloud-run 0.16.2, Python 3.11; 2026-12-01. The clock is stepped here.
# So: a launcher that waits for a job of 20 minutes (Cloud Run, Batch, Dataproc: all share this class) fails after 15,
#   with the job alive: to launch it again runs it twice. The text names the launcher's limit, not the job's: neither
#   a bigger machine nor a longer time-out of the job mends it.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-api-core==2.44.0 google-cloud-run==0.16.2 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import sys
import time
from concurrent import futures

import google.api_core.retry.retry_base
import google.api_core.retry.retry_unary
import grpc
from google.cloud import run_v2
from google.cloud.run_v2.services.jobs.transports import JobsGrpcTransport
from google.longrunning import operations_pb2


class Clock:
    passed = 0.0

    def monotonic(self):
        return self.passed

    def sleep(self, seconds):
        self.passed += seconds

    def __getattr__(self, name):
        return getattr(time, name)


clock = Clock()
google.api_core.retry.retry_base.time = google.api_core.retry.retry_unary.time = clock
RUNS = 3600


class Jobs(grpc.GenericRpcHandler):
    def service(self, details):
        def answer(request, context):
            operation = operations_pb2.Operation(name="projects/lab/locations/l/operations/1")
            if clock.passed >= RUNS:
                operation.done = True
                operation.response.Pack(run_v2.Execution.pb(run_v2.Execution(name="x")))
            return operation.SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)


server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((Jobs(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
client = run_v2.JobsClient(transport=JobsGrpcTransport(channel=grpc.insecure_channel(f"127.0.0.1:{port}")))
operation = client.run_job(name="projects/lab/locations/l/jobs/train")
raised = None
try:
    operation.result()
except TimeoutError as error:
    raised = str(error)
gave_up = clock.passed
print(f"result(): after {gave_up:.0f} seconds TimeoutError: {raised}; done: {operation.done()}")
ended = operation.result(timeout=None).name if not operation.done() else ""
print(f"result(timeout=None): the execution {ended!r} after {clock.passed:.0f} seconds")
server.stop(None)
sys.exit(raised is None or "timeout of 900 seconds" not in raised or gave_up > 900 or ended != "x")
PYTHON
