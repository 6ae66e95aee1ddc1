#!/usr/bin/env bash
# Guess: STAR ends with an error when its `--readFilesCommand` fails: the tool is not in the image, or what it
#   reads breaks off.
# Seen: nobody looks at that command's exit code. With a tool that is not there STAR says "finished successfully",
#   counts 0 input reads, writes an alignment without reads and ends with 0; with one that ends with 1 after a
#   third of the reads, it aligns the third and ends with 0. The command's own line on stderr is the only trace.
# Versions: rna-star 2.7.10b+dfsg-2+b2 (Debian 12), Python 3.11; 2026-12-01.
# So: `gsutil cat`, `samtools view` or `zcat` that failed is a job that SUCCEEDED with too few reads, and the step
#   behind it dies of empty counts. Look for the shell's line ("not found") before the log's end, and compare
#   "Number of input reads" in Log.final.out; no other machine mends it.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null || exit 2
apt-get download rna-star=2.7.10b+dfsg-2+b2 libhts3 libdeflate0 libhtscodecs2 >/dev/null 2>&1 || exit 2
for file in *.deb; do dpkg-deb -x "$file" . || exit 2; done
LD_LIBRARY_PATH="$(dirname "$(find "$folder" -name 'libhts.so.3' | head -1)")"
export LD_LIBRARY_PATH
STAR="$folder/usr/lib/rna-star/bin/STAR-plain"
"$STAR" --version >/dev/null 2>&1 || exit 2

python3 - <<'PYTHON'
import random

random.seed(1)
genome = "".join(random.choice("ACGT") for _ in range(20_000))
with open("genome.fa", "w") as file:
    print(f">chr1\n{genome}", file=file)
with open("reads.fq", "w") as file:
    for number in range(1500):
        at = random.randrange(19_900)
        print(f"@r{number}\n{genome[at : at + 100]}\n+\n{'I' * 100}", file=file)
PYTHON
cat >broken <<'SH'
#!/bin/sh
head -n 2000 "$1"
echo "broken: the connection was reset" >&2
exit 1
SH
chmod +x broken
"$STAR" --runMode genomeGenerate --genomeDir index --genomeFastaFiles genome.fa --genomeSAindexNbases 5 \
  >index.log 2>&1 || exit 2

changed=0
align() { # the name of the run, the reads that are expected, what stderr says, the command that reads
  local name="$1" code=0 reads
  "$STAR" --genomeDir index --readFilesIn reads.fq --outFileNamePrefix "$name." --readFilesCommand "$4" \
    >"$name.out" 2>"$name.err" || code=$?
  reads="$(sed -n 's/.*Number of input reads |\t//p' "$name.Log.final.out")"
  echo "$name: exit code $code, $reads of 1500 reads, '$(tail -1 "$name.out" | grep -o 'finished successfully')'"
  cat "$name.err" | sed "s#$folder/##; s/^/    stderr: /"
  [ "$code $reads" = "0 $2" ] && grep -q "finished successfully" "$name.out" || changed=1
  [ -z "$3" ] || grep -q "$3" "$name.err" || changed=1
}
align whole 1500 "" cat
align missing 0 "not found" no-such-tool
align broken 500 "was reset" "$folder/broken"
exit "$changed"
