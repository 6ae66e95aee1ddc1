#!/usr/bin/env bash
# Guess: `timeout 1 sleep 5` ends with 124 where the time ran out, with BusyBox (Alpine's images) as with GNU.
# Seen: BusyBox ends with 143, what its SIGTERM made of the program; 124 is GNU's alone. Where the program holds out
#   and `-k` sends SIGKILL, both end with 137, as after a kill for memory.
# Versions: busybox 1:1.35.0-4+deb12u1+b1 (Debian 12), GNU coreutils 9.1; 2026-12-01.
# So: 143 of a job whose command begins with `timeout` is its own limit, no machine that was taken back; and 137 may
#   be the limit as well. Compare the job's duration with the number in its command before memory is blamed.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null && apt-get download busybox=1:1.35.0-4+deb12u1+b1 >/dev/null 2>&1 || exit 2
dpkg-deb -x busybox_*.deb . && [ -x bin/busybox ] || exit 2
timeout --version 2>/dev/null | head -1 | grep -q "GNU coreutils" || exit 2

cat >holds_out.sh <<'SH'
trap '' TERM
for second in 1 2 3 4 5; do sleep 1; done
SH
seen=""
run() { # a name, then the command
  local name="$1" code=0
  shift
  bash -c '"$@"; exit $?' run "$@" >/dev/null 2>&1 || code=$?
  echo "$name: exit code $code"
  seen="$seen $code"
}
run "GNU" timeout 1 sleep 5
run "BusyBox" bin/busybox timeout 1 sleep 5
run "GNU, -k" timeout -k 1 1 sh holds_out.sh
run "BusyBox, -k" bin/busybox timeout -k 1 1 sh holds_out.sh
[ "$seen" = " 124 143 137 137" ]
