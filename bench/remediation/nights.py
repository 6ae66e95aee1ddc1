"""The same failing jobs every night: what a ladder costs that nothing comes of, and what is lost by not repeating it.

`python bench/remediation/nights.py [--seed 107] [--count 120] [--nights 14]` prints a table: for each fleet
the product as it is beside the same without the memory of what was tried in vain. Each job fails once a
night, as its fleet's physics decides anew (lines that are lost, places that are full), and the ledger
remembers its own nights alone. `out of reach` is the first fleet's jobs that ran out of something, of which
each now needs a thousand times as much: what no machine has, while what is read of them says so no plainer.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.remediation.fleets import Fleet
from bench.remediation.lists import policies
from bench.remediation.run import treat
from bench.remediation.strategies import Product
from bench.remediation.table import FIRST, fleet_named

A_DAY = 33  # a job's index is when it first runs: thirty days for a thousand, so this is 23.8 hours
SPREAD = 4  # of so many drawn jobs some fail, as in `run`
FAR = 1000.0  # times what a job out of reach needs; chosen, beyond every machine
OUT_OF_REACH = "out of reach"
NAMES = ("first", OUT_OF_REACH, "strangers", "wide")


@dataclass(frozen=True)
class Night:
    """What became of one job in one night. Money of its resubmissions alone, US dollars."""

    number: int
    fixable: bool
    failed: bool
    recovered: bool
    usd: float
    attempts: int


def nights_of(job: Any, fleet: Fleet, strategy: Product, count: int) -> list[Night]:
    """One job, night after night; a night in which it does not fail forgets what was in vain before."""
    fixable = fleet.cheapest(job) is not None
    found = []
    for number in range(count):
        tonight = replace(job, index=job.index + A_DAY * number)
        told = treat(strategy, tonight, fixable, fleet)
        failed = bool(told.attempts) or not told.recovered
        if not failed:
            strategy.vain.clear()
        recovered = told.recovered and failed
        found.append(Night(number, fixable, failed, recovered, told.usd, told.attempts))
    return found


def out_of_reach(job: Any) -> Any:
    """The job with needs that no machine meets."""
    needs = job.needs
    sections = tuple(
        replace(one, cpu_seconds=one.cpu_seconds * FAR, gpu_seconds=one.gpu_seconds * FAR)
        if job.cause == "cpu_saturation"
        else replace(one, memory_gib=one.memory_gib * FAR)
        for one in needs.sections
    )
    serving = needs.serving
    if job.cause == "request_too_large":
        serving = replace(serving, cpu_seconds=serving.cpu_seconds * FAR)
    return replace(
        job,
        needs=replace(
            needs,
            sections=sections,
            serving=serving,
            memory_gib=needs.memory_gib * (FAR if job.cause == "memory_pressure" else 1),
            gpu_memory_gib=needs.gpu_memory_gib * (FAR if job.cause == "gpu_memory" else 1),
        ),
    )


_RAN_OUT = {"cpu_saturation", "memory_pressure", "gpu_memory", "request_too_large"}


def jobs_of(name: str, seed: int, count: int) -> tuple[Fleet, list[Any]]:
    """Jobs of a fleet that fail on their first night."""
    fleet = FIRST if name == OUT_OF_REACH else fleet_named(name)
    drawn = fleet.build(seed, count * SPREAD, "even")
    if name == OUT_OF_REACH:
        drawn = [out_of_reach(job) for job in drawn if job.cause in _RAN_OUT]
    failing = (
        job for job in drawn if not fleet.run(job, job.body, 1, fleet.first_at(job)).succeeded
    )
    return fleet, list(failing)[:count]


def played(name: str, seed: int, count: int, nights: int, repeats: bool) -> list[list[Night]]:
    """Each job's nights, with a ledger of its own."""
    fleet, jobs = jobs_of(name, seed, count)
    return [nights_of(job, fleet, Product(policies(), repeats=repeats), nights) for job in jobs]


def row(name: str, before: Sequence[Sequence[Night]], now: Sequence[Sequence[Night]]) -> str:
    """A line of the table."""

    def usd(runs: Sequence[Sequence[Night]], keep: Callable[[Night], bool]) -> float:
        return sum(one.usd for job in runs for one in job if keep(one))

    def share(runs: Sequence[Sequence[Night]]) -> str:
        can = [one for job in runs for one in job if one.fixable and one.failed]
        return f"{sum(one.recovered for one in can)} of {len(can)}"

    lost = lambda one: not one.fixable  # noqa: E731  # one expression
    fixed = lambda one: one.fixable  # noqa: E731  # one expression
    made = [sum(one.attempts for job in runs for one in job) for runs in (before, now)]
    return (
        f"| {name}, {len(before)} jobs | "
        f"${usd(before, lambda one: lost(one) and one.number == 0):,.2f} | "
        f"${usd(before, lost):,.2f} -> ${usd(now, lost):,.2f} | {share(before)} -> {share(now)} | "
        f"${usd(before, fixed):,.2f} -> ${usd(now, fixed):,.2f} | {made[0]:,} -> {made[1]:,} |"
    )


def main() -> int:
    """Plays the fleets and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=107)
    parser.add_argument("--count", type=int, default=120, help="failing jobs of each fleet")
    parser.add_argument("--nights", type=int, default=14)
    parser.add_argument("--fleet", choices=NAMES, action="append")
    asked = parser.parse_args()
    names = asked.fleet or NAMES
    work = [
        (name, asked.seed, asked.count, asked.nights, repeats)
        for name in names
        for repeats in (True, False)
    ]
    print(
        f"| seed {asked.seed}, {asked.nights} nights, before -> after | on what nothing fixes, one night | "
        "all nights | recovered of what something fixes | money on that | resubmissions |\n"
        "| --- | --: | --: | --: | --: | --: |"
    )
    with ProcessPoolExecutor(max_workers=2) as pool:
        runs = list(pool.map(played, *zip(*work, strict=True)))
    for index, name in enumerate(names):
        print(row(name, runs[2 * index], runs[2 * index + 1]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
