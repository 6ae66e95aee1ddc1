"""Latency of data sources: DNS, connect, TLS, first byte; and what may be measured at all.

HANDS. A name is resolved once, every address of it is judged, and the connection goes to the judged
address itself, so that a name that changes its mind leads nowhere. Nothing private, link-local or of
a metadata server is ever spoken to; loopback only where the caller says so. No credentials, no
redirects followed, a few bytes read. Called by `app` for evidence and by `probe`.
"""

from __future__ import annotations

import ipaddress
import math
import socket
import ssl
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit
from urllib.request import getproxies, proxy_bypass

from msgspec import Struct

from remediator.case import Probe
from remediator.domain import InvalidInput, PermanentError, TransientError

TRIES = 3
TIMEOUT_SECONDS = 5.0
_FIRST_BYTES = 256
_P95 = 0.95
_MOST_ADDRESSES = 3
_SKIPPED = "skipped behind a proxy"
_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052
# A cloud's metadata server on a public address (Azure's); all others are link-local or private.
_METADATA = frozenset({"168.63.129.16"})


class Measured(Struct, frozen=True):
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

    @property
    def was_skipped(self) -> bool:
        """It was not tried at all: a proxy would have been measured."""
        return self.why.startswith(_SKIPPED)

    def to_json(self) -> dict[str, Any]:
        names = ("url", "seconds", "p95", "dns", "connect", "tls", "first_byte", "tries", "why")
        return {name: getattr(self, name) for name in names}


class _Try(Struct, frozen=True):
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

    Raises PermanentError where it may not be measured, TransientError where nothing answered.
    """
    found = probe(url, tries=tries, timeout=timeout_seconds, allow_loopback=allow_loopback)
    if found.seconds is None:
        kind = PermanentError if found.was_skipped else TransientError
        msg = f"{_host(url)} was not measured: {found.why}"
        raise kind(msg)
    asked = urlsplit(url)._replace(query="", fragment="").geturl()
    return Probe(url=asked, seconds=round(found.seconds, 3), origin=origin)


def probe(
    url: str,
    *,
    tries: int = TRIES,
    timeout: float = TIMEOUT_SECONDS,
    allow_loopback: bool = False,
    resolve: Callable[[str, int], Sequence[str]] | None = None,
) -> Measured:
    """Several tries, one after the other, each within `timeout` seconds from DNS to first byte.

    Raises InvalidInput for what is no http(s) URL, PermanentError for a place that may not be spoken to. Behind
    a proxy it is skipped, and `why` says so. A first try that nobody answers is the only one.
    """
    parts = _parts(url)
    if _is_address(parts.hostname or ""):
        judged([parts.hostname or ""], allow_loopback=allow_loopback)
    proxied = _proxy_of(parts)
    if proxied:
        return Measured(url, why=f"{_SKIPPED}: {proxied} is set, and would be what is measured")
    found: list[_Try] = []
    why = ""
    for _ in range(max(1, tries)):
        try:
            found.append(_try(parts, timeout, allow_loopback, resolve or _resolve))
        except (OSError, ValueError) as err:
            why = f"{type(err).__name__}: {err}"
            if not found:
                break
    if not found:
        return Measured(url, why=why or "no answer")
    whole = sorted(one.seconds for one in found)
    return Measured(
        url=url,
        seconds=statistics.median(whole),
        p95=whole[math.ceil(_P95 * len(whole)) - 1],
        dns=statistics.median(one.dns for one in found),
        connect=statistics.median(one.connect for one in found),
        tls=statistics.median(one.tls for one in found),
        first_byte=statistics.median(one.first_byte for one in found),
        tries=len(found),
    )


# --- what may be spoken to -----------------------------------------------------------------------


def judged(addresses: Sequence[str], *, allow_loopback: bool) -> tuple[str, ...]:
    """The addresses, if every one of them may be spoken to; raises PermanentError otherwise.

    One forbidden address among good ones refuses all: no honest name resolves so.
    """
    for text in addresses:
        if not _may_be_spoken_to(text, allow_loopback=allow_loopback):
            msg = f"{text} is a private, local or reserved address"
            raise PermanentError(msg)
    if not addresses:
        msg = "the name has no address"
        raise PermanentError(msg)
    return tuple(addresses)


def _may_be_spoken_to(text: str, *, allow_loopback: bool) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:  # the network's own way to an IPv4 address, which is what counts
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        elif address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif address.is_loopback:
            return allow_loopback
        elif address not in _GLOBAL_UNICAST or address.sixtofour or address.teredo:
            return False  # tunnels carry an IPv4 address that nobody here would see
    if address.is_loopback:
        return allow_loopback
    return address.is_global and not address.is_multicast and str(address) not in _METADATA


def _proxy_of(parts: SplitResult) -> str:
    """The variable that sends this URL through a proxy; "" where none does. Loopback never goes."""
    host = parts.hostname or ""
    if _loops_back(host) or host == "localhost" or proxy_bypass(host):
        return ""
    proxies = getproxies()
    name = next((name for name in (parts.scheme, "all") if proxies.get(name)), "")
    return f"{name}_proxy" if name else ""


def is_at_loopback(endpoint: str) -> bool:
    """Whether this is `host:port`, or a URL with a port, on loopback."""
    try:
        parts = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    return port is not None and (host == "localhost" or _loops_back(host))


def _loops_back(host: str) -> bool:
    return _is_address(host) and ipaddress.ip_address(host).is_loopback


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as err:
        msg = f"not a URL: {url[:200]!r}"
        raise InvalidInput(msg) from err
    unsafe = any(ord(letter) <= ord(" ") or letter == "\x7f" for letter in url)
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0 or unsafe:
        msg = f"not an http or https URL: {url[:200]!r}"
        raise InvalidInput(msg)
    if parts.username is not None or parts.password is not None:
        msg = "a probe carries no credentials, and the URL has some"
        raise InvalidInput(msg)
    return parts


def _host(url: str) -> str:
    return urlsplit(url).hostname or url[:100]


# --- one try -------------------------------------------------------------------------------------


def _resolve(host: str, port: int) -> Sequence[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _try(
    parts: SplitResult,
    timeout: float,
    allow_loopback: bool,
    resolve: Callable[[str, int], Sequence[str]],
) -> _Try:
    """DNS, connect, TLS and the first byte, all within `timeout` seconds.

    What was judged is what is connected to: the name is not resolved a second time.
    """
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    started = time.perf_counter()

    def left() -> float:
        remaining = timeout - (time.perf_counter() - started)
        if remaining <= 0:
            msg = f"no answer within {timeout:g} s"
            raise TimeoutError(msg)
        return remaining

    addresses = judged(
        _in_time(lambda: resolve(host, port), timeout), allow_loopback=allow_loopback
    )
    resolved = time.perf_counter()
    plain, connecting = _connected(addresses[:_MOST_ADDRESSES], port, left)
    with plain:
        connected = time.perf_counter()
        plain.settimeout(left())
        if parts.scheme == "https":
            with ssl.create_default_context().wrap_socket(plain, server_hostname=host) as secure:
                shaken = time.perf_counter()
                secure.settimeout(left())
                _ask(secure, parts)
        else:
            shaken = connected
            _ask(plain, parts)
    answered = time.perf_counter()
    return _Try(resolved - started, connecting, shaken - connected, answered - shaken)


def _in_time(work: Callable[[], Sequence[str]], seconds: float) -> Sequence[str]:
    """The answer of something that knows no deadline, such as the system's resolver."""
    future: Future[Sequence[str]] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except Exception as err:  # noqa: BLE001  # whatever it is, the one who waits gets it
            future.set_exception(err)

    threading.Thread(target=run, name="probe-dns", daemon=True).start()
    return future.result(timeout=seconds)


def _connected(
    addresses: Sequence[str], port: int, left: Callable[[], float]
) -> tuple[socket.socket, float]:
    """A connection to the first address that takes one, and how long that one took."""
    failed: OSError | None = None
    for place, address in enumerate(addresses):
        began = time.perf_counter()
        try:
            share = left() / (len(addresses) - place)
            opened = socket.create_connection((address, port), timeout=share)
        except OSError as err:
            failed = err
        else:
            return opened, time.perf_counter() - began
    raise failed or OSError("no address")


def _ask(connection: socket.socket, parts: SplitResult) -> None:
    # A query may hold a signature or a key, so it is not sent: the place answers without it too.
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    host = parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii").decode()
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\n"
        "User-Agent: vertex-remediator-probe\r\nAccept: */*\r\n"
        "Range: bytes=0-0\r\nConnection: close\r\n\r\n"
    )
    connection.sendall(request.encode("ascii"))
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
