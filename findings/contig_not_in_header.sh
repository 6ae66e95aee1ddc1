#!/usr/bin/env bash
# Guess: asking an indexed file for a contig that its header does not name is an error (exit code 1).
# Seen: bcftools prints nothing, on stderr neither, and ends with 0; samtools says "specifies an invalid region
#   or unknown reference. Continue anyway." and ends with 0.
# Versions: bcftools 1.16-1, samtools 1.16.1-1 (Debian 12); 2026-11-30.
# So: `1` in place of `chr1` gives an empty file and a step that succeeded; what comes after it dies of
#   "no records". The cause is the name of the contig, and no machine mends it.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
command -v dpkg-deb >/dev/null || exit 2
for package in bcftools=1.16-1 samtools=1.16.1-1 libhts3; do
  apt-get download "$package" >/dev/null 2>&1 || exit 2
done
for file in *.deb; do dpkg-deb -x "$file" . || exit 2; done
LD_LIBRARY_PATH="$(dirname "$(find . -name 'libhts.so.3' | head -1)")"
export LD_LIBRARY_PATH
./usr/bin/bcftools --version >/dev/null 2>&1 && ./usr/bin/samtools --version >/dev/null 2>&1 || exit 2

printf '##fileformat=VCFv4.2\n##contig=<ID=chr1,length=900>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\nchr1\t5\t.\tA\tC\t.\tPASS\t.\n' >a.vcf
./usr/bin/bcftools view -Oz -o a.vcf.gz a.vcf
./usr/bin/bcftools index a.vcf.gz
printf '@HD\tVN:1.6\tSO:coordinate\n@SQ\tSN:chr1\tLN:900\nr1\t0\tchr1\t5\t60\t4M\t*\t0\t0\tACGT\tIIII\n' |
  ./usr/bin/samtools view -b -o a.bam
./usr/bin/samtools index a.bam

./usr/bin/bcftools view -H -r 1 a.vcf.gz >bcftools.out 2>bcftools.err
./usr/bin/samtools view a.bam 1 >samtools.out 2>samtools.err
echo "bcftools: exit code 0, $(wc -l <bcftools.out) records, stderr: $(cat bcftools.err)"
echo "samtools: exit code 0, $(wc -l <samtools.out) records, stderr: $(cat samtools.err)"
[ ! -s bcftools.out ] && [ ! -s bcftools.err ] && [ ! -s samtools.out ] && grep -q "Continue anyway" samtools.err
