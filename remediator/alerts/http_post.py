"""One POST to a service that takes alerts, and what its answer means.

Owns what all HTTP channels have in common: which URLs they may speak to, the deadline, and the
difference between "try again" (TransientError, with the service's own Retry-After) and "will never
work" (PermanentError). A URL may hold the secret, so that no error names one. Must not know what a
message looks like. Called by the channels; `requests` is imported when first used.
"""

from __future__ import annotations

import fnmatch
import ipaddress
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from remediator.alerts.wording import shown
from remediator.domain import PermanentError, TransientError

TIMEOUT_SECONDS = 10.0
"""Chosen: for connecting and for each answer; a channel that takes longer is tried again later."""
LONGEST_RETRY_AFTER_SECONDS = 86_400.0
_MOST_ANSWER_BYTES = 65_536  # chosen: what is read of an answer; error messages are shorter


class Reply(Struct, frozen=True):
    """What came back: the beginning of the body, as text."""

    status: int
    body: str
    headers: Mapping[str, str]


class BodyTooLarge(PermanentError):
    """The service takes no body of this size (HTTP 413)."""


class BodyRefused(PermanentError):
    """The service knows the caller and takes no such body (HTTP 400)."""


def encode_json(body: Mapping[str, Any]) -> bytes:
    """As it goes over the wire: UTF-8, compact, half characters replaced."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode(errors="replace")


def post(
    url: str,
    body: bytes,
    *,
    service: str,
    headers: Mapping[str, str] | None = None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> Reply:
    """The answer of `url` to a JSON body; raises TransientError or a PermanentError (`BodyTooLarge`, `BodyRefused`).

    Redirects are not followed: they could lead where channels may not speak to. Proxies and
    certificates are those of the environment; a `.netrc` is not read.
    """
    reply = _ask("POST", url, body, service, headers, timeout_seconds)
    judge(service, reply.status, reply.body, reply.headers)
    return reply


def reach(url: str, *, service: str) -> None:
    """Raises TransientError where nobody answers at `url`; any answer will do, and nothing is delivered."""
    reply = _ask("HEAD", url, b"", service, None, TIMEOUT_SECONDS)
    if reply.status >= 500:  # noqa: PLR2004  # HTTP's server errors
        judge(service, reply.status, "", reply.headers)


def _ask(
    method: str,
    url: str,
    body: bytes,
    service: str,
    headers: Mapping[str, str] | None,
    timeout_seconds: float,
) -> Reply:
    import requests  # noqa: PLC0415  # cold start

    with web_errors(service), requests.Session() as session:
        response = session.request(
            method,
            url,
            data=body,
            headers={"Content-Type": "application/json", **(headers or {})},
            auth=lambda request: request,
            timeout=timeout_seconds,
            allow_redirects=False,
            stream=True,
        )
        said: bytes = next(response.iter_content(_MOST_ANSWER_BYTES), b"")
    return Reply(response.status_code, said.decode(errors="replace").strip(), response.headers)


def post_lightly(
    url: str, body: bytes, *, service: str, timeout_seconds: float = TIMEOUT_SECONDS
) -> Reply:
    """What the URL answers to a JSON body, whatever that means; raises TransientError where nothing does.

    By the standard library, whose rules for proxies and certificates are those of the environment:
    for the channel of a first alert, since `requests` is 50 ms of a cold start (measured).
    """
    import urllib.error  # noqa: PLC0415  # cold start
    import urllib.request  # noqa: PLC0415

    class _Stays(urllib.request.HTTPRedirectHandler):
        """A redirect could lead where channels may not speak to; it is an answer like any other."""

        def redirect_request(self, *_: Any, **__: Any) -> None:
            return None

    headers = {"Content-Type": "application/json;charset=utf-8"}
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")  # noqa: S310  # `check_url`
    opener = urllib.request.build_opener(_Stays)
    with web_errors(service):
        try:
            answer: Any = opener.open(request, timeout=timeout_seconds)
        except urllib.error.HTTPError as err:
            answer = err
        with answer:
            said: bytes = answer.read(_MOST_ANSWER_BYTES)
            return Reply(answer.status, said.decode(errors="replace").strip(), answer.headers)


@contextmanager
def web_errors(service: str) -> Iterator[None]:
    """Whatever goes wrong below HTTP means: no answer that counts, try again."""
    try:
        yield
    except (OSError, HTTPException, ValueError, LookupError) as err:
        reason = getattr(err, "reason", None)
        msg = f"{service} could not be reached: {type(reason or err).__name__}"
        raise TransientError(msg) from err


def judge(service: str, status: int, body: str, headers: Mapping[str, Any]) -> None:
    """Raises unless the status is HTTP's success."""
    if 200 <= status < 300:  # noqa: PLR2004  # HTTP's success
        return
    said = f": {shown(body, 120)}" if body and not body.lstrip().startswith("<") else ""
    msg = f"{service} answered {status}{said}"
    if status in {408, 425, 429} or status >= 500:  # noqa: PLR2004  # HTTP's server errors
        raise TransientError(msg, retry_after_seconds=retry_after(headers))
    raise _REFUSALS.get(status, PermanentError)(msg)


_REFUSALS: Mapping[int, type[PermanentError]] = {400: BodyRefused, 413: BodyTooLarge}


def retry_after(headers: Mapping[str, Any]) -> float | None:
    """Retry-After in seconds: given as such, or as a date; None where the service asks for nothing."""
    value: Any = next((v for k, v in headers.items() if k.lower() == "retry-after"), "")
    value = value[0] if isinstance(value, list) and value else value
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        try:
            seconds = (parsedate_to_datetime(str(value)) - datetime.now(UTC)).total_seconds()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


# --- where a channel may speak to --------------------------------------------------------------


def check_url(url: str, what: str, hosts: Sequence[str] | None) -> None:
    """Raises PermanentError unless `url` is https, or http on loopback, to one of the `hosts`."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError as err:
        msg = f"{what} is not a URL"
        raise PermanentError(msg) from err
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))):
        msg = f"{what} must be https, or http on loopback"
        raise PermanentError(msg)
    check_host(host, hosts)


def check_host(host: str, hosts: Sequence[str] | None) -> None:
    """Raises PermanentError unless one of the globs in `hosts` fits; None fits all."""
    if hosts is None or any(fnmatch.fnmatchcase(host.lower(), glob.lower()) for glob in hosts):
        return
    msg = f"the host {host} is not among those that channels may speak to"
    raise PermanentError(msg)


def is_loopback(host: str) -> bool:
    """Whether a host's name or address is this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
