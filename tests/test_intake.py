"""The intake: every shape of failure entry is recognised, everything else is dropped, fast."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from remediator.domain import InvalidInput, JobKind
from remediator.intake import FAILURES_LOG, Hint, Ignored, read, read_entry, sink_filter
from twin.query import logging_filter

P = "projects/lab"


def entry(log: str = "x", **more: Any) -> dict[str, Any]:
    return {
        "logName": f"{P}/logs/{log}",
        "insertId": "1",
        "timestamp": "2026-11-23T20:00:00Z",
        **more,
    }


def ml_job(severity: str = "ERROR", kind: str = "ml_job", **labels: Any) -> dict[str, Any]:
    found = {"job_id": "123", "task_name": "service", "project_id": "lab", **labels}
    return entry(severity=severity, resource={"type": kind, "labels": found})


def audit(code: int = 8, agent: str = "curl", method: str = "JobService.CreateCustomJob") -> Any:
    return entry(
        "cloudaudit.googleapis.com%2Factivity",
        severity="ERROR",
        protoPayload={
            "serviceName": "aiplatform.googleapis.com",
            "methodName": f"google.cloud.aiplatform.v1.{method}",
            "status": {"code": code, "message": "Quota exhausted"},
            "authenticationInfo": {"principalEmail": "me@lab.iam.gserviceaccount.com"},
            "requestMetadata": {"callerSuppliedUserAgent": agent},
            "request": {"parent": f"{P}/locations/us-east1", "customJob": {"displayName": "a"}},
        },
    )


ANNOUNCEMENT = entry(
    FAILURES_LOG,
    severity="ERROR",
    jsonPayload={"job": "projects/1/locations/us-east1/batchPredictionJobs/9"},
)
PIPELINE = entry(
    "aiplatform.googleapis.com%2Fpipeline_job_events",
    resource={"type": "aiplatform.googleapis.com/PipelineJob", "labels": {"location": "us-east1"}},
    jsonPayload={
        "pipelineName": "projects/1/locations/us-east1/pipelineJobs/run-1",
        "state": "PIPELINE_STATE_FAILED",
    },
)
BARE_PIPELINE = {
    **PIPELINE,
    "jsonPayload": {"pipelineName": "run-1", "state": "PIPELINE_STATE_FAILED"},
}
BATCH = entry(
    "aiplatform.googleapis.com%2Fbatch",
    severity="ERROR",
    resource={
        "type": "aiplatform.googleapis.com/BatchPredictionJob",
        "labels": {"location": "us-east1", "job_id": "77"},
    },
)
LABEL_OUTSIDE = {
    **ml_job(),
    "resource": {"type": "ml_job", "labels": {"job_id": "123", "project_id": "lab"}},
    "labels": {"task_name": "service"},
}

FAILURES = [
    pytest.param(ml_job(), "123", id="custom-job"),
    pytest.param(ml_job(kind="cloudml_job"), "123", id="old-resource-type"),
    pytest.param(LABEL_OUTSIDE, "123", id="task-name-in-the-entry's-own-labels"),
    pytest.param(ml_job(project_id="471108150815"), "123", id="project-by-number"),
    pytest.param(PIPELINE, "run-1", id="pipeline-run"),
    pytest.param(BARE_PIPELINE, "run-1", id="pipeline-run-by-id-alone"),
    pytest.param(ANNOUNCEMENT, "9", id="announcement"),
    pytest.param(BATCH, "77", id="hand-made-batch-entry"),
    pytest.param(audit(), "CreateCustomJob", id="refused-creation"),
]
IRRELEVANT = [
    pytest.param(ml_job("INFO"), id="a-service-line-that-is-no-error"),
    pytest.param(ml_job(task_name="workerpool0-0"), id="a-worker's-stderr"),
    pytest.param(entry(resource={"type": "gce_instance"}, severity="ERROR"), id="another-resource"),
    pytest.param(
        {**PIPELINE, "jsonPayload": {"pipelineName": "x", "state": "PIPELINE_STATE_SUCCEEDED"}},
        id="a-pipeline-that-succeeded",
    ),
    pytest.param(audit(code=0), id="a-create-that-went-well"),
    pytest.param(audit(method="JobService.DeleteCustomJob"), id="another-call"),
    pytest.param(entry("vertex-remediator-outcomes", severity="NOTICE"), id="our-own-outcomes"),
    pytest.param({**BATCH, "logName": f"{P}/logs/stderr"}, id="a-batch-container's-stderr"),
]


@pytest.mark.parametrize(("sample", "names"), FAILURES)
def test_every_shape_of_failure_entry_gives_a_hint(sample: dict[str, Any], names: str) -> None:
    hint = read_entry(sample)
    assert isinstance(hint, Hint)
    found = (
        hint.custom_job_id or (hint.job and hint.job.id) or (hint.refusal and hint.refusal.method)
    )
    assert found == names
    assert hint.project == "lab"


@pytest.mark.parametrize("sample", IRRELEVANT)
def test_everything_else_is_dropped(sample: dict[str, Any]) -> None:
    assert isinstance(read_entry(sample), Ignored)


@pytest.mark.parametrize(("sample", "names"), FAILURES)
def test_the_sink_filter_lets_through_what_the_intake_recognises(
    sample: dict[str, Any], names: str
) -> None:
    assert logging_filter(sink_filter())(sample), names


@pytest.mark.parametrize("sample", IRRELEVANT)
def test_the_sink_filter_holds_back_what_the_intake_drops(sample: dict[str, Any]) -> None:
    assert not logging_filter(sink_filter())(sample)


def test_the_sink_filter_leaves_out_refusals_of_our_own_account() -> None:
    own = sink_filter("me@lab.iam.gserviceaccount.com")
    assert not logging_filter(own)(audit())
    assert logging_filter(own)(ml_job())


@pytest.mark.parametrize(
    "sample",
    [
        pytest.param(audit(agent="gl-python/3.11 vertex-remediator/0.1.0"), id="by-user-agent"),
        pytest.param(
            {
                **audit(),
                "protoPayload": {
                    **audit()["protoPayload"],
                    "request": {"customJob": {"labels": {"remediator-claim": "x"}}},
                },
            },
            id="by-claim",
        ),
    ],
)
def test_a_refusal_of_our_own_call_is_nobodys_failure(sample: dict[str, Any]) -> None:
    assert isinstance(read_entry(sample), Ignored)


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        pytest.param(ml_job(job_id="12a"), "not a number", id="job-id"),
        pytest.param(ml_job(job_id="../x"), "not a number", id="path-in-job-id"),
        pytest.param(ml_job(project_id="other"), "two projects", id="two-projects"),
        pytest.param({**ANNOUNCEMENT, "jsonPayload": {"job": "x"}}, "not the name", id="job-name"),
    ],
)
def test_an_entry_that_cannot_be_true_is_unusable(sample: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        read_entry(sample)


def test_an_event_carries_when_it_was_first_published() -> None:
    data = base64.b64encode(json.dumps(ANNOUNCEMENT).encode()).decode()
    message = {"data": data, "messageId": "7", "publishTime": "2026-11-23T20:00:05.5Z"}
    hint = read({}, {"message": message})
    assert isinstance(hint, Hint)
    assert hint.job is not None
    assert hint.job.kind is JobKind.BATCH_PREDICTION
    assert hint.published is not None
    assert hint.published.second == 5
    assert hint.message_id == "7"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(data=_JSON | st.binary(max_size=40))
def test_no_event_data_makes_the_intake_fail_otherwise_than_unusable(data: Any) -> None:
    try:
        read({}, data)
    except InvalidInput:
        return
    raise AssertionError(data)


@given(
    body=st.fixed_dictionaries(
        {
            "logName": st.sampled_from(
                [f"{P}/logs/x", ANNOUNCEMENT["logName"], "odd", PIPELINE["logName"]]
            )
        },
        optional={
            "resource": _JSON,
            "labels": _JSON,
            "severity": _JSON,
            "jsonPayload": _JSON,
            "protoPayload": _JSON,
        },
    )
)
def test_no_log_entry_makes_the_intake_fail_otherwise_than_unusable(body: Any) -> None:
    data = base64.b64encode(json.dumps(body).encode()).decode()
    try:
        read({}, {"message": {"data": data}})
    except InvalidInput:
        return


# --- entries as they come, with something changed -------------------------------------------------

_NAMES = {"jobName", "job_name", "name", "resourceName", "job", "batchPredictionJob"}
_IDS = {"batch_prediction_job_id", "custom_job_id", "job_id", "id", "pipeline_job_id"}
_LABELS = _NAMES | _IDS | {"task_name", "project_id", "location"}
READ = {  # what the intake reads of an entry; a set names what it reads of an object
    "logName": None,
    "severity": None,
    "timestamp": None,
    "receiveTimestamp": None,
    "insertId": None,
    "labels": _LABELS,
    "resource": {"type", "labels"},
    "jsonPayload": _NAMES | {"state", "pipelineName"},
    "protoPayload": {
        "serviceName",
        "methodName",
        "status",
        "authenticationInfo",
        "requestMetadata",
        "request",
        "resourceName",
    },
}
_EVENTS = [one.values[0] for one in (*FAILURES, *IRRELEVANT)]


def _places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value inside."""
    inner = value.items() if isinstance(value, dict) else ()
    return [p for key, item in inner for p in ((*at, key), *_places(item, (*at, key)))]


def _put(value: Any, at: tuple[Any, ...], new: Any) -> None:
    for key in at[:-1]:
        value = value.setdefault(key, {})
    value[at[-1]] = new


@given(data=st.data())
def test_no_changed_entry_makes_the_intake_fail_otherwise_than_unusable(data: Any) -> None:
    sample = json.loads(json.dumps(data.draw(st.sampled_from(_EVENTS))))
    for _ in range(data.draw(st.integers(1, 4))):
        places = _places(sample)
        if not places:
            break
        at = data.draw(st.sampled_from(places))
        holder = sample
        for key in at[:-1]:
            holder = holder[key]
        if data.draw(st.booleans()):
            holder[at[-1]] = data.draw(_JSON)
        else:
            del holder[at[-1]]
    encoded = base64.b64encode(json.dumps(sample).encode()).decode()
    message = {"data": encoded, "publishTime": data.draw(_JSON), "attributes": data.draw(_JSON)}
    try:
        read({"time": data.draw(_JSON)}, {"message": message})
    except InvalidInput:
        return


@given(data=st.data())
def test_what_the_intake_does_not_read_changes_nothing(data: Any) -> None:
    """Metamorphic: the hint is all that the story gets of an entry, and it stays as it is."""
    sample = data.draw(st.sampled_from(_EVENTS))
    changed = json.loads(json.dumps(sample))
    for _ in range(data.draw(st.integers(1, 4))):
        top = data.draw(st.sampled_from([*READ, "trace", "spanId", "httpRequest", "textPayload"]))
        known = READ.get(top, set())
        if known is None or (known and not isinstance(changed.get(top), dict)):
            continue
        name = data.draw(st.text(max_size=12))
        if known and name in known:
            continue
        place: tuple[str, ...] = (top, name) if known else (top,)
        if top == "resource" and data.draw(st.booleans()):
            place = ("resource", "labels", data.draw(st.text(max_size=8).filter(_is_no_label)))
        _put(changed, place, data.draw(_JSON))
    order = data.draw(st.permutations(list(changed)))
    changed = {key: changed[key] for key in order}
    assert _without_entry(changed) == _without_entry(sample)


def _is_no_label(name: str) -> bool:
    return name not in _LABELS


def _without_entry(sample: Any) -> Any:
    message = {"data": base64.b64encode(json.dumps(sample).encode()).decode(), "messageId": "1"}
    hint = read({}, {"message": message, "more": 1})
    return replace(hint, entry={}) if isinstance(hint, Hint) else hint


def test_the_intake_loads_no_google_client_and_no_yaml() -> None:
    code = (
        "import sys, remediator.intake; "
        "print([m for m in sys.modules if m.startswith(('google.cloud.', 'google.api_core', "
        "'google.auth', 'grpc', 'yaml', 'pydantic'))])"
    )
    root = Path(__file__).resolve().parents[1]
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"


def test_importing_main_loads_no_google_client() -> None:
    code = (  # google.cloud.functions is the framework's own
        "import sys, main; "
        "print([m for m in sys.modules if m.startswith(('google.cloud.', 'google.api_core', 'grpc'))"
        " and not m.startswith('google.cloud.functions')])"
    )
    root = Path(__file__).resolve().parents[1]
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
