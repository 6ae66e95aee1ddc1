"""The package: it builds, brings along what the commands need, and answers outside any checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import remediator
from tests.deploy.terraform import ROOT
from tests.deploy.test_fresh_start import python  # noqa: F401  # a fixture: what the lock names
from tests.deploy.what_runs import assert_it_diagnoses, own_files

LOG = """\
2026-11-28 10:00:00,123 INFO trainer: epoch 0
Traceback (most recent call last):
  File "/app/train.py", line 8, in main
    raise KeyError("label")
KeyError: 'label'
command terminated with exit code 1
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return folder


@pytest.fixture(scope="module")
def installed(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel alone, unpacked as an installer does; what it needs is this environment's."""
    (wheel,) = built.glob("*.whl")
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def call(installed: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "HOME": str(cwd), "PYTHONPATH": str(installed)}
    return subprocess.run(
        [sys.executable, "-m", "remediator", *words],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_wheel_names_its_version_its_needs_and_its_command(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        info = next(name for name in names if name.endswith("METADATA"))
        metadata = archive.read(info).decode()
        entry = archive.read(info.replace("METADATA", "entry_points.txt")).decode()
    assert f"Version: {remediator.__version__}\n" in metadata
    assert re.search(r"^Requires-Dist: google-cloud-aiplatform", metadata, re.MULTILINE)
    assert re.search(r"^Requires-Dist: shtab", metadata, re.MULTILINE)
    assert "vertex-remediator = remediator.cli.main:main" in entry
    shipped = {name for name in names if name.startswith("remediator/shipped/")}
    assert {
        "remediator/shipped/policies.yaml",
        "remediator/shipped/policies.schema.json",
        "remediator/shipped/case.json",
        "remediator/shipped/vertex_telemetry.py",
        "remediator/shipped/terraform/main.tf",
    } <= shipped
    assert not [name for name in names if name.startswith(("tests/", "twin/", "bench/"))]


def test_the_wheel_brings_what_runs_and_diagnoses(installed: Path, tmp_path: Path) -> None:
    held = {str(p.relative_to(installed)) for p in installed.rglob("*") if p.is_file()}
    added = ("remediator/shipped/", "vertex_remediator-")
    assert {name for name in held if not name.startswith(added)} == own_files()
    assert_it_diagnoses(installed, tmp_path)


def test_installed_it_draws_a_page(installed: Path, tmp_path: Path) -> None:
    """Its templates come along: a mail's are drawn by the preview, the report's by the report."""
    assert call(installed, tmp_path, "init").returncode == 0
    mail = call(installed, tmp_path, "alert", "preview", "case.json", "--html")
    assert (mail.returncode, mail.stdout[:15]) == (0, "<!doctype html>")


def test_the_source_archive_holds_what_the_wheel_is_made_of(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {
        "pyproject.toml",
        "requirements.txt",
        "requirements-cli.txt",
        "policies.yaml",
        "main.py",
        "docs/policies.schema.json",
        "docs/examples/case.json",
        "telemetry/vertex_telemetry.py",
        "deploy/terraform/main.tf",
    } <= names


def test_installed_it_begins_in_an_empty_folder_and_answers(
    installed: Path, tmp_path: Path
) -> None:
    done = call(installed, tmp_path, "init")
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {"policies.yaml", "case.json"}
    assert "$schema" not in (tmp_path / "policies.yaml").read_text()
    again = call(installed, tmp_path, "init")
    assert again.returncode == 2
    assert "nothing was written" in again.stderr
    checked = call(installed, tmp_path, "validate")
    assert (checked.returncode, checked.stdout.partition(":")[0]) == (0, "policies.yaml")
    tested = call(installed, tmp_path, "test", "case.json")
    assert (tested.returncode, tested.stdout.splitlines()[-1]) == (0, "1 passed, 0 failed")
    (tmp_path / "train.log").write_text(LOG)
    found = call(installed, tmp_path, "diagnose", "train.log")
    assert (found.returncode, found.stderr) == (0, "")
    assert "verdict: user_code_error" in found.stdout


def test_installed_without_a_policy_file_the_shipped_one_is_asked(
    installed: Path, tmp_path: Path
) -> None:
    (tmp_path / "train.log").write_text(LOG)
    planned = call(installed, tmp_path, "plan", "train.log")
    assert (planned.returncode, planned.stderr) == (0, "")
    assert "action:  alert (mode observe)" in planned.stdout


def test_the_version_is_the_one_that_the_changelog_names(installed: Path, tmp_path: Path) -> None:
    said = call(installed, tmp_path, "--version").stdout.strip()
    assert said == f"vertex-remediator {remediator.__version__}"
    releases = re.findall(
        r"^## \[(\d+\.\d+\.\d+)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert releases[0] == remediator.__version__


@pytest.mark.parametrize("shell", ["bash", "zsh", "tcsh"])
def test_completion_names_every_command(installed: Path, tmp_path: Path, shell: str) -> None:
    done = call(installed, tmp_path, "completion", shell)
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("diagnose", "dead-letters", "approve"))


@pytest.fixture(scope="module")
def lent(python: Path) -> str:  # noqa: F811  # the fixture
    """The packages that the lock names, and none of this environment's."""
    (packages,) = (python.parents[1] / "lib").glob("python3*/site-packages")
    return str(packages)


@pytest.mark.parametrize("archive", ["*.whl", "*.tar.gz"], ids=["wheel", "sdist"])
def test_in_a_fresh_environment_pip_installs_it_and_the_command_answers(
    archive: str, built: Path, lent: str, tmp_path: Path
) -> None:
    """What the lock names is lent; whatever else it needs, pip fetches by itself."""
    (package,) = built.glob(archive)
    fresh, home = tmp_path / "fresh", tmp_path / "home"
    home.mkdir()
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": lent}
    environ |= {key: value for key, value in os.environ.items() if key.startswith("PIP_")}

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            words, cwd=home, env=environ, capture_output=True, text=True, check=False
        )

    assert call(sys.executable, "-m", "venv", "--without-pip", str(fresh)).returncode == 0
    pip = (sys.executable, "-m", "pip", "--python", str(fresh / "bin" / "python"))
    installed = call(*pip, "install", str(package))
    if "No matching distribution" in installed.stderr:
        pytest.skip("no package index can be reached")
    assert installed.returncode == 0, installed.stderr
    command = str(fresh / "bin" / "vertex-remediator")
    assert call(command, "--version").stdout.strip().endswith(remediator.__version__)
    (home / "train.log").write_text(LOG)
    found = call(command, "diagnose", "train.log")
    assert (found.returncode, found.stderr) == (0, "")
    assert "verdict: user_code_error" in found.stdout
    assert "next: vertex-remediator plan train.log" in found.stdout
    assert call(command, "init", "mine").returncode == 0
    assert call(command, "validate", "mine/policies.yaml").returncode == 0
    (site,) = (fresh / "lib").glob("python3*/site-packages")
    assert (site / "remediator" / "shipped" / "policies.yaml").is_file()
