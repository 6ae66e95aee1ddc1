"""Every gcloud command that the deployment runs or documents, parsed by the real gcloud."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from remediator.cli import _parser
from tests.deploy.terraform import ROOT

SCRIPT = ROOT / "deploy" / "deploy.sh"
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "deploy" / "README.md",
    ROOT / "telemetry" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
WRONG_COMMAND_LINE = 2


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )


def documented(text: str) -> list[str]:
    """The gcloud lines of a document's fenced blocks, continued lines joined."""
    fenced = re.findall(r"^```(?:\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    lines = "\n".join(fenced).replace("\\\n", " ").splitlines()
    found = [re.search(r"(?:^|\| )(gcloud [^|]+)", line) for line in lines]
    return [match[1].strip() for match in found if match]


def commands() -> list[str]:
    both = [script("my-project", "us-central1", "--dry-run", *more) for more in ([], ["--destroy"])]
    shown = [line for run in both for line in run.stdout.splitlines() if line.startswith("gcloud")]
    for document in DOCUMENTS:
        shown += documented(document.read_text())
    return list(dict.fromkeys(" ".join(line.split()) for line in shown))


def test_the_real_gcloud_parses_every_command(tmp_path: Path) -> None:
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        pytest.skip("gcloud is not installed")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CLOUDSDK_CONFIG": str(tmp_path / "config"),  # no account: it parses, and stops there
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
    }

    def parse(line: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [gcloud, *shlex.split(line)[1:]],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    lines = [*commands(), "gcloud storage buckets create gs://b --no-such-flag"]
    assert len(lines) >= 6
    with ThreadPoolExecutor(2) as pool:
        results = dict(zip(lines, pool.map(parse, lines), strict=True))
    control = results.pop(lines[-1])
    assert control.returncode == WRONG_COMMAND_LINE
    wrong = {
        line: result.stderr[:400]
        for line, result in results.items()
        if result.returncode == WRONG_COMMAND_LINE or "unrecognized arguments" in result.stderr
    }
    assert wrong == {}


def test_a_dry_run_shows_every_command_and_runs_none(tmp_path: Path) -> None:
    # A PATH without gcloud and terraform: anything that were run would fail.
    for tool in ("bash", "sed", "dirname"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    result = subprocess.run(
        [
            str(shutil.which("bash")),
            str(SCRIPT),
            "my-project",
            "us-central1",
            "--dry-run",
            "--var",
            'secrets=["slack-webhook"]',
        ],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "gcloud services enable cloudresourcemanager.googleapis.com serviceusage.googleapis.com "
        "storage.googleapis.com --project=my-project\n"
        "gcloud storage buckets create gs://my-project-vertex-remediator-state "
        "--project=my-project --location=us-central1 --uniform-bucket-level-access "
        "--public-access-prevention\n"
        "gcloud storage buckets update gs://my-project-vertex-remediator-state --versioning\n"
        "terraform -chdir=deploy/terraform/example init -reconfigure "
        "-backend-config=bucket=my-project-vertex-remediator-state\n"
        "terraform -chdir=deploy/terraform/example plan -out=vertex-remediator.tfplan "
        "-var=project=my-project -var=region=us-central1 "
        '-var=secrets=\\[\\"slack-webhook\\"\\]\n'
        "terraform -chdir=deploy/terraform/example apply vertex-remediator.tfplan\n"
        "rm -f deploy/terraform/example/vertex-remediator.tfplan\n"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["only-a-project"], "PROJECT REGION", id="no-region"),
        pytest.param(["My_Project", "us-central1"], "not a project id: My_Project", id="project"),
        pytest.param(["my-project", "nowhere"], "not a region: nowhere", id="region"),
        pytest.param(["my-project", "us-central1", "--force"], "unknown option", id="option"),
        pytest.param(["my-project", "us-central1", "--var", "x"], "NAME=VALUE", id="variable"),
    ],
)
def test_a_wrong_command_line_is_told_in_a_line(arguments: list[str], says: str) -> None:
    result = script(*arguments)
    assert result.returncode in {1, 2}
    assert says in result.stdout + result.stderr


FAKE = """#!/bin/sh
echo "$(basename "$0") $*" >> "$CALLS"
case "$*" in
  "auth list"*) echo me@example.com ;;
  "billing projects describe"*) echo True ;;
  "storage buckets describe"*) test -e "$MADE" ;;
  "storage buckets create"*) touch "$MADE" ;;
esac
"""


def test_a_second_run_makes_no_second_bucket(tmp_path: Path) -> None:
    for tool in ("gcloud", "terraform"):
        (tmp_path / tool).write_text(FAKE)
        (tmp_path / tool).chmod(0o755)
    calls = tmp_path / "calls"
    environment = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "CALLS": str(calls),
        "MADE": str(tmp_path / "made"),
    }

    def deploy(*more: str) -> tuple[int, str]:
        calls.write_text("")
        result = subprocess.run(
            ["bash", str(SCRIPT), "my-project", "us-central1", *more],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
        )
        return result.returncode, calls.read_text()

    refused, before = deploy()
    assert refused == 1  # nobody was there to be asked
    assert "terraform" not in before
    assert "create" not in before
    first, second = deploy("--yes"), deploy("--yes")
    assert (first[0], second[0]) == (0, 0)
    assert first[1].count("buckets create") == 1
    assert second[1].count("buckets create") == 0
    assert second[1].count(" apply ") == 1
    assert deploy("--yes", "--destroy")[1].count(" destroy ") == 1


def own_commands() -> list[str]:
    """Every `python -m remediator …` that a document shows, as far as it is a whole command."""
    shown = []
    for document in DOCUMENTS:
        text = document.read_text()
        fenced = "\n".join(re.findall(r"^```(?:\w*)\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
        shown += re.findall(r"python -m remediator ([^|#>\n`]+)", fenced)
        shown += re.findall(r"`python -m remediator ([^`…|]+)`", text)
    return sorted({line.strip() for line in shown})


@pytest.mark.parametrize("line", own_commands())
def test_the_command_line_knows_every_command_that_a_document_shows(line: str) -> None:
    words = shlex.split(line)
    try:
        parsed = _parser().parse_args(words)
    except SystemExit as refused:
        pytest.fail(f"`python -m remediator {line}` exits with {refused.code}")
    assert callable(parsed.run)
