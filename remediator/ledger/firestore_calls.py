"""Calls of Firestore: the client, opened once in each process, tries, deadlines and errors.

Owns the channel (which must not cross a fork, so that nothing is opened before it is used) and what each
error of Google's means. Knows no document. Called by `firestore`.
"""

from __future__ import annotations

import ipaddress
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from remediator.deadline import call_with_retries, remaining
from remediator.domain import PermissionDenied, TransientError

T = TypeVar("T")

_HOST = "firestore.googleapis.com"
_LEAST_TRY_SECONDS = 0.05
_LAST_SECONDS = 5.0  # what is done must be written down, also when an event's time is used up
_PASSING = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED"}) | {
    "ABORTED",
    "CANCELLED",
    "UNKNOWN",
}


class FirestoreCalls:
    """The three calls that the store makes of one database. `open_client` and `open_channel` as there."""

    def __init__(
        self,
        database: str,
        *,
        open_channel: Callable[[str, str | None], Any] | None,
        open_client: Callable[[str | None], Any] | None,
        timeout_seconds: float,
    ) -> None:
        self._database = database
        self._open_channel = open_channel
        self._open_client = open_client
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._opened: tuple[int, Any, tuple[tuple[str, str], ...]] | None = None
        self._inherited: list[Any] = []  # a parent's channels: closing one in a child can hang

    def ends(self) -> float:
        """When a verb that begins now must be done, by the monotonic clock."""
        least = min(self._timeout_seconds, _LAST_SECONDS)
        return time.monotonic() + max(least, remaining(self._timeout_seconds))

    def run_query(self, query: Mapping[str, Any], seconds: float) -> list[Any]:
        """One RunQuery; the documents that it found."""
        client, metadata = self._client()
        answers = client.run_query(query, retry=None, timeout=seconds, metadata=metadata)
        return [answer.document for answer in answers if answer.document.name]

    def close(self) -> None:
        """Let go of the channel; the next call opens a new one."""
        with self._lock:
            if self._opened is not None and self._opened[0] == os.getpid():
                self._opened[1].transport.close()
            self._opened = None

    def read_documents(self, names: list[str], seconds: float) -> list[Any]:
        """One BatchGetDocuments; what does not exist is left out."""
        client, metadata = self._client()
        request = {"database": self._database, "documents": names}
        answers = client.batch_get_documents(
            request, retry=None, timeout=seconds, metadata=metadata
        )
        return [answer.found for answer in answers if answer.found.name]

    def send_writes(self, writes: list[dict[str, Any]], seconds: float) -> list[Any]:
        """One Commit; the time at which each write was applied, its document's new version."""
        client, metadata = self._client()
        request = {"database": self._database, "writes": writes}
        done = client.commit(request, retry=None, timeout=seconds, metadata=metadata)
        return [version_of(result) for result in done.write_results]

    def again_while_it_helps(self, what: str, ends: float, call: Callable[[float], T]) -> T:
        """The call's result; tried again, with jittered backoff, while an error may pass.

        A wait that the service asks for and that does not fit into what is left is not waited for.
        """

        def left() -> float:
            return max(ends - time.monotonic(), _LEAST_TRY_SECONDS)

        def worth_another(err: Exception) -> bool | float:
            wish = _is_passing(err)
            return wish if wish is True or wish < left() else False

        with _errors(f"the ledger (Firestore, {self._database}): {what}"):
            return call_with_retries(
                lambda: call(max(left() / 2, min(left(), 1.0))),
                on=worth_another,
                seconds=left(),
                wait_initial=0.05,
                wait_max=2.0,
                wait_jitter=0.2,
            )

    def _client(self) -> tuple[Any, tuple[tuple[str, str], ...]]:
        with self._lock:
            if self._opened is not None and self._opened[0] != os.getpid():
                self._inherited.append(self._opened)
                self._opened = None
            if self._opened is None:
                self._opened = (os.getpid(), *self._open())
            return self._opened[1:]

    def _open(self) -> tuple[Any, tuple[tuple[str, str], ...]]:
        metadata = [("google-cloud-resource-prefix", self._database)]
        emulator = os.environ.get("FIRESTORE_EMULATOR_HOST", "").removeprefix("http://")
        if emulator:
            metadata.append(("authorization", "Bearer owner"))  # the emulator's word for an admin
        if self._open_client is not None:
            if emulator:
                _on_loopback(emulator)
            with _errors("opening the ledger (Firestore)"):
                return self._open_client(emulator or None), tuple(metadata)
        from google.cloud.firestore_v1.services.firestore import FirestoreClient
        from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport

        if emulator:
            channel = _plaintext_channel(emulator)
        elif self._open_channel is not None:
            channel = self._open_channel(_HOST, None)
        else:
            with _errors("opening the ledger (Firestore)"):
                return FirestoreClient(), tuple(metadata)
        return FirestoreClient(transport=FirestoreGrpcTransport(channel=channel)), tuple(metadata)


def _plaintext_channel(endpoint: str) -> Any:
    import grpc

    _on_loopback(endpoint)
    return grpc.insecure_channel(endpoint, options=[("grpc.enable_http_proxy", 0)])


def _on_loopback(endpoint: str) -> None:
    host = endpoint.rpartition(":")[0].strip("[]")
    try:
        is_here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_here = False
    if not is_here:
        msg = f"FIRESTORE_EMULATOR_HOST must be host:port on loopback, and {endpoint!r} is not"
        raise TransientError(msg)  # no event is acknowledged that cannot be remembered


def version_of(written: Any) -> Any:
    """The time at which a document was written, apart from the answer that told it.

    A bare message would keep the whole answer in memory for as long as its time is remembered.
    """
    at = written.update_time
    return type(at)(seconds=at.seconds, nanos=at.nanos) if hasattr(at, "nanos") else at


# --- errors --------------------------------------------------------------------------------------


def code_of(err: Any) -> str:
    """The gRPC status of an error by its name; empty where it has none."""
    return str(getattr(err.grpc_status_code, "name", ""))


def _is_passing(err: Exception) -> bool | float:
    """Whether another try may help; the wait that the service asked for, where it told one."""
    from google.api_core import exceptions as api

    if not isinstance(err, api.GoogleAPICallError) or code_of(err) not in _PASSING:
        return False
    for detail in err.details or ():
        delay = getattr(detail, "retry_delay", None)
        if delay is not None:
            return float(delay.seconds) + float(delay.nanos) / 1e9
    return True


@contextmanager
def _errors(what: str) -> Iterator[None]:
    """Google's errors leave as ours: a missing permission PermissionDenied and named, the rest TransientError."""
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    try:
        yield
    except api.PermissionDenied as err:
        msg = (
            f"{what}: {_said(err)} (the service account needs datastore.entities.* on the "
            "database: roles/datastore.user)"
        )
        raise PermissionDenied(msg) from err
    except auth.DefaultCredentialsError as err:
        msg = (
            f"{what}: no Google credentials were found (on your own machine: "
            f"gcloud auth application-default login): {err}"
        )
        raise PermissionDenied(msg) from err
    except api.GoogleAPICallError as err:
        msg = f"{what} failed: {code_of(err)}: {_said(err)}"
        raise TransientError(msg) from err
    except (api.RetryError, auth.GoogleAuthError) as err:
        msg = f"{what} failed: {err}"
        raise TransientError(msg) from err


def _said(err: Any) -> str:
    return " ".join(str(err.message or err).split())[:500]
