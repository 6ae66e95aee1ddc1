"""A small threaded HTTP/1.1 server on loopback, with the same faults and journal as the gRPC ones.

Routes are tried in order: (method, regular expression over the path, function, name).
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from twin.faults import Call
from twin.rpc import Desk


@dataclass(frozen=True)
class Request:
    """One request; `groups` are the named parts of the route, unquoted."""

    method: str
    path: str
    groups: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    repeated: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Every value of each query parameter; `query` has the first."""


@dataclass(frozen=True)
class Answer:
    """One answer; `body` as bytes, or anything that JSON can hold."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """One thing that the server does; `name` is what faults and the journal call it."""

    method: str
    pattern: str
    answer: Callable[[Request], Answer]
    name: str


class HttpServer:
    """Serves `routes` on a free loopback port until `stop`."""

    def __init__(self, desk: Desk, routes: Sequence[Route]) -> None:
        self._desk = desk
        self._routes = [(route, re.compile(route.pattern)) for route in routes]
        self._stopping = threading.Event()
        outer = self

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # One write for headers, one for the body: without this each answer waits 40 ms.
            disable_nagle_algorithm = True

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError, ValueError):
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Silent: the journal knows."""

            def _any(self) -> None:
                outer._serve(self)

            do_GET = _any  # noqa: N815  # the standard library's names
            do_POST = _any  # noqa: N815  # likewise
            do_PUT = _any  # noqa: N815  # likewise
            do_DELETE = _any  # noqa: N815  # likewise
            do_HEAD = _any  # noqa: N815  # likewise

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        """Ends the server; requests that hang are let go."""
        self._stopping.set()
        with contextlib.suppress(OSError):  # wakes the thread, which waits for a connection
            socket.create_connection(("127.0.0.1", self.port), timeout=5).close()
        self._thread.join(timeout=5)
        self._server.server_close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._server.handle_request()

    def _serve(self, door: BaseHTTPRequestHandler) -> None:
        where = urlsplit(door.path)
        body = door.rfile.read(int(door.headers.get("Content-Length") or 0))
        for route, pattern in self._routes:
            match = pattern.fullmatch(where.path)
            if match and route.method in (door.command, "*"):
                break
        else:
            _send(door, Answer(404, {"error": {"code": 404, "message": "Not Found"}}))
            return
        request = Request(
            door.command,
            where.path,
            {key: unquote(value or "") for key, value in match.groupdict().items()},
            {key: values[0] for key, values in parse_qs(where.query).items()},
            {key.lower(): value for key, value in door.headers.items()},
            body,
            parse_qs(where.query),
        )
        principal = self._desk.iam.principal(request.headers.get("authorization", ""))
        shown = {"path": request.path, **request.groups, **request.query}
        call = Call(route.name, shown, time.monotonic(), f"{door.client_address[0]}", principal)
        answer = self._answer(route, request)
        self._desk.journal.write(call, "DROPPED" if answer is None else str(answer.status))
        if answer is None:
            door.close_connection = True
        else:
            _send(door, answer)

    def _answer(self, route: Route, request: Request) -> Answer | None:
        """None: the connection is closed without an answer."""
        fault = self._desk.faults.take(route.name)
        done: Answer | None = None
        if fault is None or fault.after:
            denied = self._desk.iam.missing(route.name, {"name": request.path})
            if denied:
                return Answer(403, {"error": {"code": 403, "message": denied}})
            done = route.answer(request)
        if fault is None:
            return done
        self._stopping.wait(fault.delay)
        if fault.hang or fault.drop:
            self._stopping.wait(fault.hang)
            return None
        if not fault.status:
            return done or route.answer(request)
        wait = "" if fault.retry_after is None else f"{fault.retry_after:g}"
        return Answer(
            int(fault.status), fault.message.encode(), {"Retry-After": wait} if wait else {}
        )


def _send(door: BaseHTTPRequestHandler, answer: Answer) -> None:
    body = answer.body
    headers = dict(answer.headers)
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers.setdefault("Content-Type", "application/json; charset=UTF-8")
    if "Date" in headers:
        door.send_response_only(answer.status)
    else:
        door.send_response(answer.status)
    for key, value in headers.items():
        door.send_header(key, value)
    door.send_header("Content-Length", str(len(body)))
    door.end_headers()
    if door.command != "HEAD":
        door.wfile.write(body)
