"""What one replica of several says of its machine is that replica's."""

from __future__ import annotations

import pytest

from remediator.domain import Cause
from tests.case_parts import at, custom, lines, of, series

EXITED = "The replica workerpool0-0 exited with a non-zero status of {}."
CHIEF, WORKER = "workerpool0-0", "workerpool1-0"  # n1-standard-8 (30 GiB), n1-highmem-32 (208 GiB)
MINUTES = 20


def job(message: str = "", seconds: float = MINUTES * 60) -> dict:
    """A chief on an n1-standard-8 and a worker on an n1-highmem-32."""
    pools = [
        {"machineSpec": {"machineType": machine}, "replicaCount": "1"}
        for machine in ("n1-standard-8", "n1-highmem-32")
    ]
    spec = {"workerPoolSpecs": pools, "scheduling": {"timeout": "3600s"}}
    return custom(seconds, message, jobSpec=spec)


def measured(task: str, level: float, name: str = "memory/utilization") -> dict:
    found = series(name, [level] * MINUTES)
    found["resource"] = {"type": "cloudml_job", "labels": {"job_id": "7", "task_name": task}}
    return found


def reported(task: str, memory: float, limit: float, cpu: float = 0.3, count: int = 40) -> list:
    """Telemetry of one replica, in GiB."""
    return [
        {
            "timestamp": at(30 * i),
            "insertId": f"{task}-t{i}",
            "resource": {"labels": {"task_name": task}},
            "jsonPayload": {
                "remediatorTelemetry": 1,
                "time": at(30 * i),
                "cpu": cpu,
                "memoryBytes": int(memory * 2**30),
                "memoryLimitBytes": int(limit * 2**30),
            },
        }
        for i in range(count)
    ]


def said(found) -> str:
    return " | ".join(item.says for cause in found.causes for item in cause.evidence)


def test_another_replicas_full_memory_did_not_end_the_one_that_failed() -> None:
    full = [measured(CHIEF, 0.3), measured(WORKER, 0.97)]
    found = of(job(EXITED.format(1)) | {"timeSeries": full})
    assert found.verdict is Cause.UNKNOWN
    own = [measured(CHIEF, 0.97), measured(WORKER, 0.98)]
    found = of(job(EXITED.format(1)) | {"timeSeries": own})
    assert found.verdict is Cause.MEMORY_PRESSURE
    assert "(workerpool0-0, n1-standard-8)" in said(found)
    assert found.needs.peak_memory_gib == pytest.approx(0.97 * 30)


def test_a_replica_that_ended_with_another_is_not_the_one_that_failed() -> None:
    """It lost its peer: whose memory was full may be the one that was lost."""
    lost = lines(
        (1199, "[rank0] NCCL watchdog: remote process exited, ncclRemoteError"), task=CHIEF
    )
    full = [measured(CHIEF, 0.3), measured(WORKER, 0.97)]
    found = of(job(EXITED.format(1)) | {"timeSeries": full, "logEntries": lost})
    assert found.verdict is Cause.MEMORY_PRESSURE
    assert "(workerpool1-0, n1-highmem-32)" in said(found)
    assert found.needs.peak_memory_gib == pytest.approx(0.97 * 208)


def test_the_services_lines_name_the_replica_too() -> None:
    line = lines((1200, EXITED.format(1).replace(CHIEF, WORKER)), task="service")
    full = [measured(CHIEF, 0.97), measured(WORKER, 0.3)]
    found = of(job("Internal problem.") | {"timeSeries": full, "logEntries": line})
    assert found.verdict is not Cause.MEMORY_PRESSURE


def test_the_peak_that_telemetry_tells_is_the_failed_replicas() -> None:
    written = reported(CHIEF, 29, 30) + reported(WORKER, 150, 208)
    found = of(job(EXITED.format(137)) | {"logEntries": written})
    assert found.verdict is Cause.MEMORY_PRESSURE
    assert found.needs.peak_memory_gib == pytest.approx(29)


def test_the_fullest_replica_speaks_where_none_failed_before_the_others() -> None:
    """A time-out: levels of several are not averaged."""
    written = reported(CHIEF, 5, 30, 0.99, 120) + reported(WORKER, 5, 208, 0.05, 120)
    found = of(job(seconds=3610) | {"logEntries": written})
    assert found.verdict is Cause.CPU_SATURATION
    assert "(workerpool0-0, n1-standard-8)" in said(found)


def every_minute(task: str, text: str, of_each: int = 1) -> list[dict]:
    return lines(*((60 * i, text) for i in range(1, 60, of_each)), task=task)


def test_a_load_average_is_judged_by_its_own_replicas_machine() -> None:
    """32 on 32 vCPUs are full CPUs, though the first pool has eight and another replica idles."""
    idle = every_minute(CHIEF, "load average: 0.20, 0.21, 0.22")
    found = of(job(seconds=3610) | {"logEntries": idle + every_minute(WORKER, "load average: 32.10, 32.21, 32.22", 2)})  # fmt: skip
    assert found.verdict is Cause.CPU_SATURATION
    assert "30 reports in the log of workerpool1-0 tell of CPUs that were 100% busy" in said(found)
    half = every_minute(WORKER, "load average: 8.10, 8.21, 8.22", 2)
    assert of(job(seconds=3610) | {"logEntries": idle + half}).verdict is Cause.UNKNOWN


FREE = "Mem: 30070 {} {} 8 157 {}"


def test_a_report_on_memory_is_outvoted_by_its_own_replicas_alone() -> None:
    short = every_minute(WORKER, FREE.format(29920, 60, 99))
    fine = every_minute(CHIEF, FREE.format(8000, 20000, 21000))
    fine += lines(*((60 * i + 9, FREE.format(8000, 20000, 21000)) for i in range(60)), task=CHIEF)
    found = of(job(seconds=3610) | {"logEntries": short + fine})
    assert found.verdict is Cause.MEMORY_PRESSURE
    assert "tell that the machine was short of memory (workerpool1-0)" in said(found)


def test_collections_of_two_heaps_are_not_added_up() -> None:
    """Each replica's own took 20% of the run."""
    text = "[gc] GC(401) Pause Full (Allocation Failure) 28477M->28263M(28672M) 12000.778ms"
    both = every_minute(CHIEF, text) + every_minute(WORKER, text)
    found = of(job(seconds=3610) | {"logEntries": both})
    assert found.verdict is Cause.MEMORY_PRESSURE
    assert "which took 20% of the run" in said(found)
