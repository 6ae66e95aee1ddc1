#!/usr/bin/env bash
# Guess: rich knows that a job's log is no terminal, so `RichHandler` writes one line for each record;
#   `track` writes a line now and then while the loop runs.
# Seen: without a terminal the width is 80, and a record is cut into lines of it: one ends with
#   `CUDA out of`, the next begins with `memory. Tried to allocate 2.00 GiB`. `track` writes nothing at
#   all before the loop has ended.
# Versions: rich 15.0.0, Python 3.11; 2026-11-29.
# So: where each line is an entry of its own, no single entry of such a job says "out of memory", and a
#   rule that looks at one line at a time misses the cause; and a job with a bar of progress is silent
#   until it ends, though it works. `COLUMNS=1000` in the job's environment mends the first.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  rich==15.0.0 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import os
import subprocess
import sys

RECORD = """
import logging
from rich.logging import RichHandler
logging.basicConfig(format="%(message)s", handlers=[RichHandler(show_path=False, show_time=False)])
logging.error("torch.cuda.OutOfMemoryError: in step 12 of epoch 30: CUDA out of memory. Tried to allocate 2.00 GiB")
"""
PROGRESS = """
import os, sys, time
from rich.progress import track
for step in track(range(4)):
    time.sleep(0.3)
    sys.stdout.flush()
    sys.stderr.write(f"{os.fstat(1).st_size} ")
"""
environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}


def lines(**more):
    ran = subprocess.run(
        [sys.executable, "-c", RECORD], capture_output=True, text=True, env={**environment, **more}
    )
    return [line.rstrip() for line in ran.stdout.splitlines()]


narrow, wide = lines(), lines(COLUMNS="1000")
with open("progress.log", "wb") as log:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRESS], stdout=log, stderr=subprocess.PIPE, text=True, env=environment
    )
during, after = ran.stderr.split(), os.path.getsize("progress.log")
print("one record:", narrow)
print("with COLUMNS=1000:", wide)
print("bytes in the log at each step:", during, "at the end:", after)
whole = "out of memory"
changed = len(narrow) < 2 or any(whole in line for line in narrow)
changed |= len(wide) != 1 or whole not in wide[0]
changed |= during != ["0"] * 4 or after == 0
sys.exit(changed)
PYTHON
