"""Real failures of real software as cases: what was injected is known, and the logs are theirs.

Owns the reading of `tests/data/lab` (its README says what a line holds), the case around each
scenario, and the figures: right, verdicts given, resubmissions where nothing can be fixed by one.
Used by `run.py` for the page and by the tests as a regression.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from remediator.case import Case
from remediator.cli.subject import diagnose_inputs
from remediator.diagnosis import diagnose
from remediator.domain import NEVER_RETRIED, Cause, Diagnosis
from remediator.inputs import assemble
from remediator.inputs.documents import read_document

LAB = Path(__file__).resolve().parents[2] / "tests" / "data" / "lab"
START = datetime(2026, 11, 27, 10, 4, 30, tzinfo=UTC)
RESUBMITTED = frozenset(
    {
        Cause.CPU_SATURATION, Cause.MEMORY_PRESSURE, Cause.GPU_MEMORY, Cause.ACCELERATOR_MISSING,
        Cause.SLOW_STARTUP, Cause.REQUEST_TOO_LARGE, Cause.CAPACITY_STOCKOUT, Cause.QUOTA,
        Cause.PREEMPTION, Cause.TRANSIENT_BACKEND,
    }
)  # fmt: skip
_NEVER_READY_SECONDS = 2400.0  # after which Vertex gives up, vertex-facts
_NO_MACHINE_BYTES = 3.9e12  # m1-ultramem-160, the largest that Vertex offers, has 3,844 GB


@dataclass(frozen=True, slots=True)
class Scenario:
    """One recorded failure: its line, and the acceptable causes, the best first."""

    id: str
    software: str
    truth: tuple[str, ...]
    futile: bool
    serves: bool
    line: Mapping[str, Any]

    @property
    def body(self) -> dict[str, Any]:
        """The case around it, as a case file holds it."""
        return _serving(self.line) if self.serves else custom_job(self.line)


def half(software: str) -> str:
    """`A` may be looked at when something is fixed, `B` is held back; by a digest of the name."""
    return "A" if hashlib.sha256(software.encode()).digest()[0] % 2 == 0 else "B"


def scenarios(name: str) -> Iterator[Scenario]:
    """Scenarios of `training`, `serving`, `blind`, `second_blind`, `third_blind` (and their like) that failed, in the order of the file."""
    with (LAB / f"{name}.jsonl").open(encoding="utf-8") as file:
        for text in file:
            line = json.loads(text)
            serves = name == "serving" or (
                name.endswith("blind") and line["kind"] == "batch_prediction"
            )
            if _failed(line, serving=serves):
                truth, futile = tuple(line["truth"]), bool(line.get("futile"))
                yield Scenario(line["id"], line["software"], truth, futile, serves, line)


def _failed(line: Mapping[str, Any], *, serving: bool) -> bool:
    if serving:
        ended = "error" not in line and line.get("exit") not in (0, None, "hangs")
        return bool(line.get("error")) or ended
    return bool(line["kind"] == "custom" and line.get("command")) and (
        line["exit"] != 0 or bool(line.get("cut"))
    )


@dataclass(slots=True)
class Score:
    """What one pass over scenarios gave; lists hold ids."""

    judged: int = 0
    right: int = 0
    best: int = 0
    given: int = 0
    given_right: int = 0
    resubmitted: int = 0
    resubmitted_right: int = 0
    money: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)
    futile_unseen: list[str] = field(default_factory=list)
    wrong: list[tuple[str, str, str]] = field(default_factory=list)

    def add(self, scenario: Scenario, found: Diagnosis) -> None:
        verdict, truth = found.verdict.value, scenario.truth
        good = verdict in truth and (verdict != "unknown" or truth[0] == "unknown")
        self.judged += 1
        self.right += good
        self.best += verdict == truth[0]
        if verdict != "unknown":
            self.given += 1
            self.given_right += good
        # The guard `cause` refuses every resubmission for a verdict by words alone.
        resubmitted = found.verdict in RESUBMITTED and not found.by_words_alone
        if resubmitted:
            self.resubmitted += 1
            self.resubmitted_right += good
        if not good:
            self.wrong.append((scenario.id, truth[0], verdict))
            acceptable = {Cause(cause) for cause in truth}
            if resubmitted and not acceptable & RESUBMITTED:
                self.money.append(scenario.id)
            if found.verdict in NEVER_RETRIED and Cause(truth[0]) in RESUBMITTED:
                self.stopped.append(scenario.id)
        if scenario.futile and found.verdict is Cause.MEMORY_PRESSURE and not _bounded(found):
            self.futile_unseen.append(scenario.id)


def _bounded(found: Diagnosis) -> bool:
    """The diagnosis says that no bigger machine helps: a fixed limit, or a wish beyond all machines."""
    needs = found.needs
    wanted = needs.wanted is not None and needs.wanted.bytes > _NO_MACHINE_BYTES
    return wanted or (needs.own_limit is not None and needs.own_limit.fixed)


def score(name: str, *, of_half: str | None = None) -> Score:
    """The figures of one set, of one half of its software alone where told."""
    total = Score()
    for scenario in scenarios(name):
        if of_half is None or half(scenario.software) == of_half:
            total.add(scenario, diagnose(Case.parse(scenario.body)))
    return total


_SEVERITIES = {
    "I": "INFO",
    "E": "ERROR",
    "W": "WARNING",
    "D": "DEBUG",
    "N": "NOTICE",
    "C": "CRITICAL",
    "": "DEFAULT",
}


def time_outs(name: str) -> Iterator[tuple[Mapping[str, Any], dict[str, Any]]]:
    """Each line of a set of time-outs (`fifth_time_outs_blind`, …), and the case that it describes."""
    with (LAB / f"{name}.jsonl").open(encoding="utf-8") as file:
        for text in file:
            line = json.loads(text)
            yield line, _time_out(line)


def _time_out(line: Mapping[str, Any]) -> dict[str, Any]:
    """A case of a time-out: its job, its entries and its series, as Google's APIs give them."""
    body = dict(line["case"])
    job = body["job"]
    start = datetime.fromisoformat(job.get("startTime") or job["createTime"])
    number = str(job["name"]).rpartition("/")[2]
    body["logEntries"] = [
        {
            "insertId": f"e{index:05d}",
            "timestamp": _at(start + timedelta(seconds=second)),
            "severity": _SEVERITIES[severity],
            "resource": {"type": line.get("resource", "ml_job"), "labels": {"job_id": number, "task_name": task}},
            **({"textPayload": said} if isinstance(said, str) else {"jsonPayload": said if isinstance(said, dict) else {"message": said[0]}}),
        }
        for index, (second, severity, task, said) in enumerate(line["log"])
    ]  # fmt: skip
    body["timeSeries"] = [
        {
            "metric": {"type": one["type"], "labels": {"task_name": one["task"], **one.get("labels", {})}},
            "resource": {"type": "cloudml_job", "labels": {"job_id": number, "task_name": one["task"]}},
            "points": [
                {
                    "interval": {"endTime": _at(start + timedelta(seconds=one["from"] + index * one["step"]))},
                    "value": {one["unit"]: value},
                }
                for index, value in enumerate(one["values"])
            ],
        }
        for one in line.get("series", ())
    ]  # fmt: skip
    return body


def score_time_outs(name: str) -> Score:
    """The figures of a set of time-outs (`fifth_time_outs_blind`, …)."""
    total = Score()
    for line, body in time_outs(name):
        one = Scenario(line["id"], line["software"], tuple(line["truth"]), False, False, line)
        total.add(one, diagnose(Case.parse(body)))
    return total


def score_alone(name: str) -> Score:
    """The figures of one set where somebody has the log alone, as a plain file: no job, no error of it, no status.

    Servers are left out, and what wrote nothing.
    """
    total = Score()
    for scenario in scenarios(name):
        text = "\n".join(str(said) for _, _, said in scenario.line["log"])
        if scenario.serves or not text.strip():
            continue
        found = assemble([read_document(f"{text}\n".encode(), "job.log")])
        total.add(scenario, diagnose_inputs(found))
    return total


# --- cases ------------------------------------------------------------------------------------------


def _at(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def custom_job(line: Mapping[str, Any]) -> dict[str, Any]:
    """A custom job around what one program printed; its service line as Vertex words it."""
    number, end = "4000000000000000001", START + timedelta(seconds=line["seconds"] + 8)
    job: dict[str, Any] = {
        "name": f"projects/123456789012/locations/us-central1/customJobs/{number}",
        "displayName": "nightly",
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {"machineType": "n1-standard-4"},
                    "replicaCount": "1",
                    "diskSpec": {"bootDiskType": "pd-ssd", "bootDiskSizeGb": 100},
                    "containerSpec": {
                        "imageUri": "us-docker.pkg.dev/example-training/ml/trainer:1",
                        "command": ["bash", "-c"],
                        "args": [line["command"]],
                    },
                }
            ]
        },
        "createTime": _at(START - timedelta(seconds=95)),
        "startTime": _at(START - timedelta(seconds=5)),
        "endTime": _at(end),
        "updateTime": _at(end + timedelta(seconds=40)),
    }
    if line.get("deadline") and line.get("cut"):
        # The job's own time-out: how Vertex words it is not documented, so state and times alone.
        job["jobSpec"]["scheduling"] = {"timeout": f"{line['deadline']}s"}
        job["state"], said = "JOB_STATE_CANCELLED", "Job cancelled."
    else:
        reason = (
            "OOMKilled" if line["pid1_signal"] == 9 and line["oom_kills"] else "Error"
        )  # SIGKILL
        said = (
            f"The replica workerpool0-0 exited with a non-zero status of {line['exit']}. "
            f"Termination reason: {reason}. To find out more about why your job exited please check "
            f"the logs: https://console.cloud.google.com/logs/viewer?project=123456789012"
        )
        job |= {"state": "JOB_STATE_FAILED", "error": {"code": 3, "message": said}}
    entries = [
        _entry(number, START + timedelta(seconds=at), text, stream, "workerpool0-0", f"l{i:05d}")
        for i, (at, stream, text) in enumerate(line["log"])
        if text.strip()
    ]
    service = _entry(number, end, said, "stderr", "service", "s00000")
    body = {"logEntry": service, "job": job, "logEntries": [*entries, service]}
    if line.get("cpu_utilisation"):
        points = [
            {
                "interval": {"endTime": _at(START + timedelta(seconds=at))},
                "value": {"doubleValue": v},
            }
            for at, v in reversed(line["cpu_utilisation"])
        ]
        metric = {"type": "ml.googleapis.com/training/cpu/utilization"}
        body["timeSeries"] = [{"metric": metric, "points": points}]
    return body


def _entry(
    number: str, at: datetime, text: str, stream: str, task: str, name: str
) -> dict[str, Any]:
    return {
        "insertId": name,
        "timestamp": _at(at),
        "severity": "ERROR" if stream == "stderr" else "INFO",
        "textPayload": text,
        "resource": {"type": "ml_job", "labels": {"job_id": number, "task_name": task}},
    }


_CODES = {"504": 4, "503": 14, "502": 14, "500": 13}


def _serving(line: Mapping[str, Any]) -> dict[str, Any]:
    """A batch prediction (or a client's custom job) around what a container printed and answered."""
    error = line.get("error") or ""
    start = datetime.fromtimestamp(line.get("t0") or START.timestamp(), UTC)
    last = line["log"][-1][0] if line["log"] else 1
    seconds = line.get("seconds") or last
    if "never became ready" in error:
        seconds = _NEVER_READY_SECONDS
    if "elapsed=600.0" in error and line.get("results"):
        seconds = max(seconds, (line.get("ready") or 0) + 601)
    end = start + timedelta(seconds=seconds + 5)
    message = error or (
        f"The replica workerpool0-0 exited with a non-zero status of {line.get('exit')}."
    )
    if line["kind"] != "batch_prediction":
        return _client(line, message, start, end)
    answered = re.search(r"Non-OK result (\d+)", message)
    code = _CODES.get(answered[1], 3) if answered else 3
    failed = "64" if answered and "never became ready" not in error else "0"
    route = line.get("routes") or ["/health", "/predict"]
    body: dict[str, Any] = {
        "job": {
            "name": "projects/123456789012/locations/us-central1/batchPredictionJobs/5",
            "displayName": "lab",
            "state": "JOB_STATE_FAILED",
            "createTime": _at(start - timedelta(seconds=90)),
            "startTime": _at(start - timedelta(seconds=20)),
            "endTime": _at(end),
            "model": "projects/my-project/locations/us-central1/models/77@1",
            "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": ["gs://in/x.jsonl"]}},
            "dedicatedResources": {
                "machineSpec": {"machineType": "n1-standard-4"},
                "startingReplicaCount": 1,
                "maxReplicaCount": 1,
            },
            "manualBatchTuningParameters": {"batchSize": 64},
            "completionStats": {"failedCount": failed, "incompleteCount": "936"},
            "error": {"code": code, "message": message},
        },
        "model": {
            "name": "projects/my-project/locations/us-central1/models/77",
            "containerSpec": {
                "imageUri": "us-docker.pkg.dev/my-project/serving/churn:14",
                "ports": [{"containerPort": 8080}],
                "healthRoute": route[0],
                "predictRoute": route[1],
            },
        },
        "logEntries": _container_lines(line, start),
        "now": _at(end + timedelta(minutes=8)),
    }
    if line.get("partial"):
        body["job"]["partialFailures"] = [{"code": code, "message": x} for x in line["partial"]]
    if answered:
        body["errorFiles"] = {
            "gs://out/prediction.errors_stats-00000-of-00001": f"('{message}', 64)"
        }
    return body


def _client(
    line: Mapping[str, Any], message: str, start: datetime, end: datetime
) -> dict[str, Any]:
    """A custom job whose program is the client of some service."""
    number = "5120000000000000001"
    entries = [
        _entry(number, start + timedelta(seconds=at), text, stream, "workerpool0-0", f"l{i:05d}")
        for i, (at, stream, text) in enumerate(line["log"])
        if text.strip()
    ]
    pool = {
        "machineSpec": {"machineType": "n1-standard-4"},
        "replicaCount": "1",
        "containerSpec": {
            "imageUri": "us-docker.pkg.dev/my-project/train/churn:9",
            "command": ["python", "train.py"],
        },
    }
    job = {
        "name": f"projects/123456789012/locations/us-central1/customJobs/{number}",
        "state": "JOB_STATE_FAILED",
        "createTime": _at(start - timedelta(seconds=90)),
        "startTime": _at(start - timedelta(seconds=20)),
        "endTime": _at(end),
        "jobSpec": {"workerPoolSpecs": [pool], "scheduling": {"timeout": "86400s"}},
        "error": {"code": 3, "message": message},
    }
    service = _entry(number, end, message, "stderr", "service", "s00000")
    return {"job": job, "logEntries": [*entries, service]}


def _container_lines(line: Mapping[str, Any], start: datetime) -> list[dict[str, Any]]:
    labels = {"job_id": "5", "location": "us-central1", "resource_container": "projects/my-project"}
    return [
        {
            "insertId": f"l{i:05d}",
            "timestamp": _at(start + timedelta(seconds=at)),
            "severity": "ERROR" if stream == "stderr" else "INFO",
            "textPayload": text,
            "resource": {"type": "aiplatform.googleapis.com/BatchPredictionJob", "labels": labels},
        }
        for i, (at, stream, text) in enumerate(line["log"])
        if text.strip()
    ]
