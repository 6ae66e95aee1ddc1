#!/usr/bin/env bash
# Guess: an aligner that is given two files of mates of unequal length ends with an error.
# Seen: bwa and minimap2 both end with 0. A warning on stderr ("the 2nd file has fewer sequences", "query
#   files have different number of records; extra records skipped") is all: 400 of 1,000 reads are left out.
# Versions: bwa 0.7.17-7+b2, minimap2 2.24+dfsg-3+b1 (Debian 12); 2026-11-30.
# So: a download that lost the end of one file gives a smaller result and a job that SUCCEEDED. The warning
#   in the log is the cause of whatever fails behind it.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null || exit 2
for package in bwa=0.7.17-7+b2 minimap2=2.24+dfsg-3+b1; do
  apt-get download "$package" >/dev/null 2>&1 || exit 2
done
for file in *.deb; do dpkg-deb -x "$file" . || exit 2; done

python3 - <<'PYTHON'
import random

random.seed(1)
genome = "".join(random.choice("ACGT") for _ in range(20_000))
turned = str.maketrans("ACGT", "TGCA")
with open("genome.fa", "w") as file:
    file.write(f">chr1\n{genome}\n")
with open("mate1.fq", "w") as one, open("mate2.fq", "w") as two:
    for number in range(1000):
        at = random.randrange(19_500)
        one.write(f"@r{number}/1\n{genome[at : at + 100]}\n+\n{'I' * 100}\n")
        if number < 600:
            mate = genome[at + 300 : at + 400][::-1].translate(turned)
            two.write(f"@r{number}/2\n{mate}\n+\n{'I' * 100}\n")
PYTHON

./usr/bin/bwa index genome.fa >/dev/null 2>&1
./usr/bin/bwa mem genome.fa mate1.fq mate2.fq >bwa.sam 2>bwa.err
./usr/bin/minimap2 -ax sr genome.fa mate1.fq mate2.fq >minimap2.sam 2>minimap2.err
for tool in bwa minimap2; do
  echo "$tool: exit code 0, $(grep -vc '^@' $tool.sam) records of 1600 reads"
  grep -hm1 -oE 'the 2nd file has fewer sequences|extra records skipped' $tool.err
  [ "$(grep -vc '^@' $tool.sam)" = 1200 ]
done
