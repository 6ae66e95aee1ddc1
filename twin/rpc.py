"""A plaintext gRPC server made of tables: method name, request type, response type, function.

Owns what all of the twin's gRPC services share: JSON at the inner door, faults, IAM, the journal,
and the mapping of `Refusal` to a status. The functions take REST-shaped dicts and return
such ones, or the message itself where that is much quicker.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2, json_format
from google.rpc import code_pb2, error_details_pb2, status_pb2

from twin.faults import Call, Fault, Faults, Journal
from twin.iam import Iam
from twin.messages import Messages

Body = dict[str, Any]


class Refusal(Exception):
    """The service says no, in Google's words. `status` is a gRPC status name."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class _Faulted(Exception):
    """A planned fault took the place of the answer."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(frozen=True)
class Method:
    """One RPC: its path, its types, and who answers it; `denied` hears of a missing permission."""

    path: str
    request: Any
    response: Any
    answer: Callable[[Body, Caller], Any]
    denied: Callable[[Body, Caller, Refusal], None] | None = None

    @property
    def short(self) -> str:
        """`JobService.GetCustomJob`."""
        service, _, name = self.path.strip("/").partition("/")
        return f"{service.rpartition('.')[2]}.{name}"


@dataclass(frozen=True)
class Caller:
    """Who asked: the socket's other end and the account behind the token."""

    peer: str
    principal: str


@dataclass
class Desk:
    """What every server of one cloud shares."""

    faults: Faults = field(default_factory=Faults)
    journal: Journal = field(default_factory=Journal)
    iam: Iam = field(default_factory=Iam)
    messages: Messages = field(default_factory=Messages)


def plain(kind: Any) -> Any:
    """The protobuf class behind a proto-plus one (or the class itself)."""
    return kind.pb() if hasattr(kind, "pb") else kind


def to_json(message: Any) -> Body:
    """REST shape: camelCase, enum names, numbers of 64 bits as text."""
    return json_format.MessageToDict(message)


class RpcServer:
    """A gRPC server on a free loopback port that serves `methods`."""

    def __init__(self, desk: Desk, methods: Sequence[Method], *, workers: int = 64) -> None:
        self._desk = desk
        self._stopping = threading.Event()
        self._server = grpc.server(
            ThreadPoolExecutor(max_workers=workers, thread_name_prefix="twin-rpc"),
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
            ],
        )
        by_service: dict[str, dict[str, grpc.RpcMethodHandler]] = {}
        for method in methods:
            service, _, name = method.path.strip("/").partition("/")
            by_service.setdefault(service, {})[name] = self._handler(method)
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(service, handlers)
                for service, handlers in by_service.items()
            ]
        )
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    @property
    def endpoint(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Ends the server; calls that hang are let go."""
        self._stopping.set()
        self._server.stop(grace=0.2).wait(timeout=5)

    def _handler(self, method: Method) -> grpc.RpcMethodHandler:
        request_type, response_type = plain(method.request), plain(method.response)

        def serve(request: Any, context: grpc.ServicerContext) -> Any:
            body = to_json(request)
            metadata = {str(k).lower(): str(v) for k, v in context.invocation_metadata() or ()}
            principal = self._desk.iam.principal(metadata.get("authorization", ""))
            caller = Caller(context.peer(), principal)
            left = context.time_remaining()
            call = Call(method.short, body, time.monotonic(), caller.peer, principal, deadline=left)
            try:
                answer = self._answer(method, body, caller, context)
                message = (
                    answer
                    if isinstance(answer, response_type)
                    else self._desk.messages.answer(answer, response_type)
                )
            except Refusal as refusal:
                self._desk.journal.write(call, refusal.status)
                context.abort(grpc.StatusCode[refusal.status], refusal.message)
            except _Faulted as faulted:
                self._desk.journal.write(call, faulted.fault.status or "HANG")
                _abort(context, faulted.fault)
            except Exception as err:  # noqa: BLE001  # the twin's own fault must be seen by the test
                self._desk.journal.write(call, "UNKNOWN")
                context.abort(grpc.StatusCode.UNKNOWN, f"the twin broke: {err!r}")
            self._desk.journal.write(call, "OK")
            return message

        return grpc.unary_unary_rpc_method_handler(
            serve,
            request_deserializer=request_type.FromString,
            response_serializer=response_type.SerializeToString,
        )

    def _answer(
        self, method: Method, body: Body, caller: Caller, context: grpc.ServicerContext
    ) -> Any:
        fault = self._desk.faults.take(method.short)
        if fault and not fault.after:
            self._suffer(fault, context)
        missing = self._desk.iam.missing(method.short, body)
        if missing:
            refusal = Refusal("PERMISSION_DENIED", missing)
            if method.denied:
                method.denied(body, caller, refusal)
            raise refusal
        answer = method.answer(body, caller)
        if fault and fault.after:
            self._suffer(fault, context)
        return answer

    def _suffer(self, fault: Fault, context: grpc.ServicerContext) -> None:
        if fault.delay:
            self._stopping.wait(fault.delay)
        deadline = time.monotonic() + fault.hang
        while fault.hang and time.monotonic() < deadline and context.is_active():
            if self._stopping.wait(0.02):
                break
        if fault.status or fault.hang or fault.drop:
            raise _Faulted(fault)


def _abort(context: grpc.ServicerContext, fault: Fault) -> None:
    name = fault.status or "UNAVAILABLE"
    details = status_pb2.Status(code=code_pb2.Code.Value(name), message=fault.message)
    if fault.retry_after is not None:
        wait = duration_pb2.Duration()
        wait.FromNanoseconds(int(fault.retry_after * 1e9))
        packed = any_pb2.Any()
        packed.Pack(error_details_pb2.RetryInfo(retry_delay=wait))
        details.details.append(packed)
        context.set_trailing_metadata([("grpc-status-details-bin", details.SerializeToString())])
    context.abort(grpc.StatusCode[name], fault.message)


def page(items: Sequence[Any], body: Mapping[str, Any], default: int) -> tuple[list[Any], str]:
    """One page of `items` by `pageSize` and `pageToken`, and the token of the next."""
    size = min(int(body.get("pageSize") or default), 1000)
    token = str(body.get("pageToken") or "0")
    if not token.isdigit():
        raise Refusal("INVALID_ARGUMENT", "The page token is invalid.")
    start = int(token)
    following = str(start + size) if start + size < len(items) else ""
    return list(items[start : start + size]), following
