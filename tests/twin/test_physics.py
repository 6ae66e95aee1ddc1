"""A job ends as its needs decide against what was asked for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from twin.batch import run_batch
from twin.physics import Needs, Run, Section, Serving, run_custom
from twin.traces import batch_entries, custom_entries, error_file, series

START = datetime(2026, 11, 23, 12, tzinfo=UTC)


def spec(machine: str, *, timeout: str = "3600s", replicas: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "workerPoolSpecs": [
            {"machineSpec": {"machineType": machine, **more}, "replicaCount": str(replicas)}
        ],
        "scheduling": {"timeout": timeout},
    }


def custom(needs: Needs, wanted: dict[str, Any], tries: int = 1) -> Run:
    return run_custom(needs, wanted, region="us-central1", tries=tries)


T4 = {"acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}
PARALLEL = Needs(sections=(Section("align", cpu_seconds=8 * 3600 * 1.3),))
SERIAL = Needs(sections=(Section("normalise", cpu_seconds=4000, parallel=0.0),))
WAITING = Needs(sections=(Section("fetch", cpu_seconds=10, wait_seconds=4000, waits_for="x"),))
HUNGRY = Needs(memory_gib=45)
GPU = Needs(
    gpu="wanted", sections=(Section("train", cpu_seconds=200_000, gpu_seconds=900),), memory_gib=8
)


@pytest.mark.parametrize(
    ("needs", "wanted", "ends"),
    [
        pytest.param(PARALLEL, spec("n1-standard-8"), "exceeded", id="parallel-work-on-8"),
        pytest.param(PARALLEL, spec("n1-standard-16"), "", id="parallel-work-on-16"),
        pytest.param(PARALLEL, spec("n1-standard-8", replicas=2), "", id="parallel-work-on-2x8"),
        pytest.param(PARALLEL, spec("n1-standard-8", timeout="7200s"), "", id="twice-the-time"),
        pytest.param(SERIAL, spec("n1-standard-8"), "exceeded", id="serial-work-on-8"),
        pytest.param(SERIAL, spec("n1-standard-96"), "exceeded", id="serial-work-on-96"),
        pytest.param(WAITING, spec("n1-standard-96"), "exceeded", id="waiting-on-96"),
        pytest.param(HUNGRY, spec("n1-standard-8"), "ran out of memory", id="45-gib-in-30"),
        pytest.param(HUNGRY, spec("n1-highcpu-32"), "ran out of memory", id="45-gib-in-highcpu"),
        pytest.param(HUNGRY, spec("n1-highmem-8"), "", id="45-gib-in-52"),
        pytest.param(GPU, spec("n1-standard-8"), "exceeded", id="gpu-work-on-cpus"),
        pytest.param(GPU, spec("n1-standard-8", **T4), "", id="gpu-work-on-a-t4"),
        pytest.param(
            Needs(gpu="required"), spec("n1-standard-8"), "status of 1", id="cannot-without-gpu"
        ),
        pytest.param(
            Needs(gpu="wanted", gpu_memory_gib=30),
            spec("n1-standard-8", **T4),
            "status of 1",
            id="30-gib-on-a-t4",
        ),
        pytest.param(
            Needs(raises="Traceback\nValueError: x", exit_code=3),
            spec("n1-standard-96"),
            "status of 3",
            id="raising-code",
        ),
        pytest.param(
            Needs(fails_with=(7, "no permission")),
            spec("n1-standard-8"),
            "no permission",
            id="told",
        ),
    ],
)
def test_a_custom_job_ends_as_it_must(needs: Needs, wanted: dict[str, Any], ends: str) -> None:
    run = custom(needs, wanted)
    assert (run.state == "JOB_STATE_SUCCEEDED") is (not ends)
    assert ends in (run.error[1] if run.error else "")


def test_bad_luck_passes() -> None:
    unlucky = Needs(stockouts=1, backend_errors=1, preemptions=1)
    wanted = spec("n1-standard-8")
    wanted["scheduling"]["strategy"] = "SPOT"
    messages = [
        run.error[1] if run.error else ""
        for run in (custom(unlucky, wanted, n) for n in (1, 2, 3, 4))
    ]
    assert "Resources are insufficient in region: us-central1" in messages[0]
    assert messages[1] == "Internal error occurred for the current attempt"
    assert "STOCKOUT" in messages[2]
    assert messages[3] == ""


def readings(run: Run, name: str) -> list[float]:
    found = series(run, project="p", region="us-central1", job_id="7", start=START)
    points = next(s["points"] for s in found if s["metric"]["type"].endswith(f"training/{name}"))
    return [
        p["value"].get("doubleValue", 0) or float(p["value"].get("int64Value", 0)) for p in points
    ]


def test_metrics_tell_full_cpus_from_a_loop_on_one_core() -> None:
    full, single = custom(PARALLEL, spec("n1-standard-8")), custom(SERIAL, spec("n1-standard-8"))
    assert len(readings(full, "cpu/utilization")) == 60
    assert min(readings(full, "cpu/utilization")) > 0.95
    assert max(readings(single, "cpu/utilization")) < 0.15


def test_memory_is_seen_to_grow_until_the_job_is_killed() -> None:
    slow = Needs(memory_gib=45, sections=(Section("load", cpu_seconds=8 * 2400),))
    points = readings(custom(slow, spec("n1-standard-8")), "memory/utilization")
    assert points[0] < 0.4
    assert points[-1] > 0.9


def test_a_gpu_has_metrics_only_where_there_is_one() -> None:
    with_gpu = custom(GPU, spec("n1-standard-8", **T4))
    assert min(readings(with_gpu, "accelerator/utilization")) > 0.85
    without = custom(GPU, spec("n1-standard-8"))
    kinds = {
        s["metric"]["type"]
        for s in series(without, project="p", region="r", job_id="7", start=START)
    }
    assert not any("accelerator" in kind for kind in kinds)


def test_a_custom_job_logs_as_the_service_does() -> None:
    run = custom(HUNGRY, spec("n1-standard-8"))
    entries = list(custom_entries(run, project="p", job_id="77", start=START, telemetry=False))
    service = [e for e in entries if e["resource"]["labels"]["task_name"] == "service"]
    assert [e["textPayload"] for e in service if e["severity"] == "ERROR"] == [
        "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137.",
        "Job failed.",
    ]
    assert {e["resource"]["type"] for e in entries} == {"ml_job"}
    assert {e["resource"]["labels"]["job_id"] for e in entries} == {"77"}


def test_telemetry_is_the_contracts_line_once_a_minute() -> None:
    run = custom(GPU, spec("n1-standard-8", **T4))
    lines = [
        e["jsonPayload"]["message"]
        for e in custom_entries(run, project="p", job_id="77", start=START, telemetry=True)
        if "remediatorTelemetry" in str(e.get("jsonPayload"))
    ]
    assert len(lines) == int(run.run_seconds // 60)
    assert '"remediatorTelemetry": 1' in lines[0]


# --- batch predictions -------------------------------------------------------------------------


def batch(
    machine: str = "n1-standard-8", size: int = 64, replicas: int = 1, **more: Any
) -> dict[str, Any]:
    return {
        "inputConfig": {"instancesFormat": "jsonl"},
        "dedicatedResources": {
            "machineSpec": {"machineType": machine, **more},
            "startingReplicaCount": replicas,
        },
        "manualBatchTuningParameters": {"batchSize": size},
    }


HEAVY = Needs(serving=Serving(instances=640, cpu_seconds=70, parallel=0.9))
GPU_MODEL = Needs(
    gpu="wanted",
    memory_gib=6,
    gpu_memory_gib=5,
    serving=Serving(instances=640, cpu_seconds=95, gpu_seconds=0.4),
)
BIG_ROWS = Needs(memory_gib=6, serving=Serving(instances=640, memory_gib=0.5))
BIG_TENSORS = Needs(
    gpu="wanted",
    gpu_memory_gib=4,
    serving=Serving(instances=640, gpu_seconds=0.1, gpu_memory_gib=0.3),
)


@pytest.mark.parametrize(
    ("needs", "wanted", "ends"),
    [
        pytest.param(HEAVY, batch(size=64), "504 (upstream request timeout)", id="64-too-many"),
        pytest.param(HEAVY, batch(size=32), "", id="32-fit"),
        pytest.param(HEAVY, batch(size=64, replicas=8), "504", id="replicas-help-no-request"),
        pytest.param(HEAVY, batch("n1-standard-32"), "", id="a-bigger-machine-does"),
        pytest.param(GPU_MODEL, batch(), "504", id="gpu-model-on-cpus"),
        pytest.param(GPU_MODEL, batch("n1-standard-16"), "504", id="gpu-model-on-more-cpus"),
        pytest.param(GPU_MODEL, batch(**T4), "", id="gpu-model-on-a-t4"),
        pytest.param(HEAVY, batch(**T4), "504", id="a-gpu-does-nothing-for-a-cpu-model"),
        pytest.param(BIG_ROWS, batch(size=64), "137", id="memory-64-rows"),
        pytest.param(BIG_ROWS, batch(size=32), "", id="memory-32-rows"),
        pytest.param(BIG_ROWS, batch("n1-highmem-8"), "", id="memory-highmem"),
        pytest.param(BIG_TENSORS, batch(**T4), "CUDA out of memory", id="gpu-memory-64"),
        pytest.param(BIG_TENSORS, batch(size=32, **T4), "", id="gpu-memory-32"),
        pytest.param(
            Needs(load_cpu_seconds=8 * 3000), batch(), "never became ready", id="slow-to-load"
        ),
        pytest.param(
            Needs(load_cpu_seconds=8 * 3000), batch("n1-standard-32"), "", id="loads-on-32"
        ),
        pytest.param(
            Needs(raises="Traceback\nKeyError: 'x'"), batch(), "result 500", id="raising-server"
        ),
    ],
)
def test_a_batch_prediction_ends_as_it_must(
    needs: Needs, wanted: dict[str, Any], ends: str
) -> None:
    run = run_batch(needs, wanted, region="us-central1")
    assert (run.state == "JOB_STATE_SUCCEEDED") is (not ends)
    assert ends in (run.error[1] if run.error else "")


def test_replicas_shorten_the_run_and_csv_does_not_let_them() -> None:
    light = Needs(serving=Serving(instances=64_000, cpu_seconds=1))
    one, four = (run_batch(light, batch(replicas=n), region="r") for n in (1, 4))
    assert four.run_seconds < one.run_seconds / 3
    csv = batch(replicas=4)
    csv["inputConfig"]["instancesFormat"] = "csv"
    assert run_batch(light, csv, region="r").run_seconds == one.run_seconds


def test_a_504_leaves_the_real_words_in_the_error_file() -> None:
    run = run_batch(HEAVY, batch(), region="r")
    assert error_file(run) == (
        "('Post request fails. Cannot get predictions. Error: Exceeded retries: Non-OK result 504 "
        "(upstream request timeout) from server, retry=3, elapsed=600.04s.', 64)\n"
    )


def test_a_model_server_that_misses_its_gpu_says_so() -> None:
    run = run_batch(GPU_MODEL, batch(), region="r")
    entries = list(
        batch_entries(run, project="p", location="l", job_id="7", start=START, telemetry=False)
    )
    texts = [e["textPayload"] for e in entries]
    assert any("Found no NVIDIA driver" in text for text in texts)
    assert not any(e["resource"]["labels"].get("task_name") for e in entries)
    on_gpu = run_batch(GPU_MODEL, batch(**T4), region="r")
    assert not any("NVIDIA driver" in text for _, _, text, _ in on_gpu.lines)


def test_some_bad_instances_leave_a_success_with_failures() -> None:
    run = run_batch(Needs(serving=Serving(instances=100, bad_instances=7)), batch(), region="r")
    assert (run.state, run.successful, run.failed) == ("JOB_STATE_SUCCEEDED", 93, 7)
    assert "Non-OK result 422" in error_file(run)
