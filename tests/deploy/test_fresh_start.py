"""The function starts and works with nothing installed but requirements.txt."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.terraform import MODULE, ROOT
from tests.stories.test_loop import HEAVY, custom_job, failure_line, made_jobs
from twin.cloud import Cloud
from twin.serving import Served

DEPLOYED = ("main.py", "policies.yaml", "requirements.txt", "remediator")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what is deployed and an environment with what that asks for, nothing else."""
    folder = tmp_path_factory.mktemp("fresh")
    for name in DEPLOYED:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(ROOT / name, folder / name)
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    wanted = [
        str(python),
        "-m",
        "pip",
        "install",
        "--quiet",
        "-r",
        str(folder / "requirements.txt"),
    ]
    installed = subprocess.run(wanted, capture_output=True, text=True, check=False, timeout=900)
    if installed.returncode and "No matching distribution" in installed.stderr:
        pytest.skip("no package index can be reached")
    assert installed.returncode == 0, installed.stderr
    return folder


def test_the_lock_can_be_installed_as_it_is_deployed(fresh: Path) -> None:
    """Google's builder hands the lock to pip as requirements.txt, where every hash is demanded."""
    wanted = [str(fresh / "venv" / "bin" / "python"), "-m", "pip", "install", "--dry-run"]
    wanted += ["--quiet", "--require-hashes", "--only-binary", ":all:", "--ignore-installed"]
    tried = subprocess.run(
        [*wanted, "-r", str(ROOT / "deploy" / "requirements.lock")],
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert tried.returncode == 0, tried.stderr


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
    code = "import remediator.remediate, remediator.reconcile"
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


BYTECODE = shutil.ignore_patterns("__pycache__")


def test_an_event_is_handled_with_what_requirements_name_alone(fresh: Path) -> None:
    text = (fresh / "policies.yaml").read_text()
    text = text.replace("\nmode: observe", "\nmode: enforce")
    text = text.replace(
        "rerun_safe: [batch_prediction]\n", "rerun_safe: [batch_prediction, custom]\n"
    )
    (fresh / "policies.yaml").write_text(text)
    with Cloud(frozen=True) as cloud:
        job = cloud.past_job("customJobs", custom_job(), HEAVY, route=False)
        ledger = f"sqlite:///{fresh}/ledger.sqlite3"
        served = Served(
            fresh,
            "remediate",
            cloud.env(REMEDIATOR_LEDGER=ledger, PYTHONPATH="", VIRTUAL_ENV=""),
            python=fresh / "venv" / "bin" / "python",
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
