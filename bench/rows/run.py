"""`rows` beside a plain dict-of-lines script: memory and speed on large batches.

`python bench/rows/run.py [--quick] [--only beside|exact|storage]`: 200,000 rows of 2 kB (with a key,
and without) and 2 million small ones, 30% of them missing and all shuffled. Both sides run as processes
of their own, in turns; the ratios of processor time and of memory above each side's base are what
counts. Then whether awkward batches are exact (see `exact`), and the same job read from Cloud Storage,
the twin's, with the memory that this takes. What it saves in dollars is measured in `bench/remediation`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench import results
from bench.rows.exact import exact_table

ROOT = Path(__file__).resolve().parents[2]
TURNS = 3
MISSING = 0.3

PLAIN = """
import json, sys
took, gave, again, name = sys.argv[1:5]
def identity(row):
    return row[name] if name else json.dumps(row, sort_keys=True)
lines = {}
for line in open(took):
    row = json.loads(line)
    lines[identity(row if name else row["request"])] = line
for line in open(gave):
    row = json.loads(line)
    if not row["status"]:
        lines.pop(identity(row if name else row["request"]), None)
with open(again, "w") as stream:
    stream.writelines(lines.values())
print(len(lines))
"""
"""What people write: each line in a dict by its key, or by its request as sorted JSON."""

MEASURED = """
import resource, runpy, sys
sys.argv = sys.argv[1:]
def peak():
    return int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
if sys.argv[0] == "remediator":
    import remediator.cli.rows, remediator.rows, os
    if "STORAGE_EMULATOR_HOST" in os.environ:
        import google.cloud.storage, remediator.app, remediator.cloud.vertex, remediator.cloud.objects
        from google.cloud import aiplatform_v1
else:
    import json
base = peak()
try:
    runpy.run_path(sys.argv[0], run_name="__main__") if sys.argv[0].endswith(".py") else \
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(f"measured {used.ru_utime + used.ru_stime} {(peak() - base) / 1024}", file=sys.stderr)
"""


@dataclass(frozen=True)
class Batch:
    """A batch to be read: `words` is about how many bytes of text a row has."""

    title: str
    rows: int
    text_bytes: int
    key: str


def make(batch: Batch, folder: Path) -> tuple[Path, Path, float]:
    """Input and output files, and their size together in MB. The output is shuffled in blocks."""
    chance = random.Random(27)
    took, gave = folder / "in.jsonl", folder / "predictions.jsonl"
    words = [f"{chance.getrandbits(40):010x}" for _ in range(5000)]
    answer = {"candidates": [{"content": "yes", "score": 0.25}]}
    block: list[str] = []
    with took.open("w") as inputs, gave.open("w") as outputs:
        for number in range(batch.rows):
            text = " ".join(chance.choices(words, k=max(1, batch.text_bytes // 11)))
            row: dict[str, object] = {
                "request": {"n": number, "text": text, "nested": {"b": [1.0, 0.125], "a": "\u00e9"}}
                if batch.text_bytes > 100
                else {"n": number}
            }
            if batch.key:
                row[batch.key] = f"row-{number}"
            inputs.write(json.dumps(row) + "\n")
            if chance.random() >= MISSING:
                record = {"status": "", "response": answer, **row}
                block.append(json.dumps(record, ensure_ascii=False) + "\n")
            if len(block) >= 20_000:
                chance.shuffle(block)
                outputs.writelines(block)
                block.clear()
        chance.shuffle(block)
        outputs.writelines(block)
    size = (took.stat().st_size + gave.stat().st_size) / 1e6
    return took, gave, size


def measured(*arguments: str, **environment: str) -> tuple[float, float]:
    """(processor seconds, MiB above the base) of one run."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    _, seconds, mib = done.stderr.strip().splitlines()[-1].split()
    return float(seconds), float(mib)


def row_of(batch: Batch, turns: int) -> str:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        took, gave, size = make(batch, folder)
        script = folder / "plain.py"
        script.write_text(PLAIN)
        ours, theirs = folder / "ours", folder / "theirs"
        figures: dict[str, list[tuple[float, float]]] = {"ours": [], "theirs": []}
        for _ in range(turns):
            figures["theirs"].append(
                measured(str(script), str(took), str(gave), str(theirs), batch.key)
            )
            figures["ours"].append(
                measured(
                    "remediator",
                    "rows",
                    "--input",
                    str(took),
                    "--output",
                    str(gave),
                    "-o",
                    str(ours),
                )
            )
        same = ours.read_bytes() == theirs.read_bytes()
    seconds = {side: min(one for one, _ in told) for side, told in figures.items()}
    memory = {side: max(one for _, one in told) for side, told in figures.items()}
    return (
        f"| {batch.title} | {size:,.0f} MB | {size / seconds['ours']:.0f} | "
        f"{size / seconds['theirs']:.0f} | **{seconds['ours'] / seconds['theirs']:.2f}** | "
        f"{memory['ours']:.0f} | {memory['theirs']:.0f} | {'yes' if same else 'NO'} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows")
    parser.add_argument("--turns", metavar="N", type=int, default=TURNS, help="runs of each side")
    parser.add_argument("--only", choices=("beside", "exact", "storage"), help="one part alone")
    asked = parser.parse_args()
    parts = [asked.only] if asked.only else ["beside", "exact", "storage"]
    answers = []
    if "exact" in parts:
        lines, fine = exact_table(quick=asked.quick)
        results.write(
            "rows-exact", "Rows that are left, exactly", "\n".join(lines), quick=asked.quick
        )
        answers.append(fine)
    if "storage" in parts:
        answers.append(from_storage(quick=asked.quick))
    if "beside" in parts:
        answers.append(beside(quick=asked.quick, turns=asked.turns))
    return 0 if all(answers) else 1


def from_storage(*, quick: bool) -> bool:
    """A job's rows read from the twin's Cloud Storage by Google's client: time and memory."""
    from twin.cloud import Cloud

    part = 10 if quick else 1
    lines = []
    fine = True
    for batch in (
        Batch(f"{200_000 // part:,} rows of 2 kB, by a key", 200_000 // part, 2_000, "custom_id"),
        Batch(f"{2_000_000 // part:,} small rows, by content", 2_000_000 // part, 20, ""),
    ):
        with tempfile.TemporaryDirectory() as name, Cloud() as cloud:
            took, gave, size = make(batch, Path(name))
            cloud.storage.put("lab-in", "rows.jsonl", took.read_bytes())
            cloud.storage.put("lab-out", "run/prediction/predictions.jsonl", gave.read_bytes())
            job = cloud.add_job(_expired(cloud.name("batchPredictionJobs", "27")))
            again = Path(name) / "again"
            seconds, mib = measured(
                "remediator", "rows", str(job["name"]), "-o", str(again), **cloud.env()
            )
            sent = sum(1 for _ in again.open("rb"))
            missing = batch.rows - sum(1 for _ in gave.open("rb"))
        fine = fine and sent == missing
        lines.append(
            f"| {batch.title} | {size:,.0f} MB | {size / seconds:.0f} | {mib:.0f} | "
            f"{'yes' if sent == missing else 'NO'} |"
        )
    text = "\n".join(
        [
            "`rows JOB -o …` over the twin's Cloud Storage, by Google's client; one run. Memory is above the process's base (all that it imports, the clients among it). Each file is read twice, since `-o` reads the input again.",
            "",
            "| batch | read | MB a second of processor time | MiB | all that is missing, and no more |",
            "| --- | --- | --- | --- | --- |",
            *lines,
        ]
    )
    results.write("rows-storage", "Rows read from Cloud Storage", text, quick=quick)
    return fine


def _expired(name: str) -> dict[str, object]:
    return {
        "name": name,
        "displayName": "score",
        "model": "publishers/google/models/gemini-2.5-flash",
        "state": "JOB_STATE_EXPIRED",
        "inputConfig": {
            "instancesFormat": "jsonl",
            "gcsSource": {"uris": ["gs://lab-in/rows.jsonl"]},
        },
        "outputConfig": {
            "predictionsFormat": "jsonl",
            "gcsDestination": {"outputUriPrefix": "gs://lab-out/run"},
        },
        "outputInfo": {"gcsOutputDirectory": "gs://lab-out/run/prediction"},
    }


def beside(*, quick: bool, turns: int) -> bool:
    """Ours and a plain script over the same files."""
    part = 10 if quick else 1
    batches = (
        Batch(f"{200_000 // part:,} rows of 2 kB, by a key", 200_000 // part, 2_000, "custom_id"),
        Batch(f"{200_000 // part:,} rows of 2 kB, by content", 200_000 // part, 2_000, ""),
        Batch(f"{2_000_000 // part:,} small rows, by a key", 2_000_000 // part, 20, "custom_id"),
        Batch(f"{2_000_000 // part:,} small rows, by content", 2_000_000 // part, 20, ""),
    )
    lines = [row_of(batch, turns) for batch in batches]
    text = "\n".join(
        [
            f"`rows --input … --output … -o …` beside a script that keeps each line in a dict, of the same files, {turns} run{'s' if turns > 1 else ''} in turns: the least processor time (with that of starting), the most memory above the process's base (all that it imports). {MISSING:.0%} of the rows are missing. The last column: whether both wrote the same bytes.",
            "",
            "| batch | read | ours, MB/s | script, MB/s | processor time, ours / script | ours, MiB | script, MiB | same |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |",
            *lines,
        ]
    )
    results.write("rows", "Rows that are left, beside a plain script", text, quick=quick)
    return not any(line.endswith("NO |") for line in lines)


if __name__ == "__main__":
    sys.exit(main())
