"""Latency of data sources: DNS, connect, TLS, first byte; and what may be measured at all.

HANDS. A name is resolved once, every address of it is judged, and the connection goes to the judged
address itself, so that a name that changes its mind leads nowhere. Nothing private, link-local or of
a metadata server is ever spoken to; loopback only where the caller says so. No credentials, no
redirects followed, a few bytes read. Called by `app` for evidence and by `probe`.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import ssl
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from remediator.case import Probe
from remediator.domain import Refused, Transient, Unusable

TRIES = 3
TIMEOUT_SECONDS = 5.0
_FIRST_BYTES = 256
_P95 = 0.95
_PROXY_VARIABLES = (
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "HTTP_PROXY",
    "all_proxy",
    "ALL_PROXY",
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Latency of one URL. Times in seconds, medians over the tries that were answered.

    `seconds` is the whole way to the first byte, None where `why` says what prevented it.
    """

    url: str
    seconds: float | None = None
    p95: float | None = None
    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    tries: int = 0
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        names = ("url", "seconds", "p95", "dns", "connect", "tls", "first_byte", "tries", "why")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class _Try:
    dns: float
    connect: float
    tls: float
    first_byte: float

    @property
    def seconds(self) -> float:
        return self.dns + self.connect + self.tls + self.first_byte


def measure(
    url: str,
    *,
    origin: str,
    allow_loopback: bool = False,
    tries: int = TRIES,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Probe:
    """The latency as evidence, measured from `origin` (a region).

    Raises Refused where it may not be measured, Transient where nothing answered.
    """
    found = probe(url, tries=tries, timeout=timeout_seconds, allow_loopback=allow_loopback)
    if found.seconds is None:
        msg = f"{_host(url)} was not measured: {found.why}"
        raise Transient(msg)
    return Probe(url=url, seconds=round(found.seconds, 3), origin=origin)


def probe(
    url: str,
    *,
    tries: int = TRIES,
    timeout: float = TIMEOUT_SECONDS,
    allow_loopback: bool = False,
    resolve: Callable[[str, int], Sequence[str]] | None = None,
) -> Measured:
    """Several tries, one after the other; raises Unusable for what is no http(s) URL, Refused for a
    place that may not be spoken to.

    `timeout` is for each step of a try. Behind a proxy only loopback is measured: another latency
    than the proxy's could not be.
    """
    parts = _parts(url)
    if not allow_loopback and any(os.environ.get(name) for name in _PROXY_VARIABLES):
        msg = "skipped: behind a proxy a probe would measure the proxy"
        raise Refused(msg)
    found: list[_Try] = []
    why = ""
    for _ in range(max(1, tries)):
        try:
            found.append(_try(parts, timeout, allow_loopback, resolve or _resolve))
        except (OSError, ValueError) as err:
            why = f"{type(err).__name__}: {err}"
    if not found:
        return Measured(url, why=why or "no answer")
    whole = sorted(one.seconds for one in found)
    return Measured(
        url=url,
        seconds=statistics.median(whole),
        p95=whole[min(len(whole) - 1, round(_P95 * (len(whole) - 1)))],
        dns=statistics.median(one.dns for one in found),
        connect=statistics.median(one.connect for one in found),
        tls=statistics.median(one.tls for one in found),
        first_byte=statistics.median(one.first_byte for one in found),
        tries=len(found),
    )


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as err:
        msg = f"not a URL: {url[:200]!r}"
        raise Unusable(msg) from err
    unsafe = any(ord(letter) <= ord(" ") for letter in url)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or unsafe:
        msg = f"not an http or https URL: {url[:200]!r}"
        raise Unusable(msg)
    if parts.username or parts.password:
        msg = "a probe carries no credentials, and the URL has some"
        raise Unusable(msg)
    return parts


def _host(url: str) -> str:
    return urlsplit(url).hostname or url[:100]


def _resolve(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def judged(addresses: Sequence[str], *, allow_loopback: bool) -> str:
    """The first address, if every one of them may be spoken to; raises Refused otherwise."""
    for text in addresses:
        address: Any = ipaddress.ip_address(text.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        if address.is_loopback and allow_loopback:
            continue
        if not address.is_global or address.is_multicast:
            msg = f"{text} is a private, local or reserved address"
            raise Refused(msg)
    if not addresses:
        msg = "the name has no address"
        raise Refused(msg)
    return addresses[0]


def _try(
    parts: SplitResult,
    timeout: float,
    allow_loopback: bool,
    resolve: Callable[[str, int], Sequence[str]],
) -> _Try:
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    started = time.perf_counter()
    address = judged(resolve(host, port), allow_loopback=allow_loopback)
    resolved = time.perf_counter()
    with socket.create_connection((address, port), timeout=timeout) as plain:
        connected = time.perf_counter()
        plain.settimeout(timeout)
        if parts.scheme == "https":
            with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure:
                shaken = time.perf_counter()
                _ask(secure, parts)
        else:
            shaken = connected
            _ask(plain, parts)
    answered = time.perf_counter()
    return _Try(resolved - started, connected - resolved, shaken - connected, answered - shaken)


def _ask(connection: socket.socket, parts: SplitResult) -> None:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    target = path.encode("ascii", "ignore").decode()
    request = (
        f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
        "User-Agent: vertex-remediator-probe\r\nAccept: */*\r\n"
        "Range: bytes=0-0\r\nConnection: close\r\n\r\n"
    )
    connection.sendall(request.encode())
    if not connection.recv(_FIRST_BYTES):
        msg = "closed without an answer"
        raise ConnectionError(msg)


def table(measured: Sequence[Measured], threshold: float) -> str:
    """What `probe` prints; times in milliseconds."""
    lines = [f"{'median':>9} {'p95':>9} {'dns':>7} {'connect':>8} {'tls':>7} {'first':>8}  url"]
    for one in measured:
        if one.seconds is None:
            lines.append(f"{'no answer':>53}  {one.url}  ({one.why})")
            continue
        times = (one.seconds, one.p95, one.dns, one.connect, one.tls, one.first_byte)
        shown = [f"{1000 * (value or 0.0):.0f} ms" for value in times]
        mark = f"  over {threshold:g} s" if one.seconds > threshold else ""
        widths = (9, 9, 7, 8, 7, 8)
        row = " ".join(f"{text:>{width}}" for text, width in zip(shown, widths, strict=True))
        lines.append(f"{row}  {one.url}{mark}")
    return "\n".join(lines)
