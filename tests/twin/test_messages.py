"""Messages that are kept: what is answered is what the document says now."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from google.cloud import aiplatform_v1 as vertex

from twin.messages import Messages
from twin.rpc import plain, to_json

JOB = plain(vertex.CustomJob)
PAGE = plain(vertex.ListCustomJobsResponse)


def job(number: int, **fields: Any) -> dict[str, Any]:
    return {"name": f"projects/p/locations/l/customJobs/{number}", "displayName": "x", **fields}


def test_a_document_that_was_changed_is_another_message() -> None:
    messages = Messages()
    document = job(1, labels={"a": "1"})
    first = messages.answer(document, JOB)
    assert messages.answer(job(1, labels={"a": "1"}), JOB) is first
    document["labels"]["a"] = "2"
    assert to_json(messages.answer(document, JOB)) == document
    assert to_json(first)["labels"] == {"a": "1"}


def test_a_page_holds_its_items_and_the_next_token() -> None:
    messages = Messages()
    page = {"customJobs": [job(1), job(2)], "nextPageToken": "2"}
    assert to_json(messages.answer(page, PAGE)) == page
    assert to_json(messages.answer({"customJobs": [], "nextPageToken": ""}, PAGE)) == {}


def test_what_is_kept_is_bounded() -> None:
    messages = Messages(most_bytes=1000)
    for number in range(100):
        assert to_json(messages.answer(job(number), JOB)) == job(number)
    assert messages.answer(job(99), JOB) is messages.answer(job(99), JOB)
    assert messages.answer(job(0), JOB) is not None
    long = job(1, displayName="x" * 2000)
    assert to_json(messages.answer(long, JOB)) == long


def test_what_is_only_like_a_document_is_converted_as_well() -> None:
    ordered = OrderedDict(a="1")  # which protobuf makes of an Any
    assert to_json(Messages().answer(job(1, labels=ordered), JOB))["labels"] == {"a": "1"}
