"""A gRPC proxy that makes every call take longer, and remembers when each began and ended.

It passes bytes on and knows no service. `depth` says how many calls were made in sequence: the
longest row of calls in which each began after the one before it had ended. Called by
`bench/event/run.py` and its test.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc

_UNLIMITED = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """One call, by time.monotonic()."""

    began: float
    ended: float
    method: str


@dataclass
class Slow:
    """Plaintext proxies on loopback, one for each server behind; `seconds` are added to each call."""

    seconds: float
    spans: list[Span] = field(default_factory=list)
    _servers: list[tuple[Any, Any]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def before(self, endpoint: str) -> str:
        """`host:port` that leads to `endpoint`, slowly."""
        channel = grpc.insecure_channel(endpoint, options=_UNLIMITED)
        server = grpc.server(
            ThreadPoolExecutor(64), options=[("grpc.so_reuseport", 0), *_UNLIMITED]
        )
        server.add_generic_rpc_handlers([_Passing(self, channel)])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        self._servers.append((server, channel))
        return f"127.0.0.1:{port}"

    def remember(self, span: Span) -> None:
        with self._lock:
            self.spans.append(span)

    def close(self) -> None:
        for server, channel in self._servers:
            server.stop(grace=0.1).wait(timeout=5)
            channel.close()


class _Passing(grpc.GenericRpcHandler):
    """Every method, as a stream both ways: on the wire a single message is a stream of one."""

    def __init__(self, slow: Slow, channel: Any) -> None:
        self._slow = slow
        self._channel = channel

    def service(self, handler_call_details: Any) -> Any:
        path = handler_call_details.method
        passed = self._channel.stream_stream(path)

        def serve(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
            began = time.monotonic()
            time.sleep(self._slow.seconds)
            metadata = [
                pair for pair in context.invocation_metadata() if not pair[0].startswith("grpc-")
            ]
            try:
                yield from passed(requests, metadata=metadata, timeout=context.time_remaining())
            except grpc.RpcError as err:
                context.set_trailing_metadata(tuple(err.trailing_metadata() or ()))
                context.abort(err.code(), err.details())
            finally:
                name = path.rpartition(".")[2]
                self._slow.remember(Span(began, time.monotonic(), name))

        return grpc.stream_stream_rpc_method_handler(serve)


def in_sequence(spans: Sequence[Span]) -> list[list[str]]:
    """The calls by their place in sequence: each began after one of the place before had ended."""
    places: list[list[Span]] = []
    for span in sorted(spans):
        place = next(
            (
                number
                for number in range(len(places), 0, -1)
                if any(other.ended <= span.began for other in places[number - 1])
            ),
            0,
        )
        if place == len(places):
            places.append([])
        places[place].append(span)
    return [[span.method for span in place] for place in places]
