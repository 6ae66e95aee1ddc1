#!/usr/bin/env bash
# Guess: in GNU parallel's --joblog a job that signal 9 killed has a failure's exit code (137), and 9 as its signal.
# Seen: its Exitval is 0, as of a job that succeeded; only the next column, Signal, says 9. Where a shell stands
#   between, the same kill is Exitval 137 and Signal 0. parallel itself ends with the number of failed jobs.
# Versions: parallel 20221122+ds-2 (Debian 12), Python 3.11; 2026-11-30.
# So: whoever counts failures by Exitval misses just those that ran out of memory: read both columns
#   (`--resume-failed` does). And parallel's own exit code is a count: 2 is two samples, no usage error.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null && command -v perl >/dev/null || exit 2
apt-get download parallel=20221122+ds-2 >/dev/null 2>&1 || exit 2
dpkg-deb -x parallel_*.deb . || exit 2
export HOME="$folder"
perl ./usr/bin/parallel --version >version 2>/dev/null && grep -q 20221122 version || exit 2

cat >align.py <<'PYTHON'
import os
import signal

os.kill(os.getpid(), signal.SIGKILL)
PYTHON
code=0
printf '%s\n' a b | perl ./usr/bin/parallel --will-cite --joblog direct python3 align.py || code=$?
echo a | perl ./usr/bin/parallel --will-cite --joblog shell 'python3 align.py {}; exit $?' 2>/dev/null || true
echo "killed: parallel ended with $code for two jobs"
cut -f 7-9 direct shell
[ "$code" = 2 ]
[ "$(tail -n +2 direct | cut -f 7,8 | sort -u)" = "0	9" ]
[ "$(tail -n +2 shell | cut -f 7,8)" = "137	0" ]
