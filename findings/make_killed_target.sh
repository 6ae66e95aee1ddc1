#!/usr/bin/env bash
# Guess: `make` whose recipe signal 9 killed half-way through its output (as for memory) makes that file again when it
#   is run again.
# Seen: only where the recipe was the killed program itself: "Killed", "Deleting file". Where a shell stood between (a
#   pipe, a `>`, an `if`), the same kill is "Error 137", the half file stays, and the second `make` says that it
#   "is up to date" and ends with 0. `.DELETE_ON_ERROR:` deletes it in both. The first exit code is 2 each time.
# Versions: make 4.3-4.1 (Debian 12); 2026-12-01.
# So: a job that runs `make` and is tried again after a kill, with more memory too, SUCCEEDS over half a file. 2 is
#   make's only code for a failure: "Error 137" and "Killed" in its last lines are memory.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null && apt-get download make=4.3-4.1 >/dev/null 2>&1 || exit 2
dpkg-deb -x make_*.deb . && [ -x usr/bin/make ] || exit 2

cat >align.sh <<'SH'
echo "half" >"$1"
[ -e enough_memory ] || kill -9 $$
echo "whole" >>"$1"
SH
cat >Makefile <<'MAKE'
direct:
	sh align.sh direct
logged:
	sh align.sh logged 2>errors
MAKE
{
  echo ".DELETE_ON_ERROR:"
  cat Makefile
} >Makefile.delete
seen=""
run() { # a Makefile and a target: killed, then run again with enough memory
  local first=0 again=0
  rm -f "$2" enough_memory
  usr/bin/make -f "$1" "$2" >log 2>&1 || first=$?
  touch enough_memory
  usr/bin/make -f "$1" "$2" >again 2>&1 || again=$?
  echo "$1, $2: exit code $first ($(grep -oE 'Killed$|Error 137' log | tail -1)), then $again: $(tail -1 "$2")"
  seen="$seen $first/$again/$(tail -1 "$2")"
}
run Makefile direct
run Makefile logged
grep "up to date" again || exit 1
run Makefile.delete logged
[ "$seen" = " 2/0/whole 2/0/half 2/0/whole" ]
