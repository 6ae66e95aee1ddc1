#!/usr/bin/env bash
# Guess: MEGAHIT whose core program signal 9 killed (as for memory) ends with 137, as a shell does, or with 1.
# Seen: it ends with 247. The script hands Python's -9 to `exit`, and a byte has no minus: 256 - 9. The log says
#   "Exit code -9", and no line names a signal or memory.
# Versions: megahit 1.2.9-4 (Debian 12), Python 3.11; 2026-12-01. Killed here by a limit of CPU time, which the kernel
#   enforces by the same signal as memory.
# So: an exit code of 245 to 255 is a signal under a Python script that passes on `returncode` (247 is 9, 249 is 7,
#   245 is 11), no code of the program's own. A rule that knows 137 alone takes an assembly that ran out of memory
#   for a failed command.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null || exit 2
for package in megahit=1.2.9-4 libgomp1; do apt-get download "$package" >/dev/null 2>&1 || exit 2; done
for file in *.deb; do dpkg-deb -x "$file" . || exit 2; done
export LD_LIBRARY_PATH="$folder/usr/lib/x86_64-linux-gnu"
python3 usr/bin/megahit --version >/dev/null 2>&1 || exit 2

python3 - <<'PYTHON'
import random

random.seed(1)
genome = "".join(random.choice("ACGT") for _ in range(100000))
with open("reads.fq", "w") as reads:
    for number in range(60000):
        start = random.randrange(len(genome) - 100)
        reads.write(f"@r{number}\n{genome[start : start + 100]}\n+\n{'I' * 100}\n")
PYTHON
whole=0
python3 usr/bin/megahit -r reads.fq -o whole -t 1 --k-list 21 >whole.log 2>&1 || whole=$?
killed=0
(
  ulimit -t 1
  exec python3 usr/bin/megahit -r reads.fq -o killed -t 1 --no-hw-accel --k-list 21,41,61,81 >killed.log 2>&1
) || killed=$?
grep -oE "Exit code .*" killed.log || true
echo "whole: exit code $whole; killed by signal 9: exit code $killed"
[ "$whole" = 0 ] && [ "$killed" != 0 ] || exit 2
[ "$killed" = 247 ] && grep -q "Exit code -9" killed.log && ! grep -qiE "signal|sigkill|out of memory" killed.log
