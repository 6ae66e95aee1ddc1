"""What the first diagnosis of a log costs whose lines are all different, and the second of the same; and
what the commands cost that people wait for.

    python bench/first/run.py OTHER [--times 5]

`OTHER` is the root of another checkout. Lines are those of the recorded failures, each once; where they do not
suffice, again with other digits and a number. Both checkouts diagnose them in alternating, fresh processes:
processor time of the first and the second diagnosis, and the memory of the process at its end. The commands
run over this checkout's example, each checkout's `plan` and `validate` with its own policy file; `plan` once
more with a copy of it that is compiled, where the checkout can do that. Both have their bytecode, as where they
are deployed: a first run, not counted, writes it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import results
from bench.diagnosis.lab import LAB

ROOT = Path(__file__).resolve().parents[2]
SIZES = (1_000, 10_000)
_START = datetime(2026, 11, 27, 10, tzinfo=UTC)
_SEED = 7
_EXAMPLE = str(ROOT / "docs" / "examples" / "case.json")
_COMPILED = "{folder}/compiled/policies.yaml"  # the folder: one for each checkout
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("diagnose", _EXAMPLE),
    ("plan", _EXAMPLE, "--policies", "policies.yaml"),
    ("plan", _EXAMPLE, "--policies", _COMPILED),
    ("validate", "policies.yaml"),
    ("catalog", "show", "n1-standard-8"),
    ("--help",),
)
# Nothing of the caller's: some machines forbid Python to write bytecode.
_ENVIRONMENT = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}

_MEASURE = """
import json, resource, sys, time
from remediator.case import Case
from remediator.diagnosis import diagnose
case = Case.parse(json.load(open(sys.argv[1], encoding="utf-8")))
spent = []
for _ in range(2):
    begun = time.process_time()
    diagnose(case)
    spent.append(1000 * (time.process_time() - begun))
print(json.dumps([*spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def different_lines(count: int) -> list[tuple[str, str]]:
    """(stream, text) of `count` lines, no text twice, in an order that is the same each time."""
    seen: dict[str, str] = {}
    for name in ("training", "serving"):
        for row in (LAB / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            for _, stream, text in json.loads(row)["log"]:
                if text.strip():
                    seen.setdefault(text, stream)
    lines = [(stream, text) for text, stream in seen.items()]
    random.Random(_SEED).shuffle(lines)  # an order, no secret
    again = 1
    while len(lines) < count:
        lines += [(stream, _varied(text, again)) for text, stream in seen.items()]
        again += 1
    return lines[:count]


def _varied(text: str, shift: int) -> str:
    moved = re.sub(r"\d", lambda found: str((int(found[0]) + shift) % 10), text)
    return f"{moved} #{shift}"


def case_of_lines(lines: list[tuple[str, str]]) -> dict[str, Any]:
    """A custom job that exited with 1 and logged these lines, a second apart."""
    entries = [
        {
            "insertId": f"l{number}",
            "timestamp": (_START + timedelta(seconds=number)).isoformat(),
            "severity": "ERROR" if stream == "stderr" else "INFO",
            "textPayload": text,
            "resource": {
                "type": "ml_job",
                "labels": {"job_id": "1", "task_name": "workerpool0-0"},
            },
        }
        for number, (stream, text) in enumerate(lines)
    ]
    said = "The replica workerpool0-0 exited with a non-zero status of 1."
    return {
        "job": {
            "name": "projects/1/locations/us-central1/customJobs/1",
            "state": "JOB_STATE_FAILED",
            "createTime": (_START - timedelta(minutes=2)).isoformat(),
            "startTime": _START.isoformat(),
            "endTime": (_START + timedelta(seconds=len(lines) + 5)).isoformat(),
            "error": {"code": 3, "message": said},
        },
        "logEntries": entries,
    }


def spent_by(checkout: Path, case: Path) -> list[float]:
    """Milliseconds of the first and the second diagnosis, MiB at the end."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(case)],
        cwd=checkout,
        env=_ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[float] = json.loads(done.stdout)
    return found


def lay_compiled(checkout: Path, folder: Path) -> None:
    """A copy of the checkout's policy file, with what it compiles of it; nothing more where it cannot."""
    file = Path(_COMPILED.format(folder=folder))
    file.parent.mkdir(parents=True)
    shutil.copy(checkout / "policies.yaml", file)
    words = [sys.executable, "-m", "remediator", "validate", str(file), "--compile"]
    subprocess.run(words, cwd=checkout, env=_ENVIRONMENT, capture_output=True, check=False)


def command_cost(checkout: Path, words: Sequence[str]) -> float:
    """Seconds of processor time of one command of a checkout; exits where it fails."""
    process = subprocess.Popen(
        [sys.executable, "-m", "remediator", *words],
        cwd=checkout,
        env=_ENVIRONMENT,
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{checkout.name}: {' '.join(words)}: exit {process.returncode}")
    return used.ru_utime + used.ru_stime


def commands_table(other: Path, times: int) -> str:
    """Each command of both checkouts in turns; the median and the least, since another's load adds."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folders = {one: Path(name) / str(index) for index, one in enumerate((other, ROOT))}
        for checkout, folder in folders.items():
            lay_compiled(checkout, folder)

        def cost(checkout: Path, words: Sequence[str]) -> float:
            mine = [word.format(folder=folders[checkout]) for word in words]
            return command_cost(checkout, mine)

        measured = {
            words: [(cost(other, words), cost(ROOT, words)) for _ in range(times + 1)][1:]
            for words in COMMANDS
        }
    for words, pairs in measured.items():
        before, now = zip(*pairs, strict=True)
        ratio = statistics.median(b / a for a, b in pairs)
        rows.append(
            (
                " ".join(Path(word).name for word in words)
                + (" (compiled)" if _COMPILED in words else ""),
                *(
                    f"{statistics.median(side):.3f} s (least {min(side):.3f})"
                    for side in (before, now)
                ),
                f"**{ratio:.2f}**",
            )
        )
    head = ("command", other.name, "this checkout", "ratio, run by run")
    return results.table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("--times", type=int, default=5, help="pairs of runs")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for size in SIZES:
            case = Path(folder) / f"{size}.json"
            case.write_text(json.dumps(case_of_lines(different_lines(size))), encoding="utf-8")
            pairs = [
                (spent_by(options.other.resolve(), case), spent_by(ROOT, case))
                for _ in range(options.times + 1)
            ][1:]
            before, now = (
                [statistics.median(column) for column in zip(*side, strict=True)]
                for side in zip(*pairs, strict=True)
            )
            rows.append(
                (
                    f"{size:,}",
                    *(
                        f"{then:.0f} to {today:.0f} ({today / then:.2f})"
                        for then, today in zip(before, now, strict=True)
                    ),
                )
            )
    headings = ["different lines", "first diagnosis, ms of CPU", "second", "memory, MiB"]
    parts = [
        results.table(headings, rows),
        (
            f"Medians of {options.times} pairs of fresh processes that alternate, {options.other.name} to this "
            "checkout, with the ratio. The first diagnosis includes all that a process makes ready for it."
        ),
    ]
    results.write("first", "First logs", "\n\n".join(parts))
    told = f"Processor time, {2 * options.times} runs of each in turns; a first one writes the bytecode."
    table = commands_table(options.other.resolve(), 2 * options.times)
    results.write("first-commands", "Commands that people wait for", f"{told}\n\n{table}")


if __name__ == "__main__":
    main()
