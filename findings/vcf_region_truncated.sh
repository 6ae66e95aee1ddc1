#!/usr/bin/env bash
# Guess: asking an indexed VCF whose copy broke off for a region behind the break raises, in cyvcf2 as in
#   pysam's TabixFile.
# Seen: both answer that there is no variant: zero rows, no exception, and one line on stderr,
#   `[W::bgzf_read_block] EOF marker is absent`. Read from end to end, the same file raises in both.
# Versions: cyvcf2 0.35.0, pysam 0.24.1, Python 3.11; 2026-11-29.
# So: of a job that is split by regions over a broken file, one shard fails and the others behind it end
#   well and empty. To run the failed shard again is not enough: make the copy anew, and run all of them.
set -euo pipefail
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv" || exit 2
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  cyvcf2==0.35.0 pysam==0.24.1 || exit 2
cd "$folder"

"$folder/venv/bin/python" -W ignore - <<'PYTHON'
import subprocess
import sys

import pysam

with open("calls.vcf", "w") as file:
    file.write("##fileformat=VCFv4.2\n##contig=<ID=chr1,length=9000000>\n")
    file.write("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
    for number in range(40000):
        name = number * 7919 % 999983
        file.write(f"chr1\t{number * 10 + 1}\trs{name}\tA\tC\t{name % 1000}\tPASS\t.\n")
pysam.tabix_compress("calls.vcf", "calls.vcf.gz")
pysam.tabix_index("calls.vcf.gz", preset="vcf")
with open("calls.vcf.gz", "rb") as file:
    data = file.read()
READERS = {
    "cyvcf2, region": "import cyvcf2; rows = cyvcf2.VCF('calls.vcf.gz')('chr1:350000-399000')",
    "TabixFile, region": "import pysam; rows = pysam.TabixFile('calls.vcf.gz').fetch('chr1', 350000, 399000)",
    "cyvcf2, all": "import cyvcf2; rows = cyvcf2.VCF('calls.vcf.gz')",
    "TabixFile, all": "import pysam; rows = pysam.TabixFile('calls.vcf.gz').fetch('chr1')",
}
seen = {}
for state, size in (("whole", len(data)), ("cut", len(data) // 2)):
    with open("calls.vcf.gz", "wb") as file:
        file.write(data[:size])
    for reader, source in READERS.items():
        program = f"{source}\nprint(sum(1 for _ in rows))"
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        seen[state, reader] = (ran.returncode, ran.stdout.strip())
        warned = [line for line in ran.stderr.splitlines() if line.startswith("[")]
        print(f"{state}, {reader}: exit code {ran.returncode}, {ran.stdout.strip() or 'no'} rows", warned)
changed = any(seen["cut", f"{reader}, region"] != (0, "0") for reader in ("cyvcf2", "TabixFile"))
changed |= any(seen["cut", f"{reader}, all"][0] == 0 for reader in ("cyvcf2", "TabixFile"))
changed |= any(seen["whole", reader][1] in {"", "0"} for reader in READERS)
sys.exit(changed)
PYTHON
