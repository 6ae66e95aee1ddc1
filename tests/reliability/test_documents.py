"""docs/reliability.md and docs/security.md say what the tests show: tables as run, tests that exist."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.ledger import test_faults as ledger_faults
from tests.reliability import test_crashes, test_faults, test_races

ROOT = Path(__file__).resolve().parents[2]
RELIABILITY, SECURITY = ROOT / "docs/reliability.md", ROOT / "docs/security.md"
_CITED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


def defined(path: Path) -> set[str]:
    """The tests of a file, and the ready-made test cases that Hypothesis gives to classes."""
    tree = ast.parse(path.read_text())
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return {name for name in functions | assigned if name.lower().startswith("test")}


@pytest.mark.parametrize("document", [RELIABILITY, SECURITY], ids=lambda path: path.name)
def test_every_test_that_a_document_cites_exists(document: Path) -> None:
    cited = _CITED.findall(document.read_text())
    assert len(cited) > 10
    missing = [
        f"{path}::{name}"
        for path, name in cited
        if not (ROOT / path).is_file() or (name and name not in defined(ROOT / path))
    ]
    assert missing == []


def fault_table(rows: Sequence[Any]) -> str:
    """Every row that is run, those of one service with one end together."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        grouped.setdefault((row.service, row.says), []).append(row.way)
    lines = ["| API | fails by | what becomes of the event |", "| --- | --- | --- |"]
    lines += [f"| {api} | {'; '.join(ways)} | {says} |" for (api, says), ways in grouped.items()]
    return "\n".join(lines) + "\n"


def test_the_table_of_faults_is_the_one_that_is_run() -> None:
    table = fault_table([*test_faults.ROWS, *ledger_faults.ROWS])
    assert table in RELIABILITY.read_text()
    services = {row.service for row in (*test_faults.ROWS, *ledger_faults.ROWS)}
    kinds = {row.way for row in test_faults.ROWS}
    pairs = {(row.service, row.way) for row in (*test_faults.ROWS, *ledger_faults.ROWS)}
    left_out = {(s, k) for s in services for k in kinds} - pairs
    assert left_out == {("Slack", "hang once"), ("SMTP", "hang once")}  # see test_alerts_delivery


def test_the_crash_points_are_the_ones_that_are_tried() -> None:
    text = RELIABILITY.read_text()
    for step in test_crashes.STEPS:
        assert f"| {step.replace('-', ' ')} |" in text
    assert f"{test_races.DUPLICATES} deliveries" in text
    assert f"{test_races.PROCESSES} processes" in text
