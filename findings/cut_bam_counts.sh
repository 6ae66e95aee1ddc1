#!/usr/bin/env bash
# Guess: whatever reads a BAM file that was cut in its middle ends with a code other than 0: the format has a mark
#   at its end just for that.
# Seen: samtools does ("truncated file. Aborting"). featureCounts counts the reads up to the cut, says "Successfully
#   assigned alignments : … (100.0%)" and ends with 0, with no line on stderr that names it; bedtools names it
#   there ("EOF marker is absent") and ends with 0.
# Versions: subread 2.0.3+dfsg-1, bedtools 2.30.0+dfsg-3, samtools 1.16.1-1 (Debian 12); 2026-11-30.
# So: one step that dies of a truncated file says that its neighbours over the same file are wrong too, though
#   they SUCCEEDED: half of the counts, and an assignment rate of 100%. Make the copy anew and run them all.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null || exit 2
for package in subread=2.0.3+dfsg-1 samtools=1.16.1-1 bedtools=2.30.0+dfsg-3 libhts3 libdeflate0 libhtscodecs2; do
  apt-get download "$package" >/dev/null 2>&1 || exit 2
done
for file in *.deb; do dpkg-deb -x "$file" . || exit 2; done
LD_LIBRARY_PATH="$(dirname "$(find "$folder" -name 'libhts.so.3' | head -1)")"
export LD_LIBRARY_PATH PATH="$folder/usr/bin:$PATH"
samtools --version >/dev/null 2>&1 && bedtools --version >/dev/null 2>&1 && featureCounts -v >/dev/null 2>&1 || exit 2

python3 - <<'PYTHON' | samtools view -b -o whole.bam
import random

random.seed(1)
print("@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:chr1\tLN:20000")
for number in range(5000):
    bases = "".join(random.choice("ACGT") for _ in range(100))
    qualities = "".join(random.choice("ABCDEFGHI") for _ in range(100))
    print(f"r{number}\t0\tchr1\t{1 + number * 3}\t60\t100M\t*\t0\t0\t{bases}\t{qualities}")
PYTHON
printf 'GeneID\tChr\tStart\tEnd\tStrand\nG1\tchr1\t1\t20000\t+\n' >genes.saf
head -c "$(($(stat -c %s whole.bam) / 2))" whole.bam >cut.bam

run() { # a name, then the command; prints its exit code
  local name="$1" code=0
  shift
  "$@" >"$name.out" 2>"$name.err" || code=$?
  echo "$code" >"$name.code"
  echo "$name: exit code $code; $(grep -ohiE 'truncated.*|EOF marker is absent' "$name.err" | head -1)"
}
run samtools samtools sort -o sorted.bam cut.bam
run bedtools bedtools bamtobed -i cut.bam
run featureCounts featureCounts -F SAF -a genes.saf -o counts cut.bam
reads="$(tail -1 counts | cut -f 7)"
grep -oE "Successfully assigned alignments : .*%\)" featureCounts.err
echo "of 5000 reads: bedtools $(wc -l <bedtools.out), featureCounts $reads"
[ "$(cat samtools.code)" = 1 ]
[ "$(cat bedtools.code)" = 0 ] && grep -q "EOF marker is absent" bedtools.err && [ "$(wc -l <bedtools.out)" -lt 4000 ]
[ "$(cat featureCounts.code)" = 0 ] && ! grep -qiE "truncat|EOF|error" featureCounts.err && [ "$reads" -lt 4000 ]
