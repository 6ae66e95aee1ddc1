#!/usr/bin/env bash
# Guess: mpiexec ends with the exit code of one of its ranks, the first that failed or the largest.
# Seen: MPICH's mpiexec joins the codes of all ranks bit by bit: 1 and 2 end as 3, 134 (abort) and 1 as 135,
#   136 and 1 as 137. A rank killed by signal 9 ends it with 9, not 137, and hides the codes of the others.
# Versions: mpich 5.0.2 (PyPI), Python 3.11; 2026-11-30. Open MPI gives 137 for the killed rank.
# So: 135 or 137 of an MPI job may be no signal's code (128 + 7, 128 + 9) but two ranks' codes in one, and 9
#   alone may be a SIGKILL. Believe mpiexec's own box, "EXIT STRING: Killed (signal 9)", before the number.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check mpich==5.0.2 || exit 2
cd "$folder"
export PATH="$folder/venv/bin:$PATH"
mpiexec -n 1 true || exit 2

codes() { # the codes of rank 0 and rank 1, then what mpiexec ends with
  local code=0
  mpiexec -n 2 bash -c '[ "$PMI_RANK" = 0 ] && exit "$0" || exit "$1"' "$1" "$2" >/dev/null 2>&1 || code=$?
  echo "ranks ended with $1 and $2, mpiexec with $code" >&2
  echo "$code"
}
[ "$(codes 1 2)" = 3 ]
[ "$(codes 134 1)" = 135 ]
[ "$(codes 136 1)" = 137 ]

code=0
mpiexec -n 2 bash -c 'if [ "$PMI_RANK" = 0 ]; then exit 2; else sleep 1; kill -9 $$; fi' >out 2>&1 || code=$?
echo "ranks ended with 2 and by signal 9, mpiexec with $code"
grep -m 1 "signal 9" out
[ "$code" = 9 ]
