"""One value per job: whatever is asked twice is answered alike, and nobody else reads the document."""

from __future__ import annotations

import ast
import copy
import functools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.diagnosis import diagnose
from remediator.domain import Cause, JobKind, path_steps, rfc3339
from remediator.job import Job
from remediator.job.validation import why_incomplete
from tests.jobs import BATCH, CUSTOM, EVERY_KIND, PIPELINE, TRAINING, TUNING, case, job
from tests.planning.planner_cases import ladder, planned

BOOK = Catalog.built_in()
HOUSE = Path(__file__).resolve().parents[1] / "remediator"
NO_GPU = "RuntimeError: No CUDA GPUs are available"


def snake(value: Any) -> Any:
    """The value with every key in snake_case, as Python clients write training inputs."""
    if isinstance(value, dict):
        return {
            re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower(): snake(item) for key, item in value.items()
        }
    return [snake(item) for item in value] if isinstance(value, list) else value


def respelled(body: dict[str, Any]) -> dict[str, Any]:
    """The job with those of its parts in snake_case that Vertex takes in either spelling."""
    found = copy.deepcopy(body)
    if "trainingTaskInputs" in found:
        found["trainingTaskInputs"] = snake(found["trainingTaskInputs"])
    return found


# --- the four that were seen ----------------------------------------------------------------------


def test_a_batch_on_a_machine_of_another_ratio_is_measured_by_its_own_memory() -> None:
    machine = {"machineSpec": {"machineType": "c2d-highcpu-16"}, "startingReplicaCount": 1}
    held = job(BATCH, dedicatedResources=machine)
    series = {
        "metric": {"type": "aiplatform.googleapis.com/prediction/online/memory/bytes_used"},
        "points": [
            {
                "interval": {"endTime": f"2026-11-23T18:{minute:02}:00Z"},
                "value": {"doubleValue": 15.6 * 1024**3},
            }
            for minute in range(1, 50)
        ],
    }
    found = diagnose(Case.parse({"job": held.to_json(), "timeSeries": [series]}))
    assert held.facts(BOOK).memory_gib == 32
    assert found.verdict is not Cause.MEMORY_PRESSURE
    assert not any("98%" in item.says for cause in found.causes for item in cause.evidence)


@pytest.mark.parametrize("spell", [lambda body: body, respelled], ids=["camelCase", "snake_case"])
def test_an_attached_gpu_is_seen_in_either_spelling(spell: Any) -> None:
    body = copy.deepcopy(TRAINING) | {"error": {"code": 3, "message": NO_GPU}}
    body["trainingTaskInputs"] = {
        "workerPoolSpecs": [
            {
                "machineSpec": {
                    "machineType": "n1-standard-8",
                    "acceleratorType": "NVIDIA_TESLA_T4",
                    "acceleratorCount": 1,
                },
                "replicaCount": "1",
                "containerSpec": {"imageUri": "gcr.io/p/train"},
            }
        ]
    }
    assert diagnose(Case.parse({"job": spell(body)})).verdict is Cause.INVALID_CONFIG


def test_a_trials_time_out_is_not_the_jobs() -> None:
    held = job(
        TUNING,
        trialJobSpec__scheduling={"timeout": "3600s"},
        startTime="2026-11-23T18:00:00Z",
        endTime="2026-11-23T19:00:30Z",
        error={"code": 3, "message": "trials failed"},
    )
    found = diagnose(case(held))
    assert held.timeout_seconds == 3600
    assert (held.facts(BOOK).timeout_seconds, held.ran_into_timeout) == (None, False)
    said = [item.says for cause in found.causes for item in cause.evidence]
    assert not any("stopped at its time-out" in words for words in said)


def trial(state: str, minutes: float | None) -> dict:
    """A trial that ran so long; None: its end is not known."""
    began = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
    ended = {} if minutes is None else {"endTime": rfc3339(began + timedelta(minutes=minutes))}
    return {"id": "1", "state": state, "startTime": rfc3339(began), **ended}


@pytest.mark.parametrize(
    ("trials", "timed_out"),
    [
        ([trial("INFEASIBLE", 60.2), trial("INFEASIBLE", 60.5)], True),
        ([trial("SUCCEEDED", 60), trial("INFEASIBLE", 60.2)], True),
        ([trial("INFEASIBLE", 60.2), trial("INFEASIBLE", 60.2), trial("INFEASIBLE", 3)], True),
        ([trial("INFEASIBLE", 60.2), trial("INFEASIBLE", 3)], False),
        ([trial("SUCCEEDED", 60.2), trial("INFEASIBLE", 3)], False),
        ([trial("INFEASIBLE", 180)], False),
        ([trial("INFEASIBLE", None)], False),
        ([], False),
    ],
    ids=["all", "one-succeeded", "most", "half", "a-success", "another-limit", "no-end", "none"],
)
def test_trials_that_their_time_out_ended_ran_into_it(trials: list[dict], timed_out: bool) -> None:
    """Their duration says so: Vertex's error of the job tells only that too many trials failed."""
    held = job(
        TUNING,
        trialJobSpec__scheduling={"timeout": "3600s"},
        startTime="2026-11-23T17:00:00Z",
        endTime="2026-11-23T22:00:30Z",
        error={"code": 3, "message": "too many trials failed"},
        trials=trials,
    )
    assert held.ran_into_timeout is held.facts(BOOK).ran_into_timeout is timed_out
    cancelled = Job.parse({**held.to_json(), "state": "JOB_STATE_CANCELLED"})
    assert cancelled.cancelled_by_person  # its trials were cancelled with it
    minutes = (f"2026-11-23T{17 + at // 60}:{at % 60:02}:00Z" for at in range(1, 300))
    points = [{"interval": {"endTime": t}, "value": {"doubleValue": 0.98}} for t in minutes]
    full = {"metric": {"type": "ml.googleapis.com/training/cpu/utilization"}, "points": points}
    found = diagnose(case(held, timeSeries=[full]))
    said = [item.says for cause in found.causes for item in cause.evidence]
    told = any("its trials were stopped at their time-out of 1 h 00 min" in one for one in said)
    assert told is timed_out


@pytest.mark.parametrize(
    ("minutes", "limit", "timed_out"),
    [(60.2, "3600s", True), (30, "3600s", False), (60.2, None, False)],
    ids=["at-it", "far-from-it", "none-set"],
)
def test_a_task_that_its_custom_jobs_time_out_ended_ran_into_it(
    minutes: float, limit: str | None, timed_out: bool
) -> None:
    body = copy.deepcopy(PIPELINE)
    spec = {"scheduling": {"timeout": limit} if limit else {}}
    executors = body["pipelineSpec"]["deploymentSpec"]["executors"]
    executors["exec-train"] = {"customJob": {"jobSpec": spec}}
    for detail in body["jobDetail"]["taskDetails"]:
        if detail["state"] == "FAILED":
            detail.update(trial("FAILED", minutes))
    held = Job.parse(body)
    assert held.ran_into_timeout is timed_out
    assert held.is_failure
    cancelled = Job.parse({**body, "state": "PIPELINE_STATE_CANCELLED"})
    assert not cancelled.is_failure


@pytest.mark.parametrize("state", ["JOB_STATE_CANCELLED", "JOB_STATE_FAILED"])
@pytest.mark.parametrize(
    ("end", "said", "timed_out"),
    [
        ("2026-11-23T18:58:30Z", "", False),  # 97.5% of its hour
        ("2026-11-23T19:00:10Z", "", True),
        ("2026-11-23T18:06:00Z", "connection timed out", False),  # a tenth of it
    ],
    ids=["near", "at-its-limit", "another-time-out"],
)
def test_the_state_and_the_diagnosis_agree_on_a_time_out(
    state: str, end: str, said: str, timed_out: bool
) -> None:
    held = job(
        CUSTOM,
        state=state,
        jobSpec__scheduling={"timeout": "3600s"},
        startTime="2026-11-23T18:00:00Z",
        endTime=end,
        error={"code": 1, "message": said} if said else None,
    )
    assert held.ran_into_timeout is held.facts(BOOK).ran_into_timeout is timed_out
    assert held.cancelled_by_person is (state.endswith("CANCELLED") and not timed_out)


def test_a_batch_without_machines_has_no_batch_size_for_anybody() -> None:
    held = job(BATCH, dedicatedResources=None, manualBatchTuningParameters={"batchSize": 32})
    assert (held.batch_size, held.facts(BOOK).batch_size) == (None, None)


@pytest.mark.parametrize(
    ("image", "for_cpus"),
    [
        ("nvcr.io/nvidia/pytorch:23-cpu", True),
        ("gcr.io/p/serve:23-cpu", True),
        ("nvcr.io/nvidia/pytorch:23.10-py3", False),
        ("gcr.io/p/serve-cu118:23", False),
    ],
)
def test_an_image_for_cpus_is_one_to_everybody(image: str, for_cpus: bool) -> None:
    held = job(CUSTOM, **{"jobSpec__workerPoolSpecs[0]__containerSpec__imageUri": image})
    assert bool(held.cpu_only_image()) is bool(held.facts(BOOK).cpu_image) is for_cpus
    made = planned(
        held, ladder("resubmit: {accelerator: {type: NVIDIA_TESLA_T4, count: 1}}"), Cause.GPU_MEMORY
    )
    assert bool(made.refused_by) is for_cpus


# --- whatever is asked twice ----------------------------------------------------------------------

SPECS = {
    JobKind.BATCH_PREDICTION: "dedicatedResources.machineSpec",
    JobKind.CUSTOM: "jobSpec.workerPoolSpecs[0].machineSpec",
    JobKind.HYPERPARAMETER_TUNING: "trialJobSpec.workerPoolSpecs[0].machineSpec",
    JobKind.TRAINING_PIPELINE: "trainingTaskInputs.workerPoolSpecs[0].machineSpec",
}
HOLDS_MACHINE = [body for body in EVERY_KIND if body is not PIPELINE]


def on(body: dict[str, Any], machine: str, *, spelled_snake: bool) -> Job:
    kind = job(body).kind
    held = respelled(body) if spelled_snake else copy.deepcopy(body)
    node: Any = held
    path = SPECS[kind]
    for step in path_steps(path):
        named = step
        if isinstance(step, str) and isinstance(node, dict) and step not in node:
            named = re.sub(r"(?<!^)(?=[A-Z])", "_", step).lower()
        node = node[named]
    node.clear()
    node["machine_type" if spelled_snake and "trainingTaskInputs" in held else "machineType"] = (
        machine
    )
    return Job.parse(held)


@settings(deadline=None)
@given(
    st.sampled_from(HOLDS_MACHINE), st.booleans(), st.sampled_from(sorted(BOOK.machines)), st.data()
)
def test_whatever_is_asked_twice_is_answered_alike(
    body: dict[str, Any], spelled_snake: bool, machine: str, data: st.DataObject
) -> None:
    held = on(body, machine, spelled_snake=spelled_snake)
    facts, kind = held.facts(BOOK), BOOK.machines[machine]
    assert facts.machine_type == machine == held.pools[0].hardware.machine
    assert (facts.vcpus or 0, facts.memory_gib or 0) == (kind.vcpus, kind.memory_gib)
    assert facts.has_accelerator is bool(kind.devices)
    assert facts.spot is held.is_spot
    assert facts.ran_into_timeout is held.ran_into_timeout
    assert (facts.batch_size, facts.model) == (held.batch_size, held.model_name)
    assert (facts.images, facts.cpu_image) == (held.images(), held.cpu_only_image())
    # A size that nobody measured is no peak: the plan takes the size of the pool's own machine.
    died = Job.parse(
        held.to_json() | {"error": {"code": 3, "message": "Out of memory: Killed process 7"}}
    )
    found = diagnose(case(died))
    if found.verdict is Cause.MEMORY_PRESSURE:
        assert found.needs.peak_memory_gib is None
    # A change that is written back is read at once, by everybody.
    other = data.draw(st.sampled_from(sorted(BOOK.machines)))
    changed = held.changed(held.pools[0].machine_path, other)
    assert changed.facts(BOOK).machine_type == other == changed.pools[0].hardware.machine
    assert held.facts(BOOK).machine_type == machine


@pytest.mark.parametrize("machine", sorted(BOOK.machines))
def test_no_machine_of_the_catalogue_is_unknown_to_the_diagnosis(machine: str) -> None:
    facts, kind = on(CUSTOM, machine, spelled_snake=False).facts(BOOK), BOOK.machines[machine]
    assert (facts.vcpus or 0, facts.memory_gib or 0) == (kind.vcpus, kind.memory_gib)
    assert bool(facts.vcpus) is (machine != "cloud-tpu")  # its size stands in the accelerator


@settings(deadline=None)
@given(st.sampled_from(EVERY_KIND), st.booleans())
def test_both_spellings_of_a_job_say_the_same(body: dict[str, Any], failed: bool) -> None:
    state = {} if failed else {"state": "JOB_STATE_CANCELLED"}
    one, other = Job.parse(copy.deepcopy(body) | state), Job.parse(respelled(body) | state)
    assert one.facts(BOOK) == other.facts(BOOK)
    for ask in ("strategy", "timeout_seconds", "buckets", "base_output", "log_ids", "is_failure"):
        assert getattr(one, ask) == getattr(other, ask)
    assert diagnose(case(one)) == diagnose(case(other))


def test_a_training_pipeline_of_a_tuning_task_has_its_trials_machines() -> None:
    inputs = {"maxTrialCount": "6", "parallelTrialCount": "2", "trialJobSpec": CUSTOM["jobSpec"]}
    held = job(TRAINING, trainingTaskInputs=inputs)
    assert held.pools[0].machine_path.startswith(
        "trainingTaskInputs.trialJobSpec.workerPoolSpecs[0]"
    )
    assert (held.trials, held.parallel_trials) == (6, 2)
    assert held.facts(BOOK).timeout_seconds is None


# --- nobody else reads the document ---------------------------------------------------------------

# Names that other documents of Google's share with jobs: no sign of a job's document.
_SHARED = frozenset(
    [
        "displayName",
        "createTime",
        "startTime",
        "endTime",
        "updateTime",
        "serviceAccount",
        "batchSize",
        "timeoutSeconds",
        "machineType",
        "acceleratorType",
        "acceleratorCount",
        "replicaCount",
        "startingReplicaCount",
        "maxReplicaCount",
        "outputUriPrefix",
        "generateExplanation",
        "enableCache",
        "bootDiskSizeGb",
        "maxWaitDuration",
        "doubleValue",
    ]
)
"""Also the last words of a change's path: sentences name them, and the ledger's sizes bear them."""


@functools.cache
def vocabulary() -> frozenset[str]:
    """Every field of a job's messages whose name is of several words."""
    from google.cloud import aiplatform_v1 as v1

    left = [
        getattr(v1, name).pb().DESCRIPTOR
        for name in (
            "BatchPredictionJob",
            "CustomJob",
            "HyperparameterTuningJob",
            "TrainingPipeline",
            "PipelineJob",
        )
    ]
    seen, found = set(), set()
    while left:
        message = left.pop()
        if message.full_name in seen or not message.full_name.startswith("google.cloud.aip"):
            continue
        seen.add(message.full_name)
        for field in message.fields:
            if field.json_name.lower() != field.json_name:
                found.add(field.json_name)
                if field.name.endswith(("_spec", "_specs")):
                    found.add(field.name)
            if field.message_type is not None:
                left.append(field.message_type)
    return frozenset(found - _SHARED)


_INNER = {f"remediator.job.{name}" for name in ("document", "fields", "programs")}


def rooms() -> Iterator[Path]:
    for path in sorted(HOUSE.rglob("*.py")):
        if HOUSE / "job" not in path.parents:
            yield path


def docstrings(tree: ast.AST) -> set[int]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, kinds) and node.body and isinstance(node.body[0], ast.Expr)
    }


def readings(path: Path) -> Iterator[str]:
    """Where a module outside the room speaks of a path of a job's document, or looks into it."""
    tree = ast.parse(path.read_text())
    prose, words = docstrings(tree), vocabulary()
    for node in ast.walk(tree):
        where = f"{path.relative_to(HOUSE)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            parts = re.split(r"[.\[\]{}]", node.value)
            if " " not in node.value and words & set(parts):
                yield f"{where}: {node.value!r}"
        elif isinstance(node, ast.Attribute) and node.attr == "_body":
            yield f"{where}: ._body"
        elif isinstance(node, ast.ImportFrom) and node.module in {
            "remediator.job.document", "remediator.job.fields", "remediator.job.programs",
            "remediator.job.data_places", "remediator.job.workload",
        }:  # fmt: skip
            yield f"{where}: imports {node.module}"
        elif (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in {"read", "changed"}
            and node.args
            and isinstance(node.args[0], ast.JoinedStr | ast.Constant)
        ):
            yield f"{where}: .{node.func.attr}(…)"


# A Model's own document, whose container has the fields of one in a job.
EXCEPTIONS: dict[str, set[str]] = {"diagnosis/servers.py": {"'containerPort'", "'healthRoute'"}}


@pytest.mark.parametrize("path", list(rooms()), ids=lambda path: str(path.relative_to(HOUSE)))
def test_no_room_but_this_one_reads_a_jobs_document(path: Path) -> None:
    allowed = EXCEPTIONS.get(str(path.relative_to(HOUSE)), set())
    assert [line for line in readings(path) if line.partition(": ")[2] not in allowed] == []


def test_the_value_exposes_no_dictionary_but_the_one_to_be_sent() -> None:
    for body in EVERY_KIND:
        held = job(body)
        public = [name for name in dir(held) if not name.startswith("_")]
        values = {name: getattr(held, name) for name in public}
        assert [n for n, v in values.items() if isinstance(v, dict) and n != "labels"] == []
        sent = held.request()
        sent["state"] = "changed"
        assert held.request()["state"] == body["state"]


@pytest.mark.parametrize(
    ("body", "left_out", "lacks"),
    [
        (CUSTOM, (), ""),
        (CUSTOM, ("jobSpec", "workerPoolSpecs"), "machines"),
        (CUSTOM, ("jobSpec", "workerPoolSpecs", 0, "machineSpec"), "machine for a worker pool"),
        (CUSTOM, ("jobSpec", "workerPoolSpecs", 0, "containerSpec"), "program"),
        (BATCH, (), ""),
        (BATCH, ("model",), "model"),
        (BATCH, ("inputConfig", "gcsSource"), "input"),
        (BATCH, ("outputConfig",), "output"),
    ],
)
def test_a_request_read_from_a_log_may_lack_parts(
    body: dict[str, Any], left_out: tuple[Any, ...], lacks: str
) -> None:
    cut = copy.deepcopy(body)
    holder: Any = cut
    for key in left_out[:-1]:
        holder = holder[key]
    if left_out:
        del holder[left_out[-1]]
    why = why_incomplete(Job.parse(cut))
    assert bool(why) is bool(lacks)
    assert lacks in why
