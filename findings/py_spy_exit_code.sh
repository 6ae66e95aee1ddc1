#!/usr/bin/env bash
# Guess: `py-spy record -- python train.py` ends with the exit code of the program that it starts, as strace, nsys
#   and the other Python profilers do.
# Seen: it ends with 0 whatever the program does: exit code 3, an uncaught MemoryError and SIGKILL are all
#   "Stopped sampling because process exited" and exit code 0. Of the kill no line of the output tells.
# Versions: py-spy 0.4.3, Python 3.11; 2026-12-01. memray, viztracer and pyinstrument pass 3 and 137 on.
# So: a job whose command was put behind py-spy to see why it is slow SUCCEEDS when it runs out of memory, and
#   nothing announces or retries it. Start the program by itself and attach with `py-spy record --pid`.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  py-spy==0.4.3 || exit 2
cd "$folder"

cat >train.py <<'PYTHON'
import os
import signal
import sys
import time

end = time.monotonic() + 2
while time.monotonic() < end:  # idle time is not sampled
    pass
if sys.argv[1] == "ends":
    print("done")
elif sys.argv[1] == "exits":
    sys.exit(3)
elif sys.argv[1] == "raises":
    raise MemoryError("no memory for the batch")
else:
    os.kill(os.getpid(), signal.SIGKILL)
PYTHON
start() { venv/bin/py-spy record --output profile.svg -- venv/bin/python train.py "$1" >"$1.log" 2>&1; }
start ends && grep -q done ends.log || exit 2 # a container may forbid ptrace
changed=0
for way in exits raises killed; do
  alone=0
  bash -c 'venv/bin/python train.py "$0"; exit $?' "$way" >alone.log 2>&1 || alone=$?
  behind=0
  start "$way" || behind=$?
  echo "$way: exit code $alone alone, $behind behind py-spy: $(grep 'Stopped sampling' "$way.log")"
  [ "$alone" != 0 ] && [ "$behind" = 0 ] && grep -q "Stopped sampling because process exited" "$way.log" || changed=1
done
! grep -qiE "kill|signal" killed.log || changed=1
exit "$changed"
