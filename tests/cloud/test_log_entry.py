"""A log entry read field by field is what protobuf's own JSON of it says."""

from __future__ import annotations

from typing import Any

from google.cloud.logging_v2.types import LogEntry
from hypothesis import given
from hypothesis import strategies as st

from remediator.cloud.log_entry import entry_json
from remediator.cloud.proto_json import from_json, to_json

_RESOURCE = {"type": "ml_job", "labels": {"job_id": "7", "task_name": "workerpool0-0"}}
_TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
_LABELS = st.dictionaries(_TEXTS, _TEXTS, max_size=3)
_TIMES = st.sampled_from(
    ["2026-11-23T19:00:00Z", "2026-11-23T19:00:00.5Z", "1901-01-01T00:00:00.123456789Z"]
)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats(-1e9, 1e9) | st.integers(-(2**40), 2**40) | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
    max_leaves=8,
)
_ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "logName": _TEXTS,
        "resource": st.fixed_dictionaries({}, optional={"type": _TEXTS, "labels": _LABELS}),
        "timestamp": _TIMES,
        "receiveTimestamp": _TIMES,
        "severity": st.sampled_from(["DEFAULT", "INFO", "ERROR", 17]),
        "insertId": _TEXTS,
        "labels": _LABELS,
        "trace": _TEXTS,
        "spanId": _TEXTS,
        "traceSampled": st.booleans(),
        "httpRequest": st.just({"status": 503}),
        "operation": st.just({"id": "a", "first": True}),
        "sourceLocation": st.just({"file": "a.py", "line": "7"}),
        "split": st.just({"uid": "u", "index": 1, "totalSplits": 2}),
    },
)
_PAYLOADS = st.one_of(
    st.just({}),
    st.builds(lambda text: {"textPayload": text}, _TEXTS),
    st.builds(lambda body: {"jsonPayload": body}, st.dictionaries(_TEXTS, _VALUES, max_size=3)),
)


def message(body: dict[str, Any]) -> Any:
    return from_json(body, LogEntry.pb()())


@given(_ENTRIES, _PAYLOADS)
def test_an_entry_is_read_as_its_json_would_be(
    entry: dict[str, Any], payload: dict[str, Any]
) -> None:
    sent = message({**entry, **payload})
    assert list(entry_json(sent).items()) == list(to_json(sent).items())


def test_what_no_json_can_hold_costs_nothing_else() -> None:
    sent = message({"severity": "ERROR", "resource": _RESOURCE})
    sent.json_payload["loss"] = float("nan")
    assert entry_json(sent) == to_json(sent)
    assert entry_json(sent)["jsonPayload"] == {"loss": "NaN"}
