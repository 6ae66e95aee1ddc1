"""Running jobs of an episode: some come to stand still, some work on; their curves and what they write.

Owns the job's document, its samples and lines, and how it ends where nobody ends it. Called by `world`;
`checks` says what must hold.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from twin.clock import rfc3339
from twin.cloud import Cloud
from twin.running import points, training_series, write_line

STEM = "hangs"
RAN_FOR = timedelta(hours=3)
STOOD_FOR = timedelta(minutes=100)  # beyond the hour after which such a job is told
_SEEN_FOR = timedelta(hours=12)  # what is measured of its future
_BUSY, _IDLE = 0.5, 0.0005  # of its CPUs


@dataclass
class RunningJob:
    """A job of a team's that runs when it is added. `until`: when it ends by itself, succeeded."""

    name: str
    label: str
    team: str
    hangs: bool
    until: datetime


def add_running(
    cloud: Cloud, draw: random.Random, *, number: int, team: str, hangs: bool
) -> RunningJob:
    """A job that has run for three hours; with `hangs` it has done nothing for the last hundred minutes."""
    now = cloud.clock.now()
    began = now - RAN_FOR
    label = f"{STEM}-{number:04d}"
    ident = str(draw.randrange(10**18, 9 * 10**18))
    made = cloud.add_job(
        {
            "name": cloud.name("customJobs", ident),
            "displayName": label,
            "createTime": rfc3339(began),
            "startTime": rfc3339(began),
            "state": "JOB_STATE_RUNNING",
            "jobSpec": {
                "serviceAccount": f"{team}@genomics-lab.iam.gserviceaccount.com",
                "workerPoolSpecs": [_pool(team, number)],
            },
        }
    )
    works_until = now - STOOD_FOR if hangs else now + _SEEN_FOR
    shown = points(_cpu(began, works_until, now + _SEEN_FOR))
    cloud.metrics.add(training_series(ident, "cpu/utilization", shown))
    for step in range(1, 80, 8):
        write_line(
            cloud, ident, began + timedelta(minutes=step), f"step {step} loss {9 / step:.3f}"
        )
    until = now + timedelta(hours=draw.choice((1, 5, 11)))
    return RunningJob(str(made["name"]), label, team, hangs, until)


def _pool(team: str, number: int) -> dict[str, Any]:
    return {
        "machineSpec": {"machineType": "n1-standard-8"},
        "replicaCount": "1",
        "containerSpec": {
            "imageUri": f"us-docker.pkg.dev/lab/{team}:3",
            "args": [f"--watched={number}"],
        },
    }


def _cpu(
    began: datetime, works_until: datetime, until: datetime
) -> Iterator[tuple[datetime, float]]:
    for minute in range(3, int((until - began).total_seconds() / 60)):
        at = began + timedelta(minutes=minute)
        yield at, _BUSY if at < works_until else _IDLE
