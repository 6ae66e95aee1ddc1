"""Objects as streams, by Google's client against the twin: whole, as they were stored, or not at all."""

from __future__ import annotations

import random
from typing import Any

import pytest

from remediator.cloud.objects import PIECE_BYTES, Objects
from remediator.cloud.storage import Storage
from remediator.domain import PermanentError, PermissionDenied, TransientError
from twin import faults
from twin.cloud import Cloud

LONG = random.Random(27).randbytes(2 * PIECE_BYTES + 12345)


@pytest.fixture
def objects(cloud: Cloud, storage: Storage) -> Objects:
    cloud.storage.bucket("ours")
    return Objects(storage, call_seconds=5.0)


def found(objects: Objects, uri: str) -> list[str]:
    return [one.uri for one in objects.find(uri)]


def test_a_uri_names_one_object_a_folder_or_what_its_star_fits(
    cloud: Cloud, objects: Objects
) -> None:
    for name in ("in/a-1.jsonl", "in/a-2.jsonl", "in/b.jsonl", "in/a[1].jsonl", "inside.jsonl"):
        cloud.storage.put("lab", name, "{}\n")
    assert found(objects, "gs://lab/in/b.jsonl") == ["gs://lab/in/b.jsonl"]
    assert found(objects, "gs://lab/in/a-*.jsonl") == [
        "gs://lab/in/a-1.jsonl",
        "gs://lab/in/a-2.jsonl",
    ]
    assert found(objects, "gs://lab/in/a[1]*") == ["gs://lab/in/a[1].jsonl"]
    assert len(found(objects, "gs://lab/in/")) == 4
    assert found(objects, "gs://lab/nothing") == []


def test_a_long_object_is_read_in_pieces_and_is_what_was_stored(
    cloud: Cloud, objects: Objects
) -> None:
    cloud.storage.put("lab", "long", LONG)
    (stored,) = objects.find("gs://lab/long")
    with objects.open(stored) as stream:
        assert stream.read() == LONG
    reads = cloud.calls("storage.objects.get")
    assert len(reads) == 3


def test_bytes_that_are_not_those_that_were_stored_are_no_answer(
    cloud: Cloud, objects: Objects
) -> None:
    cloud.storage.put("lab", "rows", b"one\n")
    (stored,) = objects.find("gs://lab/rows")
    cloud.storage.damage("lab", "rows", b"two\n")
    with objects.open(stored) as stream, pytest.raises(TransientError, match="CRC32C"):
        stream.read()


def test_an_object_that_was_replaced_since_is_not_read_for_it(
    cloud: Cloud, objects: Objects
) -> None:
    cloud.storage.put("lab", "rows", b"one\n")
    (stored,) = objects.find("gs://lab/rows")
    cloud.storage.put("lab", "rows", b"another\n")
    with objects.open(stored) as stream, pytest.raises(PermanentError, match="reading gs://lab"):
        stream.read()


def test_what_is_written_is_whole_and_written_once(cloud: Cloud, objects: Objects) -> None:
    uri = "gs://ours/inputs/1"
    assert objects.rows_in(uri) is None
    objects.create(uri, (LONG[i : i + 100_000] for i in range(0, len(LONG), 100_000)), rows=7)
    assert cloud.storage.read_uri(uri) == LONG
    assert objects.rows_in(uri) == 7
    objects.create(uri, [b"other\n"], rows=1)
    assert (cloud.storage.read_uri(uri), objects.rows_in(uri)) == (LONG, 7)


def test_rows_that_fail_while_they_are_written_leave_no_object(
    cloud: Cloud, objects: Objects
) -> None:
    def broken() -> Any:
        yield LONG
        msg = "the input is gone"
        raise TransientError(msg)

    with pytest.raises(TransientError, match="the input is gone"):
        objects.create("gs://ours/inputs/2", broken(), rows=7)
    assert cloud.storage.names("ours") == []


def test_a_refused_write_names_the_permission(cloud: Cloud, objects: Objects) -> None:
    cloud.fail("storage.objects.create", faults.status("403", "denied"), times=9)
    with pytest.raises(PermissionDenied, match=r"storage\.objects\.create"):
        objects.create("gs://ours/inputs/3", [b"{}\n"], rows=1)


def test_a_document_of_ours_is_written_over(cloud: Cloud, objects: Objects) -> None:
    objects.write_json("gs://ours/m.json", {"a": 1})
    objects.write_json("gs://ours/m.json", {"a": 2})
    assert b'"a": 2' in cloud.storage.read_uri("gs://ours/m.json")


def test_what_is_stored_compressed_is_refused(cloud: Cloud, objects: Objects) -> None:
    cloud.storage.put("lab", "rows", b"x", encoding="gzip")
    (stored,) = objects.find("gs://lab/rows")
    with pytest.raises(PermanentError, match="stored as gzip"):
        objects.open(stored)
