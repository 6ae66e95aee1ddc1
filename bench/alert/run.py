"""From a job's end to its first alert, on the twin with its time scaled: one minute is two seconds.

Jobs of four sorts live and fail on the twin's clock; the product reads that clock, hears the log
entries that the sink's filter lets through, and is called by a scheduler once a minute. What the
product itself needs is multiplied by the scale, so the figures are on the slow side. Exit 1 where a
bound is broken: 2 minutes where the job's own error settles the cause, 10 where it is swept or
unsettled, beyond the sweep's own interval.
"""

from __future__ import annotations

import base64
import json
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import results  # noqa: E402  # the checkout is found above
from remediator import settings  # noqa: E402
from remediator.app import App  # noqa: E402
from remediator.domain import parse_time  # noqa: E402
from remediator.handlers import Handlers  # noqa: E402
from remediator.intake import sink_filter  # noqa: E402
from remediator.policy import load  # noqa: E402
from twin.cloud import Cloud  # noqa: E402
from twin.physics import Needs, Section, Serving  # noqa: E402
from twin.query import logging_filter  # noqa: E402

SCALE = 30.0
EACH = 3
SWEEP_SECONDS = 60.0
POLICIES = """\
version: 1
mode: enforce
rerun_safe: [batch_prediction, custom]
channels: {oncall: {slack: {webhook: "env:SLACK_WEBHOOK_URL"}}}
policies:
  - {name: every-one, when: {}, do: [], alert: [oncall]}
"""


def custom(name: str) -> dict[str, Any]:
    return {
        "displayName": name,
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {"machineType": "n1-standard-8"},
                    "replicaCount": "1",
                    "containerSpec": {"imageUri": f"us-docker.pkg.dev/lab/{name}:1"},
                }
            ],
            "scheduling": {"timeout": "900s"},
        },
    }


def batch(cloud: Cloud, name: str, source: str) -> dict[str, Any]:
    model = cloud.add_model(
        "777", displayName="scorer", containerSpec={"imageUri": "us-docker.pkg.dev/lab/trees:1"}
    )
    cloud.storage.put_uri("gs://lab-in/rows.jsonl", "{}\n")
    cloud.storage.bucket("lab-out")
    return {
        "displayName": name,
        "model": model,
        "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": [source]}},
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": f"gs://lab-out/{name}"},
        },
        "dedicatedResources": {
            "machineSpec": {"machineType": "n1-standard-8"},
            "startingReplicaCount": 1,
            "maxReplicaCount": 2,
        },
    }


@dataclass(frozen=True)
class Sort:
    """One sort of failure, and by when its first alert must be there, in seconds."""

    name: str
    bound: float
    submit: Callable[[Cloud, str], Mapping[str, Any]]


FULL = Needs(sections=(Section("align", cpu_seconds=80_000, parallel=0.99),))
HUGE = Needs(memory_gib=200, sections=(Section("load", cpu_seconds=600),))
SLOW = Needs(memory_gib=3, serving=Serving(instances=2000, cpu_seconds=70))
SORTS = (
    Sort(
        "announced, its own error settles it",
        120,
        lambda cloud, name: cloud.submit("customJobs", custom(name), HUGE),
    ),
    Sort(
        "announced, unsettled until its metrics are there",
        600,
        lambda cloud, name: cloud.submit("customJobs", custom(name), FULL),
    ),
    Sort(
        "swept, its own error settles it",
        600 + SWEEP_SECONDS,
        lambda cloud, name: cloud.submit(
            "batchPredictionJobs", batch(cloud, name, "gs://lab-in/none.jsonl"), Needs()
        ),
    ),
    Sort(
        "swept, unsettled until its logs are there",
        600 + SWEEP_SECONDS,
        lambda cloud, name: cloud.submit(
            "batchPredictionJobs", batch(cloud, name, "gs://lab-in/rows.jsonl"), SLOW
        ),
    ),
)


@dataclass
class Listening:
    """The sink: entries that its filter lets through reach the product, again after a 5xx."""

    handlers: Handlers
    cloud: Cloud
    pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(4))
    ended: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        matches = logging_filter(sink_filter())
        self.cloud.logs.listeners.append(
            lambda entry: self.pool.submit(self.deliver, entry) if matches(entry) else None
        )

    def deliver(self, entry: Mapping[str, Any]) -> None:
        published = self.cloud.clock.now().isoformat().replace("+00:00", "Z")
        data = {
            "message": {
                "data": base64.b64encode(json.dumps(entry).encode()).decode(),
                "messageId": uuid.uuid4().hex,
                "publishTime": published,
            }
        }
        while not self.ended.is_set():
            if self.handlers.on_event({}, data).status < 500:
                return
            self.ended.wait(10 / SCALE)


def first_alerts(cloud: Cloud, names: frozenset[str], wait: float) -> dict[str, datetime]:
    """When each job's first alert was in the channel, on the twin's clock."""
    seen: dict[str, datetime] = {}
    ends = time.monotonic() + wait
    while len(seen) < len(names) and time.monotonic() < ends:
        now = cloud.clock.now()
        told = "\n".join(message.text for message in list(cloud.slack.messages))
        for name in names - seen.keys():
            if name in told:
                seen[name] = now
        time.sleep(0.02)
    return seen


def main() -> int:
    with Cloud(lag=timedelta(days=2), scale=SCALE) as cloud, tempfile.TemporaryDirectory() as kept:
        environ = cloud.env(REMEDIATOR_LEDGER=f"sqlite:///{kept}/ledger.sqlite3")
        found = settings.read(environ, here=ROOT)
        handlers = Handlers(
            App(
                found,
                environ=environ,
                policies=load(POLICIES, "policies.yaml").policies,
                now=cloud.clock.now,
            )
        )
        cloud.clock.hurry()  # the clock runs at its scale also while no job does
        sink = Listening(handlers, cloud)
        sink.start()

        def schedule() -> None:
            while not sink.ended.wait(SWEEP_SECONDS / SCALE):
                handlers.on_schedule()

        scheduler = threading.Thread(target=schedule)
        scheduler.start()
        jobs: dict[str, tuple[Sort, str]] = {}
        for number in range(EACH):
            for place, sort in enumerate(SORTS):
                name = f"bench-{place}-{number}"
                jobs[name] = (sort, str(sort.submit(cloud, name)["name"]))
            time.sleep(0.7)  # another part of the minute
        seen = first_alerts(cloud, frozenset(jobs), wait=240)
        sink.ended.set()
        scheduler.join()
        sink.pool.shutdown()
        return report(cloud, jobs, seen)


def report(cloud: Cloud, jobs: Mapping[str, tuple[Sort, str]], seen: Mapping[str, datetime]) -> int:
    bodies = {
        job["name"]: job
        for kind in ("customJobs", "batchPredictionJobs")
        for job in cloud.jobs.all(kind)
    }
    late = 0
    rows = []
    for sort in SORTS:
        waits: list[float] = []
        for name, (one, job) in jobs.items():
            ended = parse_time(bodies[job].get("endTime"))
            if one is sort and name in seen and ended:
                waits.append((seen[name] - ended).total_seconds())
        kept = len(waits) == EACH and max(waits) <= sort.bound
        late += not kept
        told = (
            (f"{statistics.median(waits):.0f} s", f"{max(waits):.0f} s") if waits else ("none",) * 2
        )
        rows.append(
            (
                sort.name,
                f"{len(waits)} of {EACH}",
                *told,
                f"{sort.bound:.0f} s",
                results.verdict(held=kept),
            )
        )
    text = (
        f"On the twin, whose clock runs {SCALE:.0f} times as fast; evidence arrives as late as on Vertex, "
        f"`reconcile` runs every {SWEEP_SECONDS:.0f} s of that clock.\n\n"
        + results.table(("sort", "told", "median", "longest", "bound", ""), rows)
    )
    results.write("alert", "From a job's end to its first alert", text)
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
