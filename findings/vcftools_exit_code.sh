#!/usr/bin/env bash
# Guess: vcftools ends with an exit code other than 0 where the input file is not there, as bcftools does.
# Seen: `Error: Can't determine file type of …` on stderr, and exit code 0, without an output file.
# Versions: vcftools 0.1.16-3+b1 (Debian 12); 2026-11-29.
# So: a step that runs vcftools never fails by itself, and the job is told as SUCCEEDED or dies in the next
#   step of a missing file: what vcftools said before is the cause. Test for its output, not its exit code.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null && apt-get download vcftools=0.1.16-3+b1 >/dev/null 2>&1 || exit 2
dpkg-deb -x vcftools_*.deb . || exit 2
./usr/bin/vcftools --version >/dev/null 2>&1 || exit 2

code=0
./usr/bin/vcftools --gzvcf missing.vcf.gz --freq --out f >out 2>&1 || code=$?
grep -i error out
echo "exit code $code; output files: $(find . -maxdepth 1 -name 'f.frq' | wc -l)"
[ "$code" = 0 ] && grep -q "Can't determine file type" out && [ ! -e f.frq ]
