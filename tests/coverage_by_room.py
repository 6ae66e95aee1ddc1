"""`make coverage`: what a room's own tests run of it, lines and branches, against its floor.

    python tests/coverage_by_room.py REPORT      of coverage.py, as JSON

A room is a folder of `remediator`, or a file beside them. Its floor is what was measured, less two
points: a room falls below it where code came without tests. Stories, which run everything somehow,
and processes that tests start are not counted. Exit 1 where a room is below its floor, or has none.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_TOO_FEW = 5  # lines and branches of a file that is no room of its own
FLOORS: Mapping[str, int] = {
    # Percent, measured 2026-11-29 by the files as they stood then: of files that became one room, the
    # lowest; `app`, `doctor`, `handlers`, `inputs`, `intake`, `log`, `rows`, `watch` and `workflow`
    # on 2026-11-30, by the tests of these rooms alone.
    "alerts": 57,
    "app": 61,
    "case": 90,
    "catalog": 94,
    "cli": 58,
    "cloud": 64,
    "deadline": 98,
    "diagnosis": 95,
    "doctor": 19,
    "domain": 97,
    "evidence": 56,
    "handlers": 97,
    "inputs": 91,
    "intake": 88,
    "job": 94,
    "ledger": 85,
    "log": 93,
    "planning": 94,
    "policy": 94,
    "redaction": 95,
    "report": 71,
    "rows": 90,
    "settings": 88,
    "watch": 93,
    "workflow": 61,
}


def rooms(report: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Of each room: lines and branches that ran, and how many there are."""
    found: dict[str, tuple[int, int]] = defaultdict(lambda: (0, 0))
    for name, file in report["files"].items():
        parts = Path(name).parts
        room = parts[1].removesuffix(".py")
        counts = file["summary"]
        ran, there = found[room]
        found[room] = (
            ran + counts["covered_lines"] + counts["covered_branches"],
            there + counts["num_statements"] + counts["num_branches"],
        )
    return {room: counts for room, counts in found.items() if counts[1]}


def shortfalls(measured: Mapping[str, tuple[int, int]]) -> list[str]:
    """A sentence for each room that is below its floor, has none, or is there no more."""
    told = []
    for room, (ran, there) in sorted(measured.items()):
        if room not in FLOORS and there <= _TOO_FEW:
            continue
        if room not in FLOORS:
            told.append(f"{room} has no floor: {100 * ran / there:.1f}% was measured")
        elif 100 * ran < FLOORS[room] * there:
            told.append(f"{room}: {100 * ran / there:.1f}%, and its floor is {FLOORS[room]}%")
    told += [f"{room} has a floor and no code" for room in FLOORS if room not in measured]
    return told


def main() -> int:
    """Prints the table; 0 where every floor is held."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("report", type=Path)
    measured = rooms(json.loads(parser.parse_args().report.read_text(encoding="utf-8")))
    sys.stdout.write("| room | lines and branches | run | floor |\n| --- | --- | --- | --- |\n")
    for room, (ran, there) in sorted(measured.items(), key=lambda one: one[1][0] / one[1][1]):
        floor = f"{FLOORS[room]}%" if room in FLOORS else "none"
        sys.stdout.write(f"| {room} | {there} | {100 * ran / there:.1f}% | {floor} |\n")
    missed = shortfalls(measured)
    for line in missed:
        sys.stderr.write(f"{line}\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
