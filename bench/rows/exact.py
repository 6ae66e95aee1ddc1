"""Whether `rows` is exact: batches of every awkward shape, held against what is known to be missing.

Makes batches with 0.1 to 50% of their rows missing, shuffled, with duplicates, nested values, floats
and escapes in other spellings, and torn last lines, by a key and by content. Of each the rows that are
left must be the ones that were left out, or the account must be refused. Called by `run`.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from remediator.rows import Files, RowFile, account

SHARES = (0.001, 0.01, 0.1, 0.3, 0.5)
SHAPES = ("plain", "nested", "floats", "escapes", "duplicates", "torn", "failed", "shards")
_ROWS = 20_000


def _request(shape: str, number: int, chance: random.Random) -> dict[str, Any]:
    own = number // 3 if shape == "duplicates" else number
    values: dict[str, Any] = {"n": own, "text": f"row {own}"}
    if shape == "nested":
        values["deep"] = {"b": [{"c": [own, None, True, {"d": {}}]}], "a": {"x": [[], [[]]]}}
    if shape == "floats":
        values["x"] = [own + 0.5, float(own), 1e-7 * own, -0.0, 10.0**15 + own]
    if shape == "escapes":
        values["é\n"] = f'\u00e9 😀 "{own}" \\ / \u2028'
    keys = list(values)
    if shape == "nested":
        chance.shuffle(keys)
    return {key: values[key] for key in keys}


def _respelt(value: Any, chance: random.Random) -> Any:
    """The same value as another writer has it: keys in another order, whole floats as integers."""
    if isinstance(value, dict):
        items = [(key, _respelt(item, chance)) for key, item in value.items()]
        chance.shuffle(items)
        return dict(items)
    if isinstance(value, list):
        return [_respelt(item, chance) for item in value]
    if isinstance(value, float) and value.is_integer() and chance.random() < 0.5:
        return int(value)
    return value


def _batch(
    shape: str, share: float, *, keyed: bool, count: int
) -> tuple[list[str], list[str], list[bool]]:
    """(input lines, output lines in another order, whether each row is left)."""
    chance = random.Random(f"{shape}/{share}/{keyed}")
    took, gave, left = [], [], []
    for number in range(count):
        row: dict[str, Any] = {"request": _request(shape, number, chance)}
        if keyed:
            row["custom_id"] = f"row-{number}"
        took.append(json.dumps(row))
        is_left = chance.random() < share
        left.append(is_left)
        record = {**_respelt(row, chance), "status": "", "response": {"text": "x"}}
        if is_left and shape == "failed" and chance.random() < 0.5:
            record = {**row, "status": '{"code": 14, "message": "try again"}'}
        elif is_left:
            continue
        gave.append(json.dumps(record, ensure_ascii=chance.random() < 0.5))
    chance.shuffle(gave)
    return took, gave, left


def _judged(shape: str, share: float, *, keyed: bool, count: int, folder: Path) -> str:
    took, gave, left = _batch(shape, share, keyed=keyed, count=count)
    if shape == "torn":
        torn = json.loads(gave.pop())
        left[_place_of(torn, took)] = True
        gave.append(json.dumps(torn)[: random.Random(share).randrange(1, 60)])
    shards = [gave[0::3], gave[1::3], gave[2::3]] if shape == "shards" else [gave]
    names = [f"predictions.jsonl-{n:05d}-of-{len(shards):05d}" for n in range(len(shards))]
    (folder / "in.jsonl").write_text("\n".join(took) + "\n")
    for name, lines in zip(names, shards, strict=True):
        end = "" if shape == "torn" else "\n"
        (folder / name).write_text("\n".join(lines) + end)
    files = Files.sorted_by_name(
        [_source(folder / "in.jsonl")], [_source(folder / name) for name in names], []
    )
    with tempfile.TemporaryDirectory() as work:
        found = account(files, Path(work))
        if not found.account.sound:
            return "refused"
        sent = Counter(line.decode().strip() for line in found.remaining())
    wanted = Counter(line for line, is_left in zip(took, left, strict=True) if is_left)
    return "exact" if sent == wanted else "WRONG"


def _place_of(record: dict[str, Any], took: list[str]) -> int:
    for index, line in enumerate(took):
        if json.loads(line)["request"] == record["request"]:
            return index
    raise LookupError(record)


def _source(path: Path) -> RowFile:
    return RowFile(str(path), lambda: path.open("rb"), path.stat().st_size)


def exact_table(*, quick: bool) -> tuple[list[str], bool]:
    """The table's lines, and whether nothing was wrong."""
    count = _ROWS // 10 if quick else _ROWS
    lines = [
        f"Batches of {count:,} rows, each shape by a key and by content:",
        "",
        f"| missing | {' | '.join(SHAPES)} |",
        f"| --- |{' --- |' * len(SHAPES)}",
    ]
    fine = True
    for share in SHARES:
        cells = []
        for shape in SHAPES:
            answers = []
            for keyed in (True, False):
                with tempfile.TemporaryDirectory() as name:
                    answers.append(
                        _judged(shape, share, keyed=keyed, count=count, folder=Path(name))
                    )
            fine = fine and "WRONG" not in answers
            cells.append(", ".join(dict.fromkeys(answers)))
        lines.append(f"| {share:.1%} | {' | '.join(cells)} |")
    return lines, fine
