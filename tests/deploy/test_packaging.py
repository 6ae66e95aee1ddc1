"""What is sent, installed and run: the lock, the ignore file, the container."""

from __future__ import annotations

import fnmatch
import itertools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from remediator.cli.commands import build
from tests.deploy.terraform import ROOT, variable_defaults
from tests.deploy.what_runs import BESIDE_THE_PACKAGE, own_files

LOCK = (ROOT / "deploy" / "requirements.lock").read_text()
CONTAINER = (ROOT / "deploy" / "Dockerfile").read_text()
LOCKED_FOR = re.findall(r"made for Python (\S+) ", LOCK)[0]


def test_the_lock_pins_every_requirement_within_its_range_and_by_hash() -> None:
    pins = re.findall(r"^([A-Za-z0-9._-]+(?:\[\w+\])?)==(\S+) \\$", LOCK, re.MULTILINE)
    pinned = dict(pins)
    entries = re.split(
        r"\n(?=[A-Za-z0-9])", re.sub(r"^#.*\n", "", LOCK, flags=re.MULTILINE).strip()
    )
    assert len(entries) == len(pins) == len(pinned)
    once = {(name.partition("[")[0], version) for name, version in pins}
    assert len(once) == len({name for name, _ in once})  # with an extra or without: one version
    assert all("--hash=sha256:" in entry for entry in entries)
    wanted = [
        Requirement(line.split("#")[0].strip())
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    names = {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pinned.items()}
    missing = [
        str(requirement)
        for requirement in wanted
        if not requirement.specifier.contains(
            names.get(re.sub(r"[-_.]+", "-", requirement.name).lower(), "0")
        )
    ]
    assert missing == []


def test_what_runs_is_the_python_that_the_lock_was_made_for() -> None:
    assert variable_defaults()["runtime"] == f"python{LOCKED_FOR.replace('.', '')}"
    assert set(re.findall(r"^FROM python:([\d.]+)-slim", CONTAINER, re.MULTILINE)) == {LOCKED_FOR}


def test_the_builder_is_sent_what_the_container_is_made_of_and_nothing_else() -> None:
    rules = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    assert "*" in rules
    kept = {rule[1:] for rule in rules if rule.startswith("!")}
    assert (
        rules[-1] == "remediator/diagnosis/signatures/*.txt"
    )  # behind `!remediator`: the last counts
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINER, re.MULTILINE)
    assert kept == {name for line in copied for name in line.split()}


def test_gcloud_sends_what_runs_and_nothing_else() -> None:
    rules = [
        line.strip()
        for line in (ROOT / ".gcloudignore").read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    assert rules[0] == "/*"
    kept = {rule.removeprefix("!/") for rule in rules if rule.startswith("!/")}
    assert kept == {
        *("main.py", "requirements.txt", "policies.yaml", "policies.compiled.json", "remediator")
    }
    written = {"policies.compiled.json"}  # by `validate --compile`, before it is sent
    assert all((ROOT / name).exists() for name in kept - written)
    ignored = [rule.lstrip("/") for rule in rules[1:] if not rule.startswith("!")]
    sources = [path for path in (ROOT / "remediator").rglob("*") if path.is_file()]
    sent = {
        str(path.relative_to(ROOT))
        for path in sources
        if "__pycache__" not in path.parts
        and not any(fnmatch.fnmatch(str(path.relative_to(ROOT)), rule) for rule in ignored)
    }
    assert sent == own_files()


def test_the_real_gcloud_would_send_exactly_that(tmp_path: Path) -> None:
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("gcloud is not installed")
    listed = subprocess.run(
        [gcloud, "meta", "list-files-for-upload", str(ROOT)],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert set(listed) == own_files() | set(BESIDE_THE_PACKAGE)


def test_the_container_is_built_from_files_that_exist_and_runs_as_nobody_in_particular() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINER, re.MULTILINE)
    assert all((ROOT / name).exists() for line in copied for name in line.split())
    user = re.findall(r"^USER (\S+)$", CONTAINER, re.MULTILINE)
    assert user
    assert user[-1] not in {"0", "root"}
    assert "--require-hashes" in CONTAINER
    assert "compileall" in CONTAINER
    assert "--invalidation-mode unchecked-hash" in CONTAINER  # whatever becomes of files' times
    assert "FUNCTION_TARGET=remediate" in CONTAINER


def test_the_workflow_for_users_runs_commands_that_exist() -> None:
    path = ROOT / "docs" / "examples" / "policies-pull-request.yml"
    workflow = yaml.safe_load(path.read_text())
    steps = workflow["jobs"]["policies"]["steps"]
    lines = "\n".join(str(step.get("run", "")) for step in steps).replace("\\\n", " ").splitlines()
    commands = [
        line.partition("python -m remediator ")[2].split()
        for line in lines
        if "-m remediator" in line
    ]
    assert {command[0] for command in commands} >= {"validate", "test", "backtest"}
    for command in commands:
        words = list(itertools.takewhile(lambda word: word not in {">", ">>", "|"}, command))
        assert callable(build().parse_args(words).run)
    assert any("--against" in command for command in commands)
    used = {step["uses"].partition("@")[0] for step in steps if "uses" in step}
    assert used == {"actions/checkout", "actions/setup-python", "google-github-actions/auth"}
    (python,) = [step["with"]["python-version"] for step in steps if "setup-python" in str(step)]
    assert python == LOCKED_FOR
    triggers = workflow.get("on", workflow.get(True))
    assert "policies.yaml" in triggers["pull_request"]["paths"]


def test_no_secret_stands_in_what_is_deployed() -> None:
    pattern = re.compile(r"hooks\.slack\.com/services/T|xox[bp]-|-----BEGIN|AIza[0-9A-Za-z_-]{30}")
    passed_over = {".terraform", "__pycache__"}
    files = [
        path
        for path in (ROOT / "deploy").rglob("*")
        if path.is_file() and not passed_over & set(path.parts)
    ]
    assert [str(Path(p).relative_to(ROOT)) for p in files if pattern.search(p.read_text())] == []
