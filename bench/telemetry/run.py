"""What watching costs: CPU time and throughput of one job, unwatched and watched, side by side.

    python bench/telemetry/run.py [--seconds 60] [--rounds 5]

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

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import results

MOST_CPU = 0.01
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


def main() -> int:
    """Runs both, writes the section; 0 where the watcher keeps within its aim."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="how long the waiting job waits")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=60_000_000)
    chosen = parser.parse_args()
    shipped = of_its_own(chosen.seconds, "30")
    stress = of_its_own(chosen.seconds // 3, "1")
    best = of_the_job(chosen.steps, chosen.rounds)
    held = max(shipped.values()) <= MOST_CPU
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
    )
    results.write("telemetry", "In-job telemetry", text)
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
