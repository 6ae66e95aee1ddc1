"""A load of processes that wait for a disk is no load of the CPUs."""

from __future__ import annotations

import pytest

from remediator.domain import Cause
from tests.case_parts import custom, lines, of

LOAD = "load average: 16.20, 16.10, 16.00"


def verdict(*said: str) -> Cause:
    """On eight vCPUs, each minute until the time-out; nobody measured the machine."""
    every = [(60.0 * i + n, text) for i in range(1, 60) for n, text in enumerate(said)]
    return of(custom(3610) | {"logEntries": lines(*every)}).verdict


@pytest.mark.parametrize(
    "said",
    [
        [f"{LOAD}  iowait=92% (8 cpus)"],
        ["load 17.7 17.5 16.2 (8 cpus), 14 processes in state D"],
        [f"{LOAD} blocked=15 (uninterruptible)"],
        [LOAD, "avg-cpu: %user 3.1 %system 1.2 %iowait 88.0 %idle 7.7"],
        [LOAD, "iowait 91%"],
        [LOAD, "io full avg10=91.20 avg60=90.00"],
        [f"top - 21:41:59 up 5:40, 1 user, {LOAD}", "%Cpu(s):  3.2 us,  2.1 sy,  0.0 ni,  4.0 id, 90.4 wa,  0.0 hi"],
    ],
    ids=["iowait", "state-d", "blocked", "iostat", "beside", "pressure", "top"],
)  # fmt: skip
def test_stated_disk_waits_are_no_full_cpus(said: list[str]) -> None:
    assert verdict(*said) is Cause.UNKNOWN


@pytest.mark.parametrize(
    "said",
    [
        [LOAD],
        [f"{LOAD} iowait=1%"],
        [f"{LOAD}, 0 processes in state D"],
        [f"{LOAD} cpu 790%", "iowait 1%"],
        [f"top - 21:41:59 up 5:40, 1 user, {LOAD}", "%Cpu(s): 97.2 us,  2.1 sy,  0.0 ni,  0.0 id,  0.4 wa,  0.0 hi"],
    ],
)  # fmt: skip
def test_full_cpus_are_full_cpus(said: list[str]) -> None:
    assert verdict(*said) is Cause.CPU_SATURATION
