"""Cloud Storage: where a bucket lives, a job's error files, and small texts.

Owns the Storage client. Reads only, never more of an object than it is asked for. `evidence` and
the workflow see it through Protocols of their own.
"""

from __future__ import annotations

import os
import re
import threading
from typing import Any
from urllib.parse import urlsplit

from remediator.cloud.connection import (
    DEFAULT_TIMEOUT_SECONDS,
    answered,
    ca_bundle,
    google_credentials,
    google_errors,
    is_loopback,
)
from remediator.domain import InvalidInput, PermanentError
from remediator.domain.late_pattern import late_pattern
from remediator.job.summary import Saved

HEAD_BYTES = TAIL_BYTES = 64 * 1024
_TEXT_LIMIT = 4_000_000  # a policy file; the largest thing that is read whole
_MOST_ERROR_FILES = 8
_MOST_LISTED = 2000
# Publishers' models have no error files: their failed rows stand in the output (facts: by `status`).
# `incremental_predictions.jsonl` repeats what the final shards hold, and is left.
_ERROR_FILE = late_pattern(
    r"prediction\.errors_stats-\d+-of-\d+|errors?(_validation)?_\d+\.jsonl"
    r"|predictions\.jsonl(-\d+-of-\d+)?"
)
_BUCKET = late_pattern(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_CUT = "\n[… {left} bytes left out …]\n"


class Storage:
    """The Cloud Storage API; at `STORAGE_EMULATOR_HOST` where that is set (loopback only)."""

    def __init__(self, *, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        self._timeout_seconds = timeout_seconds
        self._lock = threading.Lock()
        self._opened: Any = None

    def bucket_location(self, name: str, *, timeout_seconds: float | None = None) -> str:
        """Where the bucket lives, as Storage writes it (`US-EAST1`, `US`); raises NotFound, PermissionDenied."""
        if not _BUCKET.fullmatch(name):
            msg = f"not the name of a bucket: {name[:200]!r}"
            raise PermanentError(msg)
        client = self.client()
        bucket = answered(
            f"reading bucket {name}",
            lambda seconds: client.get_bucket(name, timeout=seconds, retry=None),
            timeout_seconds=timeout_seconds or self._timeout_seconds,
            permission="storage.buckets.get",
        )
        return str(bucket.location or "")

    def error_files(
        self, prefix: str, *, marked: str = "", timeout_seconds: float | None = None
    ) -> dict[str, str]:
        """Text of the error files under `gs://bucket/dir`, by URI; of long ones the two ends.

        `marked`: digits that must stand in the path below `dir`, whatever stands between them. Empty files are left out. Nothing found is an empty answer, not an error.
        """
        bucket, name = parse_uri(prefix)
        folder = f"{name.rstrip('/')}/" if name else ""
        client = self.client()
        budget = timeout_seconds or self._timeout_seconds
        blobs = answered(
            f"listing {prefix}",
            lambda seconds: list(
                client.list_blobs(
                    bucket,
                    prefix=folder,
                    max_results=_MOST_LISTED,
                    fields="items(name,size,generation),nextPageToken",
                    timeout=seconds,
                    retry=None,
                )
            ),
            timeout_seconds=budget,
            permission="storage.objects.list",
        )
        wanted = [
            blob
            for blob in blobs
            if blob.size and _ERROR_FILE.fullmatch(blob.name.rpartition("/")[2])
            if marked in re.sub(r"\D", "", blob.name.removeprefix(folder))
        ]
        return {
            f"gs://{bucket}/{blob.name}": _two_ends(blob, budget)
            for blob in wanted[:_MOST_ERROR_FILES]
        }

    def saved(self, folder: str, *, timeout_seconds: float | None = None) -> Saved:
        """What lies under `gs://bucket/dir`: how many objects, and the one that changed last."""
        bucket, name = parse_uri(folder)
        under = f"{name.rstrip('/')}/" if name else ""
        client = self.client()
        blobs = answered(
            f"listing {folder}",
            lambda seconds: list(
                client.list_blobs(
                    bucket,
                    prefix=under,
                    max_results=_MOST_LISTED,
                    fields="items(name,size,updated),nextPageToken",
                    timeout=seconds,
                    retry=None,
                )
            ),
            timeout_seconds=timeout_seconds or self._timeout_seconds,
            permission="storage.objects.list",
        )
        held = [blob for blob in blobs if blob.size and blob.updated]
        newest = max(held, key=lambda blob: (blob.updated, blob.name), default=None)
        return Saved(
            folder.rstrip("/"),
            len(held),
            newest.name.removeprefix(under) if newest else "",
            newest.updated if newest else None,
            more=len(blobs) >= _MOST_LISTED,
        )

    def read(self, uri: str, *, timeout_seconds: float | None = None) -> tuple[str, str]:
        """The whole text of a small object (UTF-8) and its generation; raises NotFound, PermanentError."""
        bucket, name = parse_uri(uri)
        client = self.client()

        def fetch(seconds: float) -> tuple[str, str]:
            blob = client.bucket(bucket).get_blob(name, timeout=seconds, retry=None)
            if blob is None:
                from google.api_core.exceptions import NotFound

                msg = "no such object"
                raise NotFound(msg)
            if (blob.size or 0) > _TEXT_LIMIT:
                msg = f"{uri} has {blob.size} bytes; at most {_TEXT_LIMIT} are read"
                raise PermanentError(msg)
            data = blob.download_as_bytes(
                timeout=seconds, retry=None, if_generation_match=blob.generation
            )
            try:
                return data.decode("utf-8"), str(blob.generation)
            except UnicodeDecodeError as err:
                msg = f"{uri} is not UTF-8 text"
                raise PermanentError(msg) from err

        return answered(
            f"reading {uri}",
            fetch,
            timeout_seconds=timeout_seconds or self._timeout_seconds,
            permission="storage.objects.get",
        )

    def exists(self, uri: str, *, timeout_seconds: float | None = None) -> bool:
        """Whether the object is there, or, for a URI that ends in `/`, anything under it."""
        bucket, name = parse_uri(uri)
        client = self.client()

        def look(seconds: float) -> bool:
            if name and not name.endswith("/"):
                blob = client.bucket(bucket).blob(name)
                return bool(blob.exists(timeout=seconds, retry=None))
            found = client.list_blobs(
                bucket, prefix=name, max_results=1, timeout=seconds, retry=None
            )
            return any(True for _ in found)

        return answered(
            f"looking for {uri}",
            look,
            timeout_seconds=timeout_seconds or self._timeout_seconds,
        )

    def close(self) -> None:
        """Closes the connection pool; the next call opens a new one."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    def client(self) -> Any:
        from google.cloud import storage

        with self._lock:
            if self._opened is None:
                emulator = os.environ.get("STORAGE_EMULATOR_HOST")
                if emulator:
                    self._opened = _emulated_client(storage, emulator)
                else:
                    self._opened = _google_client(storage)
            return self._opened


_NO_PROJECT = "-"  # the client wants one for creating buckets, which is never done here


def parse_uri(uri: str) -> tuple[str, str]:
    """`gs://bucket/path` -> (bucket, path); raises PermanentError for anything else."""
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not uri.startswith("gs://") or not _BUCKET.fullmatch(bucket):
        msg = f"not a Cloud Storage URI: {uri[:200]!r}"
        raise PermanentError(msg)
    return bucket, name


def _google_client(storage: Any) -> Any:
    from google.auth.transport.requests import AuthorizedSession

    with google_errors("opening credentials for storage.googleapis.com"):
        credentials, request = google_credentials()
    session = AuthorizedSession(credentials, auth_request=request)
    session.verify = ca_bundle() or True
    return storage.Client(project=_NO_PROJECT, credentials=credentials, _http=session)


def _emulated_client(storage: Any, emulator: str) -> Any:
    """A plaintext server elsewhere could hand us anybody's files as the job's."""
    from google.auth.credentials import AnonymousCredentials
    from requests import Session

    parts = urlsplit(emulator if "://" in emulator else f"http://{emulator}")
    here = is_loopback(parts.hostname or "")
    if parts.scheme != "https" and not here:
        msg = f"STORAGE_EMULATOR_HOST must be on loopback, and {emulator!r} is not"
        raise InvalidInput(msg)
    session = Session()
    session.trust_env = not here  # loopback is never behind a proxy
    return storage.Client(project=_NO_PROJECT, credentials=AnonymousCredentials(), _http=session)


def _two_ends(blob: Any, timeout_seconds: float) -> str:
    """The object's text, or its first and last 64 KiB with a mark between them."""
    what = f"reading {blob.name}"

    def part(start: int, end: int) -> bytes:
        return answered(
            what,
            lambda seconds: bytes(
                blob.download_as_bytes(
                    start=start,
                    end=end,
                    raw_download=True,
                    checksum=None,
                    timeout=seconds,
                    retry=None,
                )
            ),
            timeout_seconds=timeout_seconds,
            permission="storage.objects.get",
        )

    size = int(blob.size)
    if size <= HEAD_BYTES + TAIL_BYTES:
        return part(0, size - 1).decode("utf-8", "replace")
    head = part(0, HEAD_BYTES - 1)[:HEAD_BYTES].decode("utf-8", "replace")
    tail = part(size - TAIL_BYTES, size - 1)[-TAIL_BYTES:].decode("utf-8", "replace")
    return head + _CUT.format(left=size - HEAD_BYTES - TAIL_BYTES) + tail
