"""The demo as a newcomer meets it: lines, one alert, a whole table, and a cloud that can be kept."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from tests.stories.conftest import ROOT


def hear_interrupts() -> None:
    """A shell that runs its tests in the background has its children ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_kept_demo_tells_its_events_and_answers_another_shell(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "remediator", "demo", "--seed", "5", "--only", "2", "--keep"]
    environ = {**os.environ, "COLUMNS": "80", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
        preexec_fn=hear_interrupts,  # noqa: PLW1509  # no thread is alive that could hold a lock here
    ) as running:
        assert running.stdout is not None
        said: list[str] = []
        for line in running.stdout:
            said.append(line.rstrip("\n"))
            if "report -o" in line:
                break
        exported = dict(
            shlex.split(line.removeprefix("export "))[0].split("=", 1)
            for line in said
            if line.startswith("export ")
        )
        done = subprocess.run(
            [sys.executable, "-m", "remediator", "status", "--json"],
            cwd=tmp_path,
            env={**os.environ, **exported, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        running.send_signal(signal.SIGINT)
        running.stdout.read()
        code = running.wait(timeout=60)
    assert code == 0
    assert json.loads(done.stdout)["open"] == 0
    text = "\n".join(said)
    assert "2 of 2 stories ended as they should" in text
    events = [line for line in said if re.match(r" *\d+\.\d s  ", line)]
    assert [line.split()[2] for line in events].count("failed") == 2
    assert any("Recovered: " in line for line in events)
    assert "…" not in text
    assert "does not exist" not in text
    assert max(len(line) for line in said if "│" in line) <= 80
    table = text.partition("How it ended")[2]
    assert "$" in table
    assert "accelerator_missing" in table
