"""What watching costs: reads of each API, processor time and memory, with many running jobs.

    python bench/running/cost.py [--jobs 1000] [--rounds 12] [--against COMMIT]

`reconcile` is served in a process of its own over the twin, by Google's real clients, and called as Cloud
Scheduler would, once a minute: between two rounds the ledger's times are moved a minute back. A sixth of
the jobs costs more than $10 an hour, half has one accelerator, the rest none; one in fifty stands still.
Reads are the calls that reached the twin. An earlier commit runs beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import earlier, results  # noqa: E402  # the checkout is found above
from tests.stories.conftest import POLICIES, let_pass  # noqa: E402
from twin.clock import rfc3339  # noqa: E402
from twin.cloud import Cloud  # noqa: E402
from twin.running import points, training_series, write_line  # noqa: E402

BEFORE = "f57d815"  # the last commit before this bench was written
MINUTES = 5 * 60
WATCH = """\
watch:
  - name: in-trouble
    when: {running: [stalled, spinning, accelerator_unused, will_time_out, memory_climbing]}
    alert: [oncall]
"""
MACHINES: tuple[dict[str, Any], ...] = (
    {
        "machineType": "a2-highgpu-4g",
        "acceleratorType": "NVIDIA_TESLA_A100",
        "acceleratorCount": 4,
    },
    {"machineType": "g2-standard-12", "acceleratorType": "NVIDIA_L4", "acceleratorCount": 1},
    {"machineType": "n1-standard-8"},
)
_BY_SIXTH = (0, 1, 1, 1, 2, 2)
_HUNG_AT = MINUTES - 90
_LEVELS = {
    "cpu/utilization": 0.3,
    "memory/utilization": 0.4,
    "accelerator/utilization": 0.9,
    "accelerator/memory/utilization": 0.6,
    "network/received_bytes_count": 5e7,
    "network/sent_bytes_count": 5e7,
}
APIS: Mapping[str, str] = {
    "Vertex lists": "*.List*Jobs",
    "Vertex gets": "*.Get*Job",
    "Monitoring": "MetricService.*",
    "Logging": "*.ListLogEntries",
}


def fill(cloud: Cloud, jobs: int) -> None:
    """Jobs that have run for five hours; their curves and lines share what is equal."""
    start = cloud.clock.now()
    cloud.clock.advance(MINUTES * 60)
    cloud.storage.bucket("lab-out")
    curves = {
        (name, hung): _points(start, level, _HUNG_AT if hung else MINUTES)
        for name, level in _LEVELS.items()
        for hung in (False, True)
    }
    for number in range(jobs):
        hung, machine = number % 50 == 0, MACHINES[_BY_SIXTH[number % 6]]
        ident = str(100_000 + number)
        cloud.add_job(_job(cloud.name("customJobs", ident), ident, machine, start))
        for name in _LEVELS:
            if not name.startswith("accelerator") or "acceleratorType" in machine:
                cloud.metrics.add(training_series(ident, name, curves[name, hung]))
        for minute in range(5, _HUNG_AT if hung else MINUTES, 30):
            write_line(
                cloud,
                ident,
                start + timedelta(minutes=minute),
                f"step {minute} loss {9 / minute:.3f}",
            )


def _points(start: datetime, level: float, until: int) -> list[dict[str, Any]]:
    return points(
        (start + timedelta(minutes=m), level if m < until else 0.0) for m in range(3, MINUTES - 3)
    )


def _job(name: str, ident: str, machine: dict[str, Any], start: datetime) -> dict[str, Any]:
    pool = {
        "machineSpec": machine,
        "replicaCount": "1",
        "containerSpec": {"imageUri": "us-docker.pkg.dev/lab/train:1", "args": ["--epochs=9"]},
    }
    return {
        "name": name,
        "displayName": f"train-{ident}",
        "state": "JOB_STATE_RUNNING",
        "createTime": rfc3339(start - timedelta(minutes=2)),
        "startTime": rfc3339(start),
        "jobSpec": {
            "workerPoolSpecs": [pool],
            "scheduling": {"timeout": "86400s"},
            "baseOutputDirectory": {"outputUriPrefix": f"gs://lab-out/{ident}"},
        },
    }


@dataclass(frozen=True)
class Cost:
    """What the rounds after the first cost together. `ms` is processor time of the product's process."""

    rounds: int
    looks: int
    reads: Counter[str]
    worst: Counter[str]
    ms: float
    peak_mib: float
    first_mib: float
    told: int


def measured(root: Path, jobs: int, rounds: int) -> Cost:
    """The rounds of one checkout over a fresh twin."""
    with (
        Cloud(frozen=True, lag=timedelta(minutes=MINUTES)) as cloud,
        tempfile.TemporaryDirectory() as name,
    ):
        fill(cloud, jobs)
        file, ledger = Path(name) / "policies.yaml", Path(name) / "ledger.sqlite3"
        file.write_text(POLICIES + WATCH)
        served = cloud.serve(
            root,
            "reconcile",
            cloud.env(REMEDIATOR_POLICIES=str(file), REMEDIATOR_LEDGER=f"sqlite:///{ledger}"),
        )
        served.post()  # loads every module and finds the jobs
        first, before = results.peak_mib(served.pid), results.cpu_seconds(served.pid)
        reads: Counter[str] = Counter()
        worst: Counter[str] = Counter()
        looks = 0
        held = _counts(cloud)
        for _ in range(rounds):
            let_pass(ledger, timedelta(minutes=1))
            status, text = served.post()
            if status != 200:
                raise SystemExit(f"a round failed: {status} {text}")
            looks += int(json.loads(text)["looked_at"])
            now = _counts(cloud)
            reads += now - held
            worst |= now - held
            held = now
        ms = 1000 * (results.cpu_seconds(served.pid) - before)
        peak = results.peak_mib(served.pid)
        return Cost(rounds, looks, reads, worst, ms, peak, first, len(cloud.slack.messages))


def _counts(cloud: Cloud) -> Counter[str]:
    return Counter({name: len(cloud.calls(pattern)) for name, pattern in APIS.items()})


def main() -> int:
    """Runs both, writes the section; 0 where ours takes no more of anything than the earlier did."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--against", default=BEFORE, help="a commit, or a folder")
    chosen = parser.parse_args()
    with earlier.checkout(chosen.against) as before:
        found = {
            name: measured(root, chosen.jobs, chosen.rounds)
            for name, root in (("earlier", before), ("now", ROOT))
        }
    old, new = found["earlier"], found["now"]
    rows = [
        ("looks a round", *(f"{one.looks / one.rounds:.0f}" for one in (old, new))),
        *(
            (
                f"{name} a round (most in one)",
                *(f"{one.reads[name] / one.rounds:.1f} ({one.worst[name]})" for one in (old, new)),
            )
            for name in APIS
        ),
        ("processor time of a look", *(f"{one.ms / max(1, one.looks):.1f} ms" for one in (old, new))),
        ("peak memory (after the first round)", *(f"{one.peak_mib:.0f} MiB ({one.first_mib:.0f})" for one in (old, new))),
        ("messages to Slack", *(str(one.told) for one in (old, new))),
    ]  # fmt: skip
    ratio = (new.ms / max(1, new.looks)) / (old.ms / max(1, old.looks))
    text = (
        f"{chosen.jobs:,} running jobs, {chosen.rounds} rounds a minute apart after a first one; a sixth "
        "costs more than $10 an hour, one in fifty stands still.\n\n"
        + results.table(("", f"earlier ({chosen.against})", "now"), rows)
        + f"\n\nProcessor time of a look against the earlier commit's: {ratio:.2f}."
    )
    results.write("running-cost", "Running jobs: what watching costs", text, script="cost.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
