"""What earlier jobs and attempts say of this failure, where no text of its own names a cause."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from msgspec.structs import replace

from remediator.case import Case, Recovery
from remediator.diagnosis import diagnose
from remediator.domain import Cause, Source
from tests.case_parts import START, batch, cpu, custom, lines, of, series

EXIT_1 = "The replica workerpool0-0 exited with a non-zero status of 1. Termination reason: Error."
TIMED_OUT = "Job has exceeded its maximum running time of 3600s: DEADLINE_EXCEEDED."
TRACEBACK = lines((400, "Traceback (most recent call last):"), (401, "KeyError: 'price'"))

CUT = lines(
    (400, "Traceback (most recent call last):"), (401, '  File "/app/train.py", line 40, in save')
)


def with_gpu(body: dict) -> dict:
    job = json.loads(json.dumps(body))
    spec = job["job"]["jobSpec"]["workerPoolSpecs"][0]["machineSpec"]
    spec |= {"acceleratorType": "NVIDIA_TESLA_T4", "acceleratorCount": 1}
    return job


def mended(body: dict, cause: Cause, times: int = 1) -> Case:
    before = Recovery(cause, START - timedelta(days=1), "g2-standard-8 + 1 NVIDIA_L4")
    return replace(Case.parse(body), recoveries=(before,) * times)


def stopped(**more) -> dict:
    return custom(3610, error={"code": 4, "message": TIMED_OUT}, **more)


INTERNAL = custom(
    50, error={"code": 13, "message": "Internal error occurred for the current attempt"}
)

BEFORE = {
    "a crash with a GPU": (with_gpu(custom(50, EXIT_1)), Cause.GPU_MEMORY, Cause.GPU_MEMORY),
    "a crash without one": (custom(50, EXIT_1), Cause.GPU_MEMORY, Cause.UNKNOWN),
    "a crash that says why": (with_gpu(custom(500, EXIT_1)) | {"logEntries": TRACEBACK}, Cause.GPU_MEMORY, Cause.USER_CODE_ERROR),
    "a time-out where memory was short": (with_gpu(stopped()), Cause.GPU_MEMORY, Cause.UNKNOWN),
    "a crash where a GPU was wanted": (custom(50, EXIT_1), Cause.ACCELERATOR_MISSING, Cause.ACCELERATOR_MISSING),
    "full CPUs where a GPU was wanted": (stopped() | {"timeSeries": cpu(0.98)}, Cause.ACCELERATOR_MISSING, Cause.ACCELERATOR_MISSING),
    "idle CPUs where a GPU was wanted": (stopped() | {"timeSeries": cpu(0.02)}, Cause.ACCELERATOR_MISSING, Cause.UNKNOWN),
    "a 504 where a GPU was wanted": (batch(), Cause.ACCELERATOR_MISSING, Cause.ACCELERATOR_MISSING),
    "a time-out that nobody measured": (stopped(), Cause.CPU_SATURATION, Cause.CPU_SATURATION),
    "a time-out with idle CPUs": (stopped() | {"timeSeries": cpu(0.02)}, Cause.CPU_SATURATION, Cause.UNKNOWN),
    "a crash where CPUs were short": (custom(50, EXIT_1), Cause.CPU_SATURATION, Cause.UNKNOWN),
    "a crash where memory was short": (custom(50, EXIT_1), Cause.MEMORY_PRESSURE, Cause.MEMORY_PRESSURE),
    "the service's own error at once where memory was short": (INTERNAL, Cause.MEMORY_PRESSURE, Cause.TRANSIENT_BACKEND),
    "the same where a GPU was wanted": (INTERNAL, Cause.ACCELERATOR_MISSING, Cause.TRANSIENT_BACKEND),
}  # fmt: skip


@pytest.mark.parametrize(("body", "before", "cause"), BEFORE.values(), ids=list(BEFORE))
def test_a_similar_job_that_was_mended_speaks_where_nothing_else_does(
    body: dict, before: Cause, cause: Cause
) -> None:
    assert diagnose(Case.parse(body)).verdict is not before
    assert diagnose(mended(body, before)).verdict is cause


def test_what_mended_a_similar_job_is_told_with_its_day() -> None:
    found = diagnose(mended(with_gpu(custom(50, EXIT_1)), Cause.GPU_MEMORY, times=3))
    (evidence,) = (one for one in found.causes[0].evidence if one.source is Source.HISTORY)
    assert evidence.says == (
        "nothing else names a cause, and a similar job that failed by gpu_memory was fixed with "
        "g2-standard-8 + 1 NVIDIA_L4 on 2026-11-22 (and 2 more)"
    )
    assert not found.settled_by_error


AGAIN = {
    "the service, without a word": (custom(50, EXIT_1), "transient_backend", Cause.TRANSIENT_BACKEND),
    "the service, then out of time": (stopped(), "transient_backend", Cause.UNKNOWN),
    "the service, then a bug": (custom(500, EXIT_1) | {"logEntries": TRACEBACK}, "transient_backend", Cause.USER_CODE_ERROR),
    "device memory, without a word": (with_gpu(custom(50, EXIT_1)), "gpu_memory", Cause.GPU_MEMORY),
    "CPUs, unmeasured": (stopped(), "cpu_saturation", Cause.CPU_SATURATION),
    "the disk, cut off": (custom(500, EXIT_1) | {"logEntries": CUT}, "disk_full", Cause.DISK_FULL),
    "device memory, cut off": (with_gpu(custom(500, EXIT_1)) | {"logEntries": CUT}, "gpu_memory", Cause.GPU_MEMORY),
    "CPUs, then cut off": (custom(500, EXIT_1) | {"logEntries": CUT}, "cpu_saturation", Cause.USER_CODE_ERROR),
    "memory, then the service's own error at once": (INTERNAL, "memory_pressure", Cause.TRANSIENT_BACKEND),
    "the disk, then a bug": (custom(500, EXIT_1) | {"logEntries": TRACEBACK}, "disk_full", Cause.USER_CODE_ERROR),
    "a bug, without a word": (custom(50, EXIT_1), "user_code_error", Cause.UNKNOWN),
    "unknown, without a word": (custom(50, EXIT_1), "unknown", Cause.UNKNOWN),
}  # fmt: skip


@pytest.mark.parametrize(("body", "treated_for", "cause"), AGAIN.values(), ids=list(AGAIN))
def test_an_attempt_that_ends_as_the_one_before_it_ended_for_the_same(
    body: dict, treated_for: str, cause: Cause
) -> None:
    before = {"name": "projects/1/locations/us-central1/customJobs/6", "verdict": treated_for}
    untold = {Cause.UNKNOWN, Cause.USER_CODE_ERROR}
    assert of(body).verdict is not cause or cause in untold or body is INTERNAL
    assert of(body | {"attempts": [before]}).verdict is cause


def starved_again(place: str, *, before: str = "cpu_saturation", progress: str = "") -> dict:
    """Full CPUs at the time-out of an attempt, its data in a bucket at the place."""
    body = stopped() | {
        "timeSeries": cpu(0.98),
        "buckets": {"reads": {"location": place}},
        "attempts": [{"name": "projects/1/locations/us-central1/customJobs/6", "verdict": before}],
    }
    pool = body["job"]["jobSpec"]["workerPoolSpecs"][0]
    pool["containerSpec"] = {"imageUri": "a/b:1", "args": ["--data=gs://reads/train"]}
    if progress:
        told = ((600 * i, progress.format(i)) for i in range(1, 6))
        body["logEntries"] = lines(*told)
    return body


VAIN = {
    "overseas": (starved_again("ASIA-EAST1"), Cause.UNKNOWN),
    "overseas, in a multi-region": (starved_again("EU"), Cause.UNKNOWN),
    "another region of the continent": (starved_again("US-EAST1"), Cause.CPU_SATURATION),
    "a neighbour country": (starved_again("NORTHAMERICA-NORTHEAST1"), Cause.CPU_SATURATION),
    "a dual-region of the continent": (starved_again("NAM4"), Cause.CPU_SATURATION),
    "beside the job": (starved_again("US"), Cause.CPU_SATURATION),
    "after another verdict": (starved_again("EU", before="memory_pressure"), Cause.CPU_SATURATION),
    "and it got far": (starved_again("EU", progress="step {} of 10 done"), Cause.CPU_SATURATION),
}


@pytest.mark.parametrize(("body", "cause"), VAIN.values(), ids=list(VAIN))
def test_more_cpus_in_vain_beside_data_overseas_are_no_verdict_again(
    body: dict, cause: Cause
) -> None:
    assert of(body | {"attempts": []}).verdict is Cause.CPU_SATURATION
    assert of(body).verdict is cause


def test_both_readings_of_cpus_that_were_added_in_vain_are_told() -> None:
    found = of(starved_again("ASIA-EAST1"))
    assert {one.cause for one in found.causes} == {Cause.CPU_SATURATION, Cause.NETWORK_LATENCY}
    (said,) = {e.says for c in found.causes for e in (*c.evidence, *c.against)
               if e.source is Source.HISTORY}  # fmt: skip
    assert said == (
        "the attempt for want of CPUs ran out of time as well, and reads is stored in ASIA-EAST1, on "
        "another continent than us-central1"
    )


GUESS = lines(
    (500, "[2026-11-23] [7] [ERROR] Worker (pid:31) was sent SIGKILL! Perhaps out of memory?")
)
OOM = "The replica workerpool0-0 ran out of memory and exited with a non-zero status of 137."


def died_again(peak: float, *, error: str = EXIT_1, before: str = "memory_pressure") -> dict:
    body = custom(520, error) | {"logEntries": GUESS}
    body["timeSeries"] = [series("memory/utilization", [peak] * 8)]
    body["attempts"] = [
        {"name": "projects/1/locations/us-central1/customJobs/6", "verdict": before}
    ]
    return body


IN_VAIN = {
    "little of more memory was used": (died_again(0.2), Cause.UNKNOWN),
    "all of more memory was used": (died_again(0.97), Cause.MEMORY_PRESSURE),
    "the service says so": (died_again(0.2, error=OOM), Cause.MEMORY_PRESSURE),
    "the attempt was for something else": (died_again(0.2, before="quota"), Cause.MEMORY_PRESSURE),
}


@pytest.mark.parametrize(("body", "cause"), IN_VAIN.values(), ids=list(IN_VAIN))
def test_a_guess_of_memory_that_more_of_it_did_not_bear_out_is_no_verdict_again(
    body: dict, cause: Cause
) -> None:
    assert of(body | {"attempts": []}).verdict is Cause.MEMORY_PRESSURE
    assert of(body).verdict is cause


def test_without_a_word_memory_that_was_hardly_used_is_not_short_again() -> None:
    silent = {**died_again(0.2), "logEntries": []}
    assert of(silent).verdict is Cause.UNKNOWN
    unmeasured = {**silent, "timeSeries": []}
    assert of(unmeasured).verdict is Cause.MEMORY_PRESSURE
