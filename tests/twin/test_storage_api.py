"""Cloud Storage in the twin, by Google's client and `STORAGE_EMULATOR_HOST`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from twin import faults
from twin.cloud import Cloud


@pytest.fixture
def client(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud.storage.url)
    made = storage.Client(project=cloud.project, credentials=AnonymousCredentials())
    yield made
    made.close()


@pytest.mark.parametrize(
    ("place", "kind"),
    [("europe-west4", "region"), ("US", "multi-region"), ("NAM4", "dual-region")],
)
def test_a_bucket_says_where_it_is(cloud: Cloud, client: Any, place: str, kind: str) -> None:
    cloud.storage.bucket("data", place)
    found = client.get_bucket("data")
    assert (found.location, found.location_type) == (place.upper(), kind)


def test_objects_are_listed_by_prefix_and_in_pages(cloud: Cloud, client: Any) -> None:
    for name in ("a/1", "a/2", "a/b/3", "z"):
        cloud.storage.put("data", name, name)
    assert [blob.name for blob in client.list_blobs("data", prefix="a/", page_size=2)] == [
        "a/1",
        "a/2",
        "a/b/3",
    ]
    folders = client.list_blobs("data", prefix="a/", delimiter="/")
    assert [blob.name for blob in folders] == ["a/1", "a/2"]
    assert folders.prefixes == {"a/b/"}


def test_an_object_is_read_whole_and_in_part(cloud: Cloud, client: Any) -> None:
    cloud.storage.put("data", "run 1/ä.txt", "0123456789")
    blob = client.bucket("data").blob("run 1/ä.txt")
    assert blob.download_as_bytes() == b"0123456789"
    assert blob.download_as_bytes(start=2, end=4) == b"234"
    assert blob.download_as_bytes(start=8) == b"89"
    blob.reload()
    assert blob.size == 10


def test_a_new_version_has_a_new_generation(cloud: Cloud, client: Any) -> None:
    blob = client.create_bucket("fresh", location="us-east1").blob("p.yaml")
    blob.upload_from_string("one")
    first = blob.generation
    blob.upload_from_string("two")
    assert blob.generation > first
    assert cloud.storage.read_uri("gs://fresh/p.yaml") == b"two"
    with pytest.raises(exceptions.PreconditionFailed):
        blob.upload_from_string("three", if_generation_match=first)
    with pytest.raises(exceptions.NotFound):
        client.bucket("fresh").blob("p.yaml", generation=first).download_as_bytes()


def test_what_is_not_there_is_not_found(cloud: Cloud, client: Any) -> None:
    cloud.storage.bucket("data")
    with pytest.raises(exceptions.NotFound):
        client.get_bucket("none")
    with pytest.raises(exceptions.NotFound):
        client.bucket("data").blob("none").download_as_bytes()
    with pytest.raises(exceptions.NotFound):
        list(client.list_blobs("none"))


def test_faults_and_permissions_hold_here_too(cloud: Cloud, client: Any) -> None:
    cloud.storage.bucket("data")
    cloud.fail("storage.buckets.get", faults.status("503"))
    assert client.get_bucket("data").name == "data"  # the client tries again by itself
    assert [call.outcome for call in cloud.calls("storage.buckets.get")] == ["503", "200"]
    cloud.allow_only("storage.buckets.get")
    with pytest.raises(exceptions.Forbidden, match=r"storage\.objects\.list"):
        list(client.list_blobs("data"))
