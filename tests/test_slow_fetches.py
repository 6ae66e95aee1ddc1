"""Slow answers that a log tells of: in its words, by the bytes that came, or in the fields of structured lines."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.case import Case
from remediator.diagnosis import diagnose
from remediator.domain import Cause

START = datetime(2026, 11, 30, 10, 2, tzinfo=UTC)


def case_of(lines: list[Any], *, cpu: float = 0.01, step: float = 300.0) -> Case:
    """A custom job that its time-out cut; a line each `step` seconds, CPU at `cpu` (0 to 1) all the while."""
    end = START + timedelta(seconds=step * (len(lines) + 1))

    def at(moment: datetime) -> str:
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    entries = []
    for number, line in enumerate(lines, start=1):
        payload = {"jsonPayload": line} if isinstance(line, dict) else {"textPayload": line}
        entries.append(
            {
                "insertId": f"{number}",
                "severity": "INFO",
                "timestamp": at(START + timedelta(seconds=step * number)),
                "resource": {"type": "ml_job", "labels": {"task_name": "workerpool0-0"}},
                **payload,
            }
        )
    points = [
        {
            "interval": {"endTime": at(START + timedelta(seconds=60 * n))},
            "value": {"doubleValue": cpu},
        }
        for n in range(int((end - START).total_seconds() // 60))
    ]
    body = {
        "job": {
            "name": "projects/1/locations/us-central1/customJobs/1",
            "state": "JOB_STATE_FAILED",
            "createTime": at(START - timedelta(minutes=2)),
            "startTime": at(START),
            "endTime": at(end),
            "jobSpec": {
                "workerPoolSpecs": [
                    {"machineSpec": {"machineType": "n1-standard-4"}, "replicaCount": "1", "containerSpec": {"imageUri": "gcr.io/p/i"}}
                ],
                "scheduling": {"timeout": f"{int((end - START).total_seconds())}s"},
            },
            "error": {"code": 4, "message": f"The CustomJob ran longer than its timeout of {int((end - START).total_seconds())}s."},
        },
        "logEntries": entries,
        "timeSeries": [
            {
                "metric": {"type": "aiplatform.googleapis.com/training/cpu/utilization"},
                "resource": {"type": "aiplatform.googleapis.com/CustomJob"},
                "points": points,
            }
        ],
    }  # fmt: skip
    return Case.parse(body)


TOLD = (
    "item {n} of 400 fetched, waited 5.0 s for catalogue.example",
    "page {n}: 18 bytes after 7 s waiting for wiki.example",
    "2026-11-30 10:04:51,129 INFO part {n} of 200: 7 bytes in 5.0 s",
    "chunk {n}: 120 kB in 4.2 s",
    '{{"severity":"INFO","message":"row enriched","row":{n},"waited_ms":4233,"source":"features.us.example"}}',
    '{{"level":"info","msg":"page {n} of 300: HTTP 200","wait_s":5.1}}',
)
UNTOLD = (
    "chunk {n}: 900 MB in 5.0 s",  # the machine had plenty to do with that
    "chunk {n}: 7 bytes in 0.1 s",
    '{{"severity":"INFO","message":"step done","step":{n},"latency_ms":12}}',
    '{{"severity":"INFO","message":"step done","step":{n},"waited_ms":true}}',
    '{{"severity":"INFO","message":"step done","step":{n},"await_count":5000}}',
)


@pytest.mark.parametrize("told", TOLD)
def test_waits_that_each_line_tells_are_the_network(told: str) -> None:
    found = diagnose(case_of([told.format(n=n) for n in range(1, 6)]))
    assert found.verdict is Cause.NETWORK_LATENCY
    assert any("fetches from" in one.says for one in found.causes[0].evidence)


def test_fields_of_a_structured_payload_tell_it_too() -> None:
    lines = [
        {"message": "row enriched", "fetch_seconds": 6.5, "url": "https://api.partner.example/v1/x"}
        for _ in range(5)
    ]
    found = diagnose(case_of(lines))
    assert found.verdict is Cause.NETWORK_LATENCY
    assert any("api.partner.example" in one.says for one in found.causes[0].evidence)


@pytest.mark.parametrize("untold", UNTOLD)
def test_what_is_quick_or_no_wait_is_no_slow_fetch(untold: str) -> None:
    found = diagnose(case_of([untold.format(n=n) for n in range(1, 6)]))
    told = [one.says for cause in found.causes for one in cause.evidence]
    assert not any("fetches from" in says for says in told)


@pytest.mark.parametrize("told", TOLD)
def test_a_machine_that_was_full_did_not_wait(told: str) -> None:
    found = diagnose(case_of([told.format(n=n) for n in range(1, 6)], cpu=0.99))
    assert found.verdict is Cause.CPU_SATURATION


def test_fields_are_those_of_the_line_however_it_was_written() -> None:
    fields = {"message": "row", "waited_ms": 4}
    as_payload, as_text = case_of([fields, json.dumps(fields)]).log_lines
    assert as_payload.fields == as_text.fields == fields
    assert case_of(["plain"]).log_lines[0].fields == {}


def test_a_source_that_is_staged_in_from_another_host_is_waited_for() -> None:
    lines = [f"stage-in file {n} of 40 from grid-us.example" for n in range(1, 6)]
    assert diagnose(case_of(lines, step=370.0)).verdict is Cause.NETWORK_LATENCY
