#!/usr/bin/env bash
# Guess: `absl.app.run(main)` calls `main`, drops what it returns, and the program ends with 0.
# Seen: what `main` returns goes to `sys.exit`. A dictionary of metrics is printed on stderr and the exit
#   code is 1; `True` is 1 too; only `None`, `False` and 0 are a success.
# Versions: absl-py 2.5.1, Python 3.11; 2026-11-29.
# So: a training that ran to its end, its model written, is a failed job (exit code 1) without any
#   traceback, and its last line on stderr is its own result. No resource mends it: `main` must return
#   nothing. A failure with code 1 and no exception in the log is one of the code, not of the machine.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  absl-py==2.5.1 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import subprocess
import sys

PROGRAM = """
from absl import app

def main(argv):
    return {value}

app.run(main)
"""

seen = {}
for value in ('{"loss": 0.12}', "True", "None", "0"):
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(value=value)], capture_output=True, text=True
    )
    seen[value] = (ended.returncode, ended.stderr.strip())
    print(f"main returns {value}: exit code {ended.returncode}, stderr {ended.stderr.strip()!r}")
wanted = {'{"loss": 0.12}': (1, "{'loss': 0.12}"), "True": (1, ""), "None": (0, ""), "0": (0, "")}
sys.exit(seen != wanted)
PYTHON
