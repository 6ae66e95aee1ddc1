"""The account of the machine this runs as: its tokens, asked of the metadata server itself.

Google's own way (`google.auth.compute_engine`) loads an HTTP library and a cryptography library, a
tenth of a cold start, to ask one question over plain HTTP. It remains the way where the short one
gets no answer. Only google-auth's public base class and gRPC's public plugin are built on. Imported
by `connection` alone, when the first channel is opened.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.auth import credentials

from remediator.cloud import metadata
from remediator.domain import RemediatorError


class MachineAccount(credentials.Credentials):  # type: ignore[misc]  # the library is untyped
    """Credentials of google-auth's kind, good for whatever takes such."""

    def __init__(self, scopes: tuple[str, ...]) -> None:
        super().__init__()
        self._scopes = scopes

    def refresh(self, request: Any) -> None:
        """A new token; raises google-auth's RefreshError where there is none to be had."""
        try:
            self.token, seconds = metadata.access_token(self._scopes)
            # google-auth compares with a time that names no zone.
            self.expiry = datetime.now(UTC).replace(tzinfo=None) + timedelta(seconds=seconds)
        except RemediatorError:
            self._refresh_by_google(request)

    def _refresh_by_google(self, request: Any) -> None:
        from google.auth import compute_engine

        own = compute_engine.Credentials(scopes=self._scopes)
        own.refresh(request or http_request())
        self.token, self.expiry = own.token, own.expiry


class TokenPlugin(grpc.AuthMetadataPlugin):  # type: ignore[misc]  # the library is untyped
    """Hands each call its token, as google-auth's own plugin does; an error goes to the call."""

    def __init__(self, account: MachineAccount) -> None:
        self._account = account

    def __call__(self, context: Any, callback: Callable[..., None]) -> None:
        headers: dict[str, str] = {}
        self._account.before_request(None, context.method_name, context.service_url, headers)
        callback(tuple(headers.items()), None)


def http_request() -> Any:
    """The HTTP transport that asks a metadata server, which is never behind a proxy."""
    from google.auth.transport.requests import Request
    from requests import Session

    session = Session()
    session.trust_env = False
    return Request(session=session)
