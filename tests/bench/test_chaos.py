"""`make chaos` runs and holds: one short episode with a fixed seed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def drawn(*more: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "bench.chaos", "--episodes", "1", "--seconds", "3600", *more]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=900
    )
    return done.returncode, done.stdout + done.stderr


def test_a_short_episode_holds_every_invariant_and_says_what_it_met() -> None:
    status, said = drawn("--seed", "1", "--actions", "12")
    assert status == 0, said
    assert "1 episodes" in said
    assert "faults met, by API:" in said
    assert "at most one job of a failure: " in said
