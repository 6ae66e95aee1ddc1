#!/usr/bin/env bash
# Guess: samtools, in each of its subcommands, ends with a code other than 0 when the disk that it writes to is
#   full; bedtools perhaps not.
# Seen: it depends on the subcommand. `samtools view` ends with 1 and "No space left on device"; `samtools
#   depth >file`, `samtools mpileup` and `bedtools genomecov` end with 0 and say nothing though all is lost.
#   `samtools depth -o file` ends with 1, `samtools mpileup -o file` with 0.
# Versions: samtools 1.16.1-1, bedtools 2.30.0+dfsg-3 (Debian 12); 2026-11-30.
# So: on a full disk one step of a pipeline fails for the disk and its neighbours succeed with files cut
#   anywhere. After a bigger disk, run them all anew, not only the one that failed.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null && [ -c /dev/full ] || exit 2
for package in samtools=1.16.1-1 bedtools=2.30.0+dfsg-3 libhts3 libdeflate0 libhtscodecs2; do
  apt-get download "$package" >/dev/null 2>&1 || exit 2
done
for file in *.deb; do dpkg-deb -x "$file" . || exit 2; done
LD_LIBRARY_PATH="$(dirname "$(find "$folder" -name 'libhts.so.3' | head -1)")"
export LD_LIBRARY_PATH PATH="$folder/usr/bin:$PATH"
samtools --version >/dev/null 2>&1 && bedtools --version >/dev/null 2>&1 || exit 2

python3 - <<'PYTHON' | samtools view -b -o reads.bam
print("@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:chr1\tLN:20000")
for at in range(1, 19_900, 10):
    print(f"r{at}\t0\tchr1\t{at}\t60\t100M\t*\t0\t0\t{'ACGTA' * 20}\t{'I' * 100}")
PYTHON
changed=0
on_full_disk() { # the expected exit code, then the command
  local wanted="$1" code=0
  shift
  "$@" >/dev/full 2>err || code=$?
  echo "$*: exit code $code $(grep -o 'No space left on device' err | head -1)"
  [ "$code" = "$wanted" ] || changed=1
  [ "$wanted" = 1 ] || ! grep -qi "space\|error" err || changed=1
}
on_full_disk 1 samtools view reads.bam
on_full_disk 0 samtools depth reads.bam
on_full_disk 1 samtools depth -o /dev/full reads.bam
on_full_disk 0 samtools mpileup reads.bam
on_full_disk 0 samtools mpileup -o /dev/full reads.bam
on_full_disk 0 bedtools genomecov -d -ibam reads.bam
echo "bytes that were lost: $(samtools depth reads.bam | wc -c), $(samtools mpileup reads.bam 2>/dev/null | wc -c)," \
  "$(bedtools genomecov -d -ibam reads.bam | wc -c)"
exit "$changed"
