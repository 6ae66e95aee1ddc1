"""Firestore's three methods that the ledger calls, on a channel of ours.

Owns how Firestore is reached; what is asked and what an answer means is the ledger's, which sees
this through its own Protocol and keeps working with Google's generated client. `app` hands it over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediator.cloud.connection import open_channel
from remediator.cloud.grpc_methods import Methods, message, protobuf

_PACKAGE = "google.cloud.firestore_v1"
_HOST = "firestore.googleapis.com"
_SERVICE = "google.firestore.v1.Firestore"
Metadata = Sequence[tuple[str, str]]


class Documents:
    """Firestore, at `endpoint` in plaintext on loopback, or at Google's own address.

    Errors are those of google.api_core. `retry` is there for the generated client's sake: nothing
    is tried again here.
    """

    def __init__(self, endpoint: str | None = None) -> None:
        self.transport = open_channel(_HOST, endpoint)
        self._methods = Methods(self.transport, _SERVICE)

    def batch_get_documents(
        self,
        request: Mapping[str, Any],
        *,
        retry: None,  # noqa: ARG002  # as the generated client has it
        timeout: float,
        metadata: Metadata,
    ) -> Any:
        """The documents of these names, as they come."""
        wanted = _type("BatchGetDocumentsRequest")(**request)
        return self._streamed("BatchGetDocuments", wanted, timeout, metadata)

    def run_query(
        self,
        request: Mapping[str, Any],
        *,
        retry: None,  # noqa: ARG002  # as the generated client has it
        timeout: float,
        metadata: Metadata,
    ) -> Any:
        """What a structured query finds, as it comes."""
        # Rare, and its form has an optional number, which a bare message does not take as it is.
        wanted = message(_PACKAGE, "firestore", "RunQueryRequest")(request)
        return self._streamed("RunQuery", wanted, timeout, metadata)

    def commit(
        self,
        request: Mapping[str, Any],
        *,
        retry: None,  # noqa: ARG002  # as the generated client has it
        timeout: float,
        metadata: Metadata,
    ) -> Any:
        """Writes, all or none."""
        return self._methods.call(
            "Commit",
            _type("CommitRequest")(**request),
            _type("CommitResponse"),
            seconds=timeout,
            metadata=metadata,
        )

    def _streamed(self, method: str, request: Any, seconds: float, metadata: Metadata) -> Any:
        return self._methods.call(
            method,
            request,
            _type(f"{method}Response"),
            seconds=seconds,
            metadata=metadata,
            streamed=True,
        )


def _type(name: str) -> Any:
    # Without proto-plus's classes, which cost a read as much as the call (measured).
    return protobuf(_PACKAGE, "firestore", name)
