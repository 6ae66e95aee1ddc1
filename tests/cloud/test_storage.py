"""The Storage client against the twin."""

from __future__ import annotations

import pytest

from remediator.cloud.storage import HEAD_BYTES, TAIL_BYTES, Storage, parse_uri
from remediator.domain import (
    InvalidInput,
    NotFound,
    PermanentError,
    PermissionDenied,
    TransientError,
)
from twin import faults
from twin.cloud import Cloud


def test_a_bucket_says_where_it_lives(cloud: Cloud, storage: Storage) -> None:
    cloud.storage.bucket("far-data", "europe-west4")
    assert storage.bucket_location("far-data") == "EUROPE-WEST4"
    with pytest.raises(NotFound, match="no-such-bucket"):
        storage.bucket_location("no-such-bucket")


def test_error_files_of_both_generations_are_found_and_nothing_else(
    cloud: Cloud, storage: Storage
) -> None:
    run = "scored/prediction-m-2026_11_23T10_00_00_000Z"
    row = "('Post request fails. Cannot get predictions.', 64)\n"
    cloud.storage.put("out", f"{run}/prediction.errors_stats-00000-of-00001", row)
    cloud.storage.put("out", f"{run}/prediction.errors_stats-00001-of-00002", "")
    cloud.storage.put("out", f"{run}/prediction.results-00000-of-00001", "{}\n")
    cloud.storage.put("out", "scored/errors_0001.jsonl", '{"error": {"code": 3}}\n')
    cloud.storage.put("out", "scored-elsewhere/errors_0001.jsonl", "not ours")
    assert storage.error_files("gs://out/scored") == {
        f"gs://out/{run}/prediction.errors_stats-00000-of-00001": row,
        "gs://out/scored/errors_0001.jsonl": '{"error": {"code": 3}}\n',
    }
    assert storage.error_files("gs://out/nothing/here/") == {}


def test_the_output_of_a_publishers_model_is_read_for_its_failed_rows(
    cloud: Cloud, storage: Storage
) -> None:
    run = "answers/prediction-model-2026-11-23T10:00:00.000000Z"
    row = '{"status": "busy", "request": {}}\n'
    for name in ("predictions.jsonl", "predictions.jsonl-00000-of-00002"):
        cloud.storage.put("out", f"{run}/{name}", row)
    cloud.storage.put("out", f"{run}/incremental_predictions.jsonl", row)
    assert set(storage.error_files(f"gs://out/{run}")) == {
        f"gs://out/{run}/predictions.jsonl",
        f"gs://out/{run}/predictions.jsonl-00000-of-00002",
    }


def test_of_a_long_error_file_both_ends_are_read_and_no_more(
    cloud: Cloud, storage: Storage
) -> None:
    text = "first\n" + "x" * 3_000_000 + "\nlast"
    cloud.storage.put("out", "errors_0001.jsonl", text)
    (found,) = storage.error_files("gs://out").values()
    left = len(text) - HEAD_BYTES - TAIL_BYTES
    assert found == f"{text[:HEAD_BYTES]}\n[… {left} bytes left out …]\n{text[-TAIL_BYTES:]}"
    ranges = [call.request for call in cloud.calls("storage.objects.get")]
    assert len(ranges) == 2


def test_bytes_that_are_no_text_are_shown_as_far_as_they_go(cloud: Cloud, storage: Storage) -> None:
    cloud.storage.put("out", "errors_0001.jsonl", b"ok \xff\x00 ok")
    assert list(storage.error_files("gs://out").values()) == ["ok \ufffd\x00 ok"]


def test_a_text_is_read_whole_with_its_generation(cloud: Cloud, storage: Storage) -> None:
    cloud.storage.put("conf", "policies.yaml", "version: 1 # grün\n")
    text, generation = storage.read("gs://conf/policies.yaml")
    assert (text, generation.isdigit()) == ("version: 1 # grün\n", True)
    cloud.storage.put("conf", "policies.yaml", "version: 2\n")
    assert storage.read("gs://conf/policies.yaml")[1] != generation
    with pytest.raises(NotFound):
        storage.read("gs://conf/other.yaml")


def test_what_is_no_small_text_is_refused(cloud: Cloud, storage: Storage) -> None:
    cloud.storage.put("conf", "big", b"x" * 4_000_001)
    cloud.storage.put("conf", "binary", b"\xff\xfe")
    with pytest.raises(PermanentError, match="4000001 bytes"):
        storage.read("gs://conf/big")
    with pytest.raises(PermanentError, match="not UTF-8"):
        storage.read("gs://conf/binary")


def test_whether_something_is_there(cloud: Cloud, storage: Storage) -> None:
    cloud.storage.put("inputs", "rows/a.jsonl", "{}")
    assert storage.exists("gs://inputs/rows/a.jsonl")
    assert storage.exists("gs://inputs/rows/")
    assert not storage.exists("gs://inputs/rows/b.jsonl")
    assert not storage.exists("gs://inputs/other/")


@pytest.mark.parametrize(
    "uri",
    ["s3://a/b", "gs://", "gs://../x", "gs://UPPER/x", "/etc/passwd", "gs://a b/c", "gs://x@y/z"],
)
def test_what_is_no_uri_is_refused_before_anything_is_asked(storage: Storage, uri: str) -> None:
    with pytest.raises(PermanentError):
        parse_uri(uri)
    with pytest.raises(PermanentError):
        storage.read(uri)


@pytest.mark.parametrize(
    "emulator", ["http://10.0.0.1:80", "http://storage.example", "169.254.169.254:80", "http://"]
)
def test_a_plaintext_storage_elsewhere_is_never_asked(
    monkeypatch: pytest.MonkeyPatch, emulator: str
) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", emulator)
    with pytest.raises(InvalidInput, match="loopback"):
        Storage().bucket_location("bucket")


def test_loopback_is_reached_without_the_proxy_of_the_machine(
    cloud: Cloud, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    cloud.storage.put_uri("gs://near/policies.yaml", "version: 1")
    assert storage.read("gs://near/policies.yaml")[0] == "version: 1"


@pytest.mark.parametrize("status", ["503", "500", "429", "504", "408"])
def test_a_read_is_tried_again(cloud: Cloud, storage: Storage, status: str) -> None:
    cloud.storage.bucket("data", "US")
    cloud.fail("storage.buckets.get", faults.status(status), times=2)
    assert storage.bucket_location("data") == "US"


def test_a_dropped_connection_is_tried_again(cloud: Cloud, storage: Storage) -> None:
    cloud.storage.put("conf", "policies.yaml", "version: 1\n")
    cloud.fail("storage.objects.get", faults.Fault(drop=True))
    assert storage.read("gs://conf/policies.yaml")[0] == "version: 1\n"


def test_retry_after_is_kept(cloud: Cloud, storage: Storage) -> None:
    cloud.storage.bucket("data", "US")
    cloud.fail("storage.buckets.get", faults.status("429", retry_after=1))
    storage.bucket_location("data")
    first, second = cloud.calls("storage.buckets.get")
    assert second.at - first.at >= 1


def test_what_does_not_pass_is_said(cloud: Cloud, storage: Storage) -> None:
    cloud.storage.bucket("data", "US")
    cloud.allow_only("storage.objects.get")
    with pytest.raises(PermissionDenied, match=r"storage\.buckets\.get"):
        storage.bucket_location("data")
    cloud.desk.iam.granted = None
    cloud.fail("storage.*", faults.status("503", "the words"), times=float("inf"))
    with pytest.raises(TransientError):
        storage.bucket_location("data", timeout_seconds=0.5)
    with pytest.raises(TransientError):
        storage.error_files("gs://data/x", timeout_seconds=0.5)
