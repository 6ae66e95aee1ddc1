"""Last lines of structured logs are shown with the fields that tell something."""

from __future__ import annotations

import json

import pytest

from remediator.case import LogLine
from remediator.diagnosis.texts.last_lines import last_lines

KEY = "AKIA" + "Q3EXAMPLE7ZB4N6M"


def shown(**entry) -> str:
    return last_lines([LogLine.parse(entry)])[-1]


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"shard": 17, "path": "gs://in/a.avro"}, " · shard=17 path=gs://in/a.avro"),
        ({"status": 403, "retry": False}, " · status=403 retry=false"),
        ({"reason": "no such table"}, ' · reason="no such table"'),
        ({"labels": {"fold": 3}}, " · fold=3"),
        ({"fields": {"step": 9}}, " · step=9"),
        ({"level": "error", "ts": 1.5, "logger": "x", "caller": "a.go:1", "pid": 4}, ""),
        ({"trace_id": "ab", "logging.googleapis.com/trace": "projects/p/traces/1"}, ""),
        ({"tables": ["a", "b"], "empty": "", "none": None}, ""),
        ({"what": 1}, " · what=1"),
        ({"what": "load failed"}, ""),  # the message says it
    ],
)  # fmt: skip
def test_fields_stand_behind_the_message(fields: dict, wanted: str) -> None:
    body = {"message": "load failed", **fields}
    assert shown(jsonPayload=body) == f"load failed{wanted}"
    assert shown(textPayload=json.dumps(body)) == f"load failed{wanted}"
    assert shown(jsonPayload={"message": json.dumps(body)}) == f"load failed{wanted}"


def test_an_error_beside_the_message_is_not_said_twice() -> None:
    body = {"message": "load failed", "error": "403 Forbidden", "table": "t"}
    assert shown(jsonPayload=body) == "load failed: 403 Forbidden · table=t"


def test_a_fields_name_may_hold_what_cannot_be_shown() -> None:
    assert "=9" in shown(jsonPayload={"message": "load failed", "a\x1fb": 9})


def test_fields_are_short() -> None:
    body = {"message": "load failed", "long": "x" * 5_000, **{f"key{i}": i for i in range(500)}}
    said = shown(jsonPayload=body)
    assert len(said) < 200
    assert "x…" in said


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "correct horse battery"},
        {"api_key": KEY},
        {"auth": {"token": "abcdef0123456789"}},
        {"url": "https://user:hunter2secret@db.example/x"},
    ],
)
def test_a_secret_is_cut_out_under_its_name(fields: dict) -> None:
    said = shown(jsonPayload={"message": "login failed", **fields})
    secrets = ("correct", "horse", "battery", KEY, "abcdef0123456789", "hunter2secret")
    assert not any(secret in said for secret in secrets)
    assert "login failed · " in said


def test_plain_lines_and_objects_without_a_message_are_as_they_were() -> None:
    assert shown(textPayload="step 3: loss=0.4") == "step 3: loss=0.4"
    assert shown(jsonPayload={"loss": 0.4}) == '{"loss": 0.4}'
