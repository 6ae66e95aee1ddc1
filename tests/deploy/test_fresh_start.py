"""The function starts and works with nothing installed but what the lock names."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy.terraform import MODULE, ROOT
from tests.deploy.what_runs import BESIDE_THE_PACKAGE, own_files
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs
from twin.cloud import Cloud
from twin.serving import Served

BYTECODE = shutil.ignore_patterns("__pycache__")


@pytest.fixture(scope="module")
def python(build_once: Callable[[str, Callable[[Path], None]], Path]) -> Path:
    """The interpreter of an environment with what the lock names, hash by hash, and nothing else.

    Google's builder hands the lock to pip as requirements.txt, where every hash is demanded.
    """

    def install(folder: Path) -> None:
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
        wanted = ["install", "--require-hashes", "--only-binary", ":all:", "--no-compile"]
        pip(folder / "bin" / "python", *wanted, "-r", str(ROOT / "deploy" / "requirements.lock"))

    return build_once("environment-of-the-lock", install) / "bin" / "python"


def pip(python: Path, *arguments: str) -> str:
    """What this environment's pip says to it; skips where no index can be reached."""
    command = [sys.executable, "-m", "pip", "--python", str(python), "--no-input", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
    if (
        done.returncode
        and "No matching distribution" in done.stderr
        and "--no-index" not in command
    ):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def deployed(tmp_path: Path) -> Path:
    """A folder with what is deployed."""
    for name in (*BESIDE_THE_PACKAGE, *own_files()):
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, target)
    return tmp_path


def test_the_lock_installs_all_that_requirements_ask_for_and_it_fits_together(
    python: Path,
) -> None:
    wanted = ["install", "--dry-run", "--no-index", "-r", str(ROOT / "requirements.txt")]
    assert "Would install" not in pip(python, *wanted)
    assert pip(python, "check").strip() == "No broken requirements found."


def test_bytecode_that_the_builder_makes_is_still_good_when_times_are_reset(
    tmp_path: Path,
) -> None:
    """As Google's buildpack does: `compileall -f -q .`, then every file is of 1980."""
    (environment,) = re.findall(
        r'build_environment = \{ (\w+) = "(\w+)" \}', (MODULE / "functions.tf").read_text()
    )
    shutil.copytree(ROOT / "remediator", tmp_path / "remediator", ignore=BYTECODE)
    subprocess.run(
        [sys.executable, "-m", "compileall", "-f", "-q", "."],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], environment[0]: environment[1]},
        check=True,
    )
    for path in tmp_path.rglob("*.py"):
        os.utime(path, (315532801, 315532801))
    code = "import remediator.workflow.incident, remediator.workflow.reconcile"
    told = subprocess.run(
        [sys.executable, "-v", "-B", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    compiled = set(
        re.findall(rf"^# code object from '?{tmp_path}/(remediator\S+\.py)\b", told, re.MULTILINE)
    )
    reused = set(
        re.findall(rf"^# code object from '?{tmp_path}/(remediator\S+\.pyc)", told, re.MULTILINE)
    )
    assert compiled == set()
    assert len(reused) > 30


def test_an_event_is_handled_with_what_the_lock_names_alone(deployed: Path, python: Path) -> None:
    text = (deployed / "policies.yaml").read_text()
    text = text.replace("\nmode: observe", "\nmode: enforce")
    text = text.replace(
        "rerun_safe: [batch_prediction]\n", "rerun_safe: [batch_prediction, custom]\n"
    )
    (deployed / "policies.yaml").write_text(text)
    with Cloud(frozen=True) as cloud:
        job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
        ledger = f"sqlite:///{deployed}/ledger.sqlite3"
        served = Served(
            deployed,
            "remediate",
            cloud.env(REMEDIATOR_LEDGER=ledger, PYTHONPATH="", VIRTUAL_ENV=""),
            python=python,
            signature="cloudevent",
            wait_seconds=120,
        )
        try:
            data = base64.b64encode(json.dumps(failure_line(cloud, job)).encode()).decode()
            body = {"message": {"data": data, "messageId": "1"}, "subscription": "s"}
            headers = {
                "ce-id": "1",
                "ce-source": "//pubsub.googleapis.com/projects/genomics-lab/topics/failures",
                "ce-specversion": "1.0",
                "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
                "Content-Type": "application/json",
            }
            status, said = served.post(body, headers=headers)
            assert status == 200, said + served.output()
        finally:
            served.stop()
        assert len(made_jobs(cloud, job)) == 1
        assert len(cloud.slack.messages) == 1
