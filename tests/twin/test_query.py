"""The twin reads Google's filters as Google documents them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from twin.grammar import BadQuery, parse
from twin.index import Index
from twin.query import logging_filter, monitoring_filter, vertex_filter

ENTRY: dict[str, Any] = {
    "logName": "projects/p/logs/ml.googleapis.com%2F77",
    "resource": {"type": "ml_job", "labels": {"task_name": "service", "job_id": "77"}},
    "timestamp": "2026-11-23T10:00:00.5Z",
    "severity": "ERROR",
    "labels": {"compute.googleapis.com/zone": "us-a", "task_name": "service"},
    "jsonPayload": {
        "message": "The replica workerpool0-0 ran out of memory",
        "code": 137.0,
        "tags": ["a", "b"],
        "nested": {"state": "PIPELINE_STATE_FAILED"},
        "done": False,
    },
}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", True),
        ('resource.type="ml_job"', True),
        ("resource.type=ml_job", True),
        ('resource.type="ML_JOB"', True),
        ('resource.type=("cloudml_job" OR "ml_job")', True),
        ('resource.type=("cloudml_job" OR "other")', False),
        ("severity>=ERROR", True),
        ("severity>ERROR", False),
        ('severity="ERROR"', True),
        ("severity>=WARNING AND severity<CRITICAL", True),
        ('timestamp>="2026-11-23T10:00:00Z"', True),
        ('timestamp<"2026-11-23T10:00:00.400Z"', False),
        ('timestamp>="2026-11-23T11:00:00+01:00"', True),
        ('logName:"ml.googleapis.com%2F77"', True),
        ('labels."compute.googleapis.com/zone"="us-a"', True),
        ("jsonPayload.code=137", True),
        ("jsonPayload.code>=138", False),
        ("jsonPayload.tags=b", True),
        ("jsonPayload.done=false", True),
        ('jsonPayload.nested.state="PIPELINE_STATE_FAILED"', True),
        ('jsonPayload:"out of memory"', True),
        ('jsonPayload.message=~"replica workerpool\\d+-\\d+"', True),
        ('jsonPayload.message=~"Replica"', False),
        ('jsonPayload.message!~"segfault"', True),
        ('"OUT OF memory"', True),
        ("replica memory", True),
        ("replica segfault", False),
        ("-segfault", True),
        ("NOT segfault", True),
        ("jsonPayload.missing:*", False),
        ("jsonPayload.code:*", True),
        ("NOT jsonPayload.missing=1", True),
        ("jsonPayload.missing!=1", False),
        ('resource.labels.job_id=("77" OR "78") AND NOT severity="INFO"', True),
        ('labels.task_name="service" resource.type="ml_job"', True),
        # OR binds tighter than AND
        ('severity="INFO" AND severity="INFO" OR severity="ERROR"', False),
        ('(severity="INFO" AND severity="INFO") OR severity="ERROR"', True),
        ('log_id("ml.googleapis.com/77")', True),
        ('SEARCH("memory replica")', True),
        ("-- a comment\nseverity=ERROR", True),
        ('log_name:"ml"', True),
    ],
)
def test_logging_queries_mean_what_the_manual_says(query: str, expected: bool) -> None:
    assert logging_filter(query)(ENTRY) is expected


@pytest.mark.parametrize(
    "query",
    ['resource.type="', "severity>=", "(severity=ERROR", "no_such_field=1", 'textPayload=~"("'],
)
def test_a_bad_logging_query_is_refused(query: str) -> None:
    with pytest.raises(BadQuery):
        logging_filter(query)


JOB = {
    "displayName": "nightly align (attempt 2)",
    "state": "JOB_STATE_FAILED",
    "createTime": "2026-11-23T10:00:00Z",
    "labels": {"env": "prod", "remediator-root": "12"},
}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('state="JOB_STATE_FAILED"', True),
        ("state=JOB_STATE_FAILED", True),
        ('state!="JOB_STATE_FAILED"', False),
        ('state="JOB_STATE_FAILED" OR state="JOB_STATE_EXPIRED"', True),
        ('create_time>"2026-11-23T09:00:00Z"', True),
        ('create_time>="2026-11-23T10:00:00Z" AND create_time<"2026-11-23T10:00:01Z"', True),
        ('display_name="nightly align (attempt 2)"', True),
        ('display_name="nightly*"', True),
        ('display_name:"align"', True),
        ('display_name:"weekly"', False),
        ('NOT display_name="x"', True),
        ('labels.env="prod"', True),
        ("labels.env=prod", True),
        ("labels.env:prod", True),
        ("labels.env:*", True),
        ("labels.none:*", False),
        ("labels:env", True),
        ('labels.remediator-root="12"', True),
        ('labels."remediator-root"="12"', True),
        ('labels.remediator-root="12" AND state="JOB_STATE_SUCCEEDED"', False),
        ('labels.env!="dev"', True),
    ],
)
def test_list_filters_mean_what_the_reference_says(query: str, expected: bool) -> None:
    assert vertex_filter(query)(JOB) is expected


@pytest.mark.parametrize(
    "query",
    [
        'end_time>"2026-11-23T10:00:00Z"',
        'state>"JOB_STATE_FAILED"',
        'error.code="3"',
        "anything",
        'name="projects/p/locations/l/customJobs/1"',
    ],
)
def test_a_list_filter_knows_its_documented_fields_only(query: str) -> None:
    with pytest.raises(BadQuery):
        vertex_filter(query)


SERIES = {
    "metric": {"type": "ml.googleapis.com/training/cpu/utilization"},
    "resource": {"type": "cloudml_job", "labels": {"job_id": "77", "region": "us-central1"}},
}
_CPU = 'metric.type="ml.googleapis.com/training/cpu/utilization"'


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (_CPU, True),
        (f'{_CPU} AND resource.labels.job_id="77"', True),
        (f'{_CPU} AND resource.label.job_id="77"', True),
        (f'{_CPU} AND resource.labels.job_id="78"', False),
        (f'{_CPU} AND resource.type="cloudml_job" AND resource.labels.region="us-central1"', True),
        (f'{_CPU} AND resource.labels.job_id=one_of("76", "77")', True),
        (f'{_CPU} AND resource.labels.region=starts_with("us-")', True),
        ('metric.type="ml.googleapis.com/training/memory/utilization"', False),
    ],
)
def test_monitoring_filters(query: str, expected: bool) -> None:
    assert monitoring_filter(query)(SERIES) is expected


@pytest.mark.parametrize(
    "query",
    [
        'resource.labels.job_id="77"',
        'metric.type=starts_with("ml.")',
        f'{_CPU} OR metric.type="other"',
    ],
)
def test_a_monitoring_filter_names_one_metric(query: str) -> None:
    with pytest.raises(BadQuery):
        monitoring_filter(query)


@pytest.mark.parametrize(
    "query",
    [
        'resource.labels.job_id="77"',
        'resource.labels.job_id=("76" OR "77") AND severity>=ERROR',
        'resource.labels.job_id="76" OR severity=ERROR',
        'resource.labels.job_id="76" OR resource.labels.pipeline_job_id="9"',
        'NOT resource.labels.job_id="77"',
        'logName:"ML.googleapis"',
        'logName:"other" OR logName:"audit"',
        'resource.labels.job_id="77" AND NOT logName:"other"',
        "resource.labels.job_id:*",
        'resource.labels.job_id!="76"',
        '"nothing"',
    ],
)
def test_the_index_leaves_out_nothing_that_matches(query: str) -> None:
    def keys(entry: Mapping[str, Any]) -> list[tuple[str, str]]:
        labels = entry["resource"]["labels"]
        known = [(f"resource.labels.{k}", v) for k, v in labels.items() if k.endswith("job_id")]
        return [("logName", entry["logName"]), *known]

    entries: list[dict[str, Any]] = [
        ENTRY,
        {**ENTRY, "resource": {"type": "ml_job", "labels": {"job_id": "76"}}},
        {
            **ENTRY,
            "resource": {"type": "x", "labels": {"pipeline_job_id": "9"}},
            "severity": "INFO",
        },
        {**ENTRY, "logName": "projects/p/logs/other", "resource": {"type": "x", "labels": {}}},
    ]
    index = Index(keys)
    for entry in entries:
        index.add(entry)
    matches = logging_filter(query)
    found = [entry for entry in index.candidates(parse(query)) if matches(entry)]
    assert found == [entry for entry in entries if matches(entry)]


def test_a_path_that_no_document_has_finds_none_where_the_index_would_name_it() -> None:
    query = parse('severity>=ERROR AND resource.labels.job_id="77"')
    for names, candidates in ((lambda path: path.endswith("job_id"), []), (None, [ENTRY])):
        index = Index(lambda _: (), names) if names else Index(lambda _: ())
        index.add(ENTRY)
        assert index.candidates(query) == candidates
