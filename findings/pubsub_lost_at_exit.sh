#!/usr/bin/env bash
# Guess: a message that was given to `PublisherClient.publish` is sent before the program ends, as
#   google-cloud-logging's handler sends what it holds at exit.
# Seen: what still waits in its batch is lost: the program ends with 0 and the server
#   got no message. `future.result()` or `client.stop()` sends it.
# Versions: google-cloud-pubsub 2.44.0, Python 3.11; 2026-11-29.
# So: a job that announces its end or its failure by its last line, then exits, may never be heard; that no
#   message came says nothing about the job. The batch waits 10 ms by default, here 30 s so that nothing
#   here rests on the clock. Our own messages go out by the plain request, which waits for its answer.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-pubsub==2.44.0 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import os
import subprocess
import sys
from concurrent import futures

import grpc
from google.pubsub_v1.types import PublishRequest, PublishResponse

got = []


class Topic(grpc.GenericRpcHandler):
    def service(self, details):
        def answer(request, context):
            messages = PublishRequest.deserialize(request).messages
            got.extend(message.data for message in messages)
            return PublishResponse.serialize(PublishResponse(message_ids=["1"] * len(messages)))

        return grpc.unary_unary_rpc_method_handler(answer)


server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((Topic(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
PUBLISH = """
from google.cloud import pubsub_v1
waiting = pubsub_v1.types.BatchSettings(max_latency={latency})
client = pubsub_v1.PublisherClient(batch_settings=waiting)
future = client.publish("projects/lab/topics/failures", b"job 1 failed")
{end}
"""
seen = []
for latency, end in ((30, ""), (30, "client.stop()"), (0.01, "future.result()")):
    got.clear()
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PUBLISH.format(latency=latency, end=end)],
        env={**os.environ, "PUBSUB_EMULATOR_HOST": f"127.0.0.1:{port}"},
        timeout=60,
    )
    seen.append((ran.returncode, len(got)))
    print(f"then {end or 'exit'}: exit code {ran.returncode}, {len(got)} message(s) arrived")
server.stop(None)
sys.exit(seen != [(0, 0), (0, 1), (0, 1)])
PYTHON
