"""Whether a deadlock that polls can be told from work: how long healthy jobs look just like one.

    python bench/running/polls.py [--seed 301]

A thread that waits for a lock in a loop keeps one core at work and nothing else. This asks of each simulated
job for the longest time in which, after it had worked on its accelerator or on several cores, all that could
be seen was about one core: no accelerator, no traffic, no line, no object. A rule that tells this after so
many minutes is wrong for every healthy job whose time is longer. Seed 301 was named before this was written.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import results  # noqa: E402  # the checkout is found above
from bench.running.physics import Run  # noqa: E402
from bench.running.scenes import fleet  # noqa: E402

SEED = 301
AFTER = (30, 45, 60, 90, 120)  # minutes
_POLLS = "deadlock_that_polls"
_WORKED = 20  # minutes of work before: what hardly began compiles
_ONE_CORE = (0.6, 1.5)  # cores, by five minutes
_QUIET = 1e6  # bytes of a minute


def longest_like_a_poll(run: Run) -> int:
    """Minutes of the longest time in which the job, having worked, looks like a thread that polls."""
    spoken = {int(at) for at, _, _ in run.lines} | {int(at) for at, _ in run.outputs}
    longest = current = worked = 0
    for minute in range(run.minutes):
        if _looks_like_a_poll(run, minute) and minute not in spoken and worked >= _WORKED:
            current += 1
            longest = max(longest, current)
            continue
        current = 0
        worked += _is_at_work(run, minute)
    return longest


def _looks_like_a_poll(run: Run, minute: int) -> bool:
    least, most = _ONE_CORE
    cores = sum(_over_five(one.cpu, minute) for one in run.workers)
    is_one_core = least <= cores <= most * len(run.workers)
    is_quiet = all(max(one.received[minute], one.sent[minute]) < _QUIET for one in run.workers)
    return is_one_core and is_quiet and all(one.gpu[minute] <= 0.05 for one in run.workers)


def _over_five(values: list[float], minute: int) -> float:
    part = values[max(0, minute - 2) : minute + 3]
    return sum(part) / len(part)


def _is_at_work(run: Run, minute: int) -> bool:
    return any(one.gpu[minute] > 0.3 or one.cpu[minute] > 2 for one in run.workers)


def main() -> int:
    """Writes the section."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=SEED)
    seed = parser.parse_args().seed
    times: dict[str, list[int]] = defaultdict(list)
    healthy = []
    for run in fleet(seed):
        if run.truth == "healthy" and run.state.endswith("RUNNING"):
            longest = longest_like_a_poll(run)
            healthy.append(longest)
            times[run.kind].append(longest)
        elif run.kind == _POLLS:
            times[run.kind].append(longest_like_a_poll(run))
    rows = [
        (
            f"{after} min",
            f"{sum(one >= after for one in times[_POLLS])} of {len(times[_POLLS])}",
            f"{sum(one >= after for one in healthy)} of {len(healthy)}",
            ", ".join(
                f"{kind} {sum(one >= after for one in found)}"
                for kind, found in sorted(times.items())
                if kind != _POLLS and any(one >= after for one in found)
            )
            or "none",
        )
        for after in AFTER
    ]
    text = (
        f"Fleet of seed {seed}; longest time of each job in which one core is all that can be seen of it.\n\n"
        + results.table(("told after", "deadlocks that poll", "healthy jobs told", "which"), rows)
    )
    results.write("running-polls", "Running jobs: deadlocks that poll", text, script="polls.py")
    return 0


if __name__ == "__main__":
    sys.exit(main())
