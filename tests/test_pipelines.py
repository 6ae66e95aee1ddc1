"""Pipelines as KFP and Google's components compile them: exactly the places that count are changed."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.diagnosis import diagnose
from remediator.domain import Action, Cause, Guard, History, InvalidInput, Plan
from remediator.inputs.documents import read_document
from remediator.job import Job, pipeline
from remediator.job.differences import differences, illegal_differences
from remediator.planning import plan
from tests.jobs import policies

HERE = Path(__file__).with_name("data") / "pipelines"
BOOK = Catalog.built_in()
COMPILED = {
    (one := json.loads(line))["name"]: one
    for line in (HERE / "compiled.jsonl").read_text().splitlines()
}
TEXT = (
    "mode: enforce\nrerun_safe: [pipeline]\nlimits: {{attempts: 9, {limits}}}\n"
    "policies: [{{name: p, when: {{cause: {cause}}}, do: [{{resubmit: {{{step}}}}}]}}]"
)


def planned(
    job: dict[str, Any],
    step: str = "machine_type: more_memory",
    *,
    limits: str = "usd_per_job: 1000000",
    cause: str = "memory_pressure",
) -> Plan:
    case = Case.parse({"job": job})
    text = TEXT.format(limits=limits, step=step, cause=cause)
    return plan(case, diagnose(case), policies(text), History(), BOOK)


def changed(made: Plan) -> list[list[Any]]:
    return sorted([change.field, change.after] for change in made.changes)


def named(name: str) -> dict[str, Any]:
    return copy.deepcopy(COMPILED[name]["job"])


def test_there_are_as_many_as_were_asked_for() -> None:
    assert len(COMPILED) >= 60
    assert {json.dumps(one["versions"]) for one in COMPILED.values()} == {
        '{"google-cloud-pipeline-components": "2.22.0", "kfp": "2.17.3"}'
    }


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_exactly_the_places_that_count_are_changed(name: str) -> None:
    case = COMPILED[name]
    made = planned(case["job"])
    if case["right"] is None:
        assert (made.action, made.refused_by) == (Action.ALERT, (Guard.INCOMPATIBLE,))
        return
    assert changed(made) == sorted(case["right"]), made.because
    assert made.action is Action.RESUBMIT
    run, request = Job.parse(case["job"]), made.request or {}
    # Nothing else differs, and the check before a create lets it pass.
    ours = {"displayName", *(f"labels.remediator-{key}" for key in ("attempt", "policy", "root"))}
    fields = [change.field for change in made.changes]
    others = [path for path in differences(run, request) if path not in ours]
    assert [p for p in others if not any(p == f or f.startswith(p) for f in fields)] == []
    assert illegal_differences(run, request, made.changes) == ()


@pytest.mark.parametrize("name", sorted(COMPILED))
def test_the_request_is_one_that_vertex_parses(name: str) -> None:
    from google.cloud import aiplatform_v1
    from google.protobuf import json_format

    made = planned(COMPILED[name]["job"])
    if made.request is not None:
        message = aiplatform_v1.PipelineJob()
        json_format.ParseDict(made.request, message._pb, ignore_unknown_fields=False)


@pytest.mark.parametrize("name", sorted(n for n, one in COMPILED.items() if one["right"]))
def test_the_estimate_counts_rounds_and_what_runs_again(name: str) -> None:
    case = COMPILED[name]
    made = planned(case["job"])
    assert made.estimated_usd is not None
    usd = {key: planned(COMPILED[key]["job"]).estimated_usd for key in _alike(name)}
    if case["times"] == 3 and usd:
        once = next(iter(usd.values()))
        assert made.estimated_usd == pytest.approx(3 * (once or 0), abs=0.03)


def _alike(name: str) -> list[str]:
    flat = name.replace("-loop", "").replace("-1", "-0") if not name.endswith("-off") else ""
    return [flat] if flat in COMPILED and flat != name else []


def test_a_launcher_is_never_raised() -> None:
    for case in COMPILED.values():
        for change in planned(case["job"], "machine_type: bigger").changes:
            launched = "custom" in change.field or "batch" in change.field
            assert not (launched and ".container.resources" in change.field)


# --- money and machines -----------------------------------------------------------------------------


def _on(machine: str, device: str, count: int, replicas: int) -> dict[str, Any]:
    job = named("custom-constant-0")
    path = COMPILED["custom-constant-0"]["died"]
    task: Any = job
    for step in path.split("."):
        task = task[step]
    (pool,) = task["inputs"]["parameters"]["worker_pool_specs"]["runtimeValue"]["constant"]
    pool["machine_spec"] = {
        "machine_type": machine,
        "accelerator_type": device,
        "accelerator_count": count,
    }
    pool["replica_count"] = replicas
    return job


def test_four_large_machines_in_a_parameter_are_priced_and_refused() -> None:
    job = _on("a3-highgpu-8g", "NVIDIA_H100_80GB", 8, 4)
    made = planned(job, "")
    hourly = 4 * (BOOK.usd_per_hour(Job.parse(job).pools[0].hardware, "us-central1") or 0)
    assert hourly > 400
    assert made.estimated_usd == pytest.approx(hourly, rel=0.02)
    held = planned(job, "", limits='usd_per_job: 5, machine_types: ["n1-*"]')
    assert {Guard.USD_PER_JOB, Guard.MACHINE_TYPES} <= set(held.refused_by)


def test_a_machine_that_cannot_be_read_has_no_price() -> None:
    job = named("custom-constant-0")
    path = COMPILED["custom-constant-0"]["died"]
    task: Any = job
    for step in path.split("."):
        task = task[step]
    task["inputs"]["parameters"]["worker_pool_specs"] = {
        "taskOutputParameter": {"producerTask": "prep", "outputParameterKey": "Output"}
    }
    made = planned(job)
    assert made.refused_by == (Guard.INCOMPATIBLE,)
    assert "it is an output of task prep" in made.because
    assert Job.parse(job).pools[0].hardware.machine == ""


def test_a_machine_in_the_components_own_text_is_named_and_left() -> None:
    job = named("custom-constant-0")
    (label,) = [
        key
        for key in job["pipelineSpec"]["deploymentSpec"]["executors"]
        if key.startswith("exec-custom")
    ]
    args = job["pipelineSpec"]["deploymentSpec"]["executors"][label]["container"]["args"]
    at = args.index("--payload") + 1
    args[at] = args[at].replace(
        "{{$.inputs.parameters['worker_pool_specs']}}",
        '[{"machine_spec": {"machine_type": "n1-standard-8"}}]',
    )
    made = planned(job)
    assert made.refused_by == (Guard.INCOMPATIBLE,)
    assert f"'n1-standard-8' stands in the component's own text at pipelineSpec.deploymentSpec.executors.{label}.container.args[{at}]" in made.because  # fmt: skip


# --- who else uses a value --------------------------------------------------------------------------


def test_a_parameter_that_another_task_takes_too_stays() -> None:
    job = named("custom-parameter-0")
    tasks = job["pipelineSpec"]["root"]["dag"]["tasks"]
    (key,) = [name for name in tasks if name.startswith("custom")]
    tasks["other"] = copy.deepcopy(tasks[key]) | {"taskInfo": {"name": "other"}}
    job["jobDetail"]["taskDetails"].append(
        {"taskId": "190", "parentTaskId": "101", "taskName": "other", "state": "SUCCEEDED"}
    )
    made = planned(job)
    (change,) = made.changes
    assert change.field.startswith(f"pipelineSpec.root.dag.tasks.{key}.inputs.parameters.")
    assert change.field.endswith(".runtimeValue.constant")
    assert illegal_differences(Job.parse(job), made.request or {}, made.changes) == ()
    kept = (made.request or {})["pipelineSpec"]["root"]["dag"]["tasks"]["other"]
    assert kept == tasks["other"]


def test_specs_that_stand_as_text_are_changed_within_it() -> None:
    job = named("custom-specs-parameter-0")
    values = job["runtimeConfig"]["parameterValues"]
    values["size"] = json.dumps(values["size"])
    made = planned(job)
    assert changed(made) == [
        ["runtimeConfig.parameterValues.size[0].machine_spec.machine_type", "n1-standard-16"]
    ]
    sent = (made.request or {})["runtimeConfig"]["parameterValues"]["size"]
    assert json.loads(sent)[0]["machine_spec"]["machine_type"] == "n1-standard-16"
    assert illegal_differences(Job.parse(job), made.request or {}, made.changes) == ()


# --- which task died --------------------------------------------------------------------------------


def _sibling(state: str, message: str) -> dict[str, Any]:
    job = named("container-constant-0")
    for detail in job["jobDetail"]["taskDetails"]:
        if detail["taskName"] == "prep":
            detail["state"] = state
            detail["error"] = {"code": 9, "message": message}
    return job


def test_a_cancelled_sibling_stays_as_it_is() -> None:
    made = planned(_sibling("CANCELLED", "The task was cancelled."))
    assert changed(made) == sorted(COMPILED["container-constant-0"]["right"])


def test_a_sibling_that_can_never_pass_forbids_the_run_and_is_named() -> None:
    job = _sibling("FAILED", "Traceback (most recent call last):\nValueError: unknown column 'id'")
    case = Case.parse({"job": job})
    found = diagnose(case)
    assert {part.name: part.cause for part in found.parts} == {
        "prep": Cause.USER_CODE_ERROR,
        "train": Cause.MEMORY_PRESSURE,
    }
    text = TEXT.format(limits="", step="machine_type: more_memory", cause=found.verdict.value)
    made = plan(case, found, policies(text), History(), BOOK)
    assert made.action is Action.ALERT
    assert Guard.CAUSE in made.refused_by
    assert "task prep: the job's own code raised an error" in made.because


# --- the samples --------------------------------------------------------------------------------------


def test_two_tasks_of_one_name_are_told_apart_by_their_parents() -> None:
    job = named("container-constant-1")
    spec = job["pipelineSpec"]
    tasks = spec["root"]["dag"]["tasks"]
    (key,) = [name for name in tasks if name.startswith("level")]
    spec["components"]["comp-small"] = copy.deepcopy(
        spec["components"][tasks[key]["componentRef"]["name"]]
    )
    (inner,) = spec["components"]["comp-small"]["dag"]["tasks"].values()
    inner["componentRef"] = {"name": "comp-small-train"}
    spec["components"]["comp-small-train"] = {"executorLabel": "exec-small"}
    spec["deploymentSpec"]["executors"]["exec-small"] = {
        "container": {"image": "img/x:1", "resources": {"resourceMemoryLimit": "8G"}}
    }
    tasks["small"] = {"componentRef": {"name": "comp-small"}, "taskInfo": {"name": "small"}}
    (name,) = spec["components"]["comp-small"]["dag"]["tasks"]
    job["jobDetail"]["taskDetails"] += [
        {"taskId": "190", "parentTaskId": "101", "taskName": "small", "state": "SUCCEEDED"},
        {"taskId": "191", "parentTaskId": "190", "taskName": name, "state": "SUCCEEDED"},
    ]
    assert changed(planned(job)) == sorted(COMPILED["container-constant-1"]["right"])


# --- the job that a launcher started ------------------------------------------------------------------

CHILD = "projects/123456789012/locations/us-central1/customJobs/987654321"
RESOURCES = json.dumps(
    {
        "resources": [
            {
                "resourceType": "CustomJob",
                "resourceUri": f"https://us-central1-aiplatform.googleapis.com/v1/{CHILD}",
            }
        ]
    }
)


def _launched() -> dict[str, Any]:
    """A run whose launcher only says that its job failed; what it started stands in gcp_resources."""
    job = named("custom-constant-0")
    for detail in job["jobDetail"]["taskDetails"]:
        if detail.get("error"):
            detail["error"] = {"code": 9, "message": "Job failed with value error."}
            detail["execution"] = {"metadata": {"output:gcp_resources": RESOURCES}}
            own = CHILD.replace("987654321", "555")
            detail["executorDetail"] = {"containerDetail": {"mainJob": own}}
    return job


def _child(message: str) -> dict[str, Any]:
    return {
        "job": {
            "name": CHILD,
            "displayName": "t",
            "state": "JOB_STATE_FAILED",
            "createTime": "2026-11-28T10:00:00Z",
            "startTime": "2026-11-28T10:02:00Z",
            "endTime": "2026-11-28T10:58:00Z",
            "error": {"code": 3, "message": message},
            "labels": {"vertex-ai-pipelines-run-billing-id": "4242"},
            "jobSpec": {"workerPoolSpecs": [{"machineSpec": {"machineType": "n1-standard-8"}}]},
        }
    }


def test_the_launched_job_is_known_and_its_log_is_read_with_the_runs() -> None:
    job = Job.parse(_launched())
    assert job.launched == (CHILD,)
    assert {"987654321", "555"} <= set(job.log_ids)


def test_the_launched_job_is_diagnosed_as_if_it_had_failed_alone() -> None:
    body = {"job": _launched(), "children": [_child(DIED)]}
    case = Case.parse(body)
    alone, found = diagnose(Case.parse(_child(DIED))), diagnose(case)
    assert diagnose(Case.parse({"job": _launched()})).verdict is not Cause.MEMORY_PRESSURE
    assert (found.verdict, found.confidence) == (Cause.MEMORY_PRESSURE, alone.confidence)
    assert found.job.endswith("pipelineJobs/case-20261128100000")
    text = TEXT.format(limits="", step="machine_type: more_memory", cause="memory_pressure")
    made = plan(case, found, policies(text), History(), BOOK)
    assert changed(made) == COMPILED["custom-constant-0"]["right"]
    assert Case.parse(case.to_json()) == case


def test_a_launched_job_that_can_never_pass_forbids_the_run() -> None:
    case = Case.parse({"job": _launched(), "children": [_child("ValueError: unknown column 'id'")]})
    found = diagnose(case)
    text = TEXT.format(limits="", step="", cause=found.verdict.value)
    made = plan(case, found, policies(text), History(), BOOK)
    assert Guard.CAUSE in made.refused_by


DIED = (
    "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137(SIGKILL)."
)


# --- older and other forms ----------------------------------------------------------------------------


def test_a_spec_that_stands_as_text_is_read_and_sent_as_the_object() -> None:
    job = named("container-parameter-0")
    job["pipelineSpecJson"] = json.dumps(job.pop("pipelineSpec"))
    made = planned(job)
    assert changed(made) == COMPILED["container-parameter-0"]["right"]
    assert isinstance((made.request or {})["pipelineSpec"], dict)
    with pytest.raises(InvalidInput, match="pipeline spec is text, but no JSON"):
        Job.parse(named("container-parameter-0") | {"pipelineSpec": "{"})


def test_an_old_compilers_run_is_read() -> None:
    """Schema 2.0.0: `deploymentConfig`, and each run parameter under the name of its type."""
    job = named("container-parameter-0")
    spec = job["pipelineSpec"]
    spec["deploymentConfig"] = spec.pop("deploymentSpec")
    spec["root"]["inputDefinitions"]["parameters"]["size"] = {"type": "STRING"}
    job["runtimeConfig"] = {"parameters": {"size": {"stringValue": "32G"}}}
    assert changed(planned(job)) == [["runtimeConfig.parameters.size.stringValue", "64G"]]


@pytest.mark.parametrize(
    "text",
    [
        (
            "# PIPELINE DEFINITION\n# Name: x\nroot: {dag: {tasks: {}}}\nschemaVersion: 2.1.0\n---\n"
            "platforms: {kubernetes: {}}\n"
        ),
        '{"pipelineSpec": {"root": {}, "schemaVersion": "2.0.0"}, "runtimeConfig": {}}',
        '{"root": {"dag": {"tasks": {}}}, "schemaVersion": "2.1.0", "components": {}}',
    ],
    ids=["yaml-in-two-documents", "v1-json", "v2-json"],
)
def test_a_compiled_pipeline_is_no_run_and_told_so_in_one_line(text: str) -> None:
    with pytest.raises(InvalidInput, match="a compiled pipeline and no run of it") as told:
        read_document(text.encode(), "x")
    assert "\n" not in str(told.value)


def test_details_without_parents_are_found_by_their_names() -> None:
    job = named("container-constant-1")
    for detail in job["jobDetail"]["taskDetails"]:
        del detail["parentTaskId"]
    assert changed(planned(job)) == sorted(COMPILED["container-constant-1"]["right"])


@pytest.mark.parametrize("wrapped", [False, True], ids=["bare", "rounds"])
def test_the_rounds_of_a_loop_are_one_task_however_they_are_listed(wrapped: bool) -> None:
    job = named("container-constant-0-loop")
    listed = job["jobDetail"]["taskDetails"]
    if wrapped:  # each round stands between the loop and its task
        inner = [one for one in listed if one["taskName"] == "train"]
        for index, one in enumerate(inner):
            listed.append(
                {"taskId": f"9{index}", "parentTaskId": one["parentTaskId"],
                 "taskName": f"for-loop-2-{index}", "state": "FAILED"}
            )  # fmt: skip
            one["parentTaskId"] = f"9{index}"
    (node,) = [node for node in pipeline.nodes(Job.parse(job)) if node.failed]
    assert (node.title.endswith("/train"), len(node.failed), node.times) == (True, 3, 3)
    assert changed(planned(job)) == sorted(COMPILED["container-constant-0-loop"]["right"])


def test_rounds_that_never_began_are_counted_too() -> None:
    job = named("container-constant-0-loop")
    listed = job["jobDetail"]["taskDetails"]
    rounds = [one for one in listed if one["taskName"] == "train"]
    for one in rounds[1:]:
        listed.remove(one)
    (node,) = [node for node in pipeline.nodes(Job.parse(job)) if node.failed]
    assert (len(node.details), node.times) == (1, 3)


def test_rounds_whose_runs_bear_a_number_are_found() -> None:
    job = named("container-constant-0-loop")
    rounds = [one for one in job["jobDetail"]["taskDetails"] if one["taskName"] == "train"]
    for number, one in enumerate(rounds):
        one["taskName"] = f"train-{number}"
    assert changed(planned(job)) == sorted(COMPILED["container-constant-0-loop"]["right"])


def test_a_persistent_resource_is_a_pin_only_where_one_is_named() -> None:
    job = named("custom-constant-0")
    assert Job.parse(job).pools[0].pinned == ""
    tasks = job["pipelineSpec"]["root"]["dag"]["tasks"]
    (key,) = [name for name in tasks if name.startswith("custom")]
    tasks[key]["inputs"]["parameters"]["persistent_resource_id"] = {
        "runtimeValue": {"constant": "cluster"}
    }
    assert planned(job).refused_by == (Guard.PINNED,)


def test_a_count_that_is_a_number_stays_one() -> None:
    job = named("container-gpu-constant-0")
    (label,) = [
        key for key in job["pipelineSpec"]["deploymentSpec"]["executors"] if key == "exec-train"
    ]
    accelerator = job["pipelineSpec"]["deploymentSpec"]["executors"][label]["container"][
        "resources"
    ]["accelerator"]
    accelerator.pop("count")
    accelerator.pop("type")
    accelerator["resourceCount"] = "{{$.inputs.parameters['gpus']}}"
    task = job["pipelineSpec"]["root"]["dag"]["tasks"]["train"]
    task["inputs"]["parameters"]["gpus"] = {"componentInputParameter": "gpus"}
    job["runtimeConfig"]["parameterValues"] = {"gpus": 1}
    made = planned(job, "accelerator: {type: NVIDIA_TESLA_T4, count: 2}")
    assert changed(made) == [["runtimeConfig.parameterValues.gpus", 2]]
