"""How every client reaches Google: channels, credentials, deadlines, retries and error mapping.

Owns the one retry rule, the one mapping of Google's errors to ours, and the rule that plaintext
endpoints are loopback ones. Opens nothing by itself: the other files of this folder call it when
they are first used. Knows no service and no job.
"""

from __future__ import annotations

import http
import ipaddress
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from remediator import log
from remediator.deadline import call_with_retries, remaining
from remediator.domain import (
    InvalidInput,
    NotFound,
    NotServed,
    OutcomeUnknown,
    PermanentError,
    PermissionDenied,
    RemediatorError,
    TransientError,
)
from remediator.domain.late_pattern import late_pattern

T = TypeVar("T")

SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
DEFAULT_TIMEOUT_SECONDS = 20.0
_LEAST_TRY_SECONDS = 0.05
_LEAST_CREATE_SECONDS = 5.0  # a create that is cut short leaves a job that nobody knows of
_MESSAGE_LIMIT = 4000  # Vertex's longest known refusal is well under this

_OTHER_IDENTITIES = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_API_CERTIFICATE_CONFIG")
_ROOTS_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")

# A create that is refused because something is used up, in the service's own words; anything else
# that says RESOURCE_EXHAUSTED is throttling and passes by itself.
_TOO_LONG = late_pattern(
    r"[Rr]eceived message larger than max \((\d{1,18}) vs\. (\d{1,18})\)"
)  # gRPC's own words
_USED_UP = late_pattern(
    r"quota (metrics?|limits?) .{0,40}exceed|exceed\w* quota limit|insufficient|stockout"
    r"|not enough (resources|capacity)|out of (resources|capacity|stock)|resource pool exhausted"
    r"|custom_model_(training|serving)",
    re.IGNORECASE,
)
_THROTTLED = late_pattern(r"per[ _]?(minute|second|100 seconds|user)|rate limit", re.IGNORECASE)
_NEVER_SENT = "Getting metadata from plugin failed"  # grpc: the credentials gave no token


# Such as storage.objects.list, which is no host of Google's and no part of a path or name.
_NAMES_A_PERMISSION = late_pattern(r"(?<![\w.@/-])[a-z]+\.(?!googleapis\b)[A-Za-z]+\.[A-Za-z]+")


# --- reaching a service ------------------------------------------------------------------------


def loopback_target(endpoint: str) -> str:
    """`host:port` of a plaintext gRPC server on this machine; raises InvalidInput for any other.

    Plaintext carries no credentials, and a job read in plaintext from elsewhere could be anybody's.
    """
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        msg = f"not an endpoint of the form host:port: {endpoint!r}"
        raise InvalidInput(msg)
    if not is_loopback(host):
        msg = f"a plaintext endpoint must be on loopback, and {endpoint!r} is not"
        raise InvalidInput(msg)
    return endpoint


def is_loopback(host: str) -> bool:
    """Whether the host, written as a name or an address, is this machine itself."""
    bare = host.strip("[]")
    if bare == "localhost":
        return True
    try:
        return ipaddress.ip_address(bare).is_loopback
    except ValueError:
        return False


class TooLarge(PermanentError):
    """An answer `times` as long as its channel takes: ask for a smaller page."""

    def __init__(self, message: str, times: float = 4.0) -> None:
        super().__init__(message)
        self.times = times


def open_channel(host: str, endpoint: str | None, *, most_bytes: int = -1) -> Any:
    """A gRPC channel to `endpoint` in plaintext, or to Google's `host` with credentials.

    `most_bytes` of one answer; -1: any number. A longer one is turned away by its length, before it is
    held in memory, as TooLarge.

    https_proxy and no_proxy are honoured by gRPC itself, except towards loopback.
    """
    import grpc

    # Vertex and Logging answers pass 4 MiB, gRPC's own limit.
    options: list[tuple[str, int]] = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", most_bytes),
        # `grpc.experimental.ChannelOptions`: who reads a stream waits for it itself, without a thread
        # that hands on what came. Half of what a read of the ledger costs (measured).
        ("SingleThreadedUnaryStream", 1),
    ]
    if endpoint:
        options.append(("grpc.enable_http_proxy", 0))
        return grpc.insecure_channel(loopback_target(endpoint), options=options)
    with google_errors(f"opening credentials for {host}"):
        plugin = _plugin(host)
    secure = grpc.composite_channel_credentials(
        grpc.ssl_channel_credentials(private_roots()), grpc.metadata_call_credentials(plugin)
    )
    return grpc.secure_channel(f"{host}:443", secure, options=options)


def _plugin(host: str) -> Any:
    """What gives each call of a channel its token."""
    if _is_on_google():
        from remediator.cloud.machine_account import MachineAccount, TokenPlugin

        return TokenPlugin(MachineAccount(SCOPES))
    from google.auth.transport.grpc import AuthMetadataPlugin

    credentials, request = google_credentials()
    return AuthMetadataPlugin(credentials, request, default_host=host)


def _is_on_google() -> bool:
    """Whether the machine's own account is the one to be: on Cloud Run and Functions, or where a
    metadata server is named, unless a key file or certificates are."""
    named = os.environ.get("GCE_METADATA_HOST") or os.environ.get("K_SERVICE")
    return bool(named) and not any(map(os.environ.get, _OTHER_IDENTITIES))


def google_credentials() -> tuple[Any, Any]:
    """Credentials and the HTTP transport that refreshes them, for clients that speak HTTP.

    On Google's machines their own account's, else the application's default ones: google-auth's own
    detection pings a fixed address first and would give up where only the host is redirected.
    """
    if _is_on_google():
        from remediator.cloud.machine_account import MachineAccount, http_request

        return MachineAccount(SCOPES), http_request()
    import google.auth
    from google.auth import compute_engine
    from google.auth.transport.requests import Request
    from requests import Session

    credentials, _ = google.auth.default(scopes=SCOPES)
    session = Session()
    if isinstance(credentials, compute_engine.Credentials):
        session.trust_env = False  # the metadata server is never behind a proxy
    else:
        session.verify = ca_bundle() or True
    return credentials, Request(session=session)


def ca_bundle() -> str | None:
    """The file of certificate authorities that the environment names, for HTTP clients."""
    for variable in _ROOTS_VARIABLES:
        path = os.environ.get(variable, "")
        if path and Path(path).is_file():
            return path
    return None


def private_roots() -> bytes | None:
    """The certificate authorities that the environment names, for gRPC; None: gRPC's own public ones.

    gRPC knows only `GRPC_DEFAULT_SSL_ROOTS_FILE_PATH`; the variables that other clients obey replace
    the public authorities in the same way, so here they do too. All files named are taken together.
    """
    if os.environ.get("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"):
        return None
    paths = dict.fromkeys(os.environ.get(variable, "") for variable in _ROOTS_VARIABLES)
    files = [Path(path) for path in paths if path and Path(path).is_file()]
    return b"\n".join(path.read_bytes() for path in files) or None


# --- deadlines and retries ---------------------------------------------------------------------


def answered(
    what: str,
    call: Callable[[float], T],
    *,
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    creating: bool = False,
    permission: str = "",
) -> T:
    """The result of `call(seconds)`, tried again while that may help and the time allows.

    The one retry rule: anything TransientError but OutcomeUnknown, with jittered backoff, after the wait that
    the service asked for (RetryInfo) where it did, never past `timeout_seconds` altogether, nor past what
    is left for the event in hand. `seconds`
    is the deadline that this try must hand on: half of what is left, so that a hang leaves room for
    another try; all of it when `creating`, since a try cut short there leaves an unknown job.
    `permission` is what the call needs, for services that refuse without saying what is missing.
    """
    log.hear_libraries()
    least = min(timeout_seconds, _LEAST_CREATE_SECONDS if creating else _LEAST_TRY_SECONDS)
    timeout_seconds = remaining(timeout_seconds)
    if timeout_seconds < least:
        msg = f"{what}: not asked, the time for this event is used up"
        raise TransientError(msg)
    ends = time.monotonic() + timeout_seconds

    def worth_another(error: Exception) -> bool | float:
        if not isinstance(error, TransientError) or isinstance(error, OutcomeUnknown):
            return False
        left = ends - time.monotonic() - _LEAST_TRY_SECONDS
        wish = error.retry_after_seconds
        if wish is None:
            return left > 0
        return wish if wish < left else False

    def once() -> T:
        with google_errors(what, creating=creating, permission=permission):
            left = max(ends - time.monotonic(), _LEAST_TRY_SECONDS)
            return call(left if creating else max(left / 2, min(left, 1.0)))

    return call_with_retries(
        once,
        on=worth_another,
        seconds=timeout_seconds,
        wait_initial=0.1,
        wait_max=min(5.0, timeout_seconds / 10),  # a last wait may so overshoot by a tenth
        wait_jitter=min(1.0, timeout_seconds / 20),
    )


def smaller_until_it_fits(ask: Callable[[int], T], size: int) -> tuple[T, int]:
    """A page of `size` or, where that is TooLarge, of as many as fit, one at least; and what fitted.

    Raises TooLarge where not even one does.
    """
    while True:
        try:
            return ask(size), size
        except TooLarge as err:
            if size <= 1:
                raise
            size = smaller(size, err)


def smaller(size: int, err: TooLarge) -> int:
    """How many to ask for instead: what would fit if all were alike, and a fifth less."""
    return max(1, min(size // 2, int(size / err.times * 0.8)))


# --- errors ------------------------------------------------------------------------------------


@contextmanager
def google_errors(what: str, *, creating: bool = False, permission: str = "") -> Iterator[None]:
    """Google's errors inside the block leave it as ours, with `what` was attempted in front.

    `creating`: whatever is no definite answer becomes OutcomeUnknown, since the thing may exist.
    `permission`: what is named as missing where the service names nothing.
    """
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    try:
        yield
    except api.GoogleAPICallError as err:
        raise _translated(err, what, creating=creating, permission=permission) from err
    except auth.DefaultCredentialsError as err:
        msg = (
            f"{what}: no Google credentials were found (on your own machine: "
            f"gcloud auth application-default login): {_short(err)}"
        )
        raise PermissionDenied(msg) from err
    except auth.GoogleAuthError as err:
        raise _credentials_failed(_short(err), what) from err
    except (api.RetryError, OSError) as err:  # requests' own errors are OSErrors too
        kind = OutcomeUnknown if creating else TransientError
        msg = f"{what}: {_short(err)}"
        raise kind(msg) from err


def _translated(err: Any, what: str, *, creating: bool, permission: str) -> RemediatorError:
    from google.api_core import exceptions as api

    text = _with_permission(err, f"{what}: {_short(err.message or err)}")
    if isinstance(err, api.NotFound):
        return NotFound(text)
    if isinstance(err, (api.Forbidden, api.Unauthorized)):
        unnamed = permission and not _NAMES_A_PERMISSION.search(text)
        return PermissionDenied(
            f"{text} (the call needs the permission {permission})" if unnamed else text
        )
    too_long = _TOO_LONG.search(text) if isinstance(err, api.TooManyRequests) else None
    if too_long is not None:
        return TooLarge(text, int(too_long[1]) / max(1, int(too_long[2])))
    if isinstance(err, api.TooManyRequests):
        return _exhausted(err, text, creating=creating)
    if _NEVER_SENT in text:
        return _credentials_failed(text, what)
    if isinstance(err, api.MethodNotImplemented):
        return NotServed(text)
    ambiguous = isinstance(err, (api.ServerError, api.Aborted, api.Cancelled))
    timed_out = err.code == http.HTTPStatus.REQUEST_TIMEOUT  # no class of its own
    if ambiguous or timed_out:
        if creating:
            return OutcomeUnknown(text)
        return TransientError(text, retry_after_seconds=_retry_after(err))
    return PermanentError(text)


def _exhausted(err: Any, text: str, *, creating: bool) -> RemediatorError:
    """Throttling passes; a quota or a stock that is used up refuses a create for now."""
    wish = _retry_after(err)
    used_up = _USED_UP.search(text) and not _THROTTLED.search(text)
    if creating and wish is None and used_up:
        return PermanentError(text)
    return TransientError(text, retry_after_seconds=wish)


def _credentials_failed(text: str, what: str) -> RemediatorError:
    """Nothing was sent: even a create may be tried again."""
    message = text if text.startswith(what) else f"{what}: {text}"
    if "invalid_grant" in text or "Reauthentication is needed" in text:
        return PermissionDenied(message)
    return TransientError(message)


def _retry_after(err: Any) -> float | None:
    """RetryInfo's delay, or HTTP's Retry-After, in seconds."""
    for detail in getattr(err, "details", None) or ():
        delay = getattr(detail, "retry_delay", None)
        if delay is not None:
            return float(delay.seconds) + float(delay.nanos) / 1e9
    headers = getattr(getattr(err, "response", None), "headers", None) or {}
    header = str(headers.get("Retry-After") or "")
    return float(header) if header.isdigit() else None


def _with_permission(err: Any, text: str) -> str:
    """Names the permission and the resource where the service told them beside its message."""
    for detail in getattr(err, "details", None) or ():
        fields = getattr(detail, "metadata", None) or {}
        for key in ("permission", "resource"):
            value = str(fields.get(key) or "")
            if value and value not in text:
                text = f"{text} ({key} {value})"
    return text


def _short(message: object) -> str:
    return str(message)[:_MESSAGE_LIMIT]
