#!/usr/bin/env bash
# Guess: a Firestore transaction that loses against others each time raises `google.api_core.exceptions.Aborted` in the
#   end, as a plain `set` on a document in contention does at once.
# Seen: after five attempts, made within a second and without a pause, it raises `ValueError: Failed to commit
#   transaction in 5 attempts.` What Firestore said ("Too much contention") is only its `__cause__`.
# Versions: google-cloud-firestore 2.34.1, Python 3.11; 2026-12-01.
# So: `except GoogleAPICallError` and `retry.if_transient_error` pass it by, and a ValueError reads like bad input: code
#   that drops bad messages drops this one, though it would have passed a moment later. Look at `error.__cause__`.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-firestore==2.34.1 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import os
import sys
import time
from concurrent import futures

import grpc
from google.cloud.firestore_v1.types import BeginTransactionResponse
from google.protobuf.empty_pb2 import Empty

calls = []


class Database(grpc.GenericRpcHandler):
    def service(self, details):
        method = details.method.rsplit("/", 1)[1]

        def answer(request, context):
            calls.append(method)
            if method == "Commit":
                context.abort(grpc.StatusCode.ABORTED, "Too much contention on these documents. Please try again.")
            if method == "BeginTransaction":
                return BeginTransactionResponse.serialize(BeginTransactionResponse(transaction=b"t"))
            return Empty().SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)


server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((Database(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
os.environ["FIRESTORE_EMULATOR_HOST"] = f"127.0.0.1:{port}"

from google.api_core.retry import if_transient_error
from google.cloud import firestore

client = firestore.Client(project="lab")


@firestore.transactional
def claim(transaction):
    transaction.set(client.document("jobs/1"), {"claimed": True})


def run(name, call):
    calls.clear()
    began = time.monotonic()
    try:
        call()
    except Exception as error:
        seconds = time.monotonic() - began
        cause = type(error.__cause__).__name__
        print(f"{name}: {type(error).__name__}: {error} (cause: {cause}; {calls.count('Commit')} commits, {seconds:.1f} s)")
        return type(error).__name__, if_transient_error(error.__cause__ or error), calls.count("Commit")


in_transaction = run("transaction", lambda: claim(client.transaction()))
alone = run("set", lambda: client.document("jobs/1").set({"claimed": True}))
server.stop(None)
sys.exit((in_transaction[0], in_transaction[2], alone[0]) != ("ValueError", 5, "Aborted"))
PYTHON
