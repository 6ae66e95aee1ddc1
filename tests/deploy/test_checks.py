"""The GitHub action and the pre-commit hook for policy files, run as GitHub and pre-commit run them."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.terraform import ROOT

ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GOOD = """\
version: 1
policies:
  - {name: everything, when: {}, do: [], alert: []}
"""
BAD = GOOD.replace("version: 1", "version: 1\nmode: enforced")


def packages() -> str:
    """Where this environment's packages lie: to pip they are there, so that only ours is installed.

    Else each of these tests would fetch some hundreds of megabytes.
    """
    return sysconfig.get_path("purelib")


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runner's folder in which the action's own step has installed it; its needs are lent."""
    folder = tmp_path_factory.mktemp("runner")
    (install,) = [step for step in steps() if step["name"] == "Install"]
    done = play(install, folder, folder, {})
    if "No matching distribution" in done.stdout + done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return folder


def steps() -> list[dict[str, Any]]:
    return [step for step in ACTION["runs"]["steps"] if "run" in step]


def play(
    step: dict[str, Any], temp: Path, workspace: Path, inputs: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    """One `run` step of the composite action, its expressions filled in as GitHub does."""
    defaults = {name: one["default"] for name, one in ACTION["inputs"].items()}
    known = {f"inputs.{k}": v for k, v in {**defaults, **inputs}.items()}
    known["github.action_path"] = str(ROOT)

    def filled(text: str) -> str:
        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda match: known[match[1]], text)

    assert step["shell"] == "bash"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", filled(step["run"])],
        cwd=workspace,
        env={
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(temp),
            "RUNNER_TEMP": str(temp),
            "PYTHONPATH": packages(),
            **{k: v for k, v in os.environ.items() if k.startswith("PIP_")},
            **{name: filled(value) for name, value in step.get("env", {}).items()},
        },
        capture_output=True,
        text=True,
        check=False,
    )


def check(runner: Path, workspace: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    (step,) = [step for step in steps() if step["name"] != "Install"]
    return play(step, runner, workspace, inputs)


def test_no_expression_stands_in_a_script_where_it_could_be_run() -> None:
    assert [step["name"] for step in steps() if "${{" in step["run"]] == []


def test_a_good_file_passes(runner: Path, tmp_path: Path) -> None:
    (tmp_path / "policies.yaml").write_text(GOOD)
    done = check(runner, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "::" not in done.stdout


def test_a_mistake_is_annotated_on_its_line(runner: Path, tmp_path: Path) -> None:
    (tmp_path / "policies.yaml").write_text(BAD)
    done = check(runner, tmp_path)
    assert done.returncode == 1
    assert (
        "::error file=policies.yaml,line=2,col=7::mode: unknown value `enforced`; "
        "did you mean `enforce`?"
    ) in done.stdout.splitlines()


def test_a_file_that_is_not_there_is_an_error(runner: Path, tmp_path: Path) -> None:
    assert check(runner, tmp_path, policies="elsewhere.yaml").returncode == 2


def test_policy_tests_are_run(runner: Path, tmp_path: Path) -> None:
    (tmp_path / "policies.yaml").write_text((ROOT / "policies.yaml").read_text())
    cases = tmp_path / "cases"
    cases.mkdir()
    case = (ROOT / "docs" / "examples" / "case.json").read_text()
    (cases / "one.json").write_text(case)
    passed = check(runner, tmp_path, cases="cases")
    assert passed.returncode == 0, passed.stdout
    (cases / "one.json").write_text(case.replace('"verdict": "', '"verdict": "not_', 1))
    assert check(runner, tmp_path, cases="cases").returncode in {1, 2}


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with two policy files, one of them with a mistake."""
    if importlib.util.find_spec("pre_commit") is None:
        pytest.skip("pre-commit is not installed")
    folder = tmp_path_factory.mktemp("repository")
    (folder / "policies.yaml").write_text(GOOD)
    (folder / "team").mkdir()
    (folder / "team" / "policies.yml").write_text(BAD)
    (folder / "other.yaml").write_text("a: b\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    return folder


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def test_the_hook_is_one_by_pre_commits_own_rules_and_names_policy_files_alone() -> None:
    pytest.importorskip("pre_commit", reason="pre-commit is not installed")
    manifest = ROOT / ".pre-commit-hooks.yaml"
    command = [sys.executable, "-m", "pre_commit", "validate-manifest", str(manifest)]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
    (hook,) = yaml.safe_load(manifest.read_text())
    files = re.compile(hook["files"])
    assert [n for n in ("policies.yaml", "a/policies.yml") if not files.search(n)] == []
    assert [n for n in ("mypolicies.yaml", "policies.yaml.bak") if files.search(n)] == []


def test_pre_commit_runs_the_hook_and_stops_the_commit(hooked: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pre_commit", "try-repo", str(ROOT)),
            *("vertex-remediator-policies", "--all-files", "--verbose"),
        ],
        cwd=hooked,
        env={
            **os.environ,
            "PRE_COMMIT_HOME": str(tmp_path),
            "PYTHONPATH": packages(),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if "No matching distribution" in done.stdout + done.stderr:
        pytest.skip("no package index can be reached")
    assert done.returncode == 1, done.stderr
    assert "team/policies.yml:2:7: error: mode: unknown value `enforced`" in done.stdout
    assert "other.yaml" not in done.stdout
