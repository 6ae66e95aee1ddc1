#!/usr/bin/env bash
# Guess: `dvc repro` ends with 137 where a stage was killed by signal 9 (as for memory), or with 1; with the stage's
#   own code where that failed.
# Seen: it ends with 255 whatever the stage did. Only the log tells: "failed to run: …, exited with -9", or "exited
#   with 3". A line "Killed" or a signal's name stands nowhere.
# Versions: dvc 3.67.1, Python 3.11; 2026-12-01.
# So: 255 of a job whose command is `dvc` is no ssh that broke and no code of the training; "exited with -9" is a
#   kill, memory first. A rule that goes by 137 or by "Killed" sees an unknown failure.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
command -v git >/dev/null || exit 2
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  dvc==3.67.1 || exit 2
cd "$folder"
export HOME="$folder" DVC_NO_ANALYTICS=1
git init --quiet project
cd project
../venv/bin/dvc init --quiet >/dev/null 2>&1 || exit 2

cat >train.py <<'PYTHON'
import os
import signal
import sys
from pathlib import Path

Path("model").write_text("half")
if sys.argv[1] == "memory":
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(3 if sys.argv[1] == "fails" else 0)
PYTHON
seen=""
for how in works fails memory; do
  printf 'stages:\n  train:\n    cmd: exec python3 train.py %s\n    outs: [model]\n' "$how" >dvc.yaml
  code=0
  ../venv/bin/dvc repro >log 2>&1 || code=$?
  echo "$how: exit code $code; $(grep -m 1 -oE 'exited with .*' log || true)"
  seen="$seen $code"
done
[ "$seen" = " 0 255 255" ] && grep -q "exited with -9" log && ! grep -qiE "killed|sigkill|signal" log
