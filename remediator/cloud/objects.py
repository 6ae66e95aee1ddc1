"""Cloud Storage's objects as streams: listed, read from end to end, and written once.

Owns reading and writing of objects that are too large to be held: in pieces, of one generation, and
with the CRC32C that Storage keeps compared with that of the bytes. Never overwrites anything but
what is named as ours. Called by `app`; the rows room sees it through its own Protocol.
"""

from __future__ import annotations

import base64
import fnmatch
import io
import json
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, BinaryIO

from remediator.cloud.connection import answered, google_errors
from remediator.cloud.storage import Storage, parse_uri
from remediator.deadline import remaining
from remediator.domain import Json, PermanentError, TransientError
from remediator.job.batch import Stored

PIECE_BYTES = 4 * 2**20  # read or written by one call; chosen: two of them are held at most
_MOST_LISTED = 5000  # objects below one folder; Vertex writes a shard for each worker, chosen
_BUFFER_BYTES = 2**20


class Objects:
    """Objects by their URIs, over the client that `Storage` opened."""

    def __init__(self, storage: Storage, *, call_seconds: float = 20.0) -> None:
        self._storage = storage
        self._call_seconds = call_seconds

    def find(self, uri: str) -> Sequence[Stored]:
        """The objects that a URI names: one, those below `…/`, or those that a `*` in it fits.

        Sorted by name; nothing found is an empty answer. Raises PermissionDenied, PermanentError, TransientError.
        """
        bucket, name = parse_uri(uri)
        begins = name.partition("*")[0]
        client = self._storage.client()
        blobs = answered(
            f"listing {uri}",
            lambda seconds: list(
                client.list_blobs(
                    bucket,
                    prefix=begins,
                    max_results=_MOST_LISTED,
                    fields="items(name,size,generation,crc32c,contentEncoding),nextPageToken",
                    timeout=seconds,
                    retry=None,
                )
            ),
            timeout_seconds=self._call_seconds,
            permission="storage.objects.list",
        )
        if len(blobs) >= _MOST_LISTED:
            msg = f"{uri} holds {_MOST_LISTED} objects or more, which are too many to be read"
            raise PermanentError(msg)
        fits: Callable[[str], bool]
        if "*" in name:
            fits = lambda found: fnmatch.fnmatchcase(found, _literal(name))  # noqa: E731
        elif not name or name.endswith("/"):
            fits = lambda found: not found.endswith("/")  # noqa: E731
        else:
            fits = lambda found: found == name  # noqa: E731
        return [
            Stored(
                uri=f"gs://{bucket}/{blob.name}",
                size=int(blob.size or 0),
                generation=int(blob.generation or 0),
                crc32c=str(blob.crc32c or ""),
                encoding=str(blob.content_encoding or ""),
            )
            for blob in blobs
            if fits(blob.name)
        ]

    def open(self, stored: Stored) -> BinaryIO:
        """The object's bytes as a stream; raises PermanentError at its end where they are not what was stored."""
        if stored.encoding:
            msg = f"{stored.uri} is stored as {stored.encoding}, which is not read"
            raise PermanentError(msg)
        bucket, name = parse_uri(stored.uri)
        blob = self._storage.client().bucket(bucket).blob(name, generation=stored.generation)
        return io.BufferedReader(_Pieces(blob, stored, self._call_seconds), _BUFFER_BYTES)

    def rows_in(self, uri: str) -> int | None:
        """How many rows the object says that it holds; None: there is no such object."""
        bucket, name = parse_uri(uri)
        client = self._storage.client()
        blob = answered(
            f"looking for {uri}",
            lambda seconds: client.bucket(bucket).get_blob(name, timeout=seconds, retry=None),
            timeout_seconds=self._call_seconds,
            permission="storage.objects.get",
        )
        if blob is None:
            return None
        said = str((blob.metadata or {}).get(_ROWS) or "")
        return int(said) if said.isdecimal() else 0

    def create(self, uri: str, chunks: Iterable[bytes], *, rows: int) -> None:
        """A new object, whole or not at all; one that is there already is left as it is.

        Raises PermissionDenied, PermanentError, or TransientError where it may be tried again.
        """
        from google.api_core.exceptions import PreconditionFailed
        from google.cloud.storage.retry import DEFAULT_RETRY

        bucket, name = parse_uri(uri)
        blob = self._storage.client().bucket(bucket).blob(name, chunk_size=PIECE_BYTES)
        blob.metadata = {_ROWS: str(rows)}
        seconds = remaining(_LONGEST_UPLOAD_SECONDS)
        summed = _Summed(chunks)
        with google_errors(f"writing {uri}", permission="storage.objects.create"):
            try:
                blob.upload_from_file(
                    summed,
                    content_type="application/octet-stream",
                    if_generation_match=0,
                    checksum="crc32c",
                    timeout=self._call_seconds,
                    retry=DEFAULT_RETRY.with_timeout(max(seconds, 0.1)),
                )
            except PreconditionFailed:  # another execution under the same claim wrote it just now
                return
        if blob.crc32c != summed.crc32c:
            blob.delete(timeout=self._call_seconds, if_generation_match=blob.generation)
            msg = f"writing {uri}: what is stored differs from what was sent; it was removed"
            raise TransientError(msg)

    def write_json(self, uri: str, body: Json) -> None:
        """A small document of ours, over an earlier one of the same name."""
        bucket, name = parse_uri(uri)
        blob = self._storage.client().bucket(bucket).blob(name)
        answered(
            f"writing {uri}",
            lambda seconds: blob.upload_from_string(
                json.dumps(body, indent=2) + "\n",
                content_type="application/json",
                timeout=seconds,
                retry=None,
                checksum="crc32c",
            ),
            timeout_seconds=self._call_seconds,
            permission="storage.objects.create",
        )


_ROWS = "remediator-rows"
_LONGEST_UPLOAD_SECONDS = 60.0  # chosen: the rest of an event's 90 s is for what follows


def _literal(pattern: str) -> str:
    """A URI of Vertex's, in which only `*` is a wildcard, for `fnmatch`."""
    return pattern.replace("[", "[[]").replace("?", "[?]")


def _crc32c_text(value: int) -> str:
    """As Storage writes it: base64 of the four bytes, big-endian."""
    return base64.b64encode(struct.pack(">I", value)).decode()


class _Pieces(io.RawIOBase):
    """An object's bytes, fetched piece by piece and summed up."""

    def __init__(self, blob: Any, stored: Stored, call_seconds: float) -> None:
        self._blob = blob
        self._stored = stored
        self._call_seconds = call_seconds
        self._sum = 0
        self._at = 0
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._piece and self._at < self._stored.size:
            self._fetch()
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        return count

    def _fetch(self) -> None:
        import google_crc32c

        end = min(self._at + PIECE_BYTES, self._stored.size) - 1
        data = answered(
            f"reading {self._stored.uri}",
            lambda seconds: self._blob.download_as_bytes(
                start=self._at,
                end=end,
                raw_download=True,
                checksum=None,
                timeout=seconds,
                retry=None,
            ),
            timeout_seconds=self._call_seconds,
            permission="storage.objects.get",
        )
        if len(data) != end + 1 - self._at:
            msg = f"reading {self._stored.uri}: {len(data)} bytes came of {end + 1 - self._at}"
            raise TransientError(msg)
        self._sum = google_crc32c.extend(self._sum, data)
        self._at += len(data)
        self._piece = memoryview(data)
        if self._at == self._stored.size and self._stored.crc32c:
            found = _crc32c_text(self._sum)
            if found != self._stored.crc32c:
                msg = (
                    f"reading {self._stored.uri}: its CRC32C is {found}, not {self._stored.crc32c}"
                )
                raise TransientError(msg)


class _Summed(io.RawIOBase):
    """Chunks as a stream that Storage's client uploads from, with the CRC32C of what it took."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks: Iterator[bytes] = iter(chunks)
        self._held = bytearray()
        self._at = 0
        self._sum = 0

    @property
    def crc32c(self) -> str:
        return _crc32c_text(self._sum)

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        import google_crc32c

        while size < 0 or len(self._held) < size:
            chunk = next(self._chunks, None)
            if chunk is None:
                break
            self._held += chunk
        count = len(self._held) if size < 0 else min(size, len(self._held))
        data = bytes(self._held[:count])
        del self._held[:count]
        self._at += count
        self._sum = google_crc32c.extend(self._sum, data)
        return data
