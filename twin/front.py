"""Google's front door in the twin: an HTTPS proxy that ends TLS for `*.googleapis.com` itself, and
for Slack's API.

A client that honours `https_proxy` asks it for `us-central1-aiplatform.googleapis.com:443`, gets a
certificate of the twin's own authority, and is joined byte by byte to the plaintext server of that
service. Any other host is refused, so nothing can leave this machine through it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import selectors
import socket
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CHUNK = 65536


class Front:
    """The proxy: `url` for `https_proxy`, `authority` for the variables that name a CA file."""

    def __init__(
        self,
        folder: Path,
        *,
        vertex: int,
        logging: int,
        monitoring: int,
        others: int,
        storage: int,
        slack: int,
        pagerduty: int,
        deployment: int,
    ) -> None:
        self._ports: Mapping[str, int] = {
            "aiplatform.googleapis.com": vertex,
            "logging.googleapis.com": logging,
            "monitoring.googleapis.com": monitoring,
            "secretmanager.googleapis.com": others,
            "pubsub.googleapis.com": others,
            "storage.googleapis.com": storage,
            "slack.com": slack,
            "events.pagerduty.com": pagerduty,
            "events.eu.pagerduty.com": pagerduty,
            "bigquery.googleapis.com": deployment,
            "cloudresourcemanager.googleapis.com": deployment,
            "cloudfunctions.googleapis.com": deployment,
            "cloudscheduler.googleapis.com": deployment,
            "iam.googleapis.com": deployment,
            "iamcredentials.googleapis.com": deployment,
            "oauth2.googleapis.com": deployment,
            "run.googleapis.com": deployment,
            "serviceusage.googleapis.com": deployment,
        }
        self._by_rest: Mapping[int, int] = {
            logging: deployment,
            monitoring: deployment,
            others: deployment,
        }
        self.asked: list[str] = []
        self.authority, chain = _certificates(folder)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(chain)
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, name="twin-front", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the proxy and every connection through it."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(timeout=5)

    def _port_of(self, host: str) -> int | None:
        for name, port in self._ports.items():
            if host == name or host.endswith(f"-{name}"):
                return port
        return None

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError), client:
            client.settimeout(10)
            head = b""
            while b"\r\n\r\n" not in head:
                chunk = client.recv(_CHUNK)
                if not chunk:
                    return
                head += chunk
            method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ", 2)
            host = target.rpartition(":")[0]
            self.asked.append(host)
            port = self._port_of(host)
            if method != "CONNECT" or port is None:
                client.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            with self._context.wrap_socket(client, server_side=True) as outside:
                if outside.selected_alpn_protocol() != "h2":  # REST, where others speak gRPC
                    port = self._by_rest.get(port, port)
                with socket.create_connection(("127.0.0.1", port), timeout=10) as inside:
                    self._join(outside, inside)

    def _join(self, outside: ssl.SSLSocket, inside: socket.socket) -> None:
        """Bytes both ways until one side ends."""
        outside.settimeout(0.0)
        inside.settimeout(None)
        with selectors.DefaultSelector() as waiting:
            waiting.register(outside, selectors.EVENT_READ)
            waiting.register(inside, selectors.EVENT_READ)
            while not self._closing.is_set():
                for key, _ in waiting.select(timeout=0.2):
                    if key.fileobj is inside:
                        data = inside.recv(_CHUNK)
                        if not data:
                            return
                        _send_all(outside, data)
                    elif not _drain(outside, inside):
                        return


def _drain(outside: ssl.SSLSocket, inside: socket.socket) -> bool:
    """Everything that TLS has decrypted goes inside; False when the client is gone."""
    while True:
        try:
            data = outside.recv(_CHUNK)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        if not data:
            return False
        inside.sendall(data)


def _send_all(outside: ssl.SSLSocket, data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[outside.send(view) :]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            with selectors.DefaultSelector() as waiting:
                waiting.register(outside, selectors.EVENT_WRITE | selectors.EVENT_READ)
                waiting.select(timeout=1)


def _certificates(folder: Path) -> tuple[Path, Path]:
    """(the authority's certificate, a server's key and chain) for `*.googleapis.com`, for a day."""
    now = dt.datetime.now(dt.UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Twin Root CA")])

    def builder(subject: x509.Name, public: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(root_name)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()),
                critical=False,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        )

    root = (
        builder(root_name, root_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign_certificates=True), critical=True)
        .sign(root_key, hashes.SHA256())
    )
    names = [
        "*.googleapis.com",
        "googleapis.com",
        "*.google.internal",
        "slack.com",
        "*.pagerduty.com",
        "*.eu.pagerduty.com",
    ]
    leaf = (
        builder(
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "*.googleapis.com")]),
            key.public_key(),
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign_certificates=False), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    authority, chain = folder / "twin-ca.pem", folder / "twin-server.pem"
    authority.write_bytes(root.public_bytes(pem))
    private = key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(private + leaf.public_bytes(pem) + root.public_bytes(pem))
    return authority, chain


def _usage(*, sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
