"""Whether two checkouts give the same answers to every text that the repository holds.

    python bench/diagnosis/compare.py OTHER [--cases FILE_OR_FOLDER ...] [--show 40]

`OTHER` is the root of another checkout (`git worktree add`). Messages, generated time-outs and
deaths, recorded failures and case files are diagnosed by both, each in a process of its own: verdict,
causes, confidences to four digits, evidence and advice. Prints what differs; exit 1 where anything does.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

ROOT = Path(__file__).resolve().parents[2]

_ANSWER = """
import json, sys
from remediator.case import Case
from remediator.diagnosis import diagnose
with open(sys.argv[1], encoding="utf-8") as cases:
    for line in cases:
        name, body = json.loads(line)
        found = diagnose(Case.parse(body))
        print(json.dumps([name, found.verdict.value, [
            [one.cause.value, round(one.confidence, 4), one.advice, [e.says for e in one.evidence]]
            for one in found.causes]]))
"""


def texts_of_the_repository() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every case that bench and tests know, by name: messages, generated ones, recordings, files."""
    from bench.diagnosis.corpus import case_of, messages
    from bench.diagnosis.lab import scenarios
    from bench.diagnosis.physics import cases, deaths
    from bench.diagnosis.run import reasons
    from bench.diagnosis.strangers import strangers

    for name in ("messages", "held_out", "recalled"):
        for row in messages(name):
            yield f"{name}/{row['id']}", case_of(row)
    for name in ("training", "serving"):
        for scenario in scenarios(name):
            yield f"{name}/{scenario.id}", scenario.body
    for number, stranger in enumerate(strangers()):
        yield f"strangers/{number}", stranger.body
    for number, made in enumerate(cases(400)):
        yield f"time-outs/{number}", made.body
    for number, made in enumerate(deaths(400, reasons())):
        yield f"deaths/{number}", made.body
    yield from case_files(ROOT / "tests" / "data")
    yield from case_files(ROOT / "docs" / "examples")


def case_files(place: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Case files (JSON objects with a `job`) at or under `place`."""
    for path in sorted(place.rglob("*.json")) if place.is_dir() else [place]:
        body = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(body, dict) and isinstance(body.get("job"), dict):
            yield f"{path.parent.name}/{path.name}", body


def answers(checkout: Path, cases: Path) -> list[Any]:
    """What the checkout says of each case, in their order."""
    done = subprocess.run(
        [sys.executable, "-c", _ANSWER, str(cases)],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{checkout}: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("--cases", type=Path, nargs="*", default=[], help="more case files")
    parser.add_argument("--show", type=int, default=40, help="how many differences are printed")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "cases.jsonl"
        with listed.open("w", encoding="utf-8") as file:
            known = [*texts_of_the_repository()]
            for more in options.cases:
                known += case_files(more)
            file.writelines(json.dumps(one) + "\n" for one in known)
        here, there = answers(ROOT, listed), answers(options.other.resolve(), listed)
    kinds: Counter[str] = Counter()
    for mine, theirs in zip(here, there, strict=True):
        if mine == theirs:
            kinds["equal"] += 1
            continue
        what = "verdict" if mine[1] != theirs[1] else _what_differs(mine[2], theirs[2])
        kinds[what] += 1
        if sum(kinds.values()) - kinds["equal"] <= options.show:
            print(f"{mine[0]}: {what}: {_brief(theirs)} -> {_brief(mine)}")
    print(f"{len(here)} cases: " + ", ".join(f"{what} {n}" for what, n in kinds.most_common()))
    return int(kinds["equal"] < len(here))


def _what_differs(mine: list[Any], theirs: list[Any]) -> str:
    if [one[:2] for one in mine] != [one[:2] for one in theirs]:
        return "confidence"
    return "evidence" if [one[2] for one in mine] == [one[2] for one in theirs] else "advice"


def _brief(answer: list[Any]) -> str:
    return f"{answer[1]} {[(cause, sure) for cause, sure, *_ in answer[2][:2]]}"


if __name__ == "__main__":
    sys.exit(main())
