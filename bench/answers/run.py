"""Whether two checkouts give the same answers: diagnoses, plans and alerts of every case there is.

    python bench/answers/run.py [--against COMMIT] [--of COMMIT] [--show 20] [CASE_OR_FOLDER…]

Each checkout's own command line answers, in a process of its own, over the same case files: the
messages of the corpora, the recorded runs of the labs, the example and `tests/cases`, and what is named
besides. Exit 1 where one answer differs, with the files and keys. For a change that is to be faster
and nothing else: compare with the commit before it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from bench import earlier, results  # noqa: E402  # the checkout is found above
from bench.diagnosis import lab  # noqa: E402
from bench.diagnosis.corpus import case_of, messages  # noqa: E402

POLICIES = """\
version: 1
mode: enforce
rerun_safe: [batch_prediction, custom, hyperparameter_tuning, training_pipeline, pipeline]
channels: {oncall: {slack: {webhook: "env:SLACK_WEBHOOK_URL"}}}
policies:
  - {name: memory, when: {cause: memory_pressure}, do: [{resubmit: {machine_type: more_memory}}], alert: [oncall]}
  - {name: cpus, when: {cause: cpu_saturation}, do: [{resubmit: {machine_type: bigger}}], alert: [oncall]}
  - {name: passing, when: {cause: internal_error}, do: [{resubmit: {}}], alert: [oncall]}
  - {name: rest, when: {}, do: [], alert: [oncall]}
"""
# Run by each checkout's own code: a line of JSON for each file, of all that was printed.
WORKER = """\
import contextlib, io, json, sys
try:
    from remediator.cli.main import main
except ImportError:
    from remediator.cli import main
def told(*arguments):
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(list(arguments))
    except SystemExit as end:
        code = end.code
    try:
        return [code, json.loads(out.getvalue())]
    except ValueError:
        return [code, out.getvalue() or err.getvalue()]
policies = sys.argv[1]
for line in sys.stdin:
    file = line.strip()
    print(json.dumps([
        told("diagnose", file, "--json"),
        told("plan", file, "--policies", policies, "--json"),
        told("alert", "preview", file, "--policies", policies),
    ]), flush=True)
"""
_WHAT = ("diagnose", "plan", "alert")


def cases() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every case of this repository, by a name of its own."""
    for name in ("messages", "held_out", "fresh", "recalled"):
        for row in messages(name):
            yield f"{name}-{row['id']}", case_of(row)
    for name in ("training", "serving", "blind"):
        for scenario in lab.scenarios(name):
            yield f"{name}-{scenario.id}", scenario.body
    for file in sorted(ROOT.glob("tests/cases/**/*.json")):
        yield f"cases-{file.stem}", json.loads(file.read_text())
    yield "example", json.loads((ROOT / "docs" / "examples" / "case.json").read_text())


def answers(root: Path, files: list[Path], policies: Path) -> list[list[Any]]:
    """What the checkout says of each file."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(policies)],
        input="".join(f"{file}\n" for file in files),
        cwd=root,
        env={"PATH": os.environ["PATH"], "HOME": str(policies.parent), "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != len(files):
        raise SystemExit(
            f"{root}: {len(lines)} answers to {len(files)} files\n{done.stderr[-3000:]}"
        )
    return [json.loads(line) for line in lines]


def main() -> int:
    """Asks both, writes the section; 0 where all is the same."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("more", nargs="*", type=Path, help="case files, or folders of them")
    parser.add_argument("--against", default=earlier.BASELINE, help="a commit, or a folder")
    parser.add_argument(
        "--of", default=str(ROOT), help="what is compared; this checkout unless told"
    )
    parser.add_argument("--show", type=int, default=20, help="differences that are printed")
    chosen = parser.parse_args()
    with (
        earlier.checkout(chosen.against) as before,
        earlier.checkout(chosen.of) as after,
        tempfile.TemporaryDirectory() as name,
    ):
        folder = Path(name)
        policies = folder / "policies.yaml"
        policies.write_text(POLICIES)
        files = []
        for number, (title, body) in enumerate(cases()):
            file = folder / f"{number:04d}-{title.replace('/', '_')[:80]}.json"
            file.write_text(json.dumps(body))
            files.append(file)
        for one in chosen.more:
            files += sorted(one.resolve().rglob("*.json")) if one.is_dir() else [one.resolve()]
        old, new = answers(before, files, policies), answers(after, files, policies)
    different = [
        (file.name, what, theirs, ours)
        for file, *both in zip(files, old, new, strict=True)
        for what, theirs, ours in zip(_WHAT, *both, strict=True)
        if theirs != ours
    ]
    for file, what, theirs, ours in different[: chosen.show]:
        print(f"{file}: {what}\n  - {json.dumps(theirs)[:600]}\n  + {json.dumps(ours)[:600]}")
    named = "an earlier checkout" if Path(chosen.against).is_dir() else chosen.against
    whose = "this checkout" if Path(chosen.of).is_dir() else chosen.of
    text = (
        f"{len(files):,} case files, each diagnosed, planned and told, by {whose} and {named}: "
        f"{len(different):,} of {3 * len(files):,} answers differ."
    )
    results.write("answers", "The same answers as before", text)
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
