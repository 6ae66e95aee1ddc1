"""What watching costs: CPU time and throughput of one job, unwatched and watched, side by side.

    python bench/telemetry/run.py [--seconds 60] [--rounds 5]

Three questions. How much CPU does the watcher itself use: a job that only waits is run for some
seconds at the shipped period of 30 s; whatever CPU it uses beyond the same job unwatched is the
watcher's. And does it slow the job: a fixed piece of pure-Python work is timed in turns, unwatched
and watched, and the best of the rounds are compared (others use this machine too). And what do its newer parts
cost: a job of nine threads that comes to stand still every ten seconds (as shipped: a spell is one in ten
minutes at most), so that their stacks and the processes on the devices are written each time; and
`progress(n, of)`, by the call. There is no device here: `nvidia-smi` is a program of ours in its place that
works for 50 ms of processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import results

MOST_CPU = 0.01
MODULE = Path(__file__).parents[2] / "telemetry" / "vertex_telemetry.py"
IMPORT = "import vertex_telemetry; vertex_telemetry.start()\n"
WAIT = "import time; time.sleep({seconds})\n"
WORK = "total = 0\nfor number in range({steps}):\n    total += number % 7\n"
STANDS = """\
import threading, time
for _ in range(8):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
def one(): time.sleep(10)
def other(): time.sleep(10)
for number in range({tens}):
    (other if number % 2 else one)()
"""
STANDS_STILL_AFTER = "4"  # seconds
SPELL_SECONDS = 600  # how long the main thread stands before its stacks are written, as shipped
SMI = """\
#!{python} -S
import sys, time
while time.process_time() < 0.05:
    pass
print("4711, /usr/bin/python3, 1024" if "apps" in sys.argv[1] else "93, 1024, 15360")
"""
CALLS = """\
import time, vertex_telemetry
for n in range({calls}): vertex_telemetry.progress(n, {calls})
began = time.thread_time()
for n in range({calls}): vertex_telemetry.progress(n, {calls})
mid = time.thread_time()
for n in range({calls}): abs(n)
print((2 * mid - began - time.thread_time()) / {calls})
"""


def cpu_and_wall(command: list[str], period: str, **more: str) -> tuple[float, float]:
    """CPU seconds of the command with all below it, and seconds by the clock."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(MODULE.parent),
        "VERTEX_TELEMETRY_SECONDS": period,
        **more,
    }
    before, started = os.times(), time.monotonic()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    after, ended = os.times(), time.monotonic()
    cpu = after.children_user + after.children_system
    return cpu - before.children_user - before.children_system, ended - started


def ways(job: str) -> dict[str, list[str]]:
    python = [sys.executable, "-c"]
    return {
        "unwatched": [*python, job],
        "by import": [*python, IMPORT + job],
        "wrapped": [sys.executable, str(MODULE), "--", *python, job],
    }


def of_its_own(seconds: int, period: str) -> dict[str, float]:
    """CPUs that each way uses beyond its start: a short run pays for that alone."""
    used = {}
    for name in ways(""):
        long = cpu_and_wall(ways(WAIT.format(seconds=seconds))[name], period)[0]
        short = min(cpu_and_wall(ways(WAIT.format(seconds=0.3))[name], period)[0] for _ in range(3))
        used[name] = max(0.0, long - short) / seconds
    return {name: max(0.0, cpu - used["unwatched"]) for name, cpu in used.items()}


def of_the_job(steps: int, rounds: int) -> dict[str, tuple[float, float]]:
    """CPU seconds and seconds by the clock of the same work, the best of the rounds."""
    best: dict[str, tuple[float, float]] = {}
    for _ in range(rounds):
        for name, command in ways(WORK.format(steps=steps)).items():
            found = cpu_and_wall(command, "1")
            best[name] = min(best.get(name, found), found)
    return best


def of_standing_still(seconds: int, rounds: int) -> tuple[float, int]:
    """Seconds of CPU that one line with the stacks of all threads and the devices' processes costs beyond
    the same job watched without, the median of pairs; and how many such lines one run wrote."""
    found = []
    job = STANDS.format(tens=max(1, seconds // 10))
    command = [sys.executable, "-c", IMPORT + job]
    with tempfile.TemporaryDirectory() as folder:
        smi = Path(folder) / "nvidia-smi"
        smi.write_text(SMI.format(python=sys.executable))
        smi.chmod(0o755)
        more = {
            "PATH": f"{folder}:{os.environ['PATH']}",
            "VERTEX_TELEMETRY_STALL_SECONDS": STANDS_STILL_AFTER,
        }
        for _ in range(rounds):
            bare, _ = cpu_and_wall(command, "30", PATH=more["PATH"])
            used, _ = cpu_and_wall(command, "30", **more)
            found.append(used - bare)
        said = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": str(MODULE.parent), **more},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    lines = [json.loads(line) for line in said.splitlines()]
    written = sum("stacks" in line and "gpuProcesses" in line for line in lines)
    if not written:
        raise SystemExit("no line with stacks and processes was written: nothing is measured")
    return statistics.median(found) / written, written


def of_progress(calls: int = 1_000_000) -> float:
    """Seconds of CPU that one call of `progress` takes."""
    command = [sys.executable, "-c", CALLS.format(calls=calls)]
    environment = {**os.environ, "PYTHONPATH": str(MODULE.parent)}
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    (figure,) = (line for line in said.stdout.splitlines() if not line.startswith("{"))
    return float(figure)


def main() -> int:
    """Runs all, writes the section; 0 where the watcher keeps within its aim."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long the waiting job waits")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60_000_000)
    chosen = parser.parse_args()
    shipped = of_its_own(chosen.seconds, "30")
    stress = of_its_own(chosen.seconds // 3, "1")
    best = of_the_job(chosen.steps, chosen.rounds)
    standing, written = of_standing_still(chosen.seconds, chosen.rounds)
    a_call = of_progress()
    standing_share = max(shipped.values()) + standing / SPELL_SECONDS
    held = standing_share <= MOST_CPU
    rows = [
        (
            name,
            f"{shipped[name]:.2%}",
            f"{stress[name]:.2%}",
            f"{cpu:.2f} s",
            f"{cpu / best['unwatched'][0]:.2f}",
        )
        for name, (cpu, _) in best.items()
    ]
    head = (
        *("way", "of one CPU, a line every 30 s (as shipped)", "every 1 s"),
        *(f"CPU of {chosen.steps:,} steps, a line every 1 s", "of unwatched"),
    )
    text = (
        f"What watching costs a job that waits {chosen.seconds} s, beyond its start, and one that "
        f"works. The aim is under {MOST_CPU:.0%} of one CPU: {results.verdict(held=held)}.\n\n"
        + results.table(head, rows)
        + f"\n\nStacks of nine threads and the processes on the devices, written {written} times in "
        f"{chosen.seconds} s: {standing * 1000:.0f} ms of CPU each, the median of {chosen.rounds} pairs, of "
        "which a stand-in for `nvidia-smi` uses 50 or more. As shipped such a line comes at most once in "
        f"{SPELL_SECONDS} s: with all else {standing_share:.2%} of one CPU. "
        f"`progress(n, of)`: {a_call * 1e6:.2f} microseconds a call, so a "
        f"thousand calls a second are {a_call * 1000:.2%} of one CPU."
    )
    results.write("telemetry", "In-job telemetry", text)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
