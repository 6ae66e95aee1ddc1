"""What watching costs: CPU time and throughput of one job, unwatched and watched, side by side.

    python bench/telemetry/cost.py [--seconds 60] [--rounds 5]

Two questions. How much CPU does the watcher itself use: a job that only waits is run for some
seconds at the shipped period of 30 s; whatever CPU it uses beyond the same job unwatched is the
watcher's. And does it slow the job: a fixed piece of pure-Python work is timed in turns, unwatched
and watched, and the best of the rounds are compared (others use this machine too).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

MODULE = Path(__file__).parents[2] / "telemetry" / "vertex_telemetry.py"
IMPORT = "import vertex_telemetry; vertex_telemetry.start()\n"
WAIT = "import time; time.sleep({seconds})\n"
WORK = "total = 0\nfor number in range({steps}):\n    total += number % 7\n"


def cpu_and_wall(command: list[str], period: str) -> tuple[float, float]:
    """CPU seconds of the command with all below it, and seconds by the clock."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(MODULE.parent),
        "VERTEX_TELEMETRY_SECONDS": period,
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


def of_its_own(seconds: int, period: str) -> None:
    """A short run pays for the start alone; the difference to a long one is the watching."""
    print(f"\nwaiting {seconds} s, a line every {period} s: CPU seconds beyond the start")
    used = {}
    for name in ways(""):
        long = cpu_and_wall(ways(WAIT.format(seconds=seconds))[name], period)[0]
        short = min(cpu_and_wall(ways(WAIT.format(seconds=0.3))[name], period)[0] for _ in range(3))
        used[name] = max(0.0, long - short)
    for name, cpu in used.items():
        extra = (cpu - used["unwatched"]) / seconds
        print(f"  {name:<10} {cpu:8.3f} s   {max(0.0, extra):8.4%} of one CPU")


def of_the_job(steps: int, rounds: int) -> None:
    print(f"\n{steps:,} steps of pure Python, best of {rounds} rounds in turns, a line every 1 s")
    best: dict[str, tuple[float, float]] = {}
    for _ in range(rounds):
        for name, command in ways(WORK.format(steps=steps)).items():
            found = cpu_and_wall(command, "1")
            best[name] = min(best.get(name, found), found)
    for name, (cpu, wall) in best.items():
        ratio = cpu / best["unwatched"][0]
        print(f"  {name:<10} CPU {cpu:7.3f} s   wall {wall:7.3f} s   CPU ratio {ratio:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long the waiting job waits")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60_000_000)
    chosen = parser.parse_args()
    of_its_own(chosen.seconds, "30")
    of_its_own(chosen.seconds // 3, "1")
    of_the_job(chosen.steps, chosen.rounds)


if __name__ == "__main__":
    main()
