"""Running jobs of which less can be seen, or whose numbers mean something else: TPUs, tuning jobs, one core."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from remediator.case import Case
from remediator.catalog.catalog import Catalog
from remediator.watch import Watch, watch
from tests.jobs import TUNING
from tests.running import at, line, one_core, running, series, steps

TPU = {"machineType": "cloud-tpu", "acceleratorType": "TPU_V3", "acceleratorCount": 8}
BUILT_IN = {"machineType": "ct5lp-hightpu-4t"}


def judged(body: dict[str, Any]) -> Watch:
    found = watch(Case.parse(body), Catalog.built_in())
    assert found is not None
    return found


# --- TPUs: Monitoring shows no device ------------------------------------------------------------


@pytest.mark.parametrize("machine", [TPU, BUILT_IN], ids=["attached", "built in"])
@pytest.mark.parametrize(
    ("quiet", "verdict"), [(45, "healthy"), (75, "stalled")], ids=["a long loop", "a hang"]
)
def test_a_host_that_waits_for_its_tpu_is_given_as_long_as_a_job_without(
    machine: dict[str, Any], quiet: int, verdict: str
) -> None:
    """Only the host is seen, and it does nothing while thousands of steps run on the device."""
    until = 120
    minutes = until + quiet
    host = series("cpu/utilization", lambda m: 0.1 if m < until else 0.0001, minutes)
    found = judged(running(minutes, machine=machine, metrics=(host,), lines=steps(until)))
    assert found.verdict.value == verdict
    assert found.usd_per_hour


def test_of_a_tpu_nothing_is_said_to_be_unused() -> None:
    host = series("cpu/utilization", lambda _: 0.2, 300)
    found = judged(running(300, machine=TPU, metrics=(host,), lines=steps(300)))
    assert found.verdict.value == "healthy"


# --- tuning jobs -----------------------------------------------------------------------------------


def tuning(minutes: int, *, busy: Any, lines: tuple[dict[str, Any], ...]) -> dict[str, Any]:
    """A tuning job whose trials may run for an hour each."""
    job = copy.deepcopy(TUNING)
    for key in ("endTime", "error"):
        job.pop(key, None)
    job |= {"state": "JOB_STATE_RUNNING", "createTime": at(-2), "startTime": at(0)}
    job["trialJobSpec"]["scheduling"] = {"timeout": "3600s"}
    return {
        "job": job,
        "timeSeries": [series("cpu/utilization", busy, minutes)],
        "logEntries": list(lines),
        "now": at(minutes),
    }


def test_the_time_out_of_a_trial_is_not_held_against_the_whole_job() -> None:
    lines = tuple(line(m, f"row {m * 10} of 6000") for m in range(1, 300, 3))
    found = judged(tuning(300, busy=lambda _: 0.5, lines=lines))
    assert found.verdict.value == "healthy"


@pytest.mark.parametrize("pause", [10, 25])
def test_between_two_trials_nothing_works_for_a_while_and_words_come_again(pause: int) -> None:
    """A new machine comes up; then the next trial says what the first said."""
    lines = tuple(
        line(start + 4 * epoch, f"Epoch {epoch}/10")
        for start in range(0, 300, 50)
        for epoch in range(1, 10)
    )
    body = tuning(
        240 + pause, busy=lambda m: 0.5 if m % 50 < 40 and m < 240 else 0.0, lines=lines[:45]
    )
    assert judged(body).verdict.value == "healthy"


# --- one core at work ------------------------------------------------------------------------------


def test_one_core_at_work_may_compile_and_is_no_standstill() -> None:
    """A thread that polls a lock looks the same: who knows better writes a log rule."""
    assert judged(one_core(200, 90)).verdict.value == "healthy"
