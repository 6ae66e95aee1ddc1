"""The Logging and Monitoring clients against the twin."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from remediator.cloud.logs import Logs, job_log_filter
from remediator.cloud.metrics import TRAINING_METRICS, Metrics
from remediator.domain import (
    InvalidInput,
    JobKind,
    JobName,
    PermanentError,
    PermissionDenied,
    TransientError,
)
from remediator.job import Job
from tests.cloud.conftest import NOW, PATIENCE_SECONDS, custom_job
from twin import faults
from twin.cloud import Cloud

START, END = NOW - timedelta(hours=2), NOW


def stamp(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def worker_line(number: int, job_id: str = "77", **more: Any) -> dict[str, Any]:
    return {
        "resource": {
            "type": "ml_job",
            "labels": {
                "job_id": job_id,
                "task_name": "workerpool0-0",
                "project_id": "genomics-lab",
            },
        },
        "timestamp": stamp(START + timedelta(seconds=number)),
        "insertId": f"i{number:05d}",
        "severity": "INFO",
        "textPayload": f"line {number}",
        **more,
    }


JOB = JobName("genomics-lab", "us-central1", JobKind.CUSTOM, "77")


def read(logs: Logs, job: JobName = JOB, ids: tuple[str, ...] = (), **how: Any) -> list[Any]:
    query = logs.job_filter(job, ids, START, END)
    return [
        entry.get("textPayload")
        for entry in logs.entries("genomics-lab", query, **{"limit": 5000, **how})
    ]


def test_a_jobs_own_lines_come_in_times_order_and_no_others(cloud: Cloud, logs: Logs) -> None:
    for number in (2, 0, 1):
        cloud.log(worker_line(number))
    cloud.log(worker_line(3, job_id="778"))
    cloud.log({**worker_line(4), "timestamp": stamp(START - timedelta(seconds=1))})
    assert read(logs) == ["line 0", "line 1", "line 2"]
    assert read(logs, newest_first=True) == ["line 2", "line 1", "line 0"]


def test_lines_of_the_custom_jobs_behind_a_tuning_job_are_its_own(cloud: Cloud, logs: Logs) -> None:
    cloud.log(worker_line(1, job_id="501"))
    cloud.log(worker_line(2, job_id="502"))
    cloud.log(worker_line(3, job_id="9"))
    tuning = JobName("genomics-lab", "us-central1", JobKind.HYPERPARAMETER_TUNING, "9")
    assert read(logs, tuning, ("501", "502")) == ["line 1", "line 2", "line 3"]


@pytest.mark.parametrize(
    ("kind", "resource"),
    [
        (
            JobKind.BATCH_PREDICTION,
            {"type": "aiplatform.googleapis.com/BatchPredictionJob", "labels": {"job_id": "9"}},
        ),
        (JobKind.BATCH_PREDICTION, {"type": "ml_job", "labels": {"job_id": "9"}}),
        (
            JobKind.PIPELINE,
            {"type": "aiplatform.googleapis.com/PipelineJob", "labels": {"pipeline_job_id": "9"}},
        ),
        (JobKind.PIPELINE, {"type": "ml_job", "labels": {"job_id": "501"}}),
    ],
)
def test_each_kind_finds_its_lines_under_the_resources_they_bear(
    cloud: Cloud, logs: Logs, kind: JobKind, resource: dict[str, Any]
) -> None:
    cloud.log({**worker_line(1), "resource": resource})
    cloud.log({**worker_line(2), "resource": {**resource, "labels": {"job_id": "8"}}})
    job = JobName("genomics-lab", "us-central1", kind, "9")
    assert read(logs, job, ("501",)) == ["line 1"]


def test_reading_stops_at_the_limit_over_pages(cloud: Cloud, logs: Logs) -> None:
    for number in range(1300):
        cloud.log(worker_line(number), route=False)
    assert read(logs, limit=1200) == [f"line {number}" for number in range(1200)]
    assert len(cloud.calls("LoggingServiceV2.ListLogEntries")) == 2


def test_reading_stops_at_the_bytes(cloud: Cloud, logs: Logs) -> None:
    for number in range(50):
        cloud.log(worker_line(number, textPayload="x" * 1000), route=False)
    assert 9 <= len(read(logs, most_bytes=10_000)) <= 11


def test_an_audit_entry_keeps_its_payload(cloud: Cloud, logs: Logs) -> None:
    payload = {
        "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
        "serviceName": "aiplatform.googleapis.com",
        "methodName": "google.cloud.aiplatform.v1.JobService.CreateCustomJob",
        "status": {"code": 8, "message": "quota"},
    }
    cloud.log({"logName": "projects/genomics-lab/logs/a", "protoPayload": payload, "timestamp": stamp(NOW)})  # fmt: skip
    (entry,) = logs.entries("genomics-lab", 'logName="projects/genomics-lab/logs/a"', limit=9)
    assert entry["protoPayload"] == payload


def test_each_read_takes_a_token_and_none_left_asks_nobody(cloud: Cloud) -> None:
    left = [True, True]
    logs = Logs(cloud.logging.endpoint, may_read=lambda: bool(left) and left.pop())
    try:
        for number in range(1300):
            cloud.log(worker_line(number), route=False)
        assert len(read(logs, limit=1200)) == 1200  # two pages, two tokens
        with pytest.raises(TransientError, match="log reads") as caught:
            read(logs, timeout_seconds=1.0)
        assert caught.value.retry_after_seconds == 30.0
        assert len(cloud.calls("LoggingServiceV2.ListLogEntries")) == 2
    finally:
        logs.close()


def test_a_token_is_taken_for_a_second_try_too(cloud: Cloud) -> None:
    taken = []
    logs = Logs(cloud.logging.endpoint, may_read=lambda: not taken.append(1))
    try:
        cloud.fail("LoggingServiceV2.ListLogEntries", faults.status("UNAVAILABLE"))
        read(logs)
    finally:
        logs.close()
    assert len(taken) == 2


def test_an_entry_written_twice_stands_once(cloud: Cloud, logs: Logs) -> None:
    entry = {
        "insertId": "abc",
        "timestamp": stamp(NOW),
        "severity": "ERROR",
        "jsonPayload": {"job": "projects/1/x", "code": 4, "share": 0.5},
        "labels": {"kind": "custom"},
    }
    for _ in range(2):
        logs.write("genomics-lab", "vertex-remediator-job-failures", [entry])
    (found,) = cloud.logs.find('logName:"vertex-remediator-job-failures"')
    assert {key: found.get(key) for key in entry} == entry
    assert found["resource"]["type"] == "global"


def test_a_write_is_tried_again(cloud: Cloud, logs: Logs) -> None:
    cloud.fail("LoggingServiceV2.WriteLogEntries", faults.status("UNAVAILABLE"))
    cloud.fail("LoggingServiceV2.WriteLogEntries", faults.lost_answer())
    entry = {"insertId": "a", "timestamp": stamp(NOW), "jsonPayload": {"a": 1}}
    logs.write("genomics-lab", "a-log", [entry])
    assert len(cloud.logs.find('logName:"a-log"')) == 1


@pytest.mark.parametrize("kind", list(JobKind))
@pytest.mark.parametrize("hostile", ['7" OR severity>=DEFAULT OR "', "7\\", '7") OR ("'])
def test_no_id_breaks_out_of_its_quotes(
    cloud: Cloud, logs: Logs, kind: JobKind, hostile: str
) -> None:
    cloud.log(worker_line(1, job_id="1"))
    job = JobName("genomics-lab", "us-central1", kind, "2")
    assert read(logs, job, (hostile,)) == []


def test_a_control_character_is_refused_before_anything_is_asked(logs: Logs) -> None:
    with pytest.raises(InvalidInput):
        logs.job_filter(JOB, ("7\n8",), START, END)
    with pytest.raises(InvalidInput):
        logs.entries("genomics-lab/x", "", limit=1)
    with pytest.raises(InvalidInput):
        logs.entries("genomics-lab", "x" * 20_001, limit=1)


def test_a_query_reads_as_logging_writes_it() -> None:
    moment = datetime(2026, 11, 23, 18, tzinfo=UTC)
    assert job_log_filter(JOB, ("78",), moment, moment) == (
        'resource.type=("ml_job" OR "cloudml_job") AND resource.labels.job_id=("77" OR "78")'
        ' AND timestamp>="2026-11-23T18:00:00Z" AND timestamp<="2026-11-23T18:00:00Z"'
    )


# --- metrics -----------------------------------------------------------------------------------


def series(metric: str, values: list[float], job_id: str = "77", **labels: str) -> dict[str, Any]:
    start = datetime(2026, 11, 23, 18, 5, tzinfo=UTC)
    return {
        "metric": {"type": f"ml.googleapis.com/training/{metric}", "labels": labels},
        "resource": {"type": "cloudml_job", "labels": {"job_id": job_id, "project_id": "p"}},
        "points": [
            {
                "interval": {"endTime": stamp(start + timedelta(minutes=number))},
                "value": {"doubleValue": value},
            }
            for number, value in enumerate(values)
        ],
    }


def job(cloud: Cloud, **more: Any) -> Job:
    return Job.parse(custom_job(cloud.name("customJobs", "77"), **more))


@pytest.mark.parametrize("obeyed", [True, False], ids=["filter-obeyed", "filter-not-obeyed"])
def test_the_utilisation_of_a_job_comes_oldest_first(
    cloud: Cloud, metrics: Metrics, obeyed: bool
) -> None:
    cloud.metrics.lists_everything = not obeyed
    cloud.metrics.add(series("cpu/utilization", [0.2, 0.9, 1.0]))
    cloud.metrics.add(series("memory/utilization", [0.5], replica="workerpool1-0"))
    cloud.metrics.add(series("cpu/utilization", [0.1], job_id="778"))
    read = metrics.series(job(cloud))
    found = {one.metric.rpartition("training/")[2]: one for one in read}
    assert len(read) == len(found)
    assert sorted(found) == ["cpu/utilization", "memory/utilization"]
    assert [value for _, value in found["cpu/utilization"].points] == [0.2, 0.9, 1.0]
    assert found["memory/utilization"].labels == {"replica": "workerpool1-0"}
    assert len(cloud.calls("MetricService.ListTimeSeries")) == len(TRAINING_METRICS)


def test_samples_a_little_outside_the_run_are_read_too(cloud: Cloud, metrics: Metrics) -> None:
    late = series("cpu/utilization", [0.5] * 70)  # to 19:14, nine minutes after the end
    cloud.metrics.add(late)
    (found,) = metrics.series(job(cloud))
    assert len(found.points) == 70


def test_the_machines_of_every_trial_are_read_together(cloud: Cloud, metrics: Metrics) -> None:
    for ident in ("501", "502", "503"):
        cloud.metrics.add(series("cpu/utilization", [0.5], job_id=ident))
    found = metrics.series(job(cloud), ("501", "502"))
    assert sorted(one.resource_labels["job_id"] for one in found) == ["501", "502"]


def test_no_samples_are_an_empty_answer(cloud: Cloud, metrics: Metrics) -> None:
    assert metrics.series(job(cloud)) == ()
    unstarted = job(cloud, createTime=None, startTime=None)
    assert metrics.series(unstarted) == ()


def test_a_running_job_is_read_up_to_now(cloud: Cloud, metrics: Metrics) -> None:
    cloud.metrics.add(series("cpu/utilization", [0.2, 0.9, 1.0]))
    running = job(cloud, state="JOB_STATE_RUNNING", endTime=None)
    (found,) = metrics.series(running, now=datetime(2026, 11, 23, 18, 6, tzinfo=UTC))
    assert len(found.points) == 3


def test_a_metric_that_the_project_never_had_costs_nothing(cloud: Cloud, metrics: Metrics) -> None:
    cloud.metrics.add(series("cpu/utilization", [0.2]))
    words = "Cannot find metric(s) that match type"
    cloud.fail("MetricService.ListTimeSeries", faults.status("NOT_FOUND", words), times=5)
    assert len(metrics.series(job(cloud))) <= 1


def test_a_long_run_is_averaged_by_the_service(cloud: Cloud, metrics: Metrics) -> None:
    week = job(cloud, startTime="2026-11-16T19:05:00Z", createTime="2026-11-16T19:00:00Z")
    metrics.series(week)
    asked = {
        call.request["filter"].split('"')[1].rpartition("training/")[2]: call.request["aggregation"]
        for call in cloud.calls("MetricService.ListTimeSeries")
    }
    assert asked["cpu/utilization"] == {
        "alignmentPeriod": "840s",
        "perSeriesAligner": "ALIGN_MEAN",
    }
    assert asked["memory/utilization"]["perSeriesAligner"] == "ALIGN_MAX"


def test_of_a_long_run_only_the_last_hours_are_read_as_they_are(
    cloud: Cloud, metrics: Metrics
) -> None:
    cloud.metrics.add(series("cpu/utilization", [0.2, 0.9, 1.0]))
    week = job(cloud, startTime="2026-11-16T19:05:00Z", createTime="2026-11-16T19:00:00Z")
    (found,) = metrics.series(week, unread=TRAINING_METRICS[1:], raw_for=timedelta(hours=3))
    assert len(found.points) == 3
    older, recent = (call.request for call in cloud.calls("MetricService.ListTimeSeries"))
    assert older["interval"]["endTime"] == recent["interval"]["startTime"]
    assert recent["interval"]["endTime"] == "2026-11-23T19:15:00Z"
    assert recent["interval"]["startTime"] == "2026-11-23T16:15:00Z"
    assert older["aggregation"]["alignmentPeriod"] == f"{42 * 60}s"
    assert "aggregation" not in recent


@pytest.mark.parametrize("raw_for", [timedelta(hours=400), timedelta.max])
def test_a_run_within_its_raw_time_is_read_at_once(
    cloud: Cloud, metrics: Metrics, raw_for: timedelta
) -> None:
    week = job(cloud, startTime="2026-11-16T19:05:00Z", createTime="2026-11-16T19:00:00Z")
    metrics.series(week, unread=TRAINING_METRICS[1:], raw_for=raw_for)
    (call,) = cloud.calls("MetricService.ListTimeSeries")
    assert "aggregation" not in call.request


@pytest.mark.parametrize("hostile", ['7" OR metric.type="x', "7 8", ""])
def test_no_id_reaches_a_metric_filter_unchecked(
    cloud: Cloud, metrics: Metrics, hostile: str
) -> None:
    with pytest.raises(InvalidInput):
        metrics.series(job(cloud), ("501", hostile))
    assert cloud.calls("MetricService.*") == []


# --- faults ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "status", ["UNAVAILABLE", "DEADLINE_EXCEEDED", "INTERNAL", "RESOURCE_EXHAUSTED"]
)
def test_reads_are_tried_again(cloud: Cloud, logs: Logs, metrics: Metrics, status: str) -> None:
    cloud.log(worker_line(1))
    cloud.metrics.add(series("cpu/utilization", [0.2]))
    cloud.fail("LoggingServiceV2.ListLogEntries", faults.status(status))
    cloud.fail("MetricService.ListTimeSeries", faults.status(status), times=3)
    assert read(logs) == ["line 1"]
    assert len(metrics.series(job(cloud))) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("PERMISSION_DENIED", PermissionDenied),
        ("INVALID_ARGUMENT", PermanentError),
        ("RESOURCE_EXHAUSTED", TransientError),
        ("UNAVAILABLE", TransientError),
    ],
)
def test_what_does_not_pass_is_said(
    cloud: Cloud, logs: Logs, metrics: Metrics, status: str, kind: type[Exception]
) -> None:
    cloud.fail("*Service*.List*", faults.status(status, "the words"), times=float("inf"))
    passing = kind is TransientError
    seconds = 0.5 if passing else PATIENCE_SECONDS
    # On a busy machine the last try ends by its deadline, before its answer is there.
    said = r"the words|Deadline Exceeded" if passing else "the words"
    with pytest.raises(kind, match=said):
        read(logs, timeout_seconds=seconds)
    with pytest.raises(kind, match=said):
        metrics.series(job(cloud), timeout_seconds=seconds)


def test_a_missing_permission_is_named(cloud: Cloud, logs: Logs, metrics: Metrics) -> None:
    cloud.allow_only()
    with pytest.raises(PermissionDenied, match=r"logging\.logEntries\.list"):
        read(logs)
    with pytest.raises(PermissionDenied, match=r"monitoring\.timeSeries\.list"):
        metrics.series(job(cloud))


# --- quotas --------------------------------------------------------------------------------------

L4 = "aiplatform.googleapis.com/custom_model_training_nvidia_l4_gpus"


def quota(kind: str, metric: str, region: str, value: int, hours_ago: float = 1) -> dict[str, Any]:
    return {
        "metric": {
            "type": f"serviceruntime.googleapis.com/quota/{kind}",
            "labels": {"quota_metric": metric, "limit_name": "PerProjectPerRegion"},
        },
        "resource": {
            "type": "consumer_quota",
            "labels": {"service": "aiplatform.googleapis.com", "location": region},
        },
        "metricKind": "GAUGE",
        "valueType": "INT64",
        "points": [
            {
                "interval": {"endTime": stamp(NOW - timedelta(hours=hours_ago))},
                "value": {"int64Value": str(value)},
            }
        ],
    }


@pytest.mark.parametrize("obeyed", [True, False], ids=["filter-obeyed", "filter-not-obeyed"])
def test_limit_and_use_of_a_quota_are_read_in_every_region(
    cloud: Cloud, metrics: Metrics, obeyed: bool
) -> None:
    cloud.metrics.lists_everything = not obeyed
    cloud.metrics.add(quota("limit", L4, "us-central1", 0, hours_ago=20))
    cloud.metrics.add(quota("limit", L4, "us-east1", 8))
    cloud.metrics.add(quota("allocation/usage", L4, "us-east1", 3))
    cloud.metrics.add(quota("limit", L4.replace("l4", "t4"), "us-east1", 1))
    found = metrics.quotas("genomics-lab", (L4, L4, "gibberish"), now=NOW)
    told = {
        (one.metric.rpartition("/")[2], one.resource_labels["location"], one.points[-1][1])
        for one in found
    }
    assert told == {
        ("limit", "us-central1", 0.0),
        ("limit", "us-east1", 8.0),
        ("usage", "us-east1", 3.0),
    }
    assert len(cloud.calls("MetricService.ListTimeSeries")) == 2


def test_without_a_metric_of_vertex_no_quota_is_asked_for(cloud: Cloud, metrics: Metrics) -> None:
    assert metrics.quotas("genomics-lab", ("compute.googleapis.com/cpus",), now=NOW) == ()
    assert cloud.calls("MetricService.ListTimeSeries") == []
