"""Cloud Storage in the twin: buckets with their places, objects with their generations.

A small server of our own, for `STORAGE_EMULATOR_HOST`. The emulator on PyPI keeps one location for
all buckets and comes for one platform only; the place of a bucket is what the product must read.
Served: get and create a bucket, list objects (prefix, pages), get an object's metadata or content
(ranges, generation), upload (media, multipart and resumable), delete.
"""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import struct
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import google_crc32c

from twin.clock import Clock, rfc3339
from twin.http import Answer, HttpServer, Request, Route
from twin.rpc import Desk

_MULTI_REGIONS = frozenset({"US", "EU", "ASIA"})
_DUAL_REGIONS = frozenset({"NAM4", "EUR4", "ASIA1"})


class Storage:
    """Buckets and objects, and the server over them."""

    def __init__(self, desk: Desk, clock: Clock, number: str) -> None:
        self._clock = clock
        self._number = number
        self._lock = threading.RLock()
        self._buckets: dict[str, dict[str, Any]] = {}
        self._objects: dict[tuple[str, str], dict[str, Any]] = {}
        self._data: dict[tuple[str, str], bytes] = {}
        self._uploads: dict[str, _Upload] = {}
        self._generation = 1_700_000_000_000_000
        self.withheld: dict[str, set[str]] = {}
        """Permissions that nobody has on a bucket, by its name."""
        bucket = r"/storage/v1/b/(?P<bucket>[^/]+)"
        item = rf"{bucket}/o/(?P<object>.+)"
        self._server = HttpServer(
            desk,
            [
                Route("GET", rf"(/download)?{item}", self._get, "storage.objects.get"),
                Route("GET", rf"{bucket}/o", self._list, "storage.objects.list"),
                Route(
                    "GET",
                    rf"{bucket}/iam/testPermissions",
                    self._test,
                    "storage.buckets.testIamPermissions",
                ),
                Route("GET", bucket, self._get_bucket, "storage.buckets.get"),
                Route("POST", r"/storage/v1/b", self._create_bucket, "storage.buckets.create"),
                Route("POST", rf"/upload{bucket}/o", self._upload, "storage.objects.create"),
                Route("PUT", rf"/upload{bucket}/o", self._continue, "storage.objects.create"),
                Route("DELETE", rf"/upload{bucket}/o", self._abandon, "storage.objects.create"),
                Route("DELETE", item, self._delete, "storage.objects.delete"),
            ],
        )
        self.url = self._server.url
        self.port = self._server.port

    def stop(self) -> None:
        """Ends the server."""
        self._server.stop()

    def bucket(self, name: str, location: str = "US-CENTRAL1") -> None:
        """A bucket in a place (a region, `US`, `NAM4`), empty if it is new."""
        place = location.upper()
        now = rfc3339(self._clock.now())
        kind = (
            "multi-region"
            if place in _MULTI_REGIONS
            else "dual-region"
            if place in _DUAL_REGIONS
            else "region"
        )
        with self._lock:
            self._buckets[name] = {
                "kind": "storage#bucket",
                "id": name,
                "name": name,
                "location": place,
                "locationType": kind,
                "projectNumber": self._number,
                "storageClass": "STANDARD",
                "timeCreated": now,
                "updated": now,
                "metageneration": "1",
                "etag": "CAE=",
            }

    def remove(self, name: str) -> None:
        """The bucket is gone, with what was in it."""
        with self._lock:
            self._buckets.pop(name, None)
            for key in [key for key in self._objects if key[0] == name]:
                del self._objects[key], self._data[key]

    def damage(self, bucket: str, name: str, data: bytes) -> None:
        """Other bytes under the object's name, generation and checksum."""
        with self._lock:
            self._data[bucket, name] = data

    def put(self, bucket: str, name: str, data: str | bytes, *, encoding: str = "") -> None:
        """An object; its bucket is made in US-CENTRAL1 if there is none."""
        content = data.encode() if isinstance(data, str) else data
        with self._lock:
            if bucket not in self._buckets:
                self.bucket(bucket)
            self._generation += 1
            generation = str(self._generation)
            crc = struct.pack(">I", google_crc32c.value(content))
            now = rfc3339(self._clock.now())
            self._data[bucket, name] = content
            self._objects[bucket, name] = {
                "kind": "storage#object",
                "id": f"{bucket}/{name}/{generation}",
                "name": name,
                "bucket": bucket,
                "generation": generation,
                "metageneration": "1",
                "contentType": "text/plain",
                "storageClass": "STANDARD",
                "size": str(len(content)),
                "md5Hash": base64.b64encode(hashlib.md5(content).digest()).decode(),
                "crc32c": base64.b64encode(crc).decode(),
                "etag": generation,
                "timeCreated": now,
                "updated": now,
                **({"contentEncoding": encoding} if encoding else {}),
            }

    def put_uri(self, uri: str, data: str | bytes) -> None:
        """An object by its `gs://` URI."""
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        self.put(bucket, name, data)

    def read_uri(self, uri: str) -> bytes:
        """An object's content; KeyError where there is none."""
        bucket, _, name = uri.removeprefix("gs://").partition("/")
        with self._lock:
            return self._data[bucket, name]

    def names(self, bucket: str) -> list[str]:
        """Every object in a bucket."""
        with self._lock:
            return sorted(name for b, name in self._objects if b == bucket)

    def missing(self, uris: Iterable[str]) -> list[str]:
        """Which of these inputs match nothing; a bucket that the twin does not know has them all."""
        lost = []
        for uri in uris:
            bucket, _, pattern = str(uri).removeprefix("gs://").partition("/")
            if bucket in self._buckets and not any(
                fnmatch.fnmatchcase(name, pattern) for name in self.names(bucket)
            ):
                lost.append(str(uri))
        return lost

    def texts(self, uris: Iterable[str]) -> list[bytes]:
        """The contents of the objects that these inputs match, in order of their names."""
        found = []
        for uri in uris:
            bucket, _, pattern = str(uri).removeprefix("gs://").partition("/")
            with self._lock:
                found += [
                    self._data[bucket, name]
                    for name in self.names(bucket)
                    if fnmatch.fnmatchcase(name, pattern)
                ]
        return found

    def _get_bucket(self, request: Request) -> Answer:
        with self._lock:
            found = self._buckets.get(request.groups["bucket"])
        return Answer(200, found) if found else _absent("The specified bucket does not exist.")

    def _test(self, request: Request) -> Answer:
        if request.groups["bucket"] not in self._buckets:
            return _absent("The specified bucket does not exist.")
        withheld = self.withheld.get(request.groups["bucket"], set())
        asked = request.repeated.get("permissions", ())
        return Answer(200, {"permissions": [one for one in asked if one not in withheld]})

    def _create_bucket(self, request: Request) -> Answer:
        body = json.loads(request.body or b"{}")
        self.bucket(str(body["name"]), str(body.get("location") or "US"))
        return Answer(200, self._buckets[body["name"]])

    def _list(self, request: Request) -> Answer:
        bucket = request.groups["bucket"]
        if bucket not in self._buckets:
            return _absent("The specified bucket does not exist.")
        prefix, after = request.query.get("prefix", ""), request.query.get("pageToken", "")
        delimiter = request.query.get("delimiter", "")
        size = int(request.query.get("maxResults") or 1000)
        names = [n for n in self.names(bucket) if n.startswith(prefix) and n > after]
        folders: set[str] = set()
        if delimiter:
            inside = {n: n[len(prefix) :].partition(delimiter) for n in names}
            folders = {prefix + head + cut for head, cut, _ in inside.values() if cut}
            names = [n for n in names if not inside[n][1]]
        body: dict[str, Any] = {"kind": "storage#objects"}
        with self._lock:
            body["items"] = [self._objects[bucket, name] for name in names[:size]]
        if folders:
            body["prefixes"] = sorted(folders)
        if len(names) > size:
            body["nextPageToken"] = names[size - 1]
        return Answer(200, body)

    def _get(self, request: Request) -> Answer:
        key = (request.groups["bucket"], request.groups["object"])
        with self._lock:
            meta, data = self._objects.get(key), self._data.get(key)
        if meta is None or data is None:
            return _absent(f"No such object: {key[0]}/{key[1]}")
        asked = request.query.get("generation")
        if asked and asked != meta["generation"]:
            return _absent(f"No such object: {key[0]}/{key[1]}#{asked}")
        if request.query.get("alt") != "media":
            return Answer(200, meta)
        headers = {
            "Content-Type": meta["contentType"],
            "X-Goog-Hash": f"crc32c={meta['crc32c']},md5={meta['md5Hash']}",
            "X-Goog-Generation": meta["generation"],
            "ETag": meta["etag"],
        }
        wanted = request.headers.get("range", "")
        if not wanted.startswith("bytes="):
            return Answer(200, data, headers)
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start = int(first) if first else max(len(data) - int(last), 0)
        end = min(int(last), len(data) - 1) if first and last else len(data) - 1
        if start >= len(data):
            return Answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {start}-{end}/{len(data)}"
        return Answer(206, data[start : end + 1], headers)

    def _upload(self, request: Request) -> Answer:
        bucket = request.groups["bucket"]
        if bucket not in self._buckets:
            return _absent("The specified bucket does not exist.")
        name, data = request.query.get("name", ""), request.body
        if request.query.get("uploadType") == "resumable":
            return self._begin(request)
        metadata: dict[str, str] = {}
        if request.query.get("uploadType") == "multipart":
            name, data, metadata = _multipart(request)
        return self._store(bucket, name, data, metadata, request.query.get("ifGenerationMatch"))

    def _store(
        self, bucket: str, name: str, data: bytes, metadata: dict[str, str], condition: str | None
    ) -> Answer:
        with self._lock:
            held = self._objects.get((bucket, name), {}).get("generation", "0")
            if condition is not None and condition != held:
                return Answer(412, {"error": {"code": 412, "message": "conditionNotMet"}})
            self.put(bucket, name, data)
            if metadata:
                self._objects[bucket, name]["metadata"] = metadata
            return Answer(200, self._objects[bucket, name])

    def _begin(self, request: Request) -> Answer:
        """A resumable upload begins: its pieces come by PUT, each after the other."""
        about = json.loads(request.body or b"{}")
        bucket = request.groups["bucket"]
        name = request.query.get("name") or str(about.get("name") or "")
        with self._lock:
            ident = f"upload-{len(self._uploads) + 1}"
            self._uploads[ident] = _Upload(
                name, dict(about.get("metadata") or {}), request.query.get("ifGenerationMatch")
            )
        query = f"uploadType=resumable&upload_id={ident}"
        return Answer(200, b"", {"Location": f"{self.url}/upload/storage/v1/b/{bucket}/o?{query}"})

    def _continue(self, request: Request) -> Answer:
        upload = self._uploads.get(request.query.get("upload_id", ""))
        if upload is None:
            return _absent("No such upload.")
        sent, _, total = (
            request.headers.get("content-range", "").removeprefix("bytes ").partition("/")
        )
        upload.data += request.body
        if total == "*" or (sent != "*" and int(total) > len(upload.data)):
            return Answer(308, b"", {"Range": f"bytes=0-{len(upload.data) - 1}"})
        with self._lock:
            del self._uploads[request.query["upload_id"]]
        bucket = request.groups["bucket"]
        return self._store(
            bucket, upload.name, bytes(upload.data), upload.metadata, upload.condition
        )

    def _abandon(self, request: Request) -> Answer:
        """A resumable upload is given up: nothing of it is stored."""
        with self._lock:
            self._uploads.pop(request.query.get("upload_id", ""), None)
        return Answer(499)

    def _delete(self, request: Request) -> Answer:
        key = (request.groups["bucket"], request.groups["object"])
        with self._lock:
            if self._objects.pop(key, None) is None:
                return _absent(f"No such object: {key[0]}/{key[1]}")
            del self._data[key]
        return Answer(204)


@dataclass
class _Upload:
    """A resumable upload while its pieces arrive."""

    name: str
    metadata: dict[str, str]
    condition: str | None
    data: bytearray = field(default_factory=bytearray)


def _absent(message: str) -> Answer:
    error = {"code": 404, "message": message, "errors": [{"reason": "notFound"}]}
    return Answer(404, {"error": error})


def _multipart(request: Request) -> tuple[str, bytes, dict[str, str]]:
    """(name, content, metadata) of a multipart/related upload."""
    boundary = request.headers["content-type"].partition("boundary=")[2].strip("\"'").encode()
    parts = request.body.split(b"--" + boundary)
    head = parts[1].partition(b"\r\n\r\n")[2]
    content = parts[2].partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
    about = json.loads(head)
    return str(about["name"]), content, dict(about.get("metadata") or {})
