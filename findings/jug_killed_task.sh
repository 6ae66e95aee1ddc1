#!/usr/bin/env bash
# Guess: after `jug execute` was killed (SIGKILL, as for memory), a second `jug execute` runs the killed task again,
#   or ends with a code other than 0 because it cannot.
# Seen: the killed task's lock stays. The second run does the others, waits (150 times 12 seconds by default),
#   prints that five of six tasks are done, says nothing of a lock, and ends with exit code 0.
# Versions: Jug 2.7.0, Python 3.11; 2026-12-01.
# So: a job that is simply run again after a kill SUCCEEDS half an hour later without the task that was killed.
#   `jug check` (1) tells; `jug cleanup --locks-only` comes before the retry, when no other worker runs.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  Jug==2.7.0 || exit 2
cd "$folder"

cat >work.py <<'PYTHON'
import os
import signal
from pathlib import Path

from jug import TaskGenerator


@TaskGenerator
def align(sample):
    if sample == 3 and not Path("killed").exists():
        Path("killed").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * sample


counts = [align(sample) for sample in range(6)]
PYTHON
jug() { # the name of its log, then the arguments; prints the exit code
  local log="$1" code=0
  shift
  bash -c 'venv/bin/jug "$@"; exit $?' jug "$@" work.py --jugdir store >"$log" 2>&1 || code=$?
  echo "$code"
}
first="$(jug first execute)"
second="$(jug second execute --nr-wait-cycles 2 --wait-cycle-time 1)"
check="$(jug check check)"
cleanup="$(jug cleanup cleanup --locks-only)"
third="$(jug third execute --nr-wait-cycles 2 --wait-cycle-time 1)"
after="$(jug after check)"
echo "killed: exit code $first; again: $second, then jug check: $check"
grep -E "Executed|Total" second
echo "behind jug cleanup ($cleanup): $third, then jug check: $after"
[ "$first $second $check $third $after" = "137 0 1 0 0" ] || exit 1
! grep -qiE "lock|kill|fail|wait" second
