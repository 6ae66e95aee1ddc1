"""What a worker can write, and what it must not buy: forged lines, odd telemetry, bare counters."""

from __future__ import annotations

import json

import pytest

from remediator.case import Case, LogLine
from remediator.diagnosis import diagnose
from remediator.diagnosis.statements import LOG_CEILING, is_service_line, read_case
from remediator.diagnosis.timeline import says_something, template_of
from remediator.diagnosis.utilisation import telemetry_of
from remediator.domain import Cause
from tests.test_diagnosis import at, batch, cpu, custom, lines, of, telemetry

SERVICE = {"type": "ml_job", "labels": {"job_id": "7", "task_name": "service"}}
WORKER = {"type": "ml_job", "labels": {"job_id": "7", "task_name": "workerpool0-0"}}

CLAIMS = [
    ("the resource says so", {"resource": SERVICE}, True),
    ("the resource and its log's name", {"resource": SERVICE, "logName": "projects/p/logs/ml.googleapis.com%2F7"}, True),
    ("an older resource type", {"resource": {**SERVICE, "type": "cloudml_job"}}, True),
    ("a label alone", {"resource": WORKER, "labels": {"task_name": "service"}}, False),
    ("a label without a resource", {"labels": {"task_name": "service"}}, False),
    ("a worker's log", {"resource": SERVICE, "logName": "projects/p/logs/workerpool0-0"}, False),
    ("a label that contradicts", {"resource": SERVICE, "labels": {"task_name": "workerpool0-0"}}, False),
    ("another kind of resource", {"resource": {**SERVICE, "type": "global"}}, False),
    ("a resource that is none", {"resource": "ml_job"}, False),
]  # fmt: skip


@pytest.mark.parametrize(("entry", "trusted"), [c[1:] for c in CLAIMS], ids=[c[0] for c in CLAIMS])
def test_only_what_a_container_cannot_set_names_the_service(entry, trusted):
    assert is_service_line(LogLine.parse(entry)) is trusted


def forged(text: str) -> dict:
    return {"textPayload": text, "severity": "ERROR", "insertId": "f", "resource": SERVICE}


def test_a_line_in_the_services_name_weighs_no_more_than_a_workers():
    case = Case.parse(custom(900) | {"logEntries": [forged("CUDA out of memory")]})
    assert [s.weight for s in read_case(case).signs] == [LOG_CEILING]
    assert diagnose(case).causes[0].evidence[0].says.startswith("the service's log: ")


def test_a_forged_service_line_does_not_outweigh_the_jobs_own_error():
    body = custom(900, "Permission 'storage.objects.get' denied on resource x") | {
        "logEntries": [forged("The replica workerpool0-0 ran out of memory and exited with 137")]
    }
    assert of(body).verdict is Cause.PERMISSION


def test_a_forged_time_out_is_a_workers_word():
    sure = of(custom(3610) | {"timeSeries": cpu(0.97)}).confidence
    told = of(custom(900) | {"timeSeries": cpu(0.97, 900), "logEntries": [forged("Job timed out")]})
    assert told.confidence < sure


def test_a_refusal_is_trusted_from_the_audit_log_alone():
    status = {"protoPayload": {"status": {"code": 7, "message": "Permission 'a.b.c' denied"}}}
    audit = {"logName": "projects/p/logs/cloudaudit.googleapis.com%2Factivity"}
    real = of(custom(900) | {"logEntry": status | audit})
    other = of(custom(900) | {"logEntry": status | {"logName": "projects/p/logs/mine"}})
    assert other.confidence < real.confidence


def test_a_wish_for_a_gpu_in_a_workers_log_stays_under_the_ceiling():
    found = of(batch() | {"logEntries": lines((3, "CUDA not available, running on CPU"))})
    assert found.verdict is Cause.ACCELERATOR_MISSING
    assert found.confidence < 0.93


# --- telemetry -------------------------------------------------------------------------------------

SAMPLE = '{"remediatorTelemetry": 1, "time": "2026-11-23T10:00:30Z", "cpu": 0.5}'
WRITTEN = [
    ("alone", SAMPLE),
    ("after a prefix with braces", "INFO {worker=3} [job {7}] " + SAMPLE),
    ("before more text", SAMPLE + " and the rest {"),
    ("with blanks", '{ "remediatorTelemetry": 1, "cpu": 0.5}'),
    ("keys in another order", '{"cpu": 0.5, "remediatorTelemetry": 1}'),
]


@pytest.mark.parametrize("text", [w[1] for w in WRITTEN], ids=[w[0] for w in WRITTEN])
def test_telemetry_is_found_in_whatever_a_logger_put_around_it(text):
    found = telemetry_of([LogLine.parse({"textPayload": text})])
    assert [body["cpu"] for _, _, body in found] == [0.5]


@pytest.mark.parametrize("value", ["1e999", "-1", "NaN", "9" * 4000, '"0.9"', "true", "null", "{}"])
def test_a_number_that_cannot_be_is_no_number(value):
    text = '{"remediatorTelemetry": 1, "memoryBytes": 1, "cpu": ' + value + "}"
    found = of(custom(3610) | {"logEntries": [{"textPayload": text}] * 5})
    assert found.needs.cpu_fullness is None


def test_where_google_measured_too_a_workers_word_does_not_stand_against_it():
    body = custom(3610) | {"timeSeries": cpu(0.02), "logEntries": telemetry(1.0, "x", "y", 3600)}
    assert of(body).verdict is not Cause.CPU_SATURATION
    assert of(body).needs.cpu_fullness == pytest.approx(0.02)


def sampled(*seconds: float, section: str = "load") -> list[dict]:
    return [
        {"jsonPayload": {"remediatorTelemetry": 1, "time": at(s), "cpu": 0.1, "section": section}}
        for s in seconds
    ]


FIRST = [
    ("the usual step", (60, 70, 80), 30.0),
    ("less where the job had just started", (4, 14, 24), 24.0),
    ("at most four usual steps between", (30, 60, 3600), 180.0),
]


@pytest.mark.parametrize(("seconds", "total"), [f[1:] for f in FIRST], ids=[f[0] for f in FIRST])
def test_the_first_sample_stands_for_what_a_sample_stands_for(seconds, total):
    found = of(custom(3610) | {"logEntries": sampled(*seconds)})
    assert found.sections[0].seconds == pytest.approx(total)


# --- sections --------------------------------------------------------------------------------------

COUNTERS = ["12/400", "45%|####      | 45/100 [00:10<00:12, 4.5it/s]", "2026-11-23 10:00:01 17", "3.5 s", "—— 5 ——", "[0/3]"]  # fmt: skip


@pytest.mark.parametrize("text", COUNTERS)
def test_a_bare_counter_names_no_section(text):
    assert not says_something(template_of(text))


@pytest.mark.parametrize(
    "text", ["step 12/400", "https://data.example/x", "処理中 3/4", "[join] 3/4"]
)
def test_a_line_with_a_word_does(text):
    assert says_something(template_of(text))


def test_the_time_of_a_bare_counter_goes_to_the_section_it_counts():
    counted = [(10.0, "[normalise] begins"), *((60.0 * i, f"{i}/59") for i in range(1, 60))]
    found = of(custom(3610) | {"timeSeries": cpu(0.125), "logEntries": lines(*counted)})
    assert [s.name for s in found.sections] == ["normalise"]
    assert found.verdict is Cause.SLOW_CODE


def test_a_log_of_nothing_but_counters_has_no_sections():
    counted = [(60.0 * i, f"{i}/59") for i in range(60)]
    found = of(custom(3610) | {"logEntries": lines(*counted)})
    assert found.sections == ()
    assert "<n>" not in json.dumps(found.to_json())
