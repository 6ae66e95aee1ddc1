"""What a busy project costs in memory, in a real memory cgroup of 256 MiB.

    python bench/memory/run.py [--quick]

A child process serves `remediate` and `reconcile` inside the cgroup. After its first event, it sweeps a
hundred failed pipeline runs of 800 kB and handles four failures at once whose logs have lines of 64 kB; the
most that it ever held then is set against what it held after the first event. Exit 1 where that is more
than 64 MiB, or where the kernel ended the child. Says SKIPPED where no memory cgroup (version 1) can be made.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import results  # noqa: E402  # the checkout is found above
from bench.coldstart.run import POLICIES, event, starved_job  # noqa: E402
from twin.clock import rfc3339  # noqa: E402
from twin.cloud import Cloud  # noqa: E402

LIMIT_MIB = 256
MOST_ABOVE_MIB = 64
RUN_BYTES, LINE_BYTES = 800_000, 64_000
_MEMORY = Path("/sys/fs/cgroup/memory")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20 runs, 60 lines in each log")
    parser.add_argument("--child", metavar="WORK", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        return serve(json.loads(Path(args.child).read_text()))
    runs, lines = (20, 60) if args.quick else (100, 1000)
    with group() as tasks:
        if tasks is None:
            print("SKIPPED: no memory cgroup (version 1) can be made here")
            return 0
        with tempfile.TemporaryDirectory() as folder, Cloud() as cloud:
            return measure(cloud, Path(folder), tasks, runs, lines, quick=args.quick)


@contextlib.contextmanager
def group() -> Iterator[Path | None]:
    """The `cgroup.procs` of a new cgroup of LIMIT_MIB; None where there can be none."""
    place = _MEMORY / f"vertex-remediator-bench-{os.getpid()}"
    try:
        place.mkdir()
    except OSError:
        yield None
        return
    try:
        try:
            (place / "memory.limit_in_bytes").write_text(str(LIMIT_MIB << 20))
        except OSError:
            yield None
            return
        yield place / "cgroup.procs"
    finally:
        with contextlib.suppress(OSError):
            place.rmdir()


def measure(cloud: Cloud, folder: Path, tasks: Path, runs: int, lines: int, *, quick: bool) -> int:
    """Fill the twin, run the child inside the cgroup, write down what it held."""
    first = event(cloud, starved_job(cloud))
    jobs = [starved_job(cloud, number) for number in range(1, 5)]
    for job in jobs:
        fill_log(cloud, job, lines)
    for number in range(runs):
        cloud.add_job(failed_run(cloud, number))
    policies = folder / "policies.yaml"
    policies.write_text(POLICIES)
    environment = cloud.env(
        REMEDIATOR_POLICIES=str(policies), REMEDIATOR_LEDGER=f"sqlite:///{folder}/ledger.sqlite3"
    )
    work = folder / "work.json"
    work.write_text(json.dumps({"first": first, "then": [event(cloud, job) for job in jobs]}))
    joined = f"import os;open({str(tasks)!r},'w').write(str(os.getpid()))"
    start = f"{joined};os.execv({sys.executable!r}, {[sys.executable, __file__, '--child', str(work)]!r})"
    child = subprocess.run(
        [sys.executable, "-c", start],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    if child.returncode != 0:
        print(child.stderr[-3000:])
        print(f"the child ended with {child.returncode} (-9: the kernel, for its memory)")
        return 1
    read = cloud.calls("*.ListLogEntries")
    if '"severity": "ERROR"' in child.stderr or len(read) < len(jobs):
        print(child.stderr[-3000:])
        print("the logs were not read, so nothing was measured")
        return 1
    found = json.loads(child.stdout.splitlines()[-1])
    above = found["peak_mib"] - found["first_mib"]
    rows = [
        ("after the first event", f"{found['first_mib']:.0f} MiB", ""),
        (
            f"the most, in {runs} runs and four logs of {lines} lines",
            f"{found['peak_mib']:.0f} MiB",
            "",
        ),
        (
            f"above the first event (at most {MOST_ABOVE_MIB} MiB)",
            f"{above:.0f} MiB",
            results.verdict(held=above <= MOST_ABOVE_MIB),
        ),
        ("calls that read logs", len(read), ""),
        ("swept and announced", found["announced"], ""),
        ("answers to the four", " ".join(map(str, found["answers"])), ""),
    ]
    text = (
        f"In a memory cgroup of {LIMIT_MIB} MiB; runs of {RUN_BYTES // 1000} kB, lines of "
        f"{LINE_BYTES // 1000} kB. Resident memory of the one process, as the kernel counts it.\n\n"
        + results.table(("", "held", ""), rows)
    )
    results.write("memory", "Memory of a busy project", text, quick=quick)
    return int(above > MOST_ABOVE_MIB)


def failed_run(cloud: Cloud, number: int) -> dict[str, Any]:
    """A pipeline run that failed a while ago, its specification as long as large pipelines' are."""
    ended = rfc3339(cloud.clock.now() - timedelta(minutes=20 + number))
    return {
        "name": cloud.name("pipelineJobs", f"run-{number:03d}"),
        "displayName": f"run-{number:03d}",
        "state": "PIPELINE_STATE_FAILED",
        "createTime": ended,
        "startTime": ended,
        "endTime": ended,
        "error": {"code": 9, "message": "a task failed"},
        "pipelineSpec": {"root": {f"note-{part}": "x" * 1000 for part in range(RUN_BYTES // 1000)}},
    }


def fill_log(cloud: Cloud, job: dict[str, Any], lines: int) -> None:
    ident = str(job["name"]).rpartition("/")[2]
    for number in range(lines):
        cloud.log(
            {
                "logName": f"projects/{cloud.project}/logs/workerpool0-0",
                "resource": {
                    "type": "ml_job",
                    "labels": {
                        "job_id": ident,
                        "task_name": "workerpool0-0",
                        "project_id": cloud.project,
                    },
                },
                "timestamp": job["endTime"],
                "insertId": f"long-{ident}-{number:05d}",
                "severity": "ERROR",
                "textPayload": f"step {number} " + "lorem ipsum 12345 " * (LINE_BYTES // 18),
            }
        )


def serve(work: dict[str, Any]) -> int:
    """The child: one event, then everything at once; prints what it held."""
    from concurrent.futures import ThreadPoolExecutor

    import functions_framework

    clients = {
        target: functions_framework.create_app(target, str(ROOT / "main.py")).test_client()
        for target in ("remediate", "reconcile")
    }

    def hear(one: Any) -> int:
        body, headers = one
        return int(clients["remediate"].post("/", json=body, headers=headers).status_code)

    hear(work["first"])
    first = results.memory_mib(os.getpid(), "Rss")[0]
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(hear, one) for one in work["then"]]
        swept = pool.submit(lambda: clients["reconcile"].post("/"))
        codes = [one.result() for one in answers]
        told = json.loads(swept.result().text)
    peak = results.peak_mib(os.getpid())
    print(
        json.dumps(
            {"first_mib": first, "peak_mib": peak, "answers": codes, "announced": told["announced"]}
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
