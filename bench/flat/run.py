"""5,000 events in one process: threads, descriptors, channels and memory stay flat.

    python bench/flat/run.py [--quick]

A child process serves the function. Events of five sorts come in turn (a failure delivered again, a job that
is not there, a forged region, a line that is no failure, garbage) with a round of `reconcile` after each
tenth part. What the process holds after the first tenth is set against what it holds at the end. Exit 1
where a count has grown by more than two, or memory by more than 16 MiB.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import results  # noqa: E402  # the checkout is found above
from bench.coldstart.run import POLICIES, event, starved_job  # noqa: E402
from twin.cloud import Cloud  # noqa: E402

MOST_MORE, MOST_MIB = 2, 16


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 events")
    parser.add_argument("--child", metavar="WORK", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return serve(json.loads(Path(args.child).read_text()))
    count = 500 if args.quick else 5000
    with tempfile.TemporaryDirectory() as folder, Cloud() as cloud:
        policies = Path(folder, "policies.yaml")
        policies.write_text(POLICIES)
        work = Path(folder, "work.json")
        work.write_text(
            json.dumps(
                {
                    "count": count,
                    "event": event(cloud, starved_job(cloud)),
                    "project": cloud.project,
                }
            )
        )
        environment = cloud.env(
            REMEDIATOR_POLICIES=str(policies),
            REMEDIATOR_LEDGER=f"sqlite:///{folder}/ledger.sqlite3",
        )
        child = subprocess.run(
            [sys.executable, __file__, "--child", str(work)],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=3000,
        )
    if child.returncode != 0:
        print(child.stderr[-3000:])
        return 1
    first, last = json.loads(child.stdout.splitlines()[-1])
    rows, held = [], True
    for name in first:
        more = last[name] - first[name]
        fits = more <= (MOST_MIB if name == "MiB resident" else MOST_MORE)
        held = held and fits
        rows.append((name, f"{first[name]:.0f}", f"{last[name]:.0f}", results.verdict(held=fits)))
    text = (
        f"{count:,} events of five sorts, a round of `reconcile` after each tenth part; one process.\n\n"
        + results.table(("held", "after a tenth", "at the end", ""), rows)
    )
    results.write("flat", "Thousands of events in one process", text, quick=args.quick)
    return int(not held)


def events(work: dict[str, Any]) -> list[tuple[Any, dict[str, str]]]:
    """One of each sort; `announcing` names a job by its full name, as the sweep's entry does."""
    import base64

    body, headers = work["event"]

    def saying(data: bytes) -> tuple[Any, dict[str, str]]:
        changed = copy.deepcopy(body)
        changed["message"]["data"] = base64.b64encode(data).decode()
        return changed, headers

    entry = json.loads(base64.b64decode(body["message"]["data"]))
    gone = copy.deepcopy(entry)
    gone["resource"]["labels"]["job_id"] = "404404404"
    name = f"projects/{work['project']}/locations/%s/customJobs/7"
    announced = {
        "logName": f"projects/{work['project']}/logs/vertex-remediator-job-failures",
        "timestamp": entry["timestamp"],
        "insertId": "a-1",
        "jsonPayload": {"job": name},
    }
    harmless = {**entry, "severity": "INFO", "textPayload": "Job is running."}
    return [
        (body, headers),
        saying(json.dumps(gone).encode()),
        saying(json.dumps(announced).encode()),
        saying(json.dumps(harmless).encode()),
        saying(b"\x00 no JSON"),
    ]


def serve(work: dict[str, Any]) -> int:
    """The child: all events, one after another; prints what it held after a tenth and at the end."""
    import base64

    import functions_framework

    clients = {
        target: functions_framework.create_app(target, str(ROOT / "main.py")).test_client()
        for target in ("remediate", "reconcile")
    }
    sorts = events(work)
    marks: list[dict[str, float]] = []
    tenth = work["count"] // 10
    for number in range(work["count"]):
        body, headers = sorts[number % len(sorts)]
        if number % len(sorts) == 2:  # another region each time
            text = (
                base64.b64decode(body["message"]["data"]).decode().replace("%s", f"forged-{number}")
            )
            body = copy.deepcopy(body)
            body["message"]["data"] = base64.b64encode(text.encode()).decode()
        status = clients["remediate"].post("/", json=body, headers=headers).status_code
        if status != 200:
            print(f"event {number} was answered {status}", file=sys.stderr)
            return 1
        if (number + 1) % tenth == 0:
            clients["reconcile"].post("/")
            marks.append(held())
    print(json.dumps([marks[0], marks[-1]]))
    return 0


def held() -> dict[str, float]:
    import grpc

    gc.collect()
    return {
        "threads": threading.active_count(),
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "channels": sum(isinstance(one, grpc.Channel) for one in gc.get_objects()),
        "MiB resident": results.memory_mib(os.getpid(), "Rss")[0],
    }


if __name__ == "__main__":
    sys.exit(main())
