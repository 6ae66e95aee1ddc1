"""Latency probes: what they measure, and where they never go."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from remediator.domain import InvalidInput, PermanentError, TransientError
from remediator.evidence.probe import Measured, judged, measure, probe, table
from tests.waiting import HANG_SECONDS

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FOREVER = 3600.0  # seconds
PROXIES = ("https_proxy", "http_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Server:
    """Answers every connection on loopback with `answer` after `seconds`; keeps what was asked."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.answer: bytes = OK
        self.seconds = 0.0
        self.requests: list[bytes] = []
        self.accepted = 0
        self.sent = 0  # bytes, as the last peer took them
        self._context = context
        self._closing = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            self.accepted += 1
            with peer:
                peer.settimeout(HANG_SECONDS)
                try:
                    self._serve(peer)
                except OSError:
                    continue

    def _serve(self, peer: socket.socket) -> None:
        if self._context is not None:
            peer = self._context.wrap_socket(peer, server_side=True)
        self.requests.append(peer.recv(65536))
        self._closing.wait(self.seconds)
        left = memoryview(self.answer)
        while left:
            taken = peer.send(left)
            self.sent += taken
            left = left[taken:]
        if self._context is not None:
            peer.close()

    def close(self) -> None:
        if self._closing.is_set():
            return
        self._closing.set()
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(60)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


def name_for(*answers: Sequence[str]) -> Callable[[str, int], Sequence[str]]:
    """A resolver that gives these answers in turn, then the last one for ever."""
    left = list(answers)
    return lambda _host, _port: left.pop(0) if len(left) > 1 else left[0]


# --- what is measured --------------------------------------------------------------------------


def test_each_part_of_the_way_is_measured_over_several_tries(server: Server) -> None:
    server.seconds = 0.03
    found = probe(
        f"http://data.example:{server.port}/x",
        tries=3,
        allow_loopback=True,
        resolve=name_for(["127.0.0.1"]),
    )
    assert found.tries == 3
    assert found.seconds is not None
    assert found.p95 is not None
    assert found.first_byte is not None
    assert 0.03 <= found.first_byte <= found.seconds <= found.p95
    assert found.tls == 0
    assert (found.why, server.accepted) == ("", 3)


def test_the_request_bears_the_name_and_nothing_that_is_secret(server: Server) -> None:
    url = f"http://data.example:{server.port}/a%20b/ü?X-Goog-Signature=abc#frag"
    probe(url, tries=1, allow_loopback=True, resolve=name_for(["127.0.0.1"]))
    assert server.requests == [
        b"GET /a%20b/%C3%BC HTTP/1.1\r\n"
        + f"Host: data.example:{server.port}\r\n".encode()
        + b"User-Agent: vertex-remediator-probe\r\nAccept: */*\r\n"
        b"Range: bytes=0-0\r\nConnection: close\r\n\r\n"
    ]


def test_tls_is_measured_with_the_name_that_was_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, authority = certificate("data.example", tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    server = Server(context)
    try:
        resolve = name_for(["127.0.0.1"])
        ask: dict[str, Any] = {"tries": 1, "allow_loopback": True, "resolve": resolve}
        found = probe(f"https://data.example:{server.port}/", **ask)
        other = probe(f"https://other.example:{server.port}/", **ask)
    finally:
        server.close()
    assert found.tls is not None
    assert found.tls > 0
    assert other.seconds is None
    assert "CERTIFICATE_VERIFY_FAILED" in other.why


def certificate(name: str, folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS for one name, and the file of the authority that vouches for it: itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    authority, chain = folder / "ca.pem", folder / "server.pem"
    authority.write_bytes(made.public_bytes(pem))
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(private + made.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    return context, authority


def test_a_redirect_is_an_answer_and_is_not_followed(server: Server) -> None:
    server.answer = b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n"
    found = probe(f"http://127.0.0.1:{server.port}/", tries=1, allow_loopback=True)
    assert found.seconds is not None
    assert server.accepted == 1


def test_an_endless_answer_is_read_for_a_few_bytes_only(server: Server) -> None:
    server.answer = b"x" * 50_000_000
    found = probe(f"http://127.0.0.1:{server.port}/", tries=1, allow_loopback=True)
    assert found.seconds is not None
    server.close()  # waits until the server has noticed that nobody reads on
    assert server.sent < 25_000_000  # what the sockets' buffers took


def test_a_place_that_never_answers_costs_one_try(server: Server) -> None:
    server.seconds = FOREVER
    found = probe(f"http://127.0.0.1:{server.port}/", tries=5, timeout=0.1, allow_loopback=True)
    assert (found.seconds, found.tries) == (None, 0)
    assert "TimeoutError" in found.why  # the socket's, or where the machine is busy the probe's own
    assert server.accepted <= 1


def test_a_resolver_that_hangs_is_given_up() -> None:
    release = threading.Event()

    def resolve(_host: str, _port: int) -> Sequence[str]:
        release.wait()
        return ["127.0.0.1"]

    found = probe("http://slow.example/", timeout=0.1, resolve=resolve)
    release.set()  # only now: what came back before did not wait for it
    assert "TimeoutError" in found.why


@pytest.mark.parametrize("answer", [b"", b"\x00"], ids=["closed", "nonsense"])
def test_what_answers_is_not_judged_but_silence_is_no_answer(server: Server, answer: bytes) -> None:
    server.answer = answer
    found = probe(f"http://127.0.0.1:{server.port}/", tries=1, allow_loopback=True)
    assert (found.seconds is None) == (answer == b"")


def test_a_second_address_is_tried_where_the_first_is_dead(server: Server) -> None:
    found = probe(
        f"http://data.example:{server.port}/",
        tries=1,
        timeout=HANG_SECONDS,
        allow_loopback=True,
        resolve=name_for(["127.77.77.77", "127.0.0.1"]),
    )
    assert found.seconds is not None


# --- where it never goes -----------------------------------------------------------------------

FORBIDDEN = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "100.100.100.200",
    "169.254.169.254",
    "168.63.129.16",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "240.0.0.1",
    "198.18.0.1",
    "::",
    "::10.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2002:a00:1::1",
    "2001:0:53aa:64c::1",
    "2001:db8::1",
    "fd00:ec2::254",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("address", FORBIDDEN)
@pytest.mark.parametrize("allow_loopback", [False, True])
def test_no_address_inside_a_network_is_spoken_to(address: str, *, allow_loopback: bool) -> None:
    with pytest.raises(PermanentError, match="private, local or reserved"):
        judged([address], allow_loopback=allow_loopback)
    with pytest.raises(PermanentError):
        judged(["8.8.8.8", address], allow_loopback=allow_loopback)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.5.5.5", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_spoken_to_only_where_the_cloud_is_there(address: str) -> None:
    assert judged([address], allow_loopback=True) == (address,)
    with pytest.raises(PermanentError):
        judged([address], allow_loopback=False)


@pytest.mark.parametrize("address", ["8.8.8.8", "2607:f8b0::1", "64:ff9b::808:808"])
def test_the_world_is_spoken_to(address: str) -> None:
    assert judged([address], allow_loopback=False) == (address,)


def test_a_name_without_an_address_is_refused() -> None:
    with pytest.raises(PermanentError, match="no address"):
        judged([], allow_loopback=False)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "localhost", "2130706433", "0x7f.1", "127.1", "0"]
)
def test_no_spelling_of_loopback_gets_through(server: Server, host: str) -> None:
    try:
        found = probe(f"http://{host}:{server.port}/", tries=1)
    except PermanentError:
        found = Measured("")
    assert found.seconds is None
    assert server.accepted == 0


def test_a_name_that_changes_its_mind_leads_nowhere(server: Server) -> None:
    """Rebinding: the second answer is judged too, and nothing is resolved between the two."""
    asked = []

    def resolve(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    url = f"http://rebind.example:{server.port}/"
    with pytest.raises(PermanentError, match=r"10\.0\.0\.1"):
        probe(url, tries=2, allow_loopback=True, resolve=resolve)
    assert (len(asked), server.accepted) == (2, 1)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x/",
        "file:///etc/passwd",
        "gopher://x/",
        "http://",
        "http:///x",
        "x",
        "",
        "http://x:0/",
        "http://x:99999/",
        "http://user:pass@x/",
        "http://token@x/",
        "http://@x/",
        "http://x/a b",
        "http://x/\r\nHost: y",
        "http://[::1",
        "http://x\x7f/",
    ],
)
def test_what_is_no_plain_url_is_unusable(url: str) -> None:
    with pytest.raises(InvalidInput):
        probe(url)


# --- proxies -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "variable", "says"),
    [
        ("https://data.example/", "https_proxy", "https_proxy"),
        ("http://data.example/", "HTTP_PROXY", "http_proxy"),
        ("https://data.example/", "all_proxy", "all_proxy"),
    ],
)
def test_behind_a_proxy_it_is_skipped_and_says_why(
    monkeypatch: pytest.MonkeyPatch, url: str, variable: str, says: str
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1")
    found = probe(url, resolve=name_for(["10.0.0.1"]))
    assert found.seconds is None
    assert found.why == f"skipped behind a proxy: {says} is set, and would be what is measured"
    with pytest.raises(PermanentError, match="skipped behind a proxy"):
        measure(url, origin="us-central1")


def test_what_goes_around_the_proxy_is_measured(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    local = probe(f"http://127.0.0.1:{server.port}/", tries=1, allow_loopback=True)
    monkeypatch.setenv("no_proxy", "data.example")
    spared = probe(
        f"http://data.example:{server.port}/",
        tries=1,
        allow_loopback=True,
        resolve=name_for(["127.0.0.1"]),
    )
    assert None not in (local.seconds, spared.seconds)


# --- as evidence and as a table ----------------------------------------------------------------


def test_as_evidence_it_says_where_it_was_measured_and_drops_the_query(server: Server) -> None:
    url = f"http://127.0.0.1:{server.port}/d"
    found = measure(f"{url}?key=secret#x", origin="us-east1", allow_loopback=True, tries=1)
    assert (found.url, found.origin) == (url, "us-east1")
    assert 0 <= found.seconds < 2


def test_a_place_that_is_silent_now_may_answer_later() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(
        TransientError, match=r"127\.0\.0\.1 was not measured: ConnectionRefusedError"
    ):
        measure(f"http://127.0.0.1:{port}/", origin="x", allow_loopback=True, tries=1)


def test_the_table_reads_as_it_should() -> None:
    shown = table(
        [
            Measured("https://a/", 0.7312, 0.9, 0.011, 0.02, 0.1, 0.6, 5),
            Measured("https://b/", 0.2, 0.2, 0.0, 0.1, 0.0, 0.1, 5),
            Measured("https://c/", why="skipped behind a proxy"),
        ],
        0.5,
    )
    assert shown == (
        "   median       p95     dns  connect     tls    first  url\n"
        "   731 ms    900 ms   11 ms    20 ms  100 ms   600 ms  https://a/  over 0.5 s\n"
        "   200 ms    200 ms    0 ms   100 ms    0 ms   100 ms  https://b/\n"
        "                                            no answer  https://c/  (skipped behind a proxy)"
    )
