#!/usr/bin/env bash
# Guess: reading reads from a FASTQ.gz whose copy broke off raises, as Python's gzip and pysam do.
# Seen: `mappy.fastx_read` stops where the data stop and ends its loop as at the end of a whole file: about
#   half of the reads of a file cut in the middle, with no error and nothing on stderr.
# Versions: mappy 2.31, Python 3.11; 2026-11-29.
# So: an alignment over a broken copy ends with exit code 0 and fewer reads: no failure that anybody could
#   diagnose. A run that was "mended" by another copy of its input is to be compared by its number of
#   reads, not by its exit code.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  mappy==2.31 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import gzip
import random
import subprocess
import sys

random.seed(1)
with gzip.open("whole.fastq.gz", "wt") as file:
    for number in range(5000):
        bases = "".join(random.choices("ACGT", k=80))
        file.write(f"@r{number}\n{bases}\n+\n{'I' * 80}\n")
with open("whole.fastq.gz", "rb") as file:
    data = file.read()
with open("cut.fastq.gz", "wb") as file:
    file.write(data[: len(data) // 2])

COUNT = "import mappy, sys; print(sum(1 for _ in mappy.fastx_read(sys.argv[1])))"
seen = {}
for name in ("whole", "cut"):
    seen[name] = subprocess.run(
        [sys.executable, "-c", COUNT, f"{name}.fastq.gz"], capture_output=True, text=True
    )
    print(f"{name}: exit code {seen[name].returncode}, {seen[name].stdout.strip()} reads")
try:
    with gzip.open("cut.fastq.gz") as file:
        file.read()
    refused = False
except EOFError as err:
    refused = True
    print("Python's gzip:", err)
reads = {name: int(ran.stdout) for name, ran in seen.items()}
changed = reads["whole"] != 5000 or not 1000 < reads["cut"] < 4000
sys.exit(changed or seen["cut"].returncode != 0 or seen["cut"].stderr != "" or not refused)
PYTHON
