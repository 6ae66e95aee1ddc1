"""The container's recipe, step by step in a folder of its own, as far as no engine is needed."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.terraform import ROOT
from tests.deploy.test_fresh_start import python  # noqa: F401  # a fixture: what the lock names
from tests.deploy.what_runs import assert_it_diagnoses, own_files
from tests.waiting import HANG_SECONDS, wait_until
from twin.serving import free_port

RECIPE = (ROOT / "deploy" / "Dockerfile").read_text()
KNOWN = {"FROM", "COPY", "RUN", "WORKDIR", "USER", "ENV", "EXPOSE", "CMD"}


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its argument, continued lines joined."""
    text = re.sub(r"(?m)^#.*\n", "", RECIPE).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in text.splitlines() if line]


def context(folder: Path) -> Path:
    """What the builder is sent: the repository less what the ignore file leaves out."""
    rules = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().splitlines()
    kept = [rule[1:] for rule in rules if rule.startswith("!")]
    everywhere = [rule.removeprefix("**/") for rule in rules if rule.startswith("**/")]
    texts = [rule for rule in rules if rule.startswith("remediator/")]
    for name in kept:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns(*everywhere))
        else:
            shutil.copy(ROOT / name, target)
    for path in [path for rule in texts for path in folder.glob(rule)]:
        path.unlink()
    return folder


@pytest.fixture(scope="module")
def image(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: F811  # the fixture
    """The file system that the recipe makes; its environment is the one that the lock makes."""
    sent = context(tmp_path_factory.mktemp("context"))
    root = tmp_path_factory.mktemp("image")
    (root / "opt").mkdir()
    (root / "opt" / "venv").symlink_to(python.parents[1])

    def within(text: str) -> str:
        return re.sub(r"(?<![\w.])/(opt|app|tmp)\b", rf"{root}/\1", text)

    for name, argument in instructions():
        if name == "COPY" and "--from" not in argument:
            *sources, target = argument.split()
            place = Path(within(target))
            for source in sources:
                into = place / source if target.endswith("/") else place
                into.parent.mkdir(parents=True, exist_ok=True)
                copy = shutil.copytree if (sent / source).is_dir() else shutil.copy
                copy(sent / source, into)
        elif name == "RUN" and "compile" in argument:
            # The environment's own half takes a minute, and is Python's business.
            command = within(argument.replace("/opt/venv/lib ", ""))
            subprocess.run(["sh", "-c", command], check=True, cwd=root)
    return root


def test_every_instruction_is_one_that_is_tried_here() -> None:
    assert {name for name, _ in instructions()} == KNOWN
    commands = [argument for name, argument in instructions() if name == "RUN"]
    installs, compiles, reads_policies, adds_a_user = commands
    words = shlex.split(installs)
    assert words[-3:] == ["--require-hashes", "-r", "/tmp/requirements.lock"]
    assert "compileall" in compiles
    assert reads_policies.endswith("validate --compile policies.yaml || true")
    assert adds_a_user.startswith("useradd --system --uid 10001")
    copied = [argument for name, argument in instructions() if name == "COPY"]
    assert [one for one in copied if "--from=build" in one] == [
        "--from=build /opt/venv /opt/venv",
        "--from=build /app /app",
    ]


def test_the_image_holds_what_runs_compiled_and_nothing_else(image: Path, tmp_path: Path) -> None:
    app = image / "app"
    assert {path.name for path in app.iterdir()} == {
        "main.py",
        "policies.yaml",
        "policies.compiled.json",
        "remediator",
        "__pycache__",
    }
    sources = set(app.rglob("*.py"))
    compiled = set(app.rglob("*.pyc"))
    assert len(compiled) == len(sources)
    held = {str(p.relative_to(app)) for p in app.rglob("*") if p.is_file()}
    own = {name for name in held if not name.endswith(".pyc")}
    assert own == own_files() | {"main.py", "policies.yaml", "policies.compiled.json"}
    assert_it_diagnoses(app, tmp_path)


def _listens(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def served(image: Path, tmp_path: Path) -> Iterator[str]:
    """The container's own command, in its folder and with its variables; its address."""
    (command,) = [json.loads(argument) for name, argument in instructions() if name == "CMD"]
    (folder,) = [argument for name, argument in instructions() if name == "WORKDIR"]
    given = [argument for name, argument in instructions() if name == "ENV"]
    variables = dict(one.split("=", 1) for line in given for one in shlex.split(line))
    port = str(free_port())
    variables |= {
        "PORT": port,
        "PATH": variables["PATH"].replace("/opt", f"{image}/opt").replace("$PATH", os.defpath),
        "GOOGLE_CLOUD_PROJECT": "genomics-lab",
        "GOOGLE_CLOUD_PROJECT_NUMBER": "123456789012",
        "REMEDIATOR_LEDGER": f"sqlite:///{tmp_path}/ledger.sqlite3",
        "HOME": str(tmp_path),
    }
    process = subprocess.Popen(command, cwd=f"{image}{folder}", env=variables)
    try:
        wait_until(lambda: _listens(process, int(port)))
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(timeout=HANG_SECONDS)


def test_the_containers_command_serves_events(served: str, image: Path) -> None:
    before = set((image / "app").rglob("*"))
    data = base64.b64encode(b'{"logName": "projects/genomics-lab/logs/other"}').decode()
    body = json.dumps({"message": {"data": data, "messageId": "1"}, "subscription": "s"})
    headers = {
        "ce-id": "1",
        "ce-source": "//pubsub.googleapis.com/projects/genomics-lab/topics/failures",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
        "Content-Type": "application/json",
    }
    request = urllib.request.Request(served, body.encode(), headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        assert answer.status == 200
    with pytest.raises(urllib.error.HTTPError, match=r"400|415"):
        urllib.request.urlopen(urllib.request.Request(served, b"x"), timeout=60)
    assert set((image / "app").rglob("*")) == before  # nothing is written there


def test_python_is_the_one_that_the_recipe_names() -> None:
    (first, *_) = [argument for name, argument in instructions() if name == "FROM"]
    wanted = re.findall(r"python:(\d+\.\d+)-slim", first)[0]
    if wanted != f"{sys.version_info[0]}.{sys.version_info[1]}":
        pytest.skip(f"the recipe is for Python {wanted}")
