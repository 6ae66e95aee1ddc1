"""The recorded programs as running jobs: a second of each is a minute of a job, as `physics.observed` shows one.

Owns reading `recorded/*.json` into a `Run`. A recording's machine has eight cores and no accelerator; network
was not recorded.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bench.running.physics import NEVER, Run, Worker

FOLDER = Path(__file__).resolve().parent / "recorded"
VCPUS = 8
_WORKERS = frozenset({"gloo_barrier", "gloo_all_reduce", "one_slow_worker"})
"""Programs whose processes are workers of a job, each on a machine of its own: the busiest speaks."""


def _last_work(lines: list[list[object]]) -> float:
    """The second of the last line that the work itself wrote."""
    own = [
        float(str(at)) for at, text in lines if not str(text).startswith(("heartbeat", "[monitor]"))
    ]
    return max(own)


def recordings() -> Iterator[Run]:
    """Every recorded program, those that stand still with the second in which their work ended."""
    for path in sorted(FOLDER.glob("*.json")):
        found = json.loads(path.read_text())
        of_one = found["program"] in _WORKERS
        cores, memory = found["busiest_process_cores" if of_one else "cores"], found["memory_bytes"]
        seconds = len(cores)
        load = Worker(
            cpu=[float(one) for one in cores],
            gpu=[0.0] * seconds,
            memory=[one / 32e9 for one in memory],
        )
        yield Run(
            kind=found["program"],
            machine={"machineType": "n1-standard-8"},
            vcpus=VCPUS,
            workers=[load],
            lines=[(float(second), text, 0) for second, text in found["lines"]],
            outputs=[
                (float(one["second"]), f"gs://results/run/{one['name']}") for one in found["files"]
            ],
            truth="stalled" if found["stands_still"] else "healthy",
            onset=_last_work(found["lines"]) if found["stands_still"] else NEVER,
        )
