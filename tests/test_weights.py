"""Every weight stands in one table, with its source and its users; no number of the diagnosis is unexplained."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from remediator.diagnosis.weights import SCALE, TABLE, parsed, rows, weight_of

ROOT = Path(__file__).resolve().parents[1]
DIAGNOSIS = ROOT / "remediator" / "diagnosis"
SOURCES = sorted(DIAGNOSIS.rglob("*.py"))
_KINDS = frozenset({"nats", "factor", "probability", "temperature"})
_SOURCE = re.compile(r"chosen$|(?:measured|documented): (?P<where>[^\s,]+)")
_EXPLAINED = re.compile(r"\b(?:measured|documented|chosen)\b", re.IGNORECASE)
# Counting, percent, and what a unit has of the next smaller one.
_SPEAKS_FOR_ITSELF = frozenset({0, 1, 2, 10, 60, 100, 1000, 1024, 3600, 1e6})
# Whose arguments and which variables are weights, or change one.
_MAKERS = frozenset(
    {"weighted_evidence", "WeightedEvidence", "load_evidence", "_of_section", "_of_server"}
)
_WEIGHTS = frozenset({"weight", "factor", "kept", "against", "thin", "grown", "by_name"})


def _users() -> dict[str, set[str]]:
    """The functions that ask for each row: module and name, as the table writes them."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in SOURCES:
        module = ".".join(path.relative_to(DIAGNOSIS).with_suffix("").parts)
        module = "diagnose" if module == "__init__" else module.removesuffix(".__init__")
        for name, node in _functions(ast.parse(path.read_text())):
            for row in _asked_for(node):
                found[row].add(f"{module}.{name}")
    return found


def _functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for member in node.body:
                yield f"{node.name}.{getattr(member, 'name', '')}", member
        else:
            yield "", node


def _asked_for(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "weight_of":
            (name,) = node.args
            assert isinstance(name, ast.Constant), "a weight is asked for by its name as written"
            yield str(name.value)


def test_the_table_names_the_functions_that_use_each_weight() -> None:
    table = {row.name: set(row.users) for row in rows() if row.name not in SCALE}
    assert table == _users()


def test_each_row_says_its_kind_its_source_and_what_it_weighs() -> None:
    for row in rows():
        assert row.kind in _KINDS, row
        assert row.says.endswith("."), row
        source = _SOURCE.match(row.source)
        assert source, row
        if source["where"]:
            assert (ROOT / source["where"]).exists(), row


def test_no_name_stands_twice_in_the_table() -> None:
    names = [row.name for row in rows()]
    assert len(names) == len(set(names)) > len(SCALE)


@pytest.mark.parametrize(
    ("written", "number"),
    [("0.35", 0.35), ("fair", 3.7), ("-hint", -1.4), ("strong - 0.2", 4.8), ("-hint / 2", -0.7)],
)
def test_a_value_may_be_written_on_the_scale(written: str, number: float) -> None:
    assert parsed(written, {"hint": 1.4, "fair": 3.7, "strong": 5.0}) == pytest.approx(number)


def test_an_unknown_weight_is_an_error() -> None:
    with pytest.raises(KeyError):
        weight_of("no such row")


def test_the_table_is_read_by_the_product_from_beside_its_code() -> None:
    assert TABLE.parent == DIAGNOSIS


def _numbers(tree: ast.AST) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and type(node.value) in {int, float}:
            yield node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(DIAGNOSIS)))
def test_no_weight_is_written_as_a_number(path: Path) -> None:
    """Neither what evidence is made with, nor what is assigned to a weight, nor is it changed by one."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            parts = node.args if node.func.id in _MAKERS else []
        elif isinstance(node, ast.Assign | ast.AugAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names = {getattr(target, "id", "") for target in targets}
            parts = [node.value] if names & _WEIGHTS else []
        else:
            continue
        numbers = (number for part in parts for number in _numbers(part))
        found += [node.lineno for number in numbers if number.value not in {0, 1, 2}]
    assert found == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(DIAGNOSIS)))
def test_each_number_says_whether_it_was_measured_documented_or_chosen(path: Path) -> None:
    """In a comment of its statement, in the comment lines above it, or in the docstring below it."""
    text = path.read_text()
    comments = {
        token.start[0]: token.string
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    }
    found = []
    tree = ast.parse(text)
    for statement, after in zip(tree.body, [*tree.body[1:], None], strict=True):
        inside = isinstance(statement, ast.FunctionDef | ast.ClassDef)
        for number in _numbers(statement):
            if number.value in _SPEAKS_FOR_ITSELF and (inside or number.value in {0, 1}):
                continue
            first, last = (
                (number.lineno, number.end_lineno)
                if inside
                else (statement.lineno, statement.end_lineno)
            )
            around = [comments.get(line, "") for line in range(first, (last or first) + 1)]
            above = first - 1
            while above in comments:
                around.append(comments[above])
                above -= 1
            if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                around.append(str(after.value.value))
            if not _EXPLAINED.search(" ".join(around)) and not re.search(
                r"weight_of|PLR2004  # ", text.splitlines()[number.lineno - 1]
            ):
                found.append(f"{number.lineno}: {number.value}")
    assert found == []
