"""`make mutants ROOM=resubmit`: is each line of a room that moves money watched by a fast test?

Runs mutmut (one change to the code at a time, https://mutmut.readthedocs.io) over one room with that
room's own tests, in a copy of the tree below `.mutants/`, one process, and prints how many mutants its
tests killed and which survived. Not part of `make test`: a room takes minutes to an hour.

A mutant that changes only words (a log line, an error's text, a sentence of an alert) is counted
apart: the figures that docs/reliability.md gives are of the others, which change what is sent, spent
or stored. `--sample N` runs N of a room's mutants, the same ones each time for one `--seed`.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_COPIED = ("remediator", "tests", "twin", "docs", "deploy", "telemetry", "bench")
_FILES = ("main.py", "policies.yaml", "requirements.txt", "pyproject.toml")
_LEDGER = (
    "tests/ledger/test_claims.py",
    "tests/ledger/test_attempts.py",
    "tests/ledger/test_counters.py",
)
_POLICY = ("tests/policy", "tests/planning", "tests/test_guards.py")


_QUIET = ("-p", "no:cacheprovider", "-p", "no:xdist")
_FAST = "not emulator and not hypothesis"
_UNCHANGED = "not a_few_calls_more"  # what counts calls counts mutmut's own too


@dataclass(frozen=True)
class Room:
    """Which files are changed, and which tests must notice.

    `words`: functions that only tell. `only`: the functions that count, where not all do.
    """

    files: tuple[str, ...]
    tests: tuple[str, ...]
    words: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()


ROOMS = {
    "resubmit": Room(("workflow/resubmit.py", "workflow/claims.py"), ("tests/workflow/test_resubmit.py", "tests/workflow/test_resubmit_answers.py", "tests/workflow/test_resubmit_take_over.py")),
    "claims": Room(
        ("ledger/claims.py", "ledger/spending.py", "ledger/documents.py", "ledger/records.py"),
        _LEDGER,
        only=frozenset(
            {
                "claimed_root", "root_of", "claim", "take_over", "release_lease", "record", "step_over",
                "withdraw", "settle", "used", "_same_hold", "_joined", "exchanged",
                "at_least_zero", "send_before", "safe_to_recreate_at",
            }
        ),
    ),
    "budgets": Room(
        ("ledger/counters.py", "ledger/reservations.py", "planning/budgets.py"),
        _LEDGER,
        only=frozenset(
            {
                "used", "has_room", "added", "removed", "repriced", "raised", "expires", "_until",
                "_live", "_in_slots", "_micros", "bodies_of", "put_counters", "once_each", "moved",
                "rebooked", "_set_aside_anew", "budgets", "group_value", "window_seconds",
            }
        ),
    ),
    "planner": Room(
        (
            "planning/planner.py", "planning/plan_inputs.py", "planning/policy_match.py",
            "planning/approval_mode.py",
        ),
        _POLICY,
        frozenset({"_values_in_words"}),
    ),
    "steps": Room(
        ("planning/steps.py", "planning/hardware.py", "planning/components.py"),
        (
            *_POLICY, "tests/test_remedies.py", "tests/test_fallback.py", "tests/test_kinds.py",
            "tests/test_dead_ends.py", "tests/test_pipelines.py", "tests/test_slices.py",
            "tests/test_planner_words.py", "tests/test_matrix.py", "tests/planning",
        ),
        frozenset({"_not_legal"}),
    ),
    "sizing": Room(
        ("planning/sizing.py", "planning/similar_sizes.py"),
        ("tests/policy/test_sizing_bounds.py", "tests/policy/test_plans.py"),
        frozenset({"words_of", "own_limit_words", "too_much_words"}),
    ),
    "guards": Room(
        ("planning/guards.py",),
        ("tests/policy/test_guard_limits.py", "tests/test_guards.py"),
        frozenset({"_used_up", "_group"}),
    ),
    "workflow": Room(
        ("workflow/incident.py", "workflow/failure.py", "workflow/decide.py", "workflow/limits.py", "workflow/ownership.py", "workflow/similar_jobs.py", "workflow/conclusions.py", "workflow/running_attempts.py"), ("tests/workflow",)
    ),
}  # fmt: skip
_KILLED = frozenset({1, 3})  # pytest's exit codes: a test failed, or the run broke


def main() -> int:
    asked = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    asked.add_argument("room", choices=ROOMS)
    asked.add_argument("--sample", type=int, default=0, help="only so many mutants")
    asked.add_argument("--seed", type=int, default=17, help="of the sample")
    asked.add_argument("--only-report", action="store_true", help="what the last run found")
    told = asked.parse_args()
    folder = ROOT / ".mutants" / told.room
    if not told.only_report:
        _copied(folder, ROOMS[told.room])
        names = _chosen(folder, ROOMS[told.room], told.sample, told.seed)
        _mutmut(folder, "run", "--max-children", "1", *names)
    return 0 if _report(folder, ROOMS[told.room]) else 1


def _copied(folder: Path, room: Room) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in _COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in _FILES:
        shutil.copy(ROOT / name, folder / name)
    tests = [one for one in room.tests if (ROOT / one).exists()]
    settings = {
        "source_paths": ["remediator"],
        "only_mutate": [f"remediator/{one}" for one in room.files],
        "also_copy": [name for name in (*_COPIED, *_FILES) if name not in {"remediator", "tests"}],
        "pytest_add_cli_args": [*_QUIET, "-m", _FAST, "-k", _UNCHANGED],
        "pytest_add_cli_args_test_selection": tests,
    }
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    known = (folder / "pyproject.toml").read_text()
    (folder / "pyproject.toml").write_text(f"{known}\n[tool.mutmut]\n" + "\n".join(lines) + "\n")


def _mutmut(folder: Path, *words: str) -> None:
    with (folder / "mutmut.log").open("ab") as log:  # it redraws one line thousands of times
        subprocess.run(
            [sys.executable, "-m", "mutmut", *words],
            cwd=folder,
            stdout=log,
            stderr=log,
            check=False,
        )


def _chosen(folder: Path, room: Room, many: int, seed: int) -> list[str]:
    """Names of the mutants to run; none: all."""
    if not many and not room.only:
        return []
    _mutmut(folder, "run", "--max-children", "1", "no-such-mutant")  # makes them, runs none
    names = sorted(name for meta in _metas(folder) for name in _codes(meta))
    if room.only:
        names = [one for one in names if _own_name(one.rpartition(".")[2]) in room.only]
    if many:
        return random.Random(seed).sample(names, min(many, len(names)))
    return names


def _metas(folder: Path) -> list[Path]:
    return sorted((folder / "mutants" / "remediator").rglob("*.py.meta"))


def _codes(meta: Path) -> dict[str, int | None]:
    return dict(json.loads(meta.read_text())["exit_code_by_key"])


# --- what came of it ------------------------------------------------------------------------------


def _report(folder: Path, room: Room) -> bool:
    """Prints the survivors and the count; False where nothing was run, with the end of the log."""
    say = sys.stdout.write
    total: dict[str, int] = {"made": 0, "run": 0, "words": 0, "conduct": 0, "killed": 0}
    for meta in _metas(folder):
        functions = _functions(meta.with_suffix(""))
        for name, code in _codes(meta).items():
            mutant = name.rpartition(".")[2]
            if room.only and _own_name(mutant) not in room.only:
                continue
            total["made"] += 1
            if code is None:
                continue
            total["run"] += 1
            before = functions[mutant.rpartition("__mutmut_")[0] + "__mutmut_orig"]
            after = functions[mutant]
            if _own_name(mutant) in room.words or _same_conduct(before, after):
                total["words"] += 1
                continue
            total["conduct"] += 1
            if code in _KILLED:
                total["killed"] += 1
                continue
            say(f"\n{mutant.replace('__mutmut_', '#')} (exit {code})\n")
            say("".join(f"    {line}\n" for line in _difference(before, after)))
    if not total["run"]:
        say((folder / "mutmut.log").read_text()[-2000:])
        return False
    share = total["killed"] / total["conduct"] if total["conduct"] else 1.0
    say(
        f"\n{folder.name}: {total['made']} made, {total['run']} run, {total['words']} change words "
    )
    say(f"only; of {total['conduct']} others {total['killed']} killed: {share:.1%}\n")
    return True


def _own_name(mutant: str) -> str:
    bare = mutant.rpartition("__mutmut_")[0]
    return bare.rpartition("ǁ")[2] if "ǁ" in bare else bare.removeprefix("x_")


def _functions(path: Path) -> dict[str, ast.FunctionDef]:
    found = ast.walk(ast.parse(path.read_text()))
    return {one.name: one for one in found if isinstance(one, ast.FunctionDef)}


def _difference(before: ast.AST, after: ast.AST) -> Iterator[str]:
    texts = [ast.unparse(one).split("\n")[1:] for one in (before, after)]
    for line in difflib.unified_diff(*texts, n=0, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield line[:1] + line[1:].strip()


def _same_conduct(before: ast.FunctionDef, after: ast.FunctionDef) -> bool:
    """Whether the two differ in words alone."""
    texts = [ast.unparse(_Wordless().visit(ast.parse(ast.unparse(one)))) for one in (before, after)]
    bodies = [text.partition("\n")[2] for text in texts]  # their names differ
    return bodies[0] == bodies[1]


_TOLD = frozenset({"because", "notes", "explanation", "cost_basis", "extra"})
_SAID = frozenset({"msg", "words", "said", "named"})
_ERRORS = frozenset({"Impossible", "Exhausted", "NoWay", "Stuck", "Refusal"})


class _Wordless(ast.NodeTransformer):
    """The code without what it says: sentences, log lines, the texts of errors."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if ast.unparse(node).startswith("log.") else self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        told = isinstance(node.targets[0], ast.Name) and node.targets[0].id in _SAID
        return None if told else self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            error = ast.Call(node.exc.func, node.exc.args[1:], node.exc.keywords)
            return ast.copy_location(ast.Raise(error, None), node)
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        node.keywords = [one for one in node.keywords if one.arg not in _TOLD]
        if isinstance(node.func, ast.Name) and node.func.id in _ERRORS:
            node.args = [one for one in node.args if not _is_text(one)]
        if isinstance(node.func, ast.Attribute) and node.func.attr == "note":
            return self.generic_visit(node.func.value)
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        plain = (one.value for one in node.values if isinstance(one, ast.Constant))
        if any(" " in str(text) for text in plain):
            return ast.copy_location(ast.Constant("said"), node)
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if isinstance(node.value, str) and " " in node.value:
            return ast.copy_location(ast.Constant("said"), node)
        return node


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr | ast.Constant) or (
        isinstance(node, ast.Name) and node.id in {"why", "msg"}
    )


if __name__ == "__main__":
    sys.exit(main())
