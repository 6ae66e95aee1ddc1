"""Runs beside a scenario in its network: failing hosts, and the client of a prediction server.

    python3 inside.py FILE.json

FILE: `{"root": folder, "hosts": [{"ip", "port", "does", …}], "server": {…} | null}`.

A host `does` one of: `stall` (accepts, answers nothing), `slow` (each answer after `seconds`), `status`
(answers `code` with `body`), `reset` (closes with RST after the request), `cut` (half of a body); one
that does nothing has nobody who listens, and refuses. A name server on 127.0.0.53 answers NXDOMAIN to
every name. The client asks the health route, then the prediction route as Vertex's batch client does:
three tries, each at most `timeout` seconds, which stand for its 600.
"""

import json
import socket
import socketserver
import struct
import sys
import threading
import time
import urllib.error
import urllib.request
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TRIES = 3  # documented (Vertex's error text: "retry=3")
NEVER_READY = (
    "Error: model server never became ready. Please validate that your model file or container"
    " configuration are valid."
)
POST_FAILS = "Post request fails. Cannot get predictions. Error: Exceeded retries: "
RESET = "upstream connect error or disconnect/reset before headers. reset reason: "

settings = json.loads(Path(sys.argv[1]).read_text())
root = Path(settings["root"])


def names() -> None:
    """NXDOMAIN to every question."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.53", 53))
    while True:
        q, who = s.recvfrom(2048)
        s.sendto(q[:2] + b"\x81\x83" + q[4:6] + b"\0\0\0\0\0\0" + q[12:], who)


def raw(h: dict) -> socketserver.BaseServer:
    """A host that speaks no HTTP: it stalls, or resets the connection once it was asked."""

    class Raw(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if h["does"] == "stall":
                time.sleep(600)
            self.request.recv(4096)
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.request.close()

    return socketserver.ThreadingTCPServer((h["ip"], h["port"]), Raw)


def web(h: dict) -> socketserver.BaseServer:
    """A host that answers, late, with an error, or with half of a body."""

    class Web(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None: ...

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            time.sleep(h.get("seconds", 0))
            body = h.get("body", "").encode()
            self.send_response(h.get("code", 200))
            self.send_header("Content-Type", h.get("type", "text/plain"))
            self.send_header("Content-Length", str(len(body) * (2 if h["does"] == "cut" else 1)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            self.close_connection = h["does"] == "cut"

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = answer  # noqa: N815

    return ThreadingHTTPServer((h["ip"], h["port"]), Web)


def ready(s: dict, base: str) -> float | None:
    """When the health route answered 200; None: not in time."""
    limit = time.time() + s.get("ready_timeout", 30)
    while time.time() < limit:
        try:
            with urllib.request.urlopen(base + s.get("health", "/health"), timeout=2) as answer:
                if answer.status == HTTPStatus.OK:
                    return time.time()
        except (OSError, ValueError):
            time.sleep(0.3)
    return None


def ask(request: urllib.request.Request, seconds: float) -> tuple[int, str]:
    """Status and body, as a proxy before the server would tell them."""
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            return answer.status, answer.read().decode(errors="replace")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except OSError as error:
        reason = getattr(error, "reason", error)
    if isinstance(reason, TimeoutError):
        return 504, "upstream request timeout"
    refused = isinstance(reason, ConnectionRefusedError)
    return 503, RESET + ("connection failure" if refused else "connection termination")


def run_batch(s: dict) -> dict:
    base = f"http://127.0.0.1:{s.get('port', 8080)}"
    since = ready(s, base)
    if since is None:
        return {"ready": None, "results": [], "error": NEVER_READY}
    instances = [s.get("instance", [1.0, 2.0, 3.0])] * 64
    if "odd" in s:
        instances[41] = s["odd"]
    if "bytes" in s:  # chosen by the scenario: the size of each instance
        instances = [{"b64": "A" * s["bytes"]}] * 64
    body = json.dumps({"instances": instances}).encode()
    headers = {"Content-Type": "application/json"}
    results, begun = [], time.time()
    while len(results) < TRIES and (not results or results[-1]["status"] >= HTTPStatus.BAD_REQUEST):
        time.sleep(2 if results else 0)
        at = time.time()
        request = urllib.request.Request(base + s.get("predict", "/predict"), body, headers)
        status, text = ask(request, s.get("timeout", 20))
        elapsed = round(time.time() - at, 2)
        results.append({"status": status, "body": text[:4000], "elapsed": elapsed, "at": at})
    time.sleep(1.5)  # the server's last lines
    status, text = results[-1]["status"], results[-1]["body"]
    if status < HTTPStatus.BAD_REQUEST:
        return {"ready": since, "results": results, "error": None}
    late = status == HTTPStatus.GATEWAY_TIMEOUT and text.startswith("upstream")
    elapsed = (
        600.04 if late else time.time() - begun
    )  # Vertex's own limit, which `timeout` stands for
    error = f"Non-OK result {status} ({text}) from server, retry=3, elapsed={elapsed:.2f}s."
    return {"ready": since, "results": results, "error": POST_FAILS + error}


threading.Thread(target=names, daemon=True).start()
for h in settings["hosts"]:
    if "does" in h:
        server = raw(h) if h["does"] in ("stall", "reset") else web(h)
        threading.Thread(target=server.serve_forever, daemon=True).start()
(root / "hosts-ready").touch()
if settings["server"] is not None:
    answers = run_batch(settings["server"])
    (root / "answers.json").write_text(json.dumps(answers))
    (root / "finished").touch()
while root.exists():
    time.sleep(1)
