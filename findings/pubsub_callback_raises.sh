#!/usr/bin/env bash
# Guess: a subscriber's callback that raises loses that one message: it is delivered again, and the stream goes on
#   with the others as if nothing had been.
# Seen: `future.result()` raises the callback's exception and `done()` is true, as after the end of a stream; but the
#   stream stays open, and the callback goes on getting messages in the background. A loop that subscribes anew after
#   such an exception has two streams, then three.
# Versions: google-cloud-pubsub 2.44.0, Python 3.11; 2026-12-01.
# So: one bad message ends the main thread's wait: the program exits with the message's traceback and drops what the
#   other threads were at, or subscribes again and holds twice the messages (1,000 a stream by default) until memory
#   runs out. Catch within the callback; after an exception call `future.cancel()` before the next `subscribe`.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  google-cloud-pubsub==2.44.0 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - 2>/dev/null <<'PYTHON'
import os
import time
from concurrent import futures

import grpc
from google.protobuf.empty_pb2 import Empty
from google.pubsub_v1.types import AcknowledgeRequest, ModifyAckDeadlineRequest
from google.pubsub_v1.types import PubsubMessage, ReceivedMessage, StreamingPullResponse

waiting = [b"1", b"2"]
acknowledged, given_back, streams = [], [], []


def pull(requests, context):
    streams.append(context)
    while context.is_active():
        if waiting:
            data = waiting.pop(0)
            message = PubsubMessage(data=data, message_id=data.decode())
            received = ReceivedMessage(ack_id=data.decode(), message=message)
            yield StreamingPullResponse.serialize(StreamingPullResponse(received_messages=[received]))
        time.sleep(0.02)


class Subscription(grpc.GenericRpcHandler):
    def service(self, details):
        method = details.method.rsplit("/", 1)[1]
        if method == "StreamingPull":
            return grpc.stream_stream_rpc_method_handler(pull)

        def answer(request, context):
            if method == "Acknowledge":
                acknowledged.extend(AcknowledgeRequest.deserialize(request).ack_ids)
            elif method == "ModifyAckDeadline":
                change = ModifyAckDeadlineRequest.deserialize(request)
                given_back.extend(change.ack_ids if change.ack_deadline_seconds == 0 else [])
            return Empty().SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)


server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((Subscription(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()
os.environ["PUBSUB_EMULATOR_HOST"] = f"127.0.0.1:{port}"

from google.cloud import pubsub_v1


def work(message):
    if message.data == b"2":
        raise KeyError("job")
    message.ack()


def running():
    return sum(stream.is_active() for stream in streams)


def wait(what):
    end = time.monotonic() + 30
    while not what() and time.monotonic() < end:
        time.sleep(0.05)


client = pubsub_v1.SubscriberClient()
future = client.subscribe("projects/lab/subscriptions/failures", callback=work)
raised = None
try:
    future.result(timeout=30)
except Exception as error:
    raised = error
wait(lambda: "1" in acknowledged and "2" in given_back)
print(f"result() raised {raised!r}, done: {future.done()}; acknowledged: {acknowledged}, given back: {given_back}")
time.sleep(3)
waiting.extend([b"3", b"4"])
wait(lambda: "4" in acknowledged)
print(f"three seconds later: acknowledged: {acknowledged}, streams: {running()}")
ended = future.done() and isinstance(raised, KeyError)
again = client.subscribe("projects/lab/subscriptions/failures", callback=work)
wait(lambda: running() == 2)
twice = running()
future.cancel()
wait(lambda: running() == 1)
print(f"subscribed again: {twice} streams; after future.cancel() of the first: {running()}")
changed = not ended or sorted(acknowledged) != ["1", "3", "4"] or (twice, running()) != (2, 1)
server.stop(None)
os._exit(changed)
PYTHON
