"""From the start of the server to its first handled failure, against a plain function.

    python bench/coldstart/run.py [--pairs 12] [--quick]

Both are served by functions-framework in processes of their own, in alternating pairs, and reach the
twin on Google's own addresses, through TLS, with credentials from a metadata server. The plain one
(`plain/main.py`) reads the job, its log and two metrics, and posts to Slack. Ours reads these and
more, diagnoses, keeps its ledger, resubmits and posts to Slack; once with SQLite, once with Firestore
where the emulator is installed, the policies compiled as `deploy/` does, and once with SQLite from
their text alone. Exit 1 where an aim is missed by more than the noise.
"""

from __future__ import annotations

import argparse
import base64
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import emulators, results  # noqa: E402  # the checkout is found above
from twin.cloud import Cloud  # noqa: E402
from twin.physics import Needs, Section  # noqa: E402

MOST_TIME, MOST_MEMORY, MOST_MIB = 0.5, 0.65, 200.0
NOISE = 1.1  # medians of a shared machine; a run fails where an aim is missed by more
POLICIES = """\
version: 1
mode: enforce
rerun_safe: [custom]
limits: {usd_per_job: 1000, usd_per_day: 100000, resubmissions_per_hour: 1000}
channels: {oncall: {slack: {webhook: "env:SLACK_WEBHOOK_URL"}}}
policies:
  - {name: bigger, when: {cause: cpu_saturation}, do: [{resubmit: {machine_type: bigger}}], alert: [oncall]}
  - {name: rest, when: {}, do: [], alert: [oncall]}
"""
STARVED = Needs(sections=(Section("align", cpu_seconds=80_000, parallel=0.99),))


@dataclass
class First:
    """What one cold start cost."""

    seconds: float
    cpu: float
    rss: float
    pss: float
    idle_pss: float


def compile_policies(file: Path) -> None:
    """Lays what a deployment lays beside the policy file; a warning is none of its business."""
    words = [sys.executable, "-m", "remediator", "validate", str(file), "--compile"]
    subprocess.run(words, cwd=ROOT, check=False, stdout=subprocess.DEVNULL)


def starved_job(cloud: Cloud, number: int = 0) -> dict[str, Any]:
    """A custom job that ran into its time-out on too few cores, with its log and its metrics."""
    body = {
        "displayName": f"align-reads-{number}",
        "jobSpec": {
            "workerPoolSpecs": [
                {
                    "machineSpec": {"machineType": "n1-standard-8"},
                    "replicaCount": "1",
                    "containerSpec": {"imageUri": f"us-docker.pkg.dev/lab/align-{number}:3"},
                }
            ],
            "scheduling": {"timeout": "7200s"},
        },
    }
    return dict(cloud.past_job("customJobs", body, STARVED, ended_ago=1200, route=False))


def event(cloud: Cloud, job: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The service's line about the failed job, as Eventarc brings it: body and headers."""
    ident = str(job["name"]).rpartition("/")[2]
    entry = {
        "logName": f"projects/{cloud.project}/logs/ml.googleapis.com%2F{ident}",
        "resource": {
            "type": "ml_job",
            "labels": {"job_id": ident, "task_name": "service", "project_id": cloud.project},
        },
        "severity": "ERROR",
        "timestamp": job["endTime"],
        "insertId": f"line-{ident}",
        "textPayload": "Job failed.",
    }
    body = {
        "message": {
            "data": base64.b64encode(json.dumps(entry).encode()).decode(),
            "messageId": uuid.uuid4().hex,
            "publishTime": job["endTime"],
        },
        "subscription": f"projects/{cloud.project}/subscriptions/failures",
    }
    headers = {
        "Content-Type": "application/json",
        "ce-id": uuid.uuid4().hex,
        "ce-source": f"//pubsub.googleapis.com/projects/{cloud.project}/topics/failures",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    }
    return body, headers


def first_event(cloud: Cloud, folder: Path, environment: Mapping[str, str]) -> First:
    """Start the server, hand it one failure, stop it; what that took."""
    told = len(cloud.slack.messages)
    body, headers = event(cloud, starved_job(cloud))
    started = time.perf_counter()
    served = cloud.serve(folder, "remediate", environment)
    idle = sum(results.memory_mib(served.pid, "Pss"))
    status, text = served.post(body, headers=headers)
    seconds = time.perf_counter() - started
    cpu = results.cpu_seconds(served.pid)
    if status != 200 or len(cloud.slack.messages) == told:
        raise SystemExit(f"not handled: {status} {text}\n{served.output()[-4000:]}")
    rss = max(results.memory_mib(served.pid, "Rss"))
    pss = sum(results.memory_mib(served.pid, "Pss"))
    served.stop()
    return First(seconds, cpu, rss, pss, idle)


def main() -> int:
    """Runs the pairs, writes the section; 0 where every aim holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--quick", action="store_true", help="three pairs")
    chosen = parser.parse_args()
    pairs = 3 if chosen.quick else chosen.pairs

    with (
        Cloud(frozen=True, lag=timedelta(0)) as cloud,
        tempfile.TemporaryDirectory() as name,
        emulators.firestore() as firestore,
    ):
        file = Path(name) / "policies.yaml"
        file.write_text(POLICIES)
        compile_policies(file)
        plain = cloud.proxied_env(
            REMEDIATOR_POLICIES=str(file),
            GRPC_VERBOSITY="NONE",
            PYTHONDONTWRITEBYTECODE="",  # a deployment's bytecode is written, whatever this shell says
        )
        ways = {
            "plain": (ROOT / "bench" / "coldstart" / "plain", plain),
            "ours, SQLite": (
                ROOT,
                {**plain, "REMEDIATOR_LEDGER": f"sqlite:///{name}/ledger.sqlite3"},
            ),
        }
        text_alone = Path(name) / "text" / "policies.yaml"
        text_alone.parent.mkdir()
        text_alone.write_text(POLICIES)
        ways["ours, SQLite, policies from their text"] = (
            ROOT,
            {
                **plain,
                "REMEDIATOR_POLICIES": str(text_alone),
                "REMEDIATOR_LEDGER": f"sqlite:///{name}/text.sqlite3",
            },
        )
        if firestore:
            ways["ours, Firestore"] = (
                ROOT,
                {
                    **plain,
                    "REMEDIATOR_LEDGER": "firestore://(default)/cold",
                    "FIRESTORE_EMULATOR_HOST": firestore,
                },
            )
        found: dict[str, list[First]] = {way: [] for way in ways}
        for folder, environment in ways.values():  # not counted: it writes the bytecode
            first_event(cloud, folder, environment)
        for turn in range(pairs):
            order = list(ways) if turn % 2 else list(reversed(ways))
            for way in order:
                found[way].append(first_event(cloud, *ways[way]))
    return report(found, quick=chosen.quick)


def report(found: Mapping[str, list[First]], *, quick: bool) -> int:
    """Writes the section; 1 where an aim is missed."""
    plain = found["plain"]
    rows, aims = [], []
    kept = True
    for way, firsts in found.items():
        seconds = [one.seconds for one in firsts]
        times = [one.seconds / other.seconds for one, other in zip(firsts, plain, strict=True)]
        cpus = [one.cpu / other.cpu for one, other in zip(firsts, plain, strict=True)]
        memory = [one.pss / other.pss for one, other in zip(firsts, plain, strict=True)]
        rows.append(
            (
                way,
                results.spread(seconds, unit=" s"),
                results.spread(times),
                results.spread([one.cpu for one in firsts], unit=" s"),
                results.spread(cpus),
                results.spread([one.pss for one in firsts], 0, " MiB"),
                results.spread([one.rss for one in firsts], 0, " MiB"),
                results.spread(memory),
                f"{statistics.median(one.idle_pss for one in firsts):.0f} MiB",
            )
        )
        if way == "plain":
            continue
        measured = (
            ("time", statistics.median(times), MOST_TIME),
            ("processor time", statistics.median(cpus), MOST_TIME),
            ("memory", statistics.median(memory), MOST_MEMORY),
            ("MiB", statistics.median(one.pss for one in firsts), MOST_MIB),
        )
        for what, value, most in measured:
            aims.append((way, what, f"{value:.2f}", most, results.verdict(held=value <= most)))
            kept = kept and value <= most * NOISE
    head = (
        *("way", "to the first handled event", "of plain's, pair by pair"),
        *("processor time", "of plain's, pair by pair"),
        *("PSS, all processes", "RSS, the worker", "PSS of plain's", "PSS before any event"),
    )
    text = (
        f"{len(plain)} alternating runs of each; median (lowest to highest).\n\n"
        + results.table(head, rows)
        + "\n\n"
        + results.table(("way", "aim", "measured", "at most", ""), aims)
    )
    if "ours, Firestore" not in found:
        text += "\n\nThe Firestore emulator is not installed here: only SQLite was measured."
    results.write("coldstart", "Cold start to the first handled event", text, quick=quick)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
